//! Which sequences are frequent in a history: those that many keys support, within bounds of time.
//!
//! [`History`] is rows in order of (key, time, arrival), as numbers; [`mine`] grows sequences over it, symbol by symbol,
//! and [`Keep`] says which of them are told.
//!
//! - [`history`]: the rows, and what they must be.
//! - [`growth`]: sequences grown by one symbol at a time, over the places where they can end.
//! - [`keep`]: which sequences say nothing that a longer one does not.
#![forbid(unsafe_code)]

mod error;
mod growth;
mod history;
mod keep;

pub use error::MiningError;
pub use growth::{Bounds, FrequentSequence, mine};
pub use history::History;
pub use keep::Keep;
