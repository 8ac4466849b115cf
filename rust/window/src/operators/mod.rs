//! The aggregates, one a file, and which of them an aggregate function is.
//!
//! | file | functions | of |
//! |---|---|---|
//! | [`count`] | COUNT, COUNT_IF | anything |
//! | [`sums`] | SUM, AVG | integers; floats |
//! | [`moments`] | VAR, STDDEV | numbers |
//! | [`extremes`] | MIN, MAX | integers, times; floats |
//! | [`quantiles`] | MEDIAN, QUANTILE | numbers |
//! | [`frequent`] | TOP_K | anything |
//! | [`weighted`], [`decayed`] | EWMA by a share, by half-life | numbers |
//! | [`distinct_sketch`] | APPROX_N_UNIQUE | what has an order |
//! | [`quantile_sketch`] | APPROX_QUANTILE | numbers |
//! | [`frequent_sketch`] | APPROX_TOP_K | anything |
//! | [`user_defined`] | those of the user | anything |
//! | [`ends`] | the first and the last row | anything |
//! | [`summary`] | several of the three above, of the same | floats |
//! | [`folded`] | every other, and DISTINCT | anything |

mod count;
mod counts;
mod decayed;
mod distinct_sketch;
mod ends;
mod extremes;
mod folded;
pub(crate) mod frequent;
mod frequent_sketch;
mod moments;
mod numbers;
mod quantile_sketch;
pub(crate) mod quantiles;
mod summary;
mod sums;
mod user_defined;
mod weighted;

use arrow_schema::DataType;
use cepheid_eval::TypedAggregate;
use cepheid_ir::{AggregateFunction, QUANTILE_ERROR, TOP_K_ERROR};

use crate::arena::{Arena, States};
use crate::monoid::Monoid;
use crate::slider::{Slider, Slides};

pub(crate) use numbers::greatest;
pub(crate) use user_defined::UserDefined;

/// Which aggregate is kept. Functions of one kind share states.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Rows,
    Present,
    True,
    IntegerSum,
    FloatSum,
    Moments,
    /// Sums, moments and extremes of floats, those that are asked for, together.
    Summary(Parts),
    Least(Order),
    Greatest(Order),
    /// All values, for quantiles.
    Numbers,
    /// How often values come.
    Frequent,
    /// The mean weighted by a share of each new value.
    Weighted(f64),
    /// The mean weighted by age, given the time in which a weight halves.
    Decayed(f64),
    /// About how many values are distinct.
    DistinctSketch,
    /// Buckets of numbers, whose width is their relative error.
    QuantileSketch(f64),
    /// Counters of values, whose number is their error.
    FrequentSketch(f64),
    First,
    Last,
    /// What somebody else knows how to join.
    UserDefined(UserDefined),
    Folded(TypedAggregate),
}

/// Whether sums, moments and extremes are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    sum: bool,
    moments: bool,
    extremes: bool,
    /// Where COUNT(*) is among the columns of a snapshot, if that is asked for, too.
    rows: Option<usize>,
}

/// What extremes are compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Integers,
    Floats,
}

/// Calls a function with the monoid of a kind.
macro_rules! with_monoid {
    ($kind:expr, $make:ident) => {
        match $kind {
            Kind::Rows => $make(count::Rows),
            Kind::Present => $make(count::Present),
            Kind::True => $make(count::True),
            Kind::IntegerSum => $make(sums::Integers),
            Kind::FloatSum => $make(sums::Floats),
            Kind::Moments => $make(moments::Moments),
            Kind::Summary(Parts { sum, moments, extremes, rows }) => match (sum, moments, extremes) {
                (true, true, true) => $make(summary::Summary::<true, true, true>::new(*rows)),
                (true, true, false) => $make(summary::Summary::<true, true, false>::new(*rows)),
                (true, false, _) => $make(summary::Summary::<true, false, true>::new(*rows)),
                (false, true, _) => $make(summary::Summary::<false, true, true>::new(*rows)),
                (false, false, _) => $make(summary::Summary::<false, false, true>::new(*rows)),
            },
            Kind::Least(Order::Integers) => $make(extremes::Integers::<true>),
            Kind::Least(Order::Floats) => $make(extremes::Floats::<true>),
            Kind::Greatest(Order::Integers) => $make(extremes::Integers::<false>),
            Kind::Greatest(Order::Floats) => $make(extremes::Floats::<false>),
            Kind::Numbers => $make(quantiles::Numbers),
            Kind::Frequent => $make(frequent::Frequent),
            Kind::Weighted(share) => $make(weighted::Weighted::new(*share)),
            Kind::Decayed(half_life) => $make(decayed::Decayed::new(*half_life)),
            Kind::FrequentSketch(error) => $make(frequent_sketch::Counters::new(*error)),
            Kind::DistinctSketch => $make(distinct_sketch::Distinct),
            Kind::QuantileSketch(error) => $make(quantile_sketch::Buckets::new(*error)),
            Kind::First => $make(ends::First),
            Kind::Last => $make(ends::Last),
            Kind::UserDefined(aggregate) => $make(aggregate.clone()),
            Kind::Folded(aggregate) => $make(folded::Folded::new(aggregate)),
        }
    };
}

