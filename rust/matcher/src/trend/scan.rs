//! The way through the rows: those that no condition accepts are passed over 64 at a time.

use std::ops::Range;

use arrow_array::UInt32Array;
use cepheid_event::{OrderedRows, Piece};
use cepheid_ir::Within;

use super::compile::TrendMatcher;
use super::semiring::Semiring;
use super::stacks::Stacks;
use crate::bits::{Bits, inside};
use crate::error::MatchError;
use crate::masks::Masks;
use crate::sequence::NO_TIME;
use crate::symbols::{BySymbol, symbol_at};
use crate::threads::{Interruption, Workers};

/// Rows ready to be scanned, and what every scan of them needs.
#[derive(Debug)]
pub struct TrendRows<'a> {
    pub(super) matcher: &'a TrendMatcher,
    pub(super) rows: &'a OrderedRows,
    /// `times[a]`: event time of the row with arrival `a`, in nanoseconds or [`NO_TIME`]; empty: none is needed.
    times: &'a [i64],
    pub(super) masks: Vec<Bits>,
    /// Rows that satisfy some predicate; `None`: every row matters.
    relevant: Option<Bits>,
}

/// What was found of each group of matches: of a partition, or of a window of one.
#[derive(Clone, Debug, Default)]
pub struct Groups<E> {
    /// `(partition, window)`: without windows every partition, in order, with window 0; else the windows in which a match
    /// ends, in order, counted from the epoch. `None`: matches whose last row has no time.
    pub keys: Vec<(u32, Option<i64>)>,
    /// What is kept of the matches of each.
    pub elements: Vec<E>,
}

impl<E> Groups<E> {
    /// Adds what was found behind these rows, be it of the last group.
    fn append<S: Semiring<Element = E>>(&mut self, semiring: &S, mut other: Self) {
        if let (Some(last), Some(element)) = (self.keys.last(), self.elements.last_mut())
            && other.keys.first() == Some(last)
        {
            semiring.add(element, &other.elements[0]);
            other.keys.remove(0);
            other.elements.remove(0);
        }
        self.keys.append(&mut other.keys);
        self.elements.append(&mut other.elements);
    }
}

/// What was found in a piece.
struct Scanned<E> {
    groups: Groups<E>,
    work: TrendWork,
    /// Whether nothing else is wanted.
    ended: bool,
}

/// What a scan did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrendWork {
    /// Rows that satisfied some condition.
    pub rows: u64,
    /// Elements read or written for them.
    pub operations: u64,
    /// Most bytes that the rows of a window took.
    pub bytes_max: usize,
}

/// How a scan is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanOptions<'a> {
    /// Length of the windows that matches are grouped by, in nanoseconds.
    pub every_ns: Option<i64>,
    /// Whether to stop at the first match.
    pub first_only: bool,
    /// Whether only the sum of all groups is wanted, so that one that is lost is enough to stop.
    pub one_total: bool,
    /// Who scans.
    pub workers: Workers<'a>,
}

/// Words of rows between two questions whether to go on.
pub(super) const WORDS_BETWEEN_QUESTIONS: u32 = 1 << 14;

impl<'a> TrendRows<'a> {
    /// Takes the masks of the matcher's predicates over the rows. `times` are needed for a bound by time and for windows.
    ///
    /// # Errors
    /// [`MatchError::Condition`] if a condition raises an error for some row: all are asked of every row.
    pub fn new(
        matcher: &'a TrendMatcher,
        rows: &'a OrderedRows,
        masks: Masks,
        times: &'a [i64],
    ) -> Result<Self, MatchError> {
        let mut bits = vec![];
        for (predicate, mask) in masks.of.into_iter().enumerate() {
            bits.push(mask.map_err(|source| {
                let of = matcher.accepts.iter().position(|accepts| *accepts == Some(predicate));
                let variable = of.map_or_else(|| "until".to_owned(), |of| matcher.variables[of].clone());
                MatchError::Condition { variable, source: Box::new(source) }
            })?);
        }
        let relevant = (!matcher.every_row).then(|| Bits::union(rows.num_rows(), &bits));
        Ok(Self { matcher, rows, times, masks: bits, relevant })
    }

