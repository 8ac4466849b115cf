//! Which rows are late: judged row by row, as each would be had it come alone.

use arrow_array::{RecordBatch, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_select::take::take_record_batch;

use crate::error::EventError;
use crate::watermark::{Clock, TimePolicy};

/// Late rows of one batch, as they were pushed.
#[derive(Clone, Debug)]
pub struct LateRows {
    /// The topic's number.
    pub topic: u16,
    /// The rows in arrival order, in the topic's own schema; n rows.
    pub batch: RecordBatch,
    /// `arrival[i]`: the ordinal of row i among the rows of its topic.
    pub arrival: ScalarBuffer<u64>,
    /// `time[i]`: its event time, in nanoseconds.
    pub time: ScalarBuffer<i64>,
    /// `clock[i]`: the time before which no row was accepted any more when row i came, from any source; the least there is if
    /// it was late by its own source's clock alone.
    pub clock: ScalarBuffer<i64>,
}

/// The first late row of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstLate {
    pub(crate) row: usize,
    pub(crate) time: i64,
    /// What it is behind, or at if the clock was moved there by hand.
    pub(crate) watermark: i64,
}

/// What came of judging the rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Late rows, ascending.
    pub(crate) late: Vec<u32>,
    /// For each: where the clock of all sources stood.
    pub(crate) clocks: Vec<i64>,
    pub(crate) first_late: Option<FirstLate>,
    /// Rows that came when the watermark stood at their very time, ascending: they follow the rows of that time that were
    /// released when it got there, whatever their topics. Empty if ties do not matter.
    pub(crate) at_watermark: Vec<u32>,
    /// Rows ahead of the guard that are not late.
    pub(crate) future: usize,
    /// Whether the batch is known to be in order, with no row late.
    pub(crate) in_order: bool,
}

/// Judges the rows of one batch of `source` in arrival order, moving the clock with each: a batch's later rows see what
/// its earlier ones did to it, so that it does not matter how rows are cut into batches.
///
/// `limit` is the last time that moves a clock. With `ties_matter` false the caller has no use for
/// [`Verdict::at_watermark`], and rows in order are judged at once.
///
/// - Time: O(rows + s log s), s = sources.
/// - Space: 4 bytes per late row and per row at the watermark.
pub(crate) fn judge(
    clock: &mut Clock,
    source: usize,
    times: &[i64],
    limit: i64,
    ties_matter: bool,
) -> Verdict {
    let mut verdict = Verdict::default();
    let mut state = State::new(clock, source);
    let mut row = 0;
    if !ties_matter && times.len() > 1 && times[0] <= limit && times.is_sorted() {
        // The first row may unsettle the others' clocks (its source may have been waited for, or turn out to be idle). From
        // the second on the watermark is either where it was or the lateness behind the last row: rows in order keep up.
        state.judge_row(0, times[0], limit, &mut verdict);
        row = 1;
        let last = times[times.len() - 1];
        if verdict.late.is_empty() && last <= limit && !state.is_late(times[1]) {
            state.see(last);
            verdict.in_order = true;
            row = times.len();
        }
    }
    for (row, time) in times.iter().enumerate().skip(row) {
        state.judge_row(row, *time, limit, &mut verdict);
    }
    state.store(clock, source);
    // Rows judged at once have none, so all must do without: those of one topic are told apart by arrival alone.
    if !ties_matter {
        verdict.at_watermark.clear();
    }
    verdict
}

/// The clock while one source speaks: what the others do to it is a function of the greatest time seen alone.
struct State {
    policy: TimePolicy,
    /// The greatest time seen of the source that speaks.
    own: Option<i64>,
    /// The greatest time seen of any source.
    greatest: Option<i64>,
    own_watermark: Option<i64>,
    watermark: Option<i64>,
    closed: Option<i64>,
    /// Where the others that have sent something are, ascending; those before `first_sent` are idle.
    sent: Vec<i64>,
    first_sent: usize,
    /// Since when the others that have sent nothing have been waited for, ascending; likewise.
    silent: Vec<i64>,
    first_silent: usize,
    /// Others that will be waited for from the first time seen.
    unawaited: usize,
    /// That time, if it was seen here.
    first_seen: Option<i64>,
}

