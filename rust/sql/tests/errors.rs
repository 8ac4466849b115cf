//! What people see when a text cannot be read: the message, the place, the caret, and the stable code.

use cepheid_sql::{Dialect, SqlError, parse_expression, parse_pattern, parse_query};

fn clause_error(text: &str) -> SqlError {
    match parse_pattern(text) {
        Ok(pattern) => panic!("{text} parses: {pattern:?}"),
        Err(error) => error,
    }
}

#[test]
fn errors_show_the_line_a_caret_and_what_was_meant() {
    let table = [
        (
            "SELECT *\nFROM trades MATCH_RECOGNIZE (\n  MEASURES frist(A.x) AS x\n  PATTERN (A)\n)",
            "line 3, column 12: there is no function `frist`
    MEASURES frist(A.x) AS x
             ^^^^^
did you mean `first`?",
        ),
        (
            "SELECT * FROM t MATCH_RECOGNIZE (PATTERN (DOWN UP) DEFINE UP AS price > PREV(DWON.price))",
            "line 1, column 78: the condition of `UP` refers to `DWON`, which is no variable of the pattern (it has `DOWN`, `UP`)
  SELECT * FROM t MATCH_RECOGNIZE (PATTERN (DOWN UP) DEFINE UP AS price > PREV(DWON.price))
                                                                               ^^^^
did you mean `DOWN`?",
        ),
        (
            "MATCH_RECOGNIZE (PATTERN (A B) MEASURES A.x AS x)",
            "line 1, column 32: MEASURES must stand before PATTERN; the order is PARTITION BY, ORDER BY, MEASURES or AGGREGATE, ONE ROW or ALL ROWS PER MATCH, AFTER MATCH, INITIAL or SEEK or ALL MATCHES, PATTERN, WITHIN, SUBSET, DEFINE
  MATCH_RECOGNIZE (PATTERN (A B) MEASURES A.x AS x)
                                 ^^^^^^^^",
        ),
        (
            "MATCH_RECOGNIZE (PATTERN (A{3,2}))",
            "line 1, column 28: a part cannot repeat 3 to 2 times; the upper count must be at least 1 and not below the lower
  MATCH_RECOGNIZE (PATTERN (A{3,2}))
                             ^^^^^",
        ),
        (
            "MATCH_RECOGNIZE (PATTERN (A",
            "line 1, column 28: the text ends too early
  MATCH_RECOGNIZE (PATTERN (A
                             ^
expected a variable, a quantifier, `->`, `|` or `)`",
        ),
        (
            "MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS \t'größer' = 'naïve)",
            "line 1, column 54: this string is not closed; end it with '
  MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS  'größer' = 'naïve)
                                                       ^",
        ),
        (
            "MATCH_RECOGNIZE (MEASURE A.x AS x PATTERN (A))",
            "line 1, column 18: `MEASURE` cannot stand here
  MATCH_RECOGNIZE (MEASURE A.x AS x PATTERN (A))
                   ^^^^^^^
expected PARTITION BY, ORDER BY, MEASURES, AGGREGATE, ONE ROW | ALL ROWS PER MATCH, AFTER MATCH, INITIAL | SEEK | ALL MATCHES, PATTERN, WITHIN, SUBSET or DEFINE
did you mean `MEASURES`?",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(clause_error(text).to_string(), expected);
    }
    assert_eq!(table.len(), 7);
}

#[test]
fn every_fault_has_a_stable_code_and_points_at_its_text() {
    // The code, and the text that the span covers.
    let table = [
        ("", "syntax", ""),
        ("SELECT", "syntax", ""),
        ("SELECT * FROM t", "syntax", ""),
        ("SELECT * FROM t MATCH_RECOGNISE (PATTERN (A))", "syntax", "MATCH_RECOGNISE"),
        ("MATCH_RECOGNIZE ()", "syntax", ")"),
        ("MATCH_RECOGNIZE (DEFINE A AS x)", "syntax", ")"),
        ("MATCH_RECOGNIZE (PATTERN (A)) x", "syntax", "x"),
        ("MATCH_RECOGNIZE (PATTERN (A |))", "syntax", ")"),
        ("MATCH_RECOGNIZE (PATTERN (A++))", "syntax", "+"),
        ("MATCH_RECOGNIZE (PATTERN (*))", "syntax", "*"),
        ("MATCH_RECOGNIZE (PATTERN (A{}))", "syntax", "}"),
        ("MATCH_RECOGNIZE (PATTERN ({- A))", "syntax", ")"),
        ("MATCH_RECOGNIZE (PATTERN (A ->))", "syntax", ")"),
        ("MATCH_RECOGNIZE (PATTERN (select))", "syntax", "select"),
        ("MATCH_RECOGNIZE (PATTERN (A) PATTERN (B))", "clause-order", "PATTERN"),
        ("MATCH_RECOGNIZE (PATTERN (A) ORDER BY x)", "clause-order", "ORDER"),
        ("MATCH_RECOGNIZE (PATTERN (A{0}))", "invalid-quantifier", "{0}"),
        ("MATCH_RECOGNIZE (PATTERN (A{,0}))", "invalid-quantifier", "{,0}"),
        ("MATCH_RECOGNIZE (PATTERN (A{100001}))", "limit-exceeded", "100001"),
        ("MATCH_RECOGNIZE (PATTERN ((A{1000}){1000}))", "limit-exceeded", "((A{1000}){1000})"),
        (
            "MATCH_RECOGNIZE (PATTERN (PERMUTE(A, B, C, D, E, F, G)))",
            "limit-exceeded",
            "PERMUTE(A, B, C, D, E, F, G)",
        ),
        ("MATCH_RECOGNIZE (ALL ROWS PER MATCH WITH TIMEOUT PATTERN (A))", "syntax", "WITH"),
        ("MATCH_RECOGNIZE (PARTITION BY x + 1 PATTERN (A))", "unsupported", "+"),
        ("MATCH_RECOGNIZE (ORDER BY abs(x) PATTERN (A))", "unsupported", "("),
        ("MATCH_RECOGNIZE (PATTERN (A) DEFINE B AS x)", "undefined-variable", "B"),
        ("MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS x, a AS y)", "duplicate-definition", "a"),
        ("MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS \"a\".x > 1)", "unknown-variable", "\"a\""),
        ("MATCH_RECOGNIZE (MEASURES COUNT(b.*) AS n PATTERN (A))", "unknown-variable", "b"),
        ("MATCH_RECOGNIZE (MEASURES CLASSIFIER(b) AS n PATTERN (A))", "unknown-variable", "b"),
        ("MATCH_RECOGNIZE (PATTERN (A) SUBSET U = (A, B))", "unknown-variable", "B"),
        ("MATCH_RECOGNIZE (PATTERN (A B) SUBSET A = (A, B))", "subset-name-taken", "A"),
        ("MATCH_RECOGNIZE (AFTER MATCH SKIP TO FIRST B PATTERN (A))", "unknown-skip-target", "B"),
        ("MATCH_RECOGNIZE (MEASURES x AS n, y AS n PATTERN (A))", "duplicate-measure", "n"),
        (
            "MATCH_RECOGNIZE (PATTERN (A) WITHIN INTERVAL '1' DAY)",
            "within-needs-order",
            "WITHIN INTERVAL '1' DAY",
        ),
        (
            "MATCH_RECOGNIZE (ORDER BY t PATTERN (A) WITHIN INTERVAL '0' DAY)",
            "invalid-within",
            "WITHIN INTERVAL '0' DAY",
        ),
        (
            "MATCH_RECOGNIZE (ORDER BY t PATTERN (A) WITHIN INTERVAL '1' YEAR)",
            "invalid-literal",
            "WITHIN INTERVAL '1' YEAR",
        ),
        (
            "MATCH_RECOGNIZE (ALL ROWS PER MATCH WITH UNMATCHED ROWS PATTERN ({- A -}))",
            "conflicting-clauses",
            "ALL ROWS PER MATCH WITH UNMATCHED ROWS",
        ),
        ("SELECT x FROM t MATCH_RECOGNIZE (PATTERN (A))", "unsupported", "x"),
        ("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A)) WHERE x > 1", "unsupported", "WHERE"),
        ("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A)) AS m LIMIT 1", "unsupported", "LIMIT"),
    ];
    for (text, code, place) in table {
        let error = clause_error(text);
        assert_eq!(error.code(), code, "for {text}:\n{error}");
        assert_eq!(&text[error.span().start..error.span().end], place, "for {text}:\n{error}");
        assert_eq!(error.kind().code(), code);
    }
    assert_eq!(table.len(), 40);
}

#[test]
fn expressions_are_refused_with_a_code_and_a_place() {
    use Dialect::{Condition, Measure, Outer};
    let table = [
        (Condition, "", "syntax", ""),
        (Condition, "x +", "syntax", ""),
        (Condition, "x y", "syntax", "y"),
        (Condition, "x = y = 1", "syntax", "="),
        (Condition, "1 < x < 2", "syntax", "<"),
        (Condition, "x IS NULL IS NULL", "syntax", "IS"),
        (Condition, "x = NOT y", "syntax", "NOT"),
        (Condition, "x AND", "syntax", ""),
        (Condition, "AND x", "syntax", "AND"),
        (Condition, "x IN ()", "syntax", ")"),
        (Condition, "a.when > 1", "syntax", "when"),
        (Measure, "a.* + 1", "syntax", "*"),
        (Condition, "CASE END", "syntax", ""),
        (Condition, "CASE WHEN x THEN 1", "syntax", ""),
        (Condition, "x `y`", "syntax", "`"),
        (Condition, "x == 1", "syntax", "="),
        (Condition, "x::int", "syntax", ":"),
        (Condition, "/* x", "syntax", "/*"),
        (Condition, "\"\"", "syntax", "\"\""),
        (Condition, "'x", "syntax", "'"),
        (Condition, "1x", "invalid-literal", "1x"),
        (Condition, "9223372036854775808", "invalid-literal", "9223372036854775808"),
        (Condition, "-9223372036854775809", "invalid-literal", "9223372036854775809"),
        (Condition, "1e999", "invalid-literal", "1e999"),
        (Condition, "DATE '2023-02-29'", "invalid-literal", "'2023-02-29'"),
        (Condition, "DATE '2023-13-01'", "invalid-literal", "'2023-13-01'"),
        (Condition, "TIME '24:00'", "invalid-literal", "'24:00'"),
        (Condition, "TIMESTAMP '2262-04-12'", "invalid-literal", "'2262-04-12'"),
        (
            Condition,
            "TIMESTAMP '2024-01-01 10:00 Europe/Rome'",
            "invalid-literal",
            "'2024-01-01 10:00 Europe/Rome'",
        ),
        (Condition, "INTERVAL 'x' DAY", "invalid-literal", "'x'"),
        (Condition, "INTERVAL '1.5' MONTH", "invalid-literal", "'1.5'"),
        (Condition, "INTERVAL '1' FORTNIGHT", "invalid-literal", "'1'"),
        (Condition, "INTERVAL '9999999999999' WEEK", "invalid-literal", "'9999999999999'"),
        (Condition, "DECIMAL '1,5'", "invalid-literal", "'1,5'"),
        (
            Condition,
            "DECIMAL '123456789012345678901234567890123456789'",
            "invalid-literal",
            "'123456789012345678901234567890123456789'",
        ),
        (Condition, "CAST(x AS BIGIN)", "unknown-type", "BIGIN"),
        (Condition, "CAST(x AS DECIMAL(39))", "unknown-type", "DECIMAL(39)"),
        (Condition, "CAST(x AS DECIMAL(2, 3))", "unknown-type", "DECIMAL(2, 3)"),
        (Condition, "CAST(x AS VARCHAR(1, 2))", "unknown-type", "VARCHAR(1, 2)"),
        (Condition, "CAST(x AS VARCHAR(2147483648))", "unknown-type", "VARCHAR(2147483648)"),
        (Condition, "CAST(x AS CHAR(3))", "unsupported", "CHAR(3)"),
        (Condition, "CAST(x AS TEXT(3))", "unsupported", "TEXT(3)"),
        (Condition, "CAST(x AS TIMESTAMP(3))", "unsupported", "TIMESTAMP(3)"),
        (Condition, "CAST(x AS TIMESTAMP(9) WITH TIME ZONE)", "unsupported", "TIMESTAMP(9)"),
        (Condition, "CAST(x AS TIME(6))", "unsupported", "TIME(6)"),
        (Condition, "EXTRACT(FORTNIGHT FROM x)", "syntax", "FORTNIGHT"),
        (Condition, "x LIKE 'a' ESCAPE 'ab'", "invalid-expression", "'ab'"),
        (Condition, "sqrt(x, y)", "invalid-expression", "sqrt(x, y)"),
        (Condition, "sqrt(DISTINCT x)", "invalid-expression", "DISTINCT"),
        (Condition, "sqrt(*)", "invalid-expression", "*"),
        (Condition, "nosuch(x)", "unknown-function", "nosuch"),
        (Condition, "FINAL LAST(x)", "invalid-expression", "FINAL"),
        (Condition, "FINAL SUM(x) > 1", "invalid-expression", "FINAL"),
        (Condition, "x.y.z", "unsupported", "."),
        (Condition, "(x, y) IN (1)", "unsupported", ","),
        (Condition, "x IN (SELECT y)", "unsupported", "SELECT"),
        (Condition, "EXISTS (SELECT 1)", "unsupported", "EXISTS"),
        (Condition, "(SELECT 1)", "unsupported", "SELECT"),
        (Measure, "FINAL CLASSIFIER()", "invalid-expression", "FINAL"),
        (Measure, "FINAL abs(x)", "invalid-expression", "FINAL"),
        (Measure, "FINAL PREV(x)", "invalid-expression", "FINAL"),
        (Measure, "FIRST(A.x + B.x)", "invalid-expression", "B"),
        (Measure, "FIRST(A.x + y)", "invalid-expression", "y"),
        (Measure, "SUM(A.x * B.x)", "invalid-expression", "B"),
        (Measure, "SUM(CLASSIFIER() || A.x)", "invalid-expression", "A"),
        (Measure, "MAX_BY(A.x, B.x)", "invalid-expression", "B"),
        (Measure, "FIRST(1)", "invalid-expression", "1"),
        (Measure, "FIRST(A.x, -1)", "invalid-expression", "-1"),
        (Measure, "FIRST(A.x, y)", "invalid-expression", "y"),
        (Measure, "PREV(A.x, 1.5)", "invalid-expression", "1.5"),
        (Measure, "FIRST(A.x, 5000000000)", "invalid-expression", "5000000000"),
        (Measure, "FIRST(PREV(A.x))", "invalid-expression", "PREV(A.x)"),
        (Measure, "PREV(PREV(A.x))", "invalid-expression", "PREV(A.x)"),
        (Measure, "PREV(FIRST(A.x) + 1)", "invalid-expression", "FIRST(A.x)"),
        (Measure, "SUM(FIRST(A.x))", "invalid-expression", "FIRST(A.x)"),
        (Measure, "FIRST(SUM(A.x))", "invalid-expression", "SUM(A.x)"),
        (Measure, "SUM(SUM(A.x))", "invalid-expression", "SUM(A.x)"),
        (Measure, "FIRST(MATCH_NUMBER())", "invalid-expression", "MATCH_NUMBER()"),
        (Measure, "MATCH_NUMBER(1)", "invalid-expression", "MATCH_NUMBER(1)"),
        (Measure, "CLASSIFIER(1)", "invalid-expression", "1"),
        (Measure, "SUM(A.*)", "invalid-expression", "A.*"),
        (Measure, "COUNT(DISTINCT *)", "invalid-expression", "DISTINCT"),
        (Measure, "SUM(x, y)", "invalid-expression", "SUM(x, y)"),
        (Measure, "SUM(x) FILTER (WHERE y)", "unsupported", "FILTER"),
        (Measure, "SUM(x) OVER (ORDER BY y)", "unsupported", "OVER"),
        (Measure, "ARRAY_AGG(x ORDER BY y)", "unsupported", "ORDER"),
        (Measure, "LAST(x) IGNORE NULLS", "unsupported", "IGNORE"),
        (Measure, "TRIM(BOTH ' ' FROM x)", "unsupported", "BOTH"),
        (Outer, "m.x", "unknown-alias", "m"),
        (Outer, "FIRST(x)", "invalid-expression", "FIRST(x)"),
        (Outer, "CLASSIFIER()", "invalid-expression", "CLASSIFIER()"),
        (Outer, "COUNT(*)", "unsupported", "COUNT(*)"),
    ];
    for (dialect, text, code, place) in table {
        let error = match parse_expression(text, dialect) {
            Ok(expr) => panic!("{text} parses: {expr:?}"),
            Err(error) => error,
        };
        assert_eq!(error.code(), code, "for {text}:\n{error}");
        assert_eq!(&text[error.span().start..error.span().end], place, "for {text}:\n{error}");
    }
    assert_eq!(table.len(), 92);
}

#[test]
fn sql_beyond_one_pattern_is_refused_with_a_way_out() {
    let clause = "MATCH_RECOGNIZE (MEASURES A.x AS x PATTERN (A)) AS m";
    let table = [
        ("WITH q AS (SELECT 1) SELECT * FROM q {}", "WITH"),
        ("SELECT DISTINCT x FROM t {}", "DISTINCT"),
        ("SELECT count(*) FROM t {}", "count(*)"),
        ("SELECT x, (SELECT 1) FROM t {}", "SELECT"),
        ("SELECT (WITH q AS (SELECT 1) SELECT 2) FROM t {}", "WITH"),
        ("SELECT (WITH RECURSIVE \"q\" AS (SELECT 1) SELECT 2) FROM t {}", "WITH"),
        ("SELECT row_number() OVER (ORDER BY x) FROM t {}", "OVER"),
        ("SELECT * FROM (SELECT * FROM t) {}", "("),
        ("SELECT * FROM t, u {}", ","),
        ("SELECT * FROM t JOIN u ON a = b {}", "JOIN"),
        ("SELECT * FROM t {} JOIN u ON a = b", "JOIN"),
        ("SELECT * FROM t {} LEFT JOIN u ON a = b", "LEFT"),
        ("SELECT * FROM t {}, u", ","),
        ("SELECT x FROM t {} GROUP BY x", "GROUP"),
        ("SELECT x FROM t {} WHERE x > 1 GROUP BY x", "GROUP"),
        ("SELECT x FROM t {} HAVING x > 1", "HAVING"),
        ("SELECT x FROM t {} UNION ALL SELECT 1", "UNION"),
        ("SELECT x FROM t {} ORDER BY x EXCEPT SELECT 1", "EXCEPT"),
        ("SELECT x FROM t {} FETCH FIRST 2 ROWS WITH TIES", "WITH"),
    ];
    for (text, place) in table {
        let text = text.replace("{}", clause);
        let error = parse_query(&text).expect_err(&text);
        assert_eq!(error.code(), "unsupported", "for {text}:\n{error}");
        assert!(error.message().contains("DuckDB or Polars"), "for {text}:\n{error}");
        assert_eq!(&text[error.span().start..error.span().end], place, "for {text}:\n{error}");
    }
    assert_eq!(table.len(), 19);
}

#[test]
fn what_messages_advise_is_read() {
    use Dialect::{Condition, Measure};
    // The mistake, a part of the message, and what it tells people to write.
    let table = [
        (Measure, "FINAL PREV(x)", "PREV(FINAL LAST(x))", "PREV(FINAL LAST(x))"),
        (Measure, "SUM(x) FILTER (WHERE y)", "CASE WHEN condition THEN x END", "SUM(CASE WHEN y THEN x END)"),
        (Measure, "COUNT(*) FILTER (WHERE y)", "COUNT_IF", "COUNT_IF(y)"),
        (Condition, "TRIM(BOTH 'a' FROM x)", "REGEXP_REPLACE", "REGEXP_REPLACE(x, '^a+|a+$', '')"),
        (Condition, "TRIM(LEADING FROM x)", "LTRIM", "LTRIM(x) = RTRIM(x)"),
        (Condition, "x = NOT y", "in parentheses", "x = (NOT y)"),
        (Condition, "1 < x < 2", "join two with AND", "1 < x AND x < 2"),
        (Condition, "x::int", "CAST(x AS type)", "CAST(x AS int)"),
        (Condition, "x & y", "AND", "x AND y"),
        (Condition, "NOT x ! y", "NOT", "NOT y"),
        (Condition, "9223372036854775808", "DECIMAL '...'", "DECIMAL '9223372036854775808'"),
        (Condition, "9223372036854775808", "with a point", "9223372036854775808.0"),
        (Condition, "INTERVAL 'x'", "INTERVAL '1 day 12 hours'", "INTERVAL '1 day 12 hours'"),
        (
            Condition,
            "TIMESTAMP '2024-01-01 10:00 Europe/Rome'",
            "'+02:00'",
            "TIMESTAMP '2024-01-01 10:00+02:00'",
        ),
        (Condition, "a.when", "\"when\"", "a.\"when\""),
        (
            Condition,
            "CAST(x AS INTERVAL YEAR TO MONTH)",
            "INTERVAL DAY TO SECOND",
            "CAST(x AS INTERVAL DAY TO SECOND)",
        ),
        (Condition, "CAST(x AS TIMESTAMP(3))", "TIMESTAMP(6)", "CAST(x AS TIMESTAMP(6))"),
        (Condition, "CAST(x AS TIME(3))", "TIME(9)", "CAST(x AS TIME(9))"),
        (Condition, "CAST(x AS CHAR(3))", "VARCHAR", "CAST(x AS VARCHAR(3))"),
    ];
    for (dialect, mistake, part, advised) in table {
        let error = parse_expression(mistake, dialect).expect_err(mistake);
        assert!(error.message().contains(part), "for {mistake}:\n{error}");
        assert!(parse_expression(advised, dialect).is_ok(), "{advised} is advised for {mistake}");
    }
    assert_eq!(table.len(), 19);
}

#[test]
fn an_error_gives_its_parts() {
    let error = parse_query("SELECT x.total\nFROM t MATCH_RECOGNIZE (PATTERN (A)) AS m").unwrap_err();
    assert_eq!((error.code(), error.line(), error.column()), ("unknown-alias", 1, 8));
    assert_eq!(error.snippet(), "SELECT x.total");
    assert_eq!(error.message(), "`x` is not the alias of the matches, which is `m`");
    assert!(error.expected().is_empty());
    let error = parse_query("SELECT 1 FORM t MATCH_RECOGNIZE (PATTERN (A))").unwrap_err();
    assert_eq!((error.code(), error.nearest()), ("syntax", None));
    assert_eq!(error.expected(), ["FROM", "`,`", "an operator"]);
    let error = parse_pattern("MATCH_RECOGNIZE (PATTERN (UP) DEFINE UPP AS x)").unwrap_err();
    assert_eq!((error.code(), error.nearest()), ("undefined-variable", Some("UP")));
    let error =
        parse_expression(&format!("x {}", "+ 1 ".repeat(60) + "nosuch()"), Dialect::Outer).unwrap_err();
    assert!(error.snippet().starts_with("...") && error.snippet().chars().count() < 150, "{error}");
}
