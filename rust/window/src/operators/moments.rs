//! VAR and STDDEV, of samples and of populations.
//!
//! Welford's recurrence for rows (*Note on a method for calculating corrected sums of squares and products*, Technometrics
//! 4(3), 1962), that of Chan, Golub and LeVeque for parts (1979): neither subtracts squares that nearly cancel.
//!
//! Order: that of rows. Time: O(1) a row and a join. Space: 24 bytes.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_buffer::NullBuffer;
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
    /// Of so many values.
    #[inline]
    pub(super) fn of(count: f64, mean: f64, squares: f64) -> Self {
        Self { count, mean, squares }
    }

    #[inline]
    pub(super) fn mean_and_squares(self) -> (f64, f64) {
        (self.mean, self.squares)
    }

    #[inline]
    pub(super) fn join(&mut self, later: &Self) {
        if self.count == 0.0 {
            *self = *later;
        } else if later.count > 0.0 {
            let (count, delta) = (self.count + later.count, later.mean - self.mean);
            let share = later.count / count;
            self.squares += later.squares + delta * delta * self.count * share;
            self.mean += delta * share;
            self.count = count;
        }
    }

    #[inline]
    fn plus(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }
}

/// How the variance or deviation, whichever is asked for, is had of values.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    /// How many fewer than values the squares are shared by.
    fewer: f64,
    is_root: bool,
}

impl Spread {
    pub(super) fn new(function: AggregateFunction) -> Self {
        use AggregateFunction::*;
        let fewer = if matches!(function, StddevSamp | VarSamp) { 1.0 } else { 0.0 };
        Self { fewer, is_root: matches!(function, StddevSamp | StddevPop) }
    }

    /// That of so many values, of which the squares of deviations are given; 0 where they are too few.
    #[inline(always)]
    pub(super) fn of(self, count: f64, squares: f64) -> f64 {
        let freedom = count - self.fewer;
        let variance = if freedom >= 1.0 { squares / freedom } else { 0.0 };
        if self.is_root { variance.sqrt() } else { variance }
    }
}

/// Of how many values a spread, or whatever else is asked for, is known.
pub(super) fn values_needed(function: AggregateFunction) -> i64 {
    if matches!(function, AggregateFunction::StddevSamp | AggregateFunction::VarSamp) { 2 } else { 1 }
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
        earlier.join(later);
    }

    fn finish(&self, states: &[State], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let function = reading.function.expect("a row's value is kept by itself");
        let needed = values_needed(function) as f64;
        let spread = Spread::new(function);
        let values: Vec<f64> = states.iter().map(|state| spread.of(state.count, state.squares)).collect();
        let are_there = states.iter().map(|state| state.count >= needed);
        Ok(Arc::new(Float64Array::new(values.into(), Some(NullBuffer::from_iter(are_there)))))
    }
}
