//! How much work next lists are, counted: nothing here looks at a clock.

use arrow_array::RecordBatch;
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{AfterMatchSkip, Contiguity, Pattern, PatternNode, Quantifier, Step, Within};
use cepheid_matcher::lists::{Lists, ListsFound, SearchLimits};
use cepheid_matcher::sequence::{Chunk, SequenceMatcher};
use cepheid_matcher::{StepLists, Workers};
use cepheid_testkit::SplitMix64;
use cepheid_testkit::letters::{rows_of_letters as rows, steps_of_letters};

/// The next of each of these steps from every start row; `b+` repeats.
fn pattern(steps: &[&str], after_match: AfterMatchSkip, within: Option<u64>) -> Pattern {
    let pattern = Pattern {
        after_match,
        within: within.map(Within::Rows),
        ..steps_of_letters(steps, Contiguity::SkipTillNext)
    };
    pattern.normalise()
}

fn steps_of(pattern: &Pattern, batch: &RecordBatch) -> Result<StepLists, &'static str> {
    let matcher = SequenceMatcher::compile(pattern, &batch.schema(), false).expect("plain events");
    let steps = StepLists::new(&matcher)?;
    steps.check_for_next_lists().map(|()| steps)
}

/// What it takes to find all matches.
fn find(pattern: &Pattern, batch: &RecordBatch) -> ListsFound {
    let table = Table::new(batch.schema(), vec![batch.clone()]).expect("one schema");
    let matcher = SequenceMatcher::compile(pattern, &batch.schema(), false).expect("plain events");
    let steps = steps_of(pattern, batch).expect("each step takes the next row");
    let rows = OrderedRows::new(&table, &[], &[], &[]).expect("no keys");
    let masks = matcher.masks_by_arrival(&table, Workers::default()).expect("strings").expect("single rows");
    let chunk = Chunk { table: &table, rows: &rows, times: &[], ordinals: &[], fresh_from: 0 };
    let found = Lists::Next(&steps).find(&masks, chunk, usize::MAX, SearchLimits::default());
    found.expect("room").expect("letters exclude each other")
}

/// So many `a`s, then a `b`, so many `a`s, a `c`, over and over.
fn bursts(length: usize, rows_wanted: usize) -> RecordBatch {
    let burst = move |row: usize| match row % (2 * length + 2) {
        place if place == length => 'b',
        place if place == 2 * length + 1 => 'c',
        _ => 'a',
    };
    rows((0..rows_wanted).map(burst))
}

#[test]
fn a_row_is_an_entry_however_many_runs_it_moves() {
    for length in [1, 10, 100, 1_000] {
        let batch = bursts(length, 8_008);
        for within in [None, Some(10), Some(100_000)] {
            let found = find(&pattern(&["a", "b", "c"], AfterMatchSkip::ToNextRow, within), &batch);
            // Every `a` begins a run, every `b` moves all that wait for one.
            let (moves, begins) = (8_008 / (2 * length + 2), 8_008 * 2 * length / (2 * length + 2));
            let most = (begins + moves + 2) as u64;
            let work = found.work;
            assert!(work.rows == 8_008 && work.entries <= most, "{length} {within:?}: {work:?}, {most}");
            assert!(found.matches > 0 || within == Some(10) && length >= 10, "{length} {within:?}");
        }
    }
}

#[test]
fn what_a_loop_takes_is_kept_once_for_all_that_take_it() {
    let batch = rows((0..4_000).map(|row| if row == 3_999 { 'c' } else { "ab".as_bytes()[row % 2].into() }));
    let looped = pattern(&["a", "b+", "c"], AfterMatchSkip::ToNextRow, None);
    let found = find(&looped, &batch);
    // As many runs, of up to as many `b`s.
    assert_eq!(found.matches, 1_999);
    assert!(found.rows.len() > 1_999_000, "{} rows of matches", found.rows.len());
    assert!(found.work.entries <= 3 * 4_000, "{:?}", found.work);
    assert!(found.work.bytes_max <= 4_000 * 64, "{:?}", found.work);
    let first = find(&Pattern { after_match: AfterMatchSkip::PastLastRow, ..looped }, &batch);
    assert_eq!((first.matches, first.rows.len()), (1, 2_001));
    assert_eq!(first.rows, found.rows[..2_001]);
}

#[test]
fn what_a_match_ends_is_not_kept() {
    let batch = bursts(100, 20_200);
    let found = find(&pattern(&["a", "b", "c"], AfterMatchSkip::PastLastRow, None), &batch);
    assert_eq!(found.matches, 100);
    assert!(found.work.bytes_max <= 256 * 64, "{:?}", found.work);
}

