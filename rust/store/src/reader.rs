//! Reading: what was there when it began, in the order of positions, whatever is appended or archived meanwhile.
//!
//! Each topic is read on its own, segments first, then the journal: its positions ascend. Topics are merged by position.
//! What cannot be asked for is passed over without being read: batches and pages by what is known of them, columns that
//! nobody wants altogether.
//!
//! Cost: O(events read) for decoding, one look at each batch or page that is passed over, O(log topics) a run of events of
//! one topic. Memory: one decoded batch of each topic that is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{Schema, SchemaRef};
use cepheid_ir::Expr;
use rusqlite::Connection;

use crate::asked::Asked;
use crate::conform::{METADATA, MetadataColumn, United, conform, metadata_fields};
use crate::connections::{Connections, Lent};
use crate::error::StoreError;
use crate::passed::Passed;
use crate::piece::{self, TopicRow, with_metadata_schema};
use crate::query::{Condition, Query};
use crate::topic_reader::{Piece, TopicReader, part};

/// Rows that are given at a time, at least, where so many follow each other.
const TOGETHER_ROWS: usize = 8192;

/// Rows that are passed over at a time, about: whoever waits wants to hear of them now and then.
const PASSED_TOGETHER_ROWS: i64 = 1 << 17;

/// Rows of one topic, next to each other in what was asked for.
#[derive(Clone, Debug)]
pub enum StoredRows {
    /// The topic, and rows whose numbers follow each other: `_position`, `_row`, `_stream`, `_version`, `_recorded`, then the
    /// topic's own columns.
    Read(Arc<str>, RecordBatch),
    /// The topic, and rows that do not matter.
    Passed(Arc<str>, Passed),
}

/// A topic's own columns.
pub fn own_columns(rows: &RecordBatch) -> RecordBatch {
    let own = METADATA.len() - 1..rows.num_columns();
    rows.project(&own.collect::<Vec<_>>()).expect("there are so many")
}

/// Positions of rows of a topic, the store's columns in front.
pub fn positions(rows: &RecordBatch) -> &[i64] {
    rows.column(0).as_primitive::<Int64Type>().values()
}

/// Their numbers in the topic, likewise.
pub fn ordinals(rows: &RecordBatch) -> &[i64] {
    rows.column(1).as_primitive::<Int64Type>().values()
}

/// How many of the first rows have numbers that follow each other.
fn together(rows: &RecordBatch) -> usize {
    let ordinals = ordinals(rows);
    let gap = ordinals.windows(2).position(|pair| pair[1] != pair[0] + 1);
    gap.map_or(ordinals.len(), |before| before + 1)
}

