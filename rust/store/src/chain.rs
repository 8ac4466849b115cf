//! The chain of hashes: each entry's holds all before it, so that nothing can be changed, left out or put in between
//! without every hash after it being another one.
//!
//! `chain(n) = SHA-256(chain(n - 1) ‖ n ‖ kind ‖ recorded ‖ author ‖ digest(n))`, where texts have their length in front
//! of them, numbers are 8 bytes little-endian, and `chain(0)` is the hash of the store's identity. The digest is that of
//! what the entry says: of a batch, of its place and of the hash of its bytes.

use sha2::{Digest, Sha256};

use crate::body::Hash;

/// An entry as it goes into the chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<'a> {
    pub(crate) entry: i64,
    pub(crate) kind: &'a str,
    /// Nanoseconds since 1970.
    pub(crate) recorded: i64,
    pub(crate) author: &'a str,
    pub(crate) digest: &'a Hash,
}

/// The hash before the first entry.
pub(crate) fn beginning(identity: &[u8]) -> Hash {
    Sha256::digest(identity).into()
}

/// The hash after an entry.
pub(crate) fn next(before: &Hash, link: &Link<'_>) -> Hash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(link.entry.to_le_bytes());
    put_text(&mut hash, link.kind);
    hash.update(link.recorded.to_le_bytes());
    put_text(&mut hash, link.author);
    hash.update(link.digest);
    hash.finalize().into()
}

/// What a batch says of itself: all of its row but for where its rows are, which may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) batch: i64,
    pub(crate) topic: String,
    pub(crate) schema: Hash,
    pub(crate) first_position: i64,
    pub(crate) first_row: i64,
    pub(crate) events: i64,
    pub(crate) stream: Option<String>,
    pub(crate) first_version: Option<i64>,
    pub(crate) times: Option<(i64, i64)>,
    pub(crate) idempotency: Option<String>,
    pub(crate) idempotency_events: Option<i64>,
    pub(crate) bytes: i64,
    pub(crate) body_hash: Hash,
    pub(crate) summary_hash: Hash,
}

impl BatchHeader {
    /// Whether it came with an idempotency key that is kept no longer.
    pub(crate) fn has_lost_key(&self) -> bool {
        self.idempotency.is_none() && self.idempotency_events.is_some()
    }

    pub(crate) fn digest(&self) -> Hash {
        let mut hash = Sha256::new();
        for number in [self.batch, self.first_position, self.first_row, self.events, self.bytes] {
            hash.update(number.to_le_bytes());
        }
        put_text(&mut hash, &self.topic);
        hash.update(self.schema);
        for text in [&self.stream, &self.idempotency] {
            put_optional(&mut hash, text.as_deref(), put_text);
        }
        let number = |hash: &mut Sha256, number: i64| hash.update(number.to_le_bytes());
        put_optional(&mut hash, self.first_version, number);
        put_optional(&mut hash, self.idempotency_events, number);
        put_optional(&mut hash, self.times.map(|times| times.0), number);
        put_optional(&mut hash, self.times.map(|times| times.1), number);
        hash.update(self.body_hash);
        hash.update(self.summary_hash);
        hash.finalize().into()
    }
}

fn put_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn put_optional<T>(hash: &mut Sha256, value: Option<T>, put: impl FnOnce(&mut Sha256, T)) {
    hash.update([u8::from(value.is_some())]);
    if let Some(value) = value {
        put(hash, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_entry_changes_the_hash() {
        let digest = [7; 32];
        let link = Link { entry: 1, kind: "batch", recorded: 5, author: "ann", digest: &digest };
        let before = beginning(b"identity");
        let plain = next(&before, &link);
        let changed = [
            next(&beginning(b"other"), &link),
            next(&before, &Link { entry: 2, ..link }),
            next(&before, &Link { kind: "seal", ..link }),
            next(&before, &Link { recorded: 6, ..link }),
            next(&before, &Link { author: "bob", ..link }),
            next(&before, &Link { digest: &[8; 32], ..link }),
            // Texts next to each other do not run together.
            next(&before, &Link { kind: "batcha", author: "nn", ..link }),
        ];
        assert_eq!(changed.iter().filter(|hash| **hash != plain).count(), changed.len());
    }

    #[test]
    fn every_part_of_a_batch_changes_its_digest() {
        let header = BatchHeader {
            batch: 1,
            topic: "t".into(),
            schema: [1; 32],
            first_position: 0,
            first_row: 0,
            events: 3,
            stream: None,
            first_version: None,
            times: Some((1, 2)),
            idempotency: None,
            idempotency_events: None,
            bytes: 9,
            body_hash: [2; 32],
            summary_hash: [3; 32],
        };
        let changes: [fn(&mut BatchHeader); 15] = [
            |header| header.bytes = 8,
            |header| header.idempotency_events = Some(3),
            |header| header.batch = 2,
            |header| header.topic = "u".into(),
            |header| header.schema = [0; 32],
            |header| header.first_position = 1,
            |header| header.first_row = 1,
            |header| header.events = 4,
            |header| header.stream = Some(String::new()),
            |header| header.first_version = Some(0),
            |header| header.times = None,
            |header| header.times = Some((1, 3)),
            |header| header.idempotency = Some(String::new()),
            |header| header.body_hash = [0; 32],
            |header| header.summary_hash = [0; 32],
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = header.clone();
            change(&mut changed);
            assert_ne!(changed.digest(), header.digest(), "change {number}");
        }
    }
}
