//! Rows of several topics, released in the order of their times.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};

use crate::error::EventError;
use crate::held::{Chunk, HeldRows};
use crate::late::{FirstLate, judge, late_rows};
use crate::merge::{MergedSchema, unknown_topic};
use crate::release::{Judged, Released};
use crate::runs::{Place, Runs};
use crate::table::{ROWS_MAX, resolve_column};
use crate::time::{check_event_time, event_times};
use crate::watermark::{Clock, TimePolicy};

/// The front of a stream: batches of several topics come in as they arrive, rows leave in the order of their times.
///
/// Rows up to and including the watermark are released, in order of time, then of the topics as they were given, then of
/// arrival. A row that comes when the watermark stands at its very time is not late and is released at once, behind the
/// rows of that time that are out already. A row behind its own source's watermark, or the stream's, is late: it is not
/// released but given back beside the others, and counted. All of it is judged row by row, so the rows released are the
/// same, in the same order, however the input is cut into batches.
///
/// A call has two halves: `prepare…` reads only, and can fail; [`ReorderBuffer::commit`] changes, and cannot. The others
/// do both. After an error nothing has changed.
///
/// - Time: amortised O(n) for n rows that come in order; O(n log r) with r the length of the longest fall among rows that
///   wait together. A batch in order, of one topic, with nothing waiting, passes through as a slice: O(columns), and
///   8 bytes a row for the ordinals.
/// - Space: the rows that wait, at most four times over or 64 KiB a batch, and 24 bytes for each; 200 bytes a topic. A
///   batch is let go when none of its rows waits; when those that do are less than a quarter of what it keeps, they are
///   copied out of it.
/// - Source: Impatience sort for the order (Chandramouli, Goldstein, Li, *Impatience Is a Virtue*, SIGMOD 2018), see
///   `runs.rs`; [`Clock`] for the watermark.
#[derive(Clone, Debug)]
pub struct ReorderBuffer {
    pub(crate) event_time: String,
    pub(crate) columns: Arc<MergedSchema>,
    pub(crate) clock: Clock,
    /// By topic number.
    pub(crate) topics: Vec<TopicRows>,
    pub(crate) runs: Runs,
    /// Counts changes, so that what was prepared against another state is not committed.
    pub(crate) version: u64,
}

/// What is kept of one topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicRows {
    /// Which of its columns is the event time, once its schema is known.
    pub(crate) time_column: Option<usize>,
    /// Rows that came, late ones included.
    pub(crate) rows: u64,
    pub(crate) late: u64,
    pub(crate) future: u64,
    pub(crate) held: HeldRows,
}

/// A change that has been worked out and not been made.
#[derive(Debug)]
#[must_use = "nothing has changed yet: commit it, or drop it to leave things as they are"]
pub struct Prepared {
    pub(crate) version: u64,
    pub(crate) clock: Clock,
    pub(crate) released: Released,
    /// How many places of each run are released.
    pub(crate) counts: Vec<usize>,
    /// Topic, chunk, and how many of its rows are released.
    pub(crate) taken: Vec<(u16, usize, usize)>,
    pub(crate) pushed: Option<Pushed>,
}

/// What a push adds.
#[derive(Debug)]
pub(crate) struct Pushed {
    topic: u16,
    /// The schema with the topic's in it, if this is its first batch.
    columns: Arc<MergedSchema>,
    time_column: Option<usize>,
    rows: u64,
    late: u64,
    future: u64,
    chunks: Vec<Chunk>,
    first_late: Option<FirstLate>,
    topic_name: String,
}

/// What is known of one source, for those who ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStats {
    /// The topic.
    pub topic: String,
    /// Whether it is listened to; the counts of one that was removed are kept.
    pub active: bool,
    /// Rows that came, late ones included.
    pub rows: u64,
    /// Rows that were late.
    pub late: u64,
    /// Rows further ahead of now than the guard allows, late ones left out.
    pub future: u64,
    /// Rows that wait.
    pub waiting: usize,
    /// The greatest time seen, in nanoseconds, rows ahead of the guard left out.
    pub greatest: Option<i64>,
    /// Its own watermark.
    pub watermark: Option<i64>,
    /// Whether it is too far behind to hold the clock back.
    pub idle: bool,
}

