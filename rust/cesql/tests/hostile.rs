//! Long and deep texts, and values that would grow.

use std::fmt::Write;

use cepheid_cesql::limits::{CONCAT_BYTES_MAX, DEPTH_MAX, TEXT_BYTES_MAX};
use cepheid_cesql::{
    Attributes, EvaluationErrorKind, Filter, LikePattern, ParseErrorKind, Reading, Value, parse, unparse,
};

struct Subject(String);

impl Attributes for Subject {
    fn read(&self, _: usize) -> Reading<'_> {
        Reading::Value(Value::String((&*self.0).into()))
    }
}

fn limit(text: &str) {
    assert_eq!(parse(text).map_err(|error| error.kind()), Err(ParseErrorKind::Limit));
}

#[test]
fn a_text_may_be_as_long_as_the_limit_says() {
    let text = format!("'{}'", "x".repeat(TEXT_BYTES_MAX - 2));
    assert!(parse(&text).is_ok());
    limit(&format!("{text} "));
    limit(&"é".repeat(TEXT_BYTES_MAX));
    limit(&"(".repeat(1 << 20));
}

#[test]
fn nesting_of_every_kind_ends_at_the_limit() {
    let deep = TEXT_BYTES_MAX / 20;
    for (open, close) in [
        ("(", ")"),
        ("-", ""),
        ("NOT ", ""),
        ("ABS(", ")"),
        ("1 IN (", ")"),
        ("1 + (", ")"),
        ("TRUE = (", ")"),
    ] {
        let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        limit(&nested(deep));
        assert!(parse(&nested(DEPTH_MAX / 5 - 1)).is_ok(), "{open}");
    }
    for (open, close) in [("(", ")"), ("-", ""), ("NOT ", "")] {
        let nested = |levels: usize| format!("{}TRUE{}", open.repeat(levels), close.repeat(levels));
        assert!(parse(&nested(DEPTH_MAX - 1)).is_ok(), "{open}");
        limit(&nested(DEPTH_MAX));
    }
    // To the left, where the parser does not call itself.
    for operator in ["+ 1", "= 1", "LIKE '1'", "IN (1)"] {
        limit(&format!("1 {}", format!("{operator} ").repeat(deep / 2)));
        assert!(parse(&format!("1 {}", format!("{operator} ").repeat(DEPTH_MAX - 1))).is_ok(), "{operator}");
        limit(&format!("1 {}", format!("{operator} ").repeat(DEPTH_MAX)));
    }
}

#[test]
fn thousands_of_alternatives_are_no_nesting() {
    let mut text = String::from("subject = 'x0'");
    for place in 1..3_000 {
        write!(text, " OR subject='x{place}'").unwrap();
    }
    let expression = parse(&text).unwrap();
    assert_eq!(parse(&unparse(&expression)), Ok(expression.clone()));
    let found = expression.evaluate(&Subject("x2999".into())).value.into_owned();
    assert_eq!(found, Value::Boolean(true));
    let set = (0..6_000).map(|place| place.to_string()).collect::<Vec<_>>().join(",");
    let expression = parse(&format!("subject IN ({set})")).unwrap();
    assert_eq!(expression.evaluate(&Subject("5999".into())).value, Value::Boolean(true));
}

#[test]
fn concatenation_ends_at_the_limit() {
    let calls = vec!["subject"; 5_000].join(",");
    let expression = parse(&format!("LENGTH(CONCAT({calls}))")).unwrap();
    let subject = Subject("x".repeat(CONCAT_BYTES_MAX / 5_000 + 1));
    let found = expression.evaluate(&subject);
    assert_eq!(found.value, Value::Integer(0));
    assert_eq!(found.errors[0].kind, EvaluationErrorKind::FunctionEvaluation);
    // Of constants, when it is made ready for batches.
    let delimiter = "x".repeat(30_000);
    let expression = parse(&format!("CONCAT_WS('{delimiter}', {}1) = ''", "1,".repeat(10_000))).unwrap();
    Filter::new(&expression);
    assert_eq!(expression.evaluate(&subject).errors.len(), 1);
}

#[test]
fn like_does_not_go_back_further_than_one_piece() {
    // Exponential for whoever tries each place of each `%` with each of the others.
    let pattern = LikePattern::new("a%".repeat(1_000) + "b");
    assert!(!pattern.fits(&"a".repeat(20_000)));
    assert!(LikePattern::new("_%".repeat(1_000)).fits(&"a".repeat(20_000)));
    assert!(!LikePattern::new("_%".repeat(1_000)).fits(&"a".repeat(999)));
}
