//! The writer: one for a store at a time, of all processes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use crate::append::{Append, Position, Prepared};
use crate::commit::{Commit, Heads};
use crate::database;
use crate::disk::{self, WriterLock};
use crate::error::{Doing, StoreError};
use crate::piece::{self, TopicRow};
use crate::protection::{Keys, Protector};
use crate::saved::protection_of;
use crate::topic::folder_name;
use crate::transaction::{Change, Committed, Ready, Transaction};

/// Gives the time, in nanoseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a store is written.
#[derive(Clone)]
pub struct LogOptions {
    /// The column of the event time, in every topic that has one; `None`: the one that the store was made with, `ts` if it
    /// is made now.
    pub event_time: Option<String>,
    /// Who appends, as the chain has it.
    pub author: String,
    /// What it is recorded by when.
    pub clock: Clock,
}

impl std::fmt::Debug for LogOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { event_time, author, clock: _ } = self;
        formatter
            .debug_struct("LogOptions")
            .field("event_time", event_time)
            .field("author", author)
            .finish_non_exhaustive()
    }
}

/// How long readers are waited for, where something is to go out of the log beside the file.
const READERS_WAIT: Duration = Duration::from_secs(2);

/// Most appended bytes of one commit: those of threads that wait meanwhile go with the next one.
const COMMIT_BYTES_MAX: usize = 64 << 20;

/// Appends events to a store.
///
/// A call returns when what it appended is on the disk. Calls of several threads that wait for the disk are written
/// together, so that the more there are, the more each commit holds: one `fsync` for all of them.
///
/// A write that fails in a way that leaves open what is on the disk ends the handle: every later call is refused with
/// [`StoreError::Poisoned`], for after a failed `fsync` another may succeed although the data are lost. A new handle reads
/// what is there.
pub struct EventLog {
    path: PathBuf,
    options: LogOptions,
    event_time: String,
    /// What is read to make rows ready; apart from the writer, so that this goes on while it writes. It is closed before the
    /// writer, which can remove the log beside the file if it is the last.
    keys: Mutex<(Keys, Connection)>,
    writer: Mutex<Writer>,
    queue: Mutex<Vec<Waiting>>,
    poisoned: Mutex<Option<String>>,
    archiving: Mutex<()>,
    _lock: WriterLock,
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EventLog").field("path", &self.path).finish_non_exhaustive()
    }
}

struct Writer {
    database: Connection,
    heads: Heads,
}

/// A transaction that waits for the writer, and where its outcome goes.
struct Waiting {
    changes: Ready,
    outcome: Arc<Mutex<Option<Result<Committed, StoreError>>>>,
}