impl State {
    fn new(clock: &Clock, source: usize) -> Self {
        let mut sent = vec![];
        let mut silent = vec![];
        let mut unawaited = 0;
        for (number, other) in clock.sources.iter().enumerate() {
            if number == source || !other.active {
                continue;
            }
            match (other.greatest, other.awaited_since) {
                (Some(greatest), _) => sent.push(greatest),
                (None, Some(since)) => silent.push(since),
                (None, None) => unawaited += 1,
            }
        }
        sent.sort_unstable();
        silent.sort_unstable();
        Self {
            policy: clock.policy,
            own: clock.sources[source].greatest,
            greatest: clock.greatest(),
            own_watermark: clock.source_watermark(source),
            watermark: clock.watermark,
            closed: clock.closed,
            sent,
            first_sent: 0,
            silent,
            first_silent: 0,
            unawaited,
            first_seen: None,
        }
    }

    fn is_late(&self, time: i64) -> bool {
        self.watermark.is_some_and(|watermark| time < watermark)
            || self.own_watermark.is_some_and(|watermark| time < watermark)
            || self.closed.is_some_and(|closed| time <= closed)
    }

    #[inline]
    fn judge_row(&mut self, row: usize, time: i64, limit: i64, verdict: &mut Verdict) {
        if self.is_late(time) {
            if verdict.late.is_empty() {
                let watermark = self.watermark.max(self.own_watermark);
                let watermark = watermark.expect("a row is late only behind a watermark");
                verdict.first_late = Some(FirstLate { row, time, watermark });
            }
            verdict.late.push(row as u32);
            let complete_before = self.watermark.max(self.closed.map(|closed| closed.saturating_add(1)));
            verdict.clocks.push(complete_before.unwrap_or(i64::MIN));
        } else {
            if self.watermark == Some(time) {
                verdict.at_watermark.push(row as u32);
            }
            verdict.future += usize::from(time > limit);
        }
        if time <= limit {
            self.see(time);
        }
    }

    /// Moves the clock by one row's time.
    #[inline]
    fn see(&mut self, time: i64) {
        if self.own.is_some_and(|own| time <= own) {
            return;
        }
        if self.unawaited > 0 {
            self.silent.extend(std::iter::repeat_n(time, self.unawaited));
            self.silent.sort_unstable();
            self.unawaited = 0;
            self.first_seen = Some(time);
        }
        self.own = Some(time);
        let greatest = self.greatest.map_or(time, |greatest| greatest.max(time));
        self.greatest = Some(greatest);
        let Some(lateness) = self.policy.lateness else { return };
        self.own_watermark = Some(time.saturating_sub_unsigned(lateness));
        let policy = self.policy;
        let idle = |reached: &i64| policy.is_idle(*reached, greatest);
        self.first_silent += self.silent[self.first_silent..].iter().take_while(|since| idle(since)).count();
        if self.first_silent < self.silent.len() {
            return;
        }
        self.first_sent += self.sent[self.first_sent..].iter().take_while(|sent| idle(sent)).count();
        let others = self.sent.get(self.first_sent).copied();
        let own = (!idle(&time)).then_some(time);
        let least = match (others, own) {
            (Some(others), Some(own)) => Some(others.min(own)),
            (others, own) => others.or(own),
        };
        self.watermark = self.watermark.max(least.map(|least| least.saturating_sub_unsigned(lateness)));
    }

    fn store(self, clock: &mut Clock, source: usize) {
        clock.watermark = self.watermark;
        clock.sources[source].greatest = self.own;
        if let Some(first_seen) = self.first_seen {
            for other in &mut clock.sources {
                if other.active && other.greatest.is_none() && other.awaited_since.is_none() {
                    other.awaited_since = Some(first_seen);
                }
            }
        }
    }
}

/// The late rows of a batch, as it was pushed.
pub(crate) fn late_rows(
    topic: u16,
    batch: &RecordBatch,
    times: &[i64],
    first: u64,
    verdict: &Verdict,
) -> Result<LateRows, EventError> {
    let rows = UInt32Array::from(verdict.late.clone());
    let batch = if rows.len() == batch.num_rows() { batch.clone() } else { take_record_batch(batch, &rows)? };
    Ok(LateRows {
        topic,
        batch,
        arrival: rows.values().iter().map(|row| first + u64::from(*row)).collect(),
        time: rows.values().iter().map(|row| times[*row as usize]).collect(),
        clock: verdict.clocks.iter().copied().collect(),
    })
}
