//! Windows of rows, and what is known of the rows of each.
//!
//! [`WindowPlan`] is a window compiled against a schema, [`WindowState`] what it keeps between rows. Rows come in order of time,
//! with numbers for their keys; whoever brings them sees to that.
//!
//! - [`frames`]: which rows share a window, and when it is complete. [`operators`]: the aggregates, one a file.
//! - An aggregate is a [`monoid`]: states of rows that can be joined. [`arena`] keeps states by number, [`slider`] those of rows
//!   that come and leave, by key.
#![forbid(unsafe_code)]

mod arena;
mod compile;
mod edges;
mod error;
mod frames;
mod monoid;
mod operators;
mod queue;
mod rope;
mod saved;
mod slider;
mod state;
mod told;
mod user_aggregate;

pub use compile::WindowPlan;
pub use edges::{Edges, Together};
pub use error::WindowError;
pub use frames::tumbling::start_of;
pub use saved::SavedWindows;
pub use state::{Arguments, Arrival, Chunk, WindowState, Windows, is_in_window};
pub use user_aggregate::{UserAggregate, UserAggregates};
