//! Random patterns over random tables: every strategy against the brute-force definition.

mod membership;

use std::collections::BTreeMap;

use cepheid_engine::{EngineError, MatchOptions, MatchTable, Strategy, match_table};
use cepheid_event::Table;
use cepheid_ir::{Pattern, PatternError, Within};
use cepheid_testkit::cuts::{Cut, cut};
use cepheid_testkit::generate_events::{NullTimes, random_table};
use cepheid_testkit::generate_patterns::{Features, random_pattern};
use cepheid_testkit::text_table::TextTable;
use cepheid_testkit::{
    RefValue, ReferenceError, ReferenceOutput, ReferenceTable, SplitMix64, reference_matches,
};

/// Families of patterns, so that every strategy gets its share.
const FAMILIES: [(&str, Features); 8] = [
    ("sql", Features::SQL),
    ("algebra", Features::ALGEBRA),
    ("state-free", Features::STATE_FREE),
    ("neighbours", Features::NEIGHBOURS),
    ("exclusive", Features::EXCLUSIVE),
    ("run-relative", Features::RUN_RELATIVE),
    ("aggregates", Features::AGGREGATES),
    ("errors", Features { errors: true, ..Features::SQL }),
];

/// Cases of each family: 10,000 in all in the deep profile.
fn cases_a_family() -> u64 {
    if std::env::var_os("CEPHEID_DEEP").is_some() { 1250 } else { 150 }
}

/// The definition gives matches partition by partition; derived events come in an order over all partitions, which is
/// compared between strategies.
fn compare(
    pattern: &Pattern,
    expected: &Result<ReferenceOutput, ReferenceError>,
    found: Result<MatchTable, EngineError>,
) -> Result<(), String> {
    match (expected, found) {
        (Err(expected), Err(found)) if expected.code() == found.code() => Ok(()),
        (Err(expected), Err(found)) => {
            Err(format!("expected error {}: {expected}, found {}: {found}", expected.code(), found.code()))
        }
        (Err(expected), Ok(_)) => {
            Err(format!("expected error {}: {expected}, found matches", expected.code()))
        }
        (Ok(_), Err(found)) => Err(format!("expected matches, found error {}: {found}", found.code())),
        (Ok(expected), Ok(found)) => {
            let mut expected_members: Vec<_> = expected.matches.iter().map(|m| m.members.clone()).collect();
            let mut found_members = membership::members(&found);
            let rows = ReferenceTable::from_batches(std::slice::from_ref(found.batch()));
            let mut table = TextTable { columns: vec![], rows: expected.rows.clone() };
            let mut found_rows = rows.rows;
            if pattern.output == cepheid_ir::OutputColumns::Derived {
                expected_members.sort();
                found_members.sort();
                // Floats may differ in their last digits, which must not put rows in another order.
                let cell = |value: &RefValue| match value {
                    RefValue::Float(float) => format!("{float:.6}"),
                    other => format!("{other:?}"),
                };
                let key = |row: &Vec<RefValue>| row.iter().map(cell).collect::<Vec<_>>();
                table.rows.sort_by_key(key);
                found_rows.sort_by_key(key);
            }
            if expected_members != found_members {
                return Err(format!(
                    "matches differ\n  expected {expected_members:?}\n  found    {found_members:?}"
                ));
            }
            let names: Vec<String> = rows.columns;
            if names != expected.columns {
                return Err(format!("columns differ: expected {:?}, found {names:?}", expected.columns));
            }
            let same = table.rows.len() == found_rows.len()
                && table
                    .rows
                    .iter()
                    .zip(&found_rows)
                    .all(|(l, r)| l.iter().zip(r).all(|(l, r)| l.is_same(r)));
            if same {
                Ok(())
            } else {
                Err(format!("rows differ\n  expected {:?}\n  found    {found_rows:?}", table.rows))
            }
        }
    }
}

