//! Anomalies in a table.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use cepheid_anomaly::{Chunk, DetectorPlan, DetectorState, Verdict};
use cepheid_event::{EventError, Table};
use cepheid_ir::{Anomaly, ReportedRows};
use cepheid_matcher::MatchError;
use cepheid_matcher::threads::Interruption;

use crate::error::EngineError;
use crate::ordered_table::{CHUNK_ROWS, KeyNumbers, OrderedTable, event_time_of, lane_of};
use crate::plan::MatchOptions;

/// The rows of a table that stand out, or all of them and whether they do, in order of (event time, arrival). The columns are
/// those of [`DetectorPlan::output`].
///
/// Cost: that of the method for each row; keys are shared among threads, and rows of one key are judged by one of them.
///
/// # Errors
/// See [`EngineError`].
pub fn detect_table(
    rule: &Anomaly,
    table: &Table,
    options: &MatchOptions,
) -> Result<RecordBatch, EngineError> {
    rule.validate()?;
    let rule = rule.clone().normalise();
    let schema = table.schema();
    let event_time = event_time_of("an anomaly rule", rule.event_time.as_ref(), schema, options)?;
    let plan = DetectorPlan::compile(&rule, schema, event_time)?;
    let rows = ordered_rows(&plan, table)?;
    let keys = KeyNumbers::new(plan.row_source().keys(), table)?;
    let workers = options.workers(rows.len());

    let starts = (0..rows.len()).step_by(CHUNK_ROWS);
    let chunks: Vec<Range<usize>> = starts.map(|start| start..(start + CHUNK_ROWS).min(rows.len())).collect();
    let values = |chunk: &Range<usize>, interrupted: Interruption<'_>| {
        if interrupted.is_due() {
            return Err(MatchError::Interrupted.into());
        }
        Ok::<_, EngineError>(plan.values(chunk.len(), &|index| rows.column(index, chunk.clone()))?)
    };
    let values = workers.share(&chunks, values, Result::is_err)?;
    let values = values.into_iter().collect::<Result<Vec<Float64Array>, EngineError>>()?;

    let lanes = workers.threads.min(keys.count()) as u32;
    let judge = |lane: &u32, interrupted: Interruption<'_>| {
        let lane = Lane { place: *lane, of: lanes };
        let mut state = DetectorState::new(&plan);
        let mut judged = vec![];
        for (chunk, values) in chunks.iter().zip(&values) {
            if interrupted.is_due() {
                return Err(MatchError::Interrupted);
            }
            let (numbers, times) = (keys.of(&rows, chunk.clone()), rows.times(chunk.clone()));
            let found = lane.judge(&mut state, &numbers, keys.count(), &times, values);
            let told = found.filter(|(_, _, verdict)| plan.rows() == ReportedRows::All || verdict.is_anomaly);
            judged.extend(told.map(|(row, value, verdict)| Judged {
                row: chunk.start as u32 + row,
                value,
                verdict,
            }));
        }
        Ok(judged)
    };
    let judged = workers.share(&(0..lanes).collect::<Vec<_>>(), judge, Result::is_err)?;
    let mut judged = judged.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    judged.sort_by_key(|judged| judged.row);
    report(&plan, &rows, &judged)
}

/// A row that is reported, by its place in the order.
#[derive(Clone, Copy)]
struct Judged {
    row: u32,
    value: f64,
    verdict: Verdict,
}

/// One of so many threads, and the keys that it sees to.
struct Lane {
    place: u32,
    of: u32,
}

impl Lane {
    /// Gives the rows of its keys that are not passed over, by their places among these.
    fn judge(
        &self,
        state: &mut DetectorState,
        keys: &[u32],
        num_keys: usize,
        times: &[i64],
        values: &Float64Array,
    ) -> impl Iterator<Item = (u32, f64, Verdict)> {
        let own: Vec<u32> = (0..keys.len() as u32)
            .filter(|row| lane_of(keys[*row as usize], self.of) == self.place)
            .collect();
        let value = |row: u32| values.is_valid(row as usize).then(|| values.value(row as usize));
        let verdicts = if own.len() == keys.len() {
            state.push(&Chunk { keys, num_keys, times, values, threads: 1 })
        } else {
            let keys: Vec<u32> = own.iter().map(|row| keys[*row as usize]).collect();
            let times: Vec<i64> = own.iter().map(|row| times[*row as usize]).collect();
            let values: Float64Array = own.iter().map(|row| value(*row)).collect();
            state.push(&Chunk { keys: &keys, num_keys, times: &times, values: &values, threads: 1 })
        };
        own.into_iter().zip(verdicts).filter_map(move |(row, verdict)| Some((row, value(row)?, verdict?)))
    }
}

/// The rows that are not passed over for the condition, in order of time.
fn ordered_rows<'a>(plan: &DetectorPlan, table: &'a Table) -> Result<OrderedTable<'a>, EngineError> {
    let kept = |batch: &RecordBatch, _: &[i64]| {
        let column = |index: usize| Ok(Arc::clone(batch.column(index)));
        let mask = plan.row_source().satisfied(batch.num_rows(), &column)?;
        Ok(mask.unwrap_or_else(|| BooleanBuffer::new_set(batch.num_rows())))
    };
    OrderedTable::new(
        plan.row_source().event_time(),
        table,
        plan.row_source().has_condition().then_some(&kept),
    )
}

fn report(
    plan: &DetectorPlan,
    rows: &OrderedTable<'_>,
    judged: &[Judged],
) -> Result<RecordBatch, EngineError> {
    let places: Vec<u32> = judged.iter().map(|judged| judged.row).collect();
    let own = plan.row_source().keys().iter().copied().chain([plan.row_source().event_time()]);
    let own = own.map(|column| rows.gather(column, &places));
    let mut columns: Vec<ArrayRef> = own.collect::<Result<_, _>>()?;
    columns.extend(judged_columns(plan, judged.iter().map(|judged| (judged.value, judged.verdict))));
    Ok(RecordBatch::try_new(Arc::clone(plan.output()), columns).map_err(EventError::from)?)
}

/// What is reported of rows behind their keys and times: values, and what was said of each.
pub(crate) fn judged_columns(
    plan: &DetectorPlan,
    judged: impl Iterator<Item = (f64, Verdict)> + Clone,
) -> Vec<ArrayRef> {
    let values: Float64Array = judged.clone().map(|(value, _)| Some(value)).collect();
    let expected: Float64Array = judged.clone().map(|(_, verdict)| verdict.expected).collect();
    let scores: Float64Array = judged.clone().map(|(_, verdict)| verdict.score).collect();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(values), Arc::new(expected), Arc::new(scores)];
    if plan.rows() == ReportedRows::All {
        columns.push(Arc::new(judged.map(|(_, verdict)| Some(verdict.is_anomaly)).collect::<BooleanArray>()));
    }
    columns
}
