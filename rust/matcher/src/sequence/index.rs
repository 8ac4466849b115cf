//! Runs that wait, by what they know: a row is put to those alone that its own value can concern.
//!
//! Equality is by hash: runs of one number stand in one list. Inequality is by order. The numbers are those of
//! [`OrderCode`](cepheid_eval::OrderCode): an index finds every run whose condition can hold, and now and then another,
//! which is tested like any other. It follows from runs, and is not saved with them.
//!
//! - Time: O(1) a run that begins or ends to wait by hash, O(log w) by order; a row costs that and the runs it finds.
//! - Space: 24 bytes a run in either; some 40 for each different value by hash.

use std::collections::BTreeSet;
use std::ops::Bound;

use cepheid_ir::BinaryOp;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::compile::SequenceMatcher;
use super::slab::NONE;
use super::state::SequenceState;
use super::step::Work;
use super::tests::Asked;
use super::wait::Wait;

/// Where a run stands in the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nowhere: its wait is not indexed, or no row can be of any concern to it.
    #[default]
    Out,
    /// Among runs of one number; without one, among those that every row is put to.
    Listed(Option<i64>),
    /// Among all runs of its wait, by its number.
    Ordered(i64),
}

/// How the runs of a wait are indexed.
#[derive(Clone, Debug)]
pub(crate) struct WaitIndex {
    /// What they are indexed by: index into the matcher's `run_sides`.
    pub(crate) run_side: usize,
    /// By order rather than by hash.
    pub(crate) ordered: bool,
    /// What is asked of the index: tests, and which of their joins.
    pub(crate) probes: Vec<(usize, usize)>,
    /// A run that knows nothing to compare with is put to every row.
    pub(crate) nulls_matter: bool,
}

impl WaitIndex {
    /// The index that serves a wait best which such tests decide: rows that satisfy a test it does not serve are put to
    /// every run, so the fewer of these the better; and equality finds fewer runs than an inequality.
    pub(crate) fn best(matcher: &SequenceMatcher, tests: &[usize]) -> Option<Self> {
        let mut best: Option<((usize, usize), Self)> = None;
        for run_side in 0..matcher.run_sides.len() {
            let mut index = Self { run_side, ordered: false, probes: vec![], nulls_matter: false };
            let (mut others, mut inequalities) = (0, 0);
            let mut serves = true;
            for test in tests {
                let joins = matcher.joins[*test].iter().enumerate();
                let own = joins.filter(|(_, join)| join.run_side == run_side);
                let Some((place, join)) = own.min_by_key(|(_, join)| join.op != BinaryOp::Equal) else {
                    others += 1;
                    serves &= matcher.tests[*test].predicate().is_some();
                    continue;
                };
                inequalities += usize::from(join.op != BinaryOp::Equal);
                index.nulls_matter |= join.nulls_matter;
                index.probes.push((*test, place));
            }
            index.ordered = inequalities > 0;
            let cost = (others, inequalities);
            if serves && !index.probes.is_empty() && best.as_ref().is_none_or(|(known, _)| cost < *known) {
                best = Some((cost, index));
            }
        }
        best.map(|(_, index)| index)
    }
}

/// Partition, wait, number.
type ListKey = (u32, u32, Option<i64>);
/// Partition, wait, number, run.
type OrderedKey = (u32, u32, i64, u32);

/// All indexes of a shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunIndex {
    /// The first run of each list.
    heads: HashMap<ListKey, u32, FixedState>,
    ordered: BTreeSet<OrderedKey>,
    undo: Option<Vec<Change>>,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    /// A list began with another run, or there was none.
    Head(ListKey, Option<u32>),
    Added(OrderedKey),
    Removed(OrderedKey),
}

impl RunIndex {
    pub(crate) fn bytes(&self) -> usize {
        self.heads.len() * (size_of::<(ListKey, u32)>() + 8)
            + self.ordered.len() * (size_of::<OrderedKey>() + 4)
    }

