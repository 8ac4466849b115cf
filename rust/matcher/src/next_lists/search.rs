//! Next lists over a table, partition by partition.

use cepheid_event::Piece;

use super::compile::{Action, NextLists};
use super::runs::{Complete, Runs};
use crate::error::MatchError;
use crate::lists::ground::{Ground, Visit, Way};
use crate::lists::settled::After;
use crate::lists::window::{Bound, Window};
use crate::lists::{Completed, Outcome, SearchLimits, Wanted};
use crate::masks::Masks;
use crate::sequence::Chunk;
use crate::symbols::BySymbol;
use crate::threads::Interruption;

impl NextLists {
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
    lists: &'a NextLists,
    ground: &'a Ground<'a>,
    runs: Runs,
    actions: BySymbol<Action>,
    /// What the row at hand completes.
    completed: Vec<Complete>,
    wanted: Wanted,
    outcome: Outcome,
    members_max: usize,
    window: Window<'a>,
    /// The first row that a match may end in.
    own_from: u32,
}

impl<'a> Search<'a> {
    fn new(lists: &'a NextLists, ground: &'a Ground<'a>, wanted: Wanted, members_max: usize) -> Self {
        Self {
            runs: Runs::new(lists),
            actions: BySymbol::new(ground.masks.len()),
            completed: vec![],
            lists,
            ground,
            wanted,
            outcome: Outcome::default(),
            members_max,
            window: Window { bound: lists.within, chunk: ground.chunk, begin: 0 },
            own_from: 0,
        }
    }

    fn run(mut self, piece: &Piece, interrupted: Interruption<'_>) -> Result<Outcome, MatchError> {
        Way::new(self.ground, interrupted).walk_piece(self.ground, piece, &mut self)?;
        self.outcome.work.entries = self.runs.made;
        self.outcome.work.bytes_max = self.runs.bytes();
        Ok(self.outcome)
    }

    /// Whether more has been written down than may be. Where the piece goes on with a partition, less of it may be wanted.
    fn has_too_many_rows(&self) -> bool {
        self.outcome.written.rows.len() > self.members_max
    }

    /// Takes the matches that end in the row: how many there are.
    fn complete(&mut self, row: u32) -> Result<u64, MatchError> {
        let first = if self.lists.within == Bound::None { 0 } else { self.window.first(row) };
        let Outcome { written, completed, of_partition, .. } = &mut self.outcome;
        let (before, number) = (written.matches, *of_partition as i64 + 1);
        let mut found = 0;
        for complete in &self.completed {
            let mut runs = self.runs.since(complete.runs.clone(), first);
            if self.lists.after == After::Ends {
                let others = if found == 0 { runs.start + 1 } else { runs.start };
                runs.end = runs.end.min(others);
            }
            found += u64::from(runs.end - runs.start);
            let Wanted::Matches(most) = self.wanted else { continue };
            for run in runs {
                if *of_partition < most && written.rows.len() <= self.members_max {
                    self.runs.write(self.lists, run, complete, row, written);
                    *of_partition += 1;
                }
            }
        }
        if before < written.matches {
            let ordinal = self.ground.chunk.ordinal_at(row);
            completed.push(Completed { ordinal, matches: before..written.matches, number });
        }
        self.outcome.count(found)?;
        Ok(found)
    }
}

impl Visit for Search<'_> {
    fn begin(&mut self, seen_from: u32, own_from: u32) {
        self.runs.clear();
        self.outcome.of_partition = 0;
        (self.window.begin, self.own_from) = (seen_from, own_from);
    }

    fn is_over(&self) -> bool {
        self.wanted == Wanted::Any && self.outcome.counted > 0 || self.has_too_many_rows()
    }

    #[inline]
    fn row(&mut self, row: u32, symbol: u64) -> Result<bool, MatchError> {
        self.outcome.work.rows += 1;
        let action = self.actions.number(symbol, || self.lists.action(symbol));
        let action = &self.actions.made()[action as usize];
        let begins = action.begins;
        self.completed.clear();
        self.runs.go_on(self.lists, action, row, &mut self.completed);
        let completes = !self.completed.is_empty() && row >= self.own_from;
        let found = if completes { self.complete(row)? } else { 0 };
        if found > 0 && self.lists.after != After::Nothing {
            self.runs.clear();
        } else if begins {
            self.runs.begin(row);
        }
        Ok(found > 0
            && match self.wanted {
                Wanted::Any => true,
                Wanted::Count => false,
                Wanted::Matches(most) => self.outcome.of_partition >= most || self.has_too_many_rows(),
            })
    }
}
