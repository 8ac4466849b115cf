//! The engine of streams, as Python sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use arrow_array::RecordBatch;
use cepheid_engine::{self as engine, DerivedTable, EngineOptions, LatePolicy};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::anomaly::Anomaly;
use crate::arrow::{ArrowBatch, ArrowInput};
use crate::error::{NativeError, interrupted, without_gil};
use crate::matches::{MatchTable, outputs};
use crate::pattern::Pattern;
use crate::processor::Processor;
use crate::window::Window;

/// Rules over streams; `cepheid.Engine` is built on it. Calls of several threads wait for each other.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct Engine {
    engine: Mutex<engine::Engine>,
    /// The thread whose call is being worked on.
    busy: Mutex<Option<ThreadId>>,
}

/// Says that a thread's call is being worked on, until it is dropped.
struct Busy<'a>(&'a Mutex<Option<ThreadId>>);

impl<'a> Busy<'a> {
    fn new(busy: &'a Mutex<Option<ThreadId>>) -> Self {
        *locked(busy) = Some(thread::current().id());
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *locked(self.0) = None;
    }
}

/// What is behind this lock is whole whatever happens.
fn locked(busy: &Mutex<Option<ThreadId>>) -> MutexGuard<'_, Option<ThreadId>> {
    busy.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Derived events by topic.
type Outputs = Vec<(String, MatchTable)>;

impl Engine {
    fn of(engine: engine::Engine) -> Self {
        Self { engine: Mutex::new(engine), busy: Mutex::new(None) }
    }

    /// Works on the engine without the GIL. Nothing that runs meanwhile holds a lock that Python could wait for, except
    /// where a processor, or a signal's handler, which a long search calls, asks the same engine for something: that is refused.
    pub(crate) fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut engine::Engine) -> Result<T, NativeError> + Send,
    ) -> PyResult<T> {
        if *locked(&self.busy) == Some(thread::current().id()) {
            return Err(PyRuntimeError::new_err(
                "the engine is in the middle of a call of this thread; a processor, a function of an aggregate, or a signal's \
                 handler cannot call it",
            ));
        }
        without_gil(py, || {
            // A panic in an earlier call may have left it half changed.
            let mut engine = self.engine.lock().map_err(|_| NativeError::Broken)?;
            let _busy = Busy::new(&self.busy);
            work(&mut engine)
        })
    }

    fn outputs(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut engine::Engine) -> Result<Vec<(String, DerivedTable)>, NativeError> + Send,
    ) -> PyResult<Outputs> {
        self.call(py, |engine| Ok(outputs(work(engine)?)))
    }
}

