//! Where absent events can stand: between steps, or first, or last with a time to be absent for.

use crate::error::PatternError;
use crate::pattern::{Contiguity, Pattern, PatternNode, Within};

/// Checks that every absent event of the pattern stands where one can.
pub(crate) fn absences_possible(pattern: &Pattern) -> Result<(), PatternError> {
    let mut found = Ok(());
    pattern.root.walk(&mut |node| {
        if found.is_ok() {
            found = place_possible(node);
        }
    });
    found?;
    spans_possible(&pattern.root, Around::default())?;
    absent_or_present(&pattern.root)?;
    let mut last = vec![];
    trailing(&pattern.root, Contiguity::Strict, &mut last);
    let bounded = matches!(pattern.within, Some(Within::Time { .. }));
    for (variable, for_ns, contiguity) in last {
        if for_ns.is_none() && contiguity != Contiguity::Strict && !bounded {
            return refuse(
                variable,
                "as the last step it needs a time to be absent for; give it one, or bound the pattern by WITHIN, in Python within()",
            );
        }
    }
    match alone(&pattern.root) {
        Some(variable) => refuse(variable, "a match needs at least one row that is there"),
        None => Ok(()),
    }
}

fn refuse(variable: &str, problem: &'static str) -> Result<(), PatternError> {
    Err(PatternError::InvalidAbsence { variable: variable.to_owned(), problem })
}

/// SQL may name a variable in several places: no match has rows of one that is absent in any of them.
fn absent_or_present(root: &PatternNode) -> Result<(), PatternError> {
    let present = root.present_variables();
    match root.absent_variables().into_iter().find(|variable| present.contains(variable)) {
        Some(variable) => refuse(
            variable,
            "it is awaited elsewhere in the pattern; give the absent event a name of its own",
        ),
        None => Ok(()),
    }
}

/// What one part forbids its direct parts.
fn place_possible(node: &PatternNode) -> Result<(), PatternError> {
    match node {
        PatternNode::Absent { for_ns: Some(nanoseconds), .. } if *nanoseconds <= 0 => {
            Err(PatternError::InvalidWithin)
        }
        PatternNode::Quantified { node, quantifier } => {
            if let Some(variable) = alone(node) {
                return refuse(
                    variable,
                    "what is not there can be neither repeated nor optional; leave the quantifier out",
                );
            }
            if quantifier.max == Some(1) { Ok(()) } else { may_follow(node, quantifier.contiguity) }
        }
        PatternNode::Exclusion(node) => alone(node).map_or(Ok(()), |variable| {
            refuse(variable, "what is not there cannot be left out of the rows reported; leave {- -} out")
        }),
        PatternNode::Bounded { node, .. } => alone(node).map_or(Ok(()), |variable| {
            refuse(variable, "what is not there has no extent to bound; give it a time to be absent for")
        }),
        PatternNode::Permute { parts, contiguity } => {
            if let Some(variable) = parts.iter().find_map(alone) {
                return refuse(
                    variable,
                    "it has no place among parts of any order; put it before or after them",
                );
            }
            parts.iter().try_for_each(|part| may_follow(part, *contiguity))
        }
        PatternNode::Sequence(steps) => {
            steps.iter().skip(1).try_for_each(|step| may_follow(&step.node, step.contiguity))
        }
        PatternNode::Variable(_)
        | PatternNode::Absent { .. }
        | PatternNode::Alternation(_)
        | PatternNode::Anchor(_)
        | PatternNode::Empty => Ok(()),
    }
}

fn may_follow(node: &PatternNode, relation: Contiguity) -> Result<(), PatternError> {
    match leading(node) {
        Some(variable) if relation == Contiguity::SkipTillAny => refuse(
            variable,
            "skip till any lets any row lie between, and so cannot forbid one; use skip till next",
        ),
        _ => Ok(()),
    }
}

/// An absent event that the part may begin with.
fn leading(node: &PatternNode) -> Option<&str> {
    match node {
        PatternNode::Absent { variable, .. } => Some(variable),
        PatternNode::Sequence(steps) => steps.first().and_then(|step| leading(&step.node)),
        _ => node.children().into_iter().find_map(leading),
    }
}

fn takes_rows(node: &PatternNode) -> bool {
    let mut found = false;
    node.walk(&mut |part| found |= matches!(part, PatternNode::Variable(_)));
    found
}

/// The first absent event of a part that takes no rows.
fn alone(node: &PatternNode) -> Option<&str> {
    // Seldom asked of a part without one: looked for first.
    let absent = node.absent_variables().into_iter().next()?;
    (!takes_rows(node)).then_some(absent)
}

/// On which sides of a part rows of a match may lie.
#[derive(Clone, Copy, Default)]
struct Around {
    before: bool,
    after: bool,
}

/// A time to be absent for is counted from the first row back, or from the last row on: never between two rows.
fn spans_possible(node: &PatternNode, around: Around) -> Result<(), PatternError> {
    if node.absent_variables().is_empty() {
        return Ok(());
    }
    let on_both_sides = match node {
        PatternNode::Absent { variable, for_ns: Some(_) } if around.before && around.after => {
            return refuse(
                variable,
                "its time is counted back from the first row or on from the last; between two rows absence lasts until \
                 the next one is accepted: leave the time out",
            );
        }
        PatternNode::Sequence(steps) => {
            let takes: Vec<bool> = steps.iter().map(|step| takes_rows(&step.node)).collect();
            let first = takes.iter().position(|takes| *takes);
            let last = takes.iter().rposition(|takes| *takes);
            return steps.iter().enumerate().try_for_each(|(place, step)| {
                let before = around.before || first.is_some_and(|first| first < place);
                let after = around.after || last.is_some_and(|last| last > place);
                spans_possible(&step.node, Around { before, after })
            });
        }
        PatternNode::Permute { parts, .. } => parts.iter().filter(|part| takes_rows(part)).count() > 1,
        PatternNode::Quantified { quantifier, .. } => quantifier.max != Some(1),
        _ => false,
    };
    let inside = Around { before: around.before || on_both_sides, after: around.after || on_both_sides };
    node.children().into_iter().try_for_each(|child| spans_possible(child, inside))
}

/// Collects the absent events that may be the last step; whether the part may be passed without taking a row.
fn trailing<'a>(
    node: &'a PatternNode,
    before: Contiguity,
    last: &mut Vec<(&'a str, Option<i64>, Contiguity)>,
) -> bool {
    match node {
        PatternNode::Variable(_) => false,
        PatternNode::Anchor(_) | PatternNode::Empty => true,
        PatternNode::Absent { variable, for_ns } => {
            last.push((variable, *for_ns, before));
            true
        }
        PatternNode::Sequence(steps) => steps.iter().enumerate().rev().all(|(place, step)| {
            trailing(&step.node, if place == 0 { before } else { step.contiguity }, last)
        }),
        PatternNode::Alternation(parts) => {
            // Every alternative is looked at, whatever the others say.
            parts.iter().fold(false, |empty, part| trailing(part, before, last) | empty)
        }
        PatternNode::Permute { parts, contiguity } => {
            parts.iter().fold(true, |empty, part| trailing(part, *contiguity, last) & empty)
        }
        PatternNode::Quantified { node, quantifier } => trailing(node, before, last) | (quantifier.min == 0),
        PatternNode::Exclusion(node) | PatternNode::Bounded { node, .. } => trailing(node, before, last),
    }
}
