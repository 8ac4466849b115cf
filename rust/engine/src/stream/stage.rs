//! The rules of one level, with what they know: which have something to do, what they find, and how all of it is put back.

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use cepheid_event::{MergedBatch, MergedSchema, Released};
use cepheid_matcher::sequence::SequenceLimits;
use cepheid_matcher::step_lists::Scratch;
use cepheid_matcher::threads::{Interruption, Workers};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::affected::{Affected, Answers, Concerned, Seat};
use super::anomaly_rule::AnomalyRule;
use super::binding::BoundColumns;
use super::derived::{Part, TopicEvents, by_topic, same_columns};
use super::deriving::derive;
use super::event_ids::with_ids;
use super::graph::TopicUses;
use super::history::History;
use super::known_rows::RowsFound;
use super::processor_rule::{Given, ProcessorRule};
use super::rule::{Compiled, Rule, Surroundings};
use super::rules::AnyRule;
use super::shard::Shard;
use super::visits::{Visits, concerned};
use super::window_rule::WindowRule;
use super::{EngineOptions, topic_names};
use crate::error::EngineError;

/// See the module.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(super) rules: Vec<Rule>,
    pub(super) windows: Vec<WindowRule>,
    pub(super) anomalies: Vec<AnomalyRule>,
    pub(super) processors: Vec<ProcessorRule>,
    pub(super) history: History,
    /// Place of the next row in the order of all rows.
    pub(super) next: u64,
    /// Which rules rows concern.
    pub(super) affected: Affected,
    /// Where a rule stands in `rules`.
    pub(super) places: HashMap<Seat, usize, FixedState>,
    pub(super) next_seat: Seat,
    /// How many topics had sent something when rules were last compiled; `None`: some rule has to be.
    pub(super) compiled_for: Option<usize>,
    /// What they were last bound to.
    bound: Option<Arc<BoundColumns>>,
    /// Rules that need rows that have been matched.
    pub(super) needing_rows: usize,
    /// Room for rules to work in, one after the other.
    scratch: Scratch,
    pub(super) rules_visited: u64,
    pub(super) rules_given_rows: u64,
    /// Whether the columns of something derived have become known since they were last compared.
    pub(super) learned: bool,
    /// Whether events say which they are.
    pub(super) ids: bool,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            rules: vec![],
            windows: vec![],
            anomalies: vec![],
            processors: vec![],
            history: History::default(),
            next: 0,
            affected: Affected::default(),
            places: HashMap::with_hasher(FixedState::with_seed(0)),
            next_seat: 0,
            compiled_for: None,
            bound: None,
            needing_rows: 0,
            scratch: Scratch::default(),
            rules_visited: 0,
            rules_given_rows: 0,
            learned: false,
            ids: false,
        }
    }
}

/// What a stage is told of a call.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) options: &'a EngineOptions,
    /// Those of the rows that it is given.
    pub(super) columns: &'a MergedSchema,
    /// Bytes that are held elsewhere.
    pub(super) elsewhere: usize,
    /// Where the clock stood before.
    pub(super) watermark: Option<i64>,
    /// Whether the call may be refused for something that comes behind this stage.
    pub(super) may_fail_later: bool,
    /// Which topics several rules derive.
    pub(super) uses: &'a TopicUses,
}

impl Stage {
    /// What rules derive of rows, topic by topic, in the order in which topics first come.
    ///
    /// # Errors
    /// [`EngineError`]; the stage is then to be [rolled back](Self::roll_back).
    pub(super) fn derive(
        &mut self,
        released: &Released,
        call: &Call<'_>,
        undo: &mut Undo,
    ) -> Result<Vec<TopicEvents>, EngineError> {
        let mut parts = vec![];
        self.match_released(released, call, undo, &mut parts)?;
        if self.learned {
            if call.uses.are_shared() {
                self.check_shared(call.uses, &call.options.event_time)?;
            }
            self.learned = false;
        }
        by_topic(parts, released.watermark.unwrap_or(i64::MIN), &|rule| self.rule_at(rule).label())
    }

    /// The columns of a topic that a rule derives, and the event time that its rows have; `None` while that is not known.
    pub(super) fn schema_of(
        &self,
        topic: &str,
        event_time: &str,
    ) -> Result<Option<(SchemaRef, DataType)>, EngineError> {
        for rule in self.all_rules().filter(|rule| rule.derives(topic)) {
            if let Some((schema, time)) = rule.schema_of(topic, event_time)? {
                return Ok(Some((reported(schema, rule, self.ids), time)));
            }
        }
        Ok(None)
    }

