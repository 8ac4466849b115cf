//! Columns that are kept secret, each value under a key of the person, or whatever the event is about: once that key is
//! gone, so is the value, wherever copies of the rows are.
//!
//! A value is kept as bytes: the number of its key, a nonce, and AES-256-GCM of the value's text, with the column's name
//! authenticated beside it. What the rows are about is itself not secret: it tells which key is meant.

use std::collections::HashMap;
use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use rusqlite::{Connection, OptionalExtension, params};

use crate::conform::as_text;
use crate::error::{Doing, StoreError};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const NUMBER_BYTES: usize = 8;

/// Most keys that a handle remembers.
const KEYS_MAX: usize = 100_000;

/// A key, and its number.
#[derive(Clone)]
pub(crate) struct NewKey {
    pub(crate) number: i64,
    pub(crate) subject: String,
    pub(crate) secret: [u8; KEY_BYTES],
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets are in no log.
        formatter.debug_struct("NewKey").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Keys that a handle knows: those that it has read, and those that it has made.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    by_subject: HashMap<String, NewKey>,
}

impl Keys {
    /// The key of a subject; a new one if it has none, or had one that is gone.
    fn of(&mut self, subject: &str, database: &Connection) -> Result<NewKey, StoreError> {
        if let Some(key) = self.by_subject.get(subject) {
            return Ok(key.clone());
        }
        let query = "SELECT key, secret FROM subjects WHERE subject = ? AND secret IS NOT NULL";
        let found = database
            .query_row(query, [subject], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .doing("read the keys of subjects")?;
        let key = match found {
            Some((number, secret)) => NewKey { number, subject: subject.into(), secret },
            None => {
                let mut number = [0; NUMBER_BYTES];
                let mut secret = [0; KEY_BYTES];
                random(&mut number)?;
                random(&mut secret)?;
                NewKey { number: i64::from_le_bytes(number), subject: subject.into(), secret }
            }
        };
        if self.by_subject.len() >= KEYS_MAX {
            self.by_subject.clear();
        }
        self.by_subject.insert(subject.into(), key.clone());
        Ok(key)
    }

    /// Forgets a subject, or all: its key is gone, or was never written.
    pub(crate) fn forget(&mut self, subject: Option<&str>) {
        match subject {
            Some(subject) => drop(self.by_subject.remove(subject)),
            None => self.by_subject.clear(),
        }
    }
}

/// Makes the columns of a topic's rows secret.
pub(crate) struct Protector<'a> {
    subject: String,
    columns: Vec<String>,
    keys: &'a mut Keys,
    database: &'a Connection,
    used: HashMap<i64, NewKey>,
}

impl<'a> Protector<'a> {
    pub(crate) fn new(
        subject: String,
        columns: Vec<String>,
        keys: &'a mut Keys,
        database: &'a Connection,
    ) -> Self {
        Self { subject, columns, keys, database, used: HashMap::new() }
    }

    /// The columns that are kept secret.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Rows with the secret columns as bytes.
    pub(crate) fn protect(&mut self, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let schema = rows.schema();
        for name in self.columns.iter().chain([&self.subject]) {
            if schema.column_with_name(name).is_none() {
                let known = schema.fields().iter().map(|field| field.name().clone()).collect();
                return Err(StoreError::Unknown { what: "column", name: name.clone(), known });
            }
        }
        let subjects = rows.column_by_name(&self.subject).expect("looked for above");
        let subjects = as_text(subjects)?;
        let subjects = subjects.as_string::<i32>();
        let mut columns = rows.columns().to_vec();
        for (place, field) in schema.fields().iter().enumerate() {
            if self.columns.contains(field.name()) {
                let secret = self.encrypted(field, &columns[place], subjects)?;
                columns[place] = secret;
            }
        }
        Ok(RecordBatch::try_new(stored_schema(&schema, &self.columns), columns)?)
    }

    fn encrypted(
        &mut self,
        field: &Field,
        column: &ArrayRef,
        subjects: &arrow_array::StringArray,
    ) -> Result<ArrayRef, StoreError> {
        if !is_protectable(field.data_type()) {
            return Err(StoreError::Unprotectable {
                column: field.name().clone(),
                found: field.data_type().to_string(),
            });
        }
        let text = as_text(column)?;
        // What does not come back the same is refused now, and not when it is read.
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let back = cast_with_options(&text, field.data_type(), &options);
        if !back.is_ok_and(|back| back.to_data() == column.to_data()) {
            return Err(StoreError::Unprotectable {
                column: field.name().clone(),
                found: format!("{}, with values that have no text of their own", field.data_type()),
            });
        }
        let text = text.as_string::<i32>();
        let mut bytes = BinaryBuilder::new();
        for row in 0..text.len() {
            if text.is_null(row) {
                bytes.append_null();
                continue;
            }
            // Rows about nobody share a key of their own.
            let subject = if subjects.is_null(row) { "" } else { subjects.value(row) };
            let key = self.keys.of(subject, self.database)?;
            let mut nonce = [0; NONCE_BYTES];
            random(&mut nonce)?;
            let payload = Payload { msg: text.value(row).as_bytes(), aad: field.name().as_bytes() };
            let secret = cipher(&key.secret).encrypt(&Nonce::from(nonce), payload).map_err(|_| {
                StoreError::InvalidOption {
                    option: "columns",
                    reason: format!("a value of `{}` is too long to be protected", field.name()),
                }
            })?;
            bytes.append_value([key.number.to_le_bytes().as_slice(), &nonce, &secret].concat());
            self.used.entry(key.number).or_insert(key);
        }
        Ok(Arc::new(bytes.finish()))
    }

