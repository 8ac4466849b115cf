//! Rows as the bytes that the journal holds: Arrow's stream format, of which the numbers are put into planes, compressed
//! with Zstandard as a whole.
//!
//! In front of what is compressed stand a mark and the layout of the planes. Bodies of stores of the formats 1 and 2 have
//! neither.

use std::cell::RefCell;
use std::ops::Range;

use arrow_array::RecordBatch;
use cepheid_event::ipc::{from_ipc, numbers, to_ipc};
use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};

use crate::error::StoreError;
use crate::planes::{self, Layout};

/// A SHA-256.
pub type Hash = [u8; 32];

/// Level 1: on event data it is within a few percent of the default's size at twice its speed.
const LEVEL: i32 = 1;

/// Rows of one body, decompressed, in bytes: more are cut, and bytes that say more are damaged. What SQLite takes is less
/// than four times that.
pub(crate) const BYTES_MAX: usize = 256 << 20;

/// What a body with a layout begins with: Zstandard begins with another byte.
const MARK: u8 = 1;

/// Numbers of fewer bytes together are left as they are: a layout would take more than it gives.
const PLANES_BYTES_MIN: usize = 512;

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
    let is_long = |(range, _): &(Range<usize>, usize)| range.len() >= PLANES_BYTES_MIN;
    let numbers: Vec<(Range<usize>, usize)> = numbers(&plain).into_iter().filter(is_long).collect();
    let (layout, split) = planes::split(&plain, &numbers);
    let layout = postcard::to_extend(&layout, vec![MARK]).expect("plain data can be written to memory");
    let compressed = COMPRESSOR.with_borrow_mut(|compressor| match compressor {
        Some(compressor) => compressor.compress(&split),
        none => none.insert(Compressor::new(LEVEL)?).compress(&split),
    });
    let compressed = compressed.map_err(|error| StoreError::Disk {
        action: "compress rows",
        path: None,
        reason: error.to_string(),
    })?;
    Ok([layout, compressed].concat())
}

/// Rows of bytes that have been checked against their hash.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn decode(bytes: &[u8], position: u64) -> Result<RecordBatch, StoreError> {
    let corrupt = |reason: String| StoreError::corrupt(Some(position), reason);
    let (layout, bytes) = match bytes.split_first() {
        Some((&MARK, rest)) => {
            let (layout, bytes) = postcard::take_from_bytes::<Layout>(rest)
                .map_err(|error| corrupt(format!("the layout of its rows: {error}")))?;
            (Some(layout), bytes)
        }
        _ => (None, bytes),
    };
    let length = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let length = length
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= BYTES_MAX)
        .ok_or_else(|| corrupt("the length of its rows cannot be read".into()))?;
    let plain = DECOMPRESSOR.with_borrow_mut(|decompressor| match decompressor {
        Some(decompressor) => decompressor.decompress(bytes, length),
        none => none.insert(Decompressor::new()?).decompress(bytes, length),
    });
    let mut plain = plain.map_err(|error| corrupt(error.to_string()))?;
    if let Some(layout) = layout {
        plain = planes::join(&layout, &plain)
            .ok_or_else(|| corrupt("its rows are not as long as said".into()))?;
    }
    from_ipc(&plain).map_err(|error| corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn rows(length: i64) -> RecordBatch {
        let ids: ArrayRef =
            Arc::new(Int64Array::from_iter((0..length).map(|row| (row % 3 != 1).then_some(row * 7))));
        let texts = (0..length).map(|row| ["a", "bc", ""][row as usize % 3]);
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
    }

    #[test]
    fn rows_come_back_and_damage_is_an_error() {
        // Too few for planes, and enough.
        for (length, planes) in [(3, 0), (300, 2)] {
            let rows = rows(length);
            let bytes = encode(&rows.slice(1, length as usize - 1)).unwrap();
            assert_eq!(decode(&bytes, 0).unwrap(), rows.slice(1, length as usize - 1));
            let (layout, _) = postcard::take_from_bytes::<Layout>(&bytes[1..]).unwrap();
            let found = layout.iter().filter(|(_, kept)| *kept != planes::Kept::Plain).count();
            assert_eq!((bytes[0], found), (MARK, planes));
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

    #[test]
    fn bodies_without_a_layout_are_read_as_they_were_written() {
        let rows = rows(300);
        let plain = to_ipc(rows.schema_ref(), Some(&rows)).unwrap();
        let body = Compressor::new(LEVEL).unwrap().compress(&plain).unwrap();
        assert_eq!(decode(&body, 0).unwrap(), rows);
        assert!(encode(&rows).unwrap().len() < body.len());
    }
}
