//! Rows made ready to be appended: all that needs no look at the store is done before its turn comes, by the thread that
//! appends, so that threads do it side by side.

use arrow_array::RecordBatch;
use arrow_buffer::ScalarBuffer;
use arrow_schema::{Schema, SchemaRef};
use cepheid_event::ipc::to_ipc;
use cepheid_event::threads::on_two;
use cepheid_event::{Table, event_times};

use crate::body::{self, Hash, hash};
use crate::conform::METADATA;
use crate::error::StoreError;
use crate::protection::{NewKey, Protector};
use crate::summary::{Filters, Summary};
use crate::topic::{check_name, check_topic};

/// Most rows of one batch: so many are compressed, hashed, and read again at a time.
pub(crate) const BATCH_ROWS_MAX: usize = 65_536;

/// Of so many rows it pays to have another thread work on a part.
const ROWS_A_THREAD_MIN: usize = 2048;

/// Rows to be appended to a topic.
#[derive(Clone, Debug)]
pub struct Append {
    /// Which.
    pub topic: String,
    /// Rows, in the order in which they are to be kept.
    pub rows: Table,
    /// The stream that they are of, an entity's history for one.
    pub stream: Option<String>,
    /// How many events the stream has to have before them; `None`: any number.
    pub expected_version: Option<u64>,
    /// What tells a repeat of this append from another one of the same topic.
    pub idempotency_key: Option<String>,
}

/// Where appended events are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The position of the first of them in the store.
    pub first: u64,
    /// How many they are.
    pub events: u64,
    /// The row of the first of them among those of its topic, from 0.
    pub row: u64,
    /// Their stream, and how many events it has with them.
    pub stream: Option<(String, u64)>,
    /// Whether they were there before: their idempotency key is known.
    pub repeated: bool,
}

/// An [`Append`] as it goes to the disk.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) topic: String,
    pub(crate) stream: Option<String>,
    pub(crate) expected_version: Option<u64>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) schema: PreparedSchema,
    pub(crate) bodies: Vec<PreparedBody>,
    pub(crate) events: u64,
    pub(crate) new_keys: Vec<NewKey>,
}

impl Prepared {
    /// What its rows take.
    pub(crate) fn bytes(&self) -> usize {
        self.bodies.iter().map(|body| body.body.len()).sum()
    }
}

/// Columns as the store knows them: those that were given, and the names of those that are kept secret.
#[derive(Clone, Debug)]
pub(crate) struct PreparedSchema {
    pub(crate) columns: Vec<u8>,
    pub(crate) protected: String,
}

impl PreparedSchema {
    pub(crate) fn new(schema: &Schema, protected: &[String]) -> Result<Self, StoreError> {
        let protected = serde_json::to_string(protected).expect("names can be written as JSON");
        // What is said beside the columns differs from table to table, pandas' index for one.
        let columns = Schema::new(schema.fields().clone());
        Ok(Self { columns: to_ipc(&columns, None)?, protected })
    }

