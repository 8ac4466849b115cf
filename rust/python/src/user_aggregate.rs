//! A monoid written in Python.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema};
use cepheid_engine::{self as engine, Fault};
use cepheid_event::EventError;
use pyo3::prelude::*;

use crate::arrow::{ArrowBatch, ArrowInput, ArrowSchema};
use crate::error::raised;

/// What `cepheid.UserAggregate` hands to windows.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct UserAggregate(pub(crate) Arc<dyn engine::UserAggregate>);

#[pymethods]
impl UserAggregate {
    /// `function` takes the name of a step (`lift`, `combine`, `finish`) and a batch of its arguments, and gives a table of one
    /// column; `states`: a schema whose only column has the type of states.
    #[new]
    fn new(function: Py<PyAny>, states: ArrowSchema) -> Self {
        let state_type = states.0.field(0).data_type().clone();
        Self(Arc::new(Function { function, state_type }))
    }
}

#[derive(Debug)]
struct Function {
    function: Py<PyAny>,
    state_type: DataType,
}

impl Function {
    fn ask(&self, step: &str, args: &[&ArrayRef]) -> Result<ArrayRef, Fault> {
        Python::attach(|py| self.call(py, step, args)).map_err(|error| Fault(Arc::new(error)))
    }

    fn call(&self, py: Python<'_>, step: &str, args: &[&ArrayRef]) -> PyResult<ArrayRef> {
        let refused = |error: EventError| raised(py, error.into());
        let field =
            |(place, arg): (usize, &&ArrayRef)| Field::new(place.to_string(), arg.data_type().clone(), true);
        let schema = Schema::new(args.iter().enumerate().map(field).collect::<Vec<_>>());
        let options = RecordBatchOptions::new().with_row_count(Some(args[0].len()));
        let columns = args.iter().map(|arg| Arc::clone(arg)).collect();
        let batch = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options);
        let batch = batch.map_err(|error| refused(error.into()))?;
        let given: ArrowInput = self.function.bind(py).call1((step, ArrowBatch(batch)))?.extract()?;
        let table = given.read().map_err(|error| raised(py, error))?;
        let pieces: Vec<&dyn Array> = table.batches().iter().map(|batch| &**batch.column(0)).collect();
        if pieces.is_empty() {
            return Ok(arrow_array::new_empty_array(table.schema().field(0).data_type()));
        }
        arrow_select::concat::concat(&pieces).map_err(|error| refused(error.into()))
    }
}

impl engine::UserAggregate for Function {
    fn state_type(&self) -> &DataType {
        &self.state_type
    }

    fn lift(&self, args: &[ArrayRef]) -> Result<ArrayRef, Fault> {
        self.ask("lift", &args.iter().collect::<Vec<_>>())
    }

    fn join(&self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef, Fault> {
        self.ask("combine", &[left, right])
    }

    fn finish(&self, states: &ArrayRef) -> Result<ArrayRef, Fault> {
        self.ask("finish", &[states])
    }
}
