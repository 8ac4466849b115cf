//! The envelope: what it must be, what is filled in, and its columns.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, TimeUnit};

use crate::fault::{Code, Trouble, shown};
use crate::keys::{
    CAUSATION_ID, CORRELATION_ID, ID, KeyId, PARTITION_KEY, SCHEMA_VERSION, SOURCE, SUBJECT, TIME, TYPE,
};
use crate::node::{ABSENT, Node, NodeId, Nodes};
use crate::read::Frame;
use crate::shape::{Event, Shape, attribute};
use crate::time::rfc3339_micros;

/// The columns of the envelope, in their order.
pub const ENVELOPE: [&str; 9] = [
    "id",
    "type",
    "source",
    "time",
    "subject",
    "correlationid",
    "causationid",
    "schemaversion",
    "partitionkey",
];

/// Longest name of a type, and of a column, in bytes: that of a topic.
const NAME_BYTES_MAX: usize = 255;

/// An event whose envelope is as it must be.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) event: Event,
    /// Which of the call's events it is.
    pub(crate) row: u32,
    /// Microseconds since 1970; `None`: it has none of its own.
    pub(crate) time: Option<i64>,
    /// The version that it says it is of.
    pub(crate) version: Option<i32>,
}

/// Texts of the envelope that need no further look.
const TEXTS: [KeyId; 4] = [SUBJECT, CORRELATION_ID, CAUSATION_ID, PARTITION_KEY];

/// Checks an envelope.
pub(crate) fn check(nodes: &Nodes<'_>, event: Event, row: u32) -> Result<Checked, Trouble> {
    let strict = event.shape == Shape::CloudEvent;
    for key in [ID, SOURCE] {
        let node = value(nodes, &event, key);
        check_text(nodes, key, node, strict)?;
        if strict && node == Node::Null {
            let name = ENVELOPE[key as usize];
            return Err(attribute(format!("it has no `{name}`, which CloudEvents must have")));
        }
    }
    for key in TEXTS {
        // Of CloudEvents itself is the subject; the others are extensions, which may be numbers.
        check_text(nodes, key, value(nodes, &event, key), strict && key == SUBJECT)?;
    }
    let time = match value(nodes, &event, TIME) {
        Node::Null => None,
        node => Some(nodes.text_of(node).and_then(rfc3339_micros).ok_or_else(|| {
            let reason = format!(
                "`time` is {}; a time is a text as RFC 3339 has it, with an offset, of the years 1678 to 2261",
                nodes.describe(node)
            );
            Trouble::new(Code::EventTime, reason)
        })?),
    };
    let version = match value(nodes, &event, SCHEMA_VERSION) {
        Node::Null => event.schema_version,
        node => Some(version(nodes, node)?),
    };
    Ok(Checked { event, row, time, version })
}

fn value(nodes: &Nodes<'_>, event: &Event, key: KeyId) -> Node {
    nodes.get(event.envelope[key as usize])
}

fn check_text(nodes: &Nodes<'_>, key: KeyId, node: Node, strict: bool) -> Result<(), Trouble> {
    let name = ENVELOPE[key as usize];
    match node {
        Node::Null => Ok(()),
        Node::Int(_) if !strict => Ok(()),
        _ => match nodes.text_of(node) {
            Some("") => Err(attribute(format!("`{name}` is empty; leave it out, or say what it is"))),
            Some(_) => Ok(()),
            None => Err(attribute(format!("`{name}` is {}, not a text", nodes.describe(node)))),
        },
    }
}

fn version(nodes: &Nodes<'_>, node: Node) -> Result<i32, Trouble> {
    let found = match node {
        Node::Int(value) => i32::try_from(value).ok(),
        Node::Number { start, end } => major(nodes.slice(start, end)),
        _ => nodes.text_of(node).and_then(major),
    };
    found.filter(|version| *version >= 1).ok_or_else(|| {
        let reason = format!("the version of its schema is {}, not a number from 1", nodes.describe(node));
        Trouble::new(Code::SchemaVersion, reason)
    })
}

/// The first part of a version: 2 of `2`, `v2` and `2.1`.
fn major(text: &str) -> Option<i32> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let mut parts = text.split('.');
    let first = parts.next()?;
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (plain(first) && parts.all(plain)).then(|| first.parse().ok())?
}

