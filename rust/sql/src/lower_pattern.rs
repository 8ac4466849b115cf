//! Clauses to [`Pattern`].

use std::collections::HashSet;

use cepheid_ir::{
    AfterMatchSkip, ColumnName, Contiguity, Definition, EmptyMatches, Measure, Pattern, PatternError,
    PatternNode, RowsPerMatch, Selection, SortKey, Subset, Trend,
};

use crate::Dialect;
use crate::ast::{Name, Names, Node, Recognition, RowPattern, Skip, SortItem};
use crate::error::{Failure, Parsed};
use crate::lower::{Scope, lower_expression, unknown_variable};
use crate::span::Span;

/// The pattern that the clauses spell, validated and in its normal spelling.
pub(crate) fn lower_recognition(recognition: Recognition) -> Parsed<Pattern> {
    let Recognition { pattern: RowPattern { mut root, span, variables, places, untils }, clauses } =
        recognition;
    let places = Places {
        pattern: span,
        rows_per_match: clauses.rows_per_match.map(|(_, span)| span),
        within: clauses.within.map(|(_, span)| span),
        aggregate: clauses.aggregate.as_ref().map(|aggregate| aggregate.span),
        variables: variables.iter().map(str::to_owned).zip(places).collect(),
    };
    let mut names = variables.clone();
    let subsets = lower_subsets(clauses.subsets, &variables, &mut names)?;
    lower_untils(&mut root, &mut untils.into_iter(), &names)?;

    let mut pattern = Pattern::sql(root);
    pattern.partition_by = clauses.partition_by.into_iter().map(column_name).collect();
    pattern.order_by = clauses.order_by.into_iter().map(sort_key).collect();
    pattern.subsets = subsets;
    pattern.rows_per_match = clauses.rows_per_match.map_or(RowsPerMatch::One, |(rows, _)| rows);
    pattern.timeouts = clauses.timeouts;
    pattern.initial = clauses.initial;
    // What is aggregated is every match: the clause need not say so again.
    let all_matches = clauses.all_matches || clauses.aggregate.is_some();
    pattern.selection = if all_matches { Selection::All } else { Selection::First };
    pattern.within = clauses.within.map(|(within, _)| within);
    pattern.after_match = match clauses.skip {
        // Matches of one start row overlap: unless the text says so, none of them prunes another.
        None if all_matches => AfterMatchSkip::None,
        None | Some(Skip::PastLastRow) => AfterMatchSkip::PastLastRow,
        Some(Skip::ToNextRow) => AfterMatchSkip::ToNextRow,
        Some(Skip::To { variable, row }) => {
            let variable = skip_target(&variable, &pattern.root, &names)?;
            AfterMatchSkip::ToVariable { variable, row, strict: true }
        }
        Some(Skip::Nowhere) => AfterMatchSkip::None,
        Some(Skip::Consume) => AfterMatchSkip::Consume,
    };
    pattern.measures = lower_measures("measure", clauses.measures, &names)?;
    if let Some(aggregate) = clauses.aggregate {
        let values = lower_measures("aggregate", aggregate.values, &names)?;
        pattern.trend = Some(Trend { values, every_ns: aggregate.every_ns });
    }
    pattern.define = lower_definitions(clauses.define, &variables, &names)?;
    if is_event_sequence(&pattern) {
        pattern.empty_matches = EmptyMatches::Excluded;
    }
    pattern.validate().map_err(|error| places.point_at(error))?;
    Ok(pattern.normalise())
}

/// Whether the pattern uses any of the extensions for event sequences, in which the empty match is none.
fn is_event_sequence(pattern: &Pattern) -> bool {
    let mut found = pattern.selection == Selection::All
        || pattern.timeouts
        || matches!(pattern.after_match, AfterMatchSkip::None | AfterMatchSkip::Consume);
    pattern.root.walk(&mut |node| {
        found |= match node {
            PatternNode::Sequence(steps) => steps.iter().any(|step| step.contiguity != Contiguity::Strict),
            PatternNode::Permute { contiguity, .. } => *contiguity != Contiguity::Strict,
            PatternNode::Quantified { quantifier, .. } => {
                quantifier.contiguity != Contiguity::Strict || quantifier.until.is_some()
            }
            PatternNode::Absent { .. } | PatternNode::Bounded { .. } => true,
            PatternNode::Variable(_)
            | PatternNode::Alternation(_)
            | PatternNode::Exclusion(_)
            | PatternNode::Anchor(_)
            | PatternNode::Empty => false,
        }
    });
    found
}

/// Where a fault that only the finished pattern shows can be pointed at.
struct Places {
    pattern: Span,
    rows_per_match: Option<Span>,
    within: Option<Span>,
    aggregate: Option<Span>,
    /// Each variable and where it stands first.
    variables: Vec<(String, Span)>,
}

