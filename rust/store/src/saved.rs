//! What programs save beside their events, and what the store knows of topics.

use rusqlite::{Connection, OptionalExtension};

use crate::body::{Hash, hash};
use crate::error::{Doing, StoreError};

/// The value that is saved under a name; see [`crate::transaction`] for the kinds.
///
/// # Errors
/// [`StoreError::Corrupt`] if it is not what was saved.
pub(crate) fn value(database: &Connection, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let found = database
        .query_row("SELECT value, hash FROM saved WHERE kind = ? AND name = ?", [kind, name], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Hash>(1)?))
        })
        .optional()
        .doing("read a saved value")?;
    match found {
        Some((value, saved)) if saved_hash([kind, name], &value) != saved => {
            Err(StoreError::corrupt(None, format!("the {kind} `{name}` is not what was saved")))
        }
        found => Ok(found.map(|(value, _)| value)),
    }
}

/// The hash of what is saved, where it is saved with it.
pub(crate) fn saved_hash(place: [&str; 2], value: &[u8]) -> Hash {
    let mut bytes = vec![];
    for part in place {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(value);
    hash(&bytes)
}

/// Names of a kind under which something is saved, in order.
pub(crate) fn names(database: &Connection, kind: &str) -> Result<Vec<String>, StoreError> {
    let mut statement =
        database.prepare("SELECT name FROM saved WHERE kind = ? ORDER BY name").doing("list saved values")?;
    let names = statement.query_map([kind], |row| row.get(0)).doing("list saved values")?;
    names.collect::<rusqlite::Result<_>>().doing("list saved values")
}

/// What waits in a queue, in the order in which it was put there: keys and payloads.
pub(crate) fn waiting(
    database: &Connection,
    queue: &str,
    limit: u64,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let query = "SELECT key, payload, hash FROM outbox WHERE queue = ? ORDER BY item LIMIT ?";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = database.prepare(query).doing("read a queue")?;
    let items = statement
        .query_map(rusqlite::params![queue, limit], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Hash>(2)?))
        })
        .doing("read a queue")?;
    let mut waiting = vec![];
    for item in items {
        let (key, payload, saved) = item.doing("read a queue")?;
        if saved_hash([queue, &key], &payload) != saved {
            return Err(StoreError::corrupt(
                None,
                format!("item `{key}` of queue `{queue}` is not what was put there"),
            ));
        }
        waiting.push((key, payload));
    }
    Ok(waiting)
}

/// Whether all that is saved, and all that waits, is what was saved and put there.
pub(crate) fn check_all(database: &Connection) -> Result<(), StoreError> {
    for query in ["SELECT kind, name, value, hash FROM saved", "SELECT queue, key, payload, hash FROM outbox"]
    {
        let mut statement = database.prepare(query).doing("read saved values")?;
        let rows = statement
            .query_map([], |row| {
                let place: [String; 2] = [row.get(0)?, row.get(1)?];
                Ok((place, row.get::<_, Vec<u8>>(2)?, row.get::<_, Hash>(3)?))
            })
            .doing("read saved values")?;
        for row in rows {
            let ([one, other], value, known) = row.doing("read saved values")?;
            if saved_hash([&one, &other], &value) != known {
                return Err(StoreError::corrupt(None, format!("the {one} `{other}` is not what was saved")));
            }
        }
    }
    Ok(())
}

/// The column that says what a topic's rows are about, and the columns that are kept secret, if some are.
pub(crate) fn protection_of(
    database: &Connection,
    topic: &str,
) -> Result<Option<(String, Vec<String>)>, StoreError> {
    let query = "SELECT subject, protected FROM topics WHERE name = ? AND subject IS NOT NULL";
    let found = database
        .prepare_cached(query)
        .and_then(|mut statement| {
            statement
                .query_row([topic], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
                .optional()
        })
        .doing("read what is protected")?;
    found.map(|(subject, columns)| Ok((subject, names_of(&columns)?))).transpose()
}

/// Names as the store writes them.
pub(crate) fn names_of(json: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::corrupt(None, format!("names of columns: {error}")))
}
