//! Short ways to write patterns, rows and derived events down.
//!
//! - An event `ab` accepts rows whose `k` is the first letter of its name, and `any` every row.
//! - Rows: `a@5:7/x` is a row with `k = 'a'` at minute 5, `v = 7`, in partition `x`; `-` stands for NULL.
//! - Derived events: `a0 b2` is a match; `timeout a0` and `raised a0` say what else they are. `@` with a row number, a
//!   minute (`5m`) or `end` tells the moment.

use cepheid_ir::{
    AfterMatchSkip, Between, BinaryOp, Contiguity, Definition, EmitAt, Expr, Pattern, PatternNode,
    Quantifier, Selection, SkipRow, Step, TestedRow, Within,
};
use cepheid_testkit::{
    Moment, RefValue, ReferenceError, ReferenceTable, SequenceEvent, SequenceInput, SequenceKind,
    reference_sequences,
};

pub(super) const MINUTE: i64 = 60_000_000_000;
pub(super) use Contiguity::{SkipTillAny as Any, SkipTillNext as Then, Strict as Next};

pub(super) fn event(name: &str) -> PatternNode {
    PatternNode::Variable(name.into())
}

pub(super) fn absent(name: &str) -> PatternNode {
    PatternNode::Absent { variable: name.into(), for_ns: None }
}

pub(super) fn absent_for(name: &str, minutes: i64) -> PatternNode {
    PatternNode::Absent { variable: name.into(), for_ns: Some(minutes * MINUTE) }
}

/// `first`, then each step after its relation.
pub(super) fn seq<const N: usize>(first: PatternNode, others: [(Contiguity, PatternNode); N]) -> PatternNode {
    let mut steps = vec![Step { contiguity: Next, node: first }];
    steps.extend(others.into_iter().map(|(contiguity, node)| Step { contiguity, node }));
    PatternNode::Sequence(steps)
}

pub(super) fn either<const N: usize>(parts: [PatternNode; N]) -> PatternNode {
    PatternNode::Alternation(parts.into())
}

pub(super) fn all_of<const N: usize>(contiguity: Contiguity, parts: [PatternNode; N]) -> PatternNode {
    PatternNode::Permute { parts: parts.into(), contiguity }
}

pub(super) fn times(node: PatternNode, min: u32, max: Option<u32>, contiguity: Contiguity) -> PatternNode {
    let quantifier = Quantifier { contiguity, ..Quantifier::new(min, max) };
    PatternNode::Quantified { node: Box::new(node), quantifier }
}

pub(super) fn many(node: PatternNode) -> PatternNode {
    times(node, 1, None, Then)
}

pub(super) fn optional(node: PatternNode) -> PatternNode {
    times(node, 0, Some(1), Then)
}

pub(super) fn greedy(node: PatternNode, greedy: bool) -> PatternNode {
    let PatternNode::Quantified { node, quantifier } = node else { panic!("no loop") };
    PatternNode::Quantified { node, quantifier: Quantifier { greedy: Some(greedy), ..quantifier } }
}

pub(super) fn until(node: PatternNode, condition: Expr) -> PatternNode {
    let PatternNode::Quantified { node, quantifier } = node else { panic!("no loop") };
    PatternNode::Quantified {
        node,
        quantifier: Quantifier { until: Some(Box::new(condition)), ..quantifier },
    }
}

pub(super) fn bounded(node: PatternNode, within: Within, between: Between) -> PatternNode {
    PatternNode::Bounded { node: Box::new(node), within, between }
}

pub(super) fn minutes(minutes: i64) -> Within {
    Within::Time { nanoseconds: minutes * MINUTE }
}

pub(super) fn is(letter: &str) -> Expr {
    Expr::binary(BinaryOp::Equal, Expr::column("k"), Expr::literal(letter))
}

/// The last `v` of a variable so far.
pub(super) fn last_v(variable: &str) -> Expr {
    Expr::Column {
        name: "v".into(),
        quoted: false,
        at: cepheid_ir::RowPointer {
            variable: Some(variable.into()),
            tested_row: TestedRow::Excluded,
            ..Default::default()
        },
    }
}

/// The pattern under `"first"`, matches after matches' last rows.
pub(super) fn first(root: PatternNode) -> Pattern {
    let mut pattern = Pattern::algebra(root);
    let names: Vec<String> = pattern.root.variables().into_iter().map(str::to_owned).collect();
    for variable in names.into_iter().filter(|name| name != "any") {
        let condition = is(&variable[..1]);
        pattern.define.push(Definition { variable, condition });
    }
    pattern
}

/// The pattern under `"all"`, matches regardless of each other.
pub(super) fn all(root: PatternNode) -> Pattern {
    Pattern { selection: Selection::All, after_match: AfterMatchSkip::None, ..first(root) }
}

