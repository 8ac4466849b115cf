//! Values over all matches, none of them built: what is to be scanned for, and the scans.

use std::collections::BTreeSet;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_ord::sort::sort_to_indices;
use arrow_schema::{DataType, Schema, SortOptions};
use cepheid_eval::{Leaf, TypedAggregate, TypedExpr, Value, read_value};
use cepheid_event::{EventError, OrderedRows, Table};
use cepheid_ir::{AggregateFunction, Pattern, PatternError, Trend, Within};
use cepheid_matcher::masks::Masks;
use cepheid_matcher::trend::{
    Counting, Exact, Extreme, Extremes, Groups, Number, ScanOptions, Small, Total, Totals, TrendMatcher,
    TrendRows, TrendWork, Wide,
};
use cepheid_matcher::{Strategy, members};
use num_bigint::BigUint;

use crate::error::EngineError;
use crate::plan::{MatchOptions, Outputs};
use crate::sequence_rows::event_times;

/// An aggregation compiled against a schema.
#[derive(Debug)]
pub(crate) struct TrendPlan {
    pub(crate) matcher: TrendMatcher,
    pub(crate) values: Vec<TrendValue>,
    pub(crate) every_ns: Option<i64>,
    lanes: Vec<Lane>,
}

/// One of the values asked for.
#[derive(Debug)]
pub(crate) struct TrendValue {
    pub(crate) name: String,
    pub(crate) function: AggregateFunction,
    /// Of what is aggregated; `None`: of nothing, rows or matches are counted.
    pub(crate) of: Option<DataType>,
    /// The scan that knows it.
    pub(crate) lane: usize,
    /// `COUNT(*)`: matches are counted.
    pub(crate) counts_matches: bool,
}

/// One scan.
#[derive(Debug, PartialEq)]
struct Lane {
    kind: LaneKind,
    /// `members[v]`: whether rows of variable `v` have a value; none for a scan that only counts matches.
    members: Vec<bool>,
    /// What is evaluated on them; `None`: they count as one each.
    argument: Option<TypedExpr>,
    data_type: DataType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneKind {
    /// Matches.
    Matches,
    /// Rows, or values that are not NULL.
    Present,
    /// Sums of integers and decimals.
    ExactSum,
    /// Sums of floats.
    FloatSum,
    Least,
    Greatest,
}

/// What a scan has found of each group.
pub(crate) enum LaneFound {
    Exact(Vec<Total<Exact>>),
    /// The same where something is beyond 127 bits, and for floats.
    Wide(Vec<Total<Wide>>),
    /// Both: the second for what the first cannot hold.
    Both(Vec<Total<Exact>>, Vec<Total<Wide>>),
    /// The extreme value of each group.
    Values(ArrayRef),
}

/// What was found of all groups.
pub(crate) struct TrendFound {
    /// See [`Groups::keys`].
    pub(crate) keys: Vec<(u32, Option<i64>)>,
    /// `lanes[l]`: what scan l has found.
    pub(crate) lanes: Vec<LaneFound>,
}

impl TrendPlan {
    /// Compiles the aggregation of a pattern in its normal spelling.
    ///
    /// # Errors
    /// What [`TrendMatcher::compile`] refuses, and values that do not fit the schema.
    pub(crate) fn new(
        pattern: &Pattern,
        trend: &Trend,
        schema: &Schema,
        outputs: &Outputs,
    ) -> Result<Self, EngineError> {
        let ascending = outputs.order_by.first().filter(|key| !key.descending);
        let matcher = TrendMatcher::compile(pattern, schema, ascending.is_some())?;
        if let Some(every) = trend.every_ns {
            let column = ascending.map(|key| schema.field(key.column));
            crate::trend_output::check_windows(every, column.map(|field| field.data_type()))?;
        }
        let mut plan = Self { matcher, values: vec![], every_ns: trend.every_ns, lanes: vec![] };
        for measure in &trend.values {
            let context = || format!("aggregate `{}`", measure.name);
            let typed =
                TypedExpr::compile(&measure.value, schema).map_err(EngineError::in_context(context()))?;
            let [Leaf::Aggregate(aggregate)] = typed.leaves() else {
                unreachable!("validated: a value is one aggregate")
            };
            plan.add(pattern, &measure.name, aggregate)?;
        }
        // Matches are counted by the way where something else is.
        let other = plan.lanes.iter().position(|lane| {
            !matches!(
                lane.kind,
                LaneKind::Matches | LaneKind::Least | LaneKind::Greatest | LaneKind::FloatSum
            )
        });
        if let (Some(other), Some(alone)) =
            (other, plan.lanes.iter().position(|lane| lane.kind == LaneKind::Matches))
        {
            plan.lanes.remove(alone);
            for value in &mut plan.values {
                value.lane = if value.counts_matches { other } else { value.lane };
                value.lane -= usize::from(value.lane > alone);
            }
        }
        Ok(plan)
    }

