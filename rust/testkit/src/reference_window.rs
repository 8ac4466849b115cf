//! What windows give: the definition, which lists the rows of every one of them.
//!
//! `docs/developers/decisions/0016-the-meaning-of-windows.md` read aloud: the rows of each key in their order, the windows
//! that have one of them, and the measures of each as those of a match that is made of its rows.

use std::collections::BTreeSet;

use cepheid_ir::{
    ColumnName, Early, Frame, Pattern, PatternError, PatternNode, SortKey, Timing, VariableTopic, Window,
};

use crate::calendar::DAY;
use crate::late_rows::{LateRow, late_rows};
use crate::reference::{Mark, ReferenceError, resolve_columns};
use crate::reference_eval::{Scene, evaluate, evaluate_condition};
use crate::reference_table::ReferenceTable;
use crate::sequence_input::{MergedRows, SequenceInput, merge};
use crate::value::RefValue;

/// What is reported of one window.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowRow {
    /// Values of the columns of the key.
    pub key: Vec<RefValue>,
    /// Its start and its end, in nanoseconds; `None` under [`Frame::Range`].
    pub bounds: Option<(i64, i64)>,
    /// Under [`Frame::Range`] the row at hand, as (topic, row) ordinals.
    pub row: Option<(usize, usize)>,
    /// Whether it is a report before its end, at it, or behind it.
    pub timing: Timing,
    /// When a clock decides it; of windows that are of rows the time of the row.
    pub moment: i64,
    /// Its rows so far, as (topic, row) ordinals, in their order.
    pub rows: Vec<(usize, usize)>,
    /// Its measures.
    pub values: Vec<RefValue>,
}

/// The name under which the reference, which knows patterns only, meets the rows of a window.
const ROW: &str = "row";

/// The windows of a whole, closed input, in their order.
///
/// # Errors
/// Whatever is wrong with the window or its columns, rows without an event time, and what a condition or a measure raises.
pub fn reference_windows(window: &Window, input: &SequenceInput) -> Result<Vec<WindowRow>, ReferenceError> {
    let seen = Seen::read(window, input)?;
    let mut windows: Vec<Members> = vec![];
    for rows in seen.rows_by_key()? {
        let own = seen.windows(&rows);
        windows.extend(seen.empty(&rows, &own));
        for whole in own {
            windows.extend(seen.late(&whole));
            if let Some(on_time) = seen.on_time(whole) {
                windows.extend(seen.early(&on_time));
                windows.push(on_time);
            }
        }
    }
    windows.sort_by_key(|members| members.place(window.frame));
    windows.iter().map(|members| seen.report(members)).collect()
}

/// The table that the windows of an input are, its columns all there.
///
/// # Errors
/// As [`reference_windows`].
pub fn window_table(window: &Window, input: &SequenceInput) -> Result<ReferenceTable, ReferenceError> {
    let seen = Seen::read(window, input)?;
    let mut table = ReferenceTable { columns: seen.columns(), rows: vec![] };
    for found in reference_windows(window, input)? {
        let mut row = found.key;
        if let Some((start, end)) = found.bounds {
            row.extend([seen.event_time_of(start.into()), seen.event_time_of(end.into())]);
        }
        if seen.window.reports.early.is_some() || seen.window.reports.late_ns.is_some() {
            let timing = match found.timing {
                Timing::Early => "early",
                Timing::OnTime => "on_time",
                Timing::Late => "late",
            };
            row.push(RefValue::String(timing.to_owned()));
        }
        if let Some((topic, ordinal)) = found.row {
            let place = seen.merged.origins.iter().position(|origin| *origin == (topic, ordinal));
            row.push(seen.event_time(place.expect("a row that there is")).clone());
        }
        row.extend(found.values);
        table.rows.push(row);
    }
    Ok(table)
}

/// A window in its normal spelling before the rows that it sees, places of rows being those in their order.
struct Seen {
    window: Window,
    /// What the reference's evaluator wants beside them.
    pattern: Pattern,
    merged: MergedRows,
    key: Vec<usize>,
    time: usize,
    /// Event times in nanoseconds.
    times: Vec<i128>,
    /// Where the clock stands at the end, if it is known to be ahead of them.
    clock: Option<i64>,
    /// By row: how it was late, if it was.
    late: Vec<Option<LateRow>>,
}

