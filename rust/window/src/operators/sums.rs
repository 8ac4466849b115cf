//! SUM and AVG.
//!
//! - Integers: exact, in 128 bits; a sum that does not fit 64 bits is an error when it is asked for.
//! - Floats: compensated, in the order of rows, those of parts joined from the earliest on: what every addition loses (Knuth,
//!   *The Art of Computer Programming* 2, 4.2.2) is summed up beside.
//!
//! Order: that of rows. Time: O(1) a row and a join. Space: 24 bytes.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use cepheid_eval::EvalError;
use cepheid_ir::AggregateFunction;
use serde::{Deserialize, Serialize};

use super::numbers::{Numbers, floats, in_type, integers, present};
use crate::monoid::{Monoid, Reading, saved_as_is};

#[derive(Clone, Debug)]
pub(crate) struct Integers;

/// A sum in two words, which need no alignment beyond theirs.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct IntegerSum {
    low: u64,
    high: i64,
    count: i64,
}

impl IntegerSum {
    #[inline]
    fn plus(&mut self, low: u64, high: i64, count: i64) {
        let (sum, carry) = self.low.overflowing_add(low);
        self.low = sum;
        self.high += high + i64::from(carry);
        self.count += count;
    }

    fn value(self) -> i128 {
        i128::from(self.high) << 64 | i128::from(self.low)
    }
}

impl Monoid for Integers {
    type State = IntegerSum;
    type Saved = IntegerSum;
    type Args = Numbers<i64>;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError> {
        integers(&arrays[0])
    }

    saved_as_is!();

    fn empty(&self) -> IntegerSum {
        IntegerSum::default()
    }

    #[inline]
    fn add(&self, state: &mut IntegerSum, args: &Self::Args, row: usize) {
        if let Some(value) = args.get(row) {
            state.plus(value as u64, value >> 63, 1);
        }
    }

    fn add_all(&self, states: &mut [IntegerSum], slots: &[u32], args: &Self::Args, first_row: usize) {
        args.each(states, slots, first_row, |state, value| state.plus(value as u64, value >> 63, 1));
    }

    #[inline]
    fn join(&self, earlier: &mut IntegerSum, later: &IntegerSum) {
        earlier.plus(later.low, later.high, later.count);
    }

    fn finish(&self, states: &[IntegerSum], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let known = |state: &IntegerSum| (state.count > 0).then_some(*state);
        if reading.function == Some(AggregateFunction::Avg) {
            let mean = |state: IntegerSum| state.value() as f64 / state.count as f64;
            return Ok(Arc::new(Float64Array::from_iter(states.iter().map(|state| known(state).map(mean)))));
        }
        let fits = |state: &IntegerSum| state.high == (state.low as i64) >> 63;
        if !states.iter().all(fits) {
            return Err(EvalError::Overflow { expression: reading.text.into(), data_type: "BIGINT" });
        }
        let sums = states.iter().map(|state| known(state).map(|state| state.low as i64));
        in_type(sums.collect::<Int64Array>(), reading.data_type)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Floats;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FloatSum {
    sum: f64,
    /// What the sum has lost.
    lost: f64,
    count: i64,
}

impl FloatSum {
    /// Of so many values.
    pub(super) fn of(sum: f64, lost: f64, count: i64) -> Self {
        Self { sum, lost, count }
    }

    pub(super) fn parts(self) -> (f64, f64, i64) {
        (self.sum, self.lost, self.count)
    }

    #[inline]
    fn plus(&mut self, value: f64) {
        plus(&mut self.sum, &mut self.lost, value);
    }

    #[inline]
    fn join(&mut self, later: &Self) {
        self.plus(later.sum);
        self.lost += later.lost;
        self.count += later.count;
    }

    fn value(self) -> f64 {
        with_lost(self.sum, self.lost)
    }
}

/// Adds a value to a sum, and what the sum loses to what it has lost.
#[inline]
pub(super) fn plus(own: &mut f64, lost: &mut f64, value: f64) {
    // What is lost, without asking which of the two is greater: Knuth's sum of two, six operations and no branch.
    let sum = *own + value;
    let of_value = sum - *own;
    *lost += (*own - (sum - of_value)) + (value - of_value);
    *own = sum;
}

/// A sum with what it has lost.
#[inline(always)]
pub(super) fn with_lost(sum: f64, lost: f64) -> f64 {
    // What an infinite sum has lost is no number.
    if sum.is_finite() { sum + lost } else { sum }
}

impl Monoid for Floats {
    type State = FloatSum;
    type Saved = FloatSum;
    type Args = Numbers<f64>;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError> {
        floats(&arrays[0])
    }

    saved_as_is!();

    fn empty(&self) -> FloatSum {
        FloatSum::default()
    }

    #[inline]
    fn add(&self, state: &mut FloatSum, args: &Self::Args, row: usize) {
        if let Some(value) = args.get(row) {
            state.plus(value);
            state.count += 1;
        }
    }

    fn add_all(&self, states: &mut [FloatSum], slots: &[u32], args: &Self::Args, first_row: usize) {
        args.each(states, slots, first_row, |state, value| {
            state.plus(value);
            state.count += 1;
        });
    }

    #[inline]
    fn join(&self, earlier: &mut FloatSum, later: &FloatSum) {
        earlier.join(later);
    }

    fn finish(&self, states: &[FloatSum], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let mean = reading.function == Some(AggregateFunction::Avg);
        let value = |state: &FloatSum| state.value() / if mean { state.count as f64 } else { 1.0 };
        Ok(present(states, |state| state.count > 0, value))
    }
}
