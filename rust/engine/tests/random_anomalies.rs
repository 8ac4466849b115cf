//! Random anomaly rules over random tables, against the definition, which compares each row with all before it; and against
//! themselves, bit for bit, on other cuts and threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use arrow_array::RecordBatch;
use cepheid_engine::{EngineError, MatchOptions, detect_table};
use cepheid_event::Table;
use cepheid_ir::{Anomaly, ReportedRows};
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::generate_anomalies::{method_kind, random_anomaly, random_readings};
use cepheid_testkit::generate_streams::EVENT_TIME;
use cepheid_testkit::text_table::TextTable;
use cepheid_testkit::{RefValue, ReferenceTable, SequenceInput, SplitMix64, reference_anomalies};

/// How far floats that were added up in another order may be apart; also absolutely, as scores and values are of few units.
const NEAR: f64 = 1e-9;

fn cases() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 20_000 } else { 3_000 }
}

fn run(rule: &Anomaly, rows: &TextTable, how: Cut, threads: usize) -> Result<RecordBatch, EngineError> {
    let batch = rows.to_batch().expect("cells fit their columns");
    let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
    let options = MatchOptions {
        event_time: Some(EVENT_TIME.to_owned()),
        threads: NonZeroUsize::new(threads),
        rows_a_thread_min: NonZeroUsize::new(1),
        ..MatchOptions::default()
    };
    detect_table(rule, &table, &options)
}

/// What became of a comparison.
enum Outcome {
    Same {
        anomalies: usize,
    },
    /// The score of a row is the threshold but for the last digits, so that rows from it on may be judged otherwise.
    AtTheThreshold,
    Different(String),
}

fn compare(rule: &Anomaly, expected: &ReferenceTable, found: &ReferenceTable) -> Outcome {
    let near = |left: &RefValue, right: &RefValue| match (left, right) {
        (RefValue::Float(left), RefValue::Float(right)) if (left - right).abs() <= NEAR => true,
        _ => left.is_same(right),
    };
    let threshold = rule.method.threshold();
    let score = expected.columns.iter().position(|name| name == "score").expect("a column");
    for (row, (left, right)) in expected.rows.iter().zip(&found.rows).enumerate() {
        if left.len() == right.len() && left.iter().zip(right).all(|(left, right)| near(left, right)) {
            continue;
        }
        return match &left[score] {
            RefValue::Float(score) if (score - threshold).abs() <= NEAR * threshold.max(1.0) => {
                Outcome::AtTheThreshold
            }
            _ => Outcome::Different(format!("row {row} differs\n  expected {expected}\n  found {found}")),
        };
    }
    if expected.columns != found.columns || expected.rows.len() != found.rows.len() {
        return Outcome::Different(format!("expected {expected}\n  found {found}"));
    }
    let is_anomaly = |row: &&Vec<RefValue>| row[score + 1] == RefValue::Boolean(true);
    Outcome::Same { anomalies: expected.rows.iter().filter(is_anomaly).count() }
}

#[test]
fn random_rules_say_what_the_definition_says() {
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut outcomes, mut methods) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    let (mut failures, mut anomalies) = (vec![], 0);
    for seed in base..base + cases() {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 19);
        // Flagged rows alone say less of where a difference begins: they are compared below.
        let rule = Anomaly { rows: ReportedRows::All, ..random_anomaly(&mut random) };
        let rows = random_readings(&mut random, seed % 20 == 0);
        let how = [Cut::Whole, Cut::Every(1), Cut::Every(3), Cut::Random(seed)][(seed / 4) as usize % 4];
        let input = SequenceInput::table(rows.to_reference(), Some(EVENT_TIME));
        let outcome =
            match (reference_anomalies(&rule, &input), run(&rule, &rows, how, 1 + seed as usize % 4)) {
                (Ok(expected), Ok(found)) => {
                    match compare(&rule, &expected, &ReferenceTable::from_batches(&[found])) {
                        Outcome::Same { anomalies: of_case } => {
                            *methods.entry(method_kind(&rule.method)).or_default() += 1;
                            anomalies += of_case;
                            Ok(if of_case > 0 { "anomalies" } else { "no anomaly" })
                        }
                        Outcome::AtTheThreshold => Ok("at the threshold"),
                        Outcome::Different(difference) => Err(difference),
                    }
                }
                (Err(expected), Err(found)) if expected.code() == found.code() => Ok(expected.code()),
                (Ok(_), Err(found)) => Err(format!("found [{}] {found}", found.code())),
                (Err(expected), _) => Err(format!("expected [{}] {expected}", expected.code())),
            };
        match outcome {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(difference) => failures.push(format!("seed {seed}: {difference}\n  {}", rule.to_json())),
        }
    }
    println!("{outcomes:?}\n{methods:?}\n{anomalies} anomalies");
    assert!(
        failures.is_empty(),
        "{} failures of {}, the first:\n{}",
        failures.len(),
        cases(),
        failures[..failures.len().min(3)].join("\n\n")
    );
    let count = |outcome: &str| outcomes.get(outcome).copied().unwrap_or(0);
    assert!(count("anomalies") * 100 >= cases() * 50, "{outcomes:?}");
    assert!(count("null-time") * 100 >= cases(), "{outcomes:?}");
    assert!(count("at the threshold") * 100 <= cases(), "{outcomes:?}");
    assert!(methods.len() == 8 && methods.values().all(|ran| ran * 100 >= cases() * 5), "{methods:?}");
}

#[test]
fn answers_are_the_same_bits_for_every_cut_and_number_of_threads() {
    let (mut runs, mut rows_seen, mut flagged) = (0, 0, 0);
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed ^ 0xA11);
        let rule = Anomaly { rows: ReportedRows::All, ..random_anomaly(&mut random) };
        let rows = random_readings(&mut random, false);
        let whole = run(&rule, &rows, Cut::Whole, 1).expect("nothing can fail");
        for how in [Cut::Whole, Cut::Every(1), Cut::Every(7), Cut::Random(seed)] {
            for threads in [1, 2, 5] {
                let found = run(&rule, &rows, how, threads).expect("nothing can fail");
                // Arrow compares floats by their bits.
                assert_eq!(found, whole, "seed {seed}, {how:?}, {threads} threads");
                runs += 1;
            }
        }
        let told = ReferenceTable::from_batches(&[run(
            &Anomaly { rows: ReportedRows::Flagged, ..rule.clone() },
            &rows,
            Cut::Whole,
            2,
        )
        .expect("nothing can fail")]);
        let mut expected = ReferenceTable::from_batches(&[whole]);
        expected.rows.retain(|row| row.last() == Some(&RefValue::Boolean(true)));
        rows_seen += expected.rows.len();
        flagged += told.rows.len();
        expected.columns.pop();
        expected.rows.iter_mut().for_each(|row| drop(row.pop()));
        expected.check(&told.columns, &told.rows).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(
        runs == 3_600 && rows_seen > 500 && flagged == rows_seen,
        "{runs} runs, {flagged} of {rows_seen} rows"
    );
}
