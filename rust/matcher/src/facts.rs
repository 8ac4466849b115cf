//! What can be said of a pattern before it meets data.

use cepheid_ir::{Expr, Pattern, PatternNode, RowPointer};

/// Whether what a condition reads of the run follows from the start row, the place in the pattern, and the row under
/// test. Then a pair of place and row that has failed once from a start row fails for good from it.
///
/// That holds of
/// - pointers to, and aggregates over, all rows of the run, which are the rows from the start row on;
/// - pointers to, and aggregates over, a variable whose rows lie at a fixed distance from the start row: every part
///   of the pattern up to it takes a fixed number of rows, and it occurs nowhere else;
/// - the same for a variable repeated any number of times right after such parts, in its own condition, and in those
///   of single rows that follow it directly.
///
/// A classifier of another row than the one under test depends on the way there.
pub(crate) fn follows_from_start(pattern: &Pattern) -> bool {
    let parts = match &pattern.root {
        PatternNode::Sequence(steps) => steps.iter().map(|step| &step.node).collect(),
        part => vec![part],
    };
    let layout = Layout::new(&parts);
    pattern.define.iter().all(|definition| {
        let mut follows = true;
        definition.condition.walk(&mut |expr| match expr {
            Expr::Column { at, .. } => follows &= layout.fixes(&definition.variable, pointed_at(pattern, at)),
            Expr::Classifier { at } => follows &= at.is_default(),
            Expr::Aggregate(aggregate) => {
                let variable = aggregate.variable.as_deref();
                follows &= layout.fixes(&definition.variable, variable.map(|name| pattern.members(name)));
                for arg in &aggregate.args {
                    arg.walk(&mut |expr| follows &= !matches!(expr, Expr::Classifier { .. }));
                }
            }
            _ => {}
        });
        follows
    })
}

/// Variables that a pointer is about; `None`: the whole run.
fn pointed_at<'a>(pattern: &'a Pattern, at: &'a RowPointer) -> Option<Vec<&'a str>> {
    at.variable.as_deref().map(|name| pattern.members(name))
}

/// How far the pattern's top-level sequence has a fixed layout.
struct Layout<'a> {
    /// Variables of parts before the first part of varying length.
    fixed: Vec<&'a str>,
    /// The first part of varying length, if it is a variable repeated.
    repeated: Option<&'a str>,
    /// Variables of the parts of one row each that follow it directly.
    after: Vec<&'a str>,
    /// Variables that occur in several places, or elsewhere.
    others: Vec<&'a str>,
}

impl<'a> Layout<'a> {
    fn new(parts: &[&'a PatternNode]) -> Self {
        let mut layout = Self { fixed: vec![], repeated: None, after: vec![], others: vec![] };
        let mut parts = parts.iter().copied().peekable();
        while let Some(variable) = parts.peek().and_then(|part| fixed_variable(part)) {
            layout.fixed.push(variable);
            parts.next();
        }
        if let Some(PatternNode::Quantified { node, .. }) = parts.peek()
            && let PatternNode::Variable(name) = &**node
        {
            layout.repeated = Some(name);
            parts.next();
            while let Some(PatternNode::Variable(name)) = parts.peek() {
                layout.after.push(name);
                parts.next();
            }
        }
        for part in parts {
            layout.others.extend(part.variables());
        }
        let placed: Vec<&str> =
            layout.fixed.iter().chain(&layout.repeated).chain(&layout.after).copied().collect();
        let several = |name: &&str| placed.iter().filter(|other| *other == name).count() > 1;
        layout.others.extend(placed.iter().copied().filter(several));
        layout
    }

    /// Whether rows of `read` are fixed when a row is tested for `tested`.
    fn fixes(&self, tested: &str, read: Option<Vec<&str>>) -> bool {
        let Some(read) = read else { return true };
        read.iter().all(|name| {
            if self.others.contains(name) {
                return false;
            }
            let in_fixed_place = self.fixed.contains(name);
            let tested_once = !self.others.contains(&tested);
            let in_its_loop = self.repeated == Some(name)
                && tested_once
                && (tested == *name || self.after.contains(&tested) || self.fixed.contains(&tested));
            in_fixed_place || in_its_loop
        })
    }
}

/// The variable of a part that takes a fixed number of rows, all of that variable.
fn fixed_variable(part: &PatternNode) -> Option<&str> {
    match part {
        PatternNode::Variable(name) => Some(name),
        PatternNode::Quantified { node, quantifier } if quantifier.max == Some(quantifier.min) => {
            match &**node {
                PatternNode::Variable(name) => Some(name),
                _ => None,
            }
        }
        _ => None,
    }
}
