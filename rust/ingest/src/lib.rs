//! JSON text into Arrow columns, row faults told apart.
//!
//! [`Reader::read`] takes the text of many events (an array, lines, or one object; CloudEvents, the older shape, or flat)
//! and gives one batch of columns for each type of event, the envelope in front. What is wrong with one event concerns
//! that event alone: it becomes a [`Fault`] with the bytes it is about.
//!
//! - [`parse`]: text to nodes, strictly; [`split`]: where each event begins and ends, and where the next does after a bad one.
//! - [`shape`]: an object as envelope and data, by the rules of its shape; [`envelope`]: what the envelope must be.
//! - [`kind`]: which types columns have that nobody has declared; [`build`]: nodes as an Arrow array of a type.
//! - [`time`]: RFC 3339.
#![forbid(unsafe_code)]

mod build;
mod decimal;
mod envelope;
mod fault;
mod keys;
mod kind;
mod known;
mod node;
mod number;
mod parse;
mod raw;
mod read;
mod shape;
mod split;
mod time;

pub use envelope::ENVELOPE;
pub use fault::{Code, Fault, IngestError};
pub use kind::JSON_MARK;
pub use known::{KnownType, Unknown};
pub use raw::{RawRows, RawTables};
pub use read::{EventBatch, Events, Frame, Limits, Reader};
pub use time::{rfc3339_micros, rfc3339_times};
