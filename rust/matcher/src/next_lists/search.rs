//! Next lists over a table, partition by partition.

use cepheid_event::Piece;

use super::in_step::{self, Ended};
use super::runs::{Action, Complete, Runs};
use crate::error::MatchError;
use crate::lists::ground::{Gathered, Ground, Visit};
use crate::lists::window::{Bound, Window};
use crate::lists::{Completed, Outcome, SearchLimits, Wanted};
use crate::masks::Masks;
use crate::sequence::Chunk;
use crate::step_lists::StepLists;
use crate::step_lists::settled::After;
use crate::symbols::BySymbol;
use crate::threads::Interruption;

/// `steps`: those that have passed [`StepLists::check_for_next_lists`].
pub(crate) fn search(
    steps: &StepLists,
    masks: &Masks,
    chunk: Chunk<'_>,
    wanted: Wanted,
    limits: SearchLimits<'_>,
) -> Result<Option<Outcome>, MatchError> {
    let Some(ground) = Ground::new(steps, masks, chunk) else { return Ok(None) };
    if limits.workers.threads > 1 && steps.after != After::Nothing && wanted != Wanted::Any {
        return in_step::search(steps, &ground, wanted, limits).map(Some);
    }
    let search = |piece: &Piece, interrupted: Interruption<'_>| {
        Search::new(steps, &ground, wanted, limits.members_max).run(piece, interrupted)
    };
    ground.share(wanted, limits, search).map(Some)
}

pub(super) struct Search<'a> {
    pub(super) steps: &'a StepLists,
    ground: &'a Ground<'a>,
    runs: Runs,
    actions: BySymbol<Action>,
    /// What the row at hand completes.
    completed: Vec<Complete>,
    pub(super) window: Window<'a>,
    gathered: Gathered,
    /// The rows that matches end at, if they are to be remembered.
    pub(super) ends: Vec<Ended>,
    pub(super) remembers_ends: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        steps: &'a StepLists,
        ground: &'a Ground<'a>,
        wanted: Wanted,
        members_max: usize,
    ) -> Self {
        Self {
            runs: Runs::new(steps),
            actions: BySymbol::new(ground.masks.len()),
            completed: vec![],
            steps,
            ground,
            window: Window { bound: steps.within, chunk: ground.chunk, begin: 0 },
            gathered: Gathered::new(wanted, members_max),
            ends: vec![],
            remembers_ends: false,
        }
    }

    fn run(mut self, piece: &Piece, interrupted: Interruption<'_>) -> Result<Outcome, MatchError> {
        self.ground.walk(piece, interrupted, &mut self)?;
        Ok(self.take_outcome())
    }

    /// What was found since it was last asked.
    pub(super) fn take_outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.gathered.outcome);
        outcome.work.entries = std::mem::take(&mut self.runs.made);
        outcome.work.bytes_max = self.runs.bytes();
        outcome
    }

    /// What is wanted of rows to come.
    pub(super) fn want_anew(&mut self, wanted: Wanted) {
        self.gathered.wanted = wanted;
        (self.ends, self.remembers_ends) = (vec![], false);
    }

    /// How many matches there are.
    pub(super) fn counted(&self) -> u64 {
        self.gathered.outcome.counted
    }

    pub(super) fn has_too_many_rows(&self) -> bool {
        self.gathered.has_too_many_rows()
    }

    /// Takes the matches that end in the row: how many there are.
    fn complete(&mut self, row: u32) -> Result<u64, MatchError> {
        let first = if self.steps.within == Bound::None { 0 } else { self.window.first(row) };
        let Gathered { wanted, members_max, outcome } = &mut self.gathered;
        let Outcome { written, completed, of_partition, .. } = outcome;
        let (before, number) = (written.matches, *of_partition as i64 + 1);
        let mut left = self.steps.most_of_a_row();
        let mut found = 0;
        for complete in &self.completed {
            let mut runs = self.runs.since(complete.runs.clone(), first);
            runs.end = runs.end.min(runs.start.saturating_add(u32::try_from(left).unwrap_or(u32::MAX)));
            left -= runs.len();
            found += runs.len() as u64;
            let Wanted::Matches(most) = *wanted else { continue };
            for run in runs {
                if *of_partition < most && written.rows.len() <= *members_max {
                    self.runs.write(self.steps, run, complete, row, written);
                    *of_partition += 1;
                }
            }
        }
        if before < written.matches {
            let ordinal = self.ground.chunk.ordinal_at(row);
            completed.push(Completed { ordinal, matches: before..written.matches, number });
        }
        outcome.count(found)?;
        if self.remembers_ends && found > 0 {
            self.ends.push(Ended { row, counted: outcome.counted, matches: outcome.written.matches });
        }
        Ok(found)
    }
}

impl Visit for Search<'_> {
    #[inline]
    fn begin(&mut self, first: u32) {
        self.runs.clear();
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
        let action = self.actions.number(symbol, || Action::new(self.steps, symbol));
        let action = &self.actions.made()[action as usize];
        let begins = action.begins;
        self.completed.clear();
        self.runs.go_on(self.steps, action, row, &mut self.completed);
        let found = if own && !self.completed.is_empty() { self.complete(row)? } else { 0 };
        if found > 0 && self.steps.after != After::Nothing {
            self.runs.clear();
        } else if begins {
            self.runs.begin(row);
        }
        Ok(found > 0 && self.gathered.has_enough_of_partition())
    }
}
