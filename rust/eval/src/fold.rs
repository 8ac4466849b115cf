//! How an aggregate goes from one row to the next: what every kind of accumulator has in common.

use std::cmp::Ordering;
use std::sync::Arc;

use cepheid_ir::AggregateFunction;

use crate::arithmetic::INTEGER_OVERFLOW;
use crate::decimal;
use crate::error::{EvalError, Fault};
use crate::types::Class;
use crate::value::{Value, compare_values};

/// A function of states and rows; it holds no row itself.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    function: AggregateFunction,
    zero: Sum,
    text: Arc<str>,
}

/// What DISTINCT tells rows apart by: their arguments, of which there are at most two.
pub(crate) type DistinctKey = [Value; 2];

/// After some row.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Count(i64),
    Sum(Sum, i64),
    /// Welford's count, mean and sum of squared deviations.
    Moments {
        count: i64,
        mean: f64,
        squares: f64,
    },
    /// MIN, MAX, MIN_BY, MAX_BY: the result, and what it was chosen by.
    Chosen(Value, Value),
    /// BOOL_AND, BOOL_OR: NULL before the first.
    Verdict(Option<bool>),
    /// ARRAY_AGG: how many elements.
    Length(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Sum {
    /// Exact: 2^64 integers of 64 bits fit.
    Integer(i128),
    Float(f64),
    /// `None` past 128 bits.
    Decimal(Option<i128>, i8),
    /// Nanoseconds or other ticks.
    Span(i128, arrow_schema::TimeUnit),
}

/// An [`Accumulator`](crate::Accumulator) keeps one a row: docs/algorithms.md tells users what that costs.
const _: () = assert!(size_of::<State>() <= 96);

impl Sum {
    fn zero(class: Class) -> Self {
        match class {
            Class::Float => Self::Float(0.0),
            Class::Decimal(scale) => Self::Decimal(Some(0), scale),
            Class::Duration(unit) => Self::Span(0, unit),
            _ => Self::Integer(0),
        }
    }

    fn plus(self, value: &Value) -> Self {
        match (self, value) {
            (Self::Float(sum), value) => Self::Float(sum + value.as_float().unwrap_or(f64::NAN)),
            (Self::Integer(sum), value) => {
                Self::Integer(sum + value.as_decimal().map_or(0, |(value, _)| value))
            }
            (Self::Decimal(sum, scale), value) => {
                let addend =
                    value.as_decimal().and_then(|(value, from)| decimal::rescale(value, from, scale).ok());
                Self::Decimal(sum.zip(addend).and_then(|(sum, addend)| sum.checked_add(addend)), scale)
            }
            (Self::Span(sum, unit), Value::Duration { value, .. }) => {
                Self::Span(sum + i128::from(*value), unit)
            }
            (sum, _) => sum,
        }
    }

    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Float(sum), Self::Float(more)) => Self::Float(sum + more),
            (Self::Integer(sum), Self::Integer(more)) => Self::Integer(sum + more),
            (Self::Decimal(sum, scale), Self::Decimal(more, _)) => {
                Self::Decimal(sum.zip(more).and_then(|(sum, more)| sum.checked_add(more)), scale)
            }
            (Self::Span(sum, unit), Self::Span(more, _)) => Self::Span(sum + more, unit),
            (sum, _) => sum,
        }
    }
}

impl Fold {
    /// `class` is that of the first argument, `text` the aggregate in short, for errors.
    pub(crate) fn new(function: AggregateFunction, class: Class, text: Arc<str>) -> Self {
        Self { function, zero: Sum::zero(class), text }
    }

    /// Whether ARRAY_AGG asks for the rows' values to be kept.
    pub(crate) fn keeps_elements(&self) -> bool {
        self.function == AggregateFunction::ArrayAgg
    }

