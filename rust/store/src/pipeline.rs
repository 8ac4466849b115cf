//! Appends one after another, as a pipeline: while some are written, those to come are made ready on other threads, and what
//! is ready by then goes into one commit.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::append::{Append, Position, Prepared};
use crate::error::StoreError;
use crate::log::{EventLog, stopped, whole};
use crate::transaction::{Change, Ready};

/// Most threads beside the one that calls: one at a time writes, and it does not keep up with more.
const THREADS_MAX: usize = 4;

/// So many rows, or so many appends, are worth a commit: what it costs whatever is in it is a small part then. Twice as many
/// are being made ready at most.
const COMMIT_ROWS: usize = 65_536;
const COMMIT_APPENDS: usize = 64;

/// So many bytes are ready and not written at most: what is made ready while the log is copied into the file, which takes as
/// long as dozens of commits. And so many appends: others who append wait for the commit that they come to.
const READY_BYTES_MAX: usize = 16 << 20;
const READY_APPENDS_MAX: usize = 8 * COMMIT_APPENDS;

impl EventLog {
    /// Makes appends one after another, each what [`append`](Self::append) would make it: `next` gives them, until it gives
    /// none, and is asked for more while some are not written yet. `written` is told where they are, in their order, as soon
    /// as they are on the disk; both are called on this thread.
    ///
    /// At the first that is refused it ends: all before it are in the store, it and those behind it are not.
    ///
    /// Cost: that of making appends ready, by all cores, or of writing them; memory of 131,072 rows, or of one append for
    /// each thread if they are longer, and of 16 MiB of compressed ones.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_each(
        &self,
        next: impl FnMut() -> Option<Append>,
        written: impl FnMut(Vec<Position>),
    ) -> Result<(), StoreError> {
        self.check_usable()?;
        let pipeline = Pipeline { log: self, state: Mutex::default(), changed: Condvar::new() };
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
        thread::scope(|scope| {
            // If the system has no more threads, this one does all there is to do.
            let others = (0..threads).map_while(|_| {
                thread::Builder::new().spawn_scoped(scope, || pipeline.work_to_the_end()).ok()
            });
            let others: Vec<_> = others.collect();
            pipeline.feed(next, written);
            for other in others {
                other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
        let state = pipeline.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failed.map_or(Ok(()), Err)
    }
}

struct Pipeline<'a> {
    log: &'a EventLog,
    state: Mutex<State>,
    /// Whatever changes of the state, somebody may wait for it.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What is to be made ready, and the number of each.
    given: VecDeque<(u64, Append)>,
    /// By number from `first` on: what is made ready; `None`: not yet.
    ready: VecDeque<Option<Result<Prepared, StoreError>>>,
    first: u64,
    /// Of those that are given and not ready: how many rows, and how many.
    rows: usize,
    appends: usize,
    /// Of those that are ready and not written, how many bytes they are.
    bytes: usize,
    /// Whether somebody writes.
    is_writing: bool,
    /// Whether all have been given.
    is_last: bool,
    /// Where those are that have been written since that was told.
    positions: Vec<Position>,
    /// Why it has ended.
    failed: Option<StoreError>,
}

/// What one thread can do next.
enum Step {
    Prepare(u64, Append),
    Write(Vec<Prepared>),
}

impl State {
    fn has_room(&self) -> bool {
        let has_few = self.rows < 2 * COMMIT_ROWS && self.appends < 2 * COMMIT_APPENDS;
        let can_wait = self.bytes < READY_BYTES_MAX && self.ready.len() < READY_APPENDS_MAX;
        (has_few || self.appends < THREADS_MAX) && can_wait
    }

    fn give(&mut self, append: Append) {
        self.rows += append.rows.num_rows();
        self.appends += 1;
        self.given.push_back((self.first + self.ready.len() as u64, append));
        self.ready.push_back(None);
    }

    fn is_over(&self) -> bool {
        self.failed.is_some() || (self.is_last && self.ready.is_empty() && !self.is_writing)
    }

    /// What there is to do. To write comes first if that is worth a commit, or if nothing else can be done: the more a commit
    /// holds, the less it costs, but nothing waits for what may not come.
    fn next_step(&mut self) -> Option<Step> {
        if self.is_over() {
            return None;
        }
        if !self.is_writing {
            let ready = self.ready.iter().map_while(|one| one.as_ref()?.as_ref().ok());
            let (rows, count) =
                ready.fold((0, 0), |(rows, count), one| (rows + one.events as usize, count + 1));
            if count > 0 && (rows >= COMMIT_ROWS || count >= COMMIT_APPENDS || self.given.is_empty()) {
                self.is_writing = true;
                self.first += count as u64;
                return Some(Step::Write(self.ready.drain(..count).flatten().flatten().collect()));
            }
            if count == 0
                && let Some(Some(Err(_))) = self.ready.front()
                && let Some(Some(Err(error))) = self.ready.pop_front()
            {
                self.first += 1;
                self.failed = Some(error);
                return None;
            }
        }
        self.given.pop_front().map(|(number, append)| Step::Prepare(number, append))
    }
}

/// Has the others end if its thread panics: what they would wait for does not come.
struct Ending<'a>(&'a Pipeline<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            whole(&self.0.state).failed = Some(stopped());
            self.0.changed.notify_all();
        }
    }
}

