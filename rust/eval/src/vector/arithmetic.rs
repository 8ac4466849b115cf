//! Arithmetic over columns of integers, floats, timestamps and durations. Whatever has no kernel here, or meets an
//! overflow or a division by zero, is left to the row definition: `None`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, Float64Array, Int64Array, PrimitiveArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use cepheid_ir::BinaryOp;

use super::Columnar;
use super::bits::some_nulls;
use crate::arithmetic::floats;
use crate::column_reader::as_int64;
use crate::error::EvalError;
use crate::value::Value;
use crate::value_array::rescale_ticks;

/// An operand ready for a loop.
enum Operand<T: ArrowPrimitiveType> {
    Column(PrimitiveArray<T>),
    Constant(T::Native),
}

/// `left op right` in `data_type`.
pub(super) fn apply(
    op: BinaryOp,
    left: &Columnar,
    right: &Columnar,
    data_type: &DataType,
) -> Result<Option<ArrayRef>, EvalError> {
    match data_type {
        DataType::Float64 => {
            let (Some(left), Some(right)) = (float_operand(left)?, float_operand(right)?) else {
                return Ok(None);
            };
            Ok(of_floats(op, left, right))
        }
        DataType::Int64 => {
            let (Some(left), Some(right)) = (integer_operand(left)?, integer_operand(right)?) else {
                return Ok(None);
            };
            Ok(of_integers(op, left, right).map(|array| Arc::new(array) as ArrayRef))
        }
        DataType::Timestamp(unit, _) | DataType::Duration(unit)
            if matches!(op, BinaryOp::Add | BinaryOp::Subtract) =>
        {
            let (Some(left), Some(right)) = (ticks_operand(left, *unit), ticks_operand(right, *unit)) else {
                return Ok(None);
            };
            let Some(ticks) = of_integers(op, left, right) else { return Ok(None) };
            Ok(Some(from_ticks(ticks, data_type)?))
        }
        _ => Ok(None),
    }
}

/// `-operand` in `data_type`.
pub(super) fn negate(operand: &Columnar, data_type: &DataType) -> Result<Option<ArrayRef>, EvalError> {
    match data_type {
        DataType::Int64 => {
            let Some(operand) = integer_operand(operand)? else { return Ok(None) };
            let negated = of_integers(BinaryOp::Subtract, Operand::Constant(0), operand);
            Ok(negated.map(|array| Arc::new(array) as ArrayRef))
        }
        DataType::Float64 => {
            let Some(Operand::Column(array)) = float_operand(operand)? else { return Ok(None) };
            Ok(Some(Arc::new(array.unary::<_, Float64Type>(|value| -value))))
        }
        _ => Ok(None),
    }
}

/// The integers as timestamps or durations: the layouts are the same, only the name of the type changes.
fn from_ticks(ticks: Int64Array, data_type: &DataType) -> Result<ArrayRef, EvalError> {
    Ok(arrow_array::make_array(ticks.into_data().into_builder().data_type(data_type.clone()).build()?))
}

fn float_operand(operand: &Columnar) -> Result<Option<Operand<Float64Type>>, EvalError> {
    use DataType as T;
    Ok(match operand {
        Columnar::Constant(value) => value.as_float().map(Operand::Constant),
        Columnar::Array(array) => {
            let array = super::decoded_array(array)?;
            match array.data_type() {
                T::Float64 => Some(Operand::Column(array.as_primitive::<Float64Type>().clone())),
                T::Float16
                | T::Float32
                | T::Int8
                | T::Int16
                | T::Int32
                | T::Int64
                | T::UInt8
                | T::UInt16
                | T::UInt32
                | T::UInt64 => {
                    let array = arrow_cast::cast(&array, &T::Float64)?;
                    Some(Operand::Column(array.as_primitive::<Float64Type>().clone()))
                }
                _ => None,
            }
        }
    })
}

fn integer_operand(operand: &Columnar) -> Result<Option<Operand<Int64Type>>, EvalError> {
    use DataType as T;
    Ok(match operand {
        Columnar::Constant(Value::Integer(value)) => Some(Operand::Constant(*value)),
        Columnar::Constant(_) => None,
        Columnar::Array(array) => {
            let array = super::decoded_array(array)?;
            match array.data_type() {
                T::Int64 => Some(Operand::Column(array.as_primitive::<Int64Type>().clone())),
                T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16 | T::UInt32 => {
                    let array = arrow_cast::cast(&array, &T::Int64)?;
                    Some(Operand::Column(array.as_primitive::<Int64Type>().clone()))
                }
                _ => None,
            }
        }
    })
}

fn ticks_operand(operand: &Columnar, unit: TimeUnit) -> Option<Operand<Int64Type>> {
    match operand {
        Columnar::Constant(
            Value::Timestamp { value, unit: from, .. } | Value::Duration { value, unit: from },
        ) if *from <= unit => rescale_ticks(*value, *from, unit).map(Operand::Constant),
        Columnar::Array(array) => match array.data_type() {
            DataType::Timestamp(from, _) | DataType::Duration(from) if *from == unit => {
                Some(Operand::Column(as_int64(array)))
            }
            _ => None,
        },
        Columnar::Constant(_) => None,
    }
}

