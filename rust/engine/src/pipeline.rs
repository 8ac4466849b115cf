//! The stages, in order.

use cepheid_event::{OrderedRows, Table};
use cepheid_ir::Pattern;
use cepheid_matcher::{FindOptions, Found, Wanted, matcher};

use crate::derive::derive;
use crate::error::EngineError;
use crate::matches::MatchTable;
use crate::plan::{MatchOptions, Plan};

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
    let (rows, found) = find(&plan, table, options, Wanted::All)?;
    derive(&plan, table, rows, found)
}

/// The number of matches, empty ones included; none of them is built.
///
/// # Errors
/// See [`EngineError`].
pub fn count_matches(pattern: &Pattern, table: &Table, options: &MatchOptions) -> Result<u64, EngineError> {
    let plan = Plan::new(pattern, table.schema(), options)?;
    let (_, found) = find(&plan, table, options, Wanted::All)?;
    Ok(found.matches.len() as u64)
}

/// Whether there is a match; stops at the first.
///
/// # Errors
/// See [`EngineError`].
pub fn exists_match(pattern: &Pattern, table: &Table, options: &MatchOptions) -> Result<bool, EngineError> {
    let plan = Plan::new(pattern, table.schema(), options)?;
    let (_, found) = find(&plan, table, options, Wanted::First)?;
    Ok(!found.matches.is_empty())
}

/// Groups and orders the rows, then searches every partition.
fn find(
    plan: &Plan,
    table: &Table,
    options: &MatchOptions,
    wanted: Wanted,
) -> Result<(OrderedRows, Found), EngineError> {
    let rows = OrderedRows::new(table, &plan.partition_by, &plan.order_by, &plan.matcher.columns_read())?;
    let find_options = FindOptions {
        wanted,
        step_limit: options.step_limit.unwrap_or(matcher::STEP_LIMIT_DEFAULT),
        strategy: options.strategy,
        interrupted: options.interrupted,
    };
    match plan.matcher.find(table, &rows, find_options)? {
        Some(found) => Ok((rows, found)),
        None => Err(EngineError::Pattern(cepheid_ir::PatternError::Unsupported {
            construct: "the pattern, on these data,".into(),
            hint: "let the planner choose the strategy".into(),
        })),
    }
}
