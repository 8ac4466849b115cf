//! Shared tails: the matches that go on from every viable position of every row, as linked lists of segments.

use crate::error::MatchError;
use crate::match_set::{Label, MatchSet, Segment};

const NO_TAIL: u32 = u32::MAX;

/// Most nodes of one partition.
const NODES_MAX: usize = 1 << 29;

#[derive(Clone, Copy, Debug)]
struct Node {
    segment: Segment,
    /// The rest of the match; [`NO_TAIL`]: none.
    rest: u32,
}

/// Tails of one partition, built from its last row to its first.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    nodes: Vec<Node>,
    /// By position: the tail that begins at the row at hand, and at the row after it.
    at_row: Vec<u32>,
    at_next_row: Vec<u32>,
    /// By row of the partition: the tail of the match that begins there.
    starts: Vec<u32>,
}

impl Tails {
    /// Begins a partition of `rows` rows.
    pub(crate) fn clear(&mut self, positions: usize, rows: usize) {
        self.nodes.clear();
        self.at_row.clear();
        self.at_row.resize(positions, NO_TAIL);
        self.at_next_row.clear();
        self.at_next_row.resize(positions, NO_TAIL);
        self.starts.clear();
        self.starts.resize(rows, NO_TAIL);
    }

    /// Adds the tail whose first row `position` takes, with `label`, before it goes on to `next` at the next row
    /// (`None`: the match ends).
    pub(crate) fn add(
        &mut self,
        position: usize,
        label: Label,
        next: Option<usize>,
    ) -> Result<(), MatchError> {
        if self.nodes.len() >= NODES_MAX {
            return Err(MatchError::TooLarge {
                what: "shared tails in one partition",
                limit: NODES_MAX as u64,
            });
        }
        let rest = next.map_or(NO_TAIL, |next| self.at_next_row[next]);
        let node = match self.nodes.get(rest as usize) {
            Some(node) if node.segment.label == label => {
                Node { segment: Segment { label, rows: node.segment.rows + 1 }, rest: node.rest }
            }
            _ => Node { segment: Segment { label, rows: 1 }, rest },
        };
        self.at_row[position] = self.nodes.len() as u32;
        self.nodes.push(node);
        Ok(())
    }

    /// Ends a row; a match that begins at it does so at position `start`.
    pub(crate) fn finish_row(&mut self, row: usize, start: Option<usize>) {
        if let Some(start) = start {
            self.starts[row] = self.at_row[start];
        }
        std::mem::swap(&mut self.at_row, &mut self.at_next_row);
    }

    /// Writes out the match that begins at `row` of the partition.
    pub(crate) fn write(&self, row: usize, found: &mut MatchSet) {
        let open = found.open();
        let mut tail = self.starts[row];
        while let Some(node) = self.nodes.get(tail as usize) {
            found.push_rows(open, node.segment.label, node.segment.rows);
            tail = node.rest;
        }
    }

    /// Number of rows of the match that begins at `row`.
    pub(crate) fn rows(&self, row: usize) -> u32 {
        let (mut rows, mut tail) = (0, self.starts[row]);
        while let Some(node) = self.nodes.get(tail as usize) {
            rows += node.segment.rows;
            tail = node.rest;
        }
        rows
    }
}
