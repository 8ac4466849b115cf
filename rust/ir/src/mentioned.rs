//! What a rule mentions: a column that no text of its wire form names is none that it reads.

use std::collections::HashSet;

use serde_json::Value;

/// Every text in the wire form of a rule, in lower case. Names of columns are among them, and names of much else.
///
/// # Panics
/// If it is no JSON.
pub fn mentioned(wire: &str) -> HashSet<String> {
    fn gather(value: Value, found: &mut HashSet<String>) {
        match value {
            Value::String(text) => {
                found.insert(text.to_lowercase());
            }
            Value::Array(parts) => parts.into_iter().for_each(|part| gather(part, found)),
            Value::Object(fields) => fields.into_iter().for_each(|(_, part)| gather(part, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut found = HashSet::new();
    gather(serde_json::from_str(wire).expect("a wire form is JSON"), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_at_any_depth_are_found_and_keys_are_not() {
        let wire = r#"{"a": ["B", {"c": {"d": "Étage"}}, 7, null, true], "e": "f"}"#;
        assert_eq!(mentioned(wire), ["b", "étage", "f"].map(str::to_owned).into());
    }
}
