//! Aggregates that only windows know, and the constants that they are given.

use crate::error::PatternError;
use crate::expr::{Aggregate, Expr};
use crate::function::AggregateFunction;
use crate::literal::{Float, Interval, Literal};
use crate::pattern::Pattern;

/// Most values that `top_k` gives.
pub const TOP_K_MAX: u64 = 10_000;
/// Least relative error that `approx_quantile` takes.
pub const QUANTILE_ERROR_MIN: f64 = 0.0001;
/// Greatest relative error that `approx_quantile` takes.
pub const QUANTILE_ERROR_MAX: f64 = 0.5;
/// The relative error of `approx_quantile` that does not say one.
pub const QUANTILE_ERROR: f64 = 0.01;
/// Least error that `approx_top_k` takes, a share of the rows.
const TOP_K_ERROR_MIN: f64 = 0.0001;
/// Greatest error that `approx_top_k` takes.
const TOP_K_ERROR_MAX: f64 = 0.1;
/// The error of `approx_top_k` that does not say one.
pub const TOP_K_ERROR: f64 = 0.001;

impl AggregateFunction {
    /// Whether it is known of windows and not of matches.
    pub fn is_of_windows(self) -> bool {
        use AggregateFunction::*;
        matches!(self, Median | Quantile | TopK | Ewma | UserDefined) || self.is_approximate()
    }

    /// Whether it is off by as much as its contract says.
    pub fn is_approximate(self) -> bool {
        matches!(self, Self::ApproxNUnique | Self::ApproxQuantile | Self::ApproxTopK)
    }

    /// Whether its arguments behind the first are constants.
    pub fn takes_constants(self) -> bool {
        use AggregateFunction::*;
        matches!(self, Quantile | TopK | Ewma | ApproxQuantile | ApproxTopK)
    }

    /// How many of so many arguments are of rows; those behind them are constants.
    pub fn args_of_rows(self, args: usize) -> usize {
        match self {
            Self::UserDefined => args.saturating_sub(2),
            _ if self.takes_constants() => 1,
            _ => args,
        }
    }
}

impl Expr {
    /// The number, if it is a constant one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Literal(Literal::Integer(value)) => Some(*value as f64),
            Self::Literal(Literal::Float(Float(value))) => Some(*value),
            Self::Literal(Literal::Decimal { unscaled, scale }) => {
                Some(*unscaled as f64 / 10_f64.powi(i32::from(*scale)))
            }
            _ => None,
        }
    }

    /// The nanoseconds of a span that is longer than zero, if it is a constant one: a half-life.
    pub fn as_half_life(&self) -> Option<i64> {
        match self {
            Self::Literal(Literal::Interval(Interval { months: 0, nanoseconds })) => {
                Some(*nanoseconds).filter(|nanoseconds| *nanoseconds > 0)
            }
            _ => None,
        }
    }
}

impl Aggregate {
    /// Leaves a constant out that says what goes without saying.
    pub(crate) fn leave_out_default(&mut self) {
        let default = match self.function {
            AggregateFunction::ApproxQuantile => QUANTILE_ERROR,
            AggregateFunction::ApproxTopK => TOP_K_ERROR,
            _ => return,
        };
        if self.args.get(2).is_some_and(|error| error.as_number() == Some(default)) {
            self.args.truncate(2);
        }
    }

    /// The name of a user-defined one, if its constants are what they have to be.
    pub fn user_defined_name(&self) -> Option<&str> {
        let [.., Expr::Literal(Literal::String(name)), Expr::Cast { operand, .. }] = self.args.as_slice()
        else {
            return None;
        };
        matches!(**operand, Expr::Literal(Literal::Null)).then_some(name.as_str())
    }

    /// What is wrong with the constants of an aggregate of as many arguments as it takes.
    pub(crate) fn problem_of_windows(&self) -> Option<String> {
        let name = self.function.name();
        if self.distinct && self.function.is_of_windows() {
            return Some(format!("DISTINCT has no meaning in {name}()"));
        }
        if self.function == AggregateFunction::UserDefined {
            return (self.user_defined_name().is_none()).then(|| {
                format!("the last arguments of {name}() are a name and a NULL of the type of its values, CAST(NULL AS ...)")
            });
        }
        if !self.function.takes_constants() {
            return None;
        }
        let wrong = self.args[1..].iter().zip(["second", "third"]).find_map(|(arg, place)| {
            let (fits, wanted) = wanted(self.function, place, arg);
            (!fits).then(|| format!("the {place} argument of {name}() is {wanted}"))
        });
        wrong.or_else(|| {
            let number = |place: usize| self.args.get(place).and_then(Expr::as_number);
            let error = number(2).unwrap_or(TOP_K_ERROR);
            let too_few = self.function == AggregateFunction::ApproxTopK
                && number(1).is_some_and(|wanted| wanted * error > 1.000_001);
            too_few.then(|| {
                format!("{name}() with an error of {error} has counters for {:.0} values; ask for a smaller error", 1.0 / error)
            })
        })
    }
}

