//! The rows that a rule is given: all of its topics, or those that concern it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::ScalarBuffer;
use cepheid_eval::Value;
use cepheid_event::{KeyedRows, MergedBatch, OrderedRows, PartitionKeys, Table};
use cepheid_matcher::bits::Bits;
use cepheid_matcher::sequence::Chunk;
use cepheid_matcher::threads::Workers;

use super::EngineOptions;
use super::affected::Answers;
use super::kept_places::KeptPlaces;
use super::picked::picked;
use super::rule::{Compiled, Rule, Surroundings};
use crate::error::EngineError;

/// Rows of a batch that concern some rule, for the rules to share.
pub(crate) struct SharedRows {
    rows: MergedBatch,
    ordinals: Arc<[u64]>,
    /// Where rows of the batch stand in `rows`; `None`: all are kept.
    places: Option<KeptPlaces>,
    /// As rows of the bound schemas, by the number of merged columns.
    tables: Vec<(usize, Arc<Table>)>,
    /// All of them by key, by table and columns of the key.
    grouped: Vec<(KeyColumns, Arc<OrderedRows>, Arc<PartitionKeys>)>,
    /// For rules that take some of them, likewise.
    keyed: Vec<(KeyColumns, KeyedRows)>,
    /// `positions[place]` of the rule at hand.
    positions: Vec<u32>,
}

type KeyColumns = (usize, Vec<usize>);

impl SharedRows {
    /// The rows of `batch` at `kept`, ascending, or all of them; the first of the batch is `first` in the order of all
    /// rows.
    pub(crate) fn new(
        batch: &MergedBatch,
        kept: Option<Vec<u32>>,
        first: u64,
        options: &EngineOptions,
    ) -> Result<Self, EngineError> {
        let count = batch.num_rows();
        let (rows, ordinals, places) = match kept {
            None => (batch.clone(), (first..first + count as u64).collect(), None),
            Some(kept) => {
                let places = KeptPlaces::new(count, &kept);
                let ordinals = kept.iter().map(|row| first + u64::from(*row)).collect();
                let workers = options.workers(kept.len());
                (picked(batch, kept, workers)?, ordinals, Some(places))
            }
        };
        Ok(Self { rows, ordinals, places, tables: vec![], grouped: vec![], keyed: vec![], positions: vec![] })
    }

    /// The rows, and their places in the order of all rows.
    pub(crate) fn rows(&self) -> (&MergedBatch, &Arc<[u64]>) {
        (&self.rows, &self.ordinals)
    }

    fn table(&mut self, compiled: &Compiled) -> Result<Arc<Table>, EngineError> {
        let merged = compiled.binding.merged;
        if let Some((_, table)) = self.tables.iter().find(|(known, _)| *known == merged) {
            return Ok(Arc::clone(table));
        }
        let binding = &compiled.binding;
        let batch = binding.table_batch(&self.rows.batch, &self.rows.topic, &self.rows.time)?;
        let table = Arc::new(Table::new(Arc::clone(&binding.schema), vec![batch])?);
        self.tables.push((merged, Arc::clone(&table)));
        Ok(table)
    }

