//! What a window keeps between rows.

use arrow_array::ArrayRef;
use cepheid_ir::Frame;

use crate::compile::WindowPlan;
use crate::error::WindowError;
use crate::frames::counted::Counted;
use crate::frames::hopping::Hopping;
use crate::frames::session::Session;
use crate::frames::sliding::{Sliding, Span};
use crate::frames::tumbling::Tumbling;
use crate::frames::{Complete, Rows};

/// See the module. To be used with one plan.
#[derive(Clone, Debug)]
pub struct WindowState {
    frame: State,
    /// Rows so far.
    rows: u64,
}

#[derive(Clone, Debug)]
enum State {
    Tumbling(Tumbling),
    Hopping(Hopping),
    Session(Session),
    Counted(Counted),
    Sliding(Sliding),
}

/// Rows on their way into windows.
pub struct Chunk<'a> {
    /// Numbers of their keys.
    pub keys: &'a [u32],
    /// How many keys there are by now.
    pub num_keys: usize,
    /// Event times in nanoseconds, ascending, none before that of a row that has come.
    pub times: &'a [i64],
    /// The values of a column, for each of the rows.
    pub column: &'a dyn Fn(usize) -> ArrayRef,
}

/// Windows that are complete.
#[derive(Debug)]
pub struct Windows {
    /// Numbers of their keys.
    pub keys: Vec<u32>,
    /// Starts and ends in nanoseconds; none where each is of a row, in order of these.
    pub starts: Vec<i64>,
    /// Likewise.
    pub ends: Vec<i64>,
    /// `measures[m]`: one value a window.
    pub measures: Vec<ArrayRef>,
}

impl WindowState {
    /// Of no rows.
    pub fn new(plan: &WindowPlan) -> Self {
        let columns = plan.columns();
        let frame = match plan.frame() {
            Frame::Time { size_ns, every_ns, offset_ns } if every_ns >= size_ns => {
                State::Tumbling(Tumbling::new((size_ns, every_ns, offset_ns), columns))
            }
            Frame::Time { size_ns, every_ns, offset_ns } => {
                State::Hopping(Hopping::new((size_ns, every_ns, offset_ns), columns))
            }
            Frame::Session { gap_ns } => State::Session(Session::new(gap_ns, columns)),
            Frame::Rows { rows, every } if every >= rows => {
                State::Counted(Counted::new(rows, every, columns))
            }
            Frame::Rows { rows, every } => State::Sliding(Sliding::new(Span::Rows(rows, every), columns)),
            Frame::Range { preceding_ns } => State::Sliding(Sliding::new(Span::Range(preceding_ns), columns)),
        };
        Self { frame, rows: 0 }
    }

    /// Puts rows to windows. Where each window is that of a row, no row of the last time may come later.
    ///
    /// # Errors
    /// [`WindowError`]; the state is then of no use.
    pub fn push(&mut self, plan: &WindowPlan, chunk: &Chunk<'_>) -> Result<(), WindowError> {
        let args = plan.args(chunk.keys.len(), chunk.column)?;
        let rows = Rows { keys: chunk.keys, num_keys: chunk.num_keys, times: chunk.times, args: &args };
        let first = self.rows;
        self.rows += chunk.keys.len() as u64;
        match &mut self.frame {
            State::Tumbling(frame) => frame.push(&rows),
            State::Hopping(frame) => frame.push(&rows),
            State::Session(frame) => frame.push(&rows),
            State::Counted(frame) => frame.push(&rows),
            State::Sliding(frame) => frame.push(&rows, first),
        }
    }

    /// No row before `time` comes any more.
    pub fn advance(&mut self, time: i64) {
        match &mut self.frame {
            State::Tumbling(frame) => frame.advance(time),
            State::Hopping(frame) => frame.advance(time),
            State::Session(frame) => frame.advance(time),
            State::Counted(_) | State::Sliding(_) => {}
        }
    }

    /// No row comes any more.
    pub fn finish(&mut self) {
        match &mut self.frame {
            State::Tumbling(frame) => frame.finish(),
            State::Hopping(frame) => frame.finish(),
            State::Session(frame) => frame.finish(),
            State::Counted(frame) => frame.finish(),
            State::Sliding(frame) => frame.finish(),
        }
    }

    /// Gives the windows that are complete. `column`: where each is that of a row, the values of a column of the rows that came
    /// since they were last asked for.
    ///
    /// # Errors
    /// [`WindowError`]; the state is then of no use.
    pub fn complete(
        &mut self,
        plan: &WindowPlan,
        column: &dyn Fn(usize) -> ArrayRef,
    ) -> Result<Windows, WindowError> {
        let slots = plan.slots();
        let complete = match &mut self.frame {
            State::Tumbling(frame) => frame.complete(slots),
            State::Hopping(frame) => frame.complete(slots),
            State::Session(frame) => frame.complete(slots),
            State::Counted(frame) => frame.complete(slots),
            State::Sliding(frame) => frame.complete(slots),
        }?;
        let measures = plan.measures(&complete, column)?;
        let Complete { keys, starts, ends, .. } = complete;
        Ok(Windows { keys, starts, ends, measures })
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.frame {
            State::Tumbling(frame) => frame.bytes(),
            State::Hopping(frame) => frame.bytes(),
            State::Session(frame) => frame.bytes(),
            State::Counted(frame) => frame.bytes(),
            State::Sliding(frame) => frame.bytes(),
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
