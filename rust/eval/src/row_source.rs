//! Which rows a rule is about that asks its rows one by one, and by what they are told apart.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, SchemaRef};
use cepheid_event::{EventError, check_event_time, resolve_column};
use cepheid_ir::{ColumnName, Expr};

use crate::leaf::Leaf;
use crate::rule_error::RuleError;
use crate::typed::TypedExpr;

/// Gives the values of a column, for each of some rows.
pub type ColumnOf<'a> = &'a dyn Fn(usize) -> Result<ArrayRef, EventError>;

/// See the module. Immutable and shareable.
#[derive(Debug)]
pub struct RowSource {
    /// What the rule is called, with its article.
    what: &'static str,
    schema: SchemaRef,
    keys: Vec<usize>,
    event_time: usize,
    condition: Option<TypedExpr>,
}

impl RowSource {
    /// Compiles what a rule says of its rows. `what`: what it is called, with its article; `event_time`: the column that rows are
    /// ordered by.
    ///
    /// # Errors
    /// [`RuleError`]: a column that there is not, a time that is none, a condition that does not fit.
    pub fn compile(
        what: &'static str,
        partition_by: &[ColumnName],
        condition: Option<&Expr>,
        schema: &SchemaRef,
        event_time: usize,
    ) -> Result<Self, RuleError> {
        check_event_time(schema.field(event_time).name(), schema.field(event_time).data_type())?;
        let keys = partition_by.iter().map(|column| resolve_column(schema, &column.name, column.quoted));
        let keys = keys.collect::<Result<_, _>>()?;
        let mut source = Self { what, schema: Arc::clone(schema), keys, event_time, condition: None };
        let condition =
            condition.map(|condition| TypedExpr::compile_condition(condition, schema)).transpose();
        source.condition = condition.map_err(RuleError::in_context(|| source.condition_text()))?;
        Ok(source)
    }

    fn condition_text(&self) -> String {
        format!("the condition of {}", self.what)
    }

    /// The columns of rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns of the key.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// The columns of the key, as they are reported.
    pub fn key_fields(&self) -> impl Iterator<Item = Field> {
        self.keys.iter().map(|column| self.schema.field(*column).clone())
    }

    /// The column of the event time.
    pub fn event_time(&self) -> usize {
        self.event_time
    }

    /// The column of the event time, as it is reported.
    pub fn time_field(&self) -> &Field {
        self.schema.field(self.event_time)
    }

    /// Its type.
    pub fn time_type(&self) -> &DataType {
        self.time_field().data_type()
    }

    /// Whether there is a condition.
    pub fn has_condition(&self) -> bool {
        self.condition.is_some()
    }

    /// Whether the condition can be asked of any row.
    pub fn never_fails(&self) -> bool {
        self.condition.as_ref().is_none_or(TypedExpr::never_fails)
    }

    /// Which rows satisfy the condition; `None`: there is none. `column`: the values of a column, for each of the rows.
    ///
    /// # Errors
    /// Of a value that the condition cannot take.
    pub fn satisfied(&self, rows: usize, column: ColumnOf<'_>) -> Result<Option<BooleanBuffer>, RuleError> {
        let Some(condition) = &self.condition else { return Ok(None) };
        let mask = condition.evaluate_mask(&condition.slots(column)?, rows);
        mask.map(Some).map_err(RuleError::in_context(|| self.condition_text()))
    }
}

impl TypedExpr {
    /// The values of its leaves, of an expression that reads columns of the row and nothing else.
    ///
    /// # Errors
    /// Those of `column`.
    pub fn slots(&self, column: ColumnOf<'_>) -> Result<Vec<ArrayRef>, EventError> {
        let of = |leaf: &Leaf| match leaf {
            Leaf::Column { index, .. } => column(*index),
            _ => unreachable!("validated: it reads columns of the row"),
        };
        self.leaves().iter().map(of).collect()
    }
}
