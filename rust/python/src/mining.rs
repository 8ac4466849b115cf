//! Histories: rows as numbers, and the sequences that are frequent in them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt32Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use cepheid_event::key::key_ids;
use cepheid_event::{Table, event_times, resolve_column};
use cepheid_mining::{Bounds, History, Keep, MiningError, mine};
use pyo3::prelude::*;

use crate::arrow::{ArrowBatch, ArrowInput, ArrowSchema};
use crate::error::{NativeError, interrupted, without_gil};

/// Where columns stand in a schema, each named as it is and whether exactly so.
#[pyfunction]
pub(crate) fn column_places(
    py: Python<'_>,
    schema: ArrowSchema,
    columns: Vec<(String, bool)>,
) -> PyResult<Vec<usize>> {
    let place = |(name, exact): &(String, bool)| resolve_column(&schema.0, name, *exact);
    without_gil(py, || Ok(columns.iter().map(place).collect::<Result<_, _>>()?))
}

/// The rows of a table as numbers: a column `time` in nanoseconds, and one for each set of columns, with a number for each
/// combination of their values, from 0 as they appear. NULL equals NULL.
#[pyfunction]
pub(crate) fn numbered_rows(
    py: Python<'_>,
    data: ArrowInput,
    event_time: usize,
    sets: Vec<Vec<usize>>,
) -> PyResult<ArrowBatch> {
    without_gil(py, || {
        let table = data.read()?;
        let mut fields = vec![Field::new("time", DataType::Int64, false)];
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::new(times(&table, event_time)?.into(), None))];
        for (place, set) in sets.iter().enumerate() {
            fields.push(Field::new(format!("set_{place}"), DataType::UInt32, false));
            let ids = if set.is_empty() { vec![0; table.num_rows()] } else { key_ids(&table, set)?.ids };
            columns.push(Arc::new(UInt32Array::from(ids)));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
        Ok(ArrowBatch(batch.map_err(|error| NativeError::Event(error.into()))?))
    })
}

fn times(table: &Table, column: usize) -> Result<Vec<i64>, NativeError> {
    let name = table.schema().field(column).name();
    let mut times = Vec::with_capacity(table.num_rows());
    for batch in table.batches() {
        times.extend_from_slice(&event_times(name, batch.column(column), times.len())?);
    }
    Ok(times)
}

/// Symbols, support, median and 95th percentile of the spans.
type Mined = (Vec<u32>, usize, u64, u64);

/// The frequent sequences of a history, whose columns are `key`, `time` and `symbol` in this order.
#[pyfunction]
#[pyo3(signature = (history, *, min_support, min_length, max_length, max_gap_ns, within_ns, max_sequences, keep))]
#[allow(clippy::too_many_arguments, reason = "they are named where it is called")]
pub(crate) fn frequent_sequences(
    py: Python<'_>,
    history: ArrowInput,
    min_support: usize,
    min_length: usize,
    max_length: usize,
    max_gap_ns: Option<u64>,
    within_ns: Option<u64>,
    max_sequences: usize,
    keep: &str,
) -> PyResult<Vec<Mined>> {
    let keep = match keep {
        "closed" => Keep::Closed,
        "maximal" => Keep::Maximal,
        _ => Keep::All,
    };
    let bounds = Bounds { min_support, min_length, max_length, max_gap_ns, within_ns, max_sequences, keep };
    without_gil(py, || {
        let table = history.read()?;
        let [keys, times, symbols] = [0, 1, 2].map(|column| table.slice(column, 0..table.num_rows()));
        let (keys, times, symbols) = (keys?, times?, symbols?);
        let history = History::new(
            keys.as_primitive::<UInt32Type>().values(),
            times.as_primitive::<Int64Type>().values(),
            symbols.as_primitive::<UInt32Type>().values(),
        )?;
        let found = mine(&history, &bounds, &mut interrupted)?;
        Ok(found
            .into_iter()
            .map(|sequence| {
                (sequence.symbols.into(), sequence.support, sequence.span_median_ns, sequence.span_p95_ns)
            })
            .collect())
    })
}

impl From<MiningError> for NativeError {
    fn from(error: MiningError) -> Self {
        Self::Mining(error)
    }
}
