//! Runs, the start rows they began at, and the partitions they are of: entries of slabs, linked by number.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::compile::SequenceMatcher;
use super::index::{RunIndex, Slot};
use super::registers::Registers;
use super::slab::{NONE, Slab};
use super::wait::Waits;

/// A row that runs have taken, and what they took before it. Runs share what they have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// The row, in the order of all rows.
    pub(crate) row: u64,
    /// The row before it, or [`NONE`].
    pub(crate) parent: u32,
    /// The place that took it.
    pub(crate) place: u32,
    /// Runs, matches and nodes that hold on to it.
    pub(crate) holders: u32,
}

/// One way of going on from a start row.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) node: u32,
    /// What it waits for.
    pub(crate) wait: u32,
    /// Position and time of the last row taken.
    pub(crate) last_position: u64,
    pub(crate) last_time: i64,
    /// Of the rows taken and their variables: equal for equal memberships.
    pub(crate) hash: u64,
    pub(crate) registers: Option<Box<Registers>>,
}

/// A complete run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Complete {
    pub(crate) node: u32,
    /// What `having` says of it.
    pub(crate) holds: bool,
}

/// What grows from a start row: under `"all"` one run; under `"first"` all of them, most preferred first.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) start: u32,
    pub(crate) thread: Thread,
    /// Less preferred threads.
    pub(crate) others: Vec<Thread>,
    /// The preferred one of the complete runs, less preferred than every thread.
    pub(crate) complete: Option<Complete>,
    /// Neighbours in the list of runs that wait for the same.
    pub(crate) bucket: u32,
    pub(crate) bucket_prev: u32,
    pub(crate) bucket_next: u32,
    /// Where it stands in the index of what it waits for, and its neighbours there.
    pub(crate) slot: Slot,
    pub(crate) slot_prev: u32,
    pub(crate) slot_next: u32,
    /// Neighbours in the list of runs of one start row.
    pub(crate) start_prev: u32,
    pub(crate) start_next: u32,
    /// Tells the run's present timer from those it has left behind. 0: the run is no more.
    pub(crate) stamp: u64,
}

/// A row at which runs began.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) row: u64,
    pub(crate) position: u64,
    pub(crate) time: i64,
    pub(crate) partition: u32,
    /// The first of its runs, and how many there are.
    pub(crate) runs: u32,
    pub(crate) alive: u32,
    pub(crate) prev: u32,
    pub(crate) next: u32,
    /// Matches that are known, but may still be forgotten, in the order in which they are to be considered.
    pub(crate) known: VecDeque<Complete>,
}

/// The bucket of runs with several threads.
pub(crate) const MIXED: u32 = u32::MAX - 1;

/// Rows of one key.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    /// Rows matched so far.
    pub(crate) position: u64,
    pub(crate) first_start: u32,
    pub(crate) last_start: u32,
    /// The first start row that the pattern's WITHIN by rows has not ended.
    pub(crate) first_within: u32,
    /// What runs wait for, and the first run of each.
    pub(crate) buckets: Vec<(u32, u32)>,
    /// Matches so far.
    pub(crate) matches: u64,
    /// Matches known that may still be forgotten.
    pub(crate) known: u32,
    /// Runs that are complete and wait for preferred ones.
    pub(crate) complete: u32,
    /// `seen[l]`: time of the last row that satisfied the `l`-th leading absence.
    pub(crate) seen: Vec<Option<i64>>,
    /// The last rows, for whoever looks back at them.
    pub(crate) tail: Vec<u64>,
    /// When the partition is to be looked after without a row of its own.
    pub(crate) wake: Option<i64>,
    /// Whether it is in the queue of those whose expired runs are to be cleared away.
    pub(crate) queued: bool,
}