    fn add(&mut self, pattern: &Pattern, name: &str, aggregate: &TypedAggregate) -> Result<(), EngineError> {
        let refused = |problem: String| {
            EngineError::Pattern(PatternError::InvalidExpression {
                context: format!("aggregate `{name}`"),
                problem,
            })
        };
        let argument = aggregate.args.first();
        let only_columns =
            |arg: &TypedExpr| arg.leaves().iter().all(|leaf| matches!(leaf, Leaf::Column { .. }));
        if argument.is_some_and(|arg| !only_columns(arg)) {
            return Err(EngineError::Pattern(PatternError::Unsupported {
                construct: format!("CLASSIFIER() or MATCH_NUMBER() in aggregate `{name}`, over all matches,"),
                hint: "aggregate columns of the row".into(),
            }));
        }
        let of = argument.map(|arg| arg.data_type().clone());
        let function = aggregate.function;
        let counts_matches = argument.is_none() && aggregate.variable.is_none();
        let kind = match (function, number_kind(of.as_ref())) {
            (AggregateFunction::Count, _) if counts_matches => LaneKind::Matches,
            (AggregateFunction::Count, Some(NumberKind::Whole)) => LaneKind::ExactSum,
            (AggregateFunction::Count, _) => LaneKind::Present,
            (AggregateFunction::Sum | AggregateFunction::Avg, Some(NumberKind::Whole)) => LaneKind::ExactSum,
            (AggregateFunction::Sum | AggregateFunction::Avg, Some(NumberKind::Float)) => LaneKind::FloatSum,
            (AggregateFunction::Sum | AggregateFunction::Avg, None) => {
                let of = of.map_or_else(String::new, |of| of.to_string());
                return Err(refused(format!(
                    "{} over all matches takes numbers, not {of}; cast the column to a number",
                    function.name()
                )));
            }
            (AggregateFunction::Min, _) => LaneKind::Least,
            _ => LaneKind::Greatest,
        };
        let members = if counts_matches {
            vec![]
        } else {
            members(pattern, &self.matcher.variables, aggregate.variable.as_deref())
        };
        let argument = if counts_matches { None } else { argument.cloned() };
        // Of values that are only counted the type says nothing.
        let data_type = aggregate.data_type.clone();
        let data_type =
            if matches!(kind, LaneKind::Least | LaneKind::Greatest) { data_type } else { DataType::Null };
        let lane = Lane { kind, members, argument, data_type };
        let lane = self.lanes.iter().position(|known| *known == lane).unwrap_or_else(|| {
            self.lanes.push(lane);
            self.lanes.len() - 1
        });
        self.values.push(TrendValue { name: name.to_owned(), function, of, lane, counts_matches });
        Ok(())
    }

