//! A bitmap of rows that can be read 64 rows at a time from any row on.

use arrow_buffer::BooleanBuffer;

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
        self.words.extend(bits.bit_chunks().iter_padded());
        self.len += bits.len();
        self.words.truncate(self.len.div_ceil(64));
        self.words.push(0);
        clear_from(&mut self.words, self.len);
    }

    /// Sets every bit that is set in another bitmap of as many rows.
    pub fn unite(&mut self, other: &Self) {
        debug_assert_eq!(self.len, other.len, "bitmaps of one table");
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
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
        let mut row = from;
        while row < end {
            let word = self.word_at(row);
            if word != 0 {
                return (row + word.trailing_zeros() as usize).min(end);
            }
            row += 64;
        }
        end
    }

    /// First clear row in `from..end`, or `end`.
    #[inline]
    pub fn next_clear(&self, from: usize, end: usize) -> usize {
        let mut row = from;
        while row < end {
            let word = self.word_at(row);
            if word != u64::MAX {
                return (row + word.trailing_ones() as usize).min(end);
            }
            row += 64;
        }
        end
    }

    /// Number of set rows in `from..end`.
    pub fn count(&self, from: usize, end: usize) -> usize {
        let inside = |row: usize| if end - row < 64 { (1_u64 << (end - row)) - 1 } else { u64::MAX };
        (from..end).step_by(64).map(|row| (self.word_at(row) & inside(row)).count_ones() as usize).sum()
    }

    /// The set rows, ascending.
    pub fn set_rows(&self) -> Vec<u32> {
        let mut rows = Vec::with_capacity(self.words.iter().map(|word| word.count_ones() as usize).sum());
        for (block, word) in self.words.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                rows.push(block as u32 * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
        rows
    }

    /// The bits of `rows`, in that order: row `i` of the answer is row `rows[i]` of this bitmap.
    pub fn gather(&self, rows: &[u32]) -> Self {
        let mut words = Vec::with_capacity(rows.len() / 64 + 2);
        for rows in rows.chunks(64) {
            let bit = |(place, row): (usize, &u32)| u64::from(self.get(*row as usize)) << place;
            words.push(rows.iter().enumerate().map(bit).fold(0, |word, bit| word | bit));
        }
        words.push(0);
        Self { words, len: rows.len() }
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

fn clear_from(words: &mut [u64], rows: usize) {
    let word = rows / 64;
    words[word] &= (1_u64 << (rows % 64)) - 1;
    words[word + 1..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_rows_and_gathered_rows_are_those_of_the_bitmap() {
        let mut checked = 0;
        for rows in [0, 1, 63, 64, 65, 128, 300_usize] {
            let truth: Vec<bool> = (0..rows).map(|row| row * row % 7 < 3).collect();
            let mut bits = Bits::with_capacity(rows);
            bits.append(&BooleanBuffer::from(truth.clone()));
            let expected: Vec<u32> = (0..rows as u32).filter(|row| truth[*row as usize]).collect();
            assert_eq!(bits.set_rows(), expected, "{rows} rows");
            let backwards: Vec<u32> = (0..rows as u32).rev().collect();
            let gathered = bits.gather(&backwards);
            assert_eq!(gathered.len(), rows);
            for (place, row) in backwards.iter().enumerate() {
                assert_eq!(gathered.get(place), truth[*row as usize], "row {row} of {rows}");
                checked += 1;
            }
            assert_eq!(gathered.words().len(), rows.div_ceil(64) + 1, "one word more than needed");
        }
        assert_eq!(checked, 621);
    }
}
