//! The generator of windows makes what it promises, and enough of it to be worth running; and what windows are, said in
//! another way.

use std::collections::BTreeMap;

use cepheid_ir::{AggregateFunction, Expr, Frame, Measure, Reports, Window};
use cepheid_testkit::generate_streams::{StreamShape, random_stream};
use cepheid_testkit::generate_windows::{WindowKnobs, frame_kind, random_window};
use cepheid_testkit::{ReferenceError, SplitMix64, WindowRow, reference_windows, window_table};

const SEEDS: u64 = 2_000;

#[test]
fn a_sample_holds_every_frame_and_function_and_reports_enough() {
    let (mut frames, mut functions) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    let mut outcomes = BTreeMap::<&str, u64>::new();
    let mut count = |name| *outcomes.entry(name).or_default() += 1;
    for seed in 0..SEEDS {
        let mut random = SplitMix64::new(seed);
        let two_topics = seed % 3 == 0;
        let knobs = if two_topics { WindowKnobs::STREAM } else { WindowKnobs::ALL };
        let window = random_window(&mut random, knobs);
        let null_times = seed % 20 == 0;
        let stream =
            random_stream(&mut random, StreamShape { two_topics, null_times, ..StreamShape::default() });
        let found = match reference_windows(&window, &stream.to_input()) {
            Ok(found) => found,
            Err(ReferenceError::NullTime { .. }) if null_times => {
                count("without a time");
                continue;
            }
            Err(ReferenceError::DivisionByZero) if knobs.errors => {
                count("division by zero");
                continue;
            }
            Err(error) => panic!("seed {seed}: {error}\n{window:?}"),
        };
        let longest = found.iter().map(|row| row.rows.len()).max().unwrap_or(0);
        count(match longest {
            0 => "no window",
            1 => "windows of one row",
            _ => "windows of several rows",
        });
        if longest > 1 {
            *frames.entry(frame_kind(window.frame)).or_default() += 1;
            for measure in &window.measures {
                measure.value.walk(&mut |expr| {
                    if let Expr::Aggregate(aggregate) = expr {
                        *functions.entry(aggregate.function.name()).or_default() += 1;
                        *functions.entry("distinct").or_default() += u64::from(aggregate.distinct);
                    }
                });
            }
        }
    }
    println!("{outcomes:?}\n{frames:?}\n{functions:?}");
    assert!(frames.len() == 8 && frames.values().all(|n| *n >= 80), "{frames:?}");
    let exact = AggregateFunction::ALL.iter().filter(|function| !function.is_approximate()).count() - 1;
    assert!(functions.len() == exact + 1, "{functions:?}");
    assert!(functions.values().all(|n| *n >= 60), "{functions:?}");
    assert!(outcomes["windows of several rows"] * 100 >= SEEDS * 65, "{outcomes:?}");
    assert!(outcomes["division by zero"] >= 20 && outcomes["without a time"] >= 20, "{outcomes:?}");
}

#[test]
fn the_same_seed_makes_the_same_window() {
    let mut topics = 0;
    for seed in 0..100 {
        let (mut left, mut right) = (SplitMix64::new(seed), SplitMix64::new(seed));
        let window = random_window(&mut left, WindowKnobs::STREAM);
        assert_eq!(window, random_window(&mut right, WindowKnobs::STREAM));
        assert_eq!(Window::from_json(&window.to_json()), Ok(window.clone()));
        topics += usize::from(window.topic.is_some());
    }
    assert!(topics > 30, "only {topics} of one topic");
}

fn members(found: &[WindowRow]) -> Vec<Vec<(usize, usize)>> {
    found.iter().map(|row| row.rows.clone()).collect()
}

/// The windows that frames make of the rows of a random stream, all else being equal.
fn of_frames(seed: u64, frames: &[Frame]) -> Vec<Vec<WindowRow>> {
    let mut random = SplitMix64::new(seed);
    let window = random_window(&mut random, WindowKnobs { errors: false, ..WindowKnobs::ALL });
    let input = random_stream(&mut random, StreamShape::default()).to_input();
    let window = Window { reports: Reports::default(), ..window };
    let of = |frame: &Frame| reference_windows(&Window { frame: *frame, ..window.clone() }, &input);
    frames.iter().map(|frame| of(frame).expect("nothing can fail")).collect()
}

