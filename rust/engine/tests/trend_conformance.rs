//! The conformance cases of aggregations over all matches, in SQL: the engine and the definition against what was worked
//! out by hand.

use std::path::Path;

use cepheid_engine::{MatchOptions, match_table};
use cepheid_event::Table;
use cepheid_sql::parse_pattern;
use cepheid_testkit::cuts::{USUAL, cut};
use cepheid_testkit::reference_trend;
use cepheid_testkit::trend_suite::{self, TrendCase};

const CASES_MIN: usize = 34;

fn cases() -> Vec<TrendCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/trends");
    trend_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"))
}

fn check(case: &TrendCase, sql: &str) -> Result<usize, String> {
    let pattern = match parse_pattern(sql) {
        Ok(pattern) => pattern,
        Err(error) if case.error.as_deref() == Some(error.code()) => return Ok(1),
        Err(error) => return Err(format!("{}: [{}] {error}", case.name, error.code())),
    };
    let read = cepheid_sql::pattern_to_sql(&pattern).map_err(|error| format!("{}: {error}", case.name))?;
    if parse_pattern(&read).as_ref() != Ok(&pattern) {
        return Err(format!("{}: {read} is another pattern", case.name));
    }
    if case.error.is_none() {
        let defined = reference_trend(&pattern, &case.input());
        case.check(&defined.map_err(|error| format!("{}: the definition: {error}", case.name))?)
            .map_err(|error| format!("the definition: {error}"))?;
    }
    let batch = case.events.to_batch().expect("cells fit their columns");
    for how in USUAL {
        let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
        let options = MatchOptions { event_time: case.event_time.clone(), ..MatchOptions::default() };
        match (match_table(&pattern, &table, &options), &case.error) {
            (Ok(found), None) => case.check_batch(found.batch())?,
            (Err(error), Some(code)) if error.code() == code => {}
            (Ok(_), Some(code)) => return Err(format!("{}: expected the error `{code}`", case.name)),
            (Err(error), _) => return Err(format!("{}: [{}] {error}", case.name, error.code())),
        }
    }
    Ok(USUAL.len())
}

#[test]
fn every_case_in_sql_gives_what_was_worked_out_by_hand_however_it_is_cut() {
    let (mut ran, mut checks, mut failures) = (0, 0, vec![]);
    for case in &cases() {
        let Some(sql) = &case.sql else { continue };
        ran += 1;
        match check(case, sql) {
            Ok(of_case) => checks += of_case,
            Err(error) => failures.push(error),
        }
    }
    println!("{ran} cases, {checks} checks");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(ran >= CASES_MIN, "only {ran} cases ran");
}
