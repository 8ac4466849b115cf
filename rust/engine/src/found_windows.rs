//! What is known of the windows of a table, piece by piece, and how it becomes a table of its own.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, RecordBatchOptions, UInt32Array,
    downcast_primitive, new_empty_array,
};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_schema::{ArrowError, DataType};
use cepheid_eval::ColumnOf;
use cepheid_event::{EventError, Table};
use cepheid_ir::{Frame, Timing};
use cepheid_matcher::threads::{Interruption, Workers};
use cepheid_window::{Edges, WindowPlan, WindowState};

use crate::edge_columns::EdgeColumns;
use crate::error::EngineError;
use crate::ordered_table::{KeyNumbers, OrderedTable};
use crate::rows_by_key::RowsByKey;

/// Pieces of at least so many windows are batches as they are; smaller ones are put together.
const BATCH_WINDOWS_MIN: usize = 1 << 13;

/// Windows as they are found.
#[derive(Default)]
pub(crate) struct FoundWindows {
    pieces: Vec<Piece>,
    /// Of those that are shared by key: what puts them in their order.
    order: Option<Vec<(i64, u64)>>,
    /// Whether the input has ended.
    pub(crate) is_over: bool,
}

/// Windows that were told of together.
#[derive(Default)]
struct Piece {
    windows: usize,
    /// None of windows that are of rows, as edges.
    keys: Vec<u32>,
    edges: Edges,
    timings: Vec<Timing>,
    measures: Vec<ArrayRef>,
}

impl FoundWindows {
    /// Those that one of several threads finds, which sees to some keys.
    pub(crate) fn of_a_lane() -> Self {
        Self { order: Some(vec![]), ..Self::default() }
    }

    /// Takes all that a state has to tell.
    pub(crate) fn add(
        &mut self,
        state: &mut WindowState,
        plan: &WindowPlan,
        column: ColumnOf<'_>,
    ) -> Result<(), EngineError> {
        while let Some(told) = state.complete(plan, column)? {
            if let Some(order) = &mut self.order {
                let by_end = matches!(plan.frame(), Frame::Session { .. });
                // Full windows come before those that only the end of the input ends.
                let ends = told.edges.ends();
                let rank = |window: usize| if by_end { ends[window] } else { self.is_over.into() };
                order.extend(told.order.iter().enumerate().map(|(window, row)| (rank(window), *row)));
            }
            self.pieces.push(Piece {
                windows: told.keys.len(),
                keys: if plan.is_of_rows() { vec![] } else { told.keys },
                edges: told.edges,
                timings: told.timings,
                measures: told.measures,
            });
        }
        Ok(())
    }

    /// Leaves the first windows out, of such as are of rows.
    pub(crate) fn pass(&mut self, windows: usize) {
        let mut left = windows;
        for piece in &mut self.pieces {
            debug_assert!(piece.keys.is_empty() || windows == 0, "they are of rows");
            let gone = left.min(piece.windows);
            left -= gone;
            piece.windows -= gone;
            for measure in &mut piece.measures {
                *measure = measure.slice(gone, piece.windows);
            }
        }
    }

    /// These, and behind them others.
    pub(crate) fn followed_by(mut self, others: Self) -> Self {
        self.pieces.extend(others.pieces);
        self.order = self.order.zip(others.order).map(|(own, more)| [own, more].concat());
        self
    }

