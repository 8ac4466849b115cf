//! Events one at a time: gathered, and pushed to an engine in small batches.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use cepheid_event::EventError;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString, PyTuple};

use crate::arrow::{ArrowBatch, ArrowSchema};
use crate::error::{NativeError, raised};
use crate::row_columns::{RowColumns, RowError};

/// Takes single events of one topic and pushes them to its engine in small batches: `Engine.pusher` makes it.
///
/// An event waits until `max_rows` of them do, until a call comes `max_delay` or more after the first of them, or until
/// `flush`. Nothing else pushes them: no thread runs behind the scenes, so an error, and what is derived, always comes to
/// a caller. Where events may stop coming, call `poll` now and then.
///
/// A call that raises has not taken its event; those before it wait on. If the engine refuses the events that wait, each
/// call that would push them says so anew, until `take` gives them back.
///
/// A pusher is for one thread at a time.
///
/// Example:
///     >>> import cepheid as cep
///     >>> import pyarrow as pa
///     >>> engine = cep.Engine(cep.event("hot", "heat > 90").named("alarm"))
///     >>> schema = pa.schema({"ts": pa.timestamp("ns"), "oven": pa.string(), "heat": pa.float64()})
///     >>> pusher = engine.pusher(schema=schema, max_rows=2, max_delay=None)
///     >>> pusher.push(1_000, "left", 95.0) is None
///     True
///     >>> len(pusher.push(2_000, "right", 20.0)["alarm"])
///     1
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Pusher {
    rows: Mutex<Rows>,
    /// The columns' names, which dicts are asked for.
    names: Vec<Py<PyString>>,
    max_rows: usize,
    max_delay: Option<Duration>,
    /// Takes a batch, and gives what it derives.
    push_batch: Py<PyAny>,
    /// What nothing derives.
    nothing: Py<PyAny>,
}

struct Rows {
    columns: RowColumns,
    /// Rows that were refused, or could not be pushed yet; they come before those in `columns`.
    refused: Option<RecordBatch>,
    /// When the first of the rows came.
    since: Option<Instant>,
}

impl Rows {
    fn waiting(&self) -> usize {
        self.columns.rows() + self.refused.as_ref().map_or(0, RecordBatch::num_rows)
    }

    /// All rows, of which none are left.
    fn take(&mut self) -> Result<RecordBatch, EventError> {
        let fresh = self.columns.finish()?;
        self.since = None;
        match self.refused.take() {
            None => Ok(fresh),
            Some(refused) => Ok(concat_batches(self.columns.schema(), [&refused, &fresh])?),
        }
    }
}

impl Pusher {
    fn rows(&self) -> PyResult<MutexGuard<'_, Rows>> {
        match self.rows.try_lock() {
            Ok(rows) => Ok(rows),
            Err(TryLockError::Poisoned(poisoned)) => Ok(PoisonError::into_inner(poisoned)),
            Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(
                "the pusher is in the middle of another call; let each thread have one of its own",
            )),
        }
    }

    /// Adds a row and pushes what waits if it is time to.
    fn append<'py>(
        &self,
        py: Python<'py>,
        value: impl Fn(usize) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let mut rows = self.rows()?;
        rows.columns.push(value).map_err(|error| match error {
            RowError::Event(error) => raised(py, NativeError::Event(error)),
            RowError::Python(error) => error,
        })?;
        let full = rows.waiting() >= self.max_rows;
        let due = match (self.max_delay, rows.since) {
            (None, _) => false,
            (Some(delay), Some(since)) => since.elapsed() >= delay,
            (Some(delay), None) => {
                rows.since = Some(Instant::now());
                delay.is_zero()
            }
        };
        if full || due { self.flush_rows(py, &mut rows, 1).map(Some) } else { Ok(None) }
    }

    /// Pushes what waits. `own`: how many of the last rows are of this call, which are forgotten if it fails.
    fn flush_rows(&self, py: Python<'_>, rows: &mut Rows, own: usize) -> PyResult<Py<PyAny>> {
        let since = rows.since;
        let batch = rows.take().map_err(|error| raised(py, NativeError::Event(error)))?;
        if batch.num_rows() == 0 {
            return Ok(self.nothing.clone_ref(py));
        }
        self.push_batch.call1(py, (ArrowBatch(batch.clone()),)).inspect_err(|_| {
            let kept = batch.num_rows() - own;
            rows.refused = (kept > 0).then(|| batch.slice(0, kept));
            rows.since = since.filter(|_| kept > 0);
        })
    }
}

