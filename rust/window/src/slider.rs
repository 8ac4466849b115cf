//! States of windows that slide over the rows of keys, two stacks a key.
//!
//! The rows of a key stand in a queue. Those of its front part hold what is known of themselves and all behind them in that
//! part; what is known of the rest, the back, is kept once. A window is the first of the front joined with the back. When the
//! front is used up, the back becomes it, from its last row on: every row is joined three times in its life, and floats
//! are never subtracted. This is the two-stacks algorithm of Tangwongsan, Hirzel, Schneider and Wu (*General incremental
//! sliding-window aggregation*, PVLDB 8(7), 2015), with the queue in place of the stacks.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;

use arrow_array::ArrayRef;
use cepheid_eval::EvalError;
use cepheid_event::threads::cut;

use crate::frames::Renumbered;
use crate::monoid::{Monoid, Reading};
use crate::queue::Queue;
use crate::saved::{load_states, save_states};

/// What happens next to the rows of a key. The same for every aggregate, so it is worked out once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) key: u32,
    /// So many leave the front.
    pub(crate) leave: u32,
    /// Then the front, which is used up, is made anew of the back, and so many leave that.
    pub(crate) turn: Option<u32>,
    /// Then these come, by place.
    pub(crate) come: Range<u32>,
    /// Then the window is asked for, so often.
    pub(crate) ask: u32,
}

/// States of one aggregate, by key, whichever it is.
pub(crate) trait Slides: Debug + Send + Sync {
    fn boxed_clone(&self) -> Box<dyn Slides>;
    /// Makes arguments ready to be read.
    fn args(&self, arrays: &[ArrayRef]) -> Result<Box<Args>, EvalError>;
    /// States of so many keys, in stretches that begin with these, the first of all with 0: each can be seen to by itself.
    fn stretches(&mut self, keys: usize, begins: &[u32]) -> Vec<Box<dyn StretchSlides + '_>>;
    /// Takes what was asked for in a stretch, those before it first.
    fn take_asked(&mut self, asked: Asked);
    /// What is known of the windows that were asked for, in that order; they are forgotten.
    /// An error comes with the place of its question.
    fn finish(&mut self, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)>;
    /// All states as bytes, key by key; `None`: some hold a value that cannot be written down.
    fn save(&self) -> Option<Vec<u8>>;
    /// Takes over what was saved, `rows[key]` rows of each key, so many of them of the front; `None`: it is none of this.
    fn load(&mut self, saved: &[u8], rows: &[(usize, usize)]) -> Option<()>;
    /// See [`Monoid::rows_column`].
    fn rows_column(&self) -> Option<usize>;
    /// What is saved there.
    fn save_rows(&self) -> Vec<u8>;
    /// Takes it over, once the states are loaded; `None`: it is none of this.
    fn load_rows(&mut self, saved: &[u8]) -> Option<()>;
    /// Forgets keys.
    fn renumber(&mut self, keys: &Renumbered);
    /// Bytes held.
    fn bytes(&self) -> usize;
}

/// Arguments that are ready to be read, by whichever thread.
pub(crate) type Args = dyn Any + Send + Sync;

/// States of windows that were asked for, whichever they are.
pub(crate) type Asked = Box<dyn Any + Send>;

/// States of one aggregate, of keys that follow each other.
pub(crate) trait StretchSlides: Send {
    /// Takes steps of these keys, one after the other; without arguments if no rows come.
    fn run(self: Box<Self>, steps: &[Step], args: Option<&Args>) -> Asked;
}

#[derive(Clone, Debug)]
pub(crate) struct Slider<M: Monoid> {
    monoid: M,
    keys: Vec<OfKey<M::State>>,
    asked: Vec<M::State>,
}

#[derive(Clone, Debug)]
struct OfKey<S> {
    states: Queue<S>,
    /// How many of them are of the front.
    front: usize,
    back: S,
}

impl<M: Monoid> Slider<M> {
    pub(crate) fn new(monoid: M) -> Self {
        Self { monoid, keys: vec![], asked: vec![] }
    }
}

