//! What windows keep as plain data, for snapshots. What follows from it is not in it, and it is checked when it is read: its
//! bytes come from outside.

use serde::{Deserialize, Serialize};

use crate::arena::NONE;
use crate::compile::WindowPlan;
use crate::frames::kept_rows::SavedRow;
use crate::monoid::Monoid;
use crate::state::WindowState;

/// What a window keeps between rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedWindows {
    pub(crate) rows: u64,
    pub(crate) greatest: u64,
    pub(crate) frame: SavedFrame,
}

/// States of every aggregate, each aggregate's as bytes.
pub(crate) type SavedTable = Vec<Vec<u8>>;

/// Columns of states, and among them those of rows that some of these count, each at its place: see [`Monoid::rows_column`].
pub(crate) fn with_rows(mut saved: SavedTable, rows: impl Iterator<Item = (usize, Vec<u8>)>) -> SavedTable {
    rows.for_each(|(place, rows)| saved.insert(place, rows));
    saved
}

/// What was saved of a column: its states, and how many rows each is of if it counts these.
pub(crate) type SavedColumn<'a> = (&'a [u8], Option<&'a [u8]>);

/// Of each column the states, and the rows where they are at a place of their own; `None`: they are other columns.
pub(crate) fn by_column<'a>(saved: &'a [Vec<u8>], rows: &[Option<usize>]) -> Option<Vec<SavedColumn<'a>>> {
    if saved.len() != rows.len() + rows.iter().flatten().count() {
        return None;
    }
    let states = saved.iter().enumerate().filter(|(place, _)| !rows.contains(&Some(*place)));
    let column = |((_, states), rows): ((usize, &'a Vec<u8>), &Option<usize>)| {
        let rows = match rows {
            Some(place) => Some(saved.get(*place)?.as_slice()),
            None => None,
        };
        Some((states.as_slice(), rows))
    };
    states.zip(rows).map(column).collect()
}

/// Key, first and last time of an open window.
pub(crate) type SavedWindow = (u32, i64, i64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum SavedFrame {
    Tumbling {
        open: Option<i64>,
        keys: Vec<u32>,
        table: SavedTable,
    },
    Hopping {
        slices: Vec<SavedSlice>,
        reported: Option<i64>,
        table: SavedTable,
    },
    /// In the order in which they began.
    Session {
        windows: Vec<SavedWindow>,
        table: SavedTable,
    },
    /// Likewise; and for each key how many of its rows there have been since its last window began.
    Counted {
        seen: Vec<u64>,
        windows: Vec<SavedWindow>,
        table: SavedTable,
    },
    Sliding {
        keys: Vec<SavedQueue>,
        columns: Vec<Vec<u8>>,
    },
    /// In the order in which they began.
    Reported {
        windows: Vec<SavedReported>,
        table: SavedTable,
        tick: Option<i64>,
        /// Time and number of the last row of each key.
        last_rows: Vec<Option<(i64, u64)>>,
        empty_end: Option<i64>,
    },
    /// The same, and the rows of those that may be reported again, key by key, each with a state.
    Late {
        reported: Box<SavedFrame>,
        rows: Vec<SavedRow>,
        states: SavedTable,
        nothing_until: Option<i64>,
    },
}

/// An open window of which more is told than what is in it at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedReported {
    pub(crate) key: u32,
    pub(crate) start: i64,
    pub(crate) last: i64,
    pub(crate) rows: u64,
    pub(crate) fresh: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSlice {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) keys: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedQueue {
    pub(crate) times: Vec<i64>,
    pub(crate) ordinals: Vec<u64>,
    pub(crate) front: u32,
}

impl WindowState {
    /// What is kept, as plain data; `None`: there is a value that cannot be written down, as it only passes through. No window
    /// that is complete may wait to be told of.
    pub fn save(&self) -> Option<SavedWindows> {
        let (rows, greatest) = self.counts();
        Some(SavedWindows { rows, greatest, frame: self.save_frame()? })
    }

    /// Reads what [`save`](Self::save) wrote, of so many keys.
    ///
    /// # Errors
    /// Why it is nothing that the window can have kept.
    pub fn load(plan: &WindowPlan, saved: SavedWindows, num_keys: usize) -> Result<Self, String> {
        let mut state = Self::new(plan);
        state.set_counts(saved.rows, saved.greatest);
        state.load_frame(saved.frame, num_keys).ok_or("windows that the rule cannot have")?;
        Ok(state)
    }
}

/// States as plain data. `next[s]`: the state that was joined with state `s` and stands behind it; it may end before, or say
/// [`NONE`]. Of states of that kind, of which each is the next and some rows, only these rows are written, where an aggregate
/// keeps them.
pub(crate) fn save_states<M: Monoid>(monoid: &M, states: &[M::State], next: &[u32]) -> Option<Vec<M::Saved>> {
    let of = |place: usize| match next.get(place) {
        Some(next) if *next != NONE => monoid.save_before(&states[place], &states[*next as usize]),
        _ => monoid.save(&states[place]),
    };
    (0..states.len()).map(of).collect()
}

/// Reads what [`save_states`] wrote; `None`: it is none of this.
pub(crate) fn load_states<M: Monoid>(
    monoid: &M,
    saved: Vec<M::Saved>,
    next: &[u32],
) -> Option<Vec<M::State>> {
    let mut states = vec![monoid.empty(); saved.len()];
    for (place, saved) in saved.into_iter().enumerate().rev() {
        states[place] = match next.get(place) {
            Some(next) if *next != NONE => monoid.load_before(saved, states.get(*next as usize)?)?,
            _ => monoid.load(saved)?,
        };
    }
    Some(states)
}

/// Whether numbers of keys are all different, and of so many.
pub(crate) fn are_keys(keys: impl Iterator<Item = u32>, num_keys: usize) -> bool {
    let mut seen = vec![false; num_keys];
    let mut keys = keys;
    keys.all(|key| seen.get_mut(key as usize).is_some_and(|seen| !std::mem::replace(seen, true)))
}
