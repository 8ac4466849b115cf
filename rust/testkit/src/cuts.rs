//! Ways to cut a table into batches. What a pattern finds must not depend on them.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use crate::split_mix::SplitMix64;

/// How a table is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// One batch.
    Whole,
    /// Batches of this many rows, the last one shorter; at least 1.
    Every(usize),
    /// Random batches, some of them empty, some of them slices of a longer array.
    Random(u64),
}

/// The cuts that a test with little time tries.
pub const USUAL: [Cut; 5] = [Cut::Whole, Cut::Every(1), Cut::Every(4), Cut::Random(1), Cut::Random(2)];

/// Cuts a table; the pieces, end to end, are the table.
///
/// Pieces of [`Cut::Every`] share the table's buffers at an offset, as slices do. Those of [`Cut::Random`] are, by
/// turns, such slices and copies that begin with padding which an offset hides.
pub fn cut(table: &RecordBatch, how: Cut) -> Vec<RecordBatch> {
    let rows = table.num_rows();
    match how {
        Cut::Whole => vec![table.clone()],
        Cut::Every(size) => {
            let size = size.max(1);
            (0..rows).step_by(size).map(|start| table.slice(start, size.min(rows - start))).collect()
        }
        Cut::Random(seed) => {
            let mut random = SplitMix64::new(seed);
            let mut pieces = vec![];
            let mut start = 0;
            while start < rows {
                if random.chance(25) {
                    pieces.push(table.slice(start, 0));
                }
                let length = 1 + random.below((rows - start).min(6));
                let piece = table.slice(start, length);
                pieces.push(if random.chance(40) { padded(table, start, length) } else { piece });
                start += length;
            }
            if random.chance(50) {
                pieces.push(table.slice(rows, 0));
            }
            pieces
        }
    }
}

/// Rows `start..start + length` as a slice of fresh arrays that hold other rows before and after them.
fn padded(table: &RecordBatch, start: usize, length: usize) -> RecordBatch {
    let (first, last) = (table.slice(0, 1), table.slice(table.num_rows() - 1, 1));
    let pieces = [last, table.slice(start, length), first];
    concat_batches(&table.schema(), &pieces).expect("pieces of one table").slice(1, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference_table::ReferenceTable;
    use crate::text_table::TextTable;

    #[test]
    fn the_pieces_end_to_end_are_the_table() {
        let text = "x:int s:dict d:decimal(9,2) t:timestamp\n1 a 1.50 2024-01-01\n- b - 2024-01-02\n3 - 2.25 -\n\
                    4 a 0.01 2024-01-03\n5 b 7.00 2024-01-04\n6 c 8.10 2024-01-05\n7 a - -\n";
        let table = TextTable::parse(text).unwrap().to_batch().unwrap();
        let expected = ReferenceTable::from_batches(std::slice::from_ref(&table)).rows;
        let mut tried = 0;
        let mut empty = 0;
        for how in USUAL.into_iter().chain((3..40).map(Cut::Random)) {
            let pieces = cut(&table, how);
            assert_eq!(ReferenceTable::from_batches(&pieces).rows, expected, "{how:?}");
            empty += pieces.iter().filter(|piece| piece.num_rows() == 0).count();
            tried += 1;
        }
        assert_eq!(tried, 42);
        assert!(empty > 10, "only {empty} empty batches");
    }
}
