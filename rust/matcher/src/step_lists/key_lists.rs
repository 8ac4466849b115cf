//! The lists of one key of a stream: what they keep between calls, how they are put back, and what is let go of.

use std::collections::VecDeque;

use super::compile::StepLists;
use super::lists::{Action, Grown, List, Lists, twice};
use crate::error::MatchError;
use crate::lists::window::Bound;

/// Entries of a loop that are followed back, one from the other, each time something is let go of.
const LINKS_FOLLOWED: usize = 64;

/// Room of fewer entries than this is never given back.
const ROOM_KEPT: usize = 16;

/// Rows at which matches may begin, ascending. Kept under a window only.
#[derive(Clone, Debug, Default)]
pub(super) struct Starts {
    pub(super) of: VecDeque<Start>,
    /// The first of them have left the window since the last commit.
    pub(super) over: usize,
}

/// A row at which a match may begin. Of 12 bytes, as one list of them takes less than two of 4 and 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) row: u32,
    /// Its time, or its place among the rows of the key, whichever the window counts: the upper half and the lower.
    at: [u32; 2],
}

impl Start {
    #[inline]
    pub(super) fn new(row: u32, at: i64) -> Self {
        Self { row, at: [(at >> 32) as u32, at as u32] }
    }

    #[inline]
    pub(super) fn at(self) -> i64 {
        (i64::from(self.at[0]) << 32) | i64::from(self.at[1])
    }
}

impl Starts {
    /// Passes over those from which a match cannot end at `at`.
    #[inline]
    pub(super) fn pass(&mut self, bound: Bound, at: i64) {
        while self.of.get(self.over).is_some_and(|start| bound.is_over(start.at(), at)) {
            self.over += 1;
        }
    }
}

/// See the module.
///
/// Rows go by their place in the order of all rows, less `base`: numbers from 1 on, so that 0 is before every window.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyLists {
    pub(super) lists: Lists,
    pub(super) starts: Starts,
    /// The row that is number 1.
    pub(super) base: u64,
}

/// What putting a row to lists has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) grown: Grown,
    /// The first row that a match which ends in it may begin at, under a window.
    pub(super) first: Option<u32>,
}

impl KeyLists {
    pub(super) fn new(steps: &StepLists) -> Self {
        Self { lists: Lists::new(steps), ..Self::default() }
    }

    /// Forgets everything, as if it were new.
    pub(super) fn clear(&mut self) {
        self.lists.begin_anew();
        self.starts.of.clear();
        self.starts.over = 0;
    }

    /// Puts a row to the lists, which stands at a time, or a place among the rows of the key, whichever the window counts.
    #[inline]
    pub(super) fn put(&mut self, steps: &StepLists, action: &Action, row: u32, stands: i64) -> Put {
        let first = self.first_in_window(steps.within, row, stands);
        let grown = self.lists.grow(steps, action, row, first);
        if action.begins && first.is_some() {
            self.starts.of.push_back(Start::new(row, stands));
        }
        Put { grown, first }
    }

    /// The place of a row in the order of all rows.
    pub(super) fn ordinal(&self, row: u32) -> u64 {
        self.base + u64::from(row) - 1
    }

    /// The number of a row for which there is [room](Self::make_room).
    #[inline]
    pub(super) fn row(&self, ordinal: u64) -> u32 {
        (ordinal - self.base + 1) as u32
    }

    /// Makes sure that `rows` rows at most, which reach from a first to a last one, can be numbered, and entries for them.
    /// `touched`: what there is has been remembered, by the numbers that it has.
    ///
    /// Cost: O(1), but once in some thousand millions of rows.
    pub(super) fn make_room(
        &mut self,
        steps: &StepLists,
        (first, last): (u64, u64),
        rows: u32,
        touched: bool,
    ) -> Result<(), MatchError> {
        let limit = u64::from(u32::MAX) - 2;
        let entries_fit = |lists: &Lists| lists.of.iter().all(|list| list.end().checked_add(rows).is_some());
        // What is remembered of lists that have been touched goes by the numbers there are.
        if !touched {
            if self.lists.held() == 0 && self.starts.of.is_empty() {
                self.base = first;
            }
            if last - self.base > limit {
                self.base += self.lists.number_rows_anew(&mut self.starts.of);
            }
            if !entries_fit(&self.lists) {
                self.lists.number_entries_anew(steps);
            }
        }
        if last - self.base > limit || !entries_fit(&self.lists) {
            return Err(MatchError::TooLarge { what: "rows from the first to the last of a match", limit });
        }
        Ok(())
    }

    /// The first row that a match may begin at that ends in `row`, which stands `at`; rows are asked for in order.
    #[inline]
    pub(super) fn first_in_window(&mut self, bound: Bound, row: u32, at: i64) -> Option<u32> {
        if bound == Bound::None {
            return None;
        }
        let starts = &mut self.starts;
        starts.pass(bound, at);
        Some(starts.of.get(starts.over).map_or(row, |start| start.row))
    }

