//! A stream's front as plain data, to be saved and restored.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::error::EventError;
use crate::held::{Chunk, HeldRows, joined_chunk};
use crate::merge::{MergedSchema, TOPICS_MAX};
use crate::reorder::{ReorderBuffer, TopicRows, insert_places};
use crate::runs::Runs;
use crate::table::{ROWS_MAX, describe, resolve_column, same_columns};
use crate::time::{check_event_time, event_times};
use crate::watermark::{Clock, SourceClock, TimePolicy};

/// All that a [`ReorderBuffer`] knows, but for its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct ReorderState {
    /// See [`Clock::watermark`], in nanoseconds.
    pub watermark: Option<i64>,
    /// See [`Clock::closed`], in nanoseconds.
    pub closed: Option<i64>,
    /// See [`Clock::due`], in nanoseconds.
    pub due: Option<i64>,
    /// The topics, by number.
    pub topics: Vec<TopicState>,
    /// The numbers of the topics whose schemas are known, in the order in which they came.
    pub schema_order: Vec<u16>,
}

/// All that is known of one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicState {
    /// Its name.
    pub name: String,
    /// Its clock.
    pub clock: SourceClock,
    /// Rows that came, late ones included: the ordinal of the next one.
    pub rows: u64,
    /// Rows that were late.
    pub late: u64,
    /// Rows ahead of the guard.
    pub future: u64,
    /// Its own schema, once it is known.
    pub schema: Option<SchemaRef>,
    /// Its rows that wait, in arrival order, in its [conformed schema](MergedSchema::conformed_schema); `None` if none do.
    pub waiting: Option<RecordBatch>,
    /// `arrival[i]`: the ordinal of row i of `waiting`; ascending.
    pub arrival: Vec<u64>,
}

impl ReorderBuffer {
    /// The state as plain data. The rows that wait are copied, a topic's into one batch.
    ///
    /// # Errors
    /// What Arrow refuses: strings past 2 GiB in one batch.
    pub fn state(&self) -> Result<ReorderState, EventError> {
        let watermark = self.clock.watermark();
        let mut topics = Vec::with_capacity(self.topics.len());
        for (number, topic) in self.topics.iter().enumerate() {
            let chunks = &topic.held.chunks;
            let chunk = (!chunks.is_empty()).then(|| joined_chunk(chunks, watermark)).transpose()?;
            let arrivals = |chunk: &Chunk| (0..chunk.times.len()).map(|row| chunk.arrival(row)).collect();
            topics.push(TopicState {
                name: self.columns.topic_name(number as u16).to_owned(),
                clock: self.clock.sources[number],
                rows: topic.rows,
                late: topic.late,
                future: topic.future,
                schema: self.columns.topic_schema(number as u16).cloned(),
                arrival: chunk.as_ref().map(arrivals).unwrap_or_default(),
                waiting: chunk.map(|chunk| chunk.batch),
            });
        }
        let schema_order = self.columns.order().to_vec();
        Ok(ReorderState {
            watermark,
            closed: self.clock.closed(),
            due: self.clock.due(),
            topics,
            schema_order,
        })
    }

    /// A stream that goes on where `state` was taken.
    ///
    /// # Errors
    /// [`EventError::InvalidState`] for a state that no stream can be in; the errors of a topic's first batch, if the
    /// settings are not those that the state was made with.
    pub fn from_state(
        event_time: impl Into<String>,
        policy: TimePolicy,
        state: ReorderState,
    ) -> Result<Self, EventError> {
        let mut buffer = Self::new(event_time, policy);
        if state.topics.len() > TOPICS_MAX {
            return Err(EventError::TooManyTopics { limit: TOPICS_MAX });
        }
        let columns = merged_schema(&state)?;
        let mut clock = Clock::new(policy);
        clock.watermark = state.watermark;
        clock.closed = state.closed;
        if state.closed > state.watermark {
            return Err(invalid("the clock was moved further by hand than it stands".into()));
        }
        clock.due = state.due;
        if state.due.is_some() && state.due <= state.watermark {
            return Err(invalid("the clock is due where it has been".into()));
        }
        let mut runs = Runs::default();
        for (number, topic) in state.topics.into_iter().enumerate() {
            let name = topic.name.clone();
            clock.sources.push(topic.clock);
            let (rows, chunk) = restored(topic, &columns, number as u16, &buffer.event_time, clock.watermark)
                .map_err(|error| match error {
                    EventError::InvalidState { reason } => invalid(format!("topic `{name}`: {reason}")),
                    other => other,
                })?;
            let mut rows = rows;
            if let Some(chunk) = chunk {
                insert_places(&mut runs, number as u16, &chunk, clock.watermark);
                rows.held.push(chunk);
            }
            buffer.topics.push(rows);
        }
        (buffer.columns, buffer.clock, buffer.runs) = (Arc::new(columns), clock, runs);
        Ok(buffer)
    }
}

