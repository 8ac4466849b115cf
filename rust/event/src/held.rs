//! The rows of one topic that wait for the clock.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use arrow_select::dictionary::garbage_collect_any_dictionary;
use arrow_select::take::take_record_batch;

use crate::error::EventError;

/// A chunk that keeps more than so many times the bytes of its rows that wait is copied down to those,
const SPARSE: usize = 4;
/// if it keeps more than so many bytes at all.
const SPARSE_BYTES: usize = 1 << 16;
/// Neighbouring chunks are joined until they have so many rows.
const JOINED_ROWS: usize = 4096;
/// So many chunks are always allowed.
const CHUNKS_SPARE: usize = 64;

/// Rows of one topic, some of which wait: those whose time is beyond the watermark, and no others.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// In the topic's conformed schema.
    pub(crate) batch: RecordBatch,
    /// `times[i]`: the event time of row i, in nanoseconds.
    pub(crate) times: ScalarBuffer<i64>,
    arrivals: Arrivals,
    /// How many of its rows wait.
    pub(crate) waiting: usize,
    /// Bytes of all its rows.
    bytes: usize,
    /// Bytes of the buffers that it shares, which may be those of a longer table that it is a slice of.
    kept_bytes: usize,
}

/// The ordinals of a chunk's rows among those of the topic, ascending.
#[derive(Clone, Debug)]
enum Arrivals {
    From(u64),
    Each(ScalarBuffer<u64>),
}

impl Chunk {
    /// Rows with consecutive ordinals from `first` on, `waiting` of them beyond the watermark.
    pub(crate) fn consecutive(
        batch: RecordBatch,
        times: ScalarBuffer<i64>,
        first: u64,
        waiting: usize,
    ) -> Self {
        let bytes = batch.columns().iter().map(spanned_bytes).sum();
        let kept_bytes = buffer_bytes(&batch);
        Self { batch, times, arrivals: Arrivals::From(first), waiting, bytes, kept_bytes }
    }

    /// Rows that all wait, with their ordinals, in buffers of their own.
    pub(crate) fn waiting(batch: RecordBatch, times: ScalarBuffer<i64>, arrivals: ScalarBuffer<u64>) -> Self {
        let bytes = buffer_bytes(&batch) + arrivals.inner().len() + times.inner().len();
        let waiting = times.len();
        Self { batch, times, arrivals: Arrivals::Each(arrivals), waiting, bytes, kept_bytes: bytes }
    }

    /// A copy of `rows`, all of which wait, that shares nothing with what they were in.
    pub(crate) fn copied(&self, rows: &UInt32Array) -> Result<Self, EventError> {
        let taken = take_record_batch(&self.batch, rows)?;
        let columns = taken.columns().iter().map(let_go).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(taken.schema(), columns, &options)?;
        let times = rows.values().iter().map(|row| self.times[*row as usize]).collect();
        let arrivals = rows.values().iter().map(|row| self.arrival(*row as usize)).collect();
        Ok(Self::waiting(batch, times, arrivals))
    }

    /// The ordinal of a row.
    pub(crate) fn arrival(&self, row: usize) -> u64 {
        match &self.arrivals {
            Arrivals::From(first) => first + row as u64,
            Arrivals::Each(arrivals) => arrivals[row],
        }
    }

    fn row(&self, arrival: u64) -> Option<usize> {
        match &self.arrivals {
            Arrivals::From(first) => {
                let row = usize::try_from(arrival.checked_sub(*first)?).ok()?;
                (row < self.times.len()).then_some(row)
            }
            Arrivals::Each(arrivals) => arrivals.binary_search(&arrival).ok(),
        }
    }

    /// The rows beyond the watermark, ascending.
    pub(crate) fn waiting_rows(&self, watermark: Option<i64>) -> impl Iterator<Item = usize> + '_ {
        let waits = move |time: i64| watermark.is_none_or(|watermark| time > watermark);
        self.times.iter().enumerate().filter(move |(_, time)| waits(**time)).map(|(row, _)| row)
    }

    /// The same rows, those that wait alone.
    pub(crate) fn only_waiting(&self, watermark: Option<i64>) -> Result<Self, EventError> {
        let rows: UInt32Array = self.waiting_rows(watermark).map(|row| row as u32).collect::<Vec<_>>().into();
        debug_assert_eq!(rows.len(), self.waiting, "what waits is what is beyond the watermark");
        self.copied(&rows)
    }

    /// Whether it keeps far more than its rows that wait: others of its own, or a longer table that it is a slice of.
    pub(crate) fn is_sparse(&self) -> bool {
        let waiting_bytes = self.bytes as u128 * self.waiting as u128 / self.times.len().max(1) as u128;
        self.kept_bytes > SPARSE_BYTES && waiting_bytes * (SPARSE as u128) < self.kept_bytes as u128
    }
}

