//! How many matches a row completes, none of them written down.

use super::compile::StepLists;
use super::enumerate::Enumeration;
use super::lists::Lists;

impl Enumeration {
    /// The number of matches that end in `row`; `None`: more than can be counted.
    ///
    /// Cost: O(m) for m entries that lead to them.
    pub(super) fn count(
        &mut self,
        steps: &StepLists,
        lists: &Lists,
        row: u32,
        first: Option<u32>,
    ) -> Option<u64> {
        self.mark(steps, lists, row, first);
        let mut total = 0_u64;
        for (place, shape) in steps.places.iter().enumerate() {
            // `sums[i]`: ways that lead to the first i marked entries of the place.
            let mut sums = std::mem::take(&mut self.sums[place]);
            sums.clear();
            sums.push(0);
            let own = &self.marked[place];
            for at in 0..own.len() {
                let begins = shape.starts && first.is_none_or(|first| own.rows[at] >= first);
                let mut ways = u64::from(begins);
                for (index, edge) in shape.ins.iter().enumerate() {
                    let from = steps.edges[*edge as usize].from as usize;
                    let (low, high) = own.stretches[index][at];
                    let entries = &self.marked[from].entries;
                    let known = if from == place { &entries[..at] } else { &entries[..] };
                    let low = known.partition_point(|entry| *entry < low);
                    let high = known.partition_point(|entry| *entry < high);
                    let before = if from == place { &sums } else { &self.sums[from] };
                    ways = ways.checked_add(before[high.max(low)] - before[low])?;
                }
                if shape.ends && own.rows[at] == row {
                    total = total.checked_add(ways)?;
                }
                sums.push(sums[at].checked_add(ways)?);
            }
            self.sums[place] = sums;
        }
        Some(total)
    }
}
