//! Of patterns without gaps the two definitions of this crate say the same.

use cepheid_ir::{OutputColumns, PatternNode};
use cepheid_testkit::generate_events::{NullTimes, random_table};
use cepheid_testkit::generate_patterns::{Features, random_pattern};
use cepheid_testkit::{
    ReferenceError, SequenceInput, SequenceKind, SplitMix64, reference_matches, reference_sequences,
};

const SEEDS: u64 = 1500;

#[test]
fn strict_patterns_match_as_the_definition_of_row_patterns_says() {
    let (mut compared, mut matches) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = SplitMix64::new(seed);
        let features = Features { labels: false, skip_to_variable: seed % 2 == 0, ..Features::ALGEBRA };
        let pattern = random_pattern(&mut random, features);
        let table = random_table(&mut random, NullTimes::Never).to_reference();
        let mut anchored = pattern.output == OutputColumns::Standard;
        pattern.root.walk(&mut |node| anchored |= matches!(node, PatternNode::Anchor(_)));
        // Descending clocks are left out, and what every later pattern would be told by the number of a match.
        let backwards = pattern.within.is_some() && pattern.order_by.iter().any(|key| key.nulls_first);
        if anchored || backwards {
            continue;
        }
        let expected = match reference_matches(&pattern, &table) {
            Ok(output) => output.matches,
            Err(ReferenceError::TooManySteps) => continue,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        let input = SequenceInput::table(table, None);
        let events =
            reference_sequences(&pattern, &input).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut found: Vec<(usize, Vec<(String, usize)>)> = vec![];
        for event in events {
            assert_eq!(event.kind, SequenceKind::Match);
            let first = event.members[0].2;
            let members = event.members.into_iter().map(|(name, _, row)| (name, row)).collect();
            found.push((first, members));
        }
        let mut wanted: Vec<(usize, Vec<(String, usize)>)> =
            expected.into_iter().map(|found| (found.start, found.members)).collect();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "seed {seed}: {pattern:?}");
        compared += 1;
        matches += found.len();
    }
    assert!(compared > SEEDS as usize * 3 / 4, "only {compared} compared");
    assert!(matches > compared, "only {matches} matches in {compared}");
}
