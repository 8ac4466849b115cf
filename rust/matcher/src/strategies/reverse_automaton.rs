//! The reverse automaton: linear time, whatever the pattern, when no condition reads the run.
//!
//! A position of the pattern is *viable* at a row if it can take the row and the rest of a match can follow. Viable
//! positions depend only on the row and on those of the next row, so one pass from right to left, by a lazily
//! determinised automaton whose states are sets of viable positions, finds them all. With them the forward search
//! never errs: at every row the first viable target, in order of preference, is part of the preferred match. There
//! is no backtracking, `((A+)+)+ B` costs what `A+ B` costs.
//!
//! Where matches overlap (`SKIP TO NEXT ROW` and the like), walking each match would still be quadratic. From any
//! position and row there is one preferred way on, so matches share their tails: a second pass from right to left
//! builds all tails as linked lists of segments, and a match is written out in time linear in its changes of label.
//!
//! - Time: O(n) after O(p²) work for each distinct state; p positions. Overlapping matches: O(n·p) at worst.
//! - Space: 2 bytes a row of the partition for states (p bits past [`STATES_MAX`] states); overlapping matches: 16
//!   bytes a row and viable position.
//! - Source: Hopcroft and Ullman for the product of sets; the two passes are those of Frisch and Cardelli, *Greedy
//!   Regular Expression Matching*, ICALP 2004.

use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::automaton::{Automaton, Next, Target};
use crate::classes::Classes;
use crate::conditions::Conditions;
use crate::error::MatchError;
use crate::masks::Masks;
use crate::match_set::{Label, MatchSet};
use crate::search::{Search, Start};
use crate::strategies::backtracking::Backtracking;
use crate::strategies::tails::Tails;

/// Most positions: the sets of what may come before each are squares of it.
pub(crate) const POSITIONS_MAX: usize = 2048;

/// Most distinct sets of viable positions that are numbered; past it every row keeps its own set.
const STATES_MAX: usize = 1 << 14;

/// Most choices that are kept: a number for each state and position.
const CHOICES_MAX: usize = 1 << 22;

/// Most words of sets that the rows of one partition may keep: 1 GiB.
const SET_WORDS_MAX: usize = 1 << 27;

/// The state after the last row of a partition.
const AT_END: u16 = 0;
/// A transition that is not known yet.
const UNKNOWN: u16 = u16::MAX;

/// Choices are positions, or one of these.
const ACCEPT: u32 = u32::MAX;
const NOTHING: u32 = u32::MAX - 1;
const NOT_CHOSEN: u32 = u32::MAX - 2;

/// No match goes on there.
const NEVER: u32 = u32::MAX;

/// Most earliest ends of one partition that are kept: 512 MiB. Past it, matches cut short are searched by start runs.
const ENDS_MAX: usize = 1 << 27;

/// A set of positions.
type Set = Box<[u64]>;

/// See the module.
pub(crate) struct ReverseAutomaton<'a> {
    automaton: &'a Automaton,
    classes: Classes<'a>,
    viability: Viability,
    sets: Vec<Set>,
    numbers: HashMap<Set, u16, FixedState>,
    transitions: Transitions,
    /// `choices[state * positions + position]`.
    choices: Vec<u32>,
    /// What the pass from right to left found of the partition's rows, and one more for its end.
    found: Found,
    partition: Range<u32>,
    tails: Option<Tails>,
    /// For matches cut off by WITHIN, the preferred one of which is another: `ends[row * positions + position]`,
    /// worked out for a partition when it is first needed.
    ends: Vec<u32>,
    /// The same where that would take too much memory.
    bounded: Option<Backtracking<'a>>,
}

/// Known steps from state to state.
enum Transitions {
    /// `to[state * width + class]`.
    Table {
        width: usize,
        to: Vec<u16>,
    },
    Map(HashMap<(u16, u32), u16, FixedState>),
}

/// Viable positions of every row of a partition.
enum Found {
    States(Vec<u16>),
    /// So many words a row.
    Sets(Vec<u64>),
}

