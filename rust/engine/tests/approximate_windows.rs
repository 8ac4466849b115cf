//! Approximate aggregates of windows: within the bound that their contracts name of the exact ones beside them, and the same to
//! the bit however rows are cut, on whatever threads, in streams, and wherever the engine is saved and restored.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_select::concat::concat_batches;
use cepheid_engine::{Engine, EngineOptions, MatchOptions, RuleSpec, aggregate_table};
use cepheid_event::Table;
use cepheid_ir::{ColumnName, Frame, Measure, Reports, Window};
use cepheid_sql::parse_measure;
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::{ReferenceTable, SplitMix64};

/// HyperLogLog's standard error is 1.6 %: four of them.
const N_UNIQUE_ERROR: f64 = 0.065;
/// So many different values are counted exactly.
const FEW_MAX: i64 = 256;
const MEASURES: [&str; 12] = [
    "APPROX_N_UNIQUE(u) AS about",
    "COUNT(DISTINCT u) AS distinct_values",
    "APPROX_QUANTILE(v, 0.5) AS middle",
    "QUANTILE(v, 0.5) AS exact_middle",
    "APPROX_QUANTILE(v, 0.99, 0.05) AS high",
    "QUANTILE(v, 0.99) AS exact_high",
    "APPROX_QUANTILE(-v, 0.1) AS low",
    "QUANTILE(-v, 0.1) AS exact_low",
    "APPROX_TOP_K(u, 5, 0.01) AS frequent",
    "ARRAY_AGG(u) AS users",
    "APPROX_TOP_K(u, 3) AS few_frequent",
    "TOP_K(u, 3) AS exact_frequent",
];
/// What the first estimate of frequent values may be off by, as a share of the rows; the second has counters for all.
const FREQUENT_ERROR: f64 = 0.01;
/// Which measure is to be near which, and how near.
const QUANTILES: [(&str, &str, f64); 3] =
    [("middle", "exact_middle", 0.01), ("high", "exact_high", 0.05), ("low", "exact_low", 0.01)];

fn window(frame: Frame) -> Window {
    let measure = |text: &&str| {
        let (value, name) = parse_measure(text).expect("a measure");
        Measure { name: name.expect("with a name"), value }
    };
    Window {
        name: Some("window".into()),
        topic: None,
        partition_by: vec![ColumnName::unquoted("k")],
        condition: None,
        frame,
        measures: MEASURES.iter().map(measure).collect(),
        reports: Reports::default(),
        emit: None,
        event_time: None,
    }
}

