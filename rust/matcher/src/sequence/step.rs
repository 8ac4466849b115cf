//! What a row does to runs.

use cepheid_ir::Contiguity;
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::hash::{BuildHasher, Hash, Hasher};

use super::compile::SequenceMatcher;
use super::found::{FoundKind, FoundSequences, Moment};
use super::registers::Registers;
use super::slab::NONE;
use super::state::{Complete, MIXED, Node, SequenceState, Thread};
use super::tests::{Asked, time_between};
use super::wait::WaitKey;
use crate::automaton::{Next, Target};
use crate::error::MatchError;

/// Most threads of one start row.
const THREADS_MAX: usize = 10_000;

/// Rows between two looks at limits.
const ROWS_BETWEEN_PAUSES: u32 = 1 << 10;

/// Runs stepped between two looks at limits.
const RUNS_BETWEEN_PAUSES: u64 = 1 << 14;

/// What matching may use, and whether it is still wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceLimits {
    /// Most bytes of state.
    pub bytes: Option<usize>,
    /// Asked now and then; `true` ends matching with [`MatchError::Interrupted`].
    pub interrupted: Option<fn() -> bool>,
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
    pub(crate) limits: SequenceLimits,
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
    moves: Vec<Move>,
    kept: Vec<u32>,
    /// Memberships met at this moment, where several ways may lead to one: start, hash, what it waits for or is.
    pub(crate) seen: HashSet<(u32, u64, u32), FixedState>,
    rows_to_pause: u32,
    next_pause: u64,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        matcher: &'a SequenceMatcher,
        state: &'a mut SequenceState,
        found: &'a mut FoundSequences,
        limits: SequenceLimits,
    ) -> Self {
        let next_pause = state.runs_visited + RUNS_BETWEEN_PAUSES;
        Self {
            matcher,
            state,
            found,
            limits,
            partition: NONE,
            ordinal: None,
            completions: vec![],
            touched: vec![],
            loose: vec![],
            scratch: vec![],
            moves: vec![],
            kept: vec![],
            seen: HashSet::with_hasher(FixedState::with_seed(0)),
            rows_to_pause: ROWS_BETWEEN_PAUSES,
            next_pause,
        }
    }

    pub(crate) fn shown_partition(&self) -> u32 {
        self.ordinal.unwrap_or(self.partition)
    }

    /// Matches rows of the partition that stand at `places` of the chunk.
    pub(crate) fn rows(&mut self, asked: &Asked<'_>, places: std::ops::Range<u32>) -> Result<(), MatchError> {
        let base = self.state.partitions.get(self.partition).position;
        let mut place = places.start;
        while place < places.end {
            if let Some(relevant) = &asked.relevant
                && !self.every_row_matters()
            {
                place = relevant.next_set(place as usize, places.end as usize) as u32;
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
            self.fire_until(at.time)?;
            self.row(asked, at)?;
            place += 1;
        }
        self.state.partitions.get_mut(self.partition).position += u64::from(places.end - places.start);
        Ok(())
    }

    fn every_row_matters(&self) -> bool {
        let partition = self.state.partitions.get(self.partition);
        partition.buckets.iter().any(|(wait, _)| *wait == MIXED || self.state.waits.get(*wait).every_row)
    }

    fn row(&mut self, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
        self.pause(at)?;
        self.state.rows_visited += 1;
        let mut scratch = std::mem::take(&mut self.scratch);
        for (wait, head) in &self.state.partitions.get(self.partition).buckets {
            let affected = *wait == MIXED || {
                let wait = self.state.waits.get(*wait);
                wait.every_row || wait.predicates.iter().any(|predicate| asked.may_hold(*predicate, at.place))
            };
            let mut run = if affected { *head } else { NONE };
            while run != NONE {
                scratch.push(run);
                run = self.state.runs.get(run).bucket_next;
            }
        }
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
        if self.limits.interrupted.is_some_and(|interrupted| interrupted()) {
            return Err(MatchError::Interrupted);
        }
        match self.limits.bytes {
            Some(limit) if self.state.bytes() > limit => {
                Err(MatchError::StateLimit { row: at.row, bytes: self.state.bytes(), limit })
            }
            _ => Ok(()),
        }
    }

    // A run of one thread that waits for one target.

    fn step_one(&mut self, run: u32, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
        let mut moves = std::mem::take(&mut self.moves);
        moves.clear();
        let entry = self.state.runs.get(run);
        let (start, wait) = (entry.start, entry.thread.wait);
        self.weigh(run, 0, asked, at, &mut moves)?;
        let stays = moves.iter().find_map(|m| if let Move::Stay(wait) = m { Some(*wait) } else { None });
        for next in &moves {
            match next {
                Move::Take(target) => {
                    let thread = self.state.runs.get(run).thread.clone();
                    self.state.hold(thread.node);
                    self.take(start, thread, *target, asked, at)?;
                }
                Move::Reach => {
                    let (node, hash) = {
                        let thread = &self.state.runs.get(run).thread;
                        (thread.node, thread.hash)
                    };
                    let holds = self.having(self.state.runs.get(run).thread.registers.as_deref())?;
                    self.state.hold(node);
                    self.complete(start, Complete { node, holds }, hash);
                }
                Move::Stay(_) => {}
            }
        }
        self.moves = moves;
        match stays {
            Some(new) if new == wait => {}
            Some(new) => {
                self.state.unlink_bucket(self.partition, run);
                self.state.runs.get_mut(run).thread.wait = new;
                self.loose.push(run);
            }
            None => self.end(run),
        }
        Ok(())
    }

    /// Gives up a run that is in a bucket.
    pub(crate) fn end(&mut self, run: u32) {
        self.touched.push(self.state.runs.get(run).start);
        self.state.unlink_bucket(self.partition, run);
        self.state.end_run(run);
    }

    /// The thread, whose node is held for this, takes the row; new runs wait for each target that can follow.
    fn take(
        &mut self,
        start: u32,
        thread: Thread,
        target: Target,
        asked: &Asked<'_>,
        at: At,
    ) -> Result<(), MatchError> {
        let (child, place) = self.grown(thread, target, asked, at);
        if !self.first_of_its_kind(start, &child, place) {
            self.state.release(child.node);
            return Ok(());
        }
        // Two places of one variable are one intermediate output.
        if !self.matcher.ambiguous || self.seen.insert((start, child.hash, NONE)) {
            self.emit(place, child.node, at);
        }
        for (index, next) in self.matcher.targets(place).iter().enumerate() {
            if next.step == Next::Accept && self.matcher.automaton.ways[next.way as usize].absences.is_empty()
            {
                let holds = self.having(child.registers.as_deref())?;
                self.state.hold(child.node);
                self.complete(start, Complete { node: child.node, holds }, child.hash);
                continue;
            }
            let key = WaitKey { place, targets: vec![index as u32], lifted: 0 };
            let wait = self.state.waits.number(self.matcher, key);
            self.state.hold(child.node);
            let run = self.state.add_run(start, Thread { wait, ..child.clone() }, vec![]);
            self.loose.push(run);
        }
        self.state.release(child.node);
        Ok(())
    }

    /// Whether a membership has not been met at this row, where several ways may lead to one.
    fn first_of_its_kind(&mut self, start: u32, child: &Thread, place: u32) -> bool {
        if !self.matcher.ambiguous {
            return true;
        }
        // Of two equal memberships at different places, or in parts begun at different rows, each goes on in its own
        // way: they are told apart until complete.
        let mut hasher = FixedState::with_seed(2).build_hasher();
        (child.hash, child.registers.as_ref().map(|registers| &registers.opened)).hash(&mut hasher);
        self.seen.insert((start, hasher.finish(), place))
    }

    pub(crate) fn complete(&mut self, start: u32, complete: Complete, hash: u64) {
        self.completions.push(Completion { start, complete, hash });
    }

    // A run of all that grows from one start row.

    fn step_all(&mut self, run: u32, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
        let threads = 1 + self.state.runs.get(run).others.len();
        let mut moves = std::mem::take(&mut self.moves);
        moves.clear();
        let mut ends = Vec::new();
        for index in 0..threads {
            self.weigh(run, index, asked, at, &mut moves)?;
            ends.push(moves.len());
            if moves.last() == Some(&Move::Reach) {
                break;
            }
        }
        let result = self.apply(run, &moves, &ends, Some((asked, at)));
        self.moves = moves;
        result
    }

    /// Lets the threads of a run go the ways that `moves` says: those of thread `i` end at `ends[i]`, threads without
    /// an entry are given up.
    pub(crate) fn apply(
        &mut self,
        run: u32,
        moves: &[Move],
        ends: &[usize],
        row: Option<(&Asked<'_>, At)>,
    ) -> Result<(), MatchError> {
        let entry = self.state.runs.get(run);
        if entry.others.is_empty() && *moves == [Move::Stay(entry.thread.wait)] {
            return Ok(());
        }
        let start = entry.start;
        self.state.unlink_bucket(self.partition, run);
        let old_bytes = self.bytes_of(run);
        let entry = self.state.runs.get_mut(run);
        let mut complete = entry.complete.take();
        let mut threads = std::mem::take(&mut entry.others);
        threads.insert(0, entry.thread.clone());
        // From here on the run holds nothing: what is kept is put back.
        entry.thread.node = NONE;
        entry.thread.registers = None;
        let mut new: Vec<Thread> = vec![];
        let mut begin = 0;
        let mut ended = false;
        let mut given_up = vec![];
        for (index, thread) in threads.into_iter().enumerate() {
            if ended || index >= ends.len() {
                given_up.push(thread.node);
                continue;
            }
            let own = &moves[begin..ends[index]];
            begin = ends[index];
            for next in own {
                match next {
                    Move::Stay(wait) => {
                        self.state.hold(thread.node);
                        self.add_thread(&mut new, Thread { wait: *wait, ..thread.clone() });
                    }
                    Move::Reach => {
                        let holds = self.having(thread.registers.as_deref())?;
                        self.state.hold(thread.node);
                        given_up
                            .extend(complete.replace(Complete { node: thread.node, holds }).map(|c| c.node));
                        ended = true;
                    }
                    Move::Take(target) => {
                        let (asked, at) = row.expect("only a row is taken");
                        self.state.hold(thread.node);
                        let (child, place) = self.grown(thread.clone(), *target, asked, at);
                        self.emit(place, child.node, at);
                        if let Some(done) = self.grow_first(&mut new, child, place)? {
                            given_up.extend(complete.replace(done).map(|c| c.node));
                            ended = true;
                        }
                    }
                }
                if ended {
                    break;
                }
            }
            given_up.push(thread.node);
        }
        for node in given_up {
            self.state.release(node);
        }
        if new.len() > THREADS_MAX {
            return Err(MatchError::RunLimit { row: self.state.starts.get(start).row, limit: THREADS_MAX });
        }
        self.put_back(run, new, complete, old_bytes);
        Ok(())
    }

    fn bytes_of(&self, run: u32) -> usize {
        let entry = self.state.runs.get(run);
        std::iter::once(&entry.thread).chain(&entry.others).map(super::state::loose_bytes).sum()
    }

    fn put_back(&mut self, run: u32, mut new: Vec<Thread>, complete: Option<Complete>, old_bytes: usize) {
        let start = self.state.runs.get(run).start;
        self.state.loose_bytes -= old_bytes;
        if new.is_empty() {
            if let Some(complete) = complete {
                self.complete(start, complete, 0);
            }
            self.touched.push(start);
            self.state.end_run(run);
            return;
        }
        self.state.loose_bytes += new.iter().map(super::state::loose_bytes).sum::<usize>();
        let others = new.split_off(1);
        let entry = self.state.runs.get_mut(run);
        entry.thread = new.pop().expect("not empty");
        entry.others = others;
        entry.complete = complete;
        self.loose.push(run);
    }

    /// A thread that has taken its last row waits for everything that can follow, up to the end if that can.
    fn grow_first(
        &mut self,
        new: &mut Vec<Thread>,
        child: Thread,
        place: u32,
    ) -> Result<Option<Complete>, MatchError> {
        let targets = self.matcher.targets(place);
        let end = targets.iter().position(|target| {
            target.step == Next::Accept
                && self.matcher.automaton.ways[target.way as usize].absences.is_empty()
        });
        let waited = end.unwrap_or(targets.len());
        let mut complete = None;
        if end.is_some() {
            let holds = self.having(child.registers.as_deref())?;
            self.state.hold(child.node);
            complete = Some(Complete { node: child.node, holds });
        }
        if waited > 0 {
            let key = WaitKey { place, targets: (0..waited as u32).collect(), lifted: 0 };
            let wait = self.state.waits.number(self.matcher, key);
            self.add_thread(new, Thread { wait, ..child });
        } else {
            self.state.release(child.node);
        }
        Ok(complete)
    }

    /// Adds a thread unless a preferred one has the same future.
    fn add_thread(&mut self, new: &mut Vec<Thread>, thread: Thread) {
        let mergeable = self.matcher.mergeable;
        let memoryless = mergeable && self.state.waits.get(thread.wait).memoryless;
        let opened = |thread: &Thread| thread.registers.as_ref().map(|registers| registers.opened.clone());
        let twin = new.iter().any(|known| {
            known.wait == thread.wait
                && (memoryless
                    || known.last_position == thread.last_position
                        && (mergeable || known.hash == thread.hash && opened(known) == opened(&thread)))
        });
        if twin { self.state.release(thread.node) } else { new.push(thread) }
    }

    // Both.

    /// The thread, whose node is held for this, with one row more; and the place that took it.
    fn grown(&mut self, thread: Thread, target: Target, asked: &Asked<'_>, at: At) -> (Thread, u32) {
        let Next::Take(place) = target.step else { unreachable!("the end takes no row") };
        let matcher = self.matcher;
        let variable = matcher.variable_of[place as usize];
        let mut hasher = FixedState::with_seed(1).build_hasher();
        (thread.hash, at.row, variable).hash(&mut hasher);
        let needs_registers = !matcher.lookbacks.is_empty()
            || !matcher.folds.is_empty()
            || !matcher.automaton.bounds.is_empty();
        let mut registers = thread.registers;
        if needs_registers {
            let registers = registers.get_or_insert_with(|| Box::new(Registers::new(matcher)));
            registers.take(matcher, variable, at.place, asked);
            for bound in &matcher.automaton.ways[target.way as usize].opens {
                registers.opened[*bound as usize] = (at.time, at.position);
            }
        }
        // The new node holds on to the old one instead of the thread.
        let node = self.state.nodes.insert(Node { row: at.row, parent: thread.node, place, holders: 1 });
        let child = Thread {
            node,
            wait: NONE,
            last_position: at.position,
            last_time: at.time,
            hash: hasher.finish(),
            registers,
        };
        (child, place)
    }

    fn emit(&mut self, place: u32, node: u32, at: At) {
        let variable = self.matcher.variable_of[place as usize];
        for output in &self.matcher.emitted[variable as usize] {
            let members = self.state.members(node);
            let partition = self.shown_partition();
            self.found.push(
                FoundKind::Emitted(*output),
                Moment::row(at.time, at.row),
                partition,
                0,
                &members,
            );
        }
    }

    fn begin_runs(&mut self, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
        let matcher = self.matcher;
        if matcher.pattern.initial && at.position > 0 {
            return Ok(());
        }
        let mut start = NONE;
        let mut new: Vec<Thread> = vec![];
        let mut complete = None;
        for target in &matcher.automaton.start {
            let Next::Take(place) = target.step else { continue };
            if target.at_start && at.position > 0 || !self.may_begin(*target, at) {
                continue;
            }
            if !self.fits_place(place, None, asked, at)? {
                continue;
            }
            if start == NONE {
                start = self.state.add_start(self.partition, at.row, at.position, at.time);
                self.touched.push(start);
            }
            let root = Thread {
                node: NONE,
                wait: NONE,
                last_position: u64::MAX,
                last_time: at.time,
                hash: 0,
                registers: None,
            };
            if matcher.all {
                self.take(start, root, *target, asked, at)?;
                continue;
            }
            let (child, place) = self.grown(root, *target, asked, at);
            self.emit(place, child.node, at);
            complete = self.grow_first(&mut new, child, place)?;
            if complete.is_some() {
                break;
            }
        }
        if matcher.all || start == NONE {
            return Ok(());
        }
        if new.is_empty() {
            if let Some(complete) = complete {
                self.complete(start, complete, 0);
            }
            return Ok(());
        }
        let others = new.split_off(1);
        let run = self.state.add_run(start, new.pop().expect("not empty"), others);
        self.state.runs.get_mut(run).complete = complete;
        self.loose.push(run);
        Ok(())
    }

    /// Whether nothing has come before that must not have.
    fn may_begin(&self, target: Target, at: At) -> bool {
        let partition = self.state.partitions.get(self.partition);
        self.matcher.automaton.ways[target.way as usize].absences.iter().all(|absence| {
            let index = self.matcher.leading.iter().position(|variable| *variable == absence.variable);
            let seen = index.and_then(|index| partition.seen[index]);
            match (seen, absence.for_ns) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(seen), Some(span)) => time_between(seen, at.time).is_some_and(|gap| gap >= span),
            }
        })
    }

    /// Whether the row satisfies the condition of a place, and none that ends a loop around it.
    fn fits_place(
        &self,
        place: u32,
        registers: Option<&Registers>,
        asked: &Asked<'_>,
        at: At,
    ) -> Result<bool, MatchError> {
        let position = &self.matcher.automaton.positions[place as usize];
        if !asked.holds(position.variable as usize, Some(position.variable), at.place, registers)? {
            return Ok(false);
        }
        for of in &position.loops {
            if self.until_holds(*of, registers, asked, at)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn until_holds(
        &self,
        of: u32,
        registers: Option<&Registers>,
        asked: &Asked<'_>,
        at: At,
    ) -> Result<bool, MatchError> {
        match self.matcher.until_test(of) {
            Some(test) => asked.holds(test, None, at.place, registers),
            None => Ok(false),
        }
    }

    /// Adds the moves of one thread of a run.
    fn weigh(
        &mut self,
        run: u32,
        index: usize,
        asked: &Asked<'_>,
        at: At,
        moves: &mut Vec<Move>,
    ) -> Result<(), MatchError> {
        let matcher = self.matcher;
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        let entry = self.state.runs.get(run);
        let thread = if index == 0 { &entry.thread } else { &entry.others[index - 1] };
        let start = self.state.starts.get(entry.start);
        let wait = self.state.waits.get(thread.wait);
        let key = &wait.key;
        let mut lifted = key.lifted;
        let immediate = at.position == thread.last_position + 1;
        let registers = thread.registers.as_deref();
        let in_window = matcher
            .within_ns
            .is_none_or(|span| time_between(start.time, at.time).is_some_and(|gap| gap < span))
            && matcher.within_rows.is_none_or(|rows| at.position - start.position <= rows);
        let targets = matcher.targets(key.place);
        let first_move = moves.len();
        let mut reached = false;
        if in_window {
            for target_index in &key.targets {
                let target = targets[*target_index as usize];
                let way = &matcher.automaton.ways[target.way as usize];
                let (mut fits, mut lost) = (false, false);
                if let Next::Take(place) = target.step {
                    let opened = registers.map_or(&[][..], |registers| &registers.opened);
                    let allowed = way.opens.is_empty() && way.continues.is_empty()
                        || matcher.bounds_allow(
                            target,
                            opened,
                            (thread.last_time, thread.last_position),
                            (at.time, at.position),
                        );
                    // Times and positions only grow: a bound that is over stays over.
                    lost |= !allowed;
                    fits = allowed && self.fits_place(place, registers, asked, at)?;
                }
                let mut forbidden = false;
                for absence in &way.absences {
                    if (absence.strict && !immediate) || lost {
                        continue;
                    }
                    let holds = asked.holds(
                        absence.variable as usize,
                        Some(absence.variable),
                        at.place,
                        registers,
                    )?;
                    lost |= holds && (absence.strict || !fits);
                    forbidden |= holds;
                }
                for of in &way.ends {
                    lost = lost || self.until_holds(*of, registers, asked, at)?;
                }
                for (bit, guard) in way.guards.iter().enumerate() {
                    if lost || lifted & (1 << bit) != 0 {
                        continue;
                    }
                    if self.until_holds(guard.of, registers, asked, at)? {
                        lifted |= 1 << bit;
                        continue;
                    }
                    for head in &guard.heads {
                        lost = lost || self.fits_place(*head, registers, asked, at)?;
                    }
                }
                if lost {
                    continue;
                }
                match target.step {
                    Next::Take(_) => {
                        if fits {
                            moves.push(Move::Take(target));
                        }
                        if way.relation != Contiguity::Strict && !forbidden {
                            kept.push(*target_index);
                        }
                    }
                    Next::Accept if way.absences.iter().all(|absence| absence.strict) => {
                        reached = true;
                        break;
                    }
                    Next::Accept => kept.push(*target_index),
                }
            }
        }
        if moves.len() > first_move {
            // A row that fits is not passed over by whoever waits for the next that does.
            kept.retain(|index| {
                let target = targets[*index as usize];
                let relation = matcher.automaton.ways[target.way as usize].relation;
                target.step == Next::Accept || relation == Contiguity::SkipTillAny
            });
        }
        if !kept.is_empty() {
            let wait = if kept == key.targets && lifted == key.lifted {
                thread.wait
            } else {
                let key = WaitKey { place: key.place, targets: kept.clone(), lifted };
                self.state.waits.number(matcher, key)
            };
            moves.push(Move::Stay(wait));
        }
        if reached {
            moves.push(Move::Reach);
        }
        self.kept = kept;
        Ok(())
    }

    /// Whether a finished match is one.
    pub(crate) fn having(&self, registers: Option<&Registers>) -> Result<bool, MatchError> {
        match self.matcher.having {
            Some(test) => super::tests::holds_of_match(self.matcher, test, registers),
            None => Ok(true),
        }
    }

    /// Puts runs that have come to wait for something new where they belong, and sets their timers.
    pub(crate) fn link_loose(&mut self) {
        let mut loose = std::mem::take(&mut self.loose);
        for run in loose.drain(..) {
            self.state.link_bucket(self.partition, run);
            self.set_timer(run);
        }
        self.loose = loose;
    }
}