    /// Lets go of what has left the window and of what no row to come can go on from. Gives the row that the first of what is
    /// left began at. `position`: rows of the key so far, where the window counts rows.
    ///
    /// Cost: amortised O(1) an entry, and O(p) for p places.
    pub(super) fn let_go(&mut self, steps: &StepLists, position: u64) -> Option<u32> {
        let starts = &mut self.starts;
        if let Bound::Rows(_) = steps.within {
            // What the next row of the key will find.
            starts.pass(steps.within, position as i64);
        }
        let first = match steps.within {
            Bound::None => None,
            _ => Some(starts.of.get(starts.over).map_or(u32::MAX, |start| start.row)),
        };
        let earliest = self.lists.let_go(steps, first);
        let gone = starts.of.partition_point(|start| start.row < earliest).max(starts.over);
        starts.of.drain(..gone);
        starts.over = 0;
        let left = starts.of.len();
        if has_too_much_room(left, starts.of.capacity()) {
            starts.of.shrink_to(room_for(left));
        }
        self.lists.keep_all(true);
        (earliest != u32::MAX).then_some(earliest)
    }

    /// Bytes that it would hold had it grown from nothing, whatever room others have left in it.
    pub(super) fn bytes_grown(&self) -> usize {
        let room = |entries: usize| if entries == 0 { 0 } else { entries.next_power_of_two().max(4) };
        let of = |list: &List| {
            4 * (room(list.rows.len()) + room(list.starts.len()))
                + 8 * room(list.rows.len()) * list.stretches.len()
        };
        let lists: usize = self.lists.of.iter().map(of).sum();
        size_of::<Self>() + lists + self.lists.fixed_bytes() + room(self.starts.of.len()) * size_of::<Start>()
    }

    pub(super) fn bytes(&self) -> usize {
        let starts = self.starts.of.capacity() * size_of::<Start>();
        size_of::<Self>() + self.lists.bytes() + self.lists.fixed_bytes() + starts
    }
}

impl Lists {
    /// Entries of all places.
    pub(super) fn held(&self) -> usize {
        self.of.iter().map(|list| list.rows.len()).sum()
    }

    /// Bytes that there are whatever is held.
    fn fixed_bytes(&self) -> usize {
        let stretches = self.of.iter().map(|list| list.stretches.len() * size_of::<Vec<(u32, u32)>>());
        self.of.len() * size_of::<List>() + self.open.len() * 4 + stretches.sum::<usize>()
    }

    /// Forgets the row at the places that nothing follows, once what it completes has been told.
    pub(super) fn forget_ends(&mut self, steps: &StepLists, fits: &[u16]) {
        for place in fits.iter().filter(|place| steps.places[**place as usize].outs.is_empty()) {
            self.of[*place as usize].truncate(0);
        }
    }

    /// Lets go of entries that no row to come can go on from: nothing leads on from them, or nothing that leads on from
    /// them has kept in the window. Gives the first row that anything left began at.
    fn let_go(&mut self, steps: &StepLists, first: Option<u32>) -> u32 {
        let mut earliest = u32::MAX;
        // `from[p]`: the first entry that is still of use.
        let mut from: Vec<u32> = self.of.iter().map(List::end).collect();
        for (place, shape) in steps.places.iter().enumerate().rev() {
            let mut useful = self.of[place].end();
            let mut itself = None;
            for edge in &shape.outs {
                useful = useful.min(self.open[*edge as usize]);
                let to = steps.edges[*edge as usize].to as usize;
                let index = steps.places[to].ins.iter().position(|known| known == edge);
                let index = index.expect("an edge leads to where it leads");
                if to == place {
                    itself = Some(index);
                } else if let Some((begin, _)) = self.of[to].stretches[index].get(self.of[to].place(from[to]))
                {
                    // Stretches never begin before those of earlier entries.
                    useful = useful.min(*begin);
                }
            }
            let list = &mut self.of[place];
            useful = useful.max(list.dropped);
            if let Some(index) = itself {
                useful = list.first_linked(index, useful);
            }
            if let Some(first) = first {
                useful = useful.max(list.dropped + list.before_window(first) as u32);
            }
            from[place] = useful;
            if let Some(row) = list.rows.get(list.place(useful)).filter(|_| shape.starts) {
                earliest = earliest.min(*row);
            }
        }
        for (list, from) in self.of.iter_mut().zip(from) {
            let gone = list.place(from);
            // Moving what stays is paid for by what goes.
            if gone > 0 && gone * 4 >= list.rows.len() {
                list.drop_first(gone);
            }
            list.give_back_room();
        }
        earliest
    }

