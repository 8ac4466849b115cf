//! What can go wrong with a store.

use std::path::{Path, PathBuf};

use arrow_schema::ArrowError;
use cepheid_eval::EvalError;
use cepheid_event::EventError;
use parquet::errors::ParquetError;
use rusqlite::ErrorCode;

/// A store that cannot do what is asked of it. Unless it says otherwise, the store is as it was before the call.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another handle of this one, writes to the store.
    #[error("`{}` is being written to by {holder}; there is one writer at a time: close that one, or open this one to read only", .path.display())]
    Locked {
        /// The store.
        path: PathBuf,
        /// Who writes, as it says itself.
        holder: String,
    },
    /// A handle that has been closed.
    #[error("the store has been closed; open it again")]
    Closed,
    /// There is nothing at the path.
    #[error("there is no store at `{}`; opened to be written, it would be made", .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A file that is something else.
    #[error("`{}` is no store of events: {reason}", .path.display())]
    NotAStore {
        /// The path.
        path: PathBuf,
        /// How that shows.
        reason: String,
    },
    /// A format that this version does not know.
    #[error("`{}` has format {found}, and this version of cepheid reads up to {newest}: use a newer one", .path.display())]
    FormatVersion {
        /// The path.
        path: PathBuf,
        /// What the file says.
        found: u32,
        /// The newest that is known.
        newest: u32,
    },
    /// The disk is full, or a limit on the size of files is reached.
    #[error("no space is left to {action}; nothing of it has been kept: make room and do it again")]
    DiskFull {
        /// What was being done.
        action: &'static str,
    },
    /// Something longer than the store takes as one.
    #[error("{what} of {bytes} bytes is too long: the limit is {limit}; nothing has been kept")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Another program keeps the file to itself.
    #[error(
        "cannot {action}: another program has held the store for longer than is waited; nothing has been changed"
    )]
    Busy {
        /// What was being done.
        action: &'static str,
    },
    /// The operating system failed.
    #[error("cannot {action}{}: {reason}", .path.as_ref().map(|path| format!(" `{}`", path.display())).unwrap_or_default())]
    Disk {
        /// What was being done.
        action: &'static str,
        /// To which file, if that is known.
        path: Option<PathBuf>,
        /// What it said.
        reason: String,
    },
    /// After a write that failed, nobody knows what is on the disk.
    #[error(
        "an earlier write failed ({reason}), so that this handle may not be used any more: open the store again"
    )]
    Poisoned {
        /// What it said.
        reason: String,
    },
    /// Bytes that are not those that were written.
    #[error("the store is damaged{}: {reason}", .position.map(|position| format!(" at position {position}")).unwrap_or_default())]
    Corrupt {
        /// The position of the first event concerned, if that is known.
        position: Option<u64>,
        /// How that shows.
        reason: String,
    },
    /// An archived file that was put together with others, or removed, after a read of it had begun.
    #[error(
        "the archived file `{file}` was put together with others, or removed, since this read began: read again"
    )]
    Moved {
        /// The file.
        file: String,
    },
    /// A stream that has other events than whoever appends to it knows of.
    #[error("stream `{stream}` has {actual} event{}, expected {}: read what came in between, and decide again", plural(.actual), count(*.expected))]
    VersionConflict {
        /// The stream.
        stream: String,
        /// How many events were expected.
        expected: u64,
        /// How many there are.
        actual: u64,
    },
    /// A key of idempotency that came with other rows before.
    #[error("idempotency key `{key}` of topic `{topic}` came with {before} event{} before, and comes with {events} now: a key belongs to one batch", plural(.before))]
    KeyReused {
        /// The topic.
        topic: String,
        /// The key.
        key: String,
        /// How many events it came with.
        before: u64,
        /// How many events it comes with.
        events: u64,
    },
    /// A name that cannot be one.
    #[error("`{name}` cannot name a {what}: {reason}")]
    InvalidName {
        /// Topic, stream, and so on.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A column whose name the store keeps for its own.
    #[error(
        "column `{column}` has a name that the store gives to its own: rename it, or read with `metadata=False` what is copied"
    )]
    ReservedColumn {
        /// The column.
        column: String,
    },
    /// A column that differs in type from topic to topic, or from batch to batch.
    #[error(
        "column `{column}` is {left} in {left_source} and {right} in {right_source}: read them one at a time, or leave the column out"
    )]
    SchemaConflict {
        /// The column.
        column: String,
        /// One type,
        left: String,
        /// and where it is from.
        left_source: String,
        /// The other,
        right: String,
        /// and where that is from.
        right_source: String,
    },
    /// An option with a value that it cannot take.
    #[error("`{option}`: {reason}")]
    InvalidOption {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing has a name that was asked for.
    #[error("there is no {what} `{name}`{}", known_text(.known))]
    Unknown {
        /// Topic, column, and so on.
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A value that can be neither stored nor kept secret.
    #[error("column `{column}` has type {found}, which cannot be protected: its values are kept as text")]
    Unprotectable {
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// Rows of a type that Parquet does not have.
    #[error("topic `{topic}` cannot be archived ({reason}); its rows stay where they are")]
    Unarchivable {
        /// The topic.
        topic: String,
        /// What the library said.
        reason: String,
    },
    /// A signature that does not fit what it was given for.
    #[error(
        "the signature of entry {entry} is not that of the key given: the store, or the key, is another one"
    )]
    BadSignature {
        /// The entry.
        entry: u64,
    },
    /// A condition that cannot be asked of the rows.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Rows, or times of them, that are none.
    #[error(transparent)]
    Event(#[from] EventError),
}

fn plural(count: &u64) -> &'static str {
    if *count == 1 { "" } else { "s" }
}

