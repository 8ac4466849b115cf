//! Bit streams: a sequence of single rows and runs, where what can follow a run excludes it.
//!
//! For `v1 v2+ v3 ...` in which the variable of every run and the variable after it never hold of the same row,
//! there is one way at most to match from a given row: a run goes on as long as its variable holds. Preferment has
//! nothing to decide, and which rows can begin a match follows from the masks alone, 64 rows at a time:
//!
//! - a single row: the rows of the mask whose next row can begin the rest;
//! - a run: those rows, and every row that reaches one of them through rows of the mask. One addition carries the
//!   marks through all runs of a word at once, the `MatchStar` of Cameron and others, *Bitwise Data Parallelism in
//!   Regular Expression Matching*, PACT 2014; here from right to left, on reversed words.
//!
//! Whether the variables exclude each other is read off the masks: what the data shows is enough, as the answer is
//! asked for on these data only.
//!
//! - Time: O(n·s / 64 + m·s), n rows, s steps, m matches; a run of r rows costs r / 64 to walk.
//! - Space: one bit a row, besides the masks.

use std::ops::Range;

use cepheid_ir::{Pattern, PatternNode};

use crate::automaton::VariableId;
use crate::bits::{Bits, inside};
use crate::conditions::{Condition, Conditions};
use crate::error::MatchError;
use crate::masks::Masks;
use crate::match_set::{Label, MatchSet};
use crate::search::{Search, Start};

/// One step: a row of a variable, or a run of rows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) label: Label,
    /// As many rows as there are, rather than one.
    pub(crate) run: bool,
}

/// The pattern as steps, if it is of the shape: variables in a strict sequence, each once, a fixed number of times,
/// or greedily at least so many times.
pub(crate) fn steps(pattern: &Pattern, variables: &[String]) -> Option<Vec<Step>> {
    /// More would not pay: each is a pass.
    const STEPS_MAX: usize = 64;

    fn append(node: &PatternNode, excluded: bool, variables: &[String], steps: &mut Vec<Step>) -> Option<()> {
        match node {
            PatternNode::Sequence(parts) => {
                parts.iter().try_for_each(|part| append(&part.node, excluded, variables, steps))
            }
            PatternNode::Exclusion(part) => append(part, true, variables, steps),
            PatternNode::Variable(name) => {
                steps.push(step(name, excluded, false, variables));
                (steps.len() <= STEPS_MAX).then_some(())
            }
            PatternNode::Quantified { node, quantifier } => {
                let PatternNode::Variable(name) = &**node else { return None };
                if quantifier.min as usize > STEPS_MAX {
                    return None;
                }
                match quantifier.max {
                    Some(max) if max == quantifier.min => {
                        steps.extend((0..max).map(|_| step(name, excluded, false, variables)));
                    }
                    None if quantifier.is_greedy() && quantifier.min >= 1 => {
                        steps.extend((1..quantifier.min).map(|_| step(name, excluded, false, variables)));
                        steps.push(step(name, excluded, true, variables));
                    }
                    _ => return None,
                }
                (steps.len() <= STEPS_MAX).then_some(())
            }
            _ => None,
        }
    }

    fn step(name: &str, excluded: bool, run: bool, variables: &[String]) -> Step {
        let variable = variables.iter().position(|v| v == name).expect("every variable is listed");
        Step { label: Label { variable: variable as VariableId, excluded }, run }
    }

    let mut found = vec![];
    append(&pattern.root, false, variables, &mut found)?;
    (!found.is_empty()).then_some(found)
}

/// See the module.
pub(crate) struct BitStreams<'a> {
    steps: &'a [Step],
    /// The mask of each step.
    masks: Vec<&'a Bits>,
    /// Rows at which a match begins, for the partition at hand.
    starts: Bits,
    /// A second bitmap, to work in.
    scratch: Bits,
    partition: Range<u32>,
}

