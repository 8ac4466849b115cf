//! Growth of sequences, one symbol at a time.

use crate::error::MiningError;
use crate::history::History;
use crate::keep::{Keep, kept};

/// Which sequences are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Fewest keys that a frequent sequence is supported by; 0 is 1.
    pub min_support: usize,
    /// Fewest symbols of one that is told.
    pub min_length: usize,
    /// Most symbols of one.
    pub max_length: usize,
    /// From a row of an occurrence to the next passes less time than this.
    pub max_gap_ns: Option<u64>,
    /// From its first row to its last passes less time than this.
    pub within_ns: Option<u64>,
    /// More frequent sequences than this, of any length up to the greatest, are an error.
    pub max_sequences: usize,
    /// Which of them are told.
    pub keep: Keep,
}

/// A sequence, and who supports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrequentSequence {
    /// What happens, in order.
    pub symbols: Box<[u32]>,
    /// How many keys have an occurrence.
    pub support: usize,
    /// Of the supporting keys' shortest occurrences (last time less first) the median, by nearest rank: the least span
    /// that at least half of them do not pass.
    pub span_median_ns: u64,
    /// In the same way, the span that 95 of 100 do not pass.
    pub span_p95_ns: u64,
    /// Which keys: two sequences with equal ones have, as good as surely, the same keys.
    key_set: u128,
}

impl FrequentSequence {
    pub(crate) fn has_the_keys_of(&self, other: &Self) -> bool {
        self.support == other.support && self.key_set == other.key_set
    }
}

