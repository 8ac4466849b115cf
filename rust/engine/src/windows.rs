//! Windows over a table.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use cepheid_event::Table;
use cepheid_event::threads::on_two;
use cepheid_ir::{Frame, Window};
use cepheid_matcher::MatchError;
use cepheid_matcher::threads::{Interruption, Workers};
use cepheid_window::{Chunk, UserAggregates, WindowPlan, WindowState, is_in_window, start_of};

use crate::error::EngineError;
use crate::found_windows::FoundWindows;
use crate::ordered_table::{CHUNK_ROWS, KeyNumbers, OrderedTable, event_time_of, lane_of};
use crate::plan::MatchOptions;
use crate::rows_by_key::RowsByKey;

/// Rows are cut only where those that must be seen twice for it are at most one in so many of a thread's share.
const SEEN_TWICE: usize = 4;

/// The same of windows of a grid, of which a row costs less than it does to tell of the windows that it is in: these are told of once.
const SEEN_TWICE_OF_A_GRID: f64 = 1.5;

/// What is known of the rows of each window of a table. The columns are those of [`WindowPlan::output`].
///
/// # Errors
/// See [`EngineError`].
pub fn aggregate_table(window: &Window, table: &Table, options: &MatchOptions) -> Result<Table, EngineError> {
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
) -> Result<Table, EngineError> {
    window.validate()?;
    let window = window.clone().normalise();
    let schema = table.schema();
    let event_time = event_time_of("a window", window.event_time.as_ref(), schema, options)?;
    let plan = WindowPlan::compile(&window, aggregates, schema, event_time)?.without_late_rows();
    let (rows, keys) = rows_and_keys(&plan, table, options.workers(table.num_rows()))?;
    let workers = options.workers(rows.len());
    // What is told between two ends is told in the order of all rows.
    let threads = if plan.reports().is_default() { workers.threads } else { 1 };
    let by_key = rows_by_key(&rows, &keys, plan.frame(), threads);
    let pieces = pieces(&rows, &keys, by_key.as_ref(), plan.frame(), threads);
    let clock = plan.reports().empty.and(rows.greatest_time);
    let search = |pieces: &[Piece], threads: usize| {
        let workers = Workers { threads, ..workers };
        let work = |piece: &Piece, interrupted: Interruption<'_>| {
            let interrupted = || interrupted.is_due();
            match (&piece.keys, &by_key) {
                (Keys::All, _) => of_time(&plan, &rows, &keys, (piece, clock), &interrupted),
                (Keys::Lane(lane, lanes), _) => of_lane(&plan, &rows, &keys, (*lane, *lanes), &interrupted),
                (Keys::Stretch(own), Some(by_key)) => {
                    of_stretch(&plan, &rows, by_key, own.clone(), &interrupted)
                }
                (Keys::Stretch(_), None) => {
                    unreachable!("keys are cut into stretches where rows are put together by key")
                }
            }
        };
        workers.share(pieces, work, Result::is_err)?.into_iter().collect::<Result<Vec<_>, _>>()
    };
    let (found, by_key) = match search(&pieces, workers.threads) {
        // Whichever error one thread meets first, row by row, is told.
        Err(error) if (pieces.len() > 1 || by_key.is_some()) && error.code() != "interrupted" => {
            (search(&[Piece::all(&rows)], 1)?, None)
        }
        found => (found?, by_key),
    };
    let found = found.into_iter().reduce(FoundWindows::followed_by).expect("there is a piece");
    let found = match by_key {
        Some(by_key) => found.by_time(&by_key, workers)?,
        None => found.in_order(workers)?,
    };
    found.into_table(&plan, &rows, &keys, workers)
}

/// The rows that windows may be of, in order of time, and their keys: one beside the other.
fn rows_and_keys<'a>(
    plan: &WindowPlan,
    table: &'a Table,
    workers: Workers<'_>,
) -> Result<(OrderedTable<'a>, KeyNumbers), EngineError> {
    let number = || KeyNumbers::new(plan.row_source().keys(), table);
    if workers.threads == 1 {
        return Ok((ordered_rows(plan, table)?, number()?));
    }
    let (rows, keys) = on_two(|| ordered_rows(plan, table), number);
    Ok((rows?, keys?))
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
    keys: Keys,
}

/// The keys whose rows one thread sees to.
#[derive(Clone, Debug)]
enum Keys {
    All,
    /// Those of one lane, of so many.
    Lane(u32, u32),
    /// Those whose numbers are between two.
    Stretch(Range<usize>),
}

impl Piece {
    fn all(rows: &OrderedTable<'_>) -> Self {
        Self { rows: 0..rows.len(), from: None, until: None, passed: 0, keys: Keys::All }
    }
}

/// The grid of windows that begin and end at no other times, how far its edges are apart and where they are, if nothing else of the
/// time of a row matters.
fn grid_of(plan: &WindowPlan) -> Option<(i64, i64)> {
    match plan.frame() {
        Frame::Time { size_ns, every_ns, offset_ns }
            if size_ns % every_ns == 0 && plan.reports().is_default() =>
        {
            Some((every_ns, offset_ns))
        }
        _ => None,
    }
}

