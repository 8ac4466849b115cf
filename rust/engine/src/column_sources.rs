//! What each column of the output is made of. Columns know nothing of each other, so that several threads make them.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, FieldRef};
use cepheid_eval::TypedExpr;
use cepheid_event::threads::on_threads;
use cepheid_ir::{Anchor, OutputColumns, RowPointer, RowsPerMatch};

use crate::derive::{Deriving, Scene};
use crate::error::EngineError;
use crate::matches::batch_of;
use crate::plan::Matching;

/// What one column is made of.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// A column of the input, where the row is that stands for an output row.
    Input(usize),
    /// The same of a column that rows are partitioned by: one value a partition, where that is less to read.
    Partition(usize),
    MatchNumber,
    /// The event time of the first or the last row of a match.
    Edge(Anchor),
    Measure(&'a str, &'a TypedExpr),
}

impl Scene<'_> {
    /// The output, made by at most so many threads as may.
    pub(crate) fn batch(&self, deriving: &Deriving<'_>) -> Result<RecordBatch, EngineError> {
        let sources = self.sources(deriving);
        let make = |_, source: &Source<'_>| self.made_of(*source, deriving);
        let arrays = on_threads(deriving.threads, &sources, make);
        let arrays = arrays.into_iter().collect::<Result<Vec<_>, _>>()?;
        let named = |name: &str, array: &ArrayRef, nullable: bool| -> FieldRef {
            Arc::new(Field::new(name, array.data_type().clone(), nullable))
        };
        let field = |(source, array): (&Source<'_>, &ArrayRef)| match source {
            Source::Input(column) | Source::Partition(column) => {
                Arc::clone(&self.table.schema().fields()[*column])
            }
            Source::MatchNumber => named("match_number", array, self.output.has_unmatched()),
            Source::Edge(Anchor::First) => named("match_start", array, true),
            Source::Edge(Anchor::Last) => named("match_end", array, true),
            Source::Measure(name, _) => named(name, array, true),
        };
        let fields = sources.iter().zip(&arrays).map(field).collect();
        batch_of(fields, arrays, self.output.len())
    }

    /// What the columns are made of, in order.
    fn sources<'a>(&self, deriving: &Deriving<'a>) -> Vec<Source<'a>> {
        let (pattern, outputs) = (deriving.plan.pattern(), &deriving.plan.outputs);
        let all_rows = pattern.rows_per_match != RowsPerMatch::One;
        // What event sequences give as partitions is not by key.
        let by_key = matches!(deriving.plan.matching, Matching::Search(_));
        let (mut sources, mut inputs) = (vec![], vec![]);
        let mut add_input =
            |sources: &mut Vec<Source<'a>>, column: usize, source: fn(usize) -> Source<'a>| {
                if !inputs.contains(&column) {
                    inputs.push(column);
                    sources.push(source(column));
                }
            };
        for column in &outputs.partition_by {
            add_input(&mut sources, *column, if by_key { Source::Partition } else { Source::Input });
        }
        if pattern.output == OutputColumns::Derived {
            sources.extend([Source::MatchNumber, Source::Edge(Anchor::First), Source::Edge(Anchor::Last)]);
        } else if all_rows {
            outputs.order_by.iter().for_each(|key| add_input(&mut sources, key.column, Source::Input));
        }
        sources.extend(deriving.measures.iter().map(|(name, measure)| Source::Measure(name, measure)));
        if all_rows {
            // Behind the input's own columns stand those that only measures read.
            let own = self.table.schema().fields().len() - outputs.shifted.len();
            (0..own).for_each(|column| add_input(&mut sources, column, Source::Input));
        }
        sources
    }

    fn made_of(&self, source: Source<'_>, deriving: &Deriving<'_>) -> Result<ArrayRef, EngineError> {
        match source {
            Source::Input(column) => self.read(column, &self.output.positions(self.set)),
            Source::Partition(column) => match self.of_partitions(column)? {
                Some(array) => Ok(array),
                None => self.made_of(Source::Input(column), deriving),
            },
            Source::MatchNumber => Ok(self.match_numbers()),
            Source::Edge(anchor) => {
                let edge = RowPointer { anchor, ..RowPointer::default() };
                match deriving.plan.outputs.event_time {
                    Some(column) => self.read_at(column, None, &edge, || self.edge_positions(&edge)),
                    None => Ok(new_null_array(&DataType::Null, self.output.len())),
                }
            }
            Source::Measure(name, measure) => self.measure(deriving.plan.pattern(), name, measure),
        }
    }
}