/// The frequent sequences of a history: by support, the greatest first, then length, the longest first, then symbols.
///
/// A key supports a sequence if rows of it with these symbols stand in this order, any rows between them, and keep both
/// bounds. Grown as PrefixSpan grows them (Pei, Han et al., *Mining Sequential Patterns by Pattern-Growth*, IEEE TKDE 2004),
/// but from *every* row where a prefix can end, as the first alone would not do where time is bounded.
///
/// - Time: for each frequent sequence O(r), r = rows that may follow an end of it; and what [`Keep`] costs.
/// - Space: O(rows · `max_length`) at worst while it grows, and the sequences.
/// - `interrupted`: asked every million rows that are looked at; true ends the search.
///
/// # Errors
/// [`MiningError::TooManySequences`]; [`MiningError::Interrupted`].
pub fn mine(
    history: &History<'_>,
    bounds: &Bounds,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<FrequentSequence>, MiningError> {
    if bounds.max_length == 0 {
        return Ok(Vec::new());
    }
    let mut search = Search::new(history, bounds, interrupted);
    let mut found = Vec::new();
    let mut prefix = Vec::new();
    // For each symbol of the prefix those that can stand in its place, still to be visited.
    let mut open = vec![search.single_symbols()?.into_iter()];
    while let Some(candidates) = open.last_mut() {
        let Some((symbol, ends)) = candidates.next() else {
            open.pop();
            prefix.pop();
            continue;
        };
        if found.len() == bounds.max_sequences {
            return Err(MiningError::TooManySequences {
                limit: bounds.max_sequences,
                min_support: search.min_support,
                max_length: bounds.max_length,
            });
        }
        prefix.push(symbol);
        found.push(search.sequence(&prefix, &ends));
        if prefix.len() < bounds.max_length {
            open.push(search.extensions(&ends)?.into_iter());
        } else {
            prefix.pop();
        }
    }
    let mut told = kept(found, bounds.keep);
    told.retain(|sequence| sequence.symbols.len() >= bounds.min_length);
    told.sort_unstable_by(|left, right| {
        let order = (right.support, right.symbols.len()).cmp(&(left.support, left.symbols.len()));
        order.then_with(|| left.symbols.cmp(&right.symbols))
    });
    Ok(told)
}

/// A row where a sequence can end, and the latest row where an occurrence that ends there can begin: any other takes longer,
/// so whatever can follow it can follow this one.
#[derive(Clone, Copy)]
struct End {
    row: u32,
    start: u32,
}

/// Symbols, and where the sequence that each makes of a prefix can end, in order of rows.
type Extensions = Vec<(u32, Vec<End>)>;

struct Search<'a, 'h> {
    history: &'a History<'h>,
    bounds: &'a Bounds,
    min_support: usize,
    interrupted: &'a mut dyn FnMut() -> bool,
    /// Rows to look at before `interrupted` is asked.
    rows_unasked: usize,
    /// By symbol: how many keys have been seen with it, and one more than the last of them. Zeros between calls.
    seen: Vec<(u32, u64)>,
    /// By symbol: one more than its place among those that are frequent. Zeros between calls.
    places: Vec<u32>,
    spans: Vec<u64>,
}

const ROWS_BETWEEN_QUESTIONS: usize = 1 << 20;

impl<'a, 'h> Search<'a, 'h> {
    fn new(history: &'a History<'h>, bounds: &'a Bounds, interrupted: &'a mut dyn FnMut() -> bool) -> Self {
        let symbols = history.symbol_count();
        Self {
            history,
            bounds,
            min_support: bounds.min_support.max(1),
            interrupted,
            rows_unasked: ROWS_BETWEEN_QUESTIONS,
            seen: vec![(0, 0); symbols],
            places: vec![0; symbols],
            spans: Vec::new(),
        }
    }

    /// The frequent sequences of one symbol: every row is the first and the last of an occurrence.
    fn single_symbols(&mut self) -> Result<Extensions, MiningError> {
        // Where no time at all may pass, not even one row is within the bound.
        let rows = if self.bounds.within_ns == Some(0) { 0 } else { self.history.rows() as u32 };
        self.frequent(|| (0..rows).map(|row| End { row, start: row }))
    }

    /// The frequent sequences of one symbol more than the one with these ends.
    ///
    /// Each row is put to the last end before it alone. That is the nearest, so if it is too far for the gap all are. And of two
    /// ends the later never has the earlier start: the last end before it, in the sequence of one symbol less, is the other's
    /// or a later one, and so back to the first symbol. So if its start is too far for the window all are, and
    /// else it is the start to keep.
    fn extensions(&mut self, ends: &[End]) -> Result<Extensions, MiningError> {
        debug_assert!(ends.is_sorted_by(|left, right| left.row < right.row), "ends out of order");
        let (history, bounds) = (self.history, self.bounds);
        let is_near = move |end: End, row: usize| {
            history.key(row) == history.key(end.row as usize)
                && bounds.max_gap_ns.is_none_or(|most| history.elapsed_ns(end.row as usize, row) < most)
                && bounds.within_ns.is_none_or(|most| history.elapsed_ns(end.start as usize, row) < most)
        };
        self.frequent(|| {
            ends.iter().enumerate().flat_map(move |(place, end)| {
                let next = ends.get(place + 1).map_or(history.rows(), |next| next.row as usize + 1);
                let near = (end.row as usize + 1..next).take_while(move |row| is_near(*end, *row));
                near.map(|row| End { row: row as u32, start: end.start })
            })
        })
    }

    /// The symbols that are frequent among the rows of `ends`, which gives the same each time, and the ends of each.
    fn frequent<I: Iterator<Item = End>>(&mut self, ends: impl Fn() -> I) -> Result<Extensions, MiningError> {
        let mut touched = Vec::new();
        let mut looked_at = 0;
        for end in ends() {
            looked_at += 1;
            let row = end.row as usize;
            let (keys, last) = &mut self.seen[self.history.symbol(row) as usize];
            let stamp = u64::from(self.history.key(row)) + 1;
            if *last != stamp {
                if *last == 0 {
                    touched.push(self.history.symbol(row));
                }
                *keys += 1;
                *last = stamp;
            }
        }
        touched.sort_unstable();
        let mut extensions = Extensions::new();
        for symbol in touched {
            let (keys, _) = std::mem::take(&mut self.seen[symbol as usize]);
            if keys as usize >= self.min_support {
                extensions.push((symbol, Vec::new()));
                self.places[symbol as usize] = extensions.len() as u32;
            }
        }
        if !extensions.is_empty() {
            for end in ends() {
                let place = self.places[self.history.symbol(end.row as usize) as usize];
                if place > 0 {
                    extensions[place as usize - 1].1.push(end);
                }
            }
        }
        extensions.iter().for_each(|(symbol, _)| self.places[*symbol as usize] = 0);
        self.ask_after(looked_at)?;
        Ok(extensions)
    }

    /// Asks now and then whether the answer is still wanted.
    fn ask_after(&mut self, rows: usize) -> Result<(), MiningError> {
        match self.rows_unasked.checked_sub(rows) {
            Some(left) => self.rows_unasked = left,
            None if (self.interrupted)() => return Err(MiningError::Interrupted),
            None => self.rows_unasked = ROWS_BETWEEN_QUESTIONS,
        }
        Ok(())
    }

    /// What is told of a sequence with these ends.
    fn sequence(&mut self, symbols: &[u32], ends: &[End]) -> FrequentSequence {
        let key_of = |end: &End| self.history.key(end.row as usize);
        let mut key_set = 0_u128;
        self.spans.clear();
        for of_one_key in ends.chunk_by(|left, right| key_of(left) == key_of(right)) {
            let span = |end: &End| self.history.elapsed_ns(end.start as usize, end.row as usize);
            self.spans.push(of_one_key.iter().map(span).min().unwrap_or_default());
            key_set = key_set.wrapping_add(scattered(key_of(&of_one_key[0])));
        }
        self.spans.sort_unstable();
        let by_rank = |percent: usize| self.spans[(self.spans.len() * percent).div_ceil(100) - 1];
        FrequentSequence {
            symbols: symbols.into(),
            support: self.spans.len(),
            span_median_ns: by_rank(50),
            span_p95_ns: by_rank(95),
            key_set,
        }
    }
}

/// 128 bits that look like chance, of which the sum over a set of keys tells it from any other (SplitMix64, twice).
fn scattered(key: u32) -> u128 {
    let half = |seed: u64| {
        let mut bits = (u64::from(key) + 1).wrapping_mul(seed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    };
    u128::from(half(0x9E37_79B9_7F4A_7C15)) << 64 | u128::from(half(0xD1B5_4A32_D192_ED03))
}
