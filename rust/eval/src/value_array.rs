//! Building arrays out of single values.

use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, ListArray, NullArray, PrimitiveArray, new_null_array,
};
use arrow_buffer::{IntervalDayTime, IntervalMonthDayNano, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use cepheid_event::nanoseconds_per;

use crate::decimal;
use crate::error::EvalError;
use crate::value::Value;

/// An array of `data_type` that holds `values`.
///
/// Values must be of that type, but for encodings: an integer that the type can hold, any string for any kind of
/// string, units and scales that convert without loss.
///
/// # Errors
/// [`EvalError::Arrow`] for a value of another type or outside its range.
pub fn values_to_array(values: &[Value], data_type: &DataType) -> Result<ArrayRef, EvalError> {
    use DataType as T;
    Ok(match data_type {
        T::Null => Arc::new(NullArray::new(values.len())),
        T::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(values.len());
            for value in values {
                match value {
                    Value::Null => builder.append_null(),
                    Value::Boolean(value) => builder.append_value(*value),
                    other => return Err(misfit(other, data_type)),
                }
            }
            Arc::new(builder.finish())
        }
        T::Int8 => integers::<Int8Type>(values, data_type)?,
        T::Int16 => integers::<Int16Type>(values, data_type)?,
        T::Int32 => integers::<Int32Type>(values, data_type)?,
        T::Int64 => integers::<Int64Type>(values, data_type)?,
        T::UInt8 => integers::<UInt8Type>(values, data_type)?,
        T::UInt16 => integers::<UInt16Type>(values, data_type)?,
        T::UInt32 => integers::<UInt32Type>(values, data_type)?,
        T::UInt64 => integers::<UInt64Type>(values, data_type)?,
        T::Float16 => {
            let floats = values_to_array(values, &T::Float64)?;
            arrow_cast::cast(&floats, data_type)?
        }
        T::Float32 => {
            primitives::<Float32Type>(values, data_type, |value| value.as_float().map(|v| v as f32))?
        }
        T::Float64 => primitives::<Float64Type>(values, data_type, Value::as_float)?,
        T::Decimal32(_, scale) => {
            primitives::<Decimal32Type>(values, data_type, |v| i32::try_from(unscaled(v, *scale)?).ok())?
        }
        T::Decimal64(_, scale) => {
            primitives::<Decimal64Type>(values, data_type, |v| i64::try_from(unscaled(v, *scale)?).ok())?
        }
        T::Decimal128(_, scale) => primitives::<Decimal128Type>(values, data_type, |v| unscaled(v, *scale))?,
        T::Utf8 => {
            let mut builder = StringBuilder::with_capacity(values.len(), values.len() * 8);
            let mut bytes = 0;
            for value in values {
                let text = text(value, data_type)?;
                bytes += text.map_or(0, str::len);
                if bytes > i32::MAX as usize {
                    return Err(EvalError::Arrow {
                        reason: "the strings of one column take more than 2 GiB".into(),
                    });
                }
                builder.append_option(text);
            }
            Arc::new(builder.finish())
        }
        T::LargeUtf8 => {
            let mut builder = LargeStringBuilder::with_capacity(values.len(), values.len() * 8);
            for value in values {
                builder.append_option(text(value, data_type)?);
            }
            Arc::new(builder.finish())
        }
        T::Utf8View => {
            let mut builder = StringViewBuilder::with_capacity(values.len());
            for value in values {
                builder.append_option(text(value, data_type)?);
            }
            Arc::new(builder.finish())
        }
        T::Date32 => primitives::<Date32Type>(values, data_type, date)?,
        T::Date64 => primitives::<Date64Type>(values, data_type, |v| Some(i64::from(date(v)?) * 86_400_000))?,
        T::Time32(TimeUnit::Second) => primitives::<Time32SecondType>(values, data_type, |v| {
            i32::try_from(time(v)? / 1_000_000_000).ok()
        })?,
        T::Time32(_) => primitives::<Time32MillisecondType>(values, data_type, |v| {
            i32::try_from(time(v)? / 1_000_000).ok()
        })?,
        T::Time64(TimeUnit::Microsecond) => {
            primitives::<Time64MicrosecondType>(values, data_type, |v| Some(time(v)? / 1_000))?
        }
        T::Time64(_) => primitives::<Time64NanosecondType>(values, data_type, time)?,
        T::Timestamp(unit, zone) => {
            let zone = zone.clone();
            match unit {
                TimeUnit::Second => {
                    Arc::new(timestamps::<TimestampSecondType>(values, data_type)?.with_timezone_opt(zone))
                }
                TimeUnit::Millisecond => Arc::new(
                    timestamps::<TimestampMillisecondType>(values, data_type)?.with_timezone_opt(zone),
                ),
                TimeUnit::Microsecond => Arc::new(
                    timestamps::<TimestampMicrosecondType>(values, data_type)?.with_timezone_opt(zone),
                ),
                TimeUnit::Nanosecond => Arc::new(
                    timestamps::<TimestampNanosecondType>(values, data_type)?.with_timezone_opt(zone),
                ),
            }
        }
        T::Duration(unit) => {
            let unit = *unit;
            match unit {
                TimeUnit::Second => primitives::<DurationSecondType>(values, data_type, |v| ticks(v, unit))?,
                TimeUnit::Millisecond => {
                    primitives::<DurationMillisecondType>(values, data_type, |v| ticks(v, unit))?
                }
                TimeUnit::Microsecond => {
                    primitives::<DurationMicrosecondType>(values, data_type, |v| ticks(v, unit))?
                }
                TimeUnit::Nanosecond => {
                    primitives::<DurationNanosecondType>(values, data_type, |v| ticks(v, unit))?
                }
            }
        }
        T::Interval(IntervalUnit::YearMonth) => {
            primitives::<IntervalYearMonthType>(values, data_type, |v| match v {
                Value::Interval { months, days: 0, nanoseconds: 0 } => Some(*months),
                _ => None,
            })?
        }
        T::Interval(IntervalUnit::DayTime) => {
            primitives::<IntervalDayTimeType>(values, data_type, |v| match v {
                Value::Interval { months: 0, days, nanoseconds } => {
                    Some(IntervalDayTime::new(*days, i32::try_from(nanoseconds / 1_000_000).ok()?))
                }
                _ => None,
            })?
        }
        T::Interval(IntervalUnit::MonthDayNano) => {
            primitives::<IntervalMonthDayNanoType>(values, data_type, |v| match v {
                Value::Interval { months, days, nanoseconds } => {
                    Some(IntervalMonthDayNano::new(*months, *days, *nanoseconds))
                }
                Value::Duration { .. } => {
                    Some(IntervalMonthDayNano::new(0, 0, ticks(v, TimeUnit::Nanosecond)?))
                }
                _ => None,
            })?
        }
        T::List(field) => {
            let mut elements = Vec::new();
            let mut lengths = Vec::with_capacity(values.len());
            let mut valid = Vec::with_capacity(values.len());
            for value in values {
                match value {
                    Value::Null => lengths.push(0),
                    Value::List(list) => {
                        elements.extend_from_slice(list);
                        lengths.push(list.len());
                    }
                    other => return Err(misfit(other, data_type)),
                }
                valid.push(!value.is_null());
            }
            if elements.len() > i32::MAX as usize {
                return Err(EvalError::Arrow {
                    reason: "the lists of one column take more than 2^31 elements".into(),
                });
            }
            let elements = values_to_array(&elements, field.data_type())?;
            let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
            Arc::new(ListArray::try_new(field.clone(), OffsetBuffer::from_lengths(lengths), elements, nulls)?)
        }
        T::Dictionary(_, value_type) => {
            let decoded = values_to_array(values, value_type)?;
            arrow_cast::cast(&decoded, data_type)?
        }
        T::RunEndEncoded(_, field) => {
            let decoded = values_to_array(values, field.data_type())?;
            arrow_cast::cast(&decoded, data_type)?
        }
        _ => {
            let null = new_null_array(data_type, 1);
            let mut rows: Vec<&dyn Array> = Vec::with_capacity(values.len());
            for value in values {
                match value {
                    Value::Null => rows.push(null.as_ref()),
                    Value::Opaque(row) if row.data_type() == data_type => rows.push(row.as_ref()),
                    other => return Err(misfit(other, data_type)),
                }
            }
            if rows.is_empty() {
                return Ok(arrow_array::new_empty_array(data_type));
            }
            arrow_select::concat::concat(&rows)?
        }
    })
}

