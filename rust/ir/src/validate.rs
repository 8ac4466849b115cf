//! Every rule that can be checked without data, one function each.

use std::collections::HashSet;

use crate::absence::absences_possible;
use crate::error::PatternError;
use crate::expr::{Expr, Semantics, TestedRow};
use crate::limits;
use crate::pattern::{
    AfterMatchSkip, Between, EmptyMatches, OutputColumns, Pattern, PatternNode, RowsPerMatch, Within,
};
use crate::trend::trend_possible;
use crate::window_aggregate::aggregates_of_matches;

impl Pattern {
    /// Checks everything that can be checked without data.
    ///
    /// # Errors
    /// The first rule broken, in the order of this function.
    pub fn validate(&self) -> Result<(), PatternError> {
        size_within_limits(self)?;
        parts_complete(&self.root)?;
        names_not_empty(self)?;
        quantifiers_possible(&self.root)?;
        events_named_once(self)?;
        subsets_well_named(self)?;
        definitions_match_variables(self)?;
        measures_named_once(self)?;
        topics_of_variables(self)?;
        skip_target_exists(self)?;
        within_measurable(self)?;
        bounds_possible(&self.root, Windows::default().inside(self.within))?;
        absences_possible(self)?;
        clauses_agree(self)?;
        trend_possible(self)?;
        aggregates_of_matches(self)?;
        let names = self.names();
        for definition in &self.define {
            let context = format!("the condition of `{}`", definition.variable);
            expression_well_formed(self, &names, &definition.condition, &context, Place::Condition)?;
        }
        for measure in &self.measures {
            let context = format!("measure `{}`", measure.name);
            expression_well_formed(self, &names, &measure.value, &context, Place::Measure)?;
        }
        for until in self.root.untils() {
            expression_well_formed(self, &names, until, "an until condition", Place::Condition)?;
        }
        for value in self.trend.iter().flat_map(|trend| &trend.values) {
            let context = format!("aggregate `{}`", value.name);
            expression_well_formed(self, &names, &value.value, &context, Place::Measure)?;
        }
        if let Some(having) = &self.having {
            expression_well_formed(self, &names, having, "HAVING", Place::Measure)?;
        }
        for emitted in &self.emit_at {
            for measure in &emitted.measures {
                let context = format!("measure `{}` of `{}`", measure.name, emitted.topic);
                expression_well_formed(self, &names, &measure.value, &context, Place::Measure)?;
            }
        }
        Ok(())
    }

    /// Every expression.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let values = self.trend.iter().flat_map(|trend| &trend.values);
        let measures = self.emit_at.iter().flat_map(|e| &e.measures).chain(&self.measures).chain(values);
        let conditions = self.define.iter().map(|d| &d.condition);
        conditions.chain(measures.map(|m| &m.value)).chain(self.root.untils()).chain(&self.having)
    }

    /// Variables and subsets, found once for all expressions.
    fn names(&self) -> HashSet<&str> {
        self.root
            .variables()
            .into_iter()
            .chain(self.subsets.iter().map(|subset| subset.name.as_str()))
            .collect()
    }

    /// Variables and subsets, for messages.
    fn known_names(&self) -> Vec<String> {
        let variables = self.root.variables().into_iter().map(str::to_owned);
        variables.chain(self.subsets.iter().map(|subset| subset.name.clone())).collect()
    }
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), PatternError> {
    if found > limit { Err(PatternError::LimitExceeded { what, found, limit }) } else { Ok(()) }
}

fn size_within_limits(pattern: &Pattern) -> Result<(), PatternError> {
    limit("levels of nesting", pattern.root.depth(), limits::PATTERN_DEPTH_MAX)?;
    limit("variables", pattern.root.variables().len(), limits::VARIABLES_MAX)?;
    limit("measures", pattern.measures.len(), limits::CLAUSE_ITEMS_MAX)?;
    limit("subsets", pattern.subsets.len(), limits::CLAUSE_ITEMS_MAX)?;
    limit("definitions", pattern.define.len(), limits::CLAUSE_ITEMS_MAX)?;
    limit("partition columns", pattern.partition_by.len(), limits::CLAUSE_ITEMS_MAX)?;
    limit("order keys", pattern.order_by.len(), limits::CLAUSE_ITEMS_MAX)?;
    limit("single-row steps, counts written out,", expanded_size(&pattern.root)?, limits::STEPS_MAX)?;
    limit("intermediate outputs", pattern.emit_at.len(), limits::CLAUSE_ITEMS_MAX)?;
    limit("topics", pattern.topics.len(), limits::VARIABLES_MAX)?;
    let values = pattern.trend.iter().flat_map(|trend| &trend.values);
    limit("aggregates", values.count(), limits::CLAUSE_ITEMS_MAX)?;
    for expression in pattern.expressions() {
        limit("levels of nesting in an expression", expression.depth(), limits::EXPR_DEPTH_MAX)?;
    }
    Ok(())
}

