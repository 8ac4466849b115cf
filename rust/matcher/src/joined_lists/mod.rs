//! Joined lists: every match of steps whose conditions compare rows with each other, in a table.
//!
//! For patterns of one step after another that want all matches. As in [step lists](crate::step_lists) each step has one list of
//! the rows that some run has reached it by. What a condition compares with earlier rows is kept beside the entries, as
//! columns of numbers, and tells which entries of the list before a row may follow: by hash where it must equal something
//! of theirs; by the least and the greatest number of every block of 64 entries where it must be less or greater; and any
//! other condition is asked of all entries in reach at once, over columns.
//!
//! An entry stands for all runs that come to its row, however many entries it may follow: these are found again when a match
//! needs them. Only where a later condition looks beyond the step, so that the ways there differ in what they allow, is there
//! an entry for each entry that it follows: a run, but of columns.
//!
//! Rows that a step accepts by itself are known from masks before the search begins. So it goes from one row of the last
//! step to the next, and puts nothing in any list but what stands in the window of such a row; and it leaps over whatever
//! has no row for each step, in order, in its window. A step whose rows are rare, wherever it stands, is what it leaps by.
//!
//! - Time: O(1) a row in such windows by hash; O(b) by order, b blocks of the window, and 64 for each of which some entry may
//!   fit; O(w) for other conditions, w entries in the window, and at worst for the latest start of a row that is compared
//!   with nothing behind one that is. What a row completes is enumerated in time linear in the rows of these matches where
//!   one equality or nothing is compared; by order in up to 64 times that and a look at every block; and what is compared
//!   beside the first equality is asked of each entry of its number.
//! - Space: some 24 bytes an entry of the window and 8 for each number kept; 4 a row that a step accepts.
//! - Errors: what may raise one is asked of every row it could be asked of, beforehand; where one is raised, waiting runs
//!   decide whether it is met.
//!
//! Lists by hash for partial equality are those of Pinto and Riveros (*Complex Event Recognition meets Hierarchical
//! Conjunctive Queries*, arXiv 2408.01652); not following the order of the pattern is due to Kolchinsky and Schuster (*Join
//! Query Optimization Techniques for Complex Event Processing Applications*, PVLDB 11(11), 2018).
//!
//! The files: [`compile`] sorts conditions by the rows that they read, [`candidates`] works out over columns what they read,
//! [`lists`] are the lists, [`ask`] asks what no number decides, [`search`] goes through the rows, [`enumerate`] through the
//! matches of one.

mod ask;
mod candidates;
mod compile;
mod enumerate;
mod lists;
mod search;

pub use compile::JoinedLists;
