//! The distance from the median of recent rows, in median absolute deviations.

use cepheid_ir::RecentRows;

use super::ratio;
use super::recent::OfRecent;
use crate::ranks::Ranks;

/// Median absolute deviation of a normal distribution, in standard deviations: its third quartile.
const MEDIAN_DISTANCE: f64 = 0.6745;
/// How many of its mean absolute deviations a standard deviation is: the root of half of pi.
const MEAN_DISTANCES: f64 = 1.253314;

/// Median, and median absolute deviation from it, of the recent rows before a row. Both are exact.
///
/// - What for: values with outliers that must not widen what is usual: half of the recent rows may be wild.
/// - Order: in order of (event time, arrival).
/// - Time: O(log n) for a row to come and one to leave, n recent rows, and O(log² n) for the deviation, which is searched for in the two
///   sorted halves about the median. Space: some 25 bytes a recent row, by time 40.
/// - Warm-up: a row is judged if there are `warm_up` recent rows before it; by time, a gap warms up again.
/// - Score: `0.6745 |x - median| / MAD`, the modified z-score, usually with a threshold of 3.5. Where half of the recent rows or more
///   are the median, so that MAD is zero, `|x - median| / (1.253314 MeanAD)` with the mean absolute deviation from the median, which costs
///   O(n); where all are, 0 for one more of them and infinite for any other.
/// - Blind: to trends and seasons within the recent rows, which widen the deviation, and to an anomaly that lasts for more than half of
///   them.
/// - Source: B. Iglewicz and D. C. Hoaglin, *How to Detect and Handle Outliers*, ASQC, 1993.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mad {
    pub(crate) recent: RecentRows,
    pub(crate) threshold: f64,
    pub(crate) warm_up: u64,
    pub(crate) learn_anomalies: bool,
}

impl OfRecent for Mad {
    fn recent(&self) -> RecentRows {
        self.recent
    }

    fn threshold(&self) -> f64 {
        self.threshold
    }

    fn warm_up(&self) -> u64 {
        self.warm_up
    }

    fn learns_anomalies(&self) -> bool {
        self.learn_anomalies
    }

    fn middle(&self, ranks: &Ranks) -> f64 {
        ranks.median()
    }

    fn score(&self, ranks: &Ranks, value: f64) -> (f64, f64) {
        let median = ranks.median();
        let scale = match ranks.median_distance(median) {
            0.0 => MEAN_DISTANCES * ranks.mean_distance(median),
            distance => distance / MEDIAN_DISTANCE,
        };
        (median, ratio((value - median).abs(), scale))
    }
}
