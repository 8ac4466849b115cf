//! Sums of long natural numbers.

use num_bigint::BigUint;

/// A natural number of any length, to which others are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// The least significant first.
    limbs: Vec<u64>,
}

impl Whole {
    pub(super) fn is_zero(&self) -> bool {
        self.limbs.iter().all(|limb| *limb == 0)
    }

    /// Adds what is left of a number, the most significant limb first, without its last `shift` bits, below 64; times
    /// `2^64` to the power of `above`.
    ///
    /// - Time: O(limbs).
    #[inline]
    pub(super) fn add_shifted(&mut self, limbs: &[u64], shift: u32, above: usize) {
        let Some(first) = limbs.first() else { return };
        self.reach(above + limbs.len());
        let (low, high) = self.limbs[above..].split_at_mut(limbs.len());
        let (top, low) = low.split_last_mut().expect("as many limbs as were given");
        let mut carry = false;
        let mut add = |sum: &mut u64, limb: u64| {
            let (with, over) = sum.overflowing_add(limb);
            let (with, more) = with.overflowing_add(u64::from(carry));
            *sum = with;
            carry = over | more;
        };
        let pairs = limbs.windows(2).rev();
        for (sum, pair) in low.iter_mut().zip(pairs) {
            add(sum, (pair[0] << 1) << (63 - shift) | pair[1] >> shift);
        }
        add(top, first >> shift);
        if carry && !carry_into(high) {
            self.limbs.push(1);
        }
    }

    /// Adds a product: of limbs, the most significant first, and of limbs, the least significant first.
    ///
    /// - Time: O(limbs of the one, times those of the other that are not zero).
    pub(super) fn add_product(&mut self, left: &[u64], right: &[u64]) {
        // One more, so that nothing is carried past the end but by a sum that grows.
        self.reach(left.len() + right.len());
        for (above, factor) in right.iter().enumerate().filter(|(_, factor)| **factor != 0) {
            let (low, high) = self.limbs[above..].split_at_mut(left.len());
            let mut carry = 0;
            for (sum, limb) in low.iter_mut().zip(left.iter().rev()) {
                let product = u128::from(*limb) * u128::from(*factor) + u128::from(*sum) + u128::from(carry);
                *sum = product as u64;
                carry = (product >> 64) as u64;
            }
            let (next, beyond) = high.split_first_mut().expect("a limb for each of both");
            let (with, over) = next.overflowing_add(carry);
            *next = with;
            if over && !carry_into(beyond) {
                self.limbs.push(1);
            }
        }
    }

    fn reach(&mut self, limbs: usize) {
        if self.limbs.len() < limbs {
            self.limbs.resize(limbs, 0);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        let limbs: Vec<u64> = other.limbs.iter().rev().copied().collect();
        self.add_shifted(&limbs, 0, 0);
    }

    /// Whether it is more.
    pub(super) fn exceeds(&self, other: u128) -> bool {
        let limb = |place: usize| self.limbs.get(place).copied().unwrap_or(0);
        let low = u128::from(limb(1)) << 64 | u128::from(limb(0));
        low > other || self.limbs.iter().skip(2).any(|limb| *limb != 0)
    }

    /// Takes away what it is not less than.
    pub(super) fn subtract(&mut self, other: u128) {
        let mut left = [other as u64, (other >> 64) as u64].into_iter();
        let mut borrow = false;
        for limb in &mut self.limbs {
            let taken = left.next().unwrap_or(0);
            if taken == 0 && !borrow && left.len() == 0 {
                return;
            }
            let (difference, below) = limb.overflowing_sub(taken);
            let (difference, more) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = below | more;
        }
        debug_assert!(!borrow && left.all(|taken| taken == 0), "less than what is taken away");
    }

    pub(super) fn into_big(self) -> BigUint {
        let digits = self.limbs.iter().flat_map(|limb| [*limb as u32, (limb >> 32) as u32]);
        BigUint::new(digits.collect())
    }
}

/// Adds one; whether it found a place.
fn carry_into(limbs: &mut [u64]) -> bool {
    limbs.iter_mut().any(|limb| {
        *limb = limb.wrapping_add(1);
        *limb != 0
    })
}

#[cfg(test)]
mod tests {
    use cepheid_testkit::SplitMix64;

    use super::*;

    #[test]
    fn sums_and_differences_are_those_of_any_big_integer() {
        let (mut random, mut carried, mut cases) = (SplitMix64::new(3), 0, 0);
        for _ in 0..2_000 {
            let (mut whole, mut big) = (Whole::default(), BigUint::ZERO);
            for _ in 0..random.below(12) {
                let limb = |random: &mut SplitMix64| match random.below(3) {
                    0 => 0,
                    1 => u64::MAX,
                    _ => random.next_u64(),
                };
                let mut some = || -> Vec<u64> { (0..random.below(5)).map(|_| limb(&mut random)).collect() };
                let (limbs, factor) = (some(), some());
                let (shift, above) = (random.below(64) as u32, random.below(3));
                let value = limbs.iter().fold(BigUint::ZERO, |value, limb| (value << 64) + *limb);
                let length = whole.limbs.len();
                whole.add_shifted(&limbs, shift, above);
                big += &value >> shift << (64 * above);
                carried += usize::from(whole.limbs.len() > length.max(limbs.len() + above));
                assert_eq!(whole.clone().into_big(), big);
                let length = whole.limbs.len();
                whole.add_product(&limbs, &factor);
                big += value * factor.iter().rev().fold(BigUint::ZERO, |value, limb| (value << 64) + *limb);
                carried += usize::from(whole.limbs.len() > length.max(limbs.len() + factor.len()));
                assert_eq!(whole.clone().into_big(), big);
                assert_eq!(whole.is_zero(), big == BigUint::ZERO);
                let other =
                    u128::from(limb(&mut random)) << (random.below(3) * 32) | u128::from(limb(&mut random));
                assert_eq!(whole.exceeds(other), big > BigUint::from(other));
                if whole.exceeds(other) {
                    whole.subtract(other);
                    big -= other;
                    assert_eq!(whole.clone().into_big(), big);
                }
                let mut twice = whole.clone();
                twice.add(&whole);
                assert_eq!(twice.into_big(), &big * 2_u32);
                cases += 1;
            }
        }
        assert!(cases > 10_000 && carried > 100, "{cases} {carried}");
    }
}
