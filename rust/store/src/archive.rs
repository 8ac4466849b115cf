//! Archiving: rows of the journal, and small segments, become segments.
//!
//! A segment's file is there, whole and on the disk, before the store knows of it, and what it replaces is removed by the
//! very commit that names it: after a crash in between, the rows are where they were, and the file is removed when the
//! store is opened to be written.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use rusqlite::params;
use serde_json::json;

use crate::append::{extremes, times};
use crate::body::{Hash, hash};
use crate::commit::Commit;
use crate::conform::conform;
use crate::disk::{self, beside};
use crate::error::StoreError;
use crate::log::EventLog;
use crate::piece::{self, BatchRow, Schemas, SegmentRow, StoredSchema, TopicRow};
use crate::reader::positions;
use crate::segment_file::{self, PAGE_ROWS, SegmentFile, SegmentWriter, Wanted};
use crate::summary::{Filters, Summary};
use crate::topic::{TopicPattern, folder_name};

/// Most rows of a segment.
pub const SEGMENT_ROWS_MAX: i64 = 1 << 20;

/// Segments with fewer rows are put together with those next to them.
const SEGMENT_ROWS_SMALL: i64 = SEGMENT_ROWS_MAX / 2;

/// Batches of the journal that are listed at a time.
const LOOK_AHEAD: usize = 65_536;

/// What archiving did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Files that were written.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// The folder that a store's segments are in.
pub fn folder(store: &Path) -> PathBuf {
    beside(store, "-archive")
}

