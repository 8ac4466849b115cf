//! Rows grouped by key and put in order: the input of every matcher.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow_buffer::{BooleanBufferBuilder, ScalarBuffer};

use crate::error::EventError;
use crate::key::key_ids;
use crate::order::{OrderKey, RowOrder};
use crate::scattered::plain_values;
use crate::shared_grouping::{self, Grouped};
use crate::table::Table;
use crate::taken::{is_plain_and_wide, wide_numbers};

/// The rows of a table, partition after partition in order of the key's first appearance, each partition in order.
///
/// A row's place in this sequence is its *position*; its place in the table is its *arrival*.
#[derive(Debug)]
pub struct OrderedRows {
    /// `arrivals[position]`; `None` where the two are the same.
    arrivals: Option<ScalarBuffer<u32>>,
    /// Partition `p` owns the positions `starts[p]..starts[p + 1]`.
    starts: Vec<u32>,
    /// A column that is read often, by position.
    hot: Option<(usize, ArrayRef)>,
    /// Whether rows arrived in order, all partitions taken together.
    arrived_in_order: bool,
}

impl OrderedRows {
    /// Groups and orders.
    ///
    /// `read_often` names columns that will be read at every position. The first of them that is of 64-bit numbers
    /// without NULLs is moved into order while the rows are being grouped: writing to as many places as there are
    /// keys, in turn, is some three times as fast as reading from one end of the table to the other for every key.
    ///
    /// Cost: O(n) for keys and grouping (a counting sort over dense key ids), and O(m log m) only for partitions
    /// that did not arrive in order. Space: 4 bytes a row, 8 while grouping, and 8 for the column that is moved; none
    /// for rows that arrived grouped and in order.
    ///
    /// # Errors
    /// [`EventError::ColumnType`] for columns that have no equality or order.
    pub fn new(
        table: &Table,
        partition_by: &[usize],
        order_by: &[OrderKey],
        read_often: &[usize],
    ) -> Result<Self, EventError> {
        Self::on_threads(table, partition_by, order_by, read_often, 1)
    }

