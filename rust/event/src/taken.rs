//! Columns at some rows, by several threads that have as much to do however many columns there are.

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, make_array};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::DataType;
use arrow_select::take::take;

use crate::error::EventError;
use crate::threads::on_threads;

/// What one thread does at a time.
enum Share<'a> {
    /// 64-bit values without NULLs, at some of the rows.
    Words { from: &'a [u64], rows: &'a [u32], taken: &'a mut [u64] },
    /// All of another column.
    Whole(&'a ArrayRef),
}

/// The columns of a batch at `rows`.
///
/// Cost: O(rows) a column. What is of 64 bits without NULLs is cut among threads by rows, everything else by columns.
///
/// # Errors
/// What Arrow refuses.
pub(crate) fn taken(
    batch: &RecordBatch,
    columns: &[usize],
    rows: &[u32],
    threads: usize,
) -> Result<Vec<ArrayRef>, EventError> {
    let places = UInt32Array::from_iter_values(rows.iter().copied());
    let columns = || columns.iter().map(|column| batch.column(*column));
    if threads <= 1 {
        return columns().map(|column| Ok(take(column, &places, None)?)).collect();
    }
    let wide: Vec<Option<ArrayData>> =
        columns().map(|column| is_plain_and_wide(column).then(|| column.to_data())).collect();
    let mut words: Vec<Vec<u64>> =
        wide.iter().map(|data| vec![0; if data.is_some() { rows.len() } else { 0 }]).collect();
    // Whole columns first: who has one is busy for longer.
    let whole =
        columns().zip(&wide).filter(|(_, data)| data.is_none()).map(|(column, _)| Share::Whole(column));
    let mut shares: Vec<Share<'_>> = whole.collect();
    let each = rows.len().div_ceil(threads).max(1);
    for (data, taken) in wide.iter().zip(&mut words) {
        let Some(data) = data else { continue };
        let from: &[u64] = &data.buffer(0)[..data.len()];
        let cut = rows.chunks(each).zip(taken.chunks_mut(each));
        shares.extend(cut.map(|(rows, taken)| Share::Words { from, rows, taken }));
    }
    let done = on_threads(threads, shares, |_, share| match share {
        Share::Whole(column) => take(column, &places, None).map(Some),
        Share::Words { from, rows, taken } => {
            taken.iter_mut().zip(rows).for_each(|(taken, row)| *taken = from[*row as usize]);
            Ok(None)
        }
    });
    let mut whole = done.into_iter().filter_map(Result::transpose);
    let array = |(column, (data, words)): (&ArrayRef, (Option<ArrayData>, Vec<u64>))| match data {
        Some(_) => Ok(wide_numbers(column.data_type(), words)),
        None => Ok(whole.next().expect("a share for each")?),
    };
    columns().zip(wide.into_iter().zip(words)).map(array).collect()
}

/// Whether a column is of 64-bit numbers or times, and has no NULLs.
pub(crate) fn is_plain_and_wide(column: &ArrayRef) -> bool {
    column.data_type().primitive_width() == Some(size_of::<u64>()) && column.null_count() == 0
}

/// Values of 64-bit numbers or times, which are moved as integers, as an array of their type.
pub(crate) fn wide_numbers(data_type: &DataType, values: Vec<u64>) -> ArrayRef {
    let data = ArrayData::builder(data_type.clone())
        .len(values.len())
        .add_buffer(Buffer::from_vec(values))
        .build()
        .expect("one buffer of 64-bit values is what every such type is made of");
    make_array(data)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Decimal128Array, Float64Array, Int64Array, StringArray, TimestampSecondArray};
    use cepheid_testkit::SplitMix64;

    use super::*;

    #[test]
    fn threads_take_what_one_takes() {
        let mut compared = 0;
        for seed in 0..100 {
            let mut random = SplitMix64::new(seed);
            let count = random.below(60);
            let number = |row: usize| (row * row) as i64 - 40;
            let all: Vec<(&str, ArrayRef)> = vec![
                ("number", Arc::new((0..count).map(number).collect::<Int64Array>())),
                ("float", Arc::new((0..count).map(|row| number(row) as f64 / 8.0).collect::<Float64Array>())),
                ("time", Arc::new(TimestampSecondArray::from_iter_values((0..count).map(number)))),
                ("null", Arc::new((0..count).map(|row| (row % 3 > 0).then_some(1)).collect::<Int64Array>())),
                ("wider", Arc::new(Decimal128Array::from_iter_values((0..count).map(|row| row as i128)))),
                ("text", Arc::new(StringArray::from_iter_values((0..count).map(|row| row.to_string())))),
            ];
            let batch = RecordBatch::try_from_iter(all).expect("columns of one length");
            // The first rows of what the columns are slices of are not theirs.
            let batch = batch.slice(count / 3, count - count / 3);
            let rows: Vec<u32> = (0..batch.num_rows() as u32).filter(|_| random.chance(50)).collect();
            let columns: Vec<usize> = (0..6).filter(|_| random.chance(70)).collect();
            let alone = taken(&batch, &columns, &rows, 1).expect("columns");
            for threads in [2, 3, 8] {
                assert_eq!(taken(&batch, &columns, &rows, threads).expect("columns"), alone, "seed {seed}");
                compared += columns.len();
            }
        }
        assert!(compared > 900, "{compared}");
    }
}
