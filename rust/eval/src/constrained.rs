//! What a predicate constrains single columns to.

use arrow_schema::DataType;

use crate::leaf::Leaf;
use crate::predicate_index::Constant;
use crate::typed::{Kind, Node, TypedExpr};
use crate::value::Value;

/// Constants of which a column equals one where a predicate holds.
#[derive(Clone, Debug)]
pub struct Constrained {
    pub(crate) constants: Vec<(usize, Constant)>,
    pub(crate) exact: bool,
}

impl Constrained {
    /// Those of a predicate of the row under test alone; `None`: none can be told apart.
    pub fn of(predicate: &TypedExpr) -> Option<Self> {
        guard_of(predicate.root(), predicate.leaves())
    }

    fn add(&mut self, more: Self) {
        for entry in more.constants {
            if !self.constants.contains(&entry) {
                self.constants.push(entry);
            }
        }
        self.exact &= more.exact;
    }
}

/// The column that a leaf reads of the row under test.
pub(crate) fn column_of(leaf: &Leaf) -> Option<usize> {
    match leaf {
        Leaf::Column { index, at, .. } if at.is_physical() && at.physical_offset == 0 => Some(*index),
        _ => None,
    }
}

/// What a node asks of single columns, if that can be told.
pub(crate) fn guard_of(node: &Node, leaves: &[Leaf]) -> Option<Constrained> {
    let slot = |node: &Node| match node.kind {
        Kind::Slot(slot) => Some((column_of(&leaves[slot])?, leaves[slot].data_type())),
        _ => None,
    };
    match &node.kind {
        Kind::Compare { op: cepheid_ir::BinaryOp::Equal, operands } => {
            let (column, value) = match (&operands[0].kind, &operands[1].kind) {
                (Kind::Slot(_), Kind::Constant(value)) => (slot(&operands[0])?, value),
                (Kind::Constant(value), Kind::Slot(_)) => (slot(&operands[1])?, value),
                _ => return None,
            };
            let constant = constant_of(&column.1, value)?;
            Some(Constrained { constants: vec![(column.0, constant)], exact: true })
        }
        Kind::In { operand, constants: Some(set), .. } => {
            let (column, data_type) = slot(operand)?;
            let constants = set.values.iter().filter(|value| !value.is_null());
            let constants = constants.map(|value| Some((column, constant_of(&data_type, value)?)));
            let mut constants = constants.collect::<Option<Vec<_>>>()?;
            constants.sort_unstable();
            Some(Constrained { constants, exact: true })
        }
        Kind::Or(operands) => {
            let mut all = Constrained { constants: vec![], exact: true };
            for operand in operands {
                all.add(guard_of(operand, leaves)?);
            }
            Some(all)
        }
        Kind::And(operands) => {
            let mut best: Option<Constrained> = None;
            for operand in operands {
                let narrow = guard_of(operand, leaves);
                // Those in front are asked first, also of rows that are left out.
                let raises = !never_raises(operand);
                if let Some(narrow) = narrow {
                    // A column that many rules compare with the same few numbers, such as the topic's, says least.
                    let better = best.as_ref().is_none_or(|best| rank(&narrow) >= rank(best));
                    if better {
                        best = Some(narrow);
                    }
                }
                if raises {
                    break;
                }
            }
            let mut best = best?;
            best.exact = false;
            if !operands.iter().all(never_raises) {
                // NULL does not decide a conjunction: what comes behind is asked of those rows too.
                let mut columns: Vec<usize> = best.constants.iter().map(|(column, _)| *column).collect();
                columns.dedup();
                best.constants.extend(columns.into_iter().map(|column| (column, Constant::Null)));
            }
            Some(best)
        }
        _ => None,
    }
}

/// How much a guard is likely to leave out: text more than numbers.
fn rank(guard: &Constrained) -> usize {
    guard.constants.iter().filter(|(_, constant)| matches!(constant, Constant::Text(_))).count().min(1)
}

/// The value as a constant that a column of the type can be looked up for.
fn constant_of(data_type: &DataType, value: &Value) -> Option<Constant> {
    let plain = if let DataType::Dictionary(_, values) = data_type { values } else { data_type };
    match (plain, value) {
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Value::String(text)) => {
            Some(Constant::Text((&**text).into()))
        }
        (integer, Value::Integer(value)) if integer.is_integer() => Some(Constant::Integer(*value)),
        _ => None,
    }
}

/// Whether no row can raise an error.
fn never_raises(node: &Node) -> bool {
    let own = matches!(
        node.kind,
        Kind::Constant(_)
            | Kind::Slot(_)
            | Kind::Compare { .. }
            | Kind::And(_)
            | Kind::Or(_)
            | Kind::Not(_)
            | Kind::IsNull(_)
            | Kind::In { .. }
            | Kind::Between(_)
    );
    own && node.kind.operands().into_iter().all(never_raises)
}
