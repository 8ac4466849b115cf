//! What is read of states that know several aggregates: of some at a time, each thing that they know by itself.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_buffer::NullBufferBuilder;
use cepheid_eval::EvalError;
use cepheid_ir::AggregateFunction;
use pulp::Arch;

use super::{IS_NAN, State, Summary, rows_of};
use crate::monoid::Reading;
use crate::operators::moments::{self, Spread};
use crate::operators::sums::with_lost;
use crate::told::{Picked, READ_TOGETHER, Reads, joined};

/// What has been read of states, question by question.
#[derive(Debug)]
pub(super) struct Values {
    of: Vec<ValuesOf>,
    at_hand: Box<AtHand>,
}

#[derive(Debug)]
struct ValuesOf {
    function: AggregateFunction,
    /// Of how many values in a state it is known.
    needed: f64,
    values: Vec<f64>,
    nulls: NullBufferBuilder,
    /// Instead of values, where rows are counted.
    rows: Vec<i64>,
}

impl Values {
    pub(super) fn new(readings: &[Reading<'_>]) -> Self {
        let of = |reading: &Reading<'_>| {
            let function = reading.function.expect("a row's value is kept by itself");
            let needed = moments::values_needed(function) as f64;
            ValuesOf { function, needed, values: vec![], nulls: NullBufferBuilder::new(0), rows: vec![] }
        };
        Self { of: readings.iter().map(of).collect(), at_hand: Box::new(AtHand::new()) }
    }

    pub(super) fn make_room(&mut self, more: usize) {
        let more = more + self.at_hand.states;
        for own in &mut self.of {
            match own.function {
                AggregateFunction::Count => own.rows.reserve(more),
                _ => own.values.reserve(more),
            }
        }
    }

    pub(super) fn read(&mut self, states: &[State]) {
        for some in states.chunks(READ_TOGETHER) {
            self.at_hand.take(some.iter().copied());
            self.read_at_hand();
        }
    }

    /// Reads what is at hand.
    fn read_at_hand(&mut self) {
        let states = self.at_hand.states;
        let fewest = self.at_hand.settle();
        for own in &mut self.of {
            if own.function == AggregateFunction::Count {
                self.at_hand.count(&mut own.rows);
                continue;
            }
            own.values.extend_from_slice(self.at_hand.values(own.function));
            if fewest >= own.needed {
                own.nulls.append_n_non_nulls(states);
            } else {
                self.at_hand.counts[..states].iter().for_each(|count| own.nulls.append(*count >= own.needed));
            }
        }
        self.at_hand.states = 0;
    }

    pub(super) fn into_arrays(
        mut self,
        readings: &[Reading<'_>],
    ) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        self.read_at_hand();
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

impl<const SUM: bool, const MOMENTS: bool, const EXTREMES: bool> Reads<Summary<SUM, MOMENTS, EXTREMES>>
    for Values
{
    fn reserve(&mut self, more: usize) {
        self.make_room(more);
    }

    fn read_joined(
        &mut self,
        summary: &Summary<SUM, MOMENTS, EXTREMES>,
        (earlier, lefts): Picked<'_, State>,
        (later, rights): Picked<'_, State>,
    ) {
        let (mut lefts, mut rights) = (lefts, rights);
        while !lefts.is_empty() {
            let some = lefts.len().min(READ_TOGETHER - self.at_hand.states);
            let (own_lefts, own_rights) = (&lefts[..some], &rights[..some]);
            (lefts, rights) = (&lefts[some..], &rights[some..]);
            let slots = own_lefts.iter().zip(own_rights);
            self.at_hand.take(slots.map(|(left, right)| {
                joined(summary, earlier.get(*left as usize), later.get(*right as usize))
            }));
            if self.at_hand.states == READ_TOGETHER {
                self.read_at_hand();
            }
        }
    }

    fn finish(self: Box<Self>, readings: &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)> {
        self.into_arrays(readings)
    }
}

/// What is known of some states, each apart: roots and quotients of values that stand behind each other are taken several at a
/// time, by loops that are compiled for the vectors of the processor at hand.
#[derive(Debug)]
struct AtHand {
    /// Of how many.
    states: usize,
    sums: [f64; READ_TOGETHER],
    lost: [f64; READ_TOGETHER],
    counts: [f64; READ_TOGETHER],
    squares: [f64; READ_TOGETHER],
    least: [f64; READ_TOGETHER],
    /// The greatest negated, until they are settled.
    greatest: [f64; READ_TOGETHER],
    others: [u64; READ_TOGETHER],
    /// Room for values.
    values: [f64; READ_TOGETHER],
}

impl AtHand {
    fn new() -> Self {
        let none = [0.0; READ_TOGETHER];
        Self {
            states: 0,
            sums: none,
            lost: none,
            counts: none,
            squares: none,
            least: none,
            greatest: none,
            others: [0; READ_TOGETHER],
            values: none,
        }
    }

    /// Takes states, no more than there is room for.
    #[inline]
    fn take(&mut self, states: impl ExactSizeIterator<Item = State>) {
        let own = self.states..self.states + states.len();
        self.states = own.end;
        let (sums, lost) = (&mut self.sums[own.clone()], &mut self.lost[own.clone()]);
        let (counts, squares) = (&mut self.counts[own.clone()], &mut self.squares[own.clone()]);
        let (least, greatest) = (&mut self.least[own.clone()], &mut self.greatest[own.clone()]);
        let others = &mut self.others[own];
        for (place, state) in states.enumerate() {
            sums[place] = state.sum;
            lost[place] = state.lost;
            counts[place] = state.count;
            squares[place] = state.squares;
            least[place] = state.least;
            greatest[place] = state.negated;
            others[place] = state.others;
        }
    }

    /// Makes sums and extremes what is told of. Gives how many values there are in the state that has the fewest.
    fn settle(&mut self) -> f64 {
        let Self { states, sums, lost, counts, least, greatest, others, .. } = self;
        let (sums, lost, counts) = (&mut sums[..*states], &lost[..*states], &counts[..*states]);
        let (least, greatest) = (&mut least[..*states], &mut greatest[..*states]);
        let others = &others[..*states];
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (sum, lost) in sums.iter_mut().zip(lost) {
                    *sum = with_lost(*sum, *lost);
                }
                for ((least, greatest), others) in least.iter_mut().zip(greatest).zip(others) {
                    let of_numbers = -*greatest;
                    *least = if of_numbers < *least { f64::NAN } else { *least };
                    *greatest = if others & IS_NAN == 0 { of_numbers } else { f64::NAN };
                }
                // In the order of their bits: which is least of integers may be asked of several at once.
                let of_bits = counts.iter().map(|count| count.to_bits() as i64);
                f64::from_bits(of_bits.fold(i64::MAX, i64::min) as u64)
            },
        )
    }

