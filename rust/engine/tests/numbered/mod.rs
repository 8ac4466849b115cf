//! Matches with their numbers, in the form in which tests compare them.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use cepheid_engine::{EngineError, MatchOptions, MatchTable, Strategy, match_table};
use cepheid_event::Table;
use cepheid_ir::{Pattern, PatternError};
use cepheid_testkit::{SequenceEvent, SequenceKind};

/// Options under which one strategy alone may run.
pub(crate) fn forced(strategy: Strategy, event_time: Option<&str>) -> MatchOptions {
    MatchOptions {
        event_time: event_time.map(str::to_owned),
        strategy: Some(strategy),
        ..MatchOptions::default()
    }
}

/// Number and members of every match.
pub(crate) type Numbered = Vec<(i64, Vec<(String, usize)>)>;

/// Of what the engine found.
pub(crate) fn numbered(matches: &MatchTable) -> Numbered {
    let numbers = matches.batch().column_by_name("match_number").expect("output of the algebra");
    let numbers = numbers.as_primitive::<Int64Type>().values().to_vec();
    numbers.into_iter().zip(crate::membership::members(matches)).collect()
}

/// Of what the definition says.
pub(crate) fn of_reference(events: &[SequenceEvent]) -> Numbered {
    let matches = events.iter().filter(|event| event.kind == SequenceKind::Match);
    let members =
        |event: &SequenceEvent| event.members.iter().map(|(name, _, row)| (name.clone(), *row)).collect();
    matches.map(|event| (event.number, members(event))).collect()
}

/// `None`: the strategy does not take it.
pub(crate) fn found(
    pattern: &Pattern,
    table: &Table,
    options: &MatchOptions,
) -> Result<Option<MatchTable>, EngineError> {
    match match_table(pattern, table, options) {
        Err(EngineError::Pattern(PatternError::Unsupported { .. })) => Ok(None),
        found => found.map(Some),
    }
}
