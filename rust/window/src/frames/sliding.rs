//! Windows of every row, or of every so many of a key, that slide over the rows of keys.
//!
//! What happens to the rows of a key, one after the other, is worked out once ([`Step`]), and then done for each aggregate.
//!
//! - Time: amortised O(1) a row and an aggregate, whatever the window; rows are put together by key first. Threads see to keys that
//!   follow each other.
//! - Space: a state for each row in a window, and 8 bytes of its time.

use std::borrow::Cow;
use std::ops::Range;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::ArrowError;
use cepheid_event::threads::{cut, on_each, stretches_of_keys};

use crate::arena::NONE;
use crate::compile::{Column, Slot};
use crate::error::WindowError;
use crate::frames::{Complete, Renumbered, arguments, by_slot};
use crate::queue::Queue;
use crate::saved::{SavedFrame, SavedQueue, by_column, with_rows};
use crate::slider::{Args, Asked, Slides, Step, StretchSlides};
use crate::state::Chunk;

/// Which windows are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    /// That of every row, back by so many nanoseconds.
    Range(i64),
    /// So many rows, from each of so many on.
    Rows(u64, u64),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sliding {
    span: Span,
    columns: Vec<Box<dyn Slides>>,
    keys: Vec<Key>,
    found: Found,
    /// How many threads see to the rows that came last.
    threads: usize,
    /// The rows of a push so far, of all pushes since windows were last told of.
    pushed: u32,
    /// Their places among those of other states, where these are told of.
    numbers: Vec<u64>,
}

impl Clone for Sliding {
    fn clone(&self) -> Self {
        Self {
            span: self.span,
            columns: self.columns.iter().map(|column| column.boxed_clone()).collect(),
            keys: self.keys.clone(),
            found: self.found.clone(),
            threads: self.threads,
            pushed: self.pushed,
            numbers: self.numbers.clone(),
        }
    }
}

/// Windows in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
struct Found {
    /// Of ranges in the order of rows.
    keys: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    /// The row that each is told of at; [`NONE`]: it is not full, and told of at the end.
    rows: Vec<u32>,
    /// Of those that are not full: where among all rows they begin.
    begins: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
struct Key {
    /// Of the rows in the queue.
    times: Queue<i64>,
    /// Order of the rows in the queue among all rows, where it is asked for.
    ordinals: Queue<u64>,
    front: usize,
    /// The last moment of the block of time that the last row is in.
    block_ends: i64,
}

impl Sliding {
    pub(crate) fn new(span: Span, columns: &[Column]) -> Self {
        let columns = columns.iter().map(|column| column.kind.sliders()).collect();
        Self { span, columns, keys: vec![], found: Found::default(), threads: 1, pushed: 0, numbers: vec![] }
    }

    /// All rows of any time that has come must have come with them.
    pub(crate) fn push(&mut self, rows: &Chunk<'_>, first: u64) -> Result<(), WindowError> {
        self.keys.resize_with(rows.num_keys, Key::default);
        // What is read of rows is put in order of keys first: reading from one end to the other for each would cost more.
        let ByKey { order, groups } = ByKey::new(rows);
        let (mut times, mut args) = (Cow::from(rows.times), Cow::from(&rows.args.of));
        if !order.is_sorted() {
            times = order.iter().map(|row| rows.times[*row as usize]).collect();
            args = super::of_rows(&rows.args.of, &order)?.into();
        }
        let ready = self.columns.iter().zip(&*args).map(|(column, args)| column.args(args));
        let args = ready.collect::<Result<Vec<_>, _>>().map_err(arguments)?;
        self.threads = rows.threads;
        let begins = stretches_of_keys(rows.keys, rows.num_keys, rows.threads);
        let (span, first_row) = (self.span, self.pushed);
        let number = |row: u32| (first_row + row, rows.number(first, row as usize));
        let outcomes = on_each(self.stretches(&begins), |_, mut stretch| {
            let own = stretch.groups(&groups);
            stretch.steps.reserve(own.iter().map(|(_, places)| places.len()).sum());
            for (key, places) in own {
                match span {
                    Span::Range(preceding) => stretch.by_time(*key, preceding, &times, places.clone()),
                    Span::Rows(count, every) => {
                        stretch.by_rows(*key, (count, every), &times, &order, places.clone(), &number);
                    }
                }
            }
            stretch.run(Some(&args))
        });
        outcomes.into_iter().for_each(|outcome| self.take(outcome));
        if let Span::Range(_) = self.span {
            self.found.keys.extend_from_slice(rows.keys);
            self.found.rows.extend(order.iter().map(|row| self.pushed + row));
        }
        self.pushed += rows.keys.len() as u32;
        self.numbers.extend(rows.numbers.into_iter().flatten());
        Ok(())
    }

