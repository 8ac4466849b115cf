//! Windows of a grid, and sessions, that are reported before they end, though no row is in them, or again when rows come late.
//!
//! Every window of a key has a state of its own, whether it overlaps others or not: what is asked for between two ends is asked
//! of that. What happens, happens at *moments*: a window ends, a window without rows would have, the clock of early reports
//! strikes. Those up to the time of a row come before it, so that it makes no difference how rows are cut. A late row comes
//! when the clock stands where it does; the states of its windows are made anew, as it has its place among the rows they have.
//!
//! - Time: O(w) a row that is in w windows; O(log s) a window with s ends ahead; O(1) a report, and O(k log k) for k keys without
//!   rows in a window. A late row in w windows: O(w r) for r rows in each.
//! - Space: a state and 64 bytes for each open window, 32 bytes a key, and 24 more where empty windows are reported;
//!   where late rows are taken, the rows of windows that may be reported again ([`KeptRows`]).

mod saved;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};

use cepheid_ir::{Early, Frame, Reports, Timing};

use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::kept_rows::KeptRows;
use crate::frames::open::OpenWindows;
use crate::frames::tumbling::start_before;
use crate::frames::{Complete, Renumbered, Table, of_rows};
use crate::state::{Arrival, Chunk};

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
    /// Rows of windows that may be reported again, and the time up to which none that ended is.
    kept: Option<KeptRows>,
    nothing_until: Option<i64>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LastRow {
    time: i64,
    /// What tells it apart from others of its time.
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
    timing: Timing,
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
            kept: reports.late_ns.map(|_| KeptRows::new(&windows.table)),
            nothing_until: None,
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
        let mut kept_at = vec![];
        if let (Some(kept), Some(_)) = (&mut self.kept, rows.arrival) {
            kept.grow(rows.num_keys);
            kept_at = kept.add_states(rows.keys.len(), &args);
        }
        for (row, (key, time)) in rows.keys.iter().zip(rows.times).enumerate() {
            let alone = || Arrival { at: *time, number: first + row as u64 };
            let arrival = rows.arrival.map_or_else(alone, |arrival| arrival[row]);
            if self.next_moment(true).is_some_and(|moment| moment <= arrival.at) {
                self.fold(rows, &args)?;
                self.pass(arrival.at, true);
                if self.too_many {
                    return Ok(());
                }
            }
            if let (Some(kept), Some(place)) = (&mut self.kept, kept_at.get(row)) {
                kept.insert(*key, *time, arrival.number, *place);
            }
            self.see(*key, *time, arrival);
            if arrival.at > *time {
                // Its windows are made anew: all rows before it are to be in their states.
                self.fold(rows, &args)?;
                self.take_late(*key, *time, arrival.at);
                if self.too_many {
                    return Ok(());
                }
                continue;
            }
            self.open_windows(*key, *time);
            if self.too_many {
                return Ok(());
            }
            let mut due = vec![];
            for number in 0..self.open[*key as usize].len() {
                let place = self.open[*key as usize][number];
                self.windows.extend(place, *time);
                self.slots.push(place);
                self.row_of.push(row as u32);
                let rows_so_far = &mut self.more[place as usize].rows;
                *rows_so_far += 1;
                match self.reports.early {
                    Some(Early::Rows(every)) if rows_so_far.is_multiple_of(every) => due.push(place),
                    _ => self.touch(place),
                }
            }
            if !due.is_empty() || self.slots.len() >= UNFOLDED_MAX {
                self.fold(rows, &args)?;
                self.tell(&due, *time, Timing::Early);
            }
        }
        self.fold(rows, &args)
    }

    /// A row of a key comes: when the clock of early reports strikes next, and what windows without rows follow.
    fn see(&mut self, key: u32, time: i64, arrival: Arrival) {
        if let (Some(Early::EveryNs(every)), None) = (self.reports.early, self.tick) {
            // The whole multiple behind the row; none if that is not within 64 bits, and then no window lasts until it.
            let (at, every) = (i128::from(arrival.at), i128::from(every));
            self.tick = i64::try_from((at.div_euclid(every) + 1) * every).ok();
        }
        let end = self.end_after(arrival.at);
        if let Some(last) = self.last_rows.get_mut(key as usize) {
            let own = LastRow { time, number: arrival.number };
            *last = (*last).max(Some(own));
            self.empty_end = self.empty_end.or(end);
        }
    }

    /// A window has a row that no report knows of.
    fn touch(&mut self, place: u32) {
        let more = &mut self.more[place as usize];
        if !more.fresh && self.tick.is_some() && matches!(self.reports.early, Some(Early::EveryNs(_))) {
            more.fresh = true;
            self.touched.push(place);
        }
    }

    /// Puts a late row, which is among those that are kept, to its windows: those that have ended are reported again.
    fn take_late(&mut self, key: u32, time: i64, clock: i64) {
        let (Grid::Time { size, every, offset }, Some(span)) = (self.grid, self.reports.late_ns) else {
            unreachable!("only windows of a grid take late rows")
        };
        // From the first that ends behind the row and is not over for too long: there may be very many others.
        let over = i128::from(clock) - i128::from(span) - i128::from(size);
        let behind = over.max(i128::from(time) - i128::from(size));
        let mut start = start_before(behind, every, offset) + i128::from(every);
        while start <= i128::from(time) && !self.too_many {
            let begin = i64::try_from(start).expect("windows of rows begin within 64 bits");
            start += i128::from(every);
            self.too_many |= self.windows.len().max(self.found.keys.len()) > REPORTS_MAX;
            let end = begin + size;
            if end > clock {
                self.make_anew(key, begin, end);
            } else if self.nothing_until.is_none_or(|until| end > until) {
                let kept = self.kept.as_ref().expect("late rows are taken");
                let state = self.told_of.len();
                self.told.grow(state + 1);
                kept.join_into(&mut self.told, state as u32, key, begin, end);
                self.told_of.push(self.found.keys.len() as u32);
                self.add(Telling { key, start: begin, end, moment: clock, timing: Timing::Late });
            }
        }
    }

    /// Makes the state of a window anew that goes on, of the rows that are kept.
    fn make_anew(&mut self, key: u32, start: i64, end: i64) {
        let open = &self.open[key as usize];
        let at = open.partition_point(|place| self.windows.at(*place).start < start);
        let known = open.get(at).copied().filter(|place| self.windows.at(*place).start == start);
        let place = known.unwrap_or_else(|| {
            let place = self.open_window(key, start, start, end);
            self.open[key as usize].insert(at, place);
            place
        });
        self.more[place as usize].rows += 1;
        self.touch(place);
        let table = &mut self.windows.table;
        table.grow(self.more.len());
        table.reset(&[place]);
        self.kept.as_ref().expect("late rows are taken").join_into(table, place, key, start, end);
    }

    /// Opens a window, and gives its place.
    fn open_window(&mut self, key: u32, start: i64, last: i64, end: i64) -> u32 {
        let place = self.windows.open(key, start, last);
        self.more.resize(self.more.len().max(place as usize + 1), More::default());
        self.more[place as usize] = More::default();
        self.ends.entry(end).or_default().push(place);
        place
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
            let place = self.open_window(key, begin, time, begin + end_of);
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
        self.put_in_order(&mut places);
        self.tell(&places, moment, Timing::OnTime);
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
        let mut idle: Vec<(LastRow, u32)> = by_key
            .filter_map(|(last, key)| Some((last.filter(|last| i128::from(last.time) < start)?, key)))
            .collect();
        idle.sort_unstable();
        for (_, key) in idle {
            self.add(Telling { key, start: moment - size, end: moment, moment, timing: Timing::OnTime });
        }
        let go_on = self.last_rows.iter().any(Option::is_some);
        self.empty_end = if go_on { moment.checked_add(every) } else { None };
    }

    /// Reports windows with rows since the clock of early reports last struck.
    fn strike(&mut self, moment: i64) {
        let mut places = std::mem::take(&mut self.touched);
        places.retain(|place| std::mem::take(&mut self.more[*place as usize].fresh));
        places.sort_unstable_by_key(|place| (self.end_of(*place), self.order(*place)));
        self.tell(&places, moment, Timing::Early);
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

    /// Where a window stands among others: they are in the order of their first rows. One that a late row began has no number
    /// that says so.
    fn order(&self, place: u32) -> (i64, u64, i64) {
        let window = self.windows.at(place);
        let first =
            self.kept.as_ref().and_then(|kept| kept.first_from(self.windows.key(place), window.start));
        let (time, number) = first.unwrap_or((i64::MIN, window.number));
        (time, number, window.start)
    }

    fn put_in_order(&self, places: &mut [u32]) {
        places.sort_unstable_by_key(|place| self.order(*place));
    }

    fn tell(&mut self, places: &[u32], moment: i64, timing: Timing) {
        for place in places {
            self.told_of.push(self.found.keys.len() as u32);
            let window = self.windows.at(*place);
            let (key, start) = (self.windows.key(*place), window.start);
            self.add(Telling { key, start, end: self.end_of(*place), moment, timing });
        }
        self.windows.append_to(&mut self.told, places);
    }

    fn add(&mut self, telling: Telling) {
        self.found.keys.push(telling.key);
        self.found.starts.push(telling.start);
        self.found.ends.push(telling.end);
        self.found.moments.push(telling.moment);
        self.found.timings.push(telling.timing);
    }

    /// No row before `time` comes any more.
    pub(crate) fn advance(&mut self, time: i64) {
        self.pass(time, true);
        let from = self.kept_from(time);
        if let Some(kept) = &mut self.kept {
            kept.forget_before(from);
        }
    }

    /// No row comes any more. `clock`: how far windows without rows are reported.
    pub(crate) fn finish(&mut self, clock: Option<i64>) {
        if let Some(clock) = clock {
            self.pass(clock, true);
        }
        self.pass(i64::MAX, false);
        if let Some(kept) = &mut self.kept {
            // What comes after all begins anew.
            kept.clear();
            self.nothing_until = self.nothing_until.max(clock.map(|clock| clock.saturating_add(1)));
        }
    }

    /// Has it report nothing again that ended up to a time: there may have been rows that it does not know of.
    pub(crate) fn begin_behind(&mut self, time: Option<i64>) {
        self.nothing_until = time;
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

    /// From which time on rows are kept when the clock stands at this.
    fn kept_from(&self, time: i64) -> i64 {
        let Grid::Time { size, .. } = self.grid else { return time };
        time.saturating_sub(size).saturating_sub(self.reports.late_ns.unwrap_or(0))
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

    pub(crate) fn keys_kept(&self, kept: &mut [bool], before: Option<i64>) {
        kept.iter_mut().zip(&self.open).for_each(|(kept, open)| *kept = !open.is_empty());
        kept.iter_mut().zip(&self.last_rows).for_each(|(kept, last)| *kept |= last.is_some());
        if let Some(rows) = &self.kept {
            rows.keys_kept(kept, before.map(|time| self.kept_from(time)));
        }
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        self.windows.renumber(self.open.iter().flatten().copied(), keys);
        keys.retain(&mut self.open);
        keys.retain(&mut self.last_rows);
        if let Some(kept) = &mut self.kept {
            kept.renumber(keys);
        }
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
            + self.kept.as_ref().map_or(0, KeptRows::bytes)
    }
}
