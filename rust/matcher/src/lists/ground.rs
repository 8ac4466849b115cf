//! What is asked of single rows, and the way over those that satisfy any of it.

use std::ops::Range;

use cepheid_event::Piece;

use super::{Outcome, SearchLimits, Wanted};
use crate::automaton::VariableId;
use crate::bits::{Bits, inside};
use crate::error::MatchError;
use crate::masks::Masks;
use crate::sequence::tests::Test;
use crate::sequence::{Chunk, NO_TIME, SequenceMatcher};
use crate::step_lists::StepLists;
use crate::symbols::symbol_at;
use crate::threads::Interruption;

/// Most distinct conditions: a symbol has a bit for each.
const PREDICATES_MAX: usize = 64;

/// Rows between two looks at whether the answer is still wanted.
const ROWS_BETWEEN_PAUSES: u32 = 1 << 14;

/// The conditions of variables, none of which reads the run.
#[derive(Debug, Default)]
pub(crate) struct RowConditions {
    /// The predicates asked of rows: indices into those of the matcher.
    pub(crate) predicates: Vec<usize>,
    /// `of_variable[v]`: the condition of variable `v`, as an index into `predicates`; `None`: every row.
    pub(crate) of_variable: Vec<Option<usize>>,
}

impl RowConditions {
    /// # Errors
    /// Why rows cannot be told by themselves, in a sentence.
    pub(crate) fn new(matcher: &SequenceMatcher) -> Result<Self, &'static str> {
        let mut conditions = Self::default();
        let predicates = &mut conditions.predicates;
        for test in &matcher.tests[..matcher.automaton().variables.len()] {
            conditions.of_variable.push(match test {
                Test::Always => None,
                Test::Mask { predicate, .. } => {
                    let known = predicates.iter().position(|known| known == predicate);
                    Some(known.unwrap_or_else(|| {
                        predicates.push(*predicate);
                        predicates.len() - 1
                    }))
                }
                Test::Run { .. } => return Err("a condition reads the run"),
            });
        }
        if predicates.len() > PREDICATES_MAX {
            return Err("the pattern has more than 64 distinct conditions");
        }
        Ok(conditions)
    }

    /// Whether a row of these predicates satisfies the condition of a variable.
    pub(crate) fn are_satisfied(&self, symbol: u64, variable: VariableId) -> bool {
        self.of_variable[variable as usize].is_none_or(|predicate| symbol >> predicate & 1 != 0)
    }
}

/// What every piece of a search goes by.
pub(crate) struct Ground<'a> {
    steps: &'a StepLists,
    pub(crate) chunk: Chunk<'a>,
    /// `masks[p]`: the rows that satisfy predicate p of the conditions, by position.
    pub(crate) masks: Vec<&'a Bits>,
    relevant: Bits,
}

/// Who looks at rows.
pub(crate) trait Visit {
    /// Begins a partition, of which rows from `first` on are shown.
    fn begin(&mut self, first: u32);

    /// Takes a row that satisfies something; `own`: matches that end in it are wanted. Whether no further row of the partition is.
    fn row(&mut self, row: u32, symbol: u64, own: bool) -> Result<bool, MatchError>;

    /// Whether no further partition is wanted.
    fn is_over(&self) -> bool;
}

impl<'a> Ground<'a> {
    /// `None`: the data stand against it: a condition raises an error somewhere, a row under a bound of time has none, or one gives
    /// runs a choice that must have none.
    pub(crate) fn new(steps: &'a StepLists, masks: &'a Masks, chunk: Chunk<'a>) -> Option<Self> {
        if steps.within.is_of_time() && chunk.times.contains(&NO_TIME) {
            return None;
        }
        let conditions = &steps.conditions;
        let of_predicate = |predicate: &usize| masks.of[*predicate].as_ref().ok();
        let masks: Vec<&Bits> = conditions.predicates.iter().map(of_predicate).collect::<Option<_>>()?;
        if !steps.exclusive.holds(&masks) {
            return None;
        }
        let every_row = conditions.of_variable.iter().any(Option::is_none);
        let rows = chunk.rows.num_rows();
        let relevant =
            if every_row { Bits::filled(rows, true) } else { Bits::union(rows, masks.iter().copied()) };
        Some(Self { steps, chunk, masks, relevant })
    }

