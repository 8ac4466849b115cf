//! The order of the stages from a table to its matches, and nothing else.
#![forbid(unsafe_code)]

pub mod error;
pub mod matches;

pub use error::EngineError;
pub use matches::MatchTable;

use arrow_schema::Schema;
use cepheid_event::Table;
use cepheid_ir::{Pattern, Query};

/// How a batch is to be matched.
#[derive(Clone, Debug, Default)]
pub struct MatchOptions {
    /// Column that holds the event time, where the pattern itself names no order.
    pub event_time: Option<String>,
    /// Most search steps in one partition before [`EngineError::Limit`]; the default is stated in the docs.
    pub step_limit: Option<u64>,
}

/// Matches one table, the whole input.
///
/// # Errors
/// See [`EngineError`].
pub fn match_table(pattern: &Pattern, table: &Table, options: &MatchOptions) -> Result<MatchTable, EngineError> {
    let _ = (pattern, table, options);
    unimplemented!()
}

/// The number of matches, none of them built.
///
/// # Errors
/// See [`EngineError`].
pub fn count_matches(pattern: &Pattern, table: &Table, options: &MatchOptions) -> Result<u64, EngineError> {
    let _ = (pattern, table, options);
    unimplemented!()
}

/// Whether there is a match; stops at the first.
///
/// # Errors
/// See [`EngineError`].
pub fn exists_match(pattern: &Pattern, table: &Table, options: &MatchOptions) -> Result<bool, EngineError> {
    let _ = (pattern, table, options);
    unimplemented!()
}

/// Runs a query over its table.
///
/// # Errors
/// See [`EngineError`].
pub fn run_query(query: &Query, table: &Table, options: &MatchOptions) -> Result<MatchTable, EngineError> {
    let _ = (query, table, options);
    unimplemented!()
}

/// The plan in prose: strategy and why, complexity, state bound. With a schema, types are checked as well.
///
/// # Errors
/// See [`EngineError`].
pub fn explain(pattern: &Pattern, schema: Option<&Schema>) -> Result<String, EngineError> {
    let _ = (pattern, schema);
    unimplemented!()
}
