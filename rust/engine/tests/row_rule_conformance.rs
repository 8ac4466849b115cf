//! The conformance cases of windows and of anomaly rules, over tables: the engine against what was worked out by hand, however
//! rows are cut and on whatever threads.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use cepheid_engine::{EngineError, MatchOptions, aggregate_table, detect_table};
use cepheid_event::Table;
use cepheid_ir::{Anomaly, Window};
use cepheid_sql::{SqlError, parse_measure};
use cepheid_testkit::cuts::{USUAL, cut};
use cepheid_testkit::row_case::RowCase;
use cepheid_testkit::{anomaly_suite, window_suite};

fn folder(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance").join(of)
}

/// How the rules of some cases are read, and run.
struct Suite<A, R> {
    read: fn(&RowCase<A>) -> Result<R, SqlError>,
    /// What is wrong with the rule as data.
    wire: fn(&R) -> Option<String>,
    run: fn(&R, &Table, &MatchOptions) -> Result<RecordBatch, EngineError>,
}

impl<A, R> Suite<A, R> {
    fn check(&self, case: &RowCase<A>, rule: &R, table: &Table, threads: usize) -> Result<(), String> {
        let options = MatchOptions {
            event_time: case.event_time.clone(),
            threads: NonZeroUsize::new(threads),
            rows_a_thread_min: NonZeroUsize::new(1),
            ..MatchOptions::default()
        };
        match ((self.run)(rule, table, &options), &case.error) {
            (Ok(found), None) => case.check_batch(&found),
            (Err(error), Some(code)) if error.code() == code => Ok(()),
            (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
            (Err(error), _) => Err(format!("{}: [{}] {error}", case.name, error.code())),
        }
    }

    /// How often a case was run.
    fn check_all(&self, case: &RowCase<A>, batch: &RecordBatch) -> Result<usize, String> {
        let rule = match (self.read)(case) {
            Ok(rule) => rule,
            Err(error) if case.error.as_deref() == Some(error.code()) => return Ok(1),
            Err(error) => return Err(format!("{}: [{}] {error}", case.name, error.code())),
        };
        if let Some(other) = (self.wire)(&rule) {
            return Err(format!("{}: {other} is another rule", case.name));
        }
        let mut runs = 0;
        for how in USUAL {
            let table = Table::new(batch.schema(), cut(batch, how)).expect("pieces of one table");
            for threads in [1, 3] {
                self.check(case, &rule, &table, threads)
                    .map_err(|error| format!("{error}\n  {how:?}, {threads} threads"))?;
                runs += 1;
            }
        }
        Ok(runs)
    }

    /// Runs the cases of one table, of which there must be some; those of several topics and of late rows are for streams, and for Python.
    fn run_all(&self, cases: &[RowCase<A>], cases_min: usize, topics_max: usize) {
        let (mut ran, mut topics, mut runs, mut failures) = (0, 0, 0, vec![]);
        for case in cases {
            let Some(batch) = case.batch() else {
                topics += 1;
                continue;
            };
            ran += 1;
            match self.check_all(case, &batch) {
                Ok(of_case) => runs += of_case,
                Err(error) => failures.push(error),
            }
        }
        println!("{ran} cases, {runs} runs; {topics} of several topics or of streams left out");
        assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
        assert!(ran >= cases_min, "only {ran} cases ran");
        assert!(topics <= topics_max, "{topics} cases left out");
    }
}

#[test]
fn windows_are_what_was_worked_out_by_hand_however_they_are_cut() {
    let suite = Suite {
        read: |case: &window_suite::WindowCase| case.window(parse_measure),
        wire: |window: &Window| {
            let same = || Window::from_json(&window.to_json()) == Ok(window.clone().normalise());
            (window.validate().is_ok() && !same()).then(|| window.to_json())
        },
        run: |window, table, options| {
            let windows = aggregate_table(window, table, options)?;
            Ok(concat_batches(windows.schema(), windows.batches()).expect("one schema"))
        },
    };
    let cases = window_suite::load(&folder("windows")).unwrap_or_else(|error| panic!("{error}"));
    suite.run_all(&cases, 226, 16);
}

#[test]
fn anomalies_are_what_was_worked_out_by_hand_however_they_are_cut() {
    let suite = Suite {
        read: |case: &anomaly_suite::AnomalyCase| {
            case.anomaly(|text: &str| parse_measure(text).map(|(value, _)| value))
        },
        wire: |rule: &Anomaly| {
            let same = || Anomaly::from_json(&rule.to_json()) == Ok(rule.clone().normalise());
            (rule.validate().is_ok() && !same()).then(|| rule.to_json())
        },
        run: detect_table,
    };
    let cases = anomaly_suite::load(&folder("anomalies")).unwrap_or_else(|error| panic!("{error}"));
    suite.run_all(&cases, 103, 4);
}
