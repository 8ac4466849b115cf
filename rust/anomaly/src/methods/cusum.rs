//! Sums of deviations beyond a drift, up and down.

use serde::{Deserialize, Serialize};

use super::{Method, Verdict, is_from_zero, is_judged, ratio};

/// Tabular CUSUM, two-sided, of values that the first rows of a key standardise.
///
/// - What for: a level that moves by little and stays, which no single row shows.
/// - Order: in order of (event time, arrival); how far apart rows are does not matter.
/// - Time: O(1) a row. Space: 40 bytes a key.
/// - Warm-up: the first `warm_up` rows of a key are not judged; their mean and standard deviation (of a sample, with n - 1) are what all later ones
///   are measured by, for good.
/// - Score: the greater of `C+ = max(0, C+ + z - drift)` and `C- = max(0, C- - z - drift)`, this row's included. After an alarm both
///   begin anew at zero. Where the first rows are all equal, any other value is an alarm.
/// - Blind: to shifts below the drift, and to a warm-up that was not usual itself. A new level that stays raises one alarm after another.
/// - Source: E. S. Page, *Continuous inspection schemes*, Biometrika 41, 1954; D. C. Montgomery, *Introduction to Statistical Quality Control*, chapter 9:
///   a drift of half the shift that matters, a threshold of 4 or 5.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cusum {
    pub(crate) drift: f64,
    pub(crate) threshold: f64,
    pub(crate) warm_up: u64,
}

/// What the first rows say, and the sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CusumState {
    /// Rows that warmed up.
    rows: u64,
    mean: f64,
    /// Their squared distances from the mean, added up.
    squares: f64,
    up: f64,
    down: f64,
}

impl Cusum {
    fn is_warm(&self, state: &CusumState) -> bool {
        state.rows >= self.warm_up
    }
}

impl Method for Cusum {
    type State = CusumState;
    type Saved = CusumState;
    const IS_CHEAP: bool = true;

    fn judge(&self, state: &mut CusumState, _time: i64, value: f64) -> Verdict {
        if !self.is_warm(state) {
            // Welford's: equal values leave no squares.
            let difference = value - state.mean;
            state.rows += 1;
            state.mean += difference / state.rows as f64;
            state.squares += difference * (value - state.mean);
            return Verdict::of(None, self.threshold);
        }
        let deviation = (state.squares / (state.rows - 1) as f64).sqrt();
        let step = ratio(value - state.mean, deviation);
        state.up = (state.up + step - self.drift).max(0.0);
        state.down = (state.down - step - self.drift).max(0.0);
        let verdict = Verdict::of(Some((state.mean, state.up.max(state.down))), self.threshold);
        if verdict.is_anomaly {
            (state.up, state.down) = (0.0, 0.0);
        }
        verdict
    }

    fn expected(&self, state: &mut CusumState, _time: i64) -> Option<f64> {
        self.is_warm(state).then_some(state.mean)
    }

    fn is_empty(&self, state: &CusumState, _before: Option<i64>) -> bool {
        state.rows == 0
    }

    fn save(state: &CusumState) -> CusumState {
        *state
    }

    fn load(&self, saved: CusumState) -> Option<CusumState> {
        let sound = saved.rows <= self.warm_up
            && is_judged(saved.mean)
            && [saved.squares, saved.up, saved.down].into_iter().all(is_from_zero)
            && saved.up.max(saved.down) <= self.threshold;
        (sound && (saved.rows > 0 || saved == CusumState::default())).then_some(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_no_rows_lead_to_are_refused() {
        let method = Cusum { drift: 0.5, threshold: 5.0, warm_up: 2 };
        let state = CusumState { rows: 2, mean: 2.0, squares: 2.0, up: 1.0, down: 0.0 };
        assert_eq!(method.load(state), Some(state));
        let unsound = [
            CusumState { rows: 0, ..state },
            CusumState { rows: 3, ..state },
            CusumState { mean: f64::NAN, ..state },
            CusumState { squares: -1.0, ..state },
            CusumState { squares: f64::INFINITY, ..state },
            CusumState { up: 5.5, ..state },
            CusumState { down: -1.0, ..state },
        ];
        for saved in unsound {
            assert_eq!(method.load(saved), None, "{saved:?}");
        }
    }
}
