//! What is done about conditions that read the run, in prose.

use arrow_schema::Schema;
use cepheid_eval::expression_text;
use cepheid_ir::BinaryOp;

use super::compile::SequenceMatcher;
use super::tests::Test;
use super::wait::{WaitKey, Waits};
use crate::promote::Promoted;

impl SequenceMatcher {
    /// One sentence for each way in which runs that wait are told apart, and one on keys that all rows of a run share;
    /// none for a pattern whose conditions read no run. `promoted`: what these keys are, or why there are none.
    pub fn outline(&self, schema: &Schema, promoted: Result<&Promoted, &String>) -> Vec<String> {
        let reads_run = |test: &Test| matches!(test, Test::Run { .. });
        if !self.tests.iter().take(self.automaton.variables.len()).any(reads_run) {
            return vec![];
        }
        let mut lines = vec![];
        match promoted {
            Ok(Promoted { keys, .. }) => {
                let names: Vec<&str> = keys.iter().map(|key| schema.field(*key).name().as_str()).collect();
                lines.push(format!(
                    "in a table, partitioned by {} as well: every row of a run equals an earlier one on it",
                    names.join(", ")
                ));
            }
            Err(reason) => lines.push(format!("not partitioned by what conditions equate: {reason}")),
        }
        let mut waits = Waits::default();
        for (place, position) in self.automaton.positions.iter().enumerate() {
            let all: Vec<u32> = (0..position.follow.len() as u32).collect();
            let sets: Vec<Vec<u32>> =
                if self.all { all.into_iter().map(|target| vec![target]).collect() } else { vec![all] };
            for targets in sets.into_iter().filter(|targets| !targets.is_empty()) {
                let key = WaitKey { place: place as u32, targets, lifted: 0 };
                let id = waits.number(self, key);
                if let Some(line) = self.outline_wait(&waits, id)
                    && !lines.contains(&line)
                {
                    lines.push(line);
                }
            }
        }
        lines
    }

    fn outline_wait(&self, waits: &Waits, id: u32) -> Option<String> {
        let wait = waits.get(id);
        let after = &self.automaton.variables[self.variable_of[wait.key.place as usize] as usize];
        let Some(index) = &wait.index else {
            let asked = wait.asked.iter().any(|test| matches!(self.tests[*test], Test::Run { .. }));
            let why = if wait.is_bound_to_every_row {
                "what it waits for goes by every row"
            } else {
                "no conjunct that is asked first compares the row with what the run knows"
            };
            return asked.then(|| format!("after `{after}`: rows are put to every run that waits: {why}"));
        };
        let mut compared: Vec<String> = vec![];
        for (test, join) in &index.probes {
            let join = &self.joins[*test][*join];
            let row = expression_text(join.row.source());
            let run = expression_text(self.run_sides[join.run_side].whole.source());
            let text = format!("`{row} {} {run}`", join.op.symbol());
            if !compared.contains(&text) {
                compared.push(text);
            }
        }
        let (how, cost) = if index.ordered {
            ("in order", "O(log w) for w runs that wait")
        } else {
            debug_assert!(
                index.probes.iter().all(|(test, join)| self.joins[*test][*join].op == BinaryOp::Equal)
            );
            ("by hash", "O(1)")
        };
        let rest =
            if wait.predicates.is_empty() { "" } else { "; rows that it may concern otherwise go to all" };
        Some(format!("after `{after}`: runs are found {how}, by {}, in {cost}{rest}", compared.join(" and ")))
    }
}