impl ReorderBuffer {
    /// A stream without topics, whose rows have their time in the column `event_time`, found without regard to case if
    /// no column has exactly that name.
    pub fn new(event_time: impl Into<String>, policy: TimePolicy) -> Self {
        Self {
            event_time: event_time.into(),
            columns: Arc::default(),
            clock: Clock::new(policy),
            topics: vec![],
            runs: Runs::default(),
            version: 0,
        }
    }

    /// Listens to a topic, and gives its number. Until it has sent something it holds the watermark back, unless it is
    /// idle. One that was removed goes on counting its rows where it stopped; its time begins anew.
    ///
    /// # Errors
    /// [`EventError::TooManyTopics`].
    pub fn add_source(&mut self, topic: &str) -> Result<u16, EventError> {
        let number = Arc::make_mut(&mut self.columns).add_topic(topic)?;
        if self.topics.len() <= number as usize {
            self.topics.push(TopicRows::default());
        }
        self.clock.add_source(number as usize);
        self.version += 1;
        Ok(number)
    }

    /// Listens to a topic no more. Its rows that wait are released in their turn; the watermark may rise, as far as the
    /// other sources let it, and does when the next call begins, which releases what that lets out.
    ///
    /// # Errors
    /// [`EventError::UnknownTopic`].
    pub fn remove_source(&mut self, topic: &str) -> Result<(), EventError> {
        let number = self.source(topic)?;
        self.clock.remove_source(number as usize);
        self.version += 1;
        Ok(())
    }

    /// Has the next call not move the watermark to where it is due, and gives what was due, to be
    /// [put back](Self::put_due).
    pub fn take_due(&mut self) -> Option<i64> {
        self.version += 1;
        self.clock.due.take()
    }

    /// Puts back what was due, as far as the clock has not got there since.
    pub fn put_due(&mut self, due: Option<i64>) {
        self.version += 1;
        self.clock.due = due.filter(|due| self.clock.watermark.is_none_or(|own| own < *due));
    }

    /// The clock as the next call finds it.
    fn clock_now(&self) -> Clock {
        let mut clock = self.clock.clone();
        clock.catch_up();
        clock
    }

    /// Works out what pushing `batches`, one after the other, to a topic comes to. `now` is the time of the clock on the
    /// wall, for the guard against rows ahead of it; `None`: no guard.
    ///
    /// # Errors
    /// [`EventError::UnknownTopic`], [`EventError::SchemaChanged`], [`EventError::NullTime`],
    /// [`EventError::TimeOverflow`]; for a topic's first batch also [`EventError::UnknownColumn`],
    /// [`EventError::AmbiguousColumn`] or [`EventError::ColumnType`] of the event time; [`EventError::TooManyRows`];
    /// what Arrow refuses.
    pub fn prepare(
        &self,
        topic: &str,
        batches: &[RecordBatch],
        now: Option<i64>,
    ) -> Result<Prepared, EventError> {
        let number = self.source(topic)?;
        let state = &self.topics[number as usize];
        let mut columns = Arc::clone(&self.columns);
        let mut time_column = state.time_column;
        if time_column.is_none()
            && let Some(first) = batches.first()
        {
            let schema = first.schema();
            let column = resolve_column(&schema, &self.event_time, false)?;
            check_event_time(schema.field(column).name(), schema.field(column).data_type())?;
            time_column = Some(column);
            Arc::make_mut(&mut columns).set_schema(number, schema);
        }
        let mut clock = self.clock_now();
        let limit = clock.policy.future_limit(now);
        let ties_matter = self.others_wait(number);
        let mut judged: Vec<Judged> = Vec::with_capacity(batches.len());
        let mut pushed = Pushed {
            topic: number,
            columns: Arc::clone(&self.columns),
            time_column,
            rows: 0,
            late: 0,
            future: 0,
            chunks: vec![],
            first_late: None,
            topic_name: topic.to_owned(),
        };
        let mut late = vec![];
        for (position, batch) in batches.iter().enumerate() {
            if batch.num_rows() > ROWS_MAX {
                return Err(EventError::TooManyRows { rows: batch.num_rows(), limit: ROWS_MAX });
            }
            let conformed = columns.conform(number, batch, position)?;
            let column = time_column.expect("set with the first batch");
            let name = conformed.schema_ref().field(column).name();
            let times = event_times(name, conformed.column(column), pushed.rows as usize)?;
            let verdict = judge(&mut clock, number as usize, &times, limit, ties_matter);
            let first = state.rows + pushed.rows;
            if !verdict.late.is_empty() {
                late.push(late_rows(number, batch, &times, first, &verdict)?);
            }
            if pushed.first_late.is_none() {
                let rows_before = pushed.rows as usize;
                pushed.first_late =
                    verdict.first_late.map(|late| FirstLate { row: rows_before + late.row, ..late });
            }
            pushed.rows += batch.num_rows() as u64;
            pushed.late += verdict.late.len() as u64;
            pushed.future += verdict.future as u64;
            if batch.num_rows() > 0 {
                judged.push(Judged { batch: conformed, times, first, verdict });
            }
        }
        for batch in &judged {
            pushed.chunks.extend(waiting_chunk(batch, clock.watermark)?);
        }
        let mut prepared = self.prepared(clock, Some(number), &columns, &judged, late)?;
        pushed.columns = columns;
        prepared.pushed = Some(pushed);
        Ok(prepared)
    }

