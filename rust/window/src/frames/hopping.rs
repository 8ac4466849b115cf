//! Windows of a grid that overlap.
//!
//! Rows are put to *slices*: the stretches between two times at which some window starts or ends (Krishnamurthy, Wu and
//! Franklin, *On-the-fly sharing for streamed aggregation*, SIGMOD 2006), of which there are at most two from one window to the
//! next. A window is the slices in it, joined. So that this costs the same however many slices there are, they stand in two
//! parts, as in [`crate::slider`]: of a slice of the front each key has what is known of it and all slices behind it in
//! that part; of the back each key has one state. When the front is used up, the back becomes it, from its last slice on: at
//! windows that the grid says, so that floats are joined in the same way whatever came before, and threads agree.
//! Only slices that a key has rows in are kept for it, and only they are joined.
//!
//! A window's keys are told of in the order of their first parts. Those with a part in the oldest slice stand there in that order;
//! the others of the front, and those of the back alone, are kept in it.
//!
//! - Time: O(1) a row; O(1) a key and slice that it has rows in, amortised; O(1) a window that is reported.
//! - Space: a state for each key and slice that it has rows in, and one for each key; 20 bytes a key.

use std::collections::VecDeque;
use std::ops::Range;

use crate::arena::NONE;
use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::key_places::KeyPlaces;
use crate::frames::tumbling::start_before;
use crate::frames::{Complete, Renumbered, Table};
use crate::saved::{SavedFrame, SavedSlice, SavedTable, are_keys};
use crate::state::Chunk;

/// Most windows that are told of at once: a step far shorter than the window makes as many of a single row as there are steps.
const WINDOWS_MAX: usize = 1 << 26;

/// So many windows, or as many as end together, are told of at a time: what they are put together in stays near.
const TOLD_TOGETHER: usize = 1 << 13;

/// Where so many windows are told of at a time, what they were put together in is not kept for the next.
const KEPT_MAX: usize = 1 << 15;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Hopping {
    size: i64,
    every: i64,
    offset: i64,
    /// The oldest first: those of the front, of which there are so many, then of the back, then those that no window has ended with.
    slices: VecDeque<Slice>,
    front: usize,
    back: usize,
    /// Of keys in the slices of the front, from the one on that was the oldest when it was made.
    fronts: Table,
    front_keys: Vec<u32>,
    /// `next[p]`: where in the front the key of place `p` comes next.
    next: Vec<u32>,
    /// Places of keys in the front whose first part is not of its oldest slice, ascending.
    later: Vec<u32>,
    /// Of keys in the slices behind the front, and likewise, of those of the back, where the key comes next.
    parts: Table,
    places: KeyPlaces,
    next_part: Vec<u32>,
    /// Of the back: one for each key, in the order of their first parts, whose places stand with them.
    backs: Table,
    back_firsts: Vec<u32>,
    /// Places of those among them whose keys have no part in the front, ascending.
    only_back: Vec<u32>,
    /// By key: the number of its last part in the front or the back (0: it has had none), and where its state of the back stands.
    lasts: Vec<u64>,
    back_of: Vec<u32>,
    /// The windows up to this end have been reported.
    reported: Option<i64>,
    /// The front was last made anew for windows that begin in this block of the grid.
    block: Option<i128>,
    /// No row before this time comes any more, and perhaps none at all.
    until: Option<i64>,
    is_over: bool,
    found: Complete,
    /// The windows that were found, joined.
    windows: Table,
    /// How many have been told of since none was due.
    told: usize,
    slots: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    start: i64,
    end: i64,
    /// The number of its first part.
    first: u64,
}

impl Hopping {
    pub(crate) fn new((size, every, offset): (i64, i64, i64), columns: &[Column]) -> Self {
        let parts = Table::new(columns);
        Self {
            size,
            every,
            offset,
            slices: VecDeque::new(),
            front: 0,
            back: 0,
            fronts: parts.none(),
            front_keys: vec![],
            next: vec![],
            later: vec![],
            backs: parts.none(),
            back_firsts: vec![],
            only_back: vec![],
            windows: parts.none(),
            parts,
            places: KeyPlaces::new(),
            next_part: vec![],
            lasts: vec![],
            back_of: vec![],
            reported: None,
            block: None,
            until: None,
            is_over: false,
            found: Complete::default(),
            told: 0,
            slots: vec![],
        }
    }

