//! CloudEvents SQL 1.0: text to a tree, and what it says of one event or of a batch.
//!
//! `lexer` and `parser` make the tree of `ast`, `unparse` its text again, and `parse(unparse(x)) == x`. `evaluate` says
//! what a tree is of one event; `filter` says which rows of an Arrow batch pass, with the same answers: constants are
//! folded, AND, OR, XOR and NOT are bits of whole columns, and what reads one dictionary column is asked once per value.
//!
//! The language is total: every evaluation ends, with a value and perhaps with errors. No text makes the crate panic or
//! exhaust the stack; the limits are in `limits`.
#![forbid(unsafe_code)]

mod ast;
mod column;
mod error;
mod evaluate;
mod filter;
mod fold;
mod function;
mod lexer;
mod like;
mod parser;
mod unparse;
mod value;

pub use ast::{ArithmeticOp, Call, Comparison, Expr, Expression, Literal, Logic, LogicOp};
pub use column::{float, whole};
pub use error::{ParseError, ParseErrorKind};
pub use evaluate::{Attributes, Evaluation, EvaluationError, EvaluationErrorKind, Reading};
pub use filter::{Filter, Mask};
pub use function::Function;
pub use like::LikePattern;
pub use parser::parse;
pub use unparse::unparse;
pub use value::{Kind, Value};

/// What a text may at most be.
pub mod limits {
    /// Bytes of a text.
    pub const TEXT_BYTES_MAX: usize = 65_536;
    /// Levels of nesting: those of the tree, in which AND, OR and XOR of one list are one; and while it is read,
    /// parentheses, lists, signs, and right sides of operators that have not ended.
    pub const DEPTH_MAX: usize = 128;
    /// Bytes of what CONCAT and CONCAT_WS make.
    pub const CONCAT_BYTES_MAX: usize = 16 << 20;
}
