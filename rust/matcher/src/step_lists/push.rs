//! Rows of a stream, put to the lists of their keys.

use std::ops::Range;
use std::sync::Arc;

use cepheid_event::PartitionKeys;
use smallvec::SmallVec;

use super::compile::StepLists;
use super::few_rows::{FEW_ROWS, FewRows, KeptRow};
use super::key_lists::KeyLists;
use super::scratch::Scratch;
use super::settled::After;
use super::stream::{KEYS_AHEAD, Kept, StepListsState};
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

/// Most rows of a key that there is room for before they are known to satisfy something.
const ROWS_EXPECTED_MAX: u32 = 64;

/// Bytes that a row of a match takes in [`FoundSequences`], and a match.
const MEMBER_BYTES: usize = size_of::<u64>() + size_of::<u32>();
const MATCH_BYTES: usize = size_of::<FoundSequence>();

impl StepListsState {
    /// Matches the rows of a chunk that belong to a shard, out of so many. Shards may be worked on at once. Matches that are
    /// found count as state until the call is over. `scratch`: room to work in, whoever has had it before.
    ///
    /// # Errors
    /// See [`MatchError`]: the first of all keys. The state is then to be rolled back.
    pub fn push(
        &mut self,
        asked: &Asked<'_>,
        keys: &PartitionKeys,
        (shard, shards): (usize, usize),
        limits: SequenceLimits<'_>,
        scratch: &mut Scratch,
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
        let masked = Masked { chunk, masks, relevant };
        let mut push = Push::new(&steps, self, limits, scratch, found);
        let mut faults = vec![];
        let mut partitions = (0..chunk.rows.num_partitions())
            .filter(|partition| shards == 1 || keys.shard(*partition, shards) == shard)
            .map(|partition| (keys.get(partition), chunk.rows.partition(partition)))
            // Rows that satisfy nothing matter where rows are counted, and something waits.
            .filter(|(_, places)| !places.is_empty() && (counts_rows || !asked.is_irrelevant(places)));
        loop {
            let next = partitions.by_ref().take(KEYS_AHEAD);
            let some = next.map(|(key, places)| (push.state.find(key), key, places));
            let some: SmallVec<[_; KEYS_AHEAD]> = some.collect();
            if some.is_empty() {
                break;
            }
            push.state.ask_for(some.iter().filter_map(|(known, ..)| *known));
            for (known, key, places) in some {
                if counts_rows && known.is_none() && asked.is_irrelevant(&places) {
                    continue;
                }
                push.gather(&masked, &places);
                if let Err(error) = push.partition(known, key, places.end - places.start) {
                    keep(error, &mut faults, || Place::Rows(key.into()))?;
                }
            }
        }
        push.scratch.give_back_room(&steps);
        Fault::first(faults).map_or(Ok(()), Err)
    }

    /// The same for rows of a state without keys of which is known what they satisfy. There is one at least.
    ///
    /// # Errors
    /// As of [`push`](Self::push).
    pub fn push_known(
        &mut self,
        rows: &KnownRows<'_>,
        limits: SequenceLimits<'_>,
        scratch: &mut Scratch,
        found: &mut FoundSequences,
    ) -> Result<(), MatchError> {
        let steps = Arc::clone(&self.steps);
        let known = self.find(&[]);
        let mut push = Push::new(&steps, self, limits, scratch, found);
        push.take(rows);
        let done = push.partition(known, &[], rows.rows.len() as u32);
        push.scratch.give_back_room(&steps);
        done
    }

    /// What a row has in [`KnownRows::symbols`] that satisfies a predicate of the matcher and nothing else.
    pub fn symbol_of(&self, predicate: usize) -> u64 {
        let own = self.steps.conditions.predicates.iter().position(|own| *own == predicate);
        own.map_or(0, |own| 1 << own)
    }
}

/// Rows of a batch, ascending, of which is known what they satisfy, each of them something.
#[derive(Clone, Copy, Debug)]
pub struct KnownRows<'a> {
    /// Where they stand in the batch.
    pub rows: &'a [u32],
    /// The predicates that each satisfies, as [`StepListsState::symbol_of`] has them.
    pub symbols: &'a [u64],
    /// The times of all rows of the batch.
    pub times: &'a [i64],
    /// The place of its first row in the order of all rows.
    pub first: u64,
}

