//! Why a pattern cannot be.

/// A pattern that says something impossible. Nothing has been read from any table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `DEFINE` names a variable that does not occur.
    #[error("DEFINE names `{name}`, which the pattern does not use (it uses {})", list(.known))]
    UndefinedVariable {
        /// The name.
        name: String,
        /// The pattern's variables.
        known: Vec<String>,
    },
    /// A variable has two conditions.
    #[error("variable `{name}` is defined twice; join the conditions with AND")]
    DuplicateDefinition {
        /// The name.
        name: String,
    },
    /// Two events of the algebra share a name.
    #[error("two events are named `{name}`; give each event of a pattern a name of its own")]
    DuplicateVariable {
        /// The name.
        name: String,
    },
    /// An expression refers to a variable that does not occur.
    #[error("{context} refers to `{name}`, which is no variable of the pattern (it has {})", list(.known))]
    UnknownVariable {
        /// Where: a clause, or the condition of a variable.
        context: String,
        /// The name.
        name: String,
        /// The pattern's variables and subsets.
        known: Vec<String>,
    },
    /// The skip target does not occur.
    #[error("AFTER MATCH SKIP names `{name}`, which is no variable of the pattern (it has {})", list(.known))]
    UnknownSkipTarget {
        /// The name.
        name: String,
        /// The pattern's variables and subsets.
        known: Vec<String>,
    },
    /// A subset takes the name of a variable or of another subset.
    #[error("SUBSET `{name}` has the name of a variable or of another subset; rename it")]
    SubsetNameTaken {
        /// The name.
        name: String,
    },
    /// A name that must not be empty is.
    #[error("the name of a {what} is empty")]
    EmptyName {
        /// Of what.
        what: &'static str,
    },
    /// Two measures share a name.
    #[error("two measures are named `{name}`; rename one")]
    DuplicateMeasure {
        /// The name.
        name: String,
    },
    /// A measure takes the name of a column that every derived event has.
    #[error(
        "measure `{name}` has the name of a partition column or of one that every derived event has; rename it"
    )]
    MeasureNameTaken {
        /// The name.
        name: String,
    },
    /// An impossible count.
    #[error(
        "a part cannot repeat {min} to {max} times; the upper count must be at least 1 and not below the lower"
    )]
    InvalidQuantifier {
        /// Lower count.
        min: u32,
        /// Upper count.
        max: u32,
    },
    /// An absent event where none can be.
    #[error("absent `{variable}`: {problem}")]
    InvalidAbsence {
        /// Its variable.
        variable: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// Neighbours may be further apart than the first row from the last.
    #[error("a gap between neighbours cannot be longer than the window around them; shorten the gap")]
    GapExceedsWindow,
    /// A stream may have to keep runs for ever.
    #[error(
        "in a stream this pattern may wait for ever; bound it with within(...), or say within(None) if that is meant"
    )]
    UnboundedWait,
    /// A bound that nothing fits in.
    #[error("WITHIN must be longer than zero")]
    InvalidWithin,
    /// `WITHIN` by time without a time to measure.
    #[error("WITHIN by time needs an ORDER BY whose first key is the event time, ascending")]
    WithinNeedsOrder,
    /// A composite node with too few parts.
    #[error("a {what} needs at least {needed} parts")]
    TooFewParts {
        /// Which node.
        what: &'static str,
        /// How many.
        needed: usize,
    },
    /// More than a limit allows.
    #[error("the pattern has {found} {what}; the limit is {limit}")]
    LimitExceeded {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An expression where it has no meaning.
    #[error("{context}: {problem}")]
    InvalidExpression {
        /// Where.
        context: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Two clauses that exclude each other.
    #[error("{first} and {second} cannot stand together: {reason}")]
    ConflictingClauses {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A construct that this version cannot run.
    #[error("{construct} cannot be matched by this version; {hint}")]
    Unsupported {
        /// Which one.
        construct: String,
        /// What to do instead.
        hint: String,
    },
    /// A pattern that has no SQL text.
    #[error("SQL cannot say {construct}; {hint}")]
    NotInSql {
        /// What it cannot say.
        construct: String,
        /// What to do instead.
        hint: String,
    },
    /// A serialised pattern of an unknown version.
    #[error("the serialised pattern has version {found}; this version of cepheid reads up to {supported}")]
    WireVersion {
        /// Its version.
        found: u64,
        /// The newest that can be read.
        supported: u64,
    },
    /// A serialised pattern that is none.
    #[error("not a serialised pattern: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

impl PatternError {
    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UndefinedVariable { .. } => "undefined-variable",
            Self::DuplicateDefinition { .. } => "duplicate-definition",
            Self::DuplicateVariable { .. } => "duplicate-variable",
            Self::UnknownVariable { .. } => "unknown-variable",
            Self::UnknownSkipTarget { .. } => "unknown-skip-target",
            Self::SubsetNameTaken { .. } => "subset-name-taken",
            Self::EmptyName { .. } => "empty-name",
            Self::DuplicateMeasure { .. } => "duplicate-measure",
            Self::MeasureNameTaken { .. } => "measure-name-taken",
            Self::InvalidQuantifier { .. } => "invalid-quantifier",
            Self::InvalidAbsence { .. } => "invalid-absence",
            Self::GapExceedsWindow => "gap-exceeds-window",
            Self::UnboundedWait => "unbounded-wait",
            Self::InvalidWithin => "invalid-within",
            Self::WithinNeedsOrder => "within-needs-order",
            Self::TooFewParts { .. } => "too-few-parts",
            Self::LimitExceeded { .. } => "limit-exceeded",
            Self::InvalidExpression { .. } => "invalid-expression",
            Self::ConflictingClauses { .. } => "conflicting-clauses",
            Self::Unsupported { .. } | Self::NotInSql { .. } => "unsupported",
            Self::WireVersion { .. } => "wire-version",
            Self::Malformed { .. } => "malformed",
        }
    }

    /// The variable at fault, if one is.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::UndefinedVariable { name, .. }
            | Self::DuplicateDefinition { name }
            | Self::DuplicateVariable { name }
            | Self::UnknownVariable { name, .. }
            | Self::UnknownSkipTarget { name, .. }
            | Self::InvalidAbsence { variable: name, .. }
            | Self::SubsetNameTaken { name } => Some(name),
            _ => None,
        }
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    if text.is_empty() { "none".into() } else { text }
}