/// Rows of three keys, one of which is rare; values over many powers of ten, some of them NULL.
fn rows(count: i64) -> RecordBatch {
    let mut random = SplitMix64::new(4);
    let (mut keys, mut users, mut values) = (vec![], vec![], vec![]);
    for _ in 0..count {
        let rare = random.chance(10);
        keys.push([0, 0, 1, 1, 1, 2][random.below(if rare { 6 } else { 5 })]);
        users.push(random.chance(95).then(|| random.between(0, count / 3)));
        let size = 10_f64.powi(random.below(7) as i32 - 2);
        values.push(random.chance(97).then(|| size * random.between(1, 1_000) as f64));
    }
    let columns: [(&str, ArrayRef); 4] = [
        ("ts", Arc::new(Int64Array::from_iter_values(0..count))),
        ("k", Arc::new(Int64Array::from(keys))),
        ("u", Arc::new(Int64Array::from(users))),
        ("v", Arc::new(Float64Array::from(values))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// How many estimates were compared, and how many of them were not exact.
fn check_bounds(found: &RecordBatch) -> (usize, usize) {
    let integers = |name| found.column_by_name(name).expect("a measure").as_primitive::<Int64Type>();
    let floats = |name| found.column_by_name(name).expect("a measure").as_primitive::<Float64Type>();
    let (mut compared, mut estimated) = (0, 0);
    for (about, exact) in integers("about").values().iter().zip(integers("distinct_values").values()) {
        let error = (about - exact).abs() as f64;
        let bound = if *exact <= FEW_MAX { 0.0 } else { N_UNIQUE_ERROR * *exact as f64 };
        assert!(error <= bound, "{about} for {exact}");
        compared += 1;
        estimated += usize::from(*exact > FEW_MAX);
    }
    for (about, exact, bound) in QUANTILES {
        for (about, exact) in floats(about).iter().zip(floats(exact).iter()) {
            let (Some(about), Some(exact)) = (about, exact) else {
                assert_eq!(about, exact);
                continue;
            };
            assert!((about - exact).abs() <= bound * 1.000_001 * exact.abs(), "{about} for {exact}");
            compared += 1;
            estimated += usize::from(about != exact);
        }
    }
    let (compared_values, estimated_values) = check_frequent(found);
    (compared + compared_values, estimated + estimated_values)
}

/// Each of the values that are said to be frequent comes as often as the one that is by rights in its place, but for the error.
fn check_frequent(found: &RecordBatch) -> (usize, usize) {
    let list = |name: &str, row: usize| -> Vec<i64> {
        let lists = found.column_by_name(name).expect("a measure").as_list::<i32>();
        let lists: &dyn Array = lists;
        if lists.is_null(row) {
            vec![]
        } else {
            lists.as_list::<i32>().value(row).as_primitive::<Int64Type>().iter().flatten().collect()
        }
    };
    let (mut compared, mut estimated) = (0, 0);
    for row in 0..found.num_rows() {
        let users = list("users", row);
        let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
        users.iter().for_each(|user| *counts.entry(*user).or_default() += 1);
        let mut places: Vec<u64> = counts.values().copied().collect();
        places.sort_unstable_by(|left, right| right.cmp(left));
        let off = (FREQUENT_ERROR * users.len() as f64) as u64;
        let frequent = list("frequent", row);
        assert_eq!(frequent.len(), places.len().min(5), "as many as were asked for, if there are");
        for (user, by_rights) in frequent.iter().zip(&places) {
            assert!(counts[user] + off >= *by_rights, "{user}: {} for {by_rights}", counts[user]);
            compared += 1;
            estimated += usize::from(counts.len() > 200);
        }
        if counts.len() <= 2_000 {
            assert_eq!(list("few_frequent", row), list("exact_frequent", row));
        }
    }
    (compared, estimated)
}

fn aggregated(window: &Window, batch: &RecordBatch, how: Cut, threads: usize) -> RecordBatch {
    let table = Table::new(batch.schema(), cut(batch, how)).expect("pieces of one table");
    let options = MatchOptions {
        event_time: Some("ts".into()),
        threads: NonZeroUsize::new(threads),
        rows_a_thread_min: NonZeroUsize::new(1),
        ..MatchOptions::default()
    };
    let windows = aggregate_table(window, &table, &options).expect("nothing can fail");
    concat_batches(windows.schema(), windows.batches()).expect("one schema")
}

/// What an engine reports that is saved and restored between any two batches.
fn streamed(window: &Window, batch: &RecordBatch, rows: usize) -> ReferenceTable {
    let rules = || vec![RuleSpec::from(window.clone())];
    let options = EngineOptions { event_time: "ts".into(), lateness_ns: Some(0), ..EngineOptions::default() };
    let mut engine = Engine::new(rules(), options).expect("a rule that a stream can answer");
    let mut found = vec![];
    for piece in cut(batch, Cut::Every(rows)) {
        found.extend(engine.push(None, &[piece], None).expect("nothing can fail"));
        let blob = engine.snapshot().expect("states that can be written down");
        engine = Engine::restore(&blob, rules(), Some(2), None, None).expect("its own snapshot");
    }
    found.extend(engine.flush().expect("nothing can fail"));
    let batches: Vec<RecordBatch> = found.into_iter().map(|(_, table)| table.batch).collect();
    ReferenceTable::from_batches(&batches)
}

fn check(frame: Frame, count: i64, estimated_min: usize) {
    let (window, batch) = (window(frame), rows(count));
    let found = aggregated(&window, &batch, Cut::Whole, 1);
    let (compared, estimated) = check_bounds(&found);
    println!("{frame:?}: {compared} compared, {estimated} of them estimates");
    assert!(estimated >= estimated_min, "{estimated} estimates of {compared}");
    for (how, threads) in [(Cut::Every(97), 3), (Cut::Every(1_000), 2)] {
        assert_eq!(aggregated(&window, &batch, how, threads), found, "{frame:?} {how:?} {threads} threads");
    }
    let table = ReferenceTable::from_batches(&[found]);
    let reported = streamed(&window, &batch, count as usize / 3);
    table
        .check(&reported.columns, &reported.rows)
        .unwrap_or_else(|difference| panic!("{frame:?}: {difference}"));
}

#[test]
fn estimates_of_windows_that_end_are_near_and_do_not_depend_on_cuts() {
    check(Frame::Time { size_ns: 2_000, every_ns: 2_000, offset_ns: 0 }, 4_000, 15);
    check(Frame::Time { size_ns: 1_500, every_ns: 500, offset_ns: 0 }, 4_000, 50);
    check(Frame::Session { gap_ns: 12 }, 4_000, 20);
    check(Frame::Rows { rows: 800, every: 400 }, 4_000, 20);
}

#[test]
fn estimates_of_windows_that_slide_are_near_and_do_not_depend_on_cuts() {
    check(Frame::Range { preceding_ns: 800 }, 1_500, 1_500);
}
