//! An object as envelope and data, by the rules of its shape.

use std::ops::Range;

use crate::fault::{Code, Trouble, shown};
use crate::keys::{self, ENVELOPE_KEYS, KeyId};
use crate::node::{ABSENT, Node, NodeId, Nodes};

/// How an event is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// CloudEvents 1.0: attributes around `data`.
    CloudEvent,
    /// `eventId`, `eventType`, `timestamp`, around `data` and `metadata`.
    Older,
    /// The envelope's columns beside those of the data.
    Flat,
}

/// A value of the data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Its column.
    pub(crate) column: KeyId,
    pub(crate) node: NodeId,
    /// Whether it stood beside the data, where senders add things without asking.
    pub(crate) beside: bool,
    /// Whether it is bytes in base64.
    pub(crate) base64: bool,
}

/// An event: the envelope by the numbers of its names, and the data among the cells of all events.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) shape: Shape,
    pub(crate) envelope: [NodeId; ENVELOPE_KEYS as usize],
    pub(crate) cells: Range<usize>,
    /// The version at the end of `dataschema`.
    pub(crate) schema_version: Option<i32>,
}

/// Reads events off objects, and keeps the cells of all.
#[derive(Debug, Default)]
pub(crate) struct Shaper {
    pub(crate) cells: Vec<Cell>,
    /// By column: the event that had it last, to tell that it has it twice.
    seen: Vec<u32>,
    events: u32,
}

impl Shaper {
    /// The event that an object is.
    pub(crate) fn event(&mut self, nodes: &mut Nodes<'_>, root: NodeId) -> Result<Event, Trouble> {
        let Node::Object { .. } = nodes.get(root) else {
            let reason = format!("an event is an object, not {}", nodes.describe(nodes.get(root)));
            return Err(Trouble::new(Code::NotObject, reason));
        };
        let first = self.cells.len();
        let shape = shape_of(nodes, root);
        let mut event = Event {
            shape,
            envelope: [ABSENT; ENVELOPE_KEYS as usize],
            cells: first..first,
            schema_version: None,
        };
        let read = match shape {
            Shape::CloudEvent => self.cloud_event(nodes, root, &mut event),
            Shape::Older => self.older(nodes, root, &mut event),
            Shape::Flat => self.flat(nodes, root, &mut event),
        };
        if let Err(trouble) = read {
            self.cells.truncate(first);
            return Err(trouble);
        }
        event.cells = first..self.cells.len();
        Ok(event)
    }

    fn cloud_event(&mut self, nodes: &mut Nodes<'_>, root: NodeId, event: &mut Event) -> Result<(), Trouble> {
        let (mut data, mut base64) = (ABSENT, ABSENT);
        let mut beside = Vec::new();
        for (key, node) in nodes.fields(root) {
            let value = nodes.get(node);
            match key {
                keys::SPEC_VERSION => {
                    if nodes.text_of(value) != Some("1.0") {
                        return Err(attribute(format!(
                            "`specversion` is {}; CloudEvents 1.0 are read",
                            nodes.describe(value)
                        )));
                    }
                }
                keys::DATA => data = node,
                keys::DATA_BASE64 if value != Node::Null => base64 = node,
                _ if key < ENVELOPE_KEYS => event.envelope[key as usize] = node,
                _ if value == Node::Null => {}
                keys::DATA_CONTENT_TYPE => {
                    let text = nodes.text_of(value).ok_or_else(|| {
                        attribute(format!("`datacontenttype` is {}, not a text", nodes.describe(value)))
                    })?;
                    if !is_json_type(text) {
                        beside.push((key, node));
                    }
                }
                keys::DATA_SCHEMA => {
                    event.schema_version = nodes.text_of(value).and_then(trailing_version);
                    beside.push((key, node));
                }
                _ => {
                    check_extension(nodes, key, value)?;
                    beside.push((key, node));
                }
            }
        }
        if base64 != ABSENT {
            if nodes.get(data) != Node::Null {
                return Err(attribute("it has both `data` and `data_base64`".into()));
            }
            let value = nodes.get(base64);
            if nodes.text_of(value).and_then(crate::build::base64).is_none() {
                return Err(attribute(format!(
                    "`data_base64` is {}, not bytes in base64",
                    nodes.describe(value)
                )));
            }
        }
        if base64 != ABSENT {
            self.cells.push(Cell { column: keys::DATA, node: base64, beside: false, base64: true });
            self.mark(nodes, self.cells.len() - 1);
        } else {
            self.data(nodes, data);
        }
        self.beside(nodes, &beside, "ce_");
        Ok(())
    }

