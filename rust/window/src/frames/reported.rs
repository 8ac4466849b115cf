//! Windows of a grid, and sessions, that are reported before they end, or though no row is in them.
//!
//! Every window of a key has a state of its own, whether it overlaps others or not: what is asked for between two ends is asked
//! of that. What happens, happens at *moments*: a window ends, a window without rows would have, the clock of early reports
//! strikes. Those up to the time of a row come before it, so that it makes no difference how rows are cut.
//!
//! - Time: O(w) a row that is in w windows; O(log s) a window with s ends ahead; O(1) a report, and O(k log k) for k keys without
//!   rows in a window.
//! - Space: a state and 64 bytes for each open window, 32 bytes a key, and 24 more where empty windows are reported.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

use cepheid_ir::{Early, Frame, Reports};

use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::open::OpenWindows;
use crate::frames::tumbling::start_before;
use crate::frames::{Complete, Renumbered, Table, of_rows};
use crate::saved::{SavedFrame, SavedReported};
use crate::state::Chunk;

/// Most reports at once: the windows of a key between two rows that are far apart are as many as there are steps.
const REPORTS_MAX: usize = 1 << 24;

/// Rows are put to their states when there are so many, be it that each is in that many windows.
const UNFOLDED_MAX: usize = 1 << 20;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    grid: Grid,
    reports: Reports,
    windows: OpenWindows,
    /// By place, of windows that are open.
    more: Vec<More>,
    /// By key: the places of its open windows, the oldest first.
    open: Vec<VecDeque<u32>>,
    /// Places of windows by a time before which they do not end.
    ends: BTreeMap<i64, Vec<u32>>,
    /// When the clock of early reports strikes next, and the places of windows that may have rows since it last did.
    tick: Option<i64>,
    touched: Vec<u32>,
    /// By key, where empty windows are reported: its last row; nothing once they are no more.
    last_rows: Vec<Option<LastRow>>,
    /// The next end of a window of the grid, while there are such rows.
    empty_end: Option<i64>,
    /// Reports, and the states of those with rows, each with the report's place.
    found: Complete,
    told: Table,
    told_of: Vec<u32>,
    /// Whether there would be more of them than there is room for: nothing goes on then.
    too_many: bool,
    /// Rows that are not yet in their states: the windows of each, and which row it is.
    slots: Vec<u32>,
    row_of: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Grid {
    Time { size: i64, every: i64, offset: i64 },
    Session { gap: i64 },
}

#[derive(Clone, Copy, Debug, Default)]
struct More {
    /// How many rows it has.
    rows: u64,
    /// Whether it has rows that no report knows of.
    fresh: bool,
}

#[derive(Clone, Copy, Debug)]
struct LastRow {
    time: i64,
    /// Its number among all rows.
    number: u64,
}

/// What is told of a window beside its values.
#[derive(Clone, Copy)]
struct Telling {
    key: u32,
    start: i64,
    end: i64,
    /// When it is told.
    moment: i64,
    early: bool,
}

impl Reported {
    pub(crate) fn new(frame: Frame, reports: Reports, columns: &[Column]) -> Self {
        let windows = OpenWindows::new(columns);
        let grid = match frame {
            Frame::Time { size_ns, every_ns, offset_ns } => {
                Grid::Time { size: size_ns, every: every_ns, offset: offset_ns }
            }
            Frame::Session { gap_ns } => Grid::Session { gap: gap_ns },
            Frame::Range { .. } | Frame::Rows { .. } => {
                unreachable!("validated: nothing more is reported of these")
            }
        };
        Self {
            grid,
            reports,
            told: windows.table.none(),
            windows,
            more: vec![],
            open: vec![],
            ends: BTreeMap::new(),
            tick: None,
            touched: vec![],
            last_rows: vec![],
            empty_end: None,
            found: Complete::default(),
            told_of: vec![],
            too_many: false,
            slots: vec![],
            row_of: vec![],
        }
    }

