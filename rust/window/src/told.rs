//! Windows that are told of, put together of two parts each: their states, or, where an aggregate can read the values of a few states at a
//! time, their values alone. What is written and read over again is small then, and stays at hand; nor is a state written at all.

use std::fmt::Debug;

use arrow_array::ArrayRef;
use cepheid_eval::EvalError;

use crate::arena::{Arena, States};
use crate::monoid::{Monoid, Reading};

/// States that are read at a time.
pub(crate) const READ_TOGETHER: usize = 256;

/// The values of one aggregate, whichever it is.
pub(crate) trait Tells {
    /// So many windows are to come.
    fn reserve(&mut self, windows: usize);

    /// Adds windows: states of `left` and then of `right` joined, either of which may be [`NONE`](crate::arena::NONE).
    fn add_joined(&mut self, left: (&dyn States, &[u32]), right: (&dyn States, &[u32]));

    /// What is known of them, one array for each question; an error with the place of its question.
    fn finish(self: Box<Self>, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)>;
}

/// States of one aggregate, some of which are told of: where these stand, or [`NONE`](crate::arena::NONE).
pub(crate) type Picked<'a, S> = (&'a [S], &'a [u32]);

/// Reads the values of states as these come, so that they need not be kept.
pub(crate) trait Reads<M: Monoid>: Debug {
    /// So many states are to come.
    fn reserve(&mut self, states: usize);

    /// Reads those of states of `left` and then of `right` joined.
    fn read_joined(&mut self, monoid: &M, left: Picked<'_, M::State>, right: Picked<'_, M::State>);

    /// The values of all states, one array for each question; an error with the place of its question.
    fn finish(self: Box<Self>, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)>;
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Told<M: Monoid> {
    monoid: M,
    /// All of them, if there is nothing that reads them as they come.
    states: Vec<M::State>,
    reader: Option<Box<dyn Reads<M>>>,
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
            Some(reader) => reader.reserve(windows),
            None => self.states.reserve(windows),
        }
    }

    fn add_joined(&mut self, left: (&dyn States, &[u32]), right: (&dyn States, &[u32])) {
        let (earlier, later) = (Arena::<M>::of(left.0), Arena::<M>::of(right.0));
        match &mut self.reader {
            Some(reader) => reader.read_joined(&self.monoid, (earlier, left.1), (later, right.1)),
            None => {
                let slots = left.1.iter().zip(right.1);
                self.states.extend(slots.map(|(left, right)| {
                    joined(&self.monoid, earlier.get(*left as usize), later.get(*right as usize))
                }));
            }
        }
    }

    fn finish(mut self: Box<Self>, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        match self.reader.take() {
            None => self.monoid.finish_all(&self.states, readings),
            Some(reader) => reader.finish(readings),
        }
    }
}

/// Two states joined, either of which need not be there.
#[inline]
pub(crate) fn joined<M: Monoid>(
    monoid: &M,
    earlier: Option<&M::State>,
    later: Option<&M::State>,
) -> M::State {
    match (earlier, later) {
        (Some(earlier), Some(later)) => {
            let mut state = earlier.clone();
            monoid.join(&mut state, later);
            state
        }
        (Some(only), None) | (None, Some(only)) => only.clone(),
        (None, None) => monoid.empty(),
    }
}
