//! Which rules read what others derive: the level of each, and cycles.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::rules::AnyRule;
use crate::error::EngineError;

/// A rule as a node: what it reads by name, and what it derives.
pub(super) struct Node {
    name: String,
    reads: Vec<String>,
    derives: Vec<String>,
}

impl Node {
    pub(super) fn of(rule: AnyRule<'_>) -> Self {
        Self { name: rule.name().to_owned(), reads: rule.named_topics(), derives: rule.derived_topics() }
    }
}

/// The level of each rule: 0 if it reads source topics alone, else one more than the greatest of those that derive what
/// it reads.
///
/// # Errors
/// [`EngineError::RuleCycle`]; [`EngineError::TopicLevels`] for a topic derived on two levels: its events would have no
/// order that all could see.
pub(super) fn levels(nodes: &[Node]) -> Result<Vec<usize>, EngineError> {
    let mut derivers: HashMap<&str, Vec<usize>, FixedState> = HashMap::with_hasher(FixedState::with_seed(0));
    for (place, node) in nodes.iter().enumerate() {
        for topic in &node.derives {
            derivers.entry(topic).or_default().push(place);
        }
    }
    let before = |place: usize| -> Vec<usize> {
        let read = nodes[place].reads.iter();
        read.flat_map(|topic| derivers.get(topic.as_str()).into_iter().flatten()).copied().collect()
    };
    let mut levels: Vec<Option<usize>> = vec![None; nodes.len()];
    for start in 0..nodes.len() {
        // A way from a rule to those in front of it, each with what is left to be looked at: no recursion, as a chain of
        // rules may be as long as there are rules.
        let mut way: Vec<(usize, Vec<usize>)> = vec![];
        if levels[start].is_none() {
            way.push((start, before(start)));
        }
        while let Some((place, ahead)) = way.last_mut() {
            let place = *place;
            match ahead.pop() {
                Some(next) if levels[next].is_some() => {}
                Some(next) => {
                    if let Some(begin) = way.iter().position(|(known, _)| *known == next) {
                        // From one that derives to the one that reads.
                        let mut path: Vec<String> =
                            way[begin..].iter().rev().map(|(known, _)| nodes[*known].name.clone()).collect();
                        path.insert(0, nodes[next].name.clone());
                        return Err(EngineError::RuleCycle { path });
                    }
                    way.push((next, before(next)));
                }
                None => {
                    let level = before(place).into_iter().filter_map(|known| levels[known]).max();
                    levels[place] = Some(level.map_or(0, |level| level + 1));
                    way.pop();
                }
            }
        }
    }
    let levels: Vec<usize> = levels.into_iter().map(|level| level.expect("each has been visited")).collect();
    for (place, node) in nodes.iter().enumerate() {
        for topic in &node.derives {
            let first = derivers[topic.as_str()][0];
            if levels[first] != levels[place] {
                let rules = [nodes[first].name.clone(), node.name.clone()];
                return Err(EngineError::TopicLevels { topic: topic.clone(), rules });
            }
        }
    }
    Ok(levels)
}

/// How many rules derive a topic, and how many read it by name.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    derived: usize,
    read: usize,
}

/// Topics by what rules do with them.
#[derive(Debug)]
pub(super) struct TopicUses {
    uses: HashMap<String, Use, FixedState>,
    /// Topics that are derived and read by name.
    passed_on: usize,
}

impl Default for TopicUses {
    fn default() -> Self {
        Self { uses: HashMap::with_hasher(FixedState::with_seed(0)), passed_on: 0 }
    }
}

impl TopicUses {
    /// Counts a rule in.
    pub(super) fn add(&mut self, rule: AnyRule<'_>) {
        rule.derived_topics().into_iter().for_each(|topic| self.change(topic, |topic| topic.derived += 1));
        rule.named_topics().into_iter().for_each(|topic| self.change(topic, |topic| topic.read += 1));
    }

    /// Counts a rule out.
    pub(super) fn remove(&mut self, rule: AnyRule<'_>) {
        rule.derived_topics().into_iter().for_each(|topic| self.change(topic, |topic| topic.derived -= 1));
        rule.named_topics().into_iter().for_each(|topic| self.change(topic, |topic| topic.read -= 1));
    }

    fn change(&mut self, topic: String, change: impl Fn(&mut Use)) {
        let passed_on = |known: Use| usize::from(known.derived > 0 && known.read > 0);
        let known = self.uses.entry(topic.clone()).or_default();
        self.passed_on -= passed_on(*known);
        change(known);
        self.passed_on += passed_on(*known);
        if known.derived == 0 && known.read == 0 {
            self.uses.remove(&topic);
        }
    }

    /// Whether some rule derives a topic.
    pub(super) fn is_derived(&self, topic: &str) -> bool {
        self.uses.get(topic).is_some_and(|known| known.derived > 0)
    }

    /// Whether some rule derives a topic that another reads.
    pub(super) fn is_passed_on(&self, topic: &str) -> bool {
        self.uses.get(topic).is_some_and(|known| known.derived > 0 && known.read > 0)
    }

    /// Whether several rules derive some topic.
    pub(super) fn are_shared(&self) -> bool {
        self.uses.values().any(|known| known.derived > 1)
    }

    /// Whether several rules derive a topic.
    pub(super) fn is_shared(&self, topic: &str) -> bool {
        self.uses.get(topic).is_some_and(|known| known.derived > 1)
    }

    /// Whether no rule reads what another derives.
    pub(super) fn are_of_one_level(&self) -> bool {
        self.passed_on == 0
    }
}
