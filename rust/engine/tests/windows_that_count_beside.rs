//! `COUNT(*)` beside aggregates of floats, some of them NULL: every window counts its rows, however often an engine is saved and restored
//! while they come.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use cepheid_engine::{DerivedTable, Engine, EngineOptions};
use cepheid_ir::Window;
use cepheid_testkit::SplitMix64;

const FRAMES: [&str; 7] = [
    r#"{"time":{"size_ns":6,"every_ns":6,"offset_ns":0}}"#,
    r#"{"time":{"size_ns":9,"every_ns":2,"offset_ns":0}}"#,
    r#"{"time":{"size_ns":8,"every_ns":4,"offset_ns":1}}"#,
    r#"{"session":{"gap_ns":2}}"#,
    r#"{"rows":{"rows":3,"every":3}}"#,
    r#"{"rows":{"rows":5,"every":2}}"#,
    r#"{"range":{"preceding_ns":5}}"#,
];

fn window(frame: &str) -> Window {
    let of = |function: &str| {
        format!(
            r#"{{"name":"{function}","value":{{"aggregate":{{"function":"{function}","args":[{{"column":{{"name":"x"}}}}]}}}}}}"#
        )
    };
    let rows = r#"{"name":"rows","value":{"aggregate":{"function":"count","args":[]}}}"#;
    let text = format!(
        r#"{{"cepheid_ir":1,"window":{{"name":"w","frame":{frame},"partition_by":[{{"name":"key"}}],"measures":[{},{rows},{},{}]}}}}"#,
        of("sum"),
        of("max"),
        of("min"),
    );
    Window::from_json(&text).expect("a window")
}

fn row(time: i64, random: &mut SplitMix64) -> RecordBatch {
    let value =
        random.chance(60).then(|| if random.chance(20) { f64::NAN } else { random.between(0, 9) as f64 });
    let columns: [(&str, ArrayRef); 3] = [
        ("ts", Arc::new(Int64Array::from(vec![time]))),
        ("key", Arc::new(Int64Array::from(vec![random.between(0, 1)]))),
        ("x", Arc::new(Float64Array::from(vec![value]))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// What was told, and how many rows its windows count.
fn told(derived: &[(String, DerivedTable)]) -> (String, i64) {
    let batches: Vec<&RecordBatch> = derived.iter().map(|(_, table)| &table.batch).collect();
    let rows = |batch: &&RecordBatch| -> i64 {
        batch.column_by_name("rows").expect("a measure").as_primitive::<Int64Type>().values().iter().sum()
    };
    (format!("{batches:?}"), batches.iter().map(rows).sum())
}

#[test]
fn rows_are_counted_whether_they_have_a_value_or_not_across_snapshots() {
    for frame in FRAMES {
        let (mut random, rule) = (SplitMix64::new(7), window(frame));
        let options =
            EngineOptions { event_time: "ts".into(), lateness_ns: Some(0), ..EngineOptions::default() };
        let mut whole = Engine::new(vec![rule.clone()], options.clone()).expect("a rule");
        let mut cut = Engine::new(vec![rule.clone()], options).expect("a rule");
        let (mut time, mut counted) = (0, 0);
        for _ in 0..200 {
            time += random.between(0, 3);
            let row = row(time, &mut random);
            let expected = told(&whole.push(None, std::slice::from_ref(&row), None).expect("a row"));
            assert_eq!(told(&cut.push(None, &[row], None).expect("a row")), expected, "{frame} at {time}");
            let saved = cut.snapshot().expect("plain data");
            cut = Engine::restore(&saved, vec![rule.clone()], None, None, None).expect("its own snapshot");
            counted += expected.1;
        }
        let expected = told(&whole.flush().expect("the end"));
        assert_eq!(told(&cut.flush().expect("the end")), expected, "{frame} at the end");
        counted += expected.1;
        // Windows that follow each other hold every row once.
        if frame == FRAMES[0] || frame == FRAMES[3] || frame == FRAMES[4] {
            assert_eq!(counted, 200, "{frame}");
        }
    }
}
