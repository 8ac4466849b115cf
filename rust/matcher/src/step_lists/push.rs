//! Rows of a stream, put to the lists of their keys.

use std::ops::Range;
use std::sync::Arc;

use cepheid_event::PartitionKeys;

use super::compile::StepLists;
use super::settled::After;
use super::stream::StepListsState;
use crate::bits::{Bits, inside};
use crate::error::MatchError;
use crate::lists::MEMBERS_MAX;
use crate::lists::window::Bound;
use crate::lists::written::Written;
use crate::sequence::fault::{Fault, Place, keep};
use crate::sequence::{Asked, Chunk, FoundKind, FoundSequence, FoundSequences, Moment, SequenceLimits};
use crate::symbols::symbol_at;

/// Rows between two looks at limits.
const ROWS_BETWEEN_PAUSES: u32 = 1 << 10;

/// Bytes that a row of a match takes in [`FoundSequences`], and a match.
const MEMBER_BYTES: usize = size_of::<u64>() + size_of::<u32>();
const MATCH_BYTES: usize = size_of::<FoundSequence>();

impl StepListsState {
    /// Matches the rows of a chunk that belong to a shard, out of so many. Shards may be worked on at once. Matches that are
    /// found count as state until the call is over.
    ///
    /// # Errors
    /// See [`MatchError`]: the first of all keys. The state is then to be rolled back.
    pub fn push(
        &mut self,
        asked: &Asked<'_>,
        keys: &PartitionKeys,
        (shard, shards): (usize, usize),
        limits: SequenceLimits<'_>,
        found: &mut FoundSequences,
    ) -> Result<(), Fault> {
        let chunk = asked.chunk;
        debug_assert_eq!(chunk.fresh_from, 0, "no condition looks back");
        let steps = Arc::clone(&self.steps);
        let masks = steps.conditions.predicates.iter().map(|predicate| asked.mask(*predicate));
        let masks =
            masks.collect::<Result<_, _>>().map_err(|error| Fault::new(error, || Place::Everywhere))?;
        let all;
        let relevant = match &asked.relevant {
            Some(relevant) => relevant,
            None => {
                all = Bits::filled(chunk.rows.num_rows(), true);
                &all
            }
        };
        let counts_rows = matches!(steps.within, Bound::Rows(_));
        let bytes_max = limits.room.map(|room| self.bytes().saturating_add(room));
        let mut push = Push {
            steps: &steps,
            state: self,
            found,
            chunk,
            masks,
            relevant,
            limits,
            bytes_max,
            rows_to_pause: ROWS_BETWEEN_PAUSES,
        };
        let mut faults = vec![];
        for partition in 0..chunk.rows.num_partitions() {
            if shards > 1 && keys.shard(partition, shards) != shard {
                continue;
            }
            let places = chunk.rows.partition(partition);
            let known = push.state.find(keys.get(partition));
            // Rows that satisfy nothing matter where rows are counted, and something waits.
            if places.is_empty() || asked.is_irrelevant(&places) && !(counts_rows && known.is_some()) {
                continue;
            }
            let key = keys.get(partition);
            if let Err(error) = push.partition(known, key, places) {
                keep(error, &mut faults, || Place::Rows(key.into()))?;
            }
        }
        Fault::first(faults).map_or(Ok(()), Err)
    }
}

/// A chunk on its way into the lists.
struct Push<'a> {
    steps: &'a StepLists,
    state: &'a mut StepListsState,
    found: &'a mut FoundSequences,
    chunk: Chunk<'a>,
    masks: Vec<&'a Bits>,
    relevant: &'a Bits,
    limits: SequenceLimits<'a>,
    bytes_max: Option<usize>,
    rows_to_pause: u32,
}

/// A row on its way into the lists of a key.
#[derive(Clone, Copy)]
struct At {
    key: u32,
    /// Its number among the rows of the key, its place in the order of all, and its time.
    row: u32,
    ordinal: u64,
    time: i64,
}

