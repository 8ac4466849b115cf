//! Comparisons over columns. What has no kernel here is left to the row definition: `None`.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Scalar, StringViewArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, TimeUnit};
use cepheid_ir::BinaryOp;

use super::Columnar;
use super::bits::{pack, pack_pairs, some_nulls};
use crate::column_reader::as_int64;
use crate::decimal;
use crate::error::EvalError;
use crate::value::Value;
use crate::value_array::rescale_ticks;

/// `left op right`; `None` if there is no kernel for the types.
pub(super) fn compare(
    op: BinaryOp,
    left: &Columnar,
    right: &Columnar,
) -> Result<Option<BooleanArray>, EvalError> {
    match (left, right) {
        (Columnar::Array(left), Columnar::Constant(right)) => with_constant(op, left, right),
        (Columnar::Constant(left), Columnar::Array(right)) => with_constant(op.mirrored(), right, left),
        (Columnar::Array(left), Columnar::Array(right)) => pairs(op, left, right),
        (Columnar::Constant(_), Columnar::Constant(_)) => Ok(None),
    }
}

fn with_constant(
    op: BinaryOp,
    array: &ArrayRef,
    constant: &Value,
) -> Result<Option<BooleanArray>, EvalError> {
    let array = &super::decoded_array(array)?;
    if constant.is_null() {
        return Ok(Some(match op {
            BinaryOp::IsDistinctFrom => match array.logical_nulls() {
                Some(nulls) => BooleanArray::new(nulls.into_inner(), None),
                None => BooleanArray::new(BooleanBuffer::new_set(array.len()), None),
            },
            _ => BooleanArray::new_null(array.len()),
        }));
    }
    let Some(bits) = constant_bits(op, array, constant)? else { return Ok(None) };
    Ok(Some(with_nulls(op, bits, array.logical_nulls().as_ref(), None)))
}

/// Bits of the comparison, of no meaning where a side is NULL. IS DISTINCT FROM counts as `<>`.
fn constant_bits(
    op: BinaryOp,
    array: &ArrayRef,
    constant: &Value,
) -> Result<Option<BooleanBuffer>, EvalError> {
    use DataType as T;
    let integer = if let Value::Integer(value) = constant { Some(*value) } else { None };
    let float = if let Value::Float(value) = constant { Some(*value) } else { None };
    macro_rules! integers {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>().values();
            match (integer, float) {
                (Some(c), _) => match <$type as ArrowPrimitiveType>::Native::try_from(c) {
                    Ok(c) => Some(against(op, values, c)),
                    // Out of the column's range: every value lies on one side of it.
                    Err(_) => Some(one_sided(op, values.len(), c < 0)),
                },
                (None, Some(c)) => Some(floats_against(op, values, |v| v as f64, c)),
                _ => None,
            }
        }};
    }
    Ok(match array.data_type() {
        T::Int8 => integers!(Int8Type),
        T::Int16 => integers!(Int16Type),
        T::Int32 => integers!(Int32Type),
        T::Int64 => integers!(Int64Type),
        T::UInt8 => integers!(UInt8Type),
        T::UInt16 => integers!(UInt16Type),
        T::UInt32 => integers!(UInt32Type),
        T::UInt64 => match constant {
            Value::Unsigned(c) => Some(against(op, array.as_primitive::<UInt64Type>().values(), *c)),
            _ => integers!(UInt64Type),
        },
        T::Float32 => constant
            .as_float()
            .map(|c| floats_against(op, array.as_primitive::<Float32Type>().values(), f64::from, c)),
        T::Float64 => constant
            .as_float()
            .map(|c| floats_against(op, array.as_primitive::<Float64Type>().values(), |v| v, c)),
        T::Decimal128(_, scale) => {
            // Finer digits than the column's would be rounded away.
            let exact = constant
                .as_decimal()
                .filter(|(_, from)| from <= scale)
                .and_then(|(c, from)| decimal::rescale(c, from, *scale).ok());
            exact.map(|c| against(op, array.as_primitive::<Decimal128Type>().values(), c))
        }
        T::Date32 => match constant {
            Value::Date(c) => Some(against(op, array.as_primitive::<Date32Type>().values(), *c)),
            _ => None,
        },
        T::Time64(TimeUnit::Nanosecond) => match constant {
            Value::Time(c) => Some(against(op, array.as_primitive::<Time64NanosecondType>().values(), *c)),
            _ => None,
        },
        T::Timestamp(unit, _) | T::Duration(unit) => {
            let (Value::Timestamp { value, unit: from, .. } | Value::Duration { value, unit: from }) =
                constant
            else {
                return Ok(None);
            };
            let values = as_int64(array);
            rescale_ticks(*value, *from, *unit).map(|floor| {
                // A constant between two ticks of the column is none of its values.
                if rescale_ticks(floor, *unit, *from) == Some(*value) {
                    against(op, values.values(), floor)
                } else {
                    against_between(op, values.values(), floor)
                }
            })
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => match constant {
            Value::String(text) => {
                let scalar: ArrayRef = match array.data_type() {
                    T::Utf8 => std::sync::Arc::new(arrow_array::StringArray::from_iter_values([&**text])),
                    T::LargeUtf8 => {
                        std::sync::Arc::new(arrow_array::LargeStringArray::from_iter_values([&**text]))
                    }
                    _ => std::sync::Arc::new(StringViewArray::from_iter_values([&**text])),
                };
                Some(by_arrow(op, array, &Scalar::new(scalar))?)
            }
            _ => None,
        },
        T::Boolean => match constant {
            Value::Boolean(c) => Some(by_arrow(op, array, &BooleanArray::new_scalar(*c))?),
            _ => None,
        },
        _ => None,
    })
}

