//! CloudEvents SQL: expressions, of one event and over tables.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::{DataType, Field, Schema};
use arrow_select::filter::filter_record_batch;
use cepheid_cesql::{Attributes, Expression, Filter, Kind, ParseError, Reading, Value, float, parse, whole};
use pyo3::prelude::*;

use crate::arrow::{ArrowBatch, ArrowInput};
use crate::error::{NativeError, without_gil};

/// An expression of CloudEvents SQL: what it says of one event, and which rows of a table it selects.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct CesqlFilter {
    expression: Expression,
    filter: Filter,
}

/// The value of an attribute as Python gives it. In this order: a truth is a number, too.
#[derive(FromPyObject)]
enum Given {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    String(String),
    Unsupported((String,)),
}

/// A value for Python.
#[derive(IntoPyObject)]
enum Taken {
    Boolean(bool),
    Integer(i32),
    String(String),
}

#[pymethods]
impl CesqlFilter {
    /// Reads a text.
    #[new]
    fn new(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || {
            let expression = parse(text)?;
            Ok(Self { filter: Filter::new(&expression), expression })
        })
    }

    /// The attributes that it names, in lower case, each once, in order of appearance.
    #[getter]
    fn attributes(&self) -> Vec<String> {
        self.expression.attributes().to_vec()
    }

    /// Functions that it calls and that do not exist, and with how many arguments.
    #[getter]
    fn missing_functions(&self) -> Vec<(String, usize)> {
        self.expression.missing_functions()
    }

    /// The type of its value in lower case; none where that depends on the event.
    #[getter]
    fn result_type(&self) -> Option<&'static str> {
        self.expression.kind().map(|kind| match kind {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
        })
    }

    /// The value, and kinds and messages of the errors. `event` has a value for each attribute.
    #[pyo3(signature = (event, /))]
    fn evaluate(&self, event: Vec<Option<Given>>) -> (Taken, Vec<(&'static str, String)>) {
        let event = Event(event);
        let evaluation = self.expression.evaluate(&event);
        let value = match evaluation.value {
            Value::Boolean(truth) => Taken::Boolean(truth),
            Value::Integer(number) => Taken::Integer(number),
            Value::String(text) => Taken::String(text.into_owned()),
        };
        let errors = evaluation.errors.into_iter().map(|error| (error.kind.name(), error.message));
        (value, errors.collect())
    }

    /// A column `selected` of truths, one for each row, and in how many the evaluation met an error.
    #[pyo3(signature = (data, /))]
    fn mask(&self, py: Python<'_>, data: ArrowInput) -> PyResult<(ArrowBatch, u64)> {
        without_gil(py, || {
            let table = data.read()?;
            let mut selected = BooleanBufferBuilder::new(table.num_rows());
            let mut errors = 0;
            for batch in table.batches() {
                let mask = self.filter.mask(batch);
                selected.append_buffer(mask.selected.values());
                errors += mask.errors;
            }
            let column = BooleanArray::new(selected.finish(), None);
            let schema = Schema::new(vec![Field::new("selected", DataType::Boolean, false)]);
            let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column)]);
            Ok((ArrowBatch(batch.map_err(|error| NativeError::Event(error.into()))?), errors))
        })
    }

    /// The rows that are selected, batch by batch; batches without any are left out.
    #[pyo3(signature = (data, /))]
    fn filter(&self, py: Python<'_>, data: ArrowInput) -> PyResult<Vec<ArrowBatch>> {
        without_gil(py, || {
            let table = data.read()?;
            let mut kept = Vec::new();
            for batch in table.batches() {
                let selected = self.filter.mask(batch).selected;
                if selected.has_true() {
                    let rows = filter_record_batch(batch, &selected);
                    kept.push(ArrowBatch(rows.map_err(|error| NativeError::Event(error.into()))?));
                }
            }
            Ok(kept)
        })
    }
}

/// An event as its values, one for each attribute of the expression.
struct Event(Vec<Option<Given>>);

impl Attributes for Event {
    fn read(&self, place: usize) -> Reading<'_> {
        match self.0.get(place) {
            None | Some(None) => Reading::Missing,
            Some(Some(given)) => match given {
                Given::Boolean(truth) => Reading::Value(Value::Boolean(*truth)),
                Given::Integer(number) => Reading::Value(whole(*number)),
                Given::Float(number) => Reading::Value(Value::String(float(*number).into())),
                Given::String(text) => Reading::Value(Value::String(text.into())),
                Given::Unsupported((what,)) => Reading::Unsupported(what),
            },
        }
    }
}

impl From<ParseError> for NativeError {
    fn from(error: ParseError) -> Self {
        Self::Cesql(error)
    }
}
