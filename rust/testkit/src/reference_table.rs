//! A table as the reference sees it: rows of values.

use crate::reference::ReferenceError;
use crate::value::RefValue;

/// Rows in arrival order, each with one value a column.
#[derive(Clone, Debug, Default)]
pub struct ReferenceTable {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<RefValue>>,
}

impl ReferenceTable {
    /// Finds a column: an exact match wins; else, if not `quoted`, a unique match without regard to case.
    ///
    /// # Errors
    /// [`ReferenceError::UnknownColumn`], [`ReferenceError::AmbiguousColumn`].
    pub fn column_index(&self, name: &str, quoted: bool) -> Result<usize, ReferenceError> {
        if let Some(index) = self.columns.iter().position(|column| column == name) {
            return Ok(index);
        }
        let folded = name.to_lowercase();
        let fits = |column: &String| !quoted && column.to_lowercase() == folded;
        let fitting: Vec<usize> =
            (0..self.columns.len()).filter(|&index| fits(&self.columns[index])).collect();
        match fitting[..] {
            [index] => Ok(index),
            [] => Err(ReferenceError::UnknownColumn { name: name.to_owned() }),
            _ => Err(ReferenceError::AmbiguousColumn { name: name.to_owned() }),
        }
    }

    /// Compares names, order and values with the rows that somebody else computed.
    ///
    /// # Errors
    /// Both tables, and where they first differ.
    pub fn check(&self, columns: &[String], rows: &[Vec<RefValue>]) -> Result<(), String> {
        let same_row = |(left, right): (&Vec<RefValue>, &Vec<RefValue>)| {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| l.is_same(r))
        };
        let differs = if self.columns != columns {
            Some("the columns differ".to_owned())
        } else if let Some(row) = self.rows.iter().zip(rows).position(|pair| !same_row(pair)) {
            Some(format!("row {row} differs"))
        } else if self.rows.len() != rows.len() {
            Some("the numbers of rows differ".to_owned())
        } else {
            None
        };
        let Some(difference) = differs else { return Ok(()) };
        let (expected, found) = (shown(&self.columns, &self.rows), shown(columns, rows));
        Err(format!("{difference}\n  expected:\n    {expected}\n  found:\n    {found}"))
    }
}

impl std::fmt::Display for ReferenceTable {
    /// A line of names, then one a row, each but the first behind four blanks.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&shown(&self.columns, &self.rows))
    }
}

fn shown(columns: &[String], rows: &[Vec<RefValue>]) -> String {
    let lines = rows.iter().map(|row| row.iter().map(RefValue::to_string).collect::<Vec<_>>().join("  "));
    std::iter::once(columns.join("  ")).chain(lines).collect::<Vec<_>>().join("\n    ")
}
