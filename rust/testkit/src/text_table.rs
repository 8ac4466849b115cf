//! Tables as text: a header of column names, then one line a row, cells apart by white space.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};

use crate::arrow_values::values_to_array;
use crate::calendar::{parse_date, parse_timestamp};
use crate::reference_table::ReferenceTable;
use crate::value::{RefValue, parse_decimal};

/// A parsed table.
#[derive(Clone, Debug)]
pub struct TextTable {
    /// Name, type, and whether the header names the type.
    pub columns: Vec<TextColumn>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<RefValue>>,
}

/// One column of the header.
#[derive(Clone, Debug)]
pub struct TextColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    pub data_type: DataType,
    /// Whether the header says it; else it is the narrowest of int64, float64 and string that holds every cell.
    pub declared: bool,
}

/// A cell as written: quoted cells are strings, never NULL.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    text: String,
    quoted: bool,
}

impl TextTable {
    /// Reads a table; see `tests/conformance/README.md` for the format.
    ///
    /// # Errors
    /// What is wrong, with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let header = cells(lines.next().ok_or("a table needs a header")?)?;
        let mut raw: Vec<Vec<Cell>> = vec![];
        for line in lines {
            let row = cells(line)?;
            if row.len() != header.len() {
                return Err(format!("`{line}` has {} cells; the header has {}", row.len(), header.len()));
            }
            raw.push(row);
        }
        let mut columns = vec![];
        for (index, cell) in header.into_iter().enumerate() {
            let (name, data_type) = match cell.text.rsplit_once(':') {
                Some((name, word)) if !cell.quoted => (name.to_owned(), Some(named_type(word)?)),
                _ => (cell.text, None),
            };
            let inferred = || infer(raw.iter().map(|row| &row[index]));
            let declared = data_type.is_some();
            columns.push(TextColumn { name, data_type: data_type.unwrap_or_else(inferred), declared });
        }
        let mut rows = vec![];
        for row in raw {
            let mut values = vec![];
            for (cell, column) in row.iter().zip(&columns) {
                values.push(value(cell, &column.data_type).ok_or_else(|| {
                    format!("`{}` in column `{}` is no {}", cell.text, column.name, column.data_type)
                })?);
            }
            rows.push(values);
        }
        Ok(Self { columns, rows })
    }

    /// The Arrow schema; every column is nullable.
    pub fn schema(&self) -> Schema {
        let field = |column: &TextColumn| Field::new(&column.name, column.data_type.clone(), true);
        Schema::new(self.columns.iter().map(field).collect::<Vec<_>>())
    }

    /// The table as one batch.
    ///
    /// # Errors
    /// What Arrow refuses.
    pub fn to_batch(&self) -> Result<RecordBatch, ArrowError> {
        let column = |index: usize| -> ArrayRef {
            let values: Vec<RefValue> = self.rows.iter().map(|row| row[index].clone()).collect();
            values_to_array(&values, &self.columns[index].data_type)
        };
        RecordBatch::try_new(Arc::new(self.schema()), (0..self.columns.len()).map(column).collect())
    }

    /// The table as the reference reads it.
    pub fn to_reference(&self) -> ReferenceTable {
        let columns = self.columns.iter().map(|column| column.name.clone()).collect();
        ReferenceTable { columns, rows: self.rows.clone() }
    }

    /// Compares names, order and values with the rows that somebody computed.
    ///
    /// # Errors
    /// Both tables, and where they first differ.
    pub fn check(&self, columns: &[String], rows: &[Vec<RefValue>]) -> Result<(), String> {
        self.to_reference().check(columns, rows)
    }

    /// As [`check`](Self::check), and the Arrow types of columns whose type the header names.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_batch(&self, batch: &RecordBatch) -> Result<(), String> {
        let schema = batch.schema();
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        self.check(&names, &ReferenceTable::from_batches(std::slice::from_ref(batch)).rows)?;
        for (column, field) in self.columns.iter().zip(schema.fields()) {
            if column.declared && column.data_type != *field.data_type() {
                return Err(format!(
                    "column `{}` has type {}, expected {}",
                    column.name,
                    field.data_type(),
                    column.data_type
                ));
            }
        }
        Ok(())
    }
}

/// Cuts a line at white space outside of single quotes and brackets.
fn cells(line: &str) -> Result<Vec<Cell>, String> {
    let mut cells = vec![];
    let mut characters = line.chars().peekable();
    while let Some(&first) = characters.peek() {
        if first.is_whitespace() {
            characters.next();
            continue;
        }
        let mut cell = Cell { text: String::new(), quoted: first == '\'' };
        if cell.quoted {
            characters.next();
            loop {
                match characters.next() {
                    Some('\'') if characters.peek() == Some(&'\'') => cell.text.extend(characters.next()),
                    Some('\'') => break,
                    Some(other) => cell.text.push(other),
                    None => return Err(format!("a quote is not closed in `{line}`")),
                }
            }
        } else {
            let mut depth = 0;
            while let Some(&next) = characters.peek() {
                if next.is_whitespace() && depth == 0 {
                    break;
                }
                depth += i32::from(next == '[') - i32::from(next == ']');
                cell.text.extend(characters.next());
            }
        }
        cells.push(cell);
    }
    Ok(cells)
}

