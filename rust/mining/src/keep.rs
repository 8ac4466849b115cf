//! Which frequent sequences are told.

use hashbrown::HashMap;

use crate::growth::FrequentSequence;

/// Which frequent sequences are told. Those that stand against a sequence are the frequent ones of one symbol more, in any place,
/// and no longer than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// Those that no longer one has the same keys as. Without a bound on gaps that is: the same support.
    Closed,
    /// Those that no longer one is frequent of.
    Maximal,
}

/// Leaves out the sequences that another makes superfluous.
///
/// Time: O(sequences · length²). Space: a table of all of them.
pub(crate) fn kept(sequences: Vec<FrequentSequence>, keep: Keep) -> Vec<FrequentSequence> {
    if keep == Keep::All {
        return sequences;
    }
    let places: HashMap<&[u32], usize, foldhash::fast::FixedState> =
        sequences.iter().enumerate().map(|(place, sequence)| (&*sequence.symbols, place)).collect();
    let mut superfluous = vec![false; sequences.len()];
    let mut shorter = Vec::new();
    for longer in &sequences {
        for left_out in 0..longer.symbols.len() {
            // Which of equal neighbours is left out is all one.
            if left_out > 0 && longer.symbols[left_out] == longer.symbols[left_out - 1] {
                continue;
            }
            shorter.clear();
            shorter.extend_from_slice(&longer.symbols[..left_out]);
            shorter.extend_from_slice(&longer.symbols[left_out + 1..]);
            // With a bound on gaps a sequence may be frequent without what is left when one in its middle goes.
            let Some(&place) = places.get(&*shorter) else { continue };
            superfluous[place] |= keep == Keep::Maximal || sequences[place].has_the_keys_of(longer);
        }
    }
    drop(places);
    let mut superfluous = superfluous.into_iter();
    sequences.into_iter().filter(|_| !superfluous.next().unwrap_or(false)).collect()
}
