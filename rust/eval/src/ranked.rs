//! Ranges of the values of a column, many of them asked at once: one search ranks a value among all their ends, and rows
//! of one rank are in the same ranges.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use cepheid_ir::BinaryOp;

use crate::column_reader::ColumnReader;
use crate::constrained::column_of;
use crate::leaf::Leaf;
use crate::order_code::{OrderCode, float_order};
use crate::predicate_index::AtomId;
use crate::typed::{Kind, Node};

/// Values of a column, by their numbers in an [`OrderCode`] that tells all values apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueRange {
    pub(crate) column: usize,
    pub(crate) code: OrderCode,
    least: i64,
    /// The greatest; below `least` if there is none in between.
    most: i64,
}

impl ValueRange {
    /// What a predicate asks of one column and nothing else, if that is a range.
    pub(crate) fn of(node: &Node, leaves: &[Leaf]) -> Option<Self> {
        match &node.kind {
            Kind::Compare { op, operands } => match (&operands[0].kind, &operands[1].kind) {
                (Kind::Slot(_), Kind::Constant(_)) => Self::compared(*op, &operands[0], &operands[1], leaves),
                (Kind::Constant(_), Kind::Slot(_)) => {
                    Self::compared(op.mirrored(), &operands[1], &operands[0], leaves)
                }
                _ => None,
            },
            Kind::Between(operands) => {
                let [value, least, most] = &**operands;
                let from = Self::compared(BinaryOp::GreaterOrEqual, value, least, leaves)?;
                from.and(Self::compared(BinaryOp::LessOrEqual, value, most, leaves)?)
            }
            Kind::And(operands) => {
                let mut ranges = operands.iter().map(|operand| Self::of(operand, leaves));
                let first = ranges.next()??;
                ranges.try_fold(first, |all, range| all.and(range?))
            }
            _ => None,
        }
    }

    fn compared(op: BinaryOp, value: &Node, constant: &Node, leaves: &[Leaf]) -> Option<Self> {
        let (Kind::Slot(slot), Kind::Constant(bound)) = (&value.kind, &constant.kind) else { return None };
        let column = column_of(&leaves[*slot])?;
        let code = OrderCode::of(&leaves[*slot].data_type(), &constant.data_type)?;
        let bound = code.is_exact().then(|| code.order(bound))??;
        let nothing = (1, 0);
        let (least, most) = match op {
            BinaryOp::Equal => (bound, bound),
            BinaryOp::Less => bound.checked_sub(1).map_or(nothing, |most| (i64::MIN, most)),
            BinaryOp::LessOrEqual => (i64::MIN, bound),
            BinaryOp::Greater => bound.checked_add(1).map_or(nothing, |least| (least, i64::MAX)),
            BinaryOp::GreaterOrEqual => (bound, i64::MAX),
            _ => return None,
        };
        Some(Self { column, code, least, most })
    }

    /// Whether no value is in it.
    pub(crate) fn is_empty(self) -> bool {
        self.least > self.most
    }

    /// The values in both, of one column.
    pub(crate) fn and(self, other: Self) -> Option<Self> {
        let alike = (self.column, self.code) == (other.column, other.code);
        let (least, most) = (self.least.max(other.least), self.most.min(other.most));
        alike.then_some(Self { least, most, ..self })
    }
}

/// Below this many ranges of a column a mask for each costs less than ranking its rows.
const RANGES_RANKED_MIN: usize = 32;

/// Ranges with more than one row in so many are found by their masks: picking their rows out costs more.
const DENSE: usize = 16;

/// Up to this many ends, rows are compared with each of them, many rows an instruction, rather than searched for.
const ENDS_COMPARED_MAX: usize = 64;

/// The ranges of one column, and their atoms.
///
/// - Time: adding or removing a range O(n) for n ranges, a few instructions each; asking O(log n) a row, O(1) a range, and
///   O(f log f) for the f rows found.
/// - Space: 56 bytes a range.
#[derive(Debug, Default)]
pub(crate) struct RankedRanges {
    /// Numbers at which a range begins or has ended, ascending, and how many do. The rank of a value is the number of
    /// those up to and including it.
    ends: Vec<(i64, u32)>,
    ranges: Vec<Ranked>,
}

#[derive(Clone, Copy, Debug)]
struct Ranked {
    atom: AtomId,
    least: i64,
    most: i64,
    /// Ranks of both: values of the ranks between them are in the range, others are not.
    first: u32,
    last: u32,
}

impl Ranked {
    fn is_empty(&self) -> bool {
        self.least > self.most
    }

    /// Its entries in [`RankedRanges::ends`].
    fn ends(&self) -> impl Iterator<Item = i64> + use<> {
        let (begins, ended) =
            if self.is_empty() { (None, None) } else { (Some(self.least), self.most.checked_add(1)) };
        begins.into_iter().chain(ended)
    }
}

