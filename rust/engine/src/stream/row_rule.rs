//! What windows and anomaly rules have in common in an engine: which rows concern them, their keys, what is kept of these, and
//! how all of it is put back.

use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Schema, SchemaRef};
use arrow_select::take::{take, take_record_batch};
use cepheid_eval::{RowSource, RuleError};
use cepheid_event::{EventError, KeyTable, MergedBatch, MergedSchema, resolve_column};
use cepheid_ir::{ColumnName, Expr, PatternError};
use serde::{Deserialize, Serialize};

use super::binding::{Binding, BoundColumns};
use super::event_ids::{RowIds, hidden_fields};
use super::keys::{SavedKeys, idle_keys, load_keys, save_keys};
use super::snapshot::{differ, paired, refuse};
use crate::error::EngineError;

/// A kind of rule that asks its rows one by one, in the order of time, each with the number of its key.
pub(crate) trait RowKind: Debug {
    /// A rule as it is written.
    type Spec: Clone + Debug;
    /// The same compiled.
    type Plan: Debug;
    /// What is kept of all keys.
    type State: Clone + Debug;
    /// The same as plain data.
    type Saved;

    /// What a rule is called, with its article.
    const WHAT: &'static str;

    /// A rule in its normal spelling, and its version.
    ///
    /// # Errors
    /// It is impossible.
    fn checked(spec: Self::Spec) -> Result<(Self::Spec, String), PatternError>;
    fn names(spec: &Self::Spec) -> Names<'_>;
    /// The topic, the columns of the key, and all expressions.
    fn parts(spec: &mut Self::Spec) -> (Option<&String>, &mut [ColumnName], Vec<&mut Expr>);
    fn compile(spec: &Self::Spec, schema: &SchemaRef, event_time: usize) -> Result<Self::Plan, RuleError>;
    fn row_source(plan: &Self::Plan) -> &RowSource;
    fn output(plan: &Self::Plan) -> &SchemaRef;
    /// Has it report beside what it does what ids of its events are made of, of columns that [`hidden_fields`] names.
    fn ask_for_ids(_spec: &mut Self::Spec) {}
    /// Columns that it reports for that alone, behind all others.
    const HIDDEN: usize = 0;
    /// Whether the time of a row stands behind the key in what is reported.
    fn reports_row_times(plan: &Self::Plan) -> bool;
    /// Whether a row of a time may be of no concern, whatever its values; `None`: all are of concern.
    fn is_concerned(plan: &Self::Plan) -> Option<impl Fn(i64) -> bool>;
    /// Of no rows. `since`: where the clock stood when the rule was added, if rows may have come before.
    fn state(plan: &Self::Plan, since: Option<i64>) -> Self::State;
    /// Which of so many keys something is kept of. `before`: no row before this time comes any more.
    fn keys_kept(state: &Self::State, keys: usize, before: Option<i64>) -> Vec<bool>;
    fn retain_keys(state: &mut Self::State, kept: &[bool]);
    fn bytes(state: &Self::State) -> usize;
    /// A state as plain data. `name`: the rule's.
    ///
    /// # Errors
    /// Of a value that cannot be written down, and what Arrow refuses.
    fn save(state: &Self::State, name: &str) -> Result<Self::Saved, EngineError>;
    /// Goes on with what was saved, of so many keys.
    ///
    /// # Errors
    /// [`EngineError::InvalidSnapshot`].
    fn load(plan: &Self::Plan, saved: Self::Saved, keys: usize) -> Result<Self::State, EngineError>;
    /// Whether rows that come from now on, none of them before the watermark, come behind those that are kept.
    fn is_of_the_past(state: &Self::State, watermark: Option<i64>) -> bool;
}

/// What a rule says of itself beside what it asks.
pub(crate) struct Names<'a> {
    pub(crate) name: Option<&'a String>,
    pub(crate) topic: Option<&'a String>,
    pub(crate) emit: Option<&'a String>,
    pub(crate) event_time: Option<&'a ColumnName>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct RowRule<K: RowKind> {
    pub(crate) name: String,
    pub(crate) spec: K::Spec,
    pub(crate) fingerprint: String,
    /// Where the clock stood when it was added, or when the input ended and its topics had sent nothing.
    since: Option<i64>,
    /// Whether its events say which they are.
    ids: bool,
    compiled: Option<Compiled<K>>,
    pub(super) kept: Kept<K::State>,
    /// How it was before the call, if that has to be known.
    before: Option<Kept<K::State>>,
    /// What it was compiled to before the call, if that has changed, and whether it kept anything.
    compiled_before: Option<(Option<Compiled<K>>, bool)>,
}

