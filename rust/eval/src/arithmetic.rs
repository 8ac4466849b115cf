//! Arithmetic on single values: what `+ - * / %` and negation mean.

use arrow_array::timezone::Tz;
use arrow_schema::TimeUnit;
use cepheid_event::nanoseconds_per;
use cepheid_ir::BinaryOp;
use cepheid_ir::temporal_text::DAY_NS;

use crate::decimal;
use crate::error::Fault;
use crate::function::temporal::{self, Moment};
use crate::value::Value;
use crate::value_array::rescale_ticks;

pub(crate) const INTEGER_OVERFLOW: Fault = Fault::Overflow("BIGINT");
const SPAN_OVERFLOW: Fault = Fault::Overflow("INTERVAL");
pub(crate) const TIMESTAMP_OVERFLOW: Fault = Fault::Overflow("TIMESTAMP");

/// The integer as int64.
pub(crate) fn integer(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Integer(value) => Ok(*value),
        _ => Err(INTEGER_OVERFLOW),
    }
}

/// `left op right`. Types were checked at compile time; NULL gives NULL.
pub(crate) fn apply(op: BinaryOp, left: &Value, right: &Value, zone: Option<&Tz>) -> Result<Value, Fault> {
    use Value::*;
    Ok(match (left, right) {
        (Integer(l), Integer(r)) => Integer(integers(op, *l, *r)?),
        (Float(l), Float(r)) => Float(floats(op, *l, *r)),
        (Null, _) | (_, Null) => Null,
        (Duration { value, unit }, _) if right.as_float().is_some() => scale_span(op, *value, *unit, right)?,
        (_, Duration { value, unit }) if left.as_float().is_some() => scale_span(op, *value, *unit, left)?,
        (Float(_), _) | (_, Float(_)) => {
            let (Some(l), Some(r)) = (left.as_float(), right.as_float()) else { return Ok(Null) };
            Float(floats(op, l, r))
        }
        (Integer(_) | Unsigned(_), Integer(_) | Unsigned(_)) => {
            Integer(integers(op, integer(left)?, integer(right)?)?)
        }
        (Integer(_) | Unsigned(_) | Decimal { .. }, Integer(_) | Unsigned(_) | Decimal { .. }) => {
            let (Some(l), Some(r)) = (left.as_decimal(), right.as_decimal()) else { return Ok(Null) };
            let (unscaled, scale) = decimals(op, l, r)?;
            Decimal { unscaled, scale }
        }
        _ => temporal(op, left, right, zone)?,
    })
}

/// `-value`.
pub(crate) fn negate(value: &Value) -> Result<Value, Fault> {
    Ok(match value {
        Value::Null => Value::Null,
        Value::Integer(value) => Value::Integer(value.checked_neg().ok_or(INTEGER_OVERFLOW)?),
        Value::Unsigned(value) if *value == 1 << 63 => Value::Integer(i64::MIN),
        Value::Unsigned(_) => return Err(INTEGER_OVERFLOW),
        Value::Float(value) => Value::Float(-value),
        Value::Decimal { unscaled, scale } => {
            Value::Decimal { unscaled: unscaled.checked_neg().ok_or(decimal::OVERFLOW)?, scale: *scale }
        }
        Value::Duration { value, unit } => {
            Value::Duration { value: value.checked_neg().ok_or(SPAN_OVERFLOW)?, unit: *unit }
        }
        Value::Interval { months, days, nanoseconds } => Value::Interval {
            months: months.checked_neg().ok_or(SPAN_OVERFLOW)?,
            days: days.checked_neg().ok_or(SPAN_OVERFLOW)?,
            nanoseconds: nanoseconds.checked_neg().ok_or(SPAN_OVERFLOW)?,
        },
        _ => Value::Null,
    })
}

