//! A segment: rows of one topic in a Parquet file, the store's own columns in front, that any tool reads as it is.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use cepheid_event::check_event_time;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter, RowSelection, RowSelector,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, RowGroupMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::Length;
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::body::Hash;
use crate::conform::widened;
use crate::error::{Doing, StoreError};
use crate::fronts::Fronts;
use crate::piece::{SegmentRow, StoredSchema, with_metadata_schema};
use crate::positioned::Positioned;
use crate::query::Condition;

/// Rows of a page: what a reader can pass over. As many as fit into a cache while they are decoded.
pub(crate) const PAGE_ROWS: usize = 8192;

/// Rows that are read at a time.
pub(crate) const READ_ROWS: usize = 65_536;

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
    /// Until the first page says how its columns are written.
    file: Option<File>,
    writer: Option<ArrowWriter<Hashing>>,
    schema: SchemaRef,
    topic: String,
    event_time: String,
}

impl SegmentWriter {
    /// A writer of rows of a topic, whose times are in the column `event_time`.
    pub(crate) fn new(file: File, schema: &SchemaRef, topic: &str, event_time: &str) -> Self {
        Self {
            file: Some(file),
            writer: None,
            schema: Arc::clone(schema),
            topic: topic.into(),
            event_time: event_time.into(),
        }
    }