fn pairs(op: BinaryOp, left: &ArrayRef, right: &ArrayRef) -> Result<Option<BooleanArray>, EvalError> {
    let (left, right) = (super::decoded_array(left)?, super::decoded_array(right)?);
    let Some((left, right)) = same_type(left, right)? else { return Ok(None) };
    use DataType as T;
    macro_rules! native {
        ($type:ty) => {{
            let (l, r) = (left.as_primitive::<$type>().values(), right.as_primitive::<$type>().values());
            Some(between(op, l, r))
        }};
    }
    let bits = match left.data_type() {
        T::Int8 => native!(Int8Type),
        T::Int16 => native!(Int16Type),
        T::Int32 => native!(Int32Type),
        T::Int64 => native!(Int64Type),
        T::UInt8 => native!(UInt8Type),
        T::UInt16 => native!(UInt16Type),
        T::UInt32 => native!(UInt32Type),
        T::UInt64 => native!(UInt64Type),
        T::Date32 => native!(Date32Type),
        T::Decimal128(..) => native!(Decimal128Type),
        T::Float32 => {
            let (l, r) =
                (left.as_primitive::<Float32Type>().values(), right.as_primitive::<Float32Type>().values());
            Some(floats_between(op, l, r, f64::from))
        }
        T::Float64 => {
            let (l, r) =
                (left.as_primitive::<Float64Type>().values(), right.as_primitive::<Float64Type>().values());
            Some(floats_between(op, l, r, |v| v))
        }
        T::Timestamp(..) | T::Duration(_) => {
            Some(between(op, as_int64(&left).values(), as_int64(&right).values()))
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Boolean => Some(by_arrow(op, &left, &right)?),
        _ => None,
    };
    Ok(bits.map(|bits| with_nulls(op, bits, left.logical_nulls().as_ref(), right.logical_nulls().as_ref())))
}

/// Both sides in one type, if they can be without a change of value.
fn same_type(left: ArrayRef, right: ArrayRef) -> Result<Option<(ArrayRef, ArrayRef)>, EvalError> {
    use DataType as T;
    let (l, r) = (left.data_type(), right.data_type());
    let narrow =
        |t: &T| matches!(t, T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32);
    let float = |t: &T| matches!(t, T::Float16 | T::Float32 | T::Float64);
    let text = |t: &T| matches!(t, T::Utf8 | T::LargeUtf8 | T::Utf8View);
    let shared = match (l, r) {
        (T::Decimal128(_, ls), T::Decimal128(_, rs)) if ls == rs => return Ok(Some((left, right))),
        (T::Timestamp(lu, lz), T::Timestamp(ru, rz)) if lu == ru && lz.is_some() == rz.is_some() => {
            return Ok(Some((left, right)));
        }
        (T::Float16, T::Float16) => T::Float64,
        (l, r) if l == r => return Ok(Some((left, right))),
        (l, r) if narrow(l) && narrow(r) => T::Int64,
        (l, r) if float(l) && (float(r) || narrow(r) || *r == T::UInt64) => T::Float64,
        (l, r) if float(r) && (narrow(l) || *l == T::UInt64) => T::Float64,
        (l, r) if text(l) && text(r) => T::Utf8View,
        _ => return Ok(None),
    };
    Ok(Some((arrow_cast::cast(&left, &shared)?, arrow_cast::cast(&right, &shared)?)))
}

#[inline]
fn against<T: Copy + Ord>(op: BinaryOp, values: &[T], c: T) -> BooleanBuffer {
    match op {
        BinaryOp::Equal => pack(values, |v| v == c),
        BinaryOp::Less => pack(values, |v| v < c),
        BinaryOp::LessOrEqual => pack(values, |v| v <= c),
        BinaryOp::Greater => pack(values, |v| v > c),
        BinaryOp::GreaterOrEqual => pack(values, |v| v >= c),
        _ => pack(values, |v| v != c),
    }
}

/// Against a constant between `floor` and the next value.
#[inline]
fn against_between<T: Copy + Ord>(op: BinaryOp, values: &[T], floor: T) -> BooleanBuffer {
    match op {
        BinaryOp::Equal => BooleanBuffer::new_unset(values.len()),
        BinaryOp::Less | BinaryOp::LessOrEqual => pack(values, |v| v <= floor),
        BinaryOp::Greater | BinaryOp::GreaterOrEqual => pack(values, |v| v > floor),
        _ => BooleanBuffer::new_set(values.len()),
    }
}

#[inline]
fn between<T: Copy + Ord>(op: BinaryOp, left: &[T], right: &[T]) -> BooleanBuffer {
    match op {
        BinaryOp::Equal => pack_pairs(left, right, |l, r| l == r),
        BinaryOp::Less => pack_pairs(left, right, |l, r| l < r),
        BinaryOp::LessOrEqual => pack_pairs(left, right, |l, r| l <= r),
        BinaryOp::Greater => pack_pairs(left, right, |l, r| l > r),
        BinaryOp::GreaterOrEqual => pack_pairs(left, right, |l, r| l >= r),
        _ => pack_pairs(left, right, |l, r| l != r),
    }
}

/// Every value is greater (`above`) or less than the constant.
fn one_sided(op: BinaryOp, rows: usize, above: bool) -> BooleanBuffer {
    let holds = match op {
        BinaryOp::Equal => false,
        BinaryOp::Less | BinaryOp::LessOrEqual => !above,
        BinaryOp::Greater | BinaryOp::GreaterOrEqual => above,
        _ => true,
    };
    if holds { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) }
}