    /// The rows of a rule, by key. `concerned`: rows of the batch, ascending.
    pub(crate) fn input(
        &mut self,
        rule: &Rule,
        compiled: &Compiled,
        concerned: &[u32],
        answers: &Answers,
    ) -> Result<Input, EngineError> {
        let table = self.table(compiled)?;
        let partition_by = &compiled.plan.outputs.partition_by;
        let merged = compiled.binding.merged;
        let same = |(known, columns): &KeyColumns| *known == merged && columns == partition_by;
        let places: Vec<u32> = match &self.places {
            None => concerned.to_vec(),
            Some(places) => {
                let place = |row: &u32| places.place(*row).expect("what concerns a rule is kept");
                concerned.iter().map(place).collect()
            }
        };
        let (rows, keys) = if places.len() == self.rows.num_rows() {
            match self.grouped.iter().find(|(known, ..)| same(known)) {
                Some((_, rows, keys)) => (Arc::clone(rows), Arc::clone(keys)),
                None => {
                    let read = compiled.matcher().columns_read();
                    let rows = Arc::new(OrderedRows::new(&table, partition_by, &[], &read)?);
                    let keys = Arc::new(PartitionKeys::new(&table, &rows, partition_by)?);
                    let key = (merged, partition_by.clone());
                    self.grouped.push((key, Arc::clone(&rows), Arc::clone(&keys)));
                    (rows, keys)
                }
            }
        } else if partition_by.is_empty() {
            let count = places.len() as u32;
            let rows = OrderedRows::of_groups(places, vec![0, count]);
            let keys = PartitionKeys::new(&table, &rows, partition_by)?;
            (Arc::new(rows), Arc::new(keys))
        } else {
            let known = self.keyed.iter().position(|(known, _)| same(known));
            let known = match known {
                Some(known) => known,
                None => {
                    let keyed = KeyedRows::new(&table, partition_by)?;
                    self.keyed.push(((merged, partition_by.clone()), keyed));
                    self.keyed.len() - 1
                }
            };
            let (rows, keys) = self.keyed[known].1.group(&places);
            (Arc::new(rows), Arc::new(keys))
        };
        let count = rows.num_rows();
        // A row may be of the rows of the rule before, or of none: it counts if its position leads back to it.
        self.positions.resize(self.rows.num_rows(), 0);
        for position in 0..count as u32 {
            self.positions[rows.arrival(position) as usize] = position;
        }
        let place_of = |row: u32| self.places.as_ref().map_or(Some(row), |places| places.place(row));
        let position = |row: u32| {
            // A row that satisfies a predicate may be of a topic that no rule with it reads.
            let Some(place) = place_of(row) else { return u32::MAX };
            let position = self.positions[place as usize];
            let own = (position as usize) < count && rows.arrival(position) == place;
            if own { position } else { u32::MAX }
        };
        let known = answers.known(rule, count, position);
        Ok(Input {
            table,
            rows,
            times: self.rows.time.clone(),
            ordinals: Arc::clone(&self.ordinals),
            fresh_from: 0,
            keys,
            known,
        })
    }
}

/// Rows that concern a rule.
struct OwnRows {
    batch: RecordBatch,
    time: ScalarBuffer<i64>,
    topic: ScalarBuffer<u16>,
    ordinals: Vec<u64>,
}

/// A chunk, and what it borrows from: rules share what they can.
pub(crate) struct Input {
    table: Arc<Table>,
    rows: Arc<OrderedRows>,
    times: ScalarBuffer<i64>,
    ordinals: Arc<[u64]>,
    fresh_from: u32,
    pub(crate) keys: Arc<PartitionKeys>,
    /// Which positions satisfy which predicates, where that is known beforehand.
    pub(crate) known: Vec<Option<Bits>>,
}

impl Input {
    pub(crate) fn chunk(&self) -> Chunk<'_> {
        Chunk {
            table: &self.table,
            rows: &self.rows,
            times: &self.times,
            ordinals: &self.ordinals,
            fresh_from: self.fresh_from,
        }
    }

    pub(crate) fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    fn place_of(&self, ordinal: u64) -> Option<usize> {
        self.ordinals.iter().position(|known| *known == ordinal)
    }

    pub(crate) fn time_of(&self, ordinal: u64) -> Option<i64> {
        self.place_of(ordinal).map(|place| self.times[place])
    }

    /// The key of a row, as text for people.
    pub(crate) fn key_text(&self, columns: &[usize], ordinal: u64) -> String {
        let Some(place) = self.place_of(ordinal) else { return String::new() };
        let (batch, row) = self.table.locate(place);
        let values = columns.iter().map(|column| {
            let name = self.table.schema().field(*column).name();
            let value = cepheid_eval::read_value(self.table.batches()[batch].column(*column).as_ref(), row);
            match value {
                Value::Integer(number) => format!("{name} = {number}"),
                Value::Unsigned(number) => format!("{name} = {number}"),
                Value::Boolean(truth) => format!("{name} = {truth}"),
                Value::String(text) => format!("{name} = '{text}'"),
                Value::Null => format!("{name} = NULL"),
                other => format!("{name} = {other:?}"),
            }
        });
        values.collect::<Vec<_>>().join(", ")
    }
}

