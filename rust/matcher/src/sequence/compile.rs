//! A pattern compiled for the sequence matcher: everything that can be settled before a row is read.

use std::sync::Arc;

use arrow_schema::Schema;
use cepheid_eval::{Leaf, TypedExpr, Value};
use cepheid_ir::{
    AfterMatchSkip, Between, Expr, Pattern, PatternError, RowPointer, Selection, SkipRow, TestedRow, Within,
};

use super::joins::{Join, RunSide};
use super::registers::{Fold, Lookback, Looked, Registers};
use super::tests::{Projected, Test, TestSource};
use super::wait::START;
use crate::automaton::{Automaton, Next, Target, VariableId, members};
use crate::conditions::{Condition, Conditions, physical_leaf};
use crate::error::MatchError;

/// See [`crate::sequence`]. Immutable: one matcher may run over many streams at once.
#[derive(Debug)]
pub struct SequenceMatcher {
    pub(crate) pattern: Arc<Pattern>,
    pub(crate) automaton: Arc<Automaton>,
    /// Conditions that are asked of single rows, to be turned into masks.
    pub(crate) predicates: Vec<TypedExpr>,
    /// `tests[v]`: the condition of variable `v`; behind them those that end loops, then `having`.
    pub(crate) tests: Vec<Test>,
    pub(crate) having: Option<usize>,
    /// `joins[t]`: comparisons of the row with what the run knows, of test t.
    pub(crate) joins: Vec<Vec<Join>>,
    /// What runs bring to them.
    pub(crate) run_sides: Vec<RunSide>,
    /// What a run remembers that has taken no row.
    pub(crate) no_registers: Registers,
    /// What is read of single rows: columns, and how many rows on from the row.
    pub(crate) projection: Vec<(usize, i64)>,
    /// So many rows before a row are kept at least.
    rows_before_min: u64,
    pub(crate) lookbacks: Vec<Lookback>,
    pub(crate) folds: Vec<Fold>,
    pub(crate) variable_of: Vec<VariableId>,
    names: Vec<Value>,
    pub(crate) within_ns: Option<i64>,
    pub(crate) within_rows: Option<u64>,
    pub(crate) skip: Skip,
    pub(crate) all: bool,
    /// `emitted[v]`: intermediate outputs of variable `v`.
    pub(crate) emitted: Vec<Vec<u16>>,
    /// Variables that must not have come before the first row.
    pub(crate) leading: Vec<VariableId>,
    /// Several ways may lead to one membership.
    pub(crate) ambiguous: bool,
    /// Runs of one start row that wait for the same have the same future.
    pub(crate) mergeable: bool,
    /// Of runs that wait for the same, only that of the earliest start row can still be reported.
    pub(crate) earliest_wins: bool,
    /// Runs have deadlines other than the end of the pattern's WITHIN, and these can be seen.
    pub(crate) uses_timers: bool,
    /// What happens at the end of the WITHIN can be seen even if nothing complete waits for it.
    pub(crate) window_shows: bool,
    /// While compiling: the expression at hand is asked of a finished match.
    finished: bool,
}

/// What a match forgets.
#[derive(Clone, Debug)]
pub(crate) enum Skip {
    None,
    Consume,
    PastLastRow,
    ToNextRow,
    ToVariable { name: String, members: Vec<bool>, row: SkipRow, strict: bool },
}

impl SequenceMatcher {
    /// Compiles a pattern, which must have passed [`Pattern::validate`]. `timed`: rows have event times.
    ///
    /// # Errors
    /// [`MatchError::Pattern`] for what a stream cannot answer and for bounds by time without one,
    /// [`MatchError::Condition`] and [`MatchError::Event`] for names and types that do not fit the schema.
    pub fn compile(pattern: &Pattern, schema: &Schema, timed: bool) -> Result<Self, MatchError> {
        Self::of_automaton(Arc::new(pattern.clone()), Arc::new(Automaton::compile(pattern)?), schema, timed)
    }

