//! Events in Arrow form: what a table of them is, how rows are grouped by key and put in order, and how those of a stream
//! are released in the order of their times.
#![forbid(unsafe_code)]

pub mod crew;
pub mod error;
pub mod ipc;
pub mod key;
mod key_table;
pub mod late;
pub mod merge;
pub mod order;
pub mod partition;
pub mod partition_keys;
pub mod pieces;
pub mod release;
pub mod reorder;
pub mod state;
pub mod table;
pub mod threads;
pub mod time;
pub mod watermark;

mod held;
mod integer_keys;
mod runs;
mod scattered;
mod shared_grouping;
mod string_keys;
mod taken;

pub use error::EventError;
pub use key_table::KeyTable;
pub use late::LateRows;
pub use merge::{MergedBatch, MergedSchema, with_wide_codes};
pub use order::{OrderKey, RowOrder, ascending};
pub use partition::OrderedRows;
pub use partition_keys::{KeyedRows, PartitionKeys, shard_of};
pub use pieces::Piece;
pub use release::Released;
pub use reorder::{Prepared, ReorderBuffer, SourceStats};
pub use shared_grouping::{ByKey, by_key};
pub use state::{ReorderState, TopicState};
pub use table::{Table, resolve_column};
pub use time::{
    as_int64, check_event_time, check_steps, check_window_spans, event_steps, event_times, nanoseconds_of,
    nanoseconds_per, nanoseconds_per_step, repeated_times_of, step_name, times_of,
};
pub use watermark::{Clock, SourceClock, TimePolicy};
