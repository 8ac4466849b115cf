//! The rules of an engine, patterns, windows, anomaly rules and processors: how they are named, added, replaced and removed.

use arrow_schema::{DataType, SchemaRef};
use cepheid_ir::{Anomaly, Pattern, PatternError, Window};
use cepheid_matcher::Strategy;
use cepheid_matcher::threads::THREADS_MAX;
use cepheid_window::UserAggregates;
use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::anomaly_rule::AnomalyRule;
use super::binding::topics_named;
use super::derived::{RuleLabel, late_topic};
use super::graph::{self, Node};
use super::level::Level;
use super::prepared::PreparedPattern;
use super::processor_rule::{Processor, ProcessorRule};
use super::rule::Rule;
use super::stage::Stage;
use super::window_rule::WindowRule;
use super::{Engine, LatePolicy};
use crate::error::EngineError;

/// What a rule is made of.
#[derive(Clone, Debug)]
pub enum RuleSpec {
    /// Events that follow each other.
    Pattern(PreparedPattern),
    /// Values of the rows of windows.
    Window(Box<AskedWindow>),
    /// Values that stand out.
    Anomaly(Box<Anomaly>),
    /// A function of batches.
    Processor(Processor),
}

impl From<Anomaly> for RuleSpec {
    fn from(rule: Anomaly) -> Self {
        Self::Anomaly(Box::new(rule))
    }
}

impl From<Processor> for RuleSpec {
    fn from(processor: Processor) -> Self {
        Self::Processor(processor)
    }
}

impl From<Pattern> for RuleSpec {
    fn from(pattern: Pattern) -> Self {
        PreparedPattern::from(pattern).into()
    }
}

impl From<PreparedPattern> for RuleSpec {
    fn from(pattern: PreparedPattern) -> Self {
        Self::Pattern(pattern)
    }
}

impl From<Window> for RuleSpec {
    fn from(window: Window) -> Self {
        AskedWindow { window, aggregates: UserAggregates::default() }.into()
    }
}

/// A window, and the aggregates of the user's that it names.
#[derive(Clone, Debug)]
pub struct AskedWindow {
    /// The window.
    pub window: Window,
    /// Those that it names, others perhaps.
    pub aggregates: UserAggregates,
}

impl From<AskedWindow> for RuleSpec {
    fn from(window: AskedWindow) -> Self {
        Self::Window(Box::new(window))
    }
}

/// A rule that has been checked.
pub(super) enum MadeRule {
    Pattern(Box<Rule>),
    Window(Box<WindowRule>),
    Anomaly(Box<AnomalyRule>),
    Processor(Box<ProcessorRule>),
}

impl MadeRule {
    pub(super) fn as_any(&self) -> AnyRule<'_> {
        match self {
            Self::Pattern(rule) => AnyRule::Pattern(rule),
            Self::Window(rule) => AnyRule::Window(rule),
            Self::Anomaly(rule) => AnyRule::Anomaly(rule),
            Self::Processor(rule) => AnyRule::Processor(rule),
        }
    }

    fn set_name(&mut self, name: &str) {
        match self {
            Self::Pattern(rule) => name.clone_into(&mut rule.name),
            Self::Window(rule) => name.clone_into(&mut rule.name),
            Self::Anomaly(rule) => name.clone_into(&mut rule.name),
            Self::Processor(rule) => name.clone_into(&mut rule.name),
        }
    }
}

