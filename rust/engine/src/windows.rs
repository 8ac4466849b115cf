//! Values of the rows that share a window.

use arrow_array::RecordBatch;
use cepheid_event::Table;
use cepheid_ir::{PatternError, Window};

use crate::error::EngineError;
use crate::plan::MatchOptions;

/// What a window says of the rows of a table.
///
/// # Errors
/// See [`EngineError`].
pub fn aggregate_table(
    _window: &Window,
    _table: &Table,
    _options: &MatchOptions,
) -> Result<RecordBatch, EngineError> {
    Err(EngineError::Pattern(PatternError::Unsupported {
        construct: "a window".into(),
        hint: "this version reads windows, but does not run them".into(),
    }))
}
