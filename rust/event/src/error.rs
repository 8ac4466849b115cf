//! What can be wrong with a table, or with a batch of a stream.

/// A table, a batch of a stream, or a column of it, that does not fit what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// A column that does not exist.
    #[error("there is no column `{name}`{}; the table has {}", .hint.as_ref().map(|h| format!(" (did you mean `{h}`?)")).unwrap_or_default(), list(.known))]
    UnknownColumn {
        /// The name asked for.
        name: String,
        /// The nearest name there is.
        hint: Option<String>,
        /// The table's columns.
        known: Vec<String>,
    },
    /// A name that fits several columns when case is forgiven.
    #[error("`{name}` fits several columns ({}); quote the one you mean", list(.candidates))]
    AmbiguousColumn {
        /// The name asked for.
        name: String,
        /// The columns it fits.
        candidates: Vec<String>,
    },
    /// A column of a type that cannot play the part asked of it.
    #[error("column `{column}` has type {found}; {expected}")]
    ColumnType {
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What was needed, and what to do.
        expected: String,
    },
    /// Batches of one table whose schemas differ.
    #[error("batch {batch} has the schema {found}, but the table began with {expected}")]
    SchemaChanged {
        /// Ordinal of the batch.
        batch: usize,
        /// Its schema.
        found: String,
        /// That of the first batch.
        expected: String,
    },
    /// More rows than one call takes.
    #[error("{rows} rows in one call; the limit is {limit}: split the table by partition")]
    TooManyRows {
        /// How many.
        rows: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A row of a stream without an event time.
    #[error(
        "column `{column}` is NULL in row {row}; every event needs a time: fill it in or leave the row out"
    )]
    NullTime {
        /// The column of the event time.
        column: String,
        /// The row's place among those pushed, from 0.
        row: usize,
    },
    /// An event time that 64 bits of nanoseconds do not hold.
    #[error(
        "column `{column}` has the time {value} {unit} in row {row}, which is beyond 64 bits of nanoseconds (the years \
         1677 to 2262); mend the value or leave the row out"
    )]
    TimeOverflow {
        /// The column of the event time.
        column: String,
        /// The row's place among those pushed, from 0.
        row: usize,
        /// The value, in the column's unit.
        value: i64,
        /// That unit.
        unit: &'static str,
    },
    /// A late row, where those are errors.
    #[error(
        "row {row} of topic `{topic}` is late: its time {time} is behind the watermark {watermark} (nanoseconds since \
         1970); allow more lateness, or let late events be set aside instead of refused"
    )]
    LateRow {
        /// The topic it was pushed to.
        topic: String,
        /// The row's place among those pushed, from 0.
        row: usize,
        /// Its event time, in nanoseconds.
        time: i64,
        /// The watermark that it is behind, in nanoseconds; equal to `time` if the clock was moved by hand or flushed.
        watermark: i64,
    },
    /// A topic that nobody reads.
    #[error("there is no topic `{topic}`{}; the topics are {}", .hint.as_ref().map(|h| format!(" (did you mean `{h}`?)")).unwrap_or_default(), list(.known))]
    UnknownTopic {
        /// The topic asked for.
        topic: String,
        /// The nearest topic there is.
        hint: Option<String>,
        /// The topics there are.
        known: Vec<String>,
    },
    /// A column of a topic whose columns are not known yet.
    #[error(
        "the columns of topic `{topic}` are not known before its first batch; push a batch of it first, an empty one will do"
    )]
    SchemaUnknown {
        /// The topic.
        topic: String,
    },
    /// A column asked of all topics at once, which not all of those that have it mean alike.
    #[error("column `{column}` is not the same in all topics ({}); name the topic, or give it one spelling and one type", .found.join(", "))]
    TopicsDisagree {
        /// The column asked for.
        column: String,
        /// What it is in each topic that has it: topic, name and type.
        found: Vec<String>,
    },
    /// More topics than one stream takes.
    #[error("more than {limit} topics in one stream; split the rules among several engines")]
    TooManyTopics {
        /// How many there may be.
        limit: usize,
    },
    /// A saved state that contradicts itself.
    #[error("the saved state of the stream contradicts itself: {reason}; restore from another snapshot")]
    InvalidState {
        /// How.
        reason: String,
    },
    /// Arrow refused an operation.
    #[error("Arrow: {reason}")]
    Arrow {
        /// Its words.
        reason: String,
    },
}

impl EventError {
    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownColumn { .. } => "unknown-column",
            Self::AmbiguousColumn { .. } => "ambiguous-column",
            Self::ColumnType { .. } => "column-type",
            Self::SchemaChanged { .. } => "schema-changed",
            Self::TooManyRows { .. } => "too-many-rows",
            Self::NullTime { .. } => "null-time",
            Self::TimeOverflow { .. } => "time-overflow",
            Self::LateRow { .. } => "late-event",
            Self::UnknownTopic { .. } => "unknown-topic",
            Self::SchemaUnknown { .. } => "schema-unknown",
            Self::TopicsDisagree { .. } => "topics-disagree",
            Self::TooManyTopics { .. } => "too-many-topics",
            Self::InvalidState { .. } => "invalid-state",
            Self::Arrow { .. } => "arrow",
        }
    }

    /// The column at fault, if one is.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::UnknownColumn { name, .. } | Self::AmbiguousColumn { name, .. } => Some(name),
            Self::ColumnType { column, .. }
            | Self::NullTime { column, .. }
            | Self::TimeOverflow { column, .. }
            | Self::TopicsDisagree { column, .. } => Some(column),
            _ => None,
        }
    }
}

impl From<arrow_schema::ArrowError> for EventError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Arrow { reason: error.to_string() }
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