impl<'a> ReverseAutomaton<'a> {
    /// `None` if a condition needs the run, a mask is missing, or the pattern has too many positions.
    pub(crate) fn new(
        automaton: &'a Automaton,
        conditions: &Conditions,
        masks: &'a Masks,
        overlapping: bool,
        bounded: Option<Backtracking<'a>>,
    ) -> Option<Self> {
        if automaton.positions.len() > POSITIONS_MAX {
            return None;
        }
        let classes = Classes::new(automaton, conditions, masks)?;
        let transitions = match classes.direct() {
            Some(width) => Transitions::Table { width, to: vec![] },
            None => Transitions::Map(HashMap::with_hasher(FixedState::with_seed(0))),
        };
        let viability = Viability::new(automaton);
        let at_end = viability.empty();
        let mut this = Self {
            automaton,
            classes,
            viability,
            sets: vec![],
            numbers: HashMap::with_hasher(FixedState::with_seed(0)),
            transitions,
            choices: vec![],
            found: Found::States(vec![]),
            partition: 0..0,
            tails: overlapping.then(Tails::default),
            ends: vec![],
            bounded,
        };
        this.add_state(at_end);
        Some(this)
    }

    fn add_state(&mut self, set: Set) -> u16 {
        let number = self.sets.len() as u16;
        if let Transitions::Table { width, to } = &mut self.transitions {
            to.resize(to.len() + *width, UNKNOWN);
        }
        self.choices.resize(self.choices.len() + self.automaton.positions.len(), NOT_CHOSEN);
        // The end is like no other state, not even an empty one: what may be last differs there.
        if number != AT_END {
            self.numbers.insert(set.clone(), number);
        }
        self.sets.push(set);
        number
    }

    fn has_room(&self) -> bool {
        self.sets.len() < STATES_MAX && self.choices.len() < CHOICES_MAX
    }

    /// The pass from right to left.
    fn run_back(&mut self) -> Result<(), MatchError> {
        let (first, last) = (self.partition.start as usize, self.partition.end as usize);
        let mut states = match std::mem::replace(&mut self.found, Found::Sets(vec![])) {
            Found::States(states) => states,
            Found::Sets(_) => vec![],
        };
        states.clear();
        states.resize(last - first + 1, AT_END);
        let mut state = AT_END;
        for row in (first..last).rev() {
            let class = self.classes.of(row);
            let known = match &self.transitions {
                Transitions::Table { width, to } => to[state as usize * width + class as usize],
                Transitions::Map(to) => to.get(&(state, class)).copied().unwrap_or(UNKNOWN),
            };
            state = if known != UNKNOWN {
                known
            } else {
                match self.step(state, class) {
                    Some(next) => next,
                    None => return self.run_back_by_sets(),
                }
            };
            states[row - first] = state;
        }
        self.found = Found::States(states);
        Ok(())
    }

    /// A step taken for the first time; `None` if there is no room for another state.
    #[cold]
    fn step(&mut self, from: u16, class: u32) -> Option<u16> {
        let next = self.sets[from as usize].clone();
        let set = self.viability.of_row(self.automaton, &self.classes, class, &next, from == AT_END);
        let to = match self.numbers.get(&set) {
            Some(number) => *number,
            None if self.has_room() => self.add_state(set),
            None => return None,
        };
        match &mut self.transitions {
            Transitions::Table { width, to: table } => table[from as usize * *width + class as usize] = to,
            Transitions::Map(map) => {
                map.insert((from, class), to);
            }
        }
        Some(to)
    }

    /// The same, keeping every row's set: for patterns with too many distinct ones.
    fn run_back_by_sets(&mut self) -> Result<(), MatchError> {
        let (first, last) = (self.partition.start as usize, self.partition.end as usize);
        let words = self.viability.words;
        if (last - first + 1).saturating_mul(words) > SET_WORDS_MAX {
            let limit = SET_WORDS_MAX as u64;
            return Err(MatchError::TooLarge {
                what: "words of places of the pattern in one partition",
                limit,
            });
        }
        let mut sets = vec![0_u64; (last - first + 1) * words];
        for row in (first..last).rev() {
            let class = self.classes.of(row);
            let (before, after) = sets.split_at_mut((row - first + 1) * words);
            let set =
                self.viability.of_row(self.automaton, &self.classes, class, &after[..words], row + 1 == last);
            before[(row - first) * words..].copy_from_slice(&set);
        }
        self.found = Found::Sets(sets);
        Ok(())
    }

