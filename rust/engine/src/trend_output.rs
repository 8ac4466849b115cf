//! The table of an aggregation over all matches.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, UInt32Array};
use arrow_schema::{DataType, Field};
use cepheid_event::{EventError, OrderedRows, Table, check_window_spans, nanoseconds_per_step};
use cepheid_ir::trend::{APPROXIMATE_SUFFIX, EXACT_COLUMN, WINDOW_COLUMNS};
use cepheid_ir::{AggregateFunction, PatternError};
use cepheid_matcher::trend::{Exact, Number, Total, TrendWork, Wide};
use cepheid_matcher::{MatchSet, Strategy};

use crate::error::EngineError;
use crate::matches::{MatchTable, Ordinals, Origin, UNMATCHED, batch_of};
use crate::plan::{MatchOptions, Plan};
use crate::trend::{LaneFound, TrendFound, TrendPlan, TrendValue};

/// Most digits of a whole number: those of the widest integers that Arrow's users share.
const DIGITS_MAX: u8 = 38;

/// Says whether windows of `every` nanoseconds can be told in a column of event times.
///
/// # Errors
/// [`PatternError::InvalidExpression`].
pub(crate) fn check_windows(every: i64, column: Option<&DataType>) -> Result<(), EngineError> {
    let refused = |problem: String| {
        let context = "the windows of an aggregation".into();
        Err(EngineError::Pattern(PatternError::InvalidExpression { context, problem }))
    };
    let Some(data_type) = column else {
        return refused(
            "they go by event time; order by it, ascending, or name it where the pattern is matched".into(),
        );
    };
    check_window_spans(&[every], data_type).or_else(refused)
}

/// Aggregates over all matches of a table.
///
/// # Errors
/// See [`EngineError`].
pub(crate) fn aggregate_table(
    plan: &Plan,
    trend: &TrendPlan,
    table: &Table,
    options: &MatchOptions,
    work: &mut TrendWork,
) -> Result<MatchTable, EngineError> {
    let outputs = &plan.outputs;
    let threads = options.workers(table.num_rows()).threads;
    let rows = OrderedRows::on_threads(table, &outputs.partition_by, &outputs.order_by, &[], threads)?;
    let mut found = trend.find(table, &rows, outputs, options, work)?;
    if outputs.partition_by.is_empty() && trend.every_ns.is_none() && found.keys.is_empty() {
        // Without keys there is one group, be it without rows.
        found = TrendFound::of_nothing(&found);
    }
    let groups = found.keys.len();
    let mut order: Vec<u32> = (0..groups as u32).collect();
    if trend.every_ns.is_some() {
        let window = |group: &u32| found.keys[*group as usize].1;
        order.sort_by_key(|group| (window(group).is_none(), window(group)));
    }
    let order = UInt32Array::from(order);
    let mut columns = TrendColumns { fields: vec![], arrays: vec![], order };
    if groups > 0 || !outputs.partition_by.is_empty() {
        let first =
            |(partition, _): &(u32, Option<i64>)| rows.arrival(rows.partition(*partition as usize).start);
        for column in &outputs.partition_by {
            let firsts = UInt32Array::from_iter_values(found.keys.iter().map(first));
            let values = table.gather(*column, &firsts)?;
            let field = table.schema().field(*column);
            columns.add(field.name(), values, field.is_nullable())?;
        }
    }
    if let (Some(every), Some(key)) = (trend.every_ns, outputs.order_by.first()) {
        let data_type = table.schema().field(key.column).data_type();
        let unit = nanoseconds_per_step(data_type).expect("checked when compiled");
        for (name, ends) in WINDOW_COLUMNS.into_iter().zip([0, 1]) {
            let edge =
                |(_, window): &(u32, Option<i64>)| (*window)?.checked_add(ends)?.checked_mul(every / unit);
            let steps: Int64Array = found.keys.iter().map(edge).collect();
            columns.add(name, in_type(steps, data_type)?, true)?;
        }
    }
    let mut all_exact = vec![true; groups];
    for value in &trend.values {
        value.write(&found.lanes[value.lane], &mut columns, &mut all_exact)?;
    }
    columns.add(EXACT_COLUMN, Arc::new(BooleanArray::from(all_exact)), false)?;
    let batch = batch_of(columns.fields, columns.arrays, groups)?;
    let origin = Origin {
        set: MatchSet::default(),
        rows: OrderedRows::of_groups(vec![], vec![0]),
        variables: trend.matcher.variables.clone(),
        strategy: Strategy::Trends,
        labels: None,
    };
    Ok(MatchTable {
        batch,
        origin: Arc::new(origin),
        matches: Ordinals::Listed(vec![]),
        row_matches: Ordinals::Listed(vec![UNMATCHED; groups]),
    })
}

