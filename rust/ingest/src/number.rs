//! Numbers as JSON writes them, as values of a type.

use crate::node::{Node, Nodes};

/// The whole number that a value is. `1.0` and `1e3` are whole, too.
pub(crate) fn whole(nodes: &Nodes<'_>, node: Node) -> Option<i128> {
    match node {
        Node::Int(value) => Some(value.into()),
        Node::Number { start, end } => {
            let text = nodes.slice(start, end);
            // Of 64 bits without a sign, at most; a float of more digits is not exactly what is written.
            text.parse::<u64>().map(i128::from).ok().or_else(|| {
                let value = text.parse::<f64>().ok().filter(|_| !is_whole_text(text))?;
                (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i128)
            })
        }
        _ => None,
    }
}

/// The nearest float to the number that a value is; `None` for what is none, or too great.
pub(crate) fn float(nodes: &Nodes<'_>, node: Node) -> Option<f64> {
    match node {
        Node::Int(value) => Some(value as f64),
        Node::Number { start, end } => {
            nodes.slice(start, end).parse().ok().filter(|value: &f64| value.is_finite())
        }
        _ => None,
    }
}

/// Whether a number is written as a whole one.
pub(crate) fn is_written_whole(nodes: &Nodes<'_>, start: u32, end: u32) -> bool {
    is_whole_text(nodes.slice(start, end))
}

fn is_whole_text(text: &str) -> bool {
    // Minus zero is a float, as no whole number is it.
    text != "-0" && !text.contains(['.', 'e', 'E'])
}
