//! Step lists as the state of a rule: what streams derive by them is what the definition says, however rows come, and what
//! they keep is linear in rows and flat in the number of matches that may yet come of them.

mod membership;
mod numbered;
mod settled;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use cepheid_engine::{
    DerivedTable, Engine, EngineError, EngineOptions, MatchOptions, Strategy, count_matches,
};
use cepheid_event::Table;
use cepheid_ir::{AfterMatchSkip, Pattern, Within};
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{EVENT_TIME, StreamShape, random_stream};
use cepheid_testkit::{ReferenceError, SplitMix64, reference_sequences};
use numbered::{Numbered, forced, found, numbered, of_reference};
use settled::random_settled;

fn add(derived: &[(String, DerivedTable)], found: &mut Numbered) {
    for (_, table) in derived {
        let numbers = table.batch.column_by_name("match_number").expect("output of the algebra");
        let first = found.len();
        found.extend(numbers.as_primitive::<Int64Type>().values().iter().map(|number| (*number, vec![])));
        let membership = table.membership.as_ref().expect("that of matches is kept");
        let events = membership.column(0).as_primitive::<Int64Type>();
        let names = membership.column(1).as_dictionary::<Int32Type>();
        let names = names.downcast_dict::<StringArray>().expect("names are strings");
        let rows = membership.column(2).as_primitive::<Int64Type>();
        for (place, name) in names.into_iter().enumerate() {
            let member = (name.expect("not null").to_owned(), rows.value(place) as usize);
            found[first + events.value(place) as usize].1.push(member);
        }
    }
}

fn options(lateness_ns: Option<u64>, threads: usize) -> EngineOptions {
    let event_time = EVENT_TIME.to_owned();
    EngineOptions { event_time, lateness_ns, threads: Some(threads), ..EngineOptions::default() }
}

/// A value that no row has but those that are to make a call fail.
const POISON: i64 = 77;

/// A rule that never matches, and raises an error at a row of that value.
fn poisoned() -> Pattern {
    let text = format!(
        "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts PATTERN (x) DEFINE x AS 6 / (v - {POISON}) > 1000)"
    );
    Pattern { name: Some("poisoned".into()), ..cepheid_sql::parse_pattern(&text).expect("a pattern") }
}

/// The rows, and one more of their last time that makes the call fail once the rule before has matched all of them.
fn with_poison(piece: &RecordBatch) -> RecordBatch {
    let last = piece.slice(piece.num_rows() - 1, 1);
    let mut columns = last.columns().to_vec();
    columns[last.schema().index_of("v").expect("a value")] = Arc::new(Int64Array::from(vec![POISON]));
    let row = RecordBatch::try_new(last.schema(), columns).expect("the same columns");
    arrow_select::concat::concat_batches(&piece.schema(), [piece, &row]).expect("one schema")
}

/// Pushes rows in a call that must fail, and leave everything as it was.
fn fail(engine: &mut Engine, piece: &RecordBatch, place: &dyn Fn() -> String) {
    let before = engine.snapshot().expect("a snapshot");
    let failed = engine.push(None, &[with_poison(piece)], None);
    let error = failed.expect_err("the clock moves with the rows");
    assert!(matches!(error, EngineError::Eval { .. }), "{error:?}");
    assert!(engine.snapshot().expect("a snapshot") == before, "something is left behind, {}", place());
}

/// A pattern of which all matches are wanted, or of runs without a choice.
fn random_rule(random: &mut SplitMix64, seed: u64) -> Pattern {
    match seed % 5 {
        0..3 => random_sequence(random, SequenceKnobs::STEP_LISTS),
        _ => random_settled(random, seed, true),
    }
}