impl<'a> BitStreams<'a> {
    /// `None` if a mask is missing, or if the data show a row that could both go on with a run and leave it.
    pub(crate) fn new(
        steps: &'a [Step],
        conditions: &Conditions,
        masks: &'a Masks,
        always: &'a Bits,
    ) -> Option<Self> {
        let masks: Vec<&Bits> = steps
            .iter()
            .map(|step| match &conditions.of[step.label.variable as usize] {
                Condition::Always => Some(always),
                Condition::Predicate(predicate) => masks.of[*predicate].as_ref().ok(),
                Condition::Run { .. } => None,
            })
            .collect::<Option<_>>()?;
        for (index, step) in steps.iter().enumerate() {
            let follower = masks.get(index + 1).filter(|_| step.run);
            if let Some(follower) = follower
                && masks[index].words().iter().zip(follower.words()).any(|(run, next)| run & next != 0)
            {
                return None;
            }
        }
        let rows = always.len();
        Some(Self {
            steps,
            masks,
            starts: Bits::filled(rows, false),
            scratch: Bits::filled(rows, false),
            partition: 0..0,
        })
    }

    /// Marks the rows of the partition at which steps `step..` can begin, given those at which `step + 1..` can.
    ///
    /// Bits are written for the words that the partition touches, and are right for its own rows only.
    fn mark(&mut self, step: usize) {
        let (first, last) = (self.partition.start as usize, self.partition.end as usize);
        let is_last = step + 1 == self.steps.len();
        let mask = self.masks[step];
        let run = self.steps[step].run;
        let words = first / 64..last.div_ceil(64);
        // Whether the word on the right hands a mark on, and that word's lowest row that can begin the rest.
        let mut carry = false;
        let mut right = 0_u64;
        for word in words.rev() {
            let inside = inside(word, &self.partition);
            let holds = mask.words()[word] & inside;
            let mut seeds = holds;
            if !is_last {
                let rest = self.scratch.words()[word] & inside;
                seeds &= rest >> 1 | right << 63;
                right = rest & 1;
            }
            let marks = if run { carry_through(seeds, holds, &mut carry) } else { seeds };
            self.starts.words_mut()[word] = marks;
        }
    }
}

/// Extends every seed through the run of `holds` that ends in it, from high bits to low.
#[inline]
fn carry_through(seeds: u64, holds: u64, carry: &mut bool) -> u64 {
    let (seeds, holds) = (seeds.reverse_bits(), holds.reverse_bits());
    // A mark carried in from the right enters at the lowest (reversed) bit.
    let seeds = seeds | (u64::from(*carry) & holds);
    // Bits at which the addition changed something are those that a mark passed through.
    let reached = (seeds.wrapping_add(holds) ^ holds) & holds | seeds;
    *carry = reached >> 63 != 0;
    reached.reverse_bits()
}

impl Search for BitStreams<'_> {
    fn enter(&mut self, partition: Range<u32>) -> Result<(), MatchError> {
        self.partition = partition;
        for step in (0..self.steps.len()).rev() {
            self.mark(step);
            if step > 0 {
                std::mem::swap(&mut self.starts, &mut self.scratch);
            }
        }
        Ok(())
    }

    #[inline]
    fn candidate(&mut self, from: u32, end: u32) -> u32 {
        self.starts.next_set(from as usize, end as usize) as u32
    }

    fn search_through(&mut self, partition: &Range<u32>, found: &mut MatchSet) -> bool {
        let (mut row, end) = (partition.start as usize, partition.end as usize);
        found.reserve(self.starts.count(row, end));
        loop {
            row = self.starts.next_set(row, end);
            if row == end {
                return true;
            }
            let start = row as u32;
            row = self.walk(row, end, found);
            found.finish(start);
        }
    }

    #[inline]
    fn search(&mut self, start: Start<'_>, found: &mut MatchSet) -> Result<bool, MatchError> {
        if !self.starts.get(start.row as usize) {
            return Ok(false);
        }
        self.walk(start.row as usize, start.partition.end as usize, found);
        Ok(true)
    }
}

impl BitStreams<'_> {
    /// An empty set for the matches of this pattern: all have the same labels.
    pub(crate) fn empty_set(&self) -> MatchSet {
        MatchSet::of_shape(self.steps.iter().map(|step| step.label))
    }

    /// Appends the lengths of the match that begins at `row`, and returns the row after it.
    #[inline]
    fn walk(&self, mut row: usize, end: usize, found: &mut MatchSet) -> usize {
        for (step, mask) in self.steps.iter().zip(&self.masks) {
            let next = if step.run { mask.next_clear(row, end) } else { row + 1 };
            found.push_length((next - row) as u32);
            row = next;
        }
        debug_assert!(row <= end);
        row
    }
}
