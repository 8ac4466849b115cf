//! Rows of a table that lie near the rarest event that every match needs: the others are passed over.
//!
//! A match spans less than the pattern's WITHIN, so that all its rows, and all that must not come among them, lie within
//! it of any row of the match. Runs that begin elsewhere could not become matches; those that begin near see the same
//! rows as ever, for as long as they can live.

use super::compile::{SequenceMatcher, Skip};
use super::joins::never_fails;
use super::tests::{Asked, NO_TIME, Test};
use crate::automaton::{Next, VariableId};
use crate::bits::Bits;
use crate::promote::reachable_without;

/// An event is rare if it is one row of so many, or the table is small.
const ROWS_A_RARE_ONE: usize = 16;
const SMALL: usize = 64;

impl SequenceMatcher {
    /// Variables without which there is no match, where rows far from theirs may be passed over. None where something
    /// else than matches is reported, where a match forgets (what it forgets and when it is known depends on runs that
    /// never become matches), where an absence looks back from the first row or on past a bound by rows, and where a
    /// condition might raise an error.
    pub(crate) fn find_required(&self) -> Vec<VariableId> {
        let bounded = self.within_ns.is_some() || self.within_rows.is_some();
        let fails = |test: &Test| matches!(test, Test::Run { whole, .. } if !never_fails(whole));
        let mut asked_of_rows = self.tests.iter().enumerate().filter(|(test, _)| self.having != Some(*test));
        let waits_for_the_end = |target: &crate::automaton::Target| {
            target.step == Next::Accept && !self.automaton.ways[target.way as usize].absences.is_empty()
        };
        let mut targets = self.automaton.positions.iter().flat_map(|position| &position.follow);
        if !bounded
            || !matches!(self.skip, Skip::None)
            || self.pattern.timeouts
            || !self.pattern.emit_at.is_empty()
            || !self.leading.is_empty()
            || self.within_rows.is_some() && targets.any(waits_for_the_end)
            || asked_of_rows.any(|(_, test)| fails(test))
        {
            return vec![];
        }
        let ends = |place: usize| {
            let follow = &self.automaton.positions[place].follow;
            follow.iter().any(|target| target.step == Next::Accept)
        };
        let is_required = |variable: &VariableId| {
            let without = reachable_without(&self.automaton, *variable);
            !(0..without.len()).any(|place| without[place] && ends(place))
        };
        let variables = 0..self.automaton.variables.len() as VariableId;
        variables
            .filter(|variable| self.tests[*variable as usize].predicate().is_some())
            .filter(is_required)
            .collect()
    }
}

impl Asked<'_> {
    /// Rows that lie near the rarest event that every match needs; `None` if nothing is gained by them.
    ///
    /// Cost: O(n / 64) for each such event, and O(1) a row that is near.
    pub(crate) fn near_the_rarest(&self) -> Option<Bits> {
        let matcher = self.matcher;
        let rows = self.chunk.rows.num_rows();
        // An error that a row would raise is to be raised.
        if self.masks.of.iter().any(Result::is_err) {
            return None;
        }
        let of = |variable: &VariableId| {
            let predicate = matcher.tests[*variable as usize].predicate()?;
            self.masks.of[predicate].as_ref().ok()
        };
        let rarest = matcher.required.iter().filter_map(of).min_by_key(|bits| bits.count(0, rows))?;
        if rarest.count(0, rows) * ROWS_A_RARE_ONE > rows.max(SMALL * ROWS_A_RARE_ONE) {
            return None;
        }
        let mut near = Bits::filled(rows, false);
        let mut covered = 0;
        for partition in 0..self.chunk.rows.num_partitions() {
            let places = self.chunk.rows.partition(partition);
            let mut marked = places.start;
            let mut place = places.start;
            loop {
                place = rarest.next_set(place as usize, places.end as usize) as u32;
                if place == places.end {
                    break;
                }
                let time = self.chunk.time(self.chunk.rows.arrival(place));
                let is_near = |other: u32| {
                    let by_rows = matcher.within_rows.is_none_or(|most| {
                        // The row past the last that a run may take ends it, which may let a match be known.
                        let most = if other > place { most.saturating_add(1) } else { most };
                        u64::from(other.abs_diff(place)) <= most
                    });
                    let by_time = matcher.within_ns.is_none_or(|span| {
                        let other = self.chunk.time(self.chunk.rows.arrival(other));
                        other != NO_TIME && other.abs_diff(time) < span.unsigned_abs()
                    });
                    by_rows && by_time
                };
                if time != NO_TIME {
                    let mut from = place;
                    while from > marked && is_near(from - 1) {
                        from -= 1;
                    }
                    let mut to = place.max(marked);
                    while to < places.end && is_near(to) {
                        to += 1;
                    }
                    let from = from.max(marked);
                    if to > from {
                        set(near.words_mut(), from as usize, to as usize);
                        covered += (to - from) as usize;
                    }
                    marked = marked.max(to);
                }
                place += 1;
            }
        }
        (covered * 4 <= rows * 3).then_some(near)
    }
}

/// Sets the bits `from..to`.
fn set(words: &mut [u64], from: usize, to: usize) {
    let first = from / 64;
    for (word, bits) in words.iter_mut().enumerate().take((to - 1) / 64 + 1).skip(first) {
        let low = if word == first { u64::MAX << (from % 64) } else { u64::MAX };
        let high = if word == to / 64 { (1 << (to % 64)) - 1 } else { u64::MAX };
        *bits |= low & high;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_set_and_nothing_beside_it() {
        for (from, to) in [(0, 1), (0, 64), (3, 64), (63, 65), (64, 128), (5, 200), (199, 200)] {
            let mut bits = Bits::filled(200, false);
            set(bits.words_mut(), from, to);
            assert_eq!(bits.count(0, 200), to - from, "{from}..{to}");
            assert_eq!((bits.next_set(0, 200), bits.next_clear(from, 200)), (from, to), "{from}..{to}");
        }
    }
}