#[test]
fn random_streams_derive_the_matches_of_the_definition() {
    let cases: u64 = if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 900 };
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut ran, mut matched, mut consumed, mut by_rows, mut restored, mut put_back) = (0, 0, 0, 0, 0, 0);
    let mut keyed = 0;
    for seed in base..base + cases {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 78);
        let mut pattern = random_rule(&mut random, seed);
        if seed % 3 == 0 {
            pattern.after_match = AfterMatchSkip::Consume;
        }
        if seed % 4 == 0 {
            pattern.within = Some(Within::Rows(1 + seed % 6));
        }
        pattern.within.get_or_insert(Within::Unbounded);
        pattern.name = Some("rule".into());
        if pattern.validate().is_err() {
            continue;
        }
        let stream = random_stream(&mut random, StreamShape { disorder: false, ..StreamShape::default() });
        let expected = match reference_sequences(&pattern, &stream.to_batch_input()) {
            Err(ReferenceError::TooManySteps) => continue,
            expected => of_reference(&expected.expect("conditions on single events")),
        };
        let batch = stream.topics[0].1.to_batch().expect("cells fit their columns");
        let place = || format!("seed {seed}: {}", pattern.to_json());
        let lateness = *random.choose(&[Some(0), Some(0), Some(120_000_000_000), None]);
        let rules = || vec![pattern.clone(), poisoned()];
        let made = Engine::new(rules(), options(lateness, 1 + random.below(2)));
        let mut engine = made.unwrap_or_else(|error| panic!("{}: {error}", place()));
        let mut derived_so_far: Numbered = vec![];
        let mut start = 0;
        let most = *random.choose(&[1, 3, 40]);
        let (mut restores, mut failures) = (0, 0);
        while start < batch.num_rows() {
            let rows = (1 + random.below(most)).min(batch.num_rows() - start);
            let piece = batch.slice(start, rows);
            if lateness == Some(0) && random.chance(30) {
                fail(&mut engine, &piece, &place);
                failures += 1;
            } else if random.chance(20) {
                let blob = engine.snapshot().expect("a snapshot");
                engine = Engine::restore(&blob, rules(), Some(1 + random.below(2)), None, None)
                    .unwrap_or_else(|error| panic!("{}: {error}", place()));
                restores += 1;
            }
            let derived = engine.push(None, std::slice::from_ref(&piece), None);
            add(&derived.unwrap_or_else(|error| panic!("{}: {error}", place())), &mut derived_so_far);
            start += rows;
        }
        let strategy = engine.stats().rules[0].strategy;
        add(&engine.flush().expect("the end"), &mut derived_so_far);
        assert_eq!(derived_so_far, expected, "{} {strategy:?}", place());
        if batch.num_rows() == 0 || strategy != Strategy::StepLists {
            continue;
        }
        assert_eq!(engine.stats().live_runs, 0, "something waits behind the end, {}", place());
        ran += 1;
        keyed += u64::from(!pattern.partition_by.is_empty());
        matched += u64::from(!expected.is_empty());
        consumed += u64::from(pattern.after_match == AfterMatchSkip::Consume && !expected.is_empty());
        by_rows += u64::from(matches!(pattern.within, Some(Within::Rows(_))) && !expected.is_empty());
        restored += restores;
        put_back += failures;
    }
    println!(
        "{ran} of {cases} by lists; {matched} with matches, {consumed} consumed, {by_rows} by rows, {restored} restored, {put_back} put back, {keyed} with keys"
    );
    assert!(ran * 100 >= cases * 55, "only {ran} of {cases} by lists");
    assert!(matched * 2 > ran && consumed * 8 > ran && by_rows * 10 > ran);
    assert!(restored * 4 > ran && put_back * 4 > ran, "{restored} restored, {put_back} put back");
    assert!(keyed * 4 > ran, "{keyed} with keys");
}

/// Patterns with more matches than this are passed over.
const MATCHES_MAX: u64 = 1_000_000;

