//! Idempotency keys: how long they are kept, and how they go without the chain being broken.
//!
//! A key stands in the row of its batch, whose hash is in the chain. When it goes, the rows of batches stay, and an entry of
//! the chain says which lost theirs and what these rows are hashed to without: so they are vouched for as before.

use rusqlite::{Connection, params};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::archive::hex;
use crate::body::Hash;
use crate::commit::Commit;
use crate::error::{Doing, StoreError};
use crate::log::EventLog;
use crate::piece::{self, Schemas, TopicRow};
use crate::saved;

/// Keys that go in one commit.
const TOGETHER: usize = 16_384;

/// The kinds of what is saved of a topic's keys: how long they are kept; up to which batch they have gone.
const AGE_MAX: &str = "keys";
const GONE_TO: &str = "keys gone";

/// What an entry says of keys that have gone: those of a topic's batches from the first to the last.
#[derive(Debug, Deserialize)]
pub(crate) struct Forgotten {
    pub(crate) topic: String,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) keys: i64,
    pub(crate) sha256: String,
}

/// How long keys of a topic are kept, in nanoseconds since they came; `None`: as long as their events.
pub(crate) fn age_max(database: &Connection, topic: &str) -> Result<Option<i64>, StoreError> {
    number(database, AGE_MAX, topic)
}

/// Writes down how long keys of a topic are kept.
pub(crate) fn keep(commit: &Commit<'_>, topic: &str, age_max: Option<i64>) -> Result<(), StoreError> {
    match age_max {
        Some(age) => save(commit, AGE_MAX, topic, age),
        None => {
            let forget = "DELETE FROM saved WHERE kind = ? AND name = ?";
            commit.execute(forget, params![AGE_MAX, topic], "say how long keys are kept").map(drop)
        }
    }
}

fn number(database: &Connection, kind: &str, topic: &str) -> Result<Option<i64>, StoreError> {
    let Some(value) = saved::value(database, kind, topic)? else { return Ok(None) };
    let wrong = |_| StoreError::corrupt(None, format!("the {kind} of topic `{topic}` are no number"));
    Ok(Some(i64::from_le_bytes(value.as_slice().try_into().map_err(wrong)?)))
}

fn save(commit: &Commit<'_>, kind: &str, topic: &str, number: i64) -> Result<(), StoreError> {
    let value = number.to_le_bytes();
    let hash = saved::saved_hash([kind, topic], &value);
    let says = params![kind, topic, value.as_slice(), hash.as_slice()];
    commit.execute("INSERT OR REPLACE INTO saved VALUES (?, ?, ?, ?)", says, "save a value").map(drop)
}

impl EventLog {
    /// Has the keys of a topic go that are kept no longer: the oldest first.
    ///
    /// Time: O(batches of the topic since those that were looked at last), in steps of so many keys a commit.
    pub(crate) fn forget_idempotency(&self, topic: &TopicRow) -> Result<(), StoreError> {
        let reading = self.reading()?;
        let last = match age_max(&reading, &topic.name)? {
            Some(age) => last_recorded_before(&reading, self.now().saturating_sub(age))?,
            None => last_gone(&reading, topic.topic)?,
        };
        let mut gone_to = number(&reading, GONE_TO, &topic.name)?.unwrap_or(0);
        drop(reading);
        while gone_to < last {
            gone_to = self.change(|commit| forget(commit, topic, (gone_to, last)))?;
        }
        Ok(())
    }
}

/// The last entry that was recorded before a time; 0: there is none.
fn last_recorded_before(database: &Connection, time: i64) -> Result<i64, StoreError> {
    let last: i64 = database
        .query_row("SELECT coalesce(max(entry), 0) FROM entries", [], |row| row.get(0))
        .doing("look for old keys")?;
    // Entries are recorded one after the other, and numbered without a gap.
    last_of(last, |entry| {
        let recorded: i64 = database
            .prepare_cached("SELECT recorded FROM entries WHERE entry = ?")
            .and_then(|mut statement| statement.query_row([entry], |row| row.get(0)))
            .doing("look for old keys")?;
        Ok(recorded < time)
    })
}

