//! What an outer `SELECT` asks of the rows of a match, or of those of windows: expressions, a filter, an order, a limit.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::{Field, SortOptions};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use cepheid_eval::{Leaf, TypedExpr};
use cepheid_event::{EventError, Table, resolve_column};
use cepheid_ir::{Expr, OrderItem, Query, SelectItem, WindowQuery};

use crate::error::EngineError;
use crate::matches::{MatchTable, batch_of};
use crate::pipeline::match_table;
use crate::plan::MatchOptions;
use crate::windows::aggregate_table;

/// Runs a query over its table.
///
/// # Errors
/// See [`EngineError`].
pub fn run_query(query: &Query, table: &Table, options: &MatchOptions) -> Result<MatchTable, EngineError> {
    let matches = match_table(&query.pattern, table, options)?;
    let outer = Outer {
        select: &query.select,
        filter: query.filter.as_ref(),
        filter_clause: "WHERE",
        order_by: &query.order_by,
        offset: query.offset,
        limit: query.limit,
    };
    if outer.is_plain() {
        return Ok(matches);
    }
    let (output, kept) = outer.refine(matches.batch().clone())?;
    Ok(matches.with_rows(output, kept.into_iter().map(|row| row as usize)))
}

/// Runs a query of windows over its table.
///
/// # Errors
/// See [`EngineError`].
pub fn run_window_query(
    query: &WindowQuery,
    table: &Table,
    options: &MatchOptions,
) -> Result<Table, EngineError> {
    let outer = Outer {
        select: &query.select,
        filter: query.having.as_ref(),
        filter_clause: "HAVING",
        order_by: &query.order_by,
        offset: query.offset,
        limit: query.limit,
    };
    let windows = aggregate_table(&query.window, table, options)?;
    if outer.is_plain() {
        return Ok(windows);
    }
    if outer.order_by.is_empty()
        && let [first, ..] = windows.batches()
        && let Ok(outputs) = outer.refine_each(windows.batches())
    {
        let schema = outputs.first().map_or_else(|| first.schema(), RecordBatch::schema);
        return Ok(Table::new(schema, outputs)?);
    }
    // Also where a value fails: which error is told of is that of the first operation, whichever row it is of.
    let windows = concat_batches(windows.schema(), windows.batches()).map_err(EventError::from)?;
    let (output, _) = outer.refine(windows)?;
    Ok(Table::new(output.schema(), vec![output])?)
}

/// What is done with the rows of matches or windows.
struct Outer<'q> {
    select: &'q [SelectItem],
    filter: Option<&'q Expr>,
    /// How an error calls the filter.
    filter_clause: &'static str,
    order_by: &'q [OrderItem],
    offset: u64,
    limit: Option<u64>,
}

impl Outer<'_> {
    /// Whether it gives rows as they are.
    fn is_plain(&self) -> bool {
        *self.select == [SelectItem::All]
            && self.filter.is_none()
            && self.order_by.is_empty()
            && self.limit.is_none()
            && self.offset == 0
    }

    /// Filters, computes, sorts and limits, in that order; gives the rows, and which of the input's they come from.
    fn refine(&self, mut input: RecordBatch) -> Result<(RecordBatch, Vec<u32>), EngineError> {
        let mut kept: UInt32Array = (0..input.num_rows() as u32).collect();
        if let Some(filter) = self.filter {
            let mask = self.mask(filter, &input)?;
            input = arrow_select::filter::filter_record_batch(&input, &mask).map_err(EventError::from)?;
            kept = (0..mask.len() as u32).filter(|row| mask.value(*row as usize)).collect();
        }
        let mut output = select(self.select, &input)?;
        if !self.order_by.is_empty() {
            let indices = sorted(self.order_by, &input, &output)?;
            output = take_record_batch(&output, &indices).map_err(EventError::from)?;
            kept = indices.values().iter().map(|row| kept.value(*row as usize)).collect();
        }
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(output.num_rows());
        let limit = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let rows = limit.min(output.num_rows() - offset);
        Ok((output.slice(offset, rows), kept.values()[offset..offset + rows].to_vec()))
    }

    /// The same of rows that stand in several batches, whose order stays: none is copied that is only chosen. There is an output
    /// for each batch up to the limit.
    fn refine_each(&self, inputs: &[RecordBatch]) -> Result<Vec<RecordBatch>, EngineError> {
        let mut passed = self.offset;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut outputs = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut output = match self.filter {
                Some(filter) => {
                    let mask = self.mask(filter, input)?;
                    let kept = arrow_select::filter::filter_record_batch(input, &mask);
                    select(self.select, &kept.map_err(EventError::from)?)?
                }
                None => select(self.select, input)?,
            };
            let first = passed.min(output.num_rows() as u64);
            passed -= first;
            let rows = left.min(output.num_rows() as u64 - first);
            left -= rows;
            output = output.slice(first as usize, rows as usize);
            outputs.push(output);
        }
        Ok(outputs)
    }

    /// Which rows satisfy the filter.
    fn mask(&self, filter: &Expr, input: &RecordBatch) -> Result<BooleanArray, EngineError> {
        let failed = || EngineError::in_context(self.filter_clause);
        let condition = TypedExpr::compile_condition(filter, &input.schema()).map_err(failed())?;
        let mask = condition.evaluate_mask(&leaves(&condition, input)?, input.num_rows()).map_err(failed())?;
        Ok(BooleanArray::new(mask, None))
    }
}