type Compiled<K> = Arc<CompiledRows<<K as RowKind>::Plan>>;

#[derive(Debug)]
pub(super) struct CompiledRows<P> {
    binding: Binding,
    pub(super) plan: P,
    /// How many of the topics read had sent something.
    known: usize,
}

/// What is kept between rows.
#[derive(Clone, Debug)]
pub(super) struct Kept<S> {
    /// Nothing before its topic has sent rows.
    pub(super) of_keys: Option<(KeyTable, S)>,
    /// Events so far.
    pub(super) reported: u64,
    /// Rows so far.
    pub(super) visited: u64,
    /// Keys there were when those that nothing is kept of were last looked for.
    tidied: usize,
}

impl<S> Default for Kept<S> {
    fn default() -> Self {
        Self { of_keys: None, reported: 0, visited: 0, tidied: 0 }
    }
}

/// Rows and their times.
#[derive(Clone, Debug)]
pub(super) struct TimedRows {
    pub(super) batch: RecordBatch,
    pub(super) times: ScalarBuffer<i64>,
}

impl TimedRows {
    pub(super) fn column(&self, index: usize) -> Result<ArrayRef, EventError> {
        Ok(Arc::clone(self.batch.column(index)))
    }
}

/// What is kept of a rule, as plain data.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedRowRule<S> {
    name: String,
    fingerprint: String,
    reported: u64,
    visited: u64,
    of_keys: Option<(SavedKeys, S)>,
}

impl<K: RowKind> RowRule<K> {
    /// Checks a rule. `number`: which it is, for one without a name. `since`: no row before that time comes any more.
    pub(crate) fn new(
        spec: K::Spec,
        number: usize,
        event_time: &str,
        since: Option<i64>,
        ids: bool,
    ) -> Result<Self, EngineError> {
        let (spec, fingerprint) = K::checked(spec)?;
        let names = K::names(&spec);
        if let Some(column) = names.event_time.filter(|own| !own.name.eq_ignore_ascii_case(event_time)) {
            return Err(PatternError::InvalidExpression {
                context: format!("{} in a stream", K::WHAT),
                problem: format!(
                    "it goes by `{}`, but the event time of the engine is `{event_time}`; name that, or none",
                    column.name
                ),
            }
            .into());
        }
        let name = names.name.cloned().unwrap_or_else(|| format!("rule-{number}"));
        let (compiled, before, compiled_before) = (None, None, None);
        Ok(Self {
            name,
            spec,
            fingerprint,
            since,
            ids,
            compiled,
            kept: Kept::default(),
            before,
            compiled_before,
        })
    }

    /// Topic of what it reports.
    pub(crate) fn emits(&self) -> &str {
        K::names(&self.spec).emit.unwrap_or(&self.name)
    }

    /// The topic that it reads; `None`: any.
    pub(crate) fn topic(&self) -> Option<&String> {
        K::names(&self.spec).topic
    }

    pub(super) fn reads(&self, topic: &str) -> bool {
        self.topic().is_none_or(|own| own == topic)
    }

    /// Keys that there are numbers for.
    pub(crate) fn keys(&self) -> usize {
        self.kept.of_keys.as_ref().map_or(0, |(keys, _)| keys.len())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.kept.of_keys.as_ref().map_or(0, |(keys, state)| keys.bytes() + K::bytes(state))
    }

    /// Whether it has been compiled in this call.
    pub(crate) fn is_new(&self) -> bool {
        self.compiled_before.is_some()
    }

    /// Remembers how it is.
    pub(crate) fn begin(&mut self) {
        self.before.get_or_insert_with(|| self.kept.clone());
    }

    pub(crate) fn commit(&mut self) {
        self.before = None;
        self.compiled_before = None;
    }

    /// The input has ended, and no row before this time comes any more.
    pub(crate) fn end(&mut self, complete_before: Option<i64>) {
        if self.kept.of_keys.is_none() {
            self.since = self.since.max(complete_before);
        }
    }

    /// Where the clock stood when it began, as long as nothing else of it says so.
    pub(super) fn begun_at(&self) -> Option<i64> {
        self.since.filter(|_| self.kept.of_keys.is_none())
    }

