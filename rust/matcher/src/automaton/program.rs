//! A pattern written out as instructions.

use cepheid_ir::{
    Contiguity, EmptyMatches, Expr, PartitionEdge, Pattern, PatternError, PatternNode, Quantifier, Selection,
    limits,
};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{Loop, PartBound, Position, VariableId};

/// One instruction.
#[derive(Debug)]
pub(super) enum Instruction {
    Take(u32),
    /// Go on here or there, the first preferred.
    Split(usize, usize),
    /// Repeat the loop's part once (more), or go on behind it.
    Loop(LoopChoice),
    Jump(usize),
    Edge(PartitionEdge),
    /// An iteration begins that must take a row.
    Open(u32),
    /// It ends.
    Close(u32),
    /// The relation to the next row.
    Relate(Contiguity),
    /// Another repetition of a loop begins.
    Repeat(u32, Contiguity),
    /// An event that must not come.
    Absent(VariableId, Option<i64>),
    /// A bounded part begins.
    OpenBound(u32),
    /// It ends.
    CloseBound(u32),
    Accept,
}

/// See [`Instruction::Loop`].
#[derive(Clone, Copy, Debug)]
pub(super) struct LoopChoice {
    pub(super) inside: usize,
    pub(super) outside: usize,
    pub(super) prefers_inside: bool,
    /// The part has been repeated before: this is the loop going on, not its first repetition.
    pub(super) goes_on: bool,
    /// Leaving or passing it over is guarded.
    pub(super) guards: bool,
    pub(super) of: u32,
}

/// See the module.
pub(super) struct Program {
    pub(super) variables: Vec<String>,
    pub(super) fenced: bool,
    pub(super) instructions: Vec<Instruction>,
    pub(super) positions: Vec<Position>,
    pub(super) loops: Vec<Loop>,
    pub(super) bounds: Vec<PartBound>,
    pub(super) untils: Vec<Expr>,
    /// Whether anything is written between rows, so that relations have to be kept track of.
    relaxed: bool,
    all: bool,
    excluded: bool,
    /// Events as they are written, numbered.
    origins: HashMap<*const PatternNode, u32, FixedState>,
    fences: u32,
    /// Loops with an ending condition, and bounded parts, around the part at hand.
    loops_around: Vec<u32>,
    bounds_around: Vec<u32>,
}

impl Program {
    /// Writes a pattern out.
    pub(super) fn write(pattern: &Pattern) -> Result<Self, PatternError> {
        let mut program = Self {
            variables: pattern.root.variables().into_iter().map(str::to_owned).collect(),
            fenced: pattern.empty_matches == EmptyMatches::Excluded,
            instructions: vec![],
            positions: vec![],
            loops: vec![],
            bounds: vec![],
            untils: vec![],
            relaxed: says_more_than_a_row_pattern(&pattern.root),
            all: pattern.selection == Selection::All,
            excluded: false,
            origins: HashMap::with_hasher(FixedState::with_seed(0)),
            fences: 0,
            loops_around: vec![],
            bounds_around: vec![],
        };
        program.node(&pattern.root)?;
        program.instructions.push(Instruction::Accept);
        Ok(program)
    }

