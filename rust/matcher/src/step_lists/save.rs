//! Step lists of a stream as plain data, to be saved and loaded: by key, so that shards may be others when they are loaded; of
//! keys with few rows these.

use serde::{Deserialize, Serialize};

use super::compile::StepLists;
use super::few_rows::{FewRows, KeptRow};
use super::key_lists::{KeyLists, Start, Starts};
use super::lists::{List, Lists};
use super::scratch::Scratch;
use super::stream::{Kept, Key, KeyName, StepListsState};
use crate::lists::window::Bound;

/// All lists of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedLists {
    keys: Vec<SavedKey>,
}

/// Keys of a rule with few rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedFewRows {
    keys: Vec<SavedFew>,
}

/// Rows of a key, each as the difference to the one before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedFew {
    key: Vec<u8>,
    position: u64,
    matches: u64,
    ordinals: Vec<u64>,
    stands: Vec<i64>,
    symbols: Vec<u64>,
}

/// Lists of a key. Rows, times and starts are written as differences, which are short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedKey {
    key: Vec<u8>,
    base: u64,
    position: u64,
    matches: u64,
    lists: Vec<SavedList>,
    open: Vec<u32>,
    /// Rows at which matches may begin, and their times or positions.
    start_rows: Vec<u32>,
    start_at: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedList {
    dropped: u32,
    rows: Vec<u32>,
    /// How far the latest start is back from the row.
    starts_back: Vec<u32>,
    stretches: Vec<Vec<(u32, u32)>>,
}

