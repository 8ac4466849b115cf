//! The conformance cases of anomaly rules: the engine against what was worked out by hand, however rows are cut and on whatever
//! threads.

use std::num::NonZeroUsize;
use std::path::Path;

use cepheid_engine::{MatchOptions, detect_table};
use cepheid_event::Table;
use cepheid_ir::Anomaly;
use cepheid_sql::parse_measure;
use cepheid_testkit::anomaly_suite::{self, AnomalyCase};
use cepheid_testkit::cuts::{USUAL, cut};

/// Cases of one table. Those of several topics are asked in Python.
const CASES_MIN: usize = 103;
const TOPICS_MAX: usize = 4;

fn cases() -> Vec<AnomalyCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/anomalies");
    anomaly_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"))
}

fn check(case: &AnomalyCase, rule: &Anomaly, table: &Table, threads: usize) -> Result<(), String> {
    let options = MatchOptions {
        event_time: case.event_time.clone(),
        threads: NonZeroUsize::new(threads),
        rows_a_thread_min: NonZeroUsize::new(1),
        ..MatchOptions::default()
    };
    match (detect_table(rule, table, &options), &case.error) {
        (Ok(found), None) => case.check_batch(&found),
        (Err(error), Some(code)) if error.code() == code => Ok(()),
        (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
        (Err(error), _) => Err(format!("{}: [{}] {error}", case.name, error.code())),
    }
}

/// How often the case was run.
fn check_all(case: &AnomalyCase) -> Result<usize, String> {
    let parse = |text: &str| parse_measure(text).map(|(value, _)| value);
    let rule = match case.anomaly(parse) {
        Ok(rule) => rule,
        Err(error) if case.error.as_deref() == Some(error.code()) => return Ok(1),
        Err(error) => return Err(format!("{}: [{}] {error}", case.name, error.code())),
    };
    if rule.validate().is_ok() && Anomaly::from_json(&rule.to_json()) != Ok(rule.clone().normalise()) {
        return Err(format!("{}: {} is another rule", case.name, rule.to_json()));
    }
    let batch = case.batch().expect("cases of topics are left out");
    let mut runs = 0;
    for how in USUAL {
        let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
        for threads in [1, 3] {
            check(case, &rule, &table, threads)
                .map_err(|error| format!("{error}\n  {how:?}, {threads} threads"))?;
            runs += 1;
        }
    }
    Ok(runs)
}

#[test]
fn every_case_gives_what_was_worked_out_by_hand_however_it_is_cut() {
    let (mut ran, mut topics, mut runs, mut failures) = (0, 0, 0, vec![]);
    for case in &cases() {
        if case.batch().is_none() {
            topics += 1;
            continue;
        }
        ran += 1;
        match check_all(case) {
            Ok(of_case) => runs += of_case,
            Err(error) => failures.push(error),
        }
    }
    println!("{ran} cases, {runs} runs; {topics} of several topics left out");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(ran >= CASES_MIN, "only {ran} cases ran");
    assert!(topics <= TOPICS_MAX, "{topics} cases left out");
}
