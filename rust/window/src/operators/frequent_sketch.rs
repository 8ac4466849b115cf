//! APPROX_TOP_K: the most frequent values by so many counters, `1 / error` of them.
//!
//! A value has a counter while there are at most twice as many as there are to be; then what the first of the rest counts is
//! taken off all, and the rest go. So every count is too small by at most `rows * error`, and a value that is
//! more frequent than that has one; with at most twice as many values as counters nothing is ever taken off. These are the
//! summaries of Misra and Gries (*Finding repeated elements*, Science of Computer Programming 2, 1982), joined as Agarwal,
//! Cormode, Huang, Phillips, Wei and Yi do (*Mergeable summaries*, TODS 38(4), 2013), with room for as many again, so that
//! a row costs O(1) (Anderson, Bevin, Lang, Liberty, Rhodes and Thaler, *A high-performance algorithm for identifying
//! frequent items in data streams*, IMC 2017). Of equal counts the first to come stands first.
//!
//! Order: that of rows. Time: O(1) a row, amortised; O(m) a join and an answer for m counters. Space: some 80 bytes a counter, and
//! strings.

use arrow_array::ArrayRef;
use cepheid_eval::{ColumnReader, EvalError, SavedValue, Value, values_to_array};
use foldhash::fast::FixedState;
use indexmap::IndexMap;

use super::frequent::{most_frequent, saved};
use crate::monoid::{Monoid, Reading};

#[derive(Clone, Debug)]
pub(crate) struct Counters {
    /// How many are left when there are twice as many.
    most: usize,
}

/// Values in the order in which they came first, with how often each came at least.
pub(crate) type Counted = IndexMap<Value, u64, FixedState>;

impl Counters {
    pub(crate) fn new(error: f64) -> Self {
        // Rounded first: 1 / 0.001 is a little more than 1,000.
        Self { most: (1.0 / error - 1e-6).ceil() as usize }
    }

    fn plus(&self, counted: &mut Counted, value: Value, count: u64) {
        let known = counted.entry(value).or_insert(0);
        *known = known.saturating_add(count);
        if counted.len() > 2 * self.most {
            let mut counts: Vec<u64> = counted.values().copied().collect();
            let (greater, taken, _) = counts.select_nth_unstable_by(self.most, |left, right| right.cmp(left));
            // Of those that it leaves nothing as many stay as there is room for: a value that is there is better than none.
            let taken = *taken;
            let mut room = greater.iter().filter(|count| **count == taken).count();
            counted.retain(|_, count| {
                let stays = *count > taken || (*count == taken && room > 0);
                room -= usize::from(stays && *count == taken);
                *count = count.saturating_sub(taken);
                stays
            });
        }
    }
}

impl Monoid for Counters {
    type State = Counted;
    type Saved = Vec<(SavedValue, u64)>;
    type Args = ColumnReader;

    fn args(&self, arrays: &[ArrayRef]) -> Result<ColumnReader, EvalError> {
        Ok(ColumnReader::new(&arrays[0]))
    }

    fn empty(&self) -> Counted {
        Counted::with_hasher(FixedState::with_seed(0))
    }

    fn add(&self, state: &mut Counted, args: &ColumnReader, row: usize) {
        let value = args.value(row);
        if !value.is_null() {
            self.plus(state, value, 1);
        }
    }

    fn join(&self, earlier: &mut Counted, later: &Counted) {
        later.iter().for_each(|(value, count)| self.plus(earlier, value.clone(), *count));
    }

    fn finish(&self, states: &[Counted], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let wanted = reading.constant.map_or(1, |wanted| wanted as usize);
        let top = |state: &Counted| {
            most_frequent(state.iter().map(|(value, count)| (value, *count)).collect(), wanted)
        };
        values_to_array(&states.iter().map(top).collect::<Vec<_>>(), reading.data_type)
    }

    fn save(&self, state: &Counted) -> Option<Self::Saved> {
        saved(state.iter().map(|(value, count)| (value, *count)))
    }

    fn load(&self, saved: Self::Saved) -> Option<Counted> {
        if saved.len() > 2 * self.most {
            return None;
        }
        let mut state = self.empty();
        for (value, count) in saved {
            if state.insert(Value::load(value)?, count).is_some() {
                return None;
            }
        }
        Some(state)
    }

    fn bytes(&self, state: &Counted) -> usize {
        state.capacity() * (size_of::<(Value, u64)>() + 16)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A stream in which value v comes about n / (v + 1) times, in a mixed order.
    fn stream(rows: i64) -> impl Iterator<Item = i64> {
        (0..rows).map(|row| {
            let mixed = (row as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let share = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
            (1.0 / (share + 1e-4)) as i64
        })
    }

    #[test]
    fn counts_are_too_small_by_no_more_than_the_error_however_parts_are_joined() {
        for (error, part) in [(0.01, 20_000), (0.01, 700), (0.02, 50), (0.1, 1)] {
            let (counters, rows) = (Counters::new(error), 20_000_i64);
            let mut exact: HashMap<i64, u64> = HashMap::new();
            let (mut whole, mut own) = (counters.empty(), counters.empty());
            for (row, value) in stream(rows).enumerate() {
                *exact.entry(value).or_default() += 1;
                counters.plus(&mut own, Value::Integer(value), 1);
                if (row + 1) % part == 0 {
                    counters.join(&mut whole, &own);
                    own = counters.empty();
                }
            }
            counters.join(&mut whole, &own);
            assert!(whole.len() <= 2 * counters.most && exact.len() > 2 * counters.most);
            let most_off = (error * rows as f64) as u64;
            let mut too_small = 0;
            for (value, count) in exact {
                let known = whole.get(&Value::Integer(value)).copied().unwrap_or(0);
                assert!(known <= count && count - known <= most_off, "{value}: {known} of {count}");
                too_small += u64::from(known < count);
            }
            assert!(too_small > 0, "nothing was left out");
        }
        assert_eq!(Counters::new(0.001).most, 1_000);
    }

    #[test]
    fn there_are_as_many_values_as_counters_even_if_all_are_as_frequent() {
        let counters = Counters::new(0.1);
        let mut state = counters.empty();
        for value in 0..1_000 {
            counters.plus(&mut state, Value::Integer(value), 1);
            assert!((10.min(value as usize + 1)..=20).contains(&state.len()), "{} of {value}", state.len());
        }
    }
}
