//! Windows over a table.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_empty_array};
use cepheid_eval::ColumnOf;
use cepheid_event::{EventError, Table, times_of};
use cepheid_ir::{Frame, Timing, Window};
use cepheid_matcher::MatchError;
use cepheid_matcher::threads::{Interruption, Workers};
use cepheid_window::{Chunk, UserAggregates, WindowPlan, WindowState, is_in_window, start_of};

use crate::error::EngineError;
use crate::ordered_table::{CHUNK_ROWS, KeyNumbers, OrderedTable, event_time_of};
use crate::plan::MatchOptions;

/// Rows are cut only where those that must be seen twice for it are at most one in so many of a thread's share.
const SEEN_TWICE: usize = 4;

/// What is known of the rows of each window of a table. The columns are those of [`WindowPlan::output`].
///
/// # Errors
/// See [`EngineError`].
pub fn aggregate_table(
    window: &Window,
    table: &Table,
    options: &MatchOptions,
) -> Result<RecordBatch, EngineError> {
    aggregate_table_with(window, &UserAggregates::default(), table, options)
}

/// The same of a window that asks for aggregates of the user's.
///
/// # Errors
/// See [`EngineError`].
pub fn aggregate_table_with(
    window: &Window,
    aggregates: &UserAggregates,
    table: &Table,
    options: &MatchOptions,
) -> Result<RecordBatch, EngineError> {
    window.validate()?;
    let window = window.clone().normalise();
    let schema = table.schema();
    let event_time = event_time_of("a window", window.event_time.as_ref(), schema, options)?;
    let plan = WindowPlan::compile(&window, aggregates, schema, event_time)?.without_late_rows();
    let rows = ordered_rows(&plan, table)?;
    let keys = KeyNumbers::new(plan.row_source().keys(), table)?;
    let workers = options.workers(rows.len());
    // What is told between two ends is told in the order of all rows.
    let threads = if plan.reports().is_default() { workers.threads } else { 1 };
    let pieces = pieces(&rows, &keys, plan.frame(), threads);
    let clock = plan.reports().empty.and_then(|_| rows.greatest_time());
    let search = |pieces: &[Piece], threads: usize| {
        let workers = Workers { threads, ..workers };
        let work = |piece: &Piece, interrupted: Interruption<'_>| {
            of_piece(&plan, &rows, &keys, (piece, clock), &|| interrupted.is_due())
        };
        workers.share(pieces, work, Result::is_err)?.into_iter().collect::<Result<Vec<_>, _>>()
    };
    let found = match search(&pieces, workers.threads) {
        // Whichever error one thread meets first is told.
        Err(error) if pieces.len() > 1 && error.code() != "interrupted" => search(&[Piece::all(&rows)], 1),
        found => found,
    }?;
    let by_key = pieces.iter().any(|piece| piece.keys.is_some()) && found.len() > 1;
    let found = found.into_iter().reduce(FoundWindows::followed_by).expect("there is a piece");
    let found = if by_key { found.in_order()? } else { found };
    found.into_batch(&plan, &rows, &keys)
}

/// The rows that windows may be of, in order of time.
fn ordered_rows<'a>(plan: &WindowPlan, table: &'a Table) -> Result<OrderedTable<'a>, EngineError> {
    if !plan.row_source().has_condition() && !plan.has_gaps() {
        return OrderedTable::new(plan.row_source().event_time(), table, None);
    }
    let kept = |batch: &RecordBatch, times: &[i64]| {
        let column = |index: usize| Ok(Arc::clone(batch.column(index)));
        let mask = plan.row_source().satisfied(batch.num_rows(), &column)?;
        let inside = |row: usize| {
            mask.as_ref().is_none_or(|mask| mask.value(row)) && is_in_window(plan.frame(), times[row])
        };
        Ok((0..batch.num_rows()).map(inside).collect())
    };
    OrderedTable::new(plan.row_source().event_time(), table, Some(&kept))
}

/// Rows of a table that one thread sees to, and which of the windows that they are in it tells of.
#[derive(Debug)]
struct Piece {
    rows: Range<usize>,
    /// Those that begin at this time or later.
    from: Option<i64>,
    /// Those that end at this time or before; `None`: the input ends.
    until: Option<i64>,
    /// Of windows that are of rows, those of the first so many rows are not told of.
    passed: usize,
    /// Rows of keys whose numbers leave this remainder, divided by so many; `None`: of all.
    keys: Option<(u32, u32)>,
}

impl Piece {
    fn all(rows: &OrderedTable<'_>) -> Self {
        Self { rows: 0..rows.len(), from: None, until: None, passed: 0, keys: None }
    }
}