    /// The keys that were used: they are to be in the store with the rows, at the latest.
    pub(crate) fn new_keys(self) -> Vec<NewKey> {
        self.used.into_values().collect()
    }
}

fn cipher(secret: &[u8; KEY_BYTES]) -> Aes256Gcm {
    Aes256Gcm::new(&(*secret).into())
}

fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Disk {
        action: "get random numbers",
        path: None,
        reason: error.to_string(),
    })
}

/// Whether values of a type become text and come back the same.
pub(crate) fn is_protectable(data_type: &DataType) -> bool {
    !data_type.is_nested()
        && !matches!(
            data_type,
            DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
                | DataType::Interval(_)
        )
        && can_cast_types(data_type, &DataType::Utf8)
        && can_cast_types(&DataType::Utf8, data_type)
}

/// Columns as they are kept: secret ones are bytes.
pub(crate) fn stored_schema(schema: &SchemaRef, protected: &[String]) -> SchemaRef {
    if protected.is_empty() {
        return Arc::clone(schema);
    }
    let field = |field: &Arc<Field>| {
        if protected.contains(field.name()) {
            Arc::new(Field::new(field.name(), DataType::Binary, true))
        } else {
            Arc::clone(field)
        }
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// Reads what was kept secret: NULL where the key is gone.
pub(crate) fn reveal(
    rows: &RecordBatch,
    given: &SchemaRef,
    protected: &[String],
    database: &Connection,
) -> Result<RecordBatch, StoreError> {
    if protected.is_empty() {
        return Ok(rows.clone());
    }
    let mut secrets: HashMap<i64, Option<[u8; KEY_BYTES]>> = HashMap::new();
    let mut columns = vec![];
    let mut fields = vec![];
    for (column, kept) in rows.columns().iter().zip(rows.schema_ref().fields()) {
        if !protected.contains(kept.name()) {
            columns.push(Arc::clone(column));
            fields.push(Arc::clone(kept));
            continue;
        }
        let field = given.field_with_name(kept.name())?;
        let bytes = column.as_binary_opt::<i32>().ok_or_else(|| {
            StoreError::corrupt(None, format!("column `{}` is not kept as bytes", kept.name()))
        })?;
        let mut text = StringBuilder::new();
        for value in bytes {
            text.append_option(
                value.map(|value| open(value, kept.name(), &mut secrets, database)).transpose()?.flatten(),
            );
        }
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let text: ArrayRef = Arc::new(text.finish());
        columns.push(cast_with_options(&text, field.data_type(), &options)?);
        fields.push(Arc::new(field.clone().with_nullable(true)));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn open(
    value: &[u8],
    column: &str,
    secrets: &mut HashMap<i64, Option<[u8; KEY_BYTES]>>,
    database: &Connection,
) -> Result<Option<String>, StoreError> {
    let corrupt = || StoreError::corrupt(None, format!("a protected value of column `{column}`"));
    let (number, rest) = value.split_first_chunk::<NUMBER_BYTES>().ok_or_else(corrupt)?;
    let (nonce, secret) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(corrupt)?;
    let number = i64::from_le_bytes(*number);
    let key = match secrets.get(&number) {
        Some(key) => *key,
        None => {
            let found = database
                .query_row("SELECT secret FROM subjects WHERE key = ?", [number], |row| row.get(0))
                .optional()
                .doing("read the keys of subjects")?;
            // An erased key is NULL; one that is not there at all has been lost.
            let found: Option<[u8; KEY_BYTES]> = found.ok_or_else(corrupt)?;
            secrets.insert(number, found);
            found
        }
    };
    let Some(key) = key else { return Ok(None) };
    let payload = Payload { msg: secret, aad: column.as_bytes() };
    let plain = cipher(&key).decrypt(&Nonce::from(*nonce), payload).map_err(|_| corrupt())?;
    String::from_utf8(plain).map(Some).map_err(|_| corrupt())
}

/// Writes the keys that rows were protected with.
pub(crate) fn save_keys(keys: &[NewKey], database: &Connection) -> Result<(), StoreError> {
    let mut statement = database
        .prepare_cached("INSERT OR IGNORE INTO subjects (key, subject, secret) VALUES (?, ?, ?)")
        .doing("write keys of subjects")?;
    for key in keys {
        let says = params![key.number, key.subject, key.secret.as_slice()];
        statement.execute(says).doing("write keys of subjects")?;
    }
    Ok(())
}