    /// What stands for it in the chain.
    pub(crate) fn digest(columns: &[u8], protected: &str) -> Hash {
        let mut bytes = (columns.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(columns);
        bytes.extend_from_slice(protected.as_bytes());
        hash(&bytes)
    }
}

/// Rows of one batch.
#[derive(Debug)]
pub(crate) struct PreparedBody {
    pub(crate) events: u64,
    pub(crate) times: Option<(i64, i64)>,
    pub(crate) body: Vec<u8>,
    pub(crate) body_hash: Hash,
    pub(crate) summary: Vec<u8>,
    pub(crate) summary_hash: Hash,
    pub(crate) filters: Filters,
}

impl Append {
    /// Does what needs no look at the store but for keys of subjects, on one thread or two. `event_time` names the column of
    /// the time; topics without it have none.
    pub(crate) fn prepare(
        self,
        event_time: &str,
        protector: Option<Protector<'_>>,
        threads: usize,
    ) -> Result<Prepared, StoreError> {
        check_topic(&self.topic)?;
        if let Some(stream) = &self.stream {
            check_name("stream", stream)?;
        } else if self.expected_version.is_some() {
            let reason = "a version is that of a stream: say which".into();
            return Err(StoreError::InvalidOption { option: "expected_version", reason });
        }
        if let Some(key) = &self.idempotency_key {
            check_name("batch", key)?;
        }
        let schema = self.rows.schema();
        check_columns(schema)?;
        let mut protector = protector;
        let protected = protector.as_ref().map_or(&[][..], Protector::columns);
        let prepared_schema = PreparedSchema::new(schema, protected)?;
        let mut bodies = vec![];
        for batch in pieces(&self.rows)? {
            let rows = match &mut protector {
                Some(protector) => protector.protect(&batch)?,
                None => batch.clone(),
            };
            PreparedBody::make(&batch, &rows, event_time, threads, &mut bodies)?;
        }
        Ok(Prepared {
            topic: self.topic,
            stream: self.stream,
            expected_version: self.expected_version,
            idempotency_key: self.idempotency_key,
            schema: prepared_schema,
            events: self.rows.num_rows() as u64,
            bodies,
            new_keys: protector.map_or_else(Vec::new, Protector::new_keys),
        })
    }
}

/// Rows in batches of at most [`BATCH_ROWS_MAX`]; small ones are put together.
fn pieces(table: &Table) -> Result<Vec<RecordBatch>, StoreError> {
    let mut pieces = vec![];
    let mut small: Vec<RecordBatch> = vec![];
    let mut rows = 0;
    let together = |small: &mut Vec<RecordBatch>, pieces: &mut Vec<RecordBatch>| -> Result<(), StoreError> {
        match small.len() {
            0 => {}
            1 => pieces.append(small),
            _ => {
                pieces.push(arrow_select::concat::concat_batches(table.schema(), &*small)?);
                small.clear();
            }
        }
        Ok(())
    };
    for batch in table.batches() {
        let mut start = 0;
        while start < batch.num_rows() {
            let length = (batch.num_rows() - start).min(BATCH_ROWS_MAX - rows);
            small.push(batch.slice(start, length));
            (start, rows) = (start + length, rows + length);
            if rows == BATCH_ROWS_MAX {
                together(&mut small, &mut pieces)?;
                rows = 0;
            }
        }
    }
    together(&mut small, &mut pieces)?;
    Ok(pieces)
}

impl PreparedBody {
    /// Makes bodies of rows, several of them where one would be too long.
    fn make(
        given: &RecordBatch,
        kept: &RecordBatch,
        event_time: &str,
        threads: usize,
        bodies: &mut Vec<Self>,
    ) -> Result<(), StoreError> {
        match Self::new(given, kept, event_time, threads) {
            Err(StoreError::TooLong { .. }) if given.num_rows() > 1 => {
                let half = given.num_rows() / 2;
                for (first, length) in [(0, half), (half, given.num_rows() - half)] {
                    let (given, kept) = (given.slice(first, length), kept.slice(first, length));
                    Self::make(&given, &kept, event_time, threads, bodies)?;
                }
                Ok(())
            }
            body => {
                bodies.push(body?);
                Ok(())
            }
        }
    }

    /// `given` are the rows as they came, `kept` as they are kept: what is secret is neither in the summary.
    fn new(
        given: &RecordBatch,
        kept: &RecordBatch,
        event_time: &str,
        threads: usize,
    ) -> Result<Self, StoreError> {
        let times = times(given, event_time)?;
        // To compress rows takes about as long as to know them.
        let body = || body::encode(kept).map(|body| (hash(&body), body));
        let summary = || {
            let (summary, filters) = Summary::of(kept, times.as_deref());
            let summary = summary.encode();
            (hash(&summary), summary, filters)
        };
        let pays = threads > 1 && given.num_rows() >= ROWS_A_THREAD_MIN;
        let (body, summary) = if pays { on_two(body, summary) } else { (body(), summary()) };
        let (body_hash, body) = body?;
        let (summary_hash, summary, filters) = summary;
        let times = times.as_deref().and_then(extremes);
        let events = given.num_rows() as u64;
        Ok(Self { events, times, body, body_hash, summary, summary_hash, filters })
    }
}

/// Event times in nanoseconds; `None`: the rows have none.
pub(crate) fn times(rows: &RecordBatch, event_time: &str) -> Result<Option<ScalarBuffer<i64>>, StoreError> {
    let Some(column) = rows.column_by_name(event_time) else { return Ok(None) };
    Ok(Some(event_times(event_time, column, 0)?))
}

/// The least and the greatest.
pub(crate) fn extremes(times: &[i64]) -> Option<(i64, i64)> {
    times.iter().min().copied().zip(times.iter().max().copied())
}

fn check_columns(schema: &SchemaRef) -> Result<(), StoreError> {
    let mut seen = std::collections::HashSet::new();
    for field in schema.fields() {
        if METADATA.iter().any(|(name, _)| name == field.name()) {
            return Err(StoreError::ReservedColumn { column: field.name().clone() });
        }
        if !seen.insert(field.name()) {
            let reason = "two columns have it";
            return Err(StoreError::InvalidName { what: "column", name: field.name().clone(), reason });
        }
    }
    Ok(())
}
