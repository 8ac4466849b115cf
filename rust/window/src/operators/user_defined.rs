//! Aggregates of the user's own, [`UserAggregate`].
//!
//! A state is a list of those of runs of rows, one behind the other, that have not been joined yet: joins are put off until there
//! are many to be asked for at once, pair by pair and round by round. When rows have been added to states, what has come to each is
//! joined to one; what windows are made of is joined when they are told of.
//!
//! Order: that of rows. Time: O(1) joins a row, in O(log r) calls for r rows that a state has been given at once; in windows that
//! slide as many joins a row as its window has rows. Space: a state for each open window; for each row where windows slide.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::filter::filter;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use cepheid_eval::{EvalError, Fault};
use cepheid_event::ipc;
use foldhash::fast::FixedState;

use crate::monoid::{Monoid, Reading};
use crate::rope::Rope;
use crate::user_aggregate::UserAggregate;

/// One of them, by name.
#[derive(Clone, Debug)]
pub(crate) struct UserDefined {
    name: Arc<str>,
    aggregate: Arc<dyn UserAggregate>,
}

impl PartialEq for UserDefined {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What is known of some rows: states that stand one behind the other, or why that is not known.
pub(crate) type State = Result<Rope<Leaf>, EvalError>;

/// A state, and the array that it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    states: ArrayRef,
    row: usize,
}

/// States of rows; of those with a NULL there are none.
pub(crate) struct Lifted {
    states: ArrayRef,
    /// `row_of[r]`: where that of row r stands; `None`: they stand as the rows do.
    row_of: Option<Vec<Option<usize>>>,
}

impl Lifted {
    fn leaf(&self, row: usize) -> Option<Leaf> {
        let row = self.row_of.as_ref().map_or(Some(row), |row_of| row_of[row])?;
        Some(Leaf { states: Arc::clone(&self.states), row })
    }
}

impl UserDefined {
    pub(crate) fn new(name: &str, aggregate: &Arc<dyn UserAggregate>) -> Self {
        Self { name: name.into(), aggregate: Arc::clone(aggregate) }
    }

    fn failed(&self, fault: Fault) -> EvalError {
        EvalError::UserDefined { expression: Arc::clone(&self.name), fault }
    }

    /// An answer of as many values and of the type that it has to be of.
    fn checked(
        &self,
        what: &str,
        given: Result<ArrayRef, Fault>,
        (count, data_type): (usize, &DataType),
    ) -> Result<ArrayRef, EvalError> {
        let given = given.map_err(|fault| self.failed(fault))?;
        if given.len() == count && given.data_type() == data_type {
            return Ok(given);
        }
        let (found, found_type) = (given.len(), given.data_type());
        Err(self.failed(Fault::of(format!(
            "{what} gave {found} values of type {found_type}, not {count} of type {data_type}"
        ))))
    }

    /// Joins the states of each list to one.
    fn reduced(&self, mut lists: Vec<Vec<Leaf>>) -> Result<Vec<Option<Leaf>>, EvalError> {
        loop {
            let pairs = || lists.iter().flat_map(|list| list.chunks_exact(2));
            let count = pairs().count();
            if count == 0 {
                return Ok(lists.into_iter().map(|mut list| list.pop()).collect());
            }
            let left = gathered(pairs().map(|pair| &pair[0]))?;
            let right = gathered(pairs().map(|pair| &pair[1]))?;
            let joined = self.aggregate.join(&left, &right);
            let states = self.checked("combine", joined, (count, self.aggregate.state_type()))?;
            let mut rows = 0..count;
            for list in &mut lists {
                let odd = if list.len() % 2 == 1 { list.pop() } else { None };
                let joined = rows.by_ref().take(list.len() / 2);
                let joined = joined.map(|row| Leaf { states: Arc::clone(&states), row });
                *list = joined.chain(odd).collect();
            }
        }
    }
}

