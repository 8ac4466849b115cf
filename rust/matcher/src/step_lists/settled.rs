//! Runs that their start row settles: what must be so for that, under `"first"` and skip till next.
//!
//! A run takes the next row that fits any of the steps that it waits for, and no row is passed over that does. So it has no
//! choice, unless a row fits two of these steps.

use super::compile::StepLists;
use crate::bits::Bits;
use crate::sequence::SequenceMatcher;
use crate::sequence::compile::Skip;

/// What a match does to runs that are not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing.
    Nothing,
    /// It ends them, and others that the same row completes.
    Ends,
    /// All that one row completes end them.
    EndTogether,
}

impl After {
    /// That of a pattern. Under `"first"` a start row has one match, so that going on at the row after it forgets nothing.
    ///
    /// # Errors
    /// What else a match does, in a sentence.
    pub(super) fn of(matcher: &SequenceMatcher) -> Result<Self, &'static str> {
        match &matcher.skip {
            Skip::None => Ok(Self::Nothing),
            Skip::Consume => Ok(Self::EndTogether),
            Skip::ToNextRow if !matcher.all => Ok(Self::Nothing),
            Skip::PastLastRow if !matcher.all => Ok(Self::Ends),
            _ => Err("a match forgets runs that began before it ended"),
        }
    }
}

/// Whether a match comes out when no run that began earlier is alive; else when it is complete.
pub(crate) fn waits_for_earlier(matcher: &SequenceMatcher) -> bool {
    matches!(matcher.skip, Skip::PastLastRow | Skip::ToNextRow)
}

/// Pairs of predicates of which no row may satisfy both.
#[derive(Debug, Default)]
pub(crate) struct Exclusive {
    pairs: Vec<(usize, usize)>,
}

impl Exclusive {
    /// Those of steps that runs wait for at once.
    ///
    /// # Errors
    /// Why a row can fit two of them, in a sentence.
    pub(super) fn new(steps: &StepLists) -> Result<Self, &'static str> {
        let mut pairs = vec![];
        for place in 0..steps.places.len() as u16 {
            let targets: Vec<u16> = steps.targets(place).collect();
            for (index, target) in targets.iter().enumerate() {
                for other in &targets[..index] {
                    match (steps.asked(*other), steps.asked(*target)) {
                        (Some(one), Some(other)) if one != other => {
                            pairs.push((one.min(other), one.max(other)));
                        }
                        _ => return Err("a row may fit two of the steps that a run goes on with"),
                    }
                }
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        Ok(Self { pairs })
    }

    /// Whether no row satisfies both of any pair. `masks[p]`: the rows that satisfy predicate p.
    pub(crate) fn holds(&self, masks: &[&Bits]) -> bool {
        self.pairs.iter().all(|(one, other)| {
            let words = masks[*one].words().iter().zip(masks[*other].words());
            // Without a way out in between several are compared at once.
            words.fold(0, |both, (one, other)| both | (one & other)) == 0
        })
    }

    /// Whether that is plain to see of any row. `predicates[p]`: predicate p by the matcher's number.
    pub(super) fn is_certain(&self, matcher: &SequenceMatcher, predicates: &[usize]) -> bool {
        let predicate = |number: &usize| &matcher.predicates()[predicates[*number]];
        self.pairs.iter().all(|(one, other)| predicate(one).excludes(predicate(other)))
    }
}

impl StepLists {
    /// Where a run goes on from a place.
    pub(crate) fn targets(&self, place: u16) -> impl Iterator<Item = u16> {
        self.places[place as usize].outs.iter().map(|edge| self.edges[*edge as usize].to)
    }

    /// The predicate that is asked of a row at a place; `None`: none.
    fn asked(&self, place: u16) -> Option<usize> {
        self.conditions.of_variable[self.places[place as usize].variable as usize]
    }

    /// Whether a run that has lost one of the steps that it waits for, as something came that must not, has lost all of them. If it
    /// has not, a row that fits the lost one moves the runs behind it, but not that run: they are no stretch of the list any more.
    pub(super) fn keep_choices_together(&self) -> bool {
        self.places.iter().all(|place| {
            let mut absent = place.outs.iter().map(|edge| {
                let mut absent = self.edges[*edge as usize].absent.clone();
                absent.sort_unstable();
                absent.dedup();
                absent
            });
            let first = absent.next();
            absent.all(|other| Some(&other) == first.as_ref())
        })
    }

    /// Whether a run is never behind one that began later: runs begin at the first place, and whatever leads from a place past
    /// a later one also leads as far from that. A run that something absent has taken one of several choices from is behind one
    /// that has them all.
    ///
    /// Matches then come out in the order in which they began, and with the first of them no earlier run is alive.
    pub(super) fn keep_order(&self) -> bool {
        let places = self.places.len() as u16;
        let ends = |place: u16| self.places[place as usize].ends;
        // Runs that are complete are before all others.
        let rank = |place: u16| if ends(place) { places } else { place };
        let leads_as_far = |from: u16, to: u16| {
            self.targets(from).any(|target| rank(target) >= rank(to) && self.asked(target) == self.asked(to))
        };
        let passes_none =
            |from: u16, to: u16| (from + 1..rank(to)).all(|passed| ends(passed) || leads_as_far(passed, to));
        let one_choice = self.places.iter().all(|place| place.outs.len() <= 1);
        self.places[1..].iter().all(|place| !place.starts)
            && (one_choice || self.edges.iter().all(|edge| edge.absent.is_empty()))
            && (0..places).all(|from| self.targets(from).all(|to| passes_none(from, to)))
    }

    /// Checks that [next lists](crate::next_lists) may match tables.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub fn check_for_next_lists(&self) -> Result<(), &'static str> {
        if !self.settled {
            return Err("all matches are wanted");
        }
        if self.edges.iter().any(|edge| !edge.absent.is_empty()) {
            return Err("something must not come");
        }
        if self.places[0].ends {
            return Err("a match is one row");
        }
        if !self.keep_order() {
            return Err("a run may overtake one that began before it");
        }
        Ok(())
    }
}
