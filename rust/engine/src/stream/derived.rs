//! What a call derives, topic by topic.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave_record_batch;
use cepheid_event::{EventError, LateRows, MergedSchema};
use cepheid_matcher::Strategy;
use cepheid_matcher::sequence::Moment;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::error::EngineError;

/// Derived events of one topic, or late rows.
#[derive(Clone, Debug)]
pub struct DerivedTable {
    /// One row an event, or, where the rule says so, one a row of it.
    pub batch: RecordBatch,
    /// The rows of each, as [`crate::MatchTable::membership`] has them; of late rows none. `None`: events of windows, of which it is
    /// not kept.
    pub membership: Option<RecordBatch>,
    /// How many events there are; of late rows none.
    pub matches: usize,
    /// How the rules that derived them are run, each way once; of late rows none.
    pub strategies: Vec<Strategy>,
    /// The event time of each row, in nanoseconds since 1970: when it was decided. `None`: late rows have one of their own,
    /// and of what is no stream's it is not kept.
    pub times: Option<ScalarBuffer<i64>>,
    /// The table that `batch` is some rows of, if rules that report alike share one, and the first of these rows.
    pub part_of: Option<(Arc<RecordBatch>, usize)>,
}

impl DerivedTable {
    /// So many events, of which nothing else is said yet.
    pub(crate) fn new(batch: RecordBatch, membership: Option<RecordBatch>, matches: usize) -> Self {
        Self { batch, membership, matches, strategies: vec![], times: None, part_of: None }
    }
}

/// What is said of a rule.
#[derive(Clone, Copy)]
pub(crate) struct RuleLabel<'a> {
    pub(crate) name: &'a str,
    /// How it is run, settled by the first rows.
    pub(crate) strategy: Strategy,
}

/// What one rule derives for one topic.
pub(crate) struct Part {
    pub(crate) topic: String,
    /// Which rule.
    pub(crate) rule: usize,
    pub(crate) table: DerivedTable,
    /// Of each event: when it was decided, its last row and its first.
    pub(crate) order: Vec<(Moment, Option<u64>, Option<u64>)>,
    /// `event_of[r]`: the event that row r of the table is of; `None`: row r is event r.
    pub(crate) event_of: Option<Vec<u32>>,
}

/// Derived events of one topic, with what those who read them have to know.
pub(crate) struct TopicEvents {
    pub(crate) topic: String,
    pub(crate) table: DerivedTable,
    /// When each event was decided.
    moments: Vec<Moment>,
    /// As in [`Part`].
    event_of: Option<Vec<u32>>,
    /// The time of what only the end of the input has decided.
    end: i64,
}

impl TopicEvents {
    /// The event time of each row of the table.
    pub(crate) fn times(&self) -> ScalarBuffer<i64> {
        let time = |event: usize| match self.moments[event] {
            Moment::At { time, .. } => time,
            Moment::End => self.end,
        };
        match &self.event_of {
            None => (0..self.moments.len()).map(time).collect(),
            Some(event_of) => event_of.iter().map(|event| time(*event as usize)).collect(),
        }
    }
}

impl From<TopicEvents> for (String, DerivedTable) {
    fn from(events: TopicEvents) -> Self {
        let times = Some(events.times());
        (events.topic, DerivedTable { times, ..events.table })
    }
}

