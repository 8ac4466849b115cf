//! An engine: rules over streams of events, fed batch by batch.
//!
//! A call has three parts, and the first two change nothing that cannot be put back: the reorder buffer says which rows
//! are released ([`cepheid_event::ReorderBuffer`]), every rule matches them ([`rule`]) and what it finds is made into
//! tables ([`derived`]); only then is all of it made to stand. After an error the engine is as it was before the call.

mod affected;
mod binding;
pub(crate) mod derived;
mod history;
mod rule;
mod rule_rows;
mod snapshot;
mod tables;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use cepheid_event::{MergedSchema, Prepared, Released, ReorderBuffer, SourceStats, TimePolicy};
use cepheid_ir::Pattern;
use cepheid_matcher::bits::Bits;
use cepheid_matcher::sequence::{SequenceLimits, SequenceState};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use self::affected::{Affected, Concerned, Seat};
pub use self::derived::DerivedTable;
use self::derived::{by_topic, late_tables, late_topic};
use self::history::History;
use self::rule::{Compiled, Rule, Surroundings};
use self::rule_rows::SharedRows;
pub use self::tables::{TopicOutputs, match_topics};
use crate::error::EngineError;

/// What becomes of late rows. They are counted in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatePolicy {
    /// They come out beside the derived events, as topic `late`, or `<topic>.late`.
    #[default]
    SideOutput,
    /// Nothing.
    Drop,
    /// A call that brings one fails, and changes nothing.
    Error,
}

/// How an engine is to run.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// The column of event time, in every topic.
    pub event_time: String,
    /// Topics in the order in which rows of equal time are ranked; those that rules name beside them come behind.
    pub topics: Vec<String>,
    /// How far behind the greatest time seen of its source a row may come; `None`: only `advance_to` moves the clock.
    pub lateness_ns: Option<u64>,
    /// What becomes of rows that come later.
    pub late: LatePolicy,
    /// A source further behind than this does not hold the clock back.
    pub idle_ns: Option<u64>,
    /// A row further ahead of now than this moves no clock.
    pub future_ns: Option<u64>,
    /// Threads that rules with keys are matched on; `None`: one.
    pub threads: Option<usize>,
    /// Most bytes of state.
    pub memory_limit: Option<usize>,
    /// Asked now and then; `true` ends a call.
    pub interrupted: Option<fn() -> bool>,
}

/// What is known of an engine.
#[derive(Clone, Debug)]
pub struct EngineStats {
    /// Rows that came.
    pub rows: u64,
    /// Late ones among them.
    pub late: u64,
    /// Late ones that came out nowhere.
    pub dropped: u64,
    /// Rows ahead of the guard.
    pub future: u64,
    /// Rows that wait for the clock.
    pub waiting: usize,
    /// Runs alive, of all rules.
    pub live_runs: usize,
    /// Bytes of state: rows that wait, rows that runs need, and runs.
    pub bytes: usize,
    /// Rows up to this time have been matched.
    pub watermark_ns: Option<i64>,
    /// How often a rule was visited by a call: counts of work, for tests and statistics.
    pub rules_visited: u64,
    /// Passes over columns that were made to ask predicates, those of all rules together.
    pub passes: u64,
    /// Source by source.
    pub sources: Vec<SourceStats>,
    /// Rule by rule.
    pub rules: Vec<RuleStats>,
}

