//! Good events come out however the text is made, and bad ones are told of once each.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use cepheid_ingest::{Events, Frame, IngestError, KnownType, Limits, Reader, Unknown};
use proptest::prelude::*;

const LIMITS: Limits = Limits { payload_bytes_max: 65_536, columns_max: 1_000 };
const FRAME: Frame<'_> = Frame { topic: None, source: "till", received_us: 7, id_prefix: "p" };

fn known(name: &str, version: Option<i32>, fields: Vec<Field>, unknown: Unknown) -> KnownType {
    KnownType { name: name.into(), version, columns: Arc::new(Schema::new(fields)), unknown }
}

fn read(types: Vec<KnownType>, text: &str) -> Events {
    Reader::new(types, LIMITS).read(text.as_bytes(), &FRAME).unwrap()
}

fn texts<'b>(batch: &'b RecordBatch, column: &str) -> Vec<Option<&'b str>> {
    batch.column_by_name(column).unwrap().as_string::<i32>().iter().collect()
}

fn codes(events: &Events) -> Vec<(usize, &'static str)> {
    events.faults.iter().map(|fault| (fault.row, fault.code.code())).collect()
}

#[test]
fn the_three_shapes_become_one_envelope() {
    let events = read(
        vec![],
        r#"[
        {"specversion":"1.0","id":"a","source":"/s","type":"t.x","time":"2026-07-01T10:00:00Z","data":{"n":1,"id":9},
         "correlationid":"c","schemaversion":"2"},
        {"eventId":"b","eventType":"t.x","timestamp":"2026-07-01T10:00:00Z","source":"old","correlationId":"d",
         "data":{"n":2},"metadata":{"version":"3.1","region":"eu"}},
        {"type":"t.x","n":3},
        {"type":"t.x","id":5,"data":{"n":4}}]"#,
    );
    assert!(events.faults.is_empty(), "{:?}", events.faults);
    let [batch] = &events.batches[..] else { panic!("one type") };
    let rows = &batch.batch;
    assert_eq!(texts(rows, "id"), [Some("a"), Some("b"), Some("p-2"), Some("5")]);
    assert_eq!(texts(rows, "source"), [Some("/s"), Some("old"), Some("till"), Some("till")]);
    assert_eq!(texts(rows, "correlationid"), [Some("c"), Some("d"), Some("p-2"), Some("5")]);
    assert_eq!(texts(rows, "causationid"), [None; 4]);
    let times = rows.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.values()[1..], [1_782_900_000_000_000, 7, 7]);
    let versions: Vec<_> =
        rows.column_by_name("schemaversion").unwrap().as_primitive::<Int32Type>().iter().collect();
    assert_eq!(versions, [Some(2), Some(3), None, None]);
    let n: Vec<_> = rows.column_by_name("n").unwrap().as_primitive::<Int64Type>().iter().flatten().collect();
    assert_eq!(n, [1, 2, 3, 4]);
    let names: Vec<_> = rows.schema().fields()[9..].iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["n", "data_id", "region"]);
    assert_eq!((batch.columns_new, &batch.rows[..]), (3, &[0, 1, 2, 3][..]));
}