/// What can be asked of every rule.
#[derive(Clone, Copy)]
pub(super) enum AnyRule<'a> {
    Pattern(&'a Rule),
    Window(&'a WindowRule),
    Anomaly(&'a AnomalyRule),
    Processor(&'a ProcessorRule),
}

impl<'a> AnyRule<'a> {
    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Pattern(rule) => &rule.name,
            Self::Window(rule) => &rule.name,
            Self::Anomaly(rule) => &rule.name,
            Self::Processor(rule) => &rule.name,
        }
    }

    /// Whether a column of a name is its own, and not that of rows that it passes on.
    pub(super) fn reports(self, name: &str) -> bool {
        match self {
            Self::Pattern(rule) => rule.reports(name),
            Self::Window(_) | Self::Anomaly(_) => true,
            Self::Processor(_) => false,
        }
    }

    /// Topics that it reads; `None`: all.
    pub(super) fn topics(self) -> Option<&'a [String]> {
        match self {
            Self::Pattern(rule) => rule.topics.as_deref(),
            Self::Window(rule) => rule.topic().map(std::slice::from_ref),
            Self::Anomaly(rule) => rule.topic().map(std::slice::from_ref),
            Self::Processor(rule) => Some(std::slice::from_ref(&rule.topic)),
        }
    }

    /// Whether rows of a topic concern it.
    pub(super) fn reads(self, topic: &str) -> bool {
        self.topics().is_none_or(|topics| topics.iter().any(|known| known == topic))
    }

    /// Topics that it reads by name.
    pub(super) fn named_topics(self) -> Vec<String> {
        match self {
            Self::Pattern(rule) => topics_named(&rule.pattern),
            Self::Window(rule) => rule.topic().cloned().into_iter().collect(),
            Self::Anomaly(rule) => rule.topic().cloned().into_iter().collect(),
            Self::Processor(rule) => vec![rule.topic.clone()],
        }
    }

    /// Topics of what it derives.
    pub(super) fn derived_topics(self) -> Vec<String> {
        match self {
            Self::Pattern(rule) => rule.derived_topics(),
            Self::Window(rule) => vec![rule.emits().to_owned()],
            Self::Anomaly(rule) => vec![rule.emits().to_owned()],
            Self::Processor(rule) => vec![rule.emits().to_owned()],
        }
    }

    /// Whether something that it derives is of a topic.
    pub(super) fn derives(self, topic: &str) -> bool {
        match self {
            Self::Pattern(rule) => rule.derives(topic),
            Self::Window(rule) => rule.emits() == topic,
            Self::Anomaly(rule) => rule.emits() == topic,
            Self::Processor(rule) => rule.emits() == topic,
        }
    }

    /// The columns of a topic that it derives, and the event time that its rows have; `None` while that is not known.
    pub(super) fn schema_of(
        self,
        topic: &str,
        event_time: &str,
    ) -> Result<Option<(SchemaRef, DataType)>, EngineError> {
        match self {
            Self::Pattern(rule) => rule.schema_of(topic),
            Self::Window(rule) => Ok(rule.output(event_time)),
            Self::Anomaly(rule) => Ok(rule.output(event_time)),
            Self::Processor(rule) => Ok(rule.output(event_time)),
        }
    }

    /// What is said of it.
    pub(super) fn label(self) -> RuleLabel<'a> {
        let strategy = match self {
            Self::Pattern(rule) => rule.strategy(),
            Self::Window(_) => Strategy::Windows,
            Self::Anomaly(_) => Strategy::Anomalies,
            Self::Processor(_) => Strategy::Processor,
        };
        RuleLabel { name: self.name(), strategy }
    }
}

impl Engine {
    /// Names of the rules, in the order in which they were added.
    pub fn rules(&self) -> Vec<String> {
        self.order.clone()
    }

    /// Adds a rule: it sees the rows released, and the events derived, from now on.
    ///
    /// # Errors
    /// Those of [`new`](Self::new); [`EngineError::RuleOrder`] if a rule that is there reads what it derives; where it does not fit
    /// the columns that have come, what a push would raise, and [`EngineError::TopicColumns`]. The engine is then as it was.
    pub fn add(&mut self, rule: impl Into<RuleSpec>) -> Result<(), EngineError> {
        let rule = self.made(rule.into(), self.named + 1)?;
        self.add_all(vec![rule])?;
        // What is derived from now on is not waited for any more.
        if self.uses.are_of_one_level() { Ok(()) } else { self.unlisten() }
    }

    /// Adds rules, in whatever order they read each other. After an error with more than one the engine is of no use.
    pub(super) fn add_all(&mut self, rules: Vec<MadeRule>) -> Result<(), EngineError> {
        let mut new: HashSet<String, FixedState> = HashSet::with_hasher(FixedState::with_seed(0));
        for name in rules.iter().map(|rule| rule.as_any().name()) {
            if !new.insert(name.to_owned()) || self.order.iter().any(|known| known == name) {
                return Err(EngineError::DuplicateRule { name: name.to_owned() });
            }
        }
        rules.iter().for_each(|rule| self.uses.add(rule.as_any()));
        let levels = self.levels_with(&rules, None);
        let levels = levels.inspect_err(|_| rules.iter().for_each(|rule| self.uses.remove(rule.as_any())))?;
        for (mut rule, level) in rules.into_iter().zip(levels) {
            let fitted = self.fit_in(&mut rule, level, None);
            fitted.inspect_err(|_| self.uses.remove(rule.as_any()))?;
            self.named += 1;
            self.order.push(rule.as_any().name().to_owned());
            self.put(rule, level, None);
        }
        Ok(())
    }

