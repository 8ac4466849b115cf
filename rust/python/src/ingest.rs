//! JSON text of events as columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use cepheid_ingest::{Frame, IngestError, KnownType, Limits, Reader, Unknown};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrow::{ArrowBatch, ArrowInput, ArrowSchema};
use crate::error::{NativeError, without_gil};

/// Row, first byte, byte after the last, code, reason, topic.
type RowFault = (usize, usize, usize, &'static str, String, Option<String>);
/// Topic, version, columns, rows, how many columns are new.
type TypedEvents = (String, Option<i32>, ArrowBatch, ArrowBatch, usize);
/// Batches, faults, and the first byte and the byte after the last of each event.
type ReadEvents = (Vec<TypedEvents>, Vec<RowFault>, ArrowBatch);
/// As `ReadEvents`, of columns without a meaning.
type ReadRows = (Vec<(ArrowBatch, ArrowBatch)>, Vec<RowFault>, ArrowBatch);

/// Reads the text of events whose types may be known.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct EventReader {
    reader: Reader,
    limits: Limits,
}

#[pymethods]
impl EventReader {
    /// Of types: name, version, columns, and what becomes of other fields.
    #[new]
    #[pyo3(signature = (types, *, payload_bytes_max, columns_max))]
    fn new(
        types: Vec<(String, Option<i32>, ArrowSchema, String)>,
        payload_bytes_max: usize,
        columns_max: usize,
    ) -> Self {
        let limits = Limits { payload_bytes_max, columns_max };
        let known = |(name, version, columns, unknown): (String, Option<i32>, ArrowSchema, String)| {
            let unknown = match unknown.as_str() {
                "keep" => Unknown::Keep,
                "drop" => Unknown::Drop,
                _ => Unknown::Reject,
            };
            KnownType { name, version, columns: columns.0, unknown }
        };
        Self { reader: Reader::new(types.into_iter().map(known).collect(), limits), limits }
    }

    /// Events as columns, by type.
    #[pyo3(signature = (text, *, topic, source, received_us, id_prefix))]
    fn read(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyBytes>,
        topic: Option<&str>,
        source: &str,
        received_us: i64,
        id_prefix: &str,
    ) -> PyResult<ReadEvents> {
        let bytes = text.as_bytes();
        let frame = Frame { topic, source, received_us, id_prefix };
        without_gil(py, || {
            let read = self.reader.read(bytes, &frame)?;
            let batches = read
                .batches
                .into_iter()
                .map(|events| {
                    let rows = numbers("row", events.rows)?;
                    Ok((events.topic, events.version, ArrowBatch(events.batch), rows, events.columns_new))
                })
                .collect::<Result<_, NativeError>>()?;
            Ok((batches, read.faults.into_iter().map(row_fault).collect(), span_batch(&read.spans)?))
        })
    }

    /// Objects as columns, without a meaning.
    fn read_rows(&self, py: Python<'_>, text: &Bound<'_, PyBytes>) -> PyResult<ReadRows> {
        let bytes = text.as_bytes();
        without_gil(py, || {
            let (tables, faults, spans) = self.reader.read_raw(bytes, &self.limits)?;
            let tables = tables
                .into_iter()
                .map(|table| Ok((ArrowBatch(table.batch), numbers("row", table.rows)?)))
                .collect::<Result<_, NativeError>>()?;
            Ok((tables, faults.into_iter().map(row_fault).collect(), span_batch(&spans)?))
        })
    }
}

/// The first column of a table, texts, as times in microseconds and UTC; NULL where a text is none.
#[pyfunction]
pub(crate) fn rfc3339_times(py: Python<'_>, texts: ArrowInput) -> PyResult<ArrowBatch> {
    without_gil(py, || {
        let table = texts.read()?;
        let texts = table.slice(0, 0..table.num_rows())?;
        let times = cepheid_ingest::rfc3339_times(texts.as_string());
        let schema = Schema::new(vec![Field::new("time", times.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![times]);
        Ok(ArrowBatch(batch.map_err(|error| NativeError::Event(error.into()))?))
    })
}

fn row_fault(fault: cepheid_ingest::Fault) -> RowFault {
    (fault.row, fault.span.0, fault.span.1, fault.code.code(), fault.reason, fault.topic)
}

fn numbers(name: &str, values: Vec<u32>) -> Result<ArrowBatch, NativeError> {
    let schema = Schema::new(vec![Field::new(name, DataType::UInt32, false)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(UInt32Array::from(values))]);
    Ok(ArrowBatch(batch.map_err(|error| NativeError::Event(error.into()))?))
}

fn span_batch(spans: &[(usize, usize)]) -> Result<ArrowBatch, NativeError> {
    // A call's text has fewer bytes than 32 bits count.
    let starts = UInt32Array::from_iter_values(spans.iter().map(|span| span.0 as u32));
    let ends = UInt32Array::from_iter_values(spans.iter().map(|span| span.1 as u32));
    let fields = ["start", "end"].map(|name| Field::new(name, DataType::UInt32, false));
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), vec![Arc::new(starts), Arc::new(ends)]);
    Ok(ArrowBatch(batch.map_err(|error| NativeError::Event(error.into()))?))
}

impl From<IngestError> for NativeError {
    fn from(error: IngestError) -> Self {
        Self::Ingest(error)
    }
}
