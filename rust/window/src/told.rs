//! Windows that are told of, put together of two parts each: their states, or, where an aggregate can read the values of a few states at a
//! time, their values alone. What is written and read over again is small then, and stays at hand.

use std::fmt::Debug;

use arrow_array::ArrayRef;
use cepheid_eval::EvalError;

use crate::arena::{Arena, NONE, States};
use crate::monoid::{Monoid, Reading};

/// States that are read at a time.
pub(crate) const READ_TOGETHER: usize = 256;

/// The values of one aggregate, whichever it is.
pub(crate) trait Tells {
    /// So many windows are to come.
    fn reserve(&mut self, windows: usize);

    /// Adds windows: states of `left` and then of `right` joined, either of which may be [`NONE`].
    fn add_joined(&mut self, left: (&dyn States, &[u32]), right: (&dyn States, &[u32]));

    /// What is known of them, one array for each question; an error with the place of its question.
    fn finish(self: Box<Self>, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)>;
}

/// Reads the values of states as these come, so that they need not be kept.
pub(crate) trait Reads<S>: Debug {
    /// So many states are to come.
    fn reserve(&mut self, states: usize);

    fn read(&mut self, states: &[S]);

    /// The values of all states, one array for each question; an error with the place of its question.
    fn finish(self: Box<Self>, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)>;
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Told<M: Monoid> {
    monoid: M,
    /// Those that have not been read: all, if there is nothing that reads them as they come.
    states: Vec<M::State>,
    reader: Option<Box<dyn Reads<M::State>>>,
}

impl<M: Monoid> Told<M> {
    pub(crate) fn new(monoid: M, readings: &[Reading<'_>]) -> Self {
        let reader = monoid.reader(readings);
        Self { monoid, states: vec![], reader }
    }
}

impl<M: Monoid> Tells for Told<M> {
    fn reserve(&mut self, windows: usize) {
        match &mut self.reader {
            Some(reader) => reader.reserve(self.states.len() + windows),
            None => self.states.reserve(windows),
        }
    }

    fn add_joined(&mut self, left: (&dyn States, &[u32]), right: (&dyn States, &[u32])) {
        let (earlier, later) = (Arena::<M>::of(left.0), Arena::<M>::of(right.0));
        let empty = self.monoid.empty();
        let state_of = |states: &[M::State], slot: u32| states.get(slot as usize).unwrap_or(&empty).clone();
        for (lefts, rights) in left.1.chunks(READ_TOGETHER).zip(right.1.chunks(READ_TOGETHER)) {
            self.states.extend(lefts.iter().zip(rights).map(|(left, right)| {
                if *left == NONE {
                    return state_of(later, *right);
                }
                let mut state = state_of(earlier, *left);
                if *right != NONE {
                    self.monoid.join(&mut state, &later[*right as usize]);
                }
                state
            }));
            if let Some(reader) = &mut self.reader
                && self.states.len() >= READ_TOGETHER
            {
                reader.read(&self.states);
                self.states.clear();
            }
        }
    }

    fn finish(mut self: Box<Self>, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        match self.reader.take() {
            None => self.monoid.finish_all(&self.states, readings),
            Some(mut reader) => {
                reader.read(&self.states);
                reader.finish(readings)
            }
        }
    }
}
