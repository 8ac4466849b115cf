//! Columns that grow by one Python value at a time, and can be cut back to the rows they had.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray, UInt64Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_cast::cast;
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef, TimeUnit};
use cepheid_event::{EventError, with_wide_codes};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDate, PyInt, PyString, PyTuple, PyType};

/// Text of one batch, in bytes: offsets are 32 bits wide.
const TEXT_BYTES_MAX: usize = i32::MAX as usize;

/// The columns of a schema, all of one length.
pub(crate) struct RowColumns {
    declared: SchemaRef,
    /// The same with wide dictionary codes.
    schema: SchemaRef,
    columns: Vec<RowColumn>,
    rows: usize,
}

struct RowColumn {
    field: FieldRef,
    /// Whether a value may be None.
    nullable: bool,
    values: Values,
    /// Rows that are NULL, ascending.
    nulls: Vec<u32>,
}

/// Values in the widest type of their kind; narrower ones are made when a batch is, and their range is kept to before.
enum Values {
    Boolean(Vec<bool>),
    Integer {
        values: Vec<i64>,
        least: i64,
        most: i64,
    },
    Unsigned(Vec<u64>),
    Float(Vec<f64>),
    /// Moments since 1970, or spans, in units of so many nanoseconds.
    Ticks {
        values: Vec<i64>,
        nanoseconds: i64,
        what: Ticks,
    },
    /// Days since 1970.
    Days(Vec<i32>),
    Text {
        bytes: Vec<u8>,
        ends: Vec<i32>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ticks {
    Moment,
    Span,
}

impl RowColumns {
    /// Columns without rows. `time`: the column that may not be NULL, as the event time may not.
    ///
    /// # Errors
    /// [`EventError::ColumnType`] for a type that is not made from Python values here.
    pub(crate) fn new(schema: SchemaRef, time: usize) -> Result<Self, EventError> {
        let column = |(index, field): (usize, &FieldRef)| {
            let values = Values::of(field.data_type()).ok_or_else(|| EventError::ColumnType {
                column: field.name().clone(),
                found: field.data_type().to_string(),
                expected:
                    "a pusher takes truth values, numbers, text, dates, times and spans; push such rows as \
                           Arrow, through Engine.push"
                        .into(),
            })?;
            let nullable = field.is_nullable() && index != time;
            Ok(RowColumn { field: Arc::clone(field), nullable, values, nulls: vec![] })
        };
        // Events that wait may have more values than narrow codes can tell apart.
        let wide = |field: &FieldRef| -> FieldRef {
            Arc::new(field.as_ref().clone().with_data_type(with_wide_codes(field.data_type())))
        };
        let fields: Vec<FieldRef> = schema.fields().iter().map(wide).collect();
        let declared = schema;
        let schema = Arc::new(Schema::new_with_metadata(fields, declared.metadata().clone()));
        let columns = schema.fields().iter().enumerate().map(column).collect::<Result<_, EventError>>()?;
        Ok(Self { declared, schema, columns, rows: 0 })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows of these columns in the types that were declared, if their values fit.
    pub(crate) fn as_declared(&self, rows: &RecordBatch) -> Option<RecordBatch> {
        let columns = rows.columns().iter().zip(self.declared.fields());
        let columns = columns.map(|(array, field)| cast(array, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>, _>>().ok()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.declared), columns, &options).ok()
    }

    /// Adds a row; after an error there is none.
    ///
    /// # Errors
    /// [`EventError::ColumnType`] for a value that is none of its column; what Python raises.
    pub(crate) fn push<'py>(
        &mut self,
        value: impl Fn(usize) -> PyResult<Bound<'py, PyAny>>,
    ) -> Result<(), RowError> {
        let row = self.rows as u32;
        let added = self.columns.iter_mut().enumerate().try_for_each(|(index, column)| {
            value(index).map_err(RowError::Python).and_then(|value| column.push(&value, row))
        });
        match added {
            Ok(()) => self.rows += 1,
            Err(_) => self.truncate(self.rows),
        }
        added
    }

    /// Forgets all rows but the first so many.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        for column in &mut self.columns {
            column.values.truncate(rows);
            let kept = column.nulls.partition_point(|row| (*row as usize) < rows);
            column.nulls.truncate(kept);
        }
    }

    /// The rows as a batch, and none are left.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, EventError> {
        let rows = std::mem::take(&mut self.rows);
        let columns = self.columns.iter_mut().map(|column| column.finish(rows));
        let columns = columns.collect::<Result<Vec<_>, EventError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// Why a row was not taken.
pub(crate) enum RowError {
    Event(EventError),
    Python(PyErr),
}

impl RowColumn {
    fn push(&mut self, value: &Bound<'_, PyAny>, row: u32) -> Result<(), RowError> {
        if value.is_none() {
            if !self.nullable {
                return Err(self.refused(value, "NULL is none of its values: every event needs one"));
            }
            self.nulls.push(row);
            self.values.push_null();
            return Ok(());
        }
        match self.values.push(value) {
            Ok(None) => Ok(()),
            Ok(Some(expected)) => Err(self.refused(value, expected)),
            Err(error) => Err(RowError::Python(error)),
        }
    }

