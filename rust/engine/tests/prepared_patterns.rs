//! Patterns that are rules of one engine after another, over rows of these columns and of others, against the same patterns that
//! nobody has asked before.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use cepheid_engine::{DerivedTable, Engine, EngineError, EngineOptions, PreparedPattern, RuleSpec};
use cepheid_ir::{Pattern, Within};
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{EVENT_TIME, StreamShape, random_stream};

/// The rows with other columns, and the name of their event time.
fn other_columns(random: &mut SplitMix64, batch: &RecordBatch) -> (RecordBatch, &'static str) {
    let schema = batch.schema();
    let mut columns: Vec<(Field, ArrayRef)> =
        schema.fields().iter().map(|field| field.as_ref().clone()).zip(batch.columns().to_vec()).collect();
    let mut event_time = EVENT_TIME;
    match random.below(5) {
        0 => columns.reverse(),
        1 => {
            for (field, column) in &mut columns {
                if *field.data_type() == DataType::Int64 {
                    *column = arrow_cast::cast(column, &DataType::Int32).expect("small numbers");
                    *field = field.clone().with_data_type(DataType::Int32);
                }
            }
        }
        2 => {
            event_time = "when";
            let time = columns.iter_mut().find(|(field, _)| field.name() == EVENT_TIME).expect("a time");
            time.0 = time.0.clone().with_name(event_time);
        }
        3 => {
            let place = random.below(columns.len());
            if columns[place].0.name() != EVENT_TIME {
                columns.remove(place);
            }
        }
        _ => {}
    }
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    (RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("as many rows"), event_time)
}

type Outcome = Result<Vec<(String, DerivedTable)>, EngineError>;

fn outcomes(rules: Vec<RuleSpec>, batch: &RecordBatch, cut: usize, event_time: &str) -> Vec<Outcome> {
    let options = EngineOptions {
        event_time: event_time.into(),
        lateness_ns: Some(3_600_000_000_000),
        ..EngineOptions::default()
    };
    let mut engine = match Engine::new(rules, options) {
        Ok(engine) => engine,
        Err(error) => return vec![Err(error)],
    };
    let parts = [batch.slice(0, cut), batch.slice(cut, batch.num_rows() - cut)];
    let mut outcomes: Vec<Outcome> =
        parts.iter().map(|part| engine.push(None, std::slice::from_ref(part), None)).collect();
    outcomes.push(engine.flush());
    outcomes
}

type Shown<'a> = (&'a str, &'a RecordBatch, Option<&'a RecordBatch>, usize);

fn shown(outcome: &Outcome) -> Result<Vec<Shown<'_>>, String> {
    match outcome {
        Ok(tables) => Ok(tables
            .iter()
            .map(|(topic, table)| (topic.as_str(), &table.batch, table.membership.as_ref(), table.matches))
            .collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn what_was_found_out_for_one_engine_holds_for_the_next() {
    let (mut derived, mut errors, mut calls) = (0, 0, 0);
    for seed in 0..400 {
        let mut random = SplitMix64::new(seed);
        let shape = StreamShape { null_times: false, ..StreamShape::default() };
        let knobs = SequenceKnobs { looks_ahead: false, ..SequenceKnobs::ALL };
        let rules: Vec<Pattern> = (0..1 + random.below(3))
            .map(|number| {
                let mut pattern = random_sequence(&mut random, knobs);
                pattern.name = Some(format!("r{number}"));
                pattern.emit = None;
                if random.chance(70) {
                    pattern.order_by.clear();
                }
                pattern.within.get_or_insert(Within::Time { nanoseconds: 360_000_000_000 });
                pattern.normalise()
            })
            .collect();
        let prepared: Vec<PreparedPattern> = rules.iter().cloned().map(PreparedPattern::from).collect();
        for _ in 0..5 {
            let stream = random_stream(&mut random, shape);
            let batch = stream.topics[0].1.to_batch().expect("cells fit their columns");
            let (batch, event_time) = other_columns(&mut random, &batch);
            let cut = random.below(batch.num_rows() + 1);
            let known = prepared.iter().cloned().map(RuleSpec::from).collect();
            let found = outcomes(known, &batch, cut, event_time);
            let anew = rules.iter().cloned().map(RuleSpec::from).collect();
            let right = outcomes(anew, &batch, cut, event_time);
            assert_eq!(found.len(), right.len(), "seed {seed}");
            for (found, right) in found.iter().zip(&right) {
                assert_eq!(shown(found), shown(right), "seed {seed}");
                calls += 1;
                match right {
                    Ok(tables) => derived += tables.iter().map(|(_, table)| table.matches).sum::<usize>(),
                    Err(_) => errors += 1,
                }
            }
        }
    }
    assert!(
        calls > 4_000 && derived > 10_000 && errors > 200,
        "{calls} calls, {derived} events, {errors} errors"
    );
}