    /// Begins the file. Columns of which differences are short are written so: those that count up by one, mostly, times,
    /// which go up by little, and integers that hardly repeat.
    fn begin(&mut self, file: File, first: Option<&RecordBatch>) -> Result<(), StoreError> {
        let hashing = Hashing { file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(PAGE_ROWS)
            .set_created_by(concat!("cepheid ", env!("CARGO_PKG_VERSION")).into());
        for (place, field) in self.schema.fields().iter().enumerate() {
            let counts = ["_position", "_row", "_version", "_recorded"].contains(&field.name().as_str());
            // Where times are secret, they are bytes.
            let is_time =
                *field.name() == self.event_time && check_event_time(field.name(), field.data_type()).is_ok();
            if counts || is_time || first.is_some_and(|rows| hardly_repeats(rows.column(place))) {
                let column = ColumnPath::new(vec![field.name().clone()]);
                properties = properties
                    .set_column_dictionary_enabled(column.clone(), false)
                    .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
            }
        }
        let writer = ArrowWriter::try_new(hashing, Arc::clone(&self.schema), Some(properties.build()));
        self.writer = Some(writer.map_err(|error| StoreError::Unarchivable {
            topic: self.topic.clone(),
            reason: error.to_string(),
        })?);
        Ok(())
    }

    /// Writes a page.
    ///
    /// # Errors
    /// [`StoreError::Unarchivable`] for columns that Parquet does not have; what the disk refuses.
    pub(crate) fn write(&mut self, rows: &RecordBatch, path: &Path) -> Result<(), StoreError> {
        if let Some(file) = self.file.take() {
            self.begin(file, Some(rows))?;
        }
        let writer = self.writer.as_mut().expect("begun with the first page");
        writer.write(rows).map_err(|error| failed(&self.topic, error, path))
    }

    /// The file, its hash, and its length.
    pub(crate) fn finish(mut self, path: &Path) -> Result<(File, Hash, u64), StoreError> {
        if let Some(file) = self.file.take() {
            self.begin(file, None)?;
        }
        let writer = self.writer.expect("begun with the first page, or now");
        let hashing = writer.into_inner().map_err(|error| failed(&self.topic, error, path))?;
        let Hashing { file, hash, bytes } = hashing;
        let file = file.into_inner().map_err(|error| StoreError::of_io(error.error(), "write", path))?;
        Ok((file, hash.finalize().into(), bytes))
    }
}

/// Bits of a difference that are no more than a place in a dictionary takes, by and large: the longest dictionary that Parquet
/// makes by itself has some 2<sup>17</sup> integers.
const DIFFERENCE_BITS_MAX: u32 = 20;

/// Whether integers of a page, or what Parquet keeps as such, hardly repeat, and are not far from each other: a dictionary of
/// them would be nearly as long as they are, and a reader that wants one row has to have all of it.
///
/// - Cost: O(n log n) for n rows of a page, once a file.
fn hardly_repeats(values: &ArrayRef) -> bool {
    let is_integer = values.data_type().is_integer() || values.data_type().is_temporal();
    if !is_integer || matches!(values.data_type(), DataType::Interval(_)) {
        return false;
    }
    let Ok(values) = cast(values, &DataType::Int64) else { return false };
    let values: Vec<i64> = values.as_primitive::<Int64Type>().iter().flatten().collect();
    let differences = values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let (least, greatest) = differences.fold((i64::MAX, i64::MIN), |(least, greatest), difference| {
        (least.min(difference), greatest.max(difference))
    });
    let bits = u64::BITS - (greatest.wrapping_sub(least) as u64).leading_zeros();
    let rows = values.len();
    if rows < 2 || bits > DIFFERENCE_BITS_MAX {
        return false;
    }
    let mut distinct = values;
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() > rows / 4 * 3
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
    /// What puts the store's columns in front, where they are not read; not together with a condition.
    pub(crate) fronts: Option<Fronts>,
    /// Those rows, of columns that were looked at: they are not read again. Not together with a condition.
    pub(crate) looked_at: Option<RecordBatch>,
}

/// A file that is open to be read.
pub(crate) struct SegmentFile {
    file: Positioned,
    metadata: ArrowReaderMetadata,
    path: PathBuf,
}

/// Rows of a file.
pub(crate) struct SegmentReader {
    /// Of the columns that were not looked at, if there are any.
    rows: Option<ParquetRecordBatchReader>,
    looked_at: Option<LookedAt>,
    path: PathBuf,
    refused: Refused,
    fronts: Option<Fronts>,
}

/// Columns that were looked at, to be put beside those that are read.
struct LookedAt {
    rows: RecordBatch,
    /// Rows that have been given.
    given: usize,
    /// Columns of what comes out, in the order of the file.
    schema: SchemaRef,
}

impl LookedAt {
    /// The next so many rows; `read`: of the other columns, if there are any.
    fn next(&mut self, count: usize, read: Option<&RecordBatch>) -> Result<RecordBatch, StoreError> {
        if count > self.left() {
            return Err(StoreError::corrupt(None, "an archived file has more rows than it had"));
        }
        let looked_at = self.rows.slice(self.given, count);
        self.given += count;
        let column = |field: &Arc<Field>| {
            let of = |rows: &RecordBatch| rows.column_by_name(field.name()).cloned();
            of(&looked_at).or_else(|| read.and_then(of)).expect("it is in one of the two")
        };
        let columns = self.schema.fields().iter().map(column).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Rows that are still to be given.
    fn left(&self) -> usize {
        self.rows.num_rows() - self.given
    }
}

/// What a condition said of a value: through the library it would come as text.
type Refused = Arc<Mutex<Option<StoreError>>>;

fn what_failed(refused: &Refused, otherwise: impl FnOnce() -> StoreError) -> StoreError {
    refused.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(otherwise)
}

impl SegmentReader {
    /// The next rows; `None`: those were all.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let next = catch_unwind(AssertUnwindSafe(|| self.rows.as_mut().and_then(Iterator::next)));
        let next = next.map_err(|_| asserted(&self.path))?;
        let mut rows = next.transpose().map_err(|error| {
            let reason = format!("the archived file `{}`: {error}", self.path.display());
            what_failed(&self.refused, || StoreError::corrupt(None, reason))
        })?;
        if let Some(looked_at) = &mut self.looked_at {
            let count = match (&rows, &self.rows) {
                (Some(rows), _) => rows.num_rows(),
                (None, None) => looked_at.left(),
                (None, Some(_)) => 0,
            };
            if count > 0 {
                rows = Some(looked_at.next(count, rows.as_ref())?);
            }
        }
        match (rows, &mut self.fronts) {
            (Some(rows), Some(fronts)) => fronts.put(&rows).map(Some),
            (None, Some(fronts)) => fronts.check_all_given().map(|()| None),
            (rows, None) => Ok(rows),
        }
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
        let file = Positioned::new(file).map_err(|error| StoreError::of_io(&error, "open", path))?;
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

    /// Opens a file that has been opened before, whose metadata are known; `None`: it is not there, or of another length.
    pub(crate) fn open_known(path: &Path, bytes: u64, metadata: ArrowReaderMetadata) -> Option<Self> {
        let file = Positioned::new(File::open(path).ok()?).ok()?;
        (file.len() == bytes).then(|| Self { file, metadata, path: path.into() })
    }

    /// What the file says of itself.
    pub(crate) fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }

