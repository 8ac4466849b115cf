//! The number of ways through places that follow one another, each of one row: what leaves the window is subtracted.

use std::ops::Range;

use super::scan::{ScanOptions, TrendRows, TrendWork, WORDS_BETWEEN_QUESTIONS};
use crate::bits::inside;
use crate::error::MatchError;
use crate::sequence::NO_TIME;

/// A number modulo a power of two.
trait Count: Copy {
    const ZERO: Self;
    /// Bits that the ways through a window may have.
    const BITS_OF_WAYS: u32;
    fn of(bit: u64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// This many if `bit` is one, none if it is zero.
    fn only_if(self, bit: u64) -> Self;
    fn widen(self) -> i128;
}

macro_rules! counts {
    ($($number:ty),*) => {$(
        impl Count for $number {
            const ZERO: Self = 0;
            // The sum of as many numbers as there are rows has up to 32 bits more, and a sign.
            const BITS_OF_WAYS: u32 = if <$number>::BITS == 128 { 95 } else { <$number>::BITS };
            #[inline]
            fn of(bit: u64) -> Self {
                Self::from(bit)
            }
            #[inline]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline]
            fn only_if(self, bit: u64) -> Self {
                self & Self::ZERO.wrapping_sub(Self::from(bit))
            }
            #[inline]
            fn widen(self) -> i128 {
                self as i128
            }
        }
    )*};
}
counts!(u64, u128);

/// `of[i][j]`: in how many ways rows of the window can be put on the places from `i` to `j`, in their order.
///
/// A row is `I + N` with `N` strictly upper triangular, and so has an inverse in whole numbers: what is oldest in the
/// product can be taken away again. Whatever overflows on the way is right again in the end, modulo the size of the
/// number, as long as what is read fits.
struct Ways<N, const K: usize> {
    of: [[N; K]; K],
}

impl<N: Count, const K: usize> Ways<N, K> {
    fn none() -> Self {
        Self { of: [[N::ZERO; K]; K] }
    }

    /// Ways through all places of which a row ends the last.
    #[inline]
    fn complete(&self) -> N {
        self.of[0][K - 1]
    }

    /// Takes a row: `bits[j]` says whether it can stand on place `j`.
    #[inline]
    fn enter(&mut self, bits: &[u64; K]) {
        for to in (0..K).rev() {
            for from in 0..to {
                self.of[from][to] = self.of[from][to].plus(self.of[from][to - 1].only_if(bits[to]));
            }
            self.of[to][to] = self.of[to][to].plus(N::of(bits[to]));
        }
    }

    /// Takes away the oldest row.
    #[inline]
    fn leave(&mut self, bits: &[u64; K]) {
        for from in (0..K).rev() {
            self.of[from][from] = self.of[from][from].minus(N::of(bits[from]));
            for to in from + 1..K {
                self.of[from][to] = self.of[from][to].minus(self.of[from + 1][to].only_if(bits[from]));
            }
        }
    }
}

/// The rows of a partition, one after another, that can stand on some of the first `K` places.
struct Cursor<'a, const K: usize> {
    masks: &'a [Option<&'a [u64]>],
    range: Range<u32>,
    word: usize,
    words: [u64; K],
    /// Those of the word that are still to come.
    open: u64,
}

impl<'a, const K: usize> Cursor<'a, K> {
    fn new(masks: &'a [Option<&'a [u64]>], range: Range<u32>) -> Self {
        let word = range.start as usize / 64;
        let mut cursor = Self { masks, range, word, words: [0; K], open: 0 };
        cursor.go_to(word);
        cursor
    }

    #[inline]
    fn go_to(&mut self, word: usize) {
        self.word = word;
        self.open = 0;
        for place in 0..K {
            self.words[place] = self.masks[place].map_or(u64::MAX, |mask| mask[word]);
            self.open |= self.words[place];
        }
        self.open &= inside(self.word, &self.range);
    }

    /// The next row, unless it stands in a word past `last`.
    #[inline]
    fn peek(&mut self, last: usize) -> Option<usize> {
        while self.open == 0 {
            if self.word >= last {
                return None;
            }
            self.go_to(self.word + 1);
        }
        Some(self.word * 64 + self.open.trailing_zeros() as usize)
    }

    /// What the next row can stand on; goes on behind it.
    #[inline]
    fn take(&mut self) -> [u64; K] {
        let bits = bits_at(&self.words, self.open.trailing_zeros());
        self.open &= self.open - 1;
        bits
    }
}

