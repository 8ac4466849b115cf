//! Step lists against the definition: on every conformance case that they take, and on random patterns of the kind they
//! are for. The same matches, of the same numbers, in the same order; counted and asked for, too.

mod by_lists;
mod every_case;
mod membership;
mod numbered;
mod settled;

use by_lists::{Compared, cases};
use cepheid_engine::Strategy;
use cepheid_ir::{AfterMatchSkip, Within};
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{StreamShape, random_stream};
use every_case::conformance;
use settled::random_settled;

/// Cases of the suite that step lists take.
const CASES_MIN: usize = 100;

#[test]
fn every_case_that_step_lists_take_gives_its_matches_however_it_is_cut() {
    let (taken, cases) = conformance(Strategy::StepLists);
    println!("{taken} of {cases} cases");
    assert!(taken >= CASES_MIN, "only {taken} cases");
}

#[test]
fn random_sequences_give_the_matches_of_the_definition() {
    let (cases, base) = cases(600);
    let mut compared = Compared::default();
    for seed in base..base + cases {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 77);
        let mut pattern = random_sequence(&mut random, SequenceKnobs::STEP_LISTS);
        if seed.is_multiple_of(3) {
            pattern.after_match = AfterMatchSkip::Consume;
        }
        if seed.is_multiple_of(4) {
            pattern.within = Some(Within::Rows(1 + seed % 6));
        }
        if pattern.validate().is_err() {
            // An absence at the end is counted in time.
            continue;
        }
        let shape = StreamShape { null_times: seed.is_multiple_of(11), ..StreamShape::default() };
        compared.compare(Strategy::StepLists, &pattern, &random_stream(&mut random, shape), seed);
    }
    println!("{compared:?} of {cases}");
    let Compared { ran, planned, matched, consumed, by_rows, of_several_keys, lengths, .. } = compared;
    assert_eq!(planned, ran, "the planner takes them of itself");
    assert!(ran * 100 >= cases * 55, "only {ran} of {cases} were taken");
    assert!(matched * 2 > ran && consumed * 8 > ran && by_rows * 10 > ran && of_several_keys * 15 > ran);
    assert!(lengths.len() >= 5, "{lengths:?}");
}

#[test]
fn random_sequences_of_runs_without_a_choice_give_the_matches_of_the_definition() {
    let (cases, base) = cases(1_200);
    let mut compared = Compared::default();
    for seed in base..base + cases {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 80);
        let mut pattern = random_settled(&mut random, seed, true);
        if seed.is_multiple_of(5) {
            pattern.within = Some(Within::Rows(1 + seed % 6));
        }
        if pattern.validate().is_err() {
            continue;
        }
        let null_times = seed.is_multiple_of(11);
        let shape = StreamShape { null_times, rows_max: 30, ..StreamShape::default() };
        compared.compare(Strategy::StepLists, &pattern, &random_stream(&mut random, shape), seed);
    }
    println!("{compared:?} of {cases}");
    let Compared { ran, planned, matched, consumed, by_rows, of_several_keys, lengths, .. } = compared;
    assert!(ran * 100 >= cases * 20, "only {ran} of {cases} were taken");
    assert!(planned * 25 > ran && matched * 2 > ran && consumed * 20 > ran && by_rows * 20 > ran);
    assert!(of_several_keys * 20 > ran, "{of_several_keys} of {ran}");
    assert!(lengths.len() >= 5, "{lengths:?}");
}
