//! Time in Arrow's units.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, TimeUnit};
use pulp::Arch;

use crate::error::EventError;

/// Whether times are those of one end is asked of so many at once.
const ASKED_TOGETHER: usize = 64;

/// So many times are multiplied at once.
const MULTIPLIED_TOGETHER: usize = 512;

/// Nanoseconds in one unit of time.
pub const fn nanoseconds_per(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// A time, date or integer column as 64-bit integers of its own unit; shared where it is 64 bits wide.
///
/// # Errors
/// What Arrow refuses.
pub fn as_int64(array: &dyn Array) -> Result<ArrayRef, EventError> {
    // Arrow casts 32-bit times and dates by way of their own width.
    if matches!(array.data_type(), DataType::Date32 | DataType::Time32(_)) {
        let integers = arrow_cast::cast(array, &DataType::Int32)?;
        return Ok(arrow_cast::cast(&integers, &DataType::Int64)?);
    }
    Ok(arrow_cast::cast(array, &DataType::Int64)?)
}

/// Nanoseconds in one step of a type that can be an event time, and the step's name; `None` for other types.
/// Integers count as nanoseconds.
fn event_time_step(data_type: &DataType) -> Option<(i64, &'static str)> {
    let unit = |unit: TimeUnit| {
        let name = match unit {
            TimeUnit::Second => "s",
            TimeUnit::Millisecond => "ms",
            TimeUnit::Microsecond => "us",
            TimeUnit::Nanosecond => "ns",
        };
        (nanoseconds_per(unit), name)
    };
    match data_type {
        DataType::Int32 | DataType::Int64 => Some((1, "ns")),
        DataType::Timestamp(of, _) | DataType::Time32(of) | DataType::Time64(of) | DataType::Duration(of) => {
            Some(unit(*of))
        }
        DataType::Date32 => Some((86_400 * nanoseconds_per(TimeUnit::Second), "days")),
        DataType::Date64 => Some(unit(TimeUnit::Millisecond)),
        _ => None,
    }
}

/// Nanoseconds in a step of a type that event times can be of; `None` for another type.
pub fn nanoseconds_per_step(data_type: &DataType) -> Option<i64> {
    event_time_step(data_type).map(|(nanoseconds, _)| nanoseconds)
}

/// The name of such a step; `None` for another type.
pub fn step_name(data_type: &DataType) -> Option<&'static str> {
    event_time_step(data_type).map(|(_, name)| name)
}

/// Checks that starts and ends of windows can be told in a type of event times, where the windows are made with these spans, in
/// nanoseconds. A time of day and a count of 32 bits end too soon for that, and a date of milliseconds has to be a whole day.
///
/// # Errors
/// What is wrong.
pub fn check_window_spans(spans: &[i64], data_type: &DataType) -> Result<(), String> {
    let step = match data_type {
        DataType::Timestamp(..) | DataType::Duration(_) | DataType::Date32 | DataType::Int64 => {
            nanoseconds_per_step(data_type)
        }
        _ => None,
    };
    let Some(step) = step else {
        return Err(format!(
            "an event time that windows go by is a timestamp, a date, a duration, or an int64 of nanoseconds, not {data_type}"
        ));
    };
    match spans.iter().find(|span| *span % step != 0) {
        Some(span) => Err(format!(
            "{span} nanoseconds are no whole number of the steps of the event time, which is a {data_type}; cast it to a finer one"
        )),
        None => Ok(()),
    }
}

/// Nanoseconds as times of a type that [`event_times`] reads, the step that each is in; NULL where the type ends before.
///
/// # Errors
/// [`EventError::ColumnType`] for another type.
pub fn times_of(nanoseconds: Vec<i64>, data_type: &DataType) -> Result<ArrayRef, EventError> {
    check_event_time("", data_type)?;
    let step = nanoseconds_per_step(data_type).expect("checked above");
    let mut steps = nanoseconds;
    if step != 1 {
        // Windows that end together have equal times, and to divide costs more than to look.
        let (mut known, mut known_steps) = (0, 0);
        for some in steps.chunks_mut(ASKED_TOGETHER) {
            if some.iter().fold(0, |differ, time| differ | (time ^ known)) == 0 {
                some.fill(known_steps);
                continue;
            }
            for time in some {
                if *time != known {
                    (known, known_steps) = (*time, time.div_euclid(step));
                }
                *time = known_steps;
            }
        }
    }
    of_steps(steps, data_type)
}

