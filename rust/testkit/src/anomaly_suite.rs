//! The conformance cases of anomaly rules: `tests/conformance/anomalies/*.toml`, which its README describes.

use std::path::Path;

use cepheid_ir::{Anomaly, AnomalyMethod, Expr, ReportedRows};
use serde::Deserialize;

use crate::case_files::{self, CaseEntry, EventsEntry};
use crate::row_case::RowCase;

/// One case.
pub type AnomalyCase = RowCase<Judged>;

/// What is judged, and how.
#[derive(Clone, Debug)]
pub struct Judged {
    /// How values are judged.
    pub method: AnomalyMethod,
    /// Which rows are reported.
    rows: ReportedRows,
    /// The value, as in SQL.
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    rule: Option<String>,
    method: AnomalyMethod,
    rows: Option<ReportedRows>,
    topic: Option<String>,
    #[serde(default)]
    by: Vec<String>,
    #[serde(rename = "where")]
    condition: Option<String>,
    value: Option<String>,
    events: EventsEntry,
    event_time: Option<String>,
    output: Option<String>,
    error: Option<String>,
}

/// Reads every `*.toml` of a folder, files and cases in a fixed order.
///
/// # Errors
/// A file that cannot be read, a case that says too much or too little, a name used twice.
pub fn load(folder: &Path) -> Result<Vec<AnomalyCase>, String> {
    case_files::load::<Entry>(folder)
}

impl CaseEntry for Entry {
    type Case = AnomalyCase;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(self, construct: &str) -> Result<AnomalyCase, String> {
        let output = case_files::expected(self.output.as_deref(), self.error.as_deref())?;
        Ok(AnomalyCase {
            name: self.name,
            construct: construct.to_owned(),
            rule: self.rule,
            asked: Judged {
                method: self.method,
                rows: self.rows.unwrap_or(ReportedRows::All),
                value: self.value.unwrap_or_else(|| "v".into()),
            },
            topic: self.topic,
            by: self.by,
            condition: self.condition,
            events: self.events.read()?,
            event_time: self.event_time.or_else(|| Some("ts".into())).filter(|name| !name.is_empty()),
            lateness: None,
            output,
            error: self.error,
        })
    }
}

impl AnomalyCase {
    /// The rule. `parse` reads an expression.
    ///
    /// # Errors
    /// What the parser says.
    ///
    /// # Panics
    /// If a column of the key is none: a mistake in the suite.
    pub fn anomaly<E>(&self, parse: impl Fn(&str) -> Result<Expr, E>) -> Result<Anomaly, E> {
        Ok(Anomaly {
            name: None,
            topic: self.topic.clone(),
            partition_by: self.keys(&parse)?,
            condition: self.condition.as_deref().map(&parse).transpose()?,
            value: parse(&self.asked.value)?,
            method: self.asked.method,
            rows: self.asked.rows,
            emit: None,
            event_time: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_that_say_too_much_or_too_little_are_refused() {
        let read = |more: &str| {
            let text = "[[test]]\nname = \"x\"\nevents = \"ts v\\n1 1\"\n";
            case_files::parse::<Entry>("file", &format!("{text}{more}"))
        };
        let method = "method = { rate_of_change = { limit = 1, per_ns = 1 } }\n";
        assert!(read(&format!("{method}output = \"n\\n1\"")).is_ok());
        assert!(read(&format!("{method}error = \"x\"")).is_ok());
        for text in ["", "error = \"x\"\noutput = \"n\\n1\"", "error = \"x\"\nframe = \"rows 2\""] {
            assert!(read(&format!("{method}{text}")).is_err(), "{text}");
        }
        assert!(read("method = { slope = { limit = 1 } }\nerror = \"x\"").is_err());
    }
}
