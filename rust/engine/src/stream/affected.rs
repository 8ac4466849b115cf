//! Which rules a batch concerns, and with which of its rows.
//!
//! Predicates of all rules are asked at once ([`PredicateIndex`]); from what is found follow the rules to visit. A rule
//! none of whose predicates any row satisfies, and whose time has not come, is not looked at.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampNanosecondArray, UInt16Array};
use cepheid_eval::{AtomId, Guard, PredicateIndex, Satisfied};
use cepheid_event::MergedBatch;
use cepheid_matcher::bits::Bits;
use smallvec::SmallVec;

use super::known_rows::RowsFound;
use super::rule::Rule;
use crate::error::EngineError;

/// What a rule is called here for as long as it is there, wherever it stands among the others.
pub(crate) type Seat = u32;

/// The predicates of a rule, as the index holds them.
#[derive(Debug)]
pub(crate) struct Interest {
    /// Which index.
    merged: usize,
    /// By number of the predicate; those that make no row matter are not held.
    guards: Vec<Option<Guard>>,
    /// The atoms of all of them, ascending.
    atoms: Vec<AtomId>,
    /// Whether all predicates are held, and each is satisfied by the rows of its atoms.
    exact: bool,
}

/// Predicates over the same numbering of columns.
#[derive(Debug, Default)]
struct Group {
    merged: usize,
    index: PredicateIndex,
    /// Rules that hold an atom, by its number. Most are held by one.
    holders: Vec<SmallVec<[Seat; 4]>>,
}

/// See the module.
///
/// - Time: a batch costs its rows once a column that predicates read, what is found, and the rules that are to be
///   visited; adding or removing a rule costs its own predicates.
#[derive(Debug, Default)]
pub(crate) struct Affected {
    groups: Vec<Group>,
    /// Rules that every row of their topics concerns.
    every_row: Vec<Seat>,
    /// When rules are to be visited without a row of their own. What is passed over is looked at once and forgotten.
    wakes: BinaryHeap<Reverse<(i64, Seat)>>,
    /// Passes over columns so far.
    pub(crate) passes: u64,
}

/// Rows of a batch that concern a rule.
#[derive(Debug)]
pub(crate) enum Concerned {
    /// None: its time has come, or the input has ended.
    None,
    /// All of its topics.
    All,
    /// These, ascending.
    Some(Vec<u32>),
    /// These of the [`RowsFound`], of which it need know no more.
    Known(Range<usize>),
}

/// What has been found of a batch.
pub(crate) struct Answers {
    of: Vec<(usize, Satisfied)>,
}

impl Affected {
    /// Holds the predicates of a rule, in place of those that it had.
    pub(crate) fn hold(&mut self, seat: Seat, rule: &mut Rule) {
        self.let_go(seat, rule);
        let Some(compiled) = &rule.compiled else { return };
        let Some(needed) = &compiled.needed else {
            self.every_row.push(seat);
            return;
        };
        let merged = compiled.binding.merged;
        let known = self.groups.iter().position(|group| group.merged == merged).unwrap_or_else(|| {
            self.groups.push(Group { merged, ..Group::default() });
            self.groups.len() - 1
        });
        let group = &mut self.groups[known];
        let predicates = compiled.matcher().predicates();
        let mut guards = vec![None; predicates.len()];
        let mut atoms = vec![];
        for (number, constrained) in needed {
            let guard = group.index.add_known(&predicates[*number], constrained.as_ref());
            atoms.extend_from_slice(&guard.atoms);
            guards[*number] = Some(guard);
        }
        atoms.sort_unstable();
        atoms.dedup();
        for atom in &atoms {
            if group.holders.len() <= *atom as usize {
                group.holders.resize_with(*atom as usize + 1, SmallVec::new);
            }
            group.holders[*atom as usize].push(seat);
        }
        let exact = guards.iter().all(|guard| guard.as_ref().is_some_and(|guard| guard.exact));
        rule.interest = Some(Interest { merged, guards, atoms, exact });
    }

    /// Lets go of what is held for a rule.
    pub(crate) fn let_go(&mut self, seat: Seat, rule: &mut Rule) {
        self.every_row.retain(|known| *known != seat);
        let Some(interest) = rule.interest.take() else { return };
        let place = self.groups.iter().position(|group| group.merged == interest.merged);
        let place = place.expect("the group of what is held");
        let group = &mut self.groups[place];
        for atom in &interest.atoms {
            group.holders[*atom as usize].retain(|known| *known != seat);
        }
        interest.guards.iter().flatten().for_each(|guard| group.index.remove(guard));
        if group.index.is_empty() {
            self.groups.remove(place);
        }
    }

    /// Has a rule visited when the clock reaches a time. `rule` says since when that is known.
    pub(crate) fn wake_at(&mut self, seat: Seat, rule: &mut Rule, at: Option<i64>) {
        let Some(at) = at else { return };
        // What is to come sooner will ask again.
        if rule.queued.is_none_or(|queued| at < queued) {
            rule.queued = Some(at);
            self.wakes.push(Reverse((at, seat)));
        }
    }

