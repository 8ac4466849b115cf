//! Rows of which the index of predicates says all that a rule asks of them.
//!
//! A rule without keys that is matched by lists reads nothing else of a row than its time. So its rows go from the index to its
//! lists as they are: nobody picks them out, puts them in order, or notes on which of them which condition holds.

use std::ops::Range;

use cepheid_event::MergedBatch;
use cepheid_matcher::MatchError;
use cepheid_matcher::sequence::{FoundKind, FoundSequences};
use cepheid_matcher::step_lists::{KnownRows, Scratch, StepListsState};

use super::rule::{Compiled, Rule, Surroundings};
use super::shard::Shard;
use crate::error::EngineError;

/// Rules with more rows than this are given them as a table: of many rows, bits say it in less room.
const ROWS_MAX: usize = 1 << 12;

/// The rows of such rules in a batch, those of one behind those of the other, and what each satisfies.
#[derive(Debug, Default)]
pub(crate) struct RowsFound {
    rows: Vec<u32>,
    symbols: Vec<u64>,
}

impl RowsFound {
    /// Adds the rows of a rule: those that are in any of some lists, each of them ascending and with the symbol of what its
    /// rows satisfy. `None`: they are too many.
    pub(crate) fn add<'a>(&mut self, lists: impl Iterator<Item = (&'a [u32], u64)>) -> Option<Range<usize>> {
        let begin = self.rows.len();
        for (more, symbol) in lists {
            if self.rows.len() - begin + more.len() > ROWS_MAX {
                self.rows.truncate(begin);
                self.symbols.truncate(begin);
                return None;
            }
            self.merge(begin, more, symbol);
        }
        Some(begin..self.rows.len())
    }

    /// Brings more rows among those from `begin` on, from behind, so that each of them is moved once.
    fn merge(&mut self, begin: usize, more: &[u32], symbol: u64) {
        let mut own = self.rows.len();
        self.rows.resize(own + more.len(), 0);
        self.symbols.resize(own + more.len(), symbol);
        let (mut left, mut to) = (more.len(), self.rows.len());
        let mut twice = 0;
        while left > 0 {
            to -= 1;
            let row = more[left - 1];
            let last = self.rows[..own].last().copied().filter(|_| own > begin);
            match last {
                Some(last) if last >= row => {
                    own -= 1;
                    let both = last == row;
                    (self.rows[to], self.symbols[to]) =
                        (last, self.symbols[own] | if both { symbol } else { 0 });
                    left -= usize::from(both);
                    twice += usize::from(both);
                }
                _ => {
                    left -= 1;
                    (self.rows[to], self.symbols[to]) = (row, symbol);
                }
            }
        }
        if twice > 0 {
            // Where rows were in both there is a gap.
            self.rows.drain(own..to);
            self.symbols.drain(own..to);
        }
    }

    /// Leaves of the rows from `begin` on those that `keep` says.
    pub(crate) fn retain(&mut self, begin: usize, keep: impl Fn(u32) -> bool) {
        let mut end = begin;
        for place in begin..self.rows.len() {
            if keep(self.rows[place]) {
                (self.rows[end], self.symbols[end]) = (self.rows[place], self.symbols[place]);
                end += 1;
            }
        }
        self.rows.truncate(end);
        self.symbols.truncate(end);
    }

    /// How many there are, of all rules.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All of them, those of several rules several times.
    pub(crate) fn all(&self) -> &[u32] {
        &self.rows
    }

    /// Those of one rule. `first`: the place of the first row of the batch in the order of all rows.
    pub(crate) fn of<'a>(&'a self, range: Range<usize>, batch: &'a MergedBatch, first: u64) -> KnownRows<'a> {
        let (rows, symbols) = (&self.rows[range.clone()], &self.symbols[range]);
        KnownRows { rows, symbols, times: &batch.time, first }
    }
}