impl Kind {
    /// What is kept for an aggregate; `constants`: what it is given beside columns.
    pub(crate) fn of(aggregate: &TypedAggregate, constants: &[f64]) -> Self {
        use AggregateFunction::*;
        let folded = || Self::Folded(aggregate.clone());
        let Some(arg) = aggregate.args.first() else { return Self::Rows };
        if aggregate.distinct && !matches!(aggregate.function, Min | Max) {
            return folded();
        }
        let data_type = arg.data_type();
        let floats = matches!(data_type, DataType::Float32 | DataType::Float64);
        let integers = data_type.is_integer() && *data_type != DataType::UInt64;
        let order = if floats {
            Some(Order::Floats)
        } else if integers || matches!(data_type, DataType::Timestamp(..) | DataType::Duration(_)) {
            Some(Order::Integers)
        } else {
            None
        };
        match (aggregate.function, order) {
            (Count, _) => Self::Present,
            (CountIf, _) if *data_type == DataType::Boolean => Self::True,
            (Sum | Avg, _) if floats => Self::FloatSum,
            (Sum | Avg, _) if integers => Self::IntegerSum,
            (StddevSamp | StddevPop | VarSamp | VarPop, _) if floats || integers => Self::Moments,
            (Min, Some(order)) => Self::Least(order),
            (Max, Some(order)) => Self::Greatest(order),
            (Median | Quantile, _) => Self::Numbers,
            (TopK, _) => Self::Frequent,
            (Ewma, _) => match aggregate.args[1].source().as_half_life() {
                Some(nanoseconds) => Self::Decayed(nanoseconds as f64),
                None => Self::Weighted(constants[0]),
            },
            (ApproxTopK, _) => Self::FrequentSketch(constants.get(1).copied().unwrap_or(TOP_K_ERROR)),
            (ApproxNUnique, _) => Self::DistinctSketch,
            (ApproxQuantile, _) => Self::QuantileSketch(constants.get(1).copied().unwrap_or(QUANTILE_ERROR)),
            _ => folded(),
        }
    }

    /// The two kept together, if that is cheaper and both are of the same argument, a float. A summary has the values of both.
    pub(crate) fn together(&self, other: &Self, floats: bool) -> Option<Self> {
        let (own, more) = (self.parts(floats)?, other.parts(floats)?);
        Some(Self::Summary(Parts {
            sum: own.sum || more.sum,
            moments: own.moments || more.moments,
            extremes: own.extremes || more.extremes,
            rows: None,
        }))
    }

    /// The same and COUNT(*), which would be column `rows` by itself, if that is cheaper: a summary knows how many values it is of, and
    /// NULLs are few.
    pub(crate) fn with_rows(&self, rows: usize) -> Option<Self> {
        match self {
            Self::Summary(parts) => Some(Self::Summary(Parts { rows: Some(rows), ..*parts })),
            _ => None,
        }
    }

    fn parts(&self, floats: bool) -> Option<Parts> {
        let none = Parts::default();
        match self {
            Self::FloatSum => Some(Parts { sum: true, ..none }),
            Self::Moments if floats => Some(Parts { moments: true, ..none }),
            Self::Least(Order::Floats) | Self::Greatest(Order::Floats) => {
                Some(Parts { extremes: true, ..none })
            }
            Self::Summary(parts) => Some(*parts),
            _ => None,
        }
    }

    /// Whether what is kept can always be told: sums of integers apart.
    pub(crate) fn never_fails(&self) -> bool {
        use AggregateFunction::*;
        match self {
            // Sums of decimals and of durations may grow past what holds them.
            Self::Folded(aggregate) => !matches!(aggregate.function, Sum | Avg),
            Self::UserDefined(_) => false,
            _ => true,
        }
    }

    /// States of it, none yet.
    pub(crate) fn states(&self) -> Box<dyn States> {
        fn arena<M: Monoid>(monoid: M) -> Box<dyn States> {
            Box::new(Arena::new(monoid))
        }
        with_monoid!(self, arena)
    }

    /// The same for windows that slide over the rows of keys.
    pub(crate) fn sliders(&self) -> Box<dyn Slides> {
        fn slider<M: Monoid>(monoid: M) -> Box<dyn Slides> {
            Box::new(Slider::new(monoid))
        }
        match self {
            // Each row would have counters of its own: values that rows share cost less.
            Self::FrequentSketch(_) => slider(frequent::Frequent),
            _ => with_monoid!(self, slider),
        }
    }
}
