//! Verification: the chain from its beginning, and every byte that it vouches for.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, params};
use serde::Deserialize;

use crate::archive::{PagePlace, folder, hex, pages_hash};
use crate::body::{Hash, hash};
use crate::chain::{self, Link};
use crate::commit::Heads;
use crate::database;
use crate::error::{Doing, StoreError};
use crate::keys::{self, Forgotten};
use crate::piece::{self, BatchRow, Schemas, SegmentRow};
use crate::saved;
use crate::segment_file;
use crate::signature::Signature;

/// How often it is begun again because files have moved.
const RETRIES: usize = 4;

/// Entries that are looked at together.
const TOGETHER: i64 = 1024;

/// What is wrong with a store, first of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The entry of the chain.
    pub entry: Option<u64>,
    /// The position of the first event concerned.
    pub position: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Entries whose hashes are right, from the first on.
    pub entries: u64,
    /// Events whose bytes are those that were appended.
    pub events: u64,
    /// Events that are kept no longer, by what the chain says.
    pub removed: u64,
    /// Segments whose files are as they were written.
    pub segments: u64,
    /// Signatures that fit: entry and public key.
    pub signatures: Vec<(u64, String)>,
    /// The first thing that is wrong; `None`: nothing.
    pub fault: Option<Fault>,
}

/// Verifies a store, up to the first thing that is wrong. If a public key is given, in hexadecimal, the last signature has
/// to be of it, and there has to be one.
///
/// Cost: reads all that is stored once.
///
/// # Errors
/// What keeps it from being read at all.
pub fn verify(path: &Path, key: Option<&str>) -> Result<Verification, StoreError> {
    for _ in 0..RETRIES {
        match verify_once(path, key) {
            // Files were put together, or removed, while they were looked at.
            Err(StoreError::Moved { .. }) => {}
            found => return found,
        }
    }
    verify_once(path, key)
}

fn verify_once(path: &Path, key: Option<&str>) -> Result<Verification, StoreError> {
    let database = database::open_to_read(path)?;
    database.execute_batch("BEGIN").doing("read the store")?;
    let mut found = Verification::default();
    if let Err(error) = check_all(&database, path, key, &mut found) {
        let fault = found.fault.get_or_insert(Fault { entry: None, position: None, reason: String::new() });
        match error {
            StoreError::Corrupt { position, reason } => {
                fault.position = fault.position.or(position);
                fault.reason = reason;
            }
            // It cannot be read: that is no finding about its content.
            StoreError::Disk { .. }
            | StoreError::DiskFull { .. }
            | StoreError::Busy { .. }
            | StoreError::Moved { .. } => {
                return Err(error);
            }
            other => fault.reason = other.to_string(),
        }
    }
    Ok(found)
}

/// An entry as its row says.
struct Entry {
    entry: i64,
    kind: String,
    recorded: i64,
    author: String,
    said: Option<String>,
    digest: Hash,
    chain: Hash,
}

fn check_all(
    database: &Connection,
    path: &Path,
    key: Option<&str>,
    found: &mut Verification,
) -> Result<(), StoreError> {
    // What answers are found by, beside what the chain vouches for: SQLite's own structures.
    let said: String =
        database.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).doing("check the database")?;
    if said != "ok" {
        return Err(StoreError::corrupt(None, said));
    }
    let identity = database::identity(database)?;
    let mut checked = Checked::new(database, path)?;
    let mut before = chain::beginning(&identity);
    let mut next = 1;
    loop {
        let entries = entries_from(database, next)?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let place = Fault { entry: Some(entry.entry as u64), position: None, reason: String::new() };
            found.fault = Some(place);
            if entry.entry != next {
                return Err(StoreError::corrupt(None, format!("entry {next} is missing")));
            }
            checked.entry(&entry, &before, found)?;
            let Entry { kind, author, digest, recorded, .. } = &entry;
            let link = Link { entry: next, kind, recorded: *recorded, author, digest };
            let chain = chain::next(&before, &link);
            if chain != entry.chain {
                return Err(StoreError::corrupt(
                    None,
                    "the chain of hashes is broken: what an entry says was changed",
                ));
            }
            before = chain;
            next += 1;
            found.entries += 1;
            found.fault = None;
        }
    }
    checked.finish(found)?;
    if let Some(key) = key
        && found.signatures.last().is_none_or(|(_, signed)| signed != key)
    {
        return Err(StoreError::corrupt(None, format!("there is no last signature of the key {key}")));
    }
    Ok(())
}