/// Single-row steps once every count and permutation is written out.
fn expanded_size(node: &PatternNode) -> Result<usize, PatternError> {
    let mut inner = 0_usize;
    for child in node.children() {
        inner = inner.saturating_add(expanded_size(child)?);
    }
    Ok(match node {
        PatternNode::Variable(_) => 1,
        PatternNode::Quantified { quantifier, .. } => {
            let copies = quantifier.max.unwrap_or(quantifier.min).max(1);
            limit("repetitions of a part", copies as usize, limits::REPEAT_MAX as usize)?;
            inner.saturating_mul(copies as usize)
        }
        PatternNode::Permute { parts, .. } => {
            limit("parts in a PERMUTE", parts.len(), limits::PERMUTE_PARTS_MAX)?;
            inner.saturating_mul((1..=parts.len()).product())
        }
        _ => inner,
    })
}

fn parts_complete(node: &PatternNode) -> Result<(), PatternError> {
    let (what, found) = match node {
        PatternNode::Sequence(steps) => ("sequence", steps.len()),
        PatternNode::Alternation(parts) => ("alternation", parts.len()),
        PatternNode::Permute { parts, .. } => ("permutation", parts.len()),
        _ => ("part", 2),
    };
    if found < 2 {
        return Err(PatternError::TooFewParts { what, needed: 2 });
    }
    node.children().into_iter().try_for_each(parts_complete)
}

