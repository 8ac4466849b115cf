//! Aggregates that only grow, and are copied where a run branches.

use std::sync::Arc;

use indexmap::IndexSet;

use crate::error::EvalError;
use crate::fold::{DistinctKey, Fold, State};
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
