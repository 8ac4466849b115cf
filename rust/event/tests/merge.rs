//! One schema over several topics: which columns there are, how they are found, and what their rows hold.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringViewArray, StructArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use cepheid_event::merge::Segment;
use cepheid_event::{MergedSchema, ReorderBuffer, TimePolicy};

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), false));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn merged() -> MergedSchema {
    let txn = schema(&[("ts", DataType::Int64), ("amount", DataType::Float64), ("Card", DataType::Utf8)]);
    let login = schema(&[("amount", DataType::Int64), ("ts", DataType::Int64), ("card", DataType::Utf8)]);
    let scan = schema(&[("ts", DataType::Int64), ("place", DataType::Utf8), ("PLACE", DataType::Utf8)]);
    MergedSchema::new(&[("txn".into(), txn), ("login".into(), login), ("scan".into(), scan)]).unwrap()
}

#[test]
fn there_is_one_nullable_column_for_each_name_and_type() {
    let merged = merged();
    let columns: Vec<(&str, &DataType)> =
        merged.schema().fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
    let expected = [
        ("ts", &DataType::Int64),
        ("amount", &DataType::Float64),
        ("Card", &DataType::Utf8),
        ("amount", &DataType::Int64),
        ("card", &DataType::Utf8),
        ("place", &DataType::Utf8),
        ("PLACE", &DataType::Utf8),
    ];
    assert_eq!(columns, expected);
    assert!(merged.schema().fields().iter().all(|field| field.is_nullable()));
}

#[test]
fn columns_are_found_by_topic_and_by_name() {
    let merged = merged();
    assert_eq!(merged.column("txn", "amount", false), Ok(1));
    assert_eq!(merged.column("login", "amount", false), Ok(3));
    assert_eq!(merged.column("login", "CARD", false), Ok(4));
    assert_eq!(merged.column("login", "CARD", true).unwrap_err().code(), "unknown-column");
    assert_eq!(merged.column("scan", "Place", false).unwrap_err().code(), "ambiguous-column");
    let error = merged.column("logon", "ts", false).unwrap_err();
    assert!(error.to_string().contains("did you mean `login`?"), "{error}");
    assert_eq!(merged.any_topic("TS", false), Ok(0));
    assert_eq!(merged.any_topic("place", true), Ok(5));
    assert_eq!(merged.any_topic("Place", false).unwrap_err().code(), "ambiguous-column");
    let error = merged.any_topic("amount", false).unwrap_err();
    assert_eq!(error.code(), "topics-disagree");
    assert!(
        error.to_string().contains("`amount` of `txn` is Float64, `amount` of `login` is Int64"),
        "{error}"
    );
    // Spelt in two ways it is two columns: only the topic tells which is meant.
    assert_eq!(merged.any_topic("card", false).unwrap_err().code(), "topics-disagree");
    assert_eq!(merged.any_topic("card", true), Ok(4));
    let error = merged.any_topic("amuont", false).unwrap_err();
    assert!(error.to_string().contains("did you mean `amount`?"), "{error}");
}

#[test]
fn a_topic_that_comes_later_leaves_the_columns_where_they_are() {
    let mut merged = merged();
    let before = merged.schema().fields().clone();
    let topic = merged.add_topic("late").unwrap();
    assert_eq!(merged.column("late", "ts", false).unwrap_err().code(), "schema-unknown");
    merged.set_schema(
        topic,
        schema(&[("new", DataType::Utf8), ("ts", DataType::Int64), ("ts", DataType::Int64)]),
    );
    assert_eq!(merged.schema().fields()[..before.len()], before[..]);
    assert_eq!(merged.column("late", "new", false), Ok(7));
    assert_eq!(merged.schema().fields().len(), 9, "the second `ts` of one topic is a column of its own");
    assert_eq!(merged.add_topic("txn"), Ok(0));
    assert_eq!((topic, merged.topic_name(3), merged.order()), (3, "late", [0, 1, 2, 3].as_slice()));
}

#[test]
fn topics_are_numbered_in_sixteen_bits() {
    let mut merged = MergedSchema::default();
    for topic in 0..u16::MAX {
        assert_eq!(merged.add_topic(&topic.to_string()), Ok(topic));
    }
    let error = merged.add_topic("one too many").unwrap_err();
    assert_eq!((error.code(), merged.topic("65534")), ("too-many-topics", Some(65_534)));
    assert_eq!(merged.add_topic("7"), Ok(7));
}

