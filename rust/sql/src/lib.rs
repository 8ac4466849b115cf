//! SQL text to the pattern language and back.
//!
//! A text goes through four hands: `lexer` splits it into tokens, each with its span; the `parse_*` modules, a
//! recursive-descent parser with operator precedence for expressions, build a tree of what was written; `lower` and
//! `lower_*` resolve its names into `cepheid_ir`; what only the whole pattern shows is checked by
//! [`Pattern::validate`]. `unparse_*` goes the other way, and `parse(unparse(x)) == x` for everything SQL can say.
//!
//! No text makes the crate panic or exhaust the stack: the limits of `cepheid_ir::limits` are checked while parsing,
//! and the time taken is linear in the text.
#![forbid(unsafe_code)]

mod ast;
mod calendar;
mod cursor;
mod error;
mod lexer;
mod lower;
mod lower_pattern;
mod lower_query;
mod lower_window;
mod parse_bound;
mod parse_expr;
mod parse_literal;
mod parse_primary;
mod parse_query;
mod parse_recognition;
mod parse_row_pattern;
mod parse_window;
mod span;
mod to_sql;
mod unparse;
mod unparse_pattern;

use cepheid_ir::{Expr, Pattern, Query, Window, WindowQuery};

pub use error::{SqlError, SqlErrorKind};
pub use span::Span;
pub use to_sql::pattern_to_sql;
pub use unparse::unparse_expr;
pub use unparse_pattern::{unparse_pattern, unparse_query};

use cursor::Cursor;
use error::{Failure, Parsed};
use lower::{Scope, lower_expression};

/// What an expression's text may name, and what a qualifier means in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQL's `DEFINE`: the row under test belongs to its variable; unquoted variables fold to upper case; no `FINAL`.
    Condition,
    /// SQL's `MEASURES`.
    Measure,
    /// Text in the algebra's conditions: `b.x` is of the rows accepted before, a bare column of the row under test;
    /// variables keep their case.
    AlgebraCondition,
    /// Text in the algebra's measures: as SQL's, but variables keep their case.
    AlgebraMeasure,
    /// The outer `SELECT`: columns of the matches only. Without a query there is no alias, so nothing is qualified.
    Outer,
    /// The `SELECT` of a query of windows: aggregates of a window's rows, `FIRST(x)` and `LAST(x)`, and, for whoever
    /// reads the expression to resolve, columns.
    Window,
}

/// Reads `SELECT ... FROM table MATCH_RECOGNIZE (...) [AS alias] [WHERE ...] [ORDER BY ...] [LIMIT ...]`.
///
/// # Errors
/// [`SqlError`], with the place of the fault.
pub fn parse_query(text: &str) -> Result<Query, SqlError> {
    placed(text, || match Cursor::new(text)?.statement()? {
        ast::Statement::Pattern(select) => lower_query::lower_select(*select),
        ast::Statement::Window(select) => {
            Err(Failure::unsupported(select.source.span, "a query of windows has no pattern"))
        }
    })
}

/// A query over one table.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `SELECT ... FROM table MATCH_RECOGNIZE (...) ...`
    Pattern(Query),
    /// `SELECT ... FROM TABLE(TUMBLE(...)) ... GROUP BY ...`
    Window(WindowQuery),
}

/// Reads a query of matches, as [`parse_query`], or one of windows:
/// `SELECT ... FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL ...)) [WHERE ...] GROUP BY ... [HAVING ...] [ORDER
/// BY ...] [LIMIT ...]`, likewise of `HOP` and `SESSION`.
///
/// # Errors
/// [`SqlError`], with the place of the fault.
pub fn parse_statement(text: &str) -> Result<Statement, SqlError> {
    placed(text, || match Cursor::new(text)?.statement()? {
        ast::Statement::Pattern(select) => lower_query::lower_select(*select).map(Statement::Pattern),
        ast::Statement::Window(select) => lower_window::lower_window_select(*select).map(Statement::Window),
    })
}

/// Reads a window: a query of windows that gives all of them, with the columns that it selects.
///
/// # Errors
/// [`SqlError`], with the place of the fault; a query that filters, orders or renames what a window says is one.
pub fn parse_window(text: &str) -> Result<Window, SqlError> {
    placed(text, || match Cursor::new(text)?.statement()? {
        ast::Statement::Window(select) => lower_window::lower_plain_window(*select),
        ast::Statement::Pattern(select) => {
            let message = "a window is read from SELECT ... FROM TABLE(TUMBLE(...)) ... GROUP BY ...; \
                           a pattern is read with cepheid.pattern_from_sql()";
            Err(Failure::unsupported(select.table.span, message))
        }
    })
}

/// Reads a pattern: `MATCH_RECOGNIZE (...)` alone, or a whole `SELECT * FROM table MATCH_RECOGNIZE (...)`, of which
/// the table is not looked at.
///
/// # Errors
/// [`SqlError`], with the place of the fault; a query that does more than select all columns is one.
pub fn parse_pattern(text: &str) -> Result<Pattern, SqlError> {
    placed(text, || {
        let mut cursor = Cursor::new(text)?;
        if cursor.at_word("MATCH_RECOGNIZE") {
            return lower_pattern::lower_recognition(cursor.bare_recognition()?);
        }
        if !cursor.at_any_word(&["SELECT", "WITH"]) {
            return Err(cursor.unexpected(&["SELECT", "MATCH_RECOGNIZE"]));
        }
        let select = match cursor.statement()? {
            ast::Statement::Pattern(select) => select,
            ast::Statement::Window(select) => {
                let message = "this is a window, not a pattern; it is read with cepheid.window_from_sql()";
                return Err(Failure::unsupported(select.source.span, message));
            }
        };
        if let Some(span) = select.beyond_pattern {
            let message = "a pattern is read from SELECT * FROM table MATCH_RECOGNIZE (...) alone; \
                           put conditions into DEFINE, or run the whole query with cepheid.sql()";
            return Err(Failure::unsupported(span, message));
        }
        Ok(lower_query::lower_select(*select)?.pattern)
    })
}

/// Reads one expression. Without a pattern, any qualifier may be a variable.
///
/// # Errors
/// [`SqlError`], with the place of the fault.
pub fn parse_expression(text: &str, dialect: Dialect) -> Result<Expr, SqlError> {
    placed(text, || {
        let mut cursor = Cursor::new(text)?;
        let node = cursor.expression()?;
        cursor.end_of_text(&["an operator", "the end of the expression"])?;
        let scope = Scope { dialect, variables: None, alias: None, context: String::new() };
        lower_expression(&scope, node)
    })
}

/// Reads a measure of the algebra and the name that may stand behind it: `SUM(x) AS total`.
///
/// # Errors
/// As [`parse_expression`].
pub fn parse_measure(text: &str) -> Result<(Expr, Option<String>), SqlError> {
    placed(text, || {
        let mut cursor = Cursor::new(text)?;
        let node = cursor.expression()?;
        let name = if cursor.eat_word("AS") { Some(cursor.name("a name")?.text) } else { None };
        cursor.end_of_text(&["an operator", "AS", "the end of the expression"])?;
        let scope =
            Scope { dialect: Dialect::AlgebraMeasure, variables: None, alias: None, context: String::new() };
        Ok((lower_expression(&scope, node)?, name))
    })
}

fn placed<T>(text: &str, parse: impl FnOnce() -> Parsed<T>) -> Result<T, SqlError> {
    parse().map_err(|failure| SqlError::new(text, *failure))
}
