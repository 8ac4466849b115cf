//! The lists, and which entries of one a row of the next step may follow.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::candidates::{Candidates, NumberRange};
use super::compile::{Access, Code, Following, JoinedLists, Step};

/// Entries of a list before it is worth dropping some.
const ENTRIES_KEPT: usize = 1 << 9;

/// Entries of a block. A bit each of one word.
const BLOCK: u32 = 64;

/// No entry.
const NONE: u32 = u32::MAX;

/// Rows that reached one step, ascending: an entry a row, or an entry for each that the row may follow.
///
/// Entries are known by the number they came with; the first `dropped`, a multiple of [`BLOCK`], are gone.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) dropped: u32,
    /// Positions of the rows.
    pub(super) rows: Vec<u32>,
    /// `candidates[i]`: the row among the candidates of the step.
    pub(super) candidates: Vec<u32>,
    /// `starts[i]`: the latest row that a run which has reached entry i can have begun at.
    starts: Vec<u32>,
    /// Whether `starts` never falls.
    rising: bool,
    /// Where what the entry follows is found in the list before; of a step that is split: the one entry that it follows.
    pub(super) sought: Vec<Sought>,
    /// What entries know, by the step's codes.
    numbers: Vec<Vec<i64>>,
    /// Of a list that is looked through by hash: the entry before of the same number, or [`NONE`].
    same: Vec<u32>,
    /// Of a list that is looked through by order: least and greatest number of each block.
    bounds: Vec<(i64, i64)>,
    /// Of a list whose entries are followed by the first row that fits each: which are not followed yet, by block.
    open: Vec<u64>,
    /// How many entries there are when it is next worth looking for some to drop.
    full: usize,
}

/// Where a row's predecessors are found: entries from `low` on, the last of which is `last` (by hash, where a chain of them
/// begins) or one before `last` (otherwise).
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    low: u32,
    pub(super) last: u32,
}

impl List {
    #[inline]
    fn end(&self) -> u32 {
        self.dropped + self.rows.len() as u32
    }

    #[inline]
    pub(super) fn place(&self, entry: u32) -> usize {
        (entry - self.dropped) as usize
    }

    #[inline]
    pub(super) fn row(&self, entry: u32) -> u32 {
        self.rows[self.place(entry)]
    }

    /// The first entry of a row from `row` on.
    fn first_from(&self, row: u32) -> u32 {
        self.dropped + self.rows.partition_point(|known| *known < row) as u32
    }

    fn block(&self, entry: u32) -> usize {
        (entry / BLOCK - self.dropped / BLOCK) as usize
    }

    fn clear(&mut self) {
        let Self { rows, candidates, starts, sought, numbers, same, bounds, open, .. } = self;
        [rows, candidates, starts, same].into_iter().for_each(Vec::clear);
        sought.clear();
        numbers.iter_mut().for_each(Vec::clear);
        bounds.clear();
        open.clear();
        (self.dropped, self.rising, self.full) = (0, true, ENTRIES_KEPT);
    }

    /// Drops blocks of entries of rows before `row`.
    fn drop_before(&mut self, row: u32) {
        let gone = (self.first_from(row) - self.dropped) / BLOCK * BLOCK;
        let (entries, blocks) = (gone as usize, (gone / BLOCK) as usize);
        fn drop<T>(values: &mut Vec<T>, gone: usize) {
            values.drain(..gone.min(values.len()));
        }
        let Self { rows, candidates, starts, sought, numbers, same, bounds, open, .. } = self;
        [rows, candidates, starts, same].into_iter().for_each(|column| drop(column, entries));
        drop(sought, entries);
        numbers.iter_mut().for_each(|numbers| drop(numbers, entries));
        drop(bounds, blocks);
        drop(open, blocks);
        self.dropped += gone;
        self.full = (2 * self.rows.len()).max(ENTRIES_KEPT);
    }

