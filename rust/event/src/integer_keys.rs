//! Keys that are integers of one type: their numbers are looked up by value, without bytes in between.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp, PrimitiveArray};
use arrow_schema::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::key::with_integers;

/// Numbers stand in an array by value while that has at most so many places for each key: it takes less memory than a table of
/// hashes, and one look.
const PLACES_A_KEY: u64 = 4;

/// No key has this number.
const NONE: u32 = u32::MAX;

/// Numbers of integers and NULL, from 0 on, in the order in which they were met.
///
/// - Time: O(1) a row, amortised.
/// - Space: some 24 bytes a key, up to 56 where values lie far apart.
#[derive(Clone, Debug)]
pub(crate) struct IntegerKeys {
    data_type: DataType,
    /// By number; of NULL any.
    values: Vec<Ordered>,
    null: Option<u32>,
    lookup: Lookup,
    /// The least and the greatest value, if there is one.
    span: Option<(Ordered, Ordered)>,
}

/// How far an integer is from the least of its type.
type Ordered = u64;

#[derive(Clone, Debug)]
enum Lookup {
    /// Numbers of the values from `lowest` on.
    Direct {
        lowest: Ordered,
        numbers: Vec<u32>,
    },
    Hashed(HashMap<Ordered, u32, FixedState>),
}

impl Lookup {
    #[inline]
    fn find(&self, value: Ordered) -> Option<u32> {
        match self {
            Self::Direct { lowest, numbers } => {
                let place = value.wrapping_sub(*lowest);
                numbers.get(usize::try_from(place).ok()?).copied().filter(|number| *number != NONE)
            }
            Self::Hashed(numbers) => numbers.get(&value).copied(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Direct { numbers, .. } => numbers.capacity() * 4,
            Self::Hashed(numbers) => numbers.allocation_size(),
        }
    }
}

fn ordered<T: ArrowPrimitiveType>(value: T::Native) -> Ordered
where
    T::Native: Into<i128>,
{
    (value.into() - T::Native::MIN_TOTAL_ORDER.into()) as u64
}

impl IntegerKeys {
    /// None yet; `None`: the type is none of integers.
    pub(crate) fn new(data_type: &DataType) -> Option<Self> {
        data_type.is_integer().then(|| Self {
            data_type: data_type.clone(),
            values: vec![],
            null: None,
            lookup: Lookup::Hashed(HashMap::with_hasher(FixedState::with_seed(0))),
            span: None,
        })
    }

    /// The numbers of the values of an array of the type.
    pub(crate) fn numbers(&mut self, array: &ArrayRef) -> Vec<u32> {
        with_integers!(array.data_type(), T => self.numbers_of::<T>(array.as_primitive::<T>()))
            .expect("keys of integers")
    }

    fn numbers_of<T: ArrowPrimitiveType>(&mut self, array: &PrimitiveArray<T>) -> Vec<u32>
    where
        T::Native: Into<i128>,
    {
        if array.null_count() > 0 {
            let number = |value: Option<T::Native>| match value {
                Some(value) => self.number(ordered::<T>(value)),
                None => self.null(),
            };
            return array.iter().map(number).collect();
        }
        array.values().iter().map(|value| self.number(ordered::<T>(*value))).collect()
    }

    #[inline]
    fn number(&mut self, value: Ordered) -> u32 {
        match self.lookup.find(value) {
            Some(known) => known,
            None => self.add(value),
        }
    }

    fn null(&mut self) -> u32 {
        let next = self.values.len() as u32;
        let number = *self.null.get_or_insert(next);
        if number == next {
            self.values.push(0);
        }
        number
    }

    /// Gives a value that is new the next number.
    #[cold]
    fn add(&mut self, value: Ordered) -> u32 {
        let number = self.values.len() as u32;
        let (least, greatest) = self.span.unwrap_or((value, value));
        let (least, greatest) = (least.min(value), greatest.max(value));
        self.span = Some((least, greatest));
        self.values.push(value);
        let places_max = self.values.len() as u64 * PLACES_A_KEY;
        let are_near = greatest - least < places_max;
        match &mut self.lookup {
            Lookup::Direct { lowest, numbers } if are_near => {
                if value < *lowest {
                    // As many places more as there are, so that those behind move seldom.
                    let from =
                        least.saturating_sub(numbers.len() as u64).max(greatest.saturating_sub(places_max));
                    let more = (*lowest - from) as usize;
                    numbers.splice(0..0, std::iter::repeat_n(NONE, more));
                    *lowest = from;
                }
                let place = (value - *lowest) as usize;
                if place >= numbers.len() {
                    numbers.resize(place + 1, NONE);
                }
                numbers[place] = number;
            }
            // It is looked at seldom enough whether they are near by now.
            Lookup::Hashed(numbers) if !are_near || !self.values.len().is_power_of_two() => {
                numbers.insert(value, number);
            }
            _ => self.look_up_anew(),
        }
        number
    }

    /// Makes what numbers are looked up in anew.
    fn look_up_anew(&mut self) {
        let own = self.values.iter().zip(0..).filter(|(_, number)| Some(*number) != self.null);
        self.lookup = match self.span {
            Some((least, greatest)) if greatest - least < self.values.len() as u64 * PLACES_A_KEY => {
                let mut numbers = vec![NONE; (greatest - least) as usize + 1];
                own.for_each(|(value, number)| numbers[(value - least) as usize] = number);
                Lookup::Direct { lowest: least, numbers }
            }
            _ => {
                let mut numbers = HashMap::with_hasher(FixedState::with_seed(0));
                numbers.extend(own.map(|(value, number)| (*value, number)));
                Lookup::Hashed(numbers)
            }
        };
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The values of keys.
    pub(crate) fn values(&self, numbers: &[u32]) -> ArrayRef {
        with_integers!(&self.data_type, T => Arc::new(self.values_of::<T>(numbers)) as ArrayRef)
            .expect("keys of integers")
    }

    fn values_of<T: ArrowPrimitiveType>(&self, numbers: &[u32]) -> PrimitiveArray<T>
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        let least: i128 = T::Native::MIN_TOTAL_ORDER.into();
        let value = |number: &u32| {
            let value = i128::from(self.values[*number as usize]) + least;
            T::Native::try_from(value).unwrap_or_else(|_| unreachable!("it was one of the type"))
        };
        match self.null {
            None => PrimitiveArray::from_iter_values(numbers.iter().map(value)),
            Some(null) => numbers.iter().map(|number| (*number != null).then(|| value(number))).collect(),
        }
    }

    /// See [`KeyTable::retain`](crate::KeyTable::retain).
    pub(crate) fn retain(&mut self, kept: &[bool]) {
        let is_kept = |number: usize| kept.get(number).is_some_and(|kept| *kept);
        let before = |number: u32| kept[..number as usize].iter().filter(|kept| **kept).count() as u32;
        let null = self.null.filter(|null| is_kept(*null as usize)).map(before);
        let mut number = 0..;
        self.values.retain(|_| number.next().is_some_and(is_kept));
        self.values.shrink_to_fit();
        self.null = null;
        let own = self.values.iter().zip(0..).filter(|(_, number)| Some(*number) != null);
        self.span =
            own.map(|(value, _)| (*value, *value)).reduce(|span, own| (span.0.min(own.0), span.1.max(own.1)));
        self.look_up_anew();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Ordered>() + self.lookup.bytes()
    }
}
