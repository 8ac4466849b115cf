//! APPROX_N_UNIQUE: how many different values there are, about.
//!
//! HyperLogLog with 4,096 registers (Flajolet, Fusy, Gandouet and Meunier, *HyperLogLog*, AofA 2007), read by the estimator of
//! Ertl (*New cardinality estimation algorithms for HyperLogLog sketches*, 2017), which has no bias at any size: the standard
//! error is 1.6 %. Up to 256 different values are counted exactly, by hash. What is kept depends on the set of values alone, so the
//! answer does not depend on how rows are cut.
//!
//! Order: none. Time: O(1) a row and a hash; a join of few values O(few), others O(registers), an answer too. Space: 4 KiB at most;
//! in windows that slide, 16 bytes a row and up to 4 KiB for each row whose value changes what is kept.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use cepheid_eval::{ColumnReader, EvalError};

use crate::monoid::{Monoid, Reading};

#[derive(Clone, Debug)]
pub(crate) struct Distinct;

const REGISTER_BITS: u32 = 12;
const REGISTERS: usize = 1 << REGISTER_BITS;
/// Most values that are counted exactly.
const FEW_MAX: usize = 256;
/// A register holds where the first of the other bits of a hash is set, from 1; this stands for nowhere.
const RANK_MAX: u8 = (64 - REGISTER_BITS + 1) as u8;

#[derive(Clone, Debug)]
pub(crate) enum Sketch {
    /// Hashes, ascending.
    Few(Arc<Vec<u64>>),
    /// Registers.
    Many(Arc<Vec<u8>>),
}

impl Sketch {
    fn add(&mut self, hash: u64) {
        match self {
            Self::Few(hashes) => {
                if let Err(place) = hashes.binary_search(&hash) {
                    Arc::make_mut(hashes).insert(place, hash);
                    self.thin();
                }
            }
            Self::Many(registers) => {
                let (register, rank) = place(hash);
                // Looked at before they are made our own: most hashes change nothing.
                if registers[register] < rank {
                    Arc::make_mut(registers)[register] = rank;
                }
            }
        }
    }

    /// Goes over to registers once there are too many hashes.
    fn thin(&mut self) {
        if let Self::Few(hashes) = self
            && hashes.len() > FEW_MAX
        {
            let mut registers = vec![0; REGISTERS];
            for hash in hashes.iter() {
                let (register, rank) = place(*hash);
                registers[register] = rank.max(registers[register]);
            }
            *self = Self::Many(Arc::new(registers));
        }
    }

    fn join(&mut self, other: &Self) {
        // What has more is shared where the other adds nothing to it: so do the suffixes of a window.
        match (&mut *self, other) {
            (Self::Few(hashes), Self::Few(more)) => {
                let own = std::mem::take(hashes);
                let (fewer, more) =
                    if own.len() < more.len() { (own, Arc::clone(more)) } else { (Arc::clone(more), own) };
                *self = Self::Few(more);
                fewer.iter().for_each(|hash| self.add(*hash));
            }
            (Self::Many(_), Self::Few(more)) => more.iter().for_each(|hash| self.add(*hash)),
            (Self::Few(hashes), Self::Many(_)) => {
                let hashes = std::mem::take(hashes);
                *self = other.clone();
                hashes.iter().for_each(|hash| self.add(*hash));
            }
            (Self::Many(registers), Self::Many(more)) => {
                if registers.iter().zip(more.iter()).any(|(own, other)| own < other) {
                    let own = Arc::make_mut(registers);
                    own.iter_mut().zip(more.iter()).for_each(|(own, other)| *own = (*own).max(*other));
                }
            }
        }
    }

    fn count(&self) -> i64 {
        match self {
            Self::Few(hashes) => hashes.len() as i64,
            Self::Many(registers) => estimate(registers).round() as i64,
        }
    }
}

fn place(hash: u64) -> (usize, u8) {
    let rest = hash << REGISTER_BITS;
    let rank = if rest == 0 { RANK_MAX } else { rest.leading_zeros() as u8 + 1 };
    ((hash >> (64 - REGISTER_BITS)) as usize, rank)
}

