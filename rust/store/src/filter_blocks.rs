//! Filters filled in vectors: a block is as wide as one of AVX2, and many values go into it at once.
//!
//! - Time: O(values), about 2 ns each where the processor has such vectors.
//! - Source: the split block Bloom filter of the Parquet format; see [`summary`](crate::summary).

use parquet::bloom_filter::Sbbf;
use pulp::Arch;
use twox_hash::XxHash64;

/// What of a block's words a value sets one bit of each: as the format has them.
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

type Block = [u32; SALT.len()];

/// A value as filters take it.
#[inline]
pub(crate) fn hash_of(value: &[u8]) -> u64 {
    XxHash64::oneshot(0, value)
}

/// A filter of these values, by their hashes, that errs so often at most; as large as that many different ones would need.
pub(crate) fn filter_of(hashes: &[u64], false_positives: f64) -> Option<Sbbf> {
    let empty = Sbbf::new_with_ndv_fpp(hashes.len() as u64, false_positives).ok()?;
    let mut blocks = vec![Block::default(); empty.num_blocks()];
    fill(&mut blocks, hashes, Arch::new());
    let words = blocks.as_flattened();
    let mut bytes = vec![0; size_of_val(words)];
    for (bytes, word) in bytes.chunks_exact_mut(size_of::<u32>()).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Some(Sbbf::new(&bytes))
}

fn fill(blocks: &mut [Block], hashes: &[u64], arch: Arch) {
    arch.dispatch(
        #[inline(always)]
        || {
            for hash in hashes {
                let place = ((hash >> 32) * blocks.len() as u64) >> 32;
                let block = &mut blocks[place as usize];
                for (word, salt) in block.iter_mut().zip(SALT) {
                    *word |= 1 << ((*hash as u32).wrapping_mul(salt) >> 27);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(filter: &Sbbf) -> Vec<u8> {
        let mut bytes = vec![];
        filter.write_bitset(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn filters_are_those_of_the_format() {
        for count in [0_i64, 1, 7, 1000, 20_000] {
            let mut expected = Sbbf::new_with_ndv_fpp(count as u64, 0.01).unwrap();
            let values = (0..count).map(|value| value.wrapping_mul(0x5851_f42d_4c95_7f2d));
            let hashes: Vec<u64> = values
                .map(|value| {
                    expected.insert(&value);
                    hash_of(&value.to_le_bytes())
                })
                .collect();
            assert_eq!(bytes(&filter_of(&hashes, 0.01).unwrap()), bytes(&expected));
        }
        let mut expected = Sbbf::new_with_ndv_fpp(3, 0.01).unwrap();
        let texts = ["", "a", "a text that is longer than what a vector holds"];
        texts.iter().for_each(|text| expected.insert(*text));
        let hashes = texts.map(|text| hash_of(text.as_bytes()));
        assert_eq!(bytes(&filter_of(&hashes, 0.01).unwrap()), bytes(&expected));
    }

    #[test]
    fn every_kind_of_vectors_gives_the_same() {
        let hashes: Vec<u64> = (0..5000_u64).map(|value| hash_of(&value.to_le_bytes())).collect();
        let filled = |arch| {
            let mut blocks = vec![Block::default(); 300];
            fill(&mut blocks, &hashes, arch);
            blocks
        };
        assert_eq!(filled(Arch::new()), filled(Arch::Scalar));
    }
}
