//! The result of matching, as Python sees it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use cepheid_engine as engine;
use cepheid_event::{EventError, Table};
use cepheid_ir::PatternError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyCapsule, PyInt};
use pyo3_arrow::ffi::to_schema_pycapsule;

use crate::arrow::{ArrowBatch, stream_capsule};
use crate::error::{NativeError, without_gil};

/// Columns by this prefix hold what Python predicates gave; Python adds them, and nobody else is to see them.
const PREDICATE_PREFIX: &str = "__cepheid_udf_";

/// Matches as Arrow; `cepheid.Matches` is built on it.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct MatchTable {
    /// What is shown.
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    origin: Origin,
    /// When each row was decided, of what a stream derives.
    times: Option<ScalarBuffer<i64>>,
    /// The table that these are rows of, if several share one, and the first of them.
    part_of: Option<(Arc<Whole>, usize)>,
}

/// A table that rules which report alike share.
struct Whole {
    batch: Arc<RecordBatch>,
    /// It as a `pyarrow.Table`, once somebody has asked for a part of that.
    table: PyOnceLock<Py<PyAny>>,
}

impl Whole {
    fn table<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let read = || {
            let reader = py.import("pyarrow")?.getattr("RecordBatchReader")?;
            let batch = ArrowBatch(RecordBatch::clone(&self.batch));
            Ok::<_, PyErr>(reader.call_method1("from_stream", (batch,))?.call_method0("read_all")?.unbind())
        };
        Ok(self.table.get_or_try_init(py, read)?.bind(py))
    }
}

/// Derived events by topic.
pub(crate) fn outputs(derived: Vec<(String, engine::DerivedTable)>) -> Vec<(String, MatchTable)> {
    let mut last: Option<Arc<Whole>> = None;
    let output = |(topic, mut derived): (String, engine::DerivedTable)| {
        let part_of = derived.part_of.take().map(|(batch, first)| {
            let known = last.take().filter(|whole| Arc::ptr_eq(&whole.batch, &batch));
            let whole = known.unwrap_or_else(|| Arc::new(Whole { batch, table: PyOnceLock::new() }));
            (Arc::clone(last.insert(whole)), first)
        });
        let mut table = MatchTable::from(derived);
        // What is shown may have fewer columns.
        table.part_of = part_of.filter(|(whole, _)| whole.batch.schema_ref() == &table.schema);
        (topic, table)
    };
    derived.into_iter().map(output).collect()
}

/// What the rows are of.
enum Origin {
    /// Matches, all rows being there.
    Table(engine::MatchTable),
    /// Matches in a stream, or late rows: what they are made of, how many they are, and how they were found.
    Stream { rows: RecordBatch, matches: usize, strategies: Vec<engine::Strategy> },
    /// Windows, rows that stand out, or what a processor has given: which rows these are made of is not kept.
    Unkept { strategies: Vec<engine::Strategy> },
}

impl MatchTable {
    fn new(batch: RecordBatch, origin: Origin, times: Option<ScalarBuffer<i64>>) -> Self {
        Self { schema: batch.schema(), batches: vec![batch], origin, times, part_of: None }
    }

    /// What windows say of their rows.
    pub(crate) fn of_windows(windows: &Table) -> Self {
        let origin = Origin::Unkept { strategies: vec![engine::Strategy::Windows] };
        let schema = Arc::clone(windows.schema());
        Self { schema, batches: windows.batches().to_vec(), origin, times: None, part_of: None }
    }

    /// Rows that stand out, or all of them.
    pub(crate) fn of_anomalies(batch: &RecordBatch) -> Self {
        let origin = Origin::Unkept { strategies: vec![engine::Strategy::Anomalies] };
        Self::new(presentable(batch), origin, None)
    }

    /// Derived events of one topic, call after call, as one table: matches are numbered on.
    pub(crate) fn concat(parts: &[&Self]) -> Result<Self, NativeError> {
        let Some(first) = parts.first() else { return Err(NativeError::Broken) };
        let batches = parts.iter().flat_map(|part| &part.batches);
        let batch = concat_batches(&first.schema, batches).map_err(EventError::from)?;
        let mut memberships = vec![];
        let mut strategies: Vec<engine::Strategy> = vec![];
        let mut before = 0;
        for part in parts {
            let of_part = match &part.origin {
                Origin::Table(_) => return Err(NativeError::Broken),
                Origin::Stream { rows, matches, strategies } => {
                    memberships.push(numbered_on(rows, before)?);
                    before += matches;
                    strategies
                }
                Origin::Unkept { strategies } => strategies,
            };
            strategies
                .extend(of_part.iter().filter(|strategy| !strategies.contains(strategy)).collect::<Vec<_>>());
        }
        let origin = match memberships.first() {
            Some(first) => {
                let rows = concat_batches(first.schema_ref(), &memberships).map_err(EventError::from)?;
                Origin::Stream { rows, matches: before, strategies }
            }
            None => Origin::Unkept { strategies },
        };
        Ok(Self::new(batch, origin, None))
    }
}

impl From<engine::MatchTable> for MatchTable {
    fn from(matches: engine::MatchTable) -> Self {
        Self::new(presentable(matches.batch()), Origin::Table(matches), None)
    }
}

