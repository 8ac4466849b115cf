//! Values as plain data, for snapshots.

use std::sync::Arc;

use arrow_schema::TimeUnit;
use serde::{Deserialize, Serialize};

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
    List(Vec<SavedValue>),
}

const UNITS: [TimeUnit; 4] =
    [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];

fn number_of(unit: TimeUnit) -> u8 {
    UNITS.iter().position(|known| *known == unit).expect("there are four units") as u8
}

impl Value {
    /// The value as plain data; `None`: it only passes through.
    pub fn save(&self) -> Option<SavedValue> {
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
            Self::List(values) => SavedValue::List(values.iter().map(Self::save).collect::<Option<_>>()?),
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