    fn refused(&self, value: &Bound<'_, PyAny>, expected: &str) -> RowError {
        let shown = value.repr().map_or_else(|_| String::new(), |repr| repr.to_string());
        let short: String = shown.chars().take(60).collect();
        let kind = value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
        RowError::Event(EventError::ColumnType {
            column: self.field.name().clone(),
            found: self.field.data_type().to_string(),
            expected: format!("{expected}, not {short} of type {kind}"),
        })
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, EventError> {
        let nulls = std::mem::take(&mut self.nulls);
        let nulls = (!nulls.is_empty()).then(|| {
            let mut valid = vec![true; rows];
            nulls.iter().for_each(|row| valid[*row as usize] = false);
            NullBuffer::from(BooleanBuffer::from(valid))
        });
        // As many rows as these are likely to come again.
        let array: ArrayRef = match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(std::mem::take(values).into(), nulls)),
            Values::Integer { values, .. } | Values::Ticks { values, .. } => {
                Arc::new(Int64Array::new(renewed(values), nulls))
            }
            Values::Unsigned(values) => Arc::new(UInt64Array::new(renewed(values), nulls)),
            Values::Float(values) => Arc::new(Float64Array::new(renewed(values), nulls)),
            Values::Days(values) => Arc::new(Int32Array::new(renewed(values), nulls)),
            Values::Text { bytes, ends } => {
                let capacity = bytes.len();
                let text = Buffer::from_vec(std::mem::replace(bytes, Vec::with_capacity(capacity)));
                let starts = std::mem::replace(ends, Vec::with_capacity(rows + 1));
                ends.push(0);
                Arc::new(StringArray::try_new(OffsetBuffer::new(starts.into()), text, nulls)?)
            }
        };
        if array.data_type() == self.field.data_type() {
            return Ok(array);
        }
        Ok(cast(&array, self.field.data_type())?)
    }
}

/// The values, with room for as many more left behind.
fn renewed<T: arrow_buffer::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room).into()
}

impl Values {
    fn of(data_type: &DataType) -> Option<Self> {
        use DataType as T;
        let integer = |least: i64, most: i64| Some(Self::Integer { values: vec![], least, most });
        let ticks = |unit: &TimeUnit, what: Ticks| {
            let nanoseconds = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            Some(Self::Ticks { values: vec![], nanoseconds, what })
        };
        match data_type {
            T::Boolean => Some(Self::Boolean(vec![])),
            T::Int8 => integer(i8::MIN.into(), i8::MAX.into()),
            T::Int16 => integer(i16::MIN.into(), i16::MAX.into()),
            T::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
            T::Int64 => integer(i64::MIN, i64::MAX),
            T::UInt8 => integer(0, u8::MAX.into()),
            T::UInt16 => integer(0, u16::MAX.into()),
            T::UInt32 => integer(0, u32::MAX.into()),
            T::UInt64 => Some(Self::Unsigned(vec![])),
            T::Float32 | T::Float64 => Some(Self::Float(vec![])),
            T::Timestamp(unit, _) => ticks(unit, Ticks::Moment),
            T::Duration(unit) => ticks(unit, Ticks::Span),
            T::Date32 => Some(Self::Days(vec![])),
            T::Utf8 | T::LargeUtf8 | T::Utf8View => Some(Self::Text { bytes: vec![], ends: vec![0] }),
            T::Dictionary(_, values) if matches!(**values, T::Utf8 | T::LargeUtf8) => Self::of(values),
            _ => None,
        }
    }

