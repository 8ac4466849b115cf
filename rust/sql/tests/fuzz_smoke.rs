//! Mutations of valid text for as long as `CEPHEID_FUZZ_SECONDS` says (2 by default), from a fixed seed.

use std::time::{Duration, Instant};

use cepheid_ir::Window;
use cepheid_sql::{
    Dialect, Statement, parse_expression, parse_pattern, parse_query, parse_statement, parse_window,
    unparse_expr, unparse_pattern, unparse_query,
};

const CORPUS: &[&str] = &[
    "SELECT * FROM trades MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts MEASURES STRT.price AS s, LAST(DOWN.price) \
     AS b, FINAL LAST(UP.price, 1) AS e ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (STRT DOWN+ UP+) \
     DEFINE DOWN AS DOWN.price < PREV(DOWN.price), UP AS UP.price > PREV(UP.price)) AS m WHERE m.s > 10 ORDER BY s \
     DESC NULLS FIRST, e LIMIT 10 OFFSET 2;",
    "MATCH_RECOGNIZE (ORDER BY t ALL ROWS PER MATCH WITH UNMATCHED ROWS AFTER MATCH SKIP TO FIRST U INITIAL PATTERN \
     (^ (A | B C{2,3}?)*? PERMUTE(A, \"b\" D) $) WITHIN INTERVAL '1 02:03:04.5' DAY TO SECOND SUBSET U = (A, \"b\") \
     DEFINE A AS x BETWEEN 1 AND 2 OR y NOT IN ('a', 'it''s'), \"b\" AS SUM(A.x * A.y) > COUNT(DISTINCT U.x))",
    "MATCH_RECOGNIZE (ALL MATCHES PATTERN (A -> {- B+ -} ->> C ()) DEFINE B AS CASE x WHEN 1 THEN TRUE ELSE y END)",
    "MATCH_RECOGNIZE (ORDER BY t ALL ROWS PER MATCH WITH TIMEOUT ROWS AFTER MATCH CONSUME ALL MATCHES PATTERN \
     (ABSENT(W FOR INTERVAL '1' HOUR) -> A+? [->] UNTIL (A.x > SUM(U.y)) -> ABSENT(X) -> (B ->> C) WITHIN INTERVAL '5' \
     MINUTE PERMUTE(D, E) [->>]{2} [->] ((F G) WITHIN 5 ROWS BETWEEN NEIGHBOURS) -> ABSENT(Y FOR INTERVAL '24' HOUR)) \
     WITHIN INTERVAL '2' DAY SUBSET U = (A, B) DEFINE X AS x = 1, C AS C.x > AVG(B.x))",
    "MATCH_RECOGNIZE (AFTER MATCH SKIP NONE PATTERN (A ABSENT(X) C{3,} [->]) WITHIN UNBOUNDED DEFINE X AS x > 5)",
    "SELECT w.card, window_end, SUM(x) / COUNT(*) AS mean, LAST(y) FROM TABLE(HOP(DATA => TABLE t, TIMECOL => \
     DESCRIPTOR(ts), SLIDE => INTERVAL '5' SECOND, SIZE => INTERVAL '1' MINUTE, OFFSET => INTERVAL -'1' SECOND)) AS w \
     WHERE w.x > 1 GROUP BY card, window_start, w.window_end HAVING MAX(y) - MIN(y) > 1 AND window_start < window_end \
     ORDER BY mean DESC, 1, COUNT(DISTINCT z) LIMIT 3;",
    "SELECT card, COUNT(*) AS n FROM TABLE(SESSION(TABLE \"T\" PARTITION BY (card), DESCRIPTOR(ts), INTERVAL '30' \
     MINUTES)) GROUP BY window_start, window_end, card",
    "x + y * -2 / 3 % 4 || 'z' = '' AND NOT a.x IS NOT DISTINCT FROM NULL OR x LIKE '%a' ESCAPE '!'",
    "CAST(x AS DECIMAL(10, 2)) >= DECIMAL '1.50' AND TRY_CAST(y AS TIMESTAMP WITH TIME ZONE) < TIMESTAMP '2024-02-29 \
     10:00:00.5+02:00' - INTERVAL '10' MINUTE",
    "PREV(FIRST(A.x * A.y, 2), 3) > NEXT(LAST(B.\"Y z\")) AND CLASSIFIER(A) = 'A' AND MATCH_NUMBER() > 1",
    "EXTRACT(HOUR FROM t AT TIME ZONE 'UTC') + POSITION('a' IN s) + SUBSTRING(s FROM 2 FOR 3) -- comment\n/* c */",
];