impl EventLog {
    /// Opens a store to be written; makes it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if somebody writes to it; [`StoreError::NotAStore`], [`StoreError::FormatVersion`]; what the
    /// disk refuses.
    pub fn open(path: &Path, options: LogOptions) -> Result<Self, StoreError> {
        crate::topic::check_name("author", &options.author)?;
        // One name for one store, whichever link leads to it: the lock and the archive are beside the file itself.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let lock = WriterLock::take(path)?;
        let (database, event_time) = database::open_to_write(path, options.event_time.as_deref())?;
        let heads = Heads::read(&database)?;
        let reading = database::open_to_read(path)?;
        let log = Self {
            path: path.into(),
            options,
            event_time,
            writer: Mutex::new(Writer { database, heads }),
            queue: Mutex::default(),
            keys: Mutex::new((Keys::default(), reading)),
            poisoned: Mutex::default(),
            archiving: Mutex::default(),
            _lock: lock,
        };
        log.remove_leftovers()?;
        Ok(log)
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The column of the event time.
    pub fn event_time(&self) -> &str {
        &self.event_time
    }

    /// Appends rows to a topic.
    ///
    /// Cost: what compressing and hashing them costs, and one `fsync`, which calls that wait at the same time share.
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`], [`StoreError::KeyReused`]; rows or names that cannot be stored; what the disk refuses.
    pub fn append(&self, append: Append) -> Result<Position, StoreError> {
        let mut transaction = Transaction::new();
        transaction.append(append);
        let mut committed = self.commit(transaction)?;
        Ok(committed.remove(0))
    }

    /// Makes changes together, or none of them. Gives where its appends are, in their order.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn commit(&self, transaction: Transaction) -> Result<Committed, StoreError> {
        self.check_usable()?;
        let mut changes = vec![];
        for change in transaction.changes {
            changes.push(match change {
                Change::Append(append) => Change::Append(Arc::new(self.prepare(append, 2)?)),
                Change::Save { kind, name, value } => Change::Save { kind, name, value },
                Change::Forget { kind, name } => Change::Forget { kind, name },
                Change::Put { queue, key, payload } => Change::Put { queue, key, payload },
                Change::Done { queue, key } => Change::Done { queue, key },
                Change::Note { kind, said } => Change::Note { kind, said },
            });
        }
        self.commit_ready(changes)
    }

    /// Commits changes that have been made ready.
    pub(crate) fn commit_ready(&self, changes: Ready) -> Result<Committed, StoreError> {
        let outcome = Arc::new(Mutex::new(None));
        whole(&self.queue).push(Waiting { changes, outcome: Arc::clone(&outcome) });
        loop {
            // Whoever gets the writer writes for all who wait: often that has happened when this thread's turn comes.
            let writer = self.writer.lock();
            if let Some(done) = whole(&outcome).take() {
                return done;
            }
            self.check_usable()?;
            let mut writer = writer.map_err(|_| stopped())?;
            let together = self.next_together();
            self.write(&mut writer, together);
        }
    }

    /// Makes an append ready, on one thread or two.
    pub(crate) fn prepare(&self, append: Append, threads: usize) -> Result<Prepared, StoreError> {
        let mut guard = whole(&self.keys);
        let (keys, reading) = &mut *guard;
        if let Some((subject, columns)) = protection_of(reading, &append.topic)? {
            let protector = Protector::new(subject, columns, keys, reading);
            return append.prepare(&self.event_time, Some(protector), threads);
        }
        drop(guard);
        append.prepare(&self.event_time, None, threads)
    }

    /// Takes from the queue what goes into one commit.
    fn next_together(&self) -> Vec<Waiting> {
        let mut queue = whole(&self.queue);
        let mut bytes = 0;
        let fitting = queue.iter().take_while(|waiting| {
            bytes += bytes_of(&waiting.changes);
            bytes <= COMMIT_BYTES_MAX
        });
        // One that is too long for a commit of several has one of its own.
        let count = fitting.count().max(1).min(queue.len());
        queue.drain(..count).collect()
    }

    /// Writes transactions in one commit. One that is refused takes none of the others with it; if the commit fails, all have.
    fn write(&self, writer: &mut Writer, together: Vec<Waiting>) {
        let before = writer.heads;
        let mut made = vec![];
        let committed = (|| {
            self.check_usable()?;
            let Writer { database, heads } = writer;
            let transaction =
                database.transaction_with_behavior(TransactionBehavior::Immediate).doing("begin a commit")?;
            // What is undone alone needs nothing kept of what was before it: that would be a copy of every page.
            let is_alone = together.len() == 1;
            for waiting in &together {
                let unchanged = *heads;
                if !is_alone {
                    transaction.execute_batch("SAVEPOINT one").doing("begin a commit")?;
                }
                let now = (self.options.clock)();
                let mut commit = Commit { database: &transaction, heads, author: &self.options.author, now };
                let one = commit.make(&waiting.changes);
                if let Err(error) = &one {
                    *heads = unchanged;
                    if matches!(
                        error,
                        StoreError::DiskFull { .. } | StoreError::Disk { .. } | StoreError::Corrupt { .. }
                    ) {
                        // The others would not fare better.
                        return one.map(|_| ());
                    }
                    if is_alone {
                        made.push(one);
                        return transaction.rollback().doing("undo a change");
                    }
                    transaction.execute_batch("ROLLBACK TO one").doing("undo a change")?;
                }
                if !is_alone {
                    transaction.execute_batch("RELEASE one").doing("end a change")?;
                }
                made.push(one);
            }
            transaction.commit().doing("commit")
        })();
        match committed {
            Ok(()) => {
                for (waiting, one) in together.iter().zip(made) {
                    *whole(&waiting.outcome) = Some(one);
                }
            }
            Err(error) => {
                writer.heads = before;
                // Keys that were made for these rows are not in the store.
                whole(&self.keys).0.forget(None);
                self.poison(&error);
                for waiting in &together {
                    *whole(&waiting.outcome) = Some(Err(repeated(&error)));
                }
            }
        }
    }

    /// Changes the tables by hand, in one transaction: for what is no append. `change` is told the tables and the chain.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Commit<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer()?;
        let before = writer.heads;
        let Writer { database, heads } = &mut *writer;
        let result = (|| {
            let transaction =
                database.transaction_with_behavior(TransactionBehavior::Immediate).doing("begin a commit")?;
            let now = (self.options.clock)();
            let mut commit = Commit { database: &transaction, heads, author: &self.options.author, now };
            let result = change(&mut commit)?;
            transaction.commit().doing("commit")?;
            Ok(result)
        })();
        if let Err(error) = &result {
            writer.heads = before;
            self.poison(error);
        }
        result
    }

    /// Has what was deleted, and keys that were erased, go out of the log beside the file too: at once, unless somebody reads
    /// what was before for longer than is waited; then when a later call, or closing the store, gets that far.
    pub(crate) fn checkpoint(&self) -> Result<(), StoreError> {
        let writer = self.writer()?;
        writer.database.busy_timeout(READERS_WAIT).doing("write the log into the file")?;
        let done = writer.database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        writer.database.busy_timeout(database::BUSY).doing("write the log into the file")?;
        done.doing("write the log into the file")
    }

    /// The time now.
    pub(crate) fn now(&self) -> i64 {
        (self.options.clock)()
    }

    /// Forgets the key of a subject, or of all.
    pub(crate) fn forget_keys(&self, subject: Option<&str>) {
        whole(&self.keys).0.forget(subject);
    }

    /// The right to change which files there are, until it is dropped.
    pub(crate) fn archiving(&self) -> MutexGuard<'_, ()> {
        whole(&self.archiving)
    }

    /// A connection that reads what has been committed.
    pub(crate) fn reading(&self) -> Result<Connection, StoreError> {
        self.check_usable()?;
        database::open_to_read(&self.path)
    }

    pub(crate) fn check_usable(&self) -> Result<(), StoreError> {
        match &*whole(&self.poisoned) {
            Some(reason) => Err(StoreError::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn poison(&self, error: &StoreError) {
        if error.poisons() {
            whole(&self.poisoned).get_or_insert_with(|| error.to_string());
        }
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        self.check_usable()?;
        // A panic in the middle of a commit: SQLite has undone it, but the heads may be ahead.
        self.writer.lock().map_err(|_| stopped())
    }

    /// Removes what a crash has left: files that were never finished, and archived ones that no segment names, whose rows are
    /// where they were. Those of rows that the store does not know are set aside.
    fn remove_leftovers(&self) -> Result<(), StoreError> {
        let folder = crate::archive::folder(&self.path);
        if !folder.is_dir() {
            return Ok(());
        }
        let reading = self.reading()?;
        let topics = piece::topics(&reading)?;
        for topic in entries(&folder)? {
            for file in entries(&topic)? {
                let name = crate::archive::file_name(&folder, &file);
                let known: bool = reading
                    .query_row("SELECT EXISTS (SELECT 1 FROM segments WHERE file = ?)", [name], |row| {
                        row.get(0)
                    })
                    .doing("read the segments")?;
                let ends = |ending: &str| file.extension().is_some_and(|own| own == ending);
                let is_left = ends("parquet") && !known;
                if ends("unfinished") || (is_left && has_all(&topics, &topic, &file)) {
                    disk::remove_file(&file)?;
                } else if is_left {
                    // The database is an older copy, and this may be all that there is of what came later.
                    let aside = disk::beside(&file, ".unnamed");
                    std::fs::rename(&file, &aside)
                        .map_err(|error| StoreError::of_io(&error, "set aside", &file))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        if let Ok(writer) = self.writer.get_mut() {
            // What can be read without the log beside it can be read on a disk that is to be read only. Readers that are
            // open are not waited for: the log is copied when it is opened again.
            let _ = writer.database.busy_timeout(Duration::ZERO);
            let _ = writer.database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
}

/// Whether the store has all rows that an archived file is of, by the names of its folder and itself.
fn has_all(topics: &[TopicRow], folder: &Path, file: &Path) -> bool {
    let named = |path: &Path| path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let folder = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let topic = topics.iter().find(|topic| Some(folder_name(&topic.name)) == folder);
    let rows = named(file).and_then(|name| {
        let (first, events) = name.split_once('-')?;
        first.parse::<i64>().ok()?.checked_add(events.parse::<i64>().ok()?)
    });
    topic.zip(rows).is_some_and(|(topic, end)| end <= topic.events)
}

pub(crate) fn stopped() -> StoreError {
    StoreError::Poisoned { reason: "a call stopped in the middle".into() }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let failed = |error: &std::io::Error| StoreError::of_io(error, "list the folder", folder);
    let entries = std::fs::read_dir(folder).map_err(|error| failed(&error))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| failed(&error))).collect()
}

fn bytes_of(changes: &Ready) -> usize {
    let bytes = |change: &Change<Arc<Prepared>>| match change {
        Change::Append(append) => append.bytes(),
        Change::Save { value, .. } => value.len(),
        Change::Put { payload, .. } => payload.len(),
        Change::Forget { .. } | Change::Done { .. } | Change::Note { .. } => 0,
    };
    changes.iter().map(bytes).sum()
}

/// An error of a commit, for each of those that it was for.
fn repeated(error: &StoreError) -> StoreError {
    match error {
        StoreError::DiskFull { action } => StoreError::DiskFull { action },
        StoreError::Busy { action } => StoreError::Busy { action },
        StoreError::Poisoned { reason } => StoreError::Poisoned { reason: reason.clone() },
        StoreError::Corrupt { position, reason } => StoreError::corrupt(*position, reason.clone()),
        StoreError::Disk { action, path, reason } => {
            StoreError::Disk { action, path: path.clone(), reason: reason.clone() }
        }
        other => StoreError::Disk { action: "commit", path: None, reason: other.to_string() },
    }
}

/// What is behind these locks is whole whatever happens: nothing that holds one can panic in the middle of a change.
pub(crate) fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