    /// Adds the only rule of an engine, which is asked for what it derives and nothing else.
    pub(super) fn add_alone(&mut self, pattern: Pattern) -> Result<(), EngineError> {
        let rule = self.made(pattern.into(), 1)?;
        self.listen(rule.as_any(), 0, None)?;
        self.order.push(rule.as_any().name().to_owned());
        self.put(rule, 0, None);
        Ok(())
    }

    /// Checks a rule. `number`: which it is, for one without a name.
    pub(super) fn made(&self, rule: RuleSpec, number: usize) -> Result<MadeRule, EngineError> {
        let event_time = &self.options.event_time;
        let (since, ids) = (self.buffer.clock().complete_before(), self.options.ids);
        Ok(match rule {
            RuleSpec::Pattern(pattern) => {
                let shards = self.options.threads.unwrap_or(1).min(THREADS_MAX);
                MadeRule::Pattern(Box::new(Rule::new(pattern, number, event_time, shards)?))
            }
            RuleSpec::Window(window) => {
                MadeRule::Window(Box::new(WindowRule::new(*window, number, event_time, since, ids)?))
            }
            RuleSpec::Anomaly(rule) => {
                MadeRule::Anomaly(Box::new(AnomalyRule::new(*rule, number, event_time, since, ids)?))
            }
            RuleSpec::Processor(processor) => {
                MadeRule::Processor(Box::new(ProcessorRule::new(processor, number)))
            }
        })
    }

    /// Checks that windows which are reported again when late rows come have topics of their own: at the time at which a late
    /// row comes others may have reported in calls before, so that the order would be a matter of how the input is cut.
    fn check_late_reports(&self, new: &[MadeRule]) -> Result<(), EngineError> {
        let derived = new.iter().flat_map(|rule| rule.as_any().derived_topics());
        for topic in derived.filter(|topic| self.uses.is_shared(topic)) {
            let own = new.iter().filter_map(|rule| match rule {
                MadeRule::Window(window) => Some(&**window),
                _ => None,
            });
            let mut windows = own.chain(self.stages().flat_map(|stage| &stage.windows));
            if let Some(window) = windows.find(|window| window.takes_late_rows() && window.emits() == topic) {
                return Err(PatternError::Unsupported {
                    construct: format!(
                        "rule `{}`, which reports windows again when late rows come, and of topic `{topic}`, which \
                         another rule derives,",
                        window.name
                    ),
                    hint: "give each a topic of its own, with emit()".into(),
                }
                .into());
            }
        }
        Ok(())
    }

