//! One schema over the topics of a stream, and batches of it made from theirs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array, new_empty_array,
    new_null_array,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;
use arrow_select::take::take;

use crate::error::EventError;
use crate::table::{describe, nearest, resolve_column, same_columns};

/// Most topics of one stream: they are numbered in 16 bits.
pub const TOPICS_MAX: usize = u16::MAX as usize;

/// The columns of several topics as one schema.
///
/// There is one column per distinct name and type: topics that share both share the column, a name with two types
/// gives a column for each. Every column is nullable, for rows of topics without it are NULL there. A column keeps its
/// index for good: a topic whose schema comes later adds its columns at the end.
///
/// Dictionary codes of 8 or 16 bits are made 32 bits wide, as dictionaries may change from batch to batch and rows of
/// several batches need the codes of all of them. The width does not depend on what comes, so the schema does not either.
#[derive(Clone, Debug, PartialEq)]
pub struct MergedSchema {
    topics: Vec<Topic>,
    numbers: HashMap<String, u16>,
    /// Topics in the order in which their schemas came, which is what decides the order of the columns.
    order: Vec<u16>,
    schema: SchemaRef,
}

#[derive(Clone, Debug, PartialEq)]
struct Topic {
    name: String,
    columns: Option<TopicColumns>,
}

#[derive(Clone, Debug, PartialEq)]
struct TopicColumns {
    schema: SchemaRef,
    /// The same with wide dictionary codes, all columns nullable.
    conformed: SchemaRef,
    /// `merged[c]`: the merged column that the topic's column `c` is.
    merged: Vec<usize>,
    /// `own[m]`: the topic's column that is merged column `m`; shorter than the schema where later topics added to it.
    own: Vec<Option<usize>>,
}

impl TopicColumns {
    /// Whether a batch is of these columns. How wide its dictionary codes are does not matter: tables of several batches have wide ones
    /// where their dictionaries together need them.
    fn fit(&self, schema: &Schema) -> bool {
        same_columns(&self.schema, schema)
            || schema.fields().len() == self.conformed.fields().len()
                && schema.fields().iter().zip(self.conformed.fields()).all(|(field, conformed)| {
                    field.name() == conformed.name()
                        && with_wide_codes(field.data_type()) == *conformed.data_type()
                })
    }
}

/// Rows of several topics in the order of their release.
#[derive(Clone, Debug)]
pub struct MergedBatch {
    /// The columns of the [`MergedSchema`], n rows.
    pub batch: RecordBatch,
    /// `time[i]`: the event time of row i, in nanoseconds; ascending.
    pub time: ScalarBuffer<i64>,
    /// `topic[i]`: the number of the topic of row i, in the order in which the topics were given.
    pub topic: ScalarBuffer<u16>,
    /// `arrival[i]`: the ordinal of row i among the rows of its topic, in arrival order, late rows included.
    pub arrival: ScalarBuffer<u64>,
}

impl MergedBatch {
    /// No rows.
    pub fn empty(schema: &MergedSchema) -> Self {
        Self {
            batch: RecordBatch::new_empty(Arc::clone(schema.schema())),
            time: Vec::new().into(),
            topic: Vec::new().into(),
            arrival: Vec::new().into(),
        }
    }

    /// How many rows.
    pub fn num_rows(&self) -> usize {
        self.time.len()
    }
}

/// Neighbouring rows of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which batch.
    pub source: usize,
    /// Its first row of these.
    pub start: usize,
    /// How many; at least 1.
    pub len: usize,
}

impl Default for MergedSchema {
    /// No topics.
    fn default() -> Self {
        Self { topics: vec![], numbers: HashMap::new(), order: vec![], schema: Arc::new(Schema::empty()) }
    }
}

impl MergedSchema {
    /// The schema over `topics`, each by name with its schema, in that order.
    ///
    /// # Errors
    /// [`EventError::TooManyTopics`] past [`TOPICS_MAX`].
    pub fn new(topics: &[(String, SchemaRef)]) -> Result<Self, EventError> {
        let mut merged = Self::default();
        for (name, schema) in topics {
            let topic = merged.add_topic(name)?;
            merged.set_schema(topic, Arc::clone(schema));
        }
        Ok(merged)
    }

