//! The result of matching.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use cepheid_event::{EventError, OrderedRows};
use cepheid_matcher::{MatchSet, Strategy};

use crate::error::EngineError;

/// Matches as Arrow: one table of derived events and, built when asked for, one of membership.
#[derive(Debug)]
pub struct MatchTable {
    pub(crate) batch: RecordBatch,
    pub(crate) origin: Arc<Origin>,
    /// The matches of this result, in order; indices into the set.
    pub(crate) matches: Ordinals,
    /// The match that each row of the batch comes from; [`UNMATCHED`] for an unmatched row.
    pub(crate) row_matches: Ordinals,
}

/// Indices of matches: mostly all of them, in order, which need not be written down.
#[derive(Clone, Debug)]
pub(crate) enum Ordinals {
    /// `0..n`
    All(u32),
    Listed(Vec<u32>),
}

impl Ordinals {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::All(count) => *count as usize,
            Self::Listed(indices) => indices.len(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> u32 {
        match self {
            Self::All(_) => place as u32,
            Self::Listed(indices) => indices[place],
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        (0..self.len()).map(|place| self.get(place))
    }
}

/// What matches were found, and in which rows.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) set: MatchSet,
    pub(crate) rows: OrderedRows,
    pub(crate) variables: Vec<String>,
    pub(crate) strategy: Strategy,
    /// Where rows come from, if that is not just their place in the table.
    pub(crate) labels: Option<Arc<RowLabels>>,
}

/// Where the rows of a table come from.
#[derive(Debug)]
pub(crate) struct RowLabels {
    /// Names of topics; of a single one without a name, none.
    pub(crate) topics: Vec<String>,
    /// `topic_of[a]`: the topic of the row with arrival `a`, as an index into `topics`.
    pub(crate) topic_of: Vec<u16>,
    /// `arrival_of[a]`: its ordinal within the topic.
    pub(crate) arrival_of: Vec<u64>,
}

/// Row of the output that comes from no match.
pub(crate) const UNMATCHED: u32 = u32::MAX;

impl MatchTable {
    /// One row per match, or per matched row.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// `(match: int64, variable: dictionary of utf8, row: int64)`, one row a matched row: `match` is the ordinal of
    /// the match within this result, `row` that of the input row in arrival order. Where rows come from named topics,
    /// also `topic` (dictionary of utf8), and `row` counts the rows of the topic.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn membership(&self) -> Result<RecordBatch, EngineError> {
        let Origin { set, rows, variables, labels, .. } = &*self.origin;
        let total: usize = match (set.single_rows(), &self.matches) {
            (Some(stride), _) => stride * self.matches.len(),
            _ => self.matches.iter().map(|index| set.get(index as usize).rows() as usize).sum(),
        };
        let mut ordinals = Vec::with_capacity(total);
        let mut codes = Vec::with_capacity(total);
        let mut arrivals = Vec::with_capacity(total);
        let mut topics = vec![];
        if let (Some(stride), Ordinals::All(_), None) = (set.single_rows(), &self.matches, labels) {
            // Matches of one shape stand one behind the other.
            let shape: Vec<i32> = set.shape().map(|label| i32::from(label.variable)).collect();
            for ordinal in 0..self.matches.len() as i64 {
                ordinals.extend(std::iter::repeat_n(ordinal, stride));
                codes.extend_from_slice(&shape);
            }
            arrivals.extend((0..total as u32).map(|position| i64::from(rows.arrival(position))));
        } else {
            for (ordinal, index) in self.matches.iter().enumerate() {
                let found = set.get(index as usize);
                let mut position = found.start;
                for segment in found.segments() {
                    for _ in 0..segment.rows {
                        ordinals.push(ordinal as i64);
                        codes.push(i32::from(segment.label.variable));
                        let arrival = rows.arrival(position);
                        match labels {
                            Some(labels) => {
                                arrivals.push(labels.arrival_of[arrival as usize] as i64);
                                topics.push(i32::from(labels.topic_of[arrival as usize]));
                            }
                            None => arrivals.push(i64::from(arrival)),
                        }
                        position += 1;
                    }
                }
            }
        }
        let named = |codes: Vec<i32>, names: &[String]| -> Result<ArrayRef, EngineError> {
            let names = StringArray::from_iter_values(names);
            let column = DictionaryArray::<Int32Type>::try_new(Int32Array::from(codes), Arc::new(names));
            Ok(Arc::new(column.map_err(EventError::from)?))
        };
        let dictionary = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let field = |name, data_type| Arc::new(Field::new(name, data_type, false));
        let mut fields = vec![
            field("match", DataType::Int64),
            field("variable", dictionary()),
            field("row", DataType::Int64),
        ];
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ordinals)),
            named(codes, variables)?,
            Arc::new(Int64Array::from(arrivals)),
        ];
        if let Some(labels) = labels
            && !labels.topics.is_empty()
        {
            fields.push(field("topic", dictionary()));
            columns.push(named(topics, &labels.topics)?);
        }
        batch_of(fields, columns, total)
    }

    /// Matches in this result, empty ones included; rows, if it is of values over all matches.
    pub fn num_matches(&self) -> usize {
        if self.origin.strategy == Strategy::Trends {
            return self.batch.num_rows();
        }
        self.matches.len()
    }

    /// Of each row, the event that it is of; `None`: row r is event r.
    pub(crate) fn row_events(&self) -> Option<Vec<u32>> {
        match &self.row_matches {
            Ordinals::All(_) => None,
            Ordinals::Listed(matches) => Some(matches.clone()),
        }
    }

    /// Name of the strategy that ran.
    pub fn strategy(&self) -> &'static str {
        self.origin.strategy.name()
    }

    /// The first `most` matches, with the output rows that are of them.
    #[must_use]
    pub fn head(&self, most: usize) -> Self {
        if self.origin.strategy == Strategy::Trends {
            let rows = most.min(self.batch.num_rows());
            return self.with_rows(self.batch.slice(0, rows), 0..rows);
        }
        let wanted: std::collections::HashSet<u32> = self.matches.iter().take(most).collect();
        let rows =
            self.row_matches.iter().take_while(|index| *index == UNMATCHED || wanted.contains(index)).count();
        self.with_rows(self.batch.slice(0, rows), 0..rows)
    }

    /// The same with other rows: `kept[r]` is the row of this result that row `r` of `batch` comes from.
    pub(crate) fn with_rows(&self, batch: RecordBatch, kept: impl Iterator<Item = usize>) -> Self {
        let row_matches: Vec<u32> = kept.map(|row| self.row_matches.get(row)).collect();
        let matches = Ordinals::Listed(distinct(&row_matches));
        Self { batch, origin: Arc::clone(&self.origin), matches, row_matches: Ordinals::Listed(row_matches) }
    }
}

/// A batch of `rows` rows, which it has even without columns.
pub(crate) fn batch_of(
    fields: Vec<FieldRef>,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, EngineError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options).map_err(EventError::from)?)
}

/// Matches in order of first appearance.
fn distinct(row_matches: &[u32]) -> Vec<u32> {
    let mut seen = std::collections::HashSet::new();
    let mut last = UNMATCHED;
    let mut found = vec![];
    for index in row_matches {
        if *index != UNMATCHED && *index != last && seen.insert(*index) {
            found.push(*index);
        }
        last = *index;
    }
    found
}
