//! Conversions that lose nothing and cannot fail, and functions from floats to floats.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use cepheid_ir::Function;

use super::Columnar;
use crate::error::EvalError;
use crate::function::math;

/// The column in `to`, if every value of its type has an equal in `to`; `None` otherwise.
pub(super) fn lossless(column: &Columnar, to: &DataType) -> Result<Option<ArrayRef>, EvalError> {
    use DataType as T;
    let Columnar::Array(array) = column else { return Ok(None) };
    let array = super::decoded_array(array)?;
    let from = array.data_type();
    if from == to {
        return Ok(Some(array));
    }
    let signed = |t: &T| match t {
        T::Int8 => 8,
        T::Int16 => 16,
        T::Int32 => 32,
        T::Int64 => 64,
        _ => 0,
    };
    let unsigned = |t: &T| match t {
        T::UInt8 => 8,
        T::UInt16 => 16,
        T::UInt32 => 32,
        T::UInt64 => 64,
        _ => 0,
    };
    let is_integer = |t: &T| signed(t) + unsigned(t) > 0;
    let fits = match to {
        // The nearest float is what the row definition takes too.
        T::Float64 => is_integer(from) || matches!(from, T::Float16 | T::Float32),
        T::Utf8 => matches!(from, T::LargeUtf8 | T::Utf8View),
        to if signed(to) > 0 => {
            signed(from) > 0 && signed(from) < signed(to) || unsigned(from) > 0 && unsigned(from) < signed(to)
        }
        to if unsigned(to) > 0 => unsigned(from) > 0 && unsigned(from) < unsigned(to),
        _ => false,
    };
    if fits { Ok(Some(arrow_cast::cast(&array, to)?)) } else { Ok(None) }
}

/// A function of one float column.
pub(super) fn of_floats(function: Function, column: &Columnar) -> Result<Option<ArrayRef>, EvalError> {
    use Function::*;
    let Columnar::Array(array) = column else { return Ok(None) };
    if *array.data_type() != DataType::Float64 {
        return Ok(None);
    }
    let floats = array.as_primitive::<Float64Type>();
    let result = match function {
        Abs | Ceil | Floor | Round | Truncate | Sign => {
            floats.unary::<_, Float64Type>(|x| math::shape_float(function, x, 0))
        }
        Sqrt | Cbrt | Exp | Ln | Log2 | Log10 | Sin | Cos | Tan | Asin | Acos | Atan | Degrees | Radians => {
            floats.unary::<_, Float64Type>(|x| math::of_floats(function, x, 0.0))
        }
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(result)))
}
