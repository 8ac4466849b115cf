//! Conditions, asked of a row: by masks made beforehand where they read nothing but rows, else in the run's light.

use cepheid_eval::{ColumnReader, EvalError, SlotValues, TypedExpr, Value};
use cepheid_event::{EventError, OrderedRows, Table};

use super::compile::SequenceMatcher;
use super::registers::Registers;
use crate::automaton::VariableId;
use crate::bits::Bits;
use crate::error::MatchError;
use crate::masks::Masks;
use crate::threads::Workers;

/// The time of a row that has none: beyond every bound.
pub const NO_TIME: i64 = i64::MAX;

/// Nanoseconds from one row to a later one; `None` if one of them has no time.
pub(crate) fn time_between(from: i64, to: i64) -> Option<i64> {
    (from != NO_TIME && to != NO_TIME).then(|| to.saturating_sub(from))
}

/// A condition, and how it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// Every row satisfies it.
    Always,
    /// It reads rows at fixed distances from the row: a mask knows. The rest is for the day the mask could not be
    /// made, because some row, which may never be asked, would raise an error.
    Mask { predicate: usize, whole: TypedExpr, sources: Vec<TestSource> },
    /// It reads the run. `guard`: a predicate that must hold as well.
    Run { whole: TypedExpr, guard: Option<usize>, sources: Vec<TestSource> },
}

impl Test {
    /// A predicate without which the test never holds.
    pub(crate) fn predicate(&self) -> Option<usize> {
        match self {
            Self::Always => None,
            Self::Mask { predicate, .. } => Some(*predicate),
            Self::Run { guard, .. } => *guard,
        }
    }
}

/// Where a leaf of a test is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TestSource {
    /// A column of the projection, at the row under test.
    UnderTest(usize),
    Lookback {
        index: usize,
        includes: bool,
    },
    Fold {
        index: usize,
        includes: bool,
    },
}

/// Rows of which the projection's columns can be read.
pub(crate) trait Projected {
    /// The value of a column of the projection at a row.
    fn value(&self, column: usize, row: u32) -> Value;
}

/// Rows to be matched.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The rows, and rows before them that conditions may read.
    pub table: &'a Table,
    /// The same by partition and in order.
    pub rows: &'a OrderedRows,
    /// `times[a]`: event time of the row with arrival `a`, in nanoseconds or [`NO_TIME`]; empty: rows have none.
    pub times: &'a [i64],
    /// `ordinals[a]`: the place of the row with arrival `a` in the order of all rows; empty: it is `a` itself.
    pub ordinals: &'a [u64],
    /// Arrivals below this are of rows that have been matched before, here only to be looked back at.
    pub fresh_from: u32,
}

impl Chunk<'_> {
    #[inline]
    pub(crate) fn time(&self, arrival: u32) -> i64 {
        self.times.get(arrival as usize).copied().unwrap_or(0)
    }

    #[inline]
    pub(crate) fn ordinal(&self, arrival: u32) -> u64 {
        self.ordinals.get(arrival as usize).copied().unwrap_or(u64::from(arrival))
    }

    /// The place of the row at a position in the order of all rows.
    #[inline]
    pub(crate) fn ordinal_at(&self, position: u32) -> u64 {
        self.ordinal(self.rows.arrival(position))
    }
}

/// A chunk made ready to be asked.
pub struct Asked<'a> {
    pub(crate) matcher: &'a SequenceMatcher,
    pub(crate) chunk: Chunk<'a>,
    pub(crate) masks: Masks,
    /// `columns[p]`: readers of the batches of column `p` of the projection, or one reader by position.
    columns: Vec<Column>,
    /// Rows that satisfy some predicate; `None`: every row must be looked at.
    pub(crate) relevant: Option<Bits>,
}

enum Column {
    ByArrival(Vec<ColumnReader>),
    ByPosition(ColumnReader),
}

impl<'a> Asked<'a> {
    /// Evaluates every predicate over the chunk.
    pub(crate) fn new(matcher: &'a SequenceMatcher, chunk: Chunk<'a>) -> Result<Self, MatchError> {
        let masks = Masks::evaluate(&matcher.predicates, chunk.table, chunk.rows, Workers::default())?;
        Self::with_masks(matcher, chunk, masks)
    }

    /// With what every predicate says of the chunk's rows, by position.
    pub(crate) fn with_masks(
        matcher: &'a SequenceMatcher,
        chunk: Chunk<'a>,
        masks: Masks,
    ) -> Result<Self, MatchError> {
        let columns = matcher
            .projection
            .iter()
            .map(|(column, shift)| {
                if *shift == 0 {
                    let batches = chunk.table.batches().iter();
                    return Ok(Column::ByArrival(
                        batches.map(|b| ColumnReader::new(b.column(*column))).collect(),
                    ));
                }
                let all = 0..chunk.rows.num_rows();
                let base = chunk.rows.read(chunk.table, *column, all.clone())?;
                let shifted = chunk.rows.shifted(&base, 0, all, *shift)?;
                Ok(Column::ByPosition(ColumnReader::new(&shifted)))
            })
            .collect::<Result<Vec<_>, EventError>>()?;
        let relevant = matcher.satisfying(&masks, chunk.rows.num_rows());
        Ok(Self { matcher, chunk, masks, columns, relevant })
    }

    /// Whether no row of these places satisfies anything that the pattern asks.
    pub(crate) fn is_irrelevant(&self, places: &std::ops::Range<u32>) -> bool {
        let end = places.end as usize;
        self.relevant.as_ref().is_some_and(|relevant| relevant.next_set(places.start as usize, end) == end)
    }

