//! States of an aggregate, one behind the other, told apart by number.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;

use arrow_array::ArrayRef;
use cepheid_eval::EvalError;

use crate::monoid::{Monoid, Reading};
use crate::saved::{load_states, save_states};
use crate::told::{Tells, Told};

/// Stands for no state: what is joined with it stays as it is.
pub(crate) const NONE: u32 = u32::MAX;

/// So many states are touched before they are joined.
pub(crate) const TOUCHED: usize = 64;

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
    /// Adds the rows of all states of `from`, those of `from[s]` behind those of `into[s]`: states that there are, or the next, which is
    /// new then.
    fn join_or_push(&mut self, into: &[u32], from: &dyn States);
    /// From the last state of all arenas to the first, adds to each the rows of its next, of a later arena, unless that is [`NONE`].
    /// `next`: of the states of one arena after the other, which are counted so. Which arena does it makes no difference.
    fn join_next(&self, arenas: Vec<&mut Box<dyn States>>, next: &[u32]);
    /// Windows that are put together of such states, none yet.
    fn told(&self, readings: &[Reading<'_>]) -> Box<dyn Tells>;
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
    /// See [`Monoid::rows_column`].
    fn rows_column(&self) -> Option<usize>;
    /// What is saved there.
    fn save_rows(&self) -> Vec<u8>;
    /// Takes it over, once the states are loaded; `None`: it is none of this.
    fn load_rows(&mut self, saved: &[u8]) -> Option<()>;
    /// Bytes held.
    fn bytes(&self) -> usize;
    /// For those that know which it is.
    fn as_any(&self) -> &dyn Any;
    /// Likewise.
    fn as_any_mut(&mut self) -> &mut dyn Any;
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

    pub(crate) fn of(states: &dyn States) -> &[M::State] {
        let own: &Self = states.as_any().downcast_ref().expect("states of one aggregate");
        &own.states
    }

    fn of_mut(states: &mut dyn States) -> &mut [M::State] {
        let own: &mut Self = states.as_any_mut().downcast_mut().expect("states of one aggregate");
        &mut own.states
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
        self.states.reserve_exact(more);
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

    fn join_or_push(&mut self, into: &[u32], from: &dyn States) {
        for (slots, states) in into.chunks(TOUCHED).zip(Self::of(from).chunks(TOUCHED)) {
            self.monoid.touch_all(&self.states, slots.iter().copied());
            for (slot, state) in slots.iter().zip(states) {
                match self.states.get_mut(*slot as usize) {
                    Some(earlier) => self.monoid.join(earlier, state),
                    None => self.states.push(state.clone()),
                }
                debug_assert!((*slot as usize) < self.states.len(), "new states follow each other");
            }
        }
    }

    fn join_next(&self, arenas: Vec<&mut Box<dyn States>>, next: &[u32]) {
        // What has been joined, the last arena first, and where its states begin.
        let mut joined: Vec<(usize, &[M::State])> = Vec::with_capacity(arenas.len());
        let mut rest = next;
        for arena in arenas.into_iter().rev() {
            let states = Self::of_mut(&mut **arena);
            let (others, own) = rest.split_at(rest.len() - states.len());
            // Most have theirs in the next arena.
            let (begin, near) = joined.last().copied().unwrap_or((rest.len(), &[]));
            for (state, next) in states.iter_mut().zip(own).filter(|(_, next)| **next != NONE) {
                let next = *next as usize;
                let later = near.get(next - begin).unwrap_or_else(|| {
                    let (begin, far) = joined[joined.partition_point(|(begin, _)| *begin > next)];
                    &far[next - begin]
                });
                self.monoid.join(state, later);
            }
            joined.push((others.len(), states));
            rest = others;
        }
    }

    fn told(&self, readings: &[Reading<'_>]) -> Box<dyn Tells> {
        Box::new(Told::new(self.monoid.clone(), readings))
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

    fn rows_column(&self) -> Option<usize> {
        self.monoid.rows_column()
    }

    fn save_rows(&self) -> Vec<u8> {
        let rows: Vec<i64> = self.states.iter().map(|state| self.monoid.rows(state)).collect();
        postcard::to_stdvec(&rows).expect("plain data can be written")
    }

    fn load_rows(&mut self, saved: &[u8]) -> Option<()> {
        let rows: Vec<i64> = postcard::from_bytes(saved).ok()?;
        if rows.len() != self.states.len() {
            return None;
        }
        self.states.iter_mut().zip(rows).try_for_each(|(state, rows)| self.monoid.set_rows(state, rows))
    }

    fn bytes(&self) -> usize {
        let elsewhere: usize = self.states.iter().map(|state| self.monoid.bytes(state)).sum();
        self.states.capacity() * size_of::<M::State>() + elsewhere
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_schema::DataType;
    use cepheid_ir::AggregateFunction;

    use super::*;
    use crate::operators::Kind;

    #[test]
    fn each_state_takes_all_that_comes_next_wherever_it_is() {
        // Parts 0 to 6, of which 0, 2 and 5 are of one key, 1 and 6 of another, 3 and 4 alone.
        let next = [2, 6, 5, NONE, NONE, NONE, NONE];
        let mut arenas: Vec<Box<dyn States>> = vec![];
        for (first, states) in [(0, 2), (2, 2), (4, 0), (4, 1), (5, 2)] {
            let mut arena = Kind::Rows.states();
            arena.grow(states);
            // As many rows as the number of the part has for its power of two.
            let slots: Vec<u32> =
                (0..states as u32).flat_map(|slot| vec![slot; 1 << (first + slot)]).collect();
            let args = arena.args(&[]).expect("none are needed");
            arena.add_all(&slots, &*args, 0);
            arenas.push(arena);
        }
        Kind::Rows.states().join_next(arenas.iter_mut().collect(), &next);
        let reading = Reading {
            function: Some(AggregateFunction::Count),
            constant: None,
            text: "",
            data_type: &DataType::Int64,
        };
        let mut rows = vec![];
        for (arena, states) in arenas.iter().zip([2, 2, 0, 1, 2]) {
            let found = arena.finish(0..states, &[reading]).expect("counts");
            rows.extend_from_slice(found[0].as_primitive::<Int64Type>().values());
        }
        let bits = |parts: &[u32]| parts.iter().map(|part| 1 << part).sum::<i64>();
        let expected = [&[0, 2, 5][..], &[1, 6], &[2, 5], &[3], &[4], &[5], &[6]].map(bits);
        assert_eq!(rows, expected);
    }
}
