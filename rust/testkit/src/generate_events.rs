//! Random tables: few rows, tiny alphabets, NULLs, ties and interleaved partitions on purpose.

use arrow_schema::{DataType, TimeUnit};

use crate::split_mix::SplitMix64;
use crate::text_table::{TextColumn, TextTable};
use crate::value::RefValue;

/// Most rows of a random table.
const ROWS_MAX: usize = 14;
/// Most partitions.
const PARTITIONS_MAX: usize = 3;

/// Whether times may be NULL, as keys and values may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullTimes {
    /// No: `WITHIN` by time asks for none.
    Never,
    /// Now and then.
    Sometimes,
}

/// Strings of column `k`.
pub(crate) const LETTERS: [&str; 4] = ["a", "b", "c", "d"];
/// Nanoseconds between one time and the next possible one.
pub(crate) const MINUTE: i64 = 60_000_000_000;

/// A table with the columns that [`random_pattern`](crate::generate_patterns::random_pattern) reads: `p` (string, the
/// key), `t` (timestamp in whole minutes, not in order), `v` (int64), `w` (float64, halves), `k` (string of one
/// letter; a dictionary in every second table).
pub fn random_table(random: &mut SplitMix64, null_times: NullTimes) -> TextTable {
    // Mostly long tables; short and empty ones now and then.
    let least = if random.chance(80) { ROWS_MAX / 2 } else { 0 };
    let rows = least + random.below(ROWS_MAX - least + 1);
    let partitions = 1 + random.below(PARTITIONS_MAX);
    let letters = 2 + random.below(LETTERS.len() - 1);
    let widest = *random.choose(&[1, 2, 4, 6]);
    let ordered = random.chance(60);
    let mut time = random.between(0, 5);
    let mut table = TextTable { columns: columns(random.chance(50)), rows: vec![] };
    for _ in 0..rows {
        time = if ordered { time + random.between(0, 2) } else { random.between(0, 12) };
        let cell = |null_percent: usize, value: RefValue, random: &mut SplitMix64| {
            if random.chance(null_percent) { RefValue::Null } else { value }
        };
        let nulls = 12;
        let key = RefValue::String(["x", "y", "z"][random.below(partitions).min(2)].to_owned());
        let integer = RefValue::Integer(random.between(-1, widest).into());
        let half = RefValue::Float(random.between(-2, widest) as f64 / 2.0);
        let letter = RefValue::String(LETTERS[random.below(letters)].to_owned());
        table.rows.push(vec![
            cell(nulls, key, random),
            cell(
                if null_times == NullTimes::Sometimes { 10 } else { 0 },
                RefValue::Timestamp(time * MINUTE),
                random,
            ),
            cell(nulls, integer, random),
            cell(nulls, half, random),
            cell(nulls, letter, random),
        ]);
    }
    table
}

fn columns(dictionary: bool) -> Vec<TextColumn> {
    let letter_type = if dictionary {
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
    } else {
        DataType::Utf8
    };
    let named = [
        ("p", DataType::Utf8),
        ("t", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ("v", DataType::Int64),
        ("w", DataType::Float64),
        ("k", letter_type),
    ];
    named
        .into_iter()
        .map(|(name, data_type)| TextColumn { name: name.into(), data_type, declared: true })
        .collect()
}
