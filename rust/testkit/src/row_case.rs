//! What the conformance cases of windows and of anomaly rules have in common: rules that ask their rows one by one.

use arrow_array::RecordBatch;
use cepheid_ir::{ColumnName, Expr};

use crate::case_files;
use crate::reference_table::ReferenceTable;
use crate::sequence_input::SequenceInput;
use crate::text_table::TextTable;

/// One case; `A`: what its rule asks of the rows.
#[derive(Clone, Debug)]
pub struct RowCase<A> {
    /// Unique among the cases of its folder.
    pub name: String,
    /// The file it stands in, without folder and extension.
    pub construct: String,
    /// The rule that it shows, where its name does not say it.
    pub(crate) rule: Option<String>,
    /// What is asked.
    pub asked: A,
    /// The topic whose rows are meant; `None`: those of all.
    pub topic: Option<String>,
    /// Columns of the key, as in SQL.
    pub(crate) by: Vec<String>,
    /// The condition, as in SQL.
    pub(crate) condition: Option<String>,
    /// The input: topics in alphabetical order, a single table with the empty name.
    pub events: Vec<(String, TextTable)>,
    /// The column of event time, said when the rule is run.
    pub event_time: Option<String>,
    /// How far behind a row of a stream may come, in nanoseconds: then the rows come as they stand, and only a stream can say
    /// what follows.
    pub lateness: Option<u64>,
    /// Expected output, all of it.
    pub output: Option<TextTable>,
    /// Expected error code.
    pub error: Option<String>,
}

impl<A> RowCase<A> {
    /// The name and the rule, for a message.
    fn named(&self) -> String {
        case_files::named(&self.name, self.rule.as_deref())
    }

    /// The columns of the key.
    pub(crate) fn keys<E>(&self, parse: impl Fn(&str) -> Result<Expr, E>) -> Result<Vec<ColumnName>, E> {
        let column = |text: &String| match parse(text)? {
            Expr::Column { name, quoted, .. } => Ok(ColumnName { name, quoted }),
            other => panic!("{}: {other:?} is no column", self.name),
        };
        self.by.iter().map(column).collect()
    }

    /// The input as the reference reads it.
    pub fn input(&self) -> SequenceInput {
        let input = SequenceInput::of_text(&self.events, self.event_time.as_deref());
        SequenceInput { lateness: self.lateness, ..input }
    }

    /// The input as Arrow, where it is one table; `None`: it is of several topics, or of a stream.
    ///
    /// # Panics
    /// If a cell does not fit its column: a mistake in the suite.
    pub fn batch(&self) -> Option<RecordBatch> {
        match self.events.as_slice() {
            [(topic, table)] if topic.is_empty() && self.lateness.is_none() => {
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