/// Whether two windows are one, though NaN does not equal itself in Rust.
fn same(left: &WindowRow, right: &WindowRow) -> bool {
    let values = left.values.iter().zip(&right.values);
    (&left.key, left.bounds, &left.rows) == (&right.key, right.bounds, &right.rows)
        && values.len() == right.values.len()
        && values.into_iter().all(|(left, right)| left.is_same(right))
}

#[test]
fn frames_agree_where_they_say_the_same() {
    const MINUTE: i64 = 60_000_000_000;
    let (mut windows, mut same_time) = (0, 0);
    for seed in 0..500 {
        let found = of_frames(
            seed,
            &[
                Frame::Rows { rows: 1, every: 1 },
                Frame::Time { size_ns: 2 * MINUTE, every_ns: 2 * MINUTE, offset_ns: 0 },
                Frame::Time { size_ns: 4 * MINUTE, every_ns: MINUTE, offset_ns: 0 },
                Frame::Session { gap_ns: 1 },
                Frame::Time { size_ns: 1, every_ns: 1, offset_ns: 0 },
                Frame::Range { preceding_ns: 0 },
            ],
        );
        let [each, tumbling, hopping, sessions, instants, ranges] = found.try_into().expect("six frames");
        // Every row is a window by itself, in one tumbling window, and in as many hopping ones as there begin in one.
        let mut rows: Vec<(usize, usize)> = each.iter().flat_map(|row| row.rows.clone()).collect();
        assert_eq!(each.len(), rows.len());
        rows.sort_unstable();
        let mut tumbled: Vec<(usize, usize)> = members(&tumbling).concat();
        tumbled.sort_unstable();
        assert_eq!(tumbled, rows);
        let mut hopped: Vec<(usize, usize)> = members(&hopping).concat();
        hopped.sort_unstable();
        assert!(
            hopped.chunks(4).map(|four| four[0]).eq(rows.iter().copied()) && hopped.len() == 4 * rows.len()
        );
        // Sessions that a nanosecond ends, windows of a nanosecond and ranges that reach back nowhere: equal times.
        assert!(sessions.len() == instants.len() && sessions.iter().zip(&instants).all(|(l, r)| same(l, r)));
        let mut of_ranges = members(&ranges);
        assert_eq!(of_ranges.len(), rows.len());
        of_ranges.sort();
        of_ranges.dedup();
        let mut of_instants = members(&instants);
        of_instants.sort();
        assert_eq!(of_ranges, of_instants);
        windows += rows.len();
        same_time += rows.len() - instants.len();
    }
    assert!(windows > 2_000 && same_time > 300, "{windows} windows, {same_time} rows of equal time");
}

#[test]
fn the_table_has_the_columns_of_the_window() {
    let mut ranges = 0;
    for seed in 0..200 {
        let mut random = SplitMix64::new(seed);
        let window = random_window(&mut random, WindowKnobs { errors: false, ..WindowKnobs::ALL });
        let input = random_stream(&mut random, StreamShape::default()).to_input();
        let table = window_table(&window, &input).expect("nothing can fail");
        let mut columns: Vec<&str> = window.partition_by.iter().map(|column| column.name.as_str()).collect();
        match window.frame {
            Frame::Range { .. } => columns.push("ts"),
            _ => columns.extend(["window_start", "window_end"]),
        }
        columns.extend(window.reports.have_timing().then_some("window_timing"));
        columns.extend(window.measures.iter().map(|Measure { name, .. }| name.as_str()));
        assert_eq!(table.columns, columns);
        assert!(table.rows.iter().all(|row| row.len() == columns.len()));
        ranges += usize::from(!window.frame.has_bounds());
    }
    assert!(ranges > 10, "only {ranges} ranges");
}