    /// Whether a row of these arguments changes the state.
    pub(crate) fn counts(&self, args: &[Value]) -> bool {
        match (self.function, args.first()) {
            // NULL is an element of a list, and a row is a row whatever it holds.
            (AggregateFunction::ArrayAgg, _) | (AggregateFunction::Count, None) => true,
            (AggregateFunction::CountIf, Some(value)) => matches!(value, Value::Boolean(true)),
            (AggregateFunction::MinBy | AggregateFunction::MaxBy, _) => {
                args.get(1).is_some_and(|by| !by.is_null())
            }
            (_, first) => first.is_some_and(|value| !value.is_null()),
        }
    }

    /// What DISTINCT compares of a row of these arguments.
    pub(crate) fn distinct_key(&self, args: &[Value]) -> DistinctKey {
        [args.first().cloned().unwrap_or_default(), args.get(1).cloned().unwrap_or_default()]
    }

    /// The arguments that a key was made of.
    pub(crate) fn args_of<'a>(&self, key: &'a DistinctKey) -> &'a [Value] {
        let count = match self.function {
            AggregateFunction::MinBy | AggregateFunction::MaxBy => 2,
            _ => 1,
        };
        &key[..count]
    }

    /// The state of no rows.
    pub(crate) fn initial(&self) -> State {
        use AggregateFunction::*;
        match self.function {
            Count | CountIf => State::Count(0),
            Sum | Avg => State::Sum(self.zero, 0),
            StddevSamp | StddevPop | VarSamp | VarPop => State::Moments { count: 0, mean: 0.0, squares: 0.0 },
            Min | Max | MinBy | MaxBy => State::Chosen(Value::Null, Value::Null),
            BoolAnd | BoolOr => State::Verdict(None),
            ArrayAgg => State::Length(0),
            Median | Quantile | TopK | Ewma | ApproxNUnique | ApproxQuantile | ApproxTopK | UserDefined => {
                unreachable!("windows keep these in states of their own")
            }
        }
    }

    /// The state after one more row, which [`counts`](Self::counts).
    pub(crate) fn after(&self, state: State, args: &[Value]) -> State {
        let x = args.first().unwrap_or(&Value::Null);
        match state {
            State::Count(count) => State::Count(count + 1),
            State::Sum(sum, count) => State::Sum(sum.plus(x), count + 1),
            State::Moments { count, mean, squares } => {
                let x = x.as_float().unwrap_or(f64::NAN);
                let count = count + 1;
                let delta = x - mean;
                let mean = mean + delta / count as f64;
                State::Moments { count, mean, squares: squares + delta * (x - mean) }
            }
            State::Chosen(result, by) => {
                let candidate = args.get(1).unwrap_or(x);
                let wanted = self.wanted();
                if by.is_null() || compare_values(candidate, &by) == Some(wanted) {
                    State::Chosen(x.clone(), candidate.clone())
                } else {
                    State::Chosen(result, by)
                }
            }
            State::Verdict(verdict) => {
                let x = matches!(x, Value::Boolean(true));
                State::Verdict(Some(match self.function {
                    AggregateFunction::BoolAnd => verdict.unwrap_or(true) && x,
                    _ => verdict.unwrap_or(false) || x,
                }))
            }
            State::Length(length) => State::Length(length + 1),
        }
    }

    /// The state after the rows of one, and then those of another.
    pub(crate) fn joined(&self, earlier: State, later: &State) -> State {
        match (earlier, later) {
            (State::Count(count), State::Count(more)) => State::Count(count + more),
            (State::Sum(sum, count), State::Sum(more, of)) => State::Sum(sum.joined(*more), count + of),
            (
                State::Moments { count, mean, squares },
                State::Moments { count: of, mean: other, squares: more },
            ) => {
                if *of == 0 {
                    return State::Moments { count, mean, squares };
                }
                // Chan, Golub and LeVeque, *Updating formulae and a pairwise algorithm for computing sample variances*, 1979.
                let (all, delta) = (count + of, other - mean);
                let share = *of as f64 / all as f64;
                let squares = squares + more + delta * delta * count as f64 * share;
                State::Moments { count: all, mean: mean + delta * share, squares }
            }
            (State::Chosen(result, by), State::Chosen(candidate, of)) => {
                let wanted = self.wanted();
                if by.is_null() || compare_values(of, &by) == Some(wanted) {
                    State::Chosen(candidate.clone(), of.clone())
                } else {
                    State::Chosen(result, by)
                }
            }
            (State::Verdict(verdict), State::Verdict(other)) => State::Verdict(match (verdict, other) {
                (None, verdict) => *verdict,
                (verdict, None) => verdict,
                (Some(left), Some(right)) if self.function == AggregateFunction::BoolAnd => {
                    Some(left && *right)
                }
                (Some(left), Some(right)) => Some(left || *right),
            }),
            (State::Length(length), State::Length(more)) => State::Length(length + more),
            (state, _) => unreachable!("states of one aggregate, and {state:?} is of another"),
        }
    }

    /// How what is chosen compares with what was chosen before.
    fn wanted(&self) -> Ordering {
        match self.function {
            AggregateFunction::Min | AggregateFunction::MinBy => Ordering::Less,
            _ => Ordering::Greater,
        }
    }

    /// The aggregate in this state; `elements` are those of ARRAY_AGG.
    pub(crate) fn value(
        &self,
        state: &State,
        elements: impl FnOnce() -> Arc<[Value]>,
    ) -> Result<Value, EvalError> {
        self.result(state, elements).map_err(|fault| fault.within(&self.text))
    }

    fn result(&self, state: &State, elements: impl FnOnce() -> Arc<[Value]>) -> Result<Value, Fault> {
        Ok(match state {
            State::Count(count) => Value::Integer(*count),
            State::Sum(_, 0) => Value::Null,
            State::Sum(sum, count) if self.function == AggregateFunction::Avg => average(*sum, *count)?,
            State::Sum(sum, _) => match sum {
                Sum::Integer(sum) => Value::Integer(i64::try_from(*sum).map_err(|_| INTEGER_OVERFLOW)?),
                Sum::Float(sum) => Value::Float(*sum),
                Sum::Decimal(sum, scale) => {
                    let unscaled = decimal::within_digits(sum.ok_or(decimal::OVERFLOW)?)?;
                    Value::Decimal { unscaled, scale: *scale }
                }
                Sum::Span(sum, unit) => Value::Duration {
                    value: i64::try_from(*sum).map_err(|_| Fault::Overflow("INTERVAL"))?,
                    unit: *unit,
                },
            },
            State::Moments { count, squares, .. } => {
                use AggregateFunction::*;
                let sample = matches!(self.function, StddevSamp | VarSamp);
                let freedom = if sample { count - 1 } else { *count };
                if freedom < 1 {
                    return Ok(Value::Null);
                }
                let variance = squares / freedom as f64;
                let root = matches!(self.function, StddevSamp | StddevPop);
                Value::Float(if root { variance.sqrt() } else { variance })
            }
            State::Chosen(result, _) => result.clone(),
            State::Verdict(verdict) => verdict.map_or(Value::Null, Value::Boolean),
            State::Length(0) => Value::Null,
            State::Length(_) => Value::List(elements()),
        })
    }
}

fn average(sum: Sum, count: i64) -> Result<Value, Fault> {
    let rounded = |sum: i128| decimal::divide_rounded(sum, i128::from(count));
    Ok(match sum {
        Sum::Integer(sum) => Value::Float(sum as f64 / count as f64),
        Sum::Float(sum) => Value::Float(sum / count as f64),
        Sum::Decimal(sum, scale) => Value::Decimal {
            unscaled: decimal::within_digits(rounded(sum.ok_or(decimal::OVERFLOW)?))?,
            scale,
        },
        Sum::Span(sum, unit) => Value::Duration {
            value: i64::try_from(rounded(sum)).map_err(|_| Fault::Overflow("INTERVAL"))?,
            unit,
        },
    })
}
