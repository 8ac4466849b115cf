//! Which complete runs are matches, when that is known, and what a match forgets.

use cepheid_ir::SkipRow;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::compile::Skip;
use super::found::{FoundKind, Moment};
use super::slab::NONE;
use super::step::{Completion, Work};
use crate::automaton::Next;
use crate::error::MatchError;

impl Work<'_> {
    /// Decides what can be decided at a moment, once everything that happens at it has happened.
    pub(crate) fn settle(&mut self, moment: Moment) -> Result<(), MatchError> {
        self.link_loose();
        if !self.completions.is_empty() {
            let mut completions = std::mem::take(&mut self.completions);
            self.drop_doubles(&mut completions);
            match &self.matcher.skip {
                Skip::None => self.report(&completions, moment),
                Skip::Consume => {
                    self.report(&completions, moment);
                    if completions.iter().any(|completion| completion.complete.holds) {
                        self.forget_everything();
                    }
                }
                _ => self.make_known(&mut completions),
            }
            completions.clear();
            self.completions = completions;
        }
        if !matches!(self.matcher.skip, Skip::None | Skip::Consume) {
            self.prune(moment)?;
        }
        let mut touched = std::mem::take(&mut self.touched);
        for start in touched.drain(..) {
            let entry = self.state.starts.get(start);
            if entry.partition != NONE && entry.alive == 0 && entry.known.is_empty() {
                self.state.unlink_start(start);
            }
        }
        self.touched = touched;
        self.seen.clear();
        self.twins.clear();
        Ok(())
    }

    /// Of equal memberships from one start row, keeps the one that came about in the preferred way.
    fn drop_doubles(&mut self, completions: &mut Vec<Completion>) {
        if !self.matcher.all || !self.matcher.ambiguous {
            return;
        }
        let mut kept: Vec<Completion> = vec![];
        let mut places: HashMap<(u32, u64), usize, FixedState> =
            HashMap::with_hasher(FixedState::with_seed(0));
        for completion in completions.drain(..) {
            let known = self.state.members(completion.complete.node);
            let twin = places.get(&(completion.start, completion.hash)).copied();
            let same = twin.filter(|place| {
                let other = self.state.members(kept[*place].complete.node);
                self.memberships(&other) == self.memberships(&known)
            });
            let Some(place) = same else {
                places.insert((completion.start, completion.hash), kept.len());
                kept.push(completion);
                continue;
            };
            let other = self.state.members(kept[place].complete.node);
            let given_up = match self.preference(&known, &other) {
                std::cmp::Ordering::Less => std::mem::replace(&mut kept[place], completion),
                _ => completion,
            };
            self.state.release(given_up.complete.node);
        }
        *completions = kept;
    }

    fn memberships(&self, members: &[(u64, u32)]) -> Vec<(u64, u16)> {
        members.iter().map(|(row, place)| (*row, self.matcher.variable_of[*place as usize])).collect()
    }

    /// Reports complete runs, none of which forgets another.
    fn report(&mut self, completions: &[Completion], moment: Moment) {
        let mut members: Vec<Vec<(u64, u32)>> = vec![];
        for completion in completions {
            if completion.complete.holds {
                members.push(self.state.members(completion.complete.node));
            }
            self.state.release(completion.complete.node);
        }
        // Numbers go by the order in which they come out.
        let key = |rows: &[(u64, u32)]| (rows.last().map(|last| last.0), rows.first().map(|first| first.0));
        members.sort_by(|left, right| {
            key(left).cmp(&key(right)).then_with(|| self.memberships(left).cmp(&self.memberships(right)))
        });
        for rows in members {
            self.report_match(&rows, moment);
        }
    }

    fn report_match(&mut self, members: &[(u64, u32)], moment: Moment) {
        let entry = self.state.partitions.get_mut(self.partition);
        entry.matches += 1;
        let number = entry.matches;
        self.found.push(FoundKind::Match, moment, self.shown_partition(), number, members);
    }

    fn forget_everything(&mut self) {
        loop {
            let start = self.state.partitions.get(self.partition).first_start;
            if start == NONE {
                return;
            }
            self.state.end_start(start);
        }
    }

    /// Puts complete runs where they wait to be considered.
    fn make_known(&mut self, completions: &mut [Completion]) {
        if completions.len() > 1 {
            let members: Vec<Vec<(u64, u32)>> =
                completions.iter().map(|c| self.state.members(c.complete.node)).collect();
            let mut order: Vec<usize> = (0..completions.len()).collect();
            order.sort_by(|left, right| {
                let row = |index: usize| self.state.starts.get(completions[index].start).row;
                row(*left).cmp(&row(*right)).then_with(|| self.preference(&members[*left], &members[*right]))
            });
            let sorted: Vec<Completion> = order.into_iter().map(|index| completions[index]).collect();
            completions.copy_from_slice(&sorted);
        }
        for completion in completions.iter() {
            if !completion.complete.holds {
                self.state.release(completion.complete.node);
                self.touched.push(completion.start);
                continue;
            }
            self.state.starts.get_mut(completion.start).known.push_back(completion.complete);
            self.state.partitions.get_mut(self.partition).known += 1;
        }
    }

    /// Which of two runs from one start row is preferred: `Less`, the left one.
    pub(crate) fn preference(&self, left: &[(u64, u32)], right: &[(u64, u32)]) -> std::cmp::Ordering {
        use std::cmp::Ordering;
        let common = left.iter().zip(right).take_while(|(l, r)| l == r).count();
        let before = if common == 0 { super::wait::START } else { left[common - 1].1 };
        let rank = |place: u32| {
            self.matcher.targets(before).iter().position(|target| target.step == Next::Take(place))
        };
        let end = self.matcher.targets(before).iter().position(|target| target.step == Next::Accept);
        match (left.get(common), right.get(common)) {
            (None, None) => Ordering::Equal,
            (Some((_, place)), None) => rank(*place).cmp(&end),
            (None, Some((_, place))) => end.cmp(&rank(*place)),
            (Some(l), Some(r)) if l.0 != r.0 => l.0.cmp(&r.0),
            (Some(l), Some(r)) => rank(l.1).cmp(&rank(r.1)),
        }
    }

    /// Emits known matches of which no earlier start row has a run alive, and forgets what they forget.
    fn prune(&mut self, moment: Moment) -> Result<(), MatchError> {
        while self.state.partitions.get(self.partition).known > 0 {
            let start = self.state.partitions.get(self.partition).first_start;
            let entry = self.state.starts.get(start);
            let Some(known) = entry.known.front().copied() else {
                if entry.alive > 0 {
                    return Ok(());
                }
                self.state.unlink_start(start);
                continue;
            };
            self.state.starts.get_mut(start).known.pop_front();
            self.state.partitions.get_mut(self.partition).known -= 1;
            let members = self.state.members(known.node);
            self.state.release(known.node);
            self.report_match(&members, moment);
            self.touched.push(start);
            self.forget(start, &members)?;
        }
        Ok(())
    }

    fn forget(&mut self, start: u32, members: &[(u64, u32)]) -> Result<(), MatchError> {
        let first = self.state.starts.get(start).row;
        match &self.matcher.skip {
            Skip::None | Skip::Consume => {}
            Skip::PastLastRow => self.forget_below(members.last().map_or(first, |last| last.0) + 1),
            Skip::ToNextRow => self.state.end_start(start),
            Skip::ToVariable { name, members: variables, row, strict } => {
                let is_target =
                    |member: &&(u64, u32)| variables[self.matcher.variable_of[member.1 as usize] as usize];
                let target = match row {
                    SkipRow::First => members.iter().find(is_target),
                    SkipRow::Last => members.iter().rev().find(is_target),
                };
                let number = self.state.partitions.get(self.partition).matches;
                let (variable, match_number, row) = (name.clone(), number, first);
                match target {
                    Some((target, _)) if *target > first => self.forget_below(*target),
                    _ if !strict => {}
                    None => return Err(MatchError::SkipTargetMissing { variable, match_number, row }),
                    Some(_) => return Err(MatchError::SkipTargetIsFirstRow { variable, match_number, row }),
                }
            }
        }
        Ok(())
    }

    /// Forgets everything begun before a row.
    fn forget_below(&mut self, row: u64) {
        loop {
            let start = self.state.partitions.get(self.partition).first_start;
            if start == NONE || self.state.starts.get(start).row >= row {
                return;
            }
            self.state.end_start(start);
        }
    }
}