    /// Pushes batches: [`ReorderBuffer::prepare`] and [`ReorderBuffer::commit`].
    ///
    /// # Errors
    /// Those of [`ReorderBuffer::prepare`].
    pub fn push(
        &mut self,
        topic: &str,
        batches: &[RecordBatch],
        now: Option<i64>,
    ) -> Result<Released, EventError> {
        let prepared = self.prepare(topic, batches, now)?;
        Ok(self.commit(prepared))
    }

    /// Works out what moving the clock to `time` by hand comes to: rows up to and including it are released, and from
    /// then on rows at or before it are late. Going backwards does nothing.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn prepare_advance(&self, time: i64) -> Result<Prepared, EventError> {
        let mut clock = self.clock_now();
        clock.advance_to(time);
        self.prepared(clock, None, &self.columns, &[], vec![])
    }

    /// Moves the clock by hand: [`ReorderBuffer::prepare_advance`] and [`ReorderBuffer::commit`].
    ///
    /// # Errors
    /// Those of [`ReorderBuffer::prepare_advance`].
    pub fn advance_to(&mut self, time: i64) -> Result<Released, EventError> {
        let prepared = self.prepare_advance(time)?;
        Ok(self.commit(prepared))
    }

    /// Works out what the end of the input comes to: every row is released, those ahead of the guard too. The clock then
    /// stands at the greatest time there has been, and rows at or before it are late, should more come after all.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn prepare_flush(&self) -> Result<Prepared, EventError> {
        let mut clock = self.clock_now();
        let seen = clock.sources.iter().filter_map(|source| source.greatest).max();
        if let Some(last) = clock.watermark.max(seen).max(self.runs.last_time()) {
            clock.advance_to(last);
        }
        let mut prepared = self.prepared(clock, None, &self.columns, &[], vec![])?;
        prepared.released.ended = true;
        Ok(prepared)
    }

    /// Ends the input: [`ReorderBuffer::prepare_flush`] and [`ReorderBuffer::commit`].
    ///
    /// # Errors
    /// Those of [`ReorderBuffer::prepare_flush`].
    pub fn flush(&mut self) -> Result<Released, EventError> {
        let prepared = self.prepare_flush()?;
        Ok(self.commit(prepared))
    }

    /// Makes a change that was prepared.
    ///
    /// # Panics
    /// If something else has been changed since.
    pub fn commit(&mut self, prepared: Prepared) -> Released {
        assert_eq!(prepared.version, self.version, "prepared against another state");
        self.version += 1;
        self.runs.remove(&prepared.counts);
        self.clock = prepared.clock;
        let watermark = self.clock.watermark;
        let mut touched: Vec<u16> = vec![];
        for (topic, chunk, rows) in prepared.taken {
            self.topics[topic as usize].held.chunks[chunk].waiting -= rows;
            touched.push(topic);
        }
        if let Some(pushed) = prepared.pushed {
            self.columns = pushed.columns;
            let topic = &mut self.topics[pushed.topic as usize];
            topic.time_column = pushed.time_column;
            topic.rows += pushed.rows;
            topic.late += pushed.late;
            topic.future += pushed.future;
            for chunk in pushed.chunks {
                insert_places(&mut self.runs, pushed.topic, &chunk, watermark);
                topic.held.push(chunk);
            }
            touched.push(pushed.topic);
        }
        touched.sort_unstable();
        touched.dedup();
        for topic in touched {
            self.topics[topic as usize].held.tidy(watermark);
        }
        prepared.released
    }

    /// Works out what passing over rows of a topic comes to, which come in the order of their times, the first at `times.0` and
    /// the last at `times.1`: they are counted, and move the clock. `None`: one of them would be late, or ahead of the guard.
    ///
    /// # Errors
    /// [`EventError::UnknownTopic`]; what Arrow refuses.
    pub fn prepare_passing(
        &self,
        topic: &str,
        rows: u64,
        times: (i64, i64),
        now: Option<i64>,
    ) -> Result<Option<Prepared>, EventError> {
        let number = self.source(topic)?;
        let mut clock = self.clock_now();
        let limit = clock.policy.future_limit(now);
        let (first, last) = times;
        let both = [first, last];
        let seen = if rows == 1 { &both[..1] } else { &both };
        let verdict = judge(&mut clock, number as usize, seen, limit, self.others_wait(number));
        if !verdict.late.is_empty() || verdict.future > 0 || first > last {
            return Ok(None);
        }
        let mut prepared = self.prepared(clock, None, &self.columns, &[], vec![])?;
        prepared.pushed = Some(Pushed {
            topic: number,
            columns: Arc::clone(&self.columns),
            time_column: self.topics[number as usize].time_column,
            rows,
            late: 0,
            future: 0,
            chunks: vec![],
            first_late: None,
            topic_name: topic.to_owned(),
        });
        Ok(Some(prepared))
    }

    /// Counts rows of a topic that are passed over, so that those after them have the ordinals that they would have had.
    ///
    /// # Errors
    /// [`EventError::UnknownTopic`].
    pub fn skip(&mut self, topic: &str, rows: u64) -> Result<(), EventError> {
        let number = self.source(topic)?;
        self.topics[number as usize].rows += rows;
        self.version += 1;
        Ok(())
    }

    /// The columns of what is released. They grow when a topic's first batch comes.
    pub fn columns(&self) -> &Arc<MergedSchema> {
        &self.columns
    }

    /// Whether a topic is listened to.
    pub fn listens(&self, topic: &str) -> bool {
        self.columns.topic(topic).is_some_and(|number| self.clock.sources[number as usize].active)
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What is known of each source, in the order in which they were given.
    pub fn stats(&self) -> Vec<SourceStats> {
        let stats = |(number, topic): (usize, &TopicRows)| SourceStats {
            topic: self.columns.topic_name(number as u16).to_owned(),
            active: self.clock.sources[number].active,
            rows: topic.rows,
            late: topic.late,
            future: topic.future,
            waiting: topic.held.waiting(),
            greatest: self.clock.sources[number].greatest,
            watermark: self.clock.source_watermark(number),
            idle: self.clock.is_idle(number),
        };
        self.topics.iter().enumerate().map(stats).collect()
    }

    /// How many rows wait.
    pub fn waiting(&self) -> usize {
        self.topics.iter().map(|topic| topic.held.waiting()).sum()
    }

    /// Bytes held for rows that wait. A slice counts what it spans, not what it was cut from; a dictionary counts once
    /// for each chunk that has it.
    pub fn bytes(&self) -> usize {
        self.topics.iter().map(|topic| topic.held.bytes()).sum::<usize>() + self.runs.bytes()
    }

    fn source(&self, topic: &str) -> Result<u16, EventError> {
        let number = self.columns.topic(topic).filter(|number| self.clock.sources[*number as usize].active);
        number.ok_or_else(|| {
            let active = (0..self.topics.len()).filter(|number| self.clock.sources[*number].active);
            unknown_topic(topic, active.map(|number| self.columns.topic_name(number as u16)))
        })
    }

    /// Whether rows of other topics wait.
    fn others_wait(&self, topic: u16) -> bool {
        let mut others = self.topics.iter().enumerate().filter(|(number, _)| *number != topic as usize);
        others.any(|(_, topic)| !topic.held.chunks.is_empty())
    }
}

