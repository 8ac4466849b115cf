//! Keys that are strings: short ones are numbers.

use arrow_array::types::{BinaryType, ByteArrayType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use arrow_array::{Array, GenericByteArray, cast::AsArray};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

use crate::key::{Interner, KeyIds};
use crate::table::Table;

/// Strings of up to so many bytes are numbers of 128 bits: their bytes, and their length in the last one.
const SHORT_MAX: usize = 15;

/// `None`: the column is not of strings or bytes with offsets.
pub(crate) fn string_ids(table: &Table, column: usize) -> Option<KeyIds> {
    Some(match table.schema().field(column).data_type() {
        DataType::Utf8 => byte_ids::<Utf8Type>(table, column),
        DataType::LargeUtf8 => byte_ids::<LargeUtf8Type>(table, column),
        DataType::Binary => byte_ids::<BinaryType>(table, column),
        DataType::LargeBinary => byte_ids::<LargeBinaryType>(table, column),
        _ => return None,
    })
}

/// Ids of strings under construction.
#[derive(Default)]
struct Strings<'a> {
    short: Interner<u128>,
    long: Interner<&'a [u8]>,
    null: Option<u32>,
    count: u32,
}

impl<'a> Strings<'a> {
    fn number(&mut self, data: &'a [u8], start: usize, end: usize) -> u32 {
        let next = &mut self.count;
        if end - start <= SHORT_MAX {
            self.short.number_of(packed(data, start, end), next)
        } else {
            self.long.number_of(&data[start..end], next)
        }
    }

    fn null(&mut self) -> u32 {
        *self.null.get_or_insert_with(|| {
            self.count += 1;
            self.count - 1
        })
    }
}

/// A short string as a number that no other has.
#[inline]
fn packed(data: &[u8], start: usize, end: usize) -> u128 {
    let length = end - start;
    let bytes = match data.get(start..start + 16) {
        // What stands behind it is of the next ones.
        Some(sixteen) => {
            let mask = (1_u128 << (8 * length)) - 1;
            u128::from_le_bytes(sixteen.try_into().expect("sixteen bytes")) & mask
        }
        None => {
            let mut sixteen = [0; 16];
            sixteen[..length].copy_from_slice(&data[start..end]);
            u128::from_le_bytes(sixteen)
        }
    };
    bytes | (length as u128) << 120
}

fn byte_ids<T: ByteArrayType>(table: &Table, column: usize) -> KeyIds {
    let mut ids = Vec::with_capacity(table.num_rows());
    let mut strings = Strings::default();
    for batch in table.batches() {
        let array: &GenericByteArray<T> = batch.column(column).as_bytes();
        let data = array.value_data();
        let bounds = array.value_offsets().windows(2).map(|pair| (pair[0].as_usize(), pair[1].as_usize()));
        match array.nulls() {
            None => ids.extend(bounds.map(|(start, end)| strings.number(data, start, end))),
            Some(nulls) => ids.extend(bounds.zip(nulls).map(|((start, end), valid)| {
                if valid { strings.number(data, start, end) } else { strings.null() }
            })),
        }
    }
    KeyIds::counted(ids, strings.count)
}
