//! What an aggregation over all matches gives: the definition, which builds every one of them.
//!
//! `docs/developers/decisions/0007-trend-aggregation.md` read aloud: the matches of [`reference_sequences`], every value
//! of every row of every match written into a list, and the lists folded.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use cepheid_ir::{Aggregate, AggregateFunction, Expr, Pattern};

use crate::reference::{Mark, ReferenceError, resolve_columns};
use crate::reference_eval::{Scene, evaluate};
use crate::reference_table::ReferenceTable;
use crate::sequence_event::{SequenceKind, reference_sequences};
use crate::sequence_input::{MergedRows, SequenceInput, merge};
use crate::value::RefValue;

/// The window and partition of a group, in the order in which groups come out: whether the window has no time, the
/// window, the partition.
type Group = (bool, i128, usize);

/// The table that an aggregation gives, its columns all there.
///
/// # Errors
/// As [`reference_sequences`].
pub fn reference_trend(pattern: &Pattern, input: &SequenceInput) -> Result<ReferenceTable, ReferenceError> {
    pattern.validate()?;
    let trend = pattern.trend.as_ref().expect("a pattern that aggregates over its matches");
    let matched = Pattern { trend: None, ..pattern.clone() };
    let rows = merge(&matched, input)?;
    if !rows.table.columns.is_empty() {
        resolve_columns(trend.values.iter().map(|value| &value.value), &rows.table)?;
    }
    let aggregates: Vec<&Aggregate> = trend
        .values
        .iter()
        .map(|value| match &value.value {
            Expr::Aggregate(aggregate) => aggregate,
            other => unreachable!("validated: {other:?}"),
        })
        .collect();
    // Partitions in the order in which their keys appear in the input, whatever the order of rows.
    let mut appear: Vec<usize> = (0..rows.partitions.len()).collect();
    appear.sort_by_key(|partition| rows.partitions[*partition].iter().map(|row| rows.origins[*row]).min());
    let place_of = |partition: usize| appear.iter().position(|other| *other == partition);
    // `groups[g][v]`: what value v is made of in group g.
    let mut groups: BTreeMap<Group, Vec<Vec<RefValue>>> = BTreeMap::new();
    let nothing = || vec![vec![]; aggregates.len()];
    if trend.every_ns.is_none() {
        (0..rows.partitions.len())
            .for_each(|partition| drop(groups.insert((false, 0, partition), nothing())));
        if pattern.partition_by.is_empty() {
            groups.entry((false, 0, 0)).or_insert_with(nothing);
        }
    }
    for event in reference_sequences(&matched, input)? {
        if event.kind != SequenceKind::Match {
            continue;
        }
        let place = |topic: usize, row: usize| {
            let found = rows.origins.iter().position(|origin| *origin == (topic, row));
            found.expect("a match is made of rows that there are")
        };
        let members: Vec<(&str, usize)> =
            event.members.iter().map(|(name, topic, row)| (name.as_str(), place(*topic, *row))).collect();
        let last = rows.times[members.last().expect("a match has rows").1];
        let partition = place_of(event.partition).expect("a partition has rows");
        let group = match trend.every_ns {
            None => (false, 0, partition),
            Some(every) => {
                let window = last.map(|time| time.div_euclid(every.into()));
                (window.is_none(), window.unwrap_or_default(), partition)
            }
        };
        let lists = groups.entry(group).or_insert_with(nothing);
        for (list, aggregate) in lists.iter_mut().zip(&aggregates) {
            list.extend(values_of(aggregate, &matched, &rows, &members)?);
        }
    }
    let mut table = ReferenceTable::default();
    table.columns.extend(pattern.partition_by.iter().map(|column| column.name.clone()));
    if trend.every_ns.is_some() {
        table.columns.extend(["window_start".to_owned(), "window_end".to_owned()]);
    }
    let sample = |value: usize| groups.values().flat_map(move |lists| &lists[value]).find(|v| !v.is_null());
    for (place, (value, aggregate)) in trend.values.iter().zip(&aggregates).enumerate() {
        table.columns.push(value.name.clone());
        if is_whole(aggregate, sample(place)) {
            table.columns.push(format!("{}_approx", value.name));
        }
    }
    table.columns.push("exact".to_owned());
    for ((without_time, window, partition), lists) in &groups {
        let mut row = vec![];
        for column in &pattern.partition_by {
            let column = rows.table.column_index(&column.name, column.quoted)?;
            row.push(rows.table.rows[rows.partitions[appear[*partition]][0]][column].clone());
        }
        if let Some(every) = trend.every_ns {
            for edge in [*window, *window + 1] {
                let time = i64::try_from(edge * i128::from(every)).expect("times of this century");
                row.push(if *without_time { RefValue::Null } else { RefValue::Timestamp(time) });
            }
        }
        for (place, (list, aggregate)) in lists.iter().zip(&aggregates).enumerate() {
            let folded = fold(aggregate.function, list)?;
            if !is_whole(aggregate, sample(place)) {
                row.push(folded);
                continue;
            }
            let (exact, near) = match folded {
                RefValue::Integer(unscaled) => (RefValue::Decimal { unscaled, scale: 0 }, unscaled as f64),
                RefValue::Decimal { unscaled, scale } => {
                    (folded.clone(), unscaled as f64 / 10_f64.powi(scale.into()))
                }
                RefValue::Null => {
                    row.extend([RefValue::Null, RefValue::Null]);
                    continue;
                }
                other => unreachable!("a whole number, not {other:?}"),
            };
            row.extend([exact, RefValue::Float(near)]);
        }
        row.push(RefValue::Boolean(true));
        table.rows.push(row);
    }
    Ok(table)
}

