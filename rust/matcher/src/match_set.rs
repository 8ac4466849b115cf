//! Matches, compactly: where each begins and which variables its rows were mapped to, run-length coded.

use crate::automaton::VariableId;

/// What a row of a match was mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The variable.
    pub variable: VariableId,
    /// Whether an exclusion keeps the row out of the output.
    pub excluded: bool,
}

/// A stretch of rows of one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What the rows were mapped to.
    pub label: Label,
    /// How many there are; at least one.
    pub rows: u32,
}

/// Matches in order of discovery, partition after partition.
#[derive(Clone, Debug, Default)]
pub struct MatchSet {
    /// Position of each match's first row (of the row where it was looked for, if it is empty).
    starts: Vec<u32>,
    /// `segments[ends[i - 1]..ends[i]]` belong to match `i`.
    ends: Vec<u32>,
    segments: Vec<Segment>,
    /// `matches[p]`: number of matches up to and including partition `p`.
    partitions: Vec<u32>,
}

/// One match.
#[derive(Clone, Copy, Debug)]
pub struct MatchView<'a> {
    /// Position of its first row, or of the row where it was looked for.
    pub start: u32,
    /// Its rows; none for an empty match.
    pub segments: &'a [Segment],
}

impl MatchSet {
    /// Number of matches.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The `index`-th match.
    pub fn get(&self, index: usize) -> MatchView<'_> {
        let first = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        MatchView { start: self.starts[index], segments: &self.segments[first..self.ends[index] as usize] }
    }

    /// All matches.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = MatchView<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The matches of each partition, as ranges of indices.
    pub fn partitions(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        (0..self.partitions.len()).map(|partition| {
            let first = if partition == 0 { 0 } else { self.partitions[partition - 1] };
            first as usize..self.partitions[partition] as usize
        })
    }

    /// Number of segments so far: where those of the next match will begin.
    pub(crate) fn open(&self) -> usize {
        self.segments.len()
    }

    /// Adds a row to the match under construction.
    #[inline]
    pub(crate) fn push_rows(&mut self, open: usize, label: Label, rows: u32) {
        if self.segments.len() > open
            && let Some(last) = self.segments.last_mut()
            && last.label == label
        {
            last.rows += rows;
        } else {
            self.segments.push(Segment { label, rows });
        }
    }

    /// Throws away the segments of a match that did not come about.
    pub(crate) fn discard(&mut self, open: usize) {
        self.segments.truncate(open);
    }

    /// Completes the match under construction.
    pub(crate) fn finish(&mut self, start: u32) {
        self.starts.push(start);
        self.ends.push(self.segments.len() as u32);
    }

    /// Completes the partition under construction.
    pub(crate) fn finish_partition(&mut self) {
        self.partitions.push(self.starts.len() as u32);
    }

    /// Most segments a set can hold.
    pub(crate) const SEGMENTS_MAX: usize = u32::MAX as usize;
}

impl MatchView<'_> {
    /// Number of rows.
    pub fn rows(&self) -> u32 {
        self.segments.iter().map(|segment| segment.rows).sum()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}
