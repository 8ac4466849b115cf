//! Values that stand far apart.
//!
//! Rows of matches come one after the other, each many times, and lead to values that are in no cache when they are first met. A
//! processor asks memory for several at once, but only for those that it can see coming: with each repeated some twenty times it sees
//! one. So the rows that are new are picked out of what is to come, and asked for together before anything is copied.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, downcast_primitive_array};

/// Rows that are looked at before they are read: what has been asked for is still in the first cache then.
const AHEAD: usize = 1 << 12;

/// A column of fewer bytes is in some cache soon, however it is read: at 8 MB asking beforehand costs what it gains.
const FAR_BYTES_MIN: usize = 1 << 25;

/// Closer to each other than this they come by themselves, as the lines behind those that have been read.
const BYTES_BETWEEN_MIN: usize = 256;

/// With more of them new than one in so many, rows are asked for at once as they are read.
const ROWS_A_NEW_ONE_MIN: usize = 4;

/// The values of a column at `rows`, if it is of one width and has no NULLs: each is read as its row becomes known, which need not
/// be written down.
pub(crate) fn plain_values(
    column: &dyn Array,
    rows: impl ExactSizeIterator<Item = u32> + Clone,
) -> Option<ArrayRef> {
    fn of<T: ArrowPrimitiveType>(
        column: &PrimitiveArray<T>,
        rows: impl ExactSizeIterator<Item = u32> + Clone,
    ) -> ArrayRef {
        let is_far = size_of_val(&column.values()[..]) >= FAR_BYTES_MIN;
        let taken = taken(column.values(), rows, is_far.then(Ahead::default));
        Arc::new(PrimitiveArray::<T>::new(taken.into(), None).with_data_type(column.data_type().clone()))
    }
    if column.null_count() > 0 {
        return None;
    }
    downcast_primitive_array!(
        column => Some(of(column, rows)),
        _ => None
    )
}

/// The values at `rows`; `ahead`: asked for beforehand, as long as that is of use.
fn taken<T: Copy>(
    values: &[T],
    mut rows: impl ExactSizeIterator<Item = u32> + Clone,
    mut ahead: Option<Ahead>,
) -> Vec<T> {
    let mut taken = Vec::with_capacity(rows.len());
    while let Some(known) = &mut ahead
        && rows.len() > 0
    {
        if !known.ask_for(values, rows.clone().take(AHEAD)) {
            ahead = None;
        }
        taken.extend(rows.by_ref().take(AHEAD).map(|row| values[row as usize]));
    }
    taken.extend(rows.map(|row| values[row as usize]));
    taken
}

/// How far rows have been asked for.
#[derive(Debug, Default)]
struct Ahead {
    /// Behind this row nothing has been asked for.
    until: u32,
    new: Vec<u32>,
}

impl Ahead {
    /// Asks for the values of rows behind all those before. Whether that may be worth its while the next time.
    fn ask_for<T: Copy>(&mut self, values: &[T], rows: impl Iterator<Item = u32>) -> bool {
        self.new.resize(AHEAD, 0);
        let Self { until: before, new } = self;
        let (mut until, mut count) = (*before, 0);
        for row in rows {
            // Without a branch, which could not be foreseen.
            new[count] = row;
            count += usize::from(row >= until);
            until = until.max(row.saturating_add(1));
        }
        let new = &new[..count];
        for row in new {
            if let Some(value) = values.get(*row as usize) {
                black_box(*value);
            }
        }
        let bytes = new.first().map_or(0, |first| (until - first) as usize * size_of::<T>());
        *before = until;
        count <= AHEAD / ROWS_A_NEW_ONE_MIN && count * BYTES_BETWEEN_MIN <= bytes
    }
}

#[cfg(test)]
mod tests {
    use cepheid_testkit::SplitMix64;

    use super::*;

    #[test]
    fn values_are_those_of_their_rows_however_these_go_on() {
        let values: Vec<u64> = (0..300_000).map(|row| row * row).collect();
        let mut read = 0;
        for seed in 0..40 {
            let mut random = SplitMix64::new(seed);
            let (count, step) =
                (*random.choose(&[0, 1, AHEAD - 1, AHEAD, 3 * AHEAD + 5]), *random.choose(&[1, 40]));
            let back = *random.choose(&[1, 3, 2_000]);
            let row = |at: usize| (at / 7 * step + random.below(back)).min(values.len() - 1) as u32;
            let rows: Vec<u32> = (0..count).map(row).collect();
            let expected: Vec<u64> = rows.iter().map(|row| values[*row as usize]).collect();
            for few in [values.len(), rows.iter().max().map_or(0, |last| *last as usize + 1)] {
                let ahead = Some(Ahead::default());
                assert_eq!(taken(&values[..few], rows.iter().copied(), ahead), expected, "{seed}");
                read += count;
            }
        }
        assert!(read > 150_000, "{read}");
    }

    #[test]
    fn rows_are_asked_for_while_few_of_them_are_new() {
        let values = vec![0_u64; 100 * AHEAD];
        let mut ahead = Ahead::default();
        let asked = |ahead: &mut Ahead, often: usize, apart: usize| {
            let more = ahead.ask_for(&values, (0..AHEAD).map(|row| (row / often * apart) as u32));
            (more, ahead.until)
        };
        assert_eq!(asked(&mut ahead, 8, 40), (true, 20_441));
        // Of these half have been asked for.
        assert_eq!(asked(&mut ahead, 3, 40), (true, 54_601));
        // Each is new, or near the one before.
        assert_eq!(asked(&mut ahead, 1, 40), (false, 163_801));
        assert_eq!(asked(&mut Ahead::default(), 8, 4), (false, 2_045));
        // None is new.
        assert_eq!(asked(&mut ahead, 1, 40), (true, 163_801));
    }
}
