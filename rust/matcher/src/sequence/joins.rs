//! Conditions that compare something of the row with something the run knows: found once, so that runs that wait can be
//! indexed by what they know.
//!
//! What a run knows (values of rows it has taken, aggregates of them) does not change while it waits. A conjunct
//! `row side op run side` of a condition is therefore decided by one number a run and one a row, whatever else the
//! condition says: where it does not hold, the condition does not.

use cepheid_eval::{EvalError, Leaf, OrderCode, TypedExpr, Value};
use cepheid_ir::{AggregateFunction, Anchor, BinaryOp, Expr};

use super::compile::SequenceMatcher;
use super::registers::Registers;
use super::tests::{Asked, Slots, Test, TestSource};
use crate::automaton::VariableId;
use crate::conditions::needs_no_run;
use crate::error::MatchError;

/// What a run brings to a comparison.
#[derive(Clone, Debug)]
pub(crate) struct RunSide {
    pub(crate) whole: TypedExpr,
    sources: Vec<TestSource>,
    /// The variable under test, where rows are counted from its own.
    tested: Option<VariableId>,
    pub(crate) code: OrderCode,
}

/// A conjunct of a test that compares the row with what the run knows.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    /// Index into [`SequenceMatcher::run_sides`].
    pub(crate) run_side: usize,
    /// How the row's side, on the left, compares.
    pub(crate) op: BinaryOp,
    pub(crate) row: TypedExpr,
    sources: Vec<TestSource>,
    tested: Option<VariableId>,
    /// A conjunct further on may raise an error, and is asked where this one is NULL: NULL counts as holding.
    pub(crate) nulls_matter: bool,
}

impl SequenceMatcher {
    /// The joins of a test, in the order in which they are written.
    pub(crate) fn joins_of(
        &mut self,
        test: &Test,
        tested: Option<VariableId>,
        schema: &arrow_schema::Schema,
    ) -> Result<Vec<Join>, MatchError> {
        let Test::Run { whole, guard, .. } = test else { return Ok(vec![]) };
        let mut conjuncts = vec![];
        flatten(whole.source(), &mut conjuncts);
        let parts: Vec<TypedExpr> = conjuncts
            .iter()
            .map(|conjunct| TypedExpr::compile_condition(conjunct, schema))
            .collect::<Result<_, _>>()
            .unwrap_or_default();
        // The guard's conjuncts stand first, and are asked by themselves.
        let mut guarded = vec![];
        if let (Some(_), Expr::And(parts)) = (guard, whole.source()) {
            let leading = parts.iter().take_while(|part| needs_no_run(part));
            leading.for_each(|part| flatten(part, &mut guarded));
        }
        let guarded = guarded.len();
        let mut joins = vec![];
        for (place, part) in parts.iter().enumerate().skip(guarded) {
            if let Some(join) = self.join(conjuncts[place], tested, schema)? {
                let nulls_matter = !parts[place + 1..].iter().all(never_fails);
                joins.push(Join { nulls_matter, ..join });
            }
            // What stands in front of a join is asked of every run, and might raise an error.
            if !never_fails(part) {
                break;
            }
        }
        Ok(joins)
    }

    fn join(
        &mut self,
        conjunct: &Expr,
        tested: Option<VariableId>,
        schema: &arrow_schema::Schema,
    ) -> Result<Option<Join>, MatchError> {
        use BinaryOp::*;
        let Expr::Binary { op, left, right } = conjunct else { return Ok(None) };
        if !matches!(op, Equal | Less | LessOrEqual | Greater | GreaterOrEqual) {
            return Ok(None);
        }
        let (Ok(left), Ok(right)) = (TypedExpr::compile(left, schema), TypedExpr::compile(right, schema))
        else {
            return Ok(None);
        };
        let Some(code) = OrderCode::of(left.data_type(), right.data_type()) else { return Ok(None) };
        let (of_left, of_right) = (self.sources(&left, tested)?, self.sources(&right, tested)?);
        let op = *op;
        let (row, sources, op, run, of_run) = if self.is_of_row(&of_left) && self.is_of_run(&of_right) {
            (left, of_left, op, right, of_right)
        } else if self.is_of_row(&of_right) && self.is_of_run(&of_left) {
            (right, of_right, op.mirrored(), left, of_left)
        } else {
            return Ok(None);
        };
        let counts_own =
            of_run.iter().any(|source| matches!(source, TestSource::Lookback { includes: true, .. }));
        let from = tested.filter(|_| counts_own);
        let known = self
            .run_sides
            .iter()
            .position(|side| side.whole == run && side.code == code && side.tested == from);
        let run_side = known.unwrap_or_else(|| {
            self.run_sides.push(RunSide { whole: run, sources: of_run, tested: from, code });
            self.run_sides.len() - 1
        });
        Ok(Some(Join { run_side, op, row, sources, tested, nulls_matter: true }))
    }

    /// Whether the row under test settles an expression.
    fn is_of_row(&self, sources: &[TestSource]) -> bool {
        !sources.is_empty()
            && sources.iter().all(|source| match source {
                TestSource::UnderTest(_) => true,
                TestSource::Lookback { index, includes } => {
                    let look = &self.lookbacks[*index];
                    *includes && look.anchor == Anchor::Last && look.offset == 0
                }
                TestSource::Fold { .. } => false,
            })
    }

    /// Whether what a run knows while it waits settles an expression.
    fn is_of_run(&self, sources: &[TestSource]) -> bool {
        !sources.is_empty()
            && sources.iter().all(|source| match source {
                // One row before the row under test is the last row taken.
                TestSource::Lookback { index, includes } => {
                    let look = &self.lookbacks[*index];
                    !includes || look.anchor == Anchor::Last && look.offset > 0
                }
                TestSource::Fold { includes, .. } => !includes,
                TestSource::UnderTest(_) => false,
            })
    }

    /// What a run brings to a comparison.
    pub(crate) fn known_to_run(&self, side: &RunSide, registers: &Registers) -> Result<Value, EvalError> {
        let nothing = super::tests::NoRows;
        let mut slots = Slots {
            matcher: self,
            rows: &nothing,
            sources: &side.sources,
            tested: side.tested,
            row: 0,
            registers,
        };
        side.whole.evaluate_row(&mut slots)
    }

    /// What the row at `position` brings to a comparison.
    pub(crate) fn known_of_row(
        &self,
        join: &Join,
        asked: &Asked<'_>,
        position: u32,
    ) -> Result<Value, EvalError> {
        if let (true, [source]) = (join.row.is_leaf(), &*join.sources) {
            return asked.slot(*source, join.tested, position, &self.no_registers);
        }
        join.row.evaluate_row(&mut |index: usize| {
            asked.slot(join.sources[index], join.tested, position, &self.no_registers)
        })
    }
}

/// Whether asking a conjunct raises no error, whatever the run.
pub(crate) fn never_fails(conjunct: &TypedExpr) -> bool {
    use AggregateFunction::{Count, Max, Min};
    conjunct.never_fails()
        && conjunct.leaves().iter().all(|leaf| match leaf {
            Leaf::Aggregate(aggregate) => {
                matches!(aggregate.function, Count | Min | Max)
                    && aggregate.args.iter().all(TypedExpr::never_fails)
            }
            _ => true,
        })
}

/// Conjuncts in the order in which they are asked.
pub(crate) fn flatten<'e>(condition: &'e Expr, conjuncts: &mut Vec<&'e Expr>) {
    match condition {
        Expr::And(parts) => parts.iter().for_each(|part| flatten(part, conjuncts)),
        other => conjuncts.push(other),
    }
}
