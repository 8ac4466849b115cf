//! What is known of rows without reading them: of each column how many values are NULL, the least and the greatest, and a
//! filter that says which values are not among them.
//!
//! - Order: rows of one batch, or of one page of a segment.
//! - Time: O(rows · columns) to make; a question to one column costs one comparison, or one look at its filter.
//! - Space: the filter has 10 bits a distinct value and 32 bytes at least, so that it errs once in 100; none where a column
//!   has so many that it would be larger than 16 KiB.
//! - Source: the filter is the split block Bloom filter of the Parquet format (Putze, Sanders, Singler: *Cache-, Hash- and
//!   Space-Efficient Bloom Filters*, 2009).

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, downcast_primitive_array};
use arrow_buffer::ArrowNativeType;
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use cepheid_eval::{SavedValue, Value, read_value};
use parquet::bloom_filter::Sbbf;
use serde::{Deserialize, Serialize};

use crate::body::{Hash, hash};
use crate::error::StoreError;
use crate::filter_blocks::{filter_of, hash_of};

/// Longest text whose greatest is kept, in bytes; of longer ones the least is cut, and the greatest not known.
const TEXT_BYTES_MAX: usize = 64;

/// Largest filter of one column.
const FILTER_BYTES_MAX: usize = 16 << 10;

/// Share of values that a filter does not know and does not turn away.
const FALSE_POSITIVES: f64 = 0.01;

/// What is known of rows. Columns are those of the schema, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether the rows have event times, and come in their order.
    pub in_order: bool,
    /// One a column.
    pub columns: Vec<ColumnSummary>,
}

/// What is known of one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// How many values are NULL.
    pub nulls: u64,
    /// No value is less; `None`: not known, or there is no value.
    pub min: Option<SavedValue>,
    /// No value is greater.
    pub max: Option<SavedValue>,
    /// What tells which values are not among them.
    pub filter: Filter,
}

/// A filter of one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Filter {
    /// There is none.
    #[default]
    None,
    /// Its blocks.
    Here(Vec<u8>),
    /// It is kept apart, to be read only where it is asked; its hash.
    Apart(Hash),
}

/// Filters that are kept apart: the column of each, and its blocks.
pub type Filters = Vec<(usize, Vec<u8>)>;

/// Longest filter that stands in the summary itself.
const FILTER_BYTES_HERE: usize = 64;

impl Summary {
    /// What is known of rows. `times`: their event times, if they have some.
    pub fn of(rows: &RecordBatch, times: Option<&[i64]>) -> (Self, Filters) {
        let mut filters = vec![];
        let mut columns = vec![];
        for (place, column) in rows.columns().iter().enumerate() {
            let (mut summary, filter) = ColumnSummary::of(column);
            summary.filter = match filter.len() {
                0 => Filter::None,
                1..=FILTER_BYTES_HERE => Filter::Here(filter),
                _ => {
                    let hash = hash(&filter);
                    filters.push((place, filter));
                    Filter::Apart(hash)
                }
            };
            columns.push(summary);
        }
        (Self { in_order: times.is_some_and(<[i64]>::is_sorted), columns }, filters)
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("plain data can be written to memory")
    }

    /// Memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let of = |column: &ColumnSummary| {
            let text = |value: &Option<SavedValue>| match value {
                Some(SavedValue::String(text)) => text.len(),
                _ => 0,
            };
            let filter = if let Filter::Here(blocks) = &column.filter { blocks.len() } else { 0 };
            size_of::<ColumnSummary>() + text(&column.min) + text(&column.max) + filter
        };
        size_of::<Self>() + self.columns.iter().map(of).sum::<usize>()
    }

    /// Of bytes that have been checked against their hash.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn decode(bytes: &[u8], schema: &SchemaRef) -> Result<Self, StoreError> {
        let summary: Self = postcard::from_bytes(bytes)
            .map_err(|error| StoreError::corrupt(None, format!("a summary: {error}")))?;
        if summary.columns.len() == schema.fields().len() {
            Ok(summary)
        } else {
            Err(StoreError::corrupt(None, "a summary has other columns than its rows"))
        }
    }
}

