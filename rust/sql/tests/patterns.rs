//! `MATCH_RECOGNIZE` clauses and the pattern they spell.

use cepheid_ir::{
    AfterMatchSkip, BinaryOp, ColumnName, Contiguity, Definition, EmptyMatches, Expr, Measure, OutputColumns,
    PartitionEdge, Pattern, PatternNode, Quantifier, RowPointer, RowsPerMatch, Selection, SkipRow, SortKey,
    Subset, Within,
};
use cepheid_sql::parse_pattern;

fn v(name: &str) -> PatternNode {
    PatternNode::Variable(name.into())
}

fn seq(parts: Vec<PatternNode>) -> PatternNode {
    PatternNode::strict_sequence(parts)
}

fn alt(parts: Vec<PatternNode>) -> PatternNode {
    PatternNode::Alternation(parts)
}

fn repeat(node: PatternNode, min: u32, max: Option<u32>, greedy: bool) -> PatternNode {
    let quantifier = Quantifier { greedy: Some(greedy), ..Quantifier::new(min, max) };
    PatternNode::Quantified { node: Box::new(node), quantifier }
}

fn parse(text: &str) -> Pattern {
    parse_pattern(text).unwrap_or_else(|error| panic!("{text} does not parse:\n{error}"))
}

#[test]
fn row_patterns_spell_their_expression() {
    let exclusion = |node| PatternNode::Exclusion(Box::new(node));
    let permute = |parts| PatternNode::Permute { parts, contiguity: Contiguity::Strict };
    let table = vec![
        ("A", v("A")),
        ("a b", seq(vec![v("A"), v("B")])),
        ("\"a\" a", seq(vec![v("a"), v("A")])),
        ("A (B C) D", seq(vec![v("A"), v("B"), v("C"), v("D")])),
        ("A | B C", alt(vec![v("A"), seq(vec![v("B"), v("C")])])),
        ("(A | B) C", seq(vec![alt(vec![v("A"), v("B")]), v("C")])),
        ("A | (B | C)", alt(vec![v("A"), v("B"), v("C")])),
        ("A*", repeat(v("A"), 0, None, true)),
        ("A+", repeat(v("A"), 1, None, true)),
        ("A?", repeat(v("A"), 0, Some(1), true)),
        ("A*?", repeat(v("A"), 0, None, false)),
        ("A+?", repeat(v("A"), 1, None, false)),
        ("A??", repeat(v("A"), 0, Some(1), false)),
        ("A{3}", repeat(v("A"), 3, Some(3), true)),
        ("A{3}?", repeat(v("A"), 3, Some(3), false)),
        ("A{1}", v("A")),
        ("A{2,}", repeat(v("A"), 2, None, true)),
        ("A{,4}", repeat(v("A"), 0, Some(4), true)),
        ("A{2,4}", repeat(v("A"), 2, Some(4), true)),
        ("A{2,4}?", repeat(v("A"), 2, Some(4), false)),
        ("A{,}", repeat(v("A"), 0, None, true)),
        ("(A B)+", repeat(seq(vec![v("A"), v("B")]), 1, None, true)),
        ("((A+)?)*", repeat(repeat(repeat(v("A"), 1, None, true), 0, Some(1), true), 0, None, true)),
        (
            "^A$",
            seq(vec![
                PatternNode::Anchor(PartitionEdge::Start),
                v("A"),
                PatternNode::Anchor(PartitionEdge::End),
            ]),
        ),
        ("A {- B+ -} C", seq(vec![v("A"), exclusion(repeat(v("B"), 1, None, true)), v("C")])),
        ("{-A-}", exclusion(v("A"))),
        ("", PatternNode::Empty),
        ("()", PatternNode::Empty),
        ("A | ()", alt(vec![v("A"), PatternNode::Empty])),
        ("()*", repeat(PatternNode::Empty, 0, None, true)),
        ("PERMUTE(A, B)", permute(vec![v("A"), v("B")])),
        (
            "PERMUTE(A B, C | D, E+)",
            permute(vec![
                seq(vec![v("A"), v("B")]),
                alt(vec![v("C"), v("D")]),
                repeat(v("E"), 1, None, true),
            ]),
        ),
        ("PERMUTE(A)", v("A")),
        ("permute A", seq(vec![v("PERMUTE"), v("A")])),
        ("first last pattern", seq(vec![v("FIRST"), v("LAST"), v("PATTERN")])),
    ];
    assert_eq!(table.len(), 35, "cases were added or lost");
    for (text, root) in table {
        let pattern = parse(&format!("MATCH_RECOGNIZE (PATTERN ({text}))"));
        assert_eq!(pattern, Pattern::sql(root), "for {text}");
    }
}

