//! The order of rows: by keys, ties by arrival.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_buffer::ScalarBuffer;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, SortOptions};
use pulp::Arch;

use crate::error::EventError;
use crate::key::{comparable, comparable_type};
use crate::table::Table;
use crate::threads::{even_stretches, on_each};
use crate::time::as_int64;

/// One key of an ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderKey {
    /// Index of the column.
    pub column: usize,
    /// Greatest first.
    pub descending: bool,
    /// NULLs before all values.
    pub nulls_first: bool,
}

/// Something that tells which of two rows comes first.
pub enum RowOrder {
    /// By arrival alone.
    Arrival,
    /// One 64-bit column without NULLs, as signed integers, in one piece.
    Integers {
        /// By arrival.
        values: ScalarBuffer<i64>,
        /// Greatest first.
        descending: bool,
    },
    /// Anything else, in Arrow's comparable row format.
    Rows(Rows),
}

impl RowOrder {
    /// The order of the rows of `table` by `keys`.
    ///
    /// # Errors
    /// [`EventError::ColumnType`] for a column without an order.
    pub fn new(table: &Table, keys: &[OrderKey]) -> Result<Self, EventError> {
        match keys {
            [] => return Ok(Self::Arrival),
            [key] => {
                if let Some(values) = integers(table, key.column)? {
                    return Ok(Self::Integers { values, descending: key.descending });
                }
            }
            _ => {}
        }
        let fields: Vec<SortField> = keys
            .iter()
            .map(|key| {
                let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
                let data_type = comparable_type(table.schema().field(key.column).data_type());
                SortField::new_with_options(data_type, options)
            })
            .collect();
        for (key, field) in keys.iter().zip(&fields) {
            let column = table.schema().field(key.column);
            if !RowConverter::supports_fields(std::slice::from_ref(field)) || column.data_type().is_nested() {
                return Err(EventError::ColumnType {
                    column: column.name().clone(),
                    found: column.data_type().to_string(),
                    expected: "rows cannot be ordered by it; order by a number, a string or a time".into(),
                });
            }
        }
        let converter = RowConverter::new(fields)?;
        let mut rows = converter.empty_rows(table.num_rows(), table.num_rows() * 9);
        for batch in table.batches() {
            let arrays =
                keys.iter().map(|key| comparable(batch.column(key.column))).collect::<Result<Vec<_>, _>>()?;
            converter.append(&mut rows, &arrays)?;
        }
        Ok(Self::Rows(rows))
    }

    /// Order of two rows by the keys alone: `Equal` is a tie.
    pub fn compare(&self, left: u32, right: u32) -> Ordering {
        match self {
            Self::Arrival => Ordering::Equal,
            Self::Integers { values, descending: false } => {
                values[left as usize].cmp(&values[right as usize])
            }
            Self::Integers { values, descending: true } => values[right as usize].cmp(&values[left as usize]),
            Self::Rows(rows) => rows.row(left as usize).cmp(&rows.row(right as usize)),
        }
    }

    /// Whether all rows of the table stand in order as they arrived.
    pub fn arrived_in_order(&self, rows: usize) -> bool {
        self.arrived_in_order_on(rows, 1)
    }

    /// The same, seen by at most so many threads, each of a stretch of the rows.
    pub fn arrived_in_order_on(&self, rows: usize, threads: usize) -> bool {
        let threads = threads.min(rows / ROWS_A_THREAD_MIN);
        self.are_in_order(even_stretches(rows, threads))
    }

    /// Whether rows cut into stretches are in order, each seen by a thread.
    fn are_in_order(&self, stretches: Vec<Range<usize>>) -> bool {
        let seen = on_each(stretches, |_, own| self.is_in_order(own.start.saturating_sub(1)..own.end));
        seen.into_iter().all(|in_order| in_order)
    }

    fn is_in_order(&self, rows: Range<usize>) -> bool {
        match self {
            Self::Arrival => true,
            Self::Integers { values, descending: false } => {
                holds_of_neighbours(&values[rows], |left, right| left <= right)
            }
            Self::Integers { values, descending: true } => {
                holds_of_neighbours(&values[rows], |left, right| left >= right)
            }
            Self::Rows(_) => (rows.start + 1..rows.end)
                .all(|row| self.compare(row as u32 - 1, row as u32) != Ordering::Greater),
        }
    }