impl<S: Clone> OfKey<S> {
    fn leave<M: Monoid<State = S>>(&mut self, rows: u32) {
        self.states.leave(rows as usize);
        self.front -= rows as usize;
    }

    /// What is known of all rows.
    fn window<M: Monoid<State = S>>(&self, monoid: &M) -> S {
        match self.states.all().first().filter(|_| self.front > 0) {
            None => self.back.clone(),
            Some(front) => {
                let mut window = front.clone();
                monoid.join(&mut window, &self.back);
                window
            }
        }
    }

    fn turn<M: Monoid<State = S>>(&mut self, monoid: &M) {
        let states = self.states.all_mut();
        for place in (1..states.len()).rev() {
            let (earlier, later) = states.split_at_mut(place);
            monoid.join(&mut earlier[place - 1], &later[0]);
        }
        self.front = states.len();
        self.back = monoid.empty();
    }
}

/// What is known of all rows of some states.
fn joined<M: Monoid>(monoid: &M, states: &[M::State]) -> M::State {
    let mut all = monoid.empty();
    states.iter().for_each(|state| monoid.join(&mut all, state));
    all
}

/// Of each state of a front the one behind it, which it was joined with; of the last, and of the back, none.
fn next_in(front: usize) -> Vec<u32> {
    (1..front as u32).collect()
}

struct Stretch<'a, M: Monoid> {
    monoid: &'a M,
    keys: &'a mut [OfKey<M::State>],
    first_key: u32,
}

impl<M: Monoid> StretchSlides for Stretch<'_, M> {
    fn run(self: Box<Self>, steps: &[Step], args: Option<&Args>) -> Asked {
        let args: Option<&M::Args> =
            args.map(|args| args.downcast_ref().expect("arguments of this aggregate"));
        let Self { monoid, keys, first_key } = *self;
        let mut asked = Vec::with_capacity(steps.iter().map(|step| step.ask as usize).sum());
        for steps in steps.chunk_by(|step, next| step.key == next.key) {
            let queue = &mut keys[(steps[0].key - first_key) as usize];
            queue.states.reserve(steps.iter().map(|step| step.come.len()).sum());
            for step in steps {
                queue.leave::<M>(step.leave);
                if let Some(more) = step.turn {
                    queue.turn(monoid);
                    queue.leave::<M>(more);
                }
                for row in step.come.clone() {
                    let mut state = monoid.empty();
                    monoid.add(&mut state, args.expect("rows come with arguments"), row as usize);
                    monoid.join(&mut queue.back, &state);
                    queue.states.push(state);
                }
                if step.ask > 0 {
                    let window = queue.window(monoid);
                    (1..step.ask).for_each(|_| asked.push(window.clone()));
                    asked.push(window);
                }
            }
        }
        Box::new(asked)
    }
}

impl<M: Monoid> Slides for Slider<M> {
    fn boxed_clone(&self) -> Box<dyn Slides> {
        Box::new(self.clone())
    }

    fn args(&self, arrays: &[ArrayRef]) -> Result<Box<Args>, EvalError> {
        Ok(Box::new(self.monoid.args(arrays)?))
    }

