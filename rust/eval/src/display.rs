//! Expressions as short SQL-like text, for errors.

use std::fmt::{self, Write};
use std::sync::Arc;

use cepheid_ir::{Anchor, Expr, Literal, RowPointer, Semantics};

/// Longest text of an expression, in bytes; what comes after is an ellipsis.
const TEXT_BYTES_MAX: usize = 160;

/// The expression as SQL-like text of bounded length: for people, not for parsers.
pub fn expression_text(expr: &Expr) -> String {
    let mut writer = Bounded { text: String::new() };
    if write_expr(&mut writer, expr).is_err() {
        writer.text.push('…');
    }
    writer.text
}

/// The text of a part of an expression, written when it is asked for: of a thousand rules hardly one raises an error, and each
/// would have a text for each of its parts.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    whole: Arc<Expr>,
    /// Where the part lies in memory, which nothing moves while the whole is held. Compared with, never followed.
    part: usize,
}

impl Text {
    pub(crate) fn of(whole: &Arc<Expr>, part: &Expr) -> Self {
        Self { whole: Arc::clone(whole), part: std::ptr::from_ref(part).addr() }
    }
}

/// Cost: O(n) for n parts of the whole.
impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut found = &*self.whole;
        self.whole.walk(&mut |expr| {
            if std::ptr::from_ref(expr).addr() == self.part {
                found = expr;
            }
        });
        formatter.write_str(&expression_text(found))
    }
}

/// Fails once the text is long enough, which ends the walk.
struct Bounded {
    text: String,
}

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = TEXT_BYTES_MAX - self.text.len();
        if part.len() <= room {
            self.text.push_str(part);
            return Ok(());
        }
        let cut = (0..=room).rev().find(|end| part.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(&part[..cut]);
        Err(fmt::Error)
    }
}

fn write_expr(out: &mut Bounded, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::Literal(literal) => write_literal(out, literal),
        Expr::Column { name, quoted, at } => write_pointer(out, at, |out, variable| {
            if let Some(variable) = variable {
                write!(out, "{variable}.")?;
            }
            if *quoted { write!(out, "\"{}\"", name.replace('"', "\"\"")) } else { out.write_str(name) }
        }),
        Expr::Classifier { at } => write_pointer(out, at, |out, variable| {
            write!(out, "CLASSIFIER({})", variable.unwrap_or_default())
        }),
        Expr::MatchNumber => out.write_str("MATCH_NUMBER()"),
        Expr::Aggregate(aggregate) => {
            if aggregate.semantics == Semantics::Final {
                out.write_str("FINAL ")?;
            }
            write!(out, "{}(", aggregate.function.name().to_uppercase())?;
            if aggregate.distinct {
                out.write_str("DISTINCT ")?;
            }
            match (&aggregate.variable, aggregate.args.as_slice()) {
                (None, []) => out.write_str("*")?,
                (Some(variable), []) => write!(out, "{variable}.*")?,
                (None, args) => write_list(out, args)?,
                (Some(variable), args) => {
                    // The argument's columns belong to the aggregate's variable: it is written before the first.
                    write!(out, "{variable}.")?;
                    write_list(out, args)?;
                }
            }
            out.write_str(")")
        }
        Expr::Negate(operand) => {
            out.write_str("-")?;
            write_operand(out, operand)
        }
        Expr::Binary { op, left, right } => {
            write_operand(out, left)?;
            write!(out, " {} ", op.symbol())?;
            write_operand(out, right)
        }
        Expr::And(operands) => write_chain(out, operands, " AND "),
        Expr::Or(operands) => write_chain(out, operands, " OR "),
        Expr::Not(operand) => {
            out.write_str("NOT ")?;
            write_operand(out, operand)
        }
        Expr::IsNull(operand) => {
            write_operand(out, operand)?;
            out.write_str(" IS NULL")
        }
        Expr::In { operand, list } => {
            write_operand(out, operand)?;
            out.write_str(" IN (")?;
            write_list(out, list)?;
            out.write_str(")")
        }
        Expr::Between { operand, low, high } => {
            write_operand(out, operand)?;
            out.write_str(" BETWEEN ")?;
            write_operand(out, low)?;
            out.write_str(" AND ")?;
            write_operand(out, high)
        }
        Expr::Like { operand, pattern, escape } => {
            write_operand(out, operand)?;
            out.write_str(" LIKE ")?;
            write_operand(out, pattern)?;
            escape.map_or(Ok(()), |escape| write!(out, " ESCAPE '{escape}'"))
        }
        Expr::Case { branches, otherwise } => {
            out.write_str("CASE")?;
            for branch in branches {
                out.write_str(" WHEN ")?;
                write_expr(out, &branch.when)?;
                out.write_str(" THEN ")?;
                write_expr(out, &branch.then)?;
            }
            if let Some(otherwise) = otherwise {
                out.write_str(" ELSE ")?;
                write_expr(out, otherwise)?;
            }
            out.write_str(" END")
        }
        Expr::Cast { operand, to, lenient } => {
            out.write_str(if *lenient { "TRY_CAST(" } else { "CAST(" })?;
            write_expr(out, operand)?;
            write!(out, " AS {})", to.sql_name())
        }
        Expr::Call { function, args } => {
            write!(out, "{}(", function.name())?;
            write_list(out, args)?;
            out.write_str(")")
        }
    }
}

