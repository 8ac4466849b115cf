//! Patterns, windows and anomaly rules as versioned JSON, and the hash that names a version of a rule.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::anomaly::Anomaly;
use crate::error::PatternError;
use crate::expr::Expr;
use crate::limits::WIRE_DEPTH_MAX;
use crate::pattern::Pattern;
use crate::window::Window;

/// The newest wire version, and the one that is written.
pub const WIRE_VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<P> {
    cepheid_ir: u64,
    pattern: P,
}

impl Pattern {
    /// The pattern as JSON, `{"cepheid_ir": 1, "pattern": {...}}`, fields in declaration order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Envelope { cepheid_ir: WIRE_VERSION, pattern: self })
            .expect("a pattern has no map keys and no failing serialiser")
    }

    /// Reads what [`to_json`](Self::to_json) wrote, validates it and brings it to its normal spelling.
    ///
    /// # Errors
    /// [`PatternError::Malformed`] for anything that is not such JSON, [`PatternError::WireVersion`] for a newer
    /// version, and whatever [`validate`](Self::validate) finds.
    pub fn from_json(text: &str) -> Result<Self, PatternError> {
        check_version(text)?;
        let envelope: Envelope<Self> = read(text)?;
        envelope.pattern.validate()?;
        Ok(envelope.pattern.normalise())
    }

    /// SHA-256 of the wire form without the rule's name, in hex: equal meaning in equal spelling gives equal hashes.
    pub fn fingerprint(&self) -> String {
        let nameless = Self { name: None, ..self.clone() };
        hex_digest(&nameless.to_json())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowEnvelope<W> {
    cepheid_ir: u64,
    window: W,
}

impl Window {
    /// The window as JSON, `{"cepheid_ir": 1, "window": {...}}`, fields in declaration order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&WindowEnvelope { cepheid_ir: WIRE_VERSION, window: self })
            .expect("a window has no map keys and no failing serialiser")
    }

    /// Reads what [`to_json`](Self::to_json) wrote, validates it and brings it to its normal spelling.
    ///
    /// # Errors
    /// As [`Pattern::from_json`].
    pub fn from_json(text: &str) -> Result<Self, PatternError> {
        check_version(text)?;
        let envelope: WindowEnvelope<Self> = read(text)?;
        envelope.window.validate()?;
        Ok(envelope.window.normalise())
    }

    /// SHA-256 of the wire form without the rule's name, in hex.
    pub fn fingerprint(&self) -> String {
        let nameless = Self { name: None, ..self.clone() };
        hex_digest(&nameless.to_json())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnomalyEnvelope<A> {
    cepheid_ir: u64,
    anomaly: A,
}

impl Anomaly {
    /// The rule as JSON, `{"cepheid_ir": 1, "anomaly": {...}}`, fields in declaration order.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&AnomalyEnvelope { cepheid_ir: WIRE_VERSION, anomaly: self })
            .expect("a rule has no map keys and no failing serialiser")
    }

    /// Reads what [`to_json`](Self::to_json) wrote, validates it and brings it to its normal spelling.
    ///
    /// # Errors
    /// As [`Pattern::from_json`].
    pub fn from_json(text: &str) -> Result<Self, PatternError> {
        check_version(text)?;
        let envelope: AnomalyEnvelope<Self> = read(text)?;
        envelope.anomaly.validate()?;
        Ok(envelope.anomaly.normalise())
    }

    /// SHA-256 of the wire form without the rule's name, in hex.
    pub fn fingerprint(&self) -> String {
        let nameless = Self { name: None, ..self.clone() };
        hex_digest(&nameless.to_json())
    }
}

fn check_version(text: &str) -> Result<(), PatternError> {
    #[derive(Deserialize)]
    struct Version {
        cepheid_ir: u64,
    }
    let version: Version = read(text)?;
    if version.cepheid_ir != WIRE_VERSION {
        return Err(PatternError::WireVersion { found: version.cepheid_ir, supported: WIRE_VERSION });
    }
    Ok(())
}

fn hex_digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An expression as JSON, without a version: part of a message between the two halves of one build.
pub fn expr_to_json(expr: &Expr) -> String {
    serde_json::to_string(expr).expect("an expression has no map keys and no failing serialiser")
}

/// Reads what [`expr_to_json`] wrote.
///
/// # Errors
/// [`PatternError::Malformed`].
pub fn expr_from_json(text: &str) -> Result<Expr, PatternError> {
    read(text)
}

fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, PatternError> {
    // Deserialisation recurses: refuse depth before it is met. `serde_json`'s own guard would stop at 128, which a
    // legal expression can exceed.
    let depth = nesting(text);
    if depth > WIRE_DEPTH_MAX {
        return Err(PatternError::Malformed {
            reason: format!("nested {depth} levels deep; the limit is {WIRE_DEPTH_MAX}"),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let malformed = |error: serde_json::Error| PatternError::Malformed { reason: error.to_string() };
    let value = T::deserialize(&mut deserializer).map_err(malformed)?;
    deserializer.end().map_err(malformed)?;
    Ok(value)
}

/// Deepest nesting of brackets outside strings.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
