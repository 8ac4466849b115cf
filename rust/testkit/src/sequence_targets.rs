//! What may come after a row taken at some place: the ordered list of targets, derived from what remains of the pattern.
//!
//! What remains is a list of [`Frame`]s. Deriving walks it until it meets a variable, which is a target that takes
//! the next row, or the end, and notes what is written on the way.

use std::rc::Rc;

use cepheid_ir::{
    Between, Contiguity, Expr, PartitionEdge, Pattern, PatternNode, Quantifier, Selection, Within,
};

use crate::reference::{ReferenceError, permutations};

/// What remains to be matched, nearest first.
pub(crate) type Rest<'a> = Option<Rc<Link<'a>>>;

pub(crate) struct Link<'a> {
    frame: Frame<'a>,
    next: Rest<'a>,
}

/// One thing that remains.
#[derive(Clone)]
enum Frame<'a> {
    Part(&'a PatternNode),
    /// The relation written here.
    Relation(Contiguity),
    /// Those of the parts whose ordinals are left, in any order.
    AnyOrder {
        parts: &'a [PatternNode],
        left: Vec<usize>,
        contiguity: Contiguity,
    },
    /// A repetition of a loop ends; `done` are complete with it, and it began when the run had `rows_before` rows.
    RepetitionEnd {
        node: &'a PatternNode,
        quantifier: &'a Quantifier,
        done: u32,
        rows_before: usize,
    },
    /// A bounded part ends.
    BoundEnd,
}

/// A part that a place stands in.
#[derive(Clone)]
pub(crate) enum Scope<'a> {
    /// A bounded part: where this repetition of it began, and its last row so far, as positions in the partition.
    Bound {
        within: Within,
        between: Between,
        /// Whether the part is a single event, whose neighbour is the row accepted before it in the run.
        single: bool,
        first: Option<usize>,
        last: Option<usize>,
    },
    /// A repetition of a loop that says `until`.
    Until { condition: &'a Expr, group: bool, going_on: bool },
    /// A repetition of another loop.
    Loop,
}

/// An absent event on the way to a target.
#[derive(Clone)]
pub(crate) struct Absence<'a> {
    pub(crate) variable: &'a str,
    pub(crate) strict: bool,
    pub(crate) for_ns: Option<i64>,
}

/// A place that would have taken the next row of a greedy loop.
#[derive(Clone)]
pub(crate) struct Guard<'a> {
    pub(crate) variable: &'a str,
    /// The conditions of loops around the place: a row that satisfies one does not fit it.
    pub(crate) untils: Vec<&'a Expr>,
    /// The `until` of the greedy loop itself.
    pub(crate) lifted_by: Option<&'a Expr>,
}

/// What may come next.
#[derive(Clone)]
pub(crate) struct Target<'a> {
    /// The variable that takes the row; `None`: the end.
    pub(crate) variable: Option<&'a str>,
    pub(crate) relation: Contiguity,
    pub(crate) absences: Vec<Absence<'a>>,
    pub(crate) guards: Vec<Guard<'a>>,
    pub(crate) scopes: Vec<Scope<'a>>,
    /// The row must be the first of its partition.
    pub(crate) at_start: bool,
    /// What remains after it.
    pub(crate) rest: Rest<'a>,
}

/// What is written between the last row and the place reached so far.
#[derive(Clone)]
struct Way<'a> {
    relation: Contiguity,
    absences: Vec<Absence<'a>>,
    guards: Vec<Guard<'a>>,
    scopes: Vec<Scope<'a>>,
    at_start: bool,
}

/// The whole pattern, before any row.
pub(crate) fn whole(pattern: &Pattern) -> Rest<'_> {
    push(Frame::Part(&pattern.root), None)
}

/// The targets of a run that has taken `rows_taken` rows, stands in `scopes` and still has `rest` before it, in order of
/// preference.
pub(crate) fn targets<'a>(
    pattern: &'a Pattern,
    rest: &Rest<'a>,
    scopes: Vec<Scope<'a>>,
    rows_taken: usize,
) -> Result<Vec<Target<'a>>, ReferenceError> {
    let way = Way { relation: Contiguity::Strict, absences: vec![], guards: vec![], scopes, at_start: false };
    let mut found = vec![];
    Derivation { selection: pattern.selection, rows_taken }.derive(rest, way, &mut found)?;
    // The empty match is no match.
    found.retain(|target| rows_taken > 0 || target.variable.is_some());
    Ok(found)
}

