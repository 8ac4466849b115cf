//! A level of an engine as plain data.

use std::sync::Arc;

use arrow_schema::Schema;
use cepheid_event::{MergedSchema, check_event_time, resolve_column};
use serde::{Deserialize, Serialize};

use super::ipc::{from_ipc, schema_of, to_ipc};
use super::level::{Front, Level, Waiting};
use super::snapshot::{SavedHistory, SavedStage, refuse};
use crate::error::EngineError;

/// Rules that read what others derive, and the rows that wait for their time to be over.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedLevel {
    /// Topics, with their columns in Arrow IPC, if these are known.
    topics: Vec<(String, Option<Vec<u8>>)>,
    schema_order: Vec<u16>,
    waiting: Vec<SavedWaiting>,
    next: u64,
    kept: SavedHistory,
    stage: SavedStage,
}

#[derive(Serialize, Deserialize)]
struct SavedWaiting {
    topic: u16,
    rows: Vec<u8>,
    times: Vec<i64>,
    arrival: Vec<u64>,
}

impl Level {
    /// What is kept, as plain data.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub(super) fn save(&self) -> Result<SavedLevel, EngineError> {
        let columns = &self.front.columns;
        let topic = |number: u16| -> Result<_, EngineError> {
            let schema = columns.topic_schema(number).map(|schema| to_ipc(schema, None)).transpose()?;
            Ok((columns.topic_name(number).to_owned(), schema))
        };
        let waiting = |rows: &Waiting| -> Result<_, EngineError> {
            Ok(SavedWaiting {
                topic: rows.topic,
                rows: to_ipc(&rows.batch.schema(), Some(&rows.batch))?,
                times: rows.times.to_vec(),
                arrival: rows.arrival.to_vec(),
            })
        };
        Ok(SavedLevel {
            topics: (0..columns.num_topics() as u16).map(topic).collect::<Result<_, _>>()?,
            schema_order: columns.order().to_vec(),
            waiting: self.front.waiting.iter().map(waiting).collect::<Result<_, _>>()?,
            next: self.stage.next,
            kept: self.stage.save_history(columns)?,
            stage: self.stage.save()?,
        })
    }

    /// Goes on with what was saved.
    ///
    /// # Errors
    /// [`EngineError::InvalidSnapshot`], [`EngineError::SnapshotRules`].
    pub(super) fn load(
        &mut self,
        saved: SavedLevel,
        event_time: &str,
        watermark: Option<i64>,
    ) -> Result<(), EngineError> {
        let mut columns = MergedSchema::default();
        let mut schemas = vec![];
        for (number, (name, schema)) in saved.topics.iter().enumerate() {
            if columns.add_topic(name)? as usize != number {
                return refuse(format!("two topics of a level are named `{name}`"));
            }
            schemas.push(schema.as_deref().map(schema_of).transpose()?);
        }
        for number in &saved.schema_order {
            let Some(schema) = schemas.get_mut(*number as usize).and_then(Option::take) else {
                return refuse("a topic of a level has no columns");
            };
            check_event_time_of(&schema, event_time)?;
            columns.set_schema(*number, schema);
        }
        if schemas.iter().any(Option::is_some) {
            return refuse("the order of a level's topics leaves some out");
        }
        let mut waiting = vec![];
        for rows in saved.waiting {
            let batch = from_ipc(&rows.rows)?;
            let known = (rows.topic as usize) < columns.num_topics();
            let schema = if known { columns.conformed_schema(rows.topic) } else { None };
            let fits = schema.is_some_and(|schema| {
                let (own, found) = (schema.fields(), batch.schema_ref().fields());
                own.len() == found.len()
                    && own
                        .iter()
                        .zip(found)
                        .all(|(l, r)| l.name() == r.name() && l.data_type() == r.data_type())
            });
            if !fits || rows.times.len() != batch.num_rows() || rows.arrival.len() != batch.num_rows() {
                return refuse("rows that wait for a level do not fit their topic");
            }
            waiting.push(Waiting {
                topic: rows.topic,
                batch,
                times: rows.times.into(),
                arrival: rows.arrival.into(),
            });
        }
        // Topics that rules name are there already: those of the snapshot come in their own order.
        if let Some(missing) = self.reads().into_iter().find(|topic| columns.topic(topic).is_none()) {
            return refuse(format!("a level has no topic `{missing}`, which a rule reads"));
        }
        let columns = Arc::new(columns);
        self.front = Front { columns: Arc::clone(&columns), waiting };
        self.stage.load_history(&saved.kept, saved.next, &columns)?;
        self.stage.load(saved.stage, &columns, event_time, watermark)
    }
}

/// Checks that columns of a level have the event time that all have which it is given.
fn check_event_time_of(schema: &Schema, event_time: &str) -> Result<(), EngineError> {
    let column = resolve_column(schema, event_time, false);
    match column.and_then(|column| check_event_time(event_time, schema.field(column).data_type())) {
        Ok(()) => Ok(()),
        Err(error) => refuse(error.to_string()),
    }
}
