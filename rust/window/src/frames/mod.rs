//! The kinds of windows: which rows share one, and when it is complete.
//!
//! All of them take rows in order of time, and keep states of aggregates by number, whichever these are. [`tumbling`] windows
//! follow each other, [`hopping`] ones overlap, [`session`]s end when nothing comes, [`counted`] ones are full (the [`open`] ones of both), and
//! [`sliding`] ones are of every row, or of every so many. Of [`reported`] ones more is told than what is in them at their end,
//! for which there may be [`kept_rows`].

pub(crate) mod counted;
pub(crate) mod hopping;
pub(crate) mod kept_rows;
pub(crate) mod key_places;
mod marks;
pub(crate) mod open;
pub(crate) mod reported;
pub(crate) mod session;
pub(crate) mod sliding;
pub(crate) mod tumbling;

use std::any::Any;

use arrow_array::ArrayRef;
use cepheid_eval::{EvalError, RuleError};
use cepheid_ir::Timing;

use crate::arena::States;
use crate::compile::{Column, Slot};
use crate::edges::Together;
use crate::error::WindowError;
use crate::monoid::Reading;
use crate::saved::{SavedTable, by_column, with_rows};
use crate::told::Tells;

/// Windows that are complete, in the order in which they are reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complete {
    pub(crate) keys: Vec<u32>,
    /// None where a window is that of a row.
    pub(crate) starts: Vec<i64>,
    pub(crate) ends: Vec<i64>,
    /// Instead of these, where windows begin and end together.
    pub(crate) together: Vec<Together>,
    /// When each is reported; none where all are when they end.
    pub(crate) moments: Vec<i64>,
    pub(crate) timings: Vec<Timing>,
    /// Places of rows, where windows are put in the order of such.
    pub(crate) order: Vec<u64>,
    /// `values[s]`: of slot `s`, one a window.
    pub(crate) values: Vec<ArrayRef>,
}

/// States of all aggregates of a window.
#[derive(Debug)]
pub(crate) struct Table(pub(crate) Vec<Box<dyn States>>);

impl Clone for Table {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|states| states.boxed_clone()).collect())
    }
}

impl Table {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self(columns.iter().map(|column| column.kind.states()).collect())
    }

    fn none(&self) -> Self {
        Self(self.0.iter().map(|states| states.none()).collect())
    }

    /// Makes arguments ready to be read.
    fn args(&self, args: &[Vec<ArrayRef>]) -> Result<Vec<Box<dyn Any>>, WindowError> {
        let ready = self.0.iter().zip(args).map(|(states, args)| states.args(args));
        ready.collect::<Result<_, _>>().map_err(arguments)
    }

    /// Has so many states; those that are new are of no rows.
    fn grow(&mut self, to: usize) {
        self.0.iter_mut().for_each(|states| states.grow(to));
    }

    fn add_all(&mut self, slots: &[u32], args: &[Box<dyn Any>], first_row: usize) {
        for (states, args) in self.0.iter_mut().zip(args) {
            states.add_all(slots, &**args, first_row);
        }
    }

    /// Adds the rows of states of `from` to these, those of `of[i]` behind those of `into[i]`.
    fn join(&mut self, into: &[u32], from: &Self, of: &[u32]) {
        self.0.iter_mut().zip(&from.0).for_each(|(states, from)| states.join(into, &**from, of));
    }

    /// Adds states of `from`.
    fn append(&mut self, from: &Self, of: &[u32]) {
        self.0.iter_mut().zip(&from.0).for_each(|(states, from)| states.append(&**from, of));
    }

    fn reserve(&mut self, more: usize) {
        self.0.iter_mut().for_each(|states| states.reserve(more));
    }

    /// See [`States::join_or_push`].
    fn join_or_push(&mut self, into: &[u32], from: &Self) {
        self.0.iter_mut().zip(&from.0).for_each(|(states, from)| states.join_or_push(into, &**from));
    }

    /// See [`States::join_next`].
    fn join_next(&self, tables: &mut [&mut Self], next: &[u32]) {
        for (column, states) in self.0.iter().enumerate() {
            states.join_next(tables.iter_mut().map(|table| &mut table.0[column]).collect(), next);
        }
    }

    /// Some of them, in this order.
    fn some(&self, slots: &[u32]) -> Self {
        let mut some = self.none();
        some.append(self, slots);
        some
    }

    /// Forgets the rows of some.
    fn reset(&mut self, slots: &[u32]) {
        self.0.iter_mut().for_each(|states| states.reset(slots));
    }

    fn finish(&self, states: std::ops::Range<usize>, slots: &[Slot]) -> Result<Vec<ArrayRef>, WindowError> {
        by_slot(slots, self.0.len(), |column, readings| self.0[column].finish(states.clone(), readings))
    }

    fn drop_first(&mut self, states: usize) {
        self.0.iter_mut().for_each(|own| own.drop_first(states));
    }

    /// `next`: see [`save_states`](crate::saved::save_states).
    fn save(&self, next: &[u32]) -> Option<SavedTable> {
        let saved = self.0.iter().map(|states| states.save(next)).collect::<Option<SavedTable>>()?;
        let rows = self.0.iter().filter_map(|states| Some((states.rows_column()?, states.save_rows())));
        Some(with_rows(saved, rows))
    }

    fn load(&mut self, saved: &SavedTable, states: usize, next: &[u32]) -> Option<()> {
        let rows: Vec<Option<usize>> = self.0.iter().map(|states| states.rows_column()).collect();
        for (own, (saved, rows)) in self.0.iter_mut().zip(by_column(saved, &rows)?) {
            own.load(saved, states, next)?;
            if let Some(rows) = rows {
                own.load_rows(rows)?;
            }
        }
        Some(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|states| states.bytes()).sum()
    }
}

