//! A window as a rule of an engine.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use cepheid_eval::{RowSource, RuleError};
use cepheid_event::{EventError, MergedBatch, MergedSchema, Released, times_of};
use cepheid_ir::{
    Aggregate, AggregateFunction, Anchor, ColumnName, Expr, Frame, Measure, PatternError, RowPointer,
    Semantics, TestedRow, Window,
};
use cepheid_matcher::Strategy;
use cepheid_matcher::sequence::Moment;
use cepheid_window::{
    Arguments, Arrival, Chunk, SavedWindows, WindowPlan, WindowState, Windows, is_in_window,
};
use serde::{Deserialize, Serialize};

use super::EngineOptions;
use super::binding::BoundColumns;
use super::derived::{DerivedTable, Part};
use super::event_ids::{EventIds, HIDDEN, IdOf, texts};
use super::ipc::{from_ipc, to_ipc};
use super::late_windows::{Arriving, NumberedRows, in_turn, merged, number_of};
use super::row_rule::{CompiledRows, Names, RowKind, RowRule, TimedRows};
use super::rules::AskedWindow;
use super::snapshot::refuse;
use crate::error::EngineError;

/// See the module.
#[derive(Debug)]
pub(crate) struct Aggregates;

pub(crate) type WindowRule = RowRule<Aggregates>;

/// What is kept of all keys.
#[derive(Clone, Debug)]
pub(crate) struct KeptWindows {
    state: WindowState,
    /// Rows of the last time, of which others may come: where each window is that of a row, or takes late ones, they wait for
    /// these. They are numbered only where late ones are taken.
    waiting: Option<NumberedRows>,
}

/// The same as plain data.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedKept {
    windows: SavedWindows,
    waiting: Option<Vec<u8>>,
    times: Vec<i64>,
}

impl RowKind for Aggregates {
    type Spec = AskedWindow;
    type Plan = WindowPlan;
    type State = KeptWindows;
    type Saved = SavedKept;

    const WHAT: &'static str = "a window";

    fn checked(spec: AskedWindow) -> Result<(AskedWindow, String), PatternError> {
        let AskedWindow { window, aggregates } = spec;
        let fingerprint = window.fingerprint();
        window.validate()?;
        Ok((AskedWindow { window: window.normalise(), aggregates }, fingerprint))
    }