fn in_type(steps: Int64Array, data_type: &DataType) -> Result<ArrayRef, EngineError> {
    let steps: ArrayRef = Arc::new(steps);
    let steps = match data_type {
        DataType::Date32 => arrow_cast::cast(&steps, &DataType::Int32).map_err(EventError::from)?,
        _ => steps,
    };
    Ok(arrow_cast::cast(&steps, data_type).map_err(EventError::from)?)
}

/// Columns of the output, which are found in one order and come out in another.
struct TrendColumns {
    fields: Vec<Arc<Field>>,
    arrays: Vec<ArrayRef>,
    order: UInt32Array,
}

impl TrendColumns {
    fn add(&mut self, name: &str, values: ArrayRef, nullable: bool) -> Result<(), EngineError> {
        let values = arrow_select::take::take(&values, &self.order, None).map_err(EventError::from)?;
        self.fields.push(Arc::new(Field::new(name, values.data_type().clone(), nullable)));
        self.arrays.push(values);
        Ok(())
    }
}

impl TrendFound {
    /// What there is to say of no rows.
    fn of_nothing(found: &Self) -> Self {
        let none = || Total { runs: Exact::zero(), values: Exact::zero(), sum: Exact::zero() };
        let lanes = found.lanes.iter().map(|lane| match lane {
            LaneFound::Values(values) => {
                LaneFound::Values(arrow_array::new_null_array(values.data_type(), 1))
            }
            LaneFound::Wide(_) => {
                LaneFound::Wide(vec![Total { runs: Wide::zero(), values: Wide::zero(), sum: Wide::zero() }])
            }
            LaneFound::Exact(_) | LaneFound::Both(..) => LaneFound::Exact(vec![none()]),
        });
        Self { keys: vec![(0, Some(0))], lanes: lanes.collect() }
    }
}

impl TrendValue {
    /// Adds the columns of the value; clears what is not exact in `all_exact`.
    fn write(
        &self,
        found: &LaneFound,
        columns: &mut TrendColumns,
        all_exact: &mut [bool],
    ) -> Result<(), EngineError> {
        let (exact, wide) = match found {
            LaneFound::Values(values) => return columns.add(&self.name, Arc::clone(values), true),
            LaneFound::Exact(exact) => (Some(exact), None),
            LaneFound::Wide(wide) => (None, Some(wide)),
            LaneFound::Both(exact, wide) => (Some(exact), Some(wide)),
        };
        let unit = 10_f64.powi(i32::from(self.scale()));
        let groups = all_exact.len();
        if self.is_whole() {
            let exact = exact.expect("whole numbers are counted exactly");
            let counts = self.function == AggregateFunction::Count;
            // SUM of nothing is NULL, and that is no matter of exactness.
            let nothing = |group: usize| !counts && exact[group].values.is_zero();
            let number = |group: usize| self.number(&exact[group]).get();
            let most = 10_i128.pow(DIGITS_MAX.into()) - 1;
            let shown = |group: usize| number(group).filter(|number| number.abs() <= most);
            let value = |group: usize| shown(group).filter(|_| !nothing(group));
            let values: Decimal128Array = (0..groups).map(value).collect();
            let values =
                values.with_precision_and_scale(DIGITS_MAX, self.scale()).map_err(EventError::from)?;
            columns.add(&self.name, Arc::new(values), true)?;
            let near = |group: usize| match (number(group), wide) {
                (Some(number), _) => number as f64,
                (None, Some(wide)) => self.number(&wide[group]).to_f64(),
                (None, None) => unreachable!("what is beyond has been counted again"),
            };
            let near = |group: usize| (!nothing(group)).then(|| near(group) / unit);
            let near: Float64Array = (0..groups).map(near).collect();
            columns.add(&format!("{}{APPROXIMATE_SUFFIX}", self.name), Arc::new(near), true)?;
            for (group, all_exact) in all_exact.iter_mut().enumerate() {
                *all_exact &= nothing(group) || shown(group).is_some();
            }
            return Ok(());
        }
        let value = |group: usize| {
            if let Some(total) = exact.map(|exact| &exact[group])
                && let (Some(sum), Some(values)) = (total.sum.get(), total.values.get())
            {
                return (values != 0).then(|| sum as f64 / values as f64 / unit);
            }
            let total = &wide.expect("what is beyond, and of floats, is counted so")[group];
            let mean = self.function == AggregateFunction::Avg;
            let value = || if mean { total.sum.over(total.values) / unit } else { total.sum.to_f64() };
            (!total.values.is_zero()).then(value)
        };
        let values: Float64Array = (0..groups).map(value).collect();
        columns.add(&self.name, Arc::new(values), true)
    }

    fn number<N: Number>(&self, total: &Total<N>) -> N {
        match self.function {
            AggregateFunction::Count if self.counts_matches => total.runs.clone(),
            AggregateFunction::Count => total.values.clone(),
            _ => total.sum.clone(),
        }
    }
}
