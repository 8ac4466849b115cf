//! Tables matched by finer keys than a pattern names: see [`cepheid_matcher::promote`].

use cepheid_event::Table;
use cepheid_matcher::sequence::FoundKind;
use cepheid_matcher::{Promoted, Wanted};

use crate::error::EngineError;
use crate::plan::{MatchOptions, Outputs};
use crate::sequence_rows::SequenceRows;
use crate::sequences::{FoundInTable, find_by_runs, number_partitions};

/// Matches a table by the keys that a matcher has been promoted to, and tells of what is found as the pattern has it: by
/// its own partitions, and with numbers that count within these.
///
/// # Errors
/// See [`EngineError`].
pub(crate) fn find_promoted(
    promoted: &Promoted,
    outputs: &Outputs,
    table: &Table,
    options: &MatchOptions,
) -> Result<FoundInTable, EngineError> {
    let Promoted { matcher, keys } = promoted;
    let mut partition_by = outputs.partition_by.clone();
    partition_by.extend(keys);
    let rows = SequenceRows::by_keys(matcher, outputs, &partition_by, table, true)?;
    let FoundInTable { mut found, arrivals, rows } = find_by_runs(matcher, rows, options, Wanted::All)?;
    // The order in which matches come out is the order in which they count.
    found.sort(matcher.variable_of());
    number_partitions(&mut found, table, &outputs.partition_by, arrivals.as_deref())?;
    let mut numbers: Vec<u64> = vec![];
    for entry in found.found.iter_mut().filter(|entry| entry.kind == FoundKind::Match) {
        let partition = entry.partition as usize;
        if numbers.len() <= partition {
            numbers.resize(partition + 1, 0);
        }
        numbers[partition] += 1;
        entry.number = numbers[partition];
    }
    Ok(FoundInTable { found, arrivals, rows })
}
