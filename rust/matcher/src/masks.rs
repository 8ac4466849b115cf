//! Predicates as bitmaps: each distinct one evaluated once, chunk by chunk, before any search.

use std::ops::Range;

use arrow_array::ArrayRef;
use cepheid_eval::{EvalError, MaskSet, TypedExpr};
use cepheid_event::{EventError, OrderedRows, Table};

use crate::bits::Bits;
use crate::conditions::physical_leaf;
use crate::error::MatchError;
use crate::threads::{Interruption, Workers};

/// Rows evaluated at a time: their columns stay in the second-level cache. A multiple of 64.
const CHUNK_ROWS: usize = 1 << 15;

/// Shifts up to this share one reading of their column; further ones read their own.
const SHARED_SHIFT_MAX: i64 = 1 << 10;

/// Which rows satisfy which predicate.
#[derive(Debug, Default)]
pub struct Masks {
    /// `of[p]`: the rows, by position, that satisfy predicate `p`; or why that could not be said of all of them. An
    /// error need not come up in the search, which may never test the row: the predicate is then evaluated row by row.
    pub of: Vec<Result<Bits, EvalError>>,
}

impl Masks {
    /// Evaluates `predicates` over all rows.
    ///
    /// Cost: one pass over the columns read. Space: one bit a row and predicate, and the columns of one chunk for each thread.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn evaluate(
        predicates: &[TypedExpr],
        table: &Table,
        rows: &OrderedRows,
        workers: Workers<'_>,
    ) -> Result<Self, MatchError> {
        let all = rows.num_rows();
        // Whole chunks for each thread: bits are put together word by word.
        let share = all.div_ceil(CHUNK_ROWS).div_ceil(workers.threads.max(1)).max(1) * CHUNK_ROWS;
        let pieces: Vec<_> =
            (0..all.max(1)).step_by(share).map(|begin| begin..(begin + share).min(all)).collect();
        let work = |piece: &Range<usize>, _: Interruption<'_>| {
            Ok(Self::evaluate_piece(predicates, table, rows, piece.clone())?)
        };
        let mut pieces = workers.share_until(&pieces, work, |_| false)?.into_iter();
        let mut masks = pieces.next().expect("a table without rows is one piece");
        for piece in pieces {
            for (mask, more) in masks.of.iter_mut().zip(piece.of) {
                // What is told of a condition is the first error that it raises.
                match (&mut *mask, more) {
                    (Ok(bits), Ok(more)) => bits.append_bits(&more),
                    (Ok(_), Err(error)) => *mask = Err(error),
                    (Err(_), _) => {}
                }
            }
        }
        Ok(masks)
    }

    fn evaluate_piece(
        predicates: &[TypedExpr],
        table: &Table,
        rows: &OrderedRows,
        piece: Range<usize>,
    ) -> Result<Self, EventError> {
        let mut of: Vec<Result<Bits, EvalError>> =
            predicates.iter().map(|_| Ok(Bits::with_capacity(piece.len()))).collect();
        let mut together = MaskSet::new(predicates, piece.len());
        for start in piece.clone().step_by(CHUNK_ROWS) {
            let range = start..(start + CHUNK_ROWS).min(piece.end);
            let mut columns = ShiftedColumns::new(table, rows, range.clone(), predicates);
            together.evaluate(
                range.len(),
                |leaf| {
                    let (column, shift) = physical_leaf(leaf);
                    columns.get(column, shift)
                },
                |predicate, chunk| match (&mut of[predicate], chunk) {
                    (Ok(bits), Ok(chunk)) => bits.append(&chunk),
                    (mask, Err(error)) => *mask = Err(error),
                    (Err(_), Ok(_)) => {}
                },
            )?;
        }
        Ok(Self { of })
    }

    /// The same of some rows, in another order.
    ///
    /// Cost: O(rows) a predicate.
    ///
    /// # Errors
    /// [`MatchError::Interrupted`].
    pub fn picked(
        &self,
        rows: impl Iterator<Item = u32> + Clone + Sync,
        workers: Workers<'_>,
    ) -> Result<Self, MatchError> {
        let of = |mask: &Result<Bits, EvalError>, _: Interruption<'_>| {
            mask.as_ref().map(|bits| bits.picked(rows.clone())).map_err(Clone::clone)
        };
        Ok(Self { of: workers.share(&self.of, of, |_| false)? })
    }
}

/// Columns of one chunk at several shifts, each column read once.
struct ShiftedColumns<'a> {
    table: &'a Table,
    rows: &'a OrderedRows,
    range: Range<usize>,
    /// Per column: furthest shifts back and forth that share a reading.
    reach: Vec<(usize, Range<i64>)>,
    bases: Vec<(usize, usize, ArrayRef)>,
    shifted: Vec<(usize, i64, ArrayRef)>,
}

