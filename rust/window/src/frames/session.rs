//! Windows that end when nothing comes.
//!
//! - Time: O(1) a row; a window that ends O(log s) for s open ones, and once more for every gap that it lasts.
//! - Space: a state and 48 bytes for each open window, 4 bytes a key.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::arena::NONE;
use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::open::OpenWindows;
use crate::frames::{Complete, Renumbered};
use crate::saved::SavedFrame;
use crate::state::Chunk;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    gap: i64,
    windows: OpenWindows,
    /// `open[key]`: the key's open window, or [`NONE`].
    open: Vec<u32>,
    /// Places of windows, each with a time before which it does not end. Of those that a row of their key has ended there
    /// is none left when that row's push is over.
    ending: BinaryHeap<Reverse<(i64, u32)>>,
    slots: Vec<u32>,
}

impl Session {
    pub(crate) fn new(gap: i64, columns: &[Column]) -> Self {
        Self {
            gap,
            windows: OpenWindows::new(columns),
            open: vec![],
            ending: BinaryHeap::new(),
            slots: vec![],
        }
    }

    pub(crate) fn push(&mut self, rows: &Chunk<'_>, first: u64) -> Result<(), WindowError> {
        self.open.resize(rows.num_keys, NONE);
        self.slots.clear();
        for (row, (key, time)) in rows.keys.iter().zip(rows.times).enumerate() {
            let open = &mut self.open[*key as usize];
            // What has ended by then is told of when the clock moves; until then it keeps its state.
            let goes_on = *open != NONE && *time < self.windows.at(*open).last + self.gap;
            if goes_on {
                self.windows.extend(*open, *time);
            } else {
                if *open != NONE {
                    self.windows.ended.push(*open);
                }
                *open = self.windows.open_with(rows.number(first, row), *key, *time);
                self.ending.push(Reverse((time + self.gap, *open)));
            }
            self.slots.push(*open);
        }
        self.windows.add_all(&self.slots, &rows.args.of)?;
        if let Some(time) = rows.times.last() {
            self.advance(*time);
        }
        Ok(())
    }

    /// No row before `time` comes any more.
    pub(crate) fn advance(&mut self, time: i64) {
        while let Some(Reverse((at, place))) = self.ending.peek().copied()
            && at <= time
        {
            self.ending.pop();
            let open = &mut self.open[self.windows.key(place) as usize];
            if *open != place {
                // A row of its key has ended it.
                continue;
            }
            let end = self.windows.at(place).last + self.gap;
            if end <= time {
                *open = NONE;
                self.windows.ended.push(place);
            } else {
                self.ending.push(Reverse((end, place)));
            }
        }
    }

    pub(crate) fn finish(&mut self) {
        let open = self.open.iter_mut().filter(|place| **place != NONE);
        self.windows.ended.extend(open.map(|place| std::mem::replace(place, NONE)));
        self.ending.clear();
    }

    pub(crate) fn has_complete(&self) -> bool {
        !self.windows.ended.is_empty()
    }

    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let mut ended = std::mem::take(&mut self.windows.ended);
        ended.sort_unstable_by_key(|place| {
            let window = self.windows.at(*place);
            (window.last, window.number)
        });
        self.windows.ended = ended;
        self.windows.complete(slots, |window| window.last + self.gap)
    }

    fn open(&self) -> impl Iterator<Item = u32> {
        self.open.iter().copied().filter(|place| *place != NONE)
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        let (windows, table) = self.windows.save(self.open())?;
        Some(SavedFrame::Session { windows, table })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Session { windows, table } = saved else { return None };
        self.open.resize(num_keys, NONE);
        let open = &mut self.open;
        self.windows.load((windows, &table), num_keys, |key, place| open[key as usize] = place)?;
        for place in self.open.iter().filter(|place| **place != NONE) {
            let end = self.windows.at(*place).last.checked_add(self.gap)?;
            self.ending.push(Reverse((end, *place)));
        }
        Some(())
    }

    pub(crate) fn keys_kept(&self, kept: &mut [bool]) {
        kept.iter_mut().zip(&self.open).for_each(|(kept, open)| *kept = *open != NONE);
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        self.windows.renumber(self.open.iter().copied().filter(|place| *place != NONE), keys);
        keys.retain(&mut self.open);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.windows.bytes() + self.ending.capacity() * 16 + self.open.capacity() * 4
    }
}
