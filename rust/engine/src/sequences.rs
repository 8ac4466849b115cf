//! Event sequences in a table: the same matcher that runs over streams, over rows that are all there.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use cepheid_event::key::keys_by_appearance;
use cepheid_event::{EventError, OrderedRows, Table};
use cepheid_ir::Pattern;
use cepheid_matcher::sequence::{FoundKind, FoundSequence, FoundSequences, Moment, SequenceMatcher};
use cepheid_matcher::{MatchSet, Strategy, Wanted};

use crate::derive::{Deriving, derive};
use crate::error::EngineError;
use crate::matches::{MatchTable, Origin, RowLabels};
use crate::plan::{InTable, MatchOptions, Matching, Measures, Outputs, Plan, schema_with_shifted};
use crate::promote::find_promoted;
use crate::sequence_rows::{SequenceRows, order_of_all};
use crate::stream::derived::{Part, RuleLabel, by_topic};
use crate::stream::{DerivedTable, TopicOutputs};

/// What was found in a table, and where its rows are.
pub(crate) struct FoundInTable {
    pub(crate) found: FoundSequences,
    /// `arrivals[o]`: the row in place `o` of the order of all rows; `None`: rows arrived in order.
    pub(crate) arrivals: Option<Vec<u32>>,
    /// All rows, by partition and in order; `None`: those that cannot matter were left out.
    pub(crate) rows: Option<OrderedRows>,
}

/// Finds event sequences in a table.
pub(crate) fn find_sequences(
    plan: &Plan,
    table: &Table,
    options: &MatchOptions,
    wanted: Wanted,
) -> Result<FoundInTable, EngineError> {
    let Matching::Sequences { matcher, in_table } = &plan.matching else {
        unreachable!("asked for sequences")
    };
    // What stands some rows on is read of the pattern's own partitions.
    if let (Wanted::All, true, Some(InTable { promoted: Ok(promoted), .. })) =
        (wanted, plan.outputs.shifted.is_empty(), in_table.as_deref())
    {
        return find_promoted(promoted, &plan.outputs, table, options);
    }
    let rows = SequenceRows::new(matcher, &plan.outputs, table, true, options)?;
    find_by_runs(matcher, rows, options, wanted)
}

/// Puts rows to runs that wait.
pub(crate) fn find_by_runs(
    matcher: &SequenceMatcher,
    mut rows: SequenceRows<'_>,
    options: &MatchOptions,
    wanted: Wanted,
) -> Result<FoundInTable, EngineError> {
    let is_match = |entry: &FoundSequence| entry.kind == FoundKind::Match;
    let is_enough = |found: &FoundSequences| wanted == Wanted::First && found.found.iter().any(is_match);
    let masks = std::mem::take(&mut rows.masks);
    let workers = options.workers(rows.num_rows());
    let found = matcher.match_table(rows.chunk(), masks, workers, is_enough);
    let found = found.map_err(|error| rows.name_row(error))?;
    let (arrivals, rows) = rows.into_arrivals();
    Ok(FoundInTable { found, arrivals, rows })
}

/// The matches of a table, as a table.
pub(crate) fn match_sequences(
    plan: &Plan,
    table: &Table,
    options: &MatchOptions,
) -> Result<MatchTable, EngineError> {
    let found = SortedInTable::find(plan, table, options)?;
    Ok(found.derive(plan, FoundKind::Match, &plan.outputs.measures)?.0)
}

/// The matches of a table, and by topic whatever else is derived of it.
pub(crate) fn sequence_outputs(
    plan: &Plan,
    rule: &str,
    table: &Table,
    options: &MatchOptions,
) -> Result<TopicOutputs<MatchTable>, EngineError> {
    let found = SortedInTable::find(plan, table, options)?;
    let pattern = plan.pattern();
    let topic = pattern.emit.as_deref().or(pattern.name.as_deref()).unwrap_or(rule);
    let mut parts = vec![];
    let mut add = |topic: String, matches: MatchTable, order: Vec<_>| {
        if order.is_empty() {
            return Ok(());
        }
        let event_of = matches.row_events();
        let (membership, count) = (Some(matches.membership()?), matches.num_matches());
        let table = DerivedTable::new(matches.batch, membership, count);
        parts.push(Part { topic, rule: 0, table, order, event_of });
        Ok::<_, EngineError>(())
    };
    if pattern.emit_at.iter().any(|entry| entry.topic == topic) {
        // Intermediate outputs stand among the matches.
        let (matches, order) = found.derive(plan, FoundKind::Match, &plan.outputs.measures)?;
        add(topic.to_owned(), matches, order)?;
    }
    if pattern.timeouts {
        let (timeouts, order) = found.derive(plan, FoundKind::Timeout, &plan.outputs.measures)?;
        add(format!("{topic}.timeout"), timeouts, order)?;
    }
    for (place, (entry, measures)) in pattern.emit_at.iter().zip(&plan.outputs.emitted).enumerate() {
        let (emitted, order) = found.derive(plan, FoundKind::Emitted(place as u16), measures)?;
        add(entry.topic.clone(), emitted, order)?;
    }
    let (matches, _) = found.derive(plan, FoundKind::Match, &plan.outputs.measures)?;
    // Nobody asks for the times of what a table derives.
    let others = by_topic(parts, i64::MAX, &|_| RuleLabel { name: topic, strategy: Strategy::Sequences })?;
    Ok((matches, others.into_iter().map(Into::into).collect()))
}

