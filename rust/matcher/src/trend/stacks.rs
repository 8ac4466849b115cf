//! The window: a product of operators of which the oldest can be taken away, as two stacks.

use super::operator::{Operator, START, Vectors};
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
/// The rest of the matrix is one vector for each other wait, in groups of `N` that are changed at once. Nothing turns into
/// the start, so that neither it nor its column are part of anything.
///
/// - Time: O(k·o) amortised a row for k waits of which an operator touches o; a row that empties the front moves the back
///   there, at O(k·o) for each of its rows.
/// - Space: 24 bytes a row of the back, k elements (rounded up to groups) and 8 bytes a first row of the front, k² elements.
#[derive(Debug)]
pub(super) struct Stacks<S: Semiring, const N: usize> {
    waits: usize,
    /// How much later than its first row a run may go on; `None`: for ever.
    limit: Option<i64>,
    /// What runs that begin in the back stack wait for after it.
    start: Vectors<S::Element, 1>,
    /// `back[g].lines[j][v]`: what runs that waited for `1 + g * N + v` before the back stack add to those that wait for `j`
    /// after it; none without a limit.
    back: Vec<Vectors<S::Element, N>>,
    /// Rows of the back stack from its first possible first row on; none without a limit.
    back_rows: Vec<BackRow>,
    /// The oldest on top.
    front_stamps: Vec<i64>,
    /// Of each a vector, without the start: one array a group.
    front: Vec<[S::Element; N]>,
    /// Elements looked at.
    pub(super) operations: u64,
    /// Most bytes of rows and first rows that the window had.
    pub(super) bytes_max: usize,
}

impl<S: Semiring, const N: usize> Stacks<S, N> {
    pub(super) fn new(semiring: &S, waits: usize, limit: Option<i64>) -> Self {
        let groups = if limit.is_some() { (waits - 1).div_ceil(N) } else { 0 };
        let mut stacks = Self {
            waits,
            limit,
            start: Vectors::new(semiring, waits),
            back: (0..groups).map(|_| Vectors::new(semiring, waits)).collect(),
            back_rows: vec![],
            front_stamps: vec![],
            front: vec![],
            operations: 0,
            bytes_max: 0,
        };
        stacks.clear(semiring);
        stacks
    }

    /// Forgets all runs.
    pub(super) fn clear(&mut self, semiring: &S) {
        self.note_bytes();
        self.back_rows.clear();
        self.front_stamps.clear();
        self.front.clear();
        // The others are made anew before they are first needed.
        self.start.reset(semiring, |_| START);
    }

    /// Makes the back the product of no operators.
    fn reset(&mut self, semiring: &S) {
        self.start.reset(semiring, |_| START);
        for (group, vectors) in self.back.iter_mut().enumerate() {
            vectors.reset(semiring, |vector| 1 + group * N + vector);
        }
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
            self.front.truncate(self.front_stamps.len() * self.back.len());
            if !self.front_stamps.is_empty() {
                return;
            }
        }
        if self.back_rows.first().is_some_and(|row| over(row.stamp)) {
            let left = self.back_rows.iter().position(|row| !over(row.stamp));
            self.flip(semiring, left.unwrap_or(self.back_rows.len()), operators, gap);
        }
    }

    /// Moves what is left of the back to the front: the rows from `left` on.
    #[cold]
    fn flip(&mut self, semiring: &S, left: usize, operators: &[Operator], gap: &Operator) {
        self.note_bytes();
        let begins = |row: &BackRow| operators[row.operator as usize].begins;
        // A first row in front of all is the least that the front can be of.
        let first =
            self.back_rows[left..].iter().position(begins).map_or(self.back_rows.len(), |at| left + at);
        self.reset(semiring);
        for row in self.back_rows[first..].iter().rev() {
            let operator = &operators[row.operator as usize];
            for columns in &mut self.back {
                operator.apply_in_front(semiring, row.rank, columns);
            }
            self.operations += operator.size * self.waits as u64;
            if operator.begins {
                self.front_stamps.push(row.stamp);
                self.front.extend(self.back.iter().map(|columns| columns.at(START).clone()));
            }
            if row.behind_gap {
                for columns in &mut self.back {
                    gap.apply_in_front(semiring, 0, columns);
                }
                self.operations += gap.size * self.waits as u64;
            }
        }
        self.note_bytes();
        self.back_rows.clear();
        self.reset(semiring);
    }

    /// Keeps how much the window takes, if it never took more.
    pub(super) fn note_bytes(&mut self) {
        let bytes = self.back_rows.len() * size_of::<BackRow>()
            + self.front.len() * size_of::<[S::Element; N]>()
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
        if self.is_empty() && !operator.begins {
            return;
        }
        let size = operator.size + gap.map_or(0, |gap| gap.size);
        self.operations += size;
        if let Some(gap) = gap {
            gap.apply(semiring, 0, &mut self.start, |_| {});
        }
        operator.apply(semiring, rank, &mut self.start, |[runs]| semiring.add(complete, runs));
        // Of runs that are under way already the start makes no more.
        let goes_on = operator.goes_on || gap.is_some();
        if goes_on && !self.front_stamps.is_empty() {
            self.operations += size * (self.waits as u64 - 1);
            // What the oldest first row of the front has become.
            let top = &self.front[self.front.len() - self.back.len()..];
            for (vectors, weights) in self.back.iter_mut().zip(top) {
                if let Some(gap) = gap {
                    gap.apply(semiring, 0, vectors, |_| {});
                }
                operator.apply(semiring, rank, vectors, |runs| {
                    for (weight, runs) in weights.iter().zip(runs) {
                        semiring.add(complete, &semiring.times(weight, runs));
                    }
                });
            }
        }
        if self.limit.is_some() {
            self.back_rows.push(BackRow { stamp, operator: number, rank, behind_gap: gap.is_some() });
        }
    }
}
