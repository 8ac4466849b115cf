//! What lists have found, piece by piece.

use std::ops::Range;

use super::written::Written;
use crate::error::MatchError;

/// What was found.
#[derive(Debug, Default)]
pub struct ListsFound {
    /// Positions of the rows of all matches, one match behind the other: in the order in which matches are decided.
    pub rows: Vec<u32>,
    /// The places that took them, unless all matches have one shape.
    pub places: Vec<u16>,
    /// One past the last row of each match, unless all have one shape.
    pub ends: Vec<u32>,
    /// The number of matches.
    pub matches: usize,
    /// `numbers[i]`: of match i within its partition, from 1; `None`: there is one partition.
    pub numbers: Option<Vec<i64>>,
    /// What it took.
    pub work: ListsWork,
}

/// Counts of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListsWork {
    /// Rows that satisfied something.
    pub rows: u64,
    /// Entries made in lists.
    pub entries: u64,
    /// Entries, or links between them, marked because they lead to a match.
    pub marks: u64,
    /// Entries and blocks of them looked at because a row might follow them.
    pub looked_at: u64,
    /// The most bytes that lists took.
    pub bytes_max: usize,
}

/// Matches of one row.
pub(crate) struct Completed {
    /// The row's place in the order of all rows.
    pub(crate) ordinal: u64,
    pub(crate) matches: Range<usize>,
    /// The number of the first of them within its partition.
    pub(crate) number: i64,
}

/// What was found in a piece.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) written: Written,
    pub(crate) counted: u64,
    pub(crate) completed: Vec<Completed>,
    /// How many of the matches written down are of the last partition.
    pub(crate) of_partition: usize,
    pub(crate) work: ListsWork,
}

impl Outcome {
    pub(crate) fn count(&mut self, more: u64) -> Result<(), MatchError> {
        let counted = self.counted.checked_add(more);
        self.counted = counted.ok_or(MatchError::TooLarge { what: "matches to count", limit: u64::MAX })?;
        Ok(())
    }

    /// Adds what was found behind these rows; of matches of a partition that has some already no more than `most` in all.
    pub(crate) fn append(
        &mut self,
        mut other: Self,
        most: usize,
        members_max: usize,
        shape: usize,
    ) -> Result<(), MatchError> {
        self.count(other.counted)?;
        // They are all of that partition then, or of one that was cut.
        if self.of_partition > 0 || other.of_partition > most {
            let left = most - self.of_partition;
            other.written.truncate(left, shape);
            other.completed.retain_mut(|entry| {
                entry.matches.end = entry.matches.end.min(left);
                entry.number += self.of_partition as i64;
                entry.matches.start < left
            });
            other.of_partition = other.of_partition.min(left);
        }
        if self.written.rows.len() + other.written.rows.len() > members_max {
            return Err(MatchError::TooLarge { what: "rows of matches", limit: members_max as u64 });
        }
        let matches = self.written.matches;
        self.completed.extend(other.completed.into_iter().map(|entry| Completed {
            matches: entry.matches.start + matches..entry.matches.end + matches,
            ..entry
        }));
        self.written.append(other.written);
        self.of_partition += other.of_partition;
        self.work.rows += other.work.rows;
        self.work.entries += other.work.entries;
        self.work.marks += other.work.marks;
        self.work.looked_at += other.work.looked_at;
        self.work.bytes_max += other.work.bytes_max;
        Ok(())
    }

    /// Leaves out what was found first, all of it of one partition.
    pub(crate) fn leave_first(&mut self, counted: u64, matches: usize, shape: usize) {
        self.counted -= counted;
        if matches == 0 {
            return;
        }
        self.of_partition -= matches;
        let left = matches..self.written.matches;
        self.written = self.written.in_order(std::iter::once(left), shape);
        self.written.matches -= matches;
        self.completed.retain_mut(|entry| {
            entry.number -= matches as i64;
            let is_left = entry.matches.start >= matches;
            if is_left {
                entry.matches = entry.matches.start - matches..entry.matches.end - matches;
            }
            is_left
        });
    }

    /// The matches in the order in which they are decided, at most `most`, with rows of `shape` places if all have one shape.
    pub(crate) fn found(self, most: usize, partitions: usize, shape: usize) -> ListsFound {
        let Self { mut written, mut completed, work, .. } = self;
        if !completed.is_sorted_by_key(|entry| entry.ordinal) {
            completed.sort_unstable_by_key(|entry| entry.ordinal);
            written = written.in_order(completed.iter().map(|entry| entry.matches.clone()), shape);
        }
        written.truncate(most, shape);
        let numbers = completed
            .iter()
            .flat_map(|entry| (0..entry.matches.len() as i64).map(move |place| entry.number + place))
            .take(written.matches);
        let numbers = (partitions > 1).then(|| numbers.collect());
        let Written { rows, places, ends, matches } = written;
        ListsFound { rows, places, ends, matches, numbers, work }
    }
}