/// What is known of a rule.
#[derive(Clone, Debug)]
pub struct RuleStats {
    /// Its name.
    pub name: String,
    /// Its version.
    pub fingerprint: String,
    /// Runs alive.
    pub live_runs: usize,
    /// Keys that something is kept of.
    pub keys: usize,
    /// Matches so far.
    pub matches: u64,
    /// Rows that were looked at.
    pub rows_visited: u64,
    /// Runs that a row or a deadline was put to.
    pub runs_visited: u64,
    /// Bytes of its runs.
    pub bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    buffer: ReorderBuffer,
    rules: Vec<Rule>,
    history: History,
    /// Place of the next row in the order of all rows.
    next: u64,
    /// Released when a source was removed, and not yet matched.
    backlog: Vec<Released>,
    dropped: u64,
    /// Rules so far, for the names of those without one.
    named: usize,
    /// Which rules rows concern.
    affected: Affected,
    /// Where a rule stands in `rules`.
    places: HashMap<Seat, usize, FixedState>,
    next_seat: Seat,
    /// How many topics had sent something when rules were last compiled; `None`: some rule has to be.
    compiled_for: Option<usize>,
    /// Rules that need rows that have been matched.
    needing_rows: usize,
    rules_visited: u64,
}

impl Engine {
    /// An engine without rows.
    ///
    /// # Errors
    /// [`EngineError::Pattern`] for a rule that is impossible or that a stream cannot answer,
    /// [`EngineError::DuplicateRule`].
    pub fn new(rules: Vec<Pattern>, options: EngineOptions) -> Result<Self, EngineError> {
        let policy =
            TimePolicy { lateness: options.lateness_ns, idle: options.idle_ns, future: options.future_ns };
        let mut engine = Self {
            buffer: ReorderBuffer::new(options.event_time.as_str(), policy),
            options,
            rules: vec![],
            history: History::default(),
            next: 0,
            backlog: vec![],
            dropped: 0,
            named: 0,
            affected: Affected::default(),
            places: HashMap::with_hasher(FixedState::with_seed(0)),
            next_seat: 0,
            compiled_for: None,
            needing_rows: 0,
            rules_visited: 0,
        };
        // Known beforehand for their order only: a topic that no rule reads is not waited for.
        for topic in engine.options.topics.clone() {
            engine.buffer.add_source(&topic)?;
        }
        for rule in rules {
            engine.add(rule)?;
        }
        engine.unlisten()?;
        engine.backlog.clear();
        Ok(engine)
    }

    /// Names of the rules, in the order in which they were added.
    pub fn rules(&self) -> Vec<String> {
        self.rules.iter().map(|rule| rule.name.clone()).collect()
    }

    /// The column of event time, in every topic.
    pub fn event_time(&self) -> &str {
        &self.options.event_time
    }

