//! Step lists of a stream: what they keep between rows, key by key, and how a call grows them or is taken back.
//!
//! - Time: a row costs what it costs in a table, whatever is kept. A call that fails is taken back in time linear in the
//!   keys and the rows that it has touched.
//! - Space: that of the lists (see [`crate::step_lists`]), 12 bytes a row that matches may begin at under a window, and
//!   no more room in vectors than a quarter of that; of a key with few rows, 24 bytes each (see [`super::few_rows`]).

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::compile::StepLists;
use super::few_rows::FewRows;
use super::key_lists::{KeyLists, Starts};
use super::lists::Lists;
use super::scratch::{Actions, Scratch};
use crate::lists::window::Bound;

/// Places of fewer keys than this are never given back.
const PLACES_KEPT: usize = 1024;

/// Keys whose state is asked for at once.
pub(super) const KEYS_AHEAD: usize = 32;

/// Hashes keys.
const HASHER: FixedState = FixedState::with_seed(0);

/// Everything that step lists keep between rows.
///
/// Between [`begin`](Self::begin) and [`commit`](Self::commit) or [`roll_back`](Self::roll_back) it can be put back as it
/// was: entries that are added are cut off again, and those that are to go stay until then.
#[derive(Clone, Debug)]
pub struct StepListsState {
    pub(super) steps: Arc<StepLists>,
    pub(super) keys: Vec<Key>,
    /// Places in `keys` without a key.
    free: Vec<u32>,
    /// Keys forgotten since memory was last given back.
    forgotten: usize,
    /// Where keys stand in `keys`.
    by_key: HashTable<u32>,
    /// Keys with rows that leave a window by time, and about when the first does.
    expiring: VecDeque<(i64, u32)>,
    /// Entries of all lists, and bytes of all keys.
    entries: usize,
    bytes: usize,
    pub(super) work: StreamWork,
    pub(super) undo: Undo,
    pub(super) actions: Actions,
}

/// The bytes of a key, in place if they are as short as a number or two.
pub(super) type KeyName = SmallVec<[u8; 16]>;

/// A key of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    pub(super) name: KeyName,
    pub(super) kept: Kept,
    /// Rows of the key so far, where the window counts rows.
    pub(super) position: u64,
    /// Matches so far.
    pub(super) matches: u64,
    /// Bytes and entries, as they are counted in the state.
    pub(super) bytes: usize,
    pub(super) entries: u32,
    /// Whether it is in the queue of those whose rows leave the window.
    pub(super) queued: bool,
    /// Whether it has been touched since the state began to remember how things were.
    pub(super) touched: bool,
}

/// What is kept of a key: its rows, while they are few, or lists.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Few(FewRows),
    Lists(Box<KeyLists>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::Few(FewRows::default())
    }
}

/// Counts of work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamWork {
    pub(super) rows: u64,
    pub(super) entries: u64,
}

/// How things were.
#[derive(Clone, Debug, Default)]
pub(super) struct Undo {
    marks: Vec<Mark>,
    /// Entries of each list, and whether their starts rise, of one key with lists behind the other.
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
    position: u64,
    matches: u64,
    was: Was,
}

/// What was kept of a key.
#[derive(Clone, Debug)]
enum Was {
    /// So many rows, which still stand first, and entries.
    Few(usize, u32),
    /// Rows that lists have taken the place of.
    Rows(FewRows),
    Lists(Box<WereLists>),
}

#[derive(Clone, Debug)]
struct WereLists {
    /// Which of the keys with lists that have been touched it is.
    place: usize,
    /// Rows that matches may begin at.
    starts: usize,
    /// Its lists, since when all of them were forgotten, and the row that was number 1 in them.
    forgotten: Option<(Lists, Starts, u64)>,
}

impl StepListsState {
    /// A state without rows.
    pub fn new(steps: Arc<StepLists>) -> Self {
        Self {
            keys: vec![],
            free: vec![],
            forgotten: 0,
            by_key: HashTable::new(),
            expiring: VecDeque::new(),
            entries: 0,
            bytes: 0,
            work: StreamWork::default(),
            undo: Undo::default(),
            actions: steps.actions(),
            steps,
        }
    }

