//! What the rows of a topic are in: batches of the journal, and segments of the archive.

use std::collections::HashMap;
use std::path::{Component, Path};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_event::ipc::schema_of;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::append::PreparedSchema;
use crate::body::{self, Hash, hash};
use crate::chain::BatchHeader;
use crate::conform::metadata_fields;
use crate::error::{Doing, StoreError};
use crate::protection::stored_schema;
use crate::saved::names_of;
use crate::summary::{Filter, Summary};

/// A topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicRow {
    pub(crate) topic: i64,
    pub(crate) name: Arc<str>,
    pub(crate) events: i64,
    pub(crate) kept_from: i64,
}

/// All topics, in the order in which they came.
pub(crate) fn topics(database: &Connection) -> Result<Vec<TopicRow>, StoreError> {
    let mut statement = database
        .prepare("SELECT topic, name, events, kept_from FROM topics ORDER BY topic")
        .doing("list topics")?;
    let topic = |row: &Row<'_>| {
        let name: String = row.get(1)?;
        Ok(TopicRow { topic: row.get(0)?, name: name.into(), events: row.get(2)?, kept_from: row.get(3)? })
    };
    let topics = statement.query_map([], topic).doing("list topics")?;
    topics.collect::<rusqlite::Result<_>>().doing("list topics")
}

/// Topics that have events of a stream, by number.
pub(crate) fn topics_of_stream(database: &Connection, stream: &str) -> Result<Vec<i64>, StoreError> {
    let query = "SELECT DISTINCT topic FROM batches WHERE stream = ?";
    let mut statement = database.prepare(query).doing("look for a stream")?;
    let topics = statement.query_map([stream], |row| row.get(0)).doing("look for a stream")?;
    topics.collect::<rusqlite::Result<_>>().doing("look for a stream")
}

/// Columns of rows.
#[derive(Clone, Debug)]
pub(crate) struct StoredSchema {
    /// As they were given.
    pub(crate) given: SchemaRef,
    /// As they are kept: what is secret is bytes.
    pub(crate) kept: SchemaRef,
    pub(crate) protected: Arc<[String]>,
    pub(crate) digest: Hash,
}

impl StoredSchema {
    fn of(columns: &[u8], protected: &str) -> Result<Self, StoreError> {
        let given = schema_of(columns).map_err(|error| StoreError::corrupt(None, error.to_string()))?;
        if given.flattened_fields().into_iter().any(has_zero) {
            return Err(StoreError::corrupt(
                None,
                "a column's name or time zone is none that Arrow hands over",
            ));
        }
        let names = names_of(protected)?;
        // What is erased is NULL, whatever was said of the column.
        let field = |field: &Arc<Field>| {
            let is_secret = names.contains(field.name());
            if is_secret { Arc::new(field.as_ref().clone().with_nullable(true)) } else { Arc::clone(field) }
        };
        let given = Arc::new(Schema::new(given.fields().iter().map(field).collect::<Vec<_>>()));
        let kept = stored_schema(&given, &names);
        Ok(Self { given, kept, protected: names.into(), digest: PreparedSchema::digest(columns, protected) })
    }
}

/// Whether a text of a field ends, for those to whom it is handed over, before it does: only damage writes one.
fn has_zero(field: &Field) -> bool {
    let zone = matches!(field.data_type(), DataType::Timestamp(_, Some(zone)) if zone.contains('\0'));
    zone || field.name().contains('\0')
}

/// The schemas of a topic's rows, in the order in which they came.
pub(crate) fn schemas(database: &Connection, topic: i64) -> Result<Vec<(i64, StoredSchema)>, StoreError> {
    let query = "SELECT schema, columns, protected FROM schemas WHERE topic = ? ORDER BY schema";
    let mut statement = database.prepare_cached(query).doing("read schemas")?;
    let found = statement
        .query_map([topic], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?)))
        .doing("read schemas")?;
    let mut schemas = vec![];
    for schema in found {
        let (number, columns, protected) = schema.doing("read schemas")?;
        schemas.push((number, StoredSchema::of(&columns, &protected)?));
    }
    Ok(schemas)
}

/// Schemas by number.
pub(crate) type Schemas = HashMap<i64, StoredSchema>;

