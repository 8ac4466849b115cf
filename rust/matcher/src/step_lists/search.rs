//! Step lists over a table, partition by partition.

use std::ops::Range;

use cepheid_event::Piece;

use super::compile::{Bound, StepLists};
use super::enumerate::Enumeration;
use super::lists::{Action, Lists};
use super::written::Written;
use crate::bits::{Bits, inside};
use crate::error::MatchError;
use crate::masks::Masks;
use crate::sequence::{Chunk, NO_TIME};
use crate::symbols::{BySymbol, symbol_at};
use crate::threads::{Interruption, Workers};

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
    /// Entries marked because they lead to a match.
    pub marks: u64,
    /// The most bytes that lists took.
    pub bytes_max: usize,
}

/// What is wanted of matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
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
        limits: SearchLimits<'_>,
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
        limits: SearchLimits<'_>,
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
        limits: SearchLimits<'_>,
    ) -> Result<Option<bool>, MatchError> {
        Ok(self.search(masks, chunk, Wanted::Any, limits)?.map(|outcome| outcome.counted > 0))
    }

    /// Whether a partition may be cut for several threads: what ends in a row is of rows in its window, unless matches before
    /// it have consumed some.
    pub fn cuts_partitions(&self) -> bool {
        self.within != Bound::None && !self.consumes
    }

    /// Every piece of the rows on a thread of its own; what they find is put together in their order, so that the answer, an
    /// error included, is that of one thread.
    fn search(
        &self,
        masks: &Masks,
        chunk: Chunk<'_>,
        wanted: Wanted,
        limits: SearchLimits<'_>,
    ) -> Result<Option<Outcome>, MatchError> {
        let Some(ground) = Ground::new(self, masks, chunk) else { return Ok(None) };
        let reach = |row: u32, partition: &Range<u32>| self.within.reach(row, partition, &chunk);
        let pieces = chunk.rows.pieces(limits.workers.threads, self.cuts_partitions().then_some(&reach));
        let search = |piece: &Piece, interrupted: Interruption<'_>| {
            Search::new(&ground, wanted, limits.members_max, interrupted).run(piece)
        };
        let is_enough = |found: &Outcome| wanted == Wanted::Any && found.counted > 0;
        let found = limits.workers.share_until(&pieces, search, is_enough)?;
        let most = if let Wanted::Matches(most) = wanted { most } else { usize::MAX };
        let mut all = Outcome::default();
        for (piece, found) in pieces.iter().zip(found) {
            if !piece.continues {
                all.of_partition = 0;
            }
            if all.of_partition < most || !piece.continues {
                all.append(found, most, limits.members_max, self.places.len())?;
            }
        }
        Ok(Some(all))
    }
}

/// How a search is run.
#[derive(Clone, Copy, Debug)]
pub struct SearchLimits<'a> {
    /// Most rows of all matches together.
    pub members_max: usize,
    /// Who searches.
    pub workers: Workers<'a>,
}

impl Default for SearchLimits<'_> {
    fn default() -> Self {
        Self { members_max: MEMBERS_MAX, workers: Workers::default() }
    }
}

/// Matches of one row.
struct Completed {
    /// The row's place in the order of all rows.
    ordinal: u64,
    matches: Range<usize>,
    /// The number of the first of them within its partition.
    number: i64,
}

/// What was found in a piece.
#[derive(Default)]
struct Outcome {
    written: Written,
    counted: u64,
    completed: Vec<Completed>,
    /// How many of the matches written down are of the last partition.
    of_partition: usize,
    work: StepListsWork,
}

/// What every piece of a search goes by.
struct Ground<'a> {
    steps: &'a StepLists,
    chunk: Chunk<'a>,
    masks: Vec<&'a Bits>,
    relevant: Bits,
}

impl<'a> Ground<'a> {
    /// `None`: the data stand against it.
    fn new(steps: &'a StepLists, masks: &'a Masks, chunk: Chunk<'a>) -> Option<Self> {
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
        Some(Self { steps, chunk, masks, relevant })
    }
}