impl SavedLists {
    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl SavedFewRows {
    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl StepListsState {
    /// Adds the keys of this shard to what is saved.
    pub fn save(&self, lists: &mut SavedLists, few: &mut SavedFewRows) {
        let mut keys: Vec<&Key> = self.occupied().collect();
        keys.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        for entry in keys {
            match &entry.kept {
                Kept::Few(rows) => few.keys.push(saved_few(entry, rows)),
                Kept::Lists(kept) => lists.keys.push(saved_key(entry, kept)),
            }
        }
    }

    /// Takes over a key that was saved.
    fn load(&mut self, saved: SavedKey, scratch: &mut Scratch) -> Result<(), String> {
        let entry = self.checked(saved)?;
        self.take_over(entry, scratch);
        Ok(())
    }

    fn take_over(&mut self, entry: Key, scratch: &mut Scratch) {
        let place = self.add(&entry.name);
        self.keys[place as usize] = entry;
        self.look_over(place, scratch);
        self.let_go(place);
    }

    /// Takes over a key with few rows.
    fn load_few(&mut self, saved: SavedFew, scratch: &mut Scratch) -> Result<(), String> {
        let refuse = |what: &str| Err(format!("{what} that the pattern cannot have"));
        if self.find(&saved.key).is_some() {
            return refuse("a key");
        }
        let count = saved.ordinals.len();
        let ordinals = sums(saved.ordinals, 0, u64::wrapping_add);
        let stands = sums(saved.stands, 0, i64::wrapping_add);
        let near = |first: &u64, last: &u64| last - first < u64::from(u32::MAX) - 2;
        let fits = stands.len() == count
            && saved.symbols.len() == count
            && ordinals.windows(2).all(|pair| pair[0] < pair[1])
            && ordinals.first().zip(ordinals.last()).is_none_or(|(first, last)| near(first, last))
            && stands.is_sorted();
        let predicates = self.steps().conditions.predicates.len();
        let is_symbol = |symbol: &u64| predicates == 64 || symbol >> predicates == 0;
        if !fits || !saved.symbols.iter().all(is_symbol) {
            return refuse("rows");
        }
        if saved.position > i64::MAX as u64 || saved.matches > i64::MAX as u64 {
            return refuse("a count");
        }
        let rows = ordinals.into_iter().zip(stands).zip(saved.symbols);
        let row = |((ordinal, stands), symbol)| KeptRow { ordinal, stands, symbol };
        let entry = Key {
            name: KeyName::from_slice(&saved.key),
            kept: Kept::Few(FewRows::new(rows.map(row))),
            position: saved.position,
            matches: saved.matches,
            ..Key::default()
        };
        self.take_over(entry, scratch);
        Ok(())
    }

    fn checked(&self, saved: SavedKey) -> Result<Key, String> {
        let steps = self.steps();
        let refuse = |what: &str| Err(format!("{what} that the pattern cannot have"));
        let windowed = steps.within != Bound::None;
        if self.find(&saved.key).is_some() || saved.lists.len() != steps.places.len() {
            return refuse("a key");
        }
        let mut lists = Lists::new(steps);
        for ((own, list), shape) in lists.of.iter_mut().zip(saved.lists).zip(&steps.places) {
            let count = list.rows.len();
            let rows = sums(list.rows, 0, u32::wrapping_add);
            let starts: Vec<u32> =
                rows.iter().zip(&list.starts_back).map(|(row, back)| row.wrapping_sub(*back)).collect();
            let fits = list.stretches.len() == shape.ins.len()
                && list.stretches.iter().all(|stretches| stretches.len() == count)
                && list.starts_back.len() == if windowed { count } else { 0 }
                && starts.iter().zip(&rows).all(|(start, row)| start <= row)
                && u64::from(list.dropped) + count as u64 <= u64::from(u32::MAX);
            if !fits || !are_row_numbers(&rows) {
                return refuse("rows");
            }
            own.rising = starts.is_sorted();
            (own.dropped, own.rows, own.starts, own.stretches) =
                (list.dropped, rows, starts, list.stretches.into());
        }
        let start_rows = sums(saved.start_rows, 0, u32::wrapping_add);
        if !are_row_numbers(&start_rows) {
            return refuse("start rows");
        }
        let start_at = sums(saved.start_at, 0, i64::wrapping_add);
        let rise = start_at.is_sorted() && start_rows.len() == start_at.len();
        if !rise || !windowed && !start_rows.is_empty() {
            return refuse("start rows");
        }
        if saved.open.len() != steps.edges.len() || !stretches_fit(steps, &lists, &saved.open) {
            return refuse("steps");
        }
        let last = lists.of.iter().filter_map(|list| list.rows.last()).chain(start_rows.last()).max();
        if saved.base.checked_add(u64::from(last.copied().unwrap_or(0))).is_none() {
            return refuse("a row");
        }
        let of = start_rows.into_iter().zip(start_at).map(|(row, at)| Start::new(row, at)).collect();
        let starts = Starts { of, over: 0 };
        lists.open = saved.open.into();
        let (base, position, matches) = (saved.base, saved.position, saved.matches);
        if position > i64::MAX as u64 || matches > i64::MAX as u64 {
            return refuse("a count");
        }
        let kept = Kept::Lists(Box::new(KeyLists { lists, starts, base }));
        Ok(Key { name: KeyName::from_slice(&saved.key), kept, position, matches, ..Key::default() })
    }
}

fn saved_key(entry: &Key, kept: &KeyLists) -> SavedKey {
    SavedKey {
        key: entry.name.to_vec(),
        // Without rows it says nothing.
        base: if entry.entries == 0 { 0 } else { kept.base },
        position: entry.position,
        matches: entry.matches,
        lists: kept.lists.of.iter().map(saved_list).collect(),
        open: kept.lists.open.to_vec(),
        start_rows: differences(kept.starts.of.iter().map(|start| start.row), 0, u32::wrapping_sub),
        start_at: differences(kept.starts.of.iter().map(|start| start.at()), 0, i64::wrapping_sub),
    }
}

fn saved_few(entry: &Key, few: &FewRows) -> SavedFew {
    let rows = few.useful();
    SavedFew {
        key: entry.name.to_vec(),
        position: entry.position,
        matches: entry.matches,
        ordinals: differences(rows.iter().map(|row| row.ordinal), 0, u64::wrapping_sub),
        stands: differences(rows.iter().map(|row| row.stands), 0, i64::wrapping_sub),
        symbols: rows.iter().map(|row| row.symbol).collect(),
    }
}

/// Loads lists, and keys with few rows, into shards. `shard_of` says which shard a key belongs to.
///
/// # Errors
/// Why the data are no lists of the pattern; the shards are then of no use.
pub fn load(
    lists: SavedLists,
    few: SavedFewRows,
    shards: &mut [StepListsState],
    shard_of: impl Fn(&[u8]) -> usize,
) -> Result<(), String> {
    let scratch = &mut Scratch::default();
    lists.keys.into_iter().try_for_each(|key| shards[shard_of(&key.key)].load(key, scratch))?;
    few.keys.into_iter().try_for_each(|key| shards[shard_of(&key.key)].load_few(key, scratch))?;
    shards.iter_mut().for_each(StepListsState::put_expiring_in_order);
    Ok(())
}

/// Whether edges lead on from entries there are or were, and entries come from earlier ones: each from where the one before
/// it in its list came from, or further on.
fn stretches_fit(steps: &StepLists, lists: &Lists, open: &[u32]) -> bool {
    steps.places.iter().zip(&lists.of).all(|(shape, list)| {
        shape.ins.iter().zip(&list.stretches).all(|(edge, stretches)| {
            let from = &lists.of[steps.edges[*edge as usize].from as usize];
            let rise = |pair: &[(u32, u32)]| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1;
            // The last entry of a stretch is of an earlier row, if it is still there.
            let earlier = |((begin, end), row): (&(u32, u32), &u32)| {
                begin <= end
                    && *end <= from.end()
                    && (*end <= from.dropped || begin == end || from.rows[from.place(*end - 1)] < *row)
            };
            open[*edge as usize] <= from.end()
                && stretches.last().is_none_or(|(begin, _)| *begin <= open[*edge as usize])
                && stretches.windows(2).all(rise)
                && stretches.iter().zip(&list.rows).all(earlier)
        })
    })
}

/// Whether these are numbers of rows, each greater than the one before.
fn are_row_numbers(rows: &[u32]) -> bool {
    rows.first().is_none_or(|first| *first > 0) && rows.windows(2).all(|pair| pair[0] < pair[1])
}

fn saved_list(list: &List) -> SavedList {
    SavedList {
        dropped: list.dropped,
        rows: differences(list.rows.iter().copied(), 0, u32::wrapping_sub),
        starts_back: list.rows.iter().zip(&list.starts).map(|(row, start)| row - start).collect(),
        stretches: list.stretches.to_vec(),
    }
}

fn differences<T: Copy>(values: impl Iterator<Item = T>, zero: T, less: impl Fn(T, T) -> T) -> Vec<T> {
    values.scan(zero, |last, value| Some(less(value, std::mem::replace(last, value)))).collect()
}

fn sums<T: Copy>(differences: Vec<T>, zero: T, plus: impl Fn(T, T) -> T) -> Vec<T> {
    differences
        .into_iter()
        .scan(zero, |last, difference| {
            *last = plus(*last, difference);
            Some(*last)
        })
        .collect()
}
