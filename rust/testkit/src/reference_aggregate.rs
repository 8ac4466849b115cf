//! Aggregates of the reference: the rows are listed, then folded.

use std::cmp::Ordering;

use cepheid_ir::{Aggregate, AggregateFunction, ColumnName, Expr, RowPointer};

use crate::reference::ReferenceError;
use crate::reference_eval::{Scene, compare, evaluate};
use crate::reference_function::float;
use crate::reference_window_aggregate;
use crate::value::RefValue;

pub(crate) fn evaluate_aggregate(
    aggregate: &Aggregate,
    scene: &Scene<'_>,
) -> Result<RefValue, ReferenceError> {
    // Each aggregated row is, for its arguments, the current one.
    let mut rows: Vec<Vec<RefValue>> = vec![];
    for (index, _) in scene.visible(aggregate.variable.as_deref(), aggregate.semantics, aggregate.tested_row)
    {
        let at_row = Scene { seen: index + 1, ..*scene };
        let mut args = vec![];
        for arg in &aggregate.args {
            args.push(evaluate(arg, &at_row)?);
        }
        if let (AggregateFunction::Ewma, Some(RefValue::Interval { .. })) = (aggregate.function, args.get(1))
        {
            // How old a value is goes by the order of rows.
            let ColumnName { name, quoted } = scene.pattern.order_by[0].column.clone();
            args.push(evaluate(&Expr::Column { name, quoted, at: RowPointer::default() }, &at_row)?);
        }
        let repeated = |earlier: &Vec<RefValue>| {
            earlier.iter().zip(&args).all(|(left, right)| {
                left.is_null() == right.is_null()
                    && (left.is_null() || left.compare(right) == Ok(Some(Ordering::Equal)))
            })
        };
        if !(aggregate.distinct && rows.iter().any(repeated)) {
            rows.push(args);
        }
    }
    fold(aggregate.function, &rows)
}

fn fold(function: AggregateFunction, rows: &[Vec<RefValue>]) -> Result<RefValue, ReferenceError> {
    use AggregateFunction::*;
    if function.is_of_windows() {
        return reference_window_aggregate::fold(function, rows);
    }
    let present: Vec<&Vec<RefValue>> =
        rows.iter().filter(|args| !args.last().is_some_and(RefValue::is_null)).collect();
    let first = || present.iter().map(|args| &args[0]);
    let holds = |value: &RefValue| *value == RefValue::Boolean(true);
    match function {
        Count => return Ok(RefValue::Integer(present.len() as i128)),
        CountIf => return Ok(RefValue::Integer(first().filter(|value| holds(value)).count() as i128)),
        ArrayAgg if rows.is_empty() => return Ok(RefValue::Null),
        ArrayAgg => return Ok(RefValue::List(rows.iter().map(|args| args[0].clone()).collect())),
        _ if present.is_empty() => return Ok(RefValue::Null),
        _ => {}
    }
    Ok(match function {
        Sum => match sum(&first().cloned().collect::<Vec<_>>())? {
            RefValue::Integer(total) if i64::try_from(total).is_err() => {
                return Err(ReferenceError::Overflow);
            }
            total => total,
        },
        Avg => match sum(&first().cloned().collect::<Vec<_>>())? {
            RefValue::Decimal { .. } => return Err(ReferenceError::Unsupported("AVG of decimals".into())),
            total => RefValue::Float(float(&total)? / present.len() as f64),
        },
        Min => extreme(&present, 0, Ordering::Less)?[0].clone(),
        Max => extreme(&present, 0, Ordering::Greater)?[0].clone(),
        MinBy => extreme(&present, 1, Ordering::Less)?[0].clone(),
        MaxBy => extreme(&present, 1, Ordering::Greater)?[0].clone(),
        BoolAnd => RefValue::Boolean(first().all(holds)),
        BoolOr => RefValue::Boolean(first().any(holds)),
        StddevSamp | StddevPop | VarSamp | VarPop => {
            let mut values = vec![];
            for value in first() {
                values.push(float(value)?);
            }
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let freedom = values.len() - usize::from(matches!(function, StddevSamp | VarSamp));
            if freedom == 0 {
                return Ok(RefValue::Null);
            }
            let variance = squares / freedom as f64;
            RefValue::Float(if matches!(function, StddevSamp | StddevPop) {
                variance.sqrt()
            } else {
                variance
            })
        }
        Count | CountIf | ArrayAgg => unreachable!("answered above"),
        Median | Quantile | TopK | Ewma | ApproxNUnique | ApproxQuantile | ApproxTopK | UserDefined => {
            unreachable!("answered above")
        }
    })
}

/// In row order; integers without bound, as later ones may bring a sum back into range.
fn sum(values: &[RefValue]) -> Result<RefValue, ReferenceError> {
    let mut total = values[0].clone();
    for value in &values[1..] {
        total = match (total, value) {
            (RefValue::Integer(total), RefValue::Integer(value)) => RefValue::Integer(total + value),
            (total, value) => {
                crate::reference_eval::arithmetic(cepheid_ir::BinaryOp::Add, total, value.clone())?
            }
        };
    }
    Ok(total)
}

/// The first row whose argument `key` is the least or the greatest.
fn extreme<'r>(
    rows: &[&'r Vec<RefValue>],
    key: usize,
    wanted: Ordering,
) -> Result<&'r Vec<RefValue>, ReferenceError> {
    let mut best = rows[0];
    for &row in &rows[1..] {
        if compare(&row[key], &best[key])? == Some(wanted) {
            best = row;
        }
    }
    Ok(best)
}
