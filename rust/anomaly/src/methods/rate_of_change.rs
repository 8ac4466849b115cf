//! How fast a value changes.

use serde::{Deserialize, Serialize};

use super::{Method, Verdict, is_judged};

/// The change from the last row of an earlier time, over the time between them.
///
/// - What for: values that physics or a contract lets change so fast and no faster.
/// - Order: in order of (event time, arrival). Rows of one time are all compared with the last row of the time before: between rows
///   of no distance in time there is no rate. The last of them, by arrival, is what the next time is compared with.
/// - Time: O(1) a row. Space: 48 bytes a key.
/// - Warm-up: rows of a key's first time are not judged.
/// - Score: the rate in limits; the threshold is 1. What is expected is the value that it changes from.
/// - Blind: to a change over a gap, which is slow, and to drift. A spike is flagged on both of its sides.
/// - Source: the difference quotient; as a rate-of-change alarm in ISA-18.2, *Management of Alarm Systems for the Process Industries*.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateOfChange {
    pub(crate) limit: f64,
    pub(crate) per_ns: i64,
}

/// Time and value of the last row, and of the last one of an earlier time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RateState {
    last: Option<(i64, f64)>,
    earlier: Option<(i64, f64)>,
}

impl RateState {
    /// The last row before this time.
    fn before(&mut self, time: i64) -> Option<(i64, f64)> {
        if self.last.is_some_and(|(last, _)| last < time) {
            self.earlier = self.last;
        }
        self.earlier
    }
}

impl Method for RateOfChange {
    type State = RateState;
    type Saved = RateState;
    const IS_CHEAP: bool = true;

    fn judge(&self, state: &mut RateState, time: i64, value: f64) -> Verdict {
        let judged = state.before(time).map(|(earlier, from)| {
            let times = (i128::from(time) - i128::from(earlier)) as f64 / self.per_ns as f64;
            (from, (value - from).abs() / times / self.limit)
        });
        state.last = Some((time, value));
        Verdict::of(judged, 1.0)
    }

    fn expected(&self, state: &mut RateState, time: i64) -> Option<f64> {
        Some(state.before(time)?.1)
    }

    fn is_empty(&self, state: &RateState, _before: Option<i64>) -> bool {
        state.last.is_none()
    }

    fn save(state: &RateState) -> RateState {
        *state
    }

    fn load(&self, saved: RateState) -> Option<RateState> {
        let values = saved.last.into_iter().chain(saved.earlier);
        // An infinite row of a later time makes the last row the earlier one, too.
        let in_order =
            saved.earlier.is_none_or(|(earlier, _)| saved.last.is_some_and(|(last, _)| earlier <= last));
        (in_order && values.into_iter().all(|(_, value)| is_judged(value))).then_some(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_no_rows_lead_to_are_refused() {
        let method = RateOfChange { limit: 1.0, per_ns: 1 };
        let state = RateState { last: Some((5, 1.0)), earlier: Some((4, 1.0)) };
        assert_eq!(method.load(state), Some(state));
        let unsound = [
            RateState { last: None, ..state },
            RateState { earlier: Some((6, 1.0)), ..state },
            RateState { last: Some((5, f64::NAN)), ..state },
            RateState { earlier: Some((4, 1e200)), ..state },
        ];
        for saved in unsound {
            assert_eq!(method.load(saved), None, "{saved:?}");
        }
    }
}