impl Places {
    /// The fault with the place of the name or clause that it speaks of.
    fn point_at(&self, error: PatternError) -> Box<Failure> {
        let span = match &error {
            PatternError::InvalidAbsence { variable, .. } => {
                self.variables.iter().find(|(name, _)| name == variable).map(|(_, span)| *span)
            }
            PatternError::InvalidWithin | PatternError::WithinNeedsOrder => self.within,
            PatternError::ConflictingClauses { first: "AGGREGATE", .. }
            | PatternError::Unsupported { .. }
            | PatternError::InvalidExpression { .. }
            | PatternError::MeasureNameTaken { .. }
                if self.aggregate.is_some() =>
            {
                self.aggregate
            }
            PatternError::ConflictingClauses { .. } => self.rows_per_match,
            _ => None,
        };
        Failure::pattern(error, span.unwrap_or(self.pattern))
    }
}

/// A name as the pattern language has it.
pub(crate) fn column_name(name: Name) -> ColumnName {
    ColumnName { name: name.text, quoted: name.quoted }
}

fn sort_key(item: SortItem<Name>) -> SortKey {
    SortKey { column: column_name(item.value), descending: item.descending, nulls_first: item.nulls_first }
}

/// Puts the conditions behind `UNTIL` into their quantifiers, in the order in which the parser came to the ends of the
/// quantified parts: the inner ones first.
fn lower_untils(
    node: &mut PatternNode,
    untils: &mut impl Iterator<Item = Option<Node>>,
    names: &Names,
) -> Parsed<()> {
    for child in node.children_mut() {
        lower_untils(child, untils, names)?;
    }
    if let PatternNode::Quantified { quantifier, .. } = node
        && let Some(condition) = untils.next().flatten()
    {
        let context = "the condition of an UNTIL".to_owned();
        let scope = Scope { dialect: Dialect::Condition, variables: Some(names), alias: None, context };
        quantifier.until = Some(Box::new(lower_expression(&scope, condition)?));
    }
    Ok(())
}

/// The subsets; their names are added to those of the variables.
fn lower_subsets(
    subsets: Vec<(Name, Vec<Name>)>,
    variables: &Names,
    names: &mut Names,
) -> Parsed<Vec<Subset>> {
    let mut lowered = Vec::with_capacity(subsets.len());
    for (name, members) in subsets {
        let folded = name.folded();
        if !names.insert(&folded) {
            return Err(Failure::pattern(PatternError::SubsetNameTaken { name: folded }, name.span));
        }
        let mut united = Vec::with_capacity(members.len());
        for member in members {
            let member_name = member.folded();
            if !variables.contains(&member_name) {
                let context = format!("SUBSET `{folded}`");
                return Err(unknown_variable(&context, member_name, member.span, variables));
            }
            united.push(member_name);
        }
        lowered.push(Subset { name: folded, variables: united });
    }
    Ok(lowered)
}

/// The variable or subset to skip to: one that can have rows.
fn skip_target(variable: &Name, root: &PatternNode, names: &Names) -> Parsed<String> {
    let name = variable.folded();
    let absent = root.absent_variables();
    if names.contains(&name) && !absent.contains(&name.as_str()) {
        return Ok(name);
    }
    let known: Vec<String> =
        names.iter().filter(|known| !absent.contains(known)).map(str::to_owned).collect();
    let error = PatternError::UnknownSkipTarget { name: name.clone(), known: known.clone() };
    Err(Failure::pattern(error, variable.span).with_nearest(&name, known.iter().map(String::as_str)))
}

fn lower_measures(what: &str, measures: Vec<(Node, Name)>, names: &Names) -> Parsed<Vec<Measure>> {
    let mut seen = HashSet::new();
    let mut lowered = Vec::with_capacity(measures.len());
    for (value, Name { text: name, span, .. }) in measures {
        let context = format!("{what} `{name}`");
        let scope = Scope { dialect: Dialect::Measure, variables: Some(names), alias: None, context };
        let value = lower_expression(&scope, value)?;
        if !seen.insert(name.clone()) {
            return Err(Failure::pattern(PatternError::DuplicateMeasure { name }, span));
        }
        lowered.push(Measure { name, value });
    }
    Ok(lowered)
}

fn lower_definitions(define: Vec<(Name, Node)>, variables: &Names, names: &Names) -> Parsed<Vec<Definition>> {
    let mut defined = HashSet::new();
    let mut definitions = Vec::with_capacity(define.len());
    for (name, condition) in define {
        let variable = name.folded();
        if !variables.contains(&variable) {
            let known = variables.listed().to_vec();
            let error = PatternError::UndefinedVariable { name: variable.clone(), known };
            return Err(Failure::pattern(error, name.span).with_nearest(&variable, variables.iter()));
        }
        if !defined.insert(variable.clone()) {
            return Err(Failure::pattern(PatternError::DuplicateDefinition { name: variable }, name.span));
        }
        let context = format!("the condition of `{variable}`");
        let scope = Scope { dialect: Dialect::Condition, variables: Some(names), alias: None, context };
        let condition = lower_expression(&scope, condition)?;
        definitions.push(Definition { variable, condition });
    }
    Ok(definitions)
}
