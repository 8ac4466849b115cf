//! Step lists: every match of conditions on single events, kept together.
//!
//! For patterns that want all matches and ask each row for itself, what a run has taken decides nothing but which rows
//! may come next. So runs need not be kept apart. Each place of the pattern has one list of the rows that some run has
//! reached it by; beside each row stands, for every place a run can have come from, the stretch of that place's list it can
//! have come from. Contiguity and absence only move where such a stretch begins: under skip till any it never moves, under
//! skip till next it moves behind the rows that have just been followed, and a row that must not come moves it to the end.
//! Matches are the paths through these stretches that end in the row at hand.
//!
//! This is the shared structure of Bucchi, Grez, Quintana, Riveros and Vansummeren (*CORE: a Complex Event Recognition
//! Engine*, PVLDB 15(9), 2022) for the case that matches tell which variable took each row: then one way leads to each match,
//! the automaton needs no determinisation, and unions of runs are stretches of a list.
//!
//! - Time: a row that satisfies nothing costs nothing; another O(p) for p places it fits, whatever the number of runs it
//!   stands for and however long the window. What a row completes is enumerated in time linear in the rows of these
//!   matches, in the order they come out in: first the rows that lead to a match are marked from the end, then paths are
//!   walked from the start, without a dead end.
//! - Space: 4 bytes a list entry and 8 for each place it can have been reached from, 4 more under a window; entries that
//!   have left the window are dropped when they are half of a list.
//! - Where optional steps are followed under skip till next, the entries that lead back into the window need not be the last of a
//!   stretch: there a row costs up to the length of its stretch.
//!
//! The files: [`compile`] makes places of a pattern, [`settled`] says when runs have no choice, [`lists`] is how rows grow lists, [`enumerate`] and [`count`] are the
//! matches that a row completes, [`search`] goes over a table. For streams, [`stream`] is the state of a rule and how a call
//! is taken back, [`key_lists`] that of a key and what it lets go of, [`few_rows`] that of a key with few rows, [`push`] the way
//! of rows into it, [`scratch`] the room for that; [`save`] is for snapshots.

pub(crate) mod compile;
mod count;
mod enumerate;
mod few_rows;
mod key_lists;
mod lists;
mod push;
mod save;
mod scratch;
mod search;
pub(crate) mod settled;
mod stream;

pub use compile::StepLists;
pub use push::KnownRows;
pub use save::{SavedFewRows, SavedLists, load};
pub use scratch::Scratch;
pub use stream::StepListsState;
