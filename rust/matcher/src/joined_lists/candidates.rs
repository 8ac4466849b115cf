//! The rows that may stand at each step, and what conditions read of them: worked out over columns, before any search.

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use cepheid_eval::{ColumnReader, EvalError, Value};
use cepheid_event::{EventError, Table};
use cepheid_ir::BinaryOp;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::compile::{Asked, Code, JoinedLists, Numbers, OverRow, Step};
use crate::masks::Masks;
use crate::sequence::Chunk;

/// Rows that may stand at one step, in order of position.
#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) rows: Vec<u32>,
    /// `ranges[j][i]`: which numbers the j-th join of row i allows.
    pub(super) ranges: Vec<Vec<NumberRange>>,
    /// `numbers[c][i]`: the c-th code of the step, where it is the row's own.
    pub(super) numbers: Vec<Vec<i64>>,
    /// Rows that nothing can follow: a later comparison with them is NULL. Empty: there are none.
    pub(super) ends_here: Vec<bool>,
    /// The columns that conditions over several rows read, of these rows.
    pub(super) columns: Option<Table>,
    /// Rows that must not come before the step, with the number of which they must not.
    pub(super) absent_of_key: Vec<(u32, i64)>,
}

/// Numbers from `low` to `low + width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberRange {
    pub(super) low: i64,
    width: u64,
}

impl NumberRange {
    /// The numbers that a row's own, on the left of `op`, compares with as wanted; `None`: there are none.
    fn allowed(op: BinaryOp, own: i64) -> Option<Self> {
        let (low, high) = match op {
            BinaryOp::Less => (own.checked_add(1)?, i64::MAX),
            BinaryOp::LessOrEqual => (own, i64::MAX),
            BinaryOp::Greater => (i64::MIN, own.checked_sub(1)?),
            BinaryOp::GreaterOrEqual => (i64::MIN, own),
            _ => (own, own),
        };
        Some(Self { low, width: high.wrapping_sub(low) as u64 })
    }

    #[inline]
    pub(super) fn contains(self, number: i64) -> bool {
        number.wrapping_sub(self.low) as u64 <= self.width
    }

    #[inline]
    pub(super) fn high(self) -> i64 {
        self.low.wrapping_add(self.width as i64)
    }
}

/// Why there are no candidates.
pub(super) enum NoCandidates {
    /// A condition raises an error on some row, which may never be asked.
    Fails,
    Event(EventError),
}

impl From<EvalError> for NoCandidates {
    fn from(_: EvalError) -> Self {
        Self::Fails
    }
}

impl From<EventError> for NoCandidates {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

/// Numbers of values in order of appearance.
type Appeared = HashMap<Value, i64, FixedState>;

impl JoinedLists {
    /// The candidates of every step.
    ///
    /// Every part of a condition that may fail is asked of every row of which the waiting runs of this pattern could ask
    /// it: where that raises no error, they would raise none.
    ///
    /// Cost: O(r) a step and part of its condition, r rows that satisfy the part that is asked of single rows.
    pub(super) fn candidates(
        &self,
        masks: &Masks,
        chunk: Chunk<'_>,
    ) -> Result<Vec<Candidates>, NoCandidates> {
        let mut appeared: Vec<Vec<Appeared>> =
            self.steps.iter().map(|step| step.codes.iter().map(|_| Appeared::default()).collect()).collect();
        self.steps
            .iter()
            .enumerate()
            .map(|(place, step)| candidates(step, place, masks, chunk, &mut appeared))
            .collect()
    }
}

fn candidates(
    step: &Step,
    place: usize,
    masks: &Masks,
    chunk: Chunk<'_>,
    appeared: &mut [Vec<Appeared>],
) -> Result<Candidates, NoCandidates> {
    let side = |(index, code): (usize, &'_ Code)| match code {
        Code::Own(side, numbers) => {
            Some(Side { side: side.clone(), numbers: *numbers, made: (place, index) })
        }
        Code::Carried(_) => None,
    };
    let own: Vec<Side> = step.codes.iter().enumerate().filter_map(side).collect();
    let Allowed { rows, ranges, numbers: known } = allowed(&step.asked, &own, masks, chunk, appeared)?;
    let nothing_follows = |row: usize| known.iter().any(|numbers| numbers[row].is_none());
    let ends_here: Vec<bool> = (0..rows.len()).map(nothing_follows).collect();
    let mut numbers = vec![vec![]; step.codes.len()];
    for (Side { made: (_, index), .. }, known) in own.iter().zip(known) {
        // Of rows that nothing can follow any number will do.
        numbers[*index] = known.into_iter().map(Option::unwrap_or_default).collect();
    }
    let absent_of_key = match &step.absent_of_key {
        None => vec![],
        Some(absent) => {
            let Allowed { rows, ranges, .. } = allowed(absent, &[], masks, chunk, appeared)?;
            rows.into_iter().zip(ranges[0].iter().map(|range| range.low)).collect()
        }
    };
    Ok(Candidates {
        ends_here: if ends_here.contains(&true) { ends_here } else { vec![] },
        columns: if step.columns.is_empty() { None } else { Some(table_of(&step.columns, &rows, chunk)?) },
        rows,
        ranges,
        numbers,
        absent_of_key,
    })
}

/// An expression over one row whose numbers are wanted, and the code that they belong to.
struct Side {
    side: OverRow,
    numbers: Numbers,
    made: (usize, usize),
}

/// The rows that masks and single rows allow, and of them what joins compare.
struct Allowed {
    rows: Vec<u32>,
    ranges: Vec<Vec<NumberRange>>,
    /// Of some expressions; `None` for NULL.
    numbers: Vec<Vec<Option<i64>>>,
}

fn allowed(
    asked: &Asked,
    wanted: &[Side],
    masks: &Masks,
    chunk: Chunk<'_>,
    appeared: &mut [Vec<Appeared>],
) -> Result<Allowed, NoCandidates> {
    let mut rows = match asked.guard {
        None => (0..chunk.rows.num_rows() as u32).collect(),
        Some(guard) => masks.of[guard].as_ref().map_err(|_| NoCandidates::Fails)?.set_rows(),
    };
    let sides = asked.joins.iter().map(|join| &join.row).chain(wanted.iter().map(|wanted| &wanted.side));
    let safe = sides.chain(&asked.filters).all(|part| part.whole.never_fails());
    let mut kept: Option<Vec<bool>> = None;
    for filter in &asked.filters {
        let mask = filter.whole.evaluate_mask(&slots(filter, &rows, chunk)?, rows.len())?;
        let kept = kept.get_or_insert_with(|| vec![true; rows.len()]);
        kept.iter_mut().zip(mask.iter()).for_each(|(kept, holds)| *kept &= holds);
    }
    if safe && let Some(kept) = kept.take() {
        retain(&mut rows, &kept);
    }
    let mut number = |side: &OverRow, how: Numbers, (step, code): (usize, usize)| {
        numbers_of(side, how, &rows, chunk, &mut appeared[step][code])
    };
    let mut ranges = vec![];
    for join in &asked.joins {
        let numbers = number(&join.row, join.numbers, join.made)?;
        ranges.push(numbers.into_iter().map(|own| NumberRange::allowed(join.op, own?)).collect::<Vec<_>>());
    }
    let mut numbers = vec![];
    for Side { side, numbers: how, made } in wanted {
        numbers.push(number(side, *how, *made)?);
    }
    if !ranges.is_empty() || kept.is_some() {
        let mut kept = kept.unwrap_or_else(|| vec![true; rows.len()]);
        for ranges in &ranges {
            kept.iter_mut().zip(ranges).for_each(|(kept, range)| *kept &= range.is_some());
        }
        retain(&mut rows, &kept);
        ranges.iter_mut().for_each(|ranges| retain(ranges, &kept));
        numbers.iter_mut().for_each(|numbers| retain(numbers, &kept));
    }
    let ranges = ranges.into_iter().map(|ranges| ranges.into_iter().flatten().collect()).collect();
    Ok(Allowed { rows, ranges, numbers })
}

/// Keeps the values of which that is said.
pub(super) fn retain<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| *kept.next().expect("one for each"));
}

