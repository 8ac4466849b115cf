//! A window as a rule of an engine: its rows, its keys and what it keeps.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Schema, SchemaRef};
use cepheid_event::{EventError, KeyTable, MergedBatch, MergedSchema, Released, times_of};
use cepheid_ir::{ColumnName, Frame, Window};
use cepheid_matcher::Strategy;
use cepheid_matcher::sequence::Moment;
use cepheid_window::{Arguments, Chunk, WindowPlan, WindowState, Windows, is_in_window};

use super::binding::{Binding, BoundColumns};
use super::derived::{DerivedTable, Part};
use super::keys::idle_keys;
use crate::error::EngineError;

/// See the module.
#[derive(Debug)]
pub(crate) struct WindowRule {
    pub(crate) name: String,
    pub(crate) window: Window,
    pub(crate) fingerprint: String,
    /// Windows reported so far.
    pub(crate) reported: u64,
    /// Rows looked at so far.
    pub(crate) visited: u64,
    compiled: Option<Arc<CompiledWindow>>,
    pub(super) kept: Kept,
    /// Keys there were when those that nothing is kept of were last looked for.
    tidied: usize,
    /// How it was before the call, if that has to be known.
    before: Option<Before>,
    /// What it was compiled to before the call, if that has changed, and whether it kept anything.
    compiled_before: Option<(Option<Arc<CompiledWindow>>, bool)>,
}

#[derive(Debug)]
pub(super) struct CompiledWindow {
    binding: Binding,
    pub(super) plan: WindowPlan,
    /// How many of the topics read had sent something.
    known: usize,
}

impl CompiledWindow {
    /// The columns of what is reported; the time of a row under the name that it has for the engine.
    fn output(&self, event_time: &str) -> SchemaRef {
        if !self.plan.is_of_rows() || self.binding.event_time == event_time {
            return Arc::clone(self.plan.output());
        }
        let mut fields: Vec<_> = self.plan.output().fields().iter().cloned().collect();
        let time = &mut fields[self.plan.keys().len()];
        *time = Arc::new(time.as_ref().clone().with_name(event_time));
        Arc::new(Schema::new(fields))
    }
}

/// What is kept between rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) keys: Option<KeyTable>,
    pub(super) state: Option<WindowState>,
    /// Rows of the last time, of which others may come: where each window is that of a row, they wait for these.
    pub(super) waiting: Option<Waiting>,
}

/// Rows and their times.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) batch: RecordBatch,
    pub(super) times: ScalarBuffer<i64>,
}

/// Rows on their way into windows, asked all that may raise an error.
pub(crate) struct PreparedRows {
    compiled: Arc<CompiledWindow>,
    rows: Waiting,
    rest: Option<Waiting>,
    args: Arguments,
    /// Whether what is left to do may.
    pub(crate) may_fail: bool,
}

#[derive(Debug)]
struct Before {
    reported: u64,
    visited: u64,
    kept: Kept,
}

impl WindowRule {
    /// Checks a window. `number`: which rule it is, for one without a name.
    pub(crate) fn new(window: Window, number: usize, event_time: &str) -> Result<Self, EngineError> {
        let fingerprint = window.fingerprint();
        window.validate()?;
        event_time_is_that_of_the_engine("a window", window.event_time.as_ref(), event_time)?;
        let window = window.normalise();
        let name = window.name.clone().unwrap_or_else(|| format!("rule-{number}"));
        Ok(Self {
            name,
            fingerprint,
            window,
            reported: 0,
            visited: 0,
            compiled: None,
            kept: Kept::default(),
            tidied: 0,
            before: None,
            compiled_before: None,
        })
    }

    /// Topic of what it reports.
    pub(crate) fn emits(&self) -> &str {
        self.window.emit.as_deref().unwrap_or(&self.name)
    }

