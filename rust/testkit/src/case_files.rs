//! Folders of conformance cases: what every suite asks of its files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::text_table::TextTable;

/// One `[[test]]` as it is written.
pub(crate) trait CaseEntry: DeserializeOwned {
    /// What becomes of it.
    type Case;

    /// Its name, which is unique in the suite.
    fn name(&self) -> &str;

    /// The case, of the file named `construct`.
    ///
    /// # Errors
    /// What it says too much or too little.
    fn read(self, construct: &str) -> Result<Self::Case, String>;
}

/// The input of a case: one table, or tables by topic.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum EventsEntry {
    Table(String),
    Topics(BTreeMap<String, String>),
}

impl EventsEntry {
    /// Topics in alphabetical order; a single table has the empty name.
    ///
    /// # Errors
    /// What is wrong with a table.
    pub(crate) fn read(self) -> Result<Vec<(String, TextTable)>, String> {
        let topics = match self {
            Self::Table(text) => BTreeMap::from([(String::new(), text)]),
            Self::Topics(topics) => topics,
        };
        let table = |text: &str| TextTable::parse(text).map_err(|error| format!("events: {error}"));
        topics.into_iter().map(|(name, text)| Ok((name, table(&text)?))).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<E> {
    test: Vec<E>,
}

/// Reads every `*.toml` of a folder, files and cases in a fixed order.
///
/// # Errors
/// A file that cannot be read, a case that says too much or too little, a name used twice.
pub(crate) fn load<E: CaseEntry>(folder: &Path) -> Result<Vec<E::Case>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut cases: Vec<E::Case> = vec![];
    let mut names: HashMap<String, String> = HashMap::new();
    for path in paths {
        let construct = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{construct}: {error}"))?;
        for (name, case) in parse::<E>(&construct, &text)? {
            if let Some(other) = names.insert(name.clone(), construct.clone()) {
                return Err(format!("{construct}: `{name}` is the name of a case in {other} too"));
            }
            cases.push(case);
        }
    }
    Ok(cases)
}

/// Reads one file: its cases, each with its name.
///
/// # Errors
/// As [`load`].
pub(crate) fn parse<E: CaseEntry>(construct: &str, text: &str) -> Result<Vec<(String, E::Case)>, String> {
    let file: File<E> = toml::from_str(text).map_err(|error| format!("{construct}: {error}"))?;
    let read = |entry: E| {
        let name = entry.name().to_owned();
        let kebab = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let case = if kebab && !name.is_empty() {
            entry.read(construct)
        } else {
            Err("a name is lower case words with hyphens between".into())
        };
        match case {
            Ok(case) => Ok((name, case)),
            Err(error) => Err(format!("{construct}: {name}: {error}")),
        }
    };
    file.test.into_iter().map(read).collect()
}

/// The name of a case and the rule that it shows, for a message.
pub(crate) fn named(name: &str, rule: Option<&str>) -> String {
    match rule {
        Some(rule) => format!("{name} ({rule})"),
        None => name.to_owned(),
    }
}

/// What a case expects: a table, or else an error.
///
/// # Errors
/// Both are given, or neither, or the table is none.
pub(crate) fn expected(output: Option<&str>, error: Option<&str>) -> Result<Option<TextTable>, String> {
    if output.is_none() == error.is_none() {
        return Err("give either `output` or `error`".into());
    }
    output.map(TextTable::parse).transpose().map_err(|error| format!("output: {error}"))
}
