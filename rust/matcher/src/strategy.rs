//! Which strategy runs a pattern, and why.

use std::fmt;

use cepheid_ir::Pattern;

use crate::automaton::Automaton;
use crate::conditions::Conditions;
use crate::facts::follows_from_start;
use crate::search::Skip;
use crate::strategies::bit_streams::{self, Step};
use crate::strategies::reverse_automaton::POSITIONS_MAX;

/// A way of running a rule: a pattern, a window, an anomaly rule, or a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Masks alone, 64 rows at a time.
    BitStreams,
    /// Two linear passes of an automaton.
    ReverseAutomaton,
    /// A search from every start row that remembers what has failed.
    StartRuns,
    /// A search from every start row under a step limit.
    Backtracking,
    /// One list of runs, of which those at one step are a stretch.
    NextLists,
    /// Lists of the rows that runs have reached each step by, shared by all matches.
    StepLists,
    /// The same of steps whose conditions compare rows with each other.
    JoinedLists,
    /// Runs that wait, row by row.
    Sequences,
    /// Numbers of runs that wait, of which none is built.
    Trends,
    /// Aggregates of windows.
    Windows,
    /// Machines of a key, given one row after the other.
    Anomalies,
    /// A function of batches.
    Processor,
}

impl Strategy {
    /// Every strategy that finds matches, in the order in which they are tried.
    pub const ALL: [Self; 8] = [
        Self::BitStreams,
        Self::ReverseAutomaton,
        Self::StartRuns,
        Self::Backtracking,
        Self::NextLists,
        Self::StepLists,
        Self::JoinedLists,
        Self::Sequences,
    ];

    /// Whether it keeps the rows that runs have come to in lists.
    pub fn is_of_lists(self) -> bool {
        matches!(self, Self::NextLists | Self::StepLists | Self::JoinedLists)
    }

    /// The name, as in explanations.
    pub fn name(self) -> &'static str {
        match self {
            Self::BitStreams => "bit streams",
            Self::ReverseAutomaton => "reverse automaton",
            Self::StartRuns => "start runs",
            Self::Backtracking => "backtracking",
            Self::NextLists => "next lists",
            Self::StepLists => "step lists",
            Self::JoinedLists => "joined lists",
            Self::Sequences => "waiting runs",
            Self::Trends => "trend vectors",
            Self::Windows => "windows",
            Self::Anomalies => "anomalies",
            Self::Processor => "processor",
        }
    }

    /// Time and space, n rows, p positions of the pattern, m rows a search reaches.
    pub fn cost(self) -> &'static str {
        match self {
            Self::BitStreams => "time O(n·p / 64) and O(p) a match; space one bit a row and condition",
            Self::ReverseAutomaton => "time O(n), or O(n·p) where matches overlap; space two bytes a row",
            Self::StartRuns => "time O(p·m) a start row; space p bits and 8 bytes a row of the longest run",
            Self::Backtracking => {
                "time exponential at worst, cut off by the step limit; space 8 bytes a row of the longest run"
            }
            Self::NextLists => {
                "time O(p) a row that a condition accepts, and O(1) a row of a match; space 4 bytes a row that a run begins at or a loop takes, 16 another that runs take"
            }
            Self::StepLists => {
                "time O(p) a row that a condition accepts, and O(1) a row of a match; space 4 to 16 bytes for each such row in the window and step that it reaches"
            }
            Self::JoinedLists => {
                "time O(1) a row by hash, O(b) by order, O(w) otherwise, b blocks of w entries in the window, for rows in the window of a row that could complete a match, and O(1) a row of a match; space some 30 bytes an entry of the window"
            }
            Self::Sequences => {
                "time O(w) a row that a condition accepts, w runs that wait for it; space some 110 bytes a run and 24 a row taken"
            }
            Self::Trends => {
                "time O(k·o) amortised a row that a condition accepts, k things that can be waited for, o that the row touches, whatever the window; space 24 bytes such a row of the window, 16·k a first row of it"
            }
            Self::Windows => {
                "time O(1) amortised a row and aggregate; space what an aggregate keeps, for each key and open window, or row of one that slides"
            }
            Self::Anomalies => "time and space those of the method, for each row and key",
            Self::Processor => "time and space those of a function that is asked once a batch",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Which strategies can run a pattern, the first preferred, and why.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Those that can. More than one where the first needs something that only the data can show.
    pub accepting: Vec<Strategy>,
    /// One sentence a strategy tried: why it was taken or not.
    pub reasons: Vec<(Strategy, String)>,
    /// The pattern's shape for bit streams, if it has one.
    pub(crate) steps: Option<Vec<Step>>,
}

impl Plan {
    /// Weighs every strategy.
    pub(crate) fn new(
        pattern: &Pattern,
        automaton: &Automaton,
        conditions: &Conditions,
        skip: &Skip,
    ) -> Self {
        let mut plan = Self { accepting: vec![], reasons: vec![], steps: None };
        let free = conditions.need_no_run();

        let steps = bit_streams::steps(pattern, &automaton.variables);
        let (accepts, reason) = if !free {
            (false, "a condition reads the run")
        } else if steps.is_none() {
            (false, "the pattern is no plain sequence of rows and greedy runs")
        } else if pattern.within.is_some() {
            (false, "WITHIN cuts runs short")
        } else if !skip.never_looks_back() {
            (false, "matches may overlap")
        } else {
            (
                true,
                "a plain sequence of rows and runs; taken if the data show every run and what follows it to exclude each other",
            )
        };
        plan.weigh(Strategy::BitStreams, accepts, reason);
        plan.steps = steps.filter(|_| accepts);

        let (accepts, reason) = if !free {
            (false, "a condition reads the run".to_owned())
        } else if automaton.positions.len() > POSITIONS_MAX {
            (false, format!("the pattern has more than {POSITIONS_MAX} places once counts are written out"))
        } else {
            (
                true,
                "no condition reads the run: what can follow a row does not depend on what came before"
                    .to_owned(),
            )
        };
        plan.weigh(Strategy::ReverseAutomaton, accepts, &reason);

        let accepts = free || follows_from_start(pattern);
        let reason = if accepts {
            "what conditions read of the run follows from the start row, so nothing is tried twice from it"
        } else {
            "a condition reads rows of a variable that depend on the way there"
        };
        plan.weigh(Strategy::StartRuns, accepts, reason);
        plan.weigh(Strategy::Backtracking, true, "takes every pattern");
        plan
    }

    fn weigh(&mut self, strategy: Strategy, accepts: bool, reason: &str) {
        if accepts {
            self.accepting.push(strategy);
        }
        self.reasons.push((strategy, reason.to_owned()));
    }

    /// The strategy that runs unless the data or an error in a condition stand against it.
    pub fn preferred(&self) -> Strategy {
        self.accepting[0]
    }
}
