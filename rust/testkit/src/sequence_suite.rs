//! The conformance cases of event sequences: `tests/conformance/sequences/*.toml`, which its README describes.
//!
//! A case has its pattern as Python and as IR; Rust reads the IR. It hands out a pattern and tables, and checks what
//! somebody derived from them.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;
use cepheid_ir::{Pattern, PatternError};
use serde::Deserialize;

use crate::calendar::parse_timestamp;
use crate::case_files::{self, CaseEntry, EventsEntry};
use crate::sequence_event::{Moment, SequenceEvent, SequenceKind};
use crate::sequence_input::SequenceInput;
use crate::text_table::TextTable;
use crate::value::RefValue;

/// One case.
#[derive(Clone, Debug)]
pub struct SequenceCase {
    /// Unique among the cases of sequences.
    pub name: String,
    /// The file it stands in, without folder and extension: the construct.
    pub construct: String,
    /// The rule that it shows.
    rule: Option<String>,
    /// The pattern as Python code.
    pub code: String,
    /// The same pattern as JSON.
    pub ir: String,
    /// The input: topics in alphabetical order, a single table with the empty name.
    pub events: Vec<(String, TextTable)>,
    /// The column of event time, unless the pattern names an order.
    pub event_time: Option<String>,
    /// Expected derived events, each kind in its order.
    pub derived: Option<Vec<ExpectedEvent>>,
    /// Expected measures, one row a match.
    pub output: Option<TextTable>,
    /// Expected error code.
    pub error: Option<String>,
}

/// A derived event that a case expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedEvent {
    /// `match`, `timeout`, or the topic of an intermediate output.
    pub kind: String,
    /// Rows by variable, in the order of rows.
    pub rows: BTreeMap<String, Vec<RowName>>,
    /// What decides it, where the case says so.
    pub at: Option<Decision>,
}

/// A row: its ordinal, and its topic where there are several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowName {
    /// The topic; empty for a single table.
    pub topic: String,
    /// Arrival ordinal in the topic.
    pub row: usize,
}

/// What decides a derived event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A row.
    Row(RowName),
    /// A deadline, in nanoseconds.
    Deadline(i64),
    /// The end of the input.
    End,
}

/// A derived event that somebody found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEvent {
    /// As [`ExpectedEvent::kind`].
    pub kind: String,
    /// Variable, topic and row of each member, in the order of rows.
    pub members: Vec<(String, RowName)>,
    /// What decided it; `None` where the finder does not know, which is then not compared.
    pub at: Option<Decision>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    rule: Option<String>,
    pattern: String,
    ir: String,
    events: EventsEntry,
    event_time: Option<String>,
    derived: Option<Vec<DerivedEntry>>,
    output: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DerivedEntry {
    kind: String,
    rows: BTreeMap<String, Vec<RowEntry>>,
    at: Option<RowEntry>,
}

/// A number, or text such as `topic:number`, a timestamp or `end`.
#[derive(Deserialize)]
#[serde(untagged)]
enum RowEntry {
    Number(usize),
    Text(String),
}

/// Reads every `*.toml` of a folder, files and cases in a fixed order.
///
/// # Errors
/// A file that cannot be read, a case that says too much or too little, a name used twice.
pub fn load(folder: &Path) -> Result<Vec<SequenceCase>, String> {
    case_files::load::<Entry>(folder)
}

impl CaseEntry for Entry {
    type Case = SequenceCase;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(self, construct: &str) -> Result<SequenceCase, String> {
        SequenceCase::read(construct, self)
    }
}

impl SequenceCase {
    fn read(construct: &str, entry: Entry) -> Result<Self, String> {
        if entry.derived.is_none() == entry.error.is_none() {
            return Err("give either `derived` or `error`".into());
        }
        if entry.error.is_some() && entry.output.is_some() {
            return Err("an error leaves nothing else to expect".into());
        }
        let events = entry.events.read()?;
        let derived = entry
            .derived
            .map(|derived| {
                derived.into_iter().map(|entry| entry.read(&events)).collect::<Result<Vec<_>, _>>()
            })
            .transpose()?;
        let output = entry.output.map(|text| TextTable::parse(&text)).transpose();
        let output = output.map_err(|error| format!("output: {error}"))?;
        let matches = derived.iter().flatten().filter(|event| event.kind == "match").count();
        if output.as_ref().is_some_and(|output| output.rows.len() != matches) {
            return Err("`output` has one row a match".into());
        }
        Ok(Self {
            name: entry.name,
            construct: construct.to_owned(),
            rule: entry.rule,
            code: entry.pattern,
            ir: entry.ir,
            events,
            event_time: entry.event_time,
            derived,
            output,
            error: entry.error,
        })
    }

