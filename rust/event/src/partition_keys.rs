//! What tells one partition's key from another's, whatever the batch it came in.

use std::hash::{BuildHasher, Hasher};

use arrow_array::{ArrayRef, UInt32Array};
use arrow_row::{RowConverter, SortField};
use foldhash::fast::FixedState;

use crate::error::EventError;
use crate::key::{comparable, comparable_type};
use crate::partition::OrderedRows;
use crate::table::Table;

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
        let firsts: UInt32Array = (0..partitions).map(|partition| Some(first(partition))).collect();
        let arrays: Vec<ArrayRef> = columns
            .iter()
            .map(|column| comparable(&table.gather(*column, &firsts)?))
            .collect::<Result<_, EventError>>()?;
        let fields = columns
            .iter()
            .map(|column| SortField::new(comparable_type(table.schema().field(*column).data_type())))
            .collect();
        let encoded = RowConverter::new(fields)?.convert_columns(&arrays)?;
        for row in &encoded {
            keys.bytes.extend_from_slice(row.as_ref());
            keys.finish();
        }
        Ok(keys)
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

/// The shard of a key, as [`PartitionKeys::shard`] says.
pub fn shard_of(key: &[u8], shards: usize) -> usize {
    (hash_of(key) % shards as u64) as usize
}

fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(3).build_hasher();
    hasher.write(key);
    hasher.finish()
}
