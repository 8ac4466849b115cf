//! Rows that are passed over.

use std::collections::VecDeque;

use crate::error::StoreError;

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

    /// The rows from the one offset to before the other, whose first and last times are known.
    pub(crate) fn part(&self, from: usize, to: usize, times: (i64, i64)) -> Self {
        let (from, to) = (from as i64, to as i64);
        debug_assert!(from < to && to <= self.rows);
        Self {
            first_position: self.first_position + from,
            first_row: self.first_row + from,
            rows: to - from,
            times,
        }
    }

    /// The file gives other rows than it has.
    pub(crate) fn not_read(&self) -> StoreError {
        let position = u64::try_from(self.first_position).ok();
        StoreError::corrupt(position, "an archived file does not have its rows")
    }
}

/// What comes next of a file.
pub(crate) enum InTurn {
    /// So many of the rows that were read.
    Rows(usize),
    /// Rows that are passed over.
    Passed(Passed),
}

/// What is passed over of a file that is being read, in order.
#[derive(Debug, Default)]
pub(crate) struct Passing(VecDeque<Passed>);

impl Passing {
    pub(crate) fn push(&mut self, passed: Passed) {
        self.0.push_back(passed);
    }

    /// What is passed over behind all rows that were read.
    pub(crate) fn rest(&mut self) -> Option<Passed> {
        self.0.pop_front()
    }

    /// What comes next where rows have been read that have such numbers, one at least: they are in turn up to where others
    /// are passed over.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: one of those is among them.
    pub(crate) fn next(&mut self, ordinals: &[i64]) -> Result<InTurn, StoreError> {
        let Some(passed) = self.0.front() else { return Ok(InTurn::Rows(ordinals.len())) };
        let before = ordinals.partition_point(|row| *row < passed.first_row);
        if before > 0 {
            return Ok(InTurn::Rows(before));
        }
        if ordinals[0] < passed.first_row + passed.rows {
            return Err(passed.not_read());
        }
        let passed = *passed;
        self.0.pop_front();
        Ok(InTurn::Passed(passed))
    }
}