impl Rule {
    /// The rows of the topics that it reads.
    fn own_rows(
        &self,
        rows: &MergedBatch,
        first: u64,
        around: &Surroundings<'_>,
    ) -> Result<OwnRows, EngineError> {
        let reads: Vec<bool> = (0..around.columns.num_topics() as u16)
            .map(|topic| self.reads(around.columns.topic_name(topic)))
            .collect();
        if reads.iter().all(|reads| *reads) {
            let ordinals = (first..first + rows.num_rows() as u64).collect();
            let (batch, time, topic) = (rows.batch.clone(), rows.time.clone(), rows.topic.clone());
            return Ok(OwnRows { batch, time, topic, ordinals });
        }
        let kept: Vec<u32> =
            (0..rows.num_rows() as u32).filter(|row| reads[rows.topic[*row as usize] as usize]).collect();
        let ordinals = kept.iter().map(|row| first + u64::from(*row)).collect();
        let MergedBatch { batch, time, topic, .. } = picked(rows, kept, Workers::default())?;
        Ok(OwnRows { batch, time, topic, ordinals })
    }

    /// All rows of the topics that it reads, grouped by key, with the rows before them that conditions look back at.
    /// `None`: there are none.
    pub(crate) fn all_rows(
        &self,
        compiled: &Compiled,
        rows: &MergedBatch,
        first: u64,
        around: &Surroundings<'_>,
    ) -> Result<Option<Input>, EngineError> {
        let own = self.own_rows(rows, first, around)?;
        if own.ordinals.is_empty() {
            return Ok(None);
        }
        let binding = &compiled.binding;
        let partition_by = &compiled.plan.outputs.partition_by;
        let fresh = binding.table_batch(&own.batch, &own.topic, &own.time)?;
        let table = Table::new(Arc::clone(&binding.schema), vec![fresh.clone()])?;
        let rows = OrderedRows::new(&table, partition_by, &[], &compiled.matcher().columns_read())?;
        let keys = PartitionKeys::new(&table, &rows, partition_by)?;
        let tail_of = |partition: usize| {
            let shard = keys.shard(partition, self.shards.len());
            self.shards[shard].tail(keys.get(partition))
        };
        let mut before = vec![];
        if compiled.matcher().rows_before() > 0 {
            (0..rows.num_partitions()).for_each(|partition| before.extend_from_slice(tail_of(partition)));
        }
        let mut ordinals = own.ordinals;
        if before.is_empty() {
            return Ok(Some(Input {
                table: Arc::new(table),
                rows: Arc::new(rows),
                times: own.time,
                ordinals: ordinals.into(),
                fresh_from: 0,
                keys: Arc::new(keys),
                known: vec![],
            }));
        }
        let mut times = own.time.to_vec();
        before.sort_unstable();
        let context = around.history.gather(around.columns, &before)?;
        let context_batch = binding.table_batch(&context.batch, &context.topic, &context.time)?;
        // The rows before a partition's go in front of it; the groups stay what they are.
        let fresh_from = before.len() as u32;
        let mut arrivals = Vec::with_capacity(before.len() + rows.num_rows());
        let mut starts = vec![0];
        for partition in 0..rows.num_partitions() {
            let place = |row: &u64| before.binary_search(row).expect("just gathered") as u32;
            arrivals.extend(tail_of(partition).iter().map(place));
            arrivals.extend(rows.partition(partition).map(|place| fresh_from + rows.arrival(place)));
            starts.push(arrivals.len() as u32);
        }
        let rows = OrderedRows::of_groups(arrivals, starts);
        let table = Table::new(Arc::clone(&binding.schema), vec![context_batch, fresh])?;
        times.splice(0..0, context.time.iter().copied());
        ordinals.splice(0..0, before);
        Ok(Some(Input {
            table: Arc::new(table),
            rows: Arc::new(rows),
            times: times.into(),
            ordinals: ordinals.into(),
            fresh_from,
            keys: Arc::new(keys),
            known: vec![],
        }))
    }
}