    /// Those of all rows, key by key, in the order of time.
    pub(crate) fn by_time(self, by_key: &RowsByKey, workers: Workers<'_>) -> Result<Self, EngineError> {
        let measures: Vec<usize> = (0..self.pieces.first().map_or(0, |piece| piece.measures.len())).collect();
        let put = |measure: &usize, _: Interruption<'_>| {
            let pieces: Vec<&dyn Array> =
                self.pieces.iter().map(|piece| &*piece.measures[*measure]).collect();
            spread(&pieces, by_key.order()).map_err(|error| EventError::from(error).into())
        };
        let measures = workers.share(&measures, put, Result::is_err)?;
        let all = Piece {
            windows: by_key.order().len(),
            measures: measures.into_iter().collect::<Result<_, EngineError>>()?,
            ..Piece::default()
        };
        Ok(Self { pieces: vec![all], ..Self::default() })
    }

    /// The same in the order in which one state would have told of them.
    pub(crate) fn in_order(self, workers: Workers<'_>) -> Result<Self, EngineError> {
        let Some(order) = self.order else { return Ok(self) };
        let mut all = Piece::joined(self.pieces)?;
        let mut places: Vec<((i64, u64), u32)> = order.into_iter().zip(0..).collect();
        // Those of each thread are in order already: they are merged.
        places.sort();
        let places: Vec<u32> = places.into_iter().map(|(_, window)| window).collect();
        fn picked<T: Copy>(values: &[T], places: &[u32]) -> Vec<T> {
            places.iter().map(|place| values[*place as usize]).collect()
        }
        all.keys = picked(&all.keys, &places);
        all.edges = Edges::Each {
            starts: picked(&all.edges.starts(), &places),
            ends: picked(&all.edges.ends(), &places),
        };
        all.put_measures(&UInt32Array::from(places), workers)?;
        Ok(Self { pieces: vec![all], ..Self::default() })
    }

    /// The columns of [`WindowPlan::output`].
    pub(crate) fn into_table(
        mut self,
        plan: &WindowPlan,
        rows: &OrderedTable<'_>,
        keys: &KeyNumbers,
        workers: Workers<'_>,
    ) -> Result<Table, EngineError> {
        self.pieces.retain(|piece| piece.windows > 0);
        let (mut groups, mut small, mut windows, mut first) = (vec![], vec![], 0, 0);
        let mut edge_columns = EdgeColumns::default();
        let last = self.pieces.len().wrapping_sub(1);
        for (place, piece) in self.pieces.into_iter().enumerate() {
            windows += piece.windows;
            small.push(piece);
            if windows >= BATCH_WINDOWS_MIN || place == last {
                if let [only] = &small[..] {
                    edge_columns.expect(&only.edges);
                }
                groups.push((first, Mutex::new(std::mem::take(&mut small))));
                first += std::mem::take(&mut windows);
            }
        }
        let key_columns = KeyColumns::new(plan, rows, keys, first)?;
        let batch = |(first, group): &(usize, Mutex<Vec<Piece>>), _: Interruption<'_>| {
            let group = std::mem::take(&mut *group.lock().unwrap_or_else(PoisonError::into_inner));
            Piece::joined(group)?.into_batch(plan, rows, (&key_columns, &edge_columns), *first)
        };
        let batches = workers.share(&groups, batch, Result::is_err)?;
        let batches = batches.into_iter().collect::<Result<_, EngineError>>()?;
        Ok(Table::new(Arc::clone(plan.output()), batches)?)
    }
}

/// The values of several arrays, one behind the other, each at its place: `places` are all of those that there are.
fn spread(arrays: &[&dyn Array], places: &[u32]) -> Result<ArrayRef, ArrowError> {
    macro_rules! numbers {
        ($number:ty) => {
            return Ok(Arc::new(spread_numbers::<$number>(arrays, places)))
        };
    }
    let Some(first) = arrays.first() else { return Ok(new_empty_array(&DataType::Null)) };
    downcast_primitive! {
        first.data_type() => (numbers),
        _ => {}
    }
    let mut of_place = vec![0; places.len()];
    places.iter().zip(0..).for_each(|(place, value)| of_place[*place as usize] = value);
    arrow_select::take::take(&arrow_select::concat::concat(arrays)?, &UInt32Array::from(of_place), None)
}

/// The same of numbers, without putting them one behind the other first.
fn spread_numbers<T: ArrowPrimitiveType>(arrays: &[&dyn Array], places: &[u32]) -> PrimitiveArray<T> {
    let mut values = vec![T::default_value(); places.len()];
    let mut are_there = None;
    let mut rest = places;
    for array in arrays {
        let (own, others) = rest.split_at(array.len());
        rest = others;
        for (place, value) in own.iter().zip(array.as_primitive::<T>().values()) {
            values[*place as usize] = *value;
        }
        if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
            let are_there = are_there.get_or_insert_with(|| {
                let mut all = BooleanBufferBuilder::new(places.len());
                all.append_n(places.len(), true);
                all
            });
            let missing = own.iter().zip(nulls).filter(|(_, is_there)| !is_there);
            missing.for_each(|(place, _)| are_there.set_bit(*place as usize, false));
        }
    }
    let nulls = are_there.map(|mut are_there| NullBuffer::new(are_there.finish()));
    let data_type = arrays.first().map_or(T::DATA_TYPE, |array| array.data_type().clone());
    PrimitiveArray::new(values.into(), nulls).with_data_type(data_type)
}

/// The columns of keys, by their numbers.
struct KeyColumns<'a> {
    plan: &'a WindowPlan,
    rows: &'a OrderedTable<'a>,
    /// A row of each number.
    firsts: &'a [u32],
    /// The keys of all numbers, where more windows than these are told of.
    of_all: Option<Vec<ArrayRef>>,
}

impl<'a> KeyColumns<'a> {
    fn new(
        plan: &'a WindowPlan,
        rows: &'a OrderedTable<'_>,
        keys: &'a KeyNumbers,
        windows: usize,
    ) -> Result<Self, EngineError> {
        let mut own = Self { plan, rows, firsts: &keys.firsts, of_all: None };
        if !plan.is_of_rows() && windows > keys.firsts.len() && !keys.firsts.is_empty() {
            // A number that is no row's is no window's: any row stands for it.
            let last = rows.table.num_rows() as u32 - 1;
            own.of_all = Some(own.gather(keys.firsts.iter().map(|row| (*row).min(last)))?);
        }
        Ok(own)
    }