    /// The input ends: windows that are not full are told of.
    pub(crate) fn finish(&mut self) {
        let Span::Rows(count, every) = self.span else { return };
        let outcomes: Vec<_> = self
            .stretches(&[0])
            .into_iter()
            .map(|mut all| {
                all.end((count, every));
                all.run(None)
            })
            .collect();
        outcomes.into_iter().for_each(|outcome| self.take(outcome));
    }

    /// All keys, in stretches that begin with these.
    fn stretches(&mut self, begins: &[u32]) -> Vec<Stretch<'_>> {
        let num_keys = self.keys.len();
        let columns = self.columns.iter_mut().map(|column| column.stretches(num_keys, begins).into_iter());
        let mut columns: Vec<_> = columns.collect();
        let stretch = |(keys, first_key)| Stretch {
            first_key,
            keys,
            columns: columns.iter_mut().filter_map(Iterator::next).collect(),
            steps: vec![],
            found: Found::default(),
        };
        cut(&mut self.keys, begins).into_iter().zip(begins.iter().copied()).map(stretch).collect()
    }

    /// Takes what was found in a stretch, those before it first.
    fn take(&mut self, (found, asked): (Found, Vec<Asked>)) {
        self.found.append(found);
        self.columns.iter_mut().zip(asked).for_each(|(column, asked)| column.take_asked(asked));
    }

    pub(crate) fn has_complete(&self) -> bool {
        !self.found.keys.is_empty()
    }

    /// Tells of the windows that were asked for, in the order of the rows that complete them.
    pub(crate) fn complete(&mut self, slots: &[Slot]) -> Result<Complete, WindowError> {
        let found = std::mem::take(&mut self.found);
        let pushed = std::mem::take(&mut self.pushed);
        let numbers = std::mem::take(&mut self.numbers);
        let order = found.in_order(pushed);
        let columns = &mut self.columns;
        let mut values = by_slot(slots, columns.len(), |column, readings| columns[column].finish(readings))?;
        if !order.is_sorted() {
            let places = UInt32Array::from(order.clone());
            let put = |_, values: &[ArrayRef]| -> Result<Vec<ArrayRef>, ArrowError> {
                values.iter().map(|array| arrow_select::take::take(array, &places, None)).collect()
            };
            let a_thread = values.len().div_ceil(self.threads).max(1);
            let in_order: Result<Vec<_>, _> = on_each(values.chunks(a_thread), put).into_iter().collect();
            values = in_order.map_err(cepheid_event::EventError::from)?.concat();
        }
        fn picked<T: Copy>(values: &[T], order: &[u32]) -> Vec<T> {
            order.iter().map(|place| values[*place as usize]).collect()
        }
        if let Span::Range(_) = self.span {
            // One for each row, in order of these.
            return Ok(Complete { keys: found.keys, values, ..Complete::default() });
        }
        Ok(Complete {
            keys: picked(&found.keys, &order),
            starts: picked(&found.starts, &order),
            ends: picked(&found.ends, &order),
            order: found.numbers(&order, &numbers),
            values,
            ..Complete::default()
        })
    }

