//! Aggregates that only grow, and are copied where a run branches.

use std::sync::Arc;

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::fold::{DistinctKey, Fold, State, Sum};
use crate::saved_value::SavedValue;
use crate::value::Value;

/// The aggregate of the rows pushed so far, without the way back that an [`Accumulator`](crate::Accumulator) keeps.
///
/// - Time: `push` O(1); for DISTINCT one hash of the arguments, and O(distinct rows) for the first new one after a
///   `clone` whose other half still lives. `clone` O(1). `value` O(1), for ARRAY_AGG O(rows).
/// - Space: O(1); for DISTINCT one entry for each distinct row, shared between clones until one of them meets
///   another; for ARRAY_AGG one element a row, those before a `clone` shared for good.
#[derive(Clone, Debug)]
pub struct RunningAggregate {
    fold: Arc<Fold>,
    state: State,
    /// DISTINCT: the keys so far, in the order in which they came.
    seen: Option<Arc<IndexSet<DistinctKey, foldhash::fast::FixedState>>>,
    /// ARRAY_AGG: the list.
    elements: SharedList,
}

impl RunningAggregate {
    pub(crate) fn new(fold: Fold, distinct: bool) -> Self {
        let state = fold.initial();
        let seen = distinct.then(Arc::default);
        Self { fold: Arc::new(fold), state, seen, elements: SharedList::default() }
    }

    /// Adds one row: one value for each argument.
    ///
    /// An overflow shows in [`value`](Self::value), as later rows may bring the sum back into range.
    pub fn push(&mut self, args: &[Value]) {
        if !self.fold.counts(args) {
            return;
        }
        if let Some(seen) = &mut self.seen {
            let key = self.fold.distinct_key(args);
            // Looked up before the set is made our own, so that a repeated row copies nothing.
            if seen.contains(&key) {
                return;
            }
            Arc::make_mut(seen).insert(key);
        }
        self.take(args);
    }

    fn take(&mut self, args: &[Value]) {
        let before = std::mem::replace(&mut self.state, State::Count(0));
        self.state = self.fold.after(before, args);
        if self.fold.keeps_elements() {
            self.elements.push(args.first().cloned().unwrap_or_default());
        }
    }

    /// Adds the rows of another of the same kind, behind those there are.
    ///
    /// Cost: O(1); for DISTINCT and ARRAY_AGG O(rows of the other).
    pub fn append(&mut self, later: &Self) {
        if let (Some(seen), Some(more)) = (&mut self.seen, &later.seen) {
            let new: Vec<DistinctKey> = more.iter().filter(|key| !seen.contains(*key)).cloned().collect();
            Arc::make_mut(seen).extend(new.iter().cloned());
            let fold = Arc::clone(&self.fold);
            new.iter().for_each(|key| self.take(fold.args_of(key)));
            return;
        }
        let before = std::mem::replace(&mut self.state, State::Count(0));
        self.state = self.fold.joined(before, &later.state);
        self.elements.append(&later.elements);
    }

    /// Forgets every row.
    pub fn clear(&mut self) {
        self.state = self.fold.initial();
        self.elements = SharedList::default();
        if let Some(seen) = &mut self.seen {
            match Arc::get_mut(seen) {
                Some(seen) => seen.clear(),
                None => *seen = Arc::default(),
            }
        }
    }

    /// Bytes that are held for the values of rows, about.
    pub fn bytes(&self) -> usize {
        let seen = self.seen.as_ref().map_or(0, |seen| seen.capacity() * 2 * size_of::<DistinctKey>());
        seen + self.elements.length * size_of::<Element>()
    }

    /// The aggregate of the rows so far.
    ///
    /// # Errors
    /// [`EvalError::Overflow`] if the sum does not fit its type.
    pub fn value(&self) -> Result<Value, EvalError> {
        self.fold.value(&self.state, || self.elements.to_array())
    }
}

/// An aggregate as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedAggregate {
    state: SavedState,
    seen: Option<Vec<[SavedValue; 2]>>,
    elements: Vec<SavedValue>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum SavedState {
    Count(i64),
    /// `None` past 128 bits; a float is its bits.
    Sum(Option<i128>, i64),
    FloatSum(u64, i64),
    Moments(i64, u64, u64),
    Chosen(SavedValue, SavedValue),
    Verdict(Option<bool>),
    Length(u64),
}

