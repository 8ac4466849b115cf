//! Matches, compactly: where each begins and which variables its rows were mapped to, run-length coded.

use cepheid_event::threads::on_two;

use crate::automaton::{Automaton, VariableId};
use crate::error::MatchError;
use crate::sequence::{FoundSequence, FoundSequences};

/// To copy fewer segments takes no longer than to ask another thread to.
const COPIED_BY_TWO_MIN: usize = 1 << 17;

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
///
/// A match is a start and the lengths of its segments. Where every match has the same labels (`shape`), they are kept
/// once; otherwise each length has a label beside it.
#[derive(Clone, Debug, Default)]
pub struct MatchSet {
    /// Position of each match's first row (of the row where it was looked for, if it is empty).
    starts: Vec<u32>,
    lengths: Vec<u32>,
    /// The labels of every match, if all have the same.
    shape: Option<Box<[Label]>>,
    /// Without a shape: `labels[i]` goes with `lengths[i]`.
    labels: Vec<Label>,
    /// Without a shape: match `i` owns the segments `ends[i - 1]..ends[i]`.
    ends: Vec<u32>,
    /// `partitions[p]`: number of matches up to and including partition `p`.
    partitions: Vec<u32>,
    /// Numbers within the partition, where they are not the order of the set.
    given_numbers: Option<Numbers>,
    /// Where each segment of each match is one row, and matches stand one behind the other: how many there are, and a one
    /// for each segment. Neither starts nor lengths are written down then.
    single_rows: Option<(usize, Vec<u32>)>,
}

/// Numbers of matches within their partition.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// These.
    Given(Vec<i64>),
    /// One more than these: of one partition, the order in which matches were found.
    Found(Vec<u32>),
}

/// One match.
#[derive(Clone, Copy, Debug)]
pub struct MatchView<'a> {
    /// Position of its first row, or of the row where it was looked for.
    pub start: u32,
    labels: &'a [Label],
    lengths: &'a [u32],
}

impl MatchSet {
    /// A set of which every match will have these labels, one segment each.
    pub(crate) fn of_shape(labels: impl Iterator<Item = Label>) -> Self {
        Self { shape: Some(labels.collect()), ..Self::default() }
    }

    /// Matches with one row for each of these labels, one behind the other, in this order, numbered by partition if `numbers`
    /// says how.
    pub fn of_single_rows(shape: Vec<Label>, matches: usize, numbers: Option<Numbers>) -> Self {
        Self {
            single_rows: Some((matches, vec![1; shape.len()])),
            shape: Some(shape.into()),
            partitions: vec![matches as u32],
            given_numbers: numbers,
            ..Self::default()
        }
    }

    /// Matches one behind the other, in this order: match i ends before the row `ends[i]`, whose label is `labels[ends[i]]`.
    pub fn of_rows(labels: &[Label], ends: &[u32], numbers: Option<Vec<i64>>) -> Self {
        let mut set = Self { given_numbers: numbers.map(Numbers::Given), ..Self::default() };
        let mut start = 0;
        for end in ends {
            let open = set.open();
            for label in &labels[start..*end as usize] {
                set.push_rows(open, *label, 1);
            }
            set.finish(start as u32);
            start = *end as usize;
        }
        set.finish_partition();
        set
    }

    /// Number of matches.
    pub fn len(&self) -> usize {
        self.single_rows.as_ref().map_or(self.starts.len(), |(matches, _)| *matches)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `index`-th match.
    #[inline]
    pub fn get(&self, index: usize) -> MatchView<'_> {
        if let (Some((_, lengths)), Some(labels)) = (&self.single_rows, &self.shape) {
            return MatchView { start: (index * lengths.len()) as u32, labels, lengths };
        }
        let start = self.starts[index];
        match &self.shape {
            Some(shape) => {
                let first = index * shape.len();
                MatchView { start, labels: shape, lengths: &self.lengths[first..first + shape.len()] }
            }
            None => {
                let first = if index == 0 { 0 } else { self.ends[index - 1] as usize };
                let range = first..self.ends[index] as usize;
                MatchView { start, labels: &self.labels[range.clone()], lengths: &self.lengths[range] }
            }
        }
    }

    /// Position of the first row of the `index`-th match, or of the row where it was looked for.
    #[inline]
    pub fn start(&self, index: usize) -> u32 {
        match &self.single_rows {
            Some((_, lengths)) => (index * lengths.len()) as u32,
            None => self.starts[index],
        }
    }

