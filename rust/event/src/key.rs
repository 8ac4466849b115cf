//! Partition keys: a dense id for every row, ids numbered in order of first appearance.
//!
//! NULL equals NULL, NaN equals NaN, and 0.0 equals -0.0. Arrival order within an id is kept by whoever uses the ids.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp, PrimitiveArray};
use arrow_buffer::ArrowNativeType;
use arrow_row::{RowConverter, SortField};
use arrow_schema::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use pulp::Arch;
use std::sync::Arc;

use crate::error::EventError;
use crate::string_keys::string_ids;
use crate::table::Table;

/// Key ids are looked up directly, not by hash, while the span of the integers is at most this, or so many times that of rows: a
/// look at memory that is far is cheaper than several, and as much memory as a table of hashes takes.
const DIRECT_SPAN_MAX: i128 = 1 << 20;
const DIRECT_SPAN_OF_ROWS: i128 = 2;

/// Keys that are looked for are told by two bits and a half each while there are at most so many for a row of the table.
const BITS_A_ROW: i128 = 8;

/// Evaluates an expression with the Arrow type of a type of integers; `None` of other types.
macro_rules! with_integers {
    ($data_type:expr, $type:ident => $value:expr) => {
        match $data_type {
            DataType::Int8 => with_integers!(@ $type, Int8Type, $value),
            DataType::Int16 => with_integers!(@ $type, Int16Type, $value),
            DataType::Int32 => with_integers!(@ $type, Int32Type, $value),
            DataType::Int64 => with_integers!(@ $type, Int64Type, $value),
            DataType::UInt8 => with_integers!(@ $type, UInt8Type, $value),
            DataType::UInt16 => with_integers!(@ $type, UInt16Type, $value),
            DataType::UInt32 => with_integers!(@ $type, UInt32Type, $value),
            DataType::UInt64 => with_integers!(@ $type, UInt64Type, $value),
            _ => None,
        }
    };
    (@ $type:ident, $arrow:ty, $value:expr) => {{
        type $type = $arrow;
        Some($value)
    }};
}

pub(crate) use with_integers;

/// A dense id for each row.
#[derive(Debug)]
pub struct KeyIds {
    /// `ids[row]`: the row's key, in arrival order.
    pub ids: Vec<u32>,
    /// `counts[id]`: rows of the key.
    pub counts: Vec<u32>,
}

impl KeyIds {
    /// The rows that are the first of their keys, in order of these. `begin`: what the first of all rows is called.
    ///
    /// Cost: O(rows) up to the first of the last key.
    pub(crate) fn firsts(&self, begin: u32) -> Vec<u32> {
        let mut firsts = Vec::with_capacity(self.counts.len());
        for (row, id) in (begin..).zip(&self.ids) {
            if firsts.len() == self.counts.len() {
                break;
            }
            // They are numbered in order of first appearance.
            if *id as usize == firsts.len() {
                firsts.push(row);
            }
        }
        firsts
    }

    pub(crate) fn counted(ids: Vec<u32>, keys: u32) -> Self {
        let mut counts = vec![0; keys as usize];
        ids.iter().for_each(|id| counts[*id as usize] += 1);
        Self { ids, counts }
    }
}

/// Numbers the distinct values of `columns`.
///
/// Cost: one pass. A single integer column of small span is looked up in an array; other integers and dictionary
/// codes by hash, short strings as integers too; everything else by the hash of its Arrow row format.
///
/// # Errors
/// [`EventError::ColumnType`] for a type that has no row format.
pub fn key_ids(table: &Table, columns: &[usize]) -> Result<KeyIds, EventError> {
    if let [column] = columns {
        let data_type = table.schema().field(*column).data_type();
        let ids = integer_ids(table, *column, data_type).or_else(|| string_ids(table, *column));
        if let Some(ids) = ids {
            return Ok(ids);
        }
        if let DataType::Dictionary(code, _) = data_type {
            return match **code {
                DataType::Int8 => dictionary_ids::<Int8Type>(table, *column),
                DataType::Int16 => dictionary_ids::<Int16Type>(table, *column),
                DataType::Int32 => dictionary_ids::<Int32Type>(table, *column),
                DataType::Int64 => dictionary_ids::<Int64Type>(table, *column),
                DataType::UInt8 => dictionary_ids::<UInt8Type>(table, *column),
                DataType::UInt16 => dictionary_ids::<UInt16Type>(table, *column),
                DataType::UInt32 => dictionary_ids::<UInt32Type>(table, *column),
                _ => dictionary_ids::<UInt64Type>(table, *column),
            };
        }
    }
    row_format_ids(table, columns)
}

