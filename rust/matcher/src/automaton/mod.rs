//! The pattern as an automaton without empty steps, its choices in order of preference.
//!
//! A pattern is first written out as a program in the manner of Thompson and Pike (*Regular Expression Search
//! Algorithm*, CACM 1968): `Take` a row, `Split` in order of preference, `Jump` ([`program`]). Then every chain of
//! instructions that takes no row is followed once, at compile time ([`closure`]): what is left are [`Position`]s, one
//! for each place in the pattern that takes a row (counts written out), each with the ordered list of what may come
//! next. Depth-first search over these lists is the standard's preferment; a target reached twice without taking a row
//! in between is kept only where it is preferred, since the second way could only repeat what the first one tried.
//!
//! Which iterations may be empty follows from how loops are laid out. In SQL (`EmptyMatches::Allowed`) the lower
//! count is written out, the last copy is what repeats, and coming back to it without having taken a row ends that
//! path. In the algebra (`EmptyMatches::Excluded`) every iteration is fenced, and one that took no row ends its path.
//!
//! What event sequences write between two rows (contiguity, absence, bounds, the ends of loops) is gathered on each chain
//! as its [`Way`]. A row pattern has only the plain one.

mod ambiguity;
mod closure;
mod program;

pub(crate) use ambiguity::ambiguous_at;

use std::ops::Range;

use cepheid_ir::{Between, Contiguity, Expr, Pattern, PatternError, Within};

/// Index of a variable, in the order of first appearance in the pattern.
pub type VariableId = u16;

/// One place in the pattern that takes a row.
#[derive(Clone, Debug)]
pub struct Position {
    /// The variable whose condition the row must satisfy.
    pub variable: VariableId,
    /// Which event of the pattern as it is written: places that repetitions have made copies of share it.
    pub origin: u32,
    /// Whether the place lies in an exclusion `{- -}`.
    pub excluded: bool,
    /// What may come next, in order of preference.
    pub follow: Vec<Target>,
    /// The loops around it that a condition ends, outermost first: indices into [`Automaton::loops`].
    pub loops: Vec<u32>,
    /// The bounded parts around it, outermost first: indices into [`Automaton::bounds`].
    pub bounds: Vec<u32>,
}

/// Something that may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// A place to take the next row at, or the end of the match.
    pub step: Next,
    /// Only before the first row of the partition.
    pub at_start: bool,
    /// Only after the last row of the partition.
    pub at_end: bool,
    /// What is written on the way to it: index into [`Automaton::ways`].
    pub way: u32,
}

impl Target {
    /// Whether the target is open when the next row is `row` of `partition` (one past its last: there is none).
    #[inline]
    pub(crate) fn is_open(&self, row: u32, partition: &Range<u32>) -> bool {
        (!self.at_start || row == partition.start) && (!self.at_end || row == partition.end)
    }
}

/// Which variables a name stands for: itself, the members of a subset, or (`None`) all of them. By [`VariableId`].
pub fn members(pattern: &Pattern, variables: &[String], name: Option<&str>) -> Vec<bool> {
    let Some(name) = name else { return vec![true; variables.len()] };
    let members = pattern.members(name);
    variables.iter().map(|variable| members.contains(&variable.as_str())).collect()
}

/// Where a target leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Take a row at this position.
    Take(u32),
    /// The match is complete.
    Accept,
}

/// What is written between a row and a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Way {
    /// May rows lie between? Of no meaning before the first row.
    pub relation: Contiguity,
    /// What must not come in between.
    pub absences: Vec<Absence>,
    /// Bounded parts that the target's row is the first of.
    pub opens: Vec<u32>,
    /// Bounded parts that the target's row is a further one of.
    pub continues: Vec<u32>,
    /// Loops whose ending condition ends the wait.
    pub ends: Vec<u32>,
    /// Loops left or passed over that, said to be greedy, would take the row rather than have it passed over.
    pub guards: Vec<Guard>,
}

/// An absence in force on a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Absence {
    /// The variable whose condition is not to be satisfied.
    pub variable: VariableId,
    /// Only the very next row is asked.
    pub strict: bool,
    /// Before the first row, or after the last: for how long, in nanoseconds.
    pub for_ns: Option<i64>,
}

/// See [`Way::guards`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guard {
    /// The loop.
    pub of: u32,
    /// The places that would take its next row.
    pub heads: Vec<u32>,
}

/// A repetition that event sequences say more of than its counts.
#[derive(Clone, Debug)]
pub struct Loop {
    /// Its ending condition: index into [`Automaton::untils`].
    pub until: Option<usize>,
    /// Whether a single event is repeated, rather than a group.
    pub single: bool,
}

/// A bounded part.
#[derive(Clone, Copy, Debug)]
pub struct PartBound {
    /// The bound.
    pub within: Within,
    /// What is measured.
    pub between: Between,
    /// Whether the part is a single event: its neighbour is then the row before it in the run.
    pub single: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Automaton {
    /// Names of the variables, those of absent events too.
    pub variables: Vec<String>,
    /// Every place that takes a row.
    pub positions: Vec<Position>,
    /// What may come first.
    pub start: Vec<Target>,
    /// What is written between rows; the first is the plain way of row patterns.
    pub ways: Vec<Way>,
    /// Repetitions that end by a condition or are guarded.
    pub loops: Vec<Loop>,
    /// Bounded parts.
    pub bounds: Vec<PartBound>,
    /// Conditions that end loops.
    pub untils: Vec<Expr>,
}

/// Most entries of all follow lists together.
const EDGES_MAX: usize = 4_000_000;

impl Automaton {
    /// Writes the pattern out.
    ///
    /// Cost: O(s + e), s single-row steps with counts written out, e entries of the follow lists (s² at worst, when
    /// many optional parts stand in a row).
    ///
    /// # Errors
    /// [`PatternError::InvalidAbsence`] for one with `for_` between rows, [`PatternError::LimitExceeded`].
    pub fn compile(pattern: &Pattern) -> Result<Self, PatternError> {
        let program = program::Program::write(pattern)?;
        closure::close(program, pattern)
    }

    /// Whether a search may begin with an empty match, somewhere.
    pub fn accepts_empty(&self) -> bool {
        self.start.iter().any(|target| target.step == Next::Accept)
    }

    /// Whether nothing is written between rows: what SQL's row patterns can say.
    pub fn is_row_pattern(&self) -> bool {
        self.ways.len() == 1 && self.untils.is_empty() && self.bounds.is_empty()
    }
}
