//! One rule of an engine: its pattern compiled for the topics there are, and its state, in shards by key.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use cepheid_eval::Constrained;
use cepheid_event::threads::on_each;
use cepheid_event::{EventError, MergedSchema, Table};
use cepheid_ir::{Expr, Pattern, PatternError, RowsPerMatch, SortKey, Within};
use cepheid_matcher::sequence::{Fault, FoundKind, FoundSequences, SequenceLimits, SequenceMatcher};
use cepheid_matcher::step_lists::Scratch;
use cepheid_matcher::{Automaton, MatchError, StepLists, Strategy};

use super::affected::{Interest, Seat};
use super::binding::{Binding, BoundColumns};
use super::history::History;
use super::prepared::{Checked, PreparedPattern};
use super::rule_rows::Input;
use super::shard::Shard;
use super::tables::no_matches;
use crate::error::EngineError;
use crate::plan::{MatchOptions, Matching, Plan, ROWS_A_THREAD_MIN};

/// See the module.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) pattern: Arc<Pattern>,
    /// The same, with how it was compiled before.
    prepared: PreparedPattern,
    checked: Arc<Checked>,
    /// Topics it reads; `None`: all.
    pub(crate) topics: Option<Vec<String>>,
    /// As many as `num_shards`, but while it is compiled for the first time.
    pub(crate) shards: Vec<Shard>,
    num_shards: usize,
    pub(crate) matches: u64,
    pub(crate) compiled: Option<Arc<Compiled>>,
    /// What it is called by those who find the rules that rows concern.
    pub(crate) seat: Seat,
    /// Its predicates, as they are asked with those of all rules; `None`: every row concerns it.
    pub(crate) interest: Option<Interest>,
    /// When it is to be visited without a row of its own.
    pub(crate) queued: Option<i64>,
    /// Whether it is being worked on, and may have to be put back.
    pub(crate) begun: bool,
    /// Rows that it has been given since.
    pub(crate) rows_at_hand: usize,
    /// Whether it needed rows after the last call that it was visited in.
    pub(crate) needs_rows: bool,
}

/// A pattern compiled for the columns that were known.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) binding: Binding,
    pub(crate) plan: Plan,
    /// Step lists, or why the pattern needs runs of their own.
    pub(crate) steps: Result<Arc<StepLists>, &'static str>,
    /// Whether lists answer streams too, once all topics are known.
    lists_fit: bool,
    /// The predicates of which a row must satisfy one to matter, with what they are constrained to; `None`: others can matter
    /// all the same.
    pub(super) needed: Option<Vec<(usize, Option<Constrained>)>>,
    /// How many of the topics read had sent something.
    known: usize,
    /// A topic named that had sent nothing: what is reported of its columns is NULL, and has no type yet.
    pub(crate) silent: Option<String>,
}

/// What the topic of a rule's timeouts is called behind that of its matches.
const TIMEOUTS: &str = ".timeout";

/// Whether a column of a name is a pattern's own in what it reports, and not one of rows that it passes on.
fn reports(pattern: &Pattern, name: &str) -> bool {
    let keys = pattern.partition_by.iter().map(|column| &column.name);
    let measures = pattern.measures.iter().chain(pattern.emit_at.iter().flat_map(|entry| &entry.measures));
    pattern.rows_per_match == RowsPerMatch::One
        || keys.chain(measures.map(|measure| &measure.name)).any(|own| own.eq_ignore_ascii_case(name))
}

impl Compiled {
    /// What it reports, as those see it who read it.
    pub(super) fn shown(&self, batch: RecordBatch) -> Result<RecordBatch, EngineError> {
        self.binding.without_added(batch, |name| reports(self.plan.pattern(), name))
    }

    pub(crate) fn matcher(&self) -> &SequenceMatcher {
        match &self.plan.matching {
            Matching::Sequences { matcher, .. } => matcher,
            Matching::Search(_) | Matching::Trend(_) => unreachable!("compiled for runs that wait"),
        }
    }
}

/// What rules share while a call is worked on.
pub(crate) struct Surroundings<'a> {
    pub(crate) columns: &'a MergedSchema,
    pub(crate) history: &'a History,
    pub(crate) event_time: &'a str,
    pub(crate) limits: SequenceLimits<'a>,
}

