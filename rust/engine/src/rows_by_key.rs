//! The rows of a table put together by key: windows that are of rows want all rows of a key near each other.

use std::ops::Range;

use cepheid_event::{ByKey, by_key};

use crate::ordered_table::{KeyNumbers, OrderedTable};

/// Rows of several keys that are seen to at a time: with all that is kept of them they stay in a core's cache.
const BLOCK_ROWS: usize = 1 << 13;

/// See the module.
pub(crate) struct RowsByKey(ByKey);

impl RowsByKey {
    /// `None`: some key has more than so many rows.
    ///
    /// Cost: O(rows / threads + keys * threads).
    pub(crate) fn new(
        rows: &OrderedTable<'_>,
        keys: &KeyNumbers,
        most_of_a_key: usize,
        threads: usize,
    ) -> Option<Self> {
        let all = 0..rows.len();
        let (of_row, times) = (keys.of(rows, all.clone()), rows.times(all));
        by_key(&of_row, keys.count(), &times, most_of_a_key, threads).map(Self)
    }

    /// Keys in so many stretches with about as many rows each.
    pub(crate) fn stretches(&self, count: usize) -> Vec<Range<usize>> {
        let keys = self.0.begins.len() - 1;
        let edge = |stretch: usize| match stretch {
            0 => 0,
            _ if stretch == count => keys,
            _ => self.0.begins.partition_point(|row| (*row as usize) < self.0.rows.len() * stretch / count),
        };
        (0..count).map(|stretch| edge(stretch)..edge(stretch + 1).min(keys)).collect()
    }

    /// Keys that follow each other in blocks: as many as have few rows together, or one.
    pub(crate) fn blocks(&self, keys: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let mut first = keys.start;
        std::iter::from_fn(move || {
            let block = first..keys.end.min(first.max(self.last_of_block(first)) + 1);
            first = block.end;
            (!block.is_empty()).then_some(block)
        })
    }

    /// The last of the keys from this one on that have few rows together.
    fn last_of_block(&self, first: usize) -> usize {
        let until = self.0.begins.get(first).map_or(0, |begin| *begin as usize + BLOCK_ROWS);
        self.0.begins.partition_point(|row| *row as usize <= until).saturating_sub(2)
    }

    /// The rows of some keys that follow each other, by places in the order of time, and their times.
    pub(crate) fn rows(&self, keys: Range<usize>) -> (&[u32], &[i64]) {
        let own = self.0.begins[keys.start] as usize..self.0.begins[keys.end] as usize;
        (&self.0.rows[own.clone()], &self.0.values[own])
    }

    /// How many rows a key has.
    pub(crate) fn rows_of(&self, key: usize) -> usize {
        (self.0.begins[key + 1] - self.0.begins[key]) as usize
    }

    /// Places in the order of time, key by key.
    pub(crate) fn order(&self) -> &[u32] {
        &self.0.rows
    }
}
