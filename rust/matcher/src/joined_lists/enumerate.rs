//! The matches that a row completes, in the order they come out in.

use super::lists::Lists;
use crate::lists::written::Written;

/// Enumerates the matches of rows.
///
/// What leads to a match is marked from the last step back: of each step the entries, and which of the next may follow each.
/// Then ways are walked from the first step on, without a dead end.
#[derive(Debug)]
pub(super) struct Enumeration {
    marked: Vec<Marked>,
    /// `links[i]`: an entry, and the place among those marked at the next step of one that may follow it.
    links: Vec<(u32, u32)>,
    /// By entry: how many of the links are its own, then where they stand. Zero between calls.
    places: Vec<u32>,
    way: Vec<u32>,
    /// Links that were marked: a count of work.
    pub(super) marks: u64,
}

/// Of one step.
#[derive(Clone, Debug, Default)]
struct Marked {
    /// Ascending.
    entries: Vec<u32>,
    rows: Vec<u32>,
    /// `ends[i]`: one past the last of `next` that may follow entry i.
    ends: Vec<u32>,
    /// Places among the entries marked at the next step.
    next: Vec<u32>,
}

impl Marked {
    fn next(&self, at: usize) -> &[u32] {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.next[begin as usize..self.ends[at] as usize]
    }
}

impl Enumeration {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            marked: vec![Marked::default(); steps - 1],
            links: vec![],
            places: vec![],
            way: vec![],
            marks: 0,
        }
    }

    /// Marks everything that leads to a row which may follow `entries`, ascending, and begins at `first` or later.
    fn mark(&mut self, lists: &mut Lists<'_>, entries: &[u32], first: u32) {
        let last = self.marked.len() - 1;
        self.marked[last].entries.clear();
        self.marked[last].entries.extend_from_slice(entries);
        for step in (1..=last).rev() {
            self.link(lists, step, first);
            self.mark_before(lists, step);
        }
        for (marked, list) in self.marked.iter_mut().zip(&lists.of) {
            marked.rows.clear();
            marked.rows.extend(marked.entries.iter().map(|entry| list.row(*entry)));
        }
    }

    /// Links every marked entry of a step to those that it may follow.
    fn link(&mut self, lists: &mut Lists<'_>, step: usize, first: u32) {
        self.links.clear();
        let links = &mut self.links;
        let mut looked_at = 0;
        for (at, entry) in self.marked[step].entries.iter().enumerate() {
            let at = at as u32;
            if lists.steps[step].split {
                links.push((lists.followed(step, *entry), at));
                continue;
            }
            let list = &lists.of[step];
            let place = list.place(*entry);
            let (candidate, sought) = (list.candidates[place] as usize, list.sought[place]);
            looked_at += lists.preceding(step, candidate, sought, first, |before, _| {
                links.push((before, at));
                true
            });
        }
        lists.looked_at += looked_at;
        self.marks += links.len() as u64;
    }

    /// Marks the entries before a step that it is linked to, and sorts the links by them.
    fn mark_before(&mut self, lists: &Lists<'_>, step: usize) {
        let list = &lists.of[step - 1];
        let own = &mut self.marked[step - 1];
        own.entries.clear();
        if self.places.len() < list.rows.len() {
            self.places.resize(list.rows.len(), 0);
        }
        for (before, _) in &self.links {
            let count = &mut self.places[list.place(*before)];
            if *count == 0 {
                own.entries.push(*before);
            }
            *count += 1;
        }
        own.entries.sort_unstable();
        own.ends.clear();
        let mut end = 0;
        for entry in &own.entries {
            let place = &mut self.places[list.place(*entry)];
            end += std::mem::replace(place, end);
            own.ends.push(end);
        }
        own.next.clear();
        own.next.resize(self.links.len(), 0);
        // In order of what follows, as links are.
        for (before, at) in &self.links {
            let place = &mut self.places[list.place(*before)];
            own.next[*place as usize] = *at;
            *place += 1;
        }
        for entry in &own.entries {
            self.places[list.place(*entry)] = 0;
        }
    }

    /// Writes down the matches that end in `row`, which follows `entries`, by first row, then membership: at most `most` of
    /// them, and no more once there are more than `members_max` rows.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn write(
        &mut self,
        lists: &mut Lists<'_>,
        entries: &[u32],
        row: u32,
        first: u32,
        most: usize,
        members_max: usize,
        written: &mut Written,
    ) {
        self.mark(lists, entries, first);
        let length = self.marked.len() + 1;
        let until = written.matches.saturating_add(most).min(members_max / length + 1);
        self.way.clear();
        for at in 0..self.marked[0].entries.len() {
            if written.matches >= until {
                return;
            }
            walk(&self.marked, &mut self.way, at, row, until, written);
        }
    }

    /// The number of matches that end in a row which follows `entries`; `None`: more than can be counted.
    ///
    /// Cost: O(l) for l links between rows of these matches.
    pub(super) fn count(&mut self, lists: &mut Lists<'_>, entries: &[u32], first: u32) -> Option<u64> {
        self.mark(lists, entries, first);
        let mut ways = vec![1_u64; self.marked[0].entries.len()];
        for step in 1..self.marked.len() {
            let mut next = vec![0_u64; self.marked[step].entries.len()];
            for (at, ways) in ways.iter().enumerate() {
                for to in self.marked[step - 1].next(at) {
                    let sum = &mut next[*to as usize];
                    *sum = sum.checked_add(*ways)?;
                }
            }
            ways = next;
        }
        ways.into_iter().try_fold(0_u64, u64::checked_add)
    }
}

/// Walks every way from the marked entry in place `at` of the step that the way has come to.
fn walk(marked: &[Marked], way: &mut Vec<u32>, at: usize, row: u32, until: usize, written: &mut Written) {
    let step = way.len();
    way.push(marked[step].rows[at]);
    match marked.len() - step {
        1 => {
            written.rows.extend_from_slice(way);
            written.rows.push(row);
            written.matches += 1;
        }
        2 => {
            let rows = &marked[step + 1].rows;
            let next = marked[step].next(at);
            let next = &next[..next.len().min(until - written.matches)];
            written.add(way, next.iter().map(|to| rows[*to as usize]), row);
        }
        _ => {
            for to in marked[step].next(at) {
                if written.matches >= until {
                    break;
                }
                walk(marked, way, *to as usize, row, until, written);
            }
        }
    }
    way.pop();
}