    /// `first`: the number of the first of the rows among all.
    pub(crate) fn push(&mut self, rows: &Chunk<'_>, first: u64) -> Result<(), WindowError> {
        self.open.resize(rows.num_keys, VecDeque::new());
        if self.reports.empty.is_some() {
            self.last_rows.resize(rows.num_keys, None);
        }
        let args = self.windows.table.args(&rows.args.of)?;
        for (row, (key, time)) in rows.keys.iter().zip(rows.times).enumerate() {
            if self.next_moment(true).is_some_and(|moment| moment <= *time) {
                self.fold(rows, &args)?;
                self.pass(*time, true);
                if self.too_many {
                    return Ok(());
                }
            }
            self.open_windows(*key, *time);
            if self.too_many {
                return Ok(());
            }
            if let (Some(Early::EveryNs(every)), None) = (self.reports.early, self.tick) {
                // The whole multiple behind the row; none if that is not within 64 bits, and then no window lasts until it.
                let (time, every) = (i128::from(*time), i128::from(every));
                self.tick = i64::try_from((time.div_euclid(every) + 1) * every).ok();
            }
            let mut due = vec![];
            for place in &self.open[*key as usize] {
                self.windows.extend(*place, *time);
                self.slots.push(*place);
                self.row_of.push(row as u32);
                let more = &mut self.more[*place as usize];
                more.rows += 1;
                match self.reports.early {
                    Some(Early::Rows(every)) if more.rows.is_multiple_of(every) => due.push(*place),
                    Some(Early::EveryNs(_)) if !more.fresh && self.tick.is_some() => {
                        more.fresh = true;
                        self.touched.push(*place);
                    }
                    _ => {}
                }
            }
            if !due.is_empty() || self.slots.len() >= UNFOLDED_MAX {
                self.fold(rows, &args)?;
                self.tell(&due, *time, true);
            }
            if let Some(last) = self.last_rows.get_mut(*key as usize) {
                *last = Some(LastRow { time: *time, number: first + row as u64 });
                self.empty_end = self.empty_end.or_else(|| self.end_after(*time));
            }
        }
        self.fold(rows, &args)
    }

    /// Opens the windows of a key that begin with a row.
    fn open_windows(&mut self, key: u32, time: i64) {
        let own = &self.open[key as usize];
        let newest = own.back().map(|place| i128::from(self.windows.at(*place).start));
        let (first, end_of, every): (i128, i64, i64) = match self.grid {
            Grid::Session { .. } if newest.is_some() => return,
            Grid::Session { gap } => (time.into(), gap, 1),
            Grid::Time { size, every, offset } => {
                // The first that ends behind the row.
                let first =
                    start_before(i128::from(time) - i128::from(size), every, offset) + i128::from(every);
                (newest.map_or(first, |newest| newest + i128::from(every)), size, every)
            }
        };
        let mut start = first;
        while start <= i128::from(time) {
            self.too_many |= self.windows.len() > REPORTS_MAX;
            if self.too_many {
                return;
            }
            let begin = i64::try_from(start).expect("windows of rows begin within 64 bits");
            let place = self.windows.open(key, begin, time);
            self.more.resize(self.more.len().max(place as usize + 1), More::default());
            self.more[place as usize] = More::default();
            self.ends.entry(begin + end_of).or_default().push(place);
            self.open[key as usize].push_back(place);
            start += i128::from(every);
        }
    }

    /// The first time behind this one at which a window of the grid ends.
    fn end_after(&self, time: i64) -> Option<i64> {
        let Grid::Time { size, every, offset } = self.grid else { return None };
        let (time, size_wide) = (i128::from(time), i128::from(size));
        i64::try_from(start_before(time - size_wide, every, offset) + i128::from(every) + size_wide).ok()
    }

