//! Errors: every one becomes an exception of `cepheid.errors`, with its parts as attributes.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cepheid_engine::{EngineError, Fault};
use cepheid_eval::EvalError;
use cepheid_event::EventError;
use cepheid_ingest::IngestError;
use cepheid_ir::PatternError;
use cepheid_matcher::MatchError;
use cepheid_mining::MiningError;
use cepheid_store::StoreError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

mod python {
    pyo3::import_exception!(cepheid.errors, PatternError);
    pyo3::import_exception!(cepheid.errors, SchemaError);
    pyo3::import_exception!(cepheid.errors, EvaluationError);
    pyo3::import_exception!(cepheid.errors, MatchError);
    pyo3::import_exception!(cepheid.errors, StateLimitError);
    pyo3::import_exception!(cepheid.errors, StoreError);
    pyo3::import_exception!(cepheid.errors, VersionConflictError);
    pyo3::import_exception!(cepheid.errors, LateEventError);
    pyo3::import_exception!(cepheid.errors, ProcessorError);
    pyo3::import_exception!(cepheid.errors, SqlError);
    pyo3::import_exception!(cepheid.errors, InternalError);
}

/// Whatever can go wrong below this crate.
pub(crate) enum NativeError {
    Pattern(PatternError),
    Event(EventError),
    // Boxed: it is several times the size of the others.
    Engine(Box<EngineError>),
    Sql(cepheid_sql::SqlError),
    Store(Box<StoreError>),
    Mining(MiningError),
    Cesql(cepheid_cesql::ParseError),
    Ingest(IngestError),
    Python(PyErr),
    /// An engine that a panic has stopped in the middle of a change.
    Broken,
}

impl From<EventError> for NativeError {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

impl From<EngineError> for NativeError {
    fn from(error: EngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<StoreError> for NativeError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl From<cepheid_sql::SqlError> for NativeError {
    fn from(error: cepheid_sql::SqlError) -> Self {
        Self::Sql(error)
    }
}

/// Runs `work` without the GIL. A panic, which is a mistake of ours, becomes `InternalError`.
pub(crate) fn without_gil<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, NativeError> + Send,
) -> PyResult<T> {
    // The state that a panic may leave broken is dropped with `work`, or behind a lock that is poisoned from then on:
    // everything else that is shared with it is immutable.
    match py.detach(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(raised(py, error)),
        Err(payload) => {
            let reason = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            Err(internal_error(py, reason.to_owned()))
        }
    }
}

thread_local! {
    /// What a signal's handler raised while a search went on, until the search has ended with `Interrupted`.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Whether a signal's handler has raised, Ctrl-C's for one. Asked every few milliseconds while the GIL is free.
pub(crate) fn interrupted() -> bool {
    match Python::attach(|py| py.check_signals()) {
        Ok(()) => false,
        Err(error) => {
            RAISED.set(Some(error));
            true
        }
    }
}

/// `object` cannot be read as Arrow; `cause` says what its own export raised.
pub(crate) fn unsupported_input(py: Python<'_>, object: &Bound<'_, PyAny>, cause: &PyErr) -> PyErr {
    let type_name = object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let message =
        format!("an object of type {type_name} cannot be read as an Arrow table: {}", cause.value(py));
    let error = Exception::new::<python::SchemaError>(py, message, "unsupported-input")
        .with("type_name", type_name)
        .build();
    error.set_cause(py, Some(cause.clone_ref(py)));
    error
}

/// The exception that an error becomes.
pub(crate) fn raised(py: Python<'_>, error: NativeError) -> PyErr {
    match error {
        NativeError::Pattern(error) => pattern_error(py, &error),
        NativeError::Event(error) => event_error(py, &error),
        NativeError::Engine(error) => engine_error(py, &error),
        NativeError::Sql(error) => sql_error(py, &error),
        NativeError::Store(error) => store_error(py, &error),
        NativeError::Mining(error) => mining_error(py, &error),
        NativeError::Cesql(error) => cesql_error(py, &error),
        NativeError::Ingest(error) => ingest_error(py, &error),
        NativeError::Python(error) => error,
        NativeError::Broken => internal_error(
            py,
            "an earlier call stopped in the middle; restore the engine from a snapshot".into(),
        ),
    }
}

fn pattern_error(py: Python<'_>, error: &PatternError) -> PyErr {
    let exception = Exception::new::<python::PatternError>(py, error.to_string(), error.code());
    pattern_parts(exception, error).with("variable", error.variable()).build()
}

fn pattern_parts<'py>(exception: Exception<'py>, error: &PatternError) -> Exception<'py> {
    match error {
        PatternError::UndefinedVariable { known, .. } | PatternError::UnknownSkipTarget { known, .. } => {
            exception.with("known", known)
        }
        PatternError::UnknownVariable { context, known, .. } => {
            exception.with("known", known).with("context", context)
        }
        PatternError::InvalidExpression { context, .. } => exception.with("context", context),
        PatternError::DuplicateMeasure { name } => exception.with("context", format!("measure `{name}`")),
        PatternError::LimitExceeded { limit, .. } => exception.with("limit", *limit),
        PatternError::Unsupported { hint, .. } | PatternError::NotInSql { hint, .. } => {
            exception.with("hint", hint)
        }
        PatternError::MeasureNameTaken { name } => exception.with("context", format!("measure `{name}`")),
        // Their parts are all in the message and, where it is one, in `variable`.
        PatternError::DuplicateDefinition { .. }
        | PatternError::DuplicateVariable { .. }
        | PatternError::SubsetNameTaken { .. }
        | PatternError::EmptyName { .. }
        | PatternError::InvalidQuantifier { .. }
        | PatternError::InvalidAbsence { .. }
        | PatternError::GapExceedsWindow
        | PatternError::UnboundedWait
        | PatternError::InvalidWithin
        | PatternError::WithinNeedsOrder
        | PatternError::TooFewParts { .. }
        | PatternError::ConflictingClauses { .. }
        | PatternError::WireVersion { .. }
        | PatternError::Malformed { .. } => exception,
    }
}

fn event_error(py: Python<'_>, error: &EventError) -> PyErr {
    if let EventError::LateRow { topic, row, time, watermark } = error {
        return Exception::new::<python::LateEventError>(py, error.to_string(), error.code())
            .with("topic", topic)
            .with("row", *row)
            .with("event_time", *time)
            .with("watermark", *watermark)
            .build();
    }
    let exception = Exception::new::<python::SchemaError>(py, error.to_string(), error.code());
    event_parts(exception, error).build()
}

fn event_parts<'py>(exception: Exception<'py>, error: &EventError) -> Exception<'py> {
    let exception = match error {
        EventError::UnknownColumn { hint, known, .. } => {
            exception.with("known", known).with("hint", hint.as_deref())
        }
        EventError::AmbiguousColumn { candidates, .. } => exception.with("known", candidates),
        EventError::ColumnType { found, expected, .. } => {
            exception.with("found", found).with("expected", expected)
        }
        EventError::SchemaChanged { found, expected, .. } => {
            exception.with("found", found).with("expected", expected)
        }
        EventError::NullTime { row, .. } | EventError::TimeOverflow { row, .. } => {
            exception.with("row", *row)
        }
        EventError::UnknownTopic { hint, known, .. } => {
            exception.with("known", known).with("hint", hint.as_deref())
        }
        EventError::TopicsDisagree { found, .. } => exception.with("found", found.join(", ")),
        // Their parts are all in the message, or, of a late row, in an exception of another class.
        EventError::TooManyRows { .. }
        | EventError::LateRow { .. }
        | EventError::SchemaUnknown { .. }
        | EventError::TooManyTopics { .. }
        | EventError::InvalidState { .. }
        | EventError::Arrow { .. } => exception,
    };
    exception.with("column", error.column())
}

