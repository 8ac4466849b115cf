//! What can go wrong with anomaly rules.

use cepheid_eval::EvalError;
use cepheid_event::EventError;
use cepheid_ir::PatternError;

/// Why rows could not be judged. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnomalyError {
    /// The rule says something impossible of these columns.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The rows do not fit.
    #[error(transparent)]
    Event(#[from] EventError),
    /// An expression does not fit the columns, or met a value that it cannot take.
    #[error("in {context}: {source}")]
    Eval {
        /// The value or the condition.
        context: String,
        /// What is wrong.
        source: Box<EvalError>,
    },
}

impl AnomalyError {
    pub(crate) fn in_context(context: &str) -> impl FnOnce(EvalError) -> Self {
        move |source| Self::Eval { context: context.to_owned(), source: Box::new(source) }
    }
}
