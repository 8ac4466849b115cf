//! Windows: values of the rows of a key that stand in one stretch of time, or of rows.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::error::PatternError;
use crate::expr::{Anchor, Expr, RowPointer, Semantics, TestedRow};
use crate::limits;
use crate::pattern::{ColumnName, Measure};
use crate::trend::WINDOW_COLUMNS;
use crate::validate::expression_alone_well_formed;
use crate::window_reports::{Reports, TIMING_COLUMN};

/// A window with what is asked of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Name of the rule, and of the derived event unless `emit` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Rows of this topic alone; `None`: of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Rows whose values of these columns are equal share windows; NULL equals NULL. Of none: all rows do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<ColumnName>,
    /// Rows that do not satisfy it are passed over, as if they had not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expr>,
    /// Which rows share a window.
    pub frame: Frame,
    /// What is reported of a window, at least one value. A column without an aggregate is that of the window's last row; of a
    /// [`Frame::Range`], that of the row at hand.
    pub measures: Vec<Measure>,
    /// What is reported beside windows that have ended.
    #[serde(default, skip_serializing_if = "Reports::is_default")]
    pub reports: Reports,
    /// The type of the derived events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emit: Option<String>,
    /// The column of event time, where the rule itself says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<ColumnName>,
}

/// Which rows share a window. Spans are nanoseconds, and stretches of time half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Frame {
    /// Tumbling and hopping windows: those of the grid `[offset + k every, offset + k every + size)`, counted from the epoch.
    Time {
        /// How long a window is.
        size_ns: i64,
        /// From the start of one to that of the next; as long as the size: tumbling.
        every_ns: i64,
        /// Where the grid starts.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset_ns: i64,
    },
    /// One for each row of time `t`, of the rows of its key in `[t - preceding, t]`: those of equal time are in it, wherever
    /// they stand, as in SQL's `RANGE BETWEEN ... PRECEDING AND CURRENT ROW`.
    Range {
        /// How far it reaches back.
        preceding_ns: i64,
    },
    /// A row belongs to the window of the row before it in its key if it comes less than the gap after it. A window ends a gap
    /// after its last row.
    Session {
        /// How long nothing comes between two windows.
        gap_ns: i64,
    },
    /// Of the rows of a key, counted from 0: those numbered `[k every, k every + rows)`.
    Rows {
        /// How many rows a window has.
        rows: u64,
        /// From the first row of one to that of the next.
        every: u64,
    },
}

impl Frame {
    /// Whether windows do not depend on where rows stand, so that each has a start and an end of its own.
    pub fn has_bounds(&self) -> bool {
        !matches!(self, Self::Range { .. })
    }

    fn problem(&self) -> Option<&'static str> {
        match *self {
            Self::Time { size_ns, every_ns, .. } if size_ns <= 0 || every_ns <= 0 => {
                Some("a window and the step to the next must be longer than zero")
            }
            Self::Time { every_ns, offset_ns, .. } if !(0..every_ns).contains(&offset_ns) => Some(
                "the offset of windows must be at least zero and less than the step from one to the next",
            ),
            Self::Time { size_ns, every_ns, .. } if size_ns / every_ns > OVERLAP_MAX => {
                Some("a row would be in more than 2^20 windows; make the step from one to the next longer")
            }
            Self::Range { preceding_ns } if preceding_ns < 0 => {
                Some("a window cannot reach back less than zero")
            }
            Self::Session { gap_ns } if gap_ns <= 0 => Some("the gap of a session must be longer than zero"),
            Self::Rows { rows, every } if rows == 0 || every == 0 => {
                Some("a window by rows, and the step to the next, are at least one row")
            }
            Self::Rows { rows, every } if rows > ROWS_MAX || every > ROWS_MAX => {
                Some("a window by rows has at most 2^31 rows")
            }
            _ => None,
        }
    }
}

/// Most windows of a grid that a row may be in: each is reported.
pub const OVERLAP_MAX: i64 = 1 << 20;
/// Most rows of a window by rows.
pub const ROWS_MAX: u64 = 1 << 31;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl Window {
    /// Checks everything that can be checked without data.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), PatternError> {
        let limit = |what, found: usize, limit| match found > limit {
            true => Err(PatternError::LimitExceeded { what, found, limit }),
            false => Ok(()),
        };
        limit("measures", self.measures.len(), limits::CLAUSE_ITEMS_MAX)?;
        limit("partition columns", self.partition_by.len(), limits::CLAUSE_ITEMS_MAX)?;
        if self.measures.is_empty() {
            return Err(PatternError::TooFewParts { what: "window", needed: 1 });
        }
        let refused = |context: &str, problem: &str| {
            Err(PatternError::InvalidExpression { context: context.to_owned(), problem: problem.to_owned() })
        };
        if let Some(problem) = self.frame.problem().or(self.reports.problem(self.frame)) {
            return refused("a window", problem);
        }
        let named = [
            ("topic", self.topic.as_deref()),
            ("topic", self.emit.as_deref()),
            ("rule", self.name.as_deref()),
            ("column", self.event_time.as_ref().map(|column| column.name.as_str())),
        ];
        let columns = self.partition_by.iter().map(|column| ("column", column.name.as_str()));
        let measures = self.measures.iter().map(|measure| ("measure", measure.name.as_str()));
        let names = named.into_iter().filter_map(|(what, name)| Some((what, name?)));
        for (what, name) in names.chain(columns).chain(measures) {
            if name.is_empty() {
                return Err(PatternError::EmptyName { what });
            }
        }
        let mut taken: HashSet<&str> = self.partition_by.iter().map(|column| column.name.as_str()).collect();
        if self.frame.has_bounds() {
            taken.extend(WINDOW_COLUMNS);
        }
        if self.reports.have_timing() {
            taken.insert(TIMING_COLUMN);
        }
        let mut seen = HashSet::new();
        for Measure { name, value } in &self.measures {
            let context = format!("measure `{name}`");
            if taken.contains(name.as_str()) {
                return Err(PatternError::MeasureNameTaken { name: name.clone() });
            }
            if !seen.insert(name) {
                return Err(PatternError::DuplicateMeasure { name: name.clone() });
            }
            limit("levels of nesting in an expression", value.depth(), limits::EXPR_DEPTH_MAX)?;
            if let Some(problem) = misplaced(value, true) {
                return refused(&context, problem);
            }
            expression_alone_well_formed(value, &context, true)?;
        }
        if let Some(condition) = &self.condition {
            let context = "the condition of a window";
            limit("levels of nesting in an expression", condition.depth(), limits::EXPR_DEPTH_MAX)?;
            if let Some(problem) = misplaced(condition, false) {
                return refused(context, problem);
            }
            expression_alone_well_formed(condition, context, false)?;
        }
        Ok(())
    }

    /// One spelling for each meaning.
    #[must_use]
    pub fn normalise(mut self) -> Self {
        for measure in &mut self.measures {
            measure.value.walk_mut(&mut |expr| match expr {
                Expr::Aggregate(aggregate) => {
                    aggregate.semantics = Semantics::Final;
                    aggregate.tested_row = TestedRow::Included;
                    aggregate.leave_out_default();
                }
                Expr::Column { at, .. } => {
                    at.semantics = Semantics::Running;
                    at.tested_row = TestedRow::Included;
                }
                _ => {}
            });
        }
        self
    }
}

