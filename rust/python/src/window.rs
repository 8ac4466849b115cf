//! A window that has passed validation, ready for tables.

use std::sync::Arc;

use cepheid_engine as engine;
use cepheid_ir as ir;
use pyo3::prelude::*;

use crate::arrow::ArrowInput;
use crate::error::without_gil;
use crate::matches::MatchTable;
use crate::pattern::options;
use crate::user_aggregate::UserAggregate;

/// A validated window in its normal spelling; `cepheid.Window` keeps one.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Window(pub(crate) engine::AskedWindow);

#[pymethods]
impl Window {
    /// Reads the wire form, validates and normalises it. `aggregates`: those of the user's, by the names that it has for them.
    #[staticmethod]
    #[pyo3(signature = (text, aggregates=vec![]))]
    fn from_json(
        py: Python<'_>,
        text: &str,
        aggregates: Vec<(String, PyRef<'_, UserAggregate>)>,
    ) -> PyResult<Self> {
        let mut known = engine::UserAggregates::default();
        aggregates.into_iter().for_each(|(name, aggregate)| known.add(name, Arc::clone(&aggregate.0)));
        without_gil(py, || {
            Ok(Self(engine::AskedWindow { window: ir::Window::from_json(text)?, aggregates: known }))
        })
    }

    /// Reads a `SELECT ... FROM TABLE(TUMBLE(...)) ... GROUP BY ...` that does nothing more.
    #[staticmethod]
    fn from_sql(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || {
            let (window, aggregates) = (cepheid_sql::parse_window(text)?, engine::UserAggregates::default());
            Ok(Self(engine::AskedWindow { window, aggregates }))
        })
    }

    /// The wire form.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(self.0.window.to_json()))
    }

    /// SHA-256 of the wire form without the name, in hex.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(self.0.window.fingerprint()))
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
            let engine::AskedWindow { window, aggregates } = &self.0;
            let timed = event_time.as_ref().map(|_| ir::Window { event_time: None, ..window.clone() });
            let window = timed.as_ref().unwrap_or(window);
            let options = options(event_time, threads);
            let windows = engine::aggregate_table_with(window, aggregates, &data.read()?, &options)?;
            Ok(MatchTable::of_windows(&windows))
        })
    }
}
