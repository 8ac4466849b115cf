//! What an aggregate has to say of itself, so that every kind of window can be made of it.

use std::fmt::Debug;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use cepheid_eval::EvalError;
use cepheid_ir::AggregateFunction;

/// An aggregate: what is kept of some rows, and how it is found from what is kept of parts of them.
///
/// Joining must be associative, with the state of no rows as its unit. It need not commute: earlier rows always stand on
/// the left.
pub(crate) trait Monoid: Clone + Debug + Send + Sync + 'static {
    /// What is kept of some rows.
    type State: Clone + Debug + Send + Sync;
    /// Arguments, ready to be read.
    type Args: 'static;

    /// Makes arguments ready.
    fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError>;

    /// Of no rows.
    fn empty(&self) -> Self::State;

    /// Adds a row, behind those there are.
    fn add(&self, state: &mut Self::State, args: &Self::Args, row: usize);

    /// Adds the rows of another state, behind those there are.
    fn join(&self, earlier: &mut Self::State, later: &Self::State);

    /// What is known of the rows of each state.
    ///
    /// # Errors
    /// [`EvalError::Overflow`] and its like.
    fn finish(&self, states: &[Self::State], reading: Reading<'_>) -> Result<ArrayRef, EvalError>;

    /// Adds row after row, `rows[i]` to the state `slots[i]`.
    fn add_all(&self, states: &mut [Self::State], slots: &[u32], args: &Self::Args, first_row: usize) {
        for (row, slot) in slots.iter().enumerate() {
            self.add(&mut states[*slot as usize], args, first_row + row);
        }
    }

    /// Bytes that a state holds elsewhere.
    fn bytes(&self, _state: &Self::State) -> usize {
        0
    }
}

/// What is asked of a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// The value of which aggregate, where a state knows those of several.
    pub(crate) function: Option<AggregateFunction>,
    /// The aggregate in short, for errors.
    pub(crate) text: &'a str,
    /// The type that it is to have.
    pub(crate) data_type: &'a DataType,
}
