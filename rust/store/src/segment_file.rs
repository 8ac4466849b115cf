//! A segment: rows of one topic in a Parquet file, the store's own columns in front, that any tool reads as it is.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use cepheid_event::check_event_time;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter, RowSelection, RowSelector,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::body::Hash;
use crate::conform::widened;
use crate::error::{Doing, StoreError};
use crate::piece::{SegmentRow, StoredSchema, with_metadata_schema};
use crate::query::Condition;

/// Rows of a page: what a reader can pass over. As many as fit into a cache while they are decoded.
pub(crate) const PAGE_ROWS: usize = 8192;

/// Rows that are read at a time.
const READ_ROWS: usize = 65_536;

/// Writes bytes and hashes them.
struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A file in the making.
pub(crate) struct SegmentWriter {
    writer: ArrowWriter<Hashing>,
    topic: String,
}

impl SegmentWriter {
    /// A writer of rows of a topic, whose times are in the column `event_time`.
    ///
    /// # Errors
    /// [`StoreError::Unarchivable`] for columns that Parquet does not have.
    pub(crate) fn new(
        file: File,
        schema: &SchemaRef,
        topic: &str,
        event_time: &str,
    ) -> Result<Self, StoreError> {
        let hashing = Hashing { file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(PAGE_ROWS)
            .set_created_by(concat!("cepheid ", env!("CARGO_PKG_VERSION")).into());
        // They count up by one, mostly, and times go up by little: that is shorter than any dictionary, and read faster. Where
        // times are secret, they are bytes.
        let times = schema.field_with_name(event_time).ok();
        let times = times.filter(|field| check_event_time(field.name(), field.data_type()).is_ok());
        let counted =
            ["_position", "_row", "_version", "_recorded"].into_iter().chain(times.map(|_| event_time));
        for name in counted {
            let column = ColumnPath::new(vec![name.to_owned()]);
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        let unarchivable = |error: parquet::errors::ParquetError| StoreError::Unarchivable {
            topic: topic.into(),
            reason: error.to_string(),
        };
        let writer = ArrowWriter::try_new(hashing, Arc::clone(schema), Some(properties.build()))
            .map_err(unarchivable)?;
        Ok(Self { writer, topic: topic.into() })
    }

    pub(crate) fn write(&mut self, rows: &RecordBatch, path: &Path) -> Result<(), StoreError> {
        self.writer.write(rows).map_err(|error| failed(&self.topic, error, path))
    }

    /// The file, its hash, and its length.
    pub(crate) fn finish(self, path: &Path) -> Result<(File, Hash, u64), StoreError> {
        let hashing = self.writer.into_inner().map_err(|error| failed(&self.topic, error, path))?;
        let Hashing { file, hash, bytes } = hashing;
        let file = file.into_inner().map_err(|error| StoreError::of_io(error.error(), "write", path))?;
        Ok((file, hash.finalize().into(), bytes))
    }
}

fn failed(topic: &str, error: parquet::errors::ParquetError, path: &Path) -> StoreError {
    use parquet::errors::ParquetError;
    match error {
        ParquetError::External(source) => match source.downcast_ref::<std::io::Error>() {
            Some(error) => StoreError::of_io(error, "write", path),
            None => StoreError::Unarchivable { topic: topic.into(), reason: source.to_string() },
        },
        other => StoreError::Unarchivable { topic: topic.into(), reason: other.to_string() },
    }
}

/// The columns of a file of rows that are kept so.
pub(crate) fn schema(stored: &StoredSchema) -> SchemaRef {
    let kept = with_metadata_schema(&stored.kept);
    Arc::new(Schema::new(kept.fields().iter().map(|field| widened(field)).collect::<Vec<_>>()))
}

/// Which rows of a file are read.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// Columns by name; `None`: all.
    pub(crate) columns: Option<&'a [String]>,
    /// Ranges of rows, in order: each how many, and whether they are read. None: all are.
    pub(crate) ranges: Vec<(usize, bool)>,
    /// What has to hold of them, if all of its columns are in the file as they are: the topic is not.
    pub(crate) condition: Option<Condition>,
}

/// A file that is open to be read.
pub(crate) struct SegmentFile {
    file: File,
    metadata: ArrowReaderMetadata,
    path: PathBuf,
}

/// Rows of a file.
pub(crate) struct SegmentReader {
    rows: ParquetRecordBatchReader,
    path: PathBuf,
    refused: Refused,
}

/// What a condition said of a value: through the library it would come as text.
type Refused = Arc<Mutex<Option<StoreError>>>;

fn what_failed(refused: &Refused, otherwise: impl FnOnce() -> StoreError) -> StoreError {
    refused.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(otherwise)
}

impl SegmentReader {
    /// The next rows; `None`: those were all.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let next = catch_unwind(AssertUnwindSafe(|| self.rows.next()));
        let next = next.map_err(|_| asserted(&self.path))?;
        next.transpose().map_err(|error| {
            let reason = format!("the archived file `{}`: {error}", self.path.display());
            what_failed(&self.refused, || StoreError::corrupt(None, reason))
        })
    }
}

/// The library asserts some of what a damaged file does not hold to.
fn asserted(path: &Path) -> StoreError {
    StoreError::corrupt(None, format!("the archived file `{}` cannot be read", path.display()))
}

