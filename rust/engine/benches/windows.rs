//! Windows over a table: rows a second by frame, and how the cost goes with overlap and keys.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampNanosecondArray};
use cepheid_engine::{MatchOptions, aggregate_table};
use cepheid_event::Table;
use cepheid_ir::{
    Aggregate, AggregateFunction, ColumnName, Early, Empty, Expr, Frame, Reports, Window, pattern::Measure,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SECOND: i64 = 1_000_000_000;
const ROWS: usize = 1_000_000;

/// Numbers that look random and are the same every time (splitmix64).
fn noise(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 5,000 rows a second; one in `late` of them up to 30 seconds behind.
fn payments(rows: usize, keys: u64, late: Option<u64>) -> Table {
    let behind = |row: u64| match late {
        Some(late) if noise(row ^ 0x77).is_multiple_of(late) => {
            (noise(row ^ 0x99) % 30_000) as i64 * 1_000_000
        }
        _ => 0,
    };
    let times = (0..rows as u64).map(|row| 1_700_000_000 * SECOND + row as i64 * 200_000 - behind(row));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ts", Arc::new(TimestampNanosecondArray::from_iter_values(times))),
        (
            "key",
            Arc::new(Int64Array::from_iter_values((0..rows as u64).map(|row| (noise(row) % keys) as i64))),
        ),
        (
            "amount",
            Arc::new(Float64Array::from_iter_values(
                (0..rows as u64).map(|row| (noise(row ^ 0xABCD) % 9700) as f64 / 10.0),
            )),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Table::new(batch.schema(), vec![batch]).expect("a table")
}

fn window(frame: Frame, functions: &[AggregateFunction]) -> Window {
    let measure = |function: &AggregateFunction| {
        let args = if *function == AggregateFunction::Count { vec![] } else { vec![Expr::column("amount")] };
        let aggregate = Aggregate {
            function: *function,
            args,
            distinct: false,
            variable: None,
            semantics: Default::default(),
            tested_row: Default::default(),
        };
        Measure { name: function.name().to_owned(), value: Expr::Aggregate(aggregate) }
    };
    Window {
        name: None,
        topic: None,
        partition_by: vec![ColumnName { name: "key".into(), quoted: false }],
        condition: None,
        frame,
        measures: functions.iter().map(measure).collect(),
        reports: Reports::default(),
        emit: None,
        event_time: None,
    }
}

fn options() -> MatchOptions {
    MatchOptions { event_time: Some("ts".into()), ..MatchOptions::default() }
}

use AggregateFunction::{Avg, Count, Max, Min, StddevSamp, Sum};
const SIX: [AggregateFunction; 6] = [Count, Sum, Avg, Min, Max, StddevSamp];

fn time(size: i64, every: i64) -> Frame {
    Frame::Time { size_ns: size, every_ns: every, offset_ns: 0 }
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("windows");
    group.sample_size(10).throughput(Throughput::Elements(ROWS as u64));
    let (in_order, late) = (payments(ROWS, 10_000, None), payments(ROWS, 10_000, Some(20)));
    for (name, table, window) in [
        ("tumble", &in_order, window(time(10 * SECOND, 10 * SECOND), &SIX)),
        ("hop", &in_order, window(time(60 * SECOND, 5 * SECOND), &SIX)),
        ("range", &in_order, window(Frame::Range { preceding_ns: 600 * SECOND }, &[Sum, Avg, Min, Max])),
        ("tumble_late", &late, window(time(10 * SECOND, 10 * SECOND), &SIX)),
        ("session", &in_order, window(Frame::Session { gap_ns: SECOND }, &SIX)),
        ("by_rows", &in_order, window(Frame::Rows { rows: 100, every: 100 }, &SIX)),
    ] {
        group.bench_function(name, |bencher| {
            let windows = aggregate_table(&window, table, &options()).expect("windows").num_rows();
            println!("{name}: {windows} windows");
            bencher.iter(|| aggregate_table(black_box(&window), table, &options()).expect("windows"));
        });
    }
}

/// What more reports cost: one each second, so ten a window, and those of windows without rows.
fn reported(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("windows_reported");
    group.sample_size(10).throughput(Throughput::Elements(ROWS as u64));
    let (few, many) = (payments(ROWS, 100, None), payments(ROWS, 10_000, None));
    let early = Reports { early: Some(Early::EveryNs(SECOND)), ..Reports::default() };
    let empty = Reports { empty: Some(Empty { for_ns: Some(60 * SECOND) }), ..Reports::default() };
    for (name, table, reports) in [
        ("few_keys", &few, Reports::default()),
        ("few_keys_early", &few, early),
        ("many_keys", &many, Reports::default()),
        ("many_keys_early", &many, early),
        ("many_keys_empty", &many, empty),
    ] {
        let window = Window { reports, ..window(time(10 * SECOND, 10 * SECOND), &SIX) };
        group.bench_function(name, |bencher| {
            let windows = aggregate_table(&window, table, &options()).expect("windows").num_rows();
            println!("{name}: {windows} reports");
            bencher.iter(|| aggregate_table(black_box(&window), table, &options()).expect("windows"));
        });
    }
}

/// Flat in how many windows a row is in: only rows and windows that are told of cost.
fn overlap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("windows_overlap");
    group.sample_size(10).throughput(Throughput::Elements(ROWS as u64));
    let table = payments(ROWS, 100, None);
    for overlap in [1, 10, 100, 1000] {
        let window = window(time(overlap * SECOND, SECOND), &SIX);
        group.bench_with_input(BenchmarkId::from_parameter(overlap), &window, |bencher, window| {
            bencher.iter(|| aggregate_table(black_box(window), &table, &options()).expect("windows"));
        });
    }
}

criterion_group!(benches, frames, reported, overlap);
criterion_main!(benches);
