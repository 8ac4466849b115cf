//! What can go wrong with a rule that asks its rows one by one.

use cepheid_event::EventError;
use cepheid_ir::PatternError;

use crate::error::EvalError;

/// Why a rule cannot be asked of rows. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The rule says something impossible of these columns.
    #[error(transparent)]
    Pattern(#[from] PatternError),
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

impl RuleError {
    /// An error of an expression with where that stands.
    pub fn in_context(context: impl FnOnce() -> String) -> impl FnOnce(EvalError) -> Self {
        move |source| Self::Eval { context: context(), source: Box::new(source) }
    }
}
