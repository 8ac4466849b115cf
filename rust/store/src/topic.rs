//! Names of topics, and patterns of them.

use crate::error::StoreError;

/// Longest name of a topic, a stream, and so on, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// A name that is some text without control characters.
///
/// # Errors
/// [`StoreError::InvalidName`].
pub fn check_name(what: &'static str, name: &str) -> Result<(), StoreError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it has more than 255 bytes"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else {
        return Ok(());
    };
    Err(StoreError::InvalidName { what, name: name.chars().take(80).collect(), reason })
}

/// A topic's name: as [`check_name`], and no pattern.
///
/// # Errors
/// [`StoreError::InvalidName`].
pub fn check_topic(name: &str) -> Result<(), StoreError> {
    check_name("topic", name)?;
    if name.split('.').any(|part| part == "*" || part == ">") {
        let reason = "`*` and `>` stand for parts of names in patterns";
        return Err(StoreError::InvalidName { what: "topic", name: name.into(), reason });
    }
    Ok(())
}

/// Topics by their names: parts between dots, of which `*` is any one and `>`, at the end, one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPattern(String);

impl TopicPattern {
    /// Reads a pattern; a name is one that fits itself.
    ///
    /// # Errors
    /// [`StoreError::InvalidName`].
    pub fn new(pattern: &str) -> Result<Self, StoreError> {
        check_name("topic", pattern)?;
        let mut parts = pattern.split('.').peekable();
        while let Some(part) = parts.next() {
            if part == ">" && parts.peek().is_some() {
                let reason = "`>` stands for all parts that follow, so nothing can follow it";
                return Err(StoreError::InvalidName { what: "topic", name: pattern.into(), reason });
            }
        }
        Ok(Self(pattern.into()))
    }

    /// Whether a topic is among them.
    pub fn fits(&self, topic: &str) -> bool {
        let mut parts = topic.split('.');
        for wanted in self.0.split('.') {
            match (wanted, parts.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(part)) if wanted == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    /// Whether no topic but one can be among them.
    pub fn is_name(&self) -> bool {
        !self.0.split('.').any(|part| part == "*" || part == ">")
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Longest name of a folder, in bytes.
const FOLDER_BYTES_MAX: usize = 200;

/// A topic's name as that of a folder: letters, digits, `-`, `_` and dots inside stay, all else becomes `%` and two
/// hexadecimal digits a byte, so that no name leads out of the folder that it is in, and no two are the same one.
pub fn folder_name(topic: &str) -> String {
    let mut name = String::new();
    for (place, byte) in topic.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || byte == b'-'
            || byte == b'_'
            || (byte == b'.' && place > 0 && place + 1 < topic.len());
        if plain {
            name.push(byte as char);
        } else {
            // Capitals too: file systems that take `A` for `a` would have two topics share a folder.
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > FOLDER_BYTES_MAX {
        // Longer names of folders there are on no system; the hash keeps it its own.
        name.truncate(FOLDER_BYTES_MAX - 40);
        name.push_str("%h");
        name.push_str(&crate::archive::hex(&crate::body::hash(topic.as_bytes())[..16]));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_parts_of_names() {
        let cases = [
            ("order.created", "order.created", true),
            ("order.created", "order.paid", false),
            ("order.*", "order.created", true),
            ("order.*", "order", false),
            ("order.*", "order.item.added", false),
            ("*.created", "order.created", true),
            ("order.>", "order.item.added", true),
            ("order.>", "order", false),
            (">", "anything.at.all", true),
            ("*", "order", true),
            ("*", "order.created", false),
            ("order.**", "order.x", false),
        ];
        for (pattern, topic, expected) in cases {
            assert_eq!(TopicPattern::new(pattern).unwrap().fits(topic), expected, "{pattern} of {topic}");
        }
        for wrong in ["", "a.>.b", "a\nb"] {
            assert!(TopicPattern::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(check_topic("order.*").is_err() && check_topic("a*b").is_ok());
    }

    #[test]
    fn a_folder_of_a_topic_is_inside_and_its_own() {
        let names = ["a", "A", "..", ".", "../x", "a/b", "a.b", "%41", "é", "a b", "con", "a\\b"];
        let folders: std::collections::BTreeSet<String> =
            names.iter().map(|name| folder_name(name)).collect();
        assert_eq!(folders.len(), names.len());
        for folder in &folders {
            assert!(!folder.contains(['/', '\\', ' ']) && !folder.starts_with('.'), "{folder}");
        }
    }
}
