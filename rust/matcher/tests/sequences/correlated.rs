//! Conditions that compare a row with what runs know: only runs for which the comparison holds are looked at, however
//! many wait.

use arrow_array::RecordBatch;
use arrow_schema::{DataType, TimeUnit};
use cepheid_ir::{
    AfterMatchSkip, BinaryOp, Contiguity, Definition, Expr, Pattern, PatternNode, Quantifier, RowPointer,
    Selection, Step, TestedRow,
};
use cepheid_testkit::RefValue;
use cepheid_testkit::generate_streams::EVENT_TIME;
use cepheid_testkit::text_table::{TextColumn, TextTable};

use super::stream::Stream;

/// A row a letter and a value, one each nanosecond.
fn rows(rows: &[(char, i64)]) -> RecordBatch {
    let column = |name: &str, data_type| TextColumn { name: name.into(), data_type, declared: true };
    let columns = vec![
        column("k", DataType::Utf8),
        column(EVENT_TIME, DataType::Timestamp(TimeUnit::Nanosecond, None)),
        column("v", DataType::Int64),
    ];
    let row = |(time, (letter, value)): (usize, &(char, i64))| {
        vec![
            RefValue::String((*letter).into()),
            RefValue::Timestamp(time as i64),
            RefValue::Integer((*value).into()),
        ]
    };
    let table = TextTable { columns, rows: rows.iter().enumerate().map(row).collect() };
    table.to_batch().expect("cells fit their columns")
}

fn event(name: &str) -> PatternNode {
    PatternNode::Variable(name.to_owned())
}

/// Steps one after another, with gaps of a kind.
fn sequence(steps: Vec<PatternNode>, contiguity: Contiguity) -> Pattern {
    let steps = steps.into_iter().map(|node| Step { contiguity, node }).collect();
    Pattern::algebra(PatternNode::Sequence(steps))
}

/// The letter of an event, and how its value compares with that of another.
fn defined(mut pattern: Pattern, variable: &str, join: Option<(BinaryOp, &str)>) -> Pattern {
    let letter = Expr::binary(BinaryOp::Equal, Expr::column("k"), Expr::literal(variable));
    let mut conjuncts = vec![letter];
    if let Some((op, other)) = join {
        let at = RowPointer {
            variable: Some(other.to_owned()),
            tested_row: TestedRow::Excluded,
            ..RowPointer::default()
        };
        let known = Expr::Column { name: "v".into(), quoted: false, at };
        conjuncts.push(Expr::binary(op, Expr::column("v"), known));
    }
    let condition = if conjuncts.len() == 1 { conjuncts.remove(0) } else { Expr::And(conjuncts) };
    pattern.define.push(Definition { variable: variable.to_owned(), condition });
    pattern
}

fn selecting(pattern: Pattern, selection: Selection) -> Pattern {
    Pattern { selection, after_match: AfterMatchSkip::None, ..pattern }.normalise()
}

/// Runs looked at beyond those a plain row would be put to, matches found, times an index was asked.
fn work(pattern: &Pattern, batch: &RecordBatch) -> (u64, usize, u64) {
    let mut stream = Stream::new(pattern, batch).expect("a pattern of plain events");
    let mut found = 0;
    for start in (0..batch.num_rows()).step_by(100) {
        let length = 100.min(batch.num_rows() - start);
        stream.state.begin();
        found += stream.push(&batch.slice(start, length)).expect("no errors").len();
        stream.state.commit();
    }
    (stream.state.runs_visited(), found, stream.state.index_asked())
}

const SELECTIONS: [Selection; 2] = [Selection::First, Selection::All];
const GAPS: [Contiguity; 2] = [Contiguity::SkipTillNext, Contiguity::SkipTillAny];

#[test]
fn a_row_is_put_to_runs_of_its_own_value_alone() {
    for waiting in [500, 4000] {
        // So many runs wait, each for its own value; then come rows of values that few or none wait for.
        let starts = (0..waiting).map(|value| ('a', value));
        let probes = (0..300).map(|probe| ('b', if probe % 3 == 0 { probe } else { -1 - probe }));
        let batch = rows(&starts.chain(probes).collect::<Vec<_>>());
        for gap in GAPS {
            for selection in SELECTIONS {
                let pattern = sequence(vec![event("a"), event("b")], gap);
                let pattern = defined(defined(pattern, "a", None), "b", Some((BinaryOp::Equal, "a")));
                let (visited, found, asked) = work(&selecting(pattern, selection), &batch);
                assert_eq!(
                    (visited, found, asked),
                    (100, 100, 300),
                    "{waiting} waiting, {gap:?}, {selection:?}"
                );
            }
        }
    }
}

