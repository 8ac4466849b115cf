//! A level of rules that read what those before it derive: its rows on their way, and the stage that they go to.
//!
//! Rows come from the sources, as they are released, and from the levels before, as they are derived. A level waits till
//! a time is over before it matches rows of it: only then is it known what else is of that time, so that the order of equal
//! times is that of their topics, wherever the input is cut.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_event::merge::Segment;
use cepheid_event::{EventError, MergedBatch, MergedSchema, Released, resolve_column, times_of};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::EngineOptions;
use super::anomaly_rule::AnomalyRule;
use super::derived::TopicEvents;
use super::graph::TopicUses;
use super::rules::AnyRule;
use super::stage::{Stage, Undo};
use super::window_rule::WindowRule;
use crate::error::EngineError;

/// How many events there have been of topics that rules derive and read.
pub(super) type PassedOn = HashMap<String, u64, FixedState>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) front: Front,
    pub(super) stage: Stage,
}

/// Rows of a level's topics that wait till their time is over.
#[derive(Clone, Debug, Default)]
pub(super) struct Front {
    pub(super) columns: Arc<MergedSchema>,
    pub(super) waiting: Vec<Waiting>,
}

/// Rows of one topic, in its [conformed schema](MergedSchema::conformed_schema).
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) topic: u16,
    pub(super) batch: RecordBatch,
    pub(super) times: ScalarBuffer<i64>,
    /// `arrival[i]`: the ordinal of row i among all of its topic.
    pub(super) arrival: ScalarBuffer<u64>,
}

/// How a level was before a call.
pub(super) struct LevelUndo {
    front: Front,
    pub(super) stage: Undo,
}

impl Level {
    /// Makes room for topics that a rule reads: equal times go in the order in which they come here.
    pub(super) fn add_topics(&mut self, topics: &[String]) -> Result<(), EngineError> {
        for topic in topics {
            Arc::make_mut(&mut self.front.columns).add_topic(topic)?;
        }
        Ok(())
    }

    /// Topics that its rules read, in their order.
    pub(super) fn reads(&self) -> Vec<String> {
        let named = self.stage.all_rules().flat_map(AnyRule::named_topics);
        let mut topics: Vec<String> = named.collect();
        topics.sort_unstable_by_key(|topic| self.front.columns.topic(topic));
        topics.dedup();
        topics
    }

    pub(super) fn undo(&self) -> LevelUndo {
        LevelUndo { front: self.front.clone(), stage: Undo::new(self.stage.next) }
    }

    pub(super) fn roll_back(&mut self, undo: LevelUndo) {
        self.front = undo.front;
        self.stage.roll_back(undo.stage);
    }

    pub(super) fn commit(&mut self, undo: &LevelUndo, released: &Released, options: &EngineOptions) {
        self.stage.commit(&undo.stage, released, &self.front.columns, options);
        if released.ended {
            // What was derived at the end may lie ahead of the clock, and what comes after all may be of times before it.
            self.stage.windows.iter_mut().for_each(WindowRule::begin_anew);
            self.stage.anomalies.iter_mut().for_each(AnomalyRule::begin_anew);
        }
    }

    /// Takes rows of sources.
    pub(super) fn take_sources(
        &mut self,
        reads: &[String],
        released: &Released,
        sources: &MergedSchema,
        uses: &TopicUses,
    ) -> Result<(), EngineError> {
        for topic in reads.iter().filter(|topic| !uses.is_derived(topic)) {
            let Some(source) = sources.topic(topic) else { continue };
            let own = sources.rows_of(source, &released.rows)?;
            if own.num_rows() > 0 {
                self.front.take(topic, &own.batch, own.time, own.arrival)?;
            }
        }
        Ok(())
    }

