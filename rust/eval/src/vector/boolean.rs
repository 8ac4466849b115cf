//! Three-valued logic and choice over columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Scalar, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_select::zip::zip;

use super::bits::some_nulls;
use super::{Columnar, evaluate};
use crate::error::EvalError;
use crate::typed::Node;
use crate::value::Value;
use crate::value_array::values_to_array;

/// A column of truth values as two bitmaps: where TRUE, where FALSE; neither where NULL.
pub(super) struct Truth {
    pub(super) is_true: BooleanBuffer,
    pub(super) is_false: BooleanBuffer,
}

impl Truth {
    pub(super) fn of(column: &Columnar, rows: usize) -> Self {
        match column {
            Columnar::Constant(value) => {
                let filled =
                    |set| if set { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) };
                Self {
                    is_true: filled(matches!(value, Value::Boolean(true))),
                    is_false: filled(matches!(value, Value::Boolean(false))),
                }
            }
            Columnar::Array(array) => match array.as_boolean_opt() {
                // A column of the null type.
                None => {
                    Self { is_true: BooleanBuffer::new_unset(rows), is_false: BooleanBuffer::new_unset(rows) }
                }
                Some(array) => {
                    let values = array.values();
                    match some_nulls(array.nulls()) {
                        None => Self { is_true: values.clone(), is_false: !values },
                        Some(nulls) => {
                            Self { is_true: values & nulls.inner(), is_false: &!values & nulls.inner() }
                        }
                    }
                }
            },
        }
    }

    pub(super) fn into_array(self) -> ArrayRef {
        let valid = &self.is_true | &self.is_false;
        let nulls = Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0);
        Arc::new(BooleanArray::new(self.is_true, nulls))
    }
}

/// AND or OR of all operands, each over all rows.
pub(super) fn junction(
    operands: &[Node],
    conjunction: bool,
    slots: &[ArrayRef],
    rows: usize,
) -> Result<Columnar, EvalError> {
    let mut result: Option<Truth> = None;
    for operand in operands {
        let next = Truth::of(&evaluate(operand, slots, rows)?, rows);
        result = Some(match result {
            None => next,
            Some(so_far) if conjunction => Truth {
                is_true: &so_far.is_true & &next.is_true,
                is_false: &so_far.is_false | &next.is_false,
            },
            Some(so_far) => Truth {
                is_true: &so_far.is_true | &next.is_true,
                is_false: &so_far.is_false & &next.is_false,
            },
        });
    }
    Ok(match result {
        Some(truth) => Columnar::Array(truth.into_array()),
        None => Columnar::Constant(Value::Boolean(conjunction)),
    })
}

/// NOT.
pub(super) fn not(operand: &Columnar, rows: usize) -> Columnar {
    let Truth { is_true, is_false } = Truth::of(operand, rows);
    Columnar::Array(Truth { is_true: is_false, is_false: is_true }.into_array())
}

/// IS NULL.
pub(super) fn is_null(operand: &Columnar, rows: usize) -> Columnar {
    match operand {
        Columnar::Constant(value) => Columnar::Constant(Value::Boolean(value.is_null())),
        Columnar::Array(array) => {
            let bits = match array.logical_nulls() {
                Some(nulls) => !nulls.inner(),
                None => BooleanBuffer::new_unset(rows),
            };
            Columnar::Array(Arc::new(BooleanArray::new(bits, None)))
        }
    }
}

/// CASE, every condition and every result over all rows.
pub(super) fn case(
    node: &Node,
    branches: &[(Node, Node)],
    otherwise: Option<&Node>,
    slots: &[ArrayRef],
    rows: usize,
) -> Result<Columnar, EvalError> {
    // From the last branch to the first, so that an earlier one overrides.
    let mut result = match otherwise {
        Some(otherwise) => Choice::new(evaluate(otherwise, slots, rows)?, node)?,
        None => Choice::Scalar(new_null_array(&node.data_type, 1)),
    };
    for (when, then) in branches.iter().rev() {
        let holds = Truth::of(&evaluate(when, slots, rows)?, rows).is_true;
        let then = Choice::new(evaluate(then, slots, rows)?, node)?;
        result = choose(holds, &then, &result)?;
    }
    result.into_columnar(rows)
}

/// COALESCE, every operand over all rows.
pub(super) fn coalesce(
    node: &Node,
    operands: &[Node],
    slots: &[ArrayRef],
    rows: usize,
) -> Result<Columnar, EvalError> {
    let mut result = Choice::Scalar(new_null_array(&node.data_type, 1));
    for operand in operands.iter().rev() {
        let column = Choice::new(evaluate(operand, slots, rows)?, node)?;
        let present = match &column {
            Choice::Scalar(scalar) if scalar.logical_null_count() > 0 => continue,
            Choice::Scalar(_) => {
                result = column;
                continue;
            }
            Choice::Column(array) => array.logical_nulls().map(NullBuffer::into_inner),
        };
        result = match present {
            Some(present) => choose(present, &column, &result)?,
            None => column,
        };
    }
    result.into_columnar(rows)
}

/// One of several columns to choose from.
enum Choice {
    Column(ArrayRef),
    /// One value for all rows.
    Scalar(ArrayRef),
}

impl Choice {
    fn new(column: Columnar, node: &Node) -> Result<Self, EvalError> {
        Ok(match column {
            Columnar::Constant(value) => Self::Scalar(values_to_array(&[value], &node.data_type)?),
            Columnar::Array(array) if array.data_type() == &node.data_type => Self::Column(array),
            Columnar::Array(array) => Self::Column(arrow_cast::cast(&array, &node.data_type)?),
        })
    }

    fn into_columnar(self, rows: usize) -> Result<Columnar, EvalError> {
        Ok(Columnar::Array(match self {
            Self::Column(array) => array,
            Self::Scalar(scalar) => {
                let first = arrow_array::UInt32Array::from(vec![0; rows]);
                arrow_select::take::take(&scalar, &first, None)?
            }
        }))
    }
}

fn choose(holds: BooleanBuffer, then: &Choice, otherwise: &Choice) -> Result<Choice, EvalError> {
    let holds = BooleanArray::new(holds, None);
    let chosen = match (then, otherwise) {
        (Choice::Column(t), Choice::Column(o)) => zip(&holds, t, o),
        (Choice::Column(t), Choice::Scalar(o)) => zip(&holds, t, &Scalar::new(Arc::clone(o))),
        (Choice::Scalar(t), Choice::Column(o)) => zip(&holds, &Scalar::new(Arc::clone(t)), o),
        (Choice::Scalar(t), Choice::Scalar(o)) => {
            zip(&holds, &Scalar::new(Arc::clone(t)), &Scalar::new(Arc::clone(o)))
        }
    };
    Ok(Choice::Column(chosen?))
}
