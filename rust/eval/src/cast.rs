//! Conversions of single values: what CAST means, and values as text.

use arrow_array::timezone::Tz;
use arrow_cast::parse::parse_interval_month_day_nano;
use arrow_schema::TimeUnit;
use cepheid_event::nanoseconds_per;
use cepheid_ir::DataType;
use cepheid_ir::temporal_text::{DAY_NS, SECOND_NS, ZoneText, read_date, read_time, read_timestamp};

use crate::arithmetic::float_to_integer;
use crate::decimal;
use crate::error::Fault;
use crate::function::temporal::{Moment, from_clock, on_clock, time_of};
use crate::types::Class;
use crate::value::Value;

/// What to convert to, and the zone on whose clock a timestamp is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CastTarget {
    pub(crate) to: DataType,
    pub(crate) zone: Option<Tz>,
}

/// Whether values of the class convert at all.
pub(crate) fn convertible(from: Class, to: DataType) -> bool {
    use DataType as T;
    if from == Class::Null {
        return true;
    }
    match to {
        T::String => from != Class::Opaque,
        T::Boolean => from.is_number() || matches!(from, Class::Boolean | Class::String),
        T::Date => matches!(from, Class::Date | Class::Timestamp { .. } | Class::String),
        T::Time => matches!(from, Class::Time | Class::Timestamp { .. } | Class::String),
        T::Timestamp | T::TimestampTz => {
            matches!(from, Class::Date | Class::Timestamp { .. } | Class::String)
        }
        T::Duration => from.is_span() || from == Class::String,
        _ => from.is_number() || matches!(from, Class::Boolean | Class::String),
    }
}

/// The Arrow type of a conversion's result.
pub(crate) fn arrow_type(to: DataType) -> arrow_schema::DataType {
    use arrow_schema::DataType as A;
    match to {
        DataType::Boolean => A::Boolean,
        DataType::Int8 => A::Int8,
        DataType::Int16 => A::Int16,
        DataType::Int32 => A::Int32,
        DataType::Int64 => A::Int64,
        DataType::UInt8 => A::UInt8,
        DataType::UInt16 => A::UInt16,
        DataType::UInt32 => A::UInt32,
        DataType::UInt64 => A::UInt64,
        DataType::Float32 => A::Float32,
        DataType::Float64 => A::Float64,
        DataType::Decimal { precision, scale } => A::Decimal128(precision, scale),
        DataType::String => A::Utf8,
        DataType::Date => A::Date32,
        DataType::Time => A::Time64(TimeUnit::Nanosecond),
        DataType::Timestamp => A::Timestamp(TimeUnit::Microsecond, None),
        DataType::TimestampTz => A::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Duration => A::Duration(TimeUnit::Nanosecond),
    }
}

/// The value converted; NULL stays NULL.
pub(crate) fn apply(value: &Value, target: &CastTarget) -> Result<Value, Fault> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let zone = target.zone.as_ref();
    let converted = match target.to {
        DataType::Boolean => to_boolean(value).map(Value::Boolean),
        DataType::Int8 => to_integer(value, i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => to_integer(value, i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => to_integer(value, i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => to_integer(value, i64::MIN.into(), i64::MAX.into()),
        DataType::UInt8 => to_integer(value, 0, u8::MAX.into()),
        DataType::UInt16 => to_integer(value, 0, u16::MAX.into()),
        DataType::UInt32 => to_integer(value, 0, u32::MAX.into()),
        DataType::UInt64 => to_integer(value, 0, u64::MAX.into()),
        DataType::Float32 => to_float(value).map(|float| Value::Float(f64::from(float as f32))),
        DataType::Float64 => to_float(value).map(Value::Float),
        DataType::Decimal { precision, scale } => to_decimal(value, precision, scale),
        DataType::String => Some(Value::String(text_in(value, zone).into())),
        DataType::Date => to_date(value, zone).map(Value::Date),
        DataType::Time => to_time(value, zone).map(Value::Time),
        DataType::Timestamp => to_clock(value, zone).and_then(|moment| {
            let value = moment.to_ticks(TimeUnit::Microsecond).ok()?;
            Some(Value::Timestamp { value, unit: TimeUnit::Microsecond, zoned: false })
        }),
        DataType::TimestampTz => to_instant(value).and_then(|moment| {
            let value = moment.to_ticks(TimeUnit::Microsecond).ok()?;
            Some(Value::Timestamp { value, unit: TimeUnit::Microsecond, zoned: true })
        }),
        DataType::Duration => {
            to_span_ns(value).map(|value| Value::Duration { value, unit: TimeUnit::Nanosecond })
        }
    };
    converted.ok_or_else(|| Fault::Cast {
        value: match value {
            Value::String(text) => format!("'{text}'"),
            other => text_in(other, zone),
        },
        to: target.to.sql_name(),
    })
}

fn to_boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Some(true),
            "false" | "f" | "0" => Some(false),
            _ => None,
        },
        Value::Float(value) => Some(*value != 0.0),
        other => Some(other.as_decimal()?.0 != 0),
    }
}

