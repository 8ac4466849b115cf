//! An engine: rules over streams of events, fed batch by batch.
//!
//! A call has three parts, and the first two change nothing that cannot be put back: the reorder buffer says which rows
//! are released ([`cepheid_event::ReorderBuffer`]), every rule that they concern matches them ([`stage`], [`rule`]) and what it finds is made into
//! tables ([`derived`]), which are rows for the rules of the next [`level`]; only then is all of it made to stand ([`call`]).
//! After an error the engine is as it was before the call.

mod affected;
mod anomaly_rule;
mod binding;
mod call;
mod columns_needed;
pub(crate) mod derived;
mod deriving;
mod event_ids;
mod fitting;
mod graph;
mod history;
mod ipc;
mod kept_places;
mod keys;
mod known_rows;
mod late_windows;
mod level;
mod level_snapshot;
mod packed;
mod picked;
mod prepared;
mod processor_rule;
mod relevant;
mod row_rule;
mod rule;
mod rule_rows;
mod rules;
mod shard;
mod snapshot;
mod stage;
mod tables;
mod visits;
mod window_rule;

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use cepheid_event::{MergedSchema, ReorderBuffer, SourceStats, TimePolicy};
use cepheid_matcher::Strategy;
use cepheid_matcher::threads::THREADS_MAX;

pub use self::derived::DerivedTable;
use self::graph::TopicUses;
use self::level::{Level, PassedOn};
pub use self::prepared::PreparedPattern;
pub use self::processor_rule::{Process, Processor};
use self::rules::AnyRule;
pub use self::rules::{AskedWindow, RuleSpec};
use self::shard::Shard;
use self::stage::Stage;
pub use self::tables::{TopicOutputs, match_topics};
use crate::error::EngineError;
use crate::plan::threads_worth;

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
    /// Threads that rules with keys are matched on, up to [`cepheid_matcher::threads::THREADS_MAX`]; `None`: one.
    pub threads: Option<usize>,
    /// Fewest rows of a call that are worth a thread of windows and anomaly rules, and of what is done by columns;
    /// [`ROWS_A_THREAD_MIN`] by default.
    pub rows_a_thread_min: Option<NonZeroUsize>,
    /// Most bytes of state.
    pub memory_limit: Option<usize>,
    /// Whether derived events have columns that say which they are and what they come of.
    pub ids: bool,
    /// Asked now and then; `true` ends a call.
    pub interrupted: Option<fn() -> bool>,
}

impl EngineOptions {
    /// How many threads may share so many rows.
    fn threads_for(&self, rows: usize) -> usize {
        let most = self.threads.unwrap_or(1).min(THREADS_MAX);
        threads_worth(rows, most, self.rows_a_thread_min)
    }
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
    /// Rows that wait for the clock, derived ones that others are to read among them.
    pub waiting: usize,
    /// Runs alive, of all rules.
    pub live_runs: usize,
    /// Bytes of state: rows that wait, rows that runs need, and runs.
    pub bytes: usize,
    /// Rows up to this time have been matched.
    pub watermark_ns: Option<i64>,
    /// How often a rule was visited by a call: counts of work, for tests and statistics.
    pub rules_visited: u64,
    /// How often one of them was given rows as the index of predicates has them, and no table.
    pub rules_given_rows: u64,
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
    /// How it is run, settled by the first rows.
    pub strategy: Strategy,
    /// Runs alive, or rows that wait in step lists, once for each place that they have reached.
    pub live_runs: usize,
    /// Keys that something is kept of.
    pub keys: usize,
    /// Matches so far.
    pub matches: u64,
    /// Rows that were looked at.
    pub rows_visited: u64,
    /// Runs that a row or a deadline was put to, or entries made in step lists.
    pub runs_visited: u64,
    /// Bytes of its runs or lists.
    pub bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    buffer: ReorderBuffer,
    /// Rules that read source topics alone.
    stage: Stage,
    /// Those that read what others derive, each level what those before it do.
    levels: Vec<Level>,
    /// What rules do with topics.
    uses: TopicUses,
    /// Events so far of topics that rules derive for others.
    passed_on: PassedOn,
    /// Names of all rules, in the order in which they were added.
    order: Vec<String>,
    dropped: u64,
    /// Rules so far, for the names of those without one.
    named: usize,
}