    /// Rules whose time has come, with that time; they are to be asked anew when the next one is.
    pub(crate) fn due(&mut self, watermark: i64) -> Vec<(i64, Seat)> {
        let mut due = vec![];
        while let Some(Reverse((at, _))) = self.wakes.peek()
            && *at <= watermark
        {
            due.extend(self.wakes.pop().map(|Reverse(wake)| wake));
        }
        due
    }

    /// Asks all predicates of rows, and gives the rules to visit, in no order and some several times.
    pub(crate) fn ask(&mut self, rows: &MergedBatch, seats: &mut Vec<Seat>) -> Result<Answers, EngineError> {
        let mut of = Vec::with_capacity(self.groups.len());
        if rows.num_rows() > 0 {
            seats.extend_from_slice(&self.every_row);
            for group in &self.groups {
                let column = |number: usize| -> ArrayRef {
                    match number.checked_sub(group.merged) {
                        None => Arc::clone(rows.batch.column(number)),
                        // As `Binding::table_batch` adds them.
                        Some(0) => Arc::new(UInt16Array::new(rows.topic.clone(), None)),
                        Some(_) => Arc::new(TimestampNanosecondArray::new(rows.time.clone(), None)),
                    }
                };
                let satisfied = group.index.ask(column, rows.num_rows()).map_err(|source| {
                    EngineError::Eval { context: "a condition".into(), source: Box::new(source) }
                })?;
                self.passes += satisfied.passes as u64;
                for atom in satisfied.atoms().chain(satisfied.failed().iter().copied()) {
                    seats.extend_from_slice(&group.holders[atom as usize]);
                }
                of.push((group.merged, satisfied));
            }
        }
        Ok(Answers { of })
    }
}

impl Answers {
    fn of(&self, interest: &Interest) -> Option<&Satisfied> {
        self.of.iter().find(|(merged, _)| *merged == interest.merged).map(|(_, satisfied)| satisfied)
    }

    /// The rows that concern a rule. `reads`: which topics it reads, by number, if there are others; `found`: where those go of
    /// which all is known.
    pub(crate) fn rows_of(
        &self,
        rule: &Rule,
        rows: &MergedBatch,
        reads: Option<&[bool]>,
        found: &mut RowsFound,
    ) -> Concerned {
        let count = rows.num_rows();
        if count == 0 {
            return Concerned::None;
        }
        let Some(interest) = &rule.interest else {
            return if rule.compiled.is_some() { Concerned::All } else { Concerned::None };
        };
        let Some(satisfied) = self.of(interest) else { return Concerned::None };
        // What an error hides is for the search to meet, row by row, or not to meet.
        if satisfied.failed().iter().any(|atom| interest.atoms.binary_search(atom).is_ok()) {
            return Concerned::All;
        }
        if let Some(lists) = rule.only_lists()
            && interest.exact
        {
            let symbols = interest.guards.iter().flatten().zip(0..);
            let lists = symbols.flat_map(|(guard, number)| {
                let symbol = lists.symbol_of(number);
                guard.atoms.iter().map(move |atom| (satisfied.rows(*atom), symbol))
            });
            if let Some(own) = found.add(lists) {
                if let Some(reads) = reads {
                    found.retain(own.start, |row| reads[rows.topic[row as usize] as usize]);
                }
                let own = own.start..found.len();
                return if own.is_empty() { Concerned::None } else { Concerned::Known(own) };
            }
        }
        let mut concerned = union(satisfied, &interest.atoms, count);
        if let Some(reads) = reads {
            concerned.retain(|row| reads[rows.topic[*row as usize] as usize]);
        }
        if concerned.is_empty() { Concerned::None } else { Concerned::Some(concerned) }
    }

    /// Which of the positions of a rule's rows satisfy which of its predicates, as far as the index says that.
    /// `positions` gives the position of each of them by its row of the batch, and something from `count` on for others.
    pub(crate) fn known(
        &self,
        rule: &Rule,
        count: usize,
        position: impl Fn(u32) -> u32,
    ) -> Vec<Option<Bits>> {
        let Some(interest) = &rule.interest else { return vec![] };
        let Some(satisfied) = self.of(interest) else { return vec![] };
        let bits = |guard: &Option<Guard>| {
            let guard = guard.as_ref().filter(|guard| guard.exact)?;
            let rows = guard.atoms.iter().flat_map(|atom| satisfied.rows(*atom));
            let positions = rows.map(|row| position(*row)).filter(|position| (*position as usize) < count);
            Some(Bits::of_rows(count, positions))
        };
        interest.guards.iter().map(bits).collect()
    }
}

/// The rows that are in any of the atoms, ascending.
fn union(satisfied: &Satisfied, atoms: &[AtomId], rows: usize) -> Vec<u32> {
    let lists: Vec<&[u32]> =
        atoms.iter().map(|atom| satisfied.rows(*atom)).filter(|rows| !rows.is_empty()).collect();
    match lists.as_slice() {
        [] => vec![],
        [only] => only.to_vec(),
        several => {
            let total: usize = several.iter().map(|list| list.len()).sum();
            if total < rows / 32 {
                let mut all = several.concat();
                all.sort_unstable();
                all.dedup();
                return all;
            }
            let any = Bits::of_rows(rows, several.iter().flat_map(|list| list.iter().copied()));
            any.set_rows()
        }
    }
}