/// Reads events. It sees the store as it was when it was made.
pub struct Reader {
    database: Lent,
    topics: Vec<TopicReader>,
    /// The next rows of each topic that has some, by their first position.
    heads: BTreeMap<i64, (usize, Piece)>,
    begun: bool,
    left: u64,
    schema: SchemaRef,
    metadata: bool,
    /// Where some of the store's own columns are asked for by name: all columns, and the places of those that are given.
    select: Option<(SchemaRef, Vec<usize>)>,
    /// Read ahead: rows of another topic than those that were given last.
    next: Option<StoredRows>,
    end: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a store to read what a query asks for.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] for topics and columns that there are not, [`StoreError::SchemaConflict`], conditions that
    /// cannot be asked of the columns; what the disk refuses.
    pub fn open(path: &Path, query: &Query) -> Result<Self, StoreError> {
        Self::over(&Connections::new(path), query)
    }

    /// Reads what a query asks for over one of several connections.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn over(connections: &Arc<Connections>, query: &Query) -> Result<Self, StoreError> {
        // From here on it is one state of the store that is read.
        let database = connections.begin()?;
        let Planned { topics, schema, select, end } = Planned::new(&database, connections, query)?;
        Ok(Self {
            topics,
            heads: BTreeMap::new(),
            begun: false,
            left: query.limit.unwrap_or(u64::MAX),
            schema,
            metadata: query.metadata || select.is_some(),
            select,
            next: None,
            end,
            database,
        })
    }

    /// The columns of what [`next_batch`](Self::next_batch) gives.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The position after the last event that there was when this began.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The next rows, in one schema for all topics; `None`: that was all.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]; what a condition, or a conversion to the common type of a column, refuses of a value.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let mut together = vec![];
        let mut rows = 0;
        while rows < TOGETHER_ROWS
            && let Some(next) = self.next_piece()?
        {
            if let StoredRows::Read(topic, read) = next {
                rows += read.num_rows();
                together.push(self.output(&topic, &read)?);
            }
        }
        match together.len() {
            0 => Ok(None),
            1 => Ok(together.pop()),
            _ => Ok(Some(arrow_select::concat::concat_batches(&self.schema, &together)?)),
        }
    }

    /// The next rows of one topic, up to the next event of another, up to rows that are left out, or up to rows that are passed
    /// over; or all rows in a row that are. `None`: that was all.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    pub fn next_rows(&mut self) -> Result<Option<StoredRows>, StoreError> {
        let first = self.next.take().map_or_else(|| self.next_piece(), |next| Ok(Some(next)))?;
        let (topic, first) = match first {
            Some(StoredRows::Read(topic, rows)) => (topic, rows),
            Some(StoredRows::Passed(topic, passed)) => return self.all_passed(topic, passed).map(Some),
            None => return Ok(None),
        };
        let schema = first.schema();
        let first = self.parted(&topic, first);
        let mut rows = first.num_rows();
        let mut next_row = ordinals(&first)[rows - 1] + 1;
        let mut all = vec![first];
        while rows < TOGETHER_ROWS
            && self.next.is_none()
            && let Some(next) = self.next_piece()?
        {
            match next {
                StoredRows::Read(of, more) if of == topic && ordinals(&more)[0] == next_row => {
                    let more = self.parted(&topic, more);
                    rows += more.num_rows();
                    next_row += more.num_rows() as i64;
                    all.push(more);
                }
                other => self.next = Some(other),
            }
        }
        let rows = match all.len() {
            1 => all.remove(0),
            _ => arrow_select::concat::concat_batches(&schema, &all)?,
        };
        Ok(Some(StoredRows::Read(topic, rows)))
    }

    /// Those of some rows whose numbers follow each other; the others are next.
    fn parted(&mut self, topic: &Arc<str>, rows: RecordBatch) -> RecordBatch {
        let length = together(&rows);
        if length < rows.num_rows() {
            let rest = rows.slice(length, rows.num_rows() - length);
            self.next = Some(StoredRows::Read(Arc::clone(topic), rest));
        }
        part(&rows, 0, length)
    }

    /// Rows that are passed over, and those behind them that are, too.
    fn all_passed(&mut self, topic: Arc<str>, mut passed: Passed) -> Result<StoredRows, StoreError> {
        while passed.rows < PASSED_TOGETHER_ROWS {
            match self.next_piece()? {
                Some(StoredRows::Passed(of, more)) if of == topic && passed.goes_on_with(&more) => {
                    passed.rows += more.rows;
                    passed.times.1 = more.times.1;
                }
                next => {
                    self.next = next;
                    break;
                }
            }
        }
        Ok(StoredRows::Passed(topic, passed))
    }

    fn next_piece(&mut self) -> Result<Option<StoredRows>, StoreError> {
        if !self.begun {
            self.begun = true;
            for topic in 0..self.topics.len() {
                self.advance(topic)?;
            }
        }
        if self.left == 0 {
            return Ok(None);
        }
        let Some((_, (topic, piece))) = self.heads.pop_first() else { return Ok(None) };
        let name = Arc::clone(&self.topics[topic].name);
        let rows = match piece {
            Piece::Rows(rows) => rows,
            Piece::Passed(passed) => {
                self.advance(topic)?;
                return Ok(Some(StoredRows::Passed(name, passed)));
            }
        };
        let limit = self.heads.first_key_value().map_or(i64::MAX, |(position, _)| *position);
        let before = positions(&rows).partition_point(|position| *position < limit);
        if before < rows.num_rows() {
            let rest = rows.slice(before, rows.num_rows() - before);
            self.heads.insert(positions(&rest)[0], (topic, Piece::Rows(rest)));
        } else {
            self.advance(topic)?;
        }
        let kept = usize::try_from(self.left).map_or(before, |left| before.min(left));
        self.left -= kept as u64;
        Ok(Some(StoredRows::Read(name, part(&rows, 0, kept))))
    }

    fn advance(&mut self, topic: usize) -> Result<(), StoreError> {
        if let Some(piece) = self.topics[topic].next(&self.database)? {
            self.heads.insert(piece.position(), (topic, piece));
        }
        Ok(())
    }

    fn output(&self, topic: &str, stored: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let rows = if self.metadata {
            let names = std::iter::repeat_n(topic, stored.num_rows());
            let mut columns = stored.columns().to_vec();
            columns.insert(1, Arc::new(StringArray::from_iter_values(names)) as ArrayRef);
            RecordBatch::try_new(output_schema(stored.schema_ref(), true), columns)?
        } else {
            own_columns(stored)
        };
        match &self.select {
            None => conform(&rows, &self.schema),
            Some((all, places)) => Ok(conform(&rows, all)?.project(places)?),
        }
    }
}

