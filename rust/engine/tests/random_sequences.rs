//! Random event sequences over random tables against the definition: what is derived, from which rows, decided when,
//! in which order.

use std::collections::BTreeMap;

use cepheid_engine::{EngineError, FoundKind, MatchOptions, Moment, SequenceFound, match_events};
use cepheid_event::Table;
use cepheid_ir::{Contiguity, Pattern, PatternError, Selection};
use cepheid_matcher::Promoted;
use cepheid_matcher::sequence::SequenceMatcher;
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{EVENT_TIME, RandomStream, StreamShape, random_stream};
use cepheid_testkit::sequence_constructs::{CONSTRUCTS, constructs};
use cepheid_testkit::{ReferenceError, SequenceEvent, SequenceKind, SplitMix64, reference_sequences};

/// Families of patterns, so that what is rare in the mixture gets its share.
const FAMILIES: [(&str, SequenceKnobs); 6] = [
    ("all", SequenceKnobs::ALL),
    (
        "correlated",
        SequenceKnobs {
            joins: 85,
            contiguities: &[Contiguity::SkipTillNext, Contiguity::SkipTillAny],
            looks_ahead: false,
            ..SequenceKnobs::ALL
        },
    ),
    (
        "of one key",
        SequenceKnobs {
            one_key: true,
            contiguities: &[Contiguity::SkipTillNext, Contiguity::SkipTillAny],
            selections: &[Selection::All, Selection::First],
            until: false,
            absence_leading: false,
            alternation: false,
            any_order: false,
            bounds: false,
            look_back: false,
            looks_before: false,
            looks_ahead: false,
            ..SequenceKnobs::ALL
        },
    ),
    ("without looking ahead", SequenceKnobs { looks_ahead: false, ..SequenceKnobs::ALL }),
    (
        "short",
        SequenceKnobs {
            steps_max: 2,
            looks_ahead: false,
            having: false,
            look_back: false,
            ..SequenceKnobs::ALL
        },
    ),
    (
        "free of the run",
        SequenceKnobs {
            look_back: false,
            looks_before: false,
            looks_ahead: false,
            having: false,
            bounds: false,
            ..SequenceKnobs::ALL
        },
    ),
];

/// Cases of each family: 10,000 in all in the deep profile.
fn cases_a_family() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 2500 } else { 200 }
}

/// Says where the two differ.
fn compare(expected: &[SequenceEvent], found: &[SequenceFound]) -> Result<(), String> {
    let expected: Vec<String> = expected.iter().map(expected_text).collect();
    let found: Vec<String> = found.iter().map(found_text).collect();
    if expected == found {
        return Ok(());
    }
    Err(format!("\n  expected {}\n  found    {}", expected.join(" | "), found.join(" | ")))
}

fn text(kind: &str, number: i64, at: &str, members: impl Iterator<Item = (String, usize)>) -> String {
    let members: Vec<String> = members.map(|(name, row)| format!("{name}{row}")).collect();
    format!("{kind}{number} {} @{at}", members.join(" "))
}

fn expected_text(event: &SequenceEvent) -> String {
    let kind = match event.kind {
        SequenceKind::Match => "match".to_owned(),
        SequenceKind::Timeout => "timeout".to_owned(),
        SequenceKind::Emitted(entry) => format!("raised:{entry}:"),
    };
    let at = match event.moment {
        cepheid_testkit::Moment { end_of_input: true, .. } => "end".to_owned(),
        cepheid_testkit::Moment { row: Some(row), .. } => format!("row {row}"),
        cepheid_testkit::Moment { time, .. } => minutes(time.expect("a deadline has a time")),
    };
    let members = event.members.iter().map(|(name, _, row)| (name.clone(), *row));
    text(&kind, event.number, &at, members)
}

fn found_text(event: &SequenceFound) -> String {
    let kind = match event.kind {
        FoundKind::Match => "match".to_owned(),
        FoundKind::Timeout => "timeout".to_owned(),
        FoundKind::Emitted(entry) => format!("raised:{entry}:"),
    };
    let at = match event.moment {
        Moment::End => "end".to_owned(),
        Moment::At { time, row: 0 } => minutes(time.into()),
        Moment::At { row, .. } => format!("row {}", row - 1),
    };
    let members = event.members.iter().map(|(name, row)| (name.clone(), *row as usize));
    text(&kind, event.number as i64, &at, members)
}

fn minutes(nanoseconds: i128) -> String {
    format!("{} min", nanoseconds as f64 / 60e9)
}

