//! Windows of so many rows of a key that do not overlap.
//!
//! - Time: O(1) a row. Space: a state and 32 bytes for each open window, 12 bytes a key.

use crate::arena::NONE;
use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::{Complete, Renumbered, Rows, Table};
use crate::saved::{SavedFrame, are_keys};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    rows: u64,
    every: u64,
    table: Table,
    /// Windows by the place of their state; some are free.
    windows: Vec<Window>,
    free: Vec<u32>,
    keys: Vec<Key>,
    /// Windows that are full, or that have ended with the input.
    full: Vec<u32>,
    made: u64,
    slots: Vec<u32>,
    /// The rows that are in a window, where some are not.
    inside: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    key: u32,
    number: u64,
    start: i64,
    last: i64,
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
        Self {
            rows,
            every,
            table: Table::new(columns),
            windows: vec![],
            free: vec![],
            keys: vec![],
            full: vec![],
            made: 0,
            slots: vec![],
            inside: vec![],
        }
    }

    pub(crate) fn push(&mut self, rows: &Rows<'_>) -> Result<(), WindowError> {
        self.keys.resize(rows.num_keys, Key { seen: 0, open: NONE });
        self.slots.clear();
        self.inside.clear();
        for (row, (key, time)) in rows.keys.iter().zip(rows.times).enumerate() {
            let known = &mut self.keys[*key as usize];
            if known.seen == self.every {
                known.seen = 0;
            }
            if known.seen == 0 {
                let window = Window { key: *key, number: self.made, start: *time, last: *time };
                self.made += 1;
                known.open = match self.free.pop() {
                    Some(place) => {
                        self.windows[place as usize] = window;
                        place
                    }
                    None => {
                        self.windows.push(window);
                        self.windows.len() as u32 - 1
                    }
                };
            }
            known.seen += 1;
            if known.seen <= self.rows {
                self.windows[known.open as usize].last = *time;
                self.slots.push(known.open);
                self.inside.push(row as u32);
            }
            if known.seen == self.rows {
                self.full.push(std::mem::replace(&mut known.open, NONE));
            }
        }
        self.table.grow(self.windows.len());
        if self.inside.len() == rows.keys.len() {
            let args = self.table.args(rows.args)?;
            self.table.add_all(&self.slots, &args, 0);
        } else {
            let args = super::of_rows(rows.args, &self.inside)?;
            let args = self.table.args(&args)?;
            self.table.add_all(&self.slots, &args, 0);
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self) {
        let open = self.keys.iter_mut().filter(|key| key.open != NONE);
        let mut open: Vec<u32> = open.map(|key| std::mem::replace(&mut key.open, NONE)).collect();
        // Rows that come after all begin anew.
        self.keys.iter_mut().for_each(|key| key.seen = 0);
        open.sort_unstable_by_key(|place| self.windows[*place as usize].number);
        self.full.extend(open);
    }

    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let full = std::mem::take(&mut self.full);
        let mut complete = Complete::default();
        for place in &full {
            let window = &self.windows[*place as usize];
            complete.keys.push(window.key);
            complete.starts.push(window.start);
            complete.ends.push(window.last);
        }
        let mut told = self.table.none();
        for (told, states) in told.0.iter_mut().zip(&mut self.table.0) {
            told.append(&**states, &full);
            states.reset(&full);
        }
        complete.values = told.finish(0..full.len(), slots)?;
        self.free.extend(full);
        Ok(complete)
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        let open = self.keys.iter().map(|key| key.open).filter(|place| *place != NONE);
        let mut open: Vec<u32> = open.collect();
        open.sort_unstable_by_key(|place| self.windows[*place as usize].number);
        let mut table = self.table.none();
        for (own, states) in table.0.iter_mut().zip(&self.table.0) {
            own.append(&**states, &open);
        }
        let windows = open.iter().map(|place| {
            let Window { key, start, last, .. } = self.windows[*place as usize];
            (key, start, last)
        });
        let seen = self.keys.iter().map(|key| key.seen).collect();
        Some(SavedFrame::Counted { seen, windows: windows.collect(), table: table.save()? })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Counted { seen, windows, table } = saved else { return None };
        if seen.len() > num_keys || !are_keys(windows.iter().map(|(key, ..)| *key), seen.len()) {
            return None;
        }
        self.table.load(&table, windows.len())?;
        self.keys.extend(seen.into_iter().map(|seen| Key { seen, open: NONE }));
        for (key, start, last) in windows {
            self.keys[key as usize].open = self.windows.len() as u32;
            self.windows.push(Window { key, number: self.made, start, last });
            self.made += 1;
        }
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
        for key in self.keys.iter().filter(|key| key.open != NONE) {
            keys.rename([&mut self.windows[key.open as usize].key]);
        }
        keys.retain(&mut self.keys);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.bytes()
            + self.windows.capacity() * size_of::<Window>()
            + self.keys.capacity() * size_of::<Key>()
    }
}