/// A segment's file as the store names it: by its place in the folder, with `/` between.
pub(crate) fn file_name(folder: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(folder).unwrap_or(file);
    inside.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// What a segment is made of.
enum Source {
    Journal(Vec<BatchRow>),
    Segments(Vec<SegmentRow>),
}

impl Source {
    fn first(&self) -> (i64, i64, i64) {
        match self {
            Self::Journal(batches) => {
                let header = &batches[0].header;
                (header.first_position, header.first_row, batches[0].schema)
            }
            Self::Segments(segments) => {
                (segments[0].first_position, segments[0].first_row, segments[0].schema)
            }
        }
    }

    fn last_position(&self) -> i64 {
        match self {
            Self::Journal(batches) => batches.last().map_or(0, |batch| batch.end() - 1),
            Self::Segments(segments) => segments.last().map_or(0, |segment| segment.last_position),
        }
    }

    fn events(&self) -> i64 {
        match self {
            Self::Journal(batches) => batches.iter().map(|batch| batch.header.events).sum(),
            Self::Segments(segments) => segments.iter().map(|segment| segment.events).sum(),
        }
    }
}

/// A page as it is written down.
struct Page {
    first_row: i64,
    first_position: i64,
    events: i64,
    times: Option<(i64, i64)>,
    summary: Vec<u8>,
    filters: Filters,
}

/// A file's hash, its length, and what is known of its pages.
type FileParts = (Hash, u64, Vec<Page>);

/// A file that has been written, of which the store does not know yet.
struct Written {
    name: String,
    hash: Hash,
    bytes: u64,
    pages: Vec<Page>,
}

impl EventLog {
    /// Archives the journal of topics (of all, if none is named) where it has at least `events_min` events.
    ///
    /// Appends go on meanwhile: only the end of each segment waits for its turn among them.
    ///
    /// # Errors
    /// [`StoreError::Unarchivable`] for columns that Parquet does not have; [`StoreError::Corrupt`]; what the disk refuses.
    /// What was archived before stays archived.
    pub fn seal(&self, topics: &[TopicPattern], events_min: u64) -> Result<Sealed, StoreError> {
        let _one_at_a_time = self.archiving();
        let mut sealed = Sealed::default();
        let mut unarchivable = None;
        for topic in self.topics_of(topics)? {
            match self.seal_topic(&topic, events_min, &mut sealed) {
                // The others can be.
                Err(error @ StoreError::Unarchivable { .. }) => drop(unarchivable.get_or_insert(error)),
                done => done?,
            }
        }
        unarchivable.map_or(Ok(sealed), Err)
    }

    fn seal_topic(&self, topic: &TopicRow, events_min: u64, sealed: &mut Sealed) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let reading = self.reading()?;
            let schemas: Schemas = piece::schemas(&reading, topic.topic)?.into_iter().collect();
            let batches = piece::journal(&reading, topic.topic, after, LOOK_AHEAD, &schemas)?;
            drop(reading);
            let waiting: i64 = batches.iter().map(|batch| batch.header.events).sum();
            if batches.is_empty()
                || (after == 0 && batches.len() < LOOK_AHEAD && (waiting as u64) < events_min)
            {
                return Ok(());
            }
            after = batches.last().map_or(after, |batch| batch.header.batch);
            for batches in runs(batches, |batch| (batch.schema, batch.header.first_row, batch.header.events))
            {
                self.make_segment(topic, &schemas, &Source::Journal(batches), sealed)?;
            }
        }
    }

    /// Puts small segments that follow each other together.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn compact(&self, topics: &[TopicPattern]) -> Result<Sealed, StoreError> {
        let _one_at_a_time = self.archiving();
        let mut sealed = Sealed::default();
        for topic in self.topics_of(topics)? {
            let reading = self.reading()?;
            let schemas: Schemas = piece::schemas(&reading, topic.topic)?.into_iter().collect();
            let segments = piece::segments(&reading, Some(topic.topic))?;
            drop(reading);
            for segments in runs(segments, |segment| (segment.schema, segment.first_row, segment.events)) {
                if segments.len() < 2 || segments.iter().all(|segment| segment.events >= SEGMENT_ROWS_SMALL) {
                    continue;
                }
                let before: Vec<String> = segments.iter().map(|segment| segment.file.clone()).collect();
                self.make_segment(&topic, &schemas, &Source::Segments(segments), &mut sealed)?;
                for file in before {
                    disk::remove_file(&folder(self.path()).join(file))?;
                }
            }
        }
        Ok(sealed)
    }

    pub(crate) fn topics_of(&self, topics: &[TopicPattern]) -> Result<Vec<TopicRow>, StoreError> {
        let fits =
            |topic: &TopicRow| topics.is_empty() || topics.iter().any(|pattern| pattern.fits(&topic.name));
        Ok(piece::topics(&self.reading()?)?.into_iter().filter(fits).collect())
    }

    fn make_segment(
        &self,
        topic: &TopicRow,
        schemas: &Schemas,
        source: &Source,
        sealed: &mut Sealed,
    ) -> Result<(), StoreError> {
        let stored = piece::schema(schemas, source.first().2)?;
        let archive = folder(self.path());
        let inside = archive.join(folder_name(&topic.name));
        disk::make_folder(&inside)?;
        let file = inside.join(format!("{:016}-{}.parquet", source.first().1, source.events()));
        let write = |unfinished| {
            // What the library for Parquet does not have it refuses, or asserts.
            let write = AssertUnwindSafe(|| self.write_rows(unfinished, &file, topic, stored, source));
            catch_unwind(write).unwrap_or_else(|_| {
                let reason = "the library for Parquet does not have one of its types".into();
                Err(StoreError::Unarchivable { topic: topic.name.to_string(), reason })
            })
        };
        let (hash, bytes, pages) = disk::write_whole(&file, write)?;
        let written = Written { name: file_name(&archive, &file), hash, bytes, pages };
        if let Err(error) = self.change(|commit| name_segment(commit, topic, source, &written)) {
            // Where it is not known what is on the disk, the store may name the file when it is opened again; if it does not,
            // that removes it.
            if !error.poisons() {
                let _ = disk::remove_file(&file);
            }
            return Err(error);
        }
        sealed.segments += 1;
        sealed.events += source.events() as u64;
        sealed.bytes += bytes;
        Ok(())
    }

    /// Writes the rows of a segment, page by page.
    fn write_rows(
        &self,
        file: std::fs::File,
        path: &Path,
        topic: &TopicRow,
        stored: &StoredSchema,
        source: &Source,
    ) -> Result<(std::fs::File, FileParts), StoreError> {
        let schema = segment_file::schema(stored);
        let mut pages = Pages {
            writer: SegmentWriter::new(file, &schema, &topic.name, self.event_time()),
            pages: vec![],
            open: vec![],
            rows: 0,
        };
        match source {
            Source::Journal(batches) => {
                let reading = self.reading()?;
                for batch in batches {
                    pages.add(conform(&batch.rows(&reading, stored)?, &schema)?, path, self.event_time())?;
                }
            }
            Source::Segments(segments) => {
                for segment in segments {
                    let from = folder(self.path()).join(&segment.file);
                    let file = SegmentFile::open(&from, segment.events, &schema)?;
                    let mut rows = file.read(Wanted::default())?;
                    while let Some(rows) = rows.next()? {
                        // A file says by itself whether a column has NULLs.
                        pages.add(conform(&rows, &schema)?, path, self.event_time())?;
                    }
                }
            }
        }
        pages.close(path, self.event_time())?;
        let Pages { writer, pages, .. } = pages;
        let (file, hash, bytes) = writer.finish(path)?;
        Ok((file, (hash, bytes, pages)))
    }
}

