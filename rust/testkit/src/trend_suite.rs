//! The conformance cases of aggregations over all matches: `tests/conformance/trends/*.toml`, which its README describes.

use std::path::Path;

use arrow_array::RecordBatch;
use serde::Deserialize;

use crate::case_files::{self, CaseEntry};
use crate::reference_table::ReferenceTable;
use crate::sequence_input::SequenceInput;
use crate::text_table::TextTable;
use crate::value::RefValue;

/// One case.
#[derive(Clone, Debug)]
pub struct TrendCase {
    /// Unique among the cases of aggregations.
    pub name: String,
    /// The file it stands in, without folder and extension.
    pub construct: String,
    /// The pattern as Python code.
    pub code: String,
    /// The same pattern as a `MATCH_RECOGNIZE` clause; `None`: SQL has no words for it.
    pub sql: Option<String>,
    /// The input.
    pub events: TextTable,
    /// The column of event time, unless the pattern names an order.
    pub event_time: Option<String>,
    /// Expected columns, by name: others may be there too.
    pub output: Option<TextTable>,
    /// Expected error code.
    pub error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    pattern: String,
    sql: Option<String>,
    events: String,
    event_time: Option<String>,
    output: Option<String>,
    error: Option<String>,
}

/// Reads every `*.toml` of a folder, files and cases in a fixed order.
///
/// # Errors
/// A file that cannot be read, a case that says too much or too little, a name used twice.
pub fn load(folder: &Path) -> Result<Vec<TrendCase>, String> {
    case_files::load::<Entry>(folder)
}

impl CaseEntry for Entry {
    type Case = TrendCase;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(self, construct: &str) -> Result<TrendCase, String> {
        let output = case_files::expected(self.output.as_deref(), self.error.as_deref())?;
        Ok(TrendCase {
            name: self.name,
            construct: construct.to_owned(),
            code: self.pattern,
            sql: self.sql,
            events: TextTable::parse(&self.events).map_err(|error| format!("events: {error}"))?,
            event_time: self.event_time,
            output,
            error: self.error,
        })
    }
}

impl TrendCase {
    /// The input as the reference reads it.
    pub fn input(&self) -> SequenceInput {
        SequenceInput::table(self.events.to_reference(), self.event_time.as_deref())
    }

    /// Compares what was computed with the columns that the case gives.
    ///
    /// # Errors
    /// Where they differ.
    pub fn check(&self, found: &ReferenceTable) -> Result<(), String> {
        let Some(output) = &self.output else { return Err(format!("{}: an error was expected", self.name)) };
        let names: Vec<String> = output.columns.iter().map(|column| column.name.clone()).collect();
        let places = names.iter().map(|name| found.column_index(name, true));
        let places: Vec<usize> =
            places.collect::<Result<_, _>>().map_err(|error| format!("{}: {error}", self.name))?;
        let picked = |row: &Vec<RefValue>| places.iter().map(|place| row[*place].clone()).collect::<Vec<_>>();
        let rows: Vec<Vec<RefValue>> = found.rows.iter().map(picked).collect();
        output.check(&names, &rows).map_err(|error| format!("{}: {error}", self.name))
    }

    /// As [`check`](Self::check), and the types of the columns whose type the case names.
    ///
    /// # Errors
    /// Where they differ.
    pub fn check_batch(&self, batch: &RecordBatch) -> Result<(), String> {
        self.check(&ReferenceTable::from_batches(std::slice::from_ref(batch)))?;
        for column in self.output.iter().flat_map(|output| &output.columns).filter(|column| column.declared) {
            let found = batch.schema();
            let found = found.field_with_name(&column.name).map_err(|error| error.to_string())?;
            if *found.data_type() != column.data_type {
                return Err(format!(
                    "{}: `{}` is a {}, not a {}",
                    self.name,
                    column.name,
                    found.data_type(),
                    column.data_type
                ));
            }
        }
        Ok(())
    }
}
