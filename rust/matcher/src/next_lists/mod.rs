//! Next lists: one run a start row, all of them in the order in which they began.
//!
//! Where every step takes the next row that fits, no condition reads the run, and no row fits two of the steps that a run may
//! go on with, a run is settled by its start row. Then runs that have come to the same place of the pattern have the same
//! future, and one that began earlier is never behind one that began later. So the runs of a key stand in one list by
//! their start rows, those of a place are a stretch of it, and a row moves a whole stretch by moving where it ends: the list
//! moves of skip till next that Bucchi, Grez, Quintana, Riveros and Vansummeren (*CORE: a Complex Event Recognition Engine*,
//! PVLDB 15(9), 2022) make of lists that are linked, without links.
//!
//! What a run has taken is written down once for all that took it: a row that moves a stretch is an entry with the stretch,
//! one that repeats a loop is a row of that loop's list. A match is read back from them when it is complete.
//!
//! - Time: O(p) a row that some condition accepts, p the places it leads on from, however many runs wait; for a match O(1) a
//!   row of it, and O(log n) for each of its loops.
//! - Space: 4 bytes a run, 4 a row that repeats a loop, 16 a row that runs take otherwise; all of a key at once.
//!
//! Places and what is asked there are those of [step lists](crate::step_lists), which say whether a pattern is of this kind
//! ([`StepLists::check_for_next_lists`](crate::StepLists::check_for_next_lists)). [`runs`] keeps the runs of a key, [`search`] goes over
//! a table, [`in_step`] over parts of a key on several threads.

mod in_step;
mod runs;
mod search;

pub(crate) use search::search;