    pub(crate) fn save(&self) -> Option<SavedFrame> {
        let queue = |key: &Key| SavedQueue {
            times: key.times.all().to_vec(),
            ordinals: key.ordinals.all().to_vec(),
            front: key.front as u32,
        };
        let columns = self.columns.iter().map(|column| column.save()).collect::<Option<Vec<_>>>()?;
        let rows = self.columns.iter().filter_map(|column| Some((column.rows_column()?, column.save_rows())));
        let columns = with_rows(columns, rows);
        Some(SavedFrame::Sliding { keys: self.keys.iter().map(queue).collect(), columns })
    }

    pub(crate) fn load(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        let SavedFrame::Sliding { keys, columns } = saved else { return None };
        let rows: Vec<Option<usize>> = self.columns.iter().map(|column| column.rows_column()).collect();
        let columns = by_column(&columns, &rows)?;
        if keys.len() > num_keys {
            return None;
        }
        let counted = matches!(self.span, Span::Rows(..));
        let most = if let Span::Rows(count, _) = self.span { count } else { u64::MAX };
        for SavedQueue { times, ordinals, front } in keys {
            let ordered = times.is_sorted() && ordinals.is_sorted();
            let fits = ordinals.len() == if counted { times.len() } else { 0 };
            let mut block_ends = 0;
            let in_front = match self.span {
                // Rows of blocks that are over are of the front.
                Span::Range(preceding) => {
                    let end = times.last().map(|last| end_of_block(*last, preceding));
                    let over = times.partition_point(|time| Some(end_of_block(*time, preceding)) < end);
                    block_ends = end.unwrap_or_default();
                    front as usize == over
                }
                Span::Rows(..) => front as usize <= times.len(),
            };
            if !ordered || !fits || !in_front || times.len() as u64 > most {
                return None;
            }
            let (times, ordinals) = (Queue::of(times), Queue::of(ordinals));
            self.keys.push(Key { times, ordinals, front: front as usize, block_ends });
        }
        let rows: Vec<(usize, usize)> = self.keys.iter().map(|key| (key.times.len(), key.front)).collect();
        for (column, (saved, of_rows)) in self.columns.iter_mut().zip(columns) {
            column.load(saved, &rows)?;
            if let Some(of_rows) = of_rows {
                column.load_rows(of_rows)?;
            }
        }
        Some(())
    }

    /// The time of the newest row in a window.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.keys.iter().filter_map(|key| key.times.all().last().copied()).max()
    }

    /// `before`: no row before this time comes any more.
    pub(crate) fn keys_kept(&self, kept: &mut [bool], before: Option<i64>) {
        let is_near = |last: &i64| match (self.span, before) {
            (Span::Range(preceding), Some(before)) => before.saturating_sub(*last) <= preceding,
            _ => true,
        };
        for (kept, key) in kept.iter_mut().zip(&self.keys) {
            *kept = key.times.all().last().is_some_and(is_near);
        }
    }

    pub(crate) fn renumber(&mut self, keys: &Renumbered) {
        keys.retain(&mut self.keys);
        self.columns.iter_mut().for_each(|column| column.renumber(keys));
    }

    pub(crate) fn bytes(&self) -> usize {
        let of_key = |key: &Key| key.times.bytes() + key.ordinals.bytes();
        self.columns.iter().map(|column| column.bytes()).sum::<usize>()
            + self.keys.capacity() * size_of::<Key>()
            + self.keys.iter().map(of_key).sum::<usize>()
    }
}

/// Keys that follow each other, and what is kept of them.
struct Stretch<'a> {
    first_key: u32,
    keys: &'a mut [Key],
    columns: Vec<Box<dyn StretchSlides + 'a>>,
    /// What happens to them next.
    steps: Vec<Step>,
    /// The windows that are asked for then.
    found: Found,
}

