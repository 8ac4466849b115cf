//! Rows picked out of batches, column by column: on several threads, where rules may have them and the rows are many.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt16Type, UInt64Type};
use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use cepheid_event::{EventError, MergedBatch};
use cepheid_matcher::threads::Workers;

use super::EngineOptions;
use crate::error::EngineError;

/// What rows have beside the columns of their batch: time, topic and arrival.
const BESIDE: usize = 3;

impl EngineOptions {
    /// Those who share work that is done by columns or by shards, on so many rows.
    pub(super) fn workers(&self, rows: usize) -> Workers<'static> {
        Workers { threads: self.threads_for(rows), ..Workers::default() }
    }
}

/// A column of rows that have `merged` of them; those behind are what they have beside. `None`: from before the topic that has
/// the column was known.
pub(super) fn column(rows: &MergedBatch, merged: usize, index: usize) -> Option<ArrayRef> {
    Some(match index.checked_sub(merged) {
        None => return rows.batch.columns().get(index).cloned(),
        Some(0) => Arc::new(Int64Array::new(rows.time.clone(), None)),
        Some(1) => Arc::new(UInt16Array::new(rows.topic.clone(), None)),
        Some(_) => Arc::new(UInt64Array::new(rows.arrival.clone(), None)),
    })
}

/// Rows made column by column. `column`: as [`column`] numbers them.
///
/// # Errors
/// That of the first column that has one.
pub(super) fn by_columns(
    schema: &SchemaRef,
    rows: usize,
    workers: Workers<'_>,
    column: impl Fn(usize) -> Result<ArrayRef, EngineError> + Sync,
) -> Result<MergedBatch, EngineError> {
    let merged = schema.fields().len();
    let numbers: Vec<usize> = (0..merged + BESIDE).collect();
    let made = workers.share(&numbers, |index, _| column(*index), Result::is_err)?;
    let mut made = made.into_iter().collect::<Result<Vec<ArrayRef>, EngineError>>()?;
    let beside = made.split_off(merged);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), made, &options);
    Ok(MergedBatch {
        batch: batch.map_err(EventError::from)?,
        time: beside[0].as_primitive::<Int64Type>().values().clone(),
        topic: beside[1].as_primitive::<UInt16Type>().values().clone(),
        arrival: beside[2].as_primitive::<UInt64Type>().values().clone(),
    })
}

/// The rows of a batch in these places.
pub(super) fn picked(
    from: &MergedBatch,
    places: Vec<u32>,
    workers: Workers<'_>,
) -> Result<MergedBatch, EngineError> {
    let schema = from.batch.schema();
    let merged = schema.fields().len();
    let rows = places.len();
    let places = UInt32Array::from(places);
    by_columns(&schema, rows, workers, |index| {
        let column = column(from, merged, index).expect("a batch has all of its columns");
        Ok(take(&column, &places, None).map_err(EventError::from)?)
    })
}
