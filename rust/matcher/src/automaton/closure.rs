//! Follows instructions that take no row, in order of preference.

use cepheid_ir::{Contiguity, PartitionEdge, Pattern, PatternError};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::program::{Instruction, LoopChoice, Program};
use super::{Absence, Automaton, EDGES_MAX, Guard, Next, Position, Target, Way};

/// Turns a program into an automaton.
pub(super) fn close(program: Program, pattern: &Pattern) -> Result<Automaton, PatternError> {
    let Program { variables, fenced, instructions, positions, loops, bounds, untils, .. } = program;
    let mut closure = Closure {
        instructions: &instructions,
        positions: &positions,
        variables: &variables,
        single: loops.iter().map(|entry| entry.single).collect(),
        has_absences: instructions.iter().any(|instruction| matches!(instruction, Instruction::Absent(..))),
        seen: vec![0; instructions.len() * 4],
        generation: 0,
        seen_open: HashSet::with_hasher(FixedState::with_seed(0)),
        targets: HashSet::with_hasher(FixedState::with_seed(0)),
        ways: vec![Way::default()],
        known_ways: HashMap::with_hasher(FixedState::with_seed(0)),
    };
    closure.known_ways.insert(Way::default(), 0);
    let mut start = closure.follow(0)?;
    if fenced {
        start.retain(|target| target.step != Next::Accept);
    }
    let mut edges = start.len();
    let mut follows = vec![];
    for (pc, instruction) in instructions.iter().enumerate() {
        if let Instruction::Take(position) = instruction {
            let mut follow = closure.follow(pc + 1)?;
            // A row has been taken: nothing after it is before the first row. After the last row none is left.
            follow.retain(|t| !t.at_start && (!t.at_end || t.step == Next::Accept));
            edges += follow.len();
            if edges > EDGES_MAX {
                return Err(PatternError::LimitExceeded {
                    what: "transitions, counts written out,",
                    found: edges,
                    limit: EDGES_MAX,
                });
            }
            follows.push((*position as usize, follow));
        }
    }
    let ways = closure.ways;
    let mut positions = positions;
    for (position, follow) in follows {
        positions[position].follow = follow;
    }
    debug_assert_eq!(variables.len(), pattern.root.variables().len());
    Ok(Automaton { variables, positions, start, ways, loops, bounds, untils })
}

/// What a chain of instructions has met so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Met {
    relation: Contiguity,
    absences: Vec<Absence>,
    /// Bounded parts begun since the last row.
    fresh: Vec<u32>,
    guards: Vec<Guard>,
    /// Loops of which another repetition has begun since the last row.
    repeated: Vec<u32>,
}

const AT_START: usize = 1;
const AT_END: usize = 2;

struct Closure<'a> {
    instructions: &'a [Instruction],
    positions: &'a [Position],
    variables: &'a [String],
    /// `single[l]`: whether loop `l` repeats a single event.
    single: Vec<bool>,
    has_absences: bool,
    /// `seen[pc * 4 + edges]`: the generation in which the instruction was last reached.
    seen: Vec<u32>,
    generation: u32,
    /// The same where iterations are open or something has been met, which the array has no room for.
    seen_open: HashSet<(usize, usize, Vec<u32>, Met), FixedState>,
    targets: HashSet<Target, FixedState>,
    ways: Vec<Way>,
    known_ways: HashMap<Way, u32, FixedState>,
}

