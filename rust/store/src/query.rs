//! What is asked of a store.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_eval::{Leaf, TypedExpr};
use cepheid_ir::Expr;

use crate::conform::widened;
use crate::error::StoreError;
use crate::prune::Pruner;
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
    /// Whether the store's own columns stand in front. If not, and nothing else asks for them, those that
    /// [`Reader::next_rows`](crate::Reader::next_rows) gives are NULL but for where rows are.
    pub metadata: bool,
    /// Whether a topic that is named may not be there yet.
    pub missing: bool,
    /// At most so many.
    pub limit: Option<u64>,
    /// By topic: what holds of every row that matters. Where it can be told that none does, and the rows come in the order of
    /// their times, [`Reader::next_rows`](crate::Reader::next_rows) says so instead of reading them.
    pub mattering: Vec<(String, Expr)>,
}

/// The store's column that tells topics apart.
const TOPIC: &str = "_topic";

/// A condition over the columns of all topics that are read.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    expr: Expr,
    typed: TypedExpr,
    schema: SchemaRef,
}

impl Condition {
    /// `schema` has the store's own columns but the topic, which no file holds, in front.
    pub(crate) fn new(condition: &Expr, schema: &SchemaRef) -> Result<Self, StoreError> {
        let mut fields = schema.fields().to_vec();
        fields.push(Arc::new(Field::new(TOPIC, DataType::Utf8, false)));
        let schema = Arc::new(Schema::new(fields));
        let typed = TypedExpr::compile_condition(condition, &schema)?;
        Ok(Self { expr: condition.clone(), typed, schema })
    }

    /// The same of rows whose columns have other types that mean the same.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn over(&self, rows: &Schema) -> Result<Self, StoreError> {
        let own = self.schema.fields().iter().filter(|field| field.name() != TOPIC);
        let field = |field: &Arc<Field>| match rows.field_with_name(field.name()) {
            Ok(read) => Arc::new(field.as_ref().clone().with_data_type(read.data_type().clone())),
            Err(_) => Arc::clone(field),
        };
        Self::new(&self.expr, &Arc::new(Schema::new(own.map(field).collect::<Vec<_>>())))
    }

    /// The same as questions to what is known of rows of a schema, whose columns mean the same here.
    pub(crate) fn pruner(&self, kept: &SchemaRef, protected: &[String]) -> Pruner {
        Pruner::new(&self.expr, &self.schema, kept, protected)
    }

    /// Names of the columns that it reads.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let column = |leaf: &Leaf| match leaf {
            Leaf::Column { index, .. } => Some(self.schema.field(*index).name().as_str()),
            _ => None,
        };
        self.typed.leaves().iter().filter_map(column).collect()
    }

    /// Whether its columns are those of a schema, by name and type: then what is known of the rows can be asked in their own.
    pub(crate) fn means_the_same(&self, own: &Schema) -> bool {
        self.columns().into_iter().all(|name| match self.schema.field_with_name(name) {
            Err(_) => false,
            Ok(united) => {
                let alike = own.fields().iter().filter(|field| field.name().eq_ignore_ascii_case(name));
                let mut alike = alike.map(|field| (field.name(), widened(field).data_type().clone()));
                alike.all(|(own, data_type)| own == name && data_type == *united.data_type())
            }
        })
    }

    /// Which rows of a topic satisfy it.
    pub(crate) fn mask(&self, rows: &RecordBatch, topic: &str) -> Result<BooleanBuffer, StoreError> {
        let slot = |leaf: &Leaf| -> Result<ArrayRef, StoreError> {
            let Leaf::Column { index, data_type, .. } = leaf else {
                let reason = "a condition on stored events reads columns alone".into();
                return Err(StoreError::InvalidOption { option: "where", reason });
            };
            match rows.column_by_name(self.schema.field(*index).name()) {
                None if self.schema.field(*index).name() == TOPIC => {
                    Ok(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(topic, rows.num_rows()))))
                }
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
