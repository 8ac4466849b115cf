//! The steps of a pattern, as places and what leads from one to the next.

use std::sync::{Arc, OnceLock};

use cepheid_ir::Contiguity;

use super::lists::Action;
use super::settled::{After, Exclusive, waits_for_earlier};
use crate::automaton::{Automaton, Next, VariableId, ambiguous_at};
use crate::lists::ground::RowConditions;
use crate::lists::window::Bound;
use crate::match_set::Label;
use crate::sequence::SequenceMatcher;

/// Most places of a pattern.
const PLACES_MAX: usize = 64;

/// See [`crate::step_lists`].
#[derive(Debug)]
pub struct StepLists {
    pub(crate) places: Vec<Place>,
    pub(crate) edges: Vec<Edge>,
    /// What is asked of rows.
    pub(crate) conditions: RowConditions,
    pub(crate) after: After,
    /// A run waits for all that it may go on with at once, and has no choice; else it has chosen.
    pub(crate) settled: bool,
    /// What must be so for that.
    pub(crate) exclusive: Exclusive,
    pub(crate) within: Bound,
    /// Each place but the first is reached from the one before it alone, and the last alone ends a match.
    pub(crate) chain: bool,
    /// What rows do, by symbol, if these are few: made when it is first asked for.
    pub(super) all_actions: OnceLock<Arc<[Action]>>,
}

/// A place that takes a row.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) variable: VariableId,
    pub(crate) label: Label,
    /// A match may begin here.
    pub(super) starts: bool,
    /// A match may end here.
    pub(crate) ends: bool,
    /// Edges that lead here and away from here.
    pub(super) ins: Vec<u16>,
    pub(super) outs: Vec<u16>,
}

/// What may come next after a place.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(super) from: u16,
    pub(super) to: u16,
    /// Skip till next: a row that fits is not passed over.
    pub(crate) takes_first: bool,
    /// What must not come in between.
    pub(crate) absent: Vec<VariableId>,
}