/// Numbers of the keys of all rows, where each is a value less the least: of one column of integers without NULLs that span at
/// most so many values; and how many numbers there are. They do not go by appearance, and may be those of no row. `None`: the keys
/// are others.
///
/// Cost: O(rows), many at a time.
pub fn numbers_of_integers(table: &Table, columns: &[usize], span_max: usize) -> Option<(Vec<u32>, usize)> {
    fn numbers<T>(table: &Table, column: usize, span_max: usize) -> Option<(Vec<u32>, usize)>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i128>,
    {
        let arrays = || table.batches().iter().map(|batch| batch.column(column).as_primitive::<T>());
        let (low, high) = span::<T>(arrays())??;
        if high - low >= span_max as i128 {
            return None;
        }
        // Modulo the width of usize: right for every type, as the span is far smaller.
        let lowest = low as usize;
        let mut numbers = Vec::with_capacity(table.num_rows());
        for array in arrays() {
            numbers.extend(array.values().iter().map(|value| value.as_usize().wrapping_sub(lowest) as u32));
        }
        Some((numbers, (high - low) as usize + 1))
    }
    let [column] = columns else { return None };
    let data_type = table.schema().field(*column).data_type();
    with_integers!(data_type, T => numbers::<T>(table, *column, span_max)).flatten()
}

/// For each of some rows a number of its key: a key has a smaller one than those that appear later among all rows of the
/// table.
///
/// Cost: the table is read from its beginning, each time four times as far, until all of these keys have been met; at once
/// if there is a row for every eighth of its rows. Integers that span little are met in one pass, two bits and
/// a half for each.
///
/// # Errors
/// As [`key_ids`].
pub fn keys_by_appearance(table: &Table, columns: &[usize], rows: &[u32]) -> Result<Vec<u32>, EventError> {
    if rows.len() >= table.num_rows() / MANY_ROWS {
        let ids = key_ids(table, columns)?.ids;
        return Ok(rows.iter().map(|row| ids[*row as usize]).collect());
    }
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let wanted = table.narrowed(&sorted, columns, 1)?;
    let place = |row: &u32| sorted.partition_point(|known| known < row);
    if let [column] = columns {
        let data_type = table.schema().field(*column).data_type();
        let ids = with_integers!(data_type, T => integers_by_appearance::<T>(table, &wanted, *column));
        if let Some(ids) = ids.flatten() {
            return Ok(rows.iter().map(|row| ids[place(row)]).collect());
        }
    }
    let mut read = sorted.len().max(FIRST_READ);
    loop {
        let head = table.head(read);
        let read_rows = head.num_rows();
        let batches = head.batches().iter().chain(wanted.batches()).cloned().collect();
        let ids = key_ids(&Table::new(Arc::clone(head.schema()), batches)?, columns)?.ids;
        let (met, of_wanted) = ids.split_at(read_rows);
        let keys = met.iter().max().map_or(0, |last| last + 1);
        if read_rows == table.num_rows() || of_wanted.iter().all(|id| *id < keys) {
            return Ok(rows.iter().map(|row| of_wanted[place(row)]).collect());
        }
        read = read.saturating_mul(4);
    }
}

/// Ids of the keys of all wanted rows, by appearance in the table; `None`: of integers there are NULLs, or they span much.
fn integers_by_appearance<T>(table: &Table, wanted: &Table, column: usize) -> Option<Vec<u32>>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    let arrays = |table: &Table| {
        table
            .batches()
            .iter()
            .map(|batch| batch.column(column).as_primitive::<T>().clone())
            .collect::<Vec<_>>()
    };
    let (arrays, wanted) = (arrays(table), arrays(wanted));
    if arrays.iter().any(|array| array.null_count() > 0) {
        return None;
    }
    let (low, high) = span::<T>(wanted.iter())??;
    if high - low >= DIRECT_SPAN_MAX.max(BITS_A_ROW * table.num_rows() as i128) {
        return None;
    }
    // Modulo the width of usize: a value outside of the span is past its end.
    let (lowest, span) = (low as usize, (high - low) as usize + 1);
    let place = |value: &T::Native| value.as_usize().wrapping_sub(lowest);
    let places: Vec<usize> = wanted.iter().flat_map(|array| array.values()).map(place).collect();
    let mut wanted = vec![0_u64; span.div_ceil(64)];
    places.iter().for_each(|at| wanted[at / 64] |= 1 << (at % 64));
    // Of those that are wanted, how many are lower: the ids are kept by that.
    let mut lower = Vec::with_capacity(wanted.len());
    let mut left = 0;
    for word in &wanted {
        lower.push(left);
        left += word.count_ones();
    }
    let rank =
        |at: usize| (lower[at / 64] + (wanted[at / 64] & ((1 << (at % 64)) - 1)).count_ones()) as usize;
    let (mut open, mut ids, mut next) = (wanted.clone(), vec![0; left as usize], 0);
    'all: for array in &arrays {
        for at in array.values().iter().map(place) {
            let Some(word) = open.get_mut(at / 64).filter(|word| **word >> (at % 64) & 1 != 0) else {
                continue;
            };
            *word &= !(1 << (at % 64));
            ids[rank(at)] = next;
            next += 1;
            if next == left {
                break 'all;
            }
        }
    }
    Some(places.iter().map(|at| ids[rank(*at)]).collect())
}

