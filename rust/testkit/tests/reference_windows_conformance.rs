//! The reference gives the windows that the authors of the cases worked out by hand.

use std::collections::BTreeMap;
use std::path::Path;

use cepheid_sql::parse_measure;
use cepheid_testkit::window_suite::{self, WindowCase};
use cepheid_testkit::{RefValue, ReferenceTable, window_table};

/// Fewest cases that there may be: a guard against reading the wrong folder.
const CASES_MIN: usize = 188;

fn cases() -> Vec<WindowCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/windows");
    let cases = window_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    cases
}

/// What the reference says, or the code of its error.
fn answer(case: &WindowCase) -> Result<ReferenceTable, (&'static str, String)> {
    let window = case.window(parse_measure).map_err(|error| (error.code(), error.to_string()))?;
    window_table(&window, &case.input()).map_err(|error| (error.code(), error.to_string()))
}

fn check(case: &WindowCase) -> Result<(), String> {
    match (answer(case), &case.error) {
        (Ok(found), None) => case.check(&found),
        (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
        (Err((found, _)), Some(code)) if found == code => Ok(()),
        (Err((found, message)), _) => Err(format!("{}: [{found}] {message}", case.name)),
    }
}

#[test]
fn the_reference_gives_what_was_worked_out_by_hand() {
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
    assert!(counts.values().all(|count| *count >= 6), "{counts:?}");
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
        assert!(case.check(&more).is_err(), "{} accepts a window too many", case.name);
        let mut fewer = answer.clone();
        if fewer.rows.pop().is_some() {
            assert!(case.check(&fewer).is_err(), "{} accepts too few windows", case.name);
        }
        let mut moved = answer.clone();
        moved.rows.reverse();
        if moved.rows.first() != answer.rows.first() {
            assert!(case.check(&moved).is_err(), "{} accepts another order", case.name);
        }
        let mut renamed = answer;
        renamed.columns[0].push('x');
        assert!(case.check(&renamed).is_err(), "{} accepts another name", case.name);
        tables += 1;
    }
    assert!(tables >= 117 && errors >= 49, "{tables} tables, {errors} errors");
}