/// A chunk on its way into the lists, and what its rows satisfy.
struct Masked<'a> {
    chunk: Chunk<'a>,
    masks: Vec<&'a Bits>,
    relevant: &'a Bits,
}

/// Rows on their way into the lists.
struct Push<'a> {
    steps: &'a StepLists,
    state: &'a mut StepListsState,
    found: &'a mut FoundSequences,
    limits: SequenceLimits<'a>,
    bytes_max: Option<usize>,
    rows_to_pause: u32,
    scratch: &'a mut Scratch,
}

/// A row on its way into the lists of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// Its place in the order of all rows, and its time.
    ordinal: u64,
    time: i64,
    /// How many rows of the key in the chunk are before it.
    nth: u32,
    /// What follows from the predicates that it satisfies, by number, and these.
    action: u32,
    symbol: u64,
}

/// A key, with what is kept of it while rows of it are put to that.
struct AtHand {
    key: u32,
    lists: Box<KeyLists>,
    /// The rows that the lists were made of; none: the lists are what is kept.
    few: Option<FewRows>,
    /// How far the lists have come, by which rows are told that are to be kept.
    progress: u64,
}

impl<'a> Push<'a> {
    fn new(
        steps: &'a StepLists,
        state: &'a mut StepListsState,
        limits: SequenceLimits<'a>,
        scratch: &'a mut Scratch,
        found: &'a mut FoundSequences,
    ) -> Self {
        let bytes_max = limits.room.map(|room| state.bytes().saturating_add(room));
        Self { steps, state, found, limits, bytes_max, rows_to_pause: ROWS_BETWEEN_PAUSES, scratch }
    }

    /// Puts the rows that were gathered to their key, which has had `count` in all.
    fn partition(&mut self, known: Option<u32>, key: &[u8], count: u32) -> Result<(), MatchError> {
        let waits = known.is_some_and(|known| self.state.keys[known as usize].entries > 0);
        if !waits {
            // What nothing waits for is not kept.
            let actions = self.state.actions.made();
            let begins = |at: &At| actions[at.action as usize].begins;
            let rows = &mut self.scratch.rows;
            let first = rows.iter().position(begins).unwrap_or(rows.len());
            self.state.work.rows += first as u64;
            rows.drain(..first);
        }
        let counts_rows = matches!(self.steps.within, Bound::Rows(_));
        if self.scratch.rows.is_empty() && !(counts_rows && waits) {
            return Ok(());
        }
        let (is_new, key) = (known.is_none(), known.unwrap_or_else(|| self.state.add(key)));
        if !counts_rows && self.keep_alone(key, is_new) {
            self.state.keys[key as usize].position += u64::from(count);
            return Ok(());
        }
        let mut at_hand = self.take_up(key, is_new)?;
        let done = self.rows_of(&mut at_hand, count);
        self.put_down(at_hand);
        done
    }

    /// Keeps the one row that was gathered, if its key has no other and it is known without lists what waits then. Most rows that
    /// come to be kept of many keys are such.
    fn keep_alone(&mut self, key: u32, is_new: bool) -> bool {
        let [at] = self.scratch.rows.as_slice() else { return false };
        let Some(alone) = self.state.actions.made()[at.action as usize].alone else { return false };
        // What looks at limits has lists at hand.
        let is_alone =
            matches!(&self.state.keys[key as usize].kept, Kept::Few(few) if few.useful().is_empty());
        if !is_alone || self.rows_to_pause == 1 {
            return false;
        }
        self.rows_to_pause -= 1;
        let state = &mut *self.state;
        state.work.rows += 1;
        state.work.entries += u64::from(alone);
        state.touch(key, is_new);
        if let Kept::Few(few) = &mut state.keys[key as usize].kept {
            few.add(&[KeptRow { ordinal: at.ordinal, stands: at.time, symbol: at.symbol }]);
            few.waiting = alone;
        }
        state.count(key);
        true
    }

