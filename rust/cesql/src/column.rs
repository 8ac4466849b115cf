//! Columns of Arrow as attributes of events.

use std::borrow::Cow;
use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int64Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, TimeUnit};

use crate::evaluate::{Attributes, Reading};
use crate::value::Value;

/// A column, as its values are read.
///
/// Whole numbers of 32 bits are Integer and truths Boolean; everything else that has a text is String: larger numbers in
/// digits, floats and decimals too, times as in RFC 3339 and in UTC, bytes in Base64. NULL is a missing attribute.
pub(crate) enum Column {
    /// The batch has none.
    Absent,
    Boolean(BooleanArray),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    /// `Utf8`, `LargeUtf8` or `Utf8View`.
    Text(ArrayRef),
    /// Of any other type that has a text; made when it is read.
    Shown(ArrayRef),
    /// Places among values; a NULL has any.
    Dictionary {
        keys: ArrayRef,
        places: Vec<usize>,
        values: Box<Column>,
    },
    Unsupported {
        array: ArrayRef,
        what: String,
    },
}

impl Column {
    /// The column of a name, in exactly this spelling.
    pub(crate) fn of(batch: &RecordBatch, name: &str) -> Self {
        batch.column_by_name(name).map_or(Self::Absent, Self::new)
    }

    fn new(array: &ArrayRef) -> Self {
        let as_type = |data_type: &DataType| arrow_cast::cast(array, data_type);
        match array.data_type() {
            DataType::Null => Self::Absent,
            DataType::Boolean => Self::Boolean(array.as_boolean().clone()),
            DataType::UInt64 => Self::Unsigned(array.as_primitive::<UInt64Type>().clone()),
            integer if integer.is_integer() => match as_type(&DataType::Int64) {
                Ok(wide) => Self::Integer(wide.as_primitive::<Int64Type>().clone()),
                Err(_) => Self::unsupported(array),
            },
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text(array.clone()),
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                // Then every row is NULL, and there are no places to look at.
                if dictionary.values().is_empty() || *dictionary.values().data_type() == DataType::Null {
                    return Self::Absent;
                }
                Self::Dictionary {
                    keys: array.clone(),
                    places: dictionary.normalized_keys(),
                    values: Box::new(Self::new(dictionary.values())),
                }
            }
            DataType::Float16
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..)
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..)
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Shown(array.clone()),
            _ => Self::unsupported(array),
        }
    }

    fn unsupported(array: &ArrayRef) -> Self {
        Self::Unsupported { array: array.clone(), what: format!("of type {}", array.data_type()) }
    }

    /// How many values it has; of none that is not there.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Boolean(array) => array.len(),
            Self::Integer(array) => array.len(),
            Self::Unsigned(array) => array.len(),
            Self::Text(array) | Self::Shown(array) | Self::Unsupported { array, .. } => array.len(),
            Self::Dictionary { places, .. } => places.len(),
        }
    }

    pub(crate) fn read(&self, row: usize) -> Reading<'_> {
        match self {
            Self::Absent => Reading::Missing,
            Self::Boolean(array) if array.is_valid(row) => Reading::Value(Value::Boolean(array.value(row))),
            Self::Integer(array) if array.is_valid(row) => Reading::Value(whole(array.value(row))),
            Self::Unsigned(array) if array.is_valid(row) => {
                let value = array.value(row);
                Reading::Value(match i32::try_from(value) {
                    Ok(number) => Value::Integer(number),
                    Err(_) => Value::String(value.to_string().into()),
                })
            }
            Self::Text(array) if array.is_valid(row) => {
                let text = match array.data_type() {
                    DataType::Utf8 => array.as_string::<i32>().value(row),
                    DataType::LargeUtf8 => array.as_string::<i64>().value(row),
                    _ => array.as_string_view().value(row),
                };
                Reading::Value(Value::String(Cow::Borrowed(text)))
            }
            Self::Shown(array) if array.is_valid(row) => match shown(array, row) {
                Some(text) => Reading::Value(Value::String(text.into())),
                None => Reading::Unsupported("a time beyond the years 0000 to 9999"),
            },
            Self::Dictionary { keys, places, values } if keys.is_valid(row) => values.read(places[row]),
            Self::Unsupported { array, what } if array.is_valid(row) => Reading::Unsupported(what),
            _ => Reading::Missing,
        }
    }
}

