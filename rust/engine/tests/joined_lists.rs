//! Joined lists against the definition: on every conformance case that they take, and on random patterns of the kind they
//! are for. The same matches, of the same numbers, in the same order; counted and asked for, too.

mod every_case;
mod membership;
mod numbered;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use cepheid_engine::{MatchOptions, Strategy, count_matches, exists_match, match_head, match_table};
use cepheid_event::Table;
use cepheid_ir::{AfterMatchSkip, Within};
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{EVENT_TIME, StreamShape, random_stream};
use cepheid_testkit::{ReferenceError, SplitMix64, reference_sequences};
use every_case::conformance;
use numbered::{forced, found, numbered, of_reference};

/// Cases of the suite that joined lists take.
const CASES_MIN: usize = 28;

#[test]
fn every_case_that_joined_lists_take_gives_its_matches_however_it_is_cut() {
    let (taken, cases) = conformance(Strategy::JoinedLists);
    println!("{taken} of {cases} cases");
    assert!(taken >= CASES_MIN, "only {taken} cases");
}

#[test]
fn random_sequences_give_the_matches_of_the_definition() {
    let wanted: u64 = if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 300 };
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut ran, mut matched, mut consumed, mut by_rows, mut by_key) = (0, 0, 0, 0, 0);
    let mut lengths = BTreeMap::<usize, u64>::new();
    let mut seed = base;
    while ran < wanted {
        seed += 1;
        assert!(seed - base < wanted * 6, "only {ran} of {} were taken", seed - base);
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 78);
        let mut pattern = random_sequence(
            &mut random,
            SequenceKnobs { one_key: seed.is_multiple_of(2), ..SequenceKnobs::JOINED_LISTS },
        );
        if seed.is_multiple_of(3) {
            pattern.after_match = AfterMatchSkip::Consume;
        }
        if seed.is_multiple_of(4) {
            pattern.within = Some(Within::Rows(1 + seed % 6));
        }
        if pattern.validate().is_err() {
            continue;
        }
        let stream = random_stream(
            &mut random,
            StreamShape { null_times: seed.is_multiple_of(11), ..StreamShape::default() },
        );
        let batch = stream.topics[0].1.to_batch().expect("cells fit their columns");
        let how = [Cut::Whole, Cut::Every(1), Cut::Every(3), Cut::Random(seed)][seed as usize % 4];
        let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
        let options = forced(Strategy::JoinedLists, Some(EVENT_TIME));
        let place = || format!("seed {seed}: {}\n{batch:?}", pattern.to_json());
        let Some(matches) =
            found(&pattern, &table, &options).unwrap_or_else(|error| panic!("{}: {error}", place()))
        else {
            continue;
        };
        let expected = match reference_sequences(&pattern, &stream.to_batch_input()) {
            Err(ReferenceError::TooManySteps) => continue,
            expected => of_reference(&expected.unwrap_or_else(|error| panic!("{}: {error}", place()))),
        };
        ran += 1;
        matched += u64::from(!expected.is_empty());
        consumed += u64::from(pattern.after_match == AfterMatchSkip::Consume && !expected.is_empty());
        by_rows += u64::from(matches!(pattern.within, Some(Within::Rows(_))) && !expected.is_empty());
        by_key += u64::from(!pattern.partition_by.is_empty() && !expected.is_empty());
        for (_, members) in &expected {
            *lengths.entry(members.len()).or_default() += 1;
        }
        assert_eq!(numbered(&matches), expected, "{}", place());
        let counted = count_matches(&pattern, &table, &options);
        assert_eq!(counted, Ok((expected.len() as u64).into()), "{}", place());
        assert_eq!(exists_match(&pattern, &table, &options), Ok(!expected.is_empty()), "{}", place());
        let few = match_head(&pattern, &table, 3, &options).expect("as all of them");
        assert_eq!(numbered(&few), expected[..expected.len().min(3)], "{}", place());
        let threads = NonZeroUsize::new(1 + seed as usize % 4);
        let shared = match_table(&pattern, &table, &MatchOptions { threads, ..options.clone() });
        assert_eq!(shared.expect("as on one").batch(), matches.batch(), "{threads:?}, {}", place());
        // The planner takes them of itself, and runs that wait find the same.
        let planned = match_table(&pattern, &table, &MatchOptions { strategy: None, ..options.clone() });
        assert_eq!(planned.expect("as before").strategy(), Strategy::JoinedLists.name(), "{}", place());
        let waited = MatchOptions { strategy: Some(Strategy::Sequences), ..options };
        let waited = match_table(&pattern, &table, &waited).expect("as before");
        assert_eq!(waited.batch(), matches.batch(), "{}", place());
    }
    println!(
        "{ran} of {}; {matched} with matches, {consumed} consumed, {by_rows} by rows, {by_key} by key; lengths {lengths:?}",
        seed - base
    );
    assert!(matched * 5 > ran && consumed * 20 > ran && by_rows * 20 > ran && by_key * 20 > ran);
    assert!(lengths.len() >= 3, "{lengths:?}");
}
