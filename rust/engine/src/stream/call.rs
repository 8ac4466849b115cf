//! One call of an engine: what the buffer releases goes through the rules, level by level, and all of it is made to stand,
//! or put back.

use std::sync::Arc;

use cepheid_event::{MergedSchema, Prepared};

use super::derived::{DerivedTable, TopicEvents, late_tables};
use super::level::{self, LevelUndo};
use super::stage::{Call, Stage, Undo};
use super::{Engine, LatePolicy};
use crate::error::EngineError;

/// How levels were before a call.
struct CallUndo {
    stage: Undo,
    /// Of those that were worked on.
    levels: Vec<LevelUndo>,
}

impl Engine {
    /// Matches what a change of the buffer releases, and makes the change if all went well.
    pub(super) fn run(&mut self, prepared: Prepared) -> Result<Vec<(String, DerivedTable)>, EngineError> {
        // What may be refused without rules is asked first: rules are put back at a cost.
        let late = match self.options.late {
            LatePolicy::SideOutput => late_tables(&prepared.released().late, self.columns_of(&prepared))?,
            LatePolicy::Drop | LatePolicy::Error => vec![],
        };
        let mut undo = CallUndo { stage: Undo::new(self.stage.next), levels: vec![] };
        match self.derive(&prepared, &mut undo) {
            Ok(derived) => {
                let released = self.buffer.commit(prepared);
                if self.options.late == LatePolicy::Drop {
                    self.dropped +=
                        released.late.iter().map(|late| late.batch.num_rows() as u64).sum::<u64>();
                }
                self.stage.commit(&undo.stage, &released, self.buffer.columns(), &self.options);
                for (level, undo) in self.levels.iter_mut().zip(&undo.levels) {
                    level.commit(undo, &released, &self.options);
                }
                for events in &derived {
                    if self.uses.is_passed_on(&events.topic) {
                        let known = self.passed_on.entry(events.topic.clone()).or_default();
                        *known += events.table.batch.num_rows() as u64;
                    }
                }
                Ok(derived.into_iter().map(Into::into).chain(late).collect())
            }
            Err(error) => {
                self.stage.roll_back(undo.stage);
                for (level, undo) in self.levels.iter_mut().zip(undo.levels) {
                    level.roll_back(undo);
                }
                Err(error.of_all_state(self.options.memory_limit))
            }
        }
    }

    fn columns_of<'a>(&'a self, prepared: &'a Prepared) -> &'a Arc<MergedSchema> {
        prepared.columns().unwrap_or_else(|| self.buffer.columns())
    }

    fn derive(&mut self, prepared: &Prepared, undo: &mut CallUndo) -> Result<Vec<TopicEvents>, EngineError> {
        let (released, columns) = (prepared.released(), Arc::clone(self.columns_of(prepared)));
        let columns: &MergedSchema = &columns;
        let call = Call {
            options: &self.options,
            columns,
            elsewhere: self.bytes_beside(&self.stage),
            watermark: self.buffer.clock().watermark(),
            may_fail_later: !self.levels.is_empty(),
            uses: &self.uses,
        };
        let mut derived = self.stage.derive(released, &call, &mut undo.stage)?;
        for number in 0..self.levels.len() {
            let elsewhere = self.bytes_beside(&self.levels[number].stage);
            let is_last = number + 1 == self.levels.len();
            let (before, from) = self.levels.split_at_mut(number);
            let level = &mut from[0];
            undo.levels.push(level.undo());
            let derivers = || std::iter::once(&self.stage).chain(before.iter().map(|level| &level.stage));
            let reads = level.reads();
            let event_time = &self.options.event_time;
            level::declare(&mut level.front.columns, &reads, columns, &self.uses, derivers, event_time)?;
            level.take_sources(&reads, released, columns, &self.uses)?;
            level.take_derived(&reads, &derived, &self.passed_on, columns, derivers, event_time)?;
            let own = level.front.release(released)?;
            let columns = Arc::clone(&level.front.columns);
            let call = Call {
                options: &self.options,
                columns: &columns,
                elsewhere,
                watermark: self.buffer.clock().watermark(),
                may_fail_later: !is_last,
                uses: &self.uses,
            };
            let undo = undo.levels.last_mut().expect("just put there");
            derived.extend(level.stage.derive(&own, &call, &mut undo.stage)?);
        }
        Ok(derived)
    }

    /// Bytes of state beside that of a stage: for a limit on both. Without one nobody asks, and it costs a look at every rule.
    fn bytes_beside(&self, stage: &Stage) -> usize {
        if self.options.memory_limit.is_some() { self.bytes() - stage.bytes() } else { 0 }
    }

    /// Bytes of state.
    pub(super) fn bytes(&self) -> usize {
        let levels = self.levels.iter().map(|level| level.front.bytes() + level.stage.bytes());
        self.buffer.bytes() + self.stage.bytes() + levels.sum::<usize>()
    }
}
