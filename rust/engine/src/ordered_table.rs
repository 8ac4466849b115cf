//! The rows of a table in order of time, and numbers of their keys: what is asked of one row after the other sees them so.

use std::ops::Range;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::Schema;
use cepheid_event::key::{key_ids, numbers_of_integers};
use cepheid_event::{EventError, Table, event_times, resolve_column};
use cepheid_ir::{ColumnName, PatternError};

use crate::error::EngineError;
use crate::plan::MatchOptions;

/// Rows that are seen to at a time: what is kept of them stays near.
pub(crate) const CHUNK_ROWS: usize = 1 << 14;

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

/// The rows of a table that matter, in order of time.
pub(crate) struct OrderedTable<'a> {
    pub(crate) table: &'a Table,
    /// In order.
    times: ScalarBuffer<i64>,
    /// Numbers of the rows, in order; `None`: all of them, as they stand.
    order: Option<ScalarBuffer<u32>>,
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
        let times = match table.batches() {
            [only] => event_times(name, only.column(event_time), 0)?,
            batches => {
                let mut times = Vec::with_capacity(table.num_rows());
                for batch in batches {
                    times.extend_from_slice(&event_times(name, batch.column(event_time), times.len())?);
                }
                times.into()
            }
        };
        let mut order: Option<Vec<u32>> = None;
        if let Some(kept) = kept {
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
        let greatest_of_all = order.as_ref().and_then(|_| times.iter().max().copied());
        let of_order = |order: &Vec<u32>| order.iter().map(|row| times[*row as usize]).collect();
        let times = order.as_ref().map_or_else(|| times.clone(), of_order);
        let (times, order) = match (in_order_of_time(&times), order) {
            (None, order) => (times, order),
            (Some((times, places)), None) => (times.into(), Some(places)),
            (Some((times, places)), Some(order)) => {
                (times.into(), Some(places.iter().map(|place| order[*place as usize]).collect()))
            }
        };
        let order = order.map(ScalarBuffer::from);
        let greatest_time = greatest_of_all.or(times.last().copied());
        Ok(Self { table, times, order, greatest_time })
    }

    pub(crate) fn time(&self, row: usize) -> i64 {
        self.times[row]
    }

    /// The first row of a time or a later one.
    pub(crate) fn first_at(&self, time: i64) -> usize {
        self.times.partition_point(|own| *own < time)
    }

    /// The first row of a time behind this one.
    pub(crate) fn first_behind(&self, time: i64) -> usize {
        self.times.partition_point(|own| *own <= time)
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn times(&self, rows: Range<usize>) -> &[i64] {
        &self.times[rows]
    }

    pub(crate) fn column(&self, index: usize, rows: Range<usize>) -> Result<ArrayRef, EventError> {
        match &self.order {
            None => self.table.slice(index, rows),
            Some(order) => {
                let order = order.slice(rows.start, rows.len());
                self.table.gather(index, &UInt32Array::new(order, None))
            }
        }
    }

    /// The values of a column, for some rows by their places in the order.
    pub(crate) fn gather(&self, index: usize, places: &[u32]) -> Result<ArrayRef, EventError> {
        let of = |place: &u32| self.order.as_ref().map_or(*place, |order| order[*place as usize]);
        self.table.gather(index, &places.iter().map(of).collect::<Vec<_>>().into())
    }
}

/// Of late rows there are at most one in so many; where there are more, all rows are sorted.
const LATE_AT_MOST: usize = 4;

