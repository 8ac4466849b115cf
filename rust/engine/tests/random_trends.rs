//! Random aggregations over all matches of random event sequences, against the definition, which builds every match.

use std::collections::BTreeMap;

use cepheid_engine::{EngineError, MatchOptions, count_matches, exists_match, match_table};
use cepheid_event::Table;
use cepheid_ir::{Pattern, PatternError};
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::generate_streams::{EVENT_TIME, RandomStream, StreamShape, random_stream};
use cepheid_testkit::generate_trends::{TREND_KNOBS, random_trend};
use cepheid_testkit::sequence_constructs::constructs;
use cepheid_testkit::{
    ReferenceError, ReferenceTable, SequenceKind, SplitMix64, reference_sequences, reference_trend,
};

fn cases() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 20_000 } else { 2_000 }
}

fn shown(table: &ReferenceTable) -> String {
    let line = |cells: Vec<String>| cells.join("  ");
    let rows = table.rows.iter().map(|row| line(row.iter().map(ToString::to_string).collect()));
    std::iter::once(line(table.columns.clone())).chain(rows).collect::<Vec<_>>().join("\n    ")
}

/// Columns that the definition has; a sum of nothing at all does not tell of what it is.
fn same(expected: &ReferenceTable, found: &ReferenceTable) -> bool {
    expected.rows.len() == found.rows.len()
        && expected.columns.iter().enumerate().all(|(column, name)| {
            let Ok(place) = found.column_index(name, true) else { return false };
            expected.rows.iter().zip(&found.rows).all(|(left, right)| left[column].is_same(&right[place]))
        })
}

fn describe(pattern: &Pattern, stream: &RandomStream) -> String {
    format!("  pattern {}\n  rows\n    {}", pattern.to_json(), shown(&stream.topics[0].1.to_reference()))
}

#[test]
fn random_trends_are_what_the_definition_folds() {
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut outcomes = BTreeMap::<&str, u64>::new();
    let mut used = BTreeMap::<&str, u64>::new();
    let mut refused = BTreeMap::<String, u64>::new();
    let mut failures = vec![];
    for seed in base..base + cases() {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9));
        let pattern = random_trend(&mut random, TREND_KNOBS);
        let shape = StreamShape { null_times: seed % 7 == 0, ..StreamShape::default() };
        let stream = random_stream(&mut random, shape);
        let batch = stream.topics[0].1.to_batch().expect("cells fit their columns");
        let how = [Cut::Whole, Cut::Every(1), Cut::Every(3), Cut::Random(seed)][seed as usize % 4];
        let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
        let options = MatchOptions { event_time: Some(EVENT_TIME.to_owned()), ..MatchOptions::default() };
        let found = match_table(&pattern, &table, &options);
        let mut outcome = |name| *outcomes.entry(name).or_default() += 1;
        if let Err(EngineError::Pattern(PatternError::Unsupported { construct, .. })) = &found {
            let ambiguous = construct.contains("several ways");
            outcome(if ambiguous { "ambiguous" } else { "unsupported" });
            *refused
                .entry(construct.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>())
                .or_default() += 1;
            continue;
        }
        let input = stream.to_batch_input();
        let expected = match reference_trend(&pattern, &input) {
            Err(ReferenceError::TooManySteps) => {
                outcome("too many");
                continue;
            }
            expected => expected,
        };
        match (expected, found) {
            (Ok(expected), Ok(found)) => {
                let found = ReferenceTable::from_batches(std::slice::from_ref(found.batch()));
                let matched = Pattern { trend: None, ..pattern.clone() };
                let matches = reference_sequences(&matched, &input).expect("as before");
                let matches = matches.iter().filter(|event| event.kind == SequenceKind::Match).count();
                outcome(match matches {
                    0 => "without matches",
                    1 => "one match",
                    2..10 => "some matches",
                    _ => "many matches",
                });
                if matches > 0 {
                    constructs(&matched).into_iter().for_each(|name| *used.entry(name).or_default() += 1);
                }
                if !same(&expected, &found) {
                    let (expected, found) = (shown(&expected), shown(&found));
                    let what = describe(&pattern, &stream);
                    failures.push(format!(
                        "seed {seed}\n  expected\n    {expected}\n  found\n    {found}\n{what}"
                    ));
                }
                let counted = count_matches(&matched, &table, &options).expect("counts what it aggregates");
                let exists = exists_match(&matched, &table, &options).expect("as it counts");
                if counted != matches.into() || exists != (matches > 0) {
                    failures.push(format!(
                        "seed {seed}: counted {counted}, not {matches}\n{}",
                        describe(&pattern, &stream)
                    ));
                }
            }
            (Err(expected), Err(found)) if expected.code() == found.code() => outcome("errors"),
            (expected, found) => {
                let found = found.map(|found| found.batch().num_rows());
                failures.push(format!(
                    "seed {seed}: {expected:?} against {found:?}\n{}",
                    describe(&pattern, &stream)
                ));
            }
        }
    }
    println!("{outcomes:?}\nused {used:?}\nrefused {refused:?}");
    assert!(
        failures.is_empty(),
        "{} failures of {}, the first:\n{}",
        failures.len(),
        cases(),
        failures[..failures.len().min(5)].join("\n\n")
    );
    let share =
        |names: &[&str]| names.iter().map(|name| outcomes.get(name).copied().unwrap_or(0)).sum::<u64>();
    assert!(share(&["one match", "some matches", "many matches"]) * 100 >= cases() * 30, "{outcomes:?}");
    assert!(share(&["many matches"]) * 100 >= cases() * 5, "{outcomes:?}");
    assert!(share(&["unsupported"]) * 100 <= cases() * 12, "{outcomes:?}");
    assert!(share(&["ambiguous"]) * 100 <= cases() * 35, "{outcomes:?}");
}
