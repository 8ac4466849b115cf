//! Which event a derived one is, which it comes of, and what story it belongs to: columns that stand before its own.
//!
//! - `id`: 128 bits of SHA-256, in hexadecimal, of the rule's version, the topic, and the events that it was made of: the same
//!   input gives the same ids, so that who has an event knows a repeat of it.
//! - `correlationid`: that of the event that caused it, or the id of that, if it has none: it began the story.
//! - `causationid`: the id of the event that caused it, the last of those that it was made of.
//!
//! The id of a source event is what its column `id` says, as text, and where there is none the topic and the row's ordinal in
//! it, `topic#ordinal`. A column of one of these names that a rule reports of its own stands as it is.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use cepheid_event::{EventError, MergedBatch, MergedSchema};
use sha2::{Digest, Sha256};

use crate::error::EngineError;

/// The columns, in their order.
pub(super) const COLUMNS: [&str; 3] = ["id", "correlationid", "causationid"];

/// Ids of rows, and of the stories that they belong to.
#[derive(Clone, Debug)]
pub(super) struct RowIds {
    ids: StringArray,
    stories: StringArray,
}

impl RowIds {
    /// Those of rows of sources, or of events that other rules have derived.
    pub(super) fn of(rows: &MergedBatch, columns: &MergedSchema) -> Self {
        let said_ids = said(rows, columns, COLUMNS[0]);
        let said_stories = said(rows, columns, COLUMNS[1]);
        let mut ids = StringBuilder::new();
        for row in 0..rows.num_rows() {
            match value(&said_ids, rows, row) {
                Some(id) => ids.append_value(id),
                None => {
                    let (topic, ordinal) = (columns.topic_name(rows.topic[row]), rows.arrival[row]);
                    ids.append_value(format!("{topic}#{ordinal}"));
                }
            }
        }
        let ids = ids.finish();
        let story = |row: usize| Some(value(&said_stories, rows, row).unwrap_or_else(|| ids.value(row)));
        let stories = (0..rows.num_rows()).map(story).collect();
        Self { ids, stories }
    }

    pub(super) fn id(&self, row: usize) -> &str {
        self.ids.value(row)
    }

    pub(super) fn story(&self, row: usize) -> &str {
        self.stories.value(row)
    }

    /// A number of each id, for sums that say which are among them: 31 bits, so that no sum of them overflows. FNV-1a, 64 bits
    /// folded.
    fn digests(&self) -> Int64Array {
        let digest = |id: Option<&str>| {
            let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            let hash = id.unwrap_or_default().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
            ((hash ^ (hash >> 32)) & 0x7fff_ffff) as i64
        };
        Int64Array::from_iter_values(self.ids.iter().map(digest))
    }

    /// The columns of [`hidden_fields`].
    pub(super) fn hidden(self) -> [ArrayRef; 3] {
        let digests = Arc::new(self.digests());
        [Arc::new(self.ids), Arc::new(self.stories), digests]
    }
}

/// Names of columns of rows that rules which ask them one by one are given beside others.
pub(super) const HIDDEN: [&str; 3] = ["\u{0}id", "\u{0}story", "\u{0}digest"];

pub(super) fn hidden_fields() -> [FieldRef; 3] {
    let types = [DataType::Utf8, DataType::Utf8, DataType::Int64];
    let field = |(name, data_type): (&str, DataType)| Arc::new(Field::new(name, data_type, true));
    let mut fields = HIDDEN.into_iter().zip(types).map(field);
    std::array::from_fn(|_| fields.next().expect("three of each"))
}

/// What a column says, as text, row by row; NULL where it has no text. Whether a value has one does not depend on others.
fn said_by(column: &ArrayRef) -> StringArray {
    let data_type = column.data_type();
    if data_type.is_string()
        || matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
    {
        // Bytes that are no text become NULL.
        let text = cast(column, &DataType::Utf8);
        return text
            .map_or_else(|_| StringArray::new_null(column.len()), |text| text.as_string::<i32>().clone());
    }
    let options = FormatOptions::new().with_display_error(false);
    let Ok(formatter) = ArrayFormatter::try_new(column, &options) else {
        return StringArray::new_null(column.len());
    };
    let nulls = column.logical_nulls();
    let is_there = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    (0..column.len()).map(|row| formatter.value(row).try_to_string().ok().filter(|_| is_there(row))).collect()
}

/// By topic: what its column of a name says, as text; `None`: it has none.
fn said(rows: &MergedBatch, columns: &MergedSchema, name: &str) -> Vec<Option<StringArray>> {
    let mut known: Vec<(usize, StringArray)> = vec![];
    let mut by_topic = vec![];
    for topic in 0..columns.num_topics() as u16 {
        let Ok(column) = columns.column(columns.topic_name(topic), name, true) else {
            by_topic.push(None);
            continue;
        };
        if !known.iter().any(|(own, _)| *own == column) {
            known.push((column, said_by(rows.batch.column(column))));
        }
        by_topic.push(known.iter().find_map(|(own, text)| (*own == column).then(|| text.clone())));
    }
    by_topic
}

