//! A compiled pattern, and how it is run over a table.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::Schema;
use cepheid_event::{EventError, OrderedRows, Piece, Table, as_int64, nanoseconds_per_step, resolve_column};
use cepheid_ir::{EmptyMatches, Pattern, PatternError, Selection, Within};

use crate::automaton::Automaton;
use crate::bits::Bits;
use crate::conditions::{Conditions, physical_leaf};
use crate::error::MatchError;
use crate::masks::Masks;
use crate::match_set::MatchSet;
use crate::run::RunState;
use crate::search::{Bound, Rules, Search, Skip, Wanted, search_partition};
use crate::strategies::backtracking::Backtracking;
use crate::strategies::bit_streams::BitStreams;
use crate::strategies::reverse_automaton::ReverseAutomaton;
use crate::strategy::{Plan, Strategy};
use crate::threads::{Interruption, Workers};

/// A pattern compiled against a schema. Immutable: one matcher may run over many tables at once.
#[derive(Debug)]
pub struct Matcher {
    pattern: Pattern,
    automaton: Automaton,
    conditions: Conditions,
    skip: Skip,
    plan: Plan,
    bound: TimeBound,
}

/// The pattern's WITHIN, with its column resolved.
#[derive(Clone, Copy, Debug)]
enum TimeBound {
    None,
    Rows(u64),
    Time { column: usize, nanoseconds_per_unit: i64, nanoseconds: i64 },
}

/// How a table is to be searched.
#[derive(Clone, Copy, Debug)]
pub struct FindOptions<'a> {
    /// How much of the matches is wanted.
    pub wanted: Wanted,
    /// Most steps of one search (on top of [`STEPS_PER_ROW`] a row of its partition) before
    /// [`MatchError::StepLimit`].
    pub step_limit: u64,
    /// Only this strategy may run, for tests.
    pub strategy: Option<Strategy>,
    /// Who searches.
    pub workers: Workers<'a>,
}

/// Steps that every row of a partition adds to the step limit, so that one long match is no offence.
pub const STEPS_PER_ROW: u64 = 64;

/// The step limit unless another is asked for: some 50 ms of fruitless search.
pub const STEP_LIMIT_DEFAULT: u64 = 500_000;

impl Default for FindOptions<'_> {
    fn default() -> Self {
        Self {
            wanted: Wanted::All,
            step_limit: STEP_LIMIT_DEFAULT,
            strategy: None,
            workers: Workers::default(),
        }
    }
}

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// The matches, partition after partition.
    pub matches: MatchSet,
    /// The strategy that ran.
    pub strategy: Strategy,
}

impl Matcher {
    /// Compiles a pattern, which must have passed [`Pattern::validate`].
    ///
    /// # Errors
    /// [`MatchError::Pattern`] past limits, [`MatchError::Condition`] and
    /// [`MatchError::Event`] for names and types that do not fit the schema.
    pub fn compile(pattern: &Pattern, schema: &Schema) -> Result<Self, MatchError> {
        debug_assert!(pattern.selection == Selection::First, "the rest is for sequences");
        let automaton = Automaton::compile(pattern)?;
        let conditions = Conditions::compile(pattern, &automaton.variables, schema)?;
        let skip = Skip::new(pattern, &automaton.variables)?;
        let plan = Plan::new(pattern, &automaton, &conditions, &skip);
        let bound = time_bound(pattern, schema)?;
        Ok(Self { pattern: pattern.clone(), automaton, conditions, skip, plan, bound })
    }

    /// The pattern.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Names of the variables; [`crate::VariableId`] is an index into them.
    pub fn variables(&self) -> &[String] {
        &self.automaton.variables
    }

    /// The automaton.
    pub fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// Which strategies can run the pattern, and why.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Columns that are read at every row, the most often read first.
    pub fn columns_read(&self) -> Vec<usize> {
        let mut counts: Vec<(usize, usize)> = vec![];
        for (column, _) in self.conditions.predicates.iter().flat_map(|p| p.leaves()).map(physical_leaf) {
            match counts.iter_mut().find(|(known, _)| *known == column) {
                Some((_, count)) => *count += 1,
                None => counts.push((column, 1)),
            }
        }
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(column, _)| column).collect()
    }

    /// Finds the matches of a table. `None` if `options` name a strategy that cannot run on these data.
    ///
    /// # Errors
    /// See [`MatchError`].
    pub fn find(
        &self,
        table: &Table,
        rows: &OrderedRows,
        options: FindOptions<'_>,
    ) -> Result<Option<Found>, MatchError> {
        let masks = Masks::evaluate(&self.conditions.predicates, table, rows, options.workers)?;
        let job = Job {
            matcher: self,
            table,
            rows,
            masks: &masks,
            always: &Bits::filled(rows.num_rows(), true),
            bound: &self.bound(table, rows)?,
            arrival: &|position| rows.arrival(position),
            options,
        };
        let allowed = |strategy: &Strategy| options.strategy.is_none_or(|only| only == *strategy);
        for strategy in self.plan.accepting.iter().copied().filter(allowed) {
            if let Some(matches) = job.share(strategy)? {
                return Ok(Some(Found { matches, strategy }));
            }
        }
        Ok(None)
    }

    fn bound(&self, table: &Table, rows: &OrderedRows) -> Result<Bound, EventError> {
        match self.bound {
            TimeBound::None => Ok(Bound::None),
            TimeBound::Rows(rows) => Ok(Bound::Rows(rows)),
            TimeBound::Time { column, nanoseconds_per_unit, nanoseconds } => {
                let times = as_int64(&rows.read(table, column, 0..rows.num_rows())?)?;
                let times = times.as_primitive::<Int64Type>().clone();
                // The bound in the column's own unit, rounded up: `last - first < span` is the same for whole units.
                let unit = i128::from(nanoseconds_per_unit);
                let span = (i128::from(nanoseconds) + unit - 1) / unit;
                Ok(Bound::Time { times, span, reached: 0 })
            }
        }
    }
}

