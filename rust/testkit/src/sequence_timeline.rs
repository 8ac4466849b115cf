//! One partition from its first row to the end of the input: every run of every start row, side by side, and which of
//! the complete ones are reported.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use cepheid_ir::{AfterMatchSkip, Expr, Selection, SkipRow};

use crate::reference::{Mark, ReferenceError};
use crate::reference_eval::{Scene, evaluate_condition};
use crate::sequence_event::{Moment, SequenceKind};
use crate::sequence_run::{Accepted, Complete, Deadline, Expired, Item, Setting, begin};

/// Runs of one partition, alive at once, beyond which the reference gives up.
const RUNS_MAX: usize = 20_000;

/// Something derived, before it has a number.
pub(crate) struct Derived<'a> {
    pub(crate) kind: SequenceKind,
    pub(crate) moment: Moment,
    pub(crate) marks: Vec<Mark<'a>>,
}

/// The (variable, row) pairs of a run.
type Pairs<'a> = Vec<(usize, &'a str)>;

/// Everything that began at one row.
struct Start<'a> {
    position: usize,
    /// Under `"first"` in order of preference; what stands behind a complete run is never chosen, and not kept.
    items: Vec<Item<'a>>,
    /// Under `"all"`: complete runs not yet reported, with the moment they were completed at.
    complete: Vec<(Moment, Complete<'a>)>,
    /// Under `"all"`: every distinct set that has been complete.
    seen: BTreeSet<Pairs<'a>>,
}

/// A partition at some moment.
pub(crate) struct Timeline<'a> {
    setting: Setting<'a>,
    starts: Vec<Start<'a>>,
    derived: Vec<Derived<'a>>,
}

/// Whether the search goes on among the matches of a moment.
#[derive(PartialEq)]
enum Next {
    Start,
    Stop,
}

