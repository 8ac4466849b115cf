//! The runs of a loop that are under way, and those that were complete: numbers as long as the loop is.

use std::collections::VecDeque;

use super::whole::Whole;

/// Limbs of the times of a stretch, the last of which is for what is carried.
const TIMES: usize = 2;
/// How many limbs before the point a stretch is long at most, and so how many behind it what is under way may need.
const STRETCH: u64 = TIMES as u64 - 1;

/// How many runs are under way, in halves: a run that began when the loop had taken `d` rows is `2^-d`, so that neither the
/// loop's next row nor one that leaves changes anything. Times `2^d`, d of now, that is how many runs there are now.
///
/// Each is one bit. As many as there are rows have a sum of 32 bits more, which the limb before that of the oldest holds.
///
/// What is complete is not added up at once. Of a stretch of rows the `2^d` of the times at which runs were complete are
/// summed: one bit a time. Whatever is under way at its end is multiplied by that sum, and is too much by what was summed before
/// a run began, too little by what was summed before a run left: both are a shift of so few limbs, made when it happens.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// The most significant first. The bit of d is in limb number `d / 64 + 1`, rounded up, which counts `2^64` to the power of
    /// one less its number.
    limbs: Vec<u64>,
    /// The number of the first of them.
    base: u64,
    /// Stamp and d of each that may leave, the oldest first.
    began: VecDeque<(i64, u64)>,
    pub(super) runs: u64,
    /// The d of the oldest, if there is one.
    pub(super) oldest: u64,
    /// What was complete before the stretch, and too much of it: with as many limbs behind the point as a stretch is long.
    complete: Whole,
    too_much: Whole,
    /// The sum of `2^d` of the stretch, the least significant limb first, without the zeros of as many limbs as `stretch` says.
    times: [u64; TIMES],
    stretch: u64,
    /// Whether there are such times.
    timed: bool,
}

impl UnderWay {
    /// Ends all runs.
    pub(super) fn clear(&mut self) {
        self.settle();
        self.limbs.clear();
        self.began.clear();
        self.runs = 0;
    }

    /// The runs that were complete since it was last asked; ends all others.
    pub(super) fn take_total(&mut self) -> Whole {
        self.clear();
        self.subtract();
        let mut total = std::mem::take(&mut self.complete);
        total.drop_low(STRETCH as usize);
        total
    }

    /// Whether more than this were complete.
    pub(super) fn exceeds(&mut self, other: u128) -> bool {
        self.settle();
        self.subtract();
        self.complete.exceeds(STRETCH as usize, other)
    }

    fn subtract(&mut self) {
        self.complete.take_away(&self.too_much);
        self.too_much = Whole::default();
    }

    /// Ends the stretch; gives how many limbs were multiplied.
    fn settle(&mut self) -> usize {
        if !self.timed {
            return 0;
        }
        let mut limbs = 0;
        if self.runs > 0 {
            let behind = self.base + self.limbs.len() as u64 - 2;
            self.complete.add_product(&self.limbs, &self.times, (self.stretch + STRETCH - behind) as usize);
            limbs = self.limbs.len() * TIMES;
        }
        self.times = [0; TIMES];
        self.timed = false;
        limbs
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        self.limbs.capacity() * size_of::<u64>() + self.began.capacity() * size_of::<(i64, u64)>()
    }

    /// By how much a run is to be shifted.
    #[inline]
    fn shift(&self, doublings: u64) -> u64 {
        64 * (self.stretch + STRETCH) - doublings
    }

    /// One more, behind all others; `stamp` is kept if it may leave.
    #[inline]
    pub(super) fn begin(&mut self, doublings: u64, stamp: Option<i64>) {
        let number = number_of(doublings);
        if self.runs == 0 {
            self.clear();
            self.base = number - 1;
            self.oldest = doublings;
        }
        if self.timed {
            if doublings / 64 >= self.stretch + STRETCH {
                self.settle();
            } else {
                self.too_much.add_shifted(&self.times, self.shift(doublings));
            }
        }
        self.reach(number);
        self.change(doublings, u64::overflowing_add);
        self.runs += 1;
        if let Some(stamp) = stamp {
            self.began.push_back((stamp, doublings));
        }
    }

    /// Ends the runs whose first row is more than `limit` before `now`.
    #[inline]
    pub(super) fn expire(&mut self, now: i64, limit: i64) {
        while let Some((stamp, doublings)) = self.began.front().copied()
            && now.saturating_sub(stamp) > limit
        {
            self.began.pop_front();
            if self.timed {
                self.complete.add_shifted(&self.times, self.shift(doublings));
            }
            self.runs -= 1;
            self.change(doublings, u64::overflowing_sub);
            self.oldest = self.began.front().map_or(doublings, |(_, doublings)| *doublings);
        }
    }

