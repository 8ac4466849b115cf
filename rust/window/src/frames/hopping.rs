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
//! - Time: O(1) a row; O(1) a key and slice that it has rows in, amortised; O(1) a window that is reported.
//! - Space: a state for each key and slice that it has rows in, and one for each key; 40 bytes a key.

use std::collections::VecDeque;

use crate::arena::NONE;
use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::tumbling::start_before;
use crate::frames::{Complete, Renumbered, Table};
use crate::saved::{SavedFrame, SavedSlice, are_keys};
use crate::state::Chunk;

/// Most windows that are told of at once: a step far shorter than the window makes as many of a single row as there are steps.
const WINDOWS_MAX: usize = 1 << 26;

/// Where so many windows are told of at a time, what they were put together in is kept for the next.
const KEPT_MAX: usize = 1 << 15;

/// Stands for no number.
const NEVER: u64 = u64::MAX;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Hopping {
    size: i64,
    every: i64,
    offset: i64,
    /// Of keys in slices, the oldest first; numbered from `base` on.
    parts: Table,
    key_of: Vec<u32>,
    /// Of the front: the number of the key's next part in it.
    next: Vec<u64>,
    base: u64,
    slices: VecDeque<Slice>,
    /// How many slices are of the front, and how many of the back.
    front: usize,
    back: usize,
    /// By key, apart from what else is known of it: the number of its last part, which every row asks for.
    lasts: Vec<u64>,
    keys: Vec<Key>,
    /// Of the back, by key.
    backs: Table,
    num_backs: usize,
    /// Keys with rows in the front or the back, in order of their first part, whose number stands with them.
    active: Vec<(u64, u32)>,
    /// The windows up to this end have been reported.
    reported: Option<i64>,
    /// The front was last made anew for windows that begin in this block of the grid.
    block: Option<i128>,
    found: Complete,
    /// The windows that were found, joined.
    windows: Table,
    slots: Vec<u32>,
}

/// Where a part stands if that of number `base` is the first.
fn slot_of(part: u64, base: u64) -> u32 {
    if part == NEVER { NONE } else { (part - base) as u32 }
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    start: i64,
    end: i64,
    /// The number of its first part.
    first: u64,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    /// Its first part in the front, and in the back.
    front: u64,
    back: u64,
    /// Where its state of the back stands.
    back_slot: u32,
}

impl Key {
    const NEW: Self = Self { front: NEVER, back: NEVER, back_slot: NONE };

    /// The number of its first part; [`NEVER`]: it has none.
    fn first(&self) -> u64 {
        self.front.min(self.back)
    }
}

impl Hopping {
    pub(crate) fn new((size, every, offset): (i64, i64, i64), columns: &[Column]) -> Self {
        let parts = Table::new(columns);
        Self {
            size,
            every,
            offset,
            backs: parts.none(),
            windows: parts.none(),
            parts,
            key_of: vec![],
            next: vec![],
            base: 0,
            slices: VecDeque::new(),
            front: 0,
            back: 0,
            lasts: vec![],
            keys: vec![],
            num_backs: 0,
            active: vec![],
            reported: None,
            block: None,
            found: Complete::default(),
            slots: vec![],
        }
    }

    /// Has it tell of those windows only that begin at `start` or later.
    pub(crate) fn begin_at(&mut self, start: i64) {
        self.reported = Some(start + (self.size - self.every));
    }

    pub(crate) fn push(&mut self, rows: &Chunk<'_>) -> Result<(), WindowError> {
        let args = self.parts.args(&rows.args.of)?;
        self.keys.resize(rows.num_keys, Key::NEW);
        self.lasts.resize(rows.num_keys, NEVER);
        self.slots.clear();
        let mut row = 0;
        // First all rows are put to their slices: those of later ones change nothing in windows that end before them.
        while let Some(time) = rows.times.get(row) {
            let slice = self.slice_of(*time);
            let own = rows.times[row..].partition_point(|time| *time < slice.end);
            let (lasts, key_of) = (&mut self.lasts, &mut self.key_of);
            self.slots.extend(rows.keys[row..row + own].iter().map(|key| {
                let last = &mut lasts[*key as usize];
                if *last == NEVER || *last < slice.first {
                    *last = self.base + key_of.len() as u64;
                    key_of.push(*key);
                }
                (*last - self.base) as u32
            }));
            self.next.resize(self.key_of.len(), NEVER);
            row += own;
        }
        self.parts.grow(self.key_of.len());
        self.parts.add_all(&self.slots, &args, 0);
        if let Some(time) = rows.times.last() {
            self.advance(*time);
        }
        Ok(())
    }

