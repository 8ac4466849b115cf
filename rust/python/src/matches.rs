//! The result of matching, as Python sees it.

use cepheid_engine as engine;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::ffi::to_schema_pycapsule;

use crate::arrow::{ArrowBatch, stream_capsule};
use crate::error::{NativeError, without_gil};

/// Matches as Arrow; `cepheid.Matches` is built on it.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct MatchTable(pub(crate) engine::MatchTable);

#[pymethods]
impl MatchTable {
    /// The schema as a capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.0.batch().schema_ref().as_ref())?)
    }

    /// The rows as a stream; a requested schema is followed where its types can be cast to.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        stream_capsule(py, self.0.batch(), requested_schema)
    }

    /// Which input rows make up which match.
    fn membership(&self, py: Python<'_>) -> PyResult<ArrowBatch> {
        without_gil(py, || Ok(ArrowBatch(self.0.membership().map_err(NativeError::from)?)))
    }

    /// Matches, empty ones included.
    #[getter]
    fn num_matches(&self) -> usize {
        self.0.num_matches()
    }

    /// Rows of the table.
    #[getter]
    fn num_rows(&self) -> usize {
        self.0.batch().num_rows()
    }

    /// Names of the table's columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.0.batch().schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Name of the strategy that ran.
    #[getter]
    fn strategy(&self) -> &'static str {
        self.0.strategy()
    }
}
