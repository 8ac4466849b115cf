//! The extensions for event sequences: what they spell, what is refused, and which patterns have a text at all.

use cepheid_ir::{
    AfterMatchSkip, Aggregate, AggregateFunction, Between, BinaryOp, Contiguity, Definition, EmitAt,
    EmptyMatches, Expr, Measure, Pattern, PatternError, PatternNode, Quantifier, RowPointer, RowsPerMatch,
    Selection, Semantics, SkipRow, Step, TestedRow, VariableTopic, Within,
};
use cepheid_sql::{parse_pattern, pattern_to_sql, unparse_pattern};

use Contiguity::{SkipTillAny, SkipTillNext, Strict};

const MINUTE_NS: i64 = 60_000_000_000;

fn v(name: &str) -> PatternNode {
    PatternNode::Variable(name.into())
}

fn absent(variable: &str, minutes: Option<i64>) -> PatternNode {
    PatternNode::Absent { variable: variable.into(), for_ns: minutes.map(|minutes| minutes * MINUTE_NS) }
}

fn steps(steps: Vec<(Contiguity, PatternNode)>) -> PatternNode {
    PatternNode::Sequence(steps.into_iter().map(|(contiguity, node)| Step { contiguity, node }).collect())
}

fn many(node: PatternNode, quantifier: Quantifier) -> PatternNode {
    PatternNode::Quantified { node: Box::new(node), quantifier }
}

fn times(min: u32, max: Option<u32>, contiguity: Contiguity) -> Quantifier {
    Quantifier { greedy: Some(true), contiguity, ..Quantifier::new(min, max) }
}

fn bounded(node: PatternNode, within: Within, between: Between) -> PatternNode {
    PatternNode::Bounded { node: Box::new(node), within, between }
}

fn minutes(count: i64) -> Within {
    Within::Time { nanoseconds: count * MINUTE_NS }
}

fn parse(text: &str) -> Pattern {
    parse_pattern(text).unwrap_or_else(|error| panic!("{text} does not parse:\n{error}"))
}

/// The pattern of a row pattern alone.
fn of(row_pattern: &str) -> Pattern {
    parse(&format!("MATCH_RECOGNIZE (PATTERN ({row_pattern}))"))
}

