//! Why a history cannot be mined.

/// No sequence is told of: the answer is whole, or there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MiningError {
    /// The slices are no history.
    #[error("the rows of a history are {what}, but those at {row} are not")]
    InvalidHistory {
        /// What they must be.
        what: &'static str,
        /// The first row at fault.
        row: usize,
    },
    /// There are more frequent sequences than were allowed for.
    #[error(
        "more than {limit} sequences of 1 to {max_length} events have a support of {min_support} keys or more; raise \
         min_support (or max_sequences), or lower max_length, max_gap or within"
    )]
    TooManySequences {
        /// How many were allowed.
        limit: usize,
        /// The least support that was asked for.
        min_support: usize,
        /// The greatest length that was asked for.
        max_length: usize,
    },
    /// Who asked wants no answer any more.
    #[error("the search was interrupted")]
    Interrupted,
}

impl MiningError {
    /// A stable name for the mistake.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidHistory { .. } => "invalid-history",
            Self::TooManySequences { .. } => "too-many-sequences",
            Self::Interrupted => "interrupted",
        }
    }
}
