//! Reading single values out of arrays of any encoding.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, BooleanArray, GenericStringArray, ListArray, PrimitiveArray, StringViewArray,
    downcast_dictionary_array, downcast_run_array,
};
use arrow_buffer::{ArrowNativeType, IntervalDayTime, IntervalMonthDayNano};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::value::Value;

/// An array made ready for reading single values: its type is looked at once.
#[derive(Clone, Debug)]
pub struct ColumnReader(Source);

#[derive(Clone, Debug)]
enum Source {
    Null,
    Boolean(BooleanArray),
    Int8(PrimitiveArray<Int8Type>),
    Int16(PrimitiveArray<Int16Type>),
    Int32(PrimitiveArray<Int32Type>),
    Int64(PrimitiveArray<Int64Type>),
    UInt8(PrimitiveArray<UInt8Type>),
    UInt16(PrimitiveArray<UInt16Type>),
    UInt32(PrimitiveArray<UInt32Type>),
    UInt64(PrimitiveArray<UInt64Type>),
    Float16(PrimitiveArray<Float16Type>),
    Float32(PrimitiveArray<Float32Type>),
    Float64(PrimitiveArray<Float64Type>),
    Decimal32(PrimitiveArray<Decimal32Type>, i8),
    Decimal64(PrimitiveArray<Decimal64Type>, i8),
    Decimal128(PrimitiveArray<Decimal128Type>, i8),
    String(GenericStringArray<i32>),
    LargeString(GenericStringArray<i64>),
    StringView(StringViewArray),
    Date32(PrimitiveArray<Date32Type>),
    Date64(PrimitiveArray<Date64Type>),
    /// Units since midnight in 32 bits, and nanoseconds in a unit.
    Time32(PrimitiveArray<Int32Type>, i64),
    Time64(PrimitiveArray<Int64Type>, i64),
    Timestamp(PrimitiveArray<Int64Type>, TimeUnit, bool),
    Duration(PrimitiveArray<Int64Type>, TimeUnit),
    IntervalYearMonth(PrimitiveArray<IntervalYearMonthType>),
    IntervalDayTime(PrimitiveArray<IntervalDayTimeType>),
    IntervalMonthDayNano(PrimitiveArray<IntervalMonthDayNanoType>),
    List(ListArray, Box<Source>),
    /// Positions among the values of a dictionary, and the reader of these.
    Dictionary {
        keys: Vec<u32>,
        values: Box<Source>,
        ready: Option<Arc<[Value]>>,
    },
    Opaque(ArrayRef),
}

/// Stands for NULL among dictionary keys.
const NULL_KEY: u32 = u32::MAX;

impl ColumnReader {
    /// A reader of `array`. O(1), but O(rows) for dictionaries and run-end encoded arrays, whose keys are widened and
    /// whose strings are made once for all rows.
    pub fn new(array: &ArrayRef) -> Self {
        Self(source(array.as_ref()))
    }

    /// The value at `row`.
    ///
    /// # Panics
    /// If `row` is not less than the length of the array.
    #[inline]
    pub fn value(&self, row: usize) -> Value {
        self.0.value(row)
    }
}

/// The value at `row`, of an array of any type. For many rows of one array use [`ColumnReader`].
///
/// # Panics
/// If `row` is not less than the length of the array.
pub fn read_value(array: &dyn Array, row: usize) -> Value {
    source(array.slice(row, 1).as_ref()).value(0)
}

