//! Step lists of a stream: what they keep between rows, key by key, and how a call grows them or is taken back.
//!
//! - Time: a row costs what it costs in a table, whatever is kept. A call that fails is taken back in time linear in the
//!   keys and the rows that it has touched.
//! - Space: that of the lists (see [`crate::step_lists`]), 12 bytes a row that matches may begin at under a window, and
//!   no more room in vectors than a quarter of that.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::compile::StepLists;
use super::enumerate::Enumeration;
use super::key_lists::{KeyLists, Starts};
use super::lists::{Action, Lists};
use crate::lists::window::Bound;
use crate::lists::written::Written;
use crate::symbols::BySymbol;

/// Hashes keys.
const HASHER: FixedState = FixedState::with_seed(0);

/// Everything that step lists keep between rows.
///
/// Between [`begin`](Self::begin) and [`commit`](Self::commit) or [`roll_back`](Self::roll_back) it can be put back as it
/// was: entries that are added are cut off again, and those that are to go stay until then.
#[derive(Clone, Debug)]
pub struct StepListsState {
    pub(super) steps: Arc<StepLists>,
    pub(super) keys: Vec<KeyLists>,
    /// Places in `keys` without a key.
    free: Vec<u32>,
    /// Where the lists of a key stand in `keys`.
    by_key: HashTable<u32>,
    /// Keys with rows that leave a window by time, and about when the first does.
    expiring: VecDeque<(i64, u32)>,
    /// Entries of all lists, and bytes of all keys.
    entries: usize,
    bytes: usize,
    pub(super) work: StreamWork,
    undo: Undo,
    pub(super) actions: BySymbol<Action>,
    pub(super) enumeration: Enumeration,
    pub(super) written: Written,
}

/// Counts of work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamWork {
    pub(super) rows: u64,
    pub(super) entries: u64,
}

/// How things were.
#[derive(Clone, Debug, Default)]
struct Undo {
    marks: Vec<Mark>,
    /// Entries of each list, and whether their starts rise, of one key behind the other.
    lists: Vec<(u32, bool)>,
    /// What edges lead on from, likewise.
    open: Vec<u32>,
    work: StreamWork,
}

/// How a key was that has been touched.
#[derive(Clone, Debug)]
struct Mark {
    key: u32,
    /// It was not there.
    is_new: bool,
    starts: u32,
    position: u64,
    matches: u64,
    /// Its lists, since when all of them were forgotten, and the row that was number 1 in them.
    forgotten: Option<Box<(Lists, Starts, u64)>>,
}

impl StepListsState {
    /// A state without rows.
    pub fn new(steps: Arc<StepLists>) -> Self {
        Self {
            keys: vec![],
            free: vec![],
            by_key: HashTable::new(),
            expiring: VecDeque::new(),
            entries: 0,
            bytes: 0,
            work: StreamWork::default(),
            undo: Undo::default(),
            actions: BySymbol::new(steps.conditions.predicates.len()),
            enumeration: Enumeration::new(&steps),
            written: Written::default(),
            steps,
        }
    }

    /// Goes on with another compilation of the same pattern.
    pub fn rebind(&mut self, steps: Arc<StepLists>) {
        self.actions = BySymbol::new(steps.conditions.predicates.len());
        self.steps = steps;
    }

    pub(super) fn steps(&self) -> &StepLists {
        &self.steps
    }

    /// The keys there are.
    pub(super) fn occupied(&self) -> impl Iterator<Item = &KeyLists> {
        self.by_key.iter().map(|place| &self.keys[*place as usize])
    }

    /// Rows that wait in lists, once for each place that they have reached.
    pub fn waiting(&self) -> usize {
        self.entries
    }

