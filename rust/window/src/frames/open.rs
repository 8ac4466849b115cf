//! Windows that are open, each with a state at a place of its own, which is used again when it has ended.

use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::{Complete, Renumbered, Table};
use crate::saved::{SavedTable, SavedWindow, are_keys};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct OpenWindows {
    pub(crate) table: Table,
    windows: Vec<Window>,
    /// Places without a window.
    free: Vec<u32>,
    /// Windows so far, for their order.
    made: u64,
    /// Places of windows that have ended, in the order in which they are to be told of.
    pub(crate) ended: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    key: u32,
    /// Its place among all: those that begin earlier have a smaller one; of one that is full, the row that has filled it.
    pub(crate) number: u64,
    pub(crate) start: i64,
    pub(crate) last: i64,
}

impl OpenWindows {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { table: Table::new(columns), windows: vec![], free: vec![], made: 0, ended: vec![] }
    }

    /// Opens a window that begins with a row of this number, and gives its place.
    pub(crate) fn open_with(&mut self, row: u64, key: u32, time: i64) -> u32 {
        self.made = row;
        self.open(key, time, time)
    }

    /// Opens a window, and gives its place.
    pub(crate) fn open(&mut self, key: u32, start: i64, last: i64) -> u32 {
        let window = Window { key, number: self.made, start, last };
        self.made += 1;
        match self.free.pop() {
            Some(place) => {
                self.windows[place as usize] = window;
                place
            }
            None => {
                self.windows.push(window);
                self.windows.len() as u32 - 1
            }
        }
    }

    pub(crate) fn at(&self, place: u32) -> &Window {
        &self.windows[place as usize]
    }

    /// A row has come to a window.
    pub(crate) fn extend(&mut self, place: u32, time: i64) {
        self.windows[place as usize].last = time;
    }

    /// A row of this number has filled a window.
    pub(crate) fn fill(&mut self, place: u32, row: u64) {
        self.windows[place as usize].number = row;
        self.ended.push(place);
    }

    /// The key that a window is of.
    pub(crate) fn key(&self, place: u32) -> u32 {
        self.windows[place as usize].key
    }

    /// Adds rows to the states of windows, those that have just been opened among them.
    pub(crate) fn add_all(
        &mut self,
        places: &[u32],
        args: &[Vec<arrow_array::ArrayRef>],
    ) -> Result<(), WindowError> {
        let args = self.table.args(args)?;
        self.table.grow(self.windows.len());
        self.table.add_all(places, &args, 0);
        Ok(())
    }

    /// Tells of the windows that have ended; `end` says when one did.
    pub(crate) fn complete(
        &mut self,
        slots: &[Slot],
        end: impl Fn(&Window) -> i64,
    ) -> Result<Complete, WindowError> {
        let ended = std::mem::take(&mut self.ended);
        let mut complete = Complete::default();
        for place in &ended {
            let window = self.at(*place);
            complete.keys.push(window.key);
            complete.starts.push(window.start);
            complete.ends.push(end(window));
            complete.order.push(window.number);
        }
        complete.values = self.table.some(&ended).finish(0..ended.len(), slots)?;
        self.close(&ended);
        Ok(complete)
    }

    /// Forgets windows.
    pub(crate) fn close(&mut self, places: &[u32]) {
        self.table.reset(places);
        self.free.extend(places);
    }

    /// Adds the states of windows to others.
    pub(crate) fn append_to(&self, told: &mut Table, places: &[u32]) {
        told.append(&self.table, places);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.windows.len() - self.free.len()
    }

    /// Windows in the order in which they began.
    pub(crate) fn in_order(&self, places: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut places: Vec<u32> = places.collect();
        places.sort_unstable_by_key(|place| self.at(*place).number);
        places
    }

    /// The open ones as plain data, in the order in which they began.
    pub(crate) fn save(&self, open: impl Iterator<Item = u32>) -> Option<(Vec<SavedWindow>, SavedTable)> {
        let open = self.in_order(open);
        let saved = |place: &u32| {
            let Window { key, start, last, .. } = *self.at(*place);
            (key, start, last)
        };
        Some((open.iter().map(saved).collect(), self.table.some(&open).save(&[])?))
    }

    /// Takes over what was saved, and tells `opened` of each key and place.
    pub(crate) fn load(
        &mut self,
        (windows, table): (Vec<SavedWindow>, &SavedTable),
        num_keys: usize,
        mut opened: impl FnMut(u32, u32),
    ) -> Option<()> {
        let in_order = |(_, start, last): &SavedWindow| start <= last;
        if !are_keys(windows.iter().map(|(key, ..)| *key), num_keys) || !windows.iter().all(in_order) {
            return None;
        }
        self.table.load(table, windows.len(), &[])?;
        for (key, start, last) in windows {
            let place = self.open(key, start, last);
            opened(key, place);
        }
        Some(())
    }

    /// Renumbers the keys of open windows.
    pub(crate) fn renumber(&mut self, open: impl Iterator<Item = u32>, keys: &Renumbered) {
        open.for_each(|place| keys.rename([&mut self.windows[place as usize].key]));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.bytes() + self.windows.capacity() * size_of::<Window>() + self.free.capacity() * 4
    }
}
