//! Tables of several topics, matched all at once by the engine that runs over streams.

use std::sync::Arc;

use arrow_array::RecordBatch;
use cepheid_event::{EventError, Table};
use cepheid_ir::{Pattern, Within};
use cepheid_matcher::sequence::FoundSequences;

use super::derived::{Part, by_topic};
use super::rule::Compiled;
use super::stage::{Call, Undo};
use super::{DerivedTable, Engine, EngineOptions};
use crate::error::EngineError;
use crate::plan::Measures;
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
    engine.add_alone(pattern)?;
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
        let call = Call {
            options: &self.options,
            columns: &columns,
            elsewhere: self.buffer.bytes(),
            watermark: self.buffer.clock().watermark(),
            may_fail_later: false,
            uses: &self.uses,
        };
        let mut undo = Undo::new(self.stage.next);
        let mut parts = vec![];
        self.stage.match_released(prepared.released(), &call, &mut undo, &mut parts)?;
        let rule = &self.stage.rules[0];
        let matches = match parts.first() {
            // They come first, if there are any.
            Some(part) if rule.matches > 0 => {
                DerivedTable { strategies: vec![rule.strategy()], ..part.table.clone() }
            }
            _ => DerivedTable { strategies: vec![rule.strategy()], ..self.no_matches()? },
        };
        let own = |part: &Part| part.topic == rule.emits();
        if parts.iter().filter(|part| own(part)).count() == usize::from(rule.matches > 0) {
            parts.retain(|part| !own(part));
        }
        let others = by_topic(parts, i64::MAX, &|rule| self.stage.rule_at(rule).label())?;
        Ok((matches, others.into_iter().map(Into::into).collect()))
    }

    /// The columns of its only rule's matches, without rows.
    fn no_matches(&self) -> Result<DerivedTable, EngineError> {
        let rule = &self.stage.rules[0];
        match &rule.compiled {
            Some(compiled) => no_matches(compiled, &compiled.plan.outputs.measures),
            None => {
                let topic = rule.topics.iter().flatten().next().cloned().unwrap_or_default();
                Err(EventError::SchemaUnknown { topic }.into())
            }
        }
    }
}

/// The columns of what a rule derives with some measures, without rows.
pub(super) fn no_matches(compiled: &Compiled, measures: &Measures) -> Result<DerivedTable, EngineError> {
    let table = Table::new(Arc::clone(&compiled.binding.schema), vec![])?;
    let (plan, all) = (&compiled.plan, &FoundSequences::default());
    let nothing = [FoundByPlan { plan, all, found: &[] }];
    let none = derive_sequences(&nothing, measures, &table, &|row| row as u32, None, 1)?;
    let membership = Some(none.membership()?);
    let batch = compiled.shown(none.batch)?;
    Ok(DerivedTable::new(batch, membership, 0))
}