/// A rule as Python gives it.
#[derive(FromPyObject)]
enum Rule<'py> {
    Pattern(PyRef<'py, Pattern>),
    Window(PyRef<'py, Window>),
    Anomaly(PyRef<'py, Anomaly>),
    Processor(PyRef<'py, Processor>),
}

impl Rule<'_> {
    fn spec(&self) -> engine::RuleSpec {
        match self {
            Self::Pattern(pattern) => pattern.0.clone().into(),
            Self::Window(window) => window.0.clone().into(),
            Self::Anomaly(rule) => rule.0.clone().into(),
            Self::Processor(processor) => processor.0.clone().into(),
        }
    }
}

fn specs(rules: &[Rule<'_>]) -> Vec<engine::RuleSpec> {
    rules.iter().map(Rule::spec).collect()
}

#[pymethods]
impl Engine {
    /// An engine that has seen nothing. Spans are in nanoseconds.
    #[new]
    #[pyo3(signature = (rules, event_time, *, topics, lateness_ns, late, idle_ns, future_ns, threads, memory_limit, ids))]
    #[allow(clippy::too_many_arguments, reason = "keywords, of which each is one option")]
    fn new(
        py: Python<'_>,
        rules: Vec<Rule<'_>>,
        event_time: String,
        topics: Vec<String>,
        lateness_ns: Option<u64>,
        late: &str,
        idle_ns: Option<u64>,
        future_ns: Option<u64>,
        threads: Option<usize>,
        memory_limit: Option<usize>,
        ids: bool,
    ) -> PyResult<Self> {
        let late = match late {
            "side_output" => LatePolicy::SideOutput,
            "drop" => LatePolicy::Drop,
            "error" => LatePolicy::Error,
            other => return Err(PyValueError::new_err(format!("`{other}` is no policy for late rows"))),
        };
        let rules = specs(&rules);
        let options = EngineOptions {
            event_time,
            topics,
            lateness_ns,
            late,
            idle_ns,
            future_ns,
            threads,
            rows_a_thread_min: None,
            memory_limit,
            ids,
            interrupted: Some(interrupted),
        };
        without_gil(py, || Ok(Self::of(engine::Engine::new(rules, options)?)))
    }

    /// An engine as it was when the snapshot was taken.
    #[staticmethod]
    #[pyo3(signature = (blob, rules, *, threads, memory_limit))]
    fn restore(
        py: Python<'_>,
        blob: &[u8],
        rules: Vec<Rule<'_>>,
        threads: Option<usize>,
        memory_limit: Option<usize>,
    ) -> PyResult<Self> {
        let rules = specs(&rules);
        without_gil(py, || {
            Ok(Self::of(engine::Engine::restore(blob, rules, threads, memory_limit, Some(interrupted))?))
        })
    }

    /// Takes rows of a topic, and gives the events that they, and the passing of time, derive.
    #[pyo3(signature = (data, topic, now_ns))]
    fn push(
        &self,
        py: Python<'_>,
        data: ArrowInput,
        topic: Option<&str>,
        now_ns: Option<i64>,
    ) -> PyResult<Outputs> {
        // Read before the engine is locked: a stream may run Python, and that may ask the engine for something.
        let table = without_gil(py, || data.read())?;
        self.outputs(py, |engine| {
            let empty;
            let batches = if table.batches().is_empty() {
                // Without rows a batch still says what columns there are.
                empty = [RecordBatch::new_empty(table.schema().clone())];
                &empty[..]
            } else {
                table.batches()
            };
            Ok(engine.push(topic, batches, now_ns)?)
        })
    }

    /// Passes over rows of a topic.
    fn skip(&self, py: Python<'_>, topic: &str, rows: u64) -> PyResult<()> {
        self.call(py, |engine| Ok(engine.skip(topic, rows)?))
    }

    /// What holds of the rows of a topic that can matter, as JSON; None: any can.
    fn relevant(&self, py: Python<'_>, topic: &str) -> PyResult<Option<String>> {
        self.call(py, |engine| {
            Ok(engine.relevant(topic).map(|condition| cepheid_ir::expr_to_json(&condition)))
        })
    }

    /// The columns of a topic that rules have to do with; None: all.
    fn columns_needed(&self, py: Python<'_>, topic: &str) -> PyResult<Option<Vec<String>>> {
        self.call(py, |engine| Ok(engine.columns_needed(topic)))
    }

    /// Passes over rows that cannot matter, from the first time to the last; None: they have to be pushed.
    fn pass_over(
        &self,
        py: Python<'_>,
        topic: &str,
        rows: u64,
        times: (i64, i64),
        now_ns: Option<i64>,
    ) -> PyResult<Option<Outputs>> {
        self.call(py, |engine| {
            let derived = engine.pass_over(topic, rows, times, now_ns)?;
            Ok(derived.map(outputs))
        })
    }

    /// Which topics its rules read from outside; None among them: any.
    fn reads(&self, py: Python<'_>) -> PyResult<Vec<Option<String>>> {
        self.call(py, |engine| Ok(engine.reads()))
    }

    /// The columns of a topic, as a batch without rows; None before its first push.
    fn columns(&self, py: Python<'_>, topic: Option<&str>) -> PyResult<Option<ArrowBatch>> {
        self.call(py, |engine| {
            let schema = engine.topic_schema(topic);
            Ok(schema.map(|schema| ArrowBatch(RecordBatch::new_empty(Arc::clone(schema)))))
        })
    }

    /// Moves the clock to a time, in nanoseconds since 1970.
    fn advance_to(&self, py: Python<'_>, time_ns: i64) -> PyResult<Outputs> {
        self.outputs(py, |engine| Ok(engine.advance_to(time_ns)?))
    }

    /// Ends the input.
    fn flush(&self, py: Python<'_>) -> PyResult<Outputs> {
        self.outputs(py, |engine| Ok(engine.flush()?))
    }

    /// Adds a rule, which sees the rows that are matched from now on.
    fn add(&self, py: Python<'_>, rule: Rule<'_>) -> PyResult<()> {
        let rule = rule.spec();
        self.call(py, |engine| Ok(engine.add(rule)?))
    }

    /// Puts a rule in the place of another.
    fn replace(&self, py: Python<'_>, name: &str, rule: Rule<'_>) -> PyResult<()> {
        let rule = rule.spec();
        self.call(py, |engine| Ok(engine.replace(name, rule)?))
    }

    /// Takes a rule out.
    fn remove(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.call(py, |engine| Ok(engine.remove(name)?))
    }

    /// Says what columns a topic has, as a table whose rows are not looked at.
    fn declare(&self, py: Python<'_>, data: ArrowInput, topic: Option<&str>) -> PyResult<()> {
        let table = without_gil(py, || data.read())?;
        self.call(py, |engine| Ok(engine.declare(topic, table.schema())?))
    }

    /// The column of event time.
    fn event_time(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py, |engine| Ok(engine.event_time().to_owned()))
    }

    /// Names of the rules, in order.
    fn rules(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.call(py, |engine| Ok(engine.rules()))
    }

    /// All that the engine knows, as bytes.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let blob = self.call(py, |engine| Ok(engine.snapshot()?))?;
        Ok(PyBytes::new(py, &blob))
    }

    /// Counts, as plain data; `cepheid.EngineStats` explains them.
    fn stats(&self, py: Python<'_>) -> PyResult<Stats> {
        self.call(py, |engine| Ok(engine.stats().into()))
    }
}

/// Becomes a dict.
#[derive(IntoPyObject)]
struct Stats {
    rows: u64,
    late: u64,
    dropped: u64,
    future: u64,
    waiting: usize,
    live_runs: usize,
    bytes: usize,
    watermark: Option<i64>,
    sources: Vec<SourceStats>,
    rules: Vec<RuleStats>,
}

/// Likewise.
#[derive(IntoPyObject)]
struct SourceStats {
    topic: String,
    active: bool,
    rows: u64,
    late: u64,
    future: u64,
    waiting: usize,
    greatest: Option<i64>,
    watermark: Option<i64>,
    idle: bool,
}

/// Likewise.
#[derive(IntoPyObject)]
struct RuleStats {
    name: String,
    fingerprint: String,
    live_runs: usize,
    keys: usize,
    matches: u64,
    rows_visited: u64,
    runs_visited: u64,
    bytes: usize,
    strategy: String,
}

impl From<engine::EngineStats> for Stats {
    fn from(stats: engine::EngineStats) -> Self {
        let source = |source: cepheid_event::SourceStats| SourceStats {
            topic: source.topic,
            active: source.active,
            rows: source.rows,
            late: source.late,
            future: source.future,
            waiting: source.waiting,
            greatest: source.greatest,
            watermark: source.watermark,
            idle: source.idle,
        };
        let rule = |rule: engine::RuleStats| RuleStats {
            name: rule.name,
            fingerprint: rule.fingerprint,
            live_runs: rule.live_runs,
            keys: rule.keys,
            matches: rule.matches,
            rows_visited: rule.rows_visited,
            runs_visited: rule.runs_visited,
            bytes: rule.bytes,
            strategy: rule.strategy.to_string(),
        };
        Self {
            rows: stats.rows,
            late: stats.late,
            dropped: stats.dropped,
            future: stats.future,
            waiting: stats.waiting,
            live_runs: stats.live_runs,
            bytes: stats.bytes,
            watermark: stats.watermark_ns,
            sources: stats.sources.into_iter().map(source).collect(),
            rules: stats.rules.into_iter().map(rule).collect(),
        }
    }
}
