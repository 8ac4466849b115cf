//! Scalar functions of the reference.

use std::cmp::Ordering;

use cepheid_ir::{BinaryOp, Expr, Function};

use crate::calendar::{DAY, SECOND, civil_from_days};
use crate::reference::ReferenceError;
use crate::reference_eval::{Scene, arithmetic, compare, evaluate};
use crate::value::RefValue;

pub(crate) fn evaluate_call(
    function: Function,
    args: &[Expr],
    scene: &Scene<'_>,
) -> Result<RefValue, ReferenceError> {
    if function == Function::Coalesce {
        for arg in args {
            let value = evaluate(arg, scene)?;
            if !value.is_null() {
                return Ok(value);
            }
        }
        return Ok(RefValue::Null);
    }
    let mut values = vec![];
    for arg in args {
        values.push(evaluate(arg, scene)?);
    }
    if function == Function::Nullif {
        let equal = compare(&values[0], &values[1])? == Some(Ordering::Equal);
        return Ok(if equal { RefValue::Null } else { values.swap_remove(0) });
    }
    if values.iter().any(RefValue::is_null) {
        return Ok(RefValue::Null);
    }
    apply(function, &values)
}

/// A function of arguments that are not NULL.
fn apply(function: Function, values: &[RefValue]) -> Result<RefValue, ReferenceError> {
    use RefValue::*;
    Ok(match (function, values) {
        (Function::Abs, [Integer(value)]) => Integer(narrow(value.abs())?),
        (Function::Abs, [Float(value)]) => Float(value.abs()),
        (Function::Abs, [Decimal { unscaled, scale }]) => Decimal { unscaled: unscaled.abs(), scale: *scale },
        (Function::Sign, [Integer(value)]) => Integer(value.signum()),
        (Function::Ceil | Function::Floor | Function::Round | Function::Truncate, [Integer(value)]) => {
            Integer(*value)
        }
        (Function::Ceil, [Float(value)]) => Float(value.ceil()),
        (Function::Floor, [Float(value)]) => Float(value.floor()),
        (Function::Round, [Float(value)]) => Float(value.round()),
        (Function::Truncate, [Float(value)]) => Float(value.trunc()),
        (Function::Sqrt, [value]) => Float(float(value)?.sqrt()),
        (Function::Exp, [value]) => Float(float(value)?.exp()),
        (Function::Ln, [value]) => Float(float(value)?.ln()),
        (Function::Power, [base, exponent]) => Float(float(base)?.powf(float(exponent)?)),
        (Function::IsNan, [value]) => Boolean(float(value)?.is_nan()),
        (Function::IsFinite, [value]) => Boolean(float(value)?.is_finite()),
        (Function::Mod, [left, right]) => arithmetic(BinaryOp::Modulo, left.clone(), right.clone())?,
        (Function::Greatest, values) => extreme(values, Ordering::Greater)?,
        (Function::Least, values) => extreme(values, Ordering::Less)?,
        (Function::Lower, [String(text)]) => String(text.to_lowercase()),
        (Function::Upper, [String(text)]) => String(text.to_uppercase()),
        (Function::Length, [String(text)]) => Integer(text.chars().count() as i128),
        (Function::Trim, [String(text)]) => String(text.trim().to_owned()),
        (Function::Ltrim, [String(text)]) => String(text.trim_start().to_owned()),
        (Function::Rtrim, [String(text)]) => String(text.trim_end().to_owned()),
        (Function::Reverse, [String(text)]) => String(text.chars().rev().collect()),
        (Function::StartsWith, [String(text), String(part)]) => Boolean(text.starts_with(part.as_str())),
        (Function::EndsWith, [String(text), String(part)]) => Boolean(text.ends_with(part.as_str())),
        (Function::Contains, [String(text), String(part)]) => Boolean(text.contains(part.as_str())),
        (Function::Replace, [String(text), String(from), String(to)]) => {
            String(text.replace(from.as_str(), to))
        }
        (Function::Strpos, [String(text), String(part)]) => {
            Integer(text.find(part.as_str()).map_or(0, |byte| text[..byte].chars().count() as i128 + 1))
        }
        (Function::Substring, [String(text), Integer(start)]) => String(substring(text, *start, i128::MAX)),
        (Function::Substring, [String(text), Integer(start), Integer(length)]) => {
            String(substring(text, *start, *length))
        }
        (Function::Concat, values) => {
            let mut text = std::string::String::new();
            for value in values {
                let String(part) = value else { return Err(unknown(function)) };
                text.push_str(part);
            }
            String(text)
        }
        (Function::Date, [Timestamp(time)]) => Date(time.div_euclid(DAY) as i32),
        (Function::TotalSeconds, [Interval { months: 0, nanoseconds }]) => {
            Float(*nanoseconds as f64 / SECOND as f64)
        }
        (_, [Timestamp(time)]) => Integer(field(function, *time)?),
        (_, [Date(days)]) => Integer(field(function, i64::from(*days) * DAY)?),
        _ => return Err(unknown(function)),
    })
}

fn unknown(function: Function) -> ReferenceError {
    ReferenceError::Unsupported(format!("{}() of these arguments", function.name()))
}

fn narrow(value: i128) -> Result<i128, ReferenceError> {
    i64::try_from(value).map(i128::from).map_err(|_| ReferenceError::Overflow)
}

pub(crate) fn float(value: &RefValue) -> Result<f64, ReferenceError> {
    value.as_float().ok_or_else(|| ReferenceError::TypeMismatch(format!("{value} is no number")))
}

/// The first of the greatest or of the least.
fn extreme(values: &[RefValue], wanted: Ordering) -> Result<RefValue, ReferenceError> {
    let mut best = &values[0];
    for value in &values[1..] {
        if compare(value, best)? == Some(wanted) {
            best = value;
        }
    }
    Ok(best.clone())
}

/// Characters from `start`, counted from 1, or from the end if negative; nothing for 0 or outside the text.
fn substring(text: &str, start: i128, length: i128) -> String {
    let characters: Vec<char> = text.chars().collect();
    let count = characters.len() as i128;
    let first = match start {
        0 => return String::new(),
        1.. => start - 1,
        _ => count + start,
    };
    if !(0..count).contains(&first) || length <= 0 {
        return String::new();
    }
    let taken = usize::try_from(length).unwrap_or(usize::MAX);
    characters.into_iter().skip(first as usize).take(taken).collect()
}

fn field(function: Function, time: i64) -> Result<i128, ReferenceError> {
    let (days, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    Ok(i128::from(match function {
        Function::Year => year,
        Function::Quarter => (month + 2) / 3,
        Function::Month => month,
        Function::Day => day,
        // 1970-01-01 was a Thursday.
        Function::DayOfWeek => (days + 3).rem_euclid(7) + 1,
        Function::Hour => rest / SECOND / 3600,
        Function::Minute => rest / SECOND / 60 % 60,
        Function::Second => rest / SECOND % 60,
        _ => return Err(unknown(function)),
    }))
}