    /// The levels of new rules, which topics have been counted with. `replaces`: the rule that goes for one of them.
    fn levels_with(&self, new: &[MadeRule], replaces: Option<&str>) -> Result<Vec<usize>, EngineError> {
        self.check_late_reports(new)?;
        if self.uses.are_of_one_level() && self.levels.is_empty() {
            return Ok(vec![0; new.len()]);
        }
        for rule in new.iter().map(MadeRule::as_any) {
            let derived = rule.named_topics().into_iter().find(|topic| self.uses.is_derived(topic));
            if let (None, Some(topic)) = (rule.topics(), derived) {
                return Err(PatternError::Unsupported {
                    construct: format!(
                        "rule `{}`, which reads `{topic}`, a topic that rules derive, and rows of any topic,",
                        rule.name()
                    ),
                    hint: "say for each of its variables which topic it is of".into(),
                }
                .into());
            }
        }
        let kept = self
            .stages()
            .enumerate()
            .flat_map(|(level, stage)| stage.all_rules().map(move |rule| (level, rule)));
        let kept: Vec<(usize, AnyRule<'_>)> =
            kept.filter(|(_, rule)| Some(rule.name()) != replaces).collect();
        let all = kept.iter().map(|(_, rule)| *rule).chain(new.iter().map(MadeRule::as_any));
        let mut levels = graph::levels(&all.map(Node::of).collect::<Vec<_>>())?;
        let own = levels.split_off(kept.len());
        match kept.iter().zip(levels).find(|((before, _), now)| before != now) {
            None => Ok(own),
            Some(((_, reader), _)) => Err(EngineError::RuleOrder {
                rule: new.first().map_or_else(String::new, |rule| rule.as_any().name().to_owned()),
                reader: reader.name().to_owned(),
            }),
        }
    }

    /// Has a new rule fit the columns that have come, and its topics waited for; after an error nothing has changed.
    fn fit_in(
        &mut self,
        rule: &mut MadeRule,
        level: usize,
        replaces: Option<&str>,
    ) -> Result<(), EngineError> {
        let columns = self.fit(rule, level, replaces)?;
        self.listen(rule.as_any(), level, replaces)?;
        if let (Some(columns), Some(number)) = (columns, level.checked_sub(1)) {
            self.levels[number].front.columns = columns;
        }
        Ok(())
    }

    /// Has a rule stand among the others of its level; `place`: where, if it is a pattern.
    fn put(&mut self, rule: MadeRule, level: usize, place: Option<usize>) {
        let stage = match level.checked_sub(1) {
            None => &mut self.stage,
            Some(number) => &mut self.levels[number].stage,
        };
        stage.put(rule, place);
    }

    /// Puts a rule in the place of another, whose runs are forgotten; it keeps the name.
    ///
    /// # Errors
    /// [`EngineError::UnknownRule`], [`EngineError::RuleRead`], and those of [`add`](Self::add).
    pub fn replace(&mut self, name: &str, rule: impl Into<RuleSpec>) -> Result<(), EngineError> {
        self.check_known(name)?;
        let mut rule = self.made(rule.into(), self.named + 1)?;
        rule.set_name(name);
        self.check_unread(name, Some(rule.as_any()))?;
        self.count_out(name);
        self.uses.add(rule.as_any());
        let level = self
            .levels_with(std::slice::from_ref(&rule), Some(name))
            .and_then(|levels| self.fit_in(&mut rule, levels[0], Some(name)).map(|()| levels[0]));
        let level = level.inspect_err(|_| {
            self.uses.remove(rule.as_any());
            self.count_in(name);
        })?;
        let (before, place) = self.take(name);
        self.put(rule, level, place.filter(|_| before == level));
        self.unlisten()
    }

    /// Removes a rule and its runs.
    ///
    /// # Errors
    /// [`EngineError::UnknownRule`]; [`EngineError::RuleRead`] if another reads what it alone derives.
    pub fn remove(&mut self, name: &str) -> Result<(), EngineError> {
        self.check_known(name)?;
        self.check_unread(name, None)?;
        self.count_out(name);
        self.take(name);
        self.order.retain(|known| known != name);
        self.unlisten()
    }

    fn count_out(&mut self, name: &str) {
        let mut uses = std::mem::take(&mut self.uses);
        self.all_rules().filter(|rule| rule.name() == name).for_each(|rule| uses.remove(rule));
        self.uses = uses;
    }

    fn count_in(&mut self, name: &str) {
        let mut uses = std::mem::take(&mut self.uses);
        self.all_rules().filter(|rule| rule.name() == name).for_each(|rule| uses.add(rule));
        self.uses = uses;
    }

    /// Takes a rule out, and says on which level it stood, and where if it is a pattern.
    fn take(&mut self, name: &str) -> (usize, Option<usize>) {
        let stages =
            std::iter::once(&mut self.stage).chain(self.levels.iter_mut().map(|level| &mut level.stage));
        let with = stages.enumerate().find(|(_, stage)| stage.all_rules().any(|rule| rule.name() == name));
        let (level, stage) = with.expect("just found to be known");
        (level, stage.take(name))
    }

    fn check_known(&self, name: &str) -> Result<(), EngineError> {
        match self.order.iter().any(|known| known == name) {
            true => Ok(()),
            false => Err(EngineError::UnknownRule { name: name.to_owned(), known: self.rules() }),
        }
    }

    /// Checks that other rules read nothing that only this one derives. `instead`: the one that comes for it.
    fn check_unread(&self, name: &str, instead: Option<AnyRule<'_>>) -> Result<(), EngineError> {
        if self.uses.are_of_one_level() {
            return Ok(());
        }
        let others = || self.all_rules().filter(|rule| rule.name() != name);
        for rule in self.all_rules().filter(|rule| rule.name() == name) {
            for topic in rule.derived_topics() {
                let derived = |rule: AnyRule<'_>| rule.derived_topics().contains(&topic);
                if others().chain(instead).any(derived) {
                    continue;
                }
                if let Some(reader) = others().find(|rule| rule.named_topics().contains(&topic)) {
                    let (rule, reader) = (name.to_owned(), reader.name().to_owned());
                    return Err(EngineError::RuleRead { rule, reader, topic });
                }
            }
        }
        Ok(())
    }

    /// Rules by level.
    pub(super) fn stages(&self) -> impl Iterator<Item = &Stage> + Clone {
        std::iter::once(&self.stage).chain(self.levels.iter().map(|level| &level.stage))
    }

    pub(super) fn all_rules(&self) -> impl Iterator<Item = AnyRule<'_>> + Clone {
        self.stages().flat_map(Stage::all_rules)
    }