/// Checked arithmetic of int64; division truncates towards zero, the remainder has the sign of `left`.
#[inline]
pub(crate) fn integers(op: BinaryOp, left: i64, right: i64) -> Result<i64, Fault> {
    let result = match op {
        BinaryOp::Add => left.checked_add(right),
        BinaryOp::Subtract => left.checked_sub(right),
        BinaryOp::Multiply => left.checked_mul(right),
        _ if right == 0 => return Err(Fault::DivisionByZero),
        BinaryOp::Divide => left.checked_div(right),
        // `i64::MIN % -1` is 0, though the quotient overflows.
        _ => Some(left.wrapping_rem(right)),
    };
    result.ok_or(INTEGER_OVERFLOW)
}

/// IEEE arithmetic.
#[inline]
pub(crate) fn floats(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Subtract => left - right,
        BinaryOp::Multiply => left * right,
        BinaryOp::Divide => left / right,
        _ => left % right,
    }
}

fn decimals(op: BinaryOp, left: (i128, i8), right: (i128, i8)) -> Result<(i128, i8), Fault> {
    match op {
        BinaryOp::Add => decimal::add(left, right, false),
        BinaryOp::Subtract => decimal::add(left, right, true),
        BinaryOp::Multiply => decimal::multiply(left, right),
        BinaryOp::Divide => decimal::divide(left, right),
        _ => decimal::modulo(left, right),
    }
}

/// A span times or divided by a number; fractions of its unit are rounded half away from zero.
fn scale_span(op: BinaryOp, value: i64, unit: TimeUnit, number: &Value) -> Result<Value, Fault> {
    let scaled = match (op, number) {
        (BinaryOp::Multiply, Value::Integer(factor)) => value.checked_mul(*factor).ok_or(SPAN_OVERFLOW)?,
        (BinaryOp::Divide, Value::Integer(0)) => return Err(Fault::DivisionByZero),
        (BinaryOp::Divide, Value::Integer(divisor)) => value.checked_div(*divisor).ok_or(SPAN_OVERFLOW)?,
        (_, number) => {
            let Some(number) = number.as_float() else { return Ok(Value::Null) };
            if op == BinaryOp::Divide && number == 0.0 {
                return Err(Fault::DivisionByZero);
            }
            let product =
                if op == BinaryOp::Multiply { value as f64 * number } else { value as f64 / number };
            float_to_integer(product).ok_or(SPAN_OVERFLOW)?
        }
    };
    Ok(Value::Duration { value: scaled, unit })
}

/// Rounds half away from zero; `None` outside int64 or for NaN.
pub(crate) fn float_to_integer(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let rounded = value.round();
    (-LIMIT..LIMIT).contains(&rounded).then_some(rounded as i64)
}