#[pymethods]
impl Pusher {
    /// A pusher of events in the columns of `schema`; `time` is the number of the one that holds event times.
    #[new]
    #[pyo3(signature = (schema, time, push_batch, nothing, *, max_rows, max_delay_ns))]
    fn new(
        py: Python<'_>,
        schema: ArrowSchema,
        time: usize,
        push_batch: Py<PyAny>,
        nothing: Py<PyAny>,
        max_rows: usize,
        max_delay_ns: Option<u64>,
    ) -> PyResult<Self> {
        let names =
            schema.0.fields().iter().map(|field| PyString::intern(py, field.name()).unbind()).collect();
        let columns =
            RowColumns::new(schema.0, time).map_err(|error| raised(py, NativeError::Event(error)))?;
        let rows = Mutex::new(Rows { columns, refused: None, since: None });
        let max_delay = max_delay_ns.map(Duration::from_nanos);
        Ok(Self { rows, names, max_rows, max_delay, push_batch, nothing })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The engine knows its pushers.
        visit.call(&self.push_batch)
    }

    /// Takes one event: the values of its columns, in order.
    ///
    /// A timestamp is a datetime (a naive one is UTC) or a whole number of nanoseconds since 1970, whatever the column's
    /// unit; a span is a timedelta or nanoseconds. None is NULL.
    ///
    /// Returns:
    ///     What the events that were pushed by this call derive; None if the event waits.
    ///
    /// Raises:
    ///     TypeError: There are more or fewer values than columns.
    ///     SchemaError: A value is none of its column's (code ``column-type``). The event has not been taken.
    ///     CepheidError: As for `Engine.push`, of the events that wait. This one has not been taken; the others wait on.
    ///
    /// Example:
    ///     >>> import cepheid as cep
    ///     >>> import pyarrow as pa
    ///     >>> engine = cep.Engine(cep.event("a").named("seen"))
    ///     >>> pusher = engine.pusher(schema=pa.schema({"ts": pa.timestamp("ns")}))
    ///     >>> pusher.push(1)
    ///     >>> len(pusher.flush()["seen"])
    ///     1
    #[pyo3(signature = (*values))]
    fn push(&self, py: Python<'_>, values: &Bound<'_, PyTuple>) -> PyResult<Option<Py<PyAny>>> {
        let count = values.len();
        if count != self.names.len() {
            let names: Vec<String> = self.names.iter().map(ToString::to_string).collect();
            return Err(PyTypeError::new_err(format!(
                "push() takes {} values ({}), not {count}",
                names.len(),
                names.join(", ")
            )));
        }
        self.append(py, |index| values.get_item(index))
    }

    /// Takes one event as a dict of its columns' names and values, all of them.
    ///
    /// Returns:
    ///     As `push`.
    ///
    /// Raises:
    ///     TypeError: It is no mapping.
    ///     SchemaError: A column is missing or unknown (code ``unknown-column``), or as for `push`.
    ///     CepheidError: As for `push`.
    ///
    /// Example:
    ///     >>> import cepheid as cep
    ///     >>> import pyarrow as pa
    ///     >>> engine = cep.Engine(cep.event("a").named("seen"))
    ///     >>> pusher = engine.pusher(schema=pa.schema({"ts": pa.timestamp("ns")}), max_rows=1)
    ///     >>> len(pusher.push_dict({"ts": 1})["seen"])
    ///     1
    fn push_dict(&self, py: Python<'_>, event: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let copied;
        let event = match event.cast_exact::<PyDict>() {
            Ok(event) => event,
            Err(_) => {
                let mapping = event.cast::<PyMapping>().map_err(|_| {
                    PyTypeError::new_err("push_dict() takes an event as a dict of its columns and values")
                })?;
                copied = PyDict::new(py);
                copied.update(mapping)?;
                &copied
            }
        };
        if event.len() != self.names.len() {
            let known: Vec<String> = self.names.iter().map(|name| name.to_string()).collect();
            for name in event.keys() {
                let name = name.str()?.to_string();
                if !known.contains(&name) {
                    return Err(unknown_column(py, name, known));
                }
            }
        }
        self.append(py, |index| match event.get_item(self.names[index].bind(py))? {
            Some(value) => Ok(value),
            None => {
                let given = event.keys().iter().map(|key| key.to_string()).collect();
                Err(unknown_column(py, self.names[index].to_string(), given))
            }
        })
    }

