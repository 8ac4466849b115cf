//! Arithmetic on decimals: `unscaled * 10^-scale`, at most 38 digits.

use std::cmp::Ordering;

use arrow_buffer::i256;

use crate::error::Fault;

/// Most digits of a decimal.
pub(crate) const DIGITS_MAX: u8 = 38;
/// Fewest digits after the point that a quotient is worked out to.
pub(crate) const QUOTIENT_SCALE_MIN: i8 = 6;

pub(crate) const OVERFLOW: Fault = Fault::Overflow("DECIMAL(38)");

/// `10^exponent`, if it fits.
pub(crate) fn power_of_ten(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

/// `unscaled`, if it has no more than 38 digits.
pub(crate) fn within_digits(unscaled: i128) -> Result<i128, Fault> {
    const LIMIT: u128 = 10u128.pow(DIGITS_MAX as u32);
    if unscaled.unsigned_abs() < LIMIT { Ok(unscaled) } else { Err(OVERFLOW) }
}

/// The same number with `to` digits after the point; digits cut off are rounded half away from zero.
pub(crate) fn rescale(unscaled: i128, from: i8, to: i8) -> Result<i128, Fault> {
    let shift = i32::from(to) - i32::from(from);
    if shift >= 0 {
        if unscaled == 0 {
            return Ok(0);
        }
        let factor = power_of_ten(shift as u32).ok_or(OVERFLOW)?;
        return within_digits(unscaled.checked_mul(factor).ok_or(OVERFLOW)?);
    }
    Ok(match power_of_ten(shift.unsigned_abs()) {
        Some(divisor) => divide_rounded(unscaled, divisor),
        None => 0,
    })
}

/// The quotient rounded half away from zero; `divisor` is positive.
pub(crate) fn divide_rounded(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value / divisor, value % divisor);
    let round_up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    if round_up { quotient + value.signum() } else { quotient }
}

/// The nearest float.
pub(crate) fn to_float(unscaled: i128, scale: i8) -> f64 {
    if unscaled.unsigned_abs() < 1 << 53 && (0..=22).contains(&scale) {
        // Both are exact as floats, so one division rounds once.
        return unscaled as f64 / 10f64.powi(i32::from(scale));
    }
    // Parsing rounds correctly where a product of two rounded factors would not.
    format!("{unscaled}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

/// Exact comparison, whatever the scales.
pub(crate) fn compare((left, left_scale): (i128, i8), (right, right_scale): (i128, i8)) -> Ordering {
    if left_scale == right_scale {
        return left.cmp(&right);
    }
    let scale = left_scale.max(right_scale);
    widen(left, scale, left_scale).cmp(&widen(right, scale, right_scale))
}

/// `value` at `to` digits after the point: at most 39 digits times 10^76, kept within 256 bits by saturation.
fn widen(value: i128, to: i8, from: i8) -> i256 {
    let shift = (i32::from(to) - i32::from(from)) as u32;
    let wide = i256::from_i128(value);
    let saturated = if value < 0 { i256::MIN } else { i256::MAX };
    if value == 0 {
        return wide;
    }
    i256::from_i128(10).checked_pow(shift).and_then(|factor| wide.checked_mul(factor)).unwrap_or(saturated)
}

/// One spelling for equal numbers.
pub(crate) fn without_trailing_zeros(mut unscaled: i128, mut scale: i8) -> (i128, i8) {
    if unscaled == 0 {
        return (0, 0);
    }
    while unscaled % 10 == 0 && scale > i8::MIN {
        unscaled /= 10;
        scale -= 1;
    }
    (unscaled, scale)
}

/// Sum (`subtract`: difference) at the greater scale.
pub(crate) fn add(left: (i128, i8), right: (i128, i8), subtract: bool) -> Result<(i128, i8), Fault> {
    let scale = left.1.max(right.1);
    let (l, r) = (rescale(left.0, left.1, scale)?, rescale(right.0, right.1, scale)?);
    let sum = if subtract { l.checked_sub(r) } else { l.checked_add(r) };
    Ok((within_digits(sum.ok_or(OVERFLOW)?)?, scale))
}

/// Product; scales add up.
pub(crate) fn multiply(left: (i128, i8), right: (i128, i8)) -> Result<(i128, i8), Fault> {
    let scale = product_scale(left.1, right.1).ok_or(OVERFLOW)?;
    Ok((within_digits(left.0.checked_mul(right.0).ok_or(OVERFLOW)?)?, scale))
}

/// Scale of a product, if 38 digits can have it.
pub(crate) fn product_scale(left: i8, right: i8) -> Option<i8> {
    left.checked_add(right).filter(|scale| *scale <= DIGITS_MAX as i8)
}

/// Scale of a quotient.
pub(crate) fn quotient_scale(left: i8, right: i8) -> i8 {
    left.max(right).max(QUOTIENT_SCALE_MIN)
}

/// Quotient at [`quotient_scale`], rounded half away from zero.
pub(crate) fn divide(left: (i128, i8), right: (i128, i8)) -> Result<(i128, i8), Fault> {
    if right.0 == 0 {
        return Err(Fault::DivisionByZero);
    }
    let scale = quotient_scale(left.1, right.1);
    // left / right at `scale` is left.0 * 10^(scale - left.1 + right.1) / right.0.
    let shift = i32::from(scale) - i32::from(left.1) + i32::from(right.1);
    let factor = i256::from_i128(10).checked_pow(shift.max(0) as u32).ok_or(OVERFLOW)?;
    let numerator = i256::from_i128(left.0).checked_mul(factor).ok_or(OVERFLOW)?;
    let denominator = i256::from_i128(right.0);
    let quotient = numerator.checked_div(denominator).ok_or(OVERFLOW)?;
    let rest = numerator.checked_rem(denominator).ok_or(OVERFLOW)?.wrapping_abs();
    let wide = denominator.wrapping_abs();
    let away = if (left.0 < 0) == (right.0 < 0) { i256::ONE } else { i256::MINUS_ONE };
    let rounded = if rest >= wide.wrapping_sub(rest) { quotient.wrapping_add(away) } else { quotient };
    Ok((within_digits(rounded.to_i128().ok_or(OVERFLOW)?)?, scale))
}

/// Remainder at the greater scale, with the sign of `left`.
pub(crate) fn modulo(left: (i128, i8), right: (i128, i8)) -> Result<(i128, i8), Fault> {
    let scale = left.1.max(right.1);
    let (l, r) = (rescale(left.0, left.1, scale)?, rescale(right.0, right.1, scale)?);
    if r == 0 { Err(Fault::DivisionByZero) } else { Ok((l.checked_rem(r).unwrap_or(0), scale)) }
}

/// The decimal's digits.
pub(crate) fn to_text(unscaled: i128, scale: i8) -> String {
    if scale <= 0 {
        let zeros = if unscaled == 0 { 0 } else { usize::from(scale.unsigned_abs()) };
        return format!("{unscaled}{}", "0".repeat(zeros));
    }
    let scale = usize::from(scale.unsigned_abs());
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if unscaled < 0 { "-" } else { "" })
}

/// The parts of `[+-]digits[.digits][e[+-]digits]`.
struct Spelling<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    exponent: i32,
}

