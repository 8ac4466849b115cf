//! Every case of event sequences through the streaming engine: whole, cut, moved along row by row, saved and restored
//! at another thread count between any two rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use cepheid_engine::{DerivedTable, Engine, EngineError, EngineOptions, Strategy};
use cepheid_event::event_times;
use cepheid_ir::{Pattern, Within};
use cepheid_testkit::sequence_suite::{FoundEvent, RowName, SequenceCase, load};

/// How rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Feed {
    /// Topic by topic, whole; the clock stands still until the end.
    Whole,
    /// Row by row in arrival order, late by any span; the clock stands still until the end.
    Rows,
    /// Row by row in the order of time, so that the clock moves with each.
    Moving,
    /// The same, saved and restored at another thread count before each row.
    Restored,
}

const FEEDS: [Feed; 4] = [Feed::Whole, Feed::Rows, Feed::Moving, Feed::Restored];

fn rule(pattern: &Pattern) -> Pattern {
    let mut rule = Pattern { name: Some("match".into()), emit: None, ..pattern.clone() };
    if rule.within.is_none() {
        rule.within = Some(Within::Unbounded);
    }
    rule
}

/// The batch with a column that counts rows, over all topics.
fn with_arrival(batch: &RecordBatch, next: &mut i64) -> RecordBatch {
    let mut fields = batch.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("arrival", DataType::Int64, false)));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new((*next..*next + batch.num_rows() as i64).collect::<Int64Array>()));
    *next += batch.num_rows() as i64;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("one column more")
}

fn members(topic: &str, table: &DerivedTable, rows: &BTreeMap<String, Vec<usize>>) -> Vec<FoundEvent> {
    let kind = if topic == "match.timeout" { "timeout" } else { topic };
    let mut found: Vec<FoundEvent> =
        (0..table.matches).map(|_| FoundEvent { kind: kind.into(), members: vec![], at: None }).collect();
    let membership = table.membership.as_ref().expect("that of matches is kept");
    let names = |column: usize| -> Vec<String> {
        let column = membership.column(column).as_dictionary::<Int32Type>();
        let column = column.downcast_dict::<StringArray>().expect("names are strings");
        column.into_iter().map(|name| name.expect("not null").to_owned()).collect()
    };
    let variables = names(1);
    let topics = if membership.num_columns() == 4 { names(3) } else { vec![String::new(); variables.len()] };
    let events = membership.column(0).as_primitive::<Int64Type>();
    let arrivals = membership.column(2).as_primitive::<Int64Type>();
    for row in 0..variables.len() {
        let topic = topics[row].clone();
        let arrival = rows[&topic][arrivals.value(row) as usize];
        let name = RowName { topic, row: arrival };
        found[events.value(row) as usize].members.push((variables[row].clone(), name));
    }
    found
}

