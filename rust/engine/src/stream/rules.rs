//! The rules of an engine, patterns and windows: how they are named, added, replaced and removed.

use cepheid_ir::{Pattern, Window};
use cepheid_matcher::threads::THREADS_MAX;

use super::derived::late_topic;
use super::rule::Rule;
use super::window_rule::WindowRule;
use super::{Engine, LatePolicy};
use crate::error::EngineError;

/// What a rule is made of.
#[derive(Clone, Debug)]
pub enum RuleSpec {
    /// Events that follow each other.
    Pattern(Box<Pattern>),
    /// Values of the rows of windows.
    Window(Box<Window>),
}

impl From<Pattern> for RuleSpec {
    fn from(pattern: Pattern) -> Self {
        Self::Pattern(Box::new(pattern))
    }
}

impl From<Window> for RuleSpec {
    fn from(window: Window) -> Self {
        Self::Window(Box::new(window))
    }
}

/// A rule that has been checked.
enum MadeRule {
    Pattern(Box<Rule>),
    Window(Box<WindowRule>),
}

impl MadeRule {
    fn as_any(&self) -> AnyRule<'_> {
        match self {
            Self::Pattern(rule) => AnyRule::Pattern(rule),
            Self::Window(rule) => AnyRule::Window(rule),
        }
    }

    fn set_name(&mut self, name: &str) {
        match self {
            Self::Pattern(rule) => name.clone_into(&mut rule.name),
            Self::Window(rule) => name.clone_into(&mut rule.name),
        }
    }
}

/// What can be asked of every rule.
#[derive(Clone, Copy)]
pub(super) enum AnyRule<'a> {
    Pattern(&'a Rule),
    Window(&'a WindowRule),
}

impl<'a> AnyRule<'a> {
    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Pattern(rule) => &rule.name,
            Self::Window(rule) => &rule.name,
        }
    }

    /// Topics that it reads; `None`: all.
    pub(super) fn topics(self) -> Option<&'a [String]> {
        match self {
            Self::Pattern(rule) => rule.topics.as_deref(),
            Self::Window(rule) => rule.window.topic.as_ref().map(std::slice::from_ref),
        }
    }

    /// Whether rows of a topic concern it.
    pub(super) fn reads(self, topic: &str) -> bool {
        self.topics().is_none_or(|topics| topics.iter().any(|known| known == topic))
    }

    /// Whether something that it derives is of a topic.
    pub(super) fn derives(self, topic: &str) -> bool {
        match self {
            Self::Pattern(rule) => rule.derives(topic),
            Self::Window(rule) => rule.emits() == topic,
        }
    }
}

impl Engine {
    /// Names of the rules, in the order in which they were added.
    pub fn rules(&self) -> Vec<String> {
        self.order.clone()
    }

    /// Adds a rule: it sees the rows released from now on.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn add(&mut self, rule: impl Into<RuleSpec>) -> Result<(), EngineError> {
        let rule = self.made(rule.into())?;
        let name = rule.as_any().name().to_owned();
        if self.order.contains(&name) {
            return Err(EngineError::DuplicateRule { name });
        }
        self.listen(rule.as_any(), None)?;
        self.named += 1;
        self.put(rule, self.rules.len());
        self.order.push(name);
        Ok(())
    }

    /// Checks a rule.
    fn made(&self, rule: RuleSpec) -> Result<MadeRule, EngineError> {
        let (number, event_time) = (self.named + 1, &self.options.event_time);
        Ok(match rule {
            RuleSpec::Pattern(pattern) => {
                let shards = self.options.threads.unwrap_or(1).min(THREADS_MAX);
                MadeRule::Pattern(Box::new(Rule::new(*pattern, number, event_time, shards)?))
            }
            RuleSpec::Window(window) => {
                MadeRule::Window(Box::new(WindowRule::new(*window, number, event_time)?))
            }
        })
    }

    /// Has a rule stand among the others; `place`: where, if it is a pattern.
    fn put(&mut self, rule: MadeRule, place: usize) {
        match rule {
            MadeRule::Window(rule) => self.windows.push(*rule),
            MadeRule::Pattern(mut rule) => {
                self.seat(&mut rule, place);
                self.rules.insert(place, *rule);
                self.find_places();
            }
        }
    }

    /// Puts a rule in the place of another, whose runs are forgotten; it keeps the name.
    ///
    /// # Errors
    /// [`EngineError::UnknownRule`], and those of [`new`](Self::new).
    pub fn replace(&mut self, name: &str, rule: impl Into<RuleSpec>) -> Result<(), EngineError> {
        self.check_known(name)?;
        let mut rule = self.made(rule.into())?;
        rule.set_name(name);
        self.listen(rule.as_any(), Some(name))?;
        let place = self.take(name).unwrap_or(self.rules.len());
        self.put(rule, place);
        self.unlisten()
    }

    /// Removes a rule and its runs.
    ///
    /// # Errors
    /// [`EngineError::UnknownRule`].
    pub fn remove(&mut self, name: &str) -> Result<(), EngineError> {
        self.check_known(name)?;
        self.take(name);
        self.order.retain(|known| known != name);
        self.unlisten()
    }

    /// Takes a rule out, and says where it stood if it is a pattern.
    fn take(&mut self, name: &str) -> Option<usize> {
        self.windows.retain(|rule| rule.name != name);
        let place = self.rules.iter().position(|rule| rule.name == name)?;
        let old = self.rules.remove(place);
        self.unseat(old);
        self.find_places();
        Some(place)
    }

    fn check_known(&self, name: &str) -> Result<(), EngineError> {
        match self.order.iter().any(|known| known == name) {
            true => Ok(()),
            false => Err(EngineError::UnknownRule { name: name.to_owned(), known: self.rules() }),
        }
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

    /// The name of a rule by place: patterns first, then windows.
    pub(super) fn name_at(&self, place: usize) -> String {
        self.all_rules().nth(place).map_or_else(String::new, |rule| rule.name().to_owned())
    }

    pub(super) fn all_rules(&self) -> impl Iterator<Item = AnyRule<'_>> + Clone {
        let windows = self.windows.iter().map(AnyRule::Window);
        self.rules.iter().map(AnyRule::Pattern).chain(windows)
    }

    /// Waits for the topics that a rule reads. `replaces`: the rule that it is to stand in for.
    fn listen(&mut self, rule: AnyRule<'_>, replaces: Option<&str>) -> Result<(), EngineError> {
        let read = rule.topics().into_iter().flatten();
        let new: Vec<String> = read.filter(|topic| !self.buffer.listens(topic)).cloned().collect();
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
        Ok(())
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

    /// Stops waiting for topics that no rule reads any more.
    pub(super) fn unlisten(&mut self) -> Result<(), EngineError> {
        let sources = self.buffer.stats();
        for source in sources.iter().filter(|source| source.active) {
            if !self.order.is_empty() && !self.all_rules().any(|rule| rule.reads(&source.topic)) {
                let released = self.buffer.remove_source(&source.topic)?;
                self.backlog.push(released);
            }
        }
        Ok(())
    }
}
