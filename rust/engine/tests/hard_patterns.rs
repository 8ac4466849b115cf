//! Patterns on which backtracking explodes, on rows long enough that anything but linear time would not end.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{BooleanArray, Int64Array, RecordBatch, TimestampSecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use cepheid_engine::{EngineError, MatchOptions, run_query};
use cepheid_event::Table;
use cepheid_matcher::MatchError;
use cepheid_sql::parse_query;

/// `a` true of every row, `b` true of the last row only, `v` the same in every row.
fn equal_rows(rows: usize) -> Table {
    let a = BooleanArray::from(vec![true; rows]);
    let b: BooleanArray = (0..rows).map(|row| Some(row + 1 == rows)).collect();
    let v = Int64Array::from(vec![1; rows]);
    let field = |name, data_type| Field::new(name, data_type, false);
    let schema = Arc::new(Schema::new(vec![
        field("a", DataType::Boolean),
        field("b", DataType::Boolean),
        field("v", DataType::Int64),
    ]));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(a), Arc::new(b), Arc::new(v)]);
    Table::new(schema, vec![batch.expect("columns of one length")]).expect("one batch")
}

/// Quadratic time would be 10^10 steps.
const ROWS: usize = 100_000;

#[test]
fn nested_and_ambiguous_loops_take_linear_time() {
    let table = equal_rows(ROWS);
    let last = "DEFINE A AS a, B AS b";
    let never = "DEFINE A AS a, B AS v > 1";
    let mut ran = 0;
    for pattern in ["((A+)+)+ B", "(A | A)* B", "A* A* A* B", "(A? A?)+ B", "((A | A A)+ | A)* B", "A+ B+"] {
        for skip in ["PAST LAST ROW", "TO NEXT ROW", "TO LAST A"] {
            for (define, ends) in [(last, true), (never, false)] {
                let text = format!(
                    "SELECT * FROM t MATCH_RECOGNIZE (MEASURES COUNT(*) AS n, LAST(A.v) AS v \
                     AFTER MATCH SKIP {skip} PATTERN ({pattern}) {define})"
                );
                // The match from the row before B's begins at A's last row: an error, as it should be.
                if skip == "TO LAST A" && ends {
                    continue;
                }
                let query = parse_query(&text).expect(&text);
                let found = run_query(&query, &table, &MatchOptions::default()).expect(&text);
                assert_eq!(found.num_matches() > 0, ends, "{text}");
                ran += 1;
            }
        }
    }
    assert_eq!(ran, 30);
}

#[test]
fn a_search_without_end_is_a_typed_error() {
    let table = equal_rows(60);
    // Which of A and B took a row decides later: nothing can be remembered, and there are 2^59 ways.
    let text = "SELECT * FROM t MATCH_RECOGNIZE (MEASURES COUNT(*) AS n PATTERN ((A | B)+ C) \
                DEFINE C AS COUNT(A.*) > 100)";
    let found = run_query(&parse_query(text).expect(text), &table, &MatchOptions::default());
    match found {
        Err(EngineError::Match(error @ MatchError::StepLimit { row: 0, .. })) => {
            assert_eq!(error.code(), "step-limit");
        }
        other => panic!("expected the step limit, found {other:?}"),
    }
}

/// A hundred thousand rows within ten seconds of each other, and the one that would end a match a thousand seconds on.
#[test]
fn matches_that_within_cuts_short_take_linear_time() {
    let seconds = |row: usize| if row + 1 == ROWS { 1_000 } else { 0 };
    let times: TimestampSecondArray = (0..ROWS).map(|row| Some(seconds(row))).collect();
    let ends: BooleanArray = (0..ROWS).map(|row| Some(row + 1 == ROWS)).collect();
    let schema = Arc::new(Schema::new(vec![
        Field::new("ts", DataType::Timestamp(TimeUnit::Second, None), false),
        Field::new("b", DataType::Boolean, false),
    ]));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(times), Arc::new(ends)]);
    let table = Table::new(schema, vec![batch.expect("columns of one length")]).expect("one batch");
    for (pattern, matches) in [("A* A* A* B", 1), ("((A+)+)+ B", 0)] {
        let text = format!(
            "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts MEASURES COUNT(*) AS n PATTERN ({pattern}) \
             WITHIN INTERVAL '10' SECOND DEFINE A AS NOT b, B AS b)"
        );
        let query = parse_query(&text).expect(&text);
        let found = run_query(&query, &table, &MatchOptions::default()).expect(&text);
        assert_eq!((found.num_matches(), found.strategy()), (matches, "reverse automaton"), "{pattern}");
    }
}

/// One match of as many segments as rows: whatever is asked of each row must not walk the segments before it.
#[test]
fn labels_and_counts_of_a_long_match_take_linear_time() {
    let table = equal_rows(ROWS);
    let text = "SELECT * FROM t MATCH_RECOGNIZE (MEASURES CLASSIFIER() AS label, COUNT(A.*) AS a, FINAL COUNT(B.*) AS b, SUM(A.v) AS s, \
                FIRST(B.v, 1) AS f, FINAL LAST(A.v) AS l \
                ALL ROWS PER MATCH PATTERN ((A B)+))";
    let found = run_query(&parse_query(text).expect(text), &table, &MatchOptions::default()).expect(text);
    assert_eq!((found.num_matches(), found.batch().num_rows()), (1, ROWS));
    let label = found.batch().column_by_name("label").expect("a measure").as_string::<i32>();
    let count = |name| found.batch().column_by_name(name).expect("a measure").as_primitive::<Int64Type>();
    for row in 0..ROWS {
        assert_eq!(label.value(row), ["A", "B"][row % 2]);
        assert_eq!(count("a").value(row), row as i64 / 2 + 1);
        assert_eq!(count("b").value(row), ROWS as i64 / 2);
    }
}