fn to_integer(value: &Value, least: i128, greatest: i128) -> Option<Value> {
    let number = match value {
        Value::Boolean(value) => i128::from(*value),
        Value::Float(value) => {
            const U64_END: f64 = 18_446_744_073_709_551_616.0;
            let rounded = value.round();
            match float_to_integer(*value) {
                Some(value) => i128::from(value),
                None if rounded > 0.0 && rounded < U64_END => rounded as i128,
                None => return None,
            }
        }
        Value::String(text) => text.parse().ok()?,
        other => {
            let (unscaled, scale) = other.as_decimal()?;
            decimal::rescale(unscaled, scale, 0).ok()?
        }
    };
    if number < least || number > greatest {
        return None;
    }
    match i64::try_from(number) {
        Ok(number) => Some(Value::Integer(number)),
        Err(_) => u64::try_from(number).ok().map(Value::Unsigned),
    }
}

fn to_float(value: &Value) -> Option<f64> {
    match value {
        Value::Boolean(value) => Some(f64::from(u8::from(*value))),
        Value::String(text) => text.parse().ok(),
        other => other.as_float(),
    }
}

fn to_decimal(value: &Value, precision: u8, scale: i8) -> Option<Value> {
    let unscaled = match value {
        Value::Boolean(value) => decimal::rescale(i128::from(*value), 0, scale).ok()?,
        Value::Float(value) => decimal::parse_rounded(&format!("{value:?}"), scale)?,
        Value::String(text) => decimal::parse_rounded(text, scale)?,
        other => {
            let (unscaled, from) = other.as_decimal()?;
            decimal::rescale(unscaled, from, scale).ok()?
        }
    };
    let limit = decimal::power_of_ten(u32::from(precision))?;
    (unscaled.unsigned_abs() < limit.unsigned_abs()).then_some(Value::Decimal { unscaled, scale })
}

fn to_date(value: &Value, zone: Option<&Tz>) -> Option<i32> {
    match value {
        Value::String(text) => read_date(text),
        other => i32::try_from(to_clock(other, zone)?.days()).ok(),
    }
}

/// What a clock without a zone reads: of an instant, the clock of `zone`.
fn to_clock(value: &Value, zone: Option<&Tz>) -> Option<Moment> {
    match value {
        Value::Date(days) => Some(Moment::from_days(*days)),
        Value::Timestamp { value, unit, .. } => on_clock(Moment::from_ticks(*value, *unit), zone).ok(),
        Value::String(text) => parse_local(text),
        _ => None,
    }
}

/// The instant; where there is no zone, that of a clock in UTC.
fn to_instant(value: &Value) -> Option<Moment> {
    match value {
        Value::Date(days) => Some(Moment::from_days(*days)),
        Value::Timestamp { value, unit, .. } => Some(Moment::from_ticks(*value, *unit)),
        Value::String(text) => parse_instant(text, None),
        _ => None,
    }
}

fn to_time(value: &Value, zone: Option<&Tz>) -> Option<i64> {
    match value {
        Value::Time(value) => Some(*value),
        Value::String(text) => read_time(text),
        other => Some(time_of(to_clock(other, zone)?.civil().ok()?)),
    }
}

fn to_span_ns(value: &Value) -> Option<i64> {
    match value {
        Value::Duration { value, unit } => value.checked_mul(nanoseconds_per(*unit)),
        Value::Interval { months: 0, days, nanoseconds } => {
            i64::from(*days).checked_mul(DAY_NS)?.checked_add(*nanoseconds)
        }
        Value::String(text) => parse_duration(text),
        _ => None,
    }
}

