//! Aggregates of the user's own, written in Rust: random windows over random tables and streams, against what the engine's own
//! aggregates say of the same rows. Joining text does not commute, so that an order that is not the rows' would show.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;
use cepheid_engine::{
    AskedWindow, Engine, EngineError, EngineOptions, Fault, MatchOptions, UserAggregate, UserAggregates,
    aggregate_table, aggregate_table_with,
};
use cepheid_event::Table;
use cepheid_ir::{Aggregate, AggregateFunction, Expr, Literal, Measure, Semantics, TestedRow, Window};
use cepheid_sql::parse_measure;
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_streams::{EVENT_TIME, StreamShape, random_stream};
use cepheid_testkit::generate_windows::{WindowKnobs, frame_kind, random_window};

/// The values as text, one behind the other.
#[derive(Debug)]
struct Listed;

impl UserAggregate for Listed {
    fn state_type(&self) -> &DataType {
        &DataType::Utf8
    }

    fn lift(&self, args: &[ArrayRef]) -> Result<ArrayRef, Fault> {
        assert_eq!(args[0].null_count(), 0, "rows without a value are passed over");
        cast(&args[0], &DataType::Utf8).map_err(|error| Fault(Arc::new(error)))
    }

    fn join(&self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef, Fault> {
        let (left, right) = (left.as_string::<i32>(), right.as_string::<i32>());
        let both = left.iter().zip(right).map(|(left, right)| Some(format!("{},{}", left?, right?)));
        Ok(Arc::new(both.collect::<StringArray>()))
    }

    fn finish(&self, states: &ArrayRef) -> Result<ArrayRef, Fault> {
        Ok(Arc::clone(states))
    }
}

/// Gives too few answers.
#[derive(Debug)]
struct Short;

impl UserAggregate for Short {
    fn state_type(&self) -> &DataType {
        &DataType::Utf8
    }

    fn lift(&self, args: &[ArrayRef]) -> Result<ArrayRef, Fault> {
        Listed.lift(args)
    }

    fn join(&self, left: &ArrayRef, _: &ArrayRef) -> Result<ArrayRef, Fault> {
        Ok(left.slice(0, left.len() - 1))
    }

