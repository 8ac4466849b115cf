//! What time does to runs: deadlines of absences and bounds, the end of the pattern's WITHIN, the end of the input.

use std::cmp::Reverse;

use cepheid_event::{PartitionKeys, Piece};

use super::compile::SequenceMatcher;
use super::fault::{Fault, Place, keep};
use super::found::{FoundKind, FoundSequences, Moment};
use super::slab::NONE;
use super::state::{Complete, SequenceState, Thread, Timer};
use super::step::{Move, SequenceLimits, Work};
use super::tests::{Asked, Chunk, NO_TIME};
use super::wait::WaitKey;
use crate::automaton::{Next, Target};
use crate::error::MatchError;
use crate::masks::Masks;
use crate::threads::{Interruption, Workers};

impl SequenceMatcher {
    /// Asks the conditions that read nothing but rows of every row of a chunk.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn ask<'a>(&'a self, chunk: Chunk<'a>) -> Result<Asked<'a>, MatchError> {
        Asked::new(self, chunk)
    }

    /// Matches the rows of a chunk that belong to a shard, out of so many. Shards may be worked on at once.
    ///
    /// # Errors
    /// See [`MatchError`]: the first of all keys. The state is then to be rolled back.
    pub fn push(
        &self,
        state: &mut SequenceState,
        asked: &Asked<'_>,
        keys: &PartitionKeys,
        (shard, shards): (usize, usize),
        limits: SequenceLimits<'_>,
        found: &mut FoundSequences,
    ) -> Result<(), Fault> {
        let chunk = asked.chunk;
        let tail = self.rows_before() as usize;
        // Whether something is kept of a key that no run is of.
        let keeps_keys = tail > 0 || !self.leading.is_empty() || self.counts_rows();
        let mut faults = vec![];
        let mut work = Work::new(self, state, found, limits);
        for partition in 0..chunk.rows.num_partitions() {
            if shards > 1 && keys.shard(partition, shards) != shard {
                continue;
            }
            let mut places = chunk.rows.partition(partition);
            // Rows that have been matched before stand first.
            while places.start < places.end && chunk.rows.arrival(places.start) < chunk.fresh_from {
                places.start += 1;
            }
            if places.is_empty() {
                continue;
            }
            let key = keys.get(partition);
            if !keeps_keys && work.state.rests(key) && asked.is_irrelevant(&places) {
                continue;
            }
            work.partition = work.state.partition_of(self, key);
            if let Err(error) = work.rows(asked, places.clone()) {
                keep(error, &mut faults, || Place::Rows(key.into()))?;
                work = Work::new(self, state, found, limits);
                continue;
            }
            if tail > 0 {
                work.state.keeps_tails = true;
                let entry = work.state.partitions.get_mut(work.partition);
                let ordinals = places.map(|place| chunk.ordinal_at(place));
                entry.tail.extend(ordinals);
                let surplus = entry.tail.len().saturating_sub(tail);
                entry.tail.drain(..surplus);
            }
            work.sleep();
            if !keeps_keys {
                work.state.forget_if_idle(key, work.partition);
            }
        }
        Fault::first(faults).map_or(Ok(()), Err)
    }

    /// Matches a whole table, whose rows satisfy what `masks` say by position: every partition to its end, those that stand
    /// one behind the other by one of several threads. Up to a partition with which there is enough.
    ///
    /// # Errors
    /// See [`MatchError`].
    pub fn match_table(
        &self,
        chunk: Chunk<'_>,
        masks: Masks,
        workers: Workers<'_>,
        is_enough: impl Fn(&FoundSequences) -> bool + Sync,
    ) -> Result<FoundSequences, MatchError> {
        let asked = Asked::with_masks(self, chunk, masks)?;
        let needed = self.needed(&asked.masks);
        let match_piece = |piece: &Piece, interrupted: Interruption<'_>| {
            let (mut state, mut found) = (SequenceState::default(), FoundSequences::default());
            let limits = SequenceLimits { room: None, interrupted };
            let mut work = Work::new(self, &mut state, &mut found, limits);
            for partition in piece.partitions.clone() {
                let rows = chunk.rows.partition(partition);
                if needed.as_ref().is_some_and(|needed| needed.is_missing(rows.clone(), &chunk)) {
                    continue;
                }
                work.partition = work.state.add_partition(self);
                work.ordinal = Some(partition as u32);
                work.rows(&asked, rows)?;
                work.finish()?;
                let id = work.partition;
                work.state.partitions.remove(id);
                if is_enough(work.found) {
                    break;
                }
            }
            Ok(found)
        };
        let pieces = chunk.rows.pieces(workers.threads, None);
        let mut pieces = workers.share_until(&pieces, match_piece, &is_enough)?.into_iter();
        let mut found = pieces.next().unwrap_or_default();
        pieces.for_each(|piece| found.append(piece));
        Ok(found)
    }

    /// Moves the clock: everything due at `time` or before happens.
    ///
    /// # Errors
    /// See [`MatchError`]: the first of all keys. The state is then to be rolled back.
    pub fn advance(
        &self,
        state: &mut SequenceState,
        time: i64,
        limits: SequenceLimits<'_>,
        found: &mut FoundSequences,
    ) -> Result<(), Fault> {
        let mut faults = vec![];
        loop {
            let mut work = Work::new(self, state, found, limits);
            let mut failed = None;
            while let Some((at, partition)) = work.state.pop_wake(time) {
                work.partition = partition;
                if let Err(error) = work.fire_until(time) {
                    failed = Some((error, at, partition));
                    break;
                }
                work.sleep();
            }
            let Some((error, at, partition)) = failed else { break };
            keep(error, &mut faults, || Place::Clock(at, state.key_of(partition)))?;
        }
        Fault::first(faults).map_or(Ok(()), Err)
    }

    /// Ends the input: every deadline is reached, and nothing waits any longer.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn finish(
        &self,
        state: &mut SequenceState,
        limits: SequenceLimits<'_>,
        found: &mut FoundSequences,
    ) -> Result<(), Fault> {
        let mut partitions: Vec<u32> = state.keys.values().copied().collect();
        partitions.sort_unstable();
        let mut partitions = partitions.into_iter();
        let mut faults = vec![];
        loop {
            let mut work = Work::new(self, state, found, limits);
            let failed = partitions.find_map(|partition| {
                work.partition = partition;
                work.finish().err().map(|error| (error, partition))
            });
            let Some((error, partition)) = failed else { break };
            keep(error, &mut faults, || Place::End(state.key_of(partition)))?;
        }
        Fault::first(faults).map_or(Ok(()), Err)
    }

    /// Clears away runs whose time was over at `time`, and keys that nothing is left of. To be called between journals.
    pub fn clear_expired(&self, state: &mut SequenceState, time: i64) {
        let Some(span) = self.within_ns else { return };
        let mut idle = 0;
        while let Some((at, partition)) = state.expiring.front().copied()
            && at <= time
        {
            state.expiring.pop_front();
            state.partitions.get_mut(partition).queued = false;
            loop {
                let start = state.partitions.get(partition).first_start;
                // What can still be seen happens at its own time, when the partition wakes.
                if start == NONE
                    || state.partitions.get(partition).wake.is_some()
                    || state.starts.get(start).time.saturating_add(span) > time
                {
                    break;
                }
                state.end_start(start);
            }
            let first = state.partitions.get(partition).first_start;
            if first == NONE {
                idle += 1;
            } else {
                let end = state.starts.get(first).time.saturating_add(span);
                // What is kept for a deadline is looked at when that has passed.
                let at = state.partitions.get(partition).wake.map_or(end, |wake| end.max(wake));
                state.partitions.get_mut(partition).queued = true;
                debug_assert!(at > time, "a key is looked at once a clock's move");
                state.expiring.push_back((at, partition));
            }
        }
        state.idle += idle;
        if state.idle > 1024 && state.idle * 2 > state.keys.len() {
            self.forget_idle_keys(state);
        }
    }

    /// Clears away keys that were kept for the time when their runs expire: the input has ended. To be called between journals.
    pub fn clear_ended(&self, state: &mut SequenceState) {
        while let Some((_, partition)) = state.expiring.pop_front() {
            state.partitions.get_mut(partition).queued = false;
        }
        self.forget_idle_keys(state);
    }

    /// Whether it matters which row of its key a row is.
    pub(crate) fn counts_rows(&self) -> bool {
        self.pattern.initial || self.automaton.start.iter().any(|target| target.at_start)
    }

    fn forget_idle_keys(&self, state: &mut SequenceState) {
        state.idle = 0;
        let partitions = &mut state.partitions;
        let counts_rows = self.counts_rows();
        state.keys.retain(|_, partition| {
            let entry = partitions.get(*partition);
            let idle = entry.first_start == NONE
                && entry.matches == 0
                && !entry.queued
                && entry.wake.is_none()
                && entry.tail.is_empty()
                && !counts_rows
                && entry.seen.iter().all(Option::is_none);
            if idle {
                partitions.remove(*partition);
            }
            !idle
        });
        state.keys.shrink_to_fit();
    }
}

