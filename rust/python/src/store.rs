//! The event store, as Python sees it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::{ArrowError, Field, SchemaRef};
use cepheid_event::Table;
use cepheid_store::{self as store, LogOptions, Query, StoreError, TopicPattern, Transaction};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyIterator};
use pyo3_arrow::ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule};

use crate::arrow::{ArrowBatch, ArrowInput};
use crate::error::{NativeError, without_gil};
use crate::handle::Handle;
use crate::stored_reader::StoredReader;

/// Where appended events are: first position, events, first row of the topic, version of the stream, whether repeated.
type Position = (u64, u64, u64, Option<u64>, bool);

fn position(position: store::Position) -> Position {
    let version = position.stream.map(|(_, version)| version);
    (position.first, position.events, position.row, version, position.repeated)
}

/// The writer of a store; `cepheid.EventStore` keeps one.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct EventLog {
    log: Handle<store::EventLog>,
    /// What the time is, where a program says so; the least there is: the system's clock.
    time: Arc<AtomicI64>,
}

impl EventLog {
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&store::EventLog) -> Result<T, StoreError> + Send,
    ) -> PyResult<T> {
        without_gil(py, || {
            let log = self.log.get().ok_or(StoreError::Closed)?;
            Ok(work(&log)?)
        })
    }
}

fn system_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn patterns(topics: &[String]) -> Result<Vec<TopicPattern>, StoreError> {
    topics.iter().map(|topic| TopicPattern::new(topic)).collect()
}

/// A change of a transaction, as Python says it.
#[derive(FromPyObject)]
enum Change {
    Append(String, ArrowInput, Option<String>, Option<u64>, Option<String>),
    /// What kind of change it is; names, and a value.
    Other(String, String, String, Option<Vec<u8>>),
}

fn kind_of(kind: &str) -> Result<&'static str, NativeError> {
    use cepheid_store::transaction::{CURSOR, OFFSET, STATE};
    match kind {
        "state" => Ok(STATE),
        "offset" => Ok(OFFSET),
        "cursor" => Ok(CURSOR),
        other => {
            Err(NativeError::Python(PyValueError::new_err(format!("`{other}` is no kind of saved value"))))
        }
    }
}

impl Change {
    fn put_into(self, transaction: &mut Transaction) -> Result<(), NativeError> {
        match self {
            Self::Append(topic, rows, stream, expected_version, idempotency_key) => {
                let rows = rows.read()?;
                transaction.append(store::Append { topic, rows, stream, expected_version, idempotency_key });
            }
            Self::Other(change, one, other, value) => match (&*change, value) {
                ("save", Some(value)) => transaction.save(kind_of(&one)?, other, value),
                ("forget", None) => transaction.forget(kind_of(&one)?, other),
                ("put", Some(payload)) => transaction.put(one, other, payload),
                ("done", None) => transaction.done(one, other),
                ("rule", None) => transaction.note_rule(&one, (!other.is_empty()).then_some(&*other)),
                (change, _) => {
                    let message = format!("`{change}` is no change of a store");
                    return Err(NativeError::Python(PyValueError::new_err(message)));
                }
            },
        }
        Ok(())
    }
}

#[pymethods]
impl EventLog {
    /// Opens a store to be written; makes it if there is none.
    #[new]
    #[pyo3(signature = (path, *, event_time, author))]
    fn new(py: Python<'_>, path: PathBuf, event_time: Option<String>, author: String) -> PyResult<Self> {
        let time = Arc::new(AtomicI64::new(i64::MIN));
        let said = Arc::clone(&time);
        let clock = Arc::new(move || match said.load(Ordering::Relaxed) {
            i64::MIN => system_time(),
            time => time,
        });
        without_gil(py, || {
            let log = store::EventLog::open(&path, LogOptions { event_time, author, clock })?;
            Ok(Self { log: Handle::new(log), time })
        })
    }

    /// Has the time be one, in nanoseconds since 1970, until it is said anew.
    fn set_time(&self, time_ns: i64) {
        self.time.store(time_ns, Ordering::Relaxed);
    }

    /// Appends rows to a topic.
    #[pyo3(signature = (topic, rows, *, stream, expected_version, idempotency_key))]
    fn append(
        &self,
        py: Python<'_>,
        topic: String,
        rows: ArrowInput,
        stream: Option<String>,
        expected_version: Option<u64>,
        idempotency_key: Option<String>,
    ) -> PyResult<Position> {
        let rows = without_gil(py, || rows.read())?;
        self.call(py, |log| {
            log.append(store::Append { topic, rows, stream, expected_version, idempotency_key }).map(position)
        })
    }