    /// Adds how many rows each is of.
    fn count(&self, rows: &mut Vec<i64>) {
        let of = self.counts.iter().zip(&self.others).take(self.states);
        rows.extend(of.map(|(count, others)| rows_of(*count, *others)));
    }

    /// What is known of each, whether it is there or not.
    fn values(&mut self, function: AggregateFunction) -> &[f64] {
        use AggregateFunction::*;
        let Self { states, sums, counts, squares, least, greatest, values, .. } = self;
        let (sums, counts) = (&sums[..*states], &counts[..*states]);
        let (squares, values) = (&squares[..*states], &mut values[..*states]);
        match function {
            Sum => return sums,
            Min => return &least[..*states],
            Max => return &greatest[..*states],
            Avg => Arch::new().dispatch(
                #[inline(always)]
                || {
                    for ((value, sum), count) in values.iter_mut().zip(sums).zip(counts) {
                        *value = sum / count;
                    }
                },
            ),
            _ => {
                let spread = Spread::new(function);
                Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        for ((value, count), squares) in values.iter_mut().zip(counts).zip(squares) {
                            *value = spread.of(*count, *squares);
                        }
                    },
                );
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use cepheid_testkit::SplitMix64;

    use super::*;
    use crate::arena::{Arena, NONE, States};

    type All = Summary<true, true, true>;

    #[test]
    fn what_is_read_as_it_is_joined_is_what_is_joined_and_then_read() {
        use AggregateFunction::*;
        let mut random = SplitMix64::new(5);
        let mut states = || {
            let rows = 300;
            let slots: Vec<u32> = (0..rows).map(|_| random.below(200) as u32).collect();
            let values = (0..rows).map(|_| match random.below(20) {
                0 => None,
                1 => Some(f64::NAN),
                2 => Some(-0.0),
                3 => Some(0.0),
                4 => Some(f64::INFINITY),
                _ => Some(random.below(1_000) as f64 / 7.0 - 60.0),
            });
            let values: ArrayRef = Arc::new(values.collect::<Float64Array>());
            let mut arena = Arena::new(All::new(Some(0)));
            arena.grow(200);
            let args = arena.args(&[values]).expect("floats");
            arena.add_all(&slots, &*args, 0);
            arena
        };
        let (earlier, later) = (states(), states());
        let of = |function: &AggregateFunction| {
            let (integer, float) = (&arrow_schema::DataType::Int64, &arrow_schema::DataType::Float64);
            let data_type = if *function == Count { integer } else { float };
            Reading { function: Some(*function), constant: None, text: "", data_type }
        };
        let readings: Vec<Reading<'_>> =
            [Count, Sum, Avg, Min, Max, StddevSamp, StddevPop, VarSamp, VarPop].iter().map(of).collect();
        let mut windows = 0;
        for told in [vec![], vec![1], vec![3, 255, 2, 700], vec![256, 1, 256], vec![40; 30]] {
            let mut found = earlier.told(&readings);
            let (mut expected, mut all) = (Arena::new(All::new(Some(0))), 0);
            for count in told {
                let mut slots = || -> Vec<u32> {
                    let slot = |_| if random.below(5) == 0 { NONE } else { random.below(200) as u32 };
                    (0..count).map(slot).collect()
                };
                let (lefts, rights) = (slots(), slots());
                found.reserve(count);
                found.add_joined((&earlier, &lefts), (&later, &rights));
                let first = all as u32;
                all += count;
                expected.grow(all);
                for (own, (left, right)) in (first..).zip(lefts.iter().zip(&rights)) {
                    for (from, slot) in [(&earlier, left), (&later, right)] {
                        if *slot != NONE {
                            expected.join(&[own], from, &[*slot]);
                        }
                    }
                }
                windows += count;
            }
            let found = found.finish(&readings).expect("values");
            let expected = expected.finish(0..all, &readings).expect("values");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.nulls(), expected.nulls());
                // To the last bit, but that NaN is NaN.
                assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            }
        }
        assert_eq!(windows, 1 + 960 + 513 + 1_200);
    }
}