    /// Viable positions of a row.
    fn viable(&self, row: u32) -> &[u64] {
        let index = (row - self.partition.start) as usize;
        match &self.found {
            Found::States(states) => &self.sets[states[index] as usize],
            Found::Sets(sets) => &sets[index * self.viability.words..(index + 1) * self.viability.words],
        }
    }

    /// What follows `position` when the next row is `row`.
    #[inline]
    fn choose(&mut self, position: usize, row: u32) -> u32 {
        let Found::States(states) = &self.found else {
            return self.first_viable(&self.automaton.positions[position].follow, row);
        };
        let state = states[(row - self.partition.start) as usize] as usize;
        let place = state * self.automaton.positions.len() + position;
        if self.choices[place] == NOT_CHOSEN {
            self.choices[place] = self.first_viable(&self.automaton.positions[position].follow, row);
        }
        self.choices[place]
    }

    /// What a match begins with at `row`. Not kept: it is another at the first row of a partition.
    #[inline]
    fn choose_start(&self, row: u32) -> u32 {
        self.first_viable(&self.automaton.start, row)
    }

    fn first_viable(&self, targets: &[Target], row: u32) -> u32 {
        let viable = self.viable(row);
        for target in targets {
            match target.step {
                _ if !target.is_open(row, &self.partition) => {}
                Next::Accept => return ACCEPT,
                Next::Take(position) if contains(viable, position as usize) => return position,
                Next::Take(_) => {}
            }
        }
        NOTHING
    }

    fn label(&self, position: usize) -> Label {
        let position = &self.automaton.positions[position];
        Label { variable: position.variable, excluded: position.excluded }
    }

    fn build_tails(&mut self, mut tails: Tails) -> Result<Tails, MatchError> {
        tails.clear(self.automaton.positions.len(), self.partition.len());
        let mut viable = vec![];
        for row in self.partition.clone().rev() {
            viable.clear();
            viable.extend(members(self.viable(row)));
            for position in viable.iter().copied() {
                let next = self.choose(position, row + 1);
                debug_assert_ne!(next, NOTHING, "a viable position can go on");
                tails.add(position, self.label(position), (next != ACCEPT).then_some(next as usize))?;
            }
            let start = self.choose_start(row);
            let start = (start < NOT_CHOSEN).then_some(start as usize);
            tails.finish_row((row - self.partition.start) as usize, start);
        }
        Ok(tails)
    }
}

impl Search for ReverseAutomaton<'_> {
    fn enter(&mut self, partition: Range<u32>) -> Result<(), MatchError> {
        self.partition = partition;
        self.ends.clear();
        self.run_back()?;
        if let Some(tails) = self.tails.take() {
            self.tails = Some(self.build_tails(tails)?);
        }
        Ok(())
    }

    #[inline]
    fn candidate(&mut self, from: u32, end: u32) -> u32 {
        (from..end).find(|row| self.choose_start(*row) != NOTHING).unwrap_or(end)
    }

    fn search(&mut self, start: Start<'_>, found: &mut MatchSet) -> Result<bool, MatchError> {
        if !self.ends.is_empty() && start.limit < start.partition.end {
            // Found once, earliest ends spare a walk that may turn out too long.
            return self.search_bounded(start, found);
        }
        let mut choice = self.choose_start(start.row);
        if choice == NOTHING {
            return Ok(false);
        }
        let open = found.open();
        if let Some(tails) = &self.tails {
            let index = (start.row - self.partition.start) as usize;
            if choice != ACCEPT && tails.rows(index) > start.limit - start.row {
                return self.search_bounded(start, found);
            }
            if choice != ACCEPT {
                tails.write(index, found);
            }
            return Ok(true);
        }
        let mut row = start.row;
        while choice != ACCEPT {
            if row >= start.limit {
                found.discard(open);
                return self.search_bounded(start, found);
            }
            found.push_rows(open, self.label(choice as usize), 1);
            row += 1;
            choice = self.choose(choice as usize, row);
        }
        Ok(true)
    }
}

