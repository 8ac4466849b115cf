//! The places of a pattern, and where a row leads from them.

use cepheid_ir::Contiguity;

use crate::automaton::{Automaton, Next, Target};
use crate::bits::Bits;
use crate::lists::ground::{RowConditions, check_steps};
use crate::lists::window::Bound;
use crate::match_set::Label;
use crate::sequence::SequenceMatcher;
use crate::sequence::compile::Skip;

/// See [`crate::next_lists`].
#[derive(Debug)]
pub struct NextLists {
    pub(crate) places: Vec<Place>,
    /// What is asked of rows.
    pub(super) conditions: RowConditions,
    pub(super) after: After,
    pub(crate) within: Bound,
    /// All matches have a row for each place.
    pub(super) chain: bool,
    /// Predicates of which no row may satisfy both: runs would have a choice.
    exclusive: Vec<(usize, usize)>,
}

/// A place that takes a row. Runs begin at the first.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) label: Label,
    /// A run that comes here is a match.
    pub(super) ends: bool,
    /// Where it goes on, ascending.
    pub(super) targets: Vec<u16>,
}

/// What a match does to runs that are not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing.
    Nothing,
    /// It ends them, and others that the same row completes.
    Ends,
    /// All that one row completes end them.
    EndTogether,
}

/// What a row does that satisfies certain conditions.
#[derive(Clone, Debug, Default)]
pub(super) struct Action {
    /// A run may begin at it.
    pub(super) begins: bool,
    /// From where to where runs go, those that began first before the others. From a place to itself a loop is repeated.
    pub(super) moves: Vec<(u16, u16)>,
}

impl NextLists {
    /// # Errors
    /// Why the pattern needs runs that are kept apart, in a sentence.
    pub fn new(matcher: &SequenceMatcher) -> Result<Self, &'static str> {
        if matcher.all {
            return Err("all matches are wanted");
        }
        let after = match &matcher.skip {
            Skip::None | Skip::ToNextRow => After::Nothing,
            Skip::PastLastRow => After::Ends,
            Skip::Consume => After::EndTogether,
            Skip::ToVariable { .. } => return Err("a match forgets a part of its rows"),
        };
        check_steps(matcher)?;
        let automaton = matcher.automaton();
        let places = places(automaton)?;
        if places[0].ends {
            return Err("a match is one row");
        }
        let conditions = RowConditions::new(matcher)?;
        let asked = |place: u16| conditions.of_variable[places[place as usize].label.variable as usize];
        let mut exclusive = vec![];
        for place in &places {
            for (index, target) in place.targets.iter().enumerate() {
                for other in &place.targets[..index] {
                    match (asked(*other), asked(*target)) {
                        (Some(first), Some(second)) if first != second => {
                            exclusive.push((first.min(second), first.max(second)));
                        }
                        _ => return Err("a row may fit two of the steps that a run goes on with"),
                    }
                }
            }
        }
        exclusive.sort_unstable();
        exclusive.dedup();
        if !keeps_order(&places, asked) {
            return Err("a run may overtake one that began before it");
        }
        let last = places.len() - 1;
        let goes_on = |(index, place): (usize, &Place)| match place.ends {
            true => index == last,
            false => place.targets == [index as u16 + 1],
        };
        let chain = places.iter().enumerate().all(goes_on);
        Ok(Self { chain, places, conditions, after, within: Bound::of(matcher), exclusive })
    }

    /// Whether a partition may be cut for several threads: a run is settled by its start row, unless a match before it has
    /// ended it.
    pub fn cuts_partitions(&self) -> bool {
        self.within != Bound::None && self.after == After::Nothing
    }

    /// The labels of the rows of every match, if all have the same.
    pub(crate) fn shape(&self) -> Option<Vec<Label>> {
        self.chain.then(|| self.places.iter().map(|place| place.label).collect())
    }

    /// Whether no row gives runs a choice. `masks`: of the predicates of the conditions.
    pub(super) fn is_settled(&self, masks: &[&Bits]) -> bool {
        self.exclusive.iter().all(|(first, second)| {
            let words = masks[*first].words().iter().zip(masks[*second].words());
            // Without a way out in between several are compared at once.
            words.fold(0, |both, (first, second)| both | (first & second)) == 0
        })
    }

    /// What a row does that satisfies the predicates set in `symbol`.
    pub(super) fn action(&self, symbol: u64) -> Action {
        let fits =
            |place: &u16| self.conditions.are_satisfied(symbol, self.places[*place as usize].label.variable);
        let way = |from: u16| {
            let target = self.places[from as usize].targets.iter().copied().find(fits)?;
            Some((from, target))
        };
        Action { begins: fits(&0), moves: (0..self.places.len() as u16).rev().filter_map(way).collect() }
    }
}

/// The places of a pattern whose steps each take the next row that fits.
fn places(automaton: &Automaton) -> Result<Vec<Place>, &'static str> {
    let nothing_absent = |target: &Target| automaton.ways[target.way as usize].absences.is_empty();
    match automaton.start.as_slice() {
        [Target { step: Next::Take(0), at_start: false, .. }] if nothing_absent(&automaton.start[0]) => {}
        _ => return Err("what comes before the first row matters, or it can be of several events"),
    }
    let mut places = vec![];
    for (from, position) in automaton.positions.iter().enumerate() {
        let label = Label { variable: position.variable, excluded: position.excluded };
        let mut place = Place { label, ends: false, targets: vec![] };
        for target in &position.follow {
            if !nothing_absent(target) {
                return Err("something must not come");
            }
            let Next::Take(to) = target.step else {
                if target.at_end {
                    return Err("a match waits for what comes after its last row");
                }
                if !place.targets.is_empty() {
                    return Err("a match waits for more that it would rather take");
                }
                // An end is not waited for, and what stands behind it is never preferred.
                place.ends = true;
                break;
            };
            if (to as usize) < from {
                return Err("a group of steps is repeated");
            }
            if automaton.ways[target.way as usize].relation != Contiguity::SkipTillNext {
                return Err("a step takes another row than the next that fits");
            }
            place.targets.push(to as u16);
        }
        place.targets.sort_unstable();
        places.push(place);
    }
    Ok(places)
}

/// Whether a run is never behind one that began later: whatever leads from a place past a later one also leads as far from that.
fn keeps_order(places: &[Place], asked: impl Fn(u16) -> Option<usize>) -> bool {
    // Runs that are complete are before all others.
    let rank = |place: u16| if places[place as usize].ends { places.len() as u16 } else { place };
    let leads_as_far = |from: u16, to: u16| {
        let targets = &places[from as usize].targets;
        targets.iter().any(|target| rank(*target) >= rank(to) && asked(*target) == asked(to))
    };
    places.iter().enumerate().all(|(from, place)| {
        place.targets.iter().all(|to| {
            let mut passed = from as u16 + 1..rank(*to);
            passed.all(|passed| places[passed as usize].ends || leads_as_far(passed, *to))
        })
    })
}
