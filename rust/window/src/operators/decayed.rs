//! EWMA by half-life: the mean weighted by age, a value half as much as one that is a half-life younger.
//!
//! Sum and sum of weights are kept as of the newest value; a later part makes all of an earlier one older by the same time. As
//! pandas' `ewm(halflife=..., times=...)`, adjusted, has it: values of one time count the same.
//!
//! Order: any; the last bits of floats go by that of rows. Time: O(1) a row and a join, with one power. Space: 24 bytes.

use arrow_array::ArrayRef;
use arrow_buffer::ScalarBuffer;
use cepheid_eval::EvalError;
use cepheid_event::event_times;
use serde::{Deserialize, Serialize};

use super::numbers::{Numbers, floats, present};
use crate::monoid::{Monoid, Reading, saved_as_is};

#[derive(Clone, Debug)]
pub(crate) struct Decayed {
    half_life_ns: f64,
}

/// `sum / weight`, both as of the newest time; of nothing while there is no weight.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mean {
    newest: i64,
    sum: f64,
    weight: f64,
}

impl Mean {
    fn is_there(&self) -> bool {
        self.weight > 0.0
    }
}

/// Values and their times.
pub(crate) struct Timed {
    values: Numbers<f64>,
    times: ScalarBuffer<i64>,
}

impl Decayed {
    pub(crate) fn new(half_life_ns: f64) -> Self {
        Self { half_life_ns }
    }

    /// What is left of a weight from one time to a later one.
    fn left(&self, from: i64, to: i64) -> f64 {
        // The difference of two times may need a bit more than they do.
        let age = (i128::from(to) - i128::from(from)).max(0);
        (-(age as f64) / self.half_life_ns).exp2()
    }
}

impl Monoid for Decayed {
    type State = Mean;
    type Saved = Mean;
    type Args = Timed;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Timed, EvalError> {
        let times = event_times("the event time", &arrays[1], 0);
        let times = times.map_err(|error| EvalError::Arrow { reason: error.to_string() })?;
        Ok(Timed { values: floats(&arrays[0])?, times })
    }

    saved_as_is!();

    fn empty(&self) -> Mean {
        Mean::default()
    }

    #[inline]
    fn add(&self, state: &mut Mean, args: &Timed, row: usize) {
        if let Some(value) = args.values.get(row) {
            self.join(state, &Mean { newest: args.times[row], sum: value, weight: 1.0 });
        }
    }

    #[inline]
    fn join(&self, earlier: &mut Mean, later: &Mean) {
        if !later.is_there() {
            return;
        }
        if !earlier.is_there() {
            *earlier = *later;
            return;
        }
        let left = self.left(earlier.newest, later.newest);
        // What is infinite, or no number, does not fade.
        let sum = if earlier.sum.is_finite() { earlier.sum * left } else { earlier.sum };
        earlier.sum = sum + later.sum;
        earlier.weight = earlier.weight * left + later.weight;
        earlier.newest = later.newest;
    }

    fn finish(&self, states: &[Mean], _: Reading<'_>) -> Result<ArrayRef, EvalError> {
        Ok(present(states, Mean::is_there, |mean| mean.sum / mean.weight))
    }
}
