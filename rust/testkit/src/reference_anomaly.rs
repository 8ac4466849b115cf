//! Which rows stand out: the definition, which compares each row with all rows of its key before it.
//!
//! `docs/developers/decisions/0019-the-meaning-of-anomalies.md` read aloud. Nothing is kept from row to row but whether a row
//! was an anomaly.

use cepheid_ir::{
    Anomaly, AnomalyMethod, FINITE_MAX, Frame, Measure, PatternError, RecentRows, ReportedRows, Reports,
    Window,
};

use crate::reference::ReferenceError;
use crate::reference_table::ReferenceTable;
use crate::reference_window::{nanoseconds, window_table};
use crate::sequence_input::SequenceInput;
use crate::value::RefValue;

/// Columns behind those of the key and the event time.
const JUDGED: [&str; 4] = ["value", "expected", "score", "is_anomaly"];
/// The value, as a column of the window of a row.
const VALUE: &str = "the value of the row";

/// A row that is not passed over.
#[derive(Clone, Copy, Debug)]
struct Row {
    time: i128,
    value: f64,
    is_anomaly: bool,
}

/// What is said of a row; nothing while there are too few rows before it.
#[derive(Clone, Copy, Debug)]
struct Judged {
    expected: f64,
    score: f64,
}

/// What a rule says of a whole, closed input: the table of its rows in order of (event time, arrival).
///
/// # Errors
/// Whatever is wrong with the rule or its columns, rows without an event time, and what an expression raises.
pub fn reference_anomalies(rule: &Anomaly, input: &SequenceInput) -> Result<ReferenceTable, ReferenceError> {
    rule.validate()?;
    // The window of each row that reaches back nowhere has the row's value, key and time.
    let window = Window {
        name: None,
        topic: rule.topic.clone(),
        partition_by: rule.partition_by.clone(),
        condition: rule.condition.clone(),
        frame: Frame::Range { preceding_ns: 0 },
        measures: vec![Measure { name: VALUE.into(), value: rule.value.clone() }],
        reports: Reports::default(),
        emit: None,
        event_time: rule.event_time.clone(),
    };
    let read = window_table(&window, input)?;
    let judged = &JUDGED[..if rule.rows == ReportedRows::All { 4 } else { 3 }];
    let (value_at, time_at) = (read.columns.len() - 1, read.columns.len() - 2);
    let mut columns = read.columns[..value_at].to_vec();
    if let Some(taken) = columns.iter().find(|name| judged.contains(&name.as_str())) {
        let problem = format!("`{taken}` is the name of a column that it adds");
        return Err(PatternError::InvalidExpression { context: "an anomaly rule".into(), problem }.into());
    }
    columns.extend(judged.iter().map(|name| (*name).to_owned()));
    let mut keys: Vec<(Vec<RefValue>, Vec<Row>)> = vec![];
    let mut rows = vec![];
    for mut row in read.rows {
        let value = match &row[value_at] {
            RefValue::Null => continue,
            value => value
                .as_float()
                .ok_or_else(|| ReferenceError::TypeMismatch(format!("{value} is no number")))?,
        };
        if value.is_nan() {
            continue;
        }
        let time = nanoseconds(&row[time_at])?.ok_or(ReferenceError::NullTime { row: 0 })?;
        let same = |(key, _): &(Vec<RefValue>, Vec<Row>)| {
            key.iter().zip(&row[..time_at]).all(|(left, right)| left.total_order(right).is_eq())
        };
        let place = keys.iter().position(same).unwrap_or_else(|| {
            keys.push((row[..time_at].to_vec(), vec![]));
            keys.len() - 1
        });
        let before = &mut keys[place].1;
        let infinite = value.abs() > FINITE_MAX;
        let judged = judge(rule.method, before, time, if infinite { 0.0 } else { value });
        let score = if infinite { Some(f64::INFINITY) } else { judged.map(|judged| judged.score) };
        let is_anomaly = score.is_some_and(|score| score > rule.method.threshold());
        if !infinite {
            before.push(Row { time, value, is_anomaly });
        }
        row.truncate(value_at);
        let float = |value: Option<f64>| value.map_or(RefValue::Null, RefValue::Float);
        row.extend([RefValue::Float(value), float(judged.map(|judged| judged.expected)), float(score)]);
        match rule.rows {
            ReportedRows::All => row.push(RefValue::Boolean(is_anomaly)),
            ReportedRows::Flagged if !is_anomaly => continue,
            ReportedRows::Flagged => {}
        }
        rows.push(row);
    }
    Ok(ReferenceTable { columns, rows })
}