    /// The same of a pattern whose automaton is there.
    ///
    /// # Errors
    /// Those of [`compile`](Self::compile).
    pub fn of_automaton(
        pattern: Arc<Pattern>,
        automaton: Arc<Automaton>,
        schema: &Schema,
        timed: bool,
    ) -> Result<Self, MatchError> {
        refuse_what_looks_ahead(&automaton)?;
        if !timed && goes_by_time(&pattern, &automaton) {
            return Err(PatternError::WithinNeedsOrder.into());
        }
        let conditions = Conditions::compile(&pattern, &automaton.variables, schema)?;
        let count = automaton.variables.len();
        let skip = match &pattern.after_match {
            AfterMatchSkip::None => Skip::None,
            AfterMatchSkip::Consume => Skip::Consume,
            AfterMatchSkip::PastLastRow => Skip::PastLastRow,
            AfterMatchSkip::ToNextRow => Skip::ToNextRow,
            AfterMatchSkip::ToVariable { variable, row, strict } => Skip::ToVariable {
                name: variable.clone(),
                members: members(&pattern, &automaton.variables, Some(variable)),
                row: *row,
                strict: *strict,
            },
        };
        let mut leading: Vec<VariableId> = vec![];
        for target in &automaton.start {
            for absence in &automaton.ways[target.way as usize].absences {
                if !leading.contains(&absence.variable) {
                    leading.push(absence.variable);
                }
            }
        }
        let mut emitted = vec![vec![]; count];
        for (index, entry) in pattern.emit_at.iter().enumerate() {
            let variable = automaton.variables.iter().position(|name| *name == entry.variable);
            emitted[variable.expect("validated")].push(index as u16);
        }
        let prunes = !matches!(skip, Skip::None | Skip::Consume);
        let (trailing_for, trailing_within, part_times) = deadlines(&automaton);
        let mut matcher = Self {
            variable_of: automaton.positions.iter().map(|position| position.variable).collect(),
            names: automaton.variables.iter().map(|name| Value::String(name.as_str().into())).collect(),
            within_ns: match pattern.within {
                Some(Within::Time { nanoseconds }) => Some(nanoseconds),
                _ => None,
            },
            within_rows: match pattern.within {
                Some(Within::Rows(rows)) => Some(rows),
                _ => None,
            },
            all: pattern.selection == Selection::All,
            ambiguous: is_ambiguous(&automaton),
            mergeable: false,
            earliest_wins: false,
            // Under `"all"` a run that only stops waiting is seen by nobody, unless matches wait for it or its end is
            // itself reported.
            uses_timers: trailing_for
                || part_times && (prunes || pattern.selection == Selection::First || pattern.timeouts),
            window_shows: pattern.timeouts || trailing_within,
            predicates: conditions.predicates.clone(),
            tests: vec![],
            having: None,
            joins: vec![],
            run_sides: vec![],
            no_registers: Registers::default(),
            projection: vec![],
            rows_before_min: 0,
            lookbacks: vec![],
            folds: vec![],
            pattern,
            automaton,
            skip,
            emitted,
            leading,
            finished: false,
        };
        for (variable, condition) in conditions.of.iter().enumerate() {
            let test = match condition {
                Condition::Always => Test::Always,
                Condition::Predicate(predicate) => {
                    let whole = conditions.predicates[*predicate].clone();
                    let sources = matcher.sources(&whole, Some(variable as VariableId))?;
                    Test::Mask { predicate: *predicate, whole, sources }
                }
                Condition::Run { whole, guard } => {
                    let sources = matcher.sources(whole, Some(variable as VariableId))?;
                    Test::Run { whole: whole.clone(), guard: *guard, sources }
                }
            };
            matcher.tests.push(test);
        }
        for until in matcher.automaton.untils.clone() {
            let test = matcher.untold(&until, schema, "until")?;
            matcher.tests.push(test);
        }
        if let Some(having) = matcher.pattern.having.clone() {
            let test = matcher.untold(&having, schema, "having")?;
            matcher.having = Some(matcher.tests.len());
            matcher.tests.push(test);
        }
        matcher.joins = matcher.find_joins(schema)?;
        matcher.no_registers = Registers::new(&matcher);
        matcher.mergeable = matcher.lookbacks.is_empty()
            && matcher.folds.is_empty()
            && matcher.automaton.bounds.is_empty()
            && matcher.having.is_none();
        // Whatever one run becomes the other becomes at the same row, which is then the last row of both.
        let ends_at_a_row = |target: &Target| {
            target.step != Next::Accept || matcher.automaton.ways[target.way as usize].absences.is_empty()
        };
        matcher.earliest_wins = matcher.mergeable
            && matches!(matcher.skip, Skip::PastLastRow)
            && (matcher.within_ns, matcher.within_rows) == (None, None)
            && matcher.pattern.emit_at.is_empty()
            && matcher.automaton.positions.iter().flat_map(|position| &position.follow).all(ends_at_a_row);
        Ok(matcher)
    }

