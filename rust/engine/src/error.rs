//! Everything that can go wrong between a table and its matches.

use cepheid_eval::{EvalError, Fault, RuleError};
use cepheid_event::EventError;
use cepheid_ir::PatternError;
use cepheid_matcher::MatchError;
use cepheid_window::WindowError;

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
    /// State would grow past what an engine may take. Nothing has been lost: the engine is as it was before the call.
    #[error(
        "with rule `{rule}`{}{} the engine needs {bytes} bytes of state; the limit is {limit}; bound the rule with within(...), push fewer rows at a time, or raise memory_limit",
        if key.is_empty() { String::new() } else { format!(" at the key {key}") },
        time_ns.map_or_else(String::new, |time| format!(", at event time {time} ns"))
    )]
    StateLimit {
        /// The rule; of rows that wait to be matched, what holds them.
        rule: String,
        /// The key whose row could not be matched.
        key: String,
        /// The row's event time.
        time_ns: Option<i64>,
        /// Bytes needed, of all that the engine holds.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Two rules emit one topic, with different columns.
    #[error(
        "rules `{}` and `{}` both emit `{topic}`, the one ({}), the other ({}); give one of them another topic with emit(...), or the same measures",
        rules[0], rules[1], schemas[0], schemas[1]
    )]
    TopicConflict {
        /// The topic.
        topic: String,
        /// The rules.
        rules: [String; 2],
        /// The columns of each.
        schemas: [String; 2],
    },
    /// A rule that comes would give a topic other columns than those know it by who read it.
    #[error(
        "`{topic}` is read with the columns ({expected}), and with rule `{rule}` it would have ({found}); give the new columns another topic with emit(...), or remove the rules that read it first"
    )]
    TopicColumns {
        /// The topic.
        topic: String,
        /// The rule that comes.
        rule: String,
        /// The columns that readers know.
        expected: String,
        /// Those that it would have.
        found: String,
    },
    /// A rule derives events of the topic that late rows come out as.
    #[error(
        "rule `{rule}` derives events of topic `{topic}`, which is what late rows come out as; give it another topic with emit(...), or the engine another policy with late=..."
    )]
    LateTopicConflict {
        /// The topic.
        topic: String,
        /// The rule.
        rule: String,
    },
    /// A processor raised an error.
    #[error("processor `{rule}` failed: {fault}")]
    Processor {
        /// Its name.
        rule: String,
        /// What it raised.
        fault: Fault,
    },
    /// A processor gave what cannot be events.
    #[error("processor `{rule}`: {problem}")]
    ProcessorOutput {
        /// Its name.
        rule: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Rules read what they derive, in a circle.
    #[error("rules read each other in a circle: {} (each reads what the one before it derives); name another topic with topic=... or emit(...)", path.join(" -> "))]
    RuleCycle {
        /// Names of the rules, the first once more at the end.
        path: Vec<String>,
    },
    /// One topic is derived both of sources and of what others derive, or of what others derive one after the other.
    #[error(
        "rules `{}` and `{}` both emit `{topic}`, but one reads what the other, or a rule on the same level, derives; give one of them another topic with emit(...)",
        rules[0], rules[1]
    )]
    TopicLevels {
        /// The topic.
        topic: String,
        /// The rules.
        rules: [String; 2],
    },
    /// A rule that comes would change what one that runs reads.
    #[error(
        "rule `{reader}` would have to begin to read what `{rule}` derives, or stop, while it runs; remove `{reader}` first, and add it again behind `{rule}`"
    )]
    RuleOrder {
        /// The rule that comes.
        rule: String,
        /// The one that is there.
        reader: String,
    },
    /// A rule that is to go derives what another reads.
    #[error("rule `{reader}` reads `{topic}`, which only `{rule}` derives; remove `{reader}` first")]
    RuleRead {
        /// The rule that is to go.
        rule: String,
        /// The one that reads.
        reader: String,
        /// The topic.
        topic: String,
    },
    /// A rule reports columns that have no type yet to rules that read them.
    #[error(
        "rule `{rule}` reports columns of topic `{silent}`, which has sent nothing, to the rules that read `{topic}`, and their types are not known; let it have a batch first, an empty one will do"
    )]
    SilentTopic {
        /// The rule.
        rule: String,
        /// The topic that has sent nothing.
        silent: String,
        /// The topic that is derived.
        topic: String,
    },
    /// Rows are pushed of a topic that a rule derives for others.
    #[error(
        "topic `{topic}` is derived by rule `{rule}`, and others read it: rows of it cannot be pushed; push them as another topic"
    )]
    DerivedTopic {
        /// The topic.
        topic: String,
        /// The rule.
        rule: String,
    },
    /// Two rules have one name.
    #[error("two rules are named `{name}`; name each with named(...), or replace() the one there is")]
    DuplicateRule {
        /// The name.
        name: String,
    },
    /// No rule has the name.
    #[error("there is no rule `{name}` (there are {})", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    UnknownRule {
        /// The name.
        name: String,
        /// Rules that there are.
        known: Vec<String>,
    },
    /// Rows of which topic?
    #[error("say which topic the rows are of: push(rows, topic=...); the rules read {}", known.join(", "))]
    TopicNeeded {
        /// Topics that rules read.
        known: Vec<String>,
    },
    /// Bytes that are no snapshot, or a damaged one.
    #[error("not a snapshot of an engine: {reason}")]
    InvalidSnapshot {
        /// What is wrong.
        reason: String,
    },
    /// A snapshot of a newer version.
    #[error("the snapshot has version {found}; this version of cepheid reads up to {supported}")]
    SnapshotVersion {
        /// Its version.
        found: u32,
        /// The newest that can be read.
        supported: u32,
    },
    /// The rules given are not those of the snapshot.
    #[error(
        "{reason}; restore a snapshot with the rules that it was taken of, then add(), replace() or remove()"
    )]
    SnapshotRules {
        /// What differs.
        reason: String,
    },
    /// More windows at once than there is room for.
    #[error(
        "more than {limit} windows at once; bring fewer rows or move the clock less far in one call, have windows be longer or begin less often, or bound how long empty ones are reported"
    )]
    TooManyWindows {
        /// How many there may be.
        limit: u64,
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

    /// The same of an expression that failed, with the rule that it is of: an engine has many.
    pub(crate) fn of_rule(mut self, rule: &str) -> Self {
        if let Self::Eval { context, .. } = &mut self {
            context.push_str(&format!(" of rule `{rule}`"));
        }
        self
    }

    /// What a rule lacks of the room that others leave it, told of all that an engine holds and may hold.
    pub(crate) fn of_all_state(mut self, memory_limit: Option<usize>) -> Self {
        if let (Self::StateLimit { bytes, limit, .. }, Some(all)) = (&mut self, memory_limit) {
            *bytes = bytes.saturating_add(all - (*limit).min(all));
            *limit = all;
        }
        self
    }

    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pattern(error) => error.code(),
            Self::Event(error) => error.code(),
            Self::Eval { source, .. } => source.code(),
            Self::StateLimit { .. } => "state-limit",
            Self::TopicConflict { .. } | Self::LateTopicConflict { .. } => "topic-conflict",
            Self::TopicColumns { .. } => "schema-changed",
            Self::RuleCycle { .. } => "rule-cycle",
            Self::Processor { .. } => "processor-failed",
            Self::ProcessorOutput { .. } => "processor-output",
            Self::TopicLevels { .. } => "topic-levels",
            Self::RuleOrder { .. } => "rule-order",
            Self::SilentTopic { .. } => "schema-unknown",
            Self::RuleRead { .. } => "rule-read",
            Self::DerivedTopic { .. } => "derived-topic",
            Self::DuplicateRule { .. } => "duplicate-rule",
            Self::UnknownRule { .. } => "unknown-rule",
            Self::TopicNeeded { .. } => "topic-needed",
            Self::InvalidSnapshot { .. } => "invalid-snapshot",
            Self::SnapshotVersion { .. } => "snapshot-version",
            Self::SnapshotRules { .. } => "snapshot-rules",
            Self::TooManyWindows { .. } => "too-large",
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

impl From<RuleError> for EngineError {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::Pattern(error) => Self::Pattern(error),
            RuleError::Event(error) => Self::Event(error),
            RuleError::Eval { context, source } => Self::Eval { context, source },
        }
    }
}

impl From<WindowError> for EngineError {
    fn from(error: WindowError) -> Self {
        match error {
            WindowError::Rule(error) => error.into(),
            WindowError::TooMany { limit } => Self::TooManyWindows { limit },
        }
    }
}
