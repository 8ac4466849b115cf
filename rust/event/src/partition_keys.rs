//! What tells one partition's key from another's, whatever the batch it came in.

use std::hash::{BuildHasher, Hasher};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow_row::{RowConverter, SortField};
use foldhash::fast::FixedState;

use crate::error::EventError;
use crate::key::{comparable, comparable_type, key_ids};
use crate::partition::OrderedRows;
use crate::table::Table;

/// A byte that says whether it is NULL, and the number, greatest byte first and its sign turned round.
const INTEGER_BYTES: usize = 9;

/// The keys of a table's partitions as bytes: equal bytes for equal keys, in whatever batch, NULL equal to NULL.
///
/// - Cost: one encoding and one hash a partition. Space: the bytes.
#[derive(Debug)]
pub struct PartitionKeys {
    bytes: Vec<u8>,
    /// Partition `p` owns `bytes[ends[p - 1]..ends[p]]`.
    ends: Vec<usize>,
    hashes: Vec<u64>,
}

impl PartitionKeys {
    /// Encodes the keys of partitions by `columns`; none: one key without bytes.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn new(table: &Table, rows: &OrderedRows, columns: &[usize]) -> Result<Self, EventError> {
        let partitions = rows.num_partitions();
        let mut keys = Self { bytes: vec![], ends: vec![], hashes: vec![] };
        if columns.is_empty() {
            (0..partitions).for_each(|_| keys.finish());
            return Ok(keys);
        }
        let first = |partition: usize| rows.arrival(rows.partition(partition).start);
        keys.encode(table, (0..partitions).map(first).collect::<Vec<u32>>().into(), columns)?;
        Ok(keys)
    }

    /// Adds the keys of rows.
    fn encode(&mut self, table: &Table, rows: UInt32Array, columns: &[usize]) -> Result<(), EventError> {
        let arrays: Vec<ArrayRef> = columns
            .iter()
            .map(|column| comparable(&table.gather(*column, &rows)?))
            .collect::<Result<_, EventError>>()?;
        if let [only] = arrays.as_slice()
            && let Some(integers) = only.as_primitive_opt::<Int64Type>()
        {
            self.encode_integers(integers);
            return Ok(());
        }
        let fields = columns
            .iter()
            .map(|column| SortField::new(comparable_type(table.schema().field(*column).data_type())))
            .collect();
        let encoded = RowConverter::new(fields)?.convert_columns(&arrays)?;
        for row in &encoded {
            self.bytes.extend_from_slice(row.as_ref());
            self.finish();
        }
        Ok(())
    }

    /// As Arrow's row format has them, which is what most keys are and takes longer to be told that they are.
    fn encode_integers(&mut self, integers: &Int64Array) {
        self.bytes.reserve(integers.len() * INTEGER_BYTES);
        self.ends.reserve(integers.len());
        self.hashes.reserve(integers.len());
        for row in 0..integers.len() {
            let mut key = [0; INTEGER_BYTES];
            if integers.is_valid(row) {
                key[0] = 1;
                key[1..].copy_from_slice(&(integers.value(row) ^ i64::MIN).to_be_bytes());
            }
            self.bytes.extend_from_slice(&key);
            self.finish();
        }
    }

    /// Some of the keys, by number.
    fn select(&self, numbers: &[u32]) -> Self {
        let mut some = Self { bytes: vec![], ends: vec![], hashes: vec![] };
        for number in numbers {
            some.bytes.extend_from_slice(self.get(*number as usize));
            some.ends.push(some.bytes.len());
            some.hashes.push(self.hashes[*number as usize]);
        }
        some
    }

    fn finish(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        self.hashes.push(hash_of(&self.bytes[start..]));
        self.ends.push(self.bytes.len());
    }

    /// The key of a partition.
    pub fn get(&self, partition: usize) -> &[u8] {
        let start = if partition == 0 { 0 } else { self.ends[partition - 1] };
        &self.bytes[start..self.ends[partition]]
    }

    /// Which of so many shards a partition belongs to.
    pub fn shard(&self, partition: usize, shards: usize) -> usize {
        (self.hashes[partition] % shards as u64) as usize
    }
}

/// The keys of a table's rows, for whoever groups several selections of them.
#[derive(Debug)]
pub struct KeyedRows {
    /// `ids[row]`: the row's key.
    ids: Vec<u32>,
    keys: PartitionKeys,
}

impl KeyedRows {
    /// Encodes the keys by `columns`, each once.
    ///
    /// # Errors
    /// [`EventError::ColumnType`] for a type that has no row format; what Arrow refuses.
    pub fn new(table: &Table, columns: &[usize]) -> Result<Self, EventError> {
        let numbered = key_ids(table, columns)?;
        let mut keys = PartitionKeys { bytes: vec![], ends: vec![], hashes: vec![] };
        keys.encode(table, numbered.firsts(0).into(), columns)?;
        Ok(Self { ids: numbered.ids, keys })
    }

    /// Groups rows, given ascending, by key, and gives the keys of the groups.
    ///
    /// Cost: O(rows) and O(rows log rows) for few of them; it does not depend on the other rows.
    pub fn group(&self, rows: &[u32]) -> (OrderedRows, PartitionKeys) {
        let mut arrivals = rows.to_vec();
        // Stable: rows of one key stay in order.
        arrivals.sort_by_key(|row| self.ids[*row as usize]);
        let mut starts = vec![0];
        let mut numbers = vec![];
        for group in arrivals.chunk_by(|l, r| self.ids[*l as usize] == self.ids[*r as usize]) {
            numbers.push(self.ids[group[0] as usize]);
            starts.push(starts[starts.len() - 1] + group.len() as u32);
        }
        (OrderedRows::of_groups(arrivals, starts), self.keys.select(&numbers))
    }
}

/// The shard of a key, as [`PartitionKeys::shard`] says.
pub fn shard_of(key: &[u8], shards: usize) -> usize {
    (hash_of(key) % shards as u64) as usize
}

fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(3).build_hasher();
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::RecordBatch;
    use arrow_schema::{DataType, Field, Schema};
    use cepheid_testkit::SplitMix64;

    use super::*;

    #[test]
    fn integers_are_encoded_as_in_the_row_format() {
        let mut encoded = 0;
        for seed in 0..50 {
            let mut random = SplitMix64::new(seed);
            let mut number = || match random.below(8) {
                0 => None,
                1 => Some([i64::MIN, i64::MAX, 0, -1, 1][random.below(5)]),
                2 => Some(random.next_u64() as i64),
                _ => Some(random.below(2000) as i64 - 1000),
            };
            let column: ArrayRef = Arc::new((0..100).map(|_| number()).collect::<Int64Array>());
            let converter = RowConverter::new(vec![SortField::new(DataType::Int64)]).expect("integers");
            let rows = converter.convert_columns(&[Arc::clone(&column)]).expect("integers");
            let schema = Arc::new(Schema::new(vec![Field::new("key", DataType::Int64, true)]));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).expect("one column");
            let table = Table::new(schema, vec![batch]).expect("one batch");
            let mut keys = PartitionKeys { bytes: vec![], ends: vec![], hashes: vec![] };
            keys.encode(&table, (0..100).collect::<Vec<u32>>().into(), &[0]).expect("integers");
            for (number, row) in rows.iter().enumerate() {
                assert_eq!(keys.get(number), row.as_ref(), "row {number}, seed {seed}");
                assert_eq!(keys.hashes[number], hash_of(row.as_ref()));
                encoded += 1;
            }
        }
        assert_eq!(encoded, 5000);
    }
}
