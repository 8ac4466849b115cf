//! The conformance cases of event sequences, in batch: what is derived, in which order, decided by what, with which
//! measures.

use std::collections::BTreeMap;
use std::path::Path;

use cepheid_engine::{EngineError, FoundKind, MatchOptions, Moment, match_events, match_table};
use cepheid_event::Table;
use cepheid_ir::Pattern;
use cepheid_testkit::cuts::{USUAL, cut};
use cepheid_testkit::sequence_suite::{self, Decision, FoundEvent, RowName, SequenceCase};
use cepheid_testkit::{ReferenceTable, row_order};

/// Cases of one table, and those with several topics, which a batch of one table cannot ask.
const CASES_MIN: usize = 340;

fn cases() -> Vec<SequenceCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/sequences");
    sequence_suite::load(&folder).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether one table without a name can hold the case's input.
fn is_of_one_table(case: &SequenceCase) -> bool {
    let names_topics = case.pattern().is_ok_and(|pattern| !pattern.topics.is_empty());
    matches!(&case.events[..], [(name, _)] if name.is_empty()) && !names_topics
}

/// What the engine derives, in the words of the suite.
fn derive(
    case: &SequenceCase,
    pattern: &Pattern,
    table: &Table,
    options: &MatchOptions,
) -> Result<Vec<FoundEvent>, EngineError> {
    let order = row_order(pattern, &case.input()).unwrap_or_default();
    let name = |row: usize| RowName { topic: String::new(), row };
    let found = match_events(pattern, table, options)?.into_iter().map(|event| FoundEvent {
        kind: match event.kind {
            FoundKind::Match => "match".into(),
            FoundKind::Timeout => "timeout".into(),
            FoundKind::Emitted(entry) => pattern.emit_at[usize::from(entry)].topic.clone(),
        },
        members: event.members.into_iter().map(|(name_of, row)| (name_of, name(row as usize))).collect(),
        at: Some(match event.moment {
            Moment::End => Decision::End,
            Moment::At { time, row: 0 } => Decision::Deadline(time),
            Moment::At { row, .. } => Decision::Row(name(order[row as usize - 1].1)),
        }),
    });
    Ok(found.collect())
}

fn check(case: &SequenceCase, table: &Table) -> Result<(), String> {
    let options = MatchOptions { event_time: case.event_time.clone(), ..MatchOptions::default() };
    let outcome = match case.pattern() {
        Err(error) => Err((error.code(), error.to_string())),
        Ok(pattern) => derive(case, &pattern, table, &options)
            .and_then(|found| Ok((found, match_table(&pattern, table, &options)?, pattern)))
            .map_err(|error| (error.code(), error.to_string())),
    };
    match (outcome, &case.error) {
        (Err((found, _)), Some(code)) if found == code => Ok(()),
        (Err((found, message)), expected) => Err(format!(
            "{}: [{found}] {message}; expected {expected:?}\n  pattern: {}",
            case.name, case.code
        )),
        (Ok(_), Some(code)) => Err(format!("{}: expected the error `{code}`", case.name)),
        (Ok((found, matches, pattern)), None) => {
            case.check_derived(&found)?;
            if case.output.is_none() {
                return Ok(());
            }
            let all = ReferenceTable::from_batches(std::slice::from_ref(matches.batch()));
            let columns: Vec<String> = pattern.measures.iter().map(|measure| measure.name.clone()).collect();
            let places: Vec<usize> = columns
                .iter()
                .map(|name| all.column_index(name, true).map_err(|error| format!("{}: {error}", case.name)))
                .collect::<Result<_, _>>()?;
            let measures: Vec<_> = all
                .rows
                .iter()
                .map(|row| places.iter().map(|place| row[*place].clone()).collect::<Vec<_>>())
                .collect();
            case.check_output(&columns, &measures)
        }
    }
}

#[test]
fn every_case_of_one_table_derives_what_was_worked_out_by_hand_however_it_is_cut() {
    let cases = cases();
    let (mut failures, mut checks) = (vec![], 0);
    let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut left_out, mut with_moments, mut with_output, mut with_errors) = (0, 0, 0, 0);
    for case in &cases {
        if !is_of_one_table(case) {
            left_out += 1;
            continue;
        }
        *ran.entry(&case.construct).or_default() += 1;
        with_moments += usize::from(case.derived.iter().flatten().any(|event| event.at.is_some()));
        with_output += usize::from(case.output.is_some());
        with_errors += usize::from(case.error.is_some());
        let (_, batch) = case.batches().swap_remove(0);
        for how in USUAL {
            let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
            checks += 1;
            if let Err(error) = check(case, &table) {
                failures.push(format!("{error} ({how:?})"));
                break;
            }
        }
    }
    let total: usize = ran.values().sum();
    println!(
        "{total} cases, {checks} checks, {with_moments} with moments, {with_output} with measures, \
         {with_errors} errors; {left_out} left out for their topics; {ran:?}"
    );
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(total >= CASES_MIN, "only {total} cases ran");
    assert_eq!(total + left_out, cases.len());
    assert!(left_out < 40, "{left_out} cases left out");
    assert!(with_moments >= 50 && with_output >= 6 && with_errors >= 10);
}
