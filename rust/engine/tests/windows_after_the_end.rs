//! Rows that come after the input has ended after all: windows of a grid begin anew with them, as if none had come before.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use cepheid_engine::{DerivedTable, Engine, EngineOptions};
use cepheid_ir::Window;
use cepheid_testkit::SplitMix64;

fn window(size: i64, every: i64, offset: i64) -> Window {
    let measures = [
        r#"{"name":"rows","value":{"aggregate":{"function":"count","args":[]}}}"#,
        r#"{"name":"total","value":{"aggregate":{"function":"sum","args":[{"column":{"name":"n"}}]}}}"#,
    ];
    let text = format!(
        r#"{{"cepheid_ir":1,"window":{{"name":"w","frame":{{"time":{{"size_ns":{size},"every_ns":{every},"offset_ns":{offset}}}}},"partition_by":[{{"name":"key"}}],"measures":[{}]}}}}"#,
        measures.join(",")
    );
    Window::from_json(&text).expect("a window")
}

fn options(lateness: u64) -> EngineOptions {
    EngineOptions { event_time: "ts".into(), lateness_ns: Some(lateness), ..EngineOptions::default() }
}

fn rows(times: &[i64], random: &mut SplitMix64) -> RecordBatch {
    let numbers = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let keys = times.iter().map(|_| random.between(0, 2)).collect();
    let values = times.iter().map(|_| random.between(0, 9)).collect();
    let columns = [("ts", numbers(times.to_vec())), ("key", numbers(keys)), ("n", numbers(values))];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// Start, end, key, rows and total of each window.
fn told(derived: Vec<(String, DerivedTable)>) -> Vec<Vec<i64>> {
    let of_batch = |batch: &RecordBatch| {
        let columns = batch.columns().iter().map(|column| column.as_primitive::<Int64Type>().clone());
        let columns: Vec<Int64Array> = columns.collect();
        (0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row)).collect()).collect()
    };
    derived.iter().flat_map(|(_, table)| -> Vec<Vec<i64>> { of_batch(&table.batch) }).collect()
}

#[test]
fn a_hopping_window_goes_on_behind_the_end_of_its_input() {
    let mut random = SplitMix64::new(1);
    let mut engine = Engine::new(vec![window(3, 1, 0)], options(2)).expect("a rule");
    let mut push = |engine: &mut Engine, time: i64| {
        told(engine.push(None, &[rows(&[time], &mut random)], None).expect("rows"))
    };
    let places = |found: Vec<Vec<i64>>| found.iter().map(|row| (row[1], row[2], row[3])).collect::<Vec<_>>();
    assert!(push(&mut engine, 2).is_empty());
    assert_eq!(places(told(engine.flush().expect("the end"))), [(0, 3, 1), (1, 4, 1), (2, 5, 1)]);
    let mut found = vec![];
    for time in [3, 6, 9] {
        found.extend(push(&mut engine, time));
    }
    found.extend(told(engine.flush().expect("the end")));
    let starts = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(|start| (start, start + 3, 1));
    assert_eq!(places(found), starts);
}

#[test]
fn what_comes_after_the_end_is_told_as_if_nothing_had_come_before() {
    let cases = if std::env::var_os("CEPHEID_DEEP").is_some() { 20_000 } else { 2_000 };
    let (mut windows, mut again, mut restored, mut hopping) = (0, 0, 0, 0);
    for seed in 0..cases {
        let mut random = SplitMix64::new(seed);
        let (size, every) = (random.between(1, 9), random.between(1, 6));
        let rule = window(size, every, random.between(0, every - 1));
        let lateness = random.between(0, 3).unsigned_abs();
        let context = format!("seed {seed}: {size} every {every}, lateness {lateness}");
        let mut engine = Engine::new(vec![rule.clone()], options(lateness)).expect("a rule");
        let mut time = random.between(-5, 5);
        let mut ended = None;
        for part in 0..3 {
            let mut alone = Engine::new(vec![rule.clone()], options(lateness)).expect("a rule");
            if let Some(ended) = ended {
                alone.advance_to(ended).expect("a clock");
            }
            let (mut found, mut expected) = (vec![], vec![]);
            for _ in 0..random.between(0, 6) {
                let mut times = vec![];
                for _ in 0..random.between(1, 3) {
                    time += *random.choose(&[1, 1, 2, 5, 20]);
                    times.push(time);
                }
                let batch = rows(&times, &mut random);
                for (engine, into) in [(&mut engine, &mut found), (&mut alone, &mut expected)] {
                    into.extend(told(engine.push(None, std::slice::from_ref(&batch), None).expect("rows")));
                }
                if random.chance(20) {
                    let blob = engine.snapshot().expect("a snapshot");
                    engine = Engine::restore(&blob, vec![rule.clone()], None, None, None).expect("its own");
                    restored += 1;
                }
            }
            for (engine, into) in [(&mut engine, &mut found), (&mut alone, &mut expected)] {
                into.extend(told(engine.flush().expect("the end")));
            }
            assert_eq!(found, expected, "{context}, part {part}");
            ended = Some(time);
            windows += found.len();
            again += if part > 0 { found.len() } else { 0 };
            hopping += if every < size { found.len() } else { 0 };
        }
    }
    let least = cases as usize;
    assert!(
        windows > least * 20 && again > least * 10 && hopping > least * 10,
        "{windows} {again} {hopping}"
    );
    assert!(restored > least, "{restored} restored");
}
