//! What a window keeps between rows.

use std::borrow::Cow;
use std::sync::OnceLock;

use arrow_array::ArrayRef;
use cepheid_eval::ColumnOf;
use cepheid_ir::{Frame, Timing};

use crate::compile::WindowPlan;
use crate::edges::Edges;
use crate::error::WindowError;
use crate::frames::counted::Counted;
use crate::frames::hopping::Hopping;
use crate::frames::reported::Reported;
use crate::frames::session::Session;
use crate::frames::sliding::{Sliding, Span};
use crate::frames::tumbling::Tumbling;
use crate::frames::{Complete, Renumbered};
use crate::saved::SavedFrame;

/// See the module. To be used with one plan.
#[derive(Clone, Debug)]
pub struct WindowState {
    frame: State,
    /// Rows so far.
    rows: u64,
    /// The greatest of the integers that were summed up, whatever their sign.
    greatest: u64,
}

#[derive(Clone, Debug)]
enum State {
    Tumbling(Tumbling),
    Hopping(Box<Hopping>),
    Session(Session),
    Counted(Counted),
    Sliding(Sliding),
    Reported(Box<Reported>),
}

/// Rows on their way into windows.
pub struct Chunk<'a> {
    /// Numbers of their keys.
    pub keys: &'a [u32],
    /// How many keys there are by now.
    pub num_keys: usize,
    /// Event times in nanoseconds; those of rows that are not late ascend, and none is before that of such a row that has come.
    pub times: &'a [i64],
    /// How each row came, where late ones are taken; `None`: when its time did.
    pub arrival: Option<&'a [Arrival]>,
    /// What aggregates are of.
    pub args: &'a Arguments,
    /// Places of the rows, ascending, among those that other states see to as well; `None`: it sees to all.
    pub numbers: Option<&'a [u64]>,
    /// How many threads may see to them: keys are shared among these where a row costs enough, and nothing else changes.
    pub threads: usize,
}

impl<'a> Chunk<'a> {
    /// Rows of which none is late, and which no other state sees to, for one thread.
    pub fn of_rows(keys: &'a [u32], num_keys: usize, times: &'a [i64], args: &'a Arguments) -> Self {
        Self { keys, num_keys, times, arrival: None, args, numbers: None, threads: 1 }
    }

    /// The place of a row among all. `first`: how many rows have come before.
    pub(crate) fn number(&self, first: u64, row: usize) -> u64 {
        self.numbers.map_or(first + row as u64, |numbers| numbers[row])
    }
}

/// How a row came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Where the clock stood, ascending: at its time, or behind it if it is late.
    pub at: i64,
    /// What tells it apart from others of its time, which it stands between.
    pub number: u64,
}

/// What aggregates are of, one value a row.
#[derive(Debug)]
pub struct Arguments {
    /// `of[c]`: those of column `c`.
    pub(crate) of: Vec<Vec<ArrayRef>>,
    /// The greatest of the integers that are to be summed up, once somebody has asked.
    greatest: OnceLock<u64>,
}

impl Arguments {
    pub(crate) fn new(of: Vec<Vec<ArrayRef>>) -> Self {
        Self { of, greatest: OnceLock::new() }
    }
}

/// Windows that are complete.
#[derive(Debug)]
pub struct Windows {
    /// Numbers of their keys.
    pub keys: Vec<u32>,
    /// Where they begin and end.
    pub edges: Edges,
    /// When each is reported, as it says of itself; none where all are when they end.
    pub timings: Vec<Timing>,
    /// When each is decided, where that is not its end; none where it is of all.
    moments: Vec<i64>,
    /// Of sessions and windows by rows, the place of the row that says which comes first, see [`Chunk::numbers`]: of those that
    /// end together, and of those that the end of the input ends, the first that is in each; of those that are full the last.
    pub order: Vec<u64>,
    /// `measures[m]`: one value a window.
    pub measures: Vec<ArrayRef>,
}

impl Windows {
    /// When the clock decides each: at its end, unless it is reported early or late.
    pub fn moments(&self) -> Cow<'_, [i64]> {
        if self.moments.is_empty() { self.edges.ends() } else { (&self.moments).into() }
    }
}

