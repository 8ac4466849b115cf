//! Rows of a window that is reported again when late ones come, in the order in which it takes them.
//!
//! A row is taken once no other of its time can come, so that rows stand in the order of (time, topic, arrival) however they
//! are cut; a late one when it comes, behind the rows of times that were over then. One that is late by its own topic's clock
//! alone comes in time: its place is still ahead.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, Schema};
use cepheid_event::merge::Segment;
use cepheid_event::{EventError, LateRows, MergedBatch, MergedSchema, Released};
use cepheid_window::Arrival;

use super::row_rule::TimedRows;
use super::window_rule::with_columns;
use crate::error::EngineError;

/// Under what name the numbers of rows stand beside them in a snapshot.
const NUMBERS: &str = "";

/// Arrival is counted in so many bits, the topic above.
const ARRIVAL_BITS: u32 = 48;

/// Rows, and what tells each apart from others of its time.
#[derive(Clone, Debug)]
pub(crate) struct NumberedRows {
    pub(super) rows: TimedRows,
    pub(super) numbers: ScalarBuffer<u64>,
}

/// Rows that come, and what is still waited for.
pub(super) struct Arriving {
    pub(super) rows: TimedRows,
    pub(super) arrival: Vec<Arrival>,
    pub(super) waiting: Option<NumberedRows>,
}

/// The number of a row among those of its time.
pub(super) fn number_of(rows: &MergedBatch, row: usize) -> u64 {
    (u64::from(rows.topic[row]) << ARRIVAL_BITS) | rows.arrival[row]
}

/// Late rows as rows of all topics.
pub(super) fn merged(late: &LateRows, columns: &MergedSchema) -> Result<MergedBatch, EngineError> {
    let batch = columns.conform(late.topic, &late.batch, 0)?;
    let rows = batch.num_rows();
    Ok(MergedBatch {
        batch: columns.gather(&[(late.topic, &batch)], &[Segment { source: 0, start: 0, len: rows }])?,
        time: late.time.clone(),
        topic: vec![late.topic; rows].into(),
        arrival: late.arrival.clone(),
    })
}

/// Puts rows in turn: those that waited and fresh ones, and late ones, each of these with where the clock stood.
pub(super) fn in_turn(
    waiting: Option<&NumberedRows>,
    fresh: NumberedRows,
    late: Vec<(NumberedRows, Vec<i64>)>,
    released: &Released,
) -> Result<Arriving, EngineError> {
    let schema = fresh.rows.batch.schema();
    // Columns of topics that were unknown come behind those there were.
    let held = waiting.map(|held| with_columns(&held.rows.batch, &schema)).transpose()?;
    let mut batches: Vec<RecordBatch> = held.into_iter().collect();
    let (mut times, mut numbers): (Vec<i64>, Vec<u64>) =
        waiting.map_or_else(Default::default, |held| (held.rows.times.to_vec(), held.numbers.to_vec()));
    let mut clocks = vec![i64::MIN; times.len() + fresh.rows.times.len()];
    for (own, own_clocks) in std::iter::once((fresh, vec![])).chain(late) {
        times.extend(&own.rows.times);
        numbers.extend(&own.numbers);
        clocks.extend(own_clocks);
        batches.push(own.rows.batch);
    }
    let is_over = |time: i64| released.ended || released.complete_before.is_some_and(|before| time < before);
    let is_late = |row: usize| clocks[row] > times[row];
    let (mut taken, left): (Vec<u32>, Vec<u32>) =
        (0..times.len() as u32).partition(|row| is_late(*row as usize) || is_over(times[*row as usize]));
    taken.sort_by_key(|row| {
        let row = *row as usize;
        // Late rows come as they came, and when the rows of that time have not yet.
        if is_late(row) { (clocks[row], 0, 0) } else { (times[row], 1, numbers[row]) }
    });
    let all = match batches.as_slice() {
        [only] => only.clone(),
        several => arrow_select::concat::concat_batches(&schema, several).map_err(EventError::from)?,
    };
    let some = |rows: &[u32]| -> Result<NumberedRows, EngineError> {
        let first = rows.first().copied().unwrap_or(0);
        // Rows in order are part of what has come; the few that wait would keep all of it.
        let in_order = rows.iter().copied().eq(first..first + rows.len() as u32);
        let batch = if in_order && rows.len() * 2 >= all.num_rows() {
            all.slice(first as usize, rows.len())
        } else {
            let rows = UInt32Array::from(rows.to_vec());
            arrow_select::take::take_record_batch(&all, &rows).map_err(EventError::from)?
        };
        let times = rows.iter().map(|row| times[*row as usize]).collect();
        let numbers = rows.iter().map(|row| numbers[*row as usize]).collect();
        Ok(NumberedRows { rows: TimedRows { batch, times }, numbers })
    };
    let arrival = |row: &u32| {
        let row = *row as usize;
        Arrival { at: clocks[row].max(times[row]), number: numbers[row] }
    };
    Ok(Arriving {
        arrival: taken.iter().map(arrival).collect(),
        rows: some(&taken)?.rows,
        waiting: if left.is_empty() { None } else { Some(some(&left)?) },
    })
}

impl NumberedRows {
    /// One batch, the numbers in a column behind the others.
    pub(super) fn to_batch(&self) -> Result<RecordBatch, EngineError> {
        let batch = &self.rows.batch;
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(NUMBERS, DataType::UInt64, false)));
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.push(Arc::new(UInt64Array::new(self.numbers.clone(), None)));
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(EventError::from)?)
    }

    /// Reads what [`to_batch`](Self::to_batch) made; `None`: it is none of it.
    pub(super) fn from_batch(batch: &RecordBatch, times: Vec<i64>) -> Option<Self> {
        let last = batch.num_columns().checked_sub(1)?;
        let numbers = batch.column(last).as_any().downcast_ref::<UInt64Array>()?.values().clone();
        let own: Vec<usize> = (0..last).collect();
        let batch = batch.project(&own).ok().filter(|batch| batch.num_rows() == times.len())?;
        Some(Self { rows: TimedRows { batch, times: times.into() }, numbers })
    }
}