/// Less in the total order in which NaN equals itself and exceeds everything.
#[inline]
fn less(left: f64, right: f64) -> bool {
    // Two comparisons rather than four: `>=` is false also where the right side is NaN.
    !left.is_nan() & !matches!(left.partial_cmp(&right), Some(order) if order.is_ge())
}

#[inline]
fn equal(left: f64, right: f64) -> bool {
    (left == right) | (left.is_nan() & right.is_nan())
}

#[inline]
fn floats_against<T: Copy>(op: BinaryOp, values: &[T], float: impl Fn(T) -> f64, c: f64) -> BooleanBuffer {
    if c.is_nan() {
        return match op {
            BinaryOp::Equal | BinaryOp::GreaterOrEqual => pack(values, |v| float(v).is_nan()),
            BinaryOp::Greater => BooleanBuffer::new_unset(values.len()),
            BinaryOp::LessOrEqual => BooleanBuffer::new_set(values.len()),
            _ => pack(values, |v| !float(v).is_nan()),
        };
    }
    match op {
        BinaryOp::Equal => pack(values, |v| float(v) == c),
        BinaryOp::Less => pack(values, |v| float(v) < c),
        BinaryOp::LessOrEqual => pack(values, |v| float(v) <= c),
        // NaN exceeds the constant: the complement of less-or-equal, not `>`.
        BinaryOp::Greater => pack(values, |v| !matches!(float(v).partial_cmp(&c), Some(o) if o.is_le())),
        BinaryOp::GreaterOrEqual => {
            pack(values, |v| !matches!(float(v).partial_cmp(&c), Some(o) if o.is_lt()))
        }
        _ => pack(values, |v| float(v) != c),
    }
}

#[inline]
fn floats_between<T: Copy>(op: BinaryOp, left: &[T], right: &[T], float: impl Fn(T) -> f64) -> BooleanBuffer {
    match op {
        BinaryOp::Equal => pack_pairs(left, right, |l, r| equal(float(l), float(r))),
        BinaryOp::Less => pack_pairs(left, right, |l, r| less(float(l), float(r))),
        BinaryOp::LessOrEqual => pack_pairs(left, right, |l, r| !less(float(r), float(l))),
        BinaryOp::Greater => pack_pairs(left, right, |l, r| less(float(r), float(l))),
        BinaryOp::GreaterOrEqual => pack_pairs(left, right, |l, r| !less(float(l), float(r))),
        _ => pack_pairs(left, right, |l, r| !equal(float(l), float(r))),
    }
}

/// Strings and booleans, whose order in Arrow is ours.
fn by_arrow(
    op: BinaryOp,
    left: &dyn arrow_array::Datum,
    right: &dyn arrow_array::Datum,
) -> Result<BooleanBuffer, EvalError> {
    use arrow_ord::cmp;
    let compared = match op {
        BinaryOp::Equal => cmp::eq(left, right),
        BinaryOp::Less => cmp::lt(left, right),
        BinaryOp::LessOrEqual => cmp::lt_eq(left, right),
        BinaryOp::Greater => cmp::gt(left, right),
        BinaryOp::GreaterOrEqual => cmp::gt_eq(left, right),
        _ => cmp::neq(left, right),
    }?;
    Ok(compared.values().clone())
}

/// Puts the nulls of both sides on the bits.
fn with_nulls(
    op: BinaryOp,
    bits: BooleanBuffer,
    left: Option<&NullBuffer>,
    right: Option<&NullBuffer>,
) -> BooleanArray {
    let (left, right) = (some_nulls(left), some_nulls(right));
    if op != BinaryOp::IsDistinctFrom {
        return BooleanArray::new(bits, NullBuffer::union(left, right));
    }
    let bits = match (left, right) {
        (None, None) => bits,
        // Where one side is NULL the other is not: distinct.
        (Some(valid), None) | (None, Some(valid)) => &bits | &!valid.inner(),
        (Some(left), Some(right)) => {
            let (left, right) = (left.inner(), right.inner());
            &(left ^ right) | &(&(left & right) & &bits)
        }
    };
    BooleanArray::new(bits, None)
}
