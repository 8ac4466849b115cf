//! Values as plain data, for snapshots.

use std::cell::Cell;
use std::sync::Arc;

use arrow_schema::TimeUnit;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::value::Value;

/// A value that can be written down: any but those that only pass through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SavedValue {
    /// As in [`Value`], and so on.
    Null,
    #[allow(missing_docs)]
    Boolean(bool),
    #[allow(missing_docs)]
    Integer(i64),
    #[allow(missing_docs)]
    Unsigned(u64),
    /// Its bits, so that every NaN is itself.
    Float(u64),
    /// Unscaled, and the scale.
    Decimal(i128, i8),
    #[allow(missing_docs)]
    String(Box<str>),
    #[allow(missing_docs)]
    Date(i32),
    #[allow(missing_docs)]
    Time(i64),
    /// Units since 1970, the unit, and whether it is zoned.
    Timestamp(i64, u8, bool),
    /// Units, and the unit.
    Duration(i64, u8),
    /// Months, days, nanoseconds.
    Interval(i32, i32, i64),
    #[allow(missing_docs)]
    List(#[serde(deserialize_with = "of_a_list")] Vec<SavedValue>),
}

/// Lists stand in each other so deep at most: bytes that say more would have the stack overflow when they are read.
const DEPTH_MAX: u32 = 64;

thread_local! {
    /// How many lists the value that is read now stands in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

fn of_a_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SavedValue>, D::Error> {
    let depth = DEPTH.get();
    if depth == DEPTH_MAX {
        return Err(D::Error::custom("lists in lists, too deep"));
    }
    DEPTH.set(depth + 1);
    let values = Vec::deserialize(deserializer);
    DEPTH.set(depth);
    values
}

const UNITS: [TimeUnit; 4] =
    [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];

fn number_of(unit: TimeUnit) -> u8 {
    UNITS.iter().position(|known| *known == unit).expect("there are four units") as u8
}

impl Value {
    /// The value as plain data; `None`: it only passes through, or is of lists in lists too deep.
    pub fn save(&self) -> Option<SavedValue> {
        self.save_within(DEPTH_MAX)
    }

    fn save_within(&self, depth: u32) -> Option<SavedValue> {
        Some(match self {
            Self::Null => SavedValue::Null,
            Self::Boolean(value) => SavedValue::Boolean(*value),
            Self::Integer(value) => SavedValue::Integer(*value),
            Self::Unsigned(value) => SavedValue::Unsigned(*value),
            Self::Float(value) => SavedValue::Float(value.to_bits()),
            Self::Decimal { unscaled, scale } => SavedValue::Decimal(*unscaled, *scale),
            Self::String(value) => SavedValue::String((&**value).into()),
            Self::Date(value) => SavedValue::Date(*value),
            Self::Time(value) => SavedValue::Time(*value),
            Self::Timestamp { value, unit, zoned } => SavedValue::Timestamp(*value, number_of(*unit), *zoned),
            Self::Duration { value, unit } => SavedValue::Duration(*value, number_of(*unit)),
            Self::Interval { months, days, nanoseconds } => {
                SavedValue::Interval(*months, *days, *nanoseconds)
            }
            Self::List(values) => {
                let inner = depth.checked_sub(1)?;
                let values = values.iter().map(|value| value.save_within(inner));
                SavedValue::List(values.collect::<Option<_>>()?)
            }
            Self::Opaque(_) => return None,
        })
    }

    /// Reads what [`save`](Self::save) wrote; `None`: it is no value.
    pub fn load(saved: SavedValue) -> Option<Self> {
        let unit = |number: u8| UNITS.get(number as usize).copied();
        Some(match saved {
            SavedValue::Null => Self::Null,
            SavedValue::Boolean(value) => Self::Boolean(value),
            SavedValue::Integer(value) => Self::Integer(value),
            SavedValue::Unsigned(value) => Self::Unsigned(value),
            SavedValue::Float(bits) => Self::Float(f64::from_bits(bits)),
            SavedValue::Decimal(unscaled, scale) => Self::Decimal { unscaled, scale },
            SavedValue::String(value) => Self::String(Arc::from(value)),
            SavedValue::Date(value) => Self::Date(value),
            SavedValue::Time(value) => Self::Time(value),
            SavedValue::Timestamp(value, number, zoned) => {
                Self::Timestamp { value, unit: unit(number)?, zoned }
            }
            SavedValue::Duration(value, number) => Self::Duration { value, unit: unit(number)? },
            SavedValue::Interval(months, days, nanoseconds) => Self::Interval { months, days, nanoseconds },
            SavedValue::List(values) => {
                Self::List(values.into_iter().map(Self::load).collect::<Option<Vec<_>>>()?.into())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: u32) -> Value {
        (0..depth).fold(Value::Integer(7), |inner, _| Value::List(vec![inner].into()))
    }

    #[test]
    fn lists_in_lists_are_written_and_read_up_to_a_depth() {
        for depth in [0, 1, DEPTH_MAX] {
            let saved = nested(depth).save().expect("not too deep");
            let bytes = postcard::to_stdvec(&saved).expect("plain data");
            let read: SavedValue = postcard::from_bytes(&bytes).expect("what was written");
            assert_eq!(Value::load(read), Some(nested(depth)));
        }
        assert_eq!(nested(DEPTH_MAX + 1).save(), None);
        // A list of one list of one list, and so on, far deeper than a stack: refused, and nothing is left behind by that.
        let list = postcard::to_stdvec(&SavedValue::List(vec![])).expect("plain data")[0];
        let hostile: Vec<u8> = [list, 1].into_iter().cycle().take(2_000_000).collect();
        assert!(postcard::from_bytes::<SavedValue>(&hostile).is_err());
        let sound = postcard::to_stdvec(&nested(DEPTH_MAX).save()).expect("plain data");
        assert!(postcard::from_bytes::<Option<SavedValue>>(&sound).is_ok());
    }
}
