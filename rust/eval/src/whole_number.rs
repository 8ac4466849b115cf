//! Integers that are worked out without each part being typed: templates write `2 * 7 + 1` in every rule.

use cepheid_ir::{BinaryOp, Expr, Literal};

/// Depth of what is worked out so; what is deeper is typed like anything else.
const DEPTH_MAX: usize = 4;

/// Sums, differences and products of integers, up to `depth` one in the other: an int64, as typing each part and folding them
/// all gives. `None`: anything else, overflow among it.
pub(crate) fn whole_number(op: BinaryOp, left: &Expr, right: &Expr, depth: usize) -> Option<i64> {
    let depth = depth.min(DEPTH_MAX);
    let value = |expr: &Expr| match expr {
        Expr::Literal(Literal::Integer(value)) if depth > 0 => Some(*value),
        Expr::Binary { op, left, right } if depth > 0 => whole_number(*op, left, right, depth - 1),
        _ => None,
    };
    let work_out = match op {
        BinaryOp::Add => i64::checked_add,
        BinaryOp::Subtract => i64::checked_sub,
        BinaryOp::Multiply => i64::checked_mul,
        _ => return None,
    };
    work_out(value(left)?, value(right)?)
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Schema};

    use super::*;
    use crate::arithmetic::apply;
    use crate::typed::TypedExpr;
    use crate::value::Value;

    /// The value, each part by itself.
    fn part_by_part(expr: &Expr) -> Option<Value> {
        match expr {
            Expr::Literal(Literal::Integer(value)) => Some(Value::Integer(*value)),
            Expr::Binary { op, left, right } => {
                apply(*op, &part_by_part(left)?, &part_by_part(right)?, None).ok()
            }
            _ => unreachable!("integers and what is worked out of them"),
        }
    }

    #[test]
    fn integers_come_to_what_their_parts_come_to() {
        let numbers = [0, 1, -1, 7, 1 << 40, i64::MAX, i64::MIN];
        let operators = [BinaryOp::Add, BinaryOp::Subtract, BinaryOp::Multiply, BinaryOp::Divide];
        let (mut worked_out, mut left_alone) = (0, 0);
        for outer in operators {
            for inner in operators {
                for first in numbers {
                    for second in numbers {
                        let part = Expr::binary(inner, Expr::literal(first), Expr::literal(second));
                        let whole = Expr::binary(outer, Expr::literal(second), part.clone());
                        for expr in [part, whole] {
                            let Expr::Binary { op, left, right } = &expr else { unreachable!("made so") };
                            let expected = part_by_part(&expr);
                            match whole_number(*op, left, right, 9) {
                                Some(value) => {
                                    assert_eq!(Some(Value::Integer(value)), expected, "{expr:?}");
                                    worked_out += 1;
                                }
                                None => left_alone += 1,
                            }
                            // Divided or not, past 64 bits or not.
                            let typed = TypedExpr::compile(&expr, &Schema::empty()).expect("integers");
                            assert_eq!(typed.as_constant().cloned(), expected, "{expr:?}");
                            assert_eq!(*typed.data_type(), DataType::Int64);
                        }
                    }
                }
            }
        }
        assert!(worked_out > 600 && left_alone > 600, "{worked_out} {left_alone}");
    }

    #[test]
    fn what_nests_too_deep_is_typed_like_anything_else() {
        let mut deep = Expr::literal(1);
        for level in 1..10 {
            deep = Expr::binary(BinaryOp::Add, deep, Expr::literal(1));
            let Expr::Binary { op, left, right } = &deep else { unreachable!("made so") };
            assert_eq!(whole_number(*op, left, right, 9).is_some(), level <= DEPTH_MAX);
            assert_eq!(whole_number(*op, left, right, 0), None);
            let typed = TypedExpr::compile(&deep, &Schema::empty()).expect("integers");
            assert_eq!(typed.as_constant(), Some(&Value::Integer(level as i64 + 1)));
        }
    }
}