#[test]
fn every_clause_has_its_place_in_the_pattern() {
    let pattern = parse(
        r#"match_recognize (
            partition by symbol, "Venue"
            order by ts desc nulls first, seq nulls last, "Id" asc
            measures a.price as start_price, last(b.price) as "Low", match_number() as first
            all rows per match with unmatched rows
            after match skip to first b
            initial
            pattern (a b+)
            within interval '10' minute
            subset u = (a, b), "u" = (b)
            define b as b.price < prev(b.price), a as price > 10
        );"#,
    );
    let column = |name: &str, at| Expr::Column { name: name.into(), quoted: false, at };
    let of = |name: &str| RowPointer { variable: Some(name.into()), ..RowPointer::default() };
    let before = RowPointer { physical_offset: -1, ..RowPointer::default() };
    let key = |name: &str, quoted, descending, nulls_first| SortKey {
        column: ColumnName { name: name.into(), quoted },
        descending,
        nulls_first,
    };
    let mut expected = Pattern::sql(seq(vec![v("A"), repeat(v("B"), 1, None, true)]));
    expected.partition_by =
        vec![ColumnName::unquoted("symbol"), ColumnName { name: "Venue".into(), quoted: true }];
    expected.order_by =
        vec![key("ts", false, true, true), key("seq", false, false, false), key("Id", true, false, false)];
    expected.measures = vec![
        Measure { name: "start_price".into(), value: column("price", of("A")) },
        Measure { name: "Low".into(), value: column("price", of("B")) },
        Measure { name: "first".into(), value: Expr::MatchNumber },
    ];
    expected.rows_per_match = RowsPerMatch::AllWithUnmatched;
    expected.after_match =
        AfterMatchSkip::ToVariable { variable: "B".into(), row: SkipRow::First, strict: true };
    expected.initial = true;
    expected.within = Some(Within::Time { nanoseconds: 600_000_000_000 });
    expected.subsets = vec![
        Subset { name: "U".into(), variables: vec!["A".into(), "B".into()] },
        Subset { name: "u".into(), variables: vec!["B".into()] },
    ];
    expected.define = vec![
        Definition {
            variable: "B".into(),
            // In its own condition, B's last row is the row under test.
            condition: Expr::binary(
                BinaryOp::Less,
                column("price", RowPointer::default()),
                column("price", before),
            ),
        },
        Definition {
            variable: "A".into(),
            condition: Expr::binary(BinaryOp::Greater, Expr::column("price"), Expr::literal(10_i64)),
        },
    ];
    // Conditions come in the order in which the pattern names their variables.
    expected.define.reverse();
    assert_eq!(pattern, expected);
    assert_eq!((pattern.empty_matches, pattern.output), (EmptyMatches::Allowed, OutputColumns::Standard));
}