    fn older(&mut self, nodes: &mut Nodes<'_>, root: NodeId, event: &mut Event) -> Result<(), Trouble> {
        let (mut data, mut metadata) = (ABSENT, ABSENT);
        let mut beside = Vec::new();
        for (key, node) in nodes.fields(root) {
            let name = match key {
                keys::EVENT_ID => keys::ID,
                keys::EVENT_TYPE => keys::TYPE,
                keys::TIMESTAMP => keys::TIME,
                keys::OLD_CORRELATION_ID => keys::CORRELATION_ID,
                keys::OLD_CAUSATION_ID => keys::CAUSATION_ID,
                keys::OLD_PARTITION_KEY => keys::PARTITION_KEY,
                other => other,
            };
            match name {
                keys::DATA => data = node,
                keys::METADATA => metadata = node,
                _ if name < ENVELOPE_KEYS => set(nodes, event, name, node)?,
                _ => beside.push((key, node)),
            }
        }
        match nodes.get(metadata) {
            Node::Null | Node::Object { .. } => {}
            other => {
                return Err(attribute(format!("`metadata` is {}, not an object", nodes.describe(other))));
            }
        }
        for (key, node) in nodes.fields(metadata) {
            if key == keys::VERSION {
                set(nodes, event, keys::SCHEMA_VERSION, node)?;
            } else {
                beside.push((key, node));
            }
        }
        self.data(nodes, data);
        self.beside(nodes, &beside, "metadata_");
        Ok(())
    }

    fn flat(&mut self, nodes: &mut Nodes<'_>, root: NodeId, event: &mut Event) -> Result<(), Trouble> {
        let mut data = ABSENT;
        for (key, node) in nodes.fields(root) {
            if key < ENVELOPE_KEYS {
                event.envelope[key as usize] = node;
                continue;
            }
            if key == keys::DATA && matches!(nodes.get(node), Node::Object { .. }) {
                data = node;
            }
            self.cells.push(Cell { column: key, node, beside: false, base64: false });
        }
        // Nothing but an envelope around data.
        if data != ABSENT && self.cells.last().is_some_and(|cell| cell.node == data) {
            let own = nodes.fields(root).filter(|(key, _)| *key >= ENVELOPE_KEYS).count();
            if own == 1 {
                self.cells.pop();
                self.data(nodes, data);
            }
        }
        Ok(())
    }

    /// The data within an envelope: the fields of an object, or the column `data`.
    fn data(&mut self, nodes: &mut Nodes<'_>, data: NodeId) {
        let first = self.cells.len();
        let Node::Object { next, .. } = nodes.get(data) else {
            if nodes.get(data) != Node::Null {
                self.cells.push(Cell { column: keys::DATA, node: data, beside: false, base64: false });
            }
            self.mark(nodes, first);
            return;
        };
        let mut at = data + 1;
        while at < next {
            let Node::Key(key) = nodes.get(at) else { unreachable!("a name stands in front of each value") };
            let column = nodes.keys.data_column(key);
            self.cells.push(Cell { column, node: at + 1, beside: false, base64: false });
            at = nodes.after(at + 1);
        }
        self.mark(nodes, first);
    }

