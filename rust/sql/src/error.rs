//! Why a text cannot be read: what, where, what was expected, and what was perhaps meant.

use std::fmt;

use cepheid_ir::PatternError;

use crate::span::{Span, position};

/// What kind of mistake it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlErrorKind {
    /// The text does not follow the grammar.
    Syntax,
    /// A clause stands behind one that it must precede, or stands twice.
    ClauseOrder,
    /// A constant that spells no value of its type, or one out of range.
    InvalidLiteral,
    /// A function that does not exist.
    UnknownFunction,
    /// A type that does not exist.
    UnknownType,
    /// A qualifier that is not the alias of the matches.
    UnknownAlias,
    /// Something that has no meaning where it stands.
    InvalidExpression,
    /// More than a limit allows.
    LimitExceeded,
    /// SQL that this version does not run.
    Unsupported,
    /// A well-formed text of a pattern that cannot be.
    Pattern(PatternError),
}

impl SqlErrorKind {
    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::ClauseOrder => "clause-order",
            Self::InvalidLiteral => "invalid-literal",
            Self::UnknownFunction => "unknown-function",
            Self::UnknownType => "unknown-type",
            Self::UnknownAlias => "unknown-alias",
            Self::InvalidExpression => "invalid-expression",
            Self::LimitExceeded => "limit-exceeded",
            Self::Unsupported => "unsupported",
            Self::Pattern(error) => error.code(),
        }
    }
}

/// A text that cannot be read. `Display` shows the message, the place, the line and a caret under the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    failure: Failure,
    line: usize,
    column: usize,
    snippet: String,
    caret: String,
}

impl SqlError {
    pub(crate) fn new(text: &str, failure: Failure) -> Self {
        // A span comes from the lexer of this same text; clamping keeps a mistake of ours from becoming a panic.
        let start = floor_boundary(text, failure.span.start);
        let end = floor_boundary(text, failure.span.end).max(start);
        let place = position(text, start);
        let (snippet, caret) =
            snippet(&text[place.line_start..], start - place.line_start, end - place.line_start);
        Self(Box::new(Parts { failure, line: place.line, column: place.column, snippet, caret }))
    }

    /// What is wrong and what to do, without the place.
    pub fn message(&self) -> &str {
        &self.0.failure.message
    }

    /// What kind of mistake it is.
    pub fn kind(&self) -> &SqlErrorKind {
        &self.0.failure.kind
    }

    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        self.0.failure.kind.code()
    }

    /// The fault, in bytes of the text.
    pub fn span(&self) -> Span {
        self.0.failure.span
    }

    /// The line of the fault, from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The column of the fault in its line, in characters, from 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// What could have stood there; empty where that says nothing.
    pub fn expected(&self) -> &[String] {
        &self.0.failure.expected
    }

    /// The nearest known name.
    pub fn nearest(&self) -> Option<&str> {
        self.0.failure.nearest.as_deref()
    }

    /// The line of the fault, shortened around it if it is long.
    pub fn snippet(&self) -> &str {
        &self.0.snippet
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { failure, line, column, snippet, caret } = &*self.0;
        write!(f, "line {line}, column {column}: {}\n  {snippet}\n  {caret}", failure.message)?;
        if !failure.expected.is_empty() {
            write!(f, "\nexpected {}", join_or(&failure.expected))?;
        }
        if let Some(nearest) = &failure.nearest {
            write!(f, "\ndid you mean `{nearest}`?")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.failure.kind {
            SqlErrorKind::Pattern(error) => Some(error),
            _ => None,
        }
    }
}

/// A fault without the text it lies in: what the parser and the lowering pass up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: SqlErrorKind,
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) expected: Vec<String>,
    pub(crate) nearest: Option<String>,
}

/// Boxed, so that the recursive functions of the parser keep small frames.
pub(crate) type Parsed<T> = Result<T, Box<Failure>>;

