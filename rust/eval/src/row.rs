//! Evaluation over one row: the definition that the column evaluator follows.

use std::borrow::Cow;
use std::cmp::Ordering;

use arrow_schema::DataType;
use cepheid_ir::BinaryOp;

use crate::arithmetic::{self, INTEGER_OVERFLOW, TIMESTAMP_OVERFLOW};
use crate::cast;
use crate::decimal;
use crate::error::{EvalError, Fault};
use crate::function;
use crate::function::like::LikePattern;
use crate::leaf::SlotValues;
use crate::typed::{Kind, LikeSource, Node};
use crate::value::{Value, compare_values, equal_values};
use crate::value_array::rescale_ticks;

/// Operands of most calls fit here without an allocation.
const INLINE_OPERANDS: usize = 4;

/// The node's value for one row.
pub(crate) fn evaluate(node: &Node, slots: &mut dyn SlotValues) -> Result<Value, EvalError> {
    match &node.kind {
        Kind::Constant(value) => Ok(value.clone()),
        Kind::Slot(index) => slots.slot(*index),
        Kind::And(operands) => junction(operands, false, slots),
        Kind::Or(operands) => junction(operands, true, slots),
        Kind::Case { branches, otherwise } => {
            for (when, then) in branches {
                if matches!(evaluate(when, slots)?, Value::Boolean(true)) {
                    return evaluate(then, slots);
                }
            }
            otherwise.as_ref().map_or(Ok(Value::Null), |otherwise| evaluate(otherwise, slots))
        }
        Kind::Coalesce(operands) => {
            for operand in operands {
                let value = evaluate(operand, slots)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            Ok(Value::Null)
        }
        Kind::Compare { op, operands } => {
            let left = operand(&operands[0], slots)?;
            let right = operand(&operands[1], slots)?;
            Ok(compare(*op, &left, &right))
        }
        Kind::Arithmetic { op, operands, zone } => {
            let left = operand(&operands[0], slots)?;
            let right = operand(&operands[1], slots)?;
            arithmetic::apply(*op, &left, &right, zone.as_ref()).map_err(|fault| fault.within(&node.text))
        }
        Kind::Negate(operand)
        | Kind::Not(operand)
        | Kind::IsNull(operand)
        | Kind::Cast { operand, .. }
        | Kind::Widen(operand)
        | Kind::Like { operand, pattern: LikeSource::Constant(_) }
        // The list is in the set.
        | Kind::In { operand, constants: Some(_), .. } => strict(node, &[evaluate(operand, slots)?]),
        Kind::Between(operands) => strict_of(node, &**operands, slots),
        Kind::Call { args, .. } => strict_of(node, args, slots),
        Kind::Like { operand, pattern: LikeSource::Dynamic { pattern, .. } } => {
            let text = evaluate(operand, slots)?;
            strict(node, &[text, evaluate(pattern, slots)?])
        }
        Kind::In { operand, list, constants: None } => {
            let mut values = Vec::with_capacity(1 + list.len());
            values.push(evaluate(operand, slots)?);
            for element in list {
                values.push(evaluate(element, slots)?);
            }
            strict(node, &values)
        }
    }
}

/// A strict node of a few operands.
fn strict_of(node: &Node, operands: &[Node], slots: &mut dyn SlotValues) -> Result<Value, EvalError> {
    if operands.len() > INLINE_OPERANDS {
        let values =
            operands.iter().map(|operand| evaluate(operand, slots)).collect::<Result<Vec<_>, _>>()?;
        return strict(node, &values);
    }
    let mut values: [Value; INLINE_OPERANDS] = Default::default();
    for (value, operand) in values.iter_mut().zip(operands) {
        *value = evaluate(operand, slots)?;
    }
    strict(node, &values[..operands.len()])
}

/// An operand's value, constants without a copy.
fn operand<'a>(node: &'a Node, slots: &mut dyn SlotValues) -> Result<Cow<'a, Value>, EvalError> {
    if let Kind::Constant(value) = &node.kind {
        Ok(Cow::Borrowed(value))
    } else {
        evaluate(node, slots).map(Cow::Owned)
    }
}