impl Closure<'_> {
    fn follow(&mut self, origin: usize) -> Result<Vec<Target>, PatternError> {
        self.generation += 1;
        self.seen_open.clear();
        self.targets.clear();
        let mut found = vec![];
        // Depth first with the less preferred branch kept for later; `open`: iterations begun since the last row.
        let mut pending = vec![(origin, 0_usize, Vec::<u32>::new(), Met::default())];
        while let Some((mut pc, mut edges, mut open, mut met)) = pending.pop() {
            loop {
                // Whoever came here under fewer conditions has seen all there is to see. In a loop that is this very
                // path, one empty iteration ago.
                let plain = open.is_empty() && met == Met::default();
                let seen_before = (0..=edges).filter(|fewer| fewer & edges == *fewer).any(|fewer| {
                    if plain {
                        self.seen[pc * 4 + fewer] == self.generation
                    } else {
                        self.seen_open.contains(&(pc, fewer, open.clone(), met.clone()))
                    }
                });
                if plain {
                    self.seen[pc * 4 + edges] = self.generation;
                } else {
                    self.seen_open.insert((pc, edges, open.clone(), met.clone()));
                }
                if seen_before {
                    break;
                }
                let step = match &self.instructions[pc] {
                    Instruction::Take(position) => Next::Take(*position),
                    Instruction::Accept => Next::Accept,
                    Instruction::Split(first, second) => {
                        pending.push((*second, edges, open.clone(), met.clone()));
                        pc = *first;
                        continue;
                    }
                    Instruction::Loop(choice) => {
                        let (inside, outside) = self.branches(choice, &open, &met);
                        let (first, second) = if choice.prefers_inside {
                            ((choice.inside, inside), (choice.outside, outside))
                        } else {
                            ((choice.outside, outside), (choice.inside, inside))
                        };
                        pending.push((second.0, edges, open.clone(), second.1));
                        (pc, met) = first;
                        continue;
                    }
                    Instruction::Jump(target) => {
                        pc = *target;
                        continue;
                    }
                    Instruction::Edge(edge) => {
                        edges |= match edge {
                            PartitionEdge::Start => AT_START,
                            PartitionEdge::End => AT_END,
                        };
                        pc += 1;
                        continue;
                    }
                    Instruction::Open(fence) => {
                        open.push(*fence);
                        pc += 1;
                        continue;
                    }
                    Instruction::Close(fence) => {
                        if open.contains(fence) {
                            break;
                        }
                        pc += 1;
                        continue;
                    }
                    Instruction::Relate(contiguity) => {
                        met.relation = *contiguity;
                        pc += 1;
                        continue;
                    }
                    Instruction::Repeat(of, contiguity) => {
                        met.relation = *contiguity;
                        insert(&mut met.repeated, *of);
                        pc += 1;
                        continue;
                    }
                    Instruction::Absent(variable, for_ns) => {
                        let strict = met.relation == Contiguity::Strict;
                        insert(&mut met.absences, Absence { variable: *variable, strict, for_ns: *for_ns });
                        pc += 1;
                        continue;
                    }
                    Instruction::OpenBound(bound) => {
                        insert(&mut met.fresh, *bound);
                        pc += 1;
                        continue;
                    }
                    Instruction::CloseBound(bound) => {
                        met.fresh.retain(|fresh| fresh != bound);
                        pc += 1;
                        continue;
                    }
                };
                let way = self.way(&step, met, origin == 0)?;
                let target =
                    Target { step, at_start: edges & AT_START != 0, at_end: edges & AT_END != 0, way };
                let unconditional = Target { step, at_start: false, at_end: false, way };
                if !self.targets.contains(&unconditional) && self.targets.insert(target) {
                    found.push(target);
                }
                break;
            }
        }
        Ok(found)
    }

    /// What has been met inside a loop and behind it.
    fn branches(&self, choice: &LoopChoice, open: &[u32], met: &Met) -> (Met, Met) {
        let (mut inside, mut outside) = (met.clone(), met.clone());
        if choice.goes_on && self.has_absences {
            // An absence that the loop could be left for is in force while it goes on.
            for absence in self.open_absences(choice.outside, open, met.relation) {
                insert(&mut inside.absences, absence);
            }
        }
        if choice.guards {
            let heads = self.heads(choice.inside, open);
            insert(&mut outside.guards, Guard { of: choice.of, heads });
        }
        (inside, outside)
    }

    /// Places that may take the next row from here.
    fn heads(&self, from: usize, open: &[u32]) -> Vec<u32> {
        let mut found = vec![];
        self.explore(from, open, Contiguity::Strict, &mut |instruction, _| {
            if let Instruction::Take(position) = instruction {
                insert(&mut found, *position);
            }
        });
        found.sort_unstable();
        found
    }

    /// Open absences that can be reached from here without a row.
    fn open_absences(&self, from: usize, open: &[u32], relation: Contiguity) -> Vec<Absence> {
        let mut found = vec![];
        self.explore(from, open, relation, &mut |instruction, relation| {
            if let Instruction::Absent(variable, _) = instruction
                && relation != Contiguity::Strict
            {
                // While a loop goes on there is no last row yet to be absent after.
                insert(&mut found, Absence { variable: *variable, strict: false, for_ns: None });
            }
        });
        found
    }

    /// Visits every instruction that can be reached without taking a row, with the relation in force there. `open`:
    /// iterations begun since the last row, which cannot end without one.
    fn explore(
        &self,
        from: usize,
        open: &[u32],
        relation: Contiguity,
        visit: &mut dyn FnMut(&Instruction, Contiguity),
    ) {
        let mut seen: HashSet<(usize, Vec<u32>, Contiguity), FixedState> =
            HashSet::with_hasher(FixedState::with_seed(0));
        let mut pending = vec![(from, open.to_vec(), relation)];
        while let Some((pc, mut open, relation)) = pending.pop() {
            if !seen.insert((pc, open.clone(), relation)) {
                continue;
            }
            let instruction = &self.instructions[pc];
            visit(instruction, relation);
            match instruction {
                Instruction::Take(_) | Instruction::Accept => {}
                Instruction::Split(first, second) => {
                    pending.extend([(*first, open.clone(), relation), (*second, open, relation)]);
                }
                Instruction::Loop(choice) => {
                    pending
                        .extend([(choice.inside, open.clone(), relation), (choice.outside, open, relation)]);
                }
                Instruction::Jump(target) => pending.push((*target, open, relation)),
                Instruction::Relate(contiguity) | Instruction::Repeat(_, contiguity) => {
                    pending.push((pc + 1, open, *contiguity));
                }
                Instruction::Open(fence) => {
                    open.push(*fence);
                    pending.push((pc + 1, open, relation));
                }
                Instruction::Close(fence) if open.contains(fence) => {}
                _ => pending.push((pc + 1, open, relation)),
            }
        }
    }

    /// The way to a step, numbered.
    fn way(&mut self, step: &Next, met: Met, first: bool) -> Result<u32, PatternError> {
        let mut way = Way { relation: met.relation, absences: met.absences, ..Way::default() };
        if let Next::Take(position) = step {
            let absent = way.absences.iter().find(|absence| absence.for_ns.is_some());
            if let (Some(absence), false) = (absent, first) {
                return Err(PatternError::InvalidAbsence {
                    variable: self.variables[absence.variable as usize].clone(),
                    problem: "for_ has a meaning in the first step or the last; between two rows leave it out",
                });
            }
            let place = &self.positions[*position as usize];
            let (opens, continues) = place.bounds.iter().partition(|bound| met.fresh.contains(bound));
            (way.opens, way.continues) = (opens, continues);
            let ends = place.loops.iter().copied();
            way.ends = ends.filter(|of| !self.single[*of as usize] || met.repeated.contains(of)).collect();
            way.guards = met.guards;
            // Another repetition of what the loop stands in may lead back into it: that is no way out.
            let leads_in = |head: &u32| self.positions[*head as usize].origin == place.origin;
            way.guards.retain(|guard| !guard.heads.iter().any(leads_in));
        }
        let waits_for_the_end = *step == Next::Accept && way.absences.iter().any(|absence| !absence.strict);
        if waits_for_the_end && way.relation == Contiguity::Strict {
            // An end is related to no row: strict, written behind its absences, says nothing.
            way.relation = Contiguity::SkipTillNext;
        } else if first || *step == Next::Accept && !waits_for_the_end {
            way.relation = Contiguity::Strict;
        }
        if let Some(known) = self.known_ways.get(&way) {
            return Ok(*known);
        }
        let id = self.ways.len() as u32;
        self.ways.push(way.clone());
        self.known_ways.insert(way, id);
        Ok(id)
    }
}

fn insert<T: PartialEq>(set: &mut Vec<T>, value: T) {
    if !set.contains(&value) {
        set.push(value);
    }
}