/// What one match adds to the list of a value.
fn values_of(
    aggregate: &Aggregate,
    pattern: &Pattern,
    rows: &MergedRows,
    members: &[(&str, usize)],
) -> Result<Vec<RefValue>, ReferenceError> {
    let one = RefValue::Integer(1);
    let Some(name) = &aggregate.variable else {
        return match aggregate.args.first() {
            None => Ok(vec![one]),
            Some(arg) => members.iter().map(|(_, row)| value_at(arg, pattern, rows, *row)).collect(),
        };
    };
    let of = pattern.members(name);
    let mut values = vec![];
    for (_, row) in members.iter().filter(|(variable, _)| of.contains(variable)) {
        values.push(match aggregate.args.first() {
            None => one.clone(),
            Some(arg) => value_at(arg, pattern, rows, *row)?,
        });
    }
    Ok(values)
}

fn value_at(
    arg: &Expr,
    pattern: &Pattern,
    rows: &MergedRows,
    row: usize,
) -> Result<RefValue, ReferenceError> {
    let marks = [Mark { position: 0, variable: "", excluded: false }];
    let partition = [row];
    let scene =
        Scene { pattern, table: &rows.table, partition: &partition, marks: &marks, seen: 1, match_number: 1 };
    evaluate(arg, &scene)
}

/// Whether the value is a whole number, which has a column beside it for what is past 38 digits.
fn is_whole(aggregate: &Aggregate, sample: Option<&RefValue>) -> bool {
    match aggregate.function {
        AggregateFunction::Count => true,
        AggregateFunction::Sum => !matches!(sample, Some(RefValue::Float(_))),
        _ => false,
    }
}

fn fold(function: AggregateFunction, list: &[RefValue]) -> Result<RefValue, ReferenceError> {
    let present: Vec<&RefValue> = list.iter().filter(|value| !value.is_null()).collect();
    if function == AggregateFunction::Count {
        return Ok(RefValue::Integer(present.len() as i128));
    }
    if present.is_empty() {
        return Ok(RefValue::Null);
    }
    let float = |value: &RefValue| match value {
        RefValue::Float(value) => *value,
        RefValue::Integer(value) => *value as f64,
        RefValue::Decimal { unscaled, scale } => *unscaled as f64 / 10_f64.powi((*scale).into()),
        other => unreachable!("no number: {other:?}"),
    };
    let floats = present.iter().any(|value| matches!(value, RefValue::Float(_)));
    let total = || -> f64 { present.iter().map(|value| float(value)).sum() };
    Ok(match function {
        AggregateFunction::Sum if floats => RefValue::Float(total()),
        AggregateFunction::Sum => match present[0] {
            RefValue::Decimal { scale, .. } => {
                let unscaled = |value: &&RefValue| match value {
                    RefValue::Decimal { unscaled, .. } => *unscaled,
                    other => unreachable!("of one type: {other:?}"),
                };
                RefValue::Decimal { unscaled: present.iter().map(unscaled).sum(), scale: *scale }
            }
            _ => RefValue::Integer(total() as i128),
        },
        AggregateFunction::Avg => RefValue::Float(total() / present.len() as f64),
        AggregateFunction::Min | AggregateFunction::Max => {
            let wanted = if function == AggregateFunction::Min { Ordering::Less } else { Ordering::Greater };
            let mut best = present[0];
            for value in &present {
                if value.compare(best).ok().flatten() == Some(wanted) {
                    best = value;
                }
            }
            best.clone()
        }
        other => return Err(ReferenceError::Unsupported(format!("{} over all matches", other.name()))),
    })
}
