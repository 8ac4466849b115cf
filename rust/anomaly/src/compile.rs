//! An anomaly rule compiled against a schema.

use std::sync::Arc;

use arrow_array::Float64Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_eval::{ColumnOf, EvalError, RowSource, RuleError, TypedExpr, expression_text};
use cepheid_event::EventError;
use cepheid_ir::{Anomaly, AnomalyMethod, PatternError, ReportedRows};

const VALUE: &str = "the value of the rule";

/// See the module. Immutable and shareable.
#[derive(Debug)]
pub struct DetectorPlan {
    row_source: RowSource,
    value: TypedExpr,
    method: AnomalyMethod,
    rows: ReportedRows,
    output: SchemaRef,
}

impl DetectorPlan {
    /// Compiles a rule that has been validated and normalised. `event_time`: the column that rows are ordered by.
    ///
    /// # Errors
    /// [`RuleError`]: a column that there is not, types that do not fit, a column of the key or the event time with the name of
    /// one that is reported beside it.
    pub fn compile(rule: &Anomaly, schema: &SchemaRef, event_time: usize) -> Result<Self, RuleError> {
        let (keys, condition) = (&rule.partition_by, rule.condition.as_ref());
        let row_source = RowSource::compile("the rule", keys, condition, schema, event_time)?;
        let value =
            TypedExpr::compile(&rule.value, schema).map_err(RuleError::in_context(|| VALUE.into()))?;
        check_number(&value).map_err(RuleError::in_context(|| VALUE.into()))?;
        let mut fields: Vec<Field> =
            row_source.key_fields().chain([row_source.time_field().clone()]).collect();
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
            row_source,
            value,
            method: rule.method,
            rows: rule.rows,
            output: Arc::new(Schema::new(fields)),
        })
    }

    /// Which rows it is about.
    pub fn row_source(&self) -> &RowSource {
        &self.row_source
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
        self.value.never_fails() && self.row_source.never_fails()
    }

    /// What is judged, one value a row. `column`: the values of a column, for each of the rows.
    ///
    /// # Errors
    /// Of a value that the expression cannot take.
    pub fn values(&self, rows: usize, column: ColumnOf<'_>) -> Result<Float64Array, RuleError> {
        let found = self
            .value
            .evaluate_columns(&self.value.slots(column)?, rows)
            .map_err(RuleError::in_context(|| VALUE.into()))?;
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
