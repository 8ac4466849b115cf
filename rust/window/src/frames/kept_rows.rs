//! Rows of windows that are reported again when others come late: each a state of its own, which are joined in the order of
//! their times.
//!
//! - Time: O(log n) to find a place among the n rows of a key that are kept, and O(n) to make room at it, which is at their end
//!   unless a row is late; amortised O(1) a row to forget it. The rows of a window: one join each.
//! - Space: a state and 28 bytes a row.

use std::collections::VecDeque;

use crate::frames::{Renumbered, Table};
use crate::saved::SavedTable;

/// Rows are looked through for those that can go when there are so many more than twice what was left the last time.
const SWEPT_MIN: usize = 1 << 10;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct KeptRows {
    /// By key, in their order.
    by_key: Vec<VecDeque<KeptRow>>,
    /// States of rows, by place; those at free places are of no rows.
    table: Table,
    places: u32,
    free: Vec<u32>,
    /// Rows, and how many there were when those that can go had gone.
    rows: usize,
    swept: usize,
}

/// A row; told apart from others of its time by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KeptRow {
    time: i64,
    number: u64,
    place: u32,
}

/// Key, time and number of a row.
pub(crate) type SavedRow = (u32, i64, u64);

impl KeptRows {
    /// None, with states as those of `table`.
    pub(crate) fn new(table: &Table) -> Self {
        Self { by_key: vec![], table: table.none(), places: 0, free: vec![], rows: 0, swept: 0 }
    }

    pub(crate) fn grow(&mut self, keys: usize) {
        self.by_key.resize(keys, VecDeque::new());
    }

    /// Makes states of rows, and gives their places.
    pub(crate) fn add_states(&mut self, rows: usize, args: &[Box<dyn std::any::Any>]) -> Vec<u32> {
        let used_again = self.free.split_off(self.free.len().saturating_sub(rows));
        let new = self.places..self.places + (rows - used_again.len()) as u32;
        self.places = new.end;
        let places: Vec<u32> = used_again.into_iter().chain(new).collect();
        self.table.grow(self.places as usize);
        self.table.add_all(&places, args, 0);
        places
    }

    /// Puts a row, whose state is at a place, among those of its key.
    pub(crate) fn insert(&mut self, key: u32, time: i64, number: u64, place: u32) {
        let row = KeptRow { time, number, place };
        let own = &mut self.by_key[key as usize];
        let at = own.partition_point(|known| *known < row);
        own.insert(at, row);
        self.rows += 1;
    }

    /// The time and number of the first row of a key that is not before a time.
    pub(crate) fn first_from(&self, key: u32, time: i64) -> Option<(i64, u64)> {
        let own = self.by_key.get(key as usize)?;
        own.get(own.partition_point(|row| row.time < time)).map(|row| (row.time, row.number))
    }

    /// Adds the rows of a key from `start` on and before `end` to a state.
    pub(crate) fn join_into(&self, table: &mut Table, state: u32, key: u32, start: i64, end: i64) {
        let own = &self.by_key[key as usize];
        let first = own.partition_point(|row| row.time < start);
        let behind = own.partition_point(|row| row.time < end);
        let places: Vec<u32> = own.range(first..behind).map(|row| row.place).collect();
        table.join(&vec![state; places.len()], &self.table, &places);
    }

    /// Forgets rows of times before this, once that is worth the trouble.
    pub(crate) fn forget_before(&mut self, time: i64) {
        if self.rows > 2 * self.swept + SWEPT_MIN {
            self.sweep(time);
        }
    }

    fn sweep(&mut self, time: i64) {
        let mut gone = vec![];
        for own in &mut self.by_key {
            let behind = own.partition_point(|row| row.time < time);
            gone.extend(own.drain(..behind).map(|row| row.place));
            if own.is_empty() {
                *own = VecDeque::new();
            }
        }
        self.rows -= gone.len();
        self.swept = self.rows;
        self.table.reset(&gone);
        self.free.extend(gone);
        if self.rows == 0 {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { by_key: vec![VecDeque::new(); self.by_key.len()], ..Self::new(&self.table) };
    }

    /// Says which keys have rows that are not before a time.
    pub(crate) fn keys_kept(&self, kept: &mut [bool], time: Option<i64>) {
        let has_any = |own: &VecDeque<KeptRow>| {
            own.back().is_some_and(|last| time.is_none_or(|time| last.time >= time))
        };
        kept.iter_mut().zip(&self.by_key).for_each(|(kept, own)| *kept |= has_any(own));
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        // Of keys that go only rows are left that can go, too.
        let mut gone = vec![];
        keys.each_forgotten(&mut self.by_key, |own| gone.extend(own.drain(..).map(|row| row.place)));
        self.rows -= gone.len();
        self.table.reset(&gone);
        self.free.extend(gone);
        keys.retain(&mut self.by_key);
    }

    /// As plain data, key by key.
    pub(crate) fn save(&self) -> Option<(Vec<SavedRow>, SavedTable)> {
        let by_key =
            || self.by_key.iter().zip(0..).flat_map(|(own, key)| own.iter().map(move |row| (key, row)));
        let places: Vec<u32> = by_key().map(|(_, row)| row.place).collect();
        let rows = by_key().map(|(key, row)| (key, row.time, row.number)).collect();
        Some((rows, self.table.some(&places).save(&[])?))
    }

    pub(crate) fn load(&mut self, rows: &[SavedRow], states: &SavedTable, keys: usize) -> Option<()> {
        let places = u32::try_from(rows.len()).ok()?;
        self.grow(keys);
        self.table.load(states, rows.len(), &[])?;
        for (&(key, time, number), place) in rows.iter().zip(0..) {
            let own = self.by_key.get_mut(key as usize)?;
            if own.back().is_some_and(|last| (last.time, last.number) >= (time, number)) {
                return None;
            }
            own.push_back(KeptRow { time, number, place });
        }
        (self.places, self.rows) = (places, rows.len());
        Some(())
    }

    pub(crate) fn bytes(&self) -> usize {
        let rows: usize = self.by_key.iter().map(|own| own.capacity() * size_of::<KeptRow>()).sum();
        rows + self.by_key.capacity() * size_of::<VecDeque<KeptRow>>()
            + self.table.bytes()
            + self.free.capacity() * 4
    }
}
