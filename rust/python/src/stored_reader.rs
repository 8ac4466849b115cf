//! A reader of stored events, as Python sees it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use cepheid_store as store;
use pyo3::prelude::*;

use crate::arrow::ArrowBatch;
use crate::engine::Engine;
use crate::error::{NativeError, without_gil};
use crate::replay::{PushedOn, Replay};

/// Rows, the store's columns in front; their own columns alone; the position after them, the first's number, how many.
type ReadRows = (ArrowBatch, ArrowBatch, (i64, i64, usize));

/// A topic, and rows of it or what is known of rows that are passed over.
type NextRows = (String, Option<ReadRows>, Option<((i64, i64, i64), (i64, i64))>);

/// Reads events batch by batch.
#[pyclass(frozen, module = "cepheid._native")]
pub(crate) struct StoredReader(Mutex<store::Reader>);

impl StoredReader {
    pub(crate) fn of(reader: store::Reader) -> Self {
        Self(Mutex::new(reader))
    }

    /// What reads, for one call.
    fn reader(&self) -> Result<MutexGuard<'_, store::Reader>, NativeError> {
        self.0.lock().map_err(|_| NativeError::Broken)
    }
}

#[pymethods]
impl StoredReader {
    /// The next rows, of all topics in one schema; None: those were all.
    fn next_batch(&self, py: Python<'_>) -> PyResult<Option<ArrowBatch>> {
        without_gil(py, || Ok(self.reader()?.next_batch()?.map(ArrowBatch)))
    }

    /// The next rows of one topic: its name, and rows whose numbers follow each other (with the store's columns in front and
    /// without, the position after them, the number of the first, and how many), or, in their place, the first position, the
    /// first row, how many, and the first and the last time of rows that do not matter. None: those were all.
    fn next_rows(&self, py: Python<'_>) -> PyResult<Option<NextRows>> {
        without_gil(py, || {
            Ok(self.reader()?.next_rows()?.map(|next| match next {
                store::StoredRows::Read(topic, rows) => {
                    let (positions, ordinals) =
                        (store::reader::positions(&rows), store::reader::ordinals(&rows));
                    let place = (positions[rows.num_rows() - 1] + 1, ordinals[0], rows.num_rows());
                    let own = ArrowBatch(store::reader::own_columns(&rows));
                    (topic.to_string(), Some((ArrowBatch(rows), own, place)), None)
                }
                store::StoredRows::Passed(topic, passed) => {
                    let place = (passed.first_position, passed.first_row, passed.rows);
                    (topic.to_string(), None, Some((place, passed.times)))
                }
            }))
        })
    }

    /// Pushes what comes next to an engine, which numbers rows as the store does, and passes over what does not matter.
    ///
    /// `counted`: by topic how many rows the engine has been told of. `whole`: whether all columns are read. `eager`: whether
    /// it ends as soon as something is derived. It ends, too, after some ten thousand rows, and before rows that cannot be
    /// passed over, or have to be pushed as a whole.
    fn push_to(
        &self,
        py: Python<'_>,
        engine: &Engine,
        counted: HashMap<String, u64>,
        now_ns: Option<i64>,
        whole: bool,
        eager: bool,
    ) -> PyResult<PushedOn> {
        engine.call(py, |engine| {
            let replay = Replay::new(engine, counted, now_ns, whole);
            replay.through(&mut *self.reader()?, eager)
        })
    }
}
