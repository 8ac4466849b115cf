//! What an aggregate has to say of itself, so that every kind of window can be made of it.

use std::fmt::Debug;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use cepheid_eval::EvalError;
use cepheid_ir::AggregateFunction;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::told::Reads;

/// An aggregate: what is kept of some rows, and how it is found from what is kept of parts of them.
///
/// Joining must be associative, with the state of no rows as its unit. It need not commute: earlier rows always stand on
/// the left.
pub(crate) trait Monoid: Clone + Debug + Send + Sync + 'static {
    /// What is kept of some rows.
    type State: Clone + Debug + Send + Sync;
    /// The same as plain data.
    type Saved: Serialize + DeserializeOwned;
    /// Arguments, ready to be read.
    type Args: Send + Sync + 'static;

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

    /// The same of several questions, in one pass where that is cheaper.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), with the place of the question.
    fn finish_all(
        &self,
        states: &[Self::State],
        readings: &[Reading<'_>],
    ) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        let of = |(place, reading): (usize, &Reading<'_>)| {
            self.finish(states, *reading).map_err(|error| (place, error))
        };
        readings.iter().enumerate().map(of).collect()
    }

    /// What reads the values of states as these come; `None`: they are all to be there first.
    fn reader(&self, _readings: &[Reading<'_>]) -> Option<Box<dyn Reads<Self>>> {
        None
    }

    /// Reads something of a state, whatever it is: states that are needed soon are at hand then, all at once rather than one after the other.
    #[inline]
    fn touch(&self, _state: &Self::State) -> i64 {
        0
    }

    /// Touches states, in whatever order; there need not be one for every slot.
    #[inline]
    fn touch_all(&self, states: &[Self::State], slots: impl Iterator<Item = u32>) {
        let touched = slots.filter_map(|slot| states.get(slot as usize));
        std::hint::black_box(touched.fold(0, |any, state| any ^ self.touch(state)));
    }

    /// Adds row after row, `rows[i]` to the state `slots[i]`.
    fn add_all(&self, states: &mut [Self::State], slots: &[u32], args: &Self::Args, first_row: usize) {
        for (row, slot) in slots.iter().enumerate() {
            self.add(&mut states[*slot as usize], args, first_row + row);
        }
    }

    /// A state as plain data; `None`: it holds a value that cannot be written down.
    fn save(&self, state: &Self::State) -> Option<Self::Saved>;

    /// Reads what [`save`](Self::save) wrote; `None`: it is no state of this aggregate.
    fn load(&self, saved: Self::Saved) -> Option<Self::State>;

    /// A state that has been joined with a later one, as plain data that is read beside that one: in a window that slides every
    /// state holds all rows behind its own, which need not be written for each.
    fn save_before(&self, state: &Self::State, _later: &Self::State) -> Option<Self::Saved> {
        self.save(state)
    }

    /// Reads what [`save_before`](Self::save_before) wrote.
    fn load_before(&self, saved: Self::Saved, _later: &Self::State) -> Option<Self::State> {
        self.load(saved)
    }

    /// Where among the columns of a snapshot COUNT(*) is, if states know it beside what is saved of them: it was kept by itself once.
    fn rows_column(&self) -> Option<usize> {
        None
    }

    /// How many rows a state is of, where it knows.
    fn rows(&self, _state: &Self::State) -> i64 {
        0
    }

    /// Has a state that was loaded be of so many rows; `None`: it cannot be.
    fn set_rows(&self, _state: &mut Self::State, _rows: i64) -> Option<()> {
        None
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
    /// The constant that it is given, where that is asked of the state and not kept in it.
    pub(crate) constant: Option<f64>,
    /// The aggregate in short, for errors.
    pub(crate) text: &'a str,
    /// The type that it is to have.
    pub(crate) data_type: &'a DataType,
}

/// What a state that is plain data says of itself.
macro_rules! saved_as_is {
    () => {
        fn save(&self, state: &Self::State) -> Option<Self::Saved> {
            Some(*state)
        }

        fn load(&self, saved: Self::Saved) -> Option<Self::State> {
            Some(saved)
        }
    };
}

pub(crate) use saved_as_is;
