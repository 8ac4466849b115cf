//! The rows of a table in pieces, for several threads.

use std::ops::Range;

use crate::partition::OrderedRows;

/// A partition is cut only where the rows that must be seen twice for it are at most one in so many of a thread's share.
const SEEN_TWICE: usize = 4;

/// From where on rows of a partition, which is given behind a position, matter for what ends there.
pub type Reach<'a> = &'a dyn Fn(u32, &Range<u32>) -> u32;

/// Rows of a table that one thread sees to, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The partitions that they are of.
    pub partitions: Range<usize>,
    /// Their positions.
    pub rows: Range<u32>,
    /// Whether rows of their first partition stand before them. They are then all of that partition.
    pub continues: bool,
    /// From where on rows must be seen for all to be known of what ends in these.
    pub seen_from: u32,
}

impl Piece {
    /// Those of the rows that are of a partition.
    pub fn rows_of(&self, partition: &Range<u32>) -> Range<u32> {
        partition.start.max(self.rows.start)..partition.end.min(self.rows.end)
    }
}

impl OrderedRows {
    /// All rows in pieces, about as many for each of at most so many threads; a table without rows is one piece.
    ///
    /// With `reach` partitions are cut as well, where few rows have to be seen twice for it.
    pub fn pieces(&self, threads: usize, reach: Option<Reach<'_>>) -> Vec<Piece> {
        let rows = self.num_rows();
        let threads = threads.clamp(1, rows.max(1));
        let few = |seen_twice: u32| seen_twice as usize * SEEN_TWICE <= rows / threads;
        // Where pieces end, and from where on rows must be seen for the next.
        let mut ends: Vec<(u32, u32)> = vec![];
        for share in 1..threads {
            let row = (rows as u64 * share as u64 / threads as u64) as u32;
            let partition = self.partition(self.partition_of(row));
            let seen_from = reach.map(|reach| reach(row, &partition)).filter(|from| few(row - from));
            let end = match seen_from {
                _ if row == partition.start => (row, row),
                Some(seen_from) => (row, seen_from),
                None => (partition.end, partition.end),
            };
            if ends.last().is_none_or(|(last, _)| *last < end.0) {
                ends.push(end);
            }
        }
        ends.push((rows as u32, rows as u32));
        let mut pieces = vec![];
        let (mut begin, mut seen_from) = (0, 0);
        for (end, seen_from_next) in ends {
            while begin < end {
                let first = self.partition_of(begin);
                let partition = self.partition(first);
                let continues = begin > partition.start;
                let end = if continues { end.min(partition.end) } else { end };
                let partitions = first..self.partition_of(end - 1) + 1;
                pieces.push(Piece { partitions, rows: begin..end, continues, seen_from });
                (begin, seen_from) = (end, end);
            }
            seen_from = seen_from_next;
        }
        if pieces.is_empty() {
            let partitions = 0..self.num_partitions();
            pieces.push(Piece { partitions, rows: 0..0, continues: false, seen_from: 0 });
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_lengths(lengths: &[u32]) -> OrderedRows {
        let mut starts = vec![0];
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
        }
        OrderedRows::of_groups((0..starts[starts.len() - 1]).collect(), starts)
    }

    #[test]
    fn pieces_hold_every_row_once_and_cut_only_where_few_rows_are_seen_twice() {
        let (mut cut, mut whole) = (0, 0);
        for lengths in
            [&[][..], &[1], &[100], &[50, 50], &[1, 97, 2], &[10; 10], &[3, 60, 3, 30, 4], &[40, 60]]
        {
            let rows = of_lengths(lengths);
            for threads in [0, 1, 2, 3, 7, 1000] {
                for window in [None, Some(0), Some(3), Some(20)] {
                    let reach = |row: u32, partition: &Range<u32>| {
                        row.saturating_sub(window.unwrap_or(0)).max(partition.start)
                    };
                    let pieces = rows.pieces(threads, window.is_some().then_some(&reach));
                    let (mut row, mut partition) = (0, 0);
                    for piece in &pieces {
                        assert_eq!(piece.rows.start, row, "{pieces:?}");
                        assert_eq!(piece.partitions.start, partition - usize::from(piece.continues));
                        let first = rows.num_rows() > 0 && rows.partition(piece.partitions.start).start < row;
                        assert_eq!(piece.continues, first, "{pieces:?}");
                        assert!(!piece.continues || piece.partitions.len() == 1, "{pieces:?}");
                        assert!(piece.seen_from <= row && row - piece.seen_from <= window.unwrap_or(0));
                        assert!(!piece.continues || window.is_some(), "{pieces:?}");
                        (row, partition) = (piece.rows.end, piece.partitions.end);
                        cut += usize::from(piece.continues);
                        whole += usize::from(!piece.continues);
                    }
                    assert_eq!(row as usize, rows.num_rows(), "{pieces:?}");
                    assert_eq!(partition, rows.num_partitions(), "{pieces:?}");
                    assert!(pieces.len() < 2 * threads.max(1), "{pieces:?}");
                }
            }
        }
        assert!(cut > 100 && whole > 100, "{cut} parts of a partition, {whole} others");
    }

    #[test]
    fn threads_have_as_much_to_do_as_each_other() {
        let rows = of_lengths(&[10; 100]);
        let sizes: Vec<usize> = rows.pieces(3, None).iter().map(|piece| piece.rows.len()).collect();
        assert_eq!(sizes, [340, 330, 330]);
        let rows = of_lengths(&[1000]);
        let near = |row: u32, _: &Range<u32>| row.saturating_sub(100);
        let far = |row: u32, _: &Range<u32>| row.saturating_sub(200);
        assert_eq!(rows.pieces(2, Some(&near)).len(), 2);
        assert_eq!(rows.pieces(3, Some(&far)).len(), 1);
    }
}
