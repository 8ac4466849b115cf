//! What a commit does to the tables. All of it happens in a transaction of SQLite, which whoever calls ends.

use rusqlite::{Connection, OptionalExtension, params};

use crate::append::{Position, Prepared, PreparedBody, PreparedSchema};
use crate::body::{BYTES_MAX, Hash, hash};
use crate::chain::{self, BatchHeader, Link};
use crate::conform::United;
use crate::database;
use crate::error::{Doing, StoreError};
use crate::piece;
use crate::protection::save_keys;
use crate::saved::{names_of, protection_of, saved_hash};
use crate::summary::Filters;
use crate::topic::check_name;
use crate::transaction::{Change, Committed, Ready};

/// Where the store ends: what the next batch goes on from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) entry: i64,
    pub(crate) chain: Hash,
    pub(crate) next_position: i64,
    /// When the last entry was recorded: a clock that steps back does not take the store with it.
    pub(crate) recorded: i64,
    /// The format that the store says it has.
    pub(crate) format: u32,
}

impl Heads {
    /// Of the last entry of all.
    pub(crate) fn read(database: &Connection) -> Result<Self, StoreError> {
        let identity = database::identity(database)?;
        let last = database
            .query_row("SELECT entry, chain, recorded FROM entries ORDER BY entry DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
            .doing("read the end of the store")?;
        let (entry, chain, recorded) = last.unwrap_or((0, chain::beginning(&identity), i64::MIN));
        let query = "SELECT first_position + events FROM batches ORDER BY batch DESC LIMIT 1";
        let next =
            database.query_row(query, [], |row| row.get(0)).optional().doing("read the end of the store")?;
        let format = database::format(database)?;
        Ok(Self { entry, chain, next_position: next.unwrap_or(0), recorded, format })
    }
}

/// Makes changes.
pub(crate) struct Commit<'a> {
    pub(crate) database: &'a Connection,
    pub(crate) heads: &'a mut Heads,
    pub(crate) author: &'a str,
    /// Nanoseconds since 1970.
    pub(crate) now: i64,
}

