//! The reference derives what the authors of the cases worked out by hand.

use std::collections::BTreeMap;
use std::path::Path;

use cepheid_testkit::sequence_suite::{self, Decision, FoundEvent, RowName, SequenceCase};
use cepheid_testkit::{RefValue, SequenceKind, reference_sequences, row_order};

/// Fewest cases that there may be: a guard against reading the wrong folder.
const CASES_MIN: usize = 385;

fn cases() -> Vec<SequenceCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/sequences");
    let cases = sequence_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    cases
}

struct Answer {
    found: Vec<FoundEvent>,
    columns: Vec<String>,
    measures: Vec<Vec<RefValue>>,
}

/// What the reference says, or the code of its error.
fn answer(case: &SequenceCase) -> Result<Answer, (&'static str, String)> {
    let pattern = case.pattern().map_err(|error| (error.code(), error.to_string()))?;
    let input = case.input();
    let failed = |error: cepheid_testkit::ReferenceError| (error.code(), error.to_string());
    let events = reference_sequences(&pattern, &input).map_err(failed)?;
    let name = |(topic, row): (usize, usize)| RowName { topic: case.events[topic].0.clone(), row };
    let order: Vec<RowName> = row_order(&pattern, &input).map_err(failed)?.into_iter().map(name).collect();
    Ok(Answer {
        found: case.found(&pattern, &events, &order),
        columns: pattern.measures.iter().map(|measure| measure.name.clone()).collect(),
        measures: events.into_iter().filter(|e| e.kind == SequenceKind::Match).map(|e| e.values).collect(),
    })
}

fn check(case: &SequenceCase) -> Result<(), String> {
    match (answer(case), &case.error) {
        (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
        (Err((found, _)), Some(code)) if found == code => Ok(()),
        (Err((found, message)), _) => Err(format!("{}: [{found}] {message}", case.name)),
        (Ok(answer), None) => {
            case.check_derived(&answer.found)?;
            case.check_output(&answer.columns, &answer.measures)
        }
    }
}

#[test]
fn the_reference_derives_what_was_worked_out_by_hand() {
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
    assert!(counts.len() >= 28, "{counts:?}");
    assert!(counts.values().all(|count| *count >= 6), "{counts:?}");
}

/// An expectation that any answer would meet is no expectation.
#[test]
fn every_case_refuses_a_wrong_answer() {
    let cases = cases();
    let (mut refused, mut moments) = (0, 0);
    for case in &cases {
        let Ok(answer) = answer(case) else {
            assert!(case.error.is_some(), "{} is an error and expects none", case.name);
            refused += 1;
            continue;
        };
        let mut more = answer.found.clone();
        let nowhere = RowName { topic: String::new(), row: 0 };
        more.push(FoundEvent { kind: "match".into(), members: vec![("z".into(), nowhere)], at: None });
        assert!(case.check_derived(&more).is_err(), "{} accepts a match too many", case.name);
        let mut fewer = answer.found.clone();
        if fewer.pop().is_some() {
            assert!(case.check_derived(&fewer).is_err(), "{} accepts too few events", case.name);
        }
        let mut moved = answer.found.clone();
        if moved.len() > 1 && moved[0].kind == moved[1].kind {
            moved.swap(0, 1);
            assert!(case.check_derived(&moved).is_err(), "{} accepts another order", case.name);
        }
        let mut late = answer.found.clone();
        late.iter_mut().for_each(|event| event.at = Some(Decision::Deadline(-1)));
        if case.derived.iter().flatten().any(|event| event.at.is_some()) {
            assert!(case.check_derived(&late).is_err(), "{} accepts another moment", case.name);
            moments += 1;
        }
        if case.output.is_some() {
            let mut measures = answer.measures.clone();
            measures[0][0] = RefValue::Boolean(true);
            assert!(case.check_output(&answer.columns, &measures).is_err(), "{}", case.name);
        }
        refused += 1;
    }
    assert_eq!(refused, cases.len());
    assert!(moments >= 60, "only {moments} cases say when");
}
