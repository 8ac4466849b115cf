//! The store's own columns of archived rows, where nobody asks for more of them than where the rows are: that is known
//! without their being read.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{Field, Schema};

use crate::error::StoreError;
use crate::piece::kept_metadata;
use crate::sieve::Ranges;

/// The store's column of positions, the first of all.
const POSITION: &str = "_position";

/// Puts the store's columns in front of rows that are read without them: positions and numbers. Others are NULL.
#[derive(Debug)]
pub(crate) struct Fronts {
    /// Rows next to each other that are still to come: how many, and the number of the first of them in the file.
    runs: VecDeque<(usize, i64)>,
    /// The number in the topic of the file's first row.
    first_row: i64,
    /// Its position, if those of all rows follow each other; otherwise they are read.
    first_position: Option<i64>,
}

impl Fronts {
    /// `ranges`: which rows of the file are read.
    pub(crate) fn new(ranges: &Ranges, first_row: i64, first_position: Option<i64>) -> Self {
        let mut row = 0;
        let mut runs = VecDeque::new();
        for (rows, read) in ranges {
            if *read {
                runs.push_back((*rows, row));
            }
            row += *rows as i64;
        }
        Self { runs, first_row, first_position }
    }

    /// The store's column that is read all the same, if there is one.
    pub(crate) fn read(&self) -> Option<&'static str> {
        self.first_position.is_none().then_some(POSITION)
    }

    /// Whether all rows have come.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: the file has fewer than were asked for.
    pub(crate) fn check_all_given(&self) -> Result<(), StoreError> {
        if self.runs.iter().all(|(rows, _)| *rows == 0) {
            Ok(())
        } else {
            Err(StoreError::corrupt(None, "an archived file has fewer rows than it had"))
        }
    }

    /// Puts them in front of the next rows.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: the file has more rows than were asked for.
    pub(crate) fn put(&mut self, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let mut numbers = Vec::with_capacity(rows.num_rows());
        while numbers.len() < rows.num_rows() {
            let Some((left, next)) = self.runs.front_mut() else {
                return Err(StoreError::corrupt(None, "an archived file has more rows than it had"));
            };
            let taken = (*left).min(rows.num_rows() - numbers.len());
            numbers.extend(*next..*next + taken as i64);
            (*left, *next) = (*left - taken, *next + taken as i64);
            if *left == 0 {
                self.runs.pop_front();
            }
        }
        let counted = |first: i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(numbers.iter().map(|number| first + number)))
        };
        let (positions, own) = match self.first_position {
            Some(first) => (counted(first), 0),
            None => (Arc::clone(rows.column(0)), 1),
        };
        let mut columns = vec![positions, counted(self.first_row)];
        let mut fields: Vec<Arc<Field>> = kept_metadata().into_iter().map(Arc::new).collect();
        for field in &mut fields[columns.len()..] {
            *field = Arc::new(field.as_ref().clone().with_nullable(true));
            columns.push(new_null_array(field.data_type(), rows.num_rows()));
        }
        fields.extend(rows.schema_ref().fields().iter().skip(own).cloned());
        columns.extend_from_slice(&rows.columns()[own..]);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
    }
}

/// A schema that rows with such columns in front have as well as those whose columns were read.
pub(crate) fn without_fronts(schema: &Schema) -> Schema {
    let own = |field: &Field| kept_metadata().iter().skip(2).any(|own| own.name() == field.name());
    let field = |field: &Arc<Field>| {
        if own(field) { Arc::new(field.as_ref().clone().with_nullable(true)) } else { Arc::clone(field) }
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, StringArray};

    use super::*;
    use crate::mixed::mixed;

    #[test]
    fn rows_are_numbered_by_where_they_stand_however_they_come() {
        let mut compared = 0;
        for case in 0..200 {
            let seed = &mut (case * 31);
            let ranges: Ranges = (0..mixed(seed) % 9)
                .map(|_| (mixed(seed) as usize % 50, mixed(seed).is_multiple_of(2)))
                .collect();
            let mut expected = vec![];
            let mut row = 0;
            for (rows, read) in &ranges {
                expected.extend((row..row + *rows as i64).filter(|_| *read));
                row += *rows as i64;
            }
            let contiguous = mixed(seed).is_multiple_of(2);
            let mut fronts = Fronts::new(&ranges, 100, contiguous.then_some(1000));
            let mut left = &expected[..];
            while !left.is_empty() {
                assert!(fronts.check_all_given().is_err());
                let (next, rest) = left.split_at((1 + mixed(seed) as usize % 30).min(left.len()));
                left = rest;
                let texts: ArrayRef =
                    Arc::new(StringArray::from_iter_values(next.iter().map(i64::to_string)));
                let mut columns = vec![("text", texts)];
                if !contiguous {
                    let positions = next.iter().map(|row| 7 * row);
                    columns.insert(0, (POSITION, Arc::new(Int64Array::from_iter_values(positions))));
                }
                let rows = fronts.put(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
                assert_eq!(rows.num_columns(), 6);
                let numbers = |place: usize| rows.column(place).as_primitive::<Int64Type>().values().to_vec();
                let position = |row: &i64| if contiguous { 1000 + row } else { 7 * row };
                assert_eq!(numbers(0), next.iter().map(position).collect::<Vec<_>>());
                assert_eq!(numbers(1), next.iter().map(|row| 100 + row).collect::<Vec<_>>());
                assert!((2..5).all(|place| rows.column(place).null_count() == next.len()));
                assert_eq!(rows.column(5).as_string::<i32>().value(0), next[0].to_string());
                compared += next.len();
            }
            fronts.check_all_given().unwrap();
            let one: ArrayRef = Arc::new(StringArray::from_iter_values(["more"]));
            let more = [(POSITION, Arc::new(Int64Array::from_iter_values([1])) as ArrayRef), ("text", one)];
            assert!(fronts.put(&RecordBatch::try_from_iter(more).unwrap()).is_err());
        }
        assert!(compared > 5_000, "{compared}");
    }
}
