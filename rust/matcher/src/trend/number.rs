//! The numbers that runs are counted and summed in.

use num_bigint::BigUint;

/// A number with sums and products.
pub trait Number: Clone + std::fmt::Debug + Send + Sync {
    /// Nothing.
    fn zero() -> Self;
    /// One run.
    fn one() -> Self;
    /// Whether it is nothing.
    fn is_zero(&self) -> bool;
    /// Adds another.
    fn add(&mut self, other: &Self);
    /// The product.
    fn times(&self, other: &Self) -> Self;
    /// Whether it is past what such numbers hold, as all that is added to it then is.
    fn is_lost(&self) -> bool {
        false
    }
    /// Whether sums and products of such numbers are the same in any order, be something lost on the way or not.
    fn takes_any_order(&self) -> bool;
}

/// A whole number of up to 127 bits and a sign, or "more than that", which sums and products keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact(i128);

impl Exact {
    const BEYOND: Self = Self(i128::MIN);

    /// The number.
    pub fn new(value: i128) -> Self {
        Self(value)
    }

    /// A number of any size.
    pub fn of(value: &BigUint) -> Self {
        i128::try_from(value).map_or(Self::BEYOND, Self)
    }

    /// The number; `None` if it is beyond 127 bits.
    pub fn get(self) -> Option<i128> {
        (self != Self::BEYOND).then_some(self.0)
    }
}

impl Number for Exact {
    fn zero() -> Self {
        Self(0)
    }

    fn one() -> Self {
        Self(1)
    }

    #[inline]
    fn is_zero(&self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn add(&mut self, other: &Self) {
        *self = match self.0.checked_add(other.0) {
            Some(sum) if *self != Self::BEYOND && *other != Self::BEYOND => Self(sum),
            _ => Self::BEYOND,
        };
    }

    #[inline]
    fn times(&self, other: &Self) -> Self {
        // Most are small, and their product is one instruction.
        if let (Ok(left), Ok(right)) = (i64::try_from(self.0), i64::try_from(other.0)) {
            return Self(i128::from(left) * i128::from(right));
        }
        if self.is_zero() || other.is_zero() {
            return Self(0);
        }
        match self.0.checked_mul(other.0) {
            Some(product) if *self != Self::BEYOND && *other != Self::BEYOND => Self(product),
            _ => Self::BEYOND,
        }
    }

    fn is_lost(&self) -> bool {
        *self == Self::BEYOND
    }

    fn takes_any_order(&self) -> bool {
        // A sum of which a part is lost is beyond 127 bits, unless something negative could bring it back.
        self.0 >= 0
    }
}

/// A count below `u64::MAX`, which is "too many": sums and products that stop there keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Small(u64);

impl Small {
    /// The number; `None` if there are too many.
    pub fn get(self) -> Option<u64> {
        (self.0 < u64::MAX).then_some(self.0)
    }
}

impl Number for Small {
    fn zero() -> Self {
        Self(0)
    }

    fn one() -> Self {
        Self(1)
    }

    #[inline]
    fn is_zero(&self) -> bool {
        self.0 == 0
    }

    #[inline]
    fn add(&mut self, other: &Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    #[inline]
    fn times(&self, other: &Self) -> Self {
        Self(self.0.saturating_mul(other.0))
    }

    #[inline]
    fn is_lost(&self) -> bool {
        self.0 == u64::MAX
    }

    fn takes_any_order(&self) -> bool {
        true
    }
}

impl Number for BigUint {
    fn zero() -> Self {
        Self::ZERO
    }

    fn one() -> Self {
        Self::from(1_u8)
    }

    fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    fn add(&mut self, other: &Self) {
        *self += other;
    }

    fn times(&self, other: &Self) -> Self {
        self * other
    }

    fn takes_any_order(&self) -> bool {
        true
    }
}

/// A float of 53 bits whose exponent does not end at 1024: numbers of runs double with every row of a loop, and their
/// quotients are small again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wide {
    /// Zero, not finite, or of absolute value from 2^-512 to below 2^512.
    mantissa: f64,
    /// The value is `mantissa * 2^(512 * exponent)`.
    exponent: i64,
}

/// A step of the exponent.
const STEP: f64 = f64::from_bits((1023 + 512) << 52);
const STEP_DOWN: f64 = f64::from_bits((1023 - 512) << 52);

impl Wide {
    /// The number.
    pub fn new(value: f64) -> Self {
        Self { mantissa: value, exponent: 0 }.settled()
    }

    /// The float nearest to a number of any size, infinite past the greatest.
    pub fn nearest(value: &BigUint) -> Self {
        let shift = value.bits().saturating_sub(64);
        let top = (value >> shift).iter_u64_digits().next().unwrap_or(0);
        // Whether anything is left of what is dropped decides which way a half is rounded.
        let dropped = value.trailing_zeros().is_some_and(|zeros| zeros < shift);
        let top = (top | u64::from(dropped)) as f64;
        Self::new(if shift < 1024 { top * f64::from_bits((1023 + shift) << 52) } else { f64::INFINITY })
    }

    /// The nearest float: infinite past the greatest.
    pub fn to_f64(self) -> f64 {
        match self.exponent {
            0 => self.mantissa,
            1 => self.mantissa * STEP,
            -1 => self.mantissa * STEP_DOWN,
            exponent if exponent > 0 => self.mantissa * f64::INFINITY,
            _ => 0.0 * self.mantissa,
        }
    }

    /// The quotient as a float.
    pub fn over(self, divisor: Self) -> f64 {
        Self { mantissa: self.mantissa / divisor.mantissa, exponent: self.exponent - divisor.exponent }
            .settled()
            .to_f64()
    }