fn of_floats(op: BinaryOp, left: Operand<Float64Type>, right: Operand<Float64Type>) -> Option<ArrayRef> {
    let (values, nulls): (Vec<f64>, _) = match (&left, &right) {
        (Operand::Column(l), Operand::Column(r)) => (
            match op {
                BinaryOp::Add => zip(l.values(), r.values(), |l, r| l + r),
                BinaryOp::Subtract => zip(l.values(), r.values(), |l, r| l - r),
                BinaryOp::Multiply => zip(l.values(), r.values(), |l, r| l * r),
                BinaryOp::Divide => zip(l.values(), r.values(), |l, r| l / r),
                _ => zip(l.values(), r.values(), |l, r| l % r),
            },
            NullBuffer::union(some_nulls(l.nulls()), some_nulls(r.nulls())),
        ),
        (Operand::Column(l), Operand::Constant(c)) => {
            let c = *c;
            (map_floats(op, l.values(), |v| (v, c)), l.nulls().cloned())
        }
        (Operand::Constant(c), Operand::Column(r)) => {
            let c = *c;
            (map_floats(op, r.values(), |v| (c, v)), r.nulls().cloned())
        }
        _ => return None,
    };
    Some(Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls)))
}

/// One loop for each operator, so that the choice stands outside it.
#[inline]
fn map_floats(op: BinaryOp, values: &[f64], sides: impl Fn(f64) -> (f64, f64)) -> Vec<f64> {
    match op {
        BinaryOp::Add => each(values, sides, |l, r| floats(BinaryOp::Add, l, r)),
        BinaryOp::Subtract => each(values, sides, |l, r| floats(BinaryOp::Subtract, l, r)),
        BinaryOp::Multiply => each(values, sides, |l, r| floats(BinaryOp::Multiply, l, r)),
        BinaryOp::Divide => each(values, sides, |l, r| floats(BinaryOp::Divide, l, r)),
        other => each(values, sides, |l, r| floats(other, l, r)),
    }
}

#[inline]
fn each(values: &[f64], sides: impl Fn(f64) -> (f64, f64), f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    values
        .iter()
        .map(|value| {
            let (left, right) = sides(*value);
            f(left, right)
        })
        .collect()
}

#[inline]
fn zip<T: Copy>(left: &[T], right: &[T], f: impl Fn(T, T) -> T) -> Vec<T> {
    left.iter().zip(right).map(|(l, r)| f(*l, *r)).collect()
}

fn of_integers(op: BinaryOp, left: Operand<Int64Type>, right: Operand<Int64Type>) -> Option<Int64Array> {
    let (values, nulls) = match (&left, &right) {
        (Operand::Column(l), Operand::Column(r)) => {
            let pairs = l.values().iter().copied().zip(r.values().iter().copied());
            (checked(op, pairs)?, NullBuffer::union(some_nulls(l.nulls()), some_nulls(r.nulls())))
        }
        (Operand::Column(l), Operand::Constant(c)) => {
            (checked(op, l.values().iter().map(|v| (*v, *c)))?, l.nulls().cloned())
        }
        (Operand::Constant(c), Operand::Column(r)) => {
            (checked(op, r.values().iter().map(|v| (*c, *v)))?, r.nulls().cloned())
        }
        _ => return None,
    };
    Some(Int64Array::new(ScalarBuffer::from(values), nulls))
}

/// `None` if any pair overflows or divides by zero: perhaps under a NULL, which the row definition tells apart.
#[inline]
fn checked(op: BinaryOp, pairs: impl ExactSizeIterator<Item = (i64, i64)>) -> Option<Vec<i64>> {
    let mut failed = false;
    let values: Vec<i64> = match op {
        BinaryOp::Add => pairs.map(|(l, r)| note(l.overflowing_add(r), &mut failed)).collect(),
        BinaryOp::Subtract => pairs.map(|(l, r)| note(l.overflowing_sub(r), &mut failed)).collect(),
        BinaryOp::Multiply => pairs.map(|(l, r)| note(l.overflowing_mul(r), &mut failed)).collect(),
        BinaryOp::Divide => pairs
            .map(|(l, r)| {
                failed |= r == 0;
                note(l.overflowing_div(if r == 0 { 1 } else { r }), &mut failed)
            })
            .collect(),
        _ => pairs
            .map(|(l, r)| {
                failed |= r == 0;
                // `i64::MIN % -1` is 0.
                l.wrapping_rem(if r == 0 { 1 } else { r })
            })
            .collect(),
    };
    (!failed).then_some(values)
}

#[inline]
fn note((value, overflowed): (i64, bool), failed: &mut bool) -> i64 {
    *failed |= overflowed;
    value
}
