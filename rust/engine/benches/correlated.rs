//! Event sequences whose conditions compare a row with what the run knows, over a million rows in a table.
//!
//! `cargo bench -p cepheid-engine --bench correlated` times them. Answers are asserted before anything is timed.
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use cepheid_engine::{MatchOptions, run_query};
use cepheid_event::Table;
use cepheid_sql::parse_query;
use cepheid_testkit::SplitMix64;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 1_000_000;
const USERS: usize = 20_000;

/// `ts` (a row a millisecond), `kind` (0 to 9), `owner` (20,000 values), `price` (uniform in 0 to 10,000).
fn table() -> Table {
    let mut random = SplitMix64::new(1);
    let kind: Int64Array = (0..ROWS).map(|_| random.below(10) as i64).collect();
    let owner: Int64Array = (0..ROWS).map(|_| random.below(USERS) as i64).collect();
    let price: Float64Array = (0..ROWS).map(|_| random.below(100_000_000) as f64 / 1e4).collect();
    let ts = TimestampNanosecondArray::from_iter_values((0..ROWS as i64).map(|row| row * 1_000_000));
    let field = |name, data_type| Field::new(name, data_type, false);
    let schema = Arc::new(Schema::new(vec![
        field("ts", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        field("kind", DataType::Int64),
        field("owner", DataType::Int64),
        field("price", DataType::Float64),
    ]));
    let columns: Vec<arrow_array::ArrayRef> =
        vec![Arc::new(ts), Arc::new(kind), Arc::new(owner), Arc::new(price)];
    let batch = RecordBatch::try_new(schema.clone(), columns).expect("columns of one length");
    Table::new(schema, vec![batch]).expect("one batch")
}

/// Name, the clauses behind `ORDER BY ts`, and fewest matches.
const QUESTIONS: [(&str, &str, usize); 5] = [
    (
        "equality on every event",
        "MEASURES A.ts AS at AFTER MATCH SKIP NONE PATTERN (A -> B -> C) WITHIN INTERVAL '60' SECOND
            DEFINE A AS kind = 1, B AS kind = 2 AND B.owner = A.owner, C AS kind = 3 AND C.owner = A.owner",
        1000,
    ),
    (
        "equality on some events",
        "MEASURES A.ts AS at AFTER MATCH SKIP NONE PATTERN (A -> B -> C) WITHIN INTERVAL '60' SECOND
            DEFINE A AS kind = 1, B AS kind = 2 AND B.owner = A.owner, C AS kind = 3",
        1000,
    ),
    (
        "equality, past the last row",
        "MEASURES A.ts AS at AFTER MATCH SKIP PAST LAST ROW PATTERN (A -> B) WITHIN INTERVAL '60' SECOND
            DEFINE A AS kind = 1, B AS kind = 2 AND B.owner = A.owner",
        10,
    ),
    (
        "price above an earlier one",
        "MEASURES A.ts AS at AFTER MATCH SKIP NONE PATTERN (A -> B) WITHIN INTERVAL '60' SECOND
            DEFINE A AS kind = 1 AND price > 5000, B AS kind = 2 AND B.price > A.price + 4000",
        1000,
    ),
    (
        "rising runs",
        "MEASURES A.ts AS at AFTER MATCH SKIP NONE PATTERN (A -> B{3} [->]) WITHIN INTERVAL '10' SECOND
            DEFINE A AS kind = 1, B AS kind = 2 AND price > GREATEST(LAST(A.price), COALESCE(LAST(B.price, 1), 0.0))",
        1000,
    ),
];

fn correlated(criterion: &mut Criterion) {
    let table = table();
    let mut group = criterion.benchmark_group("correlated");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    let options = MatchOptions::default();
    for (name, clauses, matches) in QUESTIONS {
        let query =
            parse_query(&format!("SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts {clauses})")).expect(name);
        let answer = run_query(&query, &table, &options).expect(name);
        assert!(answer.num_matches() > matches, "{name}: {} matches", answer.num_matches());
        println!("{name}: {} matches", answer.num_matches());
        group.bench_function(name, |bencher| bencher.iter(|| run_query(&query, &table, &options)));
    }
    group.finish();
}

criterion_group!(benches, correlated);
criterion_main!(benches);