/// What was found in a table, in order, and all that output of it is made from.
struct SortedInTable {
    found: FoundSequences,
    arrivals: Option<Vec<u32>>,
    /// With the columns that hold what stands some rows on.
    table: Table,
    /// At most so many make output of it.
    threads: usize,
}

/// Of each event: when it was decided, its last row and its first.
type Decided = Vec<(Moment, Option<u64>, Option<u64>)>;

impl SortedInTable {
    fn find(plan: &Plan, table: &Table, options: &MatchOptions) -> Result<Self, EngineError> {
        let FoundInTable { mut found, arrivals, rows } = find_sequences(plan, table, options, Wanted::All)?;
        let shifted = match &rows {
            Some(rows) => with_shifted_columns(table, rows, &plan.outputs.shifted)?,
            None => table.clone(),
        };
        if plan.pattern().output == cepheid_ir::OutputColumns::Standard {
            // SQL's rows stand partition by partition, as other strategies find them.
            if rows.is_none() {
                number_partitions(&mut found, table, &plan.outputs.partition_by, arrivals.as_deref())?;
            }
            found.found.sort_by_key(|entry| (entry.partition, found.rows[entry.start], entry.number));
        } else {
            found.sort(&plan.variable_of());
        }
        let threads = options.workers(found.found.len()).threads;
        Ok(Self { found, arrivals, table: shifted, threads })
    }

    fn derive(
        &self,
        plan: &Plan,
        kind: FoundKind,
        measures: &Measures,
    ) -> Result<(MatchTable, Decided), EngineError> {
        let of_kind: Vec<FoundSequence> =
            self.found.found.iter().filter(|entry| entry.kind == kind).copied().collect();
        let decided = |entry: &FoundSequence| {
            let rows = self.found.rows_of(entry);
            (entry.moment, rows.last().copied(), rows.first().copied())
        };
        let arrival = |ordinal: u64| match &self.arrivals {
            Some(arrivals) => arrivals[ordinal as usize],
            None => ordinal as u32,
        };
        let by_plan = [FoundByPlan { plan, all: &self.found, found: &of_kind }];
        let matches = derive_sequences(&by_plan, measures, &self.table, &arrival, None, self.threads)?;
        Ok((matches, of_kind.iter().map(decided).collect()))
    }
}

/// Numbers the partitions of what was found by first appearance among all rows of the table.
pub(crate) fn number_partitions(
    found: &mut FoundSequences,
    table: &Table,
    partition_by: &[usize],
    arrivals: Option<&[u32]>,
) -> Result<(), EngineError> {
    if found.found.is_empty() {
        return Ok(());
    }
    if partition_by.is_empty() {
        found.found.iter_mut().for_each(|entry| entry.partition = 0);
        return Ok(());
    }
    let first = |entry: &FoundSequence| {
        let first = found.rows[entry.start] as usize;
        arrivals.map_or(first as u32, |arrivals| arrivals[first])
    };
    let firsts: Vec<u32> = found.found.iter().map(first).collect();
    let keys = keys_by_appearance(table, partition_by, &firsts)?;
    for (entry, key) in found.found.iter_mut().zip(keys) {
        entry.partition = key;
    }
    Ok(())
}

/// Something that a pattern derives from a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceFound {
    /// From what.
    pub kind: FoundKind,
    /// When it is decided. Its row counts rows in the order that the pattern gives them.
    pub moment: Moment,
    /// Ordinal of a match among those of its partition, from 1; 0 for everything else.
    pub number: u64,
    /// The variable and the arrival of each row, in the order of rows.
    pub members: Vec<(String, u32)>,
}

