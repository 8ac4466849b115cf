//! An anomaly rule compiled against a schema.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_eval::{EvalError, Leaf, TypedExpr, expression_text};
use cepheid_event::{EventError, check_event_time, resolve_column};
use cepheid_ir::{Anomaly, AnomalyMethod, PatternError, ReportedRows};

use crate::error::AnomalyError;

/// Gives the values of a column, for each of some rows.
pub type ColumnOf<'a> = &'a dyn Fn(usize) -> Result<ArrayRef, EventError>;

const VALUE: &str = "the value of the rule";
const CONDITION: &str = "the condition of the rule";

/// See the module. Immutable and shareable.
#[derive(Debug)]
pub struct DetectorPlan {
    schema: SchemaRef,
    keys: Vec<usize>,
    event_time: usize,
    condition: Option<TypedExpr>,
    value: TypedExpr,
    method: AnomalyMethod,
    rows: ReportedRows,
    output: SchemaRef,
}

impl DetectorPlan {
    /// Compiles a rule that has been validated and normalised. `event_time`: the column that rows are ordered by.
    ///
    /// # Errors
    /// [`AnomalyError`]: a column that there is not, types that do not fit, a column of the key or the event time with the name of
    /// one that is reported beside it.
    pub fn compile(rule: &Anomaly, schema: &SchemaRef, event_time: usize) -> Result<Self, AnomalyError> {
        check_event_time(schema.field(event_time).name(), schema.field(event_time).data_type())?;
        let keys: Vec<usize> = rule
            .partition_by
            .iter()
            .map(|column| resolve_column(schema, &column.name, column.quoted))
            .collect::<Result<_, _>>()?;
        let condition = rule
            .condition
            .as_ref()
            .map(|condition| TypedExpr::compile_condition(condition, schema))
            .transpose()
            .map_err(AnomalyError::in_context(CONDITION))?;
        let value = TypedExpr::compile(&rule.value, schema).map_err(AnomalyError::in_context(VALUE))?;
        check_number(&value).map_err(AnomalyError::in_context(VALUE))?;
        let mut fields: Vec<Field> =
            keys.iter().chain([&event_time]).map(|column| schema.field(*column).clone()).collect();
        let judged = judged_fields(rule.rows);
        if let Some(taken) = judged.iter().find(|field| fields.iter().any(|own| own.name() == field.name())) {
            return Err(PatternError::InvalidExpression {
                context: "an anomaly rule".into(),
                problem: format!(
                    "`{}` is the name of a column that it reports; rename that of the key or the event time",
                    taken.name()
                ),
            }
            .into());
        }
        fields.extend(judged);
        Ok(Self {
            schema: Arc::clone(schema),
            keys,
            event_time,
            condition,
            value,
            method: rule.method,
            rows: rule.rows,
            output: Arc::new(Schema::new(fields)),
        })
    }

    /// The columns of the key.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// The column of the event time.
    pub fn event_time(&self) -> usize {
        self.event_time
    }

    /// The columns of rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns of what is reported: keys, event time, value, what was expected, score, and whether it is an anomaly where all
    /// rows are.
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// How values are judged.
    pub fn method(&self) -> AnomalyMethod {
        self.method
    }

    /// Which rows are reported.
    pub fn rows(&self) -> ReportedRows {
        self.rows
    }

    /// Whether the values and the condition can be computed of any row.
    pub fn never_fails(&self) -> bool {
        self.value.never_fails() && self.condition.as_ref().is_none_or(TypedExpr::never_fails)
    }

    /// Whether there is a condition.
    pub fn passes_over(&self) -> bool {
        self.condition.is_some()
    }

    /// Which rows satisfy the condition; `None`: there is none. `column`: the values of a column, for each of the rows.
    ///
    /// # Errors
    /// Of a value that the condition cannot take.
    pub fn satisfied(
        &self,
        rows: usize,
        column: ColumnOf<'_>,
    ) -> Result<Option<BooleanBuffer>, AnomalyError> {
        let Some(condition) = &self.condition else { return Ok(None) };
        let slots = slots_of(condition, column)?;
        let mask = condition.evaluate_mask(&slots, rows);
        mask.map(Some).map_err(AnomalyError::in_context(CONDITION))
    }

    /// What is judged, one value a row. `column`: the values of a column, for each of the rows.
    ///
    /// # Errors
    /// Of a value that the expression cannot take.
    pub fn values(&self, rows: usize, column: ColumnOf<'_>) -> Result<Float64Array, AnomalyError> {
        let found = self
            .value
            .evaluate_columns(&slots_of(&self.value, column)?, rows)
            .map_err(AnomalyError::in_context(VALUE))?;
        let floats = arrow_cast::cast(&found, &DataType::Float64).map_err(EventError::from)?;
        Ok(floats.as_primitive::<Float64Type>().clone())
    }
}

fn judged_fields(rows: ReportedRows) -> Vec<Field> {
    let mut fields: Vec<Field> = ["value", "expected", "score"]
        .into_iter()
        .map(|name| Field::new(name, DataType::Float64, true))
        .collect();
    if rows == ReportedRows::All {
        fields.push(Field::new("is_anomaly", DataType::Boolean, true));
    }
    fields
}

fn check_number(value: &TypedExpr) -> Result<(), EvalError> {
    let data_type = value.data_type();
    if data_type.is_numeric() {
        return Ok(());
    }
    let expression = expression_text(value.source());
    Err(EvalError::TypeMismatch {
        expected: "an anomaly is one of numbers".into(),
        found: vec![(expression.clone(), data_type.to_string())],
        expression,
    })
}

fn slots_of(expr: &TypedExpr, column: ColumnOf<'_>) -> Result<Vec<ArrayRef>, EventError> {
    let of = |leaf: &Leaf| match leaf {
        Leaf::Column { index, .. } => column(*index),
        _ => unreachable!("validated: it reads columns of the row"),
    };
    expr.leaves().iter().map(of).collect()
}
