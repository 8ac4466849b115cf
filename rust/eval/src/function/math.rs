//! Functions of numbers.

use cepheid_ir::Function;

use crate::arithmetic::{INTEGER_OVERFLOW, integer};
use crate::decimal;
use crate::error::Fault;
use crate::value::Value;

/// `function(args)`; no argument is NULL.
pub(crate) fn apply(function: Function, args: &[Value]) -> Result<Value, Fault> {
    use Function::*;
    match function {
        Pi => Ok(Value::Float(std::f64::consts::PI)),
        Abs | Ceil | Floor | Round | Truncate | Sign => {
            let digits = args.get(1).map(integer).transpose()?.unwrap_or(0);
            match &args[0] {
                Value::Float(value) => Ok(Value::Float(shape_float(function, *value, digits))),
                Value::Decimal { unscaled, scale } => {
                    let unscaled = shape_decimal(function, *unscaled, *scale, digits)?;
                    Ok(Value::Decimal { unscaled, scale: *scale })
                }
                other => Ok(Value::Integer(shape_integer(function, integer(other)?, digits)?)),
            }
        }
        IsNan => Ok(Value::Boolean(float(&args[0]).is_nan())),
        IsFinite => Ok(Value::Boolean(float(&args[0]).is_finite())),
        _ => {
            let x = float(&args[0]);
            let y = args.get(1).map_or(0.0, float);
            Ok(Value::Float(of_floats(function, x, y)))
        }
    }
}

fn float(value: &Value) -> f64 {
    value.as_float().unwrap_or(f64::NAN)
}

/// Functions from floats to a float; `y` is read by those of two arguments.
pub(crate) fn of_floats(function: Function, x: f64, y: f64) -> f64 {
    use Function::*;
    match function {
        Sqrt => x.sqrt(),
        Cbrt => x.cbrt(),
        Exp => x.exp(),
        Ln => x.ln(),
        Log2 => x.log2(),
        Log10 => x.log10(),
        Log => y.ln() / x.ln(),
        Power => x.powf(y),
        Sin => x.sin(),
        Cos => x.cos(),
        Tan => x.tan(),
        Asin => x.asin(),
        Acos => x.acos(),
        Atan => x.atan(),
        Atan2 => x.atan2(y),
        Degrees => x.to_degrees(),
        _ => x.to_radians(),
    }
}

/// Functions that keep the type, of floats.
pub(crate) fn shape_float(function: Function, value: f64, digits: i64) -> f64 {
    match function {
        Function::Abs => value.abs(),
        Function::Ceil => value.ceil(),
        Function::Floor => value.floor(),
        Function::Truncate => value.trunc(),
        Function::Sign if value.is_nan() || value == 0.0 => value,
        Function::Sign => value.signum(),
        _ if digits == 0 => value.round(),
        _ => round_float(value, digits),
    }
}

/// Rounds half away from zero at a decimal digit: of the number that the shortest text spells, so that
/// `round(2.675, 2)` is 2.68 as written, though the float is a little less.
fn round_float(value: f64, digits: i64) -> f64 {
    if !value.is_finite() || digits > 300 {
        return value;
    }
    if digits < -308 {
        return 0.0 * value;
    }
    let rounded = decimal::parse(&format!("{value:?}")).and_then(|(unscaled, scale)| {
        let rounded = decimal_at(unscaled, scale, digits).ok()?;
        Some(decimal::to_float(rounded, scale))
    });
    rounded.unwrap_or_else(|| {
        let factor = 10f64.powi(digits as i32);
        let scaled = (value * factor).round() / factor;
        if scaled.is_finite() { scaled } else { value }
    })
}

/// `unscaled` at its own scale, with every digit beyond `digits` after the point rounded to zero.
fn decimal_at(unscaled: i128, scale: i8, digits: i64) -> Result<i128, Fault> {
    if digits >= i64::from(scale) {
        return Ok(unscaled);
    }
    let cut = i64::from(scale).saturating_sub(digits);
    let Some(unit) = u32::try_from(cut).ok().and_then(decimal::power_of_ten) else { return Ok(0) };
    let rounded = decimal::divide_rounded(unscaled, unit).checked_mul(unit).ok_or(decimal::OVERFLOW)?;
    decimal::within_digits(rounded)
}

fn shape_decimal(function: Function, unscaled: i128, scale: i8, digits: i64) -> Result<i128, Fault> {
    let one = u32::try_from(scale.max(0)).ok().and_then(decimal::power_of_ten).ok_or(decimal::OVERFLOW)?;
    let below = unscaled.div_euclid(one).checked_mul(one).ok_or(decimal::OVERFLOW)?;
    let result = match function {
        Function::Abs => unscaled.checked_abs().ok_or(decimal::OVERFLOW)?,
        Function::Floor => below,
        Function::Ceil if below == unscaled => unscaled,
        Function::Ceil => below.checked_add(one).ok_or(decimal::OVERFLOW)?,
        Function::Truncate => unscaled / one * one,
        Function::Sign => unscaled.signum().checked_mul(one).ok_or(decimal::OVERFLOW)?,
        _ => decimal_at(unscaled, scale, digits)?,
    };
    decimal::within_digits(result)
}

fn shape_integer(function: Function, value: i64, digits: i64) -> Result<i64, Fault> {
    match function {
        Function::Abs => value.checked_abs().ok_or(INTEGER_OVERFLOW),
        Function::Sign => Ok(value.signum()),
        Function::Round if digits < 0 => {
            i64::try_from(decimal_at(i128::from(value), 0, digits)?).map_err(|_| INTEGER_OVERFLOW)
        }
        _ => Ok(value),
    }
}
