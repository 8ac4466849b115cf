//! TOP_K: the most frequent values, exact. Among values that are equally frequent the first to come stands first.
//!
//! Order: that of rows. Time: O(1) a row; a join O(1), but for the values of rows that were added one by one; an answer
//! O(d log d), d distinct values. Space: some 80 bytes a distinct value, and strings; in windows that slide, some 300 a row.

use arrow_array::ArrayRef;
use cepheid_eval::{ColumnReader, EvalError, SavedValue, Value, values_to_array};

use super::counts::Counts;
use crate::monoid::{Monoid, Reading};

#[derive(Clone, Debug)]
pub(crate) struct Frequent;

impl Monoid for Frequent {
    type State = Counts<Value>;
    type Saved = Vec<(SavedValue, u64)>;
    type Args = ColumnReader;

    fn args(&self, arrays: &[ArrayRef]) -> Result<ColumnReader, EvalError> {
        Ok(ColumnReader::new(&arrays[0]))
    }

    fn empty(&self) -> Counts<Value> {
        Counts::default()
    }

    fn add(&self, state: &mut Counts<Value>, args: &ColumnReader, row: usize) {
        let value = args.value(row);
        if !value.is_null() {
            state.add(value);
        }
    }

    fn join(&self, earlier: &mut Counts<Value>, later: &Counts<Value>) {
        earlier.append(later);
    }

    fn finish(&self, states: &[Counts<Value>], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let wanted = reading.constant.map_or(1, |wanted| wanted as usize);
        let top = |state: &Counts<Value>| {
            let counted = state.together();
            most_frequent(counted.iter().map(|(value, count)| (value, *count)).collect(), wanted)
        };
        values_to_array(&states.iter().map(top).collect::<Vec<_>>(), reading.data_type)
    }

    fn save(&self, state: &Counts<Value>) -> Option<Self::Saved> {
        saved(state.together().iter().map(|(value, count)| (value, *count)))
    }

    fn save_before(&self, state: &Counts<Value>, later: &Counts<Value>) -> Option<Self::Saved> {
        saved(state.before(later).iter().map(|(value, count)| (value, *count)))
    }

    fn load_before(&self, saved: Self::Saved, later: &Counts<Value>) -> Option<Counts<Value>> {
        let mut state = self.load(saved)?;
        state.append(later);
        Some(state)
    }

    fn load(&self, saved: Self::Saved) -> Option<Counts<Value>> {
        let loaded = saved.into_iter().map(|(value, count)| Some((Value::load(value)?, count)));
        Some(loaded.collect::<Option<Vec<_>>>()?.into())
    }

    fn bytes(&self, state: &Counts<Value>) -> usize {
        state.bytes()
    }
}

/// So many values, the most frequent first, as a list; NULL of none. Of equal counts the first to come stands first.
pub(super) fn most_frequent(mut counted: Vec<(&Value, u64)>, wanted: usize) -> Value {
    counted.sort_by(|(_, left), (_, right)| right.cmp(left));
    let values: Vec<Value> = counted.into_iter().take(wanted).map(|(value, _)| value.clone()).collect();
    if values.is_empty() { Value::Null } else { Value::List(values.into()) }
}

/// Counted values as plain data; `None`: one cannot be written down.
pub(super) fn saved<'a>(counted: impl Iterator<Item = (&'a Value, u64)>) -> Option<Vec<(SavedValue, u64)>> {
    counted.map(|(value, count)| Some((value.save()?, count))).collect()
}
