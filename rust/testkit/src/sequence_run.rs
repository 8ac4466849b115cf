//! One run: the rows it has, the targets it waits for, and what a row or the clock makes of it.

use cepheid_ir::{Between, Contiguity, EmitAt, Expr, Pattern, Selection, Within};

use crate::reference::{Mark, ReferenceError};
use crate::reference_eval::{Scene, evaluate_condition};
use crate::sequence_input::MergedRows;
use crate::sequence_targets::{Absence, Guard, Scope, Target, targets, whole};

/// A partition, and what is asked of it.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) pattern: &'a Pattern,
    pub(crate) rows: &'a MergedRows,
    pub(crate) partition: &'a [usize],
    /// Topic names by ordinal.
    pub(crate) topics: &'a [String],
}

/// A run that waits.
#[derive(Clone)]
pub(crate) struct Run<'a> {
    pub(crate) marks: Vec<Mark<'a>>,
    /// For each row taken, its position and the place of its target in the list it was taken from.
    pub(crate) path: Vec<(usize, usize)>,
    pub(crate) waits: Vec<Wait<'a>>,
    /// Whether the next row is the very next one after the last row taken.
    fresh: bool,
}

/// A target waited for.
#[derive(Clone)]
pub(crate) struct Wait<'a> {
    target: Target<'a>,
    /// Place in the list of targets.
    place: usize,
}

/// A run that is complete.
#[derive(Clone)]
pub(crate) struct Complete<'a> {
    pub(crate) marks: Vec<Mark<'a>>,
    pub(crate) path: Vec<(usize, usize)>,
    /// Place of the end in the list of targets.
    pub(crate) end_place: usize,
}

/// A run of a start row.
#[derive(Clone)]
pub(crate) enum Item<'a> {
    Waiting(Run<'a>),
    Complete(Complete<'a>),
}

/// Rows accepted for a variable of an `emit_at`.
pub(crate) struct Accepted<'a> {
    pub(crate) marks: Vec<Mark<'a>>,
    pub(crate) emitted: usize,
}

/// A point on the clock, or beyond every point that has a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    At(i128),
    Never,
}

/// What a deadline made of a run.
pub(crate) struct Expired<'a> {
    pub(crate) items: Vec<Item<'a>>,
    /// The rows it had, if the pattern's WITHIN has ended it.
    pub(crate) timed_out: Option<Vec<Mark<'a>>>,
}

impl<'a> Setting<'a> {
    pub(crate) fn time(&self, position: usize) -> Option<i128> {
        self.rows.times[self.partition[position]]
    }