    /// The positions at which a predicate holds.
    ///
    /// # Errors
    /// What it raises at some row, asked or not.
    pub(crate) fn mask(&self, predicate: usize) -> Result<&Bits, MatchError> {
        self.masks.of[predicate].as_ref().map_err(|source| {
            let tests = self.matcher.tests.iter().zip(&self.matcher.automaton.variables);
            let mut asking =
                tests.filter(|(test, _)| test.predicate() == Some(predicate)).map(|(_, name)| name);
            let variable = asking.next().cloned().unwrap_or_default();
            MatchError::Condition { variable, source: Box::new(source.clone()) }
        })
    }

    /// Whether a predicate holds at a position; of one that could not be evaluated over all rows, perhaps.
    #[inline]
    pub(crate) fn may_hold(&self, predicate: usize, position: u32) -> bool {
        self.masks.of[predicate].as_ref().map_or(true, |bits| bits.get(position as usize))
    }

    /// Whether a predicate holds at a position; `None`: that could not be said of all rows.
    #[inline]
    pub(crate) fn holds_surely(&self, predicate: usize, position: u32) -> Option<bool> {
        self.masks.of[predicate].as_ref().ok().map(|bits| bits.get(position as usize))
    }

    /// The value of a leaf at `position`.
    #[inline]
    pub(crate) fn slot(
        &self,
        source: TestSource,
        tested: Option<VariableId>,
        position: u32,
        registers: &Registers,
    ) -> Result<Value, EvalError> {
        if let TestSource::UnderTest(column) = source {
            return Ok(self.value(column, position));
        }
        let (matcher, sources) = (self.matcher, &[source][..]);
        Slots { matcher, rows: self, sources, tested, row: position, registers }.slot(0)
    }

    /// Whether a test holds of the row at `position`. `tested`: the variable that would take it, if it is one's
    /// condition.
    #[inline]
    pub(crate) fn holds(
        &self,
        test: usize,
        tested: Option<VariableId>,
        position: u32,
        registers: Option<&Registers>,
    ) -> Result<bool, MatchError> {
        match &self.matcher.tests[test] {
            Test::Always => Ok(true),
            Test::Mask { predicate, whole, sources } => match &self.masks.of[*predicate] {
                Ok(bits) => Ok(bits.get(position as usize)),
                Err(_) => self.evaluate(test, whole, sources, tested, position, registers),
            },
            Test::Run { whole, guard, sources } => {
                if guard.is_some_and(|guard| !self.may_hold(guard, position)) {
                    return Ok(false);
                }
                self.evaluate(test, whole, sources, tested, position, registers)
            }
        }
    }

    fn evaluate(
        &self,
        test: usize,
        whole: &TypedExpr,
        sources: &[TestSource],
        tested: Option<VariableId>,
        position: u32,
        registers: Option<&Registers>,
    ) -> Result<bool, MatchError> {
        evaluate(self.matcher, self, test, whole, sources, tested, position, registers)
    }
}

impl Projected for Asked<'_> {
    fn value(&self, column: usize, row: u32) -> Value {
        match &self.columns[column] {
            Column::ByPosition(reader) => reader.value(row as usize),
            Column::ByArrival(readers) => {
                let arrival = self.chunk.rows.arrival(row) as usize;
                let (batch, row) =
                    if readers.len() == 1 { (0, arrival) } else { self.chunk.table.locate(arrival) };
                readers[batch].value(row)
            }
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn evaluate(
    matcher: &SequenceMatcher,
    rows: &dyn Projected,
    test: usize,
    whole: &TypedExpr,
    sources: &[TestSource],
    tested: Option<VariableId>,
    row: u32,
    registers: Option<&Registers>,
) -> Result<bool, MatchError> {
    let registers = registers.unwrap_or(&matcher.no_registers);
    let mut slots = Slots { matcher, rows, sources, tested, row, registers };
    whole.evaluate_condition(&mut slots).map_err(|source| {
        let variables = &matcher.automaton.variables;
        let name = variables.get(test).map_or_else(
            || if matcher.having == Some(test) { "having" } else { "until" }.to_owned(),
            Clone::clone,
        );
        MatchError::Condition { variable: name, source: Box::new(source) }
    })
}

pub(crate) struct Slots<'a> {
    pub(crate) matcher: &'a SequenceMatcher,
    pub(crate) rows: &'a dyn Projected,
    pub(crate) sources: &'a [TestSource],
    pub(crate) tested: Option<VariableId>,
    pub(crate) row: u32,
    pub(crate) registers: &'a Registers,
}

impl SlotValues for Slots<'_> {
    fn slot(&mut self, index: usize) -> Result<Value, EvalError> {
        let tested =
            |includes: bool| self.tested.filter(|_| includes).map(|variable| (variable, self.row, self.rows));
        match self.sources[index] {
            TestSource::UnderTest(column) => Ok(self.rows.value(column, self.row)),
            TestSource::Lookback { index, includes } => {
                Ok(self.registers.look(self.matcher, index, tested(includes)))
            }
            TestSource::Fold { index, includes } => {
                self.registers.fold(self.matcher, index, tested(includes))
            }
        }
    }
}

/// Whether `having` holds of a finished match.
pub(crate) fn holds_of_match(
    matcher: &SequenceMatcher,
    test: usize,
    registers: Option<&Registers>,
) -> Result<bool, MatchError> {
    match &matcher.tests[test] {
        Test::Run { whole, sources, .. } => {
            evaluate(matcher, &NoRows, test, whole, sources, None, 0, registers)
        }
        Test::Always | Test::Mask { .. } => unreachable!("`having` is asked of a match"),
    }
}

/// No row is under test: in a finished match, or in what a run knows.
pub(crate) struct NoRows;

impl Projected for NoRows {
    fn value(&self, _: usize, _: u32) -> Value {
        Value::Null
    }
}