    /// Has it tell of those windows only that begin at `start` or later.
    pub(crate) fn begin_at(&mut self, start: i64) {
        self.reported = Some(start + (self.size - self.every));
    }

    pub(crate) fn push(&mut self, rows: &Chunk<'_>) -> Result<(), WindowError> {
        debug_assert!(!self.is_over, "what the end of the input completes has been told of");
        let args = self.parts.args(&rows.args.of)?;
        self.grow(rows.num_keys);
        self.slots.clear();
        let mut row = 0;
        // First all rows are put to their slices: those of later ones change nothing in windows that end before them.
        while let Some(time) = rows.times.get(row) {
            let slice = self.slice_of(*time);
            let own = rows.times[row..].partition_point(|time| *time < slice.end);
            self.places.put(&rows.keys[row..row + own], slice.first, &mut self.slots);
            row += own;
        }
        self.parts.grow(self.places.len());
        self.parts.add_all(&self.slots, &args, 0);
        if let Some(time) = rows.times.last() {
            self.advance(*time);
        }
        Ok(())
    }

    fn grow(&mut self, num_keys: usize) {
        self.places.grow(num_keys);
        self.lasts.resize(num_keys, 0);
        self.back_of.resize(num_keys, NONE);
    }

    /// The slice that a row of this time is in, which is made if it is not there.
    fn slice_of(&mut self, time: i64) -> Slice {
        if let Some(last) = self.slices.back()
            && time < last.end
        {
            return *last;
        }
        let (start, end) = self.slice_around(time).expect("windows of rows begin and end within 64 bits");
        let slice = Slice { start, end, first: self.places.end() };
        self.slices.push_back(slice);
        slice
    }

    /// Start and end of the slice that a time is in; `None`: they are not within 64 bits.
    fn slice_around(&self, time: i64) -> Option<(i64, i64)> {
        let window = i64::try_from(start_before(i128::from(time), self.every, self.offset)).ok()?;
        // Windows end at this distance from the start of another.
        let phase = self.size % self.every;
        let edge = window + phase;
        let next = window.checked_add(self.every)?;
        Some(match phase {
            0 => (window, next),
            _ if time < edge => (window, edge),
            _ => (edge, next),
        })
    }

    /// No row before `time` comes any more.
    pub(crate) fn advance(&mut self, time: i64) {
        self.until = self.until.max(Some(time));
        self.report_due();
    }

    /// Reports windows that have ended, so many at a time.
    fn report_due(&mut self) {
        while self.found.keys.len() < TOLD_TOGETHER
            && let Some(end) = self.next_end().filter(|end| Some(*end) <= self.until)
        {
            self.report(end);
        }
        if self.found.keys.is_empty() {
            self.told = 0;
            if self.is_over {
                self.begin_anew();
            }
        }
    }

    /// Whether more windows may be told of at once than can be when rows of these times come, and no more before `until`;
    /// `None`: the input ends.
    pub(crate) fn may_be_too_many(&self, times: &[i64], until: Option<i64>) -> bool {
        let oldest = self.slices.front().map(|slice| slice.start).or(times.first().copied());
        let newest = times.last().copied().or(self.slices.back().map(|slice| slice.end));
        let (Some(oldest), Some(newest)) = (oldest, newest) else { return false };
        let (size, every) = (i128::from(self.size), i128::from(self.every));
        let of_a_part = size / every + 1;
        let last = i128::from(newest) + size;
        let last = until.map_or(last, |until| last.min(i128::from(until)));
        let steps = (last - i128::from(oldest)).max(0) / every + 2;
        let live = (self.places.end() - self.first_left()) as usize;
        let (parts, keys) = (live + times.len(), self.lasts.len() + times.len());
        (parts as i128 * of_a_part).min(keys as i128 * steps) > WINDOWS_MAX as i128
    }

    /// Where the next window ends that a slice may be in and that has not been reported.
    fn next_end(&self) -> Option<i64> {
        let (size, every) = (i128::from(self.size), i128::from(self.every));
        // The first window that ends behind the start of the oldest slice.
        let of_oldest = start_before(i128::from(self.slices.front()?.start) - size, self.every, self.offset)
            + every
            + size;
        let unreported = self.reported.map_or(of_oldest, |end| of_oldest.max(i128::from(end) + every));
        // Those of all rows end within 64 bits.
        i64::try_from(unreported).ok()
    }

