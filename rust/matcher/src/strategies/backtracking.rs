//! Depth-first search in order of preference, over a run whose state rolls back.
//!
//! Two strategies share it. As *start runs* it remembers which (position, row) pairs have failed since the search
//! began: right only if a condition's outcome follows from the start row, the position and the row, and then no pair
//! is tried twice. As *backtracking* it remembers nothing and counts its steps instead.
//!
//! - Time: start runs O(p·m) a start row, p positions, m rows the search reaches; backtracking exponential at worst,
//!   cut off by the step limit with [`MatchError::StepLimit`].
//! - Space: 8 bytes a row of the run, and p bits a row reached for what is remembered.
//! - Source: Spencer, *A Regular-Expression Matcher* (1994), for the search; Might and others for its memory.

use crate::automaton::{Automaton, Next, Target};
use crate::error::MatchError;
use crate::match_set::{Label, MatchSet};
use crate::matcher::STEPS_PER_ROW;
use crate::run::RunState;
use crate::search::{Search, Start};
use crate::threads::Interruption;

/// Position of a frame that has taken no row: the search's own start.
const NO_POSITION: u32 = u32::MAX;

/// See the module.
pub(crate) struct Backtracking<'a> {
    automaton: &'a Automaton,
    run: RunState<'a>,
    /// One for each row of the run, and one for its start.
    frames: Vec<Frame>,
    memory: Option<Memory>,
    /// Most steps of one search, on top of what its rows alone account for.
    step_limit: u64,
    arrival: &'a dyn Fn(u32) -> u32,
    interrupted: Interruption<'a>,
    steps_to_pause: u32,
}

/// Steps between two questions whether to go on: some milliseconds.
const STEPS_BETWEEN_PAUSES: u32 = 1 << 16;

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The position that took the row.
    position: u32,
    /// The next of its targets to try.
    target: u32,
}

impl<'a> Backtracking<'a> {
    pub(crate) fn new(
        automaton: &'a Automaton,
        run: RunState<'a>,
        remembers: bool,
        step_limit: u64,
        interrupted: Interruption<'a>,
        arrival: &'a dyn Fn(u32) -> u32,
    ) -> Self {
        let memory = remembers.then(|| Memory::new(automaton.positions.len()));
        let steps_to_pause = STEPS_BETWEEN_PAUSES;
        Self { automaton, run, frames: vec![], memory, step_limit, arrival, interrupted, steps_to_pause }
    }

    fn targets(&self, position: u32) -> &'a [Target] {
        match position {
            NO_POSITION => &self.automaton.start,
            position => &self.automaton.positions[position as usize].follow,
        }
    }

    /// Leaves the frames of the preferred match in place and says whether there is one.
    fn find(&mut self, start: Start<'_>) -> Result<bool, MatchError> {
        self.run.begin(start.row, start.partition.clone(), start.match_number);
        self.frames.clear();
        self.frames.push(Frame { position: NO_POSITION, target: 0 });
        if let Some(memory) = &mut self.memory {
            memory.forget();
        }
        let mut steps = 0_u64;
        let rows = u64::from(start.partition.end - start.partition.start);
        let step_limit = self.step_limit.saturating_add(rows * STEPS_PER_ROW);
        loop {
            let depth = self.frames.len() - 1;
            let row = start.row + depth as u32;
            let frame = self.frames.last_mut().expect("the start's frame stays until the search fails");
            let position = frame.position;
            let choice = frame.target as usize;
            frame.target += 1;
            let Some(target) = self.targets(position).get(choice) else {
                // Every way on from here has failed.
                if depth == 0 {
                    return Ok(false);
                }
                self.frames.pop();
                self.run.give_back(self.automaton.positions[position as usize].variable);
                if let Some(memory) = &mut self.memory {
                    memory.remember(position, depth as u32 - 1)?;
                }
                continue;
            };
            steps += 1;
            self.steps_to_pause -= 1;
            if self.steps_to_pause == 0 {
                self.steps_to_pause = STEPS_BETWEEN_PAUSES;
                if self.interrupted.is_due() {
                    return Err(MatchError::Interrupted);
                }
            }
            if steps > step_limit {
                return Err(MatchError::StepLimit { row: (self.arrival)(start.row), limit: step_limit });
            }
            if !target.is_open(row, start.partition) {
                continue;
            }
            match target.step {
                Next::Accept => return Ok(true),
                Next::Take(next) => {
                    let known = self.memory.as_ref().is_some_and(|memory| memory.recalls(next, depth as u32));
                    if row < start.limit && !known {
                        let variable = self.automaton.positions[next as usize].variable;
                        if self.run.take(variable)? {
                            self.frames.push(Frame { position: next, target: 0 });
                        }
                    }
                }
            }
        }
    }
}

impl Search for Backtracking<'_> {
    fn search(&mut self, start: Start<'_>, found: &mut MatchSet) -> Result<bool, MatchError> {
        if !self.find(start)? {
            return Ok(false);
        }
        let open = found.open();
        for frame in &self.frames[1..] {
            let position = &self.automaton.positions[frame.position as usize];
            found.push_rows(open, Label { variable: position.variable, excluded: position.excluded }, 1);
        }
        Ok(true)
    }
}

/// Most words of what one search remembers: 256 MiB.
const WORDS_MAX: usize = 1 << 25;

/// Pairs of a position and a row (counted from the start row) from which no match completes.
struct Memory {
    positions: usize,
    failed: Vec<u64>,
    /// Words of `failed` that are not zero.
    touched: Vec<usize>,
}

impl Memory {
    fn new(positions: usize) -> Self {
        Self { positions, failed: vec![], touched: vec![] }
    }

    fn forget(&mut self) {
        for word in self.touched.drain(..) {
            self.failed[word] = 0;
        }
    }

    fn place(&self, position: u32, row: u32) -> (usize, u64) {
        let bit = row as usize * self.positions + position as usize;
        (bit / 64, 1 << (bit % 64))
    }

    fn remember(&mut self, position: u32, row: u32) -> Result<(), MatchError> {
        let (word, bit) = self.place(position, row);
        if word >= WORDS_MAX {
            let limit = WORDS_MAX as u64 * 64;
            return Err(MatchError::TooLarge { what: "pairs of a place and a row in one search", limit });
        }
        if word >= self.failed.len() {
            self.failed.resize((word + 1).next_power_of_two(), 0);
        }
        if self.failed[word] == 0 {
            self.touched.push(word);
        }
        self.failed[word] |= bit;
        Ok(())
    }

    fn recalls(&self, position: u32, row: u32) -> bool {
        let (word, bit) = self.place(position, row);
        self.failed.get(word).is_some_and(|failed| failed & bit != 0)
    }
}
