//! Aggregates whose last row can be taken back: a run backtracks, and its sums with it.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::error::EvalError;
use crate::fold::{DistinctKey, Fold, State};
use crate::value::Value;

/// The aggregate of the rows pushed so far.
///
/// - Time: `push` and `pop` O(1) (amortised; for DISTINCT one hash of the arguments); `value` O(1), for ARRAY_AGG O(rows).
/// - Space: one state a row. `pop` brings the previous state back rather than subtracting, so floats come out exactly
///   as if the row had never been there. Where no row is taken back, use a
///   [`RunningAggregate`](crate::RunningAggregate).
#[derive(Clone, Debug)]
pub struct Accumulator {
    fold: Fold,
    /// `states[i]`: after row `i`.
    states: Vec<State>,
    /// DISTINCT: how many of the rows pushed hold each key.
    seen: Option<HashMap<DistinctKey, usize, foldhash::fast::FixedState>>,
    /// DISTINCT: the key of each row; `None` where the row was passed over.
    keys: Vec<Option<DistinctKey>>,
    /// ARRAY_AGG: the list.
    elements: Vec<Value>,
}

impl Accumulator {
    pub(crate) fn new(fold: Fold, distinct: bool) -> Self {
        let seen = distinct.then(HashMap::default);
        Self { fold, states: Vec::new(), seen, keys: Vec::new(), elements: Vec::new() }
    }

    /// Adds one row: one value for each argument.
    ///
    /// An overflow shows in [`value`](Self::value), as later rows may bring the sum back into range.
    pub fn push(&mut self, args: &[Value]) {
        let counted = self.fold.counts(args);
        let mut fresh = counted;
        if let Some(seen) = &mut self.seen {
            let key = counted.then(|| self.fold.distinct_key(args));
            if let Some(key) = &key {
                let times = seen.entry(key.clone()).or_insert(0);
                *times += 1;
                fresh = *times == 1;
            }
            self.keys.push(key);
        }
        let mut next = self.states.last().cloned().unwrap_or_else(|| self.fold.initial());
        if fresh {
            next = self.fold.after(next, args);
            if self.fold.keeps_elements() {
                self.elements.push(args.first().cloned().unwrap_or_default());
            }
        }
        self.states.push(next);
    }

    /// Takes the last row back; nothing if there is none.
    pub fn pop(&mut self) {
        if self.states.pop().is_none() {
            return;
        }
        if let (Some(seen), Some(Some(key))) = (&mut self.seen, self.keys.pop()) {
            match seen.get_mut(&key) {
                Some(times) if *times > 1 => *times -= 1,
                _ => {
                    seen.remove(&key);
                }
            }
        }
        if self.fold.keeps_elements() {
            let length = if let Some(State::Length(length)) = self.states.last() { *length } else { 0 };
            self.elements.truncate(length);
        }
    }

    /// Rows pushed and not taken back, NULL arguments included.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Takes every row back.
    pub fn clear(&mut self) {
        self.states.clear();
        self.keys.clear();
        self.elements.clear();
        if let Some(seen) = &mut self.seen {
            seen.clear();
        }
    }

    /// The aggregate of the rows so far.
    ///
    /// # Errors
    /// [`EvalError::Overflow`] if the sum does not fit its type.
    pub fn value(&self) -> Result<Value, EvalError> {
        let elements = || Arc::from(self.elements.as_slice());
        match self.states.last() {
            Some(state) => self.fold.value(state, elements),
            None => self.fold.value(&self.fold.initial(), elements),
        }
    }
}
