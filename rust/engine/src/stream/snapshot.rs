//! An engine as bytes, and back.
//!
//! A snapshot is a head (eight letters, the version, the length of what follows when unpacked, and its checksum) and a
//! body (postcard, packed with zstd): the settings, the rows that wait, the rows that runs still need, and the runs of
//! each rule, or its step lists, by key; of windows and anomaly rules what they keep, of processors what columns they give. Rows are Arrow IPC. What runs remember of their rows is not in it: it follows from
//! these. Version 1 knew no step lists and no windows, version 2 no ids,
//! version 3 neither the order of topics nor that the clock may be due, version 4 no keys with few rows.

use std::sync::Arc;

use cepheid_anomaly::SavedDetector;
use cepheid_event::{
    EventError, MergedBatch, MergedSchema, ReorderBuffer, ReorderState, SourceClock, TimePolicy, TopicState,
    shard_of,
};
use cepheid_matcher::sequence::{SavedRuns, SequenceLimits, SequenceState};
use cepheid_matcher::step_lists::{SavedFewRows, SavedLists, StepListsState, load as load_lists};
use cepheid_matcher::threads::Workers;
use serde::{Deserialize, Serialize};

use super::anomaly_rule::AnomalyRule;
use super::history::History;
use super::ipc::{from_ipc, schema_of, to_ipc};
use super::level::Level;
use super::level_snapshot::SavedLevel;
use super::packed;
use super::processor_rule::{ProcessorRule, SavedProcessor};
use super::row_rule::SavedRowRule;
use super::rule::{Compiled, Rule, Surroundings};
use super::shard::Shard;
use super::stage::Stage;
use super::window_rule::{SavedKept, WindowRule};
use super::{Engine, EngineOptions, LatePolicy, RuleSpec};
use crate::error::EngineError;

#[derive(Serialize, Deserialize)]
struct Body {
    event_time: String,
    lateness_ns: Option<u64>,
    late: u8,
    idle_ns: Option<u64>,
    future_ns: Option<u64>,
    next: u64,
    dropped: u64,
    named: u64,
    watermark: Option<i64>,
    closed: Option<i64>,
    schema_order: Vec<u16>,
    topics: Vec<SavedTopic>,
    kept: SavedHistory,
}

/// What has come behind since version 2.
#[derive(Default, Serialize, Deserialize)]
struct SavedMore {
    ids: bool,
    /// Windows whose topics have sent nothing, and where the clock stood when they began.
    begun_at: Vec<(String, i64)>,
}

/// What has come behind since version 3.
#[derive(Default, Serialize, Deserialize)]
struct SavedOrder {
    /// Topics in the order in which rows of equal time are ranked, for levels that come later.
    topics: Vec<String>,
    /// Where the next call moves the clock before anything else.
    due: Option<i64>,
}

/// Rows that runs need: their places (as differences), and the rows.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedHistory {
    ordinals: Vec<u64>,
    topic_of: Vec<u16>,
    arrival: Vec<u64>,
    time: Vec<i64>,
    rows: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct SavedTopic {
    name: String,
    active: bool,
    greatest: Option<i64>,
    awaited_since: Option<i64>,
    rows: u64,
    late: u64,
    future: u64,
    /// Arrow IPC without rows.
    schema: Option<Vec<u8>>,
    waiting: Option<Vec<u8>>,
    arrival: Vec<u64>,
}

/// `S`: what is kept of its rows; in version 1 that was runs.
#[derive(Serialize, Deserialize)]
struct SavedRule<S = SavedShards> {
    name: String,
    fingerprint: String,
    matches: u64,
    state: S,
}

/// The rules of one level: patterns, windows, anomaly rules, and processors.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedStage {
    patterns: Vec<SavedRule>,
    windows: Vec<SavedRowRule<SavedKept>>,
    anomalies: Vec<SavedRowRule<SavedDetector>>,
    processors: Vec<SavedProcessor>,
}

/// All rules, level by level, and their names in the order in which they were added.
#[derive(Serialize, Deserialize)]
struct SavedRules {
    sources: SavedStage,
    levels: Vec<SavedLevel>,
    /// Topics that rules derive for others, and how many events of each there have been.
    passed_on: Vec<(String, u64)>,
    order: Vec<String>,
}

