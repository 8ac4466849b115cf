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
//! the others of the front, and those of the back alone, are marked, and found in it.
//!
//! - Time: O(1) a row; O(1) a key and slice that it has rows in, amortised; O(1) a window that is reported.
//! - Space: a state and 8 bytes for each key and slice that it has rows in, and a state for each key; 32 bytes a key. Slices keep
//!   their states apart, and leave them to those that come.

mod saved;

use std::collections::VecDeque;
use std::ops::Range;

use crate::arena::NONE;
use crate::compile::{Column, Slot};
use crate::edges::Together;
use crate::error::WindowError;
use crate::frames::key_places::KeyPlaces;
use crate::frames::marks::Marks;
use crate::frames::tumbling::start_before;
use crate::frames::{Complete, Renumbered, Table, ToldWindows};
use crate::state::Chunk;

/// Most windows that are told of at once: a step far shorter than the window makes as many of a single row as there are steps.
const WINDOWS_MAX: usize = 1 << 26;

/// So many windows, or as many as end together, are told of at a time.
const TOLD_TOGETHER: usize = 1 << 13;

/// So many slices that are gone leave their states to those that come: more have gone only where windows were told of late.
const SPARE_MAX: usize = 2;

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
    /// Keys of the parts in the front, those of slices that are gone among them.
    front_keys: Vec<u32>,
    /// `next[p]`: the part of the front in which the key of part `p` comes next, or [`NONE`].
    next: Vec<u32>,
    /// Which parts of the front are the first of keys that are not in its oldest slice: those behind that one.
    later: Marks,
    /// Of parts in the slices behind the front, and, of those of the back, in which the key comes next.
    places: KeyPlaces,
    next_part: Vec<u32>,
    /// Of the back: one for each key, in the order of their first parts, which stand with them.
    backs: Table,
    back_firsts: Vec<u32>,
    back_keys: Vec<u32>,
    /// Which of them are of keys that have no part in the front.
    only_back: Marks,
    /// Where each key is in the back.
    by_key: Vec<OfKey>,
    /// The number of its last part in the front, or in one before; 0: it has had none.
    lasts: Vec<u64>,
    /// The windows up to this end have been reported.
    reported: Option<i64>,
    /// The front was last made anew for windows that begin in this block of the grid.
    block: Option<i128>,
    /// No row before this time comes any more, and perhaps none at all.
    until: Option<i64>,
    is_over: bool,
    /// How many windows have been told of since none was due.
    told: usize,
    slots: Vec<u32>,
    /// States of slices that are gone.
    spare: Vec<Table>,
}

/// Both are looked up for every part that comes: they are kept small.
#[derive(Clone, Copy, Debug)]
struct OfKey {
    /// Its last part in the back.
    part: u32,
    /// Where its state of the back stands; [`NONE`]: nowhere.
    back: u32,
}

impl OfKey {
    /// Of a key that is not in the back.
    const NOWHERE: Self = Self { part: NONE, back: NONE };
}

/// What slices join the back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Back {
    IsToldOf,
    /// At once: its states are not needed then.
    BecomesFront,
}

#[derive(Clone, Debug)]
struct Slice {
    start: i64,
    end: i64,
    /// The number of its first part.
    first: u64,
    /// States of its keys, in the order of their first rows; in the front each with those of all later slices of it joined.
    parts: Table,
}

impl Hopping {
    pub(crate) fn new((size, every, offset): (i64, i64, i64), columns: &[Column]) -> Self {
        Self {
            size,
            every,
            offset,
            slices: VecDeque::new(),
            front: 0,
            back: 0,
            front_keys: vec![],
            next: vec![],
            later: Marks::default(),
            places: KeyPlaces::new(),
            next_part: vec![],
            backs: Table::new(columns),
            back_firsts: vec![],
            back_keys: vec![],
            only_back: Marks::default(),
            by_key: vec![],
            lasts: vec![],
            reported: None,
            block: None,
            until: None,
            is_over: false,
            told: 0,
            slots: vec![],
            spare: vec![],
        }
    }

    /// Has it tell of those windows only that begin at `start` or later.
    pub(crate) fn begin_at(&mut self, start: i64) {
        self.reported = Some(start + (self.size - self.every));
    }

