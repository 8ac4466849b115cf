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
    /// The 64 rows at hand.
    block: usize,
    words: Vec<u64>,
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
        }
        let bit = row % 64;
        if self.masks.len() <= DIRECT_PREDICATES_MAX {
            let mut class = 0;
            for (place, word) in self.words.iter().enumerate() {
                class |= ((word >> bit & 1) as u32) << place;
            }
            return class;
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
