//! Errors of functions that are not ours.

use std::fmt;
use std::sync::Arc;

/// An error of a function that is asked from within: whatever it likes.
#[derive(Clone, Debug)]
pub struct Fault(pub Arc<dyn std::error::Error + Send + Sync>);

impl Fault {
    /// One that is told in words.
    pub fn of(words: impl Into<String>) -> Self {
        let told: Box<dyn std::error::Error + Send + Sync> = words.into().into();
        Self(told.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Fault {}