impl Failure {
    pub(crate) fn new(kind: SqlErrorKind, span: Span, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { kind, message: message.into(), span, expected: vec![], nearest: None })
    }

    pub(crate) fn pattern(error: PatternError, span: Span) -> Box<Self> {
        let message = error.to_string();
        Self::new(SqlErrorKind::Pattern(error), span, message)
    }

    pub(crate) fn invalid(span: Span, message: impl Into<String>) -> Box<Self> {
        Self::new(SqlErrorKind::InvalidExpression, span, message)
    }

    pub(crate) fn syntax(span: Span, message: impl Into<String>) -> Box<Self> {
        Self::new(SqlErrorKind::Syntax, span, message)
    }

    pub(crate) fn unsupported(span: Span, message: impl Into<String>) -> Box<Self> {
        Self::new(SqlErrorKind::Unsupported, span, message)
    }

    /// SQL that is beyond one pattern over one table.
    pub(crate) fn beyond_one_pattern(span: Span, construct: &str) -> Box<Self> {
        Self::unsupported(
            span,
            format!(
                "{construct} cannot stand here; select the matches and hand the Arrow result to DuckDB or Polars for the rest"
            ),
        )
    }

    /// SQL that is beyond one window over one table.
    pub(crate) fn beyond_one_window(span: Span, construct: &str) -> Box<Self> {
        Self::unsupported(
            span,
            format!(
                "{construct} cannot stand here; select the windows and hand the Arrow result to DuckDB or Polars for the rest"
            ),
        )
    }

    pub(crate) fn limit(span: Span, what: &str, limit: usize) -> Box<Self> {
        Self::new(SqlErrorKind::LimitExceeded, span, format!("{what}; the limit is {limit}"))
    }

    pub(crate) fn with_nearest<'n>(
        mut self: Box<Self>,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Box<Self> {
        self.nearest = nearest(name, known);
        self
    }
}

fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

fn join_or(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The line that `from_line` begins with, and carets under its bytes `start..end`; long lines are cut on both sides.
fn snippet(from_line: &str, start: usize, end: usize) -> (String, String) {
    const BEFORE: usize = 80;
    const AFTER: usize = 60;
    let line = from_line.lines().next().unwrap_or("");
    // The fault may be the line break itself.
    let start = start.min(line.len());
    let end = end.clamp(start, line.len());
    let skipped = line[..start].chars().count().saturating_sub(BEFORE);
    let shown_before: String = line[..start].chars().skip(skipped).collect();
    let marked = line[start..end].chars().count().clamp(1, AFTER);
    let mut rest = line[start..].chars();
    let shown_after: String = rest.by_ref().take(AFTER).collect();
    let head = if skipped > 0 { "..." } else { "" };
    let tail = if rest.next().is_some() { "..." } else { "" };
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text = format!("{head}{shown_before}{shown_after}{tail}").chars().map(printable).collect::<String>();
    let indent = head.len() + shown_before.chars().count();
    (text.trim_end().to_owned(), format!("{}{}", " ".repeat(indent), "^".repeat(marked)))
}

/// The known name that a mistyped one is nearest to, if any is near.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    const LENGTH_MAX: usize = 64;
    let folded: Vec<char> = name.chars().take(LENGTH_MAX).flat_map(char::to_lowercase).collect();
    let far = (folded.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let other: Vec<char> = candidate.chars().take(LENGTH_MAX).flat_map(char::to_lowercase).collect();
        if candidate == name || folded.len().abs_diff(other.len()) > far {
            continue;
        }
        let distance = edit_distance(&folded, &other);
        // A name of one letter is near to every other: only a difference of case is.
        let near = distance <= far && (folded.len() > 1 || distance == 0);
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate.to_owned())
}

/// Fewest insertions, deletions, replacements and swaps of neighbours from one to the other.
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let width = to.len() + 1;
    let mut table = vec![0; (from.len() + 1) * width];
    for (column, distance) in table.iter_mut().enumerate().take(width) {
        *distance = column;
    }
    for row in 1..=from.len() {
        table[row * width] = row;
        for column in 1..width {
            let replaced =
                table[(row - 1) * width + column - 1] + usize::from(from[row - 1] != to[column - 1]);
            let moved = table[(row - 1) * width + column].min(table[row * width + column - 1]) + 1;
            let mut least = replaced.min(moved);
            if row > 1 && column > 1 && from[row - 1] == to[column - 2] && from[row - 2] == to[column - 1] {
                least = least.min(table[(row - 2) * width + column - 2] + 1);
            }
            table[row * width + column] = least;
        }
    }
    table[from.len() * width + to.len()]
}