    #[inline]
    fn settled(self) -> Self {
        if (STEP_DOWN..STEP).contains(&self.mantissa.abs()) { self } else { self.moved() }
    }

    #[cold]
    fn moved(mut self) -> Self {
        let size = self.mantissa.abs();
        if size >= STEP {
            if size.is_finite() {
                self.mantissa *= STEP_DOWN;
                self.exponent += 1;
            }
        } else if size < STEP_DOWN && size > 0.0 {
            self.mantissa *= STEP;
            self.exponent -= 1;
        } else if size == 0.0 {
            self.exponent = 0;
        }
        self
    }
}

impl Number for Wide {
    fn zero() -> Self {
        Self { mantissa: 0.0, exponent: 0 }
    }

    fn one() -> Self {
        Self { mantissa: 1.0, exponent: 0 }
    }

    #[inline]
    fn is_zero(&self) -> bool {
        self.mantissa == 0.0
    }

    #[inline]
    fn add(&mut self, other: &Self) {
        if self.exponent == other.exponent {
            self.mantissa += other.mantissa;
            *self = self.settled();
            return;
        }
        if other.is_zero() {
            return;
        }
        if self.is_zero() {
            *self = *other;
            return;
        }
        // A step apart, the smaller one may still reach the last bit; two apart it does not.
        let (mut great, small) =
            if self.exponent >= other.exponent { (*self, *other) } else { (*other, *self) };
        let scaled = match great.exponent - small.exponent {
            1 => small.mantissa * STEP_DOWN,
            // What is not finite stays that at any distance.
            _ if small.mantissa.is_finite() => 0.0,
            _ => small.mantissa,
        };
        great.mantissa += scaled;
        *self = great.settled();
    }

    #[inline]
    fn times(&self, other: &Self) -> Self {
        // No runs have no value, whatever the values of those that they could go on as.
        if self.is_zero() || other.is_zero() {
            return Self::zero();
        }
        let exponent = self.exponent + other.exponent;
        Self { mantissa: self.mantissa * other.mantissa, exponent }.settled()
    }

    fn takes_any_order(&self) -> bool {
        // Each sum is rounded.
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_127_bits_stays_beyond_unless_nothing_is_made_of_it() {
        let great = Exact::new(1 << 100);
        assert_eq!(great.times(&great).get(), None);
        let mut sum = great.times(&great);
        sum.add(&Exact::new(-5));
        assert_eq!(sum.get(), None);
        assert_eq!(sum.times(&Exact::zero()).get(), Some(0));
        assert_eq!(Exact::zero().times(&sum).get(), Some(0));
        let mut most = Exact::new(i128::MAX);
        most.add(&Exact::one());
        assert_eq!(most.get(), None);
        assert_eq!(Exact::new(1 << 70).times(&Exact::new(-3)).get(), Some(-3 << 70));
    }

    #[test]
    fn the_nearest_float_is_that_of_the_digits() {
        let mut random = cepheid_testkit::SplitMix64::new(11);
        let (mut halves, mut infinite) = (0, 0);
        for _ in 0..4_000 {
            let value = BigUint::from(random.next_u64()) << random.below(1_000);
            // Halves between two floats, and what is a little more or less.
            let half = (BigUint::from(random.next_u64() >> 11 | 1 << 52) * 2_u32 + 1_u32)
                << (1 + random.below(1_000));
            for value in [value, &half - 1_u32, &half + 1_u32, half] {
                let right: f64 = value.to_string().parse().expect("digits");
                assert_eq!(Wide::nearest(&value).to_f64().to_bits(), right.to_bits(), "{value}");
                let exact = Exact::of(&value).get();
                assert_eq!(
                    exact.map(|exact| exact.to_string()),
                    (value.bits() < 128).then(|| value.to_string())
                );
                halves += usize::from(value.bits() > 128);
                infinite += usize::from(right.is_infinite());
            }
        }
        assert!(halves > 10_000 && infinite > 100, "{halves} {infinite}");
        assert_eq!(Wide::nearest(&BigUint::ZERO).to_f64(), 0.0);
    }

    #[test]
    fn too_many_stay_too_many_unless_nothing_is_made_of_them() {
        let mut most = Small(u64::MAX - 1);
        assert_eq!(most.times(&Small::one()).get(), Some(u64::MAX - 1));
        most.add(&Small::one());
        assert!(most.is_lost());
        most.add(&Small(7));
        assert_eq!(most.times(&Small(3)).get(), None);
        assert_eq!(most.times(&Small::zero()).get(), Some(0));
        assert_eq!(Small(1 << 40).times(&Small(1 << 30)).get(), None);
    }

    #[test]
    fn a_wide_number_goes_past_the_floats_and_comes_back() {
        let mut number = Wide::one();
        for _ in 0..10_000 {
            number = number.times(&Wide::new(2.0));
        }
        assert_eq!(number.to_f64(), f64::INFINITY);
        assert_eq!(number.times(&Wide::new(3.0)).over(number), 3.0);
        let mut sum = number;
        sum.add(&number);
        assert_eq!(sum.over(number), 2.0);
        assert_eq!(Wide::new(1e300).times(&Wide::new(1e-300)).to_f64(), 1e300 * 1e-300);
        let mut mixed = Wide::new(1e200);
        mixed.add(&Wide::new(-1e200));
        assert!(mixed.is_zero());
        mixed.add(&Wide::new(0.5));
        assert_eq!(mixed.to_f64(), 0.5);
        assert_eq!(Wide::new(5e-324).to_f64(), 5e-324);
        assert!(Wide::new(f64::NAN).times(&Wide::one()).to_f64().is_nan());
        assert_eq!(Wide::new(f64::INFINITY).times(&Wide::zero()).to_f64(), 0.0);
    }
}