    /// Adds a topic whose schema is not known yet, and gives its number; that of a topic that is there already.
    ///
    /// # Errors
    /// [`EventError::TooManyTopics`] past [`TOPICS_MAX`].
    pub fn add_topic(&mut self, name: &str) -> Result<u16, EventError> {
        if let Some(topic) = self.topic(name) {
            return Ok(topic);
        }
        if self.topics.len() >= TOPICS_MAX {
            return Err(EventError::TooManyTopics { limit: TOPICS_MAX });
        }
        let topic = self.topics.len() as u16;
        self.topics.push(Topic { name: name.to_owned(), columns: None });
        self.numbers.insert(name.to_owned(), topic);
        Ok(topic)
    }

    /// Says what columns a topic has; what is there keeps its place. A topic's schema is set once.
    ///
    /// # Panics
    /// If the topic has a schema already.
    pub fn set_schema(&mut self, topic: u16, schema: SchemaRef) {
        assert!(self.topics[topic as usize].columns.is_none(), "the schema of topic {topic} is set already");
        let mut fields: Vec<FieldRef> = self.schema.fields().iter().cloned().collect();
        let mut merged = Vec::with_capacity(schema.fields().len());
        let mut conformed = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let data_type = with_wide_codes(field.data_type());
            let wide = field.as_ref().clone().with_data_type(data_type.clone()).with_nullable(true);
            let wide = Arc::new(wide);
            // A topic may have two columns of one name and type: the second of them is another column.
            let place = (0..fields.len()).find(|place| {
                let there = &fields[*place];
                there.name() == field.name() && *there.data_type() == data_type && !merged.contains(place)
            });
            merged.push(place.unwrap_or(fields.len()));
            if place.is_none() {
                fields.push(Arc::clone(&wide));
            }
            conformed.push(wide);
        }
        let conformed = Arc::new(Schema::new(conformed));
        let mut own = vec![None; fields.len()];
        for (column, place) in merged.iter().enumerate() {
            own[*place] = Some(column);
        }
        self.schema = Arc::new(Schema::new(fields));
        self.topics[topic as usize].columns = Some(TopicColumns { schema, conformed, merged, own });
        self.order.push(topic);
    }

    /// The merged columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Topics in the order in which their schemas came.
    pub fn order(&self) -> &[u16] {
        &self.order
    }

    /// The number of a topic.
    pub fn topic(&self, name: &str) -> Option<u16> {
        self.numbers.get(name).copied()
    }

    /// How many topics there are, their schemas known or not.
    pub fn num_topics(&self) -> usize {
        self.topics.len()
    }

    /// A topic's name.
    pub fn topic_name(&self, topic: u16) -> &str {
        &self.topics[topic as usize].name
    }

    /// A topic's own schema, once it is known.
    pub fn topic_schema(&self, topic: u16) -> Option<&SchemaRef> {
        self.topics[topic as usize].columns.as_ref().map(|columns| &columns.schema)
    }

    /// The schema of the batches that [`MergedSchema::conform`] makes of a topic's: wide dictionary codes, all nullable.
    pub fn conformed_schema(&self, topic: u16) -> Option<&SchemaRef> {
        self.topics[topic as usize].columns.as_ref().map(|columns| &columns.conformed)
    }

    /// The merged column that `name` is in `topic`. An exact match wins; else, if the name is not `quoted`, a unique
    /// match without regard to case.
    ///
    /// # Errors
    /// [`EventError::UnknownTopic`], [`EventError::SchemaUnknown`] before the topic's schema has come,
    /// [`EventError::UnknownColumn`] or [`EventError::AmbiguousColumn`].
    pub fn column(&self, topic: &str, name: &str, quoted: bool) -> Result<usize, EventError> {
        let number = self
            .topic(topic)
            .ok_or_else(|| unknown_topic(topic, self.topics.iter().map(|topic| topic.name.as_str())))?;
        let columns = self.topics[number as usize].columns.as_ref();
        let columns = columns.ok_or_else(|| EventError::SchemaUnknown { topic: topic.to_owned() })?;
        Ok(columns.merged[resolve_column(&columns.schema, name, quoted)?])
    }

    /// The merged column that `name` is in every topic that has it, each asked as [`MergedSchema::column`] does.
    ///
    /// # Errors
    /// [`EventError::TopicsDisagree`] if they do not mean the same column: not one type, or not one spelling;
    /// [`EventError::UnknownColumn`] if no topic has it, [`EventError::AmbiguousColumn`] if it is that in one of them.
    pub fn any_topic(&self, name: &str, quoted: bool) -> Result<usize, EventError> {
        let mut found: Vec<(&str, usize)> = vec![];
        for topic in &self.topics {
            let Some(columns) = &topic.columns else { continue };
            match resolve_column(&columns.schema, name, quoted) {
                Ok(column) => found.push((&topic.name, columns.merged[column])),
                Err(EventError::UnknownColumn { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match found.as_slice() {
            [] => Err(self.unknown_column(name)),
            [(_, first), rest @ ..] if rest.iter().all(|(_, column)| column == first) => Ok(*first),
            several => {
                let found = several.iter().map(|(topic, column)| {
                    let field = self.schema.field(*column);
                    format!("`{}` of `{topic}` is {}", field.name(), field.data_type())
                });
                Err(EventError::TopicsDisagree { column: name.to_owned(), found: found.collect() })
            }
        }
    }

    fn unknown_column(&self, name: &str) -> EventError {
        let mut known: Vec<String> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut seen = HashSet::new();
        known.retain(|name| seen.insert(name.clone()));
        EventError::UnknownColumn {
            name: name.to_owned(),
            hint: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
            known,
        }
    }

    /// A topic's batch as [`MergedSchema::gather`] takes it: shared, but for dictionary codes that are made wider.
    ///
    /// `position` is the batch's ordinal in the call, for the error.
    ///
    /// # Errors
    /// [`EventError::SchemaChanged`] if the batch is not of the topic's schema; what Arrow refuses.
    pub fn conform(
        &self,
        topic: u16,
        batch: &RecordBatch,
        position: usize,
    ) -> Result<RecordBatch, EventError> {
        let columns = self.topics[topic as usize].columns.as_ref().expect("the topic's schema is set");
        if !columns.fit(batch.schema_ref()) {
            return Err(EventError::SchemaChanged {
                batch: position,
                found: describe(batch.schema_ref()),
                expected: describe(&columns.schema),
            });
        }
        let arrays = batch.columns().iter().zip(columns.conformed.fields()).map(|(array, field)| {
            if array.data_type() == field.data_type() {
                Ok(Arc::clone(array))
            } else {
                arrow_cast::cast(array, field.data_type())
            }
        });
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&columns.conformed), arrays, &rows)?)
    }

    /// The rows of one topic among those of a batch, in the topic's [conformed schema](Self::conformed_schema).
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn rows_of(&self, topic: u16, rows: &MergedBatch) -> Result<MergedBatch, EventError> {
        let own: Vec<u32> =
            (0..rows.num_rows() as u32).filter(|row| rows.topic[*row as usize] == topic).collect();
        let batch = match &self.topics[topic as usize].columns {
            Some(columns) => {
                let places = UInt32Array::from(own.clone());
                let merged =
                    columns.merged.iter().map(|column| take(rows.batch.column(*column), &places, None));
                let options = RecordBatchOptions::new().with_row_count(Some(own.len()));
                let merged = merged.collect::<Result<Vec<_>, _>>()?;
                RecordBatch::try_new_with_options(Arc::clone(&columns.conformed), merged, &options)?
            }
            // It has sent nothing.
            None => RecordBatch::new_empty(Arc::new(Schema::empty())),
        };
        Ok(MergedBatch {
            batch,
            time: own.iter().map(|row| rows.time[*row as usize]).collect(),
            topic: own.iter().map(|row| rows.topic[*row as usize]).collect(),
            arrival: own.iter().map(|row| rows.arrival[*row as usize]).collect(),
        })
    }

    /// The rows of `segments`, in that order, as a batch of the merged schema.
    ///
    /// `sources` are batches that [`MergedSchema::conform`] made, each with its topic. One segment is a slice, without
    /// a copy; a few long ones are joined block by block; scattered rows are gathered one by one.
    ///
    /// Cost: O(rows · columns), O(columns) for one segment.
    ///
    /// # Errors
    /// What Arrow refuses: strings past 2 GiB in one batch, dictionaries with more values than 32 bits.
    pub fn gather(
        &self,
        sources: &[(u16, &RecordBatch)],
        segments: &[Segment],
    ) -> Result<RecordBatch, EventError> {
        let rows: usize = segments.iter().map(|segment| segment.len).sum();
        let scattered = segments.len() > 1 && rows < segments.len() * LONG_SEGMENT;
        let places: Vec<(usize, usize)> = if scattered {
            let rows_of = |segment: &Segment| {
                let Segment { source, start, len } = *segment;
                (start..start + len).map(move |row| (source, row))
            };
            segments.iter().flat_map(rows_of).collect()
        } else {
            vec![]
        };
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (column, field) in self.schema.fields().iter().enumerate() {
            let found: Vec<Option<&ArrayRef>> =
                sources.iter().map(|(topic, batch)| self.source_column(*topic, batch, column)).collect();
            columns.push(if rows == 0 {
                new_empty_array(field.data_type())
            } else if scattered {
                gather_scattered(field.data_type(), &found, &places)?
            } else {
                gather_segments(field.data_type(), &found, segments)?
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    fn source_column<'b>(&self, topic: u16, batch: &'b RecordBatch, column: usize) -> Option<&'b ArrayRef> {
        let columns = self.topics[topic as usize].columns.as_ref()?;
        columns.own.get(column).copied().flatten().map(|own| batch.column(own))
    }
}

/// Segments of at least so many rows, on average, are joined as blocks: setting one up costs about as much as
/// gathering that many rows one by one.
const LONG_SEGMENT: usize = 16;

fn gather_segments(
    data_type: &DataType,
    sources: &[Option<&ArrayRef>],
    segments: &[Segment],
) -> Result<ArrayRef, EventError> {
    let part = |segment: &Segment| match sources[segment.source] {
        Some(array) => array.slice(segment.start, segment.len),
        None => new_null_array(data_type, segment.len),
    };
    if let [segment] = segments {
        return Ok(part(segment));
    }
    let parts: Vec<ArrayRef> = segments.iter().map(part).collect();
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

fn gather_scattered(
    data_type: &DataType,
    sources: &[Option<&ArrayRef>],
    places: &[(usize, usize)],
) -> Result<ArrayRef, EventError> {
    if sources.iter().all(Option::is_none) {
        return Ok(new_null_array(data_type, places.len()));
    }
    // `interleave` knows no NULL index: one NULL row stands for all rows of topics without the column.
    let missing = sources.iter().any(Option::is_none).then(|| new_null_array(data_type, 1));
    let mut arrays: Vec<&dyn Array> = vec![];
    let numbers: Vec<usize> = sources
        .iter()
        .map(|source| {
            source.map_or(usize::MAX, |array| {
                arrays.push(array.as_ref());
                arrays.len() - 1
            })
        })
        .collect();
    let Some(missing) = &missing else { return interleaved(&arrays, places) };
    let nothing = (arrays.len(), 0);
    arrays.push(missing.as_ref());
    let places: Vec<(usize, usize)> = places
        .iter()
        .map(|(source, row)| match numbers[*source] {
            usize::MAX => nothing,
            number => (number, *row),
        })
        .collect();
    interleaved(&arrays, &places)
}

/// The values at `places`, each an array and a row of it.
fn interleaved(arrays: &[&dyn Array], places: &[(usize, usize)]) -> Result<ArrayRef, EventError> {
    // For every dictionary `interleave` asks all places which of its values they use: with many dictionaries it is less
    // work to put the arrays together whole.
    let rows: usize = arrays.iter().map(|array| array.len()).sum();
    let asked = places.len().saturating_mul(arrays.len());
    if matches!(arrays[0].data_type(), DataType::Dictionary(..)) && asked / 4 > rows {
        let mut starts = Vec::with_capacity(arrays.len());
        let mut start = 0;
        for array in arrays {
            starts.push(start);
            start += array.len() as u64;
        }
        let rows =
            UInt64Array::from_iter_values(places.iter().map(|(array, row)| starts[*array] + *row as u64));
        return Ok(take(&concat(arrays)?, &rows, None)?);
    }
    Ok(interleave(arrays, places)?)
}

/// The type in the merged schema of a column of this type: dictionary codes of 8 or 16 bits are 32 bits wide.
pub fn with_wide_codes(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(code, value)
            if matches!(**code, DataType::Int8 | DataType::UInt8 | DataType::Int16 | DataType::UInt16) =>
        {
            DataType::Dictionary(Box::new(DataType::Int32), value.clone())
        }
        other => other.clone(),
    }
}

/// The error that says that there is no topic of this name among `known`.
pub(crate) fn unknown_topic<'t>(topic: &str, known: impl Iterator<Item = &'t str>) -> EventError {
    let known: Vec<String> = known.map(str::to_owned).collect();
    EventError::UnknownTopic {
        topic: topic.to_owned(),
        hint: nearest(topic, known.iter().map(String::as_str)).map(str::to_owned),
        known,
    }
}
