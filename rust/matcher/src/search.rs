//! The outer loop that all strategies share: from which row to search, and where to go on after a match.

use std::ops::Range;

use arrow_array::{Array, Int64Array};
use cepheid_ir::{AfterMatchSkip, Pattern, PatternError, SkipRow};

use crate::automaton::members;
use crate::error::MatchError;
use crate::match_set::{MatchSet, MatchView};

/// One strategy at work on one partition after another.
pub(crate) trait Search {
    /// Begins a partition.
    fn enter(&mut self, partition: Range<u32>) -> Result<(), MatchError> {
        let _ = partition;
        Ok(())
    }

    /// First row in `from..end` at which a match may begin, `end` if none. May answer too early, never too late.
    fn candidate(&mut self, from: u32, end: u32) -> u32 {
        from.min(end)
    }

    /// Finds all matches of the partition, of which none may begin before the end of another, in one go. `false`: it
    /// has not been done, the outer loop is to search row by row.
    fn search_through(&mut self, partition: &Range<u32>, found: &mut MatchSet) -> bool {
        let _ = (partition, found);
        false
    }

    /// Looks for the preferred match that begins at `start`, appends its rows to `found` and says whether there is
    /// one. Of no match, nothing is left behind.
    fn search(&mut self, start: Start<'_>, found: &mut MatchSet) -> Result<bool, MatchError>;
}

/// Where and within what a search begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    /// The first row.
    pub(crate) row: u32,
    /// Rows from here on may not be taken: the end of the partition, or of the pattern's WITHIN.
    pub(crate) limit: u32,
    /// The partition.
    pub(crate) partition: &'a Range<u32>,
    /// Ordinal of the match that would be found, within the partition, from 1.
    pub(crate) match_number: u64,
}

/// Where the search goes on.
#[derive(Clone, Debug)]
pub(crate) enum Skip {
    PastLastRow,
    ToNextRow,
    ToVariable { name: String, members: Vec<bool>, row: SkipRow, strict: bool },
}

impl Skip {
    pub(crate) fn new(pattern: &Pattern, variables: &[String]) -> Result<Self, PatternError> {
        match &pattern.after_match {
            AfterMatchSkip::PastLastRow => Ok(Self::PastLastRow),
            AfterMatchSkip::ToNextRow => Ok(Self::ToNextRow),
            // One preferred match per start row, none of which forgets another: the same as going on at the next row.
            AfterMatchSkip::None => Ok(Self::ToNextRow),
            AfterMatchSkip::ToVariable { variable, row, strict } => {
                let members = members(pattern, variables, Some(variable));
                Ok(Self::ToVariable { name: variable.clone(), members, row: *row, strict: *strict })
            }
            // Searches go from start row to start row; to forget what has not begun has no meaning for them.
            AfterMatchSkip::Consume => Err(PatternError::Unsupported {
                construct: "after_match(\"consume\") in a search".into(),
                hint: "let the planner choose the strategy".into(),
            }),
        }
    }

    /// Whether every search begins after the rows of the match before it.
    pub(crate) fn never_looks_back(&self) -> bool {
        matches!(self, Self::PastLastRow)
    }

    /// The row to go on at. `arrival` is asked for the match's first row when an error must name it.
    fn next(
        &self,
        found: MatchView<'_>,
        number: u64,
        arrival: impl Fn(u32) -> u32,
    ) -> Result<u32, MatchError> {
        let next_row = found.start + 1;
        match self {
            Self::PastLastRow => Ok(found.last().map_or(next_row, |last| last + 1)),
            Self::ToNextRow => Ok(next_row),
            Self::ToVariable { name, members, row, strict } => {
                let target = match row {
                    SkipRow::First => first_row(found, members),
                    SkipRow::Last => last_row(found, members),
                };
                match target {
                    Some(target) if target > found.start => Ok(target),
                    _ if !strict => Ok(next_row),
                    None => Err(MatchError::SkipTargetMissing {
                        variable: name.clone(),
                        match_number: number,
                        row: u64::from(arrival(found.start)),
                    }),
                    Some(_) => Err(MatchError::SkipTargetIsFirstRow {
                        variable: name.clone(),
                        match_number: number,
                        row: u64::from(arrival(found.start)),
                    }),
                }
            }
        }
    }
}