#[test]
fn what_no_event_may_say_is_told_with_its_code() {
    let declared = || {
        let fields = vec![
            Field::new("n", DataType::Int64, false),
            Field::new("small", DataType::Int8, true),
            Field::new("price", DataType::Decimal128(5, 2), true),
            Field::new("at", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), true),
            Field::new("day", DataType::Date32, true),
            Field::new("f", DataType::Float64, true),
            Field::new("u", DataType::UInt64, true),
            Field::new("o", DataType::Struct(vec![Field::new("a", DataType::Boolean, true)].into()), true),
            Field::new("l", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), true),
            Field::new("bytes", DataType::Binary, true),
        ];
        vec![known("d", Some(2), fields, Unknown::Reject)]
    };
    let cases = [
        (r#"{"type":"d"}"#, "missing-field"),
        (r#"{"type":"d","n":null}"#, "missing-field"),
        (r#"{"type":"d","n":"1"}"#, "field-type"),
        (r#"{"type":"d","n":1.5}"#, "number-range"),
        (r#"{"type":"d","n":9223372036854775808}"#, "number-range"),
        (r#"{"type":"d","n":1,"small":128}"#, "number-range"),
        (r#"{"type":"d","n":1,"price":1.234}"#, "number-range"),
        (r#"{"type":"d","n":1,"price":"x"}"#, "field-type"),
        (r#"{"type":"d","n":1,"at":"2026-07-01"}"#, "field-type"),
        (r#"{"type":"d","n":1,"at":"9000-07-01T00:00:00Z"}"#, "field-type"),
        (r#"{"type":"d","n":1,"at":1700000000}"#, "field-type"),
        (r#"{"type":"d","n":1,"day":"2026-02-30"}"#, "field-type"),
        (r#"{"type":"d","n":1,"f":1e999}"#, "number-range"),
        (r#"{"type":"d","n":1,"u":-1}"#, "number-range"),
        (r#"{"type":"d","n":1,"u":18446744073709551616}"#, "number-range"),
        (r#"{"type":"d","n":1,"o":{"b":1}}"#, "unknown-field"),
        (r#"{"type":"d","n":1,"o":{"a":1}}"#, "field-type"),
        (r#"{"type":"d","n":1,"o":[]}"#, "field-type"),
        (r#"{"type":"d","n":1,"l":["a",1]}"#, "field-type"),
        (r#"{"type":"d","n":1,"bytes":"?"}"#, "field-type"),
        (r#"{"type":"d","n":1,"m":1}"#, "unknown-field"),
        (r#"{"type":"d","n":1,"schemaversion":3}"#, "schema-version"),
        (r#"{"type":"d","n":1,"schemaversion":"x"}"#, "schema-version"),
        (r#"{"type":"d","n":1,"time":12}"#, "event-time"),
        (r#"{"type":"d","n":1,"time":"noon"}"#, "event-time"),
        (r#"{"type":"d","n":1,"id":""}"#, "event-attribute"),
        (r#"{"type":"d","n":1,"source":true}"#, "event-attribute"),
        (r#"{"n":1}"#, "event-type"),
        (r#"{"type":"a.*","n":1}"#, "event-type"),
        (r#"{"type":7,"n":1}"#, "event-type"),
        (r#"{"specversion":"0.3","id":"1","source":"s","type":"d","data":{"n":1}}"#, "event-attribute"),
        (r#"{"specversion":"1.0","source":"s","type":"d","data":{"n":1}}"#, "event-attribute"),
        (r#"{"specversion":"1.0","id":1,"source":"s","type":"d","data":{"n":1}}"#, "event-attribute"),
        (r#"{"specversion":"1.0","id":"1","source":"","type":"d","data":{"n":1}}"#, "event-attribute"),
        (r#"{"specversion":"1.0","id":"1","source":"s","data":{"n":1}}"#, "event-type"),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"d","data":{"n":1},"Bad":"x"}"#,
            "event-attribute",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"d","data":{"n":1},"x":{}}"#,
            "event-attribute",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"d","data":{"n":1},"x":1.5}"#,
            "event-attribute",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"d","data":1,"data_base64":"aaaa"}"#,
            "event-attribute",
        ),
        (r#"{"eventId":"1","eventType":"d","metadata":3,"data":{"n":1}}"#, "event-attribute"),
        (r#"{"eventId":"1","id":"2","eventType":"d","data":{"n":1}}"#, "event-attribute"),
        ("3", "json-not-object"),
        ("nope", "json-syntax"),
        (r#"{"type":"d","n":1,"n":1}"#, "json-duplicate-key"),
    ];
    for (text, code) in cases {
        let good =
            r#"{"type":"d","n":1,"price":"1.50","day":"2026-02-28","o":{"a":true},"l":["a",null],"m":null}"#;
        let events = read(declared(), &format!("{good}\n{text}\n{good}"));
        assert_eq!(codes(&events), [(1, code)], "{text}: {:?}", events.faults);
        assert_eq!(events.batches[0].rows, [0, 2], "{text}");
        let price = events.batches[0].batch.column_by_name("price").unwrap();
        assert_eq!(price.as_primitive::<Decimal128Type>().values()[..], [150, 150]);
    }
    assert_eq!(cases.len(), 44);
}

#[test]
fn what_was_sent_as_one_type_is_of_no_other() {
    let frame = Frame { topic: Some("t"), ..FRAME };
    let text = br#"[{"n":1},{"type":"t"},{"type":"other"}]"#;
    let events = Reader::new(vec![], LIMITS).read(text, &frame).unwrap();
    assert_eq!(codes(&events), [(2, "event-type")]);
    assert_eq!(events.batches[0].rows, [0, 1]);
    assert_eq!(events.faults[0].topic.as_deref(), Some("t"));
}

#[test]
fn fields_of_types_that_nobody_declared_keep_the_type_that_came_first() {
    let events = read(
        vec![known("t", None, vec![Field::new("a", DataType::Int64, true)], Unknown::Keep)],
        r#"[{"type":"t","a":"x","b":1},{"type":"t","a":1.5},{"type":"t","a":2,"b":"y","c":null},{"type":"t","b":true},
            {"type":"t","b":"z","d":{"e":[1, 2]}},{"type":"t","d":7}]"#,
    );
    // The first is no event, so that its `b` is nobody's.
    assert_eq!(codes(&events), [(0, "field-type"), (1, "number-range"), (3, "field-type")]);
    let batch = &events.batches[0];
    assert_eq!(texts(&batch.batch, "b"), [Some("y"), Some("z"), None]);
    assert_eq!(texts(&batch.batch, "d"), [None, Some(r#"{"e":[1, 2]}"#), Some("7")]);
    assert!(batch.batch.column_by_name("c").is_none(), "a column of nulls alone has no type");
    assert_eq!(batch.columns_new, 2);
}

#[test]
fn an_event_of_too_many_new_columns_adds_none() {
    let limits = Limits { columns_max: 3, ..LIMITS };
    let text = r#"{"type":"t","a":1,"b":1,"c":1,"d":1}
{"type":"t","x":1,"y":1}
{"type":"t","x":1,"z":1}
{"type":"t","w":1}"#;
    let events = Reader::new(vec![], limits).read(text.as_bytes(), &FRAME).unwrap();
    assert_eq!(codes(&events), [(0, "too-many-columns"), (3, "too-many-columns")]);
    let names: Vec<_> =
        events.batches[0].batch.schema().fields()[9..].iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["x", "y", "z"]);
}

#[test]
fn large_texts_and_tables_that_are_mostly_empty_are_refused() {
    let small = Limits { payload_bytes_max: 20, ..LIMITS };
    let text = br#"[{"type":"t"},{"type":"t","long":"abcdefgh"}]"#;
    assert_eq!(codes(&Reader::new(vec![], small).read(text, &FRAME).unwrap()), [(1, "payload-too-large")]);
    let fields = (0..1000).map(|place| Field::new(format!("c{place}"), DataType::Int64, true)).collect();
    let reader = Reader::new(vec![known("t", None, fields, Unknown::Keep)], LIMITS);
    let many = format!("[{}{{\"type\":\"t\"}}]", "{\"type\":\"t\"},".repeat(200_000));
    let refused = reader.read(many.as_bytes(), &FRAME);
    assert!(matches!(refused, Err(IngestError::TooManyValues { rows: 200_001, columns: 1000, .. })));
}

#[test]
fn what_stands_beside_the_data_does_not_overwrite_it() {
    let events = read(
        vec![],
        r#"{"specversion":"1.0","id":"1","source":"s","type":"t","region":"eu","dataschema":"x/v4","data":{"region":"us"}}
{"specversion":"1.0","id":"2","source":"s","type":"t","region":"eu","data_base64":"aGk=","datacontenttype":"image/png"}
{"eventId":"3","eventType":"t","data":{"region":"us"},"metadata":{"region":"eu","data":1}}"#,
    );
    assert!(events.faults.is_empty(), "{:?}", events.faults);
    let rows = &events.batches[0].batch;
    assert_eq!(texts(rows, "region"), [Some("us"), Some("eu"), Some("us")]);
    assert_eq!(texts(rows, "ce_region"), [Some("eu"), None, None]);
    assert_eq!(texts(rows, "metadata_region"), [None, None, Some("eu")]);
    assert_eq!(texts(rows, "datacontenttype"), [None, Some("image/png"), None]);
    let data = rows.column_by_name("data").unwrap().as_binary::<i32>();
    assert_eq!((data.value(1), data.null_count()), (&b"hi"[..], 2));
}

fn good_event() -> impl Strategy<Value = (String, i64)> {
    (any::<i64>(), "[a-z{}\\[\\],:\"\\\\é]{0,6}", 0..3).prop_map(|(n, text, shape)| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        let data = format!(r#"{{"n":{n},"text":"{text}"}}"#);
        let event = match shape {
            0 => format!(r#"{{"type":"t","n":{n},"text":"{text}"}}"#),
            1 => format!(r#"{{"specversion":"1.0","id":"{n}","source":"s","type":"t","data":{data}}}"#),
            _ => format!(r#"{{"eventId":"{n}","eventType":"t","data":{data}}}"#),
        };
        (event, n)
    })
}

/// Texts of one line whose brackets and quotes are closed, so that it can be told where they end.
fn bad_event() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "1",
        "null",
        "\"text\"",
        "{\"n\":1}",
        "{\"type\":\"t\",\"n\":NaN}",
        "{\"type\":\"t\",\"n\":\"x\"}",
        "nonsense",
        "{\"type\":\"t\",\"n\":1,\"n\":2}",
        "{\"type\":\"t\",\"time\":\"later\"}",
        "{\"type\":\"t\" \"n\":1}",
        "{]}",
        "{\"type\":\"t\",\"n\":[1,2]}",
        "{\"type\":\"\"}",
        "{\"type\":\"t\",\"n\":1e5000}",
        "{'type':'t'}",
    ])
    .prop_map(Into::into)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bad_event_takes_no_good_one_with_it(
        events in prop::collection::vec(prop_oneof![3 => good_event().prop_map(Ok), 2 => bad_event().prop_map(Err)], 0..12),
        lines in any::<bool>(),
    ) {
        let fields = vec![Field::new("n", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
        let parts: Vec<&str> =
            events.iter().map(|event| event.as_ref().map_or_else(String::as_str, |(text, _)| text)).collect();
        let text = if lines { parts.join("\n") } else { format!("[{}]", parts.join(" ,\n")) };
        let read = read(vec![known("t", None, fields, Unknown::Keep)], &text);
        let good: Vec<i64> = events.iter().filter_map(|event| Some(event.as_ref().ok()?.1)).collect();
        let found: Vec<i64> = read.batches.iter().flat_map(|batch| {
            batch.batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().values().to_vec()
        }).collect();
        prop_assert_eq!(found, good, "{}", &text);
        let bad: Vec<&str> = events.iter().filter_map(|event| event.as_ref().err()).map(String::as_str).collect();
        let told: Vec<&str> = read.faults.iter().map(|fault| &text[fault.span.0..fault.span.1]).collect();
        prop_assert_eq!(told, bad, "{}", &text);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_none_are_lost(
        text in prop::collection::vec(prop::sample::select(b"{}[]\",:\\\n 0-1.eEtnu\xc3\xa9a".to_vec()), 0..80),
    ) {
        let events = Reader::new(vec![], LIMITS).read(&text, &Frame { topic: Some("t"), ..FRAME }).unwrap();
        let rows: usize = events.batches.iter().map(|batch| batch.rows.len()).sum();
        prop_assert_eq!(rows + events.faults.len(), events.spans.len());
        let spans: Vec<_> = events.spans.iter().map(|(start, end)| &text[*start..*end]).collect();
        let outside: usize = text.len() - spans.iter().map(|span| span.len()).sum::<usize>();
        let shell = text.iter().filter(|byte| b" \n[],".contains(byte)).count();
        prop_assert!(outside <= shell, "{outside} of {shell}: {:?}", String::from_utf8_lossy(&text));
        let (tables, faults, spans) = Reader::new(vec![], LIMITS).read_raw(&text, &LIMITS).unwrap();
        let rows: usize = tables.iter().map(|table| table.rows.len()).sum();
        prop_assert_eq!(rows + faults.len(), spans.len());
    }
}

#[test]
fn rows_as_they_come_have_paths_and_are_kept_apart_where_types_differ() {
    let text = br#"{"kind":"a","v":1,"o":{"p":{"q":true},"r":[1]}}
{"kind":"b","v":"x"}
{"kind":"a","v":2.5,"o":{"p":null}}
{"a.b":1,"a":{"b":2}}"#;
    let (tables, faults, spans) = Reader::new(vec![], LIMITS).read_raw(text, &LIMITS).unwrap();
    assert_eq!(spans.len(), 4);
    assert_eq!((faults.len(), faults[0].code.code()), (1, "json-duplicate-key"));
    let rows: Vec<_> = tables.iter().map(|table| table.rows.clone()).collect();
    assert_eq!(rows, [vec![0, 2], vec![1]]);
    let names: Vec<_> = tables[0].batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["kind", "v", "o.p.q", "o.r"]);
}
