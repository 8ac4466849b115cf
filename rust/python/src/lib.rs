//! `cepheid._native`: the door between Python and the engine. Arguments come in, answers go out; nothing is decided
//! here.
//!
//! The GIL is released around all Rust work, and nothing that runs meanwhile holds a lock that Python could wait for.

mod anomaly;
mod arrow;
mod cesql;
mod engine;
mod error;
mod handle;
mod ingest;
mod matches;
mod mining;
mod pattern;
mod processor;
mod pusher;
mod replay;
mod row_columns;
mod sql;
mod store;
mod stored_reader;
mod user_aggregate;
mod window;

/// Masks, positions and output columns are large and short-lived: the system's allocator asks the kernel for their
/// pages anew each time, which costs a fifth of a call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The compiled half of cepheid.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::anomaly::Anomaly;
    #[pymodule_export]
    use super::arrow::ArrowBatch;
    #[pymodule_export]
    use super::cesql::CesqlFilter;
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::ingest::{EventReader, rfc3339_times};
    #[pymodule_export]
    use super::matches::{CompactMatches, MatchTable, concat_matches};
    #[pymodule_export]
    use super::mining::{column_places, frequent_sequences, numbered_rows};
    #[pymodule_export]
    use super::pattern::{Pattern, check_expression};
    #[pymodule_export]
    use super::processor::Processor;
    #[pymodule_export]
    use super::pusher::Pusher;
    #[pymodule_export]
    use super::sql::{Query, parse_expression, parse_measure, unparse_expression};
    #[pymodule_export]
    use super::store::{EventLog, StoreView, StoredEvents};
    #[pymodule_export]
    use super::stored_reader::StoredReader;
    #[pymodule_export]
    use super::user_aggregate::UserAggregate;
    #[pymodule_export]
    use super::window::Window;

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name is Python's")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