    fn names(spec: &AskedWindow) -> Names<'_> {
        let Window { name, topic, emit, event_time, .. } = &spec.window;
        Names {
            name: name.as_ref(),
            topic: topic.as_ref(),
            emit: emit.as_ref(),
            event_time: event_time.as_ref(),
        }
    }

    fn parts(spec: &mut AskedWindow) -> (Option<&String>, &mut [ColumnName], Vec<&mut Expr>) {
        let spec = &mut spec.window;
        let measures = spec.measures.iter_mut().map(|measure| &mut measure.value);
        (spec.topic.as_ref(), &mut spec.partition_by, measures.chain(&mut spec.condition).collect())
    }

    fn compile(spec: &AskedWindow, schema: &SchemaRef, event_time: usize) -> Result<WindowPlan, RuleError> {
        WindowPlan::compile(&spec.window, &spec.aggregates, schema, event_time)
    }

    fn row_source(plan: &WindowPlan) -> &RowSource {
        plan.row_source()
    }

    fn output(plan: &WindowPlan) -> &SchemaRef {
        plan.output()
    }

    fn ask_for_ids(spec: &mut AskedWindow) {
        let hidden = HIDDEN.map(|name| Expr::Column {
            name: name.into(),
            quoted: true,
            at: RowPointer { anchor: Anchor::Last, ..RowPointer::default() },
        });
        let [id, story, digest] = hidden;
        let of = |function, args| {
            Expr::Aggregate(Aggregate {
                function,
                args,
                distinct: false,
                variable: None,
                semantics: Semantics::Final,
                tested_row: TestedRow::Included,
            })
        };
        let values =
            [story, id, of(AggregateFunction::Count, vec![]), of(AggregateFunction::Sum, vec![digest])];
        let named = values.into_iter().zip(["\u{0}last_story", "\u{0}last_id", "\u{0}rows", "\u{0}digests"]);
        spec.window.measures.extend(named.map(|(value, name)| Measure { name: name.into(), value }));
    }

    const HIDDEN: usize = 4;

    fn reports_row_times(plan: &WindowPlan) -> bool {
        plan.is_of_rows()
    }

    fn is_concerned(plan: &WindowPlan) -> Option<impl Fn(i64) -> bool> {
        let frame = plan.frame();
        plan.has_gaps().then_some(move |time| is_in_window(frame, time))
    }

    fn state(plan: &WindowPlan, since: Option<i64>) -> KeptWindows {
        let mut state = WindowState::new(plan);
        state.begin_behind(since);
        KeptWindows { state, waiting: None }
    }

    fn keys_kept(kept: &KeptWindows, keys: usize, before: Option<i64>) -> Vec<bool> {
        kept.state.keys_kept(keys, before)
    }

    fn retain_keys(kept: &mut KeptWindows, of: &[bool]) {
        kept.state.retain_keys(of);
    }

    fn bytes(kept: &KeptWindows) -> usize {
        let waiting = kept.waiting.as_ref().map_or(0, |waiting| waiting.rows.batch.get_array_memory_size());
        waiting + kept.state.bytes()
    }

    fn save(kept: &KeptWindows, name: &str) -> Result<SavedKept, EngineError> {
        let windows = kept.state.save().ok_or_else(|| PatternError::Unsupported {
            construct: format!("a snapshot of rule `{name}`, which keeps nested values,"),
            hint: "ask for a plain part of them".into(),
        })?;
        let Some(waiting) = &kept.waiting else {
            return Ok(SavedKept { windows, waiting: None, times: vec![] });
        };
        let batch =
            if waiting.numbers.is_empty() { waiting.rows.batch.clone() } else { waiting.to_batch()? };
        let ipc = to_ipc(&batch.schema(), Some(&batch))?;
        Ok(SavedKept { windows, waiting: Some(ipc), times: waiting.rows.times.to_vec() })
    }

    fn load(plan: &WindowPlan, saved: SavedKept, keys: usize) -> Result<KeptWindows, EngineError> {
        let state = WindowState::load(plan, saved.windows, keys).or_else(refuse)?;
        let Some(waiting) = &saved.waiting else { return Ok(KeptWindows { state, waiting: None }) };
        let batch = from_ipc(waiting)?;
        let late = plan.takes_late_rows();
        let waiting = if late {
            NumberedRows::from_batch(&batch, saved.times)
        } else {
            let rows = TimedRows { batch, times: saved.times.into() };
            Some(NumberedRows { rows, numbers: vec![].into() })
        };
        let fits = |waiting: &NumberedRows| {
            let TimedRows { batch, times } = &waiting.rows;
            let has_columns = batch.schema().fields().iter().all(|field| {
                let own = plan.row_source().schema().field_with_name(field.name());
                own.is_ok_and(|own| own.data_type() == field.data_type())
            });
            has_columns
                && batch.num_rows() == times.len()
                && (late || (times.is_sorted() && plan.is_of_rows()))
        };
        match waiting.filter(fits) {
            Some(waiting) => Ok(KeptWindows { state, waiting: Some(waiting) }),
            None => refuse("its rows do not fit the rule"),
        }
    }

    fn is_of_the_past(kept: &KeptWindows, watermark: Option<i64>) -> bool {
        let newest = kept.state.newest();
        // Those that are numbered are put in order when they are over.
        let in_order = kept.waiting.as_ref().filter(|waiting| waiting.numbers.is_empty());
        let waiting = in_order.map(|waiting| &waiting.rows.times);
        let (first, last) = (waiting.and_then(|times| times.first()), waiting.and_then(|times| times.last()));
        first.is_none_or(|first| newest.is_none_or(|newest| newest <= *first))
            && newest.max(last.copied()).is_none_or(|newest| watermark.is_some_and(|time| newest <= time))
    }
}

/// Rows on their way into windows, asked all that may raise an error.
pub(crate) struct PreparedRows {
    compiled: Arc<CompiledRows<WindowPlan>>,
    rows: TimedRows,
    /// Where late ones are taken.
    arrival: Option<Vec<Arrival>>,
    rest: Option<NumberedRows>,
    args: Arguments,
    /// Where the clock stands, rows that were derived at the end of the input and lie ahead of it counted.
    clock: Option<i64>,
    /// Whether what is left to do may.
    pub(crate) may_fail: bool,
}