impl ColumnSummary {
    /// What is known of a column, and its filter.
    fn of(column: &ArrayRef) -> (Self, Vec<u8>) {
        let nothing = |column: &ArrayRef| {
            (Self { nulls: column.logical_null_count() as u64, ..Self::default() }, vec![])
        };
        let column = match column.data_type() {
            // Codes say nothing of the order of values, and some values of a dictionary may stand in no row.
            DataType::Dictionary(_, values) => match cast(column, values) {
                Ok(values) => values,
                Err(_) => return nothing(column),
            },
            DataType::Utf8View => match cast(column, &DataType::Utf8) {
                Ok(values) => values,
                Err(_) => return nothing(column),
            },
            _ => column.clone(),
        };
        let nulls = column.logical_null_count() as u64;
        if is_text(column.data_type()) {
            return Self::of_texts(&column, nulls);
        }
        let (min, max) = extremes(&column);
        let saved = |row: Option<usize>| row.and_then(|row| read_value(&column, row).save());
        (Self { nulls, min: saved(min), max: saved(max), filter: Filter::None }, filter_of_integers(&column))
    }

    /// What a column of texts has.
    fn of_texts(column: &ArrayRef, nulls: u64) -> (Self, Vec<u8>) {
        let (extremes, filter) = match column.data_type() {
            DataType::Utf8 => texts(column.as_string::<i32>().iter().flatten(), column.len()),
            _ => texts(column.as_string::<i64>().iter().flatten(), column.len()),
        };
        let (least, greatest) = extremes.unzip();
        let known = Self {
            nulls,
            min: least.map(|text| SavedValue::String(cut(text).into())),
            max: greatest
                .filter(|text| text.len() <= TEXT_BYTES_MAX)
                .map(|text| SavedValue::String(text.into())),
            filter: Filter::None,
        };
        (known, filter)
    }

    /// Whether one of some values may be among the column's. `apart` reads a filter by its hash.
    pub(crate) fn may_hold(
        &self,
        keys: &[FilterKey],
        apart: impl FnOnce(&Hash) -> Result<Vec<u8>, StoreError>,
    ) -> Result<bool, StoreError> {
        let read;
        let blocks = match &self.filter {
            Filter::None => return Ok(true),
            Filter::Here(blocks) => blocks,
            Filter::Apart(hash) => {
                read = apart(hash)?;
                &read
            }
        };
        let filter = Sbbf::new(blocks);
        Ok(keys.iter().any(|key| match key {
            FilterKey::Integer(value) => filter.check(value),
            FilterKey::Text(value) => filter.check(value.as_str()),
        }))
    }

    /// The least as a value.
    pub(crate) fn least(&self) -> Option<Value> {
        self.min.clone().and_then(Value::load)
    }

    /// The greatest as a value.
    pub(crate) fn greatest(&self) -> Option<Value> {
        self.max.clone().and_then(Value::load)
    }
}

/// A value as filters know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilterKey {
    Integer(i64),
    Text(String),
}

/// Whether columns of a type have filters, and what a value is in them.
pub(crate) fn is_filtered(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_filtered(values),
        _ => data_type.is_signed_integer() || is_text(data_type),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The rows of the least value and of the greatest.
fn extremes(column: &ArrayRef) -> (Option<usize>, Option<usize>) {
    if column.is_empty() || column.null_count() == column.len() {
        return (None, None);
    }
    match column.data_type() {
        // NaN is the greatest here, whatever its sign: Arrow's order has those with a sign below all numbers.
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let Ok(floats) = cast(column, &DataType::Float64) else { return (None, None) };
            let floats = floats.as_primitive::<Float64Type>();
            let key = |row: usize| {
                (floats.value(row).is_nan(), if floats.value(row).is_nan() { 0.0 } else { floats.value(row) })
            };
            return extremes_by(floats.len(), |row| floats.is_valid(row), key);
        }
        // Their order is not that of their values' numbers.
        DataType::Interval(_) => return (None, None),
        DataType::Boolean => {
            let column = column.as_boolean();
            return extremes_by(column.len(), |row| column.is_valid(row), |row| column.value(row));
        }
        _ => {}
    }
    let column: &dyn Array = column.as_ref();
    downcast_primitive_array!(
        column => extremes_of_numbers(column),
        _ => (None, None)
    )
}

