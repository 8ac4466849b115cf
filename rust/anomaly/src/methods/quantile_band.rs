//! How far a value is beyond the band between two quantiles of recent rows.

use cepheid_ir::RecentRows;

use super::ratio;
use super::recent::OfRecent;
use crate::ranks::Ranks;

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

impl OfRecent for QuantileBand {
    fn recent(&self) -> RecentRows {
        self.recent
    }

    fn threshold(&self) -> f64 {
        self.margin
    }

    fn warm_up(&self) -> u64 {
        self.warm_up
    }

    fn learns_anomalies(&self) -> bool {
        self.learn_anomalies
    }

    fn middle(&self, ranks: &Ranks) -> f64 {
        (ranks.quantile(self.low) + ranks.quantile(self.high)) / 2.0
    }

    fn score(&self, ranks: &Ranks, value: f64) -> (f64, f64) {
        let (low, high) = (ranks.quantile(self.low), ranks.quantile(self.high));
        let beyond = (low - value).max(value - high).max(0.0);
        ((low + high) / 2.0, ratio(beyond, high - low))
    }
}
