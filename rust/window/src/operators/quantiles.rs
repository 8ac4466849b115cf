//! MEDIAN and QUANTILE, exact, linear between neighbours. NaN is greater than every other number.
//!
//! Order: none. Time: O(1) a row; a join O(1), but for the values of rows that were added one by one; an answer O(rows), by
//! selection (Hoare, *Algorithm 65: Find*, 1961). Space: 8 bytes a row; some 150 in windows that slide.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use cepheid_eval::EvalError;

use super::numbers;
use crate::monoid::{Monoid, Reading};
use crate::rope::Rope;

/// Every number. All quantiles of one argument share it.
#[derive(Clone, Debug)]
pub(crate) struct Numbers;

impl Monoid for Numbers {
    type State = Rope<f64>;
    type Saved = Vec<f64>;
    type Args = numbers::Numbers<f64>;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError> {
        numbers::floats(&arrays[0])
    }

    fn empty(&self) -> Rope<f64> {
        Rope::default()
    }

    #[inline]
    fn add(&self, state: &mut Rope<f64>, args: &Self::Args, row: usize) {
        if let Some(value) = args.get(row) {
            state.push(value);
        }
    }

    fn add_all(&self, states: &mut [Rope<f64>], slots: &[u32], args: &Self::Args, first_row: usize) {
        args.each(states, slots, first_row, Rope::push);
    }

    fn join(&self, earlier: &mut Rope<f64>, later: &Rope<f64>) {
        earlier.append(later);
    }

    fn finish(&self, states: &[Rope<f64>], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let share = reading.constant.unwrap_or(0.5);
        let mut values = vec![];
        let quantiles = states.iter().map(|state| {
            values.clear();
            state.for_each(|value| values.push(*value));
            quantile(&mut values, share)
        });
        Ok(Arc::new(quantiles.collect::<Float64Array>()))
    }

    fn save(&self, state: &Rope<f64>) -> Option<Vec<f64>> {
        Some(state.to_vec())
    }

    fn load(&self, saved: Vec<f64>) -> Option<Rope<f64>> {
        Some(saved.into())
    }

    fn save_before(&self, state: &Rope<f64>, later: &Rope<f64>) -> Option<Vec<f64>> {
        let own = state.before(later).unwrap_or_else(|| {
            let mut all = state.to_vec();
            all.truncate(state.len() - later.len());
            all
        });
        Some(own)
    }

    fn load_before(&self, saved: Vec<f64>, later: &Rope<f64>) -> Option<Rope<f64>> {
        let mut state = Rope::from(saved);
        state.append(later);
        Some(state)
    }

    fn bytes(&self, state: &Rope<f64>) -> usize {
        state.bytes()
    }
}

fn order(left: &f64, right: &f64) -> Ordering {
    left.partial_cmp(right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

/// The value at a share of the way from the least to the greatest; `None` of none.
fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let place = share * last as f64;
    let below = (place as usize).min(last);
    let between = place - below as f64;
    let (_, low, greater) = values.select_nth_unstable_by(below, order);
    let low = *low;
    let high = greater.iter().copied().min_by(order).unwrap_or(low);
    // Not from the difference of the two, which of infinities is no number.
    Some(if between == 0.0 || low == high { low } else { low * (1.0 - between) + high * between })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let of = |values: &[f64], share| quantile(&mut values.to_vec(), share);
        assert_eq!(of(&[], 0.5), None);
        assert_eq!(of(&[3.0], 0.9), Some(3.0));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0], 0.25), Some(1.75));
        assert_eq!((of(&[4.0, 1.0], 0.0), of(&[4.0, 1.0], 1.0)), (Some(1.0), Some(4.0)));
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(of(&[inf, inf, 1.0], 0.75), Some(inf));
        assert_eq!(of(&[-inf, 1.0], 0.5), Some(-inf));
        assert_eq!(of(&[nan, 1.0, 2.0], 0.5), Some(2.0));
        assert!(of(&[nan, 1.0, 2.0], 0.75).is_some_and(f64::is_nan));
    }
}