fn entries_from(database: &Connection, first: i64) -> Result<Vec<Entry>, StoreError> {
    let query = "SELECT entry, kind, recorded, author, said, digest, chain FROM entries WHERE entry >= ? ORDER BY entry LIMIT ?";
    let mut statement = database.prepare_cached(query).doing("read the chain")?;
    let entries = statement
        .query_map(params![first, TOGETHER], |row| {
            Ok(Entry {
                entry: row.get(0)?,
                kind: row.get(1)?,
                recorded: row.get(2)?,
                author: row.get(3)?,
                said: row.get(4)?,
                digest: row.get(5)?,
                chain: row.get(6)?,
            })
        })
        .doing("read the chain")?;
    entries.collect::<rusqlite::Result<_>>().doing("read the chain")
}

fn read<T: for<'a> Deserialize<'a>>(said: &str) -> Result<T, StoreError> {
    serde_json::from_str(said).map_err(|error| StoreError::corrupt(None, format!("an entry: {error}")))
}

/// What an entry says of how much of a topic is kept.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Keeping {
    topic: String,
    age_max_ns: Option<i64>,
    bytes_max: Option<i64>,
    #[serde(default)]
    keys_age_max_ns: Option<i64>,
}

/// What an entry says of columns that are kept secret.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Protection {
    topic: String,
    subject: Option<String>,
    columns: Vec<String>,
}

/// What an entry says of an erasure.
#[derive(Deserialize)]
struct Erasure {
    keys: i64,
}

/// What an entry says of rows that were removed.
#[derive(Deserialize)]
struct Removal {
    topic: String,
    events: i64,
}

/// What the chain has said so far.
struct Checked<'a> {
    database: &'a Connection,
    path: &'a Path,
    schemas: Schemas,
    next_position: i64,
    /// By topic: the next row.
    next_row: HashMap<String, i64>,
    /// Segments that there are, by number.
    segments: HashMap<i64, SegmentRow>,
    /// By segment: rows of the batches that are in it.
    rows_in: HashMap<i64, i64>,
    /// By topic: rows that are gone, as batches have it; as entries say it.
    gone: HashMap<String, i64>,
    said_gone: HashMap<String, i64>,
    /// By topic: batches whose keys are gone, as batches have it; as entries say it, with the last of these batches.
    keyless: HashMap<String, i64>,
    said_keyless: HashMap<String, (i64, i64)>,
    /// By stream: its version, as batches have it.
    versions: HashMap<String, i64>,
    /// By topic: what was said last of how much is kept, and of what is kept secret.
    kept: HashMap<String, Keeping>,
    protected: HashMap<String, Protection>,
    /// Keys that were erased.
    erased: i64,
}

impl<'a> Checked<'a> {
    fn new(database: &'a Connection, path: &'a Path) -> Result<Self, StoreError> {
        let mut schemas = Schemas::new();
        for topic in piece::topics(database)? {
            schemas.extend(piece::schemas(database, topic.topic)?);
        }
        let segments = piece::segments(database, None)?;
        Ok(Self {
            database,
            path,
            schemas,
            next_position: 0,
            next_row: HashMap::new(),
            segments: segments.into_iter().map(|segment| (segment.segment, segment)).collect(),
            rows_in: HashMap::new(),
            gone: HashMap::new(),
            said_gone: HashMap::new(),
            keyless: HashMap::new(),
            said_keyless: HashMap::new(),
            versions: HashMap::new(),
            kept: HashMap::new(),
            protected: HashMap::new(),
            erased: 0,
        })
    }

