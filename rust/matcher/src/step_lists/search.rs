//! Step lists over a table, partition by partition.

use cepheid_event::Piece;

use super::compile::StepLists;
use super::enumerate::Enumeration;
use super::lists::{Action, Lists};
use super::settled::After;
use crate::error::MatchError;
use crate::lists::ground::{Gathered, Ground, Visit};
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
        let Some(ground) = Ground::new(self, masks, chunk) else { return Ok(None) };
        let search = |piece: &Piece, interrupted: Interruption<'_>| {
            Search::new(self, &ground, wanted, limits.members_max).run(piece, interrupted)
        };
        ground.share(wanted, limits, search).map(Some)
    }
}

struct Search<'a> {
    steps: &'a StepLists,
    ground: &'a Ground<'a>,
    lists: Lists,
    /// Entries that were made: a count of work.
    entries: u64,
    enumeration: Enumeration,
    actions: BySymbol<Action>,
    window: Window<'a>,
    gathered: Gathered,
}

impl<'a> Search<'a> {
    fn new(steps: &'a StepLists, ground: &'a Ground<'a>, wanted: Wanted, members_max: usize) -> Self {
        Self {
            lists: Lists::new(steps),
            entries: 0,
            enumeration: Enumeration::new(steps),
            actions: BySymbol::new(ground.masks.len()),
            steps,
            ground,
            window: Window { bound: steps.within, chunk: ground.chunk, begin: 0 },
            gathered: Gathered::new(wanted, members_max),
        }
    }

    fn run(mut self, piece: &Piece, interrupted: Interruption<'_>) -> Result<Outcome, MatchError> {
        self.ground.walk(piece, interrupted, &mut self)?;
        let mut outcome = self.gathered.outcome;
        outcome.work.entries = self.entries;
        outcome.work.marks = self.enumeration.marks;
        outcome.work.bytes_max = self.lists.bytes();
        Ok(outcome)
    }

    /// Whether matches may end in the row.
    #[inline]
    fn grow(&mut self, row: u32, symbol: u64, first: Option<u32>) -> bool {
        let action = self.actions.number(symbol, || self.steps.action(symbol));
        let grown = self.lists.grow(self.steps, &self.actions.made()[action as usize], row, first);
        self.entries += u64::from(grown.entries);
        grown.ends
    }

    /// Takes the matches that end in the row. Whether no further row of the partition is wanted.
    #[inline]
    fn complete(&mut self, row: u32, first: Option<u32>) -> Result<bool, MatchError> {
        let Gathered { wanted, members_max, outcome } = &mut self.gathered;
        let found = match wanted {
            Wanted::Any => 1,
            Wanted::Count if self.steps.after == After::Ends => 1,
            Wanted::Count => self
                .enumeration
                .count(self.steps, &self.lists, row, first)
                .ok_or(MatchError::TooLarge { what: "matches to count", limit: u64::MAX })?,
            Wanted::Matches(most) => {
                let Outcome { written, completed, of_partition, .. } = outcome;
                let (before, number) = (written.matches, *of_partition as i64 + 1);
                let own = (*most - *of_partition).min(self.steps.most_of_a_row());
                let lists = (self.steps, &self.lists);
                self.enumeration.write(lists, row, first, own, *members_max, written);
                let matches = before..written.matches;
                *of_partition += matches.len();
                let found = matches.len() as u64;
                let ordinal = self.ground.chunk.ordinal_at(row);
                completed.push(Completed { ordinal, matches, number });
                found
            }
        };
        outcome.count(found)?;
        if self.steps.after != After::Nothing && found > 0 {
            self.lists.clear(self.steps);
        }
        Ok(self.gathered.has_enough_of_partition())
    }
}

impl Visit for Search<'_> {
    #[inline]
    fn begin(&mut self, first: u32) {
        self.lists.clear(self.steps);
        self.window.begin = first;
        self.gathered.outcome.of_partition = 0;
    }

    #[inline]
    fn is_over(&self) -> bool {
        self.gathered.is_over()
    }

    #[inline]
    fn row(&mut self, row: u32, symbol: u64, own: bool) -> Result<bool, MatchError> {
        self.gathered.outcome.work.rows += 1;
        let first = (self.steps.within != Bound::None).then(|| self.window.first(row));
        Ok(self.grow(row, symbol, first) && own && self.complete(row, first)?)
    }
}
