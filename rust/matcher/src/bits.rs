//! A bitmap of rows that can be read 64 rows at a time from any row on.

use std::ops::Range;

use arrow_buffer::BooleanBuffer;
use cepheid_event::threads::{even_stretches, on_each};

/// Of fewer rows a thread that looks for those that are set costs more than it does.
const ROWS_A_THREAD_MIN: usize = 1 << 20;

/// One bit a row.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    /// One more word than needed, zero, so that any row can be read as the low bit of 64.
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// A bitmap with room for `rows` rows.
    pub fn with_capacity(rows: usize) -> Self {
        Self { words: Vec::with_capacity(rows / 64 + 2), len: 0 }
    }

    /// `rows` bits, all set or all clear.
    pub fn filled(rows: usize, set: bool) -> Self {
        let mut words = vec![if set { u64::MAX } else { 0 }; rows.div_ceil(64) + 1];
        clear_from(&mut words, rows);
        Self { words, len: rows }
    }

    /// Appends the bits of a buffer. All appended buffers but the last hold a multiple of 64 bits.
    pub fn append(&mut self, bits: &BooleanBuffer) {
        debug_assert!(self.len.is_multiple_of(64), "appended after a ragged chunk: {} rows", self.len);
        self.words.truncate(self.len / 64);
        let bytes = &bits.values()[bits.offset() / 8..];
        if bits.offset().is_multiple_of(8) {
            let (words, _) = bytes.as_chunks::<8>();
            self.words.extend(words[..bits.len() / 64].iter().map(|word| u64::from_le_bytes(*word)));
            self.words.push(bits.bit_chunks().remainder_bits());
        } else {
            self.words.extend(bits.bit_chunks().iter_padded());
        }
        self.len += bits.len();
        self.words.truncate(self.len.div_ceil(64));
        self.words.push(0);
        clear_from(&mut self.words, self.len);
    }

    /// Appends another bitmap to one of a multiple of 64 bits.
    pub fn append_bits(&mut self, other: &Self) {
        debug_assert!(self.len.is_multiple_of(64), "appended after a ragged chunk: {} rows", self.len);
        self.words.truncate(self.len / 64);
        self.words.extend_from_slice(&other.words);
        self.len += other.len;
    }

    /// Sets every bit that is set in another bitmap of as many rows.
    pub fn unite(&mut self, other: &Self) {
        debug_assert_eq!(self.len, other.len, "bitmaps of one table");
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// `rows` bits, those set that are given.
    pub fn of_rows(rows: usize, set: impl IntoIterator<Item = u32>) -> Self {
        let mut bits = Self::filled(rows, false);
        for row in set {
            debug_assert!((row as usize) < rows);
            bits.words[row as usize / 64] |= 1 << (row % 64);
        }
        bits
    }

    /// `rows` bits, those set that are in any of some bitmaps of as many.
    pub(crate) fn union<'a>(rows: usize, masks: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut any = Self::filled(rows, false);
        masks.into_iter().for_each(|mask| any.unite(mask));
        any
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the row's bit is set.
    #[inline]
    pub fn get(&self, row: usize) -> bool {
        debug_assert!(row < self.len);
        self.words[row / 64] >> (row % 64) & 1 != 0
    }

    /// The bits of the 64 rows from `row` on; rows past the end are clear.
    #[inline]
    pub fn word_at(&self, row: usize) -> u64 {
        let (word, shift) = (row / 64, row % 64);
        let low = self.words.get(word).copied().unwrap_or(0);
        if shift == 0 {
            return low;
        }
        let high = self.words.get(word + 1).copied().unwrap_or(0);
        low >> shift | high << (64 - shift)
    }

    /// First set row in `from..end`, or `end`.
    #[inline]
    pub fn next_set(&self, from: usize, end: usize) -> usize {
        self.next(from, end, |word| word)
    }

    /// First clear row in `from..end`, or `end`.
    #[inline]
    pub fn next_clear(&self, from: usize, end: usize) -> usize {
        self.next(from, end, |word| !word)
    }

    /// First row in `from..end` whose bit is set in what is made of its word, or `end`.
    #[inline]
    fn next(&self, from: usize, end: usize, of: impl Fn(u64) -> u64) -> usize {
        if from >= end {
            return end;
        }
        let mut index = from / 64;
        let mut found = of(self.words[index]) & u64::MAX << (from % 64);
        while found == 0 {
            index += 1;
            if index * 64 >= end {
                return end;
            }
            found = of(self.words[index]);
        }
        (index * 64 + found.trailing_zeros() as usize).min(end)
    }

    /// Last set row in `from..end`.
    pub(crate) fn last_set(&self, from: usize, end: usize) -> Option<usize> {
        let mut end = end;
        while from < end {
            let word = (end - 1) / 64;
            let found = self.words[word] & u64::MAX >> (63 - (end - 1) % 64);
            if found != 0 {
                let last = word * 64 + 63 - found.leading_zeros() as usize;
                return (last >= from).then_some(last);
            }
            end = word * 64;
        }
        None
    }

    /// Number of set rows in `from..end`.
    pub fn count(&self, from: usize, end: usize) -> usize {
        let inside = |row: usize| if end - row < 64 { (1_u64 << (end - row)) - 1 } else { u64::MAX };
        (from..end).step_by(64).map(|row| (self.word_at(row) & inside(row)).count_ones() as usize).sum()
    }

    /// The bits of some rows, in another order.
    pub fn picked(&self, rows: impl Iterator<Item = u32>) -> Self {
        let mut words = vec![];
        let (mut word, mut len) = (0_u64, 0_usize);
        for row in rows {
            word |= u64::from(self.get(row as usize)) << (len % 64);
            len += 1;
            if len.is_multiple_of(64) {
                words.push(std::mem::take(&mut word));
            }
        }
        // The last word, and the zero word behind it.
        words.resize(len.div_ceil(64) + 1, 0);
        words[len / 64] |= word;
        Self { words, len }
    }

    /// The set rows, ascending.
    pub fn set_rows(&self) -> Vec<u32> {
        self.set_rows_on(1)
    }

    /// The same, written by at most so many threads, as far as there is enough for them to do.
    pub fn set_rows_on(&self, threads: usize) -> Vec<u32> {
        self.set_rows_of(even_stretches(self.len.div_ceil(64), threads.min(self.len / ROWS_A_THREAD_MIN)))
    }

    /// The set rows of all words, cut into stretches of which each is a thread's.
    fn set_rows_of(&self, stretches: Vec<Range<usize>>) -> Vec<u32> {
        let mut rows = on_each(stretches, |_, own| {
            let words = &self.words[own.clone()];
            let mut rows = Vec::with_capacity(words.iter().map(|word| word.count_ones() as usize).sum());
            for (index, word) in own.zip(words) {
                let mut word = *word;
                while word != 0 {
                    rows.push(index as u32 * 64 + word.trailing_zeros());
                    word &= word - 1;
                }
            }
            rows
        });
        if rows.len() > 1 { rows.concat() } else { rows.pop().unwrap_or_default() }
    }

    /// Words of 64 rows from row 0 on, one zero word past the end.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Words to be changed in place. The caller keeps bits past the end clear.
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

/// The bits of a word, by its number, that are of a range of rows.
#[inline]
pub(crate) fn inside(word: usize, rows: &Range<u32>) -> u64 {
    let mut inside = u64::MAX;
    if word == rows.start as usize / 64 {
        inside &= u64::MAX << (rows.start % 64);
    }
    if word == rows.end as usize / 64 {
        inside &= (1_u64 << (rows.end % 64)) - 1;
    }
    inside
}

fn clear_from(words: &mut [u64], rows: usize) {
    let word = rows / 64;
    words[word] &= (1_u64 << (rows % 64)) - 1;
    words[word + 1..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_what_the_buffer_holds_wherever_it_begins() {
        let mut checked = 0;
        let truth: Vec<bool> = (0..400).map(|row: usize| row * row % 11 < 4).collect();
        let all = BooleanBuffer::from(truth.clone());
        for begin in [0, 1, 7, 8, 16, 63, 64, 65] {
            for rows in [0, 1, 63, 64, 65, 127, 128, 300] {
                let mut bits = Bits::with_capacity(0);
                bits.append(&all.slice(64, 64));
                bits.append(&all.slice(begin, rows));
                let expected = truth[64..128].iter().chain(&truth[begin..begin + rows]);
                assert!(expected.copied().eq((0..64 + rows).map(|row| bits.get(row))), "{rows} from {begin}");
                assert_eq!(bits.words().len(), (64 + rows).div_ceil(64) + 1);
                assert!(rows % 64 == 0 || bits.word_at(64 + rows) == 0, "clear behind the end");
                checked += 1;
            }
        }
        assert_eq!(checked, 64);
    }

    #[test]
    fn set_rows_and_picked_rows_are_those_of_the_bitmap() {
        let mut checked = 0;
        for rows in [0, 1, 63, 64, 65, 128, 300_usize] {
            let truth: Vec<bool> = (0..rows).map(|row| row * row % 7 < 3).collect();
            let mut bits = Bits::with_capacity(rows);
            bits.append(&BooleanBuffer::from(truth.clone()));
            let expected: Vec<u32> = (0..rows as u32).filter(|row| truth[*row as usize]).collect();
            assert_eq!(bits.set_rows(), expected, "{rows} rows");
            assert_eq!(bits.set_rows_of(even_stretches(rows.div_ceil(64), 3)), expected, "{rows} rows");
            let backwards: Vec<u32> = (0..rows as u32).rev().collect();
            let picked = bits.picked(backwards.iter().copied());
            assert_eq!(picked.len(), rows);
            for (place, row) in backwards.iter().enumerate() {
                assert_eq!(picked.get(place), truth[*row as usize], "row {row} of {rows}");
                checked += 1;
            }
            assert_eq!(picked.words().len(), rows.div_ceil(64) + 1, "one word more than needed");
            for (from, end) in [(0, rows), (rows / 3, rows), (rows / 2, rows * 2 / 3), (rows, rows)] {
                let last = (from..end).rev().find(|row| truth[*row]);
                assert_eq!(bits.last_set(from, end), last, "{from}..{end} of {rows}");
            }
        }
        assert_eq!(checked, 621);
    }
}