    /// Has it begin when the clock stood at a time, as a snapshot says.
    pub(super) fn begin_at(&mut self, since: i64) {
        self.since = Some(since);
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
        if let (Some(compiled), Some((_, state))) = (&self.compiled, &mut self.kept.of_keys) {
            *state = K::state(&compiled.plan, None);
        }
    }

    /// Lets go of keys that nothing is kept of. To be called between calls.
    pub(crate) fn tidy(&mut self, complete_before: Option<i64>) {
        let Some((keys, state)) = &mut self.kept.of_keys else { return };
        let kept_of = |count| K::keys_kept(state, count, complete_before);
        if let Some(kept) = idle_keys(keys, &mut self.kept.tidied, kept_of) {
            keys.retain(&kept);
            K::retain_keys(state, &kept);
        }
    }

    /// Compiles it, unless it is compiled for the topics there are; `None`: those that it reads have sent nothing.
    pub(super) fn compile(
        &mut self,
        columns: &MergedSchema,
        bound: &BoundColumns,
        event_time: &str,
    ) -> Result<Option<Compiled<K>>, EngineError> {
        let known = columns.order().iter().filter(|topic| self.reads(columns.topic_name(**topic))).count();
        if known == 0 {
            return Ok(None);
        }
        if let Some(compiled) = self.compiled.as_ref().filter(|compiled| compiled.known == known) {
            return Ok(Some(Arc::clone(compiled)));
        }
        let mut spec = self.spec.clone();
        let (topic, keys, exprs) = K::parts(&mut spec);
        let binding = Binding::of_rows(topic, keys, exprs, columns, bound, event_time)?;
        let time = resolve_column(&binding.schema, &binding.event_time, true)?;
        let mut schema = Arc::clone(&binding.schema);
        if self.ids {
            K::ask_for_ids(&mut spec);
            let fields = schema.fields().iter().cloned().chain(hidden_fields());
            schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        }
        let plan = K::compile(&spec, &schema, time)?;
        self.compiled_before.get_or_insert((self.compiled.clone(), self.kept.of_keys.is_some()));
        if self.kept.of_keys.is_none() {
            let fields: Vec<_> = K::row_source(&plan).key_fields().collect();
            let types = fields.iter().map(|field| field.data_type().clone()).collect();
            let keys = KeyTable::new(types, &|place| fields[place].name().clone())?;
            self.kept.of_keys = Some((keys, K::state(&plan, self.since)));
        }
        let compiled = Arc::new(CompiledRows { binding, plan, known });
        self.compiled = Some(Arc::clone(&compiled));
        Ok(Some(compiled))
    }

    /// The rows that concern it.
    pub(super) fn rows(
        &self,
        compiled: &CompiledRows<K::Plan>,
        rows: &MergedBatch,
        columns: &MergedSchema,
    ) -> Result<TimedRows, EngineError> {
        Ok(self.some_rows(compiled, rows, columns)?.0)
    }

    /// The same, and which of the rows they are; `None`: all.
    pub(super) fn some_rows(
        &self,
        compiled: &CompiledRows<K::Plan>,
        rows: &MergedBatch,
        columns: &MergedSchema,
    ) -> Result<(TimedRows, Option<Vec<u32>>), EngineError> {
        let mut batch = compiled.binding.table_batch(&rows.batch, &rows.topic, &rows.time)?;
        if self.ids {
            let schema = Arc::clone(K::row_source(&compiled.plan).schema());
            let hidden = RowIds::of(rows, columns).hidden();
            let all = batch.columns().iter().cloned().chain(hidden).collect();
            batch = RecordBatch::try_new(schema, all).map_err(EventError::from)?;
        }
        let all = TimedRows { batch, times: rows.time.clone() };
        let own: Vec<bool> =
            (0..columns.num_topics() as u16).map(|topic| self.reads(columns.topic_name(topic))).collect();
        let source = K::row_source(&compiled.plan);
        let is_concerned = K::is_concerned(&compiled.plan);
        let all_own = own.iter().all(|reads| *reads);
        if all_own && !source.has_condition() && is_concerned.is_none() {
            return Ok((all, None));
        }
        let is_own = |row: &u32| all_own || own[rows.topic[*row as usize] as usize];
        let own: UInt32Array = (0..rows.num_rows() as u32).filter(is_own).collect();
        // Of rows of other topics nothing is asked: a condition may raise an error of them.
        let column = |index| match all.column(index)? {
            column if own.len() < rows.num_rows() => Ok(take(&column, &own, None)?),
            column => Ok(column),
        };
        let mask = source.satisfied(own.len(), &column)?;
        let matters = |(place, row): &(usize, u32)| {
            mask.as_ref().is_none_or(|mask| mask.value(*place))
                && is_concerned.as_ref().is_none_or(|is_concerned| is_concerned(rows.time[*row as usize]))
        };
        let kept = own.values().iter().copied().enumerate().filter(matters);
        let kept: Vec<u32> = kept.map(|(_, row)| row).collect();
        if kept.len() == rows.num_rows() {
            return Ok((all, None));
        }
        let times = kept.iter().map(|row| rows.time[*row as usize]).collect();
        let taken = take_record_batch(&all.batch, &UInt32Array::from(kept.clone()));
        Ok((TimedRows { batch: taken.map_err(EventError::from)?, times }, Some(kept)))
    }