/// The same of times that each come so often, one behind the other.
///
/// # Errors
/// Likewise.
pub fn repeated_times_of(
    nanoseconds: impl Iterator<Item = (i64, usize)> + Clone,
    data_type: &DataType,
) -> Result<ArrayRef, EventError> {
    check_event_time("", data_type)?;
    let step = nanoseconds_per_step(data_type).expect("checked above");
    let mut steps = Vec::with_capacity(nanoseconds.clone().map(|(_, often)| often).sum());
    nanoseconds.for_each(|(time, often)| steps.resize(steps.len() + often, time.div_euclid(step)));
    of_steps(steps, data_type)
}

/// Steps of a type that can be an event time as times of it; NULL where it ends before.
fn of_steps(steps: Vec<i64>, data_type: &DataType) -> Result<ArrayRef, EventError> {
    let steps: ArrayRef = Arc::new(Int64Array::from(steps));
    let steps = match data_type {
        // As in `as_int64`.
        DataType::Date32 | DataType::Time32(_) => arrow_cast::cast(&steps, &DataType::Int32)?,
        _ => steps,
    };
    Ok(arrow_cast::cast(&steps, data_type)?)
}

/// Says whether a column can be the event time of a stream.
///
/// # Errors
/// [`EventError::ColumnType`] if it cannot.
pub fn check_event_time(column: &str, data_type: &DataType) -> Result<(), EventError> {
    match event_time_step(data_type) {
        Some(_) => Ok(()),
        None => Err(EventError::ColumnType {
            column: column.to_owned(),
            found: data_type.to_string(),
            expected: "an event time is a timestamp, a date, a time, a duration, or an int32 or int64 of nanoseconds"
                .into(),
        }),
    }
}

/// The event times of a column in nanoseconds, one a row. Shared with the column if it has 64 bits of nanoseconds.
///
/// `rows_before` is added to the row that an error names.
///
/// Cost: O(rows), in vectors.
///
/// # Errors
/// [`EventError::ColumnType`] for a type that is no time, [`EventError::NullTime`], [`EventError::TimeOverflow`].
pub fn event_times(
    column: &str,
    array: &ArrayRef,
    rows_before: usize,
) -> Result<ScalarBuffer<i64>, EventError> {
    let (values, step, unit) = steps_of(column, array, rows_before)?;
    if step == 1 {
        return Ok(values);
    }
    // Checked and multiplied in one pass: what any of them has for magnitude, as bits, is below the greatest that fits. Where
    // it is not, they are looked at one by one.
    let (mut magnitudes, mut some_times) = (0, [0; MULTIPLIED_TOGETHER]);
    let mut times = Vec::with_capacity(values.len());
    for some in values.chunks(MULTIPLIED_TOGETHER) {
        let some_times = &mut some_times[..some.len()];
        magnitudes |= Arch::new().dispatch(
            #[inline(always)]
            || {
                let mut magnitudes = 0;
                for (time, value) in some_times.iter_mut().zip(some) {
                    magnitudes |= value ^ (value >> 63);
                    *time = value.wrapping_mul(step);
                }
                magnitudes
            },
        );
        times.extend_from_slice(some_times);
    }
    if magnitudes >= i64::MAX / step {
        check_fit(column, &values, (step, unit), rows_before)?;
    }
    Ok(times.into())
}

