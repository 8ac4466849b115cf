//! A pattern compiled against a schema: everything that can be settled before a row is read.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_eval::TypedExpr;
use cepheid_event::{EventError, OrderKey, check_event_time, resolve_column};
use cepheid_ir::{
    AfterMatchSkip, ColumnName, EmitAt, Expr, Measure, OutputColumns, Pattern, PatternError, RowsPerMatch,
    Selection, SortKey,
};
use cepheid_matcher::sequence::{SequenceMatcher, goes_by_time};
use cepheid_matcher::{
    Automaton, JoinedLists, Lists, Matcher, Promoted, StepLists, Strategy, VariableId, Workers,
};

use crate::error::EngineError;
use crate::trend::{TrendPlan, column_names};

/// How a batch is to be matched.
#[derive(Clone, Debug, Default)]
pub struct MatchOptions {
    /// Column that holds the event time, where the pattern itself names no order.
    pub event_time: Option<String>,
    /// Most search steps from one start row before [`cepheid_matcher::MatchError::StepLimit`], on top of 64 a row of
    /// the partition; half a million by default. Only backtracking counts steps.
    pub step_limit: Option<u64>,
    /// Only this strategy may run; for tests and comparisons.
    pub strategy: Option<Strategy>,
    /// Asked every few milliseconds by searches that may take long; `true` ends them with
    /// [`cepheid_matcher::MatchError::Interrupted`].
    pub interrupted: Option<fn() -> bool>,
    /// Most threads that rows are shared among; one by default.
    pub threads: Option<NonZeroUsize>,
    /// Fewest rows that are worth a thread; [`ROWS_A_THREAD_MIN`] by default.
    pub rows_a_thread_min: Option<NonZeroUsize>,
}

/// A thread for fewer rows than this costs more than it does.
pub const ROWS_A_THREAD_MIN: NonZeroUsize = NonZeroUsize::new(1 << 12).expect("not zero");

/// How many threads, of at most so many, so many rows are worth.
pub(crate) fn threads_worth(rows: usize, most: usize, rows_a_thread_min: Option<NonZeroUsize>) -> usize {
    most.min(rows / rows_a_thread_min.unwrap_or(ROWS_A_THREAD_MIN)).max(1)
}

impl MatchOptions {
    /// Who works on so many rows.
    pub(crate) fn workers(&self, rows: usize) -> Workers<'static> {
        let most = self.threads.map_or(1, NonZeroUsize::get);
        let threads = threads_worth(rows, most, self.rows_a_thread_min);
        Workers { threads, interrupted: self.interrupted.into() }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    pattern: Arc<Pattern>,
    automaton: Arc<Automaton>,
    pub(crate) matching: Matching,
    /// Shared by plans that report alike over one schema.
    pub(crate) outputs: Arc<Outputs>,
}

/// How a pattern is matched.
#[derive(Debug)]
pub(crate) enum Matching {
    /// By searching partitions of a table.
    Search(Box<Matcher>),
    /// Event by event.
    Sequences {
        /// Runs that wait.
        matcher: Box<SequenceMatcher>,
        /// What a table allows beside them; `None`: rows come as a stream.
        in_table: Option<Box<InTable>>,
    },
    /// Not one by one: values over all matches are wanted.
    Trend(Box<TrendPlan>),
}

/// What runs that wait can be spared where all rows are there.
#[derive(Debug)]
pub(crate) struct InTable {
    /// Step lists, or why they cannot run the pattern.
    pub(crate) steps: Result<StepLists, &'static str>,
    /// Why next lists cannot, if they cannot; their steps are the same.
    pub(crate) next: Result<(), &'static str>,
    /// The same of joined lists, which are not tried where step lists will do.
    pub(crate) joined: Result<JoinedLists, &'static str>,
    /// The same by finer keys, or why there are none.
    pub(crate) promoted: Result<Box<Promoted>, String>,
}

