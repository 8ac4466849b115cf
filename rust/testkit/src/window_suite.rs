//! The conformance cases of windows: `tests/conformance/windows/*.toml`, which its README describes.

use std::path::Path;

use cepheid_ir::{Early, Empty, Expr, Frame, Measure, Reports, Window};
use serde::Deserialize;

use crate::case_files::{self, CaseEntry, EventsEntry};
use crate::row_case::RowCase;

/// One case.
pub type WindowCase = RowCase<Framed>;

/// What is asked of which windows.
#[derive(Clone, Debug)]
pub struct Framed {
    /// Which rows share a window.
    pub frame: Frame,
    /// Measures, each `expression AS name`.
    measures: Vec<String>,
    reports: Reports,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    name: String,
    rule: Option<String>,
    frame: String,
    topic: Option<String>,
    #[serde(default)]
    by: Vec<String>,
    #[serde(rename = "where")]
    condition: Option<String>,
    measures: Vec<String>,
    early: Option<String>,
    empty: Option<String>,
    late: Option<String>,
    lateness: Option<String>,
    events: EventsEntry,
    event_time: Option<String>,
    output: Option<String>,
    error: Option<String>,
}

/// Reads every `*.toml` of a folder, files and cases in a fixed order.
///
/// # Errors
/// A file that cannot be read, a case that says too much or too little, a name used twice.
pub fn load(folder: &Path) -> Result<Vec<WindowCase>, String> {
    case_files::load::<Entry>(folder)
}

impl CaseEntry for Entry {
    type Case = WindowCase;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(self, construct: &str) -> Result<WindowCase, String> {
        let output = case_files::expected(self.output.as_deref(), self.error.as_deref())?;
        let span = |text: &str| read_span(text).ok_or_else(|| format!("`{text}` is no span of time"));
        let lateness = self.lateness.as_deref().map(span).transpose()?.map(i64::unsigned_abs);
        Ok(WindowCase {
            asked: Framed {
                frame: read_frame(&self.frame).ok_or_else(|| format!("`{}` is no frame", self.frame))?,
                measures: self.measures,
                reports: Reports {
                    early: self.early.as_deref().map(read_early).transpose()?,
                    empty: self.empty.as_deref().map(read_empty).transpose()?,
                    late_ns: self.late.as_deref().map(span).transpose()?,
                },
            },
            name: self.name,
            construct: construct.to_owned(),
            rule: self.rule,
            topic: self.topic,
            by: self.by,
            condition: self.condition,
            events: self.events.read()?,
            event_time: self.event_time,
            lateness,
            output,
            error: self.error,
        })
    }
}

impl WindowCase {
    /// The window. `parse` reads an expression and the name that may stand behind it.
    ///
    /// # Errors
    /// What the parser says.
    ///
    /// # Panics
    /// If a column of the key or a measure without a name is none: a mistake in the suite.
    pub fn window<E>(&self, parse: impl Fn(&str) -> Result<(Expr, Option<String>), E>) -> Result<Window, E> {
        let value = |text: &str| parse(text).map(|(value, _)| value);
        let measure = |text: &String| {
            let (value, name) = parse(text)?;
            let name = name.unwrap_or_else(|| panic!("{}: {text} has no name", self.name));
            Ok(Measure { name, value })
        };
        Ok(Window {
            name: None,
            topic: self.topic.clone(),
            partition_by: self.keys(value)?,
            condition: self.condition.as_deref().map(value).transpose()?,
            frame: self.asked.frame,
            measures: self.asked.measures.iter().map(measure).collect::<Result<_, E>>()?,
            reports: self.asked.reports,
            emit: None,
            event_time: None,
        })
    }
}

