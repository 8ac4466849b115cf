//! A segment: rows of one topic in a Parquet file, the store's own columns in front, that any tool reads as it is.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    RowFilter, RowSelection, RowSelector,
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
    pub(crate) fn new(file: File, schema: &SchemaRef, topic: &str) -> Result<Self, StoreError> {
        let hashing = Hashing { file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(PAGE_ROWS)
            .set_created_by(concat!("cepheid ", env!("CARGO_PKG_VERSION")).into());
        // They count up by one, mostly.
        for name in ["_position", "_row", "_version", "_recorded"] {
            let column = ColumnPath::from(name);
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
pub(crate) struct Wanted<'a> {
    /// How many rows the file has, and which columns.
    pub(crate) rows: i64,
    pub(crate) schema: SchemaRef,
    /// Columns by name; `None`: all.
    pub(crate) columns: Option<&'a [String]>,
    /// Ranges of rows, in order: each how many, and whether they are read.
    pub(crate) ranges: Vec<(usize, bool)>,
    /// What has to hold of them, if all of its columns are in the file as they are: the topic is not.
    pub(crate) condition: Option<Condition>,
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

/// Opens a file to be read.
pub(crate) fn open(path: &Path, wanted: Wanted<'_>) -> Result<SegmentReader, StoreError> {
    catch_unwind(AssertUnwindSafe(|| open_unguarded(path, wanted))).unwrap_or_else(|_| Err(asserted(path)))
}

fn open_unguarded(path: &Path, wanted: Wanted<'_>) -> Result<SegmentReader, StoreError> {
    let corrupt = |error: parquet::errors::ParquetError| StoreError::of_parquet(&error, path);
    let refused = Refused::default();
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            StoreError::corrupt(None, format!("the archived file `{}` is missing", path.display()))
        }
        _ => StoreError::of_io(&error, "open", path),
    })?;
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let mut builder =
        ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(corrupt)?;
    let schema = Arc::clone(builder.schema());
    let rows = builder.metadata().file_metadata().num_rows();
    let same = |(own, wanted): (&Arc<Field>, &Arc<Field>)| {
        // Some of Arrow's types come back as others, but not those of the store's own columns.
        own.name() == wanted.name() && (!own.name().starts_with('_') || own.data_type() == wanted.data_type())
    };
    let is_same = schema.fields().len() == wanted.schema.fields().len()
        && schema.fields().iter().zip(wanted.schema.fields()).all(same);
    if rows != wanted.rows || !is_same {
        return Err(StoreError::corrupt(
            None,
            format!("the archived file `{}` has other rows than it had", path.display()),
        ));
    }
    let mask = |names: &dyn Fn(&str) -> bool, builder: &ParquetRecordBatchReaderBuilder<File>| {
        let places = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| names(field.name()))
            .map(|(place, _)| place);
        ProjectionMask::roots(builder.parquet_schema(), places.collect::<Vec<_>>())
    };
    if let Some(columns) = wanted.columns {
        let mask = mask(&|name| columns.iter().any(|column| column == name), &builder);
        builder = builder.with_projection(mask);
    }
    if wanted.ranges.iter().any(|(_, read)| !read) {
        let selector = |(rows, read): (usize, bool)| {
            if read { RowSelector::select(rows) } else { RowSelector::skip(rows) }
        };
        builder =
            builder.with_row_selection(RowSelection::from_iter(wanted.ranges.into_iter().map(selector)));
    }
    if let Some(condition) = wanted.condition {
        let names: Vec<String> = condition.columns().into_iter().map(str::to_owned).collect();
        let mask = mask(&|name| names.iter().any(|column| column == name), &builder);
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
    let rows = builder.with_batch_size(READ_ROWS).build();
    let rows = rows.map_err(|error| what_failed(&refused, || corrupt(error)))?;
    Ok(SegmentReader { rows, path: path.into(), refused })
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
