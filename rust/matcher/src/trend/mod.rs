//! Trend aggregation: counts and other values over all matches of a pattern, none of them built.
//!
//! What runs wait for is a vector with one number (of runs, their sums, their least value, ...) for each thing that can
//! be waited for; a row is a sparse linear operator on it. Without a window that vector is the state. With a window from
//! first row to last, the vector is that of a product of the operators in the window, which two stacks keep: what is
//! over cannot be subtracted, since products have no inverse. Chains of single rows are the exception, and are counted by it;
//! so is one loop with an event in front or behind.
//!
//! - Accepts: every match wanted, none forgetting another; conditions on single rows; steps, alternatives, loops,
//!   optional parts and absence between steps; a bound on the whole pattern by time or rows, or none; one way at most to
//!   any match. Everything else is refused by name.
//! - Time: O(k·o) amortised a row that some condition accepts, k things that can be waited for and o of them that the
//!   row touches, whatever the window; 64 other rows at a time. One row may move all of the window from one stack to the other.
//! - Space: 24 bytes a row of the window that a condition accepts, and k elements a row of it that can be a first one.
//! - Meaning: `docs/developers/decisions/0007-trend-aggregation.md`.
//! - Papers: Poppe, Lei, Rundensteiner, Maier, *GRETA: Graph-based Real-time Event Trend Aggregation*, VLDB 2017;
//!   Tangwongsan, Hirzel, Schneider, *In-Order Sliding-Window Aggregation in Worst-Case Constant Time*, VLDB Journal 2021.
//!
//! The files: [`compile`] makes operators of the automaton, [`operator`] is what a row does to the numbers of ways,
//! [`semiring`] is what is counted and in which [`number`]s, [`stacks`] the window, [`scan`] the way through the rows;
//! [`chain`] counts chains; [`loops`] one loop, whose runs are kept in [`under_way`] and summed as [`whole`] numbers.

mod chain;
mod compile;
mod loops;
mod number;
mod operator;
mod scan;
mod semiring;
mod stacks;
mod under_way;
mod whole;

pub use compile::TrendMatcher;
pub use number::{Exact, Number, Small, Wide};
pub use scan::{Groups, ScanOptions, TrendRows, TrendWork};
pub use semiring::{Counting, Extreme, Extremes, Semiring, Total, Totals};
