//! Patterns and queries as SQL text.

use cepheid_ir::{
    AfterMatchSkip, Between, ColumnName, Contiguity, Expr, Interval, PartitionEdge, Pattern, PatternNode,
    Quantifier, Query, RowsPerMatch, SelectItem, Selection, Semantics, SkipRow, Within,
};

use crate::calendar::interval_text;
use crate::unparse::{column_text, unparse_expr, variable_text};

/// The pattern as a `MATCH_RECOGNIZE (...)` clause, a line a clause. It parses back to the same pattern if SQL can say
/// all of it; what SQL cannot say is left out, or written as the nearest that it can. [`pattern_to_sql`] tells.
///
/// [`pattern_to_sql`]: crate::pattern_to_sql
pub fn unparse_pattern(pattern: &Pattern) -> String {
    let clauses: Vec<String> = clauses(pattern).into_iter().map(|clause| format!("  {clause}\n")).collect();
    format!("MATCH_RECOGNIZE (\n{})", clauses.concat())
}

/// The query as SQL text; it parses back to the same query if SQL can say all of its pattern.
pub fn unparse_query(query: &Query) -> String {
    let items: Vec<String> = query.select.iter().map(select_item).collect();
    let mut text = format!(
        "SELECT {}\nFROM {} {}",
        items.join(", "),
        column_text(&query.table, query.table_quoted),
        unparse_pattern(&query.pattern)
    );
    if let Some(filter) = &query.filter {
        text.push_str(&format!("\nWHERE {}", unparse_expr(filter)));
    }
    if !query.order_by.is_empty() {
        let keys = query.order_by.iter().map(|item| {
            format!("{}{}", unparse_expr(&item.value), direction(item.descending, item.nulls_first))
        });
        text.push_str(&format!("\nORDER BY {}", keys.collect::<Vec<_>>().join(", ")));
    }
    if query.offset > 0 {
        text.push_str(&format!("\nOFFSET {}", query.offset));
    }
    if let Some(limit) = query.limit {
        text.push_str(&format!("\nLIMIT {limit}"));
    }
    text
}

fn select_item(item: &SelectItem) -> String {
    match item {
        SelectItem::All => "*".into(),
        SelectItem::Value { name, value } => match value {
            Expr::Column { name: column, .. } if column == name => unparse_expr(value),
            value => format!("{} AS {}", unparse_expr(value), column_text(name, false)),
        },
    }
}

fn clauses(pattern: &Pattern) -> Vec<String> {
    let mut clauses = Vec::new();
    if !pattern.partition_by.is_empty() {
        clauses.push(format!("PARTITION BY {}", list(&pattern.partition_by, column)));
    }
    if !pattern.order_by.is_empty() {
        let key = |key: &cepheid_ir::SortKey| {
            format!("{}{}", column(&key.column), direction(key.descending, key.nulls_first))
        };
        clauses.push(format!("ORDER BY {}", list(&pattern.order_by, key)));
    }
    if !pattern.measures.is_empty() {
        let measure = |measure: &cepheid_ir::Measure| {
            format!("{} AS {}", unparse_expr(&measure.value), column_text(&measure.name, false))
        };
        clauses.push(format!("MEASURES {}", list(&pattern.measures, measure)));
    }
    if let Some(trend) = &pattern.trend {
        let every = trend.every_ns.map(|every| format!(" EVERY {}", span_text(every)));
        clauses.push(format!("AGGREGATE {}{}", list(&trend.values, aggregated), every.unwrap_or_default()));
    }
    let rows = match pattern.rows_per_match {
        RowsPerMatch::One => "ONE ROW PER MATCH",
        RowsPerMatch::AllShowEmpty => "ALL ROWS PER MATCH",
        RowsPerMatch::AllOmitEmpty => "ALL ROWS PER MATCH OMIT EMPTY MATCHES",
        RowsPerMatch::AllWithUnmatched => "ALL ROWS PER MATCH WITH UNMATCHED ROWS",
    };
    clauses.push(format!("{rows}{}", if pattern.timeouts { " WITH TIMEOUT ROWS" } else { "" }));
    match &pattern.after_match {
        AfterMatchSkip::PastLastRow => clauses.push("AFTER MATCH SKIP PAST LAST ROW".into()),
        AfterMatchSkip::ToNextRow => clauses.push("AFTER MATCH SKIP TO NEXT ROW".into()),
        AfterMatchSkip::ToVariable { variable, row, .. } => {
            let row = if *row == SkipRow::First { "FIRST" } else { "LAST" };
            clauses.push(format!("AFTER MATCH SKIP TO {row} {}", variable_text(variable)));
        }
        // What ALL MATCHES does unless told otherwise.
        AfterMatchSkip::None if pattern.selection == Selection::All => {}
        AfterMatchSkip::None => clauses.push("AFTER MATCH SKIP NONE".into()),
        AfterMatchSkip::Consume => clauses.push("AFTER MATCH CONSUME".into()),
    }
    if pattern.initial {
        clauses.push("INITIAL".into());
    }
    if pattern.selection == Selection::All {
        clauses.push("ALL MATCHES".into());
    }
    let mut root = String::new();
    write_node(&mut root, &pattern.root, Place::Alternation);
    clauses.push(format!("PATTERN ({root})"));
    clauses.extend(pattern.within.map(within_text));
    if !pattern.subsets.is_empty() {
        let subset = |subset: &cepheid_ir::Subset| {
            format!(
                "{} = ({})",
                variable_text(&subset.name),
                list(&subset.variables, |name| variable_text(name))
            )
        };
        clauses.push(format!("SUBSET {}", list(&pattern.subsets, subset)));
    }
    if !pattern.define.is_empty() {
        let definition = |definition: &cepheid_ir::Definition| {
            format!("{} AS {}", variable_text(&definition.variable), unparse_expr(&definition.condition))
        };
        clauses.push(format!("DEFINE {}", list(&pattern.define, definition)));
    }
    clauses
}

