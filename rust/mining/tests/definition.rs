//! Mining compared with its definition, which tries every subsequence of every key.

use std::collections::{BTreeMap, BTreeSet};

use cepheid_mining::{Bounds, FrequentSequence, History, Keep, MiningError, mine};

/// What the definition says of a sequence: the shortest span of each key that supports it.
type Definition = BTreeMap<Vec<u32>, BTreeMap<u32, u64>>;

struct Case {
    /// (key, time, symbol), in order.
    rows: Vec<(u32, i64, u32)>,
    bounds: Bounds,
}

/// Every sequence with an occurrence: any rows of one key, in order, whose times keep both bounds.
fn define(case: &Case) -> Definition {
    let mut found = Definition::new();
    let keys: BTreeSet<u32> = case.rows.iter().map(|row| row.0).collect();
    for key in keys {
        let rows: Vec<_> = case.rows.iter().filter(|row| row.0 == key).collect();
        assert!(rows.len() < 20, "every subset is tried");
        for chosen in 1_u32..1 << rows.len() {
            let occurrence: Vec<_> =
                (0..rows.len()).filter(|place| chosen >> place & 1 == 1).map(|place| rows[place]).collect();
            let gaps_fit = occurrence.windows(2).all(|pair| {
                case.bounds
                    .max_gap_ns
                    .is_none_or(|most| i128::from(pair[1].1) - i128::from(pair[0].1) < i128::from(most))
            });
            let span = i128::from(occurrence.last().unwrap().1) - i128::from(occurrence[0].1);
            if gaps_fit
                && case.bounds.within_ns.is_none_or(|most| span < i128::from(most))
                && occurrence.len() <= case.bounds.max_length
            {
                let symbols = occurrence.iter().map(|row| row.2).collect();
                let span = u64::try_from(span).unwrap();
                let shortest = found.entry(symbols).or_default().entry(key).or_insert(span);
                *shortest = span.min(*shortest);
            }
        }
    }
    found.retain(|_, keys| keys.len() >= case.bounds.min_support);
    found
}

/// The sequence with one symbol more somewhere.
fn is_one_shorter(shorter: &[u32], longer: &[u32]) -> bool {
    longer.len() == shorter.len() + 1
        && (0..longer.len()).any(|place| {
            let mut without = longer.to_vec();
            without.remove(place);
            without == shorter
        })
}

/// What is told of them: symbols, support, median and 95th percentile of the spans.
fn expected(case: &Case) -> Vec<(Vec<u32>, usize, u64, u64)> {
    let all = define(case);
    let is_told = |symbols: &Vec<u32>, keys: &BTreeMap<u32, u64>| {
        let mut longer = all.iter().filter(|(longer, _)| is_one_shorter(symbols, longer));
        match case.bounds.keep {
            Keep::All => true,
            Keep::Closed => !longer.any(|(_, theirs)| theirs.keys().eq(keys.keys())),
            Keep::Maximal => longer.next().is_none(),
        }
    };
    let mut told: Vec<_> = all
        .iter()
        .filter(|(symbols, keys)| symbols.len() >= case.bounds.min_length && is_told(symbols, keys))
        .map(|(symbols, keys)| {
            let mut spans: Vec<u64> = keys.values().copied().collect();
            spans.sort_unstable();
            // The least span that at least so many percent do not pass.
            let rank = |percent: usize| {
                *spans
                    .iter()
                    .find(|span| spans.iter().filter(|s| s <= span).count() * 100 >= spans.len() * percent)
                    .unwrap()
            };
            (symbols.clone(), spans.len(), rank(50), rank(95))
        })
        .collect();
    told.sort_by(|left, right| {
        (right.1, right.0.len()).cmp(&(left.1, left.0.len())).then_with(|| left.0.cmp(&right.0))
    });
    told
}

