//! Text made to hurt: depth, size, nonsense. Nothing panics, nothing exhausts a stack, nothing takes long.

use std::time::{Duration, Instant};

use cepheid_sql::{Dialect, parse_expression, parse_pattern, parse_query, parse_statement, parse_window};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const MEGABYTE: usize = 1 << 20;
const DIALECTS: [Dialect; 6] = [
    Dialect::Condition,
    Dialect::Measure,
    Dialect::AlgebraCondition,
    Dialect::AlgebraMeasure,
    Dialect::Outer,
    Dialect::Window,
];

/// Generous for a debug build on a loaded machine; the texts are of a megabyte.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs in a thread with the stack of a small worker.
fn in_small_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(2 * MEGABYTE).spawn(work).expect("a thread");
    thread.join().expect("no panic")
}

fn expression_code(text: String) -> &'static str {
    in_small_thread(move || {
        let start = Instant::now();
        let code =
            parse_expression(&text, Dialect::Condition).map_or_else(|error| error.code(), |_| "parsed");
        assert!(start.elapsed() < PATIENCE, "{:?} for {}", start.elapsed(), &text[..40]);
        code
    })
}

fn pattern_code(text: String) -> &'static str {
    in_small_thread(move || {
        let start = Instant::now();
        let code = parse_pattern(&text).map_or_else(|error| error.code(), |_| "parsed");
        assert!(start.elapsed() < PATIENCE, "{:?} for {}", start.elapsed(), &text[..40]);
        code
    })
}

/// As many repetitions as a legal text holds.
fn fill(part: &str) -> String {
    part.repeat((MEGABYTE - 4096) / part.len())
}

#[test]
fn hostile_depth_in_expressions_is_refused() {
    let parts = [
        "(",
        "NOT ",
        "- ",
        "+ ",
        "CASE WHEN ",
        "CASE ",
        "CASE WHEN x THEN ",
        "CASE WHEN x THEN 1 ELSE ",
        "abs(",
        "SUM(",
        "PREV(",
        "FIRST(",
        "x + (",
        "x = (",
        "x IN (",
        "x BETWEEN ",
        "x LIKE ",
        "CAST(",
        "EXTRACT(YEAR FROM ",
        "POSITION(",
        "SUBSTRING(",
        "TRIM(",
        "IF(x, ",
        "x AND (",
        "x OR (",
        "x || ",
        "x + ",
        "x AT TIME ZONE ",
        "coalesce(x, ",
        "NOT (",
        "-(",
        "x IS DISTINCT FROM (",
    ];
    for part in parts {
        let code = expression_code(part.repeat(MEGABYTE / 8 / part.len()));
        assert!(matches!(code, "limit-exceeded" | "syntax"), "{code} for {part}");
        let closed = format!("{}x{}", part.repeat(20_000 / part.len()), ")".repeat(20_000 / part.len()));
        let code = expression_code(closed);
        assert!(matches!(code, "limit-exceeded" | "syntax"), "{code} for closed {part}");
    }
    assert_eq!(parts.len(), 32);
    for part in ["(", "NOT ", "abs(", "x IN (", "CASE WHEN "] {
        assert_eq!(expression_code(fill(part)), "limit-exceeded", "for {part}");
    }
}

#[test]
fn hostile_depth_in_patterns_is_refused() {
    let parts = ["(", "{- ", "PERMUTE(", "(A ", "(A | ", "((A)+ ", "^ (", "PERMUTE(A, ", "(A -> "];
    for part in parts {
        let code = pattern_code(format!("MATCH_RECOGNIZE (PATTERN ({}", fill(part)));
        assert_eq!(code, "limit-exceeded", "for {part}");
    }
    assert_eq!(parts.len(), 9);
    let code = pattern_code(format!("MATCH_RECOGNIZE (PATTERN (A+ UNTIL ({}", fill("NOT (")));
    assert_eq!(code, "limit-exceeded");
}

#[test]
fn depth_up_to_the_limit_is_accepted() {
    let nested =
        |open: &str, close: &str, levels| format!("{}x{}", open.repeat(levels), close.repeat(levels));
    for (open, close) in
        [("NOT (", ")"), ("abs(", ")"), ("-(", ")"), ("CASE WHEN ", " THEN 1 END"), ("1 + (", ")")]
    {
        assert_eq!(expression_code(nested(open, close, 127)), "parsed", "for {open}");
        assert_eq!(expression_code(nested(open, close, 128)), "limit-exceeded", "for {open}");
    }
    let pattern =
        |levels: usize| format!("MATCH_RECOGNIZE (PATTERN ({}A{}))", "(".repeat(levels), "+)".repeat(levels));
    assert_eq!(pattern_code(pattern(63)), "parsed");
    assert_eq!(pattern_code(pattern(64)), "limit-exceeded");
}

