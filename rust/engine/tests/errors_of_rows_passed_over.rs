//! What cannot be in a match is passed over in a table, but not the errors that its conditions raise.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampSecondArray};
use cepheid_engine::{MatchOptions, match_table};
use cepheid_event::Table;

/// Rows of a key each, with a number and a kind.
fn table(rows: &[(&'static str, i64, &'static str)]) -> Table {
    let batch = RecordBatch::try_from_iter([
        ("key", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))) as _),
        ("x", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))) as _),
        ("kind", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))) as _),
    ])
    .expect("columns of one length");
    Table::new(batch.schema(), vec![batch]).expect("one schema")
}

#[test]
fn a_key_without_a_match_still_raises_what_its_rows_raise() {
    let text = "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY key PATTERN (a -> b)
        DEFINE a AS 1 / x > 0, b AS kind = 'b')";
    let pattern = cepheid_sql::parse_pattern(text).expect("a pattern");
    let whole = [("p", 1, "a"), ("p", 1, "b")];
    let matches = match_table(&pattern, &table(&whole), &MatchOptions::default());
    assert_eq!(matches.expect("no zero").num_matches(), 1);
    // `a` is asked of every row: of too few rows for a match, and of rows among which there is no `b`.
    for lacking in [&[("q", 0, "a")][..], &[("q", 1, "a"), ("q", 0, "a"), ("q", 1, "a")]] {
        let rows = [&whole[..], lacking].concat();
        let error = match_table(&pattern, &table(&rows), &MatchOptions::default());
        assert_eq!(error.expect_err("a division by zero").code(), "division-by-zero", "{lacking:?}");
    }
}

/// Looked for at the ends of rows in order, and everywhere in others, whether or not times are measured.
#[test]
fn a_time_that_cannot_be_counted_in_nanoseconds_is_named_wherever_it_stands() {
    let (far, rows) = (10_000_000_000_i64, 40);
    let mut cases = 0;
    for (ascending, at) in [(true, rows - 1), (true, 0), (false, 0), (false, 17), (false, rows - 1)] {
        for within in ["5 ROWS", "INTERVAL '5' SECOND"] {
            let mut times: Vec<i64> =
                (0..rows as i64).map(|row| if ascending { row } else { row ^ 1 }).collect();
            times[at] = if at == 0 { -far } else { far };
            let split = 11;
            let batch = |range: std::ops::Range<usize>| {
                let own = times[range.clone()].to_vec();
                RecordBatch::try_from_iter([
                    ("time", Arc::new(TimestampSecondArray::from(own)) as ArrayRef),
                    ("x", Arc::new(Int64Array::from_iter_values(range.map(|row| row as i64 % 2)))),
                ])
                .expect("columns of one length")
            };
            let batches = vec![batch(0..split), batch(split..rows)];
            let table = Table::new(batches[0].schema(), batches).expect("one schema");
            let text = format!(
                "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY time ALL MATCHES PATTERN (a ->> b) WITHIN {within}
                 DEFINE a AS x = 0, b AS x = 1)"
            );
            let pattern = cepheid_sql::parse_pattern(&text).expect("a pattern");
            let error = match_table(&pattern, &table, &MatchOptions::default()).expect_err("a far time");
            let told = error.to_string();
            assert_eq!(error.code(), "time-overflow");
            assert!(told.contains(&format!(" s in row {at}, which is beyond")), "{told}");
            cases += 1;
        }
    }
    assert_eq!(cases, 10);
}
