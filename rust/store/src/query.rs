//! What is asked of a store.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_schema::SchemaRef;
use cepheid_eval::{Leaf, TypedExpr};
use cepheid_ir::Expr;

use crate::error::StoreError;
use crate::topic::TopicPattern;

/// Which events are asked for: those that satisfy all that is said.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Topics; empty: all.
    pub topics: Vec<TopicPattern>,
    /// A stream.
    pub stream: Option<String>,
    /// Positions: from the first on, to before the second.
    pub positions: (Option<u64>, Option<u64>),
    /// Rows of a topic, likewise.
    pub rows: (Option<u64>, Option<u64>),
    /// Event times, likewise, in nanoseconds since 1970; of topics without, the times of recording.
    pub times: (Option<i64>, Option<i64>),
    /// What has to hold of them; a column that a topic does not have is NULL.
    pub condition: Option<Expr>,
    /// Their columns; `None`: all.
    pub columns: Option<Vec<String>>,
    /// Whether the store's own columns stand in front.
    pub metadata: bool,
    /// At most so many.
    pub limit: Option<u64>,
}

/// A condition over the columns of all topics that are read.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    typed: TypedExpr,
    schema: SchemaRef,
}

impl Condition {
    pub(crate) fn new(condition: &Expr, schema: &SchemaRef) -> Result<Self, StoreError> {
        let typed = TypedExpr::compile_condition(condition, schema)?;
        Ok(Self { typed, schema: Arc::clone(schema) })
    }

    /// Names of the columns that it reads.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let column = |leaf: &Leaf| match leaf {
            Leaf::Column { index, .. } => Some(self.schema.field(*index).name().as_str()),
            _ => None,
        };
        self.typed.leaves().iter().filter_map(column).collect()
    }

    /// Which rows satisfy it.
    pub(crate) fn mask(&self, rows: &RecordBatch) -> Result<BooleanBuffer, StoreError> {
        let slot = |leaf: &Leaf| -> Result<ArrayRef, StoreError> {
            let Leaf::Column { index, data_type, .. } = leaf else {
                let reason = "a condition on stored events reads columns alone".into();
                return Err(StoreError::InvalidOption { option: "where", reason });
            };
            match rows.column_by_name(self.schema.field(*index).name()) {
                None => Ok(new_null_array(data_type, rows.num_rows())),
                Some(column) if column.data_type() == data_type => Ok(Arc::clone(column)),
                Some(column) => Ok(cast(column, data_type)?),
            }
        };
        let slots = self.typed.leaves().iter().map(slot).collect::<Result<Vec<_>, _>>()?;
        Ok(self.typed.evaluate_mask(&slots, rows.num_rows())?)
    }
}

/// Those rows that a mask has.
pub(crate) fn filtered(rows: &RecordBatch, mask: BooleanBuffer) -> Result<RecordBatch, StoreError> {
    if mask.count_set_bits() == rows.num_rows() {
        return Ok(rows.clone());
    }
    let mask = BooleanArray::new(mask, None);
    debug_assert_eq!(mask.len(), rows.num_rows());
    Ok(arrow_select::filter::filter_record_batch(rows, &mask)?)
}
