//! The distance from the weighted mean of the same part of earlier periods.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::weighted::Weighted;
use super::{Method, Verdict, ratio};

/// A weighted mean and variance for each part of a period: the same hour of the week.
///
/// - What for: load, traffic and sales, which know days and weeks.
/// - Order: in order of (event time, arrival). Periods are counted from the epoch, which was a Thursday, plus the offset: for weeks that begin on
///   Mondays it is four days.
/// - Time: O(log p) a row, p parts that have rows. Space: some 48 bytes a part and key.
/// - Warm-up: a row is judged if `warm_up` earlier periods have rows in its part; rows of the same period do not count for that, but
///   they are learned.
/// - Score: `|x - mean| / sd` of the rows in the part before x, weighted as in `ewma`, row by row: with several rows a part, alpha is
///   for rows and not for periods. Without any deviation it is 0 for a value that is the mean, and infinite for any other.
/// - Blind: for `warm_up` periods, and to what comes in every period. Holidays are anomalies. A level that has moved is learned in each part by itself.
/// - Source: the seasonal part of P. R. Winters, *Forecasting sales by exponentially weighted moving averages*, Management Science 6(3), 1960, without
///   level and trend; for the weights see [`Weighted`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seasonal {
    pub(crate) period_ns: i64,
    pub(crate) every_ns: i64,
    pub(crate) offset_ns: i64,
    pub(crate) alpha: f64,
    pub(crate) threshold: f64,
    pub(crate) warm_up: u64,
    pub(crate) learn_anomalies: bool,
}

/// Parts that have rows, by their place in the period.
pub(crate) type SeasonalState = BTreeMap<i64, Part>;

/// What is known of a part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    weighted: Weighted,
    /// In how many periods it has rows.
    periods: u64,
    /// The last of these.
    last: i64,
}

impl Seasonal {
    /// Which period a time is in, and which part of it.
    fn place(&self, time: i64) -> (i64, i64) {
        let since = i128::from(time) - i128::from(self.offset_ns);
        let period = i128::from(self.period_ns);
        let part = since.rem_euclid(period) / i128::from(self.every_ns);
        (narrow(since.div_euclid(period)), narrow(part))
    }

    fn expectation(&self, state: &SeasonalState, time: i64) -> Option<Weighted> {
        let (period, part) = self.place(time);
        let known = state.get(&part)?;
        let earlier = known.periods - u64::from(known.last == period);
        (earlier >= self.warm_up).then_some(known.weighted)
    }

    fn learn(&self, state: &mut SeasonalState, time: i64, value: f64) {
        let (period, part) = self.place(time);
        let new = || Part { weighted: Weighted::new(value), periods: 1, last: period };
        state
            .entry(part)
            .and_modify(|known| {
                known.weighted.add(value, self.alpha);
                known.periods += u64::from(known.last != period);
                known.last = period;
            })
            .or_insert_with(new);
    }
}

/// Whatever an offset adds, a period of two nanoseconds or more takes away; one of a single nanosecond has no offset.
fn narrow(value: i128) -> i64 {
    i64::try_from(value).expect("a time by a period is no greater than a time")
}

impl Method for Seasonal {
    type State = SeasonalState;
    type Saved = Vec<(i64, Part)>;
    const IS_CHEAP: bool = true;

    fn judge(&self, state: &mut SeasonalState, time: i64, value: f64) -> Verdict {
        let judged = self
            .expectation(state, time)
            .map(|known| (known.mean, ratio((value - known.mean).abs(), known.deviation())));
        let verdict = Verdict::of(judged, self.threshold);
        if self.learn_anomalies || !verdict.is_anomaly {
            self.learn(state, time, value);
        }
        verdict
    }

    fn expected(&self, state: &mut SeasonalState, time: i64) -> Option<f64> {
        Some(self.expectation(state, time)?.mean)
    }

    fn is_empty(&self, state: &SeasonalState, _before: Option<i64>) -> bool {
        state.is_empty()
    }

    fn save(state: &SeasonalState) -> Vec<(i64, Part)> {
        state.iter().map(|(part, known)| (*part, *known)).collect()
    }

    fn load(&self, saved: Vec<(i64, Part)>) -> Option<SeasonalState> {
        let parts = 0..self.period_ns / self.every_ns;
        let sound = |(part, known): &(i64, Part)| {
            parts.contains(part) && known.periods > 0 && known.weighted.is_sound()
        };
        let in_order = saved.is_sorted_by(|(left, _), (right, _)| left < right);
        (in_order && saved.iter().all(sound)).then(|| saved.into_iter().collect())
    }

    fn bytes(state: &SeasonalState) -> usize {
        state.len() * size_of::<(i64, Part)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_no_rows_lead_to_are_refused() {
        let (alpha, threshold, warm_up, learn_anomalies) = (0.5, 3.0, 1, true);
        let method =
            Seasonal { period_ns: 4, every_ns: 2, offset_ns: 0, alpha, threshold, warm_up, learn_anomalies };
        let part = Part { weighted: Weighted::new(1.0), periods: 1, last: 0 };
        assert!(method.load(vec![(0, part), (1, part)]).is_some());
        let nowhere = Part { weighted: Weighted::new(f64::NAN), ..part };
        let unsound = [
            vec![(1, part), (0, part)],
            vec![(0, part), (0, part)],
            vec![(2, part)],
            vec![(-1, part)],
            vec![(0, Part { periods: 0, ..part })],
            vec![(0, nowhere)],
        ];
        for saved in unsound {
            assert_eq!(method.load(saved.clone()), None, "{saved:?}");
        }
    }

    #[test]
    fn times_at_both_ends_have_a_place() {
        for (period_ns, every_ns, offset_ns) in [(1, 1, 0), (2, 1, 1), (i64::MAX, i64::MAX, i64::MAX - 1)] {
            let (alpha, threshold, warm_up, learn_anomalies) = (0.5, 3.0, 1, true);
            let method =
                Seasonal { period_ns, every_ns, offset_ns, alpha, threshold, warm_up, learn_anomalies };
            let mut state = SeasonalState::default();
            for time in [i64::MIN, 0, i64::MAX] {
                method.judge(&mut state, time, 1.0);
            }
            assert!(method.load(Seasonal::save(&state)).is_some(), "{method:?}");
        }
    }
}