/// What a query comes to, in one state of a store.
pub(crate) struct Planned {
    topics: Vec<TopicReader>,
    /// The columns of what is given.
    pub(crate) schema: SchemaRef,
    select: Option<(SchemaRef, Vec<usize>)>,
    /// The position after the last event.
    pub(crate) end: u64,
}

impl Planned {
    /// Looks at the store; the errors are those of [`Reader::open`].
    pub(crate) fn new(
        database: &Connection,
        connections: &Connections,
        query: &Query,
    ) -> Result<Self, StoreError> {
        let topics = piece::topics(database)?;
        let wanted = wanted_topics(&topics, query)?;
        let of_stream =
            query.stream.as_deref().map(|stream| piece::topics_of_stream(database, stream)).transpose()?;
        let event_time = crate::info::event_time(database)?;

        let mut united = United::default();
        let mut of_topics = vec![];
        let mut known = vec![];
        for topic in wanted {
            // Of a stream alone, the topics are those that it has events of.
            let is_of_it = |topics: &Vec<i64>| topics.is_empty() || topics.contains(&topic.topic);
            if query.topics.is_empty() && !of_stream.as_ref().is_none_or(is_of_it) {
                continue;
            }
            let schemas = piece::schemas(database, topic.topic)?;
            let mut of_topic = United::default();
            for (_, schema) in &schemas {
                for field in schema.given.fields() {
                    if !known.contains(field.name()) {
                        known.push(field.name().clone());
                    }
                }
                of_topic.add(
                    &asked_columns(&with_metadata_schema(&schema.given), query),
                    &format!("topic `{}`", topic.name),
                )?;
            }
            let of_topic = of_topic.schema();
            if !schemas.is_empty() {
                united.add(&of_topic, &format!("topic `{}`", topic.name))?;
            }
            of_topics.push((topic, schemas, of_topic));
        }
        let mut united = united.schema();
        if united.fields().is_empty() {
            united = with_metadata_schema(&Arc::new(Schema::empty()));
        }
        let condition =
            query.condition.as_ref().map(|condition| Condition::new(condition, &united)).transpose()?;
        let columns = query.columns.as_ref().map(|names| wanted_columns(names, &known)).transpose()?;
        let asked = Arc::new(Asked::new(query, condition, columns.clone(), event_time, connections));
        let end = crate::commit::Heads::read(database)?.next_position as u64;
        let read = |(topic, schemas, schema): (TopicRow, Vec<_>, SchemaRef)| {
            let mattering = query.mattering.iter().find(|(name, _)| **name == *topic.name);
            let mattering = mattering.map(|(_, condition)| condition);
            let columns = projected(&schema, columns.as_deref());
            TopicReader::new(topic, schemas, columns, Arc::clone(&asked), mattering)
        };
        let mut schema = output_schema(&projected(&united, columns.as_deref()), query.metadata);
        let stores = columns.iter().flatten().any(|name| METADATA.iter().any(|(own, _)| own == name));
        let select = match columns.clone().filter(|_| stores && !query.metadata) {
            None => None,
            // Some of the store's own columns, by name: all are put in front, and those that are asked for taken.
            Some(names) => {
                let all = output_schema(&projected(&united, Some(&names)), true);
                let places = names.iter().map(|name| all.index_of(name)).collect::<Result<Vec<_>, _>>()?;
                schema = Arc::new(all.project(&places)?);
                Some((all, places))
            }
        };
        let topics = of_topics.into_iter().map(read).collect();
        Ok(Self { topics, schema, select, end })
    }
}

