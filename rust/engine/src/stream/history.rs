//! Rows that have been matched and are still needed: by runs alive, and by conditions that look back.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_select::concat::concat;
use arrow_select::take::take;
use cepheid_event::{EventError, MergedBatch, MergedSchema};
use cepheid_matcher::threads::Workers;

use super::picked::{by_columns, column};
use crate::error::EngineError;

/// Rows kept before it is asked which are still needed.
const ROWS_FREE: usize = 1 << 13;

/// Chunks of more rows than this are left alone.
const ROWS_JOINED_MAX: usize = 1 << 15;

/// See the module.
///
/// - Time: amortised O(1) a row for being gone through when rows have doubled, and O(log n) for the joining of chunks
///   that came a few rows at a time, so that there are never more than O(log n) of them.
/// - Space: at most twice the rows needed, and 8,192.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    chunks: Vec<Chunk>,
    rows: usize,
    /// Rows at which it is gone through.
    limit: usize,
}

/// Rows in order.
#[derive(Clone, Debug)]
struct Chunk {
    first: u64,
    /// Their places in the order of all rows; `None`: one after the other from `first`.
    ordinals: Option<Vec<u64>>,
    rows: MergedBatch,
}

impl Chunk {
    fn last(&self) -> u64 {
        match &self.ordinals {
            Some(ordinals) => *ordinals.last().expect("no chunk is empty"),
            None => self.first + self.rows.num_rows() as u64 - 1,
        }
    }

    fn ordinals(&self) -> Box<dyn Iterator<Item = u64> + '_> {
        match &self.ordinals {
            Some(ordinals) => Box::new(ordinals.iter().copied()),
            None => Box::new(self.first..self.first + self.rows.num_rows() as u64),
        }
    }

    /// Where a row that is kept stands, at `from` or behind it.
    ///
    /// Cost: O(log d) for the distance d from there.
    fn find(&self, ordinal: u64, from: usize) -> usize {
        let Some(ordinals) = &self.ordinals else { return (ordinal - self.first) as usize };
        let (mut low, mut step) = (from, 1);
        while ordinals.get(low + step).is_some_and(|known| *known <= ordinal) {
            low += step;
            step *= 2;
        }
        let high = ordinals.len().min(low + step);
        low + ordinals[low..high].binary_search(&ordinal).expect("a row that is needed is kept")
    }
}

impl History {
    /// Adds rows with places behind those of all others, ascending.
    pub(crate) fn push(&mut self, ordinals: &[u64], rows: MergedBatch) {
        if let (Some(first), Some(last)) = (ordinals.first(), ordinals.last()) {
            let gapless = last - first + 1 == ordinals.len() as u64;
            self.rows += rows.num_rows();
            let ordinals = (!gapless).then(|| ordinals.to_vec());
            self.chunks.push(Chunk { first: *first, ordinals, rows });
        }
    }

    /// Adds rows with places one behind the other, behind those of all others.
    pub(crate) fn push_all(&mut self, first: u64, rows: MergedBatch) {
        if rows.num_rows() > 0 {
            self.rows += rows.num_rows();
            self.chunks.push(Chunk { first, ordinals: None, rows });
        }
    }

    /// Takes back the rows with places from `first` on.
    pub(crate) fn pop(&mut self, first: u64) {
        while self.chunks.last().is_some_and(|chunk| chunk.first >= first) {
            self.rows -= self.chunks.pop().expect("just seen").rows.num_rows();
        }
    }

    /// Rows with given places.
    pub(crate) fn restored(ordinals: Vec<u64>, rows: MergedBatch) -> Self {
        if ordinals.is_empty() {
            return Self::default();
        }
        let (count, first) = (ordinals.len(), ordinals[0]);
        Self { chunks: vec![Chunk { first, ordinals: Some(ordinals), rows }], rows: count, limit: count * 2 }
    }

    /// Bytes held: what slices span, not what they were cut from.
    pub(crate) fn bytes(&self) -> usize {
        let bytes_of = |batch: &RecordBatch| -> usize {
            let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
            sizes.map(|size| size.unwrap_or(0)).sum()
        };
        self.chunks
            .iter()
            .map(|chunk| bytes_of(&chunk.rows.batch) + chunk.rows.num_rows() * 18)
            .sum::<usize>()
    }