/// What a stream derives, and by what. `None`: a row has no time.
fn run(
    case: &SequenceCase,
    pattern: &Pattern,
    feed: Feed,
) -> Result<Option<(Vec<FoundEvent>, Strategy)>, EngineError> {
    let named = case.event_time.clone().or_else(|| Some(pattern.order_by.first()?.column.name.clone()));
    // Rows without a time come one after the other.
    let event_time = named.clone().unwrap_or_else(|| "arrival".into());
    let mut batches = case.batches();
    if named.is_none() {
        let mut next = 0;
        batches.iter_mut().for_each(|(_, batch)| *batch = with_arrival(batch, &mut next));
    }
    let moving = matches!(feed, Feed::Moving | Feed::Restored);
    let options = EngineOptions {
        event_time: event_time.clone(),
        topics: batches.iter().map(|(topic, _)| topic.clone()).filter(|topic| !topic.is_empty()).collect(),
        lateness_ns: moving.then_some(0),
        threads: Some(2),
        ..EngineOptions::default()
    };
    let reads = |topic: &str| {
        let variables = pattern.root.variables();
        variables.iter().any(|variable| pattern.topic(variable).is_none_or(|own| own == topic))
    };
    batches.retain(|(topic, _)| reads(topic));
    let mut engine = Engine::new(vec![rule(pattern)], options)?;
    // Which row of the case the n-th row pushed to a topic is.
    let mut pushed: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut order: Vec<(i64, usize, usize)> = vec![];
    for (topic, (_, batch)) in batches.iter().enumerate() {
        let Ok(column) = batch.schema().index_of(&event_time) else { return Ok(None) };
        let Ok(times) = event_times(&event_time, batch.column(column), 0) else { return Ok(None) };
        order.extend(times.iter().enumerate().map(|(row, time)| (*time, topic, row)));
    }
    if moving {
        order.sort();
    }
    let mut derived: Vec<(String, DerivedTable)> = vec![];
    let mut push = |engine: &mut Engine, topic: &str, batch: &RecordBatch| {
        engine.push(Some(topic), std::slice::from_ref(batch), None).map(|more| derived.extend(more))
    };
    if feed == Feed::Whole {
        for (topic, batch) in &batches {
            pushed.insert(topic.clone(), (0..batch.num_rows()).collect());
            push(&mut engine, topic, batch)?;
        }
    } else {
        for (topic, batch) in &batches {
            // A topic that sends nothing at first would hold the clock back.
            pushed.entry(topic.clone()).or_default();
            push(&mut engine, topic, &batch.slice(0, 0))?;
        }
        for (_, topic, row) in order {
            let (topic, batch) = &batches[topic];
            if feed == Feed::Restored {
                let saved = engine.snapshot()?;
                engine = Engine::restore(&saved, vec![rule(pattern)], Some(3), None, None)?;
            }
            pushed.get_mut(topic).expect("just made").push(row);
            push(&mut engine, topic, &batch.slice(row, 1))?;
        }
    }
    derived.extend(engine.flush()?);
    let strategy = engine.stats().rules[0].strategy;
    let mut found = vec![];
    for (topic, table) in &derived {
        let events = members(topic, table, &pushed);
        found.extend(events);
    }
    Ok(Some((found, strategy)))
}

#[test]
fn every_case_gives_its_answer_however_its_rows_come() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/sequences");
    let cases = load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let only = std::env::var("CEPHEID_CASE").ok();
    let mut failures = vec![];
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    for case in &cases {
        if only.as_ref().is_some_and(|only| !case.name.contains(only.as_str())) {
            continue;
        }
        let Ok(pattern) = case.pattern() else {
            *ran.entry("refused as data".into()).or_default() += 1;
            continue;
        };
        for feed in FEEDS {
            let place = |error: String| format!("[{feed:?}] {error}");
            match (run(case, &pattern, feed), &case.error) {
                (Ok(None), _) => *ran.entry("without a time for every row".into()).or_default() += 1,
                (Err(EngineError::Pattern(cepheid_ir::PatternError::Unsupported { .. })), _) => {
                    *ran.entry("refused by streams".into()).or_default() += 1;
                }
                // A stream always has a time.
                (Ok(Some(_)), Some(error)) if error == "within-needs-order" => {}
                (Ok(Some(_)), Some(error)) => {
                    failures.push(place(format!("{}: expected `{error}`", case.name)))
                }
                (Err(error), Some(code)) if error.code() == code => {
                    *ran.entry(format!("{feed:?}")).or_default() += 1;
                }
                (Err(error), _) => failures.push(place(format!("{}: {error}", case.name))),
                (Ok(Some((found, strategy))), None) => match case.check_derived(&found) {
                    Ok(()) => {
                        *ran.entry(format!("{feed:?}")).or_default() += 1;
                        *ran.entry(format!("{feed:?} by {strategy}")).or_default() += 1;
                    }
                    Err(error) => failures.push(place(error)),
                },
            }
        }
    }
    println!("{} cases; ran: {ran:?}", cases.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    if only.is_none() {
        for feed in FEEDS {
            let by_lists = ran.get(&format!("{feed:?} by {}", Strategy::StepLists)).copied().unwrap_or(0);
            let ran = ran.get(&format!("{feed:?}")).copied().unwrap_or(0);
            assert!(ran >= 330, "{feed:?} ran only {ran} cases");
            assert!(by_lists >= 50, "{feed:?} ran only {by_lists} cases by step lists");
        }
    }
}
