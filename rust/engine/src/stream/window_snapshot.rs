//! Windows of an engine as plain data.

use arrow_array::RecordBatch;
use cepheid_ir::PatternError;
use cepheid_window::{SavedWindows, WindowState};
use serde::{Deserialize, Serialize};

use super::binding::BoundColumns;
use super::ipc::{from_ipc, to_ipc};
use super::keys::{SavedKeys, load_keys, save_keys};
use super::snapshot::{differ, paired, refuse};
use super::stage::Stage;
use super::window_rule::{Waiting, WindowRule};
use crate::error::EngineError;
use cepheid_event::MergedSchema;

/// What is kept of a window.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedWindowRule {
    name: String,
    fingerprint: String,
    reported: u64,
    visited: u64,
    /// Nothing before its topic has sent rows.
    kept: Option<SavedKept>,
}

#[derive(Serialize, Deserialize)]
struct SavedKept {
    keys: SavedKeys,
    windows: SavedWindows,
    waiting: Option<Vec<u8>>,
    times: Vec<i64>,
}

impl Stage {
    pub(super) fn load_windows(
        &mut self,
        saved: Vec<SavedWindowRule>,
        columns: &MergedSchema,
        event_time: &str,
        watermark: Option<i64>,
    ) -> Result<(), EngineError> {
        let bound = self.bound_columns(columns);
        let given = std::mem::take(&mut self.windows);
        for (mut rule, saved) in paired(given, saved, |rule| &rule.name, |saved| &saved.name)? {
            if rule.fingerprint != saved.fingerprint {
                return differ(format!("rule `{}` is another version of itself", saved.name));
            }
            rule.load(saved, columns, &bound, event_time)?;
            if !rule.is_of_the_past(watermark) {
                return refuse(format!("rule `{}` keeps rows that are still to come", rule.name));
            }
            self.windows.push(rule);
        }
        Ok(())
    }
}

impl WindowRule {
    /// What is kept, as plain data.
    ///
    /// # Errors
    /// Of a value that cannot be written down, and what Arrow refuses.
    pub(super) fn save(&self) -> Result<SavedWindowRule, EngineError> {
        let kept = match (&self.kept.keys, &self.kept.state) {
            (Some(keys), Some(state)) => {
                let windows = state.save().ok_or_else(|| PatternError::Unsupported {
                    construct: format!("a snapshot of rule `{}`, which keeps nested values,", self.name),
                    hint: "ask for a plain part of them".into(),
                })?;
                let ipc = |batch: &RecordBatch| to_ipc(&batch.schema(), Some(batch));
                let waiting = self.kept.waiting.as_ref();
                Some(SavedKept {
                    keys: save_keys(keys)?,
                    windows,
                    waiting: waiting.map(|waiting| ipc(&waiting.batch)).transpose()?,
                    times: waiting.map_or_else(Vec::new, |waiting| waiting.times.to_vec()),
                })
            }
            _ => None,
        };
        Ok(SavedWindowRule {
            name: self.name.clone(),
            fingerprint: self.fingerprint.clone(),
            reported: self.reported,
            visited: self.visited,
            kept,
        })
    }

    /// Whether rows that come from now on, none of them before the watermark, come behind those that are kept.
    fn is_of_the_past(&self, watermark: Option<i64>) -> bool {
        let newest = self.kept.state.as_ref().and_then(WindowState::newest);
        let waiting = self.kept.waiting.as_ref().map(|waiting| &waiting.times);
        let (first, last) = (waiting.and_then(|times| times.first()), waiting.and_then(|times| times.last()));
        first.is_none_or(|first| newest.is_none_or(|newest| newest <= *first))
            && newest.max(last.copied()).is_none_or(|newest| watermark.is_some_and(|time| newest <= time))
    }

    /// Goes on with what was saved.
    ///
    /// # Errors
    /// [`EngineError::InvalidSnapshot`].
    pub(super) fn load(
        &mut self,
        saved: SavedWindowRule,
        columns: &MergedSchema,
        bound: &BoundColumns,
        event_time: &str,
    ) -> Result<(), EngineError> {
        (self.reported, self.visited) = (saved.reported, saved.visited);
        let compiled = self.compile(columns, bound, event_time)?;
        self.commit();
        let (kept, compiled) = match (saved.kept, compiled) {
            (None, _) => return Ok(()),
            (Some(_), None) => return refuse("it has windows of a rule whose topics have sent nothing"),
            (Some(kept), Some(compiled)) => (kept, compiled),
        };
        let keys = self.kept.keys.as_mut().expect("made when it was compiled");
        load_keys(keys, &kept.keys, compiled.plan.keys(), compiled.plan.schema())?;
        match WindowState::load(&compiled.plan, kept.windows, keys.len()) {
            Ok(state) => self.kept.state = Some(state),
            Err(reason) => return refuse(reason),
        }
        let Some(waiting) = &kept.waiting else { return Ok(()) };
        let batch = from_ipc(waiting)?;
        let fits = batch.num_rows() == kept.times.len()
            && kept.times.is_sorted()
            && batch.schema().fields().iter().all(|field| {
                let own = compiled.plan.schema().field_with_name(field.name());
                own.is_ok_and(|own| own.data_type() == field.data_type())
            });
        if !fits || !compiled.plan.is_of_rows() {
            return refuse("its rows do not fit the rule");
        }
        self.kept.waiting = Some(Waiting { batch, times: kept.times.into() });
        Ok(())
    }
}
