//! MIN and MAX of integers, of times as what they count, and of floats. NaN is greater than every other float.
//!
//! Order: none. Time: O(1) a row and a join. Space: 16 bytes.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use cepheid_eval::EvalError;

use super::numbers::{Numbers, floats, in_type, integers};
use crate::monoid::{Monoid, Reading, saved_as_is};

#[derive(Clone, Debug)]
pub(crate) struct Integers<const LEAST: bool>;

#[derive(Clone, Debug)]
pub(crate) struct Floats<const LEAST: bool>;

/// Whether the one is to take the place of the other. Of equal values the first stays.
#[inline]
fn is_nearer<const LEAST: bool>(candidate: f64, known: f64) -> bool {
    if LEAST {
        candidate < known || known.is_nan() && !candidate.is_nan()
    } else {
        candidate > known || candidate.is_nan() && !known.is_nan()
    }
}

macro_rules! extreme {
    ($monoid:ident, $native:ty, $read:expr, $nearer:expr, $finish:expr) => {
        impl<const LEAST: bool> Monoid for $monoid<LEAST> {
            type State = Option<$native>;
            type Saved = Option<$native>;
            type Args = Numbers<$native>;

            fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError> {
                $read(&arrays[0])
            }

            saved_as_is!();

            fn empty(&self) -> Self::State {
                None
            }

            #[inline]
            fn add(&self, state: &mut Self::State, args: &Self::Args, row: usize) {
                if let Some(value) = args.get(row) {
                    self.join(state, &Some(value));
                }
            }

            fn add_all(
                &self,
                states: &mut [Self::State],
                slots: &[u32],
                args: &Self::Args,
                first_row: usize,
            ) {
                args.each(states, slots, first_row, |state, value| self.join(state, &Some(value)));
            }

            #[inline]
            fn join(&self, earlier: &mut Self::State, later: &Self::State) {
                if let Some(candidate) = *later
                    && earlier.is_none_or(|known| $nearer(candidate, known))
                {
                    *earlier = *later;
                }
            }

            fn finish(&self, states: &[Self::State], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
                $finish(states.iter().copied(), reading)
            }
        }
    };
}

extreme!(
    Integers,
    i64,
    integers,
    |candidate: i64, known: i64| if LEAST { candidate < known } else { candidate > known },
    |values, reading: Reading<'_>| in_type(Int64Array::from_iter(values), reading.data_type)
);
extreme!(Floats, f64, floats, is_nearer::<LEAST>, |values, reading: Reading<'_>| {
    let values: ArrayRef = Arc::new(Float64Array::from_iter(values));
    Ok(arrow_cast::cast(&values, reading.data_type)?)
});
