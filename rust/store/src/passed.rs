//! Rows that are passed over, and what of a file is read because of them.

use std::collections::VecDeque;

use arrow_array::{Array, RecordBatch};
use cepheid_event::event_times;

use crate::error::StoreError;
use crate::reader::ordinals;

/// Rows of a topic in the order of their times, of none of which holds what would make it matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The position of the first of them.
    pub first_position: i64,
    /// The number of the first of them in the topic.
    pub first_row: i64,
    /// How many they are.
    pub rows: i64,
    /// The first event time, and the last.
    pub times: (i64, i64),
}

impl Passed {
    /// Whether others follow these without a gap, in time as well.
    pub(crate) fn goes_on_with(&self, others: &Self) -> bool {
        self.first_position + self.rows == others.first_position
            && self.first_row + self.rows == others.first_row
            && self.times.1 <= others.times.0
    }

    /// The rows from the one offset to before the other; their times are those of all.
    pub(crate) fn part(&self, from: usize, to: usize) -> Self {
        let (from, to) = (from as i64, to as i64);
        debug_assert!(from < to && to <= self.rows);
        Self {
            first_position: self.first_position + from,
            first_row: self.first_row + from,
            rows: to - from,
            times: self.times,
        }
    }
}

/// Rows of a file that are passed over. Where it is not known when the first of them was, or the last, that row is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) passed: Passed,
    /// Whether the first row, which has not come yet, says when it was; and the last.
    pub(crate) reads: (bool, bool),
}

/// What comes next of a file.
pub(crate) enum InTurn {
    /// Rows, and those behind them.
    Rows(RecordBatch, Option<RecordBatch>),
    /// Rows that are passed over, and rows that have been read behind them.
    Passed(Passed, Option<RecordBatch>),
    /// More has to be read first.
    More,
}

/// What is passed over of a file that is being read, in order.
#[derive(Debug, Default)]
pub(crate) struct Passing(VecDeque<Stretch>);

impl Passing {
    pub(crate) fn push(&mut self, stretch: Stretch) {
        self.0.push_back(stretch);
    }

    /// What is passed over behind all rows that were read.
    pub(crate) fn rest(&mut self) -> Result<Option<Passed>, StoreError> {
        match self.0.pop_front() {
            None => Ok(None),
            Some(Stretch { passed, reads: (false, false) }) => Ok(Some(passed)),
            Some(Stretch { passed, .. }) => Err(not_read(&passed)),
        }
    }

    /// Takes rows that were read, the store's columns in front: they are in turn up to where the next are passed over.
    pub(crate) fn take(&mut self, rows: RecordBatch, event_time: &str) -> Result<InTurn, StoreError> {
        let Some(Stretch { passed, reads }) = self.0.front_mut() else { return Ok(InTurn::Rows(rows, None)) };
        let ordinals = ordinals(&rows);
        let split = |at: usize| (at < rows.num_rows()).then(|| rows.slice(at, rows.num_rows() - at));
        let before = ordinals.partition_point(|row| *row < passed.first_row);
        if before > 0 {
            return Ok(InTurn::Rows(rows.slice(0, before), split(before)));
        }
        let end = passed.first_row + passed.rows;
        let inside = ordinals.partition_point(|row| *row < end);
        if inside > 0 {
            let column = rows.column_by_name(event_time).ok_or_else(|| not_read(passed))?;
            let times = event_times(event_time, &column.slice(0, inside), 0)?;
            for (row, time) in ordinals.iter().zip(times.iter()) {
                if *row == passed.first_row {
                    (passed.times.0, reads.0) = (*time, false);
                }
                if *row == end - 1 {
                    (passed.times.1, reads.1) = (*time, false);
                }
            }
        }
        let rest = split(inside);
        match (*reads, rest) {
            ((false, false), rest) => {
                let passed = *passed;
                self.0.pop_front();
                Ok(InTurn::Passed(passed, rest))
            }
            (_, None) => Ok(InTurn::More),
            (_, Some(_)) => Err(not_read(passed)),
        }
    }
}

/// A file that gives other rows than it has.
fn not_read(passed: &Passed) -> StoreError {
    StoreError::corrupt(u64::try_from(passed.first_position).ok(), "an archived file does not have its rows")
}
