//! Parts of one key on several threads, where matches forget whatever waits: what a part begins with depends on all rows before it.
//!
//! Each part is searched as if nothing came before it. Then whoever has come through the rows before a part goes on into it, until
//! both are in step: until what waits in the one waits in the other. From there on they would do the same at every row, so that
//! what was found there stands, and what was found before is not asked for. A row at which matches end, in both, is such a row, as
//! nothing waits behind it; so is one whose window no earlier match has ended in, in either.
//!
//! - Time: rows until they are in step are seen twice. At worst these are all rows of the key, which takes as long as one thread.

use std::ops::Range;

use cepheid_event::Piece;

use super::search::Search;
use crate::error::MatchError;
use crate::lists::ground::{Ground, Visit};
use crate::lists::window::Bound;
use crate::lists::{Outcome, SearchLimits, Wanted};
use crate::step_lists::StepLists;
use crate::threads::Interruption;

/// A row at which matches of a part end, and what has been found up to it.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    pub(super) row: u32,
    pub(super) counted: u64,
    pub(super) matches: usize,
}

/// The search of [`super::search`], of parts of keys as well.
pub(super) fn search(
    steps: &StepLists,
    ground: &Ground<'_>,
    wanted: Wanted,
    limits: SearchLimits<'_>,
) -> Result<Outcome, MatchError> {
    let nothing_before = |row: u32, _: &Range<u32>| row;
    let pieces = ground.chunk.rows.pieces(limits.workers.threads, Some(&nothing_before));
    let members_max = limits.members_max;
    // Which of the first matches of a part will stand is not known yet.
    let all = if let Wanted::Matches(_) = wanted { Wanted::Matches(usize::MAX) } else { wanted };
    let of_piece = |piece: &Piece, interrupted: Interruption<'_>| {
        let mut search = Search::new(steps, ground, if piece.continues { all } else { wanted }, members_max);
        search.remembers_ends = piece.continues;
        ground.walk(piece, interrupted, &mut search)?;
        Ok(search)
    };
    let searched = limits.workers.share_until(&pieces, of_piece, |_| false)?;
    let most = if let Wanted::Matches(most) = wanted { most } else { usize::MAX };
    let mut found = Outcome::default();
    let mut before: Option<Search<'_>> = None;
    for (piece, mut own) in pieces.iter().zip(searched) {
        if !piece.continues {
            found.of_partition = 0;
            found.append(own.take_outcome(), most, members_max, steps.places.len())?;
            before = Some(own);
            continue;
        }
        if found.of_partition >= most {
            continue;
        }
        let mut behind = before.take().expect("a piece that continues has one before it");
        behind.want_anew(all);
        let in_step = go_on(&mut behind, &own, piece, ground, limits.workers.interrupted)?;
        found.append(behind.take_outcome(), most, members_max, steps.places.len())?;
        before = Some(match in_step {
            None => behind,
            Some(row) => {
                let rest = own.take_outcome_behind(row, steps.places.len());
                if found.of_partition < most {
                    found.append(rest, most, members_max, steps.places.len())?;
                }
                own
            }
        });
    }
    Ok(found)
}

/// Has a search go on with the rows of a part, up to the row behind which it is in step with the part's own; `None`: it never is.
fn go_on<'a>(
    behind: &mut Search<'a>,
    own: &Search<'a>,
    piece: &Piece,
    ground: &Ground<'_>,
    interrupted: Interruption<'_>,
) -> Result<Option<u32>, MatchError> {
    let began = i64::from(piece.rows.start);
    let mut both = Both { behind, own, forgotten: (-1, began - 1), passed: 0, in_step: None };
    ground.walk(piece, interrupted, &mut both)?;
    Ok(both.in_step)
}

struct Both<'s, 'a> {
    behind: &'s mut Search<'a>,
    own: &'s Search<'a>,
    /// The row up to which what waited has been forgotten, in the one and in the other.
    forgotten: (i64, i64),
    /// How many of the ends that the other has found were passed.
    passed: usize,
    in_step: Option<u32>,
}

impl Visit for Both<'_, '_> {
    fn begin(&mut self, _: u32) {}

    fn is_over(&self) -> bool {
        true
    }

    fn row(&mut self, row: u32, symbol: u64, own: bool) -> Result<bool, MatchError> {
        let before = self.behind.counted();
        self.behind.row(row, symbol, own)?;
        if self.behind.counted() > before {
            self.forgotten.0 = i64::from(row);
        }
        if let Some(ended) = self.own.ends.get(self.passed).filter(|ended| ended.row == row) {
            self.forgotten.1 = i64::from(ended.row);
            self.passed += 1;
        }
        let first = i64::from(self.behind.first_in_window(row));
        let waits_from = |forgotten: i64| forgotten.max(first - 1);
        // A part that holds more than may be written down has not been seen whole.
        if waits_from(self.forgotten.0) == waits_from(self.forgotten.1) && !self.own.has_too_many_rows() {
            self.in_step = Some(row);
        }
        Ok(self.in_step.is_some() || self.behind.has_too_many_rows())
    }
}

impl Search<'_> {
    /// What was found behind a row.
    fn take_outcome_behind(&mut self, row: u32, shape: usize) -> Outcome {
        let ends = self.ends.partition_point(|ended| ended.row <= row);
        let mut outcome = self.take_outcome();
        if let Some(Ended { counted, matches, .. }) = ends.checked_sub(1).map(|last| self.ends[last]) {
            outcome.leave_first(counted, matches, shape);
        }
        outcome
    }

    fn first_in_window(&mut self, row: u32) -> u32 {
        if self.steps.within == Bound::None { 0 } else { self.window.first(row) }
    }
}
