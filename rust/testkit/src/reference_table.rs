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
}