pub(crate) fn schema(schemas: &Schemas, number: i64) -> Result<&StoredSchema, StoreError> {
    schemas.get(&number).ok_or_else(|| StoreError::corrupt(None, format!("there is no schema {number}")))
}

/// A batch as its row says.
#[derive(Clone, Debug)]
pub(crate) struct BatchRow {
    pub(crate) header: BatchHeader,
    pub(crate) schema: i64,
    pub(crate) recorded: i64,
    /// What the chain says its header is hashed to.
    pub(crate) digest: Hash,
    pub(crate) segment: Option<i64>,
    pub(crate) segment_row: Option<i64>,
}

/// What [`BatchRow::read`] reads; `{}` is for what follows `FROM`.
const BATCH_COLUMNS: &str = "SELECT batch, schema, first_position, first_row, b.events, stream, first_version, time_min, \
     time_max, bytes, body_hash, summary_hash, idempotency, segment, segment_row, recorded, digest, t.name, idempotency_events \
     FROM batches b JOIN entries ON entry = batch JOIN topics t USING (topic) WHERE ";

impl BatchRow {
    fn read(row: &Row<'_>, schemas: &Schemas) -> rusqlite::Result<Self> {
        let schema: i64 = row.get(1)?;
        let times = row.get::<_, Option<i64>>(7)?.zip(row.get::<_, Option<i64>>(8)?);
        Ok(Self {
            header: BatchHeader {
                batch: row.get(0)?,
                topic: row.get(17)?,
                schema: schemas.get(&schema).map_or([0; 32], |schema| schema.digest),
                first_position: row.get(2)?,
                first_row: row.get(3)?,
                events: row.get(4)?,
                stream: row.get(5)?,
                first_version: row.get(6)?,
                times,
                idempotency: row.get(12)?,
                idempotency_events: row.get(18)?,
                bytes: row.get(9)?,
                body_hash: row.get(10)?,
                summary_hash: row.get(11)?,
            },
            schema,
            segment: row.get(13)?,
            segment_row: row.get(14)?,
            recorded: row.get(15)?,
            digest: row.get(16)?,
        })
    }

    /// The position of the first event.
    pub(crate) fn position(&self) -> u64 {
        self.header.first_position as u64
    }

    /// The position after the last event.
    pub(crate) fn end(&self) -> i64 {
        self.header.first_position + self.header.events
    }

    /// Whether what it says of itself is what was written. Of one whose key has gone verification alone can tell.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.header.has_lost_key() || self.header.digest() == self.digest {
            Ok(())
        } else {
            Err(StoreError::corrupt(
                Some(self.position()),
                "what is written of the batch is not what was appended",
            ))
        }
    }

    /// What is known of its rows.
    pub(crate) fn summary(
        &self,
        database: &Connection,
        schema: &StoredSchema,
    ) -> Result<Summary, StoreError> {
        let corrupt = |reason: &str| StoreError::corrupt(Some(self.position()), reason);
        let bytes: Vec<u8> = database
            .prepare_cached("SELECT summary FROM summaries WHERE batch = ?")
            .and_then(|mut statement| statement.query_row([self.header.batch], |row| row.get(0)).optional())
            .doing("read a summary")?
            .ok_or_else(|| corrupt("the summary of its rows is gone"))?;
        if hash(&bytes) != self.header.summary_hash {
            return Err(corrupt("the summary of its rows is not what was appended"));
        }
        Summary::decode(&bytes, &schema.kept)
    }

    /// Its rows as they are kept, the store's own columns in front.
    pub(crate) fn rows(
        &self,
        database: &Connection,
        schema: &StoredSchema,
    ) -> Result<RecordBatch, StoreError> {
        let position = self.position();
        self.check()?;
        let body: Vec<u8> = database
            .prepare_cached("SELECT body FROM bodies WHERE batch = ?")
            .and_then(|mut statement| statement.query_row([self.header.batch], |row| row.get(0)).optional())
            .doing("read rows")?
            .ok_or_else(|| StoreError::corrupt(Some(position), "its rows are gone"))?;
        if hash(&body) != self.header.body_hash {
            return Err(StoreError::corrupt(Some(position), "its rows are not those that were appended"));
        }
        let rows = body::decode(&body, position)?;
        let fits =
            rows.num_rows() as i64 == self.header.events && same_columns(rows.schema_ref(), &schema.kept);
        if !fits {
            return Err(StoreError::corrupt(Some(position), "it has other rows than it says"));
        }
        with_metadata(&rows, &self.metadata(), &schema.kept)
    }

    fn metadata(&self) -> [ArrayRef; 5] {
        let events = self.header.events;
        let count_from = |first: i64| Arc::new(Int64Array::from_iter_values(first..first + events));
        let length = events as usize;
        let stream: ArrayRef = match &self.header.stream {
            Some(stream) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(stream, length))),
            None => new_null_array(&DataType::Utf8, length),
        };
        let version: ArrayRef = match self.header.first_version {
            Some(first) => count_from(first),
            None => new_null_array(&DataType::Int64, length),
        };
        let recorded = TimestampNanosecondArray::from_value(self.recorded, length).with_timezone("UTC");
        [
            count_from(self.header.first_position),
            count_from(self.header.first_row),
            stream,
            version,
            Arc::new(recorded),
        ]
    }
}