impl StepLists {
    /// # Errors
    /// Why the pattern needs runs of their own, in a sentence.
    pub fn new(matcher: &SequenceMatcher) -> Result<Self, &'static str> {
        let mut steps = Self::without_conditions(matcher)?;
        steps.conditions = RowConditions::new(matcher)?;
        if steps.settled {
            steps.exclusive = Exclusive::new(&steps)?;
            if !steps.keep_choices_together() {
                return Err(
                    "something absent takes one of several steps from a run that goes on with the others",
                );
            }
            if waits_for_earlier(matcher) && !steps.keep_order() {
                return Err("a run may overtake one that began before it");
            }
        }
        Ok(steps)
    }

    /// The places and what leads from one to the next, whatever is asked of rows.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn without_conditions(matcher: &SequenceMatcher) -> Result<Self, &'static str> {
        let automaton = matcher.automaton();
        let after = After::of(matcher)?;
        refuse(matcher, automaton)?;
        let mut places: Vec<Place> = automaton
            .positions
            .iter()
            .map(|position| Place {
                variable: position.variable,
                label: Label { variable: position.variable, excluded: position.excluded },
                starts: false,
                ends: false,
                ins: vec![],
                outs: vec![],
            })
            .collect();
        for target in &automaton.start {
            let Next::Take(place) = target.step else { return Err("the pattern may be empty") };
            if !automaton.ways[target.way as usize].absences.is_empty() || target.at_start {
                return Err("what comes before the first row matters");
            }
            places[place as usize].starts = true;
        }
        let settled = !matcher.all;
        if settled && automaton.start.len() > 1 {
            return Err("what comes first can be of several events");
        }
        let mut edges = vec![];
        for (from, position) in automaton.positions.iter().enumerate() {
            for target in &position.follow {
                let way = &automaton.ways[target.way as usize];
                let Next::Take(to) = target.step else {
                    if !way.absences.is_empty() || target.at_end {
                        return Err("a match waits for what comes after its last row");
                    }
                    places[from].ends = true;
                    if settled && !places[from].outs.is_empty() {
                        return Err("a match waits for more that it would rather take");
                    }
                    if settled {
                        // What stands behind the end is never preferred.
                        break;
                    }
                    continue;
                };
                if (to as usize) < from {
                    return Err("a group of steps is repeated");
                }
                if way.relation == Contiguity::Strict || way.absences.iter().any(|absence| absence.strict) {
                    return Err("the very next row is asked for");
                }
                let takes_first = way.relation == Contiguity::SkipTillNext;
                if settled && !takes_first {
                    return Err("a step takes another row than the next that fits");
                }
                let edge = edges.len() as u16;
                places[from].outs.push(edge);
                places[to as usize].ins.push(edge);
                edges.push(Edge {
                    from: from as u16,
                    to: to as u16,
                    takes_first,
                    absent: way.absences.iter().map(|absence| absence.variable).collect(),
                });
            }
        }
        let within = Bound::of(matcher);
        let last = places.len() - 1;
        let chain = places.iter().enumerate().all(|(index, place)| {
            place.starts == (index == 0)
                && place.ends == (index == last)
                && place.ins.len() == usize::from(index > 0)
        }) && edges.iter().all(|edge| edge.to == edge.from + 1);
        let (conditions, exclusive) = (RowConditions::default(), Exclusive::default());
        let all_actions = OnceLock::new();
        Ok(Self { places, edges, conditions, after, settled, exclusive, within, chain, all_actions })
    }

    /// Checks that lists may match streams, too: conditions are asked of every row there, whether anything waits for it or not, so
    /// none may raise an error; no rows are kept for conditions to look back at; and whether runs have a choice must be known
    /// before there are rows. `matcher`: what they were made of.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub fn check_for_streams(&self, matcher: &SequenceMatcher) -> Result<(), &'static str> {
        // Lists number rows in 32 bits, from the first that waits; a run may wait for longer, and there are few of them.
        let is_near = match self.within {
            Bound::Nanoseconds(_) => true,
            Bound::Rows(_) => matcher.pattern().partition_by.is_empty(),
            Bound::None => false,
        };
        if self.settled && !is_near {
            return Err("no bound of time ends a run, which may wait for more rows than lists can number");
        }
        if !self.exclusive.is_certain(matcher, &self.conditions.predicates) {
            return Err("it is not plain to see that no row fits two of the steps that a run goes on with");
        }
        if matcher.rows_before() > 0 {
            return Err("a condition looks back at rows that were not taken");
        }
        if matcher.predicates().iter().any(|predicate| !predicate.never_fails()) {
            return Err("a condition may raise an error, which only rows that runs wait for may do");
        }
        Ok(())
    }

    /// How many of the matches that a row completes are reported, the first of them.
    pub(crate) fn most_of_a_row(&self) -> usize {
        if self.after == After::Ends { 1 } else { usize::MAX }
    }

    /// The labels of the rows of every match, if all have the same.
    pub fn shape(&self) -> Option<Vec<Label>> {
        self.chain.then(|| self.places.iter().map(|place| place.label).collect())
    }
}

fn refuse(matcher: &SequenceMatcher, automaton: &Automaton) -> Result<(), &'static str> {
    let pattern = matcher.pattern();
    if pattern.having.is_some() {
        return Err("a finished match is asked for more");
    }
    if pattern.timeouts || !pattern.emit_at.is_empty() {
        return Err("runs are reported before they are complete");
    }
    if pattern.initial {
        return Err("only the first row may begin a match");
    }
    if !automaton.bounds.is_empty() {
        return Err("parts of the pattern have bounds of their own");
    }
    if !automaton.untils.is_empty()
        || automaton.ways.iter().any(|way| !way.guards.is_empty() || !way.ends.is_empty())
    {
        return Err("a row can end a loop");
    }
    if automaton.positions.is_empty() {
        return Err("the pattern takes no row");
    }
    if automaton.positions.len() > PLACES_MAX {
        return Err("the pattern has more than 64 places once counts are written out");
    }
    // A run without a choice has one way.
    if matcher.all && ambiguous_at(automaton).is_some() {
        return Err("several ways lead to one match");
    }
    Ok(())
}
