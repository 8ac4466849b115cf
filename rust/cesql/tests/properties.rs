//! What holds of all expressions: text and back, columns as rows, and no text that makes a panic.

use std::cell::Cell;
use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    StringViewArray,
};
use arrow_schema::{Field, Schema};
use cepheid_cesql::{Attributes, Filter, Reading, Value, parse, unparse, whole};
use proptest::prelude::*;

mod random_expressions;

use random_expressions::{NAMES, bare_expressions, expressions};

/// A row of the six attributes of `NAMES`.
#[derive(Clone, Debug)]
struct Row {
    subject: Option<String>,
    region: Option<String>,
    priority: Option<i32>,
    express: Option<bool>,
    id: Option<String>,
    counter: Option<i64>,
}

impl Attributes for Row {
    fn read(&self, place: usize) -> Reading<'_> {
        let text = |text: &Option<String>| text.clone().map(|text| Value::String(text.into()));
        let value = match NAMES[place] {
            "subject" => text(&self.subject),
            "region" => text(&self.region),
            "priority" => self.priority.map(Value::Integer),
            "express" => self.express.map(Value::Boolean),
            "id" => text(&self.id),
            _ => self.counter.map(whole),
        };
        value.map_or(Reading::Missing, Reading::Value)
    }
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = prop::sample::select(&["", "a", "ab", "aß", "true", "FALSE", "5", "-5", "%", "b_"][..]);
    let text = || prop::option::of(text.clone().prop_map(String::from));
    let row = (
        text(),
        text(),
        prop::option::of(prop_oneof![-3..4i32, Just(i32::MAX)]),
        prop::option::of(any::<bool>()),
        text(),
        prop::option::of(prop_oneof![-3..4i64, Just(5_000_000_000)]),
    )
        .prop_map(|(subject, region, priority, express, id, counter)| Row {
            subject,
            region,
            priority,
            express,
            id,
            counter,
        });
    prop::collection::vec(row, 0..12)
}

fn batch(rows: &[Row]) -> RecordBatch {
    let dictionary: DictionaryArray<Int8Type> = rows.iter().map(|row| row.region.as_deref()).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.subject.as_deref()).collect::<StringArray>()),
        Arc::new(dictionary),
        Arc::new(rows.iter().map(|row| row.priority).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| row.express).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.id.as_deref()).collect::<StringViewArray>()),
        Arc::new(rows.iter().map(|row| row.counter).collect::<Int64Array>()),
    ];
    let fields: Vec<_> = NAMES
        .iter()
        .zip(&columns)
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// No attribute at all.
struct Missing;

impl Attributes for Missing {
    fn read(&self, _: usize) -> Reading<'_> {
        Reading::Missing
    }
}

#[test]
fn text_made_of_an_expression_reads_back_as_it() {
    let ran = Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&expressions(), |expression| {
            let text = unparse(&expression);
            let again = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            prop_assert_eq!(&again, &expression, "{}", text);
            ran.set(ran.get() + 1);
            Ok(())
        })
        .unwrap();
    assert_eq!(ran.get(), 256);
}

#[test]
fn a_filter_selects_the_rows_of_which_the_expression_is_true_without_error() {
    let (rows_seen, passed, erred) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() };
    let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    proptest::test_runner::TestRunner::new_with_rng(config, rng)
        .run(&(bare_expressions(), rows()), |(expression, rows)| {
            let mut errors = 0;
            let mut expected = Vec::new();
            for row in &rows {
                let found = expression.evaluate(row);
                errors += u64::from(!found.errors.is_empty());
                expected.push(found.errors.is_empty() && found.value == Value::Boolean(true));
            }
            let mask = Filter::new(&expression).mask(&batch(&rows));
            prop_assert_eq!(mask.errors, errors, "{}", unparse(&expression));
            rows_seen.set(rows_seen.get() + rows.len());
            passed.set(passed.get() + expected.iter().filter(|passes| **passes).count());
            erred.set(erred.get() + errors);
            prop_assert_eq!(mask.selected, BooleanArray::from(expected), "{}", unparse(&expression));
            Ok(())
        })
        .unwrap();
    // Enough of each that a filter that is wrong of one of them would be seen.
    let seen = (rows_seen.get(), passed.get(), erred.get());
    assert!(seen.0 > 10_000 && seen.1 > 1_000 && seen.2 > 2_000, "{seen:?}");
}

#[test]
fn no_text_makes_a_panic() {
    const PIECES: &[&str] = &[
        "(",
        ")",
        "'",
        "\"",
        "\\",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "=",
        "!=",
        "<>",
        "<",
        ">=",
        "AND ",
        "OR ",
        "XOR ",
        "NOT ",
        "LIKE ",
        "IN ",
        "EXISTS ",
        "TRUE ",
        "5",
        "2147483648",
        "a",
        "a_",
        "LEFT(",
        "é",
        "𝄞",
        "\n",
        "\u{0}",
        " ",
        "'a%'",
        "!",
        ";",
    ];
    let read = Cell::new(0);
    let piece = || prop::sample::select(PIECES);
    let pieces = prop::collection::vec(piece(), 0..14).prop_map(|pieces| pieces.concat());
    // Texts that were expressions, with something put in place of something.
    let spoilt = (bare_expressions(), piece(), any::<prop::sample::Index>(), 0..4usize).prop_map(
        |(expression, piece, at, length)| {
            let text: Vec<char> = unparse(&expression).chars().collect();
            let (before, rest) = text.split_at(at.index(text.len() + 1));
            let after = rest.iter().skip(length);
            before.iter().copied().chain(piece.chars()).chain(after.copied()).collect::<String>()
        },
    );
    let texts = prop_oneof![pieces, spoilt, any::<String>()];
    let config = ProptestConfig { cases: 9_000, failure_persistence: None, ..ProptestConfig::default() };
    let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    proptest::test_runner::TestRunner::new_with_rng(config, rng)
        .run(&texts, |text| {
            match parse(&text) {
                Ok(expression) => {
                    read.set(read.get() + 1);
                    expression.evaluate(&Missing);
                    let again = unparse(&expression);
                    prop_assert_eq!(parse(&again), Ok(expression), "{} as {}", text, again);
                }
                Err(error) => {
                    let span = error.span();
                    prop_assert!(text.get(span.clone()).is_some(), "{:?} of {:?}", span, text);
                    prop_assert!(error.to_string().contains('^'));
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(read.get() > 500, "only {} texts were expressions", read.get());
}
