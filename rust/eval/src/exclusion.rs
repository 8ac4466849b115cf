//! Whether two conditions exclude each other, as far as their constants say so.

use crate::constrained::guard_of;
use crate::leaf::Leaf;
use crate::ranked::ValueRange;
use crate::typed::{Kind, Node, TypedExpr};

impl TypedExpr {
    /// Whether it is plain to see that no row satisfies both conditions: a part of the one and a part of the other, which must
    /// both hold, compare one column of the row under test with constants that no value agrees with both of. Both are compiled against
    /// one schema.
    ///
    /// Cost: O(a·b) comparisons of a and b parts.
    pub fn excludes(&self, other: &Self) -> bool {
        let (mut own, mut others) = (vec![], vec![]);
        parts(self.root(), &mut own);
        parts(other.root(), &mut others);
        own.iter().any(|part| {
            others.iter().any(|other_part| exclude((part, self.leaves()), (other_part, other.leaves())))
        })
    }
}

/// What must hold of a condition for it to hold.
fn parts<'a>(node: &'a Node, all: &mut Vec<&'a Node>) {
    match &node.kind {
        Kind::And(operands) => operands.iter().for_each(|operand| parts(operand, all)),
        _ => all.push(node),
    }
}

fn exclude(one: (&Node, &[Leaf]), other: (&Node, &[Leaf])) -> bool {
    if let (Some(one), Some(other)) = (ValueRange::of(one.0, one.1), ValueRange::of(other.0, other.1))
        && one.and(other).is_some_and(ValueRange::is_empty)
    {
        return true;
    }
    let (Some(one), Some(other)) = (guard_of(one.0, one.1), guard_of(other.0, other.1)) else { return false };
    // Of NULL alone no comparison holds.
    if one.constants.is_empty() || other.constants.is_empty() {
        return true;
    }
    let mut columns = one.constants.iter().chain(&other.constants).map(|(column, _)| *column);
    let first = columns.next();
    columns.all(|column| Some(column) == first)
        && !one.constants.iter().any(|constant| other.constants.contains(constant))
}