    /// Remembers the columns of the event that is being read.
    fn mark(&mut self, nodes: &Nodes<'_>, first: usize) {
        self.events += 1;
        self.seen.resize(nodes.keys.len(), 0);
        for cell in &self.cells[first..] {
            self.seen[cell.column as usize] = self.events;
        }
    }

    /// What stands beside the data: in a column of its name, unless the data has that, and then with a prefix.
    fn beside(&mut self, nodes: &mut Nodes<'_>, found: &[(KeyId, NodeId)], prefix: &str) {
        for (key, node) in found {
            let mut column = nodes.keys.data_column(*key);
            self.seen.resize(nodes.keys.len(), 0);
            while self.seen[column as usize] == self.events {
                let name = format!("{prefix}{}", nodes.keys.name(column));
                column = nodes.keys.id(&name);
                self.seen.resize(nodes.keys.len(), 0);
            }
            self.seen[column as usize] = self.events;
            self.cells.push(Cell { column, node: *node, beside: true, base64: false });
        }
    }
}

fn set(nodes: &Nodes<'_>, event: &mut Event, name: KeyId, node: NodeId) -> Result<(), Trouble> {
    let slot = &mut event.envelope[name as usize];
    if *slot != ABSENT {
        return Err(attribute(format!("it says its `{}` twice, under two names", nodes.keys.name(name))));
    }
    *slot = node;
    Ok(())
}

fn shape_of(nodes: &Nodes<'_>, root: NodeId) -> Shape {
    let mut shape = Shape::Flat;
    for (key, _) in nodes.fields(root) {
        match key {
            keys::SPEC_VERSION => return Shape::CloudEvent,
            keys::EVENT_ID | keys::EVENT_TYPE => shape = Shape::Older,
            _ => {}
        }
    }
    shape
}

pub(crate) fn attribute(reason: String) -> Trouble {
    Trouble::new(Code::EventAttribute, reason)
}

/// Attributes that CloudEvents does not name are lower case letters and digits, and no containers.
fn check_extension(nodes: &Nodes<'_>, key: KeyId, value: Node) -> Result<(), Trouble> {
    let name = nodes.keys.name(key);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(attribute(format!(
            "an attribute is named `{}`; attributes of CloudEvents are named by lower case letters and digits",
            shown(name)
        )));
    }
    match value {
        Node::Bool(_) | Node::Text { .. } | Node::Unescaped { .. } => Ok(()),
        Node::Int(value) if i32::try_from(value).is_ok() => Ok(()),
        _ => Err(attribute(format!(
            "the attribute `{}` is {}; attributes of CloudEvents are texts, booleans or whole numbers of 32 bits",
            shown(name),
            nodes.describe(value)
        ))),
    }
}

/// Whether a media type is one of JSON.
fn is_json_type(text: &str) -> bool {
    let name = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    name == "application/json" || name == "text/json" || name.ends_with("+json")
}

/// The version that the name of a schema ends in: `.../order/v2`, `.../2`, `...-2.1.json`.
fn trailing_version(text: &str) -> Option<i32> {
    let text = text.trim_end_matches('/').trim_end_matches(".json");
    let rest = text.trim_end_matches(|char: char| char.is_ascii_digit() || char == '.');
    let number = text[rest.len()..].trim_start_matches('.').split('.').next()?;
    let before = rest.chars().next_back();
    let before = if matches!(before, Some('v' | 'V')) { rest.chars().rev().nth(1) } else { before };
    // What is part of a word is no version.
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    number.parse().ok().filter(|version| *version >= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_schema_is_at_its_end() {
        let cases = [
            ("https://x.example/order/v2", Some(2)),
            ("https://x.example/order/2/", Some(2)),
            ("https://x.example/order-2.1.json", Some(2)),
            ("urn:order:3", Some(3)),
            ("2", Some(2)),
            ("https://x.example/order.v7", Some(7)),
            ("https://x.example/order", None),
            ("https://x.example/sha256", None),
            ("https://x.example/v0", None),
            ("https://x.example/99999999999", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(trailing_version(text), expected, "{text}");
        }
    }
}