impl Prepared {
    /// The merged columns as they will be, if this is a push.
    pub fn columns(&self) -> Option<&Arc<MergedSchema>> {
        self.pushed.as_ref().map(|pushed| &pushed.columns)
    }

    /// What will be let out.
    pub fn released(&self) -> &Released {
        &self.released
    }

    /// Whether all rows of a push are let out at once, none of them late or ahead of the guard.
    pub fn is_let_out(&self) -> bool {
        let let_out = |pushed: &Pushed| pushed.late == 0 && pushed.future == 0 && pushed.chunks.is_empty();
        self.pushed.as_ref().is_none_or(let_out)
    }

    /// An error for the first late row, if there is one: for those who refuse late rows, before anything has changed.
    ///
    /// # Errors
    /// [`EventError::LateRow`].
    pub fn refuse_late(&self) -> Result<(), EventError> {
        match &self.pushed {
            Some(Pushed { first_late: Some(late), topic_name, .. }) => Err(EventError::LateRow {
                topic: topic_name.clone(),
                row: late.row,
                time: late.time,
                watermark: late.watermark,
            }),
            _ => Ok(()),
        }
    }
}

/// Adds the places of a chunk's rows that wait.
pub(crate) fn insert_places(runs: &mut Runs, topic: u16, chunk: &Chunk, watermark: Option<i64>) {
    for row in chunk.waiting_rows(watermark) {
        let (time, arrival) = (chunk.times[row], chunk.arrival(row));
        runs.insert(Place { time, at_watermark: false, topic, arrival });
    }
}

