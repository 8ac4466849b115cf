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

    /// Adds a number of few limbs, the least significant first, times `2^shift`.
    #[inline]
    pub(super) fn add_shifted<const N: usize>(&mut self, number: &[u64; N], shift: u64) {
        let (above, shift) = ((shift / 64) as usize, shift % 64);
        self.reach(above + N + 1);
        let (low, high) = self.limbs[above..].split_at_mut(N + 1);
        let (mut carry, mut below) = (false, 0);
        let own = number.iter().copied().chain([0]);
        for (sum, limb) in low.iter_mut().zip(own) {
            let shifted = limb << shift | (below >> 1) >> (63 - shift);
            carry = add_with(sum, shifted, carry);
            below = limb;
        }
        if carry && !carry_into(high) {
            self.limbs.push(1);
        }
    }

    /// Adds a product: of limbs, the most significant first, and of limbs, the least significant first; times `2^64` to the
    /// power of `above`.
    ///
    /// - Time: O(limbs of the one, times those of the other that are not zero).
    pub(super) fn add_product(&mut self, left: &[u64], right: &[u64], above: usize) {
        // One more, so that nothing is carried past the end but by a sum that grows.
        self.reach(above + left.len() + right.len());
        for (above, factor) in (above..).zip(right).filter(|(_, factor)| **factor != 0) {
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
        self.reach(other.limbs.len());
        let (low, high) = self.limbs.split_at_mut(other.limbs.len());
        let mut carry = false;
        for (sum, limb) in low.iter_mut().zip(&other.limbs) {
            carry = add_with(sum, *limb, carry);
        }
        if carry && !carry_into(high) {
            self.limbs.push(1);
        }
    }

    /// Leaves out the least significant limbs.
    pub(super) fn drop_low(&mut self, limbs: usize) {
        self.limbs.drain(..limbs.min(self.limbs.len()));
    }

    /// Whether it is more, without its `low` least significant limbs.
    pub(super) fn exceeds(&self, low: usize, other: u128) -> bool {
        let limb = |place: usize| self.limbs.get(low + place).copied().unwrap_or(0);
        let value = u128::from(limb(1)) << 64 | u128::from(limb(0));
        value > other || self.limbs.iter().skip(low + 2).any(|limb| *limb != 0)
    }

    /// Takes away another, which it is not less than.
    pub(super) fn take_away(&mut self, other: &Self) {
        self.reach(other.limbs.len());
        let mut borrow = false;
        for (place, limb) in self.limbs.iter_mut().enumerate() {
            if place >= other.limbs.len() && !borrow {
                return;
            }
            let taken = other.limbs.get(place).copied().unwrap_or(0);
            let (difference, below) = limb.overflowing_sub(taken);
            let (difference, more) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = below | more;
        }
        debug_assert!(!borrow, "less than what is taken away");
    }

    /// Takes away what it is not less than.
    pub(super) fn subtract(&mut self, other: u128) {
        self.take_away(&Self { limbs: vec![other as u64, (other >> 64) as u64] });
    }

    pub(super) fn into_big(self) -> BigUint {
        let digits = self.limbs.iter().flat_map(|limb| [*limb as u32, (limb >> 32) as u32]);
        BigUint::new(digits.collect())
    }
}

/// Adds a limb and what is carried; whether there is something to carry on.
#[inline]
fn add_with(sum: &mut u64, limb: u64, carry: bool) -> bool {
    let (with, over) = sum.overflowing_add(limb);
    let (with, more) = with.overflowing_add(u64::from(carry));
    *sum = with;
    over | more
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
                let few = [limb(&mut random), limb(&mut random)];
                let (shift, above) = (random.below(200) as u64, random.below(3));
                let least_first = |limbs: &[u64]| {
                    limbs.iter().rev().fold(BigUint::ZERO, |value, limb| (value << 64) + *limb)
                };
                let value = limbs.iter().fold(BigUint::ZERO, |value, limb| (value << 64) + *limb);
                let length = whole.limbs.len();
                whole.add_shifted(&few, shift);
                big += least_first(&few) << shift;
                carried += usize::from(whole.limbs.len() > length.max(few.len() + 1 + shift as usize / 64));
                assert_eq!(whole.clone().into_big(), big);
                let length = whole.limbs.len();
                whole.add_product(&limbs, &factor, above);
                big += (value * least_first(&factor)) << (64 * above);
                carried += usize::from(whole.limbs.len() > length.max(limbs.len() + factor.len() + above));
                assert_eq!(whole.clone().into_big(), big);
                assert_eq!(whole.is_zero(), big == BigUint::ZERO);
                let other =
                    u128::from(limb(&mut random)) << (random.below(3) * 32) | u128::from(limb(&mut random));
                assert_eq!(whole.exceeds(above, other), &big >> (64 * above) > BigUint::from(other));
                let mut low = whole.clone();
                low.drop_low(above);
                assert_eq!(low.into_big(), &big >> (64 * above));
                if whole.exceeds(0, other) {
                    whole.subtract(other);
                    big -= other;
                    assert_eq!(whole.clone().into_big(), big);
                }
                let mut twice = whole.clone();
                twice.add(&whole);
                assert_eq!(twice.clone().into_big(), &big * 2_u32);
                twice.take_away(&whole);
                assert_eq!(twice.into_big(), big);
                cases += 1;
            }
        }
        assert!(cases > 10_000 && carried > 100, "{cases} {carried}");
    }
}