#[test]
fn row_patterns_spell_event_sequences() {
    let greater = || {
        let x = Expr::column("x");
        Box::new(Expr::binary(BinaryOp::Greater, x, Expr::literal(5_i64)))
    };
    let table = vec![
        ("A -> B ->> C", steps(vec![(Strict, v("A")), (SkipTillNext, v("B")), (SkipTillAny, v("C"))])),
        ("A B -> C", steps(vec![(Strict, v("A")), (Strict, v("B")), (SkipTillNext, v("C"))])),
        ("A -> (B C)", steps(vec![(Strict, v("A")), (SkipTillNext, v("B")), (Strict, v("C"))])),
        (
            "A -> B | C",
            PatternNode::Alternation(vec![steps(vec![(Strict, v("A")), (SkipTillNext, v("B"))]), v("C")]),
        ),
        (
            "A -> ABSENT(x) -> C",
            steps(vec![(Strict, v("A")), (SkipTillNext, absent("X", None)), (SkipTillNext, v("C"))]),
        ),
        ("A ABSENT(X) C", steps(vec![(Strict, v("A")), (Strict, absent("X", None)), (Strict, v("C"))])),
        (
            "ABSENT(X FOR INTERVAL '5' MINUTE) -> A",
            steps(vec![(Strict, absent("X", Some(5))), (SkipTillNext, v("A"))]),
        ),
        (
            "A -> ABSENT(\"x y\" FOR INTERVAL '1' HOUR)",
            steps(vec![(Strict, v("A")), (SkipTillNext, absent("x y", Some(60)))]),
        ),
        ("A ABSENT(X)", steps(vec![(Strict, v("A")), (Strict, absent("X", None))])),
        ("A+ [->]", many(v("A"), times(1, None, SkipTillNext))),
        ("A{2,4} [->>]", many(v("A"), times(2, Some(4), SkipTillAny))),
        (
            "(A -> B)*? [->]",
            many(
                steps(vec![(Strict, v("A")), (SkipTillNext, v("B"))]),
                Quantifier { greedy: Some(false), ..times(0, None, SkipTillNext) },
            ),
        ),
        (
            "PERMUTE(A, B) [->]",
            PatternNode::Permute { parts: vec![v("A"), v("B")], contiguity: SkipTillNext },
        ),
        ("PERMUTE(A) [->]", v("A")),
        (
            "PERMUTE(A, B) [->]{2} [->>]",
            many(
                PatternNode::Permute { parts: vec![v("A"), v("B")], contiguity: SkipTillNext },
                times(2, Some(2), SkipTillAny),
            ),
        ),
        ("A+ UNTIL (x > 5)", many(v("A"), Quantifier { until: Some(greater()), ..times(1, None, Strict) })),
        (
            "A{3,}? [->] UNTIL (x > 5)",
            many(
                v("A"),
                Quantifier { until: Some(greater()), greedy: Some(false), ..times(3, None, SkipTillNext) },
            ),
        ),
        (
            "A until (B C)",
            steps(vec![(Strict, v("A")), (Strict, v("UNTIL")), (Strict, v("B")), (Strict, v("C"))]),
        ),
        (
            "A+ \"UNTIL\" (B)",
            steps(vec![
                (Strict, many(v("A"), times(1, None, Strict))),
                (Strict, v("UNTIL")),
                (Strict, v("B")),
            ]),
        ),
        (
            "(A -> B) WITHIN INTERVAL '5' MINUTE",
            bounded(steps(vec![(Strict, v("A")), (SkipTillNext, v("B"))]), minutes(5), Between::FirstToLast),
        ),
        (
            "A+ WITHIN 10 ROWS BETWEEN NEIGHBOURS -> B",
            steps(vec![
                (
                    Strict,
                    bounded(many(v("A"), times(1, None, Strict)), Within::Rows(10), Between::Neighbours),
                ),
                (SkipTillNext, v("B")),
            ]),
        ),
        (
            "(A WITHIN 1 ROW)+",
            many(bounded(v("A"), Within::Rows(1), Between::FirstToLast), times(1, None, Strict)),
        ),
        (
            "((A B) WITHIN INTERVAL '1' MINUTE BETWEEN NEIGHBOURS) WITHIN INTERVAL '5' MINUTE",
            bounded(
                bounded(steps(vec![(Strict, v("A")), (Strict, v("B"))]), minutes(1), Between::Neighbours),
                minutes(5),
                Between::FirstToLast,
            ),
        ),
        // Without a number behind it, the word is a variable.
        (
            "A WITHIN INTERVAL+",
            steps(vec![
                (Strict, v("A")),
                (Strict, v("WITHIN")),
                (Strict, many(v("INTERVAL"), times(1, None, Strict))),
            ]),
        ),
    ];
    assert_eq!(table.len(), 24, "cases were added or lost");
    for (text, root) in table {
        assert_eq!(of(text).root, root, "for {text}");
        let again = of(text);
        assert_eq!(parse_pattern(&unparse_pattern(&again)).as_ref(), Ok(&again), "for {text}");
    }
}

