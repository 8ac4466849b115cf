//! A mean and a variance that forget, row by row.

use serde::{Deserialize, Serialize};

use super::{is_from_zero, is_judged};

/// Mean and variance with weights that fall by `1 - alpha` from each row to the one before it; the first row has what the others
/// leave.
///
/// - Order: in order of rows.
/// - Time: O(1) a row. Space: 16 bytes.
/// - Source: D. H. D. West, *Updating mean and variance estimates: an improved method*, CACM 22(9), 1979; with exponential weights
///   T. Finch, *Incremental calculation of weighted mean and variance*, 2009, section 9. Nothing is subtracted but a value from
///   the mean, so that equal values have no variance at all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Weighted {
    pub(crate) mean: f64,
    variance: f64,
}

impl Weighted {
    /// That of one row.
    pub(crate) fn new(value: f64) -> Self {
        Self { mean: value, variance: 0.0 }
    }

    pub(crate) fn deviation(&self) -> f64 {
        self.variance.sqrt()
    }

    pub(crate) fn add(&mut self, value: f64, alpha: f64) {
        let difference = value - self.mean;
        let step = alpha * difference;
        self.mean += step;
        self.variance = (1.0 - alpha) * (self.variance + difference * step);
    }

    /// Whether rows can have led to it.
    pub(crate) fn is_sound(&self) -> bool {
        is_judged(self.mean) && is_from_zero(self.variance)
    }
}
