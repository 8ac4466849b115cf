//! Aggregates of the user's own: monoids that are asked for many states at once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use cepheid_eval::Fault;
use foldhash::fast::FixedState;

/// An aggregate: what is kept of a row, what is kept of two runs of rows together, and what that says.
///
/// Joining must be associative; it need not commute, as earlier rows stand on the left. It is asked for whole arrays: a call may
/// come from another language.
pub trait UserAggregate: Debug + Send + Sync {
    /// The type of its states.
    fn state_type(&self) -> &DataType;

    /// The states of n rows, each that of one row. `args`: what it is asked of, n values each, none of them NULL.
    ///
    /// # Errors
    /// Whatever it likes.
    fn lift(&self, args: &[ArrayRef]) -> Result<ArrayRef, Fault>;

    /// Of n pairs of states, that of `left[i]`'s rows with `right[i]`'s behind them.
    ///
    /// # Errors
    /// Whatever it likes.
    fn join(&self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef, Fault>;

    /// What n states say.
    ///
    /// # Errors
    /// Whatever it likes.
    fn finish(&self, states: &ArrayRef) -> Result<ArrayRef, Fault>;
}

/// Aggregates by name.
#[derive(Clone, Debug, Default)]
pub struct UserAggregates(HashMap<String, Arc<dyn UserAggregate>, FixedState>);

impl UserAggregates {
    /// Adds one; the one that had its name before is forgotten.
    pub fn add(&mut self, name: impl Into<String>, aggregate: Arc<dyn UserAggregate>) {
        self.0.insert(name.into(), aggregate);
    }

    /// The one of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn UserAggregate>> {
        self.0.get(name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
