//! Rows grouped by key on several threads, as one would group them.
//!
//! Each thread numbers the keys of a stretch of the rows for itself. Where a key first appears in each stretch tells how all of
//! them are numbered in order of first appearance; how many rows of it a stretch has, where those of the next one go. So every
//! thread knows all its places beforehand, and none of them is another's.
//!
//! - Time: O(n / t) for n rows on t threads, and O(k) for the k keys of each stretch.
//! - Space: as on one thread, and 12 bytes for each key of each stretch.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::error::EventError;
use crate::key::{KeyIds, key_ids};
use crate::table::Table;
use crate::threads::{even_stretches, on_each};

/// Of fewer rows a thread that groups them costs more than it does.
pub(crate) const ROWS_A_THREAD_MIN: usize = 1 << 17;

/// What grouping gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grouped {
    /// As in [`crate::OrderedRows`].
    pub(crate) arrivals: Option<Vec<u32>>,
    pub(crate) starts: Vec<u32>,
    /// 64-bit values by position, if they were to be moved, and rows did not come grouped.
    pub(crate) values: Option<Vec<u64>>,
}

/// A stretch of rows.
struct Stretch {
    rows: Table,
    /// What the first of them is called.
    begin: u32,
    /// `ids[row]`: the row's key among those of the stretch.
    ids: Vec<u32>,
    /// `places[id]`: where the next row of the key goes.
    places: Vec<u32>,
    /// `keys[id]`: the key among all.
    keys: Vec<u32>,
    is_grouped: bool,
}

/// Groups rows by `columns`, cut into so many stretches. `moved`: a column of 64-bit numbers without NULLs, which is put in order
/// too.
///
/// # Errors
/// As [`key_ids`].
pub(crate) fn grouped(
    table: &Table,
    columns: &[usize],
    moved: Option<usize>,
    stretches: usize,
) -> Result<Grouped, EventError> {
    let numbered = on_each(even_stretches(table.num_rows(), stretches), |_, rows| {
        let begin = rows.start as u32;
        let rows = table.stretch(rows);
        let own = key_ids(&rows, columns)?;
        Ok((own.firsts(begin), own.ids.is_sorted(), own, (rows, begin)))
    });
    let numbered = numbered.into_iter().collect::<Result<Vec<_>, EventError>>()?;
    let all_firsts: Vec<u32> = numbered.iter().flat_map(|(firsts, ..)| firsts.iter().copied()).collect();
    let mut numbers = key_ids(&table.narrowed(&all_firsts, columns, 1)?, columns)?;
    let mut counts = vec![0_u32; numbers.counts.len()];
    let mut cut = Vec::with_capacity(numbered.len());
    for (firsts, is_grouped, KeyIds { ids, counts: own }, (rows, begin)) in numbered {
        let behind = numbers.ids.split_off(firsts.len());
        let keys = std::mem::replace(&mut numbers.ids, behind);
        // Rows of the key that stand in stretches before.
        let places = keys.iter().zip(own).map(|(key, own)| {
            let count = &mut counts[*key as usize];
            *count += own;
            *count - own
        });
        cut.push(Stretch { rows, begin, ids, places: places.collect(), keys, is_grouped });
    }
    let mut starts = vec![0];
    let mut end = 0;
    starts.extend(counts.iter().map(|count| {
        end += count;
        end
    }));
    if came_grouped(&cut) {
        return Ok(Grouped { arrivals: None, starts, values: None });
    }
    // Written by several threads, each to places of its own; these become what they are, and back, at no cost.
    let arrivals: Vec<AtomicU32> = vec![0_u32; table.num_rows()].into_iter().map(AtomicU32::new).collect();
    let zeros = vec![0_u64; if moved.is_some() { table.num_rows() } else { 0 }];
    let values: Vec<AtomicU64> = zeros.into_iter().map(AtomicU64::new).collect();
    on_each(cut, |_, stretch| {
        let Stretch { rows, begin, ids, mut places, keys, .. } = stretch;
        places.iter_mut().zip(&keys).for_each(|(place, key)| *place += starts[*key as usize]);
        let mut numbered = ids.iter().zip(begin..);
        let mut put = |id: u32, row: u32| {
            let next = &mut places[id as usize];
            let place = *next as usize;
            *next += 1;
            arrivals[place].store(row, Ordering::Relaxed);
            place
        };
        let Some(column) = moved else {
            for (id, row) in numbered {
                put(*id, row);
            }
            return;
        };
        for batch in rows.batches() {
            let data = batch.column(column).to_data();
            let words: &[u64] = &data.buffer(0)[..data.len()];
            for (word, (id, row)) in words.iter().zip(numbered.by_ref()) {
                values[put(*id, row)].store(*word, Ordering::Relaxed);
            }
        }
    });
    let arrivals = arrivals.into_iter().map(AtomicU32::into_inner).collect();
    let values = moved.map(|_| values.into_iter().map(AtomicU64::into_inner).collect());
    Ok(Grouped { arrivals: Some(arrivals), starts, values })
}

