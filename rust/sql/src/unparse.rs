//! Expressions as SQL text, with no more parentheses than needed.

use std::fmt::Write as _;

use cepheid_ir::temporal_text::DAY_NS;
use cepheid_ir::{Aggregate, Anchor, BinaryOp, Expr, Float, Literal, RowPointer, Semantics};

use crate::calendar::{date_text, interval_text, time_text};
use crate::cursor::is_reserved;
use crate::lexer::is_word;
use crate::parse_expr::Level;

/// The text of an expression, to be read in the dialect of the place that it stands in. One that is valid there and in
/// its normal spelling (no AND in an AND, no chain of one operand) reads back as the same expression, but for what the
/// text of that place has no form for:
///
/// - a column whose name needs quotes reads back as quoted;
/// - a pointer or aggregate that leaves the row under test out is written like one that does not; read as a condition of
///   the algebra, or behind UNTIL, the text means just that;
/// - an aggregate over a variable whose argument reads no column loses the variable.
pub fn unparse_expr(expr: &Expr) -> String {
    let mut text = String::new();
    Writer { text: &mut text, aggregated: None }.expr(expr, Level::Or);
    text
}

/// A name that is quoted if it must be.
pub(crate) fn column_text(name: &str, quoted: bool) -> String {
    if quoted || needs_quotes(name) { quote(name) } else { name.to_owned() }
}

/// Whether a name can only be written in quotes.
pub(crate) fn needs_quotes(name: &str) -> bool {
    !is_word(name) || is_reserved(name)
}

/// Words that a parenthesis behind them makes keywords of a row pattern.
const PATTERN_WORDS: &[&str] = &["PERMUTE", "ABSENT", "UNTIL"];

/// A variable, quoted unless it is what its own unquoted spelling folds to.
pub(crate) fn variable_text(name: &str) -> String {
    let folds_to_itself = is_word(name) && name.to_uppercase() == name && !is_reserved(name);
    if folds_to_itself && !PATTERN_WORDS.contains(&name) { name.to_owned() } else { quote(name) }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Writer<'w> {
    text: &'w mut String,
    /// In the argument of an aggregate: the variable that qualifies its columns.
    aggregated: Option<&'w str>,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Writes an expression where operators looser than `least` need parentheses.
    fn expr(&mut self, expr: &Expr, least: Level) {
        let open = level(expr) < least;
        if open {
            self.push("(");
        }
        self.bare(expr);
        if open {
            self.push(")");
        }
    }

    fn bare(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(literal) => self.push(&literal_text(literal)),
            Expr::Column { name, quoted, at } => {
                let column = column_text(name, *quoted);
                let variable = self.aggregated.or(at.variable.as_deref());
                let base = match variable {
                    Some(variable) => format!("{}.{column}", variable_text(variable)),
                    // Bare, `interval - 'x'` would begin a constant.
                    None if column.eq_ignore_ascii_case("interval") => format!("({column})"),
                    None => column,
                };
                self.push(&navigated(base, at));
            }
            Expr::Classifier { at } => {
                let variable = self.aggregated.or(at.variable.as_deref());
                let base = format!("CLASSIFIER({})", variable.map(variable_text).unwrap_or_default());
                self.push(&navigated(base, at));
            }
            Expr::MatchNumber => self.push("MATCH_NUMBER()"),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Negate(operand) => {
                self.push("-");
                // A sign before a number, or before another sign, would be read as part of it.
                let parenthesised = matches!(**operand, Expr::Literal(_) | Expr::Negate(_));
                if parenthesised {
                    self.push("(");
                }
                self.expr(operand, if parenthesised { Level::Or } else { Level::Zone });
                if parenthesised {
                    self.push(")");
                }
            }
            Expr::Binary { op, left, right } => self.binary(*op, left, right),
            Expr::And(args) => self.joined(args, " AND ", Level::Not),
            Expr::Or(args) => self.joined(args, " OR ", Level::And),
            Expr::Not(operand) => self.not(operand),
            Expr::IsNull(operand) => self.predicate(operand, " IS NULL"),
            Expr::In { operand, list } => self.membership(operand, list, " IN ("),
            Expr::Between { operand, low, high } => self.between(operand, low, high, " BETWEEN "),
            Expr::Like { operand, pattern, escape } => self.like(operand, pattern, *escape, " LIKE "),
            Expr::Case { branches, otherwise } => {
                self.push("CASE");
                for branch in branches {
                    self.push(" WHEN ");
                    self.expr(&branch.when, Level::Or);
                    self.push(" THEN ");
                    self.expr(&branch.then, Level::Or);
                }
                if let Some(otherwise) = otherwise {
                    self.push(" ELSE ");
                    self.expr(otherwise, Level::Or);
                }
                self.push(" END");
            }
            Expr::Cast { operand, to, lenient } => {
                self.push(if *lenient { "TRY_CAST(" } else { "CAST(" });
                self.expr(operand, Level::Or);
                let _ = write!(self.text, " AS {})", to.sql_name());
            }
            Expr::Call { function, args } => {
                self.push(&function.name().to_ascii_uppercase());
                self.push("(");
                self.joined(args, ", ", Level::Or);
                self.push(")");
            }
        }
    }

    fn joined(&mut self, args: &[Expr], separator: &str, least: Level) {
        for (index, arg) in args.iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            self.expr(arg, least);
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        let level = Level::of(op);
        // Arithmetic groups to the left; predicates do not chain.
        self.expr(left, if level == Level::Predicate { level.tighter() } else { level });
        self.push(" ");
        self.push(op.symbol());
        self.push(" ");
        self.expr(right, level.tighter());
    }

    /// A negation, inside its predicate where SQL has a form for it.
    fn not(&mut self, operand: &Expr) {
        match operand {
            Expr::IsNull(operand) => self.predicate(operand, " IS NOT NULL"),
            Expr::In { operand, list } => self.membership(operand, list, " NOT IN ("),
            Expr::Between { operand, low, high } => self.between(operand, low, high, " NOT BETWEEN "),
            Expr::Like { operand, pattern, escape } => self.like(operand, pattern, *escape, " NOT LIKE "),
            Expr::Binary { op: BinaryOp::IsDistinctFrom, left, right } => {
                self.predicate(left, " IS NOT DISTINCT FROM ");
                self.expr(right, Level::Concat);
            }
            operand => {
                self.push("NOT ");
                self.expr(operand, Level::Not);
            }
        }
    }

    fn predicate(&mut self, operand: &Expr, words: &str) {
        self.expr(operand, Level::Concat);
        self.push(words);
    }

    fn membership(&mut self, operand: &Expr, list: &[Expr], words: &str) {
        self.predicate(operand, words);
        self.joined(list, ", ", Level::Or);
        self.push(")");
    }

    fn between(&mut self, operand: &Expr, low: &Expr, high: &Expr, words: &str) {
        self.predicate(operand, words);
        self.predicate(low, " AND ");
        self.expr(high, Level::Concat);
    }

    fn like(&mut self, operand: &Expr, pattern: &Expr, escape: Option<char>, words: &str) {
        self.predicate(operand, words);
        self.expr(pattern, Level::Concat);
        if let Some(escape) = escape {
            self.push(" ESCAPE ");
            self.push(&string_text(&escape.to_string()));
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        if aggregate.semantics == Semantics::Final {
            self.push("FINAL ");
        }
        self.push(&aggregate.function.name().to_ascii_uppercase());
        self.push("(");
        if aggregate.distinct {
            self.push("DISTINCT ");
        }
        if aggregate.args.is_empty() {
            if let Some(variable) = &aggregate.variable {
                self.push(&variable_text(variable));
                self.push(".");
            }
            self.push("*");
        } else {
            Writer { text: &mut *self.text, aggregated: aggregate.variable.as_deref() }.joined(
                &aggregate.args,
                ", ",
                Level::Or,
            );
        }
        self.push(")");
    }
}

