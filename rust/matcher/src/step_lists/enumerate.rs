//! The matches that a row completes, in the order they come out in.

use super::compile::StepLists;
use super::lists::{List, Lists};
use crate::lists::written::Written;

/// Marked entries that there always is room for.
const ENTRIES_OF_ROOM_KEPT: usize = 1 << 12;

/// What leads to a match that ends in the row at hand: for each place the entries, ascending.
#[derive(Clone, Debug, Default)]
pub(super) struct Marked {
    /// Numbers of entries, and their rows.
    pub(super) entries: Vec<u32>,
    pub(super) rows: Vec<u32>,
    /// `stretches[e]`: of the `e`-th edge that leads to the place.
    pub(super) stretches: Vec<Vec<(u32, u32)>>,
}

impl Marked {
    fn clear(&mut self) {
        self.entries.clear();
        self.rows.clear();
        self.stretches.iter_mut().for_each(Vec::clear);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Marks entries one behind the other.
    fn take(&mut self, list: &List, entries: std::ops::Range<u32>) {
        let places = list.place(entries.start)..list.place(entries.end);
        self.entries.extend(entries);
        self.rows.extend_from_slice(&list.rows[places.clone()]);
        for (marked, stretches) in self.stretches.iter_mut().zip(&list.stretches) {
            marked.extend_from_slice(&stretches[places.clone()]);
        }
    }
}

/// Enumerates the matches of rows.
#[derive(Clone, Debug)]
pub(super) struct Enumeration {
    pub(super) marked: Vec<Marked>,
    /// Rows of the way so far, and the places that took them.
    way: Vec<u32>,
    way_places: Vec<u16>,
    frames: Vec<Frame>,
    choices: Vec<Choice>,
    /// Entries that were marked: a count of work.
    pub(super) marks: u64,
    /// See [`Enumeration::count`].
    pub(super) sums: Vec<Vec<u64>>,
}

/// A row of the way, and where what may follow it begins in `choices`.
#[derive(Clone, Copy, Debug)]
struct Frame {
    choices: u32,
}

/// Marked entries of a place that may follow.
#[derive(Clone, Copy, Debug)]
struct Choice {
    place: u16,
    next: u32,
    end: u32,
}

impl Enumeration {
    pub(super) fn new(steps: &StepLists) -> Self {
        let marked = |place: &super::compile::Place| Marked {
            stretches: vec![vec![]; place.ins.len()],
            ..Marked::default()
        };
        Self {
            marked: steps.places.iter().map(marked).collect(),
            way: vec![],
            way_places: vec![],
            frames: vec![],
            choices: vec![],
            marks: 0,
            sums: vec![vec![]; steps.places.len()],
        }
    }

    /// Whether it is made for such steps.
    pub(super) fn is_of(&self, steps: &StepLists) -> bool {
        self.marked.len() == steps.places.len()
            && self
                .marked
                .iter()
                .zip(&steps.places)
                .all(|(own, place)| own.stretches.len() == place.ins.len())
    }

    /// Lets go of room that only a large answer needs.
    pub(super) fn give_back_room(&mut self, steps: &StepLists) {
        let marked: usize = self.marked.iter().map(|marked| marked.entries.capacity()).sum();
        if marked + self.choices.capacity() > ENTRIES_OF_ROOM_KEPT {
            *self = Self { marks: self.marks, ..Self::new(steps) };
        }
    }

    /// Marks everything that leads to a match ending in `row`, the last row of the lists. `first`: the first row that such
    /// a match may begin at, under a window.
    pub(super) fn mark(&mut self, steps: &StepLists, lists: &Lists, row: u32, first: Option<u32>) {
        if steps.chain {
            return self.mark_chain(lists, first);
        }
        for place in (0..steps.places.len()).rev() {
            let mut own = std::mem::take(&mut self.marked[place]);
            own.clear();
            self.mark_place((steps, lists), place, row, first, &mut own);
            own.entries.reverse();
            own.rows.reverse();
            own.stretches.iter_mut().for_each(|stretches| stretches.reverse());
            self.marks += own.entries.len() as u64;
            self.marked[place] = own;
        }
    }

