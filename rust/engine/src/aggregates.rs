//! Aggregates in measures, one value an output row.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, UInt32Array};
use cepheid_eval::{ColumnReader, EvalError, Leaf, TypedAggregate, TypedExpr, Value, values_to_array};
use cepheid_ir::{AggregateFunction, Pattern, Semantics};

use crate::derive::Scene;
use crate::matches::UNMATCHED;

/// Rows of matches whose arguments are evaluated at a time.
const BLOCK_ROWS: usize = 1 << 15;

/// The aggregate's value for every output row; NULL for unmatched ones.
///
/// Running values of one match are rolled up row by row, so a match of m rows costs O(m).
pub(crate) fn aggregate_column(
    scene: &Scene<'_>,
    pattern: &Pattern,
    aggregate: &TypedAggregate,
) -> Result<ArrayRef, EvalError> {
    let members = scene.members(pattern, aggregate.variable.as_deref());
    if aggregate.function == AggregateFunction::Count && aggregate.args.is_empty() {
        return Ok(counts(scene, &members, aggregate.semantics));
    }
    let mut values = Vec::with_capacity(scene.output.len());
    let mut accumulator = aggregate.accumulator();
    let mut row = 0;
    while row < scene.output.len() {
        let block = Block::new(scene, &members, row, aggregate)?;
        let mut taken = 0;
        while row < block.end_row {
            let index = scene.output.matches.get(row);
            if index == UNMATCHED {
                values.push(Value::Null);
                row += 1;
                continue;
            }
            let found = scene.set.get(index as usize);
            accumulator.clear();
            // Rows of one match stand together in the output.
            let end =
                (row..block.end_row).find(|r| scene.output.matches.get(*r) != index).unwrap_or(block.end_row);
            let last = block.rows_of_match(taken, index);
            for output_row in row..end {
                let seen = match aggregate.semantics {
                    Semantics::Running => scene.output.seen(output_row, found),
                    Semantics::Final => found.rows(),
                };
                while taken < last && block.positions[taken] < found.start + seen {
                    accumulator.push(&block.arguments(taken))?;
                    taken += 1;
                }
                values.push(accumulator.value()?);
            }
            taken = last;
            row = end;
        }
    }
    values_to_array(&values, &aggregate.data_type)
}

/// Arguments of the aggregated rows of some matches.
struct Block {
    /// The first output row that is no longer covered.
    end_row: usize,
    positions: Vec<u32>,
    /// The match of each position.
    matches: Vec<u32>,
    args: Vec<ColumnReader>,
}

impl Block {
    fn new(
        scene: &Scene<'_>,
        members: &[bool],
        first_row: usize,
        aggregate: &TypedAggregate,
    ) -> Result<Self, EvalError> {
        let mut block = Self { end_row: first_row, positions: vec![], matches: vec![], args: vec![] };
        let mut names: Vec<&str> = vec![];
        let mut last = UNMATCHED;
        while block.end_row < scene.output.len() {
            let index = scene.output.matches.get(block.end_row);
            if index != last && index != UNMATCHED {
                if block.positions.len() >= BLOCK_ROWS {
                    break;
                }
                let found = scene.set.get(index as usize);
                let mut position = found.start;
                for segment in found.segments() {
                    let variable = segment.label.variable as usize;
                    if members[variable] {
                        block.positions.extend(position..position + segment.rows);
                        names.resize(block.positions.len(), scene.variables[variable].as_str());
                    }
                    position += segment.rows;
                }
                block.matches.resize(block.positions.len(), index);
            }
            last = index;
            block.end_row += 1;
        }
        let names = StringArray::from(names);
        let positions = UInt32Array::from(block.positions.clone());
        for arg in &aggregate.args {
            block.args.push(ColumnReader::new(&argument(scene, arg, &positions, &names, &block.matches)?));
        }
        Ok(block)
    }

    /// One past the last aggregated row of match `index`, whose rows begin at `from`.
    fn rows_of_match(&self, from: usize, index: u32) -> usize {
        (from..self.matches.len()).find(|row| self.matches[*row] != index).unwrap_or(self.matches.len())
    }

    fn arguments(&self, row: usize) -> Vec<Value> {
        self.args.iter().map(|arg| arg.value(row)).collect()
    }
}

fn argument(
    scene: &Scene<'_>,
    arg: &TypedExpr,
    rows: &UInt32Array,
    names: &StringArray,
    matches: &[u32],
) -> Result<ArrayRef, EvalError> {
    let slots = arg
        .leaves()
        .iter()
        .map(|leaf| match leaf {
            Leaf::Column { index, .. } => scene
                .rows
                .gather(scene.table, *index, rows)
                .map_err(|error| EvalError::Arrow { reason: error.to_string() }),
            Leaf::Classifier { .. } => Ok(Arc::new(names.clone()) as ArrayRef),
            Leaf::MatchNumber => Ok(match_numbers(scene, matches)),
            Leaf::Aggregate(_) => unreachable!("validation keeps aggregates out of aggregates"),
        })
        .collect::<Result<Vec<_>, _>>()?;
    arg.evaluate_columns(&slots, rows.len())
}

fn match_numbers(scene: &Scene<'_>, matches: &[u32]) -> ArrayRef {
    let ends: Vec<std::ops::Range<usize>> = scene.set.partitions().collect();
    let number = |index: &u32| {
        let partition = ends.partition_point(|range| range.end <= *index as usize);
        i64::from(*index) - ends[partition].start as i64 + 1
    };
    Arc::new(Int64Array::from_iter_values(matches.iter().map(number)))
}

/// COUNT(*) and COUNT(v.*), from segments alone.
fn counts(scene: &Scene<'_>, members: &[bool], semantics: Semantics) -> ArrayRef {
    let count = |row: usize| {
        let index = scene.output.matches.get(row);
        if index == UNMATCHED {
            return None;
        }
        let found = scene.set.get(index as usize);
        let mut left =
            if semantics == Semantics::Final { found.rows() } else { scene.output.seen(row, found) };
        let mut count = 0_i64;
        for segment in found.segments() {
            let rows = segment.rows.min(left);
            if members[segment.label.variable as usize] {
                count += i64::from(rows);
            }
            left -= rows;
        }
        Some(count)
    };
    Arc::new((0..scene.output.len()).map(count).collect::<Int64Array>())
}
