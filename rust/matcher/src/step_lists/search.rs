//! Step lists over a table, partition by partition.

use std::ops::Range;

use cepheid_event::Piece;

use super::compile::StepLists;
use super::enumerate::Enumeration;
use super::lists::{Action, Lists};
use crate::bits::{Bits, inside};
use crate::error::MatchError;
use crate::lists::window::{Bound, Window};
use crate::lists::{Completed, Outcome, SearchLimits, Wanted};
use crate::masks::Masks;
use crate::sequence::{Chunk, NO_TIME};
use crate::symbols::{BySymbol, symbol_at};
use crate::threads::Interruption;

/// Rows between two looks at whether the answer is still wanted.
const ROWS_BETWEEN_PAUSES: u32 = 1 << 14;

impl StepLists {
    /// Whether a partition may be cut for several threads: what ends in a row is of rows in its window, unless matches before
    /// it have consumed some.
    pub fn cuts_partitions(&self) -> bool {
        self.within != Bound::None && !self.consumes
    }

    /// Every piece of the rows on a thread of its own; what they find is put together in their order, so that the answer, an
    /// error included, is that of one thread.
    pub(crate) fn search(
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
        if steps.within.is_of_time() && chunk.times.contains(&NO_TIME) {
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
        let (bound, chunk) = (self.ground.steps.within, self.ground.chunk);
        let mut window = Window { bound, chunk, begin: seen.start };
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
                let first = (bound != Bound::None).then(|| window.first(row));
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
