//! The rows of a table that event sequences are looked for in: those that can matter, by key and in order.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use cepheid_event::{
    EventError, OrderKey, OrderedRows, RowOrder, Table, as_int64, nanoseconds_per_step, step_name,
};
use cepheid_matcher::sequence::{Chunk, NO_TIME, SequenceMatcher};
use cepheid_matcher::{Masks, MatchError};

use crate::error::EngineError;
use crate::plan::{MatchOptions, Outputs};

/// Rows are left out if at most one in so many of them matters: where keys need not be looked at, ...
const SPARSE: usize = 8;
/// ... and where they must.
const SPARSE_BY_KEY: usize = 2;

/// See the module.
pub(crate) struct SequenceRows<'a> {
    table: Cow<'a, Table>,
    rows: OrderedRows,
    times: Vec<i64>,
    ordinals: Vec<u64>,
    /// Rows of `table` in order, if they did not arrive in it.
    order: Option<Vec<u32>>,
    /// Which rows of the input stand in `table`, if not all do.
    relevant: Option<Vec<u32>>,
    /// Which rows satisfy which predicate, by position.
    pub(crate) masks: Masks,
}

impl<'a> SequenceRows<'a> {
    /// Leaves out what cannot matter, and groups and orders the rest. `timed`: whether event times are wanted.
    pub(crate) fn new(
        matcher: &SequenceMatcher,
        outputs: &Outputs,
        table: &'a Table,
        timed: bool,
        options: &MatchOptions,
    ) -> Result<Self, EngineError> {
        Self::by_keys(matcher, outputs, &outputs.partition_by, table, timed, options)
    }

    /// The same, by other keys than the pattern's own.
    pub(crate) fn by_keys(
        matcher: &SequenceMatcher,
        outputs: &Outputs,
        keys: &[usize],
        table: &'a Table,
        timed: bool,
        options: &MatchOptions,
    ) -> Result<Self, EngineError> {
        let workers = options.workers(table.num_rows());
        let by_arrival = matcher.masks_by_arrival(table, workers)?;
        let relevant = by_arrival.as_ref().and_then(|masks| {
            relevant_rows(matcher, outputs, keys, masks, table.num_rows(), workers.threads)
        });
        let narrowed = match &relevant {
            Some(relevant) => Cow::Owned(narrowed(matcher, outputs, keys, table, relevant, options)?),
            None => Cow::Borrowed(table),
        };
        let rows = OrderedRows::on_threads(&narrowed, keys, &outputs.order_by, &[], workers.threads)?;
        let masks = match by_arrival {
            Some(masks) if relevant.is_none() && !rows.is_rearranged() => masks,
            Some(masks) => {
                let arrival = |position: u32| match &relevant {
                    Some(relevant) => relevant[rows.arrival(position) as usize],
                    None => rows.arrival(position),
                };
                masks.picked((0..rows.num_rows() as u32).map(arrival), options.workers(rows.num_rows()))?
            }
            None => matcher.masks_by_position(&narrowed, &rows, workers)?,
        };
        let times = match outputs.order_by.first() {
            Some(key)
                if !key.descending
                    && (timed || !plain_times(&narrowed, key.column, rows.arrived_in_order())?) =>
            {
                let arrival =
                    |row: u64| relevant.as_ref().map_or(row, |relevant| u64::from(relevant[row as usize]));
                event_times(&narrowed, key.column, &arrival)?
            }
            _ => vec![],
        };
        let order = if rows.arrived_in_order() { None } else { order_of_all(&narrowed, &outputs.order_by)? };
        let ordinals = order.as_ref().map_or(vec![], |order| {
            let mut ordinals = vec![0; order.len()];
            for (ordinal, row) in order.iter().enumerate() {
                ordinals[*row as usize] = ordinal as u64;
            }
            ordinals
        });
        Ok(Self { table: narrowed, rows, times, ordinals, order, relevant, masks })
    }

    /// How many rows there are.
    pub(crate) fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The rows, as a matcher takes them.
    pub(crate) fn chunk(&self) -> Chunk<'_> {
        Chunk {
            table: &self.table,
            rows: &self.rows,
            times: &self.times,
            ordinals: &self.ordinals,
            fresh_from: 0,
        }
    }

    /// Whether a row's position is its place in the input.
    pub(crate) fn stand_as_they_arrived(&self) -> bool {
        self.relevant.is_none() && !self.rows.is_rearranged()
    }

    /// The row of the input that stands at a position.
    #[inline]
    pub(crate) fn arrival(&self, position: u32) -> u32 {
        self.in_input(self.rows.arrival(position))
    }

    /// The place in order of each row of the input, of which there are `rows`; `None`: rows arrived in order.
    pub(crate) fn ordinals_of_input(&self, rows: usize) -> Option<Vec<u32>> {
        let order = self.order.as_ref()?;
        let mut ordinals = vec![0; rows];
        for (ordinal, row) in order.iter().enumerate() {
            ordinals[self.in_input(*row) as usize] = ordinal as u32;
        }
        Some(ordinals)
    }

    /// An error that names a row by its place in the order of these, naming it as the input does.
    pub(crate) fn name_row(&self, error: MatchError) -> MatchError {
        error.with_rows(|ordinal| {
            let row = self.order.as_ref().map_or(ordinal as u32, |order| order[ordinal as usize]);
            u64::from(self.in_input(row))
        })
    }

    /// The rows of the input by their place in the order of these; `None`: they are all there, in order.
    pub(crate) fn into_arrivals(self) -> (Option<Vec<u32>>, Option<OrderedRows>) {
        match (self.relevant, self.order) {
            (None, order) => (order, Some(self.rows)),
            (Some(relevant), None) => (Some(relevant), None),
            (Some(relevant), Some(order)) => {
                (Some(order.iter().map(|row| relevant[*row as usize]).collect()), None)
            }
        }
    }

    #[inline]
    fn in_input(&self, row: u32) -> u32 {
        self.relevant.as_ref().map_or(row, |relevant| relevant[row as usize])
    }
}

