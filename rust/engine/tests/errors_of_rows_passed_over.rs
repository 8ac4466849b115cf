//! What cannot be in a match is passed over in a table, but not the errors that its conditions raise.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray};
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