    /// Whether nothing is kept, so that it is as a new one.
    pub fn is_pristine(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Keys that something is kept of.
    pub fn partitions(&self) -> usize {
        self.by_key.len()
    }

    /// Rows looked at so far.
    pub fn rows_visited(&self) -> u64 {
        self.work.rows
    }

    /// Entries made so far: rows that were put to what waited for them.
    pub fn entries_made(&self) -> u64 {
        self.work.entries
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
            + self.keys.capacity() * size_of::<KeyLists>()
            + self.by_key.capacity() * size_of::<u32>()
            + self.expiring.capacity() * size_of::<(i64, u32)>()
    }

    /// Calls `visit` with every row that is still needed, some of them several times.
    pub fn rows_needed(&self, visit: &mut dyn FnMut(u64)) {
        for key in self.occupied() {
            key.lists.of.iter().flat_map(|list| &list.rows).for_each(|row| visit(key.ordinal(*row)));
        }
    }

    /// A time before which nothing leaves a window; `None`: never by time alone.
    pub fn next_attention(&self) -> Option<i64> {
        self.expiring.front().map(|(at, _)| *at)
    }

    /// Begins to remember how things were.
    pub fn begin(&mut self) {
        self.undo.work = self.work;
    }

    /// Lets what has been done stand.
    pub fn commit(&mut self) {
        let marks = std::mem::take(&mut self.undo.marks);
        for mark in &marks {
            self.keys[mark.key as usize].touched = false;
            self.let_go(mark.key);
        }
        self.undo = Undo::default();
        self.enumeration.give_back_room(&self.steps);
        self.written = Written::default();
    }

    /// Takes back what has been done since [`begin`](Self::begin).
    pub fn roll_back(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        let (places, edges) = (self.steps.places.len(), self.steps.edges.len());
        for (index, mark) in undo.marks.into_iter().enumerate() {
            if mark.is_new {
                self.forget(mark.key);
                continue;
            }
            let entry = &mut self.keys[mark.key as usize];
            if let Some(forgotten) = mark.forgotten {
                (entry.lists, entry.starts, entry.base) = *forgotten;
            }
            let before = &undo.lists[index * places..][..places];
            for (list, (entries, rising)) in entry.lists.of.iter_mut().zip(before) {
                list.truncate(*entries as usize);
                list.rising = *rising;
            }
            entry.lists.open.copy_from_slice(&undo.open[index * edges..][..edges]);
            entry.starts.rows.truncate(mark.starts as usize);
            entry.starts.at.truncate(mark.starts as usize);
            entry.starts.over = 0;
            (entry.position, entry.matches) = (mark.position, mark.matches);
            entry.touched = false;
            self.count(mark.key);
        }
        self.work = undo.work;
    }

    /// Ends the input: nothing waits any longer.
    pub fn finish(&mut self) {
        for key in 0..self.keys.len() as u32 {
            if self.keys[key as usize].lists.held() > 0 {
                self.touch(key, false);
                self.forget_all(key);
            }
        }
    }

    /// Lets go of what has left a window at `time`, and of keys that nothing is left of. To be called between journals.
    pub fn clear_expired(&mut self, time: i64) {
        while let Some((at, key)) = self.expiring.front().copied()
            && at <= time
        {
            self.expiring.pop_front();
            let entry = &mut self.keys[key as usize];
            entry.queued = false;
            let bound = self.steps.within;
            let starts = &mut entry.starts;
            while starts.at.get(starts.over).is_some_and(|start| bound.is_over(*start, time)) {
                starts.over += 1;
            }
            self.let_go(key);
        }
    }

    /// Lets go of what a key does not need any more, and of the key if that is all.
    pub(super) fn let_go(&mut self, key: u32) {
        let entry = &mut self.keys[key as usize];
        entry.let_go(&self.steps);
        if let (Bound::Nanoseconds(within), Some(start), false) =
            (self.steps.within, entry.starts.at.front(), entry.queued)
        {
            entry.queued = true;
            self.expiring.push_back((start.saturating_add(within), key));
        }
        self.count(key);
        let entry = &self.keys[key as usize];
        if entry.entries == 0 && entry.matches == 0 && !entry.queued {
            self.forget(key);
        }
    }

    /// Puts keys that were not queued in order of time where they belong.
    pub(super) fn put_expiring_in_order(&mut self) {
        self.expiring.make_contiguous().sort_unstable();
    }

    /// Counts what a key holds.
    pub(super) fn count(&mut self, key: u32) {
        let entry = &mut self.keys[key as usize];
        self.bytes -= entry.bytes;
        self.entries -= entry.entries;
        entry.bytes = entry.count_bytes();
        entry.entries = entry.lists.held();
        self.bytes += entry.bytes;
        self.entries += entry.entries;
    }

    fn forget(&mut self, key: u32) {
        let entry = std::mem::take(&mut self.keys[key as usize]);
        self.bytes -= entry.bytes;
        self.entries -= entry.entries;
        let hash = HASHER.hash_one(&*entry.key);
        let known = self.by_key.find_entry(hash, |known| *known == key);
        known.expect("a key is found by its hash").remove();
        self.free.push(key);
    }

    /// Where the lists of a key stand.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        self.by_key.find(HASHER.hash_one(key), |known| *self.keys[*known as usize].key == *key).copied()
    }

    /// Makes lists for a key that has none.
    pub(super) fn add(&mut self, key: &[u8]) -> u32 {
        let entry = KeyLists::new(key, &self.steps);
        let place = match self.free.pop() {
            Some(place) => {
                self.keys[place as usize] = entry;
                place
            }
            None => {
                if self.keys.is_empty() {
                    // A rule without keys has one, and no more.
                    self.keys.reserve_exact(1);
                }
                self.keys.push(entry);
                self.keys.len() as u32 - 1
            }
        };
        let keys = &self.keys;
        let hash = |place: &u32| HASHER.hash_one(&*keys[*place as usize].key);
        self.by_key.insert_unique(HASHER.hash_one(key), place, hash);
        place
    }

    /// Remembers how a key is, once.
    pub(super) fn touch(&mut self, key: u32, is_new: bool) {
        let entry = &mut self.keys[key as usize];
        if std::mem::replace(&mut entry.touched, true) {
            return;
        }
        let undo = &mut self.undo;
        undo.lists.extend(entry.lists.of.iter().map(|list| (list.rows.len() as u32, list.rising)));
        undo.open.extend_from_slice(&entry.lists.open);
        undo.marks.push(Mark {
            key,
            is_new,
            starts: entry.starts.rows.len() as u32,
            position: entry.position,
            matches: entry.matches,
            forgotten: None,
        });
    }

    /// Forgets all rows of a key that has been touched.
    pub(super) fn forget_all(&mut self, key: u32) {
        let entry = &mut self.keys[key as usize];
        let lists = std::mem::replace(&mut entry.lists, Lists::new(&self.steps));
        let starts = std::mem::take(&mut entry.starts);
        // What is to be put back keeps all its entries; what has come since need not.
        if lists.keeps_all {
            let mark = self.undo.marks.iter_mut().rev().find(|mark| mark.key == key);
            mark.expect("it has been touched").forgotten = Some(Box::new((lists, starts, entry.base)));
        }
    }
}
