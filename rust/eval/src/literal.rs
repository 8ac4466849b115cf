//! Constants: their values and types, and how they adapt to what they meet.

use std::sync::Arc;

use arrow_array::timezone::Tz;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use cepheid_event::nanoseconds_per;
use cepheid_ir::Literal;
use cepheid_ir::temporal_text::{read_date, read_time};

use crate::cast;
use crate::decimal;
use crate::function::temporal::{self, Moment};
use crate::types::{Class, decimal_type, decoded};
use crate::value::Value;

/// The value and type of a literal that meets nothing.
pub(crate) fn value_of(literal: &Literal) -> (Value, DataType) {
    match literal {
        Literal::Null => (Value::Null, DataType::Null),
        Literal::Boolean(value) => (Value::Boolean(*value), DataType::Boolean),
        Literal::Integer(value) => (Value::Integer(*value), DataType::Int64),
        Literal::Float(value) => (Value::Float(value.0), DataType::Float64),
        Literal::Decimal { unscaled, scale } => {
            (Value::Decimal { unscaled: *unscaled, scale: *scale }, decimal_type(*scale))
        }
        Literal::String(text) => (Value::String(text.as_str().into()), DataType::Utf8),
        Literal::Date(days) => (Value::Date(*days), DataType::Date32),
        Literal::Time(nanoseconds) => (Value::Time(*nanoseconds), DataType::Time64(TimeUnit::Nanosecond)),
        Literal::Timestamp { nanoseconds, zoned } => (
            Value::Timestamp { value: *nanoseconds, unit: TimeUnit::Nanosecond, zoned: *zoned },
            DataType::Timestamp(TimeUnit::Nanosecond, zoned.then(|| Arc::from("UTC"))),
        ),
        Literal::Interval(interval) if interval.months == 0 => (
            Value::Duration { value: interval.nanoseconds, unit: TimeUnit::Nanosecond },
            DataType::Duration(TimeUnit::Nanosecond),
        ),
        Literal::Interval(interval) => (
            Value::Interval { months: interval.months, days: 0, nanoseconds: interval.nanoseconds },
            DataType::Interval(IntervalUnit::MonthDayNano),
        ),
    }
}

/// The constant as the type that it meets asks for; `None` if it may stay as it is.
///
/// - A float meeting a decimal becomes the decimal that its shortest text spells.
/// - A string meeting a date, a time, a timestamp or a duration is read as one, in the zone of what it meets.
/// - A timestamp without a zone meeting one with a zone is read on that zone's clock.
///
/// # Errors
/// The name of the type that the string does not spell.
pub(crate) fn adapt(value: &Value, meets: &DataType) -> Result<Option<(Value, DataType)>, &'static str> {
    let class = Class::of(meets);
    match (value, class) {
        (Value::Float(float), Class::Decimal(_)) if float.is_finite() => {
            Ok(decimal::parse(&format!("{float:?}"))
                .map(|(unscaled, scale)| (Value::Decimal { unscaled, scale }, decimal_type(scale))))
        }
        (Value::String(text), Class::Date) => {
            let days = read_date(text).ok_or("date")?;
            Ok(Some((Value::Date(days), DataType::Date32)))
        }
        (Value::String(text), Class::Time) => {
            let nanoseconds = read_time(text).ok_or("time")?;
            Ok(Some((Value::Time(nanoseconds), DataType::Time64(TimeUnit::Nanosecond))))
        }
        (Value::String(text), Class::Timestamp { unit, zoned }) => {
            let moment = if zoned {
                cast::parse_instant(text, zone_of(meets).as_ref()).ok_or("timestamp")?
            } else {
                cast::parse_local(text).ok_or("timestamp without a time zone")?
            };
            let unit = coarsest(moment, unit);
            let value = moment.to_ticks(unit).map_err(|_| "timestamp in range")?;
            Ok(Some((Value::Timestamp { value, unit, zoned }, timestamp_type(unit, meets))))
        }
        (Value::String(text), Class::Duration(_)) => {
            let value = cast::parse_duration(text).ok_or("span of time")?;
            Ok(Some((
                Value::Duration { value, unit: TimeUnit::Nanosecond },
                DataType::Duration(TimeUnit::Nanosecond),
            )))
        }
        (Value::Timestamp { value, unit, zoned: false }, Class::Timestamp { zoned: true, .. }) => {
            let Some(zone) = zone_of(meets) else { return Ok(None) };
            let local = Moment::from_ticks(*value, *unit);
            let value = temporal::from_clock(local, Some(&zone))
                .and_then(|moment| moment.to_ticks(*unit))
                .map_err(|_| "timestamp in range")?;
            Ok(Some((Value::Timestamp { value, unit: *unit, zoned: true }, timestamp_type(*unit, meets))))
        }
        _ => Ok(None),
    }
}

/// The span with the coarsest unit that loses nothing, so that a column of seconds plus an hour stays in seconds.
pub(crate) fn coarsest_span(value: &Value) -> Option<(Value, DataType)> {
    let Value::Duration { value, unit } = value else { return None };
    let nanoseconds = i128::from(*value) * i128::from(nanoseconds_per(*unit));
    let unit = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond]
        .into_iter()
        .find(|unit| nanoseconds % i128::from(nanoseconds_per(*unit)) == 0)?;
    let value = i64::try_from(nanoseconds / i128::from(nanoseconds_per(unit))).ok()?;
    Some((Value::Duration { value, unit }, DataType::Duration(unit)))
}

/// `wanted`, or a finer unit if the moment has finer digits.
fn coarsest(moment: Moment, wanted: TimeUnit) -> TimeUnit {
    let exact = |unit: &TimeUnit| i64::from(moment.nanosecond) % nanoseconds_per(*unit) == 0;
    [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond]
        .into_iter()
        .filter(|unit| *unit >= wanted)
        .find(exact)
        .unwrap_or(TimeUnit::Nanosecond)
}

fn timestamp_type(unit: TimeUnit, like: &DataType) -> DataType {
    let zone = if let DataType::Timestamp(_, zone) = decoded(like) { zone } else { None };
    DataType::Timestamp(unit, zone)
}

/// The zone of a timestamp type; `None` also for a zone that is not known.
pub(crate) fn zone_of(data_type: &DataType) -> Option<Tz> {
    if let DataType::Timestamp(_, Some(zone)) = decoded(data_type) { zone.parse().ok() } else { None }
}