/// The rows of one window.
struct Members {
    rows: Vec<usize>,
    /// Start and end, unless it is that of a row.
    bounds: Option<(i128, i128)>,
    /// The row whose window it is.
    of: Option<usize>,
    /// Whether it has the rows that it was to have.
    full: bool,
    /// What decided it.
    cause: Cause,
    /// A row of its key.
    key: usize,
}

/// What decided that a window is reported.
#[derive(Clone, Copy, Debug)]
enum Cause {
    /// It ended.
    End,
    /// It ended without rows; the last before it is this.
    Empty(usize),
    /// The clock said this time, and it went on.
    Clock(i128),
    /// This row came, at this time, and it went on.
    Row(usize, i128),
    /// It had ended when this row came.
    Late(LateRow),
}

impl Members {
    /// A window of rows, all of which are of one key, that has ended.
    fn new(rows: Vec<usize>, bounds: Option<(i128, i128)>) -> Self {
        Self { key: rows[0], rows, bounds, of: None, full: true, cause: Cause::End }
    }

    /// Where the window stands among all windows.
    fn place(&self, frame: Frame) -> (bool, i128, u8, i128, i128) {
        let row = |place: usize| self.rows.get(place).map_or(-1, |row| *row as i128);
        let (first, last) = (row(0), row(self.rows.len().wrapping_sub(1)));
        let end = self.bounds.map_or(0, |(_, end)| end);
        match (frame, self.cause) {
            (_, Cause::Empty(last)) => (false, end, 1, last as i128, 0),
            (_, Cause::Clock(time)) => (false, time, 2, end, first),
            (_, Cause::Row(row, time)) => (false, time, 3, row as i128, end),
            (_, Cause::Late(row)) => (false, row.clock, 4, row.number as i128, end),
            (Frame::Time { .. } | Frame::Session { .. }, Cause::End) => (false, end, 0, first, 0),
            (Frame::Rows { .. }, Cause::End) if self.full => (false, last, 0, first, 0),
            (Frame::Rows { .. }, Cause::End) => (true, first, 0, first, 0),
            (Frame::Range { .. }, Cause::End) => {
                (false, self.of.expect("the window of a row") as i128, 0, first, 0)
            }
        }
    }
}

impl Seen {
    fn read(window: &Window, input: &SequenceInput) -> Result<Self, ReferenceError> {
        window.validate()?;
        let window = window.clone().normalise();
        let named = input.event_time.as_deref().map(ColumnName::unquoted);
        let Some(event_time) = window.event_time.clone().or(named) else {
            return Err(refused("they go by event time, and no column of it is named"));
        };
        let mut pattern = Pattern::algebra(PatternNode::Variable(ROW.into()));
        pattern.partition_by.clone_from(&window.partition_by);
        pattern.order_by =
            vec![SortKey { column: event_time.clone(), descending: false, nulls_first: false }];
        let topic = |topic: &String| VariableTopic { variable: ROW.into(), topic: topic.clone() };
        pattern.topics = window.topic.iter().map(topic).collect();
        let merged = merge(&pattern, input)?;
        let mut seen = Self {
            window,
            pattern,
            merged,
            key: vec![],
            time: 0,
            times: vec![],
            clock: input.clock,
            late: vec![],
        };
        let table = &mut seen.merged.table;
        if table.columns.is_empty() {
            // There is no such topic: the columns are those that the window asks for.
            table.columns = seen.window.partition_by.iter().map(|column| column.name.clone()).collect();
            table.columns.push(event_time.name);
            (seen.key, seen.time) = ((0..seen.window.partition_by.len()).collect(), table.columns.len() - 1);
            return Ok(seen);
        }
        for column in &seen.window.partition_by {
            seen.key.push(table.column_index(&column.name, column.quoted)?);
        }
        seen.time = table.column_index(&event_time.name, event_time.quoted)?;
        let measures = seen.window.measures.iter().map(|measure| &measure.value);
        resolve_columns(measures.chain(&seen.window.condition), table)?;
        for row in 0..table.rows.len() {
            let time = nanoseconds(&table.rows[row][seen.time])?;
            seen.times.push(time.ok_or(ReferenceError::NullTime { row: seen.merged.origins[row].1 })?);
        }
        let late = late_rows(input, seen.merged.table.columns[seen.time].as_str())?;
        seen.late = seen.merged.origins.iter().map(|origin| late.get(origin).copied()).collect();
        // A row that only its own topic's clock has left behind comes in time for a window.
        let times = seen.times.iter();
        seen.late.iter_mut().zip(times).for_each(|(late, time)| {
            *late = late.filter(|late| seen.window.reports.late_ns.is_none() || *time < late.clock);
        });
        let columns = seen.columns();
        let beside = &columns[..columns.len() - seen.window.measures.len()];
        if let Some(measure) = seen.window.measures.iter().find(|measure| beside.contains(&measure.name)) {
            return Err(PatternError::MeasureNameTaken { name: measure.name.clone() }.into());
        }
        let mut spans = match seen.window.frame {
            Frame::Time { size_ns, every_ns, offset_ns } => vec![size_ns, every_ns, offset_ns],
            Frame::Session { gap_ns } => vec![gap_ns],
            Frame::Range { .. } | Frame::Rows { .. } => vec![],
        };
        if let Some(Early::EveryNs(every)) = seen.window.reports.early {
            spans.push(every);
        }
        let days = (0..seen.times.len()).any(|row| matches!(seen.event_time(row), RefValue::Date(_)));
        if days && spans.iter().any(|span| span % DAY != 0) {
            return Err(refused("a day has no parts that a date could tell"));
        }
        Ok(seen)
    }

