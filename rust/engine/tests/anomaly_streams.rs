//! Random anomaly rules in streams: what they report, bit by bit, is what they say of the table of all rows, however the stream is
//! cut and comes, wherever the engine is saved and restored, on any number of threads, and after calls that fail.

mod flaky;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use cepheid_engine::{
    DerivedTable, Engine, EngineError, EngineOptions, MatchOptions, Process, Processor, RuleSpec, Strategy,
    detect_table,
};
use cepheid_event::Table;
use cepheid_ir::Anomaly;
use cepheid_matcher::threads::times_shared;
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_anomalies::{random_anomaly, random_readings};
use cepheid_testkit::generate_streams::EVENT_TIME;
use flaky::Flaky;

const TOPIC: &str = "readings";
/// No row of a table comes so far behind another.
const LATENESS: u64 = 1 << 62;

#[test]
fn random_streams_report_what_a_table_of_all_rows_says() {
    let cases: u64 = if std::env::var_os("CEPHEID_DEEP").is_some() { 20_000 } else { 1_500 };
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut rows_told, mut restored, mut failed, mut calls_told) = (0, 0, 0, 0);
    let shared_before = times_shared();
    for seed in base..base + cases {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 29);
        let own_topic = random.chance(50).then(|| TOPIC.to_owned());
        let rule = Anomaly { name: Some("odd".into()), topic: own_topic, ..random_anomaly(&mut random) };
        let batch = random_readings(&mut random, false).to_batch().expect("cells fit their columns");
        let table = Table::new(batch.schema(), vec![batch.clone()]).expect("one table");
        let options = MatchOptions { event_time: Some(EVENT_TIME.to_owned()), ..MatchOptions::default() };
        let expected = detect_table(&rule, &table, &options).expect("nothing can fail");

        let flaky = Arc::new(Flaky::default());
        let function = Arc::clone(&flaky) as Arc<dyn Process>;
        // It reads what the rule reads, and is asked before it, or what it reports.
        let topic = random.choose(&[TOPIC, "odd"]).to_string();
        let processor = Processor { name: Some("flaky".into()), topic, emit: None, function };
        let mut rules: Vec<RuleSpec> = vec![rule.clone().into()];
        if random.chance(50) {
            rules.push(processor.into());
        }
        let lateness = *random.choose(&[LATENESS, 1]);
        let stream = if lateness == LATENESS { batch } else { sorted(&batch) };
        let options = EngineOptions {
            event_time: EVENT_TIME.to_owned(),
            lateness_ns: Some(lateness),
            threads: Some(1 + random.below(3)),
            rows_a_thread_min: NonZeroUsize::new(1),
            ..EngineOptions::default()
        };
        let mut engine = Engine::new(rules.clone(), options).expect("rules that can be");
        let mut found: Vec<RecordBatch> = vec![];
        let mut take = |derived: Vec<(String, DerivedTable)>| {
            for (topic, table) in derived {
                assert_eq!(
                    (topic.as_str(), table.strategies.as_slice()),
                    ("odd", &[Strategy::Anomalies][..])
                );
                found.push(table.batch);
            }
        };
        let (mut row, most) = (0, *random.choose(&[1, 3, 50]));
        while row < stream.num_rows() {
            if random.chance(15) {
                let blob = engine.snapshot().expect("plain data");
                let threads = Some(1 + random.below(3));
                engine = Engine::restore(&blob, rules.clone(), threads, None, None).expect("what was saved");
                engine.share_from(NonZeroUsize::MIN);
                restored += 1;
            }
            let rows = (1 + random.below(most)).min(stream.num_rows() - row);
            let pushed = stream.slice(row, rows);
            if rules.len() > 1 && random.chance(20) {
                let before = engine.snapshot().expect("plain data");
                flaky.fails.store(true, Ordering::Relaxed);
                match engine.push(Some(TOPIC), std::slice::from_ref(&pushed), None) {
                    Err(EngineError::Processor { .. }) => {
                        failed += 1;
                        assert!(engine.snapshot().expect("plain data") == before, "seed {seed}: changed");
                    }
                    // No row was released, so nobody was asked.
                    Ok(derived) => {
                        flaky.fails.store(false, Ordering::Relaxed);
                        take(derived);
                        row += rows;
                        continue;
                    }
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
            take(engine.push(Some(TOPIC), &[pushed], None).expect("good rows"));
            row += rows;
        }
        take(engine.flush().expect("good rows"));
        calls_told += found.len();
        let found = concat_batches(&expected.schema(), &found).expect("one schema");
        // Arrow compares floats by their bits.
        assert_eq!(found, expected, "seed {seed}: {}", rule.to_json());
        rows_told += found.num_rows();
    }
    println!(
        "{cases} streams, {rows_told} rows in {calls_told} calls, {restored} restored, {failed} failed calls"
    );
    assert!(rows_told as u64 > cases * 5 && calls_told as u64 > cases * 2, "{rows_told} in {calls_told}");
    let shared = times_shared() - shared_before;
    assert!(shared > cases / 5, "only {shared} times shared among threads");
    assert!(restored as u64 > cases / 2 && failed as u64 > cases / 4, "{restored} restored, {failed} failed");
}

/// The rows in order of time, equal times as they stood.
fn sorted(batch: &RecordBatch) -> RecordBatch {
    let times = batch.column_by_name(EVENT_TIME).expect("a column");
    let times = cepheid_event::event_times(EVENT_TIME, times, 0).expect("times");
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by_key(|row| times[*row as usize]);
    arrow_select::take::take_record_batch(batch, &arrow_array::UInt32Array::from(order))
        .expect("rows that there are")
}