/// The states of leaves, in one array.
fn gathered<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> Result<ArrayRef, EvalError> {
    let mut arrays: Vec<&'a ArrayRef> = vec![];
    // There may be an array for every call that has brought rows.
    let mut numbers: HashMap<*const (), usize, FixedState> = HashMap::default();
    let mut places = vec![];
    for leaf in leaves {
        let number = *numbers.entry(Arc::as_ptr(&leaf.states).cast()).or_insert_with(|| {
            arrays.push(&leaf.states);
            arrays.len() - 1
        });
        places.push((number, leaf.row));
    }
    let arrays: Vec<&dyn Array> = arrays.into_iter().map(AsRef::as_ref).collect();
    interleave(&arrays, &places).map_err(|error| EvalError::Arrow { reason: error.to_string() })
}

/// Whether values of one type are told as values of another without a word: what a value is does not change.
fn is_as_wide(from: &DataType, to: &DataType) -> bool {
    let is_text = |of: &DataType| match of {
        DataType::Dictionary(_, values) => values.is_string(),
        other => other.is_string(),
    };
    (from.is_integer() && (to.is_integer() || to.is_floating()))
        || (from.is_floating() && to.is_floating())
        || (is_text(from) && is_text(to))
        || matches!((from, to), (DataType::Timestamp(_, own), DataType::Timestamp(_, wanted)) if own == wanted)
        || (from.is_decimal() && to.is_decimal())
        || from.is_null()
}

fn leaves_of(state: &State) -> Result<Vec<Leaf>, EvalError> {
    state.as_ref().map(Rope::to_vec).map_err(Clone::clone)
}

impl Monoid for UserDefined {
    type State = State;
    type Saved = Option<Vec<u8>>;
    type Args = Lifted;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Lifted, EvalError> {
        let rows = arrays[0].len();
        let arrow = |error: arrow_schema::ArrowError| EvalError::Arrow { reason: error.to_string() };
        let lift = |args: &[ArrayRef], count: usize| {
            if count == 0 {
                return Ok(arrow_array::new_empty_array(self.aggregate.state_type()));
            }
            self.checked("lift", self.aggregate.lift(args), (count, self.aggregate.state_type()))
        };
        if arrays.iter().all(|array| array.logical_null_count() == 0) {
            return Ok(Lifted { states: lift(arrays, rows)?, row_of: None });
        }
        let nulls: Vec<_> = arrays.iter().filter_map(|array| array.logical_nulls()).collect();
        let there: BooleanArray =
            (0..rows).map(|row| Some(nulls.iter().all(|nulls| nulls.is_valid(row)))).collect();
        let kept: Vec<ArrayRef> =
            arrays.iter().map(|array| filter(array, &there)).collect::<Result<_, _>>().map_err(arrow)?;
        let mut next = 0..;
        let row_of = there.values().iter().map(|there| if there { next.next() } else { None }).collect();
        Ok(Lifted { states: lift(&kept, there.true_count())?, row_of: Some(row_of) })
    }

    fn empty(&self) -> State {
        Ok(Rope::default())
    }

    fn add(&self, state: &mut State, args: &Lifted, row: usize) {
        if let (Ok(leaves), Some(leaf)) = (state, args.leaf(row)) {
            leaves.push(leaf);
        }
    }

    fn add_all(&self, states: &mut [State], slots: &[u32], args: &Lifted, first_row: usize) {
        for (row, slot) in slots.iter().enumerate() {
            self.add(&mut states[*slot as usize], args, first_row + row);
        }
        let mut touched = slots.to_vec();
        touched.sort_unstable();
        touched.dedup();
        touched.retain(|slot| states[*slot as usize].as_ref().is_ok_and(|leaves| leaves.len() > 0));
        let lists = touched.iter().filter_map(|slot| leaves_of(&states[*slot as usize]).ok()).collect();
        // In an array of their own: what they were lifted in, or joined in, has rows of others.
        let joined = self.reduced(lists).and_then(|leaves| {
            let leaves: Vec<Leaf> = leaves.into_iter().flatten().collect();
            if leaves.is_empty() { Ok(None) } else { gathered(leaves.iter()).map(Some) }
        });
        for (row, slot) in touched.into_iter().enumerate() {
            states[slot as usize] = match &joined {
                Ok(Some(all)) => Ok(Rope::from(vec![Leaf { states: Arc::clone(all), row }])),
                Ok(None) => self.empty(),
                Err(error) => Err(error.clone()),
            };
        }
    }

