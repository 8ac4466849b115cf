//! What can go wrong with windows.

use cepheid_eval::EvalError;
use cepheid_event::EventError;
use cepheid_ir::PatternError;

/// Why windows could not be made. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The window says something impossible of these columns.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// More windows at once than there is room for.
    #[error("more than {limit} windows")]
    TooMany {
        /// How many there may be.
        limit: u64,
    },
    /// The rows do not fit.
    #[error(transparent)]
    Event(#[from] EventError),
    /// An expression does not fit the columns, or met a value that it cannot take.
    #[error("in {context}: {source}")]
    Eval {
        /// The clause, measure or output column.
        context: String,
        /// What is wrong.
        source: Box<EvalError>,
    },
}

impl WindowError {
    pub(crate) fn in_context(context: impl FnOnce() -> String) -> impl FnOnce(EvalError) -> Self {
        move |source| Self::Eval { context: context(), source: Box::new(source) }
    }
}
