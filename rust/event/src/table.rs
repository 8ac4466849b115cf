//! A table: record batches of one schema, in arrival order.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_empty_array};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};

use crate::error::EventError;
use crate::taken::taken;

/// Most rows of one table: row ordinals are 32 bits wide, with the last one kept free.
pub const ROWS_MAX: usize = u32::MAX as usize - 1;

/// Record batches of one schema, in arrival order. Buffers are shared with whoever made them; only where the
/// dictionaries of a column have more values together than its code type has codes are the codes made wider.
#[derive(Clone, Debug)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// `starts[i]`: ordinal of the first row of batch `i`; one more entry for the number of rows.
    starts: Vec<usize>,
}

impl Table {
    /// A table of `batches`; empty ones are left out.
    ///
    /// # Errors
    /// [`EventError::SchemaChanged`] if a batch has other column names or types than `schema`,
    /// [`EventError::TooManyRows`] past [`ROWS_MAX`].
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self, EventError> {
        let (schema, batches) = widen_dictionaries(schema, batches)?;
        let mut starts = vec![0];
        let mut kept = Vec::with_capacity(batches.len());
        let mut rows = 0;
        for (position, batch) in batches.into_iter().enumerate() {
            if !same_columns(&schema, batch.schema_ref()) {
                return Err(EventError::SchemaChanged {
                    batch: position,
                    found: describe(batch.schema_ref()),
                    expected: describe(&schema),
                });
            }
            if batch.num_rows() > 0 {
                rows += batch.num_rows();
                starts.push(rows);
                kept.push(batch);
            }
        }
        if rows > ROWS_MAX {
            return Err(EventError::TooManyRows { rows, limit: ROWS_MAX });
        }
        Ok(Self { schema, batches: kept, starts })
    }

    /// Column names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The batches, none empty.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Rows in all.
    pub fn num_rows(&self) -> usize {
        *self.starts.last().expect("starts is never empty")
    }

    /// The batch that holds `row`, and the row's place in it.
    pub fn locate(&self, row: usize) -> (usize, usize) {
        debug_assert!(row < self.num_rows());
        let batch = self.starts.partition_point(|start| *start <= row) - 1;
        (batch, row - self.starts[batch])
    }

    /// The values of `column` at `rows` (ordinals in arrival order; NULL gives NULL), in that order.
    ///
    /// Cost: O(rows) for one batch; O(rows log batches) for more.
    ///
    /// # Errors
    /// What Arrow refuses: a dictionary that outgrows its key type, strings past 2 GiB.
    pub fn gather(&self, column: usize, rows: &UInt32Array) -> Result<ArrayRef, EventError> {
        match self.batches.as_slice() {
            [] if rows.null_count() == rows.len() => {
                Ok(arrow_array::new_null_array(self.schema.field(column).data_type(), rows.len()))
            }
            // `take` knows no NULL index for run-end encoded columns.
            [batch] if rows.null_count() == 0 || !is_run_end_encoded(batch.column(column)) => {
                Ok(arrow_select::take::take(batch.column(column), rows, None)?)
            }
            batches => {
                // `interleave` knows no NULL index: an extra source of one NULL row stands for it.
                let nulls = (rows.null_count() > 0)
                    .then(|| arrow_array::new_null_array(self.schema.field(column).data_type(), 1));
                let mut sources: Vec<&dyn Array> =
                    batches.iter().map(|b| b.column(column).as_ref()).collect();
                if let Some(nulls) = &nulls {
                    sources.push(nulls.as_ref());
                }
                let null_source = (batches.len(), 0);
                let places: Vec<(usize, usize)> =
                    rows.iter().map(|row| row.map_or(null_source, |row| self.locate(row as usize))).collect();
                Ok(arrow_select::interleave::interleave(&sources, &places)?)
            }
        }
    }

