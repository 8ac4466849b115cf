//! Several changes that are made together, or not at all.

use std::sync::Arc;

use crate::append::{Append, Position, Prepared};

/// Changes that are made together, or not at all: appends, and whatever a program saves with them so that after a crash it
/// goes on from one and the same moment in all of them.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    pub(crate) changes: Vec<Change<Append>>,
}

/// One change; `A` is an append as it was given, or made ready.
#[derive(Clone, Debug)]
pub(crate) enum Change<A> {
    Append(A),
    Save { kind: &'static str, name: String, value: Vec<u8> },
    Forget { kind: &'static str, name: String },
    Put { queue: String, key: String, payload: Vec<u8> },
    Done { queue: String, key: String },
    Note { kind: &'static str, said: String },
}

/// Changes made ready.
pub(crate) type Ready = Vec<Change<Arc<Prepared>>>;

/// Kinds of what is saved.
pub const STATE: &str = "state";
/// See [`STATE`].
pub const OFFSET: &str = "offset";
/// See [`STATE`].
pub const CURSOR: &str = "cursor";

impl Transaction {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends rows.
    pub fn append(&mut self, append: Append) {
        self.changes.push(Change::Append(append));
    }

    /// Saves a value under a name, in the place of what was there: of a kind that is [`STATE`], [`OFFSET`] or [`CURSOR`].
    pub fn save(&mut self, kind: &'static str, name: String, value: Vec<u8>) {
        self.changes.push(Change::Save { kind, name, value });
    }

    /// Removes what is saved under a name.
    pub fn forget(&mut self, kind: &'static str, name: String) {
        self.changes.push(Change::Forget { kind, name });
    }

    /// Puts something to be done into a queue; if one with this key is there, nothing happens.
    pub fn put(&mut self, queue: String, key: String, payload: Vec<u8>) {
        self.changes.push(Change::Put { queue, key, payload });
    }

    /// Takes what is done out of a queue.
    pub fn done(&mut self, queue: String, key: String) {
        self.changes.push(Change::Done { queue, key });
    }

    /// Writes into the chain which version of a rule is in force from now on; `None`: none is.
    pub fn note_rule(&mut self, rule: &str, version: Option<&str>) {
        let said = serde_json::json!({ "rule": rule, "version": version }).to_string();
        self.changes.push(Change::Note { kind: "rule", said });
    }
}

/// What became of a transaction: where its appends are, in their order.
pub type Committed = Vec<Position>;
