//! What is known of segments without their rows being read, kept for whoever reads next: a segment never changes.
//!
//! - Time: one look by the hash of the segment's file. To read it once more takes as long as a question to one segment of
//!   which nothing matters: its pages, what is known of each of their columns, and where they are in the file.
//! - Space: what is kept is bounded; what is used again stays, and what is read in passing does not drive it out.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use rusqlite::Connection;

use crate::body::Hash;
use crate::error::StoreError;
use crate::piece::{self, PageRow, SegmentRow, StoredSchema};
use crate::segment_file::{self, SegmentFile};
use crate::summary::Summary;

/// What is kept of pages, and of files, each: some fifty segments of a million rows and ten columns.
const KEPT_BYTES: u64 = 16 << 20;

/// Segments that are kept, about, where they are small.
const KEPT_SEGMENTS: usize = 256;

/// What is known of a segment's pages.
#[derive(Debug)]
pub(crate) struct KnownPages {
    /// In order, without what is known of their columns.
    pub(crate) rows: Vec<PageRow>,
    /// What is known of the columns of each.
    pub(crate) summaries: Vec<Summary>,
    bytes: u64,
}

/// What is known of the segments of a store.
pub(crate) struct KnownSegments {
    pages: Mutex<Cache<Hash, Arc<KnownPages>, ByPages>>,
    files: Mutex<Cache<Hash, ArrowReaderMetadata, ByFile>>,
}

#[derive(Clone)]
struct ByPages;

impl Weighter<Hash, Arc<KnownPages>> for ByPages {
    fn weight(&self, _: &Hash, pages: &Arc<KnownPages>) -> u64 {
        pages.bytes
    }
}

#[derive(Clone)]
struct ByFile;

impl Weighter<Hash, ArrowReaderMetadata> for ByFile {
    fn weight(&self, _: &Hash, file: &ArrowReaderMetadata) -> u64 {
        file.metadata().memory_size() as u64
    }
}

impl KnownSegments {
    /// Of a store of which nothing is known yet.
    pub(crate) fn new() -> Self {
        Self::of(KEPT_BYTES)
    }

    fn of(bytes: u64) -> Self {
        Self {
            pages: Mutex::new(Cache::with_weighter(KEPT_SEGMENTS, bytes, ByPages)),
            files: Mutex::new(Cache::with_weighter(KEPT_SEGMENTS, bytes, ByFile)),
        }
    }

    /// The pages of a segment; `None`: some are not what was written, which is to be said of none but those that are asked.
    ///
    /// # Errors
    /// What the disk refuses.
    pub(crate) fn pages(
        &self,
        database: &Connection,
        segment: &SegmentRow,
        schema: &StoredSchema,
    ) -> Result<Option<Arc<KnownPages>>, StoreError> {
        if let Some(known) = locked(&self.pages).get(&segment.file_hash) {
            return Ok(Some(Arc::clone(known)));
        }
        let mut rows = piece::pages(database, segment.segment, true)?;
        let mut summaries = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        for row in &mut rows {
            let Ok(summary) = row.summary(segment, schema) else { return Ok(None) };
            bytes += size_of::<PageRow>() + summary.bytes();
            row.summary = vec![];
            summaries.push(summary);
        }
        let known = Arc::new(KnownPages { rows, summaries, bytes: bytes as u64 });
        locked(&self.pages).insert(segment.file_hash, Arc::clone(&known));
        Ok(Some(known))
    }

    /// Opens the file of a segment.
    ///
    /// # Errors
    /// As [`SegmentFile::open`].
    pub(crate) fn open(
        &self,
        path: &Path,
        segment: &SegmentRow,
        schema: &StoredSchema,
    ) -> Result<SegmentFile, StoreError> {
        let known = locked(&self.files).get(&segment.file_hash).cloned();
        if let Some(known) = known
            && let Some(file) = SegmentFile::open_known(path, segment.bytes as u64, known)
        {
            return Ok(file);
        }
        let file = SegmentFile::open(path, segment.events, &segment_file::schema(schema))?;
        locked(&self.files).insert(segment.file_hash, file.metadata().clone());
        Ok(file)
    }

    /// Keeps nothing of what is known so far.
    pub(crate) fn clear(&self) {
        locked(&self.pages).clear();
        locked(&self.files).clear();
    }
}

