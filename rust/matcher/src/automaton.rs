//! The row pattern as an automaton without empty steps, its choices in order of preference.
//!
//! A pattern is first written out as a program in the manner of Thompson and Pike (*Regular Expression Search
//! Algorithm*, CACM 1968): `Take` a row, `Split` in order of preference, `Jump`. Then every chain of instructions
//! that takes no row is followed once, at compile time: what is left are [`Position`]s, one for each place in the
//! pattern that takes a row (counts written out), each with the ordered list of what may come next. Depth-first
//! search over these lists is the standard's preferment; a target reached twice without taking a row in between is
//! kept only where it is preferred, since the second way could only repeat what the first one tried.
//!
//! Which iterations may be empty follows from how loops are laid out. In SQL (`EmptyMatches::Allowed`) the lower
//! count is written out, the last copy is what repeats, and coming back to it without having taken a row ends that
//! path. In the algebra (`EmptyMatches::Excluded`) every iteration is fenced, and one that took no row ends its path.

use std::ops::Range;

use cepheid_ir::{Contiguity, EmptyMatches, PartitionEdge, Pattern, PatternError, PatternNode, limits};
use foldhash::fast::FixedState;
use hashbrown::HashSet;

/// Index of a variable, in the order of first appearance in the pattern.
pub type VariableId = u16;

/// One place in the pattern that takes a row.
#[derive(Clone, Debug)]
pub struct Position {
    /// The variable whose condition the row must satisfy.
    pub variable: VariableId,
    /// Whether the place lies in an exclusion `{- -}`.
    pub excluded: bool,
    /// What may come next, in order of preference.
    pub follow: Vec<Target>,
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

/// See the module.
#[derive(Clone, Debug)]
pub struct Automaton {
    /// Names of the variables.
    pub variables: Vec<String>,
    /// Every place that takes a row.
    pub positions: Vec<Position>,
    /// What may come first.
    pub start: Vec<Target>,
}

/// Most entries of all follow lists together.
const EDGES_MAX: usize = 4_000_000;

#[derive(Debug)]
enum Instruction {
    Take(u32),
    /// Go on here or there, the first preferred.
    Split(usize, usize),
    Jump(usize),
    Edge(PartitionEdge),
    /// An iteration begins that must take a row.
    Open(u32),
    /// It ends.
    Close(u32),
    Accept,
}

impl Automaton {
    /// Writes the pattern out.
    ///
    /// Cost: O(s + e), s single-row steps with counts written out, e entries of the follow lists (s² at worst, when
    /// many optional parts stand in a row).
    ///
    /// # Errors
    /// [`PatternError::Unsupported`] for contiguity other than strict, [`PatternError::LimitExceeded`].
    pub fn compile(pattern: &Pattern) -> Result<Self, PatternError> {
        let variables: Vec<String> = pattern.root.variables().into_iter().map(str::to_owned).collect();
        let mut program = Program {
            variables: &variables,
            fenced: pattern.empty_matches == EmptyMatches::Excluded,
            excluded: false,
            instructions: vec![],
            positions: vec![],
            fences: 0,
        };
        program.node(&pattern.root)?;
        program.instructions.push(Instruction::Accept);
        let Program { instructions, mut positions, fenced, .. } = program;

        let mut closure = Closure::new(&instructions);
        let mut start = closure.follow(0);
        if fenced {
            start.retain(|target| target.step != Next::Accept);
        }
        let mut edges = start.len();
        for (pc, instruction) in instructions.iter().enumerate() {
            if let Instruction::Take(position) = instruction {
                let mut follow = closure.follow(pc + 1);
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
                positions[*position as usize].follow = follow;
            }
        }
        Ok(Self { variables, positions, start })
    }

    /// Whether a search may begin with an empty match, somewhere.
    pub fn accepts_empty(&self) -> bool {
        self.start.iter().any(|target| target.step == Next::Accept)
    }
}

struct Program<'a> {
    variables: &'a [String],
    fenced: bool,
    excluded: bool,
    instructions: Vec<Instruction>,
    positions: Vec<Position>,
    fences: u32,
}

