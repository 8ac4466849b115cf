//! Whether a rule that comes while an engine runs fits the columns that have come. It is asked before anything changes, as every
//! call from then on would be refused otherwise.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use cepheid_event::MergedSchema;
use cepheid_matcher::sequence::SequenceLimits;

use super::Engine;
use super::binding::BoundColumns;
use super::derived::same_columns;
use super::history::History;
use super::level::{self, Level, schema_read};
use super::rule::Surroundings;
use super::rules::{AnyRule, MadeRule};
use super::stage::{Stage, reported};
use crate::error::EngineError;

impl Engine {
    /// Compiles a new rule, which topics have been counted with, for the columns that are known by now. `level`: where it is to
    /// stand; `replaces`: the rule that goes for it. Gives the columns that its level is to have, if those of the sources are not
    /// its own. The engine stays as it is.
    ///
    /// # Errors
    /// What compiling it raises; [`EngineError::TopicConflict`], [`EngineError::TopicColumns`].
    pub(super) fn fit(
        &mut self,
        rule: &mut MadeRule,
        level: usize,
        replaces: Option<&str>,
    ) -> Result<Option<Arc<MergedSchema>>, EngineError> {
        if self.buffer.columns().order().is_empty() {
            // Nothing is known of any topic.
            return Ok(None);
        }
        let columns = match level.checked_sub(1) {
            None => self.source_columns(rule.as_any())?,
            Some(number) => self.level_columns(rule.as_any(), number)?,
        };
        let stage = match level.checked_sub(1) {
            None => Some(&mut self.stage),
            Some(number) => self.levels.get_mut(number).map(|level| &mut level.stage),
        };
        compile(rule, stage, &columns, &self.options.event_time)?;
        self.check_derived(rule.as_any(), replaces)?;
        Ok((level > 0).then_some(columns))
    }

    /// The columns of sources, all topics of a rule among them.
    fn source_columns(&self, rule: AnyRule<'_>) -> Result<Arc<MergedSchema>, EngineError> {
        let mut columns = Arc::clone(self.buffer.columns());
        add_topics(&mut columns, &rule.named_topics())?;
        Ok(columns)
    }

    /// The columns that a level knows with a rule on it.
    fn level_columns(&self, rule: AnyRule<'_>, number: usize) -> Result<Arc<MergedSchema>, EngineError> {
        let event_time = &self.options.event_time;
        let there = self.levels.get(number);
        let mut columns = match there {
            Some(level) => Arc::clone(&level.front.columns),
            None => {
                let mut columns = Arc::default();
                add_topics(&mut columns, &self.options.topics)?;
                columns
            }
        };
        let own = rule.named_topics();
        add_topics(&mut columns, &own)?;
        let mut reads = there.map(Level::reads).unwrap_or_default();
        reads.extend_from_slice(&own);
        reads.sort_unstable_by_key(|topic| columns.topic(topic));
        reads.dedup();
        let derivers = || self.stages().take(number + 1);
        level::declare(&mut columns, &reads, self.buffer.columns(), &self.uses, derivers, event_time)?;
        for topic in own.iter().filter(|topic| self.uses.is_derived(topic)) {
            // Others may have read it when it was of other columns.
            if let Some(found) = schema_read(topic, derivers(), event_time)? {
                check_read(&columns, topic, &found, rule)?;
            }
        }
        Ok(columns)
    }

    /// Checks that what a rule derives has the columns that other rules give the same topic, and those that readers know it by.
    fn check_derived(&self, rule: AnyRule<'_>, replaces: Option<&str>) -> Result<(), EngineError> {
        let event_time = &self.options.event_time;
        for topic in rule.derived_topics() {
            let (is_shared, is_read) = (self.uses.is_shared(&topic), self.uses.is_passed_on(&topic));
            if !is_shared && !is_read {
                continue;
            }
            let Some((schema, time)) = rule.schema_of(&topic, event_time)? else { continue };
            let others = self.stages().flat_map(Stage::all_rules);
            for other in others.filter(|other| is_shared && Some(other.name()) != replaces) {
                if let Some((expected, _)) = other.schema_of(&topic, event_time)? {
                    same_columns(&topic, (other.name(), &expected), (rule.name(), &schema))?;
                }
            }
            let found = level::read_schema(&reported(schema, rule, self.options.ids), event_time, &time);
            for level in self.levels.iter().filter(|level| is_read && level.reads().contains(&topic)) {
                check_read(&level.front.columns, &topic, &found, rule)?;
            }
        }
        Ok(())
    }
}

fn add_topics(columns: &mut Arc<MergedSchema>, topics: &[String]) -> Result<(), EngineError> {
    for topic in topics.iter().filter(|topic| columns.topic(topic).is_none()).collect::<Vec<_>>() {
        Arc::make_mut(columns).add_topic(topic)?;
    }
    Ok(())
}

/// Compiles a rule that nothing is kept of yet. `stage`: the rules that it is to stand among, if there are any.
fn compile(
    rule: &mut MadeRule,
    stage: Option<&mut Stage>,
    columns: &MergedSchema,
    event_time: &str,
) -> Result<(), EngineError> {
    let (bound, before) = match stage {
        Some(stage) => {
            let before = stage.rules.last().and_then(|before| before.compiled.clone());
            (stage.bound_columns(columns), before)
        }
        None => (Arc::new(BoundColumns::new(columns)), None),
    };
    match rule {
        MadeRule::Pattern(rule) => {
            let history = History::default();
            let limits = SequenceLimits::default();
            let around = Surroundings { columns, history: &history, event_time, limits };
            rule.compile(&around, &bound, before.as_deref())?;
        }
        MadeRule::Window(rule) => {
            rule.compile(columns, &bound, event_time)?;
            rule.commit();
        }
        MadeRule::Anomaly(rule) => {
            rule.compile(columns, &bound, event_time)?;
            rule.commit();
        }
        // It is given whole rows, and says itself what it makes of them.
        MadeRule::Processor(_) => {}
    }
    Ok(())
}

/// Checks that a topic that is derived has the columns that those who read it know it by. `rule`: the one that comes.
fn check_read(
    columns: &MergedSchema,
    topic: &str,
    found: &SchemaRef,
    rule: AnyRule<'_>,
) -> Result<(), EngineError> {
    let known = columns.topic(topic).and_then(|number| columns.topic_schema(number));
    let described = |schema: &SchemaRef| {
        let columns = schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type()));
        columns.collect::<Vec<_>>().join(", ")
    };
    match known.map(described).filter(|known| *known != described(found)) {
        None => Ok(()),
        Some(expected) => Err(EngineError::TopicColumns {
            topic: topic.to_owned(),
            rule: rule.name().to_owned(),
            expected,
            found: described(found),
        }),
    }
}