fn value<'a>(said: &'a [Option<StringArray>], rows: &MergedBatch, row: usize) -> Option<&'a str> {
    let text = said[rows.topic[row] as usize].as_ref()?;
    text.is_valid(row).then(|| text.value(row))
}

/// An id in the making: of parts, each of which is told apart from what follows.
pub(super) struct IdOf(Sha256);

impl IdOf {
    /// `rule`: its version; `topic`: the one that it derives.
    pub(super) fn new(rule: &str, topic: &str) -> Self {
        Self(Sha256::new()).and(rule).and(topic)
    }

    pub(super) fn and(mut self, part: &str) -> Self {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    pub(super) fn text(self) -> String {
        let hash = self.0.finalize();
        hash[..16].iter().fold(String::with_capacity(32), |mut text, byte| {
            write!(text, "{byte:02x}").expect("text can be written");
            text
        })
    }
}

/// Ids of derived events, one for each row of their table.
#[derive(Default)]
pub(super) struct EventIds {
    ids: Vec<String>,
    causes: Vec<Option<(String, String)>>,
}

impl EventIds {
    /// `cause`: the id of the event that caused it, and of its story.
    pub(super) fn push(&mut self, id: String, cause: Option<(&str, &str)>) {
        self.ids.push(id);
        self.causes.push(cause.map(|(id, story)| (id.to_owned(), story.to_owned())));
    }

    /// The events with these columns in front. `is_own`: whether a column of one of their names is the rule's own, which stands
    /// as it is, and not that of a row that has been passed on.
    pub(super) fn add_to(
        self,
        events: &RecordBatch,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<RecordBatch, EngineError> {
        let stories: StringArray = self.causes.iter().map(|cause| Some(&cause.as_ref()?.1)).collect();
        let causes: StringArray = self.causes.iter().map(|cause| Some(&cause.as_ref()?.0)).collect();
        let ids: ArrayRef = Arc::new(StringArray::from(self.ids));
        let own: [ArrayRef; 3] = [ids, Arc::new(stories), Arc::new(causes)];
        let schema = with_ids(&events.schema(), &is_own);
        let columns = schema.fields().iter().map(|field| {
            let known = events.column_by_name(field.name());
            match COLUMNS.iter().position(|name| name == field.name()) {
                Some(place) if known.is_none() || !is_own(field.name()) => Arc::clone(&own[place]),
                _ => Arc::clone(known.expect("it has all other columns")),
            }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(events.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns.collect(), &options);
        Ok(batch.map_err(EventError::from)?)
    }
}

/// The columns of derived events that say which they are. `is_own`: see [`EventIds::add_to`].
pub(super) fn with_ids(events: &Schema, is_own: impl Fn(&str) -> bool) -> SchemaRef {
    let is_kept = |name: &str| !COLUMNS.contains(&name) || is_own(name);
    let new = COLUMNS.into_iter().filter(|name| events.field_with_name(name).is_err() || !is_own(name));
    let new = new.map(|name| Arc::new(Field::new(name, DataType::Utf8, true)));
    let kept = events.fields().iter().filter(|field| is_kept(field.name())).cloned();
    Arc::new(Schema::new(new.chain(kept).collect::<Vec<_>>()))
}

/// What columns say of a row, each as text behind an equals sign; NULL, and what has no text, as nothing.
pub(super) fn texts(columns: &[ArrayRef]) -> impl Fn(usize) -> Vec<String> {
    let columns: Vec<StringArray> = columns.iter().map(said_by).collect();
    let text = |column: &StringArray, row: usize| match column.is_valid(row) {
        true => format!("={}", column.value(row)),
        false => String::new(),
    };
    move |row: usize| columns.iter().map(|column| text(column, row)).collect()
}

/// Ids of what a processor gives. Nobody knows which rows an event was made of: it is known by its number and by what it says. One
/// that was passed on has been caused by the event whose id it bears.
pub(super) fn of_given(rule: &str, topic: &str, first: u64, events: &RecordBatch) -> EventIds {
    let said = |name: &str| events.column_by_name(name).map(said_by);
    let (ids, stories) = (said(COLUMNS[0]), said(COLUMNS[1]));
    fn at(said: &Option<StringArray>, row: usize) -> Option<&str> {
        said.as_ref().filter(|said| said.is_valid(row)).map(|said| said.value(row))
    }
    let says = texts(events.columns());
    let mut own = EventIds::default();
    for row in 0..events.num_rows() {
        let id = IdOf::new(rule, topic).and(&(first + row as u64).to_string());
        let id = says(row).iter().fold(id, |id, part| id.and(part));
        let cause = at(&ids, row);
        own.push(id.text(), cause.map(|cause| (cause, at(&stories, row).unwrap_or(cause))));
    }
    own
}
