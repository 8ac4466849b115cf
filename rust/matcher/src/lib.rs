//! Pattern automata and the strategies that run them.
//!
//! [`Matcher::compile`] turns a pattern into an [`Automaton`] and sorts its conditions ([`conditions`]) by what they
//! read. [`Matcher::find`] evaluates what it can over columns ([`masks`]), lets the best strategy that the pattern
//! and the data allow ([`strategy`]) search every partition, and returns the matches as a [`MatchSet`]. All
//! strategies give the same matches in the same order.
#![forbid(unsafe_code)]

pub mod automaton;
pub mod bits;
pub mod conditions;
pub mod error;
pub mod masks;
pub mod match_set;
pub mod matcher;
pub mod strategy;

mod classes;
mod facts;
pub mod joined_lists;
pub mod lists;
pub mod next_lists;
pub mod promote;
mod run;
mod search;
pub mod sequence;
pub mod step_lists;
mod strategies;
mod symbols;
pub mod threads;
pub mod trend;

pub use automaton::{Automaton, VariableId, members};
pub use error::MatchError;
pub use joined_lists::JoinedLists;
pub use lists::Lists;
pub use masks::Masks;
pub use match_set::{Label, MatchSet, MatchView, Numbers, Segment};
pub use matcher::{FindOptions, Found, Matcher};
pub use promote::Promoted;
pub use search::Wanted;
pub use step_lists::StepLists;
pub use strategy::{Plan, Strategy};
pub use threads::Workers;
