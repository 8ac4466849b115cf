//! Joined lists against the definition: on every conformance case that they take, and on random patterns of the kind they
//! are for. The same matches, of the same numbers, in the same order; counted and asked for, too.

mod by_lists;
mod every_case;
mod membership;
mod numbered;

use by_lists::{Compared, cases};
use cepheid_engine::Strategy;
use cepheid_ir::{AfterMatchSkip, Selection, Within};
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{StreamShape, random_stream};
use every_case::conformance;

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
    let (wanted, base) = cases(300);
    let mut compared = Compared::default();
    let mut seed = base;
    while compared.ran < wanted {
        seed += 1;
        assert!(seed - base < wanted * 8, "only {} of {} were taken", compared.ran, seed - base);
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 78);
        let mut pattern = random_sequence(
            &mut random,
            SequenceKnobs { one_key: seed.is_multiple_of(2), ..SequenceKnobs::JOINED_LISTS },
        );
        if seed % 5 < 2 {
            // One match a start row: the next of each step that fits, which is all there are of skip till next.
            pattern.selection = Selection::First;
        }
        if seed.is_multiple_of(3) {
            pattern.after_match = AfterMatchSkip::Consume;
        }
        if seed.is_multiple_of(4) {
            pattern.within = Some(Within::Rows(1 + seed % 6));
        }
        if pattern.validate().is_err() {
            continue;
        }
        let shape = StreamShape { null_times: seed.is_multiple_of(11), ..StreamShape::default() };
        compared.compare(Strategy::JoinedLists, &pattern, &random_stream(&mut random, shape), seed);
    }
    println!("{compared:?} of {}", seed - base);
    let Compared { ran, planned, matched, consumed, by_rows, by_key, lengths, .. } = compared;
    assert_eq!(planned, ran, "the planner takes them of itself");
    assert!(matched * 5 > ran && consumed * 20 > ran && by_rows * 30 > ran && by_key * 20 > ran);
    assert!(lengths.len() >= 3, "{lengths:?}");
}