fn names_not_empty(pattern: &Pattern) -> Result<(), PatternError> {
    let variables = pattern.root.variables();
    let emitted = pattern.emit_at.iter().flat_map(|entry| &entry.measures);
    let values = pattern.trend.iter().flat_map(|trend| &trend.values);
    let topics = pattern.topics.iter().map(|entry| entry.topic.as_str());
    let named: [(&'static str, Vec<&str>); 5] = [
        ("variable", variables),
        ("topic", topics.chain(pattern.emit_at.iter().map(|entry| entry.topic.as_str())).collect()),
        ("subset", pattern.subsets.iter().map(|s| s.name.as_str()).collect()),
        ("measure", pattern.measures.iter().chain(emitted).chain(values).map(|m| m.name.as_str()).collect()),
        (
            "column",
            pattern
                .partition_by
                .iter()
                .chain(pattern.order_by.iter().map(|k| &k.column))
                .map(|c| c.name.as_str())
                .collect(),
        ),
    ];
    for (what, names) in named {
        if names.iter().any(|name| name.is_empty()) {
            return Err(PatternError::EmptyName { what });
        }
    }
    Ok(())
}

fn quantifiers_possible(root: &PatternNode) -> Result<(), PatternError> {
    let mut found = Ok(());
    root.walk(&mut |node| {
        if let PatternNode::Quantified { quantifier, .. } = node
            && let Some(max) = quantifier.max
            && (max < 1 || max < quantifier.min)
            && found.is_ok()
        {
            found = Err(PatternError::InvalidQuantifier { min: quantifier.min, max });
        }
    });
    found
}

/// SQL may use a variable in several places of a pattern; in the algebra an event is an object with conditions.
fn events_named_once(pattern: &Pattern) -> Result<(), PatternError> {
    if pattern.output == OutputColumns::Standard {
        return Ok(());
    }
    let mut seen = HashSet::new();
    let mut twice = None;
    pattern.root.walk(&mut |node| {
        if let PatternNode::Variable(name) | PatternNode::Absent { variable: name, .. } = node
            && !seen.insert(name)
        {
            twice.get_or_insert_with(|| name.clone());
        }
    });
    twice.map_or(Ok(()), |name| Err(PatternError::DuplicateVariable { name }))
}

fn subsets_well_named(pattern: &Pattern) -> Result<(), PatternError> {
    let variables = pattern.root.variables();
    let members: HashSet<&str> = variables.iter().copied().collect();
    let mut taken = members.clone();
    for subset in &pattern.subsets {
        if !taken.insert(&subset.name) {
            return Err(PatternError::SubsetNameTaken { name: subset.name.clone() });
        }
        if subset.variables.is_empty() {
            return Err(PatternError::TooFewParts { what: "subset", needed: 1 });
        }
        for name in &subset.variables {
            if !members.contains(name.as_str()) {
                return Err(PatternError::UnknownVariable {
                    context: format!("SUBSET `{}`", subset.name),
                    name: name.clone(),
                    known: variables.iter().map(|v| (*v).to_owned()).collect(),
                });
            }
        }
    }
    Ok(())
}

fn definitions_match_variables(pattern: &Pattern) -> Result<(), PatternError> {
    let variables: HashSet<&str> = pattern.root.variables().into_iter().collect();
    let mut defined = HashSet::new();
    for definition in &pattern.define {
        if !variables.contains(definition.variable.as_str()) {
            return Err(PatternError::UndefinedVariable {
                name: definition.variable.clone(),
                known: pattern.root.variables().into_iter().map(str::to_owned).collect(),
            });
        }
        if !defined.insert(&definition.variable) {
            return Err(PatternError::DuplicateDefinition { name: definition.variable.clone() });
        }
    }
    Ok(())
}

fn measures_named_once(pattern: &Pattern) -> Result<(), PatternError> {
    let values = pattern.trend.iter().map(|trend| &trend.values);
    let lists =
        pattern.emit_at.iter().map(|emitted| &emitted.measures).chain([&pattern.measures]).chain(values);
    for measures in lists {
        let mut seen = HashSet::new();
        for measure in measures {
            if !seen.insert(&measure.name) {
                return Err(PatternError::DuplicateMeasure { name: measure.name.clone() });
            }
        }
    }
    Ok(())
}

/// Topics and intermediate outputs are of variables that there are.
fn topics_of_variables(pattern: &Pattern) -> Result<(), PatternError> {
    let absent = pattern.root.absent_variables();
    let variables: HashSet<&str> = pattern.root.variables().into_iter().collect();
    let unknown = |context: String, name: &str| PatternError::UnknownVariable {
        context,
        name: name.to_owned(),
        known: pattern.root.variables().into_iter().map(str::to_owned).collect(),
    };
    for entry in &pattern.topics {
        if !variables.contains(entry.variable.as_str()) {
            return Err(unknown(format!("topic `{}`", entry.topic), &entry.variable));
        }
    }
    for entry in &pattern.emit_at {
        if !variables.contains(entry.variable.as_str()) || absent.contains(&entry.variable.as_str()) {
            return Err(unknown(format!("the intermediate output `{}`", entry.topic), &entry.variable));
        }
    }
    Ok(())
}

fn skip_target_exists(pattern: &Pattern) -> Result<(), PatternError> {
    if let AfterMatchSkip::ToVariable { variable, .. } = &pattern.after_match {
        let absent = pattern.root.absent_variables();
        let mut known = pattern.known_names();
        known.retain(|name| !absent.contains(&name.as_str()));
        if !known.contains(variable) {
            return Err(PatternError::UnknownSkipTarget { name: variable.clone(), known });
        }
    }
    Ok(())
}

fn within_measurable(pattern: &Pattern) -> Result<(), PatternError> {
    match pattern.within {
        Some(Within::Time { nanoseconds }) if nanoseconds <= 0 => Err(PatternError::InvalidWithin),
        // In the algebra the time may be named when the pattern is run.
        Some(Within::Time { .. })
            if pattern.order_by.is_empty() && pattern.empty_matches == EmptyMatches::Allowed =>
        {
            Err(PatternError::WithinNeedsOrder)
        }
        _ => Ok(()),
    }
}

/// The bounds from first row to last that hold at a place, the tightest of each unit.
#[derive(Clone, Copy, Default)]
struct Windows {
    nanoseconds: Option<i64>,
    rows: Option<u64>,
}

impl Windows {
    fn inside(self, within: Option<Within>) -> Self {
        match within {
            Some(Within::Time { nanoseconds }) => {
                let tightest = self.nanoseconds.map_or(nanoseconds, |around| around.min(nanoseconds));
                Self { nanoseconds: Some(tightest), ..self }
            }
            Some(Within::Rows(rows)) => {
                Self { rows: Some(self.rows.map_or(rows, |around| around.min(rows))), ..self }
            }
            Some(Within::Unbounded) | None => self,
        }
    }

    fn hold(self, gap: Within) -> bool {
        match gap {
            Within::Time { nanoseconds } => self.nanoseconds.is_none_or(|window| nanoseconds <= window),
            Within::Rows(rows) => self.rows.is_none_or(|window| rows <= window),
            Within::Unbounded => true,
        }
    }
}

/// Bounds of parts; `around`: those that hold for what they stand in.
fn bounds_possible(node: &PatternNode, around: Windows) -> Result<(), PatternError> {
    let mut inside = around;
    if let PatternNode::Bounded { within, between, .. } = node {
        if matches!(within, Within::Time { nanoseconds } if *nanoseconds <= 0) {
            return Err(PatternError::InvalidWithin);
        }
        match between {
            Between::Neighbours if !around.hold(*within) => return Err(PatternError::GapExceedsWindow),
            Between::Neighbours => {}
            Between::FirstToLast => inside = around.inside(Some(*within)),
        }
    }
    node.children().into_iter().try_for_each(|child| bounds_possible(child, inside))
}

fn clauses_agree(pattern: &Pattern) -> Result<(), PatternError> {
    let mut excludes = false;
    pattern.root.walk(&mut |node| excludes |= matches!(node, PatternNode::Exclusion(_)));
    if excludes && pattern.rows_per_match == RowsPerMatch::AllWithUnmatched {
        return Err(PatternError::ConflictingClauses {
            first: "an exclusion {- -}",
            second: "WITH UNMATCHED ROWS",
            reason: "an excluded row is neither matched nor unmatched",
        });
    }
    Ok(())
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Condition,
    Measure,
    AggregateArgument,
}

/// What can be said of an expression that stands in no pattern. `measure`: it may ask for aggregates.
pub(crate) fn expression_alone_well_formed(
    expr: &Expr,
    context: &str,
    measure: bool,
) -> Result<(), PatternError> {
    let place = if measure { Place::Measure } else { Place::Condition };
    let without_variables = Pattern::algebra(PatternNode::Empty);
    expression_well_formed(&without_variables, &HashSet::new(), expr, context, place)
}

fn expression_well_formed(
    pattern: &Pattern,
    names: &HashSet<&str>,
    expr: &Expr,
    context: &str,
    place: Place,
) -> Result<(), PatternError> {
    let invalid = |problem: String| PatternError::InvalidExpression { context: context.to_owned(), problem };
    let known_variable = |name: &Option<String>| match name {
        None => Ok(()),
        Some(name) if names.contains(name.as_str()) => Ok(()),
        Some(name) => Err(PatternError::UnknownVariable {
            context: context.to_owned(),
            name: name.clone(),
            known: pattern.known_names(),
        }),
    };
    match expr {
        Expr::Column { name, at, .. } => {
            if name.is_empty() {
                return Err(PatternError::EmptyName { what: "column" });
            }
            if place == Place::AggregateArgument && !at.is_default() {
                return Err(invalid(
                    "inside an aggregate a column is that of the aggregated row; navigation cannot stand there".into(),
                ));
            }
            if place == Place::Condition && at.semantics == Semantics::Final {
                return Err(invalid(
                    "FINAL has no meaning in a condition; the match is not finished yet".into(),
                ));
            }
            if place == Place::Measure && at.tested_row == TestedRow::Excluded {
                return Err(invalid("no row is under test in a measure".into()));
            }
            known_variable(&at.variable)?;
        }
        Expr::Classifier { at } => {
            if place == Place::AggregateArgument && !at.is_default() {
                return Err(invalid(
                    "inside an aggregate CLASSIFIER() is that of the aggregated row; it takes no argument there".into(),
                ));
            }
            if place == Place::Condition && at.semantics == Semantics::Final {
                return Err(invalid(
                    "FINAL has no meaning in a condition; the match is not finished yet".into(),
                ));
            }
            known_variable(&at.variable)?;
        }
        Expr::Aggregate(aggregate) => {
            if place == Place::AggregateArgument {
                return Err(invalid("an aggregate cannot stand inside an aggregate".into()));
            }
            if place == Place::Condition && aggregate.semantics == Semantics::Final {
                return Err(invalid(
                    "FINAL has no meaning in a condition; the match is not finished yet".into(),
                ));
            }
            let (least, most) = aggregate.function.arity();
            if aggregate.args.len() < least || aggregate.args.len() > most {
                return Err(invalid(format!(
                    "{}() takes {least} to {most} arguments, not {}",
                    aggregate.function.name(),
                    aggregate.args.len()
                )));
            }
            if aggregate.distinct && aggregate.args.is_empty() {
                return Err(invalid("COUNT(DISTINCT *) has no meaning; name a column".into()));
            }
            if let Some(problem) = aggregate.problem_of_windows() {
                return Err(invalid(problem));
            }
            known_variable(&aggregate.variable)?;
            for arg in &aggregate.args {
                expression_well_formed(pattern, names, arg, context, Place::AggregateArgument)?;
            }
            return Ok(());
        }
        Expr::Call { function, args } => {
            let (least, most) = function.arity();
            if args.len() < least || args.len() > most {
                return Err(invalid(format!(
                    "{}() takes {least} to {most} arguments, not {}",
                    function.name(),
                    args.len()
                )));
            }
        }
        Expr::And(args) | Expr::Or(args) if args.is_empty() => {
            return Err(invalid("AND and OR need conditions".into()));
        }
        Expr::In { list, .. } if list.is_empty() => {
            return Err(invalid("IN needs at least one value".into()));
        }
        Expr::Case { branches, .. } if branches.is_empty() => {
            return Err(invalid("CASE needs at least one WHEN".into()));
        }
        _ => {}
    }
    expr.children()
        .into_iter()
        .try_for_each(|child| expression_well_formed(pattern, names, child, context, place))
}