/// Columns that stand in front of rows, in segments and while they are read: all that the store adds but the topic.
pub(crate) fn kept_metadata() -> Vec<Field> {
    metadata_fields().into_iter().filter(|field| field.name() != "_topic").collect()
}

/// Rows in a segment, or while they are read.
pub(crate) fn with_metadata_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = kept_metadata().into_iter().map(Arc::new).chain(schema.fields().iter().cloned());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn with_metadata(
    rows: &RecordBatch,
    metadata: &[ArrayRef; 5],
    kept: &SchemaRef,
) -> Result<RecordBatch, StoreError> {
    let columns = metadata.iter().chain(rows.columns()).cloned().collect();
    Ok(RecordBatch::try_new(with_metadata_schema(kept), columns)?)
}

fn same_columns(left: &Schema, right: &Schema) -> bool {
    let columns = |schema: &Schema| -> Vec<(String, DataType)> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    columns(left) == columns(right)
}

/// Batches of a topic whose rows are in the journal, after a batch, in order; at most `limit`.
pub(crate) fn journal(
    database: &Connection,
    topic: i64,
    after: i64,
    limit: usize,
    schemas: &Schemas,
) -> Result<Vec<BatchRow>, StoreError> {
    let condition = "topic = ? AND segment IS NULL AND batch > ? ORDER BY batch LIMIT ?";
    batches(database, condition, params![topic, after, limit as i64], schemas)
}

/// Batches that satisfy a condition of SQL.
pub(crate) fn batches(
    database: &Connection,
    condition: &str,
    says: impl rusqlite::Params,
    schemas: &Schemas,
) -> Result<Vec<BatchRow>, StoreError> {
    let mut statement =
        database.prepare_cached(&format!("{BATCH_COLUMNS}{condition}")).doing("look for batches")?;
    let found = statement.query_map(says, |row| BatchRow::read(row, schemas)).doing("look for batches")?;
    found.collect::<rusqlite::Result<_>>().doing("look for batches")
}

/// A segment as its row says.
#[derive(Clone, Debug)]
pub(crate) struct SegmentRow {
    pub(crate) segment: i64,
    pub(crate) schema: i64,
    pub(crate) first_position: i64,
    pub(crate) last_position: i64,
    pub(crate) first_row: i64,
    pub(crate) events: i64,
    pub(crate) times: Option<(i64, i64)>,
    pub(crate) bytes: i64,
    pub(crate) file: String,
    pub(crate) file_hash: Hash,
}