/// The same as they stand, with how many nanoseconds each of their steps is: shared where they are 64 bits wide. Whether they fit
/// as nanoseconds is for [`check_steps`] to say.
///
/// # Errors
/// Those of [`event_times`], but for times that do not fit.
pub fn event_steps(
    column: &str,
    array: &ArrayRef,
    rows_before: usize,
) -> Result<(ScalarBuffer<i64>, i64), EventError> {
    let (values, step, _) = steps_of(column, array, rows_before)?;
    Ok((values, step))
}

/// Checks that the times of a column fit as nanoseconds, as [`event_times`] does. Where the least and the greatest do, there is no
/// need to ask.
///
/// # Errors
/// Those of [`event_times`].
pub fn check_steps(column: &str, array: &ArrayRef, rows_before: usize) -> Result<(), EventError> {
    let (values, step, unit) = steps_of(column, array, rows_before)?;
    check_fit(column, &values, (step, unit), rows_before)
}

/// Steps of so many nanoseconds as nanoseconds, which they fit as.
pub fn nanoseconds_of(steps: &[i64], step: i64) -> Vec<i64> {
    Arch::new().dispatch(
        #[inline(always)]
        || steps.iter().map(|value| value.wrapping_mul(step)).collect(),
    )
}

/// Event times as they stand, how many nanoseconds each step is, and what it is called.
fn steps_of(
    column: &str,
    array: &ArrayRef,
    rows_before: usize,
) -> Result<(ScalarBuffer<i64>, i64, &'static str), EventError> {
    check_event_time(column, array.data_type())?;
    let (step, unit) = event_time_step(array.data_type()).expect("checked above");
    if let Some(row) =
        (array.null_count() > 0).then(|| (0..array.len()).find(|row| array.is_null(*row))).flatten()
    {
        return Err(EventError::NullTime { column: column.to_owned(), row: rows_before + row });
    }
    Ok((as_int64(array)?.as_primitive::<Int64Type>().values().clone(), step, unit))
}

