//! What an expression says of one event.
//!
//! One rule holds for all errors: an operator or function any of whose operands failed gives the zero value of its own
//! type, and passes the errors on. So a missing attribute makes `x != 'a'` false and not true, and `1 / x` is no division
//! by 0; and what an evaluation gives with an error is what the published cases say.

use crate::ast::{ArithmeticOp, Call, Comparison, Expr, Expression, Literal, Logic, LogicOp};
use crate::function::Mishap;
use crate::value::{Kind, Value};

/// What kind of error an evaluation met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvaluationErrorKind {
    /// An attribute that the event does not have.
    MissingAttribute,
    /// A value that the wanted type has not.
    Cast,
    /// A division by 0, or more than an Integer holds.
    Math,
    /// A function that does not exist, or not with so many arguments.
    MissingFunction,
    /// A function that cannot do what it is asked for.
    FunctionEvaluation,
    /// An attribute whose value is of no type that the language knows.
    Generic,
}

impl EvaluationErrorKind {
    /// A stable name, the same in every version.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingAttribute => "missing-attribute",
            Self::Cast => "cast",
            Self::Math => "math",
            Self::MissingFunction => "missing-function",
            Self::FunctionEvaluation => "function-evaluation",
            Self::Generic => "generic",
        }
    }
}

/// An error that an evaluation met and went on from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluationError {
    /// What kind it is of.
    pub kind: EvaluationErrorKind,
    /// What is wrong, and with which values.
    pub message: String,
}

/// What an expression says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation<'a> {
    /// The value; with an error, the zero value of its type or what the function at fault gives.
    pub value: Value<'a>,
    /// The errors in order of appearance; empty: the value holds.
    pub errors: Vec<EvaluationError>,
}

/// What an attribute is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// The event does not have it.
    Missing,
    /// It has this value.
    Value(Value<'a>),
    /// It has one that is of no type of the language: what it is, as in "a list".
    Unsupported(&'a str),
}

/// The attributes of an event.
pub trait Attributes {
    /// What the attribute at a place among [`Expression::attributes`] is.
    fn read(&self, place: usize) -> Reading<'_>;
}

impl Expression {
    /// What the expression says of an event.
    pub fn evaluate<'a>(&'a self, event: &'a impl Attributes) -> Evaluation<'a> {
        let mut scope = Scope { names: &self.attributes, event, errors: vec![] };
        let value = match scope.value(&self.root) {
            Ok(value) | Err(value) => value,
        };
        Evaluation { value, errors: scope.errors }
    }
}

/// Where errors go: a filter only has to know that there was one.
pub(crate) trait Errors {
    fn note(&mut self, kind: EvaluationErrorKind, message: impl FnOnce() -> String);
}

impl Errors for Vec<EvaluationError> {
    fn note(&mut self, kind: EvaluationErrorKind, message: impl FnOnce() -> String) {
        self.push(EvaluationError { kind, message: message() });
    }
}

impl Errors for () {
    fn note(&mut self, _: EvaluationErrorKind, _: impl FnOnce() -> String) {}
}

/// A value; as `Err` one that came with an error, which has been noted.
pub(crate) type Outcome<'a> = Result<Value<'a>, Value<'a>>;

pub(crate) struct Scope<'a, A, E> {
    pub(crate) names: &'a [String],
    pub(crate) event: &'a A,
    pub(crate) errors: E,
}

const FAILED: Outcome<'static> = Err(Value::Boolean(false));

impl<'a, A: Attributes, E: Errors> Scope<'a, A, E> {
    pub(crate) fn value(&mut self, expr: &'a Expr) -> Outcome<'a> {
        match expr {
            Expr::Literal(literal) => Ok(literal.value()),
            Expr::Attribute(place) => self.attribute(*place),
            Expr::Exists(place) => Ok(Value::Boolean(
                is_required(&self.names[*place]) || self.event.read(*place) != Reading::Missing,
            )),
            Expr::Not(operand) => Ok(Value::Boolean(!self.boolean(operand).ok_or(Value::Boolean(false))?)),
            Expr::Negate(operand) => {
                let number = self.integer(operand).ok_or(Value::Integer(0))?;
                number.checked_neg().map(Value::Integer).ok_or_else(|| {
                    self.errors.note(EvaluationErrorKind::Math, || format!("-({number}) {BEYOND}"));
                    Value::Integer(0)
                })
            }
            Expr::Logic(logic) => self.logic(logic),
            Expr::Compare(op, operands) => self.compare(*op, operands),
            Expr::Arithmetic(op, operands) => self.arithmetic(*op, operands),
            Expr::Like { negated, value, pattern } => {
                let Ok(value) = self.value(value) else { return FAILED };
                Ok(Value::Boolean(pattern.fits(&value.into_text()) != *negated))
            }
            Expr::In { negated, value, set } => self.is_in(*negated, value, set),
            Expr::Call(call) => self.call(call),
        }
    }

    fn attribute(&mut self, place: usize) -> Outcome<'a> {
        let name = &self.names[place];
        match self.event.read(place) {
            Reading::Value(value) => Ok(value),
            // There is one version of events, and tables have no column for it.
            Reading::Missing if name == "specversion" => Ok(Value::String("1.0".into())),
            Reading::Missing => {
                self.errors.note(EvaluationErrorKind::MissingAttribute, || {
                    format!("the event has no attribute `{name}`")
                });
                FAILED
            }
            Reading::Unsupported(what) => {
                self.errors.note(EvaluationErrorKind::Generic, || {
                    format!("the attribute `{name}` is {what}, which is neither String, Integer nor Boolean")
                });
                FAILED
            }
        }
    }