/// One search of one table.
struct Job<'a> {
    matcher: &'a Matcher,
    table: &'a Table,
    rows: &'a OrderedRows,
    masks: &'a Masks,
    always: &'a Bits,
    bound: &'a Bound,
    arrival: &'a (dyn Fn(u32) -> u32 + Sync),
    options: FindOptions<'a>,
}

impl Job<'_> {
    /// Shares the partitions among threads. `None` if the data stand against the strategy.
    fn share(&self, strategy: Strategy) -> Result<Option<MatchSet>, MatchError> {
        let FindOptions { wanted, workers, .. } = self.options;
        let pieces = self.rows.pieces(workers.threads, None);
        let is_enough = |found: &Option<MatchSet>| {
            found.as_ref().is_none_or(|found| wanted == Wanted::First && !found.is_empty())
        };
        let work = |piece: &Piece, interrupted: Interruption<'_>| self.run(strategy, piece, interrupted);
        let found = workers.share_until(&pieces, work, is_enough)?;
        found.into_iter().collect::<Option<Vec<_>>>().map(MatchSet::joined).transpose()
    }

    /// Searches the partitions of a piece.
    fn run(
        &self,
        strategy: Strategy,
        piece: &Piece,
        interrupted: Interruption<'_>,
    ) -> Result<Option<MatchSet>, MatchError> {
        let matcher = self.matcher;
        match strategy {
            Strategy::BitStreams => {
                let steps = matcher.plan.steps.as_deref().expect("a plan with bit streams has their steps");
                match BitStreams::new(steps, &matcher.conditions, self.masks, self.always) {
                    Some(search) => {
                        let found = search.empty_set();
                        self.search(search, piece, found).map(Some)
                    }
                    None => Ok(None),
                }
            }
            Strategy::ReverseAutomaton => {
                let overlapping = !matcher.skip.never_looks_back();
                let bounded = !matches!(matcher.bound, TimeBound::None);
                let bounded = bounded.then(|| self.backtracking(true, interrupted));
                let automaton = &matcher.automaton;
                let search =
                    ReverseAutomaton::new(automaton, &matcher.conditions, self.masks, overlapping, bounded);
                match search {
                    Some(search) => self.search(search, piece, MatchSet::default()).map(Some),
                    None => Ok(None),
                }
            }
            Strategy::StartRuns | Strategy::Backtracking => {
                let search = self.backtracking(strategy == Strategy::StartRuns, interrupted);
                self.search(search, piece, MatchSet::default()).map(Some)
            }
            // Not a search: see `crate::step_lists`, `crate::sequence`, `crate::trend`.
            Strategy::NextLists
            | Strategy::StepLists
            | Strategy::JoinedLists
            | Strategy::Sequences
            | Strategy::Trends
            | Strategy::Windows
            | Strategy::Anomalies
            | Strategy::Processor => Ok(None),
        }
    }

    fn backtracking<'b>(&'b self, remembers: bool, interrupted: Interruption<'b>) -> Backtracking<'b> {
        let matcher = self.matcher;
        let run = RunState::new(
            &matcher.pattern,
            &matcher.automaton.variables,
            &matcher.conditions,
            self.masks,
            self.table,
            self.rows,
        );
        // What remembers is bounded by itself.
        let step_limit = if remembers { u64::MAX } else { self.options.step_limit };
        Backtracking::new(&matcher.automaton, run, remembers, step_limit, interrupted, self.arrival)
    }

    fn search(
        &self,
        mut strategy: impl Search,
        piece: &Piece,
        mut found: MatchSet,
    ) -> Result<MatchSet, MatchError> {
        let matcher = self.matcher;
        let mut rules = Rules {
            skip: &matcher.skip,
            initial: matcher.pattern.initial,
            bound: self.bound.clone(),
            wanted: self.options.wanted,
            arrival: self.arrival,
        };
        for partition in piece.partitions.clone() {
            let range = self.rows.partition(partition);
            found.reserve_for_rest((range.start - piece.rows.start) as usize, piece.rows.len());
            search_partition(&mut strategy, range, &mut rules, &mut found)?;
            if self.options.wanted == Wanted::First && !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}

fn time_bound(pattern: &Pattern, schema: &Schema) -> Result<TimeBound, MatchError> {
    match pattern.within {
        None | Some(Within::Unbounded) => Ok(TimeBound::None),
        Some(Within::Rows(rows)) => Ok(TimeBound::Rows(rows)),
        Some(Within::Time { nanoseconds }) => {
            // From a first row that is the latest to a last one that is the earliest no time passes.
            let key = pattern.order_by.first().filter(|key| !key.descending);
            let key = key.ok_or(PatternError::WithinNeedsOrder)?;
            let column = resolve_column(schema, &key.column.name, key.column.quoted)?;
            let field = schema.field(column);
            // In SQL whole numbers order rows, but are in no unit that a bound could be measured in; in the algebra they are
            // nanoseconds, as for whatever waits.
            let is_sql = pattern.empty_matches == EmptyMatches::Allowed;
            let nanoseconds_per_unit = match field.data_type() {
                data_type if is_sql && data_type.is_integer() => None,
                data_type => nanoseconds_per_step(data_type),
            }
            .ok_or_else(|| EventError::ColumnType {
                column: field.name().clone(),
                found: field.data_type().to_string(),
                expected: "WITHIN by time needs a timestamp, date or time as the first ORDER BY key".into(),
            })?;
            Ok(TimeBound::Time { column, nanoseconds_per_unit, nanoseconds })
        }
    }
}
