//! What is kept no longer: the oldest rows of a topic, by age or by size; and what is known of a person.

use rusqlite::params;
use serde_json::json;

use crate::archive::{folder, hex};
use crate::body::hash;
use crate::disk;
use crate::error::{Doing, StoreError};
use crate::keys;
use crate::log::EventLog;
use crate::piece::{self, Schemas, TopicRow};
use crate::topic::{TopicPattern, check_topic};

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Events.
    pub events: u64,
    /// Bytes of files, and of the journal.
    pub bytes: u64,
}

/// Batches of the journal that are looked at together.
const LOOK_AHEAD: usize = 4096;

impl EventLog {
    /// Says how long, and how much, of a topic is kept, in nanoseconds of event time and in bytes; `None`: all. And how long
    /// its idempotency keys are, in nanoseconds since they came; `None`: as long as their events.
    ///
    /// # Errors
    /// A name that is none; what the disk refuses.
    pub fn keep(
        &self,
        topic: &str,
        age_max: Option<u64>,
        bytes_max: Option<u64>,
        keys_age_max: Option<u64>,
    ) -> Result<(), StoreError> {
        check_topic(topic)?;
        let number = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        self.change(|commit| {
            let (number_of_topic, _) = commit.topic(topic)?;
            let says = params![number(age_max), number(bytes_max), number_of_topic];
            let update = "UPDATE topics SET age_max = ?, bytes_max = ? WHERE topic = ?";
            commit.execute(update, says, "say how long rows are kept")?;
            keys::keep(commit, topic, number(keys_age_max))?;
            let said = json!({
                "topic": topic, "age_max_ns": age_max, "bytes_max": bytes_max, "keys_age_max_ns": number(keys_age_max),
            });
            commit.note("keep", &said.to_string()).map(drop)
        })
    }

