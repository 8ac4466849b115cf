//! Rows grouped by key on several threads, as one would group them.
//!
//! Each thread numbers the keys of a stretch of the rows for itself. Where a key first appears in each stretch tells how all of
//! them are numbered in order of first appearance; how many rows of it a stretch has, where those of the next one go. So every
//! thread knows all its places beforehand, and none of them is another's.
//!
//! - Time: O(n / t) for n rows on t threads, and O(k) for the k keys of each stretch.
//! - Space: as on one thread, and 12 bytes for each key of each stretch.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arrow_array::{Array, ArrayRef};
use arrow_buffer::ScalarBuffer;

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
    let shares = on_each(cut, |_, stretch| {
        let Stretch { rows, begin, ids, mut places, keys, .. } = stretch;
        places.iter_mut().zip(&keys).for_each(|(place, key)| *place += starts[*key as usize]);
        let words = |column: usize| rows.batches().iter().map(move |batch| words_of(batch.column(column)));
        Share { begin, ids, places, values: moved.map_or(vec![], |column| words(column).collect()) }
    });
    let (arrivals, values) = in_places(table.num_rows(), shares, u64::clone);
    Ok(Grouped { arrivals: Some(arrivals), starts, values: moved.is_some().then_some(values) })
}

/// The values of a column of 64-bit numbers.
fn words_of(column: &ArrayRef) -> ScalarBuffer<u64> {
    let data = column.to_data();
    ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len())
}

/// A stretch of rows whose places are known.
pub(crate) struct Share<K, V> {
    /// What the first of them is called.
    pub(crate) begin: u32,
    /// `ids[row]`: the row's key.
    pub(crate) ids: K,
    /// `places[id]`: where the first row of the key goes; the others behind it.
    pub(crate) places: Vec<u32>,
    /// What goes with them, piece by piece: of all rows, or of none.
    pub(crate) values: Vec<V>,
}

/// What rows are called, and what goes with them, each in its place: a thread for each share.
///
/// They are written by several threads, each to places of its own, through atomic integers; these become what they are, and
/// back, at no cost.
pub(crate) fn in_places<T: Sync, K: AsRef<[u32]> + Send, V: AsRef<[T]> + Send>(
    rows: usize,
    shares: Vec<Share<K, V>>,
    word_of: impl Fn(&T) -> u64 + Sync,
) -> (Vec<u32>, Vec<u64>) {
    let with_values = shares.iter().any(|share| !share.values.is_empty());
    let arrivals: Vec<AtomicU32> = vec![0_u32; rows].into_iter().map(AtomicU32::new).collect();
    let zeros = vec![0_u64; if with_values { rows } else { 0 }];
    let values: Vec<AtomicU64> = zeros.into_iter().map(AtomicU64::new).collect();
    on_each(shares, |_, share| {
        let Share { begin, ids, mut places, values: own } = share;
        let mut numbered = ids.as_ref().iter().zip(begin..);
        let mut put = |id: u32, row: u32| {
            let next = &mut places[id as usize];
            let place = *next as usize;
            *next += 1;
            arrivals[place].store(row, Ordering::Relaxed);
            place
        };
        if !with_values {
            for (id, row) in numbered {
                put(*id, row);
            }
            return;
        }
        for piece in &own {
            for (value, (id, row)) in piece.as_ref().iter().zip(numbered.by_ref()) {
                values[put(*id, row)].store(word_of(value), Ordering::Relaxed);
            }
        }
    });
    let arrivals = arrivals.into_iter().map(AtomicU32::into_inner).collect();
    (arrivals, values.into_iter().map(AtomicU64::into_inner).collect())
}

/// Rows put together by key, on several threads: what [`by_key`] gives.
#[derive(Debug, PartialEq, Eq)]
pub struct ByKey {
    /// Rows, key by key, in order.
    pub rows: Vec<u32>,
    /// What goes with them.
    pub values: Vec<i64>,
    /// Where the rows of each key begin; one more for the end.
    pub begins: Vec<u32>,
}

/// Puts rows whose keys are these, of so many, together by key, with a value of each. `None`: some key has more than so many.
///
/// Cost: O(rows / threads + keys * threads).
pub fn by_key(
    keys: &[u32],
    num_keys: usize,
    values: &[i64],
    most_of_a_key: usize,
    threads: usize,
) -> Option<ByKey> {
    let stretches = even_stretches(keys.len(), threads.min(keys.len() / ROWS_A_THREAD_MIN).max(1));
    in_stretches(keys, num_keys, values, most_of_a_key, stretches)
}

fn in_stretches(
    keys: &[u32],
    num_keys: usize,
    values: &[i64],
    most_of_a_key: usize,
    stretches: Vec<Range<usize>>,
) -> Option<ByKey> {
    let counted = on_each(stretches, |_, own| {
        let mut counts = vec![0_u32; num_keys];
        keys[own.clone()].iter().for_each(|key| counts[*key as usize] += 1);
        (own, counts)
    });
    let (mut places, mut begins, mut end) = (vec![vec![]; counted.len()], vec![0], 0);
    places.iter_mut().for_each(|places: &mut Vec<u32>| places.reserve_exact(num_keys));
    for key in 0..num_keys {
        let begin = end;
        for ((_, counts), places) in counted.iter().zip(&mut places) {
            places.push(end);
            end += counts[key];
        }
        if (end - begin) as usize > most_of_a_key {
            return None;
        }
        begins.push(end);
    }
    let shares = counted.into_iter().zip(places).map(|((own, _), places)| Share {
        begin: own.start as u32,
        ids: &keys[own.clone()],
        places,
        values: vec![&values[own]],
    });
    let (rows, words) = in_places(keys.len(), shares.collect(), |value: &i64| *value as u64);
    Some(ByKey { rows, values: words.into_iter().map(|word| word as i64).collect(), begins })
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

    #[test]
    fn rows_are_put_together_by_key_on_any_number_of_threads() {
        for seed in 0..300 {
            let mut random = SplitMix64::new(seed);
            let (rows, num_keys) = (random.below(80), *random.choose(&[1, 2, 7, 100]));
            let keys: Vec<u32> = (0..rows).map(|_| random.below(num_keys) as u32).collect();
            let values: Vec<i64> = (0..rows).map(|row| row as i64 * 3 - 100).collect();
            let mut expected: Vec<u32> = (0..rows as u32).collect();
            expected.sort_by_key(|row| keys[*row as usize]);
            let before = |key: usize| keys.iter().filter(|of| (**of as usize) < key).count() as u32;
            let begins: Vec<u32> = (0..=num_keys).map(before).collect();
            let most = begins.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0) as usize;
            for stretches in [1, 2, 3, 7] {
                let put = |most: usize| {
                    in_stretches(&keys, num_keys, &values, most, even_stretches(rows, stretches))
                };
                let found = put(most).expect("no key has more");
                assert_eq!((&found.rows, &found.begins), (&expected, &begins), "seed {seed}");
                let of_rows: Vec<i64> = expected.iter().map(|row| values[*row as usize]).collect();
                assert_eq!(found.values, of_rows, "seed {seed}");
                assert_eq!(by_key(&keys, num_keys, &values, most, stretches), Some(found));
                assert!(most == 0 || put(most - 1).is_none(), "seed {seed}");
            }
        }
    }
}