impl Rule {
    /// The lists that a rule without keys is matched by.
    pub(crate) fn only_lists(&self) -> Option<&StepListsState> {
        match self.shards.as_slice() {
            [Shard::Lists(lists)] if self.pattern.partition_by.is_empty() => Some(lists),
            _ => None,
        }
    }

    /// Matches rows that [only lists](Self::only_lists) are asked of, then ends the input if that is so: lists have nothing to
    /// say of the clock.
    pub(crate) fn advance_known(
        &mut self,
        compiled: &Compiled,
        rows: &KnownRows<'_>,
        ended: bool,
        around: &Surroundings<'_>,
        scratch: &mut Scratch,
    ) -> Result<FoundSequences, EngineError> {
        self.rows_at_hand += rows.rows.len();
        let mut found = FoundSequences::default();
        for shard in &mut self.shards {
            let Shard::Lists(lists) = shard else { unreachable!("asked for before") };
            match lists.push_known(rows, around.limits, scratch, &mut found) {
                Ok(()) if ended => lists.finish(),
                Ok(()) => {}
                Err(MatchError::StateLimit { row, bytes, limit }) => {
                    let time = usize::try_from(row - rows.first).ok().and_then(|row| rows.times.get(row));
                    return Err(EngineError::StateLimit {
                        rule: self.name.clone(),
                        key: String::new(),
                        time_ns: time.copied(),
                        bytes,
                        limit,
                    });
                }
                Err(error) => return Err(self.told(error, compiled, None, around)),
            }
        }
        found.sort(compiled.matcher().variable_of());
        self.matches += found.found.iter().filter(|entry| entry.kind == FoundKind::Match).count() as u64;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cepheid_testkit::SplitMix64;

    use super::*;

    #[test]
    fn rows_of_several_lists_come_together_with_all_that_they_satisfy() {
        let (mut found, mut compared, mut in_several) = (RowsFound::default(), 0, 0);
        for seed in 0..500 {
            let mut random = SplitMix64::new(seed);
            let rows = 1 + random.below(60) as u32;
            let lists: Vec<(Vec<u32>, u64)> = (0..random.below(5))
                .map(|list| {
                    let share = random.below(101);
                    ((0..rows).filter(|_| random.chance(share)).collect(), 1 << (list % 3))
                })
                .collect();
            let mut right: BTreeMap<u32, u64> = BTreeMap::new();
            for (list, symbol) in &lists {
                for row in list {
                    in_several += usize::from(right.contains_key(row));
                    *right.entry(*row).or_default() |= symbol;
                }
            }
            let range = found.add(lists.iter().map(|(rows, symbol)| (rows.as_slice(), *symbol)));
            let range = range.expect("they are few");
            assert_eq!(range.end, found.len(), "seed {seed}");
            let own = |found: &RowsFound| {
                let pairs = found.rows[range.start..].iter().zip(&found.symbols[range.start..]);
                pairs.map(|(row, symbol)| (*row, *symbol)).collect::<Vec<_>>()
            };
            assert_eq!(own(&found), right.clone().into_iter().collect::<Vec<_>>(), "seed {seed}");
            found.retain(range.start, |row| row % 3 != 0);
            right.retain(|row, _| row % 3 != 0);
            assert_eq!(own(&found), right.into_iter().collect::<Vec<_>>(), "seed {seed}");
            compared += 1;
        }
        assert!(compared == 500 && in_several > 1_000, "only {in_several} rows in several");
    }

    #[test]
    fn too_many_rows_leave_nothing_behind() {
        let mut found = RowsFound::default();
        let some: Vec<u32> = (0..ROWS_MAX as u32).collect();
        assert_eq!(found.add([(&some[..7], 1)].into_iter()), Some(0..7));
        assert_eq!(found.add([(&some[..9], 1), (&some[..], 2)].into_iter()), None);
        assert_eq!((found.len(), found.symbols.len()), (7, 7));
        assert_eq!(found.add([(&some[..], 2)].into_iter()), Some(7..7 + ROWS_MAX));
    }
}