    fn finish(&self, _: &ArrayRef) -> Result<ArrayRef, Fault> {
        Err(Fault::of("nobody knows"))
    }
}

fn aggregates() -> UserAggregates {
    let mut known = UserAggregates::default();
    known.add("listed", Arc::new(Listed));
    known.add("short", Arc::new(Short));
    known
}

/// The same window, asked for the user's aggregate of `v` and for the engine's list of those that are not NULL.
fn asked(mut window: Window, name: &str) -> [Window; 2] {
    let of = |text: &str| parse_measure(text).expect("a measure").0;
    let user = of(&format!("USER_DEFINED(v, '{name}', CAST(NULL AS VARCHAR))"));
    let known = of("v IS NOT NULL");
    window.condition = Some(match window.condition.take() {
        Some(condition) => Expr::And(vec![condition, known]),
        None => known,
    });
    [user, of("ARRAY_AGG(v)")].map(|value| {
        let measures = vec![Measure { name: "value".into(), value }];
        let asked = Window { measures, ..window.clone() }.normalise();
        asked.validate().expect("a window that can be");
        asked
    })
}

fn all_told(windows: &Table) -> Vec<String> {
    windows.batches().iter().flat_map(told).collect()
}

/// What windows say: all columns but the last as text, and the last as values with commas between them.
fn told(batch: &RecordBatch) -> Vec<String> {
    let (last, columns) = batch.columns().split_last().expect("a measure");
    let text = |column: &ArrayRef, row: usize| {
        arrow_cast::display::array_value_to_string(column, row).expect("values have a text")
    };
    let listed = |row: usize| match last.data_type() {
        DataType::List(_) if last.is_null(row) => String::new(),
        DataType::List(_) => {
            let values = last.as_list::<i32>().value(row);
            (0..values.len()).map(|row| text(&values, row)).collect::<Vec<_>>().join(",")
        }
        _ => text(last, row),
    };
    let row = |row: usize| {
        let own = columns.iter().map(|column| text(column, row));
        own.chain([listed(row)]).collect::<Vec<_>>().join(" | ")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// What a stream of a table's rows says of a window, cut anywhere, saved and restored.
fn streamed(
    window: &Window,
    batch: &RecordBatch,
    random: &mut SplitMix64,
) -> Result<Vec<String>, EngineError> {
    let rule = || vec![AskedWindow { window: window.clone(), aggregates: aggregates() }];
    let options =
        EngineOptions { event_time: EVENT_TIME.into(), lateness_ns: Some(0), ..EngineOptions::default() };
    let mut engine = Engine::new(rule(), options)?;
    let (mut first, mut found) = (0, vec![]);
    while first < batch.num_rows() {
        let rows = (1 + random.below(6)).min(batch.num_rows() - first);
        found.extend(engine.push(None, &[batch.slice(first, rows)], None)?);
        first += rows;
        if random.chance(20) {
            engine = Engine::restore(&engine.snapshot()?, rule(), None, None, None)?;
        }
    }
    found.extend(engine.flush()?);
    Ok(found.iter().flat_map(|(_, table)| told(&table.batch)).collect())
}

#[test]
fn what_the_user_defines_is_said_of_the_rows_of_every_window_in_their_order() {
    let cases: u64 = if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 600 };
    let (mut frames, mut windows, mut several) = (BTreeMap::<&str, u64>::new(), 0, 0);
    for seed in 0..cases {
        let mut random = SplitMix64::new(seed ^ 0xA66);
        let knobs = WindowKnobs { errors: false, ..WindowKnobs::ALL };
        let [user, own] = asked(random_window(&mut random, knobs), "listed");
        let shape = StreamShape { disorder: false, ..StreamShape::default() };
        let batch =
            random_stream(&mut random, shape).topics[0].1.to_batch().expect("cells fit their columns");
        let table = Table::new(batch.schema(), vec![batch.clone()]).expect("one batch");
        let options = MatchOptions {
            event_time: Some(EVENT_TIME.into()),
            threads: NonZeroUsize::new(1 + random.below(3)),
            rows_a_thread_min: NonZeroUsize::new(1),
            ..MatchOptions::default()
        };
        let expected = all_told(&aggregate_table(&own, &table, &options).expect("no errors"));
        let found = aggregate_table_with(&user, &aggregates(), &table, &options).expect("no errors");
        assert_eq!(all_told(&found), expected, "seed {seed}: {}", user.to_json());
        let stream = streamed(&user, &batch, &mut random).expect("no errors");
        assert_eq!(stream, expected, "seed {seed}, in a stream: {}", user.to_json());
        *frames.entry(frame_kind(user.frame)).or_default() += u64::from(!expected.is_empty());
        windows += expected.len();
        several += expected.iter().filter(|row| row.contains(',')).count();
    }
    println!("{windows} windows, {several} of several rows; {frames:?}");
    assert!(frames.len() == 8 && frames.values().all(|ran| ran * 100 >= cases * 5), "{frames:?}");
    assert!(several as u64 > cases * 2);
}

#[test]
fn what_is_no_answer_is_an_error_and_changes_nothing() {
    let batch = {
        let mut random = SplitMix64::new(7);
        let shape = StreamShape { disorder: false, ..StreamShape::default() };
        random_stream(&mut random, shape).topics[0].1.to_batch().expect("cells fit their columns")
    };
    let window = |name: &str| {
        let text = r#"{"cepheid_ir":1,"window":{"name":"w","frame":{"rows":{"rows":3,"every":3}},"measures":
            [{"name":"n","value":{"aggregate":{"function":"count","semantics":"final"}}}]}}"#;
        let [user, _] = asked(Window::from_json(text).expect("a window"), name);
        user
    };
    let rule = |name: &str| vec![AskedWindow { window: window(name), aggregates: aggregates() }];
    let options =
        || EngineOptions { event_time: EVENT_TIME.into(), lateness_ns: Some(0), ..EngineOptions::default() };
    let mut engine = Engine::new(rule("short"), options()).expect("a rule");
    let before = engine.snapshot().expect("a snapshot");
    let error = engine.push(None, std::slice::from_ref(&batch), None).expect_err("too few");
    assert_eq!(engine.snapshot().expect("a snapshot"), before);
    assert_eq!(error.code(), "aggregate-failed");
    assert!(error.to_string().contains("combine gave"), "{error}");
    let mut unknown = Engine::new(rule("nothing"), options()).expect("known by its name alone");
    let before = unknown.snapshot().expect("a snapshot");
    let error = unknown.push(None, &[batch], None).expect_err("nobody knows it");
    assert_eq!(error.code(), "invalid-call", "{error}");
    assert_eq!(unknown.snapshot().expect("a snapshot"), before);
}

#[test]
fn its_last_arguments_are_a_name_and_a_type() {
    let of = |args: Vec<Expr>| {
        let aggregate = Aggregate {
            function: AggregateFunction::UserDefined,
            args,
            distinct: false,
            variable: None,
            semantics: Semantics::Final,
            tested_row: TestedRow::Included,
        };
        let text = r#"{"cepheid_ir":1,"window":{"frame":{"rows":{"rows":3,"every":3}},"measures":
            [{"name":"n","value":{"aggregate":{"function":"count","semantics":"final"}}}]}}"#;
        let mut window = Window::from_json(text).expect("a window");
        window.measures[0].value = Expr::Aggregate(aggregate);
        window.validate()
    };
    let null = || parse_measure("CAST(NULL AS BIGINT)").expect("an expression").0;
    let (v, name) = (|| Expr::column("v"), || Expr::literal("listed"));
    assert!(of(vec![v(), name(), null()]).is_ok());
    for args in [
        vec![v(), null(), name()],
        vec![v(), name(), Expr::Literal(Literal::Null)],
        vec![v(), v(), null()],
        vec![name(), null()],
    ] {
        assert!(of(args.clone()).is_err(), "{args:?}");
    }
}
