//! One spelling for each meaning, so that equal patterns are equal data with equal fingerprints.

use std::collections::{HashMap, HashSet};

use crate::expr::{Anchor, Expr, RowPointer, Semantics, TestedRow};
use crate::pattern::{Contiguity, Pattern, PatternNode, Quantifier, Selection, Step, Within};

impl Pattern {
    /// Rewrites to the one normal spelling of the same meaning.
    ///
    /// - strict sequences inside strict sequences, and alternations inside alternations, are spliced in;
    /// - a part repeated exactly once stands for itself;
    /// - AND inside AND and OR inside OR are spliced in; a chain of one is its operand;
    /// - conditions stand in the order in which the pattern names their variables;
    /// - in a condition, a pointer to the row under test by way of its own variable becomes the plain one, and
    ///   `Excluded` is dropped where the row under test could not have counted;
    /// - `FINAL` of a `FIRST` without offset is the same row as `RUNNING`, and is written as that;
    /// - a loop that says nothing of greed is greedy where one match is preferred; where every match is wanted, saying
    ///   it means more, and it stays as it was said;
    /// - in an until condition, where the row under test belongs to no variable, every named row is `Excluded`;
    /// - topics stand in the order of the variables;
    /// - an aggregate over all matches is over the whole of each.
    pub fn normalise(mut self) -> Self {
        self.root = normal_node(self.root, self.selection);
        normal_untils(&mut self.root);
        let variables = self.root.variables().into_iter().map(str::to_owned);
        let places: std::collections::HashMap<String, usize> = variables.zip(0..).collect();
        self.define.sort_by_key(|definition| places.get(&definition.variable).copied());
        self.topics.sort_by_key(|topic| places.get(&topic.variable).copied());
        let mut unions: HashMap<String, HashSet<String>> = HashMap::new();
        for subset in &self.subsets {
            for variable in &subset.variables {
                unions.entry(variable.clone()).or_default().insert(subset.name.clone());
            }
        }
        for definition in &mut self.define {
            let variable = definition.variable.clone();
            // Whether a name stands for the variable under test, alone or among others.
            let holds = |name: &str| {
                name == variable || unions.get(&variable).is_some_and(|subsets| subsets.contains(name))
            };
            definition.condition.walk_mut(&mut |expr| match expr {
                Expr::Column { at, .. } | Expr::Classifier { at } => {
                    let own = at.variable.as_deref().is_some_and(holds);
                    normal_condition_pointer(at, own);
                }
                Expr::Aggregate(aggregate) => {
                    let counts = aggregate.variable.as_deref().is_none_or(holds);
                    if !counts {
                        aggregate.tested_row = TestedRow::Included;
                    }
                }
                _ => {}
            });
        }
        let expressions = self
            .define
            .iter_mut()
            .map(|d| &mut d.condition)
            .chain(self.measures.iter_mut().map(|m| &mut m.value))
            .chain(&mut self.having)
            .chain(self.emit_at.iter_mut().flat_map(|e| &mut e.measures).map(|m| &mut m.value));
        for expression in expressions {
            expression.walk_mut(&mut normal_expr);
        }
        if let Some(trend) = &mut self.trend {
            trend.normalise();
            trend.values.iter_mut().for_each(|value| value.value.walk_mut(&mut normal_expr));
        }
        self
    }
}

/// A pointer in the condition of a variable; `own`: its variable (or subset) includes the variable under test.
fn normal_condition_pointer(at: &mut RowPointer, own: bool) {
    if at.variable.is_some() && !own {
        at.tested_row = TestedRow::Included;
    }
    let is_row_under_test = own
        && at.tested_row == TestedRow::Included
        && at.anchor == Anchor::Last
        && at.logical_offset == 0
        && at.semantics == Semantics::Running;
    if is_row_under_test {
        at.variable = None;
    }
}