    fn bytes(&self) -> usize {
        let numbers: usize = self.numbers.iter().map(|numbers| numbers.capacity() * 8).sum();
        (self.rows.capacity() + self.candidates.capacity() + self.starts.capacity() + self.same.capacity())
            * 4
            + self.sought.capacity() * size_of::<Sought>()
            + numbers
            + self.bounds.capacity() * 16
            + self.open.capacity() * 8
    }
}

/// How the entries of a step are found by the rows of the next.
#[derive(Debug, Default)]
struct Index {
    /// By hash: the last entry of each number.
    heads: HashMap<i64, u32, FixedState>,
    /// One past the last entry that stands in it.
    known: u32,
    /// How many of the rows that must not come have come.
    absent: usize,
}

impl Index {
    /// Puts entries of rows before `row` in it.
    fn put(&mut self, numbers: &[i64], dropped: u32, rows: &[u32], same: &mut [u32], row: u32) {
        self.known = self.known.max(dropped);
        while let Some(known) = rows.get((self.known - dropped) as usize)
            && *known < row
        {
            let place = (self.known - dropped) as usize;
            same[place] = self.heads.insert(numbers[place], self.known).unwrap_or(NONE);
            self.known += 1;
        }
    }
}

/// The lists of one partition.
#[derive(Debug)]
pub(super) struct Lists<'a> {
    pub(super) steps: &'a [Step],
    candidates: &'a [Candidates],
    pub(super) of: Vec<List>,
    /// `indexes[s]`: of the list that rows of step s follow; the first is of no use.
    indexes: Vec<Index>,
    /// Entries that were made, and those that were looked at: counts of work.
    pub(super) made: u64,
    pub(super) looked_at: u64,
}

impl<'a> Lists<'a> {
    pub(super) fn new(joined: &'a JoinedLists, candidates: &'a [Candidates]) -> Self {
        let list = |step: &Step| List { numbers: vec![vec![]; step.codes.len()], ..List::default() };
        // What the last step takes stands in no list.
        let held = &joined.steps[..joined.steps.len() - 1];
        Self {
            of: held.iter().map(list).collect(),
            indexes: joined.steps.iter().map(|_| Index::default()).collect(),
            steps: &joined.steps,
            candidates,
            made: 0,
            looked_at: 0,
        }
    }