#[derive(PartialEq, Serialize, Deserialize)]
enum SavedShards {
    Runs(SavedRuns),
    /// Up to version 4.
    Lists(SavedLists),
    /// Lists, and keys with few rows.
    KeyLists(SavedLists, SavedFewRows),
}

impl SavedShards {
    fn of(shards: &[Shard]) -> Self {
        let (mut runs, mut lists) = (SavedRuns::default(), SavedLists::default());
        let mut few = SavedFewRows::default();
        for shard in shards {
            match shard {
                Shard::Runs(shard) => shard.save(&mut runs),
                Shard::Lists(shard) => shard.save(&mut lists, &mut few),
            }
        }
        if let [Shard::Lists(_), ..] = shards { Self::KeyLists(lists, few) } else { Self::Runs(runs) }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Runs(runs) => *runs == SavedRuns::default(),
            Self::Lists(lists) => lists.is_empty(),
            Self::KeyLists(lists, few) => lists.is_empty() && few.is_empty(),
        }
    }
}

pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T, EngineError> {
    Err(EngineError::InvalidSnapshot { reason: reason.into() })
}

impl Engine {
    /// The engine as bytes: with the same rules, [`restore`](Self::restore) goes on exactly where it stands.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn snapshot(&self) -> Result<Vec<u8>, EngineError> {
        let state = self.buffer.state()?;
        let mut topics = vec![];
        for topic in state.topics {
            topics.push(SavedTopic {
                name: topic.name,
                active: topic.clock.active,
                greatest: topic.clock.greatest,
                awaited_since: topic.clock.awaited_since,
                rows: topic.rows,
                late: topic.late,
                future: topic.future,
                schema: topic.schema.as_ref().map(|schema| to_ipc(schema, None)).transpose()?,
                waiting: topic.waiting.as_ref().map(|rows| to_ipc(&rows.schema(), Some(rows))).transpose()?,
                arrival: differences(&topic.arrival),
            });
        }
        let body = Body {
            event_time: self.options.event_time.clone(),
            lateness_ns: self.options.lateness_ns,
            late: self.options.late as u8,
            idle_ns: self.options.idle_ns,
            future_ns: self.options.future_ns,
            next: self.stage.next,
            dropped: self.dropped,
            named: self.named as u64,
            watermark: state.watermark,
            closed: state.closed,
            schema_order: state.schema_order,
            topics,
            kept: self.stage.save_history(self.buffer.columns())?,
        };
        let mut passed_on: Vec<(String, u64)> =
            self.passed_on.iter().map(|(topic, events)| (topic.clone(), *events)).collect();
        passed_on.sort_unstable();
        let saved = SavedRules {
            sources: self.stage.save()?,
            levels: self.levels.iter().map(Level::save).collect::<Result<_, _>>()?,
            passed_on,
            order: self.order.clone(),
        };
        let windows = self.stages().flat_map(|stage| &stage.windows);
        let begun_at = windows.filter_map(|rule| Some((rule.name.clone(), rule.begun_at()?))).collect();
        let more = SavedMore { ids: self.options.ids, begun_at };
        let order = SavedOrder { topics: self.options.topics.clone(), due: state.due };
        let plain = postcard::to_stdvec(&(body, saved, more, order)).expect("plain data can be written");
        Ok(packed::pack(&plain))
    }

    /// An engine that goes on where a snapshot was taken. The rules must be those that it was taken of; `threads` and
    /// `memory_limit` need not be the same.
    ///
    /// # Errors
    /// [`EngineError::InvalidSnapshot`], [`EngineError::SnapshotVersion`], [`EngineError::SnapshotRules`].
    pub fn restore<R: Into<RuleSpec>>(
        bytes: &[u8],
        rules: Vec<R>,
        threads: Option<usize>,
        memory_limit: Option<usize>,
        interrupted: Option<fn() -> bool>,
    ) -> Result<Self, EngineError> {
        let (body, rules_saved, more, order) = unpacked(bytes)?;
        let late = match body.late {
            0 => LatePolicy::SideOutput,
            1 => LatePolicy::Drop,
            2 => LatePolicy::Error,
            _ => return refuse("its settings are none"),
        };
        let options = EngineOptions {
            event_time: body.event_time.clone(),
            topics: vec![],
            lateness_ns: body.lateness_ns,
            late,
            idle_ns: body.idle_ns,
            future_ns: body.future_ns,
            threads,
            rows_a_thread_min: None,
            memory_limit,
            ids: more.ids,
            interrupted,
        };
        let mut engine = Self::new(rules, options)?;
        // Not before: topics that nobody reads would be those of sources.
        engine.options.topics = order.topics;
        engine.take_buffer(&body, order.due)?;
        engine.dropped = body.dropped;
        engine.named = engine.named.max(body.named as usize);
        for (name, since) in more.begun_at {
            let levels = engine.levels.iter_mut().map(|level| &mut level.stage);
            let mut windows = levels.chain([&mut engine.stage]).flat_map(|stage| &mut stage.windows);
            if let Some(window) = windows.find(|window| window.name == name) {
                window.begin_at(since);
            }
        }
        engine.take_rules(&body, rules_saved)?;
        Ok(engine)
    }

    fn take_buffer(&mut self, body: &Body, due: Option<i64>) -> Result<(), EngineError> {
        let mut topics = vec![];
        for topic in &body.topics {
            let schema = topic.schema.as_deref().map(schema_of).transpose()?;
            let waiting = topic.waiting.as_deref().map(from_ipc).transpose()?;
            topics.push(TopicState {
                name: topic.name.clone(),
                clock: SourceClock {
                    active: topic.active,
                    greatest: topic.greatest,
                    awaited_since: topic.awaited_since,
                },
                rows: topic.rows,
                late: topic.late,
                future: topic.future,
                schema,
                waiting,
                arrival: sums(&topic.arrival)?,
            });
        }
        let (watermark, closed) = (body.watermark, body.closed);
        let state = ReorderState { watermark, closed, due, topics, schema_order: body.schema_order.clone() };
        let policy = TimePolicy { lateness: body.lateness_ns, idle: body.idle_ns, future: body.future_ns };
        self.buffer = match ReorderBuffer::from_state(body.event_time.as_str(), policy, state) {
            Ok(buffer) => buffer,
            Err(EventError::InvalidState { reason }) => return refuse(reason),
            Err(error) => return refuse(error.to_string()),
        };
        Ok(())
    }

    fn take_rules(&mut self, body: &Body, saved: SavedRules) -> Result<(), EngineError> {
        let SavedRules { sources, levels, passed_on, order } = saved;
        if let Some(name) = self.order.iter().find(|name| !order.contains(name)) {
            return differ(format!("the snapshot has no rule `{name}`"));
        }
        if levels.len() != self.levels.len() {
            return differ("the snapshot's rules read each other in other ways".into());
        }
        let columns = Arc::clone(self.buffer.columns());
        self.stage.load_history(&body.kept, body.next, &columns)?;
        let watermark = self.buffer.clock().watermark();
        self.stage.load(sources, &columns, &self.options.event_time, watermark)?;
        for (level, saved) in self.levels.iter_mut().zip(levels) {
            level.load(saved, &self.options.event_time, watermark)?;
        }
        if order.len() != self.all_rules().count() {
            return refuse("its rules are not those that it names");
        }
        self.order = order;
        self.passed_on.extend(passed_on);
        Ok(())
    }
}