    /// Adds or takes away a bit.
    #[inline]
    fn change(&mut self, doublings: u64, by: impl Fn(u64, u64) -> (u64, bool)) {
        let mut place = (number_of(doublings) - self.base) as usize;
        let mut bit = 1 << (doublings.wrapping_neg() % 64);
        loop {
            let (changed, beyond) = by(self.limbs[place], bit);
            self.limbs[place] = changed;
            if !beyond {
                return;
            }
            (place, bit) = (place - 1, 1);
        }
    }

    /// Makes room for a bit; drops limbs that are zero for good once they are the greater part.
    #[inline]
    fn reach(&mut self, number: u64) {
        let over = number_of(self.oldest) - 1 - self.base;
        if over as usize > self.limbs.len() / 2 {
            self.limbs.drain(..over as usize);
            self.base += over;
        }
        let place = (number - self.base) as usize;
        if self.limbs.len() <= place {
            self.limbs.resize(place + 1, 0);
        }
    }

    /// Has all that are under way be complete once more; gives how many limbs that took.
    #[inline]
    pub(super) fn complete(&mut self, doublings: u64) -> usize {
        let mut limbs = 1;
        if doublings / 64 >= self.stretch + STRETCH {
            limbs += self.settle();
        }
        if !self.timed {
            self.timed = true;
            self.stretch = doublings / 64;
        }
        let (mut place, mut bit) = ((doublings / 64 - self.stretch) as usize, 1 << (doublings % 64));
        loop {
            let (sum, beyond) = self.times[place].overflowing_add(bit);
            self.times[place] = sum;
            if !beyond {
                return limbs;
            }
            (place, bit) = (place + 1, 1);
        }
    }
}

/// The number of the limb that a bit is in.
#[inline]
fn number_of(doublings: u64) -> u64 {
    doublings.div_ceil(64) + 1
}

#[cfg(test)]
mod tests {
    use cepheid_testkit::SplitMix64;
    use num_bigint::BigUint;

    use super::*;

    #[test]
    fn what_is_summed_by_stretches_is_what_would_have_been_added() {
        let (mut ended, mut dropped, mut left, mut added, mut asked) = (0, 0, 0, 0, 0);
        for seed in 0..300 {
            let mut random = SplitMix64::new(seed);
            let (mut ways, mut total) = (UnderWay::default(), BigUint::ZERO);
            let mut runs: VecDeque<(i64, u64)> = VecDeque::new();
            let (mut now, mut doublings) = (0, random.below(200) as u64);
            let limit = random.between(1, 400);
            // Jumps of many limbs, or none; as many runs at one place as carry into the limb before it, or few.
            let (far, many) = (random.below(4) == 0, random.below(3) == 0);
            for _ in 0..300 {
                doublings += match random.below(8) {
                    0 if far => random.below(3_000) as u64,
                    0 => 63 + random.below(3) as u64,
                    1 | 2 => 0,
                    _ => random.below(40) as u64,
                };
                now += random.between(0, 4);
                left += usize::from(ways.timed) * ways.runs as usize;
                ways.expire(now, limit);
                left -= usize::from(ways.timed) * ways.runs as usize;
                while runs.front().is_some_and(|(stamp, _)| now - stamp > limit) {
                    runs.pop_front();
                }
                assert_eq!(ways.runs as usize, runs.len());
                if random.below(2) == 0 && !runs.is_empty() {
                    ended += usize::from(ways.complete(doublings) > 1);
                    let sum = runs.iter().map(|(_, began)| BigUint::from(1_u32) << (doublings - began));
                    total += sum.sum::<BigUint>();
                    added += 1;
                }
                let new = if many { random.below(40) } else { usize::from(random.below(3) == 0) };
                for _ in 0..new {
                    let before = ways.base;
                    let none = ways.runs == 0;
                    ways.begin(doublings, Some(now));
                    dropped += usize::from(ways.base > before && !none);
                    runs.push_back((now, doublings));
                }
                if random.below(40) == 0 {
                    let other = random.next_u64() >> random.below(64);
                    assert_eq!(ways.exceeds(u128::from(other)), total > BigUint::from(other), "seed {seed}");
                    asked += 1;
                }
                if random.below(200) == 0 {
                    ways.clear();
                    runs.clear();
                }
            }
            assert_eq!(ways.take_total().into_big(), total, "seed {seed}");
        }
        let enough = ended > 2_000 && dropped > 100 && left > 2_000 && asked > 1_000;
        assert!(enough, "{ended} {dropped} {left} {asked} of {added}");
    }
}