/// Reads `tumbling 10s`, `hopping 60s every 5s`, both perhaps with `offset 1s`, `sliding 10m`, `session 30s`,
/// `rows 100`, perhaps with `every 50`.
fn read_frame(text: &str) -> Option<Frame> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (words, offset_ns) = match words.as_slice() {
        [words @ .., "offset", offset] => (words, Some(read_span(offset)?)),
        words => (words, None),
    };
    let offset = offset_ns.unwrap_or(0);
    match (words, offset_ns) {
        (["tumbling", size], _) => {
            let size_ns = read_span(size)?;
            Some(Frame::Time { size_ns, every_ns: size_ns, offset_ns: offset })
        }
        (["hopping", size, "every", every], _) => {
            Some(Frame::Time { size_ns: read_span(size)?, every_ns: read_span(every)?, offset_ns: offset })
        }
        (["sliding", preceding], None) => Some(Frame::Range { preceding_ns: read_span(preceding)? }),
        (["session", gap], None) => Some(Frame::Session { gap_ns: read_span(gap)? }),
        (["rows", rows], None) => {
            let rows = rows.parse().ok()?;
            Some(Frame::Rows { rows, every: rows })
        }
        (["rows", rows, "every", every], None) => {
            Some(Frame::Rows { rows: rows.parse().ok()?, every: every.parse().ok()? })
        }
        _ => None,
    }
}

/// Reads `every 5s` or `rows 100`.
fn read_early(text: &str) -> Result<Early, String> {
    let early = match text.split_once(' ') {
        Some(("every", span)) => read_span(span).map(Early::EveryNs),
        Some(("rows", rows)) => rows.parse().ok().map(Early::Rows),
        _ => None,
    };
    early.ok_or_else(|| format!("`{text}` is nothing that reports come early with"))
}

/// Reads `always` or `for 10m`.
fn read_empty(text: &str) -> Result<Empty, String> {
    let empty = match text.split_once(' ') {
        None if text == "always" => Some(Empty { for_ns: None }),
        Some(("for", span)) => read_span(span).map(|span| Empty { for_ns: Some(span) }),
        _ => None,
    };
    empty.ok_or_else(|| format!("`{text}` is nothing that empty windows are reported for"))
}

/// Reads `90s`: a whole number and its unit.
fn read_span(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at(text.find(|letter: char| letter.is_ascii_alphabetic())?);
    let nanoseconds: i64 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read() {
        let second = 1_000_000_000;
        let time = |size_ns, every_ns, offset_ns| Some(Frame::Time { size_ns, every_ns, offset_ns });
        assert_eq!(read_frame("tumbling 10s"), time(10 * second, 10 * second, 0));
        assert_eq!(read_frame("tumbling 1m offset 5s"), time(60 * second, 60 * second, 5 * second));
        assert_eq!(
            read_frame("hopping 1h every 1d offset -1ms"),
            time(3600 * second, 86_400 * second, -1_000_000)
        );
        assert_eq!(read_frame("sliding 7us"), Some(Frame::Range { preceding_ns: 7_000 }));
        assert_eq!(read_frame("session 3ns"), Some(Frame::Session { gap_ns: 3 }));
        assert_eq!(read_frame("rows 3"), Some(Frame::Rows { rows: 3, every: 3 }));
        assert_eq!(read_frame("rows 3 every 2"), Some(Frame::Rows { rows: 3, every: 2 }));
        for text in
            ["", "tumbling", "tumbling 10", "tumbling 10x", "sliding 1s offset 1s", "rows 3s", "rows -1"]
        {
            assert_eq!(read_frame(text), None, "{text}");
        }
    }

    #[test]
    fn cases_that_say_too_much_or_too_little_are_refused() {
        let read = |more: &str| {
            let text = "[[test]]\nname = \"x\"\nmeasures = [\"COUNT(*) AS n\"]\nevents = \"t\\n1\"\n";
            case_files::parse::<Entry>("file", &format!("{text}{more}"))
        };
        let frame = "frame = \"rows 2\"\n";
        assert!(read(&format!("{frame}output = \"n\\n1\"")).is_ok());
        assert!(read(&format!("{frame}error = \"x\"")).is_ok());
        let refused = ["", "error = \"x\"\noutput = \"n\\n1\"", "error = \"x\"\nmatches = []"];
        for text in refused {
            assert!(read(&format!("{frame}{text}")).is_err(), "{text}");
        }
        assert!(read("frame = \"rows\"\nerror = \"x\"").is_err());
    }
}
