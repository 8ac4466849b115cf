//! The bound of a whole match, and where a match may begin under it.

use std::ops::Range;

use crate::sequence::{Chunk, SequenceMatcher};

/// The pattern's WITHIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    None,
    Rows(u64),
    Nanoseconds(i64),
}

impl Bound {
    /// That of a pattern.
    pub(crate) fn of(matcher: &SequenceMatcher) -> Self {
        match (matcher.within_rows, matcher.within_ns) {
            (Some(rows), _) => Self::Rows(rows),
            (None, Some(nanoseconds)) => Self::Nanoseconds(nanoseconds),
            (None, None) => Self::None,
        }
    }

    /// Whether it is one of time.
    pub(crate) fn is_of_time(self) -> bool {
        matches!(self, Self::Nanoseconds(_))
    }

    /// Whether what began at `start` cannot end at `at`: times, or places among the rows of a key.
    #[inline]
    pub(crate) fn is_over(self, start: i64, at: i64) -> bool {
        let elapsed = at.saturating_sub(start);
        match self {
            Self::None => false,
            Self::Rows(rows) => elapsed as u64 > rows,
            Self::Nanoseconds(within) => elapsed >= within,
        }
    }

    /// The first row of the partition that a match ending at or behind `row` may hold.
    pub(crate) fn reach(self, row: u32, partition: &Range<u32>, chunk: &Chunk<'_>) -> u32 {
        match self {
            Self::None => partition.start,
            Self::Rows(rows) => {
                row.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX)).max(partition.start)
            }
            Self::Nanoseconds(within) => {
                let time = |position: u32| chunk.time(chunk.rows.arrival(position));
                let near = |position: &u32| time(row).saturating_sub(time(*position)) < within;
                (partition.start..row).rev().take_while(near).last().unwrap_or(row)
            }
        }
    }
}

/// Where a match may begin that ends in the row at hand.
pub(crate) struct Window<'a> {
    pub(crate) bound: Bound,
    pub(crate) chunk: Chunk<'a>,
    /// The first row of the partition that the last row asked for could reach.
    pub(crate) begin: u32,
}

impl Window<'_> {
    /// The first row that is near enough; rows are asked for in order.
    #[inline]
    pub(crate) fn first(&mut self, row: u32) -> u32 {
        match self.bound {
            Bound::None => {}
            Bound::Rows(rows) => {
                let reach = u32::try_from(rows).unwrap_or(u32::MAX);
                self.begin = self.begin.max(row.saturating_sub(reach));
            }
            Bound::Nanoseconds(within) => {
                let time = |position: u32| self.chunk.time(self.chunk.rows.arrival(position));
                let end = time(row);
                let too_early = |position: u32| end.saturating_sub(time(position)) >= within;
                // Mostly it is near enough still.
                if !too_early(self.begin) {
                    return self.begin;
                }
                let (mut low, mut step) = (self.begin + 1, 1);
                while low + step <= row && too_early(low + step - 1) {
                    low += step;
                    step *= 2;
                }
                let mut high = (low + step).min(row + 1);
                while low < high {
                    let middle = low + (high - low) / 2;
                    if too_early(middle) { low = middle + 1 } else { high = middle }
                }
                self.begin = low;
            }
        }
        self.begin
    }
}