    /// Appends tables that an iterator gives, one after another; `written` is told where those are that are on the disk. An
    /// idempotency key is followed by the number of each, the version that is expected by the events before it.
    #[pyo3(signature = (topic, tables, written, *, stream, expected_version, idempotency_key))]
    #[expect(clippy::too_many_arguments, reason = "as Python says them")]
    fn append_batches(
        &self,
        py: Python<'_>,
        topic: String,
        tables: Py<PyIterator>,
        written: Py<PyAny>,
        stream: Option<String>,
        expected_version: Option<u64>,
        idempotency_key: Option<String>,
    ) -> PyResult<()> {
        // What Python raises ends it; what was given before is appended.
        let raised: Mutex<Option<NativeError>> = Mutex::new(None);
        let raise = |error| {
            raised.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        };
        let has_raised = || raised.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let next_rows = || -> Result<Option<Table>, NativeError> {
            let input = Python::attach(|py| -> PyResult<Option<ArrowInput>> {
                tables.bind(py).clone().next().map(|table| table?.extract()).transpose()
            });
            input.map_err(NativeError::Python)?.map(ArrowInput::read).transpose()
        };
        let (mut number, mut events) = (0_u64, 0_u64);
        self.call(py, |log| {
            let next = || {
                if has_raised() {
                    return None;
                }
                let rows = next_rows().unwrap_or_else(|error| {
                    raise(error);
                    None
                })?;
                let expected_version = expected_version.map(|version| version.saturating_add(events));
                let idempotency_key = idempotency_key.as_ref().map(|key| format!("{key}:{number}"));
                (number, events) = (number + 1, events + rows.num_rows() as u64);
                let (topic, stream) = (topic.clone(), stream.clone());
                Some(store::Append { topic, rows, stream, expected_version, idempotency_key })
            };
            let written = |positions: Vec<store::Position>| {
                let positions: Vec<Position> = positions.into_iter().map(position).collect();
                if let Err(error) = Python::attach(|py| written.call1(py, (positions,))) {
                    raise(NativeError::Python(error));
                }
            };
            log.append_each(next, written)
        })?;
        let raised = raised.into_inner().unwrap_or_else(PoisonError::into_inner);
        raised.map_or(Ok(()), |error| without_gil(py, || Err(error)))
    }

    /// Makes changes together, or none of them.
    fn commit(&self, py: Python<'_>, changes: Vec<Change>) -> PyResult<Vec<Position>> {
        let transaction = without_gil(py, || {
            let mut transaction = Transaction::new();
            for change in changes {
                change.put_into(&mut transaction)?;
            }
            Ok(transaction)
        })?;
        self.call(py, |log| Ok(log.commit(transaction)?.into_iter().map(position).collect()))
    }

    /// Archives the journal; gives files, events and bytes.
    fn seal(&self, py: Python<'_>, topics: Vec<String>, events_min: u64) -> PyResult<(u64, u64, u64)> {
        self.call(py, |log| log.seal(&patterns(&topics)?, events_min).map(sealed))
    }

    /// Puts small segments together; gives files, events and bytes.
    fn compact(&self, py: Python<'_>, topics: Vec<String>) -> PyResult<(u64, u64, u64)> {
        self.call(py, |log| log.compact(&patterns(&topics)?).map(sealed))
    }

    /// Says how long, and how much, of a topic is kept.
    fn keep(
        &self,
        py: Python<'_>,
        topic: &str,
        age_max: Option<u64>,
        bytes_max: Option<u64>,
        keys_age_max: Option<u64>,
    ) -> PyResult<()> {
        self.call(py, |log| log.keep(topic, age_max, bytes_max, keys_age_max))
    }

    /// Removes what is kept no longer; gives events and bytes.
    fn retain(&self, py: Python<'_>, topics: Vec<String>) -> PyResult<(u64, u64)> {
        self.call(py, |log| {
            let removed = log.retain(&patterns(&topics)?)?;
            Ok((removed.events, removed.bytes))
        })
    }

    /// Has columns kept secret from now on.
    fn protect(&self, py: Python<'_>, topic: &str, subject: &str, columns: Vec<String>) -> PyResult<()> {
        self.call(py, |log| log.protect(topic, subject, &columns))
    }

    /// Erases what is protected of a subject; gives how many keys there were.
    fn erase(&self, py: Python<'_>, subject: &str) -> PyResult<u64> {
        self.call(py, |log| log.erase(subject))
    }

    /// Signs the chain as it is now; gives the entry that it is after, and the public key.
    fn sign(&self, py: Python<'_>, secret: [u8; 32]) -> PyResult<(u64, String)> {
        self.call(py, |log| {
            let signature = log.sign(&secret)?;
            Ok((signature.entry, signature.key))
        })
    }

    /// Ends it, once the calls of other threads have; those that come meanwhile find it closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        without_gil(py, || {
            self.log.close();
            Ok(())
        })
    }
}