/// Changes that tests make to patterns, in the words of the algebra.
pub(super) trait Clauses: Sized {
    fn within(self, within: Within) -> Pattern;
    fn after(self, after_match: AfterMatchSkip) -> Pattern;
    fn define(self, variable: &str, condition: Expr) -> Pattern;
    fn by_key(self) -> Pattern;
    fn timeouts(self) -> Pattern;
    fn emit_at(self, variable: &str) -> Pattern;
    fn having(self, condition: Expr) -> Pattern;
}

impl Clauses for Pattern {
    fn within(self, within: Within) -> Pattern {
        Pattern { within: Some(within), ..self }
    }

    fn after(self, after_match: AfterMatchSkip) -> Pattern {
        Pattern { after_match, ..self }
    }

    fn define(mut self, variable: &str, condition: Expr) -> Pattern {
        self.define.retain(|definition| definition.variable != variable);
        self.define.push(Definition { variable: variable.into(), condition });
        self
    }

    fn by_key(self) -> Pattern {
        Pattern { partition_by: vec![cepheid_ir::ColumnName::unquoted("p")], ..self }
    }

    fn timeouts(self) -> Pattern {
        Pattern { timeouts: true, ..self }
    }

    fn emit_at(mut self, variable: &str) -> Pattern {
        self.emit_at.push(EmitAt { variable: variable.into(), topic: "raised".into(), measures: vec![] });
        self
    }

    fn having(self, condition: Expr) -> Pattern {
        Pattern { having: Some(condition), ..self }
    }
}

pub(super) fn to(variable: &str, row: SkipRow, strict: bool) -> AfterMatchSkip {
    AfterMatchSkip::ToVariable { variable: variable.into(), row, strict }
}

/// Rows of one table.
pub(super) fn table(rows: &str) -> ReferenceTable {
    let columns = ["k", "ts", "v", "p"].map(str::to_owned).into();
    let parse = |text: &str| {
        let (text, key) = text.split_once('/').unwrap_or((text, "-"));
        let (text, value) = text.split_once(':').unwrap_or((text, "-"));
        let (letter, minute) = text.split_once('@').unwrap_or((text, "-"));
        let string = |text: &str| if text == "-" { RefValue::Null } else { RefValue::String(text.into()) };
        let number = |text: &str| text.parse::<i64>().ok();
        vec![
            string(letter),
            number(minute).map_or(RefValue::Null, |minute| RefValue::Timestamp(minute * MINUTE)),
            number(value).map_or(RefValue::Null, |value| RefValue::Integer(value.into())),
            string(key),
        ]
    };
    ReferenceTable { columns, rows: rows.split_whitespace().map(parse).collect() }
}

fn kind(event: &SequenceEvent) -> &'static str {
    match event.kind {
        SequenceKind::Match => "",
        SequenceKind::Timeout => "timeout ",
        SequenceKind::Emitted(_) => "raised ",
    }
}

fn moment(moment: Moment) -> String {
    match moment {
        Moment { end_of_input: true, .. } => "end".into(),
        Moment { row: Some(row), .. } => row.to_string(),
        Moment { time, .. } => format!("{}m", time.expect("a deadline has a time") / i128::from(MINUTE)),
    }
}

/// Derived events as text.
pub(super) fn written(events: &[SequenceEvent], with_moments: bool) -> Vec<String> {
    let one = |event: &SequenceEvent| {
        let members: Vec<String> =
            event.members.iter().map(|(name, _, row)| format!("{name}{row}")).collect();
        let at = if with_moments { format!(" @{}", moment(event.moment)) } else { String::new() };
        format!("{}{}{at}", kind(event), members.join(" "))
    };
    events.iter().map(one).collect()
}

/// Everything derived from a table.
pub(super) fn derive(pattern: &Pattern, rows: &str) -> Result<Vec<SequenceEvent>, ReferenceError> {
    let timed = rows.contains('@').then_some("ts");
    reference_sequences(&pattern.clone().normalise(), &SequenceInput::table(table(rows), timed))
}

/// Asserts what is derived from a table, in order; with moments if the expectation tells any.
#[track_caller]
pub(super) fn check(pattern: &Pattern, rows: &str, expected: &[&str]) {
    let events = derive(pattern, rows).unwrap_or_else(|error| panic!("{error}"));
    let with_moments = expected.iter().any(|event| event.contains('@'));
    assert_eq!(written(&events, with_moments), expected, "rows: {rows}");
}

/// Asserts the code of the error.
#[track_caller]
pub(super) fn check_error(pattern: &Pattern, rows: &str, code: &str) {
    let error = derive(pattern, rows).expect_err("an error is expected");
    assert_eq!(error.code(), code, "{error}");
}
