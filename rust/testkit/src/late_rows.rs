//! Which rows of an input are late, and where the clock stands when each comes.

use std::collections::BTreeMap;

use crate::reference::ReferenceError;
use crate::reference_window::nanoseconds;
use crate::sequence_input::SequenceInput;

/// How a row is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LateRow {
    /// Which it is of all rows, in the order in which they came.
    pub(crate) number: usize,
    /// Where the clock of all topics stands when it comes.
    pub(crate) clock: i128,
}

/// The late rows of an input, by topic and row ordinal. `event_time`: the column of event time in every topic.
///
/// A topic's clock stands as far behind the greatest time seen of it as rows may come late. The clock of all stands where the
/// last of these does, once all topics have sent something, and never goes back. A row behind either is late.
///
/// # Errors
/// Rows without an event time.
pub(crate) fn late_rows(
    input: &SequenceInput,
    event_time: &str,
) -> Result<BTreeMap<(usize, usize), LateRow>, ReferenceError> {
    let mut late = BTreeMap::new();
    let Some(lateness) = input.lateness.map(i128::from) else { return Ok(late) };
    let in_turn = input.topics.iter().enumerate();
    let in_turn = in_turn.flat_map(|(topic, (_, table))| (0..table.rows.len()).map(move |row| (topic, row)));
    let arrival = input.arrival.clone().unwrap_or_else(|| in_turn.collect());
    let mut clocks: Vec<Option<i128>> = vec![None; input.topics.len()];
    let mut clock: Option<i128> = None;
    for (number, (topic, row)) in arrival.into_iter().enumerate() {
        let table = &input.topics[topic].1;
        let column = table.column_index(event_time, false)?;
        let time = nanoseconds(&table.rows[row][column])?.ok_or(ReferenceError::NullTime { row })?;
        let own = &mut clocks[topic];
        if (*own).max(clock).is_some_and(|behind| time < behind) {
            late.insert((topic, row), LateRow { number, clock: clock.unwrap_or(i128::MIN) });
        }
        *own = (*own).max(Some(time - lateness));
        if let Some(least) = clocks.iter().copied().min().flatten() {
            clock = clock.max(Some(least));
        }
    }
    Ok(late)
}
