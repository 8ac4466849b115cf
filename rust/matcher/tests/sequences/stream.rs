//! A matcher fed chunk by chunk, as an engine feeds it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, RecordBatch};
use cepheid_event::{OrderedRows, PartitionKeys, Table, resolve_column};
use cepheid_ir::Pattern;
use cepheid_matcher::sequence::{
    Chunk, FoundKind, FoundSequences, Moment, SavedRuns, SequenceLimits, SequenceMatcher, SequenceState,
};
use cepheid_matcher::{MatchError, VariableId};
use cepheid_testkit::generate_streams::EVENT_TIME;

/// One thing found: what, when, number, rows and their variables.
pub(super) type Found = (FoundKind, Moment, u64, Vec<u64>, Vec<VariableId>);

/// See the module.
#[derive(Clone)]
pub(super) struct Stream {
    matcher: Arc<SequenceMatcher>,
    partition_by: Vec<usize>,
    pub(super) state: SequenceState,
    next: u64,
}

impl Stream {
    /// A stream of batches like this one, whose rows stand in the order of their times.
    pub(super) fn new(pattern: &Pattern, like: &RecordBatch) -> Result<Self, MatchError> {
        let schema = like.schema();
        let columns = pattern.partition_by.iter().map(|name| resolve_column(&schema, &name.name, false));
        Ok(Self {
            matcher: Arc::new(SequenceMatcher::compile(pattern, &schema, true)?),
            partition_by: columns.collect::<Result<_, _>>()?,
            state: SequenceState::default(),
            next: 0,
        })
    }

    /// Matches a batch, then moves the clock to its last row.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<Vec<Found>, MatchError> {
        let table = Table::new(batch.schema(), vec![batch.clone()])?;
        let rows = OrderedRows::new(&table, &self.partition_by, &[], &[])?;
        let keys = PartitionKeys::new(&table, &rows, &self.partition_by)?;
        let time = resolve_column(&batch.schema(), EVENT_TIME, false)?;
        let times = batch.column(time).as_primitive::<TimestampNanosecondType>();
        assert_eq!(times.null_count(), 0);
        let ordinals: Vec<u64> = (self.next..self.next + batch.num_rows() as u64).collect();
        let chunk =
            Chunk { table: &table, rows: &rows, times: times.values(), ordinals: &ordinals, fresh_from: 0 };
        let limits = SequenceLimits::default();
        let mut found = FoundSequences::default();
        let asked = self.matcher.ask(chunk)?;
        self.matcher.push(&mut self.state, &asked, &keys, (0, 1), limits, &mut found)?;
        if let Some(last) = Self::last_time(batch) {
            self.matcher.advance(&mut self.state, last, limits, &mut found)?;
        }
        self.next += batch.num_rows() as u64;
        Ok(self.told(found))
    }

    /// Lets go of what is over at a time, as an engine does between calls.
    pub(super) fn tidy(&mut self, time: i64) {
        self.matcher.clear_expired(&mut self.state, time);
    }

    /// Time of a batch's last row.
    pub(super) fn last_time(batch: &RecordBatch) -> Option<i64> {
        let time = resolve_column(&batch.schema(), EVENT_TIME, false).expect("there is one");
        batch.column(time).as_primitive::<TimestampNanosecondType>().values().last().copied()
    }

    /// Ends the input.
    pub(super) fn finish(&mut self) -> Result<Vec<Found>, MatchError> {
        let mut found = FoundSequences::default();
        self.matcher.finish(&mut self.state, SequenceLimits::default(), &mut found)?;
        Ok(self.told(found))
    }

    /// Everything that is kept, as data.
    pub(super) fn saved(&self) -> SavedRuns {
        let mut saved = SavedRuns::default();
        self.state.save(&mut saved);
        saved
    }

    /// The stream as somebody gets it who loads what was saved, for a matcher compiled anew. `rows`: all of them.
    pub(super) fn restored(&self, pattern: &Pattern, rows: &RecordBatch) -> Result<Self, MatchError> {
        let mut stream = Self::new(pattern, rows)?;
        let mut shards = vec![SequenceState::default()];
        stream.matcher.load(self.saved(), &mut shards, |_| 0).expect("runs of this pattern");
        let table = Table::new(rows.schema(), vec![rows.clone()])?;
        let ordinals: Vec<u64> = (0..rows.num_rows() as u64).collect();
        stream.matcher.rebuild(&mut shards[0], &table, &ordinals);
        (stream.state, stream.next) = (shards.swap_remove(0), self.next);
        Ok(stream)
    }

    fn told(&self, mut found: FoundSequences) -> Vec<Found> {
        found.sort(self.matcher.variable_of());
        let entry = |entry: &cepheid_matcher::sequence::FoundSequence| {
            let places = found.places_of(entry).iter();
            let variables = places.map(|place| self.matcher.variable_of()[*place as usize]).collect();
            (entry.kind, entry.moment, entry.number, found.rows_of(entry).to_vec(), variables)
        };
        found.found.iter().map(entry).collect()
    }
}
