//! Values over all matches, none of them built: rows a second, whatever the window.
//!
//! `cargo bench -p cepheid-engine --bench trends`. Answers are asserted before anything is timed.
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt8Array};
use cepheid_engine::{MatchOptions, count_matches, match_table};
use cepheid_event::Table;
use cepheid_ir::Pattern;
use cepheid_sql::parse_pattern;
use cepheid_testkit::SplitMix64;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 4_000_000;

/// `kind` (drawn from `kinds`, as many of each as it is there), `amount` (0 to 999), `key` (100,000 values).
fn table(kinds: &[u8]) -> Table {
    let mut random = SplitMix64::new(3);
    let kind: UInt8Array = (0..ROWS).map(|_| *random.choose(kinds)).collect::<Vec<u8>>().into();
    let amount: Int64Array = (0..ROWS).map(|_| random.between(0, 999)).collect::<Vec<i64>>().into();
    let key: Int64Array = (0..ROWS).map(|_| random.between(0, 99_999)).collect::<Vec<i64>>().into();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("kind", Arc::new(kind)), ("amount", Arc::new(amount)), ("key", Arc::new(key))];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Table::new(batch.schema(), vec![batch]).expect("one batch")
}

/// One row in a hundred each of A and C, five of B.
fn rare() -> Table {
    let mut kinds = vec![9; 93];
    kinds.extend([0, 1, 1, 1, 1, 1, 2]);
    table(&kinds)
}

fn pattern(clauses: &str) -> Pattern {
    let define = "DEFINE a AS kind = 0, b AS kind = 1, c AS kind = 2";
    parse_pattern(&format!("MATCH_RECOGNIZE ({clauses} {define})")).expect("a pattern")
}

fn trends(criterion: &mut Criterion) {
    let options = MatchOptions::default();
    let mut group = criterion.benchmark_group("trends");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    let rare = rare();
    for window in [50, 100, 1_000, 10_000, 100_000] {
        let text = format!("AGGREGATE COUNT(*) AS n PATTERN (a ->> b+ [->>] ->> c) WITHIN {window} ROWS");
        let pattern = pattern(&text);
        group.bench_function(format!("A ; B+ ; C within {window} rows"), |bencher| {
            bencher.iter(|| match_table(&pattern, &rare, &options).expect("aggregated"));
        });
    }
    // Numbers of thousands of digits take their time.
    for window in [1_000, 10_000] {
        let text = format!("AGGREGATE COUNT(*) AS n PATTERN (a ->> b+ [->>] ->> c) WITHIN {window} ROWS");
        let pattern = pattern(&text);
        group.bench_function(
            format!("A ; B+ ; C within {window} rows, in integers of any size"),
            |bencher| {
                bencher.iter(|| count_matches(&pattern, &rare, &options).expect("counted"));
            },
        );
    }
    let uniform = table(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let steps = pattern("AGGREGATE COUNT(*) AS n PATTERN (a -> b -> c) WITHIN 100 ROWS");
    group.bench_function("A ; B ; C over 9 types within 100 rows", |bencher| {
        bencher.iter(|| count_matches(&steps, &uniform, &options).expect("counted"));
    });
    for (name, values) in [
        ("count", "COUNT(*) AS n"),
        ("count, sum", "COUNT(*) AS n, SUM(b.amount) AS total"),
        ("min, max", "MIN(b.amount) AS least, MAX(b.amount) AS most"),
    ] {
        let pattern = pattern(&format!("AGGREGATE {values} PATTERN (a ->> b+ [->>] ->> c) WITHIN 1000 ROWS"));
        assert_eq!(match_table(&pattern, &rare, &options).expect("aggregated").num_matches(), 1);
        group.bench_function(format!("{name} of A ; B+ ; C within 1000 rows"), |bencher| {
            bencher.iter(|| match_table(&pattern, &rare, &options).expect("aggregated"));
        });
    }
    let keyed = pattern("PARTITION BY key AGGREGATE COUNT(*) AS n PATTERN (a ->> b+ [->>] ->> c)");
    group.bench_function("count of A ; B+ ; C by 100,000 keys", |bencher| {
        bencher.iter(|| match_table(&keyed, &rare, &options).expect("aggregated"));
    });
    group.finish();
}

criterion_group!(benches, trends);
criterion_main!(benches);