/// Everything that a pattern derives from a table, the whole input, in the order in which it is decided: matches,
/// timeouts and intermediate outputs. Runs that wait find it, whatever the planner would choose.
///
/// # Errors
/// See [`EngineError`].
pub fn match_events(
    pattern: &Pattern,
    table: &Table,
    options: &MatchOptions,
) -> Result<Vec<SequenceFound>, EngineError> {
    let options = MatchOptions { strategy: Some(Strategy::Sequences), ..options.clone() };
    let plan = Plan::new(pattern, table.schema(), &options)?;
    let FoundInTable { mut found, arrivals, rows } = find_sequences(&plan, table, &options, Wanted::All)?;
    // Where rows were left out, their order is not that of all rows.
    let places = match (&arrivals, &rows) {
        (Some(arrivals), None) => Some(places_among_all(table, &plan.outputs, arrivals)?),
        _ => None,
    };
    let among_all = |moment: Moment| match (moment, &places) {
        (Moment::At { time, row: row @ 1.. }, Some(places)) => {
            Moment::At { time, row: places[row as usize - 1] + 1 }
        }
        (moment, _) => moment,
    };
    let variable_of = plan.variable_of();
    found.sort(&variable_of);
    let member = |row: &u64, place: &u32| {
        let variable = variable_of[*place as usize] as usize;
        let arrival = arrivals.as_ref().map_or(*row as u32, |arrivals| arrivals[*row as usize]);
        (plan.automaton().variables[variable].clone(), arrival)
    };
    let derived = found.found.iter().map(|entry| SequenceFound {
        kind: entry.kind,
        moment: among_all(entry.moment),
        number: entry.number,
        members: found
            .rows_of(entry)
            .iter()
            .zip(&found.places[entry.start..entry.end])
            .map(|(row, place)| member(row, place))
            .collect(),
    });
    Ok(derived.collect())
}

/// The places of some rows in the order of all rows of a table.
fn places_among_all(table: &Table, outputs: &Outputs, rows: &[u32]) -> Result<Vec<u64>, EngineError> {
    let Some(order) = order_of_all(table, &outputs.order_by)? else {
        return Ok(rows.iter().map(|row| u64::from(*row)).collect());
    };
    let mut places = vec![0; order.len()];
    for (place, row) in order.iter().enumerate() {
        places[*row as usize] = place as u64;
    }
    Ok(rows.iter().map(|row| places[*row as usize]).collect())
}

/// Some of what a plan's pattern has found.
pub(crate) struct FoundByPlan<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) all: &'a FoundSequences,
    pub(crate) found: &'a [FoundSequence],
}

/// Output rows of what plans that share their outputs have found, one after the other; the first of them, which there is,
/// says how. `arrival` tells where in `table` a row stands; at most so many `threads` make the columns.
pub(crate) fn derive_sequences(
    by_plan: &[FoundByPlan<'_>],
    measures: &Measures,
    table: &Table,
    arrival: &dyn Fn(u64) -> u32,
    labels: Option<Arc<RowLabels>>,
    threads: usize,
) -> Result<MatchTable, EngineError> {
    let plan = by_plan[0].plan;
    debug_assert!(by_plan.iter().all(|other| Arc::ptr_eq(&other.plan.outputs, &plan.outputs)));
    // Rows of one match are put one behind the other, as a partition: output needs nothing else to be contiguous.
    let mut arrivals = vec![];
    let mut starts = vec![0_u32];
    let mut set = MatchSet::default();
    for FoundByPlan { plan, all, found } in by_plan {
        set.add_sequences(arrivals.len() as u32, found, all, plan.automaton());
        for entry in *found {
            arrivals.extend(all.rows_of(entry).iter().map(|row| arrival(*row)));
            starts.push(arrivals.len() as u32);
        }
    }
    let rows = OrderedRows::of_groups(arrivals, starts);
    let deriving = Deriving { plan, measures, table, order: None, threads };
    let origin = Origin {
        set,
        rows,
        variables: plan.automaton().variables.clone(),
        strategy: Strategy::Sequences,
        labels,
    };
    derive(&deriving, origin)
}

/// The table with columns behind its own that hold what stands some rows on in the same partition.
fn with_shifted_columns(
    table: &Table,
    rows: &OrderedRows,
    shifted: &[(usize, i64)],
) -> Result<Table, EngineError> {
    if shifted.is_empty() {
        return Ok(table.clone());
    }
    let schema = schema_with_shifted(table.schema(), shifted);
    let columns = shifted_by_arrival(table, rows, shifted)?;
    let mut batches = vec![];
    let mut start = 0;
    for batch in table.batches() {
        let mut arrays: Vec<ArrayRef> = batch.columns().to_vec();
        arrays.extend(columns.iter().map(|column| column.slice(start, batch.num_rows())));
        start += batch.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options);
        batches.push(batch.map_err(EventError::from)?);
    }
    Ok(Table::new(schema, batches)?)
}

/// Shifted columns, by arrival.
pub(crate) fn shifted_by_arrival(
    table: &Table,
    rows: &OrderedRows,
    shifted: &[(usize, i64)],
) -> Result<Vec<ArrayRef>, EngineError> {
    let all = 0..rows.num_rows();
    let mut places = vec![0_u32; rows.num_rows()];
    for place in 0..rows.num_rows() as u32 {
        places[rows.arrival(place) as usize] = place;
    }
    let places = UInt32Array::from(places);
    let mut columns = vec![];
    for (column, shift) in shifted {
        let base = rows.read(table, *column, all.clone())?;
        let moved = rows.shifted(&base, 0, all.clone(), *shift)?;
        columns.push(arrow_select::take::take(&moved, &places, None).map_err(EventError::from)?);
    }
    Ok(columns)
}
