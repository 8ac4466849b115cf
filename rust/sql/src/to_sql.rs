//! Whether SQL can say a pattern: it can if the text reads back to the same pattern.

use cepheid_ir::{
    AfterMatchSkip, ColumnName, Expr, Pattern, PatternError, PatternNode, Selection, TestedRow,
};

use crate::parse_pattern;
use crate::unparse::needs_quotes;
use crate::unparse_pattern::unparse_pattern;

/// The pattern as a `MATCH_RECOGNIZE (...)` clause of the same meaning, a line a clause.
///
/// The text reads back to the same pattern, with these exceptions: the rule's name, the topic of its derived events and
/// the columns that every derived event has are not part of the clause, and a column whose name needs quotes is
/// looked up exactly as it is written.
///
/// # Errors
/// What [`Pattern::validate`] refuses; [`PatternError::NotInSql`] (code `unsupported`), naming what SQL cannot say: a
/// topic, a HAVING, an intermediate output, a condition of the algebra that leaves the row under test out of its own
/// variable, `greedy` said of a loop of which every match is wanted, and little else.
pub fn pattern_to_sql(pattern: &Pattern) -> Result<String, PatternError> {
    pattern.validate()?;
    let meant = pattern.clone().normalise();
    if let Some(error) = beyond_sql(&meant) {
        return Err(error);
    }
    let text = unparse_pattern(&meant);
    let read = match parse_pattern(&text) {
        Ok(read) => read,
        Err(error) if error.code() == PatternError::WithinNeedsOrder.code() => {
            return Err(not_in_sql("a WITHIN by time over rows in no order", "order by the event time"));
        }
        Err(error) => return Err(not_in_sql("this pattern", error.message())),
    };
    match difference(&meant, &read) {
        None => Ok(text),
        Some(construct) => Err(not_in_sql(&construct, DATA)),
    }
}

/// What to do with a pattern that SQL cannot say.
const DATA: &str = "keep the pattern as JSON, which says everything";

fn not_in_sql(construct: &str, hint: &str) -> PatternError {
    PatternError::NotInSql { construct: construct.to_owned(), hint: hint.to_owned() }
}

/// The first thing that is known to have no text.
fn beyond_sql(pattern: &Pattern) -> Option<PatternError> {
    if let Some(entry) = pattern.topics.first() {
        let construct = format!("that the rows of `{}` are of topic `{}`", entry.variable, entry.topic);
        return Some(not_in_sql(&construct, DATA));
    }
    if let Some(entry) = pattern.emit_at.first() {
        return Some(not_in_sql(&format!("the intermediate output `{}`", entry.topic), DATA));
    }
    if pattern.having.is_some() {
        return Some(not_in_sql("a condition on the finished match", "filter the matches by their measures"));
    }
    if matches!(pattern.after_match, AfterMatchSkip::ToVariable { strict: false, .. }) {
        let construct = "a skip to a row that need not be there";
        return Some(not_in_sql(
            construct,
            "make the skip strict, as it is in SQL, or keep the pattern as JSON",
        ));
    }
    for definition in &pattern.define {
        if leaves_row_under_test_out(&definition.condition) {
            let construct = format!(
                "that the condition of `{}` leaves the row under test out of its own variable",
                definition.variable
            );
            return Some(not_in_sql(&construct, DATA));
        }
    }
    let mut greedy = false;
    pattern.root.walk(&mut |node| {
        if let PatternNode::Quantified { quantifier, .. } = node {
            greedy |= quantifier.greedy == Some(true);
        }
    });
    if greedy && pattern.selection == Selection::All {
        return Some(not_in_sql("a greedy loop of which every match is wanted", DATA));
    }
    None
}

/// In the normal spelling only what matters says so.
fn leaves_row_under_test_out(condition: &Expr) -> bool {
    let mut found = false;
    condition.walk(&mut |expr| {
        found |= match expr {
            Expr::Column { at, .. } | Expr::Classifier { at } => at.tested_row == TestedRow::Excluded,
            Expr::Aggregate(aggregate) => aggregate.tested_row == TestedRow::Excluded,
            _ => false,
        }
    });
    found
}

/// What the text lost or changed, if anything that counts.
fn difference(meant: &Pattern, read: &Pattern) -> Option<String> {
    let (meant, read) = (comparable(meant), comparable(read));
    for (one, other) in meant.define.iter().zip(&read.define) {
        if one != other {
            return Some(format!("the condition of `{}`", one.variable));
        }
    }
    for (one, other) in meant.measures.iter().zip(&read.measures) {
        if one != other {
            return Some(format!("measure `{}`", one.name));
        }
    }
    if meant.empty_matches != read.empty_matches && meant.root.may_match_nothing() {
        return Some("whether parts without rows match, as it is said here".into());
    }
    let same = [
        ("the row pattern", meant.root == read.root),
        ("the partition columns", meant.partition_by == read.partition_by),
        ("the order", meant.order_by == read.order_by),
        ("the subsets", meant.subsets == read.subsets),
        ("the conditions", meant.define.len() == read.define.len()),
        ("the measures", meant.measures.len() == read.measures.len()),
        ("the values over all matches", meant.trend == read.trend),
        ("the rows per match", meant.rows_per_match == read.rows_per_match),
        ("the after-match skip", meant.after_match == read.after_match),
        ("the bound", meant.within == read.within),
        ("which matches are wanted", meant.selection == read.selection),
        ("where matches begin", meant.initial == read.initial),
        ("the timeouts", meant.timeouts == read.timeouts),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(what, _)| what.to_owned())
}

/// The pattern with every name that needs quotes quoted.
fn comparable(pattern: &Pattern) -> Pattern {
    let mut pattern = pattern.clone();
    let quote = |column: &mut ColumnName| column.quoted |= needs_quotes(&column.name);
    pattern.partition_by.iter_mut().for_each(quote);
    pattern.order_by.iter_mut().for_each(|key| quote(&mut key.column));
    let quote_all = &mut |expr: &mut Expr| {
        if let Expr::Column { name, quoted, .. } = expr {
            *quoted |= needs_quotes(name);
        }
    };
    pattern.define.iter_mut().for_each(|definition| definition.condition.walk_mut(quote_all));
    pattern.measures.iter_mut().for_each(|measure| measure.value.walk_mut(quote_all));
    let values = pattern.trend.iter_mut().flat_map(|trend| &mut trend.values);
    values.for_each(|value| value.value.walk_mut(quote_all));
    for_each_until(&mut pattern.root, &mut |condition| condition.walk_mut(quote_all));
    pattern
}

fn for_each_until(node: &mut PatternNode, change: &mut dyn FnMut(&mut Expr)) {
    if let PatternNode::Quantified { quantifier, .. } = node
        && let Some(until) = &mut quantifier.until
    {
        change(until);
    }
    node.children_mut().into_iter().for_each(|child| for_each_until(child, change));
}