impl From<engine::DerivedTable> for MatchTable {
    fn from(derived: engine::DerivedTable) -> Self {
        let origin = match derived.membership {
            Some(rows) => Origin::Stream { rows, matches: derived.matches, strategies: derived.strategies },
            None => Origin::Unkept { strategies: derived.strategies },
        };
        Self::new(presentable(&derived.batch), origin, derived.times)
    }
}

fn not_kept(py: Python<'_>, problem: &str) -> PyResult<ArrowBatch> {
    without_gil(py, || {
        let (context, problem) = ("Matches.rows".into(), problem.into());
        Err(NativeError::from(PatternError::InvalidExpression { context, problem }))
    })
}

/// Without the columns of Python predicates, which rows have that are shown as they were pushed.
fn presentable(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema_ref();
    let shown = |column: &usize| !schema.field(*column).name().starts_with(PREDICATE_PREFIX);
    let columns: Vec<usize> = (0..schema.fields().len()).filter(shown).collect();
    if columns.len() == schema.fields().len() {
        return batch.clone();
    }
    batch.project(&columns).expect("the columns are the batch's own")
}

/// Derived events of one topic, call after call, as one table: matches are numbered on.
#[pyfunction]
pub(crate) fn concat_matches(py: Python<'_>, tables: Vec<PyRef<'_, MatchTable>>) -> PyResult<MatchTable> {
    let parts: Vec<&MatchTable> = tables.iter().map(|table| &**table).collect();
    without_gil(py, || MatchTable::concat(&parts))
}

/// Membership with matches numbered from another number on.
fn numbered_on(rows: &RecordBatch, first: usize) -> Result<RecordBatch, NativeError> {
    let place = rows.schema_ref().index_of("match").map_err(EventError::from)?;
    let matches = rows.column(place).as_primitive::<Int64Type>();
    let numbered: Int64Array = matches.unary(|number| number + first as i64);
    let mut columns = rows.columns().to_vec();
    columns[place] = Arc::new(numbered);
    Ok(RecordBatch::try_new(rows.schema(), columns).map_err(EventError::from)?)
}

#[pymethods]
impl MatchTable {
    /// The schema as a capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.schema.as_ref())?)
    }

    /// The rows as a stream; a requested schema is followed where its types can be cast to.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        stream_capsule(py, &self.schema, &self.batches, requested_schema)
    }

    /// The rows as a `pyarrow.Table`, cut out of one that several share; None: there is none.
    fn part<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some((whole, first)) = &self.part_of else { return Ok(None) };
        whole.table(py)?.call_method1("slice", (*first, self.num_rows())).map(Some)
    }

    /// Which input rows make up which match.
    fn membership(&self, py: Python<'_>) -> PyResult<ArrowBatch> {
        match &self.origin {
            Origin::Table(matches) => {
                without_gil(py, || Ok(ArrowBatch(matches.membership().map_err(NativeError::from)?)))
            }
            Origin::Stream { rows, .. } => Ok(ArrowBatch(rows.clone())),
            Origin::Unkept { strategies } => not_kept(
                py,
                match strategies.as_slice() {
                    [engine::Strategy::Windows] => {
                        "which rows a window is made of is not kept; its columns say what it covers"
                    }
                    [engine::Strategy::Anomalies] => {
                        "an anomaly is one row; its columns say which, and not what it was compared with"
                    }
                    _ => "which rows it is made of is kept of a match alone, not of what a processor gives",
                },
            ),
        }
    }

    /// When each row was decided, in nanoseconds since 1970.
    fn times(&self) -> Option<ArrowBatch> {
        let times: ArrayRef = Arc::new(Int64Array::new(self.times.clone()?, None));
        Some(ArrowBatch(RecordBatch::try_from_iter([("time", times)]).expect("one column")))
    }

    /// Matches, empty ones included.
    #[getter]
    fn num_matches(&self) -> usize {
        match &self.origin {
            Origin::Table(matches) => matches.num_matches(),
            // A late row counts as an event of its topic.
            Origin::Stream { matches: 0, .. } | Origin::Unkept { .. } => self.num_rows(),
            Origin::Stream { matches, .. } => *matches,
        }
    }

    /// Rows of the table.
    #[getter]
    fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Names of the table's columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Names of the strategies that ran, one but for the events of several rules.
    #[getter]
    fn strategy(&self) -> String {
        match &self.origin {
            Origin::Table(matches) => matches.strategy().to_owned(),
            Origin::Stream { strategies, .. } | Origin::Unkept { strategies } => {
                strategies.iter().map(|strategy| strategy.name()).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Matches that are not built yet; `cepheid.Matches` builds them when they are asked for.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct CompactMatches(pub(crate) engine::CompactMatches);

#[pymethods]
impl CompactMatches {
    /// How many there are.
    fn count<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let counted = without_gil(py, || Ok(self.0.count()?.to_bytes_le()))?;
        integer(py, &counted)
    }

    /// The first of them.
    fn head(&self, py: Python<'_>, most: usize) -> PyResult<MatchTable> {
        without_gil(py, || Ok(self.0.head(most)?.into()))
    }

    /// All of them.
    fn build(&self, py: Python<'_>) -> PyResult<MatchTable> {
        without_gil(py, || Ok(self.0.build()?.into()))
    }
}

/// A Python integer, which may be of any size, of the bytes of a count, the least significant first.
pub(crate) fn integer<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    py.get_type::<PyInt>().call_method1("from_bytes", (PyBytes::new(py, bytes), "little"))
}