impl WindowState {
    /// Of no rows.
    pub fn new(plan: &WindowPlan) -> Self {
        let columns = plan.columns();
        let frame = match plan.frame() {
            frame if !plan.reports().is_default() => {
                State::Reported(Box::new(Reported::new(frame, plan.reports(), columns)))
            }
            Frame::Time { size_ns, every_ns, offset_ns } if every_ns >= size_ns => {
                State::Tumbling(Tumbling::new((size_ns, every_ns, offset_ns), columns))
            }
            Frame::Time { size_ns, every_ns, offset_ns } => {
                State::Hopping(Box::new(Hopping::new((size_ns, every_ns, offset_ns), columns)))
            }
            Frame::Session { gap_ns } => State::Session(Session::new(gap_ns, columns)),
            Frame::Rows { rows, every } if every >= rows => {
                State::Counted(Counted::new(rows, every, columns))
            }
            Frame::Rows { rows, every } => State::Sliding(Sliding::new(Span::Rows(rows, every), columns)),
            Frame::Range { preceding_ns } => State::Sliding(Sliding::new(Span::Range(preceding_ns), columns)),
        };
        Self { frame, rows: 0, greatest: 0 }
    }

    /// Whether putting rows of these times and arguments to windows, or telling of windows, may raise an error. `until`: no
    /// row before it comes any more; `None`: none comes at all. `clock`: how far the clock goes. To be asked before every push, if
    /// at all.
    pub fn may_fail(
        &self,
        plan: &WindowPlan,
        times: &[i64],
        args: &Arguments,
        (until, clock): (Option<i64>, Option<i64>),
    ) -> bool {
        let asked = args.greatest.get_or_init(|| plan.greatest_summed(args));
        let greatest = u128::from(self.greatest.max(*asked));
        let too_many = match &self.frame {
            State::Hopping(frame) => frame.may_be_too_many(times, until),
            State::Reported(frame) => frame.may_be_too_many(times, clock),
            _ => false,
        };
        let overflows = greatest * u128::from(self.rows + times.len() as u64) > i64::MAX as u128;
        !plan.never_fails() || too_many || overflows
    }

    /// Puts rows to windows. Where each window is that of a row, no row of the last time may come later.
    ///
    /// # Errors
    /// [`WindowError`]; the state is then of no use.
    pub fn push(&mut self, chunk: &Chunk<'_>) -> Result<(), WindowError> {
        // Tables do not ask: there is no state that an error would leave behind.
        self.greatest = self.greatest.max(chunk.args.greatest.get().copied().unwrap_or(0));
        let first = self.rows;
        self.rows += chunk.keys.len() as u64;
        match &mut self.frame {
            State::Tumbling(frame) => frame.push(chunk),
            State::Hopping(frame) => frame.push(chunk),
            State::Session(frame) => frame.push(chunk, first),
            State::Counted(frame) => frame.push(chunk, first),
            State::Sliding(frame) => frame.push(chunk, first),
            State::Reported(frame) => frame.push(chunk, first),
        }
    }

    /// Has it tell of those windows of a grid only that begin at `start`, where one does, or later. To be called before rows come.
    pub fn begin_at(&mut self, start: i64) {
        if let State::Hopping(frame) = &mut self.frame {
            frame.begin_at(start);
        }
    }

    /// Has it report no window again that ended up to a time. To be called before rows come.
    pub fn begin_behind(&mut self, time: Option<i64>) {
        if let State::Reported(frame) = &mut self.frame {
            frame.begin_behind(time);
        }
    }

    /// No row before `time` comes any more.
    pub fn advance(&mut self, time: i64) {
        match &mut self.frame {
            State::Tumbling(frame) => frame.advance(time),
            State::Hopping(frame) => frame.advance(time),
            State::Session(frame) => frame.advance(time),
            State::Reported(frame) => frame.advance(time),
            State::Counted(_) | State::Sliding(_) => {}
        }
    }

    /// No row comes any more. `clock`: where the clock stands, for windows without rows.
    pub fn finish(&mut self, clock: Option<i64>) {
        match &mut self.frame {
            State::Tumbling(frame) => frame.finish(),
            State::Hopping(frame) => frame.finish(),
            State::Session(frame) => frame.finish(),
            State::Counted(frame) => frame.finish(),
            State::Sliding(frame) => frame.finish(),
            State::Reported(frame) => frame.finish(clock),
        }
    }

