//! The runs of one key.

use std::ops::Range;

use crate::lists::written::Written;
use crate::step_lists::StepLists;

/// What a row does that satisfies certain conditions.
#[derive(Debug)]
pub(super) struct Action {
    /// A run may begin at it.
    pub(super) begins: bool,
    /// From where to where runs go, those that began first before the others. From a place to itself a loop is repeated.
    moves: Vec<(u16, u16)>,
}

impl Action {
    /// What a row does that satisfies the predicates set in `symbol`.
    pub(super) fn new(steps: &StepLists, symbol: u64) -> Self {
        let fits =
            |place: &u16| steps.conditions.are_satisfied(symbol, steps.places[*place as usize].variable);
        let way = |from: u16| Some((from, steps.targets(from).find(fits)?));
        Self { begins: fits(&0), moves: (0..steps.places.len() as u16).rev().filter_map(way).collect() }
    }
}

/// Runs, by the order in which they began: the first has number 0. All that is asked of them takes the steps that they were
/// made for.
#[derive(Debug)]
pub(super) struct Runs {
    /// The row that each began at.
    starts: Vec<u32>,
    /// The numbers of those that wait at each place; those of later places began earlier.
    waiting: Vec<Range<u32>>,
    /// What brought runs to each place, in order.
    arrivals: Vec<Arrivals>,
    /// The way of the match at hand, from its last row to its first.
    way: Vec<(u16, u32)>,
    /// Entries that were made: a count of work.
    pub(super) made: u64,
}

/// What brought runs to a place.
#[derive(Debug, Default)]
struct Arrivals {
    entries: Vec<Arrival>,
    /// Entries before this one are of runs that are over.
    passed: usize,
    /// Rows that repeated the loop.
    repeated: Vec<u32>,
}

/// A row, and the runs that it brought to a place from another.
#[derive(Debug)]
struct Arrival {
    runs: Range<u32>,
    row: u32,
    from: u16,
}

/// Runs that a row has completed.
#[derive(Debug)]
pub(super) struct Complete {
    /// Their numbers.
    pub(super) runs: Range<u32>,
    /// The place that they waited at, and the one that took the row.
    pub(super) from: u16,
    pub(super) place: u16,
}

impl Runs {
    pub(super) fn new(steps: &StepLists) -> Self {
        let places = steps.places.len();
        Self {
            starts: vec![],
            waiting: vec![0..0; places],
            arrivals: (0..places).map(|_| Arrivals::default()).collect(),
            way: vec![],
            made: 0,
        }
    }

    /// Ends every run.
    #[inline]
    pub(super) fn clear(&mut self) {
        if self.starts.is_empty() {
            return;
        }
        self.starts.clear();
        self.waiting.fill(0..0);
        for arrivals in &mut self.arrivals {
            arrivals.entries.clear();
            arrivals.passed = 0;
            arrivals.repeated.clear();
        }
    }

    /// Begins a run.
    #[inline]
    pub(super) fn begin(&mut self, row: u32) {
        let number = self.starts.len() as u32;
        self.starts.push(row);
        self.made += 1;
        self.arrive(0, number..number + 1);
    }

    /// Moves all that a row moves. `completed` is given those that it completes, those that began first before the others.
    #[inline]
    pub(super) fn go_on(
        &mut self,
        steps: &StepLists,
        action: &Action,
        row: u32,
        completed: &mut Vec<Complete>,
    ) {
        for (from, place) in action.moves.iter().copied() {
            let waiting = &mut self.waiting[from as usize];
            if Range::is_empty(waiting) {
                continue;
            }
            if from == place {
                self.arrivals[from as usize].repeated.push(row);
                self.made += 1;
                continue;
            }
            let runs = std::mem::take(waiting);
            if steps.places[place as usize].ends {
                completed.push(Complete { runs, from, place });
                continue;
            }
            self.arrivals[place as usize].entries.push(Arrival { runs: runs.clone(), row, from });
            self.made += 1;
            self.arrive(place, runs);
        }
    }

    /// Puts runs behind those that wait at a place, all of which began earlier.
    #[inline]
    fn arrive(&mut self, place: u16, runs: Range<u32>) {
        let waiting = &mut self.waiting[place as usize];
        if Range::is_empty(waiting) {
            *waiting = runs;
        } else {
            debug_assert_eq!(waiting.end, runs.start, "nobody is between them");
            waiting.end = runs.end;
        }
    }

    /// Of some runs those that began at `first` or later.
    #[inline]
    pub(super) fn since(&self, runs: Range<u32>, first: u32) -> Range<u32> {
        let starts = &self.starts[runs.start as usize..runs.end as usize];
        runs.start + starts.partition_point(|row| *row < first) as u32..runs.end
    }

    /// Writes down the match that one of the runs has become which a row completes. Matches are asked for in the order of their
    /// numbers.
    pub(super) fn write(
        &mut self,
        steps: &StepLists,
        number: u32,
        complete: &Complete,
        row: u32,
        written: &mut Written,
    ) {
        self.way.clear();
        let mut at = complete.from;
        while at != 0 {
            let Arrivals { entries, passed, .. } = &mut self.arrivals[at as usize];
            *passed += entries[*passed..].iter().take_while(|entry| entry.runs.end <= number).count();
            let entry = &entries[*passed];
            debug_assert!(entry.runs.contains(&number), "a run comes to a place by an entry of it");
            self.way.push((at, entry.row));
            at = entry.from;
        }
        self.way.push((0, self.starts[number as usize]));
        written.matches += 1;
        if steps.chain {
            written.rows.extend(self.way.iter().rev().map(|(_, row)| row));
            written.rows.push(row);
            return;
        }
        for index in (0..self.way.len()).rev() {
            let (at, entered) = self.way[index];
            written.rows.push(entered);
            let repeated = &self.arrivals[at as usize].repeated;
            if !repeated.is_empty() {
                let left = index.checked_sub(1).map_or(row, |next| self.way[next].1);
                let end = repeated.partition_point(|row| *row < left);
                // A run stays for few rows beside those that have gone before.
                let begin = end - repeated[..end].iter().rev().take_while(|row| **row > entered).count();
                written.rows.extend_from_slice(&repeated[begin..end]);
            }
            written.places.resize(written.rows.len(), at);
        }
        written.rows.push(row);
        written.places.push(complete.place);
        written.ends.push(written.rows.len() as u32);
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let of = |arrivals: &Arrivals| {
            arrivals.entries.capacity() * size_of::<Arrival>() + arrivals.repeated.capacity() * 4
        };
        self.starts.capacity() * 4 + self.arrivals.iter().map(of).sum::<usize>()
    }
}
