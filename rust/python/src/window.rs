//! A window that has passed validation, ready for tables.

use cepheid_engine as engine;
use cepheid_ir as ir;
use pyo3::prelude::*;

use crate::arrow::ArrowInput;
use crate::error::without_gil;
use crate::matches::MatchTable;
use crate::pattern::options;

/// A validated window in its normal spelling; `cepheid.Window` keeps one.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Window(pub(crate) ir::Window);

#[pymethods]
impl Window {
    /// Reads the wire form, validates and normalises it.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || Ok(Self(ir::Window::from_json(text)?)))
    }

    /// Reads a `SELECT ... FROM TABLE(TUMBLE(...)) ... GROUP BY ...` that does nothing more.
    #[staticmethod]
    fn from_sql(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || Ok(Self(cepheid_sql::parse_window(text)?)))
    }

    /// The wire form.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(self.0.to_json()))
    }

    /// SHA-256 of the wire form without the name, in hex.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(self.0.fingerprint()))
    }

    /// What it says of the rows of one table; an event time given here comes before its own.
    #[pyo3(signature = (data, *, event_time=None, threads=None))]
    fn aggregate(
        &self,
        py: Python<'_>,
        data: ArrowInput,
        event_time: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<MatchTable> {
        without_gil(py, || {
            let timed = event_time.as_ref().map(|_| ir::Window { event_time: None, ..self.0.clone() });
            let window = timed.as_ref().unwrap_or(&self.0);
            let batch = engine::aggregate_table(window, &data.read()?, &options(event_time, threads))?;
            Ok(MatchTable::of_windows(batch))
        })
    }
}