impl RunningAggregate {
    /// The aggregate as plain data; `None`: it holds a value that only passes through.
    pub fn save(&self) -> Option<SavedAggregate> {
        let state = match &self.state {
            State::Count(count) => SavedState::Count(*count),
            State::Sum(Sum::Float(sum), count) => SavedState::FloatSum(sum.to_bits(), *count),
            State::Sum(Sum::Integer(sum) | Sum::Span(sum, _), count) => SavedState::Sum(Some(*sum), *count),
            State::Sum(Sum::Decimal(sum, _), count) => SavedState::Sum(*sum, *count),
            State::Moments { count, mean, squares } => {
                SavedState::Moments(*count, mean.to_bits(), squares.to_bits())
            }
            State::Chosen(result, by) => SavedState::Chosen(result.save()?, by.save()?),
            State::Verdict(verdict) => SavedState::Verdict(*verdict),
            State::Length(length) => SavedState::Length(*length as u64),
        };
        let key = |key: &DistinctKey| Some([key[0].save()?, key[1].save()?]);
        let seen = match &self.seen {
            None => None,
            Some(seen) => Some(seen.iter().map(key).collect::<Option<_>>()?),
        };
        let elements = self.elements.to_array().iter().map(Value::save).collect::<Option<_>>()?;
        Some(SavedAggregate { state, seen, elements })
    }

    /// An aggregate of the same kind as this, as it was saved; `None`: it is none.
    pub fn load(&self, saved: SavedAggregate) -> Option<Self> {
        let mut own = self.clone();
        own.clear();
        own.state = match (&own.state, saved.state) {
            (State::Count(_), SavedState::Count(count)) => State::Count(count),
            (State::Sum(Sum::Float(_), _), SavedState::FloatSum(sum, count)) => {
                State::Sum(Sum::Float(f64::from_bits(sum)), count)
            }
            (State::Sum(Sum::Integer(_), _), SavedState::Sum(Some(sum), count)) => {
                State::Sum(Sum::Integer(sum), count)
            }
            (State::Sum(Sum::Span(_, unit), _), SavedState::Sum(Some(sum), count)) => {
                State::Sum(Sum::Span(sum, *unit), count)
            }
            (State::Sum(Sum::Decimal(_, scale), _), SavedState::Sum(sum, count)) => {
                State::Sum(Sum::Decimal(sum, *scale), count)
            }
            (State::Moments { .. }, SavedState::Moments(count, mean, squares)) => {
                State::Moments { count, mean: f64::from_bits(mean), squares: f64::from_bits(squares) }
            }
            (State::Chosen(..), SavedState::Chosen(result, by)) => {
                State::Chosen(Value::load(result)?, Value::load(by)?)
            }
            (State::Verdict(_), SavedState::Verdict(verdict)) => State::Verdict(verdict),
            (State::Length(_), SavedState::Length(length)) if length == saved.elements.len() as u64 => {
                State::Length(saved.elements.len())
            }
            _ => return None,
        };
        for element in saved.elements {
            own.elements.push(Value::load(element)?);
        }
        match (&mut own.seen, saved.seen) {
            (None, None) => {}
            (Some(seen), Some(saved)) => {
                let seen = Arc::make_mut(seen);
                for [first, second] in saved {
                    seen.insert([Value::load(first)?, Value::load(second)?]);
                }
            }
            _ => return None,
        }
        Some(own)
    }
}

/// A list that grows at its end and shares its beginning with its clones.
#[derive(Clone, Debug, Default)]
struct SharedList {
    last: Option<Arc<Element>>,
    length: usize,
}

#[derive(Debug)]
struct Element {
    value: Value,
    before: Option<Arc<Element>>,
}

impl SharedList {
    fn push(&mut self, value: Value) {
        self.last = Some(Arc::new(Element { value, before: self.last.take() }));
        self.length += 1;
    }

    fn append(&mut self, later: &Self) {
        if self.length == 0 {
            *self = later.clone();
        } else {
            later.to_array().iter().for_each(|value| self.push(value.clone()));
        }
    }

    fn to_array(&self) -> Arc<[Value]> {
        let mut values = Vec::with_capacity(self.length);
        let mut next = self.last.as_deref();
        while let Some(element) = next {
            values.push(element.value.clone());
            next = element.before.as_deref();
        }
        values.reverse();
        values.into()
    }
}

impl Drop for SharedList {
    /// Element by element: left to itself the compiler would recurse, and a long list overflow the stack.
    fn drop(&mut self) {
        let mut next = self.last.take();
        while let Some(element) = next {
            // Shared from here on: the other lists drop it.
            next = Arc::into_inner(element).and_then(|mut element| element.before.take());
        }
    }
}
