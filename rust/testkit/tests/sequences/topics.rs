//! Several topics, merged into one order.

use cepheid_ir::{BinaryOp, Expr, Pattern, VariableTopic};
use cepheid_testkit::{SequenceInput, reference_sequences};

use super::notation::*;

fn of(mut pattern: Pattern, topics: &[(&str, &str)]) -> Pattern {
    for (variable, topic) in topics {
        pattern.topics.push(VariableTopic { variable: (*variable).into(), topic: (*topic).into() });
    }
    pattern
}

fn found(
    pattern: &Pattern,
    topics: &[(&str, &str)],
    arrival: Option<Vec<(usize, usize)>>,
) -> Vec<Vec<String>> {
    let input = SequenceInput {
        topics: topics.iter().map(|(name, rows)| ((*name).to_owned(), table(rows))).collect(),
        event_time: Some("ts".into()),
        arrival,
        clock: None,
        lateness: None,
    };
    let events = reference_sequences(&pattern.clone().normalise(), &input).unwrap();
    let member = |(name, topic, row): &(String, usize, usize)| format!("{name}={}:{row}", topics[*topic].0);
    events.iter().map(|event| event.members.iter().map(member).collect()).collect()
}

#[test]
fn a_variable_takes_rows_of_its_topic_alone() {
    let pattern = of(first(seq(event("a"), [(Then, event("b"))])), &[("a", "left"), ("b", "right")]);
    let topics = [("left", "a@0 b@1"), ("right", "a@2 b@3")];
    assert_eq!(found(&pattern, &topics, None), [["a=left:0", "b=right:1"]]);
}

#[test]
fn rows_of_topics_that_the_pattern_does_not_name_are_not_there() {
    let pattern = of(first(seq(event("a"), [(Next, event("b"))])), &[("a", "left"), ("b", "right")]);
    let topics = [("left", "a@0"), ("right", "b@2"), ("other", "x@1")];
    assert_eq!(found(&pattern, &topics, None), [["a=left:0", "b=right:0"]]);
    // Unless a variable takes rows of any.
    let pattern = of(first(seq(event("a"), [(Next, event("b"))])), &[("a", "left")]);
    assert!(found(&pattern, &topics, None).is_empty());
}

#[test]
fn an_absent_event_names_topics_too() {
    let pattern = of(
        first(seq(event("a"), [(Then, absent("x")), (Then, event("b"))])),
        &[("a", "left"), ("b", "left"), ("x", "right")],
    );
    assert_eq!(
        found(&pattern, &[("left", "a@0 x@1 b@3"), ("right", "y@2")], None),
        [["a=left:0", "b=left:2"]]
    );
    assert!(found(&pattern, &[("left", "a@0 x@1 b@3"), ("right", "x@2")], None).is_empty());
}

#[test]
fn equal_times_go_by_the_order_of_topics_unless_arrival_is_told() {
    let pattern = of(first(seq(event("a"), [(Then, event("b"))])), &[("a", "left"), ("b", "right")]);
    let topics = [("right", "b@0"), ("left", "a@0")];
    assert!(found(&pattern, &topics, None).is_empty());
    assert_eq!(found(&pattern, &topics, Some(vec![(1, 0), (0, 0)])), [["a=left:0", "b=right:0"]]);
}

#[test]
fn a_column_that_a_topic_lacks_is_null_there() {
    let mut input = SequenceInput {
        topics: vec![("left".into(), table("a@0:1 a@2:1")), ("right".into(), table("a@1:1"))],
        event_time: Some("ts".into()),
        arrival: None,
        clock: None,
        lateness: None,
    };
    let right = &mut input.topics[1].1;
    right.columns.truncate(2);
    right.rows.iter_mut().for_each(|row| row.truncate(2));
    let valued = Expr::binary(BinaryOp::Equal, Expr::column("v"), Expr::literal(1_i64));
    let pattern =
        first(seq(event("a"), [(Then, event("ab"))])).define("a", valued.clone()).define("ab", valued);
    let events = reference_sequences(&pattern.normalise(), &input).unwrap();
    assert_eq!(written(&events, false), ["a0 ab1"]);
    assert_eq!(events[0].members[1], ("ab".into(), 0, 1));
}
