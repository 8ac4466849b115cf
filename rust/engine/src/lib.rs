//! The order of the stages from a table to its matches, and nothing else.
//!
//! [`plan`] compiles a pattern against a schema; [`pipeline`] runs the stages; [`derive`](mod@derive) makes output
//! columns of matches; [`query`] does what an outer `SELECT` asks of them; [`sequences`] runs event sequences over a table;
//! [`trend`] and [`trend_output`] are values over all matches; [`windows`] are those of a table, and [`anomalies`] its rows that stand out.
#![forbid(unsafe_code)]

mod aggregates;
mod anomalies;
mod column_sources;
mod compact;
mod derive;
mod edge_columns;
mod found_windows;
mod match_order;
mod ordered_table;

pub mod stream;

pub mod error;
pub mod explain;
mod lists;
pub mod matches;
pub mod pipeline;
pub mod plan;
mod promote;
pub mod query;
mod rows_by_key;
mod sequence_rows;
pub mod sequences;
mod shared_places;
mod time_order;
mod trend;
mod trend_output;
mod windows;

pub use anomalies::detect_table;
pub use cepheid_eval::Fault;
pub use cepheid_matcher::Strategy;
pub use cepheid_matcher::sequence::{FoundKind, Moment};
pub use cepheid_window::{UserAggregate, UserAggregates};
pub use compact::{BUILT_MAX, CompactMatches, Matched, match_compactly};
pub use error::EngineError;
pub use explain::explain;
pub use matches::MatchTable;
pub use pipeline::{count_matches, exists_match, match_head, match_outputs, match_table};
pub use plan::{MatchOptions, Plan};
pub use query::{run_query, run_window_query};
pub use sequences::{SequenceFound, match_events};
pub use stream::{
    AskedWindow, DerivedTable, Engine, EngineOptions, EngineStats, LatePolicy, PreparedPattern, Process,
    Processor, RuleSpec, RuleStats, TopicOutputs, match_topics,
};
pub use windows::{aggregate_table, aggregate_table_with};
