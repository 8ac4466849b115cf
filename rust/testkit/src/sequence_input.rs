//! The input of a sequence pattern: tables of several topics, merged into one order and cut into partitions.

use std::cmp::Ordering;

use cepheid_ir::{Pattern, PatternError, PatternNode, Within};

use crate::reference::ReferenceError;
use crate::reference_table::ReferenceTable;
use crate::text_table::TextTable;
use crate::value::RefValue;

/// A whole, closed input.
#[derive(Clone, Debug, Default)]
pub struct SequenceInput {
    /// Topics by name, in the order in which they were given; a single table has the empty name.
    pub topics: Vec<(String, ReferenceTable)>,
    /// The column of event time where the pattern names no order.
    pub event_time: Option<String>,
    /// The order in which rows arrived, as (topic, row) ordinals, each row once; by default topic after topic. Rows of
    /// one topic stand in their own order.
    pub arrival: Option<Vec<(usize, usize)>>,
    /// Where the clock stands at the end, in nanoseconds, if that is behind all rows that are asked.
    pub clock: Option<i64>,
    /// How far behind the greatest time seen of its topic a row may come, in nanoseconds, without being late; `None`: none is.
    pub lateness: Option<u64>,
}

impl SequenceInput {
    /// The input of topics written as text.
    pub(crate) fn of_text(topics: &[(String, TextTable)], event_time: Option<&str>) -> Self {
        Self {
            topics: topics.iter().map(|(name, table)| (name.clone(), table.to_reference())).collect(),
            event_time: event_time.map(str::to_owned),
            ..Self::default()
        }
    }

    /// The input that is one table.
    pub fn table(table: ReferenceTable, event_time: Option<&str>) -> Self {
        Self {
            topics: vec![(String::new(), table)],
            event_time: event_time.map(str::to_owned),
            ..Self::default()
        }
    }
}

/// The rows that a pattern sees, in their order.
pub(crate) struct MergedRows {
    /// One table with the columns of all topics; a column that a row's topic lacks is NULL.
    pub(crate) table: ReferenceTable,
    /// Topic ordinal and row ordinal of each merged row.
    pub(crate) origins: Vec<(usize, usize)>,
    /// Event time of each merged row, in nanoseconds (integers: in their own unit); `None`: NULL, or there is no time.
    pub(crate) times: Vec<Option<i128>>,
    /// Places of merged rows by partition, partitions in order of their first rows.
    pub(crate) partitions: Vec<Vec<usize>>,
}

