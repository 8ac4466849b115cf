//! Values go into arrays of every type and come out the same.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use cepheid_eval::{ColumnReader, Value, compare_values, read_value, values_to_array};
use std::cmp::Ordering;

fn all_types() -> Vec<DataType> {
    use DataType as T;
    let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let mut types = vec![
        T::Null,
        T::Boolean,
        T::Int8,
        T::Int16,
        T::Int32,
        T::Int64,
        T::UInt8,
        T::UInt16,
        T::UInt32,
        T::UInt64,
        T::Float16,
        T::Float32,
        T::Float64,
        T::Decimal32(9, 2),
        T::Decimal64(18, 2),
        T::Decimal128(38, 2),
        T::Utf8,
        T::LargeUtf8,
        T::Utf8View,
        T::Date32,
        T::Date64,
        T::Time32(TimeUnit::Second),
        T::Time32(TimeUnit::Millisecond),
        T::Time64(TimeUnit::Microsecond),
        T::Time64(TimeUnit::Nanosecond),
        T::Interval(IntervalUnit::YearMonth),
        T::Interval(IntervalUnit::DayTime),
        T::Interval(IntervalUnit::MonthDayNano),
        T::List(Arc::new(Field::new_list_field(T::Int32, true))),
        T::Dictionary(Box::new(T::Int8), Box::new(T::Utf8)),
        T::Dictionary(Box::new(T::UInt32), Box::new(T::Int64)),
        T::RunEndEncoded(
            Field::new("run_ends", T::Int32, false).into(),
            Field::new("values", T::Utf8, true).into(),
        ),
    ];
    for unit in units {
        types.push(T::Duration(unit));
        types.push(T::Timestamp(unit, None));
        types.push(T::Timestamp(unit, Some("Europe/Berlin".into())));
    }
    types
}

fn value_of(data_type: &DataType) -> Value {
    use DataType as T;
    match data_type {
        T::Null => Value::Null,
        T::Boolean => true.into(),
        T::UInt64 => Value::Unsigned(u64::MAX),
        T::Float16 | T::Float32 | T::Float64 => (-1.5).into(),
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) => {
            Value::Decimal { unscaled: -12345, scale: 2 }
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "a string longer than twelve bytes".into(),
        T::Date32 | T::Date64 => Value::Date(-3),
        T::Time32(_) | T::Time64(_) => Value::Time(3_600_000_000_000),
        T::Timestamp(unit, zone) => Value::Timestamp { value: -7, unit: *unit, zoned: zone.is_some() },
        T::Duration(unit) => Value::Duration { value: 7, unit: *unit },
        T::Interval(IntervalUnit::YearMonth) => Value::Interval { months: 14, days: 0, nanoseconds: 0 },
        T::Interval(IntervalUnit::DayTime) => Value::Interval { months: 0, days: 2, nanoseconds: 5_000_000 },
        T::Interval(IntervalUnit::MonthDayNano) => Value::Interval { months: 1, days: 2, nanoseconds: 3 },
        T::List(_) => Value::List([Value::Integer(1), Value::Null].as_slice().into()),
        T::Dictionary(_, values) => value_of(values),
        T::RunEndEncoded(_, values) => value_of(values.data_type()),
        _ => Value::Integer(100),
    }
}

#[test]
fn values_of_every_type_survive_an_array() {
    let mut checked = 0;
    for data_type in all_types() {
        let value = value_of(&data_type);
        let values = [value.clone(), Value::Null, value.clone(), value];
        let array = values_to_array(&values, &data_type).expect("values of the type");
        assert_eq!(array.data_type(), &data_type);
        assert_eq!(array.len(), values.len());
        // Sliced, so that the offset is not zero.
        let sliced = array.slice(1, 3);
        let reader = ColumnReader::new(&sliced);
        for (row, expected) in values[1..].iter().enumerate() {
            assert_eq!(&reader.value(row), expected, "{data_type}");
            assert_eq!(&read_value(sliced.as_ref(), row), expected, "{data_type}");
            checked += 1;
        }
        assert_eq!(values_to_array(&[], &data_type).expect("nothing fits anything").len(), 0);
    }
    assert_eq!(checked, 44 * 3);
}