    /// Whether the row in a place is kept.
    pub(crate) fn contains(&self, ordinal: u64) -> bool {
        let chunk = self.chunks.partition_point(|chunk| chunk.last() < ordinal);
        self.chunks.get(chunk).is_some_and(|chunk| match &chunk.ordinals {
            Some(ordinals) => ordinals.binary_search(&ordinal).is_ok(),
            None => ordinal >= chunk.first,
        })
    }

    /// The rows in these places, which are ascending and all kept.
    pub(crate) fn gather(
        &self,
        columns: &MergedSchema,
        ordinals: &[u64],
    ) -> Result<MergedBatch, EngineError> {
        self.gather_with(columns, ordinals, Workers::default())
    }

    fn gather_with(
        &self,
        columns: &MergedSchema,
        ordinals: &[u64],
        workers: Workers<'_>,
    ) -> Result<MergedBatch, EngineError> {
        if ordinals.is_empty() {
            return Ok(MergedBatch::empty(columns));
        }
        let mut places = Vec::with_capacity(ordinals.len());
        let (mut chunk, mut place) = (0, 0);
        for ordinal in ordinals {
            while self.chunks[chunk].last() < *ordinal {
                (chunk, place) = (chunk + 1, 0);
            }
            place = self.chunks[chunk].find(*ordinal, place);
            places.push((chunk, place));
        }
        // Chunk by chunk first: what is put together then is no larger than what is asked for.
        let mut taken: Vec<(usize, UInt32Array)> = vec![];
        for of_one in places.chunk_by(|left, right| left.0 == right.0) {
            let rows: UInt32Array = of_one.iter().map(|(_, row)| Some(*row as u32)).collect();
            taken.push((of_one[0].0, rows));
        }
        let fields = columns.schema().fields();
        let gathered = |index: usize| {
            let mut parts: Vec<ArrayRef> = Vec::with_capacity(taken.len());
            for (chunk, rows) in &taken {
                parts.push(match column(&self.chunks[*chunk].rows, fields.len(), index) {
                    Some(column) => take(&column, rows, None).map_err(EventError::from)?,
                    None => new_null_array(fields[index].data_type(), rows.len()),
                });
            }
            Ok(match parts.as_slice() {
                [only] => Arc::clone(only),
                several => {
                    let sources: Vec<&dyn Array> = several.iter().map(AsRef::as_ref).collect();
                    concat(&sources).map_err(EventError::from)?
                }
            })
        };
        by_columns(columns.schema(), places.len(), workers, gathered)
    }

    /// Joins small chunks at the end, as a binary counter carries.
    pub(crate) fn join(&mut self, columns: &MergedSchema) -> Result<(), EngineError> {
        while let [.., left, right] = self.chunks.as_slice()
            && left.rows.num_rows() <= ROWS_JOINED_MAX
            && left.rows.num_rows() <= right.rows.num_rows() * 2
        {
            let ordinals: Vec<u64> = left.ordinals().chain(right.ordinals()).collect();
            let from = self.chunks.len() - 2;
            let pair = Self { chunks: self.chunks.split_off(from), ..Self::default() };
            let rows = match pair.gather(columns, &ordinals) {
                Ok(rows) => rows,
                Err(error) => {
                    self.chunks.extend(pair.chunks);
                    return Err(error);
                }
            };
            let first = ordinals[0];
            let gapless = *ordinals.last().expect("not empty") - first + 1 == ordinals.len() as u64;
            self.chunks.push(Chunk { first, ordinals: (!gapless).then_some(ordinals), rows });
        }
        Ok(())
    }

    /// Rows kept.
    pub(crate) fn num_rows(&self) -> usize {
        self.rows
    }

    /// Whether it is time to ask what is needed.
    pub(crate) fn is_full(&self) -> bool {
        self.would_be_full(0)
    }

    /// Whether it will be so with so many rows more.
    pub(crate) fn would_be_full(&self, more: usize) -> bool {
        self.rows + more > self.limit.max(ROWS_FREE)
    }

    /// Keeps only the rows in these places, ascending.
    pub(crate) fn keep(
        &mut self,
        columns: &MergedSchema,
        needed: Vec<u64>,
        workers: Workers<'_>,
    ) -> Result<(), EngineError> {
        let kept = self.gather_with(columns, &needed, workers)?;
        *self = Self::restored(needed, kept);
        Ok(())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
