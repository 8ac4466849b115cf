//! Decimals, exactly as they are written.

/// A number as a whole number of units of `10^-scale`; `None`: it has more digits than that, or than `precision`.
pub(crate) fn unscaled(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || (digits.contains('.') && fraction.is_empty()) {
        return None;
    }
    let mut value = 0i128;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let shift = i64::from(scale) + i64::from(exponent) - fraction.len() as i64;
    if value != 0 {
        let power = 10i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?);
        value = match (power, shift >= 0) {
            (Some(power), true) => value.checked_mul(power)?,
            // Digits that are cut off must be zeros.
            (Some(power), false) if value % power == 0 => value / power,
            _ => return None,
        };
    }
    if value >= 10i128.checked_pow(precision.into())? {
        return None;
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_none() {
        let cases = [
            ("12.30", Some(1230)),
            ("-0.01", Some(-1)),
            ("12.340", Some(1234)),
            ("12.345", None),
            ("1e2", Some(10_000)),
            ("123e-2", Some(123)),
            ("123e-3", None),
            ("99999999.99", Some(9_999_999_999)),
            ("100000000", None),
            ("0e99999", Some(0)),
            ("1e99999", None),
            ("1e-99999", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("1_0", None),
            ("+1", None),
            ("NaN", None),
        ];
        for (text, expected) in cases {
            assert_eq!(unscaled(text, 10, 2), expected, "{text}");
        }
    }
}
