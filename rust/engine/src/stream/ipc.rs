//! Rows in Arrow IPC, as snapshots hold them.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use cepheid_event::{EventError, ipc};

use super::snapshot::refuse;
use crate::error::EngineError;

pub(super) use cepheid_event::ipc::to_ipc;

pub(super) fn schema_of(bytes: &[u8]) -> Result<SchemaRef, EngineError> {
    ipc::schema_of(bytes).or_else(refused)
}

pub(super) fn from_ipc(bytes: &[u8]) -> Result<RecordBatch, EngineError> {
    ipc::from_ipc(bytes).or_else(refused)
}

/// Of bytes that are no rows the snapshot is told, not the stream.
fn refused<T>(error: EventError) -> Result<T, EngineError> {
    match error {
        EventError::InvalidState { reason } => refuse(reason),
        other => Err(other.into()),
    }
}
