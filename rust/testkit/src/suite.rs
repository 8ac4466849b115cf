//! The conformance suite: what patterns mean, case by case, as data.
//!
//! `tests/conformance/README.md` describes the format. The suite hands out text and tables and checks answers; it
//! parses no SQL, so that any front end can be run through it.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use cepheid_ir::{AfterMatchSkip, Definition, EmptyMatches, Expr, OutputColumns, Pattern};
use serde::Deserialize;

use crate::case_files::{self, CaseEntry};
use crate::reference_table::ReferenceTable;
use crate::text_table::TextTable;
use crate::value::RefValue;

/// Which of the two meanings a case is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// SQL's.
    #[default]
    Sql,
    /// The pattern algebra's: see [`Case::to_algebra`].
    Algebra,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Unique in the suite.
    pub name: String,
    /// The file it stands in, without folder and extension: the construct.
    pub construct: String,
    /// The rule that it shows.
    rule: Option<String>,
    /// Which meaning.
    pub mode: Mode,
    /// The input.
    pub events: TextTable,
    /// Expected matches: arrival ordinals by variable, an empty map for an empty match.
    pub matches: Option<Vec<BTreeMap<String, Vec<usize>>>>,
    /// Expected output.
    pub output: Option<TextTable>,
    /// Expected error code.
    pub error: Option<String>,
    query: QueryText,
}

/// The query as the file spells it.
#[derive(Clone, Debug)]
enum QueryText {
    Whole(String),
    Pieces(Pieces),
}

/// The clauses of a `MATCH_RECOGNIZE`.
#[derive(Clone, Debug)]
struct Pieces {
    partition_by: Option<String>,
    order_by: Option<String>,
    pattern: Option<String>,
    define: BTreeMap<String, String>,
    subset: Option<String>,
    measures: Option<String>,
    rows_per_match: Option<String>,
    after_match: Option<String>,
    within: Option<String>,
    initial: bool,
}

/// One `[[test]]`. Serde cannot both flatten and refuse unknown keys, so the keys of [`Pieces`] are listed again.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    rule: Option<String>,
    #[serde(default)]
    mode: Mode,
    events: String,
    sql: Option<String>,
    partition_by: Option<String>,
    order_by: Option<String>,
    pattern: Option<String>,
    #[serde(default)]
    define: BTreeMap<String, String>,
    subset: Option<String>,
    measures: Option<String>,
    rows_per_match: Option<String>,
    after_match: Option<String>,
    within: Option<String>,
    #[serde(default)]
    initial: bool,
    matches: Option<Vec<BTreeMap<String, Vec<usize>>>>,
    output: Option<String>,
    error: Option<String>,
}

/// Reads every `*.toml` of a folder, files and cases in a fixed order.
///
/// # Errors
/// A file that cannot be read, a case that says too much or too little, a name used twice.
pub fn load(folder: &Path) -> Result<Vec<Case>, String> {
    case_files::load::<Entry>(folder)
}

impl CaseEntry for Entry {
    type Case = Case;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(self, construct: &str) -> Result<Case, String> {
        Case::read(construct, self)
    }
}