/// What is found in the rows of a stretch of time.
fn of_time(
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
    let mut found = FoundWindows::default();
    let grid = grid_of(plan);
    let mut begin = piece.rows.start;
    while begin < piece.rows.end {
        if interrupted() {
            return Err(MatchError::Interrupted.into());
        }
        let mut end = (begin + CHUNK_ROWS).min(piece.rows.end);
        if plan.is_of_rows() {
            // Where each window is that of a row, all rows of one time must come together.
            end = rows.first_behind(rows.time(end - 1)).min(piece.rows.end);
        }
        if let Some((every, offset)) = grid
            && end < piece.rows.end
            && let edge = start_of(rows.time(end - 1), every, offset)
            && edge > rows.time(begin)
        {
            // Nothing is left then but what is told of.
            end = rows.first_at_within(begin..end, edge);
        }
        let own = begin..end;
        begin = end;
        let times = match grid {
            Some(grid) => rows.times_on_grid(own.clone(), grid),
            None => rows.times(own.clone()),
        };
        let numbers = keys.of(rows, own.clone());
        let column = |index: usize| rows.column(index, own.clone());
        let args = plan.arguments(&times, &column)?;
        let num_keys = keys.count();
        state.push(&Chunk::of_rows(&numbers, num_keys, &times, &args))?;
        if grid.is_some() && end < piece.rows.end {
            state.advance(rows.time(end));
        }
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

/// The same in the rows of the keys of a lane.
fn of_lane(
    plan: &WindowPlan,
    rows: &OrderedTable<'_>,
    keys: &KeyNumbers,
    (lane, lanes): (u32, u32),
    interrupted: &dyn Fn() -> bool,
) -> Result<FoundWindows, EngineError> {
    let mut state = WindowState::new(plan);
    let mut found = FoundWindows::of_a_lane();
    for begin in (0..rows.len()).step_by(CHUNK_ROWS) {
        if interrupted() {
            return Err(MatchError::Interrupted.into());
        }
        let all = begin..(begin + CHUNK_ROWS).min(rows.len());
        let of_all = keys.of(rows, all.clone());
        let own = (0..of_all.len() as u32).filter(|row| lane_of(of_all[*row as usize], lanes) == lane);
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
            threads: 1,
        })?;
        found.add(&mut state, plan, &column)?;
    }
    found.is_over = true;
    state.finish(None);
    found.add(&mut state, plan, &|index| rows.gather(index, &[]))?;
    Ok(found)
}

/// The same in the rows of keys that follow each other, of windows that are of rows: key by key, as many at a time as stay near.
fn of_stretch(
    plan: &WindowPlan,
    rows: &OrderedTable<'_>,
    by_key: &RowsByKey,
    keys: Range<usize>,
    interrupted: &dyn Fn() -> bool,
) -> Result<FoundWindows, EngineError> {
    let mut found = FoundWindows::default();
    for block in by_key.blocks(keys) {
        let mut state = WindowState::new(plan);
        let mut numbers: Vec<u32> = vec![];
        for (number, key) in block.clone().enumerate() {
            numbers.extend(std::iter::repeat_n(number as u32, by_key.rows_of(key)));
        }
        let num_keys = block.len();
        let (places, times) = by_key.rows(block);
        let mut begin = 0;
        while begin < places.len() {
            if interrupted() {
                return Err(MatchError::Interrupted.into());
            }
            let mut end = places.len();
            if num_keys == 1 && end - begin > CHUNK_ROWS {
                // All rows of one time must come together.
                let last = times[begin + CHUNK_ROWS - 1];
                end = times.partition_point(|time| *time <= last);
            }
            let own = begin..end;
            begin = end;
            let (keys, places, times) = (&numbers[own.clone()], &places[own.clone()], &times[own]);
            let column = |index: usize| rows.gather(index, places);
            let args = plan.arguments(times, &column)?;
            state.push(&Chunk::of_rows(keys, num_keys, times, &args))?;
            found.add(&mut state, plan, &column)?;
        }
    }
    Ok(found)
}

/// The rows put together by key, where each window is that of a row and several keys have rows: unless a thread would see to
/// one of them alone, while others wait.
fn rows_by_key(
    rows: &OrderedTable<'_>,
    keys: &KeyNumbers,
    frame: Frame,
    threads: usize,
) -> Option<RowsByKey> {
    if !matches!(frame, Frame::Range { .. }) || keys.count() == 1 {
        return None;
    }
    RowsByKey::new(rows, keys, rows.len() / threads, threads)
}

