//! The window: a product of operators of which the oldest can be taken away, as two stacks.

use std::collections::VecDeque;

use super::operator::{Operator, START};
use super::semiring::Semiring;

/// A row of the back stack.
#[derive(Clone, Copy, Debug)]
struct BackRow {
    stamp: i64,
    operator: u32,
    rank: u32,
    /// Rows that matter to nobody lie before it.
    behind_gap: bool,
}

/// What runs wait for, of those whose first row is in the window.
///
/// Newer rows are in the back stack, as the matrix of the product of their operators; of older ones the front stack has,
/// for each that can be a first row, the row vector that the start has become once they and all newer ones of the
/// front have passed. The vector of the window is that of its oldest first row times the matrix. As long as the front is
/// empty only the matrix's row of the start is needed, and kept.
///
/// - Time: O(k·o) amortised a row for k waits of which an operator touches o; a row that empties the front moves the back
///   there, at O(k·o) for each of its rows.
/// - Space: 24 bytes a row of the back, k elements and 8 bytes a first row of the front, k² elements.
#[derive(Debug)]
pub(super) struct Stacks<S: Semiring> {
    waits: usize,
    /// How much later than its first row a run may go on; `None`: for ever.
    limit: Option<i64>,
    /// `back[i * waits + j]`: what runs that waited for `i` before the back stack add to those that wait for `j` after it.
    back: Vec<S::Element>,
    /// Rows of the back stack from its first possible first row on; none without a limit.
    back_rows: VecDeque<BackRow>,
    /// The oldest on top.
    front_stamps: Vec<i64>,
    /// `waits` elements each.
    front: Vec<S::Element>,
    scratch: Vec<S::Element>,
    matrix: Vec<S::Element>,
    /// Elements looked at.
    pub(super) operations: u64,
    /// Most bytes of rows and first rows that the window had.
    pub(super) bytes_max: usize,
}

impl<S: Semiring> Stacks<S> {
    pub(super) fn new(semiring: &S, waits: usize, limit: Option<i64>) -> Self {
        let square = if limit.is_some() { waits * waits } else { waits };
        let mut stacks = Self {
            waits,
            limit,
            back: vec![semiring.zero(); square],
            back_rows: VecDeque::new(),
            front_stamps: vec![],
            front: vec![],
            scratch: vec![],
            matrix: vec![],
            operations: 0,
            bytes_max: 0,
        };
        stacks.clear(semiring);
        stacks
    }

    /// Forgets all runs.
    pub(super) fn clear(&mut self, semiring: &S) {
        self.back_rows.clear();
        self.front_stamps.clear();
        self.front.clear();
        self.reset_start_row(semiring);
    }

    fn reset_start_row(&mut self, semiring: &S) {
        self.back[..self.waits].fill(semiring.zero());
        self.back[START] = semiring.one();
    }

    /// Whether no run is under way.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.limit.is_some() && self.front_stamps.is_empty() && self.back_rows.is_empty()
    }

    /// Ends the runs whose first row is too far behind a row at `stamp`. `operators` are those of the rows given.
    #[inline]
    pub(super) fn expire(&mut self, semiring: &S, stamp: i64, operators: &[Operator], gap: &Operator) {
        let Some(limit) = self.limit else { return };
        let over = |first: i64| stamp.saturating_sub(first) > limit;
        if let Some(top) = self.front_stamps.last() {
            if !over(*top) {
                return;
            }
            while self.front_stamps.last().is_some_and(|top| over(*top)) {
                self.front_stamps.pop();
            }
            self.front.truncate(self.front_stamps.len() * self.waits);
            if !self.front_stamps.is_empty() {
                return;
            }
        }
        if self.back_rows.front().is_some_and(|row| over(row.stamp)) {
            while self.back_rows.front().is_some_and(|row| over(row.stamp)) {
                self.back_rows.pop_front();
            }
            self.flip(semiring, operators, gap);
        }
    }

    /// Moves what is left of the back to the front.
    #[cold]
    fn flip(&mut self, semiring: &S, operators: &[Operator], gap: &Operator) {
        let waits = self.waits;
        self.matrix.clear();
        self.matrix.resize(waits * waits, semiring.zero());
        (0..waits).for_each(|wait| self.matrix[wait * waits + wait] = semiring.one());
        // A first row in front of all is the least that the front can be of.
        let first = self.back_rows.iter().position(|row| operators[row.operator as usize].begins);
        self.back_rows.drain(..first.unwrap_or(self.back_rows.len()));
        for row in self.back_rows.iter().rev() {
            let operator = &operators[row.operator as usize];
            operator.apply_in_front(semiring, row.rank, &mut self.matrix, waits, &mut self.scratch);
            self.operations += operator.size * waits as u64;
            if operator.begins {
                self.front_stamps.push(row.stamp);
                self.front.extend_from_slice(&self.matrix[..waits]);
            }
            if row.behind_gap {
                gap.apply_in_front(semiring, 0, &mut self.matrix, waits, &mut self.scratch);
                self.operations += gap.size * waits as u64;
            }
        }
        self.note_bytes();
        self.back_rows.clear();
        self.back.fill(semiring.zero());
        (0..waits).for_each(|wait| self.back[wait * waits + wait] = semiring.one());
    }

    fn note_bytes(&mut self) {
        let bytes = self.back_rows.len() * size_of::<BackRow>()
            + self.front.len() * size_of::<S::Element>()
            + self.front_stamps.len() * size_of::<i64>();
        self.bytes_max = self.bytes_max.max(bytes);
    }

    /// Takes a row; what is complete with it is added to `complete`. `gap`: what the rows before it that matter to
    /// nobody have done, if there are any.
    #[inline]
    pub(super) fn push(
        &mut self,
        semiring: &S,
        (stamp, number, rank): (i64, u32, u32),
        operator: &Operator,
        gap: Option<&Operator>,
        complete: &mut S::Element,
    ) {
        let waits = self.waits;
        let idle_start = self.is_empty();
        if idle_start && !operator.begins {
            return;
        }
        // Of runs that are under way already the start makes no more.
        let goes_on = operator.goes_on || gap.is_some();
        let rows = if self.front_stamps.is_empty() || !goes_on { 1 } else { waits };
        self.operations += (operator.size + gap.map_or(0, |gap| gap.size)) * rows as u64;
        if let Some(gap) = gap {
            for row in 0..rows {
                let vector = &mut self.back[row * waits..(row + 1) * waits];
                gap.apply(semiring, 0, vector, &mut self.scratch, None, complete);
            }
        }
        if self.front_stamps.is_empty() {
            operator.apply(semiring, rank, &mut self.back[..waits], &mut self.scratch, None, complete);
        } else {
            let top = self.front.len() - waits;
            for row in 0..rows {
                let vector = &mut self.back[row * waits..(row + 1) * waits];
                let weight = &self.front[top + row];
                operator.apply(semiring, rank, vector, &mut self.scratch, Some(weight), complete);
            }
        }
        if self.limit.is_some() {
            self.back_rows.push_back(BackRow { stamp, operator: number, rank, behind_gap: gap.is_some() });
            if self.back_rows.len().is_power_of_two() {
                self.note_bytes();
            }
        }
    }
}
