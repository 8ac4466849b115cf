//! The conformance cases of anomaly rules: `tests/conformance/anomalies/*.toml`, which its README describes.

use std::path::Path;

use arrow_array::RecordBatch;
use cepheid_ir::{Anomaly, AnomalyMethod, ColumnName, Expr, ReportedRows};
use serde::Deserialize;

use crate::case_files::{self, CaseEntry, EventsEntry};
use crate::reference_table::ReferenceTable;
use crate::sequence_input::SequenceInput;
use crate::text_table::TextTable;

/// One case.
#[derive(Clone, Debug)]
pub struct AnomalyCase {
    /// Unique among the cases of anomalies.
    pub name: String,
    /// The file it stands in, without folder and extension.
    pub construct: String,
    /// The rule that it shows, where its name does not say it.
    rule: Option<String>,
    /// How values are judged.
    pub method: AnomalyMethod,
    /// Which rows are reported.
    rows: ReportedRows,
    /// The topic whose rows are meant; `None`: those of all.
    topic: Option<String>,
    /// Columns of the key, as in SQL.
    by: Vec<String>,
    /// The condition, as in SQL.
    condition: Option<String>,
    /// The value, as in SQL.
    value: String,
    /// The input: topics in alphabetical order, a single table with the empty name.
    pub events: Vec<(String, TextTable)>,
    /// The column of event time, said when the rule is run.
    pub event_time: Option<String>,
    /// Expected output, all of it.
    pub output: Option<TextTable>,
    /// Expected error code.
    pub error: Option<String>,
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
        if self.output.is_none() == self.error.is_none() {
            return Err("give either `output` or `error`".into());
        }
        let output = self.output.map(|text| TextTable::parse(&text)).transpose();
        Ok(AnomalyCase {
            name: self.name,
            construct: construct.to_owned(),
            rule: self.rule,
            method: self.method,
            rows: self.rows.unwrap_or(ReportedRows::All),
            topic: self.topic,
            by: self.by,
            condition: self.condition,
            value: self.value.unwrap_or_else(|| "v".into()),
            events: self.events.read()?,
            event_time: self.event_time.or_else(|| Some("ts".into())).filter(|name| !name.is_empty()),
            output: output.map_err(|error| format!("output: {error}"))?,
            error: self.error,
        })
    }
}

impl AnomalyCase {
    /// The name and the rule, for a message.
    fn named(&self) -> String {
        case_files::named(&self.name, self.rule.as_deref())
    }

    /// The rule. `parse` reads an expression.
    ///
    /// # Errors
    /// What the parser says.
    ///
    /// # Panics
    /// If a column of the key is none: a mistake in the suite.
    pub fn anomaly<E>(&self, parse: impl Fn(&str) -> Result<Expr, E>) -> Result<Anomaly, E> {
        let column = |text: &String| match parse(text)? {
            Expr::Column { name, quoted, .. } => Ok(ColumnName { name, quoted }),
            other => panic!("{}: {other:?} is no column", self.name),
        };
        Ok(Anomaly {
            name: None,
            topic: self.topic.clone(),
            partition_by: self.by.iter().map(column).collect::<Result<_, E>>()?,
            condition: self.condition.as_deref().map(&parse).transpose()?,
            value: parse(&self.value)?,
            method: self.method,
            rows: self.rows,
            emit: None,
            event_time: None,
        })
    }

    /// The input as the reference reads it.
    pub fn input(&self) -> SequenceInput {
        SequenceInput {
            topics: self.events.iter().map(|(name, table)| (name.clone(), table.to_reference())).collect(),
            event_time: self.event_time.clone(),
            arrival: None,
        }
    }

    /// The input as Arrow, where it is one table; `None`: it is of several topics.
    ///
    /// # Panics
    /// If a cell does not fit its column: a mistake in the suite.
    pub fn batch(&self) -> Option<RecordBatch> {
        match self.events.as_slice() {
            [(topic, table)] if topic.is_empty() => {
                Some(table.to_batch().unwrap_or_else(|error| panic!("{}: {error}", self.name)))
            }
            _ => None,
        }
    }

    /// Compares what was computed with what the case expects.
    ///
    /// # Errors
    /// Where they differ.
    pub fn check(&self, found: &ReferenceTable) -> Result<(), String> {
        self.expected()?
            .check(&found.columns, &found.rows)
            .map_err(|error| format!("{}: {error}", self.named()))
    }

    /// As [`check`](Self::check), and the types of the columns whose type the case names.
    ///
    /// # Errors
    /// Where they differ.
    pub fn check_batch(&self, batch: &RecordBatch) -> Result<(), String> {
        self.expected()?.check_batch(batch).map_err(|error| format!("{}: {error}", self.named()))
    }

    fn expected(&self) -> Result<&TextTable, String> {
        self.output.as_ref().ok_or_else(|| format!("{}: an error was expected", self.named()))
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