impl Case {
    fn read(construct: &str, entry: Entry) -> Result<Self, String> {
        if entry.matches.is_none() && entry.output.is_none() && entry.error.is_none() {
            return Err("nothing is expected: give `matches`, `output` or `error`".into());
        }
        if entry.error.is_some() && (entry.matches.is_some() || entry.output.is_some()) {
            return Err("an error leaves nothing else to expect".into());
        }
        let pieces = Pieces {
            partition_by: entry.partition_by,
            order_by: entry.order_by,
            pattern: entry.pattern,
            define: entry.define,
            subset: entry.subset,
            measures: entry.measures,
            rows_per_match: entry.rows_per_match,
            after_match: entry.after_match,
            within: entry.within,
            initial: entry.initial,
        };
        let query = match (entry.sql, &pieces.pattern) {
            (Some(sql), None) => QueryText::Whole(sql),
            (None, Some(_)) => QueryText::Pieces(pieces),
            _ => return Err("give either `sql` or `pattern`".into()),
        };
        if entry.mode == Mode::Algebra && matches!(query, QueryText::Whole(_)) {
            return Err("a case of the algebra is given in pieces".into());
        }
        let case = Self {
            name: entry.name,
            construct: construct.to_owned(),
            rule: entry.rule,
            mode: entry.mode,
            events: TextTable::parse(&entry.events).map_err(|error| format!("events: {error}"))?,
            matches: entry.matches,
            output: entry
                .output
                .map(|text| TextTable::parse(&text))
                .transpose()
                .map_err(|error| format!("output: {error}"))?,
            error: entry.error,
            query,
        };
        case.pieces_text(true)?;
        Ok(case)
    }

    /// The name and the rule, for a message.
    fn named(&self) -> String {
        case_files::named(&self.name, self.rule.as_deref())
    }

    /// The whole query, over a table `t`.
    pub fn sql_text(&self) -> String {
        self.pieces_text(true).expect("read() has tried it")
    }

    /// The conditions of the variables as written, for a case in pieces: names as in SQL text, quoted or not.
    fn conditions(&self) -> Option<&BTreeMap<String, String>> {
        match &self.query {
            QueryText::Whole(_) => None,
            QueryText::Pieces(pieces) => Some(&pieces.define),
        }
    }

    fn pieces_text(&self, with_define: bool) -> Result<String, String> {
        let pieces = match &self.query {
            QueryText::Whole(sql) => return Ok(sql.clone()),
            QueryText::Pieces(pieces) => pieces,
        };
        let mut clauses: Vec<String> = vec![];
        let mut clause = |words: &str, text: &Option<String>| {
            clauses.extend(text.as_ref().map(|text| format!("{words} {text}")));
        };
        clause("PARTITION BY", &pieces.partition_by);
        clause("ORDER BY", &pieces.order_by);
        clause("MEASURES", &pieces.measures);
        clauses.extend(pieces.rows_per_match.as_deref().map(rows_per_match_text).transpose()?);
        clauses.extend(pieces.after_match.as_deref().map(after_match_text).transpose()?);
        clauses.extend(pieces.initial.then(|| "INITIAL".to_owned()));
        clauses.push(format!("PATTERN ({})", pieces.pattern.as_deref().unwrap_or_default()));
        clauses.extend(pieces.within.as_ref().map(|text| format!("WITHIN {text}")));
        clauses.extend(pieces.subset.as_ref().map(|text| format!("SUBSET {text}")));
        if with_define && !pieces.define.is_empty() {
            let definitions: Vec<String> = pieces
                .define
                .iter()
                .map(|(variable, condition)| format!("{variable} AS {condition}"))
                .collect();
            clauses.push(format!("DEFINE {}", definitions.join(", ")));
        }
        Ok(format!("SELECT * FROM t MATCH_RECOGNIZE (\n  {}\n)", clauses.join("\n  ")))
    }

