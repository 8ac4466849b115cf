//! What is kept of runs: how many there are, what they sum to, their least or greatest value.

use super::number::{Exact, Number, Wide};
use crate::automaton::VariableId;

/// Runs side by side are added, a run and what it goes on as are multiplied, a row that a run takes weighs it.
pub trait Semiring: Sync {
    /// What is kept of some runs.
    type Element: Clone + std::fmt::Debug + Send;

    /// No run.
    fn zero(&self) -> Self::Element;
    /// One run without rows.
    fn one(&self) -> Self::Element;
    /// Whether it is of no run.
    fn is_zero(&self, element: &Self::Element) -> bool;
    /// Both sets of runs.
    fn add(&self, element: &mut Self::Element, other: &Self::Element);
    /// Each of the first runs going on as each of the second.
    fn times(&self, element: &Self::Element, other: &Self::Element) -> Self::Element;
    /// Whether rows of a variable weigh.
    fn weighs(&self, variable: VariableId) -> bool;
    /// The runs, each with one more row that weighs: the `rank`-th of the rows that do.
    fn weigh(&self, element: &mut Self::Element, rank: u32);
    /// Whether nothing that is added to it can be told any more. Only where no row weighs: the rest of a partition is
    /// then not looked at, nor its ranks counted.
    fn is_lost(&self, element: &Self::Element) -> bool;
    /// Whether it is the same in whatever order all of it is added and multiplied, be something lost on the way or not.
    fn takes_any_order(&self) -> bool;
}

/// How many runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting<N>(std::marker::PhantomData<N>);

impl<N> Counting<N> {
    /// Counts in numbers of one kind.
    pub fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<N: Number> Semiring for Counting<N> {
    type Element = N;

    fn zero(&self) -> N {
        N::zero()
    }

    fn one(&self) -> N {
        N::one()
    }

    #[inline]
    fn is_zero(&self, element: &N) -> bool {
        element.is_zero()
    }

    #[inline]
    fn add(&self, element: &mut N, other: &N) {
        element.add(other);
    }

    #[inline]
    fn times(&self, element: &N, other: &N) -> N {
        element.times(other)
    }

    #[inline]
    fn weighs(&self, _: VariableId) -> bool {
        false
    }

    fn weigh(&self, _: &mut N, _: u32) {}

    fn is_lost(&self, element: &N) -> bool {
        element.is_lost()
    }

    fn takes_any_order(&self) -> bool {
        N::one().takes_any_order()
    }
}

/// How many runs, how many values they have among them, and the sum of these.
#[derive(Clone, Debug)]
pub struct Total<N> {
    /// Runs.
    pub runs: N,
    /// Values that are not NULL, over all runs.
    pub values: N,
    /// Their sum.
    pub sum: N,
}

/// See [`Total`]. Integers and decimals sum as [`Exact`], floats and what is beyond that as [`Wide`].
#[derive(Clone, Debug)]
pub struct Totals<N> {
    /// `members[v]`: whether rows of variable `v` have a value.
    pub members: Vec<bool>,
    /// `values[r]`: the value of the r-th of their rows; `None`: NULL. Empty: each row counts as one.
    pub values: Vec<Option<N>>,
}

impl<N: Number> Semiring for Totals<N> {
    type Element = Total<N>;

    fn zero(&self) -> Total<N> {
        Total { runs: N::zero(), values: N::zero(), sum: N::zero() }
    }

    fn one(&self) -> Total<N> {
        Total { runs: N::one(), values: N::zero(), sum: N::zero() }
    }

    #[inline]
    fn is_zero(&self, element: &Total<N>) -> bool {
        element.runs.is_zero()
    }

    #[inline]
    fn add(&self, element: &mut Total<N>, other: &Total<N>) {
        element.runs.add(&other.runs);
        element.values.add(&other.values);
        element.sum.add(&other.sum);
    }

    #[inline]
    fn times(&self, element: &Total<N>, other: &Total<N>) -> Total<N> {
        let both = |left: &N, right: &N| {
            let mut sum = element.runs.times(right);
            sum.add(&left.times(&other.runs));
            sum
        };
        Total {
            runs: element.runs.times(&other.runs),
            values: both(&element.values, &other.values),
            sum: both(&element.sum, &other.sum),
        }
    }

    #[inline]
    fn weighs(&self, variable: VariableId) -> bool {
        self.members[variable as usize]
    }

    #[inline]
    fn weigh(&self, element: &mut Total<N>, rank: u32) {
        if self.values.is_empty() {
            element.values.add(&element.runs.clone());
        } else if let Some(value) = &self.values[rank as usize] {
            element.values.add(&element.runs.clone());
            element.sum.add(&element.runs.times(value));
        }
    }

    fn is_lost(&self, _: &Total<N>) -> bool {
        // A sum may be small however many runs it is of.
        false
    }

    fn takes_any_order(&self) -> bool {
        N::one().takes_any_order() && self.values.iter().flatten().all(N::takes_any_order)
    }
}

impl Totals<Exact> {
    /// The same in numbers that do not end.
    pub fn widened(&self) -> Totals<Wide> {
        let wide = |value: &Exact| Wide::new(value.get().expect("values have up to 127 bits") as f64);
        Totals {
            members: self.members.clone(),
            values: self.values.iter().map(|value| value.as_ref().map(wide)).collect(),
        }
    }
}

/// Whether there are runs, and their least value (or greatest: the least of the negated ranks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extreme {
    /// Whether there are runs.
    pub runs: bool,
    /// The place of the extreme value in the order of values; `None`: no run has a value.
    pub value: Option<i128>,
}

/// See [`Extreme`].
#[derive(Clone, Debug)]
pub struct Extremes {
    /// `members[v]`: whether rows of variable `v` have a value.
    pub members: Vec<bool>,
    /// `places[r]`: the place, in the order of values, of the value of the r-th of their rows; `None`: NULL.
    pub places: Vec<Option<i128>>,
    /// The greatest place rather than the least.
    pub greatest: bool,
}

impl Extremes {
    #[inline]
    fn better(&self, left: Option<i128>, right: Option<i128>) -> Option<i128> {
        match (left, right) {
            (Some(left), Some(right)) => Some(if self.greatest { left.max(right) } else { left.min(right) }),
            (value, None) | (None, value) => value,
        }
    }
}

impl Semiring for Extremes {
    type Element = Extreme;

    fn zero(&self) -> Extreme {
        Extreme { runs: false, value: None }
    }

    fn one(&self) -> Extreme {
        Extreme { runs: true, value: None }
    }

    #[inline]
    fn is_zero(&self, element: &Extreme) -> bool {
        !element.runs
    }

    #[inline]
    fn add(&self, element: &mut Extreme, other: &Extreme) {
        element.runs |= other.runs;
        element.value = self.better(element.value, other.value);
    }

    #[inline]
    fn times(&self, element: &Extreme, other: &Extreme) -> Extreme {
        if element.runs && other.runs {
            Extreme { runs: true, value: self.better(element.value, other.value) }
        } else {
            self.zero()
        }
    }

    #[inline]
    fn weighs(&self, variable: VariableId) -> bool {
        self.members[variable as usize]
    }

    #[inline]
    fn weigh(&self, element: &mut Extreme, rank: u32) {
        if element.runs {
            element.value = self.better(element.value, self.places[rank as usize]);
        }
    }

    fn is_lost(&self, _: &Extreme) -> bool {
        false
    }

    fn takes_any_order(&self) -> bool {
        true
    }
}
