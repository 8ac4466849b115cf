//! `parse(unparse(x)) == x`, over random expressions, patterns and queries.

mod random_text;

use cepheid_ir::{Between, Contiguity, EmptyMatches, Pattern, PatternNode};
use cepheid_sql::{
    Dialect, parse_expression, parse_pattern, parse_query, pattern_to_sql, unparse_expr, unparse_pattern,
    unparse_query,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use random_text::{Place, expr, pattern, query};

/// Runs `check` on `cases` random values and asserts that it ran that often.
fn for_all<T: std::fmt::Debug>(
    cases: u32,
    strategy: BoxedStrategy<T>,
    check: impl Fn(&T) -> Result<(), TestCaseError>,
) {
    let ran = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |value| {
        ran.set(ran.get() + 1);
        check(&value)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(ran.get() >= cases, "only {} of {cases} cases ran", ran.get());
}

fn same<T: PartialEq + std::fmt::Debug>(
    text: &str,
    found: Result<T, cepheid_sql::SqlError>,
    expected: &T,
) -> Result<(), TestCaseError> {
    match found {
        Ok(found) => prop_assert_eq!(&found, expected, "from {}", text),
        Err(error) => return Err(TestCaseError::fail(format!("{text}\n{error}"))),
    }
    Ok(())
}

#[test]
fn expressions_survive_a_round_trip() {
    let places = [
        (Place::Condition, Dialect::Condition),
        (Place::Measure, Dialect::Measure),
        (Place::Outer, Dialect::Outer),
    ];
    for (place, dialect) in places {
        for_all(1500, expr(place), |expr| {
            let text = unparse_expr(expr);
            same(&text, parse_expression(&text, dialect), expr)
        });
    }
}

/// What of event sequences a pattern has.
fn extensions(pattern: &Pattern) -> Vec<&'static str> {
    let mut found = vec![];
    pattern.root.walk(&mut |node| match node {
        PatternNode::Sequence(steps) if steps.iter().any(|step| step.contiguity != Contiguity::Strict) => {
            found.push("contiguity of steps");
        }
        PatternNode::Permute { contiguity, .. } if *contiguity != Contiguity::Strict => {
            found.push("contiguity of parts in any order");
        }
        PatternNode::Absent { for_ns: Some(_), .. } => found.push("absence for a time"),
        PatternNode::Absent { .. } => found.push("absence"),
        PatternNode::Bounded { between: Between::Neighbours, .. } => found.push("bound between neighbours"),
        PatternNode::Bounded { .. } => found.push("bound of a part"),
        PatternNode::Quantified { quantifier, .. } => {
            if quantifier.contiguity != Contiguity::Strict {
                found.push("contiguity of repetitions");
            }
            found.extend(quantifier.until.as_ref().map(|_| "until"));
        }
        _ => {}
    });
    if pattern.empty_matches == EmptyMatches::Allowed {
        found.push("nothing");
    }
    found
}

#[test]
fn patterns_survive_a_round_trip() {
    let seen = std::cell::RefCell::new(std::collections::BTreeMap::new());
    for_all(800, pattern(), |pattern| {
        prop_assert_eq!(pattern.validate(), Ok(()), "the generator makes only possible patterns");
        extensions(pattern).into_iter().for_each(|name| *seen.borrow_mut().entry(name).or_insert(0) += 1);
        let text = unparse_pattern(pattern);
        prop_assert_eq!(pattern_to_sql(pattern), Ok(text.clone()));
        same(&text, parse_pattern(&text), pattern)
    });
    let seen = seen.into_inner();
    assert_eq!(seen.len(), 9, "of event sequences only {seen:?} came up");
    assert!(seen.values().all(|count| *count >= 15), "of event sequences too little came up: {seen:?}");
}

#[test]
fn queries_survive_a_round_trip() {
    for_all(300, query(), |query| {
        let text = unparse_query(query);
        same(&text, parse_query(&text), query)
    });
}

#[test]
fn unparsed_text_has_no_needless_parentheses() {
    let table = [
        "x + y * 2 - -5",
        "(x + y) * 2",
        "x - (y - 1)",
        "NOT x = y AND (x OR y)",
        "-(5) + -x",
        "x IS NOT NULL AND y IS NOT DISTINCT FROM 1",
        "x NOT BETWEEN 1 AND 2 OR x NOT IN (1, 2) OR x NOT LIKE 'a''b' ESCAPE '!'",
        "NOT (x = 1 OR y)",
        "CASE WHEN x THEN 'a' ELSE NULL END",
        "CAST(x AS TIMESTAMP WITH TIME ZONE) - INTERVAL '10' MINUTE",
        "PREV(FIRST(A.x, 2)) > NEXT(\"b\".\"X\", 3)",
        "COUNT(*) + COUNT(A.*) + SUM(DISTINCT A.x * A.y)",
        "CLASSIFIER(A) || LAST(CLASSIFIER(), 1)",
        "DATE '2024-02-29' < DATE '-0044-03-15'",
        "TIMESTAMP '2024-01-01 00:00:00.5 UTC' = t",
        "DECIMAL '-0.05' + 1.0 + 1e300",
    ];
    for text in table {
        let parsed = parse_expression(text, Dialect::Condition).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(unparse_expr(&parsed), text);
    }
    assert_eq!(table.len(), 16);
}

#[test]
fn a_clause_is_written_a_line_a_clause() {
    let text = "SELECT symbol, total * 2 AS double
FROM trades MATCH_RECOGNIZE (
  PARTITION BY symbol
  ORDER BY ts DESC NULLS FIRST
  MEASURES FINAL LAST(UP.price) AS \"top price\"
  ALL ROWS PER MATCH OMIT EMPTY MATCHES
  AFTER MATCH SKIP TO FIRST UP
  PATTERN (^ STRT ({- DOWN+? -} | PERMUTE(UP, \"low\")){2,3} -> UP{,4}? $)
  WITHIN INTERVAL '10' MINUTE
  SUBSET U = (UP, \"low\")
  DEFINE DOWN AS price < PREV(price), UP AS price > AVG(DOWN.price)
)
WHERE symbol <> 'A'
ORDER BY total DESC
OFFSET 1
LIMIT 10";
    let query = parse_query(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(unparse_query(&query), text.replace("{,4}", "{0,4}"));
}