    /// Pushes the events that wait, if the first of them has waited for `max_delay`.
    ///
    /// Returns:
    ///     What they derive; None if they wait on, or none do.
    ///
    /// Raises:
    ///     CepheidError: As for `Engine.push`; the events wait on.
    ///
    /// Example:
    ///     >>> import cepheid as cep
    ///     >>> import pyarrow as pa
    ///     >>> pusher = cep.Engine(cep.event("a")).pusher(schema=pa.schema({"ts": pa.timestamp("ns")}))
    ///     >>> pusher.poll() is None
    ///     True
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut rows = self.rows()?;
        let due = match (self.max_delay, rows.since) {
            (Some(delay), Some(since)) => since.elapsed() >= delay,
            _ => false,
        };
        if due { self.flush_rows(py, &mut rows, 0).map(Some) } else { Ok(None) }
    }

    /// Pushes the events that wait, now.
    ///
    /// Returns:
    ///     What they derive.
    ///
    /// Raises:
    ///     CepheidError: As for `Engine.push`; the events wait on.
    ///
    /// Example:
    ///     >>> import cepheid as cep
    ///     >>> import pyarrow as pa
    ///     >>> pusher = cep.Engine(cep.event("a").named("seen")).pusher(schema=pa.schema({"ts": pa.timestamp("ns")}))
    ///     >>> pusher.push(1)
    ///     >>> pusher.waiting
    ///     1
    ///     >>> pusher.flush()
    ///     Derived: 1 event of 1 topic
    ///       seen  1
    fn flush(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut rows = self.rows()?;
        self.flush_rows(py, &mut rows, 0)
    }

    /// Gives the events that wait back, as a `pyarrow.Table`, and forgets them: the way on after the engine has refused
    /// them.
    ///
    /// Example:
    ///     >>> import cepheid as cep
    ///     >>> import pyarrow as pa
    ///     >>> engine = cep.Engine(cep.event("a"), late="error")
    ///     >>> pusher = engine.pusher(schema=pa.schema({"ts": pa.timestamp("ns")}), max_delay=None)
    ///     >>> _ = pusher.push(9), pusher.push(2)
    ///     >>> try:
    ///     ...     pusher.flush()
    ///     ... except cep.LateEventError as error:
    ///     ...     print(error.row, pusher.take().num_rows, pusher.waiting)
    ///     1 2 0
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut rows = self.rows()?;
        let batch = rows.take().map_err(|error| raised(py, NativeError::Event(error)))?;
        let given = ArrowBatch(rows.columns.as_declared(&batch).unwrap_or_else(|| batch.clone()));
        match py.import("pyarrow").and_then(|pyarrow| pyarrow.call_method1("table", (given,))) {
            Ok(table) => Ok(table),
            Err(error) => {
                rows.refused = Some(batch);
                Err(error)
            }
        }
    }

    /// How many events wait.
    ///
    /// Example:
    ///     >>> import cepheid as cep
    ///     >>> import pyarrow as pa
    ///     >>> cep.Engine(cep.event("a")).pusher(schema=pa.schema({"ts": pa.timestamp("ns")})).waiting
    ///     0
    #[getter]
    fn waiting(&self) -> PyResult<usize> {
        Ok(self.rows()?.waiting())
    }

    /// The columns, in the order in which `push` takes their values.
    ///
    /// Example:
    ///     >>> import cepheid as cep
    ///     >>> import pyarrow as pa
    ///     >>> cep.Engine(cep.event("a")).pusher(schema=pa.schema({"ts": pa.timestamp("ns")})).columns
    ///     ('ts',)
    #[getter]
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let rows = self.rows()?;
        PyTuple::new(py, rows.columns.schema().fields().iter().map(|field| field.name()))
    }

    fn __repr__(&self) -> PyResult<String> {
        let rows = self.rows()?;
        let fields = rows.columns.schema().fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        Ok(format!("<Pusher of {}: {} waiting>", names.join(", "), rows.waiting()))
    }
}

fn unknown_column(py: Python<'_>, name: String, known: Vec<String>) -> PyErr {
    raised(py, NativeError::Event(EventError::UnknownColumn { name, hint: None, known }))
}
