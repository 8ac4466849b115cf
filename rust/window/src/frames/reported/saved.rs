//! What is kept of them as plain data.

use std::collections::VecDeque;

use cepheid_ir::Early;

use super::{Grid, LastRow, More, Reported};
use crate::frames::tumbling::start_before;
use crate::saved::{SavedFrame, SavedReported};

impl Reported {
    pub(crate) fn save(&self) -> Option<SavedFrame> {
        let mut places: Vec<u32> = self.open.iter().flatten().copied().collect();
        self.put_in_order(&mut places);
        let saved = |place: &u32| {
            let (window, more) = (self.windows.at(*place), self.more[*place as usize]);
            let key = self.windows.key(*place);
            SavedReported { key, start: window.start, last: window.last, rows: more.rows, fresh: more.fresh }
        };
        let reported = SavedFrame::Reported {
            windows: places.iter().map(saved).collect(),
            table: self.windows.table.some(&places).save(&[])?,
            tick: self.tick,
            last_rows: self.last_rows.iter().map(|last| last.map(|last| (last.time, last.number))).collect(),
            empty_end: self.empty_end,
        };
        let Some(kept) = &self.kept else { return Some(reported) };
        let (rows, states) = kept.save()?;
        Some(SavedFrame::Late {
            reported: Box::new(reported),
            rows,
            states,
            nothing_until: self.nothing_until,
        })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let saved = match (&mut self.kept, saved) {
            (None, saved) => saved,
            (Some(kept), SavedFrame::Late { reported, rows, states, nothing_until }) => {
                kept.load(&rows, &states, num_keys)?;
                self.nothing_until = nothing_until;
                *reported
            }
            (Some(_), _) => return None,
        };
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
}
