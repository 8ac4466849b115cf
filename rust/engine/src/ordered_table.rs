//! The rows of a table in order of time, and numbers of their keys: what is asked of one row after the other sees them so.

use std::ops::Range;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::Schema;
use cepheid_event::key::key_ids;
use cepheid_event::{EventError, Table, event_times, resolve_column};
use cepheid_ir::{ColumnName, PatternError};

use crate::error::EngineError;
use crate::plan::MatchOptions;

/// Rows that are seen to at a time: what is kept of them stays near.
pub(crate) const CHUNK_ROWS: usize = 1 << 14;

/// Says which rows of a batch, of which the times are given, matter.
type KeptRows<'a> = &'a dyn Fn(&RecordBatch, &[i64]) -> Result<BooleanBuffer, EngineError>;

/// The column that `what` goes by: the one that it names itself, or else that of the options.
///
/// # Errors
/// There is no such column, or neither names one.
pub(crate) fn event_time_of(
    what: &str,
    own: Option<&ColumnName>,
    schema: &Schema,
    options: &MatchOptions,
) -> Result<usize, EngineError> {
    match (own, &options.event_time) {
        (Some(column), _) => Ok(resolve_column(schema, &column.name, column.quoted)?),
        (None, Some(name)) => Ok(resolve_column(schema, name, false)?),
        (None, None) => Err(PatternError::InvalidExpression {
            context: what.to_owned(),
            problem: "it goes by event time; name its column with event_time=...".into(),
        }
        .into()),
    }
}

/// The rows of a table that matter, in order of time.
pub(crate) struct OrderedTable<'a> {
    pub(crate) table: &'a Table,
    times: ScalarBuffer<i64>,
    /// Numbers of the rows, in order; `None`: all of them, as they stand.
    order: Option<Vec<u32>>,
}

impl<'a> OrderedTable<'a> {
    /// `kept`: which rows of a batch matter, of which the times are given; `None`: all do.
    ///
    /// # Errors
    /// A row without an event time, whether it matters or not, before anything that `kept` raises.
    pub(crate) fn new(
        event_time: usize,
        table: &'a Table,
        kept: Option<KeptRows<'_>>,
    ) -> Result<Self, EngineError> {
        let name = table.schema().field(event_time).name();
        let times = match table.batches() {
            [only] => event_times(name, only.column(event_time), 0)?,
            batches => {
                let mut times = Vec::with_capacity(table.num_rows());
                for batch in batches {
                    times.extend_from_slice(&event_times(name, batch.column(event_time), times.len())?);
                }
                times.into()
            }
        };
        let mut order: Option<Vec<u32>> = None;
        if let Some(kept) = kept {
            let mut first = 0;
            for batch in table.batches() {
                let mask = kept(batch, &times[first..first + batch.num_rows()])?;
                if order.is_none() && mask.count_set_bits() < batch.num_rows() {
                    order = Some((0..first as u32).collect());
                }
                if let Some(order) = &mut order {
                    order.extend(mask.set_indices().map(|row| (first + row) as u32));
                }
                first += batch.num_rows();
            }
        }
        let in_order = match &order {
            None => times.is_sorted(),
            Some(order) => order.is_sorted_by_key(|row| times[*row as usize]),
        };
        if !in_order {
            let order = order.get_or_insert_with(|| (0..times.len() as u32).collect());
            order.sort_by_key(|row| times[*row as usize]);
        }
        Ok(Self { table, times, order })
    }

    /// The greatest time of all rows of the table, those that do not matter among them.
    pub(crate) fn greatest_time(&self) -> Option<i64> {
        self.times.iter().max().copied()
    }

    pub(crate) fn time(&self, row: usize) -> i64 {
        self.times[self.order.as_ref().map_or(row, |order| order[row] as usize)]
    }

    /// The first row of a time or a later one.
    pub(crate) fn first_at(&self, time: i64) -> usize {
        match &self.order {
            None => self.times.partition_point(|own| *own < time),
            Some(order) => order.partition_point(|row| self.times[*row as usize] < time),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.as_ref().map_or(self.times.len(), Vec::len)
    }

    pub(crate) fn times(&self, rows: Range<usize>) -> std::borrow::Cow<'_, [i64]> {
        match &self.order {
            None => self.times[rows].into(),
            Some(order) => order[rows].iter().map(|row| self.times[*row as usize]).collect(),
        }
    }

    pub(crate) fn column(&self, index: usize, rows: Range<usize>) -> Result<ArrayRef, EventError> {
        match &self.order {
            None => self.table.slice(index, rows),
            Some(order) => self.table.gather(index, &UInt32Array::from(order[rows].to_vec())),
        }
    }

    /// The values of a column, for some rows by their places in the order.
    pub(crate) fn gather(&self, index: usize, places: &[u32]) -> Result<ArrayRef, EventError> {
        let of = |place: &u32| self.order.as_ref().map_or(*place, |order| order[*place as usize]);
        self.table.gather(index, &places.iter().map(of).collect::<Vec<_>>().into())
    }
}

/// Numbers of the keys of all rows of a table.
pub(crate) struct KeyNumbers {
    /// None where all rows share one.
    of_row: Vec<u32>,
    /// The first row of each.
    pub(crate) firsts: Vec<u32>,
}

impl KeyNumbers {
    /// Of these columns.
    ///
    /// # Errors
    /// Of columns that are no keys.
    pub(crate) fn new(columns: &[usize], table: &Table) -> Result<Self, EngineError> {
        if columns.is_empty() {
            return Ok(Self { of_row: vec![], firsts: vec![] });
        }
        let of_row = key_ids(table, columns)?.ids;
        let mut firsts = vec![];
        for (row, key) in of_row.iter().enumerate() {
            // They are numbered as they appear.
            if *key as usize == firsts.len() {
                firsts.push(row as u32);
            }
        }
        Ok(Self { of_row, firsts })
    }

    pub(crate) fn count(&self) -> usize {
        self.firsts.len().max(1)
    }

    pub(crate) fn of(&self, rows: &OrderedTable<'_>, own: Range<usize>) -> std::borrow::Cow<'_, [u32]> {
        if self.of_row.is_empty() {
            return vec![0; own.len()].into();
        }
        match &rows.order {
            None => self.of_row[own].into(),
            Some(order) => order[own].iter().map(|row| self.of_row[*row as usize]).collect(),
        }
    }
}
