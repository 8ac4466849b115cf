//! A query of windows gives the same rows whether these stand in several batches, as where they keep their order, or in one, as where
//! they are sorted: here by what is equal for all of them.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_select::concat::concat_batches;
use cepheid_engine::{MatchOptions, run_window_query};
use cepheid_event::Table;
use cepheid_sql::{Statement, parse_statement};
use cepheid_testkit::SplitMix64;

/// A row a nanosecond, of which each is in three windows.
fn table(rows: i64) -> Table {
    let mut random = SplitMix64::new(7);
    let mut keys = || Arc::new((0..rows).map(|_| random.between(0, 2_000)).collect::<Int64Array>());
    let columns: [(&str, ArrayRef); 3] = [
        ("ts", Arc::new((0..rows).collect::<Int64Array>())),
        ("key", keys()),
        ("x", Arc::new(keys().values().iter().map(|x| *x as f64 / 8.0).collect::<Float64Array>())),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Table::new(batch.schema(), vec![batch]).expect("a table")
}

/// The rows of a query, as one batch, and how many batches they stood in.
fn answer(text: &str, table: &Table) -> Result<(RecordBatch, usize), String> {
    let Ok(Statement::Window(query)) = parse_statement(text) else { panic!("{text} is no query of windows") };
    let options = MatchOptions { event_time: Some("ts".into()), ..MatchOptions::default() };
    let found = run_window_query(&query, table, &options).map_err(|error| error.to_string())?;
    let all = concat_batches(found.schema(), found.batches()).expect("one schema");
    Ok((all, found.batches().len()))
}

#[test]
fn rows_are_the_same_in_several_batches_and_in_one() {
    let table = table(20_000);
    let mut random = SplitMix64::new(11);
    let selected = [
        "key, window_start, SUM(x) AS total, AVG(x) AS mean",
        "SUM(x) + key AS more, window_end, COUNT(*) AS n",
        "7 AS seven, key",
        "1000 / (key - 1999) AS fails, 5 / (COUNT(*) - 1) AS too",
    ];
    let having =
        ["", "HAVING COUNT(*) > 1", "HAVING SUM(x) < 0", "HAVING key > 1500", "HAVING 10 / (key - 700) > 0"];
    let (mut cases, mut in_several, mut failed, mut empty) = (0, 0, 0, 0);
    for select in selected {
        for having in having {
            for _ in 0..4 {
                let mut cut = String::new();
                if random.chance(70) {
                    cut = format!("LIMIT {}", random.below(60_000));
                }
                if random.chance(70) {
                    cut += &format!(" OFFSET {}", random.below(60_000));
                }
                let text = |order: &str| {
                    format!(
                        "SELECT {select} FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '0.000001' SECOND, \
                         INTERVAL '0.000003' SECOND)) GROUP BY key, window_start, window_end {having} {order} {cut}"
                    )
                };
                let (found, expected) =
                    (answer(&text(""), &table), answer(&text("ORDER BY key * 0"), &table));
                match (found, expected) {
                    (Ok((found, batches)), Ok((expected, _))) => {
                        assert_eq!(found, expected, "{}", text(""));
                        in_several += usize::from(batches > 1);
                        empty += usize::from(found.num_rows() == 0);
                    }
                    (found, expected) => {
                        failed += 1;
                        assert_eq!(found.map(|_| ()), expected.map(|_| ()), "{}", text(""));
                    }
                }
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 80);
    assert!(in_several >= 10 && failed >= 10 && empty >= 10, "{in_several} {failed} {empty}");
}