/// Times in order, and where each stood before, those that are equal as they stood; `None`: they are in order.
///
/// Streams are in order but for the rows that come behind a later one. These alone are sorted, and put between the others, which
/// are copied stretch by stretch.
///
/// Cost: O(rows + late log rows); O(rows log rows) where many are late, or one is dated far ahead.
fn in_order_of_time(times: &[i64]) -> Option<(Vec<i64>, Vec<u32>)> {
    let mut late: Vec<(i64, u32)> = vec![];
    let mut greatest = i64::MIN;
    for (place, time) in times.iter().enumerate() {
        if *time >= greatest {
            greatest = *time;
        } else if late.len() * LATE_AT_MOST < times.len() {
            late.push((*time, place as u32));
        } else {
            let mut order: Vec<u32> = (0..times.len() as u32).collect();
            order.sort_by_key(|place| times[*place as usize]);
            return Some((order.iter().map(|place| times[*place as usize]).collect(), order));
        }
    }
    if late.is_empty() {
        return None;
    }
    let ends: Vec<u32> = late.iter().map(|(_, place)| *place).chain([times.len() as u32]).collect();
    sort_late(&mut late, times.len());
    let mut late = late.into_iter().peekable();
    let (mut in_order, mut order) = (Vec::with_capacity(times.len()), Vec::with_capacity(times.len()));
    let mut begin = 0;
    for end in ends {
        let stretch = &times[begin as usize..end as usize];
        let mut copied = 0;
        while let Some((time, place)) =
            late.next_if(|(time, _)| stretch.last().is_some_and(|last| time < last))
        {
            // Rows of its own time that are not late stood before it.
            let until = copied + stretch[copied..].iter().take_while(|other| **other <= time).count();
            in_order.extend_from_slice(&stretch[copied..until]);
            order.extend(begin + copied as u32..begin + until as u32);
            in_order.push(time);
            order.push(place);
            copied = until;
        }
        in_order.extend_from_slice(&stretch[copied..]);
        order.extend(begin + copied as u32..end);
        begin = end + 1;
    }
    debug_assert!(late.next().is_none(), "a row before a late one is of a later time");
    Some((in_order, order))
}

/// Sorts times, each with its place among so many. Where both fit into one number, as they do unless times lie ages apart, numbers are
/// sorted: in half the time.
fn sort_late(late: &mut [(i64, u32)], places: usize) {
    let place_bits = usize::BITS - places.leading_zeros();
    let least = late.iter().map(|(time, _)| *time).min().unwrap_or(0);
    let greatest = late.iter().map(|(time, _)| *time).max().unwrap_or(0);
    if greatest.abs_diff(least).leading_zeros() < place_bits {
        late.sort_unstable();
        return;
    }
    let mut numbers: Vec<u64> =
        late.iter().map(|(time, place)| time.abs_diff(least) << place_bits | u64::from(*place)).collect();
    numbers.sort_unstable();
    for (late, number) in late.iter_mut().zip(numbers) {
        *late = (least + (number >> place_bits) as i64, (number & ((1 << place_bits) - 1)) as u32);
    }
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
            of_row.iter().enumerate().rev().for_each(|(row, key)| firsts[*key as usize] = row as u32);
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

    pub(crate) fn of(&self, rows: &OrderedTable<'_>, own: Range<usize>) -> std::borrow::Cow<'_, [u32]> {
        if self.of_row.is_empty() {
            return vec![0; own.len()].into();
        }
        match &rows.order {
            None => self.of_row[own].into(),
            Some(order) => order[own].iter().map(|row| self.of_row[*row as usize]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_come_late_are_put_where_sorting_puts_them() {
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut cases = 0;
        for late_in_a_hundred in [0, 1, 5, 20, 40, 100] {
            for rows in [0, 1, 2, 5, 40, 700] {
                for step in [0, 1, 3] {
                    let time = |row: u64| {
                        let late = if random(100) < late_in_a_hundred { random(30) } else { 0 };
                        (row * step / 2) as i64 - late as i64
                    };
                    let times: Vec<i64> = (0..rows).map(time).collect();
                    let mut sorted: Vec<u32> = (0..rows as u32).collect();
                    sorted.sort_by_key(|place| times[*place as usize]);
                    let own = sorted.iter().map(|place| times[*place as usize]).collect();
                    let expected = (!times.is_sorted()).then_some((own, sorted));
                    assert_eq!(in_order_of_time(&times), expected, "{late_in_a_hundred} {rows} {step}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 108);
        // One row is dated far ahead, and all after it come behind it.
        let ahead = [5, 1_000, 6, 7, 8, 9, 3];
        assert_eq!(in_order_of_time(&ahead).expect("late rows").1, [6, 0, 2, 3, 4, 5, 1]);
        // Late ones lie further apart than one number holds.
        let apart = [0, 10, 20, 30, 40, i64::MIN, 50, i64::MAX, i64::MAX - 1, 60];
        assert_eq!(in_order_of_time(&apart).expect("late rows").1, [5, 0, 1, 2, 3, 4, 6, 9, 8, 7]);
    }
}