#[test]
fn only_the_words_of_event_sequences_take_the_empty_match_away() {
    let plain = ["A", "A* B?", "PERMUTE(A, B)", "{- A -} $", "A WITHIN", "A UNTIL (B)"];
    for text in plain {
        assert_eq!(of(text).empty_matches, EmptyMatches::Allowed, "for {text}");
    }
    let words = [
        "A -> B",
        "A ->> B",
        "A ABSENT(B)",
        "A* [->]",
        "A* UNTIL (x)",
        "PERMUTE(A, B) [->>]",
        "A WITHIN 5 ROWS",
    ];
    for text in words {
        assert_eq!(of(text).empty_matches, EmptyMatches::Excluded, "for {text}");
    }
    let clauses = [
        "ALL MATCHES PATTERN (A*)",
        "ONE ROW PER MATCH WITH TIMEOUT ROWS PATTERN (A*)",
        "AFTER MATCH SKIP NONE PATTERN (A*)",
        "AFTER MATCH CONSUME PATTERN (A*)",
    ];
    for text in clauses {
        let pattern = parse(&format!("MATCH_RECOGNIZE ({text})"));
        assert_eq!(pattern.empty_matches, EmptyMatches::Excluded, "for {text}");
    }
    // A bound of the whole is an extension too, but says nothing of sequences.
    let within = parse("MATCH_RECOGNIZE (PATTERN (A*) WITHIN 5 ROWS)");
    assert_eq!(within.empty_matches, EmptyMatches::Allowed);
    assert_eq!((plain.len(), words.len(), clauses.len()), (6, 7, 4));
}

#[test]
fn clauses_of_event_sequences_have_every_form() {
    let rows = [
        ("ONE ROW PER MATCH WITH TIMEOUT ROWS", RowsPerMatch::One),
        ("ALL ROWS PER MATCH WITH TIMEOUT ROWS", RowsPerMatch::AllShowEmpty),
        ("ALL ROWS PER MATCH OMIT EMPTY MATCHES WITH TIMEOUT ROWS", RowsPerMatch::AllOmitEmpty),
    ];
    for (text, expected) in rows {
        let pattern = parse(&format!("MATCH_RECOGNIZE ({text} PATTERN (A -> B))"));
        assert_eq!((pattern.rows_per_match, pattern.timeouts), (expected, true), "for {text}");
    }
    let skips = [
        ("AFTER MATCH SKIP NONE", Selection::First, AfterMatchSkip::None),
        ("AFTER MATCH SKIP NONE ALL MATCHES", Selection::All, AfterMatchSkip::None),
        ("ALL MATCHES", Selection::All, AfterMatchSkip::None),
        ("AFTER MATCH CONSUME", Selection::First, AfterMatchSkip::Consume),
        ("AFTER MATCH CONSUME ALL MATCHES", Selection::All, AfterMatchSkip::Consume),
        ("AFTER MATCH SKIP TO NEXT ROW ALL MATCHES", Selection::All, AfterMatchSkip::ToNextRow),
        ("", Selection::First, AfterMatchSkip::PastLastRow),
    ];
    for (text, selection, skip) in &skips {
        let pattern = parse(&format!("MATCH_RECOGNIZE ({text} PATTERN (A -> B))"));
        assert_eq!((&pattern.selection, &pattern.after_match), (selection, skip), "for {text}");
    }
    assert_eq!((rows.len(), skips.len()), (3, 7));
}

#[test]
fn in_until_the_row_under_test_belongs_to_no_variable() {
    let pattern = parse(
        "MATCH_RECOGNIZE (PATTERN ((A+ UNTIL (SUM(A.x) > y) -> B)* UNTIL (U.z = 1) C) SUBSET U = (A, B) \
         DEFINE A AS SUM(A.x) > y)",
    );
    let untils = pattern.root.untils();
    assert_eq!(untils.len(), 2);
    let excluded = |name: &str| RowPointer {
        variable: Some(name.into()),
        tested_row: TestedRow::Excluded,
        ..RowPointer::default()
    };
    let z = Expr::Column { name: "z".into(), quoted: false, at: excluded("U") };
    assert_eq!(*untils[0], Expr::binary(BinaryOp::Equal, z, Expr::literal(1_i64)));
    let sum = |tested_row| {
        let sum = Expr::Aggregate(Aggregate {
            function: AggregateFunction::Sum,
            args: vec![Expr::column("x")],
            distinct: false,
            variable: Some("A".into()),
            semantics: Semantics::Running,
            tested_row,
        });
        Expr::binary(BinaryOp::Greater, sum, Expr::column("y"))
    };
    assert_eq!(*untils[1], sum(TestedRow::Excluded));
    // In DEFINE the standard's rule holds.
    let condition = sum(TestedRow::Included);
    assert_eq!(pattern.define, [Definition { variable: "A".into(), condition }]);
}