/// Merges, orders and partitions the rows that the pattern sees.
///
/// # Errors
/// Columns that there are not, and event times that are no times where the pattern measures time.
pub(crate) fn merge(pattern: &Pattern, input: &SequenceInput) -> Result<MergedRows, ReferenceError> {
    let visible: Vec<bool> = input.topics.iter().map(|(name, _)| sees(pattern, name)).collect();
    let mut table = ReferenceTable::default();
    for ((_, topic), _) in input.topics.iter().zip(&visible).filter(|(_, visible)| **visible) {
        for column in &topic.columns {
            if !table.columns.contains(column) {
                table.columns.push(column.clone());
            }
        }
    }
    let in_turn = || {
        let rows = input.topics.iter().enumerate();
        rows.flat_map(|(topic, (_, table))| (0..table.rows.len()).map(move |row| (topic, row))).collect()
    };
    let mut origins: Vec<(usize, usize)> = input.arrival.clone().unwrap_or_else(in_turn);
    origins.retain(|&(topic, _)| visible[topic]);
    let wide = |&(topic, row): &(usize, usize)| -> Vec<RefValue> {
        let source = &input.topics[topic].1;
        let cell = |name: &String| {
            let index = source.columns.iter().position(|column| column == name);
            index.map_or(RefValue::Null, |index| source.rows[row][index].clone())
        };
        table.columns.iter().map(cell).collect()
    };
    let mut rows: Vec<((usize, usize), Vec<RefValue>)> =
        origins.iter().map(|origin| (*origin, wide(origin))).collect();
    // Without rows of any topic that it names, a pattern has nothing to be wrong about.
    let nothing_to_read = table.columns.is_empty();
    let mut keys: Vec<(usize, bool, bool)> = vec![];
    for key in pattern.order_by.iter().filter(|_| !nothing_to_read) {
        let column = table.column_index(&key.column.name, key.column.quoted)?;
        keys.push((column, key.descending, key.nulls_first));
    }
    if let (true, Some(name), false) = (keys.is_empty(), &input.event_time, nothing_to_read) {
        keys.push((table.column_index(name, false)?, false, false));
    }
    rows.sort_by(|(_, left), (_, right)| compare_rows(&keys, left, right));
    let timed = measures_time(pattern);
    if timed && keys.first().is_some_and(|&(_, descending, nulls_first)| descending || nulls_first) {
        return Err(ReferenceError::Unsupported("clocks that go backwards, or begin with NULL".into()));
    }
    let mut times = vec![];
    for (_, row) in &rows {
        times.push(match keys.first() {
            Some(&(column, _, _)) => event_time(&row[column], timed)?,
            None if timed => return Err(PatternError::WithinNeedsOrder.into()),
            None => None,
        });
    }
    let mut key_columns = vec![];
    for column in pattern.partition_by.iter().filter(|_| !nothing_to_read) {
        key_columns.push(table.column_index(&column.name, column.quoted)?);
    }
    let (origins, rows) = rows.into_iter().unzip();
    table.rows = rows;
    let mut partitions: Vec<Vec<usize>> = vec![];
    for row in 0..table.rows.len() {
        let same = |other: usize, column: usize| {
            table.rows[row][column].total_order(&table.rows[other][column]).is_eq()
        };
        let fits = |partition: &&mut Vec<usize>| key_columns.iter().all(|&column| same(partition[0], column));
        match partitions.iter_mut().find(fits) {
            Some(partition) => partition.push(row),
            None => partitions.push(vec![row]),
        }
    }
    Ok(MergedRows { table, origins, times, partitions })
}

/// The rows that the pattern sees, as (topic, row) ordinals, in their order: what a [`Moment`](crate::Moment) counts.
///
/// # Errors
/// As [`reference_sequences`](crate::reference_sequences).
pub fn row_order(pattern: &Pattern, input: &SequenceInput) -> Result<Vec<(usize, usize)>, ReferenceError> {
    Ok(merge(pattern, input)?.origins)
}

/// A pattern that names topics sees the rows of those alone, unless one of its variables takes rows of any.
fn sees(pattern: &Pattern, topic: &str) -> bool {
    let mut any = false;
    pattern.root.walk(&mut |node| {
        if let PatternNode::Variable(name) | PatternNode::Absent { variable: name, .. } = node {
            any |= pattern.topic(name).is_none();
        }
    });
    any || pattern.topics.iter().any(|entry| entry.topic == topic)
}

/// Each of `keys`: a column, whether it descends, whether its NULLs come first.
fn compare_rows(keys: &[(usize, bool, bool)], left: &[RefValue], right: &[RefValue]) -> Ordering {
    let compare = |&(column, descending, nulls_first): &(usize, bool, bool)| {
        left[column].sort_order(&right[column], descending, nulls_first)
    };
    keys.iter().map(compare).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The time that a cell names. Values of other kinds order rows, but no span between them can be `measured`.
fn event_time(value: &RefValue, measured: bool) -> Result<Option<i128>, ReferenceError> {
    match value {
        RefValue::Timestamp(nanoseconds) => Ok(Some(i128::from(*nanoseconds))),
        RefValue::Date(days) => Ok(Some(i128::from(*days) * 86_400_000_000_000)),
        RefValue::Integer(value) if !measured => Ok(Some(*value)),
        RefValue::Null => Ok(None),
        _ if !measured => Ok(None),
        other => Err(ReferenceError::TypeMismatch(format!("{other} is no event time"))),
    }
}

/// Whether the pattern has a bound or an absence in time.
fn measures_time(pattern: &Pattern) -> bool {
    let mut timed = matches!(pattern.within, Some(Within::Time { .. }));
    pattern.root.walk(&mut |node| {
        timed |= matches!(
            node,
            PatternNode::Bounded { within: Within::Time { .. }, .. }
                | PatternNode::Absent { for_ns: Some(_), .. }
        );
    });
    timed
}
