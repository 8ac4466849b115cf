//! Lists of some kind against the definition, case by case.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use cepheid_engine::{MatchOptions, Strategy, count_matches, exists_match, match_head, match_table};
use cepheid_event::Table;
use cepheid_ir::{AfterMatchSkip, Pattern, Within};
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::generate_streams::{EVENT_TIME, RandomStream};
use cepheid_testkit::{ReferenceError, reference_sequences};

use crate::numbered::{forced, found, numbered, of_reference};

/// What has been compared.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Cases that the strategy takes.
    pub(crate) ran: u64,
    /// Those of them that it is planned for, ...
    pub(crate) planned: u64,
    /// ... with matches, ...
    pub(crate) matched: u64,
    /// ... that consume, ...
    pub(crate) consumed: u64,
    /// ... under a bound by rows, ...
    pub(crate) by_rows: u64,
    /// ... by key, ...
    pub(crate) by_key: u64,
    /// ... and of several keys.
    pub(crate) of_several_keys: u64,
    /// How many matches there were of each length.
    pub(crate) lengths: BTreeMap<usize, u64>,
}

impl Compared {
    /// Compares what a strategy finds with the definition, if it takes the pattern on these rows: the same matches, of the same
    /// numbers, in the same order; counted, asked for and of several threads, too; by itself, as the planner's choice, and
    /// beside runs that wait. `seed` says how rows are cut and shared.
    pub(crate) fn compare(
        &mut self,
        strategy: Strategy,
        pattern: &Pattern,
        stream: &RandomStream,
        seed: u64,
    ) {
        let batch = stream.topics[0].1.to_batch().expect("cells fit their columns");
        let how = [Cut::Whole, Cut::Every(1), Cut::Every(3), Cut::Random(seed)][seed as usize % 4];
        let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
        let options = forced(strategy, Some(EVENT_TIME));
        let place = || format!("seed {seed}: {}\n{batch:?}", pattern.to_json());
        let matches = found(pattern, &table, &options);
        let Some(matches) = matches.unwrap_or_else(|error| panic!("{}: {error}", place())) else { return };
        let expected = match reference_sequences(pattern, &stream.to_batch_input()) {
            Err(ReferenceError::TooManySteps) => return,
            expected => of_reference(&expected.unwrap_or_else(|error| panic!("{}: {error}", place()))),
        };
        assert_eq!(numbered(&matches), expected, "{}", place());
        let counted = count_matches(pattern, &table, &options);
        assert_eq!(counted, Ok((expected.len() as u64).into()), "{}", place());
        assert_eq!(exists_match(pattern, &table, &options), Ok(!expected.is_empty()), "{}", place());
        let few = match_head(pattern, &table, 3, &options).expect("as all of them");
        assert_eq!(numbered(&few), expected[..expected.len().min(3)], "{}", place());
        let threads = NonZeroUsize::new(1 + seed as usize % 4);
        let shared = match_table(
            pattern,
            &table,
            &MatchOptions { threads, rows_a_thread_min: NonZeroUsize::new(1), ..options.clone() },
        );
        assert_eq!(shared.expect("as on one").batch(), matches.batch(), "{threads:?}, {}", place());
        // Whatever the planner takes and runs that wait find the same.
        let planned = match_table(pattern, &table, &MatchOptions { strategy: None, ..options.clone() });
        let planned = planned.expect("as before");
        assert_eq!(numbered(&planned), expected, "{} {}", planned.strategy(), place());
        self.planned += u64::from(planned.strategy() == strategy.name());
        let waited = MatchOptions { strategy: Some(Strategy::Sequences), ..options };
        let waited = match_table(pattern, &table, &waited).expect("as before");
        assert_eq!(waited.batch(), matches.batch(), "{}", place());

        self.ran += 1;
        for (_, members) in &expected {
            *self.lengths.entry(members.len()).or_default() += 1;
        }
        if expected.is_empty() {
            return;
        }
        self.matched += 1;
        self.consumed += u64::from(pattern.after_match == AfterMatchSkip::Consume);
        self.by_rows += u64::from(matches!(pattern.within, Some(Within::Rows(_))));
        if !pattern.partition_by.is_empty() {
            self.by_key += 1;
            let keys = matches.batch().column_by_name("p").expect("what rows are partitioned by");
            let differs = |row: usize| keys.slice(row, 1).to_data() != keys.slice(0, 1).to_data();
            self.of_several_keys += u64::from((1..keys.len()).any(differs));
        }
    }
}

/// How many cases are wanted, and the seed of the first.
pub(crate) fn cases(usual: u64) -> (u64, u64) {
    let wanted = if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { usual };
    let base = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    (wanted, base)
}
