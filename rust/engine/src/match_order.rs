//! The order in which matches come out.

use cepheid_event::{OrderKey, OrderedRows, RowOrder, Table};
use cepheid_ir::OutputColumns;
use cepheid_matcher::MatchSet;

use crate::error::EngineError;
use crate::plan::Plan;

/// The matches that a search found, in the order in which they are to come out.
pub(crate) fn order_of(
    plan: &Plan,
    table: &Table,
    rows: &OrderedRows,
    set: &MatchSet,
) -> Result<Option<Vec<u32>>, EngineError> {
    match plan.pattern().output {
        OutputColumns::Standard => Ok(None),
        OutputColumns::Derived => by_last_row(plan, table, rows, set).map(Some),
    }
}

/// Matches in order of their last row, then of their first, over all partitions.
fn by_last_row(
    plan: &Plan,
    table: &Table,
    rows: &OrderedRows,
    set: &MatchSet,
) -> Result<Vec<u32>, EngineError> {
    let keys: &[OrderKey] = if rows.arrived_in_order() { &[] } else { &plan.outputs.order_by };
    let order = RowOrder::new(table, keys)?;
    let ends: Vec<(u32, u32)> = set
        .iter()
        .map(|found| (rows.arrival(found.last().unwrap_or(found.start)), rows.arrival(found.start)))
        .collect();
    let mut matches: Vec<u32> = (0..set.len() as u32).collect();
    if matches!(order, RowOrder::Arrival) {
        sort_by_place(&mut matches, |index| ends[index as usize].0);
        let tie = |pair: &[u32]| ends[pair[0] as usize].0 == ends[pair[1] as usize].0;
        if matches.windows(2).any(tie) {
            sort_by_place(&mut matches, |index| ends[index as usize].1);
            sort_by_place(&mut matches, |index| ends[index as usize].0);
        }
        return Ok(matches);
    }
    matches.sort_by(|left, right| {
        let (left, right) = (ends[*left as usize], ends[*right as usize]);
        let by_arrival = |left: u32, right: u32| order.compare(left, right).then(left.cmp(&right));
        by_arrival(left.0, right.0).then_with(|| by_arrival(left.1, right.1))
    });
    Ok(matches)
}

/// Sorts by a place in the table, keeping ties as they stand: a counting sort by eleven bits after the other.
///
/// Cost: O(items) for each eleven bits of the greatest place. Space: the items once more.
fn sort_by_place(items: &mut Vec<u32>, place: impl Fn(u32) -> u32) {
    const BITS: u32 = 11;
    let digit = |item: u32, shift: u32| (place(item) >> shift) as usize & ((1 << BITS) - 1);
    let greatest = items.iter().map(|item| place(*item)).max().unwrap_or(0);
    let mut moved = vec![0; items.len()];
    let mut shift = 0;
    while shift < u32::BITS && greatest >> shift != 0 {
        let mut next = [0_usize; 1 << BITS];
        items.iter().for_each(|item| next[digit(*item, shift)] += 1);
        let mut start = 0;
        for count in &mut next {
            start += std::mem::replace(count, start);
        }
        for item in items.iter() {
            let slot = &mut next[digit(*item, shift)];
            moved[*slot] = *item;
            *slot += 1;
        }
        std::mem::swap(items, &mut moved);
        shift += BITS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_every_size_are_sorted_and_ties_stay() {
        let mut random = cepheid_testkit::SplitMix64::new(5);
        let mut sorted = 0;
        for span in [1, 2, 100, 1 << 11, (1 << 11) + 1, 1 << 22, u32::MAX as usize] {
            let places: Vec<u32> = (0..1000).map(|_| random.below(span) as u32).collect();
            let mut items: Vec<u32> = (0..1000).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|item| places[*item as usize]);
            sort_by_place(&mut items, |item| places[item as usize]);
            assert_eq!(items, expected, "places below {span}");
            sorted += 1;
        }
        assert_eq!(sorted, 7);
        let mut nothing = vec![];
        sort_by_place(&mut nothing, |item| item);
        assert!(nothing.is_empty());
    }
}
