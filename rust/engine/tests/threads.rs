//! Tables shared among threads: what is found, counted or refused is the same, in the same order, for any number of them.
//! (What one thread finds is held against the definition elsewhere.) Each test asserts how many of its cases were shared.

mod membership;

use std::num::NonZeroUsize;

use arrow_array::RecordBatch;
use cepheid_engine::{
    EngineError, MatchOptions, MatchTable, Strategy, count_matches, exists_match, match_head, match_outputs,
    match_table,
};
use cepheid_event::Table;
use cepheid_ir::{BinaryOp, ColumnName, Contiguity, Expr, Pattern, PatternError, Within};
use cepheid_matcher::threads::times_shared;
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::generate_events::{NullTimes, random_table};
use cepheid_testkit::generate_patterns::{Features, random_pattern};
use cepheid_testkit::generate_sequences::{SequenceKnobs, random_sequence};
use cepheid_testkit::generate_streams::{EVENT_TIME, StreamShape, random_stream};
use cepheid_testkit::generate_trends::{TREND_KNOBS, random_trend};
use cepheid_testkit::text_table::TextTable;
use cepheid_testkit::{RefValue, SplitMix64};

const MINUTE: i64 = 60_000_000_000;
const THREADS: [usize; 3] = [2, 3, 7];

fn cases(usual: u64) -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { usual * 20 } else { usual }
}