    fn cast(&mut self, value: Value<'a>, to: Kind) -> Option<Value<'a>> {
        if value.kind() == to {
            return Some(value);
        }
        // What cannot be cast is text: it is copied for the message alone.
        let shown = value.clone();
        let cast = value.cast(to);
        if cast.is_none() {
            self.errors.note(EvaluationErrorKind::Cast, || format!("{shown} is no {to}"));
        }
        cast
    }

    /// An operand as a truth; none if it failed.
    fn boolean(&mut self, operand: &'a Expr) -> Option<bool> {
        let value = self.value(operand).ok()?;
        self.cast(value, Kind::Boolean)?.to_boolean()
    }

    fn integer(&mut self, operand: &'a Expr) -> Option<i32> {
        let value = self.value(operand).ok()?;
        self.cast(value, Kind::Integer)?.to_integer()
    }

    /// A failed left side is false: AND asks no further, OR and XOR look for more errors.
    fn logic(&mut self, logic: &'a Logic) -> Outcome<'a> {
        let mut left = self.boolean(&logic.first);
        for (op, operand) in &logic.rest {
            let known = left.unwrap_or(false);
            left = match op {
                LogicOp::And if !known => left,
                LogicOp::Or if known => left,
                LogicOp::And | LogicOp::Or => self.boolean(operand).and_then(|right| left.and(Some(right))),
                LogicOp::Xor => self.boolean(operand).and_then(|right| left.map(|left| left ^ right)),
            };
        }
        left.map(Value::Boolean).ok_or(Value::Boolean(false))
    }

    fn compare(&mut self, op: Comparison, [left, right]: &'a [Expr; 2]) -> Outcome<'a> {
        if matches!(op, Comparison::Equal | Comparison::NotEqual) {
            let (Ok(left), Ok(right)) = (self.value(left), self.value(right)) else { return FAILED };
            // The right side's type says which of the three operators it is.
            let Some(left) = self.cast(left, right.kind()) else { return FAILED };
            return Ok(Value::Boolean((left == right) == (op == Comparison::Equal)));
        }
        let (Some(left), Some(right)) = (self.integer(left), self.integer(right)) else { return FAILED };
        Ok(Value::Boolean(match op {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
        }))
    }

    fn arithmetic(&mut self, op: ArithmeticOp, [left, right]: &'a [Expr; 2]) -> Outcome<'a> {
        let (Some(left), Some(right)) = (self.integer(left), self.integer(right)) else {
            return Err(Value::Integer(0));
        };
        let found = match op {
            ArithmeticOp::Multiply => left.checked_mul(right),
            ArithmeticOp::Add => left.checked_add(right),
            ArithmeticOp::Subtract => left.checked_sub(right),
            ArithmeticOp::Divide => left.checked_div(right),
            // Of the least Integer and -1 too, although its quotient is beyond the Integers.
            ArithmeticOp::Remainder => (right != 0).then(|| left.wrapping_rem(right)),
        };
        found.map(Value::Integer).ok_or_else(|| {
            let divides = matches!(op, ArithmeticOp::Divide | ArithmeticOp::Remainder);
            let why = if divides && right == 0 { "is a division by 0" } else { BEYOND };
            let sign = op.sign();
            self.errors.note(EvaluationErrorKind::Math, || format!("{left} {sign} {right} {why}"));
            Value::Integer(0)
        })
    }

    /// Elements are asked from left to right, up to the first that is equal; the value's type is that of comparison.
    fn is_in(&mut self, negated: bool, value: &'a Expr, set: &'a [Expr]) -> Outcome<'a> {
        let Ok(value) = self.value(value) else { return FAILED };
        for element in set {
            let Ok(element) = self.value(element) else { return FAILED };
            let Some(element) = self.cast(element, value.kind()) else { return FAILED };
            if element == value {
                return Ok(Value::Boolean(!negated));
            }
        }
        Ok(Value::Boolean(negated))
    }

    fn call(&mut self, call: &'a Call) -> Outcome<'a> {
        let Some(function) = call.function else {
            self.errors.note(EvaluationErrorKind::MissingFunction, || {
                let number = call.arguments.len();
                let plural = if number == 1 { "" } else { "s" };
                format!("there is no function {} with {number} argument{plural}", call.name)
            });
            return FAILED;
        };
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for (place, argument) in call.arguments.iter().enumerate() {
            let value = self.value(argument).ok();
            arguments.push(value.and_then(|value| match function.parameter(place) {
                Some(kind) => self.cast(value, kind),
                None => Some(value),
            }));
        }
        let arguments: Option<Vec<_>> = arguments.into_iter().collect();
        let arguments = arguments.ok_or_else(|| Value::zero(function.kind()))?;
        function.call(arguments).map_err(|Mishap { value, kind, message }| {
            self.errors.note(kind, || message);
            value
        })
    }
}

const BEYOND: &str = "is beyond the integers of 32 bits";

impl Literal {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::String(text) => Value::String(text.into()),
            Self::Integer(number) => Value::Integer(*number),
            Self::Boolean(truth) => Value::Boolean(*truth),
        }
    }
}

/// Whether every event has an attribute.
pub(crate) fn is_required(name: &str) -> bool {
    matches!(name, "id" | "source" | "specversion" | "type")
}
