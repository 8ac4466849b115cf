//! Step lists over a table, partition by partition.

use std::ops::Range;

use super::compile::{Bound, StepLists};
use super::enumerate::{Enumeration, Written};
use super::lists::{Action, Lists};
use crate::bits::{Bits, inside};
use crate::error::MatchError;
use crate::masks::Masks;
use crate::sequence::{Chunk, NO_TIME};
use crate::symbols::{BySymbol, symbol_at};

/// Most rows of all matches together, unless fewer are asked for.
pub const MEMBERS_MAX: usize = 1 << 30;

/// Rows between two looks at whether the answer is still wanted.
const ROWS_BETWEEN_PAUSES: u32 = 1 << 14;

/// What was found.
#[derive(Debug, Default)]
pub struct StepListsFound {
    /// Positions of the rows of all matches, one match behind the other: in the order in which matches are decided.
    pub rows: Vec<u32>,
    /// The places that took them, unless all matches have one shape.
    pub places: Vec<u16>,
    /// One past the last row of each match, unless all have one shape.
    pub ends: Vec<u32>,
    /// The number of matches.
    pub matches: usize,
    /// `numbers[i]`: of match i within its partition, from 1; `None`: there is one partition.
    pub numbers: Option<Vec<i64>>,
    /// What it took.
    pub work: StepListsWork,
}

/// Counts of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepListsWork {
    /// Rows that satisfied something.
    pub rows: u64,
    /// Entries made in lists.
    pub entries: u64,
    /// Entries, or links between them, marked because they lead to a match.
    pub marks: u64,
    /// Entries and blocks of them looked at because a row might follow them.
    pub looked_at: u64,
    /// The most bytes that lists took.
    pub bytes_max: usize,
}

/// What is wanted of matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// So many of them, the first.
    Matches(usize),
    /// Their number.
    Count,
    /// Whether there is one.
    Any,
}

impl StepLists {
    /// The first `most` matches of a table, whose rows satisfy what `masks` say by position. `None`: the data stand against
    /// it (a condition raises an error somewhere, or a row under a WITHIN has no time).
    ///
    /// # Errors
    /// [`MatchError::TooLarge`], [`MatchError::Interrupted`], and what Arrow refuses.
    pub fn find(
        &self,
        masks: &Masks,
        chunk: Chunk<'_>,
        most: usize,
        limits: SearchLimits,
    ) -> Result<Option<StepListsFound>, MatchError> {
        let found = self.search(masks, chunk, Wanted::Matches(most), limits)?;
        Ok(found.map(|outcome| outcome.found(most, chunk.rows.num_partitions(), self.places.len())))
    }

    /// The number of matches; `None` as in [`find`](Self::find).
    ///
    /// # Errors
    /// As [`find`](Self::find); [`MatchError::TooLarge`] past 64 bits.
    pub fn count(
        &self,
        masks: &Masks,
        chunk: Chunk<'_>,
        limits: SearchLimits,
    ) -> Result<Option<u64>, MatchError> {
        Ok(self.search(masks, chunk, Wanted::Count, limits)?.map(|outcome| outcome.counted))
    }

    /// Whether there is a match; `None` as in [`find`](Self::find).
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn exists(
        &self,
        masks: &Masks,
        chunk: Chunk<'_>,
        limits: SearchLimits,
    ) -> Result<Option<bool>, MatchError> {
        Ok(self.search(masks, chunk, Wanted::Any, limits)?.map(|outcome| outcome.counted > 0))
    }