/// The type of an event: what the call says it is, or it itself.
pub(crate) fn event_type<'n>(
    nodes: &'n Nodes<'_>,
    checked: &Event,
    topic: Option<&'n str>,
) -> Result<&'n str, Trouble> {
    let wrong = |reason: String| Err(Trouble::new(Code::EventType, reason));
    let node = value(nodes, checked, TYPE);
    let own = match node {
        Node::Null => None,
        _ => match nodes.text_of(node) {
            Some(text) => Some(text),
            None => return wrong(format!("`type` is {}, not a text", nodes.describe(node))),
        },
    };
    match (own, topic) {
        (Some(own), Some(topic)) if own != topic => {
            wrong(format!("it says that it is of type `{}`, but was sent as `{topic}`", shown(own)))
        }
        (None, None) => wrong("it has no `type`, and was sent without a topic".into()),
        (None, Some(_)) if checked.shape == Shape::CloudEvent => {
            wrong("it has no `type`, which CloudEvents must have".into())
        }
        (Some(name), _) | (None, Some(name)) => match name_fault(name) {
            Some(why) => wrong(format!("`type` cannot be the name of a topic: {why}")),
            None if name.split('.').any(|part| part == "*" || part == ">") => {
                wrong("`type` cannot be the name of a topic: `*` and `>` stand for parts of names".into())
            }
            None => Ok(name),
        },
    }
}

/// Why a text is no name.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NAME_BYTES_MAX {
        Some("it has more than 255 bytes")
    } else if name.chars().any(char::is_control) {
        Some("it has control characters")
    } else {
        None
    }
}

/// The fields of the columns.
pub(crate) fn fields() -> Vec<Arc<Field>> {
    ENVELOPE
        .iter()
        .enumerate()
        .map(|(key, name)| {
            let data_type = match key as KeyId {
                TIME => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                SCHEMA_VERSION => DataType::Int32,
                _ => DataType::Utf8,
            };
            Arc::new(Field::new(*name, data_type, true))
        })
        .collect()
}

/// The columns of events of one type; `version` is of those that say none.
pub(crate) fn columns(
    nodes: &Nodes<'_>,
    events: &[&Checked],
    topic: &str,
    version: Option<i32>,
    frame: &Frame<'_>,
) -> Vec<ArrayRef> {
    let count = events.len();
    let mut made = String::new();
    let mut ids = StringBuilder::with_capacity(count, count * 24);
    let mut correlations = StringBuilder::with_capacity(count, count * 24);
    let mut number = String::new();
    for event in events {
        let id = text(nodes, event, ID, &mut number).unwrap_or_else(|| {
            made.clear();
            write!(made, "{}-{}", frame.id_prefix, event.row).expect("a string takes all");
            &made
        });
        ids.append_value(id);
        let mut number = String::new();
        correlations.append_value(text(nodes, event, CORRELATION_ID, &mut number).unwrap_or(id));
    }
    let mut types = StringBuilder::with_capacity(count, count * topic.len());
    let mut sources = StringBuilder::with_capacity(count, count * frame.source.len());
    let mut times = TimestampMicrosecondBuilder::with_capacity(count);
    let mut versions = Int32Builder::with_capacity(count);
    for event in events {
        types.append_value(topic);
        sources.append_value(text(nodes, event, SOURCE, &mut number).unwrap_or(frame.source));
        times.append_value(event.time.unwrap_or(frame.received_us));
        versions.append_option(event.version.or(version));
    }
    let times: TimestampMicrosecondArray = times.finish();
    let mut optional = |key: KeyId| -> ArrayRef {
        let mut built = StringBuilder::with_capacity(count, 0);
        for event in events {
            built.append_option(text(nodes, event, key, &mut number));
        }
        Arc::new(built.finish())
    };
    let (subjects, causations, partitions) =
        (optional(SUBJECT), optional(CAUSATION_ID), optional(PARTITION_KEY));
    vec![
        Arc::new(ids.finish()),
        Arc::new(types.finish()),
        Arc::new(sources.finish()),
        Arc::new(times.with_timezone("UTC")),
        subjects,
        Arc::new(correlations.finish()),
        causations,
        Arc::new(versions.finish()),
        partitions,
    ]
}

/// A text of the envelope; of a whole number its digits, which are written to `number`.
fn text<'n>(nodes: &'n Nodes<'_>, event: &Checked, key: KeyId, number: &'n mut String) -> Option<&'n str> {
    let id: NodeId = event.event.envelope[key as usize];
    if id == ABSENT {
        return None;
    }
    match nodes.get(id) {
        Node::Int(value) => {
            number.clear();
            write!(number, "{value}").expect("a string takes all");
            Some(number)
        }
        node => nodes.text_of(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_their_first_part() {
        let cases = [
            ("1", Some(1)),
            ("v2", Some(2)),
            ("2.10.3", Some(2)),
            ("1.0", Some(1)),
            ("", None),
            ("v", None),
            ("2.", None),
            ("2.x", None),
            ("-1", None),
            ("99999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(major(text), expected, "{text}");
        }
    }
}