#[test]
fn every_strategy_gives_what_the_definition_gives() {
    let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut matched, mut asked_more) = (0, 0);
    let mut failures = vec![];
    let first_seed: u64 = std::env::var("CEPHEID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut null_times = 0;
    for (ordinal, (family, features)) in (1_u64..).zip(FAMILIES) {
        for seed in first_seed..first_seed + cases_a_family() {
            let mut random = SplitMix64::new(seed.wrapping_mul(0x5851_F42D_4C95_7F2D) ^ ordinal);
            let pattern = random_pattern(&mut random, features);
            let times = match pattern.within {
                Some(Within::Time { .. }) => NullTimes::Never,
                _ => NullTimes::Sometimes,
            };
            let text = random_table(&mut random, times);
            null_times += usize::from(text.rows.iter().any(|row| row[1].is_null()));
            let batch = text.to_batch().expect("a generated table is well formed");
            let expected = reference_matches(&pattern, &text.to_reference());
            matched += expected.as_ref().map_or(0, |output| output.matches.len().min(1));
            let how = [Cut::Whole, Cut::Every(1), Cut::Every(4), Cut::Random(seed)][seed as usize % 4];
            let table = Table::new(batch.schema(), cut(&batch, how)).expect("pieces of one table");
            let mut planned = None;
            for strategy in std::iter::once(None).chain(Strategy::ALL.map(Some)) {
                let options = MatchOptions { strategy, ..MatchOptions::default() };
                let found = match_table(&pattern, &table, &options);
                if let (Some(_), Err(EngineError::Pattern(PatternError::Unsupported { .. }))) =
                    (strategy, &found)
                {
                    continue;
                }
                *ran.entry(strategy.map_or("planner", Strategy::name)).or_default() += 1;
                // Runs that wait ask of every row whether a match begins there, also of one that a match not known
                // yet will pass over: they meet errors that a search from match to match does not.
                let asks_more = strategy == Some(Strategy::Sequences) && family == "errors";
                if let (true, Ok(_), Err(EngineError::Eval { .. })) = (asks_more, &expected, &found) {
                    asked_more += 1;
                    continue;
                }
                let order = found.as_ref().map(membership::members).map_err(EngineError::code);
                // Those over row patterns order derived events by their last rows (decision 4), waiting runs by the
                // moment of decision, which for a greedy last loop is later.
                let decides = strategy == Some(Strategy::Sequences);
                let same_order = decides || planned.get_or_insert_with(|| order.clone()) == &order;
                let differs =
                    if same_order { Ok(()) } else { Err("another order than the planner's".into()) };
                if let Err(error) = compare(&pattern, &expected, found).and(differs) {
                    let name = strategy.map_or("planner", Strategy::name);
                    failures.push(format!(
                        "{family} seed {seed} [{name}]: {error}\n  pattern {}\n  table {:?}",
                        pattern.to_json(),
                        text.to_reference()
                    ));
                }
            }
        }
    }
    let cases = FAMILIES.len() * cases_a_family() as usize;
    println!(
        "{cases} cases, {matched} with matches, {asked_more} with an error that only waiting meets; ran: {ran:?}"
    );
    assert!(
        asked_more * 500 <= cases,
        "{asked_more} of {cases} cases met an error that the definition does not"
    );
    assert!(
        failures.is_empty(),
        "{} failures, the first:\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
    assert_eq!(ran["planner"], cases);
    assert!(null_times * 3 > cases, "only {null_times} of {cases} tables had a NULL time");
    assert!(matched * 3 > cases, "only {matched} of {cases} cases had a match");
    // Rows of a row pattern follow each other: those are never lists.
    for strategy in Strategy::ALL.into_iter().filter(|strategy| !strategy.is_of_lists()) {
        let runs = ran.get(strategy.name()).copied().unwrap_or(0);
        assert!(runs * 20 > cases, "{strategy} ran only {runs} of {cases} cases");
    }
}