    /// No row comes any more.
    pub(crate) fn finish(&mut self) {
        self.is_over = true;
        self.advance(i64::MAX);
    }

    /// Rows that come after all begin anew: windows that have been told of may be of them, too, and no slice that there was.
    fn begin_anew(&mut self) {
        self.forget_back();
        self.forget_front();
        self.parts = self.parts.none();
        self.places.leave(self.places.len());
        self.next_part.clear();
        self.slices.clear();
        (self.front, self.back) = (0, 0);
        (self.reported, self.block, self.until, self.is_over) = (None, None, None, false);
    }

    fn report(&mut self, end: i64) {
        let start = end - self.size;
        let block = self.block_of(start);
        if self.block != Some(block) {
            // What earlier windows have been told of, or could have been.
            self.add_until(end - self.every);
            self.leave(start);
            debug_assert_eq!(self.front, 0, "the front is used up");
            self.turn();
            self.block = Some(block);
        }
        self.add_until(end);
        self.reported = Some(end);
        self.leave(start);
        debug_assert!(self.slices.front().is_none_or(|slice| slice.start >= start), "the back is newer");
        let oldest = if self.front > 0 { self.in_front(0) } else { 0..0 };
        let in_front = oldest.len() + self.later.len();
        let keys = &mut self.found.keys;
        let before = keys.len();
        keys.extend_from_slice(&self.front_keys[oldest.start as usize..oldest.end as usize]);
        keys.extend(self.later.iter().map(|place| self.front_keys[*place as usize]));
        let mut fronts: Vec<u32> = oldest.collect();
        fronts.extend_from_slice(&self.later);
        fronts.resize(in_front + self.only_back.len(), NONE);
        let mut backs: Vec<u32> = keys[before..].iter().map(|key| self.back_of[*key as usize]).collect();
        backs.extend_from_slice(&self.only_back);
        let key_of = |slot: &u32| self.places.keys()[self.back_firsts[*slot as usize] as usize];
        keys.extend(self.only_back.iter().map(key_of));
        self.windows.append_joined((&self.fronts, &fronts), (&self.backs, &backs));
        self.found.starts.resize(self.found.keys.len(), start);
        self.found.ends.resize(self.found.keys.len(), end);
    }

    /// Which of the blocks of the grid a window begins in: as long as the windows, or shorter by less than a step.
    fn block_of(&self, start: i64) -> i128 {
        let windows = i128::from(self.size / self.every);
        let number = (i128::from(start) - i128::from(self.offset)).div_euclid(i128::from(self.every));
        number.div_euclid(windows)
    }

    /// Joins slices that end by then with the back.
    fn add_until(&mut self, end: i64) {
        while let Some(slice) = self.slices.get(self.front + self.back)
            && slice.end <= end
        {
            self.add_to_back();
        }
    }

    /// The number of the first part of the oldest slice.
    fn first_left(&self) -> u64 {
        self.slices.front().map_or(self.places.end(), |slice| slice.first)
    }

    /// The number of the first part that is not of this slice, nor of one before it.
    fn end_of(&self, slice: usize) -> u64 {
        self.slices.get(slice + 1).map_or(self.places.end(), |next| next.first)
    }

    /// Places of the parts of a slice of the front.
    fn in_front(&self, slice: usize) -> Range<u32> {
        let base = self.places.base() - self.front_keys.len() as u64;
        (self.slices[slice].first - base) as u32..(self.end_of(slice) - base) as u32
    }

    /// Places of the parts of a slice behind the front.
    fn behind_front(&self, slice: usize) -> Range<u32> {
        let base = self.places.base();
        (self.slices[slice].first - base) as u32..(self.end_of(slice) - base) as u32
    }