    /// The values of `column` in a range of rows: shared where one batch holds them all, copied otherwise.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn slice(&self, column: usize, rows: Range<usize>) -> Result<ArrayRef, EventError> {
        if rows.is_empty() {
            return Ok(new_empty_array(self.schema.field(column).data_type()));
        }
        let (first, offset) = self.locate(rows.start);
        let (last, _) = self.locate(rows.end - 1);
        if first == last {
            return Ok(self.batches[first].column(column).slice(offset, rows.len()));
        }
        let mut parts = Vec::with_capacity(last - first + 1);
        for batch in first..=last {
            let start = rows.start.max(self.starts[batch]);
            let end = rows.end.min(self.starts[batch + 1]);
            parts.push(self.batches[batch].column(column).slice(start - self.starts[batch], end - start));
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(arrow_select::concat::concat(&parts)?)
    }

    /// Some rows of the table, `rows` ascending, as a table of their own. Only `columns` are read: the others hold NULLs
    /// there, so that every column keeps its index. At most so many `threads` share the work.
    ///
    /// Cost: O(rows) a column read.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn narrowed(&self, rows: &[u32], columns: &[usize], threads: usize) -> Result<Self, EventError> {
        debug_assert!(rows.is_sorted(), "rows stand in arrival order");
        let mut read = columns.to_vec();
        read.sort_unstable();
        read.dedup();
        let mut batches = vec![];
        let mut rest = rows;
        for (batch, start) in self.batches.iter().zip(&self.starts) {
            let end = start + batch.num_rows();
            let (own, behind) = rest.split_at(rest.partition_point(|row| (*row as usize) < end));
            rest = behind;
            if own.is_empty() {
                continue;
            }
            let places: Vec<u32> = own.iter().map(|row| row - *start as u32).collect();
            let mut arrays: Vec<Option<ArrayRef>> = vec![None; batch.num_columns()];
            for (column, array) in read.iter().zip(taken(batch, &read, &places, threads)?) {
                arrays[*column] = Some(array);
            }
            let none = |array: &ArrayRef| arrow_array::new_null_array(array.data_type(), own.len());
            let arrays: Vec<ArrayRef> = arrays
                .into_iter()
                .zip(batch.columns())
                .map(|(taken, array)| taken.unwrap_or_else(|| none(array)))
                .collect();
            // Columns without NULLs in the schema have some now.
            let fields: Vec<FieldRef> = self
                .schema
                .fields()
                .iter()
                .map(|field| Arc::new(field.as_ref().clone().with_nullable(true)))
                .collect();
            let schema = Arc::new(Schema::new(fields));
            batches.push(RecordBatch::try_new(schema, arrays)?);
        }
        let schema = Arc::clone(&self.schema);
        Self::new(schema, batches)
    }

    /// The first `rows` rows, or as many as there are.
    pub fn head(&self, rows: usize) -> Self {
        self.stretch(0..rows)
    }

    /// A stretch of the rows.
    pub fn stretch(&self, rows: Range<usize>) -> Self {
        let (mut batches, mut starts) = (vec![], vec![0]);
        for (batch, start) in self.batches.iter().zip(&self.starts) {
            let begin = rows.start.max(*start);
            let end = rows.end.min(start + batch.num_rows());
            if begin < end {
                batches.push(batch.slice(begin - start, end - begin));
                starts.push(end - rows.start);
            }
        }
        Self { schema: Arc::clone(&self.schema), batches, starts }
    }

    /// Finds a column. An exact match wins; else, if the name is not `quoted`, a unique match without regard to case.
    ///
    /// # Errors
    /// [`EventError::UnknownColumn`] with the nearest name, or [`EventError::AmbiguousColumn`].
    pub fn column_index(&self, name: &str, quoted: bool) -> Result<usize, EventError> {
        resolve_column(&self.schema, name, quoted)
    }
}