    /// Goes on with another compilation of the same pattern.
    pub fn rebind(&mut self, steps: Arc<StepLists>) {
        if steps.conditions.of_variable != self.steps.conditions.of_variable {
            // What rows satisfy goes by other numbers then; lists do not.
            for key in 0..self.keys.len() as u32 {
                self.make_lists(key);
            }
        }
        self.actions = steps.actions();
        self.steps = steps;
    }

    /// Keeps lists of a key in the place of its rows.
    fn make_lists(&mut self, key: u32) {
        let entry = &mut self.keys[key as usize];
        if let Kept::Few(few) = &entry.kept
            && !few.useful().is_empty()
        {
            let mut lists = Box::new(KeyLists::new(&self.steps));
            lists.make_of(&self.steps, &mut self.actions, few.useful());
            entry.kept = Kept::Lists(lists);
            self.let_go(key);
        }
    }

    pub(super) fn steps(&self) -> &StepLists {
        &self.steps
    }

    /// The keys there are.
    pub(super) fn occupied(&self) -> impl Iterator<Item = &Key> {
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
            + self.keys.capacity() * size_of::<Key>()
            + self.by_key.capacity() * size_of::<u32>()
            + self.expiring.capacity() * size_of::<(i64, u32)>()
    }

    /// Calls `visit` with every row that is still needed, some of them several times.
    pub fn rows_needed(&self, visit: &mut dyn FnMut(u64)) {
        // Places without a key have none, and as they stand they are read one behind the other.
        for key in &self.keys {
            match &key.kept {
                Kept::Few(few) => few.useful().iter().for_each(|row| visit(row.ordinal)),
                Kept::Lists(kept) => {
                    let rows = kept.lists.of.iter().flat_map(|list| &list.rows);
                    rows.for_each(|row| visit(kept.ordinal(*row)));
                }
            }
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
        for some in marks.chunks(KEYS_AHEAD) {
            self.ask_for(some.iter().map(|mark| mark.key));
            for mark in some {
                self.keys[mark.key as usize].touched = false;
                self.let_go(mark.key);
            }
        }
        self.undo = Undo::default();
        self.give_back_room();
    }

    /// Takes back what has been done since [`begin`](Self::begin).
    pub fn roll_back(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        let (places, edges) = (self.steps.places.len(), self.steps.edges.len());
        for mark in undo.marks {
            if mark.is_new {
                self.forget(mark.key);
                continue;
            }
            let entry = &mut self.keys[mark.key as usize];
            match (&mut entry.kept, mark.was) {
                (Kept::Few(few), Was::Few(rows, waiting)) => few.put_back(rows, waiting),
                (kept, Was::Rows(few)) => *kept = Kept::Few(few),
                (Kept::Lists(kept), Was::Lists(were)) => {
                    if let Some(forgotten) = were.forgotten {
                        (kept.lists, kept.starts, kept.base) = forgotten;
                    }
                    let before = &undo.lists[were.place * places..][..places];
                    for (list, (entries, rising)) in kept.lists.of.iter_mut().zip(before) {
                        list.truncate(*entries as usize);
                        list.rising = *rising;
                    }
                    kept.lists.open.copy_from_slice(&undo.open[were.place * edges..][..edges]);
                    kept.starts.of.truncate(were.starts);
                    kept.starts.over = 0;
                }
                _ => unreachable!("lists do not become rows while a call lasts"),
            }
            let entry = &mut self.keys[mark.key as usize];
            (entry.position, entry.matches) = (mark.position, mark.matches);
            entry.touched = false;
            self.count(mark.key);
        }
        self.work = undo.work;
    }

    /// Ends the input: nothing waits any longer.
    pub fn finish(&mut self) {
        for key in 0..self.keys.len() as u32 {
            if self.keys[key as usize].entries > 0 {
                self.touch(key, false);
                self.forget_all(key);
                self.count(key);
            }
        }
    }

    /// Lets go of what has left a window at `time`, and of keys that nothing is left of. To be called between journals.
    pub fn clear_expired(&mut self, time: i64, scratch: &mut Scratch) {
        loop {
            let due = self.expiring.iter().take_while(|(at, _)| *at <= time).take(KEYS_AHEAD);
            let due = self.ask_for(due.map(|(_, key)| *key));
            if due == 0 {
                break;
            }
            for (_, key) in self.expiring.drain(..due).collect::<SmallVec<[_; KEYS_AHEAD]>>() {
                let entry = &mut self.keys[key as usize];
                entry.queued = false;
                match &mut entry.kept {
                    Kept::Few(few) => few.expire(&self.steps, &mut self.actions, time),
                    Kept::Lists(kept) => kept.starts.pass(self.steps.within, time),
                }
                self.look_over(key, scratch);
                self.let_go(key);
            }
        }
        self.give_back_room();
    }

    /// Lets go of keys that were kept for the time when their rows leave a window: the input has ended. To be called between
    /// journals.
    pub fn clear_ended(&mut self) {
        self.expiring.drain(..).for_each(|(_, key)| self.keys[key as usize].queued = false);
        let keys: Vec<u32> = self.by_key.iter().copied().collect();
        keys.into_iter().for_each(|key| self.let_go(key));
        self.give_back_room();
    }

    /// Finds out which of a key's few rows are still of use.
    pub(super) fn look_over(&mut self, key: u32, scratch: &mut Scratch) {
        let entry = &mut self.keys[key as usize];
        if let Kept::Few(few) = &mut entry.kept
            && !few.useful().is_empty()
        {
            let mut lists = scratch.take_lists(&self.steps);
            lists.make_of(&self.steps, &mut self.actions, few.useful());
            lists.pass_over(&self.steps, entry.position, few, &mut vec![]);
            scratch.put_lists(lists);
        }
    }

    /// Lets go of what a key does not need any more, and of the key if that is all.
    pub(super) fn let_go(&mut self, key: u32) {
        let entry = &mut self.keys[key as usize];
        let first = match &mut entry.kept {
            Kept::Few(few) => {
                few.let_go();
                few.rows.first().map(|row| row.stands)
            }
            Kept::Lists(kept) => {
                kept.let_go(&self.steps, entry.position);
                kept.starts.of.front().map(|start| start.at())
            }
        };
        if let Kept::Lists(kept) = &entry.kept
            && kept.lists.held() == 0
        {
            entry.kept = Kept::default();
        } else if let (Bound::Nanoseconds(within), Some(start), false) =
            (self.steps.within, first, entry.queued)
        {
            entry.queued = true;
            if self.expiring.capacity() == 0 {
                // A rule without keys has one in the queue, and no more.
                self.expiring.reserve_exact(1);
            }
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
        self.entries -= entry.entries as usize;
        (entry.bytes, entry.entries) = match &entry.kept {
            Kept::Few(few) => (few.bytes(), few.waiting),
            // Some thousand millions of them do not fit in memory.
            Kept::Lists(kept) => (kept.bytes(), u32::try_from(kept.lists.held()).unwrap_or(u32::MAX)),
        };
        if entry.name.spilled() {
            entry.bytes += entry.name.len();
        }
        self.bytes += entry.bytes;
        self.entries += entry.entries as usize;
    }

    fn forget(&mut self, key: u32) {
        let entry = std::mem::take(&mut self.keys[key as usize]);
        self.bytes -= entry.bytes;
        self.entries -= entry.entries as usize;
        let hash = HASHER.hash_one(&*entry.name);
        let known = self.by_key.find_entry(hash, |known| *known == key);
        known.expect("a key is found by its hash").remove();
        self.free.push(key);
        self.forgotten += 1;
    }

    /// Gives memory back when few keys are left, which are put next to each other. To be called between journals.
    ///
    /// Cost: O(places), of which half as many keys have been forgotten since the last time.
    fn give_back_room(&mut self) {
        let places = self.keys.len();
        let mostly_free = self.free.len() > places - places / 8;
        if places <= PLACES_KEPT || !mostly_free || self.forgotten <= places / 2 {
            return;
        }
        self.forgotten = 0;
        let mut occupied: Vec<u32> = self.by_key.drain().collect();
        occupied.sort_unstable();
        let mut keys = Vec::with_capacity(occupied.len() * 2);
        let mut moved = vec![u32::MAX; places];
        for place in occupied {
            moved[place as usize] = keys.len() as u32;
            keys.push(std::mem::take(&mut self.keys[place as usize]));
        }
        let hash = |place: &u32| HASHER.hash_one(&*keys[*place as usize].name);
        self.by_key = HashTable::with_capacity(keys.len() * 2);
        for place in 0..keys.len() as u32 {
            self.by_key.insert_unique(hash(&place), place, hash);
        }
        for (_, key) in &mut self.expiring {
            *key = moved[*key as usize];
        }
        self.expiring.shrink_to(self.expiring.len() * 2);
        (self.keys, self.free) = (keys, vec![]);
    }

    /// Asks memory for what is kept of some keys, all at once: of many keys each is far from the others, and they are worked on one
    /// after the other. Gives how many they are.
    pub(super) fn ask_for(&self, keys: impl Iterator<Item = u32>) -> usize {
        let mut asked = 0;
        for key in keys {
            let entry = &self.keys[key as usize];
            black_box((entry.entries, entry.name.len()));
            asked += 1;
        }
        asked
    }

    /// Where a key stands.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        self.by_key.find(HASHER.hash_one(key), |known| *self.keys[*known as usize].name == *key).copied()
    }

    /// Adds a key that is not there.
    pub(super) fn add(&mut self, key: &[u8]) -> u32 {
        let entry = Key { name: KeyName::from_slice(key), ..Key::default() };
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
        let hash = |place: &u32| HASHER.hash_one(&*keys[*place as usize].name);
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
        let was = match &entry.kept {
            Kept::Few(few) => Was::Few(few.rows.len(), few.waiting),
            Kept::Lists(kept) => {
                let place = undo.lists.len() / self.steps.places.len();
                let lists = kept.lists.of.iter();
                undo.lists.extend(lists.map(|list| (list.rows.len() as u32, list.rising)));
                undo.open.extend_from_slice(&kept.lists.open);
                Was::Lists(Box::new(WereLists { place, starts: kept.starts.of.len(), forgotten: None }))
            }
        };
        undo.marks.push(Mark { key, is_new, position: entry.position, matches: entry.matches, was });
    }

    /// Forgets all rows of a key that has been touched.
    fn forget_all(&mut self, key: u32) {
        match &mut self.keys[key as usize].kept {
            Kept::Few(few) => few.forget(),
            Kept::Lists(kept) => self.undo.forget_lists(key, &self.steps, kept),
        }
    }
}

impl Undo {
    /// Forgets all rows of the lists of a key that has been touched.
    pub(super) fn forget_lists(&mut self, key: u32, steps: &StepLists, kept: &mut KeyLists) {
        let lists = std::mem::replace(&mut kept.lists, Lists::new(steps));
        let starts = std::mem::take(&mut kept.starts);
        // What is to be put back keeps all its entries; what has come since need not.
        if lists.keeps_all() {
            let mark = self.marks.iter_mut().rev().find(|mark| mark.key == key);
            if let Was::Lists(were) = &mut mark.expect("it has been touched").was {
                were.forgotten = Some((lists, starts, kept.base));
            }
        }
    }

    /// Remembers rows of a key that has been touched, whose place lists take.
    pub(super) fn keep_rows(&mut self, key: u32, mut few: FewRows) {
        let mark = self.marks.iter_mut().rev().find(|mark| mark.key == key).expect("it has been touched");
        if let Was::Few(rows, waiting) = mark.was {
            few.put_back(rows, waiting);
            mark.was = Was::Rows(few);
        }
    }
}
