//! Everything that can go wrong between a table and its matches.

use cepheid_eval::EvalError;
use cepheid_event::EventError;
use cepheid_ir::PatternError;
use cepheid_matcher::MatchError;

/// Why a call gave no matches. Nothing has changed: calls are pure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The pattern says something impossible.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The table does not fit the pattern.
    #[error(transparent)]
    Event(#[from] EventError),
    /// An expression does not fit the table, or met a value that it cannot take.
    #[error("in {context}: {source}")]
    Eval {
        /// The clause, measure or output column.
        context: String,
        /// What is wrong.
        source: Box<EvalError>,
    },
    /// The search stopped.
    #[error(transparent)]
    Match(MatchError),
}

impl EngineError {
    /// Says in which clause, measure or output column an expression failed.
    pub(crate) fn in_context(context: impl Into<String>) -> impl FnOnce(EvalError) -> Self {
        |source| Self::Eval { context: context.into(), source: Box::new(source) }
    }

    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pattern(error) => error.code(),
            Self::Event(error) => error.code(),
            Self::Eval { source, .. } => source.code(),
            Self::Match(error) => error.code(),
        }
    }
}

impl From<MatchError> for EngineError {
    fn from(error: MatchError) -> Self {
        match error {
            MatchError::Pattern(error) => Self::Pattern(error),
            MatchError::Event(error) => Self::Event(error),
            MatchError::Condition { variable, source } => {
                Self::Eval { context: format!("the condition of `{variable}`"), source }
            }
            other => Self::Match(other),
        }
    }
}