fn extremes_of_numbers<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>) -> (Option<usize>, Option<usize>)
where
    T::Native: ArrowNativeType,
{
    use arrow_array::ArrowNativeTypeOp;
    let mut extremes: Option<(usize, usize)> = None;
    let values = column.values();
    for row in 0..column.len() {
        if column.is_null(row) {
            continue;
        }
        let (least, greatest) = extremes.get_or_insert((row, row));
        // Floats by their total order: NaN is the greatest.
        if values[row].is_lt(values[*least]) {
            *least = row;
        }
        if values[row].is_gt(values[*greatest]) {
            *greatest = row;
        }
    }
    (extremes.map(|rows| rows.0), extremes.map(|rows| rows.1))
}

fn extremes_by<V: PartialOrd>(
    rows: usize,
    is_valid: impl Fn(usize) -> bool,
    value: impl Fn(usize) -> V,
) -> (Option<usize>, Option<usize>) {
    let mut extremes: Option<(usize, usize)> = None;
    for row in (0..rows).filter(|row| is_valid(*row)) {
        let (least, greatest) = extremes.get_or_insert((row, row));
        if value(row) < value(*least) {
            *least = row;
        }
        if value(row) > value(*greatest) {
            *greatest = row;
        }
    }
    (extremes.map(|rows| rows.0), extremes.map(|rows| rows.1))
}

