//! What cepheid is tested against: the brute-force definition of a match, the conformance suite, and generators.
//!
//! - [`reference`]: which rows match, by trying everything in order of preference. Its evaluator, in
//!   `reference_eval`, is its own: nothing here shares code with the engine.
//! - [`suite`]: the cases of `tests/conformance/*.toml`.
//! - [`generate_patterns`], [`generate_events`]: seeded random patterns and tables, the same on every machine.
//! - [`cuts`]: ways to cut a table into batches.
#![forbid(unsafe_code)]

pub mod cuts;
pub mod generate_events;
pub mod generate_patterns;
pub mod reference;
pub mod reference_table;
pub mod split_mix;
pub mod suite;
pub mod text_table;
pub mod value;

mod arrow_values;
mod calendar;
mod generate_conditions;
mod reference_aggregate;
mod reference_eval;
mod reference_function;
mod reference_output;

pub use reference::{ReferenceError, ReferenceMatch, ReferenceOutput, reference_matches, reference_query};
pub use reference_table::ReferenceTable;
pub use split_mix::SplitMix64;
pub use suite::{Case, Mode};
pub use value::RefValue;
