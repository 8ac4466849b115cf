//! What can go wrong with windows.

use cepheid_eval::RuleError;
use cepheid_event::EventError;

/// Why windows could not be made. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The window does not fit the rows.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// More windows at once than there is room for.
    #[error("more than {limit} windows")]
    TooMany {
        /// How many there may be.
        limit: u64,
    },
}

impl From<EventError> for WindowError {
    fn from(error: EventError) -> Self {
        Self::Rule(error.into())
    }
}
