//! Several of SUM, AVG, MIN, MAX, VAR and STDDEV of the same floats, and COUNT(*): what each would keep by itself, in one cache line.
//!
//! The sums are those of [`super::sums`], the moments those of [`super::moments`], the extremes those of
//! [`super::extremes`]; only that a row, or a part, is met once for all of them.
//!
//! Order: that of rows. Time: O(1) a row and a join, without a branch. Space: 64 bytes.

mod values;

use arrow_array::ArrayRef;
use cepheid_eval::EvalError;
use serde::{Deserialize, Serialize};
use values::Values;

use super::moments;
use super::numbers::{Numbers, floats};
use super::sums::{FloatSum, plus};
use crate::arena::TOUCHED;
use crate::monoid::{Monoid, Reading};
use crate::told::Reads;

/// Whether sums, moments and extremes are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Summary<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool> {
    /// See [`Monoid::rows_column`].
    rows_column: Option<usize>,
}

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct State {
    sum: f64,
    /// What the sum has lost.
    lost: f64,
    /// How many values there are: a whole number, and a float as all that it is reckoned with.
    count: f64,
    mean: f64,
    squares: f64,
    /// Of those that are numbers; NaN is greater than all of them.
    least: f64,
    /// The greatest of them, negated: it is found as the least is, both at once.
    negated: f64,
    /// Twice the number of rows without a value, and whether a value is NaN.
    others: u64,
}

/// A state as plain data.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    sum: FloatSum,
    mean: f64,
    squares: f64,
    least: f64,
    greatest: f64,
    /// How many values are NaN. Some are, or all: no more than that is asked.
    nans: i64,
}

const IS_NAN: u64 = 1;
const NULL_ROW: u64 = 2;
/// So many rows without a value are in no window.
const NULLS_MAX: u64 = 1 << 60;

impl State {
    fn has_nan(&self) -> bool {
        self.others & IS_NAN != 0
    }

    /// Whether no value is a number.
    fn has_no_number(&self) -> bool {
        -self.negated < self.least
    }

    fn rows(&self) -> i64 {
        rows_of(self.count, self.others)
    }

    /// Of equal values the first stays, and NaN is none of them.
    #[inline]
    fn take_extremes(&mut self, least: f64, negated: f64) {
        self.least = if least < self.least { least } else { self.least };
        self.negated = if negated < self.negated { negated } else { self.negated };
    }
}

/// How many rows there are, given how many of them have a value and [`State::others`].
#[inline(always)]
fn rows_of(count: f64, others: u64) -> i64 {
    (count as i64).wrapping_add((others / NULL_ROW) as i64)
}

impl<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool> Summary<SUM, MOMENTS, EXTREMES> {
    pub(crate) fn new(rows_column: Option<usize>) -> Self {
        Self { rows_column }
    }

    #[inline]
    fn take(state: &mut State, value: f64) {
        if SUM {
            plus(&mut state.sum, &mut state.lost, value);
        }
        state.count += 1.0;
        if MOMENTS {
            let delta = value - state.mean;
            state.mean += delta / state.count;
            state.squares += delta * (value - state.mean);
        }
        if EXTREMES {
            state.take_extremes(value, -value);
            state.others |= u64::from(value.is_nan());
        }
    }
}

impl<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool> Monoid for Summary<SUM, MOMENTS, EXTREMES> {
    type State = State;
    type Saved = Saved;
    type Args = Numbers<f64>;

    fn args(&self, arrays: &[ArrayRef]) -> Result<Self::Args, EvalError> {
        floats(&arrays[0])
    }

