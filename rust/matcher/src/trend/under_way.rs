//! The runs of a loop that are under way, and those that were complete: numbers as long as the loop is.

use std::collections::VecDeque;
use std::ops::Range;

use super::whole::Whole;

/// Limbs of a number from which on those in its middle are put off, and how many of its ends are not: see [`UnderWay`].
const LONG: usize = 16;
const ENDS: usize = 4;

/// How many runs are under way, in halves: a run that began when the loop had taken `d` rows is `2^-d`, so that neither the
/// loop's next row nor one that leaves changes anything. Times `2^d`, d of now, that is how many runs there are now.
///
/// Each is one bit. As many as there are rows have a sum of 32 bits more, which the limb before that of the oldest holds.
///
/// Runs that begin change the last limbs, those that end the first. What is between stays the same for long, and is not
/// added to the total each time that runs are complete: it is multiplied, now and then, by the sum of the `2^d` of these times.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// The most significant first. The bit of d is in limb number `d / 64 + 1`, the greater the lower.
    limbs: Vec<u64>,
    /// The number of the first of them.
    base: u64,
    /// Stamp and d of each that may leave, the oldest first.
    began: VecDeque<(i64, u64)>,
    pub(super) runs: u64,
    /// The d of the oldest, if there is one.
    pub(super) oldest: u64,
    /// Runs that were complete so far, but for what is put off.
    pub(super) total: Whole,
    /// The numbers of limbs that are put off.
    held: Range<u64>,
    /// What they are to be multiplied by, the least significant limb first.
    times: [u64; ENDS],
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
        std::mem::take(&mut self.total)
    }

    /// Adds what is put off to the total.
    fn settle(&mut self) {
        if !self.held.is_empty() {
            let (begin, end) = ((self.held.start - self.base) as usize, (self.held.end - self.base) as usize);
            self.total.add_product(&self.limbs[begin..end], &self.times);
        }
        self.held = 0..0;
        self.times = [0; ENDS];
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        self.limbs.capacity() * size_of::<u64>() + self.began.capacity() * size_of::<(i64, u64)>()
    }

    fn place(&self, doublings: u64) -> usize {
        (doublings / 64 + 1 - self.base) as usize
    }

    /// One more, behind all others; `stamp` is kept if it may leave.
    pub(super) fn begin(&mut self, doublings: u64, stamp: Option<i64>) {
        if self.runs == 0 {
            self.clear();
            self.base = doublings / 64;
            self.oldest = doublings;
        }
        self.reach(doublings);
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
            self.runs -= 1;
            self.change(doublings, u64::overflowing_sub);
            self.oldest = self.began.front().map_or(doublings, |(_, doublings)| *doublings);
        }
    }

    /// Adds or takes away a bit.
    #[inline]
    fn change(&mut self, doublings: u64, by: impl Fn(u64, u64) -> (u64, bool)) {
        let mut number = doublings / 64 + 1;
        let mut bit = 1 << (63 - doublings % 64);
        while bit != 0 {
            if self.held.contains(&number) {
                self.settle();
            }
            let limb = &mut self.limbs[(number - self.base) as usize];
            let (changed, beyond) = by(*limb, bit);
            *limb = changed;
            bit = u64::from(beyond);
            number -= bit;
        }
    }

    /// Makes room for a bit; drops limbs that are zero for good once they are the greater part.
    fn reach(&mut self, doublings: u64) {
        let over = self.oldest / 64 - self.base;
        if over as usize > self.limbs.len() / 2 {
            self.limbs.drain(..over as usize);
            self.base += over;
            self.held.start = self.held.start.max(self.base).min(self.held.end);
        }
        let place = self.place(doublings);
        if self.limbs.len() <= place {
            self.limbs.resize(place + 1, 0);
        }
    }

    /// Adds as many as there are to the total; gives how many limbs were added.
    #[inline]
    pub(super) fn complete(&mut self, doublings: u64) -> usize {
        self.reach(doublings);
        let (first, last) = (self.place(self.oldest) - 1, self.place(doublings));
        let shift = 63 - (doublings % 64) as u32;
        if last - first < LONG {
            if !self.held.is_empty() {
                self.settle();
            }
            self.total.add_shifted(&self.limbs[first..=last], shift, 0);
            return last - first + 1;
        }
        self.complete_ends(doublings, first, last, shift)
    }

    fn complete_ends(&mut self, doublings: u64, first: usize, last: usize, shift: u32) -> usize {
        let mut put_off = 0;
        // The place of a bit in `times`: what is held is to be shifted by so much.
        let mut by = (doublings + 65).wrapping_sub(64 * self.held.end) as usize;
        // The last limb is for what is carried: there are fewer rows than 2^64.
        if self.held.is_empty() || by >= 64 * (ENDS - 1) {
            put_off = (self.held.end - self.held.start) as usize * ENDS;
            self.settle();
            self.held = self.base + (first + ENDS) as u64..self.base + last as u64;
            by = (doublings + 65 - 64 * self.held.end) as usize;
        }
        let (begin, end) = ((self.held.start - self.base) as usize, (self.held.end - self.base) as usize);
        self.total.add_shifted(&self.limbs[end..=last], shift, 0);
        // The limb behind them takes what is shifted out. There are none if the oldest run is of what is held.
        let above = begin.saturating_sub(first);
        let mut ends = [0; ENDS + 1];
        ends[..above].copy_from_slice(&self.limbs[begin - above..begin]);
        self.total.add_shifted(&ends[..=above], shift, last - begin);
        let (mut place, mut bit) = (by / 64, 1 << (by % 64));
        while bit != 0 {
            let (sum, beyond) = self.times[place].overflowing_add(bit);
            self.times[place] = sum;
            bit = u64::from(beyond);
            place += 1;
        }
        put_off + last - end + above + 2
    }
}

#[cfg(test)]
mod tests {
    use cepheid_testkit::SplitMix64;
    use num_bigint::BigUint;

    use super::*;

    #[test]
    fn what_is_put_off_is_what_would_have_been_added() {
        let (mut put_off, mut dropped, mut passed, mut added) = (0, 0, 0, 0);
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
                ways.expire(now, limit);
                while runs.front().is_some_and(|(stamp, _)| now - stamp > limit) {
                    runs.pop_front();
                }
                assert_eq!(ways.runs as usize, runs.len());
                if random.below(2) == 0 && !runs.is_empty() {
                    let before = ways.base;
                    ways.complete(doublings);
                    let sum = runs.iter().map(|(_, began)| BigUint::from(1_u32) << (doublings - began));
                    total += sum.sum::<BigUint>();
                    put_off += usize::from(!ways.held.is_empty());
                    passed += usize::from(ways.oldest / 64 > ways.held.start && !ways.held.is_empty());
                    dropped += usize::from(ways.base > before);
                    added += 1;
                }
                let new = if many { random.below(40) } else { usize::from(random.below(3) == 0) };
                for _ in 0..new {
                    ways.begin(doublings, Some(now));
                    runs.push_back((now, doublings));
                }
                if random.below(200) == 0 {
                    ways.clear();
                    runs.clear();
                }
            }
            assert_eq!(ways.take_total().into_big(), total, "seed {seed}");
        }
        assert!(put_off > 10_000 && dropped > 100 && passed > 100, "{put_off} {dropped} {passed} of {added}");
    }
}