fn of_piece(
    plan: &WindowPlan,
    rows: &OrderedTable<'_>,
    keys: &KeyNumbers,
    (piece, clock): (&Piece, Option<i64>),
    interrupted: &dyn Fn() -> bool,
) -> Result<FoundWindows, EngineError> {
    let mut state = WindowState::new(plan);
    if let Some(from) = piece.from {
        state.begin_at(from);
    }
    if let Some(own) = piece.keys {
        return of_keys(plan, rows, keys, own, state, interrupted);
    }
    let mut found = FoundWindows::default();
    // Where each window is that of a row, all rows of one time must come together.
    let step = if plan.is_of_rows() { piece.rows.len().max(1) } else { CHUNK_ROWS };
    for begin in piece.rows.clone().step_by(step) {
        if interrupted() {
            return Err(MatchError::Interrupted.into());
        }
        let own = begin..(begin + step).min(piece.rows.end);
        let times = rows.times(own.clone());
        let numbers = keys.of(rows, own.clone());
        let column = |index: usize| rows.column(index, own.clone());
        let args = plan.arguments(&times, &column)?;
        let num_keys = keys.count();
        state.push(&Chunk {
            keys: &numbers,
            num_keys,
            times: &times,
            arrival: None,
            args: &args,
            numbers: None,
        })?;
        found.add(&mut state, plan, &column)?;
    }
    match piece.until {
        Some(until) => state.advance(until),
        None => state.finish(clock),
    }
    found.add(&mut state, plan, &|index| rows.column(index, 0..0))?;
    found.pass(piece.passed);
    Ok(found)
}

/// The same for the rows of some keys.
fn of_keys(
    plan: &WindowPlan,
    rows: &OrderedTable<'_>,
    keys: &KeyNumbers,
    (remainder, divisor): (u32, u32),
    mut state: WindowState,
    interrupted: &dyn Fn() -> bool,
) -> Result<FoundWindows, EngineError> {
    let mut found = FoundWindows::default();
    for begin in (0..rows.len()).step_by(CHUNK_ROWS) {
        if interrupted() {
            return Err(MatchError::Interrupted.into());
        }
        let all = begin..(begin + CHUNK_ROWS).min(rows.len());
        let of_all = keys.of(rows, all.clone());
        let own = (0..of_all.len() as u32).filter(|row| of_all[*row as usize] % divisor == remainder);
        let own: Vec<u32> = own.collect();
        let numbers: Vec<u64> = own.iter().map(|row| begin as u64 + u64::from(*row)).collect();
        let of_own: Vec<u32> = own.iter().map(|row| of_all[*row as usize]).collect();
        let times = rows.times(all);
        let times: Vec<i64> = own.iter().map(|row| times[*row as usize]).collect();
        let places: Vec<u32> = numbers.iter().map(|number| *number as u32).collect();
        let column = |index: usize| rows.gather(index, &places);
        let args = plan.arguments(&times, &column)?;
        state.push(&Chunk {
            keys: &of_own,
            num_keys: keys.count(),
            times: &times,
            arrival: None,
            args: &args,
            numbers: Some(&numbers),
        })?;
        found.add(&mut state, plan, &column)?;
    }
    found.is_over = true;
    state.finish(None);
    found.add(&mut state, plan, &|index| rows.gather(index, &[]))?;
    Ok(found)
}

/// The rows in pieces, about as many for each of so many threads: windows that a time cuts off are whole in one of them, or
/// those of a key.
fn pieces(rows: &OrderedTable<'_>, keys: &KeyNumbers, frame: Frame, threads: usize) -> Vec<Piece> {
    if matches!(frame, Frame::Session { .. } | Frame::Rows { .. }) {
        // Where these begin is known of the rows of their key before them alone. Of windows that do not overlap a row costs so
        // little that to share them costs as much.
        let is_cheap = matches!(frame, Frame::Rows { rows, every } if every >= rows);
        let divisor = if is_cheap { 1 } else { threads.min(keys.count()) as u32 };
        return match divisor {
            0 | 1 => vec![Piece::all(rows)],
            _ => (0..divisor).map(|own| Piece { keys: Some((own, divisor)), ..Piece::all(rows) }).collect(),
        };
    }
    let mut pieces = vec![Piece::all(rows)];
    for thread in 1..threads {
        let row = rows.len() * thread / threads;
        let last = pieces.last_mut().expect("there is one");
        let time = rows.time(row);
        let first_at = |time: i64| rows.first_at(time);
        match frame {
            Frame::Time { size_ns, every_ns, offset_ns } => {
                // Where overlapping windows make their front anew.
                let block = every_ns * (size_ns / every_ns).max(1);
                let start = start_of(time, block, offset_ns);
                let begin = first_at(start);
                // Rows that are in windows on either side are seen twice.
                let until = start.saturating_add(size_ns - every_ns);
                let end = if size_ns > every_ns { first_at(until) } else { begin };
                if begin <= last.rows.start || (end - begin) * SEEN_TWICE > rows.len() / threads {
                    continue;
                }
                last.rows.end = end;
                last.until = Some(until.max(start));
                let own = begin..rows.len();
                pieces.push(Piece { rows: own, from: Some(start), until: None, passed: 0, keys: None });
            }
            Frame::Range { preceding_ns } => {
                let begin = first_at(time);
                let seen_from = first_at(time.saturating_sub(preceding_ns));
                if begin <= last.rows.start + last.passed
                    || (begin - seen_from) * SEEN_TWICE > rows.len() / threads
                {
                    continue;
                }
                last.rows.end = begin;
                let own = seen_from..rows.len();
                let passed = begin - seen_from;
                pieces.push(Piece { rows: own, from: None, until: None, passed, keys: None });
            }
            Frame::Session { .. } | Frame::Rows { .. } => unreachable!("they are shared by key"),
        }
    }
    pieces
}