    /// Puts rows in order, keeping ties as they stand.
    pub(crate) fn sort(&self, rows: &mut [u32]) {
        if !rows.is_sorted_by(|left, right| self.compare(*left, *right) != Ordering::Greater) {
            rows.sort_by(|left, right| self.compare(*left, *right));
        }
    }
}

/// Of fewer rows a thread that sees whether they are in order costs more than it does.
const ROWS_A_THREAD_MIN: usize = 1 << 19;

/// So many neighbours are compared without an exit in between.
const BLOCK: usize = 1 << 10;

/// How many of the first values are in ascending order, or a block fewer.
pub fn ascending(values: &[i64]) -> usize {
    let rest = values.get(1..).unwrap_or_default();
    let mut known = 0;
    while known < rest.len() {
        let end = (known + BLOCK).min(rest.len());
        if !holds_of_neighbours(&values[known..=end], |left, right| left <= right) {
            break;
        }
        known = end;
    }
    (known + 1).min(values.len())
}

/// Whether `holds` of every two neighbours. Block by block without an exit inside, so that it is done in vectors, the widest that
/// the processor has.
fn holds_of_neighbours(values: &[i64], holds: impl Fn(i64, i64) -> bool) -> bool {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let rest = values.get(1..).unwrap_or_default();
            let mut blocks = values.chunks(BLOCK).zip(rest.chunks(BLOCK));
            blocks.all(
                #[inline(always)]
                |(left, right)| left.iter().zip(right).fold(true, |all, (l, r)| all & holds(*l, *r)),
            )
        },
    )
}

/// The column as 64-bit integers in the order of its values, if it is of such a type and has no NULLs.
fn integers(table: &Table, column: usize) -> Result<Option<ScalarBuffer<i64>>, EventError> {
    let wide = matches!(
        table.schema().field(column).data_type(),
        DataType::Int64
            | DataType::Timestamp(..)
            | DataType::Date64
            | DataType::Time64(_)
            | DataType::Duration(_)
    );
    let nulls = table.batches().iter().any(|batch| batch.column(column).null_count() > 0);
    if !wide || nulls {
        return Ok(None);
    }
    let whole = table.slice(column, 0..table.num_rows())?;
    Ok(Some(as_int64(&whole)?.as_primitive::<Int64Type>().values().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fall_is_seen_wherever_it_is() {
        let mut seen = 0;
        for length in [0, 1, 2, 3, 1_023, 1_024, 1_025, 2_048, 2_500] {
            let rising: Vec<i64> = (0..length).map(|row| row / 2).collect();
            assert!(holds_of_neighbours(&rising, |left, right| left <= right));
            assert_eq!(ascending(&rising), rising.len());
            for row in (1..length as usize)
                .filter(|row| row % 7 == 1 || row % 1_024 < 2 || *row + 1 == length as usize)
            {
                let mut falls = rising.clone();
                falls[row] = rising[row - 1] - 1;
                assert!(!holds_of_neighbours(&falls, |left, right| left <= right), "row {row} of {length}");
                let known = ascending(&falls);
                assert!(known <= row && row <= known + BLOCK, "{known} of {row} in {length}");
                seen += 1;
            }
        }
        assert!(seen > 1_000, "{seen}");
    }

    #[test]
    fn one_fall_is_seen_wherever_rows_are_cut() {
        let mut seen = 0;
        for (length, stretches) in [(0, 2), (1, 2), (2, 2), (9, 2), (9, 3), (40, 7)] {
            let rising: Vec<i64> = (0..length).map(|row| row / 2).collect();
            let cut = || even_stretches(rising.len(), stretches);
            let both = |values: &[i64]| {
                let falling = values.iter().map(|value| -value).collect();
                let values = ScalarBuffer::from(values.to_vec());
                let ascending = RowOrder::Integers { values, descending: false }.are_in_order(cut());
                let descending = RowOrder::Integers { values: falling, descending: true };
                assert_eq!(descending.are_in_order(cut()), ascending);
                ascending
            };
            assert!(both(&rising));
            for row in 1..length as usize {
                let mut falls = rising.clone();
                falls[row] = rising[row - 1] - 1;
                assert!(!both(&falls), "row {row} of {length} in {stretches}");
                seen += 1;
            }
        }
        assert_eq!(seen, 1 + 8 + 8 + 39);
    }
}