/// A long text cut to a beginning of it, which is no greater.
fn cut(text: &str) -> &str {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// Texts that came last are kept in so many places, so that what is repeated is looked at once.
const RECENT_TEXTS: usize = 256;

/// A text as numbers: its first eight bytes; the seven behind them, and how many bytes it has, or 255 if these are not all.
/// They are in the order of texts, and short texts have each their own.
#[inline]
fn as_numbers(bytes: &[u8]) -> (u64, u64) {
    let length = bytes.len();
    let eight = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let four = |at: usize| u64::from(u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")));
    // Two loads that overlap take any length; what they have in common is the same in both.
    match length {
        0 => (0, 0),
        1..4 => {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            (number << (64 - 8 * length), length as u64)
        }
        4..8 => (four(0) << 32 | four(length - 4) << (64 - 8 * length), length as u64),
        8 => (eight(0), 8),
        9..16 => (eight(0), eight(length - 8) << (128 - 8 * length) | length as u64),
        _ => (eight(0), eight(8) | 255),
    }
}

/// A text, by its numbers first.
#[derive(Clone, Copy)]
struct Numbered<'a> {
    first: u64,
    second: u64,
    text: &'a str,
}

impl<'a> Numbered<'a> {
    #[inline]
    fn new(text: &'a str) -> Self {
        let (first, second) = as_numbers(text.as_bytes());
        Self { first, second, text }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.first.cmp(&other.first).then(self.second.cmp(&other.second));
        numbers
            .then_with(|| if self.second as u8 == 255 { self.text.cmp(other.text) } else { Ordering::Equal })
    }
}

/// The least and the greatest of texts, and their filter.
fn texts<'a>(all: impl Iterator<Item = &'a str>, rows: usize) -> (Option<(&'a str, &'a str)>, Vec<u8>) {
    let mut extremes: Option<[Numbered<'_>; 2]> = None;
    let mut recent: [Option<Numbered<'_>>; RECENT_TEXTS] = [None; RECENT_TEXTS];
    let mut hashes = Vec::with_capacity(rows);
    for text in all {
        let text = Numbered::new(text);
        let mixed = (text.first ^ text.second.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let last = &mut recent[(mixed >> (u64::BITS - RECENT_TEXTS.ilog2())) as usize];
        if last.is_some_and(|last| last.cmp(&text).is_eq()) {
            continue;
        }
        *last = Some(text);
        hashes.push(hash_of(text.text.as_bytes()));
        let [least, greatest] = extremes.get_or_insert([text; 2]);
        if text.cmp(least).is_lt() {
            *least = text;
        }
        if text.cmp(greatest).is_gt() {
            *greatest = text;
        }
    }
    let extremes = extremes.map(|[least, greatest]| (least.text, greatest.text));
    (extremes, if extremes.is_some() { blocks(&hashes) } else { vec![] })
}

fn filter_of_integers(column: &ArrayRef) -> Vec<u8> {
    if !is_filtered(column.data_type()) || column.null_count() == column.len() {
        return vec![];
    }
    let Ok(integers) = cast(column, &DataType::Int64) else { return vec![] };
    let integers = integers.as_primitive::<Int64Type>();
    let hashes: Vec<u64> = integers.iter().flatten().map(|value| hash_of(&value.to_le_bytes())).collect();
    blocks(&hashes)
}

/// The blocks of a filter of these values, as few as their number, once they are in, asks for.
fn blocks(hashes: &[u64]) -> Vec<u8> {
    let Some(mut filter) = filter_of(hashes, FALSE_POSITIVES) else { return vec![] };
    filter.fold_to_target_fpp(FALSE_POSITIVES);
    if filter.num_blocks() * 32 > FILTER_BYTES_MAX {
        return vec![];
    }
    let mut bytes = vec![];
    match filter.write_bitset(&mut bytes) {
        Ok(()) => bytes,
        Err(_) => vec![],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use cepheid_testkit::SplitMix64;

    use super::*;

    #[test]
    fn texts_by_their_numbers_are_in_their_order() {
        let mut random = SplitMix64::new(7);
        // Of few characters, that with the least code among them, so that beginnings meet.
        let mut text = |longest: usize| -> String {
            (0..random.below(longest + 1)).map(|_| random.choose(&['\0', 'a', 'b', 'é'])).collect()
        };
        let mut orders = [0; 3];
        for round in 0..20_000 {
            let (begin, longest) =
                (text(if round % 2 == 0 { 0 } else { 17 }), if round % 3 == 0 { 20 } else { 3 });
            let all: Vec<String> = (0..3).map(|_| format!("{begin}{}", text(longest))).collect();
            for one in &all {
                for other in &all {
                    let order = one.cmp(other);
                    assert_eq!(Numbered::new(one).cmp(&Numbered::new(other)), order, "{one:?} {other:?}");
                    orders[(order as i8 + 1) as usize] += 1;
                }
            }
        }
        assert!(orders.iter().all(|count| *count > 10_000), "{orders:?}");
    }

    #[test]
    fn of_texts_the_least_and_the_greatest_are_known_and_all_are_in_the_filter() {
        let mut lengths = HashSet::new();
        for width in 1..30 {
            let all: Vec<String> = (0..600)
                .map(|place| format!("{:0width$}", (place * 7919) % 1009 % 10_usize.pow(width.min(4) as u32)))
                .collect();
            let (extremes, filter) = texts(all.iter().map(String::as_str), all.len());
            let (least, greatest) = extremes.unwrap();
            assert_eq!(
                (least, greatest),
                (all.iter().min().unwrap().as_str(), all.iter().max().unwrap().as_str())
            );
            let filter = Sbbf::new(&filter);
            assert!(all.iter().all(|text| filter.check(text.as_str())));
            lengths.extend(all.iter().map(String::len));
        }
        assert_eq!(lengths.len(), 29);
        assert_eq!(texts([].into_iter(), 0), (None, vec![]));
    }
}