/// Reads a date with or without a time, as what a clock shows. A zone would make it an instant, so there is none.
pub(crate) fn parse_local(text: &str) -> Option<Moment> {
    let read = read_timestamp(text).filter(|read| read.zone.is_none())?;
    Moment::from_clock_reading(read.days, read.time_ns)
}

/// Reads a date with or without a time, and with or without a zone: without, on the clock of `zone`, or in UTC.
pub(crate) fn parse_instant(text: &str, zone: Option<&Tz>) -> Option<Moment> {
    let read = read_timestamp(text)?;
    let local = Moment::from_clock_reading(read.days, read.time_ns)?;
    match read.zone {
        None => from_clock(local, zone).ok(),
        Some(ZoneText::Offset(ahead_ns)) => local.earlier_by_seconds(ahead_ns / SECOND_NS),
        Some(ZoneText::Named(name)) => from_clock(local, Some(&name.parse().ok()?)).ok(),
    }
}

/// Reads `10 minutes`, `1 day 2 hours` and the like, as nanoseconds; months have no fixed length.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let span = parse_interval_month_day_nano(text).ok()?;
    if span.months != 0 {
        return None;
    }
    i64::from(span.days).checked_mul(DAY_NS)?.checked_add(span.nanoseconds)
}

/// The value as CAST to VARCHAR gives it, timestamps in UTC.
pub(crate) fn to_text(value: &Value) -> String {
    text_in(value, None)
}

/// The value as CAST to VARCHAR gives it, timestamps with a zone on the clock of `zone`.
pub(crate) fn text_in(value: &Value, zone: Option<&Tz>) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        // With a point or an exponent, so that a float reads as one.
        Value::Float(value) => format!("{value:?}"),
        Value::Decimal { unscaled, scale } => decimal::to_text(*unscaled, *scale),
        Value::String(text) => text.to_string(),
        Value::Date(days) => match Moment::from_days(*days).civil() {
            Ok(civil) => civil.date().to_string(),
            Err(_) => format!("{days} days after 1970-01-01"),
        },
        Value::Time(nanoseconds) => clock_text(i128::from(*nanoseconds)),
        Value::Timestamp { value, unit, zoned } => timestamp_text(*value, *unit, zoned.then_some(zone)),
        Value::Duration { value, unit } => span_text(i128::from(*value) * i128::from(nanoseconds_per(*unit))),
        Value::Interval { months, days, nanoseconds } => {
            let exact = i128::from(*days) * i128::from(DAY_NS) + i128::from(*nanoseconds);
            if exact == 0 {
                format!("{months} months")
            } else {
                format!("{months} months {}", span_text(exact))
            }
        }
        Value::List(values) => {
            let values: Vec<String> = values.iter().map(|value| text_in(value, zone)).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Opaque(row) => format!("a value of type {}", row.data_type()),
    }
}

fn timestamp_text(value: i64, unit: TimeUnit, zone: Option<Option<&Tz>>) -> String {
    let moment = Moment::from_ticks(value, unit);
    let Ok(civil) = on_clock(moment, zone.flatten()).and_then(Moment::civil) else {
        return format!("{value} {unit:?}s after 1970-01-01");
    };
    let seconds = civil.format("%Y-%m-%d %H:%M:%S");
    let fraction = match unit {
        TimeUnit::Second => String::new(),
        TimeUnit::Millisecond => format!(".{:03}", moment.nanosecond / 1_000_000),
        TimeUnit::Microsecond => format!(".{:06}", moment.nanosecond / 1_000),
        TimeUnit::Nanosecond => format!(".{:09}", moment.nanosecond),
    };
    match zone {
        None => format!("{seconds}{fraction}"),
        Some(None) => format!("{seconds}{fraction} UTC"),
        Some(Some(zone)) => format!("{seconds}{fraction} {zone}"),
    }
}

/// `HH:MM:SS`, with as many digits after the point as it takes.
fn clock_text(nanoseconds: i128) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match nanoseconds % 1_000_000_000 {
        0 => text,
        rest => format!("{text}.{}", format!("{rest:09}").trim_end_matches('0')),
    }
}

/// `D HH:MM:SS`.
fn span_text(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let magnitude = nanoseconds.abs();
    format!("{sign}{} {}", magnitude / i128::from(DAY_NS), clock_text(magnitude % i128::from(DAY_NS)))
}
