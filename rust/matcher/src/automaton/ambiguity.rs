//! Whether one match can come about in several ways: it would then be counted several times.

use std::collections::HashSet;

use super::{Automaton, Next, Target, VariableId};

/// Most pairs of targets that are looked at before a pattern counts as ambiguous.
const PAIRS_MAX: usize = 20_000_000;

/// Two ways at once: the places taken last (`None`: no row yet), and whether they have parted.
type Pair = (Option<u32>, Option<u32>, bool);

/// A variable at which two ways to one match part, if there are such. Two ways lead to one match if they take the
/// same rows for the same variables; what rows may lie between is not asked.
///
/// Cost: O(p²·t²), p places and t targets of each.
pub(crate) fn ambiguous_at(automaton: &Automaton) -> Option<VariableId> {
    let targets = |place: Option<u32>| -> &[Target] {
        place.map_or(&automaton.start, |place| &automaton.positions[place as usize].follow)
    };
    let variable = |place: u32| automaton.positions[place as usize].variable;
    let origin: Pair = (None, None, false);
    let mut seen: HashSet<Pair> = HashSet::from([origin]);
    // Of each pair also where its ways parted.
    let mut pending = vec![(origin, None)];
    let mut looked_at = 0;
    while let Some(((left, right, parted), at)) = pending.pop() {
        let (one, other) = (targets(left), targets(right));
        looked_at += one.len() * other.len();
        if looked_at > PAIRS_MAX {
            return Some(at.unwrap_or(0));
        }
        for (i, first) in one.iter().enumerate() {
            for (j, second) in other.iter().enumerate() {
                let parts = parted || i != j;
                match (first.step, second.step) {
                    (Next::Accept, Next::Accept) if parts => {
                        let last = left.map_or(0, variable);
                        return Some(at.unwrap_or(last));
                    }
                    (Next::Take(a), Next::Take(b)) if variable(a) == variable(b) => {
                        let pair: Pair = if parts {
                            (Some(a.min(b)), Some(a.max(b)), true)
                        } else {
                            (Some(a), Some(a), false)
                        };
                        if seen.insert(pair) {
                            pending.push((pair, at.or(parts.then(|| variable(a)))));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    None
}