    /// The keys of some numbers.
    fn of(&self, numbers: Vec<u32>) -> Result<Vec<ArrayRef>, EngineError> {
        let Some(of_all) = &self.of_all else {
            return self.gather(numbers.iter().map(|key| self.firsts[*key as usize]));
        };
        let numbers = UInt32Array::from(numbers);
        let some = of_all.iter().map(|all| arrow_select::take::take(all, &numbers, None));
        Ok(some.collect::<Result<_, _>>().map_err(EventError::from)?)
    }

    fn gather(&self, rows: impl Iterator<Item = u32>) -> Result<Vec<ArrayRef>, EngineError> {
        let columns = self.plan.row_source().keys();
        if columns.is_empty() {
            return Ok(vec![]);
        }
        let rows = UInt32Array::from_iter_values(rows);
        Ok(columns.iter().map(|column| self.rows.table.gather(*column, &rows)).collect::<Result<_, _>>()?)
    }
}

impl Piece {
    /// Puts the measures of all windows where they belong.
    fn put_measures(&mut self, places: &UInt32Array, workers: Workers<'_>) -> Result<(), EngineError> {
        let put = |measure: &ArrayRef, _: Interruption<'_>| {
            arrow_select::take::take(measure, places, None).map_err(|error| EventError::from(error).into())
        };
        let measures = workers.share(&self.measures, put, Result::is_err)?;
        self.measures = measures.into_iter().collect::<Result<_, EngineError>>()?;
        Ok(())
    }

    /// Several as one; one as it is.
    fn joined(mut pieces: Vec<Self>) -> Result<Self, EngineError> {
        if pieces.len() <= 1 {
            return Ok(pieces.pop().unwrap_or_default());
        }
        fn together<T: Clone>(pieces: &[Piece], of: impl Fn(&Piece) -> &[T]) -> Vec<T> {
            pieces.iter().map(of).collect::<Vec<_>>().concat()
        }
        let measures = (0..pieces[0].measures.len()).map(|measure| {
            let all: Vec<&dyn Array> = pieces.iter().map(|piece| &*piece.measures[measure]).collect();
            arrow_select::concat::concat(&all).map_err(EventError::from)
        });
        Ok(Self {
            windows: pieces.iter().map(|piece| piece.windows).sum(),
            measures: measures.collect::<Result<_, _>>()?,
            keys: together(&pieces, |piece| &piece.keys),
            edges: Edges::joined(&pieces.iter().map(|piece| &piece.edges).collect::<Vec<_>>()),
            timings: together(&pieces, |piece| &piece.timings),
        })
    }

    /// `first`: how many windows stand before these.
    fn into_batch(
        self,
        plan: &WindowPlan,
        rows: &OrderedTable<'_>,
        (key_columns, edge_columns): (&KeyColumns<'_>, &EdgeColumns),
        first: usize,
    ) -> Result<RecordBatch, EngineError> {
        let mut columns: Vec<ArrayRef> = vec![];
        if plan.is_of_rows() {
            let own = plan.row_source().keys().iter().copied().chain([plan.row_source().event_time()]);
            let own = own.map(|column| rows.column(column, first..first + self.windows));
            columns = own.collect::<Result<_, _>>()?;
        } else {
            columns = key_columns.of(self.keys)?;
            let data_type = plan.row_source().schema().field(plan.row_source().event_time()).data_type();
            columns.extend(edge_columns.of(self.edges, data_type)?);
            columns.extend(plan.timings(&self.timings, self.windows));
        }
        columns.extend(self.measures);
        let options = RecordBatchOptions::new().with_row_count(Some(self.windows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(plan.output()), columns, &options);
        Ok(batch.map_err(EventError::from)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn values_come_to_their_places_whatever_their_type() {
        let spread = |first: ArrayRef, second: ArrayRef| {
            spread(&[&*first, &*second], &[3, 0, 4, 1, 2]).expect("values of one type")
        };
        let numbers: [Float64Array; 2] =
            [vec![Some(3.0), None].into(), vec![Some(4.0), Some(1.0), None].into()];
        let [first, second] = numbers.map(|array| Arc::new(array) as ArrayRef);
        let expected = Float64Array::from(vec![None, Some(1.0), None, Some(3.0), Some(4.0)]);
        assert_eq!(*spread(first, second), expected);
        let times = [vec![3, 0], vec![4, 1, 2]]
            .map(|times| Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")) as ArrayRef);
        let [first, second] = times;
        let expected = TimestampMicrosecondArray::from(vec![0, 1, 2, 3, 4]).with_timezone("UTC");
        assert_eq!(*spread(first, second), expected);
        let texts = [vec![Some("d"), None], vec![Some("e"), Some("b"), Some("c")]];
        let [first, second] = texts.map(|texts| Arc::new(StringArray::from(texts)) as ArrayRef);
        let expected = StringArray::from(vec![None, Some("b"), Some("c"), Some("d"), Some("e")]);
        assert_eq!(*spread(first, second), expected);
    }
}