#[test]
fn structs_binaries_lists_and_runs_pass_through() {
    let field = Arc::new(Field::new("x", DataType::Int32, true));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    let valid = Some(NullBuffer::from(vec![true, false, true]));
    let structs: ArrayRef = Arc::new(StructArray::new(vec![field].into(), vec![numbers], valid));
    let binaries: ArrayRef = Arc::new(BinaryArray::from(vec![Some(b"a".as_slice()), None, Some(b"bc")]));
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    lists.append_value([]);
    let lists: ArrayRef = Arc::new(lists.finish());
    let runs: ArrayRef = Arc::new(
        RunArray::<Int32Type>::try_new(
            &Int32Array::from(vec![2, 3]),
            &StringArray::from(vec![Some("a"), None]),
        )
        .expect("ends ascend"),
    );
    let mut checked = 0;
    for (array, runs) in [(structs, false), (binaries, false), (lists, false), (runs, true)] {
        let reader = ColumnReader::new(&array);
        let values: Vec<Value> = (0..3).map(|row| reader.value(row)).collect();
        assert_eq!(values[0], read_value(array.as_ref(), 0));
        assert_eq!(values[1] == values[0], runs, "{}", array.data_type());
        assert_eq!(values.iter().position(Value::is_null), Some(if runs { 2 } else { 1 }));
        let back = values_to_array(&values, array.data_type()).expect("values of the type");
        assert_eq!(back.data_type(), array.data_type());
        let reader = ColumnReader::new(&back);
        let again: Vec<Value> = (0..3).map(|row| reader.value(row)).collect();
        assert_eq!(again, values, "{}", array.data_type());
        // Sliced in the middle of a run.
        let rest = ColumnReader::new(&back.slice(1, 2));
        assert_eq!([rest.value(0), rest.value(1)], values[1..], "{}", array.data_type());
        checked += 1;
    }
    assert_eq!(checked, 4);
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let cases = [
        (Value::Integer(300), DataType::Int8),
        (Value::Integer(-1), DataType::UInt64),
        (Value::from("a"), DataType::Int64),
        (Value::Boolean(true), DataType::Utf8),
    ];
    for (value, data_type) in cases {
        let error = values_to_array(&[value], &data_type).expect_err("a misfit");
        assert_eq!(error.code(), "arrow");
    }
}

#[test]
fn values_compare_exactly_across_units_scales_and_signs() {
    let stamp = |value, unit| Value::Timestamp { value, unit, zoned: false };
    let dec = |unscaled, scale| Value::Decimal { unscaled, scale };
    let cases = [
        (Value::Integer(-1), Value::Unsigned(u64::MAX), Some(Ordering::Less)),
        (Value::Unsigned(5), Value::Integer(5), Some(Ordering::Equal)),
        (stamp(i64::MAX, TimeUnit::Second), stamp(i64::MAX, TimeUnit::Nanosecond), Some(Ordering::Greater)),
        (stamp(-1, TimeUnit::Second), stamp(-1_000_000_000, TimeUnit::Nanosecond), Some(Ordering::Equal)),
        (dec(10, 1), dec(100, 2), Some(Ordering::Equal)),
        (dec(10i128.pow(37), 0), dec(1, 38), Some(Ordering::Greater)),
        (Value::Float(f64::NAN), Value::Float(-f64::NAN), Some(Ordering::Equal)),
        (Value::Float(f64::NAN), Value::Float(f64::INFINITY), Some(Ordering::Greater)),
        (Value::Float(-0.0), Value::Float(0.0), Some(Ordering::Equal)),
        (Value::Integer(1), Value::Float(1.5), Some(Ordering::Less)),
        (Value::Null, Value::Integer(1), None),
        (Value::from("a"), Value::Integer(1), None),
    ];
    for (left, right, expected) in cases {
        assert_eq!(compare_values(&left, &right), expected, "{left:?} and {right:?}");
        assert_eq!(compare_values(&right, &left), expected.map(Ordering::reverse), "{right:?} and {left:?}");
    }
}