/// A row of the columns that an expression reads.
pub(crate) struct Row<'c> {
    pub(crate) columns: &'c [Column],
    pub(crate) row: usize,
}

impl Attributes for Row<'_> {
    fn read(&self, place: usize) -> Reading<'_> {
        self.columns[place].read(self.row)
    }
}

/// A whole number: an Integer if it is one of 32 bits, else its digits.
pub fn whole(value: i64) -> Value<'static> {
    match i32::try_from(value) {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::String(value.to_string().into()),
    }
}

/// A float as text: as short as it can be and still read back, always with a point or an exponent.
pub fn float(value: f64) -> String {
    format!("{value:?}")
}

/// The text of a value; none of times that RFC 3339 has none of.
fn shown(array: &ArrayRef, row: usize) -> Option<String> {
    const DAY_MS: i64 = 86_400_000;
    Some(match array.data_type() {
        DataType::Float16 => format!("{:?}", array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => format!("{:?}", array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => date(i64::from(array.as_primitive::<Date32Type>().value(row)))?,
        DataType::Date64 => date(array.as_primitive::<Date64Type>().value(row).div_euclid(DAY_MS))?,
        DataType::Time32(unit) | DataType::Time64(unit) => clock(raw(array, row)?, *unit),
        DataType::Timestamp(unit, _) => {
            let (value, day) = (raw(array, row)?, 86_400 * per_second(*unit));
            format!("{}T{}Z", date(value.div_euclid(day))?, clock(value.rem_euclid(day), *unit))
        }
        DataType::Binary => base64(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => base64(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => base64(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => base64(array.as_fixed_size_binary().value(row)),
        _ => arrow_cast::display::array_value_to_string(array, row).ok()?,
    })
}

/// The number that a time is kept as.
fn raw(array: &ArrayRef, row: usize) -> Option<i64> {
    // Times of 32 bits cast to themselves first.
    let one = array.slice(row, 1);
    let wide = match array.data_type() {
        DataType::Time32(_) => {
            arrow_cast::cast(&arrow_cast::cast(&one, &DataType::Int32).ok()?, &DataType::Int64)
        }
        _ => arrow_cast::cast(&one, &DataType::Int64),
    };
    Some(wide.ok()?.as_primitive::<Int64Type>().value(0))
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// `HH:MM:SS`, with 3, 6 or 9 digits of a fraction if it has one.
fn clock(value: i64, unit: TimeUnit) -> String {
    let (seconds, part) = (value / per_second(unit), value % per_second(unit));
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let nanoseconds = part * (1_000_000_000 / per_second(unit));
    let (digits, fraction) = match nanoseconds {
        0 => return text,
        n if n % 1_000_000 == 0 => (3, n / 1_000_000),
        n if n % 1_000 == 0 => (6, n / 1_000),
        n => (9, n),
    };
    write!(text, ".{fraction:0digits$}").expect("text can always be written to");
    text
}

/// `YYYY-MM-DD` of a day, counted from 1970; none beyond the years 0000 to 9999.
fn date(day: i64) -> Option<String> {
    // 0000-01-01 and 9999-12-31.
    if !(-719_528..=2_932_896).contains(&day) {
        return None;
    }
    // Years that begin in March have the leap day at their end: 400 of them are one cycle.
    let shifted = day + 719_468;
    let (cycle, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (cycle * 400 + year + month / 10, (month + 2) % 12 + 1);
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

/// Bytes as in RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
