//! Several of SUM, AVG, MIN, MAX, VAR and STDDEV of the same floats, and COUNT(*): what each would keep by itself, in one cache line.
//!
//! The sums are those of [`super::sums`], the moments those of [`super::moments`], the extremes those of
//! [`super::extremes`]; only that a row, or a part, is met once for all of them.
//!
//! Order: that of rows. Time: O(1) a row and a join, without a branch. Space: 64 bytes.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_buffer::NullBufferBuilder;
use cepheid_eval::EvalError;
use cepheid_ir::AggregateFunction;
use serde::{Deserialize, Serialize};

use super::moments;
use super::numbers::{Numbers, floats};
use super::sums::FloatSum;
use crate::arena::TOUCHED;
use crate::monoid::{Monoid, Reading};
use crate::told::{READ_TOGETHER, Reads};

/// Whether sums, moments and extremes are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Summary<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool> {
    /// See [`Monoid::rows_column`].
    rows_column: Option<usize>,
}

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct State {
    sum: FloatSum,
    mean: f64,
    squares: f64,
    /// Of those that are numbers; NaN is greater than all of them.
    least: f64,
    greatest: f64,
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
        self.greatest < self.least
    }

    fn rows(&self) -> i64 {
        self.sum.count.wrapping_add((self.others / NULL_ROW) as i64)
    }

    /// Of equal values the first stays, and NaN is none of them.
    #[inline]
    fn take_extremes(&mut self, least: f64, greatest: f64) {
        self.least = if least < self.least { least } else { self.least };
        self.greatest = if greatest > self.greatest { greatest } else { self.greatest };
    }
}

impl<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool> Summary<SUM, MOMENTS, EXTREMES> {
    pub(crate) fn new(rows_column: Option<usize>) -> Self {
        Self { rows_column }
    }

    #[inline]
    fn take(state: &mut State, value: f64) {
        if SUM {
            state.sum.plus(value);
        }
        state.sum.count += 1;
        if MOMENTS {
            let delta = value - state.mean;
            state.mean += delta / state.sum.count as f64;
            state.squares += delta * (value - state.mean);
        }
        if EXTREMES {
            state.take_extremes(value, value);
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
        let State { sum, mean, squares, least, greatest, .. } = *state;
        let nans = match (state.has_nan(), state.has_no_number()) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => sum.count,
        };
        Some(Saved { sum, mean, squares, least, greatest, nans })
    }

    fn load(&self, saved: Saved) -> Option<State> {
        let Saved { sum, mean, squares, least, greatest, nans } = saved;
        Some(State { sum, mean, squares, least, greatest, others: u64::from(nans > 0) })
    }

    fn rows_column(&self) -> Option<usize> {
        self.rows_column
    }

    fn rows(&self, state: &State) -> i64 {
        state.rows()
    }

    fn set_rows(&self, state: &mut State, rows: i64) -> Option<()> {
        let nulls =
            u64::try_from(rows.checked_sub(state.sum.count)?).ok().filter(|nulls| *nulls < NULLS_MAX)?;
        state.others = (state.others & IS_NAN) | (nulls * NULL_ROW);
        Some(())
    }

    fn empty(&self) -> State {
        State {
            sum: FloatSum::default(),
            mean: 0.0,
            squares: 0.0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
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
            let mut own = moments::State::of(earlier.sum.count, earlier.mean, earlier.squares);
            own.join(&moments::State::of(later.sum.count, later.mean, later.squares));
            (earlier.mean, earlier.squares) = own.mean_and_squares();
        }
        earlier.sum.join(&later.sum);
        if EXTREMES {
            earlier.take_extremes(later.least, later.greatest);
        }
        // Wrapping: what is read from a snapshot may say anything.
        let nulls = (earlier.others & !IS_NAN).wrapping_add(later.others & !IS_NAN);
        earlier.others = nulls | ((earlier.others | later.others) & IS_NAN);
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
        let mut values = Box::new(Values::new(readings));
        values.reserve(states.len());
        values.read(states);
        values.finish(readings)
    }

    #[inline]
    fn touch(&self, state: &State) -> i64 {
        state.sum.count
    }

