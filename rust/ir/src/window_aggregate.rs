//! Aggregates that only windows know, and the constants that they are given.

use crate::error::PatternError;
use crate::expr::{Aggregate, Expr};
use crate::function::AggregateFunction;
use crate::literal::{Float, Literal};
use crate::pattern::Pattern;

/// Most values that `top_k` gives.
pub const TOP_K_MAX: u64 = 10_000;

impl AggregateFunction {
    /// Whether it is known of windows and not of matches.
    pub fn is_of_windows(self) -> bool {
        use AggregateFunction::*;
        matches!(self, Median | Quantile | TopK | Ewma)
    }

    /// How many of its arguments, the last ones, are constants.
    pub fn constants(self) -> usize {
        use AggregateFunction::*;
        usize::from(matches!(self, Quantile | TopK | Ewma))
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
}

impl Aggregate {
    /// What is wrong with the constants of an aggregate of as many arguments as it takes.
    pub(crate) fn problem_of_windows(&self) -> Option<String> {
        let name = self.function.name();
        if self.distinct && self.function.is_of_windows() {
            return Some(format!("DISTINCT has no meaning in {name}()"));
        }
        let wrong = match (self.function, self.args.last()?.as_number()) {
            (AggregateFunction::Quantile, Some(q)) if (0.0..=1.0).contains(&q) => return None,
            (AggregateFunction::Quantile, _) => "a constant from 0 to 1".to_owned(),
            (AggregateFunction::TopK, Some(k))
                if k.fract() == 0.0 && (1.0..=TOP_K_MAX as f64).contains(&k) =>
            {
                return None;
            }
            (AggregateFunction::TopK, _) => format!("a whole number from 1 to {TOP_K_MAX}"),
            (AggregateFunction::Ewma, Some(alpha)) if alpha > 0.0 && alpha <= 1.0 => return None,
            (AggregateFunction::Ewma, _) => "a constant above 0 and at most 1".to_owned(),
            _ => return None,
        };
        Some(format!("the second argument of {name}() is {wrong}"))
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
        assert_eq!(of_windows.len(), 4);
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
