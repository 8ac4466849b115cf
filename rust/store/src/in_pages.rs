//! Rows of an archived file, parted as its pages are.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use crate::error::StoreError;
use crate::segment_file::SegmentReader;

/// Rows of a file, a page at a time, whatever it gives at a time.
pub(crate) struct InPages {
    file: SegmentReader,
    /// Rows that have been read of the next page.
    ahead: Option<RecordBatch>,
}

impl InPages {
    pub(crate) fn new(file: SegmentReader) -> Self {
        Self { file, ahead: None }
    }

    /// The next so many rows.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: there are not so many, or the file is damaged; what the disk refuses.
    pub(crate) fn next(&mut self, rows: usize) -> Result<RecordBatch, StoreError> {
        let mut parts: Vec<RecordBatch> = vec![];
        let mut left = rows;
        while left > 0 || parts.is_empty() {
            let read = match self.ahead.take() {
                Some(ahead) => ahead,
                None => self.file.next()?.ok_or_else(|| {
                    StoreError::corrupt(None, "an archived file has fewer rows than it had")
                })?,
            };
            let taken = left.min(read.num_rows());
            if taken < read.num_rows() {
                self.ahead = Some(read.slice(taken, read.num_rows() - taken));
                parts.push(read.slice(0, taken));
            } else {
                parts.push(read);
            }
            left -= taken;
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(concat_batches(&parts[0].schema(), &parts)?),
        }
    }
}