const INSERTS: &[&str] = &[
    "(",
    ")",
    "'",
    "\"",
    "--",
    "/*",
    ",",
    ".",
    "*",
    "+",
    "?",
    "{",
    "}",
    "{-",
    "-}",
    "->",
    "->>",
    "[->]",
    "[",
    "]",
    "ABSENT(",
    "UNTIL (",
    "WITHIN 5 ROWS ",
    "FOR INTERVAL '1' DAY",
    "|",
    "^",
    "$",
    " ",
    "\n",
    "NOT ",
    "FINAL ",
    "AS ",
    "PATTERN (",
    "DEFINE ",
    "é",
    "\u{0}",
    "𝄞",
    "9",
    "1e9",
    "INTERVAL '",
    "CASE ",
    "WHEN ",
    "SELECT ",
    "FROM ",
    "COUNT(",
    "PREV(",
    "TABLE(",
    "TUMBLE(",
    "GROUP BY ",
    "HAVING ",
    "SIZE => ",
    "{1,",
    "99999999999999999999",
    ";",
    "%",
    "=",
    "<",
];

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// A character boundary of the text.
fn place(text: &str, random: &mut Random) -> usize {
    let mut at = random.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn mutate(text: &mut String, random: &mut Random) {
    let (one, two) = (place(text, random), place(text, random));
    let (start, end) = (one.min(two), one.max(two));
    // Short pieces most of the time, so that texts stay nearly valid.
    let mut near = end.min(start + 1 + random.below(12));
    while !text.is_char_boundary(near) {
        near -= 1;
    }
    match random.below(6) {
        0 => text.replace_range(start..near, ""),
        1 => text.insert_str(start, INSERTS[random.below(INSERTS.len())]),
        2 => {
            let piece = text[start..near].to_owned();
            text.insert_str(end, &piece);
        }
        3 => {
            let other = CORPUS[random.below(CORPUS.len())];
            let from = place(other, random);
            let mut to = other.len().min(from + random.below(30));
            while !other.is_char_boundary(to) {
                to -= 1;
            }
            text.insert_str(start, &other[from..to.max(from)]);
        }
        4 => text.truncate(end),
        _ => text.replace_range(start..near, INSERTS[random.below(INSERTS.len())]),
    }
}

/// Reads the text everywhere; what parses must survive a round trip. Gives how many readings succeeded.
fn read(text: &str) -> usize {
    let mut parsed = 0;
    if let Ok(query) = parse_query(text) {
        let again = unparse_query(&query);
        assert_eq!(parse_query(&again).as_ref(), Ok(&query), "{text}\nbecame\n{again}");
        parsed += 1;
    }
    if let Ok(pattern) = parse_pattern(text) {
        let again = unparse_pattern(&pattern);
        assert_eq!(parse_pattern(&again).as_ref(), Ok(&pattern), "{text}\nbecame\n{again}");
        parsed += 1;
    }
    if let Ok(Statement::Window(query)) = parse_statement(text) {
        assert!(query.window.validate().is_ok(), "{text}");
        parsed += 1;
    }
    if let Ok(window) = parse_window(text) {
        assert_eq!(Window::from_json(&window.to_json()).as_ref(), Ok(&window), "{text}");
        parsed += 1;
    }
    // These are spelled as parts of a query of windows, so there is no round trip.
    parsed += usize::from(parse_expression(text, Dialect::Window).is_ok());
    for dialect in [Dialect::Condition, Dialect::Measure, Dialect::AlgebraCondition, Dialect::Outer] {
        match parse_expression(text, dialect) {
            Ok(expr) => {
                let again = unparse_expr(&expr);
                assert_eq!(parse_expression(&again, dialect).as_ref(), Ok(&expr), "{text}\nbecame\n{again}");
                parsed += 1;
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    parsed
}

#[test]
fn mutated_text_never_panics_and_what_parses_survives_a_round_trip() {
    let seconds = std::env::var("CEPHEID_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let valid: usize = CORPUS.iter().map(|text| read(text)).sum();
    assert!(valid >= CORPUS.len(), "the corpus itself does not parse: {valid} readings");
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random(0x00c0_ffee);
    let (mut inputs, mut parsed) = (0_u64, 0);
    while Instant::now() < deadline {
        let mut text = CORPUS[random.below(CORPUS.len())].to_owned();
        for _ in 0..=random.below(5) {
            mutate(&mut text, &mut random);
        }
        parsed += read(&text);
        inputs += 1;
    }
    assert!(inputs >= 100 * seconds, "only {inputs} inputs in {seconds} s");
    assert!(
        parsed > 0 || seconds == 0,
        "no mutated text parsed: the mutations are too wild to test anything"
    );
    println!("{inputs} inputs, {parsed} readings succeeded");
}
