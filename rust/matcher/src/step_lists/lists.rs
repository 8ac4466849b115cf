//! The lists, and how a row grows them.

use super::compile::StepLists;

/// Entries of a list before it is worth dropping some.
const ENTRIES_KEPT: u32 = 1 << 8;

/// Rows that reached one place, ascending.
///
/// Entries are known by the number they came with; the first `dropped` are gone.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) dropped: u32,
    /// Positions of the rows.
    pub(super) rows: Vec<u32>,
    /// `starts[i]`: the latest row that a run which has reached the place by `rows[i]` can have begun at. Kept under a window
    /// only.
    pub(super) starts: Vec<u32>,
    /// Whether `starts` never falls.
    pub(super) rising: bool,
    /// Entries stay, whatever leaves the window: they may have to be as they were. The same in all lists of a key, and here
    /// because there is room.
    pub(super) keeps_all: bool,
    /// How many entries there are when it is next worth looking for some to drop.
    pub(super) full: u32,
    /// `stretches[e][i]`: for the `e`-th edge that leads here, the entries of its place that entry `i` can have come from.
    pub(super) stretches: Box<[Vec<(u32, u32)>]>,
}

impl List {
    /// One past the number of the last entry.
    #[inline]
    pub(super) fn end(&self) -> u32 {
        self.dropped + self.rows.len() as u32
    }

    /// Where an entry stands, by its number.
    #[inline]
    pub(super) fn place(&self, entry: u32) -> usize {
        (entry - self.dropped) as usize
    }

    fn clear(&mut self) {
        self.dropped = self.end();
        self.rows.clear();
        self.starts.clear();
        self.stretches.iter_mut().for_each(Vec::clear);
    }

    /// How many entries, the first, lead to no match that begins at `first` or later.
    pub(super) fn before_window(&self, first: u32) -> usize {
        let known = if self.rising { &self.starts } else { &self.rows };
        known.partition_point(|known| *known < first)
    }

    /// Drops the first entries.
    pub(super) fn drop_first(&mut self, gone: usize) {
        self.full = twice(self.rows.len() - gone).max(ENTRIES_KEPT);
        self.dropped += gone as u32;
        self.rows.drain(..gone);
        // Without a window there are none.
        self.starts.drain(..gone.min(self.starts.len()));
        for stretches in &mut self.stretches {
            stretches.drain(..gone);
        }
    }
}

/// Twice as many entries, as far as there can be so many.
pub(super) fn twice(entries: usize) -> u32 {
    u32::try_from(2 * entries).unwrap_or(u32::MAX)
}

/// What a row that satisfies certain conditions does.
#[derive(Clone, Debug, Default)]
pub(super) struct Action {
    /// Whether a match may begin at it.
    pub(super) begins: bool,
    /// Places it fits, the last in the pattern first: what it takes at one place leads nowhere at this row.
    pub(super) fits: Vec<u16>,
    /// Edges of which what has been reached so far is over.
    pub(super) over: Vec<u16>,
    /// How many places it reaches where nothing waits, if a match may begin at it and none ends.
    pub(super) alone: Option<u32>,
}

impl StepLists {
    /// What a row does that satisfies the predicates set in `symbol`.
    pub(super) fn action(&self, symbol: u64) -> Action {
        let satisfies = |variable: u16| self.conditions.are_satisfied(symbol, variable);
        let fits = |place: u16| satisfies(self.places[place as usize].variable);
        let goes_on = |place: u16| {
            self.places[place as usize].outs.iter().any(|edge| fits(self.edges[*edge as usize].to))
        };
        let over = |edge: &super::compile::Edge| {
            edge.takes_first && fits(edge.to)
                || self.settled && goes_on(edge.from)
                || edge.absent.iter().any(|variable| satisfies(*variable))
        };
        let places: Vec<u16> = (0..self.places.len() as u16).rev().filter(|place| fits(*place)).collect();
        let starts = places.iter().map(|place| &self.places[*place as usize]).filter(|place| place.starts);
        let alone = starts.clone().count() as u32;
        Action {
            begins: alone > 0,
            alone: (alone > 0 && !starts.clone().any(|place| place.ends)).then_some(alone),
            over: (0..self.edges.len() as u16).filter(|edge| over(&self.edges[*edge as usize])).collect(),
            fits: places,
        }
    }
}

/// The lists of one partition. All that is asked of them takes the [`StepLists`] that they were made for.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) of: Box<[List]>,
    /// `open[e]`: where the entries begin that edge `e` still leads on from.
    pub(super) open: Box<[u32]>,
}

/// What a row has done to lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grown {
    /// It has reached a place where a match may end.
    pub(super) ends: bool,
    /// Entries that were made.
    pub(super) entries: u16,
}

impl Lists {
    pub(super) fn new(steps: &StepLists) -> Self {
        let list = |place: &super::compile::Place| List {
            rising: true,
            full: ENTRIES_KEPT,
            stretches: vec![vec![]; place.ins.len()].into(),
            ..List::default()
        };
        Self { of: steps.places.iter().map(list).collect(), open: vec![0; steps.edges.len()].into() }
    }

