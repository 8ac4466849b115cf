//! How values are judged, one method a file: for each key a machine that is given one row after the other.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) mod cusum;
pub(crate) mod ewma;
pub(crate) mod mad;
pub(crate) mod quantile_band;
pub(crate) mod rate_of_change;
pub(crate) mod recent;
pub(crate) mod seasonal;
mod weighted;

/// What is said of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// What the rows before it led to expect; `None`: they are too few.
    pub expected: Option<f64>,
    /// How far it is from that; `None`: there is nothing that it could be far from.
    pub score: Option<f64>,
    /// Whether the score is greater than the threshold.
    pub is_anomaly: bool,
}

impl Verdict {
    /// That of an expectation and a score; `None`: there are none.
    fn of(judged: Option<(f64, f64)>, threshold: f64) -> Self {
        let (expected, score) = judged.unzip();
        Self { expected, score, is_anomaly: score.is_some_and(|score| score > threshold) }
    }

    /// That of a value that is infinite or counts as such.
    pub(crate) fn infinite(expected: Option<f64>) -> Self {
        Self { expected, score: Some(f64::INFINITY), is_anomaly: true }
    }
}

/// A method with its parameters. Values are finite, and at most [`FINITE_MAX`](cepheid_ir::FINITE_MAX) in size.
pub(crate) trait Method: Copy + Debug + Sync {
    /// What it keeps of a key.
    type State: Clone + Debug + Default + Send;
    /// The same as plain data.
    type Saved: Clone + Debug + PartialEq + Serialize + DeserializeOwned;

    /// Whether a row costs so little that threads would cost as much.
    const IS_CHEAP: bool;

    /// Judges a row by those before it, and lets it be one of them. `time`: not before that of any of them.
    fn judge(&self, state: &mut Self::State, time: i64, value: f64) -> Verdict;

    /// What would be expected of a row of this time; `None`: nothing.
    fn expected(&self, state: &mut Self::State, time: i64) -> Option<f64>;

    /// Whether the state is that of no rows. `before`: none before this time comes any more.
    fn is_empty(&self, state: &Self::State, before: Option<i64>) -> bool;

    /// The state as plain data.
    fn save(state: &Self::State) -> Self::Saved;

    /// Reads what [`save`](Self::save) wrote; `None`: it is nothing that the method can have kept.
    fn load(&self, saved: Self::Saved) -> Option<Self::State>;

    /// Bytes held beside the state itself.
    fn bytes(_state: &Self::State) -> usize {
        0
    }
}

/// How many times the scale a distance is. Where there is no scale, nothing but no distance is near.
fn ratio(distance: f64, scale: f64) -> f64 {
    if distance == 0.0 { 0.0 } else { distance / scale }
}

/// Whether it is a value that a method can have been given.
pub(crate) fn is_judged(value: f64) -> bool {
    value.abs() <= cepheid_ir::FINITE_MAX
}

/// Whether it is a number from zero that floats hold.
fn is_from_zero(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}