    fn event_time(&self, row: usize) -> &RefValue {
        &self.merged.table.rows[row][self.time]
    }

    /// A time as a value of the event time's kind.
    fn event_time_of(&self, time: i128) -> RefValue {
        let narrow = || i64::try_from(time).expect("checked when it was reported");
        match self.event_time(0) {
            RefValue::Timestamp(_) => RefValue::Timestamp(narrow()),
            RefValue::Date(_) => RefValue::Date((narrow() / DAY) as i32),
            RefValue::Time(_) => RefValue::Time(narrow()),
            RefValue::Interval { .. } => RefValue::Interval { months: 0, nanoseconds: narrow() },
            _ => RefValue::Integer(time),
        }
    }

    fn columns(&self) -> Vec<String> {
        let named = |column: &usize| self.merged.table.columns[*column].clone();
        let mut columns: Vec<String> = self.key.iter().map(named).collect();
        match self.window.frame {
            Frame::Range { .. } => columns.push(named(&self.time)),
            _ => columns.extend(["window_start".to_owned(), "window_end".to_owned()]),
        }
        if self.window.reports.early.is_some() || self.window.reports.late_ns.is_some() {
            columns.push("window_timing".to_owned());
        }
        columns.extend(self.window.measures.iter().map(|measure| measure.name.clone()));
        columns
    }

    /// Whether a row has come when the clock gets to a time.
    fn has_come(&self, row: usize, time: i128) -> bool {
        self.late[row].map_or(self.times[row], |late| late.clock) < time
    }

    /// The rows that satisfy the condition, key by key, each in order; late ones only if they are asked for.
    fn rows_by_key(&self) -> Result<Vec<Vec<usize>>, ReferenceError> {
        let mut keys = vec![];
        for partition in &self.merged.partitions {
            let mut rows = vec![];
            for &row in partition {
                let holds = match &self.window.condition {
                    Some(condition) => evaluate_condition(condition, &self.scene(&[row], &marks(1), 1))?,
                    None => true,
                };
                if holds && (self.late[row].is_none() || self.window.reports.late_ns.is_some()) {
                    rows.push(row);
                }
            }
            keys.push(rows);
        }
        Ok(keys)
    }

