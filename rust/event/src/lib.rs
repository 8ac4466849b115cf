//! Events in Arrow form: what a table of them is, how rows are grouped by key and put in order.
#![forbid(unsafe_code)]

pub mod error;
pub mod key;
pub mod order;
pub mod partition;
pub mod table;
pub mod time;

pub use error::EventError;
pub use order::{OrderKey, RowOrder};
pub use partition::OrderedRows;
pub use table::{Table, resolve_column};
pub use time::{as_int64, nanoseconds_per};