fn spelling(text: &str) -> Option<Spelling<'_>> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut digits = whole.bytes().chain(fraction.bytes());
    let spelled = whole.len() + fraction.len() > 0 && digits.all(|digit| digit.is_ascii_digit());
    spelled.then_some(Spelling { negative, whole, fraction, exponent })
}

/// Reads a number, rounded half away from zero to `scale` digits after the point. However many digits the text has,
/// those beyond the scale do no harm; `None` if there are more than 38 before.
pub(crate) fn parse_rounded(text: &str, scale: i8) -> Option<i128> {
    let Spelling { negative, whole, fraction, exponent } = spelling(text)?;
    let digits: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes())
        .map(|digit| digit - b'0')
        .skip_while(|digit| *digit == 0)
        .collect();
    // Digits that stand before the last one kept; less than none if the number begins further down.
    let kept = digits.len() as i64 - fraction.len() as i64 + i64::from(exponent) + i64::from(scale);
    if digits.is_empty() || kept < 0 {
        return Some(0);
    }
    let kept = usize::try_from(kept).ok().filter(|kept| *kept <= usize::from(DIGITS_MAX))?;
    let mut unscaled: i128 = 0;
    for place in 0..kept {
        unscaled = unscaled * 10 + i128::from(digits.get(place).copied().unwrap_or(0));
    }
    unscaled += i128::from(digits.get(kept).is_some_and(|digit| *digit >= 5));
    within_digits(if negative { -unscaled } else { unscaled }).ok()
}

/// Reads `[+-]digits[.digits][e[+-]digits]` exactly; `None` if 38 digits cannot hold it.
pub(crate) fn parse(text: &str) -> Option<(i128, i8)> {
    let Spelling { negative, whole, fraction, exponent } = spelling(text)?;
    if fraction.len() > 100 {
        return None;
    }
    let mut unscaled: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let mut scale = (fraction.len() as i32).checked_sub(exponent)?;
    while scale < 0 && unscaled != 0 {
        unscaled = unscaled.checked_mul(10)?;
        scale += 1;
    }
    let scale = i8::try_from(scale.max(0)).ok().filter(|scale| *scale <= DIGITS_MAX as i8)?;
    within_digits(if negative { -unscaled } else { unscaled }).ok().map(|unscaled| (unscaled, scale))
}