    /// Joins the first slice that is in no part with the back.
    fn add_to_back(&mut self) {
        let own = self.behind_front(self.front + self.back);
        let (base, first_left) = (self.places.base(), self.first_left());
        let known = self.back_firsts.len();
        let (mut into, mut of) = (Vec::with_capacity(own.len()), Vec::with_capacity(own.len()));
        self.next_part.resize(own.end as usize, NONE);
        let (lasts, back_of) = (&mut self.lasts[..], &mut self.back_of[..]);
        let keys = &self.places.keys()[own.start as usize..own.end as usize];
        for (place, key) in own.zip(keys) {
            let last = std::mem::replace(&mut lasts[*key as usize], base + u64::from(place));
            if last >= base {
                self.next_part[(last - base) as usize] = place;
                into.push(back_of[*key as usize]);
                of.push(place);
                continue;
            }
            let slot = self.back_firsts.len() as u32;
            back_of[*key as usize] = slot;
            self.back_firsts.push(place);
            if last < first_left {
                self.only_back.push(slot);
            }
        }
        self.backs.append(&self.parts, &self.back_firsts[known..]);
        self.backs.join(&into, &self.parts, &of);
        self.back += 1;
    }

    /// Lets slices of the front go that begin before `start`.
    fn leave(&mut self, start: i64) {
        if self.front == 0 {
            return;
        }
        while self.front > 0 && self.slices[0].start < start {
            let own = self.in_front(0);
            self.slices.pop_front();
            self.front -= 1;
            let oldest_ends = if self.front > 0 { self.in_front(0).end } else { own.end };
            let (mut later, mut only_back) = (vec![], vec![]);
            for place in own.start as usize..own.end as usize {
                let next = self.next[place];
                if next == NONE {
                    let back = self.back_of[self.front_keys[place] as usize];
                    only_back.extend((back != NONE).then_some(back));
                } else if next >= oldest_ends {
                    later.push(next);
                }
            }
            self.later.drain(..self.later.partition_point(|place| *place < oldest_ends));
            merge(&mut self.later, later);
            merge(&mut self.only_back, only_back);
        }
        if self.front == 0 {
            self.forget_front();
        }
    }

    fn forget_front(&mut self) {
        self.fronts.grow(0);
        self.front_keys.clear();
        self.next.clear();
        self.later.clear();
    }

    /// Makes the front anew of the back.
    fn turn(&mut self) {
        let oldest_ends = if self.back > 0 { self.behind_front(0).end } else { 0 };
        self.later.extend(self.back_firsts.iter().filter(|place| **place >= oldest_ends));
        self.forget_back();
        let parts = self.next_part.len();
        std::mem::swap(&mut self.next, &mut self.next_part);
        std::mem::swap(&mut self.fronts, &mut self.parts);
        self.parts.grow(0);
        // Those of slices that no window has ended with.
        let rest: Vec<u32> = (parts as u32..self.places.len() as u32).collect();
        // As many will come again before the front is next made anew.
        self.parts.reserve(self.places.len());
        self.parts.append(&self.fronts, &rest);
        self.fronts.grow(parts);
        self.fronts.join_next(&self.next);
        self.front_keys = self.places.leave(parts);
        (self.front, self.back) = (self.back, 0);
    }

    /// Keys have nothing in the back any more.
    fn forget_back(&mut self) {
        for place in self.back_firsts.drain(..) {
            self.back_of[self.places.keys()[place as usize] as usize] = NONE;
        }
        self.backs.grow(0);
        self.only_back.clear();
    }

    pub(crate) fn has_complete(&self) -> bool {
        !self.found.keys.is_empty()
    }

