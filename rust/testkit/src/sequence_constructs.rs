//! Which constructs a pattern uses: what a random sample is counted by.

use std::collections::BTreeSet;

use cepheid_ir::{
    AfterMatchSkip, Between, Contiguity, Expr, Pattern, PatternNode, Selection, SkipRow, Within,
};

/// Every construct that [`constructs`] can find.
pub const CONSTRUCTS: &[&str] = &[
    "strict",
    "skip-till-next",
    "skip-till-any",
    "loop",
    "strict-loop",
    "skip-till-next-loop",
    "skip-till-any-loop",
    "group",
    "optional",
    "alternation",
    "any-order",
    "until",
    "until-of-group",
    "greedy",
    "reluctant",
    "absence-open",
    "absence-strict",
    "absence-leading",
    "absence-trailing",
    "absence-for",
    "bound-first-to-last",
    "bound-neighbours",
    "bound-rows",
    "within-time",
    "within-rows",
    "first",
    "all",
    "past-last-row",
    "to-next-row",
    "to-first",
    "to-last",
    "to-strict",
    "none",
    "consume",
    "having",
    "timeouts",
    "emit-at",
    "partitions",
    "order-by",
    "look-back",
    "aggregate",
    "prev",
    "next",
];

/// The constructs of a pattern, each of [`CONSTRUCTS`], and `"topics"`.
pub fn constructs(pattern: &Pattern) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    of_node(&pattern.root, &mut found);
    of_edges(&pattern.root, &mut found);
    found.extend(match pattern.within {
        Some(Within::Time { .. }) => Some("within-time"),
        Some(Within::Rows(_)) => Some("within-rows"),
        Some(Within::Unbounded) | None => None,
    });
    found.insert(match pattern.selection {
        Selection::First => "first",
        Selection::All => "all",
    });
    found.insert(match &pattern.after_match {
        AfterMatchSkip::PastLastRow => "past-last-row",
        AfterMatchSkip::ToNextRow => "to-next-row",
        AfterMatchSkip::ToVariable { strict: true, .. } => "to-strict",
        AfterMatchSkip::ToVariable { row: SkipRow::First, .. } => "to-first",
        AfterMatchSkip::ToVariable { row: SkipRow::Last, .. } => "to-last",
        AfterMatchSkip::None => "none",
        AfterMatchSkip::Consume => "consume",
    });
    let clauses = [
        ("having", pattern.having.is_some()),
        ("timeouts", pattern.timeouts),
        ("emit-at", !pattern.emit_at.is_empty()),
        ("partitions", !pattern.partition_by.is_empty()),
        ("order-by", !pattern.order_by.is_empty()),
        ("topics", !pattern.topics.is_empty()),
    ];
    found.extend(clauses.into_iter().filter(|(_, used)| *used).map(|(name, _)| name));
    for definition in &pattern.define {
        definition.condition.walk(&mut |expr| match expr {
            Expr::Column { at, .. } if at.physical_offset < 0 => _ = found.insert("prev"),
            Expr::Column { at, .. } if at.physical_offset > 0 => _ = found.insert("next"),
            Expr::Column { at, .. } if at.variable.is_some() => _ = found.insert("look-back"),
            Expr::Aggregate(_) => _ = found.insert("aggregate"),
            _ => {}
        });
    }
    found
}

fn of_node(node: &PatternNode, found: &mut BTreeSet<&'static str>) {
    match node {
        PatternNode::Sequence(steps) => {
            for step in steps.iter().skip(1) {
                found.insert(match (&step.node, step.contiguity) {
                    (PatternNode::Absent { .. }, Contiguity::Strict) => "absence-strict",
                    (PatternNode::Absent { .. }, _) => "absence-open",
                    (_, Contiguity::Strict) => "strict",
                    (_, Contiguity::SkipTillNext) => "skip-till-next",
                    (_, Contiguity::SkipTillAny) => "skip-till-any",
                });
            }
        }
        PatternNode::Alternation(_) => _ = found.insert("alternation"),
        PatternNode::Permute { .. } => _ = found.insert("any-order"),
        PatternNode::Absent { for_ns: Some(_), .. } => _ = found.insert("absence-for"),
        PatternNode::Bounded { within, between, .. } => {
            found.insert(match between {
                Between::FirstToLast => "bound-first-to-last",
                Between::Neighbours => "bound-neighbours",
            });
            if matches!(within, Within::Rows(_)) {
                found.insert("bound-rows");
            }
        }
        PatternNode::Quantified { node, quantifier } => {
            let group = node.variables().len() > 1;
            if quantifier.max == Some(1) {
                found.insert("optional");
            } else {
                found.insert("loop");
                found.insert(match quantifier.contiguity {
                    Contiguity::Strict => "strict-loop",
                    Contiguity::SkipTillNext => "skip-till-next-loop",
                    Contiguity::SkipTillAny => "skip-till-any-loop",
                });
            }
            let marks = [
                ("group", group),
                ("until", quantifier.until.is_some() && !group),
                ("until-of-group", quantifier.until.is_some() && group),
                ("greedy", quantifier.greedy == Some(true)),
                ("reluctant", quantifier.greedy == Some(false)),
            ];
            found.extend(marks.into_iter().filter(|(_, used)| *used).map(|(name, _)| name));
        }
        _ => {}
    }
    node.children().into_iter().for_each(|child| of_node(child, found));
}

/// Absence at the edges of the outermost sequence.
fn of_edges(root: &PatternNode, found: &mut BTreeSet<&'static str>) {
    if let PatternNode::Sequence(steps) = root {
        let absent = |step: Option<&cepheid_ir::Step>| {
            step.is_some_and(|step| matches!(step.node, PatternNode::Absent { .. }))
        };
        if absent(steps.first()) {
            found.insert("absence-leading");
        }
        if absent(steps.last()) {
            found.insert("absence-trailing");
        }
    }
}