impl SegmentFile {
    /// Opens a file that has so many rows, of such columns.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is another, or none; what the disk refuses.
    pub(crate) fn open(path: &Path, rows: i64, schema: &Schema) -> Result<Self, StoreError> {
        let guarded = AssertUnwindSafe(|| Self::open_unguarded(path, rows, schema));
        catch_unwind(guarded).unwrap_or_else(|_| Err(asserted(path)))
    }

    fn open_unguarded(path: &Path, rows: i64, schema: &Schema) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                StoreError::corrupt(None, format!("the archived file `{}` is missing", path.display()))
            }
            _ => StoreError::of_io(&error, "open", path),
        })?;
        // Where pages are; what is in them the store knows better than the file.
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&file, options);
        let metadata = metadata.map_err(|error| StoreError::of_parquet(&error, path))?;
        let same = |(own, wanted): (&Arc<Field>, &Arc<Field>)| {
            // Some of Arrow's types come back as others, but not those of the store's own columns.
            own.name() == wanted.name()
                && (!own.name().starts_with('_') || own.data_type() == wanted.data_type())
        };
        let own = metadata.schema().fields();
        let is_same = own.len() == schema.fields().len() && own.iter().zip(schema.fields()).all(same);
        if metadata.metadata().file_metadata().num_rows() != rows || !is_same {
            return Err(StoreError::corrupt(
                None,
                format!("the archived file `{}` has other rows than it had", path.display()),
            ));
        }
        Ok(Self { file, metadata, path: path.into() })
    }

    /// Reads rows of it.
    ///
    /// # Errors
    /// As [`open`](Self::open); what a condition says of a value.
    pub(crate) fn read(&self, wanted: Wanted<'_>) -> Result<SegmentReader, StoreError> {
        let guarded = AssertUnwindSafe(|| self.read_unguarded(wanted));
        catch_unwind(guarded).unwrap_or_else(|_| Err(asserted(&self.path)))
    }

    /// The columns that have some of the names.
    fn mask(&self, names: &[impl AsRef<str>]) -> ProjectionMask {
        let fields = self.metadata.schema().fields().iter().enumerate();
        let is_wanted = |name: &str| names.iter().any(|wanted| wanted.as_ref() == name);
        let places = fields.filter(|(_, field)| is_wanted(field.name())).map(|(place, _)| place);
        ProjectionMask::roots(self.metadata.parquet_schema(), places.collect::<Vec<_>>())
    }

    fn read_unguarded(&self, wanted: Wanted<'_>) -> Result<SegmentReader, StoreError> {
        let refused = Refused::default();
        let file = self.file.try_clone().map_err(|error| StoreError::of_io(&error, "open", &self.path))?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        if let Some(columns) = wanted.columns {
            builder = builder.with_projection(self.mask(columns));
        }
        let mut rows_together = READ_ROWS;
        if wanted.ranges.iter().any(|(_, read)| !read) {
            // Room is made for as many as are read at a time, however few there are.
            let read = wanted.ranges.iter().filter(|(_, read)| *read).map(|(rows, _)| rows).sum();
            rows_together = READ_ROWS.min(read).max(1);
            let selector = |(rows, read): (usize, bool)| {
                if read { RowSelector::select(rows) } else { RowSelector::skip(rows) }
            };
            builder =
                builder.with_row_selection(RowSelection::from_iter(wanted.ranges.into_iter().map(selector)));
        }
        if let Some(condition) = wanted.condition {
            let mask = self.mask(&condition.columns());
            let says = Arc::clone(&refused);
            let predicate = ArrowPredicateFn::new(mask, move |rows| {
                let mask = condition.mask(&rows, "").map_err(|error| {
                    *says.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    ArrowError::ComputeError("a condition failed".into())
                })?;
                Ok(BooleanArray::new(mask, None))
            });
            builder = builder.with_row_filter(RowFilter::new(vec![Box::new(predicate)]));
        }
        let rows = builder.with_batch_size(rows_together).build();
        let rows =
            rows.map_err(|error| what_failed(&refused, || StoreError::of_parquet(&error, &self.path)))?;
        Ok(SegmentReader { rows, path: self.path.clone(), refused })
    }
}

/// Whether the store, as it is now, still names a segment.
///
/// # Errors
/// [`StoreError::Moved`] if not.
pub(crate) fn check_named(store: &Path, segment: &SegmentRow) -> Result<(), StoreError> {
    let now = crate::database::open_to_read(store)?;
    let query = "SELECT EXISTS (SELECT 1 FROM segments WHERE file = ?)";
    let is_named: bool =
        now.query_row(query, [&segment.file], |row| row.get(0)).doing("look for a segment")?;
    if is_named { Ok(()) } else { Err(StoreError::Moved { file: segment.file.clone() }) }
}

/// The hash of a file, and its length.
pub(crate) fn hash_file(path: &Path) -> Result<(Hash, u64), StoreError> {
    let mut file = File::open(path).map_err(|error| StoreError::of_io(&error, "open", path))?;
    let mut sink = HashSink(Sha256::new());
    let bytes =
        std::io::copy(&mut file, &mut sink).map_err(|error| StoreError::of_io(&error, "read", path))?;
    Ok((sink.0.finalize().into(), bytes))
}

struct HashSink(Sha256);

impl Write for HashSink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