/// Everything derived from a partition.
///
/// # Errors
/// The first run-time error, and [`ReferenceError::TooManySteps`].
pub(crate) fn simulate(setting: Setting<'_>) -> Result<Vec<Derived<'_>>, ReferenceError> {
    let mut timeline = Timeline { setting, starts: vec![], derived: vec![] };
    for position in 0..setting.partition.len() {
        // NULL stands behind every time.
        timeline.advance(setting.time(position).map_or(Deadline::Never, Deadline::At))?;
        timeline.row(position)?;
    }
    timeline.advance(Deadline::Never)?;
    timeline.close()?;
    Ok(timeline.derived)
}

impl<'a> Timeline<'a> {
    /// Lets every deadline up to one fire, in the order of time.
    fn advance(&mut self, to: Deadline) -> Result<(), ReferenceError> {
        loop {
            let runs = self.starts.iter().flat_map(|start| &start.items);
            let next = runs.filter_map(|item| match item {
                Item::Waiting(run) => Some(run.next_deadline(&self.setting)),
                Item::Complete(_) => None,
            });
            let Some(now) = next.min().filter(|&now| now != Deadline::Never && now <= to) else {
                return Ok(());
            };
            let Deadline::At(time) = now else { unreachable!("has a name") };
            let moment = Moment { time: Some(time), row: None, end_of_input: false };
            for index in 0..self.starts.len() {
                self.expire(index, now, moment)?;
            }
            self.consider(moment)?;
        }
    }

    fn expire(&mut self, index: usize, now: Deadline, moment: Moment) -> Result<(), ReferenceError> {
        let mut timed_out: Vec<Vec<Mark<'a>>> = vec![];
        let mut items = vec![];
        for item in std::mem::take(&mut self.starts[index].items) {
            match item {
                Item::Complete(_) => items.push(item),
                Item::Waiting(run) => {
                    let Expired { items: left, timed_out: ended } = run.expire(&self.setting, now)?;
                    items.extend(left);
                    timed_out.extend(ended);
                }
            }
        }
        self.starts[index].keep(self.setting.pattern.selection, items, moment)?;
        if self.setting.pattern.timeouts {
            match self.setting.pattern.selection {
                Selection::First if !self.starts[index].items.is_empty() => timed_out.clear(),
                Selection::First => timed_out.truncate(1),
                Selection::All => distinct(&mut timed_out),
            }
            let derived = |marks| Derived { kind: SequenceKind::Timeout, moment, marks };
            self.derived.extend(timed_out.into_iter().map(derived));
        }
        Ok(())
    }

    fn row(&mut self, position: usize) -> Result<(), ReferenceError> {
        let row = self.setting.partition[position];
        let moment = Moment { time: self.setting.time(position), row: Some(row), end_of_input: false };
        for start in &mut self.starts {
            let mut items = vec![];
            for item in std::mem::take(&mut start.items) {
                match item {
                    Item::Complete(_) => items.push(item),
                    Item::Waiting(run) => items.extend(run.decide_strict_ends(&self.setting, position)?),
                }
            }
            start.keep(self.setting.pattern.selection, items, moment)?;
        }
        // One moment: what a match forgets is forgotten once everything that the row completes is known.
        for start in &mut self.starts {
            let (mut items, mut accepted) = (vec![], vec![]);
            for item in std::mem::take(&mut start.items) {
                match item {
                    Item::Complete(_) => items.push(item),
                    Item::Waiting(run) => items.extend(run.step(&self.setting, position, &mut accepted)?),
                }
                if self.setting.is_decided(&items) {
                    break;
                }
            }
            start.keep(self.setting.pattern.selection, items, moment)?;
            report_accepted(self.setting.pattern.selection, accepted, moment, &mut self.derived);
        }
        let mut accepted = vec![];
        let items = begin(&self.setting, position, &mut accepted)?;
        report_accepted(self.setting.pattern.selection, accepted, moment, &mut self.derived);
        let mut start = Start { position, items: vec![], complete: vec![], seen: BTreeSet::new() };
        start.keep(self.setting.pattern.selection, items, moment)?;
        self.starts.push(start);
        self.consider(moment)?;
        let runs: usize = self.starts.iter().map(|start| start.items.len()).sum();
        if runs > RUNS_MAX { Err(ReferenceError::TooManySteps) } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), ReferenceError> {
        let moment = Moment { time: None, row: None, end_of_input: true };
        for start in &mut self.starts {
            let mut items = vec![];
            for item in std::mem::take(&mut start.items) {
                match item {
                    Item::Complete(_) => items.push(item),
                    Item::Waiting(run) => items.extend(run.close(&self.setting)?),
                }
            }
            // Nothing that goes on is alive any more.
            items.retain(|item| matches!(item, Item::Complete(_)));
            start.keep(self.setting.pattern.selection, items, moment)?;
        }
        self.consider(moment)
    }

    /// Reports the matches that may be, and forgets what they forget.
    fn consider(&mut self, moment: Moment) -> Result<(), ReferenceError> {
        match self.setting.pattern.after_match {
            AfterMatchSkip::None => {
                self.report_known(moment)?;
            }
            AfterMatchSkip::Consume => {
                if self.report_known(moment)? {
                    self.starts.clear();
                }
            }
            _ => while self.consider_first_start(moment)? == Next::Start {},
        }
        self.starts.retain(|start| !start.items.is_empty() || !start.complete.is_empty());
        Ok(())
    }

    /// Reports every match that is known; whether there was one.
    fn report_known(&mut self, moment: Moment) -> Result<bool, ReferenceError> {
        let mut known = vec![];
        for start in &mut self.starts {
            known.extend(start.take_known());
        }
        let before = self.derived.len();
        for complete in known {
            if self.is_wanted(&complete)? {
                self.derived.push(Derived { kind: SequenceKind::Match, moment, marks: complete.marks });
            }
        }
        Ok(self.derived.len() > before)
    }

    /// Considers the matches of the first start row that there still is: no earlier run is alive then.
    fn consider_first_start(&mut self, moment: Moment) -> Result<Next, ReferenceError> {
        let Some(first) = self.starts.first_mut() else { return Ok(Next::Stop) };
        let position = first.position;
        if let Some(complete) = first.take_next_known() {
            if self.is_wanted(&complete)? {
                self.forget(&complete)?;
                self.derived.push(Derived { kind: SequenceKind::Match, moment, marks: complete.marks });
            }
            return Ok(Next::Start);
        }
        if first.items.is_empty() {
            self.starts.retain(|start| start.position != position);
            return Ok(Next::Start);
        }
        Ok(Next::Stop)
    }

    fn is_wanted(&self, complete: &Complete<'a>) -> Result<bool, ReferenceError> {
        let Some(having) = &self.setting.pattern.having else { return Ok(true) };
        let mut numbered = false;
        having.walk(&mut |expr| numbered |= matches!(expr, Expr::MatchNumber));
        if numbered {
            return Err(ReferenceError::Unsupported("the number of a match before it is one".into()));
        }
        let scene = Scene {
            pattern: self.setting.pattern,
            table: &self.setting.rows.table,
            partition: self.setting.partition,
            marks: &complete.marks,
            seen: complete.marks.len(),
            match_number: 0,
        };
        evaluate_condition(having, &scene)
    }

    /// What a reported match forgets: runs and matches by the rows they began at.
    fn forget(&mut self, complete: &Complete<'a>) -> Result<(), ReferenceError> {
        let marks = &complete.marks;
        let (first, last) = (marks[0].position, marks[marks.len() - 1].position);
        match &self.setting.pattern.after_match {
            AfterMatchSkip::PastLastRow => self.starts.retain(|start| start.position > last),
            AfterMatchSkip::ToNextRow => self.starts.retain(|start| start.position != first),
            AfterMatchSkip::ToVariable { variable, row, strict } => {
                let members = self.setting.pattern.members(variable);
                let mut rows = marks.iter().filter(|mark| members.contains(&mark.variable));
                let target = match row {
                    SkipRow::First => rows.next(),
                    SkipRow::Last => rows.next_back(),
                };
                match target.map(|mark| mark.position) {
                    None if *strict => {
                        return Err(ReferenceError::SkipTargetMissing { variable: variable.clone() });
                    }
                    Some(position) if *strict && position == first => {
                        return Err(ReferenceError::SkipTargetIsFirstRow { variable: variable.clone() });
                    }
                    None => {}
                    Some(position) => self.starts.retain(|start| start.position >= position),
                }
            }
            AfterMatchSkip::None | AfterMatchSkip::Consume => {}
        }
        Ok(())
    }
}

impl<'a> Start<'a> {
    /// Takes over the items that a moment left.
    fn keep(
        &mut self,
        selection: Selection,
        items: Vec<Item<'a>>,
        moment: Moment,
    ) -> Result<(), ReferenceError> {
        if items.len() > RUNS_MAX {
            return Err(ReferenceError::TooManySteps);
        }
        self.items = items;
        match selection {
            Selection::First => {
                if let Some(end) = self.items.iter().position(|item| matches!(item, Item::Complete(_))) {
                    self.items.truncate(end + 1);
                }
            }
            Selection::All => {
                for item in std::mem::take(&mut self.items) {
                    match item {
                        Item::Waiting(_) => self.items.push(item),
                        Item::Complete(complete) if self.seen.insert(pairs(&complete.marks)) => {
                            self.complete.push((moment, complete));
                        }
                        Item::Complete(_) => {}
                    }
                }
                self.complete.sort_by(|(left_moment, left), (right_moment, right)| {
                    left_moment.cmp(right_moment).then_with(|| preference(left, right))
                });
            }
        }
        Ok(())
    }

    /// Every match that is known.
    fn take_known(&mut self) -> Vec<Complete<'a>> {
        std::iter::from_fn(|| self.take_next_known()).collect()
    }

    /// The next match that is known, in the order of completion, then of preference.
    fn take_next_known(&mut self) -> Option<Complete<'a>> {
        if !self.complete.is_empty() {
            return Some(self.complete.remove(0).1);
        }
        match self.items.first() {
            Some(Item::Complete(_)) => match self.items.remove(0) {
                Item::Complete(complete) => Some(complete),
                Item::Waiting(_) => unreachable!("just seen"),
            },
            _ => None,
        }
    }
}

