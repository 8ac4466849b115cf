//! Anomalies: values that stand out from those of the rows of their key before them.

use serde::{Deserialize, Serialize};

use crate::error::PatternError;
use crate::expr::{Anchor, Expr, Semantics, TestedRow};
use crate::limits;
use crate::pattern::ColumnName;
use crate::validate::expression_alone_well_formed;

/// A value of each row, and the method that says which of them stand out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    /// Name of the rule, and of the derived event unless `emit` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Rows of this topic alone; `None`: of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Rows whose values of these columns are equal are compared with each other; NULL equals NULL. Of none: all rows are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<ColumnName>,
    /// Rows that do not satisfy it are passed over, as if they had not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expr>,
    /// The number that is judged, of the row alone. Rows where it is NULL or NaN are passed over.
    pub value: Expr,
    /// How it is judged.
    pub method: AnomalyMethod,
    /// Which rows are reported.
    #[serde(default, skip_serializing_if = "ReportedRows::is_flagged")]
    pub rows: ReportedRows,
    /// The type of the derived events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emit: Option<String>,
    /// The column of event time, where the rule itself says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<ColumnName>,
}

/// Which rows are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportedRows {
    /// Anomalies.
    #[default]
    Flagged,
    /// Every row that is not passed over, and whether it is one.
    All,
}

impl ReportedRows {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
    fn is_flagged(&self) -> bool {
        *self == Self::Flagged
    }
}

/// How values are judged: each method gives a row a score, and a row whose score is greater than the threshold is an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AnomalyMethod {
    /// The distance from an exponentially weighted mean, in weighted standard deviations.
    Ewma {
        /// The weight of the newest row.
        alpha: f64,
        /// Greatest score that is no anomaly.
        threshold: f64,
        /// How many rows of a key come before the first that is judged.
        warm_up: u64,
        /// Whether later rows are compared with an anomaly, too.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        learn_anomalies: bool,
    },
    /// The distance from the median of recent rows, in median absolute deviations, scaled as standard deviations.
    Mad {
        /// Which rows are recent.
        recent: RecentRows,
        /// Greatest score that is no anomaly.
        threshold: f64,
        /// Fewest recent rows that a row is judged by.
        warm_up: u64,
        /// Whether later rows are compared with an anomaly, too.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        learn_anomalies: bool,
    },
    /// The sum of deviations beyond a drift, up or down, in standard deviations.
    Cusum {
        /// Deviation of a row that adds nothing.
        drift: f64,
        /// Greatest sum that is no anomaly.
        threshold: f64,
        /// The first rows of a key, whose mean and standard deviation all others are measured by.
        warm_up: u64,
    },
    /// How far beyond the band between two quantiles of recent rows, in widths of the band.
    QuantileBand {
        /// Where the band begins.
        low: f64,
        /// Where it ends.
        high: f64,
        /// Which rows are recent.
        recent: RecentRows,
        /// Greatest score that is no anomaly.
        margin: f64,
        /// Fewest recent rows that a row is judged by.
        warm_up: u64,
        /// Whether later rows are compared with an anomaly, too.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        learn_anomalies: bool,
    },
    /// How fast the value changes from the last row of an earlier time, in limits.
    RateOfChange {
        /// The greatest change in the time below that is no anomaly.
        limit: f64,
        /// That time.
        per_ns: i64,
    },
    /// As [`Ewma`](Self::Ewma), of the rows in the same part of every period: the same hour of the week.
    Seasonal {
        /// How long a period is.
        period_ns: i64,
        /// How long a part of it is.
        every_ns: i64,
        /// Where the first period begins, counted from the epoch.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset_ns: i64,
        /// The weight of the newest row.
        alpha: f64,
        /// Greatest score that is no anomaly.
        threshold: f64,
        /// How many earlier periods have rows in the part before the first that is judged.
        warm_up: u64,
        /// Whether later rows are compared with an anomaly, too.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        learn_anomalies: bool,
    },
}

/// Which rows before a row are recent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecentRows {
    /// So many.
    Rows(u64),
    /// Those whose time is no more than this before its own, in nanoseconds.
    SpanNs(i64),
}

