//! The places of rows that wait, kept nearly in order.

/// Where a row that waits stands among all rows, and where it is found. The order of the fields is the order of release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Event time, in nanoseconds.
    pub(crate) time: i64,
    /// Whether it came when the watermark stood at its very time: rows of that time are then out already, so it follows
    /// them whatever its topic. Never true of a row that waits.
    pub(crate) at_watermark: bool,
    pub(crate) topic: u16,
    /// Its ordinal among the rows of its topic.
    pub(crate) arrival: u64,
}

/// Places in several ascending runs, as patience sorting makes them: a place goes to the run whose last place is the
/// greatest that is not after it.
///
/// - Order: r runs, r = the length of the longest falling subsequence of what waits; one for rows in order.
/// - Time: `insert` O(1) where it goes on from the one before it, O(log r) else; `up_to` O(r log n) and O(k log r) for
///   the k places that it gives; `remove` amortised O(k + r).
/// - Space: 24 bytes a place; at most twice that while a run is half removed.
/// - Paper: Chandramouli, Goldstein, Li, *Impatience Is a Virtue*, SIGMOD 2018 (Impatience sort). The heads are merged by
///   the standard library's sort, which finds the runs again and merges them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    /// Last places are strictly descending from run to run. None is empty.
    runs: Vec<Run>,
    /// The run that was added to last.
    last_used: usize,
}

#[derive(Clone, Debug)]
struct Run {
    places: Vec<Place>,
    /// Places before this one have been removed.
    head: usize,
}

impl Run {
    fn last(&self) -> Place {
        *self.places.last().expect("no run is empty")
    }
}

impl Runs {
    /// Adds a place.
    pub(crate) fn insert(&mut self, place: Place) {
        let fits = |run: usize| {
            self.runs.get(run).is_some_and(|it| it.last() <= place)
                && (run == 0 || self.runs[run - 1].last() > place)
        };
        let run = if fits(self.last_used) {
            self.last_used
        } else {
            self.runs.partition_point(|run| run.last() > place)
        };
        match self.runs.get_mut(run) {
            Some(run) => run.places.push(place),
            None => self.runs.push(Run { places: vec![place], head: 0 }),
        }
        self.last_used = run;
    }

    /// How many places of each run have a time up to and including `time`; none of them for `None`.
    pub(crate) fn up_to(&self, time: Option<i64>) -> Vec<usize> {
        let ready = |run: &Run| {
            let reached = |place: &Place| time.is_some_and(|time| place.time <= time);
            run.places[run.head..].partition_point(reached)
        };
        self.runs.iter().map(ready).collect()
    }

    /// The time of the last place of all.
    pub(crate) fn last_time(&self) -> Option<i64> {
        self.runs.first().map(|run| run.last().time)
    }

    /// The first `counts[r]` places of each run r, run after run.
    pub(crate) fn first<'r>(&'r self, counts: &'r [usize]) -> impl Iterator<Item = Place> + 'r {
        let heads = self.runs.iter().zip(counts);
        heads.flat_map(|(run, count)| run.places[run.head..run.head + count].iter().copied())
    }

    /// Removes the first `counts[r]` places of each run r.
    pub(crate) fn remove(&mut self, counts: &[usize]) {
        debug_assert_eq!(counts.len(), self.runs.len(), "counts of other runs");
        for (run, count) in self.runs.iter_mut().zip(counts) {
            run.head += count;
            // Moving the rest to the front costs no more than what was removed.
            if run.head * 2 > run.places.len() {
                run.places.drain(..run.head);
                run.head = 0;
                if run.places.len() * 4 < run.places.capacity() {
                    run.places.shrink_to(run.places.len() * 2);
                }
            }
        }
        self.runs.retain(|run| !run.places.is_empty());
        self.last_used = 0;
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.iter().map(|run| run.places.capacity() * size_of::<Place>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(time: i64, arrival: u64) -> Place {
        Place { time, at_watermark: false, topic: 0, arrival }
    }

    #[test]
    fn there_are_as_many_runs_as_rows_in_the_longest_fall() {
        for (times, expected) in [
            (vec![1, 2, 2, 3], 1),
            (vec![3, 2, 1], 3),
            (vec![5, 1, 6, 2, 7, 3], 2),
            (vec![1, 9, 2, 8, 3, 7, 4], 4),
        ] {
            let mut runs = Runs::default();
            for (arrival, time) in times.iter().enumerate() {
                runs.insert(place(*time, arrival as u64));
            }
            assert_eq!(runs.runs.len(), expected, "{times:?}");
            assert!(runs.runs.windows(2).all(|pair| pair[0].last() > pair[1].last()));
        }
    }

    #[test]
    fn what_is_removed_is_what_was_given() {
        let mut runs = Runs::default();
        for (arrival, time) in [5, 1, 6, 2, 7, 3].into_iter().enumerate() {
            runs.insert(place(time, arrival as u64));
        }
        assert_eq!(runs.up_to(None), [0, 0]);
        let counts = runs.up_to(Some(3));
        let mut given: Vec<i64> = runs.first(&counts).map(|place| place.time).collect();
        given.sort_unstable();
        assert_eq!(given, [1, 2, 3]);
        runs.remove(&counts);
        runs.insert(place(4, 6));
        let counts = runs.up_to(runs.last_time());
        let mut rest: Vec<i64> = runs.first(&counts).map(|place| place.time).collect();
        rest.sort_unstable();
        assert_eq!(rest, [4, 5, 6, 7]);
        runs.remove(&counts);
        assert_eq!((runs.up_to(Some(i64::MAX)), runs.last_time()), (vec![], None));
        assert_eq!(size_of::<Place>(), 24);
    }
}
