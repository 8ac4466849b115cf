//! Columns of where windows begin and end.
//!
//! Overlapping windows end where later ones begin: a time that all windows of a batch have is written once, for the batch of the most
//! windows, and all columns that say it share that. Of windows of twelve steps this is half of what would be written.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use cepheid_event::{EventError, repeated_times_of, times_of};
use cepheid_window::Edges;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct EdgeColumns {
    of: BTreeMap<i64, Repeated>,
}

/// A column of one time.
#[derive(Debug, Default)]
struct Repeated {
    /// How often it is needed.
    windows: usize,
    column: OnceLock<ArrayRef>,
}

impl EdgeColumns {
    /// There is going to be a batch of windows with these edges.
    pub(crate) fn expect(&mut self, edges: &Edges) {
        let Edges::Together(all) = edges else { return };
        let [only] = all[..] else { return };
        for time in [only.start, only.end] {
            let known = self.of.entry(time).or_default();
            known.windows = known.windows.max(only.windows);
        }
    }

    /// Starts and ends of the windows of a batch.
    ///
    /// # Errors
    /// Those of [`times_of`].
    pub(crate) fn of(&self, edges: Edges, data_type: &DataType) -> Result<[ArrayRef; 2], EventError> {
        match edges {
            Edges::Each { starts, ends } => Ok([times_of(starts, data_type)?, times_of(ends, data_type)?]),
            Edges::Together(all) => match all[..] {
                [only] => Ok([
                    self.repeated(only.start, only.windows, data_type)?,
                    self.repeated(only.end, only.windows, data_type)?,
                ]),
                _ => Ok([
                    repeated_times_of(all.iter().map(|own| (own.start, own.windows)), data_type)?,
                    repeated_times_of(all.iter().map(|own| (own.end, own.windows)), data_type)?,
                ]),
            },
        }
    }

    /// A time, so often.
    fn repeated(&self, time: i64, windows: usize, data_type: &DataType) -> Result<ArrayRef, EventError> {
        let make = |windows| repeated_times_of([(time, windows)].into_iter(), data_type);
        let Some(known) = self.of.get(&time).filter(|known| known.windows >= windows) else {
            return make(windows);
        };
        let column = match known.column.get() {
            Some(column) => column,
            None => {
                let made = make(known.windows)?;
                known.column.get_or_init(|| made)
            }
        };
        Ok(if column.len() == windows { Arc::clone(column) } else { column.slice(0, windows) })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampMicrosecondType;
    use arrow_schema::TimeUnit;
    use cepheid_window::Together;

    use super::*;

    fn grid(runs: &[(i64, i64, usize)]) -> Edges {
        let run = |run: &(i64, i64, usize)| Together { start: run.0, end: run.1, windows: run.2 };
        Edges::Together(runs.iter().map(run).collect())
    }

    fn each(edges: &Edges) -> Edges {
        Edges::Each { starts: edges.starts().into_owned(), ends: edges.ends().into_owned() }
    }

    #[test]
    fn columns_of_windows_that_end_together_are_those_of_each_window() {
        let batches = [
            grid(&[(-3_000, 2_000, 5)]),
            grid(&[(2_000, 7_000, 3), (4_000, 9_000, 0), (5_000, 10_000, 2)]),
            grid(&[(2_000, 7_000, 7)]),
            grid(&[(7_000, 12_000, 6)]),
            grid(&[]),
        ];
        let types = [
            DataType::Int64,
            DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Paris".into())),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Duration(TimeUnit::Microsecond),
        ];
        let mut compared = 0;
        for data_type in &types {
            let mut columns = EdgeColumns::default();
            batches.iter().for_each(|batch| columns.expect(batch));
            for batch in &batches {
                let expected = EdgeColumns::default().of(each(batch), data_type).expect("times");
                assert_eq!(columns.of(batch.clone(), data_type).expect("times"), expected);
                // Without being expected.
                assert_eq!(EdgeColumns::default().of(batch.clone(), data_type).expect("times"), expected);
                compared += 1;
            }
        }
        assert_eq!(compared, 4 * 5);
        let days = grid(&[(86_400_000_000_000, 2 * 86_400_000_000_000, 2)]);
        let mut columns = EdgeColumns::default();
        columns.expect(&days);
        let expected = EdgeColumns::default().of(each(&days), &DataType::Date32).expect("days");
        assert_eq!(columns.of(days, &DataType::Date32).expect("days"), expected);
    }

    #[test]
    fn an_end_that_is_the_start_of_others_is_written_once() {
        let mut columns = EdgeColumns::default();
        let (earlier, later) = (grid(&[(0, 5_000, 3)]), grid(&[(5_000, 10_000, 4)]));
        columns.expect(&earlier);
        columns.expect(&later);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let [_, end] = columns.of(earlier, &micros).expect("times");
        let [start, _] = columns.of(later, &micros).expect("times");
        let values = |array: &ArrayRef| array.as_primitive::<TimestampMicrosecondType>().values().clone();
        assert_eq!((&values(&end)[..], &values(&start)[..]), (&[5; 3][..], &[5; 4][..]));
        assert_eq!(values(&end).as_ptr(), values(&start).as_ptr());
    }
}
