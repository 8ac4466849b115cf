//! What a row does to the vector of what runs wait for, as a list of sums and moves.

use super::semiring::Semiring;
use crate::automaton::VariableId;

/// The start: what every match still waits for. Always one.
pub(super) const START: usize = 0;

/// What the rows of one symbol (of one combination of conditions that hold) do.
#[derive(Clone, Debug, Default)]
pub(super) struct Operator {
    /// Places that take the row.
    pub(super) takes: Vec<Taking>,
    /// Waits that the row ends, or turns into others; those that it ends stand first.
    pub(super) moves: Vec<(usize, Option<usize>)>,
    /// Whether a run may begin with the row.
    pub(super) begins: bool,
    /// Whether a run may be complete with it.
    pub(super) completes: bool,
    /// Whether it touches anything but what waits at the start, which nothing else turns into.
    pub(super) goes_on: bool,
    /// Sums and moves in it.
    pub(super) size: u64,
}

/// A place that takes the row.
#[derive(Clone, Debug)]
pub(super) struct Taking {
    pub(super) variable: VariableId,
    /// Waits whose runs take it.
    pub(super) from: Vec<usize>,
    /// What these wait for next.
    pub(super) to: Vec<usize>,
    /// Whether they are complete.
    pub(super) accepts: bool,
}

impl Operator {
    /// Whether it changes nothing and completes nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.takes.is_empty() && self.moves.is_empty()
    }

    /// With its size.
    pub(super) fn measured(mut self) -> Self {
        let takes = self.takes.iter().map(|take| take.from.len() + take.to.len() + usize::from(take.accepts));
        self.size = (takes.sum::<usize>() + self.moves.len()) as u64;
        self
    }

    /// Applies the operator to a row vector, `vector * operator`. What is complete with the row is added to `complete`
    /// `weight` times. `taken` is scratch.
    #[inline]
    pub(super) fn apply<S: Semiring>(
        &self,
        semiring: &S,
        rank: u32,
        vector: &mut [S::Element],
        taken: &mut Vec<S::Element>,
        weight: Option<&S::Element>,
        complete: &mut S::Element,
    ) {
        // Everything that takes the row is read before anything is written: one row never fills two places of a run.
        if let ([take], []) = (self.takes.as_slice(), self.moves.as_slice()) {
            let runs = take.runs(semiring, rank, vector);
            take.give(semiring, &runs, vector, weight, complete);
            return;
        }
        taken.clear();
        taken.extend(self.takes.iter().map(|take| take.runs(semiring, rank, vector)));
        for (from, to) in &self.moves {
            let moved = std::mem::replace(&mut vector[*from], semiring.zero());
            if let Some(to) = to {
                semiring.add(&mut vector[*to], &moved);
            }
        }
        for (take, runs) in self.takes.iter().zip(taken.iter()) {
            take.give(semiring, runs, vector, weight, complete);
        }
    }

    /// Puts the operator in front of a product, `operator * matrix`, rows of `width` elements. `taken` is scratch.
    pub(super) fn apply_in_front<S: Semiring>(
        &self,
        semiring: &S,
        rank: u32,
        matrix: &mut [S::Element],
        width: usize,
        taken: &mut Vec<S::Element>,
    ) {
        if let ([take], []) = (self.takes.as_slice(), self.moves.as_slice()) {
            for column in 0..width {
                let sum = take.goes_on_as(semiring, rank, matrix, width, column);
                for from in &take.from {
                    semiring.add(&mut matrix[from * width + column], &sum);
                }
            }
            return;
        }
        taken.clear();
        for take in &self.takes {
            taken.extend((0..width).map(|column| take.goes_on_as(semiring, rank, matrix, width, column)));
        }
        // From what turns into another to what ends: the other is read before it is ended.
        for (from, to) in self.moves.iter().rev() {
            for column in 0..width {
                matrix[from * width + column] =
                    to.map_or_else(|| semiring.zero(), |to| matrix[to * width + column].clone());
            }
        }
        for (take, sums) in self.takes.iter().zip(taken.chunks_exact(width)) {
            for from in &take.from {
                for (column, sum) in sums.iter().enumerate() {
                    semiring.add(&mut matrix[from * width + column], sum);
                }
            }
        }
    }
}

impl Taking {
    /// What runs that take the row become by a column of the product behind it.
    #[inline]
    fn goes_on_as<S: Semiring>(
        &self,
        semiring: &S,
        rank: u32,
        matrix: &[S::Element],
        width: usize,
        column: usize,
    ) -> S::Element {
        let mut sum = match self.to.as_slice() {
            [to] => matrix[to * width + column].clone(),
            several => {
                let mut sum = semiring.zero();
                several.iter().for_each(|to| semiring.add(&mut sum, &matrix[to * width + column]));
                sum
            }
        };
        if semiring.weighs(self.variable) {
            semiring.weigh(&mut sum, rank);
        }
        sum
    }

    #[inline]
    fn runs<S: Semiring>(&self, semiring: &S, rank: u32, vector: &[S::Element]) -> S::Element {
        let mut runs = match self.from.as_slice() {
            [from] => vector[*from].clone(),
            several => {
                let mut runs = semiring.zero();
                several.iter().for_each(|from| semiring.add(&mut runs, &vector[*from]));
                runs
            }
        };
        if semiring.weighs(self.variable) && !semiring.is_zero(&runs) {
            semiring.weigh(&mut runs, rank);
        }
        runs
    }

    #[inline]
    fn give<S: Semiring>(
        &self,
        semiring: &S,
        runs: &S::Element,
        vector: &mut [S::Element],
        weight: Option<&S::Element>,
        complete: &mut S::Element,
    ) {
        if semiring.is_zero(runs) {
            return;
        }
        for to in &self.to {
            semiring.add(&mut vector[*to], runs);
        }
        if self.accepts {
            match weight {
                None => semiring.add(complete, runs),
                Some(weight) => semiring.add(complete, &semiring.times(weight, runs)),
            }
        }
    }
}
