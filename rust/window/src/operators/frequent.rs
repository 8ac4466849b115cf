//! TOP_K: the most frequent values, exact. Among values that are equally frequent the first to come stands first.
//!
//! Order: that of rows. Time: O(1) a row; a join O(1), but for the values of rows that were added one by one; an answer O(values)
//! and O(d log d) for d distinct ones. Space: some 80 bytes a distinct value, and strings; in windows that slide, some 500 a row.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow_array::ArrayRef;
use cepheid_eval::{ColumnReader, EvalError, SavedValue, Value, values_to_array};

use crate::monoid::{Monoid, Reading};
use crate::rope::Rope;

#[derive(Clone, Debug)]
pub(crate) struct Frequent;

/// Values, and how often each came; one may stand here several times.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    values: Rope<(Value, u64)>,
    /// Values that came one by one are counted together when there are so many.
    limit: usize,
}

const LIMIT_MIN: usize = 64;

/// Every value once, in the order of their first rows.
fn together(values: &[(Value, u64)]) -> Vec<(Value, u64)> {
    let mut places: HashMap<&Value, usize> = HashMap::with_capacity(values.len());
    let mut counted: Vec<(Value, u64)> = vec![];
    for (value, count) in values {
        match places.entry(value) {
            Entry::Occupied(place) => counted[*place.get()].1 += count,
            Entry::Vacant(place) => {
                place.insert(counted.len());
                counted.push((value.clone(), *count));
            }
        }
    }
    counted
}

impl Monoid for Frequent {
    type State = Counts;
    type Saved = Vec<(SavedValue, u64)>;
    type Args = ColumnReader;

    fn args(&self, arrays: &[ArrayRef]) -> Result<ColumnReader, EvalError> {
        Ok(ColumnReader::new(&arrays[0]))
    }

    fn empty(&self) -> Counts {
        Counts { values: Rope::default(), limit: LIMIT_MIN }
    }

    fn add(&self, state: &mut Counts, args: &ColumnReader, row: usize) {
        let value = args.value(row);
        if value.is_null() {
            return;
        }
        state.values.push((value, 1));
        let own = state.values.own_mut();
        if own.len() >= state.limit {
            *own = together(own);
            // Twice as many may come before they are counted again: O(1) a row, whatever the number of distinct ones.
            state.limit = (own.len() * 2).max(LIMIT_MIN);
        }
    }

    fn join(&self, earlier: &mut Counts, later: &Counts) {
        earlier.values.append(&later.values);
        earlier.limit = earlier.limit.max(later.limit);
    }

    fn finish(&self, states: &[Counts], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let wanted = reading.constant.map_or(1, |wanted| wanted as usize);
        let top = |state: &Counts| {
            let mut counted = together(&state.values.to_vec());
            counted.sort_by(|(_, left), (_, right)| right.cmp(left));
            let values: Vec<Value> = counted.into_iter().take(wanted).map(|(value, _)| value).collect();
            if values.is_empty() { Value::Null } else { Value::List(values.into()) }
        };
        values_to_array(&states.iter().map(top).collect::<Vec<_>>(), reading.data_type)
    }

    fn save(&self, state: &Counts) -> Option<Self::Saved> {
        let saved = |(value, count): &(Value, u64)| Some((value.save()?, *count));
        together(&state.values.to_vec()).iter().map(saved).collect()
    }

    fn load(&self, saved: Self::Saved) -> Option<Counts> {
        let loaded = saved.into_iter().map(|(value, count)| Some((Value::load(value)?, count)));
        let values: Vec<(Value, u64)> = loaded.collect::<Option<_>>()?;
        let limit = (values.len() * 2).max(LIMIT_MIN);
        Some(Counts { values: values.into(), limit })
    }

    fn bytes(&self, state: &Counts) -> usize {
        state.values.bytes()
    }
}