/// With a row for so many of a table's there is nothing to be gained by not reading all.
const MANY_ROWS: usize = 8;

/// Rows that are read first to find keys.
const FIRST_READ: usize = 1 << 14;

/// Ids under construction: values to dense numbers.
pub(crate) struct Interner<K> {
    numbers: HashMap<K, u32, FixedState>,
    next: u32,
}

impl<K> Default for Interner<K> {
    fn default() -> Self {
        Self { numbers: HashMap::with_hasher(FixedState::with_seed(0)), next: 0 }
    }
}

impl<K: std::hash::Hash + Eq> Interner<K> {
    fn number(&mut self, key: K) -> u32 {
        let mut next = self.next;
        let number = self.number_of(key, &mut next);
        self.next = next;
        number
    }

    /// The number of a key, the next of those that it shares with other kinds of keys if it is new.
    #[inline]
    pub(crate) fn number_of(&mut self, key: K, next: &mut u32) -> u32 {
        *self.numbers.entry(key).or_insert_with(|| {
            *next += 1;
            *next - 1
        })
    }
}

fn integer_ids(table: &Table, column: usize, data_type: &DataType) -> Option<KeyIds> {
    with_integers!(data_type, T => primitive_ids::<T>(table, column))
}

fn primitive_ids<T>(table: &Table, column: usize) -> KeyIds
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128> + Eq + std::hash::Hash,
{
    let arrays = || table.batches().iter().map(|batch| batch.column(column).as_primitive::<T>());
    let mut ids = Vec::with_capacity(table.num_rows());
    if let Some(Some((low, high))) = span::<T>(arrays())
        && high - low < DIRECT_SPAN_MAX.max(DIRECT_SPAN_OF_ROWS * table.num_rows() as i128)
    {
        // No NULLs and a small span: `numbers[value - low]`.
        let span = usize::try_from(high - low + 1).expect("a span that is not far longer than rows");
        let mut numbers = vec![u32::MAX; span];
        // Of memory that nobody writes to there is none.
        let mut counts: Vec<u32> = Vec::with_capacity(span.min(table.num_rows()));
        let lowest = low as usize;
        for array in arrays() {
            ids.extend(array.values().iter().map(|value| {
                // Modulo the width of usize: right for every type, as the span is far smaller.
                let slot = &mut numbers[value.as_usize().wrapping_sub(lowest)];
                if *slot == u32::MAX {
                    *slot = counts.len() as u32;
                    counts.push(0);
                }
                counts[*slot as usize] += 1;
                *slot
            }));
        }
        return KeyIds { ids, counts };
    }
    let mut interner = Interner::<Option<T::Native>>::default();
    let mut last: Option<(Option<T::Native>, u32)> = None;
    for array in arrays() {
        for value in array {
            let id = match last {
                Some((key, id)) if key == value => id,
                _ => interner.number(value),
            };
            last = Some((value, id));
            ids.push(id);
        }
    }
    KeyIds::counted(ids, interner.next)
}

/// Least and greatest value of all arrays, if there is any; `None` if there are NULLs or an array has no rows.
fn span<'a, T>(mut arrays: impl Iterator<Item = &'a PrimitiveArray<T>>) -> Option<Option<(i128, i128)>>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    arrays.try_fold(None, |span: Option<(i128, i128)>, array| {
        let (min, max) = min_max(array)?;
        Some(Some(span.map_or((min, max), |(low, high)| (low.min(min), high.max(max)))))
    })
}

/// Least and greatest value; `None` if there are NULLs or no rows.
fn min_max<T>(array: &PrimitiveArray<T>) -> Option<(i128, i128)>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    if array.null_count() > 0 {
        return None;
    }
    let (first, rest) = array.values().split_first()?;
    let (min, max) = Arch::new().dispatch(
        #[inline(always)]
        || {
            rest.iter().fold(
                (*first, *first),
                #[inline(always)]
                |(min, max), value| {
                    (if value.is_lt(min) { *value } else { min }, if value.is_gt(max) { *value } else { max })
                },
            )
        },
    );
    Some((min.into(), max.into()))
}