/// Rows as they become pages.
struct Pages {
    writer: SegmentWriter,
    pages: Vec<Page>,
    /// Rows of the page that is not full yet.
    open: Vec<RecordBatch>,
    rows: usize,
}

impl Pages {
    fn add(&mut self, rows: RecordBatch, path: &Path, event_time: &str) -> Result<(), StoreError> {
        let mut start = 0;
        while start < rows.num_rows() {
            let length = (PAGE_ROWS - self.rows).min(rows.num_rows() - start);
            self.open.push(rows.slice(start, length));
            self.rows += length;
            start += length;
            if self.rows == PAGE_ROWS {
                self.close(path, event_time)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, path: &Path, event_time: &str) -> Result<(), StoreError> {
        let Some(first) = self.open.first() else { return Ok(()) };
        let rows = arrow_select::concat::concat_batches(&first.schema(), &self.open)?;
        let own = crate::piece::kept_metadata().len()..rows.num_columns();
        let own = rows.project(&own.collect::<Vec<_>>())?;
        // A time that is kept secret is bytes: nothing is known of it.
        let times = times(&own, event_time).unwrap_or(None);
        let (summary, filters) = Summary::of(&own, times.as_deref());
        self.pages.push(Page {
            first_position: positions(&rows)[0],
            first_row: self.pages.last().map_or(0, |page| page.first_row + page.events),
            events: rows.num_rows() as i64,
            times: times.as_deref().and_then(extremes),
            summary: summary.encode(),
            filters,
        });
        self.writer.write(&rows, path)?;
        self.open.clear();
        self.rows = 0;
        Ok(())
    }
}

/// Rows that follow each other in one schema, at most [`SEGMENT_ROWS_MAX`] together.
fn runs<T>(pieces: Vec<T>, about: impl Fn(&T) -> (i64, i64, i64)) -> Vec<Vec<T>> {
    let mut runs: Vec<Vec<T>> = vec![];
    let mut events = 0;
    let mut before: Option<(i64, i64)> = None;
    for piece in pieces {
        let (schema, first_row, rows) = about(&piece);
        let goes_on = before == Some((schema, first_row)) && events + rows <= SEGMENT_ROWS_MAX;
        match runs.last_mut() {
            Some(run) if goes_on => run.push(piece),
            _ => {
                runs.push(vec![piece]);
                events = 0;
            }
        }
        events += rows;
        before = Some((schema, first_row + rows));
    }
    runs
}

/// Has the store know of a segment, and forget what it was made of.
fn name_segment(
    commit: &mut Commit<'_>,
    topic: &TopicRow,
    source: &Source,
    written: &Written,
) -> Result<(), StoreError> {
    let (first_position, first_row, schema) = source.first();
    let last_position = source.last_position();
    let times = written.pages.iter().filter_map(|page| page.times);
    let times = times.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    // Of a page without times it is not known when its events were.
    let times = times.filter(|_| written.pages.iter().all(|page| page.times.is_some()));
    let said = json!({
        "topic": &*topic.name,
        "first_position": first_position,
        "last_position": last_position,
        "first_row": first_row,
        "events": source.events(),
        "file": written.name,
        "sha256": hex(&written.hash),
        "bytes": written.bytes,
        "times": times.map(|times| [times.0, times.1]),
        "pages_sha256": hex(&pages_hash(written.pages.iter().map(|page| PagePlace {
            first_row: page.first_row,
            first_position: page.first_position,
            events: page.events,
            times: page.times,
            summary_hash: hash(&page.summary),
        }))),
        "replaces": match source {
            Source::Journal(_) => vec![],
            Source::Segments(segments) => segments.iter().map(|segment| segment.file.clone()).collect(),
        },
    });
    let segment = commit.note("seal", &said.to_string())?;
    let says = params![
        segment,
        topic.topic,
        schema,
        first_position,
        last_position,
        first_row,
        source.events(),
        times.map(|times| times.0),
        times.map(|times| times.1),
        written.bytes as i64,
        written.name,
        written.hash.as_slice(),
    ];
    const ACTION: &str = "archive rows";
    commit.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", says, ACTION)?;
    for page in &written.pages {
        let summary_hash = hash(&page.summary);
        let says = params![
            segment,
            page.first_row,
            page.first_position,
            page.events,
            page.times.map(|times| times.0),
            page.times.map(|times| times.1),
            summary_hash.as_slice(),
            page.summary,
        ];
        commit.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", says, ACTION)?;
        commit.filters(segment, page.first_row, &page.filters)?;
    }
    let mut row = 0;
    match source {
        Source::Journal(batches) => {
            for batch in batches {
                let number = batch.header.batch;
                let update =
                    "UPDATE batches SET segment = ?, segment_row = ? WHERE batch = ? AND segment IS NULL";
                if commit.execute(update, params![segment, row, number], ACTION)? != 1 {
                    let reason = "its rows were removed while they were archived: do it again";
                    return Err(StoreError::InvalidOption { option: "seal", reason: reason.into() });
                }
                commit.execute("DELETE FROM bodies WHERE batch = ?", [number], ACTION)?;
                commit.execute("DELETE FROM summaries WHERE batch = ?", [number], ACTION)?;
                commit.execute("DELETE FROM filters WHERE owner = ?", [number], ACTION)?;
                row += batch.header.events;
            }
        }
        Source::Segments(segments) => {
            for before in segments {
                let says = params![segment, row, before.segment];
                let update =
                    "UPDATE batches SET segment = ?, segment_row = segment_row + ? WHERE segment = ?";
                commit.execute(update, says, ACTION)?;
                commit.execute("DELETE FROM pages WHERE segment = ?", [before.segment], ACTION)?;
                commit.execute("DELETE FROM filters WHERE owner = ?", [before.segment], ACTION)?;
                commit.execute("DELETE FROM segments WHERE segment = ?", [before.segment], ACTION)?;
                row += before.events;
            }
        }
    }
    Ok(())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is written of a page.
#[derive(Clone, Copy)]
pub(crate) struct PagePlace {
    pub(crate) first_row: i64,
    pub(crate) first_position: i64,
    pub(crate) events: i64,
    pub(crate) times: Option<(i64, i64)>,
    pub(crate) summary_hash: Hash,
}

/// What stands in the chain for all that is written of pages.
pub(crate) fn pages_hash(pages: impl Iterator<Item = PagePlace>) -> Hash {
    let mut bytes = vec![];
    for page in pages {
        let times = page.times.map_or([0; 3], |times| [1, times.0, times.1]);
        for number in [page.first_row, page.first_position, page.events].into_iter().chain(times) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&page.summary_hash);
    }
    hash(&bytes)
}