fn push<'a>(frame: Frame<'a>, next: Rest<'a>) -> Rest<'a> {
    Some(Rc::new(Link { frame, next }))
}

struct Derivation {
    selection: Selection,
    rows_taken: usize,
}

impl Derivation {
    fn derive<'a>(
        &self,
        rest: &Rest<'a>,
        mut way: Way<'a>,
        found: &mut Vec<Target<'a>>,
    ) -> Result<(), ReferenceError> {
        let Some(link) = rest else {
            found.push(way.target(None, None));
            return Ok(());
        };
        let next = &link.next;
        match &link.frame {
            Frame::Relation(relation) => {
                way.relation = *relation;
                self.derive(next, way, found)
            }
            Frame::BoundEnd => {
                way.scopes.pop();
                self.derive(next, way, found)
            }
            Frame::RepetitionEnd { node, quantifier, done, rows_before } => {
                // Every iteration takes at least one row.
                if *rows_before == self.rows_taken {
                    return Ok(());
                }
                way.scopes.pop();
                self.repeat(node, quantifier, *done, next, way, found)
            }
            Frame::AnyOrder { parts, left, contiguity } => {
                for &chosen in left {
                    let others: Vec<usize> = left.iter().copied().filter(|&other| other != chosen).collect();
                    let after = if others.is_empty() {
                        next.clone()
                    } else {
                        let others = Frame::AnyOrder { parts, left: others, contiguity: *contiguity };
                        push(Frame::Relation(*contiguity), push(others, next.clone()))
                    };
                    self.derive(&push(Frame::Part(&parts[chosen]), after), way.clone(), found)?;
                }
                Ok(())
            }
            Frame::Part(node) => self.part(node, next, way, found),
        }
    }

    fn part<'a>(
        &self,
        node: &'a PatternNode,
        next: &Rest<'a>,
        mut way: Way<'a>,
        found: &mut Vec<Target<'a>>,
    ) -> Result<(), ReferenceError> {
        match node {
            PatternNode::Variable(variable) => {
                found.push(way.target(Some(variable), next.clone()));
                Ok(())
            }
            PatternNode::Empty => self.derive(next, way, found),
            PatternNode::Absent { variable, for_ns } => {
                let strict = way.relation == Contiguity::Strict;
                way.absences.push(Absence { variable, strict, for_ns: *for_ns });
                self.derive(next, way, found)
            }
            PatternNode::Sequence(steps) => {
                let mut rest = next.clone();
                for (place, step) in steps.iter().enumerate().rev() {
                    rest = push(Frame::Part(&step.node), rest);
                    // The relation to the first step is that to the sequence, written before it.
                    if place > 0 {
                        rest = push(Frame::Relation(step.contiguity), rest);
                    }
                }
                self.derive(&rest, way, found)
            }
            PatternNode::Alternation(parts) => {
                for part in parts {
                    self.derive(&push(Frame::Part(part), next.clone()), way.clone(), found)?;
                }
                Ok(())
            }
            PatternNode::Permute { parts, contiguity: Contiguity::Strict } => {
                // As in SQL, every order is an alternative of its own.
                for order in permutations(parts.len()) {
                    let mut rest = next.clone();
                    for (place, &part) in order.iter().enumerate().rev() {
                        rest = push(Frame::Part(&parts[part]), rest);
                        if place > 0 {
                            rest = push(Frame::Relation(Contiguity::Strict), rest);
                        }
                    }
                    self.derive(&rest, way.clone(), found)?;
                }
                Ok(())
            }
            PatternNode::Permute { parts, contiguity } => {
                let left = (0..parts.len()).collect();
                let any = Frame::AnyOrder { parts, left, contiguity: *contiguity };
                self.derive(&push(any, next.clone()), way, found)
            }
            PatternNode::Exclusion(inner) => self.derive(&push(Frame::Part(inner), next.clone()), way, found),
            PatternNode::Bounded { node, within, between } => {
                let single = is_single_event(node);
                way.scopes.push(Scope::Bound {
                    within: *within,
                    between: *between,
                    single,
                    first: None,
                    last: None,
                });
                let rest = push(Frame::Part(node), push(Frame::BoundEnd, next.clone()));
                self.derive(&rest, way, found)
            }
            PatternNode::Quantified { node, quantifier } => {
                self.repeat(node, quantifier, 0, next, way, found)
            }
            PatternNode::Anchor(PartitionEdge::Start) if self.rows_taken > 0 => Ok(()),
            PatternNode::Anchor(PartitionEdge::Start) => {
                way.at_start = true;
                self.derive(next, way, found)
            }
            PatternNode::Anchor(PartitionEdge::End) => {
                Err(ReferenceError::Unsupported("the end of a partition in event sequences".into()))
            }
        }
    }

    /// `done` repetitions are behind: another one, or leaving the loop.
    fn repeat<'a>(
        &self,
        node: &'a PatternNode,
        quantifier: &'a Quantifier,
        done: u32,
        next: &Rest<'a>,
        way: Way<'a>,
        found: &mut Vec<Target<'a>>,
    ) -> Result<(), ReferenceError> {
        let (mut another, mut leaving) = (vec![], vec![]);
        if quantifier.max.is_none_or(|max| done < max) {
            let mut way = way.clone();
            if done > 0 {
                way.relation = quantifier.contiguity;
            }
            way.scopes.push(match &quantifier.until {
                Some(condition) => {
                    Scope::Until { condition, group: !is_single_event(node), going_on: done > 0 }
                }
                None => Scope::Loop,
            });
            let end = Frame::RepetitionEnd { node, quantifier, done: done + 1, rows_before: self.rows_taken };
            self.derive(&push(Frame::Part(node), push(end, next.clone())), way, &mut another)?;
        }
        if done >= quantifier.min {
            self.derive(next, way, &mut leaving)?;
        }
        // A loop that goes on, and could be left towards an open absence, has it in force.
        if done > 0 {
            let ahead: Vec<Absence<'_>> =
                leaving.iter().flat_map(|target| &target.absences).filter(|a| !a.strict).cloned().collect();
            for absence in ahead {
                for target in &mut another {
                    if !target.absences.iter().any(|known| known.variable == absence.variable) {
                        target.absences.push(absence.clone());
                    }
                }
            }
        }
        if self.selection == Selection::All && quantifier.greedy == Some(true) {
            // Events are told apart by where they are written: a name may stand in several places.
            let mut inside = vec![];
            node.walk(&mut |part| {
                if let PatternNode::Variable(name) = part {
                    inside.push(name.as_ptr());
                }
            });
            let lifted_by = quantifier.until.as_deref();
            let guards: Vec<Guard<'_>> =
                another.iter().filter_map(|target| target.guard(lifted_by)).collect();
            for target in &mut leaving {
                if target.variable.is_some_and(|variable| !inside.contains(&variable.as_ptr())) {
                    target.guards.extend(guards.iter().cloned());
                }
            }
        }
        let (preferred, other) = if quantifier.is_greedy() { (another, leaving) } else { (leaving, another) };
        found.extend(preferred);
        found.extend(other);
        Ok(())
    }
}

impl<'a> Way<'a> {
    fn target(self, variable: Option<&'a str>, rest: Rest<'a>) -> Target<'a> {
        let Self { relation, absences, guards, scopes, at_start } = self;
        Target { variable, relation, absences, guards, scopes, at_start, rest }
    }
}

impl<'a> Target<'a> {
    /// The conditions of loops around the place.
    pub(crate) fn untils(&self) -> Vec<&'a Expr> {
        let condition = |scope: &Scope<'a>| match scope {
            Scope::Until { condition, .. } => Some(*condition),
            _ => None,
        };
        self.scopes.iter().filter_map(condition).collect()
    }

    fn guard(&self, lifted_by: Option<&'a Expr>) -> Option<Guard<'a>> {
        Some(Guard { variable: self.variable?, untils: self.untils(), lifted_by })
    }
}

/// Whether a part is one event: bounds and exclusions around it, and its being optional, change nothing about that.
fn is_single_event(node: &PatternNode) -> bool {
    match node {
        PatternNode::Variable(_) => true,
        PatternNode::Bounded { node, .. } | PatternNode::Exclusion(node) => is_single_event(node),
        PatternNode::Quantified { node, quantifier } => quantifier.max == Some(1) && is_single_event(node),
        _ => false,
    }
}
