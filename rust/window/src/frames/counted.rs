//! Windows of so many rows of a key that do not overlap.
//!
//! - Time: O(1) a row. Space: a state and 32 bytes for each open window, 16 bytes a key.

use crate::arena::NONE;
use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::open::OpenWindows;
use crate::frames::{Complete, Renumbered};
use crate::saved::SavedFrame;
use crate::state::Chunk;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    rows: u64,
    every: u64,
    windows: OpenWindows,
    keys: Vec<Key>,
    slots: Vec<u32>,
    /// The rows that are in a window, where some are not.
    inside: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    /// Rows since the start of its last window.
    seen: u64,
    open: u32,
}

impl Counted {
    pub(crate) fn new(rows: u64, every: u64, columns: &[Column]) -> Self {
        debug_assert!(every >= rows, "windows that overlap slide");
        Self { rows, every, windows: OpenWindows::new(columns), keys: vec![], slots: vec![], inside: vec![] }
    }

    pub(crate) fn push(&mut self, rows: &Chunk<'_>, first: u64) -> Result<(), WindowError> {
        self.keys.resize(rows.num_keys, Key { seen: 0, open: NONE });
        self.slots.clear();
        self.inside.clear();
        for (row, (key, time)) in rows.keys.iter().zip(rows.times).enumerate() {
            let known = &mut self.keys[*key as usize];
            if known.seen == self.every {
                known.seen = 0;
            }
            if known.seen == 0 {
                known.open = self.windows.open_with(rows.number(first, row), *key, *time);
            }
            known.seen += 1;
            if known.seen <= self.rows {
                self.windows.extend(known.open, *time);
                self.slots.push(known.open);
                self.inside.push(row as u32);
            }
            if known.seen == self.rows {
                self.windows.fill(std::mem::replace(&mut known.open, NONE), rows.number(first, row));
            }
        }
        if self.inside.len() == rows.keys.len() {
            self.windows.add_all(&self.slots, &rows.args.of)
        } else {
            self.windows.add_all(&self.slots, &super::of_rows(&rows.args.of, &self.inside)?)
        }
    }

    pub(crate) fn finish(&mut self) {
        let open: Vec<u32> = self.open().collect();
        self.windows.ended.extend(self.windows.in_order(open.into_iter()));
        // Rows that come after all begin anew.
        self.keys.fill(Key { seen: 0, open: NONE });
    }

    pub(crate) fn has_complete(&self) -> bool {
        !self.windows.ended.is_empty()
    }

    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        self.windows.complete(slots, |window| window.last)
    }

    fn open(&self) -> impl Iterator<Item = u32> {
        self.keys.iter().map(|key| key.open).filter(|place| *place != NONE)
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        let (windows, table) = self.windows.save(self.open())?;
        Some(SavedFrame::Counted { seen: self.keys.iter().map(|key| key.seen).collect(), windows, table })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Counted { seen, windows, table } = saved else { return None };
        if seen.len() > num_keys {
            return None;
        }
        self.keys.extend(seen.into_iter().map(|seen| Key { seen, open: NONE }));
        let count = self.keys.len();
        let keys = &mut self.keys;
        self.windows.load((windows, &table), count, |key, place| keys[key as usize].open = place)?;
        let fits =
            |key: &Key| key.seen <= self.every && (key.open != NONE) == (1..self.rows).contains(&key.seen);
        self.keys.iter().all(fits).then_some(())
    }

    pub(crate) fn keys_kept(&self, kept: &mut [bool]) {
        // Which row of its key a row is must not be forgotten between two windows either.
        let inside = |key: &Key| key.seen > 0 && key.seen < self.every;
        kept.iter_mut().zip(&self.keys).for_each(|(kept, key)| *kept = inside(key));
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        let open = self.keys.iter().map(|key| key.open).filter(|place| *place != NONE);
        self.windows.renumber(open, keys);
        keys.retain(&mut self.keys);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.windows.bytes() + self.keys.capacity() * size_of::<Key>()
    }
}
