//! Evaluation over columns: kernels for what is frequent, the row definition for the rest.
//!
//! A kernel may decline, by giving `None`: for types that it does not know, and for values (an overflow) that need the
//! row definition to tell an error from what lies under a NULL. So errors have one definition too.

mod arithmetic;
mod bits;
mod boolean;
mod codes;
mod compare;
mod convert;
#[cfg(test)]
mod copies;
mod dictionary;
mod lanes;
mod strings;
mod text;

pub(crate) use codes::Codes;
pub(crate) use strings::{Strings, string_question};

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use cepheid_ir::{BinaryOp, Function};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::column_reader::ColumnReader;
use crate::error::EvalError;
use crate::function::Call;
use crate::leaf::SlotValues;
use crate::row;
use crate::typed::{Kind, LikeSource, Node};
use crate::value::Value;
use crate::value_array::values_to_array;

/// One value for each row, or one for all.
#[derive(Clone, Debug)]
pub(crate) enum Columnar {
    Array(ArrayRef),
    Constant(Value),
}

/// Nodes whose masks over the rows at hand have been found in another way, by address.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<usize, BooleanBuffer, FixedState>);

impl Known {
    /// Keeps the mask of a node; the node stays where it is as long as this lives.
    pub(crate) fn insert(&mut self, node: &Node, mask: BooleanBuffer) {
        self.0.insert(std::ptr::from_ref(node).addr(), mask);
    }

    fn get(&self, node: &Node) -> Option<&BooleanBuffer> {
        if self.0.is_empty() { None } else { self.0.get(&std::ptr::from_ref(node).addr()) }
    }
}

/// See [`crate::TypedExpr::evaluate_columns`].
pub(crate) fn evaluate_array(node: &Node, slots: &[ArrayRef], rows: usize) -> Result<ArrayRef, EvalError> {
    debug_assert!(slots.iter().all(|slot| slot.len() == rows), "every slot has one value for each row");
    match evaluate(node, slots, rows)? {
        Columnar::Array(array) if array.data_type() == &node.data_type => Ok(array),
        Columnar::Array(array) => Ok(arrow_cast::cast(&array, &node.data_type)?),
        Columnar::Constant(value) => values_to_array(&vec![value; rows], &node.data_type),
    }
}

/// See [`crate::TypedExpr::evaluate_mask`].
pub(crate) fn evaluate_mask(
    node: &Node,
    slots: &[ArrayRef],
    rows: usize,
    known: &Known,
) -> Result<BooleanBuffer, EvalError> {
    debug_assert!(slots.iter().all(|slot| slot.len() == rows), "every slot has one value for each row");
    if let Some(mask) = known.get(node) {
        return Ok(mask.clone());
    }
    // TRUE is all that counts, so NULL needs no bitmap of its own.
    let (operands, conjunction) = match &node.kind {
        Kind::And(operands) => (operands, true),
        Kind::Or(operands) => (operands, false),
        _ => {
            return match evaluate(node, slots, rows)? {
                Columnar::Constant(Value::Boolean(true)) => Ok(BooleanBuffer::new_set(rows)),
                Columnar::Constant(_) => Ok(BooleanBuffer::new_unset(rows)),
                Columnar::Array(array) => {
                    Ok(array.as_boolean_opt().map_or_else(|| BooleanBuffer::new_unset(rows), mask_of))
                }
            };
        }
    };
    let mut mask: Option<BooleanBuffer> = None;
    for operand in operands {
        let next = match evaluate_mask(operand, slots, rows, known) {
            Err(error) if error.is_data_error() => {
                let Columnar::Array(array) = by_rows(node, slots, rows)? else { return Err(error) };
                return Ok(mask_of(array.as_boolean()));
            }
            next => next?,
        };
        mask = Some(match mask {
            None => next,
            Some(mask) if conjunction => &mask & &next,
            Some(mask) => &mask | &next,
        });
    }
    Ok(mask.unwrap_or_else(|| {
        if conjunction { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) }
    }))
}

/// Where the array is TRUE.
fn mask_of(array: &BooleanArray) -> BooleanBuffer {
    match bits::some_nulls(array.nulls()) {
        Some(nulls) => array.values() & nulls.inner(),
        None => array.values().clone(),
    }
}

/// The array without dictionary or runs.
fn decoded_array(array: &ArrayRef) -> Result<ArrayRef, EvalError> {
    match array.data_type() {
        DataType::Dictionary(_, values) => Ok(arrow_cast::cast(array, values)?),
        DataType::RunEndEncoded(_, values) => Ok(arrow_cast::cast(array, values.data_type())?),
        _ => Ok(Arc::clone(array)),
    }
}

/// The node's values.
fn evaluate(node: &Node, slots: &[ArrayRef], rows: usize) -> Result<Columnar, EvalError> {
    if let Some(mapped) = dictionary::evaluate(node, slots, rows)? {
        return Ok(mapped);
    }
    // Nodes that choose among their operands need not evaluate all of them: if one fails on all rows, ask row by row.
    let chosen = match &node.kind {
        Kind::Constant(value) => return Ok(Columnar::Constant(value.clone())),
        Kind::Slot(index) => return Ok(Columnar::Array(Arc::clone(&slots[*index]))),
        Kind::And(operands) => boolean::junction(operands, true, slots, rows),
        Kind::Or(operands) => boolean::junction(operands, false, slots, rows),
        Kind::Case { branches, otherwise } => {
            boolean::case(node, branches, otherwise.as_deref(), slots, rows)
        }
        Kind::Coalesce(operands) => boolean::coalesce(node, operands, slots, rows),
        _ => return strict(node, slots, rows),
    };
    match chosen {
        Err(error) if error.is_data_error() => by_rows(node, slots, rows),
        chosen => chosen,
    }
}

