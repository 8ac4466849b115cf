//! A Python function of whole batches as a rule.

use std::sync::Arc;

use arrow_array::RecordBatch;
use cepheid_engine::{self as engine, Fault, Process};
use cepheid_event::EventError;
use pyo3::prelude::*;

use crate::arrow::{ArrowBatch, ArrowInput};
use crate::error::raised;

/// A function and its topics; `cepheid.Processor` keeps one.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Processor(pub(crate) engine::Processor);

#[pymethods]
impl Processor {
    /// `function` takes a batch and gives a table in Arrow form, or None.
    #[new]
    fn new(function: Py<PyAny>, name: String, topic: String, emit: Option<String>) -> Self {
        let function = Arc::new(Function(function));
        Self(engine::Processor { name: Some(name), topic, emit, function })
    }
}

#[derive(Debug)]
struct Function(Py<PyAny>);

impl Process for Function {
    fn process(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>, Fault> {
        Python::attach(|py| self.call(py, rows)).map_err(|error| Fault(Arc::new(error)))
    }
}

impl Function {
    fn call(&self, py: Python<'_>, rows: &RecordBatch) -> PyResult<Option<RecordBatch>> {
        let given: Option<ArrowInput> = self.0.bind(py).call1((ArrowBatch(rows.clone()),))?.extract()?;
        let Some(given) = given else { return Ok(None) };
        let table = given.read().map_err(|error| raised(py, error))?;
        let batch = arrow_select::concat::concat_batches(table.schema(), table.batches());
        batch.map(Some).map_err(|error| raised(py, EventError::from(error).into()))
    }
}
