//! The generators make what they promise, and enough of it to be worth running.

use std::collections::BTreeMap;

use cepheid_ir::{EmptyMatches, Expr, RowsPerMatch};
use cepheid_testkit::generate_events::{NullTimes, random_table};
use cepheid_testkit::generate_patterns::{Features, random_pattern};
use cepheid_testkit::{ReferenceError, SplitMix64, reference_matches};

const FAMILIES: [(&str, Features); 7] = [
    ("sql", Features::SQL),
    ("algebra", Features::ALGEBRA),
    ("state-free", Features::STATE_FREE),
    ("neighbours", Features::NEIGHBOURS),
    ("exclusive", Features::EXCLUSIVE),
    ("run-relative", Features::RUN_RELATIVE),
    ("aggregates", Features::AGGREGATES),
];
const SEEDS: u64 = 400;

#[test]
fn random_patterns_match_often_enough_to_test_something() {
    let mut tried = 0;
    for (name, features) in FAMILIES {
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        let mut longest = 0;
        for seed in 0..SEEDS {
            let mut random = SplitMix64::new(seed);
            let pattern = random_pattern(&mut random, features);
            let table = random_table(&mut random, NullTimes::Never);
            let outcome = match reference_matches(&pattern, &table.to_reference()) {
                Ok(output) if output.matches.iter().any(|found| !found.members.is_empty()) => {
                    longest = longest
                        .max(output.matches.iter().map(|found| found.members.len()).max().unwrap_or(0));
                    "rows"
                }
                Ok(output) if !output.matches.is_empty() => "empty matches",
                Ok(_) => "no match",
                Err(ReferenceError::TooManySteps) => "too many steps",
                Err(
                    ReferenceError::SkipTargetMissing { .. } | ReferenceError::SkipTargetIsFirstRow { .. },
                ) => "skip",
                Err(error) => panic!("{name}, seed {seed}: {error}\n{pattern:?}"),
            };
            *outcomes.entry(outcome).or_default() += 1;
            tried += 1;
        }
        println!("{name}: {outcomes:?}, longest {longest}");
        let count = |outcome: &str| outcomes.get(outcome).copied().unwrap_or(0);
        assert!(count("rows") > SEEDS * 35 / 100, "{name}: {outcomes:?}");
        assert!(count("too many steps") < SEEDS / 50, "{name}: {outcomes:?}");
        assert!(longest >= 5, "{name}: no match longer than {longest} rows");
    }
    assert_eq!(tried, SEEDS * FAMILIES.len() as u64);
}

#[test]
fn features_keep_their_promise() {
    let mut read = 0;
    for seed in 0..SEEDS {
        let pattern = random_pattern(&mut SplitMix64::new(seed), Features::NEIGHBOURS);
        for definition in &pattern.define {
            definition.condition.walk(&mut |expr| match expr {
                Expr::Column { at, .. } => {
                    assert!(at.is_physical(), "{definition:?}");
                    read += 1;
                }
                Expr::Aggregate(_) | Expr::Classifier { .. } | Expr::MatchNumber => panic!("{definition:?}"),
                _ => {}
            });
        }
        let algebra = random_pattern(&mut SplitMix64::new(seed), Features::ALGEBRA);
        assert_eq!(algebra.empty_matches, EmptyMatches::Excluded);
    }
    assert!(read > 500, "only {read} columns");
}

#[test]
fn the_same_seed_makes_the_same_pattern_and_table() {
    let mut kinds = std::collections::HashSet::new();
    let mut null_times = 0;
    for seed in 0..100 {
        let (mut left, mut right) = (SplitMix64::new(seed), SplitMix64::new(seed));
        let (pattern, again) =
            (random_pattern(&mut left, Features::SQL), random_pattern(&mut right, Features::SQL));
        assert_eq!(pattern, again);
        let table = random_table(&mut left, NullTimes::Sometimes);
        assert_eq!(table.rows, random_table(&mut right, NullTimes::Sometimes).rows);
        null_times += table.rows.iter().filter(|row| row[1].is_null()).count();
        kinds.insert(format!("{:?}", pattern.rows_per_match));
        assert!(pattern.rows_per_match != RowsPerMatch::AllWithUnmatched || pattern.validate().is_ok());
    }
    assert_eq!(kinds.len(), 4);
    assert!(null_times > 50, "only {null_times} times are NULL");
}
