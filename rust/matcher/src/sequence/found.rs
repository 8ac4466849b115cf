//! What matching event sequences finds.

use crate::automaton::VariableId;

/// When something was decided. Ordered: by time, at one time deadlines before rows, rows in the order of all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// At a deadline, or at a row.
    At {
        /// Nanoseconds.
        time: i64,
        /// The row, in the order of all rows, plus one; 0 for a deadline.
        row: u64,
    },
    /// At the end of the input.
    End,
}

impl Moment {
    pub(crate) fn deadline(time: i64) -> Self {
        Self::At { time, row: 0 }
    }

    pub(crate) fn row(time: i64, row: u64) -> Self {
        Self::At { time, row: row + 1 }
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FoundKind {
    /// A match.
    Match,
    /// A run that the pattern's WITHIN ended.
    Timeout,
    /// An intermediate output: index into the pattern's `emit_at`.
    Emitted(u16),
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundSequence {
    /// What it is.
    pub kind: FoundKind,
    /// When it was decided.
    pub moment: Moment,
    /// Number of its partition: in a table by first appearance.
    pub partition: u32,
    /// Ordinal of the match within its partition, from 1; of anything else 0.
    pub number: u64,
    /// Its first entry in [`FoundSequences::rows`].
    pub start: usize,
    /// One past its last.
    pub end: usize,
}

/// What was found, each with its rows.
#[derive(Clone, Debug, Default)]
pub struct FoundSequences {
    /// In the order of discovery until [`sort`](Self::sort) has been called.
    pub found: Vec<FoundSequence>,
    /// Rows of all of them, by their place in the order of all rows, ascending within each.
    pub rows: Vec<u64>,
    /// `places[i]`: the place in the pattern that took `rows[i]`.
    pub places: Vec<u32>,
}

impl FoundSequences {
    /// Rows of one of them.
    pub fn rows_of(&self, entry: &FoundSequence) -> &[u64] {
        &self.rows[entry.start..entry.end]
    }

    /// Places of its rows.
    pub fn places_of(&self, entry: &FoundSequence) -> &[u32] {
        &self.places[entry.start..entry.end]
    }

    /// Adds what was found elsewhere.
    pub fn append(&mut self, other: Self) {
        let offset = self.rows.len();
        self.rows.extend(other.rows);
        self.places.extend(other.places);
        self.found.extend(other.found.into_iter().map(|entry| FoundSequence {
            start: entry.start + offset,
            end: entry.end + offset,
            ..entry
        }));
    }

    /// Puts them in order: by moment, last row, first row, kind, membership. `variable_of[p]` is the variable of place p.
    pub fn sort(&mut self, variable_of: &[VariableId]) {
        let (rows, places) = (&self.rows, &self.places);
        let key = |entry: &FoundSequence| {
            (entry.moment, rows[entry.start..entry.end].last().copied(), rows.get(entry.start).copied())
        };
        let mut found = std::mem::take(&mut self.found);
        found.sort_by(|left, right| {
            key(left).cmp(&key(right)).then_with(|| {
                let members = |entry: &FoundSequence| {
                    let variables =
                        places[entry.start..entry.end].iter().map(|place| variable_of[*place as usize]);
                    rows[entry.start..entry.end].iter().copied().zip(variables).collect::<Vec<_>>()
                };
                members(left).cmp(&members(right)).then(left.kind.cmp(&right.kind))
            })
        });
        self.found = found;
    }

    pub(crate) fn push(
        &mut self,
        kind: FoundKind,
        moment: Moment,
        partition: u32,
        number: u64,
        members: &[(u64, u32)],
    ) {
        let start = self.rows.len();
        self.rows.extend(members.iter().map(|(row, _)| row));
        self.places.extend(members.iter().map(|(_, place)| place));
        self.found.push(FoundSequence { kind, moment, partition, number, start, end: self.rows.len() });
    }
}
