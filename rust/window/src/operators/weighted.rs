//! EWMA: the exponentially weighted mean, `x` for the first row and `share x + (1 - share) mean` from then on.
//!
//! A mean is linear in its first value, which alone another part may still go before: what is kept is that value, its weight,
//! and the rest.
//!
//! Order: that of rows. Time: O(1) a row and a join. Space: 32 bytes.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use cepheid_eval::EvalError;
use serde::{Deserialize, Serialize};

use super::numbers::{Numbers, floats};
use crate::monoid::{Monoid, Reading, saved_as_is};

#[derive(Clone, Debug)]
pub(crate) struct Weighted {
    share: f64,
    /// What of the mean is kept when a value comes.
    kept: f64,
}

/// `weight * first + rest`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mean {
    any: bool,
    first: f64,
    weight: f64,
    rest: f64,
}

impl Weighted {
    pub(crate) fn new(share: f64) -> Self {
        Self { share, kept: 1.0 - share }
    }

    #[inline]
    fn plus(&self, mean: &mut Mean, value: f64) {
        self.join(mean, &Mean { any: true, first: value, weight: 1.0, rest: 0.0 });
    }
}

/// A product of weights; never too small to be told from nothing, as that times infinity is no number.
fn weights(left: f64, right: f64) -> f64 {
    if left == 0.0 || right == 0.0 { 0.0 } else { (left * right).max(f64::MIN_POSITIVE) }
}

impl Monoid for Weighted {
    type State = Mean;
    type Saved = Mean;
    type Args = Numbers<f64>;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError> {
        floats(&arrays[0])
    }

    saved_as_is!();

    fn empty(&self) -> Mean {
        Mean::default()
    }

    #[inline]
    fn add(&self, state: &mut Mean, args: &Self::Args, row: usize) {
        if let Some(value) = args.get(row) {
            self.plus(state, value);
        }
    }

    fn add_all(&self, states: &mut [Mean], slots: &[u32], args: &Self::Args, first_row: usize) {
        args.each(states, slots, first_row, |state, value| self.plus(state, value));
    }

    #[inline]
    fn join(&self, earlier: &mut Mean, later: &Mean) {
        if !earlier.any {
            *earlier = *later;
        } else if later.any {
            let next = self.share * later.first + self.kept * earlier.rest;
            earlier.rest = later.weight * next + later.rest;
            earlier.weight = weights(weights(earlier.weight, self.kept), later.weight);
        }
    }

    fn finish(&self, states: &[Mean], _: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let value = |mean: &Mean| mean.any.then_some(mean.weight * mean.first + mean.rest);
        Ok(Arc::new(states.iter().map(value).collect::<Float64Array>()))
    }
}
