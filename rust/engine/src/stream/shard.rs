//! What a rule keeps of the keys of one shard: runs that wait, or step lists.

use std::sync::Arc;

use cepheid_event::PartitionKeys;
use cepheid_matcher::sequence::{
    Asked, Fault, FoundSequences, SequenceLimits, SequenceMatcher, SequenceState,
};
use cepheid_matcher::step_lists::{Scratch, StepListsState};
use cepheid_matcher::{StepLists, Strategy};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Shard {
    Runs(Box<SequenceState>),
    Lists(Box<StepListsState>),
}

impl Default for Shard {
    fn default() -> Self {
        Self::Runs(Box::default())
    }
}

impl Shard {
    pub(crate) fn of_lists(steps: &Arc<StepLists>) -> Self {
        Self::Lists(Box::new(StepListsState::new(Arc::clone(steps))))
    }

    pub(crate) fn strategy(&self) -> Strategy {
        match self {
            Self::Runs(_) => Strategy::Sequences,
            Self::Lists(_) => Strategy::StepLists,
        }
    }

    /// Whether it is as a new one.
    pub(crate) fn is_pristine(&self) -> bool {
        match self {
            Self::Runs(runs) => runs.partitions() == 0,
            Self::Lists(lists) => lists.is_pristine(),
        }
    }

    pub(crate) fn begin(&mut self) {
        match self {
            Self::Runs(runs) => runs.begin(),
            Self::Lists(lists) => lists.begin(),
        }
    }

    pub(crate) fn commit(&mut self) {
        match self {
            Self::Runs(runs) => runs.commit(),
            Self::Lists(lists) => lists.commit(),
        }
    }

    pub(crate) fn roll_back(&mut self) {
        match self {
            Self::Runs(runs) => runs.roll_back(),
            Self::Lists(lists) => lists.roll_back(),
        }
    }

    /// Matches the rows of a chunk that belong to a shard, out of so many.
    #[allow(clippy::too_many_arguments, reason = "what both kinds of state take, which share little")]
    pub(crate) fn push(
        &mut self,
        matcher: &SequenceMatcher,
        asked: &Asked<'_>,
        keys: &PartitionKeys,
        place: (usize, usize),
        limits: SequenceLimits<'_>,
        scratch: &mut Scratch,
        found: &mut FoundSequences,
    ) -> Result<(), Fault> {
        match self {
            Self::Runs(runs) => matcher.push(runs, asked, keys, place, limits, found),
            Self::Lists(lists) => lists.push(asked, keys, place, limits, scratch, found),
        }
    }

    /// Moves the clock. Lists have nothing to say of time: what it ends is cleared away when the call is over.
    pub(crate) fn advance(
        &mut self,
        matcher: &SequenceMatcher,
        time: i64,
        limits: SequenceLimits<'_>,
        found: &mut FoundSequences,
    ) -> Result<(), Fault> {
        match self {
            Self::Runs(runs) => matcher.advance(runs, time, limits, found),
            Self::Lists(_) => Ok(()),
        }
    }

    /// Ends the input.
    pub(crate) fn finish(
        &mut self,
        matcher: &SequenceMatcher,
        limits: SequenceLimits<'_>,
        found: &mut FoundSequences,
    ) -> Result<(), Fault> {
        match self {
            Self::Runs(runs) => matcher.finish(runs, limits, found),
            Self::Lists(lists) => {
                lists.finish();
                Ok(())
            }
        }
    }

    /// Clears away what was over at `time`.
    pub(crate) fn clear_expired(&mut self, matcher: &SequenceMatcher, time: i64, scratch: &mut Scratch) {
        match self {
            Self::Runs(runs) => matcher.clear_expired(runs, time),
            Self::Lists(lists) => lists.clear_expired(time, scratch),
        }
    }

    /// Clears away what was kept of keys until a time that does not come, as the input has ended.
    pub(crate) fn clear_ended(&mut self, matcher: &SequenceMatcher) {
        match self {
            Self::Runs(runs) => matcher.clear_ended(runs),
            Self::Lists(lists) => lists.clear_ended(),
        }
    }

    pub(crate) fn rows_needed(&self, visit: &mut dyn FnMut(u64)) {
        match self {
            Self::Runs(runs) => runs.rows_needed(visit),
            Self::Lists(lists) => lists.rows_needed(visit),
        }
    }

    pub(crate) fn needs_no_rows(&self) -> bool {
        match self {
            Self::Runs(runs) => runs.needs_no_rows(),
            Self::Lists(lists) => lists.waiting() == 0,
        }
    }

    pub(crate) fn next_attention(&self) -> Option<i64> {
        match self {
            Self::Runs(runs) => runs.next_attention(),
            Self::Lists(lists) => lists.next_attention(),
        }
    }

    /// The last rows of a key, for conditions that look back at them.
    pub(crate) fn tail(&self, key: &[u8]) -> &[u64] {
        match self {
            Self::Runs(runs) => runs.tail(key),
            Self::Lists(_) => &[],
        }
    }

    /// Runs alive, or rows that wait in lists.
    pub(crate) fn live_runs(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.live_runs(),
            Self::Lists(lists) => lists.waiting(),
        }
    }

    pub(crate) fn partitions(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.partitions(),
            Self::Lists(lists) => lists.partitions(),
        }
    }

    pub(crate) fn rows_visited(&self) -> u64 {
        match self {
            Self::Runs(runs) => runs.rows_visited(),
            Self::Lists(lists) => lists.rows_visited(),
        }
    }

    /// Runs that a row or a deadline was put to, or entries made in lists.
    pub(crate) fn runs_visited(&self) -> u64 {
        match self {
            Self::Runs(runs) => runs.runs_visited(),
            Self::Lists(lists) => lists.entries_made(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.bytes(),
            Self::Lists(lists) => lists.bytes(),
        }
    }
}
