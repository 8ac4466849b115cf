//! What is decided by a row is decided without the rows behind it: the meaning can be had from a stream.

use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{StreamShape, random_stream};
use cepheid_testkit::{
    ReferenceError, SequenceEvent, SequenceInput, SequenceKind, SplitMix64, reference_sequences, row_order,
};

const SEEDS: u64 = 1500;

/// The input with the first rows of its order alone.
fn cut(input: &SequenceInput, kept: &[(usize, usize)]) -> SequenceInput {
    let mut cut = input.clone();
    for (topic, (_, table)) in cut.topics.iter_mut().enumerate() {
        table.rows.truncate(kept.iter().filter(|(of, _)| *of == topic).count());
    }
    cut.arrival.iter_mut().for_each(|arrival| arrival.retain(|row| kept.contains(row)));
    cut
}

#[test]
fn later_rows_change_nothing_that_is_decided() {
    let knobs = |two_topics| SequenceKnobs {
        looks_ahead: false,
        ..if two_topics { SequenceKnobs::TOPICS } else { SequenceKnobs::ALL }
    };
    let (mut compared, mut kinds) = (0, [0; 3]);
    for seed in 0..SEEDS {
        let mut random = SplitMix64::new(seed);
        let two_topics = seed % 3 == 0;
        let pattern = random_sequence(&mut random, knobs(two_topics));
        // In order of time, so that what is cut off arrives last.
        let shape = StreamShape { two_topics, disorder: false, ..Default::default() };
        let input = random_stream(&mut random, shape).to_input();
        let whole = match reference_sequences(&pattern, &input) {
            Ok(events) => events,
            Err(
                ReferenceError::SkipTargetMissing { .. }
                | ReferenceError::SkipTargetIsFirstRow { .. }
                | ReferenceError::TooManySteps,
            ) => continue,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        let order = row_order(&pattern, &input).unwrap();
        if order.is_empty() {
            continue;
        }
        let length = 1 + random.below(order.len());
        let part = cut(&input, &order[..length]);
        let events =
            reference_sequences(&pattern, &part).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // Up to the last row that is left, and the deadlines that it makes fire.
        let time = |place: usize| {
            let (topic, row) = order[place];
            let table = &input.topics[topic].1;
            match table.rows[row][table.column_index("ts", false).unwrap()] {
                cepheid_testkit::RefValue::Timestamp(time) => i128::from(time),
                ref other => panic!("{other} is no time"),
            }
        };
        let decided = |events: &[SequenceEvent]| -> Vec<SequenceEvent> {
            let known = |event: &&SequenceEvent| match (event.moment.row, event.moment.time) {
                _ if event.moment.end_of_input => false,
                (Some(row), _) => row < length,
                (None, Some(deadline)) => deadline <= time(length - 1),
                (None, None) => panic!("{:?}", event.moment),
            };
            let known = events.iter().filter(known);
            // The number of a partition may differ if its first row is cut off, but then it has no events.
            known.cloned().collect()
        };
        assert_eq!(decided(&events), decided(&whole), "seed {seed}, {length} rows: {pattern:?}\n{input:?}");
        for event in decided(&whole) {
            kinds[match event.kind {
                SequenceKind::Match => 0,
                SequenceKind::Timeout => 1,
                SequenceKind::Emitted(_) => 2,
            }] += 1;
        }
        compared += 1;
    }
    assert!(compared > SEEDS * 9 / 10, "only {compared} compared");
    assert!(kinds[0] > 300 && kinds[1] > 20 && kinds[2] > 50, "{kinds:?}");
}