impl Rule {
    /// Checks a pattern. `number`: which rule it is, for one without a name.
    pub(crate) fn new(
        prepared: PreparedPattern,
        number: usize,
        event_time: &str,
        shards: usize,
    ) -> Result<Self, EngineError> {
        let checked = prepared.checked(event_time)?;
        let pattern = Arc::clone(&checked.pattern);
        let name = pattern.name.clone().unwrap_or_else(|| format!("rule-{number}"));
        // Without keys there is one partition, and nothing to share out.
        let shards = if pattern.partition_by.is_empty() { 1 } else { shards.max(1) };
        Ok(Self {
            name,
            topics: checked.topics.clone(),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            num_shards: shards,
            matches: 0,
            compiled: None,
            seat: 0,
            interest: None,
            queued: None,
            begun: false,
            rows_at_hand: 0,
            needs_rows: false,
            pattern,
            prepared,
            checked,
        })
    }

    pub(super) fn automaton(&self) -> &Automaton {
        &self.checked.automaton
    }

    /// The version of its pattern.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.checked.fingerprint
    }

    /// How it is matched, settled by the first rows.
    pub(crate) fn strategy(&self) -> Strategy {
        self.shards[0].strategy()
    }

    /// Topic of its matches.
    pub(crate) fn emits(&self) -> &str {
        self.pattern.emit.as_deref().unwrap_or(&self.name)
    }

    /// Topic of its timeouts.
    pub(crate) fn emits_timeouts(&self) -> String {
        format!("{}{TIMEOUTS}", self.emits())
    }

    /// Topics of what it derives.
    pub(crate) fn derived_topics(&self) -> Vec<String> {
        let timeouts = self.pattern.timeouts.then(|| self.emits_timeouts());
        let emitted = self.pattern.emit_at.iter().map(|entry| entry.topic.clone());
        let mut topics: Vec<String> =
            [self.emits().to_owned()].into_iter().chain(timeouts).chain(emitted).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Whether something that it derives is of a topic.
    pub(crate) fn derives(&self, topic: &str) -> bool {
        topic == self.emits()
            || topic.strip_suffix(TIMEOUTS).is_some_and(|topic| topic == self.emits())
            || self.pattern.emit_at.iter().any(|entry| entry.topic == topic)
    }

    /// Whether it reports a column of a name of its own, not as one of rows that it passes on.
    pub(super) fn reports(&self, name: &str) -> bool {
        reports(&self.pattern, name)
    }

    /// Whether rows of a topic concern it.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.iter().any(|known| known == topic))
    }

    /// The columns of a topic that it derives, and the event time that its rows have; `None` while that is not known.
    pub(crate) fn schema_of(&self, topic: &str) -> Result<Option<(SchemaRef, DataType)>, EngineError> {
        let Some(compiled) = &self.compiled else { return Ok(None) };
        let outputs = &compiled.plan.outputs;
        let emitted = self.pattern.emit_at.iter().position(|entry| entry.topic == topic);
        let own = topic == self.emits() || self.pattern.timeouts && topic == self.emits_timeouts();
        let measures = match emitted {
            _ if own => &outputs.measures,
            Some(place) => &outputs.emitted[place],
            None => return Ok(None),
        };
        let time = compiled.binding.schema.field_with_name(&compiled.binding.event_time);
        let time = time.map_err(EventError::from)?.data_type().clone();
        let schema = no_matches(compiled, measures)?.batch.schema();
        // Those who read it are compiled for the types that it has at first, which are then those that it keeps.
        let untyped = || schema.fields().iter().any(|field| field.data_type().is_null());
        Ok((compiled.silent.is_none() || !untyped()).then_some((schema, time)))
    }

    /// How many of the topics that it reads have sent something.
    fn topics_known(&self, columns: &MergedSchema) -> usize {
        columns.order().iter().filter(|topic| self.reads(columns.topic_name(**topic))).count()
    }

    /// What it keeps, and how it was compiled, to be put back should the call fail. A rule that nothing is kept of yet is
    /// left without: compiling it makes that anew.
    pub(super) fn set_aside(&mut self) -> (Option<Arc<Compiled>>, Vec<Shard>) {
        let is_new = self.compiled.is_none() && self.shards.iter().all(Shard::is_pristine);
        let shards = if is_new { std::mem::take(&mut self.shards) } else { self.shards.clone() };
        (self.compiled.clone(), shards)
    }

    /// Whether topics that it reads have become known since it was compiled.
    pub(crate) fn is_out_of_date(&self, columns: &MergedSchema) -> bool {
        let known = self.topics_known(columns);
        known > 0 && self.compiled.as_ref().is_none_or(|compiled| compiled.known != known)
    }

    /// Compiles it, unless it is compiled for the topics there are. `bound`: the columns of these; `before`: the rule in front
    /// of it, which it may be like.
    pub(crate) fn compile(
        &mut self,
        around: &Surroundings<'_>,
        bound: &Arc<BoundColumns>,
        before: Option<&Compiled>,
    ) -> Result<(), EngineError> {
        if !self.is_out_of_date(around.columns) {
            return Ok(());
        }
        let compiled = match self.prepared.compiled(bound, around.event_time) {
            Some(compiled) => compiled,
            None => {
                let compiled = Arc::new(self.compiled_anew(around, bound, before)?);
                self.prepared.keep(&compiled, bound, around.event_time);
                compiled
            }
        };
        if self.shards.iter().all(Shard::is_pristine) {
            self.choose(&compiled);
        } else {
            self.rebuild(&compiled, around)?;
        }
        self.compiled = Some(compiled);
        Ok(())
    }

    fn compiled_anew(
        &self,
        around: &Surroundings<'_>,
        bound: &BoundColumns,
        before: Option<&Compiled>,
    ) -> Result<Compiled, EngineError> {
        let columns = around.columns;
        let known = self.topics_known(columns);
        let topics = self.topics.as_deref();
        let (binding, pattern) = Binding::new(&self.pattern, topics, columns, bound, around.event_time)?;
        // Binding renames the columns of conditions; of these the automaton holds those alone that end loops.
        let automaton = match self.checked.automaton.untils.as_slice() {
            [] => Arc::clone(&self.checked.automaton),
            _ => Arc::new(Automaton::compile(&pattern)?),
        };
        let like = before.filter(|before| Arc::ptr_eq(&before.binding.schema, &binding.schema));
        let options = MatchOptions {
            event_time: Some(binding.event_time.clone()),
            strategy: Some(Strategy::Sequences),
            ..MatchOptions::default()
        };
        let like = like.map(|before| &before.plan);
        let mut plan = Plan::of_stream(pattern, automaton, like, &binding.schema, &options)?;
        let (steps, needed) = match &mut plan.matching {
            Matching::Sequences { matcher, .. } => {
                // What is bound says nothing of conditions on a topic that has sent nothing yet; once it has, they read rows
                // of others that have been matched by then.
                matcher.keep_rows_before(self.checked.rows_before);
                let needed = matcher.needed_predicates().map(|needed| {
                    let constrained = |number| (number, Constrained::of(&matcher.predicates()[number]));
                    needed.into_iter().map(constrained).collect()
                });
                (StepLists::new(matcher).map(Arc::new), needed)
            }
            Matching::Search(_) | Matching::Trend(_) => unreachable!("compiled for runs that wait"),
        };
        let is_silent =
            |topic: &String| columns.topic(topic).is_none_or(|topic| columns.topic_schema(topic).is_none());
        let silent = self.checked.topics_named.iter().find(|topic| is_silent(topic)).cloned();
        let mut compiled = Compiled { binding, plan, steps, lists_fit: false, needed, known, silent };
        let fits = |steps: &Arc<StepLists>| steps.check_for_streams(compiled.matcher()).is_ok();
        compiled.lists_fit = compiled.steps.as_ref().is_ok_and(fits);
        Ok(compiled)
    }

    /// Chooses between runs that wait and step lists, while there is nothing to be kept of either: lists, if conditions can
    /// raise no error, whatever other topics send. The columns of a variable's own topic are known once it has sent something; what
    /// variables of any topic read is known from the first on.
    fn choose(&mut self, compiled: &Compiled) {
        let all_known = self.topics.as_ref().is_none_or(|topics| topics.len() == compiled.known);
        let shard = match &compiled.steps {
            Ok(steps) if all_known && compiled.lists_fit => Shard::of_lists(steps),
            _ => Shard::default(),
        };
        self.shards = vec![shard; self.num_shards];
        if self.begun {
            self.shards.iter_mut().for_each(Shard::begin);
        }
    }

    /// Makes what runs remember fit another compilation.
    pub(crate) fn rebuild(
        &mut self,
        compiled: &Compiled,
        around: &Surroundings<'_>,
    ) -> Result<(), EngineError> {
        if let [Shard::Lists(_), ..] = self.shards.as_slice() {
            return self.rebind_lists(compiled);
        }
        let mut needed = vec![];
        self.rows_needed(&mut needed);
        needed.sort_unstable();
        needed.dedup();
        let rows = around.history.gather(around.columns, &needed)?;
        let batch = compiled.binding.table_batch(&rows.batch, &rows.topic, &rows.time)?;
        let table = Table::new(Arc::clone(&compiled.binding.schema), vec![batch])?;
        for shard in &mut self.shards {
            if let Shard::Runs(runs) = shard {
                compiled.matcher().rebuild(runs, &table, &needed);
            }
        }
        Ok(())
    }

    /// Has lists go on with another compilation: what they hold is rows and places, which are what they were.
    fn rebind_lists(&mut self, compiled: &Compiled) -> Result<(), EngineError> {
        let steps = compiled.steps.as_ref().map_err(|reason| {
            EngineError::Pattern(PatternError::Unsupported {
                construct: format!("rule `{}`, now that further topics send rows ({reason}),", self.name),
                hint: "declare the topics before their first rows".into(),
            })
        })?;
        for shard in &mut self.shards {
            if let Shard::Lists(lists) = shard {
                lists.rebind(Arc::clone(steps));
            }
        }
        Ok(())
    }

    pub(crate) fn rows_needed(&self, needed: &mut Vec<u64>) {
        for shard in &self.shards {
            shard.rows_needed(&mut |row| needed.push(row));
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(Shard::bytes).sum()
    }

    /// Matches rows, then moves the clock to the watermark, or to the end. `scratch`: room to work in, which rules share.
    pub(crate) fn advance(
        &mut self,
        compiled: &Compiled,
        mut input: Option<Input>,
        watermark: Option<i64>,
        ended: bool,
        around: &Surroundings<'_>,
        scratch: &mut Scratch,
    ) -> Result<FoundSequences, EngineError> {
        let matcher = compiled.matcher();
        let count = self.shards.len();
        self.rows_at_hand += input.as_ref().map_or(0, Input::num_rows);
        let clock = |state: &mut Shard, found: &mut FoundSequences| {
            if let Some(watermark) = watermark {
                state.advance(matcher, watermark, around.limits, found)?;
            }
            if ended { state.finish(matcher, around.limits, found) } else { Ok(()) }
        };
        let outcome = match &mut input {
            None => self.each_shard(true, scratch, |_, state, _, found| clock(state, found)),
            Some(input) => {
                let known = std::mem::take(&mut input.known);
                let asked = matcher.ask_the_rest(input.chunk(), known)?;
                let few = input.num_rows() < ROWS_A_THREAD_MIN.get();
                let (asked, keys) = (&asked, &*input.keys);
                self.each_shard(few, scratch, |shard, state, scratch, found| {
                    state.push(matcher, asked, keys, (shard, count), around.limits, scratch, found)?;
                    clock(state, found)
                })
            }
        };
        let mut found = match outcome {
            Ok(found) => found,
            Err(error) => return Err(self.told(error, compiled, input.as_ref(), around)),
        };
        found.sort(matcher.variable_of());
        self.matches += found.found.iter().filter(|entry| entry.kind == FoundKind::Match).count() as u64;
        Ok(found)
    }

    /// Lets what has been done stand, and clears away what was over at the watermark, or all if the input has ended.
    pub(crate) fn commit(&mut self, watermark: Option<i64>, ended: bool, scratch: &mut Scratch) {
        self.begun = false;
        let little = std::mem::take(&mut self.rows_at_hand) < ROWS_A_THREAD_MIN.get();
        let compiled = self.compiled.clone();
        on_shards(&mut self.shards, little, scratch, |_, shard, scratch| {
            shard.commit();
            let Some(compiled) = &compiled else { return };
            if ended {
                shard.clear_ended(compiled.matcher());
            }
            if let Some(watermark) = watermark {
                shard.clear_expired(compiled.matcher(), watermark, scratch);
            }
        });
    }

    /// An error with what the matcher does not know: the rule and the key.
    pub(super) fn told(
        &self,
        error: MatchError,
        compiled: &Compiled,
        input: Option<&Input>,
        around: &Surroundings<'_>,
    ) -> EngineError {
        match (error, input) {
            (MatchError::StateLimit { row, bytes, limit }, Some(input)) => EngineError::StateLimit {
                rule: self.name.clone(),
                key: input.key_text(&compiled.plan.outputs.partition_by, row),
                time_ns: input.time_of(row),
                bytes,
                limit,
            },
            (error, _) => error
                .with_rows(|ordinal| {
                    // Rows of runs are kept.
                    let rows = around.history.gather(around.columns, &[ordinal]);
                    rows.map_or(ordinal, |rows| rows.arrival[0])
                })
                .into(),
        }
    }

    /// Runs something on every shard, at once unless there is little to do, and puts together what is found.
    fn each_shard(
        &mut self,
        few: bool,
        scratch: &mut Scratch,
        work: impl Fn(usize, &mut Shard, &mut Scratch, &mut FoundSequences) -> Result<(), Fault> + Sync,
    ) -> Result<FoundSequences, MatchError> {
        let outcomes = on_shards(&mut self.shards, few, scratch, |shard, state, scratch| {
            let mut found = FoundSequences::default();
            work(shard, state, scratch, &mut found).map(|()| found)
        });
        let (mut all, mut faults) = (FoundSequences::default(), vec![]);
        for outcome in outcomes {
            match outcome {
                Ok(found) => all.append(found),
                Err(fault) => faults.push(fault),
            }
        }
        match Fault::first(faults) {
            Some(fault) => Err(fault.error),
            None => Ok(all),
        }
    }
}

