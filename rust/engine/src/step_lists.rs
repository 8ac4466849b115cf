//! Event sequences of which all matches are wanted, in a table: by step lists, where the pattern and the data allow it.

use cepheid_event::key::key_ids;
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{OutputColumns, PatternError};
use cepheid_matcher::sequence::SequenceMatcher;
use cepheid_matcher::step_lists::{SearchLimits, StepListsFound};
use cepheid_matcher::{MatchSet, StepLists, Strategy};

use crate::derive::{Deriving, derive};
use crate::error::EngineError;
use crate::matches::{MatchTable, Origin};
use crate::plan::{InTable, MatchOptions, Matching, Plan};
use crate::sequence_rows::SequenceRows;

/// The first `most` matches of a table; `None`: runs that wait are to find them. More than `members_max` rows of matches are
/// [`cepheid_matcher::MatchError::TooLarge`].
pub(crate) fn match_table(
    plan: &Plan,
    table: &Table,
    options: &MatchOptions,
    most: usize,
    members_max: usize,
) -> Result<Option<MatchTable>, EngineError> {
    let Some((matcher, steps)) = allowed(plan, options)? else { return Ok(None) };
    // What stands some rows on in its partition is read of columns that waiting runs' output knows.
    if !plan.outputs.shifted.is_empty() {
        return declined(options);
    }
    let rows = SequenceRows::new(matcher, &plan.outputs, table, options)?;
    // SQL's rows stand in another order: the first of them may be found last.
    let standard = plan.pattern().output == OutputColumns::Standard;
    let enough = if standard { usize::MAX } else { most };
    let found =
        steps.find(&rows.masks, rows.chunk(), enough, SearchLimits { members_max, ..limits(options, &rows) });
    let Some(found) = found.map_err(|error| rows.name_row(error))? else { return declined(options) };
    derived(plan, table, steps, found, &rows, most).map(Some)
}

/// The number of matches; `None`: runs that wait are to count them.
pub(crate) fn count(plan: &Plan, table: &Table, options: &MatchOptions) -> Result<Option<u64>, EngineError> {
    let Some((matcher, steps)) = allowed(plan, options)? else { return Ok(None) };
    let rows = SequenceRows::new(matcher, &plan.outputs, table, options)?;
    let counted = steps.count(&rows.masks, rows.chunk(), limits(options, &rows));
    match counted.map_err(|error| rows.name_row(error))? {
        None => declined(options),
        counted => Ok(counted),
    }
}

/// Whether there is a match; `None`: runs that wait are to find out.
pub(crate) fn exists(
    plan: &Plan,
    table: &Table,
    options: &MatchOptions,
) -> Result<Option<bool>, EngineError> {
    let Some((matcher, steps)) = allowed(plan, options)? else { return Ok(None) };
    let rows = SequenceRows::new(matcher, &plan.outputs, table, options)?;
    let exists = steps.exists(&rows.masks, rows.chunk(), limits(options, &rows));
    match exists.map_err(|error| rows.name_row(error))? {
        None => declined(options),
        exists => Ok(exists),
    }
}

fn allowed<'a>(
    plan: &'a Plan,
    options: &MatchOptions,
) -> Result<Option<(&'a SequenceMatcher, &'a StepLists)>, EngineError> {
    match (&plan.matching, options.strategy) {
        (
            Matching::Sequences { matcher, in_table: Some(InTable { steps: Ok(steps), .. }) },
            None | Some(Strategy::StepLists),
        ) => Ok(Some((matcher, steps))),
        _ => declined(options),
    }
}

fn limits(options: &MatchOptions, rows: &SequenceRows<'_>) -> SearchLimits<'static> {
    SearchLimits { workers: options.workers(rows.num_rows()), ..SearchLimits::default() }
}

/// Nothing found, unless no other strategy may find anything.
fn declined<T>(options: &MatchOptions) -> Result<Option<T>, EngineError> {
    if options.strategy != Some(Strategy::StepLists) {
        return Ok(None);
    }
    Err(EngineError::Pattern(PatternError::Unsupported {
        construct: "the pattern, on these data,".into(),
        hint: "let the planner choose the strategy".into(),
    }))
}

/// Output of what was found.
fn derived(
    plan: &Plan,
    table: &Table,
    steps: &StepLists,
    found: StepListsFound,
    rows: &SequenceRows<'_>,
    most: usize,
) -> Result<MatchTable, EngineError> {
    let StepListsFound { rows: mut members, places, ends, matches, numbers, .. } = found;
    if !rows.stand_as_they_arrived() {
        for row in &mut members {
            *row = rows.arrival(*row);
        }
    }
    let set = match steps.shape() {
        Some(shape) => MatchSet::of_single_rows(shape, matches, numbers),
        None => {
            let labels: Vec<_> = places.iter().map(|place| steps.label(*place)).collect();
            MatchSet::of_rows(&labels, &ends, numbers)
        }
    };
    let order = match plan.pattern().output {
        OutputColumns::Standard => {
            Some(partition_by_partition(plan, table, &set, &members, rows)?.into_iter().take(most).collect())
        }
        OutputColumns::Derived => None,
    };
    let rows = OrderedRows::of_groups(members, vec![0, set_rows(&set)]);
    let origin = Origin {
        set,
        rows,
        variables: plan.automaton().variables.clone(),
        strategy: Strategy::StepLists,
        labels: None,
    };
    derive(&Deriving { plan, measures: &plan.outputs.measures, table, order }, origin)
}

/// The number of rows of all matches.
fn set_rows(set: &MatchSet) -> u32 {
    set.len().checked_sub(1).map_or(0, |last| {
        let last = set.get(last);
        last.start + last.rows()
    })
}

/// SQL's order: partition by partition in order of first appearance, then by first row, then by number.
fn partition_by_partition(
    plan: &Plan,
    table: &Table,
    set: &MatchSet,
    members: &[u32],
    rows: &SequenceRows<'_>,
) -> Result<Vec<u32>, EngineError> {
    let keys = match plan.outputs.partition_by.as_slice() {
        [] => None,
        columns => Some(key_ids(table, columns)?),
    };
    let ordinal = rows.ordinals_of_input(table.num_rows());
    let first = |index: u32| members[set.start(index as usize) as usize];
    let mut order: Vec<u32> = (0..set.len() as u32).collect();
    // Matches are in the order of their numbers.
    order.sort_by_key(|index| {
        let row = first(*index);
        (
            keys.as_ref().map_or(0, |keys| keys.ids[row as usize]),
            ordinal.as_ref().map_or(row, |of| of[row as usize]),
        )
    });
    Ok(order)
}
