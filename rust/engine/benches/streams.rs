//! Event sequences over streams: rows a second, and what a push, a run and a window cost.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow_array::{DictionaryArray, types::Int32Type};
use cepheid_engine::{Engine, EngineOptions};
use cepheid_ir::Pattern;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SECOND: i64 = 1_000_000_000;

/// Numbers that look random and are the same every time (splitmix64).
fn noise(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Card payments: `cards` cards, one row in a hundred is big.
fn payments(rows: usize, cards: u64) -> RecordBatch {
    let card = |row: usize| (noise(row as u64) % cards) as i64;
    let amount = |row: usize| {
        let draw = noise(row as u64 ^ 0xABCD);
        if draw.is_multiple_of(100) {
            1000.0 + (draw % 977) as f64
        } else {
            (draw % 9700) as f64 / 10.0 + 10.0
        }
    };
    batch(vec![
        (
            "ts",
            Arc::new(TimestampNanosecondArray::from_iter_values(
                (0..rows as i64).map(|row| row * SECOND / 1000),
            )),
        ),
        ("card", Arc::new(Int64Array::from_iter_values((0..rows).map(card)))),
        ("amount", Arc::new(Float64Array::from_iter_values((0..rows).map(amount)))),
    ])
}

/// Trades in `symbols` symbols, a row a millisecond.
fn trades(rows: usize, symbols: u64) -> RecordBatch {
    let codes = (0..rows).map(|row| (noise(row as u64) % symbols) as i32);
    let names = StringArray::from_iter_values((0..symbols).map(|symbol| format!("S{symbol}")));
    let symbol = DictionaryArray::<Int32Type>::new(codes.collect::<Vec<i32>>().into(), Arc::new(names));
    batch(vec![
        (
            "ts",
            Arc::new(TimestampNanosecondArray::from_iter_values(
                (0..rows as i64).map(|row| row * SECOND / 1000),
            )),
        ),
        ("symbol", Arc::new(symbol)),
        (
            "price",
            Arc::new(Float64Array::from_iter_values(
                (0..rows).map(|row| (noise(row as u64 ^ 7) % 1000) as f64),
            )),
        ),
    ])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

const FRAUD: &str = r#"{"cepheid_ir":1,"pattern":{"name":"fraud","partition_by":[{"name":"card"}],
  "root":{"sequence":[{"node":{"quantified":{"node":{"variable":"small"},"quantifier":{"min":3,"max":null,"contiguity":"skip_till_next"}}}},
                      {"contiguity":"skip_till_next","node":{"variable":"big"}}]},
  "define":[{"variable":"small","condition":{"binary":{"op":"less","left":{"column":{"name":"amount"}},"right":{"literal":{"integer":10}}}}},
            {"variable":"big","condition":{"binary":{"op":"greater","left":{"column":{"name":"amount"}},"right":{"literal":{"integer":990}}}}}],
  "within":{"time":{"nanoseconds":600000000000}},"empty_matches":"excluded","output":"derived"}}"#;

fn fraud(small_below: i64) -> Pattern {
    let text = FRAUD.replace("\"integer\":10}", &format!("\"integer\":{small_below}}}"));
    Pattern::from_json(&text).expect("a pattern")
}

fn three_steps() -> Pattern {
    let condition = |symbol: &str| {
        format!(
            r#"{{"binary":{{"op":"equal","left":{{"column":{{"name":"symbol"}}}},"right":{{"literal":{{"string":"{symbol}"}}}}}}}}"#
        )
    };
    let define: Vec<String> = [("a", "S1"), ("b", "S2"), ("c", "S3")]
        .iter()
        .map(|(variable, symbol)| format!(r#"{{"variable":"{variable}","condition":{}}}"#, condition(symbol)))
        .collect();
    let text = format!(
        r#"{{"cepheid_ir":1,"pattern":{{"name":"steps",
        "root":{{"sequence":[{{"node":{{"variable":"a"}}}},{{"contiguity":"skip_till_next","node":{{"variable":"b"}}}},
                             {{"contiguity":"skip_till_next","node":{{"variable":"c"}}}}]}},
        "define":[{}],"after_match":"none","within":{{"time":{{"nanoseconds":10000000000}}}},
        "empty_matches":"excluded","output":"derived"}}}}"#,
        define.join(",")
    );
    Pattern::from_json(&text).expect("a pattern")
}

fn engine(pattern: &Pattern) -> Engine {
    let options = EngineOptions { event_time: "ts".into(), lateness_ns: Some(0), ..EngineOptions::default() };
    Engine::new(vec![pattern.clone()], options).expect("a rule")
}

fn pushed(pattern: &Pattern, rows: &RecordBatch, at_once: usize) -> (Engine, usize) {
    let mut engine = engine(pattern);
    let mut matches = 0;
    for start in (0..rows.num_rows()).step_by(at_once) {
        let piece = rows.slice(start, at_once.min(rows.num_rows() - start));
        let derived = engine.push(None, &[piece], None).expect("good rows");
        matches += derived.iter().map(|(_, table)| table.matches).sum::<usize>();
    }
    (engine, matches)
}

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("streams");
    group.sample_size(10);
    let rows = 1 << 20;
    let cards = payments(rows, 100_000);
    let symbols = trades(rows, 500);
    let patterns = [
        ("fraud, all small", fraud(990), &cards),
        ("fraud, few small", fraud(60), &cards),
        ("three steps", three_steps(), &symbols),
    ];
    for (name, pattern, rows) in &patterns {
        for at_once in [1 << 20, 1 << 16, 1 << 13] {
            let (engine, matches) = pushed(pattern, rows, at_once);
            let stats = engine.stats();
            let saved = engine.snapshot().expect("a snapshot");
            println!(
                "{name}, {at_once} at once: {matches} matches, {} runs, {} keys, {} bytes of state ({} a run), {:.1} bytes of snapshot a run",
                stats.live_runs,
                stats.rules[0].keys,
                stats.bytes,
                stats.bytes / stats.live_runs.max(1),
                saved.len() as f64 / stats.live_runs.max(1) as f64,
            );
            group.throughput(Throughput::Elements(rows.num_rows() as u64));
            group.bench_function(format!("{name}, {at_once} rows a push"), |bencher| {
                bencher.iter(|| pushed(pattern, rows, at_once).1);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, streams);
criterion_main!(benches);