    /// Puts rows to the states of their windows.
    fn fold(&mut self, rows: &Chunk<'_>, args: &[Box<dyn Any>]) -> Result<(), WindowError> {
        let Some(first) = self.row_of.first().copied() else { return Ok(()) };
        let table = &mut self.windows.table;
        table.grow(self.more.len());
        let one_each = self.row_of.iter().zip(first..).all(|(row, expected)| *row == expected);
        if one_each {
            table.add_all(&self.slots, args, first as usize);
        } else {
            let taken = table.args(&of_rows(&rows.args.of, &self.row_of)?)?;
            table.add_all(&self.slots, &taken, 0);
        }
        self.slots.clear();
        self.row_of.clear();
        Ok(())
    }

    fn next_moment(&self, with_empty: bool) -> Option<i64> {
        let end = self.ends.first_key_value().map(|(end, _)| *end);
        let empty = self.empty_end.filter(|_| with_empty);
        [end, empty, self.tick].into_iter().flatten().min()
    }

    /// Deals with the moments up to a time. Rows before it are in their states.
    fn pass(&mut self, time: i64, with_empty: bool) {
        // Between two rows that are far apart they would be counted up to the limit, one by one.
        self.too_many |= with_empty && self.empty_until(time) > REPORTS_MAX as i128;
        if self.too_many {
            return;
        }
        while let Some(moment) = self.next_moment(with_empty).filter(|moment| *moment <= time) {
            self.too_many |= self.found.keys.len() > REPORTS_MAX;
            if self.too_many {
                return;
            }
            self.end_windows(moment);
            if self.empty_end == Some(moment) && with_empty {
                self.tell_empty(moment);
            }
            if self.tick == Some(moment) {
                self.strike(moment);
            }
        }
    }

    /// How many windows without rows are reported until a time, or a few more; of all keys.
    fn empty_until(&self, time: i64) -> i128 {
        let (Grid::Time { size, every, .. }, Some(next), Some(empty)) =
            (self.grid, self.empty_end, self.reports.empty)
        else {
            return 0;
        };
        let steps = |span: i128| span.max(0) / i128::from(every) + 1;
        let until = steps(i128::from(time) - i128::from(next));
        let most = until * self.last_rows.len() as i128;
        let Some(span) = empty.for_ns.filter(|_| most > REPORTS_MAX as i128) else { return most };
        // Each key counts until it has been silent for so long.
        let start = i128::from(next) - i128::from(size);
        let left = |last: &LastRow| steps(i128::from(last.time) + i128::from(span) - start).min(until);
        self.last_rows.iter().flatten().map(left).sum()
    }

    /// Reports windows that end now.
    fn end_windows(&mut self, moment: i64) {
        let Some(mut places) = self.ends.remove(&moment) else { return };
        if let Grid::Session { gap } = self.grid {
            places.retain(|place| {
                let end = self.windows.at(*place).last + gap;
                let goes_on = end > moment;
                if goes_on {
                    self.ends.entry(end).or_default().push(*place);
                }
                !goes_on
            });
        }
        let places = self.windows.in_order(places.into_iter());
        self.tell(&places, moment, false);
        for place in &places {
            // Windows of a key end in the order in which they begin.
            let oldest = self.open[self.windows.key(*place) as usize].pop_front();
            debug_assert_eq!(oldest, Some(*place));
            self.more[*place as usize].fresh = false;
        }
        self.windows.close(&places);
    }

    /// Reports keys without rows in the window that ends now.
    fn tell_empty(&mut self, moment: i64) {
        let Grid::Time { size, every, .. } = self.grid else { return };
        let start = i128::from(moment) - i128::from(size);
        if let Some(span) = self.reports.empty.and_then(|empty| empty.for_ns) {
            let goes_on = |last: &LastRow| start < i128::from(last.time) + i128::from(span);
            self.last_rows.iter_mut().for_each(|last| *last = last.filter(goes_on));
        }
        let by_key = self.last_rows.iter().zip(0..);
        let mut idle: Vec<(u64, u32)> = by_key
            .filter_map(|(last, key)| Some((last.filter(|last| i128::from(last.time) < start)?.number, key)))
            .collect();
        idle.sort_unstable();
        for (_, key) in idle {
            self.add(Telling { key, start: moment - size, end: moment, moment, early: false });
        }
        let go_on = self.last_rows.iter().any(Option::is_some);
        self.empty_end = if go_on { moment.checked_add(every) } else { None };
    }