    /// Gives windows that are complete, in their order, some at a time; `None`: none is left. `column`: where each is that of
    /// a row, the values of a column of the rows that came since they were last asked for.
    ///
    /// # Errors
    /// [`WindowError`]; the state is then of no use.
    pub fn complete(
        &mut self,
        plan: &WindowPlan,
        column: ColumnOf<'_>,
    ) -> Result<Option<Windows>, WindowError> {
        let some = match &self.frame {
            State::Tumbling(frame) => frame.has_complete(),
            State::Hopping(frame) => frame.has_complete(),
            State::Session(frame) => frame.has_complete(),
            State::Counted(frame) => frame.has_complete(),
            State::Sliding(frame) => frame.has_complete(),
            State::Reported(frame) => frame.has_complete(),
        };
        if !some {
            return Ok(None);
        }
        let slots = plan.slots();
        let complete = match &mut self.frame {
            State::Tumbling(frame) => frame.complete(slots),
            State::Hopping(frame) => frame.complete(slots),
            State::Session(frame) => frame.complete(slots),
            State::Counted(frame) => frame.complete(slots),
            State::Sliding(frame) => frame.complete(slots),
            State::Reported(frame) => frame.complete(slots),
        }?;
        if complete.keys.is_empty() {
            // A window of a grid in whose time no row came.
            return Ok(None);
        }
        let measures = plan.measures(&complete, column)?;
        let Complete { keys, starts, ends, together, moments, timings, order, .. } = complete;
        let edges =
            if together.is_empty() { Edges::Each { starts, ends } } else { Edges::Together(together) };
        Ok(Some(Windows { keys, edges, timings, moments, order, measures }))
    }

    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.rows, self.greatest)
    }

    pub(crate) fn set_counts(&mut self, rows: u64, greatest: u64) {
        (self.rows, self.greatest) = (rows, greatest);
    }

    pub(crate) fn save_frame(&self) -> Option<SavedFrame> {
        match &self.frame {
            State::Tumbling(frame) => frame.save(),
            State::Hopping(frame) => frame.save(),
            State::Session(frame) => frame.save(),
            State::Counted(frame) => frame.save(),
            State::Sliding(frame) => frame.save(),
            State::Reported(frame) => frame.save(),
        }
    }

    pub(crate) fn load_frame(&mut self, saved: SavedFrame, num_keys: usize) -> Option<()> {
        match &mut self.frame {
            State::Tumbling(frame) => frame.load(saved, num_keys),
            State::Hopping(frame) => frame.load(saved, num_keys),
            State::Session(frame) => frame.load(saved, num_keys),
            State::Counted(frame) => frame.load(saved, num_keys),
            State::Sliding(frame) => frame.load(saved, num_keys),
            State::Reported(frame) => frame.load(saved, num_keys),
        }
    }

    /// The time of the newest row that is kept, where windows keep rows one by one.
    pub fn newest(&self) -> Option<i64> {
        if let State::Sliding(frame) = &self.frame { frame.newest() } else { None }
    }

    /// Which keys something is kept of, by number. `before`: no row before this time comes any more.
    pub fn keys_kept(&self, keys: usize, before: Option<i64>) -> Vec<bool> {
        let mut kept = vec![false; keys];
        match &self.frame {
            State::Tumbling(frame) => frame.keys_kept(&mut kept),
            State::Hopping(frame) => frame.keys_kept(&mut kept),
            State::Session(frame) => frame.keys_kept(&mut kept),
            State::Counted(frame) => frame.keys_kept(&mut kept),
            State::Sliding(frame) => frame.keys_kept(&mut kept, before),
            State::Reported(frame) => frame.keys_kept(&mut kept, before),
        }
        kept
    }

    /// Forgets keys. Those that stay are numbered in the order of their old numbers.
    pub fn retain_keys(&mut self, kept: &[bool]) {
        let keys = Renumbered::new(kept);
        match &mut self.frame {
            State::Tumbling(frame) => frame.renumber(&keys),
            State::Hopping(frame) => frame.renumber(&keys),
            State::Session(frame) => frame.renumber(&keys),
            State::Counted(frame) => frame.renumber(&keys),
            State::Sliding(frame) => frame.renumber(&keys),
            State::Reported(frame) => frame.renumber(&keys),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.frame {
            State::Tumbling(frame) => frame.bytes(),
            State::Hopping(frame) => frame.bytes(),
            State::Session(frame) => frame.bytes(),
            State::Counted(frame) => frame.bytes(),
            State::Sliding(frame) => frame.bytes(),
            State::Reported(frame) => frame.bytes(),
        }
    }
}

/// Whether a row of this time is in any window: those of a grid may leave gaps.
pub fn is_in_window(frame: Frame, time: i64) -> bool {
    match frame {
        Frame::Time { size_ns, every_ns, offset_ns } => Tumbling::holds(size_ns, every_ns, offset_ns, time),
        _ => true,
    }
}