/// What is kept is whole whatever happens.
fn locked<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use cepheid_event::Table;
    use cepheid_ir::{BinaryOp, Expr, RowPointer};

    use super::*;
    use crate::append::Append;
    use crate::connections::Connections;
    use crate::log::{EventLog, LogOptions};
    use crate::query::Query;
    use crate::reader::Reader;

    /// Two segments of 20,000 rows each.
    fn store(path: &Path) -> EventLog {
        let clock = AtomicI64::new(0);
        let options = LogOptions {
            event_time: None,
            author: "a".into(),
            clock: Arc::new(move || clock.fetch_add(1, Ordering::Relaxed)),
        };
        let log = EventLog::open(path, options).unwrap();
        for first in [0, 20_000] {
            let times: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 20_000));
            let rows = RecordBatch::try_from_iter([("ts", times)]).unwrap();
            let rows = Table::new(rows.schema(), vec![rows]).unwrap();
            let topic = "a".into();
            let append = Append { topic, rows, stream: None, expected_version: None, idempotency_key: None };
            log.append(append).unwrap();
            log.seal(&[], 1).unwrap();
        }
        log
    }

    /// Times of rows from one time to before another.
    fn read(connections: &Arc<Connections>, from: i64, to: i64) -> Result<usize, StoreError> {
        let bound = |op, bound: i64| {
            let column = Expr::Column { name: "ts".into(), quoted: false, at: RowPointer::default() };
            Expr::Binary { op, left: Box::new(column), right: Box::new(Expr::Literal(bound.into())) }
        };
        let within = vec![bound(BinaryOp::GreaterOrEqual, from), bound(BinaryOp::Less, to)];
        let query = Query { condition: Some(Expr::And(within)), ..Query::default() };
        let mut reader = Reader::over(connections, &query)?;
        let mut rows = 0;
        while let Some(batch) = reader.next_batch()? {
            rows += batch.num_rows();
        }
        Ok(rows)
    }

    fn kept(connections: &Connections) -> (usize, usize) {
        (locked(&connections.known().pages).len(), locked(&connections.known().files).len())
    }

    #[test]
    fn what_is_known_is_read_once_and_forgotten_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = store(&folder.path().join("s.db"));
        let connections = Connections::new(log.path());
        assert_eq!(read(&connections, 39_000, 41_000).unwrap(), 1000);
        // Of both segments it was asked what they have, and one was opened.
        assert_eq!(kept(&connections), (2, 1));
        let first = || locked(&connections.known().pages).iter().map(|(_, pages)| Arc::as_ptr(pages)).min();
        let before = first();
        assert_eq!(read(&connections, 100, 39_990).unwrap(), 39_890);
        assert_eq!((kept(&connections), first()), ((2, 2), before));
        assert_eq!(log.compact(&[]).unwrap().segments, 1);
        assert_eq!(read(&connections, 100, 39_990).unwrap(), 39_890);
        assert_eq!(kept(&connections), (3, 3));
        connections.close();
        assert_eq!(kept(&connections), (0, 0));
        assert_eq!(read(&connections, 39_000, 41_000).unwrap(), 1000);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let log = store(&folder.path().join("s.db"));
        let connections = Connections::new(log.path());
        read(&connections, 0, 40_000).unwrap();
        let bytes = locked(&connections.known().pages).weight();
        assert!(bytes > 6 * size_of::<Summary>() as u64 && bytes < 10_000, "{bytes}");

        let lent = connections.begin().unwrap();
        let schemas = piece::schemas(&lent, 1).unwrap();
        let segments = piece::segments(&lent, None).unwrap();
        for (room, kept) in [(10 * bytes, 2..=2), (bytes, 0..=2), (100, 0..=0)] {
            let known = KnownSegments::of(room);
            for segment in segments.iter().chain(&segments) {
                assert_eq!(known.pages(&lent, segment, &schemas[0].1).unwrap().unwrap().rows.len(), 3);
            }
            let kept_now = locked(&known.pages);
            assert!(kept_now.weight() <= room);
            assert!(kept.contains(&kept_now.len()), "{} in {room} bytes", kept_now.len());
        }
    }

    #[test]
    fn of_a_page_that_is_damaged_it_is_said_where_it_is_asked_and_of_a_file_always() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let log = store(&path);
        let connections = Connections::new(log.path());
        assert_eq!(read(&connections, 20_000, 40_000).unwrap(), 20_000);
        let file = piece::segments(&connections.begin().unwrap(), None).unwrap().remove(1).file;
        let file = crate::archive::folder(&path).join(file);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(read(&connections, 20_000, 40_000), Err(StoreError::Corrupt { .. })));
        std::fs::write(&file, &whole).unwrap();
        assert_eq!(read(&connections, 20_000, 40_000).unwrap(), 20_000);
        drop(log);

        let connections = Connections::new(&path);
        let damage = Connection::open(&path).unwrap();
        damage.execute("UPDATE pages SET summary = x'00' WHERE first_row = 0 AND segment = 2", []).unwrap();
        let asked = |times: (i64, i64)| {
            let query = Query { times: (Some(times.0), Some(times.1)), ..Query::default() };
            let condition = Expr::IsNull(Box::new(Expr::Column {
                name: "ts".into(),
                quoted: false,
                at: RowPointer::default(),
            }));
            let mut reader = Reader::over(&connections, &Query { condition: Some(condition), ..query })?;
            reader.next_batch()
        };
        for _ in 0..2 {
            assert!(asked((30_000, 40_000)).unwrap().is_none());
            assert!(matches!(asked((0, 40_000)), Err(StoreError::Corrupt { .. })));
        }
    }
}
