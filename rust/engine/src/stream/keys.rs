//! Keys of rules that keep something of each: when those that nothing is kept of are let go, and how they are written down.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use cepheid_event::{EventError, KeyTable};
use serde::{Deserialize, Serialize};

use super::ipc::{from_ipc, to_ipc};
use super::snapshot::refuse;
use crate::error::EngineError;

/// Keys that nothing is kept of are forgotten once they are so many, and half of all.
const IDLE_KEYS_MAX: usize = 1024;

/// Which keys are to stay, if some are to go. `tidied`: how many there were when that was last asked; `kept` says of which
/// something is kept, which costs a look at each.
pub(super) fn idle_keys(
    keys: &KeyTable,
    tidied: &mut usize,
    kept: impl FnOnce(usize) -> Vec<bool>,
) -> Option<Vec<bool>> {
    if keys.len() < 2 * IDLE_KEYS_MAX || keys.len() < 2 * *tidied {
        return None;
    }
    let kept = kept(keys.len());
    let count = kept.iter().filter(|kept| **kept).count();
    let many = keys.len() - count >= IDLE_KEYS_MAX.max(count);
    *tidied = if many { count } else { keys.len() };
    many.then_some(kept)
}

/// Keys as plain data.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedKeys {
    count: u64,
    /// Their values, by number, in Arrow IPC; without columns there is nothing to write.
    values: Option<Vec<u8>>,
}

/// Keys as plain data.
///
/// # Errors
/// What Arrow refuses.
pub(super) fn save_keys(keys: &KeyTable) -> Result<SavedKeys, EngineError> {
    let numbers: Vec<u32> = (0..keys.len() as u32).collect();
    let columns = keys.values(&numbers)?;
    let field = |(place, column): (usize, &arrow_array::ArrayRef)| {
        Field::new(place.to_string(), column.data_type().clone(), true)
    };
    let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(EventError::from)?;
    let values = (batch.num_columns() > 0).then(|| to_ipc(&batch.schema(), Some(&batch))).transpose()?;
    Ok(SavedKeys { count: keys.len() as u64, values })
}

/// Reads what [`save_keys`] wrote into a table of no keys. `columns`: those of the key, in `schema`.
///
/// # Errors
/// [`EngineError::InvalidSnapshot`].
pub(super) fn load_keys(
    keys: &mut KeyTable,
    saved: &SavedKeys,
    columns: &[usize],
    schema: &Schema,
) -> Result<(), EngineError> {
    let Ok(count) = u32::try_from(saved.count) else { return refuse("it has too many keys") };
    let values = match &saved.values {
        Some(ipc) => from_ipc(ipc)?.columns().to_vec(),
        None => vec![],
    };
    let types_fit = values.len() == columns.len()
        && values.iter().zip(columns).all(|(column, key)| {
            column.len() == count as usize && column.data_type() == schema.field(*key).data_type()
        });
    if !types_fit || values.is_empty() && count > 1 {
        return refuse("its keys are of other columns");
    }
    let numbers = keys.numbers(&values, count as usize)?;
    if !numbers.iter().copied().eq(0..count) {
        return refuse("its keys are not told apart");
    }
    Ok(())
}