    /// Scans the table for every value.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub(crate) fn find(
        &self,
        table: &Table,
        rows: &OrderedRows,
        outputs: &Outputs,
        options: &MatchOptions,
        work: &mut TrendWork,
    ) -> Result<TrendFound, EngineError> {
        let times = times(&self.matcher, self.every_ns, table, outputs)?;
        let workers = options.workers(table.num_rows());
        let masks = Masks::evaluate(&self.matcher.predicates, table, rows, workers)?;
        let trend_rows = TrendRows::new(&self.matcher, rows, masks, &times)?;
        let scan = ScanOptions { every_ns: self.every_ns, first_only: false, one_total: false, workers };
        let mut found = TrendFound { keys: vec![], lanes: vec![] };
        for lane in &self.lanes {
            let argument = match &lane.argument {
                Some(argument) => {
                    let positions = trend_rows.rows_of(&lane.members);
                    Some(self.evaluate(argument, table, rows, &positions, lane)?)
                }
                None => None,
            };
            let (keys, of_lane) = lane.scan(&trend_rows, argument.as_ref(), scan, work)?;
            debug_assert!(found.lanes.is_empty() || found.keys == keys, "scans find the same matches");
            found.keys = keys;
            found.lanes.push(of_lane);
        }
        Ok(found)
    }

    fn evaluate(
        &self,
        argument: &TypedExpr,
        table: &Table,
        rows: &OrderedRows,
        positions: &UInt32Array,
        lane: &Lane,
    ) -> Result<ArrayRef, EngineError> {
        let mut slots = vec![];
        for leaf in argument.leaves() {
            let Leaf::Column { index, .. } = leaf else { unreachable!("only columns are read") };
            slots.push(rows.gather(table, *index, positions)?);
        }
        let of = self.values.iter().find(|value| self.lanes[value.lane] == *lane);
        let context = format!("aggregate `{}`", of.map_or("", |value| value.name.as_str()));
        argument.evaluate_columns(&slots, positions.len()).map_err(EngineError::in_context(context))
    }
}

type Keys = Vec<(u32, Option<i64>)>;
type Scanned = (Keys, LaneFound);

impl Lane {
    fn scan(
        &self,
        rows: &TrendRows<'_>,
        argument: Option<&ArrayRef>,
        options: ScanOptions<'_>,
        work: &mut TrendWork,
    ) -> Result<Scanned, EngineError> {
        match self.kind {
            LaneKind::Matches => {
                let counted = match options.every_ns {
                    None => rows.count_loop(DOUBLINGS_MAX, options, work)?,
                    Some(_) => None,
                };
                if let Some(counted) = counted {
                    let exact: Vec<_> = counted.iter().map(|runs| only_runs(Exact::of(runs))).collect();
                    let found = if exact.iter().all(|total| total.runs.get().is_some()) {
                        LaneFound::Exact(exact)
                    } else {
                        LaneFound::Both(
                            exact,
                            counted.iter().map(|runs| only_runs(Wide::nearest(runs))).collect(),
                        )
                    };
                    return Ok((keys_of_partitions(counted.len()), found));
                }
                let (keys, runs) = matches_counted(rows, options, work)?;
                let exact: Vec<_> = runs.iter().copied().map(only_runs).collect();
                if runs.iter().all(|runs| runs.get().is_some()) {
                    return Ok((keys, LaneFound::Exact(exact)));
                }
                let wide = rows.scan(&Counting::<Wide>::new(), options, work)?.elements;
                Ok((keys, LaneFound::Both(exact, wide.into_iter().map(only_runs).collect())))
            }
            LaneKind::Present | LaneKind::ExactSum => {
                let of = |row: usize, array: &ArrayRef| match read_value(array, row) {
                    Value::Null => None,
                    Value::Integer(value) => Some(Exact::new(value.into())),
                    Value::Unsigned(value) => Some(Exact::new(value.into())),
                    Value::Decimal { unscaled, .. } => Some(Exact::new(unscaled)),
                    _ => Some(Exact::zero()),
                };
                let values = argument.map(|array| (0..array.len()).map(|row| of(row, array)).collect());
                // Values that are all of no row are not the same as none at all.
                let values: Vec<Option<Exact>> = values.unwrap_or_default();
                let totals = Totals { members: self.members.clone(), values };
                let Groups { keys, elements } = rows.scan(&totals, options, work)?;
                let held = |total: &Total<Exact>| {
                    [total.runs, total.values, total.sum].iter().all(|number| number.get().is_some())
                };
                if elements.iter().all(held) {
                    return Ok((keys, LaneFound::Exact(elements)));
                }
                let wide = rows.scan(&totals.widened(), options, work)?.elements;
                Ok((keys, LaneFound::Both(elements, wide)))
            }
            LaneKind::FloatSum => {
                let of = |row: usize, array: &ArrayRef| match read_value(array, row) {
                    Value::Float(value) => Some(Wide::new(value)),
                    _ => None,
                };
                let array = argument.expect("a sum is of something");
                let values = (0..array.len()).map(|row| of(row, array)).collect();
                let totals = Totals { members: self.members.clone(), values };
                let Groups { keys, elements } = rows.scan(&totals, options, work)?;
                Ok((keys, LaneFound::Wide(elements)))
            }
            LaneKind::Least | LaneKind::Greatest => {
                let values = argument.expect("an extreme value is of something");
                let values = cepheid_event::key::comparable(values)?;
                // Places in the order of values stand for them: whatever has an order has extremes.
                let order =
                    sort_to_indices(&values, Some(SortOptions::default()), None).map_err(EventError::from)?;
                let mut places = vec![None; values.len()];
                for (place, row) in order.values().iter().enumerate() {
                    if values.is_valid(*row as usize) {
                        places[*row as usize] = Some(place as i128);
                    }
                }
                let greatest = self.kind == LaneKind::Greatest;
                let extremes = Extremes { members: self.members.clone(), places, greatest };
                let Groups { keys, elements } = rows.scan(&extremes, options, work)?;
                let row = |extreme: &Extreme| extreme.value.map(|place| order.value(place as usize));
                let taken: UInt32Array = elements.iter().map(row).collect();
                let values = arrow_select::take::take(&values, &taken, None).map_err(EventError::from)?;
                let values = arrow_cast::cast(&values, &self.data_type).map_err(EventError::from)?;
                Ok((keys, LaneFound::Values(values)))
            }
        }
    }
}

