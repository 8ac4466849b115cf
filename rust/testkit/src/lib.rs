//! What cepheid is tested against: the brute-force definition of a match, the conformance suite, and generators.
//!
//! - [`reference`]: which rows match, by trying everything in order of preference. Its evaluator, in
//!   `reference_eval`, is its own: nothing here shares code with the engine.
//! - [`reference_sequences`]: which events a pattern with gaps, absence and time derives, by growing every run.
//! - [`reference_trend`](fn@reference_trend): values over all matches, by building every one.
//! - [`reference_windows`]: values of windows, by listing the rows of each.
//! - [`reference_anomalies`]: which rows stand out, by comparing each with all before it.
//! - [`suite`]: the cases of `tests/conformance/*.toml`; [`sequence_suite`], [`trend_suite`], [`window_suite`],
//!   [`anomaly_suite`]: those of the folders below.
//! - [`generate_patterns`], [`generate_events`]: seeded random patterns and tables, the same on every machine.
//! - [`generate_sequences`], [`generate_streams`]: the same for event sequences; [`sequence_constructs`] counts what
//!   a sample holds.
//! - [`generate_trends`], [`generate_windows`]: what is aggregated over such streams. [`generate_anomalies`]: rules and the
//!   tables that they are asked of.
//! - [`letters`]: rows and steps of one letter each, for tests that count work.
//! - [`cuts`]: ways to cut a table into batches.
#![forbid(unsafe_code)]

pub mod anomaly_suite;
pub mod cuts;
pub mod generate_anomalies;
pub mod generate_events;
pub mod generate_patterns;
pub mod generate_sequences;
pub mod generate_streams;
pub mod generate_trends;
pub mod generate_windows;
pub mod letters;
pub mod reference;
pub mod reference_table;
pub mod row_case;
pub mod sequence_constructs;
pub mod sequence_event;
pub mod sequence_input;
pub mod sequence_suite;
pub mod split_mix;
pub mod suite;
pub mod text_table;
pub mod trend_suite;
pub mod value;
pub mod window_suite;

mod arrow_values;
mod calendar;
mod case_files;
mod generate_conditions;
mod late_rows;
mod reference_aggregate;
mod reference_anomaly;
mod reference_eval;
mod reference_function;
mod reference_output;
mod reference_trend;
mod reference_window;
mod reference_window_aggregate;
mod sequence_run;
mod sequence_targets;
mod sequence_timeline;

pub use reference::{ReferenceError, ReferenceMatch, ReferenceOutput, reference_matches, reference_query};
pub use reference_anomaly::reference_anomalies;
pub use reference_table::ReferenceTable;
pub use reference_trend::reference_trend;
pub use reference_window::{WindowRow, reference_windows, window_table};
pub use sequence_event::{Moment, SequenceEvent, SequenceKind, reference_sequences};
pub use sequence_input::{SequenceInput, row_order};
pub use sequence_suite::SequenceCase;
pub use split_mix::{SplitMix64, ordered_times};
pub use suite::{Case, Mode};
pub use value::RefValue;
