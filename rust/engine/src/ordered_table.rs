//! The rows of a table in order of time, and numbers of their keys: what is asked of one row after the other sees them so.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::Schema;
use cepheid_event::key::{key_ids, numbers_of_integers};
use cepheid_event::{EventError, Table, check_steps, event_steps, nanoseconds_of, resolve_column};
use cepheid_ir::{ColumnName, PatternError};
use cepheid_window::start_of;

use crate::error::EngineError;
use crate::plan::MatchOptions;
use crate::time_order::{Stretches, TimeOrder};

/// Rows that are seen to at a time: what is kept of them stays near.
pub(crate) const CHUNK_ROWS: usize = 1 << 14;

/// Edges of a grid are looked for between the rows that are seen to at a time if there are no more than so many.
const EDGES_MAX: usize = 64;

/// Says which rows of a batch, of which the times are given, matter.
type KeptRows<'a> = &'a dyn Fn(&RecordBatch, &[i64]) -> Result<BooleanBuffer, EngineError>;

/// The column that `what` goes by: the one that it names itself, or else that of the options.
///
/// # Errors
/// There is no such column, or neither names one.
pub(crate) fn event_time_of(
    what: &str,
    own: Option<&ColumnName>,
    schema: &Schema,
    options: &MatchOptions,
) -> Result<usize, EngineError> {
    match (own, &options.event_time) {
        (Some(column), _) => Ok(resolve_column(schema, &column.name, column.quoted)?),
        (None, Some(name)) => Ok(resolve_column(schema, name, false)?),
        (None, None) => Err(PatternError::InvalidExpression {
            context: what.to_owned(),
            problem: "it goes by event time; name its column with event_time=...".into(),
        }
        .into()),
    }
}

/// Which rows of a table matter, and their order of time.
enum Order {
    /// All of them, as they stand.
    AsTheyStand,
    /// All of them, a few of which came late.
    Stretches(Stretches),
    /// Their numbers, in order.
    Rows(ScalarBuffer<u32>),
}

/// The rows of a table that matter, in order of time.
pub(crate) struct OrderedTable<'a> {
    pub(crate) table: &'a Table,
    /// Times in steps of their column, as they stand there if they can, and how many nanoseconds each step is. In order; where that is
    /// one of stretches, as they came.
    steps: ScalarBuffer<i64>,
    step: i64,
    order: Order,
    /// Numbers of the rows in order, once somebody has asked for one in the middle of stretches.
    rows: OnceLock<Vec<u32>>,
    /// The greatest time of all rows of the table, those that do not matter among them.
    pub(crate) greatest_time: Option<i64>,
}