impl KeptWindows {
    /// Rows of times that are over, those that waited among them, and those that wait for others of their time.
    fn over(
        &self,
        fresh: TimedRows,
        released: &Released,
    ) -> Result<(TimedRows, Option<NumberedRows>), EngineError> {
        let all = match &self.waiting {
            None => fresh,
            Some(NumberedRows { rows: waiting, .. }) => {
                let schema = fresh.batch.schema();
                // Columns of topics that were unknown come behind those there were.
                let held = with_columns(&waiting.batch, &schema)?;
                let both = arrow_select::concat::concat_batches(&schema, [&held, &fresh.batch]);
                let times = waiting.times.iter().chain(&fresh.times).copied().collect();
                TimedRows { batch: both.map_err(EventError::from)?, times }
            }
        };
        let over = match released.complete_before {
            _ if released.ended => all.times.len(),
            None => 0,
            Some(time) => all.times.partition_point(|own| *own < time),
        };
        let part = |from: usize, rows: usize| TimedRows {
            batch: all.batch.slice(from, rows),
            times: all.times.slice(from, rows),
        };
        let left = all.times.len() - over;
        let rest = || NumberedRows { rows: part(over, left), numbers: vec![].into() };
        Ok((part(0, over), (left > 0).then(rest)))
    }
}

impl WindowRule {
    /// Whether late rows are put to its windows.
    pub(super) fn takes_late_rows(&self) -> bool {
        self.spec.window.reports.late_ns.is_some()
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
        let (_, kept) = self.kept.of_keys.as_ref().expect("made when it was compiled");
        let (rows, arrival, rest) = if plan.takes_late_rows() {
            let Arriving { rows, arrival, waiting } = self.arriving(&compiled, kept, released, columns)?;
            (rows, Some(arrival), waiting)
        } else {
            let fresh = self.rows(&compiled, &released.rows, columns)?;
            let (rows, rest) = if plan.is_of_rows() { kept.over(fresh, released)? } else { (fresh, None) };
            (rows, None, rest)
        };
        let args = plan.arguments(&rows.times, &|index| rows.column(index))?;
        let until = if released.ended { None } else { Some(released.complete_before.unwrap_or(i64::MIN)) };
        let clock = if released.ended {
            let own = |topic: &u16| self.reads(columns.topic_name(*topic));
            let last = released.rows.topic.iter().rposition(own).map(|row| released.rows.time[row]);
            released.watermark.max(last)
        } else {
            released.watermark
        };
        let came = arrival.iter().flatten().map(|arrival| arrival.at).collect::<Vec<_>>();
        let came = if arrival.is_some() { &came[..] } else { &rows.times[..] };
        let may_fail = kept.state.may_fail(plan, came, &args, (until, clock));
        Ok(Some(PreparedRows { compiled, rows, arrival, rest, args, clock, may_fail }))
    }

    /// The rows that come to windows that take late ones.
    fn arriving(
        &self,
        compiled: &CompiledRows<WindowPlan>,
        kept: &KeptWindows,
        released: &Released,
        columns: &MergedSchema,
    ) -> Result<Arriving, EngineError> {
        let own = |rows: &MergedBatch| -> Result<(NumberedRows, Option<Vec<u32>>), EngineError> {
            let (own, which) = self.some_rows(compiled, rows, columns)?;
            let numbers = match &which {
                Some(which) => which.iter().map(|row| number_of(rows, *row as usize)).collect(),
                None => (0..rows.num_rows()).map(|row| number_of(rows, row)).collect(),
            };
            Ok((NumberedRows { rows: own, numbers }, which))
        };
        let mut late = vec![];
        for of_batch in released.late.iter().filter(|late| self.reads(columns.topic_name(late.topic))) {
            let (rows, which) = own(&merged(of_batch, columns)?)?;
            let clocks = match which {
                Some(which) => which.iter().map(|row| of_batch.clock[*row as usize]).collect(),
                None => of_batch.clock.to_vec(),
            };
            late.push((rows, clocks));
        }
        in_turn(kept.waiting.as_ref(), own(&released.rows)?.0, late, released)
    }