    fn stretches(&mut self, keys: usize, begins: &[u32]) -> Vec<Box<dyn StretchSlides + '_>> {
        let monoid = &self.monoid;
        self.keys.resize_with(keys, || OfKey { states: Queue::default(), front: 0, back: monoid.empty() });
        let stretch =
            |(keys, first_key)| Box::new(Stretch { monoid, keys, first_key }) as Box<dyn StretchSlides>;
        cut(&mut self.keys, begins).into_iter().zip(begins.iter().copied()).map(stretch).collect()
    }

    fn take_asked(&mut self, asked: Asked) {
        let mut asked: Box<Vec<M::State>> = asked.downcast().expect("states of this aggregate");
        if self.asked.is_empty() {
            self.asked = *asked;
        } else {
            self.asked.append(&mut asked);
        }
    }

    fn finish(&mut self, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        let asked = std::mem::take(&mut self.asked);
        self.monoid.finish_all(&asked, readings)
    }

    fn save(&self) -> Option<Vec<u8>> {
        let of_key = |queue: &OfKey<M::State>| -> Option<Vec<M::Saved>> {
            save_states(&self.monoid, queue.states.all(), &next_in(queue.front))
        };
        let saved = self.keys.iter().map(of_key).collect::<Option<Vec<_>>>()?;
        Some(postcard::to_stdvec(&saved).expect("plain data can be written"))
    }

    fn load(&mut self, saved: &[u8], rows: &[(usize, usize)]) -> Option<()> {
        let mut saved: Vec<Vec<M::Saved>> = postcard::from_bytes(saved).ok()?;
        if saved.len() > rows.len() {
            return None;
        }
        saved.resize_with(rows.len(), Vec::new);
        for (saved, (count, front)) in saved.into_iter().zip(rows) {
            if saved.len() != *count || *front > *count {
                return None;
            }
            let states = load_states(&self.monoid, saved, &next_in(*front))?;
            let back = joined(&self.monoid, &states[*front..]);
            self.keys.push(OfKey { states: Queue::of(states), front: *front, back });
        }
        Some(())
    }

    fn rows_column(&self) -> Option<usize> {
        self.monoid.rows_column()
    }

    fn save_rows(&self) -> Vec<u8> {
        let rows = |queue: &OfKey<M::State>| -> Vec<i64> {
            queue.states.all().iter().map(|state| self.monoid.rows(state)).collect()
        };
        let saved: Vec<Vec<i64>> = self.keys.iter().map(rows).collect();
        postcard::to_stdvec(&saved).expect("plain data can be written")
    }

    fn load_rows(&mut self, saved: &[u8]) -> Option<()> {
        let mut saved: Vec<Vec<i64>> = postcard::from_bytes(saved).ok()?;
        if saved.len() > self.keys.len() {
            return None;
        }
        saved.resize_with(self.keys.len(), Vec::new);
        for (queue, rows) in self.keys.iter_mut().zip(saved) {
            if rows.len() != queue.states.len() {
                return None;
            }
            let states = queue.states.all_mut();
            states.iter_mut().zip(rows).try_for_each(|(state, rows)| self.monoid.set_rows(state, rows))?;
            queue.back = joined(&self.monoid, &states[queue.front..]);
        }
        Some(())
    }

    fn renumber(&mut self, keys: &Renumbered) {
        keys.retain(&mut self.keys);
    }

    fn bytes(&self) -> usize {
        let of_key = |queue: &OfKey<M::State>| {
            let elsewhere: usize = queue.states.all().iter().map(|state| self.monoid.bytes(state)).sum();
            queue.states.bytes() + elsewhere
        };
        self.keys.capacity() * size_of::<OfKey<M::State>>() + self.keys.iter().map(of_key).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Float64Array;

    use super::*;
    use crate::operators::{frequent::Frequent, quantiles::Numbers};

    /// Bytes of a snapshot of a window over so many rows, all of its front; it must be read as what was written.
    fn bytes_of<M: Monoid>(monoid: M, rows: u32) -> usize {
        let values: ArrayRef =
            Arc::new((0..rows).map(|row| f64::from(row * row % 997)).collect::<Float64Array>());
        let mut slider = Slider::new(monoid.clone());
        let args = slider.args(&[values]).expect("numbers");
        let come = Step { come: 0..rows, ..Step::default() };
        let turn = Step { turn: Some(0), ..Step::default() };
        for stretch in slider.stretches(1, &[0]) {
            stretch.run(&[come.clone(), turn.clone()], Some(&*args));
        }
        let saved = slider.save().expect("plain data");
        let mut loaded = Slider::new(monoid);
        let of_key = (rows as usize, rows as usize);
        loaded.load(&saved, &[of_key]).expect("what was saved");
        assert_eq!(loaded.save(), Some(saved.clone()));
        saved.len()
    }

    #[test]
    fn snapshots_grow_with_rows_and_not_with_pairs_of_them() {
        for rows in [1_000, 4_000] {
            assert!(bytes_of(Numbers, rows) < 10 * rows as usize);
            assert!(bytes_of(Frequent, rows) < 14 * rows as usize);
        }
    }
}
