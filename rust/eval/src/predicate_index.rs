//! Many predicates over the same columns, asked at once: which rows satisfy which.
//!
//! A predicate is held as *atoms*, each of them once however many hold it: a constant that a column is to equal, or, where
//! no such constant can be told apart, the predicate as a whole. All constants of a column are looked up together, by
//! value, in one pass over the column, and where many predicates are ranges of one column, its rows are ranked among
//! their ends ([`RankedRanges`]); so what a batch costs follows from its rows, its columns and what is found, and
//! not from how many constants are asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, UInt32Array, downcast_dictionary_array};
use arrow_buffer::{ArrowNativeType, BooleanBuffer};
use arrow_schema::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::constrained::{Constrained, column_of};
use crate::error::EvalError;
use crate::order_code::OrderCode;
use crate::ranked::{RankedRanges, ValueRange};
use crate::typed::TypedExpr;

/// Number of an atom.
pub type AtomId = u32;

const NO_ATOM: AtomId = AtomId::MAX;

/// How a predicate is told from its atoms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// A row that is in none of these does not satisfy the predicate, nor would it raise an error.
    pub atoms: Vec<AtomId>,
    /// Whether a row that is in one of them satisfies it.
    pub exact: bool,
}

/// What a column is to equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Constant {
    /// Nothing is known of it.
    Null,
    Integer(i64),
    Text(Box<str>),
}

#[derive(Clone, Debug)]
enum Atom {
    Equal { column: usize, constant: Constant },
    Whole { predicate: TypedExpr, text: String, range: Option<ValueRange> },
}

/// See the module.
///
/// - Time: adding or removing a predicate O(its constants), of a range O(those of its column); asking O(rows) for each
///   column that constants are compared with and for each predicate that is held as a whole, O(log n) a row for n ranges
///   of a column, and O(what is found).
/// - Space: some 100 bytes a constant.
#[derive(Debug, Default)]
pub struct PredicateIndex {
    /// With how many guards hold them.
    atoms: Vec<Option<(Atom, usize)>>,
    free: Vec<AtomId>,
    columns: BTreeMap<usize, Constants>,
    /// By their text; those of one text may read other columns.
    whole: BTreeMap<String, Vec<AtomId>>,
    /// Those of them that are ranges, by column.
    ranges: BTreeMap<(usize, OrderCode), RankedRanges>,
    /// The others.
    masked: Vec<AtomId>,
}

/// The constants of one column, and their atoms.
#[derive(Debug, Default)]
struct Constants {
    integers: HashMap<i64, AtomId, FixedState>,
    texts: HashMap<Box<str>, AtomId, FixedState>,
    null: Option<AtomId>,
    /// What integers and texts are looked up at all.
    span: Option<(i64, i64)>,
    filter: TextFilter,
}

/// Which rows are in which atoms.
#[derive(Debug, Default)]
pub struct Satisfied {
    /// Atoms with rows, ascending, and where in `rows` theirs are.
    lists: Vec<(AtomId, Range<usize>)>,
    rows: Vec<u32>,
    /// Predicates held as a whole that some row would raise an error of, ascending.
    failed: Vec<AtomId>,
    /// Passes over columns that were made.
    pub passes: usize,
}

impl Satisfied {
    /// Atoms that some row is in, ascending.
    pub fn atoms(&self) -> impl Iterator<Item = AtomId> + '_ {
        self.lists.iter().map(|(atom, _)| *atom)
    }

    /// The rows in an atom, ascending. What an atom that has [`failed`](Self::failed) holds is not known.
    pub fn rows(&self, atom: AtomId) -> &[u32] {
        match self.lists.binary_search_by_key(&atom, |(atom, _)| *atom) {
            Ok(place) => &self.rows[self.lists[place].1.clone()],
            Err(_) => &[],
        }
    }

    /// Atoms that could not be asked of all rows.
    pub fn failed(&self) -> &[AtomId] {
        &self.failed
    }
}

impl PredicateIndex {
    /// Adds a predicate that reads columns of the row under test alone.
    pub fn add(&mut self, predicate: &TypedExpr) -> Guard {
        self.add_known(predicate, Constrained::of(predicate).as_ref())
    }