impl RankedRanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether there are too few to rank rows for them.
    pub(crate) fn are_few(&self) -> bool {
        self.ranges.len() < RANGES_RANKED_MIN
    }

    pub(crate) fn atoms(&self) -> impl Iterator<Item = AtomId> + '_ {
        self.ranges.iter().map(|range| range.atom)
    }

    pub(crate) fn add(&mut self, atom: AtomId, range: ValueRange) {
        let mut ranked = Ranked { atom, least: range.least, most: range.most, first: 0, last: 0 };
        for end in ranked.ends() {
            match self.ends.binary_search_by_key(&end, |(known, _)| *known) {
                Ok(place) => self.ends[place].1 += 1,
                Err(place) => {
                    self.ends.insert(place, (end, 1));
                    for known in &mut self.ranges {
                        known.first += u32::from(known.least >= end);
                        known.last += u32::from(known.most >= end);
                    }
                }
            }
        }
        let rank = |value: i64| self.ends.partition_point(|(end, _)| *end <= value) as u32;
        (ranked.first, ranked.last) = (rank(ranked.least), rank(ranked.most));
        self.ranges.push(ranked);
    }

    pub(crate) fn remove(&mut self, atom: AtomId) {
        let place = self.ranges.iter().position(|range| range.atom == atom).expect("the range is held");
        let gone = self.ranges.swap_remove(place);
        for end in gone.ends() {
            let place =
                self.ends.binary_search_by_key(&end, |(known, _)| *known).expect("a range's ends are held");
            self.ends[place].1 -= 1;
            if self.ends[place].1 == 0 {
                self.ends.remove(place);
                for known in &mut self.ranges {
                    known.first -= u32::from(known.least >= end);
                    known.last -= u32::from(known.most >= end);
                }
            }
        }
    }

    /// Calls `found` with each range that few rows of a column are in, and these rows, ascending; and `dense` with those
    /// that many are in.
    pub(crate) fn ask(
        &self,
        column: &ArrayRef,
        code: OrderCode,
        mut found: impl FnMut(AtomId, &[u32]),
        mut dense: impl FnMut(AtomId),
    ) {
        let ranks = self.ranks(column, code);
        // `starts[r]`: where the rows of rank r begin among those that have one.
        let mut starts = vec![0_u32; self.ends.len() + 2];
        for rank in ranks.iter().filter(|rank| **rank != NO_RANK) {
            starts[*rank as usize + 1] += 1;
        }
        for rank in 1..starts.len() {
            starts[rank] += starts[rank - 1];
        }
        let mut next = starts.clone();
        let mut by_rank = vec![0_u32; starts[starts.len() - 1] as usize];
        for (row, rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank != NO_RANK) {
            let place = &mut next[*rank as usize];
            by_rank[*place as usize] = row as u32;
            *place += 1;
        }
        let mut rows = vec![];
        for range in self.ranges.iter().filter(|range| !range.is_empty()) {
            let own = starts[range.first as usize] as usize..starts[range.last as usize + 1] as usize;
            if own.is_empty() {
                continue;
            }
            if own.len() * DENSE > ranks.len() && ranks.len() > DENSE {
                dense(range.atom);
                continue;
            }
            rows.clear();
            rows.extend_from_slice(&by_rank[own]);
            // Those of one rank are in order.
            if range.last > range.first {
                rows.sort_unstable();
            }
            found(range.atom, &rows);
        }
    }

    /// The rank of each row; [`NO_RANK`] where the column is NULL.
    fn ranks(&self, column: &ArrayRef, code: OrderCode) -> Vec<u32> {
        let mut ranks = match (column.data_type(), code.is_of_floats()) {
            (DataType::Int64, false) => {
                self.ranks_of(column.as_primitive::<Int64Type>().values(), |value| *value)
            }
            (DataType::Float64, true) => {
                self.ranks_of(column.as_primitive::<Float64Type>().values(), |value| float_order(*value))
            }
            _ => {
                let reader = ColumnReader::new(column);
                let number = |row: usize| code.order(&reader.value(row));
                let numbers: Vec<i64> = (0..column.len()).map(|row| number(row).unwrap_or(0)).collect();
                self.ranks_of(&numbers, |number| *number)
            }
        };
        if let Some(nulls) = column.logical_nulls() {
            ranks
                .iter_mut()
                .enumerate()
                .filter(|(row, _)| nulls.is_null(*row))
                .for_each(|(_, rank)| *rank = NO_RANK);
        }
        ranks
    }

    fn ranks_of<T>(&self, values: &[T], number: impl Fn(&T) -> i64) -> Vec<u32> {
        if self.ends.len() > ENDS_COMPARED_MAX {
            let rank = |value: &T| {
                let value = number(value);
                self.ends.partition_point(|(end, _)| *end <= value) as u32
            };
            return values.iter().map(rank).collect();
        }
        let numbers: Vec<i64> = values.iter().map(number).collect();
        let mut ranks = vec![0; values.len()];
        for (end, _) in &self.ends {
            for (rank, value) in ranks.iter_mut().zip(&numbers) {
                *rank += u32::from(value >= end);
            }
        }
        ranks
    }
}

/// Of a row whose value is NULL.
const NO_RANK: u32 = u32::MAX;
