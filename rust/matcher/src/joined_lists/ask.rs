//! Conditions that no number decides, asked of a row and all entries that it might follow.

use arrow_array::{Array, ArrayRef, UInt32Array};
use cepheid_eval::{ColumnReader, Value};
use cepheid_event::Table;

use super::candidates::{Candidates, retain};
use super::compile::{JoinedLists, Read, Rest, Step};
use super::lists::Lists;

/// From so many entries on a condition is asked over columns of them; of fewer, one by one.
const TOGETHER_MIN: usize = 12;

/// Asks what is left of conditions.
pub(super) struct Ask<'a> {
    steps: &'a [Step],
    candidates: &'a [Candidates],
    /// `readers[s][c]`: of the columns of a step's candidates.
    readers: Vec<Vec<ColumnReader>>,
    /// `taken[s]`: the candidates of a step that entries at hand have come by.
    taken: Vec<Vec<u32>>,
}

impl<'a> Ask<'a> {
    pub(super) fn new(joined: &'a JoinedLists, candidates: &'a [Candidates]) -> Self {
        let batches = |own: &'a Candidates| own.columns.iter().flat_map(Table::batches);
        let readers = |own| batches(own).flat_map(|batch| batch.columns()).map(ColumnReader::new).collect();
        Self {
            steps: &joined.steps,
            readers: candidates.iter().map(readers).collect(),
            taken: vec![vec![]; candidates.len()],
            candidates,
        }
    }

    /// Keeps the entries of the step before that a candidate of a step may follow. `false`: a condition raises an error.
    pub(super) fn retain(
        &mut self,
        lists: &Lists<'_>,
        step: usize,
        candidate: usize,
        entries: &mut Vec<(u32, u32)>,
    ) -> bool {
        let steps = self.steps;
        if steps[step].rest.is_empty() || entries.is_empty() {
            return true;
        }
        self.take(lists, step, candidate, entries);
        for rest in &steps[step].rest {
            if entries.is_empty() {
                return true;
            }
            let Some(held) = self.held(rest, entries.len()) else { return false };
            let taken = self.taken.iter_mut().filter(|taken| !taken.is_empty());
            taken.for_each(|taken| retain(taken, &held));
            retain(entries, &held);
        }
        true
    }

    /// Finds which rows entries have come by, as far back as conditions read.
    fn take(&mut self, lists: &Lists<'_>, step: usize, candidate: usize, entries: &[(u32, u32)]) {
        let reads = self.steps[step].rest.iter().flat_map(|rest| &rest.reads);
        let earliest =
            reads.filter_map(|read| if let Read::At { step, .. } = read { Some(*step) } else { None });
        let earliest = earliest.min().unwrap_or(step);
        self.taken.iter_mut().for_each(Vec::clear);
        self.taken[step].resize(entries.len(), candidate as u32);
        for (entry, _) in entries {
            let mut entry = *entry;
            for at in (earliest..step).rev() {
                let list = &lists.of[at];
                self.taken[at].push(list.candidates[list.place(entry)]);
                if at > earliest {
                    entry = lists.followed(at, entry);
                }
            }
        }
    }

    /// Of each entry whether a condition holds; `None`: it raises an error.
    fn held(&self, rest: &Rest, entries: usize) -> Option<Vec<bool>> {
        if entries < TOGETHER_MIN {
            let one = |place: usize| {
                rest.whole.evaluate_condition(&mut |slot: usize| {
                    Ok(match rest.reads[slot] {
                        Read::Nothing => Value::Null,
                        Read::At { step, column } => {
                            self.readers[step][column].value(self.taken[step][place] as usize)
                        }
                    })
                })
            };
            return (0..entries).map(one).collect::<Result<_, _>>().ok();
        }
        let slot = |(index, read): (usize, &Read)| -> Option<ArrayRef> {
            match read {
                Read::Nothing => {
                    Some(arrow_array::new_null_array(&rest.whole.leaves()[index].data_type(), entries))
                }
                Read::At { step, column } => {
                    let taken = UInt32Array::from(self.taken[*step].clone());
                    self.candidates[*step].columns.as_ref()?.gather(*column, &taken).ok()
                }
            }
        };
        let slots = rest.reads.iter().enumerate().map(slot).collect::<Option<Vec<ArrayRef>>>()?;
        debug_assert!(slots.iter().all(|slot| slot.len() == entries));
        Some(rest.whole.evaluate_mask(&slots, entries).ok()?.iter().collect())
    }
}
