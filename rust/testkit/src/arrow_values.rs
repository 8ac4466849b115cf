//! Values of the reference from and to Arrow arrays.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, DurationNanosecondArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt8Array, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, TimeUnit};

use crate::reference_table::ReferenceTable;
use crate::value::RefValue;

/// An array of `data_type`; values that are not of its kind become NULL.
///
/// # Panics
/// For a type that no generator and no case makes.
pub(crate) fn values_to_array(values: &[RefValue], data_type: &DataType) -> ArrayRef {
    macro_rules! integers {
        ($array:ty) => {
            Arc::new(
                values
                    .iter()
                    .map(|value| integer(value).and_then(|value| value.try_into().ok()))
                    .collect::<$array>(),
            )
        };
    }
    match data_type {
        DataType::Boolean => Arc::new(
            values
                .iter()
                .map(|value| if let RefValue::Boolean(value) = value { Some(*value) } else { None })
                .collect::<BooleanArray>(),
        ),
        DataType::Int8 => integers!(Int8Array),
        DataType::Int16 => integers!(Int16Array),
        DataType::Int32 => integers!(Int32Array),
        DataType::Int64 => integers!(Int64Array),
        DataType::UInt8 => integers!(UInt8Array),
        DataType::UInt16 => integers!(UInt16Array),
        DataType::UInt32 => integers!(UInt32Array),
        DataType::UInt64 => integers!(UInt64Array),
        DataType::Float32 => Arc::new(
            values.iter().map(|value| value.as_float().map(|value| value as f32)).collect::<Float32Array>(),
        ),
        DataType::Float64 => Arc::new(values.iter().map(RefValue::as_float).collect::<Float64Array>()),
        DataType::Utf8 => Arc::new(values.iter().map(text).collect::<StringArray>()),
        DataType::Dictionary(_, _) => {
            Arc::new(values.iter().map(text).collect::<DictionaryArray<Int32Type>>())
        }
        DataType::Date32 => integers!(Date32Array),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => integers!(TimestampNanosecondArray),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Arc::new(
            values
                .iter()
                .map(|value| integer(value).map(|value| (value / 1_000) as i64))
                .collect::<TimestampMicrosecondArray>(),
        ),
        DataType::Timestamp(TimeUnit::Millisecond, None) => Arc::new(
            values
                .iter()
                .map(|value| integer(value).map(|value| (value / 1_000_000) as i64))
                .collect::<TimestampMillisecondArray>(),
        ),
        DataType::Duration(TimeUnit::Nanosecond) => integers!(DurationNanosecondArray),
        DataType::Decimal128(precision, scale) => {
            let unscaled = |value: &RefValue| match value {
                RefValue::Decimal { unscaled, scale: own } => Some(
                    unscaled * 10_i128.pow((*scale - own).try_into().expect("cells have no more digits")),
                ),
                RefValue::Integer(value) => {
                    Some(value * 10_i128.pow((*scale).try_into().expect("scale >= 0")))
                }
                _ => None,
            };
            let array: Decimal128Array = values.iter().map(unscaled).collect();
            Arc::new(array.with_precision_and_scale(*precision, *scale).expect("cells fit their column"))
        }
        other => panic!("the test kit makes no columns of type {other}"),
    }
}

fn integer(value: &RefValue) -> Option<i128> {
    match value {
        RefValue::Integer(value) => Some(*value),
        RefValue::Date(days) => Some(i128::from(*days)),
        RefValue::Timestamp(nanoseconds) => Some(i128::from(*nanoseconds)),
        RefValue::Interval { nanoseconds, .. } => Some(i128::from(*nanoseconds)),
        _ => None,
    }
}

fn text(value: &RefValue) -> Option<&str> {
    if let RefValue::String(value) = value { Some(value) } else { None }
}

/// One cell of an array.
///
/// # Panics
/// For a type that the reference has no value for.
fn value_at(array: &dyn Array, row: usize) -> RefValue {
    if array.is_null(row) {
        return RefValue::Null;
    }
    macro_rules! integers {
        ($type:ty) => {
            RefValue::Integer(array.as_primitive::<$type>().value(row).into())
        };
    }
    macro_rules! scaled {
        ($type:ty, $kind:ident, $factor:literal) => {
            RefValue::$kind(i64::from(array.as_primitive::<$type>().value(row)) * $factor)
        };
    }
    macro_rules! span {
        ($type:ty, $factor:literal) => {
            RefValue::Interval { months: 0, nanoseconds: array.as_primitive::<$type>().value(row) * $factor }
        };
    }
    match array.data_type() {
        DataType::Null => RefValue::Null,
        DataType::Boolean => RefValue::Boolean(array.as_boolean().value(row)),
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::UInt8 => integers!(UInt8Type),
        DataType::UInt16 => integers!(UInt16Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::UInt64 => integers!(UInt64Type),
        DataType::Float32 => RefValue::Float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => RefValue::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => RefValue::String(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => RefValue::String(array.as_string::<i64>().value(row).to_owned()),
        DataType::Utf8View => RefValue::String(array.as_string_view().value(row).to_owned()),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            value_at(dictionary.values().as_ref(), dictionary.normalized_keys()[row])
        }
        DataType::Date32 => RefValue::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time32(TimeUnit::Second) => scaled!(Time32SecondType, Time, 1_000_000_000),
        DataType::Time32(_) => scaled!(Time32MillisecondType, Time, 1_000_000),
        DataType::Time64(TimeUnit::Microsecond) => scaled!(Time64MicrosecondType, Time, 1_000),
        DataType::Time64(_) => scaled!(Time64NanosecondType, Time, 1),
        DataType::Timestamp(TimeUnit::Second, _) => scaled!(TimestampSecondType, Timestamp, 1_000_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            scaled!(TimestampMillisecondType, Timestamp, 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => scaled!(TimestampMicrosecondType, Timestamp, 1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => scaled!(TimestampNanosecondType, Timestamp, 1),
        DataType::Duration(TimeUnit::Second) => span!(DurationSecondType, 1_000_000_000),
        DataType::Duration(TimeUnit::Millisecond) => span!(DurationMillisecondType, 1_000_000),
        DataType::Duration(TimeUnit::Microsecond) => span!(DurationMicrosecondType, 1_000),
        DataType::Duration(TimeUnit::Nanosecond) => span!(DurationNanosecondType, 1),
        DataType::Decimal128(_, scale) => {
            RefValue::Decimal { unscaled: array.as_primitive::<Decimal128Type>().value(row), scale: *scale }
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        other => panic!("the reference has no values of type {other}"),
    }
}

fn list(array: &ArrayRef) -> RefValue {
    RefValue::List((0..array.len()).map(|row| value_at(array, row)).collect())
}

impl ReferenceTable {
    /// The rows of some batches of one schema.
    pub fn from_batches(batches: &[RecordBatch]) -> Self {
        let mut table = Self::default();
        for batch in batches {
            table.columns = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
            for row in 0..batch.num_rows() {
                table.rows.push(batch.columns().iter().map(|column| value_at(column, row)).collect());
            }
        }
        table
    }
}