fn write_list(out: &mut Bounded, exprs: &[Expr]) -> fmt::Result {
    for (position, expr) in exprs.iter().enumerate() {
        if position > 0 {
            out.write_str(", ")?;
        }
        write_expr(out, expr)?;
    }
    Ok(())
}

fn write_chain(out: &mut Bounded, operands: &[Expr], between: &str) -> fmt::Result {
    for (position, operand) in operands.iter().enumerate() {
        if position > 0 {
            out.write_str(between)?;
        }
        write_operand(out, operand)?;
    }
    Ok(())
}

/// Puts parentheses around whatever is more than one word.
fn write_operand(out: &mut Bounded, expr: &Expr) -> fmt::Result {
    let compound = matches!(
        expr,
        Expr::Negate(_)
            | Expr::Binary { .. }
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::In { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
    );
    if !compound {
        return write_expr(out, expr);
    }
    out.write_str("(")?;
    write_expr(out, expr)?;
    out.write_str(")")
}

fn write_pointer(
    out: &mut Bounded,
    at: &RowPointer,
    inner: impl FnOnce(&mut Bounded, Option<&str>) -> fmt::Result,
) -> fmt::Result {
    if at.physical_offset != 0 {
        out.write_str(if at.physical_offset < 0 { "PREV(" } else { "NEXT(" })?;
    }
    if at.semantics == Semantics::Final {
        out.write_str("FINAL ")?;
    }
    let logical = at.anchor == Anchor::First || at.logical_offset > 0 || at.semantics == Semantics::Final;
    if logical {
        out.write_str(if at.anchor == Anchor::First { "FIRST(" } else { "LAST(" })?;
    }
    inner(out, at.variable.as_deref())?;
    if at.logical_offset > 0 {
        write!(out, ", {}", at.logical_offset)?;
    }
    if logical {
        out.write_str(")")?;
    }
    match at.physical_offset.unsigned_abs() {
        0 => Ok(()),
        1 => out.write_str(")"),
        offset => write!(out, ", {offset})"),
    }
}

fn write_literal(out: &mut Bounded, literal: &Literal) -> fmt::Result {
    match literal {
        Literal::Null => out.write_str("NULL"),
        Literal::Boolean(value) => out.write_str(if *value { "TRUE" } else { "FALSE" }),
        Literal::Integer(value) => write!(out, "{value}"),
        Literal::Float(value) => write!(out, "{:?}", value.0),
        Literal::String(text) => write!(out, "'{}'", text.replace('\'', "''")),
        Literal::Decimal { .. } => write!(out, "DECIMAL '{}'", text_of(literal)),
        Literal::Date(_) => write!(out, "DATE '{}'", text_of(literal)),
        Literal::Time(_) => write!(out, "TIME '{}'", text_of(literal)),
        Literal::Timestamp { zoned: false, .. } => write!(out, "TIMESTAMP '{}'", text_of(literal)),
        Literal::Timestamp { zoned: true, .. } => write!(out, "TIMESTAMP '{} UTC'", text_of(literal)),
        Literal::Interval(interval) if interval.months == 0 => write!(out, "INTERVAL '{}'", text_of(literal)),
        Literal::Interval(interval) => {
            write!(out, "INTERVAL '{}' MONTH", interval.months)?;
            if interval.nanoseconds == 0 { Ok(()) } else { write!(out, " + {} ns", interval.nanoseconds) }
        }
    }
}

fn text_of(literal: &Literal) -> String {
    crate::cast::to_text(&crate::literal::value_of(literal).0)
}