struct Search<'a> {
    ground: &'a Ground<'a>,
    lists: Lists,
    enumeration: Enumeration,
    actions: BySymbol<Action>,
    wanted: Wanted,
    outcome: Outcome,
    members_max: usize,
    interrupted: Interruption<'a>,
    rows_to_pause: u32,
}

impl<'a> Search<'a> {
    fn new(
        ground: &'a Ground<'a>,
        wanted: Wanted,
        members_max: usize,
        interrupted: Interruption<'a>,
    ) -> Self {
        let lists = Lists::new(ground.steps);
        Self {
            enumeration: Enumeration::new(ground.steps),
            actions: BySymbol::new(ground.masks.len()),
            ground,
            lists,
            wanted,
            outcome: Outcome::default(),
            members_max,
            interrupted,
            rows_to_pause: ROWS_BETWEEN_PAUSES,
        }
    }

    fn run(mut self, piece: &Piece) -> Result<Outcome, MatchError> {
        for partition in piece.partitions.clone() {
            self.lists.clear(self.ground.steps);
            self.outcome.of_partition = 0;
            self.partition(&self.ground.chunk.rows.partition(partition), piece)?;
            if self.wanted == Wanted::Any && self.outcome.counted > 0 || self.has_too_many_rows() {
                break;
            }
        }
        let work = &mut self.outcome.work;
        work.entries = self.lists.made;
        work.marks = self.enumeration.marks;
        work.bytes_max = work.bytes_max.max(self.lists.bytes());
        Ok(self.outcome)
    }

