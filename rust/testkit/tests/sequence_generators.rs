//! The generators of event sequences make what they promise, and enough of it to be worth running.

use std::collections::BTreeMap;

use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{StreamShape, random_stream};
use cepheid_testkit::sequence_constructs::{CONSTRUCTS, constructs};
use cepheid_testkit::{ReferenceError, SequenceKind, SplitMix64, reference_sequences};

const SEEDS: u64 = 1200;

#[test]
fn a_sample_holds_every_construct_and_derives_enough() {
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    let mut matched: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut outcomes, mut longest) = (BTreeMap::<&str, u64>::new(), 0);
    for seed in 0..SEEDS {
        let mut random = SplitMix64::new(seed);
        let two_topics = seed % 3 == 0;
        let knobs = if two_topics { SequenceKnobs::TOPICS } else { SequenceKnobs::ALL };
        let pattern = random_sequence(&mut random, knobs);
        let null_times = seed % 7 == 0;
        let stream = random_stream(&mut random, StreamShape { two_topics, null_times, ..Default::default() });
        let found = constructs(&pattern);
        found.iter().for_each(|name| *used.entry(name).or_default() += 1);
        let outcome = match reference_sequences(&pattern, &stream.to_input()) {
            Ok(events) => {
                let count = |kind: fn(&SequenceKind) -> bool| events.iter().filter(|e| kind(&e.kind)).count();
                let matches = count(|kind| *kind == SequenceKind::Match);
                if matches > 0 {
                    found.iter().for_each(|name| *matched.entry(name).or_default() += 1);
                }
                longest = longest.max(events.iter().map(|event| event.members.len()).max().unwrap_or(0));
                if count(|kind| *kind == SequenceKind::Timeout) > 0 {
                    *outcomes.entry("timeouts").or_default() += 1;
                }
                if count(|kind| matches!(kind, SequenceKind::Emitted(_))) > 0 {
                    *outcomes.entry("intermediate").or_default() += 1;
                }
                if matches > 0 { "matches" } else { "none" }
            }
            Err(ReferenceError::SkipTargetMissing { .. } | ReferenceError::SkipTargetIsFirstRow { .. }) => {
                "skip"
            }
            Err(ReferenceError::TooManySteps) => "too many",
            Err(error) => panic!("seed {seed}: {error}\n{pattern:?}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{outcomes:?}, longest {longest}\nused {used:?}\nmatched {matched:?}");
    let count = |counts: &BTreeMap<&str, u64>, name: &str| counts.get(name).copied().unwrap_or(0);
    for name in CONSTRUCTS.iter().chain(&["topics"]) {
        assert!(count(&used, name) >= 12, "{name} only {} times", count(&used, name));
        if *name != "to-strict" {
            assert!(count(&matched, name) >= 6, "{name} matches only {} times", count(&matched, name));
        }
    }
    assert!(used.keys().all(|name| CONSTRUCTS.contains(name) || *name == "topics"), "{used:?}");
    assert!(count(&outcomes, "matches") > SEEDS * 40 / 100, "{outcomes:?}");
    assert!(count(&outcomes, "timeouts") > 40, "{outcomes:?}");
    assert!(count(&outcomes, "intermediate") > 40, "{outcomes:?}");
    assert!(count(&outcomes, "too many") < SEEDS / 50, "{outcomes:?}");
    assert!(longest >= 6, "no run longer than {longest} rows");
}

#[test]
fn the_same_seed_makes_the_same_pattern_and_stream() {
    for seed in 0..100 {
        let (mut left, mut right) = (SplitMix64::new(seed), SplitMix64::new(seed));
        let pattern = random_sequence(&mut left, SequenceKnobs::TOPICS);
        assert_eq!(pattern, random_sequence(&mut right, SequenceKnobs::TOPICS));
        assert!(pattern.validate().is_ok());
        let shape = StreamShape { two_topics: true, null_times: true, ..Default::default() };
        let (stream, again) = (random_stream(&mut left, shape), random_stream(&mut right, shape));
        assert_eq!(stream.arrival, again.arrival);
        assert_eq!(stream.topics.len(), 2);
        for ((_, table), (_, other)) in stream.topics.iter().zip(&again.topics) {
            assert_eq!(table.rows, other.rows);
        }
    }
}

#[test]
fn knobs_keep_their_promise() {
    let mut plain = 0;
    for seed in 0..300 {
        let pattern = random_sequence(&mut SplitMix64::new(seed), SequenceKnobs::PLAIN);
        let allowed = [
            "strict",
            "skip-till-next",
            "skip-till-any",
            "first",
            "all",
            "past-last-row",
            "none",
            "partitions",
            "order-by",
        ];
        let found = constructs(&pattern);
        assert!(found.iter().all(|name| allowed.contains(name)), "{found:?}");
        plain += usize::from(!pattern.root.variables().is_empty());
    }
    assert_eq!(plain, 300);
}