    /// The same by at most so many threads, as far as there is enough for them to do.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn on_threads(
        table: &Table,
        partition_by: &[usize],
        order_by: &[OrderKey],
        read_often: &[usize],
        threads: usize,
    ) -> Result<Self, EventError> {
        let rows = u32::try_from(table.num_rows()).expect("a table keeps to ROWS_MAX");
        let order = RowOrder::new(table, order_by)?;
        let in_order = order.arrived_in_order_on(table.num_rows(), threads);
        let mut ordered = if partition_by.is_empty() {
            Self::by_arrival(table.num_rows())
        } else {
            Self::grouped(table, partition_by, if in_order { read_often } else { &[] }, threads)?
        };
        if !in_order {
            ordered.arrived_in_order = false;
            let mut arrivals = match ordered.arrivals.take() {
                Some(arrivals) => arrivals.to_vec(),
                None => (0..rows).collect(),
            };
            for partition in ordered.starts.windows(2) {
                order.sort(&mut arrivals[partition[0] as usize..partition[1] as usize]);
            }
            ordered.arrivals = Some(arrivals.into());
        }
        Ok(ordered)
    }

    /// All of `rows` rows as one partition, in order of arrival.
    pub fn by_arrival(rows: usize) -> Self {
        let rows = u32::try_from(rows).expect("a table keeps to ROWS_MAX");
        let starts = if rows == 0 { vec![0] } else { vec![0, rows] };
        Self { arrivals: None, starts, hot: None, arrived_in_order: true }
    }

    /// Groups given as such: partition `p` holds the rows of the table with the arrivals `starts[p]..starts[p + 1]` of
    /// `arrivals`, in that order. A row may stand in several.
    pub fn of_groups(arrivals: Vec<u32>, starts: Vec<u32>) -> Self {
        debug_assert_eq!(
            starts.last().map(|end| *end as usize),
            Some(arrivals.len()),
            "starts end where rows do"
        );
        Self { arrivals: Some(arrivals.into()), starts, hot: None, arrived_in_order: false }
    }

    fn grouped(
        table: &Table,
        partition_by: &[usize],
        read_often: &[usize],
        threads: usize,
    ) -> Result<Self, EventError> {
        let is_movable =
            |column: &usize| table.batches().iter().all(|batch| is_plain_and_wide(batch.column(*column)));
        let movable = read_often.iter().copied().find(is_movable);
        let stretches = threads.min(table.num_rows() / shared_grouping::ROWS_A_THREAD_MIN);
        if stretches > 1 {
            let Grouped { arrivals, starts, values } =
                shared_grouping::grouped(table, partition_by, movable, stretches)?;
            let hot = movable.zip(values).map(|(column, values)| moved(table, column, values));
            return Ok(Self { arrivals: arrivals.map(Into::into), starts, hot, arrived_in_order: true });
        }
        let keys = key_ids(table, partition_by)?;
        let mut starts = Vec::with_capacity(keys.counts.len() + 1);
        let mut end = 0;
        starts.push(end);
        for count in &keys.counts {
            end += count;
            starts.push(end);
        }
        // Ids go by first appearance: if they never fall, the rows came grouped.
        if keys.ids.is_sorted() {
            return Ok(Self { arrivals: None, starts, hot: None, arrived_in_order: true });
        }
        let (arrivals, hot) = match movable {
            Some(column) => {
                let (arrivals, values) = scattered_with(table, column, &keys.ids, starts.clone());
                (arrivals, Some(moved(table, column, values)))
            }
            None => (scattered(&keys.ids, starts.clone()), None),
        };
        Ok(Self { arrivals: Some(arrivals.into()), starts, hot, arrived_in_order: true })
    }

    /// Whether rows arrived in order, all partitions taken together: then arrival alone tells which of two comes first.
    pub fn arrived_in_order(&self) -> bool {
        self.arrived_in_order
    }

    /// Whether positions differ from arrivals.
    pub fn is_rearranged(&self) -> bool {
        self.arrivals.is_some()
    }

    /// Number of partitions; an empty table has none.
    pub fn num_partitions(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        *self.starts.last().expect("starts is never empty") as usize
    }

    /// The positions of a partition.
    pub fn partition(&self, partition: usize) -> Range<u32> {
        self.starts[partition]..self.starts[partition + 1]
    }

    /// The partition that holds `position`.
    pub fn partition_of(&self, position: u32) -> usize {
        self.starts.partition_point(|start| *start <= position) - 1
    }

    /// The row's place in the table.
    #[inline]
    pub fn arrival(&self, position: u32) -> u32 {
        match &self.arrivals {
            Some(arrivals) => arrivals[position as usize],
            None => position,
        }
    }

    /// Places in the table of many positions; NULL stays NULL.
    pub fn arrivals_of(&self, positions: UInt32Array) -> UInt32Array {
        match &self.arrivals {
            // What a NULL hides is a position like any other (zero, mostly), or there are no rows at all.
            Some(arrivals) => {
                let (_, values, nulls) = positions.into_parts();
                let place = |position: &u32| arrivals.get(*position as usize).copied().unwrap_or(0);
                UInt32Array::new(values.iter().map(place).collect(), nulls)
            }
            None => positions,
        }
    }

    /// The values of `column` at the position `first`, and at every `stride`-th behind it; the positions are a whole number of
    /// strides.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn gather_every(
        &self,
        table: &Table,
        column: usize,
        (first, stride): (usize, usize),
    ) -> Result<ArrayRef, EventError> {
        let Some(arrivals) = &self.arrivals else {
            let rows = (first as u32..self.num_rows() as u32).step_by(stride);
            return table.gather(column, &UInt32Array::from_iter_values(rows));
        };
        let rows = arrivals.chunks_exact(stride).map(|of| of[first]);
        if let [batch] = table.batches()
            && let Some(values) = plain_values(batch.column(column).as_ref(), rows.clone())
        {
            return Ok(values);
        }
        table.gather(column, &UInt32Array::from_iter_values(rows))
    }

    /// The values of `column` at the positions `range`.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn read(&self, table: &Table, column: usize, range: Range<usize>) -> Result<ArrayRef, EventError> {
        match (&self.arrivals, &self.hot) {
            (None, _) => table.slice(column, range),
            (Some(_), Some((hot, values))) if *hot == column => Ok(values.slice(range.start, range.len())),
            (Some(arrivals), _) => {
                let indices = UInt32Array::new(arrivals.slice(range.start, range.len()), None);
                table.gather(column, &indices)
            }
        }
    }

    /// The values of `column` at `positions`; NULL gives NULL.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn gather(
        &self,
        table: &Table,
        column: usize,
        positions: &UInt32Array,
    ) -> Result<ArrayRef, EventError> {
        match &self.hot {
            Some((hot, values)) if *hot == column => Ok(arrow_select::take::take(values, positions, None)?),
            _ => table.gather(column, &self.arrivals_of(positions.clone())),
        }
    }

    /// The values of `column` that stand `shift` rows on in their partition from each of the positions `range`; NULL
    /// where that leaves the partition. `base` holds the column at the positions `base_start..`, and covers
    /// `range` shifted as far as the table goes.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn shifted(
        &self,
        base: &ArrayRef,
        base_start: usize,
        range: Range<usize>,
        shift: i64,
    ) -> Result<ArrayRef, EventError> {
        let outside = self.leaving(range.clone(), shift);
        let rows = range.len();
        let low = (range.start as i64 - base_start as i64).saturating_add(shift);
        let inside = usize::try_from(low).ok().filter(|low| low.saturating_add(rows) <= base.len());
        match (inside, outside) {
            (Some(low), None) => Ok(base.slice(low, rows)),
            (Some(low), Some(outside)) => Ok(arrow_select::nullif::nullif(&base.slice(low, rows), &outside)?),
            (None, outside) => {
                let outside = outside.unwrap_or_else(|| BooleanArray::from(vec![false; rows]));
                let places: UInt32Array =
                    (0..rows).map(|row| (!outside.value(row)).then(|| (low + row as i64) as u32)).collect();
                Ok(arrow_select::take::take(base, &places, None)?)
            }
        }
    }

    /// `mask[i]`: whether position `range.start + i`, moved by `shift`, leaves its partition. `None`: none does.
    fn leaving(&self, range: Range<usize>, shift: i64) -> Option<BooleanArray> {
        if shift == 0 || range.is_empty() {
            return None;
        }
        let mut mask = BooleanBufferBuilder::new(0);
        let mut any = false;
        let mut partition = self.partition_of(range.start as u32);
        let mut position = range.start as i64;
        while position < range.end as i64 {
            let (start, end) = (i64::from(self.starts[partition]), i64::from(self.starts[partition + 1]));
            let stop = end.min(range.end as i64);
            // Rows of this partition, in three stretches: before, inside, after.
            let first_inside = start.saturating_sub(shift).clamp(position, stop);
            let last_inside = end.saturating_sub(shift).clamp(first_inside, stop);
            for (rows, leaves) in [
                (first_inside - position, true),
                (last_inside - first_inside, false),
                (stop - last_inside, true),
            ] {
                mask.append_n(rows as usize, leaves);
                any |= leaves && rows > 0;
            }
            position = stop;
            partition += 1;
        }
        any.then(|| BooleanArray::new(mask.finish(), None))
    }
}