/// Checks that all of them fit as nanoseconds.
fn check_fit(
    column: &str,
    values: &[i64],
    (step, unit): (i64, &'static str),
    rows_before: usize,
) -> Result<(), EventError> {
    let (least, most) = (i64::MIN / step, i64::MAX / step);
    let fit = |values: &[i64]| values.iter().fold(true, |fit, value| fit & (least..=most).contains(value));
    let all_fit = Arch::new().dispatch(
        #[inline(always)]
        || values.chunks(MULTIPLIED_TOGETHER).all(fit),
    );
    let beyond = if all_fit { None } else { values.iter().position(|value| !(least..=most).contains(value)) };
    let Some(row) = beyond else { return Ok(()) };
    let (column, row, value) = (column.to_owned(), rows_before + row, values[row]);
    Err(EventError::TimeOverflow { column, row, value, unit })
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        Date32Array, Date64Array, DurationMillisecondArray, Int32Array, Int64Array, StringArray,
        Time32SecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };

    use super::*;

    #[test]
    fn every_kind_of_time_becomes_nanoseconds() {
        let cases: Vec<(ArrayRef, i64)> = vec![
            (Arc::new(Int32Array::from(vec![-7])), -7),
            (Arc::new(Int64Array::from(vec![i64::MIN])), i64::MIN),
            (Arc::new(TimestampSecondArray::from(vec![3]).with_timezone("Europe/Paris")), 3_000_000_000),
            (Arc::new(TimestampMicrosecondArray::from(vec![-3])), -3_000),
            (Arc::new(TimestampNanosecondArray::from(vec![i64::MAX])), i64::MAX),
            (Arc::new(Date32Array::from(vec![2])), 172_800_000_000_000),
            (Arc::new(Date64Array::from(vec![2])), 2_000_000),
            (Arc::new(Time32SecondArray::from(vec![1])), 1_000_000_000),
            (Arc::new(DurationMillisecondArray::from(vec![5])), 5_000_000),
        ];
        for (array, expected) in &cases {
            assert_eq!(event_times("t", array, 0).unwrap().as_ref(), [*expected], "{}", array.data_type());
            assert_eq!(&times_of(vec![*expected], array.data_type()).unwrap(), array);
        }
        assert_eq!(cases.len(), 9);
    }

    #[test]
    fn nanoseconds_are_shared_not_copied() {
        let array: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1, 2, 3]).slice(1, 2));
        let times = event_times("t", &array, 0).unwrap();
        assert_eq!(times.as_ref(), [2, 3]);
        assert_eq!(times.inner().as_ptr(), array.to_data().buffers()[0].as_ptr());
    }

    #[test]
    fn times_at_the_edges_of_what_fits_are_told_from_those_beyond() {
        let mut cases = 0;
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond] {
            let step = event_time_step(&DataType::Timestamp(unit, None)).unwrap().0;
            for edge in [i64::MAX / step, i64::MIN / step] {
                let beyond = edge + edge.signum();
                for (value, fits) in [(edge, true), (edge - edge.signum(), true), (beyond, false)] {
                    // Beside values whose bits together reach further than each of them.
                    let beside = [0, 1 << 33, value, -1];
                    let array = Int64Array::from(beside.to_vec());
                    let array = arrow_cast::cast(&array, &DataType::Timestamp(unit, None)).unwrap();
                    let found = event_times("t", &array, 7);
                    let checked = check_steps("t", &array, 7);
                    if fits {
                        assert_eq!(found.unwrap().as_ref(), beside.map(|value| value * step));
                        assert_eq!(checked, Ok(()));
                        let (steps, of_each) = event_steps("t", &array, 7).unwrap();
                        assert_eq!((steps.as_ref(), of_each), (&beside[..], step));
                        assert_eq!(nanoseconds_of(&steps, step), beside.map(|value| value * step));
                    } else {
                        assert_eq!(checked.unwrap_err(), found.clone().unwrap_err());
                        assert!(
                            matches!(found, Err(EventError::TimeOverflow { row: 9, value: at, .. }) if at == value)
                        );
                    }
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 18);
    }

    #[test]
    fn times_that_are_multiplied_together_are_those_one_by_one() {
        let mut cases = 0;
        for rows in [1, 511, 512, 513, 1_300_i64] {
            let values: Vec<i64> = (0..rows).map(|row| row * 7_919 - 4_000_000).collect();
            let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(values.clone()));
            let expected: Vec<i64> = values.iter().map(|value| value * 1_000).collect();
            assert_eq!(event_times("t", &array, 0).unwrap().as_ref(), expected);
            assert_eq!(&times_of(expected, array.data_type()).unwrap(), &array);
            // Ends of windows: runs of one time, some shorter than what is asked of at once.
            let ends: Vec<i64> = (0..rows).map(|row| (row / 90 + row % 131 / 130) * 60_000_000).collect();
            let found = times_of(ends.iter().map(|end| end * 1_000).collect(), array.data_type()).unwrap();
            assert_eq!(*found, TimestampMicrosecondArray::from(ends));
            let mut beyond = values;
            beyond[rows as usize - 1] = i64::MAX;
            let beyond: ArrayRef = Arc::new(TimestampMicrosecondArray::from(beyond));
            let error = event_times("t", &beyond, 0).unwrap_err();
            assert_eq!(check_steps("t", &beyond, 0).unwrap_err(), error);
            let last = rows as usize - 1;
            assert!(matches!(error, EventError::TimeOverflow { row, .. } if row == last), "{error}");
            cases += 1;
        }
        assert_eq!(cases, 5);
    }

    #[test]
    fn what_is_no_time_is_refused_with_its_row() {
        let late: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0, i64::MAX / 1_000_000_000 + 1]));
        let error = event_times("t", &late, 10).unwrap_err();
        assert!(matches!(error, EventError::TimeOverflow { row: 11, unit: "s", .. }), "{error}");
        let null: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let error = event_times("t", &null, 10).unwrap_err();
        assert_eq!(error, EventError::NullTime { column: "t".into(), row: 11 });
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        assert_eq!(event_times("t", &text, 0).unwrap_err().code(), "column-type");
    }
}