fn misfit(value: &Value, data_type: &DataType) -> EvalError {
    EvalError::Arrow {
        reason: format!("{} does not fit a column of type {data_type}", crate::cast::to_text(value)),
    }
}

fn primitives<T: ArrowPrimitiveType>(
    values: &[Value],
    data_type: &DataType,
    convert: impl Fn(&Value) -> Option<T::Native>,
) -> Result<ArrayRef, EvalError> {
    Ok(Arc::new(primitive_array::<T>(values, data_type, convert)?.with_data_type(data_type.clone())))
}

fn primitive_array<T: ArrowPrimitiveType>(
    values: &[Value],
    data_type: &DataType,
    convert: impl Fn(&Value) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>, EvalError> {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(values.len());
    for value in values {
        if value.is_null() {
            builder.append_null();
        } else {
            builder.append_value(convert(value).ok_or_else(|| misfit(value, data_type))?);
        }
    }
    Ok(builder.finish())
}

fn integers<T: ArrowPrimitiveType<Native: TryFrom<i64> + TryFrom<u64>>>(
    values: &[Value],
    data_type: &DataType,
) -> Result<ArrayRef, EvalError> {
    primitives::<T>(values, data_type, |value| match value {
        Value::Integer(value) => T::Native::try_from(*value).ok(),
        Value::Unsigned(value) => T::Native::try_from(*value).ok(),
        _ => None,
    })
}

fn timestamps<T: ArrowPrimitiveType<Native = i64>>(
    values: &[Value],
    data_type: &DataType,
) -> Result<PrimitiveArray<T>, EvalError> {
    let DataType::Timestamp(unit, _) = data_type else {
        return Err(EvalError::Arrow { reason: format!("{data_type} is not a timestamp") });
    };
    primitive_array::<T>(values, data_type, |value| ticks(value, *unit))
}

/// A timestamp or duration in `unit`; finer digits are cut off.
fn ticks(value: &Value, unit: TimeUnit) -> Option<i64> {
    let (Value::Timestamp { value, unit: from, .. } | Value::Duration { value, unit: from }) = value else {
        return None;
    };
    rescale_ticks(*value, *from, unit)
}

/// Ticks of one unit in another, rounded down; `None` on overflow.
pub(crate) fn rescale_ticks(value: i64, from: TimeUnit, to: TimeUnit) -> Option<i64> {
    let (from_ns, to_ns) = (nanoseconds_per(from), nanoseconds_per(to));
    if from_ns >= to_ns {
        value.checked_mul(from_ns / to_ns)
    } else {
        Some(value.div_euclid(to_ns / from_ns))
    }
}

fn unscaled(value: &Value, scale: i8) -> Option<i128> {
    let (unscaled, from) = value.as_decimal()?;
    decimal::rescale(unscaled, from, scale).ok()
}

fn date(value: &Value) -> Option<i32> {
    if let Value::Date(days) = value { Some(*days) } else { None }
}

fn time(value: &Value) -> Option<i64> {
    if let Value::Time(nanoseconds) = value { Some(*nanoseconds) } else { None }
}

fn text<'a>(value: &'a Value, data_type: &DataType) -> Result<Option<&'a str>, EvalError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        other => Err(misfit(other, data_type)),
    }
}
