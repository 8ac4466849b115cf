//! A plan in prose.

use std::fmt::Write;

use arrow_schema::Schema;
use cepheid_ir::{AfterMatchSkip, EmptyMatches, Pattern, RowsPerMatch, SkipRow, Within};
use cepheid_matcher::{Automaton, Plan as Strategies, StepLists, Strategy};

use crate::error::EngineError;
use crate::plan::{InTable, MatchOptions, Matching, Plan};

/// The plan in prose: what is looked for, the strategy and why, its cost and how far a match may reach. With a schema,
/// names and types are checked as well, and the strategies are weighed; without one only what needs no types is said.
///
/// # Errors
/// See [`EngineError`].
pub fn explain(pattern: &Pattern, schema: Option<&Schema>) -> Result<String, EngineError> {
    let mut text = String::new();
    let written = match schema {
        Some(schema) => {
            let plan = Plan::new(pattern, schema, &MatchOptions::default())?;
            let weighed = match &plan.matching {
                Matching::Search(matcher) => Weighed::Search(matcher.plan()),
                Matching::Sequences { matcher, in_table } => {
                    let in_table = in_table.as_ref().expect("planned for a table");
                    let InTable { next, steps, joined, promoted } = &**in_table;
                    let output = match plan.outputs.shifted.as_slice() {
                        [] => Ok(()),
                        _ => Err("a measure reads rows beside those of a match"),
                    };
                    let preferred = match (in_table.lists(None), output) {
                        (Some(lists), Ok(())) => lists.strategy(),
                        _ => Strategy::Sequences,
                    };
                    let in_streams = steps.as_ref().map_or(Ok(()), |steps| steps.check_for_streams(matcher));
                    let steps = steps.as_ref().map(StepLists::cuts_partitions).map_err(|reason| *reason);
                    let joined = joined.as_ref().map_err(|reason| *reason);
                    Weighed::Sequences {
                        preferred,
                        next: next.and(output),
                        steps: steps.and_then(|cuts| output.map(|()| cuts)),
                        joined: joined
                            .and_then(|joined| output.map(|()| joined.outline(&plan.automaton().variables))),
                        in_streams,
                        waits: matcher.outline(schema, promoted.as_deref()),
                    }
                }
                Matching::Trend(trend) => Weighed::Trend { cuts_partitions: trend.matcher.cuts_partitions() },
            };
            describe(&mut text, plan.pattern(), plan.automaton(), Some(weighed))
        }
        None => {
            pattern.validate()?;
            let pattern = pattern.clone().normalise();
            describe(&mut text, &pattern, &Automaton::compile(&pattern)?, None)
        }
    };
    written.expect("writing to a string does not fail");
    Ok(text)
}

/// What the planner has found out.
enum Weighed<'a> {
    Search(&'a Strategies),
    Sequences {
        preferred: Strategy,
        /// Why next lists cannot run it, if they cannot.
        next: Result<(), &'static str>,
        /// Whether step lists, if they can run it, may cut partitions for several threads; or why they cannot.
        steps: Result<bool, &'static str>,
        /// Why step lists that can run it in a table cannot do so in a stream, if they cannot.
        in_streams: Result<(), &'static str>,
        /// How joined lists find what rows follow, in sentences, or why they cannot.
        joined: Result<Vec<String>, &'static str>,
        /// How runs that wait are told apart, in sentences.
        waits: Vec<String>,
    },
    /// Values over all matches are wanted.
    Trend {
        cuts_partitions: bool,
    },
}

