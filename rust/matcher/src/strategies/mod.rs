//! The strategies, one file each; [`crate::strategy`] chooses.

pub(crate) mod backtracking;
pub(crate) mod bit_streams;
pub(crate) mod reverse_automaton;
mod tails;
