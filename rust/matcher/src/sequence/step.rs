//! The way of a row through the runs of its partition.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::compile::SequenceMatcher;
use super::found::{FoundSequences, Moment};
use super::index::Found;
use super::slab::NONE;
use super::state::{Complete, MIXED, SequenceState, Thread};
use super::tests::Asked;
use super::wait::WaitKey;
use crate::automaton::{Next, Target};
use crate::error::MatchError;
use crate::threads::Interruption;

/// Rows between two looks at limits.
const ROWS_BETWEEN_PAUSES: u32 = 1 << 10;

/// Runs stepped between two looks at limits.
const RUNS_BETWEEN_PAUSES: u64 = 1 << 14;

/// What matching may use, and whether it is still wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceLimits<'a> {
    /// Most bytes by which state may grow.
    pub room: Option<usize>,
    /// Asked now and then; ends matching with [`MatchError::Interrupted`].
    pub interrupted: Interruption<'a>,
}

/// A row, on its way through the runs of its partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// Where it stands in the chunk.
    pub(crate) place: u32,
    /// Its place in the order of all rows.
    pub(crate) row: u64,
    /// Its place in its partition.
    pub(crate) position: u64,
    pub(crate) time: i64,
}

/// What becomes of a thread, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// It takes the row.
    Take(Target),
    /// It waits on, perhaps for less.
    Stay(u32),
    /// It is complete without another row. What is less preferred is of no use any more.
    Reach,
}

/// A run that has become complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) start: u32,
    pub(crate) complete: Complete,
    pub(crate) hash: u64,
}