    fn join(&self, earlier: &mut State, later: &State) {
        match (earlier.as_mut(), later) {
            (Ok(leaves), Ok(more)) => leaves.append(more),
            (Ok(_), Err(error)) => *earlier = Err(error.clone()),
            (Err(_), _) => {}
        }
    }

    fn finish(&self, states: &[State], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let lists = states.iter().map(leaves_of).collect::<Result<Vec<_>, _>>()?;
        let leaves = self.reduced(lists)?;
        let mut next = 0..;
        let place_of: UInt32Array =
            leaves.iter().map(|leaf| leaf.as_ref().and_then(|_| next.next())).collect();
        if place_of.null_count() == place_of.len() {
            return Ok(arrow_array::new_null_array(reading.data_type, states.len()));
        }
        let all = gathered(leaves.iter().flatten())?;
        let said = self.aggregate.finish(&all).map_err(|fault| self.failed(fault))?;
        let said = if is_as_wide(said.data_type(), reading.data_type) {
            let strictly = CastOptions { safe: false, ..CastOptions::default() };
            let cast = cast_with_options(&said, reading.data_type, &strictly);
            cast.map_err(|error| self.failed(Fault(Arc::new(error))))?
        } else {
            said
        };
        let said = self.checked("finish", Ok(said), (all.len(), reading.data_type))?;
        take(&said, &place_of, None).map_err(|error| EvalError::Arrow { reason: error.to_string() })
    }

    fn save(&self, state: &State) -> Option<Option<Vec<u8>>> {
        let mut leaves = self.reduced(vec![leaves_of(state).ok()?]).ok()?;
        self.written(leaves.pop().flatten().as_slice())
    }

    fn load(&self, saved: Option<Vec<u8>>) -> Option<State> {
        let Some(bytes) = saved else { return Some(self.empty()) };
        let batch = ipc::from_ipc(&bytes).ok()?;
        let [states] = batch.columns() else { return None };
        if states.data_type() != self.aggregate.state_type() || states.is_empty() {
            return None;
        }
        let leaves: Vec<Leaf> =
            (0..states.len()).map(|row| Leaf { states: Arc::clone(states), row }).collect();
        Some(Ok(Rope::from(leaves)))
    }

    fn save_before(&self, state: &State, later: &State) -> Option<Option<Vec<u8>>> {
        let (own, later) = (state.as_ref().ok()?, later.as_ref().ok()?);
        let before = own.before(later).unwrap_or_else(|| {
            let mut all = own.to_vec();
            all.truncate(own.len() - later.len());
            all
        });
        self.written(&before)
    }

    fn load_before(&self, saved: Option<Vec<u8>>, later: &State) -> Option<State> {
        let mut state = self.load(saved)?;
        self.join(&mut state, later);
        Some(state)
    }

    fn bytes(&self, state: &State) -> usize {
        // Arrays that states share are counted by the row.
        let of_leaf = |leaf: &Leaf| leaf.states.get_array_memory_size() / leaf.states.len().max(1);
        state.as_ref().map_or(0, |leaves| {
            let mut bytes = leaves.bytes();
            leaves.for_each(|leaf| bytes += of_leaf(leaf));
            bytes
        })
    }
}

impl UserDefined {
    /// States in Arrow IPC; `None` within: there are none.
    fn written(&self, leaves: &[Leaf]) -> Option<Option<Vec<u8>>> {
        if leaves.is_empty() {
            return Some(None);
        }
        let states = gathered(leaves.iter()).ok()?;
        let schema = Arc::new(Schema::new(vec![Field::new("", states.data_type().clone(), true)]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![states]).ok()?;
        ipc::to_ipc(&schema, Some(&batch)).ok().map(Some)
    }
}