    /// Reports windows with rows since the clock of early reports last struck.
    fn strike(&mut self, moment: i64) {
        let mut places = std::mem::take(&mut self.touched);
        places.retain(|place| std::mem::take(&mut self.more[*place as usize].fresh));
        places.sort_unstable_by_key(|place| (self.end_of(*place), self.windows.at(*place).number));
        self.tell(&places, moment, true);
        self.tick = None;
    }

    /// Where a window ends, as far as is known.
    fn end_of(&self, place: u32) -> i64 {
        let window = self.windows.at(place);
        match self.grid {
            Grid::Time { size, .. } => window.start + size,
            Grid::Session { gap } => window.last + gap,
        }
    }

    fn tell(&mut self, places: &[u32], moment: i64, early: bool) {
        for place in places {
            self.told_of.push(self.found.keys.len() as u32);
            let window = self.windows.at(*place);
            let (key, start) = (self.windows.key(*place), window.start);
            self.add(Telling { key, start, end: self.end_of(*place), moment, early });
        }
        self.windows.append_to(&mut self.told, places);
    }

    fn add(&mut self, telling: Telling) {
        self.found.keys.push(telling.key);
        self.found.starts.push(telling.start);
        self.found.ends.push(telling.end);
        self.found.moments.push(telling.moment);
        self.found.early.push(telling.early);
    }

    /// No row before `time` comes any more.
    pub(crate) fn advance(&mut self, time: i64) {
        self.pass(time, true);
    }

    /// No row comes any more. `clock`: how far windows without rows are reported.
    pub(crate) fn finish(&mut self, clock: Option<i64>) {
        if let Some(clock) = clock {
            self.pass(clock, true);
        }
        self.pass(i64::MAX, false);
    }

    /// Whether more reports may be made at once than can be when rows of these times come, and no more before `until`.
    pub(crate) fn may_be_too_many(&self, times: &[i64], until: Option<i64>) -> bool {
        let (rows, open) = (times.len() as i128, self.windows.len() as i128);
        let (in_windows, steps) = match self.grid {
            Grid::Session { .. } => (1, 0),
            Grid::Time { size, every, .. } => {
                let last = times.last().copied().max(until);
                let next = self.empty_end.or(times.first().copied());
                let steps = next.zip(last).map_or(0, |(next, last)| {
                    (i128::from(last) - i128::from(next)).max(0) / i128::from(every) + 1
                });
                (i128::from(size / every) + 1, if self.reports.empty.is_some() { steps } else { 0 })
            }
        };
        let keys = (self.last_rows.len() + times.len()) as i128;
        // Each is reported at its end, and early once for a row at most, or for those before.
        2 * (rows * in_windows + open) + steps * keys > REPORTS_MAX as i128
    }

