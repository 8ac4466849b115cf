//! Verification: the chain from its beginning, and every byte that it vouches for.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, params};
use serde::Deserialize;

use crate::archive::{folder, hex};
use crate::body::{Hash, hash};
use crate::chain::{self, Link};
use crate::commit::Heads;
use crate::database;
use crate::error::{Doing, StoreError};
use crate::piece::{self, BatchRow, Schemas, SegmentRow};
use crate::segment_file;
use crate::signature::Signature;

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
            StoreError::Disk { .. } | StoreError::DiskFull { .. } => return Err(error),
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
    /// Segments that there are, by number; those that are not checked yet.
    segments: HashMap<i64, SegmentRow>,
    /// By segment: rows of the batches that are in it.
    rows_in: HashMap<i64, i64>,
    /// By topic: rows that are gone, as batches have it; as entries say it.
    gone: HashMap<String, i64>,
    said_gone: HashMap<String, i64>,
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
            "remove" => {
                let said: Removal = serde_json::from_str(said)
                    .map_err(|error| StoreError::corrupt(None, error.to_string()))?;
                *self.said_gone.entry(said.topic).or_default() += said.events;
                Ok(())
            }
            "sign" => {
                let signature: Signature = serde_json::from_str(said)
                    .map_err(|error| StoreError::corrupt(None, format!("a signature: {error}")))?;
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
        let row = self.next_row.entry(batch.header.topic.clone()).or_default();
        if batch.header.first_position != self.next_position || batch.header.first_row != *row {
            return Err(StoreError::corrupt(position, "it does not go on where the batch before it ended"));
        }
        *row += batch.header.events;
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
            && said["events"] == segment.events;
        if !is_said {
            return Err(corrupt(format!("what is written of `{}` is not what was archived", segment.file)));
        }
        let file = folder(self.path).join(&segment.file);
        if !file.is_file() {
            return Err(corrupt(format!("the archived file `{}` is missing", segment.file)));
        }
        let (hash, _) = segment_file::hash_file(&file)?;
        if hash != segment.file_hash {
            return Err(corrupt(format!("the archived file `{}` is not as it was written", segment.file)));
        }
        for page in piece::pages(self.database, number, true)? {
            let summary = page.summary(segment, piece::schema(&self.schemas, segment.schema)?)?;
            piece::check_filters(self.database, number, page.first_row, &summary)?;
        }
        found.segments += 1;
        found.events += segment.events as u64;
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
            if self.next_row.get(&*topic.name).copied().unwrap_or(0) != topic.events {
                return Err(StoreError::corrupt(
                    None,
                    format!("topic `{}` has other events than it says", topic.name),
                ));
            }
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