    /// Removes what topics (all, if none is named) no longer keep: whole batches and segments, the oldest first. What is
    /// younger than the limit stays, and of a topic that is too large the newest. Rows without event time are as old as their
    /// recording. Then idempotency keys that are kept no longer.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn retain(&self, topics: &[TopicPattern]) -> Result<Removed, StoreError> {
        let _one_at_a_time = self.archiving();
        let mut removed = Removed::default();
        for topic in self.topics_of(topics)? {
            self.retain_topic(&topic, &mut removed)?;
            self.forget_idempotency(&topic)?;
        }
        Ok(removed)
    }

    fn retain_topic(&self, topic: &TopicRow, removed: &mut Removed) -> Result<(), StoreError> {
        let reading = self.reading()?;
        let query = "SELECT age_max, bytes_max FROM topics WHERE topic = ?";
        let (age_max, bytes_max): (Option<i64>, Option<i64>) = reading
            .query_row(query, [topic.topic], |row| Ok((row.get(0)?, row.get(1)?)))
            .doing("read how long rows are kept")?;
        if age_max.is_none() && bytes_max.is_none() {
            return Ok(());
        }
        let oldest = age_max.map(|age| self.now().saturating_sub(age));
        let query = "SELECT (SELECT coalesce(sum(bytes), 0) FROM segments WHERE topic = ?1) \
                     + (SELECT coalesce(sum(bytes), 0) FROM batches WHERE topic = ?1 AND segment IS NULL)";
        let mut bytes: i64 =
            reading.query_row(query, [topic.topic], |row| row.get(0)).doing("read how much is kept")?;
        // By size the newest stays, however large it is.
        let is_over = |last: Option<i64>, bytes: i64, own: i64| {
            oldest.zip(last).is_some_and(|(oldest, last)| last < oldest)
                || bytes_max.is_some_and(|most| bytes > most && bytes > own)
        };
        let schemas: Schemas = piece::schemas(&reading, topic.topic)?.into_iter().collect();
        let mut segments = vec![];
        let mut batches = vec![];
        let mut is_done = false;
        for segment in piece::segments(&reading, Some(topic.topic))? {
            let recorded = || newest_recorded(&reading, segment.segment);
            let last = segment.times.map_or_else(recorded, |times| Ok(Some(times.1)))?;
            if !is_over(last, bytes, segment.bytes) {
                is_done = true;
                break;
            }
            bytes -= segment.bytes;
            segments.push(segment);
        }
        let mut after = Some(0);
        while let (false, Some(from)) = (is_done, after) {
            let found = piece::journal(&reading, topic.topic, from, LOOK_AHEAD, &schemas)?;
            after = found.last().map(|batch| batch.header.batch);
            for batch in found {
                let last = batch.header.times.map_or(batch.recorded, |times| times.1);
                if !is_over(Some(last), bytes, batch.header.bytes) {
                    is_done = true;
                    break;
                }
                bytes -= batch.header.bytes;
                batches.push(batch);
            }
        }
        drop(reading);
        let events = segments.iter().map(|segment| segment.events).sum::<i64>()
            + batches.iter().map(|batch| batch.header.events).sum::<i64>();
        if events == 0 {
            return Ok(());
        }
        let first = topic.kept_from;
        self.change(|commit| {
            const ACTION: &str = "remove rows";
            let said = json!({ "topic": &*topic.name, "first_row": first, "events": events });
            commit.note("remove", &said.to_string())?;
            for segment in &segments {
                let number = [segment.segment];
                commit.execute("UPDATE batches SET segment = 0 WHERE segment = ?", number, ACTION)?;
                commit.execute("DELETE FROM pages WHERE segment = ?", number, ACTION)?;
                commit.execute("DELETE FROM filters WHERE owner = ?", number, ACTION)?;
                commit.execute("DELETE FROM segments WHERE segment = ?", number, ACTION)?;
            }
            for batch in &batches {
                let number = [batch.header.batch];
                commit.execute("UPDATE batches SET segment = 0 WHERE batch = ?", number, ACTION)?;
                commit.execute("DELETE FROM bodies WHERE batch = ?", number, ACTION)?;
                commit.execute("DELETE FROM summaries WHERE batch = ?", number, ACTION)?;
                commit.execute("DELETE FROM filters WHERE owner = ?", number, ACTION)?;
            }
            let says = params![first + events, topic.topic];
            commit.execute("UPDATE topics SET kept_from = ? WHERE topic = ?", says, ACTION).map(drop)
        })?;
        for segment in &segments {
            disk::remove_file(&folder(self.path()).join(&segment.file))?;
            removed.bytes += segment.bytes as u64;
        }
        removed.bytes += batches.iter().map(|batch| batch.header.bytes as u64).sum::<u64>();
        removed.events += events as u64;
        Ok(())
    }

    /// Has columns of a topic kept secret from now on, each value under a key of the subject that another column names.
    /// What was appended before stays as it is.
    ///
    /// # Errors
    /// A name that is none, or no column at all; what the disk refuses.
    pub fn protect(&self, topic: &str, subject: &str, columns: &[String]) -> Result<(), StoreError> {
        check_topic(topic)?;
        if columns.is_empty() || columns.iter().any(|column| column == subject) {
            let reason =
                "name at least one column, and not that of the subject, which tells whose key is meant";
            return Err(StoreError::InvalidOption { option: "columns", reason: reason.into() });
        }
        if columns.iter().any(|column| column == self.event_time()) {
            let reason = format!("`{}` is the event time, which the store has to know", self.event_time());
            return Err(StoreError::InvalidOption { option: "columns", reason });
        }
        let names = serde_json::to_string(columns).expect("names can be written as JSON");
        self.change(|commit| {
            let (number, _) = commit.topic(topic)?;
            let update = "UPDATE topics SET subject = ?, protected = ? WHERE topic = ?";
            commit.execute(update, params![subject, names, number], "protect columns")?;
            let said = json!({ "topic": topic, "subject": subject, "columns": columns });
            commit.note("protect", &said.to_string()).map(drop)
        })
    }

    /// Erases what is protected of a subject, in the journal and in all archived files, copies of them too: its keys are
    /// removed, and its name with them. Gives how many there were. A copy of the database that was made before has the keys.
    ///
    /// The chain says that it happened, and the hash of the subject's name.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn erase(&self, subject: &str) -> Result<u64, StoreError> {
        let erased = self.change(|commit| {
            let update =
                "UPDATE subjects SET secret = NULL, subject = '' WHERE subject = ? AND secret IS NOT NULL";
            let erased = commit.execute(update, [subject], "erase a subject")?;
            if erased > 0 {
                let said = json!({ "subject_sha256": hex(&hash(subject.as_bytes())), "keys": erased });
                commit.note("erase", &said.to_string())?;
            }
            Ok(erased as u64)
        })?;
        self.forget_keys(Some(subject));
        // The keys stand in the log beside the file too.
        self.checkpoint()?;
        Ok(erased)
    }
}

fn newest_recorded(database: &rusqlite::Connection, segment: i64) -> Result<Option<i64>, StoreError> {
    let query = "SELECT max(recorded) FROM entries JOIN batches ON batch = entry WHERE segment = ?";
    database.query_row(query, [segment], |row| row.get(0)).doing("read when rows were recorded")
}