fn sealed(sealed: store::Sealed) -> (u64, u64, u64) {
    (sealed.segments, sealed.events, sealed.bytes)
}

/// Looks at a store.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct StoreView {
    view: RwLock<Option<Arc<store::StoreView>>>,
}

impl StoreView {
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&store::StoreView) -> Result<T, StoreError> + Send,
    ) -> PyResult<T> {
        without_gil(py, || Ok(work(&*self.open()?)?))
    }

    /// The view, unless it is closed.
    fn open(&self) -> Result<Arc<store::StoreView>, StoreError> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)
    }
}

/// A topic: name, events, removed, archived, segments, bytes archived, bytes in the journal, times, how long and how much is
/// kept and how long keys are, and what is protected.
type Topic = (
    (String, u64, u64, u64, u64, u64, u64),
    Option<(i64, i64)>,
    (Option<u64>, Option<u64>, Option<u64>),
    Option<(String, Vec<String>)>,
);

/// An entry: its number, kind, when, who, what.
type Entry = (u64, String, i64, String, String);

/// Who has appended: who, topic, batches, events, when first, when last.
type Author = (String, String, u64, u64, i64, i64);

/// Events, entries, bytes of the database, the column of the event time, the chain's last hash, and topics.
type Info = (u64, u64, u64, String, Vec<u8>, Vec<Topic>);

/// Entry, position and reason.
type Fault = (Option<u64>, Option<u64>, String);

/// Entries, events, removed, segments, signatures, and the first fault.
type Verified = (u64, u64, u64, u64, Vec<(u64, String)>, Option<Fault>);