/// The values of a column, moved, with the type that they have.
fn moved(table: &Table, column: usize, values: Vec<u64>) -> (usize, ArrayRef) {
    (column, wide_numbers(table.schema().field(column).data_type(), values))
}

/// Arrivals by position: `ids[row]` is the row's key, whose positions begin at `next[id]`.
fn scattered(ids: &[u32], mut next: Vec<u32>) -> Vec<u32> {
    let mut arrivals = vec![0_u32; ids.len()];
    for (row, id) in ids.iter().enumerate() {
        let place = &mut next[*id as usize];
        arrivals[*place as usize] = row as u32;
        *place += 1;
    }
    arrivals
}

/// As [`scattered`], and in the same pass a column of 64-bit values by position.
fn scattered_with(table: &Table, column: usize, ids: &[u32], mut next: Vec<u32>) -> (Vec<u32>, Vec<u64>) {
    let mut arrivals = vec![0_u32; ids.len()];
    let mut values = vec![0_u64; ids.len()];
    let mut row = 0;
    for batch in table.batches() {
        let data = batch.column(column).to_data();
        let words: &[u64] = &data.buffer(0)[..data.len()];
        for (word, id) in words.iter().zip(&ids[row as usize..]) {
            let place = &mut next[*id as usize];
            arrivals[*place as usize] = row;
            values[*place as usize] = *word;
            *place += 1;
            row += 1;
        }
    }
    (arrivals, values)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampSecondArray};

    use super::*;

    #[test]
    fn what_stands_at_every_stride_is_what_is_gathered_there() {
        let columns = |rows: Range<i64>| -> Vec<(&'static str, ArrayRef)> {
            let numbers = || rows.clone().map(|row| row * 7 % 13);
            let times = TimestampSecondArray::from_iter_values(numbers()).with_timezone("Europe/Paris");
            let decimals = Decimal128Array::from_iter_values(numbers().map(i128::from));
            let texts = StringArray::from_iter_values(numbers().map(|number| number.to_string()));
            vec![
                ("number", Arc::new(Int64Array::from_iter_values(numbers()))),
                ("time", Arc::new(times)),
                ("decimal", Arc::new(decimals.with_precision_and_scale(9, 2).expect("it fits"))),
                ("text", Arc::new(texts)),
                (
                    "null",
                    Arc::new(numbers().map(|number| (number > 6).then_some(number)).collect::<Int64Array>()),
                ),
            ]
        };
        let batch = |rows| {
            RecordBatch::try_from_iter_with_nullable(
                columns(rows).into_iter().map(|(name, column)| (name, column, true)),
            )
            .expect("columns of one length")
        };
        let mut cases = 0;
        for batches in [vec![batch(0..30)], vec![batch(0..11), batch(11..30)]] {
            let table = Table::new(batches[0].schema(), batches).expect("one schema");
            let arrivals: Vec<u32> = (0..24).map(|place| place * 17 % 30).collect();
            for rows in [OrderedRows::of_groups(arrivals, vec![0, 24]), OrderedRows::by_arrival(30)] {
                for (stride, column) in
                    [1, 2, 3].into_iter().flat_map(|stride| (0..5).map(move |of| (stride, of)))
                {
                    for first in 0..stride {
                        let positions = (first as u32..rows.num_rows() as u32).step_by(stride);
                        let positions = UInt32Array::from_iter_values(positions);
                        let expected = rows.gather(&table, column, &positions).expect("values");
                        let found = rows.gather_every(&table, column, (first, stride)).expect("values");
                        assert_eq!(found.to_data(), expected.to_data(), "{column} from {first} by {stride}");
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(cases, 2 * 2 * 5 * 6);
    }
}
