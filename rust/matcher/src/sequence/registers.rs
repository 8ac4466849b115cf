//! What a run remembers for conditions that look back: values of rows it has taken, and running aggregates.

use std::collections::VecDeque;

use cepheid_eval::{EvalError, RunningAggregate, TypedAggregate, TypedExpr, Value};
use cepheid_ir::Anchor;

use super::compile::SequenceMatcher;
use super::tests::Projected;
use crate::automaton::VariableId;

/// Something that conditions read of rows taken before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lookback {
    pub(crate) what: Looked,
    /// `members[v]`: whether rows of variable `v` count.
    pub(crate) members: Vec<bool>,
    pub(crate) anchor: Anchor,
    pub(crate) offset: u32,
}

/// What is read of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// A column of the projection.
    Column(usize),
    /// The variable that took it.
    Classifier,
}

/// An aggregate that conditions read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fold {
    pub(crate) definition: TypedAggregate,
    pub(crate) members: Vec<bool>,
    /// Where the leaves of each argument come from.
    pub(crate) sources: Vec<Vec<Looked>>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registers {
    looks: Vec<Look>,
    folds: Vec<FoldState>,
    /// `opened[b]`: time and position of the first row of bounded part `b`.
    pub(crate) opened: Vec<(i64, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Look {
    rows: u64,
    /// Counted from the last row: the last `offset + 1` values. From the first: the one asked for, once it is there.
    kept: VecDeque<Value>,
}

#[derive(Clone, Debug)]
struct FoldState {
    aggregate: RunningAggregate,
    /// Why the arguments of a row could not be taken: an error only if the aggregate is then asked for.
    failed: Option<EvalError>,
}

impl Registers {
    pub(crate) fn new(matcher: &SequenceMatcher) -> Self {
        Self {
            looks: vec![Look::default(); matcher.lookbacks.len()],
            folds: matcher
                .folds
                .iter()
                .map(|fold| FoldState { aggregate: fold.definition.running_aggregate(), failed: None })
                .collect(),
            opened: vec![(0, 0); matcher.automaton.bounds.len()],
        }
    }

    /// Bytes, what DISTINCT and ARRAY_AGG gather apart: the same all its life.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.looks.len() * (size_of::<Look>() + 2 * size_of::<Value>())
            + self.folds.len() * (size_of::<FoldState>() + 2 * size_of::<Value>())
            + self.opened.len() * 16
    }

    /// Remembers a row that was taken for `variable`.
    pub(crate) fn take(
        &mut self,
        matcher: &SequenceMatcher,
        variable: VariableId,
        row: u32,
        rows: &dyn Projected,
    ) {
        for (look, state) in matcher.lookbacks.iter().zip(&mut self.looks) {
            if !look.members[variable as usize] {
                continue;
            }
            state.rows += 1;
            match look.anchor {
                Anchor::First if state.rows == u64::from(look.offset) + 1 => {
                    state.kept.push_back(matcher.looked(look.what, variable, row, rows));
                }
                Anchor::First => {}
                Anchor::Last => {
                    if state.kept.len() > look.offset as usize {
                        state.kept.pop_front();
                    }
                    state.kept.push_back(matcher.looked(look.what, variable, row, rows));
                }
            }
        }
        for (fold, state) in matcher.folds.iter().zip(&mut self.folds) {
            if fold.members[variable as usize] && state.failed.is_none() {
                state.failed = push(fold, &mut state.aggregate, matcher, variable, row, rows).err();
            }
        }
    }

    /// The value of a lookback; `tested`: the row under test counts, as one of this variable.
    pub(crate) fn look(
        &self,
        matcher: &SequenceMatcher,
        index: usize,
        tested: Option<(VariableId, u32, &dyn Projected)>,
    ) -> Value {
        let (look, state) = (&matcher.lookbacks[index], &self.looks[index]);
        let under_test = || match tested {
            Some((variable, row, rows)) => matcher.looked(look.what, variable, row, rows),
            None => Value::Null,
        };
        match look.anchor {
            Anchor::First => match state.kept.front() {
                Some(value) => value.clone(),
                None if state.rows == u64::from(look.offset) => under_test(),
                None => Value::Null,
            },
            Anchor::Last if tested.is_some() => match look.offset as usize {
                0 => under_test(),
                // The row under test is the last; `offset` rows before it is the `offset`-th last of those taken.
                offset => match state.kept.len().checked_sub(offset) {
                    Some(place) => state.kept[place].clone(),
                    None => Value::Null,
                },
            },
            Anchor::Last if state.kept.len() > look.offset as usize => state.kept[0].clone(),
            Anchor::Last => Value::Null,
        }
    }

    /// The value of an aggregate; `tested` as for [`look`](Self::look).
    pub(crate) fn fold(
        &self,
        matcher: &SequenceMatcher,
        index: usize,
        tested: Option<(VariableId, u32, &dyn Projected)>,
    ) -> Result<Value, EvalError> {
        let (fold, state) = (&matcher.folds[index], &self.folds[index]);
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        match tested {
            None => state.aggregate.value(),
            Some((variable, row, rows)) => {
                let mut aggregate = state.aggregate.clone();
                push(fold, &mut aggregate, matcher, variable, row, rows)?;
                aggregate.value()
            }
        }
    }
}

fn push(
    fold: &Fold,
    aggregate: &mut RunningAggregate,
    matcher: &SequenceMatcher,
    variable: VariableId,
    row: u32,
    rows: &dyn Projected,
) -> Result<(), EvalError> {
    let mut arguments = Vec::with_capacity(fold.definition.args.len());
    for (arg, sources) in fold.definition.args.iter().zip(&fold.sources) {
        let arg: &TypedExpr = arg;
        arguments.push(
            arg.evaluate_row(&mut |slot: usize| Ok(matcher.looked(sources[slot], variable, row, rows)))?,
        );
    }
    aggregate.push(&arguments);
    Ok(())
}
