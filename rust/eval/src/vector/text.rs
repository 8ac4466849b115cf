//! LIKE, IN and simple functions over columns of strings.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray};
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

/// IN over a set of constant strings.
pub(super) fn among(column: &Columnar, set: &ConstantSet) -> Result<Option<ArrayRef>, EvalError> {
    if set.has_null {
        return Ok(None);
    }
    predicate(column, |text| set.values.contains(&Key(text)))
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