    /// Every piece of the rows on a thread of its own; what they find is put together in their order, so that the answer, an
    /// error included, is that of one thread.
    pub(crate) fn share(
        &self,
        wanted: Wanted,
        limits: SearchLimits<'_>,
        search: impl Fn(&Piece, Interruption<'_>) -> Result<Outcome, MatchError> + Sync,
    ) -> Result<Outcome, MatchError> {
        let reach = |row: u32, partition: &Range<u32>| self.steps.within.reach(row, partition, &self.chunk);
        let cuts = self.steps.cuts_partitions();
        let pieces = self.chunk.rows.pieces(limits.workers.threads, cuts.then_some(&reach));
        let is_enough = |found: &Outcome| wanted == Wanted::Any && found.counted > 0;
        let found = limits.workers.share_until(&pieces, search, is_enough)?;
        let most = if let Wanted::Matches(most) = wanted { most } else { usize::MAX };
        let mut all = Outcome::default();
        for (piece, found) in pieces.iter().zip(found) {
            if !piece.continues {
                all.of_partition = 0;
            }
            if all.of_partition < most || !piece.continues {
                all.append(found, most, limits.members_max, self.steps.places.len())?;
            }
        }
        Ok(all)
    }

    /// Goes over the rows of a piece that satisfy something, partition by partition.
    pub(crate) fn walk(
        &self,
        piece: &Piece,
        interrupted: Interruption<'_>,
        visitor: &mut impl Visit,
    ) -> Result<(), MatchError> {
        let mut rows_to_pause = ROWS_BETWEEN_PAUSES;
        let mut words = vec![0_u64; self.masks.len()];
        for partition in piece.partitions.clone() {
            let own = piece.rows_of(&self.chunk.rows.partition(partition));
            let seen = if piece.continues { piece.seen_from..own.end } else { own.clone() };
            visitor.begin(seen.start);
            'rows: for block in seen.start / 64..seen.end.div_ceil(64) {
                let mut open = self.relevant.words()[block as usize] & inside(block as usize, &seen);
                if open == 0 {
                    continue;
                }
                for (word, mask) in words.iter_mut().zip(&self.masks) {
                    *word = mask.words()[block as usize];
                }
                while open != 0 {
                    let bit = open.trailing_zeros();
                    open &= open - 1;
                    rows_to_pause -= 1;
                    if rows_to_pause == 0 {
                        rows_to_pause = ROWS_BETWEEN_PAUSES;
                        if interrupted.is_due() {
                            return Err(MatchError::Interrupted);
                        }
                    }
                    let row = block * 64 + bit;
                    if visitor.row(row, symbol_at(&words, bit), row >= own.start)? {
                        break 'rows;
                    }
                }
            }
            if visitor.is_over() {
                break;
            }
        }
        Ok(())
    }
}

/// What a piece has been found to hold so far, and how much of it is wanted.
pub(crate) struct Gathered {
    pub(crate) wanted: Wanted,
    pub(crate) members_max: usize,
    pub(crate) outcome: Outcome,
}

impl Gathered {
    pub(crate) fn new(wanted: Wanted, members_max: usize) -> Self {
        Self { wanted, members_max, outcome: Outcome::default() }
    }

    /// Whether more has been written down than may be. Where the piece goes on with a partition, less of it may be wanted.
    #[inline]
    pub(crate) fn has_too_many_rows(&self) -> bool {
        self.outcome.written.rows.len() > self.members_max
    }

    /// Whether no further row of a partition is wanted behind one that matches end in.
    #[inline]
    pub(crate) fn has_enough_of_partition(&self) -> bool {
        match self.wanted {
            Wanted::Any => true,
            Wanted::Count => false,
            Wanted::Matches(most) => self.outcome.of_partition >= most || self.has_too_many_rows(),
        }
    }

    /// Whether no further partition is wanted.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.wanted == Wanted::Any && self.outcome.counted > 0 || self.has_too_many_rows()
    }
}