#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "adapters of arrays are not put in line in so large a function"
)]
fn bits_at<const K: usize>(words: &[u64; K], bit: u32) -> [u64; K] {
    let mut bits = [0; K];
    for place in 0..K {
        bits[place] = words[place] >> bit & 1;
    }
    bits
}

impl TrendRows<'_> {
    /// The number of matches of each partition, if the pattern is a chain of single rows with any rows between them;
    /// `None`: it is not, or the numbers might not hold the ways through a window.
    ///
    /// - Time: O(k²) a row that some condition accepts, without a branch for what it is; 64 other rows at a time.
    /// - Space: k² numbers, and none a row.
    ///
    /// # Errors
    /// [`MatchError::Interrupted`].
    pub fn count_chain(
        &self,
        options: ScanOptions,
        work: &mut TrendWork,
    ) -> Result<Option<Vec<i128>>, MatchError> {
        let Some(places) = self.matcher.chain() else { return Ok(None) };
        let masks: Vec<Option<&[u64]>> =
            places.iter().map(|place| place.map(|predicate| self.masks[predicate].words())).collect();
        macro_rules! counted {
            ($($places:literal)*) => {
                match masks.len() - 1 {
                    $($places if self.fits::<u64>($places) => {
                        Some(self.count_ways::<u64, $places>(&masks, options, work)?)
                    }
                    $places if self.fits::<u128>($places) => {
                        Some(self.count_ways::<u128, $places>(&masks, options, work)?)
                    })*
                    _ => None,
                }
            };
        }
        Ok(counted!(1 2 3 4 5 6 7))
    }

    /// Whether the ways through `places` of the rows of a window are sure to fit, and their sum in 128 bits.
    fn fits<N: Count>(&self, places: u32) -> bool {
        let rows = (0..self.rows.num_partitions()).map(|partition| self.rows.partition(partition).len());
        let most = rows.max().unwrap_or(0);
        let most = match self.limit() {
            Some(limit) if !self.by_time() => most.min(usize::try_from(limit).unwrap_or(usize::MAX)),
            _ => most,
        };
        (usize::BITS - most.leading_zeros()) * places <= N::BITS_OF_WAYS
    }

    #[inline(never)]
    fn count_ways<N: Count, const K: usize>(
        &self,
        masks: &[Option<&[u64]>],
        options: ScanOptions,
        work: &mut TrendWork,
    ) -> Result<Vec<i128>, MatchError> {
        let (first, last) = (&masks[..K], masks[K]);
        let (limit, by_time) = (self.limit(), self.by_time());
        let stamp = |row: usize| if by_time { self.time(row) } else { row as i64 };
        let mut counted = Vec::with_capacity(self.rows.num_partitions());
        let mut until_question = WORDS_BETWEEN_QUESTIONS;
        for partition in 0..self.rows.num_partitions() {
            let range = self.rows.partition(partition);
            let mut ways = Ways::<N, K>::none();
            let mut newest = Cursor::<K>::new(first, range.clone());
            let mut oldest = Cursor::<K>::new(first, range.clone());
            let mut total = 0;
            for word in range.start as usize / 64..range.end.div_ceil(64) as usize {
                until_question -= 1;
                if until_question == 0 {
                    until_question = WORDS_BETWEEN_QUESTIONS;
                    if options.interrupted.is_some_and(|interrupted| interrupted()) {
                        return Err(MatchError::Interrupted);
                    }
                }
                newest.go_to(word);
                let ends = last.map_or(u64::MAX, |mask| mask[word]) & inside(word, &range);
                let mut rows = newest.open | ends;
                work.rows += u64::from(rows.count_ones());
                while rows != 0 {
                    let bit = rows.trailing_zeros();
                    rows &= rows - 1;
                    let row = word * 64 + bit as usize;
                    let now = stamp(row);
                    if by_time && now == NO_TIME {
                        // Beyond the bound of every run, its own included.
                        ways = Ways::none();
                        oldest = Cursor::new(first, row as u32 + 1..range.end);
                        continue;
                    }
                    if let Some(limit) = limit {
                        while let Some(old) = oldest.peek(word)
                            && now.saturating_sub(stamp(old)) > limit
                        {
                            ways.leave(&oldest.take());
                            work.operations += 1;
                        }
                    }
                    total += ways.complete().only_if(ends >> bit & 1).widen();
                    ways.enter(&bits_at(&newest.words, bit));
                    work.operations += 1;
                }
                if options.first_only && total > 0 {
                    counted.push(total);
                    return Ok(counted);
                }
            }
            counted.push(total);
        }
        Ok(counted)
    }
}