fn invalid(reason: String) -> EventError {
    EventError::InvalidState { reason }
}

/// The merged columns, made anew in the order in which they were made.
fn merged_schema(state: &ReorderState) -> Result<MergedSchema, EventError> {
    let mut columns = MergedSchema::default();
    for (number, topic) in state.topics.iter().enumerate() {
        if columns.add_topic(&topic.name)? as usize != number {
            return Err(invalid(format!("two topics are named `{}`", topic.name)));
        }
    }
    for number in &state.schema_order {
        let topic = state.topics.get(*number as usize);
        let schema = topic.and_then(|topic| topic.schema.as_ref());
        match schema {
            Some(schema) if columns.topic_schema(*number).is_none() => {
                columns.set_schema(*number, Arc::clone(schema));
            }
            _ => return Err(invalid(format!("topic {number} has no schema of its own"))),
        }
    }
    let known = state.topics.iter().filter(|topic| topic.schema.is_some()).count();
    if known != state.schema_order.len() {
        return Err(invalid("the order of the topics' schemas leaves some out".into()));
    }
    Ok(columns)
}

/// What is kept of one topic, and its rows that wait.
fn restored(
    topic: TopicState,
    columns: &MergedSchema,
    number: u16,
    event_time: &str,
    watermark: Option<i64>,
) -> Result<(TopicRows, Option<Chunk>), EventError> {
    let mut time_column = None;
    if let Some(schema) = &topic.schema {
        let column = resolve_column(schema, event_time, false)?;
        check_event_time(schema.field(column).name(), schema.field(column).data_type())?;
        time_column = Some(column);
    }
    // Rows may have been passed over before any came.
    let chunk = match (topic.waiting, time_column) {
        (None, _) if topic.arrival.is_empty() => None,
        (Some(batch), Some(column)) => {
            let expected = columns.conformed_schema(number).expect("set with the schema");
            if !same_columns(expected, batch.schema_ref()) {
                let (found, expected) = (describe(batch.schema_ref()), describe(expected));
                return Err(invalid(format!("rows of the schema {found} wait, not {expected}")));
            }
            let ascending = topic.arrival.windows(2).all(|pair| pair[0] < pair[1]);
            let last = topic.arrival.last();
            if batch.num_rows() == 0
                || batch.num_rows() > ROWS_MAX
                || batch.num_rows() != topic.arrival.len()
                || !ascending
                || last.is_some_and(|last| *last >= topic.rows)
            {
                return Err(invalid(format!(
                    "{} rows wait, with {} ordinals below {}",
                    batch.num_rows(),
                    topic.arrival.len(),
                    topic.rows
                )));
            }
            let name = expected.field(column).name();
            let times = event_times(name, batch.column(column), 0)?;
            if times.iter().any(|time| watermark.is_some_and(|watermark| *time <= watermark)) {
                return Err(invalid("a row waits that the clock has passed".into()));
            }
            let batch = RecordBatch::try_new(Arc::clone(expected), batch.columns().to_vec())?;
            Some(Chunk::waiting(batch, times, topic.arrival.into()))
        }
        _ => return Err(invalid("rows wait without a schema, or ordinals without rows".into())),
    };
    let (rows, late, future) = (topic.rows, topic.late, topic.future);
    Ok((TopicRows { time_column, rows, late, future, held: HeldRows::default() }, chunk))
}
