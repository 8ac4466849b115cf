//! Everything that can go wrong between a table and its matches.

use cepheid_event::EventError;
use cepheid_ir::PatternError;

/// Why a call gave no matches. Nothing has changed: calls are pure.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The pattern says something impossible.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The table does not fit the pattern.
    #[error(transparent)]
    Event(#[from] EventError),
}
