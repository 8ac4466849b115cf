//! Values as whole numbers that keep their order: what an index of values is made of.

use std::hash::BuildHasher;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use foldhash::fast::FixedState;

use crate::column_reader::ColumnReader;
use crate::decimal::power_of_ten;
use crate::types::{Class, decoded};
use crate::value::{Value, nanoseconds};

/// How values of two types that compare are turned into numbers of 64 bits.
///
/// Of values `l` and `r` that [`compare_values`](crate::compare_values) compares, `l < r` gives `order(l) <= order(r)`,
/// and `l = r` gives equal numbers, by both [`order`](Self::order) and [`equality`](Self::equality). Different values may
/// share a number, so that an index by them finds everything there is to find, and perhaps more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderCode {
    kind: Kind,
    exact: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Integer,
    /// Either side is a float: both are compared as floats.
    Float,
    /// Digits after the point of the finer side.
    Decimal(i8),
    Boolean,
    Text,
    Date,
    Time,
    Instant,
}

impl OrderCode {
    /// For values of these types; `None` if they do not compare, or in a way that numbers cannot follow (intervals, lists).
    pub fn of(left: &DataType, right: &DataType) -> Option<Self> {
        let types = [decoded(left), decoded(right)];
        let classes = types.each_ref().map(Class::of);
        if !classes[0].orders(classes[1]) {
            return None;
        }
        let is_nanoseconds = |unit: &TimeUnit| *unit == TimeUnit::Nanosecond;
        let (kind, exact) = match (classes[0], classes[1]) {
            (Class::Integer, Class::Integer) => (Kind::Integer, !types.contains(&DataType::UInt64)),
            (l, r) if l.is_number() && r.is_number() => match (l, r) {
                (Class::Float, _) | (_, Class::Float) => (Kind::Float, true),
                (Class::Decimal(l), Class::Decimal(r)) => (Kind::Decimal(l.max(r)), false),
                (Class::Decimal(scale), _) | (_, Class::Decimal(scale)) => {
                    (Kind::Decimal(scale.max(0)), false)
                }
                _ => return None,
            },
            (Class::Boolean, Class::Boolean) => (Kind::Boolean, true),
            (Class::String, Class::String) => (Kind::Text, false),
            (Class::Date, Class::Date) => (Kind::Date, true),
            (Class::Time, Class::Time) => (Kind::Time, true),
            (Class::Timestamp { unit: l, .. }, Class::Timestamp { unit: r, .. })
            | (Class::Duration(l), Class::Duration(r)) => (Kind::Instant, [l, r].iter().all(is_nanoseconds)),
            _ => return None,
        };
        Some(Self { kind, exact })
    }

    /// Whether different values have different numbers by [`order`](Self::order), so that it compares as they do.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Whether values are compared as floats.
    pub(crate) fn is_of_floats(&self) -> bool {
        self.kind == Kind::Float
    }

    /// Whether it is strings that compare.
    pub fn is_of_text(&self) -> bool {
        self.kind == Kind::Text
    }

    /// The numbers of the values of an array by their order; `None` for NULL.
    pub fn orders(&self, array: &ArrayRef) -> Vec<Option<i64>> {
        match (self.kind, array.data_type()) {
            (Kind::Integer, DataType::Int64) => array.as_primitive::<Int64Type>().iter().collect(),
            (Kind::Float, DataType::Float64) => {
                array.as_primitive::<Float64Type>().iter().map(|value| value.map(float_order)).collect()
            }
            _ => {
                let reader = ColumnReader::new(array);
                (0..array.len()).map(|row| self.order(&reader.value(row))).collect()
            }
        }
    }

    /// The number of a value by its order; `None` for NULL.
    #[inline]
    pub fn order(&self, value: &Value) -> Option<i64> {
        Some(match (self.kind, value) {
            (_, Value::Null) => return None,
            (Kind::Integer, Value::Integer(value)) => *value,
            (Kind::Integer, _) => i64::MAX,
            (Kind::Float, value) => float_order(value.as_float()?),
            (Kind::Decimal(scale), value) => {
                let (unscaled, own) = value.as_decimal()?;
                clamped(at_scale(unscaled, own, scale))
            }
            (Kind::Boolean, Value::Boolean(value)) => i64::from(*value),
            (Kind::Text, Value::String(text)) => {
                let mut first = [0; 8];
                let length = text.len().min(8);
                first[..length].copy_from_slice(&text.as_bytes()[..length]);
                (u64::from_be_bytes(first) ^ (1 << 63)) as i64
            }
            (Kind::Date, Value::Date(days)) => i64::from(*days),
            (Kind::Time, Value::Time(nanoseconds)) => *nanoseconds,
            (Kind::Instant, Value::Timestamp { value, unit, .. } | Value::Duration { value, unit }) => {
                clamped(nanoseconds(*value, *unit))
            }
            _ => return None,
        })
    }