    /// Forgets everything: another partition begins.
    pub(super) fn clear(&mut self) {
        self.of.iter_mut().for_each(List::clear);
        for index in &mut self.indexes {
            index.heads.clear();
            index.known = 0;
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let heads = self.indexes.iter().map(|index| index.heads.capacity() * 24).sum::<usize>();
        heads + self.of.iter().map(List::bytes).sum::<usize>()
    }

    /// Where a candidate of a step, which is not the first, finds what it may follow. Candidates are asked for in order, once
    /// each. `since`: the first row that it can follow.
    pub(super) fn seek(&mut self, step: usize, candidate: usize, since: u32) -> Sought {
        let (before, index) = (&mut self.of[step - 1], &mut self.indexes[step]);
        let row = self.candidates[step].rows[candidate];
        let low = if since == 0 { 0 } else { before.first_from(since) };
        let Access::Hashed(join) = self.steps[step].access else {
            let rows = &before.rows[before.place(index.known.max(before.dropped))..];
            index.known = index.known.max(before.dropped)
                + rows.iter().take_while(|known| **known < row).count() as u32;
            return Sought { low, last: index.known };
        };
        let numbers = &before.numbers[self.steps[step].asked.joins[join].code];
        let absent = &self.candidates[step].absent_of_key;
        loop {
            // Whoever has come to the step before by a row that must not come waits from the next row on.
            let ends = absent.get(index.absent).filter(|(absent, _)| *absent < row);
            index.put(
                numbers,
                before.dropped,
                &before.rows,
                &mut before.same,
                ends.map_or(row, |(row, _)| *row),
            );
            let Some((_, number)) = ends else { break };
            index.heads.remove(number);
            index.absent += 1;
            self.looked_at += 1;
        }
        let number = self.candidates[step].ranges[join][candidate].low;
        let last = match self.steps[step].following {
            Following::FirstOfKey => index.heads.remove(&number),
            _ => index.heads.get(&number).copied(),
        };
        Sought { low, last: last.unwrap_or(NONE) }
    }

    /// Calls `take` with each entry that a candidate of a step may follow, and the latest row that a run there began at, if
    /// that is `first` or later; from the last entry to the first, until it says that it has enough.
    #[inline]
    pub(super) fn preceding(
        &self,
        step: usize,
        candidate: usize,
        sought: Sought,
        first: u32,
        mut take: impl FnMut(u32, u32) -> bool,
    ) -> u64 {
        let before = &self.of[step - 1];
        let mut looked_at = 0;
        let low = sought.low.max(before.dropped);
        let shape = &self.steps[step];
        let ranges = &self.candidates[step].ranges;
        let joins = |except: usize, place: usize| {
            shape.asked.joins.iter().zip(ranges).enumerate().all(|(index, (join, ranges))| {
                index == except || ranges[candidate].contains(before.numbers[join.code][place])
            })
        };
        let is_open = |entry: u32| {
            shape.following != Following::FirstOfEach
                || before.open[before.block(entry)] >> (entry % BLOCK) & 1 != 0
        };
        match shape.access {
            Access::Every => {
                for entry in (low..sought.last).rev() {
                    looked_at += 1;
                    let place = before.place(entry);
                    if before.rows[place] < first {
                        break;
                    }
                    let start = before.starts[place];
                    if start >= first && is_open(entry) && !take(entry, start) {
                        break;
                    }
                }
            }
            Access::Hashed(join) => {
                let mut entry = sought.last;
                while entry != NONE && entry >= low {
                    looked_at += 1;
                    let place = before.place(entry);
                    if before.rows[place] < first {
                        break;
                    }
                    let start = before.starts[place];
                    if start >= first && joins(join, place) && is_open(entry) && !take(entry, start) {
                        break;
                    }
                    entry = before.same[place];
                }
            }
            Access::Ordered(join) => {
                let (code, range) = (shape.asked.joins[join].code, ranges[join][candidate]);
                let mut end = sought.last;
                'blocks: while end > low {
                    let block = (end - 1) / BLOCK;
                    let begin = (block * BLOCK).max(low);
                    looked_at += 1;
                    if before.rows[before.place(end - 1)] < first {
                        break;
                    }
                    let (least, greatest) = before.bounds[before.block(end - 1)];
                    if range.low <= greatest && least <= range.high() {
                        let places = before.place(begin)..before.place(end - 1) + 1;
                        looked_at += places.len() as u64;
                        let mut held = in_range(&before.numbers[code][places], range);
                        while held != 0 {
                            let bit = 63 - held.leading_zeros();
                            held ^= 1 << bit;
                            let entry = begin + bit;
                            let place = before.place(entry);
                            let start = before.starts[place];
                            if start >= first && joins(join, place) && is_open(entry) && !take(entry, start) {
                                break 'blocks;
                            }
                        }
                    }
                    end = begin;
                }
            }
        }
        looked_at
    }

    /// The latest row, from `first` on, that a run began at which a candidate may follow.
    pub(super) fn latest_start(
        &mut self,
        step: usize,
        candidate: usize,
        sought: Sought,
        first: u32,
    ) -> Option<u32> {
        let before = &self.of[step - 1];
        let rising = before.rising;
        let mut latest = None;
        let looked_at = self.preceding(step, candidate, sought, first, |entry, start| {
            // No run begins behind the row that it has come to.
            if latest.is_some_and(|latest| latest >= before.row(entry)) {
                return false;
            }
            latest = latest.max(Some(start));
            !rising
        });
        self.looked_at += looked_at;
        latest
    }

