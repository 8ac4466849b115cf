//! Several of SUM, AVG, MIN, MAX, VAR and STDDEV of the same floats: what each would keep by itself, in one cache line.
//!
//! The sums are those of [`super::sums`], the moments those of [`super::moments`], the extremes those of
//! [`super::extremes`]; only that a row, or a part, is met once for all of them.
//!
//! Order: that of rows. Time: O(1) a row and a join, without a branch. Space: 64 bytes.

use arrow_array::ArrayRef;
use cepheid_eval::EvalError;
use cepheid_ir::AggregateFunction;
use serde::{Deserialize, Serialize};

use super::moments;
use super::numbers::{Numbers, floats, present};
use super::sums::FloatSum;
use crate::monoid::{Monoid, Reading, saved_as_is};

/// Whether sums, moments and extremes are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Summary<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool>;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    sum: FloatSum,
    mean: f64,
    squares: f64,
    /// Of those that are numbers; NaN is greater than all of them.
    least: f64,
    greatest: f64,
    nans: i64,
}

impl State {
    /// Of equal values the first stays, and NaN is none of them.
    #[inline]
    fn take_extremes(&mut self, least: f64, greatest: f64) {
        self.least = if least < self.least { least } else { self.least };
        self.greatest = if greatest > self.greatest { greatest } else { self.greatest };
    }
}

impl<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool> Summary<SUM, MOMENTS, EXTREMES> {
    #[inline]
    fn take(state: &mut State, value: f64) {
        if SUM {
            state.sum.plus(value);
        }
        state.sum.count += 1;
        if MOMENTS {
            let delta = value - state.mean;
            state.mean += delta / state.sum.count as f64;
            state.squares += delta * (value - state.mean);
        }
        if EXTREMES {
            state.take_extremes(value, value);
            state.nans += i64::from(value.is_nan());
        }
    }
}

impl<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool> Monoid for Summary<SUM, MOMENTS, EXTREMES> {
    type State = State;
    type Saved = State;
    type Args = Numbers<f64>;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError> {
        floats(&arrays[0])
    }

    saved_as_is!();

    fn empty(&self) -> State {
        State {
            sum: FloatSum::default(),
            mean: 0.0,
            squares: 0.0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            nans: 0,
        }
    }

    #[inline]
    fn add(&self, state: &mut State, args: &Self::Args, row: usize) {
        if let Some(value) = args.get(row) {
            Self::take(state, value);
        }
    }

    fn add_all(&self, states: &mut [State], slots: &[u32], args: &Self::Args, first_row: usize) {
        args.each(states, slots, first_row, Self::take);
    }

    #[inline]
    fn join(&self, earlier: &mut State, later: &State) {
        if MOMENTS {
            let mut own = moments::State::of(earlier.sum.count, earlier.mean, earlier.squares);
            own.join(&moments::State::of(later.sum.count, later.mean, later.squares));
            (earlier.mean, earlier.squares) = own.mean_and_squares();
        }
        earlier.sum.join(&later.sum);
        if EXTREMES {
            earlier.take_extremes(later.least, later.greatest);
            earlier.nans += later.nans;
        }
    }

    fn finish(&self, states: &[State], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        use AggregateFunction::*;
        let count = |state: &State| state.sum.count;
        let function = reading.function.expect("a row's value is kept by itself");
        let values = match function {
            Sum => present(states, |state| count(state) > 0, |state| state.sum.value()),
            Avg => present(states, |state| count(state) > 0, |state| state.sum.value() / count(state) as f64),
            Min => {
                let least = |state: &State| if state.nans == count(state) { f64::NAN } else { state.least };
                present(states, |state| count(state) > 0, least)
            }
            Max => {
                let greatest = |state: &State| if state.nans > 0 { f64::NAN } else { state.greatest };
                present(states, |state| count(state) > 0, greatest)
            }
            _ => {
                let moments = |state: &State| moments::State::of(count(state), state.mean, state.squares);
                let least = if matches!(function, StddevSamp | VarSamp) { 2 } else { 1 };
                let spread = |state: &State| moments(state).spread(function).unwrap_or_default();
                present(states, |state| count(state) >= least, spread)
            }
        };
        Ok(arrow_cast::cast(&values, reading.data_type)?)
    }
}