/// A value over all matches: it is of the whole of each, and needs no word for that.
fn aggregated(value: &cepheid_ir::Measure) -> String {
    let mut expr = value.value.clone();
    expr.walk_mut(&mut |expr| {
        if let Expr::Aggregate(aggregate) = expr {
            aggregate.semantics = Semantics::Running;
        }
    });
    format!("{} AS {}", unparse_expr(&expr), column_text(&value.name, false))
}

fn within_text(within: Within) -> String {
    match within {
        Within::Time { nanoseconds } => format!("WITHIN {}", span_text(nanoseconds)),
        Within::Rows(rows) => format!("WITHIN {rows} ROWS"),
        Within::Unbounded => "WITHIN UNBOUNDED".into(),
    }
}

fn span_text(nanoseconds: i64) -> String {
    format!("INTERVAL {}", interval_text(Interval { months: 0, nanoseconds }))
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn column(column: &ColumnName) -> String {
    column_text(&column.name, column.quoted)
}

fn direction(descending: bool, nulls_first: bool) -> &'static str {
    match (descending, nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, false) => " DESC",
        (true, true) => " DESC NULLS FIRST",
    }
}

/// What may stand in a place without parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Alternation,
    Sequence,
    Bounded,
    Quantified,
    Primary,
}

fn write_node(text: &mut String, node: &PatternNode, place: Place) {
    let needed = match node {
        PatternNode::Alternation(_) => Place::Alternation,
        PatternNode::Sequence(_) => Place::Sequence,
        // Without bound, a part needs no word for it.
        PatternNode::Bounded { within: Within::Unbounded, node, .. } => return write_node(text, node, place),
        PatternNode::Bounded { .. } => Place::Bounded,
        PatternNode::Quantified { .. } => Place::Quantified,
        _ => Place::Primary,
    };
    let open = needed < place;
    if open {
        text.push('(');
    }
    match node {
        PatternNode::Variable(name) => text.push_str(&variable_text(name)),
        PatternNode::Absent { variable, for_ns } => {
            let time = for_ns.map(|nanoseconds| format!(" FOR {}", span_text(nanoseconds)));
            text.push_str(&format!("ABSENT({}{})", variable_text(variable), time.unwrap_or_default()));
        }
        PatternNode::Bounded { node, within, between } => {
            write_node(text, node, Place::Quantified);
            text.push(' ');
            text.push_str(&within_text(*within));
            text.push_str(if *between == Between::Neighbours { " BETWEEN NEIGHBOURS" } else { "" });
        }
        PatternNode::Empty => text.push_str("()"),
        PatternNode::Anchor(PartitionEdge::Start) => text.push('^'),
        PatternNode::Anchor(PartitionEdge::End) => text.push('$'),
        PatternNode::Exclusion(inner) => {
            text.push_str("{- ");
            write_node(text, inner, Place::Alternation);
            text.push_str(" -}");
        }
        PatternNode::Permute { parts, contiguity } => {
            text.push_str("PERMUTE(");
            write_parts(text, parts, ", ", Place::Alternation);
            text.push(')');
            text.push_str(relation_text(*contiguity));
        }
        PatternNode::Alternation(parts) => write_parts(text, parts, " | ", Place::Sequence),
        PatternNode::Sequence(steps) => {
            for (index, step) in steps.iter().enumerate() {
                if index > 0 {
                    text.push_str(match step.contiguity {
                        Contiguity::Strict => " ",
                        Contiguity::SkipTillNext => " -> ",
                        Contiguity::SkipTillAny => " ->> ",
                    });
                }
                // The word for a unit would take a variable called TO, or MINUTE, for its own.
                let next = steps.get(index + 1);
                let closed = next.is_some_and(|next| next.contiguity == Contiguity::Strict);
                write_node(text, &step.node, if closed { Place::Quantified } else { Place::Bounded });
            }
        }
        PatternNode::Quantified { node, quantifier } => {
            write_node(text, node, Place::Primary);
            text.push_str(&quantifier_text(quantifier));
        }
    }
    if open {
        text.push(')');
    }
}

fn write_parts(text: &mut String, parts: &[PatternNode], separator: &str, place: Place) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        write_node(text, part, place);
    }
}

fn quantifier_text(quantifier: &Quantifier) -> String {
    let bounds = match (quantifier.min, quantifier.max) {
        (0, None) => "*".into(),
        (1, None) => "+".into(),
        (0, Some(1)) => "?".into(),
        (min, None) => format!("{{{min},}}"),
        (min, Some(max)) if min == max => format!("{{{min}}}"),
        (min, Some(max)) => format!("{{{min},{max}}}"),
    };
    let reluctant = if quantifier.is_greedy() { "" } else { "?" };
    let until = quantifier.until.as_ref().map(|condition| format!(" UNTIL ({})", unparse_expr(condition)));
    format!("{bounds}{reluctant}{}{}", relation_text(quantifier.contiguity), until.unwrap_or_default())
}

/// The relation between repetitions, or between parts in any order.
fn relation_text(contiguity: Contiguity) -> &'static str {
    match contiguity {
        Contiguity::Strict => "",
        Contiguity::SkipTillNext => " [->]",
        Contiguity::SkipTillAny => " [->>]",
    }
}