/// Some rows as a table of their own.
fn table_of(columns: &[usize], rows: &[u32], chunk: Chunk<'_>) -> Result<Table, EventError> {
    let arrays: Vec<ArrayRef> =
        columns.iter().map(|column| gather(*column, rows, chunk)).collect::<Result<_, _>>()?;
    let named = arrays.iter().zip(columns).map(|(array, column)| (column.to_string(), array.clone(), true));
    let batch = RecordBatch::try_from_iter_with_nullable(named)?;
    Table::new(batch.schema(), vec![batch])
}

fn gather(column: usize, rows: &[u32], chunk: Chunk<'_>) -> Result<ArrayRef, EventError> {
    chunk.rows.gather(chunk.table, column, &UInt32Array::from(rows.to_vec()))
}

fn slots(part: &OverRow, rows: &[u32], chunk: Chunk<'_>) -> Result<Vec<ArrayRef>, NoCandidates> {
    let slot = |(index, column): (usize, &Option<usize>)| match column {
        Some(column) => gather(*column, rows, chunk),
        None => Ok(arrow_array::new_null_array(&part.whole.leaves()[index].data_type(), rows.len())),
    };
    Ok(part.columns.iter().enumerate().map(slot).collect::<Result<_, _>>()?)
}

/// The numbers of an expression's values; `None` for NULL.
fn numbers_of(
    side: &OverRow,
    how: Numbers,
    rows: &[u32],
    chunk: Chunk<'_>,
    appeared: &mut Appeared,
) -> Result<Vec<Option<i64>>, NoCandidates> {
    let values = side.whole.evaluate_columns(&slots(side, rows, chunk)?, rows.len())?;
    Ok(match how {
        Numbers::Ordered(code) => code.orders(&values),
        Numbers::Appearance => {
            let reader = ColumnReader::new(&values);
            let mut number = |value: Value| {
                let next = appeared.len() as i64;
                (!value.is_null()).then(|| *appeared.entry(value).or_insert(next))
            };
            (0..rows.len()).map(|row| number(reader.value(row))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_the_numbers_that_compare_as_wanted_to_the_ends_of_what_there_is() {
        use BinaryOp::*;
        let numbers = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        let mut held = 0;
        for op in [Equal, Less, LessOrEqual, Greater, GreaterOrEqual] {
            for own in numbers {
                let range = NumberRange::allowed(op, own);
                for earlier in numbers {
                    let holds = match op {
                        Less => own < earlier,
                        LessOrEqual => own <= earlier,
                        Greater => own > earlier,
                        GreaterOrEqual => own >= earlier,
                        _ => own == earlier,
                    };
                    let found = range.is_some_and(|range| range.contains(earlier));
                    assert_eq!(found, holds, "{own} {op:?} {earlier}");
                    assert!(
                        !holds || range.is_some_and(|range| (range.low..=range.high()).contains(&earlier))
                    );
                    held += usize::from(holds);
                }
            }
        }
        // 7 equal, twice 21 apart, twice 28 that may be equal.
        assert_eq!(held, 7 + 2 * 21 + 2 * 28);
    }
}
