//! What can be wrong with a table.

/// A table, or a column of it, that does not fit what is asked of it.
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
            Self::Arrow { .. } => "arrow",
        }
    }

    /// The column at fault, if one is.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::UnknownColumn { name, .. } | Self::AmbiguousColumn { name, .. } => Some(name),
            Self::ColumnType { column, .. } => Some(column),
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