impl Push<'_> {
    fn partition(&mut self, known: Option<u32>, key: &[u8], places: Range<u32>) -> Result<(), MatchError> {
        let chunk = self.chunk;
        let (is_new, key) = (known.is_none(), known.unwrap_or_else(|| self.state.add(key)));
        let ordinal = |place: u32| chunk.ordinal_at(place);
        let span = (ordinal(places.start), ordinal(places.end - 1));
        let room = self.state.keys[key as usize].make_room(self.steps, span, places.end - places.start);
        self.state.touch(key, is_new);
        room?;
        let position = self.state.keys[key as usize].position;
        let mut words = vec![0_u64; self.masks.len()];
        for block in places.start / 64..places.end.div_ceil(64) {
            let mut open = self.relevant.words()[block as usize] & inside(block as usize, &places);
            for (word, mask) in words.iter_mut().zip(&self.masks) {
                *word = mask.words()[block as usize];
            }
            while open != 0 {
                let bit = open.trailing_zeros();
                open &= open - 1;
                let place = block * 64 + bit;
                let ordinal = ordinal(place);
                let row = self.state.keys[key as usize].row(ordinal);
                let at = At { key, row, ordinal, time: chunk.time(chunk.rows.arrival(place)) };
                self.row(at, position + u64::from(place - places.start), symbol_at(&words, bit))?;
            }
        }
        self.state.keys[key as usize].position = position + u64::from(places.end - places.start);
        self.state.count(key);
        Ok(())
    }

    fn row(&mut self, at: At, position: u64, symbol: u64) -> Result<(), MatchError> {
        self.state.work.rows += 1;
        self.rows_to_pause -= 1;
        if self.rows_to_pause == 0 {
            self.check_limits(at)?;
        }
        let steps = self.steps;
        let number = self.state.actions.number(symbol, || steps.action(symbol)) as usize;
        let entry = &mut self.state.keys[at.key as usize];
        let stands = if let Bound::Rows(_) = steps.within { position as i64 } else { at.time };
        let first = entry.first_in_window(steps.within, at.row, stands);
        let action = &self.state.actions.made()[number];
        let before = entry.lists.made;
        let ends = entry.lists.grow(steps, action, at.row, first);
        self.state.work.entries += entry.lists.made - before;
        if action.begins && first.is_some() {
            entry.starts.rows.push_back(at.row);
            entry.starts.at.push_back(stands);
        }
        if ends { self.complete(at, first, number) } else { Ok(()) }
    }

    /// Tells of the matches that end in the row.
    fn complete(&mut self, at: At, first: Option<u32>, action: usize) -> Result<(), MatchError> {
        let steps = self.steps;
        let members_max = self.members_max();
        let state = &mut *self.state;
        let entry = &mut state.keys[at.key as usize];
        let mut written = std::mem::take(&mut state.written);
        written.clear();
        let (lists, most) = ((steps, &entry.lists), steps.most_of_a_row());
        state.enumeration.write(lists, at.row, first, most, members_max, &mut written);
        let too_many = written.rows.len() > members_max;
        if !too_many {
            tell(steps, &written, entry.matches, at, |row| entry.ordinal(row), self.found);
            entry.matches += written.matches as u64;
        }
        let found = written.matches > 0;
        state.written = written;
        if too_many {
            return Err(self.too_many(at));
        }
        entry.lists.forget_ends(steps, &state.actions.made()[action].fits);
        if steps.after != After::Nothing && found {
            state.forget_all(at.key);
        }
        Ok(())
    }

    /// How many rows the matches of one row may have.
    fn members_max(&self) -> usize {
        let most = MEMBERS_MAX.saturating_sub(self.found.rows.len());
        match self.bytes_max {
            None => most,
            Some(limit) => {
                most.min(limit.saturating_sub(self.state.bytes() + self.found_bytes()) / MEMBER_BYTES)
            }
        }
    }

    fn found_bytes(&self) -> usize {
        self.found.rows.len() * MEMBER_BYTES + self.found.found.len() * MATCH_BYTES
    }

    /// Whether it is the memory that the matches of a row do not fit in, or what can be numbered.
    fn too_many(&self, at: At) -> MatchError {
        match self.bytes_max {
            Some(limit) if self.members_max() < MEMBERS_MAX.saturating_sub(self.found.rows.len()) => {
                MatchError::StateLimit { row: at.ordinal, bytes: limit.saturating_add(1), limit }
            }
            _ => MatchError::TooLarge { what: "rows of matches", limit: MEMBERS_MAX as u64 },
        }
    }

    fn check_limits(&mut self, at: At) -> Result<(), MatchError> {
        self.rows_to_pause = ROWS_BETWEEN_PAUSES;
        if self.limits.interrupted.is_due() {
            return Err(MatchError::Interrupted);
        }
        let Some(limit) = self.bytes_max else { return Ok(()) };
        self.state.count(at.key);
        let bytes = self.state.bytes() + self.found_bytes();
        if bytes > limit { Err(MatchError::StateLimit { row: at.ordinal, bytes, limit }) } else { Ok(()) }
    }
}

/// Adds matches to what was found. `before`: how many the key had.
fn tell(
    steps: &StepLists,
    written: &Written,
    before: u64,
    at: At,
    ordinal: impl Fn(u32) -> u64,
    found: &mut FoundSequences,
) {
    let begin = found.rows.len();
    found.rows.extend(written.rows.iter().map(|row| ordinal(*row)));
    if steps.chain {
        let places = 0..steps.places.len() as u32;
        (0..written.matches).for_each(|_| found.places.extend(places.clone()));
    } else {
        found.places.extend(written.places.iter().map(|place| u32::from(*place)));
    }
    let moment = Moment::row(at.time, at.ordinal);
    found.found.extend((0..written.matches).map(|index| {
        let own = written.range(index, steps.places.len());
        FoundSequence {
            kind: FoundKind::Match,
            moment,
            partition: at.key,
            number: before + 1 + index as u64,
            start: begin + own.start,
            end: begin + own.end,
        }
    }));
}
