//! How far a value is beyond the band between two quantiles of recent rows.

use cepheid_ir::RecentRows;

use super::{Method, Verdict, ratio};
use crate::rolling::{Rolling, SavedRolling};

/// Two quantiles of the recent rows before a row, linear between neighbours, as in `QUANTILE` of windows. They are exact.
///
/// - What for: values of any shape, lopsided or with several peaks, of which the range is known better than the spread.
/// - Order: in order of (event time, arrival).
/// - Time: O(log n) a row, n recent rows. Space: some 25 bytes a recent row, by time 40.
/// - Warm-up: a row is judged if there are `warm_up` recent rows before it; by time, a gap warms up again. Fewer than `1 / low` rows
///   know nothing of the quantile `low` but the least value.
/// - Score: the distance beyond the band in widths of it, 0 inside; what is expected is its middle. A band without width has everything
///   beyond it infinitely far.
/// - Blind: to what happens inside the band. Of values that keep their distribution it flags `low` and `1 - high` of the rows for ever, unless
///   the margin is wider.
/// - Source: order statistics; R. J. Hyndman and Y. Fan, *Sample quantiles in statistical packages*, American Statistician 50(4), 1996, type 7.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuantileBand {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) recent: RecentRows,
    pub(crate) margin: f64,
    pub(crate) warm_up: u64,
    pub(crate) learn_anomalies: bool,
}

impl QuantileBand {
    fn band(&self, state: &Rolling) -> Option<(f64, f64)> {
        let ranks = state.ranks();
        (state.len() as u64 >= self.warm_up).then(|| (ranks.quantile(self.low), ranks.quantile(self.high)))
    }
}

impl Method for QuantileBand {
    type State = Rolling;
    type Saved = SavedRolling;

    fn judge(&self, state: &mut Rolling, time: i64, value: f64) -> Verdict {
        state.pass(self.recent, time);
        let judged = self.band(state).map(|(low, high)| {
            let beyond = (low - value).max(value - high).max(0.0);
            ((low + high) / 2.0, ratio(beyond, high - low))
        });
        let verdict = Verdict::of(judged, self.margin);
        if self.learn_anomalies || !verdict.is_anomaly {
            state.add(self.recent, time, value);
        }
        verdict
    }

    fn expected(&self, state: &mut Rolling, time: i64) -> Option<f64> {
        state.pass(self.recent, time);
        self.band(state).map(|(low, high)| (low + high) / 2.0)
    }

    fn is_empty(&self, state: &Rolling, before: Option<i64>) -> bool {
        state.is_empty(self.recent, before)
    }

    fn save(state: &Rolling) -> SavedRolling {
        state.save()
    }

    fn load(&self, saved: SavedRolling) -> Option<Rolling> {
        Rolling::load(self.recent, saved)
    }

    fn bytes(state: &Rolling) -> usize {
        state.bytes()
    }
}