    /// The windows that have a row of a key, given the rows of it.
    fn windows(&self, rows: &[usize]) -> Vec<Members> {
        let time = |row: usize| self.times[row];
        let between = |least: i128, most: i128| -> Vec<usize> {
            rows.iter().copied().filter(|row| (least..=most).contains(&time(*row))).collect()
        };
        match self.window.frame {
            Frame::Time { size_ns, every_ns, offset_ns } => {
                let (size, every, offset) =
                    (i128::from(size_ns), i128::from(every_ns), i128::from(offset_ns));
                let mut starts = BTreeSet::new();
                for &row in rows {
                    // From the last window that begins at the row or before it, back to those that end before it.
                    let mut start = offset + (time(row) - offset).div_euclid(every) * every;
                    while time(row) < start + size {
                        starts.insert(start);
                        start -= every;
                    }
                }
                let window =
                    |start: i128| Members::new(between(start, start + size - 1), Some((start, start + size)));
                starts.into_iter().map(window).collect()
            }
            Frame::Range { preceding_ns } => {
                let window = |&row: &usize| {
                    let rows = between(time(row) - i128::from(preceding_ns), time(row));
                    Members { of: Some(row), ..Members::new(rows, None) }
                };
                rows.iter().map(window).collect()
            }
            Frame::Session { gap_ns } => {
                let gap = i128::from(gap_ns);
                let sessions = rows.chunk_by(|before, row| time(*row) - time(*before) < gap);
                let window = |rows: &[usize]| {
                    Members::new(rows.to_vec(), Some((time(rows[0]), time(rows[rows.len() - 1]) + gap)))
                };
                sessions.map(window).collect()
            }
            Frame::Rows { rows: size, every } => {
                let (size, every) = (size as usize, every as usize);
                let window = |start: usize| {
                    let members = &rows[start..rows.len().min(start + size)];
                    let bounds = (time(members[0]), time(members[members.len() - 1]));
                    Members { full: members.len() == size, ..Members::new(members.to_vec(), Some(bounds)) }
                };
                (0..rows.len()).step_by(every).map(window).collect()
            }
        }
    }

    /// A window as it is when it ends; `None`: it has no row then.
    fn on_time(&self, whole: Members) -> Option<Members> {
        let Some((_, end)) = whole.bounds.filter(|_| self.window.reports.late_ns.is_some()) else {
            return Some(whole);
        };
        let rows: Vec<usize> = whole.rows.iter().copied().filter(|row| self.has_come(*row, end)).collect();
        (!rows.is_empty()).then(|| Members::new(rows, whole.bounds))
    }

    /// What is reported of a window after its end: once for each row that comes not too late, the rows so far.
    fn late(&self, whole: &Members) -> Vec<Members> {
        let (Some(span), Some((_, end))) = (self.window.reports.late_ns, whole.bounds) else { return vec![] };
        let in_time = |late: &LateRow| late.clock >= end && late.clock < end + i128::from(span);
        let causes = whole.rows.iter().filter_map(|row| self.late[*row].filter(in_time));
        let of = |cause: LateRow| {
            let is_there = |row: &usize| self.late[*row].is_none_or(|late| late.number <= cause.number);
            let rows = whole.rows.iter().copied().filter(is_there).collect();
            Members { cause: Cause::Late(cause), ..Members::new(rows, whole.bounds) }
        };
        causes.map(of).collect()
    }

    /// What is reported of a window before it ends.
    fn early(&self, whole: &Members) -> Vec<Members> {
        let time = |row: &usize| self.times[*row];
        let Some((start, end)) = whole.bounds else { return vec![] };
        let so_far = |rows: Vec<usize>, cause: Cause| {
            let end = match self.window.frame {
                Frame::Session { gap_ns } => time(&rows[rows.len() - 1]) + i128::from(gap_ns),
                _ => end,
            };
            Members { cause, ..Members::new(rows, Some((start, end))) }
        };
        match self.window.reports.early {
            None => vec![],
            Some(Early::Rows(every)) => {
                let counts = (1..=whole.rows.len()).filter(|count| (*count as u64).is_multiple_of(every));
                let of = |count: usize| {
                    let row = whole.rows[count - 1];
                    so_far(whole.rows[..count].to_vec(), Cause::Row(row, time(&row)))
                };
                counts.map(of).collect()
            }
            Some(Early::EveryNs(every)) => {
                let every = i128::from(every);
                let mut found = vec![];
                let mut tick = start.div_euclid(every) * every + every;
                while tick < end {
                    let before = |until: i128| -> Vec<usize> {
                        whole.rows.iter().copied().filter(|row| self.has_come(*row, until)).collect()
                    };
                    if before(tick).len() > before(tick - every).len() {
                        found.push(so_far(before(tick), Cause::Clock(tick)));
                    }
                    tick += every;
                }
                found
            }
        }
    }

