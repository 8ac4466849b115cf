//! Step lists over a table, partition by partition.

use cepheid_event::Piece;

use super::compile::StepLists;
use super::enumerate::Enumeration;
use super::lists::{Action, Lists};
use crate::error::MatchError;
use crate::lists::ground::{Ground, Visit, Way};
use crate::lists::settled::After;
use crate::lists::window::{Bound, Window};
use crate::lists::{Completed, Outcome, SearchLimits, Wanted};
use crate::masks::Masks;
use crate::sequence::Chunk;
use crate::symbols::BySymbol;
use crate::threads::Interruption;

impl StepLists {
    /// Whether a partition may be cut for several threads: what ends in a row is of rows in its window, unless matches before
    /// it have consumed some.
    pub fn cuts_partitions(&self) -> bool {
        self.within != Bound::None && self.after == After::Nothing
    }

    pub(crate) fn search(
        &self,
        masks: &Masks,
        chunk: Chunk<'_>,
        wanted: Wanted,
        limits: SearchLimits<'_>,
    ) -> Result<Option<Outcome>, MatchError> {
        let ground = Ground::new(&self.conditions, self.within, masks, chunk);
        let Some(ground) = ground.filter(|ground| self.exclusive.holds(&ground.masks)) else {
            return Ok(None);
        };
        let search = |piece: &Piece, interrupted: Interruption<'_>| {
            Search::new(self, &ground, wanted, limits.members_max).run(piece, interrupted)
        };
        ground.share(self.cuts_partitions(), wanted, limits, self.places.len(), search).map(Some)
    }
}

struct Search<'a> {
    steps: &'a StepLists,
    ground: &'a Ground<'a>,
    lists: Lists,
    enumeration: Enumeration,
    actions: BySymbol<Action>,
    wanted: Wanted,
    outcome: Outcome,
    members_max: usize,
    window: Window<'a>,
    /// The first row that a match may end in.
    own_from: u32,
}

impl<'a> Search<'a> {
    fn new(steps: &'a StepLists, ground: &'a Ground<'a>, wanted: Wanted, members_max: usize) -> Self {
        Self {
            lists: Lists::new(steps),
            enumeration: Enumeration::new(steps),
            actions: BySymbol::new(ground.masks.len()),
            steps,
            ground,
            wanted,
            outcome: Outcome::default(),
            members_max,
            window: Window { bound: steps.within, chunk: ground.chunk, begin: 0 },
            own_from: 0,
        }
    }

    fn run(mut self, piece: &Piece, interrupted: Interruption<'_>) -> Result<Outcome, MatchError> {
        Way::new(self.ground, interrupted).walk_piece(self.ground, piece, &mut self)?;
        let work = &mut self.outcome.work;
        work.entries = self.lists.made;
        work.marks = self.enumeration.marks;
        work.bytes_max = self.lists.bytes();
        Ok(self.outcome)
    }

    /// Whether more has been written down than may be. Where the piece goes on with a partition, less of it may be wanted.
    fn has_too_many_rows(&self) -> bool {
        self.outcome.written.rows.len() > self.members_max
    }

    /// Whether matches may end in the row.
    #[inline]
    fn grow(&mut self, row: u32, symbol: u64, first: Option<u32>) -> bool {
        let action = self.actions.number(symbol, || self.steps.action(symbol));
        self.lists.grow(self.steps, &self.actions.made()[action as usize], row, first)
    }

    /// Takes the matches that end in the row. Whether no further row of the partition is wanted.
    #[inline]
    fn complete(&mut self, row: u32, first: Option<u32>) -> Result<bool, MatchError> {
        let found = match self.wanted {
            Wanted::Any => 1,
            Wanted::Count if self.steps.after == After::Ends => 1,
            Wanted::Count => self
                .enumeration
                .count(self.steps, &self.lists, row, first)
                .ok_or(MatchError::TooLarge { what: "matches to count", limit: u64::MAX })?,
            Wanted::Matches(most) => {
                let Outcome { written, completed, of_partition, .. } = &mut self.outcome;
                let (before, number) = (written.matches, *of_partition as i64 + 1);
                let own = (most - *of_partition).min(self.steps.most_of_a_row());
                let lists = (self.steps, &self.lists);
                self.enumeration.write(lists, row, first, own, self.members_max, written);
                let matches = before..written.matches;
                *of_partition += matches.len();
                let found = matches.len() as u64;
                let ordinal = self.ground.chunk.ordinal_at(row);
                completed.push(Completed { ordinal, matches, number });
                found
            }
        };
        self.outcome.count(found)?;
        if self.steps.after != After::Nothing && found > 0 {
            self.lists.clear(self.steps);
        }
        Ok(match self.wanted {
            Wanted::Any => true,
            Wanted::Count => false,
            Wanted::Matches(most) => self.outcome.of_partition >= most || self.has_too_many_rows(),
        })
    }
}

impl Visit for Search<'_> {
    fn begin(&mut self, seen_from: u32, own_from: u32) {
        self.lists.clear(self.steps);
        self.outcome.of_partition = 0;
        (self.window.begin, self.own_from) = (seen_from, own_from);
    }

    fn is_over(&self) -> bool {
        self.wanted == Wanted::Any && self.outcome.counted > 0 || self.has_too_many_rows()
    }

    #[inline]
    fn row(&mut self, row: u32, symbol: u64) -> Result<bool, MatchError> {
        self.outcome.work.rows += 1;
        let first = (self.steps.within != Bound::None).then(|| self.window.first(row));
        Ok(self.grow(row, symbol, first) && row >= self.own_from && self.complete(row, first)?)
    }
}
