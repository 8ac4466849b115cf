//! Tables of several topics, matched all at once by the engine that runs over streams.

use std::sync::Arc;

use arrow_array::RecordBatch;
use cepheid_event::{EventError, Table};
use cepheid_ir::{Pattern, Within};
use cepheid_matcher::sequence::FoundSequences;

use super::binding::without_added;
use super::call::Undo;
use super::derived::{Part, by_topic};
use super::{DerivedTable, Engine, EngineOptions, topic_names};
use crate::error::EngineError;
use crate::sequences::{FoundByPlan, derive_sequences};

/// The matches of a pattern, and by topic whatever else it derives; the matches' own topic is among these only if an
/// intermediate output shares it.
pub type TopicOutputs<M> = (M, Vec<(String, DerivedTable)>);

/// Matches the tables of several topics: the whole input. Rows are merged by the column `event_time`; rows of equal time
/// go in the order of the topics, then by arrival. A pattern that has no name is the rule `rule`.
///
/// # Errors
/// See [`EngineError`].
pub fn match_topics(
    pattern: &Pattern,
    rule: &str,
    tables: &[(String, Table)],
    event_time: &str,
    threads: Option<usize>,
    interrupted: Option<fn() -> bool>,
) -> Result<TopicOutputs<DerivedTable>, EngineError> {
    let mut pattern = pattern.clone();
    pattern.name.get_or_insert_with(|| rule.to_owned());
    // The input ends, and with it every wait.
    pattern.within.get_or_insert(Within::Unbounded);
    let options =
        EngineOptions { event_time: event_time.to_owned(), threads, interrupted, ..EngineOptions::default() };
    let mut engine = Engine::new(Vec::<Pattern>::new(), options)?;
    // Before the rule, which names the topics in another order.
    for (topic, _) in tables {
        engine.buffer.add_source(topic)?;
    }
    engine.add(pattern)?;
    for (topic, table) in tables {
        let empty = [RecordBatch::new_empty(Arc::clone(table.schema()))];
        let batches = if table.batches().is_empty() { &empty[..] } else { table.batches() };
        engine.push(Some(topic), batches, None)?;
    }
    engine.end()
}

impl Engine {
    /// What its only rule derives at the end of the input.
    fn end(mut self) -> Result<TopicOutputs<DerivedTable>, EngineError> {
        let prepared = self.buffer.prepare_flush()?;
        let columns = self.buffer.columns().clone();
        let names = topic_names(&columns);
        let mut undo = Undo::new(self.next);
        let mut parts = vec![];
        self.match_released(prepared.released(), &columns, &names, &mut undo, &mut parts)?;
        let rule = &self.rules[0];
        let matches = match parts.first() {
            // They come first, if there are any.
            Some(part) if rule.matches > 0 => part.table.clone(),
            _ => self.no_matches()?,
        };
        let own = |part: &Part| part.topic == rule.emits();
        if parts.iter().filter(|part| own(part)).count() == usize::from(rule.matches > 0) {
            parts.retain(|part| !own(part));
        }
        Ok((matches, by_topic(parts, &|rule| self.name_at(rule))?))
    }

    /// The columns of its only rule's matches, without rows.
    fn no_matches(&self) -> Result<DerivedTable, EngineError> {
        let Some(compiled) = &self.rules[0].compiled else {
            let topic = self.rules[0].topics.iter().flatten().next().cloned().unwrap_or_default();
            return Err(EventError::SchemaUnknown { topic }.into());
        };
        let table = Table::new(Arc::clone(&compiled.binding.schema), vec![])?;
        let (plan, all) = (&compiled.plan, &FoundSequences::default());
        let nothing = [FoundByPlan { plan, all, found: &[] }];
        let none = derive_sequences(&nothing, &plan.outputs.measures, &table, &|row| row as u32, None)?;
        Ok(DerivedTable { membership: none.membership()?, matches: 0, batch: without_added(none.batch)? })
    }
}