    /// The positions of the rows that satisfy the condition of one of these variables, by number, in order: the r-th of
    /// them is what [`Semiring::weigh`] calls rank r.
    pub fn rows_of(&self, members: &[bool]) -> UInt32Array {
        let symbols = self.symbols_of(|variable| members[variable]);
        let mut positions = vec![];
        for word in 0..self.rows.num_rows().div_ceil(64) {
            let mut rows = match symbols {
                None => u64::MAX,
                Some(_) => 0,
            };
            for (predicate, mask) in self.masks.iter().enumerate() {
                if symbols.is_some_and(|symbols| symbols >> predicate & 1 != 0) {
                    rows |= mask.words()[word];
                }
            }
            while rows != 0 {
                let position = word * 64 + rows.trailing_zeros() as usize;
                if position < self.rows.num_rows() {
                    positions.push(position as u32);
                }
                rows &= rows - 1;
            }
        }
        UInt32Array::from(positions)
    }

    /// The predicates of variables as a word; `None`: one of them takes every row.
    fn symbols_of(&self, wanted: impl Fn(usize) -> bool) -> Option<u64> {
        let mut symbols = 0;
        for (variable, accepts) in self.matcher.accepts.iter().enumerate() {
            if wanted(variable) {
                symbols |= 1 << (*accepts)?;
            }
        }
        Some(symbols)
    }

