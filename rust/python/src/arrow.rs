//! Arrow through the capsule protocol, both ways, buffers shared.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use cepheid_event::Table;
use pyo3::Borrowed;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::PySchema;
use pyo3_arrow::ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule};
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::{NativeError, unsupported_input};

/// An argument with `__arrow_c_stream__` or `__arrow_c_array__`, not read yet.
pub(crate) struct ArrowInput(AnyRecordBatch);

impl<'py> FromPyObject<'_, 'py> for ArrowInput {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract() {
            Ok(any) => Ok(Self(any)),
            // What the object's own export raised is the better message.
            Err(error) => Err(unsupported_input(object.py(), &object, &error)),
        }
    }
}

impl ArrowInput {
    /// Reads every batch. To be called without the GIL: a stream may run a query whose threads wait for it.
    pub(crate) fn read(self) -> Result<Table, NativeError> {
        let reader = self.0.into_reader().map_err(NativeError::Python)?;
        let schema = reader.schema();
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(stream_error)?;
        Ok(Table::new(schema, batches)?)
    }
}

/// A stream written in Python passes its exception through Arrow: hand that on as it is.
fn stream_error(error: ArrowError) -> NativeError {
    match error {
        ArrowError::ExternalError(source) => match source.downcast::<PyErr>() {
            Ok(raised) => NativeError::Python(*raised),
            Err(source) => NativeError::Event(ArrowError::ExternalError(source).into()),
        },
        other => NativeError::Event(other.into()),
    }
}

/// An argument with `__arrow_c_schema__`.
pub(crate) struct ArrowSchema(pub(crate) SchemaRef);

impl<'py> FromPyObject<'_, 'py> for ArrowSchema {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<PySchema>() {
            Ok(schema) => Ok(Self(schema.into_inner())),
            Err(error) => Err(unsupported_input(object.py(), &object, &error)),
        }
    }
}

/// One record batch, for any Arrow library to read.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct ArrowBatch(pub(crate) RecordBatch);

#[pymethods]
impl ArrowBatch {
    /// The schema as a capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.0.schema_ref().as_ref())?)
    }

    /// The batch as a stream of one; a requested schema is followed where its types can be cast to.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        stream_capsule(py, self.0.schema_ref(), std::slice::from_ref(&self.0), requested_schema)
    }
}

/// A batch as a capsule that holds a stream of one batch.
pub(crate) fn stream_capsule<'py>(
    py: Python<'py>,
    schema: &Schema,
    batches: &[RecordBatch],
    requested_schema: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let field =
        Field::new_struct("", schema.fields().clone(), false).with_metadata(schema.metadata().clone());
    let arrays: Vec<_> = batches
        .iter()
        .map(|batch| Ok(Arc::new(StructArray::from(batch.clone())) as Arc<dyn Array>))
        .collect();
    let reader = ArrayIterator::new(arrays.into_iter(), Arc::new(field));
    Ok(to_stream_pycapsule(py, Box::new(reader), requested_schema)?)
}
