//! Windows over long tables: on any number of threads, and as a stream however it is cut, saved and restored, the very same
//! output, floats to their last bit.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::DataType;
use cepheid_engine::{Engine, EngineOptions, MatchOptions, aggregate_table};
use cepheid_event::Table;
use cepheid_ir::Window;
use cepheid_matcher::threads::times_shared;
use cepheid_testkit::SplitMix64;
use cepheid_testkit::cuts::{Cut, cut};

/// Rows of few keys, some seconds apart or none; floats whose sums depend on the order of additions.
fn rows(random: &mut SplitMix64, count: usize) -> RecordBatch {
    let mut time = -1_000_000_000;
    let times: Vec<i64> = (0..count)
        .map(|_| {
            time += *random.choose(&[0, 0, 1, 1, 2, 40]) * 1_000_000;
            time
        })
        .collect();
    let keys: Int64Array = (0..count).map(|_| random.below(5) as i64).collect();
    let value = |random: &mut SplitMix64| {
        (random.below(1_000_003) as f64 - 500_000.0) / 7.0 * 10_f64.powi(random.below(9) as i32)
    };
    let values: Float64Array = (0..count).map(|_| (!random.chance(5)).then(|| value(random))).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("ts", Arc::new(TimestampMicrosecondArray::from(times))),
        ("key", Arc::new(keys)),
        ("x", Arc::new(values)),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn random_frame(random: &mut SplitMix64) -> String {
    let second = 1_000_000_000;
    let span = |random: &mut SplitMix64, most: usize| (1 + random.below(most)) as i64 * second;
    match random.below(5) {
        0 => {
            let size = span(random, 30);
            format!(r#"{{"time":{{"size_ns":{size},"every_ns":{}}}}}"#, size + span(random, 3) - second)
        }
        1 | 2 => {
            let every = span(random, 10);
            let (size, offset) = (every + span(random, 60), span(random, 50) % every);
            format!(r#"{{"time":{{"size_ns":{size},"every_ns":{every},"offset_ns":{offset}}}}}"#)
        }
        3 => format!(r#"{{"range":{{"preceding_ns":{}}}}}"#, span(random, 50) - second),
        _ => match random.below(3) {
            0 => format!(r#"{{"session":{{"gap_ns":{}}}}}"#, span(random, 20)),
            1 => format!(r#"{{"rows":{{"rows":{},"every":{}}}}}"#, 1 + random.below(30), 1 + random.below(9)),
            _ => format!(r#"{{"rows":{{"rows":{},"every":40}}}}"#, 1 + random.below(30)),
        },
    }
}

fn window(random: &mut SplitMix64) -> Window {
    let frame = random_frame(random);
    let by_key = random.chance(70);
    window_of(random, &frame, by_key)
}

fn window_of(random: &mut SplitMix64, frame: &str, by_key: bool) -> Window {
    let (x, key) = (r#"{"column":{"name":"x"}}"#, r#"{"column":{"name":"key"}}"#);
    let aggregate = |function: &str, args: &str| {
        format!(r#"{{"aggregate":{{"function":"{function}","args":[{args}]}}}}"#)
    };
    let mut values: Vec<String> =
        ["sum", "avg", "min", "max", "stddev", "var_pop", "count", "median", "array_agg"]
            .iter()
            .map(|function| aggregate(function, x))
            .collect();
    values.push(aggregate("top_k", &format!(r#"{key},{{"literal":{{"integer":3}}}}"#)));
    values.push(aggregate("ewma", &format!(r#"{x},{{"literal":{{"float":0.3}}}}"#)));
    values.push(aggregate("ewma", &format!(r#"{x},{{"literal":{{"interval":{{"nanoseconds":700}}}}}}"#)));
    values.push(r#"{"column":{"name":"x","at":{"anchor":"first"}}}"#.to_owned());
    values.push(r#"{"column":{"name":"x"}}"#.to_owned());
    let count = 1 + random.below(7);
    let chosen: Vec<String> = (0..count).map(|_| random.choose(&values).clone()).collect();
    window_with(frame, by_key, &chosen)
}

fn window_with(frame: &str, by_key: bool, values: &[String]) -> Window {
    let measure = |(place, value): (usize, &String)| format!(r#"{{"name":"v{place}","value":{value}}}"#);
    let measures: Vec<String> = values.iter().enumerate().map(measure).collect();
    let by = if by_key { r#""partition_by":[{"name":"key"}],"# } else { "" };
    let text = format!(
        r#"{{"cepheid_ir":1,"window":{{"name":"window",{by}"frame":{frame},"measures":[{}]}}}}"#,
        measures.join(",")
    );
    Window::from_json(&text).expect("a window")
}

/// Cells as text in which every bit of a float shows.
fn cells(batches: &[RecordBatch]) -> Vec<String> {
    let of_row = |batch: &RecordBatch, row: usize| {
        let cell = |column: &ArrayRef| match cepheid_eval::read_value(&column.slice(row, 1), 0) {
            cepheid_eval::Value::Float(value) => format!("{:016x}", value.to_bits()),
            other => format!("{other:?}"),
        };
        batch.columns().iter().map(cell).collect::<Vec<_>>().join(" ")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| of_row(batch, row))).collect()
}

fn streamed(window: &Window, batch: &RecordBatch, random: &mut SplitMix64) -> Vec<RecordBatch> {
    let most = *random.choose(&[3, 50, 700]);
    streamed_up_to(window, batch, most, random)
}

/// As a stream of so many rows at a time or fewer, which is saved and restored now and then.
fn streamed_up_to(
    window: &Window,
    batch: &RecordBatch,
    most: usize,
    random: &mut SplitMix64,
) -> Vec<RecordBatch> {
    let options = EngineOptions { event_time: "ts".into(), lateness_ns: Some(0), ..EngineOptions::default() };
    let mut engine = Engine::new(vec![window.clone()], options).expect("a rule");
    let (mut found, mut start) = (vec![], 0);
    while start < batch.num_rows() {
        let count = (1 + random.below(most)).min(batch.num_rows() - start);
        if random.chance(10) {
            let blob = engine.snapshot().expect("a snapshot");
            engine = Engine::restore(&blob, vec![window.clone()], None, None, None).expect("its own");
        }
        let derived = engine.push(None, &[batch.slice(start, count)], None).expect("good rows");
        found.extend(derived.into_iter().map(|(_, table)| table.batch));
        start += count;
    }
    found.extend(engine.flush().expect("the end").into_iter().map(|(_, table)| table.batch));
    found
}

fn streamed_by(window: &Window, batch: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    let options = EngineOptions { event_time: "ts".into(), lateness_ns: Some(0), ..EngineOptions::default() };
    let mut engine = Engine::new(vec![window.clone()], options).expect("a rule");
    let mut found = vec![];
    for start in (0..batch.num_rows()).step_by(rows) {
        let own = batch.slice(start, rows.min(batch.num_rows() - start));
        found.extend(engine.push(None, &[own], None).expect("good rows"));
    }
    found.extend(engine.flush().expect("the end"));
    found.into_iter().map(|(_, table)| table.batch).collect()
}

fn on_threads(threads: usize) -> MatchOptions {
    MatchOptions {
        event_time: Some("ts".into()),
        threads: NonZeroUsize::new(threads),
        rows_a_thread_min: NonZeroUsize::new(1),
        ..MatchOptions::default()
    }
}

/// One key has more rows than are seen to at a time, others few, and their numbers are far apart.
#[test]
fn windows_of_rows_that_are_put_together_by_key_are_those_of_a_stream() {
    let mut random = SplitMix64::new(6);
    let batch = rows(&mut random, 40_000);
    let key = |random: &mut SplitMix64| if random.chance(45) { 7 } else { 6 * random.below(500) as i64 };
    let keys: Int64Array = (0..batch.num_rows()).map(|_| key(&mut random)).collect();
    let mut columns = batch.columns().to_vec();
    columns[1] = Arc::new(keys);
    let batch = RecordBatch::try_new(batch.schema(), columns).expect("the same columns");
    let table = Table::new(batch.schema(), cut(&batch, Cut::Random(3))).expect("one table");
    let mut compared = 0;
    let of_x = |function| {
        format!(r#"{{"aggregate":{{"function":"{function}","args":[{{"column":{{"name":"x"}}}}]}}}}"#)
    };
    // The value of the row itself, too.
    let values = [of_x("sum"), of_x("stddev"), of_x("count"), r#"{"column":{"name":"x"}}"#.into()];
    for preceding in ["0", "50000000000", "9223372036854775807"] {
        let frame = format!(r#"{{"range":{{"preceding_ns":{preceding}}}}}"#);
        let window = window_with(&frame, true, &values);
        let expected = cells(&streamed_by(&window, &batch, 5_000));
        assert_eq!(expected.len(), 40_000);
        // Five threads cut the rows at times instead, where windows end at all: one key has more rows than each is to have.
        for threads in [1, 2, 5] {
            let found = aggregate_table(&window, &table, &on_threads(threads)).expect("good rows");
            assert!(cells(found.batches()) == expected, "{preceding} on {threads} threads");
            compared += 1;
        }
    }
    assert_eq!(compared, 9);
}

/// More windows end together than are told of at a time; most keys are in a few of the slices, and some in all.
#[test]
fn overlapping_windows_of_many_keys_are_those_that_rows_are_in() {
    let (size, every) = (13, 2);
    let mut random = SplitMix64::new(8);
    let mut time = 0;
    // (second, key)
    let events: Vec<(i64, i64)> = (0..30_000)
        .map(|row| {
            // Once nothing comes for longer than a window.
            time += if row == 20_000 { 40_000 } else { random.below(3) as i64 };
            let key = if random.chance(30) { random.below(40) } else { 40 + random.below(9_000) };
            (time / 1_000, key as i64)
        })
        .collect();
    // By the window's end: keys in the order of their first rows, with how many rows they have.
    let mut windows: BTreeMap<i64, (Vec<i64>, HashMap<i64, i64>)> = BTreeMap::new();
    for (second, key) in &events {
        let last = second.div_euclid(every) * every;
        for start in (0..).map(|back| last - back * every).take_while(|start| start + size > *second) {
            let (order, rows) = windows.entry(start + size).or_default();
            let known = rows.entry(*key).or_insert_with(|| {
                order.push(*key);
                0
            });
            *known += 1;
        }
    }
    let told = |end: &i64, key: &i64, rows: i64| (*key, (end - size) * 1_000_000, end * 1_000_000, rows);
    let expected: Vec<_> = windows
        .iter()
        .flat_map(|(end, (order, rows))| order.iter().map(move |key| told(end, key, rows[key])))
        .collect();
    assert!(expected.len() > 50_000 && windows.values().any(|(order, _)| order.len() > 4_096));
    let columns: [(&str, ArrayRef); 2] = [
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from_iter_values(events.iter().map(|row| row.0 * 1_000_000))),
        ),
        ("key", Arc::new(Int64Array::from_iter_values(events.iter().map(|row| row.1)))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let frame = format!(r#"{{"time":{{"size_ns":{size}000000000,"every_ns":{every}000000000}}}}"#);
    let count = r#"{"aggregate":{"function":"count","args":[]}}"#.to_owned();
    let window = window_with(&frame, true, &[count]);
    let rows_of = |batches: &[RecordBatch]| -> Vec<(i64, i64, i64, i64)> {
        let integers = |batch: &RecordBatch, column: usize| {
            let array = arrow_cast::cast(batch.column(column), &DataType::Int64).expect("integers");
            array.as_primitive::<Int64Type>().values().to_vec()
        };
        let of = |batch: &RecordBatch| {
            let [key, start, end, rows] = [0, 1, 2, 3].map(|column| integers(batch, column));
            (0..key.len()).map(|row| (key[row], start[row], end[row], rows[row])).collect::<Vec<_>>()
        };
        batches.iter().flat_map(of).collect()
    };
    let table = Table::new(batch.schema(), cut(&batch, Cut::Random(3))).expect("one table");
    for threads in [1, 2, 3] {
        let found = aggregate_table(&window, &table, &on_threads(threads)).expect("good rows");
        assert!(rows_of(found.batches()) == expected, "on {threads} threads");
    }
    for rows in [700, 9_000, 30_000] {
        assert!(rows_of(&streamed_by(&window, &batch, rows)) == expected, "as a stream, by {rows}");
    }
    assert!(
        rows_of(&streamed_up_to(&window, &batch, 1_000, &mut random)) == expected,
        "as a stream that is saved"
    );
}

/// What is reported in between, and what of that comes at one time, is put in order when the threads are done.
#[test]
fn windows_that_are_shared_by_key_come_in_the_order_of_one_thread() {
    let frames = [
        r#"{"session":{"gap_ns":1000000000}}"#,
        r#"{"session":{"gap_ns":30000000000}}"#,
        r#"{"rows":{"rows":7,"every":6}}"#,
        r#"{"rows":{"rows":9,"every":2}}"#,
    ];
    let mut random = SplitMix64::new(5);
    let batch = rows(&mut random, 50_000);
    let table = Table::new(batch.schema(), vec![batch.clone()]).expect("one table");
    let mut compared = 0;
    for frame in frames {
        let window = window_of(&mut random, frame, true);
        let one = aggregate_table(&window, &table, &on_threads(1)).expect("good rows");
        let expected = cells(one.batches());
        let before = times_shared();
        for threads in [2, 3, 8] {
            let several = aggregate_table(&window, &table, &on_threads(threads)).expect("good rows");
            assert!(cells(several.batches()) == expected, "{frame} on {threads} threads");
            compared += 1;
        }
        assert!(times_shared() >= before + 3, "{frame} is not shared");
        assert!(expected.len() > 4_000, "{frame}: {} windows", expected.len());
    }
    assert_eq!(compared, 12);
}

#[test]
fn output_is_the_same_on_threads_and_in_streams_to_the_last_bit() {
    let cases: u64 = if std::env::var_os("CEPHEID_DEEP").is_some() { 4_000 } else { 250 };
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut windows, mut shared) = (0, 0);
    for seed in base..base + cases {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 21);
        let window = window(&mut random);
        let count = 50 + random.below(700);
        let batch = rows(&mut random, count);
        let place = format!("seed {seed}: {}", window.to_json());
        let table = |how| Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
        let one = aggregate_table(&window, &table(Cut::Whole), &on_threads(1)).expect("good rows");
        let expected = cells(one.batches());
        let before = times_shared();
        let several = aggregate_table(&window, &table(Cut::Random(seed)), &on_threads(2 + seed as usize % 4));
        shared += u64::from(times_shared() > before);
        assert!(cells(several.expect("good rows").batches()) == expected, "on threads, {place}");
        assert!(cells(&streamed(&window, &batch, &mut random)) == expected, "as a stream, {place}");
        windows += expected.len();
    }
    println!("{windows} windows, {shared} of {cases} shared among threads");
    assert!(windows as u64 > cases * 40 && shared * 100 > cases * 80, "{windows} windows, {shared} shared");
}