    /// The name and the rule, for a message.
    fn named(&self) -> String {
        case_files::named(&self.name, self.rule.as_deref())
    }

    /// The pattern.
    ///
    /// # Errors
    /// Why it cannot be, which some cases expect.
    pub fn pattern(&self) -> Result<Pattern, PatternError> {
        Pattern::from_json(&self.ir)
    }

    /// The input as the reference reads it.
    pub fn input(&self) -> SequenceInput {
        SequenceInput::of_text(&self.events, self.event_time.as_deref())
    }

    /// The input as Arrow, topic by topic.
    ///
    /// # Panics
    /// If a cell does not fit its column: a mistake in the suite.
    pub fn batches(&self) -> Vec<(String, RecordBatch)> {
        let batch =
            |table: &TextTable| table.to_batch().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        self.events.iter().map(|(name, table)| (name.clone(), batch(table))).collect()
    }

    /// What the reference, or whoever answers in its terms, has found.
    pub fn found(&self, pattern: &Pattern, events: &[SequenceEvent], order: &[RowName]) -> Vec<FoundEvent> {
        let row = |topic: usize, row: usize| RowName { topic: self.events[topic].0.clone(), row };
        let decision = |moment: Moment| match moment {
            Moment { end_of_input: true, .. } => Decision::End,
            Moment { row: Some(place), .. } => Decision::Row(order[place].clone()),
            Moment { time, .. } => {
                let time = time.expect("a deadline has a time");
                Decision::Deadline(i64::try_from(time).expect("a time of the suite"))
            }
        };
        let found = |event: &SequenceEvent| FoundEvent {
            kind: match event.kind {
                SequenceKind::Match => "match".into(),
                SequenceKind::Timeout => "timeout".into(),
                SequenceKind::Emitted(entry) => pattern.emit_at[entry].topic.clone(),
            },
            members: event.members.iter().map(|(name, topic, at)| (name.clone(), row(*topic, *at))).collect(),
            at: Some(decision(event.moment)),
        };
        events.iter().map(found).collect()
    }

    /// Compares derived events, kind by kind, each in order. Says yes where the case expects an error.
    ///
    /// # Errors
    /// Both, where they differ.
    pub fn check_derived(&self, found: &[FoundEvent]) -> Result<(), String> {
        let Some(expected) = &self.derived else { return Ok(()) };
        let mut kinds: Vec<&str> = expected.iter().map(|event| event.kind.as_str()).collect();
        kinds.extend(found.iter().map(|event| event.kind.as_str()));
        for kind in kinds {
            let wanted: Vec<&ExpectedEvent> = expected.iter().filter(|event| event.kind == kind).collect();
            let got: Vec<&FoundEvent> = found.iter().filter(|event| event.kind == kind).collect();
            let same = |(wanted, got): (&&ExpectedEvent, &&FoundEvent)| {
                let decided = wanted.at.is_none() || got.at.is_none() || wanted.at == got.at;
                wanted.rows == by_variable(&got.members) && decided
            };
            if wanted.len() != got.len() || !wanted.iter().zip(&got).all(same) {
                return Err(format!(
                    "{}: {} of `{kind}` differ\n  pattern:  {}\n  expected: {}\n  found:    {}",
                    self.named(),
                    self.construct,
                    self.code,
                    show(wanted.iter().map(|event| (&event.rows, &event.at))),
                    show(got.iter().map(|event| (by_variable(&event.members), &event.at))),
                ));
            }
        }
        Ok(())
    }

    /// Compares the measures of the matches, in order. Says yes where the case expects none in particular.
    ///
    /// # Errors
    /// Both, where they differ.
    pub fn check_output(&self, columns: &[String], rows: &[Vec<RefValue>]) -> Result<(), String> {
        let Some(expected) = &self.output else { return Ok(()) };
        expected.check(columns, rows).map_err(|error| format!("{}: {error}", self.named()))
    }
}

