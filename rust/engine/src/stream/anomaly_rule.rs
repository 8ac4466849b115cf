//! An anomaly rule in an engine: its rows, its keys and what it keeps.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Schema, SchemaRef};
use cepheid_anomaly::{Chunk, DetectorPlan, DetectorState, SavedDetector};
use cepheid_event::{EventError, KeyTable, MergedSchema, Released};
use cepheid_ir::{Anomaly, ReportedRows};
use cepheid_matcher::Strategy;
use cepheid_matcher::sequence::Moment;
use serde::{Deserialize, Serialize};

use super::binding::{Binding, BoundColumns};
use super::derived::{DerivedTable, Part};
use super::keys::{SavedKeys, idle_keys, load_keys, save_keys};
use super::snapshot::{differ, paired, refuse};
use super::stage::Stage;
use super::window_rule::event_time_is_that_of_the_engine;
use crate::error::EngineError;

/// See the module.
#[derive(Debug)]
pub(crate) struct AnomalyRule {
    pub(crate) name: String,
    pub(crate) rule: Anomaly,
    pub(crate) fingerprint: String,
    compiled: Option<Arc<CompiledAnomaly>>,
    kept: Kept,
    /// How it was before the call, if that has to be known.
    before: Option<Kept>,
    /// What it was compiled to before the call, if that has changed, and whether it kept anything.
    compiled_before: Option<(Option<Arc<CompiledAnomaly>>, bool)>,
}

#[derive(Debug)]
struct CompiledAnomaly {
    binding: Binding,
    plan: DetectorPlan,
    /// How many of the topics read had sent something.
    known: usize,
}

/// What is kept between rows.
#[derive(Clone, Debug, Default)]
struct Kept {
    keys: Option<KeyTable>,
    state: Option<DetectorState>,
    /// Rows reported so far.
    reported: u64,
    /// Rows judged so far.
    visited: u64,
    /// Keys there were when those that nothing is kept of were last looked for.
    tidied: usize,
}

/// Rows on their way to be judged, asked all that may raise an error.
pub(crate) struct PreparedRows {
    compiled: Arc<CompiledAnomaly>,
    batch: RecordBatch,
    times: ScalarBuffer<i64>,
    values: Float64Array,
}

/// What is kept of an anomaly rule, as plain data.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedAnomalyRule {
    name: String,
    fingerprint: String,
    reported: u64,
    visited: u64,
    /// Nothing before its topic has sent rows.
    kept: Option<(SavedKeys, SavedDetector)>,
}

impl CompiledAnomaly {
    /// The columns of what is reported; the time of a row under the name that it has for the engine.
    fn output(&self, event_time: &str) -> SchemaRef {
        let mut fields: Vec<_> = self.plan.output().fields().iter().cloned().collect();
        let time = &mut fields[self.plan.keys().len()];
        *time = Arc::new(time.as_ref().clone().with_name(event_time));
        Arc::new(Schema::new(fields))
    }
}

impl AnomalyRule {
    /// Checks a rule. `number`: which it is, for one without a name.
    pub(crate) fn new(rule: Anomaly, number: usize, event_time: &str) -> Result<Self, EngineError> {
        let fingerprint = rule.fingerprint();
        rule.validate()?;
        event_time_is_that_of_the_engine("an anomaly rule", rule.event_time.as_ref(), event_time)?;
        let rule = rule.normalise();
        let name = rule.name.clone().unwrap_or_else(|| format!("rule-{number}"));
        let kept = Kept::default();
        Ok(Self { name, fingerprint, rule, compiled: None, kept, before: None, compiled_before: None })
    }

    /// Topic of what it reports.
    pub(crate) fn emits(&self) -> &str {
        self.rule.emit.as_deref().unwrap_or(&self.name)
    }

    /// Whether rows of a topic concern it.
    fn reads(&self, topic: &str) -> bool {
        self.rule.topic.as_deref().is_none_or(|own| own == topic)
    }

    pub(crate) fn reported(&self) -> u64 {
        self.kept.reported
    }

    pub(crate) fn visited(&self) -> u64 {
        self.kept.visited
    }

    /// Keys that there are numbers for.
    pub(crate) fn keys(&self) -> usize {
        self.kept.keys.as_ref().map_or(0, KeyTable::len)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.kept.keys.as_ref().map_or(0, KeyTable::bytes)
            + self.kept.state.as_ref().map_or(0, DetectorState::bytes)
    }

    /// Remembers how it is.
    pub(crate) fn begin(&mut self) {
        self.before.get_or_insert_with(|| self.kept.clone());
    }

    pub(crate) fn commit(&mut self) {
        self.before = None;
        self.compiled_before = None;
    }