impl Pipeline<'_> {
    /// Does what there is to do, or waits until something changes.
    fn work_or_wait<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        if let Some(step) = state.next_step() {
            drop(state);
            self.take(step);
            whole(&self.state)
        } else if state.is_over() {
            state
        } else {
            self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Gives what there is to append, tells what has been, and works itself where there is no room for more.
    fn feed(&self, mut next: impl FnMut() -> Option<Append>, mut written: impl FnMut(Vec<Position>)) {
        let _ending = Ending(self);
        let mut state = whole(&self.state);
        loop {
            if !state.positions.is_empty() {
                let positions = std::mem::take(&mut state.positions);
                drop(state);
                written(positions);
                state = whole(&self.state);
            } else if state.is_over() {
                break;
            } else if !state.is_last && state.has_room() {
                drop(state);
                let append = next();
                state = whole(&self.state);
                match append {
                    Some(append) => state.give(append),
                    None => state.is_last = true,
                }
                self.changed.notify_all();
            } else {
                state = self.work_or_wait(state);
            }
        }
        // Those who wait find that it is over, whoever found that.
        self.changed.notify_all();
    }

    fn work_to_the_end(&self) {
        let _ending = Ending(self);
        let mut state = whole(&self.state);
        while !state.is_over() {
            state = self.work_or_wait(state);
        }
        self.changed.notify_all();
    }

    fn take(&self, step: Step) {
        match step {
            Step::Prepare(number, append) => {
                let rows = append.rows.num_rows();
                // The other threads have appends of their own to work on.
                let made = self.log.prepare(append, 1);
                let mut state = whole(&self.state);
                (state.rows, state.appends) = (state.rows - rows, state.appends - 1);
                state.bytes += made.as_ref().map_or(0, Prepared::bytes);
                let place = (number - state.first) as usize;
                state.ready[place] = Some(made);
            }
            Step::Write(group) => {
                let bytes = group.iter().map(Prepared::bytes).sum::<usize>();
                let (positions, failed) = self.write(group);
                let mut state = whole(&self.state);
                state.is_writing = false;
                state.bytes -= bytes;
                state.positions.extend(positions);
                state.failed = state.failed.take().or(failed);
            }
        }
        self.changed.notify_all();
    }

    /// Writes appends in one commit; if one is refused, those before it in commits of their own.
    fn write(&self, group: Vec<Prepared>) -> (Vec<Position>, Option<StoreError>) {
        let group: Ready = group.into_iter().map(|one| Change::Append(Arc::new(one))).collect();
        match self.log.commit_ready(group.clone()) {
            Ok(positions) => return (positions, None),
            // Of a commit that failed nobody knows what is on the disk.
            Err(error) if group.len() == 1 || self.log.check_usable().is_err() => {
                return (vec![], Some(error));
            }
            Err(_) => {}
        }
        let mut positions = vec![];
        for one in group {
            match self.log.commit_ready(vec![one]) {
                Ok(made) => positions.extend(made),
                Err(error) => return (positions, Some(error)),
            }
        }
        (positions, None)
    }
}