    /// Columns as they are read.
    pub(crate) fn schema(&self) -> &Schema {
        self.metadata.schema()
    }

    /// The same file, of which some columns of text are read as the dictionaries that they are written as.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub(crate) fn with_dictionaries(&self, names: &[String]) -> Result<Self, StoreError> {
        let is_dictionary = |name: &str| {
            // Where a dictionary became too long, the rest of the column follows as plain text.
            let is_whole = |group: &RowGroupMetaData| {
                let chunk = group.columns().iter().find(|chunk| chunk.column_path().parts() == [name]);
                let encodings = chunk.and_then(ColumnChunkMetaData::page_encoding_stats_mask);
                encodings.is_some_and(|encodings| encodings.is_only(Encoding::RLE_DICTIONARY))
            };
            names.iter().any(|wanted| wanted == name)
                && self.metadata.metadata().row_groups().iter().all(is_whole)
        };
        let field = |field: &Arc<Field>| match field.data_type() {
            text @ (DataType::Utf8 | DataType::LargeUtf8) if is_dictionary(field.name()) => {
                let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(text.clone()));
                Arc::new(field.as_ref().clone().with_data_type(dictionary))
            }
            _ => Arc::clone(field),
        };
        let schema = Arc::new(Schema::new(self.schema().fields().iter().map(field).collect::<Vec<_>>()));
        let options = ArrowReaderOptions::new().with_schema(schema);
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(self.metadata.metadata()), options);
        let metadata = metadata.map_err(|error| StoreError::of_parquet(&error, &self.path))?;
        Ok(Self { file: self.file.clone(), metadata, path: self.path.clone() })
    }

    /// Reads rows of it.
    ///
    /// # Errors
    /// As [`open`](Self::open); what a condition says of a value.
    pub(crate) fn read(&self, wanted: Wanted<'_>) -> Result<SegmentReader, StoreError> {
        self.read_by(READ_ROWS, wanted)
    }

    /// Reads rows of it, so many at a time.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn read_by(&self, rows: usize, wanted: Wanted<'_>) -> Result<SegmentReader, StoreError> {
        let guarded = AssertUnwindSafe(|| self.read_unguarded(rows, wanted));
        catch_unwind(guarded).unwrap_or_else(|_| Err(asserted(&self.path)))
    }

    /// The columns that have some of the names.
    fn mask(&self, names: &[impl AsRef<str>]) -> ProjectionMask {
        let fields = self.metadata.schema().fields().iter().enumerate();
        let is_wanted = |name: &str| names.iter().any(|wanted| wanted.as_ref() == name);
        let places = fields.filter(|(_, field)| is_wanted(field.name())).map(|(place, _)| place);
        ProjectionMask::roots(self.metadata.parquet_schema(), places.collect::<Vec<_>>())
    }

    /// Those of the columns that have some of the names, as they are read; `None`: all.
    pub(crate) fn columns(&self, names: Option<&[String]>) -> SchemaRef {
        let is_wanted = |name: &String| names.is_none_or(|names| names.contains(name));
        let fields = self.schema().fields().iter().filter(|field| is_wanted(field.name()));
        Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
    }

    fn read_unguarded(&self, together: usize, wanted: Wanted<'_>) -> Result<SegmentReader, StoreError> {
        let refused = Refused::default();
        let path = self.path.clone();
        let looked_at = wanted.looked_at.map(|rows| {
            let schema = self.columns(wanted.columns);
            LookedAt { rows, given: 0, schema }
        });
        let others: Option<Vec<String>> = looked_at.as_ref().map(|LookedAt { rows, schema, .. }| {
            let names = schema.fields().iter().map(|field| field.name().clone());
            names.filter(|name| rows.column_by_name(name).is_none()).collect()
        });
        if others.as_ref().is_some_and(Vec::is_empty) {
            return Ok(SegmentReader { rows: None, looked_at, path, refused, fronts: wanted.fronts });
        }
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone());
        if let Some(columns) = others.as_deref().or(wanted.columns) {
            builder = builder.with_projection(self.mask(columns));
        }
        let mut rows_together = together;
        if wanted.ranges.iter().any(|(_, read)| !read) {
            // Room is made for as many as are read at a time, however few there are.
            let read = wanted.ranges.iter().filter(|(_, read)| *read).map(|(rows, _)| rows).sum();
            rows_together = together.min(read).max(1);
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
        Ok(SegmentReader { rows: Some(rows), looked_at, path, refused, fronts: wanted.fronts })
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

#[cfg(test)]
mod tests {
    use arrow_array::{
        DurationSecondArray, Float64Array, Int8Array, Int64Array, StringArray, TimestampMillisecondArray,
        UInt64Array,
    };
    use parquet::arrow::arrow_reader::ArrowReaderMetadata;

    use super::*;
    use crate::mixed::mixed;

    /// Numbers far from each other, in the order of none.
    fn numbers(rows: i64) -> impl Iterator<Item = i64> {
        let mut seed = 3;
        (0..rows).map(move |_| mixed(&mut seed) as i64)
    }

    #[test]
    fn integers_that_hardly_repeat_are_written_as_differences_and_read_as_they_were() {
        let rows = 3 * PAGE_ROWS as i64;
        let some = |few: i64| numbers(rows).map(move |number| number.rem_euclid(few));
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("many", Arc::new(Int64Array::from_iter_values(some(100_000))), true),
            (
                "many_and_null",
                Arc::new(Int64Array::from_iter(
                    some(90_000).map(|number| (number % 7 > 0).then_some(number)),
                )),
                true,
            ),
            ("few", Arc::new(Int64Array::from_iter_values(some(1000))), false),
            ("far", Arc::new(Int64Array::from_iter_values(numbers(rows))), false),
            ("small", Arc::new(Int8Array::from_iter_values(some(128).map(|number| number as i8))), false),
            (
                "unsigned",
                Arc::new(UInt64Array::from_iter_values(some(100_000).map(|number| u64::MAX - number as u64))),
                false,
            ),
            ("seen", Arc::new(TimestampMillisecondArray::from_iter_values(some(500_000))), true),
            ("took", Arc::new(DurationSecondArray::from_iter_values(some(200_000))), true),
            (
                "price",
                Arc::new(Float64Array::from_iter_values(some(100_000).map(|cents| cents as f64))),
                false,
            ),
            ("name", Arc::new(StringArray::from_iter_values(some(100_000).map(|n| n.to_string()))), false),
            ("null", Arc::new(Int64Array::new_null(rows as usize)), false),
        ];
        let batch =
            RecordBatch::try_from_iter(columns.iter().map(|(name, values, _)| (*name, Arc::clone(values))));
        let batch = batch.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment.parquet");
        let file = File::create_new(&path).unwrap();
        let mut writer = SegmentWriter::new(file, batch.schema_ref(), "t", "ts");
        for page in 0..3 {
            writer.write(&batch.slice(page * PAGE_ROWS, PAGE_ROWS), &path).unwrap();
        }
        writer.finish(&path).unwrap();

        let file = SegmentFile::open(&path, rows, batch.schema_ref()).unwrap();
        let mut read = file.read(Wanted::default()).unwrap();
        let mut found = vec![];
        while let Some(rows) = read.next().unwrap() {
            found.push(rows);
        }
        let found = arrow_select::concat::concat_batches(&found[0].schema(), &found).unwrap();
        assert_eq!(found.columns(), batch.columns());
        // A row in the middle of a page.
        let ranges = vec![(PAGE_ROWS + 77, false), (1, true), (rows as usize - PAGE_ROWS - 78, false)];
        let row = file.read(Wanted { ranges, ..Wanted::default() }).unwrap().next().unwrap().unwrap();
        assert_eq!(row.columns(), batch.slice(PAGE_ROWS + 77, 1).columns());

        let metadata = ArrowReaderMetadata::load(&File::open(&path).unwrap(), ArrowReaderOptions::new());
        let metadata = metadata.unwrap();
        let chunks = metadata.metadata().row_group(0).columns();
        for (chunk, (name, _, differs)) in chunks.iter().zip(columns) {
            let encoded = chunk.encodings().any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED);
            assert_eq!((encoded, chunk.dictionary_page_offset().is_none()), (differs, differs), "{name}");
        }
    }

    #[test]
    fn a_file_of_no_rows_is_a_file() {
        let schema = Arc::new(Schema::new(vec![Field::new("ts", DataType::Int64, false)]));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment.parquet");
        let writer = SegmentWriter::new(File::create_new(&path).unwrap(), &schema, "t", "ts");
        writer.finish(&path).unwrap();
        let file = SegmentFile::open(&path, 0, &schema).unwrap();
        assert!(file.read(Wanted::default()).unwrap().next().unwrap().is_none());
    }
}