/// The rows of a pushed batch that wait. Shared where most of them do, copied where few do.
fn waiting_chunk(batch: &Judged, watermark: Option<i64>) -> Result<Option<Chunk>, EventError> {
    let chunk = |first: usize, waiting: usize| {
        let all = batch.times.len() - first;
        let arrival = batch.first + first as u64;
        Chunk::consecutive(batch.batch.slice(first, all), batch.times.slice(first, all), arrival, waiting)
    };
    if batch.verdict.in_order {
        let first = watermark.map_or(0, |watermark| batch.times.partition_point(|time| *time <= watermark));
        if first == batch.times.len() {
            return Ok(None);
        }
        let chunk = chunk(first, batch.times.len() - first);
        return if chunk.is_sparse() { chunk.only_waiting(watermark).map(Some) } else { Ok(Some(chunk)) };
    }
    let waits = |time: i64| watermark.is_none_or(|watermark| time > watermark);
    let mut late = batch.verdict.late.iter().copied().peekable();
    let mut rows: Vec<u32> = vec![];
    let mut late_waits = false;
    for (row, _) in batch.times.iter().enumerate().filter(|(_, time)| waits(**time)) {
        while late.next_if(|late| (*late as usize) < row).is_some() {}
        if late.peek() == Some(&(row as u32)) {
            late_waits = true;
        } else {
            rows.push(row as u32);
        }
    }
    let Some(first) = rows.first().map(|row| *row as usize) else { return Ok(None) };
    let chunk = chunk(first, rows.len());
    // A late row beyond the watermark must not be taken for one that waits.
    if late_waits || chunk.is_sparse() {
        rows.iter_mut().for_each(|row| *row -= first as u32);
        return chunk.copied(&UInt32Array::from(rows)).map(Some);
    }
    Ok(Some(chunk))
}
