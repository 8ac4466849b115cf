//! What rows satisfy as a number, a bit a predicate, and what follows from it: worked out once for each such number.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Up to so many predicates what follows is looked up by the symbol itself.
const DIRECT_PREDICATES_MAX: usize = 8;

/// The symbol of the row whose bits stand at `bit` in words of predicates, at most 64.
#[inline]
pub(crate) fn symbol_at(words: &[u64], bit: u32) -> u64 {
    words.iter().enumerate().fold(0, |symbol, (predicate, word)| symbol | (word >> bit & 1) << predicate)
}

/// What follows from each symbol met so far.
#[derive(Clone, Debug)]
pub(crate) struct BySymbol<T> {
    /// For few predicates: `direct[symbol]`, or `u32::MAX`.
    direct: Vec<u32>,
    numbers: HashMap<u64, u32, FixedState>,
    made: Vec<T>,
}

impl<T> BySymbol<T> {
    pub(crate) fn new(predicates: usize) -> Self {
        let direct =
            if predicates <= DIRECT_PREDICATES_MAX { vec![u32::MAX; 1 << predicates] } else { vec![] };
        Self { direct, numbers: HashMap::with_hasher(FixedState::with_seed(0)), made: vec![] }
    }

    /// The number of what follows from a symbol; `make` says what that is when it first comes.
    #[inline]
    pub(crate) fn number(&mut self, symbol: u64, make: impl FnOnce() -> T) -> u32 {
        match self.direct.get(symbol as usize) {
            Some(number) if *number != u32::MAX => *number,
            _ => self.number_slowly(symbol, make),
        }
    }

    fn number_slowly(&mut self, symbol: u64, make: impl FnOnce() -> T) -> u32 {
        let next = self.made.len() as u32;
        let number = *self.numbers.entry(symbol).or_insert(next);
        if number == next {
            self.made.push(make());
        }
        if let Some(direct) = self.direct.get_mut(symbol as usize) {
            *direct = number;
        }
        number
    }

    /// What has been made, by number.
    #[inline]
    pub(crate) fn made(&self) -> &[T] {
        &self.made
    }
}
