//! Windows that end when nothing comes.
//!
//! - Time: O(1) a row; a window that ends O(log s) for s open ones, and once more for every gap that it lasts.
//! - Space: a state and 40 bytes for each open window, 4 bytes a key.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::arena::NONE;
use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::{Complete, Renumbered, Rows, Table};
use crate::saved::{SavedFrame, SavedWindow, are_keys};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    gap: i64,
    table: Table,
    /// Windows by the place of their state; some are free.
    windows: Vec<Window>,
    free: Vec<u32>,
    /// `open[key]`: the key's open window, or [`NONE`].
    open: Vec<u32>,
    /// Windows that were open, by a time before which they do not end; with their number, as places are used again.
    ending: BinaryHeap<Reverse<(i64, u32, u64)>>,
    /// Windows that have ended.
    ended: Vec<u32>,
    /// Windows so far, for their order.
    made: u64,
    slots: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    key: u32,
    /// Its place among all: those that begin earlier have a smaller one.
    number: u64,
    start: i64,
    last: i64,
}

impl Session {
    pub(crate) fn new(gap: i64, columns: &[Column]) -> Self {
        Self {
            gap,
            table: Table::new(columns),
            windows: vec![],
            free: vec![],
            open: vec![],
            ending: BinaryHeap::new(),
            ended: vec![],
            made: 0,
            slots: vec![],
        }
    }

    pub(crate) fn push(&mut self, rows: &Rows<'_>) -> Result<(), WindowError> {
        let args = self.table.args(rows.args)?;
        self.open.resize(rows.num_keys, NONE);
        self.slots.clear();
        for (key, time) in rows.keys.iter().zip(rows.times) {
            let open = &mut self.open[*key as usize];
            // What has ended by then is told of when the clock moves; until then it keeps its state.
            let goes_on = *open != NONE && *time < end_of(&self.windows[*open as usize], self.gap);
            if goes_on {
                self.windows[*open as usize].last = *time;
            } else {
                if *open != NONE {
                    self.ended.push(*open);
                }
                let window = Window { key: *key, number: self.made, start: *time, last: *time };
                self.made += 1;
                *open = match self.free.pop() {
                    Some(place) => {
                        self.windows[place as usize] = window;
                        place
                    }
                    None => {
                        self.windows.push(window);
                        self.windows.len() as u32 - 1
                    }
                };
                self.ending.push(Reverse((end_of(&window, self.gap), *open, window.number)));
            }
            self.slots.push(*open);
        }
        self.table.grow(self.windows.len());
        self.table.add_all(&self.slots, &args, 0);
        if let Some(time) = rows.times.last() {
            self.advance(*time);
        }
        Ok(())
    }

    /// No row before `time` comes any more.
    pub(crate) fn advance(&mut self, time: i64) {
        while let Some(Reverse((at, place, number))) = self.ending.peek().copied()
            && at <= time
        {
            self.ending.pop();
            let window = &self.windows[place as usize];
            if window.number != number || self.open[window.key as usize] != place {
                // Another row has ended it.
                continue;
            }
            let end = end_of(window, self.gap);
            if end <= time {
                self.open[window.key as usize] = NONE;
                self.ended.push(place);
            } else {
                self.ending.push(Reverse((end, place, number)));
            }
        }
    }

    pub(crate) fn finish(&mut self) {
        let open = self.open.iter_mut().filter(|place| **place != NONE);
        self.ended.extend(open.map(|place| std::mem::replace(place, NONE)));
        self.ending.clear();
    }

    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable_by_key(|place| {
            let window = &self.windows[*place as usize];
            (window.last, window.number)
        });
        let mut complete = Complete::default();
        for place in &ended {
            let window = &self.windows[*place as usize];
            complete.keys.push(window.key);
            complete.starts.push(window.start);
            complete.ends.push(end_of(window, self.gap));
        }
        let mut told = self.table.none();
        for (told, states) in told.0.iter_mut().zip(&mut self.table.0) {
            told.append(&**states, &ended);
            states.reset(&ended);
        }
        complete.values = told.finish(0..ended.len(), slots)?;
        self.free.extend(ended);
        Ok(complete)
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        let mut open: Vec<u32> = self.open.iter().copied().filter(|place| *place != NONE).collect();
        open.sort_unstable_by_key(|place| self.windows[*place as usize].number);
        let mut table = self.table.none();
        for (own, states) in table.0.iter_mut().zip(&self.table.0) {
            own.append(&**states, &open);
        }
        let windows = open.iter().map(|place| {
            let Window { key, start, last, .. } = self.windows[*place as usize];
            (key, start, last)
        });
        Some(SavedFrame::Session { windows: windows.collect(), table: table.save()? })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Session { windows, table } = saved else { return None };
        let last = |(_, start, last): &SavedWindow| start <= last;
        if !are_keys(windows.iter().map(|(key, ..)| *key), num_keys) || !windows.iter().all(last) {
            return None;
        }
        self.table.load(&table, windows.len())?;
        self.open.resize(num_keys, NONE);
        for (key, start, last) in windows {
            let window = Window { key, number: self.made, start, last };
            let place = self.windows.len() as u32;
            self.ending.push(Reverse((end_of(&window, self.gap), place, self.made)));
            self.open[key as usize] = place;
            self.windows.push(window);
            self.made += 1;
        }
        Some(())
    }

    pub(crate) fn keys_kept(&self, kept: &mut [bool]) {
        kept.iter_mut().zip(&self.open).for_each(|(kept, open)| *kept = *open != NONE);
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        for place in self.open.iter().filter(|place| **place != NONE) {
            keys.rename([&mut self.windows[*place as usize].key]);
        }
        keys.retain(&mut self.open);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.bytes()
            + self.windows.capacity() * size_of::<Window>()
            + self.ending.capacity() * 24
            + (self.open.capacity() + self.free.capacity()) * 4
    }
}

fn end_of(window: &Window, gap: i64) -> i64 {
    window.last.saturating_add(gap)
}