    fn save(&self, state: &State) -> Option<Saved> {
        let State { sum, lost, mean, squares, least, negated, .. } = *state;
        let count = state.count as i64;
        let nans = match (state.has_nan(), state.has_no_number()) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => count,
        };
        Some(Saved { sum: FloatSum::of(sum, lost, count), mean, squares, least, greatest: -negated, nans })
    }

    fn load(&self, saved: Saved) -> Option<State> {
        let Saved { sum, mean, squares, least, greatest, nans } = saved;
        let (sum, lost, count) = sum.parts();
        let (count, others) = (count as f64, u64::from(nans > 0));
        Some(State { sum, lost, count, mean, squares, least, negated: -greatest, others })
    }

    fn rows_column(&self) -> Option<usize> {
        self.rows_column
    }

    fn rows(&self, state: &State) -> i64 {
        state.rows()
    }

    fn set_rows(&self, state: &mut State, rows: i64) -> Option<()> {
        let nulls =
            u64::try_from(rows.checked_sub(state.count as i64)?).ok().filter(|nulls| *nulls < NULLS_MAX)?;
        state.others = (state.others & IS_NAN) | (nulls * NULL_ROW);
        Some(())
    }

    fn empty(&self) -> State {
        State {
            sum: 0.0,
            lost: 0.0,
            count: 0.0,
            mean: 0.0,
            squares: 0.0,
            least: f64::INFINITY,
            negated: f64::INFINITY,
            others: 0,
        }
    }

    #[inline]
    fn add(&self, state: &mut State, args: &Self::Args, row: usize) {
        match args.get(row) {
            Some(value) => Self::take(state, value),
            None => state.others += NULL_ROW,
        }
    }

    fn add_all(&self, states: &mut [State], slots: &[u32], args: &Self::Args, first_row: usize) {
        for (place, slots) in slots.chunks(TOUCHED).enumerate() {
            let first_row = first_row + place * TOUCHED;
            self.touch_all(states, slots.iter().copied());
            args.each(states, slots, first_row, Self::take);
            if self.rows_column.is_some() {
                args.each_null(slots, first_row, |slot| states[slot as usize].others += NULL_ROW);
            }
        }
    }

    #[inline]
    fn join(&self, earlier: &mut State, later: &State) {
        if MOMENTS {
            let mut own = moments::State::of(earlier.count, earlier.mean, earlier.squares);
            own.join(&moments::State::of(later.count, later.mean, later.squares));
            (earlier.mean, earlier.squares) = own.mean_and_squares();
        }
        plus(&mut earlier.sum, &mut earlier.lost, later.sum);
        earlier.lost += later.lost;
        earlier.count += later.count;
        if EXTREMES {
            earlier.take_extremes(later.least, later.negated);
        }
        // Wrapping: what is read from a snapshot may say anything.
        earlier.others = earlier.others.wrapping_add(later.others & !IS_NAN) | (later.others & IS_NAN);
    }

    fn finish(&self, states: &[State], reading: Reading<'_>) -> Result<ArrayRef, EvalError> {
        let [only] =
            self.finish_all(states, &[reading]).map_err(|(_, error)| error)?.try_into().expect("one");
        Ok(only)
    }

    fn finish_all(
        &self,
        states: &[State],
        readings: &[Reading<'_>],
    ) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        let mut values = Values::new(readings);
        values.make_room(states.len());
        values.read(states);
        values.into_arrays(readings)
    }

    #[inline]
    fn touch(&self, state: &State) -> i64 {
        state.count.to_bits() as i64
    }

    fn reader(&self, readings: &[Reading<'_>]) -> Option<Box<dyn Reads<Self>>> {
        Some(Box::new(Values::new(readings)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Float64Array;
    use cepheid_ir::AggregateFunction;

    use super::*;
    use crate::arena::{Arena, States};
    use crate::operators::count::Rows;

    type All = Summary<true, true, true>;

    /// What a state was in snapshots of earlier versions, where COUNT(*) stood by itself.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Earlier {
        sum: (f64, f64, i64),
        mean: f64,
        squares: f64,
        least: f64,
        greatest: f64,
        nans: i64,
    }

    /// Rows of four states: with NULLs, some NaN, NaN alone, and nothing but NULL.
    fn rows() -> (Vec<u32>, ArrayRef) {
        let values = [
            (0, Some(1.5)),
            (0, None),
            (1, Some(f64::NAN)),
            (0, Some(-2.0)),
            (1, Some(4.0)),
            (2, Some(f64::NAN)),
            (3, None),
            (2, Some(f64::NAN)),
            (1, Some(f64::NAN)),
            (0, None),
        ];
        let slots = values.iter().map(|(slot, _)| *slot).collect();
        (slots, Arc::new(values.iter().map(|(_, value)| *value).collect::<Float64Array>()))
    }

    fn filled<M: Monoid>(monoid: M, slots: &[u32], args: &[ArrayRef]) -> Arena<M> {
        let mut arena = Arena::new(monoid);
        arena.grow(4);
        let args = arena.args(args).expect("floats");
        arena.add_all(slots, &*args, 0);
        arena
    }

    fn asked(arena: &Arena<All>) -> Vec<ArrayRef> {
        use AggregateFunction::*;
        let of = |function: &AggregateFunction| Reading {
            function: Some(*function),
            constant: None,
            text: "",
            data_type: if *function == Count {
                &arrow_schema::DataType::Int64
            } else {
                &arrow_schema::DataType::Float64
            },
        };
        let readings: Vec<Reading<'_>> = [Count, Sum, Avg, Min, Max, StddevSamp].iter().map(of).collect();
        arena.finish(0..4, &readings).expect("values")
    }

    #[test]
    fn a_snapshot_has_the_columns_that_it_had_when_rows_were_counted_apart() {
        let (slots, values) = rows();
        let summary = filled(All::new(Some(0)), &slots, &[Arc::clone(&values)]);
        let counts = filled(Rows, &slots, &[]);
        assert_eq!(Some(summary.save_rows()), counts.save(&[]));
        let saved = summary.save(&[]).expect("plain data");
        let earlier: Vec<Earlier> = postcard::from_bytes(&saved).expect("as it was");
        let nans: Vec<i64> = earlier.iter().map(|state| state.nans).collect();
        // None, some (there were two), all, and none of none.
        assert_eq!(nans, [0, 1, 2, 0]);
        let mut loaded = Arena::new(All::new(Some(0)));
        loaded.load(&saved, 4, &[]).expect("what was saved");
        loaded.load_rows(&summary.save_rows()).expect("what was saved");
        let expected = asked(&summary);
        assert_eq!(*expected[0], arrow_array::Int64Array::from(vec![4, 3, 2, 1]));
        // NaN is no NaN's equal: their texts are.
        assert_eq!(format!("{:?}", asked(&loaded)), format!("{expected:?}"));
    }

    #[test]
    fn a_snapshot_that_counts_every_nan_is_read() {
        let (slots, values) = rows();
        let summary = filled(All::new(Some(0)), &slots, &[values]);
        let saved = summary.save(&[]).expect("plain data");
        let mut earlier: Vec<Earlier> = postcard::from_bytes(&saved).expect("as it was");
        earlier[1].nans = 2;
        let mut loaded = Arena::new(All::new(Some(0)));
        loaded.load(&postcard::to_stdvec(&earlier).expect("plain data"), 4, &[]).expect("as it was");
        loaded.load_rows(&summary.save_rows()).expect("as it was");
        assert_eq!(format!("{:?}", asked(&loaded)), format!("{:?}", asked(&summary)));
    }

    #[test]
    fn fewer_rows_than_values_are_refused() {
        let (slots, values) = rows();
        let mut summary = filled(All::new(Some(0)), &slots, &[values]);
        let too_few = postcard::to_stdvec(&vec![1_i64, 3, 2, 1]).expect("plain data");
        assert_eq!(summary.load_rows(&too_few), None);
    }
}