    /// Subtracts from the numbers of rows what they have in common, and gives it.
    fn number_rows_anew(&mut self, starts: &mut VecDeque<Start>) -> u64 {
        let firsts =
            self.of.iter().filter_map(|list| list.rows.first()).chain(starts.front().map(|start| &start.row));
        let Some(shift) = firsts.min().map(|first| first - 1) else { return 0 };
        for list in &mut self.of {
            list.rows.iter_mut().for_each(|row| *row -= shift);
            // What began before all that is left is out of the window.
            list.starts.iter_mut().for_each(|start| *start = start.saturating_sub(shift));
        }
        starts.iter_mut().for_each(|start| start.row -= shift);
        u64::from(shift)
    }

    /// Subtracts from the numbers of entries those that were dropped.
    fn number_entries_anew(&mut self, steps: &StepLists) {
        let dropped: Vec<u32> = self.of.iter().map(|list| list.dropped).collect();
        let shift_of = |edge: &u16| dropped[steps.edges[*edge as usize].from as usize];
        for (list, shape) in self.of.iter_mut().zip(&steps.places) {
            for (stretches, shift) in list.stretches.iter_mut().zip(shape.ins.iter().map(shift_of)) {
                for (begin, end) in stretches {
                    (*begin, *end) = (begin.saturating_sub(shift), end.saturating_sub(shift));
                }
            }
            list.dropped = 0;
        }
        for (edge, open) in self.open.iter_mut().enumerate() {
            *open = open.saturating_sub(shift_of(&(edge as u16)));
        }
    }
}

impl List {
    /// Leaves the first entries.
    pub(super) fn truncate(&mut self, entries: usize) {
        self.rows.truncate(entries);
        self.starts.truncate(entries);
        self.stretches.iter_mut().for_each(|stretches| stretches.truncate(entries));
    }

    fn give_back_room(&mut self) {
        let room = room_for(self.rows.len());
        if has_too_much_room(self.rows.len(), self.rows.capacity()) {
            self.rows.shrink_to(room);
            self.starts.shrink_to(room);
            self.stretches.iter_mut().for_each(|stretches| stretches.shrink_to(room));
        }
    }

    /// The first entry that a loop comes from whose entries from `useful` on are of use; the first there is, if that is too
    /// far back to be looked for now.
    fn first_linked(&mut self, index: usize, useful: u32) -> u32 {
        let all = self.rows.len() as u32 >= self.full;
        if all {
            self.full = twice(self.rows.len());
        }
        let mut from = useful;
        for _ in 0..if all { self.rows.len() } else { LINKS_FOLLOWED } {
            match self.stretches[index].get(self.place(from)) {
                Some((begin, _)) if *begin < from && from > self.dropped => from = (*begin).max(self.dropped),
                _ => return from,
            }
        }
        if all { from } else { self.dropped }
    }
}

/// Room for so many entries, and an eighth more.
fn room_for(entries: usize) -> usize {
    entries + entries / 8
}

