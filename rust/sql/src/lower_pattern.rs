//! Clauses to [`Pattern`], and a whole query to [`Query`].

use std::collections::HashSet;

use cepheid_ir::{
    AfterMatchSkip, ColumnName, Definition, Expr, Measure, OrderItem, Pattern, PatternError, Query,
    RowsPerMatch, SelectItem, Selection, SortKey, Subset,
};

use crate::Dialect;
use crate::ast::{Item, Kind, Name, Node, Recognition, Select, Skip, SortItem};
use crate::error::{Failure, Parsed};
use crate::lower::{Scope, Variables, lower_expression, unknown_variable};
use crate::span::Span;

/// Where a fault that only the finished pattern shows can be pointed at.
struct Places {
    pattern: Span,
    rows_per_match: Option<Span>,
    within: Option<Span>,
    /// Last mention of each variable, subset and measure.
    names: Vec<(String, Span)>,
}

/// The pattern that the clauses spell, validated and in its normal spelling.
pub(crate) fn lower_recognition(recognition: Recognition) -> Parsed<Pattern> {
    let mut places = Places {
        pattern: recognition.pattern.span,
        rows_per_match: recognition.rows_per_match.map(|(_, span)| span),
        within: recognition.within.map(|(_, span)| span),
        names: recognition.pattern.variables.clone(),
    };
    let mut variables = Variables::default();
    for (name, _) in &recognition.pattern.variables {
        variables.insert(name);
    }
    let primary = variables.ordered.len();
    let subsets = lower_subsets(recognition.subsets, &mut variables, primary, &mut places)?;

    let mut pattern = Pattern::sql(recognition.pattern.root);
    pattern.partition_by = recognition.partition_by.into_iter().map(column_name).collect();
    pattern.order_by = recognition.order_by.into_iter().map(sort_key).collect();
    pattern.subsets = subsets;
    pattern.rows_per_match = recognition.rows_per_match.map_or(RowsPerMatch::One, |(rows, _)| rows);
    pattern.initial = recognition.initial;
    pattern.selection = if recognition.all_matches { Selection::All } else { Selection::First };
    pattern.within = recognition.within.map(|(within, _)| within);
    pattern.after_match = match recognition.skip {
        // Matches of one start row overlap: unless the text says so, none of them prunes another.
        None if recognition.all_matches => AfterMatchSkip::None,
        None | Some(Skip::PastLastRow) => AfterMatchSkip::PastLastRow,
        Some(Skip::ToNextRow) => AfterMatchSkip::ToNextRow,
        Some(Skip::To { variable, row }) => {
            AfterMatchSkip::ToVariable { variable: skip_target(&variable, &variables)?, row, strict: true }
        }
    };
    for (value, name) in recognition.measures {
        let context = format!("measure `{}`", name.text);
        let scope = Scope { dialect: Dialect::Measure, variables: Some(&variables), alias: None, context };
        let value = lower_expression(&scope, value)?;
        places.names.push((name.text.clone(), name.span));
        pattern.measures.push(Measure { name: name.text, value });
    }
    pattern.define = lower_definitions(recognition.define, &variables, primary)?;
    check_measures(&pattern, &places)?;
    pattern.validate().map_err(|error| places.point_at(error))?;
    Ok(pattern.normalise())
}

impl Places {
    /// The fault with the place of the name or clause that it speaks of.
    fn point_at(&self, error: PatternError) -> Box<Failure> {
        let named =
            error.variable().and_then(|name| self.names.iter().rev().find(|(known, _)| known == name));
        let span = match (&error, named) {
            (_, Some((_, span))) => *span,
            (PatternError::InvalidWithin | PatternError::WithinNeedsOrder, None) => {
                self.within.unwrap_or(self.pattern)
            }
            (PatternError::ConflictingClauses { .. }, None) => self.rows_per_match.unwrap_or(self.pattern),
            _ => self.pattern,
        };
        Failure::pattern(error, span)
    }
}

fn column_name(name: Name) -> ColumnName {
    ColumnName { name: name.text, quoted: name.quoted }
}

fn sort_key(item: SortItem<Name>) -> SortKey {
    SortKey { column: column_name(item.value), descending: item.descending, nulls_first: item.nulls_first }
}

fn lower_subsets(
    subsets: Vec<(Name, Vec<Name>)>,
    variables: &mut Variables,
    primary: usize,
    places: &mut Places,
) -> Parsed<Vec<Subset>> {
    let pattern_variables: HashSet<String> = variables.ordered[..primary].iter().cloned().collect();
    let mut lowered = Vec::with_capacity(subsets.len());
    for (name, members) in subsets {
        let folded = name.folded();
        if !variables.insert(&folded) {
            return Err(Failure::pattern(PatternError::SubsetNameTaken { name: folded }, name.span));
        }
        places.names.push((folded.clone(), name.span));
        let mut united = Vec::with_capacity(members.len());
        for member in members {
            let member_name = member.folded();
            if !pattern_variables.contains(&member_name) {
                let mut known = Variables::default();
                variables.ordered[..primary].iter().for_each(|name| {
                    known.insert(name);
                });
                let context = format!("SUBSET `{folded}`");
                return Err(unknown_variable(&context, member_name, member.span, &known));
            }
            united.push(member_name);
        }
        lowered.push(Subset { name: folded, variables: united });
    }
    Ok(lowered)
}

