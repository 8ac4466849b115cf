//! What a row may do to a run: which of the targets waited for it fits, which it may be skipped for, which it ends.

use cepheid_ir::Contiguity;

use super::registers::Registers;
use super::state::Thread;
use super::step::{At, Move, Work};
use super::tests::{Asked, NO_TIME, time_between};
use super::wait::WaitKey;
use crate::automaton::{Absence, Next, Target};
use crate::error::MatchError;

/// Whether an absence after the last row has lasted before a row comes. The run is then still there because a strict one
/// waits for that row to decide it.
fn is_over(target: Target, absence: &Absence, thread: &Thread, at: At) -> bool {
    target.step == Next::Accept
        && thread.last_time != NO_TIME
        && absence.for_ns.is_some_and(|span| thread.last_time.saturating_add(span) <= at.time)
}

impl Work<'_> {
    /// Whether nothing has come before that must not have.
    pub(crate) fn may_begin(&self, target: Target, at: At) -> bool {
        let partition = self.state.partitions.get(self.partition);
        self.matcher.automaton.ways[target.way as usize].absences.iter().all(|absence| {
            let index = self.matcher.leading.iter().position(|variable| *variable == absence.variable);
            let seen = index.and_then(|index| partition.seen[index]);
            match (seen, absence.for_ns) {
                (None, _) => true,
                (Some(_), None) => false,
                // Of a row without a time nothing can be said to be near.
                (Some(seen), Some(span)) => time_between(seen, at.time).is_none_or(|gap| gap >= span),
            }
        })
    }

    /// Whether the row satisfies the condition of a place, and none that ends a loop around it.
    pub(crate) fn fits_place(
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
    pub(crate) fn weigh(
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
            .is_none_or(|span| time_between(start.time, at.time).is_some_and(|gap| gap < span));
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
                    fits = allowed
                        && matcher.may_open(target, at.time)
                        && self.fits_place(place, registers, asked, at)?;
                }
                let mut forbidden = false;
                for absence in &way.absences {
                    let over = if absence.strict { !immediate } else { is_over(target, absence, thread, at) };
                    if over || lost {
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
                    Next::Accept
                        if way.absences.iter().all(|a| a.strict || is_over(target, a, thread, at)) =>
                    {
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
                relation == Contiguity::SkipTillAny
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
}
