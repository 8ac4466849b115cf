//! What a partition must hold for a match to be in it.

use std::ops::Range;

use super::compile::SequenceMatcher;
use super::tests::Test;
use crate::automaton::{Next, Target};
use crate::bits::Bits;
use crate::masks::Masks;

/// Rows of predicates of which every match holds one each, and how many rows it holds at least.
pub(crate) struct Needed<'a> {
    satisfying: Vec<&'a Bits>,
    rows: u32,
}

impl Needed<'_> {
    /// Whether rows of these positions are too few, or none of them satisfies a predicate that a match needs.
    pub(crate) fn is_missing(&self, rows: Range<u32>) -> bool {
        let (start, end) = (rows.start as usize, rows.end as usize);
        let lacks = |mask: &&Bits| mask.next_set(start, end) == end;
        rows.end - rows.start < self.rows || self.satisfying.iter().any(lacks)
    }
}

impl SequenceMatcher {
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
        Some(Needed { satisfying: predicates.into_iter().map(|predicate| masks[predicate]).collect(), rows })
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
