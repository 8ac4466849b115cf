//! What is asked of single rows, and the way over those that satisfy any of it.

use std::ops::Range;

use cepheid_event::Piece;

use super::window::Bound;
use super::{Outcome, SearchLimits, Wanted};
use crate::automaton::VariableId;
use crate::bits::{Bits, inside};
use crate::error::MatchError;
use crate::masks::Masks;
use crate::sequence::tests::Test;
use crate::sequence::{Chunk, NO_TIME, SequenceMatcher};
use crate::symbols::symbol_at;
use crate::threads::Interruption;

/// Most places of a pattern.
const PLACES_MAX: usize = 64;

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

/// Checks that a pattern is of steps alone, whose matches are all that is reported of them.
///
/// # Errors
/// What else is asked of them, in a sentence.
pub(crate) fn check_steps(matcher: &SequenceMatcher) -> Result<(), &'static str> {
    let (pattern, automaton) = (matcher.pattern(), matcher.automaton());
    if pattern.having.is_some() {
        return Err("a finished match is asked for more");
    }
    if pattern.timeouts || !pattern.emit_at.is_empty() {
        return Err("runs are reported before they are complete");
    }
    if pattern.initial {
        return Err("only the first row may begin a match");
    }
    if !automaton.bounds.is_empty() {
        return Err("parts of the pattern have bounds of their own");
    }
    if !automaton.untils.is_empty()
        || automaton.ways.iter().any(|way| !way.guards.is_empty() || !way.ends.is_empty())
    {
        return Err("a row can end a loop");
    }
    if automaton.positions.len() > PLACES_MAX {
        return Err("the pattern has more than 64 places once counts are written out");
    }
    Ok(())
}

/// What every piece of a search goes by.
pub(crate) struct Ground<'a> {
    within: Bound,
    pub(crate) chunk: Chunk<'a>,
    /// `masks[p]`: the rows that satisfy predicate p of the conditions, by position.
    pub(crate) masks: Vec<&'a Bits>,
    relevant: Bits,
}

impl<'a> Ground<'a> {
    /// `None`: the data stand against it: a condition raises an error somewhere, or a row under a bound of time has none.
    pub(crate) fn new(
        conditions: &RowConditions,
        within: Bound,
        masks: &'a Masks,
        chunk: Chunk<'a>,
    ) -> Option<Self> {
        if within.is_of_time() && chunk.times.contains(&NO_TIME) {
            return None;
        }
        let of_predicate = |predicate: &usize| masks.of[*predicate].as_ref().ok();
        let masks: Vec<&Bits> = conditions.predicates.iter().map(of_predicate).collect::<Option<_>>()?;
        let every_row = conditions.of_variable.iter().any(Option::is_none);
        let rows = chunk.rows.num_rows();
        let relevant =
            if every_row { Bits::filled(rows, true) } else { Bits::union(rows, masks.iter().copied()) };
        Some(Self { within, chunk, masks, relevant })
    }

    /// Every piece of the rows on a thread of its own; what they find is put together in their order, so that the answer, an
    /// error included, is that of one thread. `cuts`: whether a piece may be a part of a partition. `shape`: rows of a match,
    /// if all have as many.
    pub(crate) fn share(
        &self,
        cuts: bool,
        wanted: Wanted,
        limits: SearchLimits<'_>,
        shape: usize,
        search: impl Fn(&Piece, Interruption<'_>) -> Result<Outcome, MatchError> + Sync,
    ) -> Result<Outcome, MatchError> {
        let reach = |row: u32, partition: &Range<u32>| self.within.reach(row, partition, &self.chunk);
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
                all.append(found, most, limits.members_max, shape)?;
            }
        }
        Ok(all)
    }
}

/// The way over rows: what every search along lists keeps count of.
pub(crate) struct Way<'a> {
    interrupted: Interruption<'a>,
    rows_to_pause: u32,
    words: Vec<u64>,
}

/// Who looks at them.
pub(crate) trait Visit {
    /// Begins a partition, of which rows from `seen_from` on are shown, and matches wanted that end from `own_from` on.
    fn begin(&mut self, seen_from: u32, own_from: u32);

    /// Takes a row that satisfies something. Whether no further row of the partition is wanted.
    fn row(&mut self, row: u32, symbol: u64) -> Result<bool, MatchError>;

    /// Whether no further partition is wanted.
    fn is_over(&self) -> bool;
}

impl<'a> Way<'a> {
    pub(crate) fn new(ground: &Ground<'_>, interrupted: Interruption<'a>) -> Self {
        Self { interrupted, rows_to_pause: ROWS_BETWEEN_PAUSES, words: vec![0; ground.masks.len()] }
    }

    /// Goes over the rows of a piece, partition by partition.
    pub(crate) fn walk_piece(
        &mut self,
        ground: &Ground<'_>,
        piece: &Piece,
        visitor: &mut impl Visit,
    ) -> Result<(), MatchError> {
        for partition in piece.partitions.clone() {
            let own = piece.rows_of(&ground.chunk.rows.partition(partition));
            let seen = if piece.continues { piece.seen_from..own.end } else { own.clone() };
            visitor.begin(seen.start, own.start);
            self.walk(ground, &seen, visitor)?;
            if visitor.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Goes over the rows of a range that satisfy something.
    #[inline]
    fn walk(
        &mut self,
        ground: &Ground<'_>,
        rows: &Range<u32>,
        visitor: &mut impl Visit,
    ) -> Result<(), MatchError> {
        for block in rows.start / 64..rows.end.div_ceil(64) {
            let mut open = ground.relevant.words()[block as usize] & inside(block as usize, rows);
            if open == 0 {
                continue;
            }
            for (word, mask) in self.words.iter_mut().zip(&ground.masks) {
                *word = mask.words()[block as usize];
            }
            while open != 0 {
                let bit = open.trailing_zeros();
                open &= open - 1;
                self.rows_to_pause -= 1;
                if self.rows_to_pause == 0 {
                    self.rows_to_pause = ROWS_BETWEEN_PAUSES;
                    if self.interrupted.is_due() {
                        return Err(MatchError::Interrupted);
                    }
                }
                if visitor.row(block * 64 + bit, symbol_at(&self.words, bit))? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
