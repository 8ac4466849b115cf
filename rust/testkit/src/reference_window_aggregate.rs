//! Aggregates of windows alone: values listed, then looked at. Those that are off by as much as their contracts say are exact here.

use std::cmp::Ordering;

use cepheid_ir::AggregateFunction;

use crate::reference::ReferenceError;
use crate::reference_function::float;
use crate::reference_window::nanoseconds;
use crate::value::RefValue;

/// Of rows of arguments, the last of which may be a constant.
pub(crate) fn fold(function: AggregateFunction, rows: &[Vec<RefValue>]) -> Result<RefValue, ReferenceError> {
    let present: Vec<&Vec<RefValue>> = rows.iter().filter(|args| !args[0].is_null()).collect();
    let Some(row) = present.first() else {
        let counts = function == AggregateFunction::ApproxNUnique;
        return Ok(if counts { RefValue::Integer(0) } else { RefValue::Null });
    };
    let values: Vec<RefValue> = present.iter().map(|args| args[0].clone()).collect();
    Ok(match function {
        AggregateFunction::Median => RefValue::Float(quantile(values, 0.5)?),
        AggregateFunction::ApproxNUnique => RefValue::Integer(frequencies(values).len() as i128),
        AggregateFunction::Quantile | AggregateFunction::ApproxQuantile => {
            RefValue::Float(quantile(values, float(&row[1])?)?)
        }
        AggregateFunction::TopK | AggregateFunction::ApproxTopK => {
            RefValue::List(most_frequent(values, float(&row[1])? as usize))
        }
        AggregateFunction::Ewma if row.len() == 3 => {
            let time = |args: &&Vec<RefValue>| nanoseconds(&args[2]).map(|time| time.expect("a time"));
            let times: Vec<i128> = present.iter().map(time).collect::<Result<_, ReferenceError>>()?;
            let half_life = nanoseconds(&row[1])?.expect("a constant") as f64;
            let newest = times[times.len() - 1];
            let (mut sum, mut weights) = (0.0, 0.0);
            for (value, time) in values.iter().zip(times) {
                let (weight, value) = ((-((newest - time) as f64) / half_life).exp2(), float(value)?);
                // What is infinite, or no number, does not fade.
                sum += if value.is_finite() { weight * value } else { value };
                weights += weight;
            }
            RefValue::Float(sum / weights)
        }
        AggregateFunction::Ewma => {
            let share = float(&row[1])?;
            let mut mean = float(&values[0])?;
            for value in &values[1..] {
                mean = share * float(value)? + (1.0 - share) * mean;
            }
            RefValue::Float(mean)
        }
        other => unreachable!("{other:?} is known of matches, too"),
    })
}

/// Sorted, and read at a place that may lie between two.
fn quantile(mut values: Vec<RefValue>, share: f64) -> Result<f64, ReferenceError> {
    values.sort_by(RefValue::total_order);
    let place = share * (values.len() - 1) as f64;
    let (low, high) = (float(&values[place.floor() as usize])?, float(&values[place.ceil() as usize])?);
    let between = place.fract();
    Ok(if between == 0.0 || low == high { low } else { low * (1.0 - between) + high * between })
}

fn most_frequent(values: Vec<RefValue>, wanted: usize) -> Vec<RefValue> {
    let mut counts = frequencies(values);
    // Stable: the first to come stay first among equals.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().take(wanted).map(|(value, _)| value).collect()
}

/// Distinct values in the order in which they come first, and how often each does.
fn frequencies(values: Vec<RefValue>) -> Vec<(RefValue, usize)> {
    let mut counts: Vec<(RefValue, usize)> = vec![];
    for value in values {
        match counts.iter_mut().find(|(known, _)| known.compare(&value) == Ok(Some(Ordering::Equal))) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    counts
}
