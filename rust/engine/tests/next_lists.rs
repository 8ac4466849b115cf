//! Next lists against the definition: on every conformance case that they take, and on random patterns of the kind they are
//! for. The same matches, of the same numbers, in the same order; counted and asked for, too.

mod by_lists;
mod every_case;
mod membership;
mod numbered;
mod settled;

use by_lists::{Compared, cases};
use cepheid_engine::Strategy;
use cepheid_ir::Within;
use cepheid_testkit::SplitMix64;
use cepheid_testkit::generate_streams::{StreamShape, random_stream};
use every_case::conformance;
use settled::random_settled;

/// Cases of the suite that next lists take.
const CASES_MIN: usize = 40;

#[test]
fn every_case_that_next_lists_take_gives_its_matches_however_it_is_cut() {
    let (taken, cases) = conformance(Strategy::NextLists);
    println!("{taken} of {cases} cases");
    assert!(taken >= CASES_MIN, "only {taken} cases");
}

#[test]
fn random_sequences_give_the_matches_of_the_definition() {
    let (wanted, base) = cases(600);
    let mut compared = Compared::default();
    let mut seed = base;
    while compared.ran < wanted {
        seed += 1;
        assert!(seed - base < wanted * 6, "only {} of {} were taken", compared.ran, seed - base);
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 79);
        let mut pattern = random_settled(&mut random, seed, false);
        if seed.is_multiple_of(5) {
            pattern.within = Some(Within::Rows(1 + seed % 6));
        }
        let null_times = seed.is_multiple_of(11);
        let shape = StreamShape { null_times, rows_max: 40, ..StreamShape::default() };
        compared.compare(Strategy::NextLists, &pattern, &random_stream(&mut random, shape), seed);
    }
    println!("{compared:?} of {}", seed - base);
    let Compared { ran, planned, matched, consumed, by_rows, of_several_keys, lengths, .. } = compared;
    assert_eq!(planned, ran, "the planner takes them of itself");
    assert!(matched * 2 > ran && consumed * 20 > ran && by_rows * 20 > ran && of_several_keys * 20 > ran);
    assert!(lengths.len() >= 5, "{lengths:?}");
}
