//! The pattern language of cepheid, as plain data.
//!
//! Every front end (SQL text, the Python algebra, JSON) lowers to [`Pattern`]; every engine starts from it. The
//! crate knows no Arrow, does no I/O and runs nothing: what can be said about a pattern without data is said here.
//!
//! - [`pattern`]: which rows, in which order, what to report. [`expr`]: conditions and measures.
//! - [`trend`]: values over all matches, none of them built. [`window`]: values of the rows in a stretch of time.
//!   [`anomaly`]: values that stand out.
//! - [`temporal_text`]: dates and times as text.
//! - [`validate`](Pattern::validate): every rule that can be checked without data.
//! - [`normalise`](Pattern::normalise): one spelling for each meaning.
//! - [`wire`](Pattern::to_json): versioned JSON and the fingerprint.
#![forbid(unsafe_code)]

pub mod anomaly;
pub mod error;
pub mod expr;
pub mod function;
pub mod limits;
pub mod literal;
pub mod pattern;
pub mod query;
pub mod temporal_text;
pub mod trend;
pub mod window;
pub mod window_reports;

mod absence;
mod mentioned;
mod normalise;
mod validate;
mod window_aggregate;
mod wire;

pub use anomaly::{Anomaly, AnomalyMethod, FINITE_MAX, RecentRows, ReportedRows};
pub use error::PatternError;
pub use expr::{Aggregate, Anchor, BinaryOp, CaseBranch, Expr, RowPointer, Semantics, TestedRow};
pub use function::{AggregateFunction, Function};
pub use literal::{DataType, Float, Interval, Literal};
pub use mentioned::mentioned;
pub use pattern::{
    AfterMatchSkip, Between, ColumnName, Contiguity, Definition, EmitAt, EmptyMatches, Measure,
    OutputColumns, PartitionEdge, Pattern, PatternNode, Quantifier, RowsPerMatch, Selection, SkipRow,
    SortKey, Step, Subset, VariableTopic, Within,
};
pub use query::{OrderItem, Query, SelectItem, WindowQuery};
pub use trend::Trend;
pub use window::{Frame, Window};
pub use window_aggregate::{QUANTILE_ERROR, QUANTILE_ERROR_MAX, QUANTILE_ERROR_MIN, TOP_K_ERROR, TOP_K_MAX};
pub use window_reports::{Early, Empty, Reports, Timing};
pub use wire::{WIRE_VERSION, expr_from_json, expr_to_json};
