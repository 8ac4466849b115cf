//! Rules without keys whose conditions are told by constants, beside others: of many rows and of few, under a limit on memory
//! and without one, together and alone, and after a call that failed, they find what they should.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray};
use cepheid_engine::{DerivedTable, Engine, EngineError, EngineOptions, LatePolicy};
use cepheid_ir::{OutputColumns, Pattern};
use cepheid_testkit::SplitMix64;

/// Codes that rows have.
const CODES: usize = 60;

/// Rules by number: most have two constants of their own, some the same ones, some more than constants, some a key.
fn rule(number: usize) -> Pattern {
    let (one, other) = (number % 40, (number * 7 + 1) % 40);
    let partition = if number % 9 == 4 { "PARTITION BY key" } else { "" };
    let (steps, conditions) = match number % 6 {
        0 => ("(a -> b)", format!("a AS code = {one}, b AS code = {other}")),
        1 => ("(a ->> b)", format!("a AS code = {one}, b AS code IN ({other}, {one})")),
        2 => (
            "(a -> b -> c)",
            format!("a AS code = {one}, b AS code = {other}, c AS code IN ({one}, {other})"),
        ),
        3 => ("(a -> b)", format!("a AS code = {one} AND key > 2, b AS code = {other}")),
        4 => ("(a -> b)", format!("a AS code = {one}, b AS code = {one}")),
        _ => ("(a -> b)", format!("a AS code = {one}, b AS key = {}", number % 5)),
    };
    let text = format!(
        "SELECT * FROM t MATCH_RECOGNIZE ({partition} ORDER BY ts MEASURES a.n AS first_row, b.n AS second_row
         AFTER MATCH SKIP TO NEXT ROW PATTERN {steps} WITHIN INTERVAL '1' SECOND DEFINE {conditions})"
    );
    let mut pattern = cepheid_sql::parse_pattern(&text).expect("a pattern");
    pattern.output = OutputColumns::Derived;
    Pattern { name: Some(format!("rule{number}")), ..pattern }
}

fn engine(rules: &[usize], memory_limit: Option<usize>) -> Engine {
    let options = EngineOptions {
        event_time: "ts".into(),
        lateness_ns: Some(0),
        late: LatePolicy::Drop,
        memory_limit,
        ..EngineOptions::default()
    };
    Engine::new(rules.iter().map(|number| rule(*number)).collect(), options).expect("rules")
}

fn table(rows: usize, random: &mut SplitMix64) -> RecordBatch {
    let mut at = 0;
    let times: Vec<i64> = (0..rows)
        .map(|_| {
            at += random.below(20_000_000) as i64;
            at
        })
        .collect();
    let codes: Vec<i64> = (0..rows).map(|_| random.below(CODES) as i64).collect();
    let keys: Vec<i64> = (0..rows).map(|_| random.below(100) as i64).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("ts", Arc::new(TimestampNanosecondArray::from(times))),
        ("n", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("code", Arc::new(Int64Array::from(codes))),
        ("key", Arc::new(Int64Array::from(keys))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// The first and the second row of each match, and the rows of all, by rule.
type Found = BTreeMap<String, (Vec<(i64, i64)>, Vec<i64>)>;

fn add(found: &mut Found, derived: Vec<(String, DerivedTable)>) {
    for (topic, table) in derived {
        let (matches, rows) = found.entry(topic).or_default();
        let number = |batch: &RecordBatch, name: &str| -> Vec<i64> {
            let column = batch.column_by_name(name).expect("a column that is asked for");
            column.as_primitive::<Int64Type>().values().to_vec()
        };
        let (first, second) = (number(&table.batch, "first_row"), number(&table.batch, "second_row"));
        matches.extend(first.into_iter().zip(second));
        rows.extend(number(table.membership.as_ref().expect("that of matches"), "row"));
    }
}

/// What comes of rows in calls of so many.
fn found(engine: &mut Engine, rows: &RecordBatch, at_once: usize) -> Found {
    let mut found = Found::new();
    for start in (0..rows.num_rows()).step_by(at_once) {
        let some = rows.slice(start, at_once.min(rows.num_rows() - start));
        add(&mut found, engine.push(None, &[some], None).expect("good rows"));
    }
    add(&mut found, engine.flush().expect("the end"));
    found
}

#[test]
fn rows_that_are_not_picked_out_give_the_same_matches() {
    let (mut compared, mut matches, mut given) = (0, 0, 0);
    for seed in 0..2 {
        let mut random = SplitMix64::new(seed);
        let rows = table(20_000, &mut random);
        let all: Vec<usize> = (0..60).collect();
        let plain: Vec<usize> = (0..60).filter(|rule| rule % 6 < 3 && rule % 9 != 4).collect();
        for rules in [&all, &plain] {
            let mut right = Found::new();
            for number in rules {
                let mut alone = engine(&[*number], None);
                right.extend(found(&mut alone, &rows, 97));
                // Not given rows without a table are those with a key, those that are matched by runs, and those that constants
                // do not tell all of.
                let expected = number % 9 != 4 && ![1, 3].contains(&(number % 6));
                assert_eq!(alone.stats().rules_given_rows > 0, expected, "rule {number}");
                given += usize::from(expected);
            }
            matches += right.values().map(|(matches, _)| matches.len()).sum::<usize>();
            for at_once in [20_000, 9_000, 700] {
                for limit in [None, Some(1 << 30)] {
                    let mut together = engine(rules, limit);
                    assert_eq!(found(&mut together, &rows, at_once), right, "seed {seed}, {at_once} at once");
                    assert!(together.stats().rules_given_rows > 0);
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 24);
    assert!(matches > 5_000 && given > 100, "only {matches} matches, {given} rules");
}

#[test]
fn a_call_that_fails_leaves_nothing_behind() {
    let mut failed = 0;
    for seed in 0..6 {
        let mut random = SplitMix64::new(seed);
        let rows = table(12_000, &mut random);
        let rules: Vec<usize> = (0..60).filter(|rule| rule % 6 < 3 && rule % 9 != 4).collect();
        let divides =
            "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts MEASURES a.n AS first_row, a.n AS second_row
             PATTERN (a) DEFINE a AS 10 / (n - 11500) = 77)";
        let mut divides = cepheid_sql::parse_pattern(divides).expect("a pattern");
        (divides.output, divides.name) = (OutputColumns::Derived, Some("divides".into()));
        let begin = || {
            let mut engine = engine(&rules, None);
            engine.push(None, &[rows.slice(0, 1_000)], None).expect("good rows");
            engine.add(divides.clone()).expect("a rule");
            engine
        };
        let (mut tried, mut fresh) = (begin(), begin());
        let error = tried.push(None, &[rows.slice(1_000, 11_000)], None);
        failed += usize::from(matches!(error, Err(EngineError::Match(_) | EngineError::Eval { .. })));
        assert!(error.is_err(), "a division by zero");
        assert_eq!(
            tried.snapshot().expect("a snapshot"),
            fresh.snapshot().expect("a snapshot"),
            "seed {seed}"
        );
        let mut found = [Found::new(), Found::new()];
        for (engine, found) in [&mut tried, &mut fresh].into_iter().zip(&mut found) {
            add(found, engine.push(None, &[rows.slice(1_000, 10_000)], None).expect("good rows"));
        }
        assert_eq!(found[0], found[1], "seed {seed}");
        assert!(found[0].len() > 20, "only {} rules", found[0].len());
    }
    assert_eq!(failed, 6);
}
