//! What the methods have in common that compare a value with the recent rows before it.

use cepheid_ir::RecentRows;

use super::{Method, Verdict};
use crate::ranks::Ranks;
use crate::rolling::{Rolling, SavedRolling};

/// A method that says of a value how far it is from recent ones.
pub(crate) trait OfRecent {
    /// Which rows are recent.
    fn recent(&self) -> RecentRows;
    /// Greatest score that is no anomaly.
    fn threshold(&self) -> f64;
    /// How many recent rows there have to be.
    fn warm_up(&self) -> u64;
    /// Whether later rows are compared with an anomaly, too.
    fn learns_anomalies(&self) -> bool;
    /// What is expected among such values.
    fn middle(&self, ranks: &Ranks) -> f64;
    /// What is expected among such values, and the score of one.
    fn score(&self, ranks: &Ranks, value: f64) -> (f64, f64);
}

fn warm<'a>(method: &impl OfRecent, state: &'a Rolling) -> Option<&'a Ranks> {
    (state.len() as u64 >= method.warm_up()).then(|| state.ranks())
}

impl<M: OfRecent + Copy + std::fmt::Debug + Send + Sync + 'static> Method for M {
    type State = Rolling;
    type Saved = SavedRolling;
    const IS_CHEAP: bool = false;

    fn judge(&self, state: &mut Rolling, time: i64, value: f64) -> Verdict {
        state.pass(self.recent(), time);
        let judged = warm(self, state).map(|ranks| self.score(ranks, value));
        let verdict = Verdict::of(judged, self.threshold());
        if self.learns_anomalies() || !verdict.is_anomaly {
            state.add(self.recent(), time, value);
        }
        verdict
    }

    fn expected(&self, state: &mut Rolling, time: i64) -> Option<f64> {
        state.pass(self.recent(), time);
        warm(self, state).map(|ranks| self.middle(ranks))
    }

    fn is_empty(&self, state: &Rolling, before: Option<i64>) -> bool {
        state.is_empty(self.recent(), before)
    }

    fn save(state: &Rolling) -> SavedRolling {
        state.save()
    }

    fn load(&self, saved: SavedRolling) -> Option<Rolling> {
        Rolling::load(self.recent(), saved)
    }

    fn bytes(state: &Rolling) -> usize {
        state.bytes()
    }
}