/// What stands where it has no meaning in a window. `measure`: aggregates and the first row may be asked for.
fn misplaced(expr: &Expr, measure: bool) -> Option<&'static str> {
    let mut problem = None;
    let mut say = |text| {
        problem.get_or_insert(text);
    };
    expr.walk(&mut |part| match part {
        Expr::Classifier { .. } | Expr::MatchNumber => say("a window has no variables and no matches"),
        Expr::Aggregate(aggregate) if aggregate.variable.is_some() => {
            say("a window has no variables; aggregate a column")
        }
        Expr::Aggregate(_) if !measure => say("an aggregate cannot be asked of a single row"),
        Expr::Column { at, .. } if !is_row_of_window(at, measure) => {
            say(if at.variable.is_some() {
                "a window has no variables; name a column"
            } else if measure {
                "of a window's rows only the first and the last can be asked for"
            } else {
                "the condition of a window is asked of the row alone"
            });
        }
        _ => {}
    });
    problem
}

fn is_row_of_window(at: &RowPointer, measure: bool) -> bool {
    at.variable.is_none()
        && at.physical_offset == 0
        && at.logical_offset == 0
        && (measure || at.anchor == Anchor::Last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Aggregate;
    use crate::function::{AggregateFunction, Function};
    use crate::literal::Literal;

    fn of(function: AggregateFunction, args: Vec<Expr>) -> Expr {
        let (semantics, tested_row) = (Semantics::Final, TestedRow::Included);
        Expr::Aggregate(Aggregate { function, args, distinct: false, variable: None, semantics, tested_row })
    }

    fn validated(condition: Option<Expr>, value: Expr) -> Result<(), &'static str> {
        let frame = Frame::Session { gap_ns: 1 };
        let measures = vec![Measure { name: "m".into(), value }];
        let window = Window {
            name: None,
            topic: None,
            partition_by: vec![],
            condition,
            frame,
            measures,
            reports: Reports::default(),
            emit: None,
            event_time: None,
        };
        window.validate().map_err(|error| error.code())
    }

    #[test]
    fn expressions_that_no_pattern_may_have_no_window_may_have() {
        let v = || Expr::column("v");
        let first = || Expr::Column {
            name: "v".into(),
            quoted: false,
            at: RowPointer { anchor: Anchor::First, ..RowPointer::default() },
        };
        let distinct_rows = match of(AggregateFunction::Count, vec![]) {
            Expr::Aggregate(aggregate) => Expr::Aggregate(Aggregate { distinct: true, ..aggregate }),
            _ => unreachable!("an aggregate"),
        };
        let refused = [
            ("a sum of nothing", of(AggregateFunction::Sum, vec![])),
            ("an argument too many", of(AggregateFunction::Min, vec![v(), v()])),
            ("a sum of sums", of(AggregateFunction::Sum, vec![of(AggregateFunction::Sum, vec![v()])])),
            ("a sum over the first row", of(AggregateFunction::Sum, vec![first()])),
            ("distinct rows", distinct_rows),
            ("a function without its argument", Expr::Call { function: Function::Abs, args: vec![] }),
            ("no conditions", Expr::And(vec![])),
            ("no values", Expr::In { operand: Box::new(v()), list: vec![] }),
            ("no branches", Expr::Case { branches: vec![], otherwise: None }),
        ];
        for (what, value) in refused {
            assert_eq!(validated(None, value.clone()), Err("invalid-expression"), "{what}");
            assert_eq!(validated(Some(value), v()), Err("invalid-expression"), "{what}, in a condition");
        }
        assert_eq!(validated(None, Expr::column("")), Err("empty-name"));
        let accepted =
            Expr::binary(crate::expr::BinaryOp::Subtract, of(AggregateFunction::Sum, vec![v()]), first());
        assert_eq!(validated(Some(Expr::Literal(Literal::Boolean(true))), accepted), Ok(()));
    }
}
