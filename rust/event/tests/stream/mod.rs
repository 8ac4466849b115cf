//! Streams for tests: rows that say who they are, and a model that takes them one by one.
#![allow(dead_code)]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int64Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_event::{MergedBatch, Released, TimePolicy};

pub(crate) const TOPICS: [&str; 3] = ["a", "b", "c"];

/// A row: its time, and a number that no other row of its topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) id: i64,
}

/// Topics share `ts`, `id` and `kind`; `a` alone has `only_a`, and `mixed` has another type in each.
pub(crate) fn schema(topic: usize) -> SchemaRef {
    let kind = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let mut fields = vec![
        Field::new("ts", DataType::Int64, topic != 1),
        Field::new("id", DataType::Int64, true),
        Field::new("kind", kind, true),
    ];
    match topic {
        0 => fields.insert(0, Field::new("only_a", DataType::Utf8, true)),
        1 => fields.push(Field::new("mixed", DataType::Utf8, true)),
        _ => fields.push(Field::new("mixed", DataType::Int64, true)),
    }
    Arc::new(Schema::new(fields))
}

/// A thousand rows have more kinds than 8 bits have codes, but no batch of a test does.
pub(crate) fn kind_of(id: i64) -> Option<String> {
    let kind = if id < 1_000 { id / 4 } else { id % 100 };
    (id % 7 != 0).then(|| format!("kind {kind}"))
}

/// A batch of `rows` whose dictionary has the values of these rows alone.
pub(crate) fn batch(topic: usize, rows: &[Row]) -> RecordBatch {
    let ids = || rows.iter().map(|row| row.id);
    let text = |prefix: &str| -> ArrayRef {
        Arc::new(ids().map(|id| Some(format!("{prefix} {id}"))).collect::<StringArray>())
    };
    let kinds: Vec<Option<String>> = ids().map(kind_of).collect();
    let kind: DictionaryArray<Int8Type> = kinds.iter().map(Option::as_deref).collect();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.time).collect::<Int64Array>()),
        Arc::new(ids().collect::<Int64Array>()),
        Arc::new(kind),
    ];
    match topic {
        0 => columns.insert(0, text("a")),
        1 => columns.push(text("b")),
        _ => columns.push(Arc::new(ids().map(|id| -id).collect::<Int64Array>())),
    }
    RecordBatch::try_new(schema(topic), columns).expect("the columns are those of the schema")
}

/// A row that was released: topic, ordinal, time and id.
pub(crate) type Out = (u16, u64, i64, i64);

/// The rows of a release; every column of them is checked against the row's id.
pub(crate) fn rows_of(rows: &MergedBatch) -> Vec<Out> {
    let schema = rows.batch.schema();
    let find = |name: &str, data_type: &DataType| {
        schema.fields().iter().position(|field| field.name() == name && field.data_type() == data_type)
    };
    let wide = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let Some(id) = find("id", &DataType::Int64) else { return vec![] };
    assert_eq!(rows.batch.num_rows(), rows.num_rows());
    assert_eq!(rows.topic.len(), rows.num_rows());
    assert_eq!(rows.arrival.len(), rows.num_rows());
    let ids = rows.batch.column(id).as_primitive::<Int64Type>();
    let times = rows.batch.column(find("ts", &DataType::Int64).unwrap()).as_primitive::<Int64Type>();
    let kinds = arrow_cast::cast(rows.batch.column(find("kind", &wide).unwrap()), &DataType::Utf8).unwrap();
    let kinds = kinds.as_string::<i32>();
    let text =
        |name: &str| find(name, &DataType::Utf8).map(|column| rows.batch.column(column).as_string::<i32>());
    let (only_a, mixed_text) = (text("only_a"), text("mixed"));
    let mixed_int = find("mixed", &DataType::Int64).map(|column| rows.batch.column(column));
    let mixed_int = mixed_int.map(|column| column.as_primitive::<Int64Type>());
    let mut out = vec![];
    for row in 0..rows.num_rows() {
        let (id, topic) = (ids.value(row), rows.topic[row]);
        assert_eq!(times.value(row), rows.time[row]);
        assert_eq!(kinds.is_valid(row).then(|| kinds.value(row).to_owned()), kind_of(id));
        let check = |array: Option<&StringArray>, of: u16, prefix: &str| {
            let found = array.and_then(|array| array.is_valid(row).then(|| array.value(row).to_owned()));
            assert_eq!(found, (topic == of).then(|| format!("{prefix} {id}")));
        };
        check(only_a, 0, "a");
        check(mixed_text, 1, "b");
        let found = mixed_int.and_then(|array| array.is_valid(row).then(|| array.value(row)));
        assert_eq!(found, (topic == 2).then_some(-id));
        out.push((topic, rows.arrival[row], rows.time[row], id));
    }
    out
}

