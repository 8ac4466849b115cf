//! One value of a row, and how two values compare.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::TimeUnit;
use cepheid_event::nanoseconds_per;
use cepheid_ir::temporal_text::DAY_NS;

use crate::decimal;

/// One value, of whatever type.
///
/// Encodings and widths are gone: a string is a string whether its column was a dictionary, a view or large; every
/// integer that fits is an [`Integer`](Value::Integer). The zone of a timestamp belongs to its type, not to its value.
///
/// `==` is `IS NOT DISTINCT FROM` among values of one type: NULL equals NULL, NaN equals NaN, `-0.0` equals `0.0`,
/// and units and scales do not matter. Values of different types (an integer and a float) are not `==`; for what SQL
/// says about those see [`compare_values`].
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// NULL.
    #[default]
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// An integer above `i64::MAX`; smaller ones are [`Integer`](Value::Integer).
    Unsigned(u64),
    /// A float of any width.
    Float(f64),
    /// `unscaled * 10^-scale`.
    Decimal {
        /// Unscaled value.
        unscaled: i128,
        /// Digits after the point.
        scale: i8,
    },
    /// A string.
    String(Arc<str>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Nanoseconds since midnight.
    Time(i64),
    /// A point in time.
    Timestamp {
        /// Units since 1970-01-01T00:00:00 (in UTC if `zoned`).
        value: i64,
        /// The unit.
        unit: TimeUnit,
        /// Whether it names an instant, or the reading of a clock in no particular zone.
        zoned: bool,
    },
    /// An exact span of time.
    Duration {
        /// How many units.
        value: i64,
        /// The unit.
        unit: TimeUnit,
    },
    /// A span of time by the calendar.
    Interval {
        /// Months.
        months: i32,
        /// Days, of 24 hours.
        days: i32,
        /// The exact rest.
        nanoseconds: i64,
    },
    /// A list.
    List(Arc<[Value]>),
    /// A value that only passes through (struct, binary and others): one row of its column.
    Opaque(ArrayRef),
}

impl Value {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// An unsigned integer in its one representation.
    pub fn from_unsigned(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Unsigned(value), Self::Integer)
    }

    /// The number as a float, if it is one.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Unsigned(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Decimal { unscaled, scale } => Some(decimal::to_float(*unscaled, *scale)),
            _ => None,
        }
    }

    /// The number as unscaled digits and scale, if it is an integer or a decimal.
    pub(crate) fn as_decimal(&self) -> Option<(i128, i8)> {
        match self {
            Self::Integer(value) => Some((i128::from(*value), 0)),
            Self::Unsigned(value) => Some((i128::from(*value), 0)),
            Self::Decimal { unscaled, scale } => Some((*unscaled, *scale)),
            _ => None,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value.into())
    }
}

pub(crate) fn nanoseconds(value: i64, unit: TimeUnit) -> i128 {
    i128::from(value) * i128::from(nanoseconds_per(unit))
}

/// Nanoseconds of an interval whose months are taken for 30 days: for ordering and equality only.
fn interval_nanoseconds(months: i32, days: i32, nanoseconds: i64) -> i128 {
    (i128::from(months) * 30 + i128::from(days)) * i128::from(DAY_NS) + i128::from(nanoseconds)
}

/// Floats in total order: NaN equals itself and is greater than everything, `-0.0` equals `0.0`.
pub(crate) fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