pub(super) fn differ<T>(reason: String) -> Result<T, EngineError> {
    Err(EngineError::SnapshotRules { reason })
}

impl Stage {
    pub(super) fn save(&self) -> Result<SavedStage, EngineError> {
        let pattern = |rule: &Rule| SavedRule {
            name: rule.name.clone(),
            fingerprint: rule.fingerprint().to_owned(),
            matches: rule.matches,
            state: SavedShards::of(&rule.shards),
        };
        Ok(SavedStage {
            patterns: self.rules.iter().map(pattern).collect(),
            windows: self.windows.iter().map(WindowRule::save).collect::<Result<_, _>>()?,
            anomalies: self.anomalies.iter().map(AnomalyRule::save).collect::<Result<_, _>>()?,
            processors: self.processors.iter().map(ProcessorRule::save).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn save_history(&self, columns: &MergedSchema) -> Result<SavedHistory, EngineError> {
        let needed = self.rows_needed(Workers::default());
        let rows = self.history.gather(columns, &needed)?;
        let mut time = rows.time.to_vec();
        for place in (1..time.len()).rev() {
            time[place] = time[place].wrapping_sub(time[place - 1]);
        }
        Ok(SavedHistory {
            ordinals: differences(&needed),
            topic_of: rows.topic.to_vec(),
            arrival: rows.arrival.to_vec(),
            time,
            rows: (!needed.is_empty())
                .then(|| to_ipc(&rows.batch.schema(), Some(&rows.batch)))
                .transpose()?,
        })
    }

    pub(super) fn load_history(
        &mut self,
        saved: &SavedHistory,
        next: u64,
        columns: &MergedSchema,
    ) -> Result<(), EngineError> {
        self.next = next;
        let ordinals = sums(&saved.ordinals)?;
        let count = ordinals.len();
        let topics = columns.num_topics();
        let fits = saved.topic_of.len() == count
            && saved.arrival.len() == count
            && saved.time.len() == count
            && ordinals.windows(2).all(|pair| pair[0] < pair[1])
            && ordinals.last().is_none_or(|last| *last < next)
            && saved.topic_of.iter().all(|topic| (*topic as usize) < topics)
            && saved.rows.is_some() == (count > 0);
        if !fits {
            return refuse("its rows do not go together");
        }
        let Some(rows) = &saved.rows else { return Ok(()) };
        let batch = from_ipc(rows)?;
        let same = batch.num_rows() == count
            && batch.num_columns() <= columns.schema().fields().len()
            && batch
                .schema()
                .fields()
                .iter()
                .zip(columns.schema().fields())
                .all(|(l, r)| l.data_type() == r.data_type() && l.name() == r.name());
        if !same {
            return refuse("its rows are of other columns than its topics");
        }
        let mut time = saved.time.clone();
        for place in 1..time.len() {
            time[place] = time[place].wrapping_add(time[place - 1]);
        }
        let rows = MergedBatch {
            batch,
            time: time.into(),
            topic: saved.topic_of.clone().into(),
            arrival: saved.arrival.clone().into(),
        };
        self.history = History::restored(ordinals, rows);
        Ok(())
    }

    pub(super) fn load(
        &mut self,
        saved: SavedStage,
        columns: &MergedSchema,
        event_time: &str,
        watermark: Option<i64>,
    ) -> Result<(), EngineError> {
        let bound = self.bound_columns(columns);
        let (windows, anomalies) = (std::mem::take(&mut self.windows), std::mem::take(&mut self.anomalies));
        let clock = (event_time, watermark);
        self.windows = WindowRule::load_all(windows, saved.windows, columns, &bound, clock)?;
        self.anomalies = AnomalyRule::load_all(anomalies, saved.anomalies, columns, &bound, clock)?;
        self.load_processors(saved.processors, event_time)?;
        let mut given = std::mem::take(&mut self.rules);
        for saved in saved.patterns {
            let Some(place) = given.iter().position(|rule| rule.name == saved.name) else {
                return differ(format!("the snapshot's rule `{}` is not among those given", saved.name));
            };
            let mut rule = given.swap_remove(place);
            if rule.fingerprint() != saved.fingerprint {
                return differ(format!("rule `{}` is another version of itself", saved.name));
            }
            rule.matches = saved.matches;
            let around = Surroundings {
                columns,
                history: &self.history,
                event_time,
                limits: SequenceLimits::default(),
            };
            let before = self.rules.last().and_then(|before| before.compiled.as_deref());
            rule.compile(&around, &bound, before)?;
            match rule.compiled.clone() {
                // Nothing that was kept says nothing of how it was.
                _ if saved.state.is_empty() => {}
                None => return refuse("it has runs of a rule whose topics have sent nothing"),
                Some(compiled) => {
                    if let Err(reason) = rule.load(&compiled, saved.state) {
                        return refuse(reason);
                    }
                    let mut needed = vec![];
                    rule.rows_needed(&mut needed);
                    if !needed.iter().all(|row| self.history.contains(*row)) {
                        return refuse("it has runs without their rows");
                    }
                    rule.rebuild(&compiled, &around)?;
                }
            }
            self.rules.push(rule);
        }
        if !given.is_empty() {
            return refuse("its rules are not those that it names");
        }
        self.find_places();
        for place in 0..self.rules.len() {
            let rule = &mut self.rules[place];
            self.affected.hold(rule.seat, rule);
            self.tidy(place);
        }
        Ok(())
    }
}

/// Rules with what was saved of each, in the order of that, by name.
///
/// # Errors
/// [`EngineError::SnapshotRules`]: some is without the other.
pub(super) fn paired<R, S>(
    mut rules: Vec<R>,
    saved: Vec<S>,
    name: fn(&R) -> &str,
    saved_name: fn(&S) -> &str,
) -> Result<Vec<(R, S)>, EngineError> {
    let mut pairs = Vec::with_capacity(saved.len());
    for saved in saved {
        let Some(place) = rules.iter().position(|rule| name(rule) == saved_name(&saved)) else {
            return differ(format!("the snapshot's rule `{}` is not among those given", saved_name(&saved)));
        };
        pairs.push((rules.swap_remove(place), saved));
    }
    match rules.first() {
        None => Ok(pairs),
        Some(rule) => differ(format!("the snapshot has no rule `{}`", name(rule))),
    }
}

impl Rule {
    /// Goes on with what a snapshot says, in the manner that the snapshot says.
    fn load(&mut self, compiled: &Compiled, saved: SavedShards) -> Result<(), String> {
        let count = self.shards.len();
        let shard_of = |key: &[u8]| shard_of(key, count);
        match saved {
            SavedShards::Runs(runs) => {
                let mut states = vec![SequenceState::default(); count];
                compiled.matcher().load(runs, &mut states, shard_of)?;
                self.shards = states.into_iter().map(|state| Shard::Runs(Box::new(state))).collect();
            }
            SavedShards::Lists(lists) => {
                return self.load(compiled, SavedShards::KeyLists(lists, SavedFewRows::default()));
            }
            SavedShards::KeyLists(lists, few) => {
                let steps = compiled.steps.as_ref().map_err(|reason| (*reason).to_owned())?;
                let mut states = vec![StepListsState::new(Arc::clone(steps)); count];
                load_lists(lists, few, &mut states, shard_of)?;
                self.shards = states.into_iter().map(|state| Shard::Lists(Box::new(state))).collect();
            }
        }
        Ok(())
    }
}

fn unpacked(bytes: &[u8]) -> Result<(Body, SavedRules, SavedMore, SavedOrder), EngineError> {
    let (version, plain) = packed::unpack(bytes)?;
    let read = if version == 1 {
        postcard::take_from_bytes::<(Body, Vec<SavedRule<SavedRuns>>)>(&plain).map(|((body, rules), rest)| {
            let of_runs = |rule: SavedRule<SavedRuns>| SavedRule {
                name: rule.name,
                fingerprint: rule.fingerprint,
                matches: rule.matches,
                state: SavedShards::Runs(rule.state),
            };
            let patterns: Vec<SavedRule> = rules.into_iter().map(of_runs).collect();
            let order = patterns.iter().map(|rule| rule.name.clone()).collect();
            let sources = SavedStage { patterns, windows: vec![], anomalies: vec![], processors: vec![] };
            let rules = SavedRules { sources, levels: vec![], passed_on: vec![], order };
            ((body, rules, SavedMore::default(), SavedOrder::default()), rest)
        })
    } else if version == 2 {
        let read = postcard::take_from_bytes(&plain);
        read.map(|((body, rules), rest)| ((body, rules, SavedMore::default(), SavedOrder::default()), rest))
    } else if version == 3 {
        let read = postcard::take_from_bytes(&plain);
        read.map(|((body, rules, more), rest)| ((body, rules, more, SavedOrder::default()), rest))
    } else {
        postcard::take_from_bytes(&plain)
    };
    match read {
        Ok((saved, [])) => Ok(saved),
        _ => refuse("its body cannot be read"),
    }
}

fn differences(ascending: &[u64]) -> Vec<u64> {
    let mut last = 0;
    ascending
        .iter()
        .map(|value| {
            let difference = value - last;
            last = *value;
            difference
        })
        .collect()
}

fn sums(differences: &[u64]) -> Result<Vec<u64>, EngineError> {
    let mut last = 0_u64;
    differences
        .iter()
        .map(|difference| {
            last = last
                .checked_add(*difference)
                .ok_or_else(|| EngineError::InvalidSnapshot { reason: "its rows have no order".into() })?;
            Ok(last)
        })
        .collect()
}