impl Stretch<'_> {
    /// Those of all groups that are of these keys.
    fn groups<'a>(&self, groups: &'a [(u32, Range<usize>)]) -> &'a [(u32, Range<usize>)] {
        let begin = groups.partition_point(|(key, _)| *key < self.first_key);
        let end = self.first_key + self.keys.len() as u32;
        &groups[begin..groups.partition_point(|(key, _)| *key < end)]
    }

    fn by_time(&mut self, key: u32, preceding: i64, times: &[i64], places: Range<usize>) {
        let known = &mut self.keys[(key - self.first_key) as usize];
        known.times.reserve(places.len());
        let mut place = places.start;
        while place < places.end {
            let time = times[place];
            let peers = times[place..places.end].iter().take_while(|other| **other == time).count();
            let past = known.times.all();
            let gone = past.iter().take_while(|past| time.saturating_sub(**past) > preceding).count();
            let is_over = time > known.block_ends;
            let turns = is_over && !past.is_empty();
            if is_over || past.is_empty() {
                known.block_ends = end_of_block(time, preceding);
            }
            let mut step = known.leave(key, gone, turns);
            (0..peers).for_each(|_| known.times.push(time));
            step.come = place as u32..(place + peers) as u32;
            step.ask = peers as u32;
            self.steps.push(step);
            place += peers;
        }
    }

    fn by_rows(
        &mut self,
        key: u32,
        (count, every): (u64, u64),
        times: &[i64],
        order: &[u32],
        places: Range<usize>,
        number: &dyn Fn(u32) -> (u32, u64),
    ) {
        let known = &mut self.keys[(key - self.first_key) as usize];
        known.times.reserve(places.len());
        known.ordinals.reserve(places.len());
        for place in places {
            let ((row, ordinal), time) = (number(order[place]), times[place]);
            // A full window has been told of: its rows up to the start of the next leave.
            let gone = if known.times.len() as u64 == count { every as usize } else { 0 };
            let turns = gone > known.front;
            let mut step = known.leave(key, gone, turns);
            known.times.push(time);
            known.ordinals.push(ordinal);
            step.come = place as u32..place as u32 + 1;
            if known.times.len() as u64 == count {
                step.ask = 1;
                self.found.add(key, (known.times.all()[0], time), row);
            }
            self.steps.push(step);
        }
    }

    /// No row comes any more.
    fn end(&mut self, (count, every): (u64, u64)) {
        for (known, key) in self.keys.iter_mut().zip(self.first_key..) {
            let mut gone = if known.times.len() as u64 == count { every as usize } else { 0 };
            while gone < known.times.len() {
                let turns = gone > known.front;
                let mut step = known.leave(key, gone, turns);
                step.ask = 1;
                self.steps.push(step);
                let times = known.times.all();
                let (first, last) = (times[0], times[times.len() - 1]);
                self.found.add(key, (first, last), u32::MAX);
                self.found.begins.push(known.ordinals.all()[0]);
                gone = every as usize;
            }
            // Rows that come after all begin anew.
            let (all, front) = (known.times.len(), known.front);
            self.steps.push(known.leave(key, all, all > front));
        }
    }

    /// Takes the steps.
    fn run(self, args: Option<&[Box<Args>]>) -> (Found, Vec<Asked>) {
        let own_args = |column: usize| args.map(|args| &*args[column]);
        let columns = self.columns.into_iter().enumerate();
        (self.found, columns.map(|(place, column)| column.run(&self.steps, own_args(place))).collect())
    }
}

impl Found {
    /// Numbers of the windows, in the order of the rows that they are told of at, of which there are so many, then the others.
    fn in_order(&self, rows: u32) -> Vec<u32> {
        if self.begins.is_empty() && self.rows.is_sorted() {
            return (0..self.rows.len() as u32).collect();
        }
        // No row completes two.
        let mut of_row = vec![NONE; rows as usize];
        let mut rest = vec![];
        for (window, row) in self.rows.iter().enumerate() {
            match of_row.get_mut(*row as usize) {
                Some(place) => *place = window as u32,
                None => rest.push(window as u32),
            }
        }
        let first = self.rows.len() - self.begins.len();
        rest.sort_by_key(|window| self.begins[*window as usize - first]);
        of_row.retain(|window| *window != NONE);
        of_row.extend(rest);
        of_row
    }

