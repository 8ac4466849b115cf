//! Rows that a pattern has no use for, told before they are given a key or put in order.

use cepheid_eval::TypedExpr;
use cepheid_event::{OrderedRows, Table};
use cepheid_ir::{Contiguity, Within};

use super::compile::SequenceMatcher;
use super::tests::{Asked, Chunk, Test};
use crate::automaton::Next;
use crate::bits::Bits;
use crate::conditions::physical_leaf;
use crate::error::MatchError;
use crate::masks::Masks;
use crate::threads::Workers;

impl SequenceMatcher {
    /// Which rows of a table, by arrival, satisfy which predicate; `None`: a predicate looks at a row's neighbours, which
    /// arrival does not tell.
    ///
    /// Cost: one pass over the columns read. Space: one bit a row and predicate.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn masks_by_arrival(&self, table: &Table, workers: Workers<'_>) -> Result<Option<Masks>, MatchError> {
        let alone = |leaf| physical_leaf(leaf).1 == 0;
        if !self.predicates.iter().flat_map(|predicate| predicate.leaves()).all(alone) {
            return Ok(None);
        }
        let rows = OrderedRows::by_arrival(table.num_rows());
        Ok(Some(Masks::evaluate(&self.predicates, table, &rows, workers)?))
    }

    /// The same by position, whatever predicates look at.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn masks_by_position(
        &self,
        table: &Table,
        rows: &OrderedRows,
        workers: Workers<'_>,
    ) -> Result<Masks, MatchError> {
        Masks::evaluate(&self.predicates, table, rows, workers)
    }

    /// The rows that satisfy anything the pattern asks of a row. `None`: rows that do not can matter all the same
    /// (something is strict or counts rows, a condition looks at a row's neighbours or accepts every row, or raises an error
    /// somewhere).
    pub fn relevant(&self, masks: &Masks, rows: usize) -> Option<Bits> {
        if !self.asks_of_single_rows() || self.sees_every_row() {
            return None;
        }
        self.satisfying(masks, rows)
    }

    /// Conditions that are asked of single rows, by number.
    pub fn predicates(&self) -> &[TypedExpr] {
        &self.predicates
    }

    /// The predicates, by number, of which a row must satisfy one to matter: a stream without the other rows has the same
    /// matches. `None`: rows that satisfy none can matter all the same, as for [`relevant`](Self::relevant).
    pub fn needed_predicates(&self) -> Option<Vec<usize>> {
        if !self.asks_of_single_rows() || self.sees_every_row() {
            return None;
        }
        let mut needed = vec![];
        for (test, entry) in self.tests.iter().enumerate() {
            if self.having != Some(test) {
                needed.push(entry.predicate()?);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        Some(needed)
    }

    /// As [`ask`](Self::ask), where it is known already of some predicates which positions satisfy them; none beyond the
    /// end of `known` is.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn ask_the_rest<'a>(
        &'a self,
        chunk: Chunk<'a>,
        mut known: Vec<Option<Bits>>,
    ) -> Result<Asked<'a>, MatchError> {
        known.resize(self.predicates.len(), None);
        let unknown = self.predicates.iter().zip(&known).filter(|(_, known)| known.is_none());
        let unknown: Vec<TypedExpr> = unknown.map(|(predicate, _)| predicate.clone()).collect();
        let rest = match unknown.as_slice() {
            [] => vec![],
            some => Masks::evaluate(some, chunk.table, chunk.rows, Workers::default())?.of,
        };
        let mut rest = rest.into_iter();
        let mask = |known: Option<Bits>| match known {
            Some(bits) => Ok(bits),
            None => rest.next().expect("one for each that is not known"),
        };
        Asked::with_masks(self, chunk, Masks { of: known.into_iter().map(mask).collect() })
    }

    /// Columns that are read of rows while runs grow, beside what masks tell.
    pub fn columns_of_runs(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = self.projection.iter().map(|(column, _)| *column).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Rows that satisfy any predicate, if every test has one that could be evaluated.
    pub(crate) fn satisfying(&self, masks: &Masks, rows: usize) -> Option<Bits> {
        let mut predicates: Vec<usize> = vec![];
        for (test, entry) in self.tests.iter().enumerate() {
            if self.having == Some(test) {
                continue;
            }
            let predicate = entry.predicate()?;
            if !predicates.contains(&predicate) {
                predicates.push(predicate);
            }
        }
        let masks: Vec<&Bits> = predicates
            .into_iter()
            .map(|predicate| masks.of[predicate].as_ref().ok())
            .collect::<Option<_>>()?;
        Some(Bits::union(rows, masks))
    }

    /// Whether nothing is read beside the row under test and rows that were taken.
    fn asks_of_single_rows(&self) -> bool {
        let alone = |(_, shift): (usize, i64)| shift == 0;
        self.predicates.iter().flat_map(|predicate| predicate.leaves()).map(physical_leaf).all(alone)
            && self.projection.iter().copied().all(alone)
            && !self.tests.iter().any(|test| matches!(test, Test::Always))
    }

    /// Whether a row can matter that satisfies nothing: because the very next one is asked for, or because rows are
    /// counted.
    fn sees_every_row(&self) -> bool {
        let automaton = &self.automaton;
        let by_rows = |within: &Within| matches!(within, Within::Rows(_));
        let strict = |step: &Next, way: u32| {
            let way = &automaton.ways[way as usize];
            let next_row = matches!(step, Next::Take(_)) && way.relation == Contiguity::Strict;
            next_row || way.absences.iter().any(|absence| absence.strict)
        };
        let follow = automaton.positions.iter().flat_map(|position| &position.follow);
        self.within_rows.is_some()
            || self.pattern.initial
            || automaton.bounds.iter().any(|bound| by_rows(&bound.within))
            || automaton.start.iter().any(|target| target.at_start)
            || follow.into_iter().any(|target| target.at_end || strict(&target.step, target.way))
    }
}
