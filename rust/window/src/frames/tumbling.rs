//! Windows of a grid that do not overlap.
//!
//! The windows of all keys at one time stand behind each other as their first rows come; whatever is complete stands in front.
//!
//! - Time: O(1) a row: one look at its key, and one at each aggregate. Nothing happens to a window when it ends but that it is
//!   reported.
//! - Space: the states of the windows that are open, and 8 bytes a key.

use crate::compile::{Column, Slot};
use crate::edges::Together;
use crate::error::WindowError;
use crate::frames::key_places::KeyPlaces;
use crate::frames::{Complete, Renumbered, Table};
use crate::saved::{SavedFrame, are_keys};
use crate::state::Chunk;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Tumbling {
    size: i64,
    every: i64,
    offset: i64,
    table: Table,
    /// Of the windows in the table.
    places: KeyPlaces,
    /// The start of the open windows, and the number of the first of them.
    open: Option<(i64, u64)>,
    /// Starts of windows that are complete, and how many windows of the table had ended there.
    ended: Vec<(i64, usize)>,
    slots: Vec<u32>,
}

impl Tumbling {
    pub(crate) fn new((size, every, offset): (i64, i64, i64), columns: &[Column]) -> Self {
        Self {
            size,
            every,
            offset,
            table: Table::new(columns),
            places: KeyPlaces::new(),
            open: None,
            ended: vec![],
            slots: vec![],
        }
    }

    pub(crate) fn push(&mut self, rows: &Chunk<'_>) -> Result<(), WindowError> {
        let args = self.table.args(&rows.args.of)?;
        self.places.grow(rows.num_keys);
        self.slots.clear();
        let mut row = 0;
        while let Some(time) = rows.times.get(row) {
            self.advance(*time);
            let (start, first) = *self
                .open
                .get_or_insert_with(|| (start_of(*time, self.every, self.offset), self.places.end()));
            let end = start + self.size;
            let own = rows.times[row..].partition_point(|time| *time < end);
            self.places.put(&rows.keys[row..row + own], first, self.places.base(), &mut self.slots);
            row += own;
        }
        self.table.grow(self.places.len());
        self.table.add_all(&self.slots, &args, 0);
        Ok(())
    }

    /// No row before `time` comes any more.
    pub(crate) fn advance(&mut self, time: i64) {
        if let Some((start, _)) = self.open
            && start + self.size <= time
        {
            self.ended.push((start, self.places.len()));
            self.open = None;
        }
    }

    pub(crate) fn finish(&mut self) {
        self.advance(i64::MAX);
    }

    pub(crate) fn has_complete(&self) -> bool {
        !self.ended.is_empty()
    }

    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let windows = self.ended.last().map_or(0, |(_, end)| *end);
        let values = self.table.finish(0..windows, slots)?;
        let (mut together, mut told) = (vec![], 0);
        for (start, until) in self.ended.drain(..) {
            together.push(Together { start, end: start + self.size, windows: until - told });
            told = until;
        }
        self.table.drop_first(windows);
        let mut keys = vec![];
        self.places.leave(windows, &mut keys);
        Ok(Complete { keys, together, values, ..Complete::default() })
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        let open = self.open.map(|(start, _)| start);
        Some(SavedFrame::Tumbling { open, keys: self.places.keys().to_vec(), table: self.table.save(&[])? })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Tumbling { open, keys, table } = saved else { return None };
        let on_grid = open.is_none_or(|start| {
            start_of(start, self.every, self.offset) == start && start.checked_add(self.size).is_some()
        });
        if !on_grid || open.is_some() == keys.is_empty() || !are_keys(keys.iter().copied(), num_keys) {
            return None;
        }
        self.table.load(&table, keys.len(), &[])?;
        self.places.grow(num_keys);
        self.open = open.map(|start| (start, self.places.end()));
        self.places.append(&keys);
        Some(())
    }

    pub(crate) fn keys_kept(&self, kept: &mut [bool]) {
        self.places.keys().iter().for_each(|key| kept[*key as usize] = true);
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        self.places.renumber(keys);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.bytes() + self.places.bytes()
    }

    /// Whether a row is in any window.
    pub(crate) fn holds(size: i64, every: i64, offset: i64, time: i64) -> bool {
        let time = i128::from(time);
        size >= every || time - start_before(time, every, offset) < i128::from(size)
    }
}

/// The start of the last window of a grid that begins at `time` or before; the first of all times where it would be before that.
pub fn start_of(time: i64, every: i64, offset: i64) -> i64 {
    start_before(i128::from(time), every, offset).max(i128::from(i64::MIN)) as i64
}

/// The start of the last window of a grid that begins at `time` or before.
pub(crate) fn start_before(time: i128, every: i64, offset: i64) -> i128 {
    let (every, offset) = (i128::from(every), i128::from(offset));
    (time - offset).div_euclid(every) * every + offset
}
