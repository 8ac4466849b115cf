//! The three types of values, and the casts between them.

use std::borrow::Cow;
use std::fmt;

/// A type of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Unicode text.
    String,
    /// A whole number of 32 bits.
    Integer,
    /// True or false.
    Boolean,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "String",
            Self::Integer => "Integer",
            Self::Boolean => "Boolean",
        })
    }
}

/// A value; text is borrowed from the event or the expression where it can be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// Text.
    String(Cow<'a, str>),
    /// A whole number.
    Integer(i32),
    /// True or false.
    Boolean(bool),
}

impl Value<'_> {
    /// The type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::String(_) => Kind::String,
            Self::Integer(_) => Kind::Integer,
            Self::Boolean(_) => Kind::Boolean,
        }
    }

    /// What stands for a value that could not be had: the empty text, 0, false.
    pub fn zero(kind: Kind) -> Value<'static> {
        match kind {
            Kind::String => Value::String(Cow::Borrowed("")),
            Kind::Integer => Value::Integer(0),
            Kind::Boolean => Value::Boolean(false),
        }
    }

    /// The same with text of its own.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Integer(number) => Value::Integer(number),
            Self::Boolean(truth) => Value::Boolean(truth),
        }
    }
}

impl<'a> Value<'a> {
    /// As text; every value has one.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::String(text) => text,
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
        }
    }

    /// As a whole number: text if it is one of 32 bits in decimal digits, with or without a sign; true as 1, false as 0.
    pub fn to_integer(&self) -> Option<i32> {
        match self {
            Self::String(text) => text.parse().ok(),
            Self::Integer(number) => Some(*number),
            Self::Boolean(truth) => Some(i32::from(*truth)),
        }
    }

    /// As a truth: text if it is `true` or `false` in whatever case; a number if it is not 0.
    pub fn to_boolean(&self) -> Option<bool> {
        match self {
            Self::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Self::String(_) => None,
            Self::Integer(number) => Some(*number != 0),
            Self::Boolean(truth) => Some(*truth),
        }
    }

    /// As a type; none where it has no such value.
    pub fn cast(self, to: Kind) -> Option<Self> {
        match to {
            Kind::String => Some(Self::String(self.into_text())),
            Kind::Integer => self.to_integer().map(Self::Integer),
            Kind::Boolean => self.to_boolean().map(Self::Boolean),
        }
    }
}

impl fmt::Display for Value<'_> {
    /// As in an expression; long text is cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 40;
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::String(text) => {
                let mut rest = text.chars();
                let shown: String = rest.by_ref().take(SHOWN_MAX).collect();
                write!(f, "'{}{}'", shown.escape_debug(), if rest.next().is_some() { "..." } else { "" })
            }
        }
    }
}
