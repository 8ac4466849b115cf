//! Which types columns have that nobody has declared: those of the values that come first.

use std::collections::HashMap;

use arrow_schema::{DataType, Field};

use crate::fault::{Code, Trouble};
use crate::node::{Node, Nodes};
use crate::number::{float, is_written_whole};

/// The key of a field's metadata that says that its texts are JSON.
pub const JSON_MARK: &str = "cepheid:json";

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Float,
    Text,
    Binary,
    /// Objects and arrays, which are kept as they are written: what is in them differs from event to event.
    Json,
}

impl Kind {
    /// The kind of a value; `None`: null fits every kind.
    pub(crate) fn of(nodes: &Nodes<'_>, node: Node, base64: bool) -> Result<Option<Self>, Trouble> {
        Ok(Some(match node {
            Node::Null => return Ok(None),
            Node::Bool(_) => Self::Bool,
            Node::Int(_) => Self::Int,
            Node::Number { start, end } => {
                if is_written_whole(nodes, start, end) {
                    let reason = format!(
                        "{} is beyond 64 bits; declare the column as decimal, float64 or uint64",
                        nodes.describe(node)
                    );
                    return Err(Trouble::new(Code::NumberRange, reason));
                }
                if float(nodes, node).is_none() {
                    let reason = format!("{} is beyond the range of floats", nodes.describe(node));
                    return Err(Trouble::new(Code::NumberRange, reason));
                }
                Self::Float
            }
            Node::Text { .. } | Node::Unescaped { .. } if base64 => Self::Binary,
            Node::Text { .. } | Node::Unescaped { .. } => Self::Text,
            Node::Object { .. } | Node::Array { .. } => Self::Json,
            Node::Key(_) => unreachable!("a name is no value"),
        }))
    }

    /// The kind that holds values of two; `None`: there is none.
    pub(crate) fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (one, other) if one == other => Some(one),
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Some(Self::Float),
            // Any value can be written as JSON; but a column of numbers does not become one of text.
            (Self::Json, other) if other != Self::Binary => Some(Self::Json),
            _ => None,
        }
    }

    /// A column of it.
    pub(crate) fn field(self, name: &str) -> Field {
        let data_type = match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Binary => DataType::Binary,
            Self::Text | Self::Json => DataType::Utf8,
        };
        let field = Field::new(name, data_type, true);
        if self == Self::Json {
            field.with_metadata(HashMap::from([(JSON_MARK.into(), "1".into())]))
        } else {
            field
        }
    }

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int64",
            Self::Float => "float64",
            Self::Text => "string",
            Self::Binary => "binary",
            Self::Json => "JSON",
        }
    }
}

/// Whether a column holds JSON as text.
pub(crate) fn is_json(field: &Field) -> bool {
    field.metadata().contains_key(JSON_MARK)
}