    /// Of each match the position after its first `segments` segments, in a set with a shape whose segments are of any length.
    pub fn positions_after(&self, segments: usize) -> Vec<u32> {
        let per_match = self.shape.as_ref().map_or(0, |shape| shape.len());
        debug_assert!(segments <= per_match, "{segments} of {per_match} segments");
        debug_assert!(self.single_rows.is_none(), "where single rows stand need not be written down");
        if segments == 0 {
            return self.starts.clone();
        }
        let matches = self.starts.iter().zip(self.lengths.chunks_exact(per_match));
        matches.map(|(start, lengths)| start + lengths[..segments].iter().sum::<u32>()).collect()
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

    /// Adds event sequences, each as a partition of its own whose rows stand one behind the other. `start`: where the first
    /// row of the first of them stands.
    pub fn add_sequences(
        &mut self,
        mut start: u32,
        found: &[FoundSequence],
        all: &FoundSequences,
        automaton: &Automaton,
    ) {
        for entry in found {
            let open = self.open();
            for place in all.places_of(entry) {
                let position = &automaton.positions[*place as usize];
                self.push_rows(open, Label { variable: position.variable, excluded: position.excluded }, 1);
            }
            self.finish(start);
            self.finish_partition();
            let numbers = self.given_numbers.get_or_insert_with(|| Numbers::Given(vec![]));
            let Numbers::Given(numbers) = numbers else {
                unreachable!("a set of sequences is of them alone")
            };
            numbers.push(entry.number as i64);
            start += (entry.end - entry.start) as u32;
        }
    }

    /// Rows of each match, if every segment of every match is one row.
    pub fn single_rows(&self) -> Option<usize> {
        self.single_rows.as_ref().map(|(_, lengths)| lengths.len())
    }

    /// The labels of every match, if all have the same; else none.
    pub fn shape(&self) -> impl Iterator<Item = Label> + '_ {
        self.shape.iter().flat_map(|shape| shape.iter().copied())
    }

    /// Whether numbers are the order of the set.
    pub fn is_numbered_in_order(&self) -> bool {
        self.given_numbers.is_none() && self.partitions.len() == 1
    }

    /// The number of each match within its partition, from 1.
    pub fn numbers(&self) -> Vec<i64> {
        match &self.given_numbers {
            Some(Numbers::Given(numbers)) => return numbers.clone(),
            Some(Numbers::Found(order)) => {
                return order.iter().map(|index| i64::from(*index) + 1).collect();
            }
            None => {}
        }
        self.partitions().flat_map(|matches| 1..=matches.len() as i64).collect()
    }

    /// Number of segments so far: where those of the next match will begin.
    pub(crate) fn open(&self) -> usize {
        self.lengths.len()
    }

    /// Makes room for so many more matches at most, in a set with a shape.
    pub(crate) fn reserve(&mut self, matches: usize) {
        self.starts.reserve(matches);
        self.lengths.reserve(matches * self.shape.as_ref().map_or(0, |shape| shape.len()));
    }

    /// When room runs out, makes room for as many matches as the rows to come will bring if they are like the `done`
    /// rows so far: growing by doubling would hold everything twice for a moment.
    pub(crate) fn reserve_for_rest(&mut self, done: usize, total: usize) {
        let used = self.starts.len();
        let free = self.starts.capacity() - used;
        if done == 0 || free > used / 16 + 64 {
            return;
        }
        let expected = (used as f64 * (total as f64 / done as f64) * 1.05) as usize + 64;
        self.starts.reserve_exact(expected - used);
        let per_match = self.lengths.len() as f64 / used.max(1) as f64;
        let expected = (expected as f64 * per_match) as usize + 64;
        self.lengths.reserve_exact(expected.saturating_sub(self.lengths.len()));
        if self.shape.is_none() {
            self.labels.reserve_exact(expected.saturating_sub(self.labels.len()));
            self.ends.reserve_exact(self.starts.capacity() - self.ends.len());
        }
    }

    /// Adds rows to the match under construction, in a set without a shape.
    #[inline]
    pub(crate) fn push_rows(&mut self, open: usize, label: Label, rows: u32) {
        debug_assert!(self.shape.is_none(), "labels have been settled beforehand");
        if self.lengths.len() > open && self.labels.last() == Some(&label) {
            *self.lengths.last_mut().expect("as many lengths as labels") += rows;
        } else {
            self.labels.push(label);
            self.lengths.push(rows);
        }
    }

    /// Adds the next segment of the match under construction, in a set with a shape.
    #[inline]
    pub(crate) fn push_length(&mut self, rows: u32) {
        debug_assert!(self.shape.is_some(), "labels must come with the rows");
        self.lengths.push(rows);
    }

    /// Throws away the segments of a match that did not come about.
    pub(crate) fn discard(&mut self, open: usize) {
        self.lengths.truncate(open);
        self.labels.truncate(open);
    }

    /// Completes the match under construction.
    #[inline]
    pub(crate) fn finish(&mut self, start: u32) {
        self.starts.push(start);
        if self.shape.is_none() {
            self.ends.push(self.lengths.len() as u32);
        }
    }

    /// Completes the partition under construction.
    pub(crate) fn finish_partition(&mut self) {
        self.partitions.push(self.starts.len() as u32);
    }

    /// Most segments a set can hold.
    const SEGMENTS_MAX: usize = u32::MAX as usize;

    /// # Errors
    /// [`MatchError::TooLarge`] past what a set can hold.
    pub(crate) fn check_size(&self) -> Result<(), MatchError> {
        Self::check_segments(self.open())
    }

    fn check_segments(segments: usize) -> Result<(), MatchError> {
        if segments <= Self::SEGMENTS_MAX {
            return Ok(());
        }
        Err(MatchError::TooLarge { what: "runs of rows of one variable", limit: Self::SEGMENTS_MAX as u64 })
    }

