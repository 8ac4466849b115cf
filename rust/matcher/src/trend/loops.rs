//! The number of matches of an event, a loop behind it and an event behind that, exactly, however great it is.

use std::ops::Range;

use cepheid_event::Piece;
use num_bigint::BigUint;

use super::scan::{ScanOptions, TrendRows, TrendWork, WORDS_BETWEEN_QUESTIONS};
use super::under_way::UnderWay;
use super::whole::Whole;
use crate::bits::inside;
use crate::error::MatchError;
use crate::sequence::NO_TIME;
use crate::threads::Interruption;

/// A pattern of one loop whose runs may pass over any row. The conditions are predicates; `None`: every row satisfies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoopShape {
    /// What a run begins with.
    pub(super) opens: Option<usize>,
    /// What the loop takes: each such row makes two of every run, with it and without.
    pub(super) doubles: Option<usize>,
    /// What completes a run.
    pub(super) completes: Option<usize>,
    /// Whether a run that only has its first row cannot be completed.
    pub(super) needs_loop: bool,
}

/// Numbers of 64 bits that are looked at between two questions count as a word of rows.
const LIMBS_OF_A_WORD: u32 = 64;

/// What was counted in a piece.
struct Counted {
    /// Of each of its partitions; `None`: a number grew longer than it may.
    of: Option<Vec<Whole>>,
    work: TrendWork,
}

impl TrendRows<'_> {
    /// The number of matches of each partition, if the pattern is an event, a loop of one event and an event, or without
    /// the one in front or the one behind, any rows between them.
    ///
    /// `doublings_max`: how many rows of the loop there may be behind the first of a run; `None` comes of more.
    ///
    /// - Time: O(1) a row that opens or completes a run, and O(d / 64) for every 64 rows of the loop, d of them in the window; these
    ///   are counted 64 at a time, and cost nothing by themselves.
    /// - Space: d bits, and 16 bytes a row of the window that opens a run.
    ///
    /// # Errors
    /// [`MatchError::Interrupted`].
    pub fn count_loop(
        &self,
        doublings_max: u64,
        options: ScanOptions<'_>,
        work: &mut TrendWork,
    ) -> Result<Option<Vec<BigUint>>, MatchError> {
        let Some(shape) = self.matcher.loop_shape() else { return Ok(None) };
        let reach = |row: u32, partition: &Range<u32>| self.reach(row, partition);
        let cut = self.matcher.cuts_partitions();
        let pieces = self.rows.pieces(options.workers.threads, cut.then_some(&reach));
        let count = |piece: &Piece, interrupted: Interruption<'_>| {
            self.count_loop_in(shape, doublings_max, options.first_only, piece, interrupted)
        };
        let enough = |counted: &Counted| {
            let of = counted.of.as_ref();
            of.is_none_or(|of| options.first_only && of.iter().any(|count| !count.is_zero()))
        };
        let outcomes = options.workers.share_until(&pieces, count, enough)?;
        let mut all: Vec<Whole> = Vec::with_capacity(self.rows.num_partitions());
        for (piece, counted) in pieces.iter().zip(outcomes) {
            work.rows += counted.work.rows;
            work.operations += counted.work.operations;
            work.bytes_max = work.bytes_max.max(counted.work.bytes_max);
            let Some(of) = counted.of else { return Ok(None) };
            let mut of = of.into_iter();
            if piece.continues
                && let (Some(last), Some(more)) = (all.last_mut(), of.next())
            {
                last.add(&more);
            }
            all.extend(of);
        }
        Ok(Some(all.into_iter().map(Whole::into_big).collect()))
    }
}

impl TrendRows<'_> {
    fn count_loop_in(
        &self,
        shape: LoopShape,
        doublings_max: u64,
        first_only: bool,
        piece: &Piece,
        interrupted: Interruption<'_>,
    ) -> Result<Counted, MatchError> {
        let words_of = |predicate: Option<usize>| predicate.map(|predicate| self.masks[predicate].words());
        let [opens, doubles, completes] = [shape.opens, shape.doubles, shape.completes].map(words_of);
        let word_of = |mask: Option<&[u64]>, word: usize| mask.map_or(u64::MAX, |mask| mask[word]);
        let (limit, by_time) = (self.limit(), self.goes_by_time());
        let (mut of, mut work) = (vec![], TrendWork::default());
        let mut under_way = UnderWay::default();
        let mut until_question = WORDS_BETWEEN_QUESTIONS;
        for partition in piece.partitions.clone() {
            let own = piece.rows_of(&self.rows.partition(partition));
            let range = if piece.continues { piece.seen_from..own.end } else { own.clone() };
            // Rows that the loop has taken since the first one that mattered.
            let mut doublings = 0;
            // Those of the complete runs that only have their first row before the last.
            let mut unlooped = 0_u128;
            for word in range.start as usize / 64..range.end.div_ceil(64) as usize {
                until_question = until_question.saturating_sub(1);
                if until_question == 0 {
                    until_question = WORDS_BETWEEN_QUESTIONS;
                    if interrupted.is_due() {
                        return Err(MatchError::Interrupted);
                    }
                }
                let inside_range = inside(word, &range);
                let opens = word_of(opens, word) & inside_range;
                if under_way.runs == 0 && opens == 0 {
                    continue;
                }
                let mut doubles = word_of(doubles, word) & inside_range;
                // What ends in rows before the piece is counted elsewhere.
                let counts = if word < own.start as usize / 64 { 0 } else { inside(word, &own) };
                let completes = word_of(completes, word) & counts;
                work.rows += u64::from((opens | doubles | completes).count_ones());
                let mut rows = opens | completes;
                while rows != 0 {
                    let bit = rows.trailing_zeros();
                    let row = word * 64 + bit as usize;
                    rows &= rows - 1;
                    let before = doubles & ((1 << bit) - 1);
                    doublings += u64::from(before.count_ones());
                    doubles ^= before;
                    let now = if by_time { self.time(row) } else { row as i64 };
                    if by_time && now == NO_TIME {
                        // Beyond the bound of every run, its own included.
                        under_way.clear();
                        continue;
                    }
                    if let Some(limit) = limit {
                        under_way.expire(now, limit);
                    }
                    work.operations += 1;
                    if completes >> bit & 1 != 0 && under_way.runs > 0 {
                        if doublings - under_way.oldest > doublings_max {
                            return Ok(Counted { of: None, work });
                        }
                        if shape.needs_loop {
                            unlooped += u128::from(under_way.runs);
                        }
                        let limbs = under_way.complete(doublings);
                        work.operations += limbs as u64;
                        until_question = until_question.saturating_sub(limbs as u32 / LIMBS_OF_A_WORD);
                    }
                    if opens >> bit & 1 != 0 {
                        // The row goes on with no run that it begins.
                        let itself = doubles >> bit & 1;
                        doublings += itself;
                        doubles ^= itself << bit;
                        under_way.begin(doublings, limit.is_some().then_some(now));
                    }
                }
                doublings += u64::from(doubles.count_ones());
                if first_only && completes != 0 && under_way.exceeds(unlooped) {
                    break;
                }
            }
            work.bytes_max = work.bytes_max.max(under_way.bytes());
            let mut total = under_way.take_total();
            total.subtract(unlooped);
            let found = !total.is_zero();
            of.push(total);
            if first_only && found {
                break;
            }
        }
        Ok(Counted { of: Some(of), work })
    }
}
