//! What can be wrong with an event, and with a text as a whole.

/// What is wrong with an event, by a name that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is no JSON.
    Syntax,
    /// The text is no UTF-8.
    Utf8,
    /// Objects and arrays lie too deep in each other.
    Depth,
    /// An object has a field twice.
    DuplicateKey,
    /// It is JSON, but no object.
    NotObject,
    /// A number that its type cannot hold.
    NumberRange,
    /// More bytes than an event may have.
    PayloadTooLarge,
    /// It has no type, or one that cannot be the name of a topic, or another than it was sent as.
    EventType,
    /// Its time is none.
    EventTime,
    /// Another part of the envelope is not what it must be.
    EventAttribute,
    /// It is of a version that its type does not have.
    SchemaVersion,
    /// It has a field that its type does not have.
    UnknownField,
    /// It lacks a field that its type must have.
    MissingField,
    /// A field has a value of another type.
    FieldType,
    /// A field has a name that no column can have.
    FieldName,
    /// It would give its type more columns than one may have.
    TooManyColumns,
}

impl Code {
    /// The name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "json-syntax",
            Self::Utf8 => "json-utf8",
            Self::Depth => "json-depth",
            Self::DuplicateKey => "json-duplicate-key",
            Self::NotObject => "json-not-object",
            Self::NumberRange => "number-range",
            Self::PayloadTooLarge => "payload-too-large",
            Self::EventType => "event-type",
            Self::EventTime => "event-time",
            Self::EventAttribute => "event-attribute",
            Self::SchemaVersion => "schema-version",
            Self::UnknownField => "unknown-field",
            Self::MissingField => "missing-field",
            Self::FieldType => "field-type",
            Self::FieldName => "field-name",
            Self::TooManyColumns => "too-many-columns",
        }
    }
}

/// What is wrong with one event. It has not been taken; all others have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which of the call's events it is, from 0.
    pub row: usize,
    /// Its bytes in the text: from the first to before the second.
    pub span: (usize, usize),
    /// What is wrong, by name.
    pub code: Code,
    /// What is wrong, as a sentence.
    pub reason: String,
    /// The type that it was to have, if that is known.
    pub topic: Option<String>,
}

/// Something wrong that is found while a value is looked at, before it is known whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) code: Code,
    pub(crate) reason: String,
}

impl Trouble {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// Why nothing of a text has been read.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// More bytes than one call takes.
    #[error("the text has {bytes} bytes, and one call takes at most {limit}; send it in pieces")]
    TextTooLong {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Columns that would be mostly empty, of more values than one call takes.
    #[error(
        "{rows} events of {columns} columns are more values than one call takes ({bytes} bytes of text); send them in smaller pieces"
    )]
    TooManyValues {
        /// Events of one type.
        rows: usize,
        /// Columns that it has.
        columns: usize,
        /// Bytes of the text.
        bytes: usize,
    },
    /// Arrow refused.
    #[error("{0}")]
    Arrow(#[from] arrow_schema::ArrowError),
}

impl IngestError {
    /// A stable name for the mistake.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TextTooLong { .. } | Self::TooManyValues { .. } => "payload-too-large",
            Self::Arrow(_) => "arrow",
        }
    }
}

/// The beginning of a text that a message shows.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        None => text.into(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