/// See [`Table::column_index`].
///
/// # Errors
/// [`EventError::UnknownColumn`] with the nearest name, or [`EventError::AmbiguousColumn`].
pub fn resolve_column(schema: &Schema, name: &str, quoted: bool) -> Result<usize, EventError> {
    let exact: Vec<usize> = positions(schema, |field| field == name);
    let fitting = if exact.is_empty() && !quoted {
        let folded = name.to_lowercase();
        positions(schema, |field| field.to_lowercase() == folded)
    } else {
        exact
    };
    match fitting.as_slice() {
        [index] => Ok(*index),
        [] => Err(EventError::UnknownColumn {
            name: name.to_owned(),
            hint: nearest(name, schema.fields().iter().map(|field| field.name().as_str())).map(str::to_owned),
            known: schema.fields().iter().map(|field| field.name().clone()).collect(),
        }),
        several => Err(EventError::AmbiguousColumn {
            name: name.to_owned(),
            candidates: several.iter().map(|index| schema.field(*index).name().clone()).collect(),
        }),
    }
}

fn positions(schema: &Schema, fits: impl Fn(&str) -> bool) -> Vec<usize> {
    schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| fits(field.name()))
        .map(|(index, _)| index)
        .collect()
}

/// The name nearest to `name` by edits, without regard to case, if it is near at all.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().take(64).collect();
    candidates
        .into_iter()
        .map(|candidate| {
            (edits(&wanted, &candidate.to_lowercase().chars().take(64).collect::<Vec<_>>()), candidate)
        })
        .filter(|(distance, _)| *distance <= 1 + wanted.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, O(product of lengths).
fn edits(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// Whether names and types are the same, in the same order.
pub(crate) fn same_columns(left: &Schema, right: &Schema) -> bool {
    left.fields().len() == right.fields().len()
        && left
            .fields()
            .iter()
            .zip(right.fields())
            .all(|(l, r)| Arc::ptr_eq(l, r) || (l.name() == r.name() && l.data_type() == r.data_type()))
}

/// Names and types in words, the first twenty.
pub(crate) fn describe(schema: &Schema) -> String {
    let fields: Vec<String> = schema
        .fields()
        .iter()
        .take(20)
        .map(|field| format!("{}: {}", field.name(), field.data_type()))
        .collect();
    format!("({})", fields.join(", "))
}

fn is_run_end_encoded(array: &ArrayRef) -> bool {
    matches!(array.data_type(), DataType::RunEndEncoded(..))
}

/// Dictionaries may change from batch to batch; rows of several batches then need the codes of all of them.
fn widen_dictionaries(
    schema: SchemaRef,
    mut batches: Vec<RecordBatch>,
) -> Result<(SchemaRef, Vec<RecordBatch>), EventError> {
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    let mut widened = false;
    for (column, field) in fields.iter_mut().enumerate() {
        let DataType::Dictionary(code, value) = field.data_type() else { continue };
        let codes = match **code {
            DataType::Int8 => 1 << 7,
            DataType::UInt8 => 1 << 8,
            DataType::Int16 => 1 << 15,
            DataType::UInt16 => 1 << 16,
            _ => continue,
        };
        let dictionaries =
            batches.iter().filter(|batch| batch.schema_ref().fields().len() == schema.fields().len());
        let dictionaries = dictionaries.filter_map(|batch| batch.column(column).as_any_dictionary_opt());
        let mut values: Vec<&ArrayRef> = dictionaries.map(|dictionary| dictionary.values()).collect();
        values.dedup_by(|left, right| Arc::ptr_eq(left, right));
        if values.iter().map(|values| values.len()).sum::<usize>() > codes && values.len() > 1 {
            let wide = DataType::Dictionary(Box::new(DataType::Int32), value.clone());
            *field = Arc::new(field.as_ref().clone().with_data_type(wide));
            widened = true;
        }
    }
    if !widened {
        return Ok((schema, batches));
    }
    let wide = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    for batch in batches.iter_mut().filter(|batch| same_columns(&schema, batch.schema_ref())) {
        let columns = batch.columns().iter().zip(wide.fields()).map(|(array, field)| {
            if array.data_type() == field.data_type() {
                Ok(Arc::clone(array))
            } else {
                arrow_cast::cast(array, field.data_type())
            }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        *batch = RecordBatch::try_new_with_options(Arc::clone(&wide), columns, &rows)?;
    }
    Ok((wide, batches))
}
