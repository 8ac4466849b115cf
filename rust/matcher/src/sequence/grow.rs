//! How runs grow by the rows they take.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::compile::Skip;
use super::found::{FoundKind, Moment};
use super::registers::Registers;
use super::slab::NONE;
use super::state::{Complete, Node, Thread};
use super::step::{At, Completion, Move, Work};
use super::tests::{Asked, NO_TIME};
use super::wait::{NextWait, WaitKey};
use crate::automaton::{Next, Target, VariableId};
use crate::error::MatchError;

/// Most threads of one start row.
const THREADS_MAX: usize = 10_000;

/// The hash of rows taken and their variables, of one row more.
pub(crate) fn membership_hash(before: u64, row: u64, variable: VariableId) -> u64 {
    FixedState::with_seed(1).hash_one((before, row, variable))
}

impl Work<'_> {
    // A run of one thread that waits for one target.

    pub(crate) fn step_one(&mut self, run: u32, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
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
        let twin = self.twin(start, &child, place);
        if let Some(known) = twin.and_then(|twin| self.twins.get(&twin).copied()) {
            self.prefer(known, child.node);
            self.state.release(child.node);
            return Ok(());
        }
        // Two places of one variable are one intermediate output.
        if !self.matcher.ambiguous || self.seen.insert((start, child.hash)) {
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
            if self.matcher.is_out_of_reach(*next, at.time) {
                continue;
            }
            let key = WaitKey { place, targets: vec![index as u32], lifted: 0 };
            let wait = self.state.waits.number(self.matcher, key);
            self.state.hold(child.node);
            let run = self.state.add_run(start, Thread { wait, ..child.clone() }, vec![]);
            self.loose.push(run);
        }
        if let Some(twin) = twin {
            // A node that nobody holds is gone, and so is whatever could come after it.
            let held = self.state.nodes.get(child.node).holders > 1;
            self.twins.insert(twin, if held { child.node } else { NONE });
        }
        self.state.release(child.node);
        Ok(())
    }

    /// What a run that has taken its last row is known by, where several ways may lead to one membership.
    fn twin(&self, start: u32, child: &Thread, place: u32) -> Option<(u32, u64, u32)> {
        if !self.matcher.ambiguous {
            return None;
        }
        // Of two equal memberships at different places, or in parts begun at different rows, each goes on in its own
        // way: they are told apart until complete.
        let opened = child.registers.as_ref().map(|registers| &registers.opened);
        Some((start, FixedState::with_seed(2).hash_one((child.hash, opened)), place))
    }

    /// Lets runs that have come to one membership at one place go on as having come the preferred way: the order in
    /// which matches are considered shows it.
    fn prefer(&mut self, known: u32, other: u32) {
        if known == NONE || matches!(self.matcher.skip, Skip::None | Skip::Consume) {
            return;
        }
        let (before, after) = (self.state.members(known), self.state.members(other));
        if self.preference(&after, &before).is_lt() {
            let parent = self.state.nodes.get(other).parent;
            self.state.hold(parent);
            let given_up = std::mem::replace(&mut self.state.nodes.get_mut(known).parent, parent);
            self.state.release(given_up);
        }
    }

    pub(crate) fn complete(&mut self, start: u32, complete: Complete, hash: u64) {
        self.completions.push(Completion { start, complete, hash });
    }

    // A run of all that grows from one start row.

    pub(crate) fn step_all(&mut self, run: u32, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
        let threads = 1 + self.state.runs.get(run).others.len();
        let mut moves = std::mem::take(&mut self.moves);
        moves.clear();
        let result = if threads == 1 {
            self.weigh(run, 0, asked, at, &mut moves)?;
            match moves.as_slice() {
                // What almost every step of almost every run is.
                [Move::Take(target)] => self.advance(run, *target, asked, at),
                moves => self.apply(run, moves, &[moves.len()], Some((asked, at))),
            }
        } else {
            let mut ends = Vec::with_capacity(threads);
            for index in 0..threads {
                self.weigh(run, index, asked, at, &mut moves)?;
                ends.push(moves.len());
                if moves.last() == Some(&Move::Reach) {
                    break;
                }
            }
            self.apply(run, &moves, &ends, Some((asked, at)))
        };
        self.moves = moves;
        result
    }

    /// A run of one thread takes the row, and has no other way to go.
    fn advance(&mut self, run: u32, target: Target, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
        let Next::Take(place) = target.step else { unreachable!("the end takes no row") };
        let next = match self.next_wait(place) {
            Some(next) if at.time != NO_TIME => next,
            _ => return self.apply(run, &[Move::Take(target)], &[1], Some((asked, at))),
        };
        self.state.unlink_bucket(self.partition, run);
        let entry = self.state.runs.get_mut(run);
        let start = entry.start;
        // The child takes over what the thread holds.
        let thread = Thread { registers: entry.thread.registers.take(), ..entry.thread };
        let (child, place) = self.grown(thread, target, asked, at);
        let node = child.node;
        self.emit_first(start, place, node, at);
        let complete = if next.ends {
            let holds = self.having(child.registers.as_deref())?;
            Some(Complete { node, holds })
        } else {
            None
        };
        let Some(wait) = next.wait else {
            self.state.runs.get_mut(run).thread.node = NONE;
            let less_preferred = self.state.take_complete(run);
            if complete.is_none() {
                // Nothing can follow, as behind `a ^`: what was complete before is all there is.
                self.state.release(node);
            }
            if let (Some(_), Some(before)) = (complete, less_preferred) {
                self.state.release(before.node);
            }
            if let Some(complete) = complete.or(less_preferred) {
                self.complete(start, complete, 0);
            }
            self.touched.push(start);
            self.state.end_run(run);
            return Ok(());
        };
        if let Some(complete) = complete {
            self.state.hold(node);
            if let Some(before) = self.state.take_complete(run) {
                self.state.release(before.node);
            }
            self.state.set_complete(run, complete);
        }
        self.state.runs.get_mut(run).thread = Thread { wait, ..child };
        self.loose.push(run);
        Ok(())
    }

    /// What follows a place, if that is the same whatever the row.
    fn next_wait(&mut self, place: u32) -> Option<NextWait> {
        if !self.matcher.automaton.bounds.is_empty() {
            return None;
        }
        Some(self.state.waits.next(self.matcher, place))
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
        let mut complete = self.state.take_complete(run);
        let entry = self.state.runs.get_mut(run);
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
                        self.emit_first(start, place, child.node, at);
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
        if let Some(complete) = complete {
            self.state.set_complete(run, complete);
        }
        self.loose.push(run);
    }

    /// A thread that has taken its last row waits for everything that can follow, up to the end if that can.
    fn grow_first(
        &mut self,
        new: &mut Vec<Thread>,
        child: Thread,
        place: u32,
    ) -> Result<Option<Complete>, MatchError> {
        if child.last_time != NO_TIME
            && let Some(next) = self.next_wait(place)
        {
            let mut complete = None;
            if next.ends {
                let holds = self.having(child.registers.as_deref())?;
                self.state.hold(child.node);
                complete = Some(Complete { node: child.node, holds });
            }
            match next.wait {
                Some(wait) => self.add_thread(new, Thread { wait, ..child }),
                None => self.state.release(child.node),
            }
            return Ok(complete);
        }
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
        let within_reach =
            |index: &u32| !self.matcher.is_out_of_reach(targets[*index as usize], child.last_time);
        let waited: Vec<u32> = (0..waited as u32).filter(within_reach).collect();
        if !waited.is_empty() {
            let key = WaitKey { place, targets: waited, lifted: 0 };
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
        if new.is_empty() {
            new.push(thread);
            return;
        }
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
        let hash = membership_hash(thread.hash, at.row, variable);
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
        let child =
            Thread { node, wait: NONE, last_position: at.position, last_time: at.time, hash, registers };
        (child, place)
    }

    /// Under `"first"` a variable's row is reported once a start row: for the most preferred run that accepts it, which
    /// comes first.
    fn emit_first(&mut self, start: u32, place: u32, node: u32, at: At) {
        let variable = self.matcher.variable_of[place as usize];
        if !self.matcher.emitted[variable as usize].is_empty()
            && self.seen.insert((start, u64::from(variable)))
        {
            self.emit(place, node, at);
        }
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

    pub(crate) fn begin_runs(&mut self, asked: &Asked<'_>, at: At) -> Result<(), MatchError> {
        let matcher = self.matcher;
        let timeless = at.time == NO_TIME && matcher.within_ns.is_some();
        if timeless || matcher.pattern.initial && at.position > 0 {
            return Ok(());
        }
        let mut start = NONE;
        let mut new: Vec<Thread> = vec![];
        let mut complete = None;
        for target in &matcher.automaton.start {
            let Next::Take(place) = target.step else { continue };
            if target.at_start && at.position > 0
                || !matcher.may_open(*target, at.time)
                || !self.may_begin(*target, at)
            {
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
            self.emit_first(start, place, child.node, at);
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
        if let Some(complete) = complete {
            self.state.set_complete(run, complete);
        }
        self.loose.push(run);
        Ok(())
    }
}