/// The greatest value, up or down, that is compared with others. One beyond it counts as infinite: its square would leave 64 bits.
pub const FINITE_MAX: f64 = 1e150;
/// Most rows that warm a method up, or that are recent by number.
pub const RECENT_ROWS_MAX: u64 = 1 << 24;
/// Most parts of a period.
pub const PARTS_MAX: i64 = 1 << 20;

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl AnomalyMethod {
    /// Greatest score that is no anomaly.
    pub fn threshold(&self) -> f64 {
        match *self {
            Self::Ewma { threshold, .. }
            | Self::Mad { threshold, .. }
            | Self::Cusum { threshold, .. }
            | Self::Seasonal { threshold, .. } => threshold,
            Self::QuantileBand { margin, .. } => margin,
            Self::RateOfChange { .. } => 1.0,
        }
    }

    fn problem(&self) -> Option<&'static str> {
        let threshold = self.threshold();
        if !(threshold.is_finite() && threshold >= 0.0) {
            return Some("a threshold or margin is a number from zero");
        }
        let of_weight = |alpha: f64| {
            (!(alpha > 0.0 && alpha < 1.0))
                .then_some("alpha is a number between zero and one, neither of them")
        };
        let of_rows = |rows: u64, least: u64| {
            (!(least..=RECENT_ROWS_MAX).contains(&rows)).then_some(if least == 2 {
                "the warm-up of cusum is 2 to 2^24 rows"
            } else {
                "rows to warm up, or recent ones, are 1 to 2^24"
            })
        };
        let of_recent = |recent: RecentRows, warm_up: u64| match recent {
            RecentRows::Rows(rows) => of_rows(rows, 1).or((warm_up > rows).then_some(
                "more rows are asked for to warm up than are recent; lower warm_up or raise rows",
            )),
            RecentRows::SpanNs(span) => {
                (span <= 0).then_some("the span of recent rows must be longer than zero")
            }
        };
        match *self {
            Self::Ewma { alpha, warm_up, .. } => of_weight(alpha).or(of_rows(warm_up, 1)),
            Self::Mad { recent, warm_up, .. } => of_rows(warm_up, 1).or(of_recent(recent, warm_up)),
            Self::Cusum { drift, warm_up, .. } => (!(drift.is_finite() && drift >= 0.0))
                .then_some("the drift is a number from zero")
                .or(of_rows(warm_up, 2)),
            Self::QuantileBand { low, high, recent, warm_up, .. } => {
                (!(0.0 <= low && low < high && high <= 1.0))
                    .then_some("a band is from a low to a higher quantile, both between zero and one")
                    .or(of_rows(warm_up, 1))
                    .or(of_recent(recent, warm_up))
            }
            Self::RateOfChange { limit, per_ns } => {
                if !(limit.is_finite() && limit > 0.0) {
                    Some("the limit of a rate is a number greater than zero")
                } else if per_ns <= 0 {
                    Some("the time that a rate is per must be longer than zero")
                } else {
                    None
                }
            }
            Self::Seasonal { period_ns, every_ns, offset_ns, alpha, warm_up, .. } => {
                if every_ns <= 0 || period_ns <= 0 || period_ns % every_ns != 0 {
                    Some("a period is a whole number of its parts, and both are longer than zero")
                } else if period_ns / every_ns > PARTS_MAX {
                    Some("a period has at most 2^20 parts; make them longer")
                } else if !(0..period_ns).contains(&offset_ns) {
                    Some("the offset of periods must be at least zero and less than a period")
                } else {
                    of_weight(alpha).or(of_rows(warm_up, 1))
                }
            }
        }
    }
}

impl Anomaly {
    /// Checks everything that can be checked without data.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), PatternError> {
        let limit = |what, found: usize, limit| match found > limit {
            true => Err(PatternError::LimitExceeded { what, found, limit }),
            false => Ok(()),
        };
        limit("partition columns", self.partition_by.len(), limits::CLAUSE_ITEMS_MAX)?;
        let refused = |context: &str, problem: &str| {
            Err(PatternError::InvalidExpression { context: context.to_owned(), problem: problem.to_owned() })
        };
        if let Some(problem) = self.method.problem() {
            return refused("an anomaly rule", problem);
        }
        let named = [
            ("topic", self.topic.as_deref()),
            ("topic", self.emit.as_deref()),
            ("rule", self.name.as_deref()),
            ("column", self.event_time.as_ref().map(|column| column.name.as_str())),
        ];
        let columns = self.partition_by.iter().map(|column| ("column", Some(column.name.as_str())));
        for (what, name) in named.into_iter().chain(columns) {
            if name == Some("") {
                return Err(PatternError::EmptyName { what });
            }
        }
        let condition =
            self.condition.as_ref().map(|condition| ("the condition of an anomaly rule", condition));
        for (context, expr) in [("the value of an anomaly rule", &self.value)].into_iter().chain(condition) {
            limit("levels of nesting in an expression", expr.depth(), limits::EXPR_DEPTH_MAX)?;
            if asks_for_more_than_its_row(expr) {
                return refused(
                    context,
                    "it is asked of a row alone; it can name columns, but no other rows, aggregates or variables",
                );
            }
            expression_alone_well_formed(expr, context, false)?;
        }
        Ok(())
    }

    /// One spelling for each meaning.
    #[must_use]
    pub fn normalise(mut self) -> Self {
        for expr in [&mut self.value].into_iter().chain(&mut self.condition) {
            expr.walk_mut(&mut |part| {
                if let Expr::Column { at, .. } = part {
                    at.semantics = Semantics::Running;
                    at.tested_row = TestedRow::Included;
                }
            });
        }
        self
    }
}

