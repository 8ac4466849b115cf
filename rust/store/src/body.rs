//! Rows as the bytes that the journal holds: Arrow's stream format, compressed with Zstandard as a whole.

use std::cell::RefCell;

use arrow_array::RecordBatch;
use cepheid_event::ipc::{from_ipc, to_ipc};
use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};

use crate::error::StoreError;

/// A SHA-256.
pub type Hash = [u8; 32];

/// Level 1: on event data it is within a few percent of the default's size at twice its speed.
const LEVEL: i32 = 1;

/// Rows of one body, decompressed, in bytes: more are cut, and bytes that say more are damaged. What SQLite takes is less
/// than four times that.
pub(crate) const BYTES_MAX: usize = 256 << 20;

thread_local! {
    /// To make one costs as much memory, fresh from the system, as the rows themselves.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Hashes bytes.
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Rows as bytes.
///
/// Cost: O(bytes), compression above all.
///
/// # Errors
/// What Arrow refuses; [`StoreError::TooLong`]: they have to be cut.
pub fn encode(rows: &RecordBatch) -> Result<Vec<u8>, StoreError> {
    let plain = to_ipc(rows.schema_ref(), Some(rows))?;
    if plain.len() > BYTES_MAX {
        return Err(StoreError::TooLong { what: "a row", bytes: plain.len(), limit: BYTES_MAX });
    }
    let compressed = COMPRESSOR.with_borrow_mut(|compressor| match compressor {
        Some(compressor) => compressor.compress(&plain),
        none => none.insert(Compressor::new(LEVEL)?).compress(&plain),
    });
    compressed.map_err(|error| StoreError::Disk {
        action: "compress rows",
        path: None,
        reason: error.to_string(),
    })
}

/// Rows of bytes that have been checked against their hash.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn decode(bytes: &[u8], position: u64) -> Result<RecordBatch, StoreError> {
    let corrupt = |reason: String| StoreError::corrupt(Some(position), reason);
    let length = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let length = length
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= BYTES_MAX)
        .ok_or_else(|| corrupt("the length of its rows cannot be read".into()))?;
    let plain = DECOMPRESSOR.with_borrow_mut(|decompressor| match decompressor {
        Some(decompressor) => decompressor.decompress(bytes, length),
        none => none.insert(Decompressor::new()?).decompress(bytes, length),
    });
    let plain = plain.map_err(|error| corrupt(error.to_string()))?;
    from_ipc(&plain).map_err(|error| corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn rows_come_back_and_damage_is_an_error() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
        let rows = RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap();
        let bytes = encode(&rows.slice(1, 2)).unwrap();
        assert_eq!(decode(&bytes, 0).unwrap(), rows.slice(1, 2));
        let mut refused = 0;
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x40;
            // Without the hash some damage is no error, but never a panic.
            refused += usize::from(decode(&damaged, 0).is_err());
            assert!(decode(&bytes[..place], 0).is_err());
        }
        assert!(refused > bytes.len() / 4, "{refused} of {}", bytes.len());
    }
}
