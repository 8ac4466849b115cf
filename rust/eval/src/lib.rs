//! What an expression means, twice: over columns of rows and over one row.
//!
//! [`TypedExpr::compile`] checks an [`Expr`](cepheid_ir::Expr) against a schema and infers every type. Its leaves
//! (columns of some row, classifiers, aggregates) become numbered *slots*, and whoever evaluates fills them: the
//! crate knows nothing of runs or matches.
//!
//! - [`TypedExpr::evaluate_columns`] and [`TypedExpr::evaluate_mask`]: every slot is an array, one element a row.
//! - [`MaskSet`]: as `evaluate_mask`, of several conditions at once, each column read once.
//! - [`TypedExpr::evaluate_row`] and [`TypedExpr::evaluate_condition`]: every slot is a [`Value`], asked for only
//!   when needed.
//!
//! The two give the same values, and columns raise a data error if and only if some row does (where several rows do, not
//! always that of the first): a property test holds them together.
#![forbid(unsafe_code)]

pub mod accumulator;
pub mod aggregate;
pub mod column_reader;
pub mod error;
pub mod fault;
pub mod leaf;
pub mod mask_set;
pub mod order_code;
pub mod predicate_index;
pub mod row_source;
pub mod rule_error;
pub mod running_aggregate;
pub mod saved_value;
pub mod typed;
pub mod value;
pub mod value_array;

mod adapt;
mod arithmetic;
mod cast;
mod compile;
mod compile_call;
mod constrained;
mod decimal;
mod display;
mod exclusion;
mod fold;
mod function;
mod literal;
mod ranked;
mod row;
mod types;
mod vector;
mod whole_number;

pub use accumulator::Accumulator;
pub use aggregate::TypedAggregate;
pub use column_reader::{ColumnReader, read_value};
pub use constrained::Constrained;
pub use display::expression_text;
pub use error::EvalError;
pub use fault::Fault;
pub use leaf::{Leaf, SlotValues};
pub use mask_set::MaskSet;
pub use order_code::OrderCode;
pub use predicate_index::{AtomId, Guard, PredicateIndex, Satisfied};
pub use row_source::{ColumnOf, RowSource};
pub use rule_error::RuleError;
pub use running_aggregate::{RunningAggregate, SavedAggregate};
pub use saved_value::SavedValue;
pub use typed::TypedExpr;
pub use value::{Value, compare_values};
pub use value_array::values_to_array;
