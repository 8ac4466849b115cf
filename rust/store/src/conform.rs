//! Rows of several topics, or of several versions of one, in one schema: columns by name, NULL where a topic has none.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::StoreError;

/// Columns that the store adds in front of a topic's own: names, and what they are.
pub(crate) const METADATA: [(&str, MetadataColumn); 6] = [
    ("_position", MetadataColumn::Position),
    ("_topic", MetadataColumn::Topic),
    ("_row", MetadataColumn::Row),
    ("_stream", MetadataColumn::Stream),
    ("_version", MetadataColumn::Version),
    ("_recorded", MetadataColumn::Recorded),
];

/// A column that the store adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetadataColumn {
    /// The event's number in the store.
    Position,
    /// The topic.
    Topic,
    /// The event's number among those of its topic.
    Row,
    /// The stream, if it is of one.
    Stream,
    /// How many events the stream has with it.
    Version,
    /// When it was appended.
    Recorded,
}

impl MetadataColumn {
    /// The type of its values.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Position | Self::Row | Self::Version => DataType::Int64,
            Self::Topic | Self::Stream => DataType::Utf8,
            Self::Recorded => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        }
    }

    /// Whether some event has none.
    pub(crate) fn is_nullable(self) -> bool {
        matches!(self, Self::Stream | Self::Version)
    }
}

/// The fields of [`METADATA`].
pub(crate) fn metadata_fields() -> Vec<Field> {
    METADATA
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type(), column.is_nullable()))
        .collect()
}

/// A schema under construction.
#[derive(Debug, Default)]
pub(crate) struct United {
    fields: Vec<(Field, String)>,
    sources: usize,
}

impl United {
    /// Adds the columns of a source, which errors name.
    pub(crate) fn add(&mut self, schema: &Schema, source: &str) -> Result<(), StoreError> {
        // What not all have is NULL somewhere.
        for (field, _) in &mut self.fields {
            if schema.column_with_name(field.name()).is_none() {
                *field = field.clone().with_nullable(true);
            }
        }
        for field in schema.fields() {
            let field = &widened(field);
            let Some((known, first)) = self.fields.iter_mut().find(|(known, _)| known.name() == field.name())
            else {
                let nullable = field.is_nullable() || self.sources > 0;
                self.fields.push((field.clone().with_nullable(nullable), source.into()));
                continue;
            };
            let data_type =
                common(known.data_type(), field.data_type()).ok_or_else(|| StoreError::SchemaConflict {
                    column: field.name().clone(),
                    left: known.data_type().to_string(),
                    left_source: first.clone(),
                    right: field.data_type().to_string(),
                    right_source: source.into(),
                })?;
            let nullable = known.is_nullable() || field.is_nullable();
            *known = known.clone().with_data_type(data_type).with_nullable(nullable);
        }
        self.sources += 1;
        Ok(())
    }

    /// The columns, in the order in which they were met.
    pub(crate) fn schema(self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.into_iter().map(|(field, _)| field).collect::<Vec<_>>()))
    }
}

/// A type as it is read and archived: codes of dictionaries are wide enough for the words of all batches together.
pub(crate) fn widened(field: &Field) -> Field {
    match field.data_type() {
        DataType::Dictionary(_, values) => {
            field.clone().with_data_type(DataType::Dictionary(Box::new(DataType::Int32), values.clone()))
        }
        _ => field.clone(),
    }
}

/// The type that holds all values of two; `None`: there is none.
fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::*;
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (Null, other) | (other, Null) => Some(other.clone()),
        // Dictionaries of one table and another have other codes, and soon too few.
        (Dictionary(_, values), other) | (other, Dictionary(_, values)) => common(values, other),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => {
            Some(if left == &LargeUtf8 || right == &LargeUtf8 { LargeUtf8 } else { Utf8 })
        }
        (Float16 | Float32 | Float64, Float16 | Float32 | Float64) => Some(Float64),
        (Float16 | Float32 | Float64, integer) | (integer, Float16 | Float32 | Float64)
            if integer.is_integer() =>
        {
            // As in Polars and DuckDB: whole numbers past 2^53 lose their last digits.
            Some(Float64)
        }
        (left, right) if left.is_integer() && right.is_integer() => {
            let unsigned = left.is_unsigned_integer() && right.is_unsigned_integer();
            match (unsigned, left == &UInt64 || right == &UInt64) {
                (true, _) => Some(UInt64),
                (false, false) => Some(Int64),
                (false, true) => None,
            }
        }
        // To nanoseconds, as events have their times; what they cannot hold is an error when it is met.
        (Timestamp(_, left), Timestamp(_, right)) if left.is_some() == right.is_some() => Some(Timestamp(
            TimeUnit::Nanosecond,
            if left == right { left.clone() } else { Some("UTC".into()) },
        )),
        (Duration(_), Duration(_)) => Some(Duration(TimeUnit::Nanosecond)),
        _ => None,
    }
}

/// Rows in another schema: columns by name, cast where their types differ, NULL where they have none.
pub(crate) fn conform(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, StoreError> {
    if rows.schema_ref() == schema {
        return Ok(rows.clone());
    }
    let column = |field: &Arc<Field>| -> Result<ArrayRef, StoreError> {
        match rows.column_by_name(field.name()) {
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => {
                let options = arrow_cast::CastOptions { safe: false, ..Default::default() };
                Ok(arrow_cast::cast_with_options(column, field.data_type(), &options)?)
            }
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Values as text, and back.
pub(crate) fn as_text(column: &ArrayRef) -> Result<ArrayRef, StoreError> {
    Ok(cast(column, &DataType::Utf8)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_meet_where_nothing_is_lost() {
        use DataType::*;
        let dictionary = Dictionary(Box::new(Int8), Box::new(Utf8));
        let cases = [
            (Int8, Int64, Some(Int64)),
            (UInt8, UInt32, Some(UInt64)),
            (UInt64, Int64, None),
            (Int32, Float32, Some(Float64)),
            (Int64, Float64, Some(Float64)),
            (Utf8, LargeUtf8, Some(LargeUtf8)),
            (dictionary.clone(), dictionary.clone(), Some(dictionary.clone())),
            (dictionary, Utf8View, Some(Utf8)),
            (Null, Date32, Some(Date32)),
            (Utf8, Int64, None),
            (Date32, Timestamp(TimeUnit::Second, None), None),
            (
                Timestamp(TimeUnit::Second, None),
                Timestamp(TimeUnit::Microsecond, None),
                Some(Timestamp(TimeUnit::Nanosecond, None)),
            ),
            (Timestamp(TimeUnit::Second, None), Timestamp(TimeUnit::Second, Some("UTC".into())), None),
        ];
        for (left, right, expected) in &cases {
            assert_eq!(&common(left, right), expected, "{left} and {right}");
            assert_eq!(&common(right, left), expected, "{right} and {left}");
        }
        assert_eq!(cases.len(), 13);
    }
}
