//! Matches that are known, but not written down: as many as there may be, they take no room until they are asked for.

use cepheid_event::Table;
use cepheid_ir::{OutputColumns, Pattern};
use cepheid_matcher::MatchError;
use cepheid_matcher::lists::MEMBERS_MAX;
use num_bigint::BigUint;

use crate::error::EngineError;
use crate::lists;
use crate::matches::MatchTable;
use crate::pipeline::{count_matches, match_head, match_one_by_one, match_table};
use crate::plan::{MatchOptions, Plan};

/// Up to so many matches are built at once: then there is nothing to be gained by not doing so.
const BUILT_AT_ONCE_MAX: usize = 1 << 16;

/// The same of the rows of all these matches.
const MEMBERS_AT_ONCE_MAX: usize = 1 << 20;

/// Most matches that are built at all.
pub const BUILT_MAX: u64 = 1 << 28;

/// What matching a table gives.
#[derive(Debug)]
pub enum Matched {
    /// Its matches.
    Built(Box<MatchTable>),
    /// Its matches, too many to be built unasked.
    Compact(Box<CompactMatches>),
}

/// All matches of a pattern in a table, none of them built. They are found anew for every question.
#[derive(Clone, Debug)]
pub struct CompactMatches {
    pattern: Pattern,
    table: Table,
    options: MatchOptions,
}

/// Matches one table, the whole input: as [`match_table`], but where step lists find more than 65,536 matches they are not
/// built yet.
///
/// # Errors
/// See [`EngineError`].
pub fn match_compactly(
    pattern: &Pattern,
    table: &Table,
    options: &MatchOptions,
) -> Result<Matched, EngineError> {
    let plan = Plan::new(pattern, table.schema(), options)?;
    let (most, members_max) = match plan.pattern().output {
        OutputColumns::Derived => (BUILT_AT_ONCE_MAX + 1, MEMBERS_AT_ONCE_MAX),
        // The first rows of SQL's order may be found last.
        OutputColumns::Standard => (usize::MAX, MEMBERS_MAX),
    };
    let matches = match lists::match_table(&plan, table, options, most, members_max) {
        Err(EngineError::Match(MatchError::TooLarge { .. })) if members_max < MEMBERS_MAX => None,
        Ok(Some(matches)) if matches.num_matches() >= most => None,
        Ok(Some(matches)) => Some(matches),
        Ok(None) => Some(match_one_by_one(&plan, table, options)?),
        Err(error) => return Err(error),
    };
    Ok(match matches {
        Some(matches) => Matched::Built(Box::new(matches)),
        None => {
            let (pattern, table, options) = (pattern.clone(), table.clone(), options.clone());
            Matched::Compact(Box::new(CompactMatches { pattern, table, options }))
        }
    })
}

impl CompactMatches {
    /// How many there are.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn count(&self) -> Result<BigUint, EngineError> {
        count_matches(&self.pattern, &self.table, &self.options)
    }

    /// The first `most` of them.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn head(&self, most: usize) -> Result<MatchTable, EngineError> {
        match_head(&self.pattern, &self.table, most, &self.options)
    }

    /// All of them.
    ///
    /// # Errors
    /// [`MatchError::TooLarge`] past [`BUILT_MAX`], before any of them is built; see [`EngineError`].
    pub fn build(&self) -> Result<MatchTable, EngineError> {
        if self.count()? > BigUint::from(BUILT_MAX) {
            return Err(MatchError::TooLarge { what: "matches to build", limit: BUILT_MAX }.into());
        }
        match_table(&self.pattern, &self.table, &self.options)
    }
}