/// Rows of a loop in a window up to which its count is exact: past that, floats are faster than so many digits.
const DOUBLINGS_MAX: u64 = 1 << 14;

/// The groups of an aggregation without windows.
fn keys_of_partitions(partitions: usize) -> Keys {
    (0..partitions as u32).map(|partition| (partition, Some(0))).collect()
}

/// Of runs that nothing is summed over.
fn only_runs<N: Number>(runs: N) -> Total<N> {
    Total { runs, values: N::zero(), sum: N::zero() }
}

/// How many matches each group has: by subtraction where that can be, else in numbers of one word, else in greater ones.
fn matches_counted(
    rows: &TrendRows<'_>,
    options: ScanOptions,
    work: &mut TrendWork,
) -> Result<(Keys, Vec<Exact>), EngineError> {
    if options.every_ns.is_none()
        && let Some(counted) = rows.count_chain(options, work)?
    {
        return Ok((keys_of_partitions(counted.len()), counted.into_iter().map(Exact::new).collect()));
    }
    let Groups { keys, elements } = rows.scan(&Counting::<Small>::new(), options, work)?;
    let small: Option<_> = elements.iter().map(|runs| Some(Exact::new(runs.get()?.into()))).collect();
    if let Some(small) = small {
        return Ok((keys, small));
    }
    let Groups { keys, elements } = rows.scan(&Counting::<Exact>::new(), options, work)?;
    Ok((keys, elements))
}

/// Which numbers a type holds.
enum NumberKind {
    /// Integers, and decimals, which are integers of a smaller unit.
    Whole,
    Float,
}

fn number_kind(data_type: Option<&DataType>) -> Option<NumberKind> {
    match data_type? {
        DataType::Dictionary(_, value) => number_kind(Some(value)),
        data_type if data_type.is_integer() || data_type.is_decimal() || data_type.is_null() => {
            Some(NumberKind::Whole)
        }
        data_type if data_type.is_floating() => Some(NumberKind::Float),
        _ => None,
    }
}

