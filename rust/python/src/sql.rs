//! SQL text in and out.

use cepheid_engine as engine;
use cepheid_ir as ir;
use cepheid_sql as sql;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrow::{ArrowInput, ArrowSchema};
use crate::error::without_gil;
use crate::matches::MatchTable;
use crate::pattern::{Pattern, options};

/// A parsed query over the matches of one table.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Query(ir::Query);

#[pymethods]
impl Query {
    /// Reads the text of a query.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || Ok(Self(sql::parse_query(text)?)))
    }

    /// The input table's name, as written.
    #[getter]
    fn table(&self) -> &str {
        &self.0.table
    }

    /// Whether the table's name was quoted.
    #[getter]
    fn table_quoted(&self) -> bool {
        self.0.table_quoted
    }

    /// The query's pattern, without what the outer `SELECT` does with its rows.
    fn pattern(&self) -> Pattern {
        self.0.pattern.clone().into()
    }

    /// The plan in prose; with a schema, types are checked as well.
    #[pyo3(signature = (schema=None))]
    fn explain(&self, py: Python<'_>, schema: Option<ArrowSchema>) -> PyResult<String> {
        without_gil(py, || Ok(engine::explain(&self.0.pattern, schema.as_ref().map(|schema| &*schema.0))?))
    }

    /// Runs the query over its table.
    #[pyo3(signature = (data, *, event_time=None, threads=None))]
    fn run(
        &self,
        py: Python<'_>,
        data: ArrowInput,
        event_time: Option<String>,
        threads: Option<usize>,
    ) -> PyResult<MatchTable> {
        without_gil(py, || {
            Ok(engine::run_query(&self.0, &data.read()?, &options(event_time, threads))?.into())
        })
    }
}

/// Reads an expression of the algebra and gives it as JSON.
#[pyfunction]
pub(crate) fn parse_expression(py: Python<'_>, text: &str, dialect: &str) -> PyResult<String> {
    let dialect = match dialect {
        "algebra_condition" => sql::Dialect::AlgebraCondition,
        "algebra_measure" => sql::Dialect::AlgebraMeasure,
        other => return Err(PyValueError::new_err(format!("`{other}` is no dialect"))),
    };
    without_gil(py, || Ok(ir::expr_to_json(&sql::parse_expression(text, dialect)?)))
}

/// Reads a measure of the algebra; gives it as JSON, and the name that may stand behind it.
#[pyfunction]
pub(crate) fn parse_measure(py: Python<'_>, text: &str) -> PyResult<(String, Option<String>)> {
    without_gil(py, || {
        let (measure, name) = sql::parse_measure(text)?;
        Ok((ir::expr_to_json(&measure), name))
    })
}

/// SQL text of an expression given as JSON.
#[pyfunction]
pub(crate) fn unparse_expression(py: Python<'_>, json: &str) -> PyResult<String> {
    without_gil(py, || Ok(sql::unparse_expr(&ir::expr_from_json(json)?)))
}
