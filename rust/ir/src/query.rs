//! `SELECT ... FROM table MATCH_RECOGNIZE (...) ...`: a pattern and what is done with its rows; and the same of a window.

use serde::{Deserialize, Serialize};

use crate::expr::Expr;
use crate::pattern::Pattern;
use crate::window::Window;

/// A query over the matches of one pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The input table, as written.
    pub table: String,
    /// Whether the table's name was quoted.
    #[serde(default)]
    pub table_quoted: bool,
    /// The pattern.
    pub pattern: Pattern,
    /// What is selected, in order; `*` and `alias.*` are [`SelectItem::All`].
    pub select: Vec<SelectItem>,
    /// `WHERE`, over the columns of the match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Expr>,
    /// `ORDER BY`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order_by: Vec<OrderItem>,
    /// `OFFSET`: rows passed over.
    #[serde(default)]
    pub offset: u64,
    /// `LIMIT` / `FETCH FIRST`: most rows returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// A query over the rows that one window gives.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowQuery {
    /// The input table, as written.
    pub table: String,
    /// Whether the table's name was quoted.
    pub table_quoted: bool,
    /// The window, with a measure for whatever the query asks of its rows.
    pub window: Window,
    /// What is selected, in order, over the window's columns.
    pub select: Vec<SelectItem>,
    /// `HAVING`, over the window's columns.
    pub having: Option<Expr>,
    /// `ORDER BY`, over the output columns and the window's.
    pub order_by: Vec<OrderItem>,
    /// `OFFSET`: rows passed over.
    pub offset: u64,
    /// `LIMIT` / `FETCH FIRST`: most rows returned.
    pub limit: Option<u64>,
}

/// One entry of the select list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SelectItem {
    /// Every column of the match.
    All,
    /// An expression over the columns of the match.
    Value {
        /// Output column name: the alias, the column's own name as written, or `_colN` (N from 0, by position).
        name: String,
        /// The expression.
        value: Expr,
    },
}

/// One key of the outer `ORDER BY`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderItem {
    /// An output column by name, or an expression over the columns of the match.
    pub value: Expr,
    /// Greatest first.
    #[serde(default)]
    pub descending: bool,
    /// NULLs before all values; last by default.
    #[serde(default)]
    pub nulls_first: bool,
}