    /// The same, where it has been found out before what the predicate is [constrained](Constrained::of) to.
    pub fn add_known(&mut self, predicate: &TypedExpr, known: Option<&Constrained>) -> Guard {
        let Some(Constrained { constants, exact }) = known else {
            return Guard { atoms: vec![self.hold_whole(predicate)], exact: true };
        };
        let hold = |(column, constant): &(usize, Constant)| self.hold_equal(*column, constant);
        let mut atoms: Vec<AtomId> = constants.iter().map(hold).collect();
        atoms.sort_unstable();
        Guard { atoms, exact: *exact }
    }

    /// Lets go of a predicate's guard.
    pub fn remove(&mut self, guard: &Guard) {
        for id in &guard.atoms {
            let entry = self.atoms[*id as usize].as_mut().expect("a guard's atoms are held");
            entry.1 -= 1;
            if entry.1 > 0 {
                continue;
            }
            let (atom, _) = self.atoms[*id as usize].take().expect("just seen");
            self.free.push(*id);
            match atom {
                Atom::Equal { column, constant } => {
                    let constants = self.columns.get_mut(&column).expect("it has an atom");
                    match constant {
                        Constant::Null => constants.null = None,
                        Constant::Integer(value) => drop(constants.integers.remove(&value)),
                        Constant::Text(text) => drop(constants.texts.remove(&text)),
                    }
                    if constants.is_empty() {
                        self.columns.remove(&column);
                    }
                }
                Atom::Whole { text, range, .. } => {
                    match range.map(|range| (range.column, range.code)) {
                        None => self.masked.retain(|known| known != id),
                        Some(of) => {
                            let ranges = self.ranges.get_mut(&of).expect("it has an atom");
                            ranges.remove(*id);
                            if ranges.is_empty() {
                                self.ranges.remove(&of);
                            }
                        }
                    }
                    let of_text = self.whole.get_mut(&text).expect("it has an atom");
                    of_text.retain(|known| known != id);
                    if of_text.is_empty() {
                        self.whole.remove(&text);
                    }
                }
            }
        }
    }

    /// How many atoms there are.
    pub fn len(&self) -> usize {
        self.atoms.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hold(&mut self, atom: Atom) -> AtomId {
        let entry = Some((atom, 1));
        match self.free.pop() {
            Some(id) => {
                self.atoms[id as usize] = entry;
                id
            }
            None => {
                self.atoms.push(entry);
                (self.atoms.len() - 1) as AtomId
            }
        }
    }

    fn hold_again(&mut self, id: AtomId) -> AtomId {
        self.atoms[id as usize].as_mut().expect("it is held").1 += 1;
        id
    }

    fn hold_equal(&mut self, column: usize, constant: &Constant) -> AtomId {
        let constants = self.columns.entry(column).or_default();
        let known = match constant {
            Constant::Null => constants.null,
            Constant::Integer(value) => constants.integers.get(value).copied(),
            Constant::Text(text) => constants.texts.get(text).copied(),
        };
        if let Some(known) = known {
            return self.hold_again(known);
        }
        let id = self.hold(Atom::Equal { column, constant: constant.clone() });
        let constants = self.columns.get_mut(&column).expect("just made");
        match constant {
            Constant::Null => constants.null = Some(id),
            Constant::Integer(value) => {
                let (least, most) = constants.span.unwrap_or((*value, *value));
                constants.span = Some((least.min(*value), most.max(*value)));
                constants.integers.insert(*value, id);
            }
            Constant::Text(text) => {
                constants.filter.add(text);
                constants.texts.insert(text.clone(), id);
            }
        }
        id
    }

    fn hold_whole(&mut self, predicate: &TypedExpr) -> AtomId {
        let text = format!("{:?}", predicate.source());
        let same = |id: &&AtomId| match &self.atoms[**id as usize] {
            Some((Atom::Whole { predicate: known, .. }, _)) => known == predicate,
            _ => false,
        };
        if let Some(known) = self.whole.get(&text).and_then(|of_text| of_text.iter().find(same)).copied() {
            return self.hold_again(known);
        }
        let range = ValueRange::of(predicate.root(), predicate.leaves());
        let id = self.hold(Atom::Whole { predicate: predicate.clone(), text: text.clone(), range });
        match range {
            Some(range) => self.ranges.entry((range.column, range.code)).or_default().add(id, range),
            None => self.masked.push(id),
        }
        self.whole.entry(text).or_default().push(id);
        id
    }

    /// Asks every predicate of `rows` rows. `column` gives a column of them by its number.
    ///
    /// # Errors
    /// What Arrow refuses. An error that a row raises makes its atom one of those that have [`Satisfied::failed`].
    pub fn ask(&self, column: impl Fn(usize) -> ArrayRef, rows: usize) -> Result<Satisfied, EvalError> {
        let mut satisfied = Satisfied::default();
        let mut found = Found::default();
        for (number, constants) in &self.columns {
            satisfied.passes += 1;
            constants.look_up(&column(*number), rows, &mut found)?;
        }
        let mut masked = self.masked.clone();
        for ((number, code), ranges) in &self.ranges {
            if ranges.are_few() {
                masked.extend(ranges.atoms());
                continue;
            }
            satisfied.passes += 1;
            let rows_of = |atom, rows: &[u32]| rows.iter().for_each(|row| found.push(atom, *row as usize));
            ranges.ask(&column(*number), *code, rows_of, |atom| masked.push(atom));
        }
        found.sort_into(&mut satisfied, self.atoms.len());
        for id in masked {
            let Some((Atom::Whole { predicate, .. }, _)) = &self.atoms[id as usize] else { continue };
            satisfied.passes += 1;
            let slots: Vec<ArrayRef> = predicate
                .leaves()
                .iter()
                .map(|leaf| column(column_of(leaf).expect("a predicate of single rows reads columns")))
                .collect();
            match predicate.evaluate_mask(&slots, rows) {
                Ok(mask) => {
                    let start = satisfied.rows.len();
                    satisfied.rows.extend(set_rows(&mask));
                    if satisfied.rows.len() > start {
                        satisfied.lists.push((id, start..satisfied.rows.len()));
                    }
                }
                Err(error) if error.is_data_error() => satisfied.failed.push(id),
                Err(error) => return Err(error),
            }
        }
        satisfied.lists.sort_unstable_by_key(|(atom, _)| *atom);
        satisfied.failed.sort_unstable();
        Ok(satisfied)
    }
}

fn set_rows(mask: &BooleanBuffer) -> impl Iterator<Item = u32> + '_ {
    mask.set_indices_u32()
}