impl Program<'_> {
    fn node(&mut self, node: &PatternNode) -> Result<(), PatternError> {
        if self.instructions.len() > limits::STEPS_MAX * 4 {
            return Err(PatternError::LimitExceeded {
                what: "instructions, counts written out,",
                found: self.instructions.len(),
                limit: limits::STEPS_MAX * 4,
            });
        }
        match node {
            PatternNode::Variable(name) => {
                let variable =
                    self.variables.iter().position(|v| v == name).expect("variables() lists every name");
                let position = self.positions.len() as u32;
                self.positions.push(Position {
                    variable: variable as VariableId,
                    excluded: self.excluded,
                    follow: vec![],
                });
                self.instructions.push(Instruction::Take(position));
            }
            PatternNode::Sequence(steps) => {
                for step in steps {
                    only_strict(step.contiguity)?;
                    self.node(&step.node)?;
                }
            }
            PatternNode::Alternation(parts) => {
                let parts: Vec<Vec<&PatternNode>> = parts.iter().map(|part| vec![part]).collect();
                self.alternatives(&parts)?;
            }
            PatternNode::Permute { parts, contiguity } => {
                only_strict(*contiguity)?;
                self.alternatives(&permutations(parts))?;
            }
            PatternNode::Quantified { node, quantifier } => {
                only_strict(quantifier.contiguity)?;
                match quantifier.max {
                    Some(max) => self.bounded(node, quantifier.min, max, quantifier.is_greedy())?,
                    None => self.unbounded(node, quantifier.min, quantifier.is_greedy())?,
                }
            }
            PatternNode::Exclusion(node) => {
                let outside = std::mem::replace(&mut self.excluded, true);
                self.node(node)?;
                self.excluded = outside;
            }
            PatternNode::Anchor(edge) => self.instructions.push(Instruction::Edge(*edge)),
            PatternNode::Absent { .. } => return Err(unsupported("absent()")),
            PatternNode::Bounded { .. } => return Err(unsupported("within() on a part")),
            PatternNode::Empty => {}
        }
        Ok(())
    }

    /// Alternatives, each a sequence of parts, the earlier preferred.
    fn alternatives(&mut self, alternatives: &[Vec<&PatternNode>]) -> Result<(), PatternError> {
        let mut exits = vec![];
        for (index, parts) in alternatives.iter().enumerate() {
            let split = (index + 1 < alternatives.len()).then(|| self.reserve());
            for part in parts {
                self.node(part)?;
            }
            if let Some(split) = split {
                exits.push(self.reserve());
                self.instructions[split] = Instruction::Split(split + 1, self.instructions.len());
            }
        }
        let end = self.instructions.len();
        for exit in exits {
            self.instructions[exit] = Instruction::Jump(end);
        }
        Ok(())
    }

    fn iteration(&mut self, node: &PatternNode) -> Result<(), PatternError> {
        if !self.fenced {
            return self.node(node);
        }
        let fence = self.fences;
        self.fences += 1;
        self.instructions.push(Instruction::Open(fence));
        self.node(node)?;
        self.instructions.push(Instruction::Close(fence));
        Ok(())
    }

    fn bounded(&mut self, node: &PatternNode, min: u32, max: u32, greedy: bool) -> Result<(), PatternError> {
        for _ in 0..min {
            self.iteration(node)?;
        }
        let mut splits = vec![];
        for _ in min..max {
            splits.push(self.reserve());
            self.iteration(node)?;
        }
        let end = self.instructions.len();
        for split in splits {
            self.instructions[split] = preferring(greedy, split + 1, end);
        }
        Ok(())
    }

    fn unbounded(&mut self, node: &PatternNode, min: u32, greedy: bool) -> Result<(), PatternError> {
        let pass_over = (min == 0).then(|| self.reserve());
        let mut again = self.instructions.len();
        for _ in 0..min.max(1) {
            again = self.instructions.len();
            self.iteration(node)?;
        }
        let end = self.instructions.len() + 1;
        self.instructions.push(preferring(greedy, again, end));
        if let Some(split) = pass_over {
            self.instructions[split] = preferring(greedy, split + 1, end);
        }
        Ok(())
    }

    /// A place for a jump whose target is not known yet.
    fn reserve(&mut self) -> usize {
        self.instructions.push(Instruction::Jump(usize::MAX));
        self.instructions.len() - 1
    }
}