    /// Every share of the partitions on a thread of its own; what they find is put together in the order of the shares, so
    /// that the answer, an error included, is that of one thread.
    fn search(
        &self,
        masks: &Masks,
        chunk: Chunk<'_>,
        wanted: Wanted,
        limits: SearchLimits,
    ) -> Result<Option<Outcome>, MatchError> {
        let shares = chunk.rows.shares(limits.threads);
        let one = |share: std::ops::Range<usize>| {
            let search = Search::new(self, masks, chunk, wanted, limits);
            search.map(|search| search.run(share)).transpose()
        };
        if shares.len() <= 1 {
            return one(0..chunk.rows.num_partitions());
        }
        let outcomes: Vec<Result<Option<Outcome>, MatchError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(|| one(share))).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|outcome| outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let mut all: Option<Outcome> = None;
        for outcome in outcomes {
            let Some(outcome) = outcome? else { return Ok(None) };
            match &mut all {
                Some(all) => all.append(outcome, limits.members_max)?,
                None => all = Some(outcome),
            }
        }
        Ok(all)
    }
}

/// How a search is run.
#[derive(Clone, Copy, Debug)]
pub struct SearchLimits {
    /// Threads to share partitions among.
    pub threads: usize,
    /// Most rows of all matches together.
    pub members_max: usize,
    /// Asked now and then; `true` ends the search with [`MatchError::Interrupted`].
    pub interrupted: Option<fn() -> bool>,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self { threads: 1, members_max: MEMBERS_MAX, interrupted: None }
    }
}

/// What one thread found.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) written: Written,
    pub(crate) counted: u64,
    pub(crate) completed: Vec<Completed>,
    pub(crate) work: StepListsWork,
}

/// Matches of one row.
pub(crate) struct Completed {
    /// The row's place in the order of all rows.
    pub(crate) ordinal: u64,
    pub(crate) matches: Range<usize>,
    /// The number of the first of them within its partition.
    pub(crate) number: i64,
}

struct Search<'a> {
    steps: &'a StepLists,
    chunk: Chunk<'a>,
    masks: Vec<&'a Bits>,
    relevant: Bits,
    lists: Lists<'a>,
    enumeration: Enumeration,
    actions: BySymbol<Action>,
    wanted: Wanted,
    outcome: Outcome,
    members_max: usize,
    interrupted: Option<fn() -> bool>,
    rows_to_pause: u32,
}

impl<'a> Search<'a> {
    fn new(
        steps: &'a StepLists,
        masks: &'a Masks,
        chunk: Chunk<'a>,
        wanted: Wanted,
        limits: SearchLimits,
    ) -> Option<Self> {
        if steps.is_bounded_by_time() && chunk.times.contains(&NO_TIME) {
            return None;
        }
        let masks: Vec<&Bits> = steps
            .predicates
            .iter()
            .map(|predicate| masks.of[*predicate].as_ref().ok())
            .collect::<Option<_>>()?;
        let every_row = steps.of_variable.iter().any(Option::is_none);
        let rows = chunk.rows.num_rows();
        let relevant =
            if every_row { Bits::filled(rows, true) } else { Bits::union(rows, masks.iter().copied()) };
        let lists = Lists::new(steps);
        Some(Self {
            enumeration: Enumeration::new(&lists),
            actions: BySymbol::new(masks.len()),
            steps,
            chunk,
            masks,
            relevant,
            lists,
            wanted,
            outcome: Outcome::default(),
            members_max: limits.members_max,
            interrupted: limits.interrupted,
            rows_to_pause: ROWS_BETWEEN_PAUSES,
        })
    }

    fn run(mut self, partitions: Range<usize>) -> Result<Outcome, MatchError> {
        for partition in partitions {
            let rows = self.chunk.rows.partition(partition);
            self.lists.clear();
            self.partition(rows)?;
            if self.wanted == Wanted::Any && self.outcome.counted > 0 {
                break;
            }
        }
        let work = &mut self.outcome.work;
        work.entries = self.lists.made;
        work.marks = self.enumeration.marks;
        work.bytes_max = work.bytes_max.max(self.lists.bytes());
        Ok(self.outcome)
    }

