//! How often values come, in order of their first rows: what frequency and sketches of quantiles are made of.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use crate::rope::Rope;

/// Values with how often each came; one may stand here several times until they are counted together.
///
/// Time: `add` and a join of few rows O(1) amortised, a join O(1) but for the values of the later part that came by `add`. Space: an
/// entry for each distinct value, twice that where rows come one by one, up to 16 times that where parts are joined, or so many
/// as there are rows.
#[derive(Clone, Debug)]
pub(crate) struct Counts<T> {
    values: Rope<(T, u64)>,
    /// Values that came one by one are counted together when there are so many.
    limit: usize,
}

const LIMIT_MIN: usize = 64;
/// So few values are a row that comes, or some.
const FEW_MAX: usize = 8;

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Self { values: Rope::default(), limit: LIMIT_MIN }
    }
}

impl<T: Clone + Eq + Hash> Counts<T> {
    pub(crate) fn add(&mut self, value: T) {
        self.values.push((value, 1));
        let own = self.values.own_mut();
        if own.len() >= self.limit {
            *own = together(own);
            // As many may come again before they are counted again: O(1) a row, however many are distinct.
            self.limit = (own.len() * 2).max(LIMIT_MIN);
        }
    }

    /// Adds those of another, behind these.
    pub(crate) fn append(&mut self, later: &Self) {
        let few = self.values.len().min(later.values.len()) <= FEW_MAX;
        self.values.append(&later.values);
        self.limit = self.limit.max(later.limit);
        // Two windows' worth of values are put together to be read, mostly: whoever only reads them does the counting.
        let most = self.limit * if few { 2 } else { 8 };
        if self.values.len() >= most {
            *self = self.together().into();
            self.values.share_all();
        }
    }

    /// Every value once, in the order in which they came first.
    pub(crate) fn together(&self) -> Vec<(T, u64)> {
        together(&self.values.to_vec())
    }

    /// What stands in front of another, which these have been joined with.
    pub(crate) fn before(&self, later: &Self) -> Vec<(T, u64)> {
        if let Some(own) = self.values.before(&later.values) {
            return together(&own);
        }
        let later: HashMap<T, u64> = later.together().into_iter().collect();
        let mut own = self.together();
        own.iter_mut()
            .for_each(|(value, count)| *count -= later.get(value).copied().unwrap_or(0).min(*count));
        own.retain(|(_, count)| *count > 0);
        own
    }

    /// Bytes that no other shares.
    pub(crate) fn bytes(&self) -> usize {
        self.values.bytes()
    }
}

impl<T> From<Vec<(T, u64)>> for Counts<T> {
    fn from(values: Vec<(T, u64)>) -> Self {
        let limit = (values.len() * 2).max(LIMIT_MIN);
        Self { values: values.into(), limit }
    }
}

fn together<T: Clone + Eq + Hash>(values: &[(T, u64)]) -> Vec<(T, u64)> {
    let mut places: HashMap<&T, usize> = HashMap::with_capacity(values.len());
    let mut counted: Vec<(T, u64)> = vec![];
    for (value, count) in values {
        match places.entry(value) {
            // Saturating: what is read from a snapshot may say anything.
            Entry::Occupied(place) => {
                let known = &mut counted[*place.get()].1;
                *known = known.saturating_add(*count);
            }
            Entry::Vacant(place) => {
                place.insert(counted.len());
                counted.push((value.clone(), *count));
            }
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(values: &[u64]) -> Vec<(u64, u64)> {
        let mut counted: Vec<(u64, u64)> = vec![];
        for value in values {
            match counted.iter_mut().find(|(known, _)| known == value) {
                Some((_, count)) => *count += 1,
                None => counted.push((*value, 1)),
            }
        }
        counted
    }

    fn of(values: &[u64]) -> Counts<u64> {
        let mut counts = Counts::default();
        values.iter().for_each(|value| counts.add(*value));
        counts
    }

    #[test]
    fn counts_are_right_whether_values_come_one_by_one_or_in_parts() {
        let values: Vec<u64> = (0..5_000).map(|row| row * row % 97).collect();
        let expected = expected(&values);
        for cut in [0, 1, 63, 64, 2_500, 5_000] {
            let mut left = of(&values[..cut]);
            left.append(&of(&values[cut..]));
            assert_eq!(left.together(), expected);
        }
        for size in [1, 7, 100] {
            let mut joined = Counts::default();
            values.chunks(size).for_each(|part| joined.append(&of(part)));
            assert_eq!(joined.together(), expected);
            // However many rows there were.
            assert!(joined.values.len() < 16 * 97, "{} entries", joined.values.len());
            assert!(joined.bytes() < 40 * 97 * 16, "{} bytes", joined.bytes());
        }
    }

    #[test]
    fn what_stands_in_front_of_another_is_found_however_they_were_joined() {
        let values: Vec<u64> = (0..2_000).map(|row| row * row % 97).collect();
        let mut checked = 0;
        for size in [1, 2, 3, 70] {
            let mut later = Counts::default();
            for part in values.chunks(size).rev() {
                let mut joined = of(part);
                joined.append(&later);
                assert_eq!(joined.before(&later), expected(part));
                let mut again = Counts::from(joined.before(&later));
                again.append(&later);
                assert_eq!(again.together(), joined.together());
                later = joined;
                checked += 1;
            }
        }
        assert_eq!(checked, 2_000 + 1_000 + 667 + 29);
    }

    #[test]
    fn suffixes_of_a_window_are_as_long_as_there_are_values() {
        let values: Vec<u64> = (0..20_000).map(|row| row * row % 97).collect();
        let mut suffixes: Vec<Counts<u64>> = vec![Counts::default()];
        for value in values.iter().rev() {
            let mut counts = of(&[*value]);
            counts.append(&suffixes[suffixes.len() - 1]);
            suffixes.push(counts);
        }
        assert!(suffixes.iter().all(|suffix| suffix.values.len() < 4 * 97));
        assert_eq!(suffixes[20_000].together(), expected(&values));
        assert_eq!(suffixes[10_000].together(), expected(&values[10_000..]));
    }
}
