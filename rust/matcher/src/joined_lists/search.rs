//! Joined lists over a table, partition by partition.

use std::ops::Range;

use cepheid_event::Piece;

use super::ask::Ask;
use super::candidates::{Candidates, NoCandidates};
use super::compile::{Following, JoinedLists};
use super::enumerate::Enumeration;
use super::lists::{Lists, Sought};
use crate::bits::Bits;
use crate::error::MatchError;
use crate::lists::window::Window;
use crate::lists::{Completed, Outcome, SearchLimits, Wanted};
use crate::masks::Masks;
use crate::sequence::{Chunk, NO_TIME};
use crate::threads::Interruption;

/// Rows and entries looked at between two looks at whether the answer is still wanted.
const WORK_BETWEEN_PAUSES: u64 = 1 << 16;

impl JoinedLists {
    /// Shares partitions among threads. `None`: the data stand against it, as for
    /// [`Lists::find`](crate::lists::Lists::find).
    pub(crate) fn search(
        &self,
        masks: &Masks,
        chunk: Chunk<'_>,
        wanted: Wanted,
        limits: SearchLimits<'_>,
    ) -> Result<Option<Outcome>, MatchError> {
        if self.within.is_of_time() && chunk.times.contains(&NO_TIME) {
            return Ok(None);
        }
        let predicates = self.steps.iter().flat_map(|step| &step.absent).flatten();
        if predicates.into_iter().any(|predicate| masks.of[*predicate].is_err()) {
            return Ok(None);
        }
        let candidates = match self.candidates(masks, chunk) {
            Ok(candidates) => candidates,
            Err(NoCandidates::Fails) => return Ok(None),
            Err(NoCandidates::Event(error)) => return Err(error.into()),
        };
        let pieces = chunk.rows.pieces(limits.workers.threads, None);
        let search = |piece: &Piece, interrupted: Interruption<'_>| {
            let limits = (limits.members_max, interrupted);
            Search::new(self, masks, &candidates, chunk, wanted, limits).run(piece.partitions.clone())
        };
        let is_enough = |found: &Option<Outcome>| {
            found.as_ref().is_none_or(|found| wanted == Wanted::Any && found.counted > 0)
        };
        let mut all = Outcome::default();
        for found in limits.workers.share_until(&pieces, search, is_enough)? {
            let Some(found) = found else { return Ok(None) };
            all.append(found, usize::MAX, limits.members_max, self.steps.len())?;
        }
        Ok(Some(all))
    }
}

struct Search<'a> {
    joined: &'a JoinedLists,
    chunk: Chunk<'a>,
    candidates: &'a [Candidates],
    lists: Lists<'a>,
    ask: Ask<'a>,
    enumeration: Enumeration,
    /// Of each step its candidates in the partition, the first that the search has not passed, and the first whose
    /// place in the lists is not settled.
    cursors: Vec<Cursor>,
    absences: Vec<Vec<Absence<'a>>>,
    window: Window<'a>,
    preceding: Vec<(u32, u32)>,
    entries: Vec<u32>,
    wanted: Wanted,
    outcome: Outcome,
    members_max: usize,
    interrupted: Interruption<'a>,
    next_pause: u64,
}

/// Where the search stands among the candidates of a step.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    begin: usize,
    end: usize,
    /// The first that can be of use to whatever comes.
    near: usize,
    /// The first that has not been put in its list.
    open: usize,
}

/// Rows that must not come between two steps.
struct Absence<'a> {
    /// `None`: any row.
    mask: Option<&'a Bits>,
    /// One past the last of them met, and one past the last row looked at.
    since: u32,
    seen: u32,
}

impl Absence<'_> {
    /// The last of them before `row`; rows are asked for in order.
    fn last_before(&mut self, row: u32) -> u32 {
        let from = std::mem::replace(&mut self.seen, row);
        match self.mask {
            None => row.saturating_sub(1),
            Some(mask) => {
                if let Some(last) = mask.last_set(from as usize, row as usize) {
                    self.since = last as u32;
                }
                self.since
            }
        }
    }
}