    /// Checks that rules which derive one topic give it the same columns, as far as these are known by now: whether their events
    /// come in one call is a matter of how the input is cut.
    fn check_shared(&self, uses: &TopicUses, event_time: &str) -> Result<(), EngineError> {
        let mut known: HashMap<String, (&str, SchemaRef), FixedState> =
            HashMap::with_hasher(FixedState::with_seed(0));
        for rule in self.all_rules() {
            for topic in rule.derived_topics().into_iter().filter(|topic| uses.is_shared(topic)) {
                let Some((schema, _)) = rule.schema_of(&topic, event_time)? else { continue };
                match known.get(&topic) {
                    Some((first, expected)) => {
                        same_columns(&topic, (first, expected), (rule.name(), &schema))?
                    }
                    None => drop(known.insert(topic, (rule.name(), schema))),
                }
            }
        }
        Ok(())
    }

    /// Which rule that derives a topic names one that has sent nothing, and that one.
    pub(super) fn silent_behind(&self, topic: &str) -> Option<(&str, &str)> {
        let mut derivers = self.rules.iter().filter(|rule| rule.derives(topic));
        derivers.find_map(|rule| Some((rule.name.as_str(), rule.compiled.as_ref()?.silent.as_deref()?)))
    }

    /// Lets what has been derived stand, and lets go of what is not needed any more. `columns`: those of its rows.
    pub(super) fn commit(
        &mut self,
        undo: &Undo,
        released: &Released,
        columns: &MergedSchema,
        options: &EngineOptions,
    ) {
        for touched in &undo.touched {
            self.rules[touched.place].commit(released.watermark, released.ended, &mut self.scratch);
            self.tidy(touched.place);
        }
        for window in &mut self.windows {
            window.commit();
            window.tidy(released.complete_before);
            if released.ended {
                window.end(released.complete_before);
            }
        }
        for anomalies in &mut self.anomalies {
            anomalies.commit();
            anomalies.tidy(released.complete_before);
        }
        self.processors.iter_mut().for_each(ProcessorRule::commit);
        self.tidy_history(columns, options);
    }

    /// Puts everything back.
    pub(super) fn roll_back(&mut self, undo: Undo) {
        self.next = undo.first;
        self.windows.iter_mut().for_each(WindowRule::roll_back);
        self.anomalies.iter_mut().for_each(AnomalyRule::roll_back);
        self.processors.iter_mut().for_each(ProcessorRule::roll_back);
        self.history.pop(undo.first);
        for touched in undo.touched {
            let rule = &mut self.rules[touched.place];
            let recompiled = touched.compiled.is_some();
            if let Some((compiled, shards)) = touched.compiled {
                (rule.compiled, rule.shards) = (compiled, shards);
            }
            rule.begun = false;
            rule.shards.iter_mut().for_each(Shard::roll_back);
            rule.matches = touched.matches;
            if recompiled {
                self.affected.hold(rule.seat, rule);
            }
            self.wait_on(touched.place);
        }
        self.compiled_for = None;
        self.learned = true;
        // Their time has come, and nobody may have looked at them.
        undo.due.into_iter().for_each(|place| self.wait_on(place));
    }

    /// Has a rule visited when its time comes.
    fn wait_on(&mut self, place: usize) {
        let rule = &mut self.rules[place];
        let at = rule.shards.iter().filter_map(Shard::next_attention).min();
        self.affected.wake_at(rule.seat, rule, at);
    }

    /// Begins to work on a rule, so that it can be put back.
    fn begin(&mut self, place: usize, undo: &mut Undo) {
        let rule = &mut self.rules[place];
        if !rule.begun {
            (rule.begun, rule.rows_at_hand) = (true, 0);
            rule.shards.iter_mut().for_each(Shard::begin);
            undo.touched.push(Touched { place, matches: rule.matches, compiled: None });
        }
    }

