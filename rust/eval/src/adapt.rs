//! How the operands of one operation are brought together: literals adapt, narrower types widen.

use arrow_schema::DataType;

use crate::cast;
use crate::compile::{cast_node, finish, mismatch};
use crate::display::Text;
use crate::error::EvalError;
use crate::literal;
use crate::typed::{Kind, Node};
use crate::types::{Class, common, decoded};
use crate::value::Value;

/// A literal span beside a timestamp or another span takes the coarsest unit that holds it.
pub(crate) fn coarsen_span(node: &mut Node, beside: &Node) {
    if node.is_literal
        && let Kind::Constant(value) = &node.kind
        && matches!(Class::of(&beside.data_type), Class::Timestamp { .. } | Class::Duration(_))
        && let Some((value, data_type)) = literal::coarsest_span(value)
    {
        node.kind = Kind::Constant(value);
        node.data_type = data_type;
    }
}

/// Adapts literals to what they meet: see [`literal::adapt`]. Constants that were worked out keep their type, so that
/// what can be worked out beforehand never decides what an expression means.
pub(crate) fn adapt_pair(left: &mut Node, right: &mut Node, text: &Text) -> Result<(), EvalError> {
    adapt_to(left, &right.data_type, text)?;
    adapt_to(right, &left.data_type, text)
}

/// One side of [`adapt_pair`].
pub(crate) fn adapt_to(node: &mut Node, meets: &DataType, text: &Text) -> Result<(), EvalError> {
    let (true, Kind::Constant(value)) = (node.is_literal, &node.kind) else { return Ok(()) };
    let adapted = literal::adapt(value, meets).map_err(|wanted| EvalError::InvalidLiteral {
        expression: text.to_string(),
        text: cast::to_text(value),
        wanted: wanted.to_owned(),
    })?;
    if let Some((value, data_type)) = adapted {
        node.kind = Kind::Constant(value);
        node.data_type = data_type;
    }
    Ok(())
}

/// A date beside a timestamp without a zone is its midnight.
pub(crate) fn widen_date(left: &mut Node, right: &mut Node) -> Result<(), EvalError> {
    let (l, r) = (Class::of(&left.data_type), Class::of(&right.data_type));
    let node = match (l, r) {
        (Class::Date, Class::Timestamp { zoned: false, .. }) => left,
        (Class::Timestamp { zoned: false, .. }, Class::Date) => right,
        _ => return Ok(()),
    };
    let text = node.text.clone();
    let bare = finish(Kind::Constant(Value::Null), DataType::Null, text);
    let date = std::mem::replace(node, bare);
    let text = date.text.clone();
    *node = cast_node(date, cepheid_ir::DataType::Timestamp, false, text)?;
    Ok(())
}

/// Brings two operands to where they compare, if they can be.
pub(crate) fn make_comparable(left: &mut Node, right: &mut Node, text: &Text) -> Result<(), EvalError> {
    adapt_pair(left, right, text)?;
    widen_date(left, right)
}

/// Brings alternatives to their common type.
pub(crate) fn unify(nodes: &mut Vec<Node>, text: &Text, expected: &str) -> Result<DataType, EvalError> {
    let columns: Option<DataType> = nodes
        .iter()
        .filter(|node| !node.is_literal)
        .map(|node| decoded(&node.data_type))
        .reduce(|left, right| common(&left, &right).unwrap_or(left));
    if let Some(columns) = &columns {
        for node in nodes.iter_mut() {
            adapt_to(node, columns, text)?;
            narrow_constant(node, columns);
        }
    }
    let mut data_type = DataType::Null;
    for node in nodes.iter() {
        data_type = common(&data_type, &node.data_type)
            .ok_or_else(|| mismatch(text, expected, &nodes.iter().collect::<Vec<_>>()))?;
    }
    *nodes = std::mem::take(nodes).into_iter().map(|node| widen(node, &data_type)).collect();
    Ok(data_type)
}

/// A literal number takes the width of the columns beside it, if they can hold it.
fn narrow_constant(node: &mut Node, columns: &DataType) {
    let (true, Kind::Constant(value)) = (node.is_literal, &node.kind) else { return };
    let narrow = match (value, columns) {
        (Value::Integer(_), columns) if Class::of(columns) == Class::Integer => true,
        (Value::Float(value), DataType::Float32) => f64::from(*value as f32) == *value || value.is_nan(),
        _ => false,
    };
    if narrow && crate::value_array::values_to_array(std::slice::from_ref(value), columns).is_ok() {
        node.data_type = columns.clone();
    }
}

fn widen(node: Node, data_type: &DataType) -> Node {
    if decoded(&node.data_type) == *data_type || node.data_type == DataType::Null {
        return node;
    }
    let text = node.text.clone();
    finish(Kind::Widen(Box::new(node)), data_type.clone(), text)
}
