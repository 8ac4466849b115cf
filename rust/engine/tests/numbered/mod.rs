//! Matches with their numbers, in the form in which tests compare them.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use cepheid_engine::{EngineError, MatchOptions, MatchTable, Strategy, match_table};
use cepheid_event::Table;
use cepheid_ir::{OutputColumns, Pattern, PatternError};
use cepheid_testkit::cuts::{USUAL, cut};
use cepheid_testkit::{SequenceEvent, SequenceKind, reference_sequences, sequence_suite};

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

/// Compares a strategy with the definition on every conformance case that it takes, however its rows are cut. How many those
/// are, and how many cases there are.
pub(crate) fn conformance(strategy: Strategy) -> (usize, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/sequences");
    let cases = sequence_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut taken = 0;
    for case in cases.iter().filter(|case| case.error.is_none()) {
        let Ok(pattern) = case.pattern() else { continue };
        if !pattern.topics.is_empty() || case.events.len() != 1 {
            continue;
        }
        let expected = reference_sequences(&pattern, &case.input()).expect("a case without an error");
        let (_, batch) = case.batches().swap_remove(0);
        for how in USUAL {
            let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
            let options = forced(strategy, case.event_time.as_deref());
            let matches =
                found(&pattern, &table, &options).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let Some(matches) = matches else { break };
            taken += usize::from(how == USUAL[0]);
            if pattern.output == OutputColumns::Derived {
                assert_eq!(numbered(&matches), of_reference(&expected), "{} ({how:?})", case.name);
            }
        }
    }
    (taken, cases.len())
}