/// The rows in pieces, about as many for each of so many threads: windows that a time cuts off are whole in one of them, or
/// those of a key.
fn pieces(
    rows: &OrderedTable<'_>,
    keys: &KeyNumbers,
    by_key: Option<&RowsByKey>,
    frame: Frame,
    threads: usize,
) -> Vec<Piece> {
    if let Some(by_key) = by_key {
        let stretches = by_key.stretches(threads).into_iter();
        return stretches.map(|own| Piece { keys: Keys::Stretch(own), ..Piece::all(rows) }).collect();
    }
    if matches!(frame, Frame::Session { .. } | Frame::Rows { .. }) {
        // Where these begin is known of the rows of their key before them alone. Of windows that do not overlap a row costs so
        // little that to share them costs as much.
        let is_cheap = matches!(frame, Frame::Rows { rows, every } if every >= rows);
        let lanes = if is_cheap { 1 } else { threads.min(keys.count()) as u32 };
        return match lanes {
            0 | 1 => vec![Piece::all(rows)],
            _ => {
                let own = |lane| Piece { keys: Keys::Lane(lane, lanes), ..Piece::all(rows) };
                (0..lanes).map(own).collect()
            }
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
                // Rows that are in windows on either side are seen twice: a share has them, too.
                let twice = first_at(time.saturating_add(size_ns - every_ns)).saturating_sub(row);
                let share = (rows.len() + (threads - 1) * twice) / threads;
                let time = rows.time(thread * (share - twice.min(share)));
                // The nearest edge, or the later one: who comes first tells of the windows that few rows are in yet.
                let start = start_of(time.saturating_add(every_ns / 2), every_ns, offset_ns);
                let begin = first_at(start);
                let until = start.saturating_add(size_ns - every_ns);
                let end = if size_ns > every_ns { first_at(until) } else { begin };
                let seen_twice = (end - begin) as f64 * SEEN_TWICE_OF_A_GRID;
                if begin <= last.rows.start || seen_twice > (rows.len() / threads) as f64 {
                    continue;
                }
                last.rows.end = end;
                last.until = Some(until.max(start));
                let own = begin..rows.len();
                pieces.push(Piece { rows: own, from: Some(start), ..Piece::all(rows) });
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
                pieces.push(Piece { rows: own, passed, ..Piece::all(rows) });
            }
            Frame::Session { .. } | Frame::Rows { .. } => unreachable!("they are shared by key"),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    /// Which rows and keys each of four threads sees to, of rows a second apart; `hot`: how many of 1,000 have one key.
    fn shared(frame: Frame, hot: i64) -> Vec<String> {
        let times: ArrayRef = Arc::new((0..1_000).map(|row| row * 1_000_000_000).collect::<Int64Array>());
        let key = |row: i64| if row < hot { 7 } else { row % 10 };
        let keys: ArrayRef = Arc::new((0..1_000).map(key).collect::<Int64Array>());
        let batch = RecordBatch::try_from_iter([("ts", times), ("key", keys)]).expect("two columns");
        let table = Table::new(batch.schema(), vec![batch]).expect("one batch");
        let rows = OrderedTable::new(0, &table, None).expect("times");
        let keys = KeyNumbers::new(&[1], &table).expect("keys");
        let by_key = rows_by_key(&rows, &keys, frame, 4);
        let piece = |piece: &Piece| match &piece.keys {
            Keys::All => format!("{:?} behind {}", piece.rows, piece.passed),
            own => format!("{own:?}"),
        };
        pieces(&rows, &keys, by_key.as_ref(), frame, 4).iter().map(piece).collect()
    }

    #[test]
    fn threads_share_what_windows_leave_whole() {
        let second = 1_000_000_000;
        let lanes = ["Lane(0, 4)", "Lane(1, 4)", "Lane(2, 4)", "Lane(3, 4)"];
        assert_eq!(shared(Frame::Session { gap_ns: second }, 0), lanes);
        assert_eq!(shared(Frame::Rows { rows: 9, every: 2 }, 0), lanes);
        assert_eq!(shared(Frame::Rows { rows: 9, every: 9 }, 0), ["0..1000 behind 0"]);
        let range = Frame::Range { preceding_ns: 10 * second };
        assert_eq!(shared(range, 0), ["Stretch(0..3)", "Stretch(3..5)", "Stretch(5..8)", "Stretch(8..10)"]);
        // One key has more rows than each thread is to see to.
        let at_times = ["0..250 behind 0", "240..500 behind 10", "490..750 behind 10", "740..1000 behind 10"];
        assert_eq!(shared(range, 500), at_times);
        let tumbling = Frame::Time { size_ns: 50 * second, every_ns: 50 * second, offset_ns: 0 };
        let at_windows = ["0..250 behind 0", "250..500 behind 0", "500..750 behind 0", "750..1000 behind 0"];
        assert_eq!(shared(tumbling, 0), at_windows);
        let hopping =
            |size, every| Frame::Time { size_ns: size * second, every_ns: every * second, offset_ns: 0 };
        // A hundred rows are seen twice, so that each thread has about 325; then three hundred would be.
        let overlapping = ["0..350 behind 0", "250..550 behind 0", "450..800 behind 0", "700..1000 behind 0"];
        assert_eq!(shared(hopping(150, 50), 0), overlapping);
        assert_eq!(shared(hopping(400, 100), 0), ["0..1000 behind 0"]);
    }
}
