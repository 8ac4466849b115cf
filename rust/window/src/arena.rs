//! States of an aggregate, one behind the other, told apart by number.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;

use arrow_array::ArrayRef;
use cepheid_eval::EvalError;

use crate::monoid::{Monoid, Reading};
use crate::saved::{load_states, save_states};

/// Stands for no state: what is joined with it stays as it is.
pub(crate) const NONE: u32 = u32::MAX;

/// States of one aggregate, whichever it is.
pub(crate) trait States: Debug + Send + Sync {
    /// None of the same kind.
    fn none(&self) -> Box<dyn States>;
    /// As many.
    fn boxed_clone(&self) -> Box<dyn States>;
    /// Makes arguments ready to be read.
    fn args(&self, arrays: &[ArrayRef]) -> Result<Box<dyn Any>, EvalError>;
    /// Has so many states; those that are new are of no rows.
    fn grow(&mut self, to: usize);
    /// Sees to room for so many more.
    fn reserve(&mut self, more: usize);
    /// Adds rows from `first_row` on, each to a state.
    fn add_all(&mut self, slots: &[u32], args: &dyn Any, first_row: usize);
    /// Adds the rows of states of `from`, those of `of[i]` behind those of `into[i]`.
    fn join(&mut self, into: &[u32], from: &dyn States, of: &[u32]);
    /// From the last state to the first, adds to state `s` the rows of state `next[s]`, which stands behind it, unless that is
    /// [`NONE`].
    fn join_next(&mut self, next: &[u32]);
    /// Adds states: those of `left` and then of `right` joined, either of which may be [`NONE`].
    fn append_joined(&mut self, left: (&dyn States, &[u32]), right: (&dyn States, &[u32]));
    /// Adds states of `from`.
    fn append(&mut self, from: &dyn States, of: &[u32]);
    /// Forgets the rows of states.
    fn reset(&mut self, slots: &[u32]);
    /// Leaves out the first.
    fn drop_first(&mut self, states: usize);
    /// What is known of some, one array for each question; an error with the place of its question.
    fn finish(
        &self,
        states: Range<usize>,
        readings: &[Reading<'_>],
    ) -> Result<Vec<ArrayRef>, (usize, EvalError)>;
    /// All of them as bytes; `None`: some hold a value that cannot be written down.
    /// `next`: see [`save_states`].
    fn save(&self, next: &[u32]) -> Option<Vec<u8>>;
    /// Takes over so many that were saved with the same `next`; `None`: they are none of these.
    fn load(&mut self, saved: &[u8], states: usize, next: &[u32]) -> Option<()>;
    /// Bytes held.
    fn bytes(&self) -> usize;
    /// For those that know which it is.
    fn as_any(&self) -> &dyn Any;
}

#[derive(Clone, Debug)]
pub(crate) struct Arena<M: Monoid> {
    monoid: M,
    states: Vec<M::State>,
}

impl<M: Monoid> Arena<M> {
    pub(crate) fn new(monoid: M) -> Self {
        Self { monoid, states: vec![] }
    }

    fn of(states: &dyn States) -> &[M::State] {
        let own: &Self = states.as_any().downcast_ref().expect("states of one aggregate");
        &own.states
    }
}

impl<M: Monoid> States for Arena<M> {
    fn none(&self) -> Box<dyn States> {
        Box::new(Self::new(self.monoid.clone()))
    }

    fn boxed_clone(&self) -> Box<dyn States> {
        Box::new(self.clone())
    }

    fn args(&self, arrays: &[ArrayRef]) -> Result<Box<dyn Any>, EvalError> {
        Ok(Box::new(self.monoid.args(arrays)?))
    }

    fn grow(&mut self, to: usize) {
        self.states.resize(to, self.monoid.empty());
    }

    fn reserve(&mut self, more: usize) {
        self.states.reserve(more);
    }

    fn add_all(&mut self, slots: &[u32], args: &dyn Any, first_row: usize) {
        let args = args.downcast_ref().expect("arguments of this aggregate");
        self.monoid.add_all(&mut self.states, slots, args, first_row);
    }

    fn join(&mut self, into: &[u32], from: &dyn States, of: &[u32]) {
        let from = Self::of(from);
        for (into, of) in into.iter().zip(of) {
            self.monoid.join(&mut self.states[*into as usize], &from[*of as usize]);
        }
    }

    fn join_next(&mut self, next: &[u32]) {
        for (place, next) in next.iter().enumerate().rev().filter(|(_, next)| **next != NONE) {
            debug_assert!(place < *next as usize, "earlier rows stand before later ones");
            let (earlier, later) = self.states.split_at_mut(*next as usize);
            self.monoid.join(&mut earlier[place], &later[0]);
        }
    }

    fn append_joined(&mut self, left: (&dyn States, &[u32]), right: (&dyn States, &[u32])) {
        let (earlier, later) = (Self::of(left.0), Self::of(right.0));
        let empty = self.monoid.empty();
        self.states.extend(left.1.iter().zip(right.1).map(|(left, right)| {
            let state_of =
                |states: &[M::State], slot: u32| states.get(slot as usize).unwrap_or(&empty).clone();
            if *left == NONE {
                return state_of(later, *right);
            }
            let mut state = state_of(earlier, *left);
            if *right != NONE {
                self.monoid.join(&mut state, &later[*right as usize]);
            }
            state
        }));
    }

    fn append(&mut self, from: &dyn States, of: &[u32]) {
        let from = Self::of(from);
        self.states.extend(of.iter().map(|slot| from[*slot as usize].clone()));
    }

    fn reset(&mut self, slots: &[u32]) {
        for slot in slots {
            self.states[*slot as usize] = self.monoid.empty();
        }
    }

    fn drop_first(&mut self, states: usize) {
        if states == self.states.len() {
            self.states.clear();
        } else {
            self.states.drain(..states);
        }
    }

    fn finish(
        &self,
        states: Range<usize>,
        readings: &[Reading<'_>],
    ) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        self.monoid.finish_all(&self.states[states], readings)
    }

    fn save(&self, next: &[u32]) -> Option<Vec<u8>> {
        let saved = save_states(&self.monoid, &self.states, next)?;
        Some(postcard::to_stdvec(&saved).expect("plain data can be written"))
    }

    fn load(&mut self, saved: &[u8], states: usize, next: &[u32]) -> Option<()> {
        self.states = load_states(&self.monoid, postcard::from_bytes(saved).ok()?, next)?;
        (self.states.len() == states).then_some(())
    }

    fn bytes(&self) -> usize {
        let elsewhere: usize = self.states.iter().map(|state| self.monoid.bytes(state)).sum();
        self.states.capacity() * size_of::<M::State>() + elsewhere
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