    /// The columns of what it reports, and the type of its event time, once it is known.
    pub(crate) fn output(&self, event_time: &str) -> Option<(SchemaRef, DataType)> {
        let compiled = self.compiled.as_ref()?;
        let time = K::row_source(&compiled.plan).time_type().clone();
        Some((self.reported(compiled, event_time), time))
    }

    /// Whether its events say which they are.
    pub(super) fn has_ids(&self) -> bool {
        self.ids
    }

    /// The columns of what is reported, ids left out; the time of a row under the name that it has for the engine.
    pub(super) fn reported(&self, compiled: &CompiledRows<K::Plan>, event_time: &str) -> SchemaRef {
        let output = K::output(&compiled.plan);
        let own = output.fields().len() - if self.ids { K::HIDDEN } else { 0 };
        let output = &Arc::new(Schema::new(output.fields()[..own].to_vec()));
        if !K::reports_row_times(&compiled.plan) || compiled.binding.event_time == event_time {
            return Arc::clone(output);
        }
        let mut fields: Vec<_> = output.fields().iter().cloned().collect();
        let time = &mut fields[K::row_source(&compiled.plan).keys().len()];
        *time = Arc::new(time.as_ref().clone().with_name(event_time));
        Arc::new(Schema::new(fields))
    }

    /// What is kept, as plain data.
    ///
    /// # Errors
    /// Of a value that cannot be written down, and what Arrow refuses.
    pub(super) fn save(&self) -> Result<SavedRowRule<K::Saved>, EngineError> {
        let of_keys = match &self.kept.of_keys {
            Some((keys, state)) => Some((save_keys(keys)?, K::save(state, &self.name)?)),
            None => None,
        };
        Ok(SavedRowRule {
            name: self.name.clone(),
            fingerprint: self.fingerprint.clone(),
            reported: self.kept.reported,
            visited: self.kept.visited,
            of_keys,
        })
    }

    /// Rules that go on with what was saved of them.
    ///
    /// # Errors
    /// [`EngineError::InvalidSnapshot`], [`EngineError::SnapshotRules`].
    pub(super) fn load_all(
        given: Vec<Self>,
        saved: Vec<SavedRowRule<K::Saved>>,
        columns: &MergedSchema,
        bound: &BoundColumns,
        (event_time, watermark): (&str, Option<i64>),
    ) -> Result<Vec<Self>, EngineError> {
        let pairs = paired(given, saved, |rule| &rule.name, |saved| &saved.name)?;
        let load = |(mut rule, saved): (Self, SavedRowRule<K::Saved>)| {
            rule.load(saved, columns, bound, event_time)?;
            match &rule.kept.of_keys {
                Some((_, state)) if !K::is_of_the_past(state, watermark) => {
                    refuse(format!("rule `{}` keeps rows that are still to come", rule.name))
                }
                _ => Ok(rule),
            }
        };
        pairs.into_iter().map(load).collect()
    }

    fn load(
        &mut self,
        saved: SavedRowRule<K::Saved>,
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
        let Some((saved_keys, saved_state)) = saved.of_keys else { return Ok(()) };
        let (Some(compiled), Some((keys, state))) = (compiled, &mut self.kept.of_keys) else {
            return refuse("it has something of a rule whose topics have sent nothing");
        };
        let source = K::row_source(&compiled.plan);
        load_keys(keys, &saved_keys, source.keys(), source.schema())?;
        *state = K::load(&compiled.plan, saved_state, keys.len())?;
        Ok(())
    }
}