/// What is said of a row of this time and value. `before`: the rows of its key before it.
fn judge(method: AnomalyMethod, before: &[Row], time: i128, value: f64) -> Option<Judged> {
    match method {
        AnomalyMethod::Ewma { alpha, warm_up, learn_anomalies, .. } => {
            let seen = learned(before, learn_anomalies);
            (seen.len() as u64 >= warm_up).then(|| from_weighted_mean(&values(&seen), alpha, value))
        }
        AnomalyMethod::Mad { recent, warm_up, learn_anomalies, .. } => {
            let sorted = sorted(recent_rows(before, learn_anomalies, recent, time));
            (sorted.len() as u64 >= warm_up).then(|| {
                let expected = median(&sorted);
                let mut distances: Vec<f64> = sorted.iter().map(|other| (other - expected).abs()).collect();
                distances.sort_by(f64::total_cmp);
                let scale = match median(&distances) {
                    0.0 => 1.253314 * distances.iter().sum::<f64>() / distances.len() as f64,
                    middle => middle / 0.6745,
                };
                Judged { expected, score: ratio((value - expected).abs(), scale) }
            })
        }
        AnomalyMethod::Cusum { drift, warm_up, .. } => {
            let (first, rest) = before.split_at_checked(warm_up as usize)?;
            let first = values(first);
            let mean =
                first[0] + first.iter().map(|value| value - first[0]).sum::<f64>() / first.len() as f64;
            let squares: f64 = first.iter().map(|value| (value - mean).powi(2)).sum();
            let deviation = (squares / (first.len() - 1) as f64).sqrt();
            let since_alarm = rest.iter().rposition(|row| row.is_anomaly).map_or(0, |alarm| alarm + 1);
            let mut steps = values(&rest[since_alarm..]);
            steps.push(value);
            let greatest = |sign: f64| {
                // The greatest sum of the last rows, however many, or of none.
                let (mut sum, mut greatest) = (0.0, 0.0);
                for step in steps.iter().rev() {
                    sum += sign * ratio(step - mean, deviation) - drift;
                    greatest = f64::max(greatest, sum);
                }
                greatest
            };
            Some(Judged { expected: mean, score: f64::max(greatest(1.0), greatest(-1.0)) })
        }
        AnomalyMethod::QuantileBand { low, high, recent, warm_up, learn_anomalies, .. } => {
            let sorted = sorted(recent_rows(before, learn_anomalies, recent, time));
            (sorted.len() as u64 >= warm_up).then(|| {
                let (from, to) = (quantile(&sorted, low), quantile(&sorted, high));
                let beyond = (from - value).max(value - to).max(0.0);
                Judged { expected: (from + to) / 2.0, score: ratio(beyond, to - from) }
            })
        }
        AnomalyMethod::RateOfChange { limit, per_ns } => {
            let earlier = before.iter().rev().find(|row| row.time < time)?;
            let times = (time - earlier.time) as f64 / per_ns as f64;
            Some(Judged { expected: earlier.value, score: (value - earlier.value).abs() / times / limit })
        }
        AnomalyMethod::Seasonal {
            period_ns, every_ns, offset_ns, alpha, warm_up, learn_anomalies, ..
        } => {
            let (period, every) = (i128::from(period_ns), i128::from(every_ns));
            let since = |time: i128| time - i128::from(offset_ns);
            let number = |time: i128| since(time).div_euclid(period);
            let part = |time: i128| since(time).rem_euclid(period) / every;
            let mut seen = learned(before, learn_anomalies);
            seen.retain(|row| part(row.time) == part(time));
            let mut periods: Vec<i128> = seen.iter().map(|row| number(row.time)).collect();
            periods.retain(|other| *other < number(time));
            periods.dedup();
            (periods.len() as u64 >= warm_up).then(|| from_weighted_mean(&values(&seen), alpha, value))
        }
    }
}

fn learned(before: &[Row], learn_anomalies: bool) -> Vec<Row> {
    before.iter().filter(|row| learn_anomalies || !row.is_anomaly).copied().collect()
}

fn recent_rows(before: &[Row], learn_anomalies: bool, recent: RecentRows, time: i128) -> Vec<Row> {
    let mut seen = learned(before, learn_anomalies);
    match recent {
        RecentRows::Rows(rows) => drop(seen.drain(..seen.len().saturating_sub(rows as usize))),
        RecentRows::SpanNs(span) => seen.retain(|row| row.time >= time - i128::from(span)),
    }
    seen
}

fn values(rows: &[Row]) -> Vec<f64> {
    rows.iter().map(|row| row.value).collect()
}

fn sorted(rows: Vec<Row>) -> Vec<f64> {
    let mut sorted = values(&rows);
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The weighted mean and variance, each weight written out: the first row's is what the others leave.
fn from_weighted_mean(seen: &[f64], alpha: f64, value: f64) -> Judged {
    let weight = |place: usize| {
        let newer = (seen.len() - 1 - place) as i32;
        (1.0 - alpha).powi(newer) * if place == 0 { 1.0 } else { alpha }
    };
    // From the first on, so that equal values have no variance, not that of a last digit.
    let mean: f64 = seen[0]
        + seen.iter().enumerate().map(|(place, other)| weight(place) * (other - seen[0])).sum::<f64>();
    let variance: f64 =
        seen.iter().enumerate().map(|(place, other)| weight(place) * (other - mean).powi(2)).sum();
    Judged { expected: mean, score: ratio((value - mean).abs(), variance.sqrt()) }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Linear between neighbours.
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let place = at * (sorted.len() - 1) as f64;
    let (left, right) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    left + (right - left) * (place - place.floor())
}

/// How many times the scale a distance is; where there is none, everything that is not there is infinitely far,
/// up or down.
fn ratio(distance: f64, scale: f64) -> f64 {
    if distance == 0.0 { 0.0 } else { distance / scale }
}