/// Pairs of an atom and a row, the rows of each atom ascending.
#[derive(Debug, Default)]
struct Found {
    atoms: Vec<AtomId>,
    rows: Vec<u32>,
}

impl Found {
    #[inline]
    fn push(&mut self, atom: AtomId, row: usize) {
        self.atoms.push(atom);
        self.rows.push(row as u32);
    }

    /// Brings the rows of each atom together. Stable, so that they stay in order.
    fn sort_into(self, satisfied: &mut Satisfied, atoms: usize) {
        if self.atoms.len() < atoms / 8 {
            // Counting would go through all atoms, of which few have rows.
            let mut order: Vec<u32> = (0..self.atoms.len() as u32).collect();
            order.sort_by_key(|place| self.atoms[*place as usize]);
            satisfied.rows = order.iter().map(|place| self.rows[*place as usize]).collect();
            let mut start = 0;
            for of_one in order.chunk_by(|l, r| self.atoms[*l as usize] == self.atoms[*r as usize]) {
                let end = start + of_one.len();
                satisfied.lists.push((self.atoms[of_one[0] as usize], start..end));
                start = end;
            }
            return;
        }
        let mut ends = vec![0_usize; atoms];
        self.atoms.iter().for_each(|atom| ends[*atom as usize] += 1);
        let mut start = 0;
        for (atom, end) in ends.iter_mut().enumerate() {
            let count = *end;
            if count > 0 {
                satisfied.lists.push((atom as AtomId, start..start + count));
            }
            *end = start;
            start += count;
        }
        satisfied.rows = vec![0; self.rows.len()];
        for (atom, row) in self.atoms.iter().zip(&self.rows) {
            let place = &mut ends[*atom as usize];
            satisfied.rows[*place] = *row;
            *place += 1;
        }
    }
}

impl Constants {
    fn is_empty(&self) -> bool {
        self.integers.is_empty() && self.texts.is_empty() && self.null.is_none()
    }