/// The chunks of one topic, in arrival order; every row that waits is in one of them.
///
/// - Time: `locate` O(log c), c = chunks, less where it goes on from the one before; `tidy` amortised O(1) a row and
///   pass: a row is copied when its chunk becomes sparse, which a chunk of n rows can O(log n) times, each time for a
///   quarter of what was copied before; and, in a small chunk, when the number of chunks has doubled.
/// - Space: the rows that wait, at most four times over, or 64 KiB a chunk; c ≤ 2 · rows / 4096 + 64.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldRows {
    pub(crate) chunks: Vec<Chunk>,
    /// Small chunks are joined when there are more than so many.
    chunks_allowed: usize,
}

impl HeldRows {
    /// Where the row with this ordinal is: chunk and row. `hint` is the chunk to look in first.
    ///
    /// # Panics
    /// If it is in none.
    pub(crate) fn locate(&self, arrival: u64, hint: usize) -> (usize, usize) {
        if let Some(row) = self.chunks.get(hint).and_then(|chunk| chunk.row(arrival)) {
            return (hint, row);
        }
        let after = self.chunks.partition_point(|chunk| chunk.arrival(0) <= arrival);
        let chunk = after.checked_sub(1).expect("a row that waits is in a chunk");
        let row = self.chunks[chunk].row(arrival).expect("a row that waits is in the chunk that spans it");
        (chunk, row)
    }

    /// How many rows wait.
    pub(crate) fn waiting(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.waiting).sum()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// Adds a chunk of later rows.
    pub(crate) fn push(&mut self, chunk: Chunk) {
        debug_assert!(chunk.waiting > 0);
        self.chunks.push(chunk);
    }

    /// Lets go of what no longer waits, and joins small chunks when there have come to be many.
    ///
    /// Where Arrow refuses to copy, the rows stay where they are: that costs memory, not rows.
    pub(crate) fn tidy(&mut self, watermark: Option<i64>) {
        self.chunks.retain(|chunk| chunk.waiting > 0);
        for chunk in self.chunks.iter_mut().filter(|chunk| chunk.is_sparse()) {
            if let Ok(copied) = chunk.only_waiting(watermark) {
                *chunk = copied;
            }
        }
        if self.chunks.len() > self.chunks_allowed.max(CHUNKS_SPARE) {
            let mut joined: Vec<Chunk> = vec![];
            let mut group: Vec<Chunk> = vec![];
            for chunk in std::mem::take(&mut self.chunks) {
                group.push(chunk);
                if group.iter().map(|chunk| chunk.waiting).sum::<usize>() >= JOINED_ROWS {
                    join(std::mem::take(&mut group), &mut joined, watermark);
                }
            }
            join(group, &mut joined, watermark);
            self.chunks_allowed = joined.len() * 2 + CHUNKS_SPARE;
            self.chunks = joined;
        }
    }
}

/// Makes one chunk of several neighbours and adds it to `joined`; one alone, or what Arrow refuses, is added as it is.
fn join(group: Vec<Chunk>, joined: &mut Vec<Chunk>, watermark: Option<i64>) {
    if group.len() > 1
        && let Ok(chunk) = joined_chunk(&group, watermark)
    {
        joined.push(chunk);
    } else {
        joined.extend(group);
    }
}

/// One chunk of the rows that wait in several neighbours of one topic, in arrival order.
///
/// # Errors
/// What Arrow refuses.
///
/// # Panics
/// If there is no chunk.
pub(crate) fn joined_chunk(chunks: &[Chunk], watermark: Option<i64>) -> Result<Chunk, EventError> {
    let mut batches = Vec::with_capacity(chunks.len());
    let mut times: Vec<i64> = vec![];
    let mut arrivals: Vec<u64> = vec![];
    for chunk in chunks {
        let waiting;
        let part = if chunk.waiting == chunk.times.len() {
            chunk
        } else {
            waiting = chunk.only_waiting(watermark)?;
            &waiting
        };
        batches.push(part.batch.clone());
        times.extend_from_slice(&part.times);
        arrivals.extend((0..part.times.len()).map(|row| part.arrival(row)));
    }
    let batch = concat_batches(&chunks[0].batch.schema(), &batches)?;
    Ok(Chunk::waiting(batch, times.into(), arrivals.into()))
}

/// The array without what its rows do not use: `take` copies neither dictionaries nor the buffers of views.
fn let_go(array: &ArrayRef) -> Result<ArrayRef, EventError> {
    Ok(match array.data_type() {
        DataType::Dictionary(..) => garbage_collect_any_dictionary(array.as_any_dictionary())?,
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => Arc::clone(array),
    })
}

/// Bytes of the rows of an array: what a slice spans, not what it was cut from. Dictionaries count whole.
fn spanned_bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        // Arrow counts the views alone.
        DataType::Utf8View => array.len() * 16 + array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => array.len() * 16 + array.as_binary_view().total_buffer_bytes_used(),
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_buffer_memory_size()),
    }
}

fn buffer_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|array| array.get_buffer_memory_size()).sum()
}
