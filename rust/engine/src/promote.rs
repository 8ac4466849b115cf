//! Tables matched by finer keys than a pattern names: see [`cepheid_matcher::promote`].

use cepheid_event::Table;
use cepheid_event::key::key_ids;
use cepheid_matcher::sequence::{FoundKind, FoundSequences, SequenceLimits, SequenceMatcher};

use crate::error::EngineError;
use crate::plan::{MatchOptions, Outputs};
use crate::sequence_rows::SequenceRows;
use crate::sequences::FoundInTable;

/// Matches a table by the keys that a matcher has been promoted to, and tells of what is found as the pattern has it: by
/// its own partitions, and with numbers that count within these.
///
/// # Errors
/// See [`EngineError`].
pub(crate) fn find_promoted(
    matcher: &SequenceMatcher,
    keys: &[usize],
    outputs: &Outputs,
    table: &Table,
    options: &MatchOptions,
) -> Result<FoundInTable, EngineError> {
    let mut partition_by = outputs.partition_by.clone();
    partition_by.extend(keys);
    let mut rows = SequenceRows::by_keys(matcher, outputs, &partition_by, table)?;
    let mut found = FoundSequences::default();
    let limits = SequenceLimits { room: None, interrupted: options.interrupted };
    let masks = std::mem::take(&mut rows.masks);
    let matched = matcher.match_table(rows.chunk(), masks, limits, &mut found, |_| false);
    matched.map_err(|error| rows.name_row(error))?;
    let (arrivals, rows) = rows.into_arrivals();
    // The order in which matches come out is the order in which they count.
    found.sort(matcher.variable_of());
    let own = match outputs.partition_by.as_slice() {
        [] => None,
        own => Some(key_ids(table, own)?),
    };
    let mut numbers: Vec<u64> = vec![];
    for entry in &mut found.found {
        let first = found.rows[entry.start] as usize;
        let arrival = arrivals.as_ref().map_or(first, |arrivals| arrivals[first] as usize);
        entry.partition = own.as_ref().map_or(0, |own| own.ids[arrival]);
        if entry.kind == FoundKind::Match {
            let partition = entry.partition as usize;
            if numbers.len() <= partition {
                numbers.resize(partition + 1, 0);
            }
            numbers[partition] += 1;
            entry.number = numbers[partition];
        }
    }
    Ok(FoundInTable { found, arrivals, rows })
}