    /// Whether they are made for such steps.
    pub(super) fn are_of(&self, steps: &StepLists) -> bool {
        self.of.len() == steps.places.len()
            && self.open.len() == steps.edges.len()
            && self.of.iter().zip(&steps.places).all(|(list, place)| list.stretches.len() == place.ins.len())
    }

    /// Forgets everything: another partition begins, or a match has consumed all there is.
    pub(super) fn clear(&mut self, steps: &StepLists) {
        self.of.iter_mut().for_each(List::clear);
        for (open, edge) in self.open.iter_mut().zip(&steps.edges) {
            *open = self.of[edge.from as usize].end();
        }
    }

    /// Forgets everything, numbers of entries too.
    pub(super) fn begin_anew(&mut self) {
        for list in &mut self.of {
            list.clear();
            (list.dropped, list.rising, list.full) = (0, true, ENTRIES_KEPT);
        }
        self.open.fill(0);
        self.keep_all(false);
    }

    /// Whether entries have to stay, whatever leaves the window.
    pub(super) fn keep_all(&mut self, all: bool) {
        self.of.iter_mut().for_each(|list| list.keeps_all = all);
    }

    pub(super) fn keeps_all(&self) -> bool {
        self.of.first().is_some_and(|list| list.keeps_all)
    }

    /// Rises with each row that changes what rows to come may go on from, and falls when all is forgotten.
    #[inline]
    pub(super) fn progress(&self, steps: &StepLists) -> u64 {
        let places = self.of.iter().zip(&steps.places).filter(|(_, place)| !place.outs.is_empty());
        let entries = places.map(|(list, _)| u64::from(list.end()));
        entries.chain(self.open.iter().map(|open| u64::from(*open))).sum()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let of = |list: &List| {
            let stretches = list.stretches.iter().map(|stretches| stretches.capacity() * 8).sum::<usize>();
            list.rows.capacity() * 4 + list.starts.capacity() * 4 + stretches
        };
        self.of.iter().map(of).sum()
    }

    /// Grows the lists by a row. `bounded`: the first row that a match ending here may begin at, under a window.
    #[inline]
    pub(super) fn grow(
        &mut self,
        steps: &StepLists,
        action: &Action,
        row: u32,
        bounded: Option<u32>,
    ) -> Grown {
        let mut grown = Grown::default();
        for place in &action.fits {
            if self.reach(steps, *place, row, bounded) {
                grown.ends |= steps.places[*place as usize].ends;
                grown.entries += 1;
            }
        }
        for edge in &action.over {
            // Whoever reached the place by this very row waits from the next on.
            self.open[*edge as usize] = self.end_before(steps.edges[*edge as usize].from, row);
        }
        grown
    }

    /// One past the last entry of a place that is of an earlier row.
    #[inline]
    fn end_before(&self, place: u16, row: u32) -> u32 {
        let list = &self.of[place as usize];
        list.end() - u32::from(list.rows.last() == Some(&row))
    }

    /// The entries of a place that an edge still leads on from, at a row.
    #[inline]
    fn stretch(&self, edge: u16, from: u16, row: u32) -> (u32, u32) {
        let end = self.end_before(from, row);
        (self.open[edge as usize].min(end), end)
    }

    fn reach(&mut self, steps: &StepLists, place: u16, row: u32, bounded: Option<u32>) -> bool {
        let shape = &steps.places[place as usize];
        let mut latest = shape.starts.then_some(row);
        let mut stretch = (0, 0);
        for edge in &shape.ins {
            let from = steps.edges[*edge as usize].from;
            stretch = self.stretch(*edge, from, row);
            let (begin, end) = stretch;
            if begin < end {
                latest = latest.max(Some(self.latest_start(from, begin, end, bounded.is_some())));
            }
        }
        // What began before the window cannot end in it, whoever else goes on.
        let Some(latest) = latest.filter(|latest| bounded.is_none_or(|first| *latest >= first)) else {
            return false;
        };
        if let [_] = *shape.ins {
            // Most places are reached from one, of which the stretch has just been found.
            self.of[place as usize].stretches[0].push(stretch);
        } else {
            for (index, edge) in shape.ins.iter().enumerate() {
                let stretch = self.stretch(*edge, steps.edges[*edge as usize].from, row);
                self.of[place as usize].stretches[index].push(stretch);
            }
        }
        let list = &mut self.of[place as usize];
        list.rows.push(row);
        if let Some(first) = bounded {
            list.rising &= list.starts.last().is_none_or(|last| *last <= latest);
            list.starts.push(latest);
            if list.rows.len() as u32 >= list.full && !list.keeps_all {
                list.drop_first(list.before_window(first));
            }
        }
        true
    }

    /// The latest start of the entries `begin..end` of a place.
    #[inline]
    fn latest_start(&self, place: u16, begin: u32, end: u32, bounded: bool) -> u32 {
        if !bounded {
            return u32::MAX;
        }
        let list = &self.of[place as usize];
        // Entries that were dropped began before the window.
        let (begin, end) = (begin.max(list.dropped), end);
        if begin >= end {
            return 0;
        }
        if list.rising {
            return list.starts[list.place(end - 1)];
        }
        *list.starts[list.place(begin)..list.place(end - 1) + 1].iter().max().expect("not empty")
    }
}