impl<'a> OrderedTable<'a> {
    /// `kept`: which rows of a batch matter, of which the times are given; `None`: all do.
    ///
    /// # Errors
    /// A row without an event time, whether it matters or not, before anything that `kept` raises.
    pub(crate) fn new(
        event_time: usize,
        table: &'a Table,
        kept: Option<KeptRows<'_>>,
    ) -> Result<Self, EngineError> {
        let name = table.schema().field(event_time).name();
        let (steps, step) = match table.batches() {
            [only] => event_steps(name, only.column(event_time), 0)?,
            batches => {
                let (mut all, mut step) = (Vec::with_capacity(table.num_rows()), 1);
                for batch in batches {
                    let steps;
                    (steps, step) = event_steps(name, batch.column(event_time), all.len())?;
                    check_steps(name, batch.column(event_time), all.len())?;
                    all.extend_from_slice(&steps);
                }
                (all.into(), step)
            }
        };
        // Where nothing else is asked of the times before they are in order, the first and the last tell whether all fit.
        let unchecked = if let [only] = table.batches() { Some(only.column(event_time)) } else { None };
        let check_ends = |least: i64, greatest: i64| match unchecked {
            Some(column) if least.checked_mul(step).is_none() || greatest.checked_mul(step).is_none() => {
                check_steps(name, column, 0)
            }
            _ => Ok(()),
        };
        let mut order: Option<Vec<u32>> = None;
        if let Some(kept) = kept {
            check_ends(i64::MIN, i64::MAX)?;
            let times = in_nanoseconds(&steps, step);
            let mut first = 0;
            for batch in table.batches() {
                let mask = kept(batch, &times[first..first + batch.num_rows()])?;
                if order.is_none() && mask.count_set_bits() < batch.num_rows() {
                    order = Some((0..first as u32).collect());
                }
                if let Some(order) = &mut order {
                    order.extend(mask.set_indices().map(|row| (first + row) as u32));
                }
                first += batch.num_rows();
            }
        }
        let greatest_of_all = order.as_ref().and_then(|_| steps.iter().max().map(|greatest| greatest * step));
        let steps = order.as_ref().map_or_else(|| steps.clone(), |order| picked(&steps, order));
        let places = match TimeOrder::of(&steps) {
            TimeOrder::AsTheyCame => None,
            TimeOrder::Stretches(stretches) if order.is_none() => {
                let order = Order::Stretches(stretches);
                let mut own = Self { table, steps, step, order, rows: OnceLock::new(), greatest_time: None };
                let [first, last] = [0, own.len().saturating_sub(1)].map(|place| own.step_at(place));
                check_ends(first, last)?;
                own.greatest_time = own.len().checked_sub(1).map(|last| own.time(last));
                return Ok(own);
            }
            TimeOrder::Stretches(stretches) => Some(stretches.rows(0..steps.len())),
            TimeOrder::Rows(places) => Some(places),
        };
        let steps = places.as_ref().map_or_else(|| steps.clone(), |places| picked(&steps, places));
        let order = match (places, order) {
            (None, order) => order,
            (Some(places), None) => Some(places),
            (Some(places), Some(order)) => Some(places.iter().map(|place| order[*place as usize]).collect()),
        };
        let order = order.map_or(Order::AsTheyStand, |order| Order::Rows(order.into()));
        if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
            check_ends(*first, *last)?;
        }
        let greatest_time = greatest_of_all.or(steps.last().map(|last| last * step));
        Ok(Self { table, steps, step, order, rows: OnceLock::new(), greatest_time })
    }

    pub(crate) fn time(&self, place: usize) -> i64 {
        self.step_at(place) * self.step
    }

    fn step_at(&self, place: usize) -> i64 {
        match &self.order {
            Order::Stretches(stretches) => self.steps[stretches.row(place)],
            _ => self.steps[place],
        }
    }

    /// The same of rows of which nothing matters but between which edges of a grid they are, this far apart: others may stand for
    /// times between the same two. The last is as it is.
    pub(crate) fn times_on_grid(&self, places: Range<usize>, (every, offset): (i64, i64)) -> Cow<'_, [i64]> {
        if self.step == 1 && !matches!(self.order, Order::Stretches(_)) {
            // They are there.
            return self.times(places);
        }
        let Some(last) = places.clone().last() else { return self.times(places) };
        let last = self.time(last);
        let mut times = Vec::with_capacity(places.len());
        for _ in 0..EDGES_MAX {
            let begin = places.start + times.len();
            if begin == places.end {
                break;
            }
            let time = self.time(begin);
            let end = match start_of(time, every, offset).checked_add(every) {
                Some(edge) if edge <= last => self.first_at_within(begin..places.end, edge),
                _ => places.end,
            };
            times.resize(end - places.start, time);
        }
        if places.start + times.len() < places.end {
            // To look for so many costs more.
            return self.times(places);
        }
        times.pop();
        times.push(last);
        times.into()
    }

    /// The first row of a time or a later one.
    pub(crate) fn first_at(&self, time: i64) -> usize {
        self.first_at_within(0..self.len(), time)
    }

    /// The same of such rows, or the end of them.
    pub(crate) fn first_at_within(&self, places: Range<usize>, time: i64) -> usize {
        self.first(places, &|own| own >= time)
    }

    /// The first row of a time behind this one.
    pub(crate) fn first_behind(&self, time: i64) -> usize {
        self.first(0..self.len(), &|own| own > time)
    }

    /// The first row of such a time, as all behind it are.
    fn first(&self, places: Range<usize>, is_behind: &dyn Fn(i64) -> bool) -> usize {
        let Range { start: mut begin, mut end } = places;
        while begin < end {
            let middle = begin.midpoint(end);
            if is_behind(self.time(middle)) { end = middle } else { begin = middle + 1 }
        }
        begin
    }

    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(crate) fn times(&self, places: Range<usize>) -> Cow<'_, [i64]> {
        match &self.order {
            Order::Stretches(stretches) => match stretches.times(&self.steps, places) {
                steps if self.step == 1 => steps.into(),
                steps => nanoseconds_of(&steps, self.step).into(),
            },
            _ => in_nanoseconds(&self.steps[places], self.step),
        }
    }

    pub(crate) fn column(&self, index: usize, places: Range<usize>) -> Result<ArrayRef, EventError> {
        let rows = match &self.order {
            Order::AsTheyStand => return self.table.slice(index, places),
            Order::Stretches(stretches) => {
                if let [only] = self.table.batches()
                    && let Some(array) = stretches.array(only.column(index), places.clone())
                {
                    return Ok(array);
                }
                stretches.rows(places).into()
            }
            Order::Rows(order) => order.slice(places.start, places.len()),
        };
        self.table.gather(index, &UInt32Array::new(rows, None))
    }

    /// The values of a column, for some rows by their places in the order.
    pub(crate) fn gather(&self, index: usize, places: &[u32]) -> Result<ArrayRef, EventError> {
        let rows = match &self.order {
            Order::AsTheyStand => None,
            Order::Stretches(stretches) => {
                Some(self.rows.get_or_init(|| stretches.rows(0..self.len())).as_slice())
            }
            Order::Rows(order) => Some(&order[..]),
        };
        let of = |place: &u32| rows.map_or(*place, |rows| rows[*place as usize]);
        self.table.gather(index, &places.iter().map(of).collect::<Vec<_>>().into())
    }
}