    /// Takes what the levels before have derived. `known`: how many events there have been before this call.
    ///
    /// # Errors
    /// [`EngineError::SilentTopic`] if what is reported has no type yet, and what Arrow refuses.
    pub(super) fn take_derived<'s, S: Iterator<Item = &'s Stage>>(
        &mut self,
        reads: &[String],
        derived: &[TopicEvents],
        known: &PassedOn,
        sources: &MergedSchema,
        derivers: impl Fn() -> S,
        event_time: &str,
    ) -> Result<(), EngineError> {
        for events in derived.iter().filter(|events| reads.contains(&events.topic)) {
            let times = events.times();
            let number = self.front.columns.topic(&events.topic).expect("added with the rule that reads it");
            let Some(schema) = self.front.columns.topic_schema(number) else {
                let silent = derivers().find_map(|stage| stage.silent_behind(&events.topic));
                let (rule, silent) = silent.expect("known otherwise, once what derives it is compiled");
                let rule = rule.to_owned();
                let silent = silent_source(silent, sources, &derivers).unwrap_or_else(|| silent.to_owned());
                return Err(EngineError::SilentTopic { rule, silent, topic: events.topic.clone() });
            };
            let time = schema.field(resolve_column(schema, event_time, false)?).data_type();
            let batch = &events.table.batch;
            let read = read_schema(&batch.schema(), event_time, time);
            let hidden = hidden_column(&batch.schema(), event_time);
            let own = batch.columns().iter().enumerate().filter(|(place, _)| Some(*place) != hidden);
            let mut columns: Vec<_> = own.map(|(_, column)| Arc::clone(column)).collect();
            columns.push(times_of(times.to_vec(), time)?);
            let batch = RecordBatch::try_new(read, columns).map_err(EventError::from)?;
            let first = known.get(&events.topic).copied().unwrap_or(0);
            let arrival = (first..first + times.len() as u64).collect();
            self.front.take(&events.topic, &batch, times, arrival)?;
        }
        Ok(())
    }
}

/// Says what columns the topics that a level reads have, as far as that is known by now. `derivers`: the stages before.
pub(super) fn declare<'s, S: Iterator<Item = &'s Stage>>(
    columns: &mut Arc<MergedSchema>,
    reads: &[String],
    sources: &MergedSchema,
    uses: &TopicUses,
    derivers: impl Fn() -> S,
    event_time: &str,
) -> Result<(), EngineError> {
    for topic in reads {
        let number = columns.topic(topic).expect("added with the rule that reads it");
        if columns.topic_schema(number).is_some() {
            continue;
        }
        let schema = if uses.is_derived(topic) {
            schema_read(topic, derivers(), event_time)?
        } else {
            sources.topic(topic).and_then(|number| sources.topic_schema(number)).cloned()
        };
        if let Some(schema) = schema {
            Arc::make_mut(columns).set_schema(number, schema);
        }
    }
    Ok(())
}

/// The columns of a derived topic for those who read it; `None` while they are not known. `derivers`: the stages before.
pub(super) fn schema_read<'s>(
    topic: &str,
    derivers: impl Iterator<Item = &'s Stage>,
    event_time: &str,
) -> Result<Option<SchemaRef>, EngineError> {
    for stage in derivers {
        if let Some((columns, time)) = stage.schema_of(topic, event_time)? {
            return Ok(Some(read_schema(&columns, event_time, &time)));
        }
    }
    Ok(None)
}

/// The source that has sent nothing and keeps a topic silent: itself, or one that rules which derive it read.
fn silent_source<'s, S: Iterator<Item = &'s Stage>>(
    topic: &str,
    sources: &MergedSchema,
    derivers: &impl Fn() -> S,
) -> Option<String> {
    let is_known =
        |topic: &str| sources.topic(topic).is_some_and(|topic| sources.topic_schema(topic).is_some());
    let mut ahead = vec![topic.to_owned()];
    let mut seen: Vec<String> = vec![];
    // No rules read each other in a circle.
    while let Some(topic) = ahead.pop() {
        let behind = derivers().flat_map(Stage::all_rules).filter(|rule| rule.derives(&topic));
        let mut read = behind.flat_map(AnyRule::named_topics).peekable();
        if read.peek().is_none() && !is_known(&topic) {
            return Some(topic);
        }
        ahead.extend(read.filter(|topic| !seen.contains(topic)));
        seen.push(topic.clone());
    }
    None
}