fn preferring(greedy: bool, inside: usize, outside: usize) -> Instruction {
    if greedy { Instruction::Split(inside, outside) } else { Instruction::Split(outside, inside) }
}

fn only_strict(contiguity: Contiguity) -> Result<(), PatternError> {
    match contiguity {
        Contiguity::Strict => Ok(()),
        Contiguity::SkipTillNext | Contiguity::SkipTillAny => Err(PatternError::Unsupported {
            construct: "contiguity other than strict (`>>`, then, then_any, `->`, `->>`)".into(),
            hint: "write next() or contiguity=\"strict\"".into(),
        }),
    }
}

fn unsupported(construct: &str) -> PatternError {
    PatternError::Unsupported { construct: construct.into(), hint: "leave it out".into() }
}

/// Every order of the parts, in lexicographic order of their places.
fn permutations(parts: &[PatternNode]) -> Vec<Vec<&PatternNode>> {
    fn extend<'a>(parts: &'a [PatternNode], chosen: &mut Vec<usize>, found: &mut Vec<Vec<&'a PatternNode>>) {
        if chosen.len() == parts.len() {
            found.push(chosen.iter().map(|part| &parts[*part]).collect());
            return;
        }
        for part in 0..parts.len() {
            if !chosen.contains(&part) {
                chosen.push(part);
                extend(parts, chosen, found);
                chosen.pop();
            }
        }
    }
    let mut found = vec![];
    extend(parts, &mut vec![], &mut found);
    found
}

/// Follows instructions that take no row, in order of preference.
struct Closure<'a> {
    instructions: &'a [Instruction],
    /// `seen[pc * 4 + edges]`: the generation in which the instruction was last reached.
    seen: Vec<u32>,
    generation: u32,
    /// The same where iterations are open, which the array has no room for.
    seen_open: HashSet<(usize, usize, Vec<u32>), FixedState>,
    targets: HashSet<Target, FixedState>,
}

impl<'a> Closure<'a> {
    fn new(instructions: &'a [Instruction]) -> Self {
        Self {
            instructions,
            seen: vec![0; instructions.len() * 4],
            generation: 0,
            seen_open: HashSet::with_hasher(FixedState::with_seed(0)),
            targets: HashSet::with_hasher(FixedState::with_seed(0)),
        }
    }

    fn follow(&mut self, pc: usize) -> Vec<Target> {
        const AT_START: usize = 1;
        const AT_END: usize = 2;
        self.generation += 1;
        self.seen_open.clear();
        self.targets.clear();
        let mut found = vec![];
        // Depth first with the less preferred branch kept for later; `open`: iterations begun since the last row.
        let mut pending = vec![(pc, 0_usize, Vec::<u32>::new())];
        while let Some((mut pc, mut edges, mut open)) = pending.pop() {
            loop {
                // Whoever came here under fewer conditions has seen all there is to see. In a loop that is this very
                // path, one empty iteration ago.
                let seen_before = (0..=edges).filter(|fewer| fewer & edges == *fewer).any(|fewer| {
                    if open.is_empty() {
                        self.seen[pc * 4 + fewer] == self.generation
                    } else {
                        self.seen_open.contains(&(pc, fewer, open.clone()))
                    }
                });
                if open.is_empty() {
                    self.seen[pc * 4 + edges] = self.generation;
                } else {
                    self.seen_open.insert((pc, edges, open.clone()));
                }
                if seen_before {
                    break;
                }
                let step = match &self.instructions[pc] {
                    Instruction::Take(position) => Next::Take(*position),
                    Instruction::Accept => Next::Accept,
                    Instruction::Split(first, second) => {
                        pending.push((*second, edges, open.clone()));
                        pc = *first;
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
                };
                let target = Target { step, at_start: edges & AT_START != 0, at_end: edges & AT_END != 0 };
                let unconditional = Target { step, at_start: false, at_end: false };
                if !self.targets.contains(&unconditional) && self.targets.insert(target) {
                    found.push(target);
                }
                break;
            }
        }
        found
    }
}
