//! An embedded log of events: appended durably, read by what they say, archived, and checked.
//!
//! A store is one SQLite file, beside which a folder holds what has been archived. An *append* of rows of one topic is a
//! *batch* (or several, if it is long); batches are numbered over the whole store, and so are events: that number is the
//! event's *position*. What has been appended is on the disk when the call returns.
//!
//! - [`EventLog`] writes: there is one for a store at a time, of all processes.
//! - [`Reader`] reads, in any number of processes: what was there when it began, in the order of positions.
//! - [`archive`]: batches become Parquet files that any tool reads; [`retention`] removes them again.
//! - [`chain`]: every batch, and every change to what is kept, is an entry of a chain of hashes; [`verify`] walks it.
#![forbid(unsafe_code)]

pub mod archive;
pub mod body;
pub mod chain;
pub mod disk;
pub mod error;
pub mod info;
pub mod log;
pub mod protection;
pub mod prune;
pub mod query;
pub mod reader;
pub mod retention;
pub mod saved;
pub mod signature;
pub mod summary;
pub mod topic;
pub mod transaction;
pub mod verify;
pub mod view;

mod append;
mod asked;
mod commit;
mod conform;
mod connections;
mod database;
mod filter_blocks;
mod fronts;
mod in_pages;
mod keys;
mod known_segments;
#[cfg(test)]
mod mixed;
mod passed;
mod piece;
mod pipeline;
mod planes;
mod positioned;
mod segment_file;
mod sieve;
mod topic_reader;

pub use append::{Append, Position};
pub use archive::Sealed;
pub use connections::Connections;
pub use error::StoreError;
pub use info::{StoreInfo, TopicInfo};
pub use log::{EventLog, LogOptions};
pub use passed::Passed;
pub use query::Query;
pub use reader::{Reader, StoredRows};
pub use retention::Removed;
pub use signature::Signature;
pub use topic::TopicPattern;
pub use transaction::Transaction;
pub use verify::{Fault, Verification, verify};
pub use view::{AuthorInfo, EntryInfo, StoreView};