impl InTable {
    /// The lists that run the pattern, if any can; those of a strategy alone, if there is one.
    pub(crate) fn lists(&self, strategy: Option<Strategy>) -> Option<Lists<'_>> {
        let steps = self.steps.as_ref().ok();
        let next = steps.filter(|_| self.next.is_ok()).map(Lists::Next);
        let joined = self.joined.as_ref().ok().map(Lists::Joined);
        let mut all = [next, steps.map(Lists::Step), joined].into_iter().flatten();
        all.find(|lists| strategy.is_none_or(|strategy| strategy == lists.strategy()))
    }
}

/// What is reported of matches.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) partition_by: Vec<usize>,
    pub(crate) order_by: Vec<OrderKey>,
    /// The column of `match_start` and `match_end`.
    pub(crate) event_time: Option<usize>,
    pub(crate) measures: Measures,
    /// Of the pattern's intermediate outputs.
    pub(crate) emitted: Vec<Measures>,
    /// Columns read at rows beside those of a match, as `(column, rows on)`: they stand behind the input's own.
    pub(crate) shifted: Vec<(usize, i64)>,
}

impl Outputs {
    /// Resolves the columns and compiles the measures of a pattern. `waits`: what stands beside a row of a match is read of
    /// shifted columns, because rows of runs that wait are not neighbours.
    fn compile(
        pattern: &Pattern,
        waits: bool,
        schema: &Schema,
        options: &MatchOptions,
    ) -> Result<Self, EngineError> {
        let column = |name: &ColumnName| resolve_column(schema, &name.name, name.quoted);
        let partition_by = pattern.partition_by.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let order_by = pattern
            .order_by
            .iter()
            .map(|key| {
                let SortKey { descending, nulls_first, .. } = *key;
                Ok(OrderKey { column: column(&key.column)?, descending, nulls_first })
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        let event_time = match &options.event_time {
            Some(name) => Some(resolve_column(schema, name, false)?),
            None => order_by.first().map(|key| key.column),
        };
        let mut shifted = vec![];
        let measures = compile_measures(&pattern.measures, schema, waits.then_some(&mut shifted))?;
        let mut emitted = vec![];
        for entry in &pattern.emit_at {
            emitted.push(compile_measures(&entry.measures, schema, waits.then_some(&mut shifted))?);
        }
        Ok(Self { partition_by, order_by, event_time, measures, emitted, shifted })
    }

    /// Whether rows go by a column, its least value first: only then is it a time that bounds can be measured in.
    pub(crate) fn go_by_time(&self) -> bool {
        self.order_by.first().is_some_and(|key| !key.descending)
    }

    /// Says whether the column that rows go by, if they do, is of times that bounds can be measured in.
    ///
    /// # Errors
    /// [`EventError::ColumnType`] if it is not.
    fn check_time(&self, schema: &Schema) -> Result<(), EventError> {
        let Some(key) = self.order_by.first() else { return Ok(()) };
        let field = schema.field(key.column);
        check_event_time(field.name(), field.data_type())
    }
}

/// Measures by name.
pub(crate) type Measures = Vec<(String, TypedExpr)>;

impl Plan {
    /// Validates and compiles.
    ///
    /// # Errors
    /// [`EngineError`] for whatever in the pattern cannot be, or does not fit the schema.
    pub fn new(pattern: &Pattern, schema: &Schema, options: &MatchOptions) -> Result<Self, EngineError> {
        let mut pattern = pattern.clone();
        if let Some(event_time) = &options.event_time
            && pattern.order_by.is_empty()
        {
            let column = ColumnName::unquoted(event_time.as_str());
            pattern.order_by.push(SortKey { column, descending: false, nulls_first: false });
        }
        pattern.validate()?;
        let mut plan = Self::compile(pattern.normalise(), None, None, schema, options)?;
        let timed = plan.outputs.go_by_time();
        if let Matching::Sequences { matcher, in_table } = &mut plan.matching {
            let steps = StepLists::new(matcher);
            let joined = match steps {
                Ok(_) => Err("no condition reads an earlier row"),
                Err(_) => JoinedLists::new(matcher, schema),
            };
            *in_table = Some(Box::new(InTable {
                next: steps.as_ref().map_err(|reason| *reason).and_then(StepLists::check_for_next_lists),
                steps,
                joined,
                promoted: Promoted::new(matcher, schema, timed).map(Box::new),
            }));
        }
        Ok(plan)
    }

    /// The same for rows of which not all are there yet, of a pattern that is valid and in its normal spelling. `automaton`:
    /// its own. `like`: a plan over the same schema, whose outputs may serve this one too.
    pub(crate) fn of_stream(
        pattern: Pattern,
        automaton: Arc<Automaton>,
        like: Option<&Self>,
        schema: &Schema,
        options: &MatchOptions,
    ) -> Result<Self, EngineError> {
        Self::compile(pattern, Some(automaton), like, schema, options)
    }

    fn compile(
        pattern: Pattern,
        automaton: Option<Arc<Automaton>>,
        like: Option<&Self>,
        schema: &Schema,
        options: &MatchOptions,
    ) -> Result<Self, EngineError> {
        let pattern = Arc::new(pattern);
        let automaton = match automaton {
            Some(automaton) => automaton,
            None => Arc::new(Automaton::compile(&pattern)?),
        };
        let of_sequences = |strategy: Strategy| strategy.is_of_lists() || strategy == Strategy::Sequences;
        let asked_for = options.strategy.is_some_and(of_sequences);
        let waits = asked_for || needs_runs_that_wait(&pattern, &automaton);
        let outputs = match like.filter(|like| like.reports_like(&pattern, &automaton)) {
            Some(like) => Arc::clone(&like.outputs),
            None => Arc::new(Outputs::compile(&pattern, waits, schema, options)?),
        };
        if (waits || pattern.trend.is_some()) && goes_by_time(&pattern, &automaton) {
            outputs.check_time(schema)?;
        }
        if let Some(trend) = &pattern.trend {
            let trend = TrendPlan::new(&pattern, trend, schema, &outputs)?;
            let taken = column_names(&trend.values);
            let names = outputs.partition_by.iter().map(|column| schema.field(*column).name());
            if let Some(name) = names.into_iter().find(|name| taken.contains(*name)) {
                return Err(EngineError::Pattern(PatternError::MeasureNameTaken { name: name.clone() }));
            }
            let matching = Matching::Trend(Box::new(trend));
            return Ok(Self { pattern, automaton, matching, outputs });
        }
        let matching = if waits {
            if pattern.rows_per_match == RowsPerMatch::AllWithUnmatched {
                return Err(EngineError::Pattern(PatternError::Unsupported {
                    construct: "rows that are in no match, of an event sequence,".into(),
                    hint: "use rows_per_match(\"all\")".into(),
                }));
            }
            let (pattern, automaton) = (Arc::clone(&pattern), Arc::clone(&automaton));
            let matcher = SequenceMatcher::of_automaton(pattern, automaton, schema, outputs.go_by_time())?;
            Matching::Sequences { matcher: Box::new(matcher), in_table: None }
        } else {
            Matching::Search(Box::new(Matcher::compile(&pattern, schema)?))
        };
        let plan = Self { pattern, automaton, matching, outputs };
        plan.output_names(schema)?;
        Ok(plan)
    }

    /// Whether a pattern over the same schema reports of its matches what this one does, and makes it in the same way.
    fn reports_like(&self, pattern: &Pattern, automaton: &Automaton) -> bool {
        let own = &*self.pattern;
        let same_emitted = |own: &[EmitAt], other: &[EmitAt]| {
            own.len() == other.len()
                && own.iter().zip(other).all(|(own, other)| own.measures == other.measures)
        };
        own.measures == pattern.measures
            && same_emitted(&own.emit_at, &pattern.emit_at)
            && own.partition_by == pattern.partition_by
            && own.order_by == pattern.order_by
            && (own.output, own.rows_per_match) == (pattern.output, pattern.rows_per_match)
            && own.subsets == pattern.subsets
            && self.automaton.variables == automaton.variables
    }

    /// The pattern, in its normal spelling.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The automaton.
    pub fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// `variable_of()[p]`: the variable of place p.
    pub(crate) fn variable_of(&self) -> Vec<VariableId> {
        self.automaton.positions.iter().map(|position| position.variable).collect()
    }

    /// Names of the output columns before the measures; a measure may not take one of them.
    fn output_names(&self, schema: &Schema) -> Result<(), EngineError> {
        if self.pattern.output == OutputColumns::Standard {
            return Ok(());
        }
        let mut taken: Vec<&str> = vec!["match_number", "match_start", "match_end"];
        taken.extend(self.outputs.partition_by.iter().map(|column| schema.field(*column).name().as_str()));
        let mut measures = self.outputs.emitted.iter().flatten().chain(&self.outputs.measures);
        match measures.find(|(name, _)| taken.contains(&name.as_str())) {
            Some((name, _)) => {
                Err(EngineError::Pattern(PatternError::MeasureNameTaken { name: name.clone() }))
            }
            None => Ok(()),
        }
    }
}

/// Whether a pattern says more than a search from start row to start row can answer.
fn needs_runs_that_wait(pattern: &Pattern, automaton: &Automaton) -> bool {
    !automaton.is_row_pattern()
        || pattern.selection == Selection::All
        || pattern.after_match == AfterMatchSkip::Consume
        || pattern.having.is_some()
        || pattern.timeouts
        || !pattern.emit_at.is_empty()
}

/// Compiles measures. With a list of shifted columns, what is read beside a row is read from one of these instead.
fn compile_measures(
    measures: &[Measure],
    schema: &Schema,
    mut shifted: Option<&mut Vec<(usize, i64)>>,
) -> Result<Measures, EngineError> {
    let mut compiled = vec![];
    for measure in measures {
        let mut value = measure.value.clone();
        if let Some(shifted) = &mut shifted {
            move_navigation(&mut value, schema, shifted)?;
        }
        let extended;
        let schema = match &shifted {
            Some(shifted) if !shifted.is_empty() => {
                extended = with_shifted(schema, shifted);
                &extended
            }
            _ => schema,
        };
        let context = format!("measure `{}`", measure.name);
        let typed = TypedExpr::compile(&value, schema).map_err(EngineError::in_context(context))?;
        compiled.push((measure.name.clone(), typed));
    }
    Ok(compiled)
}

/// `PREV` and `NEXT` of a row become columns of that row.
fn move_navigation(
    value: &mut Expr,
    schema: &Schema,
    shifted: &mut Vec<(usize, i64)>,
) -> Result<(), EngineError> {
    let mut failed = None;
    value.walk_mut(&mut |expr| {
        let Expr::Column { name, quoted, at } = expr else { return };
        if at.physical_offset == 0 {
            return;
        }
        match resolve_column(schema, name, *quoted) {
            Ok(column) => {
                let entry = (column, at.physical_offset);
                if !shifted.contains(&entry) {
                    shifted.push(entry);
                }
                *name = shifted_name(schema.field(column).name(), at.physical_offset);
                *quoted = true;
                at.physical_offset = 0;
            }
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// A name that no input column has.
fn shifted_name(column: &str, shift: i64) -> String {
    format!("\u{0}{shift:+} {column}")
}

/// The schema with shifted columns behind its own.
pub(crate) fn with_shifted(schema: &Schema, shifted: &[(usize, i64)]) -> Schema {
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    for (column, shift) in shifted {
        let field = schema.field(*column);
        let data_type: DataType = field.data_type().clone();
        fields.push(Arc::new(Field::new(shifted_name(field.name(), *shift), data_type, true)));
    }
    Schema::new(fields)
}

/// As [`with_shifted`], shared.
pub(crate) fn schema_with_shifted(schema: &SchemaRef, shifted: &[(usize, i64)]) -> SchemaRef {
    if shifted.is_empty() { Arc::clone(schema) } else { Arc::new(with_shifted(schema, shifted)) }
}