fn first_seed() -> u64 {
    std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Tables one behind the other, each an hour later than the one before, with rows of so many keys, most of them of few.
fn joined(
    random: &mut SplitMix64,
    pieces: usize,
    keys: usize,
    mut piece: impl FnMut(&mut SplitMix64) -> TextTable,
) -> TextTable {
    let mut all = piece(random);
    for number in 1..pieces {
        let mut more = piece(random);
        for cell in more.rows.iter_mut().flatten() {
            if let RefValue::Timestamp(time) = cell {
                *time += number as i64 * 20 * MINUTE;
            }
        }
        all.rows.extend(more.rows);
    }
    let key = all.columns.iter().position(|column| column.name == "p").expect("every table has keys");
    for row in &mut all.rows {
        let number = random.below(keys).min(random.below(keys));
        row[key] = RefValue::String(format!("key{number}"));
    }
    all
}

fn table_of(text: &TextTable, seed: u64) -> Table {
    let batch = text.to_batch().expect("a generated table is well formed");
    let how = [Cut::Whole, Cut::Every(7), Cut::Random(seed)][seed as usize % 3];
    Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table")
}

type Membership = Vec<Vec<(String, usize)>>;

fn whole(found: Result<MatchTable, EngineError>) -> Result<(RecordBatch, Membership), EngineError> {
    found.map(|found| (found.batch().clone(), membership::members(&found)))
}

/// What became of the cases.
#[derive(Debug, Default)]
struct Outcomes {
    ran: u64,
    shared: u64,
    shared_of_one_key: u64,
    shared_with_matches: u64,
    shared_errors: u64,
}

impl Outcomes {
    /// Holds what several threads answer against what one does.
    fn ask<T: PartialEq + std::fmt::Debug>(
        &mut self,
        case: &str,
        options: &MatchOptions,
        one_key: bool,
        question: impl Fn(&MatchOptions) -> Result<T, EngineError>,
        is_something: impl Fn(&T) -> bool,
    ) {
        let alone = question(options);
        if let Err(EngineError::Pattern(PatternError::Unsupported { .. })) = alone {
            return;
        }
        self.ran += 1;
        let before = times_shared();
        for threads in THREADS {
            let options = MatchOptions {
                threads: NonZeroUsize::new(threads),
                rows_a_thread_min: NonZeroUsize::new(1),
                ..options.clone()
            };
            assert_eq!(question(&options), alone, "{threads} threads: {case}");
        }
        if times_shared() == before {
            return;
        }
        self.shared += 1;
        self.shared_of_one_key += u64::from(one_key);
        match &alone {
            Ok(answer) => self.shared_with_matches += u64::from(is_something(answer)),
            Err(_) => self.shared_errors += 1,
        }
    }

    fn ask_all(&mut self, case: &str, pattern: &Pattern, table: &Table, options: &MatchOptions) {
        let one_key = pattern.partition_by.is_empty();
        let rows = |found: &(RecordBatch, Membership)| found.0.num_rows() > 0;
        let question = |options: &MatchOptions| whole(match_table(pattern, table, options));
        self.ask(&format!("matches, {case}"), options, one_key, question, rows);
        let question = |options: &MatchOptions| whole(match_head(pattern, table, 3, options));
        self.ask(&format!("head, {case}"), options, one_key, question, rows);
        let question = |options: &MatchOptions| count_matches(pattern, table, options);
        self.ask(&format!("count, {case}"), options, one_key, question, |count| *count != 0_u8.into());
        let question = |options: &MatchOptions| exists_match(pattern, table, options);
        self.ask(&format!("exists, {case}"), options, one_key, question, |exists| *exists);
    }
}

fn keys(random: &mut SplitMix64) -> usize {
    *random.choose(&[1, 2, 3, 8, 30])
}

#[test]
fn row_patterns_are_the_same_on_any_number_of_threads() {
    const FAMILIES: [Features; 7] = [
        Features::SQL,
        Features::ALGEBRA,
        Features::STATE_FREE,
        Features::EXCLUSIVE,
        Features::EXCLUSIVE,
        Features::RUN_RELATIVE,
        Features { errors: true, ..Features::SQL },
    ];
    let mut by_strategy: Vec<(Option<Strategy>, Outcomes)> =
        std::iter::once(None).chain(Strategy::ALL.map(Some)).map(|s| (s, Outcomes::default())).collect();
    let all = cases(25);
    for (ordinal, features) in (1_u64..).zip(FAMILIES) {
        for seed in first_seed()..first_seed() + all {
            let mut random = SplitMix64::new(seed.wrapping_mul(0x5851_F42D_4C95_7F2D) ^ ordinal);
            let pattern = random_pattern(&mut random, features);
            let times = match pattern.within {
                Some(Within::Time { .. }) => NullTimes::Never,
                _ => NullTimes::Sometimes,
            };
            let (pieces, keys) = (1 + random.below(6), keys(&mut random));
            let text = joined(&mut random, pieces, keys, |random| random_table(random, times));
            let table = table_of(&text, seed);
            for (strategy, outcomes) in &mut by_strategy {
                // Few steps, so that some searches fail for that.
                let step_limit = Some(if seed % 3 == 0 { 10 } else { 2_000 });
                let options = MatchOptions { strategy: *strategy, step_limit, ..MatchOptions::default() };
                let case = format!("{strategy:?}, family {ordinal}, seed {seed}: {}", pattern.to_json());
                outcomes.ask_all(&case, &pattern, &table, &options);
            }
        }
    }
    println!("{by_strategy:?}");
    let most = 4 * all * FAMILIES.len() as u64;
    for (strategy, outcomes) in &by_strategy {
        let few = match strategy {
            // Rows of a row pattern follow each other: those are never lists, nor of trends.
            Some(strategy) if strategy.is_of_lists() => continue,
            None => most / 4,
            // Where the data show that runs exclude what follows them.
            Some(Strategy::BitStreams) => most / 60,
            _ => most / 30,
        };
        assert!(outcomes.shared >= few, "{strategy:?}: {outcomes:?} of {most}");
        assert!(outcomes.shared_with_matches * 4 >= outcomes.shared, "{strategy:?}: {outcomes:?}");
    }
    let errors: u64 = by_strategy.iter().map(|(_, outcomes)| outcomes.shared_errors).sum();
    assert!(errors * 100 >= most, "{errors} shared cases with errors, of {most}");
}

/// Adds to some conditions what a row with a zero cannot be asked: one variable's error or another's comes first.
fn may_divide_by_zero(random: &mut SplitMix64, pattern: &mut Pattern) {
    for definition in pattern.define.iter_mut().filter(|_| random.chance(50)) {
        let divided = Expr::binary(BinaryOp::Divide, Expr::literal(4_i64), Expr::column("v"));
        let asked = Expr::binary(BinaryOp::Greater, divided, Expr::literal(-9_i64));
        definition.condition = Expr::And(vec![definition.condition.clone(), asked]);
    }
}

#[test]
fn sequences_are_the_same_on_any_number_of_threads() {
    const FAMILIES: [SequenceKnobs; 5] = [
        SequenceKnobs::ALL,
        SequenceKnobs { looks_ahead: false, ..SequenceKnobs::ALL },
        SequenceKnobs {
            one_key: true,
            contiguities: &[Contiguity::SkipTillNext, Contiguity::SkipTillAny],
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
        SequenceKnobs::STEP_LISTS,
        SequenceKnobs::JOINED_LISTS,
    ];
    let mut by_family = FAMILIES.map(|_| (Outcomes::default(), Outcomes::default()));
    let mut joined_lists = 0;
    let all = cases(40);
    for (family, (knobs, (found, derived))) in FAMILIES.into_iter().zip(&mut by_family).enumerate() {
        for seed in first_seed()..first_seed() + all {
            let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 91);
            let mut pattern = random_sequence(&mut random, knobs);
            // Matches of long tables without a bound are more than can be gone through.
            pattern.within = Some(if random.chance(50) {
                Within::Rows(1 + random.below(5) as u64)
            } else {
                Within::Time { nanoseconds: random.between(1, 4) * MINUTE }
            });
            if family < 3 && random.chance(70) {
                pattern.partition_by = vec![ColumnName::unquoted("p")];
                pattern.timeouts = random.chance(50);
            }
            if family == 4 {
                pattern.partition_by = vec![ColumnName::unquoted("p")];
            }
            if family == 1 {
                may_divide_by_zero(&mut random, &mut pattern);
            }
            if pattern.validate().is_err() {
                continue;
            }
            let shape = StreamShape { null_times: seed % 7 == 0, ..StreamShape::default() };
            let stream = |random: &mut SplitMix64| random_stream(random, shape).topics.swap_remove(0).1;
            let (pieces, keys) = (1 + random.below(12), keys(&mut random));
            let table = table_of(&joined(&mut random, pieces, keys, stream), seed);
            let options = MatchOptions { event_time: Some(EVENT_TIME.to_owned()), ..MatchOptions::default() };
            let case = format!("seed {seed}: {}", pattern.to_json());
            found.ask_all(&case, &pattern, &table, &options);
            if family == 4 {
                let matches = match_table(&pattern, &table, &options);
                joined_lists +=
                    u64::from(matches.is_ok_and(|of| of.strategy() == Strategy::JoinedLists.name()));
            }
            let outputs = |options: &MatchOptions| {
                let (matches, others) = match_outputs(&pattern, "rule", &table, options)?;
                let others: Vec<_> = others
                    .into_iter()
                    .map(|(topic, derived)| (topic, derived.batch, derived.membership))
                    .collect();
                Ok((whole(Ok(matches))?, others))
            };
            let one_key = pattern.partition_by.is_empty();
            derived.ask(&format!("outputs, {case}"), &options, one_key, outputs, |(_, others)| {
                others.iter().any(|(_, batch, _)| batch.num_rows() > 0)
            });
        }
    }
    println!("{by_family:?}");
    for (family, (found, _)) in by_family.iter().enumerate() {
        assert!(found.shared >= all, "family {family}: {found:?} of {}", 4 * all);
        let without_errors = found.shared - found.shared_errors;
        assert!(found.shared_with_matches * 4 >= without_errors, "family {family}: {found:?}");
    }
    let derived: u64 = by_family.iter().map(|(_, derived)| derived.shared_with_matches).sum();
    assert!(derived * 4 >= all, "{derived} cases derived more than matches, of {}", 4 * all);
    assert!(by_family[1].0.shared_errors * 20 >= all, "{:?} of {}", by_family[1].0, 4 * all);
    assert!(joined_lists * 4 >= all, "joined lists took {joined_lists} of {all}");
    // One partition is cut where each window is known to be short.
    assert!(by_family[3].0.shared_of_one_key * 4 >= all, "{:?} of {}", by_family[3].0, 4 * all);
}

#[test]
fn trends_are_the_same_on_any_number_of_threads() {
    let mut outcomes = Outcomes::default();
    let all = cases(150);
    for seed in first_seed()..first_seed() + all {
        let mut random = SplitMix64::new(seed.wrapping_mul(0x9E37_79B9) ^ 17);
        let mut pattern = random_trend(&mut random, TREND_KNOBS);
        if random.chance(70) {
            pattern.within = Some(if random.chance(50) {
                Within::Rows(1 + random.below(12) as u64)
            } else {
                Within::Time { nanoseconds: random.between(1, 9) * MINUTE }
            });
        }
        if pattern.validate().is_err() {
            continue;
        }
        let shape = StreamShape { null_times: seed % 7 == 0, ..StreamShape::default() };
        let above = random.between(0, 1);
        // Sums of values of both signs are not cut, as what is lost of them may come back.
        let stream = |random: &mut SplitMix64| {
            let mut text = random_stream(random, shape).topics.swap_remove(0).1;
            for cell in text.rows.iter_mut().flatten() {
                if let RefValue::Integer(value) = cell {
                    *value += i128::from(above);
                }
            }
            text
        };
        let (pieces, keys) = (1 + random.below(25), keys(&mut random));
        let table = table_of(&joined(&mut random, pieces, keys, stream), seed);
        let options = MatchOptions { event_time: Some(EVENT_TIME.to_owned()), ..MatchOptions::default() };
        let one_key = pattern.partition_by.is_empty();
        let case = format!("seed {seed}: {}", pattern.to_json());
        let question = |options: &MatchOptions| whole(match_table(&pattern, &table, options));
        outcomes.ask(&case, &options, one_key, question, |found| found.0.num_rows() > 0);
        let matched = Pattern { trend: None, ..pattern.clone() };
        // The rest would be enumerated.
        let options = MatchOptions { strategy: Some(Strategy::Trends), ..options };
        let question = |options: &MatchOptions| count_matches(&matched, &table, options);
        outcomes.ask(&format!("count, {case}"), &options, one_key, question, |count| *count != 0_u8.into());
        let question = |options: &MatchOptions| exists_match(&matched, &table, options);
        outcomes.ask(&format!("exists, {case}"), &options, one_key, question, |exists| *exists);
    }
    println!("{outcomes:?}");
    assert!(outcomes.shared >= all, "{outcomes:?} of {}", 3 * all);
    assert!(outcomes.shared_with_matches * 3 >= outcomes.shared * 2, "{outcomes:?}");
    assert!(outcomes.shared_of_one_key * 6 >= all, "{outcomes:?} of {}", 3 * all);
}
