//! Tables of events, the same every time.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use cepheid_event::Table;
use cepheid_ir::{OutputColumns, Pattern};

const MILLISECOND: i64 = 1_000_000;

/// Numbers that look random and are the same every time (splitmix64).
pub(crate) fn noise(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Table {
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    Table::new(batch.schema(), vec![batch]).expect("one schema")
}

fn times(rows: usize) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from_iter_values((0..rows as i64).map(|row| row * MILLISECOND)))
}

/// A row a millisecond in one of `symbols` symbols, all as frequent.
pub(crate) fn symbols(rows: usize, symbols: u64, dictionary: bool) -> Table {
    let codes: Vec<i32> = (0..rows).map(|row| (noise(row as u64) % symbols) as i32).collect();
    let names = StringArray::from_iter_values((0..symbols).map(|symbol| format!("S{symbol}")));
    let symbol: ArrayRef = if dictionary {
        Arc::new(DictionaryArray::<Int32Type>::new(codes.into(), Arc::new(names)))
    } else {
        Arc::new(StringArray::from_iter_values(codes.iter().map(|code| names.value(*code as usize))))
    };
    table(vec![("ts", times(rows)), ("symbol", symbol)])
}

/// A row a millisecond: `relevant` of ten thousand hold `S0`, `S1` or `S2`, a third each, the others one of 497 more. With
/// an account from 0 to 19 and a price from 0 to 999.
pub(crate) fn trades(rows: usize, relevant: u64) -> Table {
    let below = |row: usize, seed: u64, limit: u64| noise(row as u64 ^ seed << 32) % limit;
    let code = |row: usize| match below(row, 1, 10_000) {
        drawn if drawn < relevant => (drawn % 3) as i32,
        _ => 3 + below(row, 2, 497) as i32,
    };
    let names = StringArray::from_iter_values((0..500).map(|symbol| format!("S{symbol}")));
    let codes: Vec<i32> = (0..rows).map(code).collect();
    let numbers = |seed, limit| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..rows).map(|row| below(row, seed, limit) as i64)))
    };
    table(vec![
        ("ts", times(rows)),
        ("symbol", Arc::new(DictionaryArray::<Int32Type>::new(codes.into(), Arc::new(names)))),
        ("account", numbers(3, 20)),
        ("price", numbers(4, 1000)),
    ])
}

/// Card payments, a row a millisecond: 5 % are small, 1 % are big.
pub(crate) fn payments(rows: usize, cards: u64) -> Table {
    let card = |row: usize| (noise(row as u64) % cards) as i64;
    let amount = |row: usize| match noise(row as u64 ^ 0xABCD) % 100 {
        0 => 1000.0,
        1..=5 => 5.0,
        other => 10.0 + other as f64,
    };
    table(vec![
        ("ts", times(rows)),
        ("card", Arc::new(Int64Array::from_iter_values((0..rows).map(card)))),
        ("amount", Arc::new(Float64Array::from_iter_values((0..rows).map(amount)))),
    ])
}

/// The pattern of a clause of SQL, with the output of the algebra.
pub(crate) fn pattern(clause: &str) -> Pattern {
    let text = format!("SELECT * FROM t MATCH_RECOGNIZE ({clause})");
    let mut pattern = cepheid_sql::parse_pattern(&text).unwrap_or_else(|error| panic!("{error}"));
    pattern.output = OutputColumns::Derived;
    pattern
}