#[pymethods]
impl StoreView {
    /// Opens a store to look at it.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        without_gil(py, || Ok(Self { view: RwLock::new(Some(Arc::new(store::StoreView::open(&path)?))) }))
    }

    /// What events are asked for. A condition is an expression as JSON.
    #[pyo3(signature = (topics, *, stream, positions, rows, times, condition, columns, metadata, limit, missing))]
    #[allow(clippy::too_many_arguments, reason = "keywords, of which each is one part of a query")]
    fn read(
        &self,
        py: Python<'_>,
        topics: Vec<String>,
        stream: Option<String>,
        positions: (Option<u64>, Option<u64>),
        rows: (Option<u64>, Option<u64>),
        times: (Option<i64>, Option<i64>),
        condition: Option<&str>,
        columns: Option<Vec<String>>,
        metadata: bool,
        limit: Option<u64>,
        missing: bool,
    ) -> PyResult<StoredEvents> {
        let condition = condition.map(cepheid_ir::expr_from_json).transpose();
        without_gil(py, || {
            let view = self.open()?;
            let mut query = Query {
                topics: patterns(&topics)?,
                stream,
                positions,
                rows,
                times,
                condition: condition.map_err(NativeError::Pattern)?,
                columns,
                metadata,
                limit,
                missing,
                mattering: vec![],
            };
            let (schema, end) = view.planned(&query)?;
            // It is read later, and perhaps twice: what is appended meanwhile is not part of it.
            query.positions.1 = Some(query.positions.1.map_or(end, |to| to.min(end)));
            Ok(StoredEvents { schema, connections: Arc::clone(view.connections()), query })
        })
    }

    /// The value that is saved under a name.
    fn value<'py>(&self, py: Python<'py>, kind: &str, name: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let value = self.call(py, |view| view.value(kind, name))?;
        Ok(value.map(|value| PyBytes::new(py, &value)))
    }

    /// Names of a kind under which something is saved.
    fn names(&self, py: Python<'_>, kind: &str) -> PyResult<Vec<String>> {
        self.call(py, |view| view.names(kind))
    }

    /// What waits in a queue.
    fn waiting<'py>(
        &self,
        py: Python<'py>,
        queue: &str,
        limit: u64,
    ) -> PyResult<Vec<(String, Bound<'py, PyBytes>)>> {
        let waiting = self.call(py, |view| view.waiting(queue, limit))?;
        Ok(waiting.into_iter().map(|(key, payload)| (key, PyBytes::new(py, &payload))).collect())
    }

    /// The column of the event time.
    fn event_time(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py, store::StoreView::event_time)
    }

    /// Names of the topics, in order.
    fn topics(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.call(py, store::StoreView::topics)
    }

    /// Whether a batch of a topic has come with an idempotency key.
    fn has_key(&self, py: Python<'_>, topic: &str, key: &str) -> PyResult<bool> {
        self.call(py, |view| view.has_key(topic, key))
    }

    /// How many events a stream has.
    fn stream_version(&self, py: Python<'_>, stream: &str) -> PyResult<u64> {
        self.call(py, |view| view.stream_version(stream))
    }

    /// Streams whose names begin with a text, and their versions.
    fn streams(&self, py: Python<'_>, prefix: &str) -> PyResult<Vec<(String, u64)>> {
        self.call(py, |view| view.streams(prefix))
    }

    /// The position of the next event.
    fn next_position(&self, py: Python<'_>) -> PyResult<u64> {
        self.call(py, store::StoreView::next_position)
    }

    /// Changes that are no appends: entry, kind, when, who, what.
    fn history(&self, py: Python<'_>) -> PyResult<Vec<Entry>> {
        self.call(py, |view| {
            let parts =
                |entry: store::EntryInfo| (entry.entry, entry.kind, entry.recorded, entry.author, entry.said);
            Ok(view.history()?.into_iter().map(parts).collect())
        })
    }

    /// Who has appended what: who, topic, batches, events, when first, when last.
    fn authors(&self, py: Python<'_>) -> PyResult<Vec<Author>> {
        self.call(py, |view| {
            let parts = |author: store::AuthorInfo| {
                let (first, last) = author.recorded;
                (author.author, author.topic, author.batches, author.events, first, last)
            };
            Ok(view.authors()?.into_iter().map(parts).collect())
        })
    }

    /// Events, entries, bytes of the database, the column of the event time, the chain's last hash, and topics.
    fn info(&self, py: Python<'_>) -> PyResult<Info> {
        self.call(py, |view| {
            let info = view.info()?;
            let topic = |topic: store::TopicInfo| {
                let (archived, journal) = topic.bytes;
                let counts = (
                    topic.name,
                    topic.events,
                    topic.removed,
                    topic.archived,
                    topic.segments,
                    archived,
                    journal,
                );
                (counts, topic.times, (topic.kept.0, topic.kept.1, topic.keys_kept), topic.protected)
            };
            let topics = info.topics.into_iter().map(topic).collect();
            Ok((info.events, info.entries, info.bytes, info.event_time, info.chain, topics))
        })
    }

    /// Verifies the store: entries, events, removed, segments, signatures, and the first fault.
    fn verify(&self, py: Python<'_>, key: Option<&str>) -> PyResult<Verified> {
        self.call(py, |view| {
            let found = store::verify(view.path(), key)?;
            let fault = found.fault.map(|fault| (fault.entry, fault.position, fault.reason));
            Ok((found.entries, found.events, found.removed, found.segments, found.signatures, fault))
        })
    }

    /// Ends it.
    fn close(&self) {
        drop(self.view.write().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Events that are asked for, read when they are wanted; `cepheid.StoredEvents` keeps one.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct StoredEvents {
    connections: Arc<store::Connections>,
    query: Query,
    schema: SchemaRef,
}

#[pymethods]
impl StoredEvents {
    /// The schema as a capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.schema.as_ref())?)
    }

    /// The events as a stream, each batch read when it is asked for.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let reader = Batches(without_gil(py, || Ok(store::Reader::over(&self.connections, &self.query)?))?);
        let field = Field::new_struct("", self.schema.fields().clone(), false);
        let arrays =
            reader.map(|batch| batch.map(|rows| Arc::new(StructArray::from(rows)) as Arc<dyn Array>));
        Ok(to_stream_pycapsule(py, Box::new(ArrayIterator::new(arrays, Arc::new(field))), requested_schema)?)
    }

    /// Reads them. `mattering`: by topic what holds of the rows that matter, as JSON; others are passed over where it can be
    /// told that all of a batch or a page are. `columns`: those that are read; none: those that were
    /// asked for.
    #[pyo3(signature = (mattering, columns=None))]
    fn reader(
        &self,
        py: Python<'_>,
        mattering: Vec<(String, String)>,
        columns: Option<Vec<String>>,
    ) -> PyResult<StoredReader> {
        without_gil(py, || {
            let columns = columns.or_else(|| self.query.columns.clone());
            let mut query = Query { columns, ..self.query.clone() };
            for (topic, condition) in mattering {
                query
                    .mattering
                    .push((topic, cepheid_ir::expr_from_json(&condition).map_err(NativeError::Pattern)?));
            }
            Ok(StoredReader::of(store::Reader::over(&self.connections, &query)?))
        })
    }

    /// Their columns, as a batch without rows.
    fn no_rows(&self) -> ArrowBatch {
        ArrowBatch(RecordBatch::new_empty(Arc::clone(&self.schema)))
    }

    /// The position before which they are.
    fn end(&self) -> Option<u64> {
        self.query.positions.1
    }
}

/// A reader as Arrow knows them.
struct Batches(store::Reader);

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_batch().map_err(|error| ArrowError::ExternalError(Box::new(error))).transpose()
    }
}