    /// Adds a value; `Some`: it is none of the column's, and this is what was wanted.
    #[inline]
    fn push(&mut self, value: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
        match self {
            Self::Float(values) => {
                // `True` is a number to Python.
                match value.extract::<f64>() {
                    Ok(number) if !value.is_instance_of::<PyBool>() => values.push(number),
                    _ => return Ok(Some("a number is wanted")),
                }
            }
            Self::Integer { values, least, most } => match value.extract::<i64>() {
                Ok(number) if (*least..=*most).contains(&number) && !value.is_instance_of::<PyBool>() => {
                    values.push(number);
                }
                _ => return Ok(Some("a whole number in its range is wanted")),
            },
            Self::Text { bytes, ends } => {
                let Ok(text) = value.cast::<PyString>() else { return Ok(Some("a string is wanted")) };
                let Ok(text) = text.to_str() else {
                    return Ok(Some("text that is Unicode, without half of a pair of surrogates, is wanted"));
                };
                if text.len() > TEXT_BYTES_MAX - bytes.len() {
                    return Ok(Some("text of at most 2 GiB a batch is wanted"));
                }
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len() as i32);
            }
            Self::Ticks { values, nanoseconds, what } => {
                let span = if value.is_exact_instance_of::<PyInt>() {
                    value.extract::<i64>().ok()
                } else if *what == Ticks::Moment {
                    moment_ns(value)?
                } else {
                    span_ns(value)?
                };
                match span {
                    Some(span) if span % *nanoseconds == 0 => values.push(span / *nanoseconds),
                    _ if *what == Ticks::Moment => {
                        return Ok(Some(
                            "a datetime, or nanoseconds since 1970, in whole units of the column is wanted",
                        ));
                    }
                    _ => {
                        return Ok(Some(
                            "a timedelta, or nanoseconds, in whole units of the column is wanted",
                        ));
                    }
                }
            }
            Self::Boolean(values) => match value.extract::<bool>() {
                Ok(truth) => values.push(truth),
                Err(_) => return Ok(Some("True or False is wanted")),
            },
            Self::Unsigned(values) => match value.extract::<u64>() {
                Ok(number) if !value.is_instance_of::<PyBool>() => values.push(number),
                _ => return Ok(Some("a whole number from 0 is wanted")),
            },
            Self::Days(values) => {
                // A datetime is a date to Python, and has a time of day that would be lost.
                if !value.is_exact_instance_of::<PyDate>() {
                    return Ok(Some("a date is wanted"));
                }
                values.push(
                    value.call_method0(pyo3::intern!(value.py(), "toordinal"))?.extract::<i32>()?
                        - DAYS_TO_1970,
                );
            }
        }
        Ok(None)
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(values) => values.push(false),
            Self::Integer { values, .. } | Self::Ticks { values, .. } => values.push(0),
            Self::Unsigned(values) => values.push(0),
            Self::Float(values) => values.push(0.0),
            Self::Days(values) => values.push(0),
            Self::Text { bytes, ends } => ends.push(bytes.len() as i32),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Boolean(values) => values.truncate(rows),
            Self::Integer { values, .. } | Self::Ticks { values, .. } => values.truncate(rows),
            Self::Unsigned(values) => values.truncate(rows),
            Self::Float(values) => values.truncate(rows),
            Self::Days(values) => values.truncate(rows),
            Self::Text { bytes, ends } => {
                ends.truncate(rows + 1);
                bytes.truncate(ends[ends.len() - 1] as usize);
            }
        }
    }
}

/// What `date.toordinal` says of 1970-01-01.
const DAYS_TO_1970: i32 = 719_163;

const NANOSECONDS_A_DAY: i64 = 86_400_000_000_000;

/// The nanoseconds of a `timedelta`; `None` for what is none, or past 64 bits.
fn span_ns(value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    static SPAN: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    if !value.is_instance(SPAN.import(py, "datetime", "timedelta")?)? {
        return Ok(None);
    }
    let part = |name: &Bound<'_, PyString>| value.getattr(name)?.extract::<i64>();
    let days = part(pyo3::intern!(py, "days"))?;
    let seconds = part(pyo3::intern!(py, "seconds"))?;
    let microseconds = part(pyo3::intern!(py, "microseconds"))?;
    let rest = seconds * 1_000_000_000 + microseconds * 1_000;
    Ok(days.checked_mul(NANOSECONDS_A_DAY).and_then(|days| days.checked_add(rest)))
}

/// The nanoseconds since 1970 of a moment; `None` for what is none. What is not exactly a `datetime`, such as a pandas
/// or a NumPy time, goes the way of `Engine.advance_to`.
fn moment_ns(value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    static MOMENT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static EPOCHS: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    static GENERAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let moment = MOMENT.import(py, "datetime", "datetime")?;
    if !value.get_type().is(moment) {
        let general = GENERAL
            .get_or_try_init(py, || py.import("cepheid.event_time")?.getattr("time_ns").map(Bound::unbind))?;
        return match general.bind(py).call1((value, "the column")) {
            Ok(nanoseconds) => Ok(nanoseconds.extract::<i64>().ok()),
            Err(_) => Ok(None),
        };
    }
    // Without a zone, and in UTC.
    let epochs = EPOCHS.get_or_try_init(py, || {
        let utc = py.import("datetime")?.getattr("UTC")?;
        let naive = moment.call1((1970, 1, 1))?;
        let aware = moment.call1((1970, 1, 1, 0, 0, 0, 0, utc))?;
        PyTuple::new(py, [naive, aware]).map(Bound::unbind)
    })?;
    let aware = !value.getattr(pyo3::intern!(py, "tzinfo"))?.is_none();
    let epoch = epochs.bind(py).get_borrowed_item(usize::from(aware))?;
    span_ns(&value.sub(epoch)?)
}
