//! Random windows over random tables, against the definition, which lists the rows of every window.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use cepheid_engine::{EngineError, MatchOptions, aggregate_table};
use cepheid_event::Table;
use cepheid_ir::Window;
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::generate_streams::{EVENT_TIME, RandomStream, StreamShape, random_stream};
use cepheid_testkit::generate_windows::{WindowKnobs, frame_kind, random_window};
use cepheid_testkit::{ReferenceTable, SplitMix64, window_table};

fn cases() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 2_000 }
}

fn run(window: &Window, stream: &RandomStream, seed: u64) -> Result<ReferenceTable, EngineError> {
    let batch = stream.topics[0].1.to_batch().expect("cells fit their columns");
    let how = [Cut::Whole, Cut::Every(1), Cut::Every(3), Cut::Random(seed)][(seed / 4) as usize % 4];
    let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
    let options = MatchOptions {
        event_time: Some(EVENT_TIME.to_owned()),
        threads: NonZeroUsize::new(1 + seed as usize % 4),
        rows_a_thread_min: NonZeroUsize::new(1),
        ..MatchOptions::default()
    };
    let windows = aggregate_table(window, &table, &options)?;
    let none = arrow_array::RecordBatch::new_empty(windows.schema().clone());
    Ok(ReferenceTable::from_batches(&[&[none], windows.batches()].concat()))
}

#[test]
fn random_windows_are_what_the_definition_lists() {
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut outcomes, mut frames) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    let (mut early, mut empty, mut failures) = (0, 0, vec![]);
    for seed in base..base + cases() {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 16);
        let window = random_window(&mut random, WindowKnobs::ALL);
        let shape = StreamShape { null_times: seed % 20 == 0, ..StreamShape::default() };
        let stream = random_stream(&mut random, shape);
        let expected = window_table(&window, &stream.to_input());
        let outcome = match (expected, run(&window, &stream, seed)) {
            (Ok(expected), Ok(found)) => match expected.check(&found.columns, &found.rows) {
                Ok(()) if expected.rows.is_empty() => Ok("no window"),
                Ok(()) => {
                    early += u64::from(window.reports.early.is_some());
                    empty += u64::from(window.reports.empty.is_some());
                    *frames.entry(frame_kind(window.frame)).or_default() += 1;
                    Ok("windows")
                }
                Err(difference) => Err(difference),
            },
            (Err(expected), Err(found)) if expected.code() == found.code() => Ok(expected.code()),
            (Ok(expected), Err(found)) => Err(format!("[{}] {found}\n  expected {expected}", found.code())),
            (Err(expected), Ok(found)) => Err(format!("expected [{}]\n  found {found}", expected.code())),
            (Err(expected), Err(found)) => {
                Err(format!("expected [{}], found [{}] {found}", expected.code(), found.code()))
            }
        };
        match outcome {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(difference) => failures.push(format!(
                "seed {seed}: {difference}\n  window {}\n  rows\n    {}",
                window.to_json(),
                stream.topics[0].1.to_reference()
            )),
        }
    }
    println!("{outcomes:?}\n{frames:?}; {early} with early reports, {empty} with empty windows");
    assert!(
        failures.is_empty(),
        "{} failures of {}, the first:\n{}",
        failures.len(),
        cases(),
        failures[..failures.len().min(5)].join("\n\n")
    );
    let count = |outcome: &str| outcomes.get(outcome).copied().unwrap_or(0);
    assert!(count("windows") * 100 >= cases() * 75, "{outcomes:?}");
    assert!(count("division-by-zero") * 100 >= cases(), "{outcomes:?}");
    assert!(count("null-time") * 100 >= cases(), "{outcomes:?}");
    assert!(early * 100 >= cases() * 10 && empty * 100 >= cases() * 10, "{early} early, {empty} empty");
    assert!(frames.len() == 8 && frames.values().all(|ran| ran * 100 >= cases() * 5), "{frames:?}");
}