    /// The windows of a key that have none of its rows and are reported all the same. `whole`: those that have some.
    fn empty(&self, rows: &[usize], whole: &[Members]) -> Vec<Members> {
        let (Frame::Time { size_ns, every_ns, offset_ns }, Some(empty)) =
            (self.window.frame, self.window.reports.empty)
        else {
            return vec![];
        };
        let (size, every) = (i128::from(size_ns), i128::from(every_ns));
        // Rows that no window has are as if they had not come; the clock counts all of the topic.
        let inside: Vec<usize> =
            rows.iter().copied().filter(|row| whole.iter().any(|window| window.rows.contains(row))).collect();
        let (Some(first), Some(clock)) = (inside.first(), self.times.iter().max()) else { return vec![] };
        let clock = self.clock.map_or(*clock, |known| (*clock).max(known.into()));
        let mut start =
            i128::from(offset_ns) + (self.times[*first] - i128::from(offset_ns)).div_euclid(every) * every;
        let mut found = vec![];
        while start + size <= clock {
            let bounds = Some((start, start + size));
            let come = || inside.iter().copied().filter(|row| self.has_come(*row, start + size));
            let is_empty = !come().any(|row| (start..start + size).contains(&self.times[row]));
            let before = come().rfind(|row| self.times[*row] < start);
            if let Some(last) = before
                && is_empty
                && empty.for_ns.is_none_or(|span| start < self.times[last] + i128::from(span))
            {
                let (rows, full, of, cause) = (vec![], true, None, Cause::Empty(last));
                found.push(Members { rows, bounds, of, full, cause, key: last });
            }
            start += every;
        }
        found
    }

    fn report(&self, members: &Members) -> Result<WindowRow, ReferenceError> {
        let rows = &members.rows;
        let marks = marks(rows.len());
        // A bare column is that of the last row seen. Aggregates are of all rows, whatever has been seen.
        let last = members.of.and_then(|of| rows.iter().position(|row| *row == of));
        let seen = last.map_or(rows.len(), |last| last + 1);
        let mut values = vec![];
        for measure in &self.window.measures {
            values.push(evaluate(&measure.value, &self.scene(rows, &marks, seen))?);
        }
        let narrow = |time: i128| i64::try_from(time).map_err(|_| ReferenceError::Overflow);
        let bounds = match members.bounds {
            Some((start, end)) => Some((narrow(start)?, narrow(end)?)),
            None => None,
        };
        let origin = |row: &usize| self.merged.origins[*row];
        let moment = match (members.cause, members.of, bounds) {
            (Cause::Clock(time) | Cause::Row(_, time), ..) => narrow(time)?,
            (Cause::Late(row), ..) => narrow(row.clock)?,
            (_, Some(row), _) => narrow(self.times[row])?,
            (.., Some((_, end))) => end,
            (.., None) => unreachable!("a window has bounds or is that of a row"),
        };
        let key_of = |column: &usize| self.merged.table.rows[members.key][*column].clone();
        Ok(WindowRow {
            key: self.key.iter().map(key_of).collect(),
            timing: match members.cause {
                Cause::Clock(_) | Cause::Row(..) => Timing::Early,
                Cause::End | Cause::Empty(_) => Timing::OnTime,
                Cause::Late(_) => Timing::Late,
            },
            moment,
            bounds,
            row: members.of.as_ref().map(origin),
            rows: rows.iter().map(origin).collect(),
            values,
        })
    }

    fn scene<'a>(&'a self, rows: &'a [usize], marks: &'a [Mark<'a>], seen: usize) -> Scene<'a> {
        let table = &self.merged.table;
        Scene { pattern: &self.pattern, table, partition: rows, marks, seen, match_number: 1 }
    }
}

fn marks(rows: usize) -> Vec<Mark<'static>> {
    (0..rows).map(|position| Mark { position, variable: ROW, excluded: false }).collect()
}

/// The nanoseconds that an event time says; integers count as such. `None`: NULL.
pub(crate) fn nanoseconds(value: &RefValue) -> Result<Option<i128>, ReferenceError> {
    match value {
        RefValue::Null => Ok(None),
        RefValue::Integer(value) => Ok(Some(*value)),
        RefValue::Timestamp(value)
        | RefValue::Time(value)
        | RefValue::Interval { months: 0, nanoseconds: value } => Ok(Some((*value).into())),
        RefValue::Date(days) => Ok(Some(i128::from(*days) * i128::from(DAY))),
        other => Err(ReferenceError::ColumnType(format!("{other} is no event time"))),
    }
}

fn refused(problem: &str) -> ReferenceError {
    let context = "the windows".to_owned();
    PatternError::InvalidExpression { context, problem: problem.to_owned() }.into()
}
