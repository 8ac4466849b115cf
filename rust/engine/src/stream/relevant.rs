//! Which rows of a topic can matter to any rule: the others may be passed over by whoever replays a history, as long as the
//! clock is told of them.

use cepheid_event::MergedSchema;
use cepheid_ir::{BinaryOp, Expr, Literal};

use super::Engine;
use super::binding::{TIME, TOPIC};
use super::derived::DerivedTable;
use super::rule::Rule;
use super::rules::AnyRule;
use crate::error::EngineError;

impl Engine {
    /// What holds of every row of a topic that can matter to a rule, over the topic's own columns; `None`: any row can, or it
    /// is not known yet what columns the topic has.
    ///
    /// Without the other rows, the same is derived, if each of them moves the clock as it would have: see
    /// [`pass_over`](Self::pass_over).
    ///
    /// Cost: O(predicates of rules).
    pub fn relevant(&self, topic: &str) -> Option<Expr> {
        let columns = self.buffer.columns();
        let number = columns.topic(topic)?;
        columns.topic_schema(number)?;
        let mut wanted = vec![];
        for (level, stage) in self.stages().enumerate() {
            for rule in stage.all_rules() {
                if rule.topics().is_some_and(|topics| !topics.iter().any(|read| read == topic)) {
                    continue;
                }
                match rule {
                    // What is passed on to the rules of another level is passed on row by row.
                    _ if level > 0 => return None,
                    AnyRule::Pattern(rule) => wanted.extend(predicates(rule, columns, number)?),
                    AnyRule::Window(rule) => wanted.push(rule.spec.window.condition.clone()?),
                    AnyRule::Anomaly(rule) => wanted.push(rule.spec.condition.clone()?),
                    AnyRule::Processor(_) => return None,
                }
            }
        }
        Some(any_of(wanted))
    }

    /// Passes over rows of a topic, in the order of their times, of which is known that they cannot matter: the clock is
    /// moved by the first of them and the last, and rows after them are numbered as if they had been pushed. `None`: one of
    /// them would be late, or ahead of the guard, so that they have to be pushed; nothing has changed.
    ///
    /// # Errors
    /// [`EngineError`]; the engine is then as it was.
    pub fn pass_over(
        &mut self,
        topic: &str,
        rows: u64,
        times: (i64, i64),
        now_ns: Option<i64>,
    ) -> Result<Option<Vec<(String, DerivedTable)>>, EngineError> {
        // Of no rows it says how far a topic is, and nothing is let out by it.
        let due = if rows == 0 { self.buffer.take_due() } else { None };
        let prepared = self.buffer.prepare_passing(topic, rows, times, now_ns);
        let passed = prepared.map_err(EngineError::from).and_then(|prepared| match prepared {
            Some(prepared) => self.run(prepared).map(Some),
            None => Ok(None),
        });
        if rows == 0 {
            self.buffer.put_due(due);
        }
        passed
    }
}

/// What a pattern asks of single rows, over the columns of a topic; `None`: rows of which nothing of it holds can matter too.
fn predicates(rule: &Rule, columns: &MergedSchema, topic: u16) -> Option<Vec<Expr>> {
    let compiled = rule.compiled.as_ref()?;
    let matcher = compiled.matcher();
    let needed = compiled.needed.as_ref()?;
    let bound = &compiled.binding.schema;
    needed
        .iter()
        .map(|(number, _)| {
            let mut expr = matcher.predicates()[*number].source().clone();
            let mut is_known = true;
            expr.walk_mut(&mut |part| {
                let Expr::Column { name, quoted, at } = part else { return };
                if *at != Default::default() || name == TIME {
                    is_known = false;
                } else if name == TOPIC {
                    *part = Expr::Literal(Literal::Integer(i64::from(topic)));
                } else {
                    let place = bound.index_of(name).ok();
                    let merged = place.filter(|place| *place < columns.schema().fields().len());
                    let Some(own) = merged.map(|place| columns.schema().field(place).name().clone()) else {
                        is_known = false;
                        return;
                    };
                    if columns.column(columns.topic_name(topic), &own, true).ok() == merged {
                        (*name, *quoted) = (own, true);
                    } else {
                        // A column of other topics.
                        *part = Expr::Literal(Literal::Null);
                    }
                }
            });
            is_known.then(|| folded(expr))
        })
        .collect()
}

const FALSE: Expr = Expr::Literal(Literal::Boolean(false));
const TRUE: Expr = Expr::Literal(Literal::Boolean(true));

/// Disjunction of conditions, without those that never hold.
fn any_of(conditions: Vec<Expr>) -> Expr {
    let mut left: Vec<Expr> = vec![];
    for condition in conditions {
        if condition == TRUE {
            return TRUE;
        }
        if condition != FALSE && !left.contains(&condition) {
            left.push(condition);
        }
    }
    match left.len() {
        0 => FALSE,
        1 => left.remove(0),
        _ => Expr::Or(left),
    }
}

/// With what is known of the topic worked out: comparisons of its number, and what follows of them.
fn folded(expr: Expr) -> Expr {
    match expr {
        Expr::Binary { op: BinaryOp::Equal, ref left, ref right } => match (&**left, &**right) {
            (Expr::Literal(Literal::Integer(left)), Expr::Literal(Literal::Integer(right))) => {
                Expr::Literal(Literal::Boolean(left == right))
            }
            _ => expr,
        },
        Expr::And(parts) => {
            let mut left: Vec<Expr> = parts.into_iter().map(folded).filter(|part| *part != TRUE).collect();
            // What stands before may raise an error.
            if let Some(never) = left.iter().position(|part| *part == FALSE) {
                left.truncate(never + 1);
            }
            match left.len() {
                0 => TRUE,
                1 => left.remove(0),
                _ => Expr::And(left),
            }
        }
        Expr::Or(parts) => any_of(parts.into_iter().map(folded).collect()),
        other => other,
    }
}