impl<'a> ShiftedColumns<'a> {
    fn new(table: &'a Table, rows: &'a OrderedRows, range: Range<usize>, predicates: &[TypedExpr]) -> Self {
        let mut reach: Vec<(usize, Range<i64>)> = vec![];
        for (column, shift) in predicates.iter().flat_map(|p| p.leaves()).map(physical_leaf) {
            let shift = if shift.abs() <= SHARED_SHIFT_MAX { shift } else { 0 };
            match reach.iter_mut().find(|(known, _)| *known == column) {
                Some((_, reach)) => *reach = reach.start.min(shift)..reach.end.max(shift),
                None => reach.push((column, shift.min(0)..shift.max(0))),
            }
        }
        Self { table, rows, range, reach, bases: vec![], shifted: vec![] }
    }

    fn get(&mut self, column: usize, shift: i64) -> Result<ArrayRef, EventError> {
        if let Some((.., array)) = self.shifted.iter().find(|(c, s, _)| *c == column && *s == shift) {
            return Ok(array.clone());
        }
        let array = if shift.abs() <= SHARED_SHIFT_MAX {
            let (start, base) = self.base(column)?;
            self.rows.shifted(&base, start, self.range.clone(), shift)?
        } else {
            let reading = self.clamped(shift..shift);
            let base = self.rows.read(self.table, column, reading.clone())?;
            self.rows.shifted(&base, reading.start, self.range.clone(), shift)?
        };
        self.shifted.push((column, shift, array.clone()));
        Ok(array)
    }

    fn base(&mut self, column: usize) -> Result<(usize, ArrayRef), EventError> {
        if let Some((_, start, base)) = self.bases.iter().find(|(known, ..)| *known == column) {
            return Ok((*start, base.clone()));
        }
        let reach =
            self.reach.iter().find(|(known, _)| *known == column).map_or(0..0, |(_, reach)| reach.clone());
        let reading = self.clamped(reach);
        let base = self.rows.read(self.table, column, reading.clone())?;
        self.bases.push((column, reading.start, base.clone()));
        Ok((reading.start, base))
    }

    /// The chunk, widened by a reach and cut to the table.
    fn clamped(&self, reach: Range<i64>) -> Range<usize> {
        let rows = self.rows.num_rows() as i64;
        let start = (self.range.start as i64).saturating_add(reach.start).clamp(0, rows);
        let end = (self.range.end as i64).saturating_add(reach.end).clamp(start, rows);
        start as usize..end as usize
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};
    use arrow_schema::{DataType, Field, Schema};
    use cepheid_ir::{BinaryOp, Expr};

    use super::*;
    use crate::threads::times_shared;

    #[test]
    fn masks_are_the_same_on_any_number_of_threads_and_errors_the_first_of_a_condition() {
        let rows = 5 * CHUNK_ROWS + 17;
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)]));
        // Nothing can be divided by in the second chunk, and a sum is too great in the fourth.
        let value = |row: usize| match row {
            row if row == CHUNK_ROWS + 5 => 0,
            row if row == 3 * CHUNK_ROWS => i64::MAX,
            row => row as i64 % 97 + 1,
        };
        let values: Int64Array = (0..rows).map(value).collect::<Vec<_>>().into();
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(values)]).expect("one column");
        let table = Table::new(Arc::clone(&schema), vec![batch]).expect("one batch");
        let number = |value: i64| Expr::literal(value);
        let divided = Expr::binary(BinaryOp::Divide, number(100), Expr::column("x"));
        let either = Expr::binary(
            BinaryOp::Add,
            divided.clone(),
            Expr::binary(BinaryOp::Add, Expr::column("x"), number(1)),
        );
        let predicates: Vec<TypedExpr> = [Expr::column("x"), divided, either]
            .into_iter()
            .map(|value| Expr::binary(BinaryOp::Greater, value, number(40)))
            .map(|condition| TypedExpr::compile_condition(&condition, &schema).expect("a condition"))
            .collect();
        let ordered = OrderedRows::by_arrival(rows);
        let of = |threads| {
            let workers = Workers { threads, ..Workers::default() };
            let masks = Masks::evaluate(&predicates, &table, &ordered, workers).expect("masks");
            masks.of.into_iter().map(|mask| mask.map(|bits| bits.words().to_vec())).collect::<Vec<_>>()
        };
        let alone = of(1);
        assert!(alone[0].is_ok() && alone[1].is_err() && alone[2] == alone[1], "{:?}", &alone[1..]);
        let before = times_shared();
        for threads in [2, 3, 7, 100] {
            assert!(of(threads) == alone, "{threads} threads");
        }
        assert_eq!(times_shared() - before, 4);
    }
}