/// Whether a constant is what it has to be, and what that is.
fn wanted(function: AggregateFunction, place: &str, given: &Expr) -> (bool, String) {
    let half_life = given.as_half_life().is_some();
    let given = given.as_number();
    let within = |least: f64, most: f64| given.is_some_and(|number| (least..=most).contains(&number));
    match (function, place) {
        (AggregateFunction::ApproxTopK, "third") => (
            within(TOP_K_ERROR_MIN, TOP_K_ERROR_MAX),
            format!("a constant from {TOP_K_ERROR_MIN} to {TOP_K_ERROR_MAX}"),
        ),
        (AggregateFunction::TopK | AggregateFunction::ApproxTopK, _) => {
            let whole = given.is_some_and(|number| number.fract() == 0.0);
            (whole && within(1.0, TOP_K_MAX as f64), format!("a whole number from 1 to {TOP_K_MAX}"))
        }
        (AggregateFunction::Ewma, _) => (
            half_life || within(f64::MIN_POSITIVE, 1.0),
            "a constant above 0 and at most 1, or a half-life: an interval longer than zero".to_owned(),
        ),
        (AggregateFunction::ApproxQuantile, "third") => (
            within(QUANTILE_ERROR_MIN, QUANTILE_ERROR_MAX),
            format!("a constant from {QUANTILE_ERROR_MIN} to {QUANTILE_ERROR_MAX}"),
        ),
        _ => (within(0.0, 1.0), "a constant from 0 to 1".to_owned()),
    }
}

/// Refuses what only windows know.
pub(crate) fn aggregates_of_matches(pattern: &Pattern) -> Result<(), PatternError> {
    let mut found = None;
    let mut look = |expr: &Expr| {
        expr.walk(&mut |part| {
            if let Expr::Aggregate(aggregate) = part
                && aggregate.function.is_of_windows()
            {
                found.get_or_insert(aggregate.function);
            }
        });
    };
    pattern.expressions().for_each(&mut look);
    match found {
        None => Ok(()),
        Some(function) => Err(PatternError::Unsupported {
            construct: format!("{}() in a pattern", function.name()),
            hint: "ask a window for it: cepheid.window(...)".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Definition, EmitAt, Measure, PatternNode};

    #[test]
    fn patterns_refuse_what_only_windows_know_wherever_it_stands() {
        let of_windows: Vec<_> = AggregateFunction::ALL.iter().filter(|f| f.is_of_windows()).collect();
        assert_eq!(of_windows.len(), 8);
        for function in of_windows {
            let mut args = vec![Expr::column("v")];
            args.resize(function.arity().0, Expr::literal(1));
            let aggregate = Aggregate {
                function: *function,
                args,
                distinct: false,
                variable: None,
                semantics: Default::default(),
                tested_row: Default::default(),
            };
            let value = Expr::Not(Box::new(Expr::IsNull(Box::new(Expr::Aggregate(aggregate)))));
            let measures = vec![Measure { name: "m".into(), value: value.clone() }];
            let plain = || Pattern::algebra(PatternNode::Variable("a".into()));
            assert_eq!(plain().validate(), Ok(()));
            let condition = Definition { variable: "a".into(), condition: value.clone() };
            let emitted = EmitAt { variable: "a".into(), topic: "raised".into(), measures: measures.clone() };
            let patterns = [
                Pattern { measures, ..plain() },
                Pattern { define: vec![condition], ..plain() },
                Pattern { having: Some(value), ..plain() },
                Pattern { emit_at: vec![emitted], ..plain() },
            ];
            for pattern in patterns {
                let error = pattern.validate().expect_err("no pattern");
                assert_eq!(error.code(), "unsupported");
                let text = error.to_string();
                assert!(text.contains(function.name()) && text.contains("window"), "{text}");
            }
        }
    }
}