fn dictionary_ids<C: ArrowDictionaryKeyType>(table: &Table, column: usize) -> Result<KeyIds, EventError> {
    let mut ids = Vec::with_capacity(table.num_rows());
    let mut interner = Interner::<Option<Box<[u8]>>>::default();
    let mut converter = None;
    for batch in table.batches() {
        let array = batch.column(column).as_dictionary::<C>();
        let values = comparable(array.values())?;
        let converter = match &mut converter {
            Some(converter) => converter,
            None => converter.insert(row_converter(table, &[column], std::slice::from_ref(&values))?),
        };
        let rows = converter.convert_columns(std::slice::from_ref(&values))?;
        // Dictionaries change from batch to batch, so codes are translated anew for each; a code gets its number
        // when it is first met, so that numbers go by first appearance.
        let mut numbers = vec![u32::MAX; values.len()];
        let mut number = |code: Option<usize>| match code {
            None => interner.number(None),
            Some(code) => {
                if numbers[code] == u32::MAX {
                    numbers[code] = interner.number(Some(rows.row(code).as_ref().into()));
                }
                numbers[code]
            }
        };
        if array.keys().null_count() == 0 && values.null_count() == 0 {
            ids.extend(array.keys().values().iter().map(|code| number(Some(code.as_usize()))));
        } else {
            let valid = |code: C::Native| Some(code.as_usize()).filter(|code| values.is_valid(*code));
            ids.extend(array.keys().iter().map(|code| number(code.and_then(valid))));
        }
    }
    Ok(KeyIds::counted(ids, interner.next))
}

fn row_format_ids(table: &Table, columns: &[usize]) -> Result<KeyIds, EventError> {
    let mut ids = Vec::with_capacity(table.num_rows());
    let mut interner = Interner::<Box<[u8]>>::default();
    let mut converter = None;
    for batch in table.batches() {
        // In pieces, so that the row format of the whole table never stands in memory at once.
        for start in (0..batch.num_rows()).step_by(CHUNK) {
            let rows = CHUNK.min(batch.num_rows() - start);
            let arrays = columns
                .iter()
                .map(|column| comparable(&batch.column(*column).slice(start, rows)))
                .collect::<Result<Vec<_>, _>>()?;
            let converter = match &mut converter {
                Some(converter) => converter,
                None => converter.insert(row_converter(table, columns, &arrays)?),
            };
            for row in &converter.convert_columns(&arrays)? {
                let bytes: &[u8] = row.as_ref();
                let known = interner.numbers.get(bytes).copied();
                ids.push(known.unwrap_or_else(|| interner.number(bytes.into())));
            }
        }
    }
    Ok(KeyIds::counted(ids, interner.next))
}

/// Rows that are converted to the row format at a time.
const CHUNK: usize = 1 << 15;

fn row_converter(table: &Table, columns: &[usize], arrays: &[ArrayRef]) -> Result<RowConverter, EventError> {
    let fields: Vec<SortField> =
        arrays.iter().map(|array| SortField::new(array.data_type().clone())).collect();
    for (column, field) in columns.iter().zip(&fields) {
        if !RowConverter::supports_fields(std::slice::from_ref(field)) {
            let field = table.schema().field(*column);
            return Err(EventError::ColumnType {
                column: field.name().clone(),
                found: field.data_type().to_string(),
                expected: "rows cannot be partitioned or ordered by it; cast it to a plain type first".into(),
            });
        }
    }
    Ok(RowConverter::new(fields)?)
}

/// The same values without their encoding, with one NaN and one zero, so that equal keys have equal bytes.
///
/// # Errors
/// What Arrow refuses.
pub fn comparable(array: &ArrayRef) -> Result<ArrayRef, EventError> {
    // -0.0 + 0.0 is 0.0; a NaN of any sign and payload becomes the one NaN.
    Ok(match array.data_type() {
        DataType::Float64 => Arc::new(
            array
                .as_primitive::<Float64Type>()
                .unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value + 0.0 }),
        ),
        DataType::Float32 => Arc::new(
            array
                .as_primitive::<Float32Type>()
                .unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value + 0.0 }),
        ),
        DataType::Float16 | DataType::Dictionary(..) | DataType::RunEndEncoded(..) => {
            comparable(&arrow_cast::cast(array, &comparable_type(array.data_type()))?)?
        }
        _ => Arc::clone(array),
    })
}

/// The type that [`comparable`] gives.
pub(crate) fn comparable_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Float16 => DataType::Float32,
        DataType::Dictionary(_, values) => comparable_type(values),
        DataType::RunEndEncoded(_, values) => comparable_type(values.data_type()),
        plain => plain.clone(),
    }
}