    pub(crate) fn push(&mut self, rows: &Chunk<'_>) -> Result<(), WindowError> {
        debug_assert!(!self.is_over, "what the end of the input completes has been told of");
        let args = self.backs.args(&rows.args.of)?;
        self.grow(rows.num_keys);
        let mut row = 0;
        // First all rows are put to their slices: those of later ones change nothing in windows that end before them.
        while let Some(time) = rows.times.get(row) {
            if self.slices.back().is_none_or(|last| last.end <= *time) {
                self.add_slice(*time);
            }
            let slice = self.slices.back_mut().expect("that of the row");
            let own = rows.times[row..].partition_point(|time| *time < slice.end);
            self.slots.clear();
            self.places.put(&rows.keys[row..row + own], slice.first, slice.first, &mut self.slots);
            slice.parts.grow((self.places.end() - slice.first) as usize);
            slice.parts.add_all(&self.slots, &args, row);
            row += own;
        }
        if let Some(time) = rows.times.last() {
            self.advance(*time);
        }
        Ok(())
    }

    fn grow(&mut self, num_keys: usize) {
        self.places.grow(num_keys);
        self.by_key.resize(num_keys, OfKey::NOWHERE);
        self.lasts.resize(num_keys, 0);
    }

    /// Adds the slice that a row of this time is in.
    fn add_slice(&mut self, time: i64) {
        let (start, end) = self.slice_around(time).expect("windows of rows begin and end within 64 bits");
        let parts = self.spare.pop().unwrap_or_else(|| {
            let mut parts = self.backs.none();
            // About as many as in the slice before.
            let before = self.slices.back().map_or(0, |last| (self.places.end() - last.first) as usize);
            parts.reserve(before + before / 8);
            parts
        });
        self.slices.push_back(Slice { start, end, first: self.places.end(), parts });
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
        self.rest();
    }

    /// The end of the next window, if it has ended and has not been reported.
    fn due(&self) -> Option<i64> {
        self.next_end().filter(|end| Some(*end) <= self.until)
    }