    fn partition(&mut self, rows: Range<u32>) -> Result<(), MatchError> {
        let mut window = Window { bound: self.steps.within, begin: rows.start };
        let mut number = 1;
        let mut words = vec![0_u64; self.masks.len()];
        for block in rows.start / 64..rows.end.div_ceil(64) {
            let mut open = self.relevant.words()[block as usize] & inside(block as usize, &rows);
            if open == 0 {
                continue;
            }
            for (word, mask) in words.iter_mut().zip(&self.masks) {
                *word = mask.words()[block as usize];
            }
            while open != 0 {
                let bit = open.trailing_zeros();
                open &= open - 1;
                let symbol = symbol_at(&words, bit);
                let row = block * 64 + bit;
                self.outcome.work.rows += 1;
                if self.row(row, symbol, &rows, &mut window, &mut number)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether no further row of the partition is wanted.
    #[inline]
    fn row(
        &mut self,
        row: u32,
        symbol: u64,
        partition: &Range<u32>,
        window: &mut Window,
        number: &mut i64,
    ) -> Result<bool, MatchError> {
        self.pause()?;
        let first = window.first(row, partition, &self.chunk);
        let action = self.actions.number(symbol, || self.steps.action(symbol));
        let action = &self.actions.made()[action as usize];
        if !self.lists.grow(action, row, first) {
            return Ok(false);
        }
        let found = match self.wanted {
            Wanted::Any => 1,
            Wanted::Count => self
                .enumeration
                .count(&self.lists, row, first)
                .ok_or(MatchError::TooLarge { what: "matches to count", limit: u64::MAX })?,
            Wanted::Matches(most) => {
                let written = &mut self.outcome.written;
                let before = written.matches;
                let own = most.saturating_sub(*number as usize - 1);
                self.enumeration.write(&self.lists, row, first, own, self.members_max, written);
                if written.rows.len() > self.members_max {
                    return Err(too_many_rows(self.members_max));
                }
                let matches = before..written.matches;
                let found = matches.len() as u64;
                let ordinal = self.chunk.ordinal(self.chunk.rows.arrival(row));
                self.outcome.completed.push(Completed { ordinal, matches, number: *number });
                *number += found as i64;
                found
            }
        };
        self.outcome.count(found)?;
        if self.steps.consumes && found > 0 {
            self.lists.clear();
        }
        Ok(match self.wanted {
            Wanted::Any => true,
            Wanted::Count => false,
            Wanted::Matches(most) => *number as usize > most,
        })
    }

    #[inline]
    fn pause(&mut self) -> Result<(), MatchError> {
        self.rows_to_pause -= 1;
        if self.rows_to_pause > 0 {
            return Ok(());
        }
        self.rows_to_pause = ROWS_BETWEEN_PAUSES;
        let work = &mut self.outcome.work;
        work.bytes_max = work.bytes_max.max(self.lists.bytes());
        if self.interrupted.is_some_and(|interrupted| interrupted()) {
            return Err(MatchError::Interrupted);
        }
        Ok(())
    }
}

pub(crate) fn too_many_rows(limit: usize) -> MatchError {
    MatchError::TooLarge { what: "rows of matches", limit: limit as u64 }
}

impl Outcome {
    pub(crate) fn count(&mut self, more: u64) -> Result<(), MatchError> {
        let counted = self.counted.checked_add(more);
        self.counted = counted.ok_or(MatchError::TooLarge { what: "matches to count", limit: u64::MAX })?;
        Ok(())
    }

    /// Adds what was found in the partitions behind these.
    fn append(&mut self, other: Self, members_max: usize) -> Result<(), MatchError> {
        self.count(other.counted)?;
        let (rows, matches) = (self.written.rows.len(), self.written.matches);
        if rows + other.written.rows.len() > members_max {
            return Err(too_many_rows(members_max));
        }
        self.written.rows.extend(other.written.rows);
        self.written.places.extend(other.written.places);
        self.written.ends.extend(other.written.ends.iter().map(|end| end + rows as u32));
        self.written.matches += other.written.matches;
        self.completed.extend(other.completed.into_iter().map(|entry| Completed {
            matches: entry.matches.start + matches..entry.matches.end + matches,
            ..entry
        }));
        self.work.rows += other.work.rows;
        self.work.entries += other.work.entries;
        self.work.marks += other.work.marks;
        self.work.looked_at += other.work.looked_at;
        self.work.bytes_max += other.work.bytes_max;
        Ok(())
    }

    /// The matches in the order in which they are decided, at most `most`, with rows of `shape` places if all have one shape.
    pub(crate) fn found(mut self, most: usize, partitions: usize, shape: usize) -> StepListsFound {
        let Written { rows, places, ends, matches } = self.written;
        let sorted = self.completed.is_sorted_by_key(|entry| entry.ordinal);
        let mut found = StepListsFound { rows, places, ends, matches, numbers: None, work: self.work };
        if !sorted {
            self.completed.sort_unstable_by_key(|entry| entry.ordinal);
            found = found.in_order(&self.completed, shape);
        }
        if partitions > 1 {
            let numbers = self
                .completed
                .iter()
                .flat_map(|entry| (0..entry.matches.len() as i64).map(move |place| entry.number + place));
            found.numbers = Some(numbers.collect());
        }
        found.truncate(most, shape);
        found
    }
}

impl StepListsFound {
    /// The rows of a match, `shape` of them if all have one shape.
    fn range(&self, index: usize, shape: usize) -> Range<usize> {
        if self.ends.is_empty() {
            return index * shape..(index + 1) * shape;
        }
        let begin = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        begin..self.ends[index] as usize
    }

    fn in_order(self, completed: &[Completed], shape: usize) -> Self {
        let mut sorted =
            Self { rows: Vec::with_capacity(self.rows.len()), work: self.work, ..Self::default() };
        sorted.matches = self.matches;
        for entry in completed.iter().filter(|entry| !entry.matches.is_empty()) {
            let begin = self.range(entry.matches.start, shape).start;
            let end = self.range(entry.matches.end - 1, shape).end;
            sorted.rows.extend_from_slice(&self.rows[begin..end]);
            if !self.ends.is_empty() {
                sorted.places.extend_from_slice(&self.places[begin..end]);
                let moved = sorted.places.len() - (end - begin);
                let ends =
                    self.ends[entry.matches.clone()].iter().map(|own| own - begin as u32 + moved as u32);
                sorted.ends.extend(ends);
            }
        }
        sorted
    }

    fn truncate(&mut self, most: usize, shape: usize) {
        if self.matches <= most {
            return;
        }
        let end = if most == 0 { 0 } else { self.range(most - 1, shape).end };
        self.rows.truncate(end);
        self.places.truncate(end);
        self.ends.truncate(most);
        self.matches = most;
        if let Some(numbers) = &mut self.numbers {
            numbers.truncate(most);
        }
    }
}

/// Where a match may begin that ends in the row at hand.
struct Window {
    bound: Bound,
    begin: u32,
}

impl Window {
    /// The first row of the partition that is near enough; rows are asked for in order. `None`: any row is.
    #[inline]
    fn first(&mut self, row: u32, partition: &Range<u32>, chunk: &Chunk<'_>) -> Option<u32> {
        match self.bound {
            Bound::None => None,
            Bound::Rows(rows) => {
                let reach = u32::try_from(rows).unwrap_or(u32::MAX);
                Some(row.saturating_sub(reach).max(partition.start))
            }
            Bound::Nanoseconds(within) => {
                let time = |position: u32| chunk.time(chunk.rows.arrival(position));
                let end = time(row);
                while end.saturating_sub(time(self.begin)) >= within && self.begin < row {
                    self.begin += 1;
                }
                Some(if end.saturating_sub(time(self.begin)) < within { self.begin } else { row + 1 })
            }
        }
    }
}