/// Windows that are told of, put together of two parts each, see [`Tells`].
pub(crate) struct ToldWindows<'a> {
    slots: &'a [Slot],
    columns: Vec<Box<dyn Tells>>,
}

impl<'a> ToldWindows<'a> {
    /// None, of such states.
    fn new(table: &Table, slots: &'a [Slot]) -> Self {
        let columns = table.0.iter().enumerate().map(|(column, states)| {
            let own = slots.iter().filter(|slot| slot.column == column);
            states.told(&own.map(Slot::reading).collect::<Vec<_>>())
        });
        Self { slots, columns: columns.collect() }
    }

    fn reserve(&mut self, windows: usize) {
        self.columns.iter_mut().for_each(|told| told.reserve(windows));
    }

    /// See [`Tells::add_joined`].
    fn add_joined(&mut self, left: (&Table, &[u32]), right: (&Table, &[u32])) {
        for ((told, of_left), of_right) in self.columns.iter_mut().zip(&left.0.0).zip(&right.0.0) {
            told.add_joined((&**of_left, left.1), (&**of_right, right.1));
        }
    }

    /// The values of every slot.
    fn finish(self) -> Result<Vec<ArrayRef>, WindowError> {
        let count = self.columns.len();
        let mut columns = self.columns.into_iter();
        by_slot(self.slots, count, |_, readings| columns.next().expect("each is asked once").finish(readings))
    }
}

/// The values of every slot. `finish` gives those that are asked of an aggregate.
fn by_slot(
    slots: &[Slot],
    columns: usize,
    mut finish: impl FnMut(usize, &[Reading<'_>]) -> Result<Vec<ArrayRef>, (usize, EvalError)>,
) -> Result<Vec<ArrayRef>, WindowError> {
    let mut values: Vec<Option<ArrayRef>> = vec![None; slots.len()];
    for column in 0..columns {
        let own: Vec<usize> = (0..slots.len()).filter(|slot| slots[*slot].column == column).collect();
        let readings: Vec<Reading<'_>> = own.iter().map(|slot| slots[*slot].reading()).collect();
        let found = finish(column, &readings).map_err(|(place, error)| slots[own[place]].told(error))?;
        own.iter().zip(found).for_each(|(slot, array)| values[*slot] = Some(array));
    }
    Ok(values.into_iter().map(|values| values.expect("every slot is of a column")).collect())
}

/// An error of arguments that are made ready.
pub(crate) fn arguments(source: EvalError) -> WindowError {
    RuleError::in_context(|| "the argument of an aggregate".into())(source).into()
}

/// New numbers of keys, of which some are forgotten: those that stay are numbered in the order of the old.
pub(crate) struct Renumbered {
    of: Vec<u32>,
    kept: Vec<bool>,
}

impl Renumbered {
    pub(crate) fn new(kept: &[bool]) -> Self {
        let mut next = 0;
        let number = |kept: &bool| {
            next += u32::from(*kept);
            if *kept { next - 1 } else { crate::arena::NONE }
        };
        Self { of: kept.iter().map(number).collect(), kept: kept.to_vec() }
    }

    /// Renumbers the keys that something is of.
    pub(crate) fn rename<'a>(&self, keys: impl IntoIterator<Item = &'a mut u32>) {
        keys.into_iter().for_each(|key| *key = self.of[*key as usize]);
    }

    /// Visits what is kept of keys that are forgotten.
    pub(crate) fn each_forgotten<T>(&self, by_key: &mut [T], visit: impl FnMut(&mut T)) {
        let forgotten = by_key.iter_mut().zip(&self.kept).filter(|(_, kept)| !**kept);
        forgotten.map(|(own, _)| own).for_each(visit);
    }

    /// Leaves what is kept by key.
    pub(crate) fn retain<T>(&self, by_key: &mut Vec<T>) {
        let mut kept = self.kept.iter();
        by_key.retain(|_| *kept.next().expect("no more than there are keys"));
        by_key.shrink_to_fit();
    }
}

/// The arguments of some rows.
fn of_rows(args: &[Vec<ArrayRef>], rows: &[u32]) -> Result<Vec<Vec<ArrayRef>>, WindowError> {
    let rows = arrow_array::UInt32Array::from(rows.to_vec());
    let take = |array: &ArrayRef| arrow_select::take::take(array, &rows, None);
    let taken = args.iter().map(|own| own.iter().map(take).collect());
    Ok(taken.collect::<Result<_, _>>().map_err(cepheid_event::EventError::from)?)
}