    pub(crate) fn begin(&mut self) {
        self.undo = Some(vec![]);
    }

    pub(crate) fn commit(&mut self) {
        self.undo = None;
        if self.heads.capacity() > 1024 && self.heads.len() < self.heads.capacity() / 8 {
            self.heads.shrink_to(self.heads.len() * 2);
        }
    }

    pub(crate) fn roll_back(&mut self) {
        for change in self.undo.take().unwrap_or_default().into_iter().rev() {
            match change {
                Change::Head(key, None) => {
                    self.heads.remove(&key);
                }
                Change::Head(key, Some(head)) => {
                    self.heads.insert(key, head);
                }
                Change::Added(key) => {
                    self.ordered.remove(&key);
                }
                Change::Removed(key) => {
                    self.ordered.insert(key);
                }
            }
        }
    }

    fn set_head(&mut self, key: ListKey, head: u32) -> Option<u32> {
        let before = if head == NONE { self.heads.remove(&key) } else { self.heads.insert(key, head) };
        if let Some(undo) = &mut self.undo {
            undo.push(Change::Head(key, before));
        }
        before
    }

    fn add(&mut self, key: OrderedKey) {
        self.ordered.insert(key);
        if let Some(undo) = &mut self.undo {
            undo.push(Change::Added(key));
        }
    }

    fn remove(&mut self, key: OrderedKey) {
        self.ordered.remove(&key);
        if let Some(undo) = &mut self.undo {
            undo.push(Change::Removed(key));
        }
    }

    /// Adds the runs whose number `op` compares the row's with. `exact`: different values have different numbers.
    fn find_ordered(
        &self,
        (partition, wait): (u32, u32),
        op: BinaryOp,
        code: i64,
        exact: bool,
        into: &mut Vec<u32>,
    ) {
        let at = |code: i64, run: u32| (partition, wait, code, run);
        let (first, last) = (at(i64::MIN, 0), at(i64::MAX, NONE));
        let (from, to) = match op {
            BinaryOp::Greater if exact => (Bound::Included(first), Bound::Excluded(at(code, 0))),
            BinaryOp::Greater | BinaryOp::GreaterOrEqual => {
                (Bound::Included(first), Bound::Included(at(code, NONE)))
            }
            BinaryOp::Less if exact => (Bound::Excluded(at(code, NONE)), Bound::Included(last)),
            BinaryOp::Less | BinaryOp::LessOrEqual => (Bound::Included(at(code, 0)), Bound::Included(last)),
            _ => (Bound::Included(at(code, 0)), Bound::Included(at(code, NONE))),
        };
        // A range of which nothing is left is refused by the tree: `> the last number` begins behind `last`.
        if let (Bound::Excluded(from), Bound::Included(to)) = (from, to)
            && from >= to
        {
            return;
        }
        into.extend(self.ordered.range((from, to)).map(|key| key.3));
    }
}

impl SequenceState {
    /// Takes a run out of the index.
    pub(crate) fn unindex(&mut self, partition: u32, run: u32) {
        let entry = self.runs.get(run);
        let (wait, slot) = (entry.bucket, entry.slot);
        let (prev, next) = (entry.slot_prev, entry.slot_next);
        match slot {
            Slot::Out => return,
            Slot::Ordered(code) => self.index.remove((partition, wait, code, run)),
            Slot::Listed(code) => {
                if next != NONE {
                    self.runs.get_mut(next).slot_prev = prev;
                }
                if prev == NONE {
                    self.index.set_head((partition, wait, code), next);
                } else {
                    self.runs.get_mut(prev).slot_next = next;
                }
            }
        }
        self.runs.get_mut(run).slot = Slot::Out;
    }