fn engine_error(py: Python<'_>, error: &EngineError) -> PyErr {
    match error {
        EngineError::Pattern(error) => pattern_error(py, error),
        EngineError::Event(error) => event_error(py, error),
        EngineError::Eval { context, source } => eval_error(py, error.to_string(), Some(context), source),
        EngineError::Match(error) => match_error(py, error),
        EngineError::TooManyWindows { limit } => {
            Exception::new::<python::StateLimitError>(py, error.to_string(), error.code())
                .with("limit", *limit)
                .build()
        }
        EngineError::StateLimit { rule, key, time_ns, bytes, limit } => {
            Exception::new::<python::StateLimitError>(py, error.to_string(), error.code())
                .with("limit", *limit)
                .with("rule", rule)
                .with("key", (!key.is_empty()).then_some(key))
                .with("event_time", *time_ns)
                .with("needed", *bytes)
                .build()
        }
        EngineError::DuplicateRule { .. }
        | EngineError::RuleCycle { .. }
        | EngineError::RuleOrder { .. }
        | EngineError::RuleRead { .. } => {
            Exception::new::<python::PatternError>(py, error.to_string(), error.code()).build()
        }
        EngineError::UnknownRule { known, .. } => {
            Exception::new::<python::PatternError>(py, error.to_string(), error.code())
                .with("known", known)
                .build()
        }
        EngineError::TopicConflict { .. }
        | EngineError::TopicColumns { .. }
        | EngineError::LateTopicConflict { .. }
        | EngineError::TopicLevels { .. }
        | EngineError::SilentTopic { .. }
        | EngineError::DerivedTopic { .. } => {
            Exception::new::<python::SchemaError>(py, error.to_string(), error.code()).build()
        }
        EngineError::Processor { rule, fault } => processor_error(py, error, rule, fault),
        EngineError::ProcessorOutput { rule, .. } => {
            Exception::new::<python::ProcessorError>(py, error.to_string(), error.code())
                .with("processor", rule)
                .build()
        }
        EngineError::TopicNeeded { known } => {
            Exception::new::<python::SchemaError>(py, error.to_string(), error.code())
                .with("known", known)
                .build()
        }
        EngineError::InvalidSnapshot { .. }
        | EngineError::SnapshotVersion { .. }
        | EngineError::SnapshotRules { .. } => {
            Exception::new::<python::StoreError>(py, error.to_string(), error.code()).build()
        }
    }
}