/// One partition being worked on.
pub(crate) struct Work<'a> {
    pub(crate) matcher: &'a SequenceMatcher,
    pub(crate) state: &'a mut SequenceState,
    pub(crate) found: &'a mut FoundSequences,
    limits: SequenceLimits<'a>,
    bytes_max: Option<usize>,
    pub(crate) partition: u32,
    /// In a table: which of its partitions that is.
    pub(crate) ordinal: Option<u32>,
    /// Completed at this moment, and not yet decided on.
    pub(crate) completions: Vec<Completion>,
    /// Start rows that have lost a run at this moment.
    pub(crate) touched: Vec<u32>,
    /// Runs in no bucket yet.
    pub(crate) loose: Vec<u32>,
    scratch: Vec<u32>,
    pub(crate) moves: Vec<Move>,
    pub(crate) kept: Vec<u32>,
    /// Intermediate outputs of this moment that might come up again: start, and what they are of.
    pub(crate) seen: HashSet<(u32, u64), FixedState>,
    /// Where several ways may lead to one membership, those met at this moment: start, hash, place; and their last node.
    pub(crate) twins: HashMap<(u32, u64, u32), u32, FixedState>,
    /// Deadlines of the partition up to this time have fired.
    pub(crate) fired: i64,
    rows_to_pause: u32,
    next_pause: u64,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        matcher: &'a SequenceMatcher,
        state: &'a mut SequenceState,
        found: &'a mut FoundSequences,
        limits: SequenceLimits<'a>,
    ) -> Self {
        let next_pause = state.runs_visited + RUNS_BETWEEN_PAUSES;
        let bytes_max = limits.room.map(|room| state.bytes().saturating_add(room));
        Self {
            matcher,
            state,
            found,
            limits,
            bytes_max,
            partition: NONE,
            ordinal: None,
            completions: vec![],
            touched: vec![],
            loose: vec![],
            scratch: vec![],
            moves: vec![],
            kept: vec![],
            seen: HashSet::with_hasher(FixedState::with_seed(0)),
            twins: HashMap::with_hasher(FixedState::with_seed(0)),
            fired: i64::MIN,
            rows_to_pause: ROWS_BETWEEN_PAUSES,
            next_pause,
        }
    }

    pub(crate) fn shown_partition(&self) -> u32 {
        self.ordinal.unwrap_or(self.partition)
    }

    /// Whether no row has come since a thread took its last one: nothing strict is decided then.
    pub(crate) fn is_fresh(&self, thread: &Thread) -> bool {
        self.state.partitions.get(self.partition).position == thread.last_position + 1
    }

    /// Matches rows of the partition that stand at `places` of the chunk.
    pub(crate) fn rows(&mut self, asked: &Asked<'_>, places: std::ops::Range<u32>) -> Result<(), MatchError> {
        let base = self.state.partitions.get(self.partition).position;
        let mut place = places.start;
        while place < places.end {
            if let Some(relevant) = &asked.relevant
                && !self.every_row_matters()
            {
                let next = relevant.next_set(place as usize, places.end as usize) as u32;
                place = next.min(self.first_place_beyond(base, &places));
                if place == places.end {
                    break;
                }
            }
            let arrival = asked.chunk.rows.arrival(place);
            let at = At {
                place,
                row: asked.chunk.ordinal(arrival),
                position: base + u64::from(place - places.start),
                time: asked.chunk.time(arrival),
            };
            self.state.partitions.get_mut(self.partition).position = at.position;
            self.fire_until(at.time)?;
            self.row(asked, at)?;
            place += 1;
        }
        self.state.partitions.get_mut(self.partition).position = base + u64::from(places.end - places.start);
        Ok(())
    }

    /// Where in `places`, the first of which is the partition's row `base`, the pattern's WITHIN by rows next ends
    /// something; their end if nowhere.
    fn first_place_beyond(&self, base: u64, places: &std::ops::Range<u32>) -> u32 {
        let start = self.state.partitions.get(self.partition).first_within;
        let (Some(rows), true) = (self.matcher.within_rows, start != NONE) else { return places.end };
        let beyond = self.state.starts.get(start).position.saturating_add(rows).saturating_add(1);
        let ahead = beyond.saturating_sub(base).min(u64::from(places.end - places.start));
        places.start + ahead as u32
    }

    /// Ends what began too many rows ago. An end that waits for time to pass takes no row, and waits on.
    fn end_by_rows(&mut self, at: At) -> Result<(), MatchError> {
        let Some(rows) = self.matcher.within_rows else { return Ok(()) };
        loop {
            let start = self.state.partitions.get(self.partition).first_within;
            if start == NONE || at.position - self.state.starts.get(start).position <= rows {
                return Ok(());
            }
            let next = self.state.starts.get(start).next;
            self.state.partitions.get_mut(self.partition).first_within = next;
            let mut run = self.state.starts.get(start).runs;
            while run != NONE {
                let next = self.state.runs.get(run).start_next;
                self.state.runs_visited += 1;
                self.keep_ends(run)?;
                run = next;
            }
        }
    }

    /// Leaves a run waiting for ends alone.
    fn keep_ends(&mut self, run: u32) -> Result<(), MatchError> {
        let (mut moves, mut ends) = (vec![], vec![]);
        let threads = 1 + self.state.runs.get(run).others.len();
        for index in 0..threads {
            let entry = self.state.runs.get(run);
            let thread = if index == 0 { &entry.thread } else { &entry.others[index - 1] };
            let key = &self.state.waits.get(thread.wait).key;
            let targets = self.matcher.targets(key.place);
            let is_end = |index: &u32| targets[*index as usize].step == Next::Accept;
            let kept: Vec<u32> = key.targets.iter().copied().filter(is_end).collect();
            if !kept.is_empty() {
                let key = WaitKey { targets: kept, ..key.clone() };
                moves.push(Move::Stay(self.state.waits.number(self.matcher, key)));
            }
            ends.push(moves.len());
        }
        if !self.matcher.all {
            return self.apply(run, &moves, &ends, None);
        }
        if moves.is_empty() {
            self.end(run);
        }
        Ok(())
    }

    fn every_row_matters(&self) -> bool {
        let partition = self.state.partitions.get(self.partition);
        partition.buckets.iter().any(|(wait, _)| *wait == MIXED || self.state.waits.get(*wait).every_row)
    }

    fn row(&mut self, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
        self.pause(at)?;
        self.state.rows_visited += 1;
        self.end_by_rows(at)?;
        self.link_loose();
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut index_asked = 0;
        for (wait, head) in &self.state.partitions.get(self.partition).buckets {
            let affected = *wait == MIXED || {
                let entry = self.state.waits.get(*wait);
                let holds = |predicate: &usize| asked.may_hold(*predicate, at.place);
                entry.every_row || entry.predicates.iter().any(holds) || {
                    let found = self.find_runs(*wait, entry, asked, at.place, &mut scratch);
                    index_asked += u64::from(found != Found::Nothing);
                    if let Found::All(before) = found {
                        scratch.truncate(before);
                    }
                    matches!(found, Found::All(_))
                }
            };
            let mut run = if affected { *head } else { NONE };
            while run != NONE {
                scratch.push(run);
                run = self.state.runs.get(run).bucket_next;
            }
        }
        self.state.index_asked += index_asked;
        let mut stepped = Ok(());
        for run in scratch.drain(..) {
            self.state.runs_visited += 1;
            stepped =
                if self.matcher.all { self.step_one(run, asked, at) } else { self.step_all(run, asked, at) };
            if stepped.is_err() {
                break;
            }
            if self.state.runs_visited >= self.next_pause {
                self.next_pause = self.state.runs_visited + RUNS_BETWEEN_PAUSES;
                self.check_limits(at)?;
            }
        }
        scratch.clear();
        self.scratch = scratch;
        stepped?;
        self.begin_runs(asked, at)?;
        for (index, variable) in self.matcher.leading.iter().enumerate() {
            if asked.holds(*variable as usize, Some(*variable), at.place, None)? {
                self.state.partitions.get_mut(self.partition).seen[index] = Some(at.time);
            }
        }
        self.settle(Moment::row(at.time, at.row))
    }

    fn pause(&mut self, at: At) -> Result<(), MatchError> {
        self.rows_to_pause -= 1;
        if self.rows_to_pause > 0 {
            return Ok(());
        }
        self.rows_to_pause = ROWS_BETWEEN_PAUSES;
        self.check_limits(at)
    }

    fn check_limits(&self, at: At) -> Result<(), MatchError> {
        if self.limits.interrupted.is_due() {
            return Err(MatchError::Interrupted);
        }
        let Some(limit) = self.bytes_max else { return Ok(()) };
        let bytes = self.state.bytes();
        if bytes > limit { Err(MatchError::StateLimit { row: at.row, bytes, limit }) } else { Ok(()) }
    }

    /// Puts runs that have come to wait for something new where they belong, and sets their timers.
    pub(crate) fn link_loose(&mut self) {
        let mut loose = std::mem::take(&mut self.loose);
        for run in loose.drain(..) {
            if self.matcher.earliest_wins && self.gives_way(run) {
                self.touched.push(self.state.runs.get(run).start);
                self.state.end_run(run);
                continue;
            }
            self.state.link_bucket(self.partition, run);
            self.state.index_run(self.matcher, self.partition, run);
            self.set_timer(run);
        }
        self.loose = loose;
    }

    /// Whether a run in no bucket gives way to one of an earlier start row; one of a later start row gives way to it.
    ///
    /// They wait for the same, and nothing that they remember tells them apart: when the later is complete, so is the
    /// earlier, whose match forgets the later. Only a match that is complete already may end before the later begins,
    /// and forget the earlier alone: as long as there is one, nothing gives way.
    fn gives_way(&mut self, run: u32) -> bool {
        let entry = self.state.runs.get(run);
        let partition = self.state.partitions.get(self.partition);
        let alone = entry.others.is_empty() && self.state.waits.get(entry.thread.wait).memoryless;
        if !alone || partition.complete + partition.known > 0 || !self.completions.is_empty() {
            return false;
        }
        let wait = entry.thread.wait;
        let Some((_, other)) = partition.buckets.iter().find(|(known, _)| *known == wait).copied() else {
            return false;
        };
        let row_of = |run: u32| self.state.starts.get(self.state.runs.get(run).start).row;
        let (own, known) = (row_of(run), row_of(other));
        if own < known {
            self.end(other);
        }
        own > known
    }
}