/// Three rows of every kind of column that Arrow gathers in its own way.
fn columns_of_all_kinds(from: i64) -> Vec<(&'static str, ArrayRef)> {
    let ids = [from, from + 1, from + 2];
    let lists = ids.map(|id| Some(vec![Some(id), None]));
    let parts: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    let part = Arc::new(Field::new("part", DataType::Int64, true));
    let text = ids.map(|id| format!("a text that is too long for a view by itself: {id}"));
    vec![
        ("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef),
        ("text", Arc::new(StringArray::from(text.to_vec()))),
        ("view", Arc::new(text.iter().map(|text| Some(text.as_str())).collect::<StringViewArray>())),
        ("real", Arc::new(Float64Array::from(vec![Some(from as f64), None, Some(-0.0)]))),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(ids.map(i128::from).to_vec()).with_precision_and_scale(9, 2).unwrap(),
            ),
        ),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
        ("struct", Arc::new(StructArray::from(vec![(part, parts)]))),
        (
            "words",
            arrow_cast::cast(&StringArray::from(text.to_vec()), &dictionary(DataType::UInt16)).unwrap(),
        ),
    ]
}

fn dictionary(code: DataType) -> DataType {
    DataType::Dictionary(Box::new(code), Box::new(DataType::Utf8))
}

#[test]
fn rows_of_every_type_are_gathered_whichever_way_they_lie() {
    let all = RecordBatch::try_from_iter(columns_of_all_kinds(10)).unwrap();
    let more = RecordBatch::try_from_iter(columns_of_all_kinds(20)).unwrap();
    let other = RecordBatch::try_from_iter([("id", all.column(0).clone())]).unwrap();
    let topics = [("all".to_owned(), all.schema()), ("other".to_owned(), other.schema())];
    let merged = MergedSchema::new(&topics).unwrap();
    assert_eq!(*merged.schema().field(7).data_type(), dictionary(DataType::Int32));
    let sources = [(&all, 0), (&more, 0), (&other, 1)]
        .map(|(batch, topic)| (topic, merged.conform(topic, batch, 0).unwrap()));
    let sources: Vec<(u16, &RecordBatch)> = sources.iter().map(|(topic, batch)| (*topic, batch)).collect();
    let segment = |source, start, len| Segment { source, start, len };
    let cases = [
        vec![],
        vec![segment(0, 1, 2)],
        vec![segment(2, 0, 3)],
        vec![segment(1, 2, 1), segment(0, 0, 1), segment(2, 1, 1), segment(1, 0, 2)],
        vec![segment(2, 2, 1), segment(2, 0, 1)],
        // As blocks: sixteen rows and more to a segment, on average.
        vec![segment(3, 0, 60), segment(4, 3, 40), segment(0, 1, 1)],
        // So scattered that dictionaries are put together whole.
        (0..200).map(|row| segment(row % 3, row / 3 % 3, 1)).collect(),
    ];
    let many =
        |batch: &RecordBatch| arrow_select::concat::concat_batches(&batch.schema(), vec![batch; 20]).unwrap();
    let (long, long_other) = (many(sources[0].1), many(sources[2].1));
    let sources: Vec<(u16, &RecordBatch)> =
        sources.into_iter().chain([(0, &long), (1, &long_other)]).collect();
    let mut compared = 0;
    for segments in &cases {
        let out = merged.gather(&sources, segments).unwrap();
        assert_eq!(out.num_rows(), segments.iter().map(|segment| segment.len).sum::<usize>());
        let places = segments.iter().flat_map(|segment| {
            (segment.start..segment.start + segment.len).map(|row| sources[segment.source].1.slice(row, 1))
        });
        for (row, expected) in places.enumerate() {
            for (name, column) in merged.schema().fields().iter().map(|f| f.name()).zip(out.columns()) {
                let found = column.slice(row, 1);
                match expected.column_by_name(name) {
                    Some(array) => assert_eq!(&found, array, "{name}"),
                    None => assert!(found.is_null(0), "{name}"),
                }
                compared += 1;
            }
        }
    }
    assert_eq!(compared, (2 + 3 + 5 + 2 + 101 + 200) * 8);
}

#[test]
fn rows_without_any_column_but_the_time_are_rows_still() {
    let mut stream = ReorderBuffer::new("t", TimePolicy { lateness: Some(0), ..TimePolicy::default() });
    stream.add_source("a").unwrap();
    let times: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 2]));
    let pushed = RecordBatch::try_from_iter([("t", times)]).unwrap();
    let out = stream.push("a", &[pushed.slice(0, 0), pushed], None).unwrap();
    assert_eq!(out.rows.batch.column(0).as_primitive::<Int64Type>().values().as_ref(), [1, 2, 2]);
    assert_eq!(out.rows.arrival.as_ref(), [0, 1, 2]);
}
