//! Numbers that are marked, given in ascending order: a bit for each, and a bit for each word of these that has any.
//!
//! - Time: O(1) a mark; to give them O(1) each, and one look for every 4,096 numbers.
//! - Space: a bit a number.

const BITS: usize = u64::BITS as usize;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    words: Vec<u64>,
    /// Which of the words have a bit set.
    some: Vec<u64>,
    /// How many bits were set, some of them perhaps again.
    marked: usize,
}

impl Marks {
    #[inline]
    pub(crate) fn mark(&mut self, number: usize) {
        let word = number / BITS;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.some.resize(word / BITS + 1, 0);
        }
        self.marked += 1;
        self.words[word] |= 1 << (number % BITS);
        self.some[word / BITS] |= 1 << (word % BITS);
    }

    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.some.clear();
        self.marked = 0;
    }

    /// Adds those that are marked, from a number on, in ascending order.
    pub(crate) fn add_from(&self, first: usize, numbers: &mut Vec<u32>) {
        let first_word = first / BITS;
        numbers.reserve(self.marked);
        let from = |place: usize, base: usize| match place.saturating_sub(base) {
            passed if passed < BITS => u64::MAX << passed,
            _ => 0,
        };
        for (group, some) in self.some.iter().enumerate().skip(first_word / BITS) {
            let mut some = some & from(first_word, group * BITS);
            while some != 0 {
                let word = group * BITS + some.trailing_zeros() as usize;
                some &= some - 1;
                let mut marked = self.words[word] & from(first, word * BITS);
                while marked != 0 {
                    numbers.push((word * BITS) as u32 + marked.trailing_zeros());
                    marked &= marked - 1;
                }
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.words.capacity() + self.some.capacity()) * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cepheid_testkit::SplitMix64;

    use super::*;

    #[test]
    fn what_is_marked_is_given_in_order() {
        let mut random = SplitMix64::new(3);
        let (mut marks, mut cases) = (Marks::default(), 0);
        for span in [1, 64, 65, 4_096, 4_097, 20_000] {
            for count in [0, 1, 3, 200] {
                marks.clear();
                let mut known = BTreeSet::new();
                for _ in 0..count {
                    let number = random.below(span);
                    marks.mark(number);
                    known.insert(number as u32);
                }
                for first in [0, 1, 63, 64, random.below(span), 4_095, 4_096, 30_000] {
                    let mut given = vec![7];
                    marks.add_from(first, &mut given);
                    let expected: Vec<u32> =
                        [7].into_iter().chain(known.range(first as u32..).copied()).collect();
                    assert_eq!(given, expected, "{span} {count} {first}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 192);
    }
}