fn store_error(py: Python<'_>, error: &StoreError) -> PyErr {
    let message = error.to_string();
    let exception = Exception::new::<python::StoreError>(py, message.clone(), error.code());
    match error {
        StoreError::Event(error) => return event_error(py, error),
        StoreError::Eval(error) => return eval_error(py, message, Some("the condition"), error),
        StoreError::VersionConflict { stream, expected, actual } => {
            Exception::new::<python::VersionConflictError>(py, message, error.code())
                .with("stream", stream)
                .with("expected", *expected)
                .with("actual", *actual)
        }
        StoreError::ReservedColumn { column }
        | StoreError::SchemaConflict { column, .. }
        | StoreError::Unprotectable { column, .. } => {
            Exception::new::<python::SchemaError>(py, message, error.code()).with("column", column)
        }
        StoreError::Unknown { known, .. } => exception.with("known", known),
        StoreError::Corrupt { position, .. } => exception.with("position", *position),
        StoreError::Locked { path, .. }
        | StoreError::Missing { path }
        | StoreError::NotAStore { path, .. }
        | StoreError::FormatVersion { path, .. } => exception.with("path", path.display().to_string()),
        StoreError::Disk { path, .. } => {
            exception.with("path", path.as_ref().map(|path| path.display().to_string()))
        }
        StoreError::Closed
        | StoreError::DiskFull { .. }
        | StoreError::Busy { .. }
        | StoreError::TooLong { .. }
        | StoreError::Poisoned { .. }
        | StoreError::Moved { .. }
        | StoreError::KeyReused { .. }
        | StoreError::InvalidName { .. }
        | StoreError::InvalidOption { .. }
        | StoreError::Unarchivable { .. }
        | StoreError::BadSignature { .. } => exception,
    }
    .build()
}

/// What a processor raised, as the cause of an error that names it. Ctrl-C and its like are no failure of the processor.
fn processor_error(py: Python<'_>, error: &EngineError, rule: &str, fault: &Fault) -> PyErr {
    let cause = fault.0.downcast_ref::<PyErr>().expect("processors are written in Python");
    if !cause.is_instance_of::<pyo3::exceptions::PyException>(py) {
        return cause.clone_ref(py);
    }
    let exception = Exception::new::<python::ProcessorError>(py, error.to_string(), error.code());
    let exception = exception.with("processor", rule).build();
    exception.set_cause(py, Some(cause.clone_ref(py)));
    exception
}

fn match_error(py: Python<'_>, error: &MatchError) -> PyErr {
    let message = error.to_string();
    match error {
        MatchError::Pattern(error) => pattern_error(py, error),
        MatchError::Event(error) => event_error(py, error),
        MatchError::Condition { variable, source } => {
            eval_error(py, message, Some(&format!("the condition of `{variable}`")), source)
        }
        MatchError::SkipTargetMissing { variable, row, .. }
        | MatchError::SkipTargetIsFirstRow { variable, row, .. } => {
            Exception::new::<python::MatchError>(py, message, error.code())
                .with("variable", variable)
                .with("row", *row)
                .build()
        }
        MatchError::StepLimit { limit, .. } | MatchError::TooLarge { limit, .. } => {
            Exception::new::<python::StateLimitError>(py, message, error.code()).with("limit", *limit).build()
        }
        MatchError::StateLimit { limit, .. } | MatchError::RunLimit { limit, .. } => {
            Exception::new::<python::StateLimitError>(py, message, error.code()).with("limit", *limit).build()
        }
        MatchError::Interrupted => interruption(),
    }
}

fn mining_error(py: Python<'_>, error: &MiningError) -> PyErr {
    match error {
        MiningError::InvalidHistory { row, .. } => {
            Exception::new::<python::SchemaError>(py, error.to_string(), error.code())
                .with("row", *row)
                .build()
        }
        MiningError::TooManySequences { limit, .. } => {
            Exception::new::<python::StateLimitError>(py, error.to_string(), error.code())
                .with("limit", *limit)
                .build()
        }
        MiningError::Interrupted => interruption(),
    }
}

