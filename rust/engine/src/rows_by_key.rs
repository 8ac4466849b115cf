//! The rows of a table put together by key: windows that are of rows want all rows of a key near each other.

use std::ops::Range;

use crate::ordered_table::{KeyNumbers, OrderedTable};

/// Rows of several keys that are seen to at a time: with all that is kept of them they stay in a core's cache.
const BLOCK_ROWS: usize = 1 << 13;

/// See the module.
pub(crate) struct RowsByKey {
    /// Places in the order of time, key by key.
    order: Vec<u32>,
    /// Their times.
    times: Vec<i64>,
    /// Where the rows of each key begin in it; one more for the end.
    begins: Vec<u32>,
}

impl RowsByKey {
    /// `None`: some key has more than so many rows.
    ///
    /// Cost: O(rows + keys).
    pub(crate) fn new(rows: &OrderedTable<'_>, keys: &KeyNumbers, most_of_a_key: usize) -> Option<Self> {
        let key_of = keys.of(rows, 0..rows.len());
        let mut begins = vec![0_u32; keys.count() + 1];
        key_of.iter().for_each(|key| begins[*key as usize + 1] += 1);
        if begins.iter().any(|rows| *rows as usize > most_of_a_key) {
            return None;
        }
        (1..begins.len()).for_each(|key| begins[key] += begins[key - 1]);
        let mut next = begins.clone();
        let (mut order, mut times) = (vec![0; rows.len()], vec![0; rows.len()]);
        let place = |((row, key), time): ((usize, &u32), &i64)| {
            let next = &mut next[*key as usize];
            order[*next as usize] = row as u32;
            times[*next as usize] = *time;
            *next += 1;
        };
        key_of.iter().enumerate().zip(&*rows.times(0..rows.len())).for_each(place);
        Some(Self { order, times, begins })
    }

    /// Keys in so many stretches with about as many rows each.
    pub(crate) fn stretches(&self, count: usize) -> Vec<Range<usize>> {
        let keys = self.begins.len() - 1;
        let edge = |stretch: usize| match stretch {
            0 => 0,
            _ if stretch == count => keys,
            _ => self.begins.partition_point(|row| (*row as usize) < self.order.len() * stretch / count),
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
        let until = self.begins.get(first).map_or(0, |begin| *begin as usize + BLOCK_ROWS);
        self.begins.partition_point(|row| *row as usize <= until).saturating_sub(2)
    }

    /// The rows of some keys that follow each other, by places in the order of time, and their times.
    pub(crate) fn rows(&self, keys: Range<usize>) -> (&[u32], &[i64]) {
        let own = self.begins[keys.start] as usize..self.begins[keys.end] as usize;
        (&self.order[own.clone()], &self.times[own])
    }

    /// How many rows a key has.
    pub(crate) fn rows_of(&self, key: usize) -> usize {
        (self.begins[key + 1] - self.begins[key]) as usize
    }

    /// Places in the order of time, key by key.
    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }
}
