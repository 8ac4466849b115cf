//! Row classes: which predicates hold of a row, as one number.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::automaton::Automaton;
use crate::bits::Bits;
use crate::conditions::{Condition, Conditions};
use crate::masks::Masks;

/// Up to this many predicates the bits themselves are the class.
const DIRECT_PREDICATES_MAX: usize = 8;

/// Tells the class of a row. Rows are best asked for in ascending or descending order.
#[derive(Debug)]
pub(crate) struct Classes<'a> {
    masks: Vec<&'a Bits>,
    /// `variables[v]`: the mask of variable `v`; `None`: every row.
    variables: Vec<Option<usize>>,
    /// The 64 rows at hand: their masks and, where the bits themselves are the class, the class of each.
    block: usize,
    words: Vec<u64>,
    symbols: [u8; 64],
    /// Where there are too many predicates to use the bits themselves: those of the row at hand, and the combinations
    /// met so far.
    combination: Box<[u64]>,
    met: HashMap<Box<[u64]>, u32, FixedState>,
    combinations: Vec<Box<[u64]>>,
}

impl<'a> Classes<'a> {
    /// `None` if a condition needs the run, or its mask is missing.
    pub(crate) fn new(automaton: &Automaton, conditions: &Conditions, masks: &'a Masks) -> Option<Self> {
        let mut used: Vec<usize> = vec![];
        let mut variables = vec![None; automaton.variables.len()];
        for (variable, condition) in conditions.of.iter().enumerate() {
            match condition {
                Condition::Always => {}
                Condition::Run { .. } => return None,
                Condition::Predicate(predicate) => {
                    let known = used.iter().position(|p| p == predicate);
                    variables[variable] = Some(known.unwrap_or_else(|| {
                        used.push(*predicate);
                        used.len() - 1
                    }));
                }
            }
        }
        let masks =
            used.iter().map(|predicate| masks.of[*predicate].as_ref().ok()).collect::<Option<Vec<_>>>()?;
        Some(Self {
            words: vec![0; masks.len()],
            combination: vec![0; masks.len().div_ceil(64)].into(),
            masks,
            variables,
            block: usize::MAX,
            symbols: [0; 64],
            met: HashMap::with_hasher(FixedState::with_seed(0)),
            combinations: vec![],
        })
    }

    /// The number of classes, if the bits themselves are the class.
    pub(crate) fn direct(&self) -> Option<usize> {
        (self.masks.len() <= DIRECT_PREDICATES_MAX).then_some(1 << self.masks.len())
    }

    /// The class of a row.
    #[inline]
    pub(crate) fn of(&mut self, row: usize) -> u32 {
        let block = row / 64;
        if block != self.block {
            self.block = block;
            for (word, mask) in self.words.iter_mut().zip(&self.masks) {
                *word = mask.words()[block];
            }
            if self.masks.len() <= DIRECT_PREDICATES_MAX {
                transpose(&self.words, &mut self.symbols);
            }
        }
        let bit = row % 64;
        if self.masks.len() <= DIRECT_PREDICATES_MAX {
            return u32::from(self.symbols[bit]);
        }
        self.combination.fill(0);
        for (place, word) in self.words.iter().enumerate() {
            self.combination[place / 64] |= (word >> bit & 1) << (place % 64);
        }
        if let Some(class) = self.met.get(&self.combination) {
            return *class;
        }
        let class = self.combinations.len() as u32;
        self.combinations.push(self.combination.clone());
        self.met.insert(self.combination.clone(), class);
        class
    }

    /// Whether rows of `class` satisfy the condition of `variable`.
    pub(crate) fn satisfies(&self, class: u32, variable: usize) -> bool {
        match self.variables[variable] {
            None => true,
            Some(mask) if self.masks.len() <= DIRECT_PREDICATES_MAX => class >> mask & 1 != 0,
            Some(mask) => self.combinations[class as usize][mask / 64] >> (mask % 64) & 1 != 0,
        }
    }
}

/// Turns up to eight masks of 64 rows into 64 bytes, one a row: bit `m` of byte `r` is bit `r` of mask `m`.
///
/// Eight squares of eight by eight bits, each transposed by three exchanges of halves, quarters and neighbours (Warren,
/// *Hacker's Delight*, 2nd edition, 7-3).
fn transpose(masks: &[u64], symbols: &mut [u8; 64]) {
    let exchange = |square: u64, by: u32, which: u64| {
        let changed = (square ^ (square >> by)) & which;
        square ^ changed ^ (changed << by)
    };
    let (groups, _) = symbols.as_chunks_mut::<8>();
    for (place, group) in groups.iter_mut().enumerate() {
        let byte = |mask: &u64| mask >> (8 * place) & 0xff;
        let square = masks.iter().enumerate().fold(0, |square, (row, mask)| square | byte(mask) << (8 * row));
        let square = exchange(square, 7, 0x00aa_00aa_00aa_00aa);
        let square = exchange(square, 14, 0x0000_cccc_0000_cccc);
        *group = exchange(square, 28, 0x0000_0000_f0f0_f0f0).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_the_masks_read_across() {
        let mut random = cepheid_testkit::SplitMix64::new(3);
        let mut checked = 0;
        for count in 0..=8 {
            let masks: Vec<u64> = (0..count).map(|_| random.next_u64()).collect();
            let mut symbols = [0xff; 64];
            transpose(&masks, &mut symbols);
            for (row, symbol) in symbols.iter().enumerate() {
                let across = masks.iter().enumerate().map(|(place, mask)| ((mask >> row & 1) as u8) << place);
                assert_eq!(*symbol, across.sum::<u8>(), "row {row} of {count} masks");
                checked += 1;
            }
        }
        assert_eq!(checked, 9 * 64);
    }
}
