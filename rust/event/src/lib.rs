//! Events in Arrow form: what a table of them is, how rows are grouped by key and put in order.
#![forbid(unsafe_code)]

pub mod error;
pub mod table;

pub use error::EventError;
pub use table::Table;
