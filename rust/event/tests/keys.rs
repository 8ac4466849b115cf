//! Keys of rows, against a plain list of the values met so far.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, BinaryType, ByteArrayType, Int8Type, Int64Type, LargeBinaryType, LargeUtf8Type,
    UInt16Type, UInt64Type, Utf8Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowNativeTypeOp, GenericByteArray, Int64Array, PrimitiveArray, RecordBatch,
    StringArray,
};
use cepheid_event::key::{key_ids, keys_by_appearance};
use cepheid_event::{KeyTable, Table};
use cepheid_testkit::SplitMix64;

/// Strings that are hard to tell apart: prefixes of each other, with and without zeros at the end, around the length at
/// which they are no numbers any more.
fn string(random: &mut SplitMix64) -> Option<String> {
    if random.below(12) == 0 {
        return None;
    }
    let length = [0, 1, 2, 7, 8, 14, 15, 16, 17, 40][random.below(10)];
    let letter = *random.choose(&['\0', 'a']);
    let mut text: String = std::iter::repeat_n('a', length).collect();
    if length > 0 && random.below(2) == 0 {
        text.replace_range(length - 1..length, &letter.to_string());
    }
    Some(text)
}

fn expected<T: PartialEq>(values: &[T]) -> Vec<u32> {
    let mut met: Vec<&T> = vec![];
    let ids = values.iter().map(|value| {
        let known = met.iter().position(|known| *known == value);
        known.unwrap_or_else(|| {
            met.push(value);
            met.len() - 1
        }) as u32
    });
    ids.collect()
}

/// A table of one column in batches of random lengths, each a slice of something longer.
fn table(random: &mut SplitMix64, column: &ArrayRef) -> Table {
    let mut batches = vec![];
    let mut start = 0;
    while start < column.len() {
        let rows = (1 + random.below(20)).min(column.len() - start);
        batches.push(
            RecordBatch::try_from_iter_with_nullable([("k", column.slice(start, rows), true)])
                .expect("a column"),
        );
        start += rows;
    }
    let schema = RecordBatch::try_from_iter_with_nullable([("k", column.slice(0, 0), true)])
        .expect("a column")
        .schema();
    Table::new(schema, batches).expect("one schema")
}

fn of<T: ByteArrayType>(values: &[Option<String>]) -> ArrayRef
where
    GenericByteArray<T>: FromIterator<Option<Vec<u8>>>,
{
    Arc::new(
        values.iter().map(|value| value.clone().map(String::into_bytes)).collect::<GenericByteArray<T>>(),
    )
}

#[test]
fn strings_are_the_same_key_only_if_they_are_the_same() {
    let (mut cases, mut with_nulls) = (0, 0);
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed);
        let values: Vec<Option<String>> = (0..random.below(80)).map(|_| string(&mut random)).collect();
        let texts: StringArray = values.iter().map(Option::as_deref).collect();
        let large: GenericByteArray<LargeUtf8Type> = values.iter().map(Option::as_deref).collect();
        let utf8: GenericByteArray<Utf8Type> = texts;
        let columns: [ArrayRef; 4] =
            [Arc::new(utf8), Arc::new(large), of::<BinaryType>(&values), of::<LargeBinaryType>(&values)];
        for column in &columns {
            let table = table(&mut random, column);
            let ids = key_ids(&table, &[0]).expect("strings are keys");
            assert_eq!(ids.ids, expected(&values), "seed {seed}: {values:?}");
            assert_eq!(ids.counts.iter().sum::<u32>() as usize, values.len());
            cases += 1;
        }
        with_nulls += usize::from(values.contains(&None));
    }
    assert!(cases == 1_200 && with_nulls > 200, "{cases} {with_nulls}");
}