fn source(array: &dyn Array) -> Source {
    use DataType as T;
    match array.data_type() {
        T::Null => Source::Null,
        T::Boolean => Source::Boolean(array.as_boolean().clone()),
        T::Int8 => Source::Int8(array.as_primitive().clone()),
        T::Int16 => Source::Int16(array.as_primitive().clone()),
        T::Int32 => Source::Int32(array.as_primitive().clone()),
        T::Int64 => Source::Int64(array.as_primitive().clone()),
        T::UInt8 => Source::UInt8(array.as_primitive().clone()),
        T::UInt16 => Source::UInt16(array.as_primitive().clone()),
        T::UInt32 => Source::UInt32(array.as_primitive().clone()),
        T::UInt64 => Source::UInt64(array.as_primitive().clone()),
        T::Float16 => Source::Float16(array.as_primitive().clone()),
        T::Float32 => Source::Float32(array.as_primitive().clone()),
        T::Float64 => Source::Float64(array.as_primitive().clone()),
        T::Decimal32(_, scale) => Source::Decimal32(array.as_primitive().clone(), *scale),
        T::Decimal64(_, scale) => Source::Decimal64(array.as_primitive().clone(), *scale),
        T::Decimal128(_, scale) => Source::Decimal128(array.as_primitive().clone(), *scale),
        T::Utf8 => Source::String(array.as_string().clone()),
        T::LargeUtf8 => Source::LargeString(array.as_string().clone()),
        T::Utf8View => Source::StringView(array.as_string_view().clone()),
        T::Date32 => Source::Date32(array.as_primitive().clone()),
        T::Date64 => Source::Date64(array.as_primitive().clone()),
        T::Time32(TimeUnit::Second) => {
            Source::Time32(array.as_primitive::<Time32SecondType>().reinterpret_cast(), 1_000_000_000)
        }
        T::Time32(_) => {
            Source::Time32(array.as_primitive::<Time32MillisecondType>().reinterpret_cast(), 1_000_000)
        }
        T::Time64(TimeUnit::Microsecond) => {
            Source::Time64(array.as_primitive::<Time64MicrosecondType>().reinterpret_cast(), 1_000)
        }
        T::Time64(_) => Source::Time64(array.as_primitive::<Time64NanosecondType>().reinterpret_cast(), 1),
        T::Timestamp(unit, zone) => Source::Timestamp(as_int64(array), *unit, zone.is_some()),
        T::Duration(unit) => Source::Duration(as_int64(array), *unit),
        T::Interval(IntervalUnit::YearMonth) => Source::IntervalYearMonth(array.as_primitive().clone()),
        T::Interval(IntervalUnit::DayTime) => Source::IntervalDayTime(array.as_primitive().clone()),
        T::Interval(IntervalUnit::MonthDayNano) => Source::IntervalMonthDayNano(array.as_primitive().clone()),
        T::List(_) => {
            let list = array.as_list::<i32>().clone();
            let values = Box::new(source(list.values().as_ref()));
            Source::List(list, values)
        }
        T::Dictionary(_, _) => dictionary(array),
        T::RunEndEncoded(_, _) => run_ends(array),
        _ => Source::Opaque(array.slice(0, array.len())),
    }
}

/// Timestamps and durations of any unit and zone as the integers that they are made of; the buffers are shared.
pub(crate) fn as_int64(array: &dyn Array) -> PrimitiveArray<Int64Type> {
    use DataType as T;
    match array.data_type() {
        T::Timestamp(TimeUnit::Second, _) => array.as_primitive::<TimestampSecondType>().reinterpret_cast(),
        T::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().reinterpret_cast()
        }
        T::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast()
        }
        T::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().reinterpret_cast()
        }
        T::Duration(TimeUnit::Second) => array.as_primitive::<DurationSecondType>().reinterpret_cast(),
        T::Duration(TimeUnit::Millisecond) => {
            array.as_primitive::<DurationMillisecondType>().reinterpret_cast()
        }
        T::Duration(TimeUnit::Microsecond) => {
            array.as_primitive::<DurationMicrosecondType>().reinterpret_cast()
        }
        T::Duration(TimeUnit::Nanosecond) => {
            array.as_primitive::<DurationNanosecondType>().reinterpret_cast()
        }
        _ => array.as_primitive::<Int64Type>().clone(),
    }
}

fn dictionary(array: &dyn Array) -> Source {
    downcast_dictionary_array! {
        array => {
            let keys = array
                .keys()
                .iter()
                .map(|key| key.map_or(NULL_KEY, |key| key.as_usize() as u32))
                .collect();
            encoded(keys, array.values().as_ref())
        }
        _ => Source::Null
    }
}

fn run_ends(array: &dyn Array) -> Source {
    downcast_run_array! {
        array => {
            let keys = (0..array.len()).map(|row| array.get_physical_index(row) as u32).collect();
            encoded(keys, array.values().as_ref())
        }
        _ => Source::Null
    }
}