    /// The matches of sets that one strategy has found in the partitions of a table, one behind the other.
    ///
    /// # Errors
    /// As [`check_size`](Self::check_size).
    pub(crate) fn joined(sets: Vec<Self>) -> Result<Self, MatchError> {
        debug_assert!(sets.iter().all(|set| set.given_numbers.is_none() && set.single_rows.is_none()));
        if sets.len() <= 1 {
            return Ok(sets.into_iter().next().unwrap_or_default());
        }
        let segments = sets.iter().map(|set| set.lengths.len()).sum::<usize>();
        Self::check_segments(segments)?;
        let by_match = || {
            let ends = counted_on(&sets, |set| &set.ends, |set| set.lengths.len());
            let partitions = counted_on(&sets, |set| &set.partitions, |set| set.starts.len());
            (end_to_end(&sets, |set| &set.starts), ends, partitions)
        };
        let by_segment = || (end_to_end(&sets, |set| &set.lengths), end_to_end(&sets, |set| &set.labels));
        let ((starts, ends, partitions), (lengths, labels)) = if segments < COPIED_BY_TWO_MIN {
            (by_match(), by_segment())
        } else {
            on_two(by_match, by_segment)
        };
        let shape = sets[0].shape.clone();
        Ok(Self { starts, lengths, shape, labels, ends, partitions, ..Self::default() })
    }
}

/// What each set has of something, one behind the other.
fn end_to_end<T: Copy>(sets: &[MatchSet], of: fn(&MatchSet) -> &Vec<T>) -> Vec<T> {
    let mut all = Vec::with_capacity(sets.iter().map(|set| of(set).len()).sum());
    sets.iter().for_each(|set| all.extend_from_slice(of(set)));
    all
}

/// The same of numbers that count something, of which each set has so much: they are counted on.
fn counted_on(sets: &[MatchSet], of: fn(&MatchSet) -> &Vec<u32>, count: fn(&MatchSet) -> usize) -> Vec<u32> {
    let (mut all, mut before) = (Vec::with_capacity(sets.iter().map(|set| of(set).len()).sum()), 0);
    for set in sets {
        all.extend(of(set).iter().map(|number| number + before));
        before += count(set) as u32;
    }
    all
}

impl<'a> MatchView<'a> {
    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> u32 {
        self.lengths.iter().sum()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Position of its last row.
    #[inline]
    pub fn last(&self) -> Option<u32> {
        (!self.is_empty()).then(|| self.start + self.rows() - 1)
    }

    /// The `index`-th stretch of rows of one label.
    #[inline]
    pub fn segment(&self, index: usize) -> Option<Segment> {
        Some(Segment { label: *self.labels.get(index)?, rows: self.lengths[index] })
    }

    /// Its rows, in stretches of one label; none for an empty match.
    #[inline]
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = Segment> + use<'a> {
        let pairs = self.labels.iter().zip(self.lengths);
        pairs.map(|(label, rows)| Segment { label: *label, rows: *rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partitions of so many matches each, with or without one shape for all; `seed` tells them from others.
    fn set(partitions: &[u32], with_shape: bool, seed: u32) -> MatchSet {
        let label = |number: u32| Label { variable: number as VariableId, excluded: number % 2 == 1 };
        let mut set = if with_shape { MatchSet::of_shape((0..3).map(label)) } else { MatchSet::default() };
        for matches in partitions {
            for number in 0..*matches {
                let (open, segments) = (set.open(), if with_shape { 3 } else { (seed + number) % 4 });
                for segment in 0..segments {
                    if with_shape {
                        set.push_length(seed + segment + 1);
                    } else {
                        set.push_rows(open, label(segment), seed + segment + 1);
                    }
                }
                set.finish(seed + number);
            }
            set.finish_partition();
        }
        set
    }

    fn all_of(set: &MatchSet) -> Vec<(u32, Vec<Segment>)> {
        (0..set.len()).map(|index| (set.get(index).start, set.get(index).segments().collect())).collect()
    }

    #[test]
    fn sets_one_behind_the_other_are_one_with_the_matches_and_partitions_of_all() {
        for (sizes, with_shape) in [(vec![], false), (vec![7], false), (vec![0, 3, 0, 5], false)]
            .into_iter()
            .chain([(vec![4, 1, 0], true), (vec![30_000, 40_000], true), (vec![60_000, 90_000, 2], false)])
        {
            let sets = || -> Vec<MatchSet> {
                let set_of = |(seed, size): (usize, &u32)| set(&[*size, 2], with_shape, seed as u32 * 10);
                sizes.iter().enumerate().map(set_of).collect()
            };
            let joined = MatchSet::joined(sets()).expect("few matches");
            assert_eq!(all_of(&joined), sets().iter().flat_map(all_of).collect::<Vec<_>>());
            let mut end = 0;
            let ends = sizes.iter().flat_map(|size| [*size, 2]).map(|size| {
                end += size;
                end
            });
            assert_eq!(joined.partitions, ends.collect::<Vec<_>>());
        }
    }
}