fn first_row(found: MatchView<'_>, members: &[bool]) -> Option<u32> {
    let mut row = found.start;
    for segment in found.segments() {
        if members[segment.label.variable as usize] {
            return Some(row);
        }
        row += segment.rows;
    }
    None
}

fn last_row(found: MatchView<'_>, members: &[bool]) -> Option<u32> {
    let mut end = found.start + found.rows();
    for segment in found.segments().rev() {
        if members[segment.label.variable as usize] {
            return Some(end - 1);
        }
        end -= segment.rows;
    }
    None
}

/// How much of the matches is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// Whether there is one.
    First,
}

/// Searches a partition, appending its matches to `found`.
pub(crate) fn search_partition<S: Search>(
    strategy: &mut S,
    partition: Range<u32>,
    rules: &mut Rules<'_>,
    found: &mut MatchSet,
) -> Result<(), MatchError> {
    strategy.enter(partition.clone())?;
    let plain = rules.skip.never_looks_back()
        && !rules.initial
        && rules.wanted == Wanted::All
        && matches!(rules.bound, Bound::None);
    if plain && strategy.search_through(&partition, found) {
        found.check_size()?;
        found.finish_partition();
        return Ok(());
    }
    let (mut row, mut number) = (partition.start, 1);
    while row < partition.end {
        row = if rules.initial { row } else { strategy.candidate(row, partition.end) };
        if row == partition.end || (rules.initial && row > partition.start) {
            break;
        }
        let limit = rules.bound.limit(row, partition.end);
        let start = Start { row, limit, partition: &partition, match_number: number };
        if strategy.search(start, found)? {
            found.check_size()?;
            found.finish(row);
            if rules.wanted == Wanted::First {
                break;
            }
            row = rules.skip.next(found.get(found.len() - 1), number, rules.arrival)?;
            number += 1;
        } else {
            row += 1;
        }
    }
    found.finish_partition();
    Ok(())
}

/// What the outer loop goes by.
pub(crate) struct Rules<'a> {
    pub(crate) skip: &'a Skip,
    pub(crate) initial: bool,
    pub(crate) bound: Bound,
    pub(crate) wanted: Wanted,
    pub(crate) arrival: &'a dyn Fn(u32) -> u32,
}

/// The pattern's WITHIN.
#[derive(Clone, Debug)]
pub(crate) enum Bound {
    None,
    /// `row(last) - row(first)` is at most this.
    Rows(u64),
    /// Times by position, ascending within a partition unless NULL, and the exclusive bound in their unit.
    Time {
        times: Int64Array,
        span: i128,
        reached: u32,
    },
}

impl Bound {
    /// First row that a match beginning at `row` may not take. Rows are asked for in ascending order, but for a step
    /// back at the start of a partition.
    fn limit(&mut self, row: u32, partition_end: u32) -> u32 {
        match self {
            Self::None => partition_end,
            Self::Rows(rows) => u32::try_from(*rows)
                .ok()
                .and_then(|rows| row.checked_add(rows)?.checked_add(1))
                .map_or(partition_end, |limit| limit.min(partition_end)),
            Self::Time { times, span, reached } => {
                let time =
                    |row: u32| times.is_valid(row as usize).then(|| i128::from(times.value(row as usize)));
                let Some(first) = time(row) else { return row };
                let mut limit = (*reached).clamp(row, partition_end);
                // What an earlier start reached, a later one reaches too, as times ascend.
                while limit < partition_end && time(limit).is_some_and(|time| time - first < *span) {
                    limit += 1;
                }
                *reached = limit;
                limit
            }
        }
    }
}
