//! A pattern that has passed validation, ready to be matched.

use std::num::NonZeroUsize;

use cepheid_engine::{self as engine, MatchOptions, Matched};
use cepheid_ir as ir;
use pyo3::prelude::*;

use crate::arrow::{ArrowInput, ArrowSchema};
use crate::error::{NativeError, interrupted, without_gil};
use crate::matches::{CompactMatches, MatchTable, integer};

/// A validated pattern in its normal spelling; `cepheid.Pattern` keeps one.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Pattern(pub(crate) engine::PreparedPattern);

#[pymethods]
impl Pattern {
    /// Reads the wire form, validates and normalises it.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || Ok(ir::Pattern::from_json(text)?.into()))
    }

    /// Reads a `SELECT` or a bare `MATCH_RECOGNIZE` clause.
    #[staticmethod]
    fn from_sql(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || Ok(cepheid_sql::parse_pattern(text)?.into()))
    }

    /// The wire form.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(self.0.to_json()))
    }

    /// A `MATCH_RECOGNIZE` clause of the same meaning, if there is one.
    fn to_sql(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(cepheid_sql::pattern_to_sql(&self.0)?))
    }

    /// SHA-256 of the wire form without the name, in hex.
    fn fingerprint(&self, py: Python<'_>) -> PyResult<String> {
        without_gil(py, || Ok(self.0.fingerprint()))
    }

    /// The plan in prose; with a schema, types are checked as well.
    #[pyo3(signature = (schema=None))]
    fn explain(&self, py: Python<'_>, schema: Option<ArrowSchema>) -> PyResult<String> {
        without_gil(py, || Ok(engine::explain(&self.0, schema.as_ref().map(|schema| &*schema.0))?))
    }

    /// Matches one table.
    #[pyo3(name = "match_table", signature = (data, *, event_time=None, threads=None))]
    fn match_table(
        &self,
        py: Python<'_>,
        data: ArrowInput,
        event_time: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<MatchTable> {
        without_gil(py, || {
            Ok(engine::match_table(&self.0, &data.read()?, &options(event_time, threads))?.into())
        })
    }

    /// Matches one table; where there are very many matches they are not built yet.
    #[pyo3(signature = (data, *, event_time=None, threads=None))]
    fn match_compactly<'py>(
        &self,
        py: Python<'py>,
        data: ArrowInput,
        event_time: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let matched = without_gil(py, || {
            Ok(engine::match_compactly(&self.0, &data.read()?, &options(event_time, threads))?)
        })?;
        match matched {
            Matched::Built(matches) => Ok(Bound::new(py, MatchTable::from(*matches))?.into_any()),
            Matched::Compact(matches) => Ok(Bound::new(py, CompactMatches(*matches))?.into_any()),
        }
    }

    /// Matches one table; gives the matches, and by topic whatever else is derived.
    #[pyo3(signature = (data, rule, *, event_time=None, threads=None))]
    fn match_outputs(
        &self,
        py: Python<'_>,
        data: ArrowInput,
        rule: &str,
        event_time: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<(MatchTable, Vec<(String, MatchTable)>)> {
        without_gil(py, || {
            Ok(outputs(engine::match_outputs(&self.0, rule, &data.read()?, &options(event_time, threads))?))
        })
    }

    /// Matches the tables of several topics; gives the matches, and by topic whatever else is derived.
    #[pyo3(signature = (data, rule, event_time, *, threads=None))]
    fn match_topics(
        &self,
        py: Python<'_>,
        data: Vec<(String, ArrowInput)>,
        rule: &str,
        event_time: &str,
        threads: Option<usize>,
    ) -> PyResult<(MatchTable, Vec<(String, MatchTable)>)> {
        without_gil(py, || {
            let read = |(topic, table): (String, ArrowInput)| Ok((topic, table.read()?));
            let tables: Vec<_> = data.into_iter().map(read).collect::<Result<_, NativeError>>()?;
            Ok(outputs(engine::match_topics(&self.0, rule, &tables, event_time, threads, Some(interrupted))?))
        })
    }

    /// The number of matches.
    #[pyo3(signature = (data, *, event_time=None, threads=None))]
    fn count<'py>(
        &self,
        py: Python<'py>,
        data: ArrowInput,
        event_time: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let counted = without_gil(py, || {
            Ok(engine::count_matches(&self.0, &data.read()?, &options(event_time, threads))?.to_bytes_le())
        })?;
        integer(py, &counted)
    }

    /// Whether there is a match.
    #[pyo3(signature = (data, *, event_time=None, threads=None))]
    fn exists(
        &self,
        py: Python<'_>,
        data: ArrowInput,
        event_time: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<bool> {
        without_gil(py, || Ok(engine::exists_match(&self.0, &data.read()?, &options(event_time, threads))?))
    }
}

/// Reads an expression from JSON and writes it back, so that only what the engine can read gets into one.
#[pyfunction]
pub(crate) fn check_expression(py: Python<'_>, json: &str) -> PyResult<String> {
    without_gil(py, || Ok(ir::expr_to_json(&ir::expr_from_json(json)?)))
}

fn outputs<M: Into<MatchTable>>(
    (matches, others): engine::TopicOutputs<M>,
) -> (MatchTable, Vec<(String, MatchTable)>) {
    (matches.into(), others.into_iter().map(|(topic, derived)| (topic, derived.into())).collect())
}

pub(crate) fn options(event_time: Option<String>, threads: Option<usize>) -> MatchOptions {
    MatchOptions {
        event_time,
        threads: threads.and_then(NonZeroUsize::new),
        interrupted: Some(interrupted),
        ..MatchOptions::default()
    }
}

impl From<ir::Pattern> for Pattern {
    fn from(pattern: ir::Pattern) -> Self {
        Self(pattern.into())
    }
}

impl From<ir::PatternError> for NativeError {
    fn from(error: ir::PatternError) -> Self {
        Self::Pattern(error)
    }
}
