//! What is known of a store beside its events: what programs have saved, what is to be done, and who did what.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use rusqlite::{Connection, Row};

use crate::commit::stream_version;
use crate::connections::Connections;
use crate::database;
use crate::error::{Doing, StoreError};
use crate::info::StoreInfo;
use crate::query::Query;
use crate::reader::Planned;
use crate::saved;

/// Looks at a store: each question at what has been committed when it is asked.
#[derive(Debug)]
pub struct StoreView {
    /// For what is read at length.
    connections: Arc<Connections>,
    /// For questions that are answered at once.
    database: Mutex<Connection>,
}

/// An entry of the chain that is no batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// Its number.
    pub entry: u64,
    /// What kind of change it was.
    pub kind: String,
    /// When, in nanoseconds since 1970.
    pub recorded: i64,
    /// Who.
    pub author: String,
    /// What, as JSON.
    pub said: String,
}

/// What somebody has appended to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorInfo {
    /// Who.
    pub author: String,
    /// The topic.
    pub topic: String,
    /// Batches.
    pub batches: u64,
    /// Events in them.
    pub events: u64,
    /// When the first was recorded, and the last, in nanoseconds since 1970.
    pub recorded: (i64, i64),
}

impl StoreView {
    /// Opens a store to look at it.
    ///
    /// # Errors
    /// What is no store; what the disk refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Mutex::new(database::open_to_read(path)?);
        Ok(Self { connections: Connections::new(path), database })
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        self.connections.path()
    }

    /// Connections to read it over; they outlive it, but none is kept open then.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// What is in it.
    ///
    /// Cost: O(batches in the journal + segments).
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn info(&self) -> Result<StoreInfo, StoreError> {
        StoreInfo::over(&self.connections)
    }

    /// Names of the topics, in order.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn topics(&self) -> Result<Vec<String>, StoreError> {
        let names = |database: &Connection| {
            let topics = crate::piece::topics(database)?;
            Ok(topics.into_iter().map(|topic| topic.name.to_string()).collect())
        };
        self.asked(names)
    }

    fn asked<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A panic leaves nothing half done behind a connection that only reads.
        ask(&self.database.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a query would give: its columns, and the position after the last event that there is.
    ///
    /// # Errors
    /// As [`Reader::open`](crate::Reader::open).
    pub fn planned(&self, query: &Query) -> Result<(SchemaRef, u64), StoreError> {
        self.asked(|database| {
            // One state of the store, whatever is appended meanwhile.
            let transaction = database.unchecked_transaction().doing("read the store")?;
            let Planned { schema, end, .. } = Planned::new(&transaction, &self.connections, query)?;
            Ok((schema, end))
        })
    }

    /// The value that is saved under a name; see [`crate::transaction`] for the kinds.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is not what was saved.
    pub fn value(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.asked(|database| saved::value(database, kind, name))
    }

    /// Names of a kind under which something is saved, in order.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn names(&self, kind: &str) -> Result<Vec<String>, StoreError> {
        self.asked(|database| saved::names(database, kind))
    }

    /// What waits in a queue, in the order in which it was put there: keys and payloads, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is not what was put there.
    pub fn waiting(&self, queue: &str, limit: u64) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.asked(|database| saved::waiting(database, queue, limit))
    }

    /// The column of the event time.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn event_time(&self) -> Result<String, StoreError> {
        self.asked(crate::info::event_time)
    }

    /// Whether a batch of a topic has come with an idempotency key.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn has_key(&self, topic: &str, key: &str) -> Result<bool, StoreError> {
        let query = "SELECT EXISTS (SELECT 1 FROM batches JOIN topics t USING (topic) WHERE t.name = ? AND idempotency = ?)";
        self.asked(|database| {
            database.query_row(query, [topic, key], |row| row.get(0)).doing("look for an idempotency key")
        })
    }

    /// How many events a stream has.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn stream_version(&self, stream: &str) -> Result<u64, StoreError> {
        self.asked(|database| Ok(stream_version(database, stream)? as u64))
    }

    /// Streams whose names begin with a text, in order, with their versions.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn streams(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let query =
            "SELECT stream, version FROM streams WHERE substr(stream, 1, length(?1)) = ?1 ORDER BY stream";
        self.asked(|database| {
            listed(database, query, [prefix], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
        })
    }

    /// The position of the next event.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn next_position(&self) -> Result<u64, StoreError> {
        self.asked(|database| Ok(crate::commit::Heads::read(database)?.next_position as u64))
    }

    /// Changes that are no appends, in their order.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn history(&self) -> Result<Vec<EntryInfo>, StoreError> {
        let query = "SELECT entry, kind, recorded, author, coalesce(said, '') FROM entries WHERE kind <> 'batch' ORDER BY entry";
        self.asked(|database| {
            listed(database, query, [], |row| {
                Ok(EntryInfo {
                    entry: row.get::<_, i64>(0)? as u64,
                    kind: row.get(1)?,
                    recorded: row.get(2)?,
                    author: row.get(3)?,
                    said: row.get(4)?,
                })
            })
        })
    }

    /// Who has appended what.
    ///
    /// Cost: O(batches).
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn authors(&self) -> Result<Vec<AuthorInfo>, StoreError> {
        let query = "SELECT author, t.name, count(*), sum(b.events), min(recorded), max(recorded) \
                     FROM batches b JOIN entries ON entry = batch JOIN topics t USING (topic) \
                     GROUP BY author, topic ORDER BY author, topic";
        self.asked(|database| {
            listed(database, query, [], |row| {
                Ok(AuthorInfo {
                    author: row.get(0)?,
                    topic: row.get(1)?,
                    batches: row.get::<_, i64>(2)? as u64,
                    events: row.get::<_, i64>(3)? as u64,
                    recorded: (row.get(4)?, row.get(5)?),
                })
            })
        })
    }
}

impl Drop for StoreView {
    fn drop(&mut self) {
        self.connections.close();
    }
}

fn listed<T>(
    database: &Connection,
    query: &str,
    says: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = database.prepare_cached(query).doing("look at the store")?;
    let rows = statement.query_map(says, read).doing("look at the store")?;
    rows.collect::<rusqlite::Result<_>>().doing("look at the store")
}
