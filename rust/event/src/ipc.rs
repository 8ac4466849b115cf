//! Rows in Arrow IPC, as snapshots hold them.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::root_as_message;
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

/// Where numbers of several bytes stand in rows as [`to_ipc`] has written them: ranges in order, and the bytes of a number.
///
/// A buffer is told by its length: for each row it has a number, or one more, as offsets have. What is no number and as long
/// by chance is taken for one.
///
/// - Cost: O(buffers).
pub fn numbers(bytes: &[u8]) -> Vec<(Range<usize>, usize)> {
    let mut found: Vec<(Range<usize>, usize)> = vec![];
    let mut start = 0;
    // A mark, the length of a head, the head, and a body of the length that it says; the last has no head.
    while let Some(length) = bytes.get(start + 4..start + 8) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
        let body = start + 8 + length as usize;
        let head = bytes.get(start + 8..body).and_then(|head| root_as_message(head).ok());
        let Some(message) = head else { break };
        let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data());
        if let Some(batch) = batch {
            let mut lengths: Vec<i64> = batch.nodes().iter().flatten().map(|node| node.length()).collect();
            lengths.sort_unstable();
            lengths.dedup();
            for buffer in batch.buffers().iter().flatten() {
                let is_of = |width: &i64| {
                    lengths.iter().any(|rows| [rows * width, (rows + 1) * width].contains(&buffer.length()))
                };
                if let Some(width) = [8, 4, 16, 2].into_iter().find(is_of) {
                    let from = body + buffer.offset() as usize;
                    found.push((from..from + buffer.length() as usize, width as usize));
                }
            }
        }
        start = body + message.bodyLength() as usize;
    }
    found
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, EventError> {
    Err(EventError::InvalidState { reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, BooleanArray, Int16Array, Int64Array, LargeStringArray, StringArray};

    use super::*;

    #[test]
    fn numbers_are_found_where_they_stand() {
        let rows = 100;
        let texts = || (0..rows).map(|row| format!("text {row}"));
        let columns: [(&str, ArrayRef); 5] = [
            ("long", Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row * 3)))),
            ("flag", Arc::new(BooleanArray::from_iter((0..rows).map(|row| Some(row % 2 == 0))))),
            ("short", Arc::new(Int16Array::from_iter((0..rows).map(|row| (row != 7).then_some(row as i16))))),
            ("text", Arc::new(StringArray::from_iter_values(texts()))),
            ("wide", Arc::new(LargeStringArray::from_iter_values(texts()))),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let bytes = to_ipc(rows.schema_ref(), Some(&rows)).unwrap();
        let found = numbers(&bytes);
        // Offsets of texts are numbers as well.
        let widths: Vec<_> = found.iter().map(|(range, width)| (*width, range.len() / width)).collect();
        assert_eq!(widths, [(8, 100), (2, 100), (4, 101), (8, 101)]);
        assert!(found.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start));
        for (place, column) in [(0, "long"), (1, "short")] {
            let data = rows.column_by_name(column).unwrap().to_data();
            assert_eq!(bytes[found[place].0.clone()], data.buffers()[0].as_slice()[..found[place].0.len()]);
        }
        assert_eq!(numbers(&to_ipc(rows.schema_ref(), None).unwrap()), []);
        for end in 0..bytes.len() {
            numbers(&bytes[..end]);
        }
    }
}
