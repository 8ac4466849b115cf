//! Aggregates in measures, one value an output row.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, UInt32Array};
use cepheid_eval::{ColumnReader, EvalError, Leaf, TypedAggregate, TypedExpr, Value, values_to_array};
use cepheid_ir::{AggregateFunction, Pattern, Semantics};
use cepheid_matcher::VariableId;

use crate::derive::{Scene, SegmentWalk};
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
    let mut running = aggregate.running_aggregate();
    let mut arguments = Vec::with_capacity(aggregate.args.len());
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
            let rows = found.rows();
            running.clear();
            // Rows of one match stand together in the output.
            let end =
                (row..block.end_row).find(|r| scene.output.matches.get(*r) != index).unwrap_or(block.end_row);
            let last = block.rows_of_match(taken, index);
            for output_row in row..end {
                let seen = match aggregate.semantics {
                    Semantics::Running => scene.output.seen(output_row, found),
                    Semantics::Final => rows,
                };
                while taken < last && block.positions[taken] < found.start + seen {
                    arguments.clear();
                    arguments.extend(block.args.iter().map(|arg| arg.value(taken)));
                    running.push(&arguments);
                    taken += 1;
                }
                values.push(running.value()?);
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
    /// The match, and the variable, of each position.
    matches: Vec<u32>,
    variables: Vec<VariableId>,
    args: Vec<ColumnReader>,
}

impl Block {
    fn new(
        scene: &Scene<'_>,
        members: &[bool],
        first_row: usize,
        aggregate: &TypedAggregate,
    ) -> Result<Self, EvalError> {
        let mut block =
            Self { end_row: first_row, positions: vec![], matches: vec![], variables: vec![], args: vec![] };
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
                    if members[segment.label.variable as usize] {
                        block.positions.extend(position..position + segment.rows);
                        block.variables.resize(block.positions.len(), segment.label.variable);
                    }
                    position += segment.rows;
                }
                block.matches.resize(block.positions.len(), index);
            }
            last = index;
            block.end_row += 1;
        }
        let positions = UInt32Array::from(block.positions.clone());
        for arg in &aggregate.args {
            let values = block.argument(scene, arg, &positions)?;
            block.args.push(ColumnReader::new(&values));
        }
        Ok(block)
    }

    fn argument(
        &self,
        scene: &Scene<'_>,
        arg: &TypedExpr,
        positions: &UInt32Array,
    ) -> Result<ArrayRef, EvalError> {
        let slots = arg
            .leaves()
            .iter()
            .map(|leaf| match leaf {
                Leaf::Column { index, .. } => scene
                    .rows
                    .gather(scene.table, *index, positions)
                    .map_err(|error| EvalError::Arrow { reason: error.to_string() }),
                Leaf::Classifier { .. } => {
                    let names = self.variables.iter().map(|variable| &scene.variables[*variable as usize]);
                    Ok(Arc::new(StringArray::from_iter_values(names)) as ArrayRef)
                }
                Leaf::MatchNumber => {
                    let numbers = scene.set.numbers();
                    let numbers = self.matches.iter().map(|index| numbers[*index as usize]);
                    Ok(Arc::new(Int64Array::from_iter_values(numbers)) as ArrayRef)
                }
                Leaf::Aggregate(_) => unreachable!("validation keeps aggregates out of aggregates"),
            })
            .collect::<Result<Vec<_>, _>>()?;
        arg.evaluate_columns(&slots, positions.len())
    }

    /// One past the last aggregated row of match `index`, whose rows begin at `from`.
    fn rows_of_match(&self, from: usize, index: u32) -> usize {
        (from..self.matches.len()).find(|row| self.matches[*row] != index).unwrap_or(self.matches.len())
    }
}

/// COUNT(*) and COUNT(v.*), from segments alone.
fn counts(scene: &Scene<'_>, members: &[bool], semantics: Semantics) -> ArrayRef {
    let mut walk = SegmentWalk::new(members);
    let mut answered = (None, 0);
    let count = |row: usize| {
        let index = scene.output.matches.get(row);
        if index == UNMATCHED {
            return None;
        }
        let found = scene.set.get(index as usize);
        if semantics == Semantics::Running {
            return Some(i64::from(walk.count(index, found, scene.output.seen(row, found))));
        }
        // Over the whole match, all its output rows have one answer.
        if answered.0 != Some(index) {
            answered = (Some(index), walk.count(index, found, found.rows()));
        }
        Some(i64::from(answered.1))
    };
    Arc::new((0..scene.output.len()).map(count).collect::<Int64Array>())
}