/// Brings parts together, topics in the order in which they first come. `end`: the time of what only the end of the input
/// has decided; `rule` gives a rule by its place.
pub(crate) fn by_topic<'a>(
    parts: Vec<Part>,
    end: i64,
    rule: &dyn Fn(usize) -> RuleLabel<'a>,
) -> Result<Vec<TopicEvents>, EngineError> {
    let mut topics: Vec<(String, Vec<Part>)> = vec![];
    let mut places: HashMap<String, usize, FixedState> = HashMap::with_hasher(FixedState::with_seed(0));
    for part in parts {
        match places.get(&part.topic) {
            Some(place) => topics[*place].1.push(part),
            None => {
                places.insert(part.topic.clone(), topics.len());
                topics.push((part.topic.clone(), vec![part]));
            }
        }
    }
    let together = |(topic, mut parts): (String, Vec<Part>)| {
        let mut strategies = vec![];
        for part in &parts {
            let own = rule(part.rule).strategy;
            if !strategies.contains(&own) {
                strategies.push(own);
            }
        }
        let mut events = if parts.len() > 1 {
            merged(topic, &parts, end, rule)?
        } else {
            let Part { table, order, event_of, .. } = parts.remove(0);
            let moments = order.into_iter().map(|(moment, ..)| moment).collect();
            TopicEvents { topic, table, moments, event_of, end }
        };
        events.table.strategies = strategies;
        Ok(events)
    };
    topics.into_iter().map(together).collect()
}

/// The rows of each event; `None`: each is one row.
fn rows_by_event(part: &Part) -> Option<Vec<Vec<usize>>> {
    let mut rows = vec![vec![]; part.order.len()];
    for (row, event) in part.event_of.as_ref()?.iter().enumerate() {
        rows[*event as usize].push(row);
    }
    Some(rows)
}

/// Checks that two rules, by name, give a topic the same columns.
pub(super) fn same_columns(
    topic: &str,
    (first, expected): (&str, &SchemaRef),
    (own, found): (&str, &SchemaRef),
) -> Result<(), EngineError> {
    let columns = |schema: &SchemaRef| -> Vec<String> {
        schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect()
    };
    let (expected, found) = (columns(expected), columns(found));
    if expected == found {
        return Ok(());
    }
    Err(EngineError::TopicConflict {
        topic: topic.to_owned(),
        rules: [first, own].map(str::to_owned),
        schemas: [expected, found].map(|columns| columns.join(", ")),
    })
}

/// Whether the rows of parts only have to be put one behind the other, and are all that there is of their events.
fn are_in_order(parts: &[Part]) -> bool {
    let of_part = |part: &'_ Part| part.event_of.is_none() && part.table.membership.is_none();
    let place = |part: &'_ Part, event: usize| (part.order[event], part.rule, event);
    let places = parts.iter().flat_map(|part| (0..part.order.len()).map(move |event| place(part, event)));
    parts.iter().all(of_part) && places.is_sorted()
}