/// Event times where the scan needs them.
fn times(
    matcher: &TrendMatcher,
    every_ns: Option<i64>,
    table: &Table,
    outputs: &Outputs,
) -> Result<Vec<i64>, EngineError> {
    let needed = every_ns.is_some() || matches!(matcher.within, Some(Within::Time { .. }));
    match outputs.order_by.first() {
        Some(key) if needed => event_times(table, key.column, &|row| row),
        _ => Ok(vec![]),
    }
}

/// The number of matches of a pattern that trend aggregation accepts, without enumerating them; `None` for any other
/// pattern, and where some condition raises an error, which runs that wait need not come to. `first_only`: whether
/// there is one.
///
/// # Errors
/// See [`EngineError`].
pub(crate) fn count(
    pattern: &Pattern,
    outputs: &Outputs,
    table: &Table,
    options: &MatchOptions,
    first_only: bool,
) -> Result<Option<BigUint>, EngineError> {
    if options.strategy.is_some_and(|strategy| strategy != Strategy::Trends) {
        return Ok(None);
    }
    let Ok(matcher) = TrendMatcher::compile(pattern, table.schema(), outputs.go_by_time()) else {
        return Ok(None);
    };
    let workers = options.workers(table.num_rows());
    let (keys, order) = (&outputs.partition_by, &outputs.order_by);
    let rows = OrderedRows::on_threads(table, keys, order, &[], workers.threads)?;
    let times = times(&matcher, None, table, outputs)?;
    let masks = Masks::evaluate(&matcher.predicates, table, &rows, workers)?;
    let Ok(rows) = TrendRows::new(&matcher, &rows, masks, &times) else { return Ok(None) };
    let scan = ScanOptions { every_ns: None, first_only, one_total: true, workers };
    if let Some(counted) = rows.count_loop(u64::MAX, scan, &mut TrendWork::default())? {
        return Ok(Some(counted.into_iter().sum()));
    }
    let (_, counted) = matches_counted(&rows, scan, &mut TrendWork::default())?;
    let exact: Option<Vec<i128>> = counted.iter().map(|runs| runs.get()).collect();
    Ok(Some(match exact {
        Some(counts) => counts.into_iter().map(|count| BigUint::from(count.unsigned_abs())).sum(),
        None => {
            rows.scan(&Counting::<BigUint>::new(), scan, &mut TrendWork::default())?.elements.iter().sum()
        }
    }))
}

/// Names that a value's columns take, in order.
pub(crate) fn column_names(values: &[TrendValue]) -> BTreeSet<String> {
    let mut names = BTreeSet::from([cepheid_ir::trend::EXACT_COLUMN.to_owned()]);
    for value in values {
        names.insert(value.name.clone());
        if value.is_whole() {
            names.insert(format!("{}{}", value.name, cepheid_ir::trend::APPROXIMATE_SUFFIX));
        }
    }
    names
}

impl TrendValue {
    /// Whether it is a whole number, or one of a decimal's units, that can be past what its column holds.
    pub(crate) fn is_whole(&self) -> bool {
        match self.function {
            AggregateFunction::Count => true,
            AggregateFunction::Sum => matches!(number_kind(self.of.as_ref()), Some(NumberKind::Whole)),
            _ => false,
        }
    }

    /// Digits after the point of what is summed.
    pub(crate) fn scale(&self) -> i8 {
        fn scale(data_type: Option<&DataType>) -> i8 {
            match data_type {
                Some(
                    DataType::Decimal32(_, scale)
                    | DataType::Decimal64(_, scale)
                    | DataType::Decimal128(_, scale),
                ) => *scale,
                Some(DataType::Dictionary(_, value)) => scale(Some(value)),
                _ => 0,
            }
        }
        if self.function == AggregateFunction::Count { 0 } else { scale(self.of.as_ref()) }
    }
}
