//! Membership, LIKE and other predicates, above all of strings.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use hashbrown::Equivalent;

use super::Columnar;
use crate::error::EvalError;
use crate::typed::ConstantSet;
use crate::value::Value;

/// A predicate of each string; NULL of NULL. `None` if the column holds no strings.
pub(super) fn predicate(
    column: &Columnar,
    holds: impl Fn(&str) -> bool,
) -> Result<Option<ArrayRef>, EvalError> {
    let Columnar::Array(array) = column else { return Ok(None) };
    let array = super::decoded_array(array)?;
    let rows = array.len();
    let bits = match array.data_type() {
        DataType::Utf8 => {
            let strings = array.as_string::<i32>();
            BooleanBuffer::collect_bool(rows, |row| strings.is_valid(row) && holds(strings.value(row)))
        }
        DataType::LargeUtf8 => {
            let strings = array.as_string::<i64>();
            BooleanBuffer::collect_bool(rows, |row| strings.is_valid(row) && holds(strings.value(row)))
        }
        DataType::Utf8View => {
            let strings = array.as_string_view();
            BooleanBuffer::collect_bool(rows, |row| strings.is_valid(row) && holds(strings.value(row)))
        }
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(BooleanArray::new(bits, array.logical_nulls()))))
}

/// IN over a set of constant strings or integers.
pub(super) fn among(column: &Columnar, set: &ConstantSet) -> Result<Option<ArrayRef>, EvalError> {
    if set.has_null {
        return Ok(None);
    }
    if let Columnar::Array(array) = column
        && let Some(array) = integers(array)?
    {
        let values = array.values();
        let bits =
            BooleanBuffer::collect_bool(array.len(), |row| set.values.contains(&Value::Integer(values[row])));
        return Ok(Some(Arc::new(BooleanArray::new(bits, array.nulls().cloned()))));
    }
    predicate(column, |text| set.values.contains(&Key(text)))
}

/// The column as int64, if its type is an integer that fits.
fn integers(array: &ArrayRef) -> Result<Option<Int64Array>, EvalError> {
    use DataType as T;
    match array.data_type() {
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 => {
            let array = arrow_cast::cast(array, &T::Int64)?;
            Ok(Some(array.as_primitive::<Int64Type>().clone()))
        }
        _ => Ok(None),
    }
}

/// A borrowed string that hashes and compares as [`Value::String`].
struct Key<'a>(&'a str);

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<Value> for Key<'_> {
    fn equivalent(&self, value: &Value) -> bool {
        matches!(value, Value::String(text) if **text == *self.0)
    }
}