impl Work<'_> {
    /// Lets everything happen in the partition that is due at `time` or before, each thing at its own time.
    pub(crate) fn fire_until(&mut self, time: i64) -> Result<(), MatchError> {
        let windowed = self.matcher.within_ns.is_some();
        if !(windowed || self.matcher.uses_timers) {
            return Ok(());
        }
        // A row without a time stands behind every time there is.
        let time = time.min(NO_TIME - 1);
        self.fired = i64::MIN;
        loop {
            let timer = if self.matcher.uses_timers { self.state.next_timer(self.partition) } else { None };
            let window = self.window_end();
            let due = match (timer, window) {
                (Some(timer), Some(window)) => timer.at.min(window),
                (Some(timer), None) => timer.at,
                (None, Some(window)) => window,
                (None, None) => return Ok(()),
            };
            if due > time {
                return Ok(());
            }
            self.fired = due;
            if self.matcher.uses_timers {
                while let Some(timer) = self.state.next_timer(self.partition)
                    && timer.at <= due
                {
                    self.state.pop_timer(self.partition);
                    self.state.runs_visited += 1;
                    self.fire(timer)?;
                }
            }
            // Complete runs of these start rows are considered first: link what has only become less.
            self.link_loose();
            let mut start = self.state.partitions.get(self.partition).first_start;
            while start != NONE && self.end_of(start).is_some_and(|end| end <= due) {
                let next = self.state.starts.get(start).next;
                self.expire(start, Moment::deadline(due))?;
                start = next;
            }
            self.settle(Moment::deadline(due))?;
        }
    }

    /// When the pattern's WITHIN ends the earliest runs.
    fn window_end(&self) -> Option<i64> {
        let start = self.state.partitions.get(self.partition).first_start;
        // A start row without runs is waiting for its match to be considered: nothing of it can end.
        let mut start = start;
        while start != NONE && self.state.starts.get(start).alive == 0 {
            start = self.state.starts.get(start).next;
        }
        if start == NONE { None } else { self.end_of(start) }
    }

    fn end_of(&self, start: u32) -> Option<i64> {
        let time = self.state.starts.get(start).time;
        let span = self.matcher.within_ns?;
        (time != NO_TIME).then(|| time.saturating_add(span))
    }

    /// A deadline of one run.
    fn fire(&mut self, timer: Timer) -> Result<(), MatchError> {
        let entry = self.state.runs.get(timer.run);
        let mut moves = vec![];
        let mut ends = vec![];
        let keys: Vec<WaitKey> = std::iter::once(&entry.thread)
            .chain(&entry.others)
            .map(|thread| self.state.waits.get(thread.wait).key.clone())
            .collect();
        for (index, key) in keys.into_iter().enumerate() {
            let entry = self.state.runs.get(timer.run);
            let thread = if index == 0 { &entry.thread } else { &entry.others[index - 1] };
            let mut kept = vec![];
            let mut reached = false;
            for target_index in &key.targets {
                let target = self.matcher.targets(key.place)[*target_index as usize];
                let due = self.deadline(thread, target).is_some_and(|at| at <= timer.at);
                if !due || target.step == Next::Accept && self.awaits_a_row(thread, target) {
                    kept.push(*target_index);
                } else if target.step == Next::Accept {
                    reached = true;
                    break;
                }
            }
            if !kept.is_empty() {
                let wait = self.state.waits.number(self.matcher, WaitKey { targets: kept, ..key });
                moves.push(Move::Stay(wait));
            }
            if reached {
                moves.push(Move::Reach);
            }
            ends.push(moves.len());
            if reached {
                break;
            }
        }
        if self.matcher.all {
            return self.fire_one(timer.run, &moves);
        }
        let unchanged = self.state.runs.get(timer.run).others.is_empty()
            && *moves == [Move::Stay(self.state.runs.get(timer.run).thread.wait)];
        if unchanged {
            self.set_timer(timer.run);
            return Ok(());
        }
        self.apply(timer.run, &moves, &ends, None)
    }

    fn fire_one(&mut self, run: u32, moves: &[Move]) -> Result<(), MatchError> {
        match moves {
            [Move::Stay(_)] => {
                self.set_timer(run);
                return Ok(());
            }
            [Move::Reach] => self.reach(run)?,
            _ => {}
        }
        self.end(run);
        Ok(())
    }

    /// The run, under `"all"`, is complete.
    fn reach(&mut self, run: u32) -> Result<(), MatchError> {
        let entry = self.state.runs.get(run);
        let (start, node, hash) = (entry.start, entry.thread.node, entry.thread.hash);
        let holds = self.having(entry.thread.registers.as_deref())?;
        self.state.hold(node);
        self.complete(start, Complete { node, holds }, hash);
        Ok(())
    }

    /// Whether the end, due or not, cannot be reached before another row has come: it is to decide a strict absence.
    fn awaits_a_row(&self, thread: &Thread, target: Target) -> bool {
        let absences = &self.matcher.automaton.ways[target.way as usize].absences;
        self.is_fresh(thread) && absences.iter().any(|absence| absence.strict)
    }

    /// When a thread's wait for a target ends, or comes to its end, apart from the pattern's WITHIN.
    fn deadline(&self, thread: &Thread, target: Target) -> Option<i64> {
        if target.step == Next::Accept {
            // All of several absences must have lasted.
            let way = &self.matcher.automaton.ways[target.way as usize];
            if way.absences.iter().any(|absence| !absence.strict && absence.for_ns.is_none()) {
                return None;
            }
            let spans = way.absences.iter().filter_map(|absence| absence.for_ns);
            return spans
                .max()
                .filter(|_| thread.last_time != NO_TIME)
                .map(|span| thread.last_time.saturating_add(span));
        }
        let opened = thread.registers.as_ref().map_or(&[][..], |registers| &registers.opened);
        self.matcher.part_deadline(target, opened, thread.last_time)
    }

    /// Sets the timer of a run that has come to wait for something new.
    pub(crate) fn set_timer(&mut self, run: u32) {
        if !self.matcher.uses_timers {
            return;
        }
        let entry = self.state.runs.get(run);
        let mut at: Option<i64> = None;
        for thread in std::iter::once(&entry.thread).chain(&entry.others) {
            let key = &self.state.waits.get(thread.wait).key;
            for index in &key.targets {
                let target = self.matcher.targets(key.place)[*index as usize];
                if let Some(deadline) = self.deadline(thread, target)
                    && deadline > self.fired
                {
                    at = Some(at.map_or(deadline, |known| known.min(deadline)));
                }
            }
        }
        let stamp = self.state.next_stamp();
        self.state.runs.get_mut(run).stamp = stamp;
        if let Some(at) = at {
            self.state.push_timer(self.partition, Timer { at, run, stamp });
        }
    }

    /// The pattern's WITHIN is over for everything that began at a row.
    fn expire(&mut self, start: u32, moment: Moment) -> Result<(), MatchError> {
        let mut reported: Vec<(u64, u32)> = vec![];
        loop {
            let run = self.state.starts.get(start).runs;
            if run == NONE {
                break;
            }
            self.state.runs_visited += 1;
            let entry = self.state.runs.get(run);
            let (front, front_hash) = (entry.thread.node, entry.thread.hash);
            let ended = self.complete_by(run, Self::ends_with_window)?;
            if let Some((complete, hash)) = ended {
                self.complete(start, complete, hash);
            } else if self.matcher.pattern.timeouts {
                // Runs of one membership that wait for different things are one timeout.
                let known = |(hash, place): &(u64, u32)| {
                    *hash == front_hash
                        && (self.matcher.ambiguous || *place == self.state.nodes.get(front).place)
                };
                if !reported.iter().any(known) {
                    reported.push((front_hash, self.state.nodes.get(front).place));
                    let members = self.state.members(front);
                    self.found.push(FoundKind::Timeout, moment, self.shown_partition(), 0, &members);
                }
            }
            self.end(run);
        }
        Ok(())
    }

    /// The complete run that a run comes to when nothing more will come: of its first thread that `ends`, or the one that
    /// has been waiting; its node held once more.
    fn complete_by(
        &mut self,
        run: u32,
        ends: fn(&Self, &Thread) -> bool,
    ) -> Result<Option<(Complete, u64)>, MatchError> {
        let entry = self.state.runs.get(run);
        let ending = std::iter::once(&entry.thread).chain(&entry.others).find(|thread| ends(self, thread));
        let found = match ending {
            Some(thread) => {
                let holds = self.having(thread.registers.as_deref())?;
                Some((Complete { node: thread.node, holds }, thread.hash))
            }
            None => entry.complete.map(|complete| (complete, 0)),
        };
        if let Some((complete, _)) = &found {
            let node = complete.node;
            self.state.hold(node);
        }
        Ok(found)
    }

    /// Whether a thread waits for the end of the WITHIN with nothing having come.
    fn ends_with_window(&self, thread: &Thread) -> bool {
        let key = &self.state.waits.get(thread.wait).key;
        key.targets.iter().any(|index| {
            let target = self.matcher.targets(key.place)[*index as usize];
            let absences = &self.matcher.automaton.ways[target.way as usize].absences;
            let until_window =
                |absence: &crate::automaton::Absence| !absence.strict && absence.for_ns.is_none();
            // An absence for a longer time than the window has left ends unmatched with it.
            target.step == Next::Accept
                && !self.awaits_a_row(thread, target)
                && absences.iter().any(until_window)
                && absences.iter().all(|absence| match absence.for_ns {
                    Some(span) => thread.last_time.saturating_add(span) <= self.fired,
                    None => true,
                })
        })
    }

    /// Whether a thread waits for the end with nothing having come.
    fn ends_with_the_input(&self, thread: &Thread) -> bool {
        let key = &self.state.waits.get(thread.wait).key;
        key.targets.iter().any(|index| {
            let target = self.matcher.targets(key.place)[*index as usize];
            target.step == Next::Accept && !self.awaits_a_row(thread, target)
        })
    }

    /// Ends the input for the partition.
    pub(crate) fn finish(&mut self) -> Result<(), MatchError> {
        self.fire_until(NO_TIME - 1)?;
        let mut start = self.state.partitions.get(self.partition).first_start;
        while start != NONE {
            let next = self.state.starts.get(start).next;
            loop {
                let run = self.state.starts.get(start).runs;
                if run == NONE {
                    break;
                }
                // The end counts as every deadline, those that no clock reaches included.
                if let Some((complete, hash)) = self.complete_by(run, Self::ends_with_the_input)? {
                    self.complete(start, complete, hash);
                }
                self.end(run);
            }
            start = next;
        }
        self.settle(Moment::End)
    }

    /// Sees to it that the partition is looked after when something is due.
    pub(crate) fn sleep(&mut self) {
        let timer = if self.matcher.uses_timers { self.state.next_timer(self.partition) } else { None };
        let entry = self.state.partitions.get(self.partition);
        let shows = self.matcher.window_shows || entry.known > 0 || entry.complete > 0;
        let window = if shows { self.window_end() } else { None };
        let due = match (timer.map(|timer| timer.at), window) {
            (Some(timer), Some(window)) => Some(timer.min(window)),
            (timer, window) => timer.or(window),
        };
        let entry = self.state.partitions.get(self.partition);
        if let Some(due) = due
            && entry.wake.is_none_or(|wake| due < wake)
        {
            self.state.partitions.get_mut(self.partition).wake = Some(due);
            self.state.wakes.push(Reverse((due, self.partition)));
        }
        let entry = self.state.partitions.get(self.partition);
        if let Some(span) = self.matcher.within_ns
            && entry.first_start != NONE
            && !entry.queued
        {
            let at = self.state.starts.get(entry.first_start).time.saturating_add(span);
            self.state.partitions.get_mut(self.partition).queued = true;
            self.state.expiring.push_back((at, self.partition));
        }
    }
}
