//! The reference says of windows and of anomaly rules what the authors of the cases worked out by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cepheid_sql::parse_measure;
use cepheid_testkit::row_case::RowCase;
use cepheid_testkit::{
    RefValue, ReferenceTable, anomaly_suite, reference_anomalies, window_suite, window_table,
};

fn folder(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance").join(of)
}

/// What the reference says, or the code of its error.
type Answer = Result<ReferenceTable, (&'static str, String)>;

/// Fewest of what there may be: a guard against reading the wrong folder, or nothing.
struct Least {
    constructs: usize,
    of_each: usize,
    tables: usize,
    errors: usize,
}

fn check<A>(case: &RowCase<A>, answer: Answer) -> Result<(), String> {
    match (answer, &case.error) {
        (Ok(found), None) => case.check(&found),
        (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
        (Err((found, _)), Some(code)) if found == code => Ok(()),
        (Err((found, message)), _) => Err(format!("{}: [{found}] {message}", case.name)),
    }
}

fn check_all<A>(cases: &[RowCase<A>], answer: impl Fn(&RowCase<A>) -> Answer, least: &Least) {
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case, answer(case)).err()).collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    cases.iter().for_each(|case| *counts.entry(&case.construct).or_default() += 1);
    println!("{counts:?}");
    assert!(counts.len() >= least.constructs, "{counts:?}");
    assert!(counts.values().all(|count| *count >= least.of_each), "{counts:?}");
    let (mut tables, mut errors) = (0, 0);
    for case in cases {
        match answer(case) {
            Ok(found) => {
                refuse_wrong_answers(case, &found);
                tables += 1;
            }
            Err(_) => errors += 1,
        }
    }
    assert!(tables >= least.tables && errors >= least.errors, "{tables} tables, {errors} errors");
}

/// An expectation that any answer would meet is no expectation.
fn refuse_wrong_answers<A>(case: &RowCase<A>, answer: &ReferenceTable) {
    let refuse = |wrong: &ReferenceTable, what: &str| {
        assert!(case.check(wrong).is_err(), "{} accepts {what}", case.name);
    };
    let mut wrong = answer.clone();
    wrong.rows.push(vec![RefValue::Null; wrong.columns.len()]);
    refuse(&wrong, "a row too many");
    wrong = answer.clone();
    if wrong.rows.pop().is_some() {
        refuse(&wrong, "too few rows");
    }
    wrong = answer.clone();
    wrong.rows.reverse();
    if wrong.rows.first() != answer.rows.first() {
        refuse(&wrong, "another order");
    }
    wrong = answer.clone();
    wrong.columns[0].push('x');
    refuse(&wrong, "another name");
}

#[test]
fn windows_are_what_was_worked_out_by_hand() {
    let cases = window_suite::load(&folder("windows")).unwrap_or_else(|error| panic!("{error}"));
    let answer = |case: &window_suite::WindowCase| {
        let window = case.window(parse_measure).map_err(|error| (error.code(), error.to_string()))?;
        window_table(&window, &case.input()).map_err(|error| (error.code(), error.to_string()))
    };
    check_all(&cases, answer, &Least { constructs: 9, of_each: 6, tables: 134, errors: 62 });
}

#[test]
fn anomalies_are_what_was_worked_out_by_hand() {
    let cases = anomaly_suite::load(&folder("anomalies")).unwrap_or_else(|error| panic!("{error}"));
    let parse = |text: &str| parse_measure(text).map(|(value, _)| value);
    let answer = |case: &anomaly_suite::AnomalyCase| {
        let rule = case.anomaly(parse).map_err(|error| (error.code(), error.to_string()))?;
        reference_anomalies(&rule, &case.input()).map_err(|error| (error.code(), error.to_string()))
    };
    check_all(&cases, answer, &Least { constructs: 9, of_each: 4, tables: 83, errors: 24 });
}
