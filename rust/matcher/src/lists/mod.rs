//! Lists of rows that runs have come to, of any kind: what is asked of them, and what they have in common.
//!
//! [Next lists](crate::next_lists), [step lists](crate::step_lists) and [joined lists](crate::joined_lists) go from row to row,
//! and write down or count what ends in each. The files: [`ground`] is what is asked of single rows and the way over them,
//! [`outcome`] what was found, [`written`] the matches among it, [`window`] the bound of the whole.

pub(crate) mod ground;
mod outcome;
pub(crate) mod window;
pub(crate) mod written;

use crate::error::MatchError;
use crate::joined_lists::JoinedLists;
use crate::masks::Masks;
use crate::match_set::Label;
use crate::next_lists;
use crate::sequence::Chunk;
use crate::step_lists::StepLists;
use crate::strategy::Strategy;
use crate::threads::Workers;

pub(crate) use outcome::{Completed, Outcome};
pub use outcome::{ListsFound, ListsWork};

/// Most rows of all matches together, unless fewer are asked for.
pub const MEMBERS_MAX: usize = 1 << 30;

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

/// Lists of any kind.
#[derive(Clone, Copy, Debug)]
pub enum Lists<'a> {
    /// One run a start row, settled by it.
    Next(&'a StepLists),
    /// Conditions ask single rows.
    Step(&'a StepLists),
    /// Conditions compare rows with each other.
    Joined(&'a JoinedLists),
}

impl Lists<'_> {
    /// The first `most` matches of a table, whose rows satisfy what `masks` say by position. `None`: the data stand against
    /// it (a condition raises an error somewhere, a row under a WITHIN has no time, or one of next lists gives runs a choice).
    ///
    /// # Errors
    /// [`MatchError::TooLarge`], [`MatchError::Interrupted`], and what Arrow refuses.
    pub fn find(
        self,
        masks: &Masks,
        chunk: Chunk<'_>,
        most: usize,
        limits: SearchLimits<'_>,
    ) -> Result<Option<ListsFound>, MatchError> {
        let found = self.search(masks, chunk, Wanted::Matches(most), limits)?;
        Ok(found.map(|outcome| outcome.found(most, chunk.rows.num_partitions(), self.places())))
    }

    /// The number of matches; `None` as in [`find`](Self::find).
    ///
    /// # Errors
    /// As [`find`](Self::find); [`MatchError::TooLarge`] past 64 bits.
    pub fn count(
        self,
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
        self,
        masks: &Masks,
        chunk: Chunk<'_>,
        limits: SearchLimits<'_>,
    ) -> Result<Option<bool>, MatchError> {
        Ok(self.search(masks, chunk, Wanted::Any, limits)?.map(|outcome| outcome.counted > 0))
    }

    fn search(
        self,
        masks: &Masks,
        chunk: Chunk<'_>,
        wanted: Wanted,
        limits: SearchLimits<'_>,
    ) -> Result<Option<Outcome>, MatchError> {
        match self {
            Self::Next(steps) => next_lists::search(steps, masks, chunk, wanted, limits),
            Self::Step(steps) => steps.search(masks, chunk, wanted, limits),
            Self::Joined(joined) => joined.search(masks, chunk, wanted, limits),
        }
    }

    /// What they are called.
    pub fn strategy(self) -> Strategy {
        match self {
            Self::Next(_) => Strategy::NextLists,
            Self::Step(_) => Strategy::StepLists,
            Self::Joined(_) => Strategy::JoinedLists,
        }
    }

    /// Whether event times matter.
    pub fn is_bounded_by_time(self) -> bool {
        let within = match self {
            Self::Next(steps) | Self::Step(steps) => steps.within,
            Self::Joined(joined) => joined.within,
        };
        within.is_of_time()
    }

    /// The labels of the rows of every match, if all have the same.
    pub fn shape(self) -> Option<Vec<Label>> {
        match self {
            Self::Next(steps) | Self::Step(steps) => steps.shape(),
            Self::Joined(joined) => Some(joined.shape()),
        }
    }

    /// The labels of places.
    pub fn labels(self) -> Vec<Label> {
        match self {
            Self::Next(steps) | Self::Step(steps) => steps.places.iter().map(|place| place.label).collect(),
            Self::Joined(joined) => joined.shape(),
        }
    }

    fn places(self) -> usize {
        match self {
            Self::Next(steps) | Self::Step(steps) => steps.places.len(),
            Self::Joined(joined) => joined.steps.len(),
        }
    }
}
