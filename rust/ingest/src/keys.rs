//! Names of fields as numbers: most events of a text have the same, in the same order.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// A table whose order reaches no result.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, RandomState>;

/// A name's number.
pub(crate) type KeyId = u32;

/// No name.
const NONE: KeyId = KeyId::MAX;

/// Declares names whose numbers are constants, and their list.
macro_rules! well_known {
    ($($constant:ident = $name:literal),* $(,)?) => {
        well_known!(@number 0; $($constant,)*);
        /// Names whose numbers are known beforehand, in the order of these.
        const WELL_KNOWN: &[&str] = &[$($name),*];
    };
    (@number $number:expr; $constant:ident, $($rest:ident,)*) => {
        pub(crate) const $constant: KeyId = $number;
        well_known!(@number $number + 1; $($rest,)*);
    };
    (@number $number:expr;) => {};
}

well_known! {
    ID = "id", TYPE = "type", SOURCE = "source", TIME = "time", SUBJECT = "subject",
    CORRELATION_ID = "correlationid", CAUSATION_ID = "causationid", SCHEMA_VERSION = "schemaversion",
    PARTITION_KEY = "partitionkey",
    SPEC_VERSION = "specversion", DATA = "data", DATA_BASE64 = "data_base64",
    DATA_CONTENT_TYPE = "datacontenttype", DATA_SCHEMA = "dataschema",
    EVENT_ID = "eventId", EVENT_TYPE = "eventType", TIMESTAMP = "timestamp",
    OLD_CORRELATION_ID = "correlationId", OLD_CAUSATION_ID = "causationId", OLD_PARTITION_KEY = "partitionKey",
    METADATA = "metadata", VERSION = "version",
}

/// How many names of the envelope there are: those with the least numbers.
pub(crate) const ENVELOPE_KEYS: KeyId = PARTITION_KEY + 1;

/// Names that columns of data cannot have, besides those of the envelope: shapes give them a meaning, or the store.
const RESERVED: [&str; 9] =
    ["specversion", "data", "data_base64", "_position", "_topic", "_row", "_stream", "_version", "_recorded"];

/// The names of a text.
#[derive(Debug)]
pub(crate) struct Keys {
    names: Vec<Box<str>>,
    table: HashTable<KeyId>,
    hasher: RandomState,
    /// By name: which one followed it last.
    followers: Vec<KeyId>,
    /// By name: the column of a field of data that is named so, once it has been asked for.
    columns: Vec<KeyId>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let mut keys = Self {
            names: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::default(),
            followers: Vec::new(),
            columns: Vec::new(),
        };
        for (number, name) in WELL_KNOWN.iter().enumerate() {
            let id = keys.id(name);
            debug_assert_eq!(id as usize, number);
        }
        keys
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn name(&self, id: KeyId) -> &str {
        &self.names[id as usize]
    }

    /// The number of a name.
    pub(crate) fn id(&mut self, name: &str) -> KeyId {
        let hash = self.hasher.hash_one(name);
        let names = &self.names;
        if let Some(id) = self.table.find(hash, |id| &*names[*id as usize] == name) {
            return *id;
        }
        let id = KeyId::try_from(self.names.len()).expect("a text has fewer names than bytes");
        self.names.push(name.into());
        self.followers.push(NONE);
        self.columns.push(NONE);
        let (names, hasher) = (&self.names, &self.hasher);
        self.table.insert_unique(hash, id, |id| hasher.hash_one(&*names[*id as usize]));
        id
    }

    /// The number of a name that some event has.
    pub(crate) fn find(&self, name: &str) -> Option<KeyId> {
        let hash = self.hasher.hash_one(name);
        self.table.find(hash, |id| &*self.names[*id as usize] == name).copied()
    }

    /// The number of a name that comes after another: as a rule the one that did so last.
    pub(crate) fn id_after(&mut self, before: Option<KeyId>, name: &str) -> KeyId {
        let Some(before) = before else { return self.id(name) };
        let guess = self.followers[before as usize];
        if guess != NONE && &*self.names[guess as usize] == name {
            return guess;
        }
        let id = self.id(name);
        self.followers[before as usize] = id;
        id
    }

    /// The column of a field of data: named as it is, unless the name has another meaning; then `data_` is put in front, and
    /// in front of the name that results from that as well, so that the way back is clear.
    pub(crate) fn data_column(&mut self, field: KeyId) -> KeyId {
        let known = self.columns[field as usize];
        if known != NONE {
            return known;
        }
        let name = self.name(field);
        let column = if is_escaped(name) { self.id(&format!("data_{}", self.name(field))) } else { field };
        self.columns[field as usize] = column;
        column
    }
}

/// Whether a field's name, or what is left of it without `data_` in front, has another meaning.
fn is_escaped(name: &str) -> bool {
    let mut rest = name;
    loop {
        if WELL_KNOWN[..ENVELOPE_KEYS as usize].contains(&rest) || RESERVED.contains(&rest) {
            return true;
        }
        match rest.strip_prefix("data_") {
            Some(shorter) => rest = shorter,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_and_followers_are_guessed() {
        let mut keys = Keys::new();
        assert_eq!((keys.name(ID), keys.name(VERSION)), ("id", "version"));
        let first = keys.id("a");
        assert_eq!((keys.id_after(Some(ID), "a"), keys.id_after(Some(ID), "a")), (first, first));
        assert_ne!(keys.id_after(Some(ID), "b"), first);
        assert_eq!(keys.find("b"), Some(first + 1));
        assert_eq!(keys.find("c"), None);
    }

    #[test]
    fn fields_of_data_do_not_overwrite_the_envelope() {
        let mut keys = Keys::new();
        let cases = [
            ("amount", "amount"),
            ("id", "data_id"),
            ("data_id", "data_data_id"),
            ("data_amount", "data_amount"),
            ("data", "data_data"),
            ("_row", "data__row"),
            ("specversion", "data_specversion"),
            ("correlationId", "correlationId"),
        ];
        for (field, column) in cases {
            let id = keys.id(field);
            let found = keys.data_column(id);
            assert_eq!(keys.name(found), column, "{field}");
            assert_eq!(keys.data_column(id), found);
        }
    }
}
