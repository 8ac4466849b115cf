//! Event sequences: runs that wait, over a stream or over a table.
//!
//! The general strategy. It takes every pattern but those that look ahead, row by row, and keeps between rows exactly the
//! runs that can still become matches: what it did with a row is never done again, however the input is cut.
//!
//! - Time: a row costs nothing if it satisfies no condition of the pattern and no run waits for the very next row;
//!   else O(w) for w runs of its partition that wait for something the row satisfies. Of runs whose condition compares the
//!   row with what they know (`col.x == ref("a").x`, `<`, `>`), w are those alone for which that comparison holds, and
//!   finding them takes O(1), or O(log w) where it is no equality. Under `"all"` runs are as many as the matches they
//!   can still become.
//!   Where matches forget all up to their last rows and nothing bounds runs, start rows that wait for the same are one
//!   run: the earliest.
//! - Space: some 140 bytes a run, 32 a row that a run has taken and does not share.
//! - Meaning: `docs/developers/decisions/0005-the-meaning-of-event-sequences.md`.
//!
//! The files: [`compile`] settles what can be settled without rows, [`tests`] asks conditions of a row, [`registers`] is
//! what a run remembers for them, [`joins`] which of them compare it with the row, [`relevance`] the rows that matter at
//! all, [`needed`] those that a match must hold, [`state`] the runs, [`links`] the
//! lists they stand in, [`index`] those among which a row finds its own, [`step`] the way of a row
//! through them, [`weigh`] what it may do to a run, [`grow`] what becomes of runs that take it, [`clock`] what time does,
//! [`decide`] which complete runs are matches, [`fault`] which of several errors is told; [`save`] and [`rebuild`] are for snapshots.

mod clock;
pub(crate) mod compile;
mod decide;
pub(crate) mod fault;
mod found;
mod grow;
mod index;
pub(crate) mod joins;
mod links;
mod needed;
mod outline;
mod rebuild;
pub(crate) mod registers;
mod relevance;
mod save;
mod slab;
mod state;
mod step;
pub(crate) mod tests;
mod wait;
mod weigh;

pub use compile::{SequenceMatcher, goes_by_time};
pub use fault::Fault;
pub use found::{FoundKind, FoundSequence, FoundSequences, Moment};
pub use save::SavedRuns;
pub use state::SequenceState;
pub use step::SequenceLimits;
pub use tests::{Asked, Chunk, NO_TIME};
