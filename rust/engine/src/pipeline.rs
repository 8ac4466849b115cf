//! The stages, in order.

use cepheid_event::{OrderedRows, Table};
use cepheid_ir::Pattern;
use cepheid_matcher::lists::MEMBERS_MAX;
use cepheid_matcher::sequence::FoundKind;
use cepheid_matcher::trend::TrendWork;
use cepheid_matcher::{FindOptions, Found, Matcher, Wanted, matcher};
use num_bigint::BigUint;

use crate::derive::{Deriving, derive};
use crate::error::EngineError;
use crate::lists;
use crate::match_order::order_of;
use crate::matches::{MatchTable, Origin};
use crate::plan::{MatchOptions, Matching, Plan};
use crate::sequences::{find_sequences, match_sequences, sequence_outputs};
use crate::stream::TopicOutputs;
use crate::trend;
use crate::trend_output::aggregate_table;

/// Matches one table, the whole input.
///
/// # Errors
/// See [`EngineError`].
pub fn match_table(
    pattern: &Pattern,
    table: &Table,
    options: &MatchOptions,
) -> Result<MatchTable, EngineError> {
    let plan = Plan::new(pattern, table.schema(), options)?;
    if let Some(matches) = lists::match_table(&plan, table, options, usize::MAX, MEMBERS_MAX)? {
        return Ok(matches);
    }
    match_one_by_one(&plan, table, options)
}

/// The same by whatever strategy there is beside lists.
pub(crate) fn match_one_by_one(
    plan: &Plan,
    table: &Table,
    options: &MatchOptions,
) -> Result<MatchTable, EngineError> {
    let matcher = match &plan.matching {
        Matching::Search(matcher) => matcher,
        Matching::Sequences { .. } => return match_sequences(plan, table, options),
        Matching::Trend(trend) => {
            return aggregate_table(plan, trend, table, options, &mut TrendWork::default());
        }
    };
    let (rows, found) = find(plan, matcher, table, options, Wanted::All)?;
    let order = order_of(plan, table, &rows, &found.matches)?;
    let variables = plan.automaton().variables.clone();
    let origin = Origin { set: found.matches, rows, variables, strategy: found.strategy, labels: None };
    let threads = options.workers(origin.set.len()).threads;
    derive(&Deriving { plan, measures: &plan.outputs.measures, table, order, threads }, origin)
}

/// Matches one table, and gives whatever the pattern derives beside its matches: timeouts, as `<topic>.timeout`, and
/// intermediate outputs. A pattern that names no topic is a rule by the name of `rule`.
///
/// # Errors
/// See [`EngineError`]; [`EngineError::TopicConflict`] if intermediate outputs of one topic differ in their columns.
pub fn match_outputs(
    pattern: &Pattern,
    rule: &str,
    table: &Table,
    options: &MatchOptions,
) -> Result<TopicOutputs<MatchTable>, EngineError> {
    if !pattern.timeouts && pattern.emit_at.is_empty() {
        return Ok((match_table(pattern, table, options)?, vec![]));
    }
    sequence_outputs(&Plan::new(pattern, table.schema(), options)?, rule, table, options)
}

/// The first `most` matches of those that [`match_table`] gives. Where lists find them the rest is not built.
///
/// # Errors
/// See [`EngineError`].
pub fn match_head(
    pattern: &Pattern,
    table: &Table,
    most: usize,
    options: &MatchOptions,
) -> Result<MatchTable, EngineError> {
    let plan = Plan::new(pattern, table.schema(), options)?;
    match lists::match_table(&plan, table, options, most, MEMBERS_MAX)? {
        Some(matches) => Ok(matches),
        None => Ok(match_one_by_one(&plan, table, options)?.head(most)),
    }
}

/// The number of matches, empty ones included; none of them is built.
///
/// # Errors
/// See [`EngineError`].
pub fn count_matches(
    pattern: &Pattern,
    table: &Table,
    options: &MatchOptions,
) -> Result<BigUint, EngineError> {
    let plan = Plan::new(pattern, table.schema(), options)?;
    if let Some(counted) = trend::count(plan.pattern(), &plan.outputs, table, options, false)? {
        return Ok(counted);
    }
    match &plan.matching {
        Matching::Search(matcher) => {
            let (_, found) = find(&plan, matcher, table, options, Wanted::All)?;
            Ok(found.matches.len().into())
        }
        Matching::Sequences { .. } => {
            if let Some(counted) = lists::count(&plan, table, options)? {
                return Ok(counted.into());
            }
            let found = find_sequences(&plan, table, options, Wanted::All)?;
            Ok(found.found.found.iter().filter(|entry| entry.kind == FoundKind::Match).count().into())
        }
        Matching::Trend(_) => one_by_one(pattern, |pattern| count_matches(pattern, table, options)),
    }
}

/// Whether there is a match; stops at the first.
///
/// # Errors
/// See [`EngineError`].
pub fn exists_match(pattern: &Pattern, table: &Table, options: &MatchOptions) -> Result<bool, EngineError> {
    let plan = Plan::new(pattern, table.schema(), options)?;
    if let Some(counted) = trend::count(plan.pattern(), &plan.outputs, table, options, true)? {
        return Ok(counted != BigUint::ZERO);
    }
    match &plan.matching {
        Matching::Search(matcher) => {
            let (_, found) = find(&plan, matcher, table, options, Wanted::First)?;
            Ok(!found.matches.is_empty())
        }
        Matching::Sequences { .. } => {
            if let Some(exists) = lists::exists(&plan, table, options)? {
                return Ok(exists);
            }
            let found = find_sequences(&plan, table, options, Wanted::First)?;
            Ok(found.found.found.iter().any(|entry| entry.kind == FoundKind::Match))
        }
        Matching::Trend(_) => one_by_one(pattern, |pattern| exists_match(pattern, table, options)),
    }
}

/// Asks of the matches themselves what a pattern that aggregates over them could not be asked.
fn one_by_one<T>(
    pattern: &Pattern,
    ask: impl FnOnce(&Pattern) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    ask(&Pattern { trend: None, ..pattern.clone() })
}

/// Groups and orders the rows, then searches every partition.
fn find(
    plan: &Plan,
    matcher: &Matcher,
    table: &Table,
    options: &MatchOptions,
    wanted: Wanted,
) -> Result<(OrderedRows, Found), EngineError> {
    let workers = options.workers(table.num_rows());
    let (keys, order) = (&plan.outputs.partition_by, &plan.outputs.order_by);
    let rows = OrderedRows::on_threads(table, keys, order, &matcher.columns_read(), workers.threads)?;
    let find_options = FindOptions {
        wanted,
        step_limit: options.step_limit.unwrap_or(matcher::STEP_LIMIT_DEFAULT),
        strategy: options.strategy,
        workers,
    };
    match matcher.find(table, &rows, find_options)? {
        Some(found) => Ok((rows, found)),
        None => Err(EngineError::Pattern(cepheid_ir::PatternError::Unsupported {
            construct: "the pattern, on these data,".into(),
            hint: "let the planner choose the strategy".into(),
        })),
    }
}