    /// Puts rows to windows, and adds those that are complete to `parts`. `place`: its place among all rules.
    pub(crate) fn advance(
        &mut self,
        prepared: PreparedRows,
        released: &Released,
        options: &EngineOptions,
        place: usize,
        parts: &mut Vec<Part>,
    ) -> Result<(), EngineError> {
        let PreparedRows { compiled, rows: fresh, arrival, rest, args, clock, .. } = prepared;
        let plan = &compiled.plan;
        let rows = fresh.batch.num_rows();
        let (keys, kept) = self.kept.of_keys.as_mut().expect("made when it was compiled");
        kept.waiting = rest;
        let state = &mut kept.state;
        let column = |index: usize| fresh.column(index);
        if rows > 0 {
            let of_key = plan.row_source().keys().iter().map(|key| fresh.column(*key));
            let numbers = keys.numbers(&of_key.collect::<Result<Vec<_>, _>>()?, rows)?;
            self.kept.visited += rows as u64;
            let (num_keys, times, arrival) = (keys.len(), &fresh.times[..], arrival.as_deref());
            let threads = options.threads_for(rows);
            let args = &args;
            state.push(&Chunk { keys: &numbers, num_keys, times, arrival, args, numbers: None, threads })?;
        }
        // Windows by rows that are full are decided by their last row, the others by the end of the input alone.
        let by_rows = matches!(plan.frame(), Frame::Rows { .. });
        let mut told = vec![];
        if by_rows {
            told.extend(state.complete(plan, &column)?.map(|full| (full, false)));
        }
        if released.ended {
            state.finish(clock);
        } else if let Some(time) = released.complete_before {
            state.advance(time);
        }
        while let Some(rest) = state.complete(plan, &column)? {
            told.push((rest, by_rows));
        }
        for (windows, by_end) in told {
            self.kept.reported += windows.keys.len() as u64;
            let mut part = self.part(&compiled, &windows, &fresh, &options.event_time, place)?;
            if by_end {
                part.order.iter_mut().for_each(|(moment, ..)| *moment = Moment::End);
            }
            parts.push(part);
        }
        Ok(())
    }

    /// Windows as derived events.
    fn part(
        &self,
        compiled: &CompiledRows<WindowPlan>,
        windows: &Windows,
        rows: &TimedRows,
        event_time: &str,
        place: usize,
    ) -> Result<Part, EngineError> {
        let plan = &compiled.plan;
        let source = plan.row_source();
        let mut columns: Vec<ArrayRef>;
        let moments: Cow<'_, [i64]>;
        if plan.is_of_rows() {
            let own = source.keys().iter().copied().chain([source.event_time()]);
            columns = own.map(|column| rows.column(column)).collect::<Result<_, _>>()?;
            moments = (&rows.times[..]).into();
        } else {
            let (keys, _) = self.kept.of_keys.as_ref().expect("made when it was compiled");
            columns = keys.values(&windows.keys)?;
            columns.push(times_of(windows.edges.starts().into_owned(), source.time_type())?);
            columns.push(times_of(windows.edges.ends().into_owned(), source.time_type())?);
            columns.extend(plan.timings(&windows.timings, windows.keys.len()));
            moments = windows.moments();
        }
        let (own, hidden) = windows.measures.split_at(if self.has_ids() {
            windows.measures.len() - Aggregates::HIDDEN
        } else {
            windows.measures.len()
        });
        let ids = self.has_ids().then(|| self.ids(&columns, hidden));
        columns.extend(own.iter().cloned());
        let options = RecordBatchOptions::new().with_row_count(Some(windows.keys.len()));
        let schema = self.reported(compiled, event_time);
        let batch = RecordBatch::try_new_with_options(schema, columns, &options).map_err(EventError::from)?;
        let batch = ids.map_or(Ok(batch.clone()), |ids| ids.add_to(&batch, |_| true))?;
        let order = moments.iter().map(|time| (Moment::At { time: *time, row: 0 }, None, None)).collect();
        let strategies = vec![Strategy::Windows];
        let table = DerivedTable { strategies, ..DerivedTable::new(batch, None, windows.keys.len()) };
        Ok(Part { topic: self.emits().to_owned(), rule: place, table, order, event_of: None })
    }
}

impl WindowRule {
    /// Ids of windows. `place`: the columns that say which window each is; `hidden`: what was asked for beside.
    fn ids(&self, place: &[ArrayRef], hidden: &[ArrayRef]) -> EventIds {
        let (stories, ids) = (hidden[0].as_string::<i32>(), hidden[1].as_string::<i32>());
        let (place, rows) = (texts(place), texts(&hidden[1..]));
        let mut own = EventIds::default();
        for window in 0..ids.len() {
            let id = IdOf::new(&self.fingerprint, self.emits());
            let id = place(window).iter().chain(&rows(window)).fold(id, |id, part| id.and(part));
            // A window without rows has no cause.
            let cause = ids.is_valid(window).then(|| (ids.value(window), stories.value(window)));
            own.push(id.text(), cause);
        }
        own
    }
}

/// The rows under a schema that has columns more.
pub(super) fn with_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, EngineError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => arrow_array::new_null_array(field.data_type(), batch.num_rows()),
    });
    let columns = columns.collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns).map_err(EventError::from)?)
}
