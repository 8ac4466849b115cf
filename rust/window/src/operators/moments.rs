//! VAR and STDDEV, of samples and of populations.
//!
//! Welford's recurrence for rows (*Note on a method for calculating corrected sums of squares and products*, Technometrics
//! 4(3), 1962), that of Chan, Golub and LeVeque for parts (1979): neither subtracts squares that nearly cancel.
//!
//! Order: that of rows. Time: O(1) a row and a join. Space: 24 bytes.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use cepheid_eval::EvalError;
use cepheid_ir::AggregateFunction;
use serde::{Deserialize, Serialize};

use super::numbers::{Numbers, floats};
use crate::monoid::{Monoid, Reading, saved_as_is};

#[derive(Clone, Debug)]
pub(crate) struct Moments;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    count: f64,
    mean: f64,
    /// Squares of deviations from the mean, summed up.
    squares: f64,
}

impl State {
    #[inline]
    fn plus(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }
}

impl Monoid for Moments {
    type State = State;
    type Saved = State;
    type Args = Numbers<f64>;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError> {
        floats(&arrays[0])
    }

    saved_as_is!();

    fn empty(&self) -> State {
        State::default()
    }

    #[inline]
    fn add(&self, state: &mut State, args: &Self::Args, row: usize) {
        if let Some(value) = args.get(row) {
            state.plus(value);
        }
    }

    fn add_all(&self, states: &mut [State], slots: &[u32], args: &Self::Args, first_row: usize) {
        args.each(states, slots, first_row, State::plus);
    }

    #[inline]
    fn join(&self, earlier: &mut State, later: &State) {
        if earlier.count == 0.0 {
            *earlier = *later;
        } else if later.count > 0.0 {
            let (count, delta) = (earlier.count + later.count, later.mean - earlier.mean);
            let share = later.count / count;
            earlier.squares += later.squares + delta * delta * earlier.count * share;
            earlier.mean += delta * share;
            earlier.count = count;
        }
    }

    fn finish(&self, states: &[State], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        use AggregateFunction::*;
        let sample = matches!(reading.function, Some(StddevSamp | VarSamp));
        let root = matches!(reading.function, Some(StddevSamp | StddevPop));
        let value = |state: &State| {
            let freedom = if sample { state.count - 1.0 } else { state.count };
            let variance = state.squares / freedom;
            (freedom >= 1.0).then(|| if root { variance.sqrt() } else { variance })
        };
        Ok(Arc::new(states.iter().map(value).collect::<Float64Array>()))
    }
}
