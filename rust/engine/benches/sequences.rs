//! Event sequences in a table: rows a second.

mod events;

/// As the wheel has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use cepheid_engine::{MatchOptions, count_matches, match_table};
use cepheid_event::Table;
use cepheid_ir::Pattern;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use events::{pattern, payments, symbols, trades};

fn steps(define: &str, rest: &str) -> Pattern {
    pattern(&format!("ORDER BY ts MEASURES a.ts AS x, c.ts AS y {rest} DEFINE {define}"))
}

fn three(last: &str, rest: &str) -> Pattern {
    steps(&format!("a AS symbol = 'S1', b AS symbol = 'S2', c AS symbol = '{last}'"), rest)
}

/// Three steps of which the second is asked for something of the first.
fn correlated(second: &str) -> Pattern {
    let define = format!("a AS symbol = 'S0', b AS symbol = 'S1' AND {second}, c AS symbol = 'S2'");
    steps(&define, &format!("{ANY} WITHIN 10000 ROWS"))
}

const ANY: &str = "AFTER MATCH SKIP NONE ALL MATCHES PATTERN (a ->> b ->> c)";

fn workloads() -> Vec<(&'static str, Table, Pattern)> {
    const ROWS: usize = 1 << 20;
    let window = |rows: usize| format!("{ANY} WITHIN INTERVAL '{}' SECOND", rows / 1000);
    let fraud = "PARTITION BY card ORDER BY ts MEASURES COUNT(small.*) AS n, big.amount AS x \
        PATTERN (small{3,} [->] -> big) WITHIN INTERVAL '10' MINUTE \
        DEFINE small AS amount < 10, big AS amount > 990";
    let rows_100 = format!("{ANY} WITHIN 100 ROWS");
    let consuming = rows_100.replace("SKIP NONE", "CONSUME");
    let increasing = "ORDER BY ts MEASURES COUNT(b.*) AS steps AFTER MATCH SKIP TO NEXT ROW \
        PATTERN (a -> b{3,} [->] -> c) WITHIN 10000 ROWS DEFINE a AS symbol = 'S0', \
        b AS symbol = 'S1' AND b.price > COALESCE(LAST(b.price, 1), a.price), c AS symbol = 'S2'";
    vec![
        ("equality", trades(ROWS, 100), correlated("b.account = a.account")),
        ("inequality", trades(ROWS, 50), correlated("b.price > a.price")),
        ("increasing loop", trades(ROWS, 100), pattern(increasing)),
        ("three steps, dictionary", symbols(ROWS, 500, true), three("S3", &window(10_000))),
        ("three steps, text", symbols(ROWS, 500, false), three("S3", &window(10_000))),
        ("three steps, never the last", symbols(ROWS, 500, true), three("S500", &window(10_000))),
        ("fraud, 100 k cards", payments(ROWS, 100_000), pattern(fraud)),
        ("nine types, all", symbols(ROWS, 9, true), three("S3", &rows_100)),
        ("nine types, consuming", symbols(ROWS, 9, true), three("S3", &consuming)),
    ]
}

fn sequences(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sequences");
    group.sample_size(10);
    let options = MatchOptions { event_time: Some("ts".into()), ..MatchOptions::default() };
    for (name, table, pattern) in &workloads() {
        let matches = match_table(pattern, table, &options).expect("matches");
        println!("{name}: {} matches by {}", matches.num_matches(), matches.strategy());
        group.throughput(Throughput::Elements(table.num_rows() as u64));
        group.bench_function(format!("{name}: built"), |bencher| {
            bencher.iter(|| match_table(pattern, table, &options).expect("matches").num_matches());
        });
        group.bench_function(format!("{name}: with membership"), |bencher| {
            bencher.iter(|| {
                let found = match_table(pattern, table, &options).expect("matches");
                found.membership().expect("membership").num_rows()
            });
        });
        group.bench_function(format!("{name}: counted"), |bencher| {
            bencher.iter(|| count_matches(pattern, table, &options).expect("a count"));
        });
    }
    group.finish();
}

criterion_group!(benches, sequences);
criterion_main!(benches);
