//! Runs that their start row settles: what must be so for that, under `"first"` and skip till next.
//!
//! A run takes the next row that fits any of the steps that it waits for, and no row is passed over that does. So it has no
//! choice, unless a row fits two of these steps.

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

/// Where runs go from the places of a pattern.
pub(crate) trait Places {
    fn len(&self) -> usize;
    /// Whether a run that comes to the place is a match.
    fn ends(&self, place: u16) -> bool;
    /// Where it goes on.
    fn targets(&self, place: u16) -> impl Iterator<Item = u16>;
    /// The predicate that is asked of a row there; `None`: none.
    fn asked(&self, place: u16) -> Option<usize>;
}

/// Pairs of predicates of which no row may satisfy both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exclusive {
    pairs: Vec<(usize, usize)>,
}

impl Exclusive {
    /// Those of steps that runs wait for at once.
    ///
    /// # Errors
    /// Why a row can fit two of them, in a sentence.
    pub(crate) fn new(places: &impl Places) -> Result<Self, &'static str> {
        let mut pairs = vec![];
        for place in 0..places.len() as u16 {
            let targets: Vec<u16> = places.targets(place).collect();
            for (index, target) in targets.iter().enumerate() {
                for other in &targets[..index] {
                    match (places.asked(*other), places.asked(*target)) {
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
    pub(crate) fn is_certain(&self, matcher: &SequenceMatcher, predicates: &[usize]) -> bool {
        let predicate = |number: &usize| &matcher.predicates()[predicates[*number]];
        self.pairs.iter().all(|(one, other)| predicate(one).excludes(predicate(other)))
    }
}

/// What a match of a pattern does to runs that are not complete. Under `"first"` a start row has one match, so that going on at
/// the row after it forgets nothing.
///
/// # Errors
/// What else it does, in a sentence.
pub(crate) fn after_match(matcher: &SequenceMatcher) -> Result<After, &'static str> {
    match &matcher.skip {
        Skip::None => Ok(After::Nothing),
        Skip::Consume => Ok(After::EndTogether),
        Skip::ToNextRow if !matcher.all => Ok(After::Nothing),
        Skip::PastLastRow if !matcher.all => Ok(After::Ends),
        _ => Err("a match forgets runs that began before it ended"),
    }
}

/// Whether a run is never behind one that began later, if runs begin at the first place: whatever leads from a place past a later
/// one also leads as far from that.
///
/// Matches then come out in the order in which they began, and with the first of them no earlier run is alive.
pub(crate) fn keeps_order(places: &impl Places) -> bool {
    // Runs that are complete are before all others.
    let rank = |place: u16| if places.ends(place) { places.len() as u16 } else { place };
    let leads_as_far = |from: u16, to: u16| {
        let as_far = |target: u16| rank(target) >= rank(to) && places.asked(target) == places.asked(to);
        places.targets(from).any(as_far)
    };
    (0..places.len() as u16).all(|from| {
        places
            .targets(from)
            .all(|to| (from + 1..rank(to)).all(|passed| places.ends(passed) || leads_as_far(passed, to)))
    })
}
