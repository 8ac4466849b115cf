//! Aggregates whose last row can be taken back: a run backtracks, and its sums with it.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_schema::DataType;
use cepheid_ir::{AggregateFunction, Semantics, TestedRow};
use hashbrown::HashMap;

use crate::arithmetic::INTEGER_OVERFLOW;
use crate::decimal;
use crate::display::expression_text;
use crate::error::{EvalError, Fault};
use crate::typed::TypedExpr;
use crate::types::Class;
use crate::value::{Value, compare_values};

/// An aggregate with typed arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedAggregate {
    /// Which one.
    pub function: AggregateFunction,
    /// Evaluated on each aggregated row. Their leaves are columns and classifiers of that row (the default pointer)
    /// and the match number. Empty only for `COUNT(*)` and `COUNT(v.*)`.
    pub args: Vec<TypedExpr>,
    /// Equal arguments count once.
    pub distinct: bool,
    /// A variable or a subset; `None`: every row of the match.
    pub variable: Option<String>,
    /// Over the rows so far or the whole match.
    pub semantics: Semantics,
    /// Whether the row under test counts.
    pub tested_row: TestedRow,
    /// Type of the result.
    pub data_type: DataType,
}

impl TypedAggregate {
    /// An accumulator of no rows.
    pub fn accumulator(&self) -> Accumulator {
        let class = self.args.first().map_or(Class::Null, |arg| Class::of(arg.data_type()));
        Accumulator {
            function: self.function,
            zero: Sum::zero(class),
            states: Vec::new(),
            seen: self.distinct.then(HashMap::default),
            keys: Vec::new(),
            elements: Vec::new(),
            text: self.text(),
        }
    }

    fn text(&self) -> Arc<str> {
        let args: Vec<String> = self.args.iter().map(|arg| expression_text(arg.source())).collect();
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let variable = self.variable.as_ref().map(|variable| format!("{variable}.")).unwrap_or_default();
        let args = if args.is_empty() { "*".to_owned() } else { args.join(", ") };
        format!("{}({distinct}{variable}{args})", self.function.name().to_uppercase()).into()
    }
}

/// The aggregate of the rows pushed so far.
///
/// - Time: `push` and `pop` O(1) (amortised; for DISTINCT one hash of the argument); `value` O(1), for ARRAY_AGG O(rows).
/// - Space: one state a row. `pop` brings the previous state back rather than subtracting, so floats come out exactly
///   as if the row had never been there.
#[derive(Clone, Debug)]
pub struct Accumulator {
    function: AggregateFunction,
    zero: Sum,
    /// `states[i]`: after row `i`.
    states: Vec<State>,
    /// DISTINCT: how many of the rows pushed hold each argument.
    seen: Option<HashMap<Value, usize, foldhash::fast::FixedState>>,
    /// DISTINCT: the argument of each row; NULL where the row was passed over.
    keys: Vec<Option<Value>>,
    /// ARRAY_AGG: the list.
    elements: Vec<Value>,
    text: Arc<str>,
}

/// After some row.
#[derive(Clone, Debug)]
enum State {
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
enum Sum {
    /// Exact: 2^64 integers of 64 bits fit.
    Integer(i128),
    Float(f64),
    /// `None` past 128 bits.
    Decimal(Option<i128>, i8),
    /// Nanoseconds or other ticks.
    Span(i128, arrow_schema::TimeUnit),
}

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
}

impl Accumulator {
    /// Adds one row: one value for each argument.
    ///
    /// # Errors
    /// None at present; an overflow shows in [`value`](Self::value), as later rows may bring the sum back into range.
    pub fn push(&mut self, args: &[Value]) -> Result<(), EvalError> {
        let first = args.first();
        let counted = match (self.function, first) {
            // NULL is an element of a list, and a row is a row whatever it holds.
            (AggregateFunction::ArrayAgg, _) | (AggregateFunction::Count, None) => true,
            (AggregateFunction::CountIf, Some(value)) => matches!(value, Value::Boolean(true)),
            (AggregateFunction::MinBy | AggregateFunction::MaxBy, _) => {
                args.get(1).is_some_and(|by| !by.is_null())
            }
            (_, first) => first.is_some_and(|value| !value.is_null()),
        };
        let mut fresh = counted;
        if let Some(seen) = &mut self.seen {
            let key = counted.then(|| first.cloned().unwrap_or_default());
            if let Some(key) = &key {
                let times = seen.entry(key.clone()).or_insert(0);
                *times += 1;
                fresh = *times == 1;
            }
            self.keys.push(key);
        }
        let next = if fresh { self.after(args) } else { self.last() };
        self.states.push(next);
        Ok(())
    }