    fn reader(&self, readings: &[Reading<'_>]) -> Option<Box<dyn Reads<State>>> {
        Some(Box::new(Values::new(readings)))
    }
}

/// What has been read of states, question by question.
#[derive(Debug)]
struct Values {
    of: Vec<ValuesOf>,
    at_hand: Box<AtHand>,
}

#[derive(Debug)]
struct ValuesOf {
    function: AggregateFunction,
    /// Of how many values in a state it is known.
    needed: i64,
    values: Vec<f64>,
    nulls: NullBufferBuilder,
    /// Instead of values, where rows are counted.
    rows: Vec<i64>,
}

impl Values {
    fn new(readings: &[Reading<'_>]) -> Self {
        let of = |reading: &Reading<'_>| {
            let function = reading.function.expect("a row's value is kept by itself");
            let needed = moments::values_needed(function);
            ValuesOf { function, needed, values: vec![], nulls: NullBufferBuilder::new(0), rows: vec![] }
        };
        Self { of: readings.iter().map(of).collect(), at_hand: Box::new(AtHand::new()) }
    }
}

impl Reads<State> for Values {
    fn reserve(&mut self, more: usize) {
        for own in &mut self.of {
            match own.function {
                AggregateFunction::Count => own.rows.reserve(more),
                _ => own.values.reserve(more),
            }
        }
    }

    fn read(&mut self, states: &[State]) {
        for some in states.chunks(READ_TOGETHER) {
            let fewest = self.at_hand.take(some);
            for own in &mut self.of {
                if own.function == AggregateFunction::Count {
                    own.rows.extend(some.iter().map(State::rows));
                    continue;
                }
                self.at_hand.read(some.len(), own.function, &mut own.values);
                if fewest >= own.needed {
                    own.nulls.append_n_non_nulls(some.len());
                } else {
                    some.iter().for_each(|state| own.nulls.append(state.sum.count >= own.needed));
                }
            }
        }
    }

    fn finish(self: Box<Self>, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        let of = self.of.into_iter().zip(readings).enumerate();
        let array = |(place, (mut own, reading)): (usize, (ValuesOf, &Reading<'_>))| {
            if own.function == AggregateFunction::Count {
                return Ok(Arc::new(Int64Array::from(own.rows)) as ArrayRef);
            }
            let array: ArrayRef = Arc::new(Float64Array::new(own.values.into(), own.nulls.finish()));
            if array.data_type() == reading.data_type {
                return Ok(array);
            }
            arrow_cast::cast(&array, reading.data_type).map_err(|error| (place, error.into()))
        };
        of.map(array).collect()
    }
}

/// What is known of some states, each apart: roots and quotients of values that stand behind each other are taken several at a
/// time.
#[derive(Debug)]
struct AtHand {
    sums: [f64; READ_TOGETHER],
    counts: [f64; READ_TOGETHER],
    squares: [f64; READ_TOGETHER],
    least: [f64; READ_TOGETHER],
    greatest: [f64; READ_TOGETHER],
}

impl AtHand {
    fn new() -> Self {
        let none = [0.0; READ_TOGETHER];
        Self { sums: none, counts: none, squares: none, least: none, greatest: none }
    }

    /// Gives how many values there are in the state that has the fewest.
    fn take(&mut self, states: &[State]) -> i64 {
        assert!(states.len() <= READ_TOGETHER, "no more than there is room for");
        let mut fewest = i64::MAX;
        for (place, state) in states.iter().enumerate() {
            fewest = fewest.min(state.sum.count);
            self.sums[place] = state.sum.value();
            self.counts[place] = state.sum.count as f64;
            self.squares[place] = state.squares;
            self.least[place] = if state.has_no_number() { f64::NAN } else { state.least };
            self.greatest[place] = if state.has_nan() { f64::NAN } else { state.greatest };
        }
        fewest
    }

    /// What is known of each of so many, whether it is there or not.
    fn read(&self, states: usize, function: AggregateFunction, values: &mut Vec<f64>) {
        use AggregateFunction::*;
        let (sums, counts) = (&self.sums[..states], &self.counts[..states]);
        match function {
            Sum => values.extend_from_slice(sums),
            Avg => values.extend(sums.iter().zip(counts).map(|(sum, count)| sum / count)),
            Min => values.extend_from_slice(&self.least[..states]),
            Max => values.extend_from_slice(&self.greatest[..states]),
            _ => {
                let of = counts.iter().copied().zip(self.squares[..states].iter().copied());
                moments::spreads(function, of, values);
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
