//! What a row does to the vectors of what runs wait for, as a list of sums and moves.
//!
//! Several vectors are changed at once, side by side: a product of operators is one of vectors.

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

    /// Applies the operator to vectors, `vector * operator`. `complete` is told what of each is complete with the row.
    #[inline]
    pub(super) fn apply<S: Semiring, const N: usize>(
        &self,
        semiring: &S,
        rank: u32,
        vectors: &mut Vectors<S::Element, N>,
        mut complete: impl FnMut(&[S::Element; N]),
    ) {
        // Everything that takes the row is read before anything is written: one row never fills two places of a run.
        if let ([take], []) = (self.takes.as_slice(), self.moves.as_slice()) {
            let runs = vectors.sum(semiring, &take.from, take.variable, rank);
            vectors.add_to(semiring, &take.to, &runs);
            if take.accepts {
                complete(&runs);
            }
            return;
        }
        let mut taken = std::mem::take(&mut vectors.taken);
        taken.extend(self.takes.iter().map(|take| vectors.sum(semiring, &take.from, take.variable, rank)));
        for (from, to) in &self.moves {
            let moved = std::mem::replace(&mut vectors.lines[*from], zeros(semiring));
            vectors.add_to(semiring, to.as_slice(), &moved);
        }
        for (take, runs) in self.takes.iter().zip(&taken) {
            vectors.add_to(semiring, &take.to, runs);
            if take.accepts {
                complete(runs);
            }
        }
        taken.clear();
        vectors.taken = taken;
    }

    /// Puts the operator in front of a product, `operator * product`, of which the vectors are columns.
    #[inline]
    pub(super) fn apply_in_front<S: Semiring, const N: usize>(
        &self,
        semiring: &S,
        rank: u32,
        columns: &mut Vectors<S::Element, N>,
    ) {
        if let ([take], []) = (self.takes.as_slice(), self.moves.as_slice()) {
            let runs = columns.sum(semiring, &take.to, take.variable, rank);
            columns.add_to(semiring, &take.from, &runs);
            return;
        }
        let mut taken = std::mem::take(&mut columns.taken);
        taken.extend(self.takes.iter().map(|take| columns.sum(semiring, &take.to, take.variable, rank)));
        // From what turns into another to what ends: the other is read before it is ended.
        for (from, to) in self.moves.iter().rev() {
            columns.lines[*from] = to.map_or_else(|| zeros(semiring), |to| columns.lines[to].clone());
        }
        for (take, runs) in self.takes.iter().zip(&taken) {
            columns.add_to(semiring, &take.from, runs);
        }
        taken.clear();
        columns.taken = taken;
    }
}

/// `N` vectors side by side.
#[derive(Debug)]
pub(super) struct Vectors<E, const N: usize> {
    /// `lines[w][v]`: what vector v has for wait w.
    lines: Vec<[E; N]>,
    /// Scratch of operators.
    taken: Vec<[E; N]>,
}

// Put in line always: a row costs little more than these calls would.
impl<E: Clone, const N: usize> Vectors<E, N> {
    /// Vectors of zeros.
    pub(super) fn new<S: Semiring<Element = E>>(semiring: &S, waits: usize) -> Self {
        Self { lines: vec![zeros(semiring); waits], taken: vec![] }
    }

    /// Makes each of them one run: vector v waits for `at(v)`, or is nothing if there is no such wait.
    pub(super) fn reset<S: Semiring<Element = E>>(&mut self, semiring: &S, at: impl Fn(usize) -> usize) {
        self.lines.fill(zeros(semiring));
        for vector in 0..N {
            if let Some(line) = self.lines.get_mut(at(vector)) {
                line[vector] = semiring.one();
            }
        }
    }

    /// What they have for a wait.
    pub(super) fn at(&self, wait: usize) -> &[E; N] {
        &self.lines[wait]
    }

    /// What they have for some waits, each run with the row if rows of the variable weigh.
    #[inline(always)]
    fn sum<S: Semiring<Element = E>>(
        &self,
        semiring: &S,
        waits: &[usize],
        variable: VariableId,
        rank: u32,
    ) -> [E; N] {
        let Some((first, others)) = waits.split_first() else { return zeros(semiring) };
        let mut sum = self.lines[*first].clone();
        for wait in others {
            add(semiring, &mut sum, &self.lines[*wait]);
        }
        if semiring.weighs(variable) {
            for runs in sum.iter_mut().filter(|runs| !semiring.is_zero(runs)) {
                semiring.weigh(runs, rank);
            }
        }
        sum
    }

    #[inline(always)]
    fn add_to<S: Semiring<Element = E>>(&mut self, semiring: &S, waits: &[usize], runs: &[E; N]) {
        for wait in waits {
            add(semiring, &mut self.lines[*wait], runs);
        }
    }
}

#[inline(always)]
fn zeros<S: Semiring, const N: usize>(semiring: &S) -> [S::Element; N] {
    std::array::from_fn(|_| semiring.zero())
}

#[inline(always)]
fn add<S: Semiring, const N: usize>(semiring: &S, to: &mut [S::Element; N], runs: &[S::Element; N]) {
    for (to, runs) in to.iter_mut().zip(runs) {
        semiring.add(to, runs);
    }
}