/// The rows that can matter, if that is few enough for the rest to be left out: they are then neither given a key nor put
/// in order.
fn relevant_rows(
    matcher: &SequenceMatcher,
    outputs: &Outputs,
    keys: &[usize],
    masks: &Masks,
    rows: usize,
    threads: usize,
) -> Option<Vec<u32>> {
    // Columns at a distance are read of all rows.
    if !outputs.shifted.is_empty() {
        return None;
    }
    if matcher.has_no_match(masks, rows) {
        return Some(vec![]);
    }
    let relevant = matcher.relevant(masks, rows)?;
    let count = relevant.count(0, relevant.len());
    let sparse = if keys.is_empty() { SPARSE } else { SPARSE_BY_KEY };
    (count <= relevant.len() / sparse).then(|| relevant.set_rows_on(threads))
}

fn narrowed(
    matcher: &SequenceMatcher,
    outputs: &Outputs,
    keys: &[usize],
    table: &Table,
    rows: &[u32],
    options: &MatchOptions,
) -> Result<Table, EngineError> {
    let mut columns = matcher.columns_of_runs();
    columns.extend(keys);
    columns.extend(outputs.order_by.iter().map(|key| key.column));
    Ok(table.narrowed(rows, &columns, options.workers(rows.len()).threads)?)
}

/// Whether [`event_times`] has neither an error to raise nor a NULL to tell. `ascending`: the rows stand in order of the column.
///
/// Cost: O(1) a batch of rows in order, else O(n).
fn plain_times(table: &Table, column: usize, ascending: bool) -> Result<bool, EngineError> {
    let Some(unit) = nanoseconds_per_step(table.schema().field(column).data_type()) else { return Ok(true) };
    let all_plain = |times: &ArrayRef| -> Result<bool, EngineError> {
        Ok(are_plain(as_int64(times)?.as_primitive::<Int64Type>(), unit))
    };
    for batch in table.batches() {
        let times = batch.column(column);
        let plain = if ascending && times.null_count() == 0 && !times.is_empty() {
            // The least and the greatest of them stand at the ends.
            all_plain(&times.slice(0, 1))? && all_plain(&times.slice(times.len() - 1, 1))?
        } else {
            all_plain(times)?
        };
        if !plain {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether there is a time in every row, and all can be counted in nanoseconds.
fn are_plain(ticks: &Int64Array, unit: i64) -> bool {
    let most = (NO_TIME - 2) / unit;
    // Without a way out the comparison takes several at once.
    let out_of_range =
        |chunk: &[i64]| chunk.iter().fold(false, |out, time| out | !(-most..=most).contains(time));
    ticks.null_count() == 0 && !ticks.values().chunks(1 << 12).any(out_of_range)
}

/// Event times in nanoseconds; NULL is [`NO_TIME`]. A column that is no time counts as nanoseconds if it is of whole
/// numbers; of any other the order alone matters, and no bound can be measured in it. `arrival`: what an error calls a
/// row.
pub(crate) fn event_times(
    table: &Table,
    column: usize,
    arrival: &dyn Fn(u64) -> u64,
) -> Result<Vec<i64>, EngineError> {
    let Some(unit) = nanoseconds_per_step(table.schema().field(column).data_type()) else {
        return Ok(vec![]);
    };
    let mut times = Vec::with_capacity(table.num_rows());
    for batch in table.batches() {
        let ticks = as_int64(batch.column(column))?;
        let ticks = ticks.as_primitive::<Int64Type>();
        if are_plain(ticks, unit) {
            times.extend(ticks.values().iter().map(|time| time * unit));
            continue;
        }
        for row in 0..ticks.len() {
            if ticks.is_null(row) {
                times.push(NO_TIME);
                continue;
            }
            let time = ticks.value(row).checked_mul(unit).filter(|time| *time < NO_TIME - 1);
            let Some(time) = time else {
                let field = table.schema().field(column);
                return Err(EventError::TimeOverflow {
                    column: field.name().clone(),
                    row: arrival(times.len() as u64) as usize,
                    value: ticks.value(row),
                    unit: step_name(field.data_type()).expect("it has steps of nanoseconds"),
                }
                .into());
            };
            times.push(time);
        }
    }
    Ok(times)
}

/// Arrivals in order; `None`: rows arrived in order.
pub(crate) fn order_of_all(table: &Table, keys: &[OrderKey]) -> Result<Option<Vec<u32>>, EngineError> {
    let order = RowOrder::new(table, keys)?;
    if order.arrived_in_order(table.num_rows()) {
        return Ok(None);
    }
    let mut arrivals: Vec<u32> = (0..table.num_rows() as u32).collect();
    arrivals.sort_by(|left, right| order.compare(*left, *right));
    Ok(Some(arrivals))
}