fn named_type(word: &str) -> Result<DataType, String> {
    Ok(match word {
        "bool" => DataType::Boolean,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int" | "int64" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float32" => DataType::Float32,
        "float" | "float64" => DataType::Float64,
        "str" => DataType::Utf8,
        "dict" => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Nanosecond, None),
        "timestamp_us" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamp_ms" => DataType::Timestamp(TimeUnit::Millisecond, None),
        _ => {
            let digits = word.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
            let parsed = digits.and_then(|digits| {
                let (precision, scale) = digits.split_once(',')?;
                Some(DataType::Decimal128(precision.parse().ok()?, scale.parse().ok()?))
            });
            parsed.ok_or_else(|| format!("`{word}` is no type of a column"))?
        }
    })
}

fn is_null(cell: &Cell) -> bool {
    !cell.quoted && (cell.text == "-" || cell.text == "NULL")
}

/// The narrowest of bool, int64, float64, list and string that holds every cell; int64 if all are NULL.
fn infer<'c>(cells: impl Iterator<Item = &'c Cell>) -> DataType {
    let present: Vec<&Cell> = cells.filter(|cell| !is_null(cell)).collect();
    let all = |fits: fn(&Cell) -> bool| present.iter().all(|cell| !cell.quoted && fits(cell));
    if all(|cell| cell.text.parse::<i64>().is_ok()) {
        DataType::Int64
    } else if all(|cell| number(&cell.text).is_some()) {
        DataType::Float64
    } else if all(|cell| cell.text == "true" || cell.text == "false") {
        DataType::Boolean
    } else if all(|cell| cell.text.starts_with('[')) {
        DataType::List(Arc::new(Field::new("item", DataType::Int64, true)))
    } else {
        DataType::Utf8
    }
}

/// A float, or `nan`, `inf`, `-inf`; other words that Rust would read as floats are strings.
fn number(text: &str) -> Option<f64> {
    let numeric = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    if matches!(text, "nan" | "inf" | "-inf") || numeric { text.parse().ok() } else { None }
}

fn value(cell: &Cell, data_type: &DataType) -> Option<RefValue> {
    if is_null(cell) {
        return Some(RefValue::Null);
    }
    let text = cell.text.as_str();
    match data_type {
        DataType::Boolean => text.parse().ok().map(RefValue::Boolean),
        DataType::Float32 | DataType::Float64 => number(text).map(RefValue::Float),
        DataType::Utf8 | DataType::Dictionary(_, _) => Some(RefValue::String(text.to_owned())),
        DataType::Date32 => i32::try_from(parse_date(text)?).ok().map(RefValue::Date),
        DataType::Timestamp(_, _) => parse_timestamp(text).map(RefValue::Timestamp),
        DataType::Decimal128(_, _) => parse_decimal(text),
        DataType::List(_) => {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            let items: Vec<Cell> = cells(&inner.replace(',', " ")).ok()?;
            let item_type = infer(items.iter());
            items.iter().map(|item| value(item, &item_type)).collect::<Option<_>>().map(RefValue::List)
        }
        _ => text.parse().ok().map(RefValue::Integer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_inferred_from_the_cells_unless_the_header_names_them() {
        let table = TextTable::parse("a b c d:int32 e\n1 1.5 x 7 '1'\n- 2 '-' - NULL\n").unwrap();
        let types: Vec<&DataType> = table.columns.iter().map(|column| &column.data_type).collect();
        assert_eq!(
            types,
            [&DataType::Int64, &DataType::Float64, &DataType::Utf8, &DataType::Int32, &DataType::Utf8]
        );
        assert_eq!(
            table.rows[1],
            [
                RefValue::Null,
                RefValue::Float(2.0),
                RefValue::String("-".into()),
                RefValue::Null,
                RefValue::Null
            ]
        );
        assert_eq!(ReferenceTable::from_batches(&[table.to_batch().unwrap()]).rows, table.rows);
    }

    #[test]
    fn a_row_of_the_wrong_length_is_refused() {
        assert!(TextTable::parse("a b\n1\n").is_err());
        assert!(TextTable::parse("a\n'open\n").is_err());
        assert!(TextTable::parse("a:int\nx\n").is_err());
    }

    #[test]
    fn a_difference_is_found() {
        let table = TextTable::parse("a b\n1 x\n").unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let row = |number: i128, text: &str| vec![RefValue::Integer(number), RefValue::String(text.into())];
        assert!(table.check(&names, &[row(1, "x")]).is_ok());
        assert!(table.check(&names, &[row(1, "y")]).is_err());
        assert!(table.check(&names, &[row(1, "x"), row(1, "x")]).is_err());
        assert!(table.check(&["a".to_owned(), "B".to_owned()], &[row(1, "x")]).is_err());
        assert!(table.check(&names, &[vec![RefValue::Float(1.0), RefValue::String("x".into())]]).is_err());
    }
}