    /// Takes the last row back; nothing if there is none.
    pub fn pop(&mut self) {
        if self.states.pop().is_none() {
            return;
        }
        if let (Some(seen), Some(Some(key))) = (&mut self.seen, self.keys.pop()) {
            match seen.get_mut(&key) {
                Some(times) if *times > 1 => *times -= 1,
                _ => {
                    seen.remove(&key);
                }
            }
        }
        if self.function == AggregateFunction::ArrayAgg {
            let length = if let State::Length(length) = self.last() { length } else { 0 };
            self.elements.truncate(length);
        }
    }

    /// Rows pushed and not taken back, NULL arguments included.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Takes every row back.
    pub fn clear(&mut self) {
        self.states.clear();
        self.keys.clear();
        self.elements.clear();
        if let Some(seen) = &mut self.seen {
            seen.clear();
        }
    }

    fn last(&self) -> State {
        self.states.last().cloned().unwrap_or_else(|| self.initial())
    }

    fn initial(&self) -> State {
        use AggregateFunction::*;
        match self.function {
            Count | CountIf => State::Count(0),
            Sum | Avg => State::Sum(self.zero, 0),
            StddevSamp | StddevPop | VarSamp | VarPop => State::Moments { count: 0, mean: 0.0, squares: 0.0 },
            Min | Max | MinBy | MaxBy => State::Chosen(Value::Null, Value::Null),
            BoolAnd | BoolOr => State::Verdict(None),
            ArrayAgg => State::Length(0),
        }
    }

    /// The state after one more row, which counts.
    fn after(&mut self, args: &[Value]) -> State {
        let x = args.first().unwrap_or(&Value::Null);
        match self.last() {
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
                let wanted = match self.function {
                    AggregateFunction::Min | AggregateFunction::MinBy => Ordering::Less,
                    _ => Ordering::Greater,
                };
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
            State::Length(_) => {
                self.elements.push(x.clone());
                State::Length(self.elements.len())
            }
        }
    }

    /// The aggregate of the rows so far.
    ///
    /// # Errors
    /// [`EvalError::Overflow`] if the sum does not fit its type.
    pub fn value(&self) -> Result<Value, EvalError> {
        let initial;
        let state = match self.states.last() {
            Some(state) => state,
            None => {
                initial = self.initial();
                &initial
            }
        };
        self.result(state).map_err(|fault| fault.within(&self.text))
    }

    fn result(&self, state: &State) -> Result<Value, Fault> {
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
            State::Length(_) => Value::List(self.elements.as_slice().into()),
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

/// The result type of `function` over an argument of `arg`; `None` if it takes no such argument.
pub(crate) fn result_type(function: AggregateFunction, args: &[&DataType]) -> Option<DataType> {
    use AggregateFunction::*;
    let class = args.first().map_or(Class::Null, |arg| Class::of(arg));
    let decoded = || args.first().map(|arg| crate::types::decoded(arg));
    match function {
        Count => Some(DataType::Int64),
        CountIf if matches!(class, Class::Boolean | Class::Null) => Some(DataType::Int64),
        Sum => match class {
            Class::Null | Class::Integer => Some(DataType::Int64),
            Class::Float => Some(DataType::Float64),
            Class::Decimal(scale) => Some(crate::types::decimal_type(scale)),
            Class::Duration(_) => decoded(),
            _ => None,
        },
        Avg => match class {
            Class::Null | Class::Integer | Class::Float => Some(DataType::Float64),
            Class::Decimal(scale) => Some(crate::types::decimal_type(scale)),
            Class::Duration(_) => decoded(),
            _ => None,
        },
        Min | Max if class.orders(class) => decoded(),
        StddevSamp | StddevPop | VarSamp | VarPop if class.is_number() || class == Class::Null => {
            Some(DataType::Float64)
        }
        ArrayAgg => {
            let element = decoded()?;
            Some(DataType::List(Arc::new(arrow_schema::Field::new_list_field(element, true))))
        }
        BoolAnd | BoolOr if matches!(class, Class::Boolean | Class::Null) => Some(DataType::Boolean),
        MinBy | MaxBy => {
            let by = Class::of(args.get(1)?);
            if by.orders(by) { decoded() } else { None }
        }
        _ => None,
    }
}