    /// Places of the rows that some windows are told of at, and of those that the others begin with. `rows`: those of all rows,
    /// if they are not counted.
    fn numbers(&self, windows: &[u32], rows: &[u64]) -> Vec<u64> {
        let full = self.rows.len() - self.begins.len();
        let number = |window: &u32| match (*window as usize).checked_sub(full) {
            Some(other) => self.begins[other],
            None => {
                let row = self.rows[*window as usize];
                rows.get(row as usize).copied().unwrap_or_else(|| row.into())
            }
        };
        windows.iter().map(number).collect()
    }

    /// Adds windows that are asked for behind these.
    fn append(&mut self, more: Self) {
        self.keys.extend(more.keys);
        self.starts.extend(more.starts);
        self.ends.extend(more.ends);
        self.rows.extend(more.rows);
        self.begins.extend(more.begins);
    }

    fn add(&mut self, key: u32, (start, end): (i64, i64), row: u32) {
        self.keys.push(key);
        self.starts.push(start);
        self.ends.push(end);
        self.rows.push(row);
    }
}

impl Key {
    /// So many rows leave the queue; `turns`: those of the front all do, and the back becomes it.
    fn leave(&mut self, key: u32, rows: usize, turns: bool) -> Step {
        self.times.leave(rows);
        if self.ordinals.len() > 0 {
            self.ordinals.leave(rows);
        }
        let leave = rows.min(self.front);
        self.front -= leave;
        let mut step = Step { key, leave: leave as u32, ..Step::default() };
        debug_assert!(turns || rows == leave, "what leaves is of the front");
        if turns {
            debug_assert_eq!(self.front, 0, "the front is used up");
            self.front = self.times.len();
            step.turn = Some((rows - leave) as u32);
        }
        step
    }
}

/// The last moment of the block of time that a row is in. A window reaches over two of them at most, and the front is made anew where one ends:
/// so floats are joined in the same way whatever came before, and threads that begin with different rows agree.
fn end_of_block(time: i64, preceding: i64) -> i64 {
    match preceding.checked_add(1) {
        Some(length) => time.saturating_add(preceding - time.rem_euclid(length)),
        // As long as all times from 0 on.
        None => time | i64::MAX,
    }
}

/// Rows put together by key, in order for each.
struct ByKey {
    order: Vec<u32>,
    /// Keys, and where their rows stand in it.
    groups: Vec<(u32, Range<usize>)>,
}

impl ByKey {
    fn new(rows: &Chunk<'_>) -> Self {
        let count = rows.keys.len();
        let are_sorted = rows.keys.is_sorted();
        if are_sorted || count * 4 < rows.num_keys {
            let mut order: Vec<u32> = (0..count as u32).collect();
            if !are_sorted {
                order.sort_by_key(|row| rows.keys[*row as usize]);
            }
            let mut groups: Vec<(u32, Range<usize>)> = vec![];
            for (place, row) in order.iter().enumerate() {
                let key = rows.keys[*row as usize];
                match groups.last_mut() {
                    Some((known, places)) if *known == key => places.end = place + 1,
                    _ => groups.push((key, place..place + 1)),
                }
            }
            return Self { order, groups };
        }
        let mut ends = vec![0_u32; rows.num_keys + 1];
        rows.keys.iter().for_each(|key| ends[*key as usize + 1] += 1);
        (1..ends.len()).for_each(|key| ends[key] += ends[key - 1]);
        let group = |key: usize| (key as u32, ends[key] as usize..ends[key + 1] as usize);
        let groups = (0..rows.num_keys).map(group).filter(|(_, places)| !places.is_empty()).collect();
        let mut order = vec![0; count];
        for (row, key) in rows.keys.iter().enumerate() {
            let place = &mut ends[*key as usize];
            order[*place as usize] = row as u32;
            *place += 1;
        }
        Self { order, groups }
    }
}
