//! Each strategy on a question that it is chosen for, and the stages around it, on a million rows.
//!
//! `cargo bench -p cepheid-engine` times them. Answers are asserted before anything is timed.
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use cepheid_engine::{MatchOptions, Strategy, run_query};
use cepheid_event::{OrderKey, OrderedRows, Table};
use cepheid_sql::parse_query;
use cepheid_testkit::SplitMix64;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// As in the wheel: columns are large and short-lived.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 1_000_000;
const KEYS: usize = 500;

/// `key` (500 values, interleaved), `ts` (ascending), `price` (uniform in 0.0 to 10,000.0).
fn table() -> Table {
    let mut random = SplitMix64::new(1);
    let key: Int64Array = (0..ROWS).map(|_| random.below(KEYS) as i64).collect();
    let price: Float64Array = (0..ROWS).map(|_| random.below(100_000_000) as f64 / 1e4).collect();
    let ts: Int64Array = (0..ROWS as i64).collect();
    let field = |name, data_type| Field::new(name, data_type, false);
    let schema = Arc::new(Schema::new(vec![
        field("key", DataType::Int64),
        field("ts", DataType::Int64),
        field("price", DataType::Float64),
    ]));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(key), Arc::new(ts), Arc::new(price)]);
    Table::new(schema, vec![batch.expect("columns of one length")]).expect("one batch")
}

const V_SHAPE: &str = "MEASURES STRT.price AS first, LAST(DOWN.price) AS bottom PATTERN (STRT DOWN+ UP+)
    DEFINE DOWN AS price < PREV(price), UP AS price > PREV(price)";

/// Name, strategy, and the clauses of the question.
fn questions() -> Vec<(&'static str, Strategy, String)> {
    let v_shape = |partition: &str, skip: &str| {
        format!("{partition} ORDER BY ts {}", V_SHAPE.replace("PATTERN", &format!("{skip} PATTERN")))
    };
    vec![
        ("v-shape, 500 keys", Strategy::BitStreams, v_shape("PARTITION BY key", "")),
        ("v-shape, one partition", Strategy::BitStreams, v_shape("", "")),
        (
            "v-shape from every row",
            Strategy::ReverseAutomaton,
            v_shape("PARTITION BY key", "AFTER MATCH SKIP TO NEXT ROW"),
        ),
        (
            "ambiguous loops",
            Strategy::ReverseAutomaton,
            "ORDER BY ts MEASURES LAST(A.price) AS last PATTERN ((A+)+ B) DEFINE A AS price < 9000, B AS price > 5000"
                .into(),
        ),
        (
            "start-relative",
            Strategy::StartRuns,
            "PARTITION BY key ORDER BY ts MEASURES COUNT(B.*) AS n PATTERN (A B+ C)
                DEFINE B AS price < A.price, C AS price > A.price"
                .into(),
        ),
        (
            "label-relative",
            Strategy::Backtracking,
            "PARTITION BY key ORDER BY ts MEASURES COUNT(B.*) AS n PATTERN (A (B | C) D)
                DEFINE A AS price > 9900, D AS CLASSIFIER(B) IS NULL"
                .into(),
        ),
    ]
}

fn strategies(criterion: &mut Criterion) {
    let table = table();
    let mut group = criterion.benchmark_group("strategies");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    let options = MatchOptions::default();
    for (name, strategy, clauses) in questions() {
        let query = parse_query(&format!("SELECT * FROM t MATCH_RECOGNIZE ({clauses})")).expect(name);
        let answer = run_query(&query, &table, &options).expect(name);
        assert_eq!(answer.strategy(), strategy.name(), "{name} is there to measure {strategy}");
        assert!(answer.num_matches() > 1000, "{name}: {} matches", answer.num_matches());
        group.bench_function(name, |bencher| bencher.iter(|| run_query(&query, &table, &options)));
    }
    group.finish();
}

fn grouping(criterion: &mut Criterion) {
    let table = table();
    let order = [OrderKey { column: 1, descending: false, nulls_first: false }];
    let mut group = criterion.benchmark_group("grouping");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    group.bench_function("500 keys", |bencher| bencher.iter(|| OrderedRows::new(&table, &[0], &order, &[2])));
    group.bench_function("in order", |bencher| bencher.iter(|| OrderedRows::new(&table, &[], &order, &[2])));
    group.finish();
}

criterion_group!(benches, strategies, grouping);
criterion_main!(benches);
