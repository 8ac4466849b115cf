//! Windows of a grid that overlap, as plain data.

use super::{Back, Hopping, Slice};
use crate::arena::NONE;
use crate::saved::{SavedFrame, SavedSlice, SavedTable, are_keys};

impl Hopping {
    pub(crate) fn save(&self) -> Option<SavedFrame> {
        // Parts of slices that are gone go with them.
        let live = if self.front > 0 { self.in_front(0).start } else { 0 };
        let mut parts = self.backs.none();
        for (place, slice) in self.slices.iter().enumerate() {
            let own = (self.end_of(place) - slice.first) as u32;
            parts.append(&slice.parts, &(0..own).collect::<Vec<_>>());
        }
        let slices = self.slices.iter().enumerate().map(|(place, slice)| {
            let keys = if place < self.front {
                let own = self.in_front(place);
                &self.front_keys[own.start as usize..own.end as usize]
            } else {
                let own = self.behind_front(place);
                &self.places.keys()[own.start as usize..own.end as usize]
            };
            SavedSlice { start: slice.start, end: slice.end, keys: keys.to_vec() }
        });
        let next = self.next[live as usize..].iter().map(|next| match *next {
            NONE => NONE,
            next => next - live,
        });
        let table = parts.save(&next.collect::<Vec<_>>())?;
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
            let edge = self.front_end(block);
            front = slices.partition_point(|slice| slice.end <= edge);
            back = slices.partition_point(|slice| slice.end <= end).max(front) - front;
        }
        self.grow(num_keys);
        for SavedSlice { start, end, keys } in slices {
            let parts = self.backs.none();
            self.slices.push_back(Slice { start, end, first: self.places.end(), parts });
            self.places.append(&keys);
        }
        self.load_parts(front, &table)?;
        (0..back).for_each(|_| self.add_to_back(Back::IsToldOf));
        self.reported = reported;
        Some(())
    }

    /// Takes over the states of slices, of which the first so many are to be those of the front. Their parts are joined already; what
    /// leads from one to the next follows from their keys.
    fn load_parts(&mut self, front: usize, saved: &SavedTable) -> Option<()> {
        let first_left = self.first_left();
        for slice in 0..front {
            for number in self.slices[slice].first..self.end_of(slice) {
                let part = (number - first_left) as u32;
                let key = self.places.keys()[part as usize];
                let last = std::mem::replace(&mut self.lasts[key as usize], number);
                self.next.push(NONE);
                if last > 0 {
                    self.next[(last - first_left) as usize] = part;
                } else if slice > 0 {
                    self.later.mark(part as usize);
                }
            }
        }
        let mut parts = self.backs.none();
        parts.load(saved, self.places.len(), &self.next)?;
        for slice in 0..self.slices.len() {
            let own =
                (self.slices[slice].first - first_left) as u32..(self.end_of(slice) - first_left) as u32;
            self.slices[slice].parts = parts.some(&own.collect::<Vec<_>>());
        }
        self.places.leave(self.next.len(), &mut self.front_keys);
        self.front = front;
        Some(())
    }
}
