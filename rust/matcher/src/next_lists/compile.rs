//! The places of a pattern, and where a row leads from them.

use cepheid_ir::Contiguity;

use crate::automaton::{Automaton, Next, Target};
use crate::lists::ground::{RowConditions, check_steps};
use crate::lists::settled::{After, Exclusive, Places, after_match, keeps_order};
use crate::lists::window::Bound;
use crate::match_set::Label;
use crate::sequence::SequenceMatcher;

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
    /// What must be so for runs to have no choice.
    pub(super) exclusive: Exclusive,
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
        let after = after_match(matcher)?;
        check_steps(matcher)?;
        let automaton = matcher.automaton();
        let places = places(automaton)?;
        if places[0].ends {
            return Err("a match is one row");
        }
        let conditions = RowConditions::new(matcher)?;
        let asked = AskedPlaces { places: &places, conditions: &conditions };
        let exclusive = Exclusive::new(&asked)?;
        if !keeps_order(&asked) {
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

/// Places, and what is asked of rows there.
struct AskedPlaces<'a> {
    places: &'a [Place],
    conditions: &'a RowConditions,
}

impl Places for AskedPlaces<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn ends(&self, place: u16) -> bool {
        self.places[place as usize].ends
    }

    fn targets(&self, place: u16) -> impl Iterator<Item = u16> {
        self.places[place as usize].targets.iter().copied()
    }

    fn asked(&self, place: u16) -> Option<usize> {
        self.conditions.of_variable[self.places[place as usize].label.variable as usize]
    }
}