    fn put_in(&mut self, partition: u32, run: u32, slot: Slot) {
        let wait = self.runs.get(run).bucket;
        let mut next = NONE;
        match slot {
            Slot::Out => return,
            Slot::Ordered(code) => self.index.add((partition, wait, code, run)),
            Slot::Listed(code) => {
                next = self.index.set_head((partition, wait, code), run).unwrap_or(NONE);
                if next != NONE {
                    self.runs.get_mut(next).slot_prev = run;
                }
            }
        }
        let entry = self.runs.get_mut(run);
        (entry.slot, entry.slot_prev, entry.slot_next) = (slot, NONE, next);
    }

    /// Puts a run that stands in its bucket into the index of its wait, if that has one.
    pub(crate) fn index_run(&mut self, matcher: &SequenceMatcher, partition: u32, run: u32) {
        if matcher.run_sides.is_empty() {
            return;
        }
        let entry = self.runs.get(run);
        if !entry.others.is_empty() {
            return;
        }
        let Some(index) = &self.waits.get(entry.thread.wait).index else { return };
        let side = &matcher.run_sides[index.run_side];
        let registers = entry.thread.registers.as_deref().unwrap_or(&matcher.no_registers);
        let slot = match matcher.known_to_run(side, registers) {
            // Whoever asks its condition is to meet the error.
            Err(_) => Slot::Listed(None),
            Ok(value) if index.ordered => side.code.order(&value).map_or(Slot::Out, Slot::Ordered),
            Ok(value) => side.code.equality(&value).map_or(Slot::Out, |code| Slot::Listed(Some(code))),
        };
        let slot = if slot == Slot::Out && index.nulls_matter { Slot::Listed(None) } else { slot };
        self.put_in(partition, run, slot);
    }
}

impl Work<'_> {
    /// Adds the runs of an indexed wait, the first of which is `head`, that a row can concern. Whether the index told.
    pub(crate) fn find_runs(
        &self,
        wait: u32,
        entry: &Wait,
        asked: &Asked<'_>,
        place: u32,
        into: &mut Vec<u32>,
    ) -> Found {
        let Some(index) = &entry.index else { return Found::Nothing };
        let state = &*self.state;
        let before = into.len();
        let (mut probed, mut found) = (false, 0);
        for (test, join) in &index.probes {
            let join = &self.matcher.joins[*test][*join];
            if let Some(guard) = self.matcher.tests[*test].predicate() {
                match asked.holds_surely(guard, place) {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Found::All(before),
                }
            }
            probed = true;
            let Ok(value) = self.matcher.known_of_row(join, asked, place) else { return Found::All(before) };
            let code = self.matcher.run_sides[index.run_side].code;
            let number = if index.ordered { code.order(&value) } else { code.equality(&value) };
            let already = into.len();
            match number {
                None if join.nulls_matter => return Found::All(before),
                None => continue,
                Some(number) if index.ordered => {
                    let at = (self.partition, wait);
                    state.index.find_ordered(at, join.op, number, code.is_exact(), into);
                }
                Some(number) => self.list((self.partition, wait, Some(number)), into),
            }
            found += usize::from(into.len() > already);
        }
        if probed {
            self.list((self.partition, wait, None), into);
        }
        if found > 1 {
            // Several tests may have found one run.
            into[before..].sort_unstable();
            let mut kept = before;
            for place in before..into.len() {
                if kept == before || into[kept - 1] != into[place] {
                    into[kept] = into[place];
                    kept += 1;
                }
            }
            into.truncate(kept);
        }
        if probed { Found::Some } else { Found::Nothing }
    }

    fn list(&self, key: ListKey, into: &mut Vec<u32>) {
        let mut run = self.state.index.heads.get(&key).copied().unwrap_or(NONE);
        while run != NONE {
            into.push(run);
            run = self.state.runs.get(run).slot_next;
        }
    }
}

/// What an index says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The row is of no concern.
    Nothing,
    /// It concerns the runs added.
    Some,
    /// The index cannot tell: it is put to every run of the wait. What was added from this place on is void.
    All(usize),
}
