//! The values of the reference: one per cell, with SQL's comparisons.

use std::cmp::Ordering;

use crate::calendar::parse_timestamp;

/// One value. Integers of every width are [`RefValue::Integer`], floats of every width [`RefValue::Float`].
#[derive(Clone, Debug, PartialEq)]
pub enum RefValue {
    /// NULL.
    Null,
    /// TRUE or FALSE.
    Boolean(bool),
    /// An integer, wide enough for uint64.
    Integer(i128),
    /// A float.
    Float(f64),
    /// `unscaled * 10^-scale`.
    Decimal {
        /// Unscaled value.
        unscaled: i128,
        /// Digits after the point.
        scale: i8,
    },
    /// A string.
    String(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Nanoseconds since midnight.
    Time(i64),
    /// Nanoseconds since 1970-01-01.
    Timestamp(i64),
    /// Calendar months and nanoseconds.
    Interval {
        /// Months.
        months: i32,
        /// The exact rest.
        nanoseconds: i64,
    },
    /// A list.
    List(Vec<RefValue>),
}

/// Two values that no SQL comparison takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Incomparable;

impl RefValue {
    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The same answer: NULL is NULL, NaN is NaN, 0.0 is -0.0; floats may differ in their last bits, since sums may
    /// be taken in another order. An integer is not the float of equal size.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Float(left), Self::Float(right)) => {
                left == right
                    || (left.is_nan() && right.is_nan())
                    || (left - right).abs() <= 1e-9 * left.abs().max(right.abs())
            }
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(l, r)| l.is_same(r))
            }
            (Self::Decimal { .. }, Self::Decimal { .. }) => self.compare(other) == Ok(Some(Ordering::Equal)),
            _ => self == other,
        }
    }

    /// SQL comparison: `None` if either side is NULL. NaN equals itself and is greater than every other float;
    /// 0.0 equals -0.0; integers compare exactly with integers and decimals, as float64 with floats.
    ///
    /// # Errors
    /// [`Incomparable`] for kinds that do not compare.
    pub fn compare(&self, other: &Self) -> Result<Option<Ordering>, Incomparable> {
        use RefValue::*;
        Ok(Some(match (self, other) {
            (Null, _) | (_, Null) => return Ok(None),
            (Boolean(l), Boolean(r)) => l.cmp(r),
            (Integer(l), Integer(r)) => l.cmp(r),
            (Integer(_) | Float(_) | Decimal { .. }, Float(_)) | (Float(_), Integer(_) | Decimal { .. }) => {
                compare_floats(self.as_float().ok_or(Incomparable)?, other.as_float().ok_or(Incomparable)?)
            }
            (Integer(_) | Decimal { .. }, Integer(_) | Decimal { .. }) => {
                let (l, r, _) = self.to_common_scale(other).ok_or(Incomparable)?;
                l.cmp(&r)
            }
            (String(l), String(r)) => l.as_bytes().cmp(r.as_bytes()),
            (Date(l), Date(r)) => l.cmp(r),
            (Time(l), Time(r)) => l.cmp(r),
            (Timestamp(l), Timestamp(r)) => l.cmp(r),
            (Timestamp(_), String(text)) => {
                return self.compare(&Timestamp(parse_timestamp(text).ok_or(Incomparable)?));
            }
            (String(text), Timestamp(_)) => {
                return Timestamp(parse_timestamp(text).ok_or(Incomparable)?).compare(other);
            }
            (Interval { months: 0, nanoseconds: l }, Interval { months: 0, nanoseconds: r }) => l.cmp(r),
            (Interval { months: l, nanoseconds: 0 }, Interval { months: r, nanoseconds: 0 }) => l.cmp(r),
            _ => return Err(Incomparable),
        }))
    }

    /// The order of one key of an `ORDER BY`: where NULLs go does not depend on the direction.
    pub(crate) fn sort_order(&self, other: &Self, descending: bool, nulls_first: bool) -> Ordering {
        match (self.is_null(), other.is_null()) {
            (false, false) if descending => other.total_order(self),
            (true, false) | (false, true) if nulls_first => other.total_order(self),
            _ => self.total_order(other),
        }
    }

    /// The order of `ORDER BY` and of grouping, where NULL is a value (the greatest) like any other.
    pub(crate) fn total_order(&self, other: &Self) -> Ordering {
        match (self.is_null(), other.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.compare(other).ok().flatten().unwrap_or(Ordering::Equal),
        }
    }

    /// A number as float64.
    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Decimal { unscaled, scale } => Some(*unscaled as f64 / 10_f64.powi(i32::from(*scale))),
            _ => None,
        }
    }

    /// Two exact numbers as unscaled values of one scale.
    pub(crate) fn to_common_scale(&self, other: &Self) -> Option<(i128, i128, i8)> {
        let parts = |value: &Self| match value {
            Self::Integer(value) => Some((*value, 0)),
            Self::Decimal { unscaled, scale } => Some((*unscaled, *scale)),
            _ => None,
        };
        let ((left, left_scale), (right, right_scale)) = (parts(self)?, parts(other)?);
        let scale = left_scale.max(right_scale);
        Some((rescale(left, left_scale, scale)?, rescale(right, right_scale, scale)?, scale))
    }
}

fn rescale(unscaled: i128, from: i8, to: i8) -> Option<i128> {
    unscaled.checked_mul(10_i128.checked_pow(u32::try_from(to - from).ok()?)?)
}

fn compare_floats(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        // Both are numbers, so they compare; 0.0 and -0.0 are equal here, unlike in `total_cmp`.
        (false, false) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
    }
}

/// Reads `12.50` as the decimal it spells.
pub(crate) fn parse_decimal(text: &str) -> Option<RefValue> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    Some(RefValue::Decimal { unscaled: digits.parse().ok()?, scale: i8::try_from(fraction.len()).ok()? })
}

impl std::fmt::Display for RefValue {
    /// As a cell of the suite's text tables.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => out.write_str("-"),
            Self::Boolean(value) => write!(out, "{value}"),
            Self::Integer(value) => write!(out, "{value}"),
            Self::Float(value) => write!(out, "{value:?}"),
            Self::Decimal { unscaled, scale } => {
                let scale = usize::try_from(*scale).unwrap_or(0);
                let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let sign = if *unscaled < 0 { "-" } else { "" };
                if scale == 0 {
                    write!(out, "{sign}{whole}")
                } else {
                    write!(out, "{sign}{whole}.{fraction}")
                }
            }
            Self::String(value) => write!(out, "'{}'", value.replace('\'', "''")),
            Self::Date(days) => {
                let (year, month, day) = crate::calendar::civil_from_days(i64::from(*days));
                write!(out, "{year:04}-{month:02}-{day:02}")
            }
            Self::Time(nanoseconds) => write!(out, "{nanoseconds}ns-of-day"),
            Self::Timestamp(nanoseconds) => out.write_str(&crate::calendar::format_timestamp(*nanoseconds)),
            Self::Interval { months, nanoseconds } => write!(out, "{months}months+{nanoseconds}ns"),
            Self::List(values) => {
                let cells: Vec<String> = values.iter().map(Self::to_string).collect();
                write!(out, "[{}]", cells.join(","))
            }
        }
    }
}