/// Steps of so many nanoseconds each as nanoseconds.
fn in_nanoseconds(steps: &[i64], step: i64) -> Cow<'_, [i64]> {
    if step == 1 { steps.into() } else { nanoseconds_of(steps, step).into() }
}

/// The times at some places.
fn picked(times: &[i64], places: &[u32]) -> ScalarBuffer<i64> {
    places.iter().map(|place| times[*place as usize]).collect()
}

/// Numbers of the keys of all rows of a table.
pub(crate) struct KeyNumbers {
    /// None where all rows share one.
    of_row: Vec<u32>,
    /// The first row of each; of a number that is no row's, none.
    pub(crate) firsts: Vec<u32>,
}

/// Integers stand for themselves as keys where there are so many rows for each that may be.
const ROWS_OF_A_NUMBER: usize = 16;

/// Which of so many threads sees to the rows of a key. Numbers may be any integers: what they have in common, every second one
/// for instance, must not leave some threads without any.
pub(crate) fn lane_of(key: u32, lanes: u32) -> u32 {
    // Fibonacci hashing (Knuth, *The Art of Computer Programming* 3, 6.4).
    (key.wrapping_mul(0x9E37_79B1) >> 16) % lanes
}

impl KeyNumbers {
    /// Of these columns.
    ///
    /// # Errors
    /// Of columns that are no keys.
    pub(crate) fn new(columns: &[usize], table: &Table) -> Result<Self, EngineError> {
        if columns.is_empty() {
            return Ok(Self { of_row: vec![], firsts: vec![] });
        }
        let span_max = table.num_rows() / ROWS_OF_A_NUMBER;
        if let Some((of_row, keys)) = numbers_of_integers(table, columns, span_max) {
            let mut firsts = vec![u32::MAX; keys];
            let mut left = keys;
            for (row, key) in of_row.iter().enumerate() {
                let first = &mut firsts[*key as usize];
                if *first == u32::MAX {
                    *first = row as u32;
                    left -= 1;
                    // Most often all are met soon.
                    if left == 0 {
                        break;
                    }
                }
            }
            return Ok(Self { of_row, firsts });
        }
        let of_row = key_ids(table, columns)?.ids;
        let mut firsts = vec![];
        for (row, key) in of_row.iter().enumerate() {
            // They are numbered as they appear.
            if *key as usize == firsts.len() {
                firsts.push(row as u32);
            }
        }
        Ok(Self { of_row, firsts })
    }

    pub(crate) fn count(&self) -> usize {
        self.firsts.len().max(1)
    }

