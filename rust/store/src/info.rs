//! What a store is, by and large.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use crate::connections::Connections;
use crate::error::{Doing, StoreError};
use crate::piece;

/// A store.
#[derive(Clone, Debug)]
pub struct StoreInfo {
    /// Events that have been appended.
    pub events: u64,
    /// Entries of the chain.
    pub entries: u64,
    /// The chain's last hash.
    pub chain: Vec<u8>,
    /// The column of the event time.
    pub event_time: String,
    /// Bytes of the database and the log beside it.
    pub bytes: u64,
    /// Topics, in the order in which they came.
    pub topics: Vec<TopicInfo>,
}

/// A topic.
#[derive(Clone, Debug)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Events that have been appended.
    pub events: u64,
    /// Of which the first so many are kept no longer.
    pub removed: u64,
    /// Events in segments.
    pub archived: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of segments, and of batches of the journal.
    pub bytes: (u64, u64),
    /// The least event time and the greatest of what is kept, in nanoseconds since 1970.
    pub times: Option<(i64, i64)>,
    /// How long rows are kept, in nanoseconds, and how many bytes.
    pub kept: (Option<u64>, Option<u64>),
    /// How long idempotency keys are kept, in nanoseconds; `None`: as long as their events.
    pub keys_kept: Option<u64>,
    /// The column of the subject, and the columns that are kept secret.
    pub protected: Option<(String, Vec<String>)>,
}

/// What is written of how the store is read: the column of the event time.
pub(crate) fn event_time(database: &Connection) -> Result<String, StoreError> {
    let name: Option<Vec<u8>> = database
        .query_row("SELECT value FROM meta WHERE name = 'event_time'", [], |row| row.get(0))
        .optional()
        .doing("read the store")?;
    let name = name.ok_or_else(|| StoreError::corrupt(None, "it has no event time"))?;
    String::from_utf8(name).map_err(|_| StoreError::corrupt(None, "its event time is no name"))
}

impl StoreInfo {
    /// Looks at a store.
    ///
    /// Cost: O(batches in the journal + segments).
    ///
    /// # Errors
    /// What is no store; what the disk refuses.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        Self::over(&Connections::new(path))
    }

    /// Looks at a store over one of several connections; the errors are those of [`read`](Self::read).
    pub(crate) fn over(connections: &Arc<Connections>) -> Result<Self, StoreError> {
        let database = connections.begin()?;
        let heads = crate::commit::Heads::read(&database)?;
        let mut topics = vec![];
        for topic in piece::topics(&database)? {
            let query = "SELECT age_max, bytes_max FROM topics WHERE topic = ?";
            let kept = database
                .query_row(query, [topic.topic], |row| {
                    Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
                })
                .doing("read how long rows are kept")?;
            let number = |value: Option<i64>| value.map(|value| value as u64);
            let of = |table: &str, which: &str| {
                let query = format!(
                    "SELECT coalesce(sum(events), 0), count(*), coalesce(sum(bytes), 0), min(time_min), max(time_max) \
                     FROM {table} WHERE topic = ?{which}"
                );
                type Sums = (i64, i64, i64, Option<i64>, Option<i64>);
                let sums = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Sums> {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                };
                database.query_row(&query, [topic.topic], sums).doing("read how much is kept")
            };
            let archive = of("segments", "")?;
            let journal = of("batches", " AND segment IS NULL")?;
            let least = [archive.3, journal.3].into_iter().flatten().min();
            let greatest = [archive.4, journal.4].into_iter().flatten().max();
            topics.push(TopicInfo {
                name: topic.name.to_string(),
                events: topic.events as u64,
                removed: topic.kept_from as u64,
                archived: archive.0 as u64,
                segments: archive.1 as u64,
                bytes: (archive.2 as u64, journal.2 as u64),
                times: least.zip(greatest),
                kept: (number(kept.0), number(kept.1)),
                keys_kept: number(crate::keys::age_max(&database, &topic.name)?),
                protected: crate::saved::protection_of(&database, &topic.name)?,
            });
        }
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        Ok(Self {
            events: heads.next_position as u64,
            entries: heads.entry as u64,
            chain: heads.chain.to_vec(),
            event_time: event_time(&database)?,
            bytes: size(connections.path()) + size(&crate::disk::beside(connections.path(), "-wal")),
            topics,
        })
    }
}
