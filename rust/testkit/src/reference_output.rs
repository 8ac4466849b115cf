//! The rows that a pattern reports.

use cepheid_ir::{Expr, OutputColumns, Pattern, Query, RowsPerMatch, SelectItem};

use crate::reference::{Mark, ReferenceError, ReferenceOutput, reference_matches};
use crate::reference_eval::{Scene, evaluate, evaluate_condition};
use crate::reference_table::ReferenceTable;
use crate::value::RefValue;

/// Where an output column comes from.
enum Source {
    Input(usize),
    MatchNumber,
    MatchStart,
    MatchEnd,
    Measure(usize),
}

/// The output columns, in order, by the rules of [`OutputColumns`].
fn sources(pattern: &Pattern, table: &ReferenceTable) -> Result<Vec<(String, Source)>, ReferenceError> {
    let mut columns: Vec<(String, Source)> = vec![];
    let mut taken = vec![];
    let mut add_input = |index: usize, columns: &mut Vec<(String, Source)>| {
        if !taken.contains(&index) {
            taken.push(index);
            columns.push((table.columns[index].clone(), Source::Input(index)));
        }
    };
    for column in &pattern.partition_by {
        add_input(table.column_index(&column.name, column.quoted)?, &mut columns);
    }
    let all_input = pattern.rows_per_match != RowsPerMatch::One;
    if all_input && pattern.output == OutputColumns::Standard {
        for key in &pattern.order_by {
            add_input(table.column_index(&key.column.name, key.column.quoted)?, &mut columns);
        }
    }
    if pattern.output == OutputColumns::Derived {
        columns.push(("match_number".into(), Source::MatchNumber));
        columns.push(("match_start".into(), Source::MatchStart));
        columns.push(("match_end".into(), Source::MatchEnd));
    }
    for (index, measure) in pattern.measures.iter().enumerate() {
        columns.push((measure.name.clone(), Source::Measure(index)));
    }
    if all_input {
        (0..table.columns.len()).for_each(|index| add_input(index, &mut columns));
    }
    Ok(columns)
}

pub(crate) fn columns(pattern: &Pattern, table: &ReferenceTable) -> Result<Vec<String>, ReferenceError> {
    Ok(sources(pattern, table)?.into_iter().map(|(name, _)| name).collect())
}

/// The rows of one match that began at `start`.
pub(crate) fn emit_match(
    scene: &Scene<'_>,
    start: usize,
    output: &mut ReferenceOutput,
) -> Result<(), ReferenceError> {
    let first = scene.partition[start];
    match scene.pattern.rows_per_match {
        RowsPerMatch::One => output.rows.push(row(scene, first)?),
        RowsPerMatch::AllOmitEmpty if scene.marks.is_empty() => {}
        _ if scene.marks.is_empty() => output.rows.push(row(scene, first)?),
        _ => {
            for (index, mark) in scene.marks.iter().enumerate() {
                if !mark.excluded {
                    let seen = Scene { seen: index + 1, ..*scene };
                    output.rows.push(row(&seen, scene.partition[mark.position])?);
                }
            }
        }
    }
    Ok(())
}

/// One output row: `input` gives the columns that are no measures.
fn row(scene: &Scene<'_>, input: usize) -> Result<Vec<RefValue>, ReferenceError> {
    let mut values = vec![];
    for (_, source) in sources(scene.pattern, scene.table)? {
        values.push(match source {
            Source::Input(column) => scene.table.rows[input][column].clone(),
            Source::MatchNumber => RefValue::Integer(i128::from(scene.match_number)),
            Source::MatchStart => time_of(scene, scene.marks.first())?,
            Source::MatchEnd => time_of(scene, scene.marks.last())?,
            Source::Measure(index) => evaluate(&scene.pattern.measures[index].value, scene)?,
        });
    }
    Ok(values)
}

/// The first order key of a row of the match; NULL without a row or an order.
fn time_of(scene: &Scene<'_>, mark: Option<&Mark<'_>>) -> Result<RefValue, ReferenceError> {
    let (Some(mark), Some(key)) = (mark, scene.pattern.order_by.first()) else { return Ok(RefValue::Null) };
    let column = scene.table.column_index(&key.column.name, key.column.quoted)?;
    Ok(scene.table.rows[scene.partition[mark.position]][column].clone())
}

/// The row of an input row that no match holds, if it is asked for.
pub(crate) fn emit_unmatched(
    pattern: &Pattern,
    table: &ReferenceTable,
    input: usize,
    output: &mut ReferenceOutput,
) -> Result<(), ReferenceError> {
    if pattern.rows_per_match == RowsPerMatch::AllWithUnmatched {
        let value = |(_, source): (String, Source)| match source {
            Source::Input(column) => table.rows[input][column].clone(),
            _ => RefValue::Null,
        };
        output.rows.push(sources(pattern, table)?.into_iter().map(value).collect());
    }
    Ok(())
}

/// The rows of a whole query: those of its pattern, filtered, computed, sorted and limited.
///
/// # Errors
/// As [`reference_matches`], and run-time errors of the outer expressions.
pub fn reference_query(query: &Query, table: &ReferenceTable) -> Result<ReferenceTable, ReferenceError> {
    let matched = reference_matches(&query.pattern, table)?;
    let inner = ReferenceTable { columns: matched.columns, rows: matched.rows };
    let mut selected = ReferenceTable::default();
    for item in &query.select {
        match item {
            SelectItem::All => selected.columns.extend(inner.columns.iter().cloned()),
            SelectItem::Value { name, .. } => selected.columns.push(name.clone()),
        }
    }
    let mut keyed: Vec<(Vec<RefValue>, Vec<RefValue>)> = vec![];
    for index in 0..inner.rows.len() {
        if let Some(filter) = &query.filter
            && !on_row(filter, &inner, index, &query.pattern, evaluate_condition)?
        {
            continue;
        }
        let mut values = vec![];
        for item in &query.select {
            match item {
                SelectItem::All => values.extend(inner.rows[index].iter().cloned()),
                SelectItem::Value { value, .. } => {
                    values.push(on_row(value, &inner, index, &query.pattern, evaluate)?)
                }
            }
        }
        let mut keys = vec![];
        for item in &query.order_by {
            // The name of an output column wins over that of a column of the match.
            let output = match &item.value {
                Expr::Column { name, quoted, .. } => selected.column_index(name, *quoted).ok(),
                _ => None,
            };
            keys.push(match output {
                Some(column) => values[column].clone(),
                None => on_row(&item.value, &inner, index, &query.pattern, evaluate)?,
            });
        }
        keyed.push((keys, values));
    }
    keyed.sort_by(|(left, _), (right, _)| {
        let compare = |(item, (left, right)): (&cepheid_ir::OrderItem, (&RefValue, &RefValue))| {
            left.sort_order(right, item.descending, item.nulls_first)
        };
        let mut orders = query.order_by.iter().zip(left.iter().zip(right)).map(compare);
        orders.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
    let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    selected.rows = keyed.into_iter().skip(offset).take(limit).map(|(_, values)| values).collect();
    Ok(selected)
}

/// An outer expression over one row: a match of that row alone.
fn on_row<T>(
    expr: &Expr,
    table: &ReferenceTable,
    row: usize,
    pattern: &Pattern,
    evaluate: impl Fn(&Expr, &Scene<'_>) -> Result<T, ReferenceError>,
) -> Result<T, ReferenceError> {
    let marks = [Mark { position: 0, variable: "", excluded: false }];
    evaluate(expr, &Scene { pattern, table, partition: &[row], marks: &marks, seen: 1, match_number: 0 })
}
