//! What a call gives rules to do, and which rows are kept for that.

use cepheid_event::MergedBatch;
use cepheid_matcher::bits::Bits;

use super::EngineOptions;
use super::affected::Concerned;
use super::history::History;
use super::known_rows::RowsFound;
use super::rule_rows::SharedRows;
use crate::error::EngineError;

/// Of fewer rows than this those that concern a rule are always picked out: what is known of them need not be asked again.
const ROWS_PICKED_MIN: usize = 64;

/// Rules that have something to do, ascending, and with which rows.
pub(super) struct Visits {
    pub(super) rules: Vec<(usize, Concerned)>,
    /// Rows of which all is known.
    pub(super) found: RowsFound,
}

impl Visits {
    /// Picks out the rows that concern any rule, and remembers them. `first`: the place of the first row of the batch in the order
    /// of all rows. Gives those that rules share.
    pub(super) fn share(
        &self,
        batch: &MergedBatch,
        first: u64,
        history: &mut History,
        options: &EngineOptions,
    ) -> Result<Option<SharedRows>, EngineError> {
        let rows = batch.num_rows();
        let is_picked = |concerned: &Concerned| matches!(concerned, Concerned::Some(_));
        let shares = self.rules.iter().any(|(_, concerned)| is_picked(concerned));
        // Rows that are gone through once the call is over need not be picked out for that. A limit on memory is asked before.
        if self.found.len() > 0 && options.memory_limit.is_none() && history.would_be_full(self.found.len()) {
            history.push_all(first, batch.clone());
            if !shares {
                return Ok(None);
            }
            return SharedRows::new(batch, self.kept(&[], rows), first, options).map(Some);
        }
        if self.rules.iter().all(|(_, concerned)| matches!(concerned, Concerned::None)) {
            return Ok(None);
        }
        let shared = SharedRows::new(batch, self.kept(self.found.all(), rows), first, options)?;
        let (kept, ordinals) = shared.rows();
        history.push(ordinals, kept.clone());
        Ok(Some(shared))
    }

    /// The rows that some rule is given, and `others`; `None`: all of them, or most.
    fn kept(&self, others: &[u32], rows: usize) -> Option<Vec<u32>> {
        let mut lists: Vec<&[u32]> = vec![others];
        for (_, concerned) in &self.rules {
            match concerned {
                Concerned::None | Concerned::Known(_) => {}
                Concerned::All => return None,
                Concerned::Some(own) => lists.push(own),
            }
        }
        lists.retain(|list| !list.is_empty());
        let kept = match lists.as_slice() {
            [] => vec![],
            [only] if only.is_sorted_by(|left, right| left < right) => only.to_vec(),
            several => {
                let any = Bits::of_rows(rows, several.iter().flat_map(|list| list.iter().copied()));
                any.set_rows()
            }
        };
        (kept.len() <= rows / 2).then_some(kept)
    }
}

/// Where most rows concern a rule, it is given all of them: picking them out would cost more.
pub(super) fn concerned(found: Concerned, rows: usize) -> Concerned {
    match found {
        Concerned::Some(own) if own.len() > rows / 2 && rows >= ROWS_PICKED_MIN => Concerned::All,
        found => found,
    }
}
