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
use crate::frames::tumbling::start_of;
use crate::frames::{Complete, Renumbered, Rows, Table};
use crate::saved::{SavedFrame, SavedSlice, are_keys};

/// Most windows that are told of at once: a step far shorter than the window makes as many of a single row as there are steps.
const WINDOWS_MAX: usize = 1 << 26;

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

#[derive(Clone, Copy, Debug)]
struct Slice {
    start: i64,
    end: i64,
    /// The number of its first part.
    first: u64,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    /// The number of its last part.
    last: u64,
    /// Its first part in the front, and in the back.
    front: u64,
    back: u64,
    /// Where its state of the back stands.
    back_slot: u32,
}

impl Key {
    const NEW: Self = Self { last: NEVER, front: NEVER, back: NEVER, back_slot: NONE };

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
        self.reported = Some(start.saturating_add(self.size - self.every));
    }

    pub(crate) fn push(&mut self, rows: &Rows<'_>) -> Result<(), WindowError> {
        let args = self.parts.args(rows.args)?;
        self.keys.resize(rows.num_keys, Key::NEW);
        self.slots.clear();
        let mut row = 0;
        // First all rows are put to their slices: those of later ones change nothing in windows that end before them.
        while let Some(time) = rows.times.get(row) {
            let slice = self.slice_of(*time);
            let last = slice.end == i64::MAX;
            let own = rows.times[row..].partition_point(|time| *time < slice.end || last);
            for key in &rows.keys[row..row + own] {
                let known = &mut self.keys[*key as usize];
                if known.last == NEVER || known.last < slice.first {
                    known.last = self.base + self.key_of.len() as u64;
                    self.key_of.push(*key);
                    self.next.push(NEVER);
                }
                self.slots.push((known.last - self.base) as u32);
            }
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
        let window = start_of(time, self.every, self.offset);
        // Windows end at this distance from the start of another.
        let phase = self.size % self.every;
        let edge = window.saturating_add(phase);
        let (start, end) = match phase {
            0 => (window, window.saturating_add(self.every)),
            _ if time < edge => (window, edge),
            _ => (edge, window.saturating_add(self.every)),
        };
        let slice = Slice { start, end, first: self.base + self.key_of.len() as u64 };
        self.slices.push_back(slice);
        slice
    }

    /// No row before `time` comes any more.
    pub(crate) fn advance(&mut self, time: i64) {
        while let Some(oldest) = self.slices.front() {
            // The first window that it is in and that has not been reported.
            let first = self.end_after(oldest.start);
            let end = self.reported.map_or(first, |end| first.max(end.saturating_add(self.every)));
            if end > time || self.found.keys.len() > WINDOWS_MAX {
                break;
            }
            self.report(end);
        }
    }

    /// The end of the first window that ends behind `time`.
    fn end_after(&self, time: i64) -> i64 {
        let phase = self.size % self.every;
        start_of(time.saturating_sub(phase), self.every, self.offset)
            .saturating_add(phase)
            .saturating_add(self.every)
    }

    pub(crate) fn finish(&mut self) {
        while let Some(oldest) = self.slices.front() {
            let first = self.end_after(oldest.start);
            let end = self.reported.map_or(first, |end| first.max(end.saturating_add(self.every)));
            self.report(end);
            if end == i64::MAX || self.found.keys.len() > WINDOWS_MAX {
                break;
            }
        }
    }

    fn report(&mut self, end: i64) {
        let start = end.saturating_sub(self.size);
        let block = self.block_of(start);
        if self.block != Some(block) {
            // What earlier windows have been told of, or could have been.
            self.add_until(end.saturating_sub(self.every));
            self.leave(start);
            debug_assert_eq!(self.front, 0, "the front is used up");
            self.turn();
            self.block = Some(block);
        }
        self.add_until(end);
        self.reported = Some(end);
        self.leave(start);
        debug_assert!(self.slices.front().is_none_or(|slice| slice.start >= start), "the back is newer");
        let number = |number: u64| if number == NEVER { NONE } else { (number - self.base) as u32 };
        let (mut fronts, mut backs) = (vec![], vec![]);
        for (_, key) in &self.active {
            let known = &self.keys[*key as usize];
            fronts.push(number(known.front));
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
        // Those that have lost their first part stand in front of all others.
        let first_left = self.slices.front().map_or(NEVER, |slice| slice.first);
        let lost = self.active.partition_point(|(first, _)| *first < first_left);
        let first_of = |(_, key): &(u64, u32)| (self.keys[*key as usize].first(), *key);
        let mut moved: Vec<(u64, u32)> =
            self.active[..lost].iter().map(first_of).filter(|(first, _)| *first != NEVER).collect();
        moved.sort_unstable();
        let mut moved = moved.into_iter().peekable();
        let mut active = Vec::with_capacity(self.active.len());
        for known in &self.active[lost..] {
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
        self.backs = self.backs.none();
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

    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let windows = self.found.keys.len();
        if windows > WINDOWS_MAX {
            return Err(WindowError::TooMany { limit: WINDOWS_MAX as u64 });
        }
        let values = self.windows.finish(0..windows, slots)?;
        self.windows = self.windows.none();
        Ok(Complete { values, ..std::mem::take(&mut self.found) })
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        // Parts of slices that are gone go with them.
        let first = self.slices.front().map_or(self.base + self.key_of.len() as u64, |slice| slice.first);
        let gone = (first - self.base) as usize;
        let mut parts = self.parts.clone();
        parts.drop_first(gone);
        let slices = (0..self.slices.len()).map(|place| {
            let own = self.parts_of(place);
            let keys = &self.key_of[(own.start - self.base) as usize..(own.end - self.base) as usize];
            let Slice { start, end, .. } = self.slices[place];
            SavedSlice { start, end, keys: keys.to_vec() }
        });
        let (front, back) = (self.front as u32, self.back as u32);
        Some(SavedFrame::Hopping {
            slices: slices.collect(),
            front,
            back,
            reported: self.reported,
            table: parts.save()?,
        })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Hopping { slices, front, back, reported, table } = saved else { return None };
        let (front, back) = (front as usize, back as usize);
        let apart = |pair: &[SavedSlice]| pair[0].end <= pair[1].start;
        let holds = |slice: &SavedSlice| {
            slice.start < slice.end
                && !slice.keys.is_empty()
                && are_keys(slice.keys.iter().copied(), num_keys)
        };
        if front.checked_add(back)? > slices.len()
            || !slices.windows(2).all(apart)
            || !slices.iter().all(holds)
        {
            return None;
        }
        self.block = reported.map(|end| self.block_of(end.saturating_sub(self.size)));
        // The front was made of what windows before its block had been told of; the back came since.
        let edge = self.block.map(|block| {
            let windows = i128::from(self.size / self.every);
            let first = block * windows * i128::from(self.every) + i128::from(self.offset);
            first - i128::from(self.every) + i128::from(self.size)
        });
        let in_front = |slice: &SavedSlice| edge.is_some_and(|edge| i128::from(slice.end) <= edge);
        let in_back = |slice: &SavedSlice| edge.is_some_and(|edge| i128::from(slice.start) >= edge);
        if !slices[..front].iter().all(in_front) || !slices[front..front + back].iter().all(in_back) {
            return None;
        }
        self.keys.resize(num_keys, Key::NEW);
        for SavedSlice { start, end, keys } in slices {
            self.slices.push_back(Slice { start, end, first: self.key_of.len() as u64 });
            for key in &keys {
                self.keys[*key as usize].last = self.key_of.len() as u64;
                self.key_of.push(*key);
            }
        }
        self.parts.load(&table, self.key_of.len())?;
        self.next.resize(self.key_of.len(), NEVER);
        // Those of the front are joined already; what leads from one to the next follows from their keys.
        for place in (0..front).rev() {
            for number in self.parts_of(place) {
                let known = &mut self.keys[self.key_of[number as usize] as usize];
                self.next[number as usize] = std::mem::replace(&mut known.front, number);
            }
        }
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
    }

    pub(crate) fn bytes(&self) -> usize {
        self.parts.bytes()
            + self.backs.bytes()
            + self.key_of.capacity() * (4 + 8)
            + self.keys.capacity() * size_of::<Key>()
            + self.active.capacity() * 16
    }
}