/// A failure as whoever mends it wants to see it.
fn describe(pattern: &Pattern, stream: &RandomStream) -> String {
    let shown = |value: &cepheid_testkit::RefValue| format!("{value}");
    let rows = stream.topics[0].1.rows.iter().enumerate().map(|(ordinal, row)| {
        let time = match &row[1] {
            cepheid_testkit::RefValue::Timestamp(nanoseconds) => minutes((*nanoseconds).into()),
            other => shown(other),
        };
        format!("{ordinal}: {} at {time}, {}, {}", shown(&row[0]), shown(&row[2]), shown(&row[3]))
    });
    format!("  pattern {}\n  rows {}", pattern.to_json(), rows.collect::<Vec<_>>().join("; "))
}

#[test]
fn random_sequences_derive_what_the_definition_derives() {
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut ran, mut derived) = (0_u64, BTreeMap::<&str, u64>::new());
    let (mut used, mut matched) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    let mut failures = vec![];
    let (mut promoted, mut promoted_matched) = (0, 0);
    for (family, knobs) in FAMILIES {
        for seed in base..base + cases_a_family() {
            let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ family.len() as u64);
            let pattern = random_sequence(&mut random, knobs);
            let null_times = seed % 7 == 0;
            let shape = StreamShape { null_times, ..StreamShape::default() };
            let stream = random_stream(&mut random, shape);
            let expected = reference_sequences(&pattern, &stream.to_batch_input());
            if expected == Err(ReferenceError::TooManySteps) {
                *derived.entry("too many").or_default() += 1;
                continue;
            }
            let batch = stream.topics[0].1.to_batch().expect("cells fit their columns");
            let how = [Cut::Whole, Cut::Every(1), Cut::Every(3), Cut::Random(seed)][seed as usize % 4];
            let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
            let options = MatchOptions { event_time: Some(EVENT_TIME.to_owned()), ..MatchOptions::default() };
            let found = match_events(&pattern, &table, &options);
            if let Err(EngineError::Pattern(PatternError::Unsupported { .. })) = &found {
                *derived.entry("unsupported").or_default() += 1;
                continue;
            }
            ran += 1;
            let names = constructs(&pattern);
            let compiled = SequenceMatcher::compile(&pattern, table.schema(), true).expect("it has run");
            if Promoted::new(&compiled, table.schema(), true).is_ok() {
                promoted += 1;
                promoted_matched += u64::from(expected.as_ref().is_ok_and(|events| !events.is_empty()));
            }
            names.iter().for_each(|name| *used.entry(name).or_default() += 1);
            let outcome = match (&expected, &found) {
                (Ok(expected), Ok(found)) => {
                    for event in expected {
                        let kind = match event.kind {
                            SequenceKind::Match => "matches",
                            SequenceKind::Timeout => "timeouts",
                            SequenceKind::Emitted(_) => "intermediate outputs",
                        };
                        *derived.entry(kind).or_default() += 1;
                    }
                    if expected.iter().any(|event| event.kind == SequenceKind::Match) {
                        *derived.entry("cases with matches").or_default() += 1;
                        names.iter().for_each(|name| *matched.entry(name).or_default() += 1);
                    }
                    compare(expected, found)
                }
                (Err(expected), Err(found)) if expected.code() == found.code() => {
                    *derived.entry("errors").or_default() += 1;
                    Ok(())
                }
                (Err(expected), Err(found)) => Err(format!("expected error {expected}, found error {found}")),
                (Err(expected), Ok(_)) => Err(format!("expected error {expected}, found events")),
                (Ok(_), Err(found)) => Err(format!("expected events, found error {found}")),
            };
            if let Err(error) = outcome {
                failures.push(format!("{family} seed {seed}: {error}\n{}", describe(&pattern, &stream)));
            }
        }
    }
    println!("{ran} cases; {derived:?}\nused {used:?}\nmatched {matched:?}");
    assert!(
        failures.is_empty(),
        "{} failures of {ran}, the first:\n{}",
        failures.len(),
        failures[..failures.len().min(12)].join("\n")
    );
    println!("{promoted} promoted to keys, {promoted_matched} with events");
    assert!(promoted * 10 > cases_a_family() && promoted_matched * 20 > cases_a_family(), "{promoted}");
    let all = FAMILIES.len() as u64 * cases_a_family();
    let count = |counts: &BTreeMap<&str, u64>, name: &str| counts.get(name).copied().unwrap_or(0);
    assert!(ran * 100 >= all * 97, "only {ran} of {all} cases ran: {derived:?}");
    assert!(count(&derived, "cases with matches") * 100 > all * 40, "{derived:?}");
    assert!(count(&derived, "timeouts") * 10 > all, "{derived:?}");
    assert!(count(&derived, "intermediate outputs") * 10 > all, "{derived:?}");
    for name in CONSTRUCTS {
        assert!(count(&used, name) * 250 >= all, "{name} only {} times", count(&used, name));
        if *name != "to-strict" {
            assert!(
                count(&matched, name) * 400 >= all,
                "{name} matches only {} times",
                count(&matched, name)
            );
        }
    }
}
