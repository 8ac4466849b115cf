//! What each variable's condition needs: nothing, columns only, or the run.

use std::borrow::Cow;

use arrow_schema::Schema;
use cepheid_eval::{Leaf, TypedExpr};
use cepheid_ir::{Expr, Literal, Pattern};

use crate::error::MatchError;

/// Conditions of a pattern, compiled against a schema.
#[derive(Debug)]
pub struct Conditions {
    /// `of[v]`: the condition of variable `v`.
    pub of: Vec<Condition>,
    /// Conditions that need no run, each distinct one once.
    pub predicates: Vec<TypedExpr>,
}

/// The condition of one variable.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Every row satisfies it.
    Always,
    /// It reads only rows at fixed distances from the row under test: a mask can be made of it beforehand.
    Predicate(usize),
    /// It reads the run.
    Run {
        /// The whole condition.
        whole: TypedExpr,
        /// A predicate that must hold as well, worked out beforehand from the condition's leading conjuncts.
        guard: Option<usize>,
    },
}

impl Conditions {
    /// Compiles and sorts the conditions of `variables`.
    ///
    /// # Errors
    /// [`MatchError::Condition`] for types and names that do not fit the schema.
    pub fn compile(pattern: &Pattern, variables: &[String], schema: &Schema) -> Result<Self, MatchError> {
        let mut sorted = Self { of: Vec::with_capacity(variables.len()), predicates: vec![] };
        for variable in variables {
            let condition = match pattern.condition(variable) {
                None | Some(Expr::Literal(Literal::Boolean(true))) => Condition::Always,
                Some(condition) => {
                    sorted.sort(&name_row_under_test(condition, variable), variable, schema)?
                }
            };
            sorted.of.push(condition);
        }
        Ok(sorted)
    }

    fn sort(&mut self, condition: &Expr, variable: &str, schema: &Schema) -> Result<Condition, MatchError> {
        let compile = |expr: &Expr| {
            TypedExpr::compile_condition(expr, schema).map_err(|source| MatchError::Condition {
                variable: variable.to_owned(),
                source: Box::new(source),
            })
        };
        let whole = compile(condition)?;
        if needs_no_run(condition) {
            return Ok(Condition::Predicate(self.predicate(whole)));
        }
        // Conjuncts are tested left to right: those in front of the first that needs the run may be tested
        // beforehand, without an error coming up that the search would not have met, or getting lost.
        let guard = match condition {
            Expr::And(conjuncts) => {
                let leading: Vec<Expr> = conjuncts.iter().take_while(|c| needs_no_run(c)).cloned().collect();
                match leading.len() {
                    0 => None,
                    1 => Some(compile(&leading[0])?),
                    _ => Some(compile(&Expr::And(leading))?),
                }
            }
            _ => None,
        };
        let guard = guard.map(|guard| self.predicate(guard));
        Ok(Condition::Run { whole, guard })
    }

    fn predicate(&mut self, predicate: TypedExpr) -> usize {
        self.predicates.iter().position(|known| *known == predicate).unwrap_or_else(|| {
            self.predicates.push(predicate);
            self.predicates.len() - 1
        })
    }

    /// Whether no condition reads the run.
    pub fn need_no_run(&self) -> bool {
        !self.of.iter().any(|condition| matches!(condition, Condition::Run { .. }))
    }
}

/// `CLASSIFIER()` of the row under test is known: its variable.
fn name_row_under_test<'a>(condition: &'a Expr, variable: &str) -> Cow<'a, Expr> {
    let is_asked = |expr: &Expr| matches!(expr, Expr::Classifier { at } if at.is_default());
    let mut asks = false;
    condition.walk(&mut |expr| asks |= is_asked(expr));
    if !asks {
        return Cow::Borrowed(condition);
    }
    let mut named = condition.clone();
    named.walk_mut(&mut |expr| {
        if is_asked(expr) {
            *expr = Expr::literal(variable);
        }
    });
    Cow::Owned(named)
}

pub(crate) fn needs_no_run(condition: &Expr) -> bool {
    let mut free = true;
    condition.walk(&mut |expr| match expr {
        Expr::Column { at, .. } => free &= at.is_physical(),
        Expr::Classifier { .. } | Expr::MatchNumber | Expr::Aggregate(_) => free = false,
        _ => {}
    });
    free
}

/// The column and the distance from the row under test that a predicate's leaf reads.
pub(crate) fn physical_leaf(leaf: &Leaf) -> (usize, i64) {
    match leaf {
        Leaf::Column { index, at, .. } if at.is_physical() => (*index, at.physical_offset),
        other => unreachable!("a predicate reads columns of rows at fixed distances only, not {other:?}"),
    }
}