fn mined(case: &Case) -> Result<Vec<FrequentSequence>, MiningError> {
    let keys: Vec<u32> = case.rows.iter().map(|row| row.0).collect();
    let times: Vec<i64> = case.rows.iter().map(|row| row.1).collect();
    let symbols: Vec<u32> = case.rows.iter().map(|row| row.2).collect();
    mine(&History::new(&keys, &times, &symbols)?, &case.bounds, &mut || false)
}

fn shown(sequences: Vec<FrequentSequence>) -> Vec<(Vec<u32>, usize, u64, u64)> {
    sequences.into_iter().map(|s| (s.symbols.to_vec(), s.support, s.span_median_ns, s.span_p95_ns)).collect()
}

/// Numbers without a pattern (xorshift64*): the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

fn random_case(random: &mut Random) -> Case {
    let keys = 1 + random.below(5) as u32;
    let symbols = 1 + random.below(4);
    // Few times, so that many are equal; now and then ones whose difference no 64 signed bits hold.
    let (spread, step) = (1 + random.below(12), if random.below(50) == 0 { i64::MAX / 12 } else { 1 });
    let start = if step == 1 { random.below(20) as i64 - 10 } else { i64::MIN / 2 };
    let mut rows = Vec::new();
    for key in 0..keys {
        let mut times: Vec<i64> =
            (0..random.below(9)).map(|_| start + random.below(spread) as i64 * step).collect();
        times.sort_unstable();
        rows.extend(times.into_iter().map(|time| (key, time, random.below(symbols) as u32)));
    }
    let bound = |random: &mut Random| {
        let steps = if random.below(20) == 0 { 0 } else { 1 + random.below(spread + 2) };
        (random.below(2) == 0).then_some(steps * step as u64)
    };
    let max_length = 1 + random.below(5) as usize;
    let bounds = Bounds {
        min_support: random.below(u64::from(keys) + 1) as usize,
        min_length: 1 + random.below(max_length as u64) as usize,
        max_length,
        max_gap_ns: bound(random),
        within_ns: bound(random),
        max_sequences: usize::MAX,
        keep: [Keep::All, Keep::Closed, Keep::Maximal][random.below(3) as usize],
    };
    Case { rows, bounds }
}

#[test]
fn mining_finds_what_the_definition_finds() {
    let cases = if std::env::var_os("CEPHEID_DEEP").is_some() { 10_000 } else { 2_000 };
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut compared, mut sequences, mut bounded, mut empty) = (0, 0, 0, 0);
    for number in 0..cases {
        let case = random_case(&mut random);
        let (found, expected) = (shown(mined(&case).unwrap()), expected(&case));
        assert_eq!(found, expected, "case {number}: {:?} of {:?}", case.bounds, case.rows);
        compared += 1;
        sequences += found.len();
        empty += usize::from(found.is_empty());
        bounded += usize::from(case.bounds.max_gap_ns.is_some() && case.bounds.within_ns.is_some());
    }
    println!(
        "{compared} cases, {sequences} sequences, {bounded} with both bounds, {empty} without any sequence"
    );
    assert_eq!(compared, cases);
    assert!(sequences > cases * 3 && bounded > cases / 6 && empty < cases / 2, "the cases say little");
}

fn bounds() -> Bounds {
    Bounds {
        min_support: 1,
        min_length: 1,
        max_length: 3,
        max_gap_ns: None,
        within_ns: None,
        max_sequences: usize::MAX,
        keep: Keep::All,
    }
}

#[test]
fn the_first_end_of_a_prefix_is_not_the_only_one() {
    // The first `b` is too far from `c`; the second is near enough, and not too far from `a`.
    let rows = vec![(0, 0, 0), (0, 1, 1), (0, 8, 1), (0, 10, 2)];
    let case = Case { rows, bounds: Bounds { max_gap_ns: Some(8), min_length: 3, ..bounds() } };
    assert_eq!(shown(mined(&case).unwrap()), [(vec![0, 1, 1], 1, 8, 8), (vec![1, 1, 2], 1, 9, 9)]);
    let case = Case { bounds: Bounds { max_gap_ns: Some(9), ..case.bounds }, ..case };
    assert_eq!(
        shown(mined(&case).unwrap()),
        [(vec![0, 1, 1], 1, 8, 8), (vec![0, 1, 2], 1, 10, 10), (vec![1, 1, 2], 1, 9, 9)]
    );
}