/// Whether there is room for a quarter more: what a vector has grown by is more than it will need soon.
fn has_too_much_room(entries: usize, room: usize) -> bool {
    room > (entries + entries / 4).max(ROOM_KEPT)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::super::compile::{Edge, Place};
    use super::super::enumerate::Enumeration;
    use super::super::settled::{After, Exclusive};
    use super::*;
    use crate::lists::ground::RowConditions;
    use crate::lists::written::Written;
    use crate::match_set::Label;

    /// `a ->> b ->> c`, each of a predicate of its own.
    fn three_steps() -> StepLists {
        let place = |index: u16| Place {
            variable: index,
            label: Label { variable: index, excluded: false },
            starts: index == 0,
            ends: index == 2,
            ins: index.checked_sub(1).into_iter().collect(),
            outs: Some(index).filter(|index| *index < 2).into_iter().collect(),
        };
        let edge = |from: u16| Edge { from, to: from + 1, takes_first: false, absent: vec![] };
        StepLists {
            places: (0..3).map(place).collect(),
            edges: (0..2).map(edge).collect(),
            conditions: RowConditions {
                predicates: vec![0, 1, 2],
                of_variable: vec![Some(0), Some(1), Some(2)],
            },
            after: After::Nothing,
            settled: false,
            exclusive: Exclusive::default(),
            within: Bound::Rows(1 << 40),
            chain: true,
            all_actions: OnceLock::new(),
        }
    }

    fn put(key: &mut KeyLists, steps: &StepLists, ordinal: u64, place: u16) {
        let row = key.row(ordinal);
        key.put(steps, &steps.action(1 << place), row, 0);
    }

    /// The matches that end in the row, which is forgotten again.
    fn matches(key: &mut KeyLists, steps: &StepLists, ordinal: u64) -> Vec<u64> {
        put(key, steps, ordinal, 2);
        let (row, mut written) = (key.row(ordinal), Written::default());
        let first = key.first_in_window(steps.within, row, 0);
        Enumeration::new(steps).write((steps, &key.lists), row, first, 100, 1000, &mut written);
        key.lists.forget_ends(steps, &[2]);
        written.rows.iter().map(|row| key.ordinal(*row)).collect()
    }

    #[test]
    fn what_a_row_does_alone_is_what_it_does_to_lists_without_rows() {
        let (mut known, mut none) = (0, 0);
        // Matches may begin at the first place alone, at the first two, or at all, and end at the last or at the last two.
        for (begin, end) in [(1, 2), (2, 2), (3, 2), (1, 1), (2, 1)] {
            let mut steps = three_steps();
            for (index, place) in steps.places.iter_mut().enumerate() {
                (place.starts, place.ends) = (index < begin, index >= end);
            }
            for symbol in 0..8 {
                let action = steps.action(symbol);
                let mut key = KeyLists::new(&steps);
                let put = key.put(&steps, &action, 1, 0);
                let waiting = key.lists.held() as u32;
                assert_eq!(u32::from(put.grown.entries), waiting);
                let alone = (waiting > 0 && !put.grown.ends).then_some(waiting);
                assert_eq!(action.alone, alone, "symbol {symbol:b}, {begin} begin, from {end} on end");
                known += usize::from(alone.is_some());
                none += usize::from(alone.is_none());
            }
        }
        assert!(known > 10 && none > 10, "{known}, {none}");
    }

    #[test]
    fn times_of_starts_are_kept_whole() {
        for at in
            [0, 1, -1, i64::MIN, i64::MAX, 1 << 32, -(1 << 32), (1 << 32) - 1, i64::from(u32::MAX) << 31]
        {
            let start = Start::new(7, at);
            assert_eq!((start.row, start.at()), (7, at));
        }
        assert_eq!(size_of::<Start>(), 12);
    }

    #[test]
    fn bytes_do_not_tell_what_others_had_before() {
        let steps = three_steps();
        let (mut fresh, mut used) = (KeyLists::new(&steps), KeyLists::new(&steps));
        used.make_room(&steps, (1, 1000), 1000, false).expect("room");
        (1..1000).for_each(|ordinal| put(&mut used, &steps, ordinal, 0));
        used.clear();
        let mut compared = 0;
        for ordinal in 7..200 {
            for key in [&mut fresh, &mut used] {
                key.make_room(&steps, (7, 200), 200, ordinal > 7).expect("room");
                put(key, &steps, ordinal, (ordinal % 2) as u16);
            }
            assert_eq!([fresh.bytes_grown(), used.bytes_grown()], [fresh.bytes(); 2], "up to {ordinal}");
            compared += usize::from(used.bytes() > fresh.bytes());
        }
        assert_eq!(compared, 193);
    }

    #[test]
    fn numbers_of_rows_and_entries_begin_anew_before_they_run_out() {
        let steps = three_steps();
        let mut key = KeyLists::new(&steps);
        key.make_room(&steps, (100, 110), 10, false).expect("room");
        for (ordinal, place) in [(100, 0), (101, 0), (102, 1), (103, 0), (104, 1)] {
            put(&mut key, &steps, ordinal, place);
        }
        // The first row has left.
        key.lists.of[0].drop_first(1);
        key.starts.of.pop_front();
        let right = |last: u64| vec![101, 102, last, 101, 104, last, 103, 104, last];
        assert_eq!(matches(&mut key, &steps, 105), right(105));
        let far = 100 + u64::from(u32::MAX) - 1;
        key.make_room(&steps, (106, far), 10, false).expect("room by numbering rows anew");
        assert_eq!((key.base, matches(&mut key, &steps, far)), (101, right(far)));
        // As if there had been very many entries.
        let more = u32::MAX - 8;
        key.lists.of.iter_mut().for_each(|list| list.dropped += more);
        key.lists.open.iter_mut().for_each(|open| *open += more);
        let stretches = key.lists.of.iter_mut().flat_map(|list| &mut list.stretches).flatten();
        stretches.for_each(|(begin, end)| (*begin, *end) = (*begin + more, *end + more));
        assert_eq!(matches(&mut key, &steps, far), right(far));
        key.make_room(&steps, (far, far), 10, false).expect("room by numbering entries anew");
        assert_eq!(key.lists.of.iter().map(|list| list.dropped).collect::<Vec<_>>(), [0, 0, 0]);
        assert_eq!(matches(&mut key, &steps, far), right(far));
        // What cannot be numbered is refused.
        let error = key.make_room(&steps, (far, far + 8), 10, false).expect_err("row 101 is still there");
        assert!(matches!(error, MatchError::TooLarge { .. }), "{error}");
    }
}