    fn partition(&mut self, partition: &Range<u32>, piece: &Piece) -> Result<(), MatchError> {
        let own = piece.rows_of(partition);
        let seen = if piece.continues { piece.seen_from..own.end } else { own.clone() };
        let mut window = Window { bound: self.ground.steps.within, begin: seen.start };
        let mut words = vec![0_u64; self.ground.masks.len()];
        for block in seen.start / 64..seen.end.div_ceil(64) {
            let mut open = self.ground.relevant.words()[block as usize] & inside(block as usize, &seen);
            if open == 0 {
                continue;
            }
            for (word, mask) in words.iter_mut().zip(&self.ground.masks) {
                *word = mask.words()[block as usize];
            }
            while open != 0 {
                let bit = open.trailing_zeros();
                open &= open - 1;
                let row = block * 64 + bit;
                self.outcome.work.rows += 1;
                self.pause()?;
                let first = window.first(row, partition, &self.ground.chunk);
                if self.grow(row, symbol_at(&words, bit), first)
                    && row >= own.start
                    && self.complete(row, first)?
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether more has been written down than may be. Where the piece goes on with a partition, less of it may be wanted.
    fn has_too_many_rows(&self) -> bool {
        self.outcome.written.rows.len() > self.members_max
    }

    /// Whether matches may end in the row.
    #[inline]
    fn grow(&mut self, row: u32, symbol: u64, first: Option<u32>) -> bool {
        let action = self.actions.number(symbol, || self.ground.steps.action(symbol));
        self.lists.grow(self.ground.steps, &self.actions.made()[action as usize], row, first)
    }

    /// Takes the matches that end in the row. Whether no further row of the partition is wanted.
    #[inline]
    fn complete(&mut self, row: u32, first: Option<u32>) -> Result<bool, MatchError> {
        let found = match self.wanted {
            Wanted::Any => 1,
            Wanted::Count => self
                .enumeration
                .count(self.ground.steps, &self.lists, row, first)
                .ok_or(MatchError::TooLarge { what: "matches to count", limit: u64::MAX })?,
            Wanted::Matches(most) => {
                let Outcome { written, completed, of_partition, .. } = &mut self.outcome;
                let (before, number) = (written.matches, *of_partition as i64 + 1);
                let own = most - *of_partition;
                let lists = (self.ground.steps, &self.lists);
                self.enumeration.write(lists, row, first, own, self.members_max, written);
                let matches = before..written.matches;
                *of_partition += matches.len();
                let found = matches.len() as u64;
                let chunk = &self.ground.chunk;
                let ordinal = chunk.ordinal(chunk.rows.arrival(row));
                completed.push(Completed { ordinal, matches, number });
                found
            }
        };
        self.outcome.count(found)?;
        if self.ground.steps.consumes && found > 0 {
            self.lists.clear(self.ground.steps);
        }
        Ok(match self.wanted {
            Wanted::Any => true,
            Wanted::Count => false,
            Wanted::Matches(most) => self.outcome.of_partition >= most || self.has_too_many_rows(),
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
        if self.interrupted.is_due() {
            return Err(MatchError::Interrupted);
        }
        Ok(())
    }
}

impl Outcome {
    fn count(&mut self, more: u64) -> Result<(), MatchError> {
        let counted = self.counted.checked_add(more);
        self.counted = counted.ok_or(MatchError::TooLarge { what: "matches to count", limit: u64::MAX })?;
        Ok(())
    }

    /// Adds what was found behind these rows; of matches of a partition that has some already no more than `most` in all.
    fn append(
        &mut self,
        mut other: Self,
        most: usize,
        members_max: usize,
        shape: usize,
    ) -> Result<(), MatchError> {
        self.count(other.counted)?;
        // They are all of that partition then.
        if self.of_partition > 0 {
            let left = most - self.of_partition;
            other.written.truncate(left, shape);
            other.completed.retain_mut(|entry| {
                entry.matches.end = entry.matches.end.min(left);
                entry.number += self.of_partition as i64;
                entry.matches.start < left
            });
            other.of_partition = other.of_partition.min(left);
        }
        if self.written.rows.len() + other.written.rows.len() > members_max {
            return Err(MatchError::TooLarge { what: "rows of matches", limit: members_max as u64 });
        }
        let matches = self.written.matches;
        self.completed.extend(other.completed.into_iter().map(|entry| Completed {
            matches: entry.matches.start + matches..entry.matches.end + matches,
            ..entry
        }));
        self.written.append(other.written);
        self.of_partition += other.of_partition;
        self.work.rows += other.work.rows;
        self.work.entries += other.work.entries;
        self.work.marks += other.work.marks;
        self.work.bytes_max += other.work.bytes_max;
        Ok(())
    }

    /// The matches in the order in which they are decided, at most `most`, with rows of `shape` places if all have one shape.
    fn found(self, most: usize, partitions: usize, shape: usize) -> StepListsFound {
        let Self { mut written, mut completed, work, .. } = self;
        if !completed.is_sorted_by_key(|entry| entry.ordinal) {
            completed.sort_unstable_by_key(|entry| entry.ordinal);
            written = written.in_order(completed.iter().map(|entry| entry.matches.clone()), shape);
        }
        written.truncate(most, shape);
        let numbers = completed
            .iter()
            .flat_map(|entry| (0..entry.matches.len() as i64).map(move |place| entry.number + place))
            .take(written.matches);
        let numbers = (partitions > 1).then(|| numbers.collect());
        let Written { rows, places, ends, matches } = written;
        StepListsFound { rows, places, ends, matches, numbers, work }
    }
}

/// Where a match may begin that ends in the row at hand.
struct Window {
    bound: Bound,
    begin: u32,
}

impl Bound {
    /// The first row of the partition that a match ending at or behind `row` may hold.
    fn reach(self, row: u32, partition: &Range<u32>, chunk: &Chunk<'_>) -> u32 {
        match self {
            Self::None => partition.start,
            Self::Rows(rows) => {
                row.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX)).max(partition.start)
            }
            Self::Nanoseconds(within) => {
                let time = |position: u32| chunk.time(chunk.rows.arrival(position));
                let near = |position: &u32| time(row).saturating_sub(time(*position)) < within;
                (partition.start..row).rev().take_while(near).last().unwrap_or(row)
            }
        }
    }
}

impl Window {
    /// The first row of the partition that is near enough; rows are asked for in order. `None`: any row is.
    #[inline]
    fn first(&mut self, row: u32, partition: &Range<u32>, chunk: &Chunk<'_>) -> Option<u32> {
        match self.bound {
            Bound::None => None,
            Bound::Rows(_) => Some(self.bound.reach(row, partition, chunk)),
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