/// Columns that an expression over a batch reads.
fn leaves(expr: &TypedExpr, batch: &RecordBatch) -> Result<Vec<ArrayRef>, EngineError> {
    expr.leaves()
        .iter()
        .map(|leaf| match leaf {
            Leaf::Column { index, .. } => Ok(Arc::clone(batch.column(*index))),
            other => Err(EngineError::Pattern(cepheid_ir::PatternError::InvalidExpression {
                context: "the outer SELECT".into(),
                problem: format!("{other:?} has a meaning inside MATCH_RECOGNIZE only"),
            })),
        })
        .collect()
}

fn evaluate(expr: &Expr, batch: &RecordBatch, context: &str) -> Result<ArrayRef, EngineError> {
    let compiled = TypedExpr::compile(expr, &batch.schema()).map_err(EngineError::in_context(context))?;
    compiled
        .evaluate_columns(&leaves(&compiled, batch)?, batch.num_rows())
        .map_err(EngineError::in_context(context))
}

fn select(items: &[SelectItem], input: &RecordBatch) -> Result<RecordBatch, EngineError> {
    let mut fields: Vec<Arc<Field>> = vec![];
    let mut arrays = vec![];
    for item in items {
        match item {
            SelectItem::All => {
                fields.extend(input.schema().fields().iter().cloned());
                arrays.extend(input.columns().iter().cloned());
            }
            SelectItem::Value { name, value } => {
                let array = evaluate(value, input, &format!("output column `{name}`"))?;
                fields.push(Arc::new(Field::new(name, array.data_type().clone(), true)));
                arrays.push(array);
            }
        }
    }
    batch_of(fields, arrays, input.num_rows())
}

/// Rows in the order asked for; ties as they stand.
fn sorted(
    items: &[OrderItem],
    input: &RecordBatch,
    output: &RecordBatch,
) -> Result<UInt32Array, EngineError> {
    let mut keys = items
        .iter()
        .map(|item| {
            // The name of an output column wins over that of a column of the match.
            let named = match &item.value {
                Expr::Column { name, quoted, at } if at.is_default() => {
                    resolve_column(&output.schema(), name, *quoted).ok()
                }
                _ => None,
            };
            let values = match named {
                Some(column) => Arc::clone(output.column(column)),
                None => evaluate(&item.value, input, "ORDER BY")?,
            };
            // Codes of a dictionary need not be in the order of their values, and -0.0 is 0.0.
            let values = cepheid_event::key::comparable(&values)?;
            let options = SortOptions { descending: item.descending, nulls_first: item.nulls_first };
            Ok(SortColumn { values, options: Some(options) })
        })
        .collect::<Result<Vec<_>, EngineError>>()?;
    // The sort is not stable: the row's own place decides between equals.
    let place: UInt32Array = (0..output.num_rows() as u32).collect();
    keys.push(SortColumn { values: Arc::new(place), options: None });
    Ok(lexsort_to_indices(&keys, None).map_err(EventError::from)?)
}
