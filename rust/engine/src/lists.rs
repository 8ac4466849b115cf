//! Event sequences in a table by lists, where the pattern and the data allow it.

use cepheid_event::key::keys_by_appearance;
use cepheid_event::threads::change_each;
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{OutputColumns, PatternError};
use cepheid_matcher::lists::{ListsFound, SearchLimits};
use cepheid_matcher::sequence::SequenceMatcher;
use cepheid_matcher::{Lists, MatchSet, Numbers, Strategy};

use crate::derive::{Deriving, derive};
use crate::error::EngineError;
use crate::matches::{MatchTable, Origin};
use crate::plan::{MatchOptions, Matching, Plan};
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
    let Some((matcher, lists)) = allowed(plan, options)? else { return Ok(None) };
    // What stands some rows on in its partition is read of columns that waiting runs' output knows.
    if !plan.outputs.shifted.is_empty() {
        return declined(options);
    }
    let rows = SequenceRows::new(matcher, &plan.outputs, table, lists.is_bounded_by_time(), options)?;
    // SQL's rows stand in another order: the first of them may be found last.
    let standard = plan.pattern().output == OutputColumns::Standard;
    let enough = if standard { usize::MAX } else { most };
    let found =
        lists.find(&rows.masks, rows.chunk(), enough, SearchLimits { members_max, ..limits(options, &rows) });
    let Some(found) = found.map_err(|error| rows.name_row(error))? else { return declined(options) };
    derived(plan, table, lists, found, &rows, most, options).map(Some)
}

/// The number of matches; `None`: runs that wait are to count them.
pub(crate) fn count(plan: &Plan, table: &Table, options: &MatchOptions) -> Result<Option<u64>, EngineError> {
    let Some((matcher, lists)) = allowed(plan, options)? else { return Ok(None) };
    let rows = SequenceRows::new(matcher, &plan.outputs, table, lists.is_bounded_by_time(), options)?;
    let counted = lists.count(&rows.masks, rows.chunk(), limits(options, &rows));
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
    let Some((matcher, lists)) = allowed(plan, options)? else { return Ok(None) };
    let rows = SequenceRows::new(matcher, &plan.outputs, table, lists.is_bounded_by_time(), options)?;
    let exists = lists.exists(&rows.masks, rows.chunk(), limits(options, &rows));
    match exists.map_err(|error| rows.name_row(error))? {
        None => declined(options),
        exists => Ok(exists),
    }
}

fn allowed<'a>(
    plan: &'a Plan,
    options: &MatchOptions,
) -> Result<Option<(&'a SequenceMatcher, Lists<'a>)>, EngineError> {
    let Matching::Sequences { matcher, in_table: Some(in_table) } = &plan.matching else {
        return declined(options);
    };
    match in_table.lists(options.strategy) {
        Some(lists) => Ok(Some((matcher, lists))),
        None => declined(options),
    }
}