/// Ertl's algorithm 6.
fn estimate(registers: &[u8]) -> f64 {
    let mut of_rank = [0.0; RANK_MAX as usize + 1];
    registers.iter().for_each(|rank| of_rank[*rank as usize] += 1.0);
    let size = registers.len() as f64;
    let mut sum = size * upper(1.0 - of_rank[RANK_MAX as usize] / size);
    for count in of_rank[1..RANK_MAX as usize].iter().rev() {
        sum = 0.5 * (sum + count);
    }
    sum += size * lower(of_rank[0] / size);
    size * size / (2.0 * std::f64::consts::LN_2 * sum)
}

/// `x + sum over k of 2^(k-1) x^(2^k)`, where `x` is the share of registers that are zero: below 1, as there are many values.
fn lower(mut x: f64) -> f64 {
    let (mut factor, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        if sum == before {
            return sum;
        }
    }
}

/// `(1 - x - sum over k of (1 - x^(2^-k))^2 2^-k) / 3`, where `1 - x` is the share of registers that are full.
fn upper(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut factor, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x).powi(2) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// The same hash in every run and on every machine, as snapshots hold it: words mixed in by the finaliser of SplitMix64.
#[derive(Default)]
struct Mixed(u64);

impl Mixed {
    fn word(&mut self, word: u64) {
        let mut mixed = (self.0 ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.0 = mixed ^ (mixed >> 31);
    }
}

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(u64::from_le_bytes(word) ^ (part.len() as u64) << 59);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }

    // As little-endian machines of 64 bits would.
    fn write_u16(&mut self, number: u16) {
        self.write(&number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.write(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_i16(&mut self, number: i16) {
        self.write(&number.to_le_bytes());
    }

    fn write_i32(&mut self, number: i32) {
        self.write(&number.to_le_bytes());
    }

    fn write_i64(&mut self, number: i64) {
        self.write(&number.to_le_bytes());
    }

    fn write_i128(&mut self, number: i128) {
        self.write(&number.to_le_bytes());
    }

    fn write_isize(&mut self, number: isize) {
        self.write_i64(number as i64);
    }
}

impl Monoid for Distinct {
    type State = Sketch;
    /// Hashes, or registers.
    type Saved = (Vec<u64>, Vec<u8>);
    type Args = ColumnReader;

    fn args(&self, arrays: &[ArrayRef]) -> Result<ColumnReader, EvalError> {
        Ok(ColumnReader::new(&arrays[0]))
    }

    fn empty(&self) -> Sketch {
        Sketch::Few(Arc::default())
    }

    fn add(&self, state: &mut Sketch, args: &ColumnReader, row: usize) {
        let value = args.value(row);
        if !value.is_null() {
            let mut hash = Mixed::default();
            value.hash(&mut hash);
            state.add(hash.finish());
        }
    }

    fn join(&self, earlier: &mut Sketch, later: &Sketch) {
        earlier.join(later);
    }

    fn finish(&self, states: &[Sketch], _: Reading<'_>) -> Result<ArrayRef, EvalError> {
        Ok(Arc::new(states.iter().map(|state| Some(state.count())).collect::<Int64Array>()))
    }

    fn save(&self, state: &Sketch) -> Option<Self::Saved> {
        Some(match state {
            Sketch::Few(hashes) => (hashes.to_vec(), vec![]),
            Sketch::Many(registers) => (vec![], registers.to_vec()),
        })
    }

    fn load(&self, (hashes, registers): Self::Saved) -> Option<Sketch> {
        if registers.is_empty() && hashes.len() <= FEW_MAX {
            let hashes: BTreeSet<u64> = hashes.into_iter().collect();
            return Some(Sketch::Few(Arc::new(hashes.into_iter().collect())));
        }
        let sound = registers.len() == REGISTERS && registers.iter().all(|rank| *rank <= RANK_MAX);
        // Registers stand for many values: were all zero, their number would be none that there is.
        let filled = registers.iter().any(|rank| *rank > 0);
        (hashes.is_empty() && sound && filled).then(|| Sketch::Many(Arc::new(registers)))
    }

    fn bytes(&self, state: &Sketch) -> usize {
        match state {
            Sketch::Few(hashes) => hashes.capacity() * size_of::<u64>() / Arc::strong_count(hashes),
            Sketch::Many(registers) => registers.capacity() / Arc::strong_count(registers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(value: u64) -> u64 {
        let mut hash = Mixed::default();
        value.hash(&mut hash);
        hash.finish()
    }

    fn sketch(values: impl Iterator<Item = u64>) -> Sketch {
        let mut sketch = Distinct.empty();
        values.for_each(|value| sketch.add(hash_of(value)));
        sketch
    }

    #[test]
    fn estimates_stay_within_four_standard_errors_and_are_1_6_percent_off_at_a_time() {
        let (mut squares, mut checked) = (0.0, 0);
        for size in [257_u64, 1_000, 5_000, 20_000, 100_000] {
            for round in 0..20 {
                let found = sketch((0..size).map(|value| value * 31 + (round << 40))).count();
                let error = (found as f64 - size as f64) / size as f64;
                assert!(error.abs() < 0.065, "{found} for {size}");
                squares += error * error;
                checked += 1;
            }
        }
        let standard = (squares / f64::from(checked)).sqrt();
        println!("standard error {:.2} % over {checked} sketches", standard * 100.0);
        assert!(standard < 0.02, "{standard}");
        assert_eq!(sketch((0..256).chain(0..256)).count(), 256);
    }

    #[test]
    fn hashes_are_what_snapshots_hold() {
        use cepheid_eval::Value;
        let mut found = vec![];
        for value in [
            Value::Boolean(true),
            Value::Integer(-5),
            Value::Float(2.5),
            Value::Decimal { unscaled: 1250, scale: 2 },
            Value::String("card".into()),
            Value::Date(20_000),
            Value::Time(1_000),
            Value::Timestamp { value: 1, unit: arrow_schema::TimeUnit::Millisecond, zoned: true },
            Value::Duration { value: 3, unit: arrow_schema::TimeUnit::Second },
            Value::Interval { months: 1, days: 2, nanoseconds: 3 },
            Value::List(vec![Value::Integer(1), Value::Null].into()),
        ] {
            let mut hash = Mixed::default();
            value.hash(&mut hash);
            found.push(hash.finish());
        }
        let pinned: [u64; 11] = [
            0xD1C64C5327E4378B,
            0xB1E6748DFEE6DD9D,
            0xA3621C944B1A4D68,
            0x4E7FAF7C8BC7F87F,
            0x9FCDA4E6893AB790,
            0x5B25399E41B60719,
            0x289DEF3F0F120D00,
            0x27BBE62B9C4FFE94,
            0x56CA83DE5A070125,
            0xED332EDE11253C21,
            0xE5D110429E7ED2E6,
        ];
        assert_eq!(found, pinned);
    }

    #[test]
    fn parts_joined_are_the_whole() {
        let of = |sketch: &Sketch| Distinct.save(sketch);
        for size in [10, 256, 257, 3_000] {
            let whole = sketch(0..size);
            for cut in [0, 1, size / 2, size - 1, size] {
                // With some values in both.
                let (mut left, right) = (sketch(0..cut), sketch(cut / 2..size));
                left.join(&right);
                assert_eq!(of(&left), of(&whole), "{size} cut at {cut}");
                let loaded = Distinct.load(of(&left).expect("plain data")).expect("what was saved");
                assert_eq!(of(&loaded), of(&whole));
            }
        }
        assert!(Distinct.load((vec![], vec![60; REGISTERS])).is_none());
        assert!(Distinct.load((vec![], vec![0; REGISTERS])).is_none());
        assert!(Distinct.load((vec![], vec![1])).is_none());
    }
}