#[test]
fn long_flat_texts_take_time_linear_in_their_length() {
    let whole = |part: &str, last: &str| format!("{}{last}", fill(part));
    assert_eq!(expression_code(whole("x AND ", "x")), "parsed");
    assert_eq!(expression_code(whole("x OR y AND ", "x")), "parsed");
    assert_eq!(expression_code(whole("x + ", "x")), "limit-exceeded");
    assert_eq!(expression_code(format!("x IN ({})", whole("1,", "1"))), "parsed");
    assert_eq!(expression_code(format!("coalesce({})", whole("1,", "1"))), "invalid-expression");
    assert_eq!(expression_code(whole("/**/", "x")), "parsed");
    assert_eq!(expression_code(format!("'{}'", fill("''"))), "parsed");
    assert_eq!(expression_code(whole("\"", "x")), "syntax");
    assert_eq!(expression_code(whole("x.", "x")), "unsupported");
    assert_eq!(expression_code(fill("9")), "invalid-literal");
    assert_eq!(expression_code(format!("INTERVAL '{}'", fill("1 hour "))), "parsed");
    assert_eq!(expression_code(format!("CASE {} END", fill("WHEN x THEN 1 "))), "parsed");
    assert_eq!(expression_code(" ".repeat(MEGABYTE + 1)), "limit-exceeded");
}

#[test]
fn long_patterns_take_time_linear_in_their_length() {
    let clause = |body: String| format!("MATCH_RECOGNIZE ({body})");
    assert_eq!(pattern_code(clause(format!("PATTERN ({})", fill("A ")))), "limit-exceeded");
    assert_eq!(pattern_code(clause(format!("PATTERN ({})", "A ".repeat(200_000)))), "parsed");
    assert_eq!(pattern_code(clause(format!("PATTERN ({}A)", "A|".repeat(199_999)))), "parsed");
    assert_eq!(pattern_code(clause(format!("PATTERN ({})", fill("() ")))), "parsed");
    assert_eq!(pattern_code(clause(format!("PATTERN ({}A)", fill("A WITHIN 5 ROWS -> ")))), "parsed");
    assert_eq!(pattern_code(clause(format!("PATTERN ({}A)", fill("A{2} [->] UNTIL (x) -> ")))), "parsed");
    assert_eq!(pattern_code(clause(format!("PATTERN ({}A)", fill("A -> ABSENT(X) -> ")))), "parsed");
    let absences = fill("ABSENT(X FOR INTERVAL '1' DAY) -> ");
    assert_eq!(pattern_code(clause(format!("PATTERN ({absences}A)"))), "parsed");
    assert_eq!(pattern_code(clause(format!("PATTERN (A{})", fill(" WITHIN 5 ROWS")))), "syntax");
    assert_eq!(pattern_code(clause(format!("PATTERN (A{})", fill(" [->]")))), "syntax");
    let names: String = (0..1024).map(|index| format!("V{index} ")).collect();
    assert_eq!(pattern_code(clause(format!("PATTERN ({names})"))), "parsed");
    assert_eq!(pattern_code(clause(format!("PATTERN ({names} ONE_MORE)"))), "limit-exceeded");
    let sum = format!("{}V1023.x > 0", "V1023.x + ".repeat(100));
    let conditions =
        |count| (0..count).map(|index| format!("V{index} AS {sum}")).collect::<Vec<_>>().join(", ");
    assert_eq!(pattern_code(clause(format!("PATTERN ({names}) DEFINE {}", conditions(900)))), "parsed");
    let columns = (0..4097).map(|index| format!("c{index}")).collect::<Vec<_>>().join(", ");
    assert_eq!(pattern_code(clause(format!("PARTITION BY {columns} PATTERN (A)"))), "limit-exceeded");
}

#[test]
fn long_queries_take_time_linear_in_their_length() {
    let code = |text: String| {
        in_small_thread(move || {
            let start = Instant::now();
            let code = parse_query(&text).map_or_else(|error| error.code(), |_| "parsed");
            assert!(start.elapsed() < PATIENCE, "{:?} for {}", start.elapsed(), &text[..40]);
            code
        })
    };
    let clause = "FROM t MATCH_RECOGNIZE (PATTERN (A))";
    assert_eq!(code(format!("SELECT {}x {clause}", fill("x,"))), "limit-exceeded");
    assert_eq!(code(format!("SELECT x {clause} ORDER BY {}1", fill("1,"))), "limit-exceeded");
    let most = |item: &dyn Fn(usize) -> String| (1..=4096).map(item).collect::<Vec<_>>().join(", ");
    let names = most(&|index| format!("x AS c{index}"));
    let last = most(&|_| "4096".to_owned());
    assert_eq!(code(format!("SELECT {names} {clause} ORDER BY {last}")), "parsed");
    assert_eq!(code(format!("SELECT {names}, x {clause} ORDER BY {last}")), "limit-exceeded");
    let before_all = names.replacen("x AS c4096", "*", 1);
    assert_eq!(code(format!("SELECT {before_all} {clause} ORDER BY {last}")), "unsupported");
}