/// AND (`decided_by` FALSE) or OR (`decided_by` TRUE).
fn junction(operands: &[Node], decided_by: bool, slots: &mut dyn SlotValues) -> Result<Value, EvalError> {
    let mut unknown = false;
    for operand in operands {
        match evaluate(operand, slots)? {
            Value::Boolean(value) if value == decided_by => return Ok(Value::Boolean(value)),
            Value::Boolean(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Boolean(!decided_by) })
}

/// A node whose operands are all evaluated, whatever their values; `operands` are theirs.
pub(crate) fn strict(node: &Node, operands: &[Value]) -> Result<Value, EvalError> {
    strict_or_fault(node, operands).map_err(|fault| fault.within(&node.text))
}

fn strict_or_fault(node: &Node, operands: &[Value]) -> Result<Value, Fault> {
    match &node.kind {
        Kind::Negate(_) => arithmetic::negate(&operands[0]),
        Kind::Arithmetic { op, zone, .. } => {
            arithmetic::apply(*op, &operands[0], &operands[1], zone.as_ref())
        }
        Kind::Compare { op, .. } => Ok(compare(*op, &operands[0], &operands[1])),
        Kind::Not(_) => Ok(match operands[0] {
            Value::Boolean(value) => Value::Boolean(!value),
            _ => Value::Null,
        }),
        Kind::IsNull(_) => Ok(Value::Boolean(operands[0].is_null())),
        Kind::In { constants, .. } => {
            let value = &operands[0];
            if value.is_null() {
                return Ok(Value::Null);
            }
            let (found, has_null) = match constants {
                Some(set) => (set.values.contains(value), set.has_null),
                None => {
                    let list = &operands[1..];
                    (list.iter().any(|element| equal_values(value, element)), list.iter().any(Value::is_null))
                }
            };
            Ok(if !found && has_null { Value::Null } else { Value::Boolean(found) })
        }
        Kind::Between(_) => {
            let above = compare(BinaryOp::GreaterOrEqual, &operands[0], &operands[1]);
            let below = compare(BinaryOp::LessOrEqual, &operands[0], &operands[2]);
            Ok(match (above, below) {
                (Value::Boolean(false), _) | (_, Value::Boolean(false)) => Value::Boolean(false),
                (Value::Null, _) | (_, Value::Null) => Value::Null,
                _ => Value::Boolean(true),
            })
        }
        Kind::Like { pattern, .. } => match pattern {
            LikeSource::Constant(pattern) => Ok(match &operands[0] {
                Value::String(text) => Value::Boolean(pattern.matches(text)),
                _ => Value::Null,
            }),
            LikeSource::Dynamic { escape, .. } => match (&operands[0], &operands[1]) {
                (Value::String(text), Value::String(pattern)) => {
                    Ok(Value::Boolean(LikePattern::new(pattern, *escape)?.matches(text)))
                }
                _ => Ok(Value::Null),
            },
        },
        Kind::Cast { target, lenient, .. } => match cast::apply(&operands[0], target) {
            Err(_) if *lenient => Ok(Value::Null),
            converted => converted,
        },
        Kind::Call { call, .. } => function::apply(call, operands),
        Kind::Widen(_) => widen(&operands[0], &node.data_type),
        // The rest is not strict, and its callers know.
        Kind::Constant(_)
        | Kind::Slot(_)
        | Kind::And(_)
        | Kind::Or(_)
        | Kind::Case { .. }
        | Kind::Coalesce(_) => {
            debug_assert!(false, "{:?} chooses its operands itself", node.text);
            Ok(Value::Null)
        }
    }
}

/// A comparison: NULL if either side is, but for IS DISTINCT FROM.
pub(crate) fn compare(op: BinaryOp, left: &Value, right: &Value) -> Value {
    if op == BinaryOp::IsDistinctFrom {
        return Value::Boolean(match (left.is_null(), right.is_null()) {
            (false, false) => !equal_values(left, right),
            (left, right) => left != right,
        });
    }
    if left.is_null() || right.is_null() {
        return Value::Null;
    }
    let ordering = compare_values(left, right);
    Value::Boolean(match op {
        BinaryOp::Equal => ordering == Some(Ordering::Equal),
        BinaryOp::NotEqual => ordering != Some(Ordering::Equal),
        BinaryOp::Less => ordering == Some(Ordering::Less),
        BinaryOp::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        BinaryOp::Greater => ordering == Some(Ordering::Greater),
        _ => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// The same value in a wider type.
fn widen(value: &Value, to: &DataType) -> Result<Value, Fault> {
    Ok(match (value, to) {
        (Value::Integer(_) | Value::Unsigned(_) | Value::Decimal { .. }, DataType::Float64) => {
            Value::Float(value.as_float().unwrap_or(f64::NAN))
        }
        (Value::Unsigned(_), DataType::Int64) => return Err(INTEGER_OVERFLOW),
        (Value::Integer(_) | Value::Unsigned(_) | Value::Decimal { .. }, DataType::Decimal128(_, scale)) => {
            let Some((unscaled, from)) = value.as_decimal() else { return Ok(Value::Null) };
            Value::Decimal { unscaled: decimal::rescale(unscaled, from, *scale)?, scale: *scale }
        }
        (Value::Timestamp { value, unit, zoned }, DataType::Timestamp(to, _)) => {
            let value = rescale_ticks(*value, *unit, *to).ok_or(TIMESTAMP_OVERFLOW)?;
            Value::Timestamp { value, unit: *to, zoned: *zoned }
        }
        (Value::Duration { value, unit }, DataType::Duration(to)) => Value::Duration {
            value: rescale_ticks(*value, *unit, *to).ok_or(Fault::Overflow("INTERVAL"))?,
            unit: *to,
        },
        (Value::Duration { value, unit }, DataType::Interval(_)) => {
            let nanoseconds = rescale_ticks(*value, *unit, arrow_schema::TimeUnit::Nanosecond);
            Value::Interval {
                months: 0,
                days: 0,
                nanoseconds: nanoseconds.ok_or(Fault::Overflow("INTERVAL"))?,
            }
        }
        _ => value.clone(),
    })
}
