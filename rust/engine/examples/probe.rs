//! Times the stages of a V-shape: a tool for whoever tunes them, not a benchmark of record.
#![allow(missing_docs)]
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use cepheid_engine::{MatchOptions, run_query};
use cepheid_event::Table;
use cepheid_sql::parse_query;

fn main() {
    let rows: usize = std::env::args().nth(1).map_or(10_000_000, |text| text.parse().expect("rows"));
    let keys: i64 = std::env::args().nth(2).map_or(500, |text| text.parse().expect("keys"));
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let key: Int64Array = (0..rows).map(|_| (random() >> 33) as i64 % keys).collect();
    let ts: Int64Array = (0..rows as i64).collect();
    let price: Float64Array = (0..rows).map(|_| 100.0 + (random() >> 40) as f64 / 1e4).collect();
    let schema = Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, false),
        Field::new("ts", DataType::Int64, false),
        Field::new("price", DataType::Float64, false),
    ]));
    let batch =
        RecordBatch::try_new(schema.clone(), vec![Arc::new(key), Arc::new(ts), Arc::new(price)]).unwrap();
    let table = Table::new(schema, vec![batch]).unwrap();
    let queries = [
        (
            "v-shape",
            "PARTITION BY key ORDER BY ts MEASURES STRT.price AS s, LAST(DOWN.price) AS bottom AFTER MATCH SKIP PAST LAST ROW PATTERN (STRT DOWN+ UP+) DEFINE DOWN AS price < PREV(price), UP AS price > PREV(price)",
        ),
        (
            "v-shape one partition",
            "ORDER BY ts MEASURES STRT.price AS s, LAST(DOWN.price) AS bottom PATTERN (STRT DOWN+ UP+) DEFINE DOWN AS price < PREV(price), UP AS price > PREV(price)",
        ),
        (
            "v-shape next row",
            "PARTITION BY key ORDER BY ts MEASURES STRT.price AS s, LAST(DOWN.price) AS bottom AFTER MATCH SKIP TO NEXT ROW PATTERN (STRT DOWN+ UP+) DEFINE DOWN AS price < PREV(price), UP AS price > PREV(price)",
        ),
        (
            "a b 1%",
            "ORDER BY ts MEASURES A.ts AS s PATTERN (A B) DEFINE A AS price < 1777.7, B AS price > 100.0",
        ),
        (
            "automaton",
            "PARTITION BY key ORDER BY ts MEASURES STRT.price AS s, LAST(DOWN.price) AS bottom PATTERN (STRT (DOWN | FLAT)* UP+) DEFINE DOWN AS price < PREV(price), UP AS price > PREV(price), FLAT AS price > 5000",
        ),
        (
            "start relative",
            "PARTITION BY key ORDER BY ts MEASURES A.price AS s, COUNT(B.*) AS n PATTERN (A B+ C) DEFINE B AS price < A.price, C AS price > A.price",
        ),
        (
            "aggregate",
            "PARTITION BY key ORDER BY ts MEASURES SUM(DOWN.price) AS s, AVG(UP.price) AS n PATTERN (STRT DOWN+ UP+) DEFINE DOWN AS price < PREV(price), UP AS price > PREV(price)",
        ),
    ];
    let only = std::env::args().nth(3);
    for (name, text) in
        queries.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name))
    {
        let query = parse_query(&format!("SELECT * FROM t MATCH_RECOGNIZE ({text})")).unwrap();
        let mut best = f64::MAX;
        let mut matches = 0;
        let mut strategy = "";
        for _ in 0..5 {
            let start = Instant::now();
            let result = run_query(&query, &table, &MatchOptions::default()).unwrap();
            best = best.min(start.elapsed().as_secs_f64());
            matches = result.num_matches();
            strategy = result.strategy();
        }
        println!(
            "{name:24} {strategy:18} {matches:9} matches {:8.1} ms {:7.1} M rows/s",
            best * 1e3,
            rows as f64 / best / 1e6
        );
    }
}