impl Commit<'_> {
    /// Makes them all.
    pub(crate) fn make(&mut self, changes: &Ready) -> Result<Committed, StoreError> {
        let mut committed = vec![];
        for change in changes {
            match change {
                Change::Append(append) => committed.push(self.append(append)?),
                Change::Save { kind, name, value } => {
                    check_name("saved value", name)?;
                    check_length("a saved value", value)?;
                    let hash = saved_hash([kind, name], value);
                    let says = params![kind, name, value, hash.as_slice()];
                    self.execute("INSERT OR REPLACE INTO saved VALUES (?, ?, ?, ?)", says, "save a value")?;
                }
                Change::Forget { kind, name } => {
                    let says = params![kind, name];
                    self.execute("DELETE FROM saved WHERE kind = ? AND name = ?", says, "forget a value")?;
                }
                Change::Put { queue, key, payload } => {
                    check_name("queue", queue)?;
                    check_name("item of a queue", key)?;
                    check_length("an item of a queue", payload)?;
                    let hash = saved_hash([queue, key], payload);
                    let says = params![queue, key, payload, hash.as_slice()];
                    let put = "INSERT OR IGNORE INTO outbox (queue, key, payload, hash) VALUES (?, ?, ?, ?)";
                    self.execute(put, says, "put an item into a queue")?;
                }
                Change::Done { queue, key } => {
                    let says = params![queue, key];
                    let done = "DELETE FROM outbox WHERE queue = ? AND key = ?";
                    self.execute(done, says, "take an item out of a queue")?;
                }
                Change::Note { kind, said } => drop(self.note(kind, said)?),
            }
        }
        Ok(committed)
    }

    pub(crate) fn execute(
        &self,
        sql: &str,
        says: impl rusqlite::Params,
        action: &'static str,
    ) -> Result<usize, StoreError> {
        self.database.prepare_cached(sql).and_then(|mut statement| statement.execute(says)).doing(action)
    }

    /// Has the store say that it is of the newest format: who does not know that one would take it for damaged.
    pub(crate) fn in_newest_format(&mut self) -> Result<(), StoreError> {
        if self.heads.format < database::FORMAT {
            let update = self.database.pragma_update(None, "user_version", database::FORMAT);
            update.doing("write the format")?;
            self.heads.format = database::FORMAT;
        }
        Ok(())
    }

    /// Writes an entry of something other than a batch; gives its number.
    pub(crate) fn note(&mut self, kind: &'static str, said: &str) -> Result<i64, StoreError> {
        self.entry(kind, Some(said), &hash(said.as_bytes()))
    }

    fn entry(&mut self, kind: &'static str, said: Option<&str>, digest: &Hash) -> Result<i64, StoreError> {
        let entry = self.heads.entry + 1;
        let recorded = self.now.max(self.heads.recorded);
        let link = Link { entry, kind, recorded, author: self.author, digest };
        let chain = chain::next(&self.heads.chain, &link);
        let says = params![entry, kind, recorded, self.author, said, digest.as_slice(), chain.as_slice()];
        self.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", says, "write an entry")?;
        (self.heads.entry, self.heads.chain, self.heads.recorded) = (entry, chain, recorded);
        Ok(entry)
    }

    fn append(&mut self, append: &Prepared) -> Result<Position, StoreError> {
        let (topic, row) = self.topic(&append.topic)?;
        if let Some(key) = &append.idempotency_key
            && let Some(position) = self.repeated(append, topic, key)?
        {
            return Ok(position);
        }
        self.check_protection(append)?;
        let version = self.check_version(append)?;
        let schema = self.schema(topic, &append.schema)?;
        save_keys(&append.new_keys, self.database)?;
        let position = Position {
            topic: append.topic.clone(),
            first: self.heads.next_position as u64,
            events: append.events,
            row: row as u64,
            stream: append.stream.clone().map(|stream| (stream, version as u64 + append.events)),
            repeated: false,
        };
        let digest = PreparedSchema::digest(&append.schema.columns, &append.schema.protected);
        let mut place = Place { topic, schema, row, version: append.stream.is_some().then_some(version) };
        for (number, body) in append.bodies.iter().enumerate() {
            let key = append.idempotency_key.as_deref().filter(|_| number == 0);
            self.batch(append, body, key, &digest, &mut place)?;
        }
        let says = params![place.row, topic];
        self.execute("UPDATE topics SET events = ? WHERE topic = ?", says, "append rows")?;
        if let (Some(stream), Some(version)) = (&append.stream, place.version)
            && append.events > 0
        {
            let says = params![stream, version];
            self.execute("INSERT OR REPLACE INTO streams VALUES (?, ?)", says, "append rows")?;
        }
        Ok(position)
    }

    fn batch(
        &mut self,
        append: &Prepared,
        body: &PreparedBody,
        key: Option<&str>,
        schema_digest: &Hash,
        place: &mut Place,
    ) -> Result<(), StoreError> {
        let events = body.events as i64;
        let header = BatchHeader {
            batch: self.heads.entry + 1,
            topic: append.topic.clone(),
            schema: *schema_digest,
            first_position: self.heads.next_position,
            first_row: place.row,
            events,
            stream: append.stream.clone(),
            first_version: place.version.map(|version| version + 1),
            times: body.times,
            idempotency: key.map(str::to_owned),
            idempotency_events: key.map(|_| append.events as i64),
            bytes: body.body.len() as i64,
            body_hash: body.body_hash,
            summary_hash: body.summary_hash,
        };
        self.in_newest_format()?;
        let batch = self.entry("batch", None, &header.digest())?;
        let says = params![
            batch,
            place.topic,
            place.schema,
            header.first_position,
            header.first_row,
            events,
            header.stream,
            header.first_version,
            body.times.map(|times| times.0),
            body.times.map(|times| times.1),
            header.bytes,
            body.body_hash.as_slice(),
            body.summary_hash.as_slice(),
            key,
            header.idempotency_events,
        ];
        let insert = "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)";
        self.execute(insert, says, "append rows")?;
        self.execute("INSERT INTO bodies VALUES (?, ?)", params![batch, body.body], "append rows")?;
        self.execute("INSERT INTO summaries VALUES (?, ?)", params![batch, body.summary], "append rows")?;
        self.filters(batch, 0, &body.filters)?;
        self.heads.next_position += events;
        place.row += events;
        place.version = place.version.map(|version| version + events);
        Ok(())
    }

    /// Keeps filters apart from the summary that they are of.
    pub(crate) fn filters(&self, owner: i64, first_row: i64, filters: &Filters) -> Result<(), StoreError> {
        for (place, filter) in filters {
            let says = params![owner, first_row, *place as i64, filter];
            self.execute("INSERT INTO filters VALUES (?, ?, ?, ?)", says, "write what is known of rows")?;
        }
        Ok(())
    }

    /// A topic's number, and how many events it has had.
    pub(crate) fn topic(&self, name: &str) -> Result<(i64, i64), StoreError> {
        let add = "INSERT OR IGNORE INTO topics (name, events, kept_from) VALUES (?, 0, 0)";
        self.execute(add, [name], "append rows")?;
        self.database
            .prepare_cached("SELECT topic, events FROM topics WHERE name = ?")
            .and_then(|mut statement| statement.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))))
            .doing("append rows")
    }

    fn schema(&self, topic: i64, schema: &PreparedSchema) -> Result<i64, StoreError> {
        let says = params![topic, schema.columns, schema.protected];
        let add = "INSERT OR IGNORE INTO schemas (topic, columns, protected) VALUES (?, ?, ?)";
        if self.execute(add, says, "append rows")? > 0 {
            // What could never be read together is not appended.
            let mut united = United::default();
            for (number, known) in piece::schemas(self.database, topic)? {
                united.add(&known.given, &format!("version {number} of the topic's columns"))?;
            }
        }
        self.database
            .prepare_cached("SELECT schema FROM schemas WHERE topic = ? AND columns = ? AND protected = ?")
            .and_then(|mut statement| statement.query_row(says, |row| row.get(0)))
            .doing("append rows")
    }

    /// Where the rows of an idempotency key are, if they have come before.
    fn repeated(&self, append: &Prepared, topic: i64, key: &str) -> Result<Option<Position>, StoreError> {
        let query = "SELECT first_position, first_row, idempotency_events, first_version FROM batches \
                     WHERE topic = ? AND idempotency = ?";
        let found = self
            .database
            .prepare_cached(query)
            .and_then(|mut statement| {
                let columns =
                    |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
                statement.query_row(params![topic, key], columns).optional()
            })
            .doing("look for a repeat")?;
        let Some((first, row, events, version)) = found else { return Ok(None) };
        let (first, row, events, version): (i64, i64, i64, Option<i64>) = (first, row, events, version);
        if events as u64 != append.events {
            return Err(StoreError::KeyReused {
                topic: append.topic.clone(),
                key: key.into(),
                before: events as u64,
                events: append.events,
            });
        }
        let stream = append.stream.clone().zip(version.map(|version| (version - 1 + events) as u64));
        Ok(Some(Position {
            topic: append.topic.clone(),
            first: first as u64,
            events: events as u64,
            row: row as u64,
            stream,
            repeated: true,
        }))
    }

    /// Whether what is secret now was when the rows were made ready.
    fn check_protection(&self, append: &Prepared) -> Result<(), StoreError> {
        let now = protection_of(self.database, &append.topic)?.map_or_else(Vec::new, |(_, columns)| columns);
        if names_of(&append.schema.protected)? == now {
            return Ok(());
        }
        let reason =
            format!("columns of topic `{}` were protected meanwhile: append the rows again", append.topic);
        Err(StoreError::InvalidOption { option: "columns", reason })
    }

    /// How many events the append's stream has; 0 of no stream.
    fn check_version(&self, append: &Prepared) -> Result<i64, StoreError> {
        let Some(stream) = &append.stream else { return Ok(0) };
        let actual = stream_version(self.database, stream)?;
        match append.expected_version {
            Some(expected) if expected != actual as u64 => {
                Err(StoreError::VersionConflict { stream: stream.clone(), expected, actual: actual as u64 })
            }
            _ => Ok(actual),
        }
    }
}

fn check_length(what: &'static str, value: &[u8]) -> Result<(), StoreError> {
    if value.len() <= BYTES_MAX {
        Ok(())
    } else {
        Err(StoreError::TooLong { what, bytes: value.len(), limit: BYTES_MAX })
    }
}

/// Where the next batch of an append goes.
struct Place {
    topic: i64,
    schema: i64,
    row: i64,
    version: Option<i64>,
}

/// How many events a stream has.
pub(crate) fn stream_version(database: &Connection, stream: &str) -> Result<i64, StoreError> {
    let version = database
        .prepare_cached("SELECT version FROM streams WHERE stream = ?")
        .and_then(|mut statement| statement.query_row([stream], |row| row.get(0)).optional())
        .doing("read the version of a stream")?;
    Ok(version.unwrap_or(0))
}
