//! The distance from an exponentially weighted mean, in weighted standard deviations.

use serde::{Deserialize, Serialize};

use super::weighted::Weighted;
use super::{Method, Verdict, ratio};

/// Exponentially weighted mean and variance of the rows before a row.
///
/// - What for: values that wander slowly and jump at times. The mean reaches back some `1 / alpha` rows.
/// - Order: in order of (event time, arrival); how far apart rows are does not matter.
/// - Time: O(1) a row. Space: 32 bytes a key.
/// - Warm-up: the first `warm_up` rows of a key are not judged.
/// - Score: `|x - mean| / sd`, both of the rows before x. Of a normal distribution 0.3 % of rows are beyond 3. Without any deviation
///   it is 0 for a value that is the mean, and infinite for any other.
/// - Blind: to what drifts more slowly than it forgets; and for some `1 / alpha` rows after an anomaly that it has learned, since that widens
///   the deviation. Without learning anomalies, a level that has moved for good is flagged for ever.
/// - Source: see [`Weighted`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ewma {
    pub(crate) alpha: f64,
    pub(crate) threshold: f64,
    pub(crate) warm_up: u64,
    pub(crate) learn_anomalies: bool,
}

/// Rows so far, and their mean if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EwmaState {
    rows: u64,
    weighted: Option<Weighted>,
}

impl Ewma {
    fn expectation(&self, state: &EwmaState) -> Option<Weighted> {
        state.weighted.filter(|_| state.rows >= self.warm_up)
    }
}

impl Method for Ewma {
    type State = EwmaState;
    type Saved = EwmaState;
    const IS_CHEAP: bool = true;

    fn judge(&self, state: &mut EwmaState, _time: i64, value: f64) -> Verdict {
        let judged = self
            .expectation(state)
            .map(|known| (known.mean, ratio((value - known.mean).abs(), known.deviation())));
        let verdict = Verdict::of(judged, self.threshold);
        if self.learn_anomalies || !verdict.is_anomaly {
            state.rows += 1;
            match &mut state.weighted {
                Some(known) => known.add(value, self.alpha),
                none => *none = Some(Weighted::new(value)),
            }
        }
        verdict
    }

    fn expected(&self, state: &mut EwmaState, _time: i64) -> Option<f64> {
        Some(self.expectation(state)?.mean)
    }

    fn is_empty(&self, state: &EwmaState, _before: Option<i64>) -> bool {
        state.weighted.is_none()
    }

    fn save(state: &EwmaState) -> EwmaState {
        *state
    }

    fn load(&self, saved: EwmaState) -> Option<EwmaState> {
        let sound = match &saved.weighted {
            Some(known) => saved.rows > 0 && known.is_sound(),
            None => saved.rows == 0,
        };
        sound.then_some(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_no_rows_lead_to_are_refused() {
        let method = Ewma { alpha: 0.5, threshold: 3.0, warm_up: 1, learn_anomalies: true };
        let mut state = EwmaState::default();
        assert_eq!(method.load(state), Some(state));
        method.judge(&mut state, 0, 1.0);
        method.judge(&mut state, 0, 2.0);
        assert_eq!(method.load(state), Some(state));
        let of = |weighted| EwmaState { rows: 2, weighted: Some(weighted) };
        let nowhere = Weighted::new(f64::NAN);
        let mut negative = Weighted::new(1.0);
        negative.add(1e200, 0.5);
        let unsound = [
            EwmaState { rows: 0, ..state },
            EwmaState { rows: 1, weighted: None },
            of(nowhere),
            of(negative),
            of(Weighted::new(f64::INFINITY)),
        ];
        for saved in unsound {
            assert_eq!(method.load(saved), None, "{saved:?}");
        }
    }
}