/// Rows of few kinds, keys and values, a minute apart or none.
fn long_stream(random: &mut SplitMix64, rows: usize) -> RecordBatch {
    let mut letter = |letters: &str| -> ArrayRef {
        let letters: Vec<String> = letters.chars().map(String::from).collect();
        Arc::new((0..rows).map(|_| Some(random.choose(&letters).clone())).collect::<StringArray>())
    };
    let (kinds, keys) = (letter("abcde"), letter("pqr"));
    let values: Int64Array = (0..rows).map(|_| random.below(6) as i64).collect();
    let mut minute = 0;
    let times: Vec<i64> = (0..rows)
        .map(|_| {
            minute += random.below(2) as i64;
            minute * 60_000_000
        })
        .collect();
    let times = TimestampMicrosecondArray::from(times);
    let columns: [(&str, ArrayRef); 4] =
        [("k", kinds), (EVENT_TIME, Arc::new(times)), ("v", Arc::new(values)), ("p", keys)];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn long_streams_derive_what_runs_that_wait_find_in_a_table() {
    let cases: u64 = if std::env::var_os("CEPHEID_DEEP").is_some() { 1_000 } else { 150 };
    let base: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut ran, mut matches, mut keyed, mut put_back) = (0, 0, 0, 0);
    for seed in base..base + cases {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 79);
        let mut pattern = random_rule(&mut random, seed);
        if seed % 3 == 0 {
            pattern.after_match = AfterMatchSkip::Consume;
        }
        pattern.within = Some(match seed % 2 {
            0 => Within::Rows(1 + seed % 12),
            _ => Within::Time { nanoseconds: (1 + seed as i64 % 9) * 60_000_000_000 },
        });
        pattern.name = Some("rule".into());
        let rows = 100 + random.below(500);
        let batch = long_stream(&mut random, rows);
        let table = Table::new(batch.schema(), vec![batch.clone()]).expect("a table");
        let place = || format!("seed {seed}: {}", pattern.to_json());
        if pattern.validate().is_err() {
            continue;
        }
        // A loop whose every choice of rows is a match can have more of them than any memory holds.
        let event_time = MatchOptions { event_time: Some(EVENT_TIME.to_owned()), ..MatchOptions::default() };
        let counted = count_matches(&pattern, &table, &event_time);
        if counted.unwrap_or_else(|error| panic!("{}: {error}", place())) > MATCHES_MAX.into() {
            continue;
        }
        let expected = found(&pattern, &table, &forced(Strategy::Sequences, Some(EVENT_TIME)));
        let expected = expected.unwrap_or_else(|error| panic!("{}: {error}", place()));
        let expected = numbered(&expected.expect("runs take every pattern"));
        let rules = || vec![pattern.clone(), poisoned()];
        let made = Engine::new(rules(), options(Some(0), 1 + random.below(2)));
        let mut engine = made.unwrap_or_else(|error| panic!("{}: {error}", place()));
        let mut derived = vec![];
        let mut start = 0;
        let most = *random.choose(&[7, 60, 400]);
        while start < batch.num_rows() {
            let rows = (1 + random.below(most)).min(batch.num_rows() - start);
            let piece = batch.slice(start, rows);
            if random.chance(10) {
                let blob = engine.snapshot().expect("a snapshot");
                engine = Engine::restore(&blob, rules(), None, None, None).expect("its own");
            }
            if random.chance(10) {
                fail(&mut engine, &piece, &place);
                put_back += 1;
            }
            add(&engine.push(None, &[piece], None).expect("good rows"), &mut derived);
            start += rows;
        }
        let by_lists = engine.stats().rules[0].strategy == Strategy::StepLists;
        add(&engine.flush().expect("the end"), &mut derived);
        assert!(derived == expected, "{}", place());
        ran += u64::from(by_lists);
        keyed += u64::from(by_lists && !pattern.partition_by.is_empty());
        matches += if by_lists { expected.len() } else { 0 };
    }
    println!("{ran} of {cases} by lists, {keyed} with keys; {matches} matches, {put_back} put back");
    assert!(keyed * 4 > ran && put_back > cases / 2, "{keyed} with keys, {put_back} put back");
    assert!(ran * 100 >= cases * 55, "only {ran} of {cases} by lists");
    assert!(matches as u64 > cases * 100, "only {matches} matches");
}

/// `A ->> B ->> C` within so many rows.
fn any_abc(window: u64) -> Pattern {
    let text = format!(
        "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts ALL MATCHES PATTERN (a ->> b ->> c) WITHIN {window} ROWS
         DEFINE a AS n = 0, b AS n = 1, c AS n = 2)"
    );
    let mut pattern = cepheid_sql::parse_pattern(&text).expect("a pattern");
    pattern.output = cepheid_ir::OutputColumns::Derived;
    Pattern { name: Some("rule".into()), ..pattern }
}

fn letters(from: i64, letters: impl Iterator<Item = i64>) -> RecordBatch {
    let n: Int64Array = letters.collect();
    let ts: Int64Array = (from..from + n.values().len() as i64).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![(EVENT_TIME, Arc::new(ts)), ("n", Arc::new(n))];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn what_is_kept_is_linear_in_relevant_rows_and_flat_in_what_may_come_of_them() {
    let mut bytes_a_row = vec![];
    for window in [1_000_i64, 10_000, 100_000] {
        let mut engine = Engine::new(vec![any_abc(window as u64)], options(Some(0), 1)).expect("a rule");
        // Twice the window, in which every second row is an A or a B: (W / 4)² pairs wait for a C.
        for call in 0..8 {
            let from = call * window / 4;
            let own = letters(
                from,
                (from..from + window / 4).map(|row| if row % 2 == 0 { 9 } else { row / 2 % 2 }),
            );
            assert!(engine.push(None, &[own], None).expect("good rows").is_empty());
        }
        let [stats] = engine.stats().rules.try_into().expect("one rule");
        assert_eq!(stats.strategy, Strategy::StepLists);
        let relevant = window as usize / 2;
        assert!((relevant..=relevant * 3 / 2).contains(&stats.live_runs), "{} wait", stats.live_runs);
        bytes_a_row.push(stats.bytes as f64 / relevant as f64);
        // One row, and then another: what is made is an entry each, whatever the window.
        let made = stats.runs_visited;
        for row in 0..10 {
            let own = letters(2 * window + row, std::iter::once(row % 2));
            assert!(engine.push(None, &[own], None).expect("a good row").is_empty());
        }
        assert_eq!(engine.stats().rules[0].runs_visited - made, 10);
    }
    println!("{bytes_a_row:?} bytes a relevant row");
    assert!(bytes_a_row[1] <= 30.0 && bytes_a_row[2] <= 24.0, "{bytes_a_row:?}");
}

#[test]
fn what_lists_take_beside_their_rows_is_little() {
    // 139 rows of 100,000 matter, so that what there is of a rule without any is a seventh of it all.
    let relevant = 139;
    let mut engine = Engine::new(vec![any_abc(100_000)], options(Some(0), 1)).expect("a rule");
    let letter = |row: i64| match (row / 719, row % 719) {
        (number, 0) if number % 9 < 5 => 0,
        (_, 0) => 1,
        _ => 9,
    };
    for (from, to) in [(0, 65_536), (65_536, 719 * relevant)] {
        let own = letters(from, (from..to).map(letter));
        assert!(engine.push(None, &[own], None).expect("good rows").is_empty());
    }
    let [stats] = engine.stats().rules.try_into().expect("one rule");
    assert_eq!((stats.strategy, stats.live_runs), (Strategy::StepLists, relevant as usize));
    assert!(stats.bytes <= 24 * relevant as usize, "{} bytes", stats.bytes);
}

/// Three or more of one kind and then one of the other, by key.
fn by_key(within: &str) -> Pattern {
    let text = format!(
        "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY n ORDER BY ts
         AFTER MATCH SKIP PAST LAST ROW PATTERN (a{{3,}} [->] -> b) WITHIN {within}
         DEFINE a AS kind = 0, b AS kind = 1)"
    );
    let mut pattern = cepheid_sql::parse_pattern(&text).expect("a pattern");
    pattern.output = cepheid_ir::OutputColumns::Derived;
    Pattern { name: Some("rule".into()), ..pattern }
}

