//! Constants put together once, before any event is seen.

use crate::ast::{Call, Expr, Literal, Logic};
use crate::evaluate::{Attributes, Reading, Scope, is_required};
use crate::value::Value;

/// The same expression, with every part that is the same for all events and has no error as a constant.
pub(crate) fn folded(expr: &Expr, names: &[String]) -> Expr {
    let both = |operands: &[Expr; 2]| Box::new([folded(&operands[0], names), folded(&operands[1], names)]);
    let one = |operand: &Expr| Box::new(folded(operand, names));
    let all = |operands: &[Expr]| operands.iter().map(|operand| folded(operand, names)).collect::<Vec<_>>();
    let inner = match expr {
        Expr::Exists(place) if is_required(&names[*place]) => Expr::Literal(Literal::Boolean(true)),
        Expr::Literal(_) | Expr::Attribute(_) | Expr::Exists(_) => expr.clone(),
        Expr::Not(operand) => Expr::Not(one(operand)),
        Expr::Negate(operand) => Expr::Negate(one(operand)),
        Expr::Logic(logic) => Expr::Logic(Box::new(Logic {
            first: folded(&logic.first, names),
            rest: logic.rest.iter().map(|(op, operand)| (*op, folded(operand, names))).collect(),
        })),
        Expr::Compare(op, operands) => Expr::Compare(*op, both(operands)),
        Expr::Arithmetic(op, operands) => Expr::Arithmetic(*op, both(operands)),
        Expr::Like { negated, value, pattern } => {
            Expr::Like { negated: *negated, value: one(value), pattern: pattern.clone() }
        }
        Expr::In { negated, value, set } => Expr::In { negated: *negated, value: one(value), set: all(set) },
        Expr::Call(call) => {
            let Call { name, function, arguments } = call;
            Expr::Call(Call { name: name.clone(), function: *function, arguments: all(arguments) })
        }
    };
    constant(&inner).unwrap_or(inner)
}

/// The value of a node over constants alone; none if it errs, which every event has to be told.
fn constant(expr: &Expr) -> Option<Expr> {
    let fixed = !matches!(expr, Expr::Literal(_) | Expr::Attribute(_) | Expr::Exists(_))
        && expr.children().iter().all(|child| matches!(child, Expr::Literal(_)));
    if !fixed {
        return None;
    }
    let mut scope = Scope { names: &[], event: &Nothing, errors: () };
    Some(Expr::Literal(match scope.value(expr).ok()? {
        Value::String(text) => Literal::String(text.into_owned()),
        Value::Integer(number) => Literal::Integer(number),
        Value::Boolean(truth) => Literal::Boolean(truth),
    }))
}

struct Nothing;

impl Attributes for Nothing {
    fn read(&self, _: usize) -> Reading<'_> {
        Reading::Missing
    }
}
