//! The reference says of rows what the authors of the cases worked out by hand.

use std::collections::BTreeMap;
use std::path::Path;

use cepheid_sql::parse_measure;
use cepheid_testkit::anomaly_suite::{self, AnomalyCase};
use cepheid_testkit::{RefValue, ReferenceTable, reference_anomalies};

/// Fewest cases that there may be: a guard against reading the wrong folder.
const CASES_MIN: usize = 107;

fn cases() -> Vec<AnomalyCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/anomalies");
    let cases = anomaly_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    cases
}

/// What the reference says, or the code of its error.
fn answer(case: &AnomalyCase) -> Result<ReferenceTable, (&'static str, String)> {
    let parse = |text: &str| parse_measure(text).map(|(value, _)| value);
    let rule = case.anomaly(parse).map_err(|error| (error.code(), error.to_string()))?;
    reference_anomalies(&rule, &case.input()).map_err(|error| (error.code(), error.to_string()))
}

fn check(case: &AnomalyCase) -> Result<(), String> {
    match (answer(case), &case.error) {
        (Ok(found), None) => case.check(&found),
        (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
        (Err((found, _)), Some(code)) if found == code => Ok(()),
        (Err((found, message)), _) => Err(format!("{}: [{found}] {message}", case.name)),
    }
}

#[test]
fn the_reference_says_what_was_worked_out_by_hand() {
    let cases = cases();
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn every_construct_has_cases() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases() {
        *counts.entry(case.construct).or_default() += 1;
    }
    println!("{counts:?}");
    assert!(counts.len() >= 9, "{counts:?}");
    assert!(counts.values().all(|count| *count >= 4), "{counts:?}");
}

/// An expectation that any answer would meet is no expectation.
#[test]
fn every_case_refuses_a_wrong_answer() {
    let (mut tables, mut errors) = (0, 0);
    for case in &cases() {
        let Ok(answer) = answer(case) else {
            assert!(case.error.is_some(), "{} is an error and expects none", case.name);
            errors += 1;
            continue;
        };
        let mut more = answer.clone();
        more.rows.push(vec![RefValue::Null; more.columns.len()]);
        assert!(case.check(&more).is_err(), "{} accepts a row too many", case.name);
        let mut fewer = answer;
        if fewer.rows.pop().is_some() {
            assert!(case.check(&fewer).is_err(), "{} accepts too few rows", case.name);
        }
        tables += 1;
    }
    assert!(tables >= 83 && errors >= 24, "{tables} tables, {errors} errors");
}