    /// Whether rows of a topic concern it.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.window.topic.as_deref().is_none_or(|own| own == topic)
    }

    /// Remembers how it is.
    pub(crate) fn begin(&mut self) {
        self.before.get_or_insert_with(|| Before {
            reported: self.reported,
            visited: self.visited,
            kept: self.kept.clone(),
        });
    }

    pub(crate) fn commit(&mut self) {
        self.before = None;
        self.compiled_before = None;
    }

    pub(crate) fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.reported = before.reported;
            self.visited = before.visited;
            self.kept = before.kept;
        }
        if let Some((compiled, kept)) = self.compiled_before.take() {
            // Rows that were refused say nothing of what columns there are.
            self.compiled = compiled;
            if !kept {
                self.kept = Kept::default();
            }
        }
    }

    /// Compiles it, unless it is compiled for the topics there are.
    pub(super) fn compile(
        &mut self,
        columns: &MergedSchema,
        bound: &BoundColumns,
        event_time: &str,
    ) -> Result<Option<Arc<CompiledWindow>>, EngineError> {
        let topics = columns.order().iter().filter(|topic| self.reads(columns.topic_name(**topic)));
        let known = topics.count();
        if known == 0 {
            return Ok(None);
        }
        if let Some(compiled) = &self.compiled
            && compiled.known == known
        {
            return Ok(Some(Arc::clone(compiled)));
        }
        let mut window = self.window.clone();
        let topic = window.topic.as_ref();
        let exprs = window.measures.iter_mut().map(|measure| &mut measure.value).chain(&mut window.condition);
        let binding = Binding::of_rows(topic, &mut window.partition_by, exprs, columns, bound, event_time)?;
        let time = ColumnName { name: binding.event_time.clone(), quoted: true };
        let column = cepheid_event::resolve_column(&binding.schema, &time.name, true)?;
        let plan = WindowPlan::compile(&window, &binding.schema, column)?;
        self.compiled_before.get_or_insert((self.compiled.clone(), self.kept.keys.is_some()));
        if self.kept.keys.is_none() {
            let field = |key: &usize| binding.schema.field(*key);
            let types = plan.keys().iter().map(|key| field(key).data_type().clone()).collect();
            let keys = KeyTable::new(types, &|place| field(&plan.keys()[place]).name().clone())?;
            self.kept.keys = Some(keys);
            self.kept.state = Some(WindowState::new(&plan));
        }
        let compiled = Arc::new(CompiledWindow { binding, plan, known });
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
        let plan = &compiled.plan;
        let fresh = self.rows(&compiled, &released.rows, columns)?;
        let (rows, rest) = if plan.is_of_rows() { self.over(fresh, released)? } else { (fresh, None) };
        let column = |index: usize| Ok(Arc::clone(rows.batch.column(index)));
        let args = plan.arguments(&rows.times, &column)?;
        let state = self.kept.state.as_ref().expect("made when it was compiled");
        let until = if released.ended { None } else { Some(released.complete_before.unwrap_or(i64::MIN)) };
        let may_fail = state.may_fail(plan, &rows.times, &args, until);
        Ok(Some(PreparedRows { compiled, rows, rest, args, may_fail }))
    }

    /// Puts rows to windows, and adds those that are complete to `parts`. `place`: its place among all rules.
    pub(crate) fn advance(
        &mut self,
        prepared: PreparedRows,
        released: &Released,
        event_time: &str,
        place: usize,
        parts: &mut Vec<Part>,
    ) -> Result<(), EngineError> {
        let PreparedRows { compiled, rows: fresh, rest, args, .. } = prepared;
        let plan = &compiled.plan;
        let rows = fresh.batch.num_rows();
        let (Some(keys), Some(state)) = (&mut self.kept.keys, &mut self.kept.state) else {
            unreachable!("made when it was compiled")
        };
        self.kept.waiting = rest;
        let column = |index: usize| Ok(Arc::clone(fresh.batch.column(index)));
        if rows > 0 {
            let key_columns: Vec<ArrayRef> =
                plan.keys().iter().map(|key| Arc::clone(fresh.batch.column(*key))).collect();
            let numbers = keys.numbers(&key_columns, rows)?;
            self.visited += rows as u64;
            let chunk = Chunk { keys: &numbers, num_keys: keys.len(), times: &fresh.times, args: &args };
            state.push(&chunk)?;
        }
        // Windows by rows that are full are decided by their last row, the others by the end of the input alone.
        let by_rows = matches!(plan.frame(), Frame::Rows { .. });
        let full = if by_rows { state.complete(plan, &column)? } else { None };
        if released.ended {
            state.finish();
        } else if let Some(time) = released.complete_before {
            state.advance(time);
        }
        let rest = state.complete(plan, &column)?;
        for (windows, by_end) in [(full, false), (rest, by_rows)] {
            let Some(windows) = windows else { continue };
            self.reported += windows.keys.len() as u64;
            let mut part = self.part(&compiled, &windows, &fresh, event_time, place)?;
            if by_end {
                part.order.iter_mut().for_each(|(moment, ..)| *moment = Moment::End);
            }
            parts.push(part);
        }
        Ok(())
    }

    /// The rows that matter.
    fn rows(
        &self,
        compiled: &CompiledWindow,
        rows: &MergedBatch,
        columns: &MergedSchema,
    ) -> Result<Waiting, EngineError> {
        let batch = compiled.binding.table_batch(&rows.batch, &rows.topic, &rows.time)?;
        let own: Vec<bool> =
            (0..columns.num_topics() as u16).map(|topic| self.reads(columns.topic_name(topic))).collect();
        let all_topics = own.iter().all(|reads| *reads);
        if all_topics && !compiled.plan.passes_over() {
            return Ok(Waiting { batch, times: rows.time.clone() });
        }
        let column = |index: usize| Ok(Arc::clone(batch.column(index)));
        let mask = compiled.plan.satisfied(batch.num_rows(), &column)?;
        let frame = compiled.plan.frame();
        let matters = |row: &u32| {
            let row = *row as usize;
            (all_topics || own[rows.topic[row] as usize])
                && mask.as_ref().is_none_or(|mask| mask.value(row))
                && is_in_window(frame, rows.time[row])
        };
        let kept: Vec<u32> = (0..batch.num_rows() as u32).filter(matters).collect();
        if kept.len() == batch.num_rows() {
            return Ok(Waiting { batch, times: rows.time.clone() });
        }
        let times = kept.iter().map(|row| rows.time[*row as usize]).collect();
        let taken = arrow_select::take::take_record_batch(&batch, &UInt32Array::from(kept));
        Ok(Waiting { batch: taken.map_err(EventError::from)?, times })
    }

    /// Rows of times that are over, those that waited among them, and those that wait for others of their time.
    fn over(&self, fresh: Waiting, released: &Released) -> Result<(Waiting, Option<Waiting>), EngineError> {
        let all = match &self.kept.waiting {
            None => fresh,
            Some(waiting) => {
                let schema = fresh.batch.schema();
                // Columns of topics that were unknown come behind those there were.
                let held = with_columns(&waiting.batch, &schema)?;
                let both = arrow_select::concat::concat_batches(&schema, [&held, &fresh.batch]);
                let times = waiting.times.iter().chain(&fresh.times).copied().collect();
                Waiting { batch: both.map_err(EventError::from)?, times }
            }
        };
        let over = match released.complete_before {
            _ if released.ended => all.times.len(),
            None => 0,
            Some(time) => all.times.partition_point(|own| *own < time),
        };
        let part = |from: usize, rows: usize| Waiting {
            batch: all.batch.slice(from, rows),
            times: all.times.slice(from, rows),
        };
        let left = all.times.len() - over;
        Ok((part(0, over), (left > 0).then(|| part(over, left))))
    }

    /// Windows as derived events.
    fn part(
        &self,
        compiled: &CompiledWindow,
        windows: &Windows,
        rows: &Waiting,
        event_time: &str,
        place: usize,
    ) -> Result<Part, EngineError> {
        let plan = &compiled.plan;
        let time_type = plan.schema().field(plan.event_time()).data_type().clone();
        let mut columns: Vec<ArrayRef>;
        let moments: &[i64];
        if plan.is_of_rows() {
            columns = plan.keys().iter().map(|key| Arc::clone(rows.batch.column(*key))).collect();
            columns.push(Arc::clone(rows.batch.column(plan.event_time())));
            moments = &rows.times;
        } else {
            let keys = self.kept.keys.as_ref().expect("made when it was compiled");
            columns = keys.values(&windows.keys)?;
            columns.push(times_of(windows.starts.clone(), &time_type)?);
            columns.push(times_of(windows.ends.clone(), &time_type)?);
            moments = &windows.ends;
        }
        columns.extend(windows.measures.iter().cloned());
        let options = RecordBatchOptions::new().with_row_count(Some(windows.keys.len()));
        let batch = RecordBatch::try_new_with_options(compiled.output(event_time), columns, &options);
        let order = moments.iter().map(|time| (Moment::At { time: *time, row: 0 }, None, None)).collect();
        let table = DerivedTable {
            batch: batch.map_err(EventError::from)?,
            membership: None,
            matches: windows.keys.len(),
            strategies: vec![Strategy::Windows],
        };
        Ok(Part { topic: self.emits().to_owned(), rule: place, table, order, event_of: None })
    }

    /// The columns of what it reports, and the type of its event time, once it is known.
    pub(crate) fn output(&self, event_time: &str) -> Option<(SchemaRef, DataType)> {
        let compiled = self.compiled.as_ref()?;
        let time = compiled.plan.schema().field(compiled.plan.event_time()).data_type().clone();
        Some((compiled.output(event_time), time))
    }

    /// Has rows begin anew, whatever their times. To be called between calls, when the input has ended.
    pub(crate) fn begin_anew(&mut self) {
        if let Some(compiled) = &self.compiled {
            self.kept.state = Some(WindowState::new(&compiled.plan));
        }
    }

    /// Lets go of keys that nothing is kept of. To be called between calls.
    pub(crate) fn tidy(&mut self, complete_before: Option<i64>) {
        let (Some(keys), Some(state)) = (&mut self.kept.keys, &mut self.kept.state) else { return };
        if let Some(kept) = idle_keys(keys, &mut self.tidied, |keys| state.keys_kept(keys, complete_before)) {
            keys.retain(&kept);
            state.retain_keys(&kept);
        }
    }

    /// Keys that there are numbers for.
    pub(crate) fn keys(&self) -> usize {
        self.kept.keys.as_ref().map_or(0, KeyTable::len)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let keys = self.kept.keys.as_ref().map_or(0, KeyTable::bytes);
        let waiting = self.kept.waiting.as_ref().map_or(0, |waiting| waiting.batch.get_array_memory_size());
        keys + waiting + self.kept.state.as_ref().map_or(0, WindowState::bytes)
    }
}

/// A rule that goes by a column of time must go by that of the engine.
pub(super) fn event_time_is_that_of_the_engine(
    what: &str,
    own: Option<&ColumnName>,
    event_time: &str,
) -> Result<(), EngineError> {
    match own {
        Some(column) if !column.name.eq_ignore_ascii_case(event_time) => {
            Err(cepheid_ir::PatternError::InvalidExpression {
                context: format!("{what} in a stream"),
                problem: format!(
                    "it goes by `{}`, but the event time of the engine is `{event_time}`; name that, or none",
                    column.name
                ),
            }
            .into())
        }
        _ => Ok(()),
    }
}

/// The rows under a schema that has columns more.
fn with_columns(batch: &RecordBatch, schema: &arrow_schema::SchemaRef) -> Result<RecordBatch, EngineError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => arrow_array::new_null_array(field.data_type(), batch.num_rows()),
    });
    let columns = columns.collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns).map_err(EventError::from)?)
}