/// The level of what [`Writer::bare`] writes.
fn level(expr: &Expr) -> Level {
    match expr {
        Expr::Or(_) => Level::Or,
        Expr::And(_) => Level::And,
        Expr::Not(operand) => match &**operand {
            Expr::IsNull(_)
            | Expr::In { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::Binary { op: BinaryOp::IsDistinctFrom, .. } => Level::Predicate,
            _ => Level::Not,
        },
        Expr::IsNull(_) | Expr::In { .. } | Expr::Between { .. } | Expr::Like { .. } => Level::Predicate,
        Expr::Binary { op, .. } => Level::of(*op),
        Expr::Negate(_) => Level::Sign,
        Expr::Literal(literal) if is_signed(literal) => Level::Sign,
        _ => Level::Primary,
    }
}

/// Whether the text of a number begins with a sign.
fn is_signed(literal: &Literal) -> bool {
    match literal {
        Literal::Integer(value) => *value < 0,
        Literal::Float(Float(value)) => !value.is_nan() && value.is_sign_negative(),
        _ => false,
    }
}

fn navigated(base: String, at: &RowPointer) -> String {
    let mut text = base;
    let is_final = at.semantics == Semantics::Final;
    if at.anchor == Anchor::First || at.logical_offset > 0 || is_final {
        let semantics = if is_final { "FINAL " } else { "" };
        let name = if at.anchor == Anchor::First { "FIRST" } else { "LAST" };
        let offset = if at.logical_offset > 0 { format!(", {}", at.logical_offset) } else { String::new() };
        text = format!("{semantics}{name}({text}{offset})");
    }
    if at.physical_offset != 0 {
        let name = if at.physical_offset < 0 { "PREV" } else { "NEXT" };
        let distance = at.physical_offset.unsigned_abs();
        let offset = if distance > 1 { format!(", {distance}") } else { String::new() };
        text = format!("{name}({text}{offset})");
    }
    text
}

fn string_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal_text(literal: &Literal) -> String {
    match literal {
        Literal::Null => "NULL".into(),
        Literal::Boolean(true) => "TRUE".into(),
        Literal::Boolean(false) => "FALSE".into(),
        Literal::Integer(value) => value.to_string(),
        Literal::Float(Float(value)) => float_text(*value),
        Literal::Decimal { unscaled, scale } => decimal_text(*unscaled, *scale),
        Literal::String(text) => string_text(text),
        Literal::Date(days) => format!("DATE '{}'", date_text(i64::from(*days))),
        Literal::Time(nanoseconds) => format!("TIME '{}'", time_text(*nanoseconds)),
        Literal::Timestamp { nanoseconds, zoned } => format!(
            "TIMESTAMP '{} {}{}'",
            date_text(nanoseconds.div_euclid(DAY_NS)),
            time_text(nanoseconds.rem_euclid(DAY_NS)),
            if *zoned { " UTC" } else { "" }
        ),
        Literal::Interval(interval) => format!("INTERVAL {}", interval_text(*interval)),
    }
}

fn float_text(value: f64) -> String {
    if value.is_nan() {
        "NAN()".into()
    } else if value.is_infinite() {
        if value > 0.0 { "INFINITY()".into() } else { "-INFINITY()".into() }
    } else {
        // The shortest text that reads back to the same float, always with a point or an exponent.
        format!("{value:?}")
    }
}

fn decimal_text(unscaled: i128, scale: i8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale > 0 { "." } else { "" };
    format!("DECIMAL '{sign}{whole}{point}{fraction}'")
}