#[test]
fn rows_per_match_and_skip_have_every_form() {
    let rows = [
        ("", RowsPerMatch::One),
        ("ONE ROW PER MATCH", RowsPerMatch::One),
        ("ALL ROWS PER MATCH", RowsPerMatch::AllShowEmpty),
        ("ALL ROWS PER MATCH SHOW EMPTY MATCHES", RowsPerMatch::AllShowEmpty),
        ("ALL ROWS PER MATCH OMIT EMPTY MATCHES", RowsPerMatch::AllOmitEmpty),
        ("ALL ROWS PER MATCH WITH UNMATCHED ROWS", RowsPerMatch::AllWithUnmatched),
    ];
    for (text, expected) in rows {
        let pattern = parse(&format!("MATCH_RECOGNIZE ({text} PATTERN (A))"));
        assert_eq!(pattern.rows_per_match, expected, "for {text}");
    }
    let to =
        |variable: &str, row| AfterMatchSkip::ToVariable { variable: variable.into(), row, strict: true };
    let skips = [
        ("", AfterMatchSkip::PastLastRow),
        ("AFTER MATCH SKIP PAST LAST ROW", AfterMatchSkip::PastLastRow),
        ("AFTER MATCH SKIP TO NEXT ROW", AfterMatchSkip::ToNextRow),
        ("AFTER MATCH SKIP TO FIRST A", to("A", SkipRow::First)),
        ("AFTER MATCH SKIP TO LAST a", to("A", SkipRow::Last)),
        ("AFTER MATCH SKIP TO A", to("A", SkipRow::Last)),
        ("AFTER MATCH SKIP TO FIRST U", to("U", SkipRow::First)),
        ("AFTER MATCH SKIP TO FIRST", to("FIRST", SkipRow::Last)),
        ("AFTER MATCH SKIP TO FIRST FIRST", to("FIRST", SkipRow::First)),
        ("AFTER MATCH SKIP TO LAST SEEK", to("LAST", SkipRow::Last)),
        ("AFTER MATCH SKIP TO LAST pattern", to("PATTERN", SkipRow::Last)),
    ];
    for (text, expected) in &skips {
        let pattern =
            parse(&format!("MATCH_RECOGNIZE ({text} PATTERN (A FIRST LAST PATTERN) SUBSET U = (A))"));
        assert_eq!(pattern.after_match, *expected, "for {text}");
    }
    assert_eq!((rows.len(), skips.len()), (6, 11));
}

#[test]
fn search_and_within_have_every_form() {
    let pattern = |text: &str| parse(&format!("MATCH_RECOGNIZE (ORDER BY ts {text})"));
    assert!(!pattern("SEEK PATTERN (A)").initial);
    assert!(pattern("INITIAL PATTERN (A)").initial);
    let all = pattern("ALL MATCHES PATTERN (A)");
    assert_eq!((all.selection, all.after_match), (Selection::All, AfterMatchSkip::None));
    assert_eq!(all.empty_matches, EmptyMatches::Excluded);
    let pruned = pattern("AFTER MATCH SKIP PAST LAST ROW ALL MATCHES PATTERN (A)");
    assert_eq!((pruned.selection, pruned.after_match), (Selection::All, AfterMatchSkip::PastLastRow));
    assert_eq!(pattern("PATTERN (A) WITHIN 100 ROWS").within, Some(Within::Rows(100)));
    assert_eq!(pattern("PATTERN (A) WITHIN 1 ROW").within, Some(Within::Rows(1)));
    assert_eq!(pattern("PATTERN (A) WITHIN UNBOUNDED").within, Some(Within::Unbounded));
    let mixed = pattern("PATTERN (A) WITHIN INTERVAL '1 hour 1 second'").within;
    assert_eq!(mixed, Some(Within::Time { nanoseconds: 3_601_000_000_000 }));
}

#[test]
fn a_whole_query_that_selects_everything_is_a_pattern() {
    let clause = "MATCH_RECOGNIZE (PATTERN (A+) DEFINE A AS x > 1)";
    let alone = parse(clause);
    for text in ["SELECT * FROM t {}", "SELECT m.* FROM t {} AS m;", "select * from \"T\" {} m"] {
        assert_eq!(parse(&text.replace("{}", clause)), alone, "for {text}");
    }
}