/// A node that evaluates all its operands.
fn strict(node: &Node, slots: &[ArrayRef], rows: usize) -> Result<Columnar, EvalError> {
    let nodes = node.kind.operands();
    let operands =
        nodes.iter().map(|operand| evaluate(operand, slots, rows)).collect::<Result<Vec<_>, _>>()?;
    let computed: Option<ArrayRef> = match &node.kind {
        Kind::Compare { op, .. } => {
            compare::compare(*op, &operands[0], &operands[1])?.map(|array| Arc::new(array) as _)
        }
        Kind::Arithmetic { op, .. } => arithmetic::apply(*op, &operands[0], &operands[1], &node.data_type)?,
        Kind::Negate(_) => arithmetic::negate(&operands[0], &node.data_type)?,
        Kind::Not(_) => return Ok(boolean::not(&operands[0], rows)),
        Kind::IsNull(_) => return Ok(boolean::is_null(&operands[0], rows)),
        Kind::Between(_) => between(&operands, rows)?,
        Kind::In { constants: Some(set), .. } => text::among(&operands[0], set)?,
        Kind::Like { pattern: LikeSource::Constant(pattern), .. } => {
            text::predicate(&operands[0], |text| pattern.matches(text))?
        }
        Kind::Cast { .. } | Kind::Widen(_) => convert::lossless(&operands[0], &node.data_type)?,
        Kind::Call { call, .. } => function(call, &operands)?,
        _ => None,
    };
    match computed {
        Some(array) => Ok(Columnar::Array(array)),
        None => lifted(node, &operands, rows),
    }
}

fn between(operands: &[Columnar], rows: usize) -> Result<Option<ArrayRef>, EvalError> {
    let above = compare::compare(BinaryOp::GreaterOrEqual, &operands[0], &operands[1])?;
    let below = compare::compare(BinaryOp::LessOrEqual, &operands[0], &operands[2])?;
    let (Some(above), Some(below)) = (above, below) else { return Ok(None) };
    let above = boolean::Truth::of(&Columnar::Array(Arc::new(above)), rows);
    let below = boolean::Truth::of(&Columnar::Array(Arc::new(below)), rows);
    let truth = boolean::Truth {
        is_true: &above.is_true & &below.is_true,
        is_false: &above.is_false | &below.is_false,
    };
    Ok(Some(truth.into_array()))
}

fn function(call: &Call, operands: &[Columnar]) -> Result<Option<ArrayRef>, EvalError> {
    match (call.function, operands) {
        (Function::StartsWith, [text, Columnar::Constant(Value::String(part))]) => {
            text::predicate(text, |text| text.starts_with(&**part))
        }
        (Function::EndsWith, [text, Columnar::Constant(Value::String(part))]) => {
            text::predicate(text, |text| text.ends_with(&**part))
        }
        (Function::Contains, [text, Columnar::Constant(Value::String(part))]) => {
            text::predicate(text, |text| text.contains(&**part))
        }
        (Function::RegexpLike, [text, _]) => match &call.regex {
            Some(regex) => text::predicate(text, |text| regex.is_match(text)),
            None => Ok(None),
        },
        (function, [number]) => convert::of_floats(function, number),
        _ => Ok(None),
    }
}

/// The definition of a strict node, over its operands' values, row by row.
fn lifted(node: &Node, operands: &[Columnar], rows: usize) -> Result<Columnar, EvalError> {
    let readers: Vec<Option<ColumnReader>> = operands
        .iter()
        .map(
            |operand| {
                if let Columnar::Array(array) = operand { Some(ColumnReader::new(array)) } else { None }
            },
        )
        .collect();
    let mut inputs: Vec<Value> = operands
        .iter()
        .map(|operand| if let Columnar::Constant(value) = operand { value.clone() } else { Value::Null })
        .collect();
    let mut values = Vec::with_capacity(rows);
    for row in 0..rows {
        for (input, reader) in inputs.iter_mut().zip(&readers) {
            if let Some(reader) = reader {
                *input = reader.value(row);
            }
        }
        values.push(row::strict(node, &inputs)?);
    }
    Ok(Columnar::Array(values_to_array(&values, &node.data_type)?))
}

/// The node's values, worked out row by row: the definition, at its own cost.
fn by_rows(node: &Node, slots: &[ArrayRef], rows: usize) -> Result<Columnar, EvalError> {
    let mut source = RowSlots { slots, readers: vec![None; slots.len()], row: 0 };
    let mut values = Vec::with_capacity(rows);
    for row in 0..rows {
        source.row = row;
        values.push(row::evaluate(node, &mut source)?);
    }
    Ok(Columnar::Array(values_to_array(&values, &node.data_type)?))
}

/// The slots of one row of the arrays; only those asked for are made ready.
struct RowSlots<'a> {
    slots: &'a [ArrayRef],
    readers: Vec<Option<ColumnReader>>,
    row: usize,
}

impl SlotValues for RowSlots<'_> {
    fn slot(&mut self, index: usize) -> Result<Value, EvalError> {
        let reader = self.readers[index].get_or_insert_with(|| ColumnReader::new(&self.slots[index]));
        Ok(reader.value(self.row))
    }
}