#[test]
fn nested_simple_cases_do_not_multiply() {
    let mut text = "x".to_owned();
    for _ in 0..40 {
        text = format!("CASE {text} WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 END");
    }
    assert_eq!(expression_code(text), "limit-exceeded");
    let wide = format!("x{}", " + CASE x + y + z WHEN 1 THEN 1 WHEN 2 THEN 2 END".repeat(100));
    assert_eq!(expression_code(wide), "parsed");
}

/// Every entry point reads the text; what comes out does not matter, and spans lie in the text.
fn read_everywhere(text: &str) {
    let results = [
        parse_statement(text).err(),
        parse_query(text).err(),
        parse_pattern(text).err(),
        parse_window(text).err(),
    ];
    let expressions = DIALECTS.map(|dialect| parse_expression(text, dialect).err());
    for error in results.into_iter().chain(expressions).flatten() {
        let span = error.span();
        assert!(text.get(span.start..span.end).is_some(), "span {span:?} is not in {text:?}");
        assert!(error.line() >= 1 && error.column() >= 1 && !error.to_string().is_empty());
    }
}

fn run<S: Strategy>(cases: u32, strategy: &S, read: impl Fn(&S::Value)) {
    let ran = std::cell::Cell::new(0_u32);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(strategy, |value| {
        ran.set(ran.get() + 1);
        read(&value);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(ran.get() >= cases, "only {} of {cases} cases ran", ran.get());
}

#[test]
fn random_bytes_never_panic() {
    run(2000, &proptest::collection::vec(any::<u8>(), 0..200), |bytes| {
        read_everywhere(&String::from_utf8_lossy(bytes));
    });
    run(2000, &any::<String>(), |text| read_everywhere(text));
}

#[test]
fn token_soup_never_panics() {
    const TOKENS: &[&str] = &[
        "SELECT",
        "FROM",
        "t",
        "MATCH_RECOGNIZE",
        "(",
        ")",
        "PARTITION",
        "BY",
        "ORDER",
        "MEASURES",
        "AS",
        "ONE",
        "ROW",
        "ALL",
        "ROWS",
        "PER",
        "MATCH",
        "AFTER",
        "SKIP",
        "TO",
        "NEXT",
        "PAST",
        "LAST",
        "FIRST",
        "PATTERN",
        "SUBSET",
        "DEFINE",
        "WITHIN",
        "INTERVAL",
        "'1'",
        "DAY",
        "A",
        "B",
        "\"a\"",
        "x",
        ".",
        ",",
        ";",
        "+",
        "-",
        "*",
        "/",
        "%",
        "||",
        "|",
        "=",
        "<>",
        "<",
        "<=",
        "?",
        "{",
        "}",
        "{-",
        "-}",
        "^",
        "$",
        "->",
        "->>",
        "[",
        "]",
        "UNTIL",
        "FOR",
        "NEIGHBOURS",
        "CONSUME",
        "TIMEOUT",
        "WITH",
        "1",
        "2.5",
        "'s'",
        "NOT",
        "AND",
        "OR",
        "IN",
        "IS",
        "NULL",
        "LIKE",
        "BETWEEN",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "CAST",
        "BIGINT",
        "SUM",
        "COUNT",
        "PREV",
        "FINAL",
        "RUNNING",
        "DISTINCT",
        "CLASSIFIER",
        "DATE",
        "'2024-01-01'",
        "PERMUTE",
        "é",
        "ABSENT",
        "MATCHES",
        "INITIAL",
        "EXTRACT",
        "YEAR",
        "AT",
        "TIME",
        "ZONE",
        "--",
        "/*",
        "*/",
        "'",
        "\"",
        "\n",
    ];
    let soup = proptest::collection::vec(proptest::sample::select(TOKENS), 0..60);
    run(4000, &soup, |tokens| read_everywhere(&tokens.join(" ")));
    let clause = (soup.clone(), proptest::collection::vec(proptest::sample::select(TOKENS), 0..30));
    run(3000, &clause, |(before, after)| {
        read_everywhere(&format!(
            "SELECT * FROM t MATCH_RECOGNIZE ({} PATTERN (A B+) DEFINE A AS {}",
            before[..before.len().min(4)].join(" "),
            after.join(" ")
        ));
    });
}