    /// A number that equal values share and others hardly ever; `None` for NULL.
    #[inline]
    pub fn equality(&self, value: &Value) -> Option<i64> {
        match (self.kind, value) {
            (Kind::Text, Value::String(text)) => {
                Some(FixedState::with_seed(3).hash_one(text.as_bytes()) as i64)
            }
            _ => self.order(value),
        }
    }
}

/// NaN is one value, above all others; zero has no sign.
pub(crate) fn float_order(value: f64) -> i64 {
    if value.is_nan() {
        return i64::MAX;
    }
    let bits = (value + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// `unscaled * 10^-own` at `scale` digits after the point, rounded down; at the ends of the range where it has no room.
fn at_scale(unscaled: i128, own: i8, scale: i8) -> i128 {
    let shift = i32::from(scale) - i32::from(own);
    let factor = power_of_ten(shift.unsigned_abs());
    if shift >= 0 {
        let end = if unscaled < 0 { i128::MIN } else { i128::MAX };
        return match factor {
            _ if unscaled == 0 => 0,
            Some(factor) => unscaled.checked_mul(factor).unwrap_or(end),
            None => end,
        };
    }
    factor.map_or(if unscaled < 0 { -1 } else { 0 }, |factor| unscaled.div_euclid(factor))
}

fn clamped(value: i128) -> i64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;
    use crate::value::compare_values;
    use crate::value_array::values_to_array;

    /// Values of a type, those at the ends of its range and those near each other among them.
    fn values(data_type: &DataType) -> Vec<Value> {
        match data_type {
            DataType::Int64 => {
                [i64::MIN, -3, 0, 1, 2, (1 << 53) + 1, 1 << 53, i64::MAX].map(Value::Integer).into()
            }
            DataType::UInt64 => {
                [0, 2, i64::MAX as u64, u64::MAX - 1, u64::MAX].map(Value::from_unsigned).into()
            }
            DataType::Float64 => {
                let ends =
                    [f64::NEG_INFINITY, -2.5, -0.0, 0.0, 5e-324, 1.0, 2.5, 9e15, f64::INFINITY, f64::NAN];
                ends.map(Value::Float).into()
            }
            DataType::Decimal128(_, scale) => [i128::MIN / 4, -250, -1, 0, 1, 20, 250, i128::MAX / 4]
                .map(|unscaled| Value::Decimal { unscaled, scale: *scale })
                .into(),
            DataType::Utf8 => ["", "a", "abcdefgh", "abcdefghi", "abcdefghj", "b", "ä", "\u{10ffff}"]
                .map(Value::from)
                .into(),
            DataType::Boolean => [false, true].map(Value::Boolean).into(),
            DataType::Date32 => [i32::MIN, -1, 0, 1, i32::MAX].map(Value::Date).into(),
            DataType::Timestamp(unit, _) => [i64::MIN, -1, 0, 1, 1000, 1_000_000, i64::MAX]
                .map(|value| Value::Timestamp { value, unit: *unit, zoned: false })
                .into(),
            DataType::Duration(unit) => {
                [-1, 0, 1, 1000, i64::MAX].map(|value| Value::Duration { value, unit: *unit }).into()
            }
            other => unreachable!("no values of {other}"),
        }
    }

    #[test]
    fn codes_keep_the_order_of_all_values_that_compare() {
        let types = [
            DataType::Int64,
            DataType::UInt64,
            DataType::Float64,
            DataType::Decimal128(38, 2),
            DataType::Decimal128(38, 0),
            DataType::Decimal128(38, 4),
            DataType::Utf8,
            DataType::Boolean,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Timestamp(TimeUnit::Millisecond, None),
            DataType::Duration(TimeUnit::Microsecond),
            DataType::Duration(TimeUnit::Nanosecond),
        ];
        let mut compared = 0;
        for left_type in &types {
            for right_type in &types {
                let Some(code) = OrderCode::of(left_type, right_type) else { continue };
                for left in &values(left_type) {
                    for right in &values(right_type) {
                        let ordering = compare_values(left, right).expect("values that compare");
                        let order = code.order(left).cmp(&code.order(right));
                        let shown = format!("{left:?} and {right:?}: {ordering:?}, {order:?}");
                        assert!(order == ordering || order == Ordering::Equal && !code.is_exact(), "{shown}");
                        if ordering == Ordering::Equal {
                            assert_eq!(code.equality(left), code.equality(right), "{shown}");
                        }
                        compared += 1;
                    }
                }
                assert_eq!((code.order(&Value::Null), code.equality(&Value::Null)), (None, None));
                let mut column = values(left_type);
                column.push(Value::Null);
                let array = values_to_array(&column, left_type).expect("values of the type");
                let orders: Vec<Option<i64>> = column.iter().map(|value| code.order(value)).collect();
                assert_eq!(code.orders(&array), orders, "{left_type} beside {right_type}");
            }
        }
        assert!(compared > 1000, "{compared}");
        assert_eq!(OrderCode::of(&DataType::Int64, &DataType::Utf8), None);
        assert_eq!(OrderCode::of(&DataType::Date32, &types[9]), None);
    }
}
