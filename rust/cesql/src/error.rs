//! Why a text cannot be read: what, where, and what could have stood there.

use std::fmt;
use std::ops::Range;

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The text does not follow the grammar.
    Syntax,
    /// An integer that 32 bits cannot hold.
    Literal,
    /// The text is too long or nested too deeply.
    Limit,
}

impl ParseErrorKind {
    /// A stable code, the same in every version.
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "cesql-syntax",
            Self::Literal => "cesql-literal",
            Self::Limit => "cesql-limit",
        }
    }
}

/// A text that cannot be read. `Display` shows the message, the place, the line, and a caret under the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(
    // Boxed, so that the recursive functions of the parser keep small frames.
    Box<Parts>,
);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    kind: ParseErrorKind,
    message: String,
    span: Range<usize>,
    expected: Vec<&'static str>,
    line: usize,
    column: usize,
    snippet: String,
    caret: String,
}

pub(crate) type Parsed<T> = Result<T, ParseError>;

impl ParseError {
    /// `span` is in bytes of `text` and on boundaries of characters.
    pub(crate) fn new(text: &str, kind: ParseErrorKind, span: Range<usize>, message: String) -> Self {
        let before = &text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[line_start..].chars().count();
        let (snippet, caret) = marked(&text[line_start..], column, text[span.clone()].chars().count());
        let line = before.matches('\n').count() + 1;
        Self(Box::new(Parts {
            kind,
            message,
            span,
            expected: vec![],
            line,
            column: column + 1,
            snippet,
            caret,
        }))
    }

    pub(crate) fn expecting(mut self, expected: &[&'static str]) -> Self {
        self.0.expected = expected.to_vec();
        self
    }

    /// What kind of mistake it is.
    pub fn kind(&self) -> ParseErrorKind {
        self.0.kind
    }

    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// What is wrong and what to do, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The fault, in bytes of the text.
    pub fn span(&self) -> Range<usize> {
        self.0.span.clone()
    }

    /// What could have stood there; empty where that says nothing.
    pub fn expected(&self) -> &[&'static str] {
        &self.0.expected
    }

    /// The line of the fault, from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// Its place in that line, in characters, from 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// The line of the fault, shortened around it if it is long.
    pub fn snippet(&self) -> &str {
        &self.0.snippet
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { line, column, message, snippet, caret, .. } = &*self.0;
        write!(f, "line {line}, column {column}: {message}\n  {snippet}\n  {caret}")?;
        match &*self.0.expected {
            [] => Ok(()),
            [one] => write!(f, "\nexpected {one}"),
            [most @ .., last] => write!(f, "\nexpected {} or {last}", most.join(", ")),
        }
    }
}

impl std::error::Error for ParseError {}

/// The first line of a text around a place in it, and carets under the place; both in characters.
fn marked(text: &str, place: usize, length: usize) -> (String, String) {
    const SHOWN_BEFORE: usize = 60;
    const SHOWN_AFTER: usize = 50;
    let skipped = place.saturating_sub(SHOWN_BEFORE);
    let mut line = text.chars().take_while(|c| !matches!(c, '\n' | '\r')).skip(skipped);
    let shown: String = line.by_ref().take(place - skipped + SHOWN_AFTER).collect();
    let head = if skipped == 0 { "" } else { "..." };
    let tail = if line.next().is_none() { "" } else { "..." };
    let shown: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let indent = " ".repeat(head.len() + place - skipped);
    (
        format!("{head}{}{tail}", shown.trim_end()),
        format!("{indent}{}", "^".repeat(length.clamp(1, SHOWN_AFTER))),
    )
}