    /// Finds the rows of a key that some condition accepts.
    fn gather(&mut self, of: &Masked<'_>, places: &Range<u32>) {
        let (steps, chunk) = (self.steps, of.chunk);
        let Scratch { rows, words, .. } = &mut *self.scratch;
        rows.clear();
        rows.reserve((places.end - places.start).min(ROWS_EXPECTED_MAX) as usize);
        words.resize(of.masks.len(), 0);
        for block in places.start / 64..places.end.div_ceil(64) {
            let mut open = of.relevant.words()[block as usize] & inside(block as usize, places);
            if open == 0 {
                continue;
            }
            for (word, mask) in words.iter_mut().zip(&of.masks) {
                *word = mask.words()[block as usize];
            }
            while open != 0 {
                let bit = open.trailing_zeros();
                open &= open - 1;
                let place = block * 64 + bit;
                let symbol = symbol_at(words, bit);
                rows.push(At {
                    ordinal: chunk.ordinal_at(place),
                    time: chunk.time(chunk.rows.arrival(place)),
                    nth: place - places.start,
                    action: self.state.actions.number(steps, symbol),
                    symbol,
                });
            }
        }
    }

    /// Takes rows that are known to satisfy something.
    fn take(&mut self, of: &KnownRows<'_>) {
        let (steps, actions) = (self.steps, &mut self.state.actions);
        let rows = &mut self.scratch.rows;
        rows.clear();
        rows.extend(of.rows.iter().zip(of.symbols).zip(0..).map(|((row, symbol), nth)| At {
            ordinal: of.first + u64::from(*row),
            time: of.times[*row as usize],
            nth,
            action: actions.number(steps, *symbol),
            symbol: *symbol,
        }));
    }

    /// Takes a key's lists, which are made of its rows if these are few, with room for those that come.
    fn take_up(&mut self, key: u32, is_new: bool) -> Result<AtHand, MatchError> {
        let (steps, own) = (self.steps, &self.scratch.rows);
        let rows = own.len() as u32;
        let span = own.first().zip(own.last()).map(|(first, last)| (first.ordinal, last.ordinal));
        let make_room = |lists: &mut KeyLists, touched: bool| {
            span.map_or(Ok(()), |span| lists.make_room(steps, span, rows, touched))
        };
        let state = &mut *self.state;
        let entry = &mut state.keys[key as usize];
        let room = match &mut entry.kept {
            Kept::Lists(lists) => make_room(lists, entry.touched),
            Kept::Few(_) => Ok(()),
        };
        state.touch(key, is_new);
        room?;
        match std::mem::take(&mut state.keys[key as usize].kept) {
            Kept::Lists(lists) => Ok(AtHand { key, lists, few: None, progress: 0 }),
            Kept::Few(few) => {
                let mut lists = self.scratch.take_lists(steps);
                lists.make_of(steps, &mut state.actions, few.useful());
                let room = make_room(&mut lists, false);
                self.scratch.fresh.clear();
                let progress = lists.lists.progress(steps);
                let at_hand = AtHand { key, lists, few: Some(few), progress };
                match room {
                    Ok(()) => Ok(at_hand),
                    Err(error) => {
                        self.put_down(at_hand);
                        Err(error)
                    }
                }
            }
        }
    }

    /// Keeps a key's lists, or its rows while they are few.
    fn put_down(&mut self, at_hand: AtHand) {
        let AtHand { key, mut lists, few, .. } = at_hand;
        let state = &mut *self.state;
        let position = state.keys[key as usize].position;
        state.keys[key as usize].kept = match few {
            None => Kept::Lists(lists),
            Some(mut few) => {
                let fresh = &mut self.scratch.fresh;
                lists.pass_over(self.steps, position, &mut few, fresh);
                if few.useful().len() + fresh.len() > FEW_ROWS {
                    lists.lists.keep_all(false);
                    state.undo.keep_rows(key, few);
                    Kept::Lists(lists)
                } else {
                    few.add(fresh);
                    self.scratch.put_lists(lists);
                    Kept::Few(few)
                }
            }
        };
        state.count(key);
    }