/// Whether rows of each key stand one behind the other.
fn came_grouped(stretches: &[Stretch]) -> bool {
    stretches.iter().all(|stretch| stretch.is_grouped && stretch.keys.is_sorted())
        && stretches.windows(2).all(|pair| pair[0].keys.last() <= pair[1].keys.first())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int8Type;
    use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
    use cepheid_testkit::SplitMix64;

    use super::*;
    use crate::partition::OrderedRows;

    /// `rows` rows of so many keys, in batches: a number, a text, a code, and a value.
    fn table(random: &mut SplitMix64, rows: usize, keys: usize, grouped: bool) -> Table {
        let key_of = |row: usize, random: &mut SplitMix64| {
            if grouped { row * keys / rows } else { random.below(keys) }
        };
        let (mut batches, mut begin) = (vec![], 0);
        while begin < rows {
            let end = rows.min(begin + 1 + random.below(rows));
            let keys: Vec<Option<usize>> = (begin..end)
                .map(|row| key_of(row, random))
                // One key is NULL, and others far from each other.
                .map(|key| (key != 1).then_some(key * if keys > 5 { 1 } else { 1 << 40 }))
                .collect();
            let texts = keys.iter().map(|key| key.map(|key| format!("key {key}"))).collect::<Vec<_>>();
            let codes = keys.iter().map(|key| key.map(|key| ["a", "b", "c"][key % 3]));
            let columns: Vec<(&str, ArrayRef)> = vec![
                (
                    "number",
                    Arc::new(keys.iter().map(|key| key.map(|key| key as i64)).collect::<Int64Array>()),
                ),
                ("text", Arc::new(StringArray::from(texts))),
                ("code", Arc::new(codes.collect::<DictionaryArray<Int8Type>>())),
                ("value", Arc::new((begin..end).map(|row| row as f64 / 4.0).collect::<Float64Array>())),
            ];
            let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
            batches.push(RecordBatch::try_from_iter_with_nullable(nullable).expect("columns of one length"));
            begin = end;
        }
        Table::new(batches[0].schema(), batches).expect("one schema")
    }

    #[test]
    fn threads_group_as_one_does() {
        let (mut compared, mut came_grouped) = (0, 0);
        for seed in 0..300 {
            let mut random = SplitMix64::new(seed);
            let (rows, keys) = (1 + random.below(60), *random.choose(&[1, 2, 3, 40, 1000]));
            let table = table(&mut random, rows, keys, seed % 4 == 0);
            for columns in [&[0][..], &[1], &[2], &[0, 2]] {
                for moved in [&[][..], &[3]] {
                    let alone = OrderedRows::new(&table, columns, &[], moved).expect("keys");
                    let stretches = 1 + random.below(5);
                    let shared = grouped(&table, columns, moved.first().copied(), stretches).expect("keys");
                    assert_eq!(shared.arrivals.is_some(), alone.is_rearranged(), "seed {seed}");
                    let positions = 0..rows as u32;
                    if let Some(arrivals) = &shared.arrivals {
                        let expected: Vec<u32> = positions.map(|position| alone.arrival(position)).collect();
                        assert_eq!(*arrivals, expected, "{columns:?} in {stretches}, seed {seed}");
                        let values: Vec<u64> =
                            expected.iter().map(|row| (f64::from(*row) / 4.0).to_bits()).collect();
                        assert_eq!(shared.values, (!moved.is_empty()).then_some(values), "seed {seed}");
                    } else {
                        assert_eq!(shared.values, None);
                        came_grouped += 1;
                    }
                    let partitions = 0..alone.num_partitions();
                    let ends = partitions.map(|partition| alone.partition(partition).end);
                    assert_eq!(shared.starts, [0].into_iter().chain(ends).collect::<Vec<_>>(), "seed {seed}");
                    compared += 1;
                }
            }
        }
        assert!(compared == 2400 && came_grouped > 600, "{compared}, {came_grouped} of them grouped");
    }
}