fn temporal(op: BinaryOp, left: &Value, right: &Value, zone: Option<&Tz>) -> Result<Value, Fault> {
    use Value::*;
    let subtract = op == BinaryOp::Subtract;
    Ok(match (left, right) {
        (Date(l), Date(r)) => Integer(i64::from(*l) - i64::from(*r)),
        (Timestamp { value: l, unit: lu, .. }, Timestamp { value: r, unit: ru, .. })
        | (Duration { value: l, unit: lu }, Duration { value: r, unit: ru }) => {
            let unit = *lu.max(ru);
            let (l, r) = (ticks(*l, *lu, unit)?, ticks(*r, *ru, unit)?);
            let value = if subtract { l.checked_sub(r) } else { l.checked_add(r) }.ok_or(SPAN_OVERFLOW)?;
            Duration { value, unit }
        }
        (Timestamp { value, unit, zoned }, Duration { value: span, unit: span_unit }) => {
            let finer = *unit.max(span_unit);
            let moved = move_by(ticks(*value, *unit, finer)?, ticks(*span, *span_unit, finer)?, subtract)?;
            Timestamp { value: moved, unit: finer, zoned: *zoned }
        }
        (Timestamp { value, unit, zoned }, Interval { .. }) => {
            let (months, span_ns) = interval_parts(right, subtract)?;
            let moved = temporal::add_months(Moment::from_ticks(*value, *unit), months, zone)?;
            let finer = interval_unit(*unit, span_ns);
            let span = i64::try_from(span_ns / i128::from(nanoseconds_per(finer)))
                .map_err(|_| TIMESTAMP_OVERFLOW)?;
            let value = moved.to_ticks(finer)?.checked_add(span).ok_or(TIMESTAMP_OVERFLOW)?;
            let value = rescale_ticks(value, finer, *unit).ok_or(TIMESTAMP_OVERFLOW)?;
            Timestamp { value, unit: *unit, zoned: *zoned }
        }
        (Date(days), Duration { .. } | Interval { .. }) => {
            let (months, span_ns) = interval_parts(right, subtract)?;
            let whole_days = span_ns / i128::from(DAY_NS);
            if whole_days * i128::from(DAY_NS) != span_ns {
                return Err(Fault::Argument(
                    "a date moves by whole days only; cast it to TIMESTAMP first".into(),
                ));
            }
            let moved = temporal::add_months(Moment::from_days(*days), months, None)?;
            let days = i128::from(moved.days()) + whole_days;
            Date(i32::try_from(days).map_err(|_| Fault::Overflow("DATE"))?)
        }
        (Time(time), Duration { .. } | Interval { .. }) => {
            let (_, span_ns) = interval_parts(right, subtract)?;
            Time((i128::from(*time) + span_ns).rem_euclid(i128::from(DAY_NS)) as i64)
        }
        (Time(l), Time(r)) => Duration { value: l - r, unit: TimeUnit::Nanosecond },
        (Interval { .. } | Duration { .. }, Interval { .. } | Duration { .. }) => {
            let (lm, ld, ln) = calendar_parts(left)?;
            let (rm, rd, rn) = calendar_parts(right)?;
            let add = |l: i64, r: i64| if subtract { l.checked_sub(r) } else { l.checked_add(r) };
            let narrow = |l: i32, r: i32| i32::try_from(add(l.into(), r.into())?).ok();
            Interval {
                months: narrow(lm, rm).ok_or(SPAN_OVERFLOW)?,
                days: narrow(ld, rd).ok_or(SPAN_OVERFLOW)?,
                nanoseconds: add(ln, rn).ok_or(SPAN_OVERFLOW)?,
            }
        }
        // Addition commutes; the compiler lets no span stand to the left of a minus.
        (Interval { .. } | Duration { .. }, _) => temporal(op, right, left, zone)?,
        _ => Null,
    })
}

fn ticks(value: i64, from: TimeUnit, to: TimeUnit) -> Result<i64, Fault> {
    rescale_ticks(value, from, to).ok_or(TIMESTAMP_OVERFLOW)
}

fn move_by(value: i64, span: i64, subtract: bool) -> Result<i64, Fault> {
    if subtract { value.checked_sub(span) } else { value.checked_add(span) }.ok_or(TIMESTAMP_OVERFLOW)
}

/// The unit in which an interval's exact part can be added to a timestamp of `unit` before rounding down again.
fn interval_unit(unit: TimeUnit, span_ns: i128) -> TimeUnit {
    if span_ns % i128::from(nanoseconds_per(unit)) == 0 { unit } else { TimeUnit::Nanosecond }
}

/// Months and exact nanoseconds, negated if they are to be subtracted.
fn interval_parts(span: &Value, subtract: bool) -> Result<(i64, i128), Fault> {
    let sign = if subtract { -1 } else { 1 };
    Ok(match span {
        Value::Duration { value, unit } => {
            (0, i128::from(sign) * i128::from(*value) * i128::from(nanoseconds_per(*unit)))
        }
        Value::Interval { months, days, nanoseconds } => {
            let exact = i128::from(*days) * i128::from(DAY_NS) + i128::from(*nanoseconds);
            (sign * i64::from(*months), i128::from(sign) * exact)
        }
        _ => (0, 0),
    })
}

fn calendar_parts(span: &Value) -> Result<(i32, i32, i64), Fault> {
    Ok(match span {
        Value::Duration { value, unit } => (0, 0, ticks(*value, *unit, TimeUnit::Nanosecond)?),
        Value::Interval { months, days, nanoseconds } => (*months, *days, *nanoseconds),
        _ => (0, 0, 0),
    })
}