fn asks_for_more_than_its_row(expr: &Expr) -> bool {
    let mut more = false;
    expr.walk(&mut |part| {
        more |= match part {
            Expr::Classifier { .. } | Expr::MatchNumber | Expr::Aggregate(_) => true,
            Expr::Column { at, .. } => {
                at.variable.is_some()
                    || at.physical_offset != 0
                    || at.logical_offset != 0
                    || at.anchor != Anchor::Last
            }
            _ => false,
        };
    });
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: AnomalyMethod) -> Anomaly {
        Anomaly {
            name: None,
            topic: None,
            partition_by: vec![],
            condition: None,
            value: Expr::column("v"),
            method,
            rows: ReportedRows::Flagged,
            emit: None,
            event_time: None,
        }
    }

    #[test]
    fn a_rule_is_written_down_without_what_goes_without_saying() {
        let ewma = AnomalyMethod::Ewma { alpha: 0.5, threshold: 3.0, warm_up: 30, learn_anomalies: true };
        let rule = Anomaly { name: Some("n".into()), ..of(ewma) };
        let text = r#"{"cepheid_ir":1,"anomaly":{"name":"n","value":{"column":{"name":"v"}},"method":{"ewma":{"alpha":0.5,"threshold":3.0,"warm_up":30}}}}"#;
        assert_eq!(rule.to_json(), text);
        assert_eq!(Anomaly::from_json(text), Ok(rule.clone()));
        assert_eq!(rule.fingerprint(), of(ewma).fingerprint());
        let all = Anomaly { rows: ReportedRows::All, ..rule };
        assert_eq!(Anomaly::from_json(&all.to_json()), Ok(all));
    }

    #[test]
    fn impossible_methods_are_refused() {
        let learn_anomalies = true;
        let ewma =
            |alpha, threshold, warm_up| AnomalyMethod::Ewma { alpha, threshold, warm_up, learn_anomalies };
        let mad = |recent, warm_up| AnomalyMethod::Mad { recent, threshold: 3.5, warm_up, learn_anomalies };
        let band = |low, high| AnomalyMethod::QuantileBand {
            low,
            high,
            recent: RecentRows::Rows(10),
            margin: 0.0,
            warm_up: 5,
            learn_anomalies,
        };
        let cusum = |drift, warm_up| AnomalyMethod::Cusum { drift, threshold: 5.0, warm_up };
        let rate = |limit, per_ns| AnomalyMethod::RateOfChange { limit, per_ns };
        let seasonal = |period_ns, every_ns, offset_ns| AnomalyMethod::Seasonal {
            period_ns,
            every_ns,
            offset_ns,
            alpha: 0.3,
            threshold: 3.0,
            warm_up: 2,
            learn_anomalies,
        };
        let possible = [
            ewma(0.5, 0.0, 1),
            mad(RecentRows::Rows(3), 3),
            mad(RecentRows::SpanNs(1), 3),
            cusum(0.0, 2),
            band(0.0, 1.0),
            rate(0.1, 1),
            seasonal(6, 2, 5),
        ];
        for method in possible {
            assert_eq!(of(method).validate(), Ok(()), "{method:?}");
        }
        let impossible = [
            ewma(0.0, 3.0, 1),
            ewma(1.0, 3.0, 1),
            ewma(f64::NAN, 3.0, 1),
            ewma(0.5, -1.0, 1),
            ewma(0.5, f64::INFINITY, 1),
            ewma(0.5, 3.0, 0),
            ewma(0.5, 3.0, RECENT_ROWS_MAX + 1),
            mad(RecentRows::Rows(0), 1),
            mad(RecentRows::Rows(3), 4),
            mad(RecentRows::SpanNs(0), 1),
            cusum(-0.5, 2),
            cusum(0.5, 1),
            band(0.5, 0.5),
            band(-0.1, 0.5),
            band(0.1, 1.5),
            rate(0.0, 1),
            rate(1.0, 0),
            seasonal(0, 1, 0),
            seasonal(5, 2, 0),
            seasonal(6, 2, 6),
            seasonal(PARTS_MAX + 1, 1, 0),
        ];
        for method in impossible {
            assert_eq!(
                of(method).validate().map_err(|error| error.code()),
                Err("invalid-expression"),
                "{method:?}"
            );
        }
    }
}
