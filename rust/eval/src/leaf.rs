//! What an expression reads: its leaves, and who supplies their values.

use arrow_schema::DataType;
use cepheid_ir::RowPointer;

use crate::aggregate::TypedAggregate;
use crate::error::EvalError;
use crate::value::Value;

/// Something that an expression reads from its surroundings.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// A column of the row at `at`.
    Column {
        /// Position in the schema.
        index: usize,
        /// Which row.
        at: RowPointer,
        /// The column's type.
        data_type: DataType,
    },
    /// The name of the variable that the row at `at` was mapped to.
    Classifier {
        /// Which row.
        at: RowPointer,
    },
    /// The ordinal of the match within its partition.
    MatchNumber,
    /// An aggregate over rows of the match.
    Aggregate(TypedAggregate),
}

impl Leaf {
    /// The type of the leaf's values.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Column { data_type, .. } => data_type.clone(),
            Self::Classifier { .. } => DataType::Utf8,
            Self::MatchNumber => DataType::Int64,
            Self::Aggregate(aggregate) => aggregate.data_type.clone(),
        }
    }
}

/// Supplies the values of an expression's slots for one row.
pub trait SlotValues {
    /// The value of `leaves()[index]`.
    ///
    /// # Errors
    /// Whatever keeps the value from being worked out, an aggregate's overflow for one. The evaluation ends with it.
    fn slot(&mut self, index: usize) -> Result<Value, EvalError>;
}

impl<F: FnMut(usize) -> Result<Value, EvalError>> SlotValues for F {
    fn slot(&mut self, index: usize) -> Result<Value, EvalError> {
        self(index)
    }
}

impl SlotValues for [Value] {
    fn slot(&mut self, index: usize) -> Result<Value, EvalError> {
        Ok(self[index].clone())
    }
}