/// Segments of a topic in order; of all topics if it is none.
pub(crate) fn segments(database: &Connection, topic: Option<i64>) -> Result<Vec<SegmentRow>, StoreError> {
    let query = format!(
        "SELECT segment, schema, first_position, last_position, first_row, events, time_min, time_max, bytes, file, \
         file_hash FROM segments {} ORDER BY first_position",
        // Asked both in one, SQLite would go through all of them for one topic.
        if topic.is_some() { "WHERE topic = ?" } else { "" }
    );
    let mut statement = database.prepare_cached(&query).doing("list segments")?;
    let segment = |row: &Row<'_>| {
        Ok(SegmentRow {
            segment: row.get(0)?,
            schema: row.get(1)?,
            first_position: row.get(2)?,
            last_position: row.get(3)?,
            first_row: row.get(4)?,
            events: row.get(5)?,
            times: row.get::<_, Option<i64>>(6)?.zip(row.get::<_, Option<i64>>(7)?),
            bytes: row.get(8)?,
            file: row.get(9)?,
            file_hash: row.get(10)?,
        })
    };
    let segments = statement.query_map(params_from_iter(topic), segment).doing("list segments")?;
    let segments: Vec<SegmentRow> = segments.collect::<rusqlite::Result<_>>().doing("list segments")?;
    // A store that somebody else has made names no file outside its archive.
    let is_inside = |segment: &SegmentRow| {
        let parts = || Path::new(&segment.file).components();
        parts().all(|part| matches!(part, Component::Normal(_))) && parts().count() == 2
    };
    match segments.iter().find(|segment| !is_inside(segment)) {
        Some(outside) => Err(StoreError::corrupt(None, format!("`{}` names no archived file", outside.file))),
        None => Ok(segments),
    }
}

/// A page of a segment: rows, and what is known of them.
#[derive(Clone, Debug)]
pub(crate) struct PageRow {
    pub(crate) first_row: i64,
    pub(crate) first_position: i64,
    pub(crate) events: i64,
    pub(crate) times: Option<(i64, i64)>,
    pub(crate) summary: Vec<u8>,
    pub(crate) summary_hash: Hash,
}

/// Pages of a segment in order. What is known of them is read only where it is asked for.
pub(crate) fn pages(
    database: &Connection,
    segment: i64,
    summaries: bool,
) -> Result<Vec<PageRow>, StoreError> {
    let query = if summaries {
        "SELECT first_row, first_position, events, time_min, time_max, summary_hash, summary FROM pages WHERE segment = ? ORDER BY first_row"
    } else {
        "SELECT first_row, first_position, events, time_min, time_max, summary_hash, x'' FROM pages WHERE segment = ? ORDER BY first_row"
    };
    let mut statement = database.prepare_cached(query).doing("read the pages of a segment")?;
    let page = |row: &Row<'_>| {
        Ok(PageRow {
            first_row: row.get(0)?,
            first_position: row.get(1)?,
            events: row.get(2)?,
            times: row.get::<_, Option<i64>>(3)?.zip(row.get::<_, Option<i64>>(4)?),
            summary_hash: row.get(5)?,
            summary: row.get(6)?,
        })
    };
    let pages = statement.query_map([segment], page).doing("read the pages of a segment")?;
    pages.collect::<rusqlite::Result<_>>().doing("read the pages of a segment")
}

impl PageRow {
    /// What is known of its rows.
    pub(crate) fn summary(&self, segment: &SegmentRow, schema: &StoredSchema) -> Result<Summary, StoreError> {
        if hash(&self.summary) != self.summary_hash {
            let reason = format!(
                "the summary of row {} of `{}` is not what was written",
                self.first_row, segment.file
            );
            return Err(StoreError::corrupt(Some(segment.first_position as u64), reason));
        }
        Summary::decode(&self.summary, &schema.kept)
    }
}

/// A filter that is kept apart from the summary of a batch, or of a page of a segment.
pub(crate) fn filter(
    database: &Connection,
    owner: i64,
    first_row: i64,
    place: usize,
    known: &Hash,
) -> Result<Vec<u8>, StoreError> {
    let query = "SELECT filter FROM filters WHERE owner = ? AND first_row = ? AND place = ?";
    let says = params![owner, first_row, place as i64];
    let filter: Option<Vec<u8>> = database
        .prepare_cached(query)
        .and_then(|mut statement| statement.query_row(says, |row| row.get(0)).optional())
        .doing("read what is known of rows")?;
    filter.filter(|filter| hash(filter) == *known).ok_or_else(|| {
        StoreError::corrupt(
            None,
            format!("what is known of column {place} of entry {owner} is not what was written"),
        )
    })
}

/// Whether all filters of a summary are what was written.
pub(crate) fn check_filters(
    database: &Connection,
    owner: i64,
    first_row: i64,
    summary: &Summary,
) -> Result<(), StoreError> {
    for (place, column) in summary.columns.iter().enumerate() {
        if let Filter::Apart(hash) = &column.filter {
            filter(database, owner, first_row, place, hash)?;
        }
    }
    Ok(())
}