    fn entry(&mut self, entry: &Entry, before: &Hash, found: &mut Verification) -> Result<(), StoreError> {
        let said = match (&*entry.kind, &entry.said) {
            ("batch", None) => return self.batch(entry, found),
            (_, Some(said)) => said,
            (kind, None) => {
                return Err(StoreError::corrupt(None, format!("an entry of kind `{kind}` says nothing")));
            }
        };
        if hash(said.as_bytes()) != entry.digest {
            return Err(StoreError::corrupt(None, "what an entry says was changed"));
        }
        match &*entry.kind {
            "seal" => self.segment(entry.entry, said, found),
            "keep" => {
                let said: Keeping = read(said)?;
                self.kept.insert(said.topic.clone(), said);
                Ok(())
            }
            "protect" => {
                let said: Protection = read(said)?;
                self.protected.insert(said.topic.clone(), said);
                Ok(())
            }
            "erase" => {
                self.erased += read::<Erasure>(said)?.keys;
                Ok(())
            }
            "remove" => {
                let said: Removal = read(said)?;
                *self.said_gone.entry(said.topic).or_default() += said.events;
                Ok(())
            }
            "forget" => self.forgotten(entry.entry, &read(said)?),
            "sign" => {
                let signature: Signature = read(said)?;
                if signature.entry as i64 != entry.entry - 1 || !signature.fits(before) {
                    return Err(StoreError::BadSignature { entry: entry.entry as u64 });
                }
                found.signatures.push((entry.entry as u64, signature.key));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn batch(&mut self, entry: &Entry, found: &mut Verification) -> Result<(), StoreError> {
        let mut batches = piece::batches(self.database, "batch = ?", [entry.entry], &self.schemas)?;
        let Some(batch) = batches.pop() else {
            return Err(StoreError::corrupt(Some(self.next_position as u64), "a batch is missing"));
        };
        let position = Some(batch.position());
        batch.check()?;
        if batch.header.has_lost_key() {
            *self.keyless.entry(batch.header.topic.clone()).or_default() += 1;
        }
        let row = self.next_row.entry(batch.header.topic.clone()).or_default();
        if batch.header.first_position != self.next_position || batch.header.first_row != *row {
            return Err(StoreError::corrupt(position, "it does not go on where the batch before it ended"));
        }
        *row += batch.header.events;
        if let (Some(stream), Some(first)) = (&batch.header.stream, batch.header.first_version) {
            let version = self.versions.entry(stream.clone()).or_default();
            if first != *version + 1 {
                return Err(StoreError::corrupt(position, "it does not go on where its stream ended"));
            }
            *version += batch.header.events;
        }
        self.next_position = batch.end();
        match batch.segment {
            None => {
                let schema = piece::schema(&self.schemas, batch.schema)?;
                batch.rows(self.database, schema)?;
                let summary = batch.summary(self.database, schema)?;
                piece::check_filters(self.database, batch.header.batch, 0, &summary)?;
                found.events += batch.header.events as u64;
            }
            Some(0) => {
                // The oldest go first, so that what is gone has no end but one.
                let gone = self.gone.entry(batch.header.topic.clone()).or_default();
                if *gone != batch.header.first_row {
                    return Err(StoreError::corrupt(position, "its rows are gone, but older ones are not"));
                }
                *gone += batch.header.events;
                found.removed += batch.header.events as u64;
            }
            Some(segment) => self.in_segment(&batch, segment)?,
        }
        Ok(())
    }

    /// Batches that have lost their keys say what else they said when they lost them.
    fn forgotten(&mut self, entry: i64, said: &Forgotten) -> Result<(), StoreError> {
        let (keys, last) = self.said_keyless.entry(said.topic.clone()).or_default();
        let follows = *last < said.first && said.first <= said.last && said.last < entry;
        (*keys, *last) = (*keys + said.keys, said.last);
        let topics = piece::topics(self.database)?;
        let topic = topics.iter().find(|topic| *topic.name == *said.topic);
        let found = topic.map(|topic| {
            keys::hash_without(self.database, topic.topic, (said.first, said.last), &self.schemas)
        });
        if follows && found.transpose()?.is_some_and(|found| found == said.sha256) {
            return Ok(());
        }
        let reason = format!("batches of topic `{}` whose keys are gone are not what they were", said.topic);
        Err(StoreError::corrupt(None, reason))
    }

    fn in_segment(&mut self, batch: &BatchRow, number: i64) -> Result<(), StoreError> {
        let position = Some(batch.position());
        let Some(segment) = self.segments.get(&number) else {
            return Err(StoreError::corrupt(position, "the segment that its rows are in is missing"));
        };
        let row = batch.header.first_row - segment.first_row;
        let inside = segment.first_position <= batch.header.first_position
            && batch.end() - 1 <= segment.last_position
            && batch.segment_row == Some(row)
            && row >= 0
            && row + batch.header.events <= segment.events;
        if !inside {
            return Err(StoreError::corrupt(
                position,
                format!("its rows are not in `{}`, as is said", segment.file),
            ));
        }
        *self.rows_in.entry(number).or_default() += batch.header.events;
        Ok(())
    }

    fn segment(&mut self, number: i64, said: &str, found: &mut Verification) -> Result<(), StoreError> {
        // One that was removed, or put together with others, is spoken of by later entries.
        let Some(segment) = self.segments.get(&number) else { return Ok(()) };
        let corrupt = |reason: String| StoreError::corrupt(Some(segment.first_position as u64), reason);
        let said: serde_json::Value =
            serde_json::from_str(said).map_err(|error| corrupt(error.to_string()))?;
        let is_said = said["file"] == segment.file.as_str()
            && said["sha256"] == hex(&segment.file_hash)
            && said["first_position"] == segment.first_position
            && said["last_position"] == segment.last_position
            && said["first_row"] == segment.first_row
            && said["events"] == segment.events
            && said["bytes"] == segment.bytes
            && said["times"]
                == segment
                    .times
                    .map_or(serde_json::Value::Null, |times| [times.0, times.1].as_slice().into());
        if !is_said {
            return Err(corrupt(format!("what is written of `{}` is not what was archived", segment.file)));
        }
        let file = folder(self.path).join(&segment.file);
        if !file.is_file() {
            segment_file::check_named(self.path, segment)?;
            return Err(corrupt(format!("the archived file `{}` is missing", segment.file)));
        }
        let (hash, _) = segment_file::hash_file(&file)?;
        if hash != segment.file_hash {
            return Err(corrupt(format!("the archived file `{}` is not as it was written", segment.file)));
        }
        let pages = piece::pages(self.database, number, true)?;
        let places = pages.iter().map(|page| PagePlace {
            first_row: page.first_row,
            first_position: page.first_position,
            events: page.events,
            times: page.times,
            summary_hash: page.summary_hash,
        });
        if said["pages_sha256"] != hex(&pages_hash(places)) {
            return Err(corrupt(format!(
                "what is written of the pages of `{}` is not what was archived",
                segment.file
            )));
        }
        for page in pages {
            let summary = page.summary(segment, piece::schema(&self.schemas, segment.schema)?)?;
            piece::check_filters(self.database, number, page.first_row, &summary)?;
        }
        found.segments += 1;
        found.events += segment.events as u64;
        Ok(())
    }

    /// What programs have saved, and what is said of topics, streams and subjects.
    fn settings(&self) -> Result<(), StoreError> {
        saved::check_all(self.database)?;
        let corrupt = |reason: String| Err(StoreError::corrupt(None, reason));
        let mut statement =
            self.database.prepare("SELECT stream, version FROM streams").doing("read streams")?;
        let streams = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).doing("read streams")?;
        let streams: HashMap<String, i64> = streams.collect::<rusqlite::Result<_>>().doing("read streams")?;
        if streams != self.versions {
            return corrupt("streams have other versions than their batches".into());
        }
        let query = "SELECT name, age_max, bytes_max, subject, protected FROM topics";
        let mut statement = self.database.prepare(query).doing("read topics")?;
        let topics = statement
            .query_map([], |row| {
                let topic: String = row.get(0)?;
                let columns: Option<String> = row.get(4)?;
                Ok((
                    Keeping {
                        topic: topic.clone(),
                        age_max_ns: row.get(1)?,
                        bytes_max: row.get(2)?,
                        keys_age_max_ns: None,
                    },
                    Protection { topic, subject: row.get(3)?, columns: vec![] },
                    columns,
                ))
            })
            .doing("read topics")?;
        for topic in topics {
            let (mut kept, mut protected, columns) = topic.doing("read topics")?;
            kept.keys_age_max_ns = keys::age_max(self.database, &kept.topic)?;
            protected.columns = columns.as_deref().map(saved::names_of).transpose()?.unwrap_or_default();
            let nothing = (
                Keeping { topic: kept.topic.clone(), ..Keeping::default() },
                Protection { topic: kept.topic.clone(), ..Protection::default() },
            );
            if self.kept.get(&kept.topic).unwrap_or(&nothing.0) != &kept
                || self.protected.get(&kept.topic).unwrap_or(&nothing.1) != &protected
            {
                return corrupt(format!(
                    "what is kept of topic `{}`, or kept secret, is not what was said",
                    kept.topic
                ));
            }
        }
        let query = "SELECT count(*) FROM subjects WHERE secret IS NULL";
        let erased: i64 =
            self.database.query_row(query, [], |row| row.get(0)).doing("read keys of subjects")?;
        if erased != self.erased {
            return corrupt(format!("{erased} keys of subjects are gone, and {} were erased", self.erased));
        }
        Ok(())
    }

    /// What has to agree with the chain as a whole.
    fn finish(&self, found: &Verification) -> Result<(), StoreError> {
        let heads = Heads::read(self.database)?;
        if heads.next_position != self.next_position || heads.entry as u64 != found.entries {
            return Err(StoreError::corrupt(
                Some(self.next_position as u64),
                "there are batches that the chain does not name",
            ));
        }
        for topic in piece::topics(self.database)? {
            let of = |rows: &HashMap<String, i64>| rows.get(&*topic.name).copied().unwrap_or(0);
            if of(&self.gone) != of(&self.said_gone) || topic.kept_from != of(&self.said_gone) {
                let reason =
                    format!("topic `{}` has lost other rows than the chain says were removed", topic.name);
                return Err(StoreError::corrupt(None, reason));
            }
            let said_keyless = self.said_keyless.get(&*topic.name).map_or(0, |(keys, _)| *keys);
            if of(&self.keyless) != said_keyless {
                let reason =
                    format!("topic `{}` has lost other idempotency keys than the chain says", topic.name);
                return Err(StoreError::corrupt(None, reason));
            }
            if self.next_row.get(&*topic.name).copied().unwrap_or(0) != topic.events {
                return Err(StoreError::corrupt(
                    None,
                    format!("topic `{}` has other events than it says", topic.name),
                ));
            }
        }
        self.settings()?;
        if found.segments as usize != self.segments.len() {
            return Err(StoreError::corrupt(
                None,
                "there are archived files that no entry of the chain seals",
            ));
        }
        for (number, segment) in &self.segments {
            if self.rows_in.get(number) != Some(&segment.events) {
                let reason = format!("`{}` has other rows than the batches that are in it", segment.file);
                return Err(StoreError::corrupt(Some(segment.first_position as u64), reason));
            }
        }
        Ok(())
    }
}