    /// Aggregates over all matches, by partition or by window.
    ///
    /// # Errors
    /// [`MatchError::Interrupted`].
    pub fn scan<S: Semiring>(
        &self,
        semiring: &S,
        options: ScanOptions<'_>,
        work: &mut TrendWork,
    ) -> Result<Groups<S::Element>, MatchError> {
        let reach = |row: u32, partition: &Range<u32>| self.reach(row, partition);
        // Rows of a window are multiplied in another order then.
        let cut = self.matcher.cuts_partitions() && semiring.takes_any_order();
        let pieces = self.rows.pieces(options.workers.threads, cut.then_some(&reach));
        // As many vectors side by side as there are, or four.
        let scan = |piece: &Piece, interrupted: Interruption<'_>| match self.matcher.waits {
            ..=2 => self.scan_piece::<S, 1>(semiring, options, piece, interrupted),
            3 => self.scan_piece::<S, 2>(semiring, options, piece, interrupted),
            _ => self.scan_piece::<S, 4>(semiring, options, piece, interrupted),
        };
        let mut groups = Groups { keys: vec![], elements: vec![] };
        for scanned in options.workers.share_until(&pieces, scan, |scanned| scanned.ended)? {
            groups.append(semiring, scanned.groups);
            work.rows += scanned.work.rows;
            work.operations += scanned.work.operations;
            work.bytes_max = work.bytes_max.max(scanned.work.bytes_max);
        }
        Ok(groups)
    }

    /// How far behind a match's first row, in rows or nanoseconds, its last may be.
    pub(super) fn limit(&self) -> Option<i64> {
        match self.matcher.within {
            Some(Within::Rows(rows)) => Some(i64::try_from(rows).unwrap_or(i64::MAX)),
            Some(Within::Time { nanoseconds }) => Some(nanoseconds - 1),
            _ => None,
        }
    }

    pub(super) fn goes_by_time(&self) -> bool {
        matches!(self.matcher.within, Some(Within::Time { .. }))
    }

    /// The first row of the partition that a match ending at or behind `row` may hold.
    pub(super) fn reach(&self, row: u32, partition: &Range<u32>) -> u32 {
        let Some(limit) = self.limit() else { return partition.start };
        if !self.goes_by_time() {
            return row.saturating_sub(u32::try_from(limit).unwrap_or(u32::MAX)).max(partition.start);
        }
        let time = |position: u32| self.time(position as usize);
        let near =
            |position: &u32| time(*position) != NO_TIME && time(row).saturating_sub(time(*position)) <= limit;
        (partition.start..row).rev().take_while(near).last().unwrap_or(row)
    }

    /// How many rows before a position have a predicate of `symbols`; `None`: every row has.
    fn rank_at(&self, position: u32, symbols: Option<u64>) -> u32 {
        let Some(symbols) = symbols else { return position };
        if symbols == 0 || position == 0 {
            return 0;
        }
        let masks = self.masks.iter().enumerate().filter(|(predicate, _)| symbols >> predicate & 1 != 0);
        Bits::union(self.rows.num_rows(), masks.map(|(_, mask)| mask)).count(0, position as usize) as u32
    }

    fn scan_piece<S: Semiring, const N: usize>(
        &self,
        semiring: &S,
        options: ScanOptions<'_>,
        piece: &Piece,
        interrupted: Interruption<'_>,
    ) -> Result<Scanned<S::Element>, MatchError> {
        let weighing = self.symbols_of(|variable| semiring.weighs(variable as u16));
        let gap = self.matcher.operator(0);
        let mut operators = BySymbol::new(self.masks.len());
        let mut stacks = Stacks::<S, N>::new(semiring, self.matcher.waits, self.limit());
        let by_time = self.goes_by_time();
        let mut groups = Groups { keys: vec![], elements: vec![] };
        let (mut work, mut ended) = (TrendWork::default(), false);
        let mut rank = self.rank_at(piece.seen_from, weighing);
        let mut until_question = WORDS_BETWEEN_QUESTIONS;
        let mut words = vec![0_u64; self.masks.len()];
        'partitions: for partition in piece.partitions.clone() {
            let own = piece.rows_of(&self.rows.partition(partition));
            let range = if piece.continues { piece.seen_from..own.end } else { own.clone() };
            let (start, end) = (range.start as usize, range.end as usize);
            stacks.clear(semiring);
            let mut group = semiring.zero();
            let mut window = Some(0);
            // The row after the last one that mattered.
            let mut next = start;
            'words: for word in start / 64..end.div_ceil(64) {
                until_question -= 1;
                if until_question == 0 {
                    until_question = WORDS_BETWEEN_QUESTIONS;
                    if interrupted.is_due() {
                        return Err(MatchError::Interrupted);
                    }
                }
                let mut rows = self.relevant.as_ref().map_or(u64::MAX, |relevant| relevant.words()[word]);
                rows &= inside(word, &range);
                if rows == 0 {
                    continue;
                }
                for (word_of, mask) in words.iter_mut().zip(&self.masks) {
                    *word_of = mask.words()[word];
                }
                work.rows += u64::from(rows.count_ones());
                while rows != 0 {
                    let bit = rows.trailing_zeros();
                    rows &= rows - 1;
                    let symbol = symbol_at(&words, bit);
                    let position = word * 64 + bit as usize;
                    let this = rank;
                    rank += u32::from(weighing.is_none_or(|weighing| symbol & weighing != 0));
                    let behind_gap = position != next;
                    next = position + 1;
                    let number = operators.number(symbol, || self.matcher.operator(symbol));
                    let operator = &operators.made()[number as usize];
                    let time = if by_time { self.time(position) } else { NO_TIME };
                    let mut complete = semiring.zero();
                    if by_time && time == NO_TIME {
                        // Beyond the bound of every run, its own included.
                        stacks.clear(semiring);
                    } else {
                        let stamp = if by_time { time } else { position as i64 };
                        stacks.expire(semiring, stamp, operators.made(), &gap);
                        let gap = (behind_gap && self.matcher.gaps_matter).then_some(&gap);
                        stacks.push(semiring, (stamp, number, this), operator, gap, &mut complete);
                    }
                    if operator.completes && position >= own.start as usize && !semiring.is_zero(&complete) {
                        if let Some(every) = options.every_ns {
                            let time = self.time(position);
                            let of = (time != NO_TIME).then(|| time.div_euclid(every));
                            if of != window && !semiring.is_zero(&group) {
                                groups.keys.push((partition as u32, window));
                                groups.elements.push(std::mem::replace(&mut group, semiring.zero()));
                            }
                            window = of;
                        }
                        semiring.add(&mut group, &complete);
                        if options.every_ns.is_none() && semiring.is_lost(&group) {
                            if !options.one_total {
                                break 'words;
                            }
                            groups.keys.push((partition as u32, window));
                            groups.elements.push(group);
                            ended = true;
                            break 'partitions;
                        }
                        if options.first_only {
                            groups.keys.push((partition as u32, window));
                            groups.elements.push(group);
                            ended = true;
                            break 'partitions;
                        }
                    }
                }
            }
            if options.every_ns.is_none() || !semiring.is_zero(&group) {
                groups.keys.push((partition as u32, window));
                groups.elements.push(group);
            }
        }
        stacks.note_bytes();
        work.operations = stacks.operations;
        work.bytes_max = stacks.bytes_max;
        Ok(Scanned { groups, work, ended })
    }

    #[inline]
    pub(super) fn time(&self, position: usize) -> i64 {
        self.times.get(self.rows.arrival(position as u32) as usize).copied().unwrap_or(NO_TIME)
    }
}
