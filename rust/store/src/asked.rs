//! What is asked of each topic that a query reads.

use std::path::PathBuf;
use std::sync::Arc;

use crate::conform::METADATA;
use crate::connections::Connections;
use crate::known_segments::KnownSegments;
use crate::passed::Passed;
use crate::query::{Condition, Query};

/// A query, as each of its topics is asked.
pub(crate) struct Asked {
    pub(crate) stream: Option<String>,
    pub(crate) positions: (i64, i64),
    pub(crate) rows: (i64, i64),
    pub(crate) times: Option<(i64, i64)>,
    pub(crate) condition: Option<Condition>,
    pub(crate) columns: Option<Vec<String>>,
    /// Whether some rows may be passed over.
    pub(crate) mattering: bool,
    /// Whether nobody asks for the store's columns, beside where rows are.
    pub(crate) numbered: bool,
    pub(crate) event_time: String,
    pub(crate) folder: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) known: Arc<KnownSegments>,
}

impl Asked {
    pub(crate) fn new(
        query: &Query,
        condition: Option<Condition>,
        columns: Option<Vec<String>>,
        event_time: String,
        connections: &Connections,
    ) -> Self {
        let store = connections.path();
        let range = |(from, to): (Option<u64>, Option<u64>)| {
            let bound = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            (from.map_or(0, bound), to.map_or(i64::MAX, bound))
        };
        let times = match query.times {
            (None, None) => None,
            (since, until) => Some((since.unwrap_or(i64::MIN), until.unwrap_or(i64::MAX))),
        };
        Self {
            stream: query.stream.clone(),
            positions: range(query.positions),
            rows: range(query.rows),
            times,
            condition,
            columns,
            mattering: !query.mattering.is_empty(),
            // Without a time of their own, rows are as old as their records.
            numbered: !query.metadata
                && query.stream.is_none()
                && query.condition.is_none()
                && times.is_none()
                && !query.columns.iter().flatten().any(|name| METADATA.iter().any(|(own, _)| own == name)),
            event_time,
            folder: crate::archive::folder(store),
            store: store.into(),
            known: Arc::clone(connections.known()),
        }
    }

    /// Whether some of the numbers from the first to before the second are asked for.
    pub(crate) fn overlaps(range: (i64, i64), first: i64, end: i64) -> bool {
        first < range.1 && range.0 < end
    }

    pub(crate) fn times_overlap(&self, times: (i64, i64)) -> bool {
        self.times.is_none_or(|(since, until)| times.0 < until && since <= times.1)
    }

    /// Whether all of some rows, which end before a position, are asked for by their place and time: then it may be said that
    /// they are passed over. A condition on their values, or a stream, leaves some out.
    pub(crate) fn has_all(&self, passed: &Passed, end: i64) -> bool {
        let within = |range: (i64, i64), first: i64, end: i64| range.0 <= first && end <= range.1;
        // Between rows of one topic there may be those of another, whose time comes before the last of these.
        end - passed.first_position == passed.rows
            && within(self.positions, passed.first_position, end)
            && within(self.rows, passed.first_row, passed.first_row + passed.rows)
            && self.times.is_none_or(|(since, until)| since <= passed.times.0 && passed.times.1 < until)
            && self.stream.is_none()
            && self.condition.is_none()
    }

    /// Names of columns that are read, beside the store's own; `None`: all.
    pub(crate) fn needed(&self) -> Option<Vec<String>> {
        let mut names = self.columns.clone()?;
        names.extend(self.condition.iter().flat_map(Condition::columns).map(str::to_owned));
        if self.times.is_some() || self.mattering {
            names.push(self.event_time.clone());
        }
        names.extend(METADATA.iter().map(|(name, _)| (*name).to_owned()));
        Some(names)
    }
}
