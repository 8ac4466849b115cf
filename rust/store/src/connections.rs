//! Connections that read a store, kept open for whoever reads next, and what has been read over them that does not change:
//! to open one, and to make its statements ready, takes longer than many a question.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::database;
use crate::error::{Doing, StoreError};
use crate::known_segments::KnownSegments;

/// Connections that nobody uses, at most: as many as read at the same time, mostly.
const SPARE_MAX: usize = 4;

/// Connections to one store.
pub struct Connections {
    path: PathBuf,
    /// Those that nobody uses; `None`: none are kept any more.
    spare: Mutex<Option<Vec<Connection>>>,
    known: Arc<KnownSegments>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connections").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Connections {
    /// Those to the store in a file; none is opened yet.
    pub fn new(path: &Path) -> Arc<Self> {
        let known = Arc::new(KnownSegments::new());
        Arc::new(Self { path: path.into(), spare: Mutex::new(Some(vec![])), known })
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of the store's segments.
    pub(crate) fn known(&self) -> &Arc<KnownSegments> {
        &self.known
    }

    /// One to be used alone, in a transaction: from its first question on it sees one state of the store.
    ///
    /// # Errors
    /// What is no store; what the disk refuses.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Lent, StoreError> {
        let spare = self.kept(|spare| spare.as_mut().and_then(Vec::pop));
        let (connection, shares) = match spare {
            Some(_) if !self.path.exists() => return Err(StoreError::Missing { path: self.path.clone() }),
            Some(connection) => (connection, true),
            None => database::open_reading(&self.path)?,
        };
        connection.execute_batch("BEGIN").doing("read the store")?;
        Ok(Lent { connection: Some(connection), shares, home: Arc::clone(self) })
    }

    /// Closes those that nobody uses, now and from now on.
    pub fn close(&self) {
        self.kept(Option::take);
        self.known.clear();
    }

    /// What is kept is whole whatever happens.
    fn kept<T>(&self, work: impl FnOnce(&mut Option<Vec<Connection>>) -> T) -> T {
        work(&mut self.spare.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection that goes back when it is dropped.
pub(crate) struct Lent {
    /// There until then.
    connection: Option<Connection>,
    /// Whether it shares memory with a writer: without, it would never see what is appended.
    shares: bool,
    home: Arc<Connections>,
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // One that cannot end its transaction is closed.
        if !self.shares || connection.execute_batch("ROLLBACK").is_err() {
            return;
        }
        let one_too_many = self.home.kept(|spare| match spare {
            Some(spare) if spare.len() < SPARE_MAX => {
                spare.push(connection);
                None
            }
            _ => Some(connection),
        });
        drop(one_too_many);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{EventLog, LogOptions};
    use crate::transaction::{Change, Transaction};

    fn store(path: &Path) -> EventLog {
        let options = LogOptions { event_time: None, author: "a".into(), clock: Arc::new(|| 0) };
        EventLog::open(path, options).unwrap()
    }

    fn noted(log: &EventLog) {
        let mut transaction = Transaction::new();
        transaction.changes.push(Change::Note { kind: "test", said: "{}".into() });
        log.commit(transaction).unwrap();
    }

    fn entries(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap()
    }

    fn spare(connections: &Connections) -> Option<usize> {
        connections.kept(|spare| spare.as_ref().map(Vec::len))
    }

    #[test]
    fn each_use_sees_one_state_and_the_next_use_the_state_of_then() {
        let folder = tempfile::tempdir().unwrap();
        let log = store(&folder.path().join("s.db"));
        let connections = Connections::new(log.path());
        for round in 0..3 {
            let one = connections.begin().unwrap();
            let before = entries(&one);
            noted(&log);
            assert_eq!(entries(&one), before);
            let other = connections.begin().unwrap();
            assert_eq!(entries(&other), before + 1);
            drop((one, other));
            assert_eq!(spare(&connections), Some(2), "round {round}");
        }
    }

    #[test]
    fn no_more_are_kept_than_are_used_mostly_and_none_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = store(&folder.path().join("s.db"));
        let connections = Connections::new(log.path());
        let many: Vec<Lent> = (0..SPARE_MAX + 3).map(|_| connections.begin().unwrap()).collect();
        drop(many);
        assert_eq!(spare(&connections), Some(SPARE_MAX));
        let last = connections.begin().unwrap();
        connections.close();
        drop(last);
        assert_eq!(spare(&connections), None);
        assert_eq!(entries(&connections.begin().unwrap()), entries(&connections.begin().unwrap()));
        assert_eq!(spare(&connections), None);
    }

    // Elsewhere a file that is open cannot be removed.
    #[cfg(unix)]
    #[test]
    fn a_file_that_is_gone_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        drop(store(&path));
        let connections = Connections::new(&path);
        drop(connections.begin().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(connections.begin(), Err(StoreError::Missing { .. })));
    }
}