#[test]
fn a_variable_may_stand_in_several_places_of_an_event_sequence() {
    let pattern = of("A -> B -> A");
    assert_eq!(pattern.root.variables(), ["A", "B"]);
}

#[test]
fn faults_have_a_code_and_a_place() {
    // The code, the text that the span covers, and a part of the message.
    let table = [
        ("PATTERN (A ->))", "syntax", ")", "expected"),
        ("PATTERN (-> A))", "syntax", "->", "expected a variable"),
        ("PATTERN (A -> | B))", "syntax", "|", "expected a variable"),
        ("PATTERN (A [->]))", "syntax", "[", "behind a quantifier"),
        ("PATTERN (A+ []))", "syntax", "]", "expected `->` or `->>`"),
        ("PATTERN (A+ [B]))", "syntax", "B", "expected `->` or `->>`"),
        ("PATTERN (A+ [->))", "syntax", ")", "expected `]`"),
        ("PATTERN (A+ [->] +))", "syntax", "+", "one quantifier"),
        ("PATTERN (A+ [->]?))", "syntax", "?", "one quantifier"),
        ("PATTERN (A+ UNTIL ()))", "syntax", ")", "expected an expression"),
        ("PATTERN (A+ UNTIL (x", "syntax", "", "expected `)` or an operator"),
        ("PATTERN (A+ UNTIL (x y)))", "syntax", "y", "expected `)` or an operator"),
        ("PATTERN (A+ UNTIL (B.x > 1)))", "unknown-variable", "B", "the condition of an UNTIL refers to `B`"),
        ("PATTERN (A+ UNTIL (FINAL LAST(x) > 1)))", "invalid-expression", "FINAL", "not finished yet"),
        ("PATTERN (ABSENT()))", "syntax", ")", "expected a variable"),
        ("PATTERN (A -> ABSENT(B C)))", "syntax", "C", "expected FOR or `)`"),
        ("PATTERN (A -> ABSENT(B FOR)))", "syntax", ")", "expected INTERVAL"),
        ("PATTERN (A -> ABSENT(B FOR 5 ROWS)))", "syntax", "5", "expected INTERVAL"),
        (
            "PATTERN (A -> ABSENT(B FOR INTERVAL '1' MONTH)))",
            "invalid-literal",
            "FOR INTERVAL '1' MONTH",
            "FOR needs a span of fixed length",
        ),
        (
            "PATTERN (A -> ABSENT(B FOR INTERVAL '0' DAY)))",
            "invalid-absence",
            "FOR INTERVAL '0' DAY",
            "longer than zero",
        ),
        ("PATTERN (A -> ABSENT(B)))", "invalid-absence", "B", "needs a time to be absent for"),
        ("PATTERN (ABSENT(B)))", "invalid-absence", "B", "at least one row"),
        ("PATTERN (A -> ABSENT(B)+ -> C))", "invalid-absence", "B", "neither repeated nor optional"),
        ("PATTERN (A ->> ABSENT(B) -> C))", "invalid-absence", "B", "skip till next"),
        ("PATTERN (PERMUTE(A, ABSENT(B))))", "invalid-absence", "B", "any order"),
        ("PATTERN (A -> ABSENT(A) -> C))", "invalid-absence", "A", "a name of its own"),
        ("PATTERN (A -> ABSENT(B FOR INTERVAL '1' DAY) -> C))", "invalid-absence", "B", "leave the time out"),
        ("AFTER MATCH SKIP TO B PATTERN (A -> ABSENT(B) -> C))", "unknown-skip-target", "B", "`A`, `C`"),
        ("AFTER MATCH SKIP PATTERN (A))", "syntax", "PATTERN", "TO or NONE"),
        ("AFTER MATCH PATTERN (A))", "syntax", "PATTERN", "expected SKIP or CONSUME"),
        ("PATTERN (A WITHIN 5 DAYS))", "syntax", "DAYS", "expected ROW"),
        (
            "PATTERN (A WITHIN 99999999999999999999 ROWS))",
            "invalid-literal",
            "99999999999999999999",
            "64 bits",
        ),
        (
            "PATTERN (A WITHIN INTERVAL '0' DAY))",
            "invalid-within",
            "WITHIN INTERVAL '0' DAY",
            "longer than zero",
        ),
        (
            "PATTERN (A WITHIN INTERVAL '1' YEAR))",
            "invalid-literal",
            "WITHIN INTERVAL '1' YEAR",
            "count days",
        ),
        ("PATTERN (A WITHIN 5 ROWS BETWEEN ROWS))", "syntax", "ROWS", "expected NEIGHBOURS"),
        ("PATTERN (A WITHIN 5 ROWS WITHIN 6 ROWS))", "syntax", "WITHIN", "one bound"),
        (
            "PATTERN ((A+ WITHIN 9 ROWS BETWEEN NEIGHBOURS) WITHIN 5 ROWS))",
            "gap-exceeds-window",
            "((A+ WITHIN 9 ROWS BETWEEN NEIGHBOURS) WITHIN 5 ROWS)",
            "shorten the gap",
        ),
        ("PATTERN (A) WITHIN BOUNDED)", "syntax", "BOUNDED", "or UNBOUNDED"),
        ("ALL MATCHES INITIAL PATTERN (A))", "clause-order", "INITIAL", "stands twice"),
        ("PATTERN (A) DEFINE A AS x[1] > 2)", "syntax", "[", "names are quoted with double quotes"),
    ];
    for (clauses, code, place, part) in table {
        let text = format!("MATCH_RECOGNIZE ({clauses}");
        let error = parse_pattern(&text).expect_err(&text);
        assert_eq!(error.code(), code, "for {text}:\n{error}");
        let found = &text[error.span().start..error.span().end];
        assert_eq!(found, place, "for {text}:\n{error}");
        assert!(error.to_string().contains(part), "for {text}:\n{error}");
    }
    assert_eq!(table.len(), 40);
    let error = parse_pattern("MATCH_RECOGNIZE (PATTERN (A -> ABSENT(X) ->> ABSENT(Y) -> C))").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1, column 53: absent `Y`: skip till any lets any row lie between, and so cannot forbid one; use skip till next
  MATCH_RECOGNIZE (PATTERN (A -> ABSENT(X) ->> ABSENT(Y) -> C))
                                                      ^"
    );
}

