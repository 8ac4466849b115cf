//! What a partition must hold for a match to be in it.

use std::ops::Range;

use super::compile::SequenceMatcher;
use super::tests::{Chunk, Test, time_between};
use crate::automaton::{Next, Target};
use crate::bits::Bits;
use crate::masks::Masks;

/// Rows of predicates of which every match holds one each, how many rows it holds at least, and within what time.
pub(crate) struct Needed<'a> {
    satisfying: Vec<&'a Bits>,
    rows: u32,
    within_ns: Option<i64>,
}

impl Needed<'_> {
    /// Whether rows of these positions are too few or too far apart, or none of them satisfies a predicate that a match
    /// needs.
    pub(crate) fn is_missing(&self, rows: Range<u32>, chunk: &Chunk<'_>) -> bool {
        self.lacks_rows(rows.clone()) || !self.some_are_near(rows, chunk)
    }

    fn lacks_rows(&self, rows: Range<u32>) -> bool {
        let (start, end) = (rows.start as usize, rows.end as usize);
        rows.end - rows.start < self.rows
            || self.satisfying.iter().any(|mask| mask.next_set(start, end) == end)
    }

    /// Whether as many rows as a match holds at least, one behind the other, are as near as one holds them.
    fn some_are_near(&self, rows: Range<u32>, chunk: &Chunk<'_>) -> bool {
        let (Some(within), further @ 1..) = (self.within_ns, self.rows.saturating_sub(1)) else {
            return true;
        };
        let time = |position: u32| chunk.time(chunk.rows.arrival(position));
        (rows.start..rows.end - further).any(|first| {
            time_between(time(first), time(first + further)).is_none_or(|elapsed| elapsed < within)
        })
    }
}

impl SequenceMatcher {
    /// Whether there can be no match in a table of so many rows, because none of them satisfies something that a match needs.
    pub fn has_no_match(&self, masks: &Masks, rows: usize) -> bool {
        self.needed(masks).is_some_and(|needed| needed.lacks_rows(0..rows as u32))
    }

    /// `None`: rows matter beside those of matches, because something else is reported, or because a condition may raise an
    /// error: one that reads the run, or one of which `masks` could not be made.
    pub(crate) fn needed<'a>(&self, masks: &'a Masks) -> Option<Needed<'a>> {
        let masks: Vec<&Bits> = masks.of.iter().map(|mask| mask.as_ref().ok()).collect::<Option<_>>()?;
        let reports_more = self.pattern.timeouts || !self.pattern.emit_at.is_empty();
        if reports_more || self.tests.iter().any(|test| matches!(test, Test::Run { .. })) {
            return None;
        }
        let rows = self.fewest_rows(|_| true)?;
        let mut predicates = vec![];
        for test in &self.tests[..self.automaton.variables.len()] {
            let Some(predicate) = test.predicate().filter(|predicate| !predicates.contains(predicate)) else {
                continue;
            };
            let other = |place: u32| {
                let variable = self.variable_of[place as usize] as usize;
                self.tests[variable].predicate() != Some(predicate)
            };
            if self.fewest_rows(other).is_none() {
                predicates.push(predicate);
            }
        }
        let satisfying = predicates.into_iter().map(|predicate| masks[predicate]).collect();
        Some(Needed { satisfying, rows, within_ns: self.within_ns })
    }

    /// The fewest rows of a match that goes through `open` places alone; `None`: there is no such match.
    fn fewest_rows(&self, open: impl Fn(u32) -> bool) -> Option<u32> {
        let mut reached = vec![false; self.automaton.positions.len()];
        let mut front: Vec<&[Target]> = vec![&self.automaton.start];
        let mut rows = 0;
        while !front.is_empty() {
            let targets: Vec<Next> = front.drain(..).flatten().map(|target| target.step).collect();
            if targets.contains(&Next::Accept) {
                return Some(rows);
            }
            rows += 1;
            for target in targets {
                let Next::Take(place) = target else { continue };
                if open(place) && !std::mem::replace(&mut reached[place as usize], true) {
                    front.push(&self.automaton.positions[place as usize].follow);
                }
            }
        }
        None
    }
}