#[test]
fn bounds_leave_their_end_out() {
    let rows = vec![(0, 0, 0), (0, 5, 1)];
    for (gap, within, support) in
        [(Some(5), None, 0), (Some(6), None, 1), (None, Some(5), 0), (None, Some(6), 1)]
    {
        let bounds = Bounds { max_gap_ns: gap, within_ns: within, min_length: 2, ..bounds() };
        assert_eq!(mined(&Case { rows: rows.clone(), bounds }).unwrap().len(), support, "{bounds:?}");
    }
}

#[test]
fn a_gap_can_make_a_longer_sequence_more_frequent_than_what_is_in_it() {
    // `a c` is too far apart, `a b c` is not; so neither is superfluous because of the other.
    let rows = vec![(0, 0, 0), (0, 2, 1), (0, 4, 2), (1, 0, 0), (1, 1, 2)];
    let case =
        Case { rows, bounds: Bounds { max_gap_ns: Some(3), min_length: 2, keep: Keep::Closed, ..bounds() } };
    let found = shown(mined(&case).unwrap());
    assert_eq!(found, [(vec![0, 1, 2], 1, 4, 4), (vec![0, 2], 1, 1, 1)]);
}

#[test]
fn too_many_sequences_are_an_error_and_no_shorter_answer() {
    let rows: Vec<_> = (0..8).map(|row| (0, i64::from(row), row)).collect();
    let all = mined(&Case { rows: rows.clone(), bounds: bounds() }).unwrap().len();
    assert_eq!(all, 8 + 28 + 56);
    let case = Case { rows: rows.clone(), bounds: Bounds { max_sequences: all, ..bounds() } };
    assert_eq!(mined(&case).unwrap().len(), all);
    let case = Case { rows, bounds: Bounds { max_sequences: all - 1, ..bounds() } };
    let error = mined(&case).unwrap_err();
    assert_eq!(error, MiningError::TooManySequences { limit: all - 1, min_support: 1, max_length: 3 });
    assert_eq!(error.code(), "too-many-sequences");
    assert!(error.to_string().contains("raise min_support"), "{error}");
}

#[test]
fn rows_out_of_order_are_no_history() {
    for (keys, times, symbols, row) in [
        (vec![0, 1, 0], vec![0, 0, 0], vec![0, 0, 0], 2),
        (vec![0, 0, 0], vec![1, 0, 2], vec![0, 0, 0], 1),
        (vec![0, 0], vec![1], vec![0, 0], 1),
    ] {
        let error = History::new(&keys, &times, &symbols).unwrap_err();
        assert!(matches!(error, MiningError::InvalidHistory { row: at, .. } if at == row), "{error}");
        assert_eq!(error.code(), "invalid-history");
    }
}

#[test]
fn a_search_can_be_interrupted() {
    let (keys, times): (Vec<u32>, Vec<i64>) = (vec![0; 4_000], (0..4_000).collect());
    let symbols: Vec<u32> = (0..4_000).map(|row| row % 40).collect();
    let history = History::new(&keys, &times, &symbols).unwrap();
    let mut asked = 0;
    let mut interrupted = || {
        asked += 1;
        asked == 2
    };
    let error = mine(&history, &Bounds { max_length: 9, ..bounds() }, &mut interrupted).unwrap_err();
    assert_eq!((error.code(), asked), ("interrupted", 2));
}

#[test]
fn no_rows_are_a_history_without_sequences() {
    assert_eq!(mined(&Case { rows: vec![], bounds: bounds() }).unwrap(), []);
}
