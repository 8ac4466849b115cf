//! Which rows are late, what becomes of them, and what is refused with nothing changed.

mod stream;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampSecondArray};
use cepheid_event::{EventError, ReorderBuffer, TimePolicy};
use stream::{Row, batch, late_of, rows_of, schema};

fn buffer(policy: TimePolicy, topics: &[&str]) -> ReorderBuffer {
    let mut buffer = ReorderBuffer::new("ts", policy);
    topics.iter().for_each(|topic| {
        buffer.add_source(topic).unwrap();
    });
    buffer
}

fn lateness(lateness: u64) -> TimePolicy {
    TimePolicy { lateness: Some(lateness), ..TimePolicy::default() }
}

fn rows(times: &[i64]) -> Vec<Row> {
    times.iter().enumerate().map(|(id, time)| Row { time: *time, id: id as i64 }).collect()
}

#[test]
fn a_row_is_late_behind_the_watermark_and_not_at_it() {
    let mut stream = buffer(lateness(10), &["a"]);
    let out = stream.push("a", &[batch(0, &rows(&[100, 90, 89, 91, 101, 90]))], None).unwrap();
    // 90 is at the watermark when it first comes; at the end that stands at 91, and 90 is behind it.
    assert_eq!(late_of(&out), [(0, 2, 89, 2), (0, 5, 90, 5)]);
    assert_eq!(rows_of(&out.rows), [(0, 1, 90, 1), (0, 3, 91, 3)]);
    assert_eq!((out.watermark, out.ended), (Some(91), false));
    let stats = &stream.stats()[0];
    assert_eq!((stats.rows, stats.late, stats.waiting, stats.greatest), (6, 2, 2, Some(101)));
}

#[test]
fn a_row_is_late_behind_its_own_source_even_where_another_holds_the_stream_back() {
    let mut stream = buffer(lateness(10), &["a", "b"]);
    let out = stream.push("a", &[batch(0, &rows(&[100, 80]))], None).unwrap();
    assert_eq!((late_of(&out).len(), out.rows.num_rows(), out.watermark), (1, 0, None));
    let out = stream.push("b", &[batch(1, &rows(&[50, 95]))], None).unwrap();
    assert_eq!((out.late.len(), out.watermark), (0, Some(85)));
    assert_eq!(rows_of(&out.rows), [(1, 0, 50, 0)]);
    // The late row, at 80, is not among those that wait, though the clock had not come so far.
    assert_eq!(rows_of(&stream.flush().unwrap().rows), [(1, 1, 95, 1), (0, 0, 100, 0)]);
}

#[test]
fn late_rows_that_are_refused_change_nothing() {
    let mut stream = buffer(lateness(0), &["a"]);
    stream.push("a", &[batch(0, &rows(&[10]))], None).unwrap();
    let before = (stream.stats(), stream.state().unwrap());
    let batches = [batch(0, &rows(&[11, 12])), batch(0, &rows(&[13, 9, 8]))];
    let prepared = stream.prepare("a", &batches, None).unwrap();
    let error = prepared.refuse_late().unwrap_err();
    let expected = EventError::LateRow { topic: "a".into(), row: 3, time: 9, watermark: 13 };
    assert_eq!((&error, error.code()), (&expected, "late-event"));
    drop(prepared);
    assert_eq!((stream.stats(), stream.state().unwrap()), before);
    let out = stream.push("a", &batches, None).unwrap();
    assert_eq!(late_of(&out), [(0, 4, 9, 1), (0, 5, 8, 2)]);
    assert!(stream.prepare("a", &[batch(0, &rows(&[13]))], None).unwrap().refuse_late().is_ok());
}

#[test]
#[should_panic(expected = "prepared against another state")]
fn what_was_prepared_against_another_state_is_not_committed() {
    let mut stream = buffer(lateness(0), &["a"]);
    let prepared = stream.prepare("a", &[batch(0, &rows(&[10]))], None).unwrap();
    stream.advance_to(20).unwrap();
    stream.commit(prepared);
}

#[test]
fn what_cannot_be_taken_is_refused_whole_with_its_place() {
    let mut stream = buffer(lateness(5), &["a", "b", "times"]);
    stream.push("a", &[batch(0, &rows(&[10, 7, 12]))], None).unwrap();
    let before = (stream.stats(), stream.state().unwrap());
    let ok = batch(0, &rows(&[20, 21]));
    let mut null = ok.columns().to_vec();
    null[1] = Arc::new(Int64Array::from(vec![Some(1), None]));
    let null = RecordBatch::try_new(schema(0), null).unwrap();
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
    let seconds = RecordBatch::try_from_iter([("TS", seconds)]).unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["now"]));
    let text = RecordBatch::try_from_iter([("ts", text)]).unwrap();
    let none = RecordBatch::try_from_iter([("when", ok.column(2).clone())]).unwrap();
    let cases: [(&str, Vec<RecordBatch>, &str, &str); 7] = [
        ("a", vec![ok.clone(), null], "null-time", "column `ts` is NULL in row 3"),
        ("a", vec![ok.clone(), batch(1, &rows(&[1]))], "schema-changed", "batch 1 has the schema (ts: Int64"),
        ("times", vec![seconds], "time-overflow", "the time 9223372036854775807 s in row 0"),
        ("times", vec![text], "column-type", "column `ts` has type Utf8"),
        ("times", vec![none], "unknown-column", "no column `ts`"),
        ("tims", vec![ok.clone()], "unknown-topic", "did you mean `times`?"),
        ("b", vec![batch(1, &rows(&[1])), ok.clone()], "schema-changed", "batch 1"),
    ];
    let mut refused = 0;
    for (topic, batches, code, message) in &cases {
        let error = stream.push(topic, batches, None).unwrap_err();
        assert_eq!(error.code(), *code);
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!((stream.stats(), stream.state().unwrap()), before, "{code}");
        refused += 1;
    }
    assert_eq!(refused, cases.len());
    stream.push("b", &[batch(1, &rows(&[11]))], None).unwrap();
    assert_eq!(stream.flush().unwrap().rows.num_rows(), 4);
}