impl Engine {
    /// An engine without rows.
    ///
    /// # Errors
    /// [`EngineError::Pattern`] for a rule that is impossible or that a stream cannot answer,
    /// [`EngineError::DuplicateRule`], [`EngineError::LateTopicConflict`]; [`EngineError::RuleCycle`] if rules read each
    /// other in a circle, [`EngineError::TopicLevels`].
    pub fn new<R: Into<RuleSpec>>(rules: Vec<R>, options: EngineOptions) -> Result<Self, EngineError> {
        let policy =
            TimePolicy { lateness: options.lateness_ns, idle: options.idle_ns, future: options.future_ns };
        let mut engine = Self {
            buffer: ReorderBuffer::new(options.event_time.as_str(), policy),
            options,
            stage: Stage::default(),
            levels: vec![],
            uses: TopicUses::default(),
            passed_on: PassedOn::default(),
            order: vec![],
            dropped: 0,
            named: 0,
        };
        engine.stage.ids = engine.options.ids;
        // Known beforehand for their order only: a topic that no rule reads is not waited for.
        for topic in engine.options.topics.clone() {
            engine.buffer.add_source(&topic)?;
        }
        let made = rules.into_iter().enumerate().map(|(place, rule)| engine.made(rule.into(), place + 1));
        let made = made.collect::<Result<Vec<_>, _>>()?;
        engine.add_all(made)?;
        engine.unlisten()?;
        Ok(engine)
    }

    /// Has windows and anomaly rules use a thread for so many rows of a call, see [`EngineOptions::rows_a_thread_min`]: for an
    /// engine that was restored.
    pub fn share_from(&mut self, rows_a_thread_min: NonZeroUsize) {
        self.options.rows_a_thread_min = Some(rows_a_thread_min);
    }

    /// The column of event time, in every topic.
    pub fn event_time(&self) -> &str {
        &self.options.event_time
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
        if self.uses.is_passed_on(&topic) {
            let rule = self.all_rules().find(|rule| rule.derives(&topic));
            let rule = rule.map_or_else(String::new, |rule| rule.name().to_owned());
            return Err(EngineError::DerivedTopic { topic, rule });
        }
        let any = self.order.is_empty() || self.all_rules().any(|rule| rule.topics().is_none());
        let new = any && !self.buffer.listens(&topic);
        if !new {
            return self.push_to(&topic, batches, now_ns);
        }
        self.check_late_topic(&topic, self.all_rules())?;
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
        // What a topic that is gone held back is matched by a call that can give back what it derives.
        let due = self.buffer.take_due();
        let pushed = self.push(topic, &[RecordBatch::new_empty(Arc::clone(schema))], None);
        self.buffer.put_due(due);
        let derived = pushed?;
        debug_assert!(derived.is_empty(), "without rows the clock stands still");
        Ok(())
    }