#[test]
fn keys_of_some_rows_go_by_first_appearance_among_all() {
    let mut read_to_the_end = 0;
    // As integers of little span, of much, with NULLs among them, and as strings.
    for (seed, shape) in (0..160).map(|seed| (seed, seed % 4)) {
        let mut random = SplitMix64::new(seed);
        let rows = 1 + random.below(60_000);
        // Some keys come late, or once.
        let spread = 1 + random.below(1_000) as i64;
        let values: Vec<i64> = (0..rows)
            .map(
                |row| if row + 3 > rows { -1 } else { random.between(0, spread) * (1 + row as i64 / 20_000) },
            )
            .collect();
        let column: ArrayRef = match shape {
            0 => Arc::new(Int64Array::from(values.clone())),
            1 => Arc::new(Int64Array::from_iter_values(values.iter().map(|value| value * 1_000_003))),
            2 => Arc::new(Int64Array::from_iter(values.iter().map(|value| Some(*value).filter(|v| *v != 3)))),
            _ => Arc::new(StringArray::from_iter_values(values.iter().map(ToString::to_string))),
        };
        let batch = RecordBatch::try_from_iter([("k", column)]);
        let batch = batch.expect("a column");
        let table = Table::new(
            batch.schema(),
            vec![batch.slice(0, rows / 2), batch.slice(rows / 2, rows - rows / 2)],
        );
        let table = table.expect("one schema");
        let mut some: Vec<u32> = (0..random.below(50)).map(|_| random.below(rows) as u32).collect();
        some.extend((seed % 3 == 0).then_some(rows as u32 - 1));
        let keys = keys_by_appearance(&table, &[0], &some).expect("numbers are keys");
        let all = key_ids(&table, &[0]).expect("numbers are keys").ids;
        assert_eq!(keys.len(), some.len());
        for (row, key) in some.iter().zip(&keys) {
            for (other, other_key) in some.iter().zip(&keys) {
                let (right, found) = (all[*row as usize].cmp(&all[*other as usize]), key.cmp(other_key));
                assert_eq!(right, found, "seed {seed}: rows {row} and {other}");
            }
        }
        read_to_the_end += usize::from(some.iter().any(|row| values[*row as usize] == -1));
    }
    assert!(read_to_the_end >= 50, "some key was met at the end alone");
}

/// Keys that are near each other or far apart, beyond those there are on either side, and the ends of the type.
fn integers<T: ArrowPrimitiveType>(
    random: &mut SplitMix64,
    rows: usize,
    reach: usize,
) -> Vec<Option<T::Native>>
where
    T::Native: TryFrom<i128>,
{
    let (sparse, down) = (random.below(4) == 0, random.below(2) == 0);
    let value = |random: &mut SplitMix64| match random.below(100) {
        0 => None,
        1 if sparse => Some(T::Native::MIN_TOTAL_ORDER),
        2 if sparse => Some(T::Native::MAX_TOTAL_ORDER),
        _ => {
            let value = 60 + (random.below(reach) as i128) * if down { -1 } else { 1 };
            T::Native::try_from(value).ok().or(Some(T::Native::MIN_TOTAL_ORDER))
        }
    };
    (0..rows).map(|_| value(random)).collect()
}

/// A table of keys against a plain list, some batches of one stream after the other.
fn check_key_table<T: ArrowPrimitiveType>(random: &mut SplitMix64) -> usize
where
    T::Native: TryFrom<i128> + Eq,
{
    let mut keys = KeyTable::new(vec![T::DATA_TYPE], &|_| "k".into()).expect("a type that is a key");
    let mut met: Vec<Option<T::Native>> = vec![];
    let mut most = 0;
    for reach in [1, 30, 300, 3_000, 2_000] {
        let rows = 1 + random.below(1_500);
        let values = integers::<T>(random, rows, reach);
        for value in &values {
            if !met.contains(value) {
                met.push(*value);
            }
        }
        let expected: Vec<u32> = values
            .iter()
            .map(|value| met.iter().position(|known| known == value).expect("just met") as u32)
            .collect();
        let array: ArrayRef = Arc::new(PrimitiveArray::<T>::from_iter(values.iter().copied()));
        assert_eq!(keys.numbers(&[array], values.len()).expect("keys"), expected, "{}", T::DATA_TYPE);
        assert!(keys.bytes() < 56 * met.len() + 256, "{} bytes for {} keys", keys.bytes(), met.len());
        if random.below(2) == 0 {
            let kept: Vec<bool> = met.iter().map(|_| random.below(3) == 0).collect();
            keys.retain(&kept);
            let mut kept = kept.into_iter();
            met.retain(|_| kept.next().expect("one each"));
        }
        assert_eq!(keys.len(), met.len());
        let numbers: Vec<u32> = (0..met.len() as u32).collect();
        let all: ArrayRef = Arc::new(PrimitiveArray::<T>::from_iter(met.iter().copied()));
        assert_eq!(keys.values(&numbers).expect("values"), [all]);
        most = most.max(met.len());
    }
    most
}

#[test]
fn integers_keep_their_numbers_from_batch_to_batch() {
    let mut random = SplitMix64::new(71);
    let mut most = 0;
    for _ in 0..60 {
        check_key_table::<Int8Type>(&mut random);
        check_key_table::<UInt16Type>(&mut random);
        most = most.max(check_key_table::<Int64Type>(&mut random));
        check_key_table::<UInt64Type>(&mut random);
    }
    assert!(most > 1_000, "only {most} keys");
}