/// The topics that a query asks for. One that is named, and not there, is a mistake, unless the store is empty.
fn wanted_topics(topics: &[TopicRow], query: &Query) -> Result<Vec<TopicRow>, StoreError> {
    for pattern in query.topics.iter().filter(|pattern| pattern.is_name() && !query.missing) {
        if !topics.iter().any(|topic| pattern.fits(&topic.name)) {
            let known = topics.iter().map(|topic| topic.name.to_string()).collect();
            return Err(StoreError::Unknown { what: "topic", name: pattern.as_str().into(), known });
        }
    }
    let is_wanted = |topic: &&TopicRow| {
        query.topics.is_empty() || query.topics.iter().any(|pattern| pattern.fits(&topic.name))
    };
    Ok(topics.iter().filter(is_wanted).cloned().collect())
}

/// Those of a topic's columns that a query has to do with: others need not meet those of other topics.
fn asked_columns(schema: &SchemaRef, query: &Query) -> SchemaRef {
    let Some(columns) = &query.columns else { return Arc::clone(schema) };
    let mut asked_of = vec![];
    if let Some(condition) = &query.condition {
        condition.walk(&mut |part| {
            if let Expr::Column { name, .. } = part {
                asked_of.push(name.to_lowercase());
            }
        });
    }
    let is_asked = |name: &String| {
        METADATA.iter().any(|(own, _)| own == name)
            || columns.contains(name)
            || asked_of.contains(&name.to_lowercase())
    };
    let fields = schema.fields().iter().filter(|field| is_asked(field.name())).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Names of columns that some topic has, or the store.
fn wanted_columns(names: &[String], known: &[String]) -> Result<Vec<String>, StoreError> {
    for name in names {
        if !known.contains(name) && !METADATA.iter().any(|(own, _)| own == name) {
            return Err(StoreError::Unknown { what: "column", name: name.clone(), known: known.to_vec() });
        }
    }
    Ok(names.to_vec())
}

/// The store's columns, then those of the others that are wanted, in the order in which they are asked for.
fn projected(schema: &SchemaRef, columns: Option<&[String]>) -> SchemaRef {
    let Some(columns) = columns else { return Arc::clone(schema) };
    let is_stores = |name: &str| METADATA.iter().any(|(own, _)| *own == name);
    let stores = schema.fields().iter().filter(|field| is_stores(field.name())).cloned();
    let asked = columns.iter().filter(|name| !is_stores(name));
    let asked = asked.filter_map(|name| schema.fields().find(name).map(|(_, field)| Arc::clone(field)));
    Arc::new(Schema::new(stores.chain(asked).collect::<Vec<_>>()))
}

/// The columns of what is given, of rows with the store's columns but the topic in front.
fn output_schema(rows: &SchemaRef, metadata: bool) -> SchemaRef {
    let own = rows.fields().iter().skip(METADATA.len() - 1).cloned();
    if metadata {
        debug_assert!(METADATA[1].1 == MetadataColumn::Topic);
        Arc::new(Schema::new(metadata_fields().into_iter().map(Arc::new).chain(own).collect::<Vec<_>>()))
    } else {
        Arc::new(Schema::new(own.collect::<Vec<_>>()))
    }
}