/// Which of two complete runs of one start row is preferred: compared row by row, the one that takes a row to the one
/// that skips it, then the one whose target, or end, stands earlier in the list.
fn preference(left: &Complete<'_>, right: &Complete<'_>) -> Ordering {
    for place in 0.. {
        let order = match (left.path.get(place), right.path.get(place)) {
            (None, None) => return left.end_place.cmp(&right.end_place),
            (None, Some(&(_, target))) => return left.end_place.cmp(&target),
            (Some(&(_, target)), None) => return target.cmp(&right.end_place),
            (Some(left), Some(right)) => left.cmp(right),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn pairs<'a>(marks: &[Mark<'a>]) -> Pairs<'a> {
    marks.iter().map(|mark| (mark.position, mark.variable)).collect()
}

/// Leaves each set of pairs once.
fn distinct<'a>(runs: &mut Vec<Vec<Mark<'a>>>) {
    let mut seen = BTreeSet::new();
    runs.retain(|marks| seen.insert(pairs(marks)));
}

/// Intermediate outputs of the runs of one start row, in order of preference, at one row: under `"first"` the most
/// preferred of each kind, under `"all"` each distinct set of pairs.
fn report_accepted<'a>(
    selection: Selection,
    accepted: Vec<Accepted<'a>>,
    moment: Moment,
    derived: &mut Vec<Derived<'a>>,
) {
    let mut seen = BTreeSet::new();
    for Accepted { marks, emitted } in accepted {
        let told_apart = if selection == Selection::First { vec![] } else { pairs(&marks) };
        if seen.insert((emitted, told_apart)) {
            derived.push(Derived { kind: SequenceKind::Emitted(emitted), moment, marks });
        }
    }
}
