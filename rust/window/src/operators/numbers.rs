//! Columns of numbers, ready to be read.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, new_null_array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use cepheid_eval::EvalError;

/// Values, and which of them are there.
pub(crate) struct Numbers<T: arrow_buffer::ArrowNativeType> {
    pub(crate) values: ScalarBuffer<T>,
    nulls: Option<NullBuffer>,
}

impl<T: arrow_buffer::ArrowNativeType> Numbers<T> {
    fn of<P: ArrowPrimitiveType<Native = T>>(array: &dyn Array) -> Self {
        let array = array.as_primitive::<P>();
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        Self { values: array.values().clone(), nulls }
    }

    /// The value of a row; `None`: NULL.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        match &self.nulls {
            Some(nulls) if nulls.is_null(row) => None,
            _ => Some(self.values[row]),
        }
    }

    /// Calls `add` with the state and the value of every row that has one.
    #[inline]
    pub(crate) fn each<S>(
        &self,
        states: &mut [S],
        slots: &[u32],
        first_row: usize,
        mut add: impl FnMut(&mut S, T),
    ) {
        let values = &self.values[first_row..first_row + slots.len()];
        match &self.nulls {
            None => {
                for (slot, value) in slots.iter().zip(values) {
                    add(&mut states[*slot as usize], *value);
                }
            }
            Some(nulls) => {
                for (row, (slot, value)) in slots.iter().zip(values).enumerate() {
                    if nulls.is_valid(first_row + row) {
                        add(&mut states[*slot as usize], *value);
                    }
                }
            }
        }
    }
}

impl<T: arrow_buffer::ArrowNativeType> Numbers<T> {
    /// Calls `add` with the slot of every row that has no value.
    pub(crate) fn each_null(&self, slots: &[u32], first_row: usize, mut add: impl FnMut(u32)) {
        let Some(nulls) = &self.nulls else { return };
        for (row, slot) in slots.iter().enumerate() {
            if nulls.is_null(first_row + row) {
                add(*slot);
            }
        }
    }
}

/// Floats of any width, and integers as floats.
pub(crate) fn floats(array: &ArrayRef) -> Result<Numbers<f64>, EvalError> {
    if array.data_type() == &DataType::Float64 {
        return Ok(Numbers::of::<Float64Type>(array));
    }
    Ok(Numbers::of::<Float64Type>(&arrow_cast::cast(array, &DataType::Float64)?))
}

/// Integers of any width, and times and durations as what they count.
pub(crate) fn integers(array: &ArrayRef) -> Result<Numbers<i64>, EvalError> {
    if array.data_type() == &DataType::Int64 {
        return Ok(Numbers::of::<Int64Type>(array));
    }
    Ok(Numbers::of::<Int64Type>(&arrow_cast::cast(array, &DataType::Int64)?))
}

/// A value for each state that has one.
pub(crate) fn present<S>(states: &[S], is_there: impl Fn(&S) -> bool, value: impl Fn(&S) -> f64) -> ArrayRef {
    let values: Vec<f64> = states.iter().map(value).collect();
    let all = states.iter().all(&is_there);
    let nulls = (!all).then(|| NullBuffer::from_iter(states.iter().map(is_there)));
    std::sync::Arc::new(arrow_array::Float64Array::new(values.into(), nulls))
}

/// Integers in the type that they are of.
pub(crate) fn in_type(integers: Int64Array, data_type: &DataType) -> Result<ArrayRef, EvalError> {
    let integers: ArrayRef = std::sync::Arc::new(integers);
    match data_type {
        DataType::Int64 => Ok(integers),
        DataType::Null => Ok(new_null_array(data_type, integers.len())),
        _ => Ok(arrow_cast::cast(&integers, data_type)?),
    }
}

/// The greatest of integers, whatever their sign; as much as there is if they are of another type.
pub(crate) fn greatest(array: &ArrayRef) -> u64 {
    let Ok(numbers) = integers(array) else { return u64::MAX };
    // Values under a NULL count too: they make it no smaller.
    numbers.values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0)
}
