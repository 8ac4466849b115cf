//! Expressions of one dictionary column: worked out once for each entry of the dictionary, not for each row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, UInt32Array, downcast_dictionary_array, new_null_array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use super::Columnar;
use super::bits::pack;
use crate::error::EvalError;
use crate::typed::{Kind, Node, Reads};

/// The node's values, if it reads one dictionary column only and that pays.
pub(super) fn evaluate(node: &Node, slots: &[ArrayRef], rows: usize) -> Result<Option<Columnar>, EvalError> {
    let Reads::One(index) = node.reads else { return Ok(None) };
    if matches!(node.kind, Kind::Slot(_)) || !matches!(slots[index].data_type(), DataType::Dictionary(..)) {
        return Ok(None);
    }
    let array = slots[index].as_ref();
    let (keys, values) = downcast_dictionary_array! {
        array => {
            if array.values().len() >= rows {
                return Ok(None);
            }
            places(array)
        }
        _ => return Ok(None)
    };
    // NULL keys point to an entry of their own: IS NULL and COALESCE see it too.
    let entries = match values {
        (values, false) => values,
        (values, true) => {
            let null = new_null_array(values.data_type(), 1);
            arrow_select::concat::concat(&[values.as_ref(), null.as_ref()])?
        }
    };
    let entry_count = entries.len();
    let mut substituted = slots.to_vec();
    substituted[index] = entries;
    let mapped = match super::evaluate(node, &substituted, entry_count) {
        // Perhaps of an entry that no row refers to.
        Err(error) if error.is_data_error() => return Ok(None),
        mapped => mapped?,
    };
    Ok(Some(match mapped {
        Columnar::Constant(value) => Columnar::Constant(value),
        Columnar::Array(mapped) => Columnar::Array(match mapped.as_boolean_opt() {
            Some(truth) => spread(truth, &keys),
            None => arrow_select::take::take(&mapped, &UInt32Array::from(keys), None)?,
        }),
    }))
}

/// For each row the place of its entry, and the entries; whether NULL keys point one past the last of them.
fn places<K: ArrowDictionaryKeyType>(array: &DictionaryArray<K>) -> (Vec<u32>, (ArrayRef, bool)) {
    use arrow_buffer::ArrowNativeType;
    let values = Arc::clone(array.values());
    let keys = array.keys();
    let place = |key: K::Native| key.as_usize() as u32;
    if keys.null_count() == 0 {
        return (keys.values().iter().map(|key| place(*key)).collect(), (values, false));
    }
    let null_place = values.len() as u32;
    (keys.iter().map(|key| key.map_or(null_place, place)).collect(), (values, true))
}

/// What is true of entries, for each row.
fn spread(truth: &BooleanArray, keys: &[u32]) -> ArrayRef {
    let mut entries = truth.values().set_indices();
    let bits = match (entries.next(), entries.next()) {
        // A column equals a constant: numbers are compared, many at once, and none is looked up.
        (Some(only), None) => pack(keys, |key| key == only as u32),
        _ => {
            let is_true: Vec<bool> = truth.values().iter().collect();
            pack(keys, |key| is_true[key as usize])
        }
    };
    let nulls = super::bits::some_nulls(truth.nulls()).map(|nulls| {
        let is_valid: Vec<bool> = nulls.iter().collect();
        NullBuffer::new(pack(keys, |key| is_valid[key as usize]))
    });
    Arc::new(BooleanArray::new(bits, nulls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_true_of_entries_is_true_of_their_rows_however_many_are() {
        let mut compared = 0;
        for few in 0..4 {
            for with_null in [false, true] {
                for rows in [0, 1, 63, 64, 65, 1000] {
                    let bits = (0..7).map(|entry| entry < few).collect();
                    // One NULL where a bit may be set, and one where none is.
                    let nulls = with_null.then(|| (0..7).map(|entry| entry != 0 && entry != 5).collect());
                    let truth = BooleanArray::new(bits, nulls);
                    let keys: Vec<u32> = (0..rows).map(|row| row * row % 13 % 7).collect();
                    let expected = BooleanArray::from_iter(
                        keys.iter()
                            .map(|key| truth.is_valid(*key as usize).then(|| truth.value(*key as usize))),
                    );
                    assert_eq!(spread(&truth, &keys).as_boolean(), &expected);
                    compared += rows;
                }
            }
        }
        assert!(compared > 9_000, "{compared}");
    }
}