/// Windows as they are found.
#[derive(Default)]
struct FoundWindows {
    keys: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    timings: Vec<Timing>,
    /// Of those that are shared by key: what puts them in their order.
    order: Vec<(i64, u64)>,
    /// Whether the input has ended.
    is_over: bool,
    /// Of each measure, piece by piece.
    measures: Vec<Vec<ArrayRef>>,
}

impl FoundWindows {
    fn add(
        &mut self,
        state: &mut WindowState,
        plan: &WindowPlan,
        column: ColumnOf<'_>,
    ) -> Result<(), EngineError> {
        let Some(windows) = state.complete(plan, column)? else { return Ok(()) };
        self.measures.resize(windows.measures.len(), vec![]);
        let by_end = matches!(plan.frame(), Frame::Session { .. });
        // Full windows come before those that only the end of the input ends.
        let rank = |window: usize| if by_end { windows.ends[window] } else { self.is_over.into() };
        self.order.extend(windows.order.iter().enumerate().map(|(window, row)| (rank(window), *row)));
        self.keys.extend(windows.keys);
        self.starts.extend(windows.starts);
        self.ends.extend(windows.ends);
        self.timings.extend(windows.timings);
        for (pieces, piece) in self.measures.iter_mut().zip(windows.measures) {
            pieces.push(piece);
        }
        Ok(())
    }

    /// Leaves the first windows out.
    fn pass(&mut self, windows: usize) {
        if windows == 0 {
            return;
        }
        self.keys.drain(..windows);
        debug_assert!(self.starts.is_empty(), "only windows that are of rows are passed over");
        for pieces in &mut self.measures {
            let mut left = windows;
            for piece in pieces {
                let gone = left.min(piece.len());
                left -= gone;
                *piece = piece.slice(gone, piece.len() - gone);
            }
        }
    }

    /// These, and behind them others.
    fn followed_by(mut self, others: Self) -> Self {
        self.keys.extend(others.keys);
        self.starts.extend(others.starts);
        self.ends.extend(others.ends);
        self.timings.extend(others.timings);
        self.order.extend(others.order);
        self.measures.resize(self.measures.len().max(others.measures.len()), vec![]);
        for (pieces, more) in self.measures.iter_mut().zip(others.measures) {
            pieces.extend(more);
        }
        self
    }

    /// The same in the order in which one state would have told of them.
    fn in_order(mut self) -> Result<Self, EngineError> {
        let mut places: Vec<u32> = (0..self.keys.len() as u32).collect();
        // Those of each thread are in order already: they are merged.
        places.sort_by_key(|window| self.order[*window as usize]);
        fn picked<T: Copy>(values: &[T], places: &[u32]) -> Vec<T> {
            places.iter().map(|place| values[*place as usize]).collect()
        }
        self.keys = picked(&self.keys, &places);
        self.starts = picked(&self.starts, &places);
        self.ends = picked(&self.ends, &places);
        let places = UInt32Array::from(places);
        for pieces in &mut self.measures {
            let all: Vec<&dyn arrow_array::Array> = pieces.iter().map(|piece| &**piece).collect();
            let all = arrow_select::concat::concat(&all).map_err(EventError::from)?;
            *pieces = vec![arrow_select::take::take(&all, &places, None).map_err(EventError::from)?];
        }
        Ok(self)
    }

    fn into_batch(
        self,
        plan: &WindowPlan,
        rows: &OrderedTable<'_>,
        keys: &KeyNumbers,
    ) -> Result<RecordBatch, EngineError> {
        let windows = self.keys.len();
        let mut columns: Vec<ArrayRef> = vec![];
        if plan.is_of_rows() {
            let own = plan.row_source().keys().iter().copied().chain([plan.row_source().event_time()]);
            let own = own.map(|column| rows.column(column, 0..rows.len()));
            columns = own.collect::<Result<_, _>>()?;
        } else {
            let firsts: UInt32Array =
                self.keys.iter().map(|key| keys.firsts.get(*key as usize).copied()).collect();
            for column in plan.row_source().keys() {
                columns.push(rows.table.gather(*column, &firsts)?);
            }
            let data_type = plan.row_source().schema().field(plan.row_source().event_time()).data_type();
            for edges in [self.starts, self.ends] {
                columns.push(times_of(edges, data_type)?);
            }
            columns.extend(plan.timings(&self.timings, windows));
        }
        for pieces in &self.measures {
            let pieces: Vec<&dyn arrow_array::Array> = pieces.iter().map(|piece| &**piece).collect();
            columns.push(arrow_select::concat::concat(&pieces).map_err(EventError::from)?);
        }
        if self.measures.is_empty() {
            // There is no window.
            let measures = &plan.output().fields()[columns.len()..];
            columns.extend(measures.iter().map(|field| new_empty_array(field.data_type())));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(windows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(plan.output()), columns, &options);
        Ok(batch.map_err(EventError::from)?)
    }
}