impl Partition {
    pub(crate) fn new(matcher: &SequenceMatcher) -> Self {
        Self {
            position: 0,
            first_start: NONE,
            last_start: NONE,
            first_within: NONE,
            buckets: vec![],
            matches: 0,
            known: 0,
            complete: 0,
            seen: vec![None; matcher.leading.len()],
            tail: vec![],
            wake: None,
            queued: false,
        }
    }
}

/// A moment at which a run has to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) at: i64,
    pub(crate) run: u32,
    pub(crate) stamp: u64,
}

/// Everything that a sequence matcher keeps between rows.
///
/// Between [`begin`](Self::begin) and [`commit`](Self::commit) or [`roll_back`](Self::roll_back) it can be put back as
/// it was, at the cost of one copy of each run touched.
#[derive(Clone, Debug, Default)]
pub struct SequenceState {
    pub(crate) nodes: Slab<Node>,
    pub(crate) runs: Slab<Run>,
    pub(crate) starts: Slab<Start>,
    pub(crate) partitions: Slab<Partition>,
    pub(crate) keys: HashMap<Box<[u8]>, u32, FixedState>,
    pub(crate) waits: Waits,
    pub(crate) index: RunIndex,
    /// `timers[p]`: of partition `p`. What they point to may be gone: the stamp tells.
    pub(crate) timers: Vec<BinaryHeap<Reverse<Timer>>>,
    /// How many timers there are, of all partitions.
    timers_set: usize,
    /// Partitions to be looked after at a time.
    pub(crate) wakes: BinaryHeap<Reverse<(i64, u32)>>,
    /// Partitions with runs that will have expired, and when.
    pub(crate) expiring: VecDeque<(i64, u32)>,
    pub(crate) stamps: u64,
    /// Bytes of registers and thread lists.
    pub(crate) loose_bytes: usize,
    /// Rows that were looked at, and runs that a row or a deadline was put to: counts of work, for tests and statistics.
    pub(crate) rows_visited: u64,
    pub(crate) runs_visited: u64,
    pub(crate) index_asked: u64,
    /// Whether rows are kept for conditions that look back at them.
    pub(crate) keeps_tails: bool,
    /// Keys found idle since the last sweep.
    pub(crate) idle: usize,
    undo: Option<Undo>,
}

/// What slabs do not remember themselves.
#[derive(Clone, Debug, Default)]
struct Undo {
    keys: Vec<Box<[u8]>>,
    /// Keys that were there, and their partitions.
    forgotten: Vec<(Box<[u8]>, u32)>,
    timers: Vec<(u32, Timer)>,
    wakes: Vec<(i64, u32)>,
    /// Entries of the queue of expiring partitions.
    expiring: usize,
    loose_bytes: usize,
    rows_visited: u64,
    runs_visited: u64,
    index_asked: u64,
}

impl SequenceState {
    /// Runs alive; under `"first"` those of one start row are one.
    pub fn live_runs(&self) -> usize {
        self.runs.len()
    }

    /// Partitions that something is kept of.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Rows looked at so far.
    pub fn rows_visited(&self) -> u64 {
        self.rows_visited
    }

    /// Runs that a row or a deadline was put to so far.
    pub fn runs_visited(&self) -> u64 {
        self.runs_visited
    }

    /// How often an index of runs that wait was asked for those that a row concerns.
    pub fn index_asked(&self) -> u64 {
        self.index_asked
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.nodes.bytes()
            + self.runs.bytes()
            + self.starts.bytes()
            + self.partitions.bytes()
            + self.index.bytes()
            + self.keys.len() * 48
            + self.timers_set * size_of::<Timer>()
            + self.wakes.len() * 16
            + self.expiring.len() * 16
            + self.loose_bytes
    }

    /// Calls `visit` with every row that is still needed, some of them several times.
    pub fn rows_needed(&self, visit: &mut dyn FnMut(u64)) {
        // A node that nobody holds on to any more keeps what it was until its number is given out again.
        self.nodes.iter().filter(|node| node.holders > 0).for_each(|node| visit(node.row));
        if self.keeps_tails {
            let tails = self.keys.values().flat_map(|partition| &self.partitions.get(*partition).tail);
            tails.copied().for_each(visit);
        }
    }

