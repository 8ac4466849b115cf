//! The result of matching.

use arrow_array::RecordBatch;

use crate::error::EngineError;

/// Matches as Arrow: one table of derived events and, built when asked for, one of membership.
#[derive(Debug)]
pub struct MatchTable {
    batch: RecordBatch,
}

impl MatchTable {
    /// One row per match, or per matched row.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// `(match: int64, variable: utf8 dictionary, row: int64)`: `match` is the ordinal of the match within this
    /// result, `row` that of the input row in arrival order.
    ///
    /// # Errors
    /// [`EngineError`] when it would pass Arrow's limits.
    pub fn membership(&self) -> Result<RecordBatch, EngineError> {
        unimplemented!()
    }

    /// Matches, empty ones included.
    pub fn num_matches(&self) -> usize {
        0
    }

    /// Name of the strategy that ran.
    pub fn strategy(&self) -> &'static str {
        ""
    }
}