    /// The same where every place follows the one before it: stretch by stretch, since those of a place's marked entries
    /// stand one behind the other.
    fn mark_chain(&mut self, lists: &Lists, first: Option<u32>) {
        let last = self.marked.len() - 1;
        for place in (0..=last).rev() {
            let list = &lists.of[place];
            let (before, behind) = self.marked.split_at_mut(place + 1);
            let own = &mut before[place];
            own.clear();
            if place == last {
                own.take(list, list.end() - 1..list.end());
                continue;
            }
            // In a chain the latest starts never fall.
            let mut begin = match first {
                Some(first) => list.dropped + list.starts.partition_point(|start| *start < first) as u32,
                None => list.dropped,
            };
            for (low, high) in &behind[0].stretches[0] {
                begin = begin.max(*low);
                if begin < *high {
                    own.take(list, begin..*high);
                    begin = *high;
                }
            }
        }
        self.marks += self.marked.iter().map(|marked| marked.len() as u64).sum::<u64>();
    }

    /// Marks entries of one place from the last to the first; all later places have been marked.
    fn mark_place(
        &self,
        (steps, lists): (&StepLists, &Lists),
        place: usize,
        row: u32,
        first: Option<u32>,
        own: &mut Marked,
    ) {
        let (shape, list) = (&steps.places[place], &lists.of[place]);
        let Some(mut entry) = list.end().checked_sub(1).filter(|_| !list.rows.is_empty()) else { return };
        // Of each later place: how many of its marked entries, from the last, lead from further on than where we are.
        let mut sources: Vec<Source<'_>> = vec![];
        let mut itself = None;
        for edge in &shape.outs {
            let edge_to = steps.edges[*edge as usize].to as usize;
            let index = steps.places[edge_to].ins.iter().position(|known| known == edge);
            let index = index.expect("an edge leads to where it leads");
            if edge_to == place {
                itself = Some(index);
            } else {
                sources.push(Source { stretches: &self.marked[edge_to].stretches[index], seen: 0 });
            }
        }
        // Every stretch met so far that ends behind the entry at hand: where the first of them begins.
        let mut begin = u32::MAX;
        if shape.ends && list.rows.last() == Some(&row) {
            begin = entry;
        }
        loop {
            let mut ahead = None;
            for source in &mut sources {
                while let Some((low, high)) = source.next() {
                    if high <= entry {
                        ahead = ahead.max(Some(high));
                        break;
                    }
                    begin = begin.min(low);
                    source.seen += 1;
                }
            }
            if entry < begin {
                // Nothing leads on from here; what is ahead of us does from further down.
                let Some(high) = ahead.filter(|high| *high > list.dropped) else { return };
                entry = high - 1;
                continue;
            }
            let at = list.place(entry);
            let expired = first.is_some_and(|first| list.starts[at] < first);
            if expired && list.rising {
                return;
            }
            if !expired {
                own.entries.push(entry);
                own.rows.push(list.rows[at]);
                for (marked, stretches) in own.stretches.iter_mut().zip(&list.stretches) {
                    marked.push(stretches[at]);
                }
                if let Some(index) = itself {
                    // The entry's own stretch ends before it, wherever we go next.
                    let (low, high) = list.stretches[index][at];
                    if low < high {
                        begin = begin.min(low);
                    }
                }
            }
            if entry == list.dropped {
                return;
            }
            entry -= 1;
        }
    }

    /// Writes down the matches that end in `row`, by first row, then membership: at most `most` of them, and no more once
    /// there are more than `members_max` rows.
    pub(super) fn write(
        &mut self,
        (steps, lists): (&StepLists, &Lists),
        row: u32,
        first: Option<u32>,
        most: usize,
        members_max: usize,
        written: &mut Written,
    ) {
        if most == 0 {
            return;
        }
        self.mark(steps, lists, row, first);
        let begin =
            |marked: &Marked| marked.rows.partition_point(|known| first.is_some_and(|first| *known < first));
        if steps.chain {
            let own = &self.marked[0];
            let range = begin(own)..own.len();
            let until = written.matches.saturating_add(most).min(members_max / self.marked.len() + 1);
            self.way.clear();
            chain(&self.marked, &mut self.way, range, until, written);
            return;
        }
        let starts = steps.places.iter().enumerate().filter(|(_, place)| place.starts);
        self.frames.clear();
        self.choices.clear();
        for (place, _) in starts {
            let own = &self.marked[place];
            let choice = Choice { place: place as u16, next: begin(own) as u32, end: own.len() as u32 };
            self.choices.push(choice);
        }
        self.frames.push(Frame { choices: 0 });
        self.walk(steps, row, most, members_max, written);
    }