    /// The pattern.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The automaton.
    pub fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// `variable_of()[p]`: the variable of place p.
    pub fn variable_of(&self) -> &[VariableId] {
        &self.variable_of
    }

    /// Columns that are read at every row.
    pub fn columns_read(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = vec![];
        for (column, _) in self.predicates.iter().flat_map(|predicate| predicate.leaves()).map(physical_leaf)
        {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns
    }

    /// How many rows before a row conditions read.
    pub fn rows_before(&self) -> u64 {
        let shifts = self.projection.iter().map(|(_, shift)| *shift);
        let predicates = self.predicates.iter().flat_map(|p| p.leaves()).map(|leaf| physical_leaf(leaf).1);
        shifts.chain(predicates).min().unwrap_or(0).min(0).unsigned_abs().max(self.rows_before_min)
    }

    /// Keeps so many rows before a row, whatever conditions read of them.
    pub fn keep_rows_before(&mut self, rows: u64) {
        self.rows_before_min = rows;
    }

    /// Targets of a place.
    #[inline]
    pub(crate) fn targets(&self, place: u32) -> &[Target] {
        if place == START { &self.automaton.start } else { &self.automaton.positions[place as usize].follow }
    }

    /// The test that ends a loop.
    pub(crate) fn until_test(&self, of: u32) -> Option<usize> {
        self.automaton.loops[of as usize].until.map(|until| self.automaton.variables.len() + until)
    }

    /// What is read of one row.
    #[inline]
    pub(crate) fn looked(&self, what: Looked, variable: VariableId, row: u32, rows: &dyn Projected) -> Value {
        match what {
            Looked::Column(column) => rows.value(column, row),
            Looked::Classifier => self.names[variable as usize].clone(),
        }
    }

    /// A test of something that belongs to no variable.
    fn untold(&mut self, condition: &Expr, schema: &Schema, what: &str) -> Result<Test, MatchError> {
        let whole = TypedExpr::compile_condition(condition, schema).map_err(|source| {
            MatchError::Condition { variable: what.to_owned(), source: Box::new(source) }
        })?;
        self.finished = what == "having";
        let sources = self.sources(&whole, None)?;
        self.finished = false;
        let free = what == "until"
            && whole.leaves().iter().all(|leaf| matches!(leaf, Leaf::Column { at, .. } if at.is_physical()));
        if free {
            let known = self.predicates.iter().position(|predicate| *predicate == whole);
            let predicate = known.unwrap_or_else(|| {
                self.predicates.push(whole.clone());
                self.predicates.len() - 1
            });
            return Ok(Test::Mask { predicate, whole, sources });
        }
        Ok(Test::Run { whole, guard: None, sources })
    }

    /// The joins of every test but `having`, which is asked of no row.
    fn find_joins(&mut self, schema: &Schema) -> Result<Vec<Vec<Join>>, MatchError> {
        let tests = self.tests.clone();
        let of = |(index, test): (usize, &Test)| {
            if self.having == Some(index) {
                return Ok(vec![]);
            }
            let tested = (index < self.automaton.variables.len()).then_some(index as VariableId);
            self.joins_of(test, tested, schema)
        };
        tests.iter().enumerate().map(of).collect()
    }

    /// Where the leaves of a condition of `tested` come from. `None`: of a loop's end, or of a finished match.
    pub(crate) fn sources(
        &mut self,
        condition: &TypedExpr,
        tested: Option<VariableId>,
    ) -> Result<Vec<TestSource>, MatchError> {
        condition.leaves().iter().map(|leaf| self.source(leaf, tested)).collect()
    }

    fn source(&mut self, leaf: &Leaf, tested: Option<VariableId>) -> Result<TestSource, MatchError> {
        Ok(match leaf {
            Leaf::Column { index, at, .. } => {
                let column = self.project(*index, at.physical_offset);
                // Of a finished match, that is its last row rather than one under test.
                if at.is_physical() && !self.finished {
                    return Ok(TestSource::UnderTest(column));
                }
                self.lookback(Looked::Column(column), at, tested)
            }
            Leaf::Classifier { at } => {
                if at.physical_offset != 0 {
                    return Err(unsupported(
                        "CLASSIFIER() of a row at a distance",
                        "name the row by its variable",
                    ));
                }
                self.lookback(Looked::Classifier, at, tested)
            }
            Leaf::MatchNumber => {
                return Err(unsupported("MATCH_NUMBER() in a condition", "number matches in a measure"));
            }
            Leaf::Aggregate(aggregate) => {
                let members = self.members(aggregate.variable.as_deref());
                let mut sources = vec![];
                for arg in &aggregate.args {
                    let mut leaves = vec![];
                    for leaf in arg.leaves() {
                        leaves.push(match leaf {
                            Leaf::Column { index, .. } => Looked::Column(self.project(*index, 0)),
                            Leaf::Classifier { .. } => Looked::Classifier,
                            _ => {
                                return Err(unsupported(
                                    "MATCH_NUMBER() in an aggregate",
                                    "number matches in a measure",
                                ));
                            }
                        });
                    }
                    sources.push(leaves);
                }
                let includes = aggregate.tested_row == TestedRow::Included
                    && tested.is_some_and(|variable| members[variable as usize]);
                let fold = Fold { definition: aggregate.clone(), members, sources };
                let index = self.folds.iter().position(|known| *known == fold).unwrap_or_else(|| {
                    self.folds.push(fold);
                    self.folds.len() - 1
                });
                TestSource::Fold { index, includes }
            }
        })
    }

    fn lookback(&mut self, what: Looked, at: &RowPointer, tested: Option<VariableId>) -> TestSource {
        let members = self.members(at.variable.as_deref());
        let includes =
            at.tested_row == TestedRow::Included && tested.is_some_and(|variable| members[variable as usize]);
        let lookback = Lookback { what, members, anchor: at.anchor, offset: at.logical_offset };
        let index = self.lookbacks.iter().position(|known| *known == lookback).unwrap_or_else(|| {
            self.lookbacks.push(lookback);
            self.lookbacks.len() - 1
        });
        TestSource::Lookback { index, includes }
    }

    fn members(&self, name: Option<&str>) -> Vec<bool> {
        members(&self.pattern, &self.automaton.variables, name)
    }

    fn project(&mut self, column: usize, shift: i64) -> usize {
        let entry = (column, shift);
        self.projection.iter().position(|known| *known == entry).unwrap_or_else(|| {
            self.projection.push(entry);
            self.projection.len() - 1
        })
    }
}

fn unsupported(construct: &str, hint: &str) -> MatchError {
    MatchError::Pattern(PatternError::Unsupported { construct: construct.into(), hint: hint.into() })
}

fn refuse_what_looks_ahead(automaton: &Automaton) -> Result<(), MatchError> {
    let targets = automaton.positions.iter().flat_map(|position| &position.follow).chain(&automaton.start);
    if targets.clone().any(|target| target.at_end) {
        return Err(unsupported(
            "`$` in an event sequence or a stream",
            "a stream has no last row before it ends; leave the anchor out, or match a table in strict order",
        ));
    }
    if automaton.accepts_empty() {
        return Err(unsupported(
            "a pattern that may be empty, in an event sequence or a stream,",
            "let one event be required",
        ));
    }
    if automaton.ways.iter().any(|way| way.guards.len() > 32) {
        return Err(unsupported("more than 32 greedy loops before one step", "let fewer be greedy"));
    }
    Ok(())
}

/// Whether anything in the pattern goes by time: rows then need one that can be measured.
pub fn goes_by_time(pattern: &Pattern, automaton: &Automaton) -> bool {
    let by_time = |within: &Within| matches!(within, Within::Time { .. });
    let absences = automaton.ways.iter().flat_map(|way| &way.absences);
    pattern.within.as_ref().is_some_and(by_time)
        || automaton.bounds.iter().any(|bound| by_time(&bound.within))
        || absences.clone().any(|absence| absence.for_ns.is_some())
}

/// Whether runs end by `for_`, by the end of the WITHIN, and by bounds of parts in time.
fn deadlines(automaton: &Automaton) -> (bool, bool, bool) {
    let (mut by_for, mut by_within) = (false, false);
    for target in automaton.positions.iter().flat_map(|position| &position.follow) {
        if target.step == Next::Accept {
            let way = &automaton.ways[target.way as usize];
            let open = way.absences.iter().filter(|absence| !absence.strict);
            by_for |= open.clone().any(|absence| absence.for_ns.is_some());
            by_within |= open.clone().any(|absence| absence.for_ns.is_none());
        }
    }
    let by_part = automaton.bounds.iter().any(|bound| matches!(bound.within, Within::Time { .. }));
    (by_for, by_within, by_part)
}

/// Whether one membership can come about in several ways: a variable stands in several places, or a place is reached
/// in several ways.
fn is_ambiguous(automaton: &Automaton) -> bool {
    let mut seen = vec![false; automaton.variables.len()];
    let several_places = automaton
        .positions
        .iter()
        .any(|position| std::mem::replace(&mut seen[position.variable as usize], true));
    let several_ways = |targets: &[Target]| {
        let mut steps: Vec<Next> = targets.iter().map(|target| target.step).collect();
        steps.sort_unstable_by_key(|step| match step {
            Next::Take(place) => *place,
            Next::Accept => u32::MAX,
        });
        steps.windows(2).any(|pair| pair[0] == pair[1])
    };
    several_places
        || several_ways(&automaton.start)
        || automaton.positions.iter().any(|position| several_ways(&position.follow))
}

impl SequenceMatcher {
    /// When a wait for a target ends by bounds of parts, in nanoseconds; `None`: never.
    pub(crate) fn part_deadline(&self, target: Target, opened: &[(i64, u64)], last_time: i64) -> Option<i64> {
        let way = &self.automaton.ways[target.way as usize];
        let mut deadline: Option<i64> = None;
        let mut by = |time: i64, nanoseconds: i64| {
            let at = time.saturating_add(nanoseconds);
            deadline = Some(deadline.map_or(at, |known| known.min(at)));
        };
        for (bound, opens) in
            way.continues.iter().map(|b| (b, false)).chain(way.opens.iter().map(|b| (b, true)))
        {
            let part = &self.automaton.bounds[*bound as usize];
            let Within::Time { nanoseconds } = part.within else { continue };
            match part.between {
                Between::FirstToLast if !opens => by(opened[*bound as usize].0, nanoseconds),
                Between::Neighbours if !opens || part.single => by(last_time, nanoseconds),
                _ => {}
            }
        }
        deadline
    }