    /// The slice that a row of this time is in, which is made if it is not there.
    fn slice_of(&mut self, time: i64) -> Slice {
        if let Some(last) = self.slices.back()
            && time < last.end
        {
            return *last;
        }
        let (start, end) = self.slice_around(time).expect("windows of rows begin and end within 64 bits");
        let slice = Slice { start, end, first: self.base + self.key_of.len() as u64 };
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
        while let Some(end) = self.next_end().filter(|end| *end <= time)
            && self.found.keys.len() <= WINDOWS_MAX
        {
            self.report(end);
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
        let (parts, keys) = (self.key_of.len() + times.len(), self.keys.len() + times.len());
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

    pub(crate) fn finish(&mut self) {
        self.advance(i64::MAX);
        // Rows that come after all begin anew: windows that have been told of may be of them, too, and no slice that there was.
        (self.parts, self.backs) = (self.parts.none(), self.backs.none());
        self.key_of.clear();
        self.next.clear();
        self.slices.clear();
        self.active.clear();
        self.keys.fill(Key::NEW);
        self.lasts.fill(NEVER);
        (self.base, self.front, self.back, self.num_backs) = (0, 0, 0, 0);
        (self.reported, self.block) = (None, None);
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
        let (mut fronts, mut backs) = (vec![], vec![]);
        for (_, key) in &self.active {
            let known = &self.keys[*key as usize];
            fronts.push(slot_of(known.front, self.base));
            backs.push(if known.back == NEVER { NONE } else { known.back_slot });
        }
        for ((windows, parts), of_back) in self.windows.0.iter_mut().zip(&self.parts.0).zip(&self.backs.0) {
            windows.append_joined((&**parts, &fronts), (&**of_back, &backs));
        }
        self.found.keys.extend(self.active.iter().map(|(_, key)| *key));
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

    /// The parts of a slice, by number.
    fn parts_of(&self, slice: usize) -> std::ops::Range<u64> {
        let end = self.base + self.key_of.len() as u64;
        self.slices[slice].first..self.slices.get(slice + 1).map_or(end, |next| next.first)
    }

    /// Joins the first slice that is in no part with the back.
    fn add_to_back(&mut self) {
        let (mut new, mut into, mut of) = (vec![], vec![], vec![]);
        for number in self.parts_of(self.front + self.back) {
            let place = (number - self.base) as u32;
            let key = self.key_of[place as usize];
            let known = &mut self.keys[key as usize];
            if known.first() == NEVER {
                self.active.push((number, key));
            }
            if known.back == NEVER {
                known.back = number;
                known.back_slot = (self.num_backs + new.len()) as u32;
                new.push(place);
            } else {
                into.push(known.back_slot);
                of.push(place);
            }
        }
        self.num_backs += new.len();
        for (backs, parts) in self.backs.0.iter_mut().zip(&self.parts.0) {
            backs.append(&**parts, &new);
            backs.join(&into, &**parts, &of);
        }
        self.back += 1;
    }

    /// Lets slices of the front go that begin before `start`.
    fn leave(&mut self, start: i64) {
        let before = self.front;
        while self.front > 0 && self.slices[0].start < start {
            for number in self.parts_of(0) {
                let place = (number - self.base) as usize;
                self.keys[self.key_of[place] as usize].front = self.next[place];
            }
            self.slices.pop_front();
            self.front -= 1;
        }
        if self.front == before {
            return;
        }
        // Whatever is of the oldest slice that is left is the first part of its key. Those that have lost theirs stood in front
        // of all others; of the few that have none in that slice, the first is looked for.
        let of_oldest = if self.front + self.back > 0 { self.parts_of(0) } else { 0..0 };
        let first_left = self.slices.front().map_or(NEVER, |slice| slice.first);
        let lost = self.active.partition_point(|(first, _)| *first < first_left);
        let stay = lost + self.active[lost..].partition_point(|(first, _)| *first < of_oldest.end);
        let first_of = |(_, key): &(u64, u32)| (self.keys[*key as usize].first(), *key);
        let is_behind = |(first, _): &(u64, u32)| *first != NEVER && *first >= of_oldest.end;
        let mut moved: Vec<(u64, u32)> = self.active[..lost].iter().map(first_of).filter(is_behind).collect();
        moved.sort_unstable();
        let mut moved = moved.into_iter().peekable();
        let mut active = Vec::with_capacity(self.active.len());
        active.extend(of_oldest.map(|number| (number, self.key_of[(number - self.base) as usize])));
        for known in &self.active[stay..] {
            while let Some(earlier) = moved.next_if(|earlier| earlier < known) {
                active.push(earlier);
            }
            active.push(*known);
        }
        active.extend(moved);
        self.active = active;
        self.compact();
    }

    /// Makes the front anew of the back.
    fn turn(&mut self) {
        for slice in (0..self.back).rev() {
            let (mut into, mut of) = (vec![], vec![]);
            for number in self.parts_of(slice) {
                let place = (number - self.base) as usize;
                let known = &mut self.keys[self.key_of[place] as usize];
                if known.front != NEVER {
                    into.push(place as u32);
                    of.push((known.front - self.base) as u32);
                }
                self.next[place] = known.front;
                known.front = number;
                known.back = NEVER;
            }
            self.parts.0.iter_mut().for_each(|parts| parts.join_own(&into, &of));
        }
        self.backs.drop_first(self.num_backs);
        self.num_backs = 0;
        (self.front, self.back) = (self.back, 0);
    }

    /// Drops the parts of slices that are gone, once they are half of all.
    fn compact(&mut self) {
        let first = self.slices.front().map_or(self.base + self.key_of.len() as u64, |slice| slice.first);
        let gone = (first - self.base) as usize;
        if gone * 2 >= self.key_of.len() {
            self.parts.drop_first(gone);
            self.key_of.drain(..gone);
            self.next.drain(..gone);
            self.base = first;
        }
    }

    pub(crate) fn has_complete(&self) -> bool {
        !self.found.keys.is_empty()
    }

    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let windows = self.found.keys.len();
        if windows > WINDOWS_MAX {
            return Err(WindowError::TooMany { limit: WINDOWS_MAX as u64 });
        }
        let values = self.windows.finish(0..windows, slots)?;
        if windows > KEPT_MAX {
            self.windows = self.windows.none();
        } else {
            self.windows.drop_first(windows);
        }
        Ok(Complete { values, ..std::mem::take(&mut self.found) })
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        // Parts of slices that are gone go with them.
        let first = self.slices.front().map_or(self.base + self.key_of.len() as u64, |slice| slice.first);
        let gone = (first - self.base) as usize;
        let numbers: Vec<u32> = (gone as u32..self.key_of.len() as u32).collect();
        let parts = self.parts.some(&numbers);
        let slices = (0..self.slices.len()).map(|place| {
            let own = self.parts_of(place);
            let keys = &self.key_of[(own.start - self.base) as usize..(own.end - self.base) as usize];
            let Slice { start, end, .. } = self.slices[place];
            SavedSlice { start, end, keys: keys.to_vec() }
        });
        let next: Vec<u32> = self.next[gone..].iter().map(|next| slot_of(*next, first)).collect();
        let table = parts.save(&next)?;
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
        self.keys.resize(num_keys, Key::NEW);
        self.lasts.resize(num_keys, NEVER);
        for SavedSlice { start, end, keys } in slices {
            self.slices.push_back(Slice { start, end, first: self.key_of.len() as u64 });
            for key in &keys {
                self.lasts[*key as usize] = self.key_of.len() as u64;
                self.key_of.push(*key);
            }
        }
        self.next.resize(self.key_of.len(), NEVER);
        // Those of the front are joined already; what leads from one to the next follows from their keys.
        for place in (0..front).rev() {
            for number in self.parts_of(place) {
                let known = &mut self.keys[self.key_of[number as usize] as usize];
                self.next[number as usize] = std::mem::replace(&mut known.front, number);
            }
        }
        let next: Vec<u32> = self.next.iter().map(|next| slot_of(*next, 0)).collect();
        self.parts.load(&table, next.len(), &next)?;
        let firsts = (0..front).flat_map(|place| self.parts_of(place)).map(|number| {
            let key = self.key_of[number as usize];
            (number, key)
        });
        self.active = firsts.filter(|(number, key)| self.keys[*key as usize].front == *number).collect();
        self.front = front;
        (0..back).for_each(|_| self.add_to_back());
        self.reported = reported;
        Some(())
    }

    pub(crate) fn keys_kept(&self, kept: &mut [bool]) {
        self.key_of.iter().for_each(|key| kept[*key as usize] = true);
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        keys.rename(&mut self.key_of);
        keys.rename(self.active.iter_mut().map(|(_, key)| key));
        keys.retain(&mut self.keys);
        keys.retain(&mut self.lasts);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.parts.bytes()
            + self.backs.bytes()
            + self.windows.bytes()
            + self.key_of.capacity() * (4 + 8)
            + self.keys.capacity() * (size_of::<Key>() + 8)
            + self.active.capacity() * 16
    }
}