/// The last batch of a topic whose rows are gone, or a number between it and the next; 0: there is none.
fn last_gone(database: &Connection, topic: i64) -> Result<i64, StoreError> {
    let last: i64 = database
        .query_row("SELECT coalesce(max(batch), 0) FROM batches WHERE topic = ?", [topic], |row| row.get(0))
        .doing("look for old keys")?;
    // They go from the front.
    last_of(last, |batch| {
        let query = "SELECT segment FROM batches WHERE topic = ? AND batch >= ? ORDER BY batch LIMIT 1";
        let segment: Option<i64> = database
            .prepare_cached(query)
            .and_then(|mut statement| statement.query_row([topic, batch], |row| row.get(0)))
            .doing("look for old keys")?;
        Ok(segment == Some(0))
    })
}

/// The last number from 1 to another of which something holds that holds of all before it; 0: it holds of none.
fn last_of(end: i64, mut holds: impl FnMut(i64) -> Result<bool, StoreError>) -> Result<i64, StoreError> {
    let (mut known, mut not) = (0, end + 1);
    while known + 1 < not {
        let middle = known + (not - known) / 2;
        if holds(middle)? {
            known = middle;
        } else {
            not = middle;
        }
    }
    Ok(known)
}

/// Has some keys go of batches behind one and up to another; gives the batch up to which they have gone now.
fn forget(commit: &mut Commit<'_>, topic: &TopicRow, (after, last): (i64, i64)) -> Result<i64, StoreError> {
    const ACTION: &str = "forget idempotency keys";
    // Keys are found in the order of batches, and not of keys.
    let condition = format!(
        "b.topic = ? AND batch > ? AND batch <= ? AND +idempotency IS NOT NULL ORDER BY batch LIMIT {TOGETHER}"
    );
    let schemas: Schemas = piece::schemas(commit.database, topic.topic)?.into_iter().collect();
    let found = piece::batches(commit.database, &condition, params![topic.topic, after, last], &schemas)?;
    let (Some(first), Some(end)) = (found.first(), found.last()) else {
        save(commit, GONE_TO, &topic.name, last)?;
        return Ok(last);
    };
    let range = (first.header.batch, end.header.batch);
    for batch in &found {
        // What is damaged is not vouched for anew.
        batch.check()?;
        let forget = "UPDATE batches SET idempotency = NULL WHERE batch = ?";
        commit.execute(forget, [batch.header.batch], ACTION)?;
    }
    let keys = found.len();
    drop(found);
    let sha256 = hash_without(commit.database, topic.topic, range, &schemas)?;
    let said = json!({
        "topic": &*topic.name, "first": range.0, "last": range.1, "keys": keys, "sha256": sha256,
    });
    commit.note("forget", &said.to_string())?;
    let gone_to = if keys < TOGETHER { last } else { range.1 };
    save(commit, GONE_TO, &topic.name, gone_to)?;
    commit.in_newest_format()?;
    Ok(gone_to)
}

/// The hash of what batches of a topic whose keys have gone say of themselves.
pub(crate) fn hash_without(
    database: &Connection,
    topic: i64,
    (first, last): (i64, i64),
    schemas: &Schemas,
) -> Result<String, StoreError> {
    let condition = "b.topic = ? AND batch BETWEEN ? AND ? AND idempotency IS NULL \
                     AND idempotency_events IS NOT NULL ORDER BY batch";
    let mut hash = Sha256::new();
    for batch in piece::batches(database, condition, params![topic, first, last], schemas)? {
        hash.update(batch.header.digest());
    }
    let hash: Hash = hash.finalize().into();
    Ok(hex(&hash))
}