    /// Finds the rows of each constant.
    fn look_up(&self, array: &ArrayRef, rows: usize, found: &mut Found) -> Result<(), EvalError> {
        debug_assert_eq!(array.len(), rows);
        let coded = array.as_ref();
        if matches!(coded.data_type(), DataType::Dictionary(..)) {
            downcast_dictionary_array! {
                coded => {
                    let keys = coded.keys();
                    if coded.values().len() > rows {
                        let places: UInt32Array =
                            keys.iter().map(|key| key.map(|key| key.as_usize() as u32)).collect();
                        let values = arrow_select::take::take(coded.values(), &places, None)?;
                        return self.look_up(&values, rows, found);
                    }
                    let atoms = self.atoms_of(coded.values())?;
                    let null = self.null.unwrap_or(NO_ATOM);
                    if keys.null_count() == 0 {
                        for (row, key) in keys.values().iter().enumerate() {
                            let atom = atoms[key.as_usize()];
                            if atom != NO_ATOM {
                                found.push(atom, row);
                            }
                        }
                    } else {
                        for (row, key) in keys.iter().enumerate() {
                            let atom = key.map_or(null, |key| atoms[key.as_usize()]);
                            if atom != NO_ATOM {
                                found.push(atom, row);
                            }
                        }
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        self.each(array, |row, atom| found.push(atom, row))
    }

    fn atoms_of(&self, array: &ArrayRef) -> Result<Vec<AtomId>, EvalError> {
        let mut atoms = vec![NO_ATOM; array.len()];
        self.each(array, |row, atom| atoms[row] = atom)?;
        Ok(atoms)
    }

    /// Calls `visit` with the rows of a column without dictionary that equal a constant, and its atom.
    fn each(&self, array: &ArrayRef, mut visit: impl FnMut(usize, AtomId)) -> Result<(), EvalError> {
        if let (Some(null), Some(nulls)) = (self.null, array.logical_nulls()) {
            (0..array.len()).filter(|row| nulls.is_null(*row)).for_each(|row| visit(row, null));
        }
        macro_rules! integers {
            ($type:ty, $value:expr) => {{
                let values = array.as_primitive::<$type>();
                let Some((least, most)) = self.span else { return Ok(()) };
                for (row, value) in values.values().iter().enumerate() {
                    let Some(value) = $value(*value) else { continue };
                    if (least..=most).contains(&value)
                        && let Some(atom) = self.integers.get(&value)
                        && values.is_valid(row)
                    {
                        visit(row, *atom);
                    }
                }
            }};
        }
        macro_rules! texts {
            ($values:expr) => {{
                let values = $values;
                for row in 0..values.len() {
                    if values.is_null(row) {
                        continue;
                    }
                    let text: &str = values.value(row);
                    if self.filter.may_hold(text)
                        && let Some(atom) = self.texts.get(text)
                    {
                        visit(row, *atom);
                    }
                }
            }};
        }
        match array.data_type() {
            DataType::Int8 => integers!(Int8Type, |value| Some(i64::from(value))),
            DataType::Int16 => integers!(Int16Type, |value| Some(i64::from(value))),
            DataType::Int32 => integers!(Int32Type, |value| Some(i64::from(value))),
            DataType::Int64 => integers!(Int64Type, Some),
            DataType::UInt8 => integers!(UInt8Type, |value| Some(i64::from(value))),
            DataType::UInt16 => integers!(UInt16Type, |value| Some(i64::from(value))),
            DataType::UInt32 => integers!(UInt32Type, |value| Some(i64::from(value))),
            DataType::UInt64 => integers!(UInt64Type, |value: u64| i64::try_from(value).ok()),
            DataType::Utf8 => texts!(array.as_string::<i32>()),
            DataType::LargeUtf8 => texts!(array.as_string::<i64>()),
            DataType::Utf8View => texts!(array.as_string_view()),
            other => unreachable!("constants are told apart of numbers and text, not of {other}"),
        }
        Ok(())
    }
}

/// Which lengths and last bytes texts have: most of what is looked up in vain is told without hashing it. Those of texts
/// that are gone stay.
#[derive(Debug, Default)]
struct TextFilter {
    /// Bit n: one of n bytes; the last bit: one of more.
    lengths: u64,
    last: [u64; 4],
}

impl TextFilter {
    fn add(&mut self, text: &str) {
        self.lengths |= 1 << text.len().min(63);
        let last = text.as_bytes().last().copied().unwrap_or(0);
        self.last[usize::from(last >> 6)] |= 1 << (last & 63);
    }

    #[inline]
    fn may_hold(&self, text: &str) -> bool {
        let last = text.as_bytes().last().copied().unwrap_or(0);
        self.lengths >> text.len().min(63) & 1 != 0
            && self.last[usize::from(last >> 6)] >> (last & 63) & 1 != 0
    }
}