    /// Adds an entry to the list of a step, which follows `sought` and can have begun at `start`.
    pub(super) fn add(&mut self, step: usize, candidate: usize, sought: Sought, start: u32) {
        let own = &self.candidates[step];
        if own.ends_here.get(candidate).copied().unwrap_or(false) {
            return;
        }
        let (before, list) = match step.checked_sub(1) {
            None => (None, &mut self.of[0]),
            Some(last) => {
                let (lists, rest) = self.of.split_at_mut(step);
                (Some(&lists[last]), &mut rest[0])
            }
        };
        let entry = list.end();
        list.rows.push(own.rows[candidate]);
        list.candidates.push(candidate as u32);
        list.rising &= list.starts.last().is_none_or(|last| *last <= start);
        list.starts.push(start);
        list.sought.push(sought);
        for (index, code) in self.steps[step].codes.iter().enumerate() {
            let number = match (code, before) {
                (Code::Carried(carried), Some(before)) => before.numbers[*carried][before.place(sought.last)],
                _ => own.numbers[index][candidate],
            };
            list.numbers[index].push(number);
        }
        let next = &self.steps[step + 1];
        match next.access {
            Access::Every => {}
            Access::Hashed(_) => list.same.push(NONE),
            Access::Ordered(join) => {
                let number = *list.numbers[next.asked.joins[join].code].last().expect("just added");
                match list.bounds.last_mut() {
                    Some((least, greatest)) if entry % BLOCK != 0 => {
                        (*least, *greatest) = ((*least).min(number), (*greatest).max(number));
                    }
                    _ => list.bounds.push((number, number)),
                }
            }
        }
        if next.following == Following::FirstOfEach {
            if entry % BLOCK == 0 {
                list.open.push(0);
            }
            *list.open.last_mut().expect("a block has been begun") |= 1 << (entry % BLOCK);
        }
        self.made += 1;
    }

    /// Settles that entries of the list before a step have been followed, where each is by the first row that fits it.
    pub(super) fn follow(&mut self, step: usize, entries: &[(u32, u32)]) {
        if self.steps[step].following != Following::FirstOfEach {
            return;
        }
        let before = &mut self.of[step - 1];
        for (entry, _) in entries {
            let block = before.block(*entry);
            before.open[block] &= !(1 << (entry % BLOCK));
        }
    }

    /// The entry that one of a step that is split follows.
    pub(super) fn followed(&self, step: usize, entry: u32) -> u32 {
        let list = &self.of[step];
        list.sought[list.place(entry)].last
    }

    /// Whether a list has numbers for so many entries more.
    pub(super) fn has_room(&self, step: usize, entries: usize) -> bool {
        ((NONE - self.of[step].end()) as usize) > entries
    }

    /// Drops what has left the window, whose first row is `first`, where it is half of a list or more.
    pub(super) fn drop_before(&mut self, first: u32) {
        for (step, list) in self.of.iter_mut().enumerate() {
            if list.rows.len() < list.full {
                continue;
            }
            list.drop_before(first);
            let index = &mut self.indexes[step + 1];
            if index.heads.len() > 2 * list.rows.len().max(ENTRIES_KEPT) {
                index.heads.retain(|_, head| *head >= list.dropped);
            }
        }
    }
}

impl Sought {
    /// One entry.
    pub(super) fn one(entry: u32) -> Self {
        Self { low: entry, last: entry }
    }

    /// Nothing comes before the first step.
    pub(super) fn nothing() -> Self {
        Self { low: 0, last: 0 }
    }
}

/// A bit for each of at most 64 numbers: whether it is in a range.
#[inline]
fn in_range(numbers: &[i64], range: NumberRange) -> u64 {
    numbers.iter().enumerate().fold(0, |held, (bit, number)| held | u64::from(range.contains(*number)) << bit)
}