/// The columns of derived events for those who read them: the event's time is the column of that name, whatever the rule
/// that derives them has called so.
pub(super) fn read_schema(columns: &Schema, event_time: &str, time: &DataType) -> SchemaRef {
    let hidden = hidden_column(columns, event_time);
    let own = columns.fields().iter().enumerate().filter(|(place, _)| Some(*place) != hidden);
    let mut fields: Vec<_> = own.map(|(_, field)| Arc::clone(field)).collect();
    fields.push(Arc::new(Field::new(event_time, time.clone(), true)));
    Arc::new(Schema::new(fields))
}

/// The column of derived events that the event time stands for.
fn hidden_column(columns: &Schema, event_time: &str) -> Option<usize> {
    resolve_column(columns, event_time, false).ok()
}

impl Front {
    /// Takes rows of a topic whose columns are known.
    fn take(
        &mut self,
        topic: &str,
        batch: &RecordBatch,
        times: ScalarBuffer<i64>,
        arrival: ScalarBuffer<u64>,
    ) -> Result<(), EngineError> {
        let number = self.columns.topic(topic).expect("added with the rule that reads it");
        let batch = self.columns.conform(number, batch, 0)?;
        self.waiting.push(Waiting { topic: number, batch, times, arrival });
        Ok(())
    }

    /// Lets out the rows of times that are over: in the order of time, then of topics, then of their ordinals.
    pub(super) fn release(&mut self, released: &Released) -> Result<Released, EngineError> {
        let over = |time: i64| released.ended || released.complete_before.is_some_and(|before| time < before);
        let mut places: Vec<(i64, u16, u64, usize, usize)> = vec![];
        for (source, rows) in self.waiting.iter().enumerate() {
            let own = rows.times.iter().zip(&*rows.arrival).enumerate();
            let own = own.filter(|(_, (time, _))| over(**time));
            places.extend(own.map(|(row, (time, arrival))| (*time, rows.topic, *arrival, source, row)));
        }
        places.sort_unstable();
        let mut segments: Vec<Segment> = vec![];
        for (.., source, row) in &places {
            match segments.last_mut() {
                Some(last) if last.source == *source && last.start + last.len == *row => last.len += 1,
                _ => segments.push(Segment { source: *source, start: *row, len: 1 }),
            }
        }
        let sources: Vec<(u16, &RecordBatch)> =
            self.waiting.iter().map(|rows| (rows.topic, &rows.batch)).collect();
        let rows = MergedBatch {
            batch: self.columns.gather(&sources, &segments)?,
            time: places.iter().map(|(time, ..)| *time).collect(),
            topic: places.iter().map(|(_, topic, ..)| *topic).collect(),
            arrival: places.iter().map(|(_, _, arrival, ..)| *arrival).collect(),
        };
        let mut left = vec![];
        for rows in &self.waiting {
            let kept: Vec<u32> =
                (0..rows.times.len() as u32).filter(|row| !over(rows.times[*row as usize])).collect();
            if !kept.is_empty() {
                left.push(rows.only(&kept)?);
            }
        }
        self.waiting = left;
        Ok(Released {
            rows,
            late: vec![],
            watermark: released.watermark,
            complete_before: released.complete_before,
            ended: released.ended,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let bytes_of = |rows: &Waiting| rows.batch.get_array_memory_size() + rows.times.len() * 16;
        self.waiting.iter().map(bytes_of).sum()
    }

    /// How many rows wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.iter().map(|rows| rows.times.len()).sum()
    }
}

impl Waiting {
    fn only(&self, rows: &[u32]) -> Result<Self, EngineError> {
        let taken = UInt32Array::from(rows.to_vec());
        let batch = arrow_select::take::take_record_batch(&self.batch, &taken).map_err(EventError::from)?;
        let times = rows.iter().map(|row| self.times[*row as usize]).collect();
        let arrival = rows.iter().map(|row| self.arrival[*row as usize]).collect();
        Ok(Self { topic: self.topic, batch, times, arrival })
    }
}
