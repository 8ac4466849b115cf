//! Values of JSON as a flat list: a container is followed by what is in it, and knows what follows it.

use crate::keys::{KeyId, Keys};

/// Where a value stands in the list.
pub(crate) type NodeId = u32;

/// Stands where an event has no such value.
pub(crate) const ABSENT: NodeId = NodeId::MAX;

/// A value, or the name of a field in front of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// Any other number, by its bytes in the text.
    Number {
        start: u32,
        end: u32,
    },
    /// A text without escapes, by its bytes in the text.
    Text {
        start: u32,
        end: u32,
    },
    /// A text that had escapes, by its bytes in [`Nodes::unescaped`].
    Unescaped {
        start: u32,
        end: u32,
    },
    /// The name of the value that follows.
    Key(KeyId),
    /// Keys and values up to `next`; its bytes in the text.
    Object {
        next: NodeId,
        start: u32,
        end: u32,
    },
    /// Values up to `next`; its bytes in the text.
    Array {
        next: NodeId,
        start: u32,
        end: u32,
    },
}

/// The values of a text, and the texts that they are of.
#[derive(Debug)]
pub(crate) struct Nodes<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) list: Vec<Node>,
    pub(crate) unescaped: String,
    pub(crate) keys: Keys,
}

impl<'t> Nodes<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        // An event has some twenty bytes a value.
        let list = Vec::with_capacity(text.len() / 12);
        Self { text, list, unescaped: String::new(), keys: Keys::new() }
    }

    pub(crate) fn get(&self, id: NodeId) -> Node {
        if id == ABSENT { Node::Null } else { self.list[id as usize] }
    }

    /// What follows a value and all that is in it.
    pub(crate) fn after(&self, id: NodeId) -> NodeId {
        match self.list[id as usize] {
            Node::Object { next, .. } | Node::Array { next, .. } => next,
            _ => id + 1,
        }
    }

    /// Names and values of an object's fields; none of what is no object.
    pub(crate) fn fields(&self, id: NodeId) -> Fields<'_, 't> {
        match self.get(id) {
            Node::Object { next, .. } => Fields { nodes: self, at: id + 1, end: next },
            _ => Fields { nodes: self, at: 0, end: 0 },
        }
    }

    /// The values of an array; none of what is no array.
    pub(crate) fn elements(&self, id: NodeId) -> Elements<'_, 't> {
        match self.get(id) {
            Node::Array { next, .. } => Elements { nodes: self, at: id + 1, end: next },
            _ => Elements { nodes: self, at: 0, end: 0 },
        }
    }

    /// The text of a value that is one.
    pub(crate) fn text_of(&self, node: Node) -> Option<&str> {
        match node {
            Node::Text { start, end } => Some(self.slice(start, end)),
            Node::Unescaped { start, end } => Some(&self.unescaped[start as usize..end as usize]),
            _ => None,
        }
    }

    /// Bytes of the text that have been found to be UTF-8.
    pub(crate) fn slice(&self, start: u32, end: u32) -> &str {
        std::str::from_utf8(&self.text[start as usize..end as usize]).unwrap_or_default()
    }

    /// What a value is, for a message.
    pub(crate) fn describe(&self, node: Node) -> String {
        use crate::fault::shown;
        match node {
            Node::Null => "null".into(),
            Node::Bool(value) => value.to_string(),
            Node::Int(value) => format!("the number {value}"),
            Node::Number { start, end } => format!("the number {}", shown(self.slice(start, end))),
            Node::Object { .. } => "an object".into(),
            Node::Array { .. } => "an array".into(),
            Node::Key(_) => "a name".into(),
            Node::Text { .. } | Node::Unescaped { .. } => {
                format!("the text {:?}", shown(self.text_of(node).unwrap_or_default()))
            }
        }
    }

    /// A value as JSON text.
    pub(crate) fn write_json(&self, id: NodeId, out: &mut String) {
        use std::fmt::Write;
        let node = self.get(id);
        match node {
            Node::Null => out.push_str("null"),
            Node::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Node::Int(value) => write!(out, "{value}").expect("a string takes all"),
            Node::Number { start, end }
            | Node::Object { start, end, .. }
            | Node::Array { start, end, .. } => {
                out.push_str(self.slice(start, end));
            }
            Node::Text { .. } | Node::Unescaped { .. } | Node::Key(_) => {
                out.push('"');
                for char in self.text_of(node).unwrap_or_default().chars() {
                    match char {
                        '"' | '\\' => out.extend(['\\', char]),
                        '\n' => out.push_str("\\n"),
                        char if char < ' ' => {
                            write!(out, "\\u{:04x}", u32::from(char)).expect("a string takes all");
                        }
                        char => out.push(char),
                    }
                }
                out.push('"');
            }
        }
    }
}

/// Names and values of an object.
#[derive(Debug)]
pub(crate) struct Fields<'n, 't> {
    nodes: &'n Nodes<'t>,
    at: NodeId,
    end: NodeId,
}

impl Iterator for Fields<'_, '_> {
    type Item = (KeyId, NodeId);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let Node::Key(key) = self.nodes.list[self.at as usize] else {
            unreachable!("an object has a name in front of each value")
        };
        let value = self.at + 1;
        self.at = self.nodes.after(value);
        Some((key, value))
    }
}

/// Values of an array.
#[derive(Debug)]
pub(crate) struct Elements<'n, 't> {
    nodes: &'n Nodes<'t>,
    at: NodeId,
    end: NodeId,
}

impl Iterator for Elements<'_, '_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = self.at;
        self.at = self.nodes.after(value);
        Some(value)
    }
}
