//! Types of events whose columns are known.

use arrow_schema::SchemaRef;

/// What becomes of fields that a type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They become columns, behind those that there are.
    Keep,
    /// They are left out.
    Drop,
    /// The event is rejected.
    Reject,
}

/// A type of events, or one version of it.
#[derive(Clone, Debug)]
pub struct KnownType {
    /// Its name.
    pub name: String,
    /// The version of its schema; `None`: nobody has declared it, these are the columns that it has had so far.
    pub version: Option<i32>,
    /// The columns of its data. One that is not nullable must have a value in every event.
    pub columns: SchemaRef,
    /// What becomes of other fields.
    pub unknown: Unknown,
}