/// How two values that are not NULL compare in SQL; `None` if either is NULL or their types do not compare.
///
/// Integers and decimals compare exactly; with a float on either side both are taken as float64. Timestamps and
/// durations compare exactly whatever their units. Strings compare bytewise, FALSE is less than TRUE, lists compare
/// element by element. Opaque values are equal or not, which gives [`Ordering::Equal`] or `None`.
pub fn compare_values(left: &Value, right: &Value) -> Option<Ordering> {
    use Value::*;
    Some(match (left, right) {
        (Integer(l), Integer(r)) => l.cmp(r),
        (Float(l), Float(r)) => compare_floats(*l, *r),
        (String(l), String(r)) => l.as_bytes().cmp(r.as_bytes()),
        (Boolean(l), Boolean(r)) => l.cmp(r),
        (Date(l), Date(r)) => l.cmp(r),
        (Time(l), Time(r)) => l.cmp(r),
        (Timestamp { value: l, unit: lu, zoned: lz }, Timestamp { value: r, unit: ru, zoned: rz })
            if lz == rz =>
        {
            if lu == ru {
                l.cmp(r)
            } else {
                nanoseconds(*l, *lu).cmp(&nanoseconds(*r, *ru))
            }
        }
        (Duration { value: l, unit: lu }, Duration { value: r, unit: ru }) => {
            nanoseconds(*l, *lu).cmp(&nanoseconds(*r, *ru))
        }
        (Interval { .. } | Duration { .. }, Interval { .. } | Duration { .. }) => {
            span(left)?.cmp(&span(right)?)
        }
        (Float(_), _) | (_, Float(_)) => compare_floats(left.as_float()?, right.as_float()?),
        (Integer(_) | Unsigned(_) | Decimal { .. }, Integer(_) | Unsigned(_) | Decimal { .. }) => {
            decimal::compare(left.as_decimal()?, right.as_decimal()?)
        }
        (List(l), List(r)) => {
            for (l, r) in l.iter().zip(r.iter()) {
                match compare_or_null(l, r)? {
                    Ordering::Equal => {}
                    unequal => return Some(unequal),
                }
            }
            l.len().cmp(&r.len())
        }
        (Opaque(l), Opaque(r)) if l == r => Ordering::Equal,
        _ => return None,
    })
}

/// As [`compare_values`], with NULL equal to itself and greater than everything.
fn compare_or_null(left: &Value, right: &Value) -> Option<Ordering> {
    match (left.is_null(), right.is_null()) {
        (false, false) => compare_values(left, right),
        (l, r) => Some(l.cmp(&r)),
    }
}

/// Whether two values that are not NULL are equal in SQL.
pub(crate) fn equal_values(left: &Value, right: &Value) -> bool {
    compare_values(left, right) == Some(Ordering::Equal)
}

fn span(value: &Value) -> Option<i128> {
    match value {
        Value::Duration { value, unit } => Some(nanoseconds(*value, *unit)),
        Value::Interval { months, days, nanoseconds } => {
            Some(interval_nanoseconds(*months, *days, *nanoseconds))
        }
        _ => None,
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        use Value::*;
        match (self, other) {
            (Null, Null) => true,
            (Integer(_) | Unsigned(_), Integer(_) | Unsigned(_)) => self.as_decimal() == other.as_decimal(),
            (List(l), List(r)) => l == r,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other) && equal_values(self, other),
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        use Value::*;
        match self {
            Null => 0u8.hash(state),
            Boolean(value) => value.hash(state),
            Integer(value) => i128::from(*value).hash(state),
            Unsigned(value) => i128::from(*value).hash(state),
            Float(value) if value.is_nan() => u64::MAX.hash(state),
            Float(value) => (value + 0.0).to_bits().hash(state),
            Decimal { unscaled, scale } => decimal::without_trailing_zeros(*unscaled, *scale).hash(state),
            String(value) => value.hash(state),
            Date(value) => value.hash(state),
            Time(value) => value.hash(state),
            Timestamp { value, unit, zoned } => (nanoseconds(*value, *unit), zoned).hash(state),
            Duration { value, unit } => nanoseconds(*value, *unit).hash(state),
            Interval { months, days, nanoseconds } => {
                interval_nanoseconds(*months, *days, *nanoseconds).hash(state);
            }
            List(values) => values.hash(state),
            // Equal arrays have equal types; hashing the contents would buy little for values that only pass through.
            Opaque(array) => array.data_type().hash(state),
        }
    }
}