    pub(crate) fn of(&self, rows: &OrderedTable<'_>, own: Range<usize>) -> Cow<'_, [u32]> {
        if self.of_row.is_empty() {
            return vec![0; own.len()].into();
        }
        match &rows.order {
            Order::AsTheyStand => self.of_row[own].into(),
            Order::Stretches(stretches) => stretches.values(&self.of_row, own).into(),
            Order::Rows(order) => order[own].iter().map(|row| self.of_row[*row as usize]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};
    use arrow_schema::{DataType, TimeUnit};

    use super::*;

    #[test]
    fn rows_of_which_a_few_come_late_are_read_as_if_they_were_sorted() {
        let rows = 90_i64;
        let time = |row: &i64| row * 10 - if row % 7 == 5 { row % 4 * 25 } else { 0 };
        let columns = |rows: Range<i64>| -> Vec<(&str, ArrayRef)> {
            let texts = StringArray::from_iter_values(rows.clone().map(|row| row.to_string()));
            let some = rows.clone().map(|row| (row % 3 > 0).then_some(row as f64));
            vec![
                ("ts", Arc::new(rows.clone().map(|row| time(&row)).collect::<Int64Array>())),
                ("key", Arc::new(rows.clone().map(|row| row % 5).collect::<Int64Array>())),
                ("text", Arc::new(texts)),
                ("some", Arc::new(some.collect::<Float64Array>())),
            ]
        };
        let batch = |rows| RecordBatch::try_from_iter(columns(rows)).expect("columns of one length");
        let mut sorted: Vec<i64> = (0..rows).collect();
        sorted.sort_by_key(time);
        let times: Vec<i64> = sorted.iter().map(time).collect();
        let places: Vec<u32> = sorted.iter().map(|row| *row as u32).collect();
        let mut compared = 0;
        let in_one = vec![batch(0..rows)];
        let in_two = vec![batch(0..40), batch(40..rows)];
        for (batches, step) in [(in_one.clone(), 1), (in_two.clone(), 1), (in_one, 1_000), (in_two, 1_000)] {
            let batches: Vec<RecordBatch> = batches.iter().map(|batch| in_steps(batch, step)).collect();
            let table = Table::new(batches[0].schema(), batches).expect("a table");
            let own = OrderedTable::new(0, &table, None).expect("times");
            assert!(matches!(own.order, Order::Stretches(_)), "few are late");
            let keys = KeyNumbers::new(&[1], &table).expect("keys");
            let times: Vec<i64> = times.iter().map(|time| time * step).collect();
            assert_eq!(own.greatest_time, times.last().copied());
            for place in 0..times.len() {
                assert_eq!(own.time(place), times[place]);
                assert_eq!(own.first_at(times[place]), times.partition_point(|time| *time < times[place]));
                let behind = times.partition_point(|time| *time <= times[place]);
                assert_eq!(own.first_behind(times[place]), behind);
                let part = place..times.len().min(place + 33);
                assert_eq!(*own.times(part.clone()), times[part.clone()]);
                let of_part: Vec<u32> = sorted[part.clone()].iter().map(|row| (row % 5) as u32).collect();
                assert_eq!(*keys.of(&own, part.clone()), of_part);
                let backwards: Vec<u32> = part.clone().rev().map(|place| place as u32).collect();
                for column in 0..4 {
                    let expected = table.gather(column, &places[part.clone()].to_vec().into());
                    assert_eq!(
                        *own.column(column, part.clone()).expect("a column"),
                        *expected.expect("rows")
                    );
                    let rows: Vec<u32> = backwards.iter().map(|place| places[*place as usize]).collect();
                    let expected = table.gather(column, &rows.into()).expect("rows");
                    assert_eq!(*own.gather(column, &backwards).expect("a column"), *expected);
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 4 * 90 * 4);
    }

    /// The same rows, their times in steps of so many nanoseconds: one, or a thousand.
    fn in_steps(batch: &RecordBatch, step: i64) -> RecordBatch {
        let data_type = match step {
            1 => DataType::Int64,
            _ => DataType::Timestamp(TimeUnit::Microsecond, None),
        };
        let times = arrow_cast::cast(batch.column(0), &data_type).expect("times");
        let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        let others = batch.columns()[1..].iter().cloned();
        RecordBatch::try_from_iter(names.into_iter().zip([times].into_iter().chain(others))).expect("a batch")
    }

    #[test]
    fn times_that_do_not_fit_are_refused_wherever_they_stand() {
        let most = i64::MAX / 1_000;
        let least = i64::MIN / 1_000;
        // In order, with a late one, and with many.
        let fitting =
            [vec![least, 0, 5, most], vec![0, 1, 2, 3, 4, least, 7, most], vec![most, 3, 2, 1, least]];
        let (mut refused, mut taken) = (0, 0);
        let all = |_: &RecordBatch, times: &[i64]| Ok(BooleanBuffer::new_set(times.len()));
        let some = |_: &RecordBatch, times: &[i64]| Ok(times.iter().map(|time| time % 2_000 == 0).collect());
        let conditions: [Option<KeptRows<'_>>; 3] = [None, Some(&all), Some(&some)];
        for times in fitting {
            for place in 0..=times.len() {
                for beyond in [most + 1, least - 1, i64::MAX] {
                    let mut times = times.clone();
                    if let Some(time) = times.get_mut(place) {
                        *time = beyond;
                    }
                    let times: ArrayRef = Arc::new(Int64Array::from(times));
                    let batch = RecordBatch::try_from_iter([("ts", times)]).expect("one column");
                    let batch = in_steps(&batch, 1_000);
                    let rows = batch.num_rows();
                    let in_two = vec![batch.slice(0, 2), batch.slice(2, rows - 2)];
                    for batches in [vec![batch], in_two] {
                        let table = Table::new(batches[0].schema(), batches).expect("a table");
                        for kept in conditions {
                            let own = OrderedTable::new(0, &table, kept);
                            if place == rows {
                                assert!(own.is_ok());
                                taken += 1;
                                continue;
                            }
                            let error = own.err().expect("it does not fit").to_string();
                            assert!(error.contains(&format!("row {place}")), "{error}");
                            refused += 1;
                        }
                    }
                }
            }
        }
        assert_eq!((refused, taken), (17 * 18, 3 * 18));
    }

    #[test]
    fn times_on_a_grid_are_between_the_same_edges() {
        let time = |row: &i64| row * 10 - if row % 7 == 5 { row % 4 * 25 } else { 0 };
        let times: ArrayRef = Arc::new((0..900).map(|row| time(&row)).collect::<Int64Array>());
        let late = RecordBatch::try_from_iter([("ts", times)]).expect("one column");
        let times: ArrayRef = Arc::new((0..900).map(|row| row * 10).collect::<Int64Array>());
        let in_order = RecordBatch::try_from_iter([("ts", times)]).expect("one column");
        let (mut cases, mut fewer) = (0, 0);
        for (batch, step) in [(&late, 1), (&late, 1_000), (&in_order, 1_000)] {
            let batch = in_steps(batch, step);
            let table = Table::new(batch.schema(), vec![batch]).expect("a table");
            let rows = OrderedTable::new(0, &table, None).expect("times");
            // From several windows between two rows to one of all of them.
            for every in [3, 10, 45, 200, 1_000, 20_000] {
                for offset in [0, 2] {
                    let (every, offset) = (every * step, offset * step);
                    for places in [0..0, 0..1, 0..900, 17..60, 300..899, 120..121] {
                        let own = rows.times(places.clone());
                        let found = rows.times_on_grid(places, (every, offset));
                        let edges = |times: &[i64]| -> Vec<i64> {
                            times.iter().map(|time| start_of(*time, every, offset)).collect()
                        };
                        assert_eq!(edges(&found), edges(&own));
                        assert_eq!((found.first(), found.last()), (own.first(), own.last()));
                        assert!(found.is_sorted());
                        cases += 1;
                        fewer += usize::from(found != own);
                    }
                }
            }
        }
        assert_eq!(cases, 216);
        assert!(fewer > 60, "{fewer}");
    }

    #[test]
    fn the_first_row_of_every_number_is_known() {
        let keys = [5, 7, 5, 9, 7, 5, 9, 5].repeat(16);
        let batch = RecordBatch::try_from_iter([("key", Arc::new(Int64Array::from(keys)) as ArrayRef)]);
        let batch = batch.expect("one column");
        let table = Table::new(batch.schema(), vec![batch]).expect("a table");
        let keys = KeyNumbers::new(&[0], &table).expect("keys");
        // 6 and 8 are no row's.
        assert_eq!(keys.firsts, [0, u32::MAX, 1, u32::MAX, 3]);
        let dense = (0..256).map(|row| 3 - row % 3).collect::<Int64Array>();
        let batch = RecordBatch::try_from_iter([("key", Arc::new(dense) as ArrayRef)]).expect("one column");
        let table = Table::new(batch.schema(), vec![batch]).expect("a table");
        assert_eq!(KeyNumbers::new(&[0], &table).expect("keys").firsts, [2, 1, 0]);
    }
}
