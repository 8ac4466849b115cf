//! Values over all matches in SQL text: what is read, what is written, what is refused and where the caret stands.

use cepheid_ir::{AfterMatchSkip, Expr, PatternError, Selection, Semantics};
use cepheid_sql::{parse_pattern, pattern_to_sql, unparse_pattern};

fn around(clauses: &str) -> String {
    format!("MATCH_RECOGNIZE (ORDER BY t {clauses} PATTERN (a ->> b+ [->>]) DEFINE a AS x = 1, b AS x = 2)")
}

#[test]
fn aggregate_asks_for_all_matches_and_forgets_none() {
    let pattern =
        parse_pattern(&around("AGGREGATE COUNT(*) AS n, SUM(b.v) AS total EVERY INTERVAL '10' MINUTE"))
            .expect("a pattern");
    assert_eq!((pattern.selection, &pattern.after_match), (Selection::All, &AfterMatchSkip::None));
    let trend = pattern.trend.as_ref().expect("an aggregation");
    assert_eq!(trend.every_ns, Some(600_000_000_000));
    let names: Vec<&str> = trend.values.iter().map(|value| value.name.as_str()).collect();
    assert_eq!(names, ["n", "total"]);
    for value in &trend.values {
        let Expr::Aggregate(aggregate) = &value.value else { panic!("{value:?}") };
        assert_eq!(aggregate.semantics, Semantics::Final, "one spelling for the whole match");
    }
}

#[test]
fn what_is_written_reads_back() {
    let clauses = [
        "AGGREGATE COUNT(*) AS n",
        "AGGREGATE COUNT(b.*) AS n, AVG(b.v * 2) AS mean, MIN(v) AS least, MAX(FINAL a.v) AS \"the most\"",
        "AGGREGATE COUNT(*) AS n EVERY INTERVAL '1' HOUR ALL MATCHES",
        "AGGREGATE COUNT(*) AS n AFTER MATCH SKIP NONE",
        "AGGREGATE COUNT(*) AS every EVERY INTERVAL '90' SECOND",
    ];
    let mut read = 0;
    for clause in clauses {
        let text = around(clause);
        let Ok(pattern) = parse_pattern(&text) else {
            assert!(clause.contains("FINAL a.v"), "{text}: {}", parse_pattern(&text).unwrap_err());
            continue;
        };
        read += 1;
        assert_eq!(parse_pattern(&unparse_pattern(&pattern)).as_ref(), Ok(&pattern), "{text}");
        assert!(pattern_to_sql(&pattern).expect("SQL says it").contains("AGGREGATE "), "{text}");
    }
    assert!(read >= 4);
}

#[test]
fn all_ways_to_say_all_matches_are_one_pattern() {
    let bare = parse_pattern(&around("AGGREGATE COUNT(*) AS n")).expect("a pattern");
    for clauses in
        ["AGGREGATE COUNT(*) AS n ALL MATCHES", "AGGREGATE FINAL COUNT(*) AS n AFTER MATCH SKIP NONE"]
    {
        assert_eq!(parse_pattern(&around(clauses)).as_ref(), Ok(&bare), "{clauses}");
    }
}

#[test]
fn a_pattern_without_aggregation_has_the_wire_form_it_had() {
    let json = parse_pattern(&around("MEASURES a.v AS v")).expect("a pattern").to_json();
    assert!(!json.contains("trend"), "{json}");
}

#[test]
fn what_cannot_be_is_refused_where_it_stands() {
    let aggregate = "AGGREGATE COUNT(*) AS n";
    let cases: [(String, &str); 9] = [
        (format!("MEASURES a.v AS v {aggregate}"), "conflicting-clauses"),
        (format!("{aggregate} MEASURES a.v AS v"), "clause-order"),
        (format!("{aggregate} AFTER MATCH CONSUME"), "conflicting-clauses"),
        (format!("{aggregate} ALL ROWS PER MATCH"), "conflicting-clauses"),
        ("AGGREGATE COUNT(*)".into(), "syntax"),
        (format!("{aggregate} EVERY 10 ROWS"), "syntax"),
        ("AGGREGATE a.v AS v".into(), "unsupported"),
        ("AGGREGATE SUM(q.v) AS v".into(), "unknown-variable"),
        ("AGGREGATE COUNT(*) AS n, SUM(a.v) AS n".into(), "duplicate-measure"),
    ];
    for (clauses, code) in &cases {
        let error = parse_pattern(&around(clauses)).expect_err(clauses);
        assert_eq!(error.code(), *code, "{clauses}: {error}");
        assert!(error.to_string().contains('^'), "{error}");
    }
    let error = parse_pattern(&around("AGGREGATE COUNT(*) AS n EVERY INTERVAL '0' SECOND")).unwrap_err();
    assert!(matches!(error.code(), "invalid-expression" | "invalid-literal" | "invalid-within"), "{error}");
    let unknown = PatternError::MeasureNameTaken { name: "exact".into() };
    assert_eq!(parse_pattern(&around("AGGREGATE COUNT(*) AS exact")).unwrap_err().code(), unknown.code());
}