/// `a >> b` of the algebra.
fn algebra() -> Pattern {
    let mut pattern = Pattern::algebra(steps(vec![(Strict, v("a")), (SkipTillNext, v("b"))]));
    let x = Expr::column("x");
    pattern.define = vec![Definition {
        variable: "b".into(),
        condition: Expr::binary(BinaryOp::Greater, x, Expr::literal(5_i64)),
    }];
    pattern
}

#[test]
fn a_pattern_of_the_algebra_has_a_text_if_sql_can_say_it() {
    let mut pattern = algebra();
    (pattern.name, pattern.emit) = (Some("rule".into()), Some("alerts".into()));
    pattern.within = Some(minutes(10));
    let expected = "MATCH_RECOGNIZE (
  ONE ROW PER MATCH
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN (\"a\" -> \"b\")
  WITHIN INTERVAL '10' MINUTE
  DEFINE \"b\" AS x > 5
)";
    assert_eq!(pattern_to_sql(&pattern).as_deref(), Ok(expected));
    // Strict, and no part can be empty: SQL means the same although it would let empty matches be.
    let mut strict = algebra();
    strict.root = steps(vec![(Strict, v("a")), (Strict, many(v("b"), times(1, None, Strict)))]);
    assert!(pattern_to_sql(&strict).is_ok());
    let mut odd_column = algebra();
    odd_column.define[0].condition = Expr::binary(BinaryOp::Less, Expr::column("a b"), Expr::column("from"));
    let text = pattern_to_sql(&odd_column).unwrap();
    assert!(text.contains(r#"DEFINE "b" AS "a b" < "from""#), "{text}");
}

#[test]
fn what_sql_cannot_say_is_refused_by_name() {
    type Change = fn(&mut Pattern);
    let own = |variable: &str| RowPointer {
        variable: Some(variable.into()),
        tested_row: TestedRow::Excluded,
        ..RowPointer::default()
    };
    let column = |at| Expr::Column { name: "x".into(), quoted: false, at };
    // A condition on another variable is the same in SQL.
    let mut other = algebra();
    other.define[0].condition = Expr::binary(BinaryOp::Less, column(own("a")), Expr::literal(1_i64));
    assert!(pattern_to_sql(&other).is_ok());
    let mut looks_back = algebra();
    looks_back.define[0].condition = Expr::binary(BinaryOp::Less, column(own("b")), Expr::literal(1_i64));
    let mut table: Vec<(Pattern, &str)> =
        vec![(looks_back, "the condition of `b` leaves the row under test out")];
    let changes: Vec<(Change, &str)> = vec![
        (
            |p| p.topics = vec![VariableTopic { variable: "a".into(), topic: "logins".into() }],
            "that the rows of `a` are of topic `logins`",
        ),
        (|p| p.having = Some(Expr::literal(true)), "a condition on the finished match"),
        (
            |p| p.emit_at = vec![EmitAt { variable: "a".into(), topic: "begun".into(), measures: vec![] }],
            "the intermediate output `begun`",
        ),
        (
            |p| {
                p.selection = Selection::All;
                p.root = many(v("b"), times(1, None, SkipTillNext));
            },
            "a greedy loop of which every match is wanted",
        ),
        (
            |p| {
                p.after_match =
                    AfterMatchSkip::ToVariable { variable: "b".into(), row: SkipRow::First, strict: false }
            },
            "a skip to a row that need not be there",
        ),
        (|p| p.root = many(v("b"), times(0, None, Strict)), "whether parts without rows match"),
        (
            |p| {
                p.root = v("b");
                p.within = Some(minutes(1));
            },
            "a WITHIN by time over rows in no order",
        ),
        (
            |p| {
                (p.selection, p.initial) = (Selection::All, true);
            },
            "this pattern",
        ),
        (
            |p| {
                let value = Expr::Aggregate(Aggregate {
                    function: AggregateFunction::Sum,
                    args: vec![Expr::literal(1_i64)],
                    distinct: false,
                    variable: Some("a".into()),
                    semantics: Semantics::Running,
                    tested_row: TestedRow::Included,
                });
                p.measures = vec![Measure { name: "ones".into(), value }];
            },
            "measure `ones`",
        ),
    ];
    for (change, construct) in changes {
        let mut pattern = algebra();
        change(&mut pattern);
        table.push((pattern, construct));
    }
    assert_eq!(table.len(), 10);
    for (pattern, construct) in &table {
        let error = pattern_to_sql(pattern).expect_err(construct);
        assert_eq!(error.code(), "unsupported", "{error}");
        assert!(matches!(error, PatternError::NotInSql { .. }), "{error}");
        assert!(error.to_string().starts_with("SQL cannot say "), "{error}");
        assert!(error.to_string().contains(construct), "{error} instead of {construct}");
    }
    // An impossible pattern is refused for what it is.
    let mut impossible = algebra();
    impossible.define[0].variable = "c".into();
    assert_eq!(pattern_to_sql(&impossible).unwrap_err().code(), "undefined-variable");
}