/// Does the same to each shard: on threads, each with room of its own, unless that is little work.
fn on_shards<T: Send>(
    shards: &mut [Shard],
    little: bool,
    scratch: &mut Scratch,
    work: impl Fn(usize, &mut Shard, &mut Scratch) -> T + Sync,
) -> Vec<T> {
    if little || shards.len() == 1 {
        return shards.iter_mut().enumerate().map(|(shard, state)| work(shard, state, scratch)).collect();
    }
    on_each(shards, |shard, state| work(shard, state, &mut Scratch::default()))
}

pub(super) fn check_order(key: &SortKey, event_time: &str) -> Result<(), EngineError> {
    let same = if key.column.quoted {
        key.column.name == event_time
    } else {
        key.column.name.eq_ignore_ascii_case(event_time)
    };
    if same && !key.descending {
        return Ok(());
    }
    Err(EngineError::Pattern(PatternError::Unsupported {
        construct: format!(
            "rows of a stream in another order than that of their event time (`{}`)",
            key.column.name
        ),
        hint: format!("order by `{event_time}` alone, ascending, or leave the order out"),
    }))
}

/// A stream keeps no rows but those of runs, and does not know those to come.
pub(super) fn refuse_what_looks_around(pattern: &Pattern) -> Result<(), EngineError> {
    let refuse = |construct: &str, hint: &str| {
        Err(EngineError::Pattern(PatternError::Unsupported {
            construct: construct.into(),
            hint: hint.into(),
        }))
    };
    let conditions = pattern.define.iter().map(|definition| &definition.condition);
    let (mut ahead, mut beside) = (false, false);
    for condition in conditions.chain(pattern.root.untils()) {
        condition.walk(&mut |expr| {
            if let Expr::Column { at, .. } | Expr::Classifier { at } = expr {
                ahead |= at.physical_offset > 0;
                beside |= at.physical_offset != 0 && !at.is_physical();
            }
        });
    }
    let emitted = pattern.emit_at.iter().flat_map(|entry| &entry.measures);
    for measure in emitted.chain(&pattern.measures).map(|measure| &measure.value).chain(&pattern.having) {
        measure.walk(&mut |expr| {
            if let Expr::Column { at, .. } | Expr::Classifier { at } = expr {
                beside |= at.physical_offset != 0;
            }
        });
    }
    if ahead {
        return refuse("next_() (NEXT) in a stream", "make the next row an event of the pattern");
    }
    if beside {
        return refuse(
            "prev() or next_() of a row that was taken before, in a stream,",
            "make that row an event of the pattern",
        );
    }
    Ok(())
}

/// Whether a run may wait without end for a row that never comes.
pub(super) fn may_wait_for_ever(automaton: &Automaton) -> bool {
    let waits = |target: &cepheid_matcher::automaton::Target| {
        let way = &automaton.ways[target.way as usize];
        let bounded = way.continues.iter().chain(&way.opens).any(|bound| {
            let bound = &automaton.bounds[*bound as usize];
            !matches!(bound.within, Within::Unbounded)
                && (way.continues.iter().any(|b| automaton.bounds[*b as usize].between == bound.between)
                    || bound.single)
        });
        target.step != cepheid_matcher::automaton::Next::Accept
            && way.relation != cepheid_ir::Contiguity::Strict
            && !bounded
    };
    automaton.positions.iter().any(|position| position.follow.iter().any(waits))
}