fn describe(
    text: &mut String,
    pattern: &Pattern,
    automaton: &Automaton,
    weighed: Option<Weighed<'_>>,
) -> std::fmt::Result {
    let name = pattern.name.as_deref().unwrap_or("pattern");
    writeln!(
        text,
        "{name}: {} variables, {} places that take a row",
        automaton.variables.len(),
        automaton.positions.len()
    )?;
    writeln!(text, "  variables: {}", automaton.variables.join(", "))?;
    let columns: Vec<&str> = pattern.partition_by.iter().map(|c| c.name.as_str()).collect();
    match columns.as_slice() {
        [] => writeln!(text, "  rows: one partition")?,
        columns => writeln!(text, "  rows: partitioned by {}", columns.join(", "))?,
    }
    let keys: Vec<String> = pattern
        .order_by
        .iter()
        .map(|key| format!("{}{}", key.column.name, if key.descending { " descending" } else { "" }))
        .collect();
    match keys.as_slice() {
        [] => writeln!(text, "  order: arrival")?,
        keys => writeln!(text, "  order: {}, ties by arrival", keys.join(", "))?,
    }
    let output = match pattern.rows_per_match {
        RowsPerMatch::One if pattern.trend.is_some() => "one row a partition, or one a window of it",
        RowsPerMatch::One => "one row a match",
        RowsPerMatch::AllShowEmpty => "one row a matched row, and one an empty match",
        RowsPerMatch::AllOmitEmpty => "one row a matched row",
        RowsPerMatch::AllWithUnmatched => "one row a matched row, an empty match, and an unmatched row",
    };
    writeln!(text, "  output: {output}")?;
    let skip = match &pattern.after_match {
        AfterMatchSkip::PastLastRow => "past its last row".to_owned(),
        AfterMatchSkip::ToNextRow => "at the row after its first".to_owned(),
        AfterMatchSkip::ToVariable { variable, row: SkipRow::First, .. } => {
            format!("at the first row of {variable}")
        }
        AfterMatchSkip::ToVariable { variable, row: SkipRow::Last, .. } => {
            format!("at the last row of {variable}")
        }
        AfterMatchSkip::None => "at every row, whatever has matched".to_owned(),
        AfterMatchSkip::Consume => "after every row that completes a match".to_owned(),
    };
    writeln!(text, "  after a match: the search goes on {skip}")?;
    let empty = match pattern.empty_matches {
        EmptyMatches::Allowed if automaton.accepts_empty() => "possible",
        EmptyMatches::Allowed => "impossible in this pattern",
        EmptyMatches::Excluded => "no match",
    };
    writeln!(text, "  empty match: {empty}")?;
    match pattern.within {
        Some(Within::Time { nanoseconds }) => {
            writeln!(text, "  bound: last row less than {} s after the first", nanoseconds as f64 / 1e9)?;
        }
        Some(Within::Unbounded) => writeln!(text, "  bound: none")?,
        Some(Within::Rows(rows)) => writeln!(text, "  bound: last row at most {rows} rows after the first")?,
        None => writeln!(text, "  bound: none but the partition's end")?,
    }
    let strategies = match weighed {
        None => return writeln!(text, "  strategy: chosen when a table's column types are known"),
        Some(Weighed::Trend { cuts_partitions }) => {
            let only = Strategy::Trends;
            writeln!(text, "  strategy: {only}; {}", only.cost())?;
            writeln!(text, "    values over all matches are wanted: none of them is built")?;
            return describe_threads(text, cuts_partitions);
        }
        Some(Weighed::Search(strategies)) => strategies,
        Some(Weighed::Sequences { preferred, next, steps, in_streams, joined, waits }) => {
            let (first, second, third) = (Strategy::NextLists, Strategy::StepLists, Strategy::JoinedLists);
            let runs = Strategy::Sequences;
            writeln!(text, "  strategy: {preferred}; {}", preferred.cost())?;
            match next {
                Ok(()) => writeln!(
                    text,
                    "    {first} can run it: every step takes the next row that fits, and every condition is asked of single rows; taken in a table if the data show that no row fits two of the steps that a run goes on with"
                )?,
                Err(reason) => writeln!(text, "    {first} cannot run it: {reason}")?,
            }
            match steps {
                Ok(_) => {
                    writeln!(
                        text,
                        "    {second} can run it: every condition is asked of single rows, and all matches are wanted or runs have no choice"
                    )?;
                    match in_streams {
                        Ok(()) => writeln!(text, "    in a stream, too")?,
                        Err(reason) => writeln!(text, "    in a stream, {runs} run it: {reason}")?,
                    }
                }
                Err(reason) => writeln!(text, "    {second} cannot run it: {reason}")?,
            }
            match joined {
                Ok(lines) => {
                    writeln!(
                        text,
                        "    {third} can run it: all matches of one step after another are wanted, in a table; whatever has no row for each step, in order, in its window is leapt over"
                    )?;
                    lines.iter().try_for_each(|line| writeln!(text, "    {line}"))?;
                }
                Err(reason) => writeln!(text, "    {third} cannot run it: {reason}")?,
            }
            writeln!(
                text,
                "    {runs} can run it: the pattern says more than a row pattern: runs wait for what comes next"
            )?;
            waits.iter().try_for_each(|line| writeln!(text, "    {line}"))?;
            return describe_threads(text, steps.unwrap_or(false));
        }
    };
    let preferred = strategies.preferred();
    writeln!(text, "  strategy: {preferred}; {}", preferred.cost())?;
    for (strategy, reason) in &strategies.reasons {
        let verdict = if strategies.accepting.contains(strategy) { "can run it" } else { "cannot run it" };
        writeln!(text, "    {strategy} {verdict}: {reason}")?;
    }
    describe_threads(text, false)
}

fn describe_threads(text: &mut String, cuts_partitions: bool) -> std::fmt::Result {
    let parts = if cuts_partitions {
        ", and parts of one where its bound is short beside them"
    } else {
        "; each has one"
    };
    writeln!(text, "  threads: in a table, they share partitions{parts}")
}