    /// Whether the bounds on a target allow a row.
    pub(crate) fn bounds_allow(
        &self,
        target: Target,
        opened: &[(i64, u64)],
        last: (i64, u64),
        row: (i64, u64),
    ) -> bool {
        let way = &self.automaton.ways[target.way as usize];
        let allows = |within: Within, from: (i64, u64)| match within {
            Within::Time { nanoseconds } => {
                super::tests::time_between(from.0, row.0).is_some_and(|gap| gap < nanoseconds)
            }
            Within::Rows(rows) => row.1 - from.1 <= rows,
            Within::Unbounded => true,
        };
        let continued = way.continues.iter().all(|bound| {
            let part = &self.automaton.bounds[*bound as usize];
            allows(
                part.within,
                if part.between == Between::FirstToLast { opened[*bound as usize] } else { last },
            )
        });
        continued
            && way.opens.iter().all(|bound| {
                let part = &self.automaton.bounds[*bound as usize];
                part.between == Between::FirstToLast || !part.single || allows(part.within, last)
            })
    }

    /// Whether the parts that a row would be the first of can begin at its time: a row without one is beyond every
    /// bound by time, its own included.
    pub(crate) fn may_open(&self, target: Target, time: i64) -> bool {
        time != super::tests::NO_TIME
            || !self.automaton.ways[target.way as usize].opens.iter().any(|bound| {
                let part = &self.automaton.bounds[*bound as usize];
                part.between == Between::FirstToLast && matches!(part.within, Within::Time { .. })
            })
    }

    /// Whether a target is out of reach from the start, because its bound is counted from a row without a time.
    pub(crate) fn is_out_of_reach(&self, target: Target, last_time: i64) -> bool {
        if last_time != super::tests::NO_TIME || target.step == Next::Accept {
            return false;
        }
        let way = &self.automaton.ways[target.way as usize];
        let from_last = |bound: &u32, opens: bool| {
            let part = &self.automaton.bounds[*bound as usize];
            part.between == Between::Neighbours
                && matches!(part.within, Within::Time { .. })
                && (!opens || part.single)
        };
        way.continues.iter().any(|bound| from_last(bound, false))
            || way.opens.iter().any(|bound| from_last(bound, true))
    }
}
