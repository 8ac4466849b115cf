//! Packing predicates over slices into bitmaps, without a branch or a bound check a row.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

use super::lanes::widest;

/// Rows of one word of a bitmap.
pub(super) const WORD: usize = 64;

/// Set where `holds(values[i])`.
#[inline]
pub(super) fn pack<T: Copy>(values: &[T], holds: impl Fn(T) -> bool) -> BooleanBuffer {
    let words = widest(
        #[inline(always)]
        || {
            let mut words = Vec::with_capacity(values.len().div_ceil(WORD));
            let (chunks, rest) = values.as_chunks::<WORD>();
            for chunk in chunks {
                words.push(word_where(chunk, &holds));
            }
            if !rest.is_empty() {
                words.push(word_where(rest, &holds));
            }
            words
        },
    );
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

/// Set where `holds(left[i], right[i])`; the slices have one length.
#[inline]
pub(super) fn pack_pairs<T: Copy>(left: &[T], right: &[T], holds: impl Fn(T, T) -> bool) -> BooleanBuffer {
    debug_assert_eq!(left.len(), right.len());
    let words = widest(
        #[inline(always)]
        || {
            let mut words = Vec::with_capacity(left.len().div_ceil(WORD));
            let (left, left_rest) = left.as_chunks::<WORD>();
            let (right, right_rest) = right.as_chunks::<WORD>();
            for (left, right) in left.iter().zip(right) {
                let mut flags = [0u8; WORD];
                for (flag, (left, right)) in flags.iter_mut().zip(left.iter().zip(right)) {
                    *flag = u8::from(holds(*left, *right));
                }
                words.push(word_of(&flags));
            }
            if !left_rest.is_empty() {
                let mut flags = [0u8; WORD];
                for (flag, (left, right)) in flags.iter_mut().zip(left_rest.iter().zip(right_rest)) {
                    *flag = u8::from(holds(*left, *right));
                }
                words.push(word_of(&flags));
            }
            words
        },
    );
    BooleanBuffer::new(Buffer::from_vec(words), 0, left.len())
}

/// The word of up to 64 values.
#[inline(always)]
pub(super) fn word_where<T: Copy>(values: &[T], holds: &impl Fn(T) -> bool) -> u64 {
    let mut flags = [0u8; WORD];
    for (flag, value) in flags.iter_mut().zip(values) {
        *flag = u8::from(holds(*value));
    }
    word_of(&flags)
}

/// Gathers 64 bytes, each 0 or 1, into 64 bits, the first byte lowest.
#[inline(always)]
pub(super) fn word_of(flags: &[u8; WORD]) -> u64 {
    // Bit 56 - 7k of the factor carries byte k of eight to bit 56 + k of the product; nothing else reaches the top byte
    // with a carry.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut word = 0;
    let (groups, _) = flags.as_chunks::<8>();
    for (position, group) in groups.iter().enumerate() {
        word |= (u64::from_le_bytes(*group).wrapping_mul(GATHER) >> 56) << (8 * position);
    }
    word
}

/// Nulls, unless there are none.
pub(super) fn some_nulls(nulls: Option<&NullBuffer>) -> Option<&NullBuffer> {
    nulls.filter(|nulls| nulls.null_count() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_every_length_and_every_bit() {
        let mut checked = 0;
        for length in 0..200usize {
            let values: Vec<u32> = (0..length as u32).map(|i| i.wrapping_mul(2_654_435_761) >> 7).collect();
            let odd = pack(&values, |v| v % 2 == 1);
            let pairs = pack_pairs(&values, &values, |l, r| l % 3 == r % 2);
            assert_eq!(odd.len(), length);
            for (row, value) in values.iter().enumerate() {
                assert_eq!(odd.value(row), value % 2 == 1);
                assert_eq!(pairs.value(row), value % 3 == value % 2);
                checked += 1;
            }
        }
        assert_eq!(checked, 199 * 200 / 2);
    }
}