    /// Whether no row that has been matched is needed any more.
    pub fn needs_no_rows(&self) -> bool {
        self.nodes.len() == 0 && !self.keeps_tails
    }

    /// A time before which nothing happens but by rows; `None`: never.
    pub fn next_attention(&self) -> Option<i64> {
        let wake = self.wakes.peek().map(|Reverse((at, _))| *at);
        let expiry = self.expiring.front().map(|(at, _)| *at);
        wake.into_iter().chain(expiry).min()
    }

    /// The last rows of a key, for whoever looks back at them.
    pub fn tail(&self, key: &[u8]) -> &[u64] {
        self.keys.get(key).map_or(&[], |partition| &self.partitions.get(*partition).tail)
    }

    /// Begins to remember how things were.
    pub fn begin(&mut self) {
        self.nodes.begin();
        self.runs.begin();
        self.starts.begin();
        self.partitions.begin();
        self.index.begin();
        self.undo = Some(Undo {
            expiring: self.expiring.len(),
            loose_bytes: self.loose_bytes,
            rows_visited: self.rows_visited,
            runs_visited: self.runs_visited,
            index_asked: self.index_asked,
            ..Undo::default()
        });
    }

    /// Lets what has been done stand.
    pub fn commit(&mut self) {
        self.nodes.commit();
        self.runs.commit();
        self.starts.commit();
        self.partitions.commit();
        self.index.commit();
        self.undo = None;
    }

