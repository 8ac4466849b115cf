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

#[test]
fn explain_names_how_joined_lists_find_what_a_row_follows_or_why_they_cannot() {
    let define = "DEFINE A AS kind = 1, B AS kind = 2 AND B.owner = A.owner, C AS C.price > A.price AND C.price <> B.price";
    let text = explained(&format!("ALL MATCHES PATTERN (A ->> B ->> C) {define}"));
    for part in [
        "strategy: joined lists; ",
        "step lists cannot run it: a condition reads the run",
        "joined lists can run it: ",
        "what `B` follows is found by hash, by `",
        "in O(1); an entry for each that it follows",
        "what `C` follows is found by order, by `",
        "in O(b) for b blocks of 64 entries in the window; the rest of its condition is asked of what is found",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    for (clauses, reason) in [
        (
            "ALL MATCHES PATTERN (A -> B{2,} [->]) DEFINE B AS B.owner = A.owner",
            "and steps are repeated, optional or",
        ),
        (
            "ALL MATCHES PATTERN (A -> B) DEFINE B AS B.price > SUM(A.price)",
            "a condition aggregates rows taken before",
        ),
        (
            "AFTER MATCH SKIP TO NEXT ROW PATTERN (A -> B) DEFINE B AS B.owner = A.owner",
            "a match waits for runs that began before it",
        ),
        (
            "ALL MATCHES PATTERN (A -> B) DEFINE B AS B.kind + A.kind > 2",
            "a condition over several rows may raise an error",
        ),
        (
            "ALL MATCHES PATTERN (A -> ABSENT(X) -> B) DEFINE X AS X.price = A.price, B AS B.owner = A.owner",
            "what must not come is compared with earlier rows",
        ),
    ] {
        let text = explained(clauses);
        assert!(text.contains("strategy: waiting runs; "), "{clauses}:\n{text}");
        assert!(text.contains("joined lists cannot run it: "), "{clauses}:\n{text}");
        assert!(text.contains(reason), "{clauses}: no {reason:?} in\n{text}");
    }
}

#[test]
fn explain_says_whether_runs_have_a_choice() {
    let unbounded = "AFTER MATCH SKIP PAST LAST ROW PATTERN (A{3,} [->] -> B) DEFINE A AS price < 5, B AS";
    let settled = unbounded.replace("DEFINE", "WITHIN INTERVAL '1' HOUR DEFINE");
    let text = explained(&format!("{settled} price >= 500"));
    for part in [
        "strategy: next lists; ",
        "taken in a table if the data show that no row fits two of the steps",
        "    in a stream, too",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    for (clauses, part) in [
        (format!("{unbounded} kind = 3"), "in a stream, waiting runs run it: no bound of time ends a run"),
        (format!("{settled} kind = 3"), "in a stream, waiting runs run it: it is not plain to see that no row"),
        (format!("{settled} price < 5"), "next lists cannot run it: a row may fit two of the steps"),
        (
            "AFTER MATCH SKIP NONE PATTERN (A -> ABSENT(C) -> B) DEFINE A AS kind = 1, B AS kind = 2, C AS kind = 3"
                .into(),
            "next lists cannot run it: something must not come",
        ),
    ] {
        let text = explained(&clauses);
        assert!(text.contains(part), "{clauses}: no {part:?} in\n{text}");
    }
}

#[test]
fn explain_says_whether_streams_keep_step_lists() {
    let all = "ALL MATCHES PATTERN (A -> B) DEFINE A AS kind = 1, B AS ";
    for (last, said) in [
        ("kind = 2", "in a stream, too"),
        ("kind * 2 = 4", "in a stream, waiting runs run it: a condition may raise an error"),
    ] {
        let text = explained(&format!("{all}{last}"));
        assert!(
            text.contains("step lists can run it") && text.contains(said),
            "{last}: no {said:?} in\n{text}"
        );
    }
}
