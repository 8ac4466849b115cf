//! An anomaly rule that has passed validation, ready for tables.

use cepheid_engine as engine;
use cepheid_ir as ir;
use pyo3::prelude::*;

use crate::arrow::ArrowInput;
use crate::error::without_gil;
use crate::matches::MatchTable;
use crate::pattern::options;

/// A validated rule in its normal spelling; `cepheid.Anomaly` keeps one.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Anomaly(pub(crate) ir::Anomaly);

#[pymethods]
impl Anomaly {
    /// Reads the wire form, validates and normalises it.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || Ok(Self(ir::Anomaly::from_json(text)?)))
    }

    /// The wire form.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(self.0.to_json()))
    }

    /// SHA-256 of the wire form without the name, in hex.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(self.0.fingerprint()))
    }

    /// The rows of one table that stand out; an event time given here comes before its own.
    #[pyo3(signature = (data, *, event_time=None, threads=None))]
    fn detect(
        &self,
        py: Python<'_>,
        data: ArrowInput,
        event_time: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<MatchTable> {
        without_gil(py, || {
            let timed = event_time.as_ref().map(|_| ir::Anomaly { event_time: None, ..self.0.clone() });
            let rule = timed.as_ref().unwrap_or(&self.0);
            let batch = engine::detect_table(rule, &data.read()?, &options(event_time, threads))?;
            Ok(MatchTable::of_anomalies(&batch))
        })
    }
}
