//! What can go wrong while matching.

use cepheid_eval::EvalError;
use cepheid_event::EventError;
use cepheid_ir::PatternError;

/// Why matching stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// The pattern cannot be run.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The table does not fit the pattern.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A condition does not fit the table, or met a value that it cannot take.
    #[error("in the condition of `{variable}`: {source}")]
    Condition {
        /// The variable.
        variable: String,
        /// What is wrong.
        source: Box<EvalError>,
    },
    /// The match holds no row of the variable that the search should go on at.
    #[error(
        "AFTER MATCH SKIP TO `{variable}`: match {match_number}, which begins at row {row}, has no row of `{variable}`"
    )]
    SkipTargetMissing {
        /// The variable or subset.
        variable: String,
        /// The match, within its partition.
        match_number: u64,
        /// Its first row, in arrival order.
        row: u64,
    },
    /// The search would go on at the row where the match began, for ever.
    #[error(
        "AFTER MATCH SKIP TO `{variable}`: in match {match_number} that is the first row (row {row}), where the search would go on for ever"
    )]
    SkipTargetIsFirstRow {
        /// The variable or subset.
        variable: String,
        /// The match, within its partition.
        match_number: u64,
        /// Its first row, in arrival order.
        row: u64,
    },
    /// A search took more steps than it may.
    #[error(
        "the search from row {row} took more than {limit} steps; bound the pattern with WITHIN, or make its conditions exclude each other"
    )]
    StepLimit {
        /// The row where it began, in arrival order.
        row: u32,
        /// The most steps that one search may take.
        limit: u64,
    },
    /// State grew past what it may take.
    #[error(
        "matching needs {bytes} bytes of state at row {row}; the limit is {limit}; bound the pattern with WITHIN, or raise the limit"
    )]
    StateLimit {
        /// The row, in the order of all rows.
        row: u64,
        /// Bytes needed.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// One start row has more ways of going on than can be followed.
    #[error(
        "more than {limit} ways go on from row {row}; bound the pattern with WITHIN, or make its conditions exclude each other"
    )]
    RunLimit {
        /// The row, in the order of all rows.
        row: u64,
        /// Most ways.
        limit: usize,
    },
    /// Whoever asked no longer wants the answer.
    #[error("matching was interrupted")]
    Interrupted,
    /// More than can be numbered, or kept in memory.
    #[error("more than {limit} {what}; match fewer rows in one call, or bound the pattern with WITHIN")]
    TooLarge {
        /// More of what.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
}

impl MatchError {
    /// The same with the row that it names, which the matcher knows by its place in the order of all rows, in another
    /// count.
    #[must_use]
    pub fn with_rows(mut self, count: impl FnOnce(u64) -> u64) -> Self {
        if let Self::SkipTargetMissing { row, .. }
        | Self::SkipTargetIsFirstRow { row, .. }
        | Self::StateLimit { row, .. }
        | Self::RunLimit { row, .. } = &mut self
        {
            *row = count(*row);
        }
        self
    }

    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pattern(error) => error.code(),
            Self::Event(error) => error.code(),
            Self::Condition { source, .. } => source.code(),
            Self::SkipTargetMissing { .. } => "skip-target-missing",
            Self::SkipTargetIsFirstRow { .. } => "skip-target-is-first-row",
            Self::StepLimit { .. } => "step-limit",
            Self::StateLimit { .. } => "state-limit",
            Self::RunLimit { .. } => "run-limit",
            Self::Interrupted => "interrupted",
            Self::TooLarge { .. } => "too-large",
        }
    }
}
