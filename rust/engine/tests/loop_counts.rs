//! How many matches a loop between events has, asked in two ways: as a whole number, and as a value with the nearest float.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_array::{Array, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch};
use cepheid_engine::{MatchOptions, count_matches, exists_match, match_table};
use cepheid_event::Table;
use cepheid_sql::parse_pattern;
use cepheid_testkit::SplitMix64;
use num_bigint::BigUint;

fn table(random: &mut SplitMix64, rows: usize, loops: usize) -> Table {
    let kind = |random: &mut SplitMix64| match random.below(100) {
        0..5 => 0,
        5..10 => 2,
        draw if draw < 10 + loops => 1,
        _ => 9_i64,
    };
    let kinds: Int64Array = (0..rows).map(|_| kind(random)).collect();
    let keys: Int64Array = (0..rows).map(|_| random.between(0, 1)).collect();
    let columns = vec![("kind", Arc::new(kinds) as _), ("key", Arc::new(keys) as _)];
    let batch = RecordBatch::try_from_iter(columns).expect("two columns");
    Table::new(batch.schema(), vec![batch]).expect("one batch")
}

#[test]
fn a_count_and_its_nearest_float_are_of_the_same_digits() {
    let (mut exact, mut long, mut infinite, mut empty) = (0, 0, 0, 0);
    for seed in 0..400_usize {
        let mut random = SplitMix64::new(seed as u64);
        let rows = random.below(2_500);
        let loops = random.below(90);
        let table = table(&mut random, rows, loops);
        let pattern = *random.choose(&[
            "a ->> b+ [->>] ->> c",
            "a ->> b* [->>] ->> c",
            "b+ [->>] ->> c",
            "a ->> b+ [->>]",
        ]);
        let clause = |values: &str, keys: &str| {
            let within =
                if seed % 5 == 0 { String::new() } else { format!("WITHIN {} ROWS", 1 + seed * seed / 60) };
            let definitions = [("a", 0), ("b", 1), ("c", 2)];
            let named = definitions.iter().filter(|(name, _)| pattern.contains(name));
            let define: Vec<String> = named.map(|(name, kind)| format!("{name} AS kind = {kind}")).collect();
            let text = format!(
                "MATCH_RECOGNIZE ({keys} {values} PATTERN ({pattern}) {within} DEFINE {})",
                define.join(", ")
            );
            parse_pattern(&text).expect("a pattern")
        };
        let options = MatchOptions { threads: NonZeroUsize::new(1 + seed % 3), ..MatchOptions::default() };
        let matches = "MEASURES LAST(kind) AS kind ALL MATCHES";
        let count = count_matches(&clause(matches, ""), &table, &options).expect("counted");
        assert_eq!(
            exists_match(&clause(matches, ""), &table, &options).expect("asked"),
            count > BigUint::ZERO
        );
        let found =
            match_table(&clause("AGGREGATE COUNT(*) AS n", ""), &table, &options).expect("aggregated");
        let column = |name: &str| found.batch().column_by_name(name).expect("a column").clone();
        let (n, near, is_exact) = (column("n"), column("n_approx"), column("exact"));
        let n = n.as_any().downcast_ref::<Decimal128Array>().expect("a decimal");
        let near = near.as_any().downcast_ref::<Float64Array>().expect("floats").value(0);
        let is_exact = is_exact.as_any().downcast_ref::<BooleanArray>().expect("booleans").value(0);
        let digits = count.to_string();
        assert_eq!(near.to_bits(), digits.parse::<f64>().expect("digits").to_bits(), "seed {seed}: {digits}");
        assert_eq!(is_exact, digits.len() <= 38, "seed {seed}");
        assert_eq!(
            is_exact.then(|| n.value(0).to_string()),
            (!n.is_null(0)).then(|| digits.clone()),
            "seed {seed}"
        );
        // Of all keys together as many as of each.
        let by_key = count_matches(&clause(matches, "PARTITION BY key"), &table, &options).expect("counted");
        let grouped = clause("AGGREGATE COUNT(*) AS n", "PARTITION BY key");
        let grouped = match_table(&grouped, &table, &options).expect("aggregated");
        let n = grouped.batch().column_by_name("n").expect("a column").clone();
        let n = n.as_any().downcast_ref::<Decimal128Array>().expect("decimals");
        if n.null_count() == 0 {
            assert_eq!(n.iter().flatten().sum::<i128>().to_string(), by_key.to_string(), "seed {seed}");
        }
        exact += usize::from(is_exact);
        long += usize::from(!is_exact);
        infinite += usize::from(near.is_infinite());
        empty += usize::from(count == BigUint::ZERO);
    }
    assert!(exact > 100 && long > 100 && infinite > 20 && empty < 80, "{exact} {long} {infinite} {empty}");
}

#[test]
fn past_so_many_digits_floats_are_near() {
    let mut random = SplitMix64::new(9);
    let table = table(&mut random, 40_000, 90);
    let asked = |values: &str| {
        let text = format!(
            "MATCH_RECOGNIZE ({values} PATTERN (a ->> b+ [->>] ->> c) DEFINE a AS kind = 0, b AS kind = 1, c AS kind = 2)"
        );
        parse_pattern(&text).expect("a pattern")
    };
    let options = MatchOptions::default();
    let found = match_table(&asked("AGGREGATE COUNT(*) AS n"), &table, &options).expect("aggregated");
    let near = found.batch().column_by_name("n_approx").expect("a column").clone();
    assert_eq!(near.as_any().downcast_ref::<Float64Array>().expect("floats").value(0), f64::INFINITY);
    let count =
        count_matches(&asked("MEASURES a.kind AS kind ALL MATCHES"), &table, &options).expect("counted");
    // As many bits as rows of the loop, and the runs that began before them.
    assert!((35_000..37_000).contains(&count.bits()), "{}", count.bits());
}