/// Events of several rules in one topic: in order of their moments, then of rows, then of rules.
fn merged<'a>(
    topic: String,
    parts: &[Part],
    end: i64,
    rule: &dyn Fn(usize) -> RuleLabel<'a>,
) -> Result<TopicEvents, EngineError> {
    let first = &parts[0];
    for part in parts {
        let (expected, found) = (first.table.batch.schema(), part.table.batch.schema());
        let [first, own] = [first, part].map(|part| rule(part.rule).name);
        same_columns(&topic, (first, &expected), (own, &found))?;
    }
    let expected = first.table.batch.schema();
    let batches: Vec<RecordBatch> = parts
        .iter()
        .map(|part| {
            let options = RecordBatchOptions::new().with_row_count(Some(part.table.batch.num_rows()));
            RecordBatch::try_new_with_options(
                Arc::clone(&expected),
                part.table.batch.columns().to_vec(),
                &options,
            )
        })
        .collect::<Result<_, _>>()
        .map_err(EventError::from)?;
    let sources: Vec<&RecordBatch> = batches.iter().collect();
    if are_in_order(parts) {
        let batch = concat_batches(&expected, sources).map_err(EventError::from)?;
        let moments: Vec<Moment> =
            parts.iter().flat_map(|part| &part.order).map(|(moment, ..)| *moment).collect();
        let matches = moments.len();
        let table = DerivedTable::new(batch, None, matches);
        return Ok(TopicEvents { topic, table, moments, event_of: None, end });
    }
    let mut events: Vec<(usize, usize)> = vec![];
    for (index, part) in parts.iter().enumerate() {
        events.extend((0..part.order.len()).map(|event| (index, event)));
    }
    events.sort_by_key(|(part, event)| (parts[*part].order[*event], parts[*part].rule, *event));
    let mut ordinals: Vec<Vec<i64>> = parts.iter().map(|part| vec![0; part.order.len()]).collect();
    for (ordinal, (part, event)) in events.iter().enumerate() {
        ordinals[*part][*event] = ordinal as i64;
    }
    let (places, event_of) = if parts.iter().all(|part| part.event_of.is_none()) {
        (events.clone(), None)
    } else {
        let rows: Vec<_> = parts.iter().map(rows_by_event).collect();
        let (mut places, mut event_of) = (vec![], vec![]);
        for (ordinal, (part, event)) in events.iter().enumerate() {
            match &rows[*part] {
                Some(rows) => places.extend(rows[*event].iter().map(|row| (*part, *row))),
                None => places.push((*part, *event)),
            }
            event_of.resize(places.len(), ordinal as u32);
        }
        (places, Some(event_of))
    };
    let batch = interleave_record_batch(&sources, &places).map_err(EventError::from)?;
    let mut memberships = vec![];
    for (part, ordinals) in parts.iter().zip(&ordinals) {
        let Some(membership) = &part.table.membership else { continue };
        let own = membership.column(0).as_primitive::<Int64Type>();
        let renumbered: Int64Array =
            own.values().iter().map(|event| ordinals[*event as usize]).collect::<Vec<_>>().into();
        let mut columns: Vec<ArrayRef> = membership.columns().to_vec();
        columns[0] = Arc::new(renumbered);
        memberships.push(RecordBatch::try_new(membership.schema(), columns).map_err(EventError::from)?);
    }
    let membership = match memberships.as_slice() {
        [] => None,
        [first, ..] => {
            let all = concat_batches(&first.schema(), &memberships).map_err(EventError::from)?;
            let own = all.column(0).as_primitive::<Int64Type>();
            let mut order: Vec<u32> = (0..own.len() as u32).collect();
            order.sort_by_key(|row| own.value(*row as usize));
            let in_order = arrow_select::take::take_record_batch(&all, &UInt32Array::from(order));
            Some(in_order.map_err(EventError::from)?)
        }
    };
    let table = DerivedTable::new(batch, membership, events.len());
    let moments = events.iter().map(|(part, event)| parts[*part].order[*event].0).collect();
    Ok(TopicEvents { topic, table, moments, event_of, end })
}

/// What late rows of a topic come out as.
pub(crate) fn late_topic(topic: &str) -> String {
    if topic.is_empty() { "late".to_owned() } else { format!("{topic}.late") }
}

/// Late rows, topic by topic, in their own columns.
pub(crate) fn late_tables(
    late: &[LateRows],
    columns: &MergedSchema,
) -> Result<Vec<(String, DerivedTable)>, EngineError> {
    let mut tables: Vec<(String, DerivedTable)> = vec![];
    for rows in late {
        let name = late_topic(columns.topic_name(rows.topic));
        match tables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, table)) => {
                let schema = table.batch.schema();
                let both = concat_batches(&schema, [&table.batch, &rows.batch]);
                table.batch = both.map_err(EventError::from)?;
            }
            None => {
                tables.push((name, DerivedTable::new(rows.batch.clone(), Some(no_membership()), 0)));
            }
        }
    }
    Ok(tables)
}

fn no_membership() -> RecordBatch {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = vec![
        Field::new("match", DataType::Int64, false),
        Field::new("variable", dictionary.clone(), false),
        Field::new("row", DataType::Int64, false),
    ];
    let empty = Arc::new(Int64Array::from(Vec::<i64>::new()));
    let columns: Vec<ArrayRef> = vec![empty.clone(), arrow_array::new_empty_array(&dictionary), empty];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("three empty columns")
}