    /// Adds a rule: it sees the rows released from now on.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn add(&mut self, rule: Pattern) -> Result<(), EngineError> {
        let shards = self.options.threads.unwrap_or(1);
        let mut rule = Rule::new(rule, self.named + 1, &self.options.event_time, shards)?;
        if self.rules.iter().any(|known| known.name == rule.name) {
            return Err(EngineError::DuplicateRule { name: rule.name });
        }
        self.listen(&rule, None)?;
        self.named += 1;
        self.seat(&mut rule, self.rules.len());
        self.rules.push(rule);
        Ok(())
    }

    /// Puts a rule in the place of another, whose runs are forgotten; it keeps the name.
    ///
    /// # Errors
    /// [`EngineError::UnknownRule`], and those of [`new`](Self::new).
    pub fn replace(&mut self, name: &str, rule: Pattern) -> Result<(), EngineError> {
        let place = self.place_of(name)?;
        let shards = self.options.threads.unwrap_or(1);
        let mut rule = Rule::new(rule, self.named + 1, &self.options.event_time, shards)?;
        name.clone_into(&mut rule.name);
        self.listen(&rule, Some(place))?;
        self.seat(&mut rule, place);
        let old = std::mem::replace(&mut self.rules[place], rule);
        self.unseat(old);
        self.unlisten()
    }

    /// Removes a rule and its runs.
    ///
    /// # Errors
    /// [`EngineError::UnknownRule`].
    pub fn remove(&mut self, name: &str) -> Result<(), EngineError> {
        let place = self.place_of(name)?;
        let old = self.rules.remove(place);
        self.unseat(old);
        self.find_places();
        self.unlisten()
    }

    /// Makes room for a rule that is to stand at `place`; it is compiled by the next call.
    fn seat(&mut self, rule: &mut Rule, place: usize) {
        rule.seat = self.next_seat;
        self.next_seat += 1;
        self.places.insert(rule.seat, place);
        self.compiled_for = None;
    }

    fn unseat(&mut self, mut rule: Rule) {
        self.places.remove(&rule.seat);
        self.affected.let_go(rule.seat, &mut rule);
        self.needing_rows -= usize::from(rule.needs_rows);
    }

    fn find_places(&mut self) {
        self.places = self.rules.iter().enumerate().map(|(place, rule)| (rule.seat, place)).collect();
    }

    fn place_of(&self, name: &str) -> Result<usize, EngineError> {
        let place = self.rules.iter().position(|rule| rule.name == name);
        place.ok_or_else(|| EngineError::UnknownRule { name: name.to_owned(), known: self.rules() })
    }

    /// Waits for the topics that a rule reads. `replaces`: place of the rule that it is to stand in for.
    fn listen(&mut self, rule: &Rule, replaces: Option<usize>) -> Result<(), EngineError> {
        let read = rule.topics.iter().flatten();
        let new: Vec<&String> = read.filter(|topic| !self.buffer.listens(topic)).collect();
        let sources = self.buffer.stats();
        let heard = sources.iter().filter(|source| source.active).map(|source| &source.topic);
        for topic in heard.chain(new.iter().copied()) {
            self.check_late_topic(topic, [rule])?;
        }
        let others = self.rules.iter().enumerate().filter(|(place, _)| Some(*place) != replaces);
        for topic in &new {
            self.check_late_topic(topic, others.clone().map(|(_, rule)| rule))?;
        }
        for topic in new {
            self.buffer.add_source(topic)?;
        }
        Ok(())
    }

    /// Checks that late rows of a topic come out as one that none of the rules derives: the one would hide the other.
    fn check_late_topic<'a>(
        &self,
        topic: &str,
        rules: impl IntoIterator<Item = &'a Rule>,
    ) -> Result<(), EngineError> {
        if self.options.late != LatePolicy::SideOutput {
            return Ok(());
        }
        let late = late_topic(topic);
        match rules.into_iter().find(|rule| rule.derives(&late)) {
            Some(rule) => Err(EngineError::LateTopicConflict { topic: late, rule: rule.name.clone() }),
            None => Ok(()),
        }
    }

    /// Stops waiting for topics that no rule reads any more.
    fn unlisten(&mut self) -> Result<(), EngineError> {
        let sources = self.buffer.stats();
        for source in sources.iter().filter(|source| source.active) {
            if !self.rules.is_empty() && !self.rules.iter().any(|rule| rule.reads(&source.topic)) {
                let released = self.buffer.remove_source(&source.topic)?;
                self.backlog.push(released);
            }
        }
        Ok(())
    }

    /// Feeds rows of a topic, which may be left out where the rules read one topic or name none. `now_ns`: the time of
    /// the clock on the wall, for the guard against rows ahead of it.
    ///
    /// # Errors
    /// [`EngineError`]; the engine is then as it was.
    pub fn push(
        &mut self,
        topic: Option<&str>,
        batches: &[RecordBatch],
        now_ns: Option<i64>,
    ) -> Result<Vec<(String, DerivedTable)>, EngineError> {
        let topic = self.topic_of_push(topic)?;
        let any = self.rules.is_empty() || self.rules.iter().any(|rule| rule.topics.is_none());
        let new = any && !self.buffer.listens(&topic);
        if !new {
            return self.push_to(&topic, batches, now_ns);
        }
        self.check_late_topic(&topic, &self.rules)?;
        let before = self.buffer.clone();
        self.buffer.add_source(&topic)?;
        let pushed = self.push_to(&topic, batches, now_ns);
        if pushed.is_err() {
            // Nothing has come of the topic, so nothing is known of it either.
            self.buffer = before;
        }
        pushed
    }

    /// Says what columns a topic has, which may be left out as for [`push`](Self::push).
    ///
    /// # Errors
    /// [`EngineError`], also where the rules do not fit the columns; the engine is then as it was.
    pub fn declare(&mut self, topic: Option<&str>, schema: &SchemaRef) -> Result<(), EngineError> {
        // What a topic that is gone has left behind is matched by a call that can give back what it derives.
        let backlog = std::mem::take(&mut self.backlog);
        let pushed = self.push(topic, &[RecordBatch::new_empty(Arc::clone(schema))], None);
        self.backlog = backlog;
        let derived = pushed?;
        debug_assert!(derived.is_empty(), "without rows the clock stands still");
        Ok(())
    }

    fn push_to(
        &mut self,
        topic: &str,
        batches: &[RecordBatch],
        now_ns: Option<i64>,
    ) -> Result<Vec<(String, DerivedTable)>, EngineError> {
        let prepared = self.buffer.prepare(topic, batches, now_ns)?;
        if self.options.late == LatePolicy::Error {
            prepared.refuse_late()?;
        }
        self.run(prepared)
    }

    fn topic_of_push(&self, topic: Option<&str>) -> Result<String, EngineError> {
        if let Some(topic) = topic {
            return Ok(topic.to_owned());
        }
        let mut known: Vec<String> = vec![];
        for topic in self.rules.iter().flat_map(|rule| rule.topics.iter().flatten()) {
            if !known.contains(topic) {
                known.push(topic.clone());
            }
        }
        let any = self.rules.iter().any(|rule| rule.topics.is_none());
        match known.as_slice() {
            [] => Ok(String::new()),
            [only] if !any => Ok(only.clone()),
            _ => Err(EngineError::TopicNeeded { known }),
        }
    }

    /// The columns of a topic, which may be left out as for [`push`](Self::push); `None` before its first batch.
    pub fn topic_schema(&self, topic: Option<&str>) -> Option<&SchemaRef> {
        let columns = self.buffer.columns();
        columns.topic_schema(columns.topic(&self.topic_of_push(topic).ok()?)?)
    }

    /// Moves the clock: rows and deadlines up to and including `time_ns` are dealt with; rows at or before it are late
    /// from then on. Going backwards does nothing.
    ///
    /// # Errors
    /// [`EngineError`]; the engine is then as it was.
    pub fn advance_to(&mut self, time_ns: i64) -> Result<Vec<(String, DerivedTable)>, EngineError> {
        let prepared = self.buffer.prepare_advance(time_ns)?;
        self.run(prepared)
    }

    /// Ends the input: every row is matched, every deadline reached, and nothing waits any longer.
    ///
    /// # Errors
    /// [`EngineError`]; the engine is then as it was.
    pub fn flush(&mut self) -> Result<Vec<(String, DerivedTable)>, EngineError> {
        let prepared = self.buffer.prepare_flush()?;
        self.run(prepared)
    }

    /// Matches what a change of the buffer releases, and makes the change if all went well.
    fn run(&mut self, prepared: Prepared) -> Result<Vec<(String, DerivedTable)>, EngineError> {
        let mut undo = Undo::new(self.next);
        match self.derive(&prepared, &mut undo) {
            Ok(derived) => {
                let released = self.buffer.commit(prepared);
                self.backlog.clear();
                if self.options.late == LatePolicy::Drop {
                    self.dropped +=
                        released.late.iter().map(|late| late.batch.num_rows() as u64).sum::<u64>();
                }
                for touched in &undo.touched {
                    let rule = &mut self.rules[touched.place];
                    rule.begun = false;
                    rule.shards.iter_mut().for_each(SequenceState::commit);
                    self.tidy(touched.place, released.watermark);
                }
                self.tidy_history();
                Ok(derived)
            }
            Err(error) => {
                self.roll_back(undo);
                Err(error)
            }
        }
    }

    fn roll_back(&mut self, undo: Undo) {
        self.next = undo.first;
        self.history.pop(undo.first);
        for touched in undo.touched {
            let rule = &mut self.rules[touched.place];
            let recompiled = touched.compiled.is_some();
            if let Some((compiled, shards)) = touched.compiled {
                (rule.compiled, rule.shards) = (compiled, shards);
            }
            rule.begun = false;
            rule.shards.iter_mut().for_each(SequenceState::roll_back);
            rule.matches = touched.matches;
            if recompiled {
                self.affected.hold(rule.seat, rule);
            }
            self.wait_on(touched.place);
        }
        self.compiled_for = None;
        // Their time has come, and nobody may have looked at them.
        undo.due.into_iter().for_each(|place| self.wait_on(place));
    }

    /// Has a rule visited when its time comes.
    fn wait_on(&mut self, place: usize) {
        let rule = &mut self.rules[place];
        let at = rule.shards.iter().filter_map(SequenceState::next_attention).min();
        self.affected.wake_at(rule.seat, rule, at);
    }

    /// Begins to work on a rule, so that it can be put back.
    fn begin(&mut self, place: usize, undo: &mut Undo) {
        let rule = &mut self.rules[place];
        if !rule.begun {
            rule.begun = true;
            rule.shards.iter_mut().for_each(SequenceState::begin);
            undo.touched.push(Touched { place, matches: rule.matches, compiled: None });
        }
    }

    fn derive(
        &mut self,
        prepared: &Prepared,
        undo: &mut Undo,
    ) -> Result<Vec<(String, DerivedTable)>, EngineError> {
        let columns = Arc::clone(prepared.columns().unwrap_or_else(|| self.buffer.columns()));
        let shown = topic_names(&columns);
        let backlog = std::mem::take(&mut self.backlog);
        let mut parts = vec![];
        let mut outcome = Ok(());
        for released in backlog.iter().chain([prepared.released()]) {
            outcome = self.match_released(released, &columns, &shown, undo, &mut parts);
            if outcome.is_err() {
                break;
            }
        }
        self.backlog = backlog;
        outcome?;
        let rules = self.rules();
        let mut derived = by_topic(parts, &rules)?;
        if self.options.late == LatePolicy::SideOutput {
            derived.extend(late_tables(&prepared.released().late, &columns)?);
        }
        Ok(derived)
    }

    fn match_released(
        &mut self,
        released: &Released,
        columns: &MergedSchema,
        topic_names: &[String],
        undo: &mut Undo,
        parts: &mut Vec<derived::Part>,
    ) -> Result<(), EngineError> {
        let rows = &released.rows;
        let first = self.next;
        self.next += rows.num_rows() as u64;
        let not_compiled = self.compile(columns, topic_names, undo);
        let mut seats = vec![];
        let answers = self.affected.ask(rows, &mut seats)?;
        let mut places = self.places_to_visit(released, seats, undo);
        if let Some((place, _)) = &not_compiled {
            // Those before it come first, with errors of their own perhaps.
            places.retain(|known| known < place);
        }
        let visits: Vec<(usize, Concerned)> = places
            .into_iter()
            .map(|place| {
                let rule = &self.rules[place];
                let reads = (rule.topics.is_some() && columns.num_topics() > 1).then(|| {
                    let topics = 0..columns.num_topics() as u16;
                    topics.map(|topic| rule.reads(columns.topic_name(topic))).collect::<Vec<bool>>()
                });
                (place, concerned(answers.rows_of(rule, rows, reads.as_deref()), rows.num_rows()))
            })
            .collect();
        let mut shared = None;
        if visits.iter().any(|(_, concerned)| !matches!(concerned, Concerned::None)) {
            let rows = shared.insert(SharedRows::new(rows, kept(&visits, rows.num_rows()), first)?);
            let (kept, ordinals) = rows.rows();
            self.history.push(ordinals, kept.clone());
        }
        let limits = self.limits(rows.num_rows() > 0)?;
        for (place, concerned) in visits {
            self.begin(place, undo);
            self.rules_visited += 1;
            let around = Surroundings {
                columns,
                history: &self.history,
                event_time: &self.options.event_time,
                limits,
                topic_names,
            };
            let rule = &mut self.rules[place];
            let Some(compiled) = rule.compiled.clone() else { continue };
            let input = match (concerned, &mut shared) {
                (Concerned::All, _) => rule.all_rows(&compiled, rows, first, &around)?,
                (Concerned::Some(own), Some(shared)) => Some(shared.input(rule, &compiled, &own, &answers)?),
                _ => None,
            };
            let found = rule.advance(&compiled, input, released.watermark, released.ended, &around)?;
            parts.extend(rule.derive(&found, place, &around)?);
        }
        if let Some((_, error)) = not_compiled {
            return Err(error);
        }
        // Each rule, and each of its shards, has kept to the room there was; together they may have taken more.
        if rows.num_rows() > 0 {
            self.room()?;
        }
        Ok(())
    }

    /// Compiles the rules that new topics, or their own being new, ask for. Gives the first that cannot be; those behind
    /// it are left as they are.
    fn compile(
        &mut self,
        columns: &MergedSchema,
        topic_names: &[String],
        undo: &mut Undo,
    ) -> Option<(usize, EngineError)> {
        let known = Some(columns.order().len());
        if self.compiled_for == known {
            return None;
        }
        for place in 0..self.rules.len() {
            if !self.rules[place].is_out_of_date(columns) {
                continue;
            }
            self.begin(place, undo);
            let rule = &mut self.rules[place];
            let touched = undo.touched.iter_mut().find(|touched| touched.place == place);
            let touched = touched.expect("just begun");
            touched.compiled.get_or_insert_with(|| (rule.compiled.clone(), rule.shards.clone()));
            let around = Surroundings {
                columns,
                history: &self.history,
                event_time: &self.options.event_time,
                limits: SequenceLimits::default(),
                topic_names,
            };
            if let Err(error) = rule.compile(&around) {
                return Some((place, error));
            }
            self.affected.hold(rule.seat, rule);
        }
        self.compiled_for = known;
        None
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
    fn limits(&self, grows: bool) -> Result<SequenceLimits, EngineError> {
        let room = if grows { self.room()? } else { None };
        Ok(SequenceLimits { room, interrupted: self.options.interrupted })
    }

    /// Bytes by which state may still grow; `None`: there is no limit.
    fn room(&self) -> Result<Option<usize>, EngineError> {
        let Some(limit) = self.options.memory_limit else { return Ok(None) };
        let held = self.buffer.bytes() + self.history.bytes();
        let rules: usize = self.rules.iter().map(Rule::bytes).sum();
        match limit.checked_sub(held + rules) {
            Some(room) => Ok(Some(room)),
            None => Err(EngineError::StateLimit {
                rule: if rules > held { self.greediest_rule() } else { "(rows that wait)".into() },
                key: String::new(),
                time_ns: self.buffer.clock().watermark(),
                bytes: held + rules,
                limit,
            }),
        }
    }

    fn greediest_rule(&self) -> String {
        let greediest = self.rules.iter().max_by_key(|rule| rule.bytes());
        greediest.map_or_else(String::new, |rule| rule.name.clone())
    }

    /// Lets go of what a rule does not need any more.
    fn tidy(&mut self, place: usize, watermark: Option<i64>) {
        let rule = &mut self.rules[place];
        if let Some(compiled) = rule.compiled.clone()
            && let Some(watermark) = watermark
        {
            rule.shards.iter_mut().for_each(|shard| compiled.matcher().clear_expired(shard, watermark));
        }
        let needs_rows = !rule.shards.iter().all(SequenceState::needs_no_rows);
        self.needing_rows += usize::from(needs_rows);
        self.needing_rows -= usize::from(std::mem::replace(&mut rule.needs_rows, needs_rows));
        self.wait_on(place);
    }

    /// Lets go of rows that no rule needs any more.
    fn tidy_history(&mut self) {
        let columns = Arc::clone(self.buffer.columns());
        // What Arrow cannot put together (strings past 2 GiB) stays as it is: the call has succeeded, and this is for room.
        let _ = if self.needing_rows == 0 {
            self.history.clear();
            Ok(())
        } else if self.history.is_full() {
            let needed = self.rows_needed();
            self.history.keep(&columns, needed)
        } else {
            self.history.join(&columns)
        };
    }

    /// Places of the rows that some rule still needs, ascending.
    fn rows_needed(&self) -> Vec<u64> {
        let mut needed = vec![];
        for rule in &self.rules {
            rule.rows_needed(&mut needed);
        }
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// What is known of it.
    pub fn stats(&self) -> EngineStats {
        let sources = self.buffer.stats();
        let rules: Vec<RuleStats> = self
            .rules
            .iter()
            .map(|rule| {
                let sum = |count: fn(&SequenceState) -> usize| rule.shards.iter().map(count).sum::<usize>();
                RuleStats {
                    name: rule.name.clone(),
                    fingerprint: rule.fingerprint.clone(),
                    live_runs: sum(SequenceState::live_runs),
                    keys: sum(SequenceState::partitions),
                    matches: rule.matches,
                    rows_visited: rule.shards.iter().map(SequenceState::rows_visited).sum(),
                    runs_visited: rule.shards.iter().map(SequenceState::runs_visited).sum(),
                    bytes: rule.bytes(),
                }
            })
            .collect();
        EngineStats {
            rows: sources.iter().map(|source| source.rows).sum(),
            late: sources.iter().map(|source| source.late).sum(),
            dropped: self.dropped,
            future: sources.iter().map(|source| source.future).sum(),
            waiting: self.buffer.waiting(),
            live_runs: rules.iter().map(|rule| rule.live_runs).sum(),
            bytes: self.buffer.bytes()
                + self.history.bytes()
                + rules.iter().map(|rule| rule.bytes).sum::<usize>(),
            watermark_ns: self.buffer.clock().watermark(),
            rules_visited: self.rules_visited,
            passes: self.affected.passes,
            sources,
            rules,
        }
    }
}

/// How a rule was compiled, and its runs.
type CompiledBefore = (Option<Arc<Compiled>>, Vec<SequenceState>);

/// How rules were before a call.
struct Undo {
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
    fn new(first: u64) -> Self {
        Self { first, touched: vec![], due: vec![] }
    }
}

/// Of fewer rows than this those that concern a rule are always picked out: what is known of them need not be asked again.
const ROWS_PICKED_MIN: usize = 64;

/// Where most rows concern a rule, it is given all of them: picking them out would cost more.
fn concerned(found: Concerned, rows: usize) -> Concerned {
    match found {
        Concerned::Some(own) if own.len() > rows / 2 && rows >= ROWS_PICKED_MIN => Concerned::All,
        found => found,
    }
}

/// The rows that some rule is given; `None`: all of them, or most.
fn kept(visits: &[(usize, Concerned)], rows: usize) -> Option<Vec<u32>> {
    let mut lists = vec![];
    for (_, concerned) in visits {
        match concerned {
            Concerned::None => {}
            Concerned::All => return None,
            Concerned::Some(own) => lists.push(own),
        }
    }
    let kept = match lists.as_slice() {
        [] => vec![],
        [only] => (*only).clone(),
        several => Bits::of_rows(rows, several.iter().flat_map(|list| list.iter().copied())).set_rows(),
    };
    (kept.len() <= rows / 2).then_some(kept)
}

/// Names of the topics, by number; none if there is only the one without a name.
fn topic_names(columns: &MergedSchema) -> Vec<String> {
    let topics = (0..columns.num_topics() as u16).map(|topic| columns.topic_name(topic));
    if topics.clone().all(str::is_empty) { vec![] } else { topics.map(str::to_owned).collect() }
}