    /// Puts the rows that were gathered to the lists of their key.
    fn rows_of(&mut self, at_hand: &mut AtHand, count: u32) -> Result<(), MatchError> {
        let position = self.state.keys[at_hand.key as usize].position;
        for index in 0..self.scratch.rows.len() {
            let at = self.scratch.rows[index];
            self.row(at_hand, at, position + u64::from(at.nth))?;
        }
        self.state.keys[at_hand.key as usize].position = position + u64::from(count);
        Ok(())
    }

    fn row(&mut self, at_hand: &mut AtHand, at: At, position: u64) -> Result<(), MatchError> {
        self.state.work.rows += 1;
        self.rows_to_pause -= 1;
        if self.rows_to_pause == 0 {
            self.check_limits(at_hand, at)?;
        }
        let steps = self.steps;
        let lists = &mut *at_hand.lists;
        let stands = if let Bound::Rows(_) = steps.within { position as i64 } else { at.time };
        let action = &self.state.actions.made()[at.action as usize];
        let row = lists.row(at.ordinal);
        let put = lists.put(steps, action, row, stands);
        self.state.work.entries += u64::from(put.grown.entries);
        if put.grown.ends {
            self.complete(at_hand, at, put.first)?;
        }
        if at_hand.few.is_some() {
            let progress = at_hand.lists.lists.progress(steps);
            // It falls when all is forgotten.
            if progress > std::mem::replace(&mut at_hand.progress, progress) {
                self.scratch.fresh.push(KeptRow { ordinal: at.ordinal, stands, symbol: at.symbol });
            }
        }
        Ok(())
    }

    /// Tells of the matches that end in the row.
    fn complete(&mut self, at_hand: &mut AtHand, at: At, first: Option<u32>) -> Result<(), MatchError> {
        let steps = self.steps;
        let members_max = self.members_max();
        let AtHand { key, lists, few, .. } = at_hand;
        let state = &mut *self.state;
        let entry = &mut state.keys[*key as usize];
        let (enumeration, written) = self.scratch.writing(steps);
        written.clear();
        let (row, most) = (lists.row(at.ordinal), steps.most_of_a_row());
        enumeration.write((steps, &lists.lists), row, first, most, members_max, written);
        let too_many = written.rows.len() > members_max;
        if !too_many {
            tell(steps, written, entry.matches, (*key, at), |row| lists.ordinal(row), self.found);
            entry.matches += written.matches as u64;
        }
        let found = written.matches > 0;
        if too_many {
            return Err(self.too_many(at));
        }
        lists.lists.forget_ends(steps, &state.actions.made()[at.action as usize].fits);
        if steps.after != After::Nothing && found {
            match few {
                None => state.undo.forget_lists(*key, steps, lists),
                Some(few) => {
                    lists.clear();
                    few.forget();
                    self.scratch.fresh.clear();
                }
            }
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

    fn check_limits(&mut self, at_hand: &AtHand, at: At) -> Result<(), MatchError> {
        self.rows_to_pause = ROWS_BETWEEN_PAUSES;
        if self.limits.interrupted.is_due() {
            return Err(MatchError::Interrupted);
        }
        let Some(limit) = self.bytes_max else { return Ok(()) };
        let own = self.state.keys[at_hand.key as usize].bytes;
        // Lists that are made of few rows have room of others.
        let lists = match &at_hand.few {
            Some(_) => at_hand.lists.bytes_grown(),
            None => at_hand.lists.bytes(),
        };
        let bytes = self.state.bytes().saturating_sub(own) + lists + self.found_bytes();
        if bytes > limit { Err(MatchError::StateLimit { row: at.ordinal, bytes, limit }) } else { Ok(()) }
    }
}

/// Adds matches to what was found. `before`: how many the key had.
fn tell(
    steps: &StepLists,
    written: &Written,
    before: u64,
    (key, at): (u32, At),
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
            partition: key,
            number: before + 1 + index as u64,
            start: begin + own.start,
            end: begin + own.end,
        }
    }));
}
