//! Where rows of a batch stand among those of them that are kept.

use cepheid_matcher::bits::Bits;

/// Rows that are kept, each known by how many are before it.
///
/// - Time: O(rows / 64 + kept) to make; O(1) for a row.
/// - Space: a bit and a half a row of the batch, whatever is kept: most of a great batch may be of no concern, and a number
///   a row would be more than is done with the others.
#[derive(Debug)]
pub(super) struct KeptPlaces {
    kept: Bits,
    /// `before[w]`: kept rows before the 64 of word w.
    before: Vec<u32>,
}

impl KeptPlaces {
    /// Of `rows` rows those are kept that are given, ascending.
    pub(super) fn new(rows: usize, kept: &[u32]) -> Self {
        debug_assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "kept rows ascend");
        let kept = Bits::of_rows(rows, kept.iter().copied());
        let counts = kept.words().iter().scan(0, |before, word| {
            let own = *before;
            *before += word.count_ones();
            Some(own)
        });
        let before = counts.collect();
        Self { kept, before }
    }

    /// Where a row stands; `None`: it is not kept.
    #[inline]
    pub(super) fn place(&self, row: u32) -> Option<u32> {
        let (index, bit) = (row as usize / 64, row % 64);
        let word = self.kept.words()[index];
        let before_it = word & ((1 << bit) - 1);
        (word >> bit & 1 != 0).then(|| self.before[index] + before_it.count_ones())
    }
}

#[cfg(test)]
mod tests {
    use cepheid_testkit::SplitMix64;

    use super::*;

    #[test]
    fn places_are_those_in_the_list_of_kept_rows() {
        let mut asked = 0;
        for seed in 0..200 {
            let mut random = SplitMix64::new(seed);
            let (rows, share) = (1 + random.below(400), random.below(101));
            let kept: Vec<u32> = (0..rows as u32).filter(|_| random.chance(share)).collect();
            let places = KeptPlaces::new(rows, &kept);
            for row in 0..rows as u32 {
                let right = kept.binary_search(&row).ok().map(|place| place as u32);
                assert_eq!(places.place(row), right, "row {row} of {rows}, seed {seed}");
                asked += 1;
            }
        }
        assert!(asked > 20_000, "only {asked} rows");
    }
}
