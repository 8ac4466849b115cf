//! Values in their order, found by rank.

/// Most values of a block.
const BLOCK_MAX: usize = 128;

/// A sorted list in blocks, with the number of values before each in a binary indexed tree.
///
/// - Time: O(log n) for a value to come, to leave, or to be found by rank, and a move of at most 1 KiB within its block. A block that is split
///   or joined has the tree made anew, O(n / 128), which happens once in some 32 values.
/// - Space: 8 bytes a value in blocks that are at least a quarter full on the whole.
/// - Values are finite; zero has no sign.
/// - Source: P. Fenwick, *A new data structure for cumulative frequency tables*, Software: Practice and Experience 24(3), 1994.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranks {
    /// Each sorted and not empty, none with a value less than one of the block before it.
    blocks: Vec<Vec<f64>>,
    /// `counts[b]`: values of the blocks `b + 1 - lowest bit of (b + 1) ..= b`.
    counts: Vec<u32>,
    len: usize,
}

impl Ranks {
    /// Those of some values.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let blocks = values.chunks(BLOCK_MAX / 2).map(<[f64]>::to_vec).collect();
        let mut ranks = Self { blocks, counts: vec![], len: values.len() };
        ranks.count();
        ranks
    }

    pub(crate) fn insert(&mut self, value: f64) {
        let mut place = self.block_of(value).min(self.blocks.len().saturating_sub(1));
        if self.blocks.get(place).is_some_and(|block| block.len() == BLOCK_MAX) {
            let half = self.blocks[place].split_off(BLOCK_MAX / 2);
            let is_in_half = half[0] < value;
            self.blocks.insert(place + 1, half);
            self.count();
            place += usize::from(is_in_half);
        }
        self.len += 1;
        match self.blocks.get_mut(place) {
            Some(block) => {
                block.insert(block.partition_point(|other| *other < value), value);
                self.add(place, 1);
            }
            None => {
                self.blocks.push(vec![value]);
                self.count();
            }
        }
    }

    /// Takes a value out that there is.
    pub(crate) fn remove(&mut self, value: f64) {
        self.len -= 1;
        let place = self.block_of(value);
        let block = &mut self.blocks[place];
        let index = block.partition_point(|other| *other < value);
        debug_assert!(block[index] == value, "{value} is not there");
        block.remove(index);
        let left = block.len();
        if left >= BLOCK_MAX / 4 {
            return self.add(place, -1);
        }
        // Few are left: to a neighbour that has room.
        let room = |other: &Vec<f64>| left + other.len() <= BLOCK_MAX * 3 / 4;
        if self.blocks.get(place + 1).is_some_and(room) {
            let next = self.blocks.remove(place + 1);
            self.blocks[place].extend(next);
        } else if place > 0 && room(&self.blocks[place - 1]) {
            let few = self.blocks.remove(place);
            self.blocks[place - 1].extend(few);
        } else if left == 0 {
            self.blocks.remove(place);
        } else {
            return self.add(place, -1);
        }
        self.count();
    }

    /// The first block that ends with the value or a greater one.
    fn block_of(&self, value: f64) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(|last| *last < value))
    }

    fn add(&mut self, block: usize, change: i32) {
        let mut place = block;
        while let Some(count) = self.counts.get_mut(place) {
            *count = count.checked_add_signed(change).expect("no more leave than have come");
            place |= place + 1;
        }
    }

    fn count(&mut self) {
        self.counts.clear();
        self.counts.extend(self.blocks.iter().map(|block| block.len() as u32));
        for place in 0..self.counts.len() {
            let count = self.counts[place];
            if let Some(above) = self.counts.get_mut(place | (place + 1)) {
                *above += count;
            }
        }
    }

    /// The value with so many before it; there are more than that.
    pub(crate) fn at(&self, rank: usize) -> f64 {
        debug_assert!(rank < self.len, "rank {rank} of {}", self.len);
        let (mut block, mut left) = (0, rank as u32);
        let mut step = self.counts.len().next_power_of_two();
        while step > 0 {
            // Blocks so far are whole; so many more may be.
            if let Some(count) = self.counts.get(block + step - 1).filter(|count| **count <= left) {
                left -= count;
                block += step;
            }
            step /= 2;
        }
        self.blocks[block][left as usize]
    }

    /// The one in the middle, or half of each of two. There is a value.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.len / 2;
        if self.len % 2 == 1 { self.at(middle) } else { (self.at(middle - 1) + self.at(middle)) / 2.0 }
    }

    /// The value that this share of the others is below, linear between neighbours. There is a value.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let place = share * (self.len - 1) as f64;
        let (left, right) = (self.at(place.floor() as usize), self.at(place.ceil() as usize));
        left + (right - left) * (place - place.floor())
    }

    /// The median of distances from the median.
    pub(crate) fn median_distance(&self, median: f64) -> f64 {
        let middle = self.len / 2;
        let upper = self.distance_at(median, middle);
        if self.len % 2 == 1 { upper } else { (self.distance_at(median, middle - 1) + upper) / 2.0 }
    }

    /// The mean of distances from the median, added up in order of values.
    pub(crate) fn mean_distance(&self, median: f64) -> f64 {
        let values = self.blocks.iter().flatten();
        values.map(|value| (value - median).abs()).sum::<f64>() / self.len as f64
    }

    /// The distance from the median with so many less, of those below and those above, each in their order from it on.
    fn distance_at(&self, median: f64, rank: usize) -> f64 {
        let half = self.len / 2;
        let below = |place: usize| median - self.at(half - 1 - place);
        let above = |place: usize| self.at(half + place) - median;
        // How many of the least `rank + 1` are below.
        let (mut least, mut most) = ((rank + 1).saturating_sub(self.len - half), half.min(rank + 1));
        while least < most {
            let taken = usize::midpoint(least, most);
            if above(rank - taken) > below(taken) {
                least = taken + 1;
            } else {
                most = taken;
            }
        }
        let last_below = if least > 0 { below(least - 1) } else { 0.0 };
        let last_above = if least <= rank { above(rank - least) } else { 0.0 };
        last_below.max(last_above)
    }

    /// Bytes held beside the struct itself.
    pub(crate) fn bytes(&self) -> usize {
        let values: usize = self.blocks.iter().map(Vec::capacity).sum();
        values * size_of::<f64>()
            + self.blocks.capacity() * size_of::<Vec<f64>>()
            + self.counts.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few different values, so that many are equal.
    fn values(count: usize) -> impl Iterator<Item = f64> {
        let mut state = 88_172_645_463_325_252_u64;
        (0..count).map(move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 701) as f64 / 4.0
        })
    }

    #[test]
    fn ranks_are_those_of_a_sorted_list() {
        let (mut checked, mut blocks) = (0, 0);
        for recent in [1, 2, 7, 100, 1_000, 3_000] {
            let all: Vec<f64> = values(4 * recent + 50).collect();
            let mut ranks = Ranks::default();
            for (row, value) in all.iter().enumerate() {
                if row >= recent {
                    ranks.remove(all[row - recent]);
                }
                ranks.insert(*value);
                if row % (recent / 20 + 1) != 0 {
                    continue;
                }
                let mut sorted = all[(row + 1).saturating_sub(recent)..=row].to_vec();
                sorted.sort_by(f64::total_cmp);
                let found: Vec<f64> = (0..sorted.len()).map(|rank| ranks.at(rank)).collect();
                assert_eq!(found, sorted, "{recent} at row {row}");
                let median = ranks.median();
                let mut distances: Vec<f64> = sorted.iter().map(|value| (value - median).abs()).collect();
                distances.sort_by(f64::total_cmp);
                for (rank, distance) in distances.iter().enumerate() {
                    assert_eq!(ranks.distance_at(median, rank), *distance, "{recent} at row {row}");
                }
                assert_eq!((ranks.quantile(0.0), ranks.quantile(1.0)), (sorted[0], sorted[sorted.len() - 1]));
                assert_eq!(Ranks::of(sorted).median_distance(median), ranks.median_distance(median));
                checked += 1;
            }
            blocks = ranks.blocks.len();
            while ranks.len > 0 {
                ranks.remove(ranks.at(ranks.len / 3));
            }
            assert!(ranks.blocks.is_empty());
        }
        assert!(checked > 300 && blocks > 20, "{checked} checked, {blocks} blocks");
    }
}