    /// Once no window is due, the next that are told of are counted anew, and the end of the input is over.
    fn rest(&mut self) {
        if self.due().is_none() {
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
        let (parts, keys) = (live + times.len(), self.by_key.len() + times.len());
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
        self.spare.clear();
        self.places.leave(self.places.len(), &mut self.front_keys);
        self.front_keys.clear();
        self.next_part.clear();
        self.slices.clear();
        (self.front, self.back) = (0, 0);
        (self.reported, self.block, self.until, self.is_over) = (None, None, None, false);
    }

    fn report(&mut self, end: i64, found: &mut Complete, told: &mut ToldWindows<'_>) {
        let start = end - self.size;
        let block = self.block_of(start);
        if self.block != Some(block) {
            // What earlier windows have been told of, or could have been: if they have not, nobody asks for the back as it is before it
            // becomes the front.
            self.add_until(self.front_end(block), Back::BecomesFront);
            self.leave(start);
            debug_assert_eq!(self.front, 0, "the front is used up");
            self.turn();
            self.block = Some(block);
        }
        self.add_until(end, Back::IsToldOf);
        self.reported = Some(end);
        self.leave(start);
        debug_assert!(self.slices.front().is_none_or(|slice| slice.start >= start), "the back is newer");
        let oldest = if self.front > 0 { self.in_front(0) } else { 0..0 };
        let (mut later, mut only_back) = (vec![], vec![]);
        self.later.add_from(oldest.end as usize, &mut later);
        self.only_back.add_from(0, &mut only_back);
        let windows = oldest.len() + later.len() + only_back.len();
        found.keys.reserve(windows);
        told.reserve(windows);
        let (mut slots, mut backs) = (std::mem::take(&mut self.slots), vec![]);
        if self.front > 0 {
            let own = oldest;
            slots.clear();
            slots.extend(0..own.len() as u32);
            let keys = &self.front_keys[own.start as usize..own.end as usize];
            found.keys.extend_from_slice(keys);
            self.add_joined(0, (&slots, &mut backs), keys, told);
        }
        let mut later = &later[..];
        while let Some(first) = later.first() {
            let slice = self.slice_of(*first);
            let parts = self.in_front(slice);
            let (own, rest) = later.split_at(later.partition_point(|part| *part < parts.end));
            later = rest;
            slots.clear();
            slots.extend(own.iter().map(|part| part - parts.start));
            let first = found.keys.len();
            found.keys.extend(own.iter().map(|part| self.front_keys[*part as usize]));
            self.add_joined(slice, (&slots, &mut backs), &found.keys[first..], told);
        }
        slots.clear();
        slots.resize(only_back.len(), NONE);
        told.add_joined((&self.backs, &slots), (&self.backs, &only_back));
        found.keys.extend(only_back.iter().map(|slot| self.back_keys[*slot as usize]));
        if windows > 0 {
            found.together.push(Together { start, end, windows });
        }
        self.slots = slots;
    }

    /// Adds windows of keys that come first in the same slice of the front, joined with their rows in the back. `backs`: room for
    /// where these stand.
    fn add_joined(
        &self,
        slice: usize,
        (slots, backs): (&[u32], &mut Vec<u32>),
        keys: &[u32],
        told: &mut ToldWindows<'_>,
    ) {
        backs.clear();
        backs.extend(keys.iter().map(|key| self.by_key[*key as usize].back));
        told.add_joined((&self.slices[slice].parts, slots), (&self.backs, backs));
    }

    /// Which of the blocks of the grid a window begins in: as long as the windows, or shorter by less than a step.
    fn block_of(&self, start: i64) -> i128 {
        let windows = i128::from(self.size / self.every);
        let number = (i128::from(start) - i128::from(self.offset)).div_euclid(i128::from(self.every));
        number.div_euclid(windows)
    }

    /// Where the front ends that windows of a block have, whichever of them is the first that is told of.
    fn front_end(&self, block: i128) -> i64 {
        let (size, every) = (i128::from(self.size), i128::from(self.every));
        let end = block * (size / every) * every + i128::from(self.offset) + size - every;
        // That of no window where it is beyond what there is.
        end.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// Joins slices that end by then with the back.
    fn add_until(&mut self, end: i64, what_for: Back) {
        while let Some(slice) = self.slices.get(self.front + self.back)
            && slice.end <= end
        {
            self.add_to_back(what_for);
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

    /// The slice of the front that a part is of.
    fn slice_of(&self, part: u32) -> usize {
        let base = self.places.base() - self.front_keys.len() as u64;
        self.slices.partition_point(|slice| slice.first <= base + u64::from(part)) - 1
    }

    /// Places of the parts of a slice behind the front.
    fn behind_front(&self, slice: usize) -> Range<u32> {
        let base = self.places.base();
        (self.slices[slice].first - base) as u32..(self.end_of(slice) - base) as u32
    }

    /// Joins the first slice that is in no part with the back.
    fn add_to_back(&mut self, what_for: Back) {
        let slice = self.front + self.back;
        let (own, first_left) = (self.behind_front(slice), self.first_left());
        let mut into = std::mem::take(&mut self.slots);
        into.clear();
        into.resize(own.len(), 0);
        self.next_part.resize(own.end as usize, NONE);
        let (by_key, next_part) = (&mut self.by_key[..], &mut self.next_part[..]);
        let keys = &self.places.keys()[own.start as usize..own.end as usize];
        for ((part, key), into) in own.zip(keys).zip(&mut into) {
            let known = &mut by_key[*key as usize];
            if known.back == NONE {
                known.back = self.back_keys.len() as u32;
                self.back_firsts.push(part);
                self.back_keys.push(*key);
                if self.lasts[*key as usize] < first_left {
                    self.only_back.mark(known.back as usize);
                }
            } else {
                next_part[known.part as usize] = part;
            }
            known.part = part;
            *into = known.back;
        }
        if what_for == Back::IsToldOf {
            self.backs.join_or_push(&into, &self.slices[slice].parts);
        }
        self.slots = into;
        self.back += 1;
    }

    /// Lets slices of the front go that begin before `start`.
    fn leave(&mut self, start: i64) {
        if self.front == 0 {
            return;
        }
        while self.front > 0 && self.slices[0].start < start {
            let own = self.in_front(0);
            let Some(slice) = self.slices.pop_front() else { return };
            self.give_back(slice);
            self.front -= 1;
            // What comes next in the slice that is the oldest now is found there.
            let oldest_end = if self.front > 0 { self.in_front(0).end } else { NONE };
            for part in own.start as usize..own.end as usize {
                let next = self.next[part];
                if next == NONE {
                    let back = self.by_key[self.front_keys[part] as usize].back;
                    if back != NONE {
                        self.only_back.mark(back as usize);
                    }
                } else if next >= oldest_end {
                    self.later.mark(next as usize);
                }
            }
        }
        if self.front == 0 {
            self.forget_front();
        }
    }

    /// Leaves the states of a slice to one that comes.
    fn give_back(&mut self, slice: Slice) {
        if self.spare.len() < SPARE_MAX {
            let mut parts = slice.parts;
            parts.grow(0);
            self.spare.push(parts);
        }
    }

    fn forget_front(&mut self) {
        self.front_keys.clear();
        self.next.clear();
        self.later.clear();
    }

    /// Makes the front anew of the back.
    fn turn(&mut self) {
        let base = self.places.base();
        for key in &self.back_keys {
            self.lasts[*key as usize] = base + u64::from(self.by_key[*key as usize].part);
        }
        let oldest_end = if self.back > 0 { self.behind_front(0).end } else { 0 };
        self.back_firsts
            .iter()
            .filter(|part| **part >= oldest_end)
            .for_each(|part| self.later.mark(*part as usize));
        self.forget_back();
        std::mem::swap(&mut self.next, &mut self.next_part);
        let mut parts: Vec<&mut Table> =
            self.slices.iter_mut().take(self.back).map(|slice| &mut slice.parts).collect();
        self.backs.join_next(&mut parts, &self.next);
        self.places.leave(self.next.len(), &mut self.front_keys);
        (self.front, self.back) = (self.back, 0);
    }

    /// Keys have nothing in the back any more.
    fn forget_back(&mut self) {
        for key in self.back_keys.drain(..) {
            self.by_key[key as usize] = OfKey::NOWHERE;
        }
        self.backs.grow(0);
        self.back_firsts.clear();
        self.only_back.clear();
    }

    pub(crate) fn has_complete(&self) -> bool {
        self.due().is_some()
    }

    /// Tells of windows that are complete, some at a time; of none if nothing is in those that were left.
    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let mut found = Complete::default();
        let mut told = ToldWindows::new(&self.backs, slots);
        while found.keys.len() < TOLD_TOGETHER
            && let Some(end) = self.due()
        {
            self.report(end, &mut found, &mut told);
        }
        self.told += found.keys.len();
        if self.told > WINDOWS_MAX {
            return Err(WindowError::TooMany { limit: WINDOWS_MAX as u64 });
        }
        self.rest();
        Ok(Complete { values: told.finish()?, ..found })
    }

    pub(crate) fn keys_kept(&self, kept: &mut [bool]) {
        self.front_keys.iter().chain(self.places.keys()).for_each(|key| kept[*key as usize] = true);
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        keys.rename(&mut self.front_keys);
        keys.rename(&mut self.back_keys);
        self.places.renumber(keys);
        keys.retain(&mut self.by_key);
        keys.retain(&mut self.lasts);
    }

    pub(crate) fn bytes(&self) -> usize {
        let parts_of = [&self.next, &self.next_part, &self.back_firsts];
        let numbers = [&self.front_keys, &self.back_keys, &self.slots];
        let parts = self.slices.iter().map(|slice| &slice.parts);
        parts.chain(&self.spare).chain([&self.backs]).map(Table::bytes).sum::<usize>()
            + self.slices.capacity() * size_of::<Slice>()
            + parts_of.iter().chain(&numbers).map(|own| own.capacity() * 4).sum::<usize>()
            + self.places.bytes()
            + self.later.bytes()
            + self.only_back.bytes()
            + self.by_key.capacity() * size_of::<OfKey>()
            + self.lasts.capacity() * size_of::<u64>()
    }
}
