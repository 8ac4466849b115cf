//! Where windows begin and end.

use std::borrow::Cow;

/// Starts and ends of windows, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edges {
    /// One of each a window; none where each is of a row, in order of these.
    Each {
        /// See above.
        starts: Vec<i64>,
        /// Likewise.
        ends: Vec<i64>,
    },
    /// Once for all windows that begin and end together and follow each other, as those of a grid do: of many keys they are many, and
    /// to write two times for each costs as much as two aggregates.
    Together(Vec<Together>),
}

/// Windows that begin and end together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// Where they begin.
    pub start: i64,
    /// Where they end.
    pub end: i64,
    /// How many there are.
    pub windows: usize,
}

impl Default for Edges {
    fn default() -> Self {
        Self::Each { starts: vec![], ends: vec![] }
    }
}

impl Edges {
    /// The start of each window.
    pub fn starts(&self) -> Cow<'_, [i64]> {
        match self {
            Self::Each { starts, .. } => starts.into(),
            Self::Together(all) => repeated(all, |own| own.start).into(),
        }
    }

    /// The end of each window.
    pub fn ends(&self) -> Cow<'_, [i64]> {
        match self {
            Self::Each { ends, .. } => ends.into(),
            Self::Together(all) => repeated(all, |own| own.end).into(),
        }
    }

    /// Those of some windows, and then of others.
    pub fn joined(all: &[&Self]) -> Self {
        let together = |edges: &&Self| match edges {
            Self::Together(own) => Some(own.clone()),
            Self::Each { .. } => None,
        };
        match all.iter().map(together).collect::<Option<Vec<_>>>() {
            Some(all) => Self::Together(all.concat()),
            None => Self::Each {
                starts: all.iter().flat_map(|edges| edges.starts().into_owned()).collect(),
                ends: all.iter().flat_map(|edges| edges.ends().into_owned()).collect(),
            },
        }
    }
}

/// A time of each window.
fn repeated(all: &[Together], time: impl Fn(&Together) -> i64) -> Vec<i64> {
    let mut times = Vec::with_capacity(all.iter().map(|own| own.windows).sum());
    all.iter().for_each(|own| times.resize(times.len() + own.windows, time(own)));
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_that_are_joined_are_those_of_all_windows_in_turn() {
        let together = Edges::Together(vec![
            Together { start: 0, end: 10, windows: 2 },
            Together { start: 5, end: 15, windows: 1 },
        ]);
        let each = Edges::Each { starts: vec![7, 8], ends: vec![17, 19] };
        assert_eq!((&*together.starts(), &*together.ends()), (&[0, 0, 5][..], &[10, 10, 15][..]));
        let twice = Edges::joined(&[&together, &together]);
        assert!(matches!(&twice, Edges::Together(all) if all.len() == 4), "{twice:?}");
        assert_eq!(*twice.ends(), [10, 10, 15, 10, 10, 15]);
        let both = Edges::joined(&[&each, &together]);
        assert_eq!(both, Edges::Each { starts: vec![7, 8, 0, 0, 5], ends: vec![17, 19, 10, 10, 15] });
        assert_eq!(*Edges::joined(&[]).starts(), [0_i64; 0]);
    }
}