fn encoded(keys: Vec<u32>, values: &dyn Array) -> Source {
    let reader = source(values);
    // A dictionary may be larger than the rows that are read: only a small one is read through beforehand.
    let ready =
        (values.len() <= keys.len()).then(|| (0..values.len()).map(|row| reader.value(row)).collect());
    Source::Dictionary { keys, values: Box::new(reader), ready }
}

macro_rules! primitive {
    ($array:expr, $row:expr, |$value:ident| $make:expr) => {
        if $array.is_null($row) {
            Value::Null
        } else {
            let $value = $array.value($row);
            $make
        }
    };
}

impl Source {
    fn value(&self, row: usize) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(array) => primitive!(array, row, |v| Value::Boolean(v)),
            Self::Int8(array) => primitive!(array, row, |v| Value::Integer(v.into())),
            Self::Int16(array) => primitive!(array, row, |v| Value::Integer(v.into())),
            Self::Int32(array) => primitive!(array, row, |v| Value::Integer(v.into())),
            Self::Int64(array) => primitive!(array, row, |v| Value::Integer(v)),
            Self::UInt8(array) => primitive!(array, row, |v| Value::Integer(v.into())),
            Self::UInt16(array) => primitive!(array, row, |v| Value::Integer(v.into())),
            Self::UInt32(array) => primitive!(array, row, |v| Value::Integer(v.into())),
            Self::UInt64(array) => primitive!(array, row, |v| Value::from_unsigned(v)),
            Self::Float16(array) => primitive!(array, row, |v| Value::Float(v.to_f64())),
            Self::Float32(array) => primitive!(array, row, |v| Value::Float(v.into())),
            Self::Float64(array) => primitive!(array, row, |v| Value::Float(v)),
            Self::Decimal32(array, scale) => {
                primitive!(array, row, |v| Value::Decimal { unscaled: v.into(), scale: *scale })
            }
            Self::Decimal64(array, scale) => {
                primitive!(array, row, |v| Value::Decimal { unscaled: v.into(), scale: *scale })
            }
            Self::Decimal128(array, scale) => {
                primitive!(array, row, |v| Value::Decimal { unscaled: v, scale: *scale })
            }
            Self::String(array) => primitive!(array, row, |v| Value::String(v.into())),
            Self::LargeString(array) => primitive!(array, row, |v| Value::String(v.into())),
            Self::StringView(array) => primitive!(array, row, |v| Value::String(v.into())),
            Self::Date32(array) => primitive!(array, row, |v| Value::Date(v)),
            Self::Date64(array) => primitive!(array, row, |v| Value::Date(v.div_euclid(86_400_000) as i32)),
            Self::Time32(array, unit_ns) => primitive!(array, row, |v| Value::Time(i64::from(v) * unit_ns)),
            Self::Time64(array, unit_ns) => {
                primitive!(array, row, |v| Value::Time(v.saturating_mul(*unit_ns)))
            }
            Self::Timestamp(array, unit, zoned) => {
                primitive!(array, row, |v| Value::Timestamp { value: v, unit: *unit, zoned: *zoned })
            }
            Self::Duration(array, unit) => {
                primitive!(array, row, |v| Value::Duration { value: v, unit: *unit })
            }
            Self::IntervalYearMonth(array) => {
                primitive!(array, row, |v| Value::Interval { months: v, days: 0, nanoseconds: 0 })
            }
            Self::IntervalDayTime(array) => primitive!(array, row, |v| {
                let IntervalDayTime { days, milliseconds } = v;
                Value::Interval { months: 0, days, nanoseconds: i64::from(milliseconds) * 1_000_000 }
            }),
            Self::IntervalMonthDayNano(array) => primitive!(array, row, |v| {
                let IntervalMonthDayNano { months, days, nanoseconds } = v;
                Value::Interval { months, days, nanoseconds }
            }),
            Self::List(array, values) => {
                if array.is_null(row) {
                    return Value::Null;
                }
                let offsets = array.value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                Value::List(range.map(|element| values.value(element)).collect())
            }
            Self::Dictionary { keys, values, ready } => match (keys[row], ready) {
                (NULL_KEY, _) => Value::Null,
                (key, Some(ready)) => ready[key as usize].clone(),
                (key, None) => values.value(key as usize),
            },
            Self::Opaque(array) => {
                if array.is_null(row) {
                    Value::Null
                } else {
                    Value::Opaque(array.slice(row, 1))
                }
            }
        }
    }
}