fn count(expected: u64) -> String {
    if expected == 0 { "none".into() } else { expected.to_string() }
}

fn known_text(known: &[String]) -> String {
    match known {
        [] => String::new(),
        known => format!(
            "; there is {}",
            known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

impl StoreError {
    /// A stable name of the mistake.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store-locked",
            Self::Closed => "store-closed",
            Self::Missing { .. } => "store-missing",
            Self::NotAStore { .. } => "not-a-store",
            Self::FormatVersion { .. } => "store-format",
            Self::DiskFull { .. } => "disk-full",
            Self::TooLong { .. } => "too-long",
            Self::Busy { .. } => "store-busy",
            Self::Disk { .. } => "disk",
            Self::Poisoned { .. } => "store-poisoned",
            Self::Corrupt { .. } => "store-corrupt",
            Self::Moved { .. } => "store-moved",
            Self::VersionConflict { .. } => "version-conflict",
            Self::KeyReused { .. } => "key-reused",
            Self::InvalidName { .. } => "invalid-name",
            Self::ReservedColumn { .. } => "reserved-column",
            Self::SchemaConflict { .. } => "schema-conflict",
            Self::InvalidOption { .. } => "store-option",
            Self::Unknown { .. } => "unknown-in-store",
            Self::Unprotectable { .. } => "unprotectable",
            Self::Unarchivable { .. } => "unarchivable",
            Self::BadSignature { .. } => "bad-signature",
            Self::Eval(error) => error.code(),
            Self::Event(error) => error.code(),
        }
    }

    /// Whether nobody knows any more what is on the disk.
    pub(crate) fn poisons(&self) -> bool {
        matches!(self, Self::Disk { .. })
    }

    pub(crate) fn corrupt(position: Option<u64>, reason: impl Into<String>) -> Self {
        Self::Corrupt { position, reason: reason.into() }
    }

    /// What SQLite said while something was being done.
    pub(crate) fn of_sqlite(error: &rusqlite::Error, action: &'static str) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { action },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { action },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::corrupt(None, reason),
            // What SQLite finds in a file is of the types that it was written with, unless somebody else wrote there.
            None => Self::corrupt(None, reason),
            _ => Self::Disk { action, path: None, reason },
        }
    }

    /// What the operating system said while something was being done to a file.
    pub(crate) fn of_io(error: &std::io::Error, action: &'static str, path: &Path) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull { action },
            _ => Self::Disk { action, path: Some(path.to_owned()), reason: error.to_string() },
        }
    }

    /// What the library for Parquet said of an archived file.
    pub(crate) fn of_parquet(error: &ParquetError, path: &Path) -> Self {
        Self::corrupt(None, format!("the archived file `{}`: {error}", path.display()))
    }
}

impl From<ArrowError> for StoreError {
    fn from(error: ArrowError) -> Self {
        Self::Event(error.into())
    }
}

/// Says what was being done when SQLite failed.
pub(crate) trait Doing<T> {
    fn doing(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::of_sqlite(&error, action))
    }
}