    /// Passes over rows of a topic, as a replay does that knows of them that they concern no rule: those after them are
    /// numbered as if they had been pushed.
    ///
    /// # Errors
    /// [`EngineError::Event`] of a topic that no rule reads.
    pub fn skip(&mut self, topic: &str, rows: u64) -> Result<(), EngineError> {
        let any = self.all_rules().any(|rule| rule.topics().is_none());
        if any && !self.buffer.listens(topic) {
            self.buffer.add_source(topic)?;
        }
        Ok(self.buffer.skip(topic, rows)?)
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

    /// Topics that rules read and none derives, in the order in which rules name them; `None` is for any topic.
    pub fn reads(&self) -> Vec<Option<String>> {
        let mut reads: Vec<Option<String>> = vec![];
        let mut add = |topic: Option<&String>| {
            if !reads.contains(&topic.cloned()) {
                reads.push(topic.cloned());
            }
        };
        for rule in self.all_rules() {
            match rule.topics() {
                None => add(None),
                Some(topics) => topics
                    .iter()
                    .filter(|topic| !self.uses.is_derived(topic))
                    .for_each(|topic| add(Some(topic))),
            }
        }
        reads
    }

    fn topic_of_push(&self, topic: Option<&str>) -> Result<String, EngineError> {
        if let Some(topic) = topic {
            return Ok(topic.to_owned());
        }
        let mut known: Vec<String> = vec![];
        for topic in self.all_rules().filter_map(|rule| rule.topics()).flatten() {
            if !known.contains(topic) && !self.uses.is_derived(topic) {
                known.push(topic.clone());
            }
        }
        let any = self.all_rules().any(|rule| rule.topics().is_none());
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

    /// What is known of it.
    pub fn stats(&self) -> EngineStats {
        let sources = self.buffer.stats();
        let mut rules: Vec<RuleStats> = self.all_rules().map(RuleStats::of).collect();
        rules.sort_by_key(|rule| self.order.iter().position(|name| *name == rule.name));
        EngineStats {
            rows: sources.iter().map(|source| source.rows).sum(),
            late: sources.iter().map(|source| source.late).sum(),
            dropped: self.dropped,
            future: sources.iter().map(|source| source.future).sum(),
            waiting: self.buffer.waiting()
                + self.levels.iter().map(|level| level.front.waiting()).sum::<usize>(),
            live_runs: rules.iter().map(|rule| rule.live_runs).sum(),
            bytes: self.bytes(),
            watermark_ns: self.buffer.clock().watermark(),
            rules_visited: self.stages().map(|stage| stage.rules_visited).sum(),
            rules_given_rows: self.stages().map(|stage| stage.rules_given_rows).sum(),
            passes: self.stages().map(|stage| stage.affected.passes).sum(),
            sources,
            rules,
        }
    }
}

impl RuleStats {
    fn of(rule: AnyRule<'_>) -> Self {
        match rule {
            AnyRule::Pattern(rule) => {
                let sum = |count: fn(&Shard) -> usize| rule.shards.iter().map(count).sum::<usize>();
                Self {
                    name: rule.name.clone(),
                    fingerprint: rule.fingerprint().to_owned(),
                    strategy: rule.strategy(),
                    live_runs: sum(Shard::live_runs),
                    keys: sum(Shard::partitions),
                    matches: rule.matches,
                    rows_visited: rule.shards.iter().map(Shard::rows_visited).sum(),
                    runs_visited: rule.shards.iter().map(Shard::runs_visited).sum(),
                    bytes: rule.bytes(),
                }
            }
            AnyRule::Anomaly(rule) => Self {
                name: rule.name.clone(),
                fingerprint: rule.fingerprint.clone(),
                strategy: Strategy::Anomalies,
                live_runs: 0,
                keys: rule.keys(),
                matches: rule.kept.reported,
                rows_visited: rule.kept.visited,
                runs_visited: 0,
                bytes: rule.bytes(),
            },
            AnyRule::Processor(rule) => Self {
                name: rule.name.clone(),
                fingerprint: rule.fingerprint(),
                strategy: Strategy::Processor,
                live_runs: 0,
                keys: 0,
                matches: rule.given(),
                rows_visited: rule.visited(),
                runs_visited: 0,
                bytes: 0,
            },
            AnyRule::Window(rule) => Self {
                name: rule.name.clone(),
                fingerprint: rule.fingerprint.clone(),
                strategy: Strategy::Windows,
                live_runs: 0,
                keys: rule.keys(),
                matches: rule.kept.reported,
                rows_visited: rule.kept.visited,
                runs_visited: 0,
                bytes: rule.bytes(),
            },
        }
    }
}

/// Names of the topics, by number; none if there is only the one without a name.
fn topic_names(columns: &MergedSchema) -> Vec<String> {
    let topics = (0..columns.num_topics() as u16).map(|topic| columns.topic_name(topic));
    if topics.clone().all(str::is_empty) { vec![] } else { topics.map(str::to_owned).collect() }
}