    /// Tells of windows that are complete, some at a time.
    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let windows = self.found.keys.len();
        self.told += windows;
        if self.told > WINDOWS_MAX {
            return Err(WindowError::TooMany { limit: WINDOWS_MAX as u64 });
        }
        let values = self.windows.finish(0..windows, slots)?;
        if windows > KEPT_MAX {
            self.windows = self.windows.none();
        } else {
            self.windows.drop_first(windows);
        }
        let found = std::mem::take(&mut self.found);
        self.report_due();
        Ok(Complete { values, ..found })
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        // Parts of slices that are gone go with them.
        let live = if self.front > 0 { self.in_front(0).start } else { self.front_keys.len() as u32 };
        let front: Vec<u32> = (live..self.front_keys.len() as u32).collect();
        let behind: Vec<u32> = (0..self.places.len() as u32).collect();
        let mut parts = self.fronts.some(&front);
        parts.append(&self.parts, &behind);
        let slices = self.slices.iter().enumerate().map(|(place, slice)| {
            let keys = if place < self.front {
                let own = self.in_front(place);
                &self.front_keys[own.start as usize..own.end as usize]
            } else {
                let own = self.behind_front(place);
                &self.places.keys()[own.start as usize..own.end as usize]
            };
            SavedSlice { start: slice.start, end: slice.end, keys: keys.to_vec() }
        });
        let next =
            self.next[live as usize..].iter().map(|next| if *next == NONE { NONE } else { next - live });
        let table = parts.save(&next.collect::<Vec<_>>())?;
        Some(SavedFrame::Hopping { slices: slices.collect(), reported: self.reported, table })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Hopping { slices, reported, table } = saved else { return None };
        let apart = |pair: &[SavedSlice]| pair[0].start < pair[1].start;
        let holds = |slice: &SavedSlice| {
            self.slice_around(slice.start) == Some((slice.start, slice.end))
                && !slice.keys.is_empty()
                && are_keys(slice.keys.iter().copied(), num_keys)
        };
        if !slices.windows(2).all(apart) || !slices.iter().all(holds) {
            return None;
        }
        let (mut front, mut back) = (0, 0);
        if let Some(end) = reported {
            let on_grid = i128::from(end) - i128::from(self.size) - i128::from(self.offset);
            if on_grid.rem_euclid(i128::from(self.every)) != 0 {
                return None;
            }
            let block = self.block_of(end.checked_sub(self.size)?);
            self.block = Some(block);
            // The front was made of what windows before its block had been told of; the back came since.
            let (size, every) = (i128::from(self.size), i128::from(self.every));
            let edge = block * (size / every) * every + i128::from(self.offset) - every + size;
            front = slices.partition_point(|slice| i128::from(slice.end) <= edge);
            back = slices.partition_point(|slice| slice.end <= end).max(front) - front;
        }
        self.grow(num_keys);
        for SavedSlice { start, end, keys } in slices {
            self.slices.push_back(Slice { start, end, first: self.places.end() });
            self.places.append(&keys);
        }
        self.load_front(front, &table)?;
        (0..back).for_each(|_| self.add_to_back());
        self.reported = reported;
        Some(())
    }

    /// Has the first so many slices be those of the front, whose parts are joined already: what leads from one to the next follows from
    /// their keys.
    fn load_front(&mut self, slices: usize, saved: &SavedTable) -> Option<()> {
        let first_left = self.first_left();
        let parts = if slices > 0 { (self.end_of(slices - 1) - first_left) as usize } else { 0 };
        let oldest_ends = if slices > 0 { self.end_of(0) } else { 0 };
        self.next.resize(parts, NONE);
        for (place, key) in self.places.keys()[..parts].iter().enumerate() {
            let number = first_left + place as u64;
            let last = std::mem::replace(&mut self.lasts[*key as usize], number);
            if last > 0 {
                self.next[(last - first_left) as usize] = place as u32;
            } else if number >= oldest_ends {
                self.later.push(place as u32);
            }
        }
        let all = self.places.len();
        self.fronts.load(saved, all, &self.next)?;
        let behind: Vec<u32> = (parts as u32..all as u32).collect();
        self.parts.append(&self.fronts, &behind);
        self.fronts.grow(parts);
        self.front_keys = self.places.leave(parts);
        self.front = slices;
        Some(())
    }

    pub(crate) fn keys_kept(&self, kept: &mut [bool]) {
        self.front_keys.iter().chain(self.places.keys()).for_each(|key| kept[*key as usize] = true);
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        keys.rename(&mut self.front_keys);
        self.places.renumber(keys);
        keys.retain(&mut self.lasts);
        keys.retain(&mut self.back_of);
    }

    pub(crate) fn bytes(&self) -> usize {
        let of_front = [&self.front_keys, &self.next, &self.later];
        let of_back = [&self.next_part, &self.back_firsts, &self.only_back, &self.back_of];
        let tables = [&self.fronts, &self.parts, &self.backs, &self.windows];
        tables.iter().map(|table| table.bytes()).sum::<usize>()
            + of_front.iter().chain(&of_back).map(|places| places.capacity() * 4).sum::<usize>()
            + self.places.bytes()
            + self.lasts.capacity() * 8
    }
}

/// Adds numbers to others, which ascend.
fn merge(into: &mut Vec<u32>, mut more: Vec<u32>) {
    if more.is_empty() {
        return;
    }
    more.sort_unstable();
    into.extend(more);
    // Two runs, which this finds and merges.
    into.sort();
}
