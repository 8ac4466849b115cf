//! Trend aggregation: values over all matches of a pattern, none of which is built.
//!
//! What is accepted and what it means: `docs/developers/decisions/0007-trend-aggregation.md`.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::error::PatternError;
use crate::expr::{Aggregate, Expr, Semantics, TestedRow};
use crate::function::AggregateFunction;
use crate::pattern::{AfterMatchSkip, Measure, Pattern, RowsPerMatch, Selection};

/// What to report of all matches together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trend {
    /// The values, by name: `COUNT`, `SUM`, `AVG`, `MIN` or `MAX`, each over the rows of a variable in all matches;
    /// `COUNT(*)` is the number of matches. At least one.
    pub values: Vec<Measure>,
    /// One row a partition and tumbling window of this many nanoseconds, by the time of a match's last row, the windows
    /// aligned to the epoch. `None`: one row a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ns: Option<i64>,
}

/// The column that says whether all whole numbers of a row are given exactly.
pub const EXACT_COLUMN: &str = "exact";
/// The columns of a row's window.
pub const WINDOW_COLUMNS: [&str; 2] = ["window_start", "window_end"];
/// What stands behind the name of a whole number in the name of the column that gives it as a float.
pub const APPROXIMATE_SUFFIX: &str = "_approx";

impl Trend {
    /// The aggregate that a value is.
    ///
    /// # Errors
    /// [`PatternError::Unsupported`] for a value that is something else.
    pub fn aggregate(value: &Measure) -> Result<&Aggregate, PatternError> {
        let refused =
            |construct: String, hint: &str| PatternError::Unsupported { construct, hint: hint.into() };
        let Expr::Aggregate(aggregate) = &value.value else {
            return Err(refused(
                format!("`{}`, which is no aggregate, over all matches", value.name),
                "make each value one COUNT, SUM, AVG, MIN or MAX, and compute with the values afterwards",
            ));
        };
        use AggregateFunction::{Avg, Count, Max, Min, Sum};
        if !matches!(aggregate.function, Count | Sum | Avg | Min | Max) {
            return Err(refused(
                format!("{}() over all matches", aggregate.function.name()),
                "trend aggregation knows COUNT, SUM, AVG, MIN and MAX",
            ));
        }
        if aggregate.distinct {
            return Err(refused(
                format!("DISTINCT in `{}`, over all matches", value.name),
                "leave it out: what one match has seen is not known to another",
            ));
        }
        Ok(aggregate)
    }

    /// The whole match is what every value is of: one spelling for it.
    pub(crate) fn normalise(&mut self) {
        for value in &mut self.values {
            value.value.walk_mut(&mut |expr| {
                if let Expr::Aggregate(aggregate) = expr {
                    aggregate.semantics = Semantics::Final;
                    aggregate.tested_row = TestedRow::Included;
                }
            });
        }
    }
}

/// What can be said of an aggregation without data.
pub(crate) fn trend_possible(pattern: &Pattern) -> Result<(), PatternError> {
    let Some(trend) = &pattern.trend else { return Ok(()) };
    if trend.values.is_empty() {
        return Err(PatternError::TooFewParts { what: "trend aggregation", needed: 1 });
    }
    if trend.every_ns.is_some_and(|every| every <= 0) {
        return Err(PatternError::InvalidExpression {
            context: "the windows of an aggregation".into(),
            problem: "EVERY must be longer than zero".into(),
        });
    }
    let conflict = |second, reason| PatternError::ConflictingClauses { first: "AGGREGATE", second, reason };
    let no_match = "no match is built that it could speak of";
    if pattern.selection != Selection::All {
        return Err(conflict(
            "one match a start row",
            "it is over all matches; say ALL MATCHES, matches(\"all\")",
        ));
    }
    if pattern.after_match != AfterMatchSkip::None {
        return Err(conflict(
            "AFTER MATCH",
            "it is over all matches, of which none may forget another; leave it out",
        ));
    }
    if !pattern.measures.is_empty() {
        return Err(conflict("MEASURES", no_match));
    }
    if pattern.having.is_some() {
        return Err(conflict("HAVING", no_match));
    }
    if pattern.rows_per_match != RowsPerMatch::One {
        return Err(conflict("ALL ROWS PER MATCH", no_match));
    }
    if pattern.timeouts {
        return Err(conflict("WITH TIMEOUT ROWS", no_match));
    }
    if !pattern.emit_at.is_empty() {
        return Err(conflict("an intermediate output", no_match));
    }
    let mut taken: HashSet<String> = HashSet::from([EXACT_COLUMN.to_owned()]);
    if trend.every_ns.is_some() {
        taken.extend(WINDOW_COLUMNS.map(str::to_owned));
    }
    let names: HashSet<&str> = trend.values.iter().map(|value| value.name.as_str()).collect();
    for value in &trend.values {
        let aggregate = Trend::aggregate(value)?;
        if aggregate.args.len() > 1
            || (aggregate.args.is_empty() && aggregate.function != AggregateFunction::Count)
        {
            // The count of arguments is told of with the expression.
            continue;
        }
        if names.contains(format!("{}{APPROXIMATE_SUFFIX}", value.name).as_str())
            && matches!(aggregate.function, AggregateFunction::Count | AggregateFunction::Sum)
        {
            return Err(PatternError::MeasureNameTaken {
                name: format!("{}{APPROXIMATE_SUFFIX}", value.name),
            });
        }
        if taken.contains(&value.name) {
            return Err(PatternError::MeasureNameTaken { name: value.name.clone() });
        }
    }
    Ok(())
}