#[test]
fn runs_that_may_overtake_earlier_ones_are_left_to_others() {
    // A run that has taken a `c` waits for another, while one that began later may be complete by a `b`.
    let variable = |name: &str| PatternNode::Variable(name.to_owned());
    let twice = Quantifier { contiguity: Contiguity::SkipTillNext, ..Quantifier::new(2, Some(2)) };
    let either = PatternNode::Alternation(vec![
        variable("b"),
        PatternNode::Quantified { node: Box::new(variable("c")), quantifier: twice },
    ]);
    let step = |node| Step { contiguity: Contiguity::SkipTillNext, node };
    let pattern = Pattern {
        root: PatternNode::Sequence(vec![step(variable("a")), step(either)]),
        ..pattern(&["a", "b", "c"], AfterMatchSkip::PastLastRow, None)
    };
    let batch = rows("acab".chars());
    assert_eq!(
        steps_of(&pattern.normalise(), &batch).err(),
        Some("a run may overtake one that began before it")
    );
}

/// What is found by so many threads.
fn found_by(
    threads: usize,
    pattern: &Pattern,
    table: &Table,
    most: usize,
    members_max: usize,
) -> (Result<ListsFound, String>, u64) {
    let matcher = SequenceMatcher::compile(pattern, table.schema(), false).expect("plain events");
    let steps = StepLists::new(&matcher).expect("steps");
    let rows = OrderedRows::new(table, &[], &[], &[]).expect("no keys");
    let masks = matcher.masks_by_arrival(table, Workers::default()).expect("strings").expect("single rows");
    let chunk = Chunk { table, rows: &rows, times: &[], ordinals: &[], fresh_from: 0 };
    let limits = SearchLimits { members_max, workers: Workers { threads, ..Workers::default() } };
    let found = Lists::Next(&steps).find(&masks, chunk, most, limits);
    let counted = Lists::Next(&steps).count(&masks, chunk, limits).expect("room").expect("a count");
    (
        found.map(|found| found.expect("letters exclude each other")).map_err(|error| error.to_string()),
        counted,
    )
}

#[test]
fn parts_of_a_key_are_searched_at_once_until_they_are_in_step() {
    let (mut cases, mut with_matches, mut refused, mut seen_twice, mut parts) = (0, 0, 0, 0, 0);
    for seed in 0..3_000_u64 {
        let mut random = SplitMix64::new(seed);
        let all_steps: [&[&str]; 4] =
            [&["a", "b"], &["a", "b", "c"], &["a", "b+", "c"], &["a", "b+", "c+", "d"]];
        let steps = *random.choose(&all_steps);
        let after = random.choose(&[AfterMatchSkip::PastLastRow, AfterMatchSkip::Consume]).clone();
        let within = random.chance(60).then(|| 1 + random.below(12) as u64);
        // Where a letter is rare, nothing may be in step for long.
        let letters = *random.choose(&["abcd", "abbbccd", "aaaaaaaab", "abcdxxxxxxxx", "aaaaaaaabbbbbbbbc"]);
        let letter = |random: &mut SplitMix64| char::from(letters.as_bytes()[random.below(letters.len())]);
        let length = random.below(300);
        let batch = rows((0..length).map(|_| letter(&mut random)).collect::<Vec<_>>().into_iter());
        let table = Table::new(batch.schema(), vec![batch]).expect("one schema");
        let pattern = pattern(steps, after, within);
        let most = if random.chance(30) { random.below(12) } else { usize::MAX };
        let members_max = if random.chance(10) { random.below(40) } else { 1 << 20 };
        let (alone, counted) = found_by(1, &pattern, &table, most, members_max);
        for threads in [2, 3, 7] {
            let (found, also_counted) = found_by(threads, &pattern, &table, most, members_max);
            let what =
                format!("seed {seed}: {steps:?} {within:?} most {most}, {members_max}, {threads} threads");
            assert_eq!(counted, also_counted, "{what}");
            match (&alone, &found) {
                (Ok(alone), Ok(found)) => {
                    let shown = |of: &ListsFound| {
                        (of.rows.clone(), of.places.clone(), of.ends.clone(), of.matches, of.numbers.clone())
                    };
                    assert_eq!(shown(alone), shown(found), "{what}");
                    with_matches += usize::from(found.matches > 1);
                    seen_twice += found.work.rows.saturating_sub(alone.work.rows);
                    parts += alone.work.rows * (threads as u64 - 1) / threads as u64;
                }
                (alone, found) => {
                    assert_eq!(alone.as_ref().err(), found.as_ref().err(), "{what}");
                    refused += 1;
                }
            }
            cases += 1;
        }
    }
    assert!(cases > 8_000 && with_matches > 2_000 && refused > 100, "{cases} {with_matches} {refused}");
    // Most parts are in step before they end, and some never are.
    assert!(seen_twice > parts / 20 && seen_twice < parts * 3 / 4, "{seen_twice} of {parts}");
}
