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
use crate::database;
use crate::error::{Doing, StoreError};
use crate::log::EventLog;
use crate::piece::{self, Schemas, TopicRow};
use crate::saved;

/// Keys that go in one commit.
const TOGETHER: i64 = 16_384;

/// The kind of what is saved of how long keys of a topic are kept.
const KIND: &str = "keys";

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
    let Some(value) = saved::value(database, KIND, topic)? else { return Ok(None) };
    let wrong = |_| StoreError::corrupt(None, format!("how long keys of `{topic}` are kept is no number"));
    Ok(Some(i64::from_le_bytes(value.as_slice().try_into().map_err(wrong)?)))
}

/// Writes down how long keys of a topic are kept.
pub(crate) fn keep(commit: &Commit<'_>, topic: &str, age_max: Option<i64>) -> Result<(), StoreError> {
    const ACTION: &str = "say how long keys are kept";
    match age_max {
        Some(age) => {
            let value = age.to_le_bytes();
            let hash = saved::saved_hash([KIND, topic], &value);
            let says = params![KIND, topic, value.as_slice(), hash.as_slice()];
            commit.execute("INSERT OR REPLACE INTO saved VALUES (?, ?, ?, ?)", says, ACTION).map(drop)
        }
        None => {
            let forget = "DELETE FROM saved WHERE kind = ? AND name = ?";
            commit.execute(forget, params![KIND, topic], ACTION).map(drop)
        }
    }
}

impl EventLog {
    /// Has the keys of a topic go that are kept no longer: the oldest first.
    ///
    /// Time: O(keys that there are) to find them, O(those that go) to have them go.
    pub(crate) fn forget_idempotency(&self, topic: &TopicRow) -> Result<(), StoreError> {
        loop {
            let forgotten = self.change(|commit| {
                let last = last_to_go(commit, &topic.name)?;
                forget(commit, topic, last)
            })?;
            if forgotten < TOGETHER {
                return Ok(());
            }
        }
    }
}

/// What tells the keys that are kept no longer.
enum Going {
    /// Those of batches up to one.
    UpTo(i64),
    /// Those of batches whose rows are gone.
    WithRows,
}

fn last_to_go(commit: &Commit<'_>, topic: &str) -> Result<Going, StoreError> {
    let Some(age) = age_max(commit.database, topic)? else { return Ok(Going::WithRows) };
    let oldest = commit.now.saturating_sub(age);
    // Entries are recorded one after the other, and numbered without a gap.
    let (mut kept, mut known) = (commit.heads.entry + 1, 1);
    while known < kept {
        let middle = known + (kept - known) / 2;
        let recorded: i64 = commit
            .database
            .prepare_cached("SELECT recorded FROM entries WHERE entry = ?")
            .and_then(|mut statement| statement.query_row([middle], |row| row.get(0)))
            .doing("look for old keys")?;
        if recorded < oldest {
            known = middle + 1;
        } else {
            kept = middle;
        }
    }
    Ok(Going::UpTo(kept - 1))
}

fn forget(commit: &mut Commit<'_>, topic: &TopicRow, going: Going) -> Result<i64, StoreError> {
    const ACTION: &str = "forget idempotency keys";
    let (which, last) = match going {
        Going::UpTo(last) => ("TRUE", last),
        Going::WithRows => ("segment = 0", i64::MAX),
    };
    let condition = format!(
        "b.topic = ? AND idempotency IS NOT NULL AND batch <= ? AND {which} ORDER BY batch LIMIT {TOGETHER}"
    );
    let schemas: Schemas = piece::schemas(commit.database, topic.topic)?.into_iter().collect();
    let found = piece::batches(commit.database, &condition, params![topic.topic, last], &schemas)?;
    let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(0) };
    let range = (first.header.batch, last.header.batch);
    for batch in &found {
        // What is damaged is not vouched for anew.
        batch.check()?;
        let forget = "UPDATE batches SET idempotency = NULL WHERE batch = ?";
        commit.execute(forget, [batch.header.batch], ACTION)?;
    }
    let keys = found.len() as i64;
    drop(found);
    let sha256 = hash_without(commit.database, topic.topic, range, &schemas)?;
    let said = json!({
        "topic": &*topic.name, "first": range.0, "last": range.1, "keys": keys, "sha256": sha256,
    });
    commit.note("forget", &said.to_string())?;
    // Who does not know of this would take such batches for damaged.
    let format = format!("PRAGMA user_version = {}", database::FORMAT);
    commit.database.execute_batch(&format).doing(ACTION)?;
    Ok(keys)
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