    /// The pattern of a case of the algebra.
    ///
    /// `parse_pattern` reads a whole query without `DEFINE`; `parse_condition` reads a condition in the dialect of
    /// the algebra, where `B.x` covers the rows accepted before the one under test. What differs from SQL is then
    /// set: no empty matches, columns of a derived event, skip targets that forgive.
    ///
    /// # Errors
    /// What the parsers say.
    pub fn to_algebra<E>(
        &self,
        parse_pattern: impl FnOnce(&str) -> Result<Pattern, E>,
        parse_condition: impl Fn(&str) -> Result<Expr, E>,
    ) -> Result<Pattern, E> {
        let text = self.pieces_text(false).expect("read() has tried it");
        let mut pattern = parse_pattern(&text)?;
        for (variable, condition) in self.conditions().into_iter().flatten() {
            let variable = match variable.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(quoted) => quoted.replace("\"\"", "\""),
                None => variable.to_uppercase(),
            };
            pattern.define.push(Definition { variable, condition: parse_condition(condition)? });
        }
        pattern.empty_matches = EmptyMatches::Excluded;
        pattern.output = OutputColumns::Derived;
        if let AfterMatchSkip::ToVariable { strict, .. } = &mut pattern.after_match {
            *strict = false;
        }
        Ok(pattern.normalise())
    }

    /// The input as Arrow.
    ///
    /// # Panics
    /// If a cell does not fit its column: a mistake in the suite.
    pub fn table(&self) -> (SchemaRef, RecordBatch) {
        let batch = self.events.to_batch().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        (batch.schema(), batch)
    }

    /// The input as the reference reads it.
    pub fn reference_table(&self) -> ReferenceTable {
        self.events.to_reference()
    }

    /// Compares matches, each its `(variable, arrival ordinal)` pairs in the order of the partition, rows inside
    /// exclusions included, empty matches as no pairs. Says yes where the case expects no matches in particular.
    ///
    /// # Errors
    /// Both, where they differ.
    pub fn check_matches(&self, found: &[Vec<(String, usize)>]) -> Result<(), String> {
        let Some(expected) = &self.matches else { return Ok(()) };
        let by_variable = |members: &Vec<(String, usize)>| {
            let mut map: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (variable, row) in members {
                map.entry(variable.clone()).or_default().push(*row);
            }
            map
        };
        let found: Vec<_> = found.iter().map(by_variable).collect();
        if *expected == found {
            return Ok(());
        }
        Err(format!("{}: matches differ\n  expected: {expected:?}\n  found:    {found:?}", self.named()))
    }

    /// Compares output rows. Says yes where the case expects no output in particular.
    ///
    /// # Errors
    /// Both, where they differ.
    pub fn check_rows(&self, columns: &[String], rows: &[Vec<RefValue>]) -> Result<(), String> {
        let Some(expected) = &self.output else { return Ok(()) };
        expected.check(columns, rows).map_err(|error| format!("{}: {error}", self.named()))
    }

    /// As [`check_rows`](Self::check_rows) over Arrow, types that the expectation names included.
    ///
    /// # Errors
    /// Both, where they differ.
    pub fn check_output(&self, batch: &RecordBatch) -> Result<(), String> {
        let Some(expected) = &self.output else { return Ok(()) };
        expected.check_batch(batch).map_err(|error| format!("{}: {error}", self.named()))
    }
}

fn rows_per_match_text(words: &str) -> Result<String, String> {
    Ok(match words {
        "one" => "ONE ROW PER MATCH",
        "all" => "ALL ROWS PER MATCH",
        "all-show-empty" => "ALL ROWS PER MATCH SHOW EMPTY MATCHES",
        "all-omit-empty" => "ALL ROWS PER MATCH OMIT EMPTY MATCHES",
        "all-with-unmatched" => "ALL ROWS PER MATCH WITH UNMATCHED ROWS",
        other => return Err(format!("`{other}` is no rows-per-match")),
    }
    .to_owned())
}

fn after_match_text(words: &str) -> Result<String, String> {
    let (skip, target) = words.split_once(' ').unwrap_or((words, ""));
    let skip = match (skip, target.is_empty()) {
        ("skip-past-last-row", true) => "SKIP PAST LAST ROW",
        ("skip-to-next-row", true) => "SKIP TO NEXT ROW",
        ("skip-to-first", false) => "SKIP TO FIRST",
        ("skip-to-last", false) => "SKIP TO LAST",
        ("skip-to", false) => "SKIP TO",
        _ => return Err(format!("`{words}` is no after-match")),
    };
    Ok(format!("AFTER MATCH {skip} {target}").trim_end().to_owned())
}
