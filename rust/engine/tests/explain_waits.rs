//! What a plan says of conditions that compare a row with what the run knows.

use arrow_schema::{DataType, Field, Schema};
use cepheid_engine::explain::explain;
use cepheid_sql::parse_query;

fn explained(clauses: &str) -> String {
    let field = |name, data_type| Field::new(name, data_type, true);
    let ts = DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, None);
    let schema = Schema::new(vec![
        field("ts", ts),
        field("kind", DataType::Int64),
        field("owner", DataType::Utf8),
        field("price", DataType::Float64),
    ]);
    let text = format!("SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts MEASURES A.ts AS at {clauses})");
    let query = parse_query(&text).expect(clauses);
    explain(&query.pattern, Some(&schema)).expect(clauses)
}

#[test]
fn explain_names_the_index_of_runs_that_wait_or_says_why_there_is_none() {
    for (clauses, said) in [
        (
            "AFTER MATCH SKIP PAST LAST ROW PATTERN (A -> B) DEFINE A AS kind = 1, B AS kind = 2 AND B.owner = A.owner",
            &[
                "after `A`: runs are found by hash, by `",
                "in O(1)",
                "not partitioned by what conditions equate: a match forgets",
            ][..],
        ),
        (
            "AFTER MATCH SKIP NONE PATTERN (A -> B) DEFINE A AS kind = 1, B AS kind = 2 AND B.owner = A.owner",
            &["in a table, partitioned by owner as well"],
        ),
        (
            "AFTER MATCH SKIP NONE PATTERN (A -> B) DEFINE A AS kind = 1, B AS B.price > A.price * 2",
            &["after `A`: runs are found in order, by `", "in O(log w) for w runs that wait"],
        ),
        (
            "AFTER MATCH SKIP NONE PATTERN (A -> B) DEFINE A AS kind = 1, B AS B.price + A.price > 2",
            &["after `A`: rows are put to every run that waits: no conjunct"],
        ),
        (
            "AFTER MATCH SKIP NONE PATTERN (A -> C B) DEFINE A AS kind = 1, B AS B.price > A.price",
            &["after `C`: rows are put to every run that waits: what it waits for goes by every row"],
        ),
    ] {
        let text = explained(clauses);
        for part in said {
            assert!(text.contains(part), "{clauses}: no {part:?} in\n{text}");
        }
    }
    let plain = explained("AFTER MATCH SKIP NONE PATTERN (A -> B) DEFINE A AS kind = 1, B AS kind = 2");
    assert!(!plain.contains("after `A`"), "{plain}");
}
