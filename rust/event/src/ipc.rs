//! Rows in Arrow IPC, as snapshots hold them.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Schema, SchemaRef};

use crate::error::EventError;

/// Rows as bytes; `None`: their columns alone.
///
/// # Errors
/// What Arrow refuses.
pub fn to_ipc(schema: &Schema, rows: Option<&RecordBatch>) -> Result<Vec<u8>, EventError> {
    let mut bytes = vec![];
    let mut writer = StreamWriter::try_new(&mut bytes, schema)?;
    if let Some(rows) = rows {
        writer.write(rows)?;
    }
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}

/// The schema and the batches of bytes in Arrow IPC. Fed as a stream, the decoder takes no length on trust before the
/// bytes are there; what it checks by assertions is, for bytes that come from elsewhere, no more than an answer: that
/// they are no rows.
fn read_ipc(bytes: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), EventError> {
    let read = || -> Result<_, arrow_schema::ArrowError> {
        let mut decoder = StreamDecoder::new();
        let mut buffer = Buffer::from(bytes.to_vec());
        let mut batches = vec![];
        while !buffer.is_empty() {
            batches.extend(decoder.decode(&mut buffer)?);
        }
        decoder.finish()?;
        Ok((decoder.schema(), batches))
    };
    match std::panic::catch_unwind(read) {
        Ok(Ok((Some(schema), batches))) => Ok((schema, batches)),
        Ok(Ok((None, _))) => refuse("its rows have no columns"),
        Ok(Err(error)) => refuse(format!("its rows cannot be read: {error}")),
        Err(_) => refuse("its rows cannot be read"),
    }
}

/// The columns of rows that are bytes.
///
/// # Errors
/// [`EventError::InvalidState`]: they are none.
pub fn schema_of(bytes: &[u8]) -> Result<SchemaRef, EventError> {
    Ok(read_ipc(bytes)?.0)
}

/// Rows that are bytes.
///
/// # Errors
/// [`EventError::InvalidState`]: they are none.
pub fn from_ipc(bytes: &[u8]) -> Result<RecordBatch, EventError> {
    let (schema, mut batches) = read_ipc(bytes)?;
    match batches.len() {
        1 => Ok(batches.remove(0)),
        0 => {
            let options = RecordBatchOptions::new().with_row_count(Some(0));
            let columns = schema.fields().iter().map(|field| arrow_array::new_empty_array(field.data_type()));
            Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns.collect(), &options)?)
        }
        _ => refuse("its rows are in pieces"),
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, EventError> {
    Err(EventError::InvalidState { reason: reason.into() })
}