impl<'a> Search<'a> {
    fn new(
        joined: &'a JoinedLists,
        masks: &'a Masks,
        candidates: &'a [Candidates],
        chunk: Chunk<'a>,
        wanted: Wanted,
        (members_max, interrupted): (usize, Interruption<'a>),
    ) -> Self {
        let absence = |predicate: &Option<usize>| Absence {
            mask: predicate.map(|predicate| masks.of[predicate].as_ref().expect("looked at before")),
            since: 0,
            seen: 0,
        };
        Self {
            lists: Lists::new(joined, candidates),
            ask: Ask::new(joined, candidates),
            enumeration: Enumeration::new(joined.steps.len()),
            cursors: vec![Cursor::default(); joined.steps.len()],
            absences: joined.steps.iter().map(|step| step.absent.iter().map(absence).collect()).collect(),
            window: Window { bound: joined.within, chunk, begin: 0 },
            preceding: vec![],
            entries: vec![],
            outcome: Outcome::default(),
            next_pause: WORK_BETWEEN_PAUSES,
            joined,
            chunk,
            candidates,
            wanted,
            members_max,
            interrupted,
        }
    }

    /// Searches some partitions. `None`: a condition has raised an error.
    fn run(mut self, partitions: Range<usize>) -> Result<Option<Outcome>, MatchError> {
        for partition in partitions {
            let rows = self.chunk.rows.partition(partition);
            self.enter(&rows);
            if !self.partition()? {
                return Ok(None);
            }
            if self.wanted == Wanted::Any && self.outcome.counted > 0 {
                break;
            }
        }
        let work = &mut self.outcome.work;
        work.entries = self.lists.made;
        work.looked_at = self.lists.looked_at;
        work.marks = self.enumeration.marks;
        work.bytes_max = work.bytes_max.max(self.lists.bytes());
        Ok(Some(self.outcome))
    }

    fn enter(&mut self, partition: &Range<u32>) {
        self.lists.clear();
        self.window.begin = partition.start;
        for absence in self.absences.iter_mut().flatten() {
            (absence.since, absence.seen) = (partition.start, partition.start);
        }
        for (cursor, own) in self.cursors.iter_mut().zip(self.candidates) {
            let begin = ahead(&own.rows, cursor.end, partition.start);
            let end = ahead(&own.rows, begin, partition.end);
            *cursor = Cursor { begin, end, near: begin, open: begin };
        }
    }

    /// Whether no condition has raised an error.
    fn partition(&mut self) -> Result<bool, MatchError> {
        let last = self.joined.steps.len() - 1;
        let mut number = 1;
        let mut floor = 0;
        while self.cursors[last].near < self.cursors[last].end {
            let candidate = self.cursors[last].near;
            let row = self.candidates[last].rows[candidate];
            let first = self.window.first(row).max(floor);
            let Some(reached) = self.leap(first) else { break };
            if reached > row {
                self.cursors[last].near = ahead(&self.candidates[last].rows, candidate + 1, reached);
                continue;
            }
            for step in 0..last {
                if !self.grow(step, row, first)? {
                    return Ok(false);
                }
            }
            if !self.look_before(last, candidate, first)? {
                return Ok(false);
            }
            self.cursors[last].near += 1;
            self.pause()?;
            self.lists.drop_before(first);
            if self.preceding.is_empty() {
                continue;
            }
            let found = self.complete(row, first, &mut number)?;
            if self.joined.consumes && found > 0 {
                floor = row + 1;
            }
            let enough = match self.wanted {
                Wanted::Any => true,
                Wanted::Count => false,
                Wanted::Matches(most) => number as usize > most,
            };
            if enough {
                break;
            }
        }
        Ok(true)
    }

    /// The first row that could complete a match which begins at `first` or later, as far as each step having candidates
    /// tells; `None`: no row of the partition could.
    ///
    /// Steps whose candidates are rare are what the search leaps by: between them nothing is looked at.
    fn leap(&mut self, first: u32) -> Option<u32> {
        let mut from = first;
        let last = self.cursors.len() - 1;
        for (cursor, own) in self.cursors[..last].iter_mut().zip(self.candidates) {
            cursor.near = ahead(&own.rows, cursor.near, from);
            if cursor.near >= cursor.end {
                return None;
            }
            from = own.rows[cursor.near] + 1;
        }
        Some(from)
    }

    /// Puts the candidates of a step before `row` in its list.
    fn grow(&mut self, step: usize, row: u32, first: u32) -> Result<bool, MatchError> {
        let Cursor { near, open, end, .. } = self.cursors[step];
        let mut candidate = near.max(open);
        while candidate < end && self.candidates[step].rows[candidate] < row {
            self.outcome.work.rows += 1;
            let own = self.candidates[step].rows[candidate];
            if step == 0 {
                self.lists.add(0, candidate, Sought::nothing(), own);
            } else if self.joined.steps[step].split {
                if !self.look_before(step, candidate, first)? {
                    return Ok(false);
                }
                for (entry, start) in self.preceding.iter().rev() {
                    self.lists.add(step, candidate, Sought::one(*entry), *start);
                }
            } else {
                let sought = self.seek(step, candidate);
                if let Some(latest) = self.lists.latest_start(step, candidate, sought, first) {
                    self.lists.add(step, candidate, sought, latest);
                }
            }
            candidate += 1;
            self.pause()?;
        }
        self.cursors[step].open = candidate;
        Ok(true)
    }

    /// Finds the entries that a candidate may follow: the last comes first.
    fn look_before(&mut self, step: usize, candidate: usize, first: u32) -> Result<bool, MatchError> {
        let sought = self.seek(step, candidate);
        let preceding = &mut self.preceding;
        preceding.clear();
        let looked_at = self.lists.preceding(step, candidate, sought, first, |entry, start| {
            preceding.push((entry, start));
            true
        });
        self.lists.looked_at += looked_at;
        if !self.ask.retain(&self.lists, step, candidate, &mut self.preceding) {
            return Ok(false);
        }
        self.lists.follow(step, &self.preceding);
        if step + 1 < self.joined.steps.len() && !self.lists.has_room(step, self.preceding.len()) {
            return Err(MatchError::TooLarge { what: "partial matches", limit: u32::MAX.into() });
        }
        Ok(true)
    }

    fn seek(&mut self, step: usize, candidate: usize) -> Sought {
        let rows = &self.candidates[step].rows;
        let row = rows[candidate];
        let mut since = 0;
        if self.joined.steps[step].following == Following::First && candidate > self.cursors[step].begin {
            since = rows[candidate - 1];
        }
        for absence in &mut self.absences[step] {
            since = since.max(absence.last_before(row));
        }
        self.lists.seek(step, candidate, since)
    }

    /// What a row completes, of which the entries before it have been found.
    fn complete(&mut self, row: u32, first: u32, number: &mut i64) -> Result<u64, MatchError> {
        self.entries.clear();
        self.entries.extend(self.preceding.iter().rev().map(|(entry, _)| *entry));
        let found = match self.wanted {
            Wanted::Any => 1,
            Wanted::Count => self
                .enumeration
                .count(&mut self.lists, &self.entries, first)
                .ok_or(MatchError::TooLarge { what: "matches to count", limit: u64::MAX })?,
            Wanted::Matches(most) => {
                let written = &mut self.outcome.written;
                let before = written.matches;
                let own = most.saturating_sub(*number as usize - 1);
                let members_max = self.members_max;
                self.enumeration.write(&mut self.lists, &self.entries, row, first, own, members_max, written);
                if written.rows.len() > members_max {
                    return Err(MatchError::TooLarge { what: "rows of matches", limit: members_max as u64 });
                }
                let matches = before..written.matches;
                let found = matches.len() as u64;
                let ordinal = self.chunk.ordinal_at(row);
                self.outcome.completed.push(Completed { ordinal, matches, number: *number });
                *number += found as i64;
                found
            }
        };
        self.outcome.count(found)?;
        Ok(found)
    }

    #[inline]
    fn pause(&mut self) -> Result<(), MatchError> {
        let work = &mut self.outcome.work;
        if work.rows + self.lists.looked_at < self.next_pause {
            return Ok(());
        }
        self.next_pause = work.rows + self.lists.looked_at + WORK_BETWEEN_PAUSES;
        work.bytes_max = work.bytes_max.max(self.lists.bytes());
        if self.interrupted.is_due() {
            return Err(MatchError::Interrupted);
        }
        Ok(())
    }
}

/// The first place from `at` on of a row that is not before `row`: by doubling steps, so that near places are near.
fn ahead(rows: &[u32], at: usize, row: u32) -> usize {
    let mut step = 1;
    let mut low = at;
    while low + step <= rows.len() && rows[low + step - 1] < row {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(rows.len());
    low + rows[low..high].partition_point(|known| *known < row)
}

#[cfg(test)]
mod tests {
    use super::ahead;

    #[test]
    fn the_search_ahead_finds_what_a_scan_finds() {
        let rows: Vec<u32> = (0..200)
            .map(|row| row * row % 97 + row * 3)
            .scan(0, |top, row| {
                *top = row.max(*top + 1);
                Some(*top)
            })
            .collect();
        let mut compared = 0;
        for at in (0..=rows.len()).step_by(7) {
            for row in 0..rows[rows.len() - 1] + 3 {
                let expected = at + rows[at..].iter().take_while(|known| **known < row).count();
                assert_eq!(ahead(&rows, at, row), expected, "row {row} from {at}");
                compared += 1;
            }
        }
        assert!(compared > 10_000, "{compared}");
    }
}
