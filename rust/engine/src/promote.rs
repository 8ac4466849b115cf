//! Tables matched by finer keys than a pattern names: see [`cepheid_matcher::promote`].

use cepheid_event::{OrderedRows, Table};
use cepheid_matcher::sequence::{Chunk, FoundKind, FoundSequences, SequenceLimits, SequenceMatcher};

use crate::error::EngineError;
use crate::plan::Outputs;

/// Matches a table by the keys that a matcher has been promoted to, and tells of what is found as the pattern has it: by
/// its own partitions, and with numbers that count within these. `chunk`: the table by the pattern's own partitions.
///
/// # Errors
/// See [`EngineError`].
pub(crate) fn match_promoted(
    matcher: &SequenceMatcher,
    keys: &[usize],
    outputs: &Outputs,
    table: &Table,
    chunk: Chunk<'_>,
    limits: SequenceLimits,
) -> Result<FoundSequences, EngineError> {
    let mut partition_by = outputs.partition_by.clone();
    partition_by.extend(keys);
    let rows = OrderedRows::new(table, &partition_by, &outputs.order_by, &[])?;
    let mut found = FoundSequences::default();
    matcher.match_table(Chunk { rows: &rows, ..chunk }, limits, &mut found, |_| false)?;
    // The order in which matches come out is the order in which they count.
    found.sort(matcher.variable_of());
    let own_of = own_partitions(chunk.rows, &rows);
    let mut numbers = vec![0; chunk.rows.num_partitions()];
    for entry in &mut found.found {
        entry.partition = own_of[entry.partition as usize];
        if entry.kind == FoundKind::Match {
            let number = &mut numbers[entry.partition as usize];
            *number += 1;
            entry.number = *number;
        }
    }
    Ok(found)
}

/// Of each finer partition, the one that it is part of.
fn own_partitions(own: &OrderedRows, finer: &OrderedRows) -> Vec<u32> {
    if own.num_partitions() == 1 {
        return vec![0; finer.num_partitions()];
    }
    let mut of_arrival = vec![0_u32; own.num_rows()];
    for partition in 0..own.num_partitions() {
        for position in own.partition(partition) {
            of_arrival[own.arrival(position) as usize] = partition as u32;
        }
    }
    let first = |partition: usize| of_arrival[finer.arrival(finer.partition(partition).start) as usize];
    (0..finer.num_partitions()).map(first).collect()
}