    pub(crate) fn has_complete(&self) -> bool {
        self.too_many || !self.found.keys.is_empty()
    }

    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let (reports, told) = (self.found.keys.len(), self.told_of.len());
        if self.too_many {
            return Err(WindowError::TooMany { limit: REPORTS_MAX as u64 });
        }
        let values = if told == reports {
            self.told.finish(0..told, slots)?
        } else {
            // What is known of no rows is worked out once.
            self.told.grow(told + 1);
            let mut state_of = vec![told as u32; reports];
            self.told_of.iter().zip(0..).for_each(|(report, state)| state_of[*report as usize] = state);
            let state_of = arrow_array::UInt32Array::from(state_of);
            let values = self.told.finish(0..told + 1, slots)?;
            let taken = values.iter().map(|values| arrow_select::take::take(values, &state_of, None));
            taken.collect::<Result<_, _>>().map_err(cepheid_event::EventError::from)?
        };
        self.told = self.told.none();
        self.told_of.clear();
        Ok(Complete { values, ..std::mem::take(&mut self.found) })
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        let places = self.windows.in_order(self.open.iter().flatten().copied());
        let saved = |place: &u32| {
            let (window, more) = (self.windows.at(*place), self.more[*place as usize]);
            let key = self.windows.key(*place);
            SavedReported { key, start: window.start, last: window.last, rows: more.rows, fresh: more.fresh }
        };
        Some(SavedFrame::Reported {
            windows: places.iter().map(saved).collect(),
            table: self.windows.table.some(&places).save(&[])?,
            tick: self.tick,
            last_rows: self.last_rows.iter().map(|last| last.map(|last| (last.time, last.number))).collect(),
            empty_end: self.empty_end,
        })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Reported { windows, table, tick, last_rows, empty_end } = saved else {
            return None;
        };
        self.windows.table.load(&table, windows.len(), &[])?;
        self.open.resize(num_keys, VecDeque::new());
        for SavedReported { key, start, last, rows, fresh } in windows {
            let own = self.open.get(key as usize)?;
            let behind = own.back().is_none_or(|place| self.windows.at(*place).start < start);
            let end = match self.grid {
                Grid::Time { size, every, offset } => {
                    let on_grid = start_before(i128::from(start), every, offset) == i128::from(start);
                    start.checked_add(size).filter(|end| on_grid && behind && last < *end)?
                }
                Grid::Session { gap } => last.checked_add(gap).filter(|_| own.is_empty())?,
            };
            if last < start || rows == 0 {
                return None;
            }
            let place = self.windows.open(key, start, last);
            self.more.push(More { rows, fresh });
            self.open[key as usize].push_back(place);
            self.ends.entry(end).or_default().push(place);
            if fresh {
                self.touched.push(place);
            }
        }
        let strikes =
            |tick: i64| matches!(self.reports.early, Some(Early::EveryNs(every)) if tick % every == 0);
        if tick.is_some_and(|tick| !strikes(tick)) || (tick.is_none() && !self.touched.is_empty()) {
            return None;
        }
        if last_rows.len() > if self.reports.empty.is_some() { num_keys } else { 0 } {
            return None;
        }
        let last_row = |(time, number)| LastRow { time, number };
        self.last_rows = last_rows.into_iter().map(|last| last.map(last_row)).collect();
        let on_grid = |end: i64| end.checked_sub(1).and_then(|before| self.end_after(before)) == Some(end);
        let newest = self.last_rows.iter().flatten().map(|last| last.time).max();
        if empty_end.is_some_and(|end| newest.is_none_or(|newest| newest >= end) || !on_grid(end)) {
            return None;
        }
        (self.tick, self.empty_end) = (tick, empty_end);
        Some(())
    }

    pub(crate) fn keys_kept(&self, kept: &mut [bool]) {
        kept.iter_mut().zip(&self.open).for_each(|(kept, open)| *kept = !open.is_empty());
        kept.iter_mut().zip(&self.last_rows).for_each(|(kept, last)| *kept |= last.is_some());
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        self.windows.renumber(self.open.iter().flatten().copied(), keys);
        keys.retain(&mut self.open);
        keys.retain(&mut self.last_rows);
    }

    pub(crate) fn bytes(&self) -> usize {
        let by_key: usize = self.open.iter().map(|own| own.capacity() * 4).sum();
        let by_end: usize =
            self.ends.values().map(|own| own.capacity() * 4 + size_of::<(i64, Vec<u32>)>()).sum();
        self.windows.bytes()
            + self.more.capacity() * size_of::<More>()
            + self.touched.capacity() * 4
            + self.open.capacity() * size_of::<VecDeque<u32>>()
            + by_key
            + by_end
            + self.last_rows.capacity() * size_of::<Option<LastRow>>()
    }
}