#[test]
fn an_absence_of_the_same_value_is_found_by_the_same_index() {
    let absent = PatternNode::Absent { variable: "c".into(), for_ns: None };
    let pattern = sequence(vec![event("a"), absent, event("b")], Contiguity::SkipTillNext);
    let pattern = defined(defined(pattern, "a", None), "b", Some((BinaryOp::Equal, "a")));
    let pattern = selecting(defined(pattern, "c", Some((BinaryOp::Equal, "a"))), Selection::First);
    for waiting in [500, 4000] {
        let starts = (0..waiting).map(|value| ('a', value));
        let ended = (0..100).map(|value| ('c', 2 * value));
        let probes = (0..200).map(|value| ('b', value));
        let batch = rows(&starts.chain(ended).chain(probes).collect::<Vec<_>>());
        // Each `c` ends the wait of one run, and each `b` of an odd value completes one.
        assert_eq!(work(&pattern, &batch), (200, 100, 300));
    }
}

#[test]
fn of_an_inequality_only_runs_that_it_holds_for_are_looked_at() {
    use BinaryOp::*;
    for (op, limit, own) in [
        (Greater, 10, (0..10)),
        (GreaterOrEqual, 9, (0..10)),
        (Less, -11, (-11..-2)),
        (LessOrEqual, -11, (-11..-2)),
    ] {
        for waiting in [500, 4000] {
            // Few runs know a value on the row's side of the limit.
            let far = if limit > 0 { 100 } else { -100 - waiting };
            let starts =
                (0..waiting).map(|value| ('a', far + value)).chain(own.clone().map(|value| ('a', value)));
            let probes = (0..200).map(|_| ('b', limit));
            let batch = rows(&starts.chain(probes).collect::<Vec<_>>());
            for selection in SELECTIONS {
                let pattern = sequence(vec![event("a"), event("b")], Contiguity::SkipTillNext);
                let pattern = defined(defined(pattern, "a", None), "b", Some((op, "a")));
                let (visited, found, asked) = work(&selecting(pattern, selection), &batch);
                let known = own.clone().count() as u64;
                let holds = |value: &i64| match op {
                    Greater => limit > *value,
                    GreaterOrEqual => limit >= *value,
                    Less => limit < *value,
                    _ => limit <= *value,
                };
                let expected = own.clone().filter(holds).count() as u64;
                assert!(expected + 1 >= known, "{op:?} {limit}: {expected} of {known}");
                assert_eq!(
                    (visited, found as u64, asked),
                    (expected, expected, 200),
                    "{op:?} {limit}, {waiting}"
                );
            }
        }
    }
}

#[test]
fn a_rising_loop_looks_only_at_runs_that_the_row_is_above() {
    for waiting in [500, 4000] {
        // Every start row waits for something above its own value; what comes is below all but a few of them.
        let quantifier = Quantifier { contiguity: Contiguity::SkipTillNext, ..Quantifier::new(1, None) };
        let rising = PatternNode::Quantified { node: Box::new(event("b")), quantifier };
        let pattern = sequence(vec![event("a"), event("b"), rising], Contiguity::SkipTillNext);
        let mut pattern = defined(defined(pattern, "a", None), "b", Some((BinaryOp::Greater, "b")));
        // The loop's first row follows `a`.
        let PatternNode::Sequence(steps) = &mut pattern.root else { unreachable!("a sequence") };
        steps.remove(1);
        let Expr::And(conjuncts) = &mut pattern.define[1].condition else { unreachable!("two conjuncts") };
        let aggregate = cepheid_ir::Aggregate {
            function: cepheid_ir::AggregateFunction::Max,
            args: vec![Expr::column("v")],
            distinct: false,
            variable: None,
            semantics: cepheid_ir::Semantics::Running,
            tested_row: TestedRow::Excluded,
        };
        conjuncts[1] = Expr::binary(BinaryOp::Greater, Expr::column("v"), Expr::Aggregate(aggregate));
        let starts = (0..waiting).map(|value| ('a', 1000 + value)).chain((0..5).map(|value| ('a', value)));
        let probes = (10..110).map(|value| ('b', value));
        let batch = rows(&starts.chain(probes).collect::<Vec<_>>());
        let (visited, found, asked) = work(&selecting(pattern, Selection::All), &batch);
        // Each of the five grows by every row, and reports each time: it waits again each time.
        assert_eq!((visited, found), (500, 500), "{waiting} waiting");
        assert!(asked >= 100, "{asked}");
    }
}