fn skip_target(variable: &Name, variables: &Variables) -> Parsed<String> {
    let name = variable.folded();
    if variables.set.contains(&name) {
        return Ok(name);
    }
    let error = PatternError::UnknownSkipTarget { name: name.clone(), known: variables.ordered.clone() };
    let known = variables.ordered.iter().map(String::as_str);
    Err(Failure::pattern(error, variable.span).with_nearest(&name, known))
}

fn lower_definitions(
    define: Vec<(Name, Node)>,
    variables: &Variables,
    primary: usize,
) -> Parsed<Vec<Definition>> {
    let used: HashSet<&String> = variables.ordered[..primary].iter().collect();
    let mut defined = HashSet::new();
    let mut definitions = Vec::with_capacity(define.len());
    for (name, condition) in define {
        let variable = name.folded();
        if !used.contains(&variable) {
            let known = variables.ordered[..primary].to_vec();
            let error = PatternError::UndefinedVariable { name: variable.clone(), known };
            let known = variables.ordered[..primary].iter().map(String::as_str);
            return Err(Failure::pattern(error, name.span).with_nearest(&variable, known));
        }
        if !defined.insert(variable.clone()) {
            return Err(Failure::pattern(PatternError::DuplicateDefinition { name: variable }, name.span));
        }
        let context = format!("the condition of `{variable}`");
        let scope = Scope { dialect: Dialect::Condition, variables: Some(variables), alias: None, context };
        let condition = lower_expression(&scope, condition)?;
        definitions.push(Definition { variable, condition });
    }
    Ok(definitions)
}

/// Points at the second of two measures of one name, which the finished pattern could only name.
fn check_measures(pattern: &Pattern, places: &Places) -> Parsed<()> {
    let mut seen = HashSet::new();
    let spans = &places.names[places.names.len() - pattern.measures.len()..];
    for (measure, (_, span)) in pattern.measures.iter().zip(spans) {
        if !seen.insert(&measure.name) {
            return Err(Failure::pattern(
                PatternError::DuplicateMeasure { name: measure.name.clone() },
                *span,
            ));
        }
    }
    Ok(())
}

/// The whole query.
pub(crate) fn lower_select(select: Select) -> Parsed<Query> {
    let alias = select.alias.as_ref();
    let pattern = lower_recognition(select.recognition)?;
    let scope = Scope { dialect: Dialect::Outer, variables: None, alias, context: String::new() };
    let items = select.items.into_iter().enumerate();
    let items = items.map(|(index, item)| lower_item(&scope, index, item)).collect::<Parsed<Vec<_>>>()?;
    let filter = select.filter.map(|filter| lower_expression(&scope, filter)).transpose()?;
    let order_by = select.order_by.into_iter().map(|item| lower_order_item(&scope, &items, item));
    Ok(Query {
        table: select.table.text,
        table_quoted: select.table.quoted,
        pattern,
        order_by: order_by.collect::<Parsed<Vec<_>>>()?,
        select: items,
        filter,
        offset: select.offset,
        limit: select.limit,
    })
}

fn lower_item(scope: &Scope<'_>, index: usize, item: Item) -> Parsed<SelectItem> {
    match item {
        Item::All { qualifier } => {
            if let Some(qualifier) = qualifier {
                // A column of that qualifier lowers if and only if the qualifier is the alias.
                let span = qualifier.span;
                let column = Name { text: "*".into(), quoted: true, span };
                let kind = Box::new(Kind::Column { qualifier: Some(qualifier), column });
                lower_expression(scope, Node { kind, span, depth: 1, size: 1 })?;
            }
            Ok(SelectItem::All)
        }
        Item::Value { value, alias } => {
            let name = match (&alias, &*value.kind) {
                (Some(alias), _) => alias.text.clone(),
                (None, Kind::Column { column, .. }) => column.text.clone(),
                (None, _) => format!("_col{index}"),
            };
            Ok(SelectItem::Value { name, value: lower_expression(scope, value)? })
        }
    }
}

fn lower_order_item(scope: &Scope<'_>, items: &[SelectItem], item: SortItem<Node>) -> Parsed<OrderItem> {
    let SortItem { value, descending, nulls_first } = item;
    let value = match &*value.kind {
        Kind::Literal(cepheid_ir::Literal::Integer(ordinal)) => output_column(items, *ordinal, value.span)?,
        _ => lower_expression(scope, value)?,
    };
    Ok(OrderItem { value, descending, nulls_first })
}

/// `ORDER BY 2`: the second output column.
fn output_column(items: &[SelectItem], ordinal: i64, span: Span) -> Parsed<Expr> {
    let index = usize::try_from(ordinal).ok().and_then(|ordinal| ordinal.checked_sub(1));
    let counted = index.and_then(|index| items.get(..=index));
    match counted.map(|items| (items.contains(&SelectItem::All), items.last())) {
        Some((false, Some(SelectItem::Value { name, .. }))) => {
            Ok(Expr::Column { name: name.clone(), quoted: true, at: Default::default() })
        }
        Some(_) => Err(Failure::unsupported(span, "behind `*` an output column is named, not counted")),
        None => Err(Failure::invalid(span, format!("there is no output column {ordinal}"))),
    }
}
