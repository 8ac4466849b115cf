//! Times as RFC 3339 writes them: `2026-07-01T12:30:00.25+02:00`.

use arrow_array::builder::TimestampMicrosecondBuilder;
use arrow_array::{Array, StringArray};
use arrow_array::{ArrayRef, TimestampMicrosecondArray};
use std::sync::Arc;

const MICROS: i64 = 1_000_000;
/// Times that 64 bits of nanoseconds hold, in microseconds: the engine's clock counts these.
pub(crate) const MICROS_MAX: i64 = i64::MAX / 1000;

/// Days since 1970 of a day in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// A day as RFC 3339 writes it, in days since 1970.
pub(crate) fn full_date(text: &[u8]) -> Option<i64> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *text else { return None };
    let (year, month, day) = (number(&[y0, y1, y2, y3])?, number(&[m0, m1])?, number(&[d0, d1])?);
    ((1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day)).then(|| days(year, month, day))
}

/// Days and nanoseconds since 1970, split as seconds and nanoseconds of a second; `zoned`: with an offset, and otherwise
/// without.
pub(crate) fn moment(text: &str, zoned: bool) -> Option<(i64, i64)> {
    let text = text.as_bytes();
    let (date, rest) = (full_date(text.get(..10)?)?, text.get(10..)?);
    let [b'T' | b't' | b' ', h0, h1, b':', m0, m1, b':', s0, s1, rest @ ..] = rest else { return None };
    let (hour, minute, second) = (number(&[*h0, *h1])?, number(&[*m0, *m1])?, number(&[*s0, *s1])?);
    // A leap second is the first of the minute after.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (mut nanos, mut rest) = (0, rest);
    if let [b'.', digits @ ..] = rest {
        let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        // Digits beyond the ninth are below a nanosecond.
        nanos = number(&digits[..length.min(9)])? * 10i64.pow(9 - length.min(9) as u32);
        rest = &digits[length..];
    }
    let offset = match *rest {
        [] if !zoned => 0,
        [b'Z' | b'z'] if zoned => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] if zoned => {
            let (hours, minutes) = (number(&[h0, h1])?, number(&[m0, m1])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    Some((date * 86_400 + hour * 3600 + minute * 60 + second - offset, nanos))
}

/// A time with its offset, in microseconds since 1970: finer digits are cut off. `None`: it is none, or 64 bits of
/// nanoseconds, which the engine's clock counts, do not hold it.
pub fn rfc3339_micros(text: &str) -> Option<i64> {
    let (seconds, nanos) = moment(text, true)?;
    let micros = seconds * MICROS + nanos / 1000;
    (-MICROS_MAX..=MICROS_MAX).contains(&micros).then_some(micros)
}

/// Each text as a time; NULL where it is none.
pub fn rfc3339_times(texts: &StringArray) -> ArrayRef {
    let mut times = TimestampMicrosecondBuilder::with_capacity(texts.len());
    for text in texts {
        times.append_option(text.and_then(rfc3339_micros));
    }
    let times: TimestampMicrosecondArray = times.finish();
    Arc::new(times.with_timezone("UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_what_is_none_is_not() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01t00:00:00.5z", Some(500_000)),
            ("1970-01-01 01:00:00+01:00", Some(0)),
            ("1969-12-31T23:59:59.999999999Z", Some(-1)),
            ("2024-02-29T12:34:56.789012Z", Some(1_709_210_096_789_012)),
            ("2000-01-01T00:00:00-00:30", Some(946_686_600_000_000)),
            ("1998-12-31T23:59:60Z", Some(915_148_800_000_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01", None),
            ("2024-01-01T00:00:00.Z", None),
            ("2024-01-01T00:00:00+0100", None),
            ("2024-01-01T00:00:00Z ", None),
            ("0001-01-01T00:00:00Z", None),
            ("9999-12-31T23:59:59Z", None),
            ("", None),
            ("12345", None),
            ("２０２４-01-01T00:00:00Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(rfc3339_micros(text), expected, "{text}");
        }
        assert_eq!(moment("2024-01-01T00:00:00", false), Some((1_704_067_200, 0)));
        assert_eq!(full_date(b"1600-03-01"), Some(-135_080));
    }
}
