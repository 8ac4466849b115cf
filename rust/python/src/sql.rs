//! SQL text in and out.

use cepheid_engine as engine;
use cepheid_ir as ir;
use cepheid_sql as sql;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrow::{ArrowInput, ArrowSchema};
use crate::error::{NativeError, without_gil};
use crate::matches::MatchTable;
use crate::pattern::{Pattern, options};

/// A parsed query over the matches, or the windows, of one table.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Query(sql::Statement);

#[pymethods]
impl Query {
    /// Reads the text of a query.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || Ok(Self(sql::parse_statement(text)?)))
    }

    /// The input table's name, as written.
    #[getter]
    fn table(&self) -> &str {
        match &self.0 {
            sql::Statement::Pattern(query) => &query.table,
            sql::Statement::Window(query) => &query.table,
        }
    }

    /// Whether the table's name was quoted.
    #[getter]
    fn table_quoted(&self) -> bool {
        match &self.0 {
            sql::Statement::Pattern(query) => query.table_quoted,
            sql::Statement::Window(query) => query.table_quoted,
        }
    }

    /// The query's pattern, without what the outer `SELECT` does with its rows; none of windows.
    fn pattern(&self) -> Option<Pattern> {
        match &self.0 {
            sql::Statement::Pattern(query) => Some(query.pattern.clone().into()),
            sql::Statement::Window(_) => None,
        }
    }

    /// The plan in prose; with a schema, types are checked as well.
    #[pyo3(signature = (schema=None))]
    fn explain(&self, py: Python<'_>, schema: Option<ArrowSchema>) -> PyResult<String> {
        let schema = schema.as_ref().map(|schema| &*schema.0);
        without_gil(py, || match &self.0 {
            sql::Statement::Pattern(query) => Ok(engine::explain(&query.pattern, schema)?),
            sql::Statement::Window(_) => Err(NativeError::from(ir::PatternError::InvalidExpression {
                context: "explain".into(),
                problem: "a query of windows has one plan, a pass over its rows".into(),
            })),
        })
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
            let options = options(event_time, threads);
            match &self.0 {
                sql::Statement::Pattern(query) => {
                    Ok(engine::run_query(query, &data.read()?, &options)?.into())
                }
                sql::Statement::Window(query) => {
                    Ok(MatchTable::of_windows(&engine::run_window_query(query, &data.read()?, &options)?))
                }
            }
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