impl DerivedEntry {
    fn read(self, events: &[(String, TextTable)]) -> Result<ExpectedEvent, String> {
        let mut rows = BTreeMap::new();
        for (variable, entries) in self.rows {
            let names: Result<Vec<RowName>, String> =
                entries.into_iter().map(|entry| entry.row(events)).collect();
            rows.insert(variable, names?);
        }
        let at = match self.at {
            None => None,
            Some(RowEntry::Text(text)) if text == "end" => Some(Decision::End),
            Some(RowEntry::Text(text)) if parse_timestamp(&text).is_some() => {
                parse_timestamp(&text).map(Decision::Deadline)
            }
            Some(entry) => Some(Decision::Row(entry.row(events)?)),
        };
        Ok(ExpectedEvent { kind: self.kind, rows, at })
    }
}

impl RowEntry {
    /// The row, which there must be.
    fn row(self, events: &[(String, TextTable)]) -> Result<RowName, String> {
        let (topic, row) = match self {
            Self::Number(row) => (String::new(), row),
            Self::Text(text) => {
                let (topic, row) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` is no row"))?;
                (topic.to_owned(), row.parse().map_err(|_| format!("`{text}` is no row"))?)
            }
        };
        match events.iter().find(|(name, _)| *name == topic) {
            Some((_, table)) if row < table.rows.len() => Ok(RowName { topic, row }),
            _ => Err(format!("there is no row {row} of topic `{topic}`")),
        }
    }
}

fn by_variable(members: &[(String, RowName)]) -> BTreeMap<String, Vec<RowName>> {
    let mut map: BTreeMap<String, Vec<RowName>> = BTreeMap::new();
    for (variable, row) in members {
        map.entry(variable.clone()).or_default().push(row.clone());
    }
    map
}

/// Events for a message: `a = 0; b = 1, 2 (at ..)`.
fn show<'e, R>(events: impl Iterator<Item = (R, &'e Option<Decision>)>) -> String
where
    R: std::borrow::Borrow<BTreeMap<String, Vec<RowName>>>,
{
    let row = |name: &RowName| match name.topic.as_str() {
        "" => name.row.to_string(),
        topic => format!("{topic}:{}", name.row),
    };
    let one = |(rows, at): (R, &Option<Decision>)| {
        let rows: Vec<String> = rows
            .borrow()
            .iter()
            .map(|(name, rows)| format!("{name} = {}", rows.iter().map(row).collect::<Vec<_>>().join(", ")))
            .collect();
        let at = at.as_ref().map_or(String::new(), |at| format!(" at {at:?}"));
        format!("{{{}{at}}}", rows.join("; "))
    };
    let shown: Vec<String> = events.map(one).collect();
    if shown.is_empty() { "nothing".into() } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(expected: &str) -> Result<SequenceCase, String> {
        let text =
            "[[test]]\nname = \"x\"\npattern = ''\nir = ''\nevents.l = \"k\\na\"\nevents.r = \"k\\nb\\nb\"\n";
        let cases = case_files::parse::<Entry>("file", &format!("{text}{expected}"))?;
        let [(_, case)] = cases.try_into().expect("one case");
        Ok(case)
    }

    #[test]
    fn rows_and_moments_are_read() {
        let read = r#"derived = [{ kind = "match", rows = { a = ["l:0"], b = ["r:0", "r:1"] }, at = "r:1" }, { kind = "up", rows = {}, at = "1970-01-01T00:00:01" }]"#;
        let derived = case(read).unwrap().derived.unwrap();
        let row = |topic: &str, row| RowName { topic: topic.into(), row };
        assert_eq!(derived[0].rows["b"], [row("r", 0), row("r", 1)]);
        assert_eq!(derived[0].at, Some(Decision::Row(row("r", 1))));
        assert_eq!(derived[1].at, Some(Decision::Deadline(1_000_000_000)));
    }

    #[test]
    fn cases_that_say_too_much_or_too_little_are_refused() {
        let refused = [
            "",
            "derived = []\nerror = \"x\"",
            r#"derived = [{ kind = "match", rows = { a = ["l:1"] } }]"#,
            r#"derived = [{ kind = "match", rows = { a = [0] } }]"#,
            r#"derived = [{ kind = "match", rows = { a = ["l"] } }]"#,
            "derived = []\noutput = \"m\\n1\"",
            "derived = []\nmatches = []",
        ];
        for text in refused {
            assert!(case(text).is_err(), "{text}");
        }
        assert!(case("derived = []").is_ok());
        assert!(case("error = \"x\"").is_ok());
    }
}
