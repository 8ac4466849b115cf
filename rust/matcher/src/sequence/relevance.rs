//! Which rows a pattern may be fed without.

use cepheid_eval::TypedExpr;
use cepheid_ir::{Contiguity, Within};

use super::compile::SequenceMatcher;
use super::tests::{Asked, Chunk};
use crate::automaton::Next;
use crate::bits::Bits;
use crate::error::MatchError;

impl SequenceMatcher {
    /// Conditions that are asked of single rows, by number.
    pub fn predicates(&self) -> &[TypedExpr] {
        &self.predicates
    }

    /// The predicates, by number, of which a row must satisfy one to matter: a stream without the other rows has the same
    /// matches. `None`: every row may matter, as one that no row may lie before, as one of those that are counted, or
    /// because something is asked of it that is no predicate.
    pub fn needed_predicates(&self) -> Option<Vec<usize>> {
        let rows = |within: &Within| matches!(within, Within::Rows(_));
        let counted = self.within_rows.is_some() || self.automaton.bounds.iter().any(|b| rows(&b.within));
        if counted || self.counts_rows() || self.rows_before() > 0 {
            return None;
        }
        let follows = self.automaton.positions.iter().flat_map(|position| &position.follow);
        let next_row = follows.clone().any(|target| {
            let way = &self.automaton.ways[target.way as usize];
            let strict = target.step != Next::Accept && way.relation == Contiguity::Strict;
            strict || way.absences.iter().any(|absence| absence.strict)
        });
        if next_row {
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

    /// As [`ask`](Self::ask), where it is known already of some predicates which positions satisfy them.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn ask_the_rest<'a>(
        &'a self,
        chunk: Chunk<'a>,
        known: Vec<Option<Bits>>,
    ) -> Result<Asked<'a>, MatchError> {
        Asked::knowing(self, chunk, known)
    }
}
