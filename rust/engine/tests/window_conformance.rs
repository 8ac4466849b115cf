//! The conformance cases of windows, over tables: the engine against what was worked out by hand, however rows are cut and
//! on whatever threads.

use std::num::NonZeroUsize;
use std::path::Path;

use cepheid_engine::{MatchOptions, aggregate_table};
use cepheid_event::Table;
use cepheid_ir::Window;
use cepheid_sql::parse_measure;
use cepheid_testkit::cuts::{USUAL, cut};
use cepheid_testkit::window_suite::{self, WindowCase};

/// Cases of one table. Those of several topics are for streams.
const CASES_MIN: usize = 182;
const TOPICS_MAX: usize = 6;

fn cases() -> Vec<WindowCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/windows");
    window_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"))
}

fn check(case: &WindowCase, window: &Window, table: &Table, threads: usize) -> Result<(), String> {
    let options = MatchOptions {
        event_time: case.event_time.clone(),
        threads: NonZeroUsize::new(threads),
        rows_a_thread_min: NonZeroUsize::new(1),
        ..MatchOptions::default()
    };
    match (aggregate_table(window, table, &options), &case.error) {
        (Ok(found), None) => case.check_batch(&found),
        (Err(error), Some(code)) if error.code() == code => Ok(()),
        (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
        (Err(error), _) => Err(format!("{}: [{}] {error}", case.name, error.code())),
    }
}

/// How often the case was run.
fn check_all(case: &WindowCase) -> Result<usize, String> {
    let window = match case.window(parse_measure) {
        Ok(window) => window,
        Err(error) if case.error.as_deref() == Some(error.code()) => return Ok(1),
        Err(error) => return Err(format!("{}: [{}] {error}", case.name, error.code())),
    };
    if window.validate().is_ok() && Window::from_json(&window.to_json()) != Ok(window.clone().normalise()) {
        return Err(format!("{}: {} is another window", case.name, window.to_json()));
    }
    let batch = case.batch().expect("cases of topics are left out");
    let mut runs = 0;
    for how in USUAL {
        let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
        for threads in [1, 3] {
            check(case, &window, &table, threads)
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