    pub(super) fn match_released(
        &mut self,
        released: &Released,
        call: &Call<'_>,
        undo: &mut Undo,
        parts: &mut Vec<Part>,
    ) -> Result<(), EngineError> {
        let (rows, columns) = (&released.rows, call.columns);
        let first = self.next;
        self.next += rows.num_rows() as u64;
        let not_compiled = self.compile(call, undo);
        let mut seats = vec![];
        let answers = self.affected.ask(rows, &mut seats)?;
        let mut places = self.places_to_visit(released, seats, undo);
        if let Some((place, _)) = &not_compiled {
            // Those before it come first, with errors of their own perhaps.
            places.retain(|known| known < place);
        }
        let visits = self.visits(places, &answers, rows, columns);
        let mut shared = visits.share(rows, first, &mut self.history, call.options)?;
        let limits = self.limits(rows.num_rows() > 0, call)?;
        let mut found = vec![];
        let mut failed = not_compiled.map(|(_, error)| error);
        let Visits { rules: visits, found: known } = visits;
        for (place, concerned) in visits {
            self.begin(place, undo);
            self.rules_visited += 1;
            self.rules_given_rows += u64::from(matches!(concerned, Concerned::Known(_)));
            let around = Surroundings {
                columns,
                history: &self.history,
                event_time: &call.options.event_time,
                limits,
            };
            let rule = &mut self.rules[place];
            let Some(compiled) = rule.compiled.clone() else { continue };
            let scratch = &mut self.scratch;
            let advance = || {
                let input = match (concerned, &mut shared) {
                    (Concerned::Known(own), _) => {
                        let own = known.of(own, rows, first);
                        return rule.advance_known(&compiled, &own, released.ended, &around, scratch);
                    }
                    (Concerned::All, _) => rule.all_rows(&compiled, rows, first, &around)?,
                    (Concerned::Some(own), Some(shared)) => {
                        Some(shared.input(rule, &compiled, &own, &answers)?)
                    }
                    _ => None,
                };
                rule.advance(&compiled, input, released.watermark, released.ended, &around, scratch)
            };
            match advance() {
                Ok(own) if own.found.is_empty() => {}
                Ok(own) => found.push((place, own)),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        // What rules in front have found may raise an error of its own, which comes first.
        parts.extend(derive(&self.rules, &found, columns, &self.history, &topic_names(columns), self.ids)?);
        if let Some(error) = failed {
            return Err(error);
        }
        let given = self.process(released, call)?;
        self.advance_windows(released, call, parts)?;
        let first = self.rules.len() + self.windows.len() + self.anomalies.len();
        for (place, (processor, given)) in self.processors.iter_mut().zip(given).enumerate() {
            if let Some(given) = given {
                parts.push(processor.part(given, first + place, self.ids)?);
            }
        }
        // Each rule, and each of its shards, has kept to the room there was; together they may have taken more.
        if rows.num_rows() > 0 {
            self.room(call)?;
        }
        Ok(())
    }

    /// What rules are given to do. `answers`: what has been found of the rows.
    fn visits(
        &self,
        places: Vec<usize>,
        answers: &Answers,
        rows: &MergedBatch,
        columns: &MergedSchema,
    ) -> Visits {
        let mut found = RowsFound::default();
        let visit = |place: usize| {
            let rule = &self.rules[place];
            let reads = (rule.topics.is_some() && columns.num_topics() > 1).then(|| {
                let topics = 0..columns.num_topics() as u16;
                topics.map(|topic| rule.reads(columns.topic_name(topic))).collect::<Vec<bool>>()
            });
            let own = answers.rows_of(rule, rows, reads.as_deref(), &mut found);
            (place, concerned(own, rows.num_rows()))
        };
        let rules = places.into_iter().map(visit).collect();
        Visits { rules, found }
    }

    /// Asks processors of released rows: before windows take any, as these cannot be put back at no cost.
    fn process(&mut self, released: &Released, call: &Call<'_>) -> Result<Vec<Option<Given>>, EngineError> {
        let event_time = call.options.event_time.as_str();
        let given = |rule: &mut ProcessorRule| {
            let known = rule.output(event_time).is_some();
            let given = rule.process(&released.rows, call.columns, event_time)?;
            self.learned |= !known && rule.output(event_time).is_some();
            Ok(given)
        };
        self.processors.iter_mut().map(given).collect()
    }

    /// Puts released rows to windows and anomaly rules. Whatever may raise an error is asked of all of them first: only if one still may
    /// afterwards, or the call may be refused for another reason, is what they keep remembered, which costs as much as it is.
    fn advance_windows(
        &mut self,
        released: &Released,
        call: &Call<'_>,
        parts: &mut Vec<Part>,
    ) -> Result<(), EngineError> {
        if self.windows.is_empty() && self.anomalies.is_empty() {
            return Ok(());
        }
        let columns = call.columns;
        let bound = self.bound_columns(columns);
        let event_time = call.options.event_time.as_str();
        let mut prepared = Vec::with_capacity(self.windows.len());
        for window in &mut self.windows {
            let own = window.prepare(released, columns, &bound, event_time);
            prepared.push(own.map_err(|error| error.of_rule(&window.name))?);
        }
        let mut judged = Vec::with_capacity(self.anomalies.len());
        for rule in &mut self.anomalies {
            let own = rule.prepare(released, columns, &bound, event_time);
            judged.push(own.map_err(|error| error.of_rule(&rule.name))?);
        }
        self.learned |=
            self.windows.iter().any(WindowRule::is_new) || self.anomalies.iter().any(AnomalyRule::is_new);
        // Rules that share a topic may turn out not to have the same columns.
        let shares = |topic: &str| call.uses.is_shared(topic);
        if call.options.memory_limit.is_some()
            || call.may_fail_later
            || prepared.iter().flatten().any(|prepared| prepared.may_fail)
            || self.windows.iter().map(WindowRule::emits).any(shares)
            || self.anomalies.iter().map(AnomalyRule::emits).any(shares)
        {
            self.windows.iter_mut().for_each(WindowRule::begin);
            self.anomalies.iter_mut().for_each(AnomalyRule::begin);
        }
        let first = self.rules.len();
        for (place, (window, prepared)) in self.windows.iter_mut().zip(prepared).enumerate() {
            if let Some(prepared) = prepared {
                let told = window.advance(prepared, released, call.options, first + place, parts);
                told.map_err(|error| error.of_rule(&window.name))?;
            }
        }
        let first = first + self.windows.len();
        for (place, (rule, prepared)) in self.anomalies.iter_mut().zip(judged).enumerate() {
            if let Some(prepared) = prepared {
                let told = rule.advance(prepared, call.options, first + place);
                parts.extend(told.map_err(|error| error.of_rule(&rule.name))?);
            }
        }
        Ok(())
    }

    /// Compiles the rules that new topics, or their own being new, ask for. Gives the first that cannot be; those behind
    /// it are left as they are.
    fn compile(&mut self, call: &Call<'_>, undo: &mut Undo) -> Option<(usize, EngineError)> {
        let columns = call.columns;
        let known = Some(columns.order().len());
        if self.compiled_for == known {
            return None;
        }
        let bound = self.bound_columns(columns);
        for place in 0..self.rules.len() {
            if !self.rules[place].is_out_of_date(columns) {
                continue;
            }
            self.begin(place, undo);
            let before = place.checked_sub(1).and_then(|before| self.rules[before].compiled.clone());
            let rule = &mut self.rules[place];
            let touched = undo.touched.iter_mut().rev().find(|touched| touched.place == place);
            let touched = touched.expect("just begun");
            touched.compiled.get_or_insert_with(|| rule.set_aside());
            let around = Surroundings {
                columns,
                history: &self.history,
                event_time: &call.options.event_time,
                limits: SequenceLimits::default(),
            };
            if let Err(error) = rule.compile(&around, &bound, before.as_deref()) {
                return Some((place, error));
            }
            self.affected.hold(rule.seat, rule);
            self.learned = true;
        }
        self.compiled_for = known;
        None
    }

    /// What patterns are bound to.
    pub(super) fn bound_columns(&mut self, columns: &MergedSchema) -> Arc<BoundColumns> {
        let bound = self.bound.take().filter(|bound| bound.are_of(columns));
        let bound = bound.unwrap_or_else(|| Arc::new(BoundColumns::new(columns)));
        self.bound = Some(Arc::clone(&bound));
        bound
    }

    /// Where the rules stand that have something to do, ascending. `seats`: those that rows concern.
    fn places_to_visit(&mut self, released: &Released, seats: Vec<Seat>, undo: &mut Undo) -> Vec<usize> {
        if released.ended {
            return (0..self.rules.len()).collect();
        }
        let mut places: Vec<usize> = seats.iter().filter_map(|seat| self.places.get(seat).copied()).collect();
        if let Some(watermark) = released.watermark {
            for (at, seat) in self.affected.due(watermark) {
                let Some(place) = self.places.get(&seat).copied() else { continue };
                let rule = &mut self.rules[place];
                if rule.queued == Some(at) {
                    rule.queued = None;
                    undo.due.push(place);
                    places.push(place);
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// `grows`: rows are to be matched. The passing of time alone is never refused, as it is what lets state go.
    fn limits(&self, grows: bool, call: &Call<'_>) -> Result<SequenceLimits<'static>, EngineError> {
        let room = if grows { self.room(call)? } else { None };
        Ok(SequenceLimits { room, interrupted: call.options.interrupted.into() })
    }

    /// Bytes by which state may still grow; `None`: there is no limit.
    fn room(&self, call: &Call<'_>) -> Result<Option<usize>, EngineError> {
        let Some(limit) = call.options.memory_limit else { return Ok(None) };
        let (held, rules) = (call.elsewhere + self.history.bytes(), self.rule_bytes());
        match limit.checked_sub(held + rules) {
            Some(room) => Ok(Some(room)),
            None => Err(EngineError::StateLimit {
                rule: if rules > held { self.greediest_rule() } else { "(rows that wait)".into() },
                key: String::new(),
                time_ns: call.watermark,
                bytes: held + rules,
                limit,
            }),
        }
    }

    fn rule_bytes(&self) -> usize {
        let windows: usize = self.windows.iter().map(WindowRule::bytes).sum();
        let anomalies: usize = self.anomalies.iter().map(AnomalyRule::bytes).sum();
        self.rules.iter().map(Rule::bytes).sum::<usize>() + windows + anomalies
    }

    /// Bytes of its rules, and of rows that they need.
    pub(super) fn bytes(&self) -> usize {
        self.history.bytes() + self.rule_bytes()
    }

    fn greediest_rule(&self) -> String {
        let patterns = self.rules.iter().map(|rule| (rule.bytes(), &rule.name));
        let windows = self.windows.iter().map(|rule| (rule.bytes(), &rule.name));
        let anomalies = self.anomalies.iter().map(|rule| (rule.bytes(), &rule.name));
        patterns.chain(windows).chain(anomalies).max().map_or_else(String::new, |(_, name)| name.clone())
    }

    /// Notes what a rule needs and waits for, now that a call is over.
    pub(super) fn tidy(&mut self, place: usize) {
        let rule = &mut self.rules[place];
        let needs_rows = !rule.shards.iter().all(Shard::needs_no_rows);
        self.needing_rows += usize::from(needs_rows);
        self.needing_rows -= usize::from(std::mem::replace(&mut rule.needs_rows, needs_rows));
        self.wait_on(place);
    }

    /// Lets go of rows that no rule needs any more.
    fn tidy_history(&mut self, columns: &MergedSchema, options: &EngineOptions) {
        // What Arrow cannot put together (strings past 2 GiB) stays as it is: the call has succeeded, and this is for room.
        let _ = if self.needing_rows == 0 {
            self.history.clear();
            Ok(())
        } else if self.history.is_full() {
            let workers = options.workers(self.history.num_rows());
            let needed = self.rows_needed(workers);
            self.history.keep(columns, needed, workers)
        } else {
            self.history.join(columns)
        };
    }

    /// Places of the rows that some rule still needs, ascending.
    pub(super) fn rows_needed(&self, workers: Workers<'_>) -> Vec<u64> {
        let shards: Vec<&Shard> = self.rules.iter().flat_map(|rule| &rule.shards).collect();
        let of_shard = |shard: &&Shard, _: Interruption<'_>| {
            let mut needed = vec![];
            shard.rows_needed(&mut |row| needed.push(row));
            needed.sort_unstable();
            needed
        };
        let needed = workers.share(&shards, of_shard, |_| false);
        let mut needed = needed.expect("nobody interrupts it").concat();
        // This sort sees that stretches of it are in order.
        needed.sort();
        needed.dedup();
        needed
    }
}

/// What a rule reports, with ids if that is asked for.
pub(super) fn reported(schema: SchemaRef, rule: AnyRule<'_>, ids: bool) -> SchemaRef {
    if ids { with_ids(&schema, |name| rule.reports(name)) } else { schema }
}

/// How a rule was compiled, and its runs.
type CompiledBefore = (Option<Arc<Compiled>>, Vec<Shard>);

/// How rules were before a call.
pub(super) struct Undo {
    first: u64,
    /// Of rules that were worked on.
    touched: Vec<Touched>,
    /// Rules that are to be visited no more on account of the time that has come, as this call visits them.
    due: Vec<usize>,
}

struct Touched {
    place: usize,
    matches: u64,
    /// If it was compiled anew.
    compiled: Option<CompiledBefore>,
}

impl Undo {
    pub(super) fn new(first: u64) -> Self {
        Self { first, touched: vec![], due: vec![] }
    }
}