fn limits(options: &MatchOptions, rows: &SequenceRows<'_>) -> SearchLimits<'static> {
    SearchLimits { workers: options.workers(rows.num_rows()), ..SearchLimits::default() }
}

/// Nothing found, unless no other strategy may find anything.
fn declined<T>(options: &MatchOptions) -> Result<Option<T>, EngineError> {
    if !options.strategy.is_some_and(Strategy::is_of_lists) {
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
    lists: Lists<'_>,
    found: ListsFound,
    rows: &SequenceRows<'_>,
    most: usize,
    options: &MatchOptions,
) -> Result<MatchTable, EngineError> {
    let ListsFound { rows: mut members, places, ends, matches, numbers, .. } = found;
    if !rows.stand_as_they_arrived() {
        let threads = options.workers(members.len()).threads;
        change_each(threads, &mut members, |row| *row = rows.arrival(*row));
    }
    let shape = lists.shape();
    let standard = plan.pattern().output == OutputColumns::Standard;
    let counted = match &shape {
        Some(shape) if standard && most >= matches => by_first_rows(plan, table, &members, shape.len(), rows),
        _ => Counted::Not,
    };
    let mut order = match plan.pattern().output {
        _ if !matches!(counted, Counted::Not) => None,
        OutputColumns::Standard => {
            let mut order = match &shape {
                Some(shape) => {
                    let begin = |index: u32| members[index as usize * shape.len()];
                    partition_by_partition(plan, table, matches, begin, rows)?
                }
                None => {
                    let before = |index: u32| index.checked_sub(1).map_or(0, |before| ends[before as usize]);
                    let begin = |index: u32| members[before(index) as usize];
                    partition_by_partition(plan, table, matches, begin, rows)?
                }
            };
            order.truncate(most);
            Some(order)
        }
        OutputColumns::Derived => None,
    };
    let set = match shape {
        Some(shape) => {
            let mut numbers = numbers.map(Numbers::Given);
            let mut matches = matches;
            // One behind the other as they come out, they are read one behind the other.
            let moved = match counted {
                Counted::Moved(moved, order) => Some((moved, order)),
                Counted::InOrder => None,
                Counted::Not => order
                    .take_if(|order| order.len() < matches || !order.is_sorted())
                    .map(|order| (rearranged(&members, shape.len(), &order), order)),
            };
            if let Some((rearranged, order)) = moved {
                members = rearranged;
                matches = order.len();
                numbers = Some(match numbers {
                    Some(Numbers::Given(of)) => {
                        Numbers::Given(order.iter().map(|index| of[*index as usize]).collect())
                    }
                    _ => Numbers::Found(order),
                });
            }
            // Matches that were found in that order need none.
            order = None;
            MatchSet::of_single_rows(shape, matches, numbers)
        }
        None => {
            let of_place = lists.labels();
            let labels: Vec<_> = places.iter().map(|place| of_place[*place as usize]).collect();
            MatchSet::of_rows(&labels, &ends, numbers)
        }
    };
    let rows = OrderedRows::of_groups(members, vec![0, set_rows(&set)]);
    let origin = Origin {
        set,
        rows,
        variables: plan.automaton().variables.clone(),
        strategy: lists.strategy(),
        labels: None,
    };
    let threads = options.workers(origin.set.len()).threads;
    derive(&Deriving { plan, measures: &plan.outputs.measures, table, order, threads }, origin)
}

/// The number of rows of all matches.
fn set_rows(set: &MatchSet) -> u32 {
    set.len().checked_sub(1).map_or(0, |last| {
        let last = set.get(last);
        last.start + last.rows()
    })
}

/// What became of matches that were to be put in order by counting.
enum Counted {
    /// They stand in it as they are.
    InOrder,
    /// Their rows in order, and the order.
    Moved(Vec<u32>, Vec<u32>),
    /// They were not: there are keys, or too few matches, or too many rows of each.
    Not,
}

/// Puts matches of `stride` rows each, without keys, in the order of [`partition_by_partition`], by their first rows.
///
/// Matches are found by their last rows, and so are near the place that they go to: each is moved there as it is met.
fn by_first_rows(
    plan: &Plan,
    table: &Table,
    members: &[u32],
    stride: usize,
    rows: &SequenceRows<'_>,
) -> Counted {
    fn by<const STRIDE: usize>(members: &[u32], place: impl Fn(u32) -> u32, places: usize) -> Counted {
        let (matches, _) = members.as_chunks::<STRIDE>();
        let place = |rows: &[u32; STRIDE]| place(rows[0]);
        if matches.is_sorted_by_key(place) {
            return Counted::InOrder;
        }
        let mut next = starts_of(matches.iter().map(place), places);
        let (mut moved, mut order) = (vec![[0; STRIDE]; matches.len()], vec![0; matches.len()]);
        for (index, rows) in matches.iter().enumerate() {
            let next = &mut next[place(rows) as usize];
            (moved[*next as usize], order[*next as usize]) = (*rows, index as u32);
            *next += 1;
        }
        Counted::Moved(moved.into_flattened(), order)
    }
    let is_few = members.len() / stride < table.num_rows() / PLACES_A_MATCH_MAX;
    if !plan.outputs.partition_by.is_empty() || is_few {
        return Counted::Not;
    }
    let ordinal = rows.ordinals_of_input(table.num_rows());
    let place = |row: u32| ordinal.as_ref().map_or(row, |ordinal| ordinal[row as usize]);
    match stride {
        2 => by::<2>(members, place, table.num_rows()),
        3 => by::<3>(members, place, table.num_rows()),
        4 => by::<4>(members, place, table.num_rows()),
        _ => Counted::Not,
    }
}

/// Of fewer matches than one in so many places, comparing them is less than counting.
const PLACES_A_MATCH_MAX: usize = 8;

/// Where those of each place begin, if they stand one behind the other by their places, of which there are `places`.
fn starts_of(of: impl Iterator<Item = u32>, places: usize) -> Vec<u32> {
    let mut starts = vec![0_u32; places + 1];
    for place in of {
        starts[place as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    starts
}

/// Matches of `stride` rows each, in another order.
fn rearranged(members: &[u32], stride: usize, order: &[u32]) -> Vec<u32> {
    // Of a length known beforehand a few rows are copied without a call.
    fn by<const STRIDE: usize>(members: &[u32], order: &[u32]) -> Vec<u32> {
        let (matches, _) = members.as_chunks::<STRIDE>();
        order.iter().map(|index| matches[*index as usize]).collect::<Vec<_>>().into_flattened()
    }
    match stride {
        2 => by::<2>(members, order),
        3 => by::<3>(members, order),
        4 => by::<4>(members, order),
        _ => order.iter().flat_map(|index| &members[*index as usize * stride..][..stride]).copied().collect(),
    }
}

/// SQL's order of so many matches: partition by partition in order of first appearance, then by first row, then by number.
/// `begin`: the row of the table that a match begins at.
fn partition_by_partition(
    plan: &Plan,
    table: &Table,
    matches: usize,
    begin: impl Fn(u32) -> u32,
    rows: &SequenceRows<'_>,
) -> Result<Vec<u32>, EngineError> {
    let ordinal = rows.ordinals_of_input(table.num_rows());
    let all = 0..matches as u32;
    // Matches are in the order of their numbers.
    let mut order = match &ordinal {
        Some(ordinal) => stable_order(all, |index| ordinal[begin(index) as usize], table.num_rows()),
        None => stable_order(all, &begin, table.num_rows()),
    };
    let columns = plan.outputs.partition_by.as_slice();
    if !columns.is_empty() {
        let begins: Vec<u32> = (0..matches as u32).map(begin).collect();
        let keys = keys_by_appearance(table, columns, &begins)?;
        let count = keys.iter().max().map_or(0, |last| *last as usize + 1);
        order = stable_order(order.iter().copied(), |index| keys[index as usize], count);
    }
    Ok(order)
}

/// Indices in order of their places, of which there are `places`; those of one place stay as they are. By counting: where they
/// are few for that, neighbouring places are counted together, and those that fall together are compared.
///
/// Cost: O(n + p) for n indices and p places, where p is at most [`PLACES_A_MATCH_MAX`] times n; of more places O(n log n), and
/// O(n) if they are spread evenly.
fn stable_order(
    indices: impl ExactSizeIterator<Item = u32> + Clone,
    place: impl Fn(u32) -> u32,
    places: usize,
) -> Vec<u32> {
    if indices.clone().is_sorted_by_key(&place) {
        return indices.collect();
    }
    let count = indices.len();
    let shift = if places / PLACES_A_MATCH_MAX <= count { 0 } else { (places / count).ilog2() + 1 };
    let group = |index: u32| place(index) >> shift;
    let mut next = starts_of(indices.clone().map(group), (places >> shift) + 1);
    let mut ordered = vec![0; count];
    for index in indices {
        let next = &mut next[group(index) as usize];
        ordered[*next as usize] = index;
        *next += 1;
    }
    if shift > 0 {
        let mut rest = ordered.as_mut_slice();
        let mut begin = 0;
        // Where the next of a group would stand is where it ends.
        for end in next {
            let (group, behind) = rest.split_at_mut((end - begin) as usize);
            group.sort_by_key(|index| place(*index));
            (rest, begin) = (behind, end);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_stand_in_order_of_their_places_however_few_or_crowded_they_are() {
        let mut grouped = 0;
        for (count, places, spread) in [
            (2, 10, 10),
            (5, 7, 7),
            (40, 100, 100),
            (40, 100_000, 100_000),
            (300, 1 << 20, 50),
            (300, 5_000, 1),
        ] {
            let place_of: Vec<u32> = (0..count as u32)
                .map(|index| index.wrapping_mul(2_654_435_761) % spread + (places - spread))
                .collect();
            let found = stable_order(0..count as u32, |index| place_of[index as usize], places as usize);
            let mut expected: Vec<u32> = (0..count as u32).collect();
            expected.sort_by_key(|index| place_of[*index as usize]);
            assert_eq!(found, expected, "{count} of {places}");
            grouped += usize::from(places as usize / PLACES_A_MATCH_MAX > count);
        }
        assert_eq!(grouped, 3);
    }
}
