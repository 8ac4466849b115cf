//! A replay's way from a reader to an engine, many pieces a call: Python hears of what they have derived together.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use cepheid_engine as engine;
use cepheid_store::{self as store, Passed, StoredRows};
use pyo3::prelude::*;

use crate::error::NativeError;
use crate::matches::MatchTable;

/// Rows that are pushed in one call, about: a signal is answered between two.
const PUSHED_ROWS: usize = 1 << 16;

/// Pieces of one call, likewise: of those that matter, and of those that are passed over.
const PIECES: usize = 64;

/// What a call has come to. Becomes a dict.
#[derive(IntoPyObject)]
pub(crate) struct PushedOn {
    /// Derived events by topic.
    outputs: Vec<(String, MatchTable)>,
    /// How many rows of topics the engine has been told of by now, those that were passed over with the others.
    counted: HashMap<String, u64>,
    /// Rows of a topic that cannot be passed over, or not be pushed without all of their columns. First row, and how many.
    refused: Option<(String, i64, usize)>,
    /// Whether that was all.
    ended: bool,
    /// How many rows were pushed, and how many were passed over.
    rows: (usize, usize),
}

/// Pieces of a history on their way.
pub(crate) struct Replay<'a> {
    engine: &'a mut engine::Engine,
    counted: HashMap<String, u64>,
    now_ns: Option<i64>,
    /// Whether rows come with all of their columns.
    whole: bool,
    /// By topic, in the order in which they were first derived.
    parts: Vec<(String, Vec<MatchTable>)>,
    refused: Option<(String, i64, usize)>,
    rows: (usize, usize),
    pieces: usize,
}

impl<'a> Replay<'a> {
    /// To an engine that has been told of so many rows of topics.
    pub(crate) fn new(
        engine: &'a mut engine::Engine,
        counted: HashMap<String, u64>,
        now_ns: Option<i64>,
        whole: bool,
    ) -> Self {
        Self { engine, counted, now_ns, whole, parts: vec![], refused: None, rows: (0, 0), pieces: 0 }
    }

    /// Pushes what a reader gives next; see [`StoredReader`](crate::stored_reader::StoredReader).
    pub(crate) fn through(
        mut self,
        reader: &mut store::Reader,
        eager: bool,
    ) -> Result<PushedOn, NativeError> {
        let mut ended = false;
        while !(ended || self.is_long() || self.refused.is_some() || eager && !self.parts.is_empty()) {
            match reader.next_rows()? {
                None => ended = true,
                Some(StoredRows::Read(topic, rows)) => self.push(&topic, &rows)?,
                Some(StoredRows::Passed(topic, passed)) => self.pass_over(&topic, passed)?,
            }
        }
        self.outcome(ended)
    }

    /// Whether it is time to let Python hear of it.
    fn is_long(&self) -> bool {
        self.pieces >= PIECES || self.rows.0 >= PUSHED_ROWS
    }

    /// Lets the engine number the next rows of a topic from `first` on.
    fn number(&mut self, topic: &str, first: i64) -> Result<(), NativeError> {
        let before = self.counted.entry(topic.into()).or_default();
        let first = u64::try_from(first).unwrap_or(0);
        if first > *before {
            self.engine.skip(topic, first - *before)?;
            *before = first;
        }
        Ok(())
    }

    /// Pushes rows whose numbers follow each other, the store's columns in front.
    fn push(&mut self, topic: &str, rows: &RecordBatch) -> Result<(), NativeError> {
        let (first, count) = (store::reader::ordinals(rows)[0], rows.num_rows());
        self.number(topic, first)?;
        let own = store::reader::own_columns(rows);
        let derived = if self.whole {
            Some(self.engine.push(Some(topic), &[own], self.now_ns)?)
        } else {
            self.engine.push_needed(topic, &own, self.now_ns)?
        };
        if self.take(topic, first, count, derived) {
            self.rows.0 += count;
        }
        Ok(())
    }

    /// Lets the clock see rows that do not matter.
    fn pass_over(&mut self, topic: &str, passed: Passed) -> Result<(), NativeError> {
        self.number(topic, passed.first_row)?;
        let rows = passed.rows as usize;
        let derived = self.engine.pass_over(topic, rows as u64, passed.times, self.now_ns)?;
        if self.take(topic, passed.first_row, rows, derived) {
            self.rows.1 += rows;
        }
        Ok(())
    }

    /// Takes what rows have derived; false: the engine has not taken them.
    fn take(
        &mut self,
        topic: &str,
        first: i64,
        rows: usize,
        derived: Option<Vec<(String, engine::DerivedTable)>>,
    ) -> bool {
        let Some(derived) = derived else {
            self.refused = Some((topic.into(), first, rows));
            return false;
        };
        self.pieces += 1;
        *self.counted.entry(topic.into()).or_default() += rows as u64;
        for (topic, table) in derived {
            let table = MatchTable::from(table);
            match self.parts.iter_mut().find(|(known, _)| *known == topic) {
                Some((_, parts)) => parts.push(table),
                None => self.parts.push((topic, vec![table])),
            }
        }
        true
    }

    fn outcome(self, ended: bool) -> Result<PushedOn, NativeError> {
        let together = |(topic, mut parts): (String, Vec<MatchTable>)| {
            let all = match parts.len() {
                1 => parts.remove(0),
                _ => MatchTable::concat(&parts.iter().collect::<Vec<_>>())?,
            };
            Ok((topic, all))
        };
        Ok(PushedOn {
            outputs: self.parts.into_iter().map(together).collect::<Result<_, NativeError>>()?,
            counted: self.counted,
            refused: self.refused,
            ended,
            rows: self.rows,
        })
    }
}
