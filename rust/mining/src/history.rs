//! Rows as numbers, in the order in which sequences are looked for.

use crate::error::MiningError;

/// The rows of a history, in order of (key, time, arrival).
///
/// All three slices have one entry a row. Of rows of one key and one time, the one that arrived first comes first, and
/// counts as before the other.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    times_ns: &'a [i64],
    symbols: &'a [u32],
    keys: &'a [u32],
}

impl<'a> History<'a> {
    /// A history, if the slices are one. Time: O(rows).
    ///
    /// - `keys`: a number for each key, ascending.
    /// - `times_ns`: nanoseconds since any moment, ascending within a key.
    /// - `symbols`: a number for what happened. Numbers go in the order of the names: ties of the result are broken by them.
    ///   Space is kept for every number up to the greatest.
    ///
    /// # Errors
    /// [`MiningError::InvalidHistory`]: the slices differ in length, or the rows are too many or in another order.
    pub fn new(keys: &'a [u32], times_ns: &'a [i64], symbols: &'a [u32]) -> Result<Self, MiningError> {
        let rows = keys.len();
        if times_ns.len() != rows || symbols.len() != rows {
            let row = rows.min(times_ns.len()).min(symbols.len());
            return Err(MiningError::InvalidHistory { what: "as many keys as times and symbols", row });
        }
        if rows > u32::MAX as usize {
            return Err(MiningError::InvalidHistory { what: "fewer than 2^32", row: u32::MAX as usize });
        }
        let unordered =
            (1..rows).find(|row| (keys[row - 1], times_ns[row - 1]) > (keys[*row], times_ns[*row]));
        if let Some(row) = unordered {
            return Err(MiningError::InvalidHistory { what: "in order of key and time", row });
        }
        Ok(Self { times_ns, symbols, keys })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn key(&self, row: usize) -> u32 {
        self.keys[row]
    }

    pub(crate) fn symbol(&self, row: usize) -> u32 {
        self.symbols[row]
    }

    /// One more than the greatest symbol.
    pub(crate) fn symbol_count(&self) -> usize {
        self.symbols.iter().max().map_or(0, |greatest| *greatest as usize + 1)
    }

    /// How long after `earlier` a row of its key, not before it, happened. Any two times fit.
    pub(crate) fn elapsed_ns(&self, earlier: usize, later: usize) -> u64 {
        debug_assert!(self.keys[earlier] == self.keys[later] && earlier <= later);
        self.times_ns[later].abs_diff(self.times_ns[earlier])
    }
}
