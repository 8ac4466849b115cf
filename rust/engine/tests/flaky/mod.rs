//! A processor that fails when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use cepheid_engine::{Fault, Process};

/// See the module. It gives nothing.
#[derive(Debug, Default)]
pub(crate) struct Flaky {
    /// Whether it fails next.
    pub(crate) fails: AtomicBool,
}

impl Process for Flaky {
    fn process(&self, _: &RecordBatch) -> Result<Option<RecordBatch>, Fault> {
        match self.fails.swap(false, Ordering::Relaxed) {
            true => Err(Fault(Arc::new(std::fmt::Error))),
            false => Ok(None),
        }
    }
}