fn normal_expr(expr: &mut Expr) {
    match expr {
        // Not the same if the variable has no row yet: only the universal variable always has.
        Expr::Column { at, .. } | Expr::Classifier { at }
            if at.anchor == Anchor::First
                && at.logical_offset == 0
                && at.semantics == Semantics::Final
                && at.variable.is_none() =>
        {
            at.semantics = Semantics::Running;
        }
        Expr::And(args) => splice(args, |arg| if let Expr::And(inner) = arg { Ok(inner) } else { Err(arg) }),
        Expr::Or(args) => splice(args, |arg| if let Expr::Or(inner) = arg { Ok(inner) } else { Err(arg) }),
        _ => {}
    }
    if let Expr::And(args) | Expr::Or(args) = expr
        && args.len() == 1
    {
        *expr = args.pop().expect("one operand");
    }
}

fn splice(args: &mut Vec<Expr>, open: fn(Expr) -> Result<Vec<Expr>, Expr>) {
    let old = std::mem::take(args);
    for arg in old {
        match open(arg) {
            Ok(inner) => args.extend(inner),
            Err(arg) => args.push(arg),
        }
    }
}

fn normal_untils(node: &mut PatternNode) {
    if let PatternNode::Quantified { quantifier, .. } = node
        && let Some(until) = &mut quantifier.until
    {
        until.walk_mut(&mut |expr| {
            match expr {
                Expr::Column { at, .. } | Expr::Classifier { at } if at.variable.is_some() => {
                    at.tested_row = TestedRow::Excluded;
                }
                Expr::Aggregate(aggregate) if aggregate.variable.is_some() => {
                    aggregate.tested_row = TestedRow::Excluded;
                }
                _ => {}
            }
            normal_expr(expr);
        });
    }
    node.children_mut().into_iter().for_each(normal_untils);
}

fn normal_node(node: PatternNode, selection: Selection) -> PatternNode {
    let normal_node = |node| normal_node(node, selection);
    match node {
        PatternNode::Sequence(steps) => {
            let mut flat: Vec<Step> = Vec::with_capacity(steps.len());
            for step in steps {
                match normal_node(step.node) {
                    PatternNode::Sequence(inner) => {
                        // The relation to an inner sequence is that of its first step.
                        for (position, mut inner_step) in inner.into_iter().enumerate() {
                            if position == 0 {
                                inner_step.contiguity = step.contiguity;
                            }
                            flat.push(inner_step);
                        }
                    }
                    node => flat.push(Step { contiguity: step.contiguity, node }),
                }
            }
            if let Some(first) = flat.first_mut() {
                first.contiguity = Contiguity::Strict;
            }
            if flat.len() == 1 { flat.pop().expect("one step").node } else { PatternNode::Sequence(flat) }
        }
        PatternNode::Alternation(parts) => {
            let mut flat = Vec::with_capacity(parts.len());
            for part in parts {
                match normal_node(part) {
                    PatternNode::Alternation(inner) => flat.extend(inner),
                    part => flat.push(part),
                }
            }
            if flat.len() == 1 { flat.pop().expect("one part") } else { PatternNode::Alternation(flat) }
        }
        PatternNode::Permute { parts, contiguity } => {
            let mut parts: Vec<_> = parts.into_iter().map(normal_node).collect();
            if parts.len() == 1 {
                parts.pop().expect("one part")
            } else {
                PatternNode::Permute { parts, contiguity }
            }
        }
        PatternNode::Quantified { node, quantifier } => {
            let node = normal_node(*node);
            match quantifier {
                Quantifier { min: 1, max: Some(1), until: None, .. } => node,
                mut quantifier => {
                    quantifier.greedy = match selection {
                        Selection::First => Some(quantifier.is_greedy()),
                        Selection::All => quantifier.greedy,
                    };
                    PatternNode::Quantified { node: Box::new(node), quantifier }
                }
            }
        }
        PatternNode::Exclusion(node) => PatternNode::Exclusion(Box::new(normal_node(*node))),
        PatternNode::Bounded { within: Within::Unbounded, node, .. } => normal_node(*node),
        PatternNode::Bounded { node, within, between } => {
            PatternNode::Bounded { node: Box::new(normal_node(*node)), within, between }
        }
        PatternNode::Variable(_)
        | PatternNode::Absent { .. }
        | PatternNode::Anchor(_)
        | PatternNode::Empty => node,
    }
}
