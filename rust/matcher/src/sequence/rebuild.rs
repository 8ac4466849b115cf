//! What runs remember, made anew from the rows that they have taken.
//!
//! Values and running aggregates are not saved with runs: they follow from rows, which are kept anyway.

use cepheid_eval::{ColumnReader, Value};
use cepheid_event::Table;

use super::compile::SequenceMatcher;
use super::registers::Registers;
use super::slab::NONE;
use super::state::{SequenceState, loose_bytes};
use super::tests::Projected;

/// Rows by their place among those kept.
struct KeptRows<'a> {
    table: &'a Table,
    columns: Vec<Option<Vec<ColumnReader>>>,
}

impl Projected for KeptRows<'_> {
    fn value(&self, column: usize, row: u32) -> Value {
        // A stream refuses to look at rows beside those taken, so there is no column without a reader.
        let Some(readers) = &self.columns[column] else { return Value::Null };
        let (batch, row) = self.table.locate(row as usize);
        readers[batch].value(row)
    }
}

impl SequenceMatcher {
    /// Makes the registers of every run anew, for this compilation of the pattern, and indexes runs by them. `ordinals[i]`:
    /// the place of row i of `table` in the order of all rows, ascending; all rows that runs have taken are there.
    pub fn rebuild(&self, state: &mut SequenceState, table: &Table, ordinals: &[u64]) {
        let runs = all_runs(state);
        for (partition, run) in &runs {
            state.unindex(*partition, *run);
        }
        state.waits.rebind(self);
        if self.lookbacks.is_empty() && self.folds.is_empty() {
            return;
        }
        let columns = self
            .projection
            .iter()
            .map(|(column, shift)| {
                let readers = table.batches().iter().map(|batch| ColumnReader::new(batch.column(*column)));
                (*shift == 0).then(|| readers.collect())
            })
            .collect();
        let rows = KeptRows { table, columns };
        let registers_of = |state: &SequenceState, node: u32, old: Option<&Registers>| {
            let mut registers = Registers::new(self);
            if let Some(old) = old {
                registers.opened.clone_from(&old.opened);
            }
            for (row, place) in state.members(node) {
                let kept = ordinals.binary_search(&row).expect("rows of runs are kept") as u32;
                registers.take(self, self.variable_of[place as usize], kept, &rows);
            }
            registers
        };
        for (partition, run) in runs {
            let entry = state.runs.get(run);
            let threads: Vec<_> = std::iter::once(&entry.thread)
                .chain(&entry.others)
                .map(|thread| registers_of(state, thread.node, thread.registers.as_deref()))
                .collect();
            let entry = state.runs.get_mut(run);
            let own = std::iter::once(&mut entry.thread).chain(&mut entry.others);
            let (mut before, mut after) = (0, 0);
            for (thread, registers) in own.zip(threads) {
                before += loose_bytes(thread);
                thread.registers = Some(Box::new(registers));
                after += loose_bytes(thread);
            }
            state.loose_bytes = state.loose_bytes + after - before;
            state.index_run(self, partition, run);
        }
    }
}

/// Every run with its partition, in an order that no hash table decides.
fn all_runs(state: &SequenceState) -> Vec<(u32, u32)> {
    let mut partitions: Vec<u32> = state.keys.values().copied().collect();
    partitions.sort_unstable();
    let mut runs = vec![];
    for partition in partitions {
        let mut start = state.partitions.get(partition).first_start;
        while start != NONE {
            let mut run = state.starts.get(start).runs;
            while run != NONE {
                runs.push((partition, run));
                run = state.runs.get(run).start_next;
            }
            start = state.starts.get(start).next;
        }
    }
    runs
}
