//! Matches that have been written down.

use std::ops::Range;

/// Matches, one behind the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// Positions of all rows.
    pub(crate) rows: Vec<u32>,
    /// Unless all matches have one shape: the places that took them, and where each match ends.
    pub(crate) places: Vec<u16>,
    pub(crate) ends: Vec<u32>,
    pub(crate) matches: usize,
}

impl Written {
    /// The rows of a match, `shape` of them if all have one shape.
    pub(crate) fn range(&self, index: usize, shape: usize) -> Range<usize> {
        if self.ends.is_empty() {
            return index * shape..(index + 1) * shape;
        }
        let begin = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        begin..self.ends[index] as usize
    }

    /// Adds a match for each of some rows, of one shape: it stands behind those of `way`, and `last` behind it.
    #[inline]
    pub(crate) fn add(&mut self, way: &[u32], rows: impl ExactSizeIterator<Item = u32>, last: u32) {
        let (begin, count, length) = (self.rows.len(), rows.len(), way.len() + 2);
        self.rows.resize(begin + count * length, last);
        // Column by column: a match is too short to be copied as a whole.
        let matches = &mut self.rows[begin..];
        for (column, member) in way.iter().enumerate() {
            matches.chunks_exact_mut(length).for_each(|of| of[column] = *member);
        }
        for (of, row) in matches.chunks_exact_mut(length).zip(rows) {
            of[length - 2] = row;
        }
        self.matches += count;
    }

    /// Bytes that there is room for.
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.rows.capacity() + self.ends.capacity()) + 2 * self.places.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.places.clear();
        self.ends.clear();
        self.matches = 0;
    }

    /// Adds others.
    pub(crate) fn append(&mut self, other: Self) {
        let rows = self.rows.len() as u32;
        if rows == 0 {
            *self = other;
            return;
        }
        self.rows.extend(other.rows);
        self.places.extend(other.places);
        self.ends.extend(other.ends.iter().map(|end| end + rows));
        self.matches += other.matches;
    }

    /// Some ranges of them, in this order.
    pub(crate) fn in_order(&self, ranges: impl Iterator<Item = Range<usize>>, shape: usize) -> Self {
        let mut sorted =
            Self { rows: Vec::with_capacity(self.rows.len()), matches: self.matches, ..Self::default() };
        for matches in ranges.filter(|matches| !matches.is_empty()) {
            let begin = self.range(matches.start, shape).start;
            let end = self.range(matches.end - 1, shape).end;
            sorted.rows.extend_from_slice(&self.rows[begin..end]);
            if !self.ends.is_empty() {
                sorted.places.extend_from_slice(&self.places[begin..end]);
                let moved = sorted.places.len() - (end - begin);
                let ends = self.ends[matches].iter().map(|own| own - begin as u32 + moved as u32);
                sorted.ends.extend(ends);
            }
        }
        sorted
    }

    /// Leaves the first `most`.
    pub(crate) fn truncate(&mut self, most: usize, shape: usize) {
        if self.matches <= most {
            return;
        }
        let end = if most == 0 { 0 } else { self.range(most - 1, shape).end };
        self.rows.truncate(end);
        self.places.truncate(end);
        self.ends.truncate(most);
        self.matches = most;
    }
}
