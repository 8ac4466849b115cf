//! An anomaly rule in an engine.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use cepheid_anomaly::{Chunk, DetectorPlan, DetectorState, SavedDetector, Verdict};
use cepheid_eval::{RowSource, RuleError};
use cepheid_event::{EventError, MergedSchema, Released};
use cepheid_ir::{Anomaly, ColumnName, Expr, PatternError, ReportedRows};
use cepheid_matcher::Strategy;
use cepheid_matcher::sequence::Moment;

use super::EngineOptions;
use super::binding::BoundColumns;
use super::derived::{DerivedTable, Part};
use super::event_ids::{EventIds, HIDDEN, IdOf};
use super::row_rule::{CompiledRows, Names, RowKind, RowRule, TimedRows};
use super::snapshot::refuse;
use crate::anomalies::judged_columns;
use crate::error::EngineError;

/// See the module.
#[derive(Debug)]
pub(crate) struct Detects;

pub(crate) type AnomalyRule = RowRule<Detects>;

impl RowKind for Detects {
    type Spec = Anomaly;
    type Plan = DetectorPlan;
    type State = DetectorState;
    type Saved = SavedDetector;

    const WHAT: &'static str = "an anomaly rule";

    fn checked(spec: Anomaly) -> Result<(Anomaly, String), PatternError> {
        let fingerprint = spec.fingerprint();
        spec.validate()?;
        Ok((spec.normalise(), fingerprint))
    }

    fn names(spec: &Anomaly) -> Names<'_> {
        let Anomaly { name, topic, emit, event_time, .. } = spec;
        Names {
            name: name.as_ref(),
            topic: topic.as_ref(),
            emit: emit.as_ref(),
            event_time: event_time.as_ref(),
        }
    }

    fn parts(spec: &mut Anomaly) -> (Option<&String>, &mut [ColumnName], Vec<&mut Expr>) {
        let exprs = std::iter::once(&mut spec.value).chain(&mut spec.condition).collect();
        (spec.topic.as_ref(), &mut spec.partition_by, exprs)
    }

    fn compile(spec: &Anomaly, schema: &SchemaRef, event_time: usize) -> Result<DetectorPlan, RuleError> {
        DetectorPlan::compile(spec, schema, event_time)
    }

    fn row_source(plan: &DetectorPlan) -> &RowSource {
        plan.row_source()
    }

    fn output(plan: &DetectorPlan) -> &SchemaRef {
        plan.output()
    }

    fn reports_row_times(_: &DetectorPlan) -> bool {
        true
    }

    fn is_concerned(_: &DetectorPlan) -> Option<impl Fn(i64) -> bool> {
        None::<fn(i64) -> bool>
    }

    fn state(plan: &DetectorPlan, _: Option<i64>) -> DetectorState {
        DetectorState::new(plan)
    }

    fn keys_kept(state: &DetectorState, keys: usize, before: Option<i64>) -> Vec<bool> {
        state.keys_kept(keys, before)
    }

    fn retain_keys(state: &mut DetectorState, kept: &[bool]) {
        state.retain_keys(kept);
    }

    fn bytes(state: &DetectorState) -> usize {
        state.bytes()
    }

    fn save(state: &DetectorState, _: &str) -> Result<SavedDetector, EngineError> {
        Ok(state.save())
    }

    fn load(plan: &DetectorPlan, saved: SavedDetector, keys: usize) -> Result<DetectorState, EngineError> {
        DetectorState::load(plan, saved, keys).or_else(refuse)
    }

    fn is_of_the_past(_: &DetectorState, _: Option<i64>) -> bool {
        // A machine takes rows of any time.
        true
    }
}

/// Rows on their way to be judged, asked all that may raise an error.
pub(crate) struct PreparedRows {
    compiled: Arc<CompiledRows<DetectorPlan>>,
    rows: TimedRows,
    values: Float64Array,
}

impl AnomalyRule {
    /// Asks of released rows all that may raise an error, and changes nothing.
    pub(crate) fn prepare(
        &mut self,
        released: &Released,
        columns: &MergedSchema,
        bound: &BoundColumns,
        event_time: &str,
    ) -> Result<Option<PreparedRows>, EngineError> {
        let Some(compiled) = self.compile(columns, bound, event_time)? else { return Ok(None) };
        let rows = self.rows(&compiled, &released.rows, columns)?;
        let values = compiled.plan.values(rows.batch.num_rows(), &|index| rows.column(index))?;
        Ok(Some(PreparedRows { compiled, rows, values }))
    }

    /// Judges rows, and gives those that are reported. `place`: its place among all rules.
    pub(crate) fn advance(
        &mut self,
        prepared: PreparedRows,
        options: &EngineOptions,
        place: usize,
    ) -> Result<Option<Part>, EngineError> {
        let PreparedRows { compiled, rows, values } = prepared;
        let plan = &compiled.plan;
        let count = rows.batch.num_rows();
        if count == 0 {
            return Ok(None);
        }
        let (keys, state) = self.kept.of_keys.as_mut().expect("made when it was compiled");
        self.kept.visited += count as u64;
        let source = plan.row_source();
        let columns: Vec<ArrayRef> =
            source.keys().iter().map(|key| rows.column(*key)).collect::<Result<_, _>>()?;
        let numbers = keys.numbers(&columns, count)?;
        let (num_keys, threads) = (keys.len(), options.threads_for(count));
        let chunk = Chunk { keys: &numbers, num_keys, times: &rows.times, values: &values, threads };
        let all = plan.rows() == ReportedRows::All;
        let told: Vec<(u32, Verdict)> = (0..count as u32)
            .zip(state.push(&chunk))
            .filter_map(|(row, verdict)| Some((row, verdict?)))
            .filter(|(_, verdict)| all || verdict.is_anomaly)
            .collect();
        if told.is_empty() {
            return Ok(None);
        }
        self.kept.reported += told.len() as u64;
        let places: UInt32Array = told.iter().map(|(row, _)| *row).collect();
        let own = source.keys().iter().copied().chain([source.event_time()]);
        let own = own.map(|column| arrow_select::take::take(rows.batch.column(column), &places, None));
        let mut columns: Vec<ArrayRef> = own.collect::<Result<_, _>>().map_err(EventError::from)?;
        let judged = told.iter().map(|(row, verdict)| (values.value(*row as usize), *verdict));
        columns.extend(judged_columns(plan, judged));
        let batch = RecordBatch::try_new(self.reported(&compiled, &options.event_time), columns);
        let mut batch = batch.map_err(EventError::from)?;
        if self.has_ids() {
            let hidden =
                |name: &str| rows.batch.column_by_name(name).expect("rows have ids").as_string::<i32>();
            let (row_ids, stories) = (hidden(HIDDEN[0]), hidden(HIDDEN[1]));
            let mut ids = EventIds::default();
            for (row, _) in &told {
                let (row, story) = (row_ids.value(*row as usize), stories.value(*row as usize));
                ids.push(IdOf::new(&self.fingerprint, self.emits()).and(row).text(), Some((row, story)));
            }
            batch = ids.add_to(&batch, |_| true)?;
        }
        let moment = |(row, _): &(u32, Verdict)| Moment::At { time: rows.times[*row as usize], row: 0 };
        let strategies = vec![Strategy::Anomalies];
        let table = DerivedTable { strategies, ..DerivedTable::new(batch, None, told.len()) };
        let order = told.iter().map(|judged| (moment(judged), None, None)).collect();
        Ok(Some(Part { topic: self.emits().to_owned(), rule: place, table, order, event_of: None }))
    }
}