impl ReverseAutomaton<'_> {
    /// The preferred match without WITHIN is too long. The same search again, in which a choice counts only if some
    /// match that it leads to ends in time: if the earliest does.
    #[cold]
    fn search_bounded(&mut self, start: Start<'_>, found: &mut MatchSet) -> Result<bool, MatchError> {
        let positions = self.automaton.positions.len();
        if (self.partition.len() + 1).saturating_mul(positions) > ENDS_MAX {
            let bounded =
                self.bounded.as_mut().expect("only WITHIN makes a limit short of the partition's end");
            return bounded.search(start, found);
        }
        if self.ends.is_empty() {
            self.find_ends();
        }
        let open = found.open();
        let (mut targets, mut row) = (self.automaton.start.as_slice(), start.row);
        loop {
            let index = (row - self.partition.start) as usize;
            let in_time = |target: &&Target| {
                target.is_open(row, &self.partition)
                    && match target.step {
                        Next::Accept => true,
                        Next::Take(next) => self.ends[index * positions + next as usize] <= start.limit,
                    }
            };
            match targets.iter().find(in_time).map(|target| target.step) {
                Some(Next::Accept) => return Ok(true),
                Some(Next::Take(next)) => {
                    found.push_rows(open, self.label(next as usize), 1);
                    targets = &self.automaton.positions[next as usize].follow;
                    row += 1;
                }
                None => {
                    debug_assert_eq!(found.open(), open, "what begins in time ends in time");
                    return Ok(false);
                }
            }
        }
    }

    /// For every row and position: the row after the earliest end of a match that goes on there.
    fn find_ends(&mut self) {
        let positions = self.automaton.positions.len();
        let (first, last) = (self.partition.start, self.partition.end);
        self.ends.resize((self.partition.len() + 1) * positions, NEVER);
        let mut viable = vec![];
        for row in (first..last).rev() {
            let index = (row - first) as usize;
            viable.clear();
            viable.extend(members(self.viable(row)));
            for position in viable.iter().copied() {
                let end_of = |target: &Target| match target.step {
                    Next::Accept if !target.is_open(row + 1, &self.partition) => NEVER,
                    Next::Accept => row + 1,
                    Next::Take(next) => self.ends[(index + 1) * positions + next as usize],
                };
                let end = self.automaton.positions[position].follow.iter().map(end_of).min();
                self.ends[index * positions + position] = end.unwrap_or(NEVER);
            }
        }
    }
}

/// Which positions can take a row and be followed by the rest of a match.
struct Viability {
    words: usize,
    /// `before[q]`: positions that `q` may follow.
    before: Vec<Set>,
    /// Positions that may be a match's last, at the end of the partition and elsewhere.
    last_at_end: Set,
    last_anywhere: Set,
}

impl Viability {
    fn new(automaton: &Automaton) -> Self {
        let positions = automaton.positions.len();
        let words = positions.div_ceil(64).max(1);
        let empty: Set = vec![0_u64; words].into();
        let mut this = Self {
            words,
            before: vec![empty.clone(); positions],
            last_at_end: empty.clone(),
            last_anywhere: empty,
        };
        for (position, from) in automaton.positions.iter().enumerate() {
            for target in &from.follow {
                match target.step {
                    Next::Take(next) => insert(&mut this.before[next as usize], position),
                    Next::Accept => {
                        insert(&mut this.last_at_end, position);
                        if !target.at_end {
                            insert(&mut this.last_anywhere, position);
                        }
                    }
                }
            }
        }
        this
    }

    fn empty(&self) -> Set {
        vec![0; self.words].into()
    }

    /// Viable positions of a row of `class`, given those of the next row.
    fn of_row(
        &self,
        automaton: &Automaton,
        classes: &Classes<'_>,
        class: u32,
        next: &[u64],
        at_end: bool,
    ) -> Set {
        let mut set = if at_end { self.last_at_end.clone() } else { self.last_anywhere.clone() };
        for position in members(next) {
            for (word, before) in set.iter_mut().zip(&self.before[position]) {
                *word |= before;
            }
        }
        for (index, word) in set.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                if !classes.satisfies(class, automaton.positions[index * 64 + bit].variable as usize) {
                    *word &= !(1 << bit);
                }
            }
        }
        set
    }
}

fn insert(set: &mut [u64], position: usize) {
    set[position / 64] |= 1 << (position % 64);
}

#[inline]
fn contains(set: &[u64], position: usize) -> bool {
    set[position / 64] >> (position % 64) & 1 != 0
}

fn members(set: &[u64]) -> impl Iterator<Item = usize> + '_ {
    set.iter().enumerate().flat_map(|(index, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            (left != 0).then(|| {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                index * 64 + bit
            })
        })
    })
}