    /// Walks every way from the rows that may come first, in order of rows, then variables.
    fn walk(&mut self, steps: &StepLists, row: u32, most: usize, members_max: usize, written: &mut Written) {
        let until = written.matches.saturating_add(most);
        while let Some(frame) = self.frames.last().copied() {
            let marked = &self.marked;
            let open =
                self.choices[frame.choices as usize..].iter_mut().filter(|choice| choice.next < choice.end);
            let next = open.min_by_key(|choice| {
                let place = choice.place as usize;
                (marked[place].rows[choice.next as usize], steps.places[place].variable)
            });
            let Some(choice) = next else {
                self.frames.pop();
                self.choices.truncate(frame.choices as usize);
                self.way.pop();
                self.way_places.pop();
                continue;
            };
            let (place, at) = (choice.place as usize, choice.next as usize);
            choice.next += 1;
            let own = &marked[place];
            if own.rows[at] == row {
                written.rows.extend(&self.way);
                written.rows.push(row);
                written.places.extend(&self.way_places);
                written.places.push(place as u16);
                written.ends.push(written.rows.len() as u32);
                written.matches += 1;
                if written.matches == until || written.rows.len() > members_max {
                    self.way.clear();
                    self.way_places.clear();
                    return;
                }
                continue;
            }
            self.way.push(own.rows[at]);
            self.way_places.push(place as u16);
            let begin = self.choices.len() as u32;
            for edge in &steps.places[place].outs {
                let to = steps.edges[*edge as usize].to as usize;
                let index = steps.places[to].ins.iter().position(|known| known == edge);
                let stretches = &marked[to].stretches[index.expect("an edge leads to where it leads")];
                let next = stretches.partition_point(|(_, high)| *high <= own.entries[at]);
                let end = next + stretches[next..].partition_point(|(low, _)| *low <= own.entries[at]);
                self.choices.push(Choice { place: to as u16, next: next as u32, end: end as u32 });
            }
            self.frames.push(Frame { choices: begin });
        }
    }
}

/// Marked entries of a later place, read from the last on.
struct Source<'a> {
    stretches: &'a [(u32, u32)],
    seen: usize,
}

impl Source<'_> {
    fn next(&self) -> Option<(u32, u32)> {
        // `stretches` has been put in ascending order.
        self.stretches.len().checked_sub(self.seen + 1).map(|at| self.stretches[at])
    }
}

/// Where every place follows the one before it: loops within loops, the innermost over the last row but one.
fn chain(
    marked: &[Marked],
    way: &mut Vec<u32>,
    range: std::ops::Range<usize>,
    until: usize,
    written: &mut Written,
) {
    let level = way.len();
    let own = &marked[level];
    if level + 1 == marked.len() {
        for row in &own.rows[range] {
            written.rows.push(*row);
            written.matches += 1;
        }
        return;
    }
    if level + 2 == marked.len() {
        let Some(last) = marked[level + 1].rows.last() else { return };
        let rows = &own.rows[range];
        let rows = &rows[..rows.len().min(until.saturating_sub(written.matches))];
        written.add(way, rows.iter().copied(), *last);
        return;
    }
    let next = &marked[level + 1].stretches[0];
    let (mut begin, mut end) = (0, 0);
    for at in range {
        let entry = own.entries[at];
        while begin < next.len() && next[begin].1 <= entry {
            begin += 1;
        }
        end = end.max(begin);
        while end < next.len() && next[end].0 <= entry {
            end += 1;
        }
        way.push(own.rows[at]);
        chain(marked, way, begin..end, until, written);
        way.pop();
        if written.matches >= until {
            return;
        }
    }
}