/// Rows of a kind, a nanosecond apart, each with its key.
fn keyed(from: i64, keys: impl Iterator<Item = i64>, kind: i64) -> RecordBatch {
    let n: Int64Array = keys.collect();
    let ts: Int64Array = (from..from + n.values().len() as i64).collect();
    let kind = Int64Array::from_value(kind, ts.values().len());
    let columns: Vec<(&str, ArrayRef)> =
        vec![(EVENT_TIME, Arc::new(ts)), ("n", Arc::new(n)), ("kind", Arc::new(kind))];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn a_key_with_few_rows_takes_few_bytes_and_one_with_many_no_more_than_its_lists() {
    let mut engine = Engine::new(vec![by_key("INTERVAL '1' SECOND")], options(Some(0), 1)).expect("a rule");
    let keys = 50_000;
    engine.push(None, &[keyed(0, 0..keys, 0)], None).expect("good rows");
    let kept = |engine: &Engine| engine.stats().rules[0].clone();
    assert_eq!((kept(&engine).strategy, kept(&engine).keys), (Strategy::StepLists, keys as usize));
    let bytes_a_key = kept(&engine).bytes / keys as usize;
    println!("{bytes_a_key} bytes a key with a row");
    assert!(bytes_a_key <= 200, "{bytes_a_key} bytes a key with a row");
    // What nothing waits for is not kept.
    engine.push(None, &[keyed(100_000, keys..2 * keys, 1)], None).expect("good rows");
    assert_eq!(kept(&engine).keys, keys as usize);
    // Of many rows lists are kept, and when they are forgotten the key takes as little as before.
    let before = kept(&engine).bytes;
    engine.push(None, &[keyed(200_000, std::iter::repeat_n(7, 10_000), 0)], None).expect("good rows");
    let bytes_a_row = (kept(&engine).bytes - before) / 10_000;
    assert!((12..=120).contains(&bytes_a_row), "{bytes_a_row} bytes a row");
    let derived = engine.push(None, &[keyed(300_000, std::iter::once(7), 1)], None).expect("a good row");
    assert_eq!(derived[0].1.batch.num_rows(), 1);
    assert!(kept(&engine).bytes <= before + 100, "{} bytes, {before} before", kept(&engine).bytes);
}

#[test]
fn memory_of_keys_that_have_left_the_window_is_given_back() {
    let mut engine =
        Engine::new(vec![by_key("INTERVAL '0.001' SECOND")], options(Some(0), 1)).expect("a rule");
    for round in 0..4 {
        let first = round * 10_000_000;
        engine.push(None, &[keyed(first, 0..20_000, 0)], None).expect("good rows");
        let many = engine.stats().rules[0].clone();
        assert_eq!((many.strategy, many.keys), (Strategy::StepLists, 20_000));
        // A row when all others have left.
        engine.push(None, &[keyed(first + 5_000_000, std::iter::once(3), 0)], None).expect("a good row");
        let few = engine.stats().rules[0].clone();
        assert_eq!(few.keys, 1, "round {round}");
        assert!(few.bytes * 20 < many.bytes, "round {round}: {} of {} bytes", few.bytes, many.bytes);
    }
}