fn ingest_error(py: Python<'_>, error: &IngestError) -> PyErr {
    match error {
        IngestError::TextTooLong { .. } | IngestError::TooManyValues { .. } | IngestError::Arrow(_) => {
            Exception::new::<python::SchemaError>(py, error.to_string(), error.code()).build()
        }
    }
}

/// What the handler of the signal raised that ended a search.
fn interruption() -> PyErr {
    RAISED.take().unwrap_or_else(|| pyo3::exceptions::PyKeyboardInterrupt::new_err(()))
}

/// What values raised is an error of evaluation; what the types alone show is one of the schema; what no table could
/// mend is one of the pattern.
fn eval_error(py: Python<'_>, message: String, context: Option<&str>, error: &EvalError) -> PyErr {
    let code = error.code();
    let cause = match error {
        EvalError::UserDefined { fault, .. } => fault.0.downcast_ref::<PyErr>(),
        _ => None,
    };
    // Ctrl-C and its like are no failure of the aggregate.
    if let Some(cause) = cause.filter(|cause| !cause.is_instance_of::<pyo3::exceptions::PyException>(py)) {
        return cause.clone_ref(py);
    }
    let exception = match error {
        _ if error.is_data_error() => Exception::new::<python::EvaluationError>(py, message, code),
        EvalError::InvalidArgument { .. }
        | EvalError::Overflow { .. }
        | EvalError::DivisionByZero { .. }
        | EvalError::UserDefined { .. }
        | EvalError::InvalidCast { .. } => unreachable!("`{code}` comes of data"),
        EvalError::Column { source, .. } => {
            event_parts(Exception::new::<python::SchemaError>(py, message, code), source)
        }
        EvalError::TypeMismatch { expected, found, .. } => {
            let found: Vec<String> =
                found.iter().map(|(operand, kind)| format!("{operand}: {kind}")).collect();
            Exception::new::<python::SchemaError>(py, message, code)
                .with("expected", expected)
                .with("found", found.join(", "))
        }
        EvalError::InvalidLiteral { wanted, .. } => {
            Exception::new::<python::SchemaError>(py, message, code).with("expected", wanted)
        }
        EvalError::InvalidRegex { .. } | EvalError::InvalidCall { .. } => {
            Exception::new::<python::PatternError>(py, message, code)
        }
        EvalError::Arrow { .. } => Exception::new::<python::SchemaError>(py, message, code),
    };
    let exception = exception.with("expression", error.expression()).with("context", context).build();
    if let Some(cause) = cause {
        exception.set_cause(py, Some(cause.clone_ref(py)));
    }
    exception
}

fn internal_error(py: Python<'_>, reason: String) -> PyErr {
    let message = format!("cepheid has a bug, please report it: {reason}");
    Exception::new::<python::InternalError>(py, message, "internal").build()
}

fn sql_error(py: Python<'_>, error: &cepheid_sql::SqlError) -> PyErr {
    let span = error.span();
    let exception = Exception::new::<python::SqlError>(py, error.to_string(), error.code())
        .with("line", error.line())
        .with("column_number", error.column())
        .with("span", (span.start, span.end))
        .with("expected", error.expected())
        .with("hint", error.nearest())
        .with("snippet", error.snippet());
    match error.kind() {
        cepheid_sql::SqlErrorKind::Pattern(pattern) => exception.with("variable", pattern.variable()),
        _ => exception,
    }
    .build()
}

fn cesql_error(py: Python<'_>, error: &cepheid_cesql::ParseError) -> PyErr {
    let span = error.span();
    Exception::new::<python::SqlError>(py, error.to_string(), error.code())
        .with("line", error.line())
        .with("column_number", error.column())
        .with("span", (span.start, span.end))
        .with("expected", error.expected())
        .with("snippet", error.snippet())
        .build()
}

/// An exception in the making: class, message, and parts by name.
struct Exception<'py> {
    class: Bound<'py, PyType>,
    message: String,
    parts: PyResult<Bound<'py, PyDict>>,
}

impl<'py> Exception<'py> {
    fn new<E: pyo3::type_object::PyTypeInfo>(py: Python<'py>, message: String, code: &'static str) -> Self {
        let exception = Self { class: E::type_object(py), message, parts: Ok(PyDict::new(py)) };
        exception.with("code", code)
    }

    fn with(mut self, name: &'static str, value: impl IntoPyObject<'py>) -> Self {
        self.parts = self.parts.and_then(|parts| parts.set_item(name, value).map(|()| parts));
        self
    }

    fn build(self) -> PyErr {
        // If the exception's own constructor fails, that is what is raised: better than nothing.
        let made = self.parts.and_then(|parts| self.class.call((self.message,), Some(&parts)));
        made.map_or_else(|error| error, PyErr::from_value)
    }
}