    /// Whether one of the items, which stand in order of preference, leaves those behind it no chance.
    pub(crate) fn is_decided(&self, items: &[Item<'a>]) -> bool {
        let complete = items.iter().any(|item| matches!(item, Item::Complete(_)));
        complete && self.pattern.selection == Selection::First
    }

    fn holds(&self, condition: &Expr, marks: &[Mark<'a>]) -> Result<bool, ReferenceError> {
        let scene = Scene {
            pattern: self.pattern,
            table: &self.rows.table,
            partition: self.partition,
            marks,
            seen: marks.len(),
            match_number: 0,
        };
        evaluate_condition(condition, &scene)
    }

    /// Whether a row satisfies a variable, topic and condition, in the light of the rows before it.
    fn satisfies(
        &self,
        variable: &'a str,
        marks: &[Mark<'a>],
        position: usize,
    ) -> Result<bool, ReferenceError> {
        let topic = &self.topics[self.rows.origins[self.partition[position]].0];
        if self.pattern.topic(variable).is_some_and(|wanted| wanted != topic) {
            return Ok(false);
        }
        let Some(condition) = self.pattern.condition(variable) else { return Ok(true) };
        self.holds(condition, &with_row(marks, variable, position))
    }

    /// Whether a row, belonging to no variable, satisfies the `until` of a loop.
    fn until_holds(&self, until: &Expr, marks: &[Mark<'a>], position: usize) -> Result<bool, ReferenceError> {
        self.holds(until, &with_row(marks, "", position))
    }

    /// The end of the pattern's WITHIN by time for a run that begins at a position.
    pub(crate) fn window_end(&self, first: usize) -> Deadline {
        match self.pattern.within {
            Some(within @ Within::Time { .. }) => self.expiry(within, first),
            _ => Deadline::Never,
        }
    }

    /// When nothing can be within a bound of the row at a position any more.
    fn expiry(&self, within: Within, from: usize) -> Deadline {
        match (within, self.time(from)) {
            (Within::Time { nanoseconds }, Some(time)) => Deadline::At(time + i128::from(nanoseconds)),
            // A NULL time is beyond every bound.
            (Within::Time { .. }, None) => Deadline::At(i128::MIN),
            _ => Deadline::Never,
        }
    }

    fn is_within(&self, within: Within, from: usize, to: usize) -> bool {
        match within {
            Within::Unbounded => true,
            Within::Rows(rows) => (to - from) as u64 <= rows,
            Within::Time { nanoseconds } => match (self.time(from), self.time(to)) {
                (Some(from), Some(to)) => to - from < i128::from(nanoseconds),
                _ => false,
            },
        }
    }

    /// Whether an absent event forbids the run to begin at a row: its history is every row before.
    fn forbidden_before(&self, absence: &Absence<'a>, start: usize) -> Result<bool, ReferenceError> {
        for earlier in 0..start {
            let near = match absence.for_ns {
                None => true,
                Some(nanoseconds) => self.is_within(Within::Time { nanoseconds }, earlier, start),
            };
            if near && self.satisfies(absence.variable, &[], earlier)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn with_row<'a>(marks: &[Mark<'a>], variable: &'a str, position: usize) -> Vec<Mark<'a>> {
    let mut with = marks.to_vec();
    with.push(Mark { position, variable, excluded: false });
    with
}

/// The runs that begin at a row, in order of preference.
pub(crate) fn begin<'a>(
    setting: &Setting<'a>,
    position: usize,
    accepted: &mut Vec<Accepted<'a>>,
) -> Result<Vec<Item<'a>>, ReferenceError> {
    if setting.pattern.initial && position > 0 {
        return Ok(vec![]);
    }
    let before = Run { marks: vec![], path: vec![], waits: vec![], fresh: true };
    let mut items = vec![];
    for (place, target) in
        targets(setting.pattern, &whole(setting.pattern), vec![], 0)?.into_iter().enumerate()
    {
        let wait = Wait { target, place };
        let mut forbidden = wait.target.at_start && position > 0;
        for absence in &wait.target.absences {
            forbidden = forbidden || setting.forbidden_before(absence, position)?;
        }
        if !forbidden && wait.fits(setting, &before, position)? {
            items.extend(before.take(setting, &wait, position, accepted)?);
            if setting.is_decided(&items) {
                break;
            }
        }
    }
    Ok(items)
}

impl<'a> Run<'a> {
    fn first(&self) -> Option<usize> {
        self.marks.first().map(|mark| mark.position)
    }

    /// A strict trailing absence is decided by the very next row, before that row is matched otherwise.
    pub(crate) fn decide_strict_ends(
        mut self,
        setting: &Setting<'a>,
        position: usize,
    ) -> Result<Vec<Item<'a>>, ReferenceError> {
        if self.fresh {
            let mut kept = vec![];
            for mut wait in std::mem::take(&mut self.waits) {
                let is_end = wait.target.variable.is_none();
                if is_end && wait.is_broken(setting, &self, position, true)? {
                    continue;
                }
                if is_end {
                    wait.target.absences.retain(|absence| !absence.strict);
                }
                kept.push(wait);
            }
            self.waits = kept;
        }
        self.settle(setting)
    }

    /// Turns ends that are reached into complete runs.
    fn settle(mut self, setting: &Setting<'a>) -> Result<Vec<Item<'a>>, ReferenceError> {
        let reached = |wait: &Wait<'a>| wait.target.variable.is_none() && wait.target.absences.is_empty();
        let mut complete = None;
        if let Some(index) = self.waits.iter().position(reached) {
            complete = Some(Item::Complete(Complete {
                marks: self.marks.clone(),
                path: self.path.clone(),
                end_place: self.waits[index].place,
            }));
            // A run does not wait for what stands behind an end that it has reached.
            self.waits.truncate(index);
        }
        debug_assert!(setting.pattern.selection == Selection::First || self.waits.len() <= 1);
        let waiting = (!self.waits.is_empty()).then_some(Item::Waiting(self));
        Ok(waiting.into_iter().chain(complete).collect())
    }

    /// What a row makes of the run: it is taken for each target that it fits, and skipped, in order of preference.
    pub(crate) fn step(
        mut self,
        setting: &Setting<'a>,
        position: usize,
        accepted: &mut Vec<Accepted<'a>>,
    ) -> Result<Vec<Item<'a>>, ReferenceError> {
        let (mut alive, mut fitting) = (vec![], vec![]);
        for wait in std::mem::take(&mut self.waits) {
            if !wait.is_lost(setting, &self, position)? {
                fitting.push(wait.fits(setting, &self, position)?);
                alive.push(wait);
            }
        }
        let mut items = vec![];
        for (wait, _) in alive.iter().zip(&fitting).filter(|(_, fits)| **fits) {
            items.extend(self.take(setting, wait, position, accepted)?);
            if setting.is_decided(&items) {
                break;
            }
        }
        let taken = fitting.contains(&true);
        let mut kept = vec![];
        for mut wait in alive {
            let skippable = match wait.relation() {
                Contiguity::Strict => false,
                Contiguity::SkipTillNext => !taken,
                Contiguity::SkipTillAny => true,
            };
            if skippable && !wait.is_broken(setting, &self, position, false)? {
                wait.lift_guards(setting, &self, position)?;
                kept.push(wait);
            }
        }
        self.waits = kept;
        self.fresh = false;
        if !self.waits.is_empty() {
            items.push(Item::Waiting(self));
        }
        Ok(items)
    }

    /// The run with one row more, and what it waits for then.
    fn take(
        &self,
        setting: &Setting<'a>,
        wait: &Wait<'a>,
        position: usize,
        accepted: &mut Vec<Accepted<'a>>,
    ) -> Result<Vec<Item<'a>>, ReferenceError> {
        let variable = wait.target.variable.expect("only a variable takes a row");
        let marks = with_row(&self.marks, variable, position);
        let mut path = self.path.clone();
        path.push((position, wait.place));
        let emits = |(_, entry): &(usize, &EmitAt)| entry.variable == variable;
        for (emitted, _) in setting.pattern.emit_at.iter().enumerate().filter(emits) {
            accepted.push(Accepted { marks: marks.clone(), emitted });
        }
        let mut scopes = wait.target.scopes.clone();
        for scope in &mut scopes {
            if let Scope::Bound { first, last, .. } = scope {
                first.get_or_insert(position);
                *last = Some(position);
            }
        }
        let found = targets(setting.pattern, &wait.target.rest, scopes, marks.len())?;
        let waits: Vec<Wait<'a>> =
            found.into_iter().enumerate().map(|(place, target)| Wait { target, place }).collect();
        let run = Run { marks, path, waits: vec![], fresh: true };
        // What a NULL time has put out of reach is not waited for.
        let waits =
            waits.into_iter().filter(|wait| wait.part_expiry(setting, &run) > Deadline::At(i128::MIN));
        match setting.pattern.selection {
            Selection::First => {
                let waits = waits.collect();
                Run { waits, ..run }.settle(setting)
            }
            Selection::All => {
                let mut items = vec![];
                for wait in waits {
                    items.extend(Run { waits: vec![wait], ..run.clone() }.settle(setting)?);
                }
                Ok(items)
            }
        }
    }

    /// The next moment at which the clock changes the run.
    pub(crate) fn next_deadline(&self, setting: &Setting<'a>) -> Deadline {
        let ends = self.waits.iter().map(|wait| {
            wait.end_deadline(setting, self)
                .min(wait.part_expiry(setting, self))
                .min(self.window_end(setting))
        });
        ends.min().unwrap_or(Deadline::Never)
    }

    fn window_end(&self, setting: &Setting<'a>) -> Deadline {
        self.first().map_or(Deadline::Never, |first| setting.window_end(first))
    }

    /// What the clock makes of the run when it reaches `now`.
    pub(crate) fn expire(
        mut self,
        setting: &Setting<'a>,
        now: Deadline,
    ) -> Result<Expired<'a>, ReferenceError> {
        let mut kept = vec![];
        for mut wait in std::mem::take(&mut self.waits) {
            if wait.target.variable.is_none() {
                let due: Vec<bool> =
                    wait.target.absences.iter().map(|a| self.absence_deadline(setting, a) <= now).collect();
                let mut due = due.into_iter();
                wait.target.absences.retain(|_| !due.next().expect("one answer an absence"));
            }
            let reached = wait.target.variable.is_none() && wait.target.absences.is_empty();
            if reached || wait.part_expiry(setting, &self) > now {
                kept.push(wait);
            }
        }
        self.waits = kept;
        let window_over = self.window_end(setting) <= now;
        let marks = self.marks.clone();
        let mut items = self.settle(setting)?;
        let waiting = items.iter().any(|item| matches!(item, Item::Waiting(_)));
        if window_over {
            items.retain(|item| matches!(item, Item::Complete(_)));
        }
        Ok(Expired { items, timed_out: (window_over && waiting).then_some(marks) })
    }

    /// What the end of the input makes of the run, all deadlines being over: only ends that wait for a deadline
    /// without a name are still reached.
    pub(crate) fn close(mut self, setting: &Setting<'a>) -> Result<Vec<Item<'a>>, ReferenceError> {
        self.waits.retain(|wait| {
            wait.target.variable.is_none() && wait.target.absences.iter().all(|absence| !absence.strict)
        });
        self.waits.iter_mut().for_each(|wait| wait.target.absences.clear());
        self.settle(setting)
    }

    /// When a trailing absence is over; a strict one by no clock.
    fn absence_deadline(&self, setting: &Setting<'a>, absence: &Absence<'a>) -> Deadline {
        let last = self.marks.last().and_then(|mark| setting.time(mark.position));
        match absence.for_ns {
            _ if absence.strict => Deadline::Never,
            Some(nanoseconds) => {
                last.map_or(Deadline::Never, |time| Deadline::At(time + i128::from(nanoseconds)))
            }
            None => self.window_end(setting),
        }
    }
}

impl<'a> Wait<'a> {
    /// The relation that governs skipping. An end waits through any row that its absences allow: *strict* written
    /// after them relates it to no row.
    fn relation(&self) -> Contiguity {
        match (self.target.variable, self.target.relation) {
            (None, Contiguity::Strict) => Contiguity::SkipTillNext,
            (_, relation) => relation,
        }
    }

    /// Whether a row satisfies an absence of the target: the strict ones, or the open ones.
    fn is_broken(
        &self,
        setting: &Setting<'a>,
        run: &Run<'a>,
        position: usize,
        strict: bool,
    ) -> Result<bool, ReferenceError> {
        for absence in self.target.absences.iter().filter(|absence| absence.strict == strict) {
            if setting.satisfies(absence.variable, &run.marks, position)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a row ends the wait, whether it fits or not.
    fn is_lost(&self, setting: &Setting<'a>, run: &Run<'a>, position: usize) -> Result<bool, ReferenceError> {
        if run.fresh && self.is_broken(setting, run, position, true)? {
            return Ok(true);
        }
        for scope in &self.target.scopes {
            if let Scope::Until { condition, group, going_on } = scope
                && (*group || *going_on)
                && setting.until_holds(condition, &run.marks, position)?
            {
                return Ok(true);
            }
        }
        for guard in &self.target.guards {
            if guard.fits(setting, run, position)? {
                return Ok(true);
            }
        }
        Ok(self.target.variable.is_some() && self.is_beyond_rows(setting, run, position))
    }

    /// Whether a row is the first beyond a bound by rows. Bounds by time have been seen to by the clock.
    fn is_beyond_rows(&self, setting: &Setting<'a>, run: &Run<'a>, position: usize) -> bool {
        let whole = setting.pattern.within.zip(run.first());
        let parts = self.bases(run).filter_map(|(within, from, _)| Some((within, from?)));
        let beyond = |(within, from): (Within, usize)| {
            matches!(within, Within::Rows(_)) && !setting.is_within(within, from, position)
        };
        whole.into_iter().chain(parts).any(beyond)
    }

    fn fits(&self, setting: &Setting<'a>, run: &Run<'a>, position: usize) -> Result<bool, ReferenceError> {
        let Some(variable) = self.target.variable else { return Ok(false) };
        for until in self.target.untils() {
            if setting.until_holds(until, &run.marks, position)? {
                return Ok(false);
            }
        }
        Ok(self.is_in_bounds(setting, run, position) && setting.satisfies(variable, &run.marks, position)?)
    }

    fn is_in_bounds(&self, setting: &Setting<'a>, run: &Run<'a>, position: usize) -> bool {
        let whole = setting.pattern.within.map(|within| (within, Some(run.first().unwrap_or(position))));
        // A part that begins with the row measures the row from itself: a NULL time is beyond that too.
        let parts = self.bases(run).map(|(within, from, first_to_last)| {
            (within, if first_to_last { Some(from.unwrap_or(position)) } else { from })
        });
        whole
            .into_iter()
            .chain(parts)
            .all(|(within, from)| from.is_none_or(|from| setting.is_within(within, from, position)))
    }

    /// The bounds of parts, the row from which each is measured, and whether it is one from first row to last.
    fn bases<'s>(&'s self, run: &'s Run<'a>) -> impl Iterator<Item = (Within, Option<usize>, bool)> + 's {
        self.target.scopes.iter().filter_map(|scope| match scope {
            Scope::Bound { within, between: Between::FirstToLast, first, .. } => {
                Some((*within, *first, true))
            }
            Scope::Bound { within, single: true, .. } => {
                Some((*within, run.marks.last().map(|mark| mark.position), false))
            }
            Scope::Bound { within, last, .. } => Some((*within, *last, false)),
            _ => None,
        })
    }

    /// When the bounds of parts can no longer hold.
    fn part_expiry(&self, setting: &Setting<'a>, run: &Run<'a>) -> Deadline {
        if self.target.variable.is_none() {
            return Deadline::Never;
        }
        let expiry = |(within, from, _): (Within, Option<usize>, bool)| {
            from.map_or(Deadline::Never, |from| setting.expiry(within, from))
        };
        self.bases(run).map(expiry).min().unwrap_or(Deadline::Never)
    }

    /// When an end that waits for absences is reached, or the first of its absences is over.
    fn end_deadline(&self, setting: &Setting<'a>, run: &Run<'a>) -> Deadline {
        if self.target.variable.is_some() {
            return Deadline::Never;
        }
        let deadlines = self.target.absences.iter().map(|a| run.absence_deadline(setting, a));
        deadlines.min().unwrap_or(Deadline::Never)
    }

    fn lift_guards(
        &mut self,
        setting: &Setting<'a>,
        run: &Run<'a>,
        position: usize,
    ) -> Result<(), ReferenceError> {
        let mut kept = vec![];
        for guard in std::mem::take(&mut self.target.guards) {
            let lifted = match guard.lifted_by {
                Some(until) => setting.until_holds(until, &run.marks, position)?,
                None => false,
            };
            if !lifted {
                kept.push(guard);
            }
        }
        self.target.guards = kept;
        Ok(())
    }
}

impl<'a> Guard<'a> {
    /// Whether a row would have been taken by the loop that the run has left.
    fn fits(&self, setting: &Setting<'a>, run: &Run<'a>, position: usize) -> Result<bool, ReferenceError> {
        for until in &self.untils {
            if setting.until_holds(until, &run.marks, position)? {
                return Ok(false);
            }
        }
        setting.satisfies(self.variable, &run.marks, position)
    }
}
