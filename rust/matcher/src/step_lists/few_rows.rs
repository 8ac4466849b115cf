//! A key of which few rows are kept: the rows themselves, of which lists are made while one more comes.
//!
//! Most keys of a stream with many have a row or two that something waits for. Lists of such a key would be longer than its
//! rows: a vector or more for each place. But they follow from the rows since the first that a match may still begin at,
//! so that it is enough to keep these, and to put them to the same lists again, which one state has for all such keys.
//!
//! - Time: O(r) beside what the row costs, for at most [`FEW_ROWS`] rows r.
//! - Space: 24 bytes a row, and nothing for places; one row alone stands in what there is of the key anyway.

use smallvec::SmallVec;

use super::compile::StepLists;
use super::key_lists::KeyLists;
use super::scratch::Actions;
use crate::lists::window::Bound;

/// Most rows of a key that are kept as they are.
pub(super) const FEW_ROWS: usize = 8;

/// A row that has changed what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptRow {
    /// Its place in the order of all rows.
    pub(super) ordinal: u64,
    /// Its time, or its place among the rows of the key, whichever the window counts.
    pub(super) stands: i64,
    /// The predicates that it satisfies.
    pub(super) symbol: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct FewRows {
    pub(super) rows: SmallVec<[KeptRow; 1]>,
    /// The first of them are of no use any more: they stay until the call is over, which may have to be taken back.
    over: u32,
    /// Entries of the lists that are made of the others.
    pub(super) waiting: u32,
}

impl FewRows {
    /// Rows that have been saved.
    pub(super) fn new(rows: impl IntoIterator<Item = KeptRow>) -> Self {
        Self { rows: rows.into_iter().collect(), over: 0, waiting: 0 }
    }

    /// Those that are of use.
    pub(super) fn useful(&self) -> &[KeptRow] {
        &self.rows[self.over as usize..]
    }

    /// Adds rows.
    pub(super) fn add(&mut self, rows: &[KeptRow]) {
        // Most keys have one or two, which stay so many.
        if self.rows.capacity() - self.rows.len() < rows.len() {
            self.rows.reserve_exact(rows.len().max(self.rows.len()));
        }
        self.rows.extend_from_slice(rows);
    }

    /// None is of use any more.
    pub(super) fn forget(&mut self) {
        self.over = self.rows.len() as u32;
        self.waiting = 0;
    }

    /// Lets go of those that are of no use.
    pub(super) fn let_go(&mut self) {
        self.rows.drain(..self.over as usize);
        self.over = 0;
        if self.rows.len() <= 1 {
            // Back to its own place.
            self.rows.shrink_to_fit();
        }
    }

    /// Leaves what was there before some were added, all of it of use.
    pub(super) fn put_back(&mut self, rows: usize, waiting: u32) {
        self.rows.truncate(rows);
        (self.over, self.waiting) = (0, waiting);
    }

    /// Marks the rows that have left a window of time.
    pub(super) fn expire(&mut self, steps: &StepLists, actions: &mut Actions, time: i64) {
        let mut is_alive = |row: &KeptRow| {
            let action = actions.number(steps, row.symbol);
            !steps.within.is_over(row.stands, time) && actions.made()[action as usize].begins
        };
        match self.useful().iter().position(&mut is_alive) {
            Some(gone) => self.over += gone as u32,
            None => self.forget(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        if self.rows.spilled() { self.rows.capacity() * size_of::<KeptRow>() } else { 0 }
    }
}

impl KeyLists {
    /// Makes lists of rows, in the place of what there was.
    pub(super) fn make_of(&mut self, steps: &StepLists, actions: &mut Actions, rows: &[KeptRow]) {
        self.clear();
        self.base = rows.first().map_or(0, |first| first.ordinal);
        for kept in rows {
            let action = actions.number(steps, kept.symbol);
            let action = &actions.made()[action as usize];
            if self.put(steps, action, self.row(kept.ordinal), kept.stands).grown.ends {
                // What it completed was told when it came.
                self.lists.forget_ends(steps, &action.fits);
            }
        }
    }

    /// Lets go of what no row to come can go on from, and marks the rows that it was made of; of those that have just come, which
    /// stand in `fresh`, only what is of use is left. `position`: rows of the key so far.
    pub(super) fn pass_over(
        &mut self,
        steps: &StepLists,
        position: u64,
        few: &mut FewRows,
        fresh: &mut Vec<KeptRow>,
    ) {
        // One row alone has just come, or nothing has come since.
        if few.useful().len() + fresh.len() > 1 || matches!(steps.within, Bound::Rows(_)) {
            // Whatever is left began there or later.
            let Some(first) = self.let_go(steps, position) else {
                fresh.clear();
                return few.forget();
            };
            let first = self.ordinal(first);
            few.over += few.useful().partition_point(|row| row.ordinal < first) as u32;
            fresh.drain(..fresh.partition_point(|row| row.ordinal < first));
        }
        few.waiting = self.lists.held() as u32;
    }
}
