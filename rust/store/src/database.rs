//! The SQLite file: how it is opened, and what is asserted of it.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::error::{Doing, StoreError};

/// `application_id` of the file: `cphd`.
const APPLICATION: i32 = 0x6370_6864;

/// The newest format that is known: 2 is 1 with batches whose idempotency keys have gone, and 3 is 2 with bodies that begin
/// with a layout. A store becomes one of the newest with the first such change.
pub(crate) const FORMAT: u32 = 3;

/// The column of the event time, unless another one is named when a store is made: as in an engine.
const EVENT_TIME: &str = "ts";

/// How long a statement waits for another connection: a checkpoint holds one up for as long as it takes to copy.
pub(crate) const BUSY: Duration = Duration::from_secs(30);

/// The log beside the file is copied into it when it has grown so far: seldom enough that copying costs little, often
/// enough that a store is open at once after a crash, and that the log is written over while it is still in memory.
const CHECKPOINT_BYTES: u32 = 16 << 20;

/// Pages of the file, in bytes: a commit writes each page that it touches as a whole, a dozen beside the body.
const PAGE_BYTES: u32 = 8192;

/// Opens the file to be written; makes it if it is not there. Gives the column of the event
/// time too.
pub(crate) fn open_to_write(
    path: &Path,
    event_time: Option<&str>,
) -> Result<(Connection, String), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut database = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(&error, path))?;
    database.busy_timeout(BUSY).and_then(|()| keep_plans(&database)).doing("open the store")?;
    // A file without tables is one that was never finished.
    let tables = "SELECT count(*) FROM sqlite_schema";
    let is_new = database
        .query_row(tables, [], |row| row.get::<_, i64>(0))
        .map_err(|error| cannot_open(&error, path))?
        == 0;
    if is_new {
        database.pragma_update(None, "page_size", PAGE_BYTES).map_err(|error| cannot_open(&error, path))?;
    } else {
        check(&database, path)?;
    }
    let mode: String = database
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| cannot_open(&error, path))?;
    if mode != "wal" {
        let reason = format!("its file system has no shared memory (journal mode {mode})");
        return Err(StoreError::NotAStore { path: path.into(), reason });
    }
    // Of a file that is there already, they are what they were.
    let page_bytes: u32 =
        database.pragma_query_value(None, "page_size", |row| row.get(0)).doing("open the store")?;
    let settings = [
        // A commit returns when the log is on the disk.
        ("synchronous", "FULL".to_owned()),
        ("wal_autocheckpoint", (CHECKPOINT_BYTES / page_bytes).to_string()),
        // What is deleted is overwritten: keys of erased subjects above all.
        ("secure_delete", "ON".to_owned()),
        ("trusted_schema", "OFF".to_owned()),
    ];
    for (name, value) in settings {
        database.pragma_update(None, name, value).doing("open the store")?;
    }
    if is_new {
        let changes = database.transaction().doing("make the store")?;
        changes.execute_batch(include_str!("schema.sql")).doing("make the store")?;
        changes.pragma_update(None, "application_id", APPLICATION).doing("make the store")?;
        changes.pragma_update(None, "user_version", FORMAT).doing("make the store")?;
        let mut identity = [0; 16];
        getrandom::fill(&mut identity).map_err(|error| StoreError::Disk {
            action: "get random numbers",
            path: None,
            reason: error.to_string(),
        })?;
        for (name, value) in
            [("identity", identity.as_slice()), ("event_time", event_time.unwrap_or(EVENT_TIME).as_bytes())]
        {
            changes
                .execute("INSERT INTO meta VALUES (?, ?)", params![name, value])
                .doing("make the store")?;
        }
        changes.commit().doing("make the store")?;
        crate::disk::sync_folder_of(path)?;
    }
    let known = crate::info::event_time(&database)?;
    if let Some(here) = event_time.filter(|here| *here != known) {
        let reason = format!("it is `{here}` here, but the store was made with `{known}`");
        return Err(StoreError::InvalidOption { option: "event_time", reason });
    }
    Ok((database, known))
}

/// Opens the file to be read. A snapshot begins with the first statement of a transaction.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    open_reading(path).map(|(database, _)| database)
}

/// The same, and whether it shares memory with a writer, so that it sees what is appended later.
pub(crate) fn open_reading(path: &Path) -> Result<(Connection, bool), StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.into() });
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let open = |flags, uri: &Path| {
        let database = Connection::open_with_flags(uri, flags)?;
        database.busy_timeout(BUSY)?;
        keep_plans(&database)?;
        // The first page is read: opening alone touches nothing.
        database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
        Ok(database)
    };
    let (database, shares) = match open(flags, path) {
        Ok(database) => (database, true),
        // On a disk that can only be read, SQLite cannot share memory with a writer, but there is none.
        Err(error) if is_unshared(&error) && is_checkpointed(path) => {
            let uri = format!("file:{}?immutable=1", uri_path(path));
            let alone = open(flags | OpenFlags::SQLITE_OPEN_URI, Path::new(&uri));
            (alone.map_err(|error: rusqlite::Error| cannot_open(&error, path))?, false)
        }
        Err(error) => return Err(cannot_open(&error, path)),
    };
    check(&database, path)?;
    Ok((database, shares))
}

/// Statements that are kept stay as they were planned: otherwise SQLite plans many of them anew whenever they are asked with
/// other parameters.
fn keep_plans(database: &Connection) -> rusqlite::Result<()> {
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn is_unshared(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}

/// Whether all that has been written is in the file itself.
fn is_checkpointed(path: &Path) -> bool {
    std::fs::metadata(crate::disk::beside(path, "-wal")).map_or(true, |log| log.len() == 0)
}

/// A path as part of a URI.
fn uri_path(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

fn cannot_open(error: &rusqlite::Error, path: &Path) -> StoreError {
    match StoreError::of_sqlite(error, "open the store") {
        StoreError::Corrupt { reason, .. } => StoreError::NotAStore { path: path.into(), reason },
        StoreError::Disk { action, reason, .. } => {
            StoreError::Disk { action, path: Some(path.into()), reason }
        }
        other => other,
    }
}

/// The format of a store that has been checked.
pub(crate) fn format(database: &Connection) -> Result<u32, StoreError> {
    database.pragma_query_value(None, "user_version", |row| row.get(0)).doing("read the format")
}

/// Whether the file is a store, of a format that is known.
fn check(database: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name: &str| database.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = pragma("application_id").map_err(|error| cannot_open(&error, path))?;
    if application != APPLICATION {
        let reason = "it is a database of another program".to_owned();
        return Err(StoreError::NotAStore { path: path.into(), reason });
    }
    let found = pragma("user_version").map_err(|error| cannot_open(&error, path))?;
    match u32::try_from(found) {
        Ok(found @ 1..=FORMAT) if found <= FORMAT => Ok(()),
        found => {
            Err(StoreError::FormatVersion { path: path.into(), found: found.unwrap_or(0), newest: FORMAT })
        }
    }
}

/// What tells this store from all others, and what all of it is read by: the chain of hashes begins with it.
pub(crate) fn identity(database: &Connection) -> Result<Vec<u8>, StoreError> {
    let mut identity: Vec<u8> = database
        .query_row("SELECT value FROM meta WHERE name = 'identity'", [], |row| row.get(0))
        .optional()
        .doing("read the store")?
        .ok_or_else(|| StoreError::corrupt(None, "it has no identity"))?;
    identity.extend_from_slice(crate::info::event_time(database)?.as_bytes());
    Ok(identity)
}