    fn variable(&self, name: &str) -> VariableId {
        let found = self.variables.iter().position(|variable| variable == name);
        found.expect("variables() lists every name") as VariableId
    }

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
                let position = self.positions.len() as u32;
                let origins = self.origins.len() as u32;
                let origin = *self.origins.entry(std::ptr::from_ref(node)).or_insert(origins);
                self.positions.push(Position {
                    variable: self.variable(name),
                    origin,
                    excluded: self.excluded,
                    follow: vec![],
                    loops: self.loops_around.clone(),
                    bounds: self.bounds_around.clone(),
                });
                self.instructions.push(Instruction::Take(position));
            }
            PatternNode::Sequence(steps) => {
                for (place, step) in steps.iter().enumerate() {
                    if place > 0 {
                        self.relate(step.contiguity);
                    }
                    self.node(&step.node)?;
                }
            }
            PatternNode::Alternation(parts) => {
                let parts: Vec<Vec<&PatternNode>> = parts.iter().map(|part| vec![part]).collect();
                self.alternatives(&parts)?;
            }
            PatternNode::Permute { parts, contiguity: Contiguity::Strict } => {
                self.alternatives(&permutations(parts))?
            }
            PatternNode::Permute { parts, contiguity } => self.any_order(parts, *contiguity)?,
            PatternNode::Quantified { node, quantifier } => self.quantified(node, quantifier)?,
            PatternNode::Absent { variable, for_ns } => {
                let variable = self.variable(variable);
                self.instructions.push(Instruction::Absent(variable, *for_ns));
            }
            PatternNode::Bounded { node, within, between } => {
                let bound = self.bounds.len() as u32;
                self.bounds.push(PartBound { within: *within, between: *between, single: is_single(node) });
                self.bounds_around.push(bound);
                self.instructions.push(Instruction::OpenBound(bound));
                self.node(node)?;
                self.instructions.push(Instruction::CloseBound(bound));
                self.bounds_around.pop();
            }
            PatternNode::Exclusion(node) => {
                let outside = std::mem::replace(&mut self.excluded, true);
                self.node(node)?;
                self.excluded = outside;
            }
            PatternNode::Anchor(edge) => self.instructions.push(Instruction::Edge(*edge)),
            PatternNode::Empty => {}
        }
        Ok(())
    }

    /// Parts in any order, with gaps: after each of them a run waits for every one that is left, so that ways which
    /// differ only in the order of what is behind them go on as one.
    fn any_order(&mut self, parts: &[PatternNode], contiguity: Contiguity) -> Result<(), PatternError> {
        let all = (1_usize << parts.len()) - 1;
        // `entries[done]`: where the choice stands that is left when the parts in the set `done` are behind.
        let mut entries = Vec::with_capacity(all + 1);
        let mut exits = vec![];
        for done in 0..all {
            entries.push(self.instructions.len());
            let left: Vec<usize> = (0..parts.len()).filter(|part| done & (1 << part) == 0).collect();
            for (place, part) in left.iter().enumerate() {
                let split = (place + 1 < left.len()).then(|| self.reserve());
                self.node(&parts[*part])?;
                let done = done | 1 << part;
                if done != all {
                    self.relate(contiguity);
                }
                exits.push((self.reserve(), done));
                if let Some(split) = split {
                    self.instructions[split] = Instruction::Split(split + 1, self.instructions.len());
                }
            }
        }
        entries.push(self.instructions.len());
        for (exit, done) in exits {
            self.instructions[exit] = Instruction::Jump(entries[done]);
        }
        Ok(())
    }

    /// Alternatives, each a strict sequence of parts, the earlier preferred.
    fn alternatives(&mut self, alternatives: &[Vec<&PatternNode>]) -> Result<(), PatternError> {
        let mut exits = vec![];
        for (index, parts) in alternatives.iter().enumerate() {
            let split = (index + 1 < alternatives.len()).then(|| self.reserve());
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    self.relate(Contiguity::Strict);
                }
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

    fn relate(&mut self, contiguity: Contiguity) {
        if self.relaxed {
            self.instructions.push(Instruction::Relate(contiguity));
        }
    }

    fn quantified(&mut self, node: &PatternNode, quantifier: &Quantifier) -> Result<(), PatternError> {
        let of = self.loops.len() as u32;
        let until = quantifier.until.as_deref().map(|condition| {
            self.untils.push(condition.clone());
            self.untils.len() - 1
        });
        self.loops.push(Loop { until, single: is_single(node) });
        if until.is_some() {
            self.loops_around.push(of);
        }
        let choice = LoopChoice {
            inside: 0,
            outside: 0,
            prefers_inside: quantifier.is_greedy(),
            goes_on: false,
            guards: self.all && quantifier.greedy == Some(true),
            of,
        };
        match quantifier.max {
            Some(max) => self.bounded(node, quantifier.min, max, choice, quantifier.contiguity)?,
            None => self.unbounded(node, quantifier.min, choice, quantifier.contiguity)?,
        }
        if until.is_some() {
            self.loops_around.pop();
        }
        Ok(())
    }

    fn bounded(
        &mut self,
        node: &PatternNode,
        min: u32,
        max: u32,
        choice: LoopChoice,
        contiguity: Contiguity,
    ) -> Result<(), PatternError> {
        let mut splits = vec![];
        for copy in 0..max {
            if copy >= min {
                splits.push((self.reserve(), copy > 0));
            }
            if copy > 0 {
                self.repeat(choice.of, contiguity);
            }
            self.iteration(node)?;
        }
        let outside = self.instructions.len();
        for (split, goes_on) in splits {
            let choice = LoopChoice { inside: split + 1, outside, goes_on, ..choice };
            self.instructions[split] = Instruction::Loop(choice);
        }
        Ok(())
    }

    fn unbounded(
        &mut self,
        node: &PatternNode,
        min: u32,
        choice: LoopChoice,
        contiguity: Contiguity,
    ) -> Result<(), PatternError> {
        let pass_over = (min == 0).then(|| self.reserve());
        let mut again = self.instructions.len();
        for copy in 0..min.max(1) {
            if copy > 0 {
                self.repeat(choice.of, contiguity);
            }
            again = self.instructions.len();
            self.iteration(node)?;
        }
        let split = self.reserve();
        let inside = if self.relaxed {
            self.repeat(choice.of, contiguity);
            self.instructions.push(Instruction::Jump(again));
            split + 1
        } else {
            again
        };
        let outside = self.instructions.len();
        self.instructions[split] = Instruction::Loop(LoopChoice { inside, outside, goes_on: true, ..choice });
        if let Some(split) = pass_over {
            let choice = LoopChoice { inside: split + 1, outside, ..choice };
            self.instructions[split] = Instruction::Loop(choice);
        }
        Ok(())
    }

    fn repeat(&mut self, of: u32, contiguity: Contiguity) {
        if self.relaxed {
            self.instructions.push(Instruction::Repeat(of, contiguity));
        }
    }

    /// A place for a jump whose target is not known yet.
    fn reserve(&mut self) -> usize {
        self.instructions.push(Instruction::Jump(usize::MAX));
        self.instructions.len() - 1
    }
}

/// Whether the part takes one row at a time: a single event, under bounds of its own or optional.
fn is_single(node: &PatternNode) -> bool {
    match node {
        PatternNode::Variable(_) => true,
        PatternNode::Bounded { node, .. } | PatternNode::Exclusion(node) => is_single(node),
        PatternNode::Quantified { node, quantifier } => quantifier.max == Some(1) && is_single(node),
        _ => false,
    }
}

fn says_more_than_a_row_pattern(node: &PatternNode) -> bool {
    let mut more = false;
    node.walk(&mut |node| {
        more |= match node {
            PatternNode::Absent { .. } | PatternNode::Bounded { .. } => true,
            PatternNode::Sequence(steps) => steps.iter().any(|step| step.contiguity != Contiguity::Strict),
            PatternNode::Permute { contiguity, .. } => *contiguity != Contiguity::Strict,
            PatternNode::Quantified { quantifier, .. } => {
                quantifier.contiguity != Contiguity::Strict || quantifier.until.is_some()
            }
            _ => false,
        }
    });
    more
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
