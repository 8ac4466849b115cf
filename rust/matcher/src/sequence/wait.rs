//! What runs wait for: sets of targets, numbered as they come up.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::compile::SequenceMatcher;
use super::index::WaitIndex;
use crate::automaton::{Next, Target, Way};

/// The place of a run that has taken no row.
pub(crate) const START: u32 = u32::MAX;

/// Targets that a run may wait for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WaitKey {
    /// The place that took the run's last row, or [`START`].
    pub(crate) place: u32,
    /// Those of its targets that are still waited for, in order of preference.
    pub(crate) targets: Vec<u32>,
    /// Guards of the (one) target that have been lifted.
    pub(crate) lifted: u32,
}

/// A set of targets, and what about a row can matter to whoever waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) key: WaitKey,
    /// Any row matters: one of the targets is strict, or is asked of every row.
    pub(crate) every_row: bool,
    /// Neither the time nor the place of the last row taken matters.
    pub(crate) memoryless: bool,
    /// Predicates of which one must hold for a row to matter, unless the index finds that it does.
    pub(crate) predicates: Vec<usize>,
    /// Every test that is asked.
    pub(crate) asked: Vec<usize>,
    /// Whether it is not for the lack of a predicate that every row matters.
    pub(crate) is_bound_to_every_row: bool,
    /// How runs that wait for it are told apart.
    pub(crate) index: Option<WaitIndex>,
}

/// All sets of targets met so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits {
    all: Vec<Wait>,
    known: HashMap<WaitKey, u32, FixedState>,
    /// `nexts[p]`: what follows place p.
    nexts: Vec<Option<NextWait>>,
}

/// What a run waits for that has taken a row, under `"first"`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextWait {
    /// Everything preferred to the end, if there is any.
    pub(crate) wait: Option<u32>,
    /// Whether the run is complete.
    pub(crate) ends: bool,
}

impl Waits {
    #[inline]
    pub(crate) fn get(&self, id: u32) -> &Wait {
        &self.all[id as usize]
    }

    /// What follows a place.
    pub(crate) fn next(&mut self, matcher: &SequenceMatcher, place: u32) -> NextWait {
        if let Some(Some(next)) = self.nexts.get(place as usize) {
            return *next;
        }
        let targets = matcher.targets(place);
        let end = targets.iter().position(|target| {
            target.step == Next::Accept && matcher.automaton.ways[target.way as usize].absences.is_empty()
        });
        let waited: Vec<u32> = (0..end.unwrap_or(targets.len()) as u32).collect();
        let wait =
            (!waited.is_empty()).then(|| self.number(matcher, WaitKey { place, targets: waited, lifted: 0 }));
        let next = NextWait { wait, ends: end.is_some() };
        if self.nexts.len() <= place as usize {
            self.nexts.resize(place as usize + 1, None);
        }
        self.nexts[place as usize] = Some(next);
        next
    }

    /// Numbers the same sets for another compilation of the pattern.
    pub(crate) fn rebind(&mut self, matcher: &SequenceMatcher) {
        let keys: Vec<WaitKey> = self.all.drain(..).map(|wait| wait.key).collect();
        self.known.clear();
        self.nexts.clear();
        for key in keys {
            self.number(matcher, key);
        }
    }

    /// The number of a set.
    pub(crate) fn number(&mut self, matcher: &SequenceMatcher, key: WaitKey) -> u32 {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let mut wait = Wait {
            key: key.clone(),
            every_row: false,
            memoryless: true,
            predicates: vec![],
            asked: vec![],
            is_bound_to_every_row: false,
            index: None,
        };
        let mut asked = vec![];
        for index in &key.targets {
            let target = matcher.targets(key.place)[*index as usize];
            wait.concern(matcher, target, &mut asked);
        }
        wait.ask(matcher, &asked);
        let id = self.all.len() as u32;
        self.all.push(wait);
        self.known.insert(key, id);
        id
    }
}

impl Wait {
    /// Adds a target, and to `asked` the tests that decide what becomes of it.
    fn concern(&mut self, matcher: &SequenceMatcher, target: Target, asked: &mut Vec<usize>) {
        let way: &Way = &matcher.automaton.ways[target.way as usize];
        match target.step {
            Next::Take(place) => {
                self.every_row |= way.relation == cepheid_ir::Contiguity::Strict;
                // The first row beyond a bound by rows ends the wait, whatever it is.
                self.every_row |= way.continues.iter().chain(&way.opens).any(|bound| {
                    matches!(matcher.automaton.bounds[*bound as usize].within, cepheid_ir::Within::Rows(_))
                });
                asked.push(matcher.automaton.positions[place as usize].variable as usize);
            }
            Next::Accept => self.memoryless &= way.absences.iter().all(|absence| absence.for_ns.is_none()),
        }
        self.every_row |= way.absences.iter().any(|absence| absence.strict);
        self.memoryless &= !self.every_row;
        asked.extend(way.absences.iter().map(|absence| absence.variable as usize));
        asked.extend(way.ends.iter().filter_map(|of| matcher.until_test(*of)));
        for guard in &way.guards {
            asked.extend(matcher.until_test(guard.of));
            let heads =
                guard.heads.iter().map(|head| matcher.automaton.positions[*head as usize].variable as usize);
            asked.extend(heads);
        }
    }

    /// Settles which rows matter, of those for which one of the tests `asked` holds.
    fn ask(&mut self, matcher: &SequenceMatcher, asked: &[usize]) {
        let mut tests: Vec<usize> = vec![];
        for test in asked {
            if !tests.contains(test) {
                tests.push(*test);
            }
        }
        self.is_bound_to_every_row = self.every_row;
        self.asked.clone_from(&tests);
        if !self.every_row {
            self.index = WaitIndex::best(matcher, &tests);
        }
        let indexed: Vec<usize> =
            self.index.iter().flat_map(|index| &index.probes).map(|(test, _)| *test).collect();
        for test in tests.into_iter().filter(|test| !indexed.contains(test)) {
            match matcher.tests[test].predicate() {
                Some(predicate) if !self.predicates.contains(&predicate) => self.predicates.push(predicate),
                Some(_) => {}
                None => self.every_row = true,
            }
        }
    }
}