    pub(crate) fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.kept = before;
        }
        if let Some((compiled, kept)) = self.compiled_before.take() {
            // Rows that were refused say nothing of what columns there are.
            self.compiled = compiled;
            if !kept {
                self.kept = Kept::default();
            }
        }
    }

    /// Has rows begin anew, whatever their times. To be called between calls, when the input has ended.
    pub(crate) fn begin_anew(&mut self) {
        if let Some(compiled) = &self.compiled {
            self.kept.state = Some(DetectorState::new(&compiled.plan));
        }
    }

    /// Lets go of keys that nothing is kept of. To be called between calls.
    pub(crate) fn tidy(&mut self, complete_before: Option<i64>) {
        let (Some(keys), Some(state)) = (&mut self.kept.keys, &mut self.kept.state) else { return };
        if let Some(kept) =
            idle_keys(keys, &mut self.kept.tidied, |keys| state.keys_kept(keys, complete_before))
        {
            keys.retain(&kept);
            state.retain_keys(&kept);
        }
    }

    /// Compiles it, unless it is compiled for the topics there are.
    fn compile(
        &mut self,
        columns: &MergedSchema,
        bound: &BoundColumns,
        event_time: &str,
    ) -> Result<Option<Arc<CompiledAnomaly>>, EngineError> {
        let known = columns.order().iter().filter(|topic| self.reads(columns.topic_name(**topic))).count();
        if known == 0 {
            return Ok(None);
        }
        if let Some(compiled) = self.compiled.as_ref().filter(|compiled| compiled.known == known) {
            return Ok(Some(Arc::clone(compiled)));
        }
        let mut rule = self.rule.clone();
        let exprs = std::iter::once(&mut rule.value).chain(&mut rule.condition);
        let topic = rule.topic.as_ref();
        let binding = Binding::of_rows(topic, &mut rule.partition_by, exprs, columns, bound, event_time)?;
        let column = cepheid_event::resolve_column(&binding.schema, &binding.event_time, true)?;
        let plan = DetectorPlan::compile(&rule, &binding.schema, column)?;
        self.compiled_before.get_or_insert((self.compiled.clone(), self.kept.keys.is_some()));
        if self.kept.keys.is_none() {
            let field = |place: usize| binding.schema.field(plan.keys()[place]);
            let types = (0..plan.keys().len()).map(|place| field(place).data_type().clone()).collect();
            self.kept.keys = Some(KeyTable::new(types, &|place| field(place).name().clone())?);
            self.kept.state = Some(DetectorState::new(&plan));
        }
        let compiled = Arc::new(CompiledAnomaly { binding, plan, known });
        self.compiled = Some(Arc::clone(&compiled));
        Ok(Some(compiled))
    }

    /// Asks of released rows all that may raise an error, and changes nothing.
    pub(crate) fn prepare(
        &mut self,
        released: &Released,
        columns: &MergedSchema,
        bound: &BoundColumns,
        event_time: &str,
    ) -> Result<Option<PreparedRows>, EngineError> {
        let Some(compiled) = self.compile(columns, bound, event_time)? else { return Ok(None) };
        let rows = &released.rows;
        let mut batch = compiled.binding.table_batch(&rows.batch, &rows.topic, &rows.time)?;
        let mut times = rows.time.clone();
        let own: Vec<bool> =
            (0..columns.num_topics() as u16).map(|topic| self.reads(columns.topic_name(topic))).collect();
        if !own.iter().all(|reads| *reads) || compiled.plan.passes_over() {
            let column = |index: usize| Ok(Arc::clone(batch.column(index)));
            let mask = compiled.plan.satisfied(batch.num_rows(), &column)?;
            let matters = |row: &u32| {
                own[rows.topic[*row as usize] as usize]
                    && mask.as_ref().is_none_or(|mask| mask.value(*row as usize))
            };
            let kept: Vec<u32> = (0..batch.num_rows() as u32).filter(matters).collect();
            times = kept.iter().map(|row| rows.time[*row as usize]).collect();
            batch = arrow_select::take::take_record_batch(&batch, &UInt32Array::from(kept))
                .map_err(EventError::from)?;
        }
        let values = compiled.plan.values(batch.num_rows(), &|index| Ok(Arc::clone(batch.column(index))))?;
        Ok(Some(PreparedRows { compiled, batch, times, values }))
    }

    /// Judges rows, and gives those that are reported. `place`: its place among all rules.
    pub(crate) fn advance(
        &mut self,
        prepared: PreparedRows,
        event_time: &str,
        place: usize,
    ) -> Result<Option<Part>, EngineError> {
        let PreparedRows { compiled, batch, times, values } = prepared;
        let plan = &compiled.plan;
        let (Some(keys), Some(state)) = (&mut self.kept.keys, &mut self.kept.state) else {
            unreachable!("made when it was compiled")
        };
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(None);
        }
        self.kept.visited += rows as u64;
        let key_columns: Vec<ArrayRef> =
            plan.keys().iter().map(|key| Arc::clone(batch.column(*key))).collect();
        let numbers = keys.numbers(&key_columns, rows)?;
        let verdicts =
            state.push(&Chunk { keys: &numbers, num_keys: keys.len(), times: &times, values: &values });
        let all = plan.rows() == ReportedRows::All;
        let told: Vec<_> = (0..rows as u32)
            .zip(verdicts)
            .filter_map(|(row, verdict)| verdict.map(|verdict| (row, verdict)))
            .filter(|(_, verdict)| all || verdict.is_anomaly)
            .collect();
        if told.is_empty() {
            return Ok(None);
        }
        let places: UInt32Array = told.iter().map(|(row, _)| *row).collect();
        let own = plan.keys().iter().copied().chain([plan.event_time()]);
        let own = own.map(|column| arrow_select::take::take(batch.column(column), &places, None));
        let mut columns: Vec<ArrayRef> = own.collect::<Result<_, _>>().map_err(EventError::from)?;
        let verdict = |of: fn(&cepheid_anomaly::Verdict) -> Option<f64>| -> Float64Array {
            told.iter().map(|(_, verdict)| of(verdict)).collect()
        };
        let judged: Float64Array = told.iter().map(|(row, _)| Some(values.value(*row as usize))).collect();
        for floats in [judged, verdict(|verdict| verdict.expected), verdict(|verdict| verdict.score)] {
            columns.push(Arc::new(floats));
        }
        if all {
            let flags: BooleanArray = told.iter().map(|(_, verdict)| Some(verdict.is_anomaly)).collect();
            columns.push(Arc::new(flags));
        }
        self.kept.reported += told.len() as u64;
        let batch = RecordBatch::try_new(compiled.output(event_time), columns).map_err(EventError::from)?;
        let moment = |(row, _): &(u32, _)| Moment::At { time: times[*row as usize], row: 0 };
        let table = DerivedTable {
            batch,
            membership: None,
            matches: told.len(),
            strategies: vec![Strategy::Anomalies],
        };
        let order = told.iter().map(|judged| (moment(judged), None, None)).collect();
        Ok(Some(Part { topic: self.emits().to_owned(), rule: place, table, order, event_of: None }))
    }

    /// The columns of what it reports, and the type of its event time, once it is known.
    pub(crate) fn output(&self, event_time: &str) -> Option<(SchemaRef, DataType)> {
        let compiled = self.compiled.as_ref()?;
        let time = compiled.plan.schema().field(compiled.plan.event_time()).data_type().clone();
        Some((compiled.output(event_time), time))
    }

    /// What is kept, as plain data.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub(super) fn save(&self) -> Result<SavedAnomalyRule, EngineError> {
        let kept = match (&self.kept.keys, &self.kept.state) {
            (Some(keys), Some(state)) => Some((save_keys(keys)?, state.save())),
            _ => None,
        };
        Ok(SavedAnomalyRule {
            name: self.name.clone(),
            fingerprint: self.fingerprint.clone(),
            reported: self.kept.reported,
            visited: self.kept.visited,
            kept,
        })
    }

    fn load(
        &mut self,
        saved: SavedAnomalyRule,
        columns: &MergedSchema,
        bound: &BoundColumns,
        event_time: &str,
    ) -> Result<(), EngineError> {
        if self.fingerprint != saved.fingerprint {
            return differ(format!("rule `{}` is another version of itself", saved.name));
        }
        let compiled = self.compile(columns, bound, event_time)?;
        self.commit();
        (self.kept.reported, self.kept.visited) = (saved.reported, saved.visited);
        let (saved_keys, state, compiled) = match (saved.kept, compiled) {
            (None, _) => return Ok(()),
            (Some(_), None) => return refuse("it has anomalies of a rule whose topics have sent nothing"),
            (Some((keys, state)), Some(compiled)) => (keys, state, compiled),
        };
        let keys = self.kept.keys.as_mut().expect("made when it was compiled");
        load_keys(keys, &saved_keys, compiled.plan.keys(), compiled.plan.schema())?;
        match DetectorState::load(&compiled.plan, state, keys.len()) {
            Ok(state) => self.kept.state = Some(state),
            Err(reason) => return refuse(reason),
        }
        Ok(())
    }
}

impl Stage {
    pub(super) fn load_anomalies(
        &mut self,
        saved: Vec<SavedAnomalyRule>,
        columns: &MergedSchema,
        event_time: &str,
    ) -> Result<(), EngineError> {
        let bound = self.bound_columns(columns);
        let given = std::mem::take(&mut self.anomalies);
        for (mut rule, saved) in paired(given, saved, |rule| &rule.name, |saved| &saved.name)? {
            rule.load(saved, columns, &bound, event_time)?;
            self.anomalies.push(rule);
        }
        Ok(())
    }
}