    /// Waits for the topics that a rule reads. `replaces`: the rule that it is to stand in for.
    fn listen(&mut self, rule: AnyRule<'_>, level: usize, replaces: Option<&str>) -> Result<(), EngineError> {
        let sources = rule.topics().into_iter().flatten().filter(|topic| !self.uses.is_derived(topic));
        let new: Vec<String> = sources.filter(|topic| !self.buffer.listens(topic)).cloned().collect();
        let sources = self.buffer.stats();
        let heard = sources.iter().filter(|source| source.active).map(|source| &source.topic);
        for topic in heard.chain(&new) {
            self.check_late_topic(topic, [rule])?;
        }
        for topic in &new {
            self.check_late_topic(topic, self.all_rules().filter(|rule| Some(rule.name()) != replaces))?;
        }
        for topic in new {
            self.buffer.add_source(&topic)?;
        }
        while self.levels.len() < level {
            let mut next = Level::default();
            next.stage.ids = self.options.ids;
            next.add_topics(&self.options.topics)?;
            self.levels.push(next);
        }
        match level.checked_sub(1) {
            None => Ok(()),
            Some(number) => self.levels[number].add_topics(&rule.named_topics()),
        }
    }

    /// Checks that late rows of a topic come out as one that none of the rules derives: the one would hide the other.
    pub(super) fn check_late_topic<'a>(
        &self,
        topic: &str,
        rules: impl IntoIterator<Item = AnyRule<'a>>,
    ) -> Result<(), EngineError> {
        if self.options.late != LatePolicy::SideOutput {
            return Ok(());
        }
        let late = late_topic(topic);
        match rules.into_iter().find(|rule| rule.derives(&late)) {
            Some(rule) => Err(EngineError::LateTopicConflict { topic: late, rule: rule.name().to_owned() }),
            None => Ok(()),
        }
    }

    /// Stops waiting for topics that no rule reads any more, or that one derives for others; levels without rules go.
    pub(super) fn unlisten(&mut self) -> Result<(), EngineError> {
        while self.levels.last().is_some_and(|level| level.stage.all_rules().next().is_none()) {
            self.levels.pop();
        }
        let sources = self.buffer.stats();
        for source in sources.iter().filter(|source| source.active) {
            let unread = !self.order.is_empty() && !self.all_rules().any(|rule| rule.reads(&source.topic));
            if unread || self.uses.is_passed_on(&source.topic) {
                self.buffer.remove_source(&source.topic)?;
            }
        }
        Ok(())
    }
}

impl Stage {
    pub(super) fn all_rules(&self) -> impl Iterator<Item = AnyRule<'_>> + Clone {
        let windows = self.windows.iter().map(AnyRule::Window);
        let anomalies = self.anomalies.iter().map(AnyRule::Anomaly);
        let processors = self.processors.iter().map(AnyRule::Processor);
        self.rules.iter().map(AnyRule::Pattern).chain(windows).chain(anomalies).chain(processors)
    }

    /// A rule by place: patterns first, then windows, anomaly rules and processors.
    pub(super) fn rule_at(&self, place: usize) -> AnyRule<'_> {
        match self.rules.get(place) {
            Some(rule) => AnyRule::Pattern(rule),
            None => self.all_rules().nth(place).expect("a place of a rule"),
        }
    }

    /// Has a rule stand among the others; `place`: where, if it is a pattern and not to be the last.
    fn put(&mut self, rule: MadeRule, place: Option<usize>) {
        // It may be compiled already.
        self.learned = true;
        match rule {
            MadeRule::Window(rule) => self.windows.push(*rule),
            MadeRule::Anomaly(rule) => self.anomalies.push(*rule),
            MadeRule::Processor(rule) => self.processors.push(*rule),
            MadeRule::Pattern(mut rule) => {
                let place = place.unwrap_or(self.rules.len());
                self.seat(&mut rule, place);
                self.affected.hold(rule.seat, &mut rule);
                let is_last = place == self.rules.len();
                self.rules.insert(place, *rule);
                // Of the last there is nobody behind who moves on, and `seat` has noted its own place.
                if !is_last {
                    self.find_places();
                }
            }
        }
    }

    /// Takes a rule out, and says where it stood if it is a pattern.
    fn take(&mut self, name: &str) -> Option<usize> {
        self.windows.retain(|rule| rule.name != name);
        self.anomalies.retain(|rule| rule.name != name);
        self.processors.retain(|rule| rule.name != name);
        let place = self.rules.iter().position(|rule| rule.name == name)?;
        let old = self.rules.remove(place);
        self.unseat(old);
        self.find_places();
        Some(place)
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

    pub(super) fn find_places(&mut self) {
        self.places = self.rules.iter().enumerate().map(|(place, rule)| (rule.seat, place)).collect();
    }
}
