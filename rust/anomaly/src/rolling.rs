//! The recent rows of a key, and their values in order.

use std::collections::VecDeque;

use cepheid_ir::RecentRows;
use serde::{Deserialize, Serialize};

use crate::methods::is_judged;
use crate::ranks::Ranks;

/// Recent rows as they came; see [`Ranks`] for what their values cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rolling {
    values: VecDeque<f64>,
    /// Their times, where rows are recent by time.
    times: VecDeque<i64>,
    ranks: Ranks,
}

/// The same as plain data, the oldest row first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedRolling {
    values: Vec<f64>,
    times: Vec<i64>,
}

impl Rolling {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Lets rows go that are not recent at this time.
    pub(crate) fn pass(&mut self, recent: RecentRows, time: i64) {
        let RecentRows::SpanNs(span) = recent else { return };
        while self.times.front().is_some_and(|oldest| *oldest < time.saturating_sub(span)) {
            self.times.pop_front();
            self.remove_oldest();
        }
    }

    /// Adds a row behind the others.
    pub(crate) fn add(&mut self, recent: RecentRows, time: i64, value: f64) {
        match recent {
            RecentRows::Rows(rows) => {
                if self.len() as u64 >= rows {
                    self.remove_oldest();
                }
            }
            RecentRows::SpanNs(_) => self.times.push_back(time),
        }
        // Zero has no sign among ranks.
        let value = value + 0.0;
        self.values.push_back(value);
        self.ranks.insert(value);
    }

    fn remove_oldest(&mut self) {
        if let Some(value) = self.values.pop_front() {
            self.ranks.remove(value);
        }
    }

    /// Whether there are no rows. `before`: none before this time comes any more.
    pub(crate) fn is_empty(&self, recent: RecentRows, before: Option<i64>) -> bool {
        let passed = match (recent, before, self.times.back()) {
            (RecentRows::SpanNs(span), Some(before), Some(newest)) => *newest < before.saturating_sub(span),
            _ => false,
        };
        passed || self.values.is_empty()
    }

    pub(crate) fn save(&self) -> SavedRolling {
        let (values, times) = (self.values.iter().copied().collect(), self.times.iter().copied().collect());
        SavedRolling { values, times }
    }

    /// `None`: no rows can have led to it.
    pub(crate) fn load(recent: RecentRows, saved: SavedRolling) -> Option<Self> {
        let SavedRolling { values, times } = saved;
        let sound = match recent {
            RecentRows::Rows(rows) => values.len() as u64 <= rows && times.is_empty(),
            RecentRows::SpanNs(span) => {
                let ends = times.first().zip(times.last());
                values.len() == times.len()
                    && times.is_sorted()
                    && ends.is_none_or(|(oldest, newest)| *oldest >= newest.saturating_sub(span))
            }
        };
        let is_kept = |value: &f64| is_judged(*value) && !(*value == 0.0 && value.is_sign_negative());
        if !sound || !values.iter().all(is_kept) {
            return None;
        }
        Some(Self { ranks: Ranks::of(values.clone()), values: values.into(), times: times.into() })
    }

    /// Bytes held beside the struct itself.
    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
            + self.times.capacity() * size_of::<i64>()
            + self.ranks.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_cannot_be_recent_together_are_refused() {
        let load = |recent, values: &[f64], times: &[i64]| {
            let saved = SavedRolling { values: values.to_vec(), times: times.to_vec() };
            Rolling::load(recent, saved).is_some()
        };
        let (two, span) = (RecentRows::Rows(2), RecentRows::SpanNs(10));
        assert!(load(two, &[2.0, 1.0], &[]) && load(two, &[], &[]));
        assert!(load(span, &[2.0, 1.0], &[0, 10]) && load(span, &[], &[]));
        assert!(!load(two, &[1.0, 1.0, 1.0], &[]), "too many");
        assert!(!load(two, &[1.0], &[0]), "times that nobody asks for");
        assert!(!load(two, &[f64::NAN], &[]) && !load(two, &[1e200], &[]) && !load(two, &[-0.0], &[]));
        assert!(!load(span, &[1.0], &[]), "a row without a time");
        assert!(!load(span, &[1.0, 1.0], &[5, 4]), "backwards");
        assert!(!load(span, &[1.0, 1.0], &[0, 11]), "too far apart");
    }
}
