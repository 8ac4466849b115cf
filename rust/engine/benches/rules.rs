//! Many rules in one engine: what a row costs as their number grows, the first call, which compiles them, and later ones.

#[allow(dead_code, reason = "benches share what makes their tables, and each takes what it needs")]
mod events;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray};
use cepheid_engine::{Engine, EngineOptions};
use cepheid_ir::Pattern;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use self::events::{noise, pattern};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MILLISECOND: i64 = 1_000_000;
/// Codes are independent, and one in fifty is some rule's where there are a thousand.
const CODES: u64 = 100_000;

/// A row a millisecond.
fn codes(rows: usize) -> RecordBatch {
    let rows = 0..rows;
    let column = |of: &dyn Fn(usize) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.clone().map(of)))
    };
    let times = TimestampNanosecondArray::from_iter_values(rows.clone().map(|row| row as i64 * MILLISECOND));
    RecordBatch::try_from_iter([
        ("ts", Arc::new(times) as ArrayRef),
        ("n", column(&|row| row as i64)),
        ("code", column(&|row| (noise(row as u64) % CODES) as i64)),
    ])
    .expect("columns of one length")
}

/// One code, then another, within so many seconds.
fn pair(first: usize, then: usize, seconds: usize) -> Pattern {
    pattern(&format!(
        "ORDER BY ts MEASURES a.n AS first_row, b.n AS last_row AFTER MATCH SKIP TO NEXT ROW
         PATTERN (a -> b) WITHIN INTERVAL '{seconds}' SECOND DEFINE a AS code = {first}, b AS code = {then}"
    ))
}

fn engine(rules: &[Pattern]) -> Engine {
    let options = EngineOptions { event_time: "ts".into(), lateness_ns: Some(0), ..EngineOptions::default() };
    Engine::new(rules.to_vec(), options).expect("rules")
}

fn pushed(engine: &mut Engine, rows: &RecordBatch) -> usize {
    let derived = engine.push(None, std::slice::from_ref(rows), None).expect("good rows");
    derived.iter().map(|(_, table)| table.matches).sum()
}

/// Where rules begin, by kind of rules: the `n`-th of them.
type Kind = (&'static str, fn(usize) -> Pattern);

fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules");
    group.sample_size(10);
    let kinds: [Kind; 2] = [
        ("constants of their own", |rule| pair(2 * rule, 2 * rule + 1, 10)),
        ("the same, windows of their own", |rule| pair(0, 1, 10 + rule)),
    ];
    for (kind, rule) in kinds {
        for count in [1, 10, 100, 1000] {
            let patterns: Vec<Pattern> = (0..count).map(rule).collect();
            let rows = codes(1_000_000);
            group.throughput(Throughput::Elements(rows.num_rows() as u64));
            group.bench_function(format!("{count} {kind}, first call"), |bencher| {
                bencher.iter_batched(
                    || engine(&patterns),
                    |mut engine| pushed(&mut engine, &rows),
                    BatchSize::PerIteration,
                );
            });
            let small = rows.slice(100_000, 4_096);
            group.throughput(Throughput::Elements(small.num_rows() as u64));
            group.bench_function(format!("{count} {kind}, a later call"), |bencher| {
                let armed = || {
                    let mut engine = engine(&patterns);
                    pushed(&mut engine, &rows.slice(0, 100_000));
                    engine
                };
                bencher.iter_batched(
                    armed,
                    |mut engine| pushed(&mut engine, &small),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
