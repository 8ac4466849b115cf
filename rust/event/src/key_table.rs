//! Keys that stay: a number for each key that has been met, whatever batch it came in, and back.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field, Schema};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::error::EventError;
use crate::integer_keys::IntegerKeys;
use crate::key::{comparable, comparable_type, key_ids};
use crate::table::Table;

const HASHER: FixedState = FixedState::with_seed(0);

/// Numbers of keys, from 0 on, in the order in which they were met.
///
/// - Time: O(1) a row of one column of integers, see [`IntegerKeys`]; of others the rows of a batch go by [`key_ids`], and each
///   distinct key among them is encoded and looked up once.
/// - Space: that of [`IntegerKeys`], or the bytes of each key, and some 28 more.
#[derive(Clone, Debug)]
pub struct KeyTable {
    types: Vec<DataType>,
    keys: Keys,
}

#[derive(Clone, Debug)]
enum Keys {
    Integers(IntegerKeys),
    Encoded(EncodedKeys),
}

/// Keys in Arrow's row format.
#[derive(Clone, Debug)]
struct EncodedKeys {
    converter: Arc<RowConverter>,
    keys: Vec<Box<[u8]>>,
    by_key: HashTable<u32>,
    bytes: usize,
}

impl KeyTable {
    /// Keys of columns of these types.
    ///
    /// # Errors
    /// [`EventError::ColumnType`] for a type that is no key; `name` gives the name of a column.
    pub fn new(types: Vec<DataType>, name: &dyn Fn(usize) -> String) -> Result<Self, EventError> {
        if let [only] = types.as_slice()
            && let Some(keys) = IntegerKeys::new(only)
        {
            return Ok(Self { types, keys: Keys::Integers(keys) });
        }
        let fields: Vec<SortField> =
            types.iter().map(|data_type| SortField::new(comparable_type(data_type))).collect();
        for (column, field) in fields.iter().enumerate() {
            if !RowConverter::supports_fields(std::slice::from_ref(field)) {
                return Err(EventError::ColumnType {
                    column: name(column),
                    found: types[column].to_string(),
                    expected: "rows cannot be partitioned by it; cast it to a plain type first".into(),
                });
            }
        }
        let converter = Arc::new(RowConverter::new(fields)?);
        let keys = EncodedKeys { converter, keys: vec![], by_key: HashTable::new(), bytes: 0 };
        Ok(Self { types, keys: Keys::Encoded(keys) })
    }

    /// The numbers of the keys of rows; of no columns all rows have one key.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn numbers(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>, EventError> {
        match &mut self.keys {
            Keys::Integers(keys) => Ok(keys.numbers(&columns[0])),
            Keys::Encoded(keys) => keys.numbers(columns, rows),
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        match &self.keys {
            Keys::Integers(keys) => keys.len(),
            Keys::Encoded(keys) => keys.keys.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of keys, column by column, in the types of the columns.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn values(&self, numbers: &[u32]) -> Result<Vec<ArrayRef>, EventError> {
        match &self.keys {
            Keys::Integers(keys) => Ok(vec![keys.values(numbers)]),
            Keys::Encoded(keys) => keys.values(numbers, &self.types),
        }
    }

    /// Forgets keys. `kept[number]`: whether the key stays. Those that stay are numbered anew, in the order of
    /// the old numbers.
    pub fn retain(&mut self, kept: &[bool]) {
        match &mut self.keys {
            Keys::Integers(keys) => keys.retain(kept),
            Keys::Encoded(keys) => keys.retain(kept),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.keys {
            Keys::Integers(keys) => keys.bytes(),
            Keys::Encoded(keys) => {
                keys.bytes + keys.keys.capacity() * size_of::<Box<[u8]>>() + keys.by_key.capacity() * 5
            }
        }
    }
}

impl EncodedKeys {
    fn numbers(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>, EventError> {
        if columns.is_empty() {
            if rows > 0 && self.keys.is_empty() {
                self.number(&[]);
            }
            return Ok(vec![0; rows]);
        }
        let fields: Vec<Field> = columns
            .iter()
            .enumerate()
            .map(|(place, column)| Field::new(place.to_string(), column.data_type().clone(), true))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec())?;
        let table = Table::new(batch.schema(), vec![batch])?;
        let places: Vec<usize> = (0..columns.len()).collect();
        let ids = key_ids(&table, &places)?;
        let mut firsts = vec![];
        for (row, id) in ids.ids.iter().enumerate() {
            if *id as usize == firsts.len() {
                firsts.push(row as u32);
            }
        }
        let firsts = arrow_array::UInt32Array::from(firsts);
        let of_firsts: Vec<ArrayRef> = columns
            .iter()
            .map(|column| comparable(&arrow_select::take::take(column, &firsts, None)?))
            .collect::<Result<_, EventError>>()?;
        let encoded = self.converter.convert_columns(&of_firsts)?;
        let numbers: Vec<u32> = encoded.iter().map(|row| self.number(row.as_ref())).collect();
        Ok(ids.ids.iter().map(|id| numbers[*id as usize]).collect())
    }

    /// The number of a key in Arrow's row format, new ones the next.
    fn number(&mut self, key: &[u8]) -> u32 {
        let hash = HASHER.hash_one(key);
        let keys = &self.keys;
        if let Some(known) = self.by_key.find(hash, |known| *keys[*known as usize] == *key) {
            return *known;
        }
        let number = self.keys.len() as u32;
        self.keys.push(key.into());
        self.bytes += key.len();
        let keys = &self.keys;
        self.by_key.insert_unique(hash, number, |known| HASHER.hash_one(&*keys[*known as usize]));
        number
    }

    fn values(&self, numbers: &[u32], types: &[DataType]) -> Result<Vec<ArrayRef>, EventError> {
        if types.is_empty() {
            return Ok(vec![]);
        }
        let parser = self.converter.parser();
        let rows = numbers.iter().map(|number| parser.parse(&self.keys[*number as usize]));
        let arrays = self.converter.convert_rows(rows)?;
        let in_type = |(array, data_type): (ArrayRef, &DataType)| {
            Ok(if array.data_type() == data_type { array } else { arrow_cast::cast(&array, data_type)? })
        };
        arrays.into_iter().zip(types).map(in_type).collect()
    }

    fn retain(&mut self, kept: &[bool]) {
        let old = std::mem::take(&mut self.keys);
        self.by_key.clear();
        self.bytes = 0;
        for (key, kept) in old.into_iter().zip(kept) {
            if *kept {
                self.number(&key);
            }
        }
        self.keys.shrink_to_fit();
        let keys = &self.keys;
        self.by_key.shrink_to_fit(|known| HASHER.hash_one(&*keys[*known as usize]));
    }
}