    /// Takes back what has been done since [`begin`](Self::begin).
    pub fn roll_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        self.nodes.roll_back(|node| node.holders = 0);
        self.runs.roll_back(|run| run.stamp = 0);
        self.starts.roll_back(|_| ());
        self.partitions.roll_back(|partition| partition.wake = None);
        self.index.roll_back();
        for key in undo.keys {
            self.keys.remove(&key);
        }
        self.keys.extend(undo.forgotten);
        for (partition, timer) in undo.timers {
            self.timers[partition as usize].push(Reverse(timer));
        }
        self.wakes.extend(undo.wakes.into_iter().map(Reverse));
        // Queues hold what has been set since then, too.
        let runs = &self.runs;
        for heap in &mut self.timers {
            heap.retain(|Reverse(timer)| is_current(runs, timer));
        }
        self.timers_set = self.timers.iter().map(BinaryHeap::len).sum();
        let partitions = &self.partitions;
        self.wakes.retain(|Reverse((at, partition))| is_awaited(partitions, *partition, *at));
        self.expiring.truncate(undo.expiring);
        self.loose_bytes = undo.loose_bytes;
        self.rows_visited = undo.rows_visited;
        self.runs_visited = undo.runs_visited;
        self.index_asked = undo.index_asked;
    }

    /// The partition of a key, which is made if there is none.
    pub(crate) fn partition_of(&mut self, matcher: &SequenceMatcher, key: &[u8]) -> u32 {
        if let Some(known) = self.keys.get(key) {
            return *known;
        }
        let id = self.add_partition(matcher);
        let key: Box<[u8]> = key.into();
        if let Some(undo) = &mut self.undo {
            undo.keys.push(key.clone());
        }
        self.keys.insert(key, id);
        id
    }

    /// Whether nothing is alive of a key.
    pub(crate) fn rests(&self, key: &[u8]) -> bool {
        self.keys.get(key).is_none_or(|partition| self.partitions.get(*partition).first_start == NONE)
    }

    /// Forgets a key that nothing is left of.
    pub(crate) fn forget_if_idle(&mut self, key: &[u8], partition: u32) {
        let entry = self.partitions.get(partition);
        let idle = entry.first_start == NONE && entry.matches == 0 && !entry.queued && entry.wake.is_none();
        if !idle {
            return;
        }
        if let Some((key, _)) = self.keys.remove_entry(key)
            && let Some(undo) = &mut self.undo
            && !self.partitions.is_born(partition)
        {
            undo.forgotten.push((key, partition));
        }
        self.partitions.remove(partition);
    }

    pub(crate) fn add_partition(&mut self, matcher: &SequenceMatcher) -> u32 {
        let id = self.partitions.insert(Partition::new(matcher));
        if matcher.uses_timers && self.timers.len() <= id as usize {
            self.timers.resize_with(id as usize + 1, BinaryHeap::new);
        }
        id
    }

    /// The next timer of a partition that still means something.
    pub(crate) fn next_timer(&mut self, partition: u32) -> Option<Timer> {
        let heap = self.timers.get_mut(partition as usize)?;
        while let Some(Reverse(timer)) = heap.peek() {
            if is_current(&self.runs, timer) {
                return Some(*timer);
            }
            // Out of date; but not if what has happened since should be taken back.
            if let Some(undo) = &mut self.undo {
                undo.timers.push((partition, *timer));
            }
            heap.pop();
            self.timers_set -= 1;
        }
        None
    }

    /// Sets a timer.
    pub(crate) fn push_timer(&mut self, partition: u32, timer: Timer) {
        self.timers[partition as usize].push(Reverse(timer));
        self.timers_set += 1;
    }

    /// Takes the next timer off.
    pub(crate) fn pop_timer(&mut self, partition: u32) {
        let Some(Reverse(timer)) = self.timers[partition as usize].pop() else { return };
        self.timers_set -= 1;
        if let Some(undo) = &mut self.undo {
            undo.timers.push((partition, timer));
        }
    }

    /// The key of a partition, looked for among all.
    pub(crate) fn key_of(&self, partition: u32) -> Box<[u8]> {
        let key = self.keys.iter().find(|(_, known)| **known == partition);
        key.map_or_else(Box::default, |(key, _)| key.clone())
    }

    /// Takes off the next partition that is to be looked after at `time` or before, and when it was to be.
    pub(crate) fn pop_wake(&mut self, time: i64) -> Option<(i64, u32)> {
        loop {
            let Reverse((at, partition)) = *self.wakes.peek().filter(|wake| wake.0.0 <= time)?;
            self.wakes.pop();
            if let Some(undo) = &mut self.undo {
                undo.wakes.push((at, partition));
            }
            if is_awaited(&self.partitions, partition, at) {
                self.partitions.get_mut(partition).wake = None;
                return Some((at, partition));
            }
        }
    }

    pub(crate) fn next_stamp(&mut self) -> u64 {
        self.stamps += 1;
        self.stamps
    }

    // Nodes.

    pub(crate) fn hold(&mut self, node: u32) {
        if node != NONE {
            self.nodes.get_mut(node).holders += 1;
        }
    }

    /// Lets go of a node, and of what only it held on to.
    pub(crate) fn release(&mut self, mut node: u32) {
        while node != NONE {
            let entry = self.nodes.get_mut(node);
            entry.holders -= 1;
            if entry.holders > 0 {
                return;
            }
            let parent = entry.parent;
            self.nodes.remove(node);
            node = parent;
        }
    }
}

/// Whether a timer still means something.
fn is_current(runs: &Slab<Run>, timer: &Timer) -> bool {
    runs.find(timer.run).is_some_and(|run| run.stamp == timer.stamp)
}

/// Whether a partition is to be looked after at this time.
fn is_awaited(partitions: &Slab<Partition>, partition: u32, at: i64) -> bool {
    partitions.find(partition).is_some_and(|partition| partition.wake == Some(at))
}

/// Bytes of a thread that its entry does not show.
pub(crate) fn loose_bytes(thread: &Thread) -> usize {
    thread.registers.as_ref().map_or(0, |registers| registers.bytes())
}