/// The late rows of a release, likewise.
pub(crate) fn late_of(released: &Released) -> Vec<Out> {
    let mut out = vec![];
    for late in &released.late {
        let ids = late.batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
        let times = late.batch.column_by_name("ts").unwrap().as_primitive::<Int64Type>();
        assert_eq!(late.batch.schema(), schema(late.topic as usize));
        assert_eq!(times.values(), &late.time);
        out.extend((0..ids.len()).map(|row| (late.topic, late.arrival[row], late.time[row], ids.value(row))));
    }
    out
}

/// One thing that happens to a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Row(usize, Row),
    Advance(i64),
    Flush,
    Add(usize),
    Remove(usize),
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ModelSource {
    pub(crate) active: bool,
    pub(crate) greatest: Option<i64>,
    pub(crate) awaited: Option<i64>,
    pub(crate) rows: u64,
    pub(crate) late: u64,
    pub(crate) future: u64,
}

/// The rules as they are written, one row at a time, with no thought of speed.
pub(crate) struct Model {
    pub(crate) policy: TimePolicy,
    pub(crate) now: Option<i64>,
    pub(crate) sources: [ModelSource; 3],
    pub(crate) watermark: Option<i64>,
    /// Rows at or before this are late.
    pub(crate) closed: Option<i64>,
    /// Time, topic, ordinal, id.
    pub(crate) waiting: Vec<(i64, u16, u64, i64)>,
    pub(crate) released: Vec<Out>,
    pub(crate) late: Vec<Out>,
}

impl Model {
    pub(crate) fn new(policy: TimePolicy, now: Option<i64>) -> Self {
        Self {
            policy,
            now,
            sources: Default::default(),
            watermark: None,
            closed: None,
            waiting: vec![],
            released: vec![],
            late: vec![],
        }
    }

    fn greatest(&self) -> Option<i64> {
        self.sources.iter().filter(|source| source.active).filter_map(|source| source.greatest).max()
    }

    fn idle(&self, source: &ModelSource) -> bool {
        match (self.policy.idle, source.greatest.or(source.awaited), self.greatest()) {
            (Some(idle), Some(reached), Some(greatest)) => greatest - reached > idle as i64,
            _ => false,
        }
    }

    fn settle(&mut self) {
        let Some(lateness) = self.policy.lateness else { return };
        let counting: Vec<_> =
            self.sources.iter().filter(|source| source.active && !self.idle(source)).collect();
        if counting.is_empty() || counting.iter().any(|source| source.greatest.is_none()) {
            return;
        }
        let least = counting.iter().filter_map(|source| source.greatest).min().unwrap() - lateness as i64;
        self.watermark = self.watermark.max(Some(least));
    }

    fn release(&mut self, everything: bool) {
        let watermark = self.watermark;
        let (mut ready, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|row| everything || watermark.is_some_and(|watermark| row.0 <= watermark));
        self.waiting = rest;
        ready.sort();
        self.released.extend(ready.into_iter().map(|(time, topic, arrival, id)| (topic, arrival, time, id)));
    }

    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Row(topic, row) => self.row(topic, row),
            Step::Advance(time) => {
                if self.watermark.is_none_or(|watermark| time >= watermark) {
                    self.watermark = Some(time);
                    self.closed = Some(time);
                }
                self.release(false);
            }
            Step::Flush => {
                let seen = self.sources.iter().filter_map(|source| source.greatest);
                let last = seen.chain(self.waiting.iter().map(|row| row.0)).chain(self.watermark).max();
                self.release(true);
                self.watermark = last;
                self.closed = last;
            }
            Step::Add(topic) => {
                let awaited = self.greatest();
                let source = &mut self.sources[topic];
                if !source.active {
                    *source = ModelSource { active: true, greatest: None, awaited, ..*source };
                }
            }
            Step::Remove(topic) => {
                self.sources[topic].active = false;
                self.settle();
                self.release(false);
            }
        }
    }

    fn row(&mut self, topic: usize, row: Row) {
        let Row { time, id } = row;
        let arrival = self.sources[topic].rows;
        self.sources[topic].rows += 1;
        let own = self.sources[topic].greatest.zip(self.policy.lateness).map(|(g, l)| g - l as i64);
        let ahead = self.now.zip(self.policy.future).is_some_and(|(now, future)| time > now + future as i64);
        let behind = |watermark: Option<i64>| watermark.is_some_and(|watermark| time < watermark);
        if behind(own) || behind(self.watermark) || self.closed.is_some_and(|closed| time <= closed) {
            self.sources[topic].late += 1;
            self.late.push((topic as u16, arrival, time, id));
        } else {
            self.sources[topic].future += u64::from(ahead);
            self.waiting.push((time, topic as u16, arrival, id));
        }
        if !ahead {
            for source in &mut self.sources {
                if source.active && source.greatest.is_none() && source.awaited.is_none() {
                    source.awaited = Some(time);
                }
            }
            let greatest = &mut self.sources[topic].greatest;
            *greatest = Some(greatest.map_or(time, |greatest: i64| greatest.max(time)));
            self.settle();
        }
        self.release(false);
    }
}
