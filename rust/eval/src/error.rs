//! What can be wrong with an expression, or with the values it meets.

use std::fmt;
use std::sync::Arc;

use cepheid_event::EventError;

/// An expression that does not fit its schema, or a value that an expression cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A column name that the schema does not have, or has several times.
    #[error("in `{expression}`: {source}")]
    Column {
        /// The expression that names the column.
        expression: String,
        /// What is wrong with the name.
        source: EventError,
    },
    /// Operands of types that the operation does not take.
    #[error("`{expression}`: {expected}, but {}", describe_types(.found))]
    TypeMismatch {
        /// The operation.
        expression: String,
        /// What it takes.
        expected: String,
        /// Its operands, each with its type.
        found: Vec<(String, String)>,
    },
    /// A constant string that does not spell a value of the type it meets.
    #[error("`{expression}`: '{text}' is not a {wanted}")]
    InvalidLiteral {
        /// The operation in which they meet.
        expression: String,
        /// The string.
        text: String,
        /// The type that it should spell.
        wanted: String,
    },
    /// A regular expression that does not compile, or grows past the limit.
    #[error("`{expression}`: the regular expression '{pattern}' does not compile: {reason}")]
    InvalidRegex {
        /// The operation.
        expression: Arc<str>,
        /// The regular expression.
        pattern: String,
        /// Why not.
        reason: String,
        /// Whether it was read from a row rather than written in the expression.
        from_data: bool,
    },
    /// A call that cannot be compiled: a wrong number of arguments, an unknown unit or zone, a level of nesting too many.
    #[error("`{expression}`: {reason}")]
    InvalidCall {
        /// The call.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that a function cannot take.
    #[error("`{expression}`: {reason}")]
    InvalidArgument {
        /// The call.
        expression: Arc<str>,
        /// What is wrong with the value.
        reason: String,
    },
    /// A result outside the range of its type.
    #[error("`{expression}`: the result is out of range for {data_type}")]
    Overflow {
        /// The operation.
        expression: Arc<str>,
        /// The type that cannot hold the result.
        data_type: &'static str,
    },
    /// Division of integers or decimals by zero.
    #[error("`{expression}`: division by zero")]
    DivisionByZero {
        /// The division.
        expression: Arc<str>,
    },
    /// A value that does not convert.
    #[error("`{expression}`: {value} does not convert to {to}")]
    InvalidCast {
        /// The conversion.
        expression: Arc<str>,
        /// The value.
        value: String,
        /// The type asked for.
        to: String,
    },
    /// An aggregate of the user's raised an error, or gave what is no answer.
    #[error("`{expression}`: {fault}")]
    UserDefined {
        /// The aggregate.
        expression: Arc<str>,
        /// What it raised.
        fault: crate::fault::Fault,
    },
    /// Arrow refused an operation.
    #[error("Arrow: {reason}")]
    Arrow {
        /// Its words.
        reason: String,
    },
}

impl EvalError {
    /// A stable code, the same in every version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Column { source, .. } => source.code(),
            Self::TypeMismatch { .. } => "type-mismatch",
            Self::InvalidLiteral { .. } => "invalid-literal",
            Self::InvalidRegex { .. } => "invalid-regex",
            Self::InvalidCall { .. } => "invalid-call",
            Self::InvalidArgument { .. } => "invalid-argument",
            Self::Overflow { .. } => "overflow",
            Self::DivisionByZero { .. } => "division-by-zero",
            Self::InvalidCast { .. } => "invalid-cast",
            Self::UserDefined { .. } => "aggregate-failed",
            Self::Arrow { .. } => "arrow",
        }
    }

    /// The expression at fault.
    pub fn expression(&self) -> Option<&str> {
        match self {
            Self::Column { expression, .. }
            | Self::TypeMismatch { expression, .. }
            | Self::InvalidLiteral { expression, .. }
            | Self::InvalidCall { expression, .. } => Some(expression),
            Self::InvalidRegex { expression, .. }
            | Self::InvalidArgument { expression, .. }
            | Self::Overflow { expression, .. }
            | Self::DivisionByZero { expression }
            | Self::UserDefined { expression, .. }
            | Self::InvalidCast { expression, .. } => Some(expression),
            Self::Arrow { .. } => None,
        }
    }

    /// Whether values raised it, at run time; otherwise no table of these types can be evaluated.
    pub fn is_data_error(&self) -> bool {
        match self {
            Self::InvalidArgument { .. }
            | Self::Overflow { .. }
            | Self::DivisionByZero { .. }
            | Self::UserDefined { .. }
            | Self::InvalidCast { .. } => true,
            Self::InvalidRegex { from_data, .. } => *from_data,
            Self::Column { .. }
            | Self::TypeMismatch { .. }
            | Self::InvalidLiteral { .. }
            | Self::InvalidCall { .. }
            | Self::Arrow { .. } => false,
        }
    }
}

impl From<arrow_schema::ArrowError> for EvalError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Arrow { reason: error.to_string() }
    }
}

fn describe_types(operands: &[(String, String)]) -> String {
    operands
        .iter()
        .map(|(text, data_type)| format!("`{text}` is {data_type}"))
        .collect::<Vec<_>>()
        .join(" and ")
}

/// A data error before it is known in which expression it arose.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    Overflow(&'static str),
    DivisionByZero,
    Cast { value: String, to: String },
    Argument(String),
    Regex { pattern: String, reason: String },
}

impl Fault {
    /// The error, at home in `expression`.
    #[cold]
    pub(crate) fn within(self, expression: &dyn fmt::Display) -> EvalError {
        let expression: Arc<str> = expression.to_string().into();
        match self {
            Self::Overflow(data_type) => EvalError::Overflow { expression, data_type },
            Self::DivisionByZero => EvalError::DivisionByZero { expression },
            Self::Cast { value, to } => EvalError::InvalidCast { expression, value, to },
            Self::Argument(reason) => EvalError::InvalidArgument { expression, reason },
            Self::Regex { pattern, reason } => {
                EvalError::InvalidRegex { expression, pattern, reason, from_data: true }
            }
        }
    }
}
